"""The catalogue of readiness criteria, loaded strictly: one defect and nothing can be evaluated."""

from __future__ import annotations

import math
import operator
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any, Final

from tradewind.readiness.errors import CatalogueError, UnknownCriterionError, UnknownEnvironmentError
from tradewind.readiness.hashing import hash_bytes

SCHEMA_VERSION: Final = 1
ENVIRONMENTS: Final = ("sim", "paper", "testnet", "canary", "live")
ROLES: Final = ("engineering", "security", "operations", "legal", "executive")
KINDS: Final = ("auto", "static", "drill", "soak", "attest")
LAYERS: Final = (0, 1, 2, 3)
ANY_ENVIRONMENT: Final = "any"
MAX_CRITERIA: Final = 2_000
MAX_THRESHOLD_ROWS: Final = 32

COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "==": operator.eq,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}

_REQUIRED: Final = {
    "id": str,
    "title": str,
    "area": str,
    "source": list,
    "requirement": str,
    "kind": str,
    "stage": str,
    "evidence_from": str,
    "threshold": list,
    "max_age_days": int,
    "mutation": str,
}
_OPTIONAL: Final = {"signer": str, "layer": int, "renewal": str, "ramp_steps": list}
_ROW_KEYS: Final = {"metric", "op", "value", "unit", "role"}
_ID: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")


@dataclass(frozen=True, slots=True)
class Threshold:
    """One row: ``metric op value``. All rows of a criterion must hold."""

    metric: str
    op: str
    value: int | float
    unit: str
    role: str

    def holds(self, measured: int | float) -> bool:
        """Whether a measured value satisfies this row; NaN and infinities never do."""
        return math.isfinite(measured) and COMPARISONS[self.op](measured, self.value)

    def as_dict(self) -> dict[str, Any]:
        """The row as the catalogue writes it."""
        return {
            "metric": self.metric,
            "op": self.op,
            "value": self.value,
            "unit": self.unit,
            "role": self.role,
        }


@dataclass(frozen=True, slots=True)
class Criterion:
    """One requirement that must be shown. ``max_age_days`` is the age in days at which evidence expires."""

    id: str
    title: str
    area: str
    source: tuple[str, ...]
    requirement: str
    kind: str
    stage: str
    evidence_from: str
    threshold: tuple[Threshold, ...]
    max_age_days: int
    mutation: str
    signer: str | None
    layer: int
    renewal: str | None
    ramp_steps: tuple[Any, ...]


@dataclass(frozen=True)
class Catalogue:
    """All criteria in file order, and the hash that evidence records are bound to."""

    criteria: tuple[Criterion, ...]
    catalogue_hash: str

    @cached_property
    def by_id(self) -> Mapping[str, Criterion]:
        """Criteria by their stable id."""
        return {criterion.id: criterion for criterion in self.criteria}

    def get(self, criterion_id: str) -> Criterion:
        """The criterion of this id. Raises UnknownCriterionError."""
        found = self.by_id.get(criterion_id)
        if found is None:
            raise UnknownCriterionError(f"no criterion {criterion_id!r} in the catalogue")
        return found

    def demanded_by(self, environment: str) -> tuple[Criterion, ...]:
        """Every criterion whose stage is at or below ``environment``. Raises UnknownEnvironmentError."""
        rank = environment_rank(environment)
        return tuple(item for item in self.criteria if environment_rank(item.stage) <= rank)


def environment_rank(environment: str) -> int:
    """Position on the ladder, 0 = sim. Raises UnknownEnvironmentError."""
    if environment not in ENVIRONMENTS:
        raise UnknownEnvironmentError(
            f"unknown environment {environment!r}; one of {', '.join(ENVIRONMENTS)}"
        )
    return ENVIRONMENTS.index(environment)


def load_catalogue(data: bytes | None = None) -> Catalogue:
    """Parses and validates ``data``, by default the catalogue shipped with this build.

    Raises CatalogueError naming the criterion and the problem.
    """
    if data is None:
        data = resources.files("tradewind.readiness").joinpath("criteria.toml").read_bytes()
    try:
        document = tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CatalogueError(None, f"not readable as TOML: {error}") from error
    _check_header(document)
    entries = document["criterion"]
    criteria = tuple(_parse_criterion(entry) for entry in entries)
    _check_unique_ids(criteria)
    return Catalogue(criteria=criteria, catalogue_hash=hash_bytes(data))


def _check_header(document: Mapping[str, Any]) -> None:
    unknown = set(document) - {"schema_version", "stages", "roles", "criterion"}
    if unknown:
        raise CatalogueError(None, f"unknown key {min(unknown)!r} at the top level")
    if document.get("schema_version") != SCHEMA_VERSION:
        raise CatalogueError(None, f"schema_version {document.get('schema_version')!r}, not {SCHEMA_VERSION}")
    if document.get("stages") != list(ENVIRONMENTS):
        raise CatalogueError(None, f"stages must be {list(ENVIRONMENTS)}")
    if document.get("roles") != list(ROLES):
        raise CatalogueError(None, f"roles must be {list(ROLES)}")
    entries = document.get("criterion")
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_CRITERIA:
        raise CatalogueError(None, f"between 1 and {MAX_CRITERIA} criteria are expected")


