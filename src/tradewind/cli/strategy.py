"""`tradewind strategy`: begin a strategy, list what there is, show one, check one.

Exit status: 0 done or clean, 1 `check` found something, 2 the source cannot be loaded or the files exist.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure
from tradewind.cli.output import Json, note, print_fields, print_json, print_rows, progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tradewind.trader.strategy import Strategy

strategy = App(name="strategy", help="Begin, list, show and check strategies.")
Source = Annotated[str, Parameter(help="a name of `strategy list`, or path/to/file.py:Class")]
Symbols = Annotated[tuple[str, ...], Parameter(help="symbols to build it with")]
Outside = Annotated[tuple[str, ...], Parameter(help="symbols that it only looks at")]
FEWEST_STEPS, MOST_STEPS = 100, 200_000


@strategy.command
def new(
    name: Annotated[str, Parameter(help="small letters, digits and _")],
    /,
    *,
    directory: Annotated[Path | None, Parameter(help="default: a new folder NAME here")] = None,
    json: Json = False,
) -> int:
    """A plain module with a test that passes as written."""
    from tradewind.trader.scaffold import ScaffoldError, class_name, write

    folder = directory or Path(name)
    try:
        written = write(name, folder)
    except ScaffoldError as error:
        raise CommandFailure(ExitCode.CANNOT, "SCAFFOLD_REFUSED", str(error)) from error
    if json:
        print_json({"name": name, "class": class_name(name), "files": [str(path) for path in written]})
        return ExitCode.OK
    for path in written:
        note(f"wrote {path}")
    note(f"next: cd {folder}; pytest; tradewind strategy check {name}.py:{class_name(name)}")
    return ExitCode.OK


@strategy.command(name="list")
def list_(*, json: Json = False) -> int:
    """What may be named: shipped strategies and those of installed packages."""
    from tradewind.trader.discovery import StrategyError, available, find, presets

    rows: list[dict[str, Any]] = []
    try:
        for info in available():
            try:
                found = find(info.name)
                text, sets = _first_line(found), ", ".join(presets(found))
            except StrategyError as error:
                text, sets = str(error), ""
            rows.append({"strategy": info.name, "from": info.origin, "parameter_sets": sets, "what": text})
    except StrategyError as error:
        raise _refused(error) from error
    if json:
        print_json(rows)
    else:
        print_rows(rows, ("strategy", "from", "parameter sets", "what"), title="strategies", empty="none")
    return ExitCode.OK


@strategy.command
def show(
    source: Source,
    /,
    *,
    symbols: Symbols = ("BTC/USDT",),
    outside: Outside = (),
    parameters: Annotated[str, Parameter(help="a named parameter set")] = "default",
    fees: Annotated[str, Parameter(help="fee schedule for the break-even rate")] = "binance-spot-vip0",
    json: Json = False,
) -> int:
    """Manifest, parameters with their bounds, hash of the code, and the win rate that breaks even."""
    from tradewind.trader.parameters import table
    from tradewind.trader.strategy import code_hash

    built = _build(source, symbols, outside, parameters, {})
    manifest = built.manifest
    document: dict[str, Any] = {
        "strategy": source,
        "name": manifest.name,
        "version": manifest.version,
        "data": list(manifest.data) or "its own timer only",
        "timer_ms": manifest.timer_ms,
        "expected_holding_s": manifest.expected_holding_s,
        "expected_edge_bps": str(manifest.expected_edge_bps),
        "cost_model": manifest.cost_model,
        "max_loss_pct": str(manifest.max_loss_pct),
        "parameter_set": parameters,
        "code_hash": code_hash(built),
        "break_even": _break_even(built, fees),
    }
    rows = table(type(built.parameters), built.parameters)  # type: ignore[attr-defined]
    if json:
        print_json(document | {"parameters": rows})
        return ExitCode.OK
    print_fields(document, title=_first_line(type(built)))
    columns = ("parameter", "value", "default", "bounds", "meaning")
    print_rows(rows, columns, title="parameters", empty="no parameters")
    return ExitCode.OK


@strategy.command
def check(
    source: Source,
    /,
    *,
    symbols: Symbols = ("BTC/USDT",),
    outside: Outside = (),
    parameters: Annotated[str, Parameter(help="a named parameter set")] = "default",
    set_: Annotated[tuple[str, ...], Parameter(name="set", help="single parameters, NAME=VALUE")] = (),
    steps: Annotated[int, Parameter(help="steps of the rehearsal")] = 3_000,
    json: Json = False,
) -> int:
    """Read the file for what T14.1 forbids, then rehearse it twice on a small generated market."""
    from tradewind.trader.rehearsal import rehearse
    from tradewind.trader.static_check import findings

    if not FEWEST_STEPS <= steps <= MOST_STEPS:
        message = f"steps is {steps}; {FEWEST_STEPS}..{MOST_STEPS} are possible"
        raise CommandFailure(ExitCode.CANNOT, "PARAMETER_OUT_OF_BOUNDS", message)
    values = _values(set_)
    path, text = _source_text(source)
    found = [{"line": one.line, "what": one.what, "why": one.why} for one in findings(text)]
    with progress("rehearsal", quiet=json) as tell:
        tell(0, 1)
        try:
            played = rehearse(lambda: _build(source, symbols, outside, parameters, values), steps=steps)
            problems = played.problems
        except CommandFailure:
            raise
        except Exception as error:  # noqa: BLE001 whatever a strategy raises is its finding
            played, problems = None, [f"it raises {error!r}{_where(error, path)}"]
        tell(1, 1)
    clean = not found and not problems
    document: dict[str, Any] = {"strategy": source, "file": path, "clean": clean}
    if played is not None:
        document |= {
            "steps": played.steps,
            "callbacks": played.callbacks,
            "intents": dict(played.intents),
            "fills": played.fills,
            "slowest_callback_ms": round(played.slowest_ms, 3),
            "intents_hash": played.tape,
            "note": played.note or "-",
        }
    if json:
        print_json(document | {"findings": found, "problems": problems})
    else:
        print_fields(document, title="check of a strategy")
        print_rows(found, ("line", "what", "why"), title="forbidden in a strategy", empty="nothing forbidden")
        rows = [{"problem": one} for one in problems]
        print_rows(rows, ("problem",), title="problems of the rehearsal", empty="the rehearsal was clean")
    return ExitCode.OK if clean else ExitCode.RED


# ---- helpers -----------------------------------------------------------------------------------------


def _first_line(found: type[Any]) -> str:
    return (found.__doc__ or found.__name__).strip().partition("\n")[0]


def _refused(error: Exception) -> CommandFailure:
    code = str(getattr(error, "code", "StrategyError"))
    details = {"problem": getattr(error, "problem", None), "line": getattr(error, "line", None)}
    shown = {key: value for key, value in details.items() if value is not None}
    return CommandFailure(ExitCode.CANNOT, code, str(error), **shown)


def _build(
    source: str,
    symbols: tuple[str, ...],
    outside: tuple[str, ...],
    preset: str,
    values: Mapping[str, object],
) -> Strategy:
    from tradewind.trader.discovery import StrategyError, find, make, takes_outside
    from tradewind.trader.parameters import ParameterError

    try:
        seen = outside or (("OUTSIDE/USDC",) if takes_outside(find(source)) else ())
        return make(source, symbols, values, preset=preset, outside=seen)
    except (StrategyError, ParameterError) as error:
        raise _refused(error) from error


def _source_text(source: str) -> tuple[str, str]:
    import inspect

    from tradewind.trader.discovery import StrategyError, find, read_source

    try:
        path = inspect.getfile(find(source))
        return path, read_source(Path(path), source)[1]
    except StrategyError as error:
        raise _refused(error) from error


def _values(given: tuple[str, ...]) -> dict[str, object]:
    pairs = [text.partition("=") for text in given]
    for name, equals, _ in pairs:
        if not name or not equals:
            raise CommandFailure(ExitCode.CANNOT, "BAD_PARAMETER", f"write --set NAME=VALUE, not {name!r}")
    return {name: value for name, _, value in pairs}


def _break_even(built: Strategy, schedule: str) -> str:
    """The win rate at the least costs of a schedule, in words."""
    from tradewind.trader.parameters import ParameterError
    from tradewind.venues.paper.schedule import load_schedule

    rate = getattr(built, "break_even", None)
    if rate is None:
        return "no fixed target and stop"
    try:
        return f"{rate(load_schedule(schedule)):.1%} of trades must win at the fees of {schedule}"
    except ParameterError as error:
        return f"refused: {error}"


def _where(error: Exception, path: str) -> str:
    return "".join(f", line {line}" for line in list(_lines(error, path))[-1:])


def _lines(error: Exception, path: str) -> Iterator[int]:
    import traceback

    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename == path and frame.lineno is not None:
            yield frame.lineno
