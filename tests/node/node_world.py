"""What node tests share beside fixtures: quiet limits, a clock that tests set."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from exchange_world import START_NS

from tradewind.node.limits import NodeLimits
from tradewind.node.service import NodeService

QUIET = NodeLimits(tick_interval_s=0.05, heartbeat_s=3_600.0, space_reserved_bytes=0)
"""No heartbeat and no space policy: the log holds only what the test submits."""


class ManualClock:
    """Nanoseconds that a test sets."""

    def __init__(self, now_ns: int = START_NS + 1) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        self.now_ns += 1
        return self.now_ns


Starter = Callable[..., Awaitable[NodeService]]
