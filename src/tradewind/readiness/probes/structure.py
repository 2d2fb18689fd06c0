"""validation-single-implementation and validation-codebase-clean: what the import graph and the map show."""

from __future__ import annotations

import ast
import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Final

from tradewind.readiness.architecture import (
    crate_violations,
    import_violations,
    module_files,
    reachable_modules,
    unmapped,
    unused_exports,
)
from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import Measurement, ProbeContext, count, probe
from tradewind.readiness.probes.source_tree import (
    Finding,
    copy_of,
    report,
    run_tool,
    tool_environment,
    tracked_files,
)

ENTRY_POINTS: Final = (
    "tradewind.cli",
    "tradewind.readiness.probes",
    # A program of the developers: it writes the typed records, and a test runs it.
    "tradewind.core.generate",
    # Read as files: by Alembic, and by the interpreter of another virtual environment.
    "tradewind.node.projections.migrations",
    "tradewind.lab.bench.adapters",
)


def duplicate_concerns(source: Path) -> tuple[list[Finding], int]:
    """Definitions of a registered concern outside its home, and the number of concerns."""
    text = resources.files("tradewind.readiness").joinpath("concerns.toml").read_text()
    concerns = tomllib.loads(text)["concern"]
    patterns = [(item["name"], re.compile(item["definition"]), item["home"]) for item in concerns]
    findings: list[Finding] = []
    for module, path in module_files(source).items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for name, pattern, home in patterns:
                if pattern.fullmatch(node.name) and not (module == home or module.startswith(f"{home}.")):
                    findings.append(Finding(module, node.lineno, f"{node.name}: {name} belongs to {home}"))
    return findings, len(patterns)


def _measure_single(root: Path) -> Measurement:
    source = root / "src"
    duplicates, concerns = duplicate_concerns(source)
    arrows = [*import_violations(source), *crate_violations(root)]
    findings = [*duplicates, *(Finding(item.where, 0, item.problem) for item in arrows)]
    modules = len(module_files(source))
    return Measurement(
        values={
            "duplicate_concerns": count(len(duplicates), concerns),
            "import_violations": count(len(arrows), modules),
        },
        artefacts={"structure.json": report(findings, modules=modules, concerns=concerns)},
    )


@probe("validation-single-implementation")
def single_implementation(context: ProbeContext) -> Measurement:
    """Compares every definition with the concern register and every import with the arrows."""
    return _measure_single(context.require_source())


@single_implementation.mutation
def _with_second_rate_limiter(context: ProbeContext) -> Measurement:
    root = copy_of(context.require_source(), context.scratch)
    second = root / "src" / "tradewind" / "readiness" / "second.py"
    second.write_text("class SecondTokenBucket:\n    rate = 1\n")
    return _measure_single(root)


def _commented_out(root: Path) -> list[Finding]:
    command = ["ruff", "check", "--isolated", "--select", "ERA001", "--output-format", "concise", "src"]
    status, output = run_tool(command, root, tool_environment())
    if status not in (0, 1):
        raise CannotMeasureError(f"ruff ended with status {status}: {output[:200]}")
    lines = [line for line in output.splitlines() if "ERA001" in line]
    return [Finding(line.split(":", 1)[0], 0, "commented-out code") for line in lines]


def _measure_clean(root: Path, tracked: list[str]) -> Measurement:
    source = root / "src"
    modules = set(module_files(source))
    dead = sorted(modules - reachable_modules(source, ENTRY_POINTS))
    map_text = (root / "ARCHITECTURE.md").read_text(encoding="utf-8")
    strangers = unmapped(root, tracked, map_text)
    commented = _commented_out(root)
    unused = unused_exports(source)
    findings = [
        *(Finding(name, 0, "no command reaches this module") for name in dead),
        *(Finding(module, line, f"nothing uses {name}") for module, name, line in unused),
        *(Finding(name, 0, "not on the map") for name in strangers),
        *commented,
    ]
    return Measurement(
        values={
            "dead_modules": count(len(dead) + len(unused) + len(commented), len(modules)),
            "unmapped_files": count(len(strangers), len(tracked)),
        },
        artefacts={"codebase.json": report(findings, modules=len(modules), files=len(tracked))},
    )


@probe("validation-codebase-clean")
def codebase_clean(context: ProbeContext) -> Measurement:
    """Finds modules which no command reaches, commented-out code, and files which are not on the map."""
    root = context.require_source()
    return _measure_clean(root, tracked_files(root))


@codebase_clean.mutation
def _with_unused_module(context: ProbeContext) -> Measurement:
    root = copy_of(context.require_source(), context.scratch)
    (root / "src" / "tradewind" / "readiness" / "unused.py").write_text("LEFT_OVER = 1\n")
    return _measure_clean(root, tracked_files(root))
