"""A strategy alone with a small generated market: quick, deterministic, without engine, risk or files.

It is what `tradewind strategy check` and the test of a scaffolded strategy run: every callback is called,
every intent is looked at, simple fills happen, books become suspect and come back. It proves that a
strategy keeps the contract; it proves nothing about money. Run a back-test or a paper campaign for that.

Fills are naive on purpose: an order that meets the displayed best price is filled there, a resting order when
the market comes to it. There is no queue, no latency and no impact.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

import msgspec

from tradewind.venues.market_data import Instrument, Side
from tradewind.venues.protocol import FeeSchedule, FillEvent, TimeInForce

from .bars import BarBuilder
from .strategy import (
    MAX_INTENTS_PER_CALLBACK,
    AmendIntent,
    Bar,
    BookTop,
    CancelIntent,
    Context,
    OwnOrder,
    PlaceIntent,
    PublicTrade,
    SizeRequest,
    Strategy,
    StrategyIntent,
)

SECOND_NS = 1_000_000_000
START_NS = 1_704_067_200 * SECOND_NS
MAX_STEPS = 1_000_000
MAX_PROBLEMS = 50
STEPS_PER_BAR = 6
SUSPECT_EVERY = 97
SUSPECT_STEPS = 3
REGIME_STEPS = 150
LEVELS = 5
FEES = FeeSchedule(
    name="rehearsal",
    maker_bps=Decimal(10),
    taker_bps=Decimal(10),
    source="an assumption of the rehearsal",
    checked_on="never",
)


class Played(msgspec.Struct, kw_only=True):
    """What a rehearsal saw. `tape` is the hash of every callback and its intents, in order."""

    steps: int = 0
    callbacks: int = 0
    intents: Counter[str] = msgspec.field(default_factory=Counter)
    fills: int = 0
    slowest_ms: float = 0.0
    problems: list[str] = msgspec.field(default_factory=list)
    tape: str = ""
    profit_quote: Decimal = Decimal(0)
    note: str = ""


class _Order(msgspec.Struct):
    client_id: str
    symbol: str
    side: Side
    price_ticks: int
    lots: int
    filled: int
    tag: str

    def seen(self) -> OwnOrder:
        """As the strategy sees it."""
        return OwnOrder(
            client_id=self.client_id,
            symbol=self.symbol,
            side=self.side,
            price_ticks=self.price_ticks,
            lots=self.lots,
            remaining_lots=self.lots - self.filled,
            tag=self.tag,
            busy=False,
        )


class _Market:
    """One symbol: a price that walks, trends and turns, and a book around it."""

    def __init__(self, instrument: Instrument, middle_ticks: int, step_bps: float, bounded: bool) -> None:
        self.instrument = instrument
        self.middle = float(middle_ticks)
        self.home = float(middle_ticks)
        self.step_bps = step_bps
        self.bounded = bounded
        self.suspect = 0
        self.book: BookTop | None = None

    def move(self, index: int, generator: random.Random, now_ns: int) -> None:
        """One step. Times of a trend and times of a pull back home follow each other."""
        regime = index // REGIME_STEPS % 4
        drift = {1: 0.6, 3: -0.6}.get(regime, 0.0) * self.step_bps
        pull = 0.05 * (self.home - self.middle) if regime in (0, 2) or self.bounded else 0.0
        self.middle += self.middle * (drift + generator.gauss(0, self.step_bps)) / 10_000 + pull
        limit = 0.9 if self.bounded else 10.0
        self.middle = min(max(self.middle, self.home * 0.1), self.home * (1 + limit))
        middle = round(self.middle)
        half = generator.choice((1, 1, 1, 2, 5))
        self.book = BookTop(
            self.instrument.symbol,
            tuple((middle - half - level, generator.randint(50, 900)) for level in range(LEVELS)),
            tuple((middle + half + level, generator.randint(50, 900)) for level in range(LEVELS)),
            now_ns,
        )

    @property
    def shown(self) -> BookTop | None:
        """The book as far as it is known."""
        return None if self.suspect else self.book


def plain_instrument(symbol: str, *, claim: bool) -> Instrument:
    """A plain instrument: a coin at 50,000, or a claim that pays 1."""
    base, _, quote = symbol.partition("/")
    return Instrument(
        venue="rehearsal",
        symbol=symbol,
        venue_symbol=symbol.replace("/", ""),
        base=base,
        quote=quote or "USDT",
        tick=Decimal("0.001") if claim else Decimal("0.1"),
        lot=Decimal(1) if claim else Decimal("0.00001"),
        min_notional=Decimal(1) if claim else Decimal(5),
        price_decimals=3 if claim else 1,
        quantity_decimals=0 if claim else 5,
        source="facts",
    )


class Rehearsal:
    """Plays a strategy. The same strategy, seed and steps give the same tape of intents."""

    def __init__(
        self,
        strategy: Strategy,
        *,
        seed: int = 1,
        equity: Decimal = Decimal(10_000),
        fees: FeeSchedule | None = FEES,
        holding: dict[str, int] | None = None,
    ) -> None:
        manifest = strategy.manifest
        self.strategy = strategy
        self.now = START_NS
        self.cash = self.start_equity = equity
        self.fee_schedule = fees
        self.trading_state = "normal"
        self.positions = dict.fromkeys(manifest.symbols, 0) | dict(holding or {})
        self.cost = dict.fromkeys(manifest.symbols, Decimal(0))
        self.working: dict[str, _Order] = {}
        self.played = Played()
        self.on_intents: Callable[[list[StrategyIntent]], None] | None = None
        self._generator = random.Random(seed)  # noqa: S311 - a reproducible market
        self._context = Context(self, manifest.symbols[0], random.Random(seed))  # noqa: S311
        self._hash = hashlib.blake2b(digest_size=16)
        self._encoder = msgspec.json.Encoder()
        self._next_id = 0
        self._next_trade = 0
        seconds = [int(one.partition(":")[2]) for one in manifest.data if one.startswith("bars:")]
        self._builders = [BarBuilder(symbol, length) for symbol in manifest.symbols for length in seconds]
        self.step_ns = min(seconds, default=STEPS_PER_BAR) * SECOND_NS // STEPS_PER_BAR
        self._timer_steps = max(1, manifest.timer_ms * 1_000_000 // self.step_ns)
        claim = bool(manifest.outside)
        bps = 60.0 if claim else 2.0 * max(1.0, (self.step_ns / SECOND_NS) ** 0.5)
        middle = 500 if claim else 500_000
        self.markets = {
            symbol: _Market(plain_instrument(symbol, claim=claim), middle, bps, claim)
            for symbol in (*manifest.symbols, *manifest.outside)
        }

    # ---- what the context reads ----------------------------------------------------------------------

    def now_ns(self) -> int:
        """Virtual time."""
        return self.now

    def equity(self) -> Decimal | None:
        """Cash and positions at the middle of their books."""
        total = self.cash
        for symbol, lots in self.positions.items():
            market = self.markets[symbol]
            total += market.instrument.tick * round(market.middle) * market.instrument.lot * lots
        return total

    def strategy_loss(self) -> Decimal:
        """Since the beginning."""
        equity = self.equity()
        assert equity is not None
        return self.start_equity - equity

    def size_multiplier(self) -> Decimal:
        """Always 1."""
        return Decimal(1)

    def instrument(self, symbol: str) -> Instrument:
        """Raises `KeyError` for a symbol that is not declared."""
        return self.markets[symbol].instrument

    def fees(self, symbol: str) -> FeeSchedule | None:
        """The assumed schedule."""
        return self.fee_schedule

    def position_lots(self, symbol: str) -> int:
        """Raises `KeyError` for a symbol that is not traded."""
        return self.positions[symbol]

    def average_price(self, symbol: str) -> Decimal | None:
        """Cost of what is held, a base unit."""
        lots = self.positions[symbol]
        return self.cost[symbol] / (lots * self.markets[symbol].instrument.lot) if lots else None

    def orders(self, symbol: str) -> tuple[OwnOrder, ...]:
        """Working orders of a symbol."""
        return tuple(order.seen() for order in self.working.values() if order.symbol == symbol)

    def state(self, symbol: str) -> str:
        """As set by the test."""
        return self.trading_state

    def hold_reason(self, symbol: str) -> str:
        """Against new risk stands only an unknown book."""
        return "" if self.markets[symbol].shown is not None else "the market is not known"

    def book(self, symbol: str) -> BookTop | None:
        """None while the book is suspect."""
        return self.markets[symbol].shown

    def volume_5m_lots(self, symbol: str) -> int | None:
        """Not simulated."""
        return None

    def size(self, request: SizeRequest) -> tuple[int, str]:
        """Half a percent of the equity at the stop, five percent of it as notional."""
        equity = self.equity()
        assert equity is not None
        unit = self.instrument(request.symbol)
        price = unit.tick * request.price_ticks
        distance = Fraction(abs(request.price_ticks - request.stop_ticks), request.price_ticks)
        if distance * 10_000 < 5:
            return 0, "StopTooTight"
        notional = min(equity * 5 / 1_000 * distance.denominator / distance.numerator, equity / 20)
        return int(notional / price / unit.lot), ""

    # ---- the run -------------------------------------------------------------------------------------

    def play(self, steps: int = 3_000) -> Played:
        """Run so many steps and stop. Raises what the strategy raises."""
        if not 1 <= steps <= MAX_STEPS:
            raise ValueError(f"{steps} steps are outside 1..{MAX_STEPS}")
        for market in self.markets.values():
            market.move(0, self._generator, self.now)
        self._call("on_start", self.strategy.manifest.symbols[0], self.strategy.on_start)
        for index in range(1, steps + 1):
            self.step(index)
        self._call("on_stop", self.strategy.manifest.symbols[0], self.strategy.on_stop)
        self.played.steps = steps
        self.played.tape = self._hash.hexdigest()
        self.played.profit_quote = -self.strategy_loss()
        self.played.note = str(getattr(self.strategy, "gate_reason", ""))
        return self.played

    def step(self, index: int) -> None:
        """Time passes, every market moves, and the strategy hears of it as its manifest says."""
        self.now += self.step_ns
        data = self.strategy.manifest.data
        for symbol, market in self.markets.items():
            market.move(index, self._generator, self.now)
            lots = self._generator.randint(1, 400)
            taker = Side.BUY if self._generator.random() < 0.5 else Side.SELL
            if index % SUSPECT_EVERY == 0:
                market.suspect = SUSPECT_STEPS
                self._suspect(symbol)
            elif market.suspect:
                market.suspect -= 1
            if market.suspect:
                continue
            book = market.book
            assert book is not None
            self._match(symbol, book)
            if "book" in data:
                self._tell_book(symbol, book)
            self._print(symbol, book, lots, taker)
        if index % self._timer_steps == 0:
            self._call("on_timer", self.strategy.manifest.symbols[0], self.strategy.on_timer)

    def _print(self, symbol: str, book: BookTop, lots: int, taker: Side) -> None:
        ticks = (book.asks if taker is Side.BUY else book.bids)[0][0]
        if "trades" in self.strategy.manifest.data:
            trade = PublicTrade(symbol, ticks, lots, taker, self.now)
            self._call("on_trade", symbol, lambda context: self.strategy.on_trade(context, trade))
        for builder in self._builders:
            if builder.symbol == symbol:
                for bar in builder.on_trade(ticks, lots, self.now):
                    self._tell_bar(bar)

    def _tell_book(self, symbol: str, book: BookTop) -> None:
        self._call("on_book", symbol, lambda context: self.strategy.on_book(context, book))

    def _tell_bar(self, bar: Bar) -> None:
        self._call("on_bar", bar.symbol, lambda context: self.strategy.on_bar(context, bar))

    def _suspect(self, symbol: str) -> None:
        """A strategy has to take every order off a book that is not known."""
        self._call("on_suspect", symbol, lambda context: self.strategy.on_suspect(context, symbol))
        left = [order.client_id for order in self.working.values() if order.symbol == symbol]
        if left:
            self._problem(f"{len(left)} orders in {symbol} survive a suspect book")

    def _call(self, name: str, symbol: str, callback: Callable[[Context], list[StrategyIntent]]) -> None:
        self._context.begin(symbol)
        begun = time.perf_counter()
        intents = callback(self._context)
        self.played.slowest_ms = max(self.played.slowest_ms, (time.perf_counter() - begun) * 1_000)
        self.played.callbacks += 1
        if not isinstance(intents, list):
            self._problem(f"{name} returned {type(intents).__name__}, not a list of intents")
            return
        if len(intents) > MAX_INTENTS_PER_CALLBACK:
            self._problem(f"{name} returned {len(intents)} intents, at most {MAX_INTENTS_PER_CALLBACK}")
            return
        self._hash.update(f"{self.now} {name} {symbol} ".encode() + self._encoder.encode(intents))
        if self.on_intents is not None:
            self.on_intents(intents)
        for intent in intents:
            self._carry_out(name, intent)

    def _carry_out(self, name: str, intent: object) -> None:
        self.played.intents[type(intent).__name__] += 1
        match intent:
            case PlaceIntent():
                self._place(name, intent)
            case AmendIntent():
                order = self.working.get(intent.client_id)
                if order is None or intent.price_ticks <= 0 or intent.lots <= order.filled:
                    self._problem(f"{name} amends {intent.client_id} to {intent.lots} @ {intent.price_ticks}")
                else:
                    order.price_ticks, order.lots = intent.price_ticks, intent.lots
            case CancelIntent():
                if self.working.pop(intent.client_id, None) is None:
                    self._problem(f"{name} cancels {intent.client_id}, which does not work")
            case _:
                self._problem(f"{name} returned {type(intent).__name__}, which is no intent")

    def _place(self, name: str, intent: PlaceIntent) -> None:
        wrong = ""
        if intent.symbol not in self.positions:
            wrong = "a symbol that the manifest does not trade"
        elif intent.price_ticks <= 0 or intent.lots <= 0:
            wrong = "price and size must be positive"
        elif self.markets[intent.symbol].shown is None:
            wrong = "its book is not known"
        if wrong:
            self._problem(f"{name} wishes {intent.lots} {intent.symbol} @ {intent.price_ticks}: {wrong}")
            return
        book = self.markets[intent.symbol].book
        assert book is not None
        best = (book.asks if intent.side is Side.BUY else book.bids)[0]
        crosses = (intent.price_ticks - best[0]) * (1 if intent.side is Side.BUY else -1) >= 0
        if crosses and intent.post_only:
            return
        self._next_id += 1
        order = _Order(
            f"r{self._next_id}", intent.symbol, intent.side, intent.price_ticks, intent.lots, 0, intent.tag
        )
        self.working[order.client_id] = order
        if crosses:
            self._fill(order, best[0], min(intent.lots, best[1]), maker=False)
        if intent.time_in_force is not TimeInForce.GTC and order.client_id in self.working:
            del self.working[order.client_id]
            self._tell_order(order, "cancelled")

    def _match(self, symbol: str, book: BookTop) -> None:
        """Resting orders that the market has come to are filled at their price."""
        for order in list(self.working.values()):
            if order.symbol != symbol:
                continue
            best, size = (book.asks if order.side is Side.BUY else book.bids)[0]
            if (order.price_ticks - best) * (1 if order.side is Side.BUY else -1) >= 0:
                self._fill(order, order.price_ticks, min(order.lots - order.filled, size), maker=True)

    def _fill(self, order: _Order, ticks: int, lots: int, *, maker: bool) -> None:
        unit = self.instrument(order.symbol)
        sign = 1 if order.side is Side.BUY else -1
        notional = unit.tick * ticks * unit.lot * lots
        schedule = self.fee_schedule or FEES
        fee = notional * (schedule.maker_rate if maker else schedule.taker_rate)
        before = self.positions[order.symbol]
        self.positions[order.symbol] = before + sign * lots
        if before * sign >= 0:
            self.cost[order.symbol] += sign * notional
        elif before:
            self.cost[order.symbol] *= Decimal(before + sign * lots) / before
        self.cash -= sign * notional + fee
        order.filled += lots
        self.played.fills += 1
        self._next_trade += 1
        if order.filled >= order.lots:
            self.working.pop(order.client_id, None)
        event = FillEvent(
            venue="rehearsal",
            account="trader",
            symbol=order.symbol,
            trade_id=str(self._next_trade),
            client_id=order.client_id,
            venue_id=order.client_id,
            side=order.side,
            price_ticks=ticks,
            lots=lots,
            remaining_lots=order.lots - order.filled,
            fee=fee,
            fee_asset=unit.quote,
            maker=maker,
            sequence=self._next_trade,
            venue_ts_ns=self.now,
        )
        self._call("on_fill", order.symbol, lambda context: self.strategy.on_fill(context, event))
        self._tell_order(order, "filled" if order.filled >= order.lots else "partially_filled")

    def _tell_order(self, order: _Order, state: str) -> None:
        own = order.seen()
        self._call("on_order", order.symbol, lambda context: self.strategy.on_order(context, own, state))

    def _problem(self, text: str) -> None:
        if len(self.played.problems) < MAX_PROBLEMS:
            self.played.problems.append(f"step at {(self.now - START_NS) / SECOND_NS:g} s: {text}")


def rehearse(build: Callable[[], Strategy], *, steps: int = 3_000, seed: int = 1) -> Played:
    """Two runs of two fresh strategies; intents that differ are a problem like the others (T14.1)."""
    first, second = (Rehearsal(build(), seed=seed).play(steps) for _ in range(2))
    if first.tape != second.tape:
        first.problems.append("the same inputs gave other intents in the second run")
    return first
