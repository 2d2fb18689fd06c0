"""A desk with more reasons not to take new risk than its own books: order control, balances, maintenance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .oms import OrderRequest
from .orders import ManagedOrder
from .records import Record
from .venue_desk import NotTrading, VenueDesk

Guard = Callable[[OrderRequest], str]
"""Why this order must not leave now; "" when nothing is against it. Asked right before it is journaled."""


class GuardedDesk(VenueDesk):
    """Asks every guard before an order. Cancels ask nobody."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """See `VenueDesk`."""
        super().__init__(*arguments, **options)
        self.guards: list[Guard] = []

    async def place(self, request: OrderRequest) -> ManagedOrder:
        """See `VenueDesk`."""
        for guard in self.guards:
            refusal = guard(request)
            if refusal:
                raise NotTrading(refusal)
        return await super().place(request)

    async def note(self, record: Record) -> None:
        """Journals what an operator did. Raises `PortStopped`."""
        await self._journal(record)

    async def amend(self, client_id: str, *, price_ticks: int, lots: int) -> ManagedOrder:
        """See `VenueDesk`. A changed order is a new one to the guards."""
        order = self.oms.get(client_id)
        if order is None:
            raise KeyError(client_id)
        intent = order.intent
        request = OrderRequest(
            strategy=intent.strategy, path=intent.path, symbol=intent.symbol, side=intent.side,
            price_ticks=price_ticks, lots=lots, reducing=intent.policy == "resend",
            post_only=intent.post_only, decision_ns=intent.decision_ns,
        )  # fmt: skip
        for guard in self.guards:
            refusal = guard(request)
            if refusal:
                raise NotTrading(refusal)
        return await super().amend(client_id, price_ticks=price_ticks, lots=lots)
