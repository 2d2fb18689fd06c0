"""The mirror book's states: what makes it live, what breaks it, what only quarantines it, what heals it."""

from __future__ import annotations

import random

import pytest
from feed_helpers import NOW, SECOND, book, delta, instrument, snapshot
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.venues.feeds.book import BookLimits, MirrorBook
from tradewind.venues.feeds.health import ErrorRateWindow, HealthLimits, StalenessBudget
from tradewind.venues.feeds.sequencing import (
    BinanceFuturesRule,
    BinanceSpotRule,
    GaplessRule,
    KrakenChecksumRule,
)
from tradewind.venues.market_data import (
    BookDelta,
    BookSnapshot,
    BookState,
    FeedGap,
    FeedState,
    Known,
    Stale,
    TopOfBook,
    Unknown,
)

T0 = NOW.recv_ts_ns


def states(events: list) -> list[BookState]:
    return [event.state for event in events if isinstance(event, FeedState)]


def test_updates_before_the_snapshot_are_buffered_and_only_the_newer_ones_applied() -> None:
    one, out = book(BinanceSpotRule())
    one.on_delta(delta(1, 10, bids=((98, 1),)), out)
    one.on_delta(delta(11, 20, bids=((97, 2),)), out)
    assert states(out) == [BookState.SYNCING]
    assert isinstance(one.top(T0), Unknown)
    assert one.on_snapshot(snapshot(15), out)
    assert states(out) == [BookState.SYNCING, BookState.LIVE]
    assert 98 not in one.bids
    assert dict(one.bids.top())[97] == 2
    assert one.sequence == 20
    published = next(event for event in out if isinstance(event, BookSnapshot))
    assert published.bids == ((100, 5), (99, 5), (97, 2))


@pytest.mark.parametrize(
    ("sequence", "accepted"), [(5, False), (9, False), (10, True), (15, True), (25, True), (99, True)]
)
def test_a_snapshot_is_used_only_when_the_stream_continues_it(sequence: int, accepted: bool) -> None:
    one, out = book(BinanceSpotRule())
    one.on_delta(delta(11, 20), out)
    one.on_delta(delta(21, 25), out)
    assert one.on_snapshot(snapshot(sequence), out) is accepted
    assert one.wants_snapshot is not accepted
    assert one.counters.stale_snapshots == (0 if accepted else 1)


def test_a_gap_breaks_the_book_names_both_ids_and_a_snapshot_heals_it() -> None:
    one, out = book(BinanceSpotRule())
    one.on_snapshot(snapshot(10), out)
    one.on_delta(delta(12, 14), out)
    gap = next(event for event in out if isinstance(event, FeedGap))
    assert (gap.reason, gap.expected, gap.got) == ("sequence gap", 11, 12)
    assert one.state is BookState.SUSPECT
    assert isinstance(one.top(T0), Unknown)
    one.begin_sync(T0, "snapshot requested", out)
    assert one.on_snapshot(snapshot(13), out)
    assert (one.state, one.sequence) == (BookState.LIVE, 14)
    assert states(out) == [
        BookState.SYNCING, BookState.LIVE, BookState.SUSPECT, BookState.SYNCING, BookState.LIVE]  # fmt: skip


def test_a_gap_among_buffered_updates_is_found_when_the_snapshot_comes() -> None:
    one, out = book(BinanceSpotRule())
    one.on_delta(delta(11, 12), out)
    one.on_delta(delta(15, 16), out)
    assert not one.on_snapshot(snapshot(11), out)
    assert one.state is BookState.SUSPECT
    assert one.buffered == 1
    assert one.on_snapshot(snapshot(15), out)
    assert one.sequence == 16


def test_a_repeated_update_is_ignored_even_when_its_levels_differ() -> None:
    one, out = book(BinanceSpotRule())
    one.on_snapshot(snapshot(10), out)
    one.on_delta(delta(11, 12, bids=((100, 7),)), out)
    one.on_delta(delta(11, 12, bids=((100, 9),)), out)
    assert dict(one.bids.top())[100] == 7
    assert one.counters.duplicates == 1


def test_futures_follow_the_previous_id_and_skipping_ids_are_no_gap() -> None:
    one, out = book(BinanceFuturesRule())
    one.on_delta(delta(90, 95, previous=80), out)
    one.on_delta(delta(99, 110, previous=95), out)
    assert one.on_snapshot(snapshot(100), out)
    one.on_delta(delta(150, 160, previous=110), out)
    assert (one.state, one.sequence) == (BookState.LIVE, 160)
    one.on_delta(delta(99, 110, previous=95), out)
    assert one.counters.duplicates == 1
    one.on_delta(delta(180, 190, previous=170), out)
    assert one.state is BookState.SUSPECT


