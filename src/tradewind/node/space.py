"""Free space of the journal's disk, and what is still allowed when it runs out (operations O2.3)."""

from __future__ import annotations

import shutil
from enum import StrEnum
from pathlib import Path

import msgspec

from tradewind.core import native
from tradewind.node.limits import NodeLimits

_REDUCING = (
    "CancelOrder",
    "CancelAll",
    "SetCancelAllAfter",
    "CloseMarket",
    "PauseMarket",
    "SuspendPrincipal",
    "RevokeRole",
    "CancelWithdrawal",
    "ConfirmWithdrawal",
    "UnlistAddress",
    "Tick",
    "Continue",
    "AdvanceTime",
    "Snapshot",
    "Checkpoint",
)
_REDUCING_CODES = frozenset(native.command_kinds()[name][:2] for name in _REDUCING)
_KIND_OFFSET = next(offset for name, offset, _ in native.field_tables()["Command"] if name == "kind")
_OP_OFFSET = next(offset for name, offset, _ in native.field_tables()["Command"] if name == "op")


class SpaceLevel(StrEnum):
    """How much room the disk has."""

    OK = "ok"
    WARN = "warn"
    PAGE = "page"
    RESERVED = "reserved"


class Space(msgspec.Struct, frozen=True):
    """A measurement of the journal's disk."""

    free_bytes: int
    total_bytes: int
    level: SpaceLevel


def measure(journal: Path, limits: NodeLimits, reserve_released: bool) -> Space:
    """
    Raises:
        OSError: the directory cannot be examined.
    """
    usage = shutil.disk_usage(journal)
    fraction = usage.free / usage.total if usage.total else 0.0
    if reserve_released or usage.free < limits.space_reserved_bytes:
        level = SpaceLevel.RESERVED
    elif fraction < limits.space_page_fraction:
        level = SpaceLevel.PAGE
    elif fraction < limits.space_warn_fraction:
        level = SpaceLevel.WARN
    else:
        level = SpaceLevel.OK
    return Space(usage.free, usage.total, level)


def only_reduces(commands: bytes) -> bool:
    """Whether every command lowers risk or closes something."""
    for start in range(0, len(commands), native.COMMAND_SIZE):
        kind = int.from_bytes(commands[start + _KIND_OFFSET : start + _KIND_OFFSET + 2], "little")
        if (kind, commands[start + _OP_OFFSET]) not in _REDUCING_CODES:
            return False
    return True
