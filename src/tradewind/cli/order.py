"""`tradewind order`: place, replace, cancel, list, show. The trader's own orders pass its risk."""

from __future__ import annotations

import sys
from json import loads as decode
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from tradewind.cli.answers import show, show_rows
from tradewind.cli.client import Client
from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure
from tradewind.cli.options import Account, ClientKey, Market
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json, print_fields, print_json

order = App(name="order", help="Place, replace, cancel and list orders.")
Number = Annotated[int, Parameter(help="number of the order")]
COLUMNS = ["order", "symbol", "side", "price", "quantity", "filled", "remaining", "status"]


@order.command
def place(
    side: Annotated[Literal["buy", "sell"], Parameter(help="buy or sell")],
    quantity: Annotated[str, Parameter(help="size in the base asset, plain decimal")],
    market: Market,
    *,
    price: Annotated[str | None, Parameter(help="limit in the quote asset; absent for market orders")] = None,
    outcome: Annotated[
        str | None, Parameter(help="of an outcome market: its number, or yes and no where there are two")
    ] = None,
    type: Annotated[
        Literal["limit", "market", "stop", "stop-limit", "take-profit", "trailing-stop", "iceberg"],
        Parameter(help="kind of order"),
    ] = "limit",
    tif: Annotated[Literal["gtc", "ioc", "fok", "gtd"], Parameter(help="time in force")] = "gtc",
    post_only: Annotated[bool, Parameter(negative="", help="refuse instead of taking")] = False,
    expires_in_s: Annotated[int | None, Parameter(help="for gtd")] = None,
    reduce_only: Annotated[bool, Parameter(negative="", help="never more position than there is")] = False,
    leverage: Annotated[str | None, Parameter(help="leverage of the position, steps of 0.01")] = None,
    trigger: Annotated[str | None, Parameter(help="price that fires a stop or take-profit")] = None,
    trigger_source: Annotated[
        Literal["mark", "index", "last-trade"] | None, Parameter(help="what the trigger watches")
    ] = None,
    trail: Annotated[str | None, Parameter(help="distance of a trailing stop in the quote asset")] = None,
    trail_ppm: Annotated[int | None, Parameter(help="or in millionths of the extreme")] = None,
    display: Annotated[str | None, Parameter(help="shown part of an iceberg")] = None,
    link: Annotated[Literal["oco", "bracket"] | None, Parameter(help="how it is linked")] = None,
    linked_order: Annotated[int, Parameter(help="the other order of the pair, or the entry")] = 0,
    account: Account = "trader",
    sub: Annotated[int, Parameter(help="sub-account")] = 0,
    client_key: ClientKey = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Place an order."""
    body = {
        "account": account,
        "sub": sub,
        "market": market,
        "outcome": outcome,
        "side": side,
        "quantity": quantity,
        "price": price,
        "order_type": type.replace("-", "_"),
        "time_in_force": tif,
        "post_only": post_only,
        "expires_in_s": expires_in_s,
        "reduce_only": reduce_only,
        "leverage": leverage,
        "trigger": trigger,
        "trigger_source": None if trigger_source is None else trigger_source.replace("-", "_"),
        "trail": trail,
        "trail_ppm": trail_ppm,
        "display": display,
        "link": link,
        "linked_order": linked_order,
        "client_key": client_key,
    }
    answer = Client(data).post("/orders", body)
    return show(answer, json=json, title=f"Order {answer['value']} accepted")


@order.command
def twap(
    side: Annotated[Literal["buy", "sell"], Parameter(help="buy or sell")],
    quantity: Annotated[str, Parameter(help="size in the base asset, plain decimal")],
    market: Market,
    *,
    slices: Annotated[int, Parameter(help="number of slices, 2 to 100")],
    interval_s: Annotated[int, Parameter(help="seconds between slices, 1 to 3600")],
    limit: Annotated[str | None, Parameter(help="worst price")] = None,
    slippage_bp: Annotated[int, Parameter(help="protection of each slice; 0 = the market's")] = 0,
    reduce_only: Annotated[bool, Parameter(negative="", help="never more position than there is")] = False,
    account: Account,
    sub: Annotated[int, Parameter(help="sub-account")] = 0,
    client_key: ClientKey = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Place an order in slices over time."""
    body = {
        "account": account,
        "sub": sub,
        "market": market,
        "side": side,
        "quantity": quantity,
        "slices": slices,
        "interval_s": interval_s,
        "limit": limit,
        "slippage_bp": slippage_bp,
        "reduce_only": reduce_only,
        "client_key": client_key,
    }
    answer = Client(data).post("/orders/twap", body)
    return show(answer, json=json, title=f"Order {answer['value']}: {slices} slices")


@order.command
def batch(
    file: Annotated[Path, Parameter(help="JSON list of up to eight orders, as in the API; - reads them")],
    *,
    account: Account,
    sub: Annotated[int, Parameter(help="sub-account")] = 0,
    client_key: ClientKey = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Place several orders, all or nothing."""
    text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    try:
        orders = decode(text)
    except ValueError as error:
        raise CommandFailure(ExitCode.CANNOT, "MALFORMED_REQUEST", f"{file}: {error}") from error
    body = {"account": account, "sub": sub, "orders": orders, "client_key": client_key}
    return show(Client(data).post("/orders/batch", body), json=json, title="Batch accepted")


@order.command
def replace(
    number: Number,
    *,
    price: Annotated[str | None, Parameter(help="new limit")] = None,
    quantity: Annotated[str | None, Parameter(help="new total, filled part included")] = None,
    account: Account = "trader",
    client_key: ClientKey = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Change the price, the total, or both."""
    body = {"account": account, "price": price, "quantity": quantity, "client_key": client_key}
    return show(
        Client(data).post(f"/orders/{number}/replace", body), json=json, title=f"Order {number} replaced"
    )


@order.command
def cancel(
    number: Number, *, account: Account = "trader", data: DataDirectory = DEFAULT_DATA, json: Json = False
) -> int:
    """Cancel one order."""
    answer = Client(data).post(f"/orders/{number}/cancel", {"account": account})
    return show(answer, json=json, title=f"Order {number} cancelled")


@order.command
def cancel_all(
    *,
    account: Account = "trader",
    market: Annotated[str | None, Parameter(help="only in this market")] = None,
    side: Annotated[Literal["buy", "sell"] | None, Parameter(help="only this side")] = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Cancel every order of an account."""
    answer = Client(data).post("/orders/cancel-all", {"account": account, "market": market, "side": side})
    left = answer.get("effect", {}).get("left")
    show(answer, json=json, title=f"Orders of {account} cancelled")
    return ExitCode.RED if left else ExitCode.OK


@order.command
def cancel_after(
    seconds: Annotated[int, Parameter(help="window of the dead-man's switch; 0 switches it off")],
    *,
    account: Account = "trader",
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Cancel everything unless this is called again in time."""
    answer = Client(data).post("/orders/cancel-after", {"account": account, "seconds": seconds})
    return show(answer, json=json, title="Switch off" if seconds == 0 else f"Switch armed for {seconds} s")


@order.command(name="list")
def list_orders(
    *,
    account: Annotated[str | None, Parameter(help="account; the trader's when neither is given")] = None,
    market: Annotated[str | None, Parameter(help="only in this market")] = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Open orders."""
    rows = Client(data).get("/orders", {"account": account, "market": market})["orders"]
    return show_rows(rows, COLUMNS, json=json, title="Open orders", empty="no open orders", name="orders")


@order.command(name="show")
def show_order(number: Number, *, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """One order, open or ended lately."""
    document = Client(data).get(f"/orders/{number}")
    if json:
        print_json(document)
    else:
        print_fields(document, title=f"Order {number}")
    return ExitCode.OK
