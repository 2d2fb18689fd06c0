"""The records of parents and single orders, gathered for a cost report."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ..execution.book import Book
from ..execution.records import (
    SINGLE,
    ChildEnded,
    ChildFilled,
    ChildOpened,
    ExecutionRecord,
    MarkAfter,
    ModelUpdated,
    SingleOpened,
)


class Single(msgspec.Struct, kw_only=True):
    """A single order and what became of it."""

    opened: SingleOpened
    fills: list[ChildFilled] = []
    ended: ChildEnded | None = None


class CostFacts(msgspec.Struct, kw_only=True):
    """Everything that a report is made of. The same records give the same facts."""

    book: Book = msgspec.field(default_factory=lambda: Book(keep_all=True))
    children: dict[int, list[ChildOpened]] = {}
    fills: dict[int, list[ChildFilled]] = {}
    singles: dict[str, Single] = {}
    after: dict[str, dict[int, MarkAfter]] = {}
    """By `number/client id`: the looks 1, 5 and 30 minutes later."""
    updates: list[ModelUpdated] = []


def gather(records: Iterable[ExecutionRecord]) -> CostFacts:
    """Folds records, oldest first."""
    facts = CostFacts()
    for record in records:
        facts.book.apply(record)
        match record:
            case ChildOpened():
                facts.children.setdefault(record.parent, []).append(record)
            case ChildFilled() if record.parent != SINGLE:
                facts.fills.setdefault(record.parent, []).append(record)
            case ChildFilled():
                single = facts.singles.get(record.client_id)
                if single is not None:
                    single.fills.append(record)
            case SingleOpened():
                facts.singles[record.client_id] = Single(opened=record)
            case ChildEnded() if record.parent == SINGLE:
                single = facts.singles.get(record.client_id)
                if single is not None:
                    single.ended = record
            case MarkAfter():
                key = f"{record.parent}/{record.client_id}"
                facts.after.setdefault(key, {})[record.minutes] = record
            case ModelUpdated():
                facts.updates.append(record)
            case _:
                pass
    return facts
