"""A sweep: every point is a trial, its best is judged as the best of so many, whatever process ran it."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_backtest_report import wish

from tradewind.trader.backtest.errors import BacktestRefused
from tradewind.trader.backtest.points import MAX_POINTS, run_all, workers_for
from tradewind.trader.backtest.sweep import Swept, parse_grid, summary, sweep, warnings
from tradewind.trader.backtest.sweep_report import draw_sweep, write_sweep
from tradewind.trader.parameters import ParameterError

GRID = ["base_half_bps=0.3,0.5,3", "layers=1,3"]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Swept:
    return sweep(wish(tmp_path_factory.mktemp("sweep"), 60), parse_grid(GRID), workers=1)


def test_every_point_of_the_grid_is_run_and_logged_as_a_trial(swept: Swept) -> None:
    assert [one.name for one in swept.points] == [
        f"base_half_bps={half} layers={layers}" for half in ("0.3", "0.5", "3") for layers in ("1", "3")
    ]
    assert swept.trials.trials == 6
    assert all(not one.error for one in swept.points)
    assert len({one.net for one in swept.points}) > 2


def test_the_number_of_trials_is_said_and_the_points_are_called_in_sample(swept: Swept) -> None:
    texts = warnings(swept)
    assert any("multiplicity: 6 trials" in one for one in texts)
    assert any(one.startswith("in-sample") for one in texts)
    content = summary(swept)
    assert content["out_of_sample"]["walk_forward"]["segments"]
    assert content["overfitting"]["probability"] == "insufficient" or (
        0 <= content["overfitting"]["probability"] <= 1
    )


def test_processes_of_their_own_give_the_same_points(tmp_path: Path, swept: Swept) -> None:
    tasks = [
        swept.ready.task(one.name, one.values) for one in swept.points[:2]
    ]  # fmt: skip
    assert run_all(tasks, lambda _: None, workers=2) == swept.points[:2]


def test_the_report_of_a_sweep_has_its_pictures_and_is_the_same_twice(tmp_path: Path, swept: Swept) -> None:
    contents = []
    for name in ("one", "two"):
        write_sweep(swept, tmp_path / name, draw_sweep(swept))
        contents.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert contents[0] == contents[1]
    assert {"heat.png", "points.png", "points.csv", "report.html"} <= set(contents[0])


def test_a_point_that_cannot_be_run_refuses_the_whole_sweep_before_it_begins(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="layers"):
        sweep(wish(tmp_path, 20), parse_grid(["layers=1,99"]))
    assert not (tmp_path / "trials.jsonl").exists()


@pytest.mark.parametrize(
    "texts",
    [
        [],
        ["x"],
        ["=1"],
        ["x="],
        ["x=1", "x=2"],
        ["x=1,1"],
        [f"x={','.join(map(str, range(MAX_POINTS + 1)))}"],
    ],
)
def test_a_grid_that_says_nothing_repeats_or_is_too_large_is_refused(texts: list[str]) -> None:
    with pytest.raises(BacktestRefused) as refused:
        parse_grid(texts)
    assert refused.value.code == "BAD_GRID"


def test_there_are_never_more_workers_than_tasks() -> None:
    assert workers_for(1) == 1
    assert 1 <= workers_for(1_000) <= 16
