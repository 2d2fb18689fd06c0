"""The tape: last trades, candles and volume of each market."""

from __future__ import annotations

from collections import deque

import msgspec

from tradewind.core.enums import Side
from tradewind.core.event_types import SetFilled, Trade
from tradewind.core.events import Event

TAPE_KEPT = 10_000
CANDLES_KEPT = 1_440
SECOND_NS = 10**9
INTERVALS_S = (1, 60)


class TapeTrade(msgspec.Struct, frozen=True, gc=False):
    """A public trade: price in ticks, size in lots, notional in micro-quote, side of the taker."""

    seq: int
    time_ns: int
    price: int
    lots: int
    notional: int
    side: Side
    taker_order: int
    maker_order: int
    taker_account: int
    maker_account: int
    number: int = 0
    """Counts the trades of its market, from 1."""


class Candle(msgspec.Struct):
    """Prices in ticks; `start_ns` is a multiple of the interval."""

    start_ns: int
    open: int
    high: int
    low: int
    close: int
    lots: int
    notional: int
    trades: int
    bought_lots: int = 0
    """Lots of trades whose taker bought."""
    bought_notional: int = 0
    first_trade: int = 0
    """Number of its first trade in the market."""


class MarketTape:
    """Trades and candles of one market, bounded."""

    def __init__(self, tape_kept: int, candles_kept: int, intervals_s: tuple[int, ...] = INTERVALS_S) -> None:
        self.trades: deque[TapeTrade] = deque(maxlen=tape_kept)
        self.candles: dict[int, deque[Candle]] = {s: deque(maxlen=candles_kept) for s in intervals_s}
        self.trade_count = 0
        self.total_lots = 0
        self.total_notional = 0
        self.fees = 0

    @property
    def last_price(self) -> int | None:
        """Price of the last trade in ticks; None before the first."""
        return self.trades[-1].price if self.trades else None

    def add(self, trade: TapeTrade, fees: int) -> None:
        self.trades.append(trade)
        self.trade_count += 1
        self.total_lots += trade.lots
        self.total_notional += trade.notional
        self.fees += fees
        for interval_s, candles in self.candles.items():
            _extend(candles, trade, interval_s * SECOND_NS)

    def volume(self, since_ns: int) -> tuple[int, int]:
        """(lots, micro-quote) of the one-minute candles that start at or after `since_ns`."""
        recent = [candle for candle in self.candles[60] if candle.start_ns >= since_ns]
        return sum(candle.lots for candle in recent), sum(candle.notional for candle in recent)


def _extend(candles: deque[Candle], trade: TapeTrade, interval_ns: int) -> None:
    start_ns = trade.time_ns - trade.time_ns % interval_ns
    price = trade.price
    if not candles or candles[-1].start_ns != start_ns:
        candles.append(Candle(start_ns, price, price, price, price, 0, 0, 0, first_trade=trade.number))
    candle = candles[-1]
    candle.high, candle.low, candle.close = max(candle.high, price), min(candle.low, price), price
    candle.lots += trade.lots
    candle.notional += trade.notional
    candle.trades += 1
    if trade.side == Side.BUY:
        candle.bought_lots += trade.lots
        candle.bought_notional += trade.notional


class TradesView:
    """The tapes of all markets."""

    def __init__(
        self,
        tape_kept: int = TAPE_KEPT,
        candles_kept: int = CANDLES_KEPT,
        intervals_s: tuple[int, ...] = INTERVALS_S,
    ) -> None:
        self.tapes: dict[int, MarketTape] = {}
        self._kept = (tape_kept, candles_kept, intervals_s)

    def tape(self, market: int) -> MarketTape:
        """The tape of a market; an empty one before its first trade."""
        return self.tapes.get(market) or MarketTape(*self._kept)

    def _tape_of(self, market: int) -> MarketTape:
        tape = self.tapes.get(market)
        if tape is None:
            tape = self.tapes[market] = MarketTape(*self._kept)
        return tape

    def on_event(self, event: Event) -> None:
        if isinstance(event, Trade):
            tape = self._tape_of(event.market)
            trade = TapeTrade(
                seq=event.seq,
                time_ns=event.time_ns,
                price=event.price,
                lots=event.lots,
                notional=event.notional,
                side=Side(event.taker_side),
                taker_order=event.order,
                maker_order=event.maker_order,
                taker_account=event.account,
                maker_account=event.maker_account,
                number=tape.trade_count + 1,
            )
            tape.add(trade, event.taker_fee + event.maker_fee)
        elif isinstance(event, SetFilled):
            tape = self._tape_of(event.market)
            trade = TapeTrade(
                seq=event.seq,
                time_ns=event.time_ns,
                # The taker of a set may be paid for its claims; a price is at least a tick.
                price=max(event.price, 1),
                lots=event.lots,
                notional=max(event.value, 0),
                side=Side(event.side),
                taker_order=event.taker_order,
                maker_order=event.order,
                taker_account=event.taker_account,
                maker_account=event.account,
                number=tape.trade_count + 1,
            )
            tape.add(trade, event.fee)
