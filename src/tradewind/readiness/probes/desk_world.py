"""What the drills of outside venues run on: an exchange behind a Kraken gateway, and a desk at it.

Everything is the shipped code over sockets of this machine; only waiting times are shorter than in service.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from tradewind.core.engine import GenesisConfig, Grant
from tradewind.core.enums import Role
from tradewind.gateways.exchange import Exchange, ExchangeConfiguration
from tradewind.gateways.kraken.desk import KrakenOptions as GatewayOptions
from tradewind.gateways.kraken.gateway import KrakenGateway, build
from tradewind.gateways.model import Order, PlaceRequest
from tradewind.node.limits import NodeLimits
from tradewind.node.service import NodeService
from tradewind.readiness.errors import CannotMeasureError
from tradewind.trader.ledger import Ledger
from tradewind.trader.oms import Identity, Oms, OrderRequest
from tradewind.trader.venue_desk import VenueDesk
from tradewind.venues.kraken.assemble import Credentials, open_kraken
from tradewind.venues.kraken.connector import KrakenOptions, KrakenVenue
from tradewind.venues.kraken.live import KrakenEndpoints
from tradewind.venues.market_data import Side
from tradewind.venues.paper.port import NodePort
from tradewind.venues.protocol import TimeInForce
from tradewind.venues.transport.backoff import BackoffPolicy
from tradewind.venues.transport.keys import KeyFolder
from tradewind.venues.transport.private_link import PrivateLimits

SYMBOL: Final = "BTC/USD"
ACCOUNT: Final = "trader"
PRICE_TICKS: Final = 600_000
LOTS: Final = 100
MAX_ORDERS: Final = 10_000
HORIZON_NS: Final = 1_500_000_000
MAX_AGE_NS: Final = 600 * 10**9
YEAR_NS: Final = 360 * 86_400 * 10**9
FUNDS: Final = {"USD": Decimal(100_000)}
DEEP: Final = {"USD": Decimal(10_000_000), "BTC": Decimal(500)}
SYSTEM: Final = hashlib.blake2b(b"drill/system", digest_size=32).digest()
RECONNECT: Final = BackoffPolicy(base_s=0.02, ceiling_s=0.2, max_attempts=1_000)


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a desk works. It goes to child processes by their standard input: it has a secret."""

    data: str
    url: str
    socket_url: str
    key: str
    secret: str

    def __repr__(self) -> str:
        return f"Place({self.data}, {self.url})"


class LocalVenue:
    """The other side: an exchange behind a Kraken gateway, with a taker beside our account."""

    def __init__(self, exchange: Exchange, gateway: KrakenGateway) -> None:
        self.exchange, self.gateway = exchange, gateway
        self.port = 0

    @classmethod
    async def open(cls, data: Path) -> LocalVenue:
        """A new exchange in this folder, and its gateway."""
        exchange = await Exchange.open(
            data,
            ExchangeConfiguration(
                accounts={ACCOUNT: FUNDS, "taker": DEEP}, limits=NodeLimits(space_reserved_bytes=0)
            ),
        )
        local = cls(exchange, build(exchange, GatewayOptions(limits_public=False)))
        local.port = await local.gateway.start()
        return local

    async def close(self) -> None:
        """End both."""
        await self.gateway.close()
        await self.exchange.close()

    async def down(self) -> None:
        """Nothing listens at the venue's port any more; the exchange goes on."""
        await self.gateway.close()

    async def up(self) -> None:
        """The venue is back at the same address."""
        self.gateway = build(self.exchange, GatewayOptions(limits_public=False))
        await self.gateway.start(self.port)

    def place(self, data: Path) -> Place:
        """For a desk whose files are in this folder."""
        key = self.exchange.keys.of_account(ACCOUNT)[0]
        return Place(
            data=str(data),
            url=self.gateway.url,
            socket_url=self.gateway.socket_url,
            key=key.key,
            secret=base64.b64encode(key.secret).decode(),
        )

    async def take(self, lots: int, price_ticks: int = PRICE_TICKS, side: Side = Side.SELL) -> None:
        """Somebody else trades at once against what rests. Raises CannotMeasureError when refused."""
        request = PlaceRequest(
            symbol=SYMBOL, side=side, price_ticks=price_ticks, lots=lots, time_in_force=TimeInForce.IOC
        )
        answer = await self.exchange.place("taker", request)
        if not isinstance(answer, Order):
            raise CannotMeasureError(f"the taker was refused: {answer}")

    def working(self) -> list[Order]:
        """Orders of our account that rest."""
        return self.exchange.orders(ACCOUNT, working=True, limit=MAX_ORDERS)

    def orders(self) -> list[Order]:
        """Every order of our account, however it ended."""
        return [*self.working(), *self.exchange.orders(ACCOUNT, working=False, limit=MAX_ORDERS)]

    def totals(self) -> dict[str, str]:
        """What our account has at the venue, without zeros."""
        funds = {one.asset: one.free + one.held for one in self.exchange.funds(ACCOUNT)}
        return plain(funds)


