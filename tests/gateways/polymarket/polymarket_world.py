"""A Polymarket gateway for the tests, and a raw client that signs by the venue's rules."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp

from tradewind.gateways.exchange import Exchange, ExchangeConfiguration
from tradewind.gateways.exchange_outcomes import OutcomeConfiguration
from tradewind.gateways.outcome_model import OutcomeMarket, Token
from tradewind.gateways.polymarket.desk import PolymarketOptions
from tradewind.gateways.polymarket.gateway import PolymarketGateway, build
from tradewind.gateways.polymarket.wallets import WalletOf
from tradewind.node.limits import NodeLimits
from tradewind.venues.polymarket.typed_data import (
    EXCHANGES,
    ZERO_WORD,
    OrderMessage,
    auth_digest,
    order_digest,
)
from tradewind.venues.polymarket.wallet import Wallet

DEADLINE_S = 10.0
LIMITS = NodeLimits(space_reserved_bytes=0)
MARKETS = (
    OutcomeMarket(slug="rain", question="Rain?"),
    OutcomeMarket(slug="snow", question="Snow?", tick=Decimal("0.001"), neg_risk=True),
)
SECRETS = {"alice": "01" * 32, "bob": "02" * 32, "stranger": "03" * 32}


class Client:
    """One wallet with its key; everything is signed here, not by the product's client code."""

    def __init__(self, gateway: PolymarketGateway, name: str, session: aiohttp.ClientSession) -> None:
        self.gateway, self.session, self.name = gateway, session, name
        self.wallet = Wallet.from_text(SECRETS[name])
        self.address = self.wallet.address()
        self.creds: dict[str, str] = {}
        self.salt = 1

    async def raw(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None,
                  query: str = "") -> tuple[int, Any]:  # fmt: skip
        url = self.gateway.url + path + (f"?{query}" if query else "")
        async with self.session.request(method, url, data=body or None, headers=headers) as answer:
            text = await answer.text()
            return answer.status, json.loads(text, parse_float=Decimal) if text else None

    async def get(self, path: str, query: str = "") -> Any:
        status, found = await self.raw("GET", path, query=query)
        assert status == 200, found
        return found

    # ---- level 1 -------------------------------------------------------------------------------------

    def l1(
        self, nonce: int = 0, *, timestamp: int | None = None, wallet: Wallet | None = None
    ) -> dict[str, str]:
        moment = str(int(time.time()) if timestamp is None else timestamp)
        digest = auth_digest(self.address, moment, nonce, 137)
        return {
            "POLY_ADDRESS": self.address,
            "POLY_SIGNATURE": "0x" + (wallet or self.wallet).sign(digest).hex(),
            "POLY_TIMESTAMP": moment,
            "POLY_NONCE": str(nonce),
        }

    async def log_in(self, nonce: int = 0) -> Client:
        status, found = await self.raw("POST", "/auth/api-key", headers=self.l1(nonce))
        assert status == 200, found
        self.creds = found
        return self

    # ---- level 2 -------------------------------------------------------------------------------------

    def l2(self, method: str, path: str, body: bytes = b"", *, timestamp: int | None = None,
           secret: str | None = None) -> dict[str, str]:  # fmt: skip
        moment = str(int(time.time()) if timestamp is None else timestamp)
        raw = base64.urlsafe_b64decode(secret or self.creds["secret"])
        digest = hmac.new(
            raw, moment.encode() + method.encode() + path.encode() + body, hashlib.sha256
        ).digest()
        return {
            "POLY_ADDRESS": self.address,
            "POLY_SIGNATURE": base64.urlsafe_b64encode(digest).decode(),
            "POLY_TIMESTAMP": moment,
            "POLY_API_KEY": self.creds["apiKey"],
            "POLY_PASSPHRASE": self.creds["passphrase"],
        }

    async def signed(self, method: str, path: str, payload: Any = None, query: str = "") -> tuple[int, Any]:
        body = b"" if payload is None else json.dumps(payload, separators=(",", ":")).encode()
        return await self.raw(method, path, body, self.l2(method, path, body), query)

    async def done(self, method: str, path: str, payload: Any = None, query: str = "") -> Any:
        status, found = await self.signed(method, path, payload, query)
        assert status == 200, (status, found)
        return found

    # ---- orders --------------------------------------------------------------------------------------

    def payload(self, token: Token, side: str, price: str, size: str, order_type: str = "GTC", *,
                contract: str | None = None, **changes: Any) -> dict[str, Any]:  # fmt: skip
        """A signed order; `changes` are made behind the signature."""
        self.salt += 1
        shares = int(Decimal(size) * 10**6)
        quote = int(Decimal(size) * Decimal(price) * 10**6)
        amounts = (quote, shares) if side == "BUY" else (shares, quote)
        return self.of_amounts(token, side, amounts, order_type, contract=contract, **changes)

    def of_amounts(self, token: Token, side: str, amounts: tuple[int, int], order_type: str = "GTC", *,
                   contract: str | None = None, post_only: bool = False, expiration: int = 0,
                   **changes: Any) -> dict[str, Any]:  # fmt: skip
        self.salt += 1
        message = OrderMessage(
            salt=self.salt,
            maker=self.address,
            signer=self.address,
            token_id=int(token.token_id),
            maker_amount=amounts[0],
            taker_amount=amounts[1],
            side=0 if side == "BUY" else 1,
            signature_type=0,
            timestamp=time.time_ns() // 10**6,
        )
        digest = order_digest(message, 137, contract or EXCHANGES[token.market.rules.neg_risk])
        self.last_id = "0x" + digest.hex()
        order = {
            "salt": message.salt,
            "maker": message.maker,
            "signer": message.signer,
            "tokenId": str(message.token_id),
            "makerAmount": str(amounts[0]),
            "takerAmount": str(amounts[1]),
            "side": side,
            "expiration": str(expiration),
            "signatureType": 0,
            "timestamp": str(message.timestamp),
            "metadata": ZERO_WORD,
            "builder": ZERO_WORD,
            "signature": "0x" + self.wallet.sign(digest).hex(),
        }
        whole = {
            "order": {**order, **changes},
            "owner": self.creds["apiKey"],
            "orderType": order_type,
            "deferExec": False,
            "postOnly": post_only,
        }
        return whole

    async def order(
        self, token: Token, side: str, price: str, size: str, order_type: str = "GTC", **more: Any
    ) -> Any:
        """The answer; it must be accepted."""
        return await self.done("POST", "/order", self.payload(token, side, price, size, order_type, **more))

    async def refused(self, payload: Any) -> str:
        """The error of an order that must be refused with status 400."""
        status, found = await self.signed("POST", "/order", payload)
        assert status == 400, (status, found)
        return str(found["error"])

    @asynccontextmanager
    async def socket(self, path: str) -> AsyncIterator[Wire]:
        async with self.session.ws_connect(self.gateway.socket_url + path) as connection:
            yield Wire(connection)

    @asynccontextmanager
    async def user_channel(self, markets: list[str] | None = None) -> AsyncIterator[Wire]:
        auth = {name: self.creds[name] for name in ("apiKey", "secret", "passphrase")}
        async with self.socket("/ws/user") as wire:
            await wire.send(auth=auth, markets=markets or [], type="user")
            await wire.ping()
            yield wire


