"""The table of bad input and faults in docs/venues.md names tests that exist (T18)."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


def section() -> str:
    page = (ROOT / "docs" / "venues.md").read_text()
    return page.partition("### Bad input and faults, row by row")[2].partition("\n##")[0]


def test_every_named_test_exists() -> None:
    named = NAMED.findall(section())
    assert len(named) > 40
    missing = []
    for path, name in named:
        file = ROOT / "tests" / path
        if not file.is_file() or not re.search(rf"def {name}\(", file.read_text()):
            missing.append(f"{path}::{name}")
    assert missing == []


def test_every_row_names_a_test() -> None:
    rows = [one for one in section().splitlines() if one.startswith("| ") and "shown by" not in one]
    assert len(rows) > 20
    assert [one for one in rows if not NAMED.search(one)] == []
