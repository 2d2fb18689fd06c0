"""Numbers as Polymarket writes them: decimal text without trailing zeros, amounts in millionths."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Final

from tradewind.gateways.outcome_model import ListedOutcome

MICRO: Final = 1_000_000
NS_PER_MS: Final = 1_000_000
NS_PER_S: Final = 1_000_000_000


def plain(value: Decimal) -> str:
    """Decimal text without exponent and trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def price_text(market: ListedOutcome, ticks: int) -> str:
    """A price."""
    return plain(market.rules.tick * ticks)


def size_text(market: ListedOutcome, lots: int) -> str:
    """Shares."""
    return plain(market.rules.lot * lots)


def lot_micro(market: ListedOutcome) -> int:
    """One lot in micro-shares."""
    return int(market.rules.lot * MICRO)


def micro_text(value: Decimal) -> str:
    """An amount in millionths, as balances are told; rounded down."""
    return str(int(value * MICRO))


def ratio_ticks(quote_micro: int, shares_micro: int, tick: Decimal) -> tuple[int, bool, Decimal]:
    """(nearest ticks, whether the price is that exactly, the price) of two amounts.

    Raises:
        ZeroDivisionError: no shares.
    """
    with localcontext() as context:
        context.prec = 40
        price = Decimal(quote_micro) / Decimal(shares_micro)
        ticks = int((price / tick).to_integral_value())
    return ticks, ticks * tick * shares_micro == quote_micro, price


def ms(time_ns: int) -> str:
    """Milliseconds as text."""
    return str(time_ns // NS_PER_MS)


def seconds(time_ns: int) -> str:
    """Seconds as text."""
    return str(time_ns // NS_PER_S)
