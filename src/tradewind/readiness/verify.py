"""Verification of one evidence record. Every check can only take away: what is left has earned its colour."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from tradewind.readiness.catalogue import ANY_ENVIRONMENT, Catalogue, Criterion, environment_rank
from tradewind.readiness.errors import EvidenceDefectError, Reason
from tradewind.readiness.identity import Identity
from tradewind.readiness.probe import Probe, Registry
from tradewind.readiness.record import EvidenceRecord, JournalRange, MeasuredValue, ThresholdRow
from tradewind.readiness.signing import KeyRing, open_envelope
from tradewind.readiness.store import EvidenceStore

NS_PER_S: Final = 1_000_000_000
NS_PER_DAY: Final = 86_400 * NS_PER_S
# O1.10: wall and monotonic duration agree within 1 s + 50 parts per million.
DURATION_TOLERANCE_NS: Final = NS_PER_S
DURATION_TOLERANCE_PPM: Final = 50
# A record from the future is a wrong clock; two machines may differ by this much.
MAX_CLOCK_LEAD_NS: Final = 60 * NS_PER_S
# O1.9: what may count as evidence that begins in each environment.
PROVENANCES: Final[Mapping[str, tuple[str, ...]]] = {
    "sim": ("virtual", "emulated", "real"),
    "paper": ("emulated", "real"),
    ANY_ENVIRONMENT: ("emulated", "real"),
    "testnet": ("real",),
    "canary": ("real",),
    "live": ("real",),
}

JournalCheck = Callable[[JournalRange, int, int], bool]


@dataclass(frozen=True, slots=True)
class Verifier:
    """Everything a record is checked against. ``journal_check`` gets range, start and end time in ns."""

    catalogue: Catalogue
    environment: str
    identity: Identity
    store: EvidenceStore
    keys: KeyRing
    registry: Registry
    now_ns: int
    journal_check: JournalCheck | None = None

    def open(self, criterion: Criterion, record_id: str) -> EvidenceRecord:
        """The authentic record of this name. Raises EvidenceDefectError with BadSignature."""
        record = open_envelope(self.store.read(criterion.id, record_id), self.keys)
        if record.criterion != criterion.id or record.id != record_id:
            raise EvidenceDefectError(Reason.BAD_SIGNATURE, "the record was moved from another place")
        return record

    def check(self, criterion: Criterion, record: EvidenceRecord) -> None:
        """All checks of O1.8 on an authentic record. Raises EvidenceDefectError with the first reason."""
        _check_provenance(criterion, self.environment, record)
        _check_catalogue(self.catalogue, criterion, record)
        _check_identity(self.identity, self.environment, record)
        _check_times(criterion, record, self.now_ns)
        probe = _check_probe(criterion, self.registry, record)
        self._check_journal(probe, record)
        raw_files = self.store.read_artefacts(criterion.id, record.id, record.artefacts)
        _check_recomputation(criterion, probe, record, raw_files)
        check_thresholds(criterion, record)

    def _check_journal(self, probe: Probe, record: EvidenceRecord) -> None:
        if record.journal == "none":
            if probe.reads_journal:
                raise EvidenceDefectError(Reason.NOT_RECOMPUTABLE, "the record names no part of the journal")
            return
        started_ns, measured_ns = _times(record)
        if self.journal_check is None or not self.journal_check(record.journal, started_ns, measured_ns):
            raise EvidenceDefectError(Reason.NOT_RECOMPUTABLE, "the journal range could not be verified")


def values_satisfy(criterion: Criterion, values: Mapping[str, MeasuredValue]) -> bool:
    """Whether every threshold row holds. A missing metric, other unit or zero samples never satisfies."""
    return all(row_defect(criterion, values, index) is None for index in range(len(criterion.threshold)))


def row_defect(criterion: Criterion, values: Mapping[str, MeasuredValue], index: int) -> str | None:
    """Why threshold row ``index`` does not hold, or None."""
    row = criterion.threshold[index]
    measured = values.get(row.metric)
    if measured is None:
        return f"{row.metric} was not measured"
    if measured.unit != row.unit:
        return f"{row.metric} is in {measured.unit}, the threshold in {row.unit}"
    if measured.samples < 1:
        return f"{row.metric} rests on no sample"
    if not math.isfinite(measured.value) or not row.holds(measured.value):
        return f"{row.metric} is {measured.value}, demanded {row.op} {row.value} {row.unit}"
    return None


def check_thresholds(criterion: Criterion, record: EvidenceRecord) -> None:
    """Evaluates the values against the present catalogue. Raises EvidenceDefectError."""
    if record.not_run:
        raise EvidenceDefectError(Reason.NOT_BUILT, f"not measured: {'; '.join(record.not_run)}")
    for index in range(len(criterion.threshold)):
        defect = row_defect(criterion, record.values, index)
        if defect is not None:
            raise EvidenceDefectError(Reason.THRESHOLD_FAILED, defect)


def threshold_rows(criterion: Criterion) -> list[ThresholdRow]:
    """The criterion's rows in the form in which a record carries them."""
    return [ThresholdRow(row.metric, row.op, row.value, row.unit, row.role) for row in criterion.threshold]


