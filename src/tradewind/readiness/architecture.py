"""Which part may import which: the arrows of the architecture, read from the sources.

    cli -> api, dashboard, readiness, lab -> trader, keepers, compliance, recovery, observe
        -> gateways, venues, node -> security -> core -> crates

A part may import parts below it and, without a cycle, parts beside it. ``security`` (keys and signing) stands
between node and core, because every part above core may need it.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LEVELS: Final[Sequence[tuple[str, ...]]] = (
    ("core",),
    ("security",),
    ("amm", "gateways", "venues", "node"),
    ("trader", "keepers", "compliance", "recovery", "observe"),
    ("api", "dashboard", "readiness", "lab"),
    ("cli",),
)
RANKS: Final[Mapping[str, int]] = {name: rank for rank, level in enumerate(LEVELS) for name in level}
PACKAGE: Final = "tradewind"
COMPILED: Final = "_core"
# Crates may depend on these crates of the workspace, and on nothing that would break their promise.
CRATE_ARROWS: Final[Mapping[str, frozenset[str]]] = {
    "tradewind-engine": frozenset(),
    "tradewind-journal": frozenset(),
    "tradewind-feeds": frozenset(),
    "tradewind-paper": frozenset({"tradewind-engine", "tradewind-feeds"}),
    "tradewind-bindings": frozenset(
        {"tradewind-engine", "tradewind-journal", "tradewind-feeds", "tradewind-paper"}
    ),
}
CRATES_WITHOUT_PYTHON: Final = (
    "tradewind-engine",
    "tradewind-journal",
    "tradewind-feeds",
    "tradewind-paper",
)
MAX_SOURCE_FILES: Final = 10_000
# A longer string is prose, and prose that mentions a function does not use it.
MAX_NAME_CHARACTERS: Final = 80


@dataclass(frozen=True, slots=True)
class Import:
    """Module ``importer`` names module ``imported`` in line ``line``."""

    importer: str
    imported: str
    line: int


@dataclass(frozen=True, slots=True)
class Violation:
    """An import or dependency that the architecture forbids."""

    where: str
    problem: str

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}"


def module_files(source: Path) -> dict[str, Path]:
    """Dotted module name to file, for every module of the package under ``source`` (the src folder)."""
    modules: dict[str, Path] = {}
    for path in sorted((source / PACKAGE).rglob("*.py"))[:MAX_SOURCE_FILES]:
        parts = list(path.relative_to(source).with_suffix("").parts)
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


def imports_of(module: str, path: Path) -> Iterator[Import]:
    """Every import of the product's own modules, nested, relative and by literal name. Raises SyntaxError."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
        for name in _names_of(node, package):
            if name == PACKAGE or name.startswith(f"{PACKAGE}."):
                yield Import(module, name, getattr(node, "lineno", 0))


