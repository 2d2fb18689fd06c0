"""The native connector under the suite: over sockets, against a running node with its API."""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

from tradewind.gateways.faults import Fault as WireFault
from tradewind.gateways.faults import Plan, Rule
from tradewind.node.projections.orders import Order
from tradewind.venues.market_data import Side
from tradewind.venues.native.assemble import open_native
from tradewind.venues.native.connector import NativeOptions, NativeVenue
from tradewind.venues.native.messages import ApiToken, client_id_of
from tradewind.venues.native.mirror import PHASES
from tradewind.venues.protocol import FillEvent
from tradewind.venues.transport.backoff import BackoffPolicy
from tradewind.venues.transport.keys import KeyFolder
from tradewind.venues.transport.private_link import PrivateLimits

from .bench import Act, Bench, Fault, TrueFill, TrueOrder
from .native_world import TRADE_TOKEN, NativeWorld

DEEP = {"USDT": Decimal(10_000_000), "BTC": Decimal(500)}
FUNDS = {"desk": {"USDT": Decimal(100_000)}, "maker": DEEP, "taker": DEEP}
SLOW_MS = 1_500
"""Longer than the connector under test waits."""
RULES: dict[Fault, dict[str, Any]] = {
    Fault.TIMEOUT: {"action": WireFault.DROP_REPLY, "delay_ms": 30_000},
    Fault.ERROR_AFTER: {"action": WireFault.STATUS, "status": 502, "when": "after"},
    Fault.ERROR_BEFORE: {"action": WireFault.STATUS, "status": 502, "when": "before"},
    Fault.TOO_MANY: {"action": WireFault.STATUS, "status": 429},
    Fault.BANNED: {"action": WireFault.RATE_BAN, "seconds": 1},
    Fault.RESET_AFTER: {"action": WireFault.RESET, "when": "after"},
    Fault.RESET_BEFORE: {"action": WireFault.RESET, "when": "before"},
    Fault.SLOW: {"action": WireFault.DELAY, "delay_ms": SLOW_MS},
    Fault.LOST: {"action": WireFault.LOSE_ORDER},
    Fault.MALFORMED: {"action": WireFault.MALFORMED},
}
NAMES: dict[Act, str] = {
    Act.PLACE: "POST /api/v1/orders",
    Act.CANCEL: "POST /api/v1/orders/*/cancel",
    Act.AMEND: "POST /api/v1/orders/*/replace",
}
CHANGES = (*NAMES.values(), "POST /api/v1/orders/cancel-all")
CHAOS = (
    *(
        Rule(
            surface="rest",
            name=name,
            action=action,
            when=when,
            status=502,
            delay_ms=delay,
            probability_ppm=ppm,
        )  # type: ignore[arg-type]
        for name in CHANGES
        for action, when, delay, ppm in (
            (WireFault.DROP_REPLY, "before", 2_000, 20_000),
            (WireFault.MALFORMED, "before", 0, 10_000),
            (WireFault.STATUS, "before", 0, 10_000),
            (WireFault.STATUS, "after", 0, 10_000),
            (WireFault.RESET, "before", 0, 10_000),
            (WireFault.RESET, "after", 0, 10_000),
            (WireFault.DELAY, "before", 150, 30_000),
        )
    ),
    Rule(surface="rest", name=NAMES[Act.PLACE], action=WireFault.LOSE_ORDER, probability_ppm=10_000),
    Rule(surface="rest", name="GET *", action=WireFault.STATUS, status=503, probability_ppm=20_000),
    Rule(surface="rest", name="GET *", action=WireFault.MALFORMED, probability_ppm=10_000),
    Rule(surface="rest", name="GET *", action=WireFault.RESET, when="after", probability_ppm=10_000),
    Rule(surface="stream", name="event", action=WireFault.DROP_FRAME, probability_ppm=10_000),
    Rule(surface="stream", name="*", action=WireFault.DUPLICATE, probability_ppm=30_000),
    Rule(surface="stream", name="*", action=WireFault.REORDER, probability_ppm=30_000),
    Rule(surface="stream", name="event", action=WireFault.CORRUPT, probability_ppm=5_000),
    Rule(surface="stream", name="event", action=WireFault.CLOSE, probability_ppm=3_000),
)
"""Everything at once, each rarely enough that work gets done."""