def _check_provenance(criterion: Criterion, environment: str, record: EvidenceRecord) -> None:
    origin = criterion.evidence_from
    if record.provenance not in PROVENANCES[origin]:
        raise EvidenceDefectError(
            Reason.PROVENANCE_TOO_LOW, f"{record.provenance} evidence does not count from {origin}"
        )
    rank = environment_rank(record.environment)
    if origin != ANY_ENVIRONMENT and rank < environment_rank(origin):
        raise EvidenceDefectError(
            Reason.PROVENANCE_TOO_LOW, f"measured in {record.environment}, counts from {origin}"
        )
    if rank > environment_rank(environment):
        raise EvidenceDefectError(
            Reason.PROVENANCE_TOO_LOW, f"measured in {record.environment}, above {environment}"
        )


def _check_catalogue(catalogue: Catalogue, criterion: Criterion, record: EvidenceRecord) -> None:
    if record.catalogue_hash != catalogue.catalogue_hash:
        raise EvidenceDefectError(Reason.CATALOGUE_MISMATCH, "measured against another catalogue")
    if record.threshold != threshold_rows(criterion):
        raise EvidenceDefectError(Reason.CATALOGUE_MISMATCH, "the thresholds are not those of the catalogue")


def _check_identity(identity: Identity, environment: str, record: EvidenceRecord) -> None:
    changed = [name for name, value in identity.components.items() if record.scope.get(name) != value]
    if changed or len(record.scope) != len(identity.components) or record.build_hash != identity.build_hash:
        names = ", ".join(sorted(changed)[:5]) or "the set of components"
        raise EvidenceDefectError(Reason.BUILD_MISMATCH, f"changed since the measurement: {names}")
    if record.base_hash != identity.base_hash:
        raise EvidenceDefectError(Reason.CONFIG_MISMATCH, "measured with another configuration")
    if record.environment == environment and record.config_hash != identity.config_hash:
        raise EvidenceDefectError(
            Reason.CONFIG_MISMATCH, f"measured with another configuration of {environment}"
        )


def _times(record: EvidenceRecord) -> tuple[int, int]:
    try:
        return int(record.started_at), int(record.measured_at)
    except ValueError as error:
        raise EvidenceDefectError(Reason.DURATION_IMPLAUSIBLE, "a time is not an integer") from error


def _check_times(criterion: Criterion, record: EvidenceRecord, now_ns: int) -> None:
    started_ns, measured_ns = _times(record)
    try:
        duration_ns, expires_ns = int(record.duration_ns), int(record.expires_at)
    except ValueError as error:
        raise EvidenceDefectError(Reason.DURATION_IMPLAUSIBLE, "a time is not an integer") from error
    wall_ns = measured_ns - started_ns
    tolerance_ns = DURATION_TOLERANCE_NS + abs(duration_ns) * DURATION_TOLERANCE_PPM // 1_000_000
    if wall_ns < 0 or duration_ns < 0 or abs(wall_ns - duration_ns) > tolerance_ns:
        detail = f"{wall_ns} ns on the wall clock, {duration_ns} ns on the monotonic clock"
        raise EvidenceDefectError(Reason.DURATION_IMPLAUSIBLE, detail)
    if measured_ns > now_ns + MAX_CLOCK_LEAD_NS:
        raise EvidenceDefectError(Reason.DURATION_IMPLAUSIBLE, "measured in the future")
    latest_ns = measured_ns + criterion.max_age_days * NS_PER_DAY
    if now_ns >= min(expires_ns, latest_ns):
        raise EvidenceDefectError(
            Reason.EXPIRED, f"older than {criterion.max_age_days} days or its own expiry"
        )


def _check_probe(criterion: Criterion, registry: Registry, record: EvidenceRecord) -> Probe:
    probe = registry.get(criterion.id)
    if probe is None or probe.version != record.producer.probe_version:
        raise EvidenceDefectError(Reason.NOT_BUILT, "this build has no such probe")
    if record.producer.exit_status != 0:
        raise EvidenceDefectError(
            Reason.NOT_RECOMPUTABLE, f"the probe ended with {record.producer.exit_status}"
        )
    if not record.mutation.red or values_satisfy(criterion, record.mutation.values):
        raise EvidenceDefectError(Reason.NOT_BUILT, "the check was not seen red under its mutation")
    return probe


def _check_recomputation(
    criterion: Criterion, probe: Probe, record: EvidenceRecord, raw_files: Mapping[str, bytes]
) -> None:
    if record.passed != (values_satisfy(criterion, record.values) and not record.not_run):
        raise EvidenceDefectError(Reason.NOT_RECOMPUTABLE, "the verdict does not follow from the values")
    if probe.recompute_values is None:
        if criterion.kind == "soak":
            raise EvidenceDefectError(Reason.NOT_RECOMPUTABLE, "a soak needs values that can be recomputed")
        return
    try:
        again = dict(probe.recompute_values(raw_files))
    except (ValueError, KeyError, TypeError) as error:
        raise EvidenceDefectError(
            Reason.NOT_RECOMPUTABLE, f"the raw files are not readable: {error}"
        ) from error
    if again != record.values:
        raise EvidenceDefectError(Reason.NOT_RECOMPUTABLE, "the raw files give other values")
