"""The vault and coverage as the log shows them. Money and shares in micro-units."""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

from tradewind.core.enums import NO_MARKET
from tradewind.core.event_types import (
    CoverageStateChanged,
    InsuranceWeekEnded,
    LeverageCapChanged,
    ManagementFeeTaken,
    RiskUpdated,
    StageChanged,
    VaultCohortServed,
    VaultDeposited,
    VaultEpochStarted,
    VaultExitQueued,
    VaultExitServed,
    WorstCaseChanged,
)
from tradewind.core.events import Event

STATES: Final = ("NORMAL", "WARNING", "CRITICAL", "HALT")
STAGES: Final = ("BOOTSTRAP", "NEARING", "MINIMUM_VIABLE", "FULL", "DEGRADED")
TERMS: Final = ("market maximum", "outcome tier", "coverage", "coverage ladder", "stage")
NO_CAP: Final = 0xFFFFFFFF
PLATFORM_BUCKET: Final = 0xFFFFFFFF
DAY_NS: Final = 86_400 * 1_000_000_000
MAX_DAYS: Final = 1_000
"""Days whose result the view remembers."""
VIRTUAL: Final = 1_000_000
PPB: Final = 1_000_000_000


class ExitTicket(msgspec.Struct):
    """Shares of one account that leave at one cut-off."""

    ticket: int
    account: int
    sub: int
    shares: int
    cutoff_ns: int
    collected: int = 0


class Cohort(msgspec.Struct):
    """The tickets of one cut-off: all shares, those not paid yet, and what was paid for the others."""

    shares: int = 0
    unserved: int = 0
    paid: int = 0
    collected: int = 0
    tickets: int = 0


class WorstCase(msgspec.Struct, frozen=True):
    """What could be lost in one market."""

    bucket: int
    amount: int


class VaultView:
    """Everything that is published of the vault; its money is in the ledger's view."""

    def __init__(self) -> None:
        self.shares: dict[int, int] = {}
        """Free shares by account handle."""
        self.supply = 0
        self.tickets: dict[int, ExitTicket] = {}
        self.cohorts: dict[int, Cohort] = {}
        """By cut-off in ns, in the order in which they are served."""
        self.worst_cases: dict[int, WorstCase] = {}
        self.correlations: dict[int, int] = {}
        """Published correlation in ppm by bucket; `PLATFORM_BUCKET` over the buckets."""
        self.at_risk = 0
        """S of the platform."""
        self.state = 0
        self.stage = 0
        self.leverage_cap_e2 = NO_CAP
        self.leverage_term = 0
        self.epoch_ns = 0
        self.epoch_nav = 0
        self.performance_fees = 0
        self.management_fees = 0
        self.returning = 0
        """What insurance has set aside for the vault: not yet in its value."""
        self.returned = 0
        self.daily_losses_ppb: deque[int] = deque(maxlen=MAX_DAYS)
        """By how much a share lost from one day to the next before fees, below 0 where it gained."""
        self._day: tuple[int, int, int] | None = None
        """The last epoch: its start, value and shares."""

    def on_event(self, event: Event) -> None:
        if isinstance(event, VaultDeposited):
            self.shares[event.account] = event.held_shares
            self.supply = event.supply
        elif isinstance(event, VaultExitQueued):
            self._queued(event)
        elif isinstance(event, VaultCohortServed):
            cohort = self.cohorts[event.cutoff_ns]
            cohort.unserved, self.supply = event.unserved, event.supply
            cohort.paid += event.amount
        elif isinstance(event, VaultExitServed):
            self._collected(event)
        elif isinstance(event, VaultEpochStarted):
            self._day_over(event)
        elif isinstance(event, ManagementFeeTaken):
            self.management_fees += event.amount
        elif isinstance(event, InsuranceWeekEnded):
            self.returning = event.set_aside
            self.returned += event.released
        else:
            self._covered(event)

    def _day_over(self, event: VaultEpochStarted) -> None:
        """Counts the day, unless epochs are missing; a vault without shares has no result."""
        self.epoch_ns, self.epoch_nav = event.epoch_ns, event.nav
        self.performance_fees += event.performance_fee
        last, self._day = self._day, (event.epoch_ns, event.nav, event.supply)
        if last is None or event.epoch_ns - last[0] != DAY_NS or not last[2] or not event.supply:
            return
        # In units of 1/(both supplies): prices of a share before and behind the day.
        before = (last[1] + VIRTUAL) * (event.supply + VIRTUAL)
        behind = (event.nav + event.performance_fee + VIRTUAL) * (last[2] + VIRTUAL)
        self.daily_losses_ppb.append((before - behind) * PPB // before)

    def _covered(self, event: Event) -> None:
        if isinstance(event, WorstCaseChanged):
            self.worst_cases.pop(event.market, None)
            if event.worst_case and event.market != NO_MARKET:
                self.worst_cases[event.market] = WorstCase(event.bucket, event.worst_case)
            self.at_risk = event.at_risk
        elif isinstance(event, RiskUpdated):
            self.correlations[event.bucket] = event.rho_ppm
            self.at_risk = event.at_risk
        elif isinstance(event, CoverageStateChanged):
            self.state = event.state
        elif isinstance(event, StageChanged):
            self.stage = event.state
        elif isinstance(event, LeverageCapChanged):
            self.leverage_cap_e2, self.leverage_term = event.cap_e2, event.term

    def _queued(self, event: VaultExitQueued) -> None:
        cohort = self.cohorts.setdefault(event.cutoff_ns, Cohort())
        cohort.tickets += event.ticket not in self.tickets
        cohort.shares += event.shares
        cohort.unserved += event.shares
        self.tickets[event.ticket] = ExitTicket(
            event.ticket, event.account, event.sub, event.ticket_shares, event.cutoff_ns
        )
        if event.held_shares:
            self.shares[event.account] = event.held_shares
        else:
            self.shares.pop(event.account, None)

    def _collected(self, event: VaultExitServed) -> None:
        cohort = self.cohorts[event.cutoff_ns]
        cohort.collected += event.amount
        self.tickets[event.ticket].collected = event.collected
        if event.closed:
            del self.tickets[event.ticket]
            cohort.tickets -= 1
            if not cohort.tickets:
                del self.cohorts[event.cutoff_ns]

    def entitled(self, ticket: ExitTicket) -> int:
        """What a ticket could collect now."""
        cohort = self.cohorts[ticket.cutoff_ns]
        return ticket.shares * cohort.paid // cohort.shares - ticket.collected
