"""`tradewind market`: create, list, show, update, pause, resume, close, prune."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from tradewind.cli import leverage
from tradewind.cli.answers import show, show_rows
from tradewind.cli.client import Client, segment
from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure
from tradewind.cli.options import Actor, ClientKey, Market
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json, print_fields, print_json
from tradewind.config import parse_duration_s

market = App(name="market", help="Create, list, show, update, pause, resume, close and prune markets.")
for verb in (leverage.risk, leverage.leverage, leverage.settle, leverage.funding):
    market.command(verb)
market.command(leverage.breaker)
COLUMNS = [
    "handle",
    "symbol",
    "status",
    "tick",
    "lot",
    "taker bps",
    "maker bps",
    "best bid",
    "best ask",
    "last",
]


@market.command
def create(
    symbol: Annotated[
        str, Parameter(help="base and quote, such as BTC/USDT; of an outcome market only the quote")
    ],
    *,
    kind: Annotated[
        Literal["spot", "perpetual", "outcome", "distribution"],
        Parameter(help="what is traded; outcome with --outcomes"),
    ] = "spot",
    outcomes: Annotated[
        int | None, Parameter(help="number of outcomes of an outcome market, 2 to 64")
    ] = None,
    settle: Annotated[
        str | None, Parameter(help="when it settles, such as 2027-01-31T12:00:00Z; an hour ahead or more")
    ] = None,
    feed: Annotated[str | None, Parameter(help="price feed of a perpetual market")] = None,
    tick_size: Annotated[str, Parameter(help="price step in the quote asset")],
    lot_size: Annotated[str, Parameter(help="size step in the base asset")],
    taker_bps: Annotated[str | None, Parameter(help="taker fee in basis points")] = None,
    maker_bps: Annotated[str | None, Parameter(help="maker fee in basis points")] = None,
    account: Annotated[
        str | None,
        Parameter(help="list an outcome market for this account, with its bond and no fees stated"),
    ] = None,
    bond: Annotated[str | None, Parameter(help="most that --account puts up as listing bond")] = None,
    min_notional: Annotated[str | None, Parameter(help="smallest order in the quote asset")] = None,
    max_notional: Annotated[str | None, Parameter(help="largest order in the quote asset")] = None,
    band_bp: Annotated[int | None, Parameter(help="price band around the reference, 100 to 9000")] = None,
    slippage_bp: Annotated[
        int | None, Parameter(help="default protection of market orders, 10 to 500")
    ] = None,
    elastic: Annotated[
        bool, Parameter(help="takers pay the elastic fee up to taker-bps, makers get a rebate", negative="")
    ] = False,
    nonce: Annotated[
        int | None, Parameter(help="the market's id derives from it; random when absent")
    ] = None,
    client_key: ClientKey = None,
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Create a market (OPERATOR). A perpetual one opens when its feed has been valid for a minute.

    An outcome market: tradewind market create USDC --outcomes 2 --settle 2027-01-31T12:00:00Z
    --tick-size 0.001 --lot-size 0.001 --taker-bps 28 --maker-bps 0

    With --account an account lists an outcome market itself, where governance allows it: its terms are the
    platform's, and a bond stands behind it until the payout is final.
    """
    if outcomes is not None and kind != "distribution":
        kind = "outcome"
    base: str | None
    base, slash, quote = symbol.upper().partition("/")
    if kind in ("outcome", "distribution") and not slash:
        base, quote = None, symbol.upper()
    elif not slash or not base or not quote:
        raise CommandFailure(ExitCode.CANNOT, "BAD_SYMBOL", f"{symbol!r} is not a symbol such as BTC/USDT")
    body: dict[str, Any] = {
        "kind": kind,
        "outcomes": outcomes,
        "settle": settle,
        "quote": quote,
        "tick_size": tick_size,
        "lot_size": lot_size,
        "nonce": nonce,
        "client_key": client_key,
    }
    others = (feed, base, taker_bps, maker_bps, min_notional, max_notional, band_bp, slippage_bp, actor)
    if account is not None:
        if kind not in ("outcome", "distribution") or elastic or any(one is not None for one in others):
            raise CommandFailure(
                ExitCode.CANNOT,
                "LISTING_TERMS",
                "--account lists an outcome market with the platform's terms",
            )
        made = Client(data).post("/listings", {**body, "account": account, "bond": bond})
        return show(made, json=json, title=f"Market {made['effect']['symbol']} listed")
    if taker_bps is None or maker_bps is None or bond is not None:
        raise CommandFailure(
            ExitCode.CANNOT, "MARKET_TERMS", "state --taker-bps and --maker-bps; --bond goes with --account"
        )
    body |= {
        "feed": feed,
        "base": base,
        "taker_fee_bps": taker_bps,
        "maker_fee_bps": maker_bps,
        "min_notional": min_notional,
        "max_notional": max_notional,
        "band_bp": band_bp,
        "slippage_bp": slippage_bp,
        "elastic_fee": elastic or None,
        "actor": actor,
    }
    made = Client(data).post("/markets", body)
    return show(made, json=json, title=f"Market {made['effect']['symbol']} created")


