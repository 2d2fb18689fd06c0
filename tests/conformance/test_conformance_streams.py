"""The private stream and market data: complete, in order, idempotent, equal to the lists."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal

import pytest

from tradewind.venues.market_data import BookDelta, BookSnapshot, Side, TradePrint
from tradewind.venues.protocol import (
    FINAL_PHASES,
    Acked,
    BalanceEvent,
    FillEvent,
    Incomplete,
    OrderEvent,
    OrderPhase,
    StreamState,
    TimeInForce,
)

from .bench import Act, Bench, Fault


class Folded:
    """An account as its private stream tells it. Fails on anything that a consumer could not bear."""

    def __init__(self, bench: Bench) -> None:
        self.phases: dict[str, OrderPhase] = {}
        self.filled: dict[str, int] = {}
        self.fills: dict[tuple[str, str, str, str, int], FillEvent] = {}
        last = -1
        for event in bench.events:
            if isinstance(event, OrderEvent):
                assert event.sequence >= last, "order events never fall back"
                last = event.sequence
                state = event.state
                before = self.phases.get(state.client_id)
                assert before not in FINAL_PHASES or before is state.phase, "an order ends once"
                assert state.filled_lots >= self.filled.get(state.client_id, 0) or state.filled_lots == 0
                self.phases[state.client_id] = state.phase
                self.filled[state.client_id] = max(state.filled_lots, self.filled.get(state.client_id, 0))
            elif isinstance(event, FillEvent):
                assert event.sequence >= last, "fills never fall back"
                last = event.sequence
                assert event.key not in self.fills, f"fill {event.key} came twice"
                self.fills[event.key] = event
                if event.remaining_lots == 0:
                    self.phases[event.client_id] = OrderPhase.FILLED

    def lots(self, client_id: str) -> int:
        return sum(one.lots for one in self.fills.values() if one.client_id == client_id)


async def settled(bench: Bench) -> Folded:
    """Wait until the stream has told everything that the venue knows."""

    async def complete() -> bool:
        folded = Folded(bench)
        orders, fills = await bench.true_orders(), await bench.true_fills()
        return len(folded.fills) == len(fills) and all(
            folded.phases.get(one.client_id) is one.phase
            or (one.phase is OrderPhase.PARTIALLY_FILLED and folded.lots(one.client_id) == one.filled_lots)
            for one in orders
        )

    try:
        await bench.until_true(complete, "the stream tells all")
    except AssertionError as error:
        lines = "\n".join(map(repr, [*bench.events, "truth", *await bench.true_orders()]))
        raise AssertionError(f"{error}\n{lines}") from error
    return Folded(bench)


async def test_the_stream_starts_with_its_state_and_is_live(bench: Bench) -> None:
    await bench.until(lambda: bool(bench.events), "the stream says how it is")
    states = [one for one in bench.events if isinstance(one, StreamState)]
    assert states[-1].live, states


async def test_what_happens_to_an_order_comes_in_order_and_once(bench: Bench) -> None:
    order = await bench.place(Side.BUY, bench.middle_ticks, 3 * bench.usual_lots)
    await bench.take(Side.SELL, bench.middle_ticks, bench.usual_lots)
    await bench.run(bench.venue.cancel(bench.reference(order.client_id), 1))
    folded = await settled(bench)
    assert folded.phases == {order.client_id: OrderPhase.CANCELLED}
    assert folded.lots(order.client_id) == bench.usual_lots
    phases = [one.state.phase for one in bench.events if isinstance(one, OrderEvent)]
    assert phases[0] is OrderPhase.WORKING
    assert phases[-1] is OrderPhase.CANCELLED


async def test_partial_fills_add_up_to_the_order_and_to_the_list_of_fills(bench: Bench) -> None:
    lots = bench.usual_lots
    order = await bench.place(Side.BUY, bench.middle_ticks, 3 * lots)
    for expected in (lots, 2 * lots):
        await bench.take(Side.SELL, bench.middle_ticks, lots)
        truth = await bench.true_order(order.client_id)
        assert truth is not None
        assert (truth.phase, truth.filled_lots) == (OrderPhase.PARTIALLY_FILLED, expected)
    await bench.take(Side.SELL, bench.middle_ticks, lots)
    folded = await settled(bench)
    assert folded.phases[order.client_id] is OrderPhase.FILLED
    ours = [one for one in folded.fills.values() if one.client_id == order.client_id]
    assert [one.remaining_lots for one in ours] == [2 * lots, lots, 0]
    assert sum(one.lots for one in ours) == order.lots
    listed = await bench.run(bench.venue.fills(0))
    assert not isinstance(listed, Incomplete), listed
    assert {one.key: (one.lots, one.price_ticks, one.fee, one.maker, one.client_id) for one in listed} == {
        one.key: (one.lots, one.price_ticks, one.fee, one.maker, one.client_id) for one in ours
    }


async def test_fees_follow_the_stated_schedule_and_are_never_rounded_away(bench: Bench) -> None:
    await bench.place(Side.BUY, bench.middle_ticks)
    await bench.take(Side.SELL, bench.middle_ticks, bench.usual_lots)
    price = bench.middle_ticks + 60
    await bench.quote([], [(price, bench.usual_lots)])
    taker = bench.order(Side.BUY, price, time_in_force=TimeInForce.IOC)
    assert isinstance(await bench.run(bench.venue.submit(taker, 1)), Acked)
    folded = await settled(bench)
    schedule = (await bench.run(bench.venue.fees(bench.account, bench.symbol))).value  # type: ignore[union-attr]
    rules = bench.instrument
    assert {one.maker for one in folded.fills.values()} == {True, False}
    for fill in folded.fills.values():
        notional = rules.tick * fill.price_ticks * rules.lot * fill.lots
        rate = schedule.maker_rate if fill.maker else schedule.taker_rate
        assert abs(fill.fee - notional * rate) <= Decimal("0.0001"), fill
        assert fill.fee > 0


async def test_two_readers_hear_the_same(bench: Bench) -> None:
    second: list[object] = []
    reader = bench.venue.private(bench.account)

    async def read() -> None:
        async for event in reader:
            second.append(event)

    import asyncio

    task = asyncio.create_task(read())
    await bench.step()
    start = len(bench.events)
    order = await bench.place(Side.BUY, bench.middle_ticks)
    await bench.run(bench.venue.cancel(bench.reference(order.client_id), 1))
    await settled(bench)
    await bench.until(lambda: len(second) > len(bench.events) - start, "the second reader follows")
    task.cancel()
    assert isinstance(second[0], StreamState)
    assert second[1:] == bench.events[start:]


async def test_balance_events_end_where_the_venue_is(bench: Bench) -> None:
    price = bench.middle_ticks + 60
    await bench.quote([], [(price, bench.usual_lots)])
    order = bench.order(Side.BUY, price, time_in_force=TimeInForce.IOC)
    await bench.run(bench.venue.submit(order, 1))
    await settled(bench)
    if not any(isinstance(one, BalanceEvent) for one in bench.events):
        pytest.skip("the venue's stream has no balances")

    async def equal() -> bool:
        latest = {one.asset: one for one in bench.events if isinstance(one, BalanceEvent)}
        truth = await bench.true_totals()
        return all(one.free + one.held == truth[asset] for asset, one in latest.items())

    await bench.until_true(equal, "the balances of the stream are the venue's")


@pytest.mark.parametrize("seed", range(3))
async def test_any_run_of_orders_leaves_stream_lists_and_venue_equal(bench: Bench, seed: int) -> None:
    rolls, lots = random.Random(seed), bench.usual_lots
    await bench.hold(4 * lots)
    await bench.quote([], [])
    placed: list[str] = []
    for _ in range(12):
        kind = rolls.choice(["place", "place", "take", "cancel", "amend"])
        price = bench.middle_ticks - rolls.randrange(1, 20)
        if kind == "place" or not placed:
            placed.append((await bench.place(Side.BUY, price, rolls.randrange(1, 4) * lots)).client_id)
        elif kind == "take":
            await bench.take(Side.SELL, price, lots)
        elif kind == "cancel":
            await bench.run(bench.venue.cancel(bench.reference(rolls.choice(placed)), 1))
        elif bench.venue.capabilities().amend:
            await bench.run(
                bench.venue.amend(bench.reference(rolls.choice(placed)), 1, lots=rolls.randrange(1, 6) * lots)
            )
    folded = await settled(bench)
    listed = await bench.run(bench.venue.open_orders(None))
    assert not isinstance(listed, Incomplete), listed
    truth = await bench.true_orders()
    assert {one.client_id: one.filled_lots for one in listed} == {
        one.client_id: one.filled_lots for one in truth if one.phase not in FINAL_PHASES
    }
    assert all(folded.lots(one.client_id) == one.filled_lots for one in truth)


@pytest.mark.parametrize("fault", [Fault.DUPLICATE, Fault.REORDER])
async def test_repeated_and_reordered_events_change_nothing(bench: Bench, fault: Fault) -> None:
    if fault not in bench.faults:
        pytest.skip(f"this venue has no wire that could do {fault}")
    await bench.inject(fault, Act.PLACE)
    lots = bench.usual_lots
    order = await bench.place(Side.BUY, bench.middle_ticks, 3 * lots)
    await bench.take(Side.SELL, bench.middle_ticks, lots)
    await bench.take(Side.SELL, bench.middle_ticks, lots)
    await bench.heal()
    await bench.run(bench.venue.cancel(bench.reference(order.client_id), 1))
    folded = await settled(bench)
    assert folded.lots(order.client_id) == 2 * lots
    assert folded.phases[order.client_id] is OrderPhase.CANCELLED


# ---- market data -------------------------------------------------------------------------------------------


def book_of(bench: Bench) -> dict[Side, dict[int, int]]:
    sides: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}
    for event in bench.market_events:
        if isinstance(event, BookSnapshot):
            sides = {Side.BUY: dict(event.bids), Side.SELL: dict(event.asks)}
        elif isinstance(event, BookDelta):
            for side, price, lots in event.changes():
                if lots:
                    sides[side][price] = lots
                else:
                    sides[side].pop(price, None)
    return sides


async def test_market_data_shows_the_outside_book_and_every_print(bench: Bench) -> None:
    lots, middle = bench.usual_lots, bench.middle_ticks
    await bench.quote([(middle - 60, lots), (middle - 61, 2 * lots)], [(middle + 60, 3 * lots)])

    def shown() -> bool:
        book = book_of(bench)
        near = {price: size for price, size in book[Side.BUY].items() if price >= middle - 100}
        far = {price: size for price, size in book[Side.SELL].items() if price <= middle + 100}
        return (near, far) == ({middle - 60: lots, middle - 61: 2 * lots}, {middle + 60: 3 * lots})

    await bench.until(shown, "the book is shown")
    await bench.place(Side.BUY, middle)
    await bench.take(Side.SELL, middle, lots)

    def printed() -> bool:
        prints = [one for one in bench.market_events if isinstance(one, TradePrint)]
        return [(one.price_ticks, one.quantity_lots, one.aggressor_side) for one in prints][-1:] == [
            (middle, lots, Side.SELL)
        ]

    await bench.until(printed, "the print is shown")


async def test_the_stream_of_another_account_says_so_and_ends(bench: Bench) -> None:
    if bench.venue.name == "paper":
        pytest.skip("the paper venue has one account, whatever a caller names it")
    async with asyncio.timeout(10):
        events = [event async for event in bench.venue.private("somebody")]
    assert [(event.live, event.reason) for event in events if isinstance(event, StreamState)] == [
        (False, "another account")
    ]
    assert len(events) == 1
