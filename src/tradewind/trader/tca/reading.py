"""Reads the records of a cost report from a journal, whether or not a platform runs on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tradewind.core import journal as log
from tradewind.venues.paper.wire import stream_notes

from ..execution.records import ExecutionRecord
from ..records import TRADER_STREAM, decode
from .facts import CostFacts, gather

_TELL_EVERY = 1_000


def records(path: Path, tell: Callable[[int, int], object] | None = None) -> Iterator[ExecutionRecord]:
    """Every record of parents and single orders in the journal at `path`, oldest first.

    Raises `UnreadableRecord`, and whatever the journal's reader raises for damage.
    """
    blocks = log.root(path)[0] if tell is not None else 0
    for done, batch in enumerate(log.batches(path, 0), 1):
        for _, payload in stream_notes(batch, TRADER_STREAM):
            record = decode(payload)
            if isinstance(record, ExecutionRecord):
                yield record
        if tell is not None and done % _TELL_EVERY == 0:
            tell(done, blocks)


def read(path: Path, tell: Callable[[int, int], object] | None = None) -> CostFacts:
    """The facts of a journal."""
    return gather(records(path, tell))
