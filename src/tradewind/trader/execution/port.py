"""What the execution desk needs of the trader and of the market; tests give it a small world instead."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Protocol

from tradewind.venues.market_data import FeedEvent
from tradewind.venues.protocol import FillEvent

from ..orders import ManagedOrder
from ..records import Record
from ..risk.check import Denied, Path
from ..strategy import CancelIntent, PlaceIntent
from .algorithms import Market
from .records import Mark, Scale

Verdict = Callable[[list[Denied], str | None], None]


class Host(Protocol):
    """The trader's service, as far as the desk uses it (see the hooks in `TraderService`)."""

    on_second: list[Callable[[int], None]]
    on_fill_hooks: list[Callable[[ManagedOrder, FillEvent], None]]
    on_order_hooks: list[Callable[[ManagedOrder], None]]
    on_market_hooks: list[Callable[[FeedEvent], None]]
    fold_hooks: list[Callable[[Record], None]]

    def record(self, *records: Record) -> None:
        """Append to the next journal block."""

    def wish(
        self,
        strategy: str,
        path: Path,
        intent: PlaceIntent | CancelIntent,
        verdict: Verdict | None = None,
    ) -> None:
        """Put an intent before risk; `verdict` hears the denials, or the client id."""


class MarketView(Protocol):
    """Facts of symbols and orders, read only."""

    @property
    def prints_own(self) -> bool:
        """Whether the venue's public trades contain our own, under the ids of our fills."""

    @property
    def running(self) -> bool:
        """Whether the trader trades: before its start and after its stop nothing new begins."""

    def now_ns(self) -> int:
        """The trader's clock."""

    def scale(self, symbol: str) -> Scale | None:
        """Facts of an instrument; None for a symbol that is not traded."""

    def market(self, symbol: str, strategy: str) -> Market:
        """The market now, and the trading state of the strategy and the symbol."""

    def mark(self, symbol: str) -> Mark | None:
        """Best bid and ask of a live book, else None."""

    def position_lots(self, symbol: str) -> int:
        """What is held."""

    def order(self, client_id: str) -> ManagedOrder | None:
        """An order by its id."""

    def recent_fills(self) -> Iterable[FillEvent]:
        """The account's last executions, oldest first, those of a recovery included."""

    def fee_bps(self, symbol: str) -> tuple[Decimal, Decimal]:
        """Maker and taker fee, in basis points."""

    def denials(self, strategy: str, intent: PlaceIntent) -> list[Denied]:
        """What risk says to an order of this size, without placing it."""

    def quotes(self, strategy: str) -> bool:
        """Whether a strategy lives from quoting: its single orders are not analysed."""

    def halt(self, strategy: str, reason: str) -> None:
        """Halt one strategy (T11.9)."""

    def alarm(self, text: str) -> None:
        """Tell an operator."""
