"""Suite `journal`: blocks of 128-byte records, appended and synced one after the other, no engine."""

from __future__ import annotations

import shutil
from typing import Final

from tradewind.core import measure
from tradewind.lab.bench.context import Context, Figures, microseconds, per_second

MINIMUM_VERIFIED_BYTES: Final = 256 << 20


def run(context: Context) -> Figures:
    """Latency of append and sync, and throughput, by records per block."""
    figures: Figures = {}
    for batch, rounds in context.effort.journal_rounds.items():
        context.tell(f"{rounds:,} blocks of {batch:,} records")
        folder = context.folder(f"journal-{batch}")
        found = measure.journal_blocks(folder, batch, rounds)
        # A full run writes gigabytes; they are not needed after verification.
        shutil.rmtree(folder)
        figures[f"batch_{batch}"] = {
            "p50_us": microseconds(found.p50_ns),
            "p99_us": microseconds(found.p99_ns),
            "p999_us": microseconds(found.p999_ns),
            "max_us": microseconds(found.max_ns),
            "records_per_second": per_second(found.records, found.elapsed_ns),
            "blocks": rounds,
        }
        # Verification reads the empty rest of a segment too: only a log of some size tells its speed.
        if found.bytes > MINIMUM_VERIFIED_BYTES:
            rate = per_second(found.bytes, found.verify_ns)
            figures[f"batch_{batch}"]["verify_bytes_per_second"] = rate
    return figures
