"""`tradewind backtest`: the paper trader over recorded data, measured; and sweeps of its parameters.

Exit status: 0 the run was made and its report written, whatever its verdict; 1 it was made, but its books do
not agree; 2 data, parameters or strategy were refused; 78 profile or fee schedule; 130 interrupted, then
there is no report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure
from tradewind.cli.output import Json, note, print_fields, print_rows

if TYPE_CHECKING:
    from tradewind.trader.backtest.examine import Wish

backtest = App(name="backtest", help="A strategy over recorded data: results with costs, n and interval.")

Data = Annotated[
    tuple[str, ...],
    Parameter(
        consume_multiple=True,
        negative="",
        help="captures or candle files in order of time, a folder, or generated:SECONDS[:SEED]",
    ),
]
Values = Annotated[
    tuple[str, ...],
    Parameter(consume_multiple=True, negative="", help="parameters as NAME=VALUE; the others keep defaults"),
]
Preset = Annotated[str, Parameter(help="named parameter set below --parameters; `strategy show` lists them")]
Symbol = Annotated[str | None, Parameter(help="e.g. BTC/USDT; needed when the data have several")]
ProfileName = Annotated[str, Parameter(help="risk profile, by name or file")]
Schedule = Annotated[str | None, Parameter(help="fee schedule, by name or file; default: the data's venue")]
Account = Annotated[
    str | None, Parameter(help="the account's real schedule; fees below it make the result invalid")
]
Latency = Annotated[str, Parameter(help="one-way delay in ms as MEDIAN,P99, or off")]
Queue = Annotated[
    Literal["prorata", "pessimistic", "l3"],
    Parameter(help="whose place in the queue a cancel of others improves"),
]
Cash = Annotated[str, Parameter(help="starting funds in the quote asset")]
Seed = Annotated[int, Parameter(help="of latency, strategy, candles and bootstrap")]
Gaps = Annotated[bool, Parameter(negative="", help="run over gaps in the data; the report says so")]
Spread = Annotated[str, Parameter(help="candles: spread in bps that a taker pays")]
Share = Annotated[str, Parameter(help="candles: percent of a candle's volume that orders find")]
Trials = Annotated[Path, Parameter(help="log of trials; every run is written there before it begins")]
Out = Annotated[Path | None, Parameter(help="folder of the report; default reports/backtest/...")]
Plot = Annotated[bool, Parameter(help="draw the pictures (extra `reports`)")]
DEFAULT_TRIALS = Path("data") / "trials.jsonl"


@backtest.default
def run(
    strategy: Annotated[str, Parameter(help="a shipped strategy, an entry point, or FILE.py:Class")],
    /,
    *,
    data: Data,
    parameters: Values = (),
    preset: Preset = "default",
    symbol: Symbol = None,
    profile: ProfileName = "paper",
    schedule: Schedule = None,
    account_schedule: Account = None,
    latency: Latency = "40,250",
    queue: Queue = "prorata",
    cash: Cash = "10000",
    seed: Seed = 1,
    allow_gaps: Gaps = False,
    candle_spread: Spread = "2",
    candle_share: Share = "10",
    admission: Annotated[
        bool, Parameter(negative="", help="also the look-ahead check and every parameter moved by 20 %")
    ] = False,
    trials: Trials = DEFAULT_TRIALS,
    out: Out = None,
    plot: Plot = True,
    json: Json = False,
) -> int:
    """Back-test one strategy and write its report.

    The same strategy, risk, order management, venue and engine as in paper, on the clock of the data.
    Interrupt it at any time: it leaves a whole report or none.
    """
    from tradewind.trader.backtest import plots, report
    from tradewind.trader.backtest.examine import examine

    wish = _wish(
        strategy=strategy, data=data, parameters=parameters, preset=preset, symbol=symbol, profile=profile,
        schedule=schedule, account_schedule=account_schedule, latency=latency, queue=queue, cash=cash,
        seed=seed, allow_gaps=allow_gaps, spread=candle_spread, share=candle_share, trials=trials,
    )  # fmt: skip
    with _translated():
        _require_plots(plot=plot)
        with _stages(quiet=json) as say:
            found = examine(wish, say, admission=admission)
            folder = out or Path("reports") / "backtest" / f"{_plain(strategy)}-{found.run_id[:12]}"
            say("writing", 0, 1)
            pictures = plots.draw_all(found) if plot else {}
            content = report.write(found, folder, pictures)
            say("writing", 1, 1)
    if json:
        from tradewind.trader.backtest.document import encode

        _print_bytes(encode({**content, "report": str(folder)}))
    else:
        _show(content, folder)
    return ExitCode.OK


@backtest.command
def sweep(
    strategy: Annotated[str, Parameter(help="a shipped strategy, an entry point, or FILE.py:Class")],
    /,
    *,
    data: Data,
    grid: Annotated[
        tuple[str, ...],
        Parameter(consume_multiple=True, negative="", help="NAME=VALUE,VALUE,... for each parameter"),
    ],
    parameters: Values = (),
    preset: Preset = "default",
    symbol: Symbol = None,
    profile: ProfileName = "paper",
    schedule: Schedule = None,
    latency: Latency = "40,250",
    queue: Queue = "prorata",
    cash: Cash = "10000",
    seed: Seed = 1,
    allow_gaps: Gaps = False,
    candle_spread: Spread = "2",
    candle_share: Share = "10",
    workers: Annotated[int | None, Parameter(help="processes; default: one a core")] = None,
    trials: Trials = DEFAULT_TRIALS,
    out: Out = None,
    plot: Plot = True,
    json: Json = False,
) -> int:
    """Back-test every point of a grid. The best of many is judged as the best of so many."""
    from tradewind.trader.backtest.sweep import parse_grid
    from tradewind.trader.backtest.sweep import sweep as run_sweep
    from tradewind.trader.backtest.sweep_report import draw_sweep, write_sweep

    wish = _wish(
        strategy=strategy, data=data, parameters=parameters, preset=preset, symbol=symbol, profile=profile,
        schedule=schedule, account_schedule=None, latency=latency, queue=queue, cash=cash, seed=seed,
        allow_gaps=allow_gaps, spread=candle_spread, share=candle_share, trials=trials,
    )  # fmt: skip
    if workers is not None and not 1 <= workers <= 64:
        raise CommandFailure(ExitCode.CANNOT, "PARAMETER_OUT_OF_BOUNDS", "--workers is 1..64")
    with _translated():
        _require_plots(plot=plot)
        axes = parse_grid(grid)
        with _stages(quiet=json) as say:
            found = run_sweep(wish, axes, say, workers=workers)
            folder = out or Path("reports") / "backtest" / f"{_plain(strategy)}-sweep"
            content = write_sweep(found, folder, draw_sweep(found) if plot else {})
    if json:
        from tradewind.trader.backtest.document import encode

        _print_bytes(encode({**content, "report": str(folder)}))
    else:
        _show_sweep(content, folder)
    return ExitCode.OK


# ---- the wish --------------------------------------------------------------------------------------------


def _wish(**given: Any) -> Wish:
    from tradewind.trader.backtest.candles import CandleModel
    from tradewind.trader.backtest.examine import Wish

    if given["queue"] == "l3":
        raise CommandFailure(
            ExitCode.CANNOT, "QUEUE_MODEL", "l3 needs single orders (Kraken level3); no capture here has them"
        )
    return Wish(
        strategy=given["strategy"],
        sources=tuple(given["data"]),
        values=_values(given["parameters"]),
        preset=given["preset"],
        symbol=given["symbol"],
        profile=given["profile"],
        schedule=given["schedule"],
        account_schedule=given["account_schedule"],
        latency=_latency(given["latency"]),
        queue=given["queue"],
        cash=_decimal("--cash", given["cash"]),
        seed=given["seed"],
        model=CandleModel(
            spread_bps=_decimal("--candle-spread", given["spread"]),
            participation_pct=_decimal("--candle-share", given["share"]),
        ),
        allow_gaps=given["allow_gaps"],
        trial_log=given["trials"],
    )


def _values(texts: tuple[str, ...]) -> dict[str, str]:
    values: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name or name in values:
            raise CommandFailure(
                ExitCode.CANNOT, "BAD_PARAMETER", f"{text!r}: give each parameter once, as NAME=VALUE"
            )
        values[name] = value
    return values


def _decimal(option: str, text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise CommandFailure(ExitCode.CANNOT, "BAD_NUMBER", f"{option} {text!r} is not a number")
    return value


def _latency(text: str) -> Any:
    from tradewind.venues.paper.latency import LatencyConfig, LatencyModel

    if text == "off":
        return LatencyConfig.off()
    try:
        median_ms, p99_ms = (float(one) for one in text.split(","))
        config = LatencyConfig(
            entry_median_ms=median_ms, entry_p99_ms=p99_ms, cancel_median_ms=median_ms,
            cancel_p99_ms=p99_ms, report_median_ms=median_ms, report_p99_ms=p99_ms,
        )  # fmt: skip
        LatencyModel(config)
    except ValueError as error:
        raise CommandFailure(
            ExitCode.CANNOT, "BAD_LATENCY", f"--latency {text!r}: MEDIAN,P99 in ms, or off ({error})"
        ) from error
    return config


def _plain(strategy: str) -> str:
    name = strategy.rpartition(":")[2] if ":" in strategy else Path(strategy).name
    return "".join(one if one.isalnum() or one in "-_" else "-" for one in name)


def _require_plots(*, plot: bool) -> None:
    from tradewind.trader.backtest import plots

    if not plot:
        return
    try:
        plots.require_matplotlib()
    except plots.PlotMissing as error:
        raise CommandFailure(ExitCode.CANNOT, "PLOT_MISSING", f"{error}, or use --no-plot") from error


@contextmanager
def _translated() -> Iterator[None]:
    """Refusals of the back-test as failures of the command."""
    from tradewind.trader.backtest.errors import BacktestRefused
    from tradewind.trader.discovery import StrategyError
    from tradewind.trader.parameters import ParameterError

    try:
        yield
    except BacktestRefused as error:
        code = ExitCode.RED if error.code == "NOT_RECONCILED" else ExitCode.CANNOT
        raise CommandFailure(code, error.code, str(error)) from error
    except StrategyError as error:
        name = "UNKNOWN_STRATEGY" if error.problem == "missing" else "BAD_STRATEGY"
        raise CommandFailure(ExitCode.CANNOT, name, str(error)) from error
    except ParameterError as error:
        raise CommandFailure(ExitCode.CANNOT, "BAD_PARAMETER", str(error)) from error


# ---- what is shown ---------------------------------------------------------------------------------------


@contextmanager
def _stages(*, quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A bar a stage, on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, quiet=quiet)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=not console.is_terminal) as bar:
        tasks: dict[str, Any] = {}

        def say(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total or None)
            bar.update(tasks[stage], completed=done, total=total or None)

        yield say


def _print_bytes(data: bytes) -> None:
    import sys

    sys.stdout.write(data.decode())


def _show(content: dict[str, Any], folder: Path) -> None:
    from tradewind.trader.backtest.pages import fields, text_of

    for label in content["labels"]:
        note(label)
    rows = {
        **dict(fields(content["result"])),
        **{f"ratio: {key}": value for key, value in fields(content["ratios"])},
    }
    for key, title in (("walk_forward", "walk-forward"), ("folds", "k-fold")):
        one = content["out_of_sample"][key]
        rows[f"out of sample: {title}"] = f"{one['trades']} trades, mean {one['mean_bps']['mean']} bps"
    title = f"{content['strategy']['name']} on {content['data']['label']}"
    print_fields({key: text_of(value) for key, value in rows.items()}, title=title)
    conditions = [
        {**one, "passed": "not checked" if one["passed"] is None else one["passed"]}
        for one in content["admission"]["conditions"]
    ]
    verdict = "admitted" if content["admission"]["admitted"] else "not admitted"
    print_rows(
        conditions, ("name", "passed", "found", "wanted"), title=f"Admission to paper: {verdict}", empty=""
    )
    print(f"report: {folder / 'report.html'}")


def _show_sweep(content: dict[str, Any], folder: Path) -> None:
    for label in content["labels"]:
        note(label)
    columns = ("point", "trades", "net", "mean_bps", "low_95", "high_95", "sharpe_per_trade", "error")
    print_rows(content["points"], columns, title="Points, in-sample", empty="no points")
    if content["best"] is not None:
        print_fields(content["best"], title="Best point, as the best of all trials")
    print_fields(content["overfitting"], title="Overfitting")
    print(f"report: {folder / 'report.html'}")
