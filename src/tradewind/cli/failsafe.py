"""`tradewind failsafe`: back to paper, by taking away what signs."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from tradewind.cli.answers import show
from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json


def failsafe(
    reason: Annotated[str, Parameter(help="why; it is kept with every key")],
    *,
    by: Annotated[str, Parameter(name="--by", help="who acts; it is kept with every key")] = "operator",
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Put every trading key of this installation out of use. A running core signs nothing more, a new one
    cannot. What rests at venues stays: cancel it with tradewind-kill. Keys come back one by one with
    `tradewind keys release`. Afterwards start with `tradewind up --env paper`.
    """
    import msgspec

    from tradewind.trader.killing.failsafe import to_paper

    if not reason.strip():
        raise CommandFailure(ExitCode.CANNOT, "NO_REASON", "state a reason; it is kept with every key")
    switched = to_paper(data, actor=by, reason=reason)
    outcome = ("verified" if switched.keys else "no_effect") if switched.verified else "not_verified"
    document = {"outcome": outcome, **msgspec.to_builtins(switched)}
    title = "nothing here can sign an order" if switched.verified else "keys are left that may sign"
    if not switched.keys:
        title = "there is no trading key here: nothing had to be taken away"
    show(document, json=json, title=title)
    return ExitCode.OK if switched.verified else ExitCode.RED
