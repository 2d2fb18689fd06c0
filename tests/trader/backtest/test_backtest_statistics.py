"""The formulas of T14.7 against high-precision references, published examples and their own properties."""

from __future__ import annotations

import math
import random

import mpmath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.trader.backtest.statistics import (
    Moments,
    annualised,
    block_length,
    bootstrap_mean,
    deflated_sharpe,
    expected_best_sharpe,
    max_drawdown,
    minimum_track_record,
    moments,
    overfitting,
    probabilistic_sharpe,
    returns_of,
    sortino,
)

mpmath.mp.dps = 40
SHARPES = st.floats(-2, 2)
SKEWS = st.floats(-2, 2)


def reference_psr(sharpe: float, star: float, n: int, skew: float, kurtosis: float) -> mpmath.mpf:
    s = mpmath.mpf(sharpe)
    variance = 1 - skew * s + (mpmath.mpf(kurtosis) - 1) / 4 * s**2
    return mpmath.ncdf((s - star) * mpmath.sqrt(n - 1) / mpmath.sqrt(variance))


def reference_quantile(p: mpmath.mpf) -> mpmath.mpf:
    return mpmath.sqrt(2) * mpmath.erfinv(2 * p - 1)


def test_the_published_deflated_sharpe_example_is_reproduced() -> None:
    # Bailey and López de Prado 2014, numerical example: annual ratio 2.5 over 1250 days, 100 trials whose
    # annual ratios have variance 0.5, skew -3, kurtosis 10: S* = 0.1132 a day and DSR about 0.9004.
    daily, star = 2.5 / math.sqrt(250), expected_best_sharpe(100, 0.5 / 250)
    assert star == pytest.approx(0.1132, abs=5e-5)
    sample = Moments(n=1250, mean=0.0, deviation=1.0, sharpe=daily, skew=-3.0, kurtosis=10.0)
    assert deflated_sharpe(sample, 100, 0.5 / 250) == pytest.approx(0.9004, abs=5e-5)
    # With 46 trials the same strategy would pass 95 %, as the paper says.
    assert deflated_sharpe(sample, 46, 0.5 / 250) == pytest.approx(0.9505, abs=1e-3)


def test_the_published_minimum_track_record_is_reproduced() -> None:
    # The Sharpe Ratio Efficient Frontier, 2012: normal monthly returns, annual ratio 2 against 1 at 95 %:
    # 2.73 years of daily observations.
    sample = Moments(n=1, mean=0.0, deviation=1.0, sharpe=2 / math.sqrt(250), skew=0.0, kurtosis=3.0)
    assert minimum_track_record(sample, 1 / math.sqrt(250)) / 250 == pytest.approx(2.73, abs=0.01)


@given(SHARPES, SHARPES, st.integers(2, 5_000), SKEWS, st.floats(3, 20))
def test_psr_equals_the_reference_and_stays_a_probability(
    sharpe: float, star: float, n: int, skew: float, kurtosis: float
) -> None:
    inside = 1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2
    value = probabilistic_sharpe(sharpe, star, n, skew, kurtosis)
    if inside <= 0:
        assert value is None
    else:
        assert value is not None and 0 <= value <= 1
        assert value == pytest.approx(float(reference_psr(sharpe, star, n, skew, kurtosis)), abs=1e-9)


@given(st.floats(0.01, 1), st.integers(3, 2_000), SKEWS, st.floats(5, 20))
def test_psr_rises_with_the_ratio_s_lead_and_with_the_track_record(
    sharpe: float, n: int, skew: float, kurtosis: float
) -> None:
    low = probabilistic_sharpe(sharpe, sharpe / 2, n, skew, kurtosis)
    high = probabilistic_sharpe(sharpe, 0.0, n, skew, kurtosis)
    longer = probabilistic_sharpe(sharpe, sharpe / 2, 2 * n, skew, kurtosis)
    assert low is not None and high is not None and longer is not None
    assert low <= high
    assert low <= longer
    assert probabilistic_sharpe(sharpe, sharpe, n, skew, kurtosis) == 0.5


