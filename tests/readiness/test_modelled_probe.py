"""What the probe of matching says of the orders that only the model of the source tree knows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tradewind.readiness.probe import ProbeContext, built_probes
from tradewind.readiness.probes.modelled import REACHED, play, unreached

REACHED_ALL = {part: 1 for parts in REACHED.values() for part in parts}


def recomputed(modelled: dict[str, Any]) -> dict[str, float]:
    probe = built_probes().get("orders-execute")
    assert probe is not None and probe.recompute_values is not None
    facts = {"compared": 1_000, "divergent_batches": 0, "same_state": True, "modelled": modelled}
    values = probe.recompute_values({"observed.json": json.dumps(facts).encode()})
    return {name: value.value for name, value in values.items()}


def test_without_the_source_tree_nothing_is_modelled(tmp_path: Path) -> None:
    assert play(ProbeContext("sim", tmp_path, None, tmp_path)) == {}
    assert recomputed({}) == {"commands_compared": 1_000, "divergent_replies": 0}


def test_a_seed_that_disagrees_and_a_type_that_never_happened_are_divergent() -> None:
    agreed = {"sent": 500, "reached": REACHED_ALL, "divergent": []}
    assert recomputed(agreed) == {"commands_compared": 1_500, "divergent_replies": 0}
    assert recomputed({**agreed, "divergent": [[7, "fills differ"]]})["divergent_replies"] == 1
    for name, parts in REACHED.items():
        rest = {part: 1 for part in REACHED_ALL if part not in parts}
        assert unreached({"reached": rest}) == [name]
        assert recomputed({**agreed, "reached": rest})["divergent_replies"] == 1
