"""The views behind a gateway: the node's own projections, and beside them what clients said and were told.

`OrderRecords` adds to `OrdersView` what it does not hold: the client's names, executions with their numbers,
and the stream of account events. Everything is a function of the journal, so numbers and sequences are the
same after a restart.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from decimal import Decimal
from itertools import islice
from typing import Any, Final

import msgspec

from tradewind.core import native
from tradewind.core.enums import CancelReason, Line, MarketKind, OrderType, SelfTradePrevention
from tradewind.core.enums import TimeInForce as EngineTimeInForce
from tradewind.core.event_types import (
    AccountOpened,
    Deposited,
    MarketActivated,
    MarketClosed,
    MarketClosing,
    MarketCreated,
    MarketUpdated,
    OrderAccepted,
    OrderActivated,
    OrderCancelled,
    OrderLinked,
    OrderReplaced,
    OrderResized,
    OrderRested,
    PauseSet,
    RateClassSet,
    Resumed,
    SelfTradePrevented,
    SuitabilitySet,
    SwitchArmed,
    SwitchDisarmed,
    SwitchFired,
    Trade,
    Transferred,
    TriggerPlaced,
    WithdrawalCancelled,
    WithdrawalQueued,
    WithdrawalReleased,
    WithdrawalReturned,
    WithdrawalSettled,
)
from tradewind.core.events import Event, decode_events, decode_notes
from tradewind.node.projections import orders as engine_orders
from tradewind.node.projections.base import Projections, View
from tradewind.node.projections.book import BookView as BooksView
from tradewind.node.projections.directory import AccountsView, AssetsView, MarketsView
from tradewind.node.projections.feeds import FeedsView
from tradewind.node.projections.ledger import LedgerView
from tradewind.node.projections.leverage import LeverageView
from tradewind.node.projections.orders import OrderStatus, OrdersView
from tradewind.node.projections.trades import TradesView
from tradewind.node.projections.vault import VaultView
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import OrderPhase, TimeInForce

from .exchange_books import changed_books
from .exchange_notes import Placed, read_note
from .exchange_positions import PositionRecords
from .exchange_setup import ExchangeConfiguration, Parties
from .exchange_takers import MarketTakers
from .model import (
    AccountEvent,
    BookChange,
    Fill,
    Funds,
    FundsChanged,
    Kind,
    Order,
    OrderChanged,
    PublicTrade,
    SelfTrade,
)

FILLS_OF_ORDER: Final = 10_000
"""Executions of an order that can be read by its id: the last ones."""
TRADES_OF_ORDER: Final = 1_000
"""Numbers of executions that an order names: the last ones."""
CANDLE_INTERVALS_S: Final = (1, 60, 3_600)
MICRO_EXPONENT: Final = -6
PHASES: Final = {
    OrderStatus.PENDING_TRIGGER: OrderPhase.WORKING,
    OrderStatus.OPEN: OrderPhase.WORKING,
    OrderStatus.PARTIAL: OrderPhase.PARTIALLY_FILLED,
    OrderStatus.FILLED: OrderPhase.FILLED,
    OrderStatus.CANCELLED: OrderPhase.CANCELLED,
    OrderStatus.EXPIRED: OrderPhase.EXPIRED,
}
KINDS: Final = {
    OrderType.LIMIT: Kind.LIMIT,
    OrderType.ICEBERG: Kind.LIMIT,
    OrderType.TWAP: Kind.MARKET,
    OrderType.MARKET: Kind.MARKET,
    OrderType.STOP: Kind.STOP,
    OrderType.TRAILING_STOP: Kind.STOP,
    OrderType.STOP_LIMIT: Kind.STOP_LIMIT,
    OrderType.TAKE_PROFIT: Kind.TAKE_PROFIT,
}
TIMES_IN_FORCE: Final = {
    EngineTimeInForce.GTC: TimeInForce.GTC,
    EngineTimeInForce.GTD: TimeInForce.GTC,
    EngineTimeInForce.IOC: TimeInForce.IOC,
    EngineTimeInForce.FOK: TimeInForce.FOK,
}
SELF_TRADE: Final = {
    SelfTradePrevention.CANCEL_NEWEST: SelfTrade.CANCEL_NEWEST,
    SelfTradePrevention.CANCEL_OLDEST: SelfTrade.CANCEL_OLDEST,
    SelfTradePrevention.CANCEL_BOTH: SelfTrade.CANCEL_BOTH,
    SelfTradePrevention.DECREMENT: SelfTrade.DECREMENT,
}
POST_ONLY: Final = 1
REDUCE_ONLY: Final = 2
_WAITING_TYPES: Final = frozenset(
    {OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT, OrderType.TRAILING_STOP}
)
_TRADED_KINDS: Final = frozenset({MarketKind.SPOT, MarketKind.PERPETUAL})
_FREE, _HELD = int(Line.FREE), int(Line.HELD)
_CAUSES: Final[dict[type[Event], str]] = {
    Trade: "trade",
    Deposited: "deposit",
    WithdrawalQueued: "withdrawal",
    WithdrawalReleased: "withdrawal",
    WithdrawalCancelled: "withdrawal",
    WithdrawalSettled: "withdrawal",
    WithdrawalReturned: "withdrawal",
    Transferred: "transfer",
}


def money(micro: int) -> Decimal:
    """Micro-units as units, exactly."""
    return Decimal(micro).scaleb(MICRO_EXPONENT)


class MarketNames(msgspec.Struct, frozen=True, gc=False):
    """A market as events name it."""

    symbol: str
    base: str
    quote: str


class Record(msgspec.Struct):
    """An order of a client, beside the engine's."""

    order_id: int
    account: str
    symbol: str
    client_id: str
    tag: int
    kind: Kind
    time_in_force: TimeInForce
    trigger_ticks: int
    display_lots: int
    self_trade: SelfTrade
    linked_order_id: int = 0
    is_told: bool = False
    """Whether the stream has said that it is new."""
    fills: deque[Fill] = msgspec.field(default_factory=lambda: deque(maxlen=FILLS_OF_ORDER))


