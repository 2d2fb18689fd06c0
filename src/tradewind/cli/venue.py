"""`tradewind venue`: the paper venue, outside and local ones, links of outcome markets and their
ingestion.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from tradewind.cli.answers import show, show_rows
from tradewind.cli.client import Client
from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure
from tradewind.cli.native_venue import NATIVE, address
from tradewind.cli.options import Actor
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json, print_fields, print_json

venue = App(name="venue", help="The paper venue, outside venues, and local ones that speak their wire.")
Name = Annotated[
    str,
    Parameter(help="paper, kraken, binance, binance-usdm, native, polymarket, or ccxt:ID for another one"),
]
Url = Annotated[
    str | None,
    Parameter(help="another address than the venue's, e.g. of `venue serve`; default: that of the file"),
]
Credentials = Annotated[
    Path | None,
    Parameter(
        help="file of NAME=value lines, mode 600, e.g. client.env of `venue serve`; else the environment"
    ),
]
AccountAtVenue = Annotated[str | None, Parameter(help="which account of the file, when it has several")]
PAPER = "paper"
CATALOGUE_PORT = 8700
ORDER_COLUMNS = ["order", "symbol", "side", "price", "quantity", "filled", "remaining", "status"]


def _paper(data: DataDirectory) -> Any:
    return Client(data).get("/venue")


def _wanted(
    name: str, data: Path, url: str | None, credentials: Path | None = None, account: str | None = None
) -> Any:
    from tradewind.cli.venue_reading import Wanted

    return Wanted(name=name, data=data, url=url, credentials=credentials, account=account)


@venue.command
def status(
    name: Name = PAPER,
    *,
    credentials: Credentials = None,
    account: AccountAtVenue = None,
    url: Url = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """What a venue accepts now. Only native needs a key. Exit 0 online, 1 something else, 2 not known."""
    if name != PAPER:
        from tradewind.cli import venue_outside

        return venue_outside.status(_wanted(name, data, url, credentials, account), json=json)
    document = _paper(data)["status"]
    if json:
        print_json(document)
    else:
        print_fields(document, title=f"Venue {name}")
    return 0


@venue.command
def symbols(
    name: Name = PAPER,
    *,
    credentials: Credentials = None,
    account: AccountAtVenue = None,
    url: Url = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Instruments with their filters. Only native needs a key."""
    if name != PAPER:
        from tradewind.cli import venue_outside

        return venue_outside.symbols(_wanted(name, data, url, credentials, account), json=json)
    rows = _paper(data)["symbols"]
    columns = ["symbol", "tick", "lot", "min quantity", "min notional", "source"]
    return show_rows(rows, columns, json=json, title=f"Symbols of {name}", empty="none", name="symbols")


