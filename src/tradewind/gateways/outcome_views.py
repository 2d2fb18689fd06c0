"""Views of outcome markets behind a gateway: books, orders by reference, trades with both parties."""

from __future__ import annotations

import hashlib
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Final

import msgspec
import structlog

from tradewind.core import native
from tradewind.core.enums import CancelReason, TradeKind
from tradewind.core.event_types import (
    OrderAccepted,
    OrderCancelled,
    OrderReplaced,
    SelfTradePrevented,
    Trade,
)
from tradewind.core.events import Event, Note, decode_notes
from tradewind.node.projections import orders as engine_orders
from tradewind.node.projections.base import Projections
from tradewind.node.projections.book import BookView as BooksView
from tradewind.node.projections.claims import ClaimsView
from tradewind.node.projections.directory import MarketsView
from tradewind.node.projections.orders import OrdersView
from tradewind.node.projections.trades import TradesView
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import OrderPhase

from .exchange_books import changed_books
from .exchange_notes import GATEWAY_STREAM
from .exchange_records import PHASES, money
from .outcome_model import (
    ListedOutcome,
    OrderNews,
    OutcomeOrder,
    OutcomeRequest,
    OutcomeTrade,
    Party,
    Token,
    TokenChange,
    TradeNews,
)

log = structlog.get_logger("tradewind.gateway")

OUTCOME_PLACED: Final = 16
CANDLE_INTERVALS_S: Final = (60,)
MAX_LISTENERS: Final = 4_096
MAX_TRADES_OF_ORDER: Final = 10_000


