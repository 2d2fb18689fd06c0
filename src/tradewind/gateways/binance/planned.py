"""Errors that a fault plan asks for, in the venue's words."""

from __future__ import annotations

from typing import Final

from tradewind.gateways.faults import Action, Fault

from .dispatch import ADDRESS
from .errors import BinanceError
from .windows import Usage

UNKNOWN_STATE: Final = "Internal error; unable to process your request. Please try again."
TIMED_OUT: Final = (
    "Timeout waiting for response from backend server. Send status unknown; execution status unknown."
)
BAN_S: Final = 120


def fault_error(action: Action, usage: Usage, now_ns: int) -> BinanceError:
    """The error that a fault plan asks for."""
    rule = action.rule
    if rule.action is Fault.RATE_BAN or (rule.action is Fault.STATUS and rule.status == 418):
        usage.ban(ADDRESS, rule.seconds or BAN_S, now_ns)
        try:
            usage.request(ADDRESS, 0, now_ns)
        except BinanceError as banned:
            return banned
    if rule.action is Fault.MAINTENANCE:
        return BinanceError(-1016, rule.message or "This service is no longer available.", 503)
    if rule.action is Fault.CANCEL_ONLY:
        return BinanceError(-1013, rule.message or "Market is closed.")
    if rule.status == 429:
        error = BinanceError(-1003, rule.message or "Too many requests queued.", 429)
        error.headers["Retry-After"] = str(rule.seconds or 1)
        return error
    if rule.status >= 500:
        timed_out = rule.status == 504
        code, message = (-1007, TIMED_OUT) if timed_out else (-1001, UNKNOWN_STATE)
        return BinanceError(code, rule.message or message, rule.status)
    return BinanceError(-1000, rule.message or "An unknown error occurred.", rule.status)
