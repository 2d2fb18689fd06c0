"""`tradewind credit`: money for the markets of a verse, and legs that net when they exclude each other."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from tradewind.cli.answers import show
from tradewind.cli.client import Client, segment
from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure
from tradewind.cli.options import Account, ClientKey, Market
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json, print_json, print_rows

credit = App(name="credit", help="Verse credits: deposit, lock, release, withdraw, show.")
Verse = Annotated[str, Parameter(help="verse: slug or number")]
Sub = Annotated[int, Parameter(help="sub-account whose money or claims move")]
Asset = Annotated[str, Parameter(help="asset of the credit")]
Leg = Annotated[
    str, Parameter(help="MARKET:OUTCOME:long|short:QUANTITY@PRICE, e.g. OUTCOME-0:1:short:10@0.70")
]
CREDITS = ["verse", "number", "asset", "available", "locked", "total", "staged"]
MARKETS = ["verse", "symbol", "locked", "claims"]


def parse_leg(text: str) -> dict[str, Any]:
    """A leg as the API takes it. Raises `CommandFailure` for what is none."""
    parts = text.split(":")
    quantity, at, price = parts[-1].partition("@")
    if len(parts) != 4 or not at or parts[2] not in {"long", "short"} or not all((*parts, quantity, price)):
        message = f"a leg is MARKET:OUTCOME:long|short:QUANTITY@PRICE, not {text!r}"
        raise CommandFailure(ExitCode.CANNOT, "MALFORMED_REQUEST", message)
    return {
        "market": parts[0],
        "outcome": parts[1],
        "side": parts[2],
        "quantity": quantity,
        "price": price,
    }


@credit.command
def deposit(
    account: Account,
    verse: Verse,
    amount: Annotated[str, Parameter(help="money to put aside, one to one")],
    *,
    asset: Asset = "USDC",
    sub: Sub = 0,
    key: ClientKey = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Put money aside for the markets of a verse."""
    body = {"account": account, "sub": sub, "verse": verse, "asset": asset, "amount": amount}
    answer = Client(data).post("/credits/deposit", body | {"client_key": key})
    return show(answer, json=json, title=f"{amount} {asset} for {verse}")


@credit.command
def withdraw(
    account: Account,
    verse: Verse,
    amount: Annotated[str | None, Parameter(help="all that is available when absent")] = None,
    *,
    asset: Asset = "USDC",
    sub: Sub = 0,
    key: ClientKey = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Take back what no leg locks."""
    body = {"account": account, "sub": sub, "verse": verse, "asset": asset, "amount": amount}
    answer = Client(data).post("/credits/withdraw", body | {"client_key": key})
    return show(answer, json=json, title=f"Out of the credit of {verse}")


@credit.command
def lock(
    account: Account,
    verse: Verse,
    *legs: Leg,
    exclusive: Annotated[
        bool, Parameter(help="refuse unless all legs are outcomes of one market", negative="")
    ] = False,
    key: ClientKey = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Buy all legs or none. Legs of one market lock its largest loss, markets add up."""
    body = {"account": account, "verse": verse, "exclusive": exclusive, "client_key": key}
    answer = Client(data).post("/credits/lock", body | {"legs": [parse_leg(leg) for leg in legs]})
    return show(answer, json=json, title=f"Locked in the credit of {verse}")


@credit.command
def release(
    account: Account,
    verse: Verse,
    market: Market,
    outcome: Annotated[str | None, Parameter(help="outcome of the leg; not for --mode settle")] = None,
    *,
    mode: Annotated[
        Literal["close", "settle", "hand_over"],
        Parameter(help="close in the book; settle a final market; hand over claims without open loss"),
    ] = "close",
    side: Annotated[Literal["long", "short"], Parameter(help="side of the leg")] = "long",
    quantity: Annotated[str | None, Parameter(help="all of it when absent")] = None,
    price: Annotated[str | None, Parameter(help="least to receive, for one of each outcome held")] = None,
    sub: Sub = 0,
    key: ClientKey = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Close a leg, take the payout of a final market, or take claims that no loss is open for."""
    body = {
        "account": account,
        "sub": sub,
        "verse": verse,
        "market": market,
        "mode": mode,
        "outcome": outcome,
        "side": side,
        "quantity": quantity,
        "price": price,
        "client_key": key,
    }
    answer = Client(data).post("/credits/release", body)
    return show(answer, json=json, title=f"Released in the credit of {verse}")


@credit.command(name="show")
def show_credits(account: Account, *, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Every credit of an account: available, locked, total, and what each market locks and holds."""
    document = Client(data).get(f"/accounts/{segment(account)}/credits")
    if json:
        print_json(document)
        return ExitCode.OK
    print_rows(document["credits"], CREDITS, title=f"Credits of {account}", empty="no credits")
    rows = [{"verse": one["verse"], **market} for one in document["credits"] for market in one["markets"]]
    for row in rows:
        row["claims"] = ", ".join(f"{name}: {held}" for name, held in row["claims"].items())
    if rows:
        print_rows(rows, MARKETS, title="Markets", empty="none")
    return ExitCode.OK
