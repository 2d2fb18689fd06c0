"""A venue of our own for the checks of connections: an exchange behind a Kraken gateway, and the connector.

All of it is the shipped code over sockets of this machine; only waiting times are shorter than in service.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Final

from tradewind.gateways.exchange import Exchange, ExchangeConfiguration
from tradewind.gateways.kraken.desk import KrakenOptions as GatewayOptions
from tradewind.gateways.kraken.gateway import KrakenGateway, build
from tradewind.gateways.model import Order, PlaceRequest
from tradewind.lab.preflight.model import require
from tradewind.node.limits import NodeLimits
from tradewind.venues.kraken.assemble import Credentials, open_kraken
from tradewind.venues.kraken.connector import KrakenOptions, KrakenVenue
from tradewind.venues.kraken.live import KrakenEndpoints
from tradewind.venues.market_data import Instrument, Side
from tradewind.venues.protocol import NewOrder, PrivateEvent, TimeInForce
from tradewind.venues.transport.backoff import BackoffPolicy
from tradewind.venues.transport.keys import KeyFolder
from tradewind.venues.transport.private_link import Phase, PrivateLimits

SYMBOL: Final = "BTC/USD"
ACCOUNT: Final = "trader"
TIER: Final = "pro"
PRICE_TICKS: Final = 600_000
LOTS: Final = 100
FUNDS: Final = {"USD": Decimal(1_000_000)}
DEEP: Final = {"USD": Decimal(10_000_000), "BTC": Decimal(500)}
RECONNECT: Final = BackoffPolicy(base_s=0.02, ceiling_s=0.2, max_attempts=1_000)
LOOK_EVERY_S: Final = 0.005
LOCAL_ADDRESS: Final = "127.0.0.1"


class VenueWorld:
    """The exchange, its gateway and our connector. `events` is all that the private stream told."""

    venue: KrakenVenue
    instrument: Instrument

    def __init__(self, exchange: Exchange, tier: str) -> None:
        self.exchange, self.tier = exchange, tier
        self.gateway = self._build()
        self.port = 0
        self.events: list[PrivateEvent] = []

    @property
    def live(self) -> bool:
        """Whether the private link has connected, compared everything and may trade."""
        return self.venue.facts().phase is Phase.LIVE

    @contextlib.asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """The venue goes away with every connection, and comes back at the same address."""
        await self.gateway.close()
        require(await self.wait(lambda: not self.live, 5.0), "the connector did not see the venue go")
        yield
        self.gateway = self._build()
        await self.gateway.start(self.port)

    def _build(self) -> KrakenGateway:
        return build(self.exchange, GatewayOptions(limits_public=False, tier=self.tier))

    async def take(self, lots: int, price_ticks: int) -> None:
        """Somebody sells at once to what rests."""
        request = PlaceRequest(
            symbol=SYMBOL,
            side=Side.SELL,
            price_ticks=price_ticks,
            lots=lots,
            time_in_force=TimeInForce.IOC,
        )
        answer = await self.exchange.place("taker", request)
        require(isinstance(answer, Order), f"the other side was refused: {answer}")

    async def other_client(self, client_id: str) -> str:
        """An order of our account that this connector did not send; its client id."""
        request = PlaceRequest(
            symbol=SYMBOL, side=Side.BUY, price_ticks=PRICE_TICKS, lots=LOTS, client_id=client_id
        )
        answer = await self.exchange.place(ACCOUNT, request)
        require(isinstance(answer, Order), f"the order was refused: {answer}")
        return client_id

    def working(self) -> list[Order]:
        """Orders of our account that rest, as the exchange itself has them."""
        return self.exchange.orders(ACCOUNT, working=True)

    async def wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Whether the condition came true in time."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():  # noqa: ASYNC110 what is waited for tells nobody
                    await asyncio.sleep(LOOK_EVERY_S)
        except TimeoutError:
            return condition()
        return True

    async def read(self) -> None:
        """Collects what the private stream tells, until the venue is closed."""
        async for event in self.venue.private(ACCOUNT):
            self.events.append(event)


def order(client_id: str, price_ticks: int = PRICE_TICKS) -> NewOrder:
    """A buy order that rests."""
    return NewOrder(
        client_id=client_id, symbol=SYMBOL, side=Side.BUY, price_ticks=price_ticks, lots=LOTS, post_only=True
    )


@contextlib.asynccontextmanager
async def venue_world(folder: Path, *, tier: str = TIER, believed: str = "") -> AsyncIterator[VenueWorld]:
    """The world in this folder, live. `tier` is the account's, `believed` what the connector has instead."""
    async with AsyncExitStack() as stack:
        accounts = {ACCOUNT: FUNDS, "taker": DEEP}
        exchange = await Exchange.open(
            folder / "exchange",
            ExchangeConfiguration(accounts=accounts, limits=NodeLimits(space_reserved_bytes=0)),
        )
        stack.push_async_callback(exchange.close)
        world = VenueWorld(exchange, tier)

        async def close() -> None:
            await world.gateway.close()

        stack.push_async_callback(close)
        world.port = await world.gateway.start()
        key = exchange.keys.of_account(ACCOUNT)[0]
        url, socket_url = world.gateway.url, f"{world.gateway.socket_url}/v2"
        world.venue = await stack.enter_async_context(
            open_kraken(
                Credentials(key.key, base64.b64encode(key.secret).decode()),
                KeyFolder(folder),
                account=ACCOUNT,
                tier=believed or tier,
                options=KrakenOptions(
                    endpoints=KrakenEndpoints(websocket_url=socket_url, rest_url=url),
                    private_url=socket_url,
                    deadline_s=1.0,
                    answer_timeout_s=1.0,
                    verify_timeout_s=1.0,
                    clock_skew_s=0.1,
                    absence_margin_s=0.2,
                    book_depth=100,
                    link=PrivateLimits(step_timeout_s=5.0),
                    reconnect=RECONNECT,
                ),
            )
        )
        reading = asyncio.create_task(world.read(), name="preflight private stream")
        stack.callback(reading.cancel)
        require(await world.venue.open(), f"not connected: {world.venue.socket.link.reason}")
        listed = await world.venue.instruments()
        assert isinstance(listed, list)
        world.instrument = next(one for one in listed if one.symbol == SYMBOL)
        yield world


@contextlib.asynccontextmanager
async def binance_place(folder: Path) -> AsyncIterator[tuple[Exchange, str]]:
    """An exchange behind a Binance gateway, and the gateway's address: for what only that venue tells."""
    from tradewind.gateways.binance.gateway import BinanceGateway

    exchange = await Exchange.open(
        folder / "exchange",
        ExchangeConfiguration(
            accounts={ACCOUNT: {"USDT": Decimal(1_000_000)}}, limits=NodeLimits(space_reserved_bytes=0)
        ),
    )
    try:
        gateway = BinanceGateway(exchange)
        await gateway.start()
        try:
            yield exchange, gateway.url
        finally:
            await gateway.close()
    finally:
        await exchange.close()
