"""Archives of settled markets: written, synced, read back and compared before anything is pruned (P1.6.5)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from tradewind.core.errors import reject
from tradewind.core.hashing import blake3
from tradewind.core.market_record import read_records

ARCHIVE_FOLDER: Final = "archive"
SUFFIX: Final = ".twm"
PRIVATE_MODE: Final = 0o600


def archive_path(data: Path, market_id: bytes) -> Path:
    """Where the records of a market lie once it is archived."""
    return data / ARCHIVE_FOLDER / f"{market_id.hex()}{SUFFIX}"


def write_archive(path: Path, records: bytes, market_id: bytes) -> bytes:
    """BLAKE3 of what lies on the disk behind `path` afterwards.

    A market that was archived and not pruned may have changed since (its verse): its archive is replaced.

    Raises:
        Rejected: EVIDENCE_INVALID, when what was read back is not what was written, or another market's.
        OSError: the disk refuses.
    """
    if not path.exists() or path.read_bytes() != records:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = path.with_suffix(".partial")
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_MODE)
        with os.fdopen(handle, "wb") as file:
            file.write(records)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    found = path.read_bytes()
    if found != records or [one["market_id"] for one in read_records(found)] != [market_id]:
        raise reject("EVIDENCE_INVALID", bound=len(records), given=len(found))
    return blake3(found)
