"""validation-no-critical-todo: unfinished work must not hide in a comment."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from tradewind.readiness.probe import Measurement, ProbeContext, count, probe
from tradewind.readiness.probes.source_tree import Finding, comments, copy_of, report, tracked_files

MARKER: Final = re.compile(r"\b(TODO|FIXME|XXX|HACK|BUG)\b")
# Outside the critical paths a marker is accepted when it names its owner and its issue, as in (anna, #12).
OWNED: Final = re.compile(r"\b(TODO|FIXME|XXX|HACK|BUG)\(\w+, #\d+\)")
CRITICAL: Final = (
    "crates/",
    *(
        f"src/tradewind/{part}/"
        for part in (
            "core", "node", "venues", "gateways", "trader", "keepers", "security", "recovery", "compliance",
            "readiness",
        )
    ),
)  # fmt: skip


def _measure(root: Path) -> Measurement:
    files = [name for name in tracked_files(root) if name.endswith((".py", ".rs"))]
    critical: list[Finding] = []
    unowned: list[Finding] = []
    for name in files:
        for line, text in comments(root / name):
            if not MARKER.search(text):
                continue
            if name.startswith(CRITICAL):
                critical.append(Finding(name, line, text.strip()))
            elif not OWNED.search(text):
                unowned.append(Finding(name, line, text.strip()))
    return Measurement(
        values={
            "markers_on_critical_paths": count(len(critical), len(files)),
            "markers_without_issue": count(len(unowned), len(files)),
        },
        artefacts={"markers.json": report([*critical, *unowned], files=len(files))},
    )


@probe("validation-no-critical-todo")
def no_critical_todo(context: ProbeContext) -> Measurement:
    """Looks at every comment of every Python and Rust file."""
    return _measure(context.require_source())


@no_critical_todo.mutation
def _with_marker_in_order_path(context: ProbeContext) -> Measurement:
    root = copy_of(context.require_source(), context.scratch)
    marker = "FIX" + "ME"
    with (root / "crates" / "engine" / "src" / "lib.rs").open("a") as handle:
        handle.write(f"\n// {marker}: planted in the order path\n")
    return _measure(root)
