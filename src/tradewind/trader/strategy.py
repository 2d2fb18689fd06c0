"""The strategy contract (T14.1): callbacks in, intents out, and nothing else.

A strategy sees time, data, its own orders, fills and positions through its `Context`; it has no clock, no
socket, no file and no randomness but the context's seeded generator. Prices are ticks, quantities lots,
money `Decimal`.
"""

from __future__ import annotations

import hashlib
import inspect
import random
from collections.abc import Callable
from decimal import Decimal
from inspect import getattr_static
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

from tradewind.venues.market_data import Instrument, Side
from tradewind.venues.protocol import FeeSchedule, FillEvent, TimeInForce

from .execution.model import ExecuteIntent

MAX_INTENTS_PER_CALLBACK = 64
Owner = TypeVar("Owner")
T = TypeVar("T")


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a strategy declares about itself.

    `symbols` are what it trades, `outside` what it only looks at. `data` says which callbacks it wants:
    `book`, `trades`, `bars:SECONDS`; without them it is called on its own timer, on fills and on orders only.
    `quotes`: it lives from quoting and is exempt from the cancel ratio of T11.8. `averages_down`: it may add
    to a losing position (T12.3). `executes`: it may ask for parent orders (`ExecuteIntent`), for which every
    public trade is heard.
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
    executes: bool = False


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


StrategyIntent = PlaceIntent | AmendIntent | CancelIntent | ExecuteIntent


class ContextSource(Protocol):
    """Where a `Context` reads from. Every call computes its answer; the context keeps it for one callback."""

    def now_ns(self) -> int:
        """The moment of the callback, UTC nanoseconds; it never goes back."""

    def equity(self) -> Decimal | None:
        """Marked equity of the account; None while it is not known."""

    def strategy_loss(self) -> Decimal:
        """Loss of this strategy since the start of the UTC day, account currency; negative is a profit."""

    def size_multiplier(self) -> Decimal:
        """What sizes are multiplied with at present (drawdown, T11.6)."""

    def instrument(self, symbol: str) -> Instrument:
        """The instrument of a symbol. Raises `KeyError` for one that the strategy did not declare."""

    def fees(self, symbol: str) -> FeeSchedule | None:
        """The account's actual fees; None while they are not known."""

    def position_lots(self, symbol: str) -> int:
        """Lots that this strategy holds."""

    def average_price(self, symbol: str) -> Decimal | None:
        """What the held lots cost on average, quote units; None without a position."""

    def orders(self, symbol: str) -> tuple[OwnOrder, ...]:
        """This strategy's working orders, oldest first."""

    def state(self, symbol: str) -> str:
        """Trading state: normal, reduce_only, halted."""

    def hold_reason(self, symbol: str) -> str:
        """Why risk would deny anything that adds risk now; empty when nothing is known against it."""

    def book(self, symbol: str) -> BookTop | None:
        """The best levels of the live book; None while it is not live."""

    def volume_5m_lots(self, symbol: str) -> int | None:
        """Lots traded in public in the last five minutes; None before five minutes were seen."""

    def size(self, request: SizeRequest) -> tuple[int, str]:
        """Lots by T12, or 0 and the reason."""


class SizeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a size is asked for (T12): the price of the entry and the price at which it would be closed."""

    symbol: str
    side: Side
    price_ticks: int
    stop_ticks: int
    edge_bps: Decimal | None = None


class _Kept(Generic[Owner, T]):
    """An attribute that is computed when it is asked for and kept in the instance until that is cleared."""

    def __init__(self, compute: Callable[[Owner], T]) -> None:
        self._compute = compute
        self._name = ""
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Owner, owner: type | None = None) -> T:
        value = instance.__dict__[self._name] = self._compute(instance)
        return value


class MarketView:
    """One symbol as a strategy sees it during one callback; each attribute is computed when asked for."""

    __slots__ = ("__dict__", "_source", "symbol")

    def __init__(self, source: ContextSource, symbol: str) -> None:
        self._source = source
        self.symbol = symbol

    instrument = _Kept[Any, Instrument](lambda self: self._source.instrument(self.symbol))
    fees = _Kept[Any, FeeSchedule | None](lambda self: self._source.fees(self.symbol))
    position_lots = _Kept[Any, int](lambda self: self._source.position_lots(self.symbol))
    average_price = _Kept[Any, Decimal | None](lambda self: self._source.average_price(self.symbol))
    orders = _Kept[Any, tuple[OwnOrder, ...]](lambda self: self._source.orders(self.symbol))
    state = _Kept[Any, str](lambda self: self._source.state(self.symbol))
    hold_reason = _Kept[Any, str](lambda self: self._source.hold_reason(self.symbol))
    book = _Kept[Any, BookTop | None](lambda self: self._source.book(self.symbol))
    volume_5m_lots = _Kept[Any, int | None](lambda self: self._source.volume_5m_lots(self.symbol))


class Context:
    """What a strategy may look at during one callback. Nothing is computed before it is asked for.

    Its attributes mean the symbol of the callback (on a timer: the first one); `market(symbol)`
    gives the same view of every other. `state` is the trading state (normal, reduce_only, halted);
    `hold_reason` says why new risk would be denied anyway (stale data, unknown fees), empty when nothing is
    known to stand against it. Risk decides all the same.
    """

    __slots__ = ("__dict__", "_source", "random", "symbol")

    def __init__(self, source: ContextSource, symbol: str, generator: random.Random) -> None:
        self._source = source
        self.symbol = symbol
        self.random = generator

    def begin(self, symbol: str) -> None:
        """A new callback about `symbol`: forget what was kept. For the host, not for strategies."""
        if self.__dict__:
            self.__dict__.clear()
        self.symbol = symbol

    now_ns = _Kept[Any, int](lambda self: self._source.now_ns())
    equity = _Kept[Any, Decimal | None](lambda self: self._source.equity())
    strategy_loss = _Kept[Any, Decimal](lambda self: self._source.strategy_loss())
    size_multiplier = _Kept[Any, Decimal](lambda self: self._source.size_multiplier())
    size_reason = _Kept[Any, str](lambda self: "")
    _views = _Kept[Any, dict[str, MarketView]](lambda self: {})
    instrument = _Kept[Any, Instrument](lambda self: self.market(self.symbol).instrument)
    fees = _Kept[Any, FeeSchedule | None](lambda self: self.market(self.symbol).fees)
    position_lots = _Kept[Any, int](lambda self: self.market(self.symbol).position_lots)
    average_price = _Kept[Any, Decimal | None](lambda self: self.market(self.symbol).average_price)
    orders = _Kept[Any, tuple[OwnOrder, ...]](lambda self: self.market(self.symbol).orders)
    state = _Kept[Any, str](lambda self: self.market(self.symbol).state)
    hold_reason = _Kept[Any, str](lambda self: self.market(self.symbol).hold_reason)
    book = _Kept[Any, BookTop | None](lambda self: self.market(self.symbol).book)
    volume_5m_lots = _Kept[Any, int | None](lambda self: self.market(self.symbol).volume_5m_lots)

    def market(self, symbol: str) -> MarketView:
        """The view of one of the strategy's symbols, those it only looks at included. Its attributes raise
        `KeyError` for a symbol that the manifest does not name.
        """
        view = self._views.get(symbol)
        if view is None:
            view = self._views[symbol] = MarketView(self._source, symbol)
        return view

    def size(
        self, symbol: str, side: Side, price_ticks: int, stop_ticks: int, edge_bps: Decimal | None = None
    ) -> int:
        """Lots of an entry by T12; 0 when there is no size, then `size_reason` says why."""
        request = SizeRequest(
            symbol=symbol, side=side, price_ticks=price_ticks, stop_ticks=stop_ticks, edge_bps=edge_bps
        )
        lots, reason = self._source.size(request)
        self.__dict__["size_reason"] = reason
        return lots

    @classmethod
    def fixed(cls, *, symbol: str | None = None, seed: int = 1, **values: Any) -> Context:
        """A context of given values, for tests of strategies: attributes of the symbol of the callback, and
        `markets` (symbol to a dict of its attributes) for others. Raises `TypeError` for unknown names;
        reading what was not given raises `LookupError`.
        """
        markets: dict[str, dict[str, Any]] = dict(values.pop("markets", {}))
        generator = values.pop("random", None) or random.Random(seed)  # noqa: S311 - reproducible, no secret
        if symbol is None:
            symbol = values["instrument"].symbol if "instrument" in values else next(iter(markets), "")
        unknown = [name for name in values if not isinstance(getattr_static(cls, name, None), _Kept)]
        if unknown:
            raise TypeError(f"a context has no {', '.join(unknown)}")
        context = cls(_NOTHING, symbol, generator)
        context.__dict__.update(values)
        for name, content in {**markets, symbol: markets.get(symbol, values)}.items():
            view = context.market(name)
            view.__dict__.update(
                {
                    key: value
                    for key, value in content.items()
                    if isinstance(getattr_static(MarketView, key, None), _Kept)
                }
            )
        return context


class _Nothing:
    """A source without anything in it."""

    def __getattr__(self, name: str) -> Any:
        raise LookupError(f"this context has no {name}")


_NOTHING: Final = _Nothing()


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

    def on_bar(self, context: Context, bar: Bar) -> list[StrategyIntent]:
        """A bar closed (manifest data `bars:SECONDS`)."""

    def on_fill(self, context: Context, fill: FillEvent) -> list[StrategyIntent]:
        """One of the own orders was filled, at least in part."""

    def on_order(self, context: Context, order: OwnOrder, state: str) -> list[StrategyIntent]:
        """One of the own orders changed state."""

    def on_timer(self, context: Context) -> list[StrategyIntent]:
        """Every `manifest.timer_ms`."""

    def on_stop(self, context: Context) -> list[StrategyIntent]:
        """The trader stops: last chance to cancel."""


class StrategyBase:
    """Empty answers, so that a strategy writes only the callbacks it needs."""

    manifest: Manifest

    def on_start(self, context: Context) -> list[StrategyIntent]:
        """Nothing."""
        return []

    def on_book(self, context: Context, book: BookTop) -> list[StrategyIntent]:
        """Nothing."""
        return []

    def on_suspect(self, context: Context, symbol: str) -> list[StrategyIntent]:
        """Nothing."""
        return []

    def on_trade(self, context: Context, trade: PublicTrade) -> list[StrategyIntent]:
        """Nothing."""
        return []

    def on_bar(self, context: Context, bar: Bar) -> list[StrategyIntent]:
        """Nothing."""
        return []

    def on_fill(self, context: Context, fill: FillEvent) -> list[StrategyIntent]:
        """Nothing."""
        return []

    def on_order(self, context: Context, order: OwnOrder, state: str) -> list[StrategyIntent]:
        """Nothing."""
        return []

    def on_timer(self, context: Context) -> list[StrategyIntent]:
        """Nothing."""
        return []

    def on_stop(self, context: Context) -> list[StrategyIntent]:
        """Nothing."""
        return []


def code_hash(strategy: object) -> str:
    """Hash of the whole file that a strategy's class (or the class of this object) stands in, helpers beside
    it included: recorded with every run (T14.1).
    """
    kind = strategy if inspect.isclass(strategy) else type(strategy)
    return hashlib.blake2b(Path(inspect.getfile(kind)).read_bytes(), digest_size=16).hexdigest()


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
