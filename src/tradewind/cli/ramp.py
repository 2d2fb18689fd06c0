"""`tradewind ramp`: the stages from simulation to live size. People promote, demotion is automatic.

With a running platform its API is asked; without one the log itself is read, and written under its lock.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import App, Parameter

from tradewind.cli.answers import show
from tradewind.cli.client import Client
from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure, not_running
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json, print_fields, print_json, print_rows

ASIDE_S: Final = 60.0
"""How long the judging process may take."""
ramp = App(name="ramp", help="Stages from paper to live: status, propose, approve, demote, history.")
By = Annotated[str, Parameter(name="--by", help="who acts; it goes into the log")]
Reason = Annotated[str, Parameter(help="why; it goes into the log")]
Environment = Annotated[
    str, Parameter(name="--env", help="environment of the log while nothing runs: sim, paper, canary, live")
]


@ramp.command
def status(*, data: DataDirectory = DEFAULT_DATA, env: Environment = "paper", json: Json = False) -> int:
    """The stage, its bounds, and every condition of the next one with what is there and what is needed."""
    document = _ask(data, env, lambda client: client.get("/ramp"), lambda desk: desk.status())
    if json:
        print_json(document)
        return ExitCode.OK
    conditions = document.pop("conditions")
    print_fields(document, title=f"stage {document['stage']}")
    rows = [{**one, "met": "yes" if one["met"] else "NO"} for one in conditions]
    title = f"conditions of {document['next_stage']}" if document["next_stage"] else "the last stage"
    print_rows(rows, ["name", "need", "have", "met"], title=title, empty="nothing is above this stage")
    return ExitCode.OK


@ramp.command
def propose(
    *, by: By = "operator", data: DataDirectory = DEFAULT_DATA, env: Environment = "paper", json: Json = False
) -> int:
    """Propose the next stage. Refused, with everything that is missing, unless every condition holds."""
    answer = _ask(
        data, env, lambda client: client.post("/ramp/propose", {"actor": by}), lambda desk: desk.propose(by)
    )
    return show(answer, json=json, title=f"proposed: {answer['proposed']}")


@ramp.command
def approve(
    reason: Reason,
    *,
    by: By = "operator",
    data: DataDirectory = DEFAULT_DATA,
    env: Environment = "paper",
    json: Json = False,
) -> int:
    """Approve what is proposed. From canary on the stage changes with the second, different person."""
    body = {"actor": by, "reason": reason}
    answer = _ask(
        data, env, lambda client: client.post("/ramp/approve", body), lambda desk: desk.approve(by, reason)
    )
    return show(answer, json=json, title=f"stage {answer['stage']}")


@ramp.command
def demote(
    reason: Reason,
    *,
    by: By = "operator",
    data: DataDirectory = DEFAULT_DATA,
    env: Environment = "paper",
    json: Json = False,
) -> int:
    """One stage down, at once; never below paper."""
    body = {"actor": by, "reason": reason}
    answer = _ask(
        data, env, lambda client: client.post("/ramp/demote", body), lambda desk: desk.demote(by, reason)
    )
    return show(answer, json=json, title=f"stage {answer['stage']}")


@ramp.command
def history(*, data: DataDirectory = DEFAULT_DATA, env: Environment = "paper", json: Json = False) -> int:
    """Every move, newest first, with its cause and who was responsible."""
    document = _ask(data, env, lambda client: client.get("/ramp/history"), lambda desk: desk.history())
    if json:
        print_json(document)
        return ExitCode.OK
    rows = [{**one, "actors": ", ".join(one["actors"])} for one in document["moves"]]
    columns = ["at_ns", "from_stage", "to_stage", "cause", "actors", "detail"]
    print_rows(rows, columns, title="moves", empty="the trader stands where it began")
    return ExitCode.OK


def _ask(
    data: Path, env: str, online: Callable[[Client], Any], read: Callable[[Any], Any | Awaitable[Any]]
) -> dict[str, Any]:
    """The answer of the running platform, else of the log."""
    try:
        document: dict[str, Any] = online(Client(data))
        return document
    except CommandFailure as failure:
        if failure.exit_code is not ExitCode.NOT_RUNNING:
            raise
    from tradewind.core import journal as log
    from tradewind.observe.logs import configure_logs
    from tradewind.trader.ramp.book import RampRefused

    if not log.exists(data / "journal"):
        raise not_running(data)
    configure_logs(data)
    try:
        return asyncio.run(_offline(data, env, read))
    except RampRefused as refused:
        raise CommandFailure(ExitCode.RED, "RAMP_REFUSED", str(refused)) from refused


async def _offline(data: Path, env: str, read: Callable[[Any], Any | Awaitable[Any]]) -> dict[str, Any]:
    import inspect

    from tradewind.api.identities import open_identities
    from tradewind.api.ramp_desk import offline

    async with offline(data, open_identities(data), env, evidence_of(env, data)) as desk:
        answer = read(desk)
        if inspect.isawaitable(answer):
            answer = await answer
        found: dict[str, Any] = answer
        return found


def evidence_aside(env: str, data: Path) -> dict[str, Any]:
    """The same, judged in a process of its own: one that trades on paper may not load what signs (T1.11). A
    process that fails leaves nothing green.
    """
    import subprocess

    import msgspec

    from tradewind.trader.ramp.policy import Evidence

    code = "import sys; from tradewind.cli.ramp import tell_evidence; tell_evidence(*sys.argv[1:])"
    done = subprocess.run(  # noqa: S603 our own interpreter and words
        [sys.executable, "-c", code, env, str(data)], capture_output=True, timeout=ASIDE_S, check=True
    )
    return {one.criterion: one for one in msgspec.json.decode(done.stdout, type=list[Evidence])}


def tell_evidence(env: str, data: str) -> None:
    """Prints what `evidence_of` finds, for `evidence_aside`."""
    import msgspec

    sys.stdout.write(msgspec.json.encode(list(evidence_of(env, Path(data)).values())).decode())


def evidence_of(env: str, data: Path) -> dict[str, Any]:
    """The criteria that stages need, as the gate judges them now. What cannot be evaluated is not green."""
    from datetime import datetime

    from tradewind.readiness.errors import ReadinessError
    from tradewind.readiness.gate import State, evaluate_criterion
    from tradewind.readiness.session import open_verifier
    from tradewind.trader.ramp.policy import Evidence
    from tradewind.trader.ramp.stages import load_stages

    found = {}
    needs = {name for stage in load_stages().rungs for name in stage.needs}
    try:
        verifier = open_verifier(env, data)
    except ReadinessError:
        return {}
    for criterion in verifier.catalogue.criteria:
        if criterion.id not in needs:
            continue
        result = evaluate_criterion(verifier, criterion)
        record = result.record
        if record is None:
            continue
        expires = datetime.fromisoformat(record.expires_at.replace("Z", "+00:00"))
        found[criterion.id] = Evidence(
            criterion=criterion.id,
            green=result.state is State.MET,
            environment=record.environment,
            provenance=record.provenance,
            expires_ns=int(expires.timestamp() * 1e9),
        )
    return found
