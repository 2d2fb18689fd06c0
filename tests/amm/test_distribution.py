"""Distribution market quotes against high precision, their properties, and Simpson's rule (P10.5)."""

from __future__ import annotations

import math
import random

import mpmath as mp
import pytest
from exact_amm import collateral, peak, relative
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind import amm

TOLERANCE = 1e-9
RATIOS = [1e-3, 0.02, 0.5, 0.9, 1 - 1e-6, 1 - 1e-12, 1.0, 1 + 1e-12, 1 + 1e-6, 1.1, 2.0, 50.0, 1e3]
SHIFTS = [0.0, 1e-12, 1e-6, 1e-3, 0.3, 1.0, 3.0, 8.0, 40.0, 1e4]


@pytest.mark.parametrize("ratio", RATIOS)
def test_collateral_is_exact_to_1e_9_for_every_ratio_of_widths_and_every_shift(ratio: float) -> None:
    draw = random.Random(repr(ratio))
    for shift in SHIFTS:
        sigma = 10.0 ** draw.uniform(-3.0, 3.0)
        mean = draw.choice([0.0, 1.0]) * sigma
        to = mean + draw.choice([-1, 1]) * shift * sigma
        widths = sigma, sigma * ratio
        found = amm.distribution_collateral(100.0, mean, widths[0], to, widths[1])
        exact = collateral(100.0, mean, widths[0], to, widths[1])
        assert relative(found, exact) < TOLERANCE, (ratio, shift, sigma)


@pytest.mark.parametrize("power", [-30, -60, -200])
def test_a_shift_of_nearly_nothing_costs_its_derivative(power: int) -> None:
    """max |f'| = peak·exp(−½)/σ: the differences of both claims have no digits left here."""
    shift = 2.0**power
    exact = peak(100.0, 2.0) * mp.mpf(shift) / 2 * mp.exp(-0.5)
    assert relative(amm.distribution_collateral(100.0, 0.0, 2.0, shift, 2.0), exact) < TOLERANCE


GOLDEN = [
    (100, (0, 1, 1, 1), 41.9755723871),
    (100, (0, 1, 0.001, 1), 0.0455580634),
    (100, (0, 1, 40, 1), 75.1125544465),
    (100, (0, 1, 0, 2), 21.9999578451),
    (100, (0, 2, 0, 1), 22.3563277396),
    (100, (0, 2, 1.5, 0.5), 52.5226913008),
]


@pytest.mark.parametrize(("k", "move", "expected"), GOLDEN)
def test_golden_collateral_of_p10_5_5(k: float, move: tuple[float, ...], expected: float) -> None:
    assert amm.distribution_collateral(k, *move) == pytest.approx(expected, abs=5e-11)


def test_golden_mass_peak_and_least_width_of_p10_5_5() -> None:
    assert amm.distribution_lambda(100, 1) == pytest.approx(188.2792527553, abs=5e-11)
    assert amm.distribution_peak(100, 1) == pytest.approx(75.1125544465, abs=5e-11)
    assert amm.distribution_min_sigma(100, 100) == pytest.approx(0.5641895835, abs=5e-11)


@settings(max_examples=100, deadline=None)
@given(k=st.floats(1e-9, 1e18), sigma=st.floats(1e-12, 1e12), b=st.floats(1e-9, 1e18))
def test_closed_forms_are_exact(k: float, sigma: float, b: float) -> None:
    with mp.workdps(40):
        root = mp.sqrt(mp.pi)
        assert relative(amm.distribution_lambda(k, sigma), k * mp.sqrt(2 * mp.mpf(sigma) * root)) < 1e-14
        assert relative(amm.distribution_peak(k, sigma), peak(k, sigma)) < 1e-14
        least = mp.mpf(k) ** 2 / (mp.mpf(b) ** 2 * root)
        assert relative(amm.distribution_min_sigma(k, b), least) < 1e-14


MEANS = st.floats(-20.0, 20.0)
WIDTHS = st.floats(-3.0, 3.0).map(lambda power: 10.0**power)


@settings(max_examples=200, deadline=None)
@given(mu_f=MEANS, sigma_f=WIDTHS, mu_g=MEANS, sigma_g=WIDTHS, data=st.data())
def test_the_collateral_covers_every_point_and_is_touched_by_one(
    mu_f: float, sigma_f: float, mu_g: float, sigma_g: float, data: st.DataObject
) -> None:
    found = amm.distribution_collateral(1.0, mu_f, sigma_f, mu_g, sigma_g)

    def fall(at: float) -> float:
        f = amm.distribution_peak(1.0, sigma_f) * math.exp(-0.5 * ((at - mu_f) / sigma_f) ** 2)
        return f - amm.distribution_peak(1.0, sigma_g) * math.exp(-0.5 * ((at - mu_g) / sigma_g) ** 2)

    scale = amm.distribution_peak(1.0, min(sigma_f, sigma_g))
    for mean, sigma in ((mu_f, sigma_f), (mu_g, sigma_g)):
        for _ in range(10):
            at = mean + sigma * data.draw(st.floats(-6.0, 6.0))
            assert fall(at) <= found + 1e-12 * scale
    assert 0.0 <= found <= amm.distribution_peak(1.0, sigma_f) * (1 + 1e-12)


