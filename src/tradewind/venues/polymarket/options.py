"""Bounds and addresses of a Polymarket connector."""

from __future__ import annotations

import msgspec

from tradewind.venues.polymarket.typed_data import POLYGON
from tradewind.venues.transport.backoff import BackoffPolicy
from tradewind.venues.transport.private_link import PrivateLimits
from tradewind.venues.transport.websocket import LinkLimits


class PolymarketOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds and addresses of one connector. Defaults are the venue's production hosts."""

    market_url: str = "wss://ws-subscriptions-clob.polymarket.com/ws/market"
    user_url: str = "wss://ws-subscriptions-clob.polymarket.com/ws/user"
    chain_id: int = POLYGON
    answer_timeout_s: float = 5.0
    horizon_s: float = 5.0
    """How long behind its submit an order may still appear (T7.4: the venue has no bound of its own)."""
    absence_margin_s: float = 1.0
    clock_skew_s: float = 1.0
    heartbeats: bool = True
    """Whether the venue cancels everything when we are silent for 10 s (T8.1)."""
    heartbeat_every_s: float = 5.0
    instruments_every_s: float = 3_600.0
    poll_every_s: float = 60.0
    """How often orders and fills are compared with the lists: the channel has no sequence (T7.9)."""
    fill_wait_s: float = 2.0
    """How long an order may be filled further than its fills tell before they are fetched (T7.8)."""
    link: PrivateLimits = PrivateLimits()
    socket: LinkLimits = LinkLimits()
    reconnect: BackoffPolicy = BackoffPolicy(max_attempts=100, attempt_window_s=600.0)
