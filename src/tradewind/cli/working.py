"""Workers as processes of their own: `tradewind keeper run`, `tradewind oracle run`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec

from tradewind.api.identities import Identities, IdentityError, normal_name, open_identities
from tradewind.cli.client import Client
from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure
from tradewind.cli.output import note, print_fields, print_json
from tradewind.cli.signing import signer_of
from tradewind.keepers.alone import run_ingestion, run_keeper, run_oracle
from tradewind.keepers.lock import WorkerLocked
from tradewind.keepers.port import PortUnavailable
from tradewind.keepers.worker import WorkerEnded
from tradewind.observe.view import WorkerRow
from tradewind.venues.feeds.select import FeedRequest
from tradewind.venues.market_data import FeedError


def run_keeper_worker(kind: str, account: str, data: Path, *, once: bool, as_json: bool) -> int:
    """Exit status of a keeper's worker."""
    Client(data)  # says at once when no platform runs
    name, key = _identity(open_identities(data), account)
    return _run(
        run_keeper(data, kind, name, key, once=once, report=_reporter(as_json)), account, as_json=as_json
    )


def run_oracle_worker(
    account: str,
    data: Path,
    *,
    mode: str,
    venue: str,
    symbol: str,
    recordings: tuple[Path, ...],
    seed: int,
    key: Path | None,
    pinned: str | None,
    once: bool,
    as_json: bool,
) -> int:
    """Exit status of a price source."""
    env = str(Client(data).get("/status")["env"])
    signer = signer_of(data, account, key, pinned)
    name = normal_name(account)
    venue_symbol = symbol.replace("/", "") if venue == "binance" else symbol
    request = FeedRequest(venue=venue, symbols=(venue_symbol,), recordings=recordings, seed=seed)
    return _run(
        run_oracle(
            data, name, signer, env=env, mode=mode, request=request, once=once, report=_reporter(as_json)
        ),
        account,
        as_json=as_json,
    )


def run_ingestion_worker(source: str, data: Path, *, catalogue: str, once: bool, as_json: bool) -> int:
    """Exit status of a catalogue's worker."""
    Client(data)  # says at once when no platform runs
    if not catalogue.startswith(("http://", "https://")):
        raise CommandFailure(ExitCode.CANNOT, "BAD_ADDRESS", f"{catalogue!r} is no http or https address")
    name, key = _identity(open_identities(data), source)
    work = run_ingestion(data, name, key, catalogue=catalogue, once=once, report=_reporter(as_json))
    return _run(work, source, as_json=as_json)


def serve_catalogue(markets: int, *, port: int, seed: int, limit: int, move: float) -> int:
    """Exit status of a local catalogue that was interrupted."""
    from tradewind.venues.catalogue.server import MAX_MARKETS

    if not 1 <= markets <= MAX_MARKETS or not 0.0 <= move <= 1.0 or not limit >= 0:
        raise CommandFailure(
            ExitCode.CANNOT, "PARAMETER_OUT_OF_BOUNDS", f"1 to {MAX_MARKETS} markets, 0 <= move <= 1"
        )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_catalogue(markets, port, seed, limit, move))
    return ExitCode.OK


async def _catalogue(markets: int, port: int, seed: int, limit: int, move: float) -> None:
    from tradewind.venues.catalogue.server import Behaviour, CatalogueServer

    server = CatalogueServer(markets, seed=seed, behaviour=Behaviour(limit=limit))
    try:
        address = await server.start(port)
    except OSError as error:
        raise CommandFailure(ExitCode.CANNOT, "PORT_TAKEN", f"port {port}: {error.strerror}") from error
    note(f"{markets} markets at {address}")
    try:
        while True:
            await asyncio.sleep(1.0)
            server.move(int(move * 1_000_000))
    finally:
        await server.close()


def _identity(identities: Identities, name: str) -> tuple[str, bytes]:
    try:
        return normal_name(name), identities.key(name)
    except IdentityError as error:
        raise CommandFailure(ExitCode.CANNOT, error.code, str(error)) from error


def _reporter(as_json: bool) -> Any:
    def report(row: WorkerRow) -> None:
        if as_json:
            print_json(msgspec.to_builtins(row))
        else:
            note(
                f"{row.name} {row.state}: {row.accepted} accepted of {row.actions}, {row.detail}".rstrip(", ")
            )

    return report


def _run(work: Coroutine[Any, Any, WorkerRow], account: str, *, as_json: bool) -> int:
    try:
        row = asyncio.run(work)
    except WorkerLocked as error:
        raise CommandFailure(ExitCode.LOCKED, "LOCKED", str(error)) from error
    except WorkerEnded as end:
        raise CommandFailure(ExitCode.RED, end.code, str(end)) from end
    except PortUnavailable as error:
        raise CommandFailure(ExitCode.CANNOT, "UNAVAILABLE", str(error)) from error
    except FeedError as error:
        raise CommandFailure(ExitCode.CANNOT, "FEED_UNAVAILABLE", str(error)) from error
    document = msgspec.to_builtins(row)
    if as_json:
        print_json(document)
    else:
        print_fields({k: v for k, v in document.items() if v not in (None, "", {})}, title=account)
    return ExitCode.OK
