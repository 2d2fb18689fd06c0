"""The account as the node's events tell it: a fold over a stream without holes.

Every event has the account's next number. What comes twice is dropped, what comes early waits for what is
missing. Sequences of what is told here are ns of the log's time, made strictly increasing, as at every other
venue: a ledger that knows a time can ask what followed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Final

from tradewind.venues.market_data import Side
from tradewind.venues.native.directory import Directory, NativeRules
from tradewind.venues.native.messages import BalanceRow, Event, OrderRow, client_id_of
from tradewind.venues.protocol import (
    FINAL_PHASES,
    BalanceEvent,
    FillEvent,
    FundsEvent,
    OrderEvent,
    OrderPhase,
    OrderState,
    PrivateEvent,
)
from tradewind.venues.transport.account_mirror import Unmapped, lots_of, ticks_of

MAX_FINISHED: Final = 10_000
MAX_EARLY: Final = 4_096
PHASES: Final = {
    "open": OrderPhase.WORKING,
    "partial": OrderPhase.PARTIALLY_FILLED,
    "pending_trigger": OrderPhase.WORKING,
    "filled": OrderPhase.FILLED,
    "cancelled": OrderPhase.CANCELLED,
    "expired": OrderPhase.EXPIRED,
}
SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}


class Mirror:
    """Orders by the node's number and by our id, balances by asset. `emit` hears every event once."""

    def __init__(self, venue: str, account: str, sub: int, emit: Callable[[PrivateEvent], None]) -> None:
        self.venue, self.account, self.sub = venue, account, sub
        self.directory = Directory()
        self.number: int | None = None
        """Of the last event that was applied; None before the account was read for the first time."""
        self.working: dict[str, OrderState] = {}
        self.finished: OrderedDict[str, OrderState] = OrderedDict()
        self.balances: dict[str, tuple[Decimal, Decimal]] = {}
        self.repeated = 0
        """Events that came again."""
        self.gaps = 0
        """Times that an event was missing."""
        self.broken = ""
        """Why an event could not be told in our types; "" while everything could."""
        self.on_reached: Callable[[], None] = lambda: None
        """Called behind every event."""
        self._emit = emit
        self._early: dict[int, Event] = {}
        self._sequence = 0
        self._by_client: dict[str, str] = {}

    # ---- looking -----------------------------------------------------------------------------------------

    def find(self, client_id: str) -> OrderState | None:
        """The order of a client id."""
        venue_id = self._by_client.get(client_id)
        return None if venue_id is None else self.get(venue_id)

    def get(self, venue_id: str) -> OrderState | None:
        """The order of the node's number."""
        return self.working.get(venue_id) or self.finished.get(venue_id)

    def open(self, symbol: str | None = None) -> list[OrderState]:
        """Working orders, oldest first."""
        return [one for one in self.working.values() if symbol in {None, one.symbol}]

    @property
    def waits(self) -> bool:
        """Whether events came whose predecessors are missing."""
        return bool(self._early)

    def state_of(self, row: OrderRow) -> OrderState:
        """An order's row. Raises `Unmapped`."""
        rules = self.rules_of(row.market)
        phase, side = PHASES.get(row.status), SIDES.get(row.side)
        if phase is None or side is None:
            raise Unmapped(f"order {row.order}: status {row.status[:20]!r}, side {row.side[:20]!r}")
        return OrderState(
            client_id=client_id_of(row.client_key),
            venue_id=str(row.order),
            symbol=rules.instrument.symbol,
            side=side,
            phase=phase,
            price_ticks=ticks_of(rules.instrument, row.price),
            lots=lots_of(rules.instrument, row.quantity),
            filled_lots=lots_of(rules.instrument, row.filled),
            reason=row.reason or "",
            updated_ns=row.updated_ns,
        )

    def states_of(self, rows: Iterable[OrderRow]) -> list[OrderState]:
        """Rows of our sub-account. Raises `Unmapped`."""
        return [self.state_of(one) for one in rows if one.sub == self.sub]

    def rules_of(self, market: int) -> NativeRules:
        """A market by its number. Raises `Unmapped`."""
        rules = self.directory.by_handle.get(market)
        if rules is None:
            why = self.directory.quarantined.get(market, "not read yet")
            raise Unmapped(f"market {market}: {why}")
        return rules

    def fill_of(self, one: Event, sequence: int) -> FillEvent | None:
        """An execution's row; None for another sub-account's. Raises `Unmapped`."""
        if one.order is None:
            raise Unmapped(f"event {one.number}: an execution without its order")
        if one.order.sub != self.sub:
            return None
        state, rules = self.state_of(one.order), self.rules_of(one.order.market)
        return FillEvent(
            venue=self.venue,
            account=self.account,
            symbol=state.symbol,
            trade_id=str(one.trade),
            client_id=state.client_id,
            venue_id=state.venue_id,
            side=state.side,
            price_ticks=ticks_of(rules.instrument, one.price),
            lots=lots_of(rules.instrument, one.size),
            remaining_lots=state.lots - state.filled_lots,
            fee=one.fee,
            fee_asset=rules.instrument.quote,
            maker=one.maker,
            sequence=sequence,
            venue_ts_ns=one.time_ns,
        )

    def fills_of(self, rows: Iterable[Event]) -> list[FillEvent]:
        """Executions of our sub-account as a list. Raises `Unmapped`."""
        found: list[FillEvent] = []
        sequence = 0
        for one in rows:
            sequence = max(sequence + 1, one.time_ns)
            fill = self.fill_of(one, sequence)
            if fill is not None:
                found.append(fill)
        return found

    def _next(self, time_ns: int) -> int:
        self._sequence = max(self._sequence + 1, time_ns)
        return self._sequence

    # ---- hearing -----------------------------------------------------------------------------------------

    def hear(self, one: Event) -> bool:
        """The next event of the stream, in whatever order it comes. False: something before it is missing.

        Raises:
            Unmapped: it cannot be told in our types, or more is missing than can wait.
        """
        if self.number is None:
            raise Unmapped("an event before the account was read")
        if one.number <= self.number or one.number in self._early:
            self.repeated += 1
            return not self._early
        if one.number > self.number + 1:
            self.gaps += not self._early
            if len(self._early) >= MAX_EARLY:
                raise Unmapped(f"event {self.number + 1} is missing, {MAX_EARLY} others wait for it")
            self._early[one.number] = one
            return False
        self._take(one)
        while (waiting := self._early.pop(self.number + 1, None)) is not None:
            self._take(waiting)
        return not self._early

    def _take(self, one: Event) -> None:
        self.number = one.number
        try:
            if one.what == "order" and one.order is not None:
                self._ordered(one, one.order)
            elif one.what == "fill":
                self._filled(one)
            elif one.what == "funds" and one.sub == self.sub:
                self._funds(one)
        except Unmapped as error:
            self.broken = str(error)[:200]
            raise
        finally:
            self.on_reached()

    def _ordered(self, one: Event, row: OrderRow) -> None:
        if row.sub == self.sub:
            self._put(self.state_of(row), one.time_ns)

    def _filled(self, one: Event) -> None:
        fill = self.fill_of(one, self._next(one.time_ns))
        if fill is not None and one.order is not None:
            self._emit(fill)
            self._put(self.state_of(one.order), one.time_ns)

    def _funds(self, one: Event) -> None:
        self._set_balance(one.asset, one.free, one.held, one.time_ns)
        if one.cause and one.moved:
            self._emit(
                FundsEvent(
                    asset=one.asset,
                    amount=one.moved,
                    reference=f"{one.cause} {one.number}",
                    sequence=self._next(one.time_ns),
                    venue_ts_ns=one.time_ns,
                )
            )

    def _set_balance(self, asset: str, free: Decimal, held: Decimal, time_ns: int) -> None:
        self.balances[asset] = (free, held)
        sequence = self._next(time_ns)
        self._emit(BalanceEvent(asset=asset, free=free, held=held, sequence=sequence, venue_ts_ns=time_ns))

    def _put(self, state: OrderState, time_ns: int) -> None:
        """Remember an order and tell it."""
        self._remember(state)
        self._emit(OrderEvent(state=state, sequence=self._next(time_ns), venue_ts_ns=time_ns))

    def _remember(self, state: OrderState) -> None:
        self._by_client[state.client_id] = state.venue_id
        if state.phase not in FINAL_PHASES:
            self.working[state.venue_id] = state
            return
        self.working.pop(state.venue_id, None)
        self.finished[state.venue_id] = state
        if len(self.finished) > MAX_FINISHED:
            venue_id, oldest = self.finished.popitem(last=False)
            if self._by_client.get(oldest.client_id) == venue_id:
                del self._by_client[oldest.client_id]

    # ---- the account as it was read ----------------------------------------------------------------------

    def load(self, number: int, orders: list[OrderState], balances: list[BalanceRow]) -> None:
        """The account when we came: nothing is told, events behind `number` follow."""
        self.number = number
        self._early.clear()
        self.working.clear()
        for state in orders:
            self._remember(state)
        self.balances = {one.asset: (one.free, one.held) for one in balances if one.sub == self.sub}

    def catch_up(
        self, number: int, fills: list[Event], orders: list[OrderState], balances: list[BalanceRow]
    ) -> None:
        """What was missed, told at once: executions up to `number`, then orders (open ones, and those that
        ended meanwhile) and balances as they are there. Raises `Unmapped`.
        """
        known = self.number or 0
        for row in fills:
            if known < row.number <= number:
                fill = self.fill_of(row, self._next(row.time_ns))
                if fill is not None:
                    self._emit(fill)
        self.number = number
        for state in orders:
            before = self.get(state.venue_id)
            if before is None or _differs(before, state):
                self._put(state, state.updated_ns)
        for one in balances:
            if one.sub == self.sub and self.balances.get(one.asset) != (one.free, one.held):
                self._set_balance(one.asset, one.free, one.held, self._sequence)
        self.broken = ""
        self._early = {key: event for key, event in self._early.items() if key > number}
        while (waiting := self._early.pop(self.number + 1, None)) is not None:
            self._take(waiting)

    def difference(self, orders: list[OrderState], balances: list[BalanceRow]) -> str:
        """How the node's lists at `number` differ from what its events told; "" when they agree."""
        theirs = {one.venue_id: one for one in orders}
        for venue_id in sorted(theirs.keys() | self.working.keys()):
            one, other = theirs.get(venue_id), self.working.get(venue_id)
            if one is None or other is None or _differs(other, one):
                return f"order {venue_id} is {one} at the node and {other} here"[:200]
        for row in balances:
            if row.sub == self.sub and self.balances.get(row.asset, (0, 0)) != (row.free, row.held):
                return f"{row.asset} is {row.free} and {row.held} held at the node"
        return ""


def _differs(one: OrderState, other: OrderState) -> bool:
    return (one.phase, one.price_ticks, one.lots, one.filled_lots) != (
        other.phase, other.price_ticks, other.lots, other.filled_lots
    )  # fmt: skip
