"""A back-test from beginning to end: log the trial, look at the data, run, measure, check, judge."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from tradewind.venues.paper.latency import LatencyConfig
from tradewind.venues.paper.queue_model import CancelModel
from tradewind.venues.paper.schedule import load_schedule

from .admission import admit, fees_are_low
from .candles import CandleModel
from .choose import Chosen, choose, perturbed
from .data import MarketData, open_data
from .document import Findings
from .errors import BacktestRefused, DataRefused
from .folds import Outcome, OutOfSample, purged_folds, walk_forward
from .lookahead import LookAhead
from .lookahead import check as look_ahead
from .metrics import Results, measure
from .points import PointResult, Task, run_all
from .run import Facts, Setting, limits_for, run
from .statistics import MIN_TRADES, deflated_sharpe
from .survey import Survey, survey
from .trials import DEFAULT, Purpose, Trial, TrialLog

SECOND_NS: Final = 1_000_000_000
SCHEDULES: Final = {"binance": "binance-spot-vip0", "kraken": "kraken-spot-tier0"}
OTHER_SCHEDULE: Final = "binance-spot-vip0"
"""Of a market without a venue of its own: a generated one borrows Binance's."""
CASH_BOUNDS: Final = (Decimal(10), Decimal(10**9))
Say = Callable[[str, int, int], object]
"""A stage, what was done of it, and of how much (0: not known)."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What to back-test, as the command line states it. `cash` is in the quote asset."""

    strategy: str
    sources: tuple[str, ...]
    values: dict[str, str] = {}
    preset: str = "default"
    symbol: str | None = None
    profile: str = "paper"
    schedule: str | None = None
    account_schedule: str | None = None
    latency: LatencyConfig = LatencyConfig()
    queue: CancelModel = "prorata"
    cash: Decimal = Decimal(10_000)
    seed: int = 1
    model: CandleModel = CandleModel()
    allow_gaps: bool = False
    trial_log: Path = DEFAULT


class Prepared(msgspec.Struct, frozen=True):
    """Data and strategy of a wish, checked, nothing run yet."""

    wish: Wish
    data: MarketData
    survey: Survey
    chosen: Chosen
    setting: Setting

    def task(self, name: str, changes: dict[str, str]) -> Task:
        """A run with some parameters changed, for another process."""
        return Task(
            name=name, sources=list(self.wish.sources), strategy=self.wish.strategy,
            values={**self.chosen.values, **changes},
            setting=self.setting, model=self.wish.model, data_seed=self.wish.seed,
            allow_gaps=self.wish.allow_gaps,
        )  # fmt: skip

    def trial(self, chosen: Chosen, purpose: Purpose) -> Trial:
        """What the log is told."""
        return Trial(
            strategy=chosen.make().manifest.name,
            code_hash=chosen.code_hash,
            parameters=chosen.values,
            data_hash=self.data.hash,
            setting=hashlib.blake2b(msgspec.json.encode(self.setting), digest_size=16).hexdigest(),
            symbol=self.setting.symbol,
            first_ns=self.survey.first_ns or 0,
            last_ns=self.survey.last_ns,
            purpose=purpose,
        )


def prepare(wish: Wish, say: Say) -> Prepared:
    """Read and check everything that can be wrong before something runs.

    Raises:
        DataRefused, BacktestRefused, StrategyError, ParameterError, ScheduleError, ConfigError.
    """
    low, high = CASH_BOUNDS
    if not wish.cash.is_finite() or not low <= wish.cash <= high:
        raise BacktestRefused("PARAMETER_OUT_OF_BOUNDS", f"cash {wish.cash} is outside {low}..{high}")
    data = open_data(
        wish.sources, symbol=wish.symbol, model=wish.model, seed=wish.seed, allow_gaps=wish.allow_gaps
    )
    symbol = _symbol(wish, data)
    chosen = choose(wish.strategy, symbol, wish.values, wish.preset)
    if symbol not in data.instruments:
        known = ", ".join(sorted(data.instruments)[:8]) or "nothing"
        raise DataRefused("UNKNOWN_SYMBOL", f"{data.label} has no {symbol}; it has {known}")
    setting = Setting(
        symbol=symbol, cash=wish.cash, schedule=wish.schedule or default_schedule(data), profile=wish.profile,
        latency=msgspec.structs.replace(wish.latency, seed=wish.seed), queue=wish.queue, seed=wish.seed,
    )  # fmt: skip
    load_schedule(setting.schedule)
    load_schedule(wish.account_schedule or setting.schedule)
    limits_for(data, setting)
    found = survey(data, [symbol], allow_gaps=wish.allow_gaps, tell=lambda done, of: say("reading", done, of))
    return Prepared(wish, data, found, chosen, setting)


