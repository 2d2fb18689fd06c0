"""Producing evidence: prove that the check can be red, measure, evaluate, sign, store."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tradewind.readiness.catalogue import Catalogue, Criterion
from tradewind.readiness.errors import ProbeDefectError, ReadinessError
from tradewind.readiness.hashing import new_ulid
from tradewind.readiness.identity import Identity
from tradewind.readiness.machine import describe_clock, describe_machine, monotonic_ns, operator_identity
from tradewind.readiness.probe import Measure, Measurement, Probe, ProbeContext
from tradewind.readiness.record import EvidenceRecord, MeasuredValue, MutationRun, Producer
from tradewind.readiness.signing import KeyRing, sign_record
from tradewind.readiness.store import EvidenceStore, describe_artefacts
from tradewind.readiness.verify import NS_PER_DAY, row_defect, threshold_rows, values_satisfy


@dataclass(frozen=True, slots=True)
class _Timing:
    started_ns: int
    measured_ns: int
    duration_ns: int


@dataclass(frozen=True, slots=True)
class Laboratory:
    """Where and for which build evidence is produced."""

    catalogue: Catalogue
    environment: str
    identity: Identity
    data_dir: Path
    source_root: Path | None
    command: Sequence[str]
    soak_s: float | None = None
    tell: Callable[[str], None] = field(default=lambda _: None, compare=False)


def produce(laboratory: Laboratory, criterion: Criterion, probe: Probe) -> EvidenceRecord:
    """Runs a probe and stores its signed evidence, green or red.

    Raises ProbeDefectError, CannotMeasureError, SigningKeyError, EvidenceStoreError; then nothing is stored.
    """
    with tempfile.TemporaryDirectory(prefix="tradewind-evidence-") as name:
        context = ProbeContext(
            laboratory.environment,
            laboratory.data_dir,
            laboratory.source_root,
            Path(name),
            soak_s=laboratory.soak_s,
            tell=laboratory.tell,
        )
        mutation = _prove_red(criterion, probe, replace(context, scratch=_subfolder(Path(name), "mutation")))
        started_ns, started_monotonic_ns = time.time_ns(), monotonic_ns()
        scratch = _subfolder(Path(name), "measurement")
        measurement = _run(probe.measure, probe, replace(context, scratch=scratch))
        timing = _Timing(started_ns, time.time_ns(), monotonic_ns() - started_monotonic_ns)
    _check_metrics(criterion, measurement.values)
    record = _assemble(
        laboratory=laboratory,
        criterion=criterion,
        probe=probe,
        measurement=measurement,
        mutation=mutation,
        timing=timing,
    )
    envelope = sign_record(record, KeyRing(laboratory.data_dir))
    EvidenceStore(laboratory.data_dir).write(criterion.id, record.id, envelope, measurement.artefacts)
    return record


def _run(function: Measure, probe: Probe, context: ProbeContext) -> Measurement:
    """Runs one function of a probe; a crash is a defect of the probe and must not stop the other probes."""
    try:
        return function(context)
    except ReadinessError:
        raise
    except Exception as error:
        detail = f"{type(error).__name__}: {error}"
        raise ProbeDefectError(f"{probe.criterion_id}: the probe crashed: {detail}") from error


def _subfolder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder


def _prove_red(criterion: Criterion, probe: Probe, context: ProbeContext) -> MutationRun:
    """A control that was never seen to fire is not a control: the mutated subject must fail first."""
    if probe.mutate is None:
        raise ProbeDefectError(f"{criterion.id}: the probe has no mutation")
    broken = _run(probe.mutate, probe, context)
    _check_metrics(criterion, broken.values)
    if not measured_red(criterion, broken.values):
        raise ProbeDefectError(f"{criterion.id}: still green after this mutation: {criterion.mutation}")
    return MutationRun(dict(broken.values), red=True)


def measured_red(criterion: Criterion, values: Mapping[str, MeasuredValue]) -> bool:
    """Whether a row fails on a number that was measured. A row which nothing measures proves no control."""
    return any(
        row.metric in values and row_defect(criterion, values, index) is not None
        for index, row in enumerate(criterion.threshold)
    )


def _check_metrics(criterion: Criterion, values: Mapping[str, MeasuredValue]) -> None:
    """Every value belongs to a row. A row without a value is allowed: it stays red as not measured."""
    wanted = {row.metric: row.unit for row in criterion.threshold}
    given = {metric: value.unit for metric, value in values.items()}
    if not given or not given.items() <= wanted.items():
        raise ProbeDefectError(f"{criterion.id}: the probe measures {given}, the catalogue asks {wanted}")


def _assemble(
    *,
    laboratory: Laboratory,
    criterion: Criterion,
    probe: Probe,
    measurement: Measurement,
    mutation: MutationRun,
    timing: _Timing,
) -> EvidenceRecord:
    identity = laboratory.identity
    return EvidenceRecord(
        id=new_ulid(timing.measured_ns),
        criterion=criterion.id,
        catalogue_hash=laboratory.catalogue.catalogue_hash,
        producer=Producer(list(laboratory.command), probe.version, 0, operator_identity()),
        values=dict(measurement.values),
        threshold=threshold_rows(criterion),
        passed=values_satisfy(criterion, measurement.values) and not measurement.not_run,
        not_run=list(measurement.not_run),
        mutation=mutation,
        environment=laboratory.environment,
        provenance=measurement.provenance,
        started_at=str(timing.started_ns),
        measured_at=str(timing.measured_ns),
        duration_ns=str(timing.duration_ns),
        clock=describe_clock(),
        build_hash=identity.build_hash,
        config_hash=identity.config_hash,
        base_hash=identity.base_hash,
        scope=dict(identity.components),
        machine=describe_machine(laboratory.data_dir),
        journal=measurement.journal,
        artefacts=describe_artefacts(measurement.artefacts),
        expires_at=str(timing.measured_ns + criterion.max_age_days * NS_PER_DAY),
    )
