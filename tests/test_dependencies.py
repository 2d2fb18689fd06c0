"""Every dependency is listed with reason and licence, and none is GPL or AGPL."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "dependencies.md"
ROW = re.compile(r"^\| `(?P<name>[^`]+)` \| (?P<reason>[^|]+) \| (?P<licence>[^|]+) \|$", re.MULTILINE)
FORBIDDEN = re.compile(r"\bA?GPL|GNU (Affero )?General Public", re.IGNORECASE)


def listed(rust: bool) -> dict[str, str]:
    python_part, _, rust_part = PAGE.read_text(encoding="utf-8").partition("\n## Rust\n")
    rows = ROW.finditer(rust_part if rust else python_part)
    return {match["name"]: match["licence"] for match in rows if len(match["reason"]) > 10}


def python_dependencies() -> set[str]:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = document["project"]
    lines = [*project["dependencies"], *document["build-system"]["requires"]]
    for extra in project["optional-dependencies"].values():
        lines += extra
    matches = [re.match(r"[A-Za-z0-9_.-]+", line) for line in lines]
    return {match[0] for match in matches if match} - {"tradewind"}


def rust_dependencies() -> set[str]:
    names: set[str] = set()
    for manifest in [ROOT / "Cargo.toml", *(ROOT / "crates").glob("*/Cargo.toml")]:
        document = tomllib.loads(manifest.read_text())
        tables = [document, document.get("workspace", {}), *document.get("target", {}).values()]
        for table in tables:
            for key in ("dependencies", "dev-dependencies", "build-dependencies"):
                names |= set(table.get(key, {}))
    return {name for name in names if not name.startswith("tradewind-")}


def test_the_page_lists_exactly_the_python_dependencies() -> None:
    assert set(listed(rust=False)) == python_dependencies()


def test_the_page_lists_exactly_the_rust_dependencies() -> None:
    assert set(listed(rust=True)) == rust_dependencies()


@pytest.mark.parametrize("rust", [False, True])
def test_no_listed_licence_is_gpl_or_agpl(rust: bool) -> None:
    assert {name: text for name, text in listed(rust).items() if FORBIDDEN.search(text)} == {}


@pytest.mark.parametrize("name", sorted(python_dependencies()))
def test_the_installed_package_declares_no_gpl(name: str) -> None:
    try:
        about = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        pytest.skip("not installed here")
    declared = [about.get("License-Expression"), about.get("License"), *about.get_all("Classifier", [])]
    lines = [line.splitlines()[0] for line in declared if line]
    assert [line for line in lines if FORBIDDEN.search(line) and "LGPL" not in line] == []


@pytest.mark.parametrize(
    "text", ["GPL-3.0-only", "AGPL-3.0", "GNU Affero General Public License v3", "MIT AND GPL-2.0"]
)
def test_a_copyleft_licence_would_be_seen(text: str) -> None:
    assert FORBIDDEN.search(text)


@pytest.mark.parametrize("text", ["LGPL-2.1-or-later", "MIT", "MPL-2.0"])
def test_a_weaker_licence_is_not_mistaken_for_it(text: str) -> None:
    assert not FORBIDDEN.search(text)
