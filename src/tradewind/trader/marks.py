"""Marks of the account: top of book, equity, profit and loss, each Known, Stale or Unknown."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from tradewind.venues.market_data import Known, Side, Stale, Unknown
from tradewind.venues.paper.venue import PaperVenue

from .ledger import Ledger
from .risk.check import Top

ZERO = Decimal(0)


class ProfitAndLoss(msgspec.Struct, frozen=True, kw_only=True):
    """Profit of the account's positions in the account currency. `unrealised` is None while a mark is
    missing.
    """

    realised: Decimal
    unrealised: Decimal | None
    fees: Decimal

    @property
    def net(self) -> Decimal | None:
        """Realised plus unrealised less fees; None while a mark is missing."""
        return None if self.unrealised is None else self.realised + self.unrealised - self.fees


class Marks:
    """Reads prices from the venue's mirrored books and values the ledger with them."""

    def __init__(self, venue: PaperVenue, ledger: Ledger, currency: str) -> None:
        self.venue = venue
        self.ledger = ledger
        self.currency = currency
        self._last_equity: Known[Decimal] | None = None
        self._tops: dict[str, tuple[int, int, Top]] = {}

    def top(self, symbol: str) -> Known[Top] | Stale[Top] | Unknown:
        """Best bid and ask; Stale while the outside book is not live."""
        market = self.venue.markets[symbol]
        bid, ask = market.mirror.best(Side.BUY), market.mirror.best(Side.SELL)
        if bid is None or ask is None or market.book_as_of_ns is None:
            return Unknown(f"{symbol}: no two-sided book ({market.book_reason})")
        kept = self._tops.get(symbol)
        if kept is None or kept[0] != bid or kept[1] != ask:
            tick = market.setup.instrument.tick
            kept = self._tops[symbol] = (bid, ask, Top(bid=tick * bid, ask=tick * ask))
        top = kept[2]
        if not market.live:
            return Stale(top, market.book_as_of_ns, self.venue.name, market.book_reason)
        if bid >= ask:
            return Unknown(f"{symbol}: crossed book")
        return Known(top, market.book_as_of_ns, self.venue.name)

    def mid(self, symbol: str) -> Decimal | None:
        """Middle of a known top of book."""
        top = self.top(symbol)
        return top.value.mid if isinstance(top, Known) else None

    def tops(self) -> dict[str, Known[Top] | Stale[Top] | Unknown]:
        """Top of every symbol."""
        return {symbol: self.top(symbol) for symbol in self.venue.markets}

    def equity(self) -> Known[Decimal] | Stale[Decimal] | Unknown:
        """Marked value of the account in its currency. Other quote currencies are never summed in."""
        total = self.ledger.total(self.currency)
        oldest_ns: int | None = None
        for symbol, market in self.venue.markets.items():
            held = self.ledger.total(market.setup.instrument.base)
            if not held:
                continue
            top = self.top(symbol)
            if not isinstance(top, Known):
                if self._last_equity is None:
                    return Unknown(f"{symbol} cannot be valued")
                last = self._last_equity
                return Stale(last.value, last.as_of_ns, last.source, f"{symbol} cannot be valued: {top!r}")
            total += held * top.value.mid
            oldest_ns = top.as_of_ns if oldest_ns is None else min(oldest_ns, top.as_of_ns)
        now_ns = self.venue.port.now_ns()
        known = Known(total, now_ns if oldest_ns is None else oldest_ns, self.venue.name)
        self._last_equity = known
        return known

    def profit_and_loss(self, symbol: str | None = None) -> ProfitAndLoss:
        """Of one symbol, or of all."""
        realised, fees = ZERO, ZERO
        unrealised: Decimal | None = ZERO
        for position in self.ledger.positions.values():
            if symbol not in {None, position.symbol}:
                continue
            realised += position.realised
            fees += position.fees.get(position.quote, ZERO)
            if position.lots and unrealised is not None:
                top = self.top(position.symbol)
                mid = top.value.mid if isinstance(top, Known) else None
                unrealised = None if mid is None else unrealised + position.unrealised(mid)
        return ProfitAndLoss(realised=realised, unrealised=unrealised, fees=fees)
