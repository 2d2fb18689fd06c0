"""A desk whose ledger begins with, and whose new risk is sized from, known balances alone (T9.4)."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any, Final

from tradewind.venues.market_data import Side
from tradewind.venues.protocol import Balance, Incomplete

from .balances import BalanceLimits, BalanceService, Tier
from .guarded_desk import GuardedDesk
from .reconcile import Difference
from .venue_books import OpeningRefused
from .venue_fills import Block

AGAIN_S: Final = 0.5
FIRST_S: Final = 4.5
"""A start decides within this: balances of the stream, of a snapshot, or none and no new risk."""


class BalancedDesk(GuardedDesk):
    """`start` never ends for want of balances: it begins without new risk, and goes on when they come."""

    limits = BalanceLimits()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """See `VenueDesk`; the venue is a `BalanceSource`."""
        super().__init__(*arguments, **options)
        self.balances = BalanceService(
            self.venue,  # type: ignore[arg-type]  # every connector tells what its stream has told
            self._totals_of_ledger,
            self._pays,
            limits=self.limits,
        )
        self.guards.append(self.balances.refusal)

    def _totals_of_ledger(self) -> dict[str, Decimal]:
        return {asset: self.ledger.total(asset) for asset in self.ledger.assets()}

    def _pays(self, symbol: str, side: Side) -> str:
        instrument = self.oms.instruments[symbol]
        return instrument.quote if side is Side.BUY else instrument.base

    async def first_balances(self) -> list[Balance] | Incomplete:
        """See `VenueBooks`."""
        return await self.balances.known(FIRST_S)

    async def start(self) -> list[Difference]:
        """See `VenueDesk`. Without balances it is blocked, and begins when there are some."""
        self._spawn(self.balances.run(), "balances")
        if self.opening is None and isinstance(await self.first_balances(), Incomplete):
            why = f"balances are not known: {self.balances.reason}"
            self._block(why, Block.START)
            self._spawn(self._start_later(), "late start")
            return [Difference(what="balances", ours="known", theirs=self.balances.reason)]
        return await super().start()

    async def _start_later(self) -> None:
        while self.balances.tier is Tier.NONE:  # noqa: ASYNC110 the service tells one waiter only
            await asyncio.sleep(AGAIN_S)
        try:
            await super().start()
        except OpeningRefused as refused:
            self._block(str(refused), Block.START)
            await asyncio.sleep(AGAIN_S)
            self._spawn(self._start_later(), "late start")
