"""Volumes of 30 days, depths, load and burnt tokens as the log shows them (P8). Micro-units."""

from __future__ import annotations

from typing import Final

from tradewind.core.event_types import (
    BuybackFunded,
    FeeCharged,
    FeeDepthChanged,
    FeeLoadChanged,
    SetFilled,
    TokensBurned,
    Trade,
)
from tradewind.core.events import Event

DAY_NS: Final = 86_400_000_000_000
WINDOW_DAYS: Final = 30


class FeesView:
    """What fees depend on, beside coverage and stakes, and what they bought."""

    def __init__(self) -> None:
        self._days: dict[int, dict[int, int]] = {}
        """Account → day since 1970 → micro-units."""
        self._told: FeeCharged | None = None
        self._legs: list[SetFilled] = []
        """Fills of the set round that was charged, until its last one."""
        self.depth_bp: dict[tuple[int, int], int] = {}
        """(market, outcome) → basis points for its depth."""
        self.load_bp = 0
        self.spent = 0
        self.burnt = 0

    def on_event(self, event: Event) -> None:
        told, self._told = self._told, None
        if isinstance(event, SetFilled):
            self._told = self._set_filled(event, told) if told is not None else None
        elif isinstance(event, FeeCharged):
            if event.counts:
                self._add(event.account, event.base, event.time_ns)
                self._told, self._legs = event, []
        elif isinstance(event, Trade):
            # The fee of a trade stands before it, and counts for the maker, too.
            if told is not None:
                self._add(event.maker_account, told.base, event.time_ns)
        elif isinstance(event, FeeDepthChanged):
            self.depth_bp[(event.market, event.outcome)] = event.bp
        elif isinstance(event, FeeLoadChanged):
            self.load_bp = event.bp
        elif isinstance(event, BuybackFunded):
            self.spent += event.amount
        elif isinstance(event, TokensBurned):
            self.spent -= event.returned
            self.burnt = event.total

    def _set_filled(self, event: SetFilled, told: FeeCharged) -> FeeCharged | None:
        """Every maker of a round has its own cheaper side as volume; what is left to be told of the round."""
        self._legs.append(event)
        if len(self._legs) < event.orders:
            return told
        (_, *makers), whole = self._legs, sum(leg.value for leg in self._legs)
        self._legs = []
        for leg in makers:
            self._add(leg.account, min(leg.value, whole - leg.value), event.time_ns)
        return None

    def _add(self, account: int, amount: int, now_ns: int) -> None:
        days, today = self._days.setdefault(account, {}), now_ns // DAY_NS
        days[today] = days.get(today, 0) + amount
        for day in [day for day in days if day < today - WINDOW_DAYS]:
            del days[day]

    def volume(self, account: int, now_ns: int) -> tuple[int, int]:
        """Of the 30 whole days before a moment, which count for the tier (P8.4), and of the present day."""
        days, today = self._days.get(account, {}), now_ns // DAY_NS
        return sum(days.get(day, 0) for day in range(today - WINDOW_DAYS, today)), days.get(today, 0)
