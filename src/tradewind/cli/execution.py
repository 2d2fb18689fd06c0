"""`tradewind execute`: parent orders that are worked over time; `execute curve build` for VWAP's curve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from tradewind.cli.answers import show, show_rows
from tradewind.cli.client import Client
from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure
from tradewind.cli.options import Actor, ClientKey
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json, print_fields, print_json, progress

execute = App(name="execute", help="Parent orders: twap, vwap, pov, iceberg, passive; list, pause, cancel.")
curve = App(name="curve", help="The hour-of-week volume curve of VWAP.")
execute.command(curve)

Symbol = Annotated[str, Parameter(help="market, such as BTC/USDT")]
Side = Annotated[Literal["buy", "sell"], Parameter(help="buy or sell")]
Quantity = Annotated[str, Parameter(help="size in the base asset, plain decimal")]
Completion = Annotated[
    Literal["cancel-rest", "finish-passive", "cross-at-end", "hand-to-operator"],
    Parameter(help="what happens with the rest when the time is over; there is no default"),
]
CompletionBps = Annotated[str | None, Parameter(help="for cross-at-end: worst distance from the mid, bps")]
Limit = Annotated[str | None, Parameter(help="worst price of every child")]
MaxCost = Annotated[
    str | None, Parameter(help="stop when finishing would cost more against the arrival mid, bps")
]
Seed = Annotated[int | None, Parameter(help="seed of the jitter")]
Reason = Annotated[str, Parameter(help="why; it goes into the log")]
Number = Annotated[int, Parameter(help="number of the parent")]
Participation = Annotated[str | None, Parameter(help="largest part of all trades in any 60 s, percent")]
Interval = Annotated[int | None, Parameter(help="seconds of a slice, 30 to 300; 60 when absent")]
PassivePct = Annotated[
    str | None, Parameter(help="percent of a slice spent at the near touch; 60 when absent")
]
Minutes = Annotated[float | None, Parameter(help="minutes; each algorithm has a default")]
COLUMNS = [
    "number",
    "algorithm",
    "market",
    "side",
    "quantity",
    "filled",
    "planned",
    "working",
    "average price",
    "arrival mid",
    "cost bps",
    "state",
    "reason",
]


def _body(algorithm: str, market: str, side: str, quantity: str, **given: Any) -> dict[str, Any]:
    """The options of an algorithm as the body of a request."""
    given["completion"] = given["completion"].replace("-", "_")
    minutes = given.pop("minutes")
    given["duration_s"] = 0 if minutes is None else round(minutes * 60)
    return {"algorithm": algorithm, "market": market, "side": side, "quantity": quantity, **given}


def _send(body: dict[str, Any], data: Path, json: bool) -> int:
    answer = Client(data).post("/executions", body)
    return _one(answer, json=json, title=f"Parent {answer['number']}: {answer['algorithm']}")


def _one(answer: dict[str, Any], *, json: bool, title: str) -> int:
    return show(
        answer if json else {k: v for k, v in answer.items() if v not in ([], "")}, json=json, title=title
    )


@execute.command
def twap(
    symbol: Symbol,
    side: Side,
    quantity: Quantity,
    *,
    completion: Completion,
    minutes: Minutes = None,
    interval_s: Interval = None,
    participation_pct: Participation = None,
    passive_pct: PassivePct = None,
    limit: Limit = None,
    completion_bps: CompletionBps = None,
    max_cost_bps: MaxCost = None,
    seed: Seed = None,
    reason: Reason = "",
    actor: Actor = None,
    client_key: ClientKey = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Even slices over time: 5 to 1,440 minutes, at most 10 % of all trades."""
    body = _body(
        "twap",
        symbol,
        side,
        quantity,
        completion=completion,
        minutes=minutes,
        interval_s=interval_s,
        participation_pct=participation_pct,
        passive_pct=passive_pct,
        limit=limit,
        completion_bps=completion_bps,
        max_cost_bps=max_cost_bps,
        seed=seed,
        reason=reason,
        actor=actor,
        client_key=client_key,
    )
    return _send(body, data, json)


