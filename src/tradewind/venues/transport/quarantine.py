"""A key that is out of use, in a file beside its lock: over restarts, until an operator releases it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import msgspec
import structlog

from tradewind.venues.transport import durable

log = structlog.get_logger("tradewind.venues.quarantine")
MAX_BYTES: Final = 4_096
MAX_REASON_CHARACTERS: Final = 200
UNREADABLE: Final = "UnreadableQuarantine"


class Quarantine(msgspec.Struct, frozen=True, kw_only=True):
    """Why a key is out of use, and since when (wall clock)."""

    reason: str
    at_ns: int


def place_of(lock: Path) -> Path:
    """The file of the key whose lock this is."""
    return lock.with_suffix(".quarantine")


def read(path: Path) -> Quarantine | None:
    """None: the key is in use. A file that cannot be read keeps the key out of use."""
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(MAX_BYTES), type=Quarantine)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError):
        return Quarantine(reason=UNREADABLE, at_ns=0)


def write(path: Path, reason: str) -> None:
    """Durably. A disk that refuses is logged: the process itself does not use the key any more anyway."""
    try:
        record = Quarantine(reason=reason[:MAX_REASON_CHARACTERS], at_ns=time.time_ns())
        durable.replace(path, msgspec.json.encode(record) + b"\n")
    except OSError as error:
        log.critical("quarantine_not_kept", reason=error.strerror)


def release(path: Path) -> bool:
    """The key may be used again; whether it was out of use. Raises `OSError`."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    durable.sync_folder(path.parent)
    return True
