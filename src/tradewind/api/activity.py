"""What happens in accounts and books, numbered without gaps: the source of the API's streams.

Numbers are functions of the log, so a client that comes back, even to a node that was started again, says
which one it knows last and hears what followed. Prices in ticks, sizes in lots, money in micro-units.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tradewind.core import event_types as event
from tradewind.core.enums import CancelReason, Line, Side
from tradewind.core.events import Event
from tradewind.node.projections.orders import Order, OrderStatus
from tradewind.node.projections.trades import TapeTrade

if TYPE_CHECKING:
    from tradewind.api.views import PlatformViews

EVENTS_KEPT: Final = 4_096
"""Events of one account that can be heard again."""
FILLS_KEPT: Final = 4_096
ENDED_KEPT: Final = 4_096
"""Ended orders of one account that can be asked for by their key."""
ACCOUNTS_KEPT: Final = 256
"""Accounts whose events are kept: those that moved last. The others keep their numbers only."""
CANCEL_ALL: Final = CancelReason.CANCEL_ALL.name.lower()
_FREE, _HELD = int(Line.FREE), int(Line.HELD)
_ENDED: Final = frozenset({OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.EXPIRED})


class OrderTold(msgspec.Struct, frozen=True, gc=False):
    """An order right behind an event."""

    number: int
    seq: int
    time_ns: int
    sub: int
    market: int
    order: int
    outcome: int
    client_key: bytes
    side: Side
    price: int
    total_lots: int
    filled_lots: int
    remaining_lots: int
    fees: int
    status: OrderStatus
    reason: str | None
    accepted_ns: int
    accepted_seq: int


class FillTold(msgspec.Struct, frozen=True, gc=False):
    """An execution, with its order right behind it. `trade` counts the trades of the market."""

    number: int
    trade: int
    price: int
    lots: int
    fee: int
    maker: bool
    order: OrderTold


class FundsTold(msgspec.Struct, frozen=True, gc=False):
    """An asset of a sub-account behind an event. `moved`: what came from or went to outside of it."""

    number: int
    seq: int
    time_ns: int
    sub: int
    asset: int
    free: int
    held: int
    cause: str
    moved: int


class SwitchTold(msgspec.Struct, frozen=True, gc=False):
    """The dead-man's switch. `deadline_ns` 0: it is off."""

    number: int
    seq: int
    time_ns: int
    deadline_ns: int
    fired: bool


News = OrderTold | FillTold | FundsTold | SwitchTold


class AccountActivity:
    """One account's numbered events, bounded, and who listens."""

    def __init__(self, handle: int) -> None:
        self.handle = handle
        self.number = 0
        """Of the last event."""
        self.events: deque[News] = deque(maxlen=EVENTS_KEPT)
        self.fills: deque[FillTold] = deque(maxlen=FILLS_KEPT)
        self.fills_from = 0
        """Every fill with a higher number is kept."""
        self.fills_since_ns = 0
        """The moment of that number: every later fill is kept."""
        self.ended: OrderedDict[bytes, OrderTold] = OrderedDict()
        self.forgotten_ns = 0
        """Every order that ended later is kept."""
        self.switch_deadline_ns = 0
        self.listeners: list[Callable[[], None]] = []

    @property
    def first(self) -> int:
        """Number of the oldest event that is kept; that of the next one when none is."""
        return self.events[0].number if self.events else self.number + 1

    def after(self, number: int, limit: int) -> Iterator[News]:
        """Events behind a number that is not older than `first - 1`, oldest first."""
        start = number + 1 - self.first
        return islice(self.events, max(0, start), max(0, start) + limit)

    def cancelled_since(self, seq: int | None) -> list[OrderTold]:
        """Orders that a cancel-all ended, from one command (by its sequence) on: the engine cancels many of
        them in continuations of the command.
        """
        found: list[OrderTold] = []
        for one in reversed(self.events):
            told = one.order if isinstance(one, FillTold) else one
            if seq is None or told.seq < seq:
                break
            if isinstance(one, OrderTold) and one.reason == CANCEL_ALL:
                found.append(one)
        return found[::-1]

    def forget(self, now_ns: int) -> None:
        """Drops what is kept; numbers go on."""
        self.events.clear()
        self.fills.clear()
        self.ended.clear()
        self.fills_from, self.fills_since_ns, self.forgotten_ns = self.number, now_ns, now_ns


