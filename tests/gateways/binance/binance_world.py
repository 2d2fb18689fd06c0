"""A Binance gateway on a small exchange, and a client that signs as the venue's documentation says."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from gateway_world import opened
from yarl import URL

from tradewind.gateways.binance.gateway import BinanceGateway
from tradewind.gateways.binance.streams import StreamOptions
from tradewind.gateways.exchange import Exchange
from tradewind.gateways.keys import ApiKey, Right, new_key

SYMBOL = "BTCUSDT"
CANONICAL = "BTC/USDT"
FUNDS = {"USDT": Decimal(1_000_000), "USD": Decimal(1_000_000), "BTC": Decimal(100), "ETH": Decimal(100)}
QUICK = StreamOptions(interval_scale=0.02, messages_per_s=1_000)


class Client:
    """Requests of one key. `clock_offset_ms` makes its clock wrong."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: ApiKey, signer: Any = None) -> None:
        self.session, self.url, self.key = session, url, key
        self.signer = signer
        self.secret = key.secret.decode() if signer is None else ""
        self.clock_offset_ms = 0

    def signature(self, payload: bytes) -> str:
        if self.signer is not None:
            return base64.b64encode(self.signer.sign(payload)).decode()
        return hmac.new(self.secret.encode(), payload, hashlib.sha256).hexdigest()

    def stamp(self) -> int:
        return time.time_ns() // 1_000_000 + self.clock_offset_ms

    def query(self, parameters: dict[str, Any]) -> str:
        """Parameters with time and signature, percent-encoded."""
        text = urlencode({"timestamp": self.stamp(), **parameters})
        return f"{text}&signature={quote(self.signature(text.encode()), safe='')}"

    async def raw(
        self, method: str, path: str, query: str = "", body: str | None = None, **headers: str
    ) -> tuple[int, Any, Any]:
        """Status, body, headers of a request as it is given."""
        url = URL(self.url + path + (f"?{query}" if query else ""), encoded=True)
        sent = {"X-MBX-APIKEY": self.key.key, **headers}
        if body is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        async with self.session.request(method, url, headers=sent, data=body) as reply:
            text = await reply.text()
            is_json = reply.headers["Content-Type"].startswith("application/json")
            return reply.status, msgspec.json.decode(text) if is_json else text, reply.headers

    async def signed(self, method: str, path: str, **parameters: Any) -> Any:
        """The result of a signed request that must succeed."""
        status, body, _ = await self.raw(method, path, self.query(parameters))
        assert status == 200, (status, body)
        return body

    async def refused(self, method: str, path: str, **parameters: Any) -> tuple[int, int, str]:
        """Status, code and text of a signed request that must fail."""
        status, body, _ = await self.raw(method, path, self.query(parameters))
        assert status != 200, body
        return status, body["code"], body["msg"]

    async def public(self, path: str, **parameters: Any) -> Any:
        status, body, _ = await self.raw("GET", path, urlencode(parameters))
        assert status == 200, (status, body)
        return body

    async def order(self, side: str, price: str, quantity: str, **more: Any) -> Any:
        """A limit order that must be accepted."""
        fields = {"symbol": SYMBOL, "side": side, "type": "LIMIT", "timeInForce": "GTC"}
        return await self.signed(
            "POST", "/api/v3/order", **{**fields, "price": price, "quantity": quantity, **more}
        )


class World:
    """Two clients with a key each, and everything behind them."""

    def __init__(self, exchange: Exchange, gateway: BinanceGateway, session: aiohttp.ClientSession) -> None:
        self.exchange, self.gateway, self.session = exchange, gateway, session
        self.demo = self.client("demo")
        self.other = self.client("other")

    def client(self, account: str, rights: tuple[Right, ...] = tuple(Right)) -> Client:
        key = new_key(account, rights=rights)
        self.exchange.keys.add(key)
        return Client(self.session, self.gateway.url, key)

    def edwards(self, account: str) -> Client:
        """A client with an Ed25519 key."""
        private = Ed25519PrivateKey.generate()
        key = ApiKey(
            key="ed" * 32,
            account=account,
            secret=private.public_key().public_bytes_raw(),
            algorithm="ed25519",
        )
        self.exchange.keys.add(key)
        return Client(self.session, self.gateway.url, key, private)

    async def still_book(self) -> None:
        """59,900 bid and 60,100 asked by the other client, one BTC each, and one trade at 60,000."""
        await self.other.order("SELL", "60000", "0.01")
        await self.demo.order("BUY", "60000", "0.01")
        await self.other.order("BUY", "59900", "1")
        await self.other.order("SELL", "60100", "1")

    @asynccontextmanager
    async def socket(self, path: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        async with self.session.ws_connect(self.gateway.socket_url + path) as one:
            yield one


@asynccontextmanager
async def world(data: Path, **changes: Any) -> AsyncIterator[World]:
    options = changes.pop("gateway", {"options": QUICK})
    accounts = {"demo": FUNDS, "other": FUNDS, "third": FUNDS}
    async with (
        opened(data, accounts=accounts, **changes) as exchange,
        BinanceGateway(exchange, **options) as gateway,
        aiohttp.ClientSession() as session,
    ):
        yield World(exchange, gateway, session)