@venue.command
def balances(
    name: Name = PAPER,
    *,
    credentials: Credentials = None,
    account: AccountAtVenue = None,
    url: Url = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Funds of the trader's account at the paper venue, or of a key for tools at an outside one.

    Make a key that may only read: the trading key is refused. Exit 2 and no list when not everything is
    known.
    """
    if name != PAPER:
        from tradewind.cli import venue_outside

        return venue_outside.balances(_wanted(name, data, url, credentials, account), json=json)
    rows = _paper(data)["balances"]
    columns = ["asset", "free", "held"]
    return show_rows(rows, columns, json=json, title=f"Balances at {name}", empty="none", name="balances")


@venue.command
def orders(
    name: Name = PAPER,
    *,
    credentials: Credentials = None,
    account: AccountAtVenue = None,
    url: Url = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Open orders of the trader's account at the paper venue, or of a key for tools at an outside one.

    Make a key that may only read: the trading key is refused. Exit 2 and no list when not everything is
    known.
    """
    if name != PAPER:
        from tradewind.cli import venue_outside

        return venue_outside.orders(_wanted(name, data, url, credentials, account), json=json)
    rows = Client(data).get("/orders", {"account": None, "market": None})["orders"]
    title = f"Open orders at {name}"
    return show_rows(rows, ORDER_COLUMNS, json=json, title=title, empty="none", name="orders")


@venue.command
def positions(
    name: Annotated[str, Parameter(help="an outside venue with positions: binance-usdm")],
    *,
    credentials: Credentials = None,
    account: AccountAtVenue = None,
    url: Url = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Positions of a key for tools at an outside venue, with their margin.

    Make a key that may only read: the trading key is refused. Exit 2 and no list when not everything is
    known, and at a venue without positions.
    """
    from tradewind.cli import venue_outside

    return venue_outside.positions(_wanted(name, data, url, credentials, account), json=json)


@venue.command
def ping(
    name: Annotated[Literal["kraken", "binance", "binance-usdm", "native"], Parameter(help="which venue")],
    *,
    url: Annotated[
        str | None, Parameter(help="another address than the venue's, e.g. of `venue serve`")
    ] = None,
    samples: Annotated[int, Parameter(help="questions for the time, 1 to 20")] = 3,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Round trips to a venue, the difference of the clocks, and what it says of its state. Needs no key; of
    the node of a data directory it uses the token that reads.
    """
    import asyncio

    import msgspec

    from tradewind.venues.market_data import FeedError
    from tradewind.venues.native.messages import ApiToken
    from tradewind.venues.ping import ping as ping_venue

    token = None
    try:
        if name == NATIVE:
            url, text = address(data, url)
            token = ApiToken(text)
        report = asyncio.run(ping_venue(name, url, samples, token=token))
    except ValueError as error:
        raise CommandFailure(ExitCode.CANNOT, "BAD_PING", str(error)) from error
    except FeedError as error:
        raise CommandFailure(ExitCode.RED, error.code, f"{name}: {error}") from error
    document = msgspec.to_builtins(report)
    if json:
        print_json(document)
    else:
        print_fields(document, title=f"Venue {name}")
    return ExitCode.OK


@venue.command
def diagnose(
    name: Annotated[Literal["kraken", "binance"], Parameter(help="which venue")],
    *,
    url: Annotated[
        str | None, Parameter(help="another address than the venue's, e.g. of `venue serve`")
    ] = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Venue status, keys, nonces, clock skew and limits in one look, within ten seconds; needs no secret.

    Works while the core is dead or holds the keys, and while the venue is away: then that part is unknown.
    Exit 0 all known and well, 1 something is wrong, 2 something is not known.
    """
    from tradewind.cli.venue_trouble import show_diagnosis

    return show_diagnosis(name, data, url, json=json)


SOURCE_COLUMNS = ["source", "markets", "batches", "failed", "quoted", "refreshed", "outage"]


@venue.command
def link(
    market: Annotated[str, Parameter(help="outcome market: number or id")],
    *,
    condition: Annotated[str, Parameter(help="the venue's id of it, 64 hexadecimal digits")],
    source: Annotated[str, Parameter(help="identity that publishes it")] = "oracle-1",
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Show in an outcome market what an outside venue trades (OPERATOR)."""
    body = {"market": market, "condition": condition, "source": source, "actor": actor}
    answer = Client(data).post("/venues/links", body)
    return show(answer, json=json, title=f"Market {market} shows the venue's {condition[:10]}…")


@venue.command
def sources(*, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Sources of venue quotes with their batches and outages."""
    rows = Client(data).get("/venues")["sources"]
    return show_rows(rows, SOURCE_COLUMNS, json=json, title="Sources", empty="none", name="sources")


@venue.command
def ingest(
    catalogue: Annotated[str, Parameter(help="address of the catalogue, e.g. of `venue serve`")],
    *,
    source: Annotated[str, Parameter(help="local identity that publishes")] = "oracle-1",
    once: Annotated[bool, Parameter(negative="", help="one batch, then leave")] = False,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Publish a catalogue's prices as a process of its own, beside a running platform.

    At most 50 requests in any 10 s. Start the platform without --catalogue, or the worker inside of it holds
    the identity.
    """
    from tradewind.cli.working import run_ingestion_worker

    return run_ingestion_worker(source, data, catalogue=catalogue, once=once, as_json=json)


@venue.command
def serve(
    name: Annotated[
        Literal["catalogue", "kraken", "binance", "binance-usdm", "polymarket"],
        Parameter(help="what to serve"),
    ] = "catalogue",
    *,
    markets: Annotated[int, Parameter(help="catalogue: markets of two outcomes, 1 to 65536")] = 21_000,
    port: Annotated[
        int | None,
        Parameter(help="port on the loopback interface, 0 for any free one; 8700 to 8704 by venue"),
    ] = None,
    seed: Annotated[int, Parameter(help="seed of the markets")] = 1,
    limit: Annotated[int, Parameter(help="catalogue: requests in any 10 s that are answered; 0 = all")] = 50,
    move: Annotated[
        float, Parameter(help="catalogue: part of the markets that moves by a tick every second")
    ] = 0.05,
    data: DataDirectory = DEFAULT_DATA,
    key_file: Annotated[
        Path | None, Parameter(help="API keys of clients; default: keys.json beside the journal")
    ] = None,
    liquidity: Annotated[
        Literal["generated", "none"], Parameter(help="whether the house makes the markets move")
    ] = "generated",
    misbehave: Annotated[Path | None, Parameter(help="plan of faults, TOML or JSON")] = None,
    control: Annotated[
        Path | None, Parameter(help="socket by which drills change the plan of faults")
    ] = None,
    metrics: Annotated[int | None, Parameter(help="port of /metrics; 0 for any free one")] = None,
    json: Json = False,
) -> int:
    """A venue on this machine that speaks the wire of the outside one, until interrupted.

    kraken, binance, binance-usdm (perpetual markets), polymarket: real orders of unmodified clients on our
    own engine, with an exchange of their own below the data directory. catalogue: prices of outcome
    markets to read.
    """
    if name == "catalogue":
        from tradewind.cli.working import serve_catalogue

        return serve_catalogue(
            markets, port=CATALOGUE_PORT if port is None else port, seed=seed, limit=limit, move=move
        )
    from tradewind.cli.gateway_serving import PORTS, Serving, serve_gateway

    return serve_gateway(
        Serving(
            venue=name,
            port=PORTS[name] if port is None else port,
            data=data,
            key_file=key_file,
            seed=seed,
            generated=liquidity == "generated",
            misbehave=misbehave,
            control=control,
            metrics=metrics,
            as_json=json,
        )
    )
