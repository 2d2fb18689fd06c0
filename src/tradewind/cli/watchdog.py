"""`tradewind watchdog`: the process of its own that cancels when the trading core is silent."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import Parameter

from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json, note

START_RIGHTS_S = 10.0
STATUS_S = 0.5
ROUTING_KEY_BYTES = 256


def watchdog(
    venue: Annotated[Literal["kraken", "binance"], Parameter(help="which venue")],
    *,
    account: Annotated[str, Parameter(help="account of the core, as its heartbeat names it")],
    heartbeat: Annotated[Path, Parameter(help="heartbeat file of the core")],
    credentials: Annotated[
        Path, Parameter(help="file with API_KEY and API_SECRET of the watchdog's own key (mode 0600)")
    ],
    purpose: Annotated[
        Literal["timer", "stops"],
        Parameter(help="timer: cancel everything; stops: all but the orders that protect positions"),
    ],
    url: Annotated[str, Parameter(help="another address than the venue's, e.g. of `venue serve`")] = "",
    page_url: Annotated[str, Parameter(help="where pages go (Events v2 by POST)")] = "",
    page_key: Annotated[Path | None, Parameter(help="file with the routing key of pages (mode 0600)")] = None,
    no_page: Annotated[bool, Parameter(negative="", help="nobody is paged; pages go to the log")] = False,
    allow_trading_key: Annotated[
        bool, Parameter(negative="", help="the venue cannot tell cancelling from trading")
    ] = False,
    data: DataDirectory = DEFAULT_DATA,
    metrics: Annotated[int | None, Parameter(help="port of /metrics; 0 for any free one")] = None,
    json: Json = False,
) -> int:
    """Cancel the account's orders at the venue while its core is silent for more than 10 s, or has had no
    order control for more than 40 s; until the venue shows that none is left. Never trades, never closes.

    Runs until it is interrupted; a second one with the same key leaves with exit status 75.
    """
    from tradewind.observe.logs import configure_logs
    from tradewind.venues.transport.credentials import CredentialsError, read_credentials

    if bool(page_url) == no_page:
        raise CommandFailure(ExitCode.CONFIG, "NO_PAGE_URL", "state either --page-url or --no-page")
    try:
        pair = read_credentials(credentials)
        routing_key = _routing_key(page_key)
    except CredentialsError as error:
        raise CommandFailure(ExitCode.CONFIG, error.code, str(error)) from error
    folder = data / "watchdog" / f"{venue}-{account}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    configure_logs(folder)

    async def serve() -> int:
        from tradewind.trader.watchdog.paths import open_path
        from tradewind.trader.watchdog.watch import Pages, Watchdog
        from tradewind.venues.transport.dead_man import Purpose

        pages = Pages(url=page_url, routing_key=routing_key, source=socket.gethostname())
        async with open_path(venue, pair.key, pair.secret, data=data, url=url) as path:
            dog = Watchdog(heartbeat, path, folder, pages=pages, account=account, purpose=Purpose(purpose))
            try:
                await _check_key(dog, allow_trading_key)
                return await _until_stopped(dog, venue, metrics, json)
            finally:
                await asyncio.to_thread(dog.close)

    return asyncio.run(serve())


def _routing_key(path: Path | None) -> str:
    from tradewind.venues.transport.credentials import OTHERS, CredentialsError

    if path is None:
        return ""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_mode & OTHERS:
            raise CredentialsError("CREDENTIALS_EXPOSED", f"others may read {path}: chmod 600 it")
        return file.read(ROUTING_KEY_BYTES).decode("ascii", "replace").strip()


async def _check_key(dog: Any, allow_trading_key: bool) -> None:
    """A key that trades is refused; one that cannot cancel too. Unknown (the venue is away) is no refusal:
    the watchdog has to run just then.
    """
    rights = await dog.check_rights()
    if rights.cancels is False:
        raise CommandFailure(ExitCode.CONFIG, "KEY_CANNOT_CANCEL", "the venue lets this key cancel nothing")
    if rights.trades and not allow_trading_key:
        message = "this key may trade: make one that can only cancel, or say --allow-trading-key"
        raise CommandFailure(ExitCode.CONFIG, "KEY_MAY_TRADE", message)


async def _until_stopped(dog: Any, venue: str, metrics: int | None, json: bool) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    server = None
    if metrics is not None:
        from tradewind.cli.gateway_serving import serve_metrics
        from tradewind.observe.watchdog import WatchdogCollector, render

        collector = WatchdogCollector(venue, dog.status)
        server = await serve_metrics(metrics, lambda: render(collector))
    running = asyncio.create_task(dog.run())
    stopped = asyncio.create_task(stop.wait())
    if json:
        # one line, at once: a supervisor reads it from a pipe
        print(
            msgspec.json.encode({"event": "watching", "venue": venue, "pid": os.getpid()}).decode(),
            flush=True,
        )
    else:
        note(f"watching the core at {venue}; interrupt to stop")
    try:
        await asyncio.wait([running, stopped], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        return ExitCode.OK
    finally:
        for task in (running, stopped):
            task.cancel()
        await asyncio.gather(running, stopped, return_exceptions=True)
        if server is not None:
            await server.close()


def main() -> None:
    """The script `tradewind-watchdog`: the same verb as a command of its own."""
    import sys

    from tradewind.cli import main as run

    run(["watchdog", *sys.argv[1:]])
