"""Suite `gateway`: orders through an exchange and over a venue's wire, each acknowledged durably.

The clients run in the same process and on the same core as the gateway, so that the figure of the wire is
what both together do: a gateway alone does more.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
import msgspec

from tradewind.gateways.exchange import Exchange, ExchangeConfiguration
from tradewind.gateways.keys import ApiKey
from tradewind.gateways.kraken.gateway import KrakenGateway, build
from tradewind.gateways.model import Order, PlaceRequest, Refused
from tradewind.lab.bench.context import Context, Figures, MeasureFailed, microseconds, per_second, percentile
from tradewind.lab.bench.node import quiet_log
from tradewind.venues.market_data import Side

SYMBOL: Final = "BTC/USD"
PRICE_TICKS: Final = 500_000
LOTS: Final = 100
ACCOUNTS: Final = 24
"""Each may have 150 orders: a venue's limits bind an account, not the gateway."""
IN_FLIGHT: Final = 8
"""Orders that a client has under way at once."""
TOKEN_PATH: Final = "/0/private/GetWebSocketsToken"  # noqa: S105 a path


def run(context: Context) -> Figures:
    """Orders a second through the exchange and over WebSocket, and the time of one order alone."""
    with quiet_log():
        return asyncio.run(_measure(context))


async def _measure(context: Context) -> Figures:
    count = context.effort.gateway_orders
    funds = {"USD": Decimal(1_000_000)}
    configuration = ExchangeConfiguration(accounts={f"client-{one}": funds for one in range(ACCOUNTS)})
    async with await Exchange.open(context.folder("gateway") / "data", configuration) as exchange:
        context.tell("orders through the exchange")
        direct = await _direct(exchange, count)
        context.tell("orders over WebSocket")
        gateway = build(exchange)
        async with gateway:
            figures = await _over_wire(gateway, count)
    return {"exchange": direct, "websocket": figures}


async def _direct(exchange: Exchange, count: int) -> Figures:
    """Places and cancels: nothing rests behind it."""

    async def client(account: str) -> None:
        for number in range(count):
            wish = PlaceRequest(
                symbol=SYMBOL, side=Side.BUY, price_ticks=PRICE_TICKS, lots=LOTS, client_id=f"{number}"
            )
            order = await exchange.place(account, wish)
            done = await exchange.cancel(account, order.order_id) if isinstance(order, Order) else order
            if isinstance(done, Refused):
                raise MeasureFailed(f"{account}: {done.refusal}: {done.message}")

    begin_ns = time.perf_counter_ns()
    await asyncio.gather(*(client(account) for account in exchange.configuration.accounts))
    elapsed_ns = time.perf_counter_ns() - begin_ns
    return {
        "orders_per_second": per_second(ACCOUNTS * count, elapsed_ns),
        "orders": ACCOUNTS * count,
        "cancels": ACCOUNTS * count,
    }


async def _over_wire(gateway: KrakenGateway, count: int) -> Figures:
    async with aiohttp.ClientSession() as session:
        clients = [_Client(gateway, key, session) for key in gateway.exchange.keys]
        for client in clients:
            await client.connect()
        singles = await clients[0].one_by_one(min(count, 100))
        begin_ns = time.perf_counter_ns()
        await asyncio.gather(*(client.pipelined(count) for client in clients[1:]))
        elapsed_ns = time.perf_counter_ns() - begin_ns
    orders = (ACCOUNTS - 1) * count
    return {
        "orders_per_second": per_second(orders, elapsed_ns),
        "ack_p50_us": microseconds(percentile(singles, 0.5)),
        "ack_p99_us": microseconds(percentile(singles, 0.99)),
        "orders": orders,
        "clients": ACCOUNTS - 1,
    }


class _Client:
    """One account on one connection."""

    def __init__(self, gateway: KrakenGateway, key: ApiKey, session: aiohttp.ClientSession) -> None:
        self._gateway, self._key, self._session = gateway, key, session
        self._token = ""
        self._wire: aiohttp.ClientWebSocketResponse | None = None
        self._sent = 0

    async def connect(self) -> None:
        body = urlencode({"nonce": "1"}).encode()
        inner = hashlib.sha256(b"1" + body).digest()
        signed = hmac.new(self._key.secret, TOKEN_PATH.encode() + inner, hashlib.sha512).digest()
        headers = {
            "API-Key": self._key.key,
            "API-Sign": base64.b64encode(signed).decode(),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        async with self._session.post(self._gateway.url + TOKEN_PATH, data=body, headers=headers) as answer:
            self._token = (await answer.json())["result"]["token"]
        self._wire = await self._session.ws_connect(self._gateway.socket_url + "/v2")

    async def one_by_one(self, count: int) -> list[int]:
        """Nanoseconds from sending an order to its durable answer."""
        samples = []
        for _ in range(count):
            begin_ns = time.perf_counter_ns()
            await self._send()
            await self._answer()
            samples.append(time.perf_counter_ns() - begin_ns)
        return samples

    async def pipelined(self, count: int) -> None:
        for _ in range(min(IN_FLIGHT, count)):
            await self._send()
        for number in range(count):
            await self._answer()
            if number + IN_FLIGHT < count:
                await self._send()

    async def _send(self) -> None:
        assert self._wire is not None
        self._sent += 1
        params = {
            "token": self._token,
            "symbol": SYMBOL,
            "side": "buy",
            "order_type": "limit",
            "limit_price": 50_000 + self._sent,
            "order_qty": 0.001,
            "cl_ord_id": f"bench-{self._sent}",
        }
        message = {"method": "add_order", "req_id": self._sent, "params": params}
        await self._wire.send_str(msgspec.json.encode(message).decode())

    async def _answer(self) -> None:
        assert self._wire is not None
        while True:
            frame: Any = msgspec.json.decode((await self._wire.receive()).data)
            if frame.get("method") == "add_order":
                break
        if not frame["success"]:
            raise MeasureFailed(f"an order was refused: {frame['error']}")