@market.command(name="list")
def list_markets(*, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Every market with its best prices."""
    rows = Client(data).get("/markets")["markets"]
    return show_rows(rows, COLUMNS, json=json, title="Markets", empty="no markets", name="markets")


@market.command(name="show")
def show_market(name: Market, *, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """One market with its parameters."""
    document = Client(data).get(f"/markets/{segment(name)}")
    if json:
        print_json(document)
    else:
        print_fields(document, title=f"Market {document['symbol']}")
    return ExitCode.OK


@market.command
def book(
    name: Market,
    *,
    depth: Annotated[int, Parameter(help="levels per side")] = 10,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Price levels, asks above bids."""
    document = Client(data).get(f"/markets/{segment(name)}/book", {"depth": depth})
    if json:
        print_json(document)
        return ExitCode.OK
    rows = [{"side": "ask", **one} for one in reversed(document["asks"])]
    rows += [{"side": "bid", **one} for one in document["bids"]]
    title = f"Book of {document['symbol']} at command {document['seq']}"
    return show_rows(
        rows, ["side", "price", "size", "orders"], json=False, title=title, empty="empty", name="book"
    )


@market.command
def update(
    name: Market,
    *,
    taker_bps: Annotated[str | None, Parameter(help="taker fee in basis points")] = None,
    maker_bps: Annotated[str | None, Parameter(help="maker fee in basis points")] = None,
    min_notional: Annotated[str | None, Parameter(help="smallest order in the quote asset")] = None,
    max_notional: Annotated[str | None, Parameter(help="largest order in the quote asset")] = None,
    band_bp: Annotated[int | None, Parameter(help="price band around the reference")] = None,
    slippage_bp: Annotated[int | None, Parameter(help="default protection of market orders")] = None,
    config_version: Annotated[int | None, Parameter(help="refuse unless this is the present version")] = None,
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Change parameters (RISK); at most once a day."""
    body = {
        "taker_fee_bps": taker_bps,
        "maker_fee_bps": maker_bps,
        "min_notional": min_notional,
        "max_notional": max_notional,
        "band_bp": band_bp,
        "slippage_bp": slippage_bp,
        "config_version": config_version,
        "actor": actor,
    }
    answer = Client(data).post(f"/markets/{segment(name)}/update", body)
    return show(answer, json=json, title=f"Market {name} updated")


@market.command
def pause(
    name: Annotated[str, Parameter(help="market, or ALL for the whole platform")],
    *,
    reason: Annotated[str, Parameter(help="why; it goes into the log")],
    level: Annotated[
        Literal["partial", "full", "freeze"], Parameter(help="no new risk, cancels only, or nothing at all")
    ] = "partial",
    category: Annotated[list[str] | None, Parameter(help="only this category; may be repeated")] = None,
    for_: Annotated[str, Parameter(name="--for", help="how long, at most 72h")] = "1h",
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Stop new risk in a market or on the platform (EMERGENCY)."""
    body: dict[str, Any] = {
        "reason": reason,
        "level": level,
        "for_s": int(parse_duration_s(for_)),
        "actor": actor,
    }
    body["categories"] = category
    answer = Client(data).post(f"/markets/{segment(name)}/pause", body)
    return show(answer, json=json, title=f"{name} paused")


@market.command
def resume(
    name: Annotated[str, Parameter(help="market, or ALL for the whole platform")],
    *,
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Approve the end of a pause (RESUMER). Two different people: --as resumer-1, then --as resumer-2."""
    answer = Client(data).post(f"/markets/{segment(name)}/resume", {"actor": actor})
    done = answer.get("effect", {}).get("resumed")
    title = (
        f"{name} resumed"
        if done
        else f"{name}: first approval; a second person must approve within 10 minutes"
    )
    return show(answer, json=json, title=title)


@market.command
def prune(
    name: Market, *, actor: Actor = None, data: DataDirectory = DEFAULT_DATA, json: Json = False
) -> int:
    """Archive a settled market of outcomes or of a number and release it (SYSTEM): 48 hours after FINAL.

    The records go to DATA/archive, are read back and compared; the log keeps their hash. They can be read
    with: tradewind record show FILE
    """
    answer = Client(data).post(f"/markets/{segment(name)}/prune", {"actor": actor})
    return show(answer, json=json, title=f"Market {name} archived and pruned")


@market.command
def close(
    name: Market, *, actor: Actor = None, data: DataDirectory = DEFAULT_DATA, json: Json = False
) -> int:
    """Cancel every order and close a market for ever (OPERATOR)."""
    answer = Client(data).post(f"/markets/{segment(name)}/close", {"actor": actor})
    return show(answer, json=json, title=f"Market {name} closed")
