"""One pass over the data before anything trades: is it in order, is it whole, and what did the market show.

The middles that fills and decisions are measured against come from here, not from the run: whatever way the
run is played, its results are measured in the same way.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Final

from tradewind.venues.market_data import (
    BookDelta,
    BookSnapshot,
    BookState,
    FeedGap,
    FeedState,
    Level,
    Side,
    TradePrint,
)

from .data import MarketData
from .errors import DataRefused

SECOND_NS: Final = 1_000_000_000
MAX_SILENCE_NS: Final = 60 * SECOND_NS
"""A capture that is silent for longer has a gap."""
MAX_GAPS: Final = 1_000
MAX_QUOTES: Final = 20_000_000
BATCHES_PER_TELL: Final = 512
Tell = Callable[[int, int], object]
"""What was done, and of how much."""


class _Side:
    """One side of an outside book."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self.lots: dict[int, int] = {}
        self.prices: list[int] = []

    def set(self, price: int, lots: int) -> None:
        known = price in self.lots
        if lots:
            self.lots[price] = lots
            if not known:
                insort(self.prices, price)
        elif known:
            del self.lots[price]
            del self.prices[bisect_left(self.prices, price)]

    def replace(self, levels: Iterable[Level]) -> None:
        self.lots = {price: lots for price, lots in levels if lots}
        self.prices = sorted(self.lots)

    def best(self) -> int | None:
        if not self.prices:
            return None
        return self.prices[-1] if self.side is Side.BUY else self.prices[0]


class Quotes:
    """Best bid and ask of one symbol in ticks; an entry where they changed while the book was live."""

    def __init__(self, tick: Decimal) -> None:
        self.tick = tick
        self.times = array("q")
        self.bids = array("q")
        self.asks = array("q")

    def add(self, at_ns: int, bid: int, ask: int) -> None:
        """The newest pair; what is equal to the one before is not kept."""
        if self.times and self.bids[-1] == bid and self.asks[-1] == ask:
            return
        if len(self.times) >= MAX_QUOTES:
            raise DataRefused("DATA_TOO_LARGE", f"more than {MAX_QUOTES} changes of the best prices")
        self.times.append(at_ns)
        self.bids.append(bid)
        self.asks.append(ask)

    def before(self, at_ns: int) -> Decimal | None:
        """The middle just before a moment; None when there was none yet."""
        return self._middle(bisect_left(self.times, at_ns) - 1)

    def at(self, at_ns: int) -> Decimal | None:
        """The middle at a moment; None when there was none yet."""
        return self._middle(bisect_right(self.times, at_ns) - 1)

    def spread_bps(self) -> Decimal | None:
        """Mean quoted spread over all changes, in basis points."""
        if not self.times:
            return None
        total = sum(
            (
                Decimal(ask - bid) * 20_000 / (ask + bid)
                for bid, ask in zip(self.bids, self.asks, strict=True)
            ),
            Decimal(0),
        )
        return total / len(self.times)

    def _middle(self, place: int) -> Decimal | None:
        if place < 0:
            return None
        return self.tick * (self.bids[place] + self.asks[place]) / 2


class Survey:
    """What one pass over the data found."""

    def __init__(self, data: MarketData, symbols: Sequence[str]) -> None:
        self.first_ns: int | None = None
        self.last_ns = 0
        self.batches = 0
        self.events: Counter[str] = Counter()
        self.volume_lots: Counter[str] = Counter()
        self.gaps: list[str] = list(data.gaps)
        self.quotes = {symbol: Quotes(data.instruments[symbol].tick) for symbol in symbols}
        self.outside_lot = {symbol: data.instruments[symbol].lot for symbol in symbols}
        self._books = {symbol: (_Side(Side.BUY), _Side(Side.SELL)) for symbol in symbols}
        self._live = dict.fromkeys(symbols, False)
        self._was_live = dict.fromkeys(symbols, False)

    @property
    def span_ns(self) -> int:
        """From the first event to the last."""
        return self.last_ns - (self.first_ns or 0)

    def add(self, now_ns: int, events: Iterable[object], *, max_silence_ns: int | None) -> None:
        """Look at one moment. Raises `DataRefused`: times go back."""
        if self.first_ns is None:
            self.first_ns = now_ns
        elif now_ns < self.last_ns:
            raise DataRefused(
                "DATA_UNSORTED", f"time goes back from {self.last_ns} to {now_ns} ns at moment {self.batches}"
            )
        elif max_silence_ns is not None and now_ns - self.last_ns > max_silence_ns:
            silent_s = (now_ns - self.last_ns) // SECOND_NS
            self._gap(f"nothing was received for {silent_s} s after {self.last_ns} ns")
        self.last_ns = now_ns
        self.batches += 1
        for event in events:
            self.events[type(event).__name__] += 1
            self._event(now_ns, event)

    def _event(self, now_ns: int, event: object) -> None:
        symbol = getattr(event, "symbol", "")
        if symbol not in self._books:
            return
        bids, asks = self._books[symbol]
        match event:
            case BookSnapshot():
                bids.replace(event.bids)
                asks.replace(event.asks)
            case BookDelta():
                for price, lots in event.bids:
                    bids.set(price, lots)
                for price, lots in event.asks:
                    asks.set(price, lots)
            case FeedState():
                self._live[symbol] = event.state is BookState.LIVE
                if self._was_live[symbol] and not self._live[symbol]:
                    self._gap(f"{symbol}: the book was lost at {now_ns} ns: {event.reason}")
                self._was_live[symbol] = self._was_live[symbol] or self._live[symbol]
            case FeedGap():
                self._gap(f"{symbol}: {event.reason} at {now_ns} ns, expected {event.expected}")
            case TradePrint():
                self.volume_lots[symbol] += event.quantity_lots
                return
            case _:
                return
        bid, ask = bids.best(), asks.best()
        if self._live[symbol] and bid is not None and ask is not None and bid < ask:
            self.quotes[symbol].add(now_ns, bid, ask)

    def _gap(self, text: str) -> None:
        if len(self.gaps) < MAX_GAPS:
            self.gaps.append(text)


def survey(
    data: MarketData, symbols: Sequence[str], *, allow_gaps: bool = False, tell: Tell = lambda done, of: None
) -> Survey:
    """Read everything once.

    Raises:
        DataRefused: unknown symbol, times that go back, a gap (unless allowed), no live book, nothing at all.
    """
    unknown = [symbol for symbol in symbols if symbol not in data.instruments]
    if unknown:
        known = ", ".join(sorted(data.instruments)[:8]) or "nothing"
        raise DataRefused("UNKNOWN_SYMBOL", f"{data.label} has no {unknown[0]}; it has {known}")
    found = Survey(data, symbols)
    silence_ns = MAX_SILENCE_NS if data.kind == "capture" else None
    for now_ns, events in data.batches():
        found.add(now_ns, events, max_silence_ns=silence_ns)
        if found.gaps and not allow_gaps:
            raise DataRefused("DATA_GAP", f"{found.gaps[0]}; --allow-gaps runs all the same and says so")
        if found.batches % BATCHES_PER_TELL == 0:
            tell(found.batches, 0)
    if found.first_ns is None:
        raise DataRefused("DATA_EMPTY", f"{data.label} holds no market data")
    blind = [symbol for symbol in symbols if not found.quotes[symbol].times]
    if blind:
        raise DataRefused(
            "DATA_NO_BOOK", f"{data.label} never shows a live two-sided book of {blind[0]} (no snapshot?)"
        )
    tell(found.batches, found.batches)
    return found
