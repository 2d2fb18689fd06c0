"""`tradewind risk`: limits, why an order was refused, trading states and their resets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import App, Parameter

from tradewind.cli.answers import show, show_rows
from tradewind.cli.client import Client
from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json, note, print_fields, print_json

risk = App(name="risk", help="Limits, why an order was refused, trading states and their resets.")
Reason = Annotated[str, Parameter(help="why; it goes into the log")]
By = Annotated[str, Parameter(name="--by", help="who acts; it goes into the log")]
Second = Annotated[str, Parameter(name="--second", help="the second person, where two are needed")]
LIMIT_COLUMNS: Final = ["id", "key", "limit", "used", "unit", "scope", "source", "waits"]
STATE_COLUMNS: Final = ["scope", "state", "cause", "reason", "actor", "since ns", "latching", "not before ns"]
REFUSED_COLUMNS: Final = ["id", "at ns", "strategy", "path", "symbol", "side", "lots", "codes"]


@risk.command
def limits(
    *,
    profile: Annotated[
        str | None, Parameter(help="bounds of this profile, by name or file, without a platform")
    ] = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Each limit with its bound, what is used of it now, unit, scope and source.

    Without a running platform the bounds of `--profile` are shown, and nothing is known to be used.
    """
    if profile is None:
        rows = Client(data).get("/risk/limits")
        title = "Limits"
    else:
        from tradewind.trader.risk.catalogue import CATALOGUE, value_of
        from tradewind.trader.risk.profile import load_profile

        loaded, rows = load_profile(profile), []
        for entry in CATALOGUE:
            plain = entry.key and entry.key != "max_order_qty_base"
            bound = str(value_of(loaded.limits, entry.key)) if plain else None
            if entry.key == "max_order_qty_base":
                symbols = loaded.limits.symbols
                bound = ", ".join(f"{one.max_order_qty_base} {symbol}" for symbol, one in symbols.items())
            rows.append(
                {"id": entry.id, "key": entry.key, "limit": bound, "used": None, "unit": entry.unit,
                 "scope": entry.scope, "source": entry.source, "code": entry.code, "waits": None}
            )  # fmt: skip
        title = f"Limits of {loaded.name}"
    return show_rows(rows, LIMIT_COLUMNS, json=json, title=title, empty="no limits", name="limits")


@risk.command
def explain(
    number: Annotated[int | None, Parameter(help="number of the refused order")] = None,
    *,
    last: Annotated[int, Parameter(help="list so many of the newest")] = 10,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Why was this order refused: each code, bound, value, what would have passed, and the states then.

    Reads the log, so that it works without a running platform. Without a number the newest are listed.
    """
    from tradewind.trader.risk.history import History, explain

    if not 1 <= last <= 1_000:
        raise CommandFailure(ExitCode.CANNOT, "BAD_COUNT", f"--last {last} must be from 1 to 1000")
    history = History(_payloads(data), keep=last, number=number)
    documents = [explain(one) for one in reversed(history.refusals)]
    if number is None:
        for document in documents:
            document["codes"] = ", ".join(dict.fromkeys(one["code"] for one in document["reasons"]))
        return show_rows(
            documents, REFUSED_COLUMNS, json=json, title=f"Refused orders, {history.count} in all",
            empty="no order was refused", name="refused",
        )  # fmt: skip
    if not documents:
        raise CommandFailure(
            ExitCode.RED, "NO_SUCH_REFUSAL", f"the log has {history.count} refused orders, none is {number}"
        )
    if json:
        print_json(documents[0])
    else:
        print_fields(documents[0], title=f"Refused order {number}")
    return ExitCode.OK


@risk.command
def states(*, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Trading states in force, who set them and why. Without a running platform as the log has them."""
    try:
        rows = Client(data).get("/risk/states")
    except CommandFailure as failure:
        if failure.exit_code is not ExitCode.NOT_RUNNING:
            raise
        from tradewind.trader.risk.history import History, latch_row

        history = History(_payloads(data), keep=1)
        rows = [latch_row(latch) for latch in history.states.active()]
        note("no platform is running: these are the states that the next start begins with")
    return show_rows(
        rows, STATE_COLUMNS, json=json, title="Trading states", empty="normal: nothing is restricted",
        name="states",
    )  # fmt: skip


@risk.command
def reset(
    scope: Annotated[str, Parameter(help="account, venue:NAME, strategy:NAME or symbol:NAME")],
    cause: Annotated[str, Parameter(help="the cause, as `risk states` shows it")],
    reason: Reason,
    *,
    second: Second = "",
    by: By = "operator",
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """End one trading state. The total loss, and others with much at stake, need a second person."""
    body = {"scope": scope, "cause": cause, "reason": reason, "actor": by, "second": second}
    return show(Client(data).post("/risk/reset", body), json=json, title=f"reset: {cause} of {scope}")


@risk.command
def change(
    profile: Annotated[str, Parameter(help="profile with the wanted limits, by name or file")],
    reason: Reason,
    *,
    second: Second = "",
    by: By = "operator",
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Change limits: lower ones count at once; higher ones need two people, an hour, and no open position."""
    wanted = str(Path(profile).resolve()) if Path(profile).exists() else profile
    body = {"profile": wanted, "reason": reason, "actor": by, "second": second}
    return show(Client(data).post("/risk/limits", body), json=json, title="limits changed")


@risk.command
def correlation(
    *,
    revert: Annotated[bool, Parameter(negative="", help="bring the version before back")] = False,
    reason: Annotated[str, Parameter(help="why; it goes into the log")] = "",
    by: By = "operator",
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """The correlation matrix in force, its clusters and betas."""
    client = Client(data)
    if revert:
        answer = client.post("/risk/correlation/revert", {"reason": reason, "actor": by})
        return show(answer, json=json, title="correlation: the version before is in force")
    return show(client.get("/risk/correlation"), json=json, title="Correlation")


def _payloads(data: Path) -> Iterator[Any]:
    """The trader's notes of a log, in their order."""
    from tradewind.cli.journal import journal_path
    from tradewind.core import journal as log
    from tradewind.core.events import decode_notes
    from tradewind.trader.records import TRADER_STREAM

    for batch in log.batches(journal_path(data)):
        for one in decode_notes(batch.notes):
            if one.stream == TRADER_STREAM:
                yield one.payload
