"""An account as its private stream tells it, the same for every venue: orders, fills and balances, each event
once and in order. A venue's own mirror reads that venue's rows and calls `apply`, `fill` and `set_balance`.

A thing is heard of from several sides (answers, stream, reconciliation); what is known makes no event.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from decimal import Decimal

import msgspec

from tradewind.venues.market_data import FeedError, Instrument, Side
from tradewind.venues.protocol import (
    FINAL_PHASES,
    BalanceEvent,
    FillEvent,
    OrderEvent,
    OrderPhase,
    OrderState,
    PrivateEvent,
)

MAX_FINISHED_ORDERS = 10_000
MAX_KNOWN_FILLS = 100_000
MAX_UNKNOWN_WORDS = 256
MAX_WORD_CHARS = 80


class Unmapped(FeedError):
    """A row that cannot be told in our types: the list it belongs to is incomplete."""

    code = "Unmapped"


class TradeFact(msgspec.Struct, frozen=True, kw_only=True):
    """One execution; what only its order knows (client id, remaining) comes separately."""

    trade_id: str
    order_id: str
    symbol: str
    side: Side
    price_ticks: int
    lots: int
    fee: Decimal
    fee_asset: str
    maker: bool
    time_ns: int

    def __post_init__(self) -> None:
        """Raises `Unmapped` for a fee that is no amount."""
        if not self.fee.is_finite():
            raise Unmapped(f"execution {self.trade_id[:40]}: fee {self.fee}")


def lots_of(instrument: Instrument, quantity: Decimal) -> int:
    """Whole lots. Raises `Unmapped` for a quantity between two lots, or a negative one."""
    return _steps(instrument, "quantity", quantity, instrument.lot)


def ticks_of(instrument: Instrument, price: Decimal) -> int:
    """Whole ticks. Raises `Unmapped`."""
    return _steps(instrument, "price", price, instrument.tick)


def _steps(instrument: Instrument, what: str, value: Decimal, step: Decimal) -> int:
    if not value.is_finite():
        raise Unmapped(f"{instrument.symbol}: {what} {value}")
    try:
        steps, rest = divmod(value, step)
    except ArithmeticError as error:  # more digits than any amount of money has
        raise Unmapped(f"{str(value)[:40]} is not an amount") from error
    if rest or steps < 0:
        raise Unmapped(f"{instrument.symbol}: {what} {value} is no multiple of {step}")
    return int(steps)


def working_phase(phase: OrderPhase, filled_lots: int) -> OrderPhase:
    """A working order that has fills is partially filled."""
    if phase is OrderPhase.WORKING and filled_lots:
        return OrderPhase.PARTIALLY_FILLED
    return phase


def newer(known: OrderState, state: OrderState) -> bool:
    """Whether `state` says more than what is known: it ends the order, fills more, or changes it later."""
    if state.phase in FINAL_PHASES or state.filled_lots > known.filled_lots:
        return True
    if state.filled_lots < known.filled_lots or state.updated_ns < known.updated_ns:
        return False
    return (state.price_ticks, state.lots, state.phase) != (known.price_ticks, known.lots, known.phase)


class AccountMirror:
    """Orders by the venue's id and by ours, fills by their key, balances by asset.

    `emit` hears every event. Sequences are nanoseconds of the venue's time, made strictly increasing here,
    so that they can be compared over connections and restarts. Finished orders are kept up to
    `MAX_FINISHED_ORDERS`, keys of fills up to `MAX_KNOWN_FILLS`.
    """

    def __init__(self, venue: str, account: str, emit: Callable[[PrivateEvent], None]) -> None:
        self.venue, self.account = venue, account
        self.working: dict[str, OrderState] = {}
        self.finished: OrderedDict[str, OrderState] = OrderedDict()
        self.balances: dict[str, tuple[Decimal, Decimal, int]] = {}
        """Free, held and the venue's time of what was last heard."""
        self.last_fill_ns = 0
        self.repeated_fills = 0
        self.unknown_words: dict[str, int] = {}
        self.quiet = False
        """While True nothing is told: what is heard is the account as it was when we came."""
        self._listener = emit
        self._by_client: dict[str, str] = {}
        self._fills: OrderedDict[Hashable, None] = OrderedDict()
        self._sequence = 0

    # ---- looking -----------------------------------------------------------------------------------------

    def find(self, client_id: str) -> OrderState | None:
        """The order of a client id: the working one, else the latest that ended."""
        venue_id = self._by_client.get(client_id)
        return self.get(venue_id) if venue_id is not None else None

    def get(self, venue_id: str) -> OrderState | None:
        """The order of a venue id."""
        return self.working.get(venue_id) or self.finished.get(venue_id)

    def open(self, symbol: str | None = None) -> list[OrderState]:
        """Working orders, oldest first."""
        return [one for one in self.working.values() if symbol in {None, one.symbol}]

    def fill_key(self, fact: TradeFact) -> Hashable:
        """What is unique of an execution in an account. Where numbers of trades start anew in every symbol,
        and both sides may be ours, it takes all three; a venue with ids of executions needs only those.
        """
        return (fact.symbol, fact.trade_id, fact.order_id)

    def missing(self, present: Iterable[str]) -> list[str]:
        """Venue ids of working orders that are not among `present`."""
        there = set(present)
        return [venue_id for venue_id in self.working if venue_id not in there]

    # ---- hearing -----------------------------------------------------------------------------------------

    def apply(self, state: OrderState) -> None:
        """An order is now so. Nothing is told when that is known, or when it is older than what is known."""
        known = self.get(state.venue_id)
        if known is not None and (known.phase in FINAL_PHASES or not newer(known, state)):
            return
        if not state.client_id and known is not None:
            state = msgspec.structs.replace(state, client_id=known.client_id)
        self.put(state)
        self.tell(OrderEvent(state=state, sequence=self.next(state.updated_ns), venue_ts_ns=state.updated_ns))

    def fill(self, fact: TradeFact, client_id: str, remaining_lots: int) -> bool:
        """An execution. False when it is known already."""
        key = self.fill_key(fact)
        if key in self._fills:
            self.repeated_fills += 1
            return False
        self._fills[key] = None
        if len(self._fills) > MAX_KNOWN_FILLS:
            self._fills.popitem(last=False)
        self.last_fill_ns = max(self.last_fill_ns, fact.time_ns)
        self.tell(self.fill_event(fact, client_id, remaining_lots, self.next(fact.time_ns)))
        return True

    def fill_event(self, fact: TradeFact, client_id: str, remaining_lots: int, sequence: int) -> FillEvent:
        """An execution as an event; nothing is remembered or told."""
        return FillEvent(
            venue=self.venue, account=self.account, symbol=fact.symbol, trade_id=fact.trade_id,
            client_id=client_id, venue_id=fact.order_id, side=fact.side, price_ticks=fact.price_ticks,
            lots=fact.lots, remaining_lots=max(0, remaining_lots), fee=fact.fee, fee_asset=fact.fee_asset,
            maker=fact.maker, sequence=sequence, venue_ts_ns=fact.time_ns,
        )  # fmt: skip

    def set_balance(self, asset: str, free: Decimal, held: Decimal, at_ns: int) -> None:
        """A balance of the venue's. An older one than is known says nothing, nor does the same again."""
        known = self.balances.get(asset)
        if known is not None and (at_ns < known[2] or (free, held) == known[:2]):
            return
        self.balances[asset] = (free, held, at_ns)
        self.tell(
            BalanceEvent(asset=asset, free=free, held=held, sequence=self.next(at_ns), venue_ts_ns=at_ns)
        )

    def reuse(self, client_id: str) -> None:
        """This id is sent again: from now on it does not name the order that ended under it."""
        self._by_client.pop(client_id, None)

    def forget(self, venue_id: str) -> None:
        """An acknowledged order that is proven never to have been there."""
        state = self.working.pop(venue_id, None)
        if state is not None and self._by_client.get(state.client_id) == venue_id:
            del self._by_client[state.client_id]

    # ---- for a venue's own mirror ------------------------------------------------------------------------

    def put(self, state: OrderState) -> None:
        """Remember an order without telling it."""
        if state.client_id:
            self._by_client[state.client_id] = state.venue_id
        if state.phase not in FINAL_PHASES:
            self.working[state.venue_id] = state
            return
        self.working.pop(state.venue_id, None)
        self.finished[state.venue_id] = state
        if len(self.finished) > MAX_FINISHED_ORDERS:
            venue_id, oldest = self.finished.popitem(last=False)
            if self._by_client.get(oldest.client_id) == venue_id:
                del self._by_client[oldest.client_id]

    def tell(self, event: PrivateEvent) -> None:
        """Hand out an event."""
        if not self.quiet:
            self._listener(event)

    def next(self, at_ns: int) -> int:
        """The next sequence."""
        self._sequence = max(self._sequence + 1, at_ns)
        return self._sequence

    def note_word(self, kind: str, word: str) -> None:
        """Count a word that this build does not know."""
        key = f"{kind} {word}"[:MAX_WORD_CHARS]
        if key in self.unknown_words or len(self.unknown_words) < MAX_UNKNOWN_WORDS:
            self.unknown_words[key] = self.unknown_words.get(key, 0) + 1
