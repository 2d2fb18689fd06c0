"""`tradewind account`: open and list accounts."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from tradewind.cli.answers import show, show_rows
from tradewind.cli.client import Client
from tradewind.cli.options import Account
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json

account = App(name="account", help="Open and list accounts.")


@account.command(name="open")
def open_account(
    name: Annotated[str | None, Parameter(help="local name; its keys are made when it is new")] = None,
    *,
    owner_key: Annotated[
        str | None, Parameter(help="public key of a foreign owner, 64 hexadecimal digits")
    ] = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Open an account."""
    answer = Client(data).post("/accounts", {"name": name, "owner_key": owner_key})
    return show(answer, json=json, title=f"Account {name or owner_key} opened")


@account.command
def sub(
    index: Annotated[int, Parameter(help="1 to 127")],
    *,
    owner: Account = "trader",
    isolated: Annotated[bool, Parameter(negative="", help="one position with its own margin")] = False,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Open a sub-account."""
    answer = Client(data).post("/subaccounts", {"account": owner, "index": index, "isolated": isolated})
    return show(answer, json=json, title=f"Sub-account {index} of {owner} opened")


@account.command(name="list")
def list_accounts(*, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Accounts, with the local names of their owners."""
    rows = Client(data).get("/accounts")["accounts"]
    columns = ["handle", "name", "account id", "subs"]
    return show_rows(rows, columns, json=json, title="Accounts", empty="no accounts", name="accounts")
