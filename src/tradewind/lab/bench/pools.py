"""Instructions of swaps against pools, and of a distribution move with its audit by 100 segments."""

from __future__ import annotations

from typing import Final

from tradewind.core.measure import COUNTED_FUNCTION
from tradewind.lab.bench.context import Context, Figures, MeasureFailed, refuse_many_refusals
from tradewind.lab.bench.instructions import collect, find_valgrind, worst_dump

PROGRAM: Final = """
import json
from tradewind import _core
counted, refused = _core.bench_market_maker({kind!r}, {outcomes}, {count}, {batch})
print(json.dumps({{"commands": counted, "refused": refused}}))
"""
COUNTED_DISTRIBUTION: Final = "--toggle-collect=tw_bench_distribution"
COUNT: Final = 300
MAKERS: Final = (
    ("lmsr_2", "lmsr", 2),
    ("lmsr_8", "lmsr", 8),
    ("lmsr_64", "lmsr", 64),
    ("pm", "pm", 2),
    ("pm_dynamic", "pm-dynamic", 2),
)


def run(context: Context) -> Figures:
    """The mean and the largest number of instructions of a swap by maker.

    Raises:
        Skipped: valgrind is not installed.
    """
    valgrind = find_valgrind()
    figures: Figures = {}
    for name, kind, outcomes in MAKERS:
        context.tell(f"swaps against {name}, {COUNTED_FUNCTION}")
        folder = context.folder(f"pools-{name}")
        program = PROGRAM.format(kind=kind, outcomes=outcomes, count=COUNT, batch=COUNT)
        counted, total = collect(valgrind, program, folder, context)
        refuse_many_refusals(name, counted["refused"], counted["commands"])
        single = folder / "single"
        single.mkdir()
        alone = PROGRAM.format(kind=kind, outcomes=outcomes, count=COUNT, batch=1)
        collect(valgrind, alone, single, context, f"--dump-after={COUNTED_FUNCTION}")
        worst = worst_dump(single, COUNT, name)
        figures[name] = {"instructions": _mean(total), "worst": worst, "runs": COUNT}
    context.tell("moves of a distribution market")
    program = PROGRAM.format(kind="distribution", outcomes=2, count=COUNT, batch=COUNT)
    _, total = collect(valgrind, program, context.folder("pools-distribution"), context, COUNTED_DISTRIBUTION)
    figures["distribution"] = {"instructions": _mean(total), "runs": COUNT}
    return figures


def _mean(total: int) -> float:
    if not total:
        raise MeasureFailed(f"nothing was counted: {COUNTED_FUNCTION} is missing from the build")
    return round(total / COUNT, 1)
