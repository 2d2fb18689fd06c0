"""Leveraged outcome positions as the log shows them: what each holds, owes, and needs (protocol P4.6).

A position's claims and money lie on its pledge, a sub-account of its owner numbered 128 or more. Money and
claims in micro-units.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import msgspec

from tradewind.core.event_types import (
    InterestIndexMoved,
    LoanBridged,
    LoanCharged,
    LoanLiquidated,
    LoanLossCovered,
    LoanMoved,
    LoanOpened,
    OutcomeMarked,
    ParameterSet,
)
from tradewind.core.events import Event

SECOND_NS: Final = 1_000_000_000
DEBT_FREE_NS: Final = 3_600 * SECOND_NS
"""Before its settlement a market has no debt for so long; the ramp towards it takes a day."""
RAMP_NS: Final = 86_400 * SECOND_NS
JUMP_MINIMUM: Final = 180
"""Number of the parameter J_min, in ppm."""
JUMP: Final = Fraction(1, 10)
"""J_min until governance has set another."""
TIERS: Final = ((2, 70), (4, 25), (8, 15), (16, 12), (64, 10))
"""Largest leverage up to so many outcomes (P4.5)."""


class Loan(msgspec.Struct):
    """A position. `taken`: insurance has taken its claims over."""

    account: int
    pledge: int
    sub: int
    market: int
    outcome: int
    debt: int
    short: bool = False
    """It holds every outcome but this one; only of more than two."""
    shares: int = 0
    taken: bool = False
    liquidations: int = 0
    """Sales that the engine has begun because it was below its maintenance margin."""


def maintenance_fraction(outcomes: int, now_ns: int, settle_ns: int, least: Fraction = JUMP) -> Fraction:
    """Maintenance margin over value at a moment (P4.6.2): 1 in the last hour before settlement.

    `least` is J_min.
    """
    left_ns = max(0, settle_ns - DEBT_FREE_NS - now_ns)
    ramp = min(Fraction(1), Fraction(left_ns, RAMP_NS))
    tier = next(tier for most, tier in TIERS if outcomes <= most)
    jump = least + (1 - least) * (1 - ramp)
    return max(1 / (1 + (tier - 1) * ramp), jump) * (1 - ramp / 2)


def liquidation_price(loan: Loan, fraction: Fraction) -> Fraction | None:
    """The mark (of one whole contract) below which the position is sold; None: it is sold at any.

    0 without debt. It rises as settlement comes nearer.
    """
    if loan.debt == 0 or loan.shares == 0:
        return Fraction(0)
    if fraction >= 1:
        return None
    return Fraction(loan.debt, loan.shares) / (1 - fraction)


class LoansView:
    """Open positions by (account, pledge), and the last step of the interest index."""

    def __init__(self) -> None:
        self.open: dict[tuple[int, int], Loan] = {}
        self.interest: InterestIndexMoved | None = None
        self.jump_minimum = JUMP
        self.marks: dict[tuple[int, int], int] = {}
        """Ticks by market and outcome; of two outcomes the first."""

    def on_event(self, event: Event) -> None:
        if isinstance(event, InterestIndexMoved):
            self.interest = event
        elif isinstance(event, ParameterSet):
            if event.parameter == JUMP_MINIMUM:
                self.jump_minimum = Fraction(event.value, 1_000_000)
        elif isinstance(event, OutcomeMarked):
            self.marks[event.market, event.outcome] = event.mark
        elif isinstance(event, LoanOpened):
            self._opened(event)
        elif isinstance(event, LoanMoved):
            self._moved(event)
        elif isinstance(event, LoanCharged | LoanBridged):
            self.open[event.account, event.sub].debt = event.debt
        elif isinstance(event, LoanLiquidated):
            self.open[event.account, event.sub].liquidations += 1
        elif isinstance(event, LoanLossCovered):
            if not event.taken:
                self.open.pop((event.account, event.sub))
                return
            loan = self.open[event.account, event.sub]
            loan.debt, loan.taken = 0, True

    def _opened(self, event: LoanOpened) -> None:
        key = (event.account, event.sub)
        found = self.open.get(key)
        if found is None:
            found = Loan(*key, event.owner_sub, event.market, event.outcome, 0, bool(event.short))
            self.open[key] = found
        found.debt = event.debt

    def _moved(self, event: LoanMoved) -> None:
        key = (event.account, event.sub)
        if event.closed:
            self.open.pop(key)
            return
        self.open[key].debt, self.open[key].shares = event.debt, event.shares

    def of_account(self, account: int) -> list[Loan]:
        """Positions of an account that are its own, by pledge."""
        found = (loan for loan in self.open.values() if loan.account == account and not loan.taken)
        return sorted(found, key=lambda loan: loan.pledge)

    def find(self, account: int, sub: int, market: int, outcome: int, short: bool = False) -> Loan | None:
        """The position of a sub-account in an outcome, or in all but it."""
        wanted = (sub, market, outcome, short)
        own = self.of_account(account)
        found = (loan for loan in own if (loan.sub, loan.market, loan.outcome, loan.short) == wanted)
        return next(found, None)
