"""Strategies are found by name, entry point or file; what is wrong with one is said precisely."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from importlib.metadata import EntryPoint
from pathlib import Path

import msgspec
import pytest

from tradewind.trader import discovery
from tradewind.trader.discovery import (
    SHIPPED,
    StrategyError,
    available,
    check_manifest,
    find,
    make,
    presets,
)
from tradewind.trader.parameters import ParameterError
from tradewind.trader.rehearsal import rehearse
from tradewind.trader.scaffold import ScaffoldError, write
from tradewind.trader.static_check import findings
from tradewind.trader.strategies.market_making import DEMONSTRATION, MarketMaking
from tradewind.trader.strategy import code_hash

GOOD = """
from decimal import Decimal
from tradewind.trader.parameters import ParameterSet
from tradewind.trader.strategy import Manifest, StrategyBase

class NoParameters(ParameterSet, frozen=True):
    pass

class Quiet(StrategyBase):
    Parameters = NoParameters
    def __init__(self, symbols, parameters, *, environment):
        self.parameters = parameters
        self.manifest = Manifest(
            name="quiet", version="1", symbols=symbols, expected_holding_s=0,
            expected_edge_bps=Decimal(0), cost_model="none", max_loss_pct=Decimal(1), data=(),
        )
"""


def test_every_shipped_name_is_found_built_and_keeps_the_contract() -> None:
    assert [info.name for info in available()][: len(SHIPPED)] == list(SHIPPED)
    for name in SHIPPED:
        outside = ("B",) if name == "outcome_reference" else ()
        for preset in presets(find(name)):
            strategy = make(name, ("A",), preset=preset, outside=outside)
            assert strategy.manifest.symbols == ("A",)
            text = Path(sys.modules[type(strategy).__module__].__file__ or "").read_text()
            assert findings(text) == [], "our own strategies obey the rules that others are checked by"


def written(folder: Path, text: str, name: str = "mine.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_file_gives_its_class_by_name_or_when_it_has_only_one(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    assert find(f"{path}:Quiet").__name__ == "Quiet"
    assert find(str(path)) is find(f"{path}:Quiet")
    assert make(str(path), ("A", "B")).manifest.symbols == ("A", "B")


def test_a_changed_file_is_loaded_anew_and_has_another_hash(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    first = make(str(path), ("A",))
    hashed = code_hash(first)
    assert hashed == code_hash(type(first))
    written(tmp_path, GOOD.replace('version="1"', 'version="2"'))
    second = make(str(path), ("A",))
    assert (second.manifest.version, first.manifest.version) == ("2", "1")
    written(tmp_path, GOOD + "\n# anything outside of the class counts too\n")
    assert code_hash(make(str(path), ("A",))) != hashed


def test_a_neighbour_file_can_be_imported_and_nothing_stays_on_the_path(tmp_path: Path) -> None:
    written(tmp_path, "LENGTH = 7\n", "neighbour_of_mine.py")
    before = list(sys.path)
    path = written(tmp_path, "from neighbour_of_mine import LENGTH\n" + GOOD)
    assert find(str(path)) is not None
    assert sys.path == before


@pytest.mark.parametrize(
    ("text", "name", "problem", "says"),
    [
        ("def broken(:\n", "X", "syntax", "mine.py:1"),
        ("\n\nvalue = 1 / 0\n", "X", "fails", "mine.py:3"),
        ("import nothing_of_this_name\n", "X", "fails", "nothing_of_this_name"),
        ("X = 5\n", "X", "wrong_base", "is no class"),
        ("class X:\n    def on_book(self): ...\n", "X", "wrong_base", "on_start"),
        (GOOD, "Quite", "no_class", "Quiet"),
        (GOOD + "\nclass Other(Quiet): ...\n", "", "no_class", "Quiet, Other"),
        ("value = 1\n", "", "no_class", "none"),
        (GOOD.replace("    Parameters = NoParameters\n", ""), "Quiet", "parameters", "class Parameters"),
        (GOOD.replace("    pass", "    width: int = 3"), "Quiet", "parameters", "NoParameters.width"),
        ("\x00", "X", "syntax", "mine.py"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_line(
    tmp_path: Path, text: str, name: str, problem: str, says: str
) -> None:
    path = written(tmp_path, text)
    modules = set(sys.modules)
    with pytest.raises(StrategyError) as refused:
        find(f"{path}:{name}" if name else str(path))
    assert refused.value.problem == problem
    assert says in str(refused.value)
    if problem in {"syntax", "fails"}:
        assert set(sys.modules) == modules, "nothing stays half loaded"


def test_a_missing_file_a_folder_and_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "bytes.py").write_bytes(b"\xff\xfe\x00")
    for name in ("nothing.py", "folder.py", "bytes.py"):
        with pytest.raises(StrategyError, match=name):
            find(f"{tmp_path / name}:X")


def test_an_unknown_name_tells_the_nearest_and_an_unknown_set_the_known_ones() -> None:
    with pytest.raises(StrategyError, match="market_maker"):
        find("market_makr")
    with pytest.raises(StrategyError, match="demonstration"):
        make("market_maker", ("A",), preset="honest")
    with pytest.raises(ParameterError, match="layers"):
        make("market_maker", ("A",), {"layer": 3})
    with pytest.raises(StrategyError, match="looks at no outside"):
        make("market_maker", ("A",), outside=("B",))
    with pytest.raises(StrategyError, match="different"):
        make("market_maker", ("A", "A"))


class _Registered:
    """Stands for what installed packages register."""

    def __init__(self, *entries: EntryPoint) -> None:
        self.entries = entries

    def __call__(self, *, group: str) -> tuple[EntryPoint, ...]:
        return tuple(entry for entry in self.entries if entry.group == group)


def test_an_entry_point_is_found_and_two_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    place = SHIPPED["breakout"]
    entry = EntryPoint("theirs", place, discovery.GROUP)
    monkeypatch.setattr(discovery, "entry_points", _Registered(entry))
    assert find("theirs") is find("breakout")
    broken = EntryPoint("theirs", "no.such.module:X", discovery.GROUP)
    monkeypatch.setattr(discovery, "entry_points", _Registered(broken))
    with pytest.raises(StrategyError, match=r"no\.such"):
        find("theirs")
    for twice in ((entry, broken), (EntryPoint("breakout", place, discovery.GROUP),)):
        monkeypatch.setattr(discovery, "entry_points", _Registered(*twice))
        with pytest.raises(StrategyError) as refused:
            find("market_maker")
        assert refused.value.problem == "twice"


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Market Maker"},
        {"version": ""},
        {"symbols": ("B",)},
        {"outside": ("A",)},
        {"data": ("book", "bars:7")},
        {"data": ("bars:0",)},
        {"data": ("everything",)},
        {"expected_holding_s": -1},
        {"expected_edge_bps": Decimal("NaN")},
        {"expected_edge_bps": 3.0},
        {"max_loss_pct": Decimal(101)},
        {"max_loss_pct": Decimal("NaN")},
        {"cost_model": ""},
        {"timer_ms": 0},
        {"book_levels": 0},
    ],
)
def test_a_manifest_that_says_nonsense_is_refused(change: dict[str, object]) -> None:
    strategy = MarketMaking(("A",))
    check_manifest("x", strategy, ("A",))
    strategy.manifest = msgspec.structs.replace(strategy.manifest, **change)
    with pytest.raises(StrategyError) as refused:
        check_manifest("x", strategy, ("A",))
    assert refused.value.problem == "manifest"


# ---- what a strategy must not use --------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "import time",
        "import random as r",
        "import os.path",
        "from random import choice",
        "from socket import socket",
        "import threading, math",
        "from pathlib import Path",
        "import urllib.request",
        "value = datetime.now()",
        "value = datetime.datetime.utcnow()",
        "value = date.today()",
        "value = open('x')",
        "print(1)",
        "eval('1')",
        "value = np.random.rand()",
        "value = hash('x')",
        "for x in {1, 2}: pass",
        "value = [x for x in set(y)]",
        "async def f(): ...",
        "def f():\n    global STATE",
    ],
)
def test_every_forbidden_use_is_reported_with_its_line(line: str) -> None:
    (found, *_) = findings(f"import math\n\n{line}\n")
    assert found.line in {3, 4}
    assert found.what and found.why


@pytest.mark.parametrize(
    "line",
    [
        "import math, statistics, collections",
        "from datetime import timedelta",
        "from . import neighbour",
        "value = context.now_ns",
        "value = context.random.random()",
        "for x in sorted({1, 2}): pass",
        "value = self.random.gauss(0, 1)",
    ],
)
def test_what_a_strategy_may_use_is_not_reported(line: str) -> None:
    assert findings(line) == []


# ---- a new strategy -----------------------------------------------------------------------------------


def test_a_scaffolded_strategy_is_clean_builds_and_its_own_tests_pass(tmp_path: Path) -> None:
    folder = tmp_path / "dip_buyer"
    files = write("dip_buyer", folder)
    source = f"{folder / 'dip_buyer.py'}:DipBuyer"
    assert findings((folder / "dip_buyer.py").read_text()) == []
    played = rehearse(lambda: make(source, ("BTC/USDT",)), steps=1_000)
    assert (played.problems, played.fills > 0) == ([], True)
    assert not [path for path in files if "@" in path.read_text().replace("@NAME@", "@")]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "4 passed" in run.stdout


def test_the_test_of_a_scaffolded_strategy_goes_red_when_the_strategy_breaks_the_contract(
    tmp_path: Path,
) -> None:
    write("dip_buyer", tmp_path)
    module = tmp_path / "dip_buyer.py"
    module.write_text(
        module.read_text().replace("lots=context.position_lots", "lots=2 * context.position_lots")
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "test_it_never_sells_what_it_does_not_hold" in run.stdout


@pytest.mark.parametrize(
    "name", ["", "Dip", "1st", "a-b", "a.b", "../x", "class", "time", "breakout", "x" * 41]
)
def test_a_bad_name_begins_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(ScaffoldError):
        write(name, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def _file(folder: Path) -> None:
    folder.mkdir()
    (folder / "trader.toml").write_text("mine")


@pytest.mark.parametrize("spoil", [_file, Path.touch])
def test_nothing_is_overwritten(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    folder = tmp_path / "mine"
    spoil(folder)
    with pytest.raises(ScaffoldError, match="exists already"):
        write("mine", folder)
    assert not (folder / "mine.py").exists()


def test_shipped_sets_are_those_that_the_classes_name() -> None:
    assert presets(find("market_maker"))["demonstration"] is DEMONSTRATION
