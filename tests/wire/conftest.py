"""Fast policies for the wire tests: the same code paths, small waits."""

from __future__ import annotations

import pytest

from tradewind.venues.feeds.live import LiveOptions
from tradewind.venues.feeds.resync import ResyncLimits
from tradewind.venues.transport.backoff import BackoffPolicy
from tradewind.venues.transport.websocket import LinkLimits


@pytest.fixture
def fast() -> LiveOptions:
    return LiveOptions(
        link=LinkLimits(frame_age_s=0.6, ping_idle_s=0.2, watch_interval_s=0.05, connect_timeout_s=2.0),
        reconnect=BackoffPolicy(base_s=0.02, ceiling_s=0.1, max_attempts=1_000),
        resync=ResyncLimits(base_s=0.01, ceiling_s=0.1, failures_to_reconnect=50),
    )