class ActivityView:
    """A view that stands behind orders, ledger and trades: it tells what they made of the same event."""

    def __init__(self, views: PlatformViews) -> None:
        self._views = views
        self.skipped_owners: set[bytes] = set()
        """Owners whose accounts nobody listens to, such as those that mirror outside markets."""
        self.accounts: dict[int, AccountActivity] = {}
        self.on_trade: Callable[[int, TapeTrade], None] | None = None
        self._skipped: set[int] = set()
        self._recent: OrderedDict[int, None] = OrderedDict()
        one_order: dict[type[Event], Callable[[Any], None]] = dict.fromkeys(_ONE_ORDER, self._changed)
        self._handlers: dict[type[Event], Callable[[Any], None]] = {
            **one_order,
            event.AccountOpened: self._opened,
            event.Trade: self._traded,
            event.SetFilled: self._set_filled,
            event.SelfTradePrevented: self._prevented,
            event.SwitchArmed: self._switched,
            event.SwitchDisarmed: self._switched,
            event.SwitchFired: self._switched,
        }

    def of(self, account: int) -> AccountActivity:
        """One account (by handle)."""
        found = self.accounts.get(account)
        if found is None:
            found = self.accounts[account] = AccountActivity(account)
        return found

    def on_event(self, one: Event) -> None:
        handler = self._handlers.get(type(one))
        if handler is not None:
            handler(one)
        postings = getattr(one, "postings", ())
        if postings:
            self._moved(one, postings)

    # ---- orders ------------------------------------------------------------------------------------

    def _opened(self, one: event.AccountOpened) -> None:
        if one.owner_key in self.skipped_owners:
            self._skipped.add(one.account)

    def _changed(self, one: Event) -> None:
        if one.account not in self._skipped:
            self._tell_order(one, one.order)

    def _prevented(self, one: event.SelfTradePrevented) -> None:
        for number in (one.order, one.maker_order):
            self._tell_order(one, number)

    def _tell_order(self, one: Event, number: int) -> None:
        order = self._views.orders.get(number)
        if order is None or order.account in self._skipped:
            return
        activity = self._next(order.account, one.time_ns)
        told = _told(activity.number, one, order)
        self._keep(activity, told, told)

    # ---- executions --------------------------------------------------------------------------------

    def _traded(self, one: event.Trade) -> None:
        tape = self._views.trades.tape(one.market)
        self._print(one.market)
        for account, number, fee, maker in (
            (one.account, one.order, one.taker_fee, False),
            (one.maker_account, one.maker_order, one.maker_fee, True),
        ):
            if account not in self._skipped:
                order = self._views.orders.get(number)
                if order is not None:
                    price = self._own_price(order, one.price)
                    self._fill(one, order, tape.trade_count, price, one.lots, fee, maker=maker)

    def _set_filled(self, one: event.SetFilled) -> None:
        self._print(one.market)
        order = self._views.orders.get(one.order)
        if one.account in self._skipped or order is None:
            return
        trade = self._views.trades.tape(one.market).trade_count
        self._fill(one, order, trade, one.price, one.lots, one.fee, maker=one.order != one.taker_order)

    def _print(self, market: int) -> None:
        if self.on_trade is not None:
            self.on_trade(market, self._views.trades.tape(market).trades[-1])

    def _own_price(self, order: Order, price: int) -> int:
        market = self._views.markets.by_handle[order.market]
        return market.payout_ticks - price if market.flips(order.outcome) else price

    def _fill(  # noqa: PLR0917 - what an execution is
        self, one: Event, order: Order, trade: int, price: int, lots: int, fee: int, *, maker: bool
    ) -> None:
        activity = self._next(order.account, one.time_ns)
        told = _told(activity.number, one, order)
        fill = FillTold(activity.number, trade, price, lots, fee, maker, told)
        if len(activity.fills) == FILLS_KEPT:
            dropped = activity.fills[0]
            activity.fills_from, activity.fills_since_ns = dropped.number, dropped.order.time_ns
        activity.fills.append(fill)
        self._keep(activity, fill, told)

    # ---- money and the switch ----------------------------------------------------------------------

    def _switched(self, one: event.SwitchArmed | event.SwitchDisarmed | event.SwitchFired) -> None:
        if one.account in self._skipped:
            return
        deadline_ns = one.deadline_ns if isinstance(one, event.SwitchArmed) else 0
        activity = self._next(one.account, one.time_ns)
        activity.switch_deadline_ns = deadline_ns
        fired = isinstance(one, event.SwitchFired)
        self._keep(activity, SwitchTold(activity.number, one.seq, one.time_ns, deadline_ns, fired), None)

    def _moved(self, one: Event, postings: tuple[Any, ...]) -> None:
        moved: dict[tuple[int, int, int], int] = {}
        for posting in postings:
            if posting.line in (_FREE, _HELD) and posting.owner not in self._skipped:
                key = (posting.owner, posting.sub, posting.asset)
                moved[key] = moved.get(key, 0) + posting.amount
        cause = _CAUSES.get(type(one), "") if moved else ""
        ledger = self._views.ledger
        for (account, sub, asset), amount in moved.items():
            activity = self._next(account, one.time_ns)
            told = FundsTold(
                activity.number,
                one.seq,
                one.time_ns,
                sub,
                asset,
                ledger.line(account, asset, _FREE, sub),
                ledger.line(account, asset, _HELD, sub),
                cause,
                amount if cause else 0,
            )
            self._keep(activity, told, None)

    # ---- keeping -----------------------------------------------------------------------------------

    def _next(self, account: int, now_ns: int) -> AccountActivity:
        activity = self.of(account)
        activity.number += 1
        self._recent[account] = None
        self._recent.move_to_end(account)
        if len(self._recent) > ACCOUNTS_KEPT:
            oldest, _ = self._recent.popitem(last=False)
            self.accounts[oldest].forget(now_ns)
        return activity

    @staticmethod
    def _keep(activity: AccountActivity, news: News, order: OrderTold | None) -> None:
        activity.events.append(news)
        if order is not None and order.status in _ENDED:
            activity.ended[order.client_key] = order
            activity.ended.move_to_end(order.client_key)
            if len(activity.ended) > ENDED_KEPT:
                _, dropped = activity.ended.popitem(last=False)
                activity.forgotten_ns = dropped.time_ns
        for listener in tuple(activity.listeners):
            listener()


