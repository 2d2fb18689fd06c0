"""The probe of the preflight command counts what passed and believes no status that contradicts it."""

from __future__ import annotations

import json

import pytest

from tradewind.readiness.probes.drill import RAW_FILE
from tradewind.readiness.probes.preflight import preflight


def passed_share(status: int, environment: str, *verdicts: str) -> float:
    facts = {
        "status": status,
        "environment": environment,
        "needed": {f"V{number:02}": verdict for number, verdict in enumerate(verdicts)},
        "reasons": {},
    }
    assert preflight.recompute_values is not None
    raw = json.dumps(facts).encode()
    return float(preflight.recompute_values({RAW_FILE: raw})["checks_passed"].value)


@pytest.mark.parametrize(
    ("status", "environment", "verdicts", "share"),
    [
        (0, "paper", ("pass", "pass"), 1.0),
        (0, "paper", ("pass", "skip"), 0.5),
        (1, "paper", ("pass", "fail"), 0.5),
        (1, "canary", ("pass", "skip"), 0.5),
        (0, "canary", ("pass", "skip"), 0.0),
        (0, "paper", ("pass", "fail"), 0.0),
        (1, "paper", ("pass", "pass"), 0.0),
        (1, "paper", ("pass", "skip"), 0.0),
    ],
)
def test_a_skip_is_no_pass_and_a_status_that_contradicts_makes_all_worthless(
    status: int, environment: str, verdicts: tuple[str, ...], share: float
) -> None:
    assert passed_share(status, environment, *verdicts) == share
