"""The paper account as the venue keeps it: orders by id, fills, and the private events they make."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from tradewind.core import event_types as engine
from tradewind.core.enums import CancelReason
from tradewind.core.events import Event

from ..market_data import Side
from ..protocol import FillEvent, FundsEvent, OrderEvent, OrderPhase, OrderState, PrivateEvent
from .setup import MICRO, PaperSetup
from .wire import BatchLike, refused_orders

MAX_FINISHED_ORDERS = 1_000
MAX_KEPT_FILLS = 5_000
"""Both fill up within the first day of a campaign, so that memory stands still afterwards."""
MAX_SAVED_ROWS = 500
CLIENT_PREFIX = "tw"
KEY_BYTES = 16
FIRST_SYSTEM_LINE = 0x80
_PLAIN = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyz")


def client_key_of(client_id: str) -> bytes:
    """The engine's 16-byte key of a client id: `tw` ids lose their prefix, other ids must be 32 hex digits.

    Raises `ValueError` for anything else.
    """
    if client_id.startswith(CLIENT_PREFIX) and len(client_id) == KEY_BYTES + 2:
        key = client_id[2:].encode("ascii")
        if set(key) <= _PLAIN:
            return key
    if len(client_id) == 2 * KEY_BYTES:
        return bytes.fromhex(client_id)
    raise ValueError(f"client id {client_id!r} is neither tw + 16 characters nor 32 hex digits")


def client_id_of(key: bytes) -> str:
    """The inverse of `client_key_of`."""
    return CLIENT_PREFIX + key.decode() if set(key) <= _PLAIN else key.hex()


class PaperOrder(msgspec.Struct, kw_only=True):
    """One order of the paper account."""

    order_id: int
    client_id: str
    symbol: str
    side: Side
    price_ticks: int
    lots: int
    filled_lots: int
    phase: OrderPhase
    reason: str
    updated_ns: int

    def state(self) -> OrderState:
        """As the venue reports it."""
        return OrderState(
            client_id=self.client_id,
            venue_id=str(self.order_id),
            symbol=self.symbol,
            side=self.side,
            phase=self.phase,
            price_ticks=self.price_ticks,
            lots=self.lots,
            filled_lots=self.filled_lots,
            reason=self.reason,
            updated_ns=self.updated_ns,
        )


class FillTotals(msgspec.Struct):
    """All executions of one symbol since the account began. `value` is the sum of price ticks times lots."""

    count: int = 0
    value: int = 0
    fees: Decimal = Decimal(0)


class AccountState(msgspec.Struct, kw_only=True):
    """The account as plain data."""

    orders: list[PaperOrder]
    finished: list[PaperOrder]
    fills: list[FillEvent]
    dropped_fills: bool
    totals: dict[str, FillTotals]
    lines: list[tuple[int, int, int]]


class AccountBook:
    """Folds engine events of the paper account; `drain` hands out the private events they made."""

    def __init__(self, venue: str, setup: PaperSetup) -> None:
        self.venue = venue
        self.setup = setup
        self.orders: dict[int, PaperOrder] = {}
        self.finished: OrderedDict[str, PaperOrder] = OrderedDict()
        self.fills: deque[FillEvent] = deque(maxlen=MAX_KEPT_FILLS)
        self.dropped_fills = False
        self.totals: dict[str, FillTotals] = {}
        """What a reconciliation compares: executions themselves are kept only for a while."""
        self.lines: dict[tuple[int, int], int] = {}
        self._by_client: dict[str, PaperOrder] = {}
        self._out: list[PrivateEvent] = []
        self._handle = setup.accounts["trader"]
        self._id = setup.account_ids["trader"]
        self._symbols = {one.market: symbol for symbol, one in setup.markets.items()}
        self._asset_names = {number: name for name, number in setup.assets.items()}
        self._reasons = {int(reason): reason.name.lower() for reason in CancelReason}
        self._handlers: dict[type[Event], Callable[[Any], None]] = {
            engine.OrderAccepted: self._on_accepted,
            engine.OrderReplaced: self._on_replaced,
            engine.Trade: self._on_trade,
            engine.OrderCancelled: self._on_cancelled,
            engine.Deposited: self._on_funds,
        }

    def drain(self) -> list[PrivateEvent]:
        """Events since the last call."""
        out, self._out = self._out, []
        return out

    def find(self, client_id: str) -> PaperOrder | None:
        """An open or recently finished order."""
        return self._by_client.get(client_id) or self.finished.get(client_id)

    def open(self, symbol: str | None = None) -> list[PaperOrder]:
        """Open orders, oldest first."""
        return [order for order in self.orders.values() if symbol in {None, order.symbol}]

    def on_event(self, event: Event) -> None:
        """Fold one event."""
        for posting in event.postings:  # type: ignore[attr-defined]
            if posting.owner == self._handle and posting.line < FIRST_SYSTEM_LINE:
                key = (posting.asset, posting.line)
                self.lines[key] = self.lines.get(key, 0) + posting.amount
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def on_refusals(self, batch: BatchLike) -> None:
        """Orders of the account that the engine refused become REJECTED order events."""
        for refused in refused_orders(batch, self._id):
            symbol = self._symbols.get(refused.market)
            client_id = client_id_of(refused.client_key)
            if symbol is None or client_id in self._by_client:
                continue
            state = OrderState(
                client_id=client_id,
                venue_id="",
                symbol=symbol,
                side=refused.side,
                phase=OrderPhase.REJECTED,
                price_ticks=refused.price_ticks,
                lots=refused.lots,
                filled_lots=0,
                reason=refused.reason,
                updated_ns=refused.time_ns,
            )
            self._out.append(OrderEvent(state=state, sequence=refused.seq, venue_ts_ns=refused.time_ns))

    def state(self) -> AccountState:
        """Everything, as plain data (for a checkpoint); of the fills only the latest."""
        return AccountState(
            orders=list(self.orders.values()),
            finished=list(self.finished.values())[-MAX_SAVED_ROWS:],
            fills=list(self.fills)[-MAX_SAVED_ROWS:],
            dropped_fills=self.dropped_fills or len(self.fills) > MAX_SAVED_ROWS,
            totals=self.totals,
            lines=[(asset, line, amount) for (asset, line), amount in self.lines.items()],
        )

    def load(self, state: AccountState) -> None:
        """Become what `state` says."""
        self.orders = {order.order_id: order for order in state.orders}
        self._by_client = {order.client_id: order for order in state.orders}
        self.finished = OrderedDict((order.client_id, order) for order in state.finished)
        self.fills = deque(state.fills, maxlen=MAX_KEPT_FILLS)
        self.dropped_fills = state.dropped_fills
        self.totals = state.totals
        self.lines = {(asset, line): amount for asset, line, amount in state.lines}
        self._out = []

    def _on_accepted(self, event: engine.OrderAccepted) -> None:
        symbol = self._symbols.get(event.market)
        if event.account != self._handle or symbol is None:
            return
        order = PaperOrder(
            order_id=event.order,
            client_id=client_id_of(event.client_key),
            symbol=symbol,
            side=Side(event.side),
            price_ticks=event.price,
            lots=event.total_lots,
            filled_lots=0,
            phase=OrderPhase.WORKING,
            reason="",
            updated_ns=event.time_ns,
        )
        self.orders[event.order] = order
        self._by_client[order.client_id] = order
        self._tell(order, event)

    def _on_replaced(self, event: engine.OrderReplaced) -> None:
        order = self.orders.get(event.order)
        if order is None:
            return
        order.price_ticks, order.lots = event.price, event.total_lots
        order.updated_ns = event.time_ns
        self._tell(order, event)

    def _on_trade(self, event: engine.Trade) -> None:
        if event.account == self._handle:
            self._fill(event, event.order, maker=False)
        if event.maker_account == self._handle:
            self._fill(event, event.maker_order, maker=True)

    def _fill(self, event: engine.Trade, order_id: int, *, maker: bool) -> None:
        order = self.orders.get(order_id)
        if order is None:
            return
        remaining = event.maker_remaining if maker else event.taker_remaining
        order.filled_lots += event.lots
        order.updated_ns = event.time_ns
        order.phase = OrderPhase.PARTIALLY_FILLED if remaining else OrderPhase.FILLED
        fill = FillEvent(
            venue=self.venue,
            account="trader",
            symbol=order.symbol,
            trade_id=f"{event.seq}-{event.event_index}",
            client_id=order.client_id,
            venue_id=str(order_id),
            side=order.side,
            price_ticks=event.price,
            lots=event.lots,
            remaining_lots=remaining,
            fee=Decimal(event.maker_fee if maker else event.taker_fee) / MICRO,
            fee_asset=self.setup.markets[order.symbol].instrument.quote,
            maker=maker,
            sequence=event.seq,
            venue_ts_ns=event.time_ns,
        )
        self.dropped_fills = self.dropped_fills or len(self.fills) == MAX_KEPT_FILLS
        self.fills.append(fill)
        totals = self.totals.setdefault(order.symbol, FillTotals())
        totals.count += 1
        totals.value += event.price * event.lots
        totals.fees += fill.fee
        self._out.append(fill)
        if not remaining:
            self._finish(order)

    def _on_cancelled(self, event: engine.OrderCancelled) -> None:
        order = self.orders.get(event.order)
        if order is None:
            return
        reason = self._reasons.get(event.reason, f"reason {event.reason}")
        order.phase = OrderPhase.EXPIRED if reason == "expiry" else OrderPhase.CANCELLED
        order.reason = reason
        order.updated_ns = event.time_ns
        self._finish(order)
        self._tell(order, event)

    def _on_funds(self, event: engine.Deposited) -> None:
        if event.account != self._handle:
            return
        self._out.append(
            FundsEvent(
                asset=self._asset_names.get(event.asset, f"asset {event.asset}"),
                amount=Decimal(event.amount) / MICRO,
                reference=event.reference.hex(),
                sequence=event.seq,
                venue_ts_ns=event.time_ns,
            )
        )

    def _tell(self, order: PaperOrder, event: Event) -> None:
        self._out.append(OrderEvent(state=order.state(), sequence=event.seq, venue_ts_ns=event.time_ns))

    def _finish(self, order: PaperOrder) -> None:
        self.orders.pop(order.order_id, None)
        self._by_client.pop(order.client_id, None)
        self.finished[order.client_id] = order
        if len(self.finished) > MAX_FINISHED_ORDERS:
            self.finished.popitem(last=False)
