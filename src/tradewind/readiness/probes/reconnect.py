"""venue-ws-reconnect-backoff: streams against venues that cut them and go away.

The market stream has to be live with a book again; the private one with a desk that has compared its orders,
executions and balances with the venue, so that new orders pass.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web

from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.desk_world import DeskWorld, LocalVenue, wish
from tradewind.readiness.probes.drill import Facts, drill
from tradewind.readiness.record import MeasuredValue
from tradewind.venues.binance.live import SPOT, BinanceFeed, open_binance_feed
from tradewind.venues.feeds.live import LiveOptions
from tradewind.venues.kraken.connector import KrakenOptions
from tradewind.venues.market_data import BookState
from tradewind.venues.transport.backoff import Backoff, BackoffPolicy
from tradewind.venues.transport.websocket import LinkLimits

SYMBOL: Final = "BTCUSDT"
LOOPBACK: Final = "127.0.0.1"
UPDATE_EVERY_S: Final = 0.02
CUTS: Final = 40
DESKS: Final = 20
DESKS_AT_ONCE: Final = 5
PATIENCE_S: Final = 6.0
MUTANT_PATIENCE_S: Final = 2.0
FAILURES: Final = 120
FAST_CEILING_S: Final = 0.02
SIMULATED_RUNS: Final = 200
SIMULATED_FAILURES: Final = 200


class _Venue:
    """A book that moves, over a real WebSocket and REST, on a port that can be closed and opened again."""

    def __init__(self) -> None:
        self.last_id = 1_000
        self.port = 0
        self.clients: set[web.WebSocketResponse] = set()
        self._runner: web.AppRunner | None = None
        self._moving: asyncio.Task[None] | None = None

    async def open(self) -> None:
        app = web.Application()
        app.router.add_get("/stream", self._stream)
        app.router.add_get("/api/v3/exchangeInfo", self._info)
        app.router.add_get("/api/v3/depth", self._depth)
        self._runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]
        self._moving = asyncio.create_task(self._move())

    async def close(self) -> None:
        self.cut()
        if self._moving is not None:
            self._moving.cancel()
            await asyncio.gather(self._moving, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()

    def cut(self) -> None:
        """Every connection ends without a goodbye."""
        for client in list(self.clients):
            request = client._req  # the only way to the transport, and a goodbye is what a cut has not
            if request is not None and isinstance(request.transport, asyncio.Transport):
                request.transport.abort()
        self.clients.clear()

    async def _move(self) -> None:
        while True:
            await asyncio.sleep(UPDATE_EVERY_S)
            self.last_id += 1
            quantity = f"{1 + self.last_id % 7}.00000000"
            data = {
                "e": "depthUpdate", "E": time.time_ns() // 1_000_000, "s": SYMBOL,
                "U": self.last_id, "u": self.last_id,
                "b": [["100.00", quantity]], "a": [["101.00", quantity]],
            }  # fmt: skip
            frame = json.dumps({"stream": f"{SYMBOL.lower()}@depth@100ms", "data": data})
            for client in list(self.clients):
                with contextlib.suppress(ConnectionError, RuntimeError):
                    await client.send_str(frame)

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.clients.add(socket)
        async for _ in socket:
            continue
        self.clients.discard(socket)
        return socket

    async def _info(self, _: web.Request) -> web.Response:
        filters = [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000", "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000", "stepSize": "0.00001"},
            {"filterType": "NOTIONAL", "minNotional": "5.00", "maxNotional": "9000000"},
        ]
        row = {"symbol": SYMBOL, "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT"}
        return web.json_response({"timezone": "UTC", "symbols": [{**row, "filters": filters}]})

    async def _depth(self, _: web.Request) -> web.Response:
        sides = {
            "bids": [["100.00", "1.0"], ["99.00", "5.0"]],
            "asks": [["101.00", "1.0"], ["102.00", "5.0"]],
        }
        return web.json_response({"lastUpdateId": self.last_id, **sides})


@contextlib.asynccontextmanager
async def _connected(options: LiveOptions | None = None) -> AsyncIterator[tuple[_Venue, BinanceFeed]]:
    venue = _Venue()
    await venue.open()
    address = f"{LOOPBACK}:{venue.port}"
    endpoints = msgspec.structs.replace(SPOT, websocket_url=f"ws://{address}", rest_url=f"http://{address}")
    feed = await open_binance_feed([SYMBOL], endpoints, options=options)
    drain = asyncio.create_task(_drain(feed))
    try:
        await _live(feed, after_epoch=0)
        yield venue, feed
    finally:
        await feed.close()
        await asyncio.gather(drain, return_exceptions=True)
        await venue.close()


async def _drain(feed: BinanceFeed) -> None:
    async for _ in feed.events():
        continue


async def _live(feed: BinanceFeed, after_epoch: int, patience_s: float = PATIENCE_S) -> bool:
    """Whether the book is live on a connection after ``after_epoch`` within the patience of the probe."""
    [book] = feed.pipeline.books.values()
    deadline_s = time.monotonic() + patience_s
    while time.monotonic() < deadline_s:
        if feed.link.epoch > after_epoch and book.state is BookState.LIVE:
            return True
        await asyncio.sleep(0.005)
    return False


async def _recovery() -> float | None:
    """Seconds from one cut to a live book again, with the policy as it is shipped; None = never."""
    async with _connected() as (venue, feed):
        epoch, cut_s = feed.link.epoch, time.monotonic()
        venue.cut()
        return time.monotonic() - cut_s if await _live(feed, epoch) else None


async def _recoveries() -> list[float | None]:
    """Separate connections, each cut once: a link that keeps failing waits longer on purpose."""
    return list(await asyncio.gather(*(_recovery() for _ in range(CUTS))))


async def _desk_recovery(folder: Path) -> float | None:
    """Seconds from the venue's end and return until the desk's orders pass again; the shipped policy."""
    local = await LocalVenue.open(folder / "exchange")
    try:
        policy = KrakenOptions().reconnect
        async with DeskWorld(local.place(folder / "desk"), reconnect=policy) as world:
            await world.desk.place(wish())
            await local.down()
            while world.desk.stream_live:  # noqa: ASYNC110 the link tells nobody
                await asyncio.sleep(0.005)
            await local.up()
            back_s = time.monotonic()
            while time.monotonic() - back_s < PATIENCE_S:
                if world.desk.stream_live and not world.desk.blocked:
                    return time.monotonic() - back_s
                await asyncio.sleep(0.005)
            return None
    finally:
        await local.close()


async def _desk_recoveries(folder: Path) -> list[float | None]:
    """Private links with orders, executions and balances to compare; each at a venue of its own."""
    found: list[float | None] = []
    for first in range(0, DESKS, DESKS_AT_ONCE):
        several = range(first, first + DESKS_AT_ONCE)
        found += await asyncio.gather(*(_desk_recovery(folder / f"desk-{number}") for number in several))
    return found


async def _attempts(patience_s: float = PATIENCE_S) -> dict[str, Any]:
    """Lets many attempts fail against a closed port, then opens it. Only the waiting is shortened."""
    options = LiveOptions(
        link=LinkLimits(connect_timeout_s=1.0),
        reconnect=BackoffPolicy(base_s=FAST_CEILING_S, ceiling_s=FAST_CEILING_S, max_attempts=10_000),
    )
    async with _connected(options) as (venue, feed):
        epoch = feed.link.epoch
        await venue.close()
        for _ in range(round(patience_s / FAST_CEILING_S)):
            if feed.link.backoff.failures >= FAILURES:
                break
            await asyncio.sleep(FAST_CEILING_S)
        failures = feed.link.backoff.failures
        await venue.open()
        return {"failures": failures, "back": await _live(feed, epoch, patience_s)}


def _longest_delay_s() -> float:
    """The longest of very many delays which the shipped policy gives, in virtual time."""
    longest = 0.0
    for _ in range(SIMULATED_RUNS):
        backoff, now_s = Backoff(BackoffPolicy()), 0.0
        for _ in range(SIMULATED_FAILURES):
            delay_s = backoff.next_delay_s(now_s)
            longest, now_s = max(longest, delay_s), now_s + delay_s
    return longest


async def _measure(folder: Path) -> Facts:
    return {
        "recoveries_s": [*await _recoveries(), *await _desk_recoveries(folder)],
        "attempts": await _attempts(),
        "longest_delay_s": _longest_delay_s(),
        "delays": SIMULATED_RUNS * SIMULATED_FAILURES,
    }


def _observe(context: ProbeContext) -> Facts:
    return asyncio.run(_measure(context.scratch))


def _giving_up(_: ProbeContext) -> Facts:
    """The stream stops to reconnect after ten failures."""
    honest = Backoff.next_delay_s

    def limited(self: Backoff, now_s: float) -> float:
        return honest(self, now_s) if self.failures < 10 else PATIENCE_S * 100

    Backoff.next_delay_s = limited  # type: ignore[method-assign]  # that is the mutation
    try:
        return asyncio.run(_attempts_only())
    finally:
        Backoff.next_delay_s = honest  # type: ignore[method-assign]  # and this is its end


async def _attempts_only() -> Facts:
    return {
        "recoveries_s": [],
        "attempts": await _attempts(MUTANT_PATIENCE_S),
        "longest_delay_s": PATIENCE_S * 100,
        "delays": 1,
    }


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    attempts, recoveries = facts["attempts"], facts["recoveries_s"]
    unlimited = attempts["back"] and attempts["failures"] >= FAILURES
    values = {
        # 0 = none: it came back after more failures than any sensible limit.
        "attempts_limit": count(0 if unlimited else max(1, attempts["failures"]), attempts["failures"]),
        "max_delay_s": MeasuredValue(facts["longest_delay_s"], "s", facts["delays"]),
    }
    if recoveries:
        known = sorted(PATIENCE_S if one is None else one for one in recoveries)
        position = max(0, -(-95 * len(known) // 100) - 1)
        values["recovery_p95_s"] = MeasuredValue(known[position], "s", len(known))
    return values


reconnect = drill(
    "venue-ws-reconnect-backoff",
    observe=_observe,
    broken=_giving_up,
    summarise=_summarise,
    provenance="emulated",
)
