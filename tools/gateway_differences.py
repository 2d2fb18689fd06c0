#!/usr/bin/env python3
"""Collects what differs between each gateway and its real venue into docs/gateway-differences.md (T19.7).

    python3 tools/gateway_differences.py           says whether the page is up to date
    python3 tools/gateway_differences.py --write   writes it

The source is `differences.toml` beside each gateway (`usdm_differences.toml` beside the second one of a
folder): one entry for each difference with an id, the clause,
what the venue does, what the gateway does, and the tests that show it or why none does.

Exit status: 0 up to date or written, 1 the page is stale, 2 a source is at fault.
Only the standard library is used.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
GATEWAYS = ROOT / "src" / "tradewind" / "gateways"
PAGE = ROOT / "docs" / "gateway-differences.md"
SOURCE = "differences.toml"
SECOND = "*_differences.toml"
"""Of the second gateway in a folder."""
ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
CLAUSE = re.compile(r"[TP]\d+(\.\d+)?")
TEXTS = ("id", "clause", "venue", "gateway")
KNOWN = {*TEXTS, "unverified", "tests", "untested"}


class SourceError(Exception):
    """A source cannot be taken as it is; the message names the file and the entry."""


@dataclass(frozen=True)
class Difference:
    """One thing that a client could notice. ``tests`` is empty only where ``untested`` says why."""

    id: str
    clause: str
    venue: str
    gateway: str
    unverified: bool
    tests: tuple[str, ...]
    untested: str


@dataclass(frozen=True)
class Gateway:
    """The differences of one gateway in the order of its source."""

    name: str
    title: str
    differences: tuple[Difference, ...]


def difference(entry: dict[str, Any], where: str) -> Difference:
    """One entry of a source; raises SourceError."""
    place = f"{where}: {entry.get('id', 'an entry without id')}"
    if unknown := set(entry) - KNOWN:
        raise SourceError(f"{place}: unknown {sorted(unknown)}")
    for name in TEXTS:
        if not isinstance(entry.get(name), str) or not entry[name].strip():
            raise SourceError(f"{place}: {name} is missing")
    if not ID.fullmatch(entry["id"]) or not CLAUSE.fullmatch(entry["clause"]):
        raise SourceError(f"{place}: id is words with hyphens, clause one like T19.1")
    tests, untested = entry.get("tests", []), entry.get("untested", "")
    if not isinstance(tests, list) or not all(isinstance(test, str) for test in tests):
        raise SourceError(f"{place}: tests is a list of path::name")
    if not isinstance(untested, str) or bool(tests) == bool(untested.strip()):
        raise SourceError(f"{place}: either tests or the reason why it is untested")
    unverified = entry.get("unverified", False)
    if not isinstance(unverified, bool):
        raise SourceError(f"{place}: unverified is true or false")
    texts = {name: " ".join(entry[name].split()) for name in TEXTS}
    return Difference(**texts, unverified=unverified, tests=tuple(tests), untested=untested.strip())


def gateway(path: Path) -> Gateway:
    """The source of one gateway; raises SourceError."""
    where = f"{path.parent.name}/{path.name}"
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise SourceError(f"{where}: {error}") from error
    if set(document) != {"title", "difference"}:
        raise SourceError(f"{where}: title and [[difference]] make the file")
    found = tuple(difference(entry, where) for entry in document["difference"])
    ids = [one.id for one in found]
    if twice := sorted({one for one in ids if ids.count(one) > 1}):
        raise SourceError(f"{where}: {twice} is there twice")
    second = path.stem.removesuffix("differences").removesuffix("_")
    name = f"{path.parent.name}-{second}" if second else path.parent.name
    return Gateway(name, str(document["title"]), found)


def gateways(folder: Path = GATEWAYS) -> list[Gateway]:
    """Every gateway with a source, by name; raises SourceError."""
    paths = [*folder.glob(f"*/{SOURCE}"), *folder.glob(f"*/{SECOND}")]
    return [gateway(path) for path in sorted(paths, key=lambda path: (path.parent, path.stem))]


def missing_tests(found: list[Gateway], root: Path = ROOT) -> list[str]:
    """Named tests that do not exist, as `gateway/id: path::name`."""
    functions: dict[str, set[str]] = {}
    missing = []
    for one in found:
        for entry in one.differences:
            for test in entry.tests:
                path, _, name = test.partition("::")
                if path not in functions:
                    functions[path] = names_of(root / path)
                if not name.startswith("test_") or name not in functions[path]:
                    missing.append(f"{one.name}/{entry.id}: {test}")
    return missing


def names_of(path: Path) -> set[str]:
    """Functions at the top level of a file of tests; none where there is no such file."""
    if not path.is_file():
        return set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def cell(text: str) -> str:
    """Text that stays within its cell of a table."""
    return text.replace("|", "\\|")


def shown(entry: Difference) -> str:
    """The last cell: the tests by name, or why there is none."""
    if not entry.tests:
        return f"no test: {cell(entry.untested)}"
    return "<br>".join(
        f"`{Path(test.partition('::')[0]).name}::{test.partition('::')[2]}`" for test in entry.tests
    )


def page(found: list[Gateway]) -> str:
    """The whole page."""
    lines = [
        "# Differences between gateways and venues",
        "",
        "What a client could notice. Everything else is meant to be as at the venue: a difference that is",
        "not listed here is a defect. What is marked (u) could not be checked against the venue.",
        "",
        "This page is generated from the `differences.toml` files beside the gateways",
        "(`python3 tools/gateway_differences.py --write`). A test fails when it is stale or names a test",
        "that does not exist.",
    ]
    for one in found:
        tested = sum(bool(entry.tests) for entry in one.differences)
        lines += [
            "",
            f"## {one.title}",
            "",
            f"{len(one.differences)} differences, {tested} of them shown by tests.",
            "",
        ]
        lines += ["| difference | clause | the venue | the gateway | shown by |", "|---|---|---|---|---|"]
        for entry in one.differences:
            mark = " (u)" if entry.unverified else ""
            texts = f"{cell(entry.venue)} | {cell(entry.gateway)}{mark}"
            lines.append(f"| `{entry.id}` | {entry.clause} | {texts} | {shown(entry)} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Writes or checks the page; returns the exit status."""
    if arguments not in ([], ["--write"]):
        print("usage: gateway_differences.py [--write]", file=sys.stderr)
        return 2
    try:
        found = gateways()
    except SourceError as error:
        print(error, file=sys.stderr)
        return 2
    if missing := missing_tests(found):
        print("no such test:", *missing, sep="\n  ", file=sys.stderr)
        return 2
    text = page(found)
    if arguments:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
        print(
            f"{PAGE.relative_to(ROOT)} is stale: python3 tools/gateway_differences.py --write",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
