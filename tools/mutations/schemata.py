"""Lists of mutations, and one copy of the sources that holds all of them behind a switch.

An entry replaces `old` by `new` in one file. Where both are expressions or statements the copy keeps the two
side by side, `if crate::mutant(7) { new } else { old }`, so that one build serves every mutation; an entry of
form `text` (a pattern, a constant, a row of a macro) needs a build of its own. The product stays unchanged.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FORMS = ("expression", "statement", "text")
SUITES = ("lib", "engine")
SWITCH = """
/// The number of the mutation in force, from the environment; 0 = none.
pub(crate) fn mutant(number: u32) -> bool {
    static CHOSEN: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    *CHOSEN.get_or_init(|| {
        std::env::var("TRADEWIND_MUTANT").ok().and_then(|text| text.parse().ok()).unwrap_or(0)
    }) == number
}
"""
CONST_FUNCTION = re.compile(r"^(\s*(?:pub(?:\(\w+\))? )?)const (fn \w+)", re.MULTILINE)
FUNCTION = re.compile(r"^\s*(?:pub(?:\(\w+\))? )?(?:const )?fn \w+", re.MULTILINE)


class ListError(Exception):
    """A list does not fit its form or the sources; the message names the entry."""


@dataclass(frozen=True)
class Mutation:
    """One entry of a list.

    ``within`` is a text that occurs once in the file and holds ``old`` once; without it ``old`` occurs once
    in the file. ``tests`` are filters ``suite:prefix``, suite one of :data:`SUITES`; one of the tests they
    select must fail. ``guards`` names what the entry belongs to, so that nothing is left without a mutation.
    """

    id: str
    rule: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    form: str = "expression"
    within: str = ""
    guards: tuple[str, ...] = ()
    number: int = 0

    def span(self, source: str) -> tuple[int, int]:
        """Start and end of ``old`` in the source.

        Raises ListError when it, or the text around it, does not occur exactly once.
        """
        around = self.within or self.old
        if (count := source.count(around)) != 1:
            raise ListError(f"{self.id}: the text occurs {count} times in {self.file}: {_shown(around)}")
        if (inside := around.count(self.old)) != 1:
            raise ListError(f"{self.id}: `old` occurs {inside} times in `within`: {_shown(self.old)}")
        start = source.index(around) + around.index(self.old)
        return start, start + len(self.old)


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else line[:77] + "..."


def read_list(path: Path) -> list[Mutation]:
    """Entries of one TOML file, in its order. Raises ListError for an entry that is not of the form."""
    with path.open("rb") as handle:
        document = tomllib.load(handle)
    defaults = document.get("defaults", {})
    return [_entry({**defaults, **row}, path.name) for row in document.get("mutation", [])]


def _entry(row: Mapping[str, object], where: str) -> Mutation:
    name = str(row.get("id", f"an entry of {where}"))
    unknown = set(row) - set(Mutation.__dataclass_fields__) | {"number"} & set(row)
    missing = {"id", "rule", "file", "old", "new", "tests"} - set(row)
    if unknown or missing:
        raise ListError(f"{name}: unknown {sorted(unknown)}, missing {sorted(missing)}")
    texts = {key: value for key, value in row.items() if isinstance(value, str)}
    groups = {key: tuple(value) for key, value in row.items() if isinstance(value, list)}
    mutation = Mutation(**texts, **groups)  # type: ignore[arg-type]
    if mutation.form not in FORMS:
        raise ListError(f"{name}: form {mutation.form} is none of {', '.join(FORMS)}")
    if not mutation.tests or any(test.partition(":")[0] not in SUITES for test in mutation.tests):
        raise ListError(f"{name}: a test filter begins with one of {', '.join(SUITES)} and a colon")
    if mutation.old == mutation.new:
        raise ListError(f"{name}: old and new are the same")
    return mutation


def load(paths: Iterable[Path]) -> list[Mutation]:
    """All entries of these files, numbered from 1. Raises ListError, also for an id that occurs twice."""
    entries = [entry for path in paths for entry in read_list(path)]
    seen: set[str] = set()
    for entry in entries:
        if entry.id in seen:
            raise ListError(f"{entry.id}: the id occurs twice")
        seen.add(entry.id)
    return [Mutation(**{**entry.__dict__, "number": at}) for at, entry in enumerate(entries, start=1)]


@dataclass
class _Node:
    """A place in a source, what may stand there instead, and the places inside it."""

    start: int
    end: int
    mutations: list[Mutation]
    inner: list[_Node]


def _tree(source: str, mutations: Sequence[Mutation]) -> list[_Node]:
    places: dict[tuple[int, int], list[Mutation]] = {}
    for mutation in mutations:
        places.setdefault(mutation.span(source), []).append(mutation)
    roots: list[_Node] = []
    stack: list[_Node] = []
    for (start, end), members in sorted(places.items(), key=lambda item: (item[0][0], -item[0][1])):
        if len({member.form for member in members}) > 1:
            raise ListError(f"{members[0].id}: another form than {members[1].id} at the same place")
        while stack and stack[-1].end <= start:
            stack.pop()
        if stack and end > stack[-1].end:
            raise ListError(f"{members[0].id}: overlaps {stack[-1].mutations[0].id}")
        node = _Node(start, end, members, [])
        (stack[-1].inner if stack else roots).append(node)
        stack.append(node)
    return roots


def _pieces(
    source: str, start: int, end: int, nodes: Sequence[_Node]
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Texts in order, each with the numbers of the mutations that it belongs to."""
    at = start
    for node in nodes:
        yield source[at : node.start], ()
        numbers = tuple(member.number for member in node.mutations)
        is_expression = node.mutations[0].form == "expression"
        yield "(" if is_expression else "", numbers
        for member in node.mutations:
            yield f"if crate::mutant({member.number}) {{ {member.new} }} else ", (member.number,)
        yield "{ ", numbers
        yield from _pieces(source, node.start, node.end, node.inner)
        yield " })" if is_expression else " }", numbers
        at = node.end
    yield source[at:end], ()


def without_const(source: str, mutations: Sequence[Mutation]) -> str:
    """The source with ``const`` taken from the functions that hold a mutation: a switch is not constant."""
    cut: set[int] = set()
    for mutation in mutations:
        start, _ = mutation.span(source)
        last = [match for match in FUNCTION.finditer(source, 0, start)]
        if last and (found := CONST_FUNCTION.match(source, last[-1].start())):
            cut.add(found.end(1))
    for at in sorted(cut, reverse=True):
        source = source[:at] + source[at:].removeprefix("const ")
    return source


def woven(source: str, mutations: Sequence[Mutation]) -> tuple[str, dict[int, set[int]]]:
    """The source with every mutation behind its switch, and by line (from 1) the numbers that it holds."""
    source = without_const(source, mutations)
    text, line = [], 1
    lines: dict[int, set[int]] = {}
    for piece, numbers in _pieces(source, 0, len(source), _tree(source, mutations)):
        for at in range(line, line + piece.count("\n") + 1):
            lines.setdefault(at, set()).update(numbers)
        line += piece.count("\n")
        text.append(piece)
    return "".join(text), lines


def replaced(source: str, mutation: Mutation) -> str:
    """The source with one mutation in place of its text."""
    start, end = mutation.span(source)
    return source[:start] + mutation.new + source[end:]
