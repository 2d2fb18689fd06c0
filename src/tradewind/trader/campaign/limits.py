"""The thresholds of T15.8, each once."""

from __future__ import annotations

from typing import Final

import msgspec

RSS_START_MB: Final = 200
RSS_MAX_MB: Final = 500
WARM_UP_S: Final = 3_600.0
STEADY_TOLERANCE: Final = 5
UNKNOWN_MAX_S: Final = 60.0
API_MIN_REQUESTS: Final = 10_000
API_ERROR_SHARE: Final = 0.001
API_MEAN_MS: Final = 100.0
API_OVER_FLOOR_MS: Final = 20.0
SUCCESS_FLOOR: Final = 0.95
SUCCESS_TARGET: Final = 0.999
NONCES_PER_S: Final = 1_000.0
FIRST_CANCEL_S: Final = 1.0
VERIFIED_ZERO_S: Final = 10.0
RECONNECT_P95_S: Final = 5.0
RECONNECTS_A_DAY: Final = 3
DISCREPANCY_SHARE: Final = 0.001
MAX_TASKS: Final = 500
"""Coroutines of one process; a platform has a few dozen."""
LOG_QUOTA_BYTES: Final = 200 << 20
"""What the diagnostic log may hold in all (operations O6.7)."""


class GateLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What the two gates demand differently."""

    hours: int
    rss_slope_mb_per_h: float
    wilson: bool
    live_share: float
    insufficient_allowed: bool
    rotations: int
    alerts_demanded: bool
    discrepancy_demanded: bool
    log_file_mb: float = 10.0
    log_quota_bytes: int = LOG_QUOTA_BYTES


GATE_24: Final = GateLimits(
    hours=24,
    rss_slope_mb_per_h=0.5,
    wilson=False,
    live_share=0.99,
    insufficient_allowed=True,
    rotations=0,
    alerts_demanded=False,
    discrepancy_demanded=False,
)
GATE_120: Final = GateLimits(
    hours=120,
    rss_slope_mb_per_h=0.1,
    wilson=True,
    live_share=0.995,
    insufficient_allowed=False,
    rotations=1,
    alerts_demanded=True,
    discrepancy_demanded=True,
)
