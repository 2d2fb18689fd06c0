"""What the node refuses before anything reaches the log."""

from __future__ import annotations

from tradewind.core.errors import TradewindError


class NodeStopped(TradewindError):
    """The node takes no commands any more; nothing that was pending is in the log unless it was acknowledged.

    Attributes:
        reason: why, in one sentence.
    """

    code = 9006
    name = "ENGINE_STOPPED"
    http_status = 503
    retryable = True

    def __init__(self, reason: str) -> None:
        super().__init__(f"the node is stopped: {reason}")
        self.reason = reason


class QueueFull(TradewindError):
    """The submit queue is at its bound: nothing was queued, try again later."""

    code = 9002
    name = "RATE_LIMITED"
    http_status = 429
    retryable = True

    def __init__(self, what: str, given: int, bound: int) -> None:
        super().__init__(f"the submit queue would hold {given} {what}, {bound} are allowed")
        self.given, self.bound = given, bound


class SpaceReserved(TradewindError):
    """The disk is down to its reserve: only cancels, reductions and closing records are taken (O2.3)."""

    code = 9001
    name = "CAPACITY_EXCEEDED"
    http_status = 503
    retryable = True

    def __init__(self, free_bytes: int, bound_bytes: int) -> None:
        super().__init__(
            f"{free_bytes} bytes are free on the journal's disk and {bound_bytes} are reserved: "
            "only cancels and reductions are taken"
        )
        self.given, self.bound = free_bytes, bound_bytes


class SlowConsumer(TradewindError):
    """A subscriber fell behind its bound and was disconnected; it may subscribe again from `next_seq`.

    Attributes:
        next_seq: sequence after the last batch that it received.
    """

    name = "SLOW_CONSUMER"
    http_status = 429
    retryable = True

    def __init__(self, subscriber: str, bound: int, next_seq: int) -> None:
        super().__init__(f"subscriber {subscriber!r} had {bound} batches waiting; resume from {next_seq}")
        self.bound, self.next_seq = bound, next_seq


class NoGenesis(TradewindError):
    """The data directory holds no journal and no genesis configuration was given."""

    name = "JOURNAL_NOT_FOUND"
    http_status = 404
