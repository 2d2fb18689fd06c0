"""validation-preflight-command: `tradewind validate` as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Final

from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import ProbeContext
from tradewind.readiness.probes.child import START
from tradewind.readiness.probes.drill import Facts, drill, ratio
from tradewind.readiness.record import MeasuredValue

LIMIT_S: Final = 300.0
VERDICTS: Final = frozenset({0, 1})
WITHOUT_SERVER: Final = """
import sys
sys.modules["uvicorn"] = None
"""


def _observe(context: ProbeContext, prelude: str = "") -> Facts:
    arguments = ["validate", "--env", context.environment, "--data", str(context.scratch / "data"), "--json"]
    # The interpreter is ours, the arguments are constants.
    result = subprocess.run(  # noqa: S603 - see above
        [sys.executable, "-c", f"{prelude}\n{START}", *arguments],
        capture_output=True,
        timeout=LIMIT_S,
        check=False,
    )
    if result.returncode not in VERDICTS:
        raise CannotMeasureError(f"validate ended with {result.returncode}: {result.stderr.decode()[-300:]}")
    document = json.loads(result.stdout)
    needed = [check for check in document["checks"] if check["required"]]
    return {
        "status": result.returncode,
        "environment": context.environment,
        "needed": {check["id"]: check["verdict"] for check in needed},
        "reasons": {check["id"]: check["reason"] for check in needed if check["reason"]},
    }


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    verdicts = list(facts["needed"].values())
    passed = verdicts.count("pass")
    # Below canary a skip does not stop a start; a check that passed it is not.
    stops_nothing = verdicts.count("skip") if facts["environment"] in ("sim", "paper") else 0
    if (facts["status"] == 0) != (passed + stops_nothing == len(verdicts)):
        passed = 0  # an exit status that contradicts the checks makes all of them worthless
    return {"checks_passed": ratio(passed, len(verdicts))}


preflight = drill(
    "validation-preflight-command",
    observe=_observe,
    broken=lambda context: _observe(context, WITHOUT_SERVER),
    summarise=_summarise,
    provenance="emulated",
    not_run=("each check seen red by its own mutation in this run",),
)
