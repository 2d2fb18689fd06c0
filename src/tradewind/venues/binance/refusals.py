"""What Binance's error codes and texts mean: a definite refusal, a question, or nothing to rely on (T7.5).

The code decides, for -2010 (refused by the engine) and -1013 (filters) the text. Codes that are known to come
back for requests that were carried out are uncertain, and so is every code that no row covers.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from tradewind.venues.codes import RejectCode
from tradewind.venues.market_data import Instrument
from tradewind.venues.paper.filters import FilterFailure
from tradewind.venues.protocol import Rejected

MAX_RAW_CHARS = 200
MAX_UNKNOWN = 256
FILTER = "Filter failure: "


class Meaning(msgspec.Struct, frozen=True):
    """One row. `code` None: uncertain. `preventable`: our own checks should have caught it."""

    code: RejectCode | None
    preventable: bool = False


UNCERTAIN = Meaning(None)
UNKNOWN_ORDER = -2011
NO_SUCH_ORDER = -2013
ARCHIVED = -2026
BAD_TIME = -1021
REPLACE_PARTIAL = -2021
REPLACE_FAILED = -2022
KEY_CODES = frozenset({-1002, -1022, -2014, -2015})
"""The venue did not believe who we are."""

CODES: dict[int, Meaning] = {
    -1000: UNCERTAIN,
    -1001: UNCERTAIN,
    -1006: UNCERTAIN,
    -1007: UNCERTAIN,
    -1002: Meaning(RejectCode.NOT_AUTHORISED),
    -1003: Meaning(RejectCode.RATE_LIMITED, True),
    -1008: Meaning(RejectCode.VENUE_BUSY),
    -1014: Meaning(RejectCode.INVALID_REQUEST, True),
    -1015: Meaning(RejectCode.RATE_LIMITED, True),
    -1016: Meaning(RejectCode.MAINTENANCE),
    -1020: Meaning(RejectCode.TYPE_UNSUPPORTED, True),
    -1021: Meaning(RejectCode.DEADLINE_PASSED),
    -1022: Meaning(RejectCode.NOT_AUTHORISED),
    -1034: Meaning(RejectCode.RATE_LIMITED, True),
    -1108: Meaning(RejectCode.BAD_NUMBER, True),
    -1111: Meaning(RejectCode.BAD_NUMBER, True),
    -1112: Meaning(RejectCode.NO_LIQUIDITY),
    -1114: Meaning(RejectCode.TYPE_UNSUPPORTED, True),
    -1115: Meaning(RejectCode.TYPE_UNSUPPORTED, True),
    -1116: Meaning(RejectCode.TYPE_UNSUPPORTED, True),
    -1121: Meaning(RejectCode.UNKNOWN_SYMBOL, True),
    -2011: Meaning(RejectCode.UNKNOWN_ORDER),
    -2013: Meaning(RejectCode.UNKNOWN_ORDER),
    -2014: Meaning(RejectCode.NOT_AUTHORISED),
    -2015: Meaning(RejectCode.NOT_AUTHORISED),
    -2016: Meaning(RejectCode.SYMBOL_CLOSED),
    -2038: Meaning(RejectCode.VENUE_REJECTED),
    -2039: Meaning(RejectCode.INVALID_REQUEST, True),
}
INVALID_REQUESTS = range(-1199, -1099)
"""Parameters that the venue does not take: nothing is executed, and the fault is ours."""

TEXTS: dict[str, Meaning] = {
    "Account has insufficient balance": Meaning(RejectCode.INSUFFICIENT_FUNDS, True),
    "Duplicate order sent": Meaning(RejectCode.DUPLICATE_CLIENT_ID, True),
    "Order would immediately match and take": Meaning(RejectCode.POST_ONLY_WOULD_TAKE),
    "Order could not be filled completely": Meaning(RejectCode.NOT_FILLABLE),
    "Order would trigger immediately": Meaning(RejectCode.VENUE_REJECTED),
    "Order would match an order of the same account": Meaning(RejectCode.SELF_TRADE, True),
    "Order cancel-replace is not supported": Meaning(RejectCode.TYPE_UNSUPPORTED, True),
    "Order amend is not supported": Meaning(RejectCode.TYPE_UNSUPPORTED, True),
    "Order amend (quantity increase)": Meaning(RejectCode.TYPE_UNSUPPORTED, True),
    "Order amend would leave the order without open quantity": Meaning(RejectCode.AMEND_BELOW_FILLED),
    "Unknown order sent": Meaning(RejectCode.UNKNOWN_ORDER),
    "Order was not canceled due to cancel restrictions": Meaning(RejectCode.UNKNOWN_ORDER),
    "Market is closed": Meaning(RejectCode.SYMBOL_CLOSED),
    "This symbol accepts post-only orders": Meaning(RejectCode.POST_ONLY_MODE),
    "This symbol is not permitted for this account": Meaning(RejectCode.NOT_AUTHORISED),
    "This symbol is restricted for this account": Meaning(RejectCode.NOT_AUTHORISED),
    "This action is disabled on this account": Meaning(RejectCode.NOT_AUTHORISED),
    "This account may not place or cancel orders": Meaning(RejectCode.NOT_AUTHORISED),
    "Rest API trading is not enabled": Meaning(RejectCode.NOT_AUTHORISED),
    "WebSocket API trading is not enabled": Meaning(RejectCode.NOT_AUTHORISED),
    "Unsupported order combination": Meaning(RejectCode.TYPE_UNSUPPORTED, True),
    "Unsupported cancelRestrictions": Meaning(RejectCode.TYPE_UNSUPPORTED, True),
    "Market orders are not supported": Meaning(RejectCode.TYPE_UNSUPPORTED, True),
    "Iceberg orders are not supported": Meaning(RejectCode.TYPE_UNSUPPORTED, True),
    "Stop loss orders are not supported": Meaning(RejectCode.TYPE_UNSUPPORTED, True),
    "Price * QTY is zero or less": Meaning(RejectCode.BELOW_MIN_NOTIONAL, True),
    "IcebergQty exceeds QTY": Meaning(RejectCode.INVALID_REQUEST, True),
    "Price is outside": Meaning(RejectCode.OUTSIDE_BAND, True),
    "Invalid price": Meaning(RejectCode.BAD_NUMBER, True),
    "Invalid quantity": Meaning(RejectCode.BAD_NUMBER, True),
    "The relative price": Meaning(RejectCode.OUTSIDE_BAND, True),
}
"""Texts of -2010, -2011, -2038 and -1013, by their beginning."""

FILTERS: dict[str, RejectCode] = {
    "PRICE_FILTER": RejectCode.OFF_TICK,
    "PERCENT_PRICE": RejectCode.OUTSIDE_BAND,
    "PERCENT_PRICE_BY_SIDE": RejectCode.OUTSIDE_BAND,
    "LOT_SIZE": RejectCode.OFF_LOT,
    "MARKET_LOT_SIZE": RejectCode.OFF_LOT,
    "MIN_NOTIONAL": RejectCode.BELOW_MIN_NOTIONAL,
    "NOTIONAL": RejectCode.BELOW_MIN_NOTIONAL,
    "ICEBERG_PARTS": RejectCode.INVALID_REQUEST,
    "MAX_NUM_ORDERS": RejectCode.TOO_MANY_ORDERS,
    "MAX_NUM_ALGO_ORDERS": RejectCode.TOO_MANY_ORDERS,
    "MAX_NUM_ICEBERG_ORDERS": RejectCode.TOO_MANY_ORDERS,
    "MAX_NUM_ORDER_AMENDS": RejectCode.TOO_MANY_ORDERS,
    "MAX_NUM_ORDER_LISTS": RejectCode.TOO_MANY_ORDERS,
    "EXCHANGE_MAX_NUM_ORDERS": RejectCode.TOO_MANY_ORDERS,
    "EXCHANGE_MAX_NUM_ALGO_ORDERS": RejectCode.TOO_MANY_ORDERS,
    "EXCHANGE_MAX_NUM_ICEBERG_ORDERS": RejectCode.TOO_MANY_ORDERS,
    "EXCHANGE_MAX_NUM_ORDER_LISTS": RejectCode.TOO_MANY_ORDERS,
    "MAX_POSITION": RejectCode.VENUE_POSITION_CAP,
    "MAX_ASSET": RejectCode.ABOVE_MAX_QTY,
    "TRAILING_DELTA": RejectCode.INVALID_REQUEST,
    "T_PLUS_SELL": RejectCode.NOT_AUTHORISED,
}
"""Filters that `exchangeInfo` may name. One that is not here: no new risk in its symbol (T2.7)."""

REREAD_CODES = frozenset(
    {
        *FILTERS.values(), RejectCode.UNKNOWN_SYMBOL, RejectCode.SYMBOL_CLOSED, RejectCode.BAD_NUMBER,
        RejectCode.ABOVE_MAX_NOTIONAL, RejectCode.BELOW_MIN_QTY, RejectCode.ABOVE_MAX_QTY,
    }
)  # fmt: skip
"""Refusals after which our copy of the venue's rules is read again (T2.3)."""

