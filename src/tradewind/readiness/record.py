"""The evidence record and its signed envelope (DSSE around an in-toto statement).

All times are UTC in integer nanoseconds, written as decimal strings: canonical JSON ends at 2^53.
"""

from __future__ import annotations

import base64
from typing import Any, Final, Literal

import msgspec
import rfc8785

from tradewind.readiness.errors import EvidenceDefectError, ProbeDefectError, Reason

PREDICATE_TYPE: Final = "tradewind/evidence/v1"
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
SUBJECT_NAME: Final = "tradewind"
MAX_RECORD_BYTES: Final = 1 << 20
MAX_SIGNATURES: Final = 1

Provenance = Literal["virtual", "emulated", "real"]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every field is mandatory and nothing else is allowed."""


class MeasuredValue(_Strict, frozen=True):
    """One metric: its value, the unit of the catalogue, and how many samples it rests on."""

    value: int | float
    unit: str
    samples: int


class ThresholdRow(_Strict, frozen=True):
    """A threshold row copied from the catalogue."""

    metric: str
    op: str
    value: int | float
    unit: str
    role: str


class Producer(_Strict, frozen=True):
    """Who measured: exact command line, probe version, exit status of the probe, and identity."""

    command: list[str]
    probe_version: int
    exit_status: int
    identity: str


class Clock(_Strict, frozen=True):
    """Clock sources; ``skew_bound_ns`` is None where no bound is known."""

    wall: str
    monotonic: str
    skew_bound_ns: str | None


class Machine(_Strict, frozen=True):
    """The machine of the measurement; ``hostname_hash`` instead of the name."""

    cpu: str
    cpu_count: int
    memory_bytes: int
    kernel: str
    storage: str
    hostname_hash: str
    co_tenants: str


class JournalRange(_Strict, frozen=True):
    """The part of the log that the measurement covers, with the block hash at both ends."""

    shard: int
    first_seq: int
    last_seq: int
    first_hash: str
    last_hash: str


class Artefact(_Strict, frozen=True):
    """A raw file beside the record."""

    name: str
    size_bytes: int
    blake3: str


class MutationRun(_Strict, frozen=True):
    """The same probe on a broken subject, just before the measurement: it must be red."""

    values: dict[str, MeasuredValue]
    red: bool


class EvidenceRecord(_Strict, frozen=True):
    """What was measured, of what, by what, when and where."""

    id: str
    criterion: str
    catalogue_hash: str
    producer: Producer
    values: dict[str, MeasuredValue]
    threshold: list[ThresholdRow]
    passed: bool
    not_run: list[str]
    mutation: MutationRun
    environment: str
    provenance: Provenance
    started_at: str
    measured_at: str
    duration_ns: str
    clock: Clock
    build_hash: str
    config_hash: str
    base_hash: str
    scope: dict[str, str]
    machine: Machine
    journal: JournalRange | Literal["none"]
    artefacts: list[Artefact]
    expires_at: str


class _Digest(_Strict, frozen=True):
    blake3: str


class _Subject(_Strict, frozen=True):
    name: str
    digest: _Digest


class _Statement(_Strict, frozen=True, rename={"type": "_type", "predicate_type": "predicateType"}):
    type: str
    subject: list[_Subject]
    predicate_type: str
    predicate: EvidenceRecord


class Signature(_Strict, frozen=True):
    """An Ed25519 signature (base 64) and the id of the key that made it."""

    keyid: str
    sig: str


class Envelope(_Strict, frozen=True, rename="camel"):
    """A DSSE envelope. ``payload`` is the canonical JSON of the statement, base 64."""

    payload_type: str
    payload: str
    signatures: list[Signature]


def encode_statement(record: EvidenceRecord) -> bytes:
    """Canonical JSON (RFC 8785) of the statement around ``record``. Raises ProbeDefectError."""
    statement = _Statement(
        type=STATEMENT_TYPE,
        subject=[_Subject(SUBJECT_NAME, _Digest(record.build_hash))],
        predicate_type=PREDICATE_TYPE,
        predicate=record,
    )
    return canonical(msgspec.to_builtins(statement))


def canonical(value: Any) -> bytes:
    """Canonical JSON of plain data. Raises ProbeDefectError for what has no canonical form."""
    try:
        return rfc8785.dumps(value)
    except rfc8785.CanonicalizationError as error:
        raise ProbeDefectError(f"not expressible as canonical JSON: {error}") from error


def decode_statement(payload: bytes) -> EvidenceRecord:
    """The record inside a statement whose signature was checked. Raises EvidenceDefectError."""
    try:
        statement = msgspec.json.decode(payload, type=_Statement)
    except msgspec.DecodeError as error:
        raise EvidenceDefectError(Reason.BAD_SIGNATURE, f"the statement is malformed: {error}") from error
    record = statement.predicate
    subjects = [(subject.name, subject.digest.blake3) for subject in statement.subject]
    if statement.type != STATEMENT_TYPE or statement.predicate_type != PREDICATE_TYPE:
        raise EvidenceDefectError(Reason.BAD_SIGNATURE, "the statement is not tradewind evidence")
    if subjects != [(SUBJECT_NAME, record.build_hash)]:
        raise EvidenceDefectError(Reason.BAD_SIGNATURE, "the subject is not the build of the record")
    return record


def pre_authentication_encoding(payload: bytes) -> bytes:
    """The bytes that are signed: type and payload with their lengths (DSSE v1)."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def decode_base64(text: str) -> bytes:
    """Decodes the one canonical spelling only. Raises ValueError, also for unused bits that are set."""
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError("not the canonical base 64 of its bytes")
    return data


def decode_envelope(data: bytes) -> tuple[Envelope, bytes]:
    """The envelope and its payload. Raises EvidenceDefectError for anything malformed."""
    if len(data) > MAX_RECORD_BYTES:
        raise EvidenceDefectError(Reason.BAD_SIGNATURE, f"{len(data)} bytes, more than {MAX_RECORD_BYTES}")
    try:
        envelope = msgspec.json.decode(data, type=Envelope)
        payload = decode_base64(envelope.payload)
    except (msgspec.DecodeError, ValueError) as error:
        raise EvidenceDefectError(Reason.BAD_SIGNATURE, f"the envelope is malformed: {error}") from error
    if envelope.payload_type != PAYLOAD_TYPE or len(envelope.signatures) != MAX_SIGNATURES:
        raise EvidenceDefectError(Reason.BAD_SIGNATURE, "wrong payload type or number of signatures")
    return envelope, payload
