"""`tradewind proposal`: changes that others approve and that wait for their time-lock."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from cyclopts import App, Parameter

from tradewind.cli.answers import show, show_rows
from tradewind.cli.client import Client
from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure
from tradewind.cli.options import Actor
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json

proposal = App(name="proposal", help="Propose, approve, cancel, execute and list governed changes.")
Number = Annotated[int, Parameter(help="number of the proposal")]
NANOSECONDS = 1_000_000_000
COLUMNS = ["action", "command", "class", "effect", "state", "approvals", "needed", "eta", "proposer"]


@proposal.command
def create(
    command: Annotated[str, Parameter(help="name of the command, such as UpdateMarketRisk")],
    fields: Annotated[list[str], Parameter(help="its fields as name=integer", consume_multiple=True)],
    *,
    market: Annotated[str | None, Parameter(help="market by name, instead of market=NUMBER")] = None,
    config_version: Annotated[int, Parameter(help="version of the platform's configuration")] = 0,
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Propose a change (GOVERNOR). It is checked now and again when it is executed."""
    body = {
        "command": command,
        "fields": dict(_field(text) for text in fields),
        "market": market,
        "config_version": config_version,
        "actor": actor,
    }
    answer = Client(data).post("/proposals", body)
    return show(answer, json=json, title=f"Proposal {answer['value']}: {command}")


def moment(time_ns: int) -> str:
    """A moment of the log in UTC, to the second."""
    return datetime.fromtimestamp(time_ns / NANOSECONDS, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _field(text: str) -> tuple[str, int | str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise CommandFailure(ExitCode.CANNOT, "BAD_FIELD", f"{text!r} is not name=value")
    return name, int(value) if value.lstrip("-").isdecimal() else value


def _act(number: int, verb: str, actor: str | None, data: DataDirectory, *, json: bool, title: str) -> int:
    answer = Client(data).post(f"/proposals/{number}/{verb}", {"actor": actor})
    return show(answer, json=json, title=title)


@proposal.command
def approve(
    number: Number, *, actor: Actor = None, data: DataDirectory = DEFAULT_DATA, json: Json = False
) -> int:
    """Approve (APPROVER; --as approver-1, approver-2, approver-3)."""
    return _act(number, "approve", actor, data, json=json, title=f"Proposal {number} approved")


@proposal.command
def cancel(
    number: Number, *, actor: Actor = None, data: DataDirectory = DEFAULT_DATA, json: Json = False
) -> int:
    """Cancel (the proposer, or EMERGENCY)."""
    return _act(number, "cancel", actor, data, json=json, title=f"Proposal {number} cancelled")


@proposal.command
def execute(
    number: Number, *, actor: Actor = None, data: DataDirectory = DEFAULT_DATA, json: Json = False
) -> int:
    """Execute what is approved and whose time has come (anyone)."""
    return _act(number, "execute", actor, data, json=json, title=f"Proposal {number} executed")


@proposal.command(name="list")
def list_proposals(*, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Open proposals, and the last ones that ended."""
    rows = Client(data).get("/proposals")["proposals"]
    if not json:
        rows = [{**row, "eta": moment(row["eta_ns"])} for row in rows]
    return show_rows(rows, COLUMNS, json=json, title="Proposals", empty="no proposals", name="proposals")
