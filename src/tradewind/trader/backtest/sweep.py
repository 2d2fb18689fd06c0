"""A grid of parameters: every point is a trial that is logged, and the best of many is judged as such."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, Final

import msgspec

from .choose import choose
from .document import INSUFFICIENT, moment, outside_of, rounded
from .errors import BacktestRefused
from .examine import Prepared, Say, Wish, prepare
from .folds import OutOfSample, purged_folds, walk_forward
from .points import MAX_POINTS, PointResult, Task, run_all
from .statistics import MIN_TRADES, Overfitting, deflated_sharpe, expected_best_sharpe, moments, overfitting
from .trials import TrialCount, TrialLog

SECOND_NS: Final = 1_000_000_000
MAX_PARAMETERS: Final = 6


class Swept(msgspec.Struct, kw_only=True):
    """Everything that a sweep found."""

    ready: Prepared
    axes: dict[str, list[str]]
    points: list[PointResult]
    best: PointResult | None
    best_dsr: float | None
    benchmark: float | None
    trials: TrialCount
    folds: OutOfSample
    forward: OutOfSample
    pbo: Overfitting


def parse_grid(texts: Sequence[str]) -> dict[str, list[str]]:
    """`name=1,2,3` a parameter. Raises `BacktestRefused`."""
    axes: dict[str, list[str]] = {}
    for text in texts:
        name, sign, values = text.partition("=")
        choices = [one.strip() for one in values.split(",") if one.strip()]
        if not sign or not name or not choices:
            raise BacktestRefused("BAD_GRID", f"{text!r} is not NAME=VALUE,VALUE")
        if name in axes or len(set(choices)) != len(choices):
            raise BacktestRefused("BAD_GRID", f"{text!r} repeats a parameter or a value")
        axes[name] = choices
    count = 1
    for choices in axes.values():
        count *= len(choices)
    if not axes or len(axes) > MAX_PARAMETERS or count > MAX_POINTS:
        raise BacktestRefused(
            "BAD_GRID",
            f"{len(axes)} parameters, {count} points; 1..{MAX_PARAMETERS} and {MAX_POINTS} at most",
        )
    return axes


def sweep(
    wish: Wish, axes: dict[str, list[str]], say: Say = lambda stage, done, of: None, *,
    workers: int | None = None,
) -> Swept:  # fmt: skip
    """Run every point of the grid and judge the best one as the best of so many.

    Raises what `prepare` raises for any point, before anything runs; `BacktestRefused`.
    """
    ready = prepare(wish, say)
    tasks: list[Task] = []
    for values in product(*axes.values()):
        chosen = dict(zip(axes, values, strict=True))
        name = " ".join(f"{key}={value}" for key, value in chosen.items())
        tasks.append(ready.task(name, chosen))
    trials = [
        ready.trial(choose(wish.strategy, ready.setting.symbol, task.values), "sweep") for task in tasks
    ]
    log = TrialLog(wish.trial_log)
    log.begin(trials)
    done = 0

    def told(_: PointResult) -> None:
        nonlocal done
        done += 1
        say("running", done, len(tasks))

    points = run_all(tasks, told, workers=workers)
    for trial, point in zip(trials, points, strict=True):
        log.end(trial, trades=point.trades, sharpe=point.sharpe)
    return _judged(ready, axes, points, log.count(trials[0]))


def _judged(
    ready: Prepared, axes: dict[str, list[str]], points: list[PointResult], trials: TrialCount
) -> Swept:
    start_ns, end_ns = ready.survey.first_ns or 0, ready.survey.last_ns
    good = [one for one in points if not one.error]
    candidates = {one.name: one.outcomes for one in good}
    holding_ns = max((trade.exit_ns - trade.entry_ns for one in good for trade in one.outcomes), default=0)
    manifest = ready.chosen.make().manifest
    embargo_ns = max(holding_ns, manifest.expected_holding_s * SECOND_NS)
    seed = ready.wish.seed
    ranked = [one for one in good if one.trades >= MIN_TRADES and one.sharpe is not None]
    best = max(ranked, key=lambda one: one.sharpe or 0.0, default=None)
    sample = None if best is None else moments([one.net_return for one in best.outcomes])
    return Swept(
        ready=ready,
        axes=axes,
        points=points,
        best=best,
        best_dsr=None if sample is None else deflated_sharpe(sample, trials.trials, trials.variance),
        benchmark=expected_best_sharpe(trials.trials, trials.variance),
        trials=trials,
        folds=purged_folds(candidates, start_ns, end_ns, embargo_ns=embargo_ns, seed=seed),
        forward=walk_forward(candidates, start_ns, end_ns, embargo_ns=embargo_ns, seed=seed),
        pbo=overfitting([one.periods for one in good if one.periods]),
    )


def warnings(found: Swept) -> list[str]:
    """What the number of trials means for the best of them."""
    n = found.trials.trials
    texts = [f"multiplicity: {n} trials of this strategy are logged; the best of them looks good by chance"]
    if found.benchmark is not None and n > 1:
        texts.append(
            f"the best of {n} worthless trials would show a Sharpe ratio per trade of {found.benchmark:.4f}"
        )
    if found.best is None:
        texts.append(f"{INSUFFICIENT}: no point has {MIN_TRADES} trades")
    failed = sum(1 for one in found.points if one.error)
    if failed:
        texts.append(f"{failed} point(s) failed")
    if found.ready.data.kind != "capture":
        texts.append(f"data: {found.ready.data.kind}")
    texts.append("in-sample: the table of points; out of sample is only what walk-forward and folds show")
    return texts


def summary(found: Swept) -> dict[str, Any]:
    """The sweep as plain data; money is text."""
    best = found.best
    data = found.ready.data
    return {
        "labels": warnings(found),
        "strategy": found.ready.chosen.source,
        "symbol": found.ready.setting.symbol,
        "code_hash": found.ready.chosen.code_hash,
        "data": {
            "label": data.label,
            "hash": data.hash,
            "from": moment(found.ready.survey.first_ns or 0),
            "to": moment(found.ready.survey.last_ns),
            "assumptions": list(data.assumptions),
        },
        "axes": found.axes,
        "trials": {"log": str(found.ready.wish.trial_log), **msgspec.to_builtins(found.trials)},
        "best": None
        if best is None
        else {
            "point": best.name,
            "trades": best.trades,
            "net": best.net,
            "mean_bps": rounded(best.mean_bps, 4),
            "sharpe_per_trade": rounded(best.sharpe, 6),
            "benchmark_of_dsr": INSUFFICIENT if found.benchmark is None else round(found.benchmark, 6),
            "dsr": INSUFFICIENT if found.best_dsr is None else round(found.best_dsr, 6),
        },
        "overfitting": {
            "probability": INSUFFICIENT if found.pbo.probability is None else round(found.pbo.probability, 4),
            "splits": found.pbo.splits,
            "blocks": found.pbo.blocks,
            "method": "combinatorially symmetric cross-validation",
        },
        "out_of_sample": {"walk_forward": outside_of(found.forward), "folds": outside_of(found.folds)},
        "points": [
            {
                "point": one.name,
                "trades": one.trades,
                "net": one.net,
                "mean_bps": rounded(one.mean_bps, 4),
                "low_95": rounded(one.low_bps, 4),
                "high_95": rounded(one.high_bps, 4),
                "sharpe_per_trade": rounded(one.sharpe, 6) if one.trades >= MIN_TRADES else INSUFFICIENT,
                "max_drawdown_pct": rounded(one.drawdown_pct, 4),
                "turnover_of_cash": one.turnover_of_cash,
                "error": one.error,
            }
            for one in found.points
        ],
    }
