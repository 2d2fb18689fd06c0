"""What the connector through ccxt knows behind a restart, and of lists that a venue cuts off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

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
    count, lots = 60, bench.usual_lots
    await bench.quote([], [(bench.middle_ticks + 60, count * lots)])
    for _ in range(count):
        order = bench.order(Side.BUY, bench.middle_ticks + 60, lots, time_in_force=TimeInForce.IOC)
        assert isinstance(await bench.venue.submit(order, 1), Acked)
    listed = await bench.venue.fills(0)
    if isinstance(listed, Incomplete):
        assert "cut off" in listed.reason, "sixty in a few seconds cannot always be told apart by time"
    else:
        assert len({one.key for one in listed}) == len(listed) == count


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
