"""The paper venue under the suite: a real engine, a virtual clock, an outside market played by the test."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from tradewind.core.events import Result
from tradewind.venues.market_data import Side
from tradewind.venues.paper.port import PortStopped

from .bench import Act, Bench, Fault, TrueFill, TrueOrder

sys.path.insert(0, str(Path(__file__).parents[1] / "venues" / "paper"))
from paper_world import SECOND, SYMBOL, World, instrument


class BrokenPort:
    """Stops once, at the next own request, behind or in front of the engine."""

    def __init__(self, world: World) -> None:
        self.fault: Fault | None = None
        self.port = world.port
        self._submit = world.port.submit
        world.port.submit = self.submit  # type: ignore[method-assign]

    async def submit(self, commands: Sequence[bytes], notes: Sequence[object] = ()) -> list[Result]:
        fault, self.fault = self.fault, None
        if fault is Fault.RESET_BEFORE:
            raise PortStopped("stopped before the block was written")
        results = await self._submit(commands, notes)  # type: ignore[arg-type]
        if fault is Fault.RESET_AFTER:
            raise PortStopped("stopped after the block was written")
        return results


class PaperBench(Bench):
    """No wire: of the faults only an engine that stops, before or after it has applied the request."""

    faults = frozenset({Fault.RESET_AFTER, Fault.RESET_BEFORE})
    symbol = SYMBOL
    middle_ticks = 5_000_000
    usual_lots = 10

    def __init__(self, world: World) -> None:
        self.world = world
        self.venue = world.venue
        self.instrument = world.setup.markets[SYMBOL].instrument
        self.events = []
        self.market_events = []
        self._readers: list[asyncio.Task[None]] = []
        self._shown: list[tuple[int, int]] = []
        self.port = BrokenPort(world)

    @classmethod
    async def open(cls) -> PaperBench:
        bench = cls(await World.create(outside=instrument(), cash={"USDT": Decimal(100_000)}))
        await bench.world.book([(4_900_000, 100)], [(5_100_000, 100)])
        bench._readers = [
            asyncio.create_task(bench._read(bench.venue.private(bench.account), bench.events)),
            asyncio.create_task(bench._read(bench.venue.market([bench.symbol]), bench.market_events)),
        ]
        await bench.step()
        return bench

    async def close(self) -> None:
        for task in self._readers:
            task.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)

    @staticmethod
    async def _read(source: object, into: list) -> None:
        async for event in source:  # type: ignore[attr-defined]
            into.append(event)

    def now_ns(self) -> int:
        return self.world.now_ns

    async def step(self, seconds: float = 0.0) -> None:
        await asyncio.sleep(0)
        try:
            await self.world.wait_ms(round(seconds * 1_000))
        except PortStopped:
            assert self.port.fault is None, "the driver hears of the stop that was ordered"
        if self.world.now_ns - self.world.port.engine.time_ns > SECOND:
            await self.world.port.tick()
        await asyncio.sleep(0)

    async def quote(self, bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> None:
        far = ([(4_900_000, 100)], [(5_100_000, 100)])
        await self.world.book([*bids, *far[0]], [*asks, *far[1]])
        await self.step()

    async def take(self, side: Side, price_ticks: int, lots: int) -> None:
        await self.world.prints(price_ticks, lots, side)
        await self.step()

    async def true_orders(self) -> list[TrueOrder]:
        book = self.venue.account
        return [
            TrueOrder(one.client_id, one.phase, one.price_ticks, one.lots, one.filled_lots)
            for one in [*book.orders.values(), *book.finished.values()]
        ]

    async def true_fills(self) -> list[TrueFill]:
        return [
            TrueFill(one.client_id, one.side, one.price_ticks, one.lots, one.fee, one.maker)
            for one in self.venue.account.fills
        ]

    async def true_totals(self) -> dict[str, Decimal]:
        lines = self.venue.account.lines
        return {
            asset: Decimal(sum(amount for (one, _), amount in lines.items() if one == number)) / 1_000_000
            for asset, number in self.world.setup.assets.items()
        }

    async def inject(self, fault: Fault, act: Act) -> None:
        del act
        self.port.fault = fault

    async def heal(self) -> None:
        self.port.fault = None
        await self.world.book([(4_900_000, 100)], [(5_100_000, 100)])
