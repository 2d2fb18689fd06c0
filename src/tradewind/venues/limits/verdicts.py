"""What a rate limiter answers, and the classes of requests that share one budget (trading T4.1, T4.7)."""

from __future__ import annotations

from enum import IntEnum
from fractions import Fraction
from typing import Final

import msgspec

SECOND_NS: Final = 1_000_000_000


class Priority(IntEnum):
    """Who goes first. A smaller number never waits for a larger one."""

    P0 = 0
    """Cancel, cancel-all, refresh of a dead-man's switch, kill."""
    P1 = 1
    """Reduce-only and protective orders, amends that lower risk."""
    P2 = 2
    """Resolution of unknown orders, reconciliation, renewal of tokens, reading of the limits themselves."""
    P3 = 3
    """New risk."""
    P4 = 4
    """Snapshots of market data, refresh of instruments."""
    P5 = 5
    """History and reports."""


SHARES: Final[dict[Priority, Fraction]] = {
    Priority.P0: Fraction(1),
    Priority.P1: Fraction(1),
    Priority.P2: Fraction(85, 100),
    Priority.P3: Fraction(70, 100),
    Priority.P4: Fraction(50, 100),
    Priority.P5: Fraction(30, 100),
}
"""The part of a budget up to which a class may fill it. P1 leaves the reserve of P0 on top of this."""

LOST_SHARE: Final = Fraction(70, 100)
"""How full a budget is taken to be when nobody knows (T4.9)."""


class Granted(msgspec.Struct, frozen=True, tag=True):
    """Send it now: it is counted."""


class Wait(msgspec.Struct, frozen=True, tag=True):
    """Nothing was counted; ask again at this moment of the model's clock, not earlier."""

    until_ns: int
    reason: str = "budget"


class Denied(msgspec.Struct, frozen=True, tag=True):
    """Nothing was counted, and waiting does not help. `reason` is a stable code."""

    reason: str


Verdict = Granted | Wait | Denied
GRANTED: Final = Granted()

RATE_LIMITED_LOCAL: Final = "RateLimitedLocal"
LIMITS_UNKNOWN: Final = "LimitsUnknown"
LIMITS_STALE: Final = "LimitsStale"
OPEN_ORDERS_LIMIT: Final = "OpenOrdersLimit"
ABOVE_BUDGET: Final = "AboveBudget"
"""The request alone is more than its class may ever use."""
TABLE_FULL: Final = "LimiterTableFull"


def ceiling(cls: Priority, maximum: int, reserve: int = 0) -> int:
    """How far `cls` may fill a budget of `maximum`, in whole points. `reserve` is kept free for P0."""
    if cls is Priority.P0:
        return maximum
    return min(int(SHARES[cls] * maximum), maximum - reserve)


class UnknownTier(ValueError):
    """The account's tier is not one that the venue publishes limits for: nothing may be loaded."""

    code = "UnknownTier"
