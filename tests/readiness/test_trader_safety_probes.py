"""The drills of the trader's safety: what their facts mean, and that their mutations are red."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import Probe, ProbeContext
from tradewind.readiness.probes import emergency_stop, failsafe, shutdown_paths, trader_soaks

PULL = {
    "way": "paper, console", "orders_before": 200, "first_cancel_s": 0.1, "verified_s": 0.5,
    "said_done": True, "left": 0,
}  # fmt: skip
REFUSING = {"said_done": False, "left": 10}
SWITCH = {
    "orders_before": 3, "last_order_s": 0.5, "orders_after": 0, "exit": 0, "alive": True,
    "answer": {"out_of_use": ["k"]},
}  # fmt: skip
PAPER: dict[str, Any] = {"orders": 3, "connections": [], "signers": []}


def values(probe: Probe, facts: dict[str, Any]) -> dict[str, float]:
    assert probe.recompute_values is not None
    found = probe.recompute_values({"observed.json": json.dumps(facts).encode()})
    return {name: one.value for name, one in found.items()}


@pytest.mark.parametrize(
    ("pull", "refusing", "metric", "value"),
    [
        ({}, {}, "unverified_success_reports", 0),
        ({}, {"said_done": True}, "unverified_success_reports", 1),
        ({"left": 1}, {}, "unverified_success_reports", 1),
        ({"verified_s": 11.0}, {}, "verified_zero_s", 11.0),
        ({"first_cancel_s": 1.5}, {}, "first_cancel_s", 1.5),
    ],
)
def test_a_stop_counts_only_when_it_was_read_back(
    pull: dict[str, Any], refusing: dict[str, Any], metric: str, value: float
) -> None:
    facts = {"pulls": [{**PULL, **pull}], "refusing": [{**REFUSING, **refusing}]}
    assert values(emergency_stop.emergency_stop, facts)[metric] == value


def test_a_drill_without_orders_is_none() -> None:
    with pytest.raises(CannotMeasureError):
        values(
            emergency_stop.emergency_stop, {"pulls": [{**PULL, "orders_before": 0}], "refusing": [REFUSING]}
        )
    with pytest.raises(CannotMeasureError):
        values(failsafe.failsafe_paper_mode, {"switch": SWITCH, "paper": {**PAPER, "orders": 0}})


@pytest.mark.parametrize(
    ("switch", "paper", "metric", "red"),
    [
        ({"orders_after": 1}, {}, "signed_orders_from_paper", 1),
        ({}, {"signers": ["x"]}, "signed_orders_from_paper", 1),
        ({}, {"connections": ["x"]}, "signed_orders_from_paper", 1),
        ({"exit": 1}, {}, "switch_s", 3_600.0),
        ({"answer": {"out_of_use": []}}, {}, "switch_s", 3_600.0),
    ],
)
def test_a_switch_that_left_a_signature_is_red(
    switch: dict[str, Any], paper: dict[str, Any], metric: str, red: float
) -> None:
    good = {"switch": SWITCH, "paper": PAPER}
    assert values(failsafe.failsafe_paper_mode, good) == {"signed_orders_from_paper": 0, "switch_s": 0.5}
    broken = {"switch": {**SWITCH, **switch}, "paper": {**PAPER, **paper}}
    assert values(failsafe.failsafe_paper_mode, broken)[metric] == red


def test_a_shared_key_is_one_way_less() -> None:
    rows = [{"way": name, "key": name, "before": 5, "left": 0, "said": True} for name in ("a", "b", "c")]
    probe = shutdown_paths.multiple_shutdown_paths
    assert values(probe, {"paths": rows}) == {"independent_paths": 3, "paths_working_alone": 1.0}
    rows[1]["key"] = "a"
    assert values(probe, {"paths": rows})["independent_paths"] == 2
    rows[2]["left"] = 1
    assert values(probe, {"paths": rows})["paths_working_alone"] == pytest.approx(2 / 3)


def context(tmp_path: Path) -> ProbeContext:
    return ProbeContext("canary", tmp_path / "data", None, tmp_path)


SOAKS = {
    "stage_1": ("round_trips_or_days_met", 0),
    "stage_2": ("dimensions_changed_per_step", 2),
    "stage_3": ("slippage_within_ci", 0),
}


@pytest.mark.parametrize("name", sorted(SOAKS))
def test_a_step_of_the_ramp_is_red_without_a_run_and_under_its_mutation(name: str, tmp_path: Path) -> None:
    probe: Probe = getattr(trader_soaks, name)
    with pytest.raises(CannotMeasureError):
        probe.measure(context(tmp_path))
    assert probe.mutate is not None
    metric, value = SOAKS[name]
    assert probe.mutate(context(tmp_path)).values[metric].value == value


def test_a_ramp_that_kept_every_rule_is_measured_as_such() -> None:
    facts = trader_soaks._facts(trader_soaks.model(14, 200), trader_soaks.load_stages())
    first, second, third = (
        values(probe, facts) for probe in (trader_soaks.stage_1, trader_soaks.stage_2, trader_soaks.stage_3)
    )
    assert first["round_trips_or_days_met"] == 1 and first["wall_clock_s"] >= 172_800
    assert second == {
        "max_order_notional_usdt": 7.0, "dimensions_changed_per_step": 1, "step_down_on_break": 1,
    }  # fmt: skip
    assert third["tradable_pairs"] == 2 and third["slippage_within_ci"] == 1


def test_a_stage_that_was_never_entered_says_so() -> None:
    with pytest.raises(CannotMeasureError, match="never entered"):
        trader_soaks.stay([], "S3")


@pytest.mark.parametrize(
    ("name", "metric"), [("order_placements", "preventable_rejects"), ("net_return", "net_return")]
)
def test_the_soaks_of_a_campaign_are_red_without_one_and_under_their_mutations(
    name: str, metric: str, tmp_path: Path
) -> None:
    probe: Probe = getattr(trader_soaks, name)
    with pytest.raises(CannotMeasureError):
        probe.measure(context(tmp_path))
    assert probe.mutate is not None
    value = probe.mutate(context(tmp_path)).values[metric].value
    assert value > 0 if metric == "preventable_rejects" else value < 0
