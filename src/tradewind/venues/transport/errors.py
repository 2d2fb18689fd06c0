"""What can go wrong between us and a venue, as types. None of them carries a secret or a full address."""

from __future__ import annotations

from tradewind.venues.market_data import FeedError


class TransportError(FeedError):
    """The venue could not be reached or answered badly."""

    code = "TransportError"


class RequestTimeout(TransportError):
    """No complete answer in time."""

    code = "RequestTimeout"


class HttpStatus(TransportError):
    """An HTTP error status; `retry_after_s` when the venue gave one."""

    code = "HttpStatus"

    def __init__(self, status: int, path: str, retry_after_s: float | None) -> None:
        super().__init__(f"HTTP {status} on {path}")
        self.status = status
        self.retry_after_s = retry_after_s


class ResponseTooLarge(TransportError):
    """The answer exceeds the bound of this session."""

    code = "ResponseTooLarge"


class PathRefused(TransportError):
    """The path is not on this session's list of public paths (a programming or configuration error)."""

    code = "PathRefused"
