"""Correlation (T11.7): shrinkage against an independent calculation, checks, clusters, steps, versions."""

from __future__ import annotations

import math
import random
from decimal import Decimal
from pathlib import Path

import msgspec
import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.trader.risk.correlation import (
    BadMatrix,
    Correlation,
    average_step,
    check,
    clusters,
    constant,
    hourly_returns,
    measure,
    shrink,
)
from tradewind.trader.risk.correlation_store import LAST_GOOD_NS, SHADOW_NS, CorrelationStore
from tradewind.trader.risk.groups import AverageStep

HOUR_NS = 3_600 * 10**9
NAMES = ("BTC/USDT", "ETH/USDT", "SOL/USDT")


def rows(seed: int, size: int, samples: int, common: float = 0.8) -> list[list[float]]:
    chance = random.Random(seed)
    market = [chance.gauss(0, 0.01) for _ in range(samples)]
    return [[common * one + chance.gauss(0, 0.004 * (place + 1)) for one in market] for place in range(size)]


def reference(returns: list[list[float]]) -> tuple[numpy.ndarray, float]:
    """Ledoit and Wolf's own matrix formulation (covCor), written from the paper."""
    x = numpy.array(returns).T
    t, n = x.shape
    x = x - x.mean(axis=0)
    sample = x.T @ x / t
    root = numpy.sqrt(numpy.diag(sample))
    r_bar = ((sample / numpy.outer(root, root)).sum() - n) / (n * (n - 1))
    prior = r_bar * numpy.outer(root, root)
    numpy.fill_diagonal(prior, numpy.diag(sample))
    y = x**2
    pi_matrix = y.T @ y / t - sample**2
    theta = (x**3).T @ x / t - numpy.diag(sample)[:, None] * sample
    numpy.fill_diagonal(theta, 0)
    rho = numpy.trace(pi_matrix) + r_bar * (numpy.outer(1 / root, root) * theta).sum()
    gamma = ((sample - prior) ** 2).sum()
    amount = max(0.0, min(1.0, (pi_matrix.sum() - rho) / gamma / t))
    return amount * prior + (1 - amount) * sample, amount


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 6), st.integers(240, 400))
def test_the_shrinkage_is_that_of_ledoit_and_wolf(seed: int, size: int, samples: int) -> None:
    returns = rows(seed, size, samples)
    expected, amount = reference(returns)
    found, found_amount = shrink(returns)
    assert found_amount == pytest.approx(amount, abs=1e-9)
    assert numpy.allclose(numpy.array(found), expected, rtol=1e-9, atol=1e-15)


def test_betas_are_those_of_the_shrunk_matrix_and_round_away_from_zero() -> None:
    returns = rows(3, 3, 500)
    found = measure(NAMES, returns, factor="BTC/USDT", now_ns=1)
    covariance, _ = shrink(returns)
    for place, name in enumerate(NAMES):
        exact = covariance[place][0] / covariance[0][0]
        assert 0 <= float(found.betas[name]) - exact < 1.0001e-4 or name == "BTC/USDT"
    assert found.betas["BTC/USDT"] == 1
    assert measure(NAMES, returns, factor="XRP/USDT", now_ns=1).betas == {}


def test_fewer_than_240_samples_are_the_prior() -> None:
    found = measure(NAMES, rows(1, 3, 239), factor="BTC/USDT", now_ns=1)
    assert (found.kind, found.average) == ("prior", 0.5)
    assert measure(NAMES, rows(1, 3, 240), factor="BTC/USDT", now_ns=1).kind == "measured"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda returns: [returns[0], [0.0] * len(returns[0]), returns[1]],
        lambda returns: [returns[0], [math.nan, *returns[1][1:]], returns[2]],
        lambda returns: [returns[0], [math.inf, *returns[1][1:]], returns[2]],
        lambda returns: [returns[0], returns[0], returns[0]],
    ],
)
def test_singular_and_nan_matrices_are_refused(spoil: object) -> None:
    with pytest.raises(BadMatrix):
        measure(NAMES, spoil(rows(1, 3, 300)), factor="BTC/USDT", now_ns=1)  # type: ignore[operator]


@pytest.mark.parametrize(
    "matrix",
    [
        ((1.0, 0.5), (0.4, 1.0)),
        ((1.0, 1.5), (1.5, 1.0)),
        ((0.9, 0.5), (0.5, 1.0)),
        ((1.0, math.nan), (math.nan, 1.0)),
        ((1.0, 0.9, -0.9), (0.9, 1.0, 0.9), (-0.9, 0.9, 1.0)),
        ((1.0, 0.9999), (0.9999, 1.0)),
    ],
    ids=["not symmetric", "above one", "diagonal", "nan", "negative eigenvalue", "condition"],
)
def test_a_matrix_that_is_no_correlation_matrix_is_refused(matrix: tuple[tuple[float, ...], ...]) -> None:
    with pytest.raises(BadMatrix):
        check(matrix)


