"""`tradewind verse`: groups of markets."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import App, Parameter

from tradewind.cli.answers import show, show_rows
from tradewind.cli.client import Client, segment
from tradewind.cli.options import Actor
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json
from tradewind.config import parse_duration_s

verse = App(name="verse", help="Groups of markets: create, move, link, halt, resume, show.")
Slug = Annotated[str, Parameter(help="a-z, 0-9 and hyphens, at most 64; or the number of a verse")]
COLUMNS = ["verse", "slug", "status", "parent", "depth", "market_count"]


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


@verse.command
def halt(
    slug: Slug,
    *,
    reason: Annotated[str, Parameter(help="why; it goes into the log")],
    level: Annotated[
        Literal["partial", "full"],
        Parameter(help="no new risk until --for is over, or cancels only until two resume"),
    ] = "partial",
    for_: Annotated[str, Parameter(name="--for", help="how long, at most 72h")] = "1h",
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Pause every market in a verse and below it (EMERGENCY)."""
    body = {"reason": reason, "level": level, "for_s": int(parse_duration_s(for_)), "actor": actor}
    answer = Client(data).post(f"/verses/{segment(slug)}/halt", body)
    return show(answer, json=json, title=f"Verse {slug} halted")


@verse.command
def resume(slug: Slug, *, actor: Actor = None, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Approve the end of a halt (RESUMER). Two different people: --as resumer-1, then --as resumer-2."""
    answer = Client(data).post(f"/verses/{segment(slug)}/resume", {"actor": actor})
    done = answer.get("effect", {}).get("resumed")
    waits = f"{slug}: first approval; a second person must approve within 10 minutes"
    return show(answer, json=json, title=f"Verse {slug} resumed" if done else waits)


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
