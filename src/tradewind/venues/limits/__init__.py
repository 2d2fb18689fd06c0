"""Rate limits of venues: models that predict the venue's own counters, priorities, queues, saved state.

The models are pure: they are told the time and answer `Granted`, `Wait` or `Denied`. Connectors ask them
before they send; gateways enforce with the same ones.
"""

from .binance import BinanceLimits
from .gate import Gate
from .kraken import KrakenLimits
from .sliding import SlidingLimits
from .verdicts import Denied, Granted, Priority, Wait

__all__ = ["BinanceLimits", "Denied", "Gate", "Granted", "KrakenLimits", "Priority", "SlidingLimits", "Wait"]
