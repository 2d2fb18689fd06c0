"""`tradewind verse`: groups of markets."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from tradewind.cli.answers import show, show_rows
from tradewind.cli.client import Client, segment
from tradewind.cli.options import Actor
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json

verse = App(name="verse", help="Groups of markets: create, move, link, show.")
Slug = Annotated[str, Parameter(help="a-z, 0-9 and hyphens, at most 64; or the number of a verse")]
COLUMNS = ["verse", "slug", "parent", "depth", "market_count"]


@verse.command
def create(
    slug: Slug,
    *,
    parent: Annotated[str | None, Parameter(help="verse above it; none for a root")] = None,
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Make a verse (OPERATOR)."""
    answer = Client(data).post("/verses", {"slug": slug, "parent": parent, "actor": actor})
    return show(answer, json=json, title=f"Verse {slug} created")


@verse.command
def move(
    slug: Slug,
    parent: Annotated[str, Parameter(help="verse above it from now on; 'none' makes it a root")],
    *,
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Put a verse with all that is below it under another one (OPERATOR)."""
    answer = Client(data).post(f"/verses/{segment(slug)}/move", {"parent": parent, "actor": actor})
    return show(answer, json=json, title=f"Verse {slug} moved")


@verse.command
def link(
    market: Annotated[str, Parameter(help="market, by number or symbol")],
    slug: Annotated[str, Parameter(help="verse, or 'none' to take the market out")],
    *,
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Put a market into a verse (OPERATOR)."""
    answer = Client(data).post(f"/markets/{segment(market)}/verse", {"verse": slug, "actor": actor})
    return show(answer, json=json, title=f"Market {market} in verse {slug}")


@verse.command(name="show")
def show_verses(
    slug: Annotated[str | None, Parameter(help="one verse; all of them if absent")] = None,
    *,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Every verse, or one with its markets."""
    if slug is not None:
        return show(Client(data).get(f"/verses/{segment(slug)}"), json=json, title=f"Verse {slug}")
    rows = Client(data).get("/verses")["verses"]
    return show_rows(rows, COLUMNS, json=json, title="Verses", empty="no verses", name="verses")
