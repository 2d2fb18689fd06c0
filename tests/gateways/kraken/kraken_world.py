"""A Kraken gateway for the tests, and a raw client that signs by the venue's rules with code of its own."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import aiohttp

from tradewind.gateways.exchange import Exchange
from tradewind.gateways.keys import ApiKey, new_key
from tradewind.gateways.kraken.desk import KrakenOptions
from tradewind.gateways.kraken.gateway import KrakenGateway, build

DEADLINE_S = 10.0


def sign(secret: bytes, path: str, nonce: str, data: bytes) -> str:
    """API-Sign as the venue documents it; not the product's function."""
    inner = hashlib.sha256(nonce.encode() + data).digest()
    return base64.b64encode(hmac.new(secret, path.encode() + inner, hashlib.sha512).digest()).decode()


class Client:
    """Raw REST and WebSocket v2 of one key."""

    def __init__(
        self, gateway: KrakenGateway, key: ApiKey, session: aiohttp.ClientSession, nonce: int = 1
    ) -> None:
        self.gateway, self.key, self.session, self.nonce = gateway, key, session, nonce

    async def raw(self, method: str, path: str, **options: Any) -> tuple[int, bytes]:
        async with self.session.request(method, self.gateway.url + path, **options) as answer:
            return answer.status, await answer.read()

    async def public(self, name: str, **fields: Any) -> Any:
        """The result; the error texts as an AssertionError otherwise."""
        return result_of(await self.raw("GET", f"/0/public/{name}", params=fields))

    async def private_raw(self, name: str, fields: dict[str, Any] | None = None, *, as_json: bool = False,
                          nonce: int | str | None = None, secret: bytes | None = None, key: str | None = None,
                          spoil: bytes | None = None) -> tuple[int, bytes]:  # fmt: skip
        """A signed request; `spoil` is sent instead of the signed body."""
        if nonce is None:
            self.nonce += 1
            nonce = self.nonce
        values = {"nonce": str(nonce), **(fields or {})}
        body = (json.dumps(values) if as_json else urlencode(values)).encode()
        path = f"/0/private/{name}"
        kind = "application/json" if as_json else "application/x-www-form-urlencoded"
        signed = sign(self.key.secret if secret is None else secret, path, str(nonce), body)
        headers = {"API-Key": self.key.key if key is None else key, "API-Sign": signed, "Content-Type": kind}
        return await self.raw("POST", path, data=body if spoil is None else spoil, headers=headers)

    async def private(self, name: str, fields: dict[str, Any] | None = None, **options: Any) -> Any:
        """The result; the error texts as an AssertionError otherwise."""
        return result_of(await self.private_raw(name, fields, **options))

    async def errors(self, name: str, fields: dict[str, Any] | None = None, **options: Any) -> list[str]:
        """The error texts of a call that must fail with status 200."""
        status, body = await self.private_raw(name, fields, **options)
        assert status == 200
        answer = json.loads(body)
        assert "result" not in answer, answer
        return answer["error"]

    async def order(
        self, side: str, price: str, volume: str = "0.001", pair: str = "XBTUSD", **fields: Any
    ) -> str:
        """The id of a limit order."""
        wish = {"pair": pair, "type": side, "ordertype": "limit", "price": price, "volume": volume, **fields}
        [txid] = (await self.private("AddOrder", wish))["txid"]
        return txid

    async def token(self) -> str:
        return (await self.private("GetWebSocketsToken"))["token"]

    @asynccontextmanager
    async def socket(self) -> AsyncIterator[Wire]:
        async with self.session.ws_connect(self.gateway.socket_url + "/v2") as connection:
            yield Wire(connection)


class Wire:
    """One WebSocket. `frames` is everything that came, decoded with `Decimal`."""

    def __init__(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        self.connection = connection
        self.frames: list[dict[str, Any]] = []
        self.texts: list[str] = []
        self.seen = 0

    async def send(self, **message: Any) -> None:
        await self.connection.send_str(json.dumps(message))

    async def request(self, method: str, req_id: int | None = None, **params: Any) -> None:
        await self.send(method=method, params=params, **({} if req_id is None else {"req_id": req_id}))

    async def next(self, wanted: Any = lambda frame: True) -> dict[str, Any]:
        """The next wanted frame behind the last one that was taken; it must come within a deadline."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                while self.seen < len(self.frames):
                    frame = self.frames[self.seen]
                    self.seen += 1
                    if wanted(frame):
                        return frame
                message = await self.connection.receive()
                assert message.type is aiohttp.WSMsgType.TEXT, message
                self.texts.append(message.data)
                self.frames.append(json.loads(message.data, parse_float=Decimal))

    async def of(self, channel: str, kind: str | None = None) -> dict[str, Any]:
        return await self.next(lambda one: one.get("channel") == channel and kind in (None, one.get("type")))

    async def ack(self, method: str, req_id: int | None = None) -> dict[str, Any]:
        return await self.next(lambda one: one.get("method") == method and one.get("req_id") == req_id)

    async def execution(self, exec_type: str) -> dict[str, Any]:
        """The row of the next `executions` update of this type."""

        def wanted(one: dict[str, Any]) -> bool:
            return one.get("channel") == "executions" and any(
                row["exec_type"] == exec_type for row in one["data"]
            )

        return (await self.next(wanted))["data"][0]


def result_of(answer: tuple[int, bytes]) -> Any:
    status, body = answer
    assert status == 200, answer
    decoded = json.loads(body)
    assert decoded["error"] == [], decoded
    return decoded["result"]


async def until(condition: Callable[[], bool], what: str) -> None:
    """Waits for a condition; fails behind a deadline."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"{what}: not within {DEADLINE_S} s") from None


class World:
    """An exchange, its gateway, and clients of two accounts."""

    def __init__(self, exchange: Exchange, gateway: KrakenGateway, session: aiohttp.ClientSession) -> None:
        self.exchange, self.gateway, self.session = exchange, gateway, session
        self.demo, self.other = self.client("demo"), self.client("other")

    def client(self, account: str, **options: Any) -> Client:
        key = new_key(account, **options)
        self.exchange.keys.add(key)
        return Client(self.gateway, key, self.session)


@asynccontextmanager
async def served(exchange: Exchange, **options: Any) -> AsyncIterator[World]:
    """A world without public limits; pass `limits_public=True` for them."""
    gateway = build(exchange, KrakenOptions(**({"limits_public": False} | options)))
    await gateway.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield World(exchange, gateway, session)
    finally:
        await gateway.close()


async def traded(world: World) -> str:
    """A half-filled buy order of demo, sold to by other."""
    txid = await world.demo.order("buy", "60000.0", "0.00200")
    await world.other.order("sell", "60000.0", "0.00050")
    return txid
