"""`tradewind vault` and `tradewind fee`: liquidity providers' shares, coverage, the elastic fee."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from tradewind.cli.answers import show
from tradewind.cli.client import Client
from tradewind.cli.options import Account
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json, print_fields, print_json

vault = App(name="vault", help="The vault: deposit, withdraw after notice, claim, show coverage.")
fee = App(name="fee", help="The elastic fee.")
Sub = Annotated[int, Parameter(help="sub-account whose money it is")]


@vault.command
def deposit(
    account: Account,
    amount: Annotated[str, Parameter(help="settlement money, at least 1")],
    *,
    sub: Sub = 0,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Buy shares of the vault."""
    answer = Client(data).post("/vault/deposit", {"account": account, "sub": sub, "amount": amount})
    return show(answer, json=json, title=f"{amount} into the vault")


@vault.command(name=("withdraw", "exit"))
def withdraw(
    account: Account,
    shares: Annotated[str, Parameter(help="shares to give back")],
    *,
    sub: Sub = 0,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Ask for an exit: 24 h notice, then paid at a whole hour; collect it with `claim`."""
    answer = Client(data).post("/vault/withdraw", {"account": account, "sub": sub, "shares": shares})
    return show(answer, json=json, title=f"{shares} shares leave the vault")


@vault.command
def claim(
    account: Account,
    ticket: Annotated[int, Parameter(help="number of the exit")],
    *,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Collect what a cut-off has paid for an exit."""
    answer = Client(data).post("/vault/claim", {"account": account, "ticket": ticket})
    return show(answer, json=json, title=f"Exit {ticket} collected")


@vault.command(name="show")
def show_vault(
    account: Annotated[str | None, Parameter(help="account whose shares and exits to show")] = None,
    *,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Value, shares, coverage, stage and exits."""
    client = Client(data)
    document = client.get("/vault", {"account": account}) | {"coverage": client.get("/coverage")}
    if json:
        print_json(document)
        return 0
    exits, coverage = document.pop("exits"), document.pop("coverage")
    shown = {key: value for key, value in document.items() if value is not None}
    print_fields(shown | {key: coverage[key] for key in ("coverage", "at_risk", "state")}, title="Vault")
    if exits:
        from tradewind.cli.output import print_rows

        columns = ["ticket", "account", "shares", "cutoff_ns", "to_collect", "collected"]
        print_rows(exits, columns, title="Exits", empty="no exits")
    return 0


@vault.command
def shortfall(
    *,
    level: Annotated[
        str | None, Parameter(help="another level than 0.975, from the days that are known")
    ] = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """What the worst 2.5 % cost the vault on average, and whether it is worth one and a half times that."""
    answer = Client(data).get("/vault/shortfall", {"level": level})
    return show(answer, json=json, title="Expected shortfall")


@fee.command(name="show")
def show_fee(
    account: Annotated[
        str | None, Parameter(help="account whose volume of 30 days, tier and rate to show")
    ] = None,
    *,
    plot: Annotated[
        Path | None, Parameter(help="write the fee against coverage as a picture; needs no running platform")
    ] = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """The elastic taker rate as it stands, of an account with volume and tier, or its curve as a picture."""
    if plot is not None:
        from tradewind.lab.fee_curve import plot_fee

        plot_fee(plot)
        answer = {"plot": str(plot)}
    else:
        answer = Client(data).get("/fee", {"account": account})
    return show(answer, json=json, title="Elastic fee")
