"""Incremental indicators equal their published definitions, computed anew with 50 digits over all bars."""

from __future__ import annotations

import math
from itertools import pairwise

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mpf

from tradewind.trader.indicators import (
    Adx,
    Atr,
    Bollinger,
    Extremes,
    MedianVolume,
    NotANumber,
    Rsi,
    ticks_down,
    ticks_up,
)
from tradewind.trader.strategy import Bar

mpmath.mp.dps = 50


def bar(index: int, prices: tuple[int, int, int, int], lots: int = 1) -> Bar:
    low, high = min(prices), max(prices)
    return Bar(
        symbol="X", start_ns=index * 60 * 10**9, seconds=60, open_ticks=prices[0], high_ticks=high,
        low_ticks=low, close_ticks=prices[3], lots=lots, trades=1,
    )  # fmt: skip


price = st.integers(1, 10_000_000)
closes = st.lists(price, min_size=1, max_size=80)
bars = st.lists(st.tuples(price, price, price, price), min_size=1, max_size=80).map(
    lambda rows: [bar(index, row) for index, row in enumerate(rows)]
)
periods = st.integers(2, 20)


def wilder(values: list[mpf], period: int) -> mpf | None:
    if len(values) < period:
        return None
    mean = mpmath.fsum(values[:period]) / period
    for value in values[period:]:
        mean = (mean * (period - 1) + value) / period
    return mean


def close_to(got: float | None, want: mpf | None) -> bool:
    if got is None or want is None:
        return got is None and want is None
    return math.isclose(got, float(want), rel_tol=1e-9, abs_tol=1e-7)


@given(values=closes, period=periods, width=st.sampled_from([1.0, 2.0, 2.5]))
def test_bollinger_bands_are_mean_and_population_deviation(
    values: list[int], period: int, width: float
) -> None:
    bands = Bollinger(period, width)
    for value in values:
        bands.update(value)
    if len(values) < period:
        assert (bands.middle, bands.lower, bands.upper, bands.ready) == (None, None, None, False)
        return
    window = np.array(values[-period:], dtype=np.float64)
    assert close_to(bands.middle, mpmath.fsum(values[-period:]) / period)
    assert bands.deviation == pytest.approx(float(np.std(window)), rel=1e-7, abs=1e-5)
    assert bands.lower <= bands.middle <= bands.upper  # type: ignore[operator]
    assert bands.upper - bands.lower == pytest.approx(2 * width * bands.deviation)  # type: ignore[operator]


def test_a_flat_price_has_a_deviation_of_exactly_zero_however_high_it_is() -> None:
    bands = Bollinger(3)
    for value in (5, 9, 2**53 + 1, 2**53 + 1, 2**53 + 1):
        bands.update(value)
    assert bands.deviation == 0


def reference_rsi(values: list[int], period: int) -> mpf | None:
    changes = [after - before for before, after in pairwise(values)]
    gain = wilder([mpf(max(change, 0)) for change in changes], period)
    loss = wilder([mpf(max(-change, 0)) for change in changes], period)
    if gain is None or loss is None:
        return None
    if loss == 0:
        return mpf(50) if gain == 0 else mpf(100)
    return 100 - 100 / (1 + gain / loss)


@given(values=closes, period=periods)
def test_rsi_is_wilders(values: list[int], period: int) -> None:
    index = Rsi(period)
    for value in values:
        index.update(value)
    assert close_to(index.value, reference_rsi(values, period))
    assert index.value is None or 0 <= index.value <= 100


def ranges(rows: list[Bar]) -> list[mpf]:
    return [
        mpf(
            max(
                after.high_ticks - after.low_ticks,
                abs(after.high_ticks - before.close_ticks),
                abs(after.low_ticks - before.close_ticks),
            )
        )
        for before, after in pairwise(rows)
    ]


@given(rows=bars, period=periods)
def test_atr_is_wilders(rows: list[Bar], period: int) -> None:
    atr = Atr(period)
    for row in rows:
        atr.update(row)
    assert close_to(atr.value, wilder(ranges(rows), period))


def reference_adx(rows: list[Bar], period: int) -> mpf | None:
    """With Wilder's own smoothed sums: sum - sum / period + value."""
    plus, minus = [], []
    for before, after in pairwise(rows):
        up, down = after.high_ticks - before.high_ticks, before.low_ticks - after.low_ticks
        plus.append(mpf(up if up > max(down, 0) else 0))
        minus.append(mpf(down if down > max(up, 0) else 0))
    if len(plus) < period:
        return None
    sums = [mpmath.fsum(values[:period]) for values in (plus, minus)]
    indices = []
    for index in range(period - 1, len(plus)):
        if index >= period:
            pair = zip(sums, (plus, minus), strict=True)
            sums = [total - total / period + values[index] for total, values in pair]
        total = sums[0] + sums[1]
        indices.append(100 * abs(sums[0] - sums[1]) / total if total else mpf(0))
    return wilder(indices, period)


@given(rows=bars, period=periods)
def test_adx_is_wilders(rows: list[Bar], period: int) -> None:
    adx = Adx(period)
    for row in rows:
        adx.update(row)
    assert close_to(adx.value, reference_adx(rows, period))
    assert (adx.value is None) is (len(rows) < 2 * period)


def test_a_steady_rise_has_an_adx_of_100_and_an_rsi_of_100() -> None:
    adx, rsi = Adx(14), Rsi(14)
    for index in range(40):
        base = 1_000 + 10 * index
        adx.update(bar(index, (base, base + 5, base - 5, base)))
        rsi.update(base)
    assert (adx.value, rsi.value) == (pytest.approx(100), 100)


@given(values=st.lists(st.integers(0, 1_000), min_size=1, max_size=60), period=periods)
def test_median_volume_is_the_median_of_the_window(values: list[int], period: int) -> None:
    median = MedianVolume(period)
    for value in values:
        median.update(value)
    want = None if len(values) < period else float(np.median(values[-period:]))
    assert median.value == want


@given(rows=bars, period=periods)
def test_extremes_are_those_of_the_window(rows: list[Bar], period: int) -> None:
    extremes = Extremes(period)
    for row in rows:
        extremes.update(row)
    if len(rows) < period:
        assert (extremes.highest, extremes.lowest) == (None, None)
    else:
        assert extremes.highest == max(row.high_ticks for row in rows[-period:])
        assert extremes.lowest == min(row.low_ticks for row in rows[-period:])


def test_a_statistic_becomes_a_price_only_by_explicit_rounding() -> None:
    assert (ticks_down(10.9), ticks_up(10.1), ticks_down(-0.5), ticks_up(10.0)) == (10, 11, -1, 10)
    for value in (math.nan, math.inf, -math.inf):
        for rounded in (ticks_down, ticks_up):
            with pytest.raises(NotANumber):
                rounded(value)


@pytest.mark.parametrize("made", [Bollinger, Rsi, Atr, Adx, MedianVolume, Extremes])
def test_a_period_out_of_bounds_is_refused(made: type) -> None:
    for period in (0, -1, 10_001):
        with pytest.raises(ValueError, match="period"):
            made(period)
