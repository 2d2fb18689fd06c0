"""Claims on the outcomes of markets: who holds how much, and how many complete sets exist.

Amounts are micro-shares: one micro-share of the winning outcome pays one micro-unit of the quote asset.
"""

from __future__ import annotations

from collections import defaultdict

import msgspec

from tradewind.core.event_types import ClaimsMoved
from tradewind.core.events import Event

POOL = 0xFFFFFFFF
"""Account of what a market's pool holds."""


class Holding(msgspec.Struct, frozen=True):
    """Micro-shares of one sub-account in one outcome; `held` secures its open sell orders."""

    sub: int
    market: int
    outcome: int
    free: int
    held: int


class ClaimsView:
    """Holdings by account, and the supply of every outcome."""

    def __init__(self) -> None:
        self._of_account: defaultdict[int, dict[tuple[int, int, int], Holding]] = defaultdict(dict)
        self._supply: dict[tuple[int, int], int] = {}

    def on_event(self, event: Event) -> None:
        if not isinstance(event, ClaimsMoved):
            return
        key = (event.sub, event.market, event.outcome)
        self._supply[event.market, event.outcome] = event.supply
        holdings = self._of_account[event.account]
        if event.free or event.held:
            holdings[key] = Holding(*key, event.free, event.held)
        else:
            holdings.pop(key, None)

    def holding(self, account: int, market: int, outcome: int, sub: int = 0) -> Holding:
        """What a sub-account (account by handle) holds of an outcome; zero when it holds nothing."""
        key = (sub, market, outcome)
        return self._of_account[account].get(key) or Holding(*key, 0, 0)

    def of_account(self, account: int, market: int | None = None) -> list[Holding]:
        """Holdings of an account by sub-account, market and outcome."""
        holdings = self._of_account[account]
        return [holdings[key] for key in sorted(holdings) if market is None or key[1] == market]

    def supply(self, market: int, outcome: int) -> int:
        """Micro-shares of an outcome that exist, with users and pools."""
        return self._supply.get((market, outcome), 0)

    def sets(self, market: int) -> int:
        """Complete sets outstanding, in micro-shares; before settlement the supply of every outcome."""
        return self.supply(market, 0)