@pytest.mark.parametrize("trials", [2, 3, 10, 100, 10_000])
def test_the_expected_best_sharpe_equals_the_reference(trials: int) -> None:
    e = mpmath.mpf("0.5772156649")
    star = mpmath.sqrt(mpmath.mpf("0.04")) * (
        (1 - e) * reference_quantile(1 - mpmath.mpf(1) / trials)
        + e * reference_quantile(1 - 1 / (trials * mpmath.e))
    )
    assert expected_best_sharpe(trials, 0.04) == pytest.approx(float(star), rel=1e-7)


@given(st.integers(2, 100_000), st.floats(0, 4))
def test_more_trials_and_more_variance_deflate_more(trials: int, variance: float) -> None:
    star = expected_best_sharpe(trials, variance)
    assert star is not None
    assert star <= (expected_best_sharpe(trials + 1, variance) or 0.0) + 1e-12
    assert star <= (expected_best_sharpe(trials, variance + 0.1) or 0.0)


def test_one_trial_has_no_deflation_and_several_of_unknown_variance_are_insufficient() -> None:
    assert expected_best_sharpe(1, None) == 0.0
    assert expected_best_sharpe(2, None) is None
    sample = moments([1.0, 2.0, 3.0, 1.0])
    assert deflated_sharpe(sample, 2, None) is None
    for trials, variance in ((0, 1.0), (2, -1.0), (2, float("nan"))):
        with pytest.raises(ValueError, match="trials"):
            expected_best_sharpe(trials, variance)


def test_a_radicand_that_is_not_positive_is_insufficient() -> None:
    # S = 1, skew 3, kurtosis 5: 1 - 3 + 1 = -1
    assert probabilistic_sharpe(1.0, 0.0, 100, 3.0, 5.0) is None
    sample = Moments(n=100, mean=1.0, deviation=1.0, sharpe=1.0, skew=3.0, kurtosis=5.0)
    assert deflated_sharpe(sample, 1, None) is None
    assert minimum_track_record(sample, 0.0) is None


@given(st.floats(0.02, 1), SKEWS, st.floats(5, 20))
def test_at_the_minimum_track_record_psr_is_95_percent(sharpe: float, skew: float, kurtosis: float) -> None:
    sample = Moments(n=1, mean=sharpe, deviation=1.0, sharpe=sharpe, skew=skew, kurtosis=kurtosis)
    length = minimum_track_record(sample, 0.0)
    assert length is not None and length > 1
    inside = 1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2
    reached = mpmath.ncdf(sharpe * mpmath.sqrt(length - 1) / mpmath.sqrt(inside))
    assert float(reached) == pytest.approx(0.95, abs=1e-9)


def test_a_ratio_below_the_benchmark_never_has_a_long_enough_record() -> None:
    assert minimum_track_record(moments([1.0, -1.0, 0.5, -0.6]), 0.0) is None


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=60))
def test_moments_equal_the_reference_and_obey_pearson(values: list[float]) -> None:
    found = moments(values)
    n = len(values)
    mean = mpmath.fsum(values) / n
    second = mpmath.fsum((mpmath.mpf(one) - mean) ** 2 for one in values) / n
    if found.sharpe is None:
        assert float(second) <= 1e-20 * max(1.0, *map(abs, values)) ** 2
        return
    assert found.sharpe == pytest.approx(float(mean / mpmath.sqrt(second * n / (n - 1))), rel=1e-6, abs=1e-9)
    assert found.skew is not None and found.kurtosis is not None
    assert found.kurtosis >= found.skew**2 + 1 - 1e-6


def test_the_bootstrap_interval_is_seeded_ordered_and_wider_for_longer_blocks_of_a_trend() -> None:
    values = [math.sin(place / 20) for place in range(400)]
    first, again = bootstrap_mean(values, 40, 7), bootstrap_mean(values, 40, 7)
    assert first == again
    assert first != bootstrap_mean(values, 40, 8)
    assert first.low is not None and first.high is not None and first.mean is not None
    assert first.low <= first.mean <= first.high
    single = bootstrap_mean(values, 1, 7)
    assert single.low is not None and single.high is not None
    assert first.high - first.low > 2 * (single.high - single.low)


