"""What L17 and L18 need of a correlation matrix: clusters, betas, step of the average pair (T11.7)."""

from __future__ import annotations

from decimal import Decimal
from enum import IntEnum

import msgspec

ONE = Decimal(1)
CLUSTER_RHO = 0.7
"""Two symbols are in one cluster when a chain of pairs with at least this correlation joins them."""
STRESS_RHO = 0.9
PRIOR_RHO = 0.5
WARN_AVERAGE, REDUCED_AVERAGE, CLOSED_AVERAGE = 0.70, 0.80, 0.90


class AverageStep(IntEnum):
    """What the average correlation of all pairs leads to."""

    NONE = 0
    WARN = 1
    REDUCED_SIZE = 2
    NO_ADDS = 3


class Groups(msgspec.Struct, frozen=True, kw_only=True):
    """Clusters by symbol and betas to BTC. A symbol that is not named is a cluster of its own with beta 1."""

    clusters: dict[str, str]
    betas: dict[str, Decimal]
    step: AverageStep = AverageStep.NONE
    source: str = ""
    version: int = 0

    def cluster_of(self, symbol: str) -> str:
        """The cluster's name."""
        return self.clusters.get(symbol, symbol)

    def beta(self, symbol: str) -> Decimal:
        """What a symbol moves when BTC moves by one. Not known counts as one."""
        return self.betas.get(symbol, ONE)

    @property
    def size_multiplier(self) -> Decimal:
        """What sizes are multiplied with (T11.7)."""
        return Decimal("0.75") if self.step >= AverageStep.REDUCED_SIZE else ONE


PRIOR = Groups(clusters={}, betas={}, source="prior: fewer than 240 aligned samples")
