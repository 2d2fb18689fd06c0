"""Probes: functions that measure one criterion on the real thing, and the mutation that must turn each red.

A probe never reads a flag and never decides about green: it returns values, the thresholds decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from tradewind.readiness.errors import CannotMeasureError, ProbeDefectError
from tradewind.readiness.record import JournalRange, MeasuredValue, Provenance

MAX_PROBES: Final = 2_000


@dataclass(frozen=True, slots=True)
class ProbeContext:
    """Where a probe may look. ``source_root`` is None when the product runs from an installed wheel."""

    environment: str
    data_dir: Path
    source_root: Path | None
    scratch: Path
    soak_s: float | None = None
    """A soak shall last so long instead of its full time: it is then no evidence, only a trial."""
    tell: Callable[[str], None] = field(default=lambda _: None, compare=False)
    """How a long measurement says where it stands, a line at a time."""

    def require_source(self) -> Path:
        """The source tree. Raises CannotMeasureError when there is none."""
        if self.source_root is None:
            raise CannotMeasureError(
                "this check reads the source tree, which is not part of the installed package"
            )
        return self.source_root


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a probe saw. ``not_run`` names unmeasured parts of the requirement: they keep it red."""

    values: Mapping[str, MeasuredValue]
    artefacts: Mapping[str, bytes]
    provenance: Provenance = "real"
    journal: JournalRange | Literal["none"] = "none"
    not_run: Sequence[str] = ()


Measure = Callable[[ProbeContext], Measurement]
Recompute = Callable[[Mapping[str, bytes]], Mapping[str, MeasuredValue]]


@dataclass(slots=True)
class Probe:
    """A registered measurement of one criterion."""

    criterion_id: str
    version: int
    measure: Measure
    reads_journal: bool = False
    mutate: Measure | None = None
    recompute_values: Recompute | None = None

    def mutation(self, function: Measure) -> Measure:
        """Registers the same measurement on a subject broken as the catalogue says: it must be red."""
        self.mutate = function
        return function

    def recompute(self, function: Recompute) -> Recompute:
        """Registers the function which computes the values again from the raw files."""
        self.recompute_values = function
        return function


@dataclass(slots=True)
class Registry:
    """The probes of this build by criterion id; at most one each."""

    probes: dict[str, Probe] = field(default_factory=dict)

    def probe(
        self, criterion_id: str, *, version: int = 1, reads_journal: bool = False
    ) -> Callable[[Measure], Probe]:
        """Decorator: registers the probe of ``criterion_id``. A second one raises ProbeDefectError."""

        def register(function: Measure) -> Probe:
            if criterion_id in self.probes:
                raise ProbeDefectError(f"{criterion_id} has two probes")
            if len(self.probes) >= MAX_PROBES:
                raise ProbeDefectError(f"more than {MAX_PROBES} probes")
            entry = Probe(criterion_id, version, function, reads_journal)
            self.probes[criterion_id] = entry
            return entry

        return register

    def get(self, criterion_id: str) -> Probe | None:
        """The probe of a criterion, or None when it is not built yet."""
        return self.probes.get(criterion_id)

    def __iter__(self) -> Iterator[Probe]:
        return iter(self.probes.values())


REGISTRY: Final = Registry()
probe = REGISTRY.probe


def count(value: int, samples: int) -> MeasuredValue:
    """A number of things found in ``samples`` places looked at."""
    return MeasuredValue(value, "count", samples)


def built_probes() -> Registry:
    """The registry with every probe of this build loaded."""
    from tradewind.readiness.probes import load_all

    load_all()
    return REGISTRY