class OutcomePlaced(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a client said about an order, beside what the engine was told."""

    key: bytes
    reference: str
    order_type: str
    maker: str
    owner: str


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(OutcomePlaced)


def outcome_note(key: bytes, request: OutcomeRequest) -> tuple[int, int, bytes]:
    """The note of a placement: stream, kind, bytes."""
    placed = OutcomePlaced(key, request.reference, request.order_type, request.maker, request.owner)
    return GATEWAY_STREAM, OUTCOME_PLACED, _ENCODER.encode(placed)


def read_outcome_note(note: Note) -> OutcomePlaced | None:
    """The placement of a note; None for notes of others. Raises `msgspec.DecodeError`."""
    if (note.stream, note.kind) != (GATEWAY_STREAM, OUTCOME_PLACED):
        return None
    return _DECODER.decode(note.payload)


class OutcomeRecord(msgspec.Struct):
    """What is kept of an order beside what the engine's view knows."""

    order_id: int
    account: str
    token: Token
    reference: str
    order_type: str
    maker: str
    owner: str
    trade_ids: list[str] = []


class Hearers:
    """Listeners of one kind of news; one that raises is dropped, and the log goes on."""

    def __init__(self) -> None:
        self._listeners: list[Callable[..., None]] = []

    def add(self, listener: Callable[..., None]) -> Callable[[], None]:
        """How to end it. Raises `ValueError` at `MAX_LISTENERS`."""
        if len(self._listeners) >= MAX_LISTENERS:
            raise ValueError(f"at most {MAX_LISTENERS} listeners")
        self._listeners.append(listener)

        def remove() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return remove

    def tell(self, news: object) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(news)
            except Exception as error:  # noqa: BLE001 - one bad listener must not stop the log
                text = f"{type(error).__name__}: {error}"
                log.error("gateway_listener_failed", name="outcomes", error=text)
                self._listeners.remove(listener)

    def __bool__(self) -> bool:
        return bool(self._listeners)


class OutcomeViews(Projections):
    """Attach `apply` to the exchange's node behind its own views, whose directory of markets is used here."""

    def __init__(self, markets: MarketsView, kept: int, trades_kept: int) -> None:
        self.claims = ClaimsView()
        self.orders = OrdersView(kept, markets=markets, on_forgotten=self._forget)
        self.books = BooksView(markets, tracks_changes=True)
        self.tapes = TradesView(trades_kept, 10_080, CANDLE_INTERVALS_S)
        self.listed: dict[int, ListedOutcome] = {}
        self.accounts: dict[int, str] = {}
        """Engine handle -> name, of everybody whose orders are told."""
        self.records: dict[int, OutcomeRecord] = {}
        self.by_reference: dict[str, int] = {}
        self.trades: dict[str, OrderedDict[str, OutcomeTrade]] = {}
        """Account -> trade id -> trade, oldest first, bounded."""
        self.update_ids: dict[int, int] = {}
        self.on_book = Hearers()
        self.on_trade = Hearers()
        self.on_account: dict[str, Hearers] = {}
        self._kept = kept
        self._placed: dict[bytes, OutcomePlaced] = {}
        super().__init__([self])

    # ---- feeding -------------------------------------------------------------------------------------

    def apply(self, batch: native.Batch) -> None:
        """As `Projections.apply`; changes of the books are told behind the events of the batch."""
        if len(batch.notes):
            for note in decode_notes(batch.notes):
                placed = read_outcome_note(note)
                if placed is not None:
                    self._placed[placed.key] = placed
        super().apply(batch)
        self._placed.clear()
        if self.books.touched:
            self._tell_books(batch.time_ns)

    def on_event(self, event: Event) -> None:
        """Only what belongs to outcome markets goes on."""
        if event.market not in self.listed:
            return
        self.claims.on_event(event)
        self.orders.on_event(event)
        self.books.on_event(event)
        self.tapes.on_event(event)
        if isinstance(event, Trade):
            self._traded(event)
        elif isinstance(event, OrderAccepted):
            self._accepted(event)
        elif isinstance(event, OrderCancelled):
            self._tell(event.order, "ended", event.time_ns)
        elif isinstance(event, SelfTradePrevented):
            self._tell(event.order, "changed", event.time_ns)
            self._tell(event.maker_order, "changed", event.time_ns)
        elif isinstance(event, OrderReplaced):
            self._tell(event.order, "changed", event.time_ns)

    # ---- reading -------------------------------------------------------------------------------------

    def order(self, record: OutcomeRecord) -> OutcomeOrder:
        """An order as it is now."""
        found = self.orders.get(record.order_id)
        assert found is not None, "a record lives as long as its order is kept"
        reason = found.reason
        phase = PHASES[found.status]
        if phase is OrderPhase.PARTIALLY_FILLED and record.order_id not in self.orders.open:
            phase = OrderPhase.CANCELLED
        return OutcomeOrder(
            order_id=record.order_id,
            account=record.account,
            reference=record.reference,
            token=record.token,
            side=Side(found.side),
            price_ticks=found.price,
            lots=found.total_lots,
            filled_lots=found.filled_lots,
            order_type=record.order_type,
            post_only=bool(found.order_flags & 1),
            expires_ns=found.expiry_ns,
            maker=record.maker,
            owner=record.owner,
            phase=phase,
            reason="" if reason is None else CancelReason(reason).name.lower(),
            created_ns=found.accepted_ns,
            updated_ns=found.updated_ns,
            cost=money(found.filled_notional),
            fee=money(found.fees),
            trade_ids=tuple(record.trade_ids),
        )

    def working(self, account: int) -> Iterable[OutcomeOrder]:
        """Working orders of an account by handle, oldest first."""
        for one in self.orders.of_account(account):
            record = self.records.get(one.order)
            if record is not None:
                yield self.order(record)

    # ---- orders --------------------------------------------------------------------------------------

    def _accepted(self, event: OrderAccepted) -> None:
        placed = self._placed.pop(event.client_key, None)
        account = self.accounts.get(event.account)
        if account is None:
            return
        token = self.listed[event.market].tokens[event.outcome]
        record = OutcomeRecord(
            order_id=event.order,
            account=account,
            token=token,
            reference=_own_reference(event.order) if placed is None else placed.reference,
            order_type="GTC" if placed is None else placed.order_type,
            maker="" if placed is None else placed.maker,
            owner="" if placed is None else placed.owner,
            trade_ids=[],
        )
        self.records[event.order] = record
        self.by_reference[record.reference] = event.order
        self._tell(event.order, "placed", event.time_ns)

    def _forget(self, order: engine_orders.Order) -> None:
        record = self.records.pop(order.order, None)
        if record is not None and self.by_reference.get(record.reference) == order.order:
            del self.by_reference[record.reference]

    def _tell(self, order_id: int, what: str, time_ns: int) -> None:
        record = self.records.get(order_id)
        if record is None:
            return
        hearers = self.on_account.get(record.account)
        if hearers:
            ended = order_id not in self.orders.open
            order = self.order(record)
            hearers.tell(OrderNews(order=order, what="ended" if ended else what, time_ns=time_ns))

    # ---- trades --------------------------------------------------------------------------------------

    def _traded(self, event: Trade) -> None:
        market = self.listed[event.market]
        number = self.tapes.tapes[event.market].trade_count
        taker = self._party(event, market, taker=True)
        resting = self._party(event, market, taker=False)
        trade = OutcomeTrade(
            trade_id=_trade_id(market.condition_id, number),
            number=number,
            market=market,
            lots=event.lots,
            kind=TradeKind(event.trade_kind).name.lower(),
            taker=taker,
            resting=resting,
            time_ns=event.time_ns,
        )
        for order_id in (event.order, event.maker_order):
            record = self.records.get(order_id)
            if record is not None and len(record.trade_ids) < MAX_TRADES_OF_ORDER:
                record.trade_ids.append(trade.trade_id)
        for account in dict.fromkeys((taker.account, resting.account)):
            if account:
                self._keep(account, trade)
        self.on_trade.tell(trade)
        for party, role in ((taker, "taker"), (resting, "maker")):
            hearers = self.on_account.get(party.account)
            if hearers:
                hearers.tell(TradeNews(trade=trade, role=role))
        self._tell(event.order, "changed", event.time_ns)
        self._tell(event.maker_order, "changed", event.time_ns)

    def _keep(self, account: str, trade: OutcomeTrade) -> None:
        kept = self.trades.setdefault(account, OrderedDict())
        kept[trade.trade_id] = trade
        if len(kept) > self._kept:
            kept.popitem(last=False)

    def _party(self, event: Trade, market: ListedOutcome, *, taker: bool) -> Party:
        order_id = event.order if taker else event.maker_order
        order = self.orders.get(order_id)
        record = self.records.get(order_id)
        outcome = 0 if order is None else order.outcome
        book_side = event.taker_side if taker else 1 - event.taker_side
        side = Side(book_side if order is None else order.side)
        fee = event.taker_fee if taker else event.maker_fee
        return Party(
            account="" if record is None else record.account,
            reference=_own_reference(order_id) if record is None else record.reference,
            token=market.tokens[outcome],
            side=side,
            price_ticks=market.payout_ticks - event.price if outcome else event.price,
            maker="" if record is None else record.maker,
            owner="" if record is None else record.owner,
            fee=money(fee),
        )

    # ---- books ---------------------------------------------------------------------------------------

    def _tell_books(self, time_ns: int) -> None:
        for handle, bids, asks, number in changed_books(self.books, self.update_ids, self.listed):
            self.on_book.tell(
                TokenChange(
                    market=self.listed[handle],
                    bids=bids,
                    asks=asks,
                    update_id=number,
                    time_ns=time_ns,
                )
            )


def _own_reference(order_id: int) -> str:
    return "0x" + hashlib.blake2b(f"order/{order_id}".encode(), digest_size=32).hexdigest()


def _trade_id(condition_id: str, number: int) -> str:
    digest = hashlib.blake2b(f"trade/{condition_id}/{number}".encode(), digest_size=16).digest()
    return str(uuid.UUID(bytes=digest, version=4))


def shares(micro: int) -> Decimal:
    """Micro-shares as shares."""
    return Decimal(micro).scaleb(-6)