def test_the_condition_number_is_judged_as_numpy_does() -> None:
    for rho in (0.0, 0.5, 0.99, 0.9997, 0.9999):
        matrix = ((1.0, rho), (rho, 1.0))
        fine = numpy.linalg.cond(numpy.array(matrix)) <= 1e4
        try:
            check(matrix)
        except BadMatrix:
            assert not fine
        else:
            assert fine


def test_clusters_are_single_linkage_at_seven_tenths() -> None:
    chain = ((1.0, 0.7, 0.1, 0.0), (0.7, 1.0, 0.75, 0.0), (0.1, 0.75, 1.0, 0.69), (0.0, 0.0, 0.69, 1.0))
    assert clusters(("a", "b", "c", "d"), chain) == {"a": "a", "b": "a", "c": "a", "d": "d"}


@pytest.mark.parametrize(
    ("average", "step", "multiplier"),
    [
        (None, AverageStep.NONE, "1"),
        (0.6999, AverageStep.NONE, "1"),
        (0.70, AverageStep.WARN, "1"),
        (0.7999, AverageStep.WARN, "1"),
        (0.80, AverageStep.REDUCED_SIZE, "0.75"),
        (0.8999, AverageStep.REDUCED_SIZE, "0.75"),
        (0.90, AverageStep.NO_ADDS, "0.75"),
    ],
)
def test_the_average_pair_steps(average: float | None, step: AverageStep, multiplier: str) -> None:
    assert average_step(average) is step
    if average is not None:
        found = constant(NAMES, average, "measured", 1).groups()
        assert (found.step, found.size_multiplier) == (step, Decimal(multiplier))


def test_hours_are_aligned_and_a_symbol_with_few_is_left_out() -> None:
    prices = {
        "a": {hour: 100.0 + hour % 7 for hour in range(300)},
        "b": {hour: 50.0 + hour % 5 for hour in range(300) if hour != 100},
        "new": {hour: 1.0 for hour in range(200, 300)},
    }
    symbols, returns = hourly_returns(prices)
    assert symbols == ("a", "b")
    assert [len(row) for row in returns] == [297, 297]
    assert hourly_returns({"new": prices["new"]}) == ((), [])


# ---- versions ----------------------------------------------------------------------------------------------


def matrix(created_ns: int, rho: float = 0.6) -> Correlation:
    return constant(NAMES, rho, "measured", created_ns, samples=300)


def test_a_version_waits_a_day_in_shadow_comes_in_force_and_one_command_brings_the_last_one_back(
    tmp_path: Path,
) -> None:
    store = CorrelationStore(tmp_path)
    assert store.in_force(NAMES, 0).kind == "prior"
    assert not store.propose(matrix(0), 0)
    assert not store.propose(matrix(HOUR_NS), SHADOW_NS - 1)
    assert store.in_force(NAMES, SHADOW_NS).kind == "prior"
    assert store.propose(matrix(SHADOW_NS, 0.65), SHADOW_NS)
    assert store.in_force(NAMES, SHADOW_NS).version == 1
    assert store.propose(matrix(2 * SHADOW_NS), 2 * SHADOW_NS)
    again = CorrelationStore(tmp_path)
    assert (again.pointer.active, again.pointer.previous) == (2, 1)
    assert again.in_force(NAMES, 2 * SHADOW_NS).rho == matrix(0, 0.65).rho
    assert again.revert() == 1
    assert CorrelationStore(tmp_path).in_force(NAMES, 2 * SHADOW_NS).version == 1
    with pytest.raises(BadMatrix, match="earlier"):
        CorrelationStore(tmp_path).revert()


def test_the_last_good_one_holds_for_seven_days_and_then_all_pairs_are_at_nine_tenths() -> None:
    store = CorrelationStore()
    store.propose(matrix(0), 0)
    store.propose(matrix(1), SHADOW_NS)
    bad = msgspec.structs.replace(matrix(2), rho=((1.0, math.nan, 0), (math.nan, 1, 0), (0, 0, 1)))
    with pytest.raises(BadMatrix):
        store.propose(bad, 2 * SHADOW_NS)
    assert store.in_force(NAMES, LAST_GOOD_NS).version == 1
    late = store.in_force(NAMES, LAST_GOOD_NS + 1)
    assert (late.kind, late.average) == ("stressed", pytest.approx(0.9))
    assert late.groups().step is AverageStep.NO_ADDS
    assert len(set(late.groups().clusters.values())) == 1


@pytest.mark.parametrize("damage", ["cut", "missing", "pointer"])
def test_damaged_versions_are_not_believed(tmp_path: Path, damage: str) -> None:
    store = CorrelationStore(tmp_path)
    store.propose(matrix(0), 0)
    store.propose(matrix(1), SHADOW_NS)
    version = tmp_path / "correlation-000001.json"
    if damage == "cut":
        version.write_bytes(version.read_bytes()[:40])
    elif damage == "missing":
        version.unlink()
    else:
        (tmp_path / "active.json").write_text("{")
    again = CorrelationStore(tmp_path)
    assert again.problem
    assert again.in_force(NAMES, SHADOW_NS).kind == "stressed"
