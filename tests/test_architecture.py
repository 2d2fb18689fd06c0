"""The arrows of the architecture hold, the map is complete, and the check itself can fail."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tradewind.readiness.architecture import (
    CRATE_ARROWS,
    RANKS,
    crate_violations,
    import_violations,
    module_files,
    part_folders,
    unmapped,
)

ROOT = Path(__file__).resolve().parent.parent
MAP = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
ENGINE_FORBIDDEN = re.compile(r"\bstd::(fs|net|time|thread|process|env|io)\b|\bSystemTime\b|\bInstant::now\b")


def tracked() -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


def package(root: Path, files: dict[str, str]) -> Path:
    """A synthetic package under ``root``; every folder gets an ``__init__.py``."""
    for name, text in files.items():
        path = root / "src" / "tradewind" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(text)
    return root / "src"


def test_no_import_of_the_package_points_back() -> None:
    assert [str(item) for item in import_violations(ROOT / "src")] == []


def test_the_walk_sees_the_modules_of_every_part() -> None:
    modules = module_files(ROOT / "src")
    folders = [name.removeprefix("src/tradewind/") for name in part_folders(ROOT) if name.startswith("src/")]
    assert folders
    assert all(any(module.startswith(f"tradewind.{folder}") for module in modules) for folder in folders)


def test_no_crate_depends_against_the_arrows() -> None:
    assert [str(item) for item in crate_violations(ROOT)] == []
    assert {f"crates/{name.removeprefix('tradewind-')}" for name in CRATE_ARROWS} <= set(part_folders(ROOT))


def test_every_folder_and_top_level_file_is_on_the_map() -> None:
    assert unmapped(ROOT, tracked(), MAP) == []


def test_what_the_map_calls_planned_does_not_exist_yet() -> None:
    planned = re.findall(r"^\| `([^`]+)` \|.*\*\(planned\)\*", MAP, re.MULTILINE)
    stale = [name for name in planned if name.rstrip("/") in part_folders(ROOT)]
    assert stale == [], "remove the planned mark of what exists"


def test_every_part_of_the_map_has_a_place_in_the_arrows() -> None:
    named = set(re.findall(r"`src/tradewind/(\w+)`", MAP))
    assert named == set(RANKS)


def test_the_engine_names_no_clock_file_thread_or_environment() -> None:
    found = []
    for path in sorted((ROOT / "crates" / "engine" / "src").rglob("*.rs")):
        production = path.read_text(encoding="utf-8").partition("#[cfg(test)]")[0]
        for number, line in enumerate(production.splitlines(), start=1):
            if ENGINE_FORBIDDEN.search(line.partition("//")[0]):
                found.append(f"{path.name}:{number}: {line.strip()}")
    assert found == []


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "node/writer.py",
            "from tradewind.trader import risk\n",
            "node imports trader: the arrow points back",
        ),
        (
            "node/lazy.py",
            "def f():\n    import tradewind.api.app\n",
            "node imports api: the arrow points back",
        ),
        ("venues/x.py", "from ..cli import main\n", "venues imports cli: the arrow points back"),
        ("core/x.py", "import importlib\nimportlib.import_module('tradewind.node')\n", "core imports node"),
        ("core/y.py", "from tradewind import trader\n", "core imports trader"),
        ("api/raw.py", "from tradewind import _core\n", "only core may import"),
        ("stray/x.py", "VALUE = 1\n", "stray is not a part of the architecture"),
    ],
)
def test_a_back_arrow_is_found_in_every_spelling(tmp_path: Path, name: str, text: str, expected: str) -> None:
    source = package(tmp_path, {name: text})
    assert any(expected in str(item) for item in import_violations(source))


def test_a_cycle_between_parts_of_one_level_is_found(tmp_path: Path) -> None:
    source = package(
        tmp_path, {"venues/a.py": "import tradewind.node.b\n", "node/b.py": "import tradewind.venues.a\n"}
    )
    assert [item.where for item in import_violations(source)] == ["node", "venues"]


def test_allowed_arrows_are_not_reported(tmp_path: Path) -> None:
    source = package(
        tmp_path,
        {
            "core/engine.py": "from tradewind import _core\n",
            "node/writer.py": "from tradewind.core import engine\nfrom . import other\n",
            "node/other.py": "import json\n",
            "cli/main.py": "from tradewind.node.writer import engine\nfrom ..core import engine as again\n",
        },
    )
    assert import_violations(source) == []


def test_the_package_root_may_not_load_parts(tmp_path: Path) -> None:
    source = package(tmp_path, {"core/a.py": "", "node/a.py": ""})
    (source / "tradewind" / "__init__.py").write_text("from tradewind.core import a\n")
    assert [item.problem for item in import_violations(source)] == [
        "the package root imports core; it must stay free of parts"
    ]


def test_a_crate_that_points_back_or_knows_python_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "crates" / "journal"
    folder.mkdir(parents=True)
    manifest = '[package]\nname = "tradewind-journal"\n[dependencies]\ntradewind-engine = "1"\npyo3 = "1"\n'
    (folder / "Cargo.toml").write_text(manifest)
    problems = [item.problem for item in crate_violations(tmp_path)]
    assert problems == [
        "depends on tradewind-engine: the arrow points back",
        "depends on pyo3: this crate knows no Python",
    ]


def test_a_folder_missing_from_the_map_is_found() -> None:
    without = (
        MAP.replace("`src/tradewind/readiness`", "").replace("`crates/journal`", "").replace("`tools/`", "")
    )
    assert unmapped(ROOT, tracked(), without) == ["crates/journal", "src/tradewind/readiness", "tools/"]
