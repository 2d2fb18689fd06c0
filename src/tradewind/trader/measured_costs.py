"""Own executions as costs of the gate: how taking moved the price, and how it moved after a resting fill.

Both are per symbol, in basis points of the value at arrival, as the upper 95 % bound of the mean (mean +
1.645 s / sqrt(n)): few or scattered executions make an entry dearer, never cheaper. Impact comes from
orders that took at least half of what they got, adverse selection from orders that rested for more than
half: it is how far the mid had moved against the fill after a minute.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import ROUND_CEILING, Decimal
from statistics import fmean, stdev

from .costs import MIN_MEASURED_TRADES, MeasuredCosts
from .tca.report import CostReport, CostRow
from .tca.shortfall import bps

Z_95 = 1.645
STEP = Decimal("0.01")
HALF_PCT = 50
MINUTE = "1m"


def measured_costs(report: CostReport) -> dict[str, MeasuredCosts]:
    """Costs by symbol, where there are `MIN_MEASURED_TRADES` of both kinds; the table is for the others."""
    rows = [*report.parents, *report.singles]
    found = {}
    for symbol in sorted({row.symbol for row in rows}):
        own = [row for row in rows if row.symbol == symbol and row.passive_pct is not None]
        impacts = [value for row in own if (value := _impact_bps(row)) is not None]
        moves = [value for row in own if (value := _adverse_bps(row)) is not None]
        fewest = min(len(impacts), len(moves))
        if fewest >= MIN_MEASURED_TRADES:
            found[symbol] = MeasuredCosts(
                trades=fewest, impact_bps=upper_bound(impacts), adverse_selection_bps=upper_bound(moves)
            )
    return found


def _impact_bps(row: CostRow) -> Decimal | None:
    if row.shortfall is None or row.passive_pct is None or row.passive_pct > HALF_PCT or not row.filled:
        return None
    return bps(row.shortfall.impact, row.filled * row.arrival_mid)


def _adverse_bps(row: CostRow) -> Decimal | None:
    if row.passive_pct is None or row.passive_pct <= HALF_PCT:
        return None
    return row.reversion_bps.get(MINUTE)


def upper_bound(values: Iterable[Decimal]) -> Decimal:
    """Upper 95 % bound of the mean, rounded up to 0.01 bps. A statistic, so it goes through floats."""
    samples = [float(value) for value in values]
    bound = fmean(samples) + Z_95 * stdev(samples) / math.sqrt(len(samples))
    return Decimal(bound).quantize(STEP, ROUND_CEILING)
