"""A strategy that never wishes anything: the trader then only carries out manual orders and the
kill switch.
"""

from __future__ import annotations

from decimal import Decimal

from ..strategy import Manifest, StrategyBase


class Idle(StrategyBase):
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
