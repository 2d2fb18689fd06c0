"""`tradewind backtest` as a user runs it: exit status, JSON, refusals, and an interrupt."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tradewind.cli.program import run

QUICK = (
    "--parameters", "cost_gate=report", "base_half_bps=0.4", "min_half_bps=0.2", "sigma_multiplier=0",
    "layer_step_bps=0.4", "refresh_bps=0.4",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_run_writes_its_report_and_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["backtest", "market_maker", "--data", "generated:20", *QUICK, "--no-plot", "--out", "r"])
    out = capsys.readouterr().out
    assert status == 0
    assert "report: r/report.html" in out
    assert "Admission to paper: not admitted" in out
    assert (tmp_path / "r" / "result.json").is_file()
    assert (tmp_path / "data" / "trials.jsonl").is_file()


def test_json_is_one_document_with_money_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["backtest", "market_maker", "--data", "generated:20", *QUICK, "--no-plot", "--json"]
    assert run(arguments) == 0
    first = capsys.readouterr().out
    content = json.loads(first)
    assert isinstance(content["result"]["net"], str)
    assert Path(content["report"], "report.md").is_file()
    assert run(arguments) == 0
    assert capsys.readouterr().out == first


def test_a_sweep_writes_its_points(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["backtest", "sweep", "market_maker", "--data", "generated:20", *QUICK[:2], "--grid"]
    assert run([*arguments, "layers=1,3", "--workers", "1", "--no-plot", "--out", "s"]) == 0
    assert "multiplicity: 2 trials" in capsys.readouterr().err
    assert (tmp_path / "s" / "points.csv").read_text().count("layers=") == 2


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (["nobody", "--data", "generated:20"], 2, "UNKNOWN_STRATEGY"),
        (["market_maker", "--data", "missing.gz"], 2, "DATA_MISSING"),
        (["market_maker", "--data", "generated:20", "--symbol", "A/B"], 2, "UNKNOWN_SYMBOL"),
        (["market_maker", "--data", "generated:20", "--parameters", "layers=99"], 2, "BAD_PARAMETER"),
        (["market_maker", "--data", "generated:20", "--parameters", "layers"], 2, "BAD_PARAMETER"),
        (["market_maker", "--data", "generated:20", "--latency", "9"], 2, "BAD_LATENCY"),
        (["market_maker", "--data", "generated:20", "--cash", "much"], 2, "BAD_NUMBER"),
        (["market_maker", "--data", "generated:20", "--queue", "l3"], 2, "QUEUE_MODEL"),
        (["market_maker", "--data", "generated:20", "--schedule", "none"], 78, "BAD_FEE_SCHEDULE"),
        (["market_maker", "--data", "generated:20", "--profile", "none"], 78, "BAD_PROFILE"),
        (["sweep", "market_maker", "--data", "generated:20", "--grid", "layers"], 2, "BAD_GRID"),
    ],
)
def test_a_refusal_has_its_code_and_writes_nothing(
    arguments: list[str], status: int, code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["backtest", *arguments, "--no-plot", "--json"]) == status
    assert json.loads(capsys.readouterr().out)["error"]["code"] == code
    assert [*tmp_path.iterdir()] == []


def test_an_interrupt_ends_at_once_and_leaves_no_half_report(tmp_path: Path) -> None:
    program = "import sys; from tradewind.cli import main; sys.argv[0] = 'tradewind'; sys.exit(main())"
    command = [sys.executable, "-c", program, "backtest", "market_maker", "--data", "generated:900"]
    child = subprocess.Popen([*command, *QUICK, "--out", "r"], stderr=subprocess.DEVNULL, cwd=tmp_path)
    trials = tmp_path / "data" / "trials.jsonl"
    deadline = time.monotonic() + 120
    while not trials.exists() and time.monotonic() < deadline and child.poll() is None:
        time.sleep(0.05)
    assert child.poll() is None, "the run must still be under way"
    time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    assert child.wait(timeout=60) == 130
    assert sorted(one.name for one in tmp_path.iterdir()) == ["data"]
    assert trials.read_text().count('"ended":true') == 0, "a trial that was begun stays on record"