def plain(amounts: dict[str, Decimal]) -> dict[str, str]:
    """Amounts as text of one form, without zeros."""
    return {asset: f"{amount.normalize():f}" for asset, amount in sorted(amounts.items()) if amount}


class DeskWorld:
    """A desk with its connector and a journal of its own; `async with`, as often as a process would start."""

    desk: VenueDesk
    venue: KrakenVenue

    def __init__(
        self,
        place: Place,
        *,
        kind: type[VenueDesk] = VenueDesk,
        port: Callable[[NodePort], Any] = lambda port: port,
        reconnect: BackoffPolicy = RECONNECT,
    ) -> None:
        self.data, self.where = Path(place.data), place
        self.kind, self.port, self.reconnect = kind, port, reconnect
        self._stack = AsyncExitStack()

    def _options(self) -> KrakenOptions:
        socket_url = f"{self.where.socket_url}/v2"
        return KrakenOptions(
            endpoints=KrakenEndpoints(websocket_url=socket_url, rest_url=self.where.url),
            private_url=socket_url,
            deadline_s=1.0,
            answer_timeout_s=1.0,
            verify_timeout_s=1.0,
            clock_skew_s=0.1,
            absence_margin_s=0.2,
            book_depth=100,
            link=PrivateLimits(step_timeout_s=5.0),
            reconnect=self.reconnect,
        )

    async def __aenter__(self) -> DeskWorld:
        try:
            await self._open()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def _open(self) -> None:
        now_ns = time.time_ns()
        node = await self._stack.enter_async_context(
            await NodeService.start(
                self.data,
                genesis=GenesisConfig(now_ns, [Grant(SYSTEM, int(Role.SYSTEM), now_ns + YEAR_NS)]),
                limits=NodeLimits(space_reserved_bytes=0),
                segment_bytes=8 << 20,
                reserve_bytes=1 << 20,
            )
        )
        self.venue = await self._stack.enter_async_context(
            open_kraken(
                Credentials(self.where.key, self.where.secret),
                KeyFolder(self.data / "keys"),
                account=ACCOUNT,
                tier="pro",
                options=self._options(),
            )
        )
        if not await self.venue.open():
            raise CannotMeasureError(f"not connected: {self.venue.socket.link.reason}")
        listed = await self.venue.instruments()
        if not isinstance(listed, list):
            raise CannotMeasureError(f"no instruments: {listed.reason}")
        identity = Identity(
            environment="sim", account=ACCOUNT, venue="kraken", epoch=1, limits_hash="-", config_hash="-"
        )
        port = NodePort(node)
        self.desk = self.kind(
            self.venue,
            self.port(port),
            Oms(identity, {one.symbol: one for one in listed}, Ledger()),
            horizon_ns=HORIZON_NS,
            max_intent_age_ns=MAX_AGE_NS,
        )
        self.desk.recover(port.history())
        self._stack.push_async_callback(self.desk.stop)
        await self.desk.start()

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    def totals(self) -> dict[str, str]:
        """What the desk's ledger has, without zeros."""
        ledger = self.desk.ledger
        return plain({asset: ledger.total(asset) for asset in ledger.assets()})


def wish(price_ticks: int = PRICE_TICKS, *, side: Side = Side.BUY, resend: bool = False) -> OrderRequest:
    """One limit order; `resend`: its intent may be sent again when it is proven absent."""
    return OrderRequest(
        strategy="manual",
        path="drill",
        symbol=SYMBOL,
        side=side,
        price_ticks=price_ticks,
        lots=LOTS,
        reducing=resend,
        post_only=False,
        decision_ns=time.time_ns(),
    )
