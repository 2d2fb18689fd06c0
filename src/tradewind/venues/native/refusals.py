"""What the node's errors mean: by name, which is permanent, never by their text (T7.5)."""

from __future__ import annotations

from typing import Final

from tradewind.venues.codes import RejectCode
from tradewind.venues.native.messages import Problem
from tradewind.venues.protocol import Rejected

MAX_RAW_CHARS: Final = 300
SERVER_ERROR: Final = 500
NAMES: Final[dict[str, tuple[RejectCode, bool]]] = {
    "INVALID_SIZE": (RejectCode.BAD_NUMBER, True),
    "INVALID_PRICE": (RejectCode.BAD_NUMBER, True),
    "NOT_A_NUMBER": (RejectCode.BAD_NUMBER, True),
    "MATH_OVERFLOW": (RejectCode.BAD_NUMBER, True),
    "LOT_MISALIGNED": (RejectCode.OFF_LOT, True),
    "TICK_MISALIGNED": (RejectCode.OFF_TICK, True),
    "ORDER_TOO_SMALL": (RejectCode.BELOW_MIN_NOTIONAL, True),
    "ORDER_TOO_LARGE": (RejectCode.ABOVE_MAX_NOTIONAL, True),
    "PRICE_TOO_HIGH": (RejectCode.OUTSIDE_BAND, False),
    "PRICE_TOO_LOW": (RejectCode.OUTSIDE_BAND, False),
    "INVALID_ORDER_TYPE": (RejectCode.TYPE_UNSUPPORTED, True),
    "INVALID_TIME_IN_FORCE": (RejectCode.TYPE_UNSUPPORTED, True),
    "POST_ONLY_WOULD_TAKE": (RejectCode.POST_ONLY_WOULD_TAKE, False),
    "FOK_NOT_FILLABLE": (RejectCode.NOT_FILLABLE, False),
    "NO_LIQUIDITY": (RejectCode.NO_LIQUIDITY, False),
    "REDUCE_ONLY_WOULD_INCREASE": (RejectCode.REDUCE_ONLY, False),
    "SELF_TRADE_PREVENTED": (RejectCode.SELF_TRADE, False),
    "REPLACE_BELOW_FILLED": (RejectCode.AMEND_BELOW_FILLED, False),
    "TOO_MANY_OPEN_ORDERS": (RejectCode.TOO_MANY_ORDERS, True),
    "ORDER_NOT_FOUND": (RejectCode.UNKNOWN_ORDER, False),
    "ORDER_NOT_OPEN": (RejectCode.UNKNOWN_ORDER, False),
    "INVALID_SWITCH_WINDOW": (RejectCode.INVALID_SWITCH_WINDOW, True),
    "MARKET_NOT_FOUND": (RejectCode.UNKNOWN_SYMBOL, True),
    "MARKET_NOT_ACTIVE": (RejectCode.SYMBOL_CLOSED, False),
    "MARKET_CLOSE_ONLY": (RejectCode.SYMBOL_CLOSED, False),
    "INSUFFICIENT_BALANCE": (RejectCode.INSUFFICIENT_FUNDS, False),
    "INSUFFICIENT_FREE_COLLATERAL": (RejectCode.INSUFFICIENT_FUNDS, False),
    "INSUFFICIENT_MARGIN": (RejectCode.INSUFFICIENT_FUNDS, False),
    "BAD_CLIENT_KEY": (RejectCode.BAD_CLIENT_ID, True),
    "IDEMPOTENCY_CONFLICT": (RejectCode.DUPLICATE_CLIENT_ID, False),
    "COMMAND_EXPIRED": (RejectCode.DEADLINE_PASSED, False),
    "PAUSED": (RejectCode.CANCEL_ONLY, False),
    "BREAKER_ACTIVE": (RejectCode.CANCEL_ONLY, False),
    "FROZEN": (RejectCode.MAINTENANCE, False),
    "STAGE_FORBIDS": (RejectCode.CANCEL_ONLY, False),
    "COVERAGE_TOO_LOW": (RejectCode.CANCEL_ONLY, False),
    "RATE_LIMITED": (RejectCode.RATE_LIMITED, False),
    "IDEMPOTENCY_WINDOW_FULL": (RejectCode.RATE_LIMITED, False),
    "UNAUTHENTICATED": (RejectCode.NOT_AUTHORISED, False),
    "INSUFFICIENT_SCOPE": (RejectCode.NOT_AUTHORISED, False),
    "UNAUTHORIZED_SIGNER": (RejectCode.NOT_AUTHORISED, False),
    "PERMISSION_DENIED": (RejectCode.NOT_AUTHORISED, False),
    "PRINCIPAL_SUSPENDED": (RejectCode.NOT_AUTHORISED, False),
    "WRONG_OWNER": (RejectCode.NOT_AUTHORISED, False),
    "RISK_DENIED": (RejectCode.ENGINE_RESTRICTED, False),
    "TRADER_NOT_RUNNING": (RejectCode.ENGINE_RESTRICTED, False),
    "MALFORMED_REQUEST": (RejectCode.INVALID_REQUEST, True),
    "BODY_TOO_LARGE": (RejectCode.INVALID_REQUEST, True),
}
"""Name -> code, and whether our own checks should have caught it."""
NOTHING_DONE: Final[dict[str, RejectCode]] = {
    "CAPACITY_EXCEEDED": RejectCode.VENUE_BUSY,
    "CONTINUATION_PENDING": RejectCode.VENUE_BUSY,
    "TRADER_NOT_RUNNING": RejectCode.ENGINE_RESTRICTED,
}
"""Errors above 499 that nevertheless say that nothing was done. Every other one decides nothing."""
STATUSES: Final = {
    401: RejectCode.NOT_AUTHORISED,
    403: RejectCode.NOT_AUTHORISED,
    418: RejectCode.RATE_LIMITED,
    429: RejectCode.RATE_LIMITED,
}


def refusal_of(status: int, problem: Problem | None) -> Rejected | None:
    """A definite refusal; None where it may have been executed nevertheless."""
    raw = f"HTTP {status}" if problem is None else f"{problem.name}: {problem.detail}"[:MAX_RAW_CHARS]
    if status >= SERVER_ERROR:
        code = None if problem is None else NOTHING_DONE.get(problem.name)
        return None if code is None else Rejected(code, raw, False)
    if problem is not None and problem.name in NAMES:
        known, preventable = NAMES[problem.name]
        return Rejected(known, raw, preventable)
    return Rejected(STATUSES.get(status, RejectCode.VENUE_REJECTED), raw, False)
