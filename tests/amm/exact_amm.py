"""The formulas of P10 in high precision, written anew: 700 digits forgive every cancellation."""

from __future__ import annotations

from collections.abc import Sequence

import mpmath as mp

LMSR_DIGITS = 700
PM_DIGITS = 60
CLAIM_DIGITS = 60
HIGHEST = mp.mpf(8)


def lmsr_cost(b: float, q: Sequence[float]) -> mp.mpf:
    """b·ln Σ exp(q_i/b). The largest is taken out: mpmath's exponent has no bound, its digits have one."""
    with mp.workdps(LMSR_DIGITS):
        top = max(mp.mpf(value) for value in q)
        return top + b * mp.log(mp.fsum(mp.exp((mp.mpf(value) - top) / b) for value in q))


def lmsr_prices(b: float, q: Sequence[float]) -> list[mp.mpf]:
    with mp.workdps(LMSR_DIGITS):
        top = max(mp.mpf(value) for value in q)
        terms = [mp.exp((mp.mpf(value) - top) / b) for value in q]
        return [term / mp.fsum(terms) for term in terms]


def lmsr_trade_cost(b: float, q: Sequence[float], delta: Sequence[float]) -> mp.mpf:
    with mp.workdps(LMSR_DIGITS):
        after = [mp.mpf(value) + mp.mpf(step) for value, step in zip(q, delta, strict=True)]
        top = max(after)
        cost = top + b * mp.log(mp.fsum(mp.exp((value - top) / b) for value in after))
        return cost - lmsr_cost(b, q)


def lmsr_shares(b: float, q: Sequence[float], outcome: int, spend: float) -> mp.mpf:
    with mp.workdps(LMSR_DIGITS):
        price = lmsr_prices(b, q)[outcome]
        return b * mp.log(1 + (mp.exp(mp.mpf(spend) / b) - 1) / price)


def cdf(u: mp.mpf) -> mp.mpf:
    return mp.erfc(-u / mp.sqrt(2)) / 2


def density(u: mp.mpf) -> mp.mpf:
    return mp.exp(-u * u / 2) / mp.sqrt(2 * mp.pi)


def psi(u: mp.mpf) -> mp.mpf:
    return density(u) + u * cdf(u)


def psi_inverse(w: mp.mpf) -> mp.mpf:
    """By bisection alone, on the logarithm of ψ."""
    with mp.workdps(PM_DIGITS):
        low, high = mp.mpf(-9), mp.mpf(9)
        for _ in range(24):
            middle = (low + high) / 2
            low, high = (middle, high) if psi(middle) < w else (low, middle)
        u = (low + high) / 2
        for _ in range(5):
            u -= mp.log(psi(u) / w) * psi(u) / cdf(u)
        return u


def quantile(price: float) -> mp.mpf:
    with mp.workdps(PM_DIGITS):
        target = mp.mpf(price)
        mirrored = target > 0.5
        target = 1 - target if mirrored else target
        low, high = mp.mpf(-9), mp.mpf(1)
        for _ in range(24):
            middle = (low + high) / 2
            low, high = (middle, high) if cdf(middle) < target else (low, middle)
        u = (low + high) / 2
        for _ in range(5):
            u -= mp.log(cdf(u) / target) * cdf(u) / density(u)
        return -u if mirrored else u


def pm_swap(liquidity: float, x: float, y: float, dx: float) -> mp.mpf:
    """y − L·ψ(u₁) with ψ(−u₁) = (x + dx)/L."""
    with mp.workdps(PM_DIGITS):
        mirrored = psi_inverse((mp.mpf(x) + mp.mpf(dx)) / mp.mpf(liquidity))
        return mp.mpf(y) - mp.mpf(liquidity) * psi(-mirrored)


def pm_buy(liquidity: float, x: float, y: float, collateral: float) -> mp.mpf:
    return pm_swap(liquidity, y, x, collateral) + mp.mpf(collateral)


def peak(k: float, sigma: float) -> mp.mpf:
    return mp.mpf(k) / mp.sqrt(mp.mpf(sigma) * mp.sqrt(mp.pi))


def collateral(k: float, mu_f: float, sigma_f: float, mu_g: float, sigma_g: float) -> mp.mpf:
    """max (f − g) by a search that knows nothing of its shape: a fine grid, then golden sections."""
    with mp.workdps(CLAIM_DIGITS):
        from_mean, from_sigma = mp.mpf(mu_f), mp.mpf(sigma_f)
        to_mean, to_sigma = mp.mpf(mu_g), mp.mpf(sigma_g)
        high_f, high_g = peak(k, sigma_f), peak(k, sigma_g)

        def fall(x: mp.mpf) -> mp.mpf:
            f = high_f * mp.exp(-(((x - from_mean) / from_sigma) ** 2) / 2)
            return f - high_g * mp.exp(-(((x - to_mean) / to_sigma) ** 2) / 2)

        grid = sorted(
            mean + sigma * step
            for mean, sigma in ((from_mean, from_sigma), (to_mean, to_sigma))
            for step in _STEPS
        )
        values = [fall(x) for x in grid]
        # Every local maximum of the grid is a candidate.
        best = mp.mpf(0)
        for index in range(1, len(grid) - 1):
            if values[index - 1] <= values[index] >= values[index + 1] and values[index] > best * 0.99:
                best = max(best, _refined(fall, grid[index - 1], grid[index + 1]))
        return best


_STEPS = [mp.mpf(step) / 16 for step in range(-160, 161)] + [
    sign * mp.mpf(2) ** -power for power in range(5, 60) for sign in (-1, 1)
]


def _refined(function: object, low: mp.mpf, high: mp.mpf) -> mp.mpf:
    ratio = (mp.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = function(left), function(right)  # type: ignore[operator]
    for _ in range(70):
        if at_left > at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = function(left)  # type: ignore[operator]
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = function(right)  # type: ignore[operator]
    return max(at_left, at_right)


def relative(found: float, exact: mp.mpf, scale: mp.mpf | float = 0) -> float:
    """Error over the exact value, or over `scale` where that is larger."""
    with mp.workdps(LMSR_DIGITS):
        size = max(abs(exact), mp.mpf(scale))
        return float(abs(mp.mpf(found) - exact) / size) if size else float(found != 0.0)
