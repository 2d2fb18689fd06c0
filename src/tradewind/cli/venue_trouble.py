"""What `tradewind venue diagnose NAME` prints."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import msgspec

from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.output import note, print_json

COLUMNS: Final = ("part", "state", "what is known")


def show_diagnosis(name: str, data: Path, url: str | None, *, json: bool) -> int:
    """Exit 0 all known and well, 1 something is wrong, 2 something is not known."""
    from tradewind.venues.diagnosis import diagnose

    found = asyncio.run(diagnose(name, data, url))
    if json:
        document = msgspec.to_builtins(found)
        print_json({**document, "wrong": found.wrong, "unknown": found.unknown})
    else:
        _table(found)
    if found.wrong:
        return ExitCode.RED
    return ExitCode.CANNOT if found.unknown else ExitCode.OK


def _table(found: Any) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(*COLUMNS, title=f"Venue {found.venue}", title_justify="left")
    for one in found.parts:
        state = "[red]wrong[/]" if one.wrong else "[yellow]unknown[/]" if one.value is None else "well"
        known = "" if one.value is None else _text(one.value)
        table.add_row(one.name, state, escape("\n".join(part for part in (one.why, known) if part)))
    Console().print(table)
    note(f"looked for {found.took_s:.1f} s; what to do: docs/runbooks/venue-trouble.md")


def _text(value: dict[str, Any]) -> str:
    rows = []
    for name, one in value.items():
        if isinstance(one, dict):
            rows += [f"{key}: {_plain(each)}" for key, each in one.items()]
        elif one not in {None, ""}:
            rows.append(f"{name.replace('_', ' ')}: {one}")
    return "\n".join(rows)


def _plain(value: Any) -> str:
    return f"{value['used']} of {value['of']}" if isinstance(value, dict) else str(value)
