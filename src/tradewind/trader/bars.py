"""Bars out of prints: aligned to UTC, without holes, and with every odd print counted.

A bar of `seconds` begins at a multiple of `seconds` since 1970 UTC. Lengths divide a day, so a bar never
crosses midnight; time since 1970 has no leap seconds, so none can shift a bar. What decides a bar is the time
of a print, not when it came:

- inside of the present bar prints may come in any order: open is the earliest, close the latest;
- a print for a bar that is closed already is late: counted, never folded into another bar;
- a print more than `max_ahead_s` after the latest known time is refused: a broken clock must not close bars;
- bars without prints are given out with volume 0 and the last close, at most `MAX_FILLED` in a row; a longer
  hole is left open and counted, and the next bar is a new beginning.

The bar in which the builder began is not given out unless it was seen from its first nanosecond.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from tradewind.venues.market_data import BadNumber, Instrument, UnitParser

from .strategy import Bar

SECOND_NS = 1_000_000_000
DAY_S = 86_400
MAX_FILLED = 1_000
"""Bars without a print that are given out in a row."""
MAX_AHEAD_S = 86_400


class BadPrint(ValueError):
    """A print or candle that cannot be part of a bar."""

    code = "BadPrint"


class BarCounts(msgspec.Struct):
    """What the builder saw: prints used, late ones, ones too far ahead, bars filled and holes left open."""

    prints: int = 0
    late: int = 0
    ahead: int = 0
    filled: int = 0
    holes: int = 0
    clock_back: int = 0


class _Open(msgspec.Struct):
    """The bar that is being built."""

    start_ns: int
    whole: bool
    open_ticks: int = 0
    high_ticks: int = 0
    low_ticks: int = 0
    close_ticks: int = 0
    first_ns: int = 0
    last_ns: int = 0
    lots: int = 0
    trades: int = 0


class BarBuilder:
    """Builds bars of one symbol and one length. Prices are ticks, volumes lots, times ns since 1970 UTC."""

    def __init__(self, symbol: str, seconds: int, *, max_ahead_s: int = MAX_AHEAD_S) -> None:
        if not 1 <= seconds <= DAY_S or DAY_S % seconds:
            raise ValueError(f"bars of {seconds} s do not divide a day; 1, 60, 300, 3600 and 86400 do")
        self.symbol = symbol
        self.seconds = seconds
        self.counts = BarCounts()
        self._length_ns = seconds * SECOND_NS
        self._max_ahead_ns = max_ahead_s * SECOND_NS
        self._open: _Open | None = None
        self._last_close: int | None = None
        self._latest_ns = 0

    @property
    def open_start_ns(self) -> int | None:
        """Where the bar that is being built began; None before the first print or time."""
        return None if self._open is None else self._open.start_ns

    def on_trade(self, price_ticks: int, lots: int, at_ns: int) -> list[Bar]:
        """One print. Returns the bars that it closed, oldest first. Raises `BadPrint` for a price that is not
        positive, negative lots, or a time before 1970; then nothing has changed.
        """
        if price_ticks <= 0 or lots < 0 or at_ns < 0:
            raise BadPrint(f"{self.symbol}: price {price_ticks} ticks, {lots} lots at {at_ns} ns")
        if self._open is not None and at_ns < self._open.start_ns:
            self.counts.late += 1
            return []
        if self._open is not None and at_ns - self._latest_ns > self._max_ahead_ns:
            self.counts.ahead += 1
            return []
        closed = self._advance(at_ns)
        assert self._open is not None
        self._fold(self._open, price_ticks, lots, at_ns)
        self.counts.prints += 1
        return closed

    def on_time(self, now_ns: int) -> list[Bar]:
        """Time has come this far. Returns the bars that ended; a clock that went back closes nothing."""
        if now_ns < self._latest_ns:
            self.counts.clock_back += 1
            return []
        return self._advance(now_ns)

    def recount(self, prints: int, trades: int) -> None:
        """The last `prints` prints stood for `trades` trades (a candle is told as four prints)."""
        assert self._open is not None
        self._open.trades += trades - prints

    def _advance(self, at_ns: int) -> list[Bar]:
        start_ns = at_ns - at_ns % self._length_ns
        self._latest_ns = max(self._latest_ns, at_ns)
        if self._open is None:
            self._open = _Open(start_ns, whole=at_ns == start_ns)
            return []
        if start_ns <= self._open.start_ns:
            return []
        closed = self._close(self._open)
        missing = (start_ns - self._open.start_ns) // self._length_ns - 1
        if missing > MAX_FILLED:
            self.counts.holes += 1
            self._last_close = None
            self._open = _Open(start_ns, whole=at_ns == start_ns)
            return closed
        if self._last_close is not None:
            closed += [
                self._empty(self._open.start_ns + step * self._length_ns) for step in range(1, missing + 1)
            ]
            self.counts.filled += missing
        self._open = _Open(start_ns, whole=True)
        return closed

    def _close(self, bar: _Open) -> list[Bar]:
        if not bar.whole:
            if bar.trades:
                self._last_close = bar.close_ticks
            return []
        if not bar.trades:
            if self._last_close is None:
                return []
            self.counts.filled += 1
            return [self._empty(bar.start_ns)]
        self._last_close = bar.close_ticks
        return [
            Bar(
                symbol=self.symbol,
                start_ns=bar.start_ns,
                seconds=self.seconds,
                open_ticks=bar.open_ticks,
                high_ticks=bar.high_ticks,
                low_ticks=bar.low_ticks,
                close_ticks=bar.close_ticks,
                lots=bar.lots,
                trades=bar.trades,
            )
        ]

    def _empty(self, start_ns: int) -> Bar:
        assert self._last_close is not None
        price = self._last_close
        return Bar(
            symbol=self.symbol,
            start_ns=start_ns,
            seconds=self.seconds,
            open_ticks=price,
            high_ticks=price,
            low_ticks=price,
            close_ticks=price,
            lots=0,
            trades=0,
        )

    @staticmethod
    def _fold(bar: _Open, price_ticks: int, lots: int, at_ns: int) -> None:
        if not bar.trades:
            bar.open_ticks = bar.high_ticks = bar.low_ticks = bar.close_ticks = price_ticks
            bar.first_ns = bar.last_ns = at_ns
        else:
            bar.high_ticks = max(bar.high_ticks, price_ticks)
            bar.low_ticks = min(bar.low_ticks, price_ticks)
            if at_ns < bar.first_ns:
                bar.open_ticks, bar.first_ns = price_ticks, at_ns
            if at_ns >= bar.last_ns:
                bar.close_ticks, bar.last_ns = price_ticks, at_ns
        bar.lots += lots
        bar.trades += 1


class Candle(msgspec.Struct, frozen=True, kw_only=True):
    """A candle as venues publish it; prices and volume are decimal texts."""

    start_ns: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    trades: int = 0

    @classmethod
    def of_row(cls, row: Mapping[str, str]) -> Candle:
        """A row of a fetched history (`tradewind data fetch`)."""
        return cls(
            start_ns=int(row["open_time_ns"]),
            open=row["open"],
            high=row["high"],
            low=row["low"],
            close=row["close"],
            volume=row["volume"],
            trades=int(row["trades"] or 0),
        )


class CandleBars:
    """Turns published candles into bars of the same or a longer length, by the same rules as prints.

    Candles come in order of time. A candle off the grid of its length, one that contradicts itself (low above
    open) and one that is not later than the one before raise `BadPrint`. Holes are filled like those of
    prints. Volumes are floored to whole lots.
    """

    def __init__(
        self, instrument: Instrument, seconds: int, candle_seconds: int | None = None, *, symbol: str = ""
    ) -> None:
        self.candle_seconds = candle_seconds or seconds
        if seconds % self.candle_seconds:
            raise ValueError(f"bars of {seconds} s are no multiple of candles of {self.candle_seconds} s")
        self.builder = BarBuilder(symbol or instrument.symbol, seconds, max_ahead_s=100 * 365 * DAY_S)
        self._scale = instrument.scale()
        self._volume = UnitParser(instrument.lot, "volume", minimum_steps=0, round_down=True)
        self._next_ns = 0

    def on_candle(self, candle: Candle) -> list[Bar]:
        """The bars that this candle closed. Raises `BadPrint`; then nothing has changed."""
        length_ns = self.candle_seconds * SECOND_NS
        if candle.start_ns % length_ns or candle.start_ns < self._next_ns:
            raise BadPrint(f"candle at {candle.start_ns} ns is off its grid or not after the one before")
        try:
            prices = [
                self._scale.ticks[text] for text in (candle.open, candle.high, candle.low, candle.close)
            ]
            lots = self._volume[candle.volume]
        except BadNumber as error:
            raise BadPrint(f"candle at {candle.start_ns} ns: {error}") from error
        first, high, low, last = prices
        if not low <= min(first, last) <= max(first, last) <= high:
            raise BadPrint(f"candle at {candle.start_ns} ns contradicts itself: {prices}")
        self._next_ns = candle.start_ns + length_ns
        if not lots and not candle.trades:
            return self.builder.on_time(candle.start_ns)
        closed = self.builder.on_trade(first, 0, candle.start_ns)
        inside = candle.start_ns + 1
        for price, volume in ((high, 0), (low, 0), (last, lots)):
            closed += self.builder.on_trade(price, volume, inside)
        self.builder.recount(4, max(candle.trades, 1))
        return closed

    def on_time(self, now_ns: int) -> list[Bar]:
        """Closes what ended by this time: call it once behind the last candle."""
        return self.builder.on_time(now_ns)


def bars_of(
    instrument: Instrument, candles: Iterable[Candle], seconds: int, candle_seconds: int | None = None
) -> list[Bar]:
    """All bars of some candles, the last one included."""
    made = CandleBars(instrument, seconds, candle_seconds)
    bars = [bar for candle in candles for bar in made.on_candle(candle)]
    return bars + made.on_time(made._next_ns)
