"""Out of sample: purged and embargoed training, choices without the test; the trial log does not forget."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.trader.backtest.errors import BacktestRefused
from tradewind.trader.backtest.folds import Outcome, choose, cuts, purged_folds, training, walk_forward
from tradewind.trader.backtest.trials import Trial, TrialLog

OUTCOMES = st.lists(
    st.builds(
        lambda start, length, value: Outcome(start, start + length, value),
        st.integers(0, 1_000), st.integers(0, 300), st.floats(-1, 1),
    ),
    max_size=40,
)  # fmt: skip


@given(st.integers(0, 10**6), st.integers(1, 10**6), st.integers(1, 12))
def test_the_segments_cover_every_moment_exactly_once(start: int, length: int, parts: int) -> None:
    spans = cuts(start, start + length, parts)
    assert spans[0][0] == start
    assert spans[-1][1] == start + length + 1
    assert all(one[1] == later[0] for one, later in pairwise(spans))


@given(OUTCOMES, st.integers(0, 900), st.integers(1, 300), st.integers(0, 200))
def test_no_training_trade_touches_the_test_or_its_embargo(
    outcomes: list[Outcome], begin: int, length: int, embargo: int
) -> None:
    span = (begin, begin + length)
    for one in training(outcomes, span, embargo):
        assert one.exit_ns < span[0] or one.entry_ns >= span[1] + embargo


def steady(value: float) -> list[Outcome]:
    return [Outcome(at, at + 1, value) for at in range(0, 600, 5)]


def test_the_candidate_that_is_best_everywhere_is_chosen_everywhere() -> None:
    found = purged_folds({"good": steady(0.01), "bad": steady(-0.01)}, 0, 600, embargo_ns=3, seed=1)
    assert [one.chosen for one in found.segments] == ["good"] * 6
    assert found.trades == 120
    assert found.mean_bps.mean == pytest.approx(100)


def test_a_candidate_that_shines_only_inside_of_one_segment_is_not_chosen_for_it() -> None:
    lucky = [Outcome(at, at + 1, 1.0 if at < 100 else -0.02) for at in range(0, 600, 5)]
    found = purged_folds({"lucky": lucky, "plain": steady(0.001)}, 0, 600, embargo_ns=0, seed=1)
    assert found.segments[0].chosen == "plain"


def test_walk_forward_never_trains_on_what_came_later() -> None:
    late = [Outcome(at, at + 1, -0.02 if at < 300 else 1.0) for at in range(0, 600, 5)]
    found = walk_forward({"late": late, "plain": steady(0.001)}, 0, 600, embargo_ns=0, seed=1)
    assert [one.chosen for one in found.segments[:3]] == ["plain"] * 3
    assert found.segments[-1].chosen == "late"
    assert found.trades == 100


def test_with_too_few_trades_nothing_is_chosen() -> None:
    assert choose({"a": [], "b": []}) is None
    assert choose({"a": []}) == "a"


# ---- the log of trials -----------------------------------------------------------------------------------


def trial(number: int = 0, **changes: object) -> Trial:
    given_ = {
        "strategy": "s", "code_hash": "c", "parameters": {"x": str(number)}, "data_hash": "d",
        "setting": "", "symbol": "BTC/USDT", "first_ns": 0, "last_ns": 10, **changes,
    }  # fmt: skip
    return Trial(**given_)  # type: ignore[arg-type]


def test_every_other_parameter_is_a_trial_and_the_same_run_again_is_not(tmp_path: Path) -> None:
    log = TrialLog(tmp_path / "trials.jsonl")
    for number in (0, 1, 0, 2, 2):
        log.begin([trial(number)])
        log.end(trial(number), trades=40, sharpe=float(number))
    count = log.count(trial(2))
    assert (count.trials, count.known_ratios, count.variance) == (3, 3, 1.0)
    assert count.looked_before == 2
    assert log.count(trial(0)).looked_before == 0


def test_a_run_that_never_ended_counts_too_and_confirmations_do_not(tmp_path: Path) -> None:
    log = TrialLog(tmp_path / "trials.jsonl")
    log.begin([trial(0), trial(1), trial(2, purpose="perturbation"), trial(3, strategy="other")])
    count = log.count(trial(0))
    assert (count.trials, count.confirmations, count.variance) == (2, 1, None)


def test_looks_at_other_data_do_not_make_these_in_sample(tmp_path: Path) -> None:
    log = TrialLog(tmp_path / "trials.jsonl")
    log.begin([trial(1, first_ns=100, last_ns=200), trial(2, symbol="ETH/USDT"), trial(0)])
    assert log.count(trial(0)).looked_before == 0


def test_a_log_that_was_changed_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    log = TrialLog(path)
    log.begin([trial(0), trial(1), trial(2)])
    lines = path.read_bytes().splitlines(keepends=True)
    for damaged in ([lines[0], lines[2]], [lines[1], lines[2]], [*lines[:2], b"{}\n"], [b"x\n"]):
        path.write_bytes(b"".join(damaged))
        with pytest.raises(BacktestRefused, match="trials") as refused:
            log.count(trial(0))
        assert refused.value.code == "TRIAL_LOG"
        with pytest.raises(BacktestRefused):
            log.begin([trial(9)])
    changed = msgspec.json.decode(lines[0])
    changed["trial"]["strategy"] = "z"
    path.write_bytes(msgspec.json.encode(changed) + b"\n" + b"".join(lines[1:]))
    with pytest.raises(BacktestRefused, match="changed"):
        log.count(trial(0))


def test_a_run_that_cannot_be_logged_is_not_made(tmp_path: Path) -> None:
    folder = tmp_path / "file"
    folder.write_text("")
    with pytest.raises(BacktestRefused, match="not counted is not made"):
        TrialLog(folder / "trials.jsonl").begin([trial(0)])
