"""`python drive.py ADAPTER FLOW SECONDS`: drives a peer with a flow and prints one JSON document.

Runs in the interpreter of the peer: standard library only. An adapter is a module beside this one. It has
a class `Book`, or a function `measure(resting, flow, limit_s)` when the peer wants to drive itself.
"""

from __future__ import annotations

import importlib
import json
import struct
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

ADD, TAKE, CANCEL = 0, 1, 2
MAGIC = b"TWFLOW01"
HEADER = struct.Struct("<8sQQ")
OPERATION = struct.Struct("<BBxxiqQ")
CHUNK = 64

Operation = tuple[int, int, int, int, int]
"""Kind, side, lots, price in ticks, order id."""


class Book(Protocol):
    """What a peer must do. `traded_lots` counts what takes filled; a refused cancel returns False."""

    traded_lots: int

    def add(self, order: int, side: int, price: int, lots: int) -> None: ...
    def take(self, order: int, side: int, price: int, lots: int) -> None: ...
    def cancel(self, order: int) -> bool: ...


def load(path: str) -> tuple[list[Operation], list[Operation]]:
    """Resting orders, and the flow over them.

    Raises:
        ValueError: the file is no flow.
    """
    content = Path(path).read_bytes()
    magic, resting, operations = HEADER.unpack_from(content)
    rows = list(OPERATION.iter_unpack(content[HEADER.size :]))
    if magic != MAGIC or len(rows) != resting + operations:
        raise ValueError(f"{path} is no flow")
    return rows[:resting], rows[resting:]


def drive(
    book: Book, resting: Sequence[Operation], flow: Sequence[Operation], limit_s: float
) -> dict[str, Any]:
    """Fills the book, then times the flow, for `limit_s` at most."""
    for _, side, lots, price, order in resting:
        book.add(order, side, price, lots)
    before = book.traded_lots
    add, take, cancel = book.add, book.take, book.cancel
    done = refused = 0
    begin = time.perf_counter_ns()
    deadline = begin + int(limit_s * 1e9)
    while done < len(flow) and time.perf_counter_ns() < deadline:
        chunk = flow[done : done + CHUNK]
        for kind, side, lots, price, order in chunk:
            if kind == ADD:
                add(order, side, price, lots)
            elif kind == TAKE:
                take(order, side, price, lots)
            elif not cancel(order):
                refused += 1
        done += len(chunk)
    elapsed_ns = time.perf_counter_ns() - begin
    return {
        "commands": done,
        "refused": refused,
        "traded_lots": book.traded_lots - before,
        "elapsed_ns": elapsed_ns,
    }


def main(arguments: Sequence[str]) -> None:
    """Adapter, flow file, seconds."""
    adapter, path, limit_s = arguments
    module: Any = importlib.import_module(adapter)
    resting, flow = load(path)
    if hasattr(module, "measure"):
        figures = module.measure(resting, flow, float(limit_s))
    else:
        figures = drive(module.Book(), resting, flow, float(limit_s))
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1:])
