"""`tradewind position`: what trading holds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from tradewind.cli.answers import show
from tradewind.cli.client import Client, segment
from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure
from tradewind.cli.options import Account, ClientKey, Market
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json, print_fields, print_json, print_rows

position = App(name="position", help="Positions: list, health, simulate, open, close, repay, margin.")
Sub = Annotated[int, Parameter(help="sub-account")]
Outcome = Annotated[str, Parameter(help="outcome: yes or no of two, else its number")]
Direction = Annotated[Literal["long", "short"], Parameter(help="long buys the outcome; short all the others")]
Source = Annotated[
    Literal["book", "pool"],
    Parameter(name="--from", help="where a leveraged outcome position trades: book, or the market's pool"),
]
MaxImpact = Annotated[
    int, Parameter(help="largest change of the pool's price in basis points; 0 is 500, at most 2000")
]
LEVERAGED = ["symbol", "sub", "side", "outcome", "name", "quantity", "debt", "bankruptcy_price",
             "liquidation_price", "maintenance_pct", "liquidations"]  # fmt: skip
GROUPS = ["symbol", "sub", "positions", "largest_loss", "equity", "maintenance", "credit"]
COLUMNS = ["sub", "symbol", "side", "quantity", "entry", "mark", "unrealised", "maintenance margin",
           "liquidation price", "leverage", "adl quintile"]  # fmt: skip
HEALTH = ["equity", "equity_for_new_risk", "initial_margin", "maintenance_margin", "free_collateral", "ratio",
          "liquidatable", "unknown"]  # fmt: skip


@position.command(name="list")
def list_positions(
    *,
    account: Annotated[
        str | None, Parameter(help="leveraged positions of this account; the trader's holdings when absent")
    ] = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Quantity, cost, profit and fees. Unknown values are shown as unknown."""
    if account is not None:
        rows = Client(data).get(f"/accounts/{segment(account)}/positions")["positions"]
        if json:
            print_json({"positions": rows})
        else:
            print_rows(rows, COLUMNS, title=f"Positions of {account}", empty="no positions")
        return ExitCode.OK
    document = Client(data).get("/positions")
    if json:
        print_json(document)
        return 0
    parts = {"position": document["position"], "profit": document["profit"]}
    fields: dict[str, Any] = {"symbol": document["symbol"], "trading": document["trading"]["state"]}
    for part, values in parts.items():
        fields |= {f"{part}.{name}": _reading(value) for name, value in values.items()}
    print_fields(fields, title="Position")
    return 0