def _check_unique_ids(criteria: tuple[Criterion, ...]) -> None:
    seen: set[str] = set()
    for criterion in criteria:
        if criterion.id in seen:
            raise CatalogueError(criterion.id, "duplicate id")
        seen.add(criterion.id)


def _parse_criterion(entry: Any) -> Criterion:
    if not isinstance(entry, dict):
        raise CatalogueError(None, "a criterion must be a table")
    name = entry.get("id") if isinstance(entry.get("id"), str) else None
    _check_keys(name, entry)
    criterion = Criterion(
        id=entry["id"],
        title=entry["title"],
        area=entry["area"],
        source=tuple(entry["source"]),
        requirement=entry["requirement"],
        kind=entry["kind"],
        stage=entry["stage"],
        evidence_from=entry["evidence_from"],
        threshold=tuple(_parse_row(name, row) for row in entry["threshold"][: MAX_THRESHOLD_ROWS + 1]),
        max_age_days=entry["max_age_days"],
        mutation=entry["mutation"],
        signer=entry.get("signer"),
        layer=entry.get("layer", 0),
        renewal=entry.get("renewal"),
        ramp_steps=tuple(entry.get("ramp_steps", ())),
    )
    _check_values(criterion)
    return criterion


def _check_keys(name: str | None, entry: Mapping[str, Any]) -> None:
    unknown = set(entry) - set(_REQUIRED) - set(_OPTIONAL)
    if unknown:
        raise CatalogueError(name, f"unknown key {min(unknown)!r}")
    for key, kind in _REQUIRED.items():
        if key not in entry:
            raise CatalogueError(name, f"key {key!r} is missing")
        _check_type(name, key, entry[key], kind)
        if kind in (str, list) and not entry[key]:
            raise CatalogueError(name, f"{key} is empty")
    for key, kind in _OPTIONAL.items():
        if key in entry:
            _check_type(name, key, entry[key], kind)


def _check_type(name: str | None, key: str, value: Any, kind: type) -> None:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise CatalogueError(name, f"{key} must be {kind.__name__}, not {type(value).__name__}")


def _check_values(criterion: Criterion) -> None:
    """Closed vocabularies and the cross-field rules of the catalogue's head comment."""

    def demand(condition: bool, problem: str) -> None:
        if not condition:
            raise CatalogueError(criterion.id, problem)

    demand(_ID.fullmatch(criterion.id) is not None, "the id is not kebab-case")
    demand(
        criterion.id.startswith(f"{criterion.area}-"), f"the id must begin with its area {criterion.area!r}"
    )
    demand(criterion.kind in KINDS, f"bad kind {criterion.kind!r}")
    demand(criterion.stage in ENVIRONMENTS, f"bad stage {criterion.stage!r}")
    origins = (*ENVIRONMENTS, ANY_ENVIRONMENT)
    demand(criterion.evidence_from in origins, f"bad evidence_from {criterion.evidence_from!r}")
    demand(criterion.layer in LAYERS, f"bad layer {criterion.layer!r}")
    demand(criterion.renewal in (None, "once"), f"bad renewal {criterion.renewal!r}")
    demand(criterion.max_age_days > 0, "max_age_days must be positive")
    demand(len(criterion.threshold) <= MAX_THRESHOLD_ROWS, f"more than {MAX_THRESHOLD_ROWS} threshold rows")
    demand(
        (criterion.kind == "attest") == (criterion.signer is not None),
        "signer belongs to kind attest, and only there",
    )
    demand(criterion.signer is None or criterion.signer in ROLES, f"bad signer {criterion.signer!r}")
    demand(all(isinstance(item, str) for item in criterion.source), "source must list strings")


def _parse_row(name: str | None, row: Any) -> Threshold:
    if not isinstance(row, dict) or set(row) != _ROW_KEYS:
        raise CatalogueError(name, f"a threshold row has exactly the keys {sorted(_ROW_KEYS)}")
    if row["op"] not in COMPARISONS:
        raise CatalogueError(name, f"bad op {row['op']!r}")
    if row["role"] not in ("floor", "sound"):
        raise CatalogueError(name, f"bad threshold role {row['role']!r}")
    value = row["value"]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise CatalogueError(name, f"threshold value {value!r} is not a finite number")
    for key in ("metric", "unit"):
        if not isinstance(row[key], str) or not row[key]:
            raise CatalogueError(name, f"threshold {key} must be a non-empty string")
    return Threshold(row["metric"], row["op"], value, row["unit"], row["role"])
