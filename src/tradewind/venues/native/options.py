"""Bounds and addresses of a native connector."""

from __future__ import annotations

import msgspec

from tradewind.venues.facts import facts_of
from tradewind.venues.feeds.live import LiveOptions
from tradewind.venues.transport.backoff import BackoffPolicy
from tradewind.venues.transport.private_link import PrivateLimits
from tradewind.venues.transport.websocket import LinkLimits

PACKAGE = __package__
VALID_FOR_S: float = facts_of(PACKAGE)["valid_for_s"].value
SWITCH_S: tuple[int, int] = tuple(facts_of(PACKAGE)["switch_s"].value)
OPEN_ORDERS: int = facts_of(PACKAGE)["open_orders_market"].value
PREFIX = "/api/v1"


class NativeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds and addresses of one connector."""

    url: str = "http://127.0.0.1:8000"
    """Of the node; plain http only on this machine."""
    sub: int = 0
    """Sub-account that trades."""
    valid_for_s: float = VALID_FOR_S
    """How long behind its sending a command may still happen (T7.4)."""
    absence_margin_s: float = 1.0
    """How far the log must have gone beyond that before an order's absence is believed (T7.6)."""
    answer_timeout_s: float = 5.0
    gap_wait_s: float = 0.2
    """How long a missing event may still come by itself before it is asked for again."""
    catch_up_s: float = 5.0
    """How long the stream may take to reach what the node has told by request."""
    instruments_every_s: float = 3_600.0
    compare_every_s: float = 60.0
    """How often orders and balances are compared with the node's (T7.9)."""
    link: PrivateLimits = PrivateLimits()
    socket: LinkLimits = LinkLimits()
    reconnect: BackoffPolicy = BackoffPolicy()
    feed: LiveOptions = LiveOptions()

    @property
    def stream_url(self) -> str:
        """Address of the WebSocket."""
        return self.url.replace("http", "ws", 1).rstrip("/") + f"{PREFIX}/stream"
