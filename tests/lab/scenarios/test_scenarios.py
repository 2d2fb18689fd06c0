"""Scenarios play to their end, conserve every asset, liquidate, and notice books that differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from tradewind.cli import run
from tradewind.lab.driven import ScenarioFailed
from tradewind.lab.scenarios import PLANS
from tradewind.lab.scenarios.runner import Outcome, Runner


def play(name: str, accounts: int = 60, seed: int = 1) -> Outcome:
    return Runner(PLANS[name], accounts, seed, audit=True, tell=lambda _: None).run()


def test_a_crash_liquidates_conserves_and_is_the_same_twice() -> None:
    outcome = play("crash")
    assert outcome.summary["conserved"]
    assert outcome.summary["liquidation_steps"] > 0
    assert outcome.summary["accounts_below_zero_at_end"] == 0
    assert outcome.samples[0]["positions"] == 60 > outcome.samples[-1]["positions"]
    assert outcome.summary["state_hash"] == play("crash").summary["state_hash"]


def test_without_a_usable_price_nobody_is_liquidated() -> None:
    rows = {row["second"]: row for row in play("oracle-outage").samples}
    assert rows[100.0]["index"] == 0
    assert rows[100.0]["positions"] == rows[148.0]["positions"]


def test_books_that_differ_from_the_engine_end_the_scenario() -> None:
    runner = Runner(PLANS["crash"], 20, 1, audit=False, tell=lambda _: None)
    runner.world.open_exchange(10**10)
    assert list(runner.world.differences()) == []
    runner.world.books.system[0x85] += 1
    with pytest.raises(ScenarioFailed, match="system line 0x85"):
        runner.check(list(runner.world.differences()))


def test_the_command_lists_refuses_and_writes_its_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["lab", "scenario", "--json"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in PLANS)
    assert run(["lab", "scenario", "flood"]) == 2
    assert run(["lab", "scenario", "crash", "--accounts", "1"]) == 2
    assert run(["lab", "scenario", "crash", "--accounts", "20", "--out", str(tmp_path), "--json"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"crash.csv", "crash.json", "crash.png"}