def test_the_bootstrap_interval_covers_the_true_mean_about_19_times_of_20() -> None:
    generator = random.Random(5)
    hits = 0
    for seed in range(80):
        found = bootstrap_mean([generator.gauss(0.3, 1.0) for _ in range(40)], 1, seed)
        assert found.low is not None and found.high is not None
        hits += found.low <= 0.3 <= found.high
    assert 70 <= hits <= 80


@given(st.lists(st.floats(-100, 100), max_size=40), st.integers(1, 60), st.integers(0, 9))
def test_the_bootstrap_stays_inside_of_the_sample(values: list[float], block: int, seed: int) -> None:
    found = bootstrap_mean(values, block, seed)
    if len(values) < 2:
        assert found.low is None
    else:
        assert found.low is not None and found.high is not None
        assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9


def test_the_block_is_what_overlaps_during_a_mean_holding_time() -> None:
    second = 10**9
    starts = [place * second for place in range(11)]
    assert block_length(starts, [second // 2] * 11) == 1
    assert block_length(starts, [3 * second] * 11) == 3
    assert block_length(starts, [900 * second] * 11) == 5
    assert block_length([5], [1]) == 1
    assert block_length([5, 5, 5, 5], [1] * 4) == 2


def test_drawdown_sortino_and_annual_ratio_by_hand() -> None:
    assert max_drawdown([100, 120, 90, 130, 117]) == (pytest.approx(0.25), 1, 2)
    assert max_drawdown([1, 2, 3]) == (0.0, 0, 0)
    assert sortino([0.1, -0.1, 0.2]) == pytest.approx((0.2 / 3) / math.sqrt(0.01 / 3))
    assert sortino([0.1]) is None
    assert sortino([]) is None
    assert annualised(0.1, 86_400) == pytest.approx(0.1 * math.sqrt(365))
    assert annualised(None, 1) is None
    assert returns_of([100, 110, 99]) == [pytest.approx(0.1), pytest.approx(-0.1)]


@given(st.lists(st.floats(1, 1_000), min_size=1, max_size=50), st.floats(0.5, 3))
def test_drawdown_is_a_fraction_and_does_not_change_with_the_unit(equity: list[float], unit: float) -> None:
    worst, peak, trough = max_drawdown(equity)
    assert 0 <= worst < 1
    assert peak <= trough
    assert max_drawdown([one * unit for one in equity])[0] == pytest.approx(worst)


def test_worthless_trials_are_overfitted_about_half_of_the_time_and_a_true_one_never() -> None:
    generator = random.Random(3)
    rates = []
    for _ in range(6):
        noise = [[generator.gauss(0, 1) for _ in range(160)] for _ in range(20)]
        found = overfitting(noise)
        assert found.splits == 70
        rates.append(found.probability)
    assert 0.3 < sum(rates) / len(rates) < 0.7
    skilled = [[generator.gauss(0, 1) for _ in range(160)] for _ in range(9)]
    skilled.append([generator.gauss(1.0, 1) for _ in range(160)])
    assert overfitting(skilled).probability == 0.0


def test_a_trial_that_wins_one_half_by_losing_the_other_is_always_overfitted() -> None:
    # Two trials that mirror each other: whoever wins inside loses outside.
    first = [1.0 + (place % 3) / 10 for place in range(8)] + [-1.0 - (place % 3) / 10 for place in range(8)]
    second = [-one for one in first]
    assert overfitting([first, second], 2).probability == 1.0


def test_overfitting_needs_two_trials_and_two_periods_a_block() -> None:
    assert overfitting([[1.0] * 100]).probability is None
    assert overfitting([[1.0] * 15, [2.0] * 15]).probability is None
    with pytest.raises(ValueError, match="even"):
        overfitting([[1.0] * 9, [2.0] * 9], 3)
