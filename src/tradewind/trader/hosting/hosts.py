"""All strategies of a trader: who hears what, whose turn it is, and what happens to one that misbehaves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from tradewind.venues.market_data import (
    BookDelta,
    BookSnapshot,
    BookState,
    FeedEvent,
    FeedState,
    Instrument,
    TradePrint,
)
from tradewind.venues.protocol import FillEvent

from .. import risk_view
from ..bars import BarBuilder
from ..orders import ManagedOrder
from ..outside import OutsideBook
from ..risk.check import Path
from ..risk.state import strategy_scope
from ..strategy import Bar, BookTop
from ..wish import Wish
from .host import Hosted, ManifestError, StrategyHost, check_manifest
from .memory import SOFT_CAP_BYTES
from .watch import WATCH

if TYPE_CHECKING:
    from ..service import TraderService

SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS
MAX_STRATEGIES: Final = 32
MEASURE_EVERY_S: Final = 2.0
"""Real seconds between two measurements of memory; the strategies take turns."""
FAULT: Final = "fault"
_NONE: Final[tuple[StrategyHost, ...]] = ()


class UnknownStrategy(LookupError):
    """There is no strategy of this name."""

    code = "UnknownStrategy"


class Hosts:
    """The hosts of one trader, by name, in the order in which they were given."""

    def __init__(
        self,
        trader: TraderService,
        hosted: Sequence[Hosted],
        outside: Mapping[str, Instrument],
        seed: int,
    ) -> None:
        self._trader = trader
        self.by_name: dict[str, StrategyHost] = {}
        self.outside = {
            symbol: OutsideBook(instrument)
            for symbol, instrument in outside.items()
            if symbol not in trader.venue.markets
        }
        self.memory_cap_bytes = SOFT_CAP_BYTES
        if not 1 <= len(hosted) <= MAX_STRATEGIES:
            raise ManifestError(f"1 to {MAX_STRATEGIES} strategies can be hosted, not {len(hosted)}")
        for one in hosted:
            check_manifest(one.strategy.manifest, trader.venue.markets, dict(outside))
            name = one.name or one.strategy.manifest.name
            if name in self.by_name:
                raise ManifestError(f"two strategies are named {name!r}")
            host = StrategyHost(one, risk_view.Source(trader, name), seed)
            host.owner = self._owner
            host.other_intents = trader.intent_handlers
            self.by_name[name] = host
        self._book = self._hearing("book")
        self._trades = self._hearing("trades")
        self._suspect = self._hearing(None)
        self._bars = self._builders()
        self.next_timer_ns = 0
        self._minute_ns = 0
        self._turn = 0
        self._measured_s = 0.0
        self._watched = False

    def __iter__(self) -> Iterator[StrategyHost]:
        return iter(self.by_name.values())

    def _hearing(self, kind: str | None) -> dict[str, tuple[StrategyHost, ...]]:
        """By symbol, who wants this kind of data; None is everybody who names the symbol."""
        table: dict[str, tuple[StrategyHost, ...]] = {}
        for host in self:
            if kind is None or kind in host.manifest.data:
                for symbol in (*host.symbols, *host.manifest.outside):
                    table[symbol] = (*table.get(symbol, _NONE), host)
        return table

    def _builders(self) -> dict[str, list[tuple[BarBuilder, tuple[StrategyHost, ...]]]]:
        wanted: dict[tuple[str, int], tuple[StrategyHost, ...]] = {}
        for host in self:
            for data in dict.fromkeys(host.manifest.data):
                kind, _, seconds = data.partition(":")
                if kind == "bars":
                    for symbol in (*host.symbols, *host.manifest.outside):
                        key = (symbol, int(seconds))
                        wanted[key] = (*wanted.get(key, _NONE), host)
        table: dict[str, list[tuple[BarBuilder, tuple[StrategyHost, ...]]]] = {}
        for (symbol, length_s), hosts in wanted.items():
            table.setdefault(symbol, []).append((BarBuilder(symbol, length_s), hosts))
        return table

    def _owner(self, client_id: str) -> str | None:
        order = self._trader.oms.get(client_id)
        return None if order is None else order.intent.strategy

    def wants(self, symbol: str, kind: str) -> bool:
        """Whether any strategy has to hear of `book`, `trades` or `bars` of a symbol. Halted ones count: they
        may be resumed.
        """
        if kind == "bars":
            return symbol in self._bars
        return symbol in {"book": self._book, "trades": self._trades}[kind]

    def find(self, name: str) -> StrategyHost:
        """The host of a strategy. Raises `UnknownStrategy`."""
        host = self.by_name.get(name)
        if host is None:
            raise UnknownStrategy(f"no strategy {name!r}; there are {', '.join(self.by_name)}")
        return host

    # ---- life --------------------------------------------------------------------------------------

    def start(self, now_ns: int) -> None:
        """Every strategy begins, but for those that were halted before the last end."""
        self._watched = WATCH.acquire()
        self._minute_ns = now_ns + MINUTE_NS
        faults = {latch.scope: latch.reason for latch in self._trader.states.active() if latch.cause == FAULT}
        for host in self:
            host.error = faults.get(strategy_scope(host.name))
            self._begin(host, now_ns)
        self._next(now_ns)

    def _begin(self, host: StrategyHost, now_ns: int) -> None:
        host.next_timer_ns = now_ns + host.timer_ns
        host.active = host.error is None
        self._run(host, host.strategy.on_start, host.symbols[0])

    def stop(self) -> None:
        """The last word of every strategy."""
        for host in self:
            self._run(host, host.strategy.on_stop, host.symbols[0])
        self.silence()

    def silence(self) -> None:
        """No callbacks any more."""
        for host in self:
            host.active = False
        if self._watched:
            WATCH.release()
            self._watched = False

    def fault(self, host: StrategyHost, reason: str) -> None:
        """Halt one strategy, and only it."""
        host.active, host.fault = False, None
        if host.error is None:
            host.error = reason
            self._trader.halt_strategy(host.name, FAULT, reason)

    def resume(self, host: StrategyHost) -> None:
        """A halted strategy begins again, fresh. Raises `ManifestError` when it cannot be built again."""
        if host.error is None:
            return
        host.restart()
        self._begin(host, self._trader.now_ns())
        self._next(self._trader.now_ns())

    # ---- market data -------------------------------------------------------------------------------

    def on_event(self, event: FeedEvent) -> None:
        """A market event goes to those who asked for it."""
        symbol, kind = event.symbol, type(event)
        if self.outside and symbol in self.outside:
            self.outside[symbol].on_event(event, self._trader.now_ns())
        if kind is BookDelta or kind is BookSnapshot:
            hosts = self._book.get(symbol)
            if hosts is not None:
                self._tell_book(symbol, hosts)
        elif kind is TradePrint:
            assert isinstance(event, TradePrint)
            if symbol in self._bars or symbol in self._trades:
                self._tell_trade(symbol, event)
        elif kind is FeedState:
            assert isinstance(event, FeedState)
            if event.state is not BookState.LIVE:
                for host in self._suspect.get(symbol, _NONE):
                    self._run(host, host.strategy.on_suspect, symbol, symbol)

    def _tell_book(self, symbol: str, hosts: tuple[StrategyHost, ...]) -> None:
        top: BookTop | None = None
        depth = 0
        for host in hosts:
            if not host.active:
                continue
            if top is None or depth != host.book_levels:
                depth = host.book_levels
                top = self.book(symbol, depth)
                if top is None:
                    return
            intents = host.run(host.strategy.on_book, symbol, top)
            if intents or host.fault is not None:
                self._take(host, intents)

    def book(self, symbol: str, depth: int) -> BookTop | None:
        """The best levels of a live book, also of a symbol that is only looked at."""
        market = self._trader.venue.markets.get(symbol)
        if market is not None:
            return risk_view.book_top(self._trader, symbol, depth) if market.live else None
        outside = self.outside.get(symbol)
        return outside.top(depth) if outside is not None and outside.live else None

    def _tell_trade(self, symbol: str, event: TradePrint) -> None:
        trade = risk_view.public_trade(self._trader, event)
        for builder, hosts in self._bars.get(symbol, ()):
            self._tell_bars(hosts, builder.on_trade(trade.price_ticks, trade.lots, trade.at_ns))
        for host in self._trades.get(symbol, _NONE):
            self._run(host, host.strategy.on_trade, symbol, trade)

    def _tell_bars(self, hosts: tuple[StrategyHost, ...], bars: Iterable[Bar]) -> None:
        for bar in bars:
            for host in hosts:
                self._run(host, host.strategy.on_bar, bar.symbol, bar)

    # ---- own events --------------------------------------------------------------------------------

    def on_private(self, order: ManagedOrder, fill: FillEvent | None) -> None:
        """A strategy hears of its own orders and fills, of nobody else's."""
        host = self.by_name.get(order.intent.strategy)
        if host is None:
            return
        symbol = order.intent.symbol
        if fill is not None:
            self._run(host, host.strategy.on_fill, symbol, fill)
        self._run(host, host.strategy.on_order, symbol, risk_view.own_order(order), str(order.state))

    # ---- time --------------------------------------------------------------------------------------

    def on_time(self, now_ns: int) -> None:
        """Timers and bars whose time has come."""
        for table in self._bars.values():
            for builder, hosts in table:
                start_ns = builder.open_start_ns
                if start_ns is None or now_ns >= start_ns + builder.seconds * SECOND_NS:
                    self._tell_bars(hosts, builder.on_time(now_ns))
        for host in self:
            if now_ns >= host.next_timer_ns:
                host.next_timer_ns += host.timer_ns
                if host.next_timer_ns <= now_ns:
                    host.next_timer_ns = now_ns + host.timer_ns
                self._run(host, host.strategy.on_timer, host.symbols[0])
        self._next(now_ns)

    def _next(self, now_ns: int) -> None:
        """When `on_time` has to be called next."""
        moments = [host.next_timer_ns for host in self]
        for table in self._bars.values():
            for builder, _ in table:
                length_ns = builder.seconds * SECOND_NS
                moments.append((now_ns // length_ns + 1) * length_ns)
        self.next_timer_ns = min(moments)

    def on_second(self, now_ns: int) -> None:
        """Judge callback times once a minute, and memory in turn."""
        if now_ns >= self._minute_ns:
            self._minute_ns = now_ns + MINUTE_NS
            for host in self:
                warning = host.end_of_minute()
                if warning is not None:
                    self._trader.alarm(warning)
        if time.monotonic() - self._measured_s >= MEASURE_EVERY_S:
            hosts = list(self)
            host = hosts[self._turn % len(hosts)]
            self._turn += 1
            reason = host.measure_memory(self.memory_cap_bytes) if host.active else None
            if reason is not None:
                self.fault(host, reason)
            self._measured_s = time.monotonic()

    # ---- one callback ------------------------------------------------------------------------------

    def _run(self, host: StrategyHost, callback: Callable[..., Any], symbol: str, *arguments: Any) -> None:
        intents = host.run(callback, symbol, *arguments)
        if intents or host.fault is not None:
            self._take(host, intents)

    def _take(self, host: StrategyHost, intents: Iterable[Any]) -> None:
        """What a callback led to: wishes, or the end of its strategy."""
        if host.fault is None:
            trader = self._trader
            now_ns = trader.port.now_ns()
            try:
                for intent in intents:
                    handler = trader.intent_handlers.get(type(intent))
                    if handler is not None:
                        handler(host.name, intent)
                    else:
                        trader.decisions.wish(Wish(host.name, Path.STRATEGY, intent, now_ns))
            except OverflowError as error:
                self.fault(host, str(error))
        else:
            self.fault(host, host.fault)
