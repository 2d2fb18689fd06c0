"""What a view is, and the bundle that feeds several views with one decoding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from tradewind.core import journal, native
from tradewind.core.errors import TradewindError
from tradewind.core.events import Event, decode_events


class ProjectionGap(TradewindError):
    """A batch does not follow the last one: the view must be rebuilt."""

    name = "PROJECTION_GAP"


class View(Protocol):
    """Consumes every event once, in order."""

    def on_event(self, event: Event) -> None: ...


class Projections:
    """Several views behind one callback. Attach `apply` to a node, or feed it from a journal.

    A batch that was applied already is ignored, so that feeding twice changes nothing.
    """

    def __init__(self, views: Sequence[View]) -> None:
        self.views = tuple(views)
        self.applied_seq = 0
        """Last sequence whose events are in the views."""
        self.applied_time_ns = 0

    def apply(self, batch: native.Batch) -> None:
        """
        Raises:
            ProjectionGap: commands are missing between the last batch and this one.
        """
        if batch.last_seq <= self.applied_seq:
            return
        if batch.first_seq != self.applied_seq + 1:
            raise ProjectionGap(f"batch {batch.first_seq} does not follow sequence {self.applied_seq}")
        self.feed(batch)
        self.applied_seq = batch.last_seq
        self.applied_time_ns = batch.time_ns

    def feed(self, batch: native.Batch) -> None:
        """Every event to every view; a bundle that knows which view wants which may be quicker."""
        for event in decode_events(batch):
            for view in self.views:
                view.on_event(event)

    def rebuild(self, path: Path) -> int:
        """Feeds what the journal holds beyond `applied_seq`; returns the number of batches."""
        return self.apply_all(journal.batches(path, self.applied_seq + 1 if self.applied_seq else 0))

    def apply_all(self, batches: Iterable[native.Batch]) -> int:
        """Feeds batches in order; returns their number. Raises as `apply`."""
        count = 0
        for batch in batches:
            self.apply(batch)
            count += 1
        return count
