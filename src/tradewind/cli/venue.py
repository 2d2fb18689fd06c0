"""`tradewind venue status|symbols|balances paper`."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import App, Parameter

from tradewind.cli.answers import show_rows
from tradewind.cli.client import Client
from tradewind.cli.failure import not_built
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json, print_fields, print_json

venue = App(name="venue", help="Status, symbols and balances of a venue.")
Name = Annotated[str, Parameter(help="venue; only paper is built")]
PAPER = "paper"


def _read(name: str, data: DataDirectory) -> Any:
    if name != PAPER:
        raise not_built(f"venue {name!r} (only {PAPER} is)")
    return Client(data).get("/venue")


@venue.command
def status(name: Name = PAPER, *, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """What the venue accepts now."""
    document = _read(name, data)["status"]
    if json:
        print_json(document)
    else:
        print_fields(document, title=f"Venue {name}")
    return 0


@venue.command
def symbols(name: Name = PAPER, *, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Instruments with their filters."""
    rows = _read(name, data)["symbols"]
    columns = ["symbol", "tick", "lot", "min quantity", "min notional", "source"]
    return show_rows(rows, columns, json=json, title=f"Symbols of {name}", empty="none", name="symbols")


@venue.command
def balances(name: Name = PAPER, *, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Funds of the trader's account at the venue."""
    rows = _read(name, data)["balances"]
    columns = ["asset", "free", "held"]
    return show_rows(rows, columns, json=json, title=f"Balances at {name}", empty="none", name="balances")
