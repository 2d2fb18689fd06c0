"""LMSR quotes against high precision over the whole domain, and the rule's properties (P10.3)."""

from __future__ import annotations

import math
import random

import pytest
from exact_amm import lmsr_cost, lmsr_prices, lmsr_shares, lmsr_trade_cost, relative
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tradewind import amm

VECTORS = 120
TOLERANCE = 1e-9


def states(seed: int, count: int) -> list[tuple[float, list[float]]]:
    """b over its whole range, N from 2 to 64, spreads from nothing to 700·b, any common offset."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        b = 10.0 ** draw.uniform(0.0, 7.0)
        outcomes = draw.choice([2, 2, 3, 8, 64])
        spread = b * draw.choice([0.0, 1e-9, 1.0, 30.0, 349.0, 699.0])
        offset = draw.choice([0.0, 1.0, -1e6, b])
        q = [offset + spread * draw.random() for _ in range(outcomes)]
        if draw.random() < 0.5:
            q[0], q[1] = offset, offset + spread
        found.append((b, q))
    return found


def steps_of(b: float, q: list[float], draw: random.Random) -> list[float]:
    size = b * draw.choice([1e-12, 1e-6, 1e-3, 1.0, 40.0, 300.0])
    shape = draw.choice(["one", "sell", "all", "mixed"])
    if shape == "one" or shape == "sell":
        steps = [0.0] * len(q)
        steps[draw.randrange(len(q))] = size if shape == "one" else -size
        return steps
    if shape == "all":
        return [size * (1 + draw.random()) for _ in q]
    return [size * draw.uniform(-1, 1) for _ in q]


def in_domain(b: float, q: list[float]) -> bool:
    return (max(q) - min(q)) / b <= 699.99


@pytest.mark.parametrize("seed", range(4))
def test_cost_and_prices_are_exact_to_1e_9(seed: int) -> None:
    for b, q in states(seed, VECTORS // 4):
        assert (
            relative(amm.lmsr_cost(b, q), lmsr_cost(b, q), max(abs(value) for value in q) * 1e-3) < TOLERANCE
        )
        prices = amm.lmsr_prices(b, q)
        assert abs(math.fsum(prices) - 1.0) < 1e-12
        for found, exact in zip(prices, lmsr_prices(b, q), strict=True):
            assert relative(found, exact) < TOLERANCE


@pytest.mark.parametrize("seed", range(4))
def test_trade_costs_are_exact_to_1e_9_far_tails_included(seed: int) -> None:
    draw = random.Random(seed)
    compared = 0
    for b, q in states(seed + 10, VECTORS // 2):
        delta = steps_of(b, q, draw)
        if not in_domain(b, [value + step for value, step in zip(q, delta, strict=True)]):
            continue
        # Buys and sells that do not offset each other are compared to their own size, however small.
        offsetting = min(delta) < 0 < max(delta)
        # Below 1e-300 a float has no nine digits.
        scale = max(abs(step) for step in delta) if offsetting else 1e-300
        found, exact = amm.lmsr_trade_cost(b, q, delta), lmsr_trade_cost(b, q, delta)
        assert relative(found, exact, scale) < TOLERANCE, (b, q, delta)
        compared += 1
    assert compared >= VECTORS // 4


@pytest.mark.parametrize("seed", range(4))
def test_shares_for_cost_is_exact_to_1e_9_for_tiny_and_huge_spends(seed: int) -> None:
    draw = random.Random(seed)
    compared = 0
    for b, q in states(seed + 20, VECTORS // 2):
        outcome = draw.randrange(len(q))
        spend = b * draw.choice([1e-18, 1e-9, 1e-3, 1.0, 29.9, 30.1, 300.0])
        exact = lmsr_shares(b, q, outcome, spend)
        if (q[outcome] + float(exact) - min(q)) / b > 699.99:
            continue
        assert relative(amm.lmsr_shares_for_cost(b, q, outcome, spend), exact) < TOLERANCE, (b, q, spend)
        compared += 1
    assert compared >= VECTORS // 4


def test_golden_numbers_of_p10_3_4() -> None:
    assert amm.lmsr_trade_cost(100, [0, 0], [1, 0]) == pytest.approx(0.5012499947917013, rel=1e-15)
    sold = amm.lmsr_trade_cost(100, [283.450316, 143.793258], [-29.382766, 0])
    assert sold == pytest.approx(-22.82733851417759, rel=1e-14)
    assert amm.lmsr_trade_cost(50, [0, 0], [2000, 0]) == pytest.approx(1965.3426409720027, rel=1e-15)
    micro_share = amm.lmsr_trade_cost(1e6, [500_000, 250_000], [1e-6, 0])
    assert micro_share * 1e6 == pytest.approx(0.5621765, rel=1e-6)
    assert amm.lmsr_trade_cost(37.5, [12, 3.25, 40, 0], [7, 7, 7, 7]) == 7.0
    assert amm.lmsr_cost(100, [0] * 8) == pytest.approx(207.944154, abs=1e-6)


SIZES = st.floats(-100.0, 100.0)


@settings(max_examples=150, deadline=None)
@given(b=st.floats(1.0, 1e7), q=st.lists(SIZES, min_size=2, max_size=8), data=st.data())
def test_cost_does_not_depend_on_the_path(b: float, q: list[float], data: st.DataObject) -> None:
    q = [value * b for value in q]
    first = [step * b for step in data.draw(st.lists(SIZES, min_size=len(q), max_size=len(q)))]
    second = [step * b for step in data.draw(st.lists(SIZES, min_size=len(q), max_size=len(q)))]
    between = [value + step for value, step in zip(q, first, strict=True)]
    there = amm.lmsr_trade_cost(b, q, first) + amm.lmsr_trade_cost(b, between, second)
    direct = amm.lmsr_trade_cost(b, q, [one + two for one, two in zip(first, second, strict=True)])
    assert abs(there - direct) <= 1e-9 * b


@settings(max_examples=150, deadline=None)
@given(
    b=st.floats(1.0, 1e7),
    spreads=st.lists(st.floats(0.0, 300.0), min_size=2, max_size=64),
    spend=st.floats(0.0, 300.0),
)
@example(b=1.0, spreads=[0.0, 300.0], spend=300.0)
def test_no_round_trip_gains_and_no_maker_loses_more_than_its_funding(
    b: float, spreads: list[float], spend: float
) -> None:
    q = [spread * b for spread in spreads]
    shares = amm.lmsr_shares_for_cost(b, q, 0, spend * b)
    after = [q[0] + shares, *q[1:]]
    back = -amm.lmsr_trade_cost(b, after, [-shares, *[0.0] * (len(q) - 1)])
    # Bought shares are added to q in floats: that rounding, and no more, shows.
    assert back <= spend * b * (1 + 1e-12) + b * 1e-12
    # From the untouched pool nobody can win more than b·ln N: payout of the winner less what all have paid.
    paid = amm.lmsr_cost(b, q) - amm.lmsr_cost(b, [0.0] * len(q))
    assert max(q) - paid <= b * math.log(len(q)) * (1 + 1e-12)


@settings(max_examples=150, deadline=None)
@given(b=st.floats(1.0, 1e7), q=st.lists(SIZES, min_size=2, max_size=8), step=st.floats(1e-3, 100.0))
def test_buying_an_outcome_raises_its_price_and_lowers_the_others(
    b: float, q: list[float], step: float
) -> None:
    q = [value * b for value in q]
    before = amm.lmsr_prices(b, q)
    after = amm.lmsr_prices(b, [q[0] + step * b, *q[1:]])
    assert after[0] >= before[0]
    assert all(new <= old for new, old in zip(after[1:], before[1:], strict=True))
    dearer = amm.lmsr_trade_cost(b, q, [2 * step * b, *[0.0] * (len(q) - 1)])
    assert dearer >= amm.lmsr_trade_cost(b, q, [step * b, *[0.0] * (len(q) - 1)])


def test_adding_the_same_to_all_quantities_adds_it_to_the_cost() -> None:
    for b, q in states(3, 20):
        assert amm.lmsr_cost(b, [value + 8.0 for value in q]) == pytest.approx(
            amm.lmsr_cost(b, q) + 8.0, rel=1e-12
        )


TWO = [0.0, 0.0]
NOT_FINITE = [math.nan, math.inf, -math.inf, 10**400]


@pytest.mark.parametrize(
    ("name", "call"),
    [
        *[("b", lambda b=b: amm.lmsr_cost(b, TWO)) for b in (0, -1, 0.999, 1.0000001e7, *NOT_FINITE)],
        *[("q", lambda q=q: amm.lmsr_prices(1, q)) for q in ([], [1.0], [0.0] * 65, [0.0, 701.0])],
        *[("q", lambda q=q: amm.lmsr_cost(1, [0.0, q])) for q in NOT_FINITE],
        *[("q", lambda: amm.lmsr_cost(1, [1e308, -1e308]))],
        *[("delta", lambda d=d: amm.lmsr_trade_cost(1, TWO, [0.0, d])) for d in (*NOT_FINITE, 701.0, -701.0)],
        *[("delta", lambda d=d: amm.lmsr_trade_cost(1, TWO, d)) for d in ([], [1.0], [1.0, 2.0, 3.0])],
        *[("outcome", lambda o=o: amm.lmsr_shares_for_cost(1, TWO, o, 1.0)) for o in (-1, 2, 10**40)],
        *[("spend", lambda s=s: amm.lmsr_shares_for_cost(1, TWO, 0, s)) for s in (*NOT_FINITE, -1e-9, 701.0)],
    ],
)
def test_arguments_outside_the_domain_are_named(name: str, call: object) -> None:
    with pytest.raises(ValueError, match=rf"^{name}\b"):
        call()  # type: ignore[operator]


def test_what_is_no_number_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        amm.lmsr_cost("100", TWO)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        amm.lmsr_shares_for_cost(1, TWO, 0.5, 1.0)  # type: ignore[arg-type]
