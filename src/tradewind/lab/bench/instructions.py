"""Instructions per command, counted by callgrind in the one function that applies a batch.

Set-up, warm-up and generation of the flow are not counted: collection is on inside that function only.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tradewind.core.measure import COUNTED_FUNCTION
from tradewind.lab.bench import children
from tradewind.lab.bench.context import Context, MeasureFailed, Skipped, refuse_many_refusals

COLLECTED: Final = re.compile(r"Collected : (\d+)")
TOTALS: Final = re.compile(r"^totals: (\d+)$", re.MULTILINE)
PROGRAM: Final = """
import json
from tradewind.core.measure import engine_flow
figures = engine_flow({flow!r}, {commands}, {live}, {batch})
print(json.dumps({{"commands": figures.commands, "refused": figures.refused, "trades": figures.trades}}))
"""
BATCH_COMMANDS: Final = 4_096
LEAST_DUMPED: Final = 0.9


@dataclass(frozen=True, slots=True)
class Counts:
    """Instructions per command: the average, and the most that a single one took; None when nothing ran."""

    commands: int
    refused: int
    trades: int
    total: int
    worst: int | None

    @property
    def average(self) -> float | None:
        return round(self.total / self.commands, 1) if self.commands else None


def find_valgrind() -> str:
    """Path of valgrind.

    Raises:
        Skipped: it is not installed.
    """
    found = shutil.which("valgrind")
    if found is None:
        raise Skipped("valgrind is not installed (apt-get install valgrind)")
    return found


def count(valgrind: str, flow: str, context: Context) -> Counts:
    """Counts one flow: many commands in batches for the average, a few one by one for the worst.

    Raises:
        MeasureFailed: the child failed, counted nothing, or had most commands refused.
    """
    effort = context.effort
    folder = context.folder(f"instructions-{flow}")
    figures, total = collect(
        valgrind, _program(flow, effort.counted_commands, BATCH_COMMANDS, context), folder, context
    )
    refuse_many_refusals(flow, figures["refused"], figures["commands"])
    if figures["commands"] and not total:
        raise MeasureFailed(f"nothing was counted: {COUNTED_FUNCTION} is missing from the build")
    worst = _worst(valgrind, flow, context, folder / "single")
    return Counts(figures["commands"], figures["refused"], figures["trades"], total, worst)


def collect(
    valgrind: str, program: str, folder: Path, context: Context, *options: str
) -> tuple[dict[str, int], int]:
    """What the program printed, and the instructions that were collected."""
    prefix = [
        valgrind,
        "--tool=callgrind",
        "--collect-atstart=no",
        f"--toggle-collect={COUNTED_FUNCTION}",
        *options,
        f"--callgrind-out-file={folder / 'out'}",
    ]
    figures, said = children.python_json(program, limit_s=context.effort.child_limit_s, prefix=prefix)
    match = COLLECTED.search(said)
    if match is None:
        raise MeasureFailed(f"callgrind said no total: {said[-200:]}")
    return figures, int(match[1])


def _program(flow: str, commands: int, batch: int, context: Context) -> str:
    return PROGRAM.format(flow=flow, commands=commands, live=context.effort.live_orders, batch=batch)


def _worst(valgrind: str, flow: str, context: Context, folder: Path) -> int | None:
    """One dump per command; the largest total."""
    commands = context.effort.single_counted_commands
    if not commands:
        return None
    folder.mkdir()
    collect(
        valgrind, _program(flow, commands, 1, context), folder, context, f"--dump-after={COUNTED_FUNCTION}"
    )
    return worst_dump(folder, commands, flow)


def worst_dump(folder: Path, commands: int, flow: str) -> int:
    """The largest total among the dumps of single commands in a folder.

    Raises:
        MeasureFailed: there are fewer dumps than commands by a tenth.
    """
    totals = [int(match[1]) for path in folder.iterdir() for match in TOTALS.finditer(path.read_text())]
    counted = [total for total in totals if total]
    # Callgrind now and then joins two commands in one dump; that can only make the worst look worse.
    if len(counted) < commands * LEAST_DUMPED:
        raise MeasureFailed(f"{len(counted)} dumps for {commands} commands of the {flow} flow")
    return max(counted)
