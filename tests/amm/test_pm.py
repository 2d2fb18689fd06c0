"""pm-AMM quotes against high precision over the whole domain, its properties and its solver (P10.4)."""

from __future__ import annotations

import math
import random

import mpmath as mp
import pytest
from exact_amm import cdf, density, pm_buy, pm_swap, psi, quantile, relative
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind import amm
from tradewind.amm.statistics import solver_figures
from tradewind.core import native

TOLERANCE = 1e-9
SCORES = [-8.0, -7.5, -6.0, -4.0, -2.0, -0.5, -1e-9, 0.0, 1e-3, 0.7, 1.9, 3.3, 5.0, 7.0, 7.9]
AMOUNTS = [1e-15, 1e-9, 1e-6, 9e-5, 1.1e-4, 1e-2, 0.3, 2.0, 7.0]


def reserves(liquidity: float, score: float) -> tuple[float, float]:
    """Nearest floats to the exact reserves."""
    with mp.workdps(60):
        return float(liquidity * psi(mp.mpf(-score))), float(liquidity * psi(mp.mpf(score)))


def cases(seed: int) -> list[tuple[float, float, float, float, float]]:
    """(L, score, x, y, amount) for every score and amount, L over 18 orders of magnitude."""
    draw = random.Random(seed)
    found = []
    for score in SCORES:
        for amount in AMOUNTS:
            liquidity = 10.0 ** draw.uniform(-6.0, 12.0)
            # A score of exactly ±8 may leave the domain by the rounding of its reserves.
            jitter = score * (1.0 - 1e-12) + draw.uniform(0.0, 1e-6) * (score == 0.7)
            x, y = reserves(liquidity, jitter)
            found.append((liquidity, jitter, x, y, amount * liquidity))
    return found


def test_a_swap_is_exact_to_1e_9_over_all_scores_and_sizes() -> None:
    compared = 0
    for liquidity, score, x, y, amount in cases(1):
        if x + amount > 7.99 * liquidity:
            continue
        found, exact = amm.pm_amm_swap(liquidity, x, y, amount), pm_swap(liquidity, x, y, amount)
        assert relative(found, exact, x + y) < 1e-13, (score, amount / liquidity)
        # Also relative to the answer, but for what the rounding of the reserves themselves moves.
        noise = (x + y) * 2.0**-50 * (1.0 + float(cdf(-mp.mpf(score)) and 1 / cdf(-mp.mpf(score))))
        assert abs(found - float(exact)) <= TOLERANCE * float(exact) + noise, (score, amount / liquidity)
        compared += 1
    assert compared >= 100


def test_a_buy_is_exact_to_1e_9_over_all_scores_and_sizes() -> None:
    compared = 0
    for liquidity, score, x, y, amount in cases(2):
        if y + amount > 7.99 * liquidity:
            continue
        found, exact = amm.pm_amm_buy(liquidity, x, y, amount), pm_buy(liquidity, x, y, amount)
        assert relative(found, exact, x + y) < 1e-12, (score, amount / liquidity)
        assert found >= amount
        compared += 1
    assert compared >= 100


@pytest.mark.parametrize("score", [-7.0, -3.0, 0.0, 2.0, 6.0])
def test_tiny_steps_do_not_cancel(score: float) -> None:
    """A step of 1e-12 of the liquidity has nine digits, for which differences have no room."""
    x, y = reserves(1.0, score)
    with mp.workdps(60):
        price = cdf(mp.mpf(score))
        for amount in (1e-18, 1e-15, 1e-12):
            size = float(price) * amount
            step = mp.mpf(size) / price
            exact = (
                step * cdf(mp.mpf(-score))
                - density(mp.mpf(score)) * step**2 * (1 + cdf(mp.mpf(-score)) / price) / 2
            )
            assert relative(amm.pm_amm_buy(1.0, x, y, size), size + exact) < TOLERANCE


def test_reserves_price_and_value_are_exact_from_tail_to_tail() -> None:
    compared = 0
    prices = [10.0**-power * digit for power in range(1, 16) for digit in (1.0, 3.7, 6.2)]
    prices += [1.0 - price for price in prices if price > 1e-14] + [0.5, 0.5 + 1e-12, 0.5 - 1e-9, 0.4999, 0.7]
    for price in prices:
        score = quantile(price)
        if abs(score) > 7.999:
            continue
        liquidity = 123.456
        x, y = amm.pm_amm_reserves(liquidity, price)
        with mp.workdps(60):
            assert relative(x, liquidity * psi(-score)) < TOLERANCE
            assert relative(y, liquidity * psi(score)) < TOLERANCE
            assert relative(amm.pm_amm_value(liquidity, price), liquidity * density(score)) < TOLERANCE
            exact = cdf((mp.mpf(y) - mp.mpf(x)) / mp.mpf(liquidity))
        assert relative(amm.pm_amm_price(liquidity, x, y), exact) < 1e-13
        compared += 1
    assert compared >= 80


GOLDEN = [
    (0.5, 1.0, 1.984292495387397, 0.507915662),
    (0.5, 10.0, 18.620724876010619, 0.573858880),
    (0.5, 100.0, 135.881908906, 0.912898039),
    (0.1, 5.0, 36.456719907, 0.179575416),
    (0.9, 5.0, 5.526475452, 0.909358700),
]


