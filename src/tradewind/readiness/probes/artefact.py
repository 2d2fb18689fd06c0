"""validation-test-code-separated: what is shipped holds no test code and pulls in no test dependency."""

from __future__ import annotations

import ast
import re
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import Measurement, ProbeContext, count, probe
from tradewind.readiness.probes.source_tree import Finding, report, run_tool

# Mangled names of Rust test modules, of the property test crate and of the fault injection switch.
COMPILED_TEST_SYMBOLS: Final = re.compile(rb"_ZN[\w.]*5tests\d|8proptest|9set_fault")
REQUIREMENT: Final = re.compile(r"^([A-Za-z0-9._-]+).*extra == ['\"](\w+)['\"]")
IMPORT_ALL: Final = """
import importlib, json, pkgutil, sys
import tradewind
files = ("tradewind.lab.bench.adapters", "tradewind.node.projections.migrations.")
for item in pkgutil.walk_packages(tradewind.__path__, "tradewind."):
    # Programs of other interpreters, and files which Alembic runs, are never imported.
    if not item.name.endswith("__main__") and not item.name.startswith(files):
        importlib.import_module(item.name)
print(json.dumps(sorted(sys.modules)))
"""


def development_modules() -> set[str]:
    """Top-level module names that only the dev extra brings. Raises CannotMeasureError when not installed."""
    try:
        lines = metadata.requires("tradewind") or []
    except metadata.PackageNotFoundError as error:
        raise CannotMeasureError("tradewind is not installed: its dependencies are unknown") from error
    extras = [match.groups() for line in lines if (match := REQUIREMENT.match(line))]
    # What another extra offers to users as well is no test dependency.
    development = {name for name, extra in extras if extra == "dev"}
    development -= {name for name, extra in extras if extra != "dev"}
    if not development:
        raise CannotMeasureError("the installed package declares no dev extra")
    return {name.lower().replace("-", "_") for name in development}


def _source_findings(package: Path, development: set[str]) -> Iterator[Finding]:
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield Finding(name, node.lineno, f"test function {node.name}")
            elif isinstance(node, ast.ClassDef) and re.match(r"Test[A-Z]", node.name):
                yield Finding(name, node.lineno, f"test class {node.name}")
            elif isinstance(node, ast.Import | ast.ImportFrom):
                names = (
                    [item.name for item in node.names]
                    if isinstance(node, ast.Import)
                    else [node.module or ""]
                )
                for imported in names:
                    if imported.partition(".")[0] in development | {"unittest"}:
                        yield Finding(name, node.lineno, f"imports {imported}")


def _compiled_findings(package: Path) -> Iterator[Finding]:
    for path in package.glob("_core*.so"):
        for symbol in sorted({match.group() for match in COMPILED_TEST_SYMBOLS.finditer(path.read_bytes())}):
            yield Finding(path.name, 0, f"test symbol {symbol[:80]!r}")


def _import_findings(development: set[str], directory: Path) -> Iterator[Finding]:
    status, output = run_tool([sys.executable, "-I", "-c", IMPORT_ALL], directory)
    if status != 0:
        raise CannotMeasureError(f"the package cannot be imported as a whole: {output.strip()[-300:]}")
    for name in re.findall(r'"([\w.]+)"', output):
        if name in development:
            yield Finding("import", 0, f"importing the package loads {name}")


def _measure(package: Path, scratch: Path) -> Measurement:
    development = development_modules()
    if not list(package.glob("_core*.so")):
        raise CannotMeasureError("the compiled module is not part of this installation")
    findings = [
        *_source_findings(package, development),
        *_compiled_findings(package),
        *_import_findings(development, scratch),
    ]
    files = sum(1 for path in package.rglob("*") if path.is_file())
    return Measurement(
        values={"test_symbols_in_artefact": count(len(findings), files)},
        artefacts={"artefact.json": report(findings, development=sorted(development), files=files)},
    )


def _package() -> Path:
    return Path(__file__).resolve().parents[2]


@probe("validation-test-code-separated")
def no_test_code(context: ProbeContext) -> Measurement:
    """Reads every shipped file, the symbols of the compiled module, and what an import loads."""
    return _measure(_package(), context.scratch)


@no_test_code.mutation
def _with_test_helper(context: ProbeContext) -> Measurement:
    package = context.scratch / "tradewind"
    shutil.copytree(_package(), package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "helper.py").write_text("def test_helper():\n    assert 1\n")
    return _measure(package, context.scratch)
