"""What a venue, a connector or bad timing must not do to a desk: make it send, deafen it, lose a doubt."""

from __future__ import annotations

import asyncio
import re
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from desk_bench import agree, desk_at, misbehave, until

from tradewind.core.commands import deposit
from tradewind.core.native import derive_account_id
from tradewind.gateways.faults import Fault, Rule
from tradewind.readiness.probes.desk_world import DeskWorld, LocalVenue, wish
from tradewind.trader.oms import OrderRequest
from tradewind.trader.orders import ManagedOrder, State
from tradewind.trader.records import Intent, decode
from tradewind.trader.venue_desk import Block, NotTrading
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import FillEvent, FundsEvent, OrderRef, StreamState


def fill_of(world: DeskWorld, order: ManagedOrder, **other: Any) -> FillEvent:
    """An execution as the connector would tell it."""
    fields: dict[str, Any] = {
        "venue": world.venue.name, "account": "trader", "symbol": "BTC/USD", "trade_id": f"T{time.time_ns()}",
        "client_id": order.client_id, "venue_id": order.venue_id or "X",
        "side": Side.BUY, "price_ticks": 599_990, "lots": 100, "remaining_lots": 0, "fee": Decimal(0),
        "fee_asset": "USD", "maker": True, "sequence": time.time_ns(), "venue_ts_ns": time.time_ns(),
    }  # fmt: skip
    return FillEvent(**(fields | other))


class Waiting:
    """A method that waits until it is let go."""

    def __init__(self, honest: Any) -> None:
        self.honest, self.entered, self.go = honest, asyncio.Event(), asyncio.Event()

    async def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.entered.set()
        await self.go.wait()
        return await self.honest(*arguments, **options)


# ---- sending while something stands against it -----------------------------------------------------------