@pytest.mark.parametrize(("price", "collateral", "shares", "after"), GOLDEN)
def test_golden_numbers_of_p10_4_6(price: float, collateral: float, shares: float, after: float) -> None:
    x, y = amm.pm_amm_reserves(100.0, price)
    bought = amm.pm_amm_buy(100.0, x, y, collateral)
    assert bought == pytest.approx(shares, rel=1e-10)
    assert amm.pm_amm_price(100.0, x + collateral - bought, y + collateral) == pytest.approx(after, abs=1e-9)


def test_golden_reserves_of_the_static_and_the_dynamic_pool() -> None:
    assert amm.pm_amm_reserves(100.0, 0.5) == pytest.approx((39.894228040143, 39.894228040143), abs=1e-12)
    half_way = 100.0 * math.sqrt(0.5)
    assert amm.pm_amm_reserves(half_way, 0.5) == pytest.approx((28.209479177388, 28.209479177388), abs=1e-12)


@settings(max_examples=150, deadline=None)
@given(
    price=st.floats(1e-6, 1.0 - 1e-6),
    first=st.floats(1e-9, 3.0),
    second=st.floats(1e-9, 2.0),
    back=st.booleans(),
)
def test_two_steps_equal_one_and_a_round_trip_gains_nothing(
    price: float, first: float, second: float, back: bool
) -> None:
    x, y = amm.pm_amm_reserves(1.0, price)
    if x + first + second > 7.9:
        return
    out = amm.pm_amm_swap(1.0, x, y, first)
    assert 0.0 <= out <= y
    if back:
        # Y back in gives the X that was paid, by symmetry the same function with the sides exchanged.
        assert amm.pm_amm_swap(1.0, y - out, x + first, out) <= first * (1 + 1e-9) + 1e-9 * (x + y)
        return
    then = amm.pm_amm_swap(1.0, x + first, y - out, second)
    assert out + then == pytest.approx(amm.pm_amm_swap(1.0, x, y, first + second), abs=1e-12 * (1 + x + y))


@settings(max_examples=150, deadline=None)
@given(price=st.floats(1e-9, 1.0 - 1e-9), collateral=st.floats(1e-6, 5.0))
def test_buying_raises_the_price_and_the_average_lies_between(price: float, collateral: float) -> None:
    x, y = amm.pm_amm_reserves(1.0, price)
    if y + collateral > 7.9:
        return
    bought = amm.pm_amm_buy(1.0, x, y, collateral)
    after = amm.pm_amm_price(1.0, max(x + collateral - bought, 0.0), y + collateral)
    assert price * (1 - 1e-9) <= collateral / bought <= after * (1 + 1e-9)


def test_the_solver_takes_at_most_five_steps_on_average_and_never_the_fallback() -> None:
    figures = solver_figures()
    assert figures.solved + figures.beyond == figures.cases == 20_000
    assert figures.failed == figures.fallbacks == 0
    assert figures.mean_newton_steps is not None and figures.mean_newton_steps <= 5.0
    assert figures.most_newton_steps is not None and figures.most_newton_steps <= 10
    assert figures.largest_residual is not None and figures.largest_residual <= 1e-8


def test_without_cases_there_is_no_data() -> None:
    assert solver_figures(0)[-3:] == (None, None, None)
    with pytest.raises(ValueError, match=r"^cases"):
        solver_figures(-1)


def test_the_solver_refuses_what_has_no_score() -> None:
    for wanted, lower in [
        (0.0, -8.0),
        (-1.0, -8.0),
        (8.1, -8.0),
        (math.nan, 0.0),
        (math.inf, 0.0),
        (0.4, math.nan),
    ]:
        assert native.amm_solve_score(wanted, lower) is None


X, Y = 39.894228040143, 39.894228040143
NOT_FINITE = [math.nan, math.inf, -math.inf, 10**400]


@pytest.mark.parametrize(
    ("name", "call"),
    [
        *[("liquidity", lambda v=v: amm.pm_amm_price(v, X, Y)) for v in (0.0, -1.0, 1e19, *NOT_FINITE)],
        *[("liquidity", lambda v=v: amm.pm_amm_reserves(v, 0.5)) for v in (0.0, *NOT_FINITE)],
        *[("x", lambda v=v: amm.pm_amm_price(100, v, Y)) for v in (-1e-9, 900.0, *NOT_FINITE)],
        *[("y", lambda v=v: amm.pm_amm_price(100, X, v)) for v in (-1e-9, 900.0, *NOT_FINITE)],
        *[("x", lambda: amm.pm_amm_swap(100, X + 1, Y + 1, 1.0))],
        *[("dx_in", lambda v=v: amm.pm_amm_swap(100, X, Y, v)) for v in (-1e-9, 761.0, 1e300, *NOT_FINITE)],
        *[("collateral", lambda v=v: amm.pm_amm_buy(100, X, Y, v)) for v in (-1e-9, 761.0, *NOT_FINITE)],
        *[
            ("price", lambda v=v: amm.pm_amm_reserves(1, v))
            for v in (0.0, 1.0, 6e-16, -0.1, 1.1, *NOT_FINITE)
        ],
        *[("price", lambda v=v: amm.pm_amm_value(1, v)) for v in (0.0, 1.0, 6e-16, *NOT_FINITE)],
    ],
)
def test_arguments_outside_the_domain_are_named(name: str, call: object) -> None:
    with pytest.raises(ValueError, match=rf"^{name}\b"):
        call()  # type: ignore[operator]
