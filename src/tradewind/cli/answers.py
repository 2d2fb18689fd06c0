"""How an accepted command is shown."""

from __future__ import annotations

from typing import Any

from tradewind.cli.output import print_fields, print_json


def show(document: dict[str, Any], *, json: bool, title: str) -> int:
    """Prints the answer to a command. Returns exit status 0: refusals never come here."""
    if json:
        print_json(document)
    else:
        shown = {key: value for key, value in document.items() if value != {} and value is not False}
        print_fields(shown, title=title)
    return 0


def show_rows(
    rows: list[dict[str, Any]], columns: list[str], *, json: bool, title: str, empty: str, name: str
) -> int:
    """Prints rows as a table, or as `{name: rows}`."""
    from tradewind.cli.output import print_rows

    if json:
        print_json({name: rows})
    else:
        print_rows(rows, columns, title=title, empty=empty)
    return 0
