"""`tradewind role`: who may do what."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from cyclopts import App, Parameter

from tradewind.cli.answers import show
from tradewind.cli.client import Client
from tradewind.cli.options import Actor
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json, print_json, print_rows

role = App(name="role", help="Grant, revoke, suspend, reinstate, list.")
Principal = Annotated[str, Parameter(help="local name, or public key of 64 hexadecimal digits")]
Role = Annotated[str, Parameter(help="role such as trader or operator")]
NANOSECONDS = 1_000_000_000


@role.command
def grant(
    name: Role,
    principal: Principal,
    *,
    days: Annotated[int, Parameter(help="until the grant expires, at most 365")] = 365,
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Grant a role (ROLE_ADMIN passes on only what it holds itself)."""
    body = {"principal": principal, "role": name, "days": days, "actor": actor}
    return show(Client(data).post("/roles/grant", body), json=json, title=f"{name} granted to {principal}")


@role.command
def revoke(
    name: Role,
    principal: Principal,
    *,
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Take a role away (ROLE_ADMIN)."""
    body = {"principal": principal, "role": name, "actor": actor}
    return show(Client(data).post("/roles/revoke", body), json=json, title=f"{name} of {principal} revoked")


@role.command
def suspend(
    principal: Principal, *, actor: Actor = None, data: DataDirectory = DEFAULT_DATA, json: Json = False
) -> int:
    """Remove every right of a principal at once (ROLE_ADMIN)."""
    answer = Client(data).post("/roles/suspend", {"principal": principal, "actor": actor})
    return show(answer, json=json, title=f"{principal} suspended")


@role.command
def reinstate(
    principal: Principal, *, actor: Actor = None, data: DataDirectory = DEFAULT_DATA, json: Json = False
) -> int:
    """Approve the return of a principal. Two administrators: --as role-admin-1, then --as role-admin-2."""
    answer = Client(data).post("/roles/reinstate", {"principal": principal, "actor": actor})
    waiting = answer.get("effect", {}).get("suspended")
    title = f"{principal}: a second administrator must approve" if waiting else f"{principal} reinstated"
    return show(answer, json=json, title=title)


@role.command
def offer(
    name: Role,
    nominee: Principal,
    *,
    actor: Annotated[str, Parameter(name="--as", help="the holder")],
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Offer a role that you hold; the nominee can accept it after 24 h, for 7 days."""
    body = {"role": name, "nominee": nominee, "actor": actor}
    answer = Client(data).post("/authorities/offer", body)
    return show(answer, json=json, title=f"Offer {answer['value']}: {name} to {nominee}")


@role.command
def accept(
    number: Annotated[int, Parameter(help="number of the offer")],
    *,
    actor: Annotated[str, Parameter(name="--as", help="the nominee")],
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Accept an offered role."""
    answer = Client(data).post(f"/authorities/{number}/accept", {"actor": actor})
    return show(answer, json=json, title=f"Offer {number} accepted")


@role.command
def withdraw_offer(
    number: Annotated[int, Parameter(help="number of the offer")],
    *,
    actor: Annotated[str, Parameter(name="--as", help="the holder")],
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Take an offer back."""
    answer = Client(data).post(f"/authorities/{number}/withdraw", {"actor": actor})
    return show(answer, json=json, title=f"Offer {number} withdrawn")


@role.command
def renounce(
    name: Role,
    *,
    actor: Annotated[str, Parameter(name="--as", help="the holder")],
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Give up a role; it ends 48 h later."""
    answer = Client(data).post("/authorities/renounce", {"role": name, "actor": actor})
    return show(answer, json=json, title=f"{actor} renounces {name}")


@role.command(name="list")
def list_roles(*, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Principals and their roles."""
    rows = Client(data).get("/roles")["principals"]
    if json:
        print_json({"principals": rows})
        return 0
    shown = [_shown(row) for row in rows]
    print_rows(
        shown, ["name", "roles", "until", "suspended", "principal"], title="Roles", empty="no principals"
    )
    return 0


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    first = min(row["roles"].values(), default=None)
    until = None if first is None else datetime.fromtimestamp(first / NANOSECONDS, UTC).date().isoformat()
    return {**row, "roles": sorted(row["roles"]), "until": until}