def test_a_gapless_stream_needs_exactly_the_next_id() -> None:
    one, out = book(GaplessRule())
    one.on_snapshot(snapshot(1), out)
    one.on_delta(delta(2, 2), out)
    assert one.state is BookState.LIVE
    one.on_delta(delta(4, 4), out)
    assert one.state is BookState.SUSPECT


def test_a_failed_checksum_publishes_nothing_of_the_update() -> None:
    one = MirrorBook(instrument(), KrakenChecksumRule(), checksum=lambda _: 7)
    out: list = []
    one.on_snapshot(snapshot(1, checksum=7), out)
    one.on_delta(delta(2, 2, bids=((100, 6),), checksum=7), out)
    before = len(out)
    one.on_delta(delta(3, 3, bids=((100, 8),), checksum=8), out)
    assert [type(event) for event in out[before:]] == [FeedGap, FeedState]
    assert one.state is BookState.SUSPECT
    one.on_delta(delta(4, 4, bids=((100, 9),), checksum=7), out)
    assert len(out) == before + 2, "updates of a broken Kraken book are not published"
    with pytest.raises(ValueError, match="checksum"):
        MirrorBook(instrument(), KrakenChecksumRule())


def test_a_book_crossed_for_more_than_250_ms_breaks_and_a_shorter_crossing_does_not() -> None:
    one, out = book(BinanceSpotRule())
    one.on_snapshot(snapshot(10), out)
    one.on_delta(delta(11, 11, bids=((101, 1),)), out)
    one.on_time(T0 + 250_000_000, out)
    assert one.state is BookState.LIVE
    one.on_delta(delta(12, 12, bids=((101, 0),), at_ns=T0 + 250_000_000), out)
    one.on_delta(delta(13, 13, bids=((101, 1),), at_ns=T0 + 300_000_000), out)
    one.on_time(T0 + 551_000_000, out)
    assert one.state is BookState.SUSPECT
    assert one.wants_snapshot
    assert one.counters.crossed == 1


def test_a_silent_book_is_quarantined_and_the_next_update_brings_it_back_without_a_snapshot() -> None:
    one, out = book(BinanceSpotRule())
    one.on_snapshot(snapshot(10), out)
    assert isinstance(one.top(T0 + 2 * SECOND), Known)
    assert isinstance(one.top(T0 + 2 * SECOND + 1), Stale), "reading knows the age even before the tick"
    one.on_time(T0 + 2 * SECOND + 1, out)
    assert (one.state, one.wants_snapshot) == (BookState.SUSPECT, False)
    one.on_time(T0 + 9 * SECOND, out)
    assert states(out)[-1] is BookState.SUSPECT
    assert states(out).count(BookState.SUSPECT) == 1
    one.on_delta(delta(11, 11, bids=((99, 6),), at_ns=T0 + 9 * SECOND), out)
    assert one.state is BookState.LIVE
    assert isinstance(out[-2], BookDelta), "the update itself is published before the book is live again"


