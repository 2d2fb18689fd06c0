"""oracle-request-batching: the ingestion worker and its request window on a clock of their own.

The catalogue answers after one second. Two things are looked at: one round over 21,000 markets, and five
minutes of four workers on one window, with 429 storms and a clock that is set back.
"""

from __future__ import annotations

import asyncio
import json
import random
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tradewind.keepers.ingestion import BATCH_MARKETS, IngestionWorker
from tradewind.keepers.port import (
    Action,
    Duties,
    Identity,
    Outcome,
    SourceDuties,
    Standing,
    Suspects,
    VenueLink,
    VenueLinks,
)
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.drill import Facts, drill
from tradewind.readiness.probes.virtual_time import VirtualLoop, run_virtually
from tradewind.readiness.record import MeasuredValue
from tradewind.venues.catalogue.client import PAGE_MARKETS, CatalogueClient
from tradewind.venues.transport.errors import HttpStatus
from tradewind.venues.transport.http import PublicHttpSession
from tradewind.venues.transport.request_window import SECOND_NS, RequestWindow

MARKETS: Final = 21_000
RESPONSE_S: Final = 1.0
LIMIT: Final = 50
WINDOW_S: Final = 10.0
STORM_S: Final = 300.0
STORM_WORKERS: Final = 4
SEED: Final = 21_000
NEVER_S: Final = 1e6
"""A round that is not whole."""
MakeWindow = Callable[[Callable[[], int]], RequestWindow]


class _Catalogue(PublicHttpSession):
    """Answers pages after a second, or refuses a part of them; remembers when each request came and went."""

    def __init__(self, loop: VirtualLoop, refused_ppm: int = 0) -> None:
        super().__init__("http://catalogue", frozenset())
        self._loop, self._refused_ppm = loop, refused_ppm
        self._random = random.Random(SEED)  # noqa: S311 the same storm in every run
        self.began_s: list[float] = []
        self.ended_s: list[float] = []
        self.quiet_until_s = 0.0
        self.impatient = 0

    async def get(
        self, path: str, params: dict[str, str] | None = None, timeout_s: float | None = None
    ) -> bytes:
        """A page."""
        now_s = self._loop.time()
        self.began_s.append(now_s)
        self.impatient += now_s < self.quiet_until_s
        await asyncio.sleep(RESPONSE_S)
        self.ended_s.append(self._loop.time())
        if self._random.randrange(1_000_000) < self._refused_ppm:
            retry_after_s = self._random.randint(1, 20)
            self.quiet_until_s = max(self.quiet_until_s, self._loop.time() + retry_after_s)
            raise HttpStatus(429, path, float(retry_after_s))
        offset = int((params or {})["offset"])
        return json.dumps([_entry(number) for number in _numbers(offset)]).encode()


def _numbers(offset: int) -> range:
    return range(offset, min(offset + PAGE_MARKETS, MARKETS))


def _entry(number: int) -> dict[str, Any]:
    return {
        "conditionId": f"0x{number + 1:064x}",
        "outcomes": '["Yes", "No"]',
        "outcomePrices": '["0.505", "0.495"]',
        "bestBid": 0.5,
        "bestAsk": 0.51,
        "liquidityNum": 20_000.5,
    }


