"""Executions at outside venues: out of order, twice, late, and not told at all (T7.8, T7.9, T9.5)."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from desk_bench import agree, desk_at, misbehave, until, venue_at
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.gateways.faults import Fault, Rule
from tradewind.readiness.probes.desk_world import DeskWorld, LocalVenue, wish
from tradewind.trader import venue_fills
from tradewind.trader.ledger import Ledger
from tradewind.trader.oms import Identity, Oms, OrderRequest
from tradewind.trader.orders import State
from tradewind.trader.venue_desk import Block, NotTrading, VenueDesk
from tradewind.trader.venue_fills import VenueFills
from tradewind.venues.market_data import Instrument, Side
from tradewind.venues.protocol import FillEvent, PrivateEvent

# ---- any order, any number of times ----------------------------------------------------------------------

SYMBOL, LOTS = "BTC/USD", 60


class Silent:
    """A journal that takes everything, and a venue that lists nothing."""

    name = "kraken"

    async def submit(self, commands: list[bytes], notes: list[Any]) -> object:
        await asyncio.sleep(0)
        return None

    async def fills(self, since: int) -> list[FillEvent]:
        return []


def books() -> tuple[VenueFills, Any]:
    """Books with one order of sixty lots."""
    instrument = Instrument(
        symbol=SYMBOL, venue="kraken", venue_symbol="BTC/USD", base="BTC", quote="USD",
        tick=Decimal("0.1"), lot=Decimal("0.0001"), price_decimals=1, quantity_decimals=4, source="venue",
    )  # fmt: skip
    identity = Identity(
        environment="sim", account="trader", venue="kraken", epoch=1, limits_hash="-", config_hash="-"
    )
    oms = Oms(identity, {SYMBOL: instrument}, Ledger())
    oms.ledger.deposit("USD", Decimal(100_000))
    silent: Any = Silent()
    clock = iter(range(1, 1 << 40))
    found = VenueFills(silent, silent, oms, clock_ns=lambda: next(clock))
    request = OrderRequest(
        strategy="s", path="p", symbol=SYMBOL, side=Side.BUY, price_ticks=600_000, lots=LOTS, decision_ns=1
    )
    order, _ = oms.create(request, Decimal("0.001"))
    order.move(State.SENT, at_ns=2)
    order.settle(at_ns=3)
    return found, order


def executions(parts: list[int], client_id: str) -> list[FillEvent]:
    """Of an order that is filled in these parts."""
    told, rest = [], LOTS
    for number, lots in enumerate(parts):
        rest -= lots
        told.append(
            FillEvent(
                venue="kraken", account="trader", symbol=SYMBOL, trade_id=f"T{number}", client_id=client_id,
                venue_id="O", side=Side.BUY, price_ticks=600_000 - number, lots=lots, remaining_lots=rest,
                fee=Decimal("0.01"), fee_asset="USD", maker=True, sequence=number, venue_ts_ns=10 + number,
            )
        )  # fmt: skip
    return told


@st.composite
def series(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Sizes that add up to the order, and the places in which they come, some of them twice."""
    cuts = draw(st.lists(st.integers(1, LOTS - 1), max_size=6, unique=True))
    edges = [0, *sorted(cuts), LOTS]
    parts = [after - before for before, after in itertools.pairwise(edges)]
    places = draw(st.permutations(list(range(len(parts)))))
    again = draw(st.lists(st.sampled_from(places), max_size=3))
    return parts, draw(st.permutations([*places, *again]))


@settings(max_examples=60, deadline=None)
@given(series())
def test_executions_in_any_order_and_number_make_the_same_books(drawn: tuple[list[int], list[int]]) -> None:
    parts, places = drawn

    async def told(order_of: list[int]) -> tuple[Any, list[int], State]:
        found, order = books()
        fills = executions(parts, order.client_id)
        seen = []
        for place in order_of:
            await found._filled(fills[place])
            seen.append(order.filled_lots)
        assert not found._held
        assert found.stats.duplicate_fills == len(order_of) - len(parts)
        state = found.ledger.state()
        for task in list(found._tasks):
            task.cancel()
        await asyncio.gather(*found._tasks, return_exceptions=True)
        return (state.lines, state.reservations, state.positions), seen, order.state

    plain, _, _ = asyncio.run(told(list(range(len(parts)))))
    mixed, seen, state = asyncio.run(told(places))
    assert mixed == plain
    assert seen == sorted(seen), "what is filled never falls"
    assert state is State.FILLED


async def test_executions_that_never_come_hold_the_later_ones_up_for_a_while_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(venue_fills, "MISSING_FILLS_S", 0.05)
    found, order = books()
    first, second, third = executions([20, 20, 20], order.client_id)
    await found._filled(first)
    await found._filled(third)
    assert (order.filled_lots, order.state, found.held_fills) == (20, State.PARTIALLY_FILLED, 1)
    await until(lambda: not found.held_fills)
    await until(lambda: order.filled_lots == 40)
    assert order.state is State.PARTIALLY_FILLED, "an order with a hole is not filled"
    assert found.ledger.reservations, "and keeps what the hole needs"
    await found._filled(second)
    assert order.state is State.FILLED
    assert not found.ledger.reservations


