"""The common form of a probe on a running system: observe raw facts, then compute the values from them.

The raw facts are the artefact of the record, so that a verifier computes the same values again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import Measurement, Probe, ProbeContext, probe
from tradewind.readiness.record import MeasuredValue, Provenance

RAW_FILE: Final = "observed.json"

Facts = Mapping[str, Any]
Observe = Callable[[ProbeContext], Facts]
Summarise = Callable[[Facts], Mapping[str, MeasuredValue]]


def drill(
    criterion_id: str,
    *,
    observe: Observe,
    broken: Observe,
    summarise: Summarise,
    provenance: Provenance = "real",
    not_run: Sequence[str] = (),
) -> Probe:
    """Registers the probe of ``criterion_id``; ``broken`` observes the subject broken as the catalogue says.

    Both observations give plain JSON data. ``not_run`` names the parts of the requirement which this build
    does not have: the criterion stays red as long as one is listed.
    """

    def measure(context: ProbeContext, look: Observe = observe) -> Measurement:
        # Through JSON and back, so that the values here are those which a verifier computes from the file.
        raw = json.dumps(look(context), indent=1, sort_keys=True).encode()
        values = summarise(json.loads(raw))
        return Measurement(values, {RAW_FILE: raw}, provenance=provenance, not_run=not_run)

    entry = probe(criterion_id)(measure)
    entry.mutation(lambda context: measure(context, broken))
    entry.recompute(lambda files: summarise(json.loads(files[RAW_FILE])))
    return entry


def ratio(passed: int, total: int) -> MeasuredValue:
    """Part of ``total`` cases. Raises CannotMeasureError without cases: nothing looked at is not all well."""
    if total < 1:
        raise CannotMeasureError("no case was run")
    return MeasuredValue(passed / total, "ratio", total)


def case(name: str, expected: Any, seen: Any) -> dict[str, Any]:
    """One compared pair, as it goes into the raw facts."""
    return {"case": name, "expected": expected, "seen": seen}


def held(cases: Sequence[Facts]) -> int:
    """How many cases saw what was expected."""
    return sum(item["expected"] == item["seen"] for item in cases)
