"""The page of differences is what the sources say, and every test that it names exists (T19.7)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import gateway_differences as differences

ENTRY = """
title = "One gateway"
[[difference]]
id = "small-thing"
clause = "T19.1"
venue = "does a | b"
gateway = "does c"
tests = ["tests/gateways/test_one.py::test_small_thing"]
"""


def written(folder: Path, text: str) -> list[differences.Gateway]:
    (folder / "one").mkdir(exist_ok=True)
    (folder / "one" / differences.SOURCE).write_text(text)
    return differences.gateways(folder)


def test_the_page_is_what_the_sources_say() -> None:
    assert differences.PAGE.read_text(encoding="utf-8") == differences.page(differences.gateways()), (
        "python3 tools/gateway_differences.py --write"
    )


def test_every_named_test_exists() -> None:
    assert differences.missing_tests(differences.gateways()) == []


def test_every_gateway_has_a_list() -> None:
    with_code = {
        "-".join([path.parent.name, *path.stem.split("_")[:-1]])
        for path in differences.GATEWAYS.glob("*/*gateway.py")
    }
    assert {one.name for one in differences.gateways()} == with_code


def test_a_test_that_does_not_exist_is_named(tmp_path: Path) -> None:
    found = written(tmp_path, ENTRY)
    assert differences.missing_tests(found, tmp_path) == [
        "one/small-thing: tests/gateways/test_one.py::test_small_thing"
    ]
    path = tmp_path / "tests" / "gateways" / "test_one.py"
    path.parent.mkdir(parents=True)
    path.write_text("async def test_small_thing() -> None: ...\n")
    assert differences.missing_tests(found, tmp_path) == []


def test_a_bar_in_a_text_does_not_break_the_table(tmp_path: Path) -> None:
    row = differences.page(written(tmp_path, ENTRY)).splitlines()[-1]
    assert row.replace("\\|", "").count("|") == 6


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('id = "small-thing"', 'id = "Small thing"', "words with hyphens"),
        ('clause = "T19.1"', 'clause = "nineteen"', "clause"),
        ('gateway = "does c"', "", "gateway is missing"),
        ('gateway = "does c"', 'gateway = " "', "gateway is missing"),
        ('tests = ["tests/gateways/test_one.py::test_small_thing"]', "", "either tests or the reason"),
        ('clause = "T19.1"', 'clause = "T19.1"\nuntested = "later"', "either tests or the reason"),
        ('clause = "T19.1"', 'clause = "T19.1"\nunsure = true', "unknown"),
        ("tests = [", "tests = [1, ", "list of path::name"),
        ('title = "One gateway"', "", "title"),
        ('title = "One gateway"', 'title = "One', "one/differences.toml"),
    ],
)
def test_a_source_that_says_too_little_is_refused(tmp_path: Path, old: str, new: str, reason: str) -> None:
    assert old in ENTRY
    with pytest.raises(differences.SourceError, match=reason):
        written(tmp_path, ENTRY.replace(old, new))


def test_an_id_is_there_once(tmp_path: Path) -> None:
    with pytest.raises(differences.SourceError, match="twice"):
        written(tmp_path, ENTRY + ENTRY[ENTRY.index("[[") :])
