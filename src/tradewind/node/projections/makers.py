"""Rewards of makers as the log shows them: rewarded books, the last hour, claimable amounts. Micro-units."""

from __future__ import annotations

from tradewind.core.event_types import (
    MakerRewarded,
    MakerRewardsClaimed,
    MarketRewarded,
    RewardHourClosed,
)
from tradewind.core.events import Event

SHIFT = 64


class MakersView:
    """Books by (market, outcome); rows of the last hour; claimable amounts by account and asset."""

    def __init__(self) -> None:
        self.books: set[tuple[int, int]] = set()
        self.hour: RewardHourClosed | None = None
        self.rows: list[MakerRewarded] = []
        self.owed: dict[int, dict[int, int]] = {}
        self.paid: dict[int, int] = {}

    def on_event(self, event: Event) -> None:
        if isinstance(event, RewardHourClosed):
            self.hour, self.rows = event, []
        elif isinstance(event, MakerRewarded):
            self.rows.append(event)
            for asset, amount in ((event.token, event.by_score + event.by_volume), (event.quote, event.fund)):
                if amount:
                    of_account = self.owed.setdefault(event.account, {})
                    of_account[asset] = of_account.get(asset, 0) + amount
        elif isinstance(event, MakerRewardsClaimed):
            self.owed.get(event.account, {}).pop(event.asset, None)
            self.paid[event.asset] = self.paid.get(event.asset, 0) + event.amount
        elif isinstance(event, MarketRewarded):
            book = (event.market, event.outcome)
            if event.rewarded:
                self.books.add(book)
            else:
                self.books.discard(book)

    def claimable(self, account: int) -> dict[int, int]:
        """Asset → micro-units that a claim of the account pays now."""
        return dict(sorted(self.owed.get(account, {}).items()))

    def points(self) -> int:
        """All scores of the last hour."""
        return 0 if self.hour is None else self.hour.score_high << SHIFT | self.hour.score_low