class AccountHistory:
    """Orders and executions of one account, bounded, and its stream."""

    def __init__(self, name: str, handle: int, fills_kept: int) -> None:
        self.name = name
        self.handle = handle
        self.orders: dict[int, Record] = {}
        """Kept orders by id, oldest first."""
        self.by_client: dict[str, int] = {}
        """Client's id -> its latest order."""
        self.fills: deque[Fill] = deque(maxlen=fills_kept)
        self.sequence = 0
        self.switch_deadline_ns = 0
        """When the dead-man's switch fires; 0: it is not armed."""
        self.listeners: list[Callable[[AccountEvent], None]] = []


class OrderRecords:
    """A view that stands behind ledger, orders and trades: it reads what they made of the same event."""

    def __init__(self, views: GatewayViews, fills_kept: int, trades_kept: int) -> None:
        self._views = views
        self.takers = MarketTakers(trades_kept)
        self._fills_kept = fills_kept
        self.accounts: dict[str, AccountHistory] = {}
        self.by_handle: dict[int, AccountHistory] = {}
        self.markets: dict[int, MarketNames] = {}
        self.fill_count = 0
        self.placed: dict[bytes, Placed] = {}
        """Notes of the present block whose order has not been seen."""
        self.on_trade: Callable[[PublicTrade], None] | None = None
        self.on_ended: Callable[[AccountHistory, Record, CancelReason | None], None] | None = None
        self._handlers: dict[type[Event], Callable[[Any], None]] = {
            OrderAccepted: self._accepted,
            TriggerPlaced: self._waits,
            OrderLinked: self._linked,
            Trade: self._traded,
            OrderCancelled: self._cancelled,
            OrderReplaced: self._changed_by("amended"),
            OrderResized: self._changed_by("amended"),
            OrderActivated: self._changed_by("triggered"),
            SelfTradePrevented: self._prevented,
            SwitchArmed: self._switch,
            SwitchDisarmed: self._switch,
            SwitchFired: self._switch,
        }

    def add_account(self, name: str, handle: int) -> AccountHistory:
        """From now on orders of this account are kept."""
        known = self.accounts.get(name)
        if known is None:
            known = self.accounts[name] = AccountHistory(name, handle, self._fills_kept)
            self.by_handle[handle] = known
        return known

    def on_event(self, event: Event) -> None:
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)
        postings = getattr(event, "postings", ())
        if postings:
            self._moved(event, postings)

    # ---- orders ------------------------------------------------------------------------------------

    def order(self, record: Record) -> Order:
        """The order as it is now."""
        found = self._views.orders.get(record.order_id)
        assert found is not None, "a record lives as long as its order is kept"
        at_market = record.kind in (Kind.MARKET, Kind.STOP, Kind.TAKE_PROFIT)
        return Order(
            order_id=record.order_id,
            account=record.account,
            client_id=record.client_id,
            tag=record.tag,
            symbol=record.symbol,
            side=Side(found.side),
            kind=record.kind,
            time_in_force=record.time_in_force,
            post_only=bool(found.order_flags & POST_ONLY),
            reduce_only=bool(found.order_flags & REDUCE_ONLY),
            price_ticks=0 if at_market else found.price,
            trigger_ticks=record.trigger_ticks,
            lots=found.total_lots,
            display_lots=record.display_lots,
            filled_lots=found.filled_lots,
            cost=money(found.filled_notional),
            fee=money(found.fees),
            phase=PHASES[found.status],
            reason="" if found.reason is None else found.reason.name.lower(),
            created_ns=found.accepted_ns,
            updated_ns=found.updated_ns,
            expires_ns=found.expiry_ns,
            trade_ids=tuple(fill.trade_id for fill in islice(reversed(record.fills), TRADES_OF_ORDER))[::-1],
            waiting=found.status is OrderStatus.PENDING_TRIGGER,
            linked_order_id=record.linked_order_id,
            self_trade=record.self_trade,
        )

    def forget(self, order: engine_orders.Order) -> None:
        """The projection of orders has dropped an ended order."""
        history = self.by_handle.get(order.account)
        record = None if history is None else history.orders.pop(order.order, None)
        if history is None or record is None:
            return
        if history.by_client.get(record.client_id) == order.order:
            del history.by_client[record.client_id]

    def _accepted(self, event: OrderAccepted) -> None:
        placed = self.placed.pop(event.client_key, None)
        history, market = self.by_handle.get(event.account), self.markets.get(event.market)
        if history is None or market is None:
            return
        record = Record(
            order_id=event.order,
            account=history.name,
            symbol=market.symbol,
            client_id="" if placed is None else placed.client_id,
            tag=0 if placed is None else placed.tag,
            kind=KINDS[OrderType(event.order_type)] if placed is None else placed.kind,
            time_in_force=(
                TIMES_IN_FORCE[EngineTimeInForce(event.time_in_force)]
                if placed is None
                else placed.time_in_force
            ),
            trigger_ticks=0 if placed is None else placed.trigger_ticks,
            display_lots=0 if placed is None else placed.display_lots,
            self_trade=SELF_TRADE[SelfTradePrevention(event.self_trade_prevention)],
        )
        history.orders[event.order] = record
        if record.client_id:
            history.by_client[record.client_id] = event.order
        # Of an order that waits for a price the next event says so.
        if event.order_type not in _WAITING_TYPES:
            record.is_told = True
            self._tell(history, record, "new")

    def _waits(self, event: TriggerPlaced) -> None:
        history, record = self._of(event)
        if history is None or record is None:
            return
        record.trigger_ticks = record.trigger_ticks or event.trigger_price
        if not record.is_told:
            record.is_told = True
            self._tell(history, record, "new")

    def _linked(self, event: OrderLinked) -> None:
        history, record = self._of(event)
        other = None if history is None else history.orders.get(event.other)
        if record is not None and other is not None:
            record.linked_order_id, other.linked_order_id = event.other, event.order

    def _changed_by(self, what: str) -> Callable[[Event], None]:
        def changed(event: Event) -> None:
            history, record = self._of(event)
            if history is not None and record is not None:
                self._tell(history, record, what)

        return changed

    def _cancelled(self, event: OrderCancelled) -> None:
        history, record = self._of(event)
        if history is None or record is None:
            return
        reason = CancelReason(event.reason)
        self._tell(history, record, "expired" if reason is CancelReason.EXPIRY else "cancelled")
        if self.on_ended is not None:
            self.on_ended(history, record, reason)

    def _prevented(self, event: SelfTradePrevented) -> None:
        history = self.by_handle.get(event.account)
        if history is None:
            return
        for order, remaining in (
            (event.order, event.taker_remaining),
            (event.maker_order, event.maker_remaining),
        ):
            record = history.orders.get(order)
            if record is not None:
                self._tell(history, record, "amended" if remaining else "cancelled")

    def _switch(self, event: SwitchArmed | SwitchDisarmed | SwitchFired) -> None:
        history = self.by_handle.get(event.account)
        if history is not None:
            history.switch_deadline_ns = event.deadline_ns if isinstance(event, SwitchArmed) else 0

    def _of(self, event: Event) -> tuple[AccountHistory | None, Record | None]:
        history = self.by_handle.get(event.account)
        return history, None if history is None else history.orders.get(event.order)

    # ---- executions --------------------------------------------------------------------------------

    def _traded(self, event: Trade) -> None:
        market = self.markets.get(event.market)
        if market is None:
            return
        number = self._views.trades.tapes[event.market].trade_count
        taker_side = Side(event.taker_side)
        taker, maker = self.by_handle.get(event.account), self.by_handle.get(event.maker_account)
        record = None if taker is None else taker.orders.get(event.order)
        kind = self.takers.add(event.market, number, None if record is None else record.kind)
        if self.on_trade is not None:
            buys = taker_side is Side.BUY
            self.on_trade(
                PublicTrade(
                    symbol=market.symbol,
                    trade_id=number,
                    price_ticks=event.price,
                    lots=event.lots,
                    taker_side=taker_side,
                    buyer_order=event.order if buys else event.maker_order,
                    seller_order=event.maker_order if buys else event.order,
                    time_ns=event.time_ns,
                    taker_kind=kind,
                )
            )
        if taker is not None:
            self._filled(taker, market, event, number, maker=False)
        if maker is not None:
            self._filled(maker, market, event, number, maker=True)

    def _filled(
        self, history: AccountHistory, market: MarketNames, event: Trade, number: int, *, maker: bool
    ) -> None:
        self.fill_count += 1
        record = history.orders.get(event.maker_order if maker else event.order)
        if record is None:
            return
        taker_side = Side(event.taker_side)
        fill = Fill(
            trade_id=number,
            fill_id=self.fill_count,
            account=history.name,
            order_id=record.order_id,
            client_id=record.client_id,
            symbol=market.symbol,
            side=Side(1 - taker_side) if maker else taker_side,
            price_ticks=event.price,
            lots=event.lots,
            cost=money(event.notional),
            fee=money(event.maker_fee if maker else event.taker_fee),
            fee_asset=market.quote,
            maker=maker,
            time_ns=event.time_ns,
        )
        record.fills.append(fill)
        history.fills.append(fill)
        remaining = event.maker_remaining if maker else event.taker_remaining
        self._tell(history, record, "fill" if remaining else "filled", fill)
        if not remaining and self.on_ended is not None:
            self.on_ended(history, record, None)

    # ---- the stream --------------------------------------------------------------------------------

    def _tell(self, history: AccountHistory, record: Record, what: str, fill: Fill | None = None) -> None:
        history.sequence += 1
        if history.listeners:
            event = OrderChanged(order=self.order(record), what=what, sequence=history.sequence, fill=fill)
            for listener in tuple(history.listeners):
                listener(event)

    def _moved(self, event: Event, postings: tuple[Any, ...]) -> None:
        changed: dict[int, list[int]] = {}
        for posting in postings:
            if posting.line in (_FREE, _HELD) and posting.owner in self.by_handle:
                assets = changed.setdefault(posting.owner, [])
                if posting.asset not in assets:
                    assets.append(posting.asset)
        for handle, assets in changed.items():
            history = self.by_handle[handle]
            history.sequence += 1
            if not history.listeners:
                continue
            told = FundsChanged(
                account=history.name,
                funds=tuple(self.funds(history, asset) for asset in assets),
                cause=_CAUSES.get(type(event), "order"),
                sequence=history.sequence,
                time_ns=event.time_ns,
            )
            for listener in tuple(history.listeners):
                listener(told)

    def funds(self, history: AccountHistory, asset: int) -> Funds:
        """One asset of an account now."""
        ledger = self._views.ledger
        return Funds(
            asset=self._views.assets.by_number[asset].symbol,
            free=money(ledger.line(history.handle, asset, _FREE)),
            held=money(ledger.line(history.handle, asset, _HELD)),
        )


