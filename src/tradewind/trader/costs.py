"""What a round trip costs, and the gate before every entry (T14.3).

An entry passes only when its declared edge is at least 1.5 times the sum of entry fee, exit fee, both half
spreads, impact and adverse selection. Fees come from the account's actual schedule: unknown fees deny. Impact
and adverse selection come from the own measured executions when there are enough of them, otherwise from
`TABLE`, which is meant to be too high rather than too low. All figures are basis points of notional.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from tradewind.venues.protocol import FeeSchedule

from .parameters import ParameterError
from .strategy import BookTop, break_even_win_rate

MULTIPLE = Decimal("1.5")
"""How many times its costs an entry has to be expected to earn."""
BPS = 10_000
ZERO = Decimal(0)
MIN_MEASURED_TRADES = 50
"""Fewer executions of our own are no measurement."""


class Leg(StrEnum):
    """How one side of a round trip is meant to be executed."""

    MAKER = "maker"
    TAKER = "taker"


class TableRow(msgspec.Struct, frozen=True):
    """Assumed costs of one leg in a market whose spread is at most `spread_bps`."""

    spread_bps: Decimal
    impact_bps: Decimal
    adverse_selection_bps: Decimal


TABLE = (
    TableRow(Decimal(2), Decimal(1), Decimal(2)),
    TableRow(Decimal(10), Decimal(2), Decimal(4)),
    TableRow(Decimal(50), Decimal(6), Decimal(10)),
    TableRow(Decimal("Infinity"), Decimal(20), Decimal(30)),
)
"""A taking leg pays the impact, a making leg the adverse selection. Assumptions, not measurements."""


class MeasuredCosts(msgspec.Struct, frozen=True, kw_only=True):
    """Costs of a leg measured on `trades` own executions (upper 95 % bound, so that little data is dear)."""

    trades: int
    impact_bps: Decimal
    adverse_selection_bps: Decimal


class CostModel(msgspec.Struct, frozen=True, kw_only=True):
    """Costs of one round trip. `source` says where impact and adverse selection come from."""

    entry_fee_bps: Decimal
    exit_fee_bps: Decimal
    half_spread_in_bps: Decimal
    half_spread_out_bps: Decimal
    impact_bps: Decimal
    adverse_selection_bps: Decimal
    source: str

    @property
    def total_bps(self) -> Decimal:
        """The sum of all six."""
        return (
            self.entry_fee_bps
            + self.exit_fee_bps
            + self.half_spread_in_bps
            + self.half_spread_out_bps
            + self.impact_bps
            + self.adverse_selection_bps
        )

    @property
    def needed_bps(self) -> Decimal:
        """The least edge of an entry that may pass."""
        return MULTIPLE * self.total_bps


class GateVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the cost gate says of one entry. `needed_bps` is None when the costs are not known."""

    allowed: bool
    edge_bps: Decimal | None
    needed_bps: Decimal | None
    reason: str

    code = "CostGate"


def gate(edge_bps: Decimal | None, costs: CostModel | None) -> GateVerdict:
    """Whether an entry with this edge may pass. Unknown costs and an edge that is no number deny."""
    if costs is None:
        reason = "the fees are not known, so the costs are not"
        return GateVerdict(allowed=False, edge_bps=edge_bps, needed_bps=None, reason=reason)
    needed_bps = costs.needed_bps
    if edge_bps is None or not edge_bps.is_finite() or not needed_bps.is_finite():
        reason = f"the edge {edge_bps} bps is no number to compare with costs of {costs.total_bps} bps"
        return GateVerdict(allowed=False, edge_bps=edge_bps, needed_bps=needed_bps, reason=reason)
    if edge_bps < needed_bps:
        reason = f"edge {edge_bps:.2f} bps is below {needed_bps:.2f}, {MULTIPLE} times the costs"
        return GateVerdict(allowed=False, edge_bps=edge_bps, needed_bps=needed_bps, reason=reason)
    return GateVerdict(allowed=True, edge_bps=edge_bps, needed_bps=needed_bps, reason="")


def cost_model(
    fees: FeeSchedule | None,
    spread_bps: Decimal | None,
    *,
    entry: Leg,
    exit_leg: Leg,
    measured: MeasuredCosts | None = None,
) -> CostModel | None:
    """Costs of a round trip on this schedule in a market with this spread; None when either is not known.

    Only a taking leg pays half of the spread. A negative measurement counts as zero.
    """
    if fees is None or spread_bps is None or not spread_bps.is_finite() or spread_bps < 0:
        return None
    row, source = _leg_costs(spread_bps, measured)
    legs = (entry, exit_leg)
    half = spread_bps / 2
    rate = {Leg.MAKER: fees.maker_bps, Leg.TAKER: fees.taker_bps}
    return CostModel(
        entry_fee_bps=rate[entry],
        exit_fee_bps=rate[exit_leg],
        half_spread_in_bps=half if entry is Leg.TAKER else ZERO,
        half_spread_out_bps=half if exit_leg is Leg.TAKER else ZERO,
        impact_bps=row.impact_bps * legs.count(Leg.TAKER),
        adverse_selection_bps=row.adverse_selection_bps * legs.count(Leg.MAKER),
        source=source,
    )


def _leg_costs(spread_bps: Decimal, measured: MeasuredCosts | None) -> tuple[TableRow, str]:
    if measured is not None and measured.trades >= MIN_MEASURED_TRADES:
        costs = (max(measured.impact_bps, ZERO), max(measured.adverse_selection_bps, ZERO))
        return TableRow(spread_bps, *costs), f"{measured.trades} own executions"
    row = next(row for row in TABLE if spread_bps <= row.spread_bps)
    return row, "conservative table"


def spread_bps_of(book: BookTop | None) -> Decimal | None:
    """The spread in basis points of the middle; None for a book that is missing, one-sided or crossed."""
    if book is None or not book.bids or not book.asks:
        return None
    bid, ask = book.bids[0][0], book.asks[0][0]
    if bid <= 0 or ask <= bid:
        return None
    return Decimal(2 * (ask - bid) * BPS) / (ask + bid)


def break_even(win_bps: Decimal, loss_bps: Decimal, cost_bps: Decimal, *, name: str) -> Decimal:
    """The win rate p* = (L + c) / (W + L) at which a fixed target W and stop L earn nothing.

    Raises `ParameterError` for parameter `name` when it is not below 1: no rate of wins would do.
    """
    if win_bps <= 0 or loss_bps < 0 or cost_bps < 0:
        raise ParameterError(name, "target above 0, stop and costs not below 0", f"{win_bps}, {loss_bps}")
    try:
        return break_even_win_rate(win=win_bps, loss=loss_bps, cost=cost_bps)
    except ValueError as error:
        reason = f"{name}: target {win_bps} bps does not exceed costs of {cost_bps:.2f} bps: {error}"
        raise ParameterError(name, f"above {cost_bps:.2f} bps", win_bps, reason) from error
