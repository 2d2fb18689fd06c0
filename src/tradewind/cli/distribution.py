"""`tradewind distribution`: markets of a number, in which traders move a normal claim."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from tradewind.cli.answers import show, show_rows
from tradewind.cli.client import Client, segment
from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure
from tradewind.cli.options import Account, ClientKey, Market
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json, print_fields, print_json, print_rows

distribution = App(name="distribution", help="Markets of a number: create, show, quote, move.")
Sub = Annotated[int, Parameter(help="sub-account")]
Mean = Annotated[str, Parameter(help="mean of the claim, in the question's unit", allow_leading_hyphen=True)]
Sigma = Annotated[str, Parameter(help="width of the claim (one standard deviation)")]
Bound = Annotated[str, Parameter(help="end of the question's range", allow_leading_hyphen=True)]
COLUMNS = ["market", "status", "mean", "sigma", "lower", "upper", "backing", "cash", "moves", "fees", "value"]
CLAIMS = ["account", "sub", "from", "to", "collateral"]


@distribution.command
def create(
    market: Market,
    funding: Annotated[str, Parameter(help="money that backs every claim, from 200")],
    *,
    lower: Bound,
    upper: Bound,
    mean: Mean,
    sigma: Sigma,
    norm: Annotated[
        str | None, Parameter(help="L2 norm of the claims; as much as the funding if absent")
    ] = None,
    account: Account = "operator",
    sub: Sub = 0,
    client_key: ClientKey = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Fund a distribution market; its creator receives the first claim and what is left at the end.

    The market itself: tradewind market create USDC --kind distribution --settle 2027-01-31T12:00:00Z
    --tick-size 0.001 --lot-size 0.001 --taker-bps 28 --maker-bps 0
    """
    body = {
        "market": market,
        "funding": funding,
        "norm": norm,
        "lower": lower,
        "upper": upper,
        "mean": mean,
        "sigma": sigma,
        "account": account,
        "sub": sub,
        "client_key": client_key,
    }
    answer = Client(data).post("/distributions", body)
    if json:
        return show(answer, json=True, title="")
    _show(answer["effect"], title=f"Distribution of {market} created")
    return 0


@distribution.command(name="list")
def list_distributions(*, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Every distribution market that has a pool."""
    rows = Client(data).get("/distributions")["distributions"]
    return show_rows(
        rows,
        COLUMNS,
        json=json,
        title="Distribution markets",
        empty="no distribution markets",
        name="distributions",
    )


@distribution.command(name="show")
def show_distribution(
    market: Market,
    *,
    account: Annotated[str | None, Parameter(help="only this account's claims")] = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """The market's claim, its cash, and everybody's claims on it."""
    document = Client(data).get(f"/distributions/{segment(market)}", {"account": account})
    if json:
        print_json(document)
    else:
        _show(document, title=f"Distribution of {document['market']}")
    return 0


def _show(document: dict[str, object], *, title: str) -> None:
    fields = {key: value for key, value in document.items() if key != "claims"}
    print_fields(fields, title=title)
    claims = document.get("claims")
    print_rows(claims if isinstance(claims, list) else [], CLAIMS, title="Claims", empty="no claims")


@distribution.command
def quote(
    market: Market,
    *,
    mean: Mean,
    sigma: Sigma,
    plot: Annotated[
        Path | None, Parameter(help="also draw both claims and the difference as a PNG (extra `reports`)")
    ] = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """What moving the claim there would cost now; nothing changes."""
    client = Client(data)
    answer = client.get(f"/distributions/{segment(market)}/quote", {"mean": mean, "sigma": sigma})
    if plot is not None:
        known = client.get(f"/distributions/{segment(market)}", {"account": None})
        _draw(plot, known, (mean, sigma))
    return show(answer, json=json, title=f"Quote: {market} to N({mean}, {sigma}²)")


def _draw(path: Path, known: dict[str, str], to: tuple[str, str]) -> None:
    from tradewind.lab.market_makers import draw_densities
    from tradewind.lab.scenarios.report import PlotMissing

    before = (float(known["mean"]), float(known["sigma"]))
    try:
        draw_densities(path, float(known["norm"]), before, (float(to[0]), float(to[1])))
    except PlotMissing as error:
        raise CommandFailure(ExitCode.CANNOT, "PLOT_MISSING", str(error)) from error


@distribution.command
def move(
    market: Market,
    *,
    mean: Mean,
    sigma: Sigma,
    max_collateral: Annotated[str, Parameter(help="most to post, without the fee")],
    deadline_s: Annotated[int, Parameter(help="seconds from now after which it is refused; 0 is none")] = 0,
    account: Account = "trader",
    sub: Sub = 0,
    client_key: ClientKey = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Move the market's claim there; you receive the difference and post what it may lose."""
    body = {
        "market": market,
        "mean": mean,
        "sigma": sigma,
        "max_collateral": max_collateral,
        "deadline_s": deadline_s,
        "account": account,
        "sub": sub,
        "client_key": client_key,
    }
    answer = Client(data).post("/distributions/move", body)
    return show(answer, json=json, title=f"Moved: {market} to N({mean}, {sigma}²)")
