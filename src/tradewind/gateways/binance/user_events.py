"""Events of an account as the venue writes them, and the listener that keeps what the wire alone knows."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, Protocol

import msgspec

from tradewind.gateways.exchange import Subscription
from tradewind.gateways.model import AccountEvent, Fill, FundsChanged, Order, OrderChanged
from tradewind.venues.protocol import FINAL_PHASES

from .calls import Venue
from .lists import OrderList
from .replies import (
    SIDE_NAMES,
    TIF_NAMES,
    Remembered,
    Time,
    client_id_of,
    quote_quantity,
    status_of,
    type_of,
    waits,
    working_ns,
)
from .symbols import STP_MODES, TRIGGERED, Symbol
from .text import ZERO, decimal_text

MAX_WATCHERS: Final = 1_000
"""Subscriptions of one account."""
MOVES: Final = frozenset({"deposit", "withdrawal", "transfer"})
KIND: Final = {
    "new": "NEW",
    "triggered": "NEW",
    "amended": "REPLACED",
    "fill": "TRADE",
    "filled": "TRADE",
    "cancelled": "CANCELED",
    "expired": "EXPIRED",
    "rejected": "REJECTED",
}

Event = Callable[[Time], dict[str, Any]]
"""An event, given the time unit of the one who hears it."""


class Watcher(Protocol):
    """Somebody who hears an account."""

    def hear(self, kind: str, event: Event) -> None:
        """The event's type and the event."""

    def broken(self) -> None:
        """There is a hole in what was heard; nothing more comes."""


def execution_type(changed: OrderChanged, status: str) -> str:
    """`x`: what the venue did by itself is EXPIRED, a self-trade TRADE_PREVENTION."""
    if changed.what == "cancelled" and status != "CANCELED":
        return "TRADE_PREVENTION" if status == "EXPIRED_IN_MATCH" else "EXPIRED"
    return KIND[changed.what]


def execution_report(
    changed: OrderChanged, symbol: Symbol, entry: Remembered | None, now_ns: int, time: Time
) -> dict[str, Any]:
    """The full event of one change of an order."""
    order, fill = changed.order, changed.fill
    status = status_of(order, entry)
    kind = execution_type(changed, status)
    name = client_id_of(order, entry)
    original = ""
    if kind == "CANCELED" and entry is not None and entry.cancel_id:
        name, original = entry.cancel_id, name
    extras = entry.extras if entry is not None else None
    since_ns = working_ns(order, entry)
    report: dict[str, Any] = {
        "e": "executionReport",
        "E": time(now_ns),
        "s": symbol.name,
        "c": name,
        "S": SIDE_NAMES[order.side],
        "o": type_of(order, entry),
        "f": TIF_NAMES[order.time_in_force],
        "q": symbol.quantity(order.lots),
        "p": symbol.price(order.price_ticks),
        "P": symbol.price(order.trigger_ticks),
        "F": symbol.quantity(order.display_lots),
        "g": entry.list_id if entry is not None else -1,
        "C": original,
        "x": kind,
        "X": status,
        "r": "NONE",
        "i": order.order_id,
        **_execution(order, fill, symbol, time),
        "I": changed.sequence,
        "w": order.phase not in FINAL_PHASES and not waits(order),
        "m": fill.maker if fill is not None else False,
        "M": False,
        "O": time(order.created_ns),
        "Z": decimal_text(order.cost),
        "Y": decimal_text(fill.cost) if fill is not None else ZERO,
        "Q": decimal_text(quote_quantity(entry)),
    }
    if extras is not None and extras.strategy_id is not None:
        report["j"] = extras.strategy_id
    if extras is not None and extras.strategy_type is not None:
        report["J"] = extras.strategy_type
    if since_ns >= 0:
        report["W"] = time(since_ns)
    report["V"] = STP_MODES[order.self_trade]
    return report


def _execution(order: Order, fill: Fill | None, symbol: Symbol, time: Time) -> dict[str, Any]:
    filled = symbol.quantity(order.filled_lots)
    if fill is None:
        return {
            "l": ZERO,
            "z": filled,
            "L": ZERO,
            "n": "0",
            "N": None,
            "T": time(order.updated_ns),
            "t": -1,
        }
    return {
        "l": symbol.quantity(fill.lots),
        "z": filled,
        "L": symbol.price(fill.price_ticks),
        "n": decimal_text(fill.fee),
        "N": fill.fee_asset,
        "T": time(fill.time_ns),
        "t": fill.trade_id,
    }


def account_position(changed: FundsChanged, now_ns: int, time: Time) -> dict[str, Any]:
    """Balances behind a change."""
    return {
        "e": "outboundAccountPosition",
        "E": time(now_ns),
        "u": time(changed.time_ns),
        "B": [
            {"a": one.asset, "f": decimal_text(one.free), "l": decimal_text(one.held)}
            for one in changed.funds
        ],
    }


def balance_update(asset: str, delta: Decimal, at_ns: int, now_ns: int, time: Time) -> dict[str, Any]:
    """A deposit, withdrawal or transfer."""
    sign = "-" if delta < 0 else ""
    return {
        "e": "balanceUpdate",
        "E": time(now_ns),
        "a": asset,
        "d": sign + decimal_text(abs(delta)),
        "T": time(at_ns),
    }


