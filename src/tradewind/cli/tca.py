"""`tradewind tca`: what parents and single orders cost, from the journal; a platform may run or not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json, note, print_fields, print_rows, progress

COLUMNS = {
    "id": "id",
    "kind": "algorithm",
    "market": "symbol",
    "side": "side",
    "state": "state",
    "quantity": "quantity",
    "filled": "filled",
    "arrival": "arrival_mid",
    "average": "average_price",
    "vwap": "interval_vwap",
    "shortfall bps": "shortfall_bps",
    "expected": "expected_bps",
    "residual": "residual_bps",
    "share %": "participation_pct",
    "passive %": "passive_pct",
}
"""Column and field of the table."""


def tca(
    *,
    parent: Annotated[int | None, Parameter(help="one parent only, in detail")] = None,
    html: Annotated[Path | None, Parameter(help="write a page with pictures here")] = None,
    png: Annotated[Path | None, Parameter(help="write the picture of the one parent here")] = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Cost analysis: arrival, delay, interval VWAP, shortfall by part, participation, reversion, residual."""
    from tradewind.cli.journal import journal_path
    from tradewind.trader.tca import reading, report

    path = journal_path(data)
    with progress("reading the journal", quiet=json) as tell:
        facts = reading.read(path, tell)
    if parent is not None and parent not in facts.book.parents:
        raise CommandFailure(ExitCode.RED, "UNKNOWN_PARENT", f"no parent {parent} in {path}")
    if png is not None and parent is None:
        raise CommandFailure(ExitCode.CANNOT, "NO_PARENT", "--png shows one parent; name it with --parent")
    document = report.report(facts, parent=parent)
    if png is not None and parent is not None:
        from tradewind.trader.tca.plots import parent_png

        png.write_bytes(parent_png(facts, facts.book.parents[parent]))
        note(f"wrote {png}")
    if html is not None:
        from tradewind.trader.tca.page import page

        html.write_text(page(facts, document), encoding="utf-8")
        note(f"wrote {html}")
    if json:
        import sys

        sys.stdout.write(report.encode(document).decode())
    elif parent is not None:
        print_fields(_plain(document.parents[0]), title=f"Parent {parent}")
    else:
        for title, rows in (("Parents", document.parents), ("Single orders", document.singles)):
            shown = [{name: _plain(row)[field] for name, field in COLUMNS.items()} for row in rows]
            print_rows(shown, list(COLUMNS), title=title, empty=f"no {title.lower()}")
        print_fields(_plain(document.model), title="Cost model")
    return ExitCode.OK


def _plain(row: Any) -> dict[str, Any]:
    """A row with short numbers: no zeros behind the last digit."""
    from tradewind.trader.tca.report import plain

    return {key: _short(value) for key, value in plain(row).items()}


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _short(inner) for key, inner in value.items()}
    if not isinstance(value, str) or not value.lstrip("-").replace(".", "", 1).isdecimal():
        return value
    return value.rstrip("0").rstrip(".") if "." in value else value
