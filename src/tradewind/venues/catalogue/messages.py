"""Entries of a catalogue page (Gamma-style `GET /markets`) as quotes in millionths of the payout.

The catalogue shows the book of the first outcome (`bestBid`, `bestAsk`) and a price of every outcome
(`outcomePrices`). The first outcome's quote is its book; each other outcome is quoted around its own price
with the first one's spread, so that the value of an outcome is always the venue's price of that outcome alone
(protocol P6.3) and prices that do not add up are seen.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation
from typing import Final

import msgspec

CERTAIN: Final = 1_000_000
MAX_OUTCOMES: Final = 64
MIN_OUTCOMES: Final = 2
MAX_LIQUIDITY: Final = 4 * 10**18
CONDITION_DIGITS: Final = 64


class BadItem(ValueError):
    """An entry that cannot be used. `code` is a name of the error catalogue."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code


class PageError(ValueError):
    """A whole answer that is no list of entries."""


class CatalogueMarket(msgspec.Struct, frozen=True, kw_only=True):
    """A market as the venue shows it now; prices in millionths, liquidity in micro-USDC."""

    condition: bytes
    bids: tuple[int, ...]
    asks: tuple[int, ...]
    liquidity: int
    tradable: bool
    """Active, not closed, and the venue takes orders."""


class _Entry(msgspec.Struct, rename="camel"):
    """The fields that are read, as the venue names them; lists come as JSON inside of a string."""

    condition_id: str
    outcomes: str
    outcome_prices: str | None = None
    best_bid: Decimal | None = None
    best_ask: Decimal | None = None
    liquidity: Decimal | None = None
    liquidity_num: Decimal | None = None
    active: bool = True
    closed: bool = False
    accepting_orders: bool = True


_ENTRY: Final = msgspec.json.Decoder(_Entry, strict=False)
_LIST: Final = msgspec.json.Decoder(list[str])
_PAGE: Final = msgspec.json.Decoder(list[msgspec.Raw])


def decode_page(body: bytes) -> list[bytes]:
    """The entries of a page, each still to be read by itself.

    Raises:
        PageError: the answer is no list.
    """
    try:
        return [bytes(entry) for entry in _PAGE.decode(body)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PageError(str(error)) from error


def decode_market(entry: bytes) -> CatalogueMarket:
    """One entry.

    Raises:
        BadItem: `MALFORMED_FRAME`, `INVALID_OUTCOME_COUNT`, `PARAMETER_OUT_OF_BOUNDS`, `NON_POSITIVE_PRICE`,
        `CROSSED_SOURCE`.
    """
    try:
        raw = _ENTRY.decode(entry)
        names = _LIST.decode(raw.outcomes)
        prices = [_decimal(text) for text in _LIST.decode(raw.outcome_prices or "[]")]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidOperation) as error:
        raise BadItem("MALFORMED_FRAME", str(error)) from error
    condition = _condition(raw.condition_id)
    if not MIN_OUTCOMES <= len(names) <= MAX_OUTCOMES or len(prices) != len(names):
        raise BadItem("INVALID_OUTCOME_COUNT", f"{len(names)} outcomes with {len(prices)} prices")
    if raw.best_bid is None or raw.best_ask is None:
        raise BadItem("NON_POSITIVE_PRICE", "a side of the book is empty")
    bid = _millionths(raw.best_bid, ROUND_FLOOR)
    ask = _millionths(raw.best_ask, ROUND_CEILING)
    if ask == 0:
        raise BadItem("NON_POSITIVE_PRICE", "the best ask is 0")
    if bid >= ask:
        raise BadItem("CROSSED_SOURCE", f"bid {bid} and ask {ask}")
    quotes = [(bid, ask), *(_around(price, ask - bid) for price in prices[1:])]
    return CatalogueMarket(
        condition=condition,
        bids=tuple(bid for bid, _ in quotes),
        asks=tuple(ask for _, ask in quotes),
        liquidity=_liquidity(raw.liquidity if raw.liquidity_num is None else raw.liquidity_num),
        tradable=raw.active and not raw.closed and raw.accepting_orders,
    )


def _decimal(text: str) -> Decimal:
    value = Decimal(text)
    if not value.is_finite():
        raise BadItem("PARAMETER_OUT_OF_BOUNDS", f"price {text}")
    return value


def _millionths(price: Decimal, rounding: str) -> int:
    if not price.is_finite() or not 0 <= price <= 1:
        raise BadItem("PARAMETER_OUT_OF_BOUNDS", f"price {price} is not in [0, 1]")
    return int((price * CERTAIN).to_integral_value(rounding))


def _around(price: Decimal, spread: int) -> tuple[int, int]:
    """A quote with this price in its middle, as wide as the spread where [0, 1] leaves room for it."""
    middle = _millionths(price, ROUND_FLOOR)
    half = min((spread + 1) // 2, middle, CERTAIN - middle)
    if half == 0:
        # At the very edge one side is at the edge, and the other one step away from it.
        return (0, 1) if middle == 0 else (CERTAIN - 1, CERTAIN)
    return middle - half, middle + half


def _condition(text: str) -> bytes:
    digits = text.removeprefix("0x")
    try:
        if len(digits) == CONDITION_DIGITS:
            return bytes.fromhex(digits)
    except ValueError:
        pass
    raise BadItem("MALFORMED_FRAME", f"condition {text[:80]!r} is not 32 bytes in hexadecimal digits")


def _liquidity(value: Decimal | None) -> int:
    """Unknown liquidity is none: the confidence is doubled then."""
    if value is None:
        return 0
    micro = value * CERTAIN if value.is_finite() else Decimal(-1)
    if not 0 <= micro <= MAX_LIQUIDITY:
        raise BadItem("PARAMETER_OUT_OF_BOUNDS", f"liquidity {value}")
    return int(micro)
