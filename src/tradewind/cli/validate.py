"""`tradewind validate`: the preflight, executed."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json, print_json

STYLES = {"pass": "green", "fail": "red", "skip": "yellow", "not built": "yellow"}
EXPIRY_DAYS = 30
DAY_NS = 86_400 * 1_000_000_000


def validate(
    *checks: Annotated[str, Parameter(help="only these checks, e.g. V02 V15")],
    env: Annotated[str, Parameter(help="environment to validate for")] = "paper",
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Execute the preflight checks. Exit 0 only when all that the environment needs pass, 1 otherwise.

    Each check runs something in a scratch directory and breaks it where that proves the check; nothing is
    traded.
    """
    import asyncio

    from tradewind.config import ENVIRONMENTS
    from tradewind.lab.preflight import CATALOGUE, Context, passed, run

    if env not in ENVIRONMENTS:
        raise CommandFailure(
            ExitCode.CANNOT, "UNKNOWN_VALUE", f"env {env!r} is none of {', '.join(ENVIRONMENTS)}"
        )
    known = {check.id for check in CATALOGUE}
    wanted = [name.upper() for name in checks]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise CommandFailure(
            ExitCode.CANNOT, "UNKNOWN_CHECK", f"no check {', '.join(unknown)}; V01 to V28 exist"
        )
    _quiet_logs()
    with tempfile.TemporaryDirectory(prefix="tradewind-validate-") as scratch:
        context = Context(env=env, data=data, scratch=Path(scratch))
        with _progress(len(wanted or known), quiet=json) as step:
            results = asyncio.run(run(context, wanted, step))
    green = passed(results, env)
    document = {
        "environment": env,
        "passed": green,
        **_identity(env, data),
        "checks": [_row(one) for one in results],
    }
    if json:
        print_json(document)
    else:
        _print(results, env, green=green)
    return ExitCode.OK if green else ExitCode.RED


def _quiet_logs() -> None:
    """The checks break things on purpose; what the broken parts log is no news."""
    import structlog

    def drop(*_: Any) -> Any:
        raise structlog.DropEvent

    structlog.configure(processors=[drop])


def _identity(env: str, data: Path) -> dict[str, Any]:
    """What exactly was validated, and until when that counts."""
    from tradewind.readiness.identity import current_identity

    identity = current_identity(env, data)
    now_ns = time.time_ns()
    return {
        "build_hash": identity.build_hash,
        "config_hash": identity.config_hash,
        "measured_at_ns": now_ns,
        "expires_at_ns": now_ns + EXPIRY_DAYS * DAY_NS,
    }


def _row(result: Any) -> dict[str, Any]:
    import msgspec

    row: dict[str, Any] = msgspec.to_builtins(result)
    return row


def _progress(total: int, *, quiet: bool) -> Any:
    from contextlib import contextmanager

    from tradewind.cli.output import progress

    @contextmanager
    def steps() -> Any:
        done = 0
        with progress("validating", quiet=quiet) as tell:

            def step(_: Any) -> None:
                nonlocal done
                done += 1
                tell(done, total)

            yield step

    return steps()


def _print(results: list[Any], env: str, *, green: bool) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name, justify in (
        ("check", "left"),
        ("verdict", "left"),
        ("ms", "right"),
        ("what, and what was seen", "left"),
    ):
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for one in results:
        text = one.title if not one.reason else f"{one.title}\n{one.reason}"
        need = "" if one.required else " [dim](not needed)[/]"
        table.add_row(
            one.id, f"[{STYLES[one.verdict]}]{one.verdict}[/]{need}", str(one.duration_ms), escape(text)
        )
    console = Console()
    console.print(table)
    counts = {verdict: sum(one.verdict == verdict for one in results) for verdict in STYLES}
    summary = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    console.print(f"{'[green]GREEN[/]' if green else '[red]RED[/]'} for {env}: {summary}.")
