"""Many runs side by side: each point is a run of its own in a process of its own, bounded by the cores."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from decimal import Decimal
from typing import Final

import msgspec

from .candles import CandleModel
from .choose import Chosen, choose
from .data import MarketData, open_data
from .errors import BacktestRefused
from .folds import Outcome
from .metrics import measure, period_returns
from .run import Setting, run
from .survey import survey

MAX_POINTS: Final = 2_000
MAX_WORKERS: Final = 16


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One run, as another process can make it."""

    name: str
    sources: list[str]
    strategy: str
    values: dict[str, str]
    setting: Setting
    model: CandleModel
    data_seed: int
    allow_gaps: bool


class PointResult(msgspec.Struct, kw_only=True):
    """What a point gave. `error`: why it gave nothing."""

    name: str
    values: dict[str, str]
    error: str = ""
    trades: int = 0
    net: Decimal = Decimal(0)
    mean_bps: float | None = None
    low_bps: float | None = None
    high_bps: float | None = None
    sharpe: float | None = None
    drawdown_pct: float = 0.0
    turnover_of_cash: Decimal = Decimal(0)
    outcomes: list[Outcome] = []
    periods: list[float] = []


def opened(task: Task) -> tuple[MarketData, Chosen]:
    """Data and strategy of a task. Raises `DataRefused`, `BacktestRefused`, `ParameterError`."""
    data = open_data(
        task.sources, symbol=task.setting.symbol, model=task.model, seed=task.data_seed,
        allow_gaps=task.allow_gaps,
    )  # fmt: skip
    return data, choose(task.strategy, task.setting.symbol, task.values)


def run_point(task: Task) -> PointResult:
    """One run, measured. Whatever a point's own parameters or strategy do wrong is its result, not ours."""
    try:
        data, chosen = opened(task)
        found = survey(data, [task.setting.symbol], allow_gaps=task.allow_gaps)
        facts = run(data, chosen.make, task.setting)
        results = measure(facts, found, task.setting.symbol, task.setting.seed)
    except (BacktestRefused, ValueError) as error:
        return PointResult(name=task.name, values=task.values, error=f"{type(error).__name__}: {error}")
    quotes = found.quotes[task.setting.symbol]
    return PointResult(
        name=task.name,
        values=task.values,
        error=facts.strategy_error or "",
        trades=len(results.trades),
        net=results.attribution.net,
        mean_bps=results.mean_bps.mean,
        low_bps=results.mean_bps.low,
        high_bps=results.mean_bps.high,
        sharpe=results.sample.sharpe,
        drawdown_pct=results.drawdown_pct,
        turnover_of_cash=results.turnover_of_cash,
        outcomes=[Outcome(one.entry_ns, one.exit_ns, one.net_return) for one in results.trades],
        periods=period_returns(facts, results.executions, quotes),
    )


def workers_for(tasks: int) -> int:
    """Processes: one a core of this machine, and never more than there are tasks."""
    return max(1, min(tasks, len(os.sched_getaffinity(0)), MAX_WORKERS))


def run_all(
    tasks: Sequence[Task], done: Callable[[PointResult], object], *, workers: int | None = None
) -> list[PointResult]:
    """All points, in the order of the tasks. An interrupt ends the workers and leaves nothing behind.

    Raises `BacktestRefused`: too many points, or a worker was killed.
    """
    if len(tasks) > MAX_POINTS:
        raise BacktestRefused("TOO_MANY_POINTS", f"{len(tasks)} points, at most {MAX_POINTS} are run")
    count = workers or workers_for(len(tasks))
    results: dict[int, PointResult] = {}
    if count == 1:
        for number, task in enumerate(tasks):
            results[number] = run_point(task)
            done(results[number])
        return [results[number] for number in range(len(tasks))]
    with _pool(count) as pool:
        numbers = {pool.submit(run_point, task): number for number, task in enumerate(tasks)}
        try:
            for future in as_completed(numbers):
                results[numbers[future]] = future.result()
                done(future.result())
        except BrokenProcessPool as error:
            raise BacktestRefused("WORKER_DIED", "a worker was killed; nothing was reported") from error
    return [results[number] for number in range(len(tasks))]


def _ignore_interrupts() -> None:
    """An interrupt is for the parent; it ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _pool(count: int) -> Iterator[ProcessPoolExecutor]:
    before = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_ignore_interrupts)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
        raise
    pool.shutdown()
