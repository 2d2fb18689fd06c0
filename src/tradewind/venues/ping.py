"""How far a venue is away: round trips, the difference of the clocks with its bounds, its own state."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Any, Final, Protocol

import msgspec

from tradewind.venues.binance.live import SPOT, USDM
from tradewind.venues.feeds.decoding import UNREADABLE
from tradewind.venues.kraken.live import KrakenEndpoints
from tradewind.venues.market_data import DecodeError
from tradewind.venues.native.messages import ApiToken, TimeAnswer
from tradewind.venues.transport.errors import HttpStatus, TransportError
from tradewind.venues.transport.http import PublicHttpSession
from tradewind.venues.transport.private_http import NoAnswer, PrivateHttp

MILLISECOND_NS: Final = 1_000_000
SECOND_NS: Final = 1_000_000_000
MAX_SAMPLES: Final = 20
DEFAULT_SAMPLES: Final = 3
"""With the opening and the state five calls: what Kraken's public counter takes at once."""
TOO_FAST: Final = b'"EAPI:Rate limit exceeded"'
AGAIN_S: Final = 1.0
"""The public counter falls by one a second; others on this address may have filled it."""
MAX_ATTEMPTS: Final = 4
NOT_FOUND: Final = 404
OK: Final = 200
NATIVE: Final = "native"


class PingReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured. The venue's clock is ahead of ours by between `offset_low_ms` and `offset_high_ms`.

    Both bounds hold for every sample; None when they contradict each other: a clock was set meanwhile, or the
    venue's answers come from clocks of their own.
    """

    venue: str
    url: str
    samples: int
    best_round_trip_ms: float
    median_round_trip_ms: float
    offset_low_ms: float | None
    offset_high_ms: float | None
    clock_step_ms: float
    """How finely the venue tells its time."""
    status: str
    """Its own word, or `answers` where it has none."""


class _KrakenTime(msgspec.Struct):
    unixtime: int


class _KrakenStatus(msgspec.Struct):
    status: str


class _Kraken(msgspec.Struct):
    error: list[str]
    result: msgspec.Raw = msgspec.Raw(b"null")


class _BinanceTime(msgspec.Struct, rename="camel"):
    server_time: int


class _Venue(msgspec.Struct, frozen=True):
    url: str
    time_path: str
    status_path: str
    step_ns: int


VENUES: Final = {
    "kraken": _Venue(KrakenEndpoints().rest_url, "/0/public/Time", "/0/public/SystemStatus", SECOND_NS),
    "binance": _Venue(SPOT.rest_url, "/api/v3/time", "/sapi/v1/system/status", MILLISECOND_NS),
    "binance-usdm": _Venue(USDM.rest_url, "/fapi/v1/time", "/fapi/v1/ping", MILLISECOND_NS),
    NATIVE: _Venue("http://127.0.0.1:8000", "/api/v1/time", "/api/v1/time", 1),
}


class _Asks(Protocol):
    """Whatever gets the body of a path. Raises `TransportError`."""

    async def get(self, path: str) -> bytes: ...


class _Node:
    """A node of our own: it wants a token even for its time."""

    def __init__(self, url: str, token: ApiToken) -> None:
        self._http, self._token = PrivateHttp(url), token

    async def get(self, path: str) -> bytes:
        """The body. Raises `TransportError`."""
        reply = await self._http.request("GET", path, self._token.header())
        if isinstance(reply, NoAnswer):
            raise TransportError(f"{path}: {reply.reason}")
        if reply.status != OK:
            raise HttpStatus(reply.status, path, None)
        return reply.body

    async def __aenter__(self) -> _Node:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()


def _session(name: str, url: str, token: ApiToken | None) -> _Node | PublicHttpSession:
    if name != NATIVE:
        venue = VENUES[name]
        return PublicHttpSession(url, frozenset({venue.time_path, venue.status_path}))
    if token is None:
        raise ValueError("a node wants a token")
    return _Node(url, token)


def bounds(samples: list[tuple[int, int, int]], step_ns: int) -> tuple[int, int] | None:
    """How far the venue's clock is ahead, in ns, from (sent, told, received) on the wall clock.

    A time that is told in whole steps was read between sending and receiving, and up to a step later than it
    says. Every sample narrows the span; None when they contradict each other.
    """
    low = max(told - received for _, told, received in samples)
    high = min(told + step_ns - sent for sent, told, _ in samples)
    return (low, high) if low <= high else None


async def ping(
    name: str,
    url: str | None = None,
    samples: int = DEFAULT_SAMPLES,
    *,
    token: ApiToken | None = None,
) -> PingReport:
    """Asks the venue for its time, several times, and for its state once. `token` is for a node of our own.

    Raises:
        KeyError: no such venue. ValueError: `samples` is not 1 to 20, the address is none, or a node's token
            is missing.
        TransportError: no answer. DecodeError: not an answer of this venue.
    """
    venue = VENUES[name]
    if not 1 <= samples <= MAX_SAMPLES:
        raise ValueError(f"samples must be 1 to {MAX_SAMPLES}")
    base = url or venue.url
    taken: list[tuple[int, int, int]] = []
    round_trips: list[int] = []
    async with _session(name, base, token) as http:
        await _ask(http, venue.time_path)  # opens the connection, which is no part of a round trip
        for _ in range(samples):
            sent_ns, taken_ns, body = await _ask(http, venue.time_path)
            round_trips.append(taken_ns)
            taken.append((sent_ns, _told_ns(name, body), sent_ns + taken_ns))
        status = await _status(name, http, venue.status_path)
    span = bounds(taken, venue.step_ns)
    low, high = (None, None) if span is None else span
    return PingReport(
        venue=name,
        url=base,
        samples=samples,
        best_round_trip_ms=_ms(min(round_trips)),
        median_round_trip_ms=_ms(statistics.median(round_trips)),
        offset_low_ms=None if low is None else _ms(low),
        offset_high_ms=None if high is None else _ms(high),
        clock_step_ms=_ms(venue.step_ns),
        status=status,
    )


async def _ask(http: _Asks, path: str) -> tuple[int, int, bytes]:
    """When it was sent (wall clock), how long the round trip took, the body."""
    for attempt in range(MAX_ATTEMPTS):
        sent_ns, begin_ns = time.time_ns(), time.monotonic_ns()
        body = await http.get(path)
        taken_ns = time.monotonic_ns() - begin_ns
        if TOO_FAST not in body[:200] or attempt + 1 == MAX_ATTEMPTS:
            break
        await asyncio.sleep(AGAIN_S)
    return sent_ns, taken_ns, body


def _ms(nanoseconds: float) -> float:
    return round(nanoseconds / MILLISECOND_NS, 3)


def _read(body: bytes, kind: Any, call: str) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except UNREADABLE as error:
        raise DecodeError(call, str(error)) from error


def _kraken(body: bytes, kind: Any, call: str) -> Any:
    answer = _read(body, _Kraken, call)
    if answer.error:
        raise DecodeError(call, "; ".join(answer.error)[:200])
    return _read(bytes(answer.result), kind, call)


def _told_ns(name: str, body: bytes) -> int:
    if name == "kraken":
        return int(_kraken(body, _KrakenTime, "Time").unixtime) * SECOND_NS
    if name == NATIVE:
        return int(_read(body, TimeAnswer, "time").now_ns)
    return int(_read(body, _BinanceTime, "time").server_time) * MILLISECOND_NS


async def _status(name: str, http: _Asks, path: str) -> str:
    try:
        _, _, body = await _ask(http, path)
    except HttpStatus as error:
        if name == "binance" and error.status == NOT_FOUND:
            return "answers"
        raise
    if name == "kraken":
        return str(_kraken(body, _KrakenStatus, "SystemStatus").status)
    if name == NATIVE:
        return str(_read(body, TimeAnswer, "time").node)
    found = _read(body, dict[str, Any], "system status")
    return str(found.get("msg", found.get("status", "answers")))[:80]
