"""What the connector through ccxt knows behind a restart, and of lists that a venue cuts off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from tradewind.gateways.faults import Fault as WireFault
from tradewind.gateways.faults import Plan, Rule
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import (
    Acked,
    CancelledAll,
    Found,
    Incomplete,
    OrderPhase,
    TimeInForce,
    Uncertain,
)

from .ccxt_bench import CcxtBench, CcxtBinanceBench, CcxtKrakenBench

PAGE = 50
"""Rows of Kraken's lists."""


@pytest.fixture(params=[CcxtBinanceBench, CcxtKrakenBench])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[CcxtBench]:
    one = await request.param.open()
    yield one
    await one.close()


async def test_a_new_process_finds_by_our_id_what_an_old_one_sent(bench: CcxtBench) -> None:
    resting = await bench.place(Side.BUY, bench.middle_ticks)
    cancelled = await bench.place(Side.BUY, bench.middle_ticks - 1)
    assert isinstance(await bench.venue.cancel(bench.reference(cancelled.client_id), 1), Acked)
    filled = await bench.place(Side.BUY, bench.middle_ticks + 1)
    await bench.take(Side.SELL, bench.middle_ticks + 1, bench.usual_lots)
    await bench.stack.aclose()
    await bench.attach(bench.credentials, bench.options(bench.exchange_id))
    wanted = {
        resting.client_id: OrderPhase.WORKING,
        cancelled.client_id: OrderPhase.CANCELLED,
        filled.client_id: OrderPhase.FILLED,
    }
    for client_id, phase in wanted.items():
        answer = await bench.venue.query(bench.reference(client_id))
        assert isinstance(answer, Found), answer
        assert (answer.state.client_id, answer.state.phase) == (client_id, phase)
    assert isinstance(await bench.venue.cancel(bench.reference(resting.client_id), 1), Acked)


async def test_more_executions_than_a_page_are_all_there_or_said_to_be_cut_off(bench: CcxtBench) -> None:
    """Kraken has pages of 50; Binance, with pages of 1,000, lists them at once."""
    lots = bench.usual_lots
    await bench.quote([], [(bench.middle_ticks + 60, 3 * PAGE * lots)])

    async def filled() -> bool:
        """One more is sent; a busy machine may be late for the deadline of one."""
        order = bench.order(Side.BUY, bench.middle_ticks + 60, lots, time_in_force=TimeInForce.IOC)
        await bench.run(bench.venue.submit(order, 1))
        return len(await bench.true_fills()) > PAGE

    for _ in range(PAGE):
        await filled()
    await bench.until_true(filled, "more than a page of executions")
    listed = await bench.venue.fills(0)
    if isinstance(listed, Incomplete):
        assert "cut off" in listed.reason, "those of a few seconds cannot always be told apart by time"
    else:
        assert len({one.key for one in listed}) == len(listed) == len(await bench.true_fills())


async def test_hints_of_a_stream_bring_news_before_the_next_look(bench: CcxtBench) -> None:
    """The next look of its own would come too late: what is told was told because ccxt's stream spoke."""
    await bench.stack.aclose()
    slow = msgspec.structs.replace(bench.options(bench.exchange_id), poll_every_s=600.0, live_for_s=3_600.0)
    await bench.attach(bench.credentials, slow)
    reader = bench.venue.private(bench.account)
    seen: list[object] = []
    bench._readers.append(asyncio.create_task(bench._read(reader, seen)))
    order = await bench.place(Side.BUY, bench.middle_ticks)
    await bench.until(lambda: bool(bench.venue.rounds.listening), "a stream works")
    await bench.exchange.cancel_all(bench.account)

    def told() -> bool:
        state = bench.venue.mirror.find(order.client_id)
        return state is not None and state.phase is OrderPhase.CANCELLED

    await bench.until(told, "the stream's hint is followed")


async def test_a_stream_with_a_frame_that_nobody_can_read_is_made_anew(bench: CcxtBench) -> None:
    await bench.place(Side.BUY, bench.middle_ticks)
    rounds = bench.venue.rounds
    await bench.until(lambda: bool(rounds.listening), "a stream works")
    rule = Rule(action=WireFault.CORRUPT, surface="stream", name=bench.private_channel, times=3)
    bench.exchange.faults.replace(Plan(rules=(rule,)))
    for step in range(1, 4):
        await bench.place(Side.BUY, bench.middle_ticks - step)
    await bench.heal()
    number = 4

    async def hinted() -> bool:
        nonlocal number
        before, number = rounds.hints, number + 1
        await bench.place(Side.BUY, bench.middle_ticks - number)
        await bench.step(0.2)
        return rounds.hints > before

    await bench.until_true(hinted, "the stream speaks again")


async def test_a_list_that_ccxt_reads_as_empty_is_not_believed(bench: CcxtBench) -> None:
    """ccxt takes an answer of another shape for a list of nothing."""
    order = await bench.place(Side.BUY, bench.middle_ticks)
    exchange = bench.venue.caller.exchange
    true = exchange.fetch_open_orders

    async def nothing(*_: object) -> list[object]:
        return []

    exchange.fetch_open_orders = nothing
    listed = await bench.venue.open_orders(None)
    assert isinstance(listed, Incomplete), listed
    assert isinstance(await bench.venue.cancel_all(None, 1), Uncertain)
    assert bench.venue.mirror.find(order.client_id) in bench.venue.mirror.open()
    exchange.fetch_open_orders = true
    assert await bench.venue.cancel_all(None, 1) == CancelledAll((order.client_id,))
