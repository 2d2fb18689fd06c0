"""venue-reconcile-after-reconnect: the venue goes away, things happen there, and it comes back.

The trader's desk runs at a local venue over sockets. While the venue is away orders are filled, filled in
part and cancelled there. In the moment in which the desk lets new orders pass again, its orders, executions
and balances are compared with the exchange itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.desk_world import ACCOUNT, LOTS, PRICE_TICKS, DeskWorld, LocalVenue, wish
from tradewind.readiness.probes.drill import Facts, drill
from tradewind.readiness.record import MeasuredValue
from tradewind.trader.venue_desk import VenueDesk
from tradewind.venues.kraken.connector import KrakenVenue
from tradewind.venues.protocol import OrderEvent, OrderPhase

ROUNDS: Final = 6
MUTANT_ROUNDS: Final = 1
PATIENCE_S: Final = 60.0
LOOK_EVERY_S: Final = 0.01
MAX_FILLS: Final = 10_000
PART: Final = 30
NEVER_BACK: Final = 1_000


class WatchedDesk(VenueDesk):
    """Tells in which moment new orders pass again."""

    resumed: Callable[[], None] | None = None
    _why = ""

    @property
    def blocked(self) -> str:
        """See `VenueDesk.blocked`."""
        return self._why

    @blocked.setter
    def blocked(self, reason: str) -> None:
        before, self._why = self._why, reason
        if before and not reason and self.resumed is not None:
            self.resumed()


async def until(condition: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> None:
    """Raises CannotMeasureError when it does not become true in time."""
    deadline_s = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise CannotMeasureError(f"after {patience_s:g} s not yet: {what}")
        await asyncio.sleep(LOOK_EVERY_S)


def compared(world: DeskWorld, local: LocalVenue) -> list[str]:
    """Every difference between the desk and the exchange itself."""
    found = []
    working = {one.client_id for one in local.working()}
    for one in local.orders():
        mine = world.desk.oms.get(one.client_id)
        if mine is None:
            found.append(f"{one.client_id}: unknown here")
            continue
        if mine.filled_lots != one.filled_lots:
            found.append(f"{one.client_id}: {mine.filled_lots} lots here, {one.filled_lots} there")
        ended = "filled" if one.filled_lots == one.lots else "cancelled"
        if one.client_id in working:
            ended = "partially_filled" if one.filled_lots else "working"
        if str(mine.state) != ended:
            found.append(f"{one.client_id}: {mine.state} here, {ended} there")
    if world.totals() != local.totals():
        found.append(f"balances: {world.totals()} here, {local.totals()} there")
    return found


async def _round(world: DeskWorld, local: LocalVenue, number: int) -> dict[str, Any]:
    desk = world.desk
    price = PRICE_TICKS - 10 * number
    filled = await desk.place(wish(price))
    part = await desk.place(wish(price - 1))
    gone = await desk.place(wish(price - 2))
    kept = await desk.place(wish(price - 10_000))
    seen: list[list[str]] = []

    def resumed() -> None:
        seen.append(compared(world, local))

    desk.resumed = resumed  # type: ignore[attr-defined]  # it is a watched one
    await local.down()
    await local.take(LOTS, price)
    await local.take(PART, price - 1)
    there = {one.client_id: one.order_id for one in local.working()}
    await local.exchange.cancel(ACCOUNT, there[gone.client_id])
    await until(lambda: not world.venue.socket.link.live, "the link says that it is away")
    await local.up()
    try:
        await until(lambda: desk.blocked == "", "orders pass again")
    except CannotMeasureError:
        seen = []
    fills = local.exchange.fills(ACCOUNT, limit=MAX_FILLS)
    booked = sum(order.filled_lots for order in desk.oms._by_id.values())
    row = {
        "resumed": len(seen),
        "differences": seen,
        "lots_there": sum(one.lots for one in fills),
        "lots_here": booked,
        "states": [str(one.state) for one in (filled, part, gone, kept)],
        "blocked": desk.blocked,
    }
    desk.resumed = None  # type: ignore[attr-defined]  # see above
    if not desk.blocked:
        await desk.cancel_all("the round is over")
        await until(lambda: not desk.oms.working() and not desk.blocked, "nothing rests")
    return row


async def _measure(folder: Path, rounds: int) -> list[dict[str, Any]]:
    local = await LocalVenue.open(folder / "exchange")
    try:
        async with DeskWorld(local.place(folder / "desk"), kind=WatchedDesk) as world:
            await until(lambda: world.desk.blocked == "", "the desk starts")
            rows = []
            for number in range(rounds):
                rows.append(await _round(world, local, number))
                if rows[-1]["blocked"]:
                    break
            return rows
    finally:
        await local.close()


def _observe(context: ProbeContext, rounds: int = ROUNDS) -> Facts:
    return {"planned": rounds, "rounds": asyncio.run(_measure(context.scratch, rounds))}


def _missing_is_cancelled(context: ProbeContext) -> Facts:
    """An order that the venue does not list as open counts as cancelled, whatever its trades say."""
    honest = KrakenVenue._catch_up

    async def assume(self: KrakenVenue) -> str:
        for venue_id in self.mirror.missing(self.socket.snapshot_of.open_ids):
            state = self.mirror.working[venue_id]
            from_now = time.time_ns()
            ended = type(state)(
                client_id=state.client_id, venue_id=venue_id, symbol=state.symbol, side=state.side,
                phase=OrderPhase.CANCELLED, price_ticks=state.price_ticks, lots=state.lots,
                filled_lots=state.filled_lots, updated_ns=from_now,
            )  # fmt: skip
            self.mirror.apply(ended)
            self.events.put(OrderEvent(state=ended, sequence=0, venue_ts_ns=from_now))
        await asyncio.sleep(LOOK_EVERY_S)
        return await honest(self)

    KrakenVenue._catch_up = assume  # type: ignore[method-assign]  # that is the mutation
    try:
        return _observe(context, MUTANT_ROUNDS)
    finally:
        KrakenVenue._catch_up = honest  # type: ignore[method-assign]  # and this is its end


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    rounds = facts["rounds"]
    resumes = [moment for row in rounds for moment in row["differences"]]
    # A round that never resumed has compared nothing: that is no evidence of zero differences.
    silent = facts["planned"] - sum(row["resumed"] > 0 for row in rounds)
    different = sum(len(moment) for moment in resumes)
    return {
        "unresolved_differences_at_resume": count(different + silent * NEVER_BACK, len(resumes)),
        "lost_fills": count(
            sum(abs(row["lots_there"] - row["lots_here"]) for row in rounds), max(1, len(rounds))
        ),
    }


reconciling = drill(
    "venue-reconcile-after-reconnect",
    observe=_observe,
    broken=_missing_is_cancelled,
    summarise=_summarise,
    provenance="emulated",
)
