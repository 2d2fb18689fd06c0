"""The part of the journal that an evidence record names: it must still be there, whole, and of that time."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tradewind.core import journal
from tradewind.core.native import Batch, TradewindError
from tradewind.readiness.record import JournalRange

JOURNAL_FOLDER: Final = "journal"


class JournalCheck:
    """Checks ranges against the journal of one data directory."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / JOURNAL_FOLDER

    def __call__(self, named: JournalRange, started_ns: int, measured_ns: int) -> bool:
        """Whether the range exists and verifies, and its block times enclose both moments (ns, UTC).

        Damage anywhere in the range is a no, and so is a journal that cannot be read: unknown is not green.
        """
        if not 0 < named.first_seq <= named.last_seq:
            return False
        try:
            if journal.genesis(self._path).shard != named.shard:
                return False
            ends = self._ends(named)
        except (TradewindError, OSError):
            return False
        if ends is None:
            return False
        first, last = ends
        return (
            bytes(first.block_hash).hex() == named.first_hash
            and bytes(last.block_hash).hex() == named.last_hash
            and first.time_ns <= started_ns <= measured_ns <= last.time_ns
        )

    def _ends(self, named: JournalRange) -> tuple[Batch, Batch] | None:
        """The blocks that hold both ends. Reading checks every block between them against its hash."""
        first: Batch | None = None
        for batch in journal.batches(self._path, named.first_seq):
            first = first or batch
            if batch.first_seq <= named.last_seq <= batch.last_seq:
                return (first, batch) if first.first_seq <= named.first_seq <= first.last_seq else None
        return None
