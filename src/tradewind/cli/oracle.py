"""`tradewind oracle`: feeds, their sources, prices, emergency overrides."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from tradewind.cli.answers import show, show_rows
from tradewind.cli.client import Client, segment
from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.options import Actor, ClientKey
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json, print_fields, print_json, print_rows

oracle = App(name="oracle", help="Feeds: register, sources, publish, verify, override, list, show.")
Feed = Annotated[str, Parameter(help="feed: symbol or number")]
KeyFile = Annotated[
    Path | None, Parameter(help="file with the source's private key, mode 600; default: that of --as")
]
Pinned = Annotated[
    str | None, Parameter(help="the only deployment to sign for, 64 hexadecimal digits (oracle show)")
]
MAX_SHOWN = 100
COLUMNS = ["feed", "symbol", "state", "index", "confidence", "age ms", "passing", "quorum", "updates"]
SOURCE_COLUMNS = ["name", "weight", "value", "confidence", "age ms", "gate"]


@oracle.command
def register(
    symbol: Annotated[str, Parameter(help="name of the feed, such as BTC")],
    *,
    kind: Annotated[Literal["asset", "probability"], Parameter(help="what the price is")] = "asset",
    quorum: Annotated[int, Parameter(help="sources that must pass")] = 2,
    interval_ms: Annotated[int, Parameter(help="expected time between updates of a source")] = 1_000,
    max_confidence_ppm: Annotated[int, Parameter(help="largest confidence over value")] = 10_000,
    max_deviation_bp: Annotated[int, Parameter(help="largest deviation between sources")] = 200,
    fallback: Annotated[str | None, Parameter(help="feed that is used when this one fails")] = None,
    client_key: ClientKey = None,
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Register a feed (RISK). It is usable when the weights of its sources sum to 100."""
    body = {
        "symbol": symbol,
        "kind": kind,
        "quorum": quorum,
        "interval_ms": interval_ms,
        "max_confidence_ppm": max_confidence_ppm,
        "max_deviation_bp": max_deviation_bp,
        "fallback": fallback,
        "client_key": client_key,
        "actor": actor,
    }
    return show(Client(data).post("/feeds", body), json=json, title=f"Feed {symbol} registered")


