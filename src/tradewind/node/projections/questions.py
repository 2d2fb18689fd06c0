"""Distribution markets as the log shows them: micro-units, numbers in the question's unit times 10⁶."""

from __future__ import annotations

import msgspec

from tradewind.core.event_types import DistributionCreated, DistributionMoved, DistributionPaid
from tradewind.core.events import Event

Claim = tuple[int, int]
"""Mean and width."""


class NumberTrade(msgspec.Struct, frozen=True):
    """The claim `to` minus `origin` (nothing for the creator's first claim), and what stands behind it."""

    origin: Claim | None
    to: Claim
    collateral: int


class Question(msgspec.Struct):
    """A distribution market's pool and the claims on it by (account, sub-account)."""

    market: int
    norm: int
    backing: int
    lower: int
    upper: int
    claim: Claim
    creator: tuple[int, int]
    cash: int
    trades: dict[tuple[int, int], list[NumberTrade]] = {}
    moves: int = 0
    collateral: int = 0
    """Of all trades so far."""
    fees: int = 0
    provider_fees: int = 0
    value: int | None = None
    """The final number, once somebody was paid at it."""
    paid: int = 0


class QuestionsView:
    """Distribution markets by handle, with the last trade and payment of each."""

    def __init__(self) -> None:
        self.by_market: dict[int, Question] = {}
        self.last_move: dict[int, DistributionMoved] = {}
        self.last_paid: dict[int, DistributionPaid] = {}

    def on_event(self, event: Event) -> None:
        if isinstance(event, DistributionMoved):
            self._moved(event)
        elif isinstance(event, DistributionCreated):
            claim, owner = (event.mean, event.sigma), (event.account, event.sub)
            question = Question(
                event.market, event.norm, event.backing, event.lower, event.upper, claim, owner, event.backing
            )
            question.trades[owner] = [NumberTrade(None, claim, 0)]
            self.by_market[event.market] = question
        elif isinstance(event, DistributionPaid):
            self._paid(event)

    def _moved(self, event: DistributionMoved) -> None:
        question = self.by_market[event.market]
        origin, question.claim = question.claim, (event.mean, event.sigma)
        trades = question.trades.setdefault((event.account, event.sub), [])
        trades.append(NumberTrade(origin, question.claim, event.collateral))
        question.moves += 1
        question.collateral += event.collateral
        question.fees += event.fee
        question.provider_fees += event.provider_fee
        question.cash = event.cash
        self.last_move[event.market] = event

    def _paid(self, event: DistributionPaid) -> None:
        question = self.by_market[event.market]
        question.trades.pop((event.account, event.sub), None)
        question.value = None if event.invalid else event.value
        question.paid += event.paid
        question.cash = event.cash
        self.last_paid[event.market] = event