def list_status(pair: OrderList, now_ns: int, time: Time) -> dict[str, Any]:
    """A pair was placed or has ended."""
    word = "ALL_DONE" if pair.done else "EXEC_STARTED"
    return {
        "e": "listStatus",
        "E": time(now_ns),
        "s": pair.symbol,
        "g": pair.list_id,
        "c": "OCO",
        "l": word,
        "L": "ALL_DONE" if pair.done else "EXECUTING",
        "r": "NONE",
        "C": pair.client_id,
        "T": time(pair.time_ns),
        "O": [{"s": pair.symbol, "i": number, "c": name} for number, name in pair.legs],
    }


class AccountWatch:
    """Listens to one account for as long as the gateway runs."""

    def __init__(self, venue: Venue, account: str) -> None:
        self._venue = venue
        self.account = account
        self._watchers: list[Watcher] = []
        self._totals = {one.asset: one.free + one.held for one in venue.exchange.funds(account)}
        self._subscription: Subscription = venue.exchange.listen_account(account, self._on_event)

    def close(self) -> None:
        self._subscription.close()
        self._watchers.clear()

    @property
    def failed(self) -> bool:
        """Whether the exchange ended the listening: its stream would have a hole."""
        return not self._subscription.active

    def add(self, watcher: Watcher) -> Callable[[], None]:
        """Hears every event from now on, until the returned function is called.

        Raises:
            OverflowError: too many watchers.
        """
        if len(self._watchers) >= MAX_WATCHERS:
            raise OverflowError(f"{MAX_WATCHERS} subscriptions of one account")
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher) if watcher in self._watchers else None

    def tell(self, kind: str, event: Event) -> None:
        for watcher in tuple(self._watchers):
            watcher.hear(kind, event)

    def _on_event(self, event: AccountEvent) -> None:
        try:
            if isinstance(event, OrderChanged):
                self._order(event)
            else:
                self._funds(event)
        except Exception:
            # the exchange ends the listening: whoever heard until here must know that
            watchers, self._watchers = self._watchers, []
            for watcher in watchers:
                watcher.broken()
            raise

    def _order(self, changed: OrderChanged) -> None:
        order, memory = changed.order, self._venue.memory
        if changed.what == "new":
            memory.adopt(self.account, order.client_id, order.order_id)
            if order.kind in TRIGGERED and not order.waiting:
                # the engine says first that it took the order, then that the order waits
                order = msgspec.structs.replace(order, waiting=True)
                changed = msgspec.structs.replace(changed, order=order)
        if changed.fill is not None and changed.fill.lots == order.filled_lots:
            self._venue.usage.filled(self.account, changed.fill.maker, changed.fill.time_ns)
        if changed.what == "triggered":
            memory.about(order.order_id).working_ns = order.updated_ns
        elif changed.what == "amended":
            memory.rename(self.account, order.order_id)
        symbol = self._venue.symbols.of_canonical(order.symbol)
        if symbol is None:
            return
        entry = memory.of(order.order_id)
        self._tell_order(changed, symbol, entry)
        if order.phase in FINAL_PHASES and entry is not None and entry.list_id >= 0:
            self._leg_ended(entry.list_id)

    def _tell_order(self, changed: OrderChanged, symbol: Symbol, entry: Remembered | None) -> None:
        now_ns = self._venue.exchange.now_ns()
        if self._watchers:
            # the name of a cancel may change before somebody with another time unit asks
            reports: dict[int, dict[str, Any]] = {}

            def report(time: Time) -> dict[str, Any]:
                unit = time(1_000_000)
                if unit not in reports:
                    reports[unit] = execution_report(changed, symbol, entry, now_ns, time)
                return reports[unit]

            self.tell("executionReport", report)

    def _leg_ended(self, list_id: int) -> None:
        pair = self._venue.lists.find(self.account, list_id, None)
        if pair is None or pair.done:
            return
        legs = [self._venue.exchange.order(self.account, order_id=number) for number, _ in pair.legs]
        if any(leg is not None and leg.phase not in FINAL_PHASES for leg in legs):
            return
        pair.done = True
        self.tell_list(pair)

    def tell_list(self, pair: OrderList) -> None:
        """Says how a pair stands."""
        now_ns = self._venue.exchange.now_ns()
        if self._watchers:
            self.tell("listStatus", lambda time: list_status(pair, now_ns, time))

    def _funds(self, changed: FundsChanged) -> None:
        now_ns = self._venue.exchange.now_ns()
        moves = changed.cause in MOVES
        for one in changed.funds:
            before, total = self._totals.get(one.asset, Decimal(0)), one.free + one.held
            self._totals[one.asset] = total
            if moves and self._watchers and total != before:
                self._move(one.asset, total - before, changed.time_ns, now_ns)
        if self._watchers:
            self.tell("outboundAccountPosition", lambda time: account_position(changed, now_ns, time))

    def _move(self, asset: str, delta: Decimal, at_ns: int, now_ns: int) -> None:
        self.tell("balanceUpdate", lambda time: balance_update(asset, delta, at_ns, now_ns, time))


class Watches:
    """The watches of a gateway, one an account that has sent a request."""

    def __init__(self, venue: Venue, kind: type[AccountWatch] = AccountWatch) -> None:
        self._venue = venue
        self._kind = kind
        self._by_account: dict[str, AccountWatch] = {}

    def of(self, account: str) -> AccountWatch:
        """Raises `UnknownName` (a KeyError) for an account that the exchange does not have."""
        watch = self._by_account.get(account)
        if watch is None or watch.failed:
            watch = self._by_account[account] = self._kind(self._venue, account)
        return watch

    def close(self) -> None:
        for watch in self._by_account.values():
            watch.close()
        self._by_account.clear()