@execute.command
def vwap(
    symbol: Symbol,
    side: Side,
    quantity: Quantity,
    *,
    completion: Completion,
    curve: Annotated[
        Path | None, Parameter(help="from: tradewind execute curve build; absent: the one in DATA/curves")
    ] = None,
    minutes: Minutes = None,
    interval_s: Interval = None,
    participation_pct: Participation = None,
    passive_pct: PassivePct = None,
    limit: Limit = None,
    completion_bps: CompletionBps = None,
    max_cost_bps: MaxCost = None,
    seed: Seed = None,
    reason: Reason = "",
    actor: Actor = None,
    client_key: ClientKey = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Slices that follow the market's usual volume by hour of week, laid again from what it really is."""
    import msgspec

    from tradewind.trader.execution.curve import load

    body = _body(
        "vwap",
        symbol,
        side,
        quantity,
        completion=completion,
        minutes=minutes,
        interval_s=interval_s,
        participation_pct=participation_pct,
        passive_pct=passive_pct,
        limit=limit,
        completion_bps=completion_bps,
        max_cost_bps=max_cost_bps,
        seed=seed,
        reason=reason,
        actor=actor,
        client_key=client_key,
        curve=None if curve is None else msgspec.to_builtins(load(curve)),
    )
    return _send(body, data, json)


@execute.command
def pov(
    symbol: Symbol,
    side: Side,
    quantity: Quantity,
    *,
    participation_pct: Annotated[
        str, Parameter(help="part of all trades that shall be ours, 1 to 20 percent")
    ],
    completion: Completion,
    minutes: Minutes = None,
    limit: Limit = None,
    completion_bps: CompletionBps = None,
    max_cost_bps: MaxCost = None,
    seed: Seed = None,
    reason: Reason = "",
    actor: Actor = None,
    client_key: ClientKey = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """A part of what others trade; nothing while they are silent."""
    body = _body(
        "pov",
        symbol,
        side,
        quantity,
        completion=completion,
        minutes=minutes,
        participation_pct=participation_pct,
        limit=limit,
        completion_bps=completion_bps,
        max_cost_bps=max_cost_bps,
        seed=seed,
        reason=reason,
        actor=actor,
        client_key=client_key,
    )
    return _send(body, data, json)


@execute.command
def iceberg(
    symbol: Symbol,
    side: Side,
    quantity: Quantity,
    *,
    completion: Completion,
    display: Annotated[
        str | None, Parameter(help="what shows at a time, base asset; the least that may show when absent")
    ] = None,
    minutes: Minutes = None,
    limit: Limit = None,
    completion_bps: CompletionBps = None,
    max_cost_bps: MaxCost = None,
    seed: Seed = None,
    reason: Reason = "",
    actor: Actor = None,
    client_key: ClientKey = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """One small visible child at a time, 0.2 to 2 s behind each fill."""
    body = _body(
        "iceberg",
        symbol,
        side,
        quantity,
        completion=completion,
        minutes=minutes,
        display=display,
        limit=limit,
        completion_bps=completion_bps,
        max_cost_bps=max_cost_bps,
        seed=seed,
        reason=reason,
        actor=actor,
        client_key=client_key,
    )
    return _send(body, data, json)


@execute.command
def passive(
    symbol: Symbol,
    side: Side,
    quantity: Quantity,
    *,
    completion: Completion,
    minutes: Minutes = None,
    passive_pct: PassivePct = None,
    limit: Limit = None,
    completion_bps: CompletionBps = None,
    max_cost_bps: MaxCost = None,
    seed: Seed = None,
    reason: Reason = "",
    actor: Actor = None,
    client_key: ClientKey = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Rest at the near touch for a part of the time, then cross what is left."""
    body = _body(
        "passive",
        symbol,
        side,
        quantity,
        completion=completion,
        minutes=minutes,
        passive_pct=passive_pct,
        limit=limit,
        completion_bps=completion_bps,
        max_cost_bps=max_cost_bps,
        seed=seed,
        reason=reason,
        actor=actor,
        client_key=client_key,
    )
    return _send(body, data, json)


@execute.command(name="list")
def list_(*, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Parents, newest first."""
    rows = Client(data).get("/executions")["executions"]
    return show_rows(rows, COLUMNS, json=json, title="Parents", empty="no parents", name="executions")


@execute.command(name="show")
def show_(number: Number, *, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """One parent with its children."""
    return _one(Client(data).get(f"/executions/{number}"), json=json, title=f"Parent {number}")


@execute.command
def pause(
    number: Number,
    reason: Reason,
    *,
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """No new child; the open one is cancelled. Time goes on."""
    return _turn("pause", number, {"reason": reason, "actor": actor}, data, json)


@execute.command
def resume(
    number: Number,
    reason: Reason,
    *,
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Go on with the same schedule; what was missed is caught up at no more than twice its rate."""
    return _turn("resume", number, {"reason": reason, "actor": actor}, data, json)


@execute.command
def cancel(
    number: Number,
    reason: Reason,
    *,
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Cancel the child and end the parent. What was filled stays filled."""
    return _turn("cancel", number, {"reason": reason, "actor": actor}, data, json)


def _turn(verb: str, number: int, body: dict[str, Any], data: Path, json: bool) -> int:
    answer = Client(data).post(f"/executions/{number}/{verb}", body)
    return _one(answer, json=json, title=f"Parent {number}: {answer['state']}")


@curve.command
def build(
    *files: Annotated[Path, Parameter(help="candles or trades, as tradewind data fetch writes them")],
    symbol: Symbol,
    output: Annotated[Path, Parameter(name=("--output", "-o"), help="where the curve goes")],
    event: Annotated[
        tuple[str, ...],
        Parameter(negative="", help="DAY=FACTOR or DAY=24 factors with commas, e.g. 2026-12-25=0.4"),
    ] = (),
    json: Json = False,
) -> int:
    """Build a curve: the median share of each hour of week over whole weeks, at least four."""
    from tradewind.trader.execution import curve as curves

    if not files:
        raise CommandFailure(ExitCode.CANNOT, "NO_FILES", "name files of candles or trades")
    with progress("reading", quiet=json) as tell:
        hours = curves.read_hours(files, tell)
    built = curves.build(symbol, hours, dict(_event(text) for text in event))
    try:
        curves.save(output, built)
    except OSError as error:
        raise CommandFailure(ExitCode.CANNOT, "UNWRITABLE", f"{output}: {error.strerror}") from error
    ranked = sorted(range(curves.BUCKETS), key=lambda bucket: built.shares[bucket])
    document = {
        "file": str(output),
        "symbol": symbol,
        "weeks": built.weeks,
        "first_week": built.first_week,
        "last_week": built.last_week,
        "week_volume": str(built.week_volume),
        "busiest": f"{_hour(ranked[-1])}: {built.shares[ranked[-1]] * 100:.3f} %",
        "quietest": f"{_hour(ranked[0])}: {built.shares[ranked[0]] * 100:.3f} %",
        "warning": built.warning,
        "hash": built.hash,
    }
    print_json(document) if json else print_fields(document, title=f"Volume curve of {symbol}")
    return ExitCode.OK


def _hour(bucket: int) -> str:
    days = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
    return f"{days[bucket // 24]} {bucket % 24:02d}:00 UTC"


def _event(text: str) -> tuple[str, list[Any]]:
    from decimal import Decimal, InvalidOperation

    day, _, factors = text.partition("=")
    try:
        return day, [Decimal(one) for one in factors.split(",")]
    except InvalidOperation:
        raise CommandFailure(
            ExitCode.CANNOT, "BAD_EVENT", f"{text!r} is not DAY=FACTOR, such as 2026-12-25=0.4"
        ) from None