class GatewayViews(Projections):
    """All views behind a gateway: `await node.attach(views.apply, name="gateway")`."""

    def __init__(self, configuration: ExchangeConfiguration, parties: Parties) -> None:
        self.assets = AssetsView()
        self.accounts = AccountsView()
        self.markets = MarketsView()
        self.ledger = LedgerView()
        self.orders = OrdersView(
            configuration.ended_orders_kept, markets=self.markets, on_forgotten=self._on_forgotten
        )
        self.books = BooksView(self.markets, tracks_changes=True)
        self.trades = TradesView(configuration.trades_kept, configuration.candles_kept, CANDLE_INTERVALS_S)
        self.records = OrderRecords(self, configuration.fills_kept, configuration.trades_kept)
        self.update_ids: dict[int, int] = {}
        """Number of the last published change of each market's book."""
        self.on_state: Callable[[], None] | None = None
        """Called behind a batch in which a market's parameters or state changed."""
        self._states_changed = False
        self.feeds = FeedsView()
        self.leverage = LeverageView()
        self.vault = VaultView()
        self.positions = PositionRecords(self)
        self.suitable: set[int] = set()
        """Accounts that may use more than tenfold leverage."""
        self.rate_classes: dict[int, int] = {}
        """Account -> how many commands a second it may send."""
        self.on_book: Callable[[BookChange], None] | None = None
        self._parties = parties
        self._names = {parties.key(name): name for name in configuration.accounts}
        views: list[View] = [
            self.assets,
            self.accounts,
            self.markets,
            self.ledger,
            self.orders,
            self.books,
            self.trades,
        ]
        leveraged: list[View] = [self.feeds, self.leverage, self.vault] if configuration.perpetuals else []
        behind: list[View] = [self.positions] if configuration.perpetuals else []
        super().__init__([*views, *leveraged, self, self.records, *behind])
        frequent: list[View] = [self.ledger, self.orders, self.books, self.records]
        traded: list[View] = [self.ledger, self.orders, self.books, self.trades, self.records]
        self._frequent: dict[type[Event], tuple[Callable[[Event], None], ...]] = {
            **{kind: tuple(view.on_event for view in frequent) for kind in _FREQUENT_EVENTS},
            Trade: tuple(view.on_event for view in traded),
        }
        """Events of orders are nearly all there is; the other views do not know them."""

    def _on_forgotten(self, order: engine_orders.Order) -> None:
        self.records.forget(order)

    def on_event(self, event: Event) -> None:
        """Gives names to accounts and markets before the first order of theirs."""
        if isinstance(event, MarketCreated) and event.market_kind not in _TRADED_KINDS:
            return  # outcome markets have views of their own
        if isinstance(event, MarketCreated):
            assets = self.assets.by_number
            base, quote = assets[event.base].symbol, assets[event.quote].symbol
            perpetual = event.market_kind == MarketKind.PERPETUAL
            symbol = f"{base}/{quote}:{quote}" if perpetual else f"{base}/{quote}"
            self.records.markets[event.market] = MarketNames(symbol, base, quote)
            self._states_changed = True
        elif isinstance(event, _STATE_EVENTS):
            self._states_changed = True
        elif isinstance(event, SuitabilitySet):
            (self.suitable.add if event.level else self.suitable.discard)(event.account)
        elif isinstance(event, RateClassSet):
            self.rate_classes[event.account] = event.rate_class
        elif isinstance(event, AccountOpened):
            name = self._names.get(event.owner_key)
            if name is not None:
                self.records.add_account(name, event.account)
            else:
                self.orders.unkept_accounts.add(event.account)

    def feed(self, batch: native.Batch) -> None:
        """See `Projections.feed`."""
        everybody = tuple(view.on_event for view in self.views)
        for event in decode_events(batch):
            for hear in self._frequent.get(type(event), everybody):
                hear(event)

    def apply(self, batch: native.Batch) -> None:
        """As `Projections.apply`; what changed in the books is published behind the events of the batch.

        Raises:
            ProjectionGap: commands are missing. msgspec.DecodeError: a damaged note of our own.
        """
        if len(batch.notes):
            for note in decode_notes(batch.notes):
                placed = read_note(note)
                if isinstance(placed, Placed):
                    self.records.placed[placed.key] = placed
                elif placed is not None:
                    self.positions.chosen[placed.account, placed.symbol] = placed.leverage_e2
        super().apply(batch)
        # What is left belongs to refused commands.
        self.records.placed.clear()
        if self._states_changed:
            self._states_changed = False
            if self.on_state is not None:
                self.on_state()
        if self.books.touched:
            self._publish_books(batch.time_ns)

    def _publish_books(self, time_ns: int) -> None:
        markets = self.records.markets
        for handle, bids, asks, number in changed_books(self.books, self.update_ids, markets):
            if self.on_book is not None:
                change = BookChange(
                    symbol=markets[handle].symbol,
                    bids=bids,
                    asks=asks,
                    update_id=number,
                    time_ns=time_ns,
                )
                self.on_book(change)


_FREQUENT_EVENTS: Final = (OrderAccepted, OrderRested, OrderCancelled, OrderReplaced)
_STATE_EVENTS: Final = (MarketUpdated, MarketActivated, MarketClosing, MarketClosed, PauseSet, Resumed)
