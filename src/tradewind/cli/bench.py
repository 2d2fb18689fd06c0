"""`tradewind bench`: the numbers of the README, next to their budgets.

Budgets of time and memory are shown, never enforced. Those that are the same on every machine (stack frames,
the state hash of a replay) are.

Exit status: 0 everything asked for was measured or skipped with its reason, 1 a measurement went wrong or an
enforced budget was missed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure
from tradewind.cli.output import Json, print_json


def bench(
    suite: Annotated[
        str | None,
        Parameter(
            help="engine, leverage, pools, journal, node, gateway, python, replay, ingestion, decode, "
            "backtest, tick-to-order, nonce, memory, stack, peers; default all"
        ),
    ] = None,
    /,
    *,
    json: Json = False,
    quick: Annotated[bool, Parameter(negative="", help="hardly any effort: a trial run")] = False,
    install: Annotated[
        bool,
        Parameter(negative="", help="put missing peers into environments in the cache folder"),
    ] = False,
    scratch: Annotated[
        Path | None,
        Parameter(help="folder on the disk to measure; default the temporary folder"),
    ] = None,
) -> int:
    """Measure this machine and this build. Takes below three minutes; the suite `stack` builds once more.

    A suite that fails, or a missed budget that is the same on every machine, gives exit status 1.
    """
    from tradewind.lab.bench import FULL, QUICK, SUITES, Options, defects, run

    if suite is not None and suite not in SUITES:
        message = f"no suite {suite!r}; there are {', '.join(SUITES)}"
        raise CommandFailure(ExitCode.CANNOT, "UNKNOWN_SUITE", message, suggestions=list(SUITES))
    if scratch is not None and not scratch.is_dir():
        raise CommandFailure(ExitCode.CANNOT, "NO_SCRATCH", f"{scratch} is no folder")
    options = Options(effort=QUICK if quick else FULL, scratch=scratch, install_peers=install)
    with _progress(quiet=json) as tell:
        document = run(SUITES if suite is None else (suite,), options, tell)
    if json:
        print_json(document)
    else:
        from tradewind.lab.bench.report import show

        show(document)
    red = _went_wrong(document["suites"]) or defects(document["budgets"])
    return ExitCode.RED if red else ExitCode.OK


def _went_wrong(found: Any) -> bool:
    """Whether a suite or a part of one failed; what was skipped did not."""
    if not isinstance(found, dict):
        return False
    return "failed" in found or any(_went_wrong(part) for part in found.values())


def _progress(*, quiet: bool) -> Any:
    """A spinner with the suite and its step, on standard error."""
    from collections.abc import Callable, Iterator
    from contextlib import contextmanager

    from rich.console import Console

    @contextmanager
    def spinner() -> Iterator[Callable[[str, str], None]]:
        console = Console(stderr=True, quiet=quiet)
        with console.status("measuring") as status:
            yield lambda suite, step: status.update(f"{suite}: {step}")

    return spinner()
