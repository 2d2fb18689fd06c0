"""venue-maintenance-mode: the venue goes into maintenance under a desk that trades.

The desk runs at a local venue over sockets. Measured is the time until it takes no new order, and what its
ledger has that the venue has not. A mock venue beside a live account is not built, so this stays red.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.desk_world import ACCOUNT, LOTS, PRICE_TICKS, DeskWorld, LocalVenue, wish
from tradewind.readiness.probes.drill import Facts, drill
from tradewind.readiness.record import MeasuredValue
from tradewind.trader.orders import State
from tradewind.trader.venue_desk import NotTrading
from tradewind.venues.kraken.connector import KrakenVenue
from tradewind.venues.kraken.trading import Trading
from tradewind.venues.protocol import Acked, FillEvent, NewOrder, SubmitResult, VenueState

ROUNDS: Final = 5
PATIENCE_S: Final = 8.0
LOOK_EVERY_S: Final = 0.02
NEVER_S: Final = 3_600.0
MAX_FILLS: Final = 1_000


async def _refused(world: DeskWorld) -> str:
    """Why an order does not get to the venue; "" when it does."""
    try:
        order = await world.desk.place(wish(PRICE_TICKS - 5_000))
    except NotTrading as why:
        return str(why)
    return order.reason if order.state is State.REJECTED else ""


async def _window(world: DeskWorld, local: LocalVenue) -> dict[str, Any]:
    begin_s = time.monotonic()
    local.exchange.set_mode(VenueState.MAINTENANCE)
    halted_s = NEVER_S
    while time.monotonic() - begin_s < PATIENCE_S:
        # asked of the connector's own view, so that no order is sent to find it out
        if world.venue._state_refusal("BTC/USD", None) is not None:
            halted_s = time.monotonic() - begin_s
            break
        await asyncio.sleep(LOOK_EVERY_S)
    before = len(local.orders())
    why = await _refused(world)
    sent = len(local.orders()) - before
    local.exchange.set_mode(VenueState.ONLINE)
    deadline_s = time.monotonic() + PATIENCE_S
    while world.venue._state_refusal("BTC/USD", None) is not None and time.monotonic() < deadline_s:  # noqa: ASYNC110 the venue tells
        await asyncio.sleep(LOOK_EVERY_S)
    again = await _refused(world)
    return {"halted_s": halted_s if why and not sent else NEVER_S, "why": why, "sent": sent, "again": again}


async def _measure(folder: Path, rounds: int) -> Facts:
    local = await LocalVenue.open(folder / "exchange")
    try:
        async with DeskWorld(local.place(folder / "desk")) as world:
            rows = [await _window(world, local) for _ in range(rounds)]
            there = sum(one.lots for one in local.exchange.fills(ACCOUNT, limit=MAX_FILLS))
            here = sum(order.filled_lots for order in world.desk.oms._by_id.values())
            return {"windows": rows, "lots_here": here, "lots_there": there, "lots_of_an_order": LOTS}
    finally:
        await local.close()


def _observe(context: ProbeContext, rounds: int = ROUNDS) -> Facts:
    return asyncio.run(_measure(context.scratch, rounds))


def _routed_to_the_mock(context: ProbeContext) -> Facts:
    """While the venue is in maintenance, orders of the live desk are filled by a mock."""
    honest = Trading.submit

    async def submit(self: Trading, order: NewOrder, epoch: int) -> SubmitResult:
        if self._state_refusal(order.symbol, order) is None:
            return await honest(self, order, epoch)
        assert isinstance(self, KrakenVenue)
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
    try:
        return _observe(context, 1)
    finally:
        Trading.submit = honest  # type: ignore[method-assign]  # and this is its end


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    windows = facts["windows"]
    # A desk that never trades again has not ended the window.
    slowest_s = max(NEVER_S if row["again"] else row["halted_s"] for row in windows)
    invented = abs(facts["lots_here"] - facts["lots_there"])
    return {
        "mock_fills_in_live_ledger": count(-(-invented // facts["lots_of_an_order"]), len(windows)),
        "halt_on_maintenance_s": MeasuredValue(slowest_s, "s", len(windows)),
    }


maintenance = drill(
    "venue-maintenance-mode",
    observe=_observe,
    broken=_routed_to_the_mock,
    summarise=_summarise,
    provenance="emulated",
    not_run=(
        "a mock venue that takes test traffic while the live account waits: it is not built",
        "positions shown as stale and strategies halted by the desk: it refuses orders one by one",
    ),
)
