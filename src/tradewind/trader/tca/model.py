"""What a parent is expected to cost, and when that expectation must move (T13.8)."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import msgspec

IMPACT_BPS: Final = Decimal(10)
"""Prior of the square-root law: cost of being the whole market, in bps. Residuals move the offset, not it."""
WINDOW: Final = 50
STUDENT_95: Final = Decimal("2.00958")
"""Two-sided 95 % point of Student's t with 49 degrees of freedom."""
PASSIVE_SHARE: Final[dict[str, Decimal]] = {
    "twap": Decimal("0.5"),
    "vwap": Decimal("0.5"),
    "passive": Decimal("0.5"),
    "pov": Decimal(0),
    "iceberg": Decimal(1),
}
"""Assumed part of a parent that rests."""
STEP: Final = Decimal("0.0001")


def expected_bps(
    algorithm: str,
    *,
    spread_bps: Decimal,
    participation: Decimal,
    maker_bps: Decimal,
    taker_bps: Decimal,
    offset_bps: Decimal,
) -> Decimal:
    """Expected cost of a parent in bps of its value at the arrival mid, fees included.

    Half the spread for what crosses, minus half of it for what rests; `IMPACT_BPS` times the root of the
    participation (0 to 1); fees by the assumed passive share; and the model's offset.
    """
    passive = PASSIVE_SHARE[algorithm]
    spread = (1 - 2 * passive) * spread_bps / 2
    impact = IMPACT_BPS * participation.sqrt()
    fees = passive * maker_bps + (1 - passive) * taker_bps
    return (spread + impact + fees + offset_bps).quantize(STEP)


class ModelJudgement(msgspec.Struct, frozen=True):
    """Mean of the residuals and half the width of its 95 % interval, in bps."""

    mean_bps: Decimal
    half_width_bps: Decimal

    @property
    def must_move(self) -> bool:
        """Whether 0 lies outside of the interval."""
        return abs(self.mean_bps) > self.half_width_bps


def judge(residuals_bps: Sequence[Decimal]) -> ModelJudgement | None:
    """The last 50 residuals; None while there are fewer."""
    if len(residuals_bps) < WINDOW:
        return None
    last = residuals_bps[-WINDOW:]
    mean = sum(last, Decimal(0)) / WINDOW
    variance = sum(((one - mean) ** 2 for one in last), Decimal(0)) / (WINDOW - 1)
    half = STUDENT_95 * (variance / WINDOW).sqrt()
    return ModelJudgement(mean.quantize(STEP), half.quantize(STEP))
