"""Rows of a recording as the peers read them. Runs in the interpreter of a peer: standard library only."""

from __future__ import annotations

import json
import struct
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

LEVEL, TRADE, BEST_BID, BEST_ASK = range(4)
SNAPSHOT, LAST = 1, 2
ROW = struct.Struct("<BBHIqqqq")
HEAD = struct.Struct("<8sQ16s16s")
MAGIC = b"TWROWS01"

Row = tuple[int, int, int, int, int, int, int, int]
"""Kind, side, flags, padding, received and venue's time in ns, ticks, lots."""


class Recording:
    """Every row, the tick and the lot. Raises `ValueError` when the file is none."""

    def __init__(self, path: str) -> None:
        content = Path(path).read_bytes()
        head = HEAD.unpack_from(content) if len(content) >= HEAD.size else (b"", 0, b"", b"")
        magic, count, tick, lot = head
        if magic != MAGIC or len(content) != HEAD.size + count * ROW.size:
            raise ValueError(f"{path} is no recording of rows")
        self.rows: list[Row] = list(ROW.iter_unpack(content[HEAD.size :]))
        self.tick, self.lot = Decimal(tick.decode().strip()), Decimal(lot.decode().strip())

    @property
    def events(self) -> int:
        """Rows as they are counted: both sides of a best quote are one."""
        return sum(row[0] != BEST_ASK for row in self.rows)


class Clock:
    """Processor time and wall-clock time of one stretch."""

    def __init__(self) -> None:
        self.cpu_ns, self.wall_ns = time.process_time_ns(), time.monotonic_ns()

    def stop(self) -> dict[str, int]:
        """Both since the beginning."""
        return {
            "cpu_ns": time.process_time_ns() - self.cpu_ns,
            "wall_ns": time.monotonic_ns() - self.wall_ns,
        }


def main(measure: Callable[[Recording, str], dict[str, Any]]) -> None:
    """`ADAPTER ROWS MODE` with mode `timer` or `every`: prints one JSON document."""
    path, mode = sys.argv[1:]
    print(json.dumps(measure(Recording(path), mode)))
