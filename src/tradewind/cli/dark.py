"""`tradewind dark`: orders that rest unseen and trade at the middle of the lit book."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from tradewind.cli.answers import show
from tradewind.cli.client import Client
from tradewind.cli.options import Account
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json, print_json, print_rows

dark = App(name="dark", help="The dark midpoint cross: place, cancel, show. Off until governance allows it.")


@dark.command
def place(
    account: Account,
    market: Annotated[str, Parameter(help="such as BTC/USDC or OUTCOME-3")],
    side: Annotated[Literal["buy", "sell"], Parameter(help="buy or sell")],
    quantity: Annotated[str, Parameter(help="at least 10,000 in money")],
    price: Annotated[str, Parameter(help="the worst midpoint")],
    *,
    least: Annotated[str | None, Parameter(help="least quantity of one cross")] = None,
    outcome: Annotated[int, Parameter(help="of a market with three or more")] = 0,
    oldest: Annotated[
        bool, Parameter(negative="", help="cancel own orders that it would meet, instead of being refused")
    ] = False,
    sub: Annotated[int, Parameter(help="sub-account whose money it is")] = 0,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Rest unseen until the middle of the lit book is no worse than the price. Needs DARK_TRADER."""
    body: dict[str, Any] = {"account": account, "sub": sub, "market": market, "outcome": outcome}
    body |= {"side": side, "quantity": quantity, "price": price, "min_quantity": least}
    body["self_trade_prevention"] = "cancel_oldest" if oldest else "cancel_newest"
    answer = Client(data).post("/dark/orders", body)
    return show(answer, json=json, title=f"{side} {quantity} {market} in the dark")


@dark.command
def cancel(
    account: Account,
    order: Annotated[int, Parameter(help="number of the dark order")],
    *,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Take a dark order out; what secured it is free again."""
    answer = Client(data).post("/dark/orders/cancel", {"account": account, "order": order})
    return show(answer, json=json, title=f"Dark order {order} cancelled")


@dark.command(name="show")
def show_dark(
    account: Annotated[str | None, Parameter(help="account whose orders and fills to show")] = None,
    *,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Own orders and fills; without an account the prints that are a minute old."""
    client = Client(data)
    if account is None:
        document = client.get("/dark")
        tables = [("prints", ["market", "outcome", "price", "quantity", "crossed_ns"])]
    else:
        document = client.get("/dark/orders", {"account": account})
        columns = ["order", "market", "side", "quantity", "filled", "min_quantity", "price"]
        tables = [("orders", columns), ("fills", ["order", "market", "side", "quantity", "price", "fee"])]
    if json:
        print_json(document)
        return 0
    for name, columns in tables:
        print_rows(document[name], columns, title=name.capitalize(), empty=f"no {name}")
    return 0