def test_reading_the_top_never_refreshes_its_age() -> None:
    one, out = book(BinanceSpotRule())
    one.on_snapshot(snapshot(10), out)
    first = one.top(T0 + SECOND)
    second = one.top(T0 + SECOND + SECOND // 2)
    assert isinstance(first, Known)
    assert isinstance(second, Known)
    assert first.as_of_ns == second.as_of_ns == T0


def test_a_ticker_confirms_the_book_only_when_it_agrees_with_it() -> None:
    one, out = book(BinanceSpotRule())
    one.on_snapshot(snapshot(10), out)

    def ticker(bid: int, at_ns: int) -> TopOfBook:
        return TopOfBook(symbol="BTC/USDT", bid_ticks=bid, bid_lots=1, ask_ticks=101, ask_lots=1, sequence=1,
                         venue_ts_ns=None, recv_ts_ns=at_ns, recv_mono_ns=0, epoch=1)  # fmt: skip

    one.confirm_top(ticker(99, T0 + SECOND))
    assert one.as_of_ns == T0
    one.confirm_top(ticker(100, T0 + SECOND))
    assert one.as_of_ns == T0 + SECOND


@pytest.mark.parametrize(
    ("bids", "asks", "reason"),
    [
        (((80_000, 1), (100_000, 0), (99_999, 0)), (), "spread"),
        (((100_000, 0), (99_999, 0), (85_000, 1)), ((100_001, 0), (100_002, 0), (85_001, 1)), "mid moved"),
        (((100_000, 0), (99_999, 0)), (), "one side empty"),
    ],
    ids=["torn spread", "jump", "one side"],
)
def test_an_implausible_book_is_quarantined_and_returns_when_plausible(
    bids: tuple, asks: tuple, reason: str
) -> None:
    one, out = book(BinanceSpotRule())
    one.on_snapshot(snapshot(10, ((100_000, 1), (99_999, 1)), ((100_001, 1), (100_002, 1))), out)
    now_ns = T0
    for step in range(70):
        now_ns += SECOND
        one.on_delta(delta(11 + step, 11 + step, bids=((99_999, 2 + step),), at_ns=now_ns), out)
    assert one.state is BookState.LIVE
    one.on_delta(delta(81, 81, bids=bids, asks=asks, at_ns=now_ns + 1), out)
    one.on_time(now_ns + 300_000_000, out)
    assert one.state is BookState.SUSPECT
    assert reason in one.reason
    assert not one.wants_snapshot
    back = ((100_000, 1), (80_000, 0), (85_000, 0))
    asks_back = ((100_001, 1), (100_002, 1), (85_001, 0))
    one.on_delta(delta(82, 82, bids=back, asks=asks_back, at_ns=now_ns + 400_000_000), out)
    assert one.state is BookState.LIVE


def test_buffered_updates_are_bounded_by_count_and_by_age() -> None:
    limits = BookLimits(max_buffered_diffs=10)
    one, out = book(BinanceSpotRule(), limits)
    for number in range(25):
        one.on_delta(delta(number, number), out)
    assert one.buffered <= 10
    assert one.counters.buffer_restarts == 2
    old, out = book(BinanceSpotRule())
    old.on_delta(delta(1, 1), out)
    old.on_delta(delta(2, 2, at_ns=T0 + 30 * SECOND + 1), out)
    assert (old.buffered, old.counters.buffer_restarts) == (1, 1)


def test_a_bounded_book_publishes_what_it_drops_so_that_copies_stay_equal() -> None:
    one, out = book(BinanceSpotRule(), BookLimits(max_levels=3))
    one.on_snapshot(snapshot(10, ((100, 1), (99, 1), (98, 1)), ((101, 1),)), out)
    one.on_delta(delta(11, 11, bids=((97, 1), (100, 2))), out)
    published = [event for event in out if isinstance(event, BookDelta)][-1]
    assert dict(published.bids) == {97: 0, 100: 2}
    assert len(one.bids) == 3


def test_the_horizon_moves_in_when_levels_are_dropped_and_asks_for_a_new_snapshot() -> None:
    one, out = book(BinanceSpotRule(), BookLimits(max_levels=20, min_complete_levels=10))
    bids = tuple((1_000 - rank, 1) for rank in range(20))
    asks = tuple((1_001 + rank, 1) for rank in range(20))
    one.on_snapshot(snapshot(10, bids, asks), out)
    assert (one.bids.horizon_ticks, one.bids.complete_levels(), one.horizon_reached) == (981, 20, False)
    one.on_delta(delta(11, 11, bids=tuple((1_000 - rank, 0) for rank in range(11))), out)
    one.on_delta(delta(12, 12, bids=tuple((900 - rank, 1) for rank in range(5))), out)
    assert (one.bids.complete_levels(), len(one.bids), one.horizon_reached) == (9, 14, True)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.sets(st.integers(1, 199), min_size=1, max_size=5))
def test_no_dropped_update_ever_goes_unnoticed(seed: int, dropped: set[int]) -> None:
    rng = random.Random(seed)
    one, out = book(BinanceSpotRule())
    one.on_snapshot(snapshot(0), out)
    sequence = 0
    missing = False
    for number in range(200):
        first, sequence = sequence + 1, sequence + rng.randint(1, 5)
        if number in dropped:
            missing = True
            continue
        one.on_delta(delta(first, sequence, bids=((rng.randint(50, 99), rng.randint(0, 9)),)), out)
        if missing:
            assert one.state is BookState.SUSPECT
            one.begin_sync(T0, "again", out)
            assert one.on_snapshot(snapshot(sequence), out)
            missing = False
    assert one.state is BookState.LIVE
    assert one.counters.gaps >= 1 or dropped == {199}


@pytest.mark.parametrize(("gap_ms", "budget_s"), [(100, 2), (499, 2), (600, 2.4), (5_000, 20), (20_000, 30)])
def test_the_staleness_budget_follows_the_symbols_own_rhythm(gap_ms: int, budget_s: float) -> None:
    budget = StalenessBudget(HealthLimits())
    assert budget.budget_ns() == 2 * SECOND, "nothing known yet: the strictest budget"
    for number in range(300):
        budget.observe(number * gap_ms * 1_000_000)
    assert budget.budget_ns() == int(budget_s * SECOND)


def test_more_than_one_percent_of_failures_in_a_minute_is_exceeded_and_ages_out() -> None:
    window = ErrorRateWindow()
    for number in range(1_000):
        window.observe(T0, failed=number < 10)
    assert not window.exceeded(T0)
    window.observe(T0, failed=True)
    assert window.exceeded(T0)
    assert not window.exceeded(T0 + 61 * SECOND)
