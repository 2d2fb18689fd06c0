"""The gate: a conjunction over every demanded criterion. No weight, no score, no waiver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from tradewind.readiness.catalogue import LAYERS, Criterion
from tradewind.readiness.errors import CatalogueError, EvidenceDefectError, Reason
from tradewind.readiness.record import EvidenceRecord
from tradewind.readiness.verify import Verifier


class State(StrEnum):
    """What is known about a criterion. Only ``met`` is green."""

    MET = "met"
    NOT_MET = "not_met"
    NO_EVIDENCE = "no_evidence"


@dataclass(frozen=True, slots=True)
class CriterionResult:
    """State of one criterion. ``reason`` is None only when it is met; ``age_ns`` is the evidence's age."""

    criterion: Criterion
    state: State
    reason: Reason | None
    detail: str
    record: EvidenceRecord | None
    evidence_id: str | None
    age_ns: int | None

    def as_dict(self) -> dict[str, Any]:
        """The published form; the keys are a contract."""
        values = {name: item.value for name, item in self.record.values.items()} if self.record else None
        return {
            "id": self.criterion.id,
            "area": self.criterion.area,
            "stage": self.criterion.stage,
            "kind": self.criterion.kind,
            "state": self.state.value,
            "value": values,
            "threshold": [row.as_dict() for row in self.criterion.threshold],
            "evidence": self.evidence_id,
        }


@dataclass(frozen=True, slots=True)
class GateResult:
    """The verdict for one environment, criteria in catalogue order."""

    environment: str
    results: tuple[CriterionResult, ...]

    @property
    def green(self) -> bool:
        """True only when every demanded criterion is met; an empty list is never green."""
        return bool(self.results) and all(result.state is State.MET for result in self.results)

    def as_dict(self) -> dict[str, Any]:
        """The published form of ``tradewind ready --json``."""
        return {"env": self.environment, "criteria": [result.as_dict() for result in self.results]}


# A record that was ignored because of its origin does not hide an older one that counts.
IGNORABLE: Final = frozenset({Reason.PROVENANCE_TOO_LOW})


def evaluate(verifier: Verifier) -> GateResult:
    """Evaluates every criterion which the verifier's environment demands, lower layers first.

    Raises CatalogueError when nothing is demanded, and EvidenceStoreError when evidence cannot be listed.
    """
    demanded = verifier.catalogue.demanded_by(verifier.environment)
    if not demanded:
        raise CatalogueError(
            None, f"no criterion is demanded for {verifier.environment}: nothing can be green"
        )
    by_id: dict[str, CriterionResult] = {}
    for layer in LAYERS:
        for criterion in demanded:
            if criterion.layer == layer:
                by_id[criterion.id] = evaluate_criterion(verifier, criterion)
    return GateResult(verifier.environment, tuple(by_id[criterion.id] for criterion in demanded))


def evaluate_criterion(verifier: Verifier, criterion: Criterion) -> CriterionResult:
    """State of one criterion: its newest record that counts by origin decides."""
    ids = verifier.store.record_ids(criterion.id)
    if not ids:
        built = verifier.registry.get(criterion.id) is not None
        reason = Reason.MISSING_EVIDENCE if built else Reason.NOT_BUILT
        detail = "never measured" if built else _why_not_built(criterion)
        return CriterionResult(criterion, State.NO_EVIDENCE, reason, detail, None, None, None)
    return _first_deciding(verifier, criterion, ids)


def _why_not_built(criterion: Criterion) -> str:
    if criterion.signer is not None:
        return f"to be signed by {criterion.signer}; sign-offs are not built yet"
    return "no probe measures this yet"


def _first_deciding(verifier: Verifier, criterion: Criterion, ids: Sequence[str]) -> CriterionResult:
    newest: CriterionResult | None = None
    for record_id in ids:
        result = _judge(verifier, criterion, record_id)
        if result.reason not in IGNORABLE:
            return result
        newest = newest or result
    if newest is None:
        raise CatalogueError(criterion.id, "evaluated without any record")
    return newest


def _judge(verifier: Verifier, criterion: Criterion, record_id: str) -> CriterionResult:
    record: EvidenceRecord | None = None
    try:
        record = verifier.open(criterion, record_id)
        verifier.check(criterion, record)
    except EvidenceDefectError as defect:
        failed = defect.reason is Reason.THRESHOLD_FAILED
        state = State.NOT_MET if failed else State.NO_EVIDENCE
        age_ns = _age_ns(verifier, record)
        return CriterionResult(criterion, state, defect.reason, defect.detail, record, record_id, age_ns)
    age_ns = _age_ns(verifier, record)
    return CriterionResult(criterion, State.MET, None, "", record, record_id, age_ns)


def _age_ns(verifier: Verifier, record: EvidenceRecord | None) -> int | None:
    try:
        return None if record is None else verifier.now_ns - int(record.measured_at)
    except ValueError:
        return None