def _names_of(node: ast.AST, package: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = _absolute(node, package)
        return [f"{base}.{alias.name}" for alias in node.names] if base else []
    if isinstance(node, ast.Call) and node.args:
        function = node.func
        called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        first = node.args[0]
        if called in ("import_module", "__import__") and isinstance(first, ast.Constant):
            return [str(first.value)]
    return []


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if node.level == 0:
        return node.module or ""
    parts = package.split(".")
    kept = parts[: len(parts) - node.level + 1]
    return ".".join([*kept, *([node.module] if node.module else [])])


def part_of(module: str) -> str | None:
    """The part (folder) a module belongs to; None for the package root itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else None


def import_violations(source: Path) -> list[Violation]:
    """Back arrows, unknown parts, cycles between parts, and uses of the compiled module outside ``core``."""
    violations: list[Violation] = []
    sideways: dict[str, set[str]] = {}
    modules = module_files(source)
    for module, path in modules.items():
        own = part_of(module)
        if own is not None and own not in RANKS and path.parent != source / PACKAGE:
            violations.append(Violation(module, f"{own} is not a part of the architecture"))
            continue
        for item in imports_of(module, path):
            problem = _judge_import(own, item)
            if problem:
                violations.append(Violation(f"{module}:{item.line}", problem))
            target = part_of(item.imported)
            if own in RANKS and target in RANKS and own != target:
                sideways.setdefault(str(own), set()).add(str(target))
    return violations + _cycles(sideways)


def _judge_import(own: str | None, item: Import) -> str | None:
    target = part_of(item.imported)
    if target == COMPILED:
        return None if own == "core" else f"only core may import {PACKAGE}.{COMPILED}"
    if target is None or target not in RANKS:
        return None
    if own is None or own not in RANKS:
        return f"the package root imports {target}; it must stay free of parts" if own is None else None
    if RANKS[target] > RANKS[own]:
        return f"{own} imports {target}: the arrow points back"
    return None


def _cycles(edges: Mapping[str, set[str]]) -> list[Violation]:
    """One violation per part that can reach itself."""

    def reaches(start: str) -> bool:
        seen: set[str] = set()
        waiting = list(edges.get(start, ()))
        while waiting:
            part = waiting.pop()
            if part == start:
                return True
            if part not in seen:
                seen.add(part)
                waiting.extend(edges.get(part, ()))
        return False

    return [
        Violation(part, "imports itself in a cycle through other parts")
        for part in sorted(edges)
        if reaches(part)
    ]


def crate_violations(root: Path) -> list[Violation]:
    """Workspace dependencies that the arrows forbid, and crates that are not on the map."""
    violations: list[Violation] = []
    for manifest in sorted((root / "crates").glob("*/Cargo.toml")):
        document = tomllib.loads(manifest.read_text(encoding="utf-8"))
        name = document["package"]["name"]
        if name not in CRATE_ARROWS:
            violations.append(Violation(name, "is not a crate of the architecture"))
            continue
        for dependency in _all_dependencies(document):
            if dependency in CRATE_ARROWS and dependency not in {*CRATE_ARROWS[name], name}:
                violations.append(Violation(name, f"depends on {dependency}: the arrow points back"))
            if dependency.startswith("pyo3") and name in CRATES_WITHOUT_PYTHON:
                violations.append(Violation(name, f"depends on {dependency}: this crate knows no Python"))
    return violations


def _all_dependencies(document: Mapping[str, object]) -> Iterator[str]:
    for table in ("dependencies", "dev-dependencies", "build-dependencies"):
        section = document.get(table)
        if isinstance(section, dict):
            yield from section


def part_folders(root: Path) -> list[str]:
    """Every crate and every part of the package: the map must name each."""
    parts = [f"crates/{path.parent.name}" for path in (root / "crates").glob("*/Cargo.toml")]
    package = root / "src" / PACKAGE
    parts += [
        f"src/{PACKAGE}/{path.name}" for path in package.iterdir() if path.is_dir() and any(path.glob("*.py"))
    ]
    return sorted(parts)


def unmapped(root: Path, tracked: Sequence[str], map_text: str) -> list[str]:
    """Folders and top-level files which ``map_text`` (ARCHITECTURE.md) does not name in backticks.

    ``tracked`` are the repository's files, relative to ``root``.
    """
    wanted = set(part_folders(root))
    for name in tracked:
        first, slash, _ = name.partition("/")
        if first not in ("crates", "src"):
            wanted.add(first + ("/" if slash else ""))
    return sorted(name for name in wanted if f"`{name}`" not in map_text and f"`{name}/`" not in map_text)


def _named_in_text(path: Path) -> list[str]:
    """Modules that a file starts or imports by their names: whole, or as ``f"tradewind.part.{name}"``."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    strings = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    words = {text for text in strings if isinstance(text, str)}
    prefixes = [
        node.values[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr) and node.values and isinstance(node.values[0], ast.Constant)
    ]
    packages = [
        text
        for text in prefixes
        if isinstance(text, str) and text.startswith(f"{PACKAGE}.") and text.endswith(".")
    ]
    whole = [text for text in words if text.startswith(f"{PACKAGE}.")]
    return [*whole, *(f"{package}{word}" for package in packages for word in words if word.isidentifier())]


def unused_exports(source: Path) -> list[tuple[str, str, int]]:
    """Module, name and line of public functions and classes which nothing in the package names.

    What a decorator registers is used by it. A name in a string counts: annotations and tables use them.
    """
    named: set[str] = set()
    exports: list[tuple[str, str, int]] = []
    for module, path in module_files(source).items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for item in tree.body:
            if not isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            if not item.name.startswith("_") and not item.decorator_list:
                exports.append((module, item.name, item.lineno))
        for node in ast.walk(tree):
            named.update(_names_used(node))
    return [export for export in exports if export[1] not in named]


def _names_used(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        return [node.attr]
    if isinstance(node, ast.ImportFrom):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.findall(r"\w+", node.value) if len(node.value) < MAX_NAME_CHARACTERS else []
    return []


def reachable_modules(source: Path, roots: Sequence[str]) -> set[str]:
    """Modules that are imported, directly or not, from ``roots`` (a root stands for all modules below it)."""
    modules = module_files(source)
    waiting = [name for name in modules if any(name == root or name.startswith(f"{root}.") for root in roots)]
    reached: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module in reached or module not in modules:
            continue
        reached.add(module)
        parents = [module.rsplit(".", depth)[0] for depth in range(1, module.count(".") + 1)]
        named = [item.imported for item in imports_of(module, modules[module])]
        named += _named_in_text(modules[module])
        waiting.extend(parents + named + [name.rpartition(".")[0] for name in named])
    return reached
