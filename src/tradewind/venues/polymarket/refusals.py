"""What Polymarket's error texts mean: a definite refusal with its code, or nothing to rely on (T7.5)."""

from __future__ import annotations

from typing import Final

from tradewind.venues.codes import RejectCode
from tradewind.venues.protocol import Rejected

TEXTS: Final = (
    ("not enough balance / allowance", RejectCode.INSUFFICIENT_FUNDS, False),
    ("is invalid. duplicated", RejectCode.DUPLICATE_CLIENT_ID, False),
    ("lower than the minimum", RejectCode.BELOW_MIN_QTY, True),
    ("min size: $1", RejectCode.BELOW_MIN_NOTIONAL, True),
    ("breaks minimum tick size rule", RejectCode.OFF_TICK, True),
    ("too far from the market", RejectCode.OUTSIDE_BAND, False),
    ("order crosses book", RejectCode.POST_ONLY_WOULD_TAKE, False),
    ("crosses the book", RejectCode.POST_ONLY_WOULD_TAKE, False),
    ("fok orders are", RejectCode.NOT_FILLABLE, False),
    ("fak orders are", RejectCode.NO_LIQUIDITY, False),
    ("no orders found to match", RejectCode.NO_LIQUIDITY, False),
    ("invalid expiration", RejectCode.DEADLINE_PASSED, True),
    ("not yet ready to process", RejectCode.SYMBOL_CLOSED, False),
    ("cancel-only", RejectCode.CANCEL_ONLY, False),
    ("post-only mode", RejectCode.POST_ONLY_MODE, False),
    ("currently disabled", RejectCode.MAINTENANCE, False),
    ("too many requests", RejectCode.RATE_LIMITED, False),
    ("unauthorized", RejectCode.NOT_AUTHORISED, False),
    ("invalid signature", RejectCode.NOT_AUTHORISED, True),
    ("invalid token id", RejectCode.UNKNOWN_SYMBOL, True),
    ("too many open orders", RejectCode.TOO_MANY_ORDERS, False),
    ("order_version_mismatch", RejectCode.INVALID_REQUEST, True),
    ("invalid order payload", RejectCode.INVALID_REQUEST, True),
    ("invalid amounts", RejectCode.INVALID_REQUEST, True),
)
"""Part of the text in lower case, code, whether our own checks should have caught it. First match."""
STATUSES: Final = {
    401: RejectCode.NOT_AUTHORISED,
    403: RejectCode.NOT_AUTHORISED,
    425: RejectCode.VENUE_BUSY,
    429: RejectCode.RATE_LIMITED,
}


def refusal_of(status: int, text: str) -> Rejected | None:
    """A definite refusal; None where it may have been executed nevertheless."""
    lowered = text.lower()
    for part, code, preventable in TEXTS:
        if part in lowered:
            return Rejected(code, text[:300], preventable)
    if status in STATUSES:
        return Rejected(STATUSES[status], text[:300], False)
    if 400 <= status < 500:
        return Rejected(RejectCode.VENUE_REJECTED, text[:300], False)
    return None
