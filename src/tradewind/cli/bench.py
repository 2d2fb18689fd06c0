"""`tradewind bench`: the numbers of the README."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from tradewind.cli.failure import not_built
from tradewind.cli.output import Json


def bench(
    suite: Annotated[str | None, Parameter(help="one suite; every one when absent")] = None,
    *,
    json: Json = False,
) -> int:
    """Measure engine, journal, node, memory and peers; one JSON object with --json."""
    try:
        from tradewind.lab.bench import run
    except ModuleNotFoundError as error:
        if error.name not in ("tradewind.lab", "tradewind.lab.bench"):
            raise
        raise not_built("bench") from error
    return int(run(suite, as_json=json))
