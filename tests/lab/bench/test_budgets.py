"""Budgets: what holds at, above and below the limit, and what is unknown."""

from __future__ import annotations

import pytest

from tradewind.lab.bench import BUDGETS, SUITES, Budget, defects, judge

LIMIT = 100


@pytest.mark.parametrize(
    ("relation", "below", "at", "above"),
    [
        (">=", False, True, True),
        ("<=", True, True, False),
        ("<", True, False, False),
        ("==", False, True, False),
    ],
)
def test_the_relation_decides_at_the_limit(relation: str, below: bool, at: bool, above: bool) -> None:
    budget = Budget("x.y", relation, LIMIT, "", "")  # type: ignore[arg-type]
    assert (budget.holds(99), budget.holds(100), budget.holds(101)) == (below, at, above)


def test_unknown_is_neither_kept_nor_missed() -> None:
    assert Budget("x.y", "<=", LIMIT, "", "").holds(None) is None


def test_every_budget_is_a_figure_of_a_suite_and_stands_once() -> None:
    paths = [budget.path for budget in BUDGETS]
    assert len(set(paths)) == len(paths)
    assert {path.partition(".")[0] for path in paths} <= set(SUITES)


def test_only_suites_that_ran_are_judged() -> None:
    rows = judge({"stack": {"max_frame_bytes": 4_096}})
    assert [(row["path"], row["holds"]) for row in rows] == [("suites.stack.max_frame_bytes", False)]
    assert judge({}) == []


def test_a_figure_below_its_budget_turns_the_row_red() -> None:
    slow, fast = ({"replay": {"commands_per_second": rate}} for rate in (2_999_999, 3_000_000))
    assert [judge(found)[0]["holds"] for found in (slow, fast)] == [False, True]


@pytest.mark.parametrize(
    ("frame", "missed"), [(4_095, []), (4_096, ["largest engine stack frame"]), (None, [])]
)
def test_a_frame_at_the_limit_is_a_defect_and_an_unknown_one_is_not(
    frame: int | None, missed: list[str]
) -> None:
    assert defects(judge({"stack": {"max_frame_bytes": frame}})) == missed


def test_a_slow_machine_is_no_defect() -> None:
    assert defects(judge({"replay": {"commands_per_second": 1, "state_hash_equal": 1}})) == []
