"""What the tests of the desk at outside venues share: venues, waiting, and what equal books are."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tradewind.gateways.faults import Plan, Rule
from tradewind.readiness.probes.desk_venues import SITES
from tradewind.readiness.probes.desk_world import DeskWorld, LocalVenue
from tradewind.trader.venue_books import PENDING
from tradewind.trader.venue_desk import VenueDesk
from tradewind.venues.polymarket import wallet

DEADLINE_S = 30.0
VENUES = sorted(SITES)


async def until(condition: Callable[[], object], what: str = "", deadline_s: float = DEADLINE_S) -> None:
    try:
        async with asyncio.timeout(deadline_s):
            while not condition():  # noqa: ASYNC110 conditions of several parties, none of which tells us
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not in {deadline_s:g} s: {what}") from None


@contextlib.asynccontextmanager
async def venue_at(folder: Path, name: str = "kraken", *, hurried: bool = True) -> AsyncIterator[LocalVenue]:
    """A local venue in a folder of its own; skips when its wallets cannot sign here."""
    if name == "polymarket" and not wallet.available():
        pytest.skip(f"the packages of {wallet.EXTRA} are not installed")
    local = await LocalVenue.open(folder / "exchange", name, hurried=hurried)
    try:
        yield local
    finally:
        await local.close()


@contextlib.asynccontextmanager
async def desk_at(
    local: LocalVenue, folder: Path, *, poll_s: float = 60.0, kind: type[VenueDesk] = VenueDesk
) -> AsyncIterator[DeskWorld]:
    """A desk at a venue; a second one in the same folder is the first one's next life."""
    async with DeskWorld(local.place(folder / "desk"), poll_s=poll_s, kind=kind) as world:
        yield world


def misbehave(local: LocalVenue, *rules: Rule) -> None:
    """From now on this; without rules everything works."""
    local.exchange.faults.replace(Plan(rules=rules))


async def agree(world: DeskWorld, local: LocalVenue) -> None:
    """Nothing in doubt or on its way, nothing different, new orders pass, every order once, equal to the last
    unit.
    """
    desk = world.desk

    def at_rest() -> bool:
        pending = any(one.state in PENDING for one in desk.oms.working())
        return not (desk.in_doubt or desk.blocked or pending or desk.held_fills)

    def rests() -> bool:
        there = {one.client_id: (one.price_ticks, one.lots) for one in local.working()}
        return there == {one.client_id: (one.price_ticks, one.lots) for one in desk.oms.working()}

    try:
        await until(lambda: at_rest() and rests())
    except AssertionError:
        raise AssertionError(f"{desk.blocked}; {desk.oms.working()}; {local.working()}") from None
    assert await desk.reconcile() == []
    assert world.totals() == local.totals()
    known = {name: desk.oms.get(name) for name in {one.client_id for one in local.orders()}}
    assert len(local.orders()) == len(known), "no client id has two orders"
    for one in local.orders():
        mine = known[one.client_id]
        assert mine is not None, f"{one} is an orphan"
        assert mine.filled_lots == one.filled_lots, (mine, one)
