"""The strategy contract (T14.1): callbacks in, intents out, and nothing else.

A strategy sees time, data, its own orders, fills and positions through its `Context`; it has no clock, no
socket, no file and no randomness but the context's seeded generator. Prices are ticks, quantities lots,
money `Decimal`.
"""

from __future__ import annotations

import hashlib
import inspect
import random
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from tradewind.venues.market_data import Instrument, Side
from tradewind.venues.protocol import FeeSchedule, FillEvent, TimeInForce

MAX_INTENTS_PER_CALLBACK = 64


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a strategy declares about itself.

    `symbols` are what it trades, `outside` what it only looks at. `data` says which callbacks it wants:
    `book`, `trades`, `bars:SECONDS`; without them it is called on its own timer, on fills and on orders only.
    `quotes`: it lives from quoting and is exempt from the cancel ratio of T11.8. `averages_down`: it may add
    to a losing position (T12.3).
    """

    name: str
    version: str
    symbols: tuple[str, ...]
    expected_holding_s: int
    expected_edge_bps: Decimal
    cost_model: str
    max_loss_pct: Decimal
    data: tuple[str, ...]
    book_levels: int = 5
    outside: tuple[str, ...] = ()
    timer_ms: int = 1_000
    quotes: bool = False
    averages_down: bool = False


class BookTop(msgspec.Struct, frozen=True):
    """The best levels of a live book, best first, as (price_ticks, lots)."""

    symbol: str
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]
    as_of_ns: int


class PublicTrade(msgspec.Struct, frozen=True):
    """A public trade, in ticks and lots of the venue the strategy trades on (lots may be 0 after
    flooring).
    """

    symbol: str
    price_ticks: int
    lots: int
    aggressor: Side | None
    at_ns: int


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """A closed bar of `seconds`, aligned to UTC; prices in ticks, volume in lots. Without a trade all four
    prices are the close before it and `lots` and `trades` are 0.
    """

    symbol: str
    start_ns: int
    seconds: int
    open_ticks: int
    high_ticks: int
    low_ticks: int
    close_ticks: int
    lots: int
    trades: int

    @property
    def end_ns(self) -> int:
        """The first nanosecond behind the bar."""
        return self.start_ns + self.seconds * 1_000_000_000


class OwnOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A working order as the strategy sees it. `busy`: a request about it is in flight."""

    client_id: str
    symbol: str
    side: Side
    price_ticks: int
    lots: int
    remaining_lots: int
    tag: str
    busy: bool


class PlaceIntent(msgspec.Struct, frozen=True, kw_only=True):
    """Wish for a new order.

    `edge_bps` is what an entry is expected to earn before costs (the cost gate of T14.3 asks for it);
    `stop_ticks` is the price at which the position it opens would be closed (L06). Exits need neither.
    """

    symbol: str
    side: Side
    price_ticks: int
    lots: int
    post_only: bool = True
    time_in_force: TimeInForce = TimeInForce.GTC
    tag: str = ""
    edge_bps: Decimal | None = None
    stop_ticks: int | None = None


class AmendIntent(msgspec.Struct, frozen=True, kw_only=True):
    """Wish to change a working order; `lots` is the new total, filled lots included."""

    client_id: str
    price_ticks: int
    lots: int


class CancelIntent(msgspec.Struct, frozen=True, kw_only=True):
    """Wish to cancel a working order."""

    client_id: str
    reason: str = ""


StrategyIntent = PlaceIntent | AmendIntent | CancelIntent


class Context(msgspec.Struct, kw_only=True):
    """What a strategy may look at during one callback.

    `state` is its trading state (normal, reduce_only, halted); `hold_reason` says why new risk would be
    denied anyway (stale data, unknown fees), empty when nothing stands against it. Risk decides all the
    same.
    """

    now_ns: int
    instrument: Instrument
    fees: FeeSchedule | None
    equity: Decimal | None
    position_lots: int
    orders: tuple[OwnOrder, ...]
    strategy_loss: Decimal
    state: str
    hold_reason: str
    size_multiplier: Decimal
    random: random.Random


class Strategy(Protocol):
    """A strategy. Each callback returns the intents it leads to (at most `MAX_INTENTS_PER_CALLBACK`)."""

    manifest: Manifest

    def on_start(self, context: Context) -> list[StrategyIntent]:
        """Once, after recovery and reconciliation."""

    def on_book(self, context: Context, book: BookTop) -> list[StrategyIntent]:
        """The book of a symbol changed and is live."""

    def on_suspect(self, context: Context, symbol: str) -> list[StrategyIntent]:
        """The book of a symbol is not live any more."""

    def on_trade(self, context: Context, trade: PublicTrade) -> list[StrategyIntent]:
        """A public trade was printed."""

    def on_fill(self, context: Context, fill: FillEvent) -> list[StrategyIntent]:
        """One of the own orders was filled, at least in part."""

    def on_order(self, context: Context, order: OwnOrder, state: str) -> list[StrategyIntent]:
        """One of the own orders changed state."""

    def on_timer(self, context: Context) -> list[StrategyIntent]:
        """Every second."""

    def on_stop(self, context: Context) -> list[StrategyIntent]:
        """The trader stops: last chance to cancel."""


def code_hash(strategy: object) -> str:
    """Hash of the source of a strategy's class, recorded with every run."""
    source: Any = inspect.getsource(type(strategy))
    return hashlib.blake2b(source.encode(), digest_size=16).hexdigest()


def break_even_win_rate(*, win: Decimal, loss: Decimal, cost: Decimal) -> Decimal:
    """p* = (L + c) / (W + L) for target W, stop L and round-trip cost c (T14.3). Raises `ValueError` when p*
    >= 1.
    """
    rate = (loss + cost) / (win + loss)
    if rate >= 1:
        raise ValueError(
            f"break-even win rate {rate} is not below 1: the cost {cost} exceeds the target {win}"
        )
    return rate
