"""The generated market is reproducible and honest about itself; the queue is bounded and never silent."""

from __future__ import annotations

import asyncio
from itertools import islice

import pytest
from feed_helpers import delta, snapshot
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.venues.feeds.base import Feed
from tradewind.venues.feeds.generated import GeneratedFeed, GeneratedMarket
from tradewind.venues.feeds.queue import EventQueue
from tradewind.venues.feeds.resync import ResyncLimits, SymbolResync
from tradewind.venues.market_data import (
    BookDelta,
    BookSnapshot,
    BookState,
    FeedEvent,
    FeedGap,
    FeedState,
    Side,
    TopOfBook,
    TradePrint,
)
from tradewind.venues.transport.backoff import Backoff, BackoffPolicy


def generated(seed: int, batches: int, **market: object) -> list[FeedEvent]:
    feed = GeneratedFeed(seed, [GeneratedMarket(**market)], None)
    return [event for _, batch in islice(feed.batches(), batches) for event in batch]


def test_a_seed_gives_the_same_market_and_another_seed_another_one() -> None:
    assert generated(7, 300) == generated(7, 300)
    assert generated(7, 300) != generated(8, 300)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**63))
def test_a_generated_market_never_crosses_never_gaps_and_trades_what_is_displayed(seed: int) -> None:
    book: dict[Side, dict[int, int]] = {}
    last_trade_id = 0
    for event in generated(seed, 400):
        if isinstance(event, BookSnapshot):
            book = {Side.BUY: dict(event.bids), Side.SELL: dict(event.asks)}
        elif isinstance(event, TradePrint):
            assert event.trade_id == last_trade_id + 1
            last_trade_id = event.trade_id
            resting = book[Side(1 - event.aggressor_side)]
            assert resting[event.price_ticks] >= event.quantity_lots > 0
            best = min(resting) if event.aggressor_side is Side.BUY else max(resting)
            assert event.price_ticks == best
            resting[best] -= event.quantity_lots
            if not resting[best]:
                del resting[best]
        elif isinstance(event, BookDelta):
            for side, price, lots in event.changes():
                if lots:
                    book[side][price] = lots
                else:
                    book[side].pop(price, None)
        elif isinstance(event, TopOfBook):
            assert (event.bid_ticks, event.ask_ticks) == (max(book[Side.BUY]), min(book[Side.SELL]))
            assert 0 < event.bid_ticks < event.ask_ticks
        assert not isinstance(event, FeedGap)
        if isinstance(event, FeedState):
            assert event.state in (BookState.SYNCING, BookState.LIVE)
    assert last_trade_id > 50
    assert all(len(levels) <= 60 for levels in book.values())


async def test_a_generated_feed_says_so_everywhere() -> None:
    feed = GeneratedFeed(1, None, None)
    assert isinstance(feed, Feed)
    assert feed.label == "generated"
    assert feed.instruments["BTC/USDT"].source == "generated"
    assert feed.instruments["BTC/USDT"].venue == "generated"
    count = 0
    async for _ in feed.events():
        count += 1
        if count == 500:
            await feed.close()
    assert count == 500
    with pytest.raises(ValueError, match="speed"):
        GeneratedFeed(1, None, float("nan"))


# ---- the queue between socket and consumer -----------------------------------------------------------------


def trade(trade_id: int, symbol: str = "BTC/USDT") -> TradePrint:
    return TradePrint(symbol=symbol, trade_id=trade_id, price_ticks=1, quantity_lots=1,
                      aggressor_side=Side.BUY, venue_ts_ns=None,
                      recv_ts_ns=1, recv_mono_ns=1, epoch=1)  # fmt: skip


def top(sequence: int) -> TopOfBook:
    return TopOfBook(symbol="BTC/USDT", bid_ticks=1, bid_lots=1, ask_ticks=2, ask_lots=1, sequence=sequence,
                     venue_ts_ns=None, recv_ts_ns=1, recv_mono_ns=1, epoch=1)  # fmt: skip


async def drain(queue: EventQueue) -> list[FeedEvent]:
    queue.close()
    events = []
    while (event := await queue.get()) is not None:
        events.append(event)
    return events


async def test_a_slow_consumer_gets_one_fresh_snapshot_instead_of_endless_updates() -> None:
    queue = EventQueue(lambda _: snapshot(99), max_book_events=10)
    for number in range(11):
        queue.put(delta(number, number))
    queue.put(delta(100, 100))
    events = await drain(queue)
    assert [type(event) for event in events] == [BookSnapshot, BookDelta]
    assert events[0].sequence == 99
    assert queue.conflations == 1


