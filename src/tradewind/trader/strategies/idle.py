"""A strategy that never wishes anything: the trader then only carries out manual orders and the
kill switch.
"""

from __future__ import annotations

from decimal import Decimal

from ..parameters import ParameterSet
from ..strategy import Manifest, StrategyBase


class IdleParameters(ParameterSet, frozen=True):
    """None."""


class Idle(StrategyBase):
    """No quotes, no orders."""

    Parameters = IdleParameters

    def __init__(
        self,
        symbols: tuple[str, ...],
        parameters: IdleParameters | None = None,
        *,
        environment: str = "sim",
    ) -> None:
        self.gate_reason = "no strategy was chosen"
        self.parameters = parameters or IdleParameters()
        self.manifest = Manifest(
            name="none",
            version="1",
            symbols=symbols,
            expected_holding_s=0,
            expected_edge_bps=Decimal(0),
            cost_model="none",
            max_loss_pct=Decimal(0),
            data=(),
        )
