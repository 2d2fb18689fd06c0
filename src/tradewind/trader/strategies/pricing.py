"""What the shipped strategies share: prices out of a book, rounding toward safety, cancels of everything."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from fractions import Fraction

from tradewind.venues.market_data import Instrument, Side

from ..parameters import ParameterError
from ..strategy import BookTop, CancelIntent, MarketView, OwnOrder, StrategyIntent

BPS = 10_000
MINIMUM_ROOM = Decimal("1.02")
"""An order is wished only 2 % above the least notional, so that a moving price does not spoil it."""


def the_one(symbols: tuple[str, ...]) -> str:
    """The only symbol of a strategy that trades one. Raises `ParameterError` for none or several."""
    if len(symbols) != 1:
        raise ParameterError("symbols", "exactly one symbol", ", ".join(symbols) or "none")
    return symbols[0]


def microprice(book: BookTop) -> Fraction:
    """Size-weighted middle in ticks: (bid * ask size + ask * bid size) / (sizes)."""
    (bid, bid_lots), (ask, ask_lots) = book.bids[0], book.asks[0]
    if bid_lots + ask_lots == 0:
        return Fraction(bid + ask, 2)
    return Fraction(bid * ask_lots + ask * bid_lots, bid_lots + ask_lots)


def two_sided(book: BookTop | None) -> bool:
    """Whether a book has both sides and they do not cross: only then a price may be taken from it."""
    return book is not None and bool(book.bids and book.asks) and book.bids[0][0] < book.asks[0][0]


def floor_ticks(value: Decimal) -> int:
    """Rounded down, for buying."""
    return int(value.to_integral_value(ROUND_FLOOR))


def ceiling_ticks(value: Decimal) -> int:
    """Rounded up, for selling."""
    return int(value.to_integral_value(ROUND_CEILING))


def passive_ticks(side: Side, exact_ticks: Decimal, book: BookTop) -> int:
    """The price rounded away from the market and never across it: it rests."""
    if side is Side.BUY:
        return max(1, min(floor_ticks(exact_ticks), book.asks[0][0] - 1))
    return max(ceiling_ticks(exact_ticks), book.bids[0][0] + 1)


def lots_for(quote: Decimal, price: Decimal, instrument: Instrument) -> int:
    """Whole lots that so much money buys at a price; rounded down."""
    return int(quote / price / instrument.lot) if price > 0 and quote > 0 else 0


def tradable(instrument: Instrument, price: Decimal, lots: int) -> bool:
    """Whether so many lots are at least the venue's minima."""
    quantity = instrument.lot * lots
    if lots <= 0 or (instrument.min_quantity is not None and quantity < instrument.min_quantity):
        return False
    return instrument.min_notional is None or quantity * price >= instrument.min_notional * MINIMUM_ROOM


def cancel_all(orders: Iterable[OwnOrder], reason: str) -> list[StrategyIntent]:
    """Cancels of all orders that have no request in flight already."""
    return [CancelIntent(client_id=order.client_id, reason=reason) for order in orders if not order.busy]


def leave_unknown_book(view: MarketView) -> list[StrategyIntent]:
    """Cancels in a book that is not known. An order whose request was in flight when the book was lost could
    not be cancelled then: this is for the moments after.
    """
    return cancel_all(view.orders, "book not live") if view.book is None else []


def best_prices(orders: Iterable[OwnOrder]) -> dict[Side, int]:
    """Own best working price of each side."""
    best: dict[Side, int] = {}
    for order in orders:
        known = best.get(order.side, order.price_ticks)
        better = max if order.side is Side.BUY else min
        best[order.side] = better(known, order.price_ticks)
    return best


def meets(side: Side, price_ticks: int, best_own: dict[Side, int]) -> bool:
    """Whether this price would meet an own order of the other side (which has to move first)."""
    other = best_own.get(Side(1 - side))
    if other is None:
        return False
    return price_ticks >= other if side is Side.BUY else price_ticks <= other