class Wire:
    """One WebSocket; lists of events are taken apart."""

    def __init__(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        self.connection = connection
        self.frames: list[Any] = []
        self.seen = 0

    async def send(self, **message: Any) -> None:
        await self.connection.send_str(json.dumps(message))

    async def ping(self) -> None:
        """Everything that was sent before has been read when this returns."""
        await self.connection.send_str("PING")
        await self.next(lambda one: one == "PONG")

    async def next(self, wanted: Callable[[Any], bool]) -> Any:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                while self.seen < len(self.frames):
                    frame = self.frames[self.seen]
                    self.seen += 1
                    if wanted(frame):
                        return frame
                message = await self.connection.receive()
                assert message.type is aiohttp.WSMsgType.TEXT, message
                text = message.data
                found = json.loads(text) if text[:1] in "[{" else text
                self.frames += found if isinstance(found, list) else [found]

    async def of(self, kind: str, **fields: Any) -> Any:
        def wanted(one: Any) -> bool:
            return (
                isinstance(one, dict)
                and one.get("event_type") == kind
                and all(one.get(name) == value for name, value in fields.items())
            )

        return await self.next(wanted)


class World:
    """An exchange, its gateway, and clients of two accounts that are logged in."""

    def __init__(
        self, exchange: Exchange, gateway: PolymarketGateway, session: aiohttp.ClientSession
    ) -> None:
        self.exchange, self.gateway, self.session = exchange, gateway, session
        self.outcomes = gateway.desk.outcomes
        self.alice, self.bob = self.client("alice"), self.client("bob")
        rain, snow = self.outcomes.markets.values()
        self.rain, self.snow = rain, snow
        self.yes, self.no = rain.tokens

    def client(self, name: str) -> Client:
        return Client(self.gateway, name, self.session)


def options(**changes: Any) -> PolymarketOptions:
    """Two wallets, short states of trades."""
    fields: dict[str, Any] = {
        "configuration": OutcomeConfiguration(markets=MARKETS, grant=Decimal(1_000), sets=Decimal(100)),
        "wallets": tuple(
            WalletOf(address=Wallet.from_text(SECRETS[name]).address(), account=name)
            for name in ("alice", "bob")
        ),
        "mined_s": 0.01,
        "confirmed_s": 0.02,
    }
    return PolymarketOptions(**fields | changes)


@asynccontextmanager
async def served(data: Path, **changes: Any) -> AsyncIterator[World]:
    """A world that is closed at the end."""
    configuration = ExchangeConfiguration(accounts={"alice": {}, "bob": {}}, limits=LIMITS)
    exchange = await Exchange.open(data, configuration)
    try:
        gateway = build(exchange, options(**changes))
        await gateway.start()
        try:
            async with aiohttp.ClientSession() as session:
                world = World(exchange, gateway, session)
                for client in (world.alice, world.bob):
                    status, found = await client.raw("GET", "/auth/derive-api-key", headers=client.l1())
                    if status == 200:
                        client.creds = found
                    else:
                        await client.log_in()
                yield world
        finally:
            await gateway.close()
    finally:
        await exchange.close()
