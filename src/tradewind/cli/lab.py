"""`tradewind lab`: experiments on an engine of their own, in memory. Nothing of an installation is touched.

Exit status of `scenario`: 0 played to its end with every asset conserved, 1 it was not, 2 no such scenario or
no plotting library.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure
from tradewind.cli.output import Json, print_json, print_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

lab = App(name="lab", help="Stress the exchange in memory: market scenarios with plots.")
FEWEST, MOST = 10, 500_000
FEWEST_MARKETS, MOST_MARKETS = 10, 30_000
FEWEST_TRADERS, MOST_TRADERS = 5, 200


@lab.command
def scenario(
    name: Annotated[str | None, Parameter(help="default: list them")] = None,
    /,
    *,
    out: Annotated[Path | None, Parameter(help="folder for CSV, JSON and plot; default reports")] = None,
    accounts: Annotated[int, Parameter(help="positions to open, half long, half short")] = 100_000,
    seed: Annotated[int, Parameter(help="another seed, other sizes and leverages")] = 1,
    audit: Annotated[bool, Parameter(help="run the auditor behind every batch")] = True,
    plot: Annotated[bool, Parameter(help="draw the PNG (extra `reports`)")] = True,
    json: Json = False,
) -> int:
    """Play a market scenario on the real engine and write its samples, summary and plot."""
    from tradewind.lab.scenarios import PLANS

    if name is None:
        rows = [{"scenario": plan.name, "what": plan.summary} for plan in PLANS.values()]
        if json:
            print_json(rows)
        else:
            print_rows(rows, ("scenario", "what"), title="scenarios", empty="none")
        return ExitCode.OK
    if name not in PLANS:
        message = f"no scenario {name!r}; there are {', '.join(PLANS)}"
        raise CommandFailure(ExitCode.CANNOT, "UNKNOWN_SCENARIO", message, suggestions=list(PLANS))
    if not FEWEST <= accounts <= MOST:
        raise CommandFailure(
            ExitCode.CANNOT,
            "PARAMETER_OUT_OF_BOUNDS",
            f"accounts is {accounts}; {FEWEST}..{MOST} are possible",
        )
    return _play(name, out or Path("reports"), accounts, seed, audit=audit, plot=plot, json=json)


@lab.command
def season(
    *,
    out: Annotated[Path | None, Parameter(help="folder for CSV, JSON and plot; default reports")] = None,
    markets: Annotated[int, Parameter(help="outcome markets of the season")] = 21_000,
    traders: Annotated[int, Parameter(help="accounts that trade them")] = 200,
    seed: Annotated[int, Parameter(help="another seed, another season")] = 1,
    audit: Annotated[bool, Parameter(help="run the auditor behind every batch")] = True,
    plot: Annotated[bool, Parameter(help="draw the PNG (extra `reports`)")] = True,
    json: Json = False,
) -> int:
    """Play 180 days of outcome markets, from creation to redemption, and count everything."""
    bounds = (
        ("markets", markets, FEWEST_MARKETS, MOST_MARKETS),
        ("traders", traders, FEWEST_TRADERS, MOST_TRADERS),
    )
    for name, value, fewest, most in bounds:
        if not fewest <= value <= most:
            message = f"{name} is {value}; {fewest}..{most} are possible"
            raise CommandFailure(ExitCode.CANNOT, "PARAMETER_OUT_OF_BOUNDS", message)
    try:
        from tradewind.lab.scenarios import report as samples_report
        from tradewind.lab.season import report
        from tradewind.lab.season.play import DAYS, Season

        if plot:
            samples_report.require_matplotlib()
    except (ImportError, samples_report.PlotMissing) as error:
        message = f"{error}; pip install 'tradewind[reports]', or --no-plot with NumPy alone"
        raise CommandFailure(ExitCode.CANNOT, "PLOT_MISSING", message) from error
    with _progress(quiet=json) as tell:
        played = Season(markets, traders, seed, audit=audit, tell=tell)
        summary = played.run() | {"seed": seed, "audit": audit}
    folder = out or Path("reports")
    folder.mkdir(parents=True, exist_ok=True)
    files = {"samples": folder / "season.csv", "summary": folder / "season.json"}
    samples_report.write_samples(files["samples"], played.samples)
    samples_report.write_summary(files["summary"], summary)
    if plot:
        files["plot"] = folder / "season.png"
        title = f"{markets:,} outcome markets in {DAYS} days, {summary['trades']:,} trades, {traders} traders"
        report.draw(files["plot"], played.samples, title)
    document = {**summary, "files": {key: str(path) for key, path in files.items()}}
    if json:
        print_json(document)
    else:
        _show(document)
    return ExitCode.OK


def _play(name: str, out: Path, accounts: int, seed: int, *, audit: bool, plot: bool, json: bool) -> int:
    try:
        from tradewind.lab.scenarios import report
        from tradewind.lab.scenarios.plans import PLANS
        from tradewind.lab.scenarios.runner import Runner

        if plot:
            report.require_matplotlib()
    except (ImportError, report.PlotMissing) as error:
        message = f"{error}; pip install 'tradewind[reports]', or --no-plot with NumPy alone"
        raise CommandFailure(ExitCode.CANNOT, "PLOT_MISSING", message) from error
    plan = PLANS[name]
    with _progress(quiet=json) as tell:
        outcome = Runner(plan, accounts, seed, audit=audit, tell=tell).run()
    out.mkdir(parents=True, exist_ok=True)
    outcome.summary |= {"accounts": accounts, "seed": seed, "audit": audit}
    files = {"samples": out / f"{name}.csv", "summary": out / f"{name}.json"}
    report.write_samples(files["samples"], outcome.samples)
    report.write_summary(files["summary"], outcome.summary)
    if plot:
        files["plot"] = out / f"{name}.png"
        report.draw(files["plot"], outcome.samples, plan.summary, plan.highlights, outcome.trips)
    document: dict[str, Any] = {**outcome.summary, "files": {key: str(path) for key, path in files.items()}}
    if json:
        print_json(document)
    else:
        _show(document)
    return ExitCode.OK


def _show(document: dict[str, Any]) -> None:
    rows = [
        {"figure": key.replace("_", " "), "value": _text(value)}
        for key, value in document.items()
        if not isinstance(value, dict | list)
    ]
    for group in ("events", "refusals", "files"):
        rows += [
            {"figure": f"{group}: {key}", "value": _text(value)} for key, value in document[group].items()
        ]
    print_rows(rows, ("figure", "value"), title=document["scenario"], empty="nothing happened")


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.3f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _progress(*, quiet: bool) -> Any:
    """A spinner with the step, on standard error."""
    from contextlib import contextmanager

    from rich.console import Console

    @contextmanager
    def spinner() -> Iterator[Callable[[str], None]]:
        console = Console(stderr=True, quiet=quiet)
        with console.status("playing") as status:
            yield status.update

    return spinner()
