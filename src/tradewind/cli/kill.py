"""`tradewind halt|flatten|resume`: the kill switch. Exit 0 only when the effect was read back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tradewind.cli.answers import show
from tradewind.cli.client import Client
from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure, not_running
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json

Reason = Annotated[str, Parameter(help="why; it goes into the log")]
By = Annotated[str, Parameter(name="--by", help="who acts; it goes into the log")]


def halt(
    reason: Reason, *, by: By = "operator", data: DataDirectory = DEFAULT_DATA, json: Json = False
) -> int:
    """No new risk; cancel every working order; keep positions. May be repeated.

    Without a running platform the log itself is restricted, so that the next start begins halted.
    """
    try:
        return _pull("halt", reason, by, data, json)
    except CommandFailure as failure:
        if failure.exit_code is not ExitCode.NOT_RUNNING:
            raise
    return _halt_offline(data, reason, by, json)


def flatten(
    reason: Reason, *, by: By = "operator", data: DataDirectory = DEFAULT_DATA, json: Json = False
) -> int:
    """Halt, then reduce every position to zero in slices within the collar."""
    return _pull("flatten", reason, by, data, json)


def resume(
    reason: Reason, *, by: By = "operator", data: DataDirectory = DEFAULT_DATA, json: Json = False
) -> int:
    """Leave the halt: needs a reason, a clean reconciliation and the cool-down."""
    return _pull("resume", reason, by, data, json)


def _pull(act: str, reason: str, by: str, data: DataDirectory, json: bool) -> int:
    answer = Client(data).post(f"/kill/{act}", {"reason": reason, "actor": by})
    return show(answer, json=json, title=f"{act}: {answer['outcome']}")


def _halt_offline(data: Path, reason: str, by: str, json: bool) -> int:
    """The same halt on the log of a platform that is not running."""
    import asyncio

    import msgspec

    from tradewind.api.identities import open_identities
    from tradewind.api.offline import halt as halt_offline
    from tradewind.core import journal as log
    from tradewind.observe.logs import configure_logs

    if not log.exists(data / "journal"):
        raise not_running(data)
    if not reason.strip():
        raise CommandFailure(ExitCode.RED, "NO_REASON", "state a reason; it goes into the log")
    configure_logs(data)
    result = asyncio.run(halt_offline(data, open_identities(data), reason=reason, actor=by))
    show(msgspec.to_builtins(result), json=json, title=f"halt: {result.outcome}")
    return ExitCode.OK if result.succeeded else ExitCode.RED