# ---- over the wire ---------------------------------------------------------------------------------------


class Watched(VenueDesk):
    """Remembers why it was blocked, and may swallow or hold what it hears."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.reasons: list[str] = []
        self.swallow: set[int] = set()
        self.fills_heard = 0
        super().__init__(*arguments, **options)
        self.distrust_s = 0.5

    def _block(self, reason: str, kind: Block) -> None:
        self.reasons.append(reason)
        super()._block(reason, kind)

    async def _on_private(self, event: PrivateEvent) -> None:
        if isinstance(event, FillEvent):
            self.fills_heard += 1
            if self.fills_heard in self.swallow:
                return
        await super()._on_private(event)


@contextlib.asynccontextmanager
async def watched(local: LocalVenue, folder: Path, poll_s: float) -> AsyncIterator[tuple[DeskWorld, Watched]]:
    async with desk_at(local, folder, poll_s=poll_s, kind=Watched) as world:
        assert isinstance(world.desk, Watched)
        yield world, world.desk


async def test_an_execution_that_the_stream_lost_is_fetched_when_a_later_one_shows_the_hole(
    each_local: LocalVenue, tmp_path: Path
) -> None:
    site = type(each_local.site)
    async with watched(each_local, tmp_path, 3_600) as (world, desk):
        order = await desk.place(wish(site.price_ticks - 10, site=site))
        desk.swallow = {1}
        await each_local.take(site.lots // 2, site.price_ticks - 10)
        await until(lambda: desk.fills_heard == 1)
        await each_local.take(site.lots // 2, site.price_ticks - 10)
        await until(lambda: order.state is State.FILLED)
        await agree(world, each_local)
        assert desk.stats.missed_fills + desk.stats.held_fills > 0


@pytest.mark.slow
async def test_losing_only_the_stream_of_executions_trips_within_the_poll_and_heals(
    each_local: LocalVenue, tmp_path: Path
) -> None:
    """Orders go on to be placed and acknowledged; what they are filled is not told."""
    site, local = type(each_local.site), each_local
    async with watched(local, tmp_path, 4.0) as (world, desk):
        misbehave(
            local, *(Rule(surface="stream", name=one, action=Fault.DROP_FRAME) for one in site.channels)
        )
        order = await desk.place(wish(site.price_ticks - 10, site=site))
        assert order.state is State.WORKING
        resumed = desk.stats.reconciliations
        await local.take(site.lots, site.price_ticks - 10)
        await until(lambda: any("did not tell" in one or "total" in one for one in desk.reasons), "it trips")
        await until(lambda: order.state is State.FILLED, "the execution is fetched")
        await until(lambda: desk.stats.reconciliations > resumed, "it reconciles")
        assert world.totals() == local.totals()
        misbehave(local)
        await agree(world, local)
        again = await desk.place(wish(site.price_ticks - 500, site=site))
        assert again.state is State.WORKING


async def test_balances_of_the_stream_show_executions_that_it_does_not_tell_long_before_the_poll(
    local: LocalVenue, tmp_path: Path
) -> None:
    price, lots = local.site.price_ticks - 10, local.site.lots
    async with watched(local, tmp_path, 3_600) as (world, desk):
        misbehave(local, Rule(surface="stream", name="executions", action=Fault.DROP_FRAME))
        order = await desk.place(wish(price))
        await local.take(lots, price)
        await until(lambda: any(one.startswith("total") for one in desk.reasons), "balances tell")
        await until(lambda: order.state is State.FILLED)
        misbehave(local)
        await agree(world, local)


async def test_an_order_that_the_stream_shows_filled_without_executions_has_them_fetched(
    tmp_path: Path,
) -> None:
    """At Polymarket, where orders and executions travel in channels of their own."""
    async with venue_at(tmp_path, "polymarket") as local, watched(local, tmp_path, 3_600) as (world, desk):
        site = type(local.site)
        misbehave(local, Rule(surface="stream", name="trade", action=Fault.DROP_FRAME))
        order = await desk.place(wish(site.price_ticks - 10, site=site))
        await local.take(site.lots // 2, site.price_ticks - 10)
        await until(lambda: order.filled_lots == site.lots // 2)
        misbehave(local)
        await agree(world, local)


async def test_behind_a_loss_nothing_new_passes_before_the_stream_is_trusted_again(
    local: LocalVenue, tmp_path: Path
) -> None:
    price, lots = local.site.price_ticks - 10, local.site.lots
    async with watched(local, tmp_path, 3_600) as (world, desk):
        desk.distrust_s = 3_600
        order = await desk.place(wish(price))
        desk.swallow = {1}
        await local.take(lots // 2, price)
        await until(lambda: order.filled_lots == lots // 2, "the balances show it, and it is fetched")
        await until(lambda: desk.stats.missed_fills == 1)
        assert await desk.reconcile() == []
        with pytest.raises(NotTrading, match=r"did not tell|total"):
            await desk.place(wish(price - 500))
        desk.distrust_until_s = 0.0
        desk._look_again.set()
        await agree(world, local)
