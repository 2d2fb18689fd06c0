"""A strategy that wishes nothing: the trader runs with its risk, ledger and kill switch, for manual orders."""

from __future__ import annotations

from decimal import Decimal

from tradewind.trader.strategy import (
    BookTop,
    Context,
    Manifest,
    OwnOrder,
    PublicTrade,
    StrategyIntent,
)
from tradewind.venues.protocol import FillEvent


class IdleStrategy:
    """Never trades."""

    def __init__(self, symbol: str) -> None:
        self.manifest = Manifest(
            name="idle", version="1", symbols=(symbol,), expected_holding_s=0, expected_edge_bps=Decimal(0),
            cost_model="none: it never trades", max_loss_pct=Decimal(1), data=("book",),
        )  # fmt: skip

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