unknown_texts: dict[str, int] = {}
"""Codes and texts that no row covers, with how often they came; at most `MAX_UNKNOWN` different ones."""


class Meanings(msgspec.Struct, frozen=True, kw_only=True):
    """What one market's errors mean. `texts` decide for the codes in `by_text`, by their beginning;
    `refusals` are codes that refuse by definition, whatever the reason.
    """

    codes: Mapping[int, Meaning]
    texts: Mapping[str, Meaning]
    by_text: frozenset[int]
    refusals: frozenset[int]
    filters: Mapping[str, RejectCode]
    archived: int | None = None
    """Code for an order that ended so long ago that it cannot be read any more."""

    def of(self, code: int, text: str) -> Meaning:
        """The row of an error. One that no row covers is uncertain, and is counted."""
        if text.startswith(FILTER):
            name = text[len(FILTER) :].strip()
            return Meaning(self.filters.get(name, RejectCode.VENUE_REJECTED), True)
        if code in self.by_text:
            for start, row in self.texts.items():
                if text.startswith(start):
                    return row
        if code in self.codes:
            return self.codes[code]
        if code in INVALID_REQUESTS:
            return Meaning(RejectCode.INVALID_REQUEST, True)
        _count(f"{code} {text}")
        return Meaning(RejectCode.VENUE_REJECTED) if code in self.refusals else UNCERTAIN

    def refusal(self, code: int, text: str) -> Rejected | None:
        """The definite refusal that an error is; None when the effect of the request is uncertain."""
        row = self.of(code, text)
        if row.code is None:
            return None
        return Rejected(row.code, f"{code} {text}"[:MAX_RAW_CHARS], row.preventable)


