"""What the ecosystem pool gives to begin with: grants, and depositors by units × time (P11.7, P9.11)."""

from __future__ import annotations

from typing import Final

import msgspec

from tradewind.core.event_types import BootstrapClaimed, LaunchGranted, VaultDeposited, VaultExitQueued
from tradewind.core.events import Event

BOOTSTRAP_S: Final = 15_552_000
"""Seconds from the first deposit on in which deposits earn."""
BOOTSTRAP_POOL: Final = 2_000_000_000_000
SECOND_NS: Final = 1_000_000_000


class Depositor(msgspec.Struct):
    """Units, and units × seconds until `since_s`; micro-tokens claimed."""

    units: int = 0
    points: int = 0
    since_s: int = 0
    claimed: int = 0

    def points_at(self, now_s: int) -> int:
        """Units × seconds until a moment."""
        return self.points + self.units * max(now_s - self.since_s, 0)


class LaunchView:
    """Grants and depositors by account handle."""

    def __init__(self) -> None:
        self.grants: dict[int, int] = {}
        self.depositors: dict[int, Depositor] = {}
        self.start_s: int | None = None

    def on_event(self, event: Event) -> None:
        if isinstance(event, LaunchGranted):
            self.grants[event.account] = event.amount
        elif isinstance(event, BootstrapClaimed):
            self.depositors[event.account].claimed = event.claimed
        elif isinstance(event, VaultDeposited):
            if self.start_s is None:
                self.start_s = event.time_ns // SECOND_NS
            if event.time_ns // SECOND_NS < self.start_s + BOOTSTRAP_S:
                one = self._at(event.account, event.time_ns)
                one.units += event.reward_units
        elif isinstance(event, VaultExitQueued) and event.account in self.depositors:
            one = self._at(event.account, event.time_ns)
            held = event.held_shares + event.shares
            one.units = one.units * event.held_shares // held

    def _now_s(self, now_ns: int) -> int:
        return min(now_ns // SECOND_NS, (self.start_s or 0) + BOOTSTRAP_S)

    def _at(self, account: int, now_ns: int) -> Depositor:
        one = self.depositors.setdefault(account, Depositor())
        now_s = self._now_s(now_ns)
        one.points, one.since_s = one.points_at(now_s), max(one.since_s, now_s)
        return one

    def share(self, account: int, now_ns: int) -> int:
        """Micro-tokens that an account would have if the time were over now; final at its end."""
        now_s = self._now_s(now_ns)
        total = sum(one.points_at(now_s) for one in self.depositors.values())
        one = self.depositors.get(account)
        return BOOTSTRAP_POOL * one.points_at(now_s) // total if one and total else 0

    def end_ns(self) -> int | None:
        """When the reward can be claimed."""
        return None if self.start_s is None else (self.start_s + BOOTSTRAP_S) * SECOND_NS