@position.command
def health(account: Account, *, sub: Sub = 0, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Equity, margins, what is free, and of each position the liquidation price and the ADL quintile.

    Quintile 1 is the first fifth of its side to be deleveraged, 5 the last.

    Exit 1 when liquidatable, 2 when a price is unknown.
    """
    client = Client(data)
    document = client.get(f"/accounts/{segment(account)}/health", {"sub": sub})
    leveraged = client.get(f"/accounts/{segment(account)}/leveraged")
    document["leveraged"], document["leveraged_groups"] = leveraged["positions"], leveraged["groups"]
    if json:
        print_json(document)
    else:
        _print_health(document, f"Health of {account}, sub-account {sub}")
        rows = [row for row in document["leveraged"] if row["sub"] == sub]
        if rows:
            print_rows(rows, LEVERAGED, title="Leveraged outcomes", empty="none")
        sets = [row for row in document["leveraged_groups"] if row["sub"] == sub and row["positions"] > 1]
        if sets:
            print_rows(sets, GROUPS, title="Leveraged outcomes of one market together", empty="none")
    return _verdict(document["liquidatable"])


@position.command
def simulate(
    account: Account,
    *,
    sub: Sub = 0,
    move: Annotated[str | None, Parameter(help="move of every mark in percent, such as -12.5")] = None,
    mark: Annotated[
        list[str] | None, Parameter(help="mark of one market, MARKET=PRICE; may be repeated")
    ] = None,
    market: Annotated[str | None, Parameter(help="market of an order that fills")] = None,
    side: Annotated[Literal["buy", "sell"] | None, Parameter(help="its side")] = None,
    quantity: Annotated[str | None, Parameter(help="its size")] = None,
    price: Annotated[str | None, Parameter(help="its price; the mark when absent")] = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """What would liquidate me: the health now, and after a move or an order.

    Exit 1 when that liquidates, 2 when a price is unknown.
    """
    marks = dict(text.partition("=")[::2] for text in mark or [])
    body: dict[str, Any] = {
        "account": account,
        "sub": sub,
        "marks": marks or None,
        "move_pct": move,
        "market": market,
        "side": side,
        "quantity": quantity,
        "price": price,
    }
    document = Client(data).post("/positions/simulate", body)
    if json:
        print_json(document)
    else:
        _print_health(document["now"], "Now")
        _print_health(document["then"], "Then: LIQUIDATED" if document["liquidated"] else "Then")
    return _verdict(document["liquidated"])


def _verdict(liquidated: bool | None) -> int:
    """What cannot be valued is not healthy: it cannot be evaluated."""
    if liquidated is None:
        return ExitCode.CANNOT
    return ExitCode.RED if liquidated else ExitCode.OK


def _print_health(document: dict[str, Any], title: str) -> None:
    print_fields({key: document[key] for key in HEALTH if document[key] != []}, title=title)
    print_rows(document["positions"], COLUMNS[1:], title="Positions", empty="no positions")


@position.command(name="open")
def open_position(
    account: Account,
    market: Market,
    quantity: Annotated[str, Parameter(help="whole contracts")],
    *,
    outcome: Outcome,
    leverage: Annotated[str, Parameter(help="such as 5 or 2.5")],
    max_price: Annotated[
        str, Parameter(help="most to pay for a contract, of a short for one of each other outcome")
    ],
    side: Direction = "long",
    source: Source = "book",
    max_impact_bp: MaxImpact = 0,
    sub: Sub = 0,
    client_key: ClientKey = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Buy an outcome with a loan of the vault: everything at the price or better, or nothing.

    From the pool the price includes its fee.
    """
    body = {
        "account": account,
        "sub": sub,
        "market": market,
        "outcome": outcome,
        "side": side,
        "quantity": quantity,
        "leverage": leverage,
        "max_price": max_price,
        "source": source,
        "max_impact_bp": max_impact_bp,
        "client_key": client_key,
    }
    return show(Client(data).post("/leveraged/open", body), json=json, title=f"Position in {market} opened")


@position.command
def repay(
    account: Account,
    market: Market,
    amount: Annotated[str, Parameter(help="settlement units")],
    *,
    outcome: Outcome,
    side: Direction = "long",
    sub: Sub = 0,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Pay back a part of what a leveraged outcome position owes."""
    body = {
        "account": account,
        "sub": sub,
        "market": market,
        "outcome": outcome,
        "side": side,
        "amount": amount,
    }
    return show(Client(data).post("/leveraged/repay", body), json=json, title=f"Loan in {market} paid back")


@position.command
def close(
    account: Account,
    market: Market,
    *,
    outcome: Annotated[
        str | None, Parameter(help="of a leveraged outcome position: yes or no of two, else its number")
    ] = None,
    side: Direction = "long",
    sub: Sub = 0,
    quantity: Annotated[str | None, Parameter(help="part of it; all when absent")] = None,
    limit: Annotated[str | None, Parameter(help="worst price; the market's protection when absent")] = None,
    source: Source = "book",
    max_impact_bp: MaxImpact = 0,
    client_key: ClientKey = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Close a position by an order that does not rest. Exit 1 when the book left a part of it.

    Into the pool a leveraged outcome position is sold as a whole or not at all, at the limit behind the fee.
    """
    if source == "pool" and outcome is None:
        message = "--from pool is of leveraged outcome positions: name the outcome"
        raise CommandFailure(ExitCode.CANNOT, "INVALID_COMMAND", message)
    body = {
        "account": account,
        "sub": sub,
        "market": market,
        "quantity": quantity,
        "limit": limit,
        "client_key": client_key,
    }
    path = "/positions/close"
    if outcome is not None:
        path, body = "/leveraged/close", {**body, "outcome": outcome, "side": side}
        body |= {"source": source, "max_impact_bp": max_impact_bp}
    answer = Client(data).post(path, body)
    left = answer["effect"]["left"]
    title = f"Position in {market} closed" if left == "0" else f"Position in {market}: {left} left"
    show(answer, json=json, title=title)
    return ExitCode.OK if left == "0" or quantity is not None else ExitCode.RED


@position.command
def margin(
    account: Account,
    market: Market,
    amount: Annotated[str, Parameter(help="settlement units; negative takes out", allow_leading_hyphen=True)],
    *,
    sub: Annotated[int, Parameter(help="the isolated sub-account")],
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Move money into or out of an isolated position."""
    body = {"account": account, "sub": sub, "market": market, "amount": amount}
    return show(Client(data).post("/positions/margin", body), json=json, title=f"Margin of {market} adjusted")


@position.command
def liquidate(
    account: Account,
    market: Market,
    *,
    sub: Sub = 0,
    keeper: Annotated[str | None, Parameter(help="keeper's account; the system when absent")] = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Liquidate a position below maintenance. A healthy one is refused."""
    body = {"target": account, "target_sub": sub, "market": market, "keeper": keeper}
    answer = Client(data).post("/positions/liquidate", body)
    return show(answer, json=json, title=f"Liquidation of {account} in {market}")


@position.command
def limits(*, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Risk limits, and how full they are."""
    rows = Client(data).get("/limits")["limits"]
    if json:
        print_json({"limits": rows})
        return 0
    shown = [{**row, "used": _reading(row["used"])} for row in rows]
    print_rows(
        shown, ["code", "name", "used", "limit", "unit", "state"], title="Limits", empty="no trader runs"
    )
    return 0


def _reading(value: Any) -> Any:
    """A value with its quality: `known` is bare, `stale` carries its age, `unknown` says so."""
    if not isinstance(value, dict) or "quality" not in value:
        return value
    if value["quality"] == "known":
        return value["value"]
    if value["quality"] == "stale":
        return f"{value['value']} (stale, {value['age_ms']} ms)"
    return "unknown"
