"""Budgets of WebSocket connections: messages sent, streams subscribed (trading T4.3)."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from .counting import TokenBucket
from .verdicts import GRANTED, Denied, Verdict, Wait

MESSAGES_PER_S: Final = Decimal(3)
MESSAGE_BURST: Final = 2
"""Three a second and two at once: never more than five in any second, which is the venue's limit."""
MAX_STREAMS: Final = 200
TOO_MANY_STREAMS: Final = "TooManyStreams"


class SocketBudget:
    """What one connection may send. `now_ns` is any steady clock."""

    def __init__(
        self,
        messages_per_s: Decimal = MESSAGES_PER_S,
        burst: int = MESSAGE_BURST,
        max_streams: int = MAX_STREAMS,
    ) -> None:
        self._bucket = TokenBucket(messages_per_s, burst)
        self.max_streams = max_streams
        self.streams = 0

    def message(self, now_ns: int) -> Verdict:
        """Counts one message."""
        free_ns = self._bucket.admit(1, now_ns)
        return GRANTED if free_ns <= now_ns else Wait(free_ns)

    def subscribe(self, streams: int, now_ns: int) -> Verdict:
        """Counts one message that adds streams (or, negative, takes them away)."""
        if self.streams + streams > self.max_streams:
            return Denied(TOO_MANY_STREAMS)
        verdict = self.message(now_ns)
        if verdict == GRANTED:
            self.streams = max(0, self.streams + streams)
        return verdict
