"""`tradewind strategy` from a shell: new, list, show and check, with their exit statuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tradewind.cli.program import run


def answered(capsys: pytest.CaptureFixture[str], status: int, *arguments: str) -> Any:
    assert run(["strategy", *arguments, "--json"]) == status
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def begun(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    made = answered(capsys, 0, "new", "dip_buyer", "--directory", str(tmp_path / "dip"))
    assert (made["class"], len(made["files"])) == ("DipBuyer", 5)
    return tmp_path / "dip" / "dip_buyer.py"


def test_a_new_strategy_passes_its_own_check_and_is_not_overwritten(
    begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checked = answered(capsys, 0, "check", f"{begun}:DipBuyer", "--steps", "600")
    assert (checked["clean"], checked["findings"], checked["problems"]) == (True, [], [])
    assert checked["fills"] > 0
    refused = answered(capsys, 2, "new", "dip_buyer", "--directory", str(begun.parent))
    assert refused["error"]["code"] == "SCAFFOLD_REFUSED"


def test_check_reports_what_is_forbidden_with_its_line_and_fails(
    begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = begun.read_text().splitlines()
    where = lines.index("from collections import deque")
    lines.insert(where, "import time")
    begun.write_text("\n".join(lines))
    checked = answered(capsys, 1, "check", str(begun) + ":DipBuyer", "--steps", "100")
    assert [(one["line"], one["what"]) for one in checked["findings"]] == [(where + 1, "import of time")]


def test_check_tells_what_a_strategy_raises_and_where(
    begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = begun.read_text().replace("self.lows.append(bar.low_ticks)", "self.lows.append(1 // 0)")
    begun.write_text(text)
    checked = answered(capsys, 1, "check", f"{begun}:DipBuyer")
    line = text.splitlines().index("        self.lows.append(1 // 0)") + 1
    assert f"ZeroDivisionError('integer division or modulo by zero'), line {line}" in checked["problems"][0]


def test_check_of_every_shipped_strategy_is_clean(capsys: pytest.CaptureFixture[str]) -> None:
    listed = answered(capsys, 0, "list")
    for row in listed:
        if row["from"] == "shipped":
            assert answered(capsys, 0, "check", row["strategy"], "--steps", "400")["clean"]


def test_show_has_manifest_bounds_hash_and_the_break_even_rate(capsys: pytest.CaptureFixture[str]) -> None:
    shown = answered(capsys, 0, "show", "mean_reversion")
    assert "% of trades must win" in shown["break_even"]
    assert len(shown["code_hash"]) == 32
    by_name = {row["parameter"]: row for row in shown["parameters"]}
    assert by_name["adx_below"]["bounds"] == "5..100"
    fast = answered(capsys, 0, "show", "mean_reversion", "--parameters", "demonstration")
    assert "refused" in fast["break_even"]
    assert {row["parameter"]: row["value"] for row in fast["parameters"]}["bar_s"] == "5"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("show", "nothing"), "StrategyError"),
        (("check", "missing.py:X"), "StrategyError"),
        (("show", "market_maker", "--parameters", "honest"), "StrategyError"),
        (("check", "market_maker", "--set", "layers=9"), "ParameterError"),
        (("check", "market_maker", "--set", "layers"), "BAD_PARAMETER"),
        (("check", "market_maker", "--steps", "1"), "PARAMETER_OUT_OF_BOUNDS"),
        (("new", "Bad-Name"), "SCAFFOLD_REFUSED"),
    ],
)
def test_what_cannot_be_done_is_one_typed_failure(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: str
) -> None:
    assert answered(capsys, 2, *arguments)["error"]["code"] == code
