"""venue-maintenance-mode: the venue goes into maintenance under a desk whose strategy trades.

The desk runs at a local venue over sockets and holds a position. Measured is the time until its strategy is
halted, its positions are stale and no order leaves, and what its ledger has that the venue has not, after a
mock venue has executed test orders.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from tradewind.gateways.model import Order
from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.desk_world import ACCOUNT, LOTS, PRICE_TICKS, DeskWorld, LocalVenue, wish
from tradewind.readiness.probes.drill import Facts, drill
from tradewind.readiness.record import MeasuredValue
from tradewind.trader.guarded_desk import GuardedDesk
from tradewind.trader.maintenance import MaintenanceGuard, Stage, WindowLimits
from tradewind.trader.mock_venue import MockVenue
from tradewind.trader.orders import State
from tradewind.trader.venue_desk import NotTrading
from tradewind.venues.kraken.connector import KrakenVenue
from tradewind.venues.kraken.trading import Trading
from tradewind.venues.market_data import Known, Side, Stale
from tradewind.venues.protocol import Acked, FillEvent, NewOrder, OrderType, SubmitResult, VenueState

SYMBOL: Final = "BTC/USD"
ROUNDS: Final = 3
PATIENCE_S: Final = 20.0
LOOK_EVERY_S: Final = 0.02
QUOTE_EVERY_S: Final = 0.05
NEVER_S: Final = 3_600.0
MAX_FILLS: Final = 1_000
TEST_ORDERS: Final = 5
FAR_TICKS: Final = 5_000
LIMITS: Final = WindowLimits(probe_every_s=0.5, apart_s=1.0, half_s=1.0)
"""Seconds instead of minutes; what is measured is the way in."""


class _Quoting:
    """A strategy: places an order below the market and takes it back, again and again."""

    name = "quoting"

    def __init__(self, desk: GuardedDesk) -> None:
        self._desk = desk
        self.halted = self.resting = False
        self.busy = False
        self.orders = self.refused = 0

    def halt(self, reason: str) -> None:
        self.halted = True

    def resume(self) -> None:
        self.halted = False

    async def run(self) -> None:
        while True:
            await asyncio.sleep(QUOTE_EVERY_S)
            if self.halted or self.resting:
                continue
            self.busy = True
            await self._quote()
            self.busy = False

    async def _quote(self) -> None:
        try:
            order = await self._desk.place(wish(PRICE_TICKS - FAR_TICKS))
        except NotTrading:
            self.refused += 1
            return
        self.orders += 1
        if order.state is State.WORKING:
            await self._desk.cancel(order.client_id, "quote")


async def _until(condition: Any, patience_s: float = PATIENCE_S) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience_s):
            while not condition():  # noqa: ASYNC110 several parties
                await asyncio.sleep(LOOK_EVERY_S)
    return bool(condition())


async def _refused(desk: GuardedDesk) -> str:
    """Why an order does not get to the venue; "" when it does."""
    try:
        order = await desk.place(wish(PRICE_TICKS - FAR_TICKS))
    except NotTrading as why:
        return str(why)
    return order.reason if order.state is State.REJECTED else ""


async def _traffic(guard: MaintenanceGuard) -> dict[str, int]:
    """Orders at the mock that meet its book."""
    if not await _until(lambda: guard.mock is not None and guard.mock.open):
        return {"taken": 0, "executed_lots": 0}
    taken = 0
    for number in range(TEST_ORDERS):
        side = Side.BUY if number % 2 else Side.SELL
        price = PRICE_TICKS * 105 // 100 if side is Side.BUY else PRICE_TICKS * 95 // 100
        taken += isinstance(await guard.test(wish(price, side=side)), Order)
    assert guard.mock is not None
    return {"taken": taken, "executed_lots": sum(one.lots for one in guard.mock.fills())}


async def _window(
    world: DeskWorld, local: LocalVenue, guard: MaintenanceGuard, strategy: _Quoting, *, quiet: bool
) -> dict[str, Any]:
    """One window. `quiet`: nothing is under way when it begins, so that nothing is in doubt in it."""
    desk = world.desk
    assert isinstance(desk, GuardedDesk)
    if not await _until(lambda: strategy.orders and guard.stage is Stage.OPEN and not desk.blocked):
        raise CannotMeasureError(f"the strategy does not trade: {desk.blocked or guard.reason}")
    if quiet:
        strategy.resting = True
        await _until(lambda: not strategy.busy)
    before_ok = isinstance(guard.position(SYMBOL), Known)
    begin_s = time.monotonic()
    local.exchange.set_mode(VenueState.MAINTENANCE)
    halted = await _until(lambda: strategy.halted and isinstance(guard.position(SYMBOL), Stale), 8.0)
    halted_s = time.monotonic() - begin_s if halted else NEVER_S
    there = len(local.orders())
    traffic = await _traffic(guard)
    why = await _refused(desk)
    shown = guard.position(SYMBOL)
    sent = len(local.orders()) - there
    local.exchange.set_mode(VenueState.ONLINE)
    back = await _until(lambda: not guard.closed and not strategy.halted)
    strategy.resting, resumed = False, strategy.orders
    return {
        "halted_s": halted_s if why and not sent else NEVER_S,
        "why": why,
        "sent": sent,
        "known_before": before_ok,
        "stale": isinstance(shown, Stale) and shown.last == desk.ledger.total("BTC"),
        "traffic": traffic,
        "again": back and await _until(lambda: strategy.orders > resumed),
    }


async def _measure(folder: Path, rounds: int, *, quiet: bool = False) -> Facts:
    local = await LocalVenue.open(folder / "exchange")
    try:
        async with DeskWorld(local.place(folder / "desk"), kind=GuardedDesk) as world:
            desk, venue = world.desk, world.venue
            assert isinstance(desk, GuardedDesk)
            strategy = _Quoting(desk)
            guard = MaintenanceGuard(
                desk,
                lambda: venue.socket.system,
                venue.refresh_instruments,
                mock_data=folder / "mock",
                strategies=[strategy],
                limits=LIMITS,
            )
            desk.guards.append(guard.refusal)
            await _until(lambda: not desk.blocked)
            await desk.place(wish())
            await local.take(LOTS)
            tasks = [asyncio.create_task(one) for one in (guard.run(), strategy.run())]
            try:
                rows = [await _window(world, local, guard, strategy, quiet=quiet) for _ in range(rounds)]
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            there = sum(one.lots for one in local.exchange.fills(ACCOUNT, limit=MAX_FILLS))
            here = sum(order.filled_lots for order in desk.oms._by_id.values())
            return {"windows": rows, "lots_here": here, "lots_there": there, "lots_of_an_order": LOTS}
    finally:
        await local.close()


def _observe(context: ProbeContext) -> Facts:
    return asyncio.run(_measure(context.scratch, ROUNDS))


def _routed_to_the_mock(context: ProbeContext) -> Facts:
    """While the venue is in maintenance, orders of the live desk go to the mock, and its fills come back."""
    honest, refusal = Trading.submit, MaintenanceGuard.refusal
    mocks: list[MockVenue] = []
    opened = MockVenue.__aenter__

    async def remembered(self: MockVenue) -> MockVenue:
        mocks.append(self)
        return await opened(self)

    async def submit(self: Trading, order: NewOrder, epoch: int) -> SubmitResult:
        if not (mocks and mocks[-1].open):
            return await honest(self, order, epoch)
        assert isinstance(self, KrakenVenue)
        assert order.order_type is OrderType.LIMIT
        await mocks[-1].place(wish(order.price_ticks, side=order.side))
        self.events.put(
            FillEvent(
                venue=self.name, account=self.account, trade_id=order.client_id,
                client_id=order.client_id, venue_id="mock", symbol=order.symbol, side=order.side,
                price_ticks=order.price_ticks, lots=order.lots, remaining_lots=0, fee=Decimal(0),
                fee_asset="USD", maker=False, sequence=0, venue_ts_ns=time.time_ns(),
            )
        )  # fmt: skip
        await asyncio.sleep(LOOK_EVERY_S)
        return Acked("mock")

    Trading.submit = submit  # type: ignore[method-assign]  # that is the mutation
    MaintenanceGuard.refusal = lambda self, request: ""  # type: ignore[method-assign]  # with this part
    MockVenue.__aenter__ = remembered  # type: ignore[method-assign]  # and this one
    try:
        return asyncio.run(_measure(context.scratch, 1, quiet=True))
    finally:
        Trading.submit = honest  # type: ignore[method-assign]  # and this is its end
        MaintenanceGuard.refusal = refusal  # type: ignore[method-assign]  # of this part too
        MockVenue.__aenter__ = opened  # type: ignore[method-assign]  # and of this one


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    windows = facts["windows"]
    # A desk that never trades again has not ended the window; a mock that executes nothing is none; and
    # whoever shows positions as stale, or as known, at all times shows nothing.
    slowest_s = max(
        row["halted_s"]
        if row["again"] and row["stale"] and row["known_before"] and row["traffic"]["executed_lots"]
        else NEVER_S
        for row in windows
    )
    extra = max(0, facts["lots_here"] - facts["lots_there"])
    fills = -(-extra // facts["lots_of_an_order"])
    return {
        "mock_fills_in_live_ledger": count(fills, sum(row["traffic"]["taken"] for row in windows)),
        "halt_on_maintenance_s": MeasuredValue(slowest_s, "s", len(windows)),
    }


maintenance = drill(
    "venue-maintenance-mode",
    observe=_observe,
    broken=_routed_to_the_mock,
    summarise=_summarise,
    provenance="emulated",
)
