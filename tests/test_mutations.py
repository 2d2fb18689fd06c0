"""The lists of mutations fit the sources, leave nothing out, and are woven as they say. Nothing is built."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tradewind.core.enums import Role

ROOT = Path(__file__).resolve().parent.parent
TOOL = ROOT / "tools" / "mutations"
ENGINE = ROOT / "crates" / "engine"
# The engine reads nothing for this category: there is no rule that a mutation could break.
WITHOUT_RULE = {"pause:VIEW"}


def load_tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("schemata", TOOL / "schemata.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


schemata = load_tool()
MUTATIONS = schemata.load(sorted(TOOL.glob("*.toml")))
GUARDED = {guard for mutation in MUTATIONS for guard in mutation.guards}


def source(name: str) -> str:
    return (ENGINE / "src" / name).read_text(encoding="utf-8")


def words(pattern: str, text: str) -> list[str]:
    found = re.findall(pattern, text)
    assert found, f"the source no longer matches {pattern}"
    return found


def block(opening: str, text: str) -> str:
    """From a line that begins with ``opening`` to the next line that closes at the same depth."""
    start = text.index(opening)
    indent = re.match(r" *", text[text.rfind("\n", 0, start) + 1 :])
    assert indent is not None
    return text[start : text.index(f"\n{indent.group()}}}", start)]


def expected_guards() -> set[str]:
    """What must have a mutation, read from the sources themselves."""
    roles, oracle, breaker = source("roles.rs"), source("oracle/mod.rs"), source("halts/breaker.rs")
    names = re.search(r"NAMES: \[&str; \d+\] = \[([^\]]+)\]", breaker)
    assert names is not None
    breakers = [name for name in re.findall(r'"(\w*)"', names[1]) if name]
    permissions = words(r"pub const (\w+): u8", block("pub mod permission {", roles))
    exclusions = words(r"\((\w+), (\w+)\)", roles[roles.index("&[(EMERGENCY") : roles.index("fn conflict")])
    gates = words(r"pub const (\w+): u8", block("pub mod gate {", oracle))
    states = words(r"pub const (\w+): u8", block("pub mod state {", oracle))
    actions = words(r"(?m)^    (\w+),$", block("pub enum Action {", source("gate.rs")))
    halts = words(r"(?m)^    (\w+),$", block("pub enum HaltState {", source("halts/matrix.rs")))
    categories = words(r"pub const (\w+): u8", block("pub mod category {", source("halts/matrix.rs")))
    expected = {f"breaker:{name}" for name in breakers} | {f"permission:{name}" for name in permissions}
    expected |= {f"exclusion:{a}-{b}" for a, b in exclusions} | {f"role:{role.name}" for role in Role}
    expected |= {f"gate:{name}" for name in gates} | {f"state:{name}" for name in states}
    expected |= {f"action:{name}" for name in actions} | {f"matrix:{name}" for name in halts}
    return (expected | {f"pause:{name}" for name in categories}) - WITHOUT_RULE


def test_every_breaker_permission_role_gate_state_and_row_has_a_mutation() -> None:
    expected = expected_guards()
    assert len(expected) > 100
    assert sorted(expected - GUARDED) == []


def test_every_check_of_a_permission_is_dropped_by_a_mutation() -> None:
    checked = 0
    for path in sorted((ENGINE / "src").rglob("*.rs")):
        text = path.read_text(encoding="utf-8").partition("#[cfg(test)]")[0]
        name = path.relative_to(ROOT).as_posix()
        spans = [mutation.span(text) for mutation in MUTATIONS if mutation.file == name]
        for match in re.finditer(r"need\(permission::\w+\)|require\([^()]*permission::\w+", text):
            if path.name == "slashes.rs":  # keepers: their rules have lists of their own
                continue
            checked += 1
            covered = any(start <= match.start() and match.end() <= end for start, end in spans)
            assert covered or any(match.start() <= start < match.end() for start, _ in spans), match[0]
    assert checked > 20


def test_every_old_text_occurs_exactly_once_and_every_id_too() -> None:
    assert len({mutation.id for mutation in MUTATIONS}) == len(MUTATIONS)
    for mutation in MUTATIONS:
        start, end = mutation.span((ROOT / mutation.file).read_text(encoding="utf-8"))
        assert start < end


def test_every_entry_names_its_clause_and_where_its_tests_are() -> None:
    modules = set(words(r"(?m)^mod (\w+);", (ENGINE / "tests/engine/main.rs").read_text(encoding="utf-8")))
    for mutation in MUTATIONS:
        assert re.match(r"P\d+(\.\d+)*\b.*\.$", mutation.rule), mutation.id
        for test in mutation.tests:
            suite, _, name = test.partition(":")
            place = ENGINE / "src" / name.rstrip(":").replace("::", "/")
            is_unit = suite == "lib" and (place.is_dir() or place.with_suffix(".rs").is_file())
            assert is_unit or name.partition("::")[0] in modules, f"{mutation.id}: {test}"


def test_every_file_can_be_woven() -> None:
    for name in {mutation.file for mutation in MUTATIONS}:
        text = (ROOT / name).read_text(encoding="utf-8")
        members = [m for m in MUTATIONS if m.file == name and m.form != "text"]
        woven, lines = schemata.woven(text, members)
        assert sum(woven.count(f"crate::mutant({member.number})") for member in members) == len(members)
        assert {number for numbers in lines.values() for number in numbers} == {m.number for m in members}


SOURCE = "const fn limit(x: i64) -> bool {\n    x > 5 && x < 9\n}\n"


def mutation(number: int, old: str, new: str, **fields: str) -> object:
    return schemata.Mutation(
        id=f"m{number}", rule="P0", file="a.rs", old=old, new=new, tests=("lib:a",), number=number, **fields
    )


def test_mutations_of_one_place_and_of_places_inside_it_stand_behind_one_switch_each() -> None:
    members = [
        mutation(1, "x > 5 && x < 9", "true"),
        mutation(2, "x > 5", "x >= 5"),
        mutation(3, "x > 5", "x > 6"),
    ]
    text, lines = schemata.woven(SOURCE, members)
    assert text == (
        "fn limit(x: i64) -> bool {\n"
        "    (if crate::mutant(1) { true } else { "
        "(if crate::mutant(2) { x >= 5 } else if crate::mutant(3) { x > 6 } else { x > 5 }) && x < 9 })\n"
        "}\n"
    )
    assert lines[2] == {1, 2, 3}


def test_a_statement_is_woven_without_parentheses_and_text_replaced() -> None:
    text, _ = schemata.woven("fn f() {\n    check();\n}\n", [mutation(7, "check();", "", form="statement")])
    assert text == "fn f() {\n    if crate::mutant(7) {  } else { check(); }\n}\n"
    assert "x <= 5" in schemata.replaced(SOURCE, mutation(1, "x > 5", "x <= 5"))


@pytest.mark.parametrize(
    ("old", "within", "message"),
    [
        ("y > 5", "", "occurs 0 times"),
        ("x", "", "times in a.rs"),
        ("x", "x > 5 && x < 9", "2 times in `within`"),
    ],
)
def test_a_text_that_is_not_there_exactly_once_is_an_error(old: str, within: str, message: str) -> None:
    with pytest.raises(schemata.ListError, match=message):
        mutation(1, old, "z", within=within).span(SOURCE)  # type: ignore[attr-defined]


def test_places_that_overlap_are_an_error() -> None:
    with pytest.raises(schemata.ListError, match="overlaps"):
        schemata.woven(SOURCE, [mutation(1, "x > 5 &&", "z"), mutation(2, "&& x < 9", "z")])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("id = 'a'\n", "missing"),
        ("colour = 'red'\n", "unknown"),
        ("form = 'poem'\n", "form poem"),
        ("tests = ['node:x']\n", "begins with one of"),
    ],
)
def test_an_entry_that_is_not_of_the_form_is_an_error(tmp_path: Path, change: str, message: str) -> None:
    lines = {"id": "'a'", "rule": "'P0.'", "file": "'a.rs'", "old": "'x'", "new": "'y'", "tests": "['lib:a']"}
    key, _, value = change.strip().partition(" = ")
    lines = {key: value} if message == "missing" else {**lines, key: value}
    path = tmp_path / "list.toml"
    path.write_text("[[mutation]]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items()))
    with pytest.raises(schemata.ListError, match=message):
        schemata.load([path])


def test_an_id_that_occurs_twice_is_an_error(tmp_path: Path) -> None:
    entry = "[[mutation]]\nid='a'\nrule='P0.'\nfile='a.rs'\nold='x'\nnew='y'\ntests=['lib:a']\n"
    (tmp_path / "list.toml").write_text(entry * 2)
    with pytest.raises(schemata.ListError, match="occurs twice"):
        schemata.load([tmp_path / "list.toml"])
