"""`tradewind set`: mint, merge and list complete sets and claims of outcome markets."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from tradewind.cli.answers import show, show_rows
from tradewind.cli.client import Client, segment
from tradewind.cli.options import Account, ClientKey, Market
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json

sets = App(name="set", help="Complete sets of outcome markets: mint, merge, and what is held.")
Quantity = Annotated[str, Parameter(help="number of sets, plain decimal; one costs one unit of the quote")]
COLUMNS = ["symbol", "sub", "outcome", "name", "free", "held"]


@sets.command
def mint(
    quantity: Quantity,
    market: Market,
    *,
    account: Account = "trader",
    sub: Annotated[int, Parameter(help="sub-account")] = 0,
    client_key: ClientKey = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Pay for complete sets: one claim on every outcome each."""
    body = {"account": account, "sub": sub, "market": market, "quantity": quantity, "client_key": client_key}
    answer = Client(data).post("/sets/mint", body)
    return show(answer, json=json, title=f"{quantity} sets of {market} minted")


@sets.command
def merge(
    quantity: Quantity,
    market: Market,
    *,
    account: Account = "trader",
    sub: Annotated[int, Parameter(help="sub-account")] = 0,
    client_key: ClientKey = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Give complete sets back for the money that backs them."""
    body = {"account": account, "sub": sub, "market": market, "quantity": quantity, "client_key": client_key}
    answer = Client(data).post("/sets/merge", body)
    return show(answer, json=json, title=f"{quantity} sets of {market} merged")


@sets.command(name="list")
def list_claims(
    *,
    account: Account = "trader",
    market: Annotated[str | None, Parameter(help="only in this market")] = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Claims that an account holds."""
    rows = Client(data).get(f"/accounts/{segment(account)}/claims", {"market": market})["claims"]
    return show_rows(rows, COLUMNS, json=json, title=f"Claims of {account}", empty="no claims", name="claims")
