"""T7.12 at every venue: each fault on each request leaves one venue order per intent, or a record of its end,
and a ledger that is the venue's to the last unit.

A series of requests in one life of a desk: an order that may be sent again and one that may not, a cancel, an
amend, each of them under the same fault. Where a venue cannot amend, that is refused before anything is sent.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from desk_bench import VENUES, agree, desk_at, misbehave, until, venue_at

from tradewind.gateways.faults import Fault, Rule
from tradewind.readiness.probes.desk_venues import Site
from tradewind.readiness.probes.desk_world import DeskWorld, LocalVenue, wish
from tradewind.trader.orders import ManagedOrder, State
from tradewind.trader.venue_desk import CannotAmend, NotTrading

WIRE: dict[str, dict[str, Any]] = {
    "timeout": {"action": Fault.DROP_REPLY, "delay_ms": 30_000},
    "5xx after": {"action": Fault.STATUS, "status": 503, "when": "after"},
    "5xx before": {"action": Fault.STATUS, "status": 503, "when": "before"},
    "429": {"action": Fault.STATUS, "status": 429},
    "418": {"action": Fault.RATE_BAN, "seconds": 1},
    "reset after": {"action": Fault.RESET, "when": "after"},
    "reset before": {"action": Fault.RESET, "when": "before"},
    "slow": {"action": Fault.DELAY, "delay_ms": 1_500},
    "nonsense": {"action": Fault.MALFORMED},
}
STREAM = {"duplicate ack": Fault.DUPLICATE, "out of order": Fault.REORDER}
PARTIAL, RACE = "partial fill", "race with a fill"
FAULTS = [*WIRE, *STREAM, PARTIAL, RACE]
REFUSABLE = {"429", "418", "slow"}
"""A venue that is asked too often, or hears of an order too late, may refuse it: then that is its end."""
NEVER_THERE = {State.REJECTED, State.ABANDONED}


def rules_of(site: type[Site], fault: str, act: str) -> list[Rule]:
    if fault in STREAM:
        return [Rule(surface="stream", name=one, action=STREAM[fault]) for one in ("reply", *site.channels)]
    if fault not in WIRE:
        return []
    surface, name = site.requests[act]
    options = WIRE[fault]
    if fault == "429" and surface == "ws-api":
        options = {"action": Fault.RATE_BAN}  # a socket has no status
    return [Rule(surface=surface, name=name, times=1, **options)]


class Series:
    """One desk, one fault."""

    def __init__(self, world: DeskWorld, local: LocalVenue, fault: str) -> None:
        self.world, self.local, self.fault = world, local, fault
        self.desk, self.site = world.desk, type(local.site)
        self.struck = 0

    async def under_fault(self, act: str, work: Any, order: ManagedOrder | None, price: int) -> Any:
        """The request, and somebody else's trade beside it when that is the fault."""
        before = len(self.local.exchange.faults.log)
        misbehave(self.local, *rules_of(self.site, self.fault, act))
        task = asyncio.ensure_future(work)
        if self.fault in {PARTIAL, RACE}:
            lots = self.site.lots * 2 // 5 if self.fault == PARTIAL else self.site.lots
            if order is None:
                await until(lambda: task.done() or self.local.working())
            await self.local.take(lots, price)
        done = await task
        if self.fault in STREAM:
            await asyncio.sleep(0.05)  # its frames
        misbehave(self.local)
        self.struck += len(self.local.exchange.faults.log) > before or self.fault in {PARTIAL, RACE}
        return done

    async def clean(self, price: int) -> ManagedOrder:
        """An order that rests. Behind a ban the venue refuses for a while."""
        found: list[ManagedOrder] = []

        async def accepted() -> bool:
            try:
                found.append(await self.desk.place(wish(price, site=self.site)))
            except NotTrading:
                return False
            return found[-1].state not in NEVER_THERE

        async with asyncio.timeout(90):
            while not await accepted():  # noqa: ASYNC110 it asks
                await asyncio.sleep(0.25)
        return found[-1]

    async def place(self, *, resend: bool, price: int) -> None:
        await until(lambda: self.desk.blocked == "")
        request = wish(price, site=self.site, resend=resend)
        order = await self.under_fault("place", self.desk.place(request), None, price)
        await agree(self.world, self.local)
        there = [one for one in self.local.orders() if one.client_id == order.client_id]
        assert len(there) == (order.state not in NEVER_THERE)
        if self.fault not in REFUSABLE and (resend or self.fault not in {"5xx before", "reset before"}):
            assert len(there) == 1, order
        if self.fault == RACE:
            assert order.state is State.FILLED

    async def cancel(self, price: int) -> None:
        order = await self.clean(price)
        await self.under_fault("cancel", self.desk.cancel(order.client_id, "drill"), order, price)
        await agree(self.world, self.local)
        if self.fault not in REFUSABLE | {"418"}:
            await until(lambda: order.is_terminal, f"the cancel is done: {order}")
            assert order.client_id not in {one.client_id for one in self.local.working()}

    async def amend(self, price: int) -> None:
        order = await self.clean(price)
        changed = self.desk.amend(order.client_id, price_ticks=price - 7, lots=self.site.lots)
        if not self.world.venue.capabilities().amend:
            with pytest.raises(CannotAmend):
                await changed
            self.struck += 1
            return
        try:
            await self.under_fault("amend", changed, order, price)
        except NotTrading:
            assert self.fault in {PARTIAL, RACE}, "it was filled before the amend was made"
        await agree(self.world, self.local)
        if not order.is_terminal:
            assert order.price_ticks in {price, price - 7}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("venue", VENUES)
async def test_a_fault_on_any_request_leaves_one_order_or_its_end_and_equal_books(
    tmp_path: Path, venue: str, fault: str
) -> None:
    async with venue_at(tmp_path, venue) as local, desk_at(local, tmp_path, poll_s=2.0) as world:
        series = Series(world, local, fault)
        price = series.site.price_ticks
        await series.place(resend=True, price=price - 10)
        await series.place(resend=False, price=price - 9)
        await series.cancel(price - 8)
        await series.amend(price - 7)
        assert series.struck == 4, "every request met it"
        misbehave(local)
        await agree(world, local)
