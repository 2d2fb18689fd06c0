"""Looking into and changing encoded commands on their way: how a mutation breaks the path to the engine."""

from __future__ import annotations

from typing import Any

from tradewind.core.native import command_kinds
from tradewind.core.records import codec


def is_command(frame: bytes, name: str) -> bool:
    """Whether a single frame is the command ``name``."""
    kind, operation, _ = command_kinds()[name]
    if len(frame) != codec("Command").size:
        return False
    fields = codec("Command").unpack(frame)
    return (fields["kind"], fields["op"]) == (kind, operation)


def _place(record: str, field: str) -> int:
    offset = next(place for name, place, _ in codec(record).fields if name == field)
    if record == "Command":
        return offset
    return offset + next(place for name, place, _ in codec("Command").fields if name == "payload")


def replaced(frame: bytes, record: str, field: str, value: bytes) -> bytes:
    """The frame with other bytes in a field of its envelope (``Command``) or of its payload's record."""
    offset = _place(record, field)
    return frame[:offset] + value + frame[offset + len(value) :]


def payload_of(frame: bytes, record: str) -> dict[str, Any]:
    """The payload's fields of a frame by name."""
    payload = codec("Command").unpack(frame)["payload"]
    return dict(codec(record).unpack(bytes(payload)[: codec(record).size]))