@oracle.command
def update(
    name: Feed,
    *,
    quorum: Annotated[int | None, Parameter(help="sources that must pass")] = None,
    interval_ms: Annotated[int | None, Parameter(help="expected time between updates")] = None,
    max_confidence_ppm: Annotated[int | None, Parameter(help="largest confidence over value")] = None,
    max_deviation_bp: Annotated[int | None, Parameter(help="largest deviation between sources")] = None,
    fallback: Annotated[str | None, Parameter(help="other feed, or none")] = None,
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Change the limits of a feed (RISK)."""
    body = {
        "quorum": quorum,
        "interval_ms": interval_ms,
        "max_confidence_ppm": max_confidence_ppm,
        "max_deviation_bp": max_deviation_bp,
        "fallback": fallback,
        "actor": actor,
    }
    answer = Client(data).post(f"/feeds/{segment(name)}/update", body)
    return show(answer, json=json, title=f"Feed {name} changed")


@oracle.command
def source(
    name: Feed,
    principal: Annotated[str, Parameter(help="local name such as oracle-1, or public key")],
    weight: Annotated[int, Parameter(help="weight of 100; 0 removes the source")],
    *,
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Add, reweigh or remove a source of a feed (RISK)."""
    body = {"source": principal, "weight": weight, "actor": actor}
    answer = Client(data).post(f"/feeds/{segment(name)}/sources", body)
    return show(answer, json=json, title=f"Source {principal} of {name}: weight {weight}")


@oracle.command
def publish(
    name: Feed,
    value: Annotated[str, Parameter(help="price in the settlement asset")],
    *,
    confidence: Annotated[str, Parameter(help="half width of the source's uncertainty")] = "0",
    bid: Annotated[str | None, Parameter(help="best bid of the source")] = None,
    ask: Annotated[str | None, Parameter(help="best ask of the source")] = None,
    age_ms: Annotated[int, Parameter(help="how old the price is")] = 0,
    source_seq: Annotated[int | None, Parameter(help="the source's own counter")] = None,
    key: KeyFile = None,
    deployment: Pinned = None,
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Publish a price as a source (ORACLE), signed with its private key.

    The key is that of --as (oracle-1) in this data directory, or the file of --key, which nobody else may
    read. What is signed: value, confidence, bid, ask, time, number, feed and deployment.
    """
    from tradewind.cli.signing import signed_price

    client = Client(data)
    money = {"value": value, "confidence": confidence, "bid": bid, "ask": ask}
    body = signed_price(
        client, name, money, age_ms=age_ms, source_seq=source_seq, actor=actor, key=key, pinned=deployment
    )
    answer = client.post(f"/feeds/{segment(name)}/prices", body)
    return show(answer, json=json, title=f"Price of {name} published")


@oracle.command
def override(
    name: Feed,
    action: Annotated[
        Literal["lift", "exclude", "invalid", "fallback"],
        Parameter(help="lift, exclude a source, force invalid, use the fallback feed"),
    ],
    *,
    source: Annotated[str | None, Parameter(help="the source to exclude")] = None,
    for_s: Annotated[int, Parameter(help="until it ends by itself, at most 24 h")] = 3_600,
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Emergency override. Two people: --as emergency, then --as emergency-2. No price is set by hand."""
    body = {"action": action, "source": source, "for_s": for_s, "actor": actor}
    answer = Client(data).post(f"/feeds/{segment(name)}/override", body)
    waiting = answer.get("effect", {}).get("pending")
    title = (
        f"Override of {name}: a second person must approve" if waiting else f"Override of {name}: {action}"
    )
    return show(answer, json=json, title=title)


@oracle.command
def verify(*, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Check in the log that a signature of its source stands for every price, with or without a platform.

    Exit 1 when one has none: `unproven` are the first sequence numbers.
    """
    from tradewind.cli.journal import journal_path
    from tradewind.core import journal
    from tradewind.core.native import journal_genesis
    from tradewind.node.publications import unattested
    from tradewind.security.publications import deployment_id

    path = journal_path(data)
    deployment = deployment_id(journal_genesis(path))
    count, unproven = unattested(deployment, journal.batches(path))
    document = {
        "deployment": deployment.hex(),
        "publications": count,
        "unproven_count": len(unproven),
        "unproven": unproven[:MAX_SHOWN],
    }
    if json:
        print_json(document)
    else:
        print_fields(document, title=f"Prices in {path}")
    return ExitCode.RED if unproven else ExitCode.OK


@oracle.command(name="list")
def list_feeds(*, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Every feed with its state, index and age."""
    rows = Client(data).get("/feeds")["feeds"]
    return show_rows(rows, COLUMNS, json=json, title="Feeds", empty="no feeds", name="feeds")


@oracle.command(name="show")
def show_feed(name: Feed, *, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """One feed with its sources."""
    document = Client(data).get(f"/feeds/{segment(name)}")
    if json:
        print_json(document)
        return 0
    print_fields({k: v for k, v in document.items() if k != "sources"}, title=f"Feed {document['symbol']}")
    print_rows(document["sources"], SOURCE_COLUMNS, title="Sources", empty="no sources")
    return 0


@oracle.command
def run(
    *,
    actor: Actor = "oracle-1",
    feed: Annotated[
        Literal["live", "replay", "generated"], Parameter(help="this source's own market data")
    ] = "live",
    venue: Annotated[Literal["binance", "kraken"], Parameter(help="venue of live market data")] = "binance",
    symbol: Annotated[str, Parameter(help="market whose middle is published")] = "BTC/USDT",
    replay: Annotated[list[Path] | None, Parameter(help="recordings for --feed replay")] = None,
    seed: Annotated[int, Parameter(help="seed of the generated market")] = 20_240_808,
    once: Annotated[bool, Parameter(negative="", help="one price, then leave")] = False,
    key: KeyFile = None,
    deployment: Pinned = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Publish as one source from market data of its own, beside a running platform, signing with its key.

    A source without fresh data is silent. It reads only the feeds that name it (tradewind oracle source).
    """
    from tradewind.cli.working import run_oracle_worker

    return run_oracle_worker(
        actor or "oracle-1",
        data,
        mode=feed,
        venue=venue,
        symbol=symbol,
        recordings=tuple(replay or ()),
        seed=seed,
        key=key,
        pinned=deployment,
        once=once,
        as_json=json,
    )
