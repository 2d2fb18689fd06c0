"""Verse credits as the log shows them: what is available, what each market locks (protocol P15.10).

A credit's money and claims lie on a sub-account of its owner numbered 240 or more. Amounts in micro-units.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tradewind.core.event_types import ClaimsMoved, CreditLocked, CreditMoved, CreditReleased, CreditStaged
from tradewind.core.events import Event

FIRST_CREDIT: Final = 240


class StagedLeg(msgspec.Struct):
    """A leg that waits for the command that locks it. `price` in ticks."""

    market: int
    outcome: int
    side: int
    price: int
    lots: int


class Credit(msgspec.Struct):
    """Money of one account for the markets of one verse; `available + locked = total`."""

    account: int
    sub: int
    verse: int
    asset: int
    available: int = 0
    locked: int = 0
    total: int = 0
    outlays: dict[int, int] = msgspec.field(default_factory=dict)
    """What each market with claims locks."""
    claims: dict[tuple[int, int], int] = msgspec.field(default_factory=dict)
    """Micro-shares by market and outcome."""
    staged: list[StagedLeg] = msgspec.field(default_factory=list)

    def holds(self, market: int) -> bool:
        return any(key[0] == market for key in self.claims)


class CreditsView:
    """Open credits by (account, sub-account)."""

    def __init__(self) -> None:
        self.open: dict[tuple[int, int], Credit] = {}

    def on_event(self, event: Event) -> None:
        if isinstance(event, CreditMoved):
            self._moved(event)
        elif isinstance(event, CreditLocked | CreditReleased):
            self._changed(event)
        elif isinstance(event, CreditStaged):
            self._staged(event)
        elif isinstance(event, ClaimsMoved) and event.sub >= FIRST_CREDIT:
            self._held(event)

    def _moved(self, event: CreditMoved) -> None:
        key = (event.account, event.sub)
        if event.closed:
            self.open.pop(key)
            return
        credit = self.open.setdefault(key, Credit(*key, event.verse, event.asset))
        credit.available, credit.locked, credit.total = event.available, event.locked, event.total

    def _changed(self, event: CreditLocked | CreditReleased) -> None:
        credit = self.open[event.account, event.sub]
        credit.available, credit.locked, credit.total = event.available, event.locked, event.total
        # Claims that are handed over leave with the events behind this one.
        if credit.holds(event.market):
            credit.outlays[event.market] = event.outlay
        else:
            credit.outlays.pop(event.market, None)
        if event.unstaged:
            credit.staged.clear()

    def _staged(self, event: CreditStaged) -> None:
        credit = self.open[event.account, event.sub]
        legs = [
            StagedLeg(event.market_1, event.outcome_1, event.side_1, event.price_1, event.lots_1),
            StagedLeg(event.market_2, event.outcome_2, event.side_2, event.price_2, event.lots_2),
            StagedLeg(event.market_3, event.outcome_3, event.side_3, event.price_3, event.lots_3),
        ]
        credit.staged = credit.staged[: event.staged] + legs[: event.count]

    def _held(self, event: ClaimsMoved) -> None:
        credit = self.open[event.account, event.sub]
        key = (event.market, event.outcome)
        if event.free or event.held:
            credit.claims[key] = event.free + event.held
            return
        credit.claims.pop(key, None)
        if credit.outlays.get(event.market) == 0 and not credit.holds(event.market):
            credit.outlays.pop(event.market)

    def of_account(self, account: int) -> list[Credit]:
        """Credits of an account, by their numbers."""
        return sorted((one for one in self.open.values() if one.account == account), key=lambda one: one.sub)

    def find(self, account: int, verse: int) -> Credit | None:
        """The credit of an account in a verse."""
        return next((one for one in self.of_account(account) if one.verse == verse), None)
