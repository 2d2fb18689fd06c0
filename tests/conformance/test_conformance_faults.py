"""T7.12: every fault of the wire on every request ends as a typed answer, and a query tells the truth.

The rule is the same for all: no exception; a definite answer is a true one; after `Uncertain` the query by
client id agrees with the venue; one client id never makes two orders; nothing is left behind.
"""

from __future__ import annotations

import asyncio

import pytest

from tradewind.venues.market_data import Side
from tradewind.venues.protocol import (
    FINAL_PHASES,
    Acked,
    AlreadyFinal,
    CancelledAll,
    Found,
    NotFound,
    OrderPhase,
    OrderState,
    Rejected,
    Uncertain,
)

from .bench import Act, Bench, Fault

WIRE = [one for one in Fault if one not in {Fault.DUPLICATE, Fault.REORDER}]


async def resolve(bench: Bench, client_id: str) -> OrderState | None:
    """Query until the venue says, as the resolver does: the order, or proof that there is none."""
    result: list[OrderState | None] = []

    async def decided() -> bool:
        answer = await bench.run(bench.venue.query(bench.reference(client_id)))
        assert isinstance(answer, Found | NotFound | Uncertain), answer
        if isinstance(answer, Found):
            result.append(answer.state)
        elif isinstance(answer, NotFound) and answer.proven_absent:
            result.append(None)
        return bool(result)

    await bench.until_true(decided, "the query tells")
    return result[0]


async def agrees(bench: Bench, client_id: str) -> OrderState | None:
    """The resolved order, once it is equal to the venue's own. A slow request may still land between the two
    looks; what must never happen is a proof of absence of what is there.
    """
    states: list[OrderState | None] = []

    async def equal() -> bool:
        state, truth = await resolve(bench, client_id), await bench.true_order(client_id)
        states.append(state)
        if state is None:
            assert truth is None, f"absence was proven of {truth}"
            return True
        return truth is not None and (state.phase, state.price_ticks, state.lots, state.filled_lots) == (
            truth.phase, truth.price_ticks, truth.lots, truth.filled_lots
        )  # fmt: skip

    await bench.until_true(equal, "query and venue agree")
    return states[-1]


async def finish(bench: Bench) -> None:
    """After a fault the venue works again: everything can be cancelled, a new order rests."""
    await bench.heal()

    async def cancelled() -> bool:
        return isinstance(await bench.run(bench.venue.cancel_all(None, 1)), CancelledAll)

    await bench.until_true(cancelled, "a cancel-all goes through")
    assert all(one.phase in FINAL_PHASES for one in await bench.true_orders())

    async def accepted() -> bool:
        order = bench.order(Side.BUY, bench.middle_ticks)
        answer = await bench.run(bench.venue.submit(order, 1))
        if isinstance(answer, Uncertain):
            await agrees(bench, order.client_id)
        return isinstance(answer, Acked)

    await bench.until_true(accepted, "an order goes through")


@pytest.mark.parametrize("fault", WIRE)
async def test_a_submit_that_meets_a_fault_is_never_guessed(bench: Bench, fault: Fault) -> None:
    if fault not in bench.faults:
        pytest.skip(f"this venue has no wire that could do {fault}")
    await bench.inject(fault, Act.PLACE)
    order = bench.order(Side.BUY, bench.middle_ticks)
    answer = await bench.run(bench.venue.submit(order, 1))
    assert isinstance(answer, Acked | Rejected | Uncertain), answer
    await bench.heal()
    if isinstance(answer, Rejected):
        assert await bench.true_order(order.client_id) is None, "what was refused is not there"
    elif isinstance(answer, Acked) and fault is not Fault.LOST:
        assert await bench.true_order(order.client_id) is not None
    state = await agrees(bench, order.client_id)
    if isinstance(answer, Rejected):
        assert state is None
    await finish(bench)


@pytest.mark.parametrize("fault", [one for one in WIRE if one is not Fault.LOST])
async def test_a_cancel_that_meets_a_fault_is_never_guessed(bench: Bench, fault: Fault) -> None:
    if fault not in bench.faults:
        pytest.skip(f"this venue has no wire that could do {fault}")
    order = await bench.place(Side.BUY, bench.middle_ticks)
    await bench.inject(fault, Act.CANCEL)
    answer = await bench.run(bench.venue.cancel(bench.reference(order.client_id), 1))
    assert isinstance(answer, Acked | Rejected | Uncertain | AlreadyFinal), answer
    await bench.heal()
    state = await agrees(bench, order.client_id)
    assert state is not None, "an order that was acknowledged is never absent"
    if isinstance(answer, Acked | AlreadyFinal):
        assert state.phase is OrderPhase.CANCELLED
    elif isinstance(answer, Rejected):
        assert state.phase is OrderPhase.WORKING
    await finish(bench)


@pytest.mark.parametrize("fault", [one for one in WIRE if one is not Fault.LOST])
async def test_an_amend_that_meets_a_fault_is_never_guessed(bench: Bench, fault: Fault) -> None:
    if fault not in bench.faults:
        pytest.skip(f"this venue has no wire that could do {fault}")
    if not bench.venue.capabilities().amend:
        pytest.skip("the venue cannot amend")
    order = await bench.place(Side.BUY, bench.middle_ticks)
    await bench.inject(fault, Act.AMEND)
    reference = bench.reference(order.client_id)
    answer = await bench.run(bench.venue.amend(reference, 1, price_ticks=bench.middle_ticks - 3))
    assert isinstance(answer, Acked | Rejected | Uncertain | AlreadyFinal), answer
    await bench.heal()
    state = await agrees(bench, order.client_id)
    assert state is not None
    if isinstance(answer, Acked):
        assert state.price_ticks == bench.middle_ticks - 3
    elif isinstance(answer, Rejected):
        assert state.price_ticks == bench.middle_ticks
    await finish(bench)


@pytest.mark.parametrize("filled_first", [True, False])
async def test_a_race_of_cancel_and_fill_ends_with_the_true_state(bench: Bench, filled_first: bool) -> None:
    order = await bench.place(Side.BUY, bench.middle_ticks, 2 * bench.usual_lots)
    cancel = asyncio.ensure_future(bench.venue.cancel(bench.reference(order.client_id), 1))
    if filled_first:
        await bench.take(Side.SELL, bench.middle_ticks, 2 * bench.usual_lots)
        answer = await bench.run(cancel)
    else:
        answer = await bench.run(cancel)
        await bench.take(Side.SELL, bench.middle_ticks, 2 * bench.usual_lots)
    assert isinstance(answer, Acked | AlreadyFinal), answer
    state = await agrees(bench, order.client_id)
    assert state is not None
    assert state.phase in {OrderPhase.CANCELLED, OrderPhase.FILLED}
    if isinstance(answer, Acked):
        assert state.phase is OrderPhase.CANCELLED
    else:
        assert (answer.state.phase, answer.state.filled_lots) == (state.phase, state.filled_lots)


async def test_a_partial_fill_under_a_fault_is_counted_once(bench: Bench) -> None:
    order = await bench.place(Side.BUY, bench.middle_ticks, 2 * bench.usual_lots)
    await bench.take(Side.SELL, bench.middle_ticks, bench.usual_lots)
    for fault in sorted(bench.faults & {Fault.TIMEOUT, Fault.RESET_AFTER}):
        await bench.inject(fault, Act.CANCEL)
        await bench.run(bench.venue.cancel(bench.reference(order.client_id), 1))
        await bench.heal()
        state = await agrees(bench, order.client_id)
        assert state is not None
        assert state.filled_lots == bench.usual_lots
