"""Orders at outside venues over their wires: followed, cancelled, reconciled, recovered."""

from __future__ import annotations

from pathlib import Path

import pytest
from desk_bench import agree, desk_at, misbehave, until

from tradewind.gateways.faults import Fault, Rule
from tradewind.readiness.probes.desk_venues import ACCOUNT
from tradewind.readiness.probes.desk_world import DeskWorld, LocalVenue, wish
from tradewind.trader.orders import State
from tradewind.trader.venue_desk import CannotAmend, NotTrading, OpeningRefused
from tradewind.venues.market_data import Side


async def test_an_order_rests_is_filled_in_parts_and_the_ledger_follows(
    each_world: DeskWorld, each_local: LocalVenue
) -> None:
    site, desk = type(each_local.site), each_world.desk
    price = site.price_ticks - 10
    order = await desk.place(wish(price, site=site))
    await until(lambda: order.state is State.WORKING)
    part = site.lots * 2 // 5
    await each_local.take(part, price)
    await until(lambda: order.state is State.PARTIALLY_FILLED)
    await each_local.take(site.lots - part, price)
    await until(lambda: order.state is State.FILLED)
    back = await desk.place(wish(price, side=Side.SELL, site=site, lots=site.lots // 2))
    await each_local.take(site.lots // 2, price, Side.BUY)
    await until(lambda: back.state is State.FILLED)
    await agree(each_world, each_local)
    assert not desk.ledger.reservations


async def test_a_cancel_is_done_when_the_venue_shows_it(
    each_world: DeskWorld, each_local: LocalVenue
) -> None:
    site = type(each_local.site)
    order = await each_world.desk.place(wish(site.price_ticks - 500, site=site))
    await each_world.desk.cancel(order.client_id, "not wanted")
    await until(lambda: order.state is State.CANCELLED)
    assert not each_local.working()
    assert not each_world.desk.ledger.reservations


async def test_an_amended_order_holds_what_it_needs_now_and_is_refused_where_venues_cannot(
    each_world: DeskWorld, each_local: LocalVenue
) -> None:
    site, desk = type(each_local.site), each_world.desk
    order = await desk.place(wish(site.price_ticks - 500, site=site))
    before = desk.ledger.reservations[order.client_id][1]
    price, lots = site.price_ticks - 600, site.lots // 2
    if not each_world.venue.capabilities().amend:
        records = desk.stats.reconciliations
        with pytest.raises(CannotAmend):
            await desk.amend(order.client_id, price_ticks=price, lots=lots)
        assert (order.state, order.pending_lots, desk.stats.reconciliations) == (State.WORKING, None, records)
    else:
        await desk.amend(order.client_id, price_ticks=price, lots=lots)
        await until(lambda: order.state is State.WORKING)
        assert (order.price_ticks, order.lots) == (price, lots)
        assert desk.ledger.reservations[order.client_id][1] < before
    await agree(each_world, each_local)


async def test_cancel_all_ends_when_the_venue_shows_nothing(
    each_world: DeskWorld, each_local: LocalVenue
) -> None:
    site, desk = type(each_local.site), each_world.desk
    for step in range(3):
        await desk.place(wish(site.price_ticks - 500 - step, site=site))
    assert await desk.cancel_all("drill") == []
    assert not each_local.working()
    await until(lambda: not desk.oms.working())
    assert desk.blocked == ""


async def test_an_order_that_the_venue_acknowledged_and_forgot_is_shown_and_never_assumed_cancelled(
    each_world: DeskWorld, each_local: LocalVenue
) -> None:
    site, desk = type(each_local.site), each_world.desk
    surface, name = site.requests["place"]
    misbehave(each_local, Rule(surface=surface, name=name, times=1, action=Fault.LOSE_ORDER))
    order = await desk.place(wish(site.price_ticks - 500, site=site))
    await until(lambda: order.state is State.WORKING)
    assert not each_local.orders()
    differences = await desk.reconcile()
    assert [one.what for one in differences] == [f"order {order.client_id}"]
    assert order.state is State.WORKING
    assert desk.ledger.reservations, "its worst case still counts"
    with pytest.raises(NotTrading):
        await desk.place(wish(site.price_ticks - 500, site=site))


async def test_nothing_new_passes_while_the_private_stream_is_away(
    world: DeskWorld, local: LocalVenue
) -> None:
    price = local.site.price_ticks
    order = await world.desk.place(wish(price - 10))
    misbehave(local, Rule(surface="stream", name="executions", action=Fault.CLOSE, times=1))
    drops = world.desk._drops
    await local.take(30, price - 10)
    await until(lambda: world.desk._drops > drops)
    if world.desk.blocked:
        with pytest.raises(NotTrading):
            await world.desk.place(wish(price - 700))
    await agree(world, local)
    assert order.filled_lots == 30, "the execution that was cut off was asked for"


async def test_an_order_that_is_not_ours_stops_new_orders_until_it_is_gone(
    each_world: DeskWorld, each_local: LocalVenue
) -> None:
    site, desk = type(each_local.site), each_world.desk
    foreign = await each_local.rest(ACCOUNT, Side.BUY, site.price_ticks - 900, site.lots)
    await desk.reconcile()
    with pytest.raises(NotTrading):
        await desk.place(wish(site.price_ticks - 500, site=site))
    assert len(each_local.working()) == 1, "it is shown, never touched"
    await each_local.site.end(foreign)
    await until(lambda: desk.blocked == "")
    await desk.place(wish(site.price_ticks - 500, site=site))


async def test_a_restart_finds_orders_and_executions_that_happened_meanwhile(
    each_local: LocalVenue, tmp_path: Path
) -> None:
    local, site = each_local, type(each_local.site)
    price, part = site.price_ticks - 10, site.lots // 4
    async with desk_at(local, tmp_path) as world:
        resting = await world.desk.place(wish(price, site=site))
        gone = await world.desk.place(wish(price - 10, site=site))
        kept = await world.desk.place(wish(price - 20, site=site))
        await local.take(part, price)
        await until(lambda: resting.filled_lots == part)
    await local.take(site.lots - part, price)
    there = {one.client_id: one.order_id for one in local.working()}
    await local.site.end(there[gone.client_id])
    async with desk_at(local, tmp_path) as again:
        await agree(again, local)
        found = {one.client_id: again.desk.oms.get(one.client_id) for one in (resting, gone, kept)}
        assert {name: one.state for name, one in found.items() if one is not None} == {
            resting.client_id: State.FILLED,
            gone.client_id: State.CANCELLED,
            kept.client_id: State.WORKING,
        }


async def test_a_first_start_says_soon_that_a_silent_venue_does_not_tell_balances(
    local: LocalVenue, tmp_path: Path
) -> None:
    misbehave(local, Rule(surface="rest", name="*BalanceEx*", action=Fault.DROP_REPLY, delay_ms=30_000))
    with pytest.raises(OpeningRefused, match="no answer within"):
        async with desk_at(local, tmp_path):
            pass
    assert not local.orders()
