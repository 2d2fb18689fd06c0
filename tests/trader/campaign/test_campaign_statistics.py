"""The statistics of the checklist against published values, numpy, and simulation."""

from __future__ import annotations

import random

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.trader.campaign.statistics import (
    Histogram,
    mean,
    probabilistic_sharpe,
    robust_deviation,
    slope,
    wilson,
)


def test_the_slope_is_that_of_least_squares() -> None:
    rng = random.Random(1)
    times = [index / 60 for index in range(200)]
    values = [3 * one + rng.gauss(0, 1) for one in times]
    found = slope(times, values)
    assert found is not None
    assert found.estimate == pytest.approx(numpy.polyfit(times, values, 1)[0])
    assert found.low < 3 < found.high


def _autocorrelated(rng: random.Random, count: int, share: float) -> list[float]:
    values, now = [], 0.0
    for _ in range(count):
        now = share * now + rng.gauss(0, 1)
        values.append(now)
    return values


def test_autocorrelated_samples_do_not_look_like_a_leak() -> None:
    """Plain errors would call a third of these level series a trend; these may not do so often."""
    rng = random.Random(3)
    times = [index / 60 for index in range(600)]
    found = [slope(times, _autocorrelated(rng, 600, 0.8)) for _ in range(200)]
    alarms = sum(one is not None and not one.low <= 0 <= one.high for one in found)
    assert alarms <= 30


def test_a_leak_of_a_megabyte_an_hour_is_seen_in_noise() -> None:
    rng = random.Random(4)
    times = [index / 60 for index in range(1_380)]
    noise = _autocorrelated(rng, 1_380, 0.8)
    found = slope(times, [one + level for one, level in zip(times, noise, strict=True)])
    assert found is not None
    assert found.low > 0.5


def test_too_few_samples_give_no_slope() -> None:
    assert slope(list(range(29)), list(range(29))) is None
    assert slope([1.0] * 40, [1.0] * 40) is None


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (0, 10_000, 0.0, 0.000384)],
)
def test_wilson_gives_the_published_intervals(hits: int, total: int, low: float, high: float) -> None:
    found = wilson(hits, total)
    assert found is not None
    assert found.low == pytest.approx(low, abs=1e-4)
    assert found.high == pytest.approx(high, abs=1e-4)


def test_nothing_tried_has_no_share() -> None:
    assert wilson(0, 0) is None
    assert mean([1.0]) is None


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60))
def test_a_percentile_of_the_histogram_is_within_its_bucket(values: list[float]) -> None:
    histogram = Histogram()
    for one in values:
        histogram.observe(one)
    exact = sorted(values)[-1]
    told = histogram.quantile(1.0)
    assert told is not None
    assert exact <= told * 1.000001
    assert told <= max(exact * 1.05, 0.001) * 1.000001
    assert histogram.mean == pytest.approx(sum(values) / len(values))


def test_two_histograms_add_up() -> None:
    one, other = Histogram(), Histogram()
    one.observe(1.0)
    other.observe(100.0)
    one.add(other)
    assert (one.samples, one.mean) == (2, 50.5)
    assert Histogram().quantile(0.5) is None


def test_the_probabilistic_sharpe_ratio_of_symmetric_returns_is_a_half() -> None:
    assert probabilistic_sharpe([-1.0, 1.0, -1.0, 1.0]) == pytest.approx(0.5)
    assert probabilistic_sharpe([1.0, 1.0, 1.0]) is None
    good = probabilistic_sharpe([1.0, 1.1, 0.9, 1.2, 0.8] * 10)
    assert good is not None
    assert good > 0.99


def test_the_robust_deviation_is_that_of_a_normal_distribution() -> None:
    rng = random.Random(5)
    assert robust_deviation([rng.gauss(0, 2) for _ in range(4_000)]) == pytest.approx(2, rel=0.06)