@pytest.mark.parametrize("act", ["place", "amend"])
@pytest.mark.parametrize("why", ["stream", "doubt"])
async def test_what_began_to_stand_against_an_order_while_fees_were_asked_for_stops_it_before_the_journal(
    world: DeskWorld, local: LocalVenue, act: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, price = world.desk, local.site.price_ticks
    resting = await desk.place(wish(price - 500))
    journaled: list[str] = []
    honest = desk.port.submit

    async def submit(commands: list[bytes], notes: list[Any]) -> object:
        journaled.extend(type(decode(one[2])).__name__ for one in notes)
        return await honest(commands, notes)

    monkeypatch.setattr(desk.port, "submit", submit)
    waiting = Waiting(world.venue.fees)
    monkeypatch.setattr(world.venue, "fees", waiting)
    task = asyncio.create_task(
        desk.place(wish(price - 600))
        if act == "place"
        else desk.amend(resting.client_id, price_ticks=price - 400, lots=local.site.lots)
    )
    await waiting.entered.wait()
    if why == "stream":
        desk._stream_lost("cut")
    else:
        desk._doubting["another"] = local.site.symbol
    waiting.go.set()
    with pytest.raises(NotTrading):
        await task
    assert not {"Intent", "AmendRequest", "Sent"} & set(journaled)
    assert len(local.orders()) == 1
    assert resting.state is State.WORKING


async def test_a_stream_that_drops_while_the_intent_is_written_leaves_its_end_in_the_journal_and_nothing_sent(
    world: DeskWorld, local: LocalVenue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = world.desk
    honest = desk.port.submit

    async def submit(commands: list[bytes], notes: list[Any]) -> object:
        done = await honest(commands, notes)
        if isinstance(decode(notes[0][2]), Intent):
            desk._stream_lost("cut")
        return done

    monkeypatch.setattr(desk.port, "submit", submit)
    with pytest.raises(NotTrading, match="cut"):
        await desk.place(wish(local.site.price_ticks - 500))
    [order] = desk.oms.finished
    assert order.state is State.ABANDONED
    assert not desk.ledger.reservations
    assert not local.orders()


# ---- executions that the books cannot take ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"side": Side.SELL, "client_id": "not-ours"}, "Overfill"),
        ({"symbol": "DOGE/USD", "client_id": "not-ours"}, "ForeignActivity.*DOGE/USD"),
        ({"client_id": "not-ours"}, "ForeignActivity"),
        ({"lots": 10_000_000_000, "client_id": "not-ours"}, "LedgerBreak"),
        ({"lots": 200, "remaining_lots": 0}, "Overfill"),
    ],
    ids=[
        "sold what is not there",
        "unknown symbol",
        "unknown order",
        "more than the funds",
        "more than the order",
    ],
)
async def test_an_execution_that_cannot_be_booked_halts_the_account_and_the_stream_is_heard_further(
    local: LocalVenue, tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    price, lots = local.site.price_ticks - 10, local.site.lots
    async with desk_at(local, tmp_path) as world:
        desk = world.desk
        order = await desk.place(wish(price))
        event = fill_of(world, order, **change)
        for _ in range(2):
            world.venue.events.put(event)  # told twice: set aside once
        await until(lambda: desk.halt, "the account is halted")
        before = desk.ledger.state()
        with pytest.raises(NotTrading, match=reason):
            await desk.place(wish(price - 500))
        await desk.reconcile()
        assert desk.ledger.state() == before, "a halted account is not booked again and again"
        assert desk.halt and desk.blocked == desk.halt
        ours = event.client_id == order.client_id
        assert [one.key for one in desk.oms.suspense] == ([] if ours else [event.key])
        if not ours:
            await local.take(lots, price)
            await until(lambda: order.state is State.FILLED, "the stream is still heard")
    async with desk_at(local, tmp_path) as again:  # the next life reads the same journal
        assert re.search(reason, again.desk.halt)
        assert again.desk.stream_live
        with pytest.raises(NotTrading, match=reason):
            await again.desk.place(wish(price - 500))


async def test_an_execution_of_an_order_that_was_proven_absent_halts_the_account(
    world: DeskWorld, local: LocalVenue
) -> None:
    surface, name = local.site.requests["place"]
    misbehave(local, Rule(surface=surface, name=name, times=1, action=Fault.RATE_BAN))
    order = await world.desk.place(wish(local.site.price_ticks - 10))
    assert order.state is State.REJECTED
    world.venue.events.put(fill_of(world, order, lots=10, remaining_lots=90))
    await until(lambda: world.desk.halt)
    assert order.client_id in world.desk.halt


# ---- the private stream ends -----------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["ends", "raises", "overflows"])
async def test_a_private_stream_that_ends_blocks_and_is_begun_again(
    world: DeskWorld, local: LocalVenue, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, price = world.desk, local.site.price_ticks - 10
    order = await desk.place(wish(price))
    streams, drops = desk.stats.streams, desk._drops
    [reader] = world.venue.events._readers
    if end == "ends":
        reader.close()
    elif end == "overflows":
        reader._waiting.clear()
        reader.limit = 0
        world.venue.events.put(StreamState(live=True, reason="", since_ns=0))
    else:

        async def broken() -> Any:
            raise RuntimeError("a defect of the connector")

        monkeypatch.setattr(reader, "__anext__", broken, raising=False)
        monkeypatch.setattr(type(reader), "__anext__", lambda self: broken())
        reader.put(StreamState(live=True, reason="", since_ns=0))
    await until(lambda: desk._drops > drops, "it is noticed")
    assert not desk.stream_live
    with pytest.raises(NotTrading, match="private stream"):
        await desk.place(wish(price - 500))
    await local.take(40, price)
    monkeypatch.undo()
    await until(lambda: desk.stats.streams > streams, "a new stream is begun")
    await agree(world, local)
    assert order.filled_lots == 40


async def test_an_event_that_cannot_be_taken_halts_and_the_stream_is_heard_further(
    world: DeskWorld, local: LocalVenue, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, price = world.desk, local.site.price_ticks - 10
    order = await desk.place(wish(price))
    with monkeypatch.context() as patch:

        def broken(event: object) -> None:
            raise RuntimeError("a defect of the desk")

        patch.setattr(desk, "_knows", broken)
        world.venue.events.put(fill_of(world, order, lots=1, remaining_lots=99))
        await until(lambda: desk.halt)
    assert "FillEvent" in desk.blocked
    await local.take(local.site.lots, price)
    await until(lambda: order.state is State.FILLED, "the stream is still heard")


def reasons_of(world: DeskWorld, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Everything that ever blocks it from now on."""
    reasons: list[str] = []
    honest = world.desk._block

    def block(reason: str, kind: Block) -> None:
        reasons.append(reason)
        honest(reason, kind)

    monkeypatch.setattr(world.desk, "_block", block)
    return reasons


# ---- doubts ----------------------------------------------------------------------------------------------


async def test_two_doubts_of_one_order_at_once_are_one_doubt(
    world: DeskWorld, local: LocalVenue, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, reasons = world.desk, reasons_of(world, monkeypatch)
    surface, name = local.site.requests["place"]
    misbehave(local, Rule(surface=surface, name=name, times=1, action=Fault.DROP_REPLY, delay_ms=30_000))
    waiting = asyncio.create_task(desk.place(wish(local.site.price_ticks - 500)))
    await until(desk.oms.working)
    [order] = desk.oms.working()
    for _ in range(3):
        desk._doubt(order, order.updated_ns)  # no task has started yet
    await waiting
    await until(lambda: order.state is State.WORKING)
    await agree(world, local)
    assert not [one for one in reasons if "failed" in one or "cannot be asked" in one]
    assert desk.stats.resolved == 1


async def test_a_doubt_beyond_the_bound_blocks_and_is_asked_for_later(
    world: DeskWorld, local: LocalVenue, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, reasons = world.desk, reasons_of(world, monkeypatch)
    honest, refusals = desk.resolver.resolve, []

    async def resolve(doubt: Any) -> Any:
        if not refusals:
            refusals.append(doubt.client_id)
            raise ValueError("too many")
        return await honest(doubt)

    monkeypatch.setattr(desk.resolver, "resolve", resolve)
    surface, name = local.site.requests["place"]
    misbehave(local, Rule(surface=surface, name=name, times=1, action=Fault.RESET, when="before"))
    order = await desk.place(wish(local.site.price_ticks - 500))
    await until(lambda: any("cannot be asked" in one for one in reasons), "it says so")
    await until(lambda: order.state is State.ABANDONED, "it is asked for again")
    assert not [one for one in reasons if "failed" in one]
    assert refusals == [order.client_id]
    await agree(world, local)


# ---- cancels of what is in doubt -------------------------------------------------------------------------


async def in_doubt(world: DeskWorld, request: OrderRequest) -> ManagedOrder:
    order = await world.desk.place(request)
    assert order.state is State.UNKNOWN, order
    return order


async def test_a_cancel_of_an_order_in_doubt_ends_it_under_its_own_id(
    each_world: DeskWorld, each_local: LocalVenue, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, site = each_world.desk, type(each_local.site)
    surface, name = site.requests["place"]
    rule = Rule(surface=surface, name=name, times=1, action=Fault.DROP_REPLY, delay_ms=30_000)
    misbehave(each_local, rule)
    monkeypatch.setattr(desk, "_on_private", lambda event: asyncio.sleep(0))  # the stream does not help
    order = await in_doubt(each_world, wish(site.price_ticks - 500, site=site))
    assert len(each_local.working()) == 1, "it is there, and we do not know it"
    await desk.cancel(order.client_id, "not wanted")
    assert not each_local.working()
    await until(lambda: order.state is State.CANCELLED, str(order.state))
    assert not desk.ledger.reservations


@pytest.mark.parametrize("resend", [True, False], ids=["reducing", "other"])
async def test_an_order_that_was_cancelled_in_doubt_and_never_arrived_is_not_sent_again(
    each_world: DeskWorld, each_local: LocalVenue, resend: bool
) -> None:
    desk, site = each_world.desk, type(each_local.site)
    surface, name = site.requests["place"]
    misbehave(each_local, Rule(surface=surface, name=name, times=1, action=Fault.RESET, when="before"))
    order = await in_doubt(each_world, wish(site.price_ticks - 500, site=site, resend=resend))
    await desk.cancel(order.client_id, "not wanted")
    await until(lambda: order.state is State.ABANDONED, str(order.state))
    assert not each_local.orders()
    await agree(each_world, each_local)


async def test_a_cancel_all_waits_for_orders_in_doubt_and_ends_what_arrives_late(
    each_world: DeskWorld, each_local: LocalVenue, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, site = each_world.desk, type(each_local.site)
    surface, name = site.requests["place"]
    resting = await desk.place(wish(site.price_ticks - 600, site=site))
    misbehave(each_local, Rule(surface=surface, name=name, times=1, action=Fault.DROP_REPLY, delay_ms=30_000))
    monkeypatch.setattr(desk, "_on_private", lambda event: asyncio.sleep(0))  # the stream does not help
    order = await in_doubt(each_world, wish(site.price_ticks - 500, site=site, resend=True))
    monkeypatch.undo()
    assert await desk.cancel_all("drill") == []
    assert not each_local.working()
    assert not desk.in_doubt
    assert order.is_terminal
    await until(lambda: resting.is_terminal)
    await agree(each_world, each_local)


async def test_a_cancel_all_names_orders_that_are_still_in_doubt_when_its_time_is_over(
    world: DeskWorld, local: LocalVenue, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, site = world.desk, type(local.site)
    surface, name = site.requests["place"]
    monkeypatch.setattr("tradewind.trader.venue_desk.CANCEL_ALL_S", -1.0)
    misbehave(
        local,
        Rule(surface=surface, name=name, times=1, action=Fault.RESET, when="before"),
        Rule(surface="rest", name="*ClosedOrders*", action=Fault.STATUS, status=503),
    )
    order = await in_doubt(world, wish(site.price_ticks - 500, site=site))
    assert await desk.cancel_all("drill") == [order.client_id]
    misbehave(local)
    await until(lambda: order.is_terminal, str(order.state), deadline_s=60)


async def test_an_order_that_was_cancelled_in_doubt_is_ended_by_the_next_life_of_the_desk(
    each_local: LocalVenue, tmp_path: Path
) -> None:
    site = type(each_local.site)
    surface, name = site.requests["place"]
    async with desk_at(each_local, tmp_path) as world:
        cancel = site.requests["cancel"]
        misbehave(
            each_local,
            Rule(surface=surface, name=name, times=1, action=Fault.DROP_REPLY, delay_ms=30_000),
            Rule(surface=cancel[0], name=cancel[1], action=Fault.STATUS, status=503),
        )
        world.desk._on_private = lambda event: asyncio.sleep(0)  # type: ignore[method-assign, assignment]
        order = await in_doubt(world, wish(site.price_ticks - 500, site=site))
        await world.desk.cancel(order.client_id, "not wanted")
        assert len(each_local.working()) == 1, "the cancel had no effect"
    misbehave(each_local)
    async with desk_at(each_local, tmp_path) as again:
        await until(lambda: not each_local.working(), "it is cancelled now")
        await until(lambda: not again.desk.oms.working())
        await agree(again, each_local)


async def test_a_cancel_that_no_answer_came_to_is_made_again_by_the_next_comparison(
    each_local: LocalVenue, tmp_path: Path
) -> None:
    site = type(each_local.site)
    async with desk_at(each_local, tmp_path) as world:
        order = await world.desk.place(wish(site.price_ticks - 500, site=site))
        surface, name = site.requests["cancel"]
        misbehave(each_local, Rule(surface=surface, name=name, times=1, action=Fault.RESET, when="before"))
        await world.desk.cancel(order.client_id, "not wanted")
        await until(lambda: order.state is State.CANCELLED, str(order.state))
        assert not each_local.working()
        await agree(world, each_local)


async def test_an_order_that_has_ended_here_and_works_there_is_shown_and_cancelled(
    world: DeskWorld, local: LocalVenue
) -> None:
    desk = world.desk
    order = await desk.place(wish(local.site.price_ticks - 500))
    order.state = State.ABANDONED  # as if absence had been proven wrongly
    desk.oms._finish(order)
    differences = await desk.reconcile()
    assert [one.what for one in differences][:1] == [f"order {order.client_id}"] or not local.working()
    await until(lambda: not local.working(), "it is ended")
    await until(lambda: desk.blocked == "", desk.blocked)
    assert desk.oms.reference(order) == OrderRef(
        client_id=order.client_id, symbol=local.site.symbol, venue_id=order.venue_id
    )
    assert msgspec.structs.asdict(order)["filled_lots"] == 0


# ---- money that moves without us (T7.10) ------------------------------------------------------------------


@pytest.mark.parametrize("way", ["in", "out"])
async def test_money_that_moved_without_us_stops_new_orders_and_no_cancel(
    world: DeskWorld, local: LocalVenue, way: str
) -> None:
    desk, price = world.desk, local.site.price_ticks
    resting = await desk.place(wish(price - 500))
    if way == "in":
        await deposited(local, 7_000_000)
    else:
        told = FundsEvent(
            asset="USD", amount=Decimal(-7), reference="W1", sequence=1, venue_ts_ns=time.time_ns()
        )
        world.venue.events.put(told)
    await until(lambda: desk.block_kind is Block.FOREIGN or desk.block_kind is Block.DIFFERENCE)
    with pytest.raises(NotTrading):
        await desk.place(wish(price - 400))
    await desk.cancel(resting.client_id, "money moved")
    await until(lambda: not local.working())


async def deposited(local: LocalVenue, micro: int) -> None:
    """Somebody pays into our account at the venue."""
    exchange = local.exchange
    [result] = await exchange.node.submit(
        deposit(
            principal=exchange.parties.key("system"),
            account=derive_account_id(exchange.parties.key("trader")),
            asset=exchange.listed.assets["USD"],
            amount=micro,
            external_id=b"d" * 32,
        )
    )
    assert result.code == 0, result
