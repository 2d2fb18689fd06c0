"""What people read: one line per criterion, and the generated readiness report."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tradewind.readiness.catalogue import Criterion
from tradewind.readiness.errors import EvidenceStoreError, Reason
from tradewind.readiness.gate import CriterionResult, GateResult, State
from tradewind.readiness.identity import Identity

REPORT_NAME: Final = "production-readiness-report.md"
NS_PER_S: Final = 1_000_000_000
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def age_text(age_ns: int | None) -> str:
    """An age in its largest whole unit, or a dash when there is no evidence."""
    if age_ns is None:
        return "-"
    seconds = max(age_ns, 0) // NS_PER_S
    for size_s, unit in _UNITS:
        if seconds >= size_s:
            return f"{seconds // size_s} {unit}"
    return "0 s"


def comparison_text(result: CriterionResult) -> str:
    """Every threshold row with the measured value, or what is demanded when nothing was measured."""
    measured = result.record.values if result.record else {}
    parts = []
    for row in result.criterion.threshold:
        value = measured.get(row.metric)
        demanded = f"{row.op} {row.value:g} {row.unit}"
        parts.append(f"{row.metric} {_number(value.value) if value else 'unknown'} (demanded {demanded})")
    return "; ".join(parts)


def _number(value: int | float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def remedy(criterion: Criterion, reason: Reason | None) -> str:
    """The command that produces fresh evidence; empty when green or when nothing measures it yet."""
    if reason is None or reason is Reason.NOT_BUILT:
        return ""
    return f"tradewind evidence run {criterion.id}"


def render_report(gate: GateResult, identity: Identity, catalogue_hash: str) -> str:
    """The readiness report in Markdown. It contains no time of its own: same inputs, same bytes."""
    red = [result for result in gate.results if result.state is not State.MET]
    lines = [
        "# Production readiness",
        "",
        f"- environment: `{gate.environment}`",
        f"- build: `{identity.build_hash}`",
        f"- configuration: `{identity.config_hash}`",
        f"- catalogue: `{catalogue_hash}`",
        f"- verdict: **{'GO' if gate.green else 'NO-GO'}**",
        f"- criteria: {len(gate.results)} demanded, {len(gate.results) - len(red)} met, {len(red)} red",
        "",
        "Every number below links the evidence it was read from. There is no score and no waiver.",
        "",
        *_table("Red", red),
        *_table("Met", [result for result in gate.results if result.state is State.MET]),
    ]
    return "\n".join(lines) + "\n"


def _table(title: str, results: list[CriterionResult]) -> list[str]:
    if not results:
        return []
    rows = [
        f"| `{item.criterion.id}` | {item.state.value} | {item.reason.value if item.reason else ''} "
        f"| {comparison_text(item)} | {_link(item)} | {remedy(item.criterion, item.reason)} |"
        for item in results
    ]
    head = [
        "| criterion | state | reason | measured against threshold | evidence | fresh evidence |",
        "|---|---|---|---|---|---|",
    ]
    return [f"## {title}", "", *head, *rows, ""]


def _link(result: CriterionResult) -> str:
    if result.evidence_id is None:
        return "none"
    return f"`evidence/{result.criterion.id}/{result.evidence_id}.json`"


def write_report(directory: Path, text: str) -> Path:
    """Writes the report into ``directory``, which is created. Raises EvidenceStoreError."""
    path = directory / REPORT_NAME
    try:
        directory.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EvidenceStoreError(f"the report cannot be written to {path}: {error}") from error
    return path
