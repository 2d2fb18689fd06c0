"""A strategy that never wishes anything: the trader then only carries out manual orders and the
kill switch.
"""

from __future__ import annotations

from decimal import Decimal

from tradewind.venues.protocol import FillEvent

from ..strategy import BookTop, Context, Manifest, OwnOrder, PublicTrade, StrategyIntent


class Idle:
    """No quotes, no orders."""

    def __init__(self, symbol: str) -> None:
        self.gate_reason = "no strategy was chosen"
        self.manifest = Manifest(
            name="none",
            version="1",
            symbols=(symbol,),
            expected_holding_s=0,
            expected_edge_bps=Decimal(0),
            cost_model="none",
            max_loss_pct=Decimal(0),
            data=(),
        )

    def on_start(self, context: Context) -> list[StrategyIntent]:
        """Nothing."""
        return []

    def on_book(self, context: Context, book: BookTop) -> list[StrategyIntent]:
        """Nothing."""
        return []

    def on_suspect(self, context: Context, symbol: str) -> list[StrategyIntent]:
        """Nothing."""
        return []

    def on_trade(self, context: Context, trade: PublicTrade) -> list[StrategyIntent]:
        """Nothing."""
        return []

    def on_fill(self, context: Context, fill: FillEvent) -> list[StrategyIntent]:
        """Nothing."""
        return []

    def on_order(self, context: Context, order: OwnOrder, state: str) -> list[StrategyIntent]:
        """Nothing."""
        return []

    def on_timer(self, context: Context) -> list[StrategyIntent]:
        """Nothing."""
        return []

    def on_stop(self, context: Context) -> list[StrategyIntent]:
        """Nothing."""
        return []
