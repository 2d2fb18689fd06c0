"""The cost gate as risk asks for it: the edge that one order needs, from the account's fees and the book."""

from __future__ import annotations

from decimal import Decimal

from tradewind.venues.market_data import Known

from .costs import Leg, MeasuredCosts, cost_model
from .risk.model import Order, Snapshot


class CostGate:
    """Called with an order and its snapshot; answers the least edge in basis points, or why nobody can say.

    The exit is taken to be an IOC order: a position that has to be left pays the spread, whatever its entry
    paid. `measured` holds costs of own executions by symbol; without them the conservative table stands in.
    """

    def __init__(self, measured: dict[str, MeasuredCosts] | None = None) -> None:
        self.measured = measured or {}

    def __call__(self, order: Order, snapshot: Snapshot) -> Decimal | str:
        fees, top = snapshot.fees, snapshot.tops.get(order.symbol)
        if not isinstance(fees, Known):
            return "the fees are not known"
        if not isinstance(top, Known):
            return "the market is not known"
        costs = cost_model(
            fees.value,
            top.value.spread_bps,
            entry=Leg.MAKER if order.post_only else Leg.TAKER,
            exit_leg=Leg.TAKER,
            measured=self.measured.get(order.symbol),
        )
        return "the market is crossed" if costs is None else costs.needed_bps
