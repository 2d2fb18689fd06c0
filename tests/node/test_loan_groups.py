"""Margin credit inside one outcome set as views show it (P4.6.6), against the engine and brute force."""

from __future__ import annotations

import random

from tradewind.node.projections.loan_groups import Terms, group_of, groups_of
from tradewind.node.projections.loans import Loan, maintenance_fraction

HOUR_NS = 3_600 * 10**9
DOLLAR = 1_000_000


def terms(outcomes: int, left_hours: int) -> Terms:
    return Terms(outcomes, 1_000, 0, left_hours * HOUR_NS)


def loan(outcome: int, shares: int, debt: int, short: bool = False) -> Loan:
    return Loan(1, 128 + outcome, 0, 7, outcome, debt, short, shares)


def test_p4_6_6_opposite_positions_need_half_of_the_largest_j_margin() -> None:
    both = [loan(0, 1_000 * DOLLAR, 440 * DOLLAR), loan(1, 1_000 * DOLLAR, 480 * DOLLAR)]
    found = group_of(both, {(7, 0): 495}, terms(2, 100))
    assert found is not None
    assert (found.largest_loss, found.equity) == (0, 80 * DOLLAR)
    assert (found.maintenance, found.credit) == (25_250_000, 24_750_000)
    last = group_of(both, {(7, 0): 495}, terms(2, 1))
    assert last is not None
    assert (last.maintenance, last.credit) == (1_000 * DOLLAR, 0), "the last hour knows no credit"


def test_without_a_mark_of_every_position_nothing_is_said() -> None:
    assert group_of([loan(0, 5, 1), loan(2, 5, 1)], {(7, 0): 400}, terms(3, 100)) is None


def test_p4_6_6_any_group_needs_no_more_than_its_positions_and_a_single_one_its_own_margin() -> None:
    dice = random.Random(11)
    for _ in range(300):
        outcomes = dice.randint(3, 6)
        marks = {(7, outcome): dice.randint(1, 999) for outcome in range(outcomes)}
        of = terms(outcomes, dice.randint(2, 40))
        loans = [
            loan(dice.randrange(outcomes), dice.randint(1, 900) * DOLLAR, dice.randint(1, 9) * DOLLAR, short)
            for short in dice.choices([True, False], k=dice.randint(1, 5))
        ]
        found = group_of(loans, marks, of)
        assert found is not None
        assert found.credit >= 0
        values = [
            one.shares * (1_000 - marks[7, one.outcome] if one.short else marks[7, one.outcome]) // 1_000
            for one in loans
        ]
        losses = []
        for winner in range(outcomes):
            paid = 0
            for one in loans:
                wins = winner != one.outcome if one.short else winner == one.outcome
                paid += one.shares if wins else 0
            losses.append(sum(values) - paid)
        assert found.largest_loss == max(0, *losses)
        if len(loans) == 1:
            needed = values[0] * maintenance_fraction(outcomes, 0, of.settle_ns)
            assert found.maintenance - 1 < needed <= found.maintenance


def test_groups_are_positions_of_one_sub_account_in_one_market() -> None:
    first, other = loan(0, 5, 1), loan(1, 5, 1)
    foreign = Loan(1, 140, 3, 7, 0, 1)
    assert groups_of([first, foreign, other]) == [[first, other], [foreign]]
