"""`tradewind collateral`: assets, deposits, withdrawals, transfers, balances."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from tradewind.cli.answers import show, show_rows
from tradewind.cli.client import Client, segment
from tradewind.cli.options import Account, Actor, ClientKey
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json, print_json, print_rows

collateral = App(name="collateral", help="Assets, deposits, withdrawals, transfers, balances.")
asset = App(name="asset", help="Register and list assets.")
collateral.command(asset)

Asset = Annotated[str, Parameter(help="asset such as USDT")]
Amount = Annotated[str, Parameter(help="amount in units of the asset, plain decimal")]
Sub = Annotated[int, Parameter(help="sub-account")]
Ticket = Annotated[int, Parameter(help="number of the withdrawal")]


@asset.command
def register(
    symbol: Asset,
    *,
    deposit_cap: Annotated[str | None, Parameter(help="most that the platform may hold")] = None,
    settlement: Annotated[bool, Parameter(negative="", help="leveraged markets account in it")] = False,
    stable: Annotated[bool, Parameter(negative="", help="valued at no more than one")] = False,
    stake: Annotated[bool, Parameter(negative="", help="keepers stake it")] = False,
    token: Annotated[bool, Parameter(negative="", help="the platform's token; issues its supply")] = False,
    client_key: ClientKey = None,
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Register an asset (OPERATOR)."""
    body = {
        "symbol": symbol,
        "deposit_cap": deposit_cap,
        "settlement": settlement,
        "stable": stable,
        "stake": stake,
        "token": token,
        "client_key": client_key,
        "actor": actor,
    }
    return show(Client(data).post("/assets", body), json=json, title=f"Asset {symbol} registered")


