"""In which order positions are reduced, and how much of one at a time (T8.6)."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from tradewind.venues.market_data import Instrument, Side
from tradewind.venues.paper.filters import ceil_to_step, floor_to_step


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """One open position. `quantity` is signed, in base; `loss_quote` is positive for a loss."""

    symbol: str
    quantity: Decimal
    notional_quote: Decimal
    loss_quote: Decimal = Decimal(0)
    liquidation_distance_bps: Decimal | None = None
    """None: not leveraged."""


class FlattenRules(msgspec.Struct, frozen=True, kw_only=True):
    """How a position may be sold (T8.6): inside the collar, a share of what is shown, with a pause."""

    collar_bps: Decimal
    participation_pct: Decimal
    interval_ms: int
    max_order_quote: Decimal


def order_of_work(holdings: Iterable[Holding]) -> list[Holding]:
    """Leveraged by distance to liquidation first, then the largest loss, then the largest size (T8.6)."""

    def urgency(one: Holding) -> tuple[bool, Decimal, Decimal, Decimal, str]:
        distance = one.liquidation_distance_bps
        return (distance is None, distance or Decimal(0), -one.loss_quote, -one.notional_quote, one.symbol)

    return sorted(holdings, key=urgency)


def smallest_lots(instrument: Instrument, price: Decimal, collar_bps: Decimal) -> int:
    """Least lots that the venue takes at this price, with room for the collar; less is dust (T2.8)."""
    least = instrument.min_quantity or instrument.lot
    if instrument.min_notional is not None:
        least = max(least, instrument.min_notional / (price * (1 - collar_bps / 10_000)))
    return int(ceil_to_step(least, instrument.lot) / instrument.lot)


def collar_ticks(instrument: Instrument, side: Side, mid: Decimal, collar_bps: Decimal) -> int:
    """The worst price of a slice, rounded toward the mid."""
    share = collar_bps / 10_000
    if side is Side.SELL:
        limit = ceil_to_step(mid * (1 - share), instrument.tick)
    else:
        limit = floor_to_step(mid * (1 + share), instrument.tick)
    return int(limit / instrument.tick)


def slice_lots(held: int, shown: int, smallest: int, largest: int, participation_pct: Decimal) -> int:
    """Lots of the next slice: the allowed share of what is shown, at most an order's bound, and never so that
    a rest is left which the venue would not take. 0: nothing can be sent.
    """
    lots = min(held, max(int(shown * participation_pct / 100), smallest), largest)
    rest = held - lots
    if 0 < rest < smallest:
        lots = held if held <= largest else lots - smallest
    return max(0, lots)
