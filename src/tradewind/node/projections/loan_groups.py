"""Margin credit between the leveraged positions of one sub-account in one market (protocol P4.6.6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from itertools import groupby
from math import ceil
from typing import Final

import msgspec

from tradewind.node.projections.loans import DEBT_FREE_NS, JUMP, RAMP_NS, Loan, maintenance_fraction

HALF: Final = Fraction(1, 2)


class Terms(msgspec.Struct, frozen=True):
    """What a market's margins are made of at a moment."""

    outcomes: int
    payout_ticks: int
    now_ns: int
    settle_ns: int
    least: Fraction = JUMP
    """J_min."""


class LoanGroup(msgspec.Struct, frozen=True):
    """A group at its marks."""

    market: int
    sub: int
    positions: int
    largest_loss: int
    """Of the claims' value, whatever outcome wins."""
    equity: int
    maintenance: int
    """Below this equity one of its positions is sold."""
    credit: int
    """What the positions would need beyond it each for itself."""


def mark_of(loan: Loan, marks: Mapping[tuple[int, int], int], terms: Terms) -> int | None:
    """Ticks of what a position holds: of two outcomes one is marked and the other is the rest."""
    line = 0 if terms.outcomes == 2 else loan.outcome
    mark = marks.get((loan.market, line))
    if mark is None:
        return None
    rest = loan.short or (terms.outcomes == 2 and loan.outcome == 1)
    return terms.payout_ticks - mark if rest else mark


def group_of(loans: list[Loan], marks: Mapping[tuple[int, int], int], terms: Terms) -> LoanGroup | None:
    """The positions of one group together; None while one of them has no mark."""
    values = []
    for loan in loans:
        mark = mark_of(loan, marks, terms)
        if mark is None:
            return None
        values.append(loan.shares * mark // terms.payout_ticks)
    value, debt = sum(values), sum(loan.debt for loan in loans)

    def paid(winner: int) -> int:
        return sum(loan.shares for loan in loans if (loan.outcome == winner) != loan.short)

    largest_loss = max(0, value - min(paid(winner) for winner in range(terms.outcomes)))
    fraction = maintenance_fraction(terms.outcomes, terms.now_ns, terms.settle_ns, terms.least)
    owing = [value for value, loan in zip(values, loans, strict=True) if loan.debt]
    apart = sum(ceil(value * fraction) for value in owing)
    left_ns = max(0, terms.settle_ns - DEBT_FREE_NS - terms.now_ns)
    ramp = min(Fraction(1), Fraction(left_ns, RAMP_NS))
    jump = terms.least + (1 - terms.least) * (1 - ramp)
    needed = 0
    if debt:
        floor = max(ceil(value * jump * HALF) for value in owing)
        together = max(ceil(largest_loss * fraction), floor)
        needed = min(together, apart) if ramp else apart
    first = loans[0]
    return LoanGroup(first.market, first.sub, len(loans), largest_loss, value - debt, needed, apart - needed)


def groups_of(loans: Iterable[Loan]) -> list[list[Loan]]:
    """An account's positions by market and sub-account, ascending."""

    def place(loan: Loan) -> tuple[int, int]:
        return loan.market, loan.sub

    return [list(group) for _, group in groupby(sorted(loans, key=place), key=place)]
