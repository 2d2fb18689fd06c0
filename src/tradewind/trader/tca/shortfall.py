"""Implementation shortfall of a parent or a single order, split into parts that sum to it exactly (T13.8).

Perold's shortfall with the usual split: delay (arrival to each child's decision), spread (mid to touch),
impact (touch to price), fees, and opportunity (what was not filled, at the last mid). Every sum is an exact
`Decimal`; only figures in bps are rounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import ROUND_HALF_EVEN, Decimal, Inexact, localcontext
from typing import Final

import msgspec

from tradewind.venues.market_data import Side

from ..execution.book import adverse, far_ticks, near_ticks
from ..execution.records import ChildFilled, Mark, Scale

EXACT_DIGITS: Final = 200
BPS_STEP: Final = Decimal("0.0001")


class Executed(msgspec.Struct, frozen=True):
    """One execution, with the market at the decision of its child."""

    fill: ChildFilled
    decision: Mark


class Shortfall(msgspec.Struct, frozen=True, kw_only=True):
    """Costs in the quote asset; positive is bad. The parts sum to `total` exactly."""

    delay: Decimal
    spread: Decimal
    impact: Decimal
    fees: Decimal
    opportunity: Decimal
    total: Decimal

    @property
    def parts(self) -> tuple[Decimal, ...]:
        """The five parts."""
        return (self.delay, self.spread, self.impact, self.fees, self.opportunity)


@contextmanager
def exact() -> Iterator[None]:
    """Arithmetic in which rounding is an error."""
    with localcontext() as context:
        context.prec = EXACT_DIGITS
        context.traps[Inexact] = True
        yield


def shortfall(
    executed: list[Executed], *, side: Side, lots: int, arrival: Mark, end: Mark, scale: Scale
) -> Shortfall:
    """The split. `total` is computed by itself, from prices and arrival only: the parts must meet it."""
    sign = adverse(side)
    with exact():
        unit = scale.tick * scale.lot
        delay = spread = impact = paid = fees = Decimal(0)
        filled = 0
        for one in executed:
            fill, mid = one.fill, one.decision.mid_ticks
            touch = (near_ticks if fill.maker else far_ticks)(side, one.decision)
            delay += (mid - arrival.mid_ticks) * fill.lots
            spread += (touch - mid) * fill.lots
            impact += Decimal(fill.price_ticks - touch) * fill.lots
            paid += Decimal(fill.price_ticks) * fill.lots
            filled += fill.lots
            fees += fee_in_quote(fill, scale)
        rest = max(0, lots - filled)
        drift = end.mid_ticks - arrival.mid_ticks
        total = (paid - arrival.mid_ticks * filled) * sign * unit + fees + drift * rest * sign * unit
        return Shortfall(
            delay=delay * sign * unit,
            spread=spread * sign * unit,
            impact=impact * sign * unit,
            fees=fees,
            opportunity=drift * rest * sign * unit,
            total=total,
        )


def fee_in_quote(fill: ChildFilled, scale: Scale) -> Decimal:
    """The fee in the quote asset; one in the base asset at the fill's price."""
    if fill.fee_asset == scale.base:
        return fill.fee * scale.tick * fill.price_ticks
    return fill.fee


def bps(cost: Decimal, value: Decimal) -> Decimal | None:
    """A cost in basis points of a value, rounded to 0.0001; None of nothing."""
    if not value:
        return None
    return (cost * 10_000 / value).quantize(BPS_STEP, ROUND_HALF_EVEN)
