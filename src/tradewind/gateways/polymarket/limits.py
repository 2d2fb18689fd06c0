"""What a client may send: the venue's published windows, counted as its server does (trading T4.4)."""

from __future__ import annotations

from typing import Final

from tradewind.gateways.polymarket import errors
from tradewind.gateways.polymarket.errors import PolymarketError
from tradewind.venues.limits.facts import fact
from tradewind.venues.transport.request_window import RequestWindow

FACTS: Final = {
    "book": ("polymarket.book",),
    "balance_update": ("polymarket.balance_allowance_update",),
    "order": ("polymarket.post_order", "polymarket.post_order_sustained"),
    "cancel_all": ("polymarket.cancel_all",),
}
MAX_TRACKED: Final = 4_096
"""Windows of clients; the one that was made first is forgotten first."""


class ServerLimits:
    """One window a client and kind of call. Everything that has no kind of its own counts as `book`."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str, str], RequestWindow] = {}
        self._now_ns = 0

    def count(self, client: str, kind: str, now_ns: int) -> None:
        """A request. Raises `PolymarketError` with status 429."""
        self._now_ns = max(self._now_ns, now_ns)
        windows = [self._window(client, name) for name in FACTS[kind]]
        if any(window.peek(window.limit) > 0 for window in windows):
            raise PolymarketError(429, errors.RATE_LIMIT)
        for window in windows:
            window.enter()
            window.leave()

    def _window(self, client: str, name: str) -> RequestWindow:
        found = self._windows.get((client, name))
        if found is None:
            if len(self._windows) >= MAX_TRACKED:
                del self._windows[next(iter(self._windows))]
            most, span_s = fact(name)
            found = RequestWindow(most, span_s * 10**9, clock_ns=lambda: self._now_ns)
            self._windows[client, name] = found
        return found
