"""Quotes of the automated market makers (protocol P10): pure functions, floats in, floats out.

The engine's own kernels compute them: a quote and a swap differ only by the integer rounding of the swap,
which is against the user (P10.2.1). Shares and money are in whole units: a winning share pays 1. Results
are within 1e-9 of the exact value of the formula at the given floats: relative to it, or to the size of the
reserves where a difference of reserves cancels.

Every function raises `ValueError` for a number that is not finite or outside the domain named in its
docstring; the message starts with the name of the argument. What is not a number at all is a `TypeError`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tradewind.core import native

__all__ = [
    "Integral",
    "distribution_collateral",
    "distribution_lambda",
    "distribution_min_sigma",
    "distribution_peak",
    "lmsr_cost",
    "lmsr_prices",
    "lmsr_shares_for_cost",
    "lmsr_trade_cost",
    "pm_amm_buy",
    "pm_amm_price",
    "pm_amm_reserves",
    "pm_amm_swap",
    "pm_amm_value",
    "simpson",
]

SIMPSON_SEGMENTS = 100
"""Segments of the protocol (P10.5.4)."""


def lmsr_cost(b: float, q: Sequence[float]) -> float:
    """C(q) = b·ln Σ exp(q_i/b): what all shares sold so far have cost, plus b·ln N (P10.3.1).

    Args:
        b: liquidity in shares, 1 to 10,000,000; the maker loses at most b·ln N.
        q: net shares sold of each of 2 to 64 outcomes, at most 700·b apart.

    Raises:
        ValueError: an argument outside its domain.
    """
    return native.lmsr_cost(b, q)


def lmsr_prices(b: float, q: Sequence[float]) -> list[float]:
    """Price of each outcome, exp(q_i/b)/Σ exp(q_j/b), in 0..1; the sum is 1 within 1e-12. As `lmsr_cost`."""
    return native.lmsr_prices(b, q)


def lmsr_trade_cost(b: float, q: Sequence[float], delta: Sequence[float]) -> float:
    """C(q + Δ) − C(q): positive is paid by the trader, negative is received.

    Args:
        b, q: as `lmsr_cost`.
        delta: shares of each outcome that the trader buys (sells, when negative), as many as q; the
            quantities stay at most 700·b apart. Complete sets cost exactly their face.

    Raises:
        ValueError: an argument outside its domain.
    """
    return native.lmsr_trade_cost(b, q, delta)


def lmsr_shares_for_cost(b: float, q: Sequence[float], outcome: int, spend: float) -> float:
    """Shares of `outcome` that `spend` buys: b·ln(1 + (exp(spend/b) − 1)/p).

    Args:
        b, q: as `lmsr_cost`.
        outcome: index from 0 to N − 1.
        spend: money, at least 0, that leaves the quantities at most 700·b apart.

    Raises:
        ValueError: an argument outside its domain.
    """
    return native.lmsr_shares_for_cost(b, q, outcome, spend)


def pm_amm_price(liquidity: float, x: float, y: float) -> float:
    """Price of X, Φ((y − x)/L), in 0..1 (P10.4.1).

    Args:
        liquidity: L, 1e-9 to 1e18; the dynamic market passes its L·√(time to expiry).
        x, y: reserves of the two outcomes in shares, at least 0, |y − x| ≤ 8·L.

    Raises:
        ValueError: an argument outside its domain.
    """
    return native.pm_amm_price(liquidity, x, y)


def pm_amm_swap(liquidity: float, x: float, y: float, dx_in: float) -> float:
    """Shares of Y that the pool pays for `dx_in` shares of X.

    Args:
        liquidity, x, y: as `pm_amm_price`; the reserves lie on the curve within 1e-6·L.
        dx_in: shares of X paid in, at least 0; the score (y − x)/L stays within ±8.

    Raises:
        ValueError: an argument outside its domain.
    """
    return native.pm_amm_swap(liquidity, x, y, dx_in)


def pm_amm_buy(liquidity: float, x: float, y: float, collateral: float) -> float:
    """Shares of X that `collateral` buys: as many complete sets, their Y swapped for X (P10.4.2).

    Args:
        liquidity, x, y: as `pm_amm_swap`.
        collateral: money, at least 0; the score (y − x)/L stays within ±8.

    Raises:
        ValueError: an argument outside its domain.
    """
    return native.pm_amm_buy(liquidity, x, y, collateral)


def pm_amm_reserves(liquidity: float, price: float) -> tuple[float, float]:
    """Reserves (x, y) of a pool at a price of X.

    Args:
        liquidity: as `pm_amm_price`.
        price: from Φ(−8) = 6.2e-16 to 1 − 6.2e-16.

    Raises:
        ValueError: an argument outside its domain.
    """
    return native.pm_amm_reserves(liquidity, price)


def pm_amm_value(liquidity: float, price: float) -> float:
    """Value of the pool's reserves at a price of X: L·φ(Φ⁻¹(price)). Arguments as `pm_amm_reserves`."""
    return native.pm_amm_value(liquidity, price)


def distribution_lambda(k: float, sigma: float) -> float:
    """λ = k·√(2σ√π): mass of the normal claim λ·N(μ, σ²) whose L2 norm is k (P10.5.1).

    Args:
        k: norm, 1e-9 to 1e18, in money·√(unit of the question).
        sigma: width, 1e-12 to 1e12, in the question's unit.

    Raises:
        ValueError: an argument outside its domain.
    """
    return native.distribution_lambda(k, sigma)


def distribution_peak(k: float, sigma: float) -> float:
    """max f = k/√(σ√π): the most that the claim can pay. As `distribution_lambda`."""
    return native.distribution_peak(k, sigma)


def distribution_min_sigma(k: float, b: float) -> float:
    """σ_min = k²/(b²√π): below it a claim of norm k would pay more than the backing.

    Args:
        k: as `distribution_lambda`.
        b: backing, 1e-9 to 1e18, in money.

    Raises:
        ValueError: an argument outside its domain.
    """
    return native.distribution_min_sigma(k, b)


def distribution_collateral(k: float, mu_f: float, sigma_f: float, mu_g: float, sigma_g: float) -> float:
    """Collateral of the trade that moves the market from f to g: −min(g − f), the largest loss (P10.5.2).

    0.0 when nothing moves; the exchange refuses such a trade.

    Args:
        k: as `distribution_lambda`.
        mu_f, mu_g: centres before and after, −1e15 to 1e15, in the question's unit.
        sigma_f, sigma_g: widths before and after, 1e-12 to 1e12, in the question's unit.

    Raises:
        ValueError: an argument outside its domain.
    """
    return native.distribution_collateral(k, mu_f, sigma_f, mu_g, sigma_g)


class Integral(NamedTuple):
    """An integral by Simpson's rule, and Richardson's estimate |S_n − S_{n/2}|/15 over its value."""

    value: float
    relative_error: float


def simpson(
    function: Callable[[float], float], lower: float, upper: float, segments: int = SIMPSON_SEGMENTS
) -> Integral:
    """∫ function over [lower, upper] by Simpson's rule, for claims without a closed form (P10.5.4).

    Args:
        function: finite on the interval, smooth enough that the estimated relative error is at most 1e-6.
        lower, upper: lower < upper.
        segments: even, 2 to 10,000.

    Raises:
        ValueError: an argument outside its domain, or a function that is too rough. What `function` raises
            passes through.
    """
    return Integral(*native.amm_simpson(function, lower, upper, segments))
