"""Evidence on disk: ``DATA/evidence/<criterion>/<ulid>.json`` with its raw files in ``<ulid>/``."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tradewind.readiness.errors import EvidenceDefectError, EvidenceStoreError, Reason
from tradewind.readiness.hashing import hash_bytes, is_ulid
from tradewind.readiness.record import MAX_RECORD_BYTES, Artefact

MAX_RECORDS_PER_CRITERION: Final = 10_000
MAX_ARTEFACTS: Final = 64
MAX_ARTEFACT_BYTES: Final = 64 << 20
_ARTEFACT_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class EvidenceStore:
    """The evidence directory of one data directory. Records are written once and never changed."""

    def __init__(self, data_dir: Path) -> None:
        self.root = data_dir / "evidence"

    def record_ids(self, criterion_id: str) -> list[str]:
        """Record ids of a criterion, newest first. Raises EvidenceStoreError when unreadable."""
        folder = self.root / criterion_id
        try:
            names = [entry.name for entry in os.scandir(folder)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise EvidenceStoreError(f"{folder} is not readable: {error}") from error
        ids = [name[:-5] for name in names if name.endswith(".json") and is_ulid(name[:-5])]
        if len(ids) > MAX_RECORDS_PER_CRITERION:
            raise EvidenceStoreError(
                f"{folder} holds {len(ids)} records, more than {MAX_RECORDS_PER_CRITERION}"
            )
        return sorted(ids, reverse=True)

    def criterion_of(self, record_id: str) -> str | None:
        """The criterion that a record belongs to, or None when there is no such record."""
        if not is_ulid(record_id) or not self.root.is_dir():
            return None
        found = (path.parent.name for path in self.root.glob(f"*/{record_id}.json"))
        return next(found, None)

    def read(self, criterion_id: str, record_id: str) -> bytes:
        """The envelope's bytes. Raises EvidenceDefectError."""
        path = self.root / criterion_id / f"{record_id}.json"
        try:
            return _read_bounded(path, MAX_RECORD_BYTES)
        except OSError as error:
            raise EvidenceDefectError(Reason.BAD_SIGNATURE, f"the record is not readable: {error}") from error

    def read_artefacts(self, criterion_id: str, record_id: str, listed: list[Artefact]) -> dict[str, bytes]:
        """Every raw file that the record lists, verified. Raises EvidenceDefectError naming the file."""
        if not 1 <= len(listed) <= MAX_ARTEFACTS or len({item.name for item in listed}) != len(listed):
            raise EvidenceDefectError(Reason.ARTEFACT_MISSING, f"{len(listed)} raw files are listed")
        folder = self.root / criterion_id / record_id
        return {item.name: _read_artefact(folder, item) for item in listed}

    def write(
        self, criterion_id: str, record_id: str, envelope: bytes, artefacts: Mapping[str, bytes]
    ) -> Path:
        """Stores the raw files, then the record, each durable before the next. Raises EvidenceStoreError."""
        folder = self.root / criterion_id
        try:
            raw_folder = folder / record_id
            raw_folder.mkdir(parents=True)
            for name, content in artefacts.items():
                _write_durably(raw_folder / name, content)
            path = folder / f"{record_id}.json"
            _write_durably(path, envelope)
        except OSError as error:
            raise EvidenceStoreError(f"evidence of {criterion_id} cannot be written: {error}") from error
        return path


def describe_artefacts(artefacts: Mapping[str, bytes]) -> list[Artefact]:
    """Name, size and hash of raw files, checked against the bounds. Raises EvidenceStoreError."""
    if not 1 <= len(artefacts) <= MAX_ARTEFACTS:
        raise EvidenceStoreError(f"{len(artefacts)} raw files; between 1 and {MAX_ARTEFACTS} are expected")
    for name, content in artefacts.items():
        if not _ARTEFACT_NAME.fullmatch(name):
            raise EvidenceStoreError(f"{name!r} is not a plain file name")
        if len(content) > MAX_ARTEFACT_BYTES:
            raise EvidenceStoreError(f"{name} has {len(content)} bytes, more than {MAX_ARTEFACT_BYTES}")
    return [Artefact(name, len(content), hash_bytes(content)) for name, content in sorted(artefacts.items())]


def _read_artefact(folder: Path, item: Artefact) -> bytes:
    if not _ARTEFACT_NAME.fullmatch(item.name):
        raise EvidenceDefectError(Reason.ARTEFACT_MISSING, f"{item.name!r} is not a plain file name")
    try:
        content = _read_bounded(folder / item.name, MAX_ARTEFACT_BYTES)
    except OSError as error:
        raise EvidenceDefectError(Reason.ARTEFACT_MISSING, f"{item.name} is not readable: {error}") from error
    if len(content) != item.size_bytes or hash_bytes(content) != item.blake3:
        raise EvidenceDefectError(Reason.ARTEFACT_MISMATCH, f"{item.name} is not the file that was measured")
    return content


def _read_bounded(path: Path, limit_bytes: int) -> bytes:
    """Reads a regular file, never through a link; one byte above the limit makes the excess visible."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as handle:
        return handle.read(limit_bytes + 1)


def _write_durably(path: Path, content: bytes) -> None:
    """Write beside, sync, rename, sync the folder: a crash leaves the old state or the new one."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("xb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.rename(path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
