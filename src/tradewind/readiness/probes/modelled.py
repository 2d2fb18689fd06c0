"""Orders that wait, hide, hang together or come in slices, beside the independent model of the source tree.

The model is written a second time, in another language, and keeps its own books, positions and balances; its
stream plays plain orders among the others. It is part of the project's tests, not of the package: where only
the package is installed this part cannot be measured, and the probe says so.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import ProbeContext
from tradewind.readiness.probes.source_tree import run_tool

COMMANDS: Final = 40_000
STREAM_LENGTH: Final = 600
FIRST_SEED: Final = 52_000
WITHOUT_SOURCE: Final = (
    "conditional, OCO, bracket, iceberg and TWAP orders in the compared stream: their model is part of the "
    "source tree, which is not part of the installed package"
)
# What the streams must have reached, by the model's own counts, for the comparison to mean anything.
REACHED: Final[Mapping[str, tuple[str, ...]]] = {
    "conditional": ("fired 2 by", "fired 3 by", "fired 4 by", "fired 5 by"),
    "OCO": ("pair reduced", "pair over"),
    "bracket": ("exit armed", "exit without a filled entry"),
    "iceberg": ("iceberg refilled",),
    "TWAP": ("slice traded", "sliced order over"),
}
PLAY: Final = """
import json, sys
from collections import Counter
sys.path.insert(0, sys.argv[1])
from test_conditional_agrees import play
wanted, length, seed = map(int, sys.argv[2:5])
sent = fills = streams = 0
reached, divergent = Counter(), []
while sent < wanted and not divergent:
    try:
        duel = play(seed + streams, length)
    except AssertionError as error:
        divergent.append([seed + streams, str(error)[:2000]])
        break
    streams += 1
    sent += duel.sent
    fills += len(duel.model.fills)
    reached.update(duel.model.counts)
facts = {"sent": sent, "fills": fills, "streams": streams, "reached": reached, "divergent": divergent}
print(json.dumps(facts))
"""


def play(context: ProbeContext, commands: int = COMMANDS) -> dict[str, Any]:
    """Plays streams until so many commands were compared: numbers of commands, fills and streams, what the
    model counted, and each seed that disagreed. Empty without a source tree.

    Raises CannotMeasureError when the model does not run.
    """
    if context.source_root is None:
        return {}
    folder = context.source_root / "tests" / "model"
    package = Path(__file__).resolve().parents[3]
    program = [sys.executable, "-c", PLAY, str(folder), str(commands), str(STREAM_LENGTH), str(FIRST_SEED)]
    status, output = run_tool(program, context.scratch, {**os.environ, "PYTHONPATH": str(package)})
    if status != 0:
        raise CannotMeasureError(f"the model of orders does not run: {output.strip()[-300:]}")
    facts: dict[str, Any] = json.loads(output)
    return facts


def unreached(facts: Mapping[str, Any]) -> list[str]:
    """Types of orders of which something never happened in the streams."""
    counts = facts["reached"]
    return [
        name
        for name, parts in REACHED.items()
        if not all(any(key.startswith(part) and counts[key] for key in counts) for part in parts)
    ]
