"""`tradewind-kill` as an operator meets it: with the core alive, dead, stuck, and with nothing there."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tradewind.cli import kill_process
from tradewind.trader.killing import order

from .conftest import Running

Start = Callable[..., Running]
KILL = [sys.executable, "-c", "from tradewind.cli.kill_process import main; main()"]


def kill(data: Path, *options: str) -> tuple[int, dict[str, Any], list[str]]:
    """Exit status, the last line, and every step."""
    command = [*KILL, "drill", "--data", str(data), "--json", *options]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    return ran.returncode, lines[-1] if lines else {}, [line["step"] for line in lines]


def rest(running: Running) -> int:
    """An order that works; its number."""
    price = str(int(float(running.json("market", "show", "BTC/USDT")["best_bid"])) - 200)
    placed = running.json("order", "place", "buy", "0.001", "BTC/USDT", "--price", price)
    return int(placed["value"])


def test_a_core_that_lives_halts_and_the_order_is_taken_away(start: Start) -> None:
    running = start("--strategy", "none").trading()
    number = rest(running)
    code, last, steps = kill(running.data)
    assert (code, last["step"], last["orders_before"], last["orders_after"]) == (0, "verified", 1, 0)
    assert steps[0] == "ordered" and order.pending(running.data) is None
    assert running.json("order", "show", str(number))["status"] == "cancelled"
    assert kill(running.data)[0] == 0, "a second pull changes nothing"
    journal = (running.data / kill_process.JOURNAL_FILE).read_text().splitlines()
    assert {json.loads(line)["reason"] for line in journal} == {"drill"}


def test_a_dead_core_is_said_to_be_dead_and_the_log_shows_that_nothing_is_left(start: Start) -> None:
    running = start("--strategy", "none").trading()
    number = rest(running)
    running.process.kill()
    running.process.wait(30)
    code, last, steps = kill(running.data)
    assert steps[:2] == ["ordered", "core dead"]
    assert (code, last["step"], last["orders_before"], last["orders_after"]) == (0, "verified", 1, 0)
    again = start("--strategy", "none", data=running.data).trading()
    assert again.json("status")["status"]["trading"]["state"] == "halted"
    assert again.json("order", "show", str(number))["status"] == "cancelled"


def test_a_stuck_core_is_not_verified_until_it_was_ended(start: Start) -> None:
    running = start("--strategy", "none").trading()
    rest(running)
    running.process.send_signal(signal.SIGSTOP)
    code, last, steps = kill(running.data, "--wait-s", "0.5")
    assert code == 1 and "core silent" in steps and "signalled" in steps and last["step"] == "failed"
    assert order.pending(running.data) is not None, "the next start begins halted"
    code, last, steps = kill(running.data, "--wait-s", "0.5", "--end-core")
    assert "core ended" in steps and (code, last["orders_after"]) == (0, 0)


def test_nothing_there_is_69_and_an_empty_reason_is_refused(tmp_path: Path) -> None:
    assert kill(tmp_path / "none")[0] == 69
    assert kill_process.run([" ", "--data", str(tmp_path)]) == 2
    assert kill(tmp_path)[0] == 69
    assert order.pending(tmp_path) is not None


def test_a_run_file_with_a_number_that_is_another_process_now_harms_nobody(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as bystander:
        try:
            (tmp_path / "run.json").write_text(json.dumps({"pid": bystander.pid, "port": 9}))
            (tmp_path / "journal").mkdir()
            (tmp_path / "journal" / "writer.lock").touch()
            assert kill(tmp_path, "--end-core")[0] == 1
            assert bystander.poll() is None
        finally:
            bystander.kill()