def _symbol(wish: Wish, data: MarketData) -> str:
    if wish.symbol is not None:
        return wish.symbol
    if len(data.instruments) != 1:
        known = ", ".join(sorted(data.instruments)[:8]) or "nothing"
        raise DataRefused("UNKNOWN_SYMBOL", f"{data.label} has {known}: choose one with --symbol")
    return next(iter(data.instruments))


def default_schedule(data: MarketData) -> str:
    """The schedule of the venue that the data come from."""
    return SCHEDULES.get(data.venue.partition("-")[0], OTHER_SCHEDULE)


def examine(wish: Wish, say: Say = lambda stage, done, of: None, *, admission: bool = False) -> Findings:
    """One back-test. `admission`: with the look-ahead check and the perturbed parameters of T14.8.

    Raises what `prepare` raises, and `BacktestRefused` from the run.
    """
    ready = prepare(wish, say)
    log = TrialLog(wish.trial_log)
    trial = ready.trial(ready.chosen, "run")
    log.begin([trial])
    facts = run(ready.data, ready.chosen.make, ready.setting, tell=lambda done, of: say("running", done, of))
    results = measure(facts, ready.survey, ready.setting.symbol, wish.seed)
    log.end(trial, trades=results.sample.n, sharpe=results.sample.sharpe)
    checked = _look_ahead(ready, log, facts, say) if admission else None
    moved = _perturbed(ready, log, say) if admission else None
    return _judged(ready, log, facts, results, checked=checked, moved=moved)


def _look_ahead(ready: Prepared, log: TrialLog, facts: Facts, say: Say) -> LookAhead:
    log.begin([ready.trial(ready.chosen, "look-ahead")])
    return look_ahead(
        ready.data, lambda data: ready.chosen.make(), ready.setting, facts,
        tell=lambda done, of: say("look-ahead", done, of),
    )  # fmt: skip


def _perturbed(ready: Prepared, log: TrialLog, say: Say) -> list[PointResult]:
    moved = perturbed(ready.chosen)
    tasks = [ready.task(name, changes) for name, changes in moved]
    log.begin(
        [
            ready.trial(choose(ready.wish.strategy, ready.setting.symbol, task.values), "perturbation")
            for task in tasks
        ]
    )
    done = 0

    def told(_: PointResult) -> None:
        nonlocal done
        done += 1
        say("perturbed parameters", done, len(tasks))

    return run_all(tasks, told)


def outcomes_of(results: Results) -> list[Outcome]:
    """Trades as the selection by folds sees them."""
    return [Outcome(one.entry_ns, one.exit_ns, one.net_return) for one in results.trades]


def outside(
    ready: Prepared, facts: Facts, candidates: dict[str, Sequence[Outcome]], embargo_ns: int
) -> tuple[OutOfSample, OutOfSample]:
    """Purged k-fold and walk-forward of some candidates."""
    folds = purged_folds(
        candidates, facts.start_ns, facts.end_ns, embargo_ns=embargo_ns, seed=ready.wish.seed
    )
    forward = walk_forward(
        candidates, facts.start_ns, facts.end_ns, embargo_ns=embargo_ns, seed=ready.wish.seed
    )
    return folds, forward


def _judged(
    ready: Prepared,
    log: TrialLog,
    facts: Facts,
    results: Results,
    *,
    checked: LookAhead | None,
    moved: list[PointResult] | None,
) -> Findings:
    wish, trial = ready.wish, ready.trial(ready.chosen, "run")
    manifest = ready.chosen.make().manifest
    embargo_ns = max(results.max_holding_ns, manifest.expected_holding_s * SECOND_NS)
    folds, forward = outside(ready, facts, {"as given": outcomes_of(results)}, embargo_ns)
    trials = log.count(trial)
    dsr = (
        deflated_sharpe(results.sample, trials.trials, trials.variance)
        if results.sample.n >= MIN_TRADES
        else None
    )
    account = load_schedule(wish.account_schedule or default_schedule(ready.data))
    low = fees_are_low(facts, account.maker_bps, account.taker_bps)
    first_look = trials.looked_before == 0
    verdict = admit(
        dsr=dsr,
        outside=forward if first_look else None,
        trials=trials,
        look_ahead=checked,
        mean_bps=results.mean_bps.mean,
        perturbed=moved,
        fees_low=low,
        generated=ready.data.kind == "generated",
        facts=facts,
    )
    return Findings(
        data=ready.data,
        chosen=ready.chosen,
        version=manifest.version,
        setting=ready.setting,
        account_schedule=account.name,
        facts=facts,
        survey=ready.survey,
        results=results,
        folds=folds,
        forward=forward,
        first_look=first_look,
        trials=trials,
        trial_log=str(wish.trial_log),
        dsr=dsr,
        fees_low=low,
        look_ahead=checked,
        perturbed=moved,
        admission=verdict,
        run_id=trial.key,
    )
