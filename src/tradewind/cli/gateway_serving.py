"""`tradewind venue serve kraken|binance|binance-usdm|polymarket`: a local venue on an exchange of its own."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web

from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure, not_built
from tradewind.cli.output import note, print_json
from tradewind.core.errors import JournalFailure, JournalLocked, TradewindError
from tradewind.gateways.exchange import Exchange, ExchangeConfiguration
from tradewind.gateways.exchange_setup import DEFAULT_PERPETUALS, SetupRefused
from tradewind.gateways.fault_control import FaultControl
from tradewind.gateways.faults import FaultError, Plan
from tradewind.gateways.keys import KeyFileError
from tradewind.gateways.liquidity import Liquidity, LiquidityConfiguration
from tradewind.gateways.server import LOOPBACK, Gateway
from tradewind.observe.gateways import GatewayCollector, render
from tradewind.observe.logs import configure_logs
from tradewind.observe.metrics import CONTENT_TYPE

PORTS: Final = {"kraken": 8701, "binance": 8702, "polymarket": 8703, "binance-usdm": 8704}
DIRECTORY_MODE: Final = 0o700
STATUS_S: Final = 0.5
"""How often the failure of a part is looked for."""


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """What the verb was asked for."""

    venue: str
    port: int
    data: Path
    key_file: Path | None
    seed: int
    generated: bool
    misbehave: Path | None
    control: Path | None
    metrics: int | None
    as_json: bool


def serve_gateway(wanted: Serving) -> int:
    """Exit status of a gateway that was stopped."""
    build = _builder(wanted.venue)
    plan = _plan(wanted.misbehave)
    try:
        return asyncio.run(_serve(wanted, build, plan))
    except JournalLocked as error:
        raise CommandFailure(ExitCode.LOCKED, "LOCKED", str(error)) from error
    except KeyFileError as error:
        raise CommandFailure(ExitCode.CONFIG, error.code, str(error)) from error
    except SetupRefused as error:
        raise CommandFailure(ExitCode.CANNOT, "SETUP_REFUSED", str(error)) from error
    except (JournalFailure, TradewindError) as error:
        raise CommandFailure(ExitCode.RED, error.name, str(error)) from error


MODULES: Final = {"binance-usdm": "tradewind.gateways.binance.usdm_gateway"}
"""Gateways that lie in the folder of another one."""
PERPETUAL: Final = frozenset({"binance-usdm"})
"""Venues whose exchange has perpetual markets alone."""


def _configuration(venue: str) -> ExchangeConfiguration:
    if venue in PERPETUAL:
        return ExchangeConfiguration(venue=venue, markets=(), perpetuals=DEFAULT_PERPETUALS)
    return ExchangeConfiguration(venue=venue)


def _builder(venue: str) -> Any:
    if venue in MODULES:
        return importlib.import_module(MODULES[venue]).build
    try:
        module = importlib.import_module(f"tradewind.gateways.{venue}")
    except ModuleNotFoundError as error:
        raise not_built(f"gateway {venue!r}") from error
    build = getattr(module, "build", None)
    if build is None:
        try:
            build = importlib.import_module(f"tradewind.gateways.{venue}.gateway").build
        except (ModuleNotFoundError, AttributeError) as error:
            raise not_built(f"gateway {venue!r}") from error
    return build


def _plan(path: Path | None) -> Plan:
    if path is None:
        return Plan()
    try:
        return Plan.read(path)
    except (FaultError, OSError) as error:
        raise CommandFailure(ExitCode.CANNOT, "BAD_PLAN", f"{path}: {error}") from error


def folder_of(wanted: Serving) -> Path:
    """Each venue has an exchange of its own below the data directory."""
    return wanted.data / f"gateway-{wanted.venue}"


async def _serve(wanted: Serving, build: Any, plan: Plan) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    folder = folder_of(wanted)
    await asyncio.to_thread(folder.mkdir, mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    configure_logs(folder)
    exchange = await Exchange.open(folder, _configuration(wanted.venue), key_file=wanted.key_file)
    closing: list[Any] = [exchange]
    try:
        exchange.faults.replace(plan)
        house = Liquidity(exchange, LiquidityConfiguration(seed=wanted.seed)) if wanted.generated else None
        if house is not None:
            closing.append(house)
            await house.start()
        gateway: Gateway = build(exchange)
        closing.append(gateway)
        await _started(gateway, wanted.port)
        if wanted.control is not None:
            control = FaultControl(exchange.faults, wanted.control)
            closing.append(control)
            await control.start()
        if wanted.metrics is not None:
            collector = GatewayCollector(gateway, house)
            closing.append(await serve_metrics(wanted.metrics, lambda: render(collector)))
        _announce(wanted, gateway, await asyncio.to_thread(_write_credentials, folder, gateway))
        return await _until(stop, exchange, house)
    finally:
        for part in reversed(closing):
            await part.close()


async def _started(gateway: Gateway, port: int) -> None:
    try:
        await gateway.start(port)
    except OSError as error:
        raise CommandFailure(ExitCode.CANNOT, "PORT_TAKEN", f"port {port}: {error.strerror}") from error


class _MetricsServer:
    """`GET /metrics` on a port of its own: a venue has no such path."""

    def __init__(self, runner: web.AppRunner) -> None:
        self._runner = runner

    async def close(self) -> None:
        await self._runner.cleanup()


async def serve_metrics(port: int, scrape: Callable[[], bytes]) -> _MetricsServer:
    """`GET /metrics` on the loopback interface. Raises `CommandFailure` PORT_TAKEN."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=scrape(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.router.add_get("/metrics", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, port).start()
    except OSError as error:
        await runner.cleanup()
        raise CommandFailure(ExitCode.CANNOT, "PORT_TAKEN", f"port {port}: {error.strerror}") from error
    note(f"metrics at http://{LOOPBACK}:{runner.addresses[0][1]}/metrics")
    return _MetricsServer(runner)


def _write_credentials(folder: Path, gateway: Gateway) -> Path:
    """What clients are configured with, in a file that only its owner can read."""
    path = folder / "client.env"
    rows = []
    for key in gateway.exchange.keys:
        rows += [f"# account {key.account}"]
        rows += [f"{name}={value}" for name, value in gateway.credentials(key).items()]
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write("\n".join(rows) + "\n")
    return path


def _announce(wanted: Serving, gateway: Gateway, credentials: Path) -> None:
    keys = gateway.exchange.keys
    document = {
        "venue": wanted.venue,
        "url": gateway.url,
        "socket_url": gateway.socket_url,
        "keys": str(keys.path),
        "credentials": str(credentials),
        "accounts": sorted({one.account for one in keys}),
        "markets": list(gateway.exchange.markets),
    }
    if wanted.as_json:
        print_json(document)
    else:
        note(f"{wanted.venue} at {gateway.url} and {gateway.socket_url}")
        note(f"key and secret of account {', '.join(document['accounts'])}: {credentials} (mode 0600)")


async def _until(stop: asyncio.Event, exchange: Exchange, house: Liquidity | None) -> int:
    while not stop.is_set():
        try:
            await asyncio.wait_for(stop.wait(), STATUS_S)
        except TimeoutError:
            reason = exchange.node.stop_reason or (None if house is None else house.failure)
            if reason is not None:
                raise CommandFailure(ExitCode.RED, "STOPPED", reason) from None
    return ExitCode.OK