async def test_trades_are_kept_in_order_until_the_bound_and_their_loss_is_named() -> None:
    queue = EventQueue(lambda _: None, max_trades=5)
    for number in range(5):
        queue.put(trade(number))
    queue.put(delta(1, 1))
    queue.put(trade(5))
    queue.put(trade(1, "ETH/USDT"))
    events = await drain(queue)
    assert [type(event) for event in events] == [BookDelta, FeedGap, TradePrint, TradePrint]
    assert events[1].reason == "5 trades not taken in time"
    assert queue.lost_trades == 5
    assert [event.trade_id for event in events[2:]] == [5, 1]


async def test_only_the_newest_ticker_waits() -> None:
    queue = EventQueue(lambda _: None)
    for number in range(100):
        queue.put(top(number))
    assert len(queue) == 1
    assert [event.sequence for event in await drain(queue)] == [99]


async def test_the_newest_state_survives_a_consumer_that_never_reads() -> None:
    queue = EventQueue(lambda _: None)
    for number in range(20_000):
        state = BookState.LIVE if number % 2 else BookState.SUSPECT
        queue.put(FeedState(symbol="BTC/USDT", state=state, reason=str(number), since_ns=number, epoch=1))
    assert len(queue) <= 8_192
    assert (await drain(queue))[-1].reason == "19999"


async def test_a_waiting_consumer_is_woken_by_an_event_and_by_close() -> None:
    queue = EventQueue(lambda _: None)
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.put(trade(1))
    assert (await asyncio.wait_for(waiting, 2)).trade_id == 1
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.close()
    assert await asyncio.wait_for(waiting, 2) is None


# ---- when to try again -------------------------------------------------------------------------------------


def test_the_delay_is_full_jitter_under_a_doubling_ceiling() -> None:
    drawn: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        drawn.append((low, high))
        return high

    backoff = Backoff(BackoffPolicy(), uniform)
    for _ in range(9):
        backoff.next_delay_s(0.0)
    assert drawn == [(0.0, one) for one in (0.5, 1, 2, 4, 8, 16, 30, 30, 30)]


def test_the_count_starts_again_only_after_a_minute_of_health() -> None:
    backoff = Backoff(BackoffPolicy(), lambda _, high: high)
    backoff.next_delay_s(0.0)
    backoff.next_delay_s(1.0)
    backoff.healthy(10.0)
    backoff.healthy(69.9)
    assert backoff.failures == 2
    backoff.unhealthy()
    backoff.healthy(70.0)
    backoff.healthy(129.9)
    assert backoff.failures == 2
    backoff.healthy(130.0)
    assert backoff.failures == 0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 20), min_size=1, max_size=200), st.integers(1, 20))
def test_no_window_ever_holds_more_attempts_than_the_budget(pauses: list[float], budget: int) -> None:
    policy = BackoffPolicy(base_s=0.1, ceiling_s=1.0, max_attempts=budget, attempt_window_s=60.0)
    backoff = Backoff(policy, lambda _, high: high / 2)
    now_s, attempts = 0.0, []
    for pause in pauses:
        now_s += pause
        now_s += backoff.next_delay_s(now_s)
        attempts.append(now_s)
    for index, first in enumerate(attempts):
        assert sum(first <= one < first + 60.0 - 1e-6 for one in attempts[index:]) <= budget


def test_a_symbol_resync_is_immediate_then_backs_off_then_gives_up_on_the_connection() -> None:
    resync = SymbolResync(ResyncLimits(failures_to_reconnect=3))
    assert resync.due(0.0)
    resync.begin(0.0, 0)
    assert not resync.due(1.0)
    for at_s in (1.0, 2.0, 3.0):
        resync.failed(at_s)
    assert resync.hopeless(4.0)
    assert not resync.hopeless(61.1)
    resync.new_connection()
    assert resync.due(4.0)
    assert not resync.hopeless(4.0)
    resync.begin(5.0, 0)
    assert resync.due(40.1), "an attempt without an answer counts as failed after its timeout"


def test_an_attempt_ends_with_its_snapshot() -> None:
    resync = SymbolResync(ResyncLimits(base_s=0.0, ceiling_s=0.0))
    resync.begin(0.0, 4)
    resync.observe(4, False, 0.1)
    assert not resync.due(0.2)
    resync.observe(5, False, 0.3)
    assert resync.due(0.4)
