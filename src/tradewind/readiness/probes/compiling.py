"""validation-clean-compile: a clean, locked, offline build of all crates and of the Python package."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tradewind.readiness.probe import Measurement, ProbeContext, count, probe
from tradewind.readiness.probes.source_tree import Finding, copy_of, report, run_tool

BUILD: Final = ("cargo", "build", "--locked", "--offline", "--message-format", "json")
# The journal is the crate with the fewest dependencies: the mutation needs one warning, not a release build.
MUTANT_CRATE: Final = "tradewind-journal"


def _rust_messages(root: Path, target: Path, scope: Sequence[str]) -> tuple[list[Finding], list[Finding]]:
    """Errors and warnings of a build into an empty target directory."""
    environment = {**os.environ, "CARGO_TARGET_DIR": str(target)}
    status, output = run_tool([*BUILD, *scope], root, environment)
    errors: list[Finding] = []
    warnings: list[Finding] = []
    for line in output.splitlines():
        message = json.loads(line).get("message") if line.startswith("{") else None
        if isinstance(message, dict) and message.get("level") in ("error", "warning"):
            spans = message.get("spans") or [{}]
            place = Finding(spans[0].get("file_name", "?"), spans[0].get("line_start", 0), message["message"])
            (errors if message["level"] == "error" else warnings).append(place)
    if status != 0 and not errors:
        errors.append(Finding("cargo", 0, output[-500:]))
    return errors, warnings


def _python_messages(root: Path, cache: Path) -> list[Finding]:
    """Files that do not compile, or compile with a warning (which is made an error)."""
    command = [sys.executable, "-W", "error", "-m", "compileall", "-q", "-f", "src/tradewind"]
    status, output = run_tool(command, root, {**os.environ, "PYTHONPYCACHEPREFIX": str(cache)})
    return [Finding("python", 0, output[-500:])] if status != 0 else []


def _measure(root: Path, scratch: Path, scope: Sequence[str]) -> Measurement:
    errors, warnings = _rust_messages(root, scratch / "target", scope)
    errors += _python_messages(root, scratch / "cache")
    return Measurement(
        values={"errors": count(len(errors), 1), "warnings": count(len(warnings), 1)},
        artefacts={"build.json": report([*errors, *warnings], scope=list(scope))},
    )


@probe("validation-clean-compile")
def clean_compile(context: ProbeContext) -> Measurement:
    """Release build of the whole workspace; every Python file compiles with warnings as errors."""
    return _measure(context.require_source(), context.scratch, ("--release", "--workspace"))


@clean_compile.mutation
def _with_unused_variable(context: ProbeContext) -> Measurement:
    root = copy_of(context.require_source(), context.scratch / "tree")
    with (root / "crates" / "journal" / "src" / "lib.rs").open("a") as handle:
        handle.write("\npub fn planted() { let unused = 1; }\n")
    return _measure(root, context.scratch, ("-p", MUTANT_CRATE))
