"""Order states (T7.1) and the one function that moves an order between them."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from tradewind.venues.market_data import Side

from .records import Intent


class State(StrEnum):
    """Order states of T7.1."""

    DRAFT = "draft"
    DENIED = "denied"
    JOURNALED = "journaled"
    SENT = "sent"
    UNKNOWN = "unknown"
    REJECTED = "rejected"
    WORKING = "working"
    PARTIALLY_FILLED = "partially_filled"
    CANCEL_PENDING = "cancel_pending"
    AMEND_PENDING = "amend_pending"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    ABANDONED = "abandoned"


TERMINAL = frozenset(
    {State.DENIED, State.REJECTED, State.FILLED, State.CANCELLED, State.EXPIRED, State.ABANDONED}
)
_OPEN = {State.WORKING, State.PARTIALLY_FILLED, State.CANCEL_PENDING, State.AMEND_PENDING}
_ENDS = {State.FILLED, State.CANCELLED, State.EXPIRED}

TRANSITIONS: dict[State, frozenset[State]] = {
    State.DRAFT: frozenset({State.DENIED, State.JOURNALED}),
    State.JOURNALED: frozenset({State.SENT, State.ABANDONED, State.REJECTED, *_OPEN, *_ENDS}),
    State.SENT: frozenset({State.UNKNOWN, State.REJECTED, State.ABANDONED, *_OPEN, *_ENDS}),
    State.UNKNOWN: frozenset({State.SENT, State.REJECTED, State.ABANDONED, *_OPEN, *_ENDS}),
    State.WORKING: frozenset({*_OPEN, *_ENDS}),
    State.PARTIALLY_FILLED: frozenset({*_OPEN, *_ENDS}) - {State.WORKING},
    State.CANCEL_PENDING: frozenset({*_OPEN, *_ENDS}),
    State.AMEND_PENDING: frozenset({*_OPEN, *_ENDS}),
    # A terminal state may still gain late fills: cancelled or expired orders can turn out filled.
    State.CANCELLED: frozenset({State.FILLED}),
    State.EXPIRED: frozenset({State.FILLED}),
    State.ABANDONED: frozenset(),
    State.FILLED: frozenset(),
    State.REJECTED: frozenset(),
    State.DENIED: frozenset(),
}


class IllegalTransition(Exception):
    """A programming error: an order was moved along an edge that T7.1 does not have."""

    code = "IllegalTransition"


class ManagedOrder(msgspec.Struct, kw_only=True):
    """One order of ours through its life. Prices in ticks, quantities in lots of its venue's instrument."""

    intent: Intent
    state: State
    price_ticks: int
    lots: int
    filled_lots: int = 0
    venue_id: str | None = None
    reason: str = ""
    fees: Decimal = Decimal(0)
    updated_ns: int = 0
    late_fills: int = 0
    pending_price_ticks: int | None = None
    pending_lots: int | None = None

    @property
    def client_id(self) -> str:
        """The deterministic client order id."""
        return self.intent.client_id

    @property
    def remaining_lots(self) -> int:
        """Lots that may still fill."""
        return max(0, self.lots - self.filled_lots)

    @property
    def is_terminal(self) -> bool:
        """Whether the order has ended."""
        return self.state in TERMINAL

    @property
    def worst_price_ticks(self) -> int:
        """The least favourable price it may fill at, an amend in flight included."""
        prices = [self.price_ticks]
        if self.pending_price_ticks is not None:
            prices.append(self.pending_price_ticks)
        return max(prices) if self.intent.side is Side.BUY else min(prices)

    @property
    def worst_remaining_lots(self) -> int:
        """Most lots that may still fill, an amend in flight included."""
        return max(self.lots, self.pending_lots or 0) - self.filled_lots

    def move(self, state: State, *, at_ns: int, reason: str = "") -> bool:
        """Change state; False when it is in that state already. Raises `IllegalTransition`."""
        if state is self.state:
            return False
        if state not in TRANSITIONS[self.state]:
            raise IllegalTransition(f"{self.client_id}: {self.state} -> {state}")
        self.state = state
        self.updated_ns = at_ns
        if reason:
            self.reason = reason
        return True

    def settle(self, *, at_ns: int) -> None:
        """The state that follows from the quantities once nothing is pending."""
        self.move(State.PARTIALLY_FILLED if self.filled_lots else State.WORKING, at_ns=at_ns)
