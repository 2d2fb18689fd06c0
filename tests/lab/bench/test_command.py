"""The command as a user runs it, and the tables that it prints."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tradewind.cli.bench import bench
from tradewind.cli.exit_codes import ExitCode
from tradewind.lab.bench import children, judge, stack
from tradewind.lab.bench.machine import file_system, in_memory
from tradewind.lab.bench.memory import UP_PROGRAM
from tradewind.lab.bench.report import number, show


def tradewind(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", UP_PROGRAM, *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=children.environment(),
    )


def test_one_suite_as_json_is_one_object_on_standard_output(tmp_path: Path) -> None:
    done = tradewind("bench", "journal", "--quick", "--json", "--scratch", str(tmp_path))
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert list(document["suites"]) == ["journal"]
    assert document["suites"]["journal"]["batch_4096"]["records_per_second"] > 0
    assert {row["path"] for row in document["budgets"]} == {
        "suites.journal.batch_4096.records_per_second",
        "suites.journal.batch_1.p50_us",
    }


def test_without_json_there_are_tables_with_budget_and_verdict(tmp_path: Path) -> None:
    done = tradewind("bench", "journal", "--quick", "--scratch", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "Budgets" in done.stdout
    assert "holds" in done.stdout or "missed" in done.stdout


@pytest.mark.parametrize(("frame", "status"), [(4_095, ExitCode.OK), (4_096, ExitCode.RED)])
def test_a_stack_frame_at_the_limit_is_exit_status_1(
    frame: int, status: ExitCode, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stack, "run", lambda context: {"max_frame_bytes": frame, "function": "f"})
    assert bench("stack") == status
    assert ("missed" in capsys.readouterr().out) is (status == ExitCode.RED)


@pytest.mark.parametrize("words", [("bench", "nonsense"), ("bench", "journal", "--scratch", "/nonexistent")])
def test_what_cannot_be_measured_is_refused_with_status_2(words: tuple[str, ...]) -> None:
    done = tradewind(*words)
    assert done.returncode == 2
    assert "UNKNOWN_SUITE" in done.stderr or "NO_SCRATCH" in done.stderr


def test_the_tables_show_unknown_as_unknown_and_a_missed_budget_as_missed() -> None:
    suites: dict[str, Any] = {
        "engine": {"mixed": {"commands_per_second": 1_000_000.0}, "place": {"instructions": None}},
        "stack": {"skipped": "cargo is not installed"},
        "peers": {
            "tradewind": {"commands_per_second": 2e6, "traded_lots": 7, "does": "all", "does_not": "none"},
            "order-book": {"skipped": "not installed"},
        },
    }
    document = {"machine": {"cpu": None}, "suites": suites, "budgets": judge(suites), "elapsed_s": 1.0}
    console = Console(record=True, width=160, file=open("/dev/null", "w"))  # noqa: SIM115
    show(document, console)
    text = console.export_text()
    assert "missed" in text
    assert "unknown: skipped: cargo is not installed" in text
    assert "skipped: not installed" in text
    assert "2,000,000" in text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (0, "0"), (True, "yes"), (1_234_567.8, "1,234,568"), (0.25, "0.25")]
)
def test_a_number_is_readable_and_none_is_a_dash(value: object, text: str) -> None:
    assert number(value) == text


def test_a_file_system_in_memory_is_recognised() -> None:
    assert file_system(Path("/proc")) == "proc"
    if file_system(Path("/dev/shm")) == "tmpfs":
        assert in_memory(Path("/dev/shm"))
    assert not in_memory(Path("/proc"))
