"""The soak of connections: a trial measures everything, and is red by its length."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tradewind.readiness.catalogue import Catalogue
from tradewind.readiness.evidence import measured_red
from tradewind.readiness.probe import ProbeContext
from tradewind.readiness.probes.venue_stability import stability

SILENCE = {"begin_s": 900.0, "end_s": 908.0}
LINE: dict[str, Any] = {
    "name": "binance market",
    "unplanned": [{"at_s": 905.1, "reason": "no frame for 5 s"}],
    "planned": 3,
    "ended_by_venue": 0,
    "unseen_gaps": 0,
    "silences": [SILENCE],
    "noticed_s": [905.1],
}


def values(wall_clock_s: float = 3_600.0, **change: Any) -> dict[str, float]:
    assert stability.recompute_values is not None
    facts = {"wall_clock_s": wall_clock_s, "lines": [{**LINE, **change}]}
    found = stability.recompute_values({"observed.json": json.dumps(facts).encode()})
    return {name: one.value for name, one in found.items()}


def test_an_hour_in_which_everything_was_noticed_counts() -> None:
    assert values() == {"unplanned_reconnects_per_h": 1.0, "undetected_gaps": 0, "wall_clock_s": 3_600.0}


@pytest.mark.parametrize(
    ("change", "metric"),
    [
        ({"noticed_s": []}, "undetected_gaps"),
        ({"noticed_s": [899.0]}, "undetected_gaps"),
        ({"noticed_s": [907.0]}, "undetected_gaps"),
        ({"unseen_gaps": 1}, "undetected_gaps"),
        ({"silences": []}, "undetected_gaps"),
        ({"planned": 0}, "unplanned_reconnects_per_h"),
        ({"ended_by_venue": 1}, "unplanned_reconnects_per_h"),
        ({"unplanned": [{}] * 6}, "unplanned_reconnects_per_h"),
    ],
)
def test_what_was_missed_or_never_happened_is_red(change: dict[str, Any], metric: str) -> None:
    limit = {"undetected_gaps": 0, "unplanned_reconnects_per_h": 5}[metric]
    assert values(**change)[metric] > limit


def test_a_longer_soak_tells_its_rate_and_a_shorter_one_never_a_better_one() -> None:
    assert values(7_200.0, unplanned=[{}] * 6)["unplanned_reconnects_per_h"] == 3.0
    assert values(60.0)["unplanned_reconnects_per_h"] == 1.0


def test_a_trial_measures_everything_and_is_red_by_its_length(tmp_path: Path, catalogue: Catalogue) -> None:
    told: list[str] = []
    context = ProbeContext("paper", tmp_path, None, tmp_path, soak_s=48.0, tell=told.append)
    found = stability.measure(context).values
    assert set(found) == {row.metric for row in catalogue.get("venue-ws-stability").threshold}
    assert (
        found["undetected_gaps"].samples >= 7
    )  # how many were missed is the machine's affair: not timed here
    assert 48 <= found["wall_clock_s"].value < 3_600
    assert measured_red(catalogue.get("venue-ws-stability"), found)
    assert told
