"""Suite `trader`: from a strategy's answer to the record of its order, on a real node with twenty resting
orders; and what an event costs that a strategy only looks at, or that nobody asks for.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
import uvloop

from tradewind.core.engine import GenesisConfig, Grant
from tradewind.lab.bench.context import Context, Figures, MeasureFailed, microseconds, percentile
from tradewind.lab.bench.node import quiet_log
from tradewind.node.service import NodeService
from tradewind.trader.hosting.host import Hosted
from tradewind.trader.risk.profile import Profile, load_profile
from tradewind.trader.service import TraderService
from tradewind.trader.session import Session
from tradewind.trader.strategy import (
    CancelIntent,
    Manifest,
    PlaceIntent,
    StrategyBase,
    StrategyIntent,
)
from tradewind.trader.strategy import Context as StrategyContext
from tradewind.venues.feeds.generated import GeneratedMarket
from tradewind.venues.market_data import BookDelta, BookSnapshot, BookState, FeedState, Side
from tradewind.venues.paper.latency import LatencyConfig
from tradewind.venues.paper.port import NodePort
from tradewind.venues.paper.schedule import load_schedule
from tradewind.venues.paper.setup import PaperKeys, set_up
from tradewind.venues.paper.venue import PaperVenue

SYMBOL: Final = "BTC/USDT"
RESTING: Final = 20
"""Orders that rest while the next one is decided: what a risk check has to look at."""
MIDDLE: Final = 6_000_000
YEAR_NS: Final = 360 * 86_400 * 10**9
WARM_UP: Final = 50
EVENTS_PER_ORDER: Final = 20


class _Quoting(StrategyBase):
    """One new order at every book it hears of; beyond `RESTING` the oldest is cancelled."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.answered_ns = 0
        self.count = 0
        self.silent = False

    def on_book(self, context: StrategyContext, book: object) -> list[StrategyIntent]:
        if self.silent:
            return []
        self.count += 1
        intents: list[StrategyIntent] = []
        orders = context.orders
        if len(orders) >= RESTING:
            intents.append(CancelIntent(client_id=orders[0].client_id))
        price = MIDDLE - 10_000 - self.count % 1_000
        intents.append(PlaceIntent(symbol=SYMBOL, side=Side.BUY, price_ticks=price, lots=1))
        self.answered_ns = time.perf_counter_ns()
        return intents


class _Bench:
    """A trader on a node of its own, and the moments at which its records came and were durable."""

    def __init__(self, session: Session, strategy: _Quoting) -> None:
        self.session, self.strategy = session, strategy
        self.handed: list[int] = []
        self.durable: list[int] = []
        self._sequence = 1
        self._submit = session.port.submit
        session.port.submit = self._timed  # type: ignore[method-assign]

    async def _timed(self, commands: Sequence[bytes], notes: Sequence[Any] = ()) -> Any:
        began_ns, self.strategy.answered_ns = self.strategy.answered_ns, 0
        if not notes or not began_ns:
            return await self._submit(commands, notes)
        handed_ns = time.perf_counter_ns()
        result = await self._submit(commands, notes)
        self.handed.append(handed_ns - began_ns)
        self.durable.append(time.perf_counter_ns() - began_ns)
        return result

    def _stamp(self) -> dict[str, Any]:
        now_ns = self.session.port.now_ns()
        return {"venue_ts_ns": now_ns, "recv_ts_ns": now_ns, "recv_mono_ns": now_ns, "epoch": 0}

    async def open(self) -> None:
        bids = tuple((MIDDLE - 1 - step, 40_000) for step in range(20))
        asks = tuple((MIDDLE + 1 + step, 40_000) for step in range(20))
        stamp = self._stamp()
        await self.session.on_event(BookSnapshot(symbol=SYMBOL, bids=bids, asks=asks, sequence=1, **stamp))
        state = FeedState(
            symbol=SYMBOL, state=BookState.LIVE, reason="bench", since_ns=stamp["recv_ts_ns"], epoch=0
        )
        await self.session.on_event(state)

    async def book(self) -> None:
        """A change of one level, as a feed tells it, and a little time for what it leads to."""
        self._sequence += 1
        delta = BookDelta(
            symbol=SYMBOL,
            bids=((MIDDLE - 15, 40_000 + self._sequence),),
            asks=(),
            first_id=self._sequence,
            last_id=self._sequence,
            previous_id=None,
            **self._stamp(),
        )
        await self.session.on_event(delta)

    async def orders(self, count: int) -> None:
        for _ in range(count):
            await self.book()
            await self.session.sleep_ns(1_000_000)

    async def told(self, count: int) -> float:
        """Nanoseconds that the trader needs to tell a strategy of one book."""
        delta = BookDelta(
            symbol=SYMBOL, bids=(), asks=(), first_id=1, last_id=1, previous_id=None, **self._stamp()
        )
        trader = self.session.trader
        begin_ns = time.perf_counter_ns()
        for _ in range(count):
            await trader.on_market(delta)
        return (time.perf_counter_ns() - begin_ns) / count


