"""Correlations for coverage: shrinkage, weights, and matrices that are made positive semidefinite (P9.4)."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.core.correlation import bucket_rho_ppm, eigen, measured_rho_ppm, pearson, repaired, shrunk


def test_thirty_samples_of_a_tenth_are_shrunk_to_three_tenths() -> None:
    assert shrunk(0.1, 30) == pytest.approx(0.3)
    assert shrunk(0.9, 0) == 0.5


def test_a_series_that_does_not_move_has_no_correlation_and_says_so() -> None:
    pair = pearson([1.0] * 60, [float(i) for i in range(60)])
    assert pair.flat and pair.value == shrunk(0.0, 60)


def test_equal_and_opposite_returns_correlate_fully_before_they_are_shrunk() -> None:
    series = [math.sin(i) for i in range(168)]
    assert pearson(series, series).value == pytest.approx(shrunk(1.0, 168))
    assert pearson(series, [-x for x in series]).value == pytest.approx(shrunk(-1.0, 168))


@pytest.mark.parametrize("bad", [([1.0], [1.0, 2.0]), ([math.nan], [1.0]), ([math.inf], [1.0])])
def test_returns_that_do_not_fit_are_refused(bad: tuple[list[float], list[float]]) -> None:
    with pytest.raises(ValueError, match="returns"):
        pearson(*bad)


def test_eigenvalues_of_a_known_matrix() -> None:
    values, _ = eigen([[2.0, 1.0], [1.0, 2.0]])
    assert sorted(values) == pytest.approx([1.0, 3.0])


@pytest.mark.parametrize("bad", [[[1.0, 2.0]], [[1.0, 0.5], [0.4, 1.0]], [[math.nan]]])
def test_a_matrix_that_is_no_correlation_is_refused(bad: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="matrix must be"):
        eigen(bad)


def test_an_impossible_matrix_is_repaired_and_a_possible_one_stays() -> None:
    impossible = [[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]]
    assert min(eigen(impossible)[0]) < -0.5
    assert min(eigen(repaired(impossible))[0]) >= -1e-12
    possible = [[1.0, 0.5], [0.5, 1.0]]
    assert repaired(possible) == [pytest.approx(row) for row in possible]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 8).flatmap(lambda n: st.lists(st.floats(-1, 1), min_size=n * n, max_size=n * n)))
def test_every_symmetric_matrix_becomes_a_correlation_matrix(numbers: list[float]) -> None:
    size = math.isqrt(len(numbers))
    matrix = [
        [1.0 if i == j else numbers[min(i, j) * size + max(i, j)] for j in range(size)] for i in range(size)
    ]
    fixed = repaired(matrix)
    assert all(fixed[i][i] == 1.0 for i in range(size))
    assert all(abs(value) <= 1.0 + 1e-9 for row in fixed for value in row)
    assert min(eigen(fixed)[0]) >= -1e-9


def test_one_market_alone_counts_as_fully_correlated_and_negative_pairs_never_reduce_risk() -> None:
    assert bucket_rho_ppm([[1.0]], [5.0]) == 1_000_000
    assert bucket_rho_ppm([[1.0, -0.8], [-0.8, 1.0]], [1.0, 1.0]) == 0
    assert bucket_rho_ppm([[1.0, 0.3], [0.3, 1.0]], [1.0, 7.0]) == 300_000
    with pytest.raises(ValueError, match="weights"):
        bucket_rho_ppm([[1.0]], [-1.0])


def test_a_bucket_is_measured_from_its_returns() -> None:
    series = [[math.sin(i + shift) for i in range(168)] for shift in (0.0, 0.1, 0.2)]
    assert 850_000 < measured_rho_ppm(series, [1.0, 1.0, 1.0]) <= 1_000_000
