"""Orders at an outside venue over its wire: what is journaled, doubted, reconciled and recovered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from venue_world import LOTS, MIDDLE, DeskWorld, LocalVenue, wish

from tradewind.gateways.faults import Fault, Plan, Rule
from tradewind.trader.orders import State
from tradewind.trader.venue_desk import NotTrading, OpeningRefused
from tradewind.venues.market_data import Side

DEADLINE_S = 20.0


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 conditions of several parties, none of which tells us
            await asyncio.sleep(0.01)


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[LocalVenue]:
    venue = await LocalVenue.open(tmp_path / "exchange")
    yield venue
    await venue.close()


def world_of(local: LocalVenue, tmp_path: Path) -> DeskWorld:
    return DeskWorld(tmp_path / "desk", local.gateway.url, local.gateway.socket_url, local.key, local.secret)


@pytest.fixture
async def world(local: LocalVenue, tmp_path: Path) -> AsyncIterator[DeskWorld]:
    async with world_of(local, tmp_path) as one:
        assert one.desk.blocked == ""
        yield one


def equal(world: DeskWorld, local: LocalVenue) -> bool:
    totals = {asset: amount for asset, amount in local.totals().items() if amount}
    ours = {asset: world.desk.ledger.total(asset) for asset in world.desk.ledger.assets()}
    return totals == {asset: amount for asset, amount in ours.items() if amount}


async def test_an_order_rests_is_filled_in_parts_and_the_ledger_follows(
    world: DeskWorld, local: LocalVenue
) -> None:
    order = await world.desk.place(wish(Side.BUY, MIDDLE - 10))
    assert order.state is State.WORKING
    await local.trade("taker", Side.SELL, MIDDLE - 10, 40, ioc=True)
    await until(lambda: order.state is State.PARTIALLY_FILLED)
    await local.trade("taker", Side.SELL, MIDDLE - 10, 60, ioc=True)
    await until(lambda: order.state is State.FILLED)
    assert await world.desk.reconcile() == []
    assert equal(world, local)
    assert not world.desk.ledger.reservations


async def test_a_cancel_is_done_when_the_venue_shows_it(world: DeskWorld, local: LocalVenue) -> None:
    order = await world.desk.place(wish(Side.BUY, MIDDLE - 500))
    await world.desk.cancel(order.client_id, "not wanted")
    await until(lambda: order.state is State.CANCELLED)
    assert not local.exchange.orders("trader", working=True)
    assert not world.desk.ledger.reservations


async def test_an_amended_order_holds_what_it_needs_now(world: DeskWorld, local: LocalVenue) -> None:
    order = await world.desk.place(wish(Side.BUY, MIDDLE - 500))
    before = world.desk.ledger.reservations[order.client_id][1]
    await world.desk.amend(order.client_id, price_ticks=MIDDLE - 600, lots=LOTS // 2)
    await until(lambda: order.state is State.WORKING)
    assert (order.price_ticks, order.lots) == (MIDDLE - 600, LOTS // 2)
    assert world.desk.ledger.reservations[order.client_id][1] < before
    assert await world.desk.reconcile() == []


async def test_cancel_all_ends_when_the_venue_shows_nothing(world: DeskWorld, local: LocalVenue) -> None:
    for step in range(3):
        await world.desk.place(wish(Side.BUY, MIDDLE - 500 - step))
    assert await world.desk.cancel_all("drill") == []
    assert not local.exchange.orders("trader", working=True)
    await until(lambda: not world.desk.oms.working())
    assert world.desk.blocked == ""


@pytest.mark.parametrize("resend", [True, False], ids=["reducing orders", "other orders"])
@pytest.mark.parametrize(
    "rule",
    [
        Rule(surface="ws-api", name="add_order", times=1, action=Fault.DROP_REPLY, delay_ms=30_000),
        Rule(surface="ws-api", name="add_order", times=1, action=Fault.RESET, when="after"),
        Rule(surface="ws-api", name="add_order", times=1, action=Fault.RESET, when="before"),
        Rule(surface="ws-api", name="add_order", times=1, action=Fault.MALFORMED),
    ],
    ids=["silence", "cut after", "cut before", "nonsense"],
)
async def test_an_order_in_doubt_becomes_one_order_or_none(
    world: DeskWorld, local: LocalVenue, rule: Rule, resend: bool
) -> None:
    local.exchange.faults.replace(Plan(rules=(rule,)))
    request = wish(Side.BUY, MIDDLE - 500, reducing=resend)
    order = await world.desk.place(request)
    await until(lambda: order.state in {State.WORKING, State.ABANDONED})
    at_venue = [one for one in local.orders() if one.client_id == order.client_id]
    assert len(at_venue) == (order.state is State.WORKING)
    if resend:
        assert len(at_venue) == 1, "a reducing order is sent again under its own id"
    await until(lambda: world.desk.blocked == "")
    assert await world.desk.reconcile() == []


async def test_an_order_that_the_venue_acknowledged_and_forgot_is_shown_and_never_assumed_cancelled(
    world: DeskWorld, local: LocalVenue
) -> None:
    forget = Rule(surface="ws-api", name="add_order", times=1, action=Fault.LOSE_ORDER)
    local.exchange.faults.replace(Plan(rules=(forget,)))
    order = await world.desk.place(wish(Side.BUY, MIDDLE - 500))
    assert order.state is State.WORKING and not local.orders()
    differences = await world.desk.reconcile()
    assert [one.what for one in differences] == [f"order {order.client_id}"]
    assert order.state is State.WORKING
    assert world.desk.ledger.reservations, "its worst case still counts"
    with pytest.raises(NotTrading):
        await world.desk.place(wish(Side.BUY, MIDDLE - 500))


async def test_nothing_new_passes_while_the_private_stream_is_away(
    world: DeskWorld, local: LocalVenue
) -> None:
    order = await world.desk.place(wish(Side.BUY, MIDDLE - 10))
    cut = Rule(surface="stream", name="executions", action=Fault.CLOSE, times=1)
    local.exchange.faults.replace(Plan(rules=(cut,)))
    await local.trade("taker", Side.SELL, MIDDLE - 10, 30, ioc=True)
    await until(lambda: world.venue.facts().reconnects > 0)
    with pytest.raises(NotTrading):
        for _ in range(1_000):
            await world.desk.place(wish(Side.BUY, MIDDLE - 700))
            if world.desk.blocked == "":
                break
        raise NotTrading("it was back before we asked")
    await until(lambda: world.desk.blocked == "")
    assert order.filled_lots == 30, "the execution that was cut off was asked for"
    assert equal(world, local)


async def test_an_order_that_is_not_ours_stops_new_orders_until_it_is_gone(
    world: DeskWorld, local: LocalVenue
) -> None:
    foreign = await local.trade("trader", Side.BUY, MIDDLE - 900, LOTS)
    await until(lambda: "ForeignActivity" in world.desk.blocked)
    with pytest.raises(NotTrading, match="ForeignActivity"):
        await world.desk.place(wish(Side.BUY, MIDDLE - 500))
    assert len(local.exchange.orders("trader", working=True)) == 1, "it is shown, never touched"
    await local.exchange.cancel("trader", foreign.order_id)
    assert await world.desk.reconcile() == []
    await world.desk.place(wish(Side.BUY, MIDDLE - 500))


async def test_a_restart_finds_orders_and_executions_that_happened_meanwhile(
    local: LocalVenue, tmp_path: Path
) -> None:
    async with world_of(local, tmp_path) as world:
        resting = await world.desk.place(wish(Side.BUY, MIDDLE - 10))
        gone = await world.desk.place(wish(Side.BUY, MIDDLE - 20))
        kept = await world.desk.place(wish(Side.BUY, MIDDLE - 30))
        await local.trade("taker", Side.SELL, MIDDLE - 10, 25, ioc=True)
        await until(lambda: resting.filled_lots == 25)
    await local.trade("taker", Side.SELL, MIDDLE - 10, 75, ioc=True)
    working = {one.client_id: one.order_id for one in local.exchange.orders("trader", working=True)}
    await local.exchange.cancel("trader", working[gone.client_id])
    async with world_of(local, tmp_path) as again:
        await until(lambda: again.desk.blocked == "")
        found = {one.client_id: again.desk.oms.get(one.client_id) for one in (resting, gone, kept)}
        states = {name: one.state for name, one in found.items() if one is not None}
        assert states == {
            resting.client_id: State.FILLED,
            gone.client_id: State.CANCELLED,
            kept.client_id: State.WORKING,
        }
        assert equal(again, local)
        assert await again.desk.reconcile() == []


async def test_a_first_start_says_soon_that_a_silent_venue_does_not_tell_balances(
    local: LocalVenue, tmp_path: Path
) -> None:
    silent = Rule(surface="rest", name="*BalanceEx*", action=Fault.DROP_REPLY, delay_ms=30_000)
    local.exchange.faults.replace(Plan(rules=(silent,)))
    world = world_of(local, tmp_path)
    with pytest.raises(OpeningRefused, match="no answer within"):
        await world.__aenter__()
    await world.stack.aclose()
    assert not local.orders()
