"""What only Polymarket's connector has: identical bytes again, heartbeats, immediate purchases, reversals."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tradewind.gateways.faults import Fault as WireFault
from tradewind.gateways.faults import Plan, Rule
from tradewind.venues.codes import RejectCode
from tradewind.venues.market_data import BookSnapshot, FeedGap, Side
from tradewind.venues.polymarket.connector import PolymarketVenue
from tradewind.venues.polymarket.intents import IntentBook
from tradewind.venues.protocol import (
    Acked,
    FillEvent,
    Found,
    NotFound,
    OrderEvent,
    OrderPhase,
    Rejected,
    StreamState,
    TimeInForce,
    Uncertain,
)
from tradewind.venues.transport.private_link import Phase

from .bench import Act, Fault
from .polymarket_bench import PolymarketBench


@pytest.fixture
async def polymarket() -> AsyncIterator[PolymarketBench]:
    one = await PolymarketBench.open()
    yield one
    await one.close()


@pytest.mark.parametrize("fault", [Fault.TIMEOUT, Fault.ERROR_AFTER, Fault.RESET_AFTER, Fault.RESET_BEFORE])
async def test_the_identical_bytes_behind_a_crash_make_one_order(
    polymarket: PolymarketBench, fault: Fault
) -> None:
    """T7.6: what nobody knows is posted again by another process, from the journal of intents alone."""
    bench = polymarket
    order = bench.order(Side.BUY, bench.middle_ticks)
    await bench.inject(fault, Act.PLACE)
    assert isinstance(await bench.venue.submit(order, 1), Uncertain)
    await bench.heal()
    intents = IntentBook(bench.intents.path)
    again = PolymarketVenue(bench.rest, bench.account, intents, bench.venue.options)  # type: ignore[attr-defined]
    try:
        assert await again.open()
        answer = await again.submit(order, 1)
        assert answer == Acked(intents.find(order.client_id).reference)  # type: ignore[union-attr]
        [truth] = await bench.true_orders()
        assert truth.phase is OrderPhase.WORKING
        found = await again.query(bench.reference(order.client_id))
        assert isinstance(found, Found) and found.state.client_id == order.client_id
    finally:
        await again.close()
        intents.close()


async def test_another_order_under_the_same_id_is_refused_before_it_is_signed(
    polymarket: PolymarketBench,
) -> None:
    bench = polymarket
    order = await bench.place(Side.BUY, bench.middle_ticks)
    other = bench.order(Side.BUY, bench.middle_ticks - 1, client_id=order.client_id)
    answer = await bench.venue.submit(other, 1)
    assert isinstance(answer, Rejected)
    assert (answer.code, answer.preventable) == (RejectCode.DUPLICATE_CLIENT_ID, True)
    assert len(await bench.true_orders()) == 1


async def test_an_immediate_purchase_never_buys_more_than_was_wanted(polymarket: PolymarketBench) -> None:
    """At the venue an immediate purchase spends an amount: a better price would buy more shares."""
    bench = polymarket
    await bench.quote([], [(bench.middle_ticks - 100, 5 * bench.usual_lots)])
    order = bench.order(Side.BUY, bench.middle_ticks, time_in_force=TimeInForce.IOC)
    assert isinstance(await bench.venue.submit(order, 1), Acked)
    [truth] = await bench.true_orders()
    assert (truth.phase, truth.filled_lots) == (OrderPhase.FILLED, bench.usual_lots)


@pytest.mark.parametrize("fault", [Fault.TIMEOUT, Fault.ERROR_BEFORE, Fault.RESET_BEFORE])
async def test_an_immediate_purchase_is_ended_until_the_venue_says_so(
    polymarket: PolymarketBench, fault: Fault
) -> None:
    bench = polymarket
    await bench.inject(fault, Act.CANCEL)
    order = bench.order(Side.BUY, bench.middle_ticks, time_in_force=TimeInForce.IOC)
    assert isinstance(await bench.venue.submit(order, 1), Acked)

    async def over() -> bool:
        truth = await bench.true_order(order.client_id)
        return truth is not None and truth.phase is OrderPhase.CANCELLED

    await bench.until_true(over, "it is cancelled")


async def test_heartbeats_keep_orders_and_their_end_cancels_them(polymarket: PolymarketBench) -> None:
    bench = polymarket
    hearts = bench.gateway.hearts
    await bench.until(lambda: bool(hearts._hearts), "the first heartbeat")
    order = await bench.place(Side.BUY, bench.middle_ticks)
    hearts._missed("trader")  # the venue's own timer

    async def cancelled() -> bool:
        truth = await bench.true_order(order.client_id)
        return truth is not None and truth.phase is OrderPhase.CANCELLED

    await bench.until_true(cancelled, "silence cancels")
    await bench.until(
        lambda: any(
            isinstance(one, OrderEvent) and one.state.phase is OrderPhase.CANCELLED for one in bench.events
        ),
        "the stream tells",
    )
    await bench.until(lambda: bool(hearts._hearts), "the chain begins anew")
    assert bench.venue.heartbeats_missed == 0  # type: ignore[attr-defined]


async def test_fills_that_the_channel_lost_are_fetched(polymarket: PolymarketBench) -> None:
    bench = polymarket
    rules = (Rule(action=WireFault.DROP_FRAME, surface="stream", name="trade"),)
    bench.exchange.faults.replace(Plan(rules=rules))
    await bench.place(Side.BUY, bench.middle_ticks, 2 * bench.usual_lots)
    await bench.take(Side.SELL, bench.middle_ticks, bench.usual_lots)
    await bench.until(lambda: any(isinstance(one, FillEvent) for one in bench.events), "the fill is told")
    fills = [one for one in bench.events if isinstance(one, FillEvent)]
    assert [one.lots for one in fills] == [bench.usual_lots]


async def test_a_cut_connection_comes_back_with_what_happened_meanwhile(polymarket: PolymarketBench) -> None:
    bench = polymarket
    resting = await bench.place(Side.BUY, bench.middle_ticks, 2 * bench.usual_lots)
    other = await bench.place(Side.BUY, bench.middle_ticks - 1)
    link = bench.venue.channel.link  # type: ignore[attr-defined]
    link.degrade("test")
    assert not link.live
    refused = await bench.venue.submit(bench.order(Side.BUY, bench.middle_ticks), 1)
    assert isinstance(refused, Rejected) and refused.code == RejectCode.NOT_LIVE
    await bench.outcomes.place(
        "taker", bench._request(Side.SELL, bench.middle_ticks, bench.usual_lots, "FAK")
    )
    name = bench.intents.find(other.client_id)
    assert name is not None
    await bench.outcomes.cancel("trader", [name.reference])
    assert await link.wait_live(10.0)
    await bench.until(
        lambda: sum(isinstance(one, FillEvent) for one in bench.events) == 1, "the fill is told"
    )

    def phases() -> dict[str, OrderPhase]:
        return {one.state.client_id: one.state.phase for one in bench.events if isinstance(one, OrderEvent)}

    # By the comparison, or by the stream where the link was faster than the cancel.
    await bench.until(lambda: phases()[other.client_id] is OrderPhase.CANCELLED, "the cancel is told")
    [fill] = [one for one in bench.events if isinstance(one, FillEvent)]
    assert (fill.client_id, fill.lots) == (resting.client_id, bench.usual_lots)
    live = [one.live for one in bench.events if isinstance(one, StreamState)]
    assert live == [True, False, True]


async def test_a_trade_that_fails_is_reversed_and_the_account_is_read_anew(
    polymarket: PolymarketBench,
) -> None:
    """The gateway's trades never fail: the venue's word for it is put into the channel."""
    bench = polymarket
    told: list[FillEvent] = []
    venue = bench.venue
    venue._told_reversal = told.append  # type: ignore[attr-defined]
    bench.gateway.desk.options = _patient(bench.gateway.desk.options)
    await bench.place(Side.BUY, bench.middle_ticks)
    await bench.take(Side.SELL, bench.middle_ticks, bench.usual_lots)
    [fill] = [one for one in bench.events if isinstance(one, FillEvent)]
    [trade] = bench.outcomes.trades("trader")
    assert fill.trade_id in venue.mirror.provisional  # type: ignore[attr-defined]
    from tradewind.gateways.polymarket.rows import trade_event
    from tradewind.venues.transport.websocket import RawFrame

    row = trade_event(bench.gateway.desk, trade, "trader", "maker", "FAILED")
    import msgspec

    frame = RawFrame(time.time_ns(), time.monotonic_ns(), 1, msgspec.json.encode(row))
    venue.channel.on_frame(frame)  # type: ignore[attr-defined]
    assert told == [fill]
    link = venue.channel.link  # type: ignore[attr-defined]
    assert link.phase is Phase.DEGRADED or not link.live
    assert await link.wait_live(10.0)


def _patient(options: object) -> object:
    import msgspec

    return msgspec.structs.replace(options, mined_s=60.0, confirmed_s=120.0)


async def test_absence_is_not_proven_while_the_order_may_still_arrive(polymarket: PolymarketBench) -> None:
    bench = polymarket
    await bench.inject(Fault.SLOW, Act.PLACE)
    order = bench.order(Side.BUY, bench.middle_ticks)
    assert isinstance(await bench.venue.submit(order, 1), Uncertain)
    answer = await bench.venue.query(bench.reference(order.client_id))
    assert not isinstance(answer, NotFound) or not answer.proven_absent


async def test_a_book_whose_top_is_not_the_stated_one_is_read_again(polymarket: PolymarketBench) -> None:
    bench = polymarket
    await bench.until(lambda: any(isinstance(one, BookSnapshot) for one in bench.market_events), "the book")
    bench.exchange.faults.replace(
        Plan(rules=(Rule(action=WireFault.DROP_FRAME, surface="stream", name="price_change", times=1),))
    )
    await bench.quote([(bench.middle_ticks - 60, bench.usual_lots)], [])
    await bench.quote([(bench.middle_ticks - 70, bench.usual_lots)], [(bench.middle_ticks + 60, 1_000)])
    before = len(bench.market_events)
    await bench.quote([(bench.middle_ticks - 75, bench.usual_lots)], [(bench.middle_ticks + 66, 1_000)])

    def healed() -> bool:
        later = [one for one in bench.market_events if isinstance(one, BookSnapshot)]
        return bool(later) and later[-1].bids[:1] == ((bench.middle_ticks - 75, bench.usual_lots),)

    async def asked() -> bool:
        await asyncio.sleep(0)
        return healed() or _shown(bench)

    await bench.until_true(asked, "the book is right again")
    assert before or any(isinstance(one, FeedGap) for one in bench.market_events)


def _shown(bench: PolymarketBench) -> bool:
    from .test_conformance_streams import book_of

    book = book_of(bench)
    return max(book[Side.BUY], default=0) == bench.middle_ticks - 75
