"""Every dependency is listed with reason and licence, and none is GPL or AGPL; clients only run beside."""

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


CLIENTS = ROOT / "tests" / "wire" / "clients"
CLIENT_SECTION = "Test clients"
PIN = re.compile(r"(?P<name>[A-Za-z0-9_.-]+)==[0-9][A-Za-z0-9.]*")


def sections() -> dict[str, dict[str, str]]:
    """Licence by package, for each section of the page."""
    parts = PAGE.read_text(encoding="utf-8").split("\n## ")[1:]
    return {
        part.partition("\n")[0]: {
            match["name"]: match["licence"] for match in ROW.finditer(part) if len(match["reason"]) > 10
        }
        for part in parts
    }


def listed(rust: bool) -> dict[str, str]:
    """What is imported or linked."""
    found: dict[str, str] = {}
    for title, rows in sections().items():
        if title != CLIENT_SECTION and (title == "Rust") == rust:
            found |= rows
    return found


def pinned(path: Path) -> tuple[list[str], list[str]]:
    """Clients, which stand before the empty line, and what they need."""
    clients, _, needed = path.read_text(encoding="utf-8").partition("\n\n")
    return requirements(clients), requirements(needed)


def requirements(text: str) -> list[str]:
    """Lines that are neither empty nor a comment."""
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


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


def test_the_page_lists_exactly_the_test_clients() -> None:
    lines = [line for path in CLIENTS.glob("*.txt") for line in pinned(path)[0]]
    assert set(sections()[CLIENT_SECTION]) == {line.partition("==")[0] for line in lines}


@pytest.mark.parametrize("path", sorted(CLIENTS.glob("*.txt")), ids=lambda path: path.name)
def test_every_package_of_a_test_client_is_pinned_once(path: Path) -> None:
    matches = [PIN.fullmatch(line) for part in pinned(path) for line in part]
    assert matches and None not in matches
    names = [re.sub("[-_.]+", "-", match["name"]).lower() for match in matches if match]
    assert len(set(names)) == len(names)


def test_nothing_of_a_test_client_is_imported_by_the_package() -> None:
    roots = {
        "binance",
        "binance_sdk_spot",
        "binance_common",
        "ccxt",
        "freqtrade",
        "kraken",
        "py_clob_client_v2",
    }
    imports = re.compile(r"^\s*(?:from|import) (\w+)", re.MULTILINE)
    sources = (ROOT / "src" / "tradewind").rglob("*.py")
    found = {str(path): roots & set(imports.findall(path.read_text(encoding="utf-8"))) for path in sources}
    assert {path: names for path, names in found.items() if names} == {}


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