class _Sink:
    """A platform that takes everything."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.published: dict[int, float] = {}
        links = [
            VenueLink(market=number, condition=(number + 1).to_bytes(32, "big"), outcomes=2)
            for number in range(MARKETS)
        ]
        self._links = VenueLinks(now_ns=0, links=tuple(links))

    def now_ns(self) -> int:
        """See `Port`."""
        return SECOND_NS + self._loop.time_ns()

    async def venue_links(self, identity: Identity) -> VenueLinks:
        """See `Port`."""
        return self._links

    async def send_all(self, identity: Identity, actions: Sequence[Action]) -> list[Outcome]:
        """See `Port`."""
        for action in actions:
            if action.command == "VenueItem":
                market = action.fields["market"]
                assert isinstance(market, int)
                self.published[market] = self._loop.time()
        return [Outcome(accepted=True) for _ in actions]

    async def send(self, identity: Identity, action: Action) -> Outcome:
        """See `Port`."""
        return (await self.send_all(identity, [action]))[0]

    async def duties(self, identity: Identity) -> Duties:
        """See `Port`."""
        return Duties(now_ns=self.now_ns(), standing=Standing(registered=False))

    async def suspects(self, start: int) -> Suspects:
        """See `Port`."""
        return Suspects()

    async def sources(self, identity: Identity) -> SourceDuties:
        """See `Port`."""
        return SourceDuties(now_ns=self.now_ns(), settlement="", deployment="")

    async def wait(self, timeout_s: float) -> None:
        """See `Port`."""
        await asyncio.sleep(timeout_s)


def most_in_any_window(moments_s: Sequence[float], span_s: float = WINDOW_S) -> int:
    """Most moments in a half-open window, wherever it begins."""
    ordered = sorted(moments_s)
    return max((bisect_left(ordered, at + span_s) - place for place, at in enumerate(ordered)), default=0)


def _worker(name: str, catalogue: _Catalogue, window: RequestWindow, port: _Sink) -> IngestionWorker:
    client = CatalogueClient("http://catalogue", worker=name, window=window, session=catalogue)
    return IngestionWorker(Identity(name=name, principal=name.encode().ljust(32, b"\0")), port, client)


async def _round(loop: VirtualLoop, make_window: MakeWindow) -> dict[str, Any]:
    """One round over the whole catalogue by one worker."""
    catalogue, port = _Catalogue(loop), _Sink(loop)
    worker = _worker("round", catalogue, make_window(loop.time_ns), port)
    for _ in range(MARKETS // BATCH_MARKETS):
        await port.wait(await worker.step())
    await worker.drain()
    await worker.close()
    return {
        "began_s": catalogue.began_s,
        "ended_s": catalogue.ended_s,
        "markets": len(port.published),
        "batches": worker.batches["good"],
        "last_s": max(port.published.values(), default=NEVER_S),
    }


async def _storm(loop: VirtualLoop, make_window: MakeWindow) -> dict[str, Any]:
    """Four workers at once, a third of their requests refused, and a clock that goes back now and then."""
    catalogue, port = _Catalogue(loop, refused_ppm=50_000), _Sink(loop)

    def clock_ns() -> int:
        minutes = int(loop.time()) // 60
        return loop.time_ns() - (minutes % 2) * 3_600 * SECOND_NS

    window = make_window(clock_ns)
    workers = [_worker(f"storm {number}", catalogue, window, port) for number in range(STORM_WORKERS)]
    tasks = [asyncio.create_task(worker.run()) for worker in workers]
    await asyncio.sleep(STORM_S)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return {
        "began_s": catalogue.began_s,
        "ended_s": catalogue.ended_s,
        "impatient": catalogue.impatient,
    }


class FixedWindow(RequestWindow):
    """Counts anew from every tenth second on: what a sliding window must not be mistaken for."""

    _began_ns = 0
    _count = 0

    def enter(self, ceiling: int | None = None) -> int:
        """See `RequestWindow`."""
        now_ns = self._clock_ns()
        if not 0 <= now_ns - self._began_ns < self.span_ns:
            self._began_ns, self._count = now_ns - now_ns % self.span_ns, 0
        if self._count >= self.limit:
            return self._began_ns + self.span_ns - now_ns
        self._count += 1
        return 0

    def leave(self) -> None:
        """See `RequestWindow`; nothing is remembered."""


def _sliding(clock_ns: Callable[[], int]) -> RequestWindow:
    return RequestWindow(clock_ns=clock_ns)


def _fixed(clock_ns: Callable[[], int]) -> RequestWindow:
    return FixedWindow(clock_ns=clock_ns)


def _observe(context: ProbeContext, make_window: MakeWindow = _sliding) -> Facts:
    return {
        "round": run_virtually(lambda loop: _round(loop, make_window)),
        "storm": run_virtually(lambda loop: _storm(loop, make_window)),
    }


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    """Requests by when they were let out and by when they were answered: a venue may count either."""
    one, storm = facts["round"], facts["storm"]
    most = max(most_in_any_window(part[name]) for part in (one, storm) for name in ("began_s", "ended_s"))
    # A request inside of a time that the venue asked to be left alone is as bad as one too many.
    most = max(most, LIMIT + 1) if storm["impatient"] else most
    whole = one["markets"] == MARKETS and one["batches"] == MARKETS // BATCH_MARKETS
    requests = len(one["began_s"]) + len(storm["began_s"])
    return {
        "max_requests_any_10s": count(most, requests),
        "full_round_s": MeasuredValue(one["last_s"] if whole else NEVER_S, "s", one["markets"]),
    }


batching = drill(
    "oracle-request-batching",
    observe=_observe,
    broken=lambda context: _observe(context, _fixed),
    summarise=_summarise,
    provenance="virtual",
)