def _told(number: int, one: Event, order: Order) -> OrderTold:
    return OrderTold(
        number,
        one.seq,
        one.time_ns,
        order.sub,
        order.market,
        order.order,
        order.outcome,
        order.client_key,
        order.side,
        order.price,
        order.total_lots,
        order.filled_lots,
        order.remaining_lots,
        order.fees,
        order.status,
        None if order.reason is None else order.reason.name.lower(),
        order.accepted_ns,
        order.accepted_seq,
    )


_ONE_ORDER: Final[tuple[type[Event], ...]] = (
    event.OrderAccepted,
    event.TriggerPlaced,
    event.TwapPlaced,
    event.OrderActivated,
    event.OrderReplaced,
    event.OrderResized,
    event.OrderCancelled,
    event.SliceEnded,
)
_CAUSES: Final[dict[type[Event], str]] = {
    event.Deposited: "deposit",
    event.WithdrawalQueued: "withdrawal",
    event.WithdrawalCancelled: "withdrawal",
    event.WithdrawalReturned: "withdrawal",
    event.Transferred: "transfer",
}
"""Movements over the edge of a sub-account that are no trade."""


class BookMoved(msgspec.Struct, frozen=True, gc=False):
    """Levels of a market's book (outcome 0) that changed in one block: (price, lots now), best first."""

    market: int
    number: int
    seq: int
    time_ns: int
    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]


class MarketChanges:
    """Changes of books, numbered without gaps in every market, and who listens to books and trades."""

    def __init__(self, views: PlatformViews) -> None:
        self._views = views
        self.numbers: dict[int, int] = {}
        self.on_book: dict[int, list[Callable[[BookMoved], None]]] = {}
        self.on_trade: dict[int, list[Callable[[TapeTrade], None]]] = {}

    def publish(self, seq: int, time_ns: int) -> None:
        """Tells what a block changed."""
        books = self._views.books
        for market in sorted(books.touched):
            book = books.books.get(market)
            bids, asks = ([], []) if book is None else book.take_changes()
            if not (bids or asks):
                continue
            number = self.numbers[market] = self.numbers.get(market, 0) + 1
            listeners = self.on_book.get(market)
            if listeners:
                moved = BookMoved(market, number, seq, time_ns, bids, asks)
                for listener in tuple(listeners):
                    listener(moved)
        books.touched.clear()

    def printed(self, market: int, trade: TapeTrade) -> None:
        """Tells a trade."""
        for listener in tuple(self.on_trade.get(market, ())):
            listener(trade)
