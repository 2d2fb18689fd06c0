"""Listeners of an exchange: called on the loop, in order, exactly once, after durability."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import structlog

from tradewind.node.errors import QueueFull

from .exchange_records import GatewayViews
from .model import AccountEvent, BookChange, PositionMoved, PublicTrade

Heard = TypeVar("Heard")
log = structlog.get_logger("tradewind.gateway")

MAX_LISTENERS: Final = 4_096
"""Listeners of an exchange; a connection has one for each channel and market."""


class Subscription:
    """One listener. It hears nothing more after `close`."""

    def __init__(self, name: str, remove: Callable[[], None]) -> None:
        self.name = name
        self.failure: str | None = None
        """Why the exchange ended it: the listener raised."""
        self._remove: Callable[[], None] | None = remove

    @property
    def active(self) -> bool:
        return self._remove is not None

    def close(self) -> None:
        """Stops at once. May be called twice, and by the listener itself."""
        remove, self._remove = self._remove, None
        if remove is not None:
            remove()

    def fail(self, error: Exception) -> None:
        """A listener that raises must neither stop the log nor hear a stream with a hole."""
        self.failure = f"{type(error).__name__}: {error}"
        log.error("gateway_listener_failed", name=self.name, error=self.failure)
        self.close()


class Streams:
    """Who hears what."""

    def __init__(self, views: GatewayViews) -> None:
        self._views = views
        self._books: dict[str, list[Callable[[BookChange], None]]] = {}
        self._trades: dict[str, list[Callable[[PublicTrade], None]]] = {}
        self.count = 0
        views.on_book = self._on_book
        views.records.on_trade = self._on_trade

    def listen_market(
        self,
        symbol: str,
        on_book: Callable[[BookChange], None] | None,
        on_trade: Callable[[PublicTrade], None] | None,
    ) -> Subscription:
        """Raises `QueueFull` at `MAX_LISTENERS`."""
        undo: list[Callable[[], None]] = []
        subscription = self._new(f"market {symbol}", undo)
        if on_book is not None:
            undo.append(_add(self._books.setdefault(symbol, []), _guarded(on_book, subscription)))
        if on_trade is not None:
            undo.append(_add(self._trades.setdefault(symbol, []), _guarded(on_trade, subscription)))
        return subscription

    def listen_account(self, account: str, on_event: Callable[[AccountEvent], None]) -> Subscription:
        """Raises `QueueFull` at `MAX_LISTENERS`; `KeyError` for an account that there is not."""
        listeners = self._views.records.accounts[account].listeners
        undo: list[Callable[[], None]] = []
        subscription = self._new(f"account {account}", undo)
        undo.append(_add(listeners, _guarded(on_event, subscription)))
        return subscription

    def listen_positions(self, account: str, on_move: Callable[[PositionMoved], None]) -> Subscription:
        """Raises `QueueFull` at `MAX_LISTENERS`."""
        undo: list[Callable[[], None]] = []
        subscription = self._new(f"positions {account}", undo)
        listeners = self._views.positions.listeners.setdefault(account, [])
        undo.append(_add(listeners, _guarded(on_move, subscription)))
        return subscription

    def _new(self, name: str, undo: list[Callable[[], None]]) -> Subscription:
        if self.count >= MAX_LISTENERS:
            raise QueueFull("listeners", self.count + 1, MAX_LISTENERS)
        self.count += 1

        def remove() -> None:
            self.count -= 1
            for step in undo:
                step()

        return Subscription(name, remove)

    def _on_book(self, change: BookChange) -> None:
        for listener in tuple(self._books.get(change.symbol, ())):
            listener(change)

    def _on_trade(self, trade: PublicTrade) -> None:
        for listener in tuple(self._trades.get(trade.symbol, ())):
            listener(trade)


def _add(listeners: list[Callable[[Heard], None]], listener: Callable[[Heard], None]) -> Callable[[], None]:
    listeners.append(listener)
    return lambda: listeners.remove(listener)


def _guarded(listener: Callable[[Heard], None], subscription: Subscription) -> Callable[[Heard], None]:
    def hear(event: Heard) -> None:
        if not subscription.active:
            return
        try:
            listener(event)
        except Exception as error:  # noqa: BLE001 - one bad listener must not stop the log
            subscription.fail(error)

    return hear
