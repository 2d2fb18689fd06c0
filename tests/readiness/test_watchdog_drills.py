"""Drills of the watchdog as processes: what a lost core leaves, and what must never count as evidence."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tradewind.readiness.probes import lost_core, venue_dead_man

GOOD: dict[str, Any] = {
    "fault": "cut off",
    "orders_before": 20,
    "orders_gone_s": 41.0,
    "reduce_only_s": 4.9,
    "closes": 0,
    "left": [],
    "protective": [],
}
CUT = {"quiet_before": True, "orders_gone_s": 60.0, "reduce_only_s": 4.75, "closes": 0}


def values(**change: Any) -> dict[str, float]:
    probe = venue_dead_man.dead_man_60s
    assert probe.recompute_values is not None
    facts = {"cuts": [CUT], "cores": [{**GOOD, **change}]}
    found = probe.recompute_values({"observed.json": json.dumps(facts).encode()})
    return {name: one.value for name, one in found.items()}


@pytest.mark.parametrize(
    ("change", "metric", "limit"),
    [
        ({"orders_gone_s": 61.0}, "trigger_s", 60),
        ({"orders_before": 0}, "trigger_s", 60),
        ({"protective": ["tw1"]}, "trigger_s", 60),
        ({"left": ["tw2"]}, "trigger_s", 60),
        ({"reduce_only_s": None}, "reduce_only_s", 5),
        ({"closes": 1}, "policy_free_market_closes", 0),
    ],
)
def test_a_drill_that_did_not_happen_or_ended_wrongly_is_red(
    change: dict[str, Any], metric: str, limit: float
) -> None:
    assert values()[metric] <= limit
    assert values(**change)[metric] > limit


@pytest.mark.parametrize(
    ("fault", "purpose", "protective"),
    [(lost_core.KILL, "stops", 2), (lost_core.STOP, "timer", 0), (lost_core.BOTH_KILLED, "timer", 0)],
)
def test_a_lost_core_leaves_no_order_but_protective_ones_and_nothing_was_sold(
    fault: str, purpose: str, protective: int, tmp_path: Path
) -> None:
    row = asyncio.run(
        lost_core.lose(tmp_path / "drill", fault, purpose=purpose, protective=protective, orders=5)
    )
    assert row["orders_before"] == 5
    assert row["left"] == row["protective"]
    assert len(row["protective"]) == protective
    assert row["closes"] == 0
    assert row["acts"][-1] == "verified"
    assert "fired" in row["acts"]
