"""The suite `backtest`: its runs trade, end alike or say that they did not, and peers get the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tradewind.lab.bench import backtest
from tradewind.lab.bench.adapters import rows as peer_rows
from tradewind.lab.bench.backtest_runs import measure, write_rows
from tradewind.lab.bench.context import MeasureFailed

MESSAGES = 600


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return measure([], ("book", "trades"), MESSAGES)


def test_a_run_trades_and_reconciles(found: dict[str, Any]) -> None:
    assert found["orders"] > 0
    assert found["differences"] == 0
    assert found["messages"] >= MESSAGES
    assert found["rows"] > found["messages"]


def test_runs_that_end_alike_are_equal_and_others_are_not(found: dict[str, Any]) -> None:
    again = measure([], ("book", "trades"), MESSAGES)
    assert backtest.judged([found, again])["runs_equal"] == 1
    assert backtest.judged([found, {**again, "written": "other"}])["runs_equal"] == 0


def test_a_run_that_does_not_reconcile_is_no_figure(found: dict[str, Any]) -> None:
    with pytest.raises(MeasureFailed, match="differences"):
        backtest.judged([{**found, "differences": 1}])


def test_a_strategy_that_never_trades_is_no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradewind.lab.bench.backtest_runs.Quoter._act", lambda *_: [])
    with pytest.raises(MeasureFailed, match="did not trade"):
        measure([], (), MESSAGES)


def test_the_peers_get_the_same_rows(tmp_path: Path, found: dict[str, Any]) -> None:
    told = write_rows([], MESSAGES, tmp_path / "rows")
    recording = peer_rows.Recording(str(tmp_path / "rows"))
    assert recording.events == told["rows"] == found["rows"]
    assert len(recording.rows) == told["records"]
    damaged = tmp_path / "damaged"
    damaged.write_bytes(b"x" * 64)
    with pytest.raises(ValueError, match="no recording"):
        peer_rows.Recording(str(damaged))
