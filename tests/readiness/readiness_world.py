"""A small world for the gate: a catalogue, probes that measure numbers in a file, and a signed store."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from tradewind.readiness.catalogue import Catalogue, Criterion
from tradewind.readiness.evidence import Laboratory, produce
from tradewind.readiness.gate import CriterionResult, GateResult, evaluate, evaluate_criterion
from tradewind.readiness.identity import Identity, current_identity
from tradewind.readiness.probe import Measurement, ProbeContext, Registry
from tradewind.readiness.record import EvidenceRecord, MeasuredValue
from tradewind.readiness.signing import KeyRing, sign_record
from tradewind.readiness.store import EvidenceStore
from tradewind.readiness.verify import Verifier


def passing_value(op: str, value: float) -> float:
    """A number that satisfies ``op value``."""
    return value + {"<": -1, ">": 1}.get(op, 0)


def failing_value(op: str, value: float) -> float:
    """A number that does not."""
    return value + {"==": 1, "<=": 1, "<": 0, ">=": -1, ">": 0}[op]


def values_of(criterion: Criterion, pick: Callable[[str, float], float]) -> dict[str, MeasuredValue]:
    """A measurement in which every row gets the value that ``pick`` chooses."""
    return {row.metric: MeasuredValue(pick(row.op, row.value), row.unit, 1) for row in criterion.threshold}


def raw(values: dict[str, MeasuredValue]) -> bytes:
    return json.dumps(msgspec.to_builtins(values)).encode()


def from_raw(files: Mapping[str, bytes]) -> dict[str, MeasuredValue]:
    content = json.loads(files["raw.json"])
    return msgspec.convert(content, dict[str, MeasuredValue])


@dataclass
class World:
    """One data directory, in which every criterion of the catalogue has a probe."""

    data_dir: Path
    catalogue: Catalogue
    identity: Identity
    environment: str = "paper"
    registry: Registry = field(default_factory=Registry)
    now_ns: int = field(default_factory=time.time_ns)

    @property
    def store(self) -> EvidenceStore:
        return EvidenceStore(self.data_dir)

    def add_probe(self, criterion: Criterion, *, green: bool = True) -> None:
        pick = passing_value if green else failing_value

        def measure(context: ProbeContext) -> Measurement:
            values = values_of(criterion, pick)
            return Measurement(values, {"raw.json": raw(values)})

        def broken(context: ProbeContext) -> Measurement:
            values = values_of(criterion, failing_value)
            return Measurement(values, {"raw.json": raw(values)})

        entry = self.registry.probe(criterion.id)(measure)
        entry.mutation(broken)
        entry.recompute(from_raw)

    def measure(self, criterion_id: str, environment: str | None = None) -> EvidenceRecord:
        env = environment or self.environment
        identity = replace(self.identity, **{"config_hash": current_identity(env, self.data_dir).config_hash})
        laboratory = Laboratory(self.catalogue, env, identity, self.data_dir, None, ["tradewind", "test"])
        probe = self.registry.get(criterion_id)
        assert probe is not None
        return produce(laboratory, self.catalogue.get(criterion_id), probe)

    def resign(self, record: EvidenceRecord) -> None:
        """Stores ``record`` with a valid signature, in place of the one with its id."""
        envelope = sign_record(record, KeyRing(self.data_dir))
        (self.store.root / record.criterion / f"{record.id}.json").write_bytes(envelope)

    def verifier(self, **changes: object) -> Verifier:
        verifier = Verifier(
            catalogue=self.catalogue,
            environment=self.environment,
            identity=self.identity,
            store=self.store,
            keys=KeyRing(self.data_dir),
            registry=self.registry,
            now_ns=time.time_ns(),
        )
        return replace(verifier, **changes)

    def state(self, criterion_id: str, **changes: object) -> CriterionResult:
        return evaluate_criterion(self.verifier(**changes), self.catalogue.get(criterion_id))

    def gate(self, **changes: object) -> GateResult:
        return evaluate(self.verifier(**changes))
