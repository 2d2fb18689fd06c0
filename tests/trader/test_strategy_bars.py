"""Bars equal a naive reference over the same prints, whatever their order, gaps and clock."""

from __future__ import annotations

import random
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.trader.bars import MAX_FILLED, BadPrint, BarBuilder, Candle, CandleBars, bars_of
from tradewind.trader.strategy import Bar
from tradewind.venues.market_data import Instrument

SECOND_NS = 1_000_000_000
MIDNIGHT_NS = 1_483_228_800 * SECOND_NS
"""2017-01-01 00:00 UTC: the second before it was a leap second."""
INSTRUMENT = Instrument(
    venue="test", symbol="BTC/USDT", venue_symbol="BTCUSDT", base="BTC", quote="USDT", tick=Decimal("0.1"),
    lot=Decimal("0.01"), price_decimals=1, quantity_decimals=2, source="facts",
)  # fmt: skip
BEGIN_NS = MIDNIGHT_NS - 300 * SECOND_NS
Print = tuple[int, int, int]


def naive(prints: list[Print], seconds: int, begin_ns: int, end_ns: int) -> list[Bar]:
    """Every bar between two aligned moments, one after the other, each from all of its prints."""
    length, bars, last = seconds * SECOND_NS, [], None
    for start in range(begin_ns, end_ns, length):
        inside = [one for one in prints if start <= one[2] < start + length]
        inside.sort(key=lambda one: one[2])
        prices = [one[0] for one in inside] or ([last] if last is not None else [])
        if not prices:
            continue
        last = prices[-1]
        bars.append(
            Bar(
                symbol="X", start_ns=start, seconds=seconds, open_ticks=prices[0], high_ticks=max(prices),
                low_ticks=min(prices), close_ticks=last, lots=sum(one[1] for one in inside),
                trades=len(inside),
            )
        )  # fmt: skip
    return bars


prints = st.lists(
    st.tuples(st.integers(1, 1_000), st.integers(0, 50), st.integers(0, 900 * 1_000)), max_size=60
).map(
    lambda rows: [(price, lots, MIDNIGHT_NS - 300 * SECOND_NS + ms * 1_000_000) for price, lots, ms in rows]
)


@given(rows=prints, seconds=st.sampled_from([1, 5, 60, 300]))
def test_bars_equal_the_naive_reference(rows: list[Print], seconds: int) -> None:
    begin, end = MIDNIGHT_NS - 300 * SECOND_NS, MIDNIGHT_NS + 600 * SECOND_NS
    rows = sorted(rows, key=lambda one: one[2])
    builder = BarBuilder("X", seconds)
    assert builder.on_time(begin) == []
    bars = [bar for row in rows for bar in builder.on_trade(*row)] + builder.on_time(end)
    assert bars == naive(rows, seconds, begin, end)
    assert builder.counts.prints == len(rows)
    assert all(bar.start_ns % (seconds * SECOND_NS) == 0 for bar in bars)
    assert all(after.start_ns == before.end_ns for before, after in pairwise(bars))


