"""fees-elastic-3-28bp: the curve against an exact one, its shape, the cost of trading with oneself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, localcontext
from itertools import pairwise, product
from typing import Final

from tradewind.core import native
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.drill import Facts, drill
from tradewind.readiness.record import MeasuredValue

GRID_PPM: Final = range(0, 10_000_001, 1_000)
"""Coverage 0 to 10 in steps of 0.001, for the distance from the exact curve."""
STEPS_PPM: Final = range(0, 10_000_001, 100)
"""100,001 points, for the shape."""
VOLUMES, STAKES = ([0, *(least for least, _ in tiers)] for tiers in native.fee_tiers())
"""Micro-units at which a tier of P8.4 begins."""
ADJUSTMENTS_BP: Final = range(7)
"""What volatility, depth and load add together (P8.3)."""
FLAT_E6BP: Final = (5_000_000, 20_000_000, 30_000_000, 50_000_000, 100_000_000)
"""Rates of the profile POST_EMISSION (P8.9): bounds, promo, standard, premium."""
REBATES_PCT: Final = range(0, 51, 5)
REFERRALS_PCT: Final = (0, 5, 10)
REWARDS_PCT: Final = (0, 10, 20)
OWNED_PPM: Final = 499_999
"""The invariant holds for whoever owns less than half of vault and stake."""
BASE_MICRO: Final = 1_000_000_000_000
FLOOR_E8, CAP_E8 = 300_000_000, 2_800_000_000

Rate = Callable[[int | None], int]


def _exact_bp(ppm: int) -> Decimal:
    """`3 + 25·exp(−3c)` in 40 digits."""
    with localcontext() as digits:
        digits.prec = 40
        return 3 + 25 * (-3 * Decimal(ppm) / 1_000_000).exp()


def _taylor_e8(ppm: int | None) -> int:
    """The exponential cut after its third power."""
    if ppm is None:
        return FLOOR_E8
    x = -3.0 * ppm / 1e6
    return round((3.0 + 25.0 * (1.0 + x + x * x / 2.0 + x**3 / 6.0)) * 1e8)


def _fees() -> list[tuple[int, bool]]:
    """Fees of one fill, and whether POST_EMISSION: every tier by volume and stake at every coverage
    and adjustment, and every flat rate."""
    discounts = sorted({native.fee_discount_bp(*held) for held in product(VOLUMES, STAKES)})
    elastic = product((0, 500_000, 1_000_000, 2_000_000, None), ADJUSTMENTS_BP, discounts)
    rates = {(native.fee_rate_e8(*one), False) for one in elastic}
    rates |= {(native.fee_flat_rate_e8(*one), True) for one in product(FLAT_E6BP, discounts)}
    return [(native.fee_amount(BASE_MICRO, rate), post_emission) for rate, post_emission in sorted(rates)]


def _observe(context: ProbeContext, rate: Rate = native.fee_rate_e8) -> Facts:
    errors = [abs(Decimal(rate(ppm)) / 100_000_000 - _exact_bp(ppm)) for ppm in GRID_PPM]
    rates = [*map(rate, STEPS_PPM), rate(None)]
    rises = sum(after > before for before, after in pairwise(rates))
    outside = sum(not FLOOR_E8 <= one <= CAP_E8 for one in rates)
    paid = _fees()
    shares = list(product(REBATES_PCT, REFERRALS_PCT, REWARDS_PCT))
    # Every fee under every setting: own orders better the best price, for five points of rebate more.
    profitable = sum(
        native.fee_returned(fee, *share, OWNED_PPM, post_emission) >= fee
        for fee, post_emission in paid
        for share in shares
    )
    return {
        "max_error_bp": float(max(errors)),
        "points": len(errors),
        "shape_violations": rises + outside,
        "shape_points": len(rates),
        "profitable": profitable,
        "washes": len(paid) * len(shares),
    }


def _with_a_polynomial(context: ProbeContext) -> Facts:
    return _observe(context, _taylor_e8)


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    return {
        "max_error_bp": MeasuredValue(facts["max_error_bp"], "bp", facts["points"]),
        "monotonicity_violations": count(facts["shape_violations"], facts["shape_points"]),
        "profitable_wash_combinations": count(facts["profitable"], facts["washes"]),
    }


elastic = drill("fees-elastic-3-28bp", observe=_observe, broken=_with_a_polynomial, summarise=_summarise)
