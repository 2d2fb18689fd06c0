"""validation-code-quality: lint, format, types, reasons for suppressions, no pretending function."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tradewind.readiness.architecture import module_files
from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import Measurement, ProbeContext, count, probe
from tradewind.readiness.probes.source_tree import (
    Finding,
    comments,
    copy_of,
    report,
    run_tool,
    tool_environment,
    tracked_files,
)

# The directive with its codes, and what is said after it: that must give a reason in words.
SUPPRESSION: Final = re.compile(
    r"#\s*(?:noqa(?::\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*)?|type:\s*ignore(?:\[[\w, -]+\])?)(?P<said>.*)"
)
REASON: Final = re.compile(r"[a-z]{2,}.*\s\S+", re.IGNORECASE)
RUST_SUPPRESSION: Final = re.compile(r"#!?\[allow\(")
ABSTRACT_BASES: Final = ("Protocol", "ABC", "ABCMeta")
ABSTRACT_DECORATORS: Final = ("abstractmethod", "overload")

RUST_TOOLS: Final = (
    ("cargo", "fmt", "--all", "--", "--check", "-l"),
    (
        "cargo",
        "clippy",
        "--quiet",
        "--locked",
        "--offline",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ),
)
PYTHON_TOOLS: Final = (
    ("ruff", "check", "--output-format", "concise", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
)


def _tool_findings(root: Path) -> Iterator[Finding]:
    environment = tool_environment()
    for command in (*RUST_TOOLS, *PYTHON_TOOLS):
        status, output = run_tool(command, root, environment)
        if status != 0:
            for line in output.splitlines()[:200] or ["no output"]:
                yield Finding(" ".join(command[:2]), 0, line)


def bare_suppressions(root: Path, files: list[str]) -> Iterator[Finding]:
    """Lint and type suppressions of ``files`` that give no reason in words."""
    for name in files:
        path = root / name
        if name.endswith(".py"):
            for line, text in comments(path):
                match = SUPPRESSION.search(text)
                if match and not REASON.search(match["said"]):
                    yield Finding(name, line, f"suppression without a reason: {text.strip()}")
        elif name.endswith(".rs"):
            lines = path.read_text(encoding="utf-8").splitlines()
            for number, text in enumerate(lines, start=1):
                before = lines[number - 2].strip() if number > 1 else ""
                if RUST_SUPPRESSION.match(text.strip()) and "//" not in text and not before.startswith("//"):
                    yield Finding(name, number, f"suppression without a reason: {text.strip()}")


def placeholder_functions(source: Path) -> Iterator[Finding]:
    """Functions whose whole body is ``pass``, ``...`` or the return of a constant success."""
    for module, path in module_files(source).items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        abstract = {
            id(child)
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef)
            and any(_last_name(base) in ABSTRACT_BASES for base in node.bases)
            for child in node.body
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and id(node) not in abstract:
                decorated = any(_last_name(item) in ABSTRACT_DECORATORS for item in node.decorator_list)
                if not decorated and _is_placeholder(node):
                    yield Finding(module, node.lineno, f"{node.name} does nothing and succeeds")


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Subscript | ast.Call):
        return _last_name(node.value if isinstance(node, ast.Subscript) else node.func)
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _is_placeholder(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    body = [
        item
        for item in node.body
        if not (isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant))
    ]
    if not body:
        return True
    if len(body) > 1:
        return False
    only = body[0]
    returns_success = (
        isinstance(only, ast.Return) and isinstance(only.value, ast.Constant) and only.value.value is True
    )
    return isinstance(only, ast.Pass) or returns_success


def _measure(root: Path, *, with_tools: bool) -> Measurement:
    files = tracked_files(root)
    if not any(name.endswith(".rs") for name in files):
        raise CannotMeasureError("the source tree holds no Rust code")
    findings = list(bare_suppressions(root, files))
    if with_tools:
        findings += _tool_findings(root)
    placeholders = list(placeholder_functions(root / "src"))
    return Measurement(
        values={
            "findings": count(len(findings), len(files)),
            "placeholder_functions": count(len(placeholders), len(module_files(root / "src"))),
        },
        artefacts={"quality.json": report([*findings, *placeholders], files=len(files))},
    )


@probe("validation-code-quality")
def code_quality(context: ProbeContext) -> Measurement:
    """Runs every formatter, linter and type checker, and looks for functions that only pretend."""
    return _measure(context.require_source(), with_tools=True)


@code_quality.mutation
def _with_pretending_function(context: ProbeContext) -> Measurement:
    # The planted function needs no tool to be seen, so that the mutation does not double the run time.
    root = copy_of(context.require_source(), context.scratch)
    planted = '"""Planted."""\n\n\ndef check_everything() -> bool:\n    """All is well."""\n    return True\n'
    (root / "src" / "tradewind" / "readiness" / "planted.py").write_text(planted)
    return _measure(root, with_tools=False)