class NativeBench(Bench):
    """Node, API and connector in one loop, talking over loopback sockets."""

    faults = frozenset({*RULES, Fault.DUPLICATE, Fault.REORDER})
    account = "desk"
    symbol = "BTC/USDT"
    middle_ticks = 600_000
    usual_lots = 100
    options: ClassVar[dict[str, Any]] = {}
    venue: NativeVenue

    def __init__(self, folder: tempfile.TemporaryDirectory[str], world: NativeWorld) -> None:
        self.folder, self.world = folder, world
        self._own: dict[int, Order] = {}
        self.data = Path(folder.name)
        self.events = []
        self.market_events = []
        self.stack = AsyncExitStack()
        self._readers: list[asyncio.Task[None]] = []

    @classmethod
    async def open(cls) -> NativeBench:
        folder = tempfile.TemporaryDirectory()
        world = await NativeWorld.open(Path(folder.name))
        await world.market("BTC", "USDT", FUNDS)
        bench = cls(folder, world)
        await bench.connect()
        assert await bench.venue.open(), bench.venue.channel.link.transitions
        listed = await bench.venue.instruments()
        assert isinstance(listed, list), listed
        bench.instrument = next(one for one in listed if one.symbol == cls.symbol)
        bench._readers = [
            asyncio.create_task(bench._read(bench.venue.private(bench.account), bench.events)),
            asyncio.create_task(bench._read(bench.venue.market([bench.symbol]), bench.market_events)),
        ]
        await bench.step()
        return bench

    async def connect(self) -> None:
        """Build the connector, with a lock and limits of its own."""
        options = NativeOptions(
            url=self.world.url,
            valid_for_s=1.0,
            absence_margin_s=0.2,
            answer_timeout_s=1.0,
            gap_wait_s=0.05,
            link=PrivateLimits(step_timeout_s=5.0, ping_every_s=0.5, pong_within_s=2.0),
            reconnect=BackoffPolicy(base_s=0.02, ceiling_s=0.2, max_attempts=1_000),
            **self.options,
        )
        self.venue = await self.stack.enter_async_context(
            open_native(ApiToken(TRADE_TOKEN), KeyFolder(self.data), account=self.account, options=options)
        )
        self.lane = self.venue.rest.lane

    async def close(self) -> None:
        for task in self._readers:
            task.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        await self.stack.aclose()
        await self.world.stop()
        self.folder.cleanup()

    @staticmethod
    async def _read(source: Any, into: list[Any]) -> None:
        async for event in source:
            into.append(event)

    def now_ns(self) -> int:
        return time.time_ns()

    async def step(self, seconds: float = 0.0) -> None:
        await asyncio.sleep(max(seconds, 0.002))

    # ---- the outside -------------------------------------------------------------------------------------

    def _text(self, price_ticks: int, lots: int) -> tuple[str, str]:
        return str(Decimal(price_ticks) / 10), str(Decimal(lots) / 10_000)

    async def quote(self, bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> None:
        await self.world.cancel_all("maker")
        for side, levels in (("buy", bids), ("sell", asks)):
            for price, lots in levels:
                await self.world.place("maker", self.symbol, side, *self._text(price, lots))

    async def take(self, side: Side, price_ticks: int, lots: int) -> None:
        await self.world.place(
            "taker", self.symbol, side.name.lower(), *self._text(price_ticks, lots), time_in_force="ioc"
        )
        # an outside trade is old news when the test goes on, unless a fault holds the news back
        for _ in range(100):
            if sum(isinstance(one, FillEvent) for one in self.events) >= len(await self.true_fills()):
                return
            await self.step(0.01)

    # ---- the truth ---------------------------------------------------------------------------------------

    @property
    def handle(self) -> int:
        return self.world.directory.account(self.account).account

    def own_orders(self) -> list[Order]:
        """Every order of ours that was ever seen: the node keeps the last ended ones of all accounts only."""
        views = self.world.views
        ended = (one for one in views.orders.ended if one.account == self.handle)
        self._own |= {one.order: one for one in (*ended, *views.orders.of_account(self.handle))}
        return sorted(self._own.values(), key=lambda one: one.order)

    async def true_orders(self) -> list[TrueOrder]:
        return [
            TrueOrder(
                client_id_of(one.client_key.hex()),
                PHASES[str(one.status)],
                one.price,
                one.total_lots,
                one.filled_lots,
            )
            for one in self.own_orders()
        ]

    async def true_fills(self) -> list[TrueFill]:
        keys = {one.order: client_id_of(one.client_key.hex()) for one in self.own_orders()}
        found = []
        for one in self.world.trades:
            side = Side(one.taker_side)
            for order, account, own, fee, maker in (
                (one.order, one.account, side, one.taker_fee, False),
                (one.maker_order, one.maker_account, Side(1 - side), one.maker_fee, True),
            ):
                if account == self.handle:
                    paid = Decimal(fee) / 1_000_000
                    found.append(TrueFill(keys[order], own, one.price, one.lots, paid, maker))
        return found

    async def true_totals(self) -> dict[str, Decimal]:
        views = self.world.views
        return {
            views.assets.by_number[one.asset].symbol: Decimal(one.free + one.held) / 1_000_000
            for one in views.ledger.balances(self.handle)
        }

    # ---- faults ------------------------------------------------------------------------------------------

    async def inject(self, fault: Fault, act: Act) -> None:
        if fault in {Fault.DUPLICATE, Fault.REORDER}:
            wire = WireFault.DUPLICATE if fault is Fault.DUPLICATE else WireFault.REORDER
            rules = (Rule(action=wire, surface="stream", name="event"),)
        else:
            rules = (Rule(surface="rest", name=NAMES[act], times=1, **RULES[fault]),)
        self.world.plan.replace(Plan(rules=rules))

    async def heal(self) -> None:
        self.world.plan.replace(Plan())

    misbehaves = True

    async def misbehave(self, seed: int) -> None:
        self.world.plan.replace(Plan(seed=seed, rules=CHAOS))