@given(rows=prints, seed=st.integers(0, 1_000), ticks=st.lists(st.integers(0, 60), max_size=20))
def test_order_inside_of_a_bar_and_calls_of_the_clock_change_nothing(
    rows: list[Print], seed: int, ticks: list[int]
) -> None:
    begin, end = MIDNIGHT_NS - 300 * SECOND_NS, MIDNIGHT_NS + 600 * SECOND_NS
    unique = list({row[2]: row for row in rows}.values())
    groups: dict[int, list[Print]] = {}
    for row in sorted(unique, key=lambda one: one[2]):
        groups.setdefault(row[2] // (60 * SECOND_NS), []).append(row)
    generator = random.Random(seed)
    builder, bars = BarBuilder("X", 60), []
    builder.on_time(begin)
    for minute, group in groups.items():
        generator.shuffle(group)
        for row in group:
            bars += builder.on_trade(*row)
            for second in ticks:
                bars += builder.on_time(min(row[2], minute * 60 * SECOND_NS + second * SECOND_NS))
    assert bars + builder.on_time(end) == naive(unique, 60, begin, end)


def test_a_late_print_is_counted_and_changes_no_bar() -> None:
    builder = BarBuilder("X", 60)
    builder.on_time(MIDNIGHT_NS)
    builder.on_trade(100, 1, MIDNIGHT_NS)
    assert len(builder.on_time(MIDNIGHT_NS + 60 * SECOND_NS)) == 1
    assert builder.on_trade(900, 5, MIDNIGHT_NS + 59 * SECOND_NS) == []
    assert builder.counts.late == 1
    (bar,) = builder.on_time(MIDNIGHT_NS + 120 * SECOND_NS)
    assert (bar.close_ticks, bar.lots, bar.trades) == (100, 0, 0)


def test_the_bar_in_which_watching_began_is_not_given_out() -> None:
    builder = BarBuilder("X", 60)
    builder.on_trade(100, 1, MIDNIGHT_NS + 1)
    assert builder.on_trade(101, 1, MIDNIGHT_NS + 61 * SECOND_NS) == []
    (bar,) = builder.on_time(MIDNIGHT_NS + 120 * SECOND_NS)
    assert bar.start_ns == MIDNIGHT_NS + 60 * SECOND_NS


def test_a_bar_ends_at_its_last_nanosecond_and_never_crosses_midnight() -> None:
    builder = BarBuilder("X", 300)
    builder.on_time(MIDNIGHT_NS - 300 * SECOND_NS)
    assert builder.on_trade(100, 1, MIDNIGHT_NS - 1) == []
    (bar,) = builder.on_trade(200, 1, MIDNIGHT_NS)
    assert (bar.end_ns, bar.high_ticks) == (MIDNIGHT_NS, 100)


def test_a_clock_that_goes_back_closes_nothing_and_one_that_jumps_ahead_leaves_whole_bars() -> None:
    builder = BarBuilder("X", 60)
    builder.on_time(MIDNIGHT_NS)
    builder.on_trade(100, 1, MIDNIGHT_NS + SECOND_NS)
    hour = 3_600 * SECOND_NS
    jumped = builder.on_time(MIDNIGHT_NS + hour)
    assert [bar.trades for bar in jumped] == [1] + [0] * 59
    assert builder.on_time(MIDNIGHT_NS + 2 * SECOND_NS) == []
    assert builder.on_trade(100, 1, MIDNIGHT_NS + 3 * SECOND_NS) == []
    assert (builder.counts.clock_back, builder.counts.late) == (1, 1)
    assert len(builder.on_time(MIDNIGHT_NS + hour + 60 * SECOND_NS)) == 1


def test_a_hole_that_is_too_long_is_left_open_and_a_print_from_far_ahead_is_refused() -> None:
    builder = BarBuilder("X", 60, max_ahead_s=7_200)
    builder.on_time(MIDNIGHT_NS)
    builder.on_trade(100, 1, MIDNIGHT_NS)
    assert builder.on_trade(100, 1, MIDNIGHT_NS + 7_201 * SECOND_NS) == []
    assert builder.counts.ahead == 1
    later = MIDNIGHT_NS + (MAX_FILLED + 2) * 60 * SECOND_NS
    assert [bar.start_ns for bar in builder.on_time(later)] == [MIDNIGHT_NS]
    assert builder.counts.holes == 1
    assert builder.on_time(later + 60 * SECOND_NS) == [], "no price is known behind a hole"


@pytest.mark.parametrize("row", [(0, 1, MIDNIGHT_NS), (-1, 1, MIDNIGHT_NS), (1, -1, MIDNIGHT_NS), (1, 1, -1)])
def test_an_impossible_print_is_refused_and_changes_nothing(row: Print) -> None:
    builder = BarBuilder("X", 60)
    with pytest.raises(BadPrint):
        builder.on_trade(*row)
    assert builder.open_start_ns is None


@pytest.mark.parametrize("seconds", [0, -60, 7, 86_401, 100_000])
def test_only_lengths_that_divide_a_day_are_built(seconds: int) -> None:
    with pytest.raises(ValueError, match="divide a day"):
        BarBuilder("X", seconds)


def candle(minute: int, prices: tuple[str, str, str, str], volume: str = "1", trades: int = 3) -> Candle:
    first, high, low, last = prices
    start = MIDNIGHT_NS + minute * 60 * SECOND_NS
    return Candle(start_ns=start, open=first, high=high, low=low, close=last, volume=volume, trades=trades)


def test_candles_become_the_same_bars_and_longer_ones() -> None:
    candles = [
        candle(0, ("10", "12", "9", "11")),
        candle(1, ("11", "11.5", "10.5", "11.5"), "0.019"),
        candle(3, ("12", "12", "12", "12"), "0", 0),
    ]
    minutes = bars_of(INSTRUMENT, candles, 60)
    assert [(bar.open_ticks, bar.high_ticks, bar.low_ticks, bar.close_ticks) for bar in minutes] == [
        (100, 120, 90, 110), (110, 115, 105, 115), (115, 115, 115, 115), (115, 115, 115, 115),
    ]  # fmt: skip
    assert [(bar.lots, bar.trades) for bar in minutes] == [(100, 3), (1, 3), (0, 0), (0, 0)]
    (whole,) = bars_of(INSTRUMENT, [*candles, candle(4, ("12", "13", "12", "13"))], 300, 60)
    assert (whole.open_ticks, whole.high_ticks, whole.low_ticks, whole.close_ticks) == (100, 130, 90, 130)
    assert (whole.lots, whole.trades) == (201, 9)


@pytest.mark.parametrize(
    "wrong",
    [
        candle(1, ("10", "9", "8", "9")),
        candle(1, ("10", "12", "11", "12")),
        candle(1, ("10.05", "12", "9", "11")),
        candle(1, ("10", "12", "9", "nan")),
        candle(0, ("10", "12", "9", "11")),
        Candle(start_ns=MIDNIGHT_NS + 1, open="1", high="1", low="1", close="1", volume="1"),
    ],
)
def test_a_candle_that_cannot_be_is_refused(wrong: Candle) -> None:
    made = CandleBars(INSTRUMENT, 60)
    made.on_candle(candle(0, ("10", "12", "9", "11")))
    with pytest.raises(BadPrint):
        made.on_candle(wrong)
    (bar,) = made.on_time(MIDNIGHT_NS + 60 * SECOND_NS)
    assert bar.close_ticks == 110
