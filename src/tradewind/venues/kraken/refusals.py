"""What Kraken's error texts mean: a definite refusal with its code, or nothing that may be relied on (T7.5).

The longest matching beginning decides. Texts of the service itself (`EService:Unavailable`, `Busy`,
`Timeout`, internal errors) are known to come back for requests that were carried out, so they are uncertain.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tradewind.venues.codes import RejectCode
from tradewind.venues.protocol import Rejected

MAX_RAW_CHARS = 200
MAX_UNKNOWN_TEXTS = 256


class Meaning(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table. `code` None: uncertain. `preventable`: our own checks should have caught it."""

    code: RejectCode | None
    preventable: bool = False


def _row(code: RejectCode | None, preventable: bool = False) -> Meaning:
    return Meaning(code=code, preventable=preventable)


UNCERTAIN = _row(None)
TABLE: dict[str, Meaning] = {
    "EAPI:Invalid key": _row(RejectCode.NOT_AUTHORISED),
    "EAPI:Invalid signature": _row(RejectCode.NOT_AUTHORISED),
    "EAPI:Invalid nonce": _row(RejectCode.INVALID_NONCE),
    "EAPI:Rate limit exceeded": _row(RejectCode.RATE_LIMITED, True),
    "EAPI:Feature disabled": _row(RejectCode.INVALID_REQUEST),
    "EAPI:Bad request": _row(RejectCode.INVALID_REQUEST, True),
    "EAccount:Invalid permissions": _row(RejectCode.NOT_AUTHORISED),
    "EAuth:": _row(RejectCode.NOT_AUTHORISED),
    "EGeneral:Permission denied": _row(RejectCode.NOT_AUTHORISED),
    "EGeneral:Temporary lockout": _row(RejectCode.NOT_AUTHORISED),
    "EGeneral:Unknown method": _row(RejectCode.INVALID_REQUEST, True),
    "EGeneral:Invalid arguments": _row(RejectCode.INVALID_REQUEST, True),
    "EGeneral:Invalid arguments:volume": _row(RejectCode.BAD_NUMBER, True),
    "EGeneral:Invalid arguments:volume minimum not met": _row(RejectCode.BELOW_MIN_QTY, True),
    "EGeneral:Invalid arguments:order_qty": _row(RejectCode.BAD_NUMBER, True),
    "EGeneral:Invalid arguments:price": _row(RejectCode.BAD_NUMBER, True),
    "EGeneral:Invalid arguments:limit_price": _row(RejectCode.BAD_NUMBER, True),
    "EGeneral:Invalid arguments:cl_ord_id": _row(RejectCode.BAD_CLIENT_ID, True),
    "EGeneral:Invalid arguments:timeout": _row(RejectCode.INVALID_SWITCH_WINDOW, True),
    "EGeneral:Internal error": UNCERTAIN,
    "EQuery:Unknown asset pair": _row(RejectCode.UNKNOWN_SYMBOL, True),
    "EQuery:Unknown asset": _row(RejectCode.UNKNOWN_SYMBOL, True),
    "Currency pair not supported": _row(RejectCode.UNKNOWN_SYMBOL, True),
    "EOrder:Cannot open position": _row(RejectCode.INVALID_REQUEST, True),
    "EOrder:Insufficient funds": _row(RejectCode.INSUFFICIENT_FUNDS, True),
    "EOrder:Insufficient margin": _row(RejectCode.INSUFFICIENT_FUNDS, True),
    "EOrder:Margin allowance exceeded": _row(RejectCode.INSUFFICIENT_FUNDS, True),
    "EOrder:Order minimum not met": _row(RejectCode.BELOW_MIN_QTY, True),
    "EOrder:Cost minimum not met": _row(RejectCode.BELOW_MIN_NOTIONAL, True),
    "EOrder:Tick size check failed": _row(RejectCode.OFF_TICK, True),
    "EOrder:Invalid price": _row(RejectCode.OUTSIDE_BAND, True),
    "EOrder:Orders limit exceeded": _row(RejectCode.TOO_MANY_ORDERS, True),
    "EOrder:Positions limit exceeded": _row(RejectCode.VENUE_POSITION_CAP, True),
    "EOrder:Rate limit exceeded": _row(RejectCode.RATE_LIMITED, True),
    "EOrder:Post only order": _row(RejectCode.POST_ONLY_WOULD_TAKE),
    "EOrder:Reduce only": _row(RejectCode.REDUCE_ONLY, True),
    "EOrder:Unknown order": _row(RejectCode.UNKNOWN_ORDER),
    "EOrder:Invalid order": _row(RejectCode.INVALID_REQUEST),
    "EOrder:Invalid order:cl_ord_id": _row(RejectCode.DUPLICATE_CLIENT_ID, True),
    "EOrder:Invalid order:self trade": _row(RejectCode.SELF_TRADE, True),
    "EOrder:Invalid order:fill or kill": _row(RejectCode.NOT_FILLABLE),
    "EOrder:Invalid order:nothing to trade": _row(RejectCode.NO_LIQUIDITY),
    "EOrder:Trading agreement required": _row(RejectCode.NOT_AUTHORISED),
    "ETrade:Locked": _row(RejectCode.NOT_AUTHORISED),
    "EService:Market in cancel_only mode": _row(RejectCode.CANCEL_ONLY),
    "EService:Market in post_only mode": _row(RejectCode.POST_ONLY_MODE),
    "EService:Market in limit_only mode": _row(RejectCode.TYPE_UNSUPPORTED),
    "EService:Deadline elapsed": _row(RejectCode.DEADLINE_PASSED),
    "EService:Throttled": _row(RejectCode.RATE_LIMITED),
    "EService:": UNCERTAIN,
    "ESession:Invalid session": _row(RejectCode.NOT_LIVE),
    "EOrder:": _row(RejectCode.VENUE_REJECTED),
    "EGeneral:Invalid": _row(RejectCode.INVALID_REQUEST, True),
    "EAPI:": _row(RejectCode.VENUE_REJECTED),
}
INVALID_SESSION = "ESession:Invalid session"
FILTER_CODES = frozenset(
    {
        RejectCode.BELOW_MIN_QTY,
        RejectCode.BELOW_MIN_NOTIONAL,
        RejectCode.OFF_TICK,
        RejectCode.OUTSIDE_BAND,
        RejectCode.UNKNOWN_SYMBOL,
        RejectCode.BAD_NUMBER,
        RejectCode.CANCEL_ONLY,
        RejectCode.POST_ONLY_MODE,
    }
)
"""Refusals after which our copy of the venue's rules is read again (T2.3)."""

unknown_texts: dict[str, int] = {}
"""Texts that no row covers, with how often they came; at most `MAX_UNKNOWN_TEXTS` different ones."""


def meaning_of(text: str) -> Meaning:
    """The row of one error text. A text that no row covers is uncertain, and is counted."""
    best = max((start for start in TABLE if text.startswith(start)), key=len, default=None)
    if best is not None:
        return TABLE[best]
    key = text[:MAX_RAW_CHARS]
    if key in unknown_texts or len(unknown_texts) < MAX_UNKNOWN_TEXTS:
        unknown_texts[key] = unknown_texts.get(key, 0) + 1
    return UNCERTAIN


def refusal_of(errors: Sequence[str]) -> Rejected | None:
    """The definite refusal of an error list, None when its effect is uncertain.

    One uncertain text makes the whole answer uncertain; else the first text names the code.
    """
    meanings = [meaning_of(one) for one in errors]
    if not meanings or any(one.code is None for one in meanings):
        return None
    first = meanings[0]
    assert first.code is not None
    return Rejected(first.code, "; ".join(errors)[:MAX_RAW_CHARS], first.preventable)
