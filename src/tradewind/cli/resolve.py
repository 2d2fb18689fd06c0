"""`tradewind resolve`, `tradewind dispute`, `tradewind redeem`: what outcome markets pay."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import App, Parameter

from tradewind.cli.answers import show
from tradewind.cli.client import Client, segment
from tradewind.cli.options import Account, Actor
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json

resolve = App(name="resolve", help="Outcome markets: propose, vote, finalise and show what they pay.")
Market = Annotated[str, Parameter(help="market, by number or symbol")]
Payout = Annotated[
    str,
    Parameter(
        help="an outcome (2), invalid, equal shares (0+3), parts in ppm (0=250000,2=750000), "
        "or the number of a distribution market (value=3.2)"
    ),
]
Evidence = Annotated[
    list[str], Parameter(help="what proves it; may be repeated, its hash enters the log", negative="")
]
Bond = Annotated[str | None, Parameter(help="the most that may be put at stake; the round's bond if absent")]
Sub = Annotated[int, Parameter(help="sub-account that pays the bond")]


@resolve.command
def propose(
    market: Market,
    payout: Payout,
    *,
    account: Account,
    evidence: Evidence,
    bond: Bond = None,
    sub: Sub = 0,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Say what a closed market pays, with a bond (anyone)."""
    body = {"account": account, "sub": sub, "payout": payout, "evidence": evidence, "bond": bond}
    answer = Client(data).post(f"/markets/{segment(market)}/resolution/propose", body)
    return show(answer, json=json, title=f"Market {market}: payout {payout} proposed")


def dispute(
    market: Market,
    payout: Payout,
    *,
    account: Account,
    evidence: Evidence,
    bond: Bond = None,
    round_: Annotated[
        int | None, Parameter(name="--round", help="refuse unless this is the present round")
    ] = None,
    sub: Sub = 0,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Dispute what stands with another payout and a bond (anyone); arbiters then decide."""
    body = {
        "account": account,
        "sub": sub,
        "payout": payout,
        "evidence": evidence,
        "bond": bond,
        "round": round_,
    }
    answer = Client(data).post(f"/markets/{segment(market)}/resolution/dispute", body)
    return show(answer, json=json, title=f"Market {market}: disputed with payout {payout}")


@resolve.command
def vote(
    market: Market,
    payout: Payout,
    *,
    round_: Annotated[
        int | None, Parameter(name="--round", help="refuse unless this is the present round")
    ] = None,
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Vote on a disputed payout (ARBITER); three equal votes of five decide."""
    body = {"payout": payout, "round": round_, "actor": actor}
    answer = Client(data).post(f"/markets/{segment(market)}/resolution/vote", body)
    return show(answer, json=json, title=f"Market {market}: vote for {payout}")


@resolve.command
def finalise(
    market: Market, *, actor: Actor = None, data: DataDirectory = DEFAULT_DATA, json: Json = False
) -> int:
    """Make what stands final, once its window is over (anyone)."""
    answer = Client(data).post(f"/markets/{segment(market)}/resolution/finalise", {"actor": actor})
    return show(answer, json=json, title=f"Market {market}: final")


@resolve.command(name="show")
def show_resolution(market: Market, *, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Stage, window, standing payout, claims with bonds, votes and decisions."""
    document: dict[str, Any] = Client(data).get(f"/markets/{segment(market)}/resolution")
    if json:
        return show(document, json=True, title="")
    from tradewind.cli.output import print_fields, print_rows

    tables = {name: document.pop(name, []) for name in ("claims", "votes", "decisions")}
    document.pop("payout_ppm", None)
    fields = {key: value for key, value in document.items() if value is not None}
    print_fields(fields, title=f"Resolution of {market}")
    columns = {
        "claims": ["act", "round", "account", "payout", "bond", "exposure", "open", "returned"],
        "votes": ["round", "arbiter", "payout"],
        "decisions": ["round", "verdict", "payout"],
    }
    for name, rows in tables.items():
        if rows:
            print_rows(rows, columns[name], title=name.capitalize(), empty="")
    return 0


def redeem(
    market: Market,
    *,
    account: Account,
    sub: Annotated[int, Parameter(help="sub-account that holds the claims")] = 0,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Turn every claim on a settled market into money (the account's owner)."""
    answer = Client(data).post(f"/markets/{segment(market)}/redeem", {"account": account, "sub": sub})
    return show(answer, json=json, title=f"Claims of {account} on market {market} redeemed")
