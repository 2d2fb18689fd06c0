"""The kill order (T8.4): a file that forbids new risk even when nobody runs who could be asked.

Whoever pulls the switch writes it first and takes it away only after the halt was read back. A start that
finds one halts the account in the log before anything trades. Standard library only: the kill process has
to be quick.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

FILE: Final = "kill-order.json"
MAX_BYTES: Final = 16_384
MAX_TEXT: Final = 1_000
"""Longest actor or reason, in characters; what is beyond is cut off."""
UNREADABLE: Final = "the kill order cannot be read"


@dataclass(frozen=True, kw_only=True)
class KillOrder:
    """Who wants the trader halted, and why. `at_ns` is UTC."""

    actor: str
    reason: str
    at_ns: int


def write(data: Path, *, actor: str, reason: str) -> KillOrder:
    """Makes the order durable in the data directory. An order that stands there already stays as it is: the
    first reason is the one that counts. Raises `OSError`.
    """
    standing = pending(data)
    if standing is not None and standing.reason != UNREADABLE:
        return standing
    order = KillOrder(actor=actor[:MAX_TEXT], reason=reason[:MAX_TEXT], at_ns=time.time_ns())
    draft = data / f"{FILE}.draft-{os.getpid()}"
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, json.dumps(asdict(order)).encode())
        os.fsync(handle)
    finally:
        os.close(handle)
    draft.replace(data / FILE)
    _sync(data)
    return order


def pending(data: Path) -> KillOrder | None:
    """The order that waits to be obeyed. One that cannot be read is an order all the same: somebody wanted a
    halt, and the doubt is on the side of safety.
    """
    try:
        with (data / FILE).open("rb") as file:
            content = file.read(MAX_BYTES)
    except FileNotFoundError:
        return None
    except OSError:
        return KillOrder(actor="unknown", reason=UNREADABLE, at_ns=0)
    try:
        found = json.loads(content)
        return KillOrder(
            actor=str(found["actor"])[:MAX_TEXT],
            reason=str(found["reason"])[:MAX_TEXT],
            at_ns=int(found["at_ns"]),
        )
    except (ValueError, KeyError, TypeError):
        return KillOrder(actor="unknown", reason=UNREADABLE, at_ns=0)


def take_away(data: Path) -> None:
    """The halt was read back: the order has done its work. Raises `OSError`."""
    (data / FILE).unlink(missing_ok=True)
    _sync(data)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
