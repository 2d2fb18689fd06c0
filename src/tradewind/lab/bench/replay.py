"""Suite `replay`: a journal replayed from genesis; results, events, postings are compared byte by byte."""

from __future__ import annotations

from tradewind.core import journal, measure
from tradewind.core.measure import BATCH_COMMANDS, StandardStream
from tradewind.lab.bench.context import Context, Figures, MeasureFailed, median, per_second


def run(context: Context) -> Figures:
    """Commands per second without and with the auditor, and whether the state hash is the writer's."""
    effort = context.effort
    folder = context.folder("replay")
    stream = StandardStream(effort.live_orders)
    context.tell("writing the journal")
    written_hash = measure.write_journal(folder, stream, effort.replay_batches)
    if written_hash != stream.state_hash():
        raise MeasureFailed("the journaled engine and the engine of the stream have different state hashes")
    context.tell("replaying")
    reports = [journal.replay(folder, audit=False) for _ in range(effort.repeats)]
    context.tell("replaying, audited")
    audited = journal.replay(folder, audit=True)
    equal = all(report.state_hash == written_hash for report in (*reports, audited))
    return {
        "commands_per_second": median(
            [per_second(report.replayed_commands, report.elapsed_ns) for report in reports]
        ),
        "audited_commands_per_second": per_second(audited.replayed_commands, audited.elapsed_ns),
        "state_hash_equal": equal,
        "state_hash": written_hash.hex(),
        "commands": audited.replayed_commands,
        "batch_commands": BATCH_COMMANDS,
    }
