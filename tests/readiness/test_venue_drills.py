"""The drills of outside venues: samples of the honest run, and what must never count as evidence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tradewind.readiness.probe import Probe, ProbeContext
from tradewind.readiness.probes import venue_balances, venue_duplicates, venue_maintenance, venue_reconciling
from tradewind.readiness.probes.venue_duplicates import Cell


def values(probe: Probe, facts: dict[str, Any]) -> dict[str, float]:
    assert probe.recompute_values is not None
    found = probe.recompute_values({"observed.json": json.dumps(facts).encode()})
    return {name: one.value for name, one in found.items()}


SAMPLE = (
    Cell(point=2),
    Cell(point=3, resend=False),
    Cell(point=3, fault="reset"),
    Cell(point=4, fault="partial"),
    Cell(point=5),
    Cell(fault="5xx"),
    *(Cell(point=4, venue=venue) for venue in venue_duplicates.VENUES[1:]),
    *(Cell(fault="timeout", venue=venue) for venue in venue_duplicates.VENUES[1:]),
)


def test_an_intent_has_one_order_or_none_whatever_kills_its_process(tmp_path: Path) -> None:
    facts = venue_duplicates.observed(ProbeContext("paper", tmp_path, None, tmp_path), SAMPLE)
    assert values(venue_duplicates.duplicates, dict(facts)) == {
        "duplicate_orders": 0,
        "orphan_orders": 0,
        "fault_cells_tested": 1.0,
    }


GOOD: dict[str, Any] = {
    "point": 4,
    "fault": "timeout",
    "resend": True,
    "killed": True,
    "fired": ["drop_reply"],
    "intents": {"a": "working"},
    "at_venue": ["a"],
    "blocked": "",
    "differences": [],
    "ours": {"USD": "1"},
    "theirs": {"USD": "1"},
}


@pytest.mark.parametrize(
    "change",
    [
        {"killed": False},
        {"fired": []},
        {"blocked": "in doubt"},
        {"theirs": {"USD": "2"}},
        {"at_venue": ["a", "a"]},
        {"at_venue": []},
        {"intents": {"a": "abandoned"}, "at_venue": []},
        {"point": 0, "intents": {}, "at_venue": []},
        {"point": 1},
    ],
    ids=json.dumps,
)
def test_a_cell_that_did_not_happen_or_ended_wrongly_is_not_tested(change: dict[str, Any]) -> None:
    assert values(venue_duplicates.duplicates, {"planned": 1, "cells": [GOOD]})["fault_cells_tested"] == 1.0
    cells = [{**GOOD, **change}]
    assert values(venue_duplicates.duplicates, {"planned": 1, "cells": cells})["fault_cells_tested"] == 0.0


def test_cells_that_are_left_out_are_missed() -> None:
    assert values(venue_duplicates.duplicates, {"planned": 2, "cells": [GOOD]})["fault_cells_tested"] == 0.5


def test_a_round_that_never_resumed_compared_nothing() -> None:
    row = {"resumed": 0, "differences": [], "lots_here": 1, "lots_there": 1}
    found = values(venue_reconciling.reconciling, {"planned": 1, "rounds": [row]})
    assert found["unresolved_differences_at_resume"] > 0


def test_a_desk_that_never_trades_is_no_evidence_of_care() -> None:
    row = {"case": "a", "wanted": "NONE", "orders": 0, "zeros": [], "took_s": 0.1}
    healed = {"case": "b", "traded": 1, "zeros": []}
    assert values(venue_balances.balances, {"rows": [row, healed]})["mode_change_s"] == 0.1
    for rows in ([row], [row, {**healed, "traded": 0}]):
        assert values(venue_balances.balances, {"rows": rows})["mode_change_s"] > 5


WINDOW: dict[str, Any] = {
    "halted_s": 0.1, "again": True, "stale": True, "known_before": True,
    "traffic": {"taken": 5, "executed_lots": 500},
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"again": False},
        {"stale": False},
        {"known_before": False},
        {"traffic": {"taken": 5, "executed_lots": 0}},
        {"halted_s": 5.1},
    ],
)
def test_a_window_without_stale_positions_test_fills_or_an_end_is_red(change: dict[str, Any]) -> None:
    facts = {"windows": [WINDOW], "lots_here": 0, "lots_there": 0, "lots_of_an_order": 100}
    assert values(venue_maintenance.maintenance, facts)["halt_on_maintenance_s"] == 0.1
    facts["windows"] = [{**WINDOW, **change}]
    assert values(venue_maintenance.maintenance, facts)["halt_on_maintenance_s"] > 5
