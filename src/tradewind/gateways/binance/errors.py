"""Error codes and texts of the venue, and what each refusal of the exchange becomes on its wire.

A code says what to do (clients map codes to their own exceptions), so every refusal that proves "nothing was
executed" has a 4xx status, and 5xx is kept for answers after which the state of an order is unknown.
"""

from __future__ import annotations

from typing import Any, Final

from tradewind.gateways.model import Kind, Refusal, Refused

UNAUTHORISED_CODES: Final = frozenset({-1002, -2014, -2015})
OVERLOAD_CODES: Final = frozenset({-1003, -1015})


class BinanceError(Exception):
    """One error reply: `{"code": code, "msg": message}`, with `data` where the venue adds some."""

    def __init__(self, code: int, message: str, status: int | None = None, data: Any = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status if status is not None else status_of(code)
        self.data = data
        self.headers: dict[str, str] = {}

    def body(self) -> dict[str, Any]:
        """The reply as the venue writes it."""
        body: dict[str, Any] = {"code": self.code, "msg": self.message}
        if self.data is not None:
            body["data"] = self.data
        return body


def status_of(code: int) -> int:
    """The HTTP status that goes with a code when nothing else is known."""
    if code in UNAUTHORISED_CODES:
        return 401
    if code in OVERLOAD_CODES:
        return 429
    return {-1008: 503, -1016: 503, -2021: 409}.get(code, 400)


def missing(name: str) -> BinanceError:
    return BinanceError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def one_of_missing(first: str, second: str) -> BinanceError:
    return BinanceError(-1102, f"Param '{first}' or '{second}' must be sent, but both were empty/null!")


def not_required(name: str) -> BinanceError:
    return BinanceError(-1106, f"Parameter '{name}' sent when not required.")


def illegal(name: str, legal: str) -> BinanceError:
    return BinanceError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")


def invalid_data(name: str) -> BinanceError:
    return BinanceError(-1130, f"Data sent for parameter '{name}' is not valid.")


def filter_failure(name: str) -> BinanceError:
    return BinanceError(-1013, f"Filter failure: {name}")


def unknown_symbol() -> BinanceError:
    return BinanceError(-1121, "Invalid symbol.")


def unsupported() -> BinanceError:
    return BinanceError(-1020, "This operation is not supported.")


def unknown_order() -> BinanceError:
    return BinanceError(-2011, "Unknown order sent.")


def no_such_order() -> BinanceError:
    return BinanceError(-2013, "Order does not exist.")


def outside_window() -> BinanceError:
    return BinanceError(-1021, "Timestamp for this request is outside of the recvWindow.")


def ahead_of_time() -> BinanceError:
    return BinanceError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")


def bad_key() -> BinanceError:
    return BinanceError(-2015, "Invalid API-key, IP, or permissions for action.")


FILTERS: Final = {
    Refusal.BAD_PRICE: "PRICE_FILTER",
    Refusal.OFF_TICK: "PRICE_FILTER",
    Refusal.BAD_QUANTITY: "LOT_SIZE",
    Refusal.OFF_LOT: "LOT_SIZE",
    Refusal.BELOW_MIN_QUANTITY: "LOT_SIZE",
    Refusal.ABOVE_MAX_QUANTITY: "LOT_SIZE",
    Refusal.BELOW_MIN_NOTIONAL: "NOTIONAL",
    Refusal.ABOVE_MAX_NOTIONAL: "NOTIONAL",
    Refusal.OUTSIDE_BAND: "PERCENT_PRICE_BY_SIDE",
    Refusal.TOO_MANY_ORDERS: "MAX_NUM_ORDERS",
    Refusal.POSITION_LIMIT: "MAX_POSITION",
}
"""Refusals that are a filter of `exchangeInfo`: decided before an order reaches matching."""

REJECTIONS: Final = {
    Refusal.UNKNOWN_SYMBOL: (-1121, "Invalid symbol."),
    Refusal.INSUFFICIENT_FUNDS: (-2010, "Account has insufficient balance for requested action."),
    Refusal.WOULD_TAKE: (-2010, "Order would immediately match and take."),
    Refusal.WOULD_TRIGGER: (-2010, "Order would trigger immediately."),
    Refusal.NOT_FILLABLE: (-2010, "Order could not be filled completely."),
    Refusal.NO_LIQUIDITY: (-1112, "No orders on book for symbol."),
    Refusal.DUPLICATE_CLIENT_ID: (-2010, "Duplicate order sent."),
    Refusal.UNKNOWN_ORDER: (-2011, "Unknown order sent."),
    Refusal.ORDER_CLOSED: (-2011, "Unknown order sent."),
    Refusal.AMEND_BELOW_FILLED: (-2038, "Order amend would leave the order without open quantity."),
    Refusal.DEADLINE_PASSED: (-1021, "Timestamp for this request is outside of the recvWindow."),
    Refusal.UNSUPPORTED: (-1020, "This operation is not supported."),
    Refusal.REDUCE_ONLY: (-2010, "This action is disabled on this account."),
    Refusal.MARKET_CLOSED: (-1013, "Market is closed."),
    Refusal.CANCEL_ONLY: (-1013, "Market is closed."),
    Refusal.POST_ONLY_MODE: (-2010, "This symbol accepts post-only orders at the moment."),
    Refusal.SELF_TRADE: (-2010, "Order would match an order of the same account."),
    Refusal.BUSY: (
        -1008,
        "Server is currently overloaded with other requests. Please try again in a few minutes.",
    ),
    Refusal.STOPPED: (-1016, "This service is no longer available."),
}


def of_refusal(refused: Refused, kind: Kind = Kind.LIMIT) -> BinanceError:
    """The venue's error for a refusal of the exchange; what has no words there keeps the exchange's."""
    name = FILTERS.get(refused.refusal)
    if name is not None:
        if name == "LOT_SIZE" and kind is Kind.MARKET:
            name = "MARKET_LOT_SIZE"
        return filter_failure(name)
    code, message = REJECTIONS.get(refused.refusal, (-2010, refused.message))
    return BinanceError(code, message)


def of_cancel(refused: Refused) -> BinanceError:
    """The error of a cancel: what never existed and what is over look the same to the venue's clients."""
    if refused.refusal in {Refusal.BUSY, Refusal.STOPPED, Refusal.DEADLINE_PASSED}:
        return of_refusal(refused)
    if refused.refusal in {Refusal.UNKNOWN_ORDER, Refusal.ORDER_CLOSED}:
        return unknown_order()
    return BinanceError(-2011, refused.message)


def of_amend(refused: Refused) -> BinanceError:
    """The error of an amendment: the venue has one code for every rejection of the matching engine."""
    if refused.refusal in FILTERS or refused.refusal in {
        Refusal.BUSY,
        Refusal.STOPPED,
        Refusal.DEADLINE_PASSED,
        Refusal.MARKET_CLOSED,
    }:
        return of_refusal(refused)
    code, message = REJECTIONS.get(refused.refusal, (-2038, refused.message))
    return BinanceError(-2038 if code in {-2010, -2011} else code, message)
