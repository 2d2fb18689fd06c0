"""Order management (T7): one place that turns intents into journaled, sent and tracked orders.

Everything here is synchronous bookkeeping; journaling and sending go through two small protocols, so that
recovery (the same records and venue events, read again) runs the very same code.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Protocol

import msgspec

from tradewind.venues.market_data import Instrument, Side
from tradewind.venues.protocol import (
    Acked,
    AlreadyFinal,
    ChangeResult,
    FillEvent,
    NewOrder,
    OrderEvent,
    OrderPhase,
    OrderRef,
    OrderState,
    OrderType,
    Rejected,
    SubmitResult,
    TimeInForce,
    Uncertain,
)

from .ids import client_order_id
from .ledger import Ledger, Overfill, buy_reservation
from .orders import ManagedOrder, State
from .ramp.cap import OrderCap, cap_of
from .records import AmendRequest, CancelRequest, Intent, OrderNote, Record

MILLISECOND_NS = 1_000_000
ACCEPTANCE_HORIZON_NS = 3_000 * MILLISECOND_NS
MAX_TERMINAL_ORDERS = 10_000
TERMINAL_KEPT_NS = 300_000 * MILLISECOND_NS
"""Ended orders leave memory then, but for the newest ones (T7.13); late fills and answers come before."""
MAX_SUSPENSE = 1_000
MAX_KEPT_FINISHED = 500


class Gateway(Protocol):
    """How requests reach a venue: each call returns at once, its answer arrives through `done`."""

    def send(self, order: NewOrder, epoch: int, done: Callable[[SubmitResult], None]) -> None:
        """Send a new order."""

    def send_amend(
        self,
        reference: OrderRef,
        epoch: int,
        price_ticks: int,
        lots: int,
        done: Callable[[ChangeResult], None],
    ) -> None:
        """Send a change of price and total quantity."""

    def send_cancel(self, reference: OrderRef, epoch: int, done: Callable[[ChangeResult], None]) -> None:
        """Send a cancel."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who trades where."""

    environment: str
    account: str
    venue: str
    epoch: int
    limits_hash: str
    config_hash: str


class OrderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An order that passed risk and shall become an intent."""

    strategy: str
    path: str
    symbol: str
    side: Side
    price_ticks: int
    lots: int
    order_type: OrderType = OrderType.LIMIT
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    tag: str = ""
    reducing: bool = False
    decision_ns: int


class OmsStats(msgspec.Struct, kw_only=True):
    """Counters."""

    intents: int = 0
    acks: int = 0
    rejects: int = 0
    preventable_rejects: int = 0
    uncertain: int = 0
    fills: int = 0
    duplicate_fills: int = 0
    late_fills: int = 0
    cancel_races: int = 0
    suspense: int = 0


class OmsState(msgspec.Struct, kw_only=True):
    """Orders as plain data."""

    working: list[ManagedOrder]
    finished: list[ManagedOrder]
    suspense: list[FillEvent]
    stats: OmsStats
    overfill: str | None
    next_intent: int


class Oms:
    """All orders of one account at one venue."""

    def __init__(self, identity: Identity, instruments: dict[str, Instrument], ledger: Ledger) -> None:
        self.identity = identity
        self.instruments = instruments
        self.ledger = ledger
        self.orders: dict[str, ManagedOrder] = {}
        self.finished: deque[ManagedOrder] = deque(maxlen=MAX_TERMINAL_ORDERS)
        self.suspense: deque[FillEvent] = deque(maxlen=MAX_SUSPENSE)
        self.stats = OmsStats()
        self.overfill: str | None = None
        self.cap: OrderCap = cap_of(identity.environment)
        """The stage's bound of an order (T17.4): nothing above it becomes a record."""
        self._next_intent = 1
        self._by_id: dict[str, ManagedOrder] = {}

    # ---- creating ----------------------------------------------------------------------------------

    def reservation(
        self, symbol: str, side: Side, price_ticks: int, lots: int, taker_rate: Decimal
    ) -> tuple[str, Decimal]:
        """Asset and amount that an order must reserve (T9.2)."""
        instrument = self.instruments[symbol]
        quantity = instrument.lot * lots
        if side is Side.SELL:
            return instrument.base, quantity
        return instrument.quote, buy_reservation(quantity, instrument.tick * price_ticks, taker_rate)

    def create(self, request: OrderRequest, taker_rate: Decimal) -> tuple[ManagedOrder, Intent]:
        """The order and its intent record; the reservation is taken in the same step. Not sent yet.

        Raises `LedgerError` when the reservation is not available (risk should have denied it),
        `StageCapExceeded` above the ramp's bound.
        """
        self.cap.check(
            self.instruments[request.symbol],
            request.side,
            request.price_ticks,
            request.lots,
            post_only=request.post_only,
        )
        seq = self._next_intent
        client_id = self._free_id(request.strategy, seq)
        asset, amount = self.reservation(
            request.symbol, request.side, request.price_ticks, request.lots, taker_rate
        )
        identity = self.identity
        intent = Intent(
            intent_seq=seq,
            client_id=client_id,
            environment=identity.environment,
            account=identity.account,
            venue=identity.venue,
            strategy=request.strategy,
            path=request.path,
            symbol=request.symbol,
            side=request.side,
            order_type=str(request.order_type),
            time_in_force=str(request.time_in_force),
            post_only=request.post_only,
            price_ticks=request.price_ticks,
            lots=request.lots,
            tag=request.tag,
            policy="resend" if request.reducing and not request.post_only else "abandon",
            decision_ns=request.decision_ns,
            epoch=identity.epoch,
            limits_hash=identity.limits_hash,
            config_hash=identity.config_hash,
            reservation_asset=asset,
            reservation=amount,
        )
        return self.adopt(intent), intent

    def adopt(self, intent: Intent) -> ManagedOrder:
        """The order of a journaled intent (also on recovery): state Journaled, reservation taken."""
        if intent.client_id in self._by_id:
            return self._by_id[intent.client_id]
        self.ledger.reserve(intent.client_id, intent.reservation_asset, intent.reservation)
        order = ManagedOrder(
            intent=intent,
            state=State.DRAFT,
            price_ticks=intent.price_ticks,
            lots=intent.lots,
            updated_ns=intent.decision_ns,
        )
        order.move(State.JOURNALED, at_ns=intent.decision_ns)
        self.orders[intent.client_id] = order
        self._by_id[intent.client_id] = order
        self._next_intent = max(self._next_intent, intent.intent_seq + 1)
        self.stats.intents += 1
        return order

    def discard(self, client_id: str) -> None:
        """Undo an order whose intent could not be journaled: nothing was sent, nothing was recorded."""
        order = self.orders.pop(client_id)
        del self._by_id[client_id]
        self.ledger.release(order.client_id)

    def _free_id(self, strategy: str, seq: int) -> str:
        identity = self.identity
        for attempt in range(1 << 8):
            client_id = client_order_id(
                environment=identity.environment,
                account=identity.account,
                strategy=strategy,
                intent_seq=seq,
                attempt=attempt,
            )
            if client_id not in self._by_id:
                return client_id
        raise RuntimeError(f"no free client id for intent {seq}")

    # ---- sending -----------------------------------------------------------------------------------

    @staticmethod
    def wire_order(order: ManagedOrder, sent_ns: int) -> NewOrder:
        """A journaled order as the venue is told of it. Sent again after its absence was proven, it is the
        same but for the moment until which the venue may accept it.
        """
        intent = order.intent
        return NewOrder(
            client_id=intent.client_id,
            symbol=intent.symbol,
            side=intent.side,
            order_type=OrderType(intent.order_type),
            time_in_force=TimeInForce(intent.time_in_force),
            post_only=intent.post_only,
            price_ticks=intent.price_ticks,
            lots=intent.lots,
            valid_until_ns=sent_ns + ACCEPTANCE_HORIZON_NS,
        )

    def send(self, order: ManagedOrder, gateway: Gateway, now_ns: int) -> None:
        """Hand a journaled order to the venue."""
        order.move(State.SENT, at_ns=now_ns)
        gateway.send(
            self.wire_order(order, now_ns),
            self.identity.epoch,
            lambda result: self.on_submit_result(order, result, now_ns),
        )

    def request_amend(
        self, order: ManagedOrder, price_ticks: int, lots: int, taker_rate: Decimal, now_ns: int
    ) -> AmendRequest | None:
        """Take the larger reservation and mark the amend pending; None when the order cannot be
        amended now. Raises as `create`.
        """
        if order.state not in {State.WORKING, State.PARTIALLY_FILLED} or lots <= order.filled_lots:
            return None
        instrument, intent = self.instruments[order.intent.symbol], order.intent
        self.cap.check(instrument, intent.side, price_ticks, lots, post_only=intent.post_only)
        asset, amount = self.reservation(
            order.intent.symbol, order.intent.side, price_ticks, lots - order.filled_lots, taker_rate
        )
        held = self.ledger.reservations.get(order.client_id, (asset, Decimal(0)))[1]
        request = AmendRequest(
            client_id=order.client_id,
            price_ticks=price_ticks,
            lots=lots,
            reservation_asset=asset,
            reservation=max(amount, held),
            decision_ns=now_ns,
        )
        self.apply_amend(request)
        return request

    def apply_amend(self, request: AmendRequest) -> None:
        """An amend was decided: the worse of both reservations is held until the venue answers."""
        order = self._by_id[request.client_id]
        self.ledger.reserve(order.client_id, request.reservation_asset, request.reservation)
        order.pending_price_ticks, order.pending_lots = request.price_ticks, request.lots
        order.move(State.AMEND_PENDING, at_ns=request.decision_ns)

    def send_amend(self, order: ManagedOrder, gateway: Gateway, now_ns: int) -> None:
        """Hand a pending amend to the venue."""
        assert order.pending_price_ticks is not None
        assert order.pending_lots is not None
        gateway.send_amend(
            self.reference(order),
            self.identity.epoch,
            order.pending_price_ticks,
            order.pending_lots,
            lambda result: self.on_change_result(order, result, now_ns),
        )

    def request_cancel(self, order: ManagedOrder, reason: str, now_ns: int) -> CancelRequest | None:
        """Mark a cancel pending; None when there is nothing to cancel or a cancel is under way."""
        if order.is_terminal or order.state is State.CANCEL_PENDING:
            return None
        if order.state in {State.JOURNALED, State.SENT, State.UNKNOWN}:
            return None
        request = CancelRequest(client_id=order.client_id, reason=reason, decision_ns=now_ns)
        self.apply_cancel(request)
        return request

    def apply_cancel(self, request: CancelRequest) -> None:
        """A cancel was decided."""
        order = self._by_id[request.client_id]
        order.move(State.CANCEL_PENDING, at_ns=request.decision_ns, reason=request.reason)

    def send_cancel(self, order: ManagedOrder, gateway: Gateway, now_ns: int) -> None:
        """Hand a pending cancel to the venue."""
        gateway.send_cancel(
            self.reference(order),
            self.identity.epoch,
            lambda result: self.on_change_result(order, result, now_ns),
        )

    @staticmethod
    def reference(order: ManagedOrder) -> OrderRef:
        """How the venue knows this order."""
        return OrderRef(client_id=order.client_id, symbol=order.intent.symbol, venue_id=order.venue_id)

    # ---- answers -----------------------------------------------------------------------------------

    def on_submit_result(self, order: ManagedOrder, result: SubmitResult, now_ns: int) -> None:
        """The venue answered a submit. The private stream may have told more already; it wins."""
        if isinstance(result, Acked):
            self.stats.acks += 1
            order.venue_id = result.venue_id
            if order.state in {State.SENT, State.UNKNOWN}:
                order.settle(at_ns=now_ns)
        elif isinstance(result, Rejected):
            self.stats.rejects += 1
            self.stats.preventable_rejects += result.preventable
            if order.state in {State.SENT, State.UNKNOWN}:
                order.move(State.REJECTED, at_ns=now_ns, reason=f"{result.code}: {result.raw}")
                self._finish(order)
        elif isinstance(result, Uncertain):
            self.stats.uncertain += 1
            if order.state is State.SENT:
                order.move(State.UNKNOWN, at_ns=now_ns, reason=result.reason)

    def on_change_result(self, order: ManagedOrder, result: ChangeResult, now_ns: int) -> None:
        """The venue answered an amend or a cancel."""
        if isinstance(result, AlreadyFinal):
            self.stats.cancel_races += 1
            self._apply_state(order, result.state)
        elif isinstance(result, Rejected) and order.state in {State.AMEND_PENDING, State.CANCEL_PENDING}:
            order.pending_price_ticks = order.pending_lots = None
            order.settle(at_ns=now_ns)
            order.reason = f"{result.code}: {result.raw}"

    # ---- private stream ----------------------------------------------------------------------------

    def on_order_event(self, event: OrderEvent) -> ManagedOrder | None:
        """An order changed at the venue. None for orders that are not ours."""
        order = self._by_id.get(event.state.client_id)
        if order is not None:
            self._apply_state(order, event.state)
        return order

    def on_fill(self, event: FillEvent) -> ManagedOrder | None:
        """One execution. Ledger first, then the order; duplicates change nothing; unknown orders go to
        suspense.
        """
        order = self._by_id.get(event.client_id)
        instrument = self.instruments[event.symbol]
        try:
            booked = self.ledger.fill(
                event,
                base=instrument.base,
                quote=instrument.quote,
                tick=instrument.tick,
                lot=instrument.lot,
            )
        except Overfill as error:
            self.overfill = str(error)
            raise
        if not booked:
            self.stats.duplicate_fills += 1
            return None
        self.stats.fills += 1
        if order is None:
            self.suspense.append(event)
            self.stats.suspense += 1
            return None
        order.filled_lots += event.lots
        order.fees += event.fee
        order.venue_id = order.venue_id or event.venue_id
        if order.filled_lots > order.lots and order.filled_lots > (order.pending_lots or 0):
            self.overfill = f"{order.client_id}: {order.filled_lots} of {order.lots} lots filled"
        if order.is_terminal:
            order.late_fills += 1
            self.stats.late_fills += 1
        elif event.remaining_lots == 0:
            order.move(State.FILLED, at_ns=event.venue_ts_ns)
            self._finish(order)
        elif order.state not in {State.CANCEL_PENDING, State.AMEND_PENDING}:
            order.move(State.PARTIALLY_FILLED, at_ns=event.venue_ts_ns)
        return order

    def _apply_state(self, order: ManagedOrder, state: OrderState) -> None:
        if order.is_terminal:
            return
        order.venue_id = state.venue_id
        if state.phase in {OrderPhase.CANCELLED, OrderPhase.EXPIRED, OrderPhase.REJECTED}:
            target = {
                OrderPhase.CANCELLED: State.CANCELLED,
                OrderPhase.EXPIRED: State.EXPIRED,
                OrderPhase.REJECTED: State.REJECTED,
            }[state.phase]
            order.move(target, at_ns=state.updated_ns, reason=state.reason)
            self._finish(order)
        elif state.phase is OrderPhase.FILLED and order.filled_lots >= state.filled_lots:
            # its executions are booked, and none of them said that it was the last one
            order.move(State.FILLED, at_ns=state.updated_ns)
            self._finish(order)
        elif state.phase in {OrderPhase.WORKING, OrderPhase.PARTIALLY_FILLED}:
            changed = (order.price_ticks, order.lots) != (state.price_ticks, state.lots)
            order.price_ticks, order.lots = state.price_ticks, state.lots
            pending = order.state is State.AMEND_PENDING
            if order.state in {State.JOURNALED, State.SENT, State.UNKNOWN} or (pending and changed):
                order.pending_price_ticks = order.pending_lots = None
                order.settle(at_ns=state.updated_ns)

    def trim_reservation(self, order: ManagedOrder, taker_rate: Decimal) -> None:
        """After an amend settled, hold only what the order needs now."""
        if order.is_terminal or order.state is State.AMEND_PENDING:
            return
        asset, amount = self.reservation(
            order.intent.symbol, order.intent.side, order.price_ticks, order.remaining_lots, taker_rate
        )
        held = self.ledger.reservations.get(order.client_id, (asset, Decimal(0)))[1]
        if amount < held:
            self.ledger.reserve(order.client_id, asset, amount)

    def abandon(self, order: ManagedOrder, reason: str, now_ns: int) -> OrderNote:
        """The order is proven never to have reached the venue."""
        note = OrderNote(client_id=order.client_id, state=str(State.ABANDONED), reason=reason, at_ns=now_ns)
        self.apply_note(note)
        return note

    def apply_note(self, note: OrderNote) -> None:
        """Fold a state record (recovery and `abandon`)."""
        order = self._by_id.get(note.client_id)
        if order is not None and not order.is_terminal:
            order.move(State(note.state), at_ns=note.at_ns, reason=note.reason)
            self._finish(order)

    def _finish(self, order: ManagedOrder) -> None:
        self.ledger.release(order.client_id)
        order.pending_price_ticks = order.pending_lots = None
        self.orders.pop(order.client_id, None)
        while len(self.finished) >= MAX_KEPT_FINISHED and (
            len(self.finished) >= MAX_TERMINAL_ORDERS
            or self.finished[0].updated_ns < order.updated_ns - TERMINAL_KEPT_NS
        ):
            self._by_id.pop(self.finished.popleft().client_id, None)
        self.finished.append(order)

    # ---- reading -----------------------------------------------------------------------------------

    def get(self, client_id: str) -> ManagedOrder | None:
        """An order by its client id, recent terminal ones included."""
        return self._by_id.get(client_id)

    def working(self, strategy: str | None = None) -> list[ManagedOrder]:
        """Orders that have not ended, oldest first."""
        return [order for order in self.orders.values() if strategy in {None, order.intent.strategy}]

    def unsent(self) -> Iterable[ManagedOrder]:
        """Orders that were journaled but of which the venue has shown nothing."""
        return [order for order in self.orders.values() if order.state in {State.JOURNALED, State.SENT}]

    def state(self) -> OmsState:
        """Everything, as plain data (for a checkpoint)."""
        return OmsState(
            working=list(self.orders.values()),
            finished=list(self.finished)[-MAX_KEPT_FINISHED:],
            suspense=list(self.suspense),
            stats=self.stats,
            overfill=self.overfill,
            next_intent=self._next_intent,
        )

    def load(self, state: OmsState) -> None:
        """Become what `state` says; the ledger holds the reservations already."""
        self.orders = {order.client_id: order for order in state.working}
        self.finished = deque(state.finished, maxlen=MAX_TERMINAL_ORDERS)
        self.suspense = deque(state.suspense, maxlen=MAX_SUSPENSE)
        self.stats, self.overfill = state.stats, state.overfill
        self._next_intent = state.next_intent
        self._by_id = {order.client_id: order for order in (*state.finished, *state.working)}

    def apply(self, record: Record) -> None:
        """Fold one order record of the journal (recovery)."""
        match record:
            case Intent():
                self.adopt(record)
            case AmendRequest():
                if record.client_id in self.orders:
                    self.apply_amend(record)
            case CancelRequest():
                if record.client_id in self.orders:
                    self.apply_cancel(record)
            case OrderNote():
                self.apply_note(record)
            case _:
                raise TypeError(f"{type(record).__name__} is not an order record")
