"""`tradewind pool`: market makers of outcome markets, swaps against them, and their liquidity.

Whoever swaps is `trader` unless named; whoever provides is `operator`, who may also make pools.
"""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import App, Parameter

from tradewind.cli.answers import show, show_rows
from tradewind.cli.client import Client, segment
from tradewind.cli.options import Account, ClientKey, Market
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json, print_fields, print_json, print_rows

pool = App(name="pool", help="Market makers' pools: create, show, quote, swap, liquidity.")
Sub = Annotated[int, Parameter(help="sub-account")]
Provider = Annotated[
    str, Parameter(help="account that provides: local name, number, or 64 hexadecimal digits")
]
Outcome = Annotated[str, Parameter(help="outcome: yes or no of two, else its number")]
Direction = Annotated[Literal["buy", "sell"], Parameter(help="buy from the pool, or sell to it")]
Amount = Annotated[
    str,
    Parameter(help="buy: money before the fee; sell: shares. With --exact: shares to buy, or money to get"),
]
Exact = Annotated[bool, Parameter(negative="", help="the amount is what is received")]
Slippage = Annotated[int, Parameter(help="limit in basis points off the quote")]
POOLS = ["market", "kind", "outcomes", "liquidity", "cash", "prices", "swaps", "volume", "fees", "providers"]
OUTCOMES = ["outcome", "name", "price", "reserve", "depth"]
PROVIDERS = ["account", "sub", "shares", "part", "locked", "locked_until_ns", "to_collect"]


@pool.command
def create(
    market: Market,
    funding: Annotated[str, Parameter(help="money for the pool: LMSR from 100, pm-AMM from 50")],
    *,
    kind: Annotated[
        str | None, Parameter(help="lmsr, pm-static or pm-dynamic instead of what fits the market")
    ] = None,
    account: Provider = "operator",
    sub: Sub = 0,
    client_key: ClientKey = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Make a market maker for an outcome market; by its creator."""
    body = {"market": market, "funding": funding, "kind": kind, "account": account, "sub": sub}
    answer = Client(data).post("/pools", body | {"client_key": client_key})
    if json:
        return show(answer, json=True, title="")
    _show_pool(answer["effect"], title=f"Pool of {market} created")
    return 0


@pool.command(name="list")
def list_pools(*, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Every pool."""
    rows = Client(data).get("/pools")["pools"]
    return show_rows(rows, POOLS, json=json, title="Pools", empty="no pools", name="pools")


@pool.command(name="show")
def show_pool(
    market: Market,
    *,
    account: Annotated[str | None, Parameter(help="only this account among the providers")] = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Prices, reserves, depth, fees and providers of one pool."""
    document = Client(data).get(f"/pools/{segment(market)}", {"account": account})
    if json:
        print_json(document)
    else:
        _show_pool(document, title=f"Pool of {document['market']}")
    return 0


def _show_pool(document: dict[str, object], *, title: str) -> None:
    rows = {name: document.get(name) for name in ("outcomes", "providers")}
    print_fields({key: value for key, value in document.items() if key not in rows}, title=title)
    print_rows(rows["outcomes"], OUTCOMES, title="Outcomes", empty="no outcomes")  # type: ignore[arg-type]
    print_rows(rows["providers"], PROVIDERS, title="Providers", empty="no providers")  # type: ignore[arg-type]


@pool.command
def quote(
    market: Market,
    side: Direction,
    amount: Amount,
    *,
    outcome: Outcome,
    exact: Exact = False,
    slippage_bp: Slippage = 50,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """What a swap would give now; nothing changes."""
    asked = {"outcome": outcome, "side": side, "amount": amount, "slippage_bp": str(slippage_bp)}
    asked["exact"] = "true" if exact else "false"
    answer = Client(data).get(f"/pools/{segment(market)}/quote", asked)
    return show(answer, json=json, title=f"Quote: {side} {outcome} of {market}")


@pool.command
def swap(
    market: Market,
    side: Direction,
    amount: Amount,
    *,
    outcome: Outcome,
    exact: Exact = False,
    limit: Annotated[
        str | None, Parameter(help="least to receive after the fee, or most to give with it (--exact)")
    ] = None,
    slippage_bp: Annotated[
        int | None, Parameter(help="instead of --limit: basis points off the quote")
    ] = None,
    max_impact_bp: Annotated[int, Parameter(help="largest change of the price; 0 is 500, at most 2000")] = 0,
    deadline_s: Annotated[int, Parameter(help="seconds from now after which it is refused; 0 is none")] = 0,
    account: Account = "trader",
    sub: Sub = 0,
    client_key: ClientKey = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Buy an outcome from the pool or sell it to the pool, within a limit."""
    body = {
        "market": market,
        "side": side,
        "amount": amount,
        "outcome": outcome,
        "exact": exact,
        "limit": limit,
        "slippage_bp": slippage_bp,
        "max_impact_bp": max_impact_bp,
        "deadline_s": deadline_s,
        "account": account,
        "sub": sub,
        "client_key": client_key,
    }
    answer = Client(data).post("/pools/swap", body)
    return show(answer, json=json, title=f"Swapped: {side} {outcome} of {market}")


@pool.command
def add(
    market: Market,
    amount: Annotated[str, Parameter(help="money, at most; LMSR from 100, pm-AMM from 50")],
    *,
    min_shares: Annotated[str | None, Parameter(help="fewest shares to get")] = None,
    account: Provider = "operator",
    sub: Sub = 0,
    client_key: ClientKey = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Provide liquidity: a part of everything the pool has, locked for 24 hours."""
    body = {"market": market, "amount": amount, "min_shares": min_shares, "account": account, "sub": sub}
    answer = Client(data).post("/pools/add", body | {"client_key": client_key})
    return show(answer, json=json, title=f"Liquidity for {market}")


@pool.command
def remove(
    market: Market,
    shares: Annotated[str, Parameter(help="shares of the pool, or all")],
    *,
    min_money: Annotated[str | None, Parameter(help="least money to get")] = None,
    account: Provider = "operator",
    sub: Sub = 0,
    client_key: ClientKey = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Take liquidity out: money for the complete sets in it, claims for the rest."""
    given = None if shares == "all" else shares
    body = {"market": market, "shares": given, "min_money": min_money, "account": account, "sub": sub}
    answer = Client(data).post("/pools/remove", body | {"client_key": client_key})
    return show(answer, json=json, title=f"Liquidity out of {market}")


@pool.command
def collect(
    market: Market,
    *,
    min_money: Annotated[str | None, Parameter(help="least money to get")] = None,
    account: Provider = "operator",
    sub: Sub = 0,
    client_key: ClientKey = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Collect what time has set free for a provider of a dynamic pool."""
    body = {"market": market, "min_money": min_money, "account": account, "sub": sub}
    answer = Client(data).post("/pools/collect", body | {"client_key": client_key})
    return show(answer, json=json, title=f"Collected from {market}")