@settings(max_examples=150, deadline=None)
@given(mu_f=MEANS, sigma_f=WIDTHS, mu_g=MEANS, sigma_g=WIDTHS, mu_h=MEANS, sigma_h=WIDTHS)
def test_a_detour_never_costs_less_than_the_direct_move_and_back_costs_too(
    mu_f: float, sigma_f: float, mu_g: float, sigma_g: float, mu_h: float, sigma_h: float
) -> None:
    direct = amm.distribution_collateral(1.0, mu_f, sigma_f, mu_h, sigma_h)
    detour = amm.distribution_collateral(1.0, mu_f, sigma_f, mu_g, sigma_g)
    detour += amm.distribution_collateral(1.0, mu_g, sigma_g, mu_h, sigma_h)
    assert detour >= direct * (1 - 1e-9)


def test_no_move_needs_no_collateral() -> None:
    assert amm.distribution_collateral(100, 3.0, 2.0, 3.0, 2.0) == 0.0


NOT_FINITE = [math.nan, math.inf, -math.inf, 10**400]


@pytest.mark.parametrize(
    ("name", "call"),
    [
        *[("k", lambda v=v: amm.distribution_lambda(v, 1)) for v in (0.0, -1.0, 1e19, *NOT_FINITE)],
        *[("sigma", lambda v=v: amm.distribution_peak(1, v)) for v in (0.0, -1.0, 1e13, *NOT_FINITE)],
        *[("b", lambda v=v: amm.distribution_min_sigma(1, v)) for v in (0.0, -1.0, *NOT_FINITE)],
        *[("k", lambda v=v: amm.distribution_collateral(v, 0, 1, 1, 1)) for v in (0.0, *NOT_FINITE)],
        *[("mu_f", lambda v=v: amm.distribution_collateral(1, v, 1, 1, 1)) for v in (1e16, *NOT_FINITE)],
        *[
            ("sigma_f", lambda v=v: amm.distribution_collateral(1, 0, v, 1, 1))
            for v in (0.0, -1, *NOT_FINITE)
        ],
        *[("mu_g", lambda v=v: amm.distribution_collateral(1, 0, 1, v, 1)) for v in (-1e16, *NOT_FINITE)],
        *[
            ("sigma_g", lambda v=v: amm.distribution_collateral(1, 0, 1, 1, v))
            for v in (0.0, -1, *NOT_FINITE)
        ],
        *[
            ("segments", lambda v=v: amm.simpson(math.sin, 0, 1, v))
            for v in (0, 1, 3, 99, 10_002, -2, 10**40)
        ],
        *[("lower", lambda v=v: amm.simpson(math.sin, v, 1)) for v in NOT_FINITE],
        *[("upper", lambda v=v: amm.simpson(math.sin, 0, v)) for v in (0.0, -1.0, *NOT_FINITE)],
        ("function", lambda: amm.simpson(lambda x: math.nan, 0, 1)),
        ("function", lambda: amm.simpson(lambda x: float(x > 0.333), 0, 1)),
    ],
)
def test_arguments_outside_the_domain_are_named(name: str, call: object) -> None:
    with pytest.raises(ValueError, match=rf"^{name}\b"):
        call()  # type: ignore[operator]


def test_simpson_is_right_to_its_golden_digits() -> None:
    assert amm.simpson(math.sin, 0, math.pi).value == pytest.approx(2.000000010825, abs=5e-13)
    density = amm.simpson(lambda x: math.exp(-x * x / 2) / math.sqrt(2 * math.pi), -8, 8)
    assert density.value == pytest.approx(1.0, abs=1e-14)
    assert density.relative_error <= 1e-6


def test_the_norm_of_a_claim_is_k_by_simpson() -> None:
    for sigma in (1e-3, 1.0, 700.0):
        high = amm.distribution_peak(100.0, sigma)
        norm = amm.simpson(lambda x: (high * math.exp(-0.5 * (x / sigma) ** 2)) ** 2, -8 * sigma, 8 * sigma)  # noqa: B023
        assert math.sqrt(norm.value) == pytest.approx(100.0, rel=1e-9)


def test_what_the_function_raises_comes_through() -> None:
    with pytest.raises(ZeroDivisionError):
        amm.simpson(lambda x: 1 / 0, 0, 1)
