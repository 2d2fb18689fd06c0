"""Orders: every type and time in force, refusals, amends, cancels, queries, lists, epochs, the timer."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

import msgspec
import pytest

from tradewind.venues.codes import RejectCode
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import (
    FINAL_PHASES,
    Acked,
    AlreadyFinal,
    Armed,
    CancelledAll,
    Disarmed,
    Found,
    Incomplete,
    NotFound,
    OrderPhase,
    OrderState,
    OrderType,
    Rejected,
    TimeInForce,
    Unsupported,
)

from .bench import Bench, TrueOrder

DONE_WITHOUT_FILL = {OrderPhase.CANCELLED, OrderPhase.EXPIRED, OrderPhase.REJECTED}


async def state_of(bench: Bench, client_id: str) -> OrderState:
    answer = await bench.run(bench.venue.query(bench.reference(client_id)))
    assert isinstance(answer, Found), answer
    return answer.state


def same(state: OrderState, truth: TrueOrder) -> bool:
    return (state.client_id, state.phase, state.price_ticks, state.lots, state.filled_lots) == (
        truth.client_id, truth.phase, truth.price_ticks, truth.lots, truth.filled_lots
    )  # fmt: skip


def ceiling(value: Decimal) -> int:
    return int(value.to_integral_value(ROUND_CEILING))


async def open_ids(bench: Bench) -> set[str]:
    orders = await bench.run(bench.venue.open_orders(bench.symbol))
    assert not isinstance(orders, Incomplete), orders
    return {one.client_id for one in orders}


# ---- submit ------------------------------------------------------------------------------------------------


async def test_a_limit_order_rests_and_the_venue_knows_it_by_its_client_id(bench: Bench) -> None:
    order = await bench.place(Side.BUY, bench.middle_ticks)
    state = await state_of(bench, order.client_id)
    truth = await bench.true_order(order.client_id)
    assert truth is not None
    assert same(state, truth)
    assert (state.phase, state.side, state.symbol) == (OrderPhase.WORKING, Side.BUY, bench.symbol)
    assert (state.price_ticks, state.lots) == (order.price_ticks, order.lots)
    assert await open_ids(bench) == {order.client_id}


@pytest.mark.parametrize("time_in_force", list(TimeInForce))
@pytest.mark.parametrize("order_type", list(OrderType))
@pytest.mark.parametrize("side", list(Side))
async def test_every_type_and_time_in_force_takes_the_outside_book_up_to_its_limit(
    bench: Bench, order_type: OrderType, time_in_force: TimeInForce, side: Side
) -> None:
    caps, lots = bench.venue.capabilities(), bench.usual_lots
    if side is Side.SELL:
        await bench.hold(2 * lots)
    sign = 1 if side is Side.BUY else -1
    near, far = bench.middle_ticks + 60 * sign, bench.middle_ticks + 90 * sign
    levels = [(near, lots), (far, 5 * lots)]
    await bench.quote(*(([], levels) if side is Side.BUY else (levels, [])))
    order = bench.order(side, near, lots, order_type=order_type, time_in_force=time_in_force)
    answer = await bench.run(bench.venue.submit(order, 1))
    if order_type not in caps.order_types or time_in_force not in caps.times_in_force:
        assert isinstance(answer, Rejected), answer
        assert (answer.code, answer.preventable) == (RejectCode.TYPE_UNSUPPORTED, True)
        assert await bench.true_order(order.client_id) is None
        return
    assert isinstance(answer, Acked), answer
    state = await state_of(bench, order.client_id)
    assert (state.phase, state.filled_lots) == (OrderPhase.FILLED, lots)
    fills = [one for one in await bench.true_fills() if one.client_id == order.client_id]
    assert [(one.price_ticks, one.lots, one.maker) for one in fills] == [(near, lots, False)]


@pytest.mark.parametrize("order_type", list(OrderType))
async def test_what_is_beyond_the_limit_is_never_taken_and_ioc_does_not_rest(
    bench: Bench, order_type: OrderType
) -> None:
    lots = bench.usual_lots
    near, far = bench.middle_ticks + 60, bench.middle_ticks + 90
    await bench.quote([], [(near, lots), (far, 5 * lots)])
    order = bench.order(Side.BUY, near, 3 * lots, order_type=order_type, time_in_force=TimeInForce.IOC)
    assert isinstance(await bench.run(bench.venue.submit(order, 1)), Acked)
    state = await state_of(bench, order.client_id)
    assert state.phase in {OrderPhase.CANCELLED, OrderPhase.EXPIRED}
    assert state.filled_lots == lots
    assert await open_ids(bench) == set()


async def test_fok_fills_whole_or_not_at_all(bench: Bench) -> None:
    if TimeInForce.FOK not in bench.venue.capabilities().times_in_force:
        pytest.skip("the venue has no FOK")
    await bench.quote([], [(bench.middle_ticks + 60, bench.usual_lots)])
    order = bench.order(
        Side.BUY, bench.middle_ticks + 60, 2 * bench.usual_lots, time_in_force=TimeInForce.FOK
    )
    answer = await bench.run(bench.venue.submit(order, 1))
    truth = await bench.true_order(order.client_id)
    if isinstance(answer, Rejected):
        assert (answer.code, answer.preventable) == (RejectCode.NOT_FILLABLE, False)
    else:
        assert isinstance(answer, Acked)
        assert (await state_of(bench, order.client_id)).phase in DONE_WITHOUT_FILL
    assert truth is None or truth.filled_lots == 0


async def test_a_post_only_order_rests_or_is_refused_but_never_takes(bench: Bench) -> None:
    await bench.quote([], [(bench.middle_ticks + 60, bench.usual_lots)])
    resting = bench.order(Side.BUY, bench.middle_ticks + 59, post_only=True)
    assert isinstance(await bench.run(bench.venue.submit(resting, 1)), Acked)
    crossing = bench.order(Side.BUY, bench.middle_ticks + 60, post_only=True)
    answer = await bench.run(bench.venue.submit(crossing, 1))
    if isinstance(answer, Rejected):
        assert (answer.code, answer.preventable) == (RejectCode.POST_ONLY_WOULD_TAKE, False)
    else:
        assert isinstance(answer, Acked), answer
        assert (await state_of(bench, crossing.client_id)).phase in DONE_WITHOUT_FILL
    assert await bench.true_fills() == []


async def test_a_reduce_only_order_reduces_or_is_refused_but_never_opens(bench: Bench) -> None:
    order = msgspec.structs.replace(bench.order(Side.BUY, bench.middle_ticks), reduce_only=True)
    answer = await bench.run(bench.venue.submit(order, 1))
    assert isinstance(answer, Rejected), answer  # there is nothing to reduce
    if not bench.venue.capabilities().reduce_only:
        assert (answer.code, answer.preventable) == (RejectCode.TYPE_UNSUPPORTED, True)
        return
    assert answer.code == RejectCode.REDUCE_ONLY
    await bench.hold(2 * bench.usual_lots)
    price = bench.middle_ticks - 60
    await bench.quote([(price, 9 * bench.usual_lots)], [])
    order = msgspec.structs.replace(bench.order(Side.SELL, price), reduce_only=True)
    assert isinstance(await bench.run(bench.venue.submit(order, 1)), Acked)
    assert (await state_of(bench, order.client_id)).filled_lots == bench.usual_lots


async def test_one_client_id_never_makes_two_orders(bench: Bench) -> None:
    order = await bench.place(Side.BUY, bench.middle_ticks)
    again = await bench.run(bench.venue.submit(order, 1))
    assert isinstance(again, Acked | Rejected), again
    if isinstance(again, Rejected):
        assert again.code == RejectCode.DUPLICATE_CLIENT_ID
    truth = await bench.true_order(order.client_id)
    assert truth is not None
    assert truth.phase is OrderPhase.WORKING


# ---- refusals ----------------------------------------------------------------------------------------------


async def test_an_unknown_symbol_is_refused_before_it_is_sent(bench: Bench) -> None:
    answer = await bench.run(bench.venue.submit(bench.order(Side.BUY, 1, 1, symbol="NO/SUCH"), 1))
    assert isinstance(answer, Rejected)
    assert (answer.code, answer.preventable) == (RejectCode.UNKNOWN_SYMBOL, True)


async def test_an_order_beyond_the_funds_is_refused_and_holds_nothing(bench: Bench) -> None:
    before = await bench.run(bench.venue.balances())
    quote = next(one for one in before if one.asset == bench.instrument.quote)  # type: ignore[union-attr]
    price = bench.instrument.tick * bench.middle_ticks
    lots = int(quote.free / price / bench.instrument.lot) + bench.usual_lots
    answer = await bench.run(bench.venue.submit(bench.order(Side.BUY, bench.middle_ticks, lots), 1))
    assert isinstance(answer, Rejected), answer
    assert answer.code == RejectCode.INSUFFICIENT_FUNDS
    after = await bench.run(bench.venue.balances())
    assert {one.asset: (one.free, one.held) for one in after} == {  # type: ignore[union-attr]
        one.asset: (one.free, one.held)
        for one in before  # type: ignore[union-attr]
    }


async def test_nonsense_numbers_are_refused(bench: Bench) -> None:
    for price, lots in ((0, 1), (-1, 1), (bench.middle_ticks, 0), (bench.middle_ticks, -5)):
        answer = await bench.run(bench.venue.submit(bench.order(Side.BUY, price, lots), 1))
        assert isinstance(answer, Rejected), answer
        assert (answer.code, answer.preventable) == (RejectCode.BAD_NUMBER, True)
    assert await bench.true_orders() == []


@pytest.mark.parametrize("client_id", ["", "x" * 200, "tw 000000000 00001", "tw00000000000\n0001", "été"])
async def test_a_client_id_that_cannot_be_asked_for_again_is_refused(bench: Bench, client_id: str) -> None:
    order = bench.order(Side.BUY, bench.middle_ticks)
    bad = type(order)(**{**{f: getattr(order, f) for f in order.__struct_fields__}, "client_id": client_id})
    answer = await bench.run(bench.venue.submit(bad, 1))
    assert isinstance(answer, Rejected), answer
    assert (answer.code, answer.preventable) == (RejectCode.BAD_CLIENT_ID, True)


# ---- filters: just inside, equal, one step outside (T2.10) -------------------------------------------------


async def submit_code(bench: Bench, price_ticks: int, lots: int) -> tuple[str, Rejected | None]:
    order = bench.order(Side.BUY, price_ticks, lots)
    answer = await bench.run(bench.venue.submit(order, 1))
    if isinstance(answer, Acked):
        await bench.run(bench.venue.cancel(bench.reference(order.client_id), 1))
        return "", None
    assert isinstance(answer, Rejected), answer
    return answer.code, answer


async def test_the_minimum_quantity_holds_to_one_lot(bench: Bench) -> None:
    rules = bench.instrument
    if rules.min_quantity is None or rules.min_quantity <= rules.lot:
        pytest.skip("the venue has no minimum above one lot")
    least, price = int(rules.min_quantity / rules.lot), bench.middle_ticks
    for lots in (least + 1, least):
        code, _ = await submit_code(bench, price, lots)
        assert code != RejectCode.BELOW_MIN_QTY
    code, refusal = await submit_code(bench, price, least - 1)
    assert (code, refusal.preventable, refusal.nearest_above) == (RejectCode.BELOW_MIN_QTY, True, least)  # type: ignore[union-attr]


async def test_the_maximum_quantity_holds_to_one_lot(bench: Bench) -> None:
    rules = bench.instrument
    if rules.max_quantity is None:
        pytest.skip("the venue has no maximum quantity")
    most = int(rules.max_quantity / rules.lot)
    for lots in (most - 1, most):
        code, _ = await submit_code(bench, bench.middle_ticks, lots)
        assert code != RejectCode.ABOVE_MAX_QTY
    code, refusal = await submit_code(bench, bench.middle_ticks, most + 1)
    assert (code, refusal.preventable, refusal.nearest_below) == (RejectCode.ABOVE_MAX_QTY, True, most)  # type: ignore[union-attr]


async def test_the_minimum_notional_holds_to_one_tick(bench: Bench) -> None:
    rules = bench.instrument
    if rules.min_notional is None:
        pytest.skip("the venue has no minimum notional")
    # the size is fixed at the smallest one allowed, the price decides
    lots = max(1, int((rules.min_quantity or rules.lot) / rules.lot))
    unit = rules.tick * rules.lot * lots
    least = ceiling(rules.min_notional / unit)
    for price in (least + 1, least):
        code, _ = await submit_code(bench, price, lots)
        assert code != RejectCode.BELOW_MIN_NOTIONAL
    code, refusal = await submit_code(bench, least - 1, lots)
    assert (code, refusal.preventable) == (RejectCode.BELOW_MIN_NOTIONAL, True)  # type: ignore[union-attr]
    needed = ceiling(rules.min_notional / (rules.tick * (least - 1) * rules.lot))
    assert refusal is not None
    assert refusal.nearest_above == needed


async def test_the_maximum_notional_holds_to_one_lot(bench: Bench) -> None:
    rules = bench.instrument
    if rules.max_notional is None:
        pytest.skip("the venue has no maximum notional")
    most = int(rules.max_notional / (rules.tick * bench.middle_ticks * rules.lot))
    if rules.max_quantity is not None and most * rules.lot > rules.max_quantity:
        pytest.skip("the maximum quantity comes first")
    for lots in (most - 1, most):
        code, _ = await submit_code(bench, bench.middle_ticks, lots)
        assert code != RejectCode.ABOVE_MAX_NOTIONAL
    code, refusal = await submit_code(bench, bench.middle_ticks, most + 1)
    assert (code, refusal.nearest_below) == (RejectCode.ABOVE_MAX_NOTIONAL, most)  # type: ignore[union-attr]


# ---- amend -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["price", "lots", "both"])
async def test_an_amend_changes_what_it_names_and_keeps_the_rest(bench: Bench, change: str) -> None:
    if not bench.venue.capabilities().amend:
        pytest.skip("the venue cannot amend")
    order = await bench.place(Side.BUY, bench.middle_ticks)
    price = bench.middle_ticks - 7 if change != "lots" else None
    lots = 2 * bench.usual_lots if change != "price" else None
    reference = bench.reference(order.client_id)
    answer = await bench.run(bench.venue.amend(reference, 1, lots=lots, price_ticks=price))
    assert isinstance(answer, Acked), answer
    state = await state_of(bench, order.client_id)
    assert (state.price_ticks, state.lots) == (price or order.price_ticks, lots or order.lots)
    truth = await bench.true_order(order.client_id)
    assert truth is not None
    assert same(state, truth)


async def test_an_amend_to_what_is_filled_already_is_refused(bench: Bench) -> None:
    if not bench.venue.capabilities().amend:
        pytest.skip("the venue cannot amend")
    lots = 4 * bench.usual_lots
    order = await bench.place(Side.BUY, bench.middle_ticks, lots)
    await bench.take(Side.SELL, bench.middle_ticks, 2 * bench.usual_lots)
    reference = bench.reference(order.client_id)
    answer = await bench.run(bench.venue.amend(reference, 1, lots=2 * bench.usual_lots))
    assert isinstance(answer, Rejected), answer
    assert answer.code == RejectCode.AMEND_BELOW_FILLED
    assert (await state_of(bench, order.client_id)).lots == lots


async def test_an_amend_of_a_finished_or_unknown_order_says_so(bench: Bench) -> None:
    if not bench.venue.capabilities().amend:
        pytest.skip("the venue cannot amend")
    order = await bench.place(Side.BUY, bench.middle_ticks)
    await bench.run(bench.venue.cancel(bench.reference(order.client_id), 1))
    answer = await bench.run(
        bench.venue.amend(bench.reference(order.client_id), 1, price_ticks=bench.middle_ticks - 1)
    )
    assert isinstance(answer, AlreadyFinal), answer
    assert answer.state.phase is OrderPhase.CANCELLED
    unknown = await bench.run(
        bench.venue.amend(bench.reference(bench.new_id()), 1, price_ticks=bench.middle_ticks)
    )
    assert isinstance(unknown, Rejected), unknown
    assert unknown.code == RejectCode.UNKNOWN_ORDER


# ---- cancel ------------------------------------------------------------------------------------------------


async def test_a_cancel_is_acknowledged_only_when_the_order_is_gone(bench: Bench) -> None:
    order = await bench.place(Side.BUY, bench.middle_ticks)
    answer = await bench.run(bench.venue.cancel(bench.reference(order.client_id), 1))
    assert isinstance(answer, Acked), answer
    truth = await bench.true_order(order.client_id)
    assert truth is not None
    assert truth.phase is OrderPhase.CANCELLED
    assert (await state_of(bench, order.client_id)).phase is OrderPhase.CANCELLED
    assert await open_ids(bench) == set()


async def test_a_cancel_of_a_cancelled_order_tells_its_true_end(bench: Bench) -> None:
    order = await bench.place(Side.BUY, bench.middle_ticks, 2 * bench.usual_lots)
    await bench.take(Side.SELL, bench.middle_ticks, bench.usual_lots)
    await bench.run(bench.venue.cancel(bench.reference(order.client_id), 1))
    again = await bench.run(bench.venue.cancel(bench.reference(order.client_id), 1))
    assert isinstance(again, AlreadyFinal), again
    assert (again.state.phase, again.state.filled_lots) == (OrderPhase.CANCELLED, bench.usual_lots)


async def test_a_cancel_of_a_filled_order_tells_that_it_filled(bench: Bench) -> None:
    order = await bench.place(Side.BUY, bench.middle_ticks)
    await bench.take(Side.SELL, bench.middle_ticks, bench.usual_lots)
    answer = await bench.run(bench.venue.cancel(bench.reference(order.client_id), 1))
    assert isinstance(answer, AlreadyFinal), answer
    assert (answer.state.phase, answer.state.filled_lots) == (OrderPhase.FILLED, bench.usual_lots)


async def test_a_cancel_of_an_order_that_never_was_is_refused(bench: Bench) -> None:
    answer = await bench.run(bench.venue.cancel(bench.reference(bench.new_id()), 1))
    assert isinstance(answer, Rejected), answer
    assert answer.code == RejectCode.UNKNOWN_ORDER


async def test_cancel_all_names_what_it_ended_and_nothing_the_second_time(bench: Bench) -> None:
    orders = {(await bench.place(Side.BUY, bench.middle_ticks - step)).client_id for step in range(3)}
    answer = await bench.run(bench.venue.cancel_all(None, 1))
    assert isinstance(answer, CancelledAll), answer
    assert set(answer.client_ids) == orders
    assert all(one.phase is OrderPhase.CANCELLED for one in await bench.true_orders())
    again = await bench.run(bench.venue.cancel_all(bench.symbol, 1))
    assert again == CancelledAll(())
    unknown = await bench.run(bench.venue.cancel_all("NO/SUCH", 1))
    assert isinstance(unknown, Rejected)
    assert unknown.code == RejectCode.UNKNOWN_SYMBOL


# ---- queries and lists -------------------------------------------------------------------------------------


async def test_absence_is_proven_in_the_end_and_never_claimed_of_what_is_there(bench: Bench) -> None:
    unknown = bench.reference(bench.new_id())
    seen: list[object] = []

    async def proven() -> bool:
        answer = await bench.run(bench.venue.query(unknown))
        assert isinstance(answer, NotFound), answer
        seen.append(answer)
        return answer.proven_absent

    await bench.until_true(proven, "absence is proven")
    order = await bench.place(Side.BUY, bench.middle_ticks)
    assert isinstance(await bench.run(bench.venue.query(bench.reference(order.client_id))), Found)


async def test_lists_are_complete_and_equal_to_the_venues_own(bench: Bench) -> None:
    resting = [await bench.place(Side.BUY, bench.middle_ticks - step, bench.usual_lots) for step in range(4)]
    await bench.take(Side.SELL, bench.middle_ticks, bench.usual_lots)
    await bench.run(bench.venue.cancel(bench.reference(resting[3].client_id), 1))
    orders = await bench.run(bench.venue.open_orders(None))
    assert not isinstance(orders, Incomplete), orders
    truth = {one.client_id: one for one in await bench.true_orders() if one.phase not in FINAL_PHASES}
    assert {one.client_id for one in orders} == set(truth) == {one.client_id for one in resting[1:3]}
    assert all(same(one, truth[one.client_id]) for one in orders)
    fills = await bench.run(bench.venue.fills(0))
    assert not isinstance(fills, Incomplete), fills
    assert [(one.client_id, one.side, one.price_ticks, one.lots, one.fee, one.maker) for one in fills] == [
        (one.client_id, one.side, one.price_ticks, one.lots, one.fee, one.maker)
        for one in await bench.true_fills()
    ]
    assert fills[0].fee_asset == bench.instrument.quote
    assert fills[0].maker


async def test_fills_since_a_sequence_miss_none_behind_it(bench: Bench) -> None:
    for step in range(3):
        await bench.place(Side.BUY, bench.middle_ticks - step)
        await bench.take(Side.SELL, bench.middle_ticks - step, bench.usual_lots)
    everything = await bench.run(bench.venue.fills(0))
    assert not isinstance(everything, Incomplete), everything
    assert len(everything) == 3
    assert len({one.key for one in everything}) == 3
    assert [one.sequence for one in everything] == sorted(one.sequence for one in everything)
    for index, fill in enumerate(everything):
        later = await bench.run(bench.venue.fills(fill.sequence))
        assert not isinstance(later, Incomplete), later
        assert {one.key for one in everything[index + 1 :]} <= {one.key for one in later}
        assert len({one.key for one in later}) == len(later)


# ---- epochs (T1.1) -----------------------------------------------------------------------------------------


async def test_a_superseded_epoch_changes_nothing(bench: Bench) -> None:
    order = await bench.place(Side.BUY, bench.middle_ticks)
    newer = bench.order(Side.BUY, bench.middle_ticks - 1)
    assert isinstance(await bench.run(bench.venue.submit(newer, 2)), Acked)
    before = await bench.true_orders()
    reference = bench.reference(order.client_id)
    answers = [
        await bench.run(bench.venue.submit(bench.order(Side.BUY, bench.middle_ticks), 1)),
        await bench.run(bench.venue.amend(reference, 1, price_ticks=bench.middle_ticks - 2)),
        await bench.run(bench.venue.cancel(reference, 1)),
        await bench.run(bench.venue.cancel_all(None, 1)),
    ]
    if bench.venue.capabilities().cancel_after_range_s is not None:
        answers.append(await bench.run(bench.venue.cancel_after(60, 1)))
    for answer in answers:
        assert isinstance(answer, Rejected), answer
        assert (answer.code, answer.preventable) == (RejectCode.STALE_EPOCH, True)
    assert await bench.true_orders() == before
    assert isinstance(await bench.run(bench.venue.cancel(reference, 2)), Acked)


# ---- the dead-man's switch (T8.1) --------------------------------------------------------------------------


async def test_the_timer_arms_refreshes_and_disarms_inside_its_range_only(bench: Bench) -> None:
    span = bench.venue.capabilities().cancel_after_range_s
    if span is None:
        assert isinstance(await bench.run(bench.venue.cancel_after(60, 1)), Unsupported)
        return
    low, high = span
    order = await bench.place(Side.BUY, bench.middle_ticks)
    for seconds in (low, min(high, 60)):
        before_ns = bench.now_ns()
        answer = await bench.run(bench.venue.cancel_after(seconds, 1))
        assert isinstance(answer, Armed), answer
        assert abs(answer.until_ns - before_ns - seconds * 1_000_000_000) < 5_000_000_000
    assert isinstance(await bench.run(bench.venue.cancel_after(0, 1)), Disarmed)
    outside = [seconds for seconds in (low - 1, high + 1, -1) if seconds != 0]
    for seconds in outside:
        answer = await bench.run(bench.venue.cancel_after(seconds, 1))
        assert isinstance(answer, Rejected), answer
        assert (answer.code, answer.preventable) == (RejectCode.INVALID_SWITCH_WINDOW, True)
    assert await open_ids(bench) == {order.client_id}


async def test_an_armed_timer_that_nobody_refreshes_cancels_everything(bench: Bench) -> None:
    span = bench.venue.capabilities().cancel_after_range_s
    if span is None:
        pytest.skip("the venue has no timer")
    order = await bench.place(Side.BUY, bench.middle_ticks)
    assert isinstance(await bench.run(bench.venue.cancel_after(span[0], 1)), Armed)
    await bench.step(span[0] + 2)

    async def gone() -> bool:
        return await open_ids(bench) == set()

    await bench.until_true(gone, "the timer fires")
    truth = await bench.true_order(order.client_id)
    assert truth is not None
    assert truth.phase is OrderPhase.CANCELLED