def run(context: Context) -> Figures:
    """Times from the answer of a callback to the record of its order, handed over and durable."""
    with quiet_log():
        return uvloop.run(_measure(context))


def _profile() -> Profile:
    """The paper profile without the limits of pace: this is about time, not about limits."""
    profile = load_profile("paper")
    limits = msgspec.structs.replace(
        profile.limits,
        max_messages_per_s=1_000_000,
        max_same_order_repeat_count=1_000_000,
        max_open_orders_symbol_count=100,
        max_open_orders_account_count=100,
        max_market_age_ms=60_000,
        max_balance_age_ms=60_000,
    )
    return msgspec.structs.replace(profile, limits=limits)


async def _measure(context: Context) -> Figures:
    keys, now_ns = PaperKeys.derive("bench"), time.time_ns()
    genesis = GenesisConfig(now_ns, [Grant(*grant) for grant in keys.grants(now_ns + YEAR_NS)])
    node = await NodeService.start(context.folder("trader"), genesis=genesis, reserve_bytes=0)
    async with node:
        port = NodePort(node)
        outside = GeneratedMarket(symbol=SYMBOL, lot=Decimal("0.0001")).instrument()
        fees = load_schedule("binance-spot-vip0")
        setup = await set_up(port, keys, fees, [outside], {"USDT": Decimal(1_000_000)})
        venue = PaperVenue(port, setup, latency=LatencyConfig.off())
        strategy = _Quoting(
            Manifest(
                name="bench",
                version="1",
                symbols=(SYMBOL,),
                expected_holding_s=1,
                expected_edge_bps=Decimal(0),
                cost_model="none",
                max_loss_pct=Decimal(1),
                data=("book",),
                quotes=True,
            )
        )
        trader = TraderService(
            venue, port, _profile(), strategies=[Hosted(strategy=strategy)], environment="paper"
        )
        session = Session(venue, trader)
        await session.open()
        bench = _Bench(session, strategy)
        await bench.open()
        context.tell("orders of a strategy")
        await bench.orders(WARM_UP + RESTING)
        bench.handed.clear()
        bench.durable.clear()
        await bench.orders(context.effort.trader_orders)
        if len(bench.durable) < context.effort.trader_orders // 2 or trader.risk.denials:
            raise MeasureFailed(f"{len(bench.durable)} orders; denied: {dict(trader.risk.denials)}")
        strategy.silent = True
        context.tell("events")
        events = context.effort.trader_orders * EVENTS_PER_ORDER
        told_ns = await bench.told(events)
        resting = len(trader.oms.working())
        await trader.stop()
        return {
            "handed_p50_us": microseconds(percentile(bench.handed, 0.5)),
            "handed_p99_us": microseconds(percentile(bench.handed, 0.99)),
            "order_record_p50_us": microseconds(percentile(bench.durable, 0.5)),
            "order_record_p99_us": microseconds(percentile(bench.durable, 0.99)),
            "order_record_max_us": microseconds(max(bench.durable)),
            "orders": len(bench.durable),
            "resting_orders": resting,
            "event_told_us": microseconds(told_ns),
            "events": events,
        }
