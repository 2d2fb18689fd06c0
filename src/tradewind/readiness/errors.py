"""Typed errors and the closed list of reasons why a criterion is red."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why evidence does not count. The names are a contract: reports and alerts key on them."""

    MISSING_EVIDENCE = "MissingEvidence"
    EXPIRED = "Expired"
    BUILD_MISMATCH = "BuildMismatch"
    CONFIG_MISMATCH = "ConfigMismatch"
    CATALOGUE_MISMATCH = "CatalogueMismatch"
    BAD_SIGNATURE = "BadSignature"
    ARTEFACT_MISSING = "ArtefactMissing"
    ARTEFACT_MISMATCH = "ArtefactMismatch"
    NOT_RECOMPUTABLE = "NotRecomputable"
    DURATION_IMPLAUSIBLE = "DurationImplausible"
    PROVENANCE_TOO_LOW = "ProvenanceTooLow"
    THRESHOLD_FAILED = "ThresholdFailed"
    NOT_BUILT = "NotBuilt"


class ReadinessError(Exception):
    """Base of every error of this package. ``code`` is stable, the message names the violated rule."""

    code = "READINESS_ERROR"


class CatalogueError(ReadinessError):
    """The catalogue is not usable: the gate cannot be evaluated and is therefore red."""

    code = "CATALOGUE_INVALID"

    def __init__(self, criterion: str | None, problem: str) -> None:
        self.criterion = criterion
        self.problem = problem
        super().__init__(f"criterion {criterion!r}: {problem}" if criterion else problem)


class UnknownEnvironmentError(ReadinessError):
    """The named environment is not a step of the ladder."""

    code = "ENVIRONMENT_UNKNOWN"


class UnknownCriterionError(ReadinessError):
    """No criterion of this id is in the catalogue."""

    code = "CRITERION_UNKNOWN"


class EvidenceStoreError(ReadinessError):
    """The evidence directory cannot be read or written."""

    code = "EVIDENCE_STORE"


class EvidenceDefectError(ReadinessError):
    """One record does not count. ``reason`` is what the gate shows."""

    code = "EVIDENCE_DEFECT"

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason.value}: {detail}")


class SigningKeyError(ReadinessError):
    """The producer key of an environment is absent, unreadable, exposed or not available here."""

    code = "SIGNING_KEY"


class ProbeDefectError(ReadinessError):
    """A probe broke its contract: wrong metrics or units, or its own mutation did not turn it red."""

    code = "PROBE_DEFECT"


class CannotMeasureError(ReadinessError):
    """The subject of the measurement is not here (no source tree, no tool, no running system)."""

    code = "CANNOT_MEASURE"
