"""A local venue with a watchdog's key, an incident service, and beats of a core that is only a file."""

from __future__ import annotations

import base64
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from tradewind.gateways.binance.gateway import BinanceGateway
from tradewind.gateways.exchange import Exchange, ExchangeConfiguration
from tradewind.gateways.keys import ApiKey, Right, new_key
from tradewind.gateways.kraken.desk import KrakenOptions
from tradewind.gateways.kraken.gateway import build
from tradewind.gateways.model import Order, PlaceRequest
from tradewind.node.limits import NodeLimits
from tradewind.trader.heartbeat import Beat, boot_now_ns, encode
from tradewind.venues.limits.store import this_moment
from tradewind.venues.market_data import Side

FUNDS = {"USD": 1_000_000, "USDT": 1_000_000}
ACCOUNT = "trader"
SYMBOLS = {"kraken": "BTC/USD", "binance": "BTC/USDT"}
TICKS = {"kraken": 600_000, "binance": 6_000_000}
CANCEL_ONLY = (Right.READ, Right.CANCEL)


class World:
    """One venue of this machine."""

    def __init__(self, name: str, exchange: Exchange, gateway: Any) -> None:
        self.name, self.exchange, self.gateway = name, exchange, gateway

    def key(self, rights: tuple[Right, ...] = CANCEL_ONLY) -> tuple[str, str]:
        """A new key of the account, and its secret as clients are given it."""
        key: ApiKey = new_key(ACCOUNT, rights=rights)
        self.exchange.keys.add(key)
        text = key.secret.decode() if self.name == "binance" else base64.b64encode(key.secret).decode()
        return key.key, text

    async def rest(self, count: int = 3) -> list[str]:
        """Orders that work; their ids at the venue."""
        ids = []
        for number in range(count):
            request = PlaceRequest(
                symbol=SYMBOLS[self.name],
                side=Side.BUY,
                price_ticks=TICKS[self.name] - 10 * number,
                lots=100,
                client_id=f"tw{number:016d}",
            )
            order = await self.exchange.place(ACCOUNT, request)
            assert isinstance(order, Order), order
            ids.append(str(order.client_id))
        return ids

    def working(self) -> list[str]:
        """Client ids of what works."""
        return [str(one.client_id) for one in self.exchange.orders(ACCOUNT, working=True, limit=1_000)]


@asynccontextmanager
async def venue(name: str, data: Path) -> Any:
    """An exchange behind the gateway of this name."""
    from decimal import Decimal

    funds = {asset: Decimal(amount) for asset, amount in FUNDS.items()}
    exchange = await Exchange.open(
        data, ExchangeConfiguration(accounts={ACCOUNT: funds}, limits=NodeLimits(space_reserved_bytes=0))
    )
    gateway = (
        build(exchange, KrakenOptions(limits_public=False)) if name == "kraken" else BinanceGateway(exchange)
    )
    await gateway.start()
    try:
        yield World(name, exchange, gateway)
    finally:
        await gateway.close()
        await exchange.close()


class Incidents:
    """An incident service that can be told to refuse."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.status = 202
        self.asked = 0
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        if self.status == 202:
            self.events.append(await request.json())
        return web.json_response({"status": "success"}, status=self.status)


@asynccontextmanager
async def incident_service() -> Any:
    service = Incidents()
    app = web.Application()
    app.router.add_post("/v2/enqueue", service.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    service.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v2/enqueue"
    try:
        yield service
    finally:
        await runner.cleanup()


def beat(name: str = "kraken", **changes: Any) -> Beat:
    """A fresh beat of a core that is well."""
    now_ns = boot_now_ns()
    fresh = Beat(
        version=1, venue=name, account=ACCOUNT, core="a", pid=1, number=1,
        boot_id=this_moment().boot_id, at_ns=now_ns, control_ns=now_ns, events_ns=now_ns,
    )  # fmt: skip
    return msgspec.structs.replace(fresh, **changes)


def put(path: Path, one: Beat) -> None:
    """Into the heartbeat file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(one))
    path.chmod(0o600)