@asset.command
def update(
    symbol: Asset,
    *,
    initial_asset_bp: Annotated[int | None, Parameter(help="weight for new risk")] = None,
    maintenance_asset_bp: Annotated[int | None, Parameter(help="weight for keeping a position")] = None,
    initial_liability_bp: Annotated[int | None, Parameter(help="weight of a debt for new risk")] = None,
    maintenance_liability_bp: Annotated[int | None, Parameter(help="weight of a debt for keeping")] = None,
    feed: Annotated[str | None, Parameter(help="feed of its price, or none")] = None,
    deposit_cap: Annotated[str | None, Parameter(help="most that the platform may hold")] = None,
    collateral_cap: Annotated[str | None, Parameter(help="most that one sub-account may count")] = None,
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Change weights, feed and caps (RISK); what increases risk needs a proposal."""
    body = {
        "initial_asset_bp": initial_asset_bp,
        "maintenance_asset_bp": maintenance_asset_bp,
        "initial_liability_bp": initial_liability_bp,
        "maintenance_liability_bp": maintenance_liability_bp,
        "feed": feed,
        "deposit_cap": deposit_cap,
        "collateral_cap": collateral_cap,
        "actor": actor,
    }
    answer = Client(data).post(f"/assets/{segment(symbol)}/update", body)
    return show(answer, json=json, title=f"Asset {symbol} changed")


@collateral.command
def insure(
    amount: Amount, *, account: Account, sub: Sub = 0, data: DataDirectory = DEFAULT_DATA, json: Json = False
) -> int:
    """Give settlement money to the insurance fund; there is no claim back."""
    body = {"account": account, "sub": sub, "amount": amount}
    return show(Client(data).post("/insurance", body), json=json, title=f"Insurance funded with {amount}")


@collateral.command
def suitability(
    account: Account,
    *,
    level: Annotated[int, Parameter(help="1 allows more than tenfold leverage, 0 revokes")] = 1,
    days: Annotated[int, Parameter(help="until it expires, at most 365")] = 365,
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Record that an account may use high leverage (RISK)."""
    body = {"account": account, "level": level, "days": days, "actor": actor}
    return show(
        Client(data).post("/suitability", body), json=json, title=f"Suitability of {account}: {level}"
    )


@asset.command(name="list")
def list_assets(*, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Registered assets, and how much of each is in custody."""
    rows = Client(data).get("/assets")["assets"]
    columns = ["handle", "symbol", "in custody", "deposit cap"]
    return show_rows(rows, columns, json=json, title="Assets", empty="no assets", name="assets")


@collateral.command
def deposit(
    amount: Amount,
    asset_symbol: Asset,
    *,
    external_id: Annotated[str, Parameter(help="name of the outside transfer; it is credited once")],
    account: Account = "trader",
    sub: Sub = 0,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Credit a deposit (SYSTEM)."""
    body = {
        "account": account,
        "sub": sub,
        "asset": asset_symbol,
        "amount": amount,
        "external_id": external_id,
    }
    answer = Client(data).post("/deposits", body)
    return show(answer, json=json, title=f"{amount} {asset_symbol} credited to {account}")


@collateral.command
def address(
    text: Annotated[str, Parameter(help="the outside address")],
    asset_symbol: Asset,
    *,
    remove: Annotated[bool, Parameter(negative="", help="take the address off the list")] = False,
    account: Account = "trader",
    client_key: ClientKey = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Allow withdrawals to an address; usable after 24 h."""
    body = {
        "account": account,
        "asset": asset_symbol,
        "address": text,
        "listed": not remove,
        "client_key": client_key,
    }
    title = f"address {'removed' if remove else 'listed'}"
    return show(Client(data).post("/addresses", body), json=json, title=title)


@collateral.command
def withdraw(
    amount: Amount,
    asset_symbol: Asset,
    *,
    address: Annotated[str, Parameter(help="a listed address")],
    account: Account = "trader",
    sub: Sub = 0,
    client_key: ClientKey = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Ask for a withdrawal."""
    body = {
        "account": account,
        "sub": sub,
        "asset": asset_symbol,
        "amount": amount,
        "address": address,
        "client_key": client_key,
    }
    return show(Client(data).post("/withdrawals", body), json=json, title="Withdrawal requested")


@collateral.command
def cancel(ticket: Ticket, *, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Take a queued withdrawal back."""
    answer = Client(data).post(f"/withdrawals/{ticket}/cancel", {})
    return show(answer, json=json, title=f"Withdrawal {ticket} cancelled")


@collateral.command
def confirm(
    ticket: Ticket,
    *,
    external_id: Annotated[str, Parameter(help="name of the outside transfer")],
    returned: Annotated[
        bool, Parameter(negative="", help="the outside transfer failed: give the money back")
    ] = False,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Say what became of a released withdrawal (SYSTEM)."""
    body = {"ok": not returned, "external_id": external_id}
    answer = Client(data).post(f"/withdrawals/{ticket}/confirm", body)
    return show(answer, json=json, title=f"Withdrawal {ticket} {'returned' if returned else 'settled'}")


@collateral.command(name="list")
def list_withdrawals(*, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Withdrawals."""
    rows = Client(data).get("/withdrawals")["withdrawals"]
    columns = ["ticket", "account", "asset", "amount", "state"]
    return show_rows(
        rows, columns, json=json, title="Withdrawals", empty="no withdrawals", name="withdrawals"
    )


@collateral.command
def transfer(
    amount: Amount,
    asset_symbol: Asset,
    *,
    to_sub: Annotated[int, Parameter(help="sub-account that receives")],
    from_sub: Annotated[int, Parameter(help="sub-account that gives")] = 0,
    account: Account = "trader",
    client_key: ClientKey = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Move funds between sub-accounts of one account."""
    body = {
        "account": account,
        "sub": from_sub,
        "to_sub": to_sub,
        "asset": asset_symbol,
        "amount": amount,
        "client_key": client_key,
    }
    return show(Client(data).post("/transfers", body), json=json, title=f"{amount} {asset_symbol} moved")


@collateral.command
def balances(*, account: Account = "trader", data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Balances of an account, from the postings of the log."""
    document = Client(data).get(f"/accounts/{segment(account)}/balances")
    if json:
        print_json(document)
        return 0
    columns = ["sub", "asset", "free", "held", "pending withdrawal", "total"]
    title = f"Balances of {account} at command {document['as_of_seq']}"
    print_rows(document["balances"], columns, title=title, empty=f"{account} never had funds")
    return 0