SPOT_MEANINGS = Meanings(
    codes=CODES,
    texts=TEXTS,
    by_text=frozenset({-2010, -2011, -2038, -1013}),
    refusals=frozenset({-2010, -1013}),
    filters=FILTERS,
    archived=ARCHIVED,
)


def refusal_of(code: int, text: str) -> Rejected | None:
    """The same for spot."""
    return SPOT_MEANINGS.refusal(code, text)


def of_failure(failure: FilterFailure, instrument: Instrument, raw: str = "") -> Rejected:
    """Our own finding: the first broken rule, with the nearest valid values in whole ticks or lots (T2.6)."""
    step = instrument.tick if failure.field == "price" else instrument.lot
    return Rejected(
        failure.code,
        raw or f"{failure.field} {failure.given}, rule {failure.bound}"[:MAX_RAW_CHARS],
        True,
        _steps(failure.nearest_below, step),
        _steps(failure.nearest_above, step),
    )


def _steps(value: Decimal | None, step: Decimal) -> int | None:
    return None if value is None else int(value / step)


def _count(key: str) -> None:
    key = key[:MAX_RAW_CHARS]
    if key in unknown_texts or len(unknown_texts) < MAX_UNKNOWN:
        unknown_texts[key] = unknown_texts.get(key, 0) + 1
