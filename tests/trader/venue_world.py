"""A desk at a local Kraken venue: exchange and gateway of ours, the connector, a journal of its own."""

from __future__ import annotations

import base64
import hashlib
import time
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path

from tradewind.core.engine import GenesisConfig, Grant
from tradewind.core.enums import Role
from tradewind.gateways.exchange import Exchange, ExchangeConfiguration
from tradewind.gateways.kraken.desk import KrakenOptions as GatewayOptions
from tradewind.gateways.kraken.gateway import KrakenGateway, build
from tradewind.gateways.model import Order, PlaceRequest
from tradewind.node.limits import NodeLimits
from tradewind.node.service import NodeService
from tradewind.trader.ledger import Ledger
from tradewind.trader.oms import Identity, Oms, OrderRequest
from tradewind.trader.venue_desk import NotesPort, VenueDesk
from tradewind.venues.kraken.assemble import Credentials, open_kraken
from tradewind.venues.kraken.connector import KrakenOptions, KrakenVenue
from tradewind.venues.kraken.live import KrakenEndpoints
from tradewind.venues.market_data import Side
from tradewind.venues.paper.port import NodePort
from tradewind.venues.protocol import TimeInForce
from tradewind.venues.transport.backoff import BackoffPolicy
from tradewind.venues.transport.keys import KeyFolder
from tradewind.venues.transport.private_link import PrivateLimits

SYMBOL = "BTC/USD"
MIDDLE = 600_000
LOTS = 100
HORIZON_NS = 1_500_000_000
FUNDS = {"USD": Decimal(100_000)}
DEEP = {"USD": Decimal(10_000_000), "BTC": Decimal(500)}
SYSTEM = hashlib.blake2b(b"desk/system", digest_size=32).digest()
YEAR_NS = 360 * 86_400 * 10**9


class LocalVenue:
    """The other side: an exchange behind a Kraken gateway, with a maker and a taker beside our account."""

    def __init__(self, exchange: Exchange, gateway: KrakenGateway) -> None:
        self.exchange, self.gateway = exchange, gateway
        key = exchange.keys.of_account("trader")[0]
        self.key, self.secret = key.key, base64.b64encode(key.secret).decode()

    @classmethod
    async def open(cls, data: Path) -> LocalVenue:
        accounts = {"trader": FUNDS, "maker": DEEP, "taker": DEEP}
        limits = NodeLimits(space_reserved_bytes=0)
        exchange = await Exchange.open(data, ExchangeConfiguration(accounts=accounts, limits=limits))
        gateway = build(exchange, GatewayOptions(limits_public=False))
        await gateway.start()
        return cls(exchange, gateway)

    async def close(self) -> None:
        await self.gateway.close()
        await self.exchange.close()

    async def trade(
        self, account: str, side: Side, price_ticks: int, lots: int, *, ioc: bool = False
    ) -> Order:
        request = PlaceRequest(
            symbol=SYMBOL,
            side=side,
            price_ticks=price_ticks,
            lots=lots,
            time_in_force=TimeInForce.IOC if ioc else TimeInForce.GTC,
        )
        answer = await self.exchange.place(account, request)
        assert isinstance(answer, Order), answer
        return answer

    def orders(self) -> list[Order]:
        """Every order of our account, however it ended."""
        return [
            *self.exchange.orders("trader", working=True, limit=10_000),
            *self.exchange.orders("trader", working=False, limit=10_000),
        ]

    def totals(self) -> dict[str, Decimal]:
        return {one.asset: one.free + one.held for one in self.exchange.funds("trader")}


class DeskWorld:
    """A desk with its connector and journal; `async with`, as often as a process would start."""

    desk: VenueDesk
    venue: KrakenVenue

    def __init__(self, data: Path, url: str, socket_url: str, key: str, secret: str) -> None:
        self.data, self.url, self.socket_url = data, url, socket_url
        self.credentials = Credentials(key, secret)
        self.stack = AsyncExitStack()

    async def __aenter__(self) -> DeskWorld:
        now_ns = time.time_ns()
        genesis = GenesisConfig(now_ns, [Grant(SYSTEM, int(Role.SYSTEM), now_ns + YEAR_NS)])
        node = await self.stack.enter_async_context(
            await NodeService.start(
                self.data,
                genesis=genesis,
                limits=NodeLimits(space_reserved_bytes=0),
                segment_bytes=8 << 20,
                reserve_bytes=1 << 20,
            )
        )
        options = KrakenOptions(
            endpoints=KrakenEndpoints(websocket_url=f"{self.socket_url}/v2", rest_url=self.url),
            private_url=f"{self.socket_url}/v2",
            deadline_s=1.0,
            answer_timeout_s=1.0,
            verify_timeout_s=1.0,
            clock_skew_s=0.1,
            absence_margin_s=0.2,
            book_depth=100,
            link=PrivateLimits(step_timeout_s=5.0),
            reconnect=BackoffPolicy(base_s=0.02, ceiling_s=0.2, max_attempts=1_000),
        )
        self.venue = await self.stack.enter_async_context(
            open_kraken(
                self.credentials, KeyFolder(self.data / "keys"), account="trader", tier="pro", options=options
            )
        )
        assert await self.venue.open(), self.venue.socket.link.transitions
        listed = {one.symbol: one for one in await self.venue.instruments()}
        identity = Identity(
            environment="sim", account="trader", venue="kraken", epoch=1, limits_hash="-", config_hash="-"
        )
        port = NodePort(node)
        self.desk = VenueDesk(
            self.venue,
            self.port(port),
            Oms(identity, listed, Ledger()),
            horizon_ns=HORIZON_NS,
            max_intent_age_ns=600 * 10**9,
        )
        self.records = self.desk.recover(port.history())
        await self.begin()
        return self

    def port(self, port: NodePort) -> NotesPort:
        return port  # type: ignore[return-value]

    async def begin(self) -> None:
        await self.desk.start()

    async def __aexit__(self, *error: object) -> None:
        await self.desk.stop()
        await self.stack.aclose()

    async def kill(self) -> None:
        """The process is gone without a word: nothing more is journaled or told."""
        await self.desk.stop()
        await self.stack.aclose()


def wish(
    side: Side, price_ticks: int, lots: int = LOTS, *, reducing: bool = False, post_only: bool = False
) -> OrderRequest:
    return OrderRequest(
        strategy="manual",
        path="test",
        symbol=SYMBOL,
        side=side,
        price_ticks=price_ticks,
        lots=lots,
        reducing=reducing,
        post_only=post_only,
        decision_ns=time.time_ns(),
    )
