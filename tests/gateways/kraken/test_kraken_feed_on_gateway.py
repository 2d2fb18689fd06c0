"""The platform's own Kraken market data feed on the gateway: it verifies every checksum, and heals."""

from __future__ import annotations

import asyncio
import random

import pytest
from gateway_world import placed, request
from kraken_world import World, until

from tradewind.gateways.exchange import Exchange
from tradewind.gateways.faults import Fault, Plan, Rule
from tradewind.venues.feeds.live import LiveOptions
from tradewind.venues.feeds.resync import ResyncLimits
from tradewind.venues.kraken.live import KrakenEndpoints, KrakenFeed, open_kraken_feed
from tradewind.venues.market_data import BookState, Side
from tradewind.venues.transport.backoff import BackoffPolicy
from tradewind.venues.transport.websocket import LinkLimits

SYMBOL = "BTC/USD"
FAST = LiveOptions(
    link=LinkLimits(frame_age_s=5.0, ping_idle_s=1.0, watch_interval_s=0.1, connect_timeout_s=5.0),
    reconnect=BackoffPolicy(base_s=0.02, ceiling_s=0.1, max_attempts=1_000),
    resync=ResyncLimits(base_s=0.01, ceiling_s=0.1, failures_to_reconnect=50),
)


async def flow(exchange: Exchange, steps: int) -> None:
    """Orders of two accounts around one price; some trade, some are cancelled."""
    draw = random.Random(7)
    for _ in range(steps):
        side = draw.choice([Side.BUY, Side.SELL])
        away = draw.randint(-2, 15) * (-1 if side is Side.BUY else 1)
        account = draw.choice(["demo", "other"])
        await exchange.place(account, request(side, 600_000 + away, draw.randint(5, 900)))
        working = exchange.orders(account, working=True)
        if len(working) > 12:
            await exchange.cancel(account, draw.choice(working).order_id)


async def run(world: World, steps: int) -> KrakenFeed:
    """A feed that has seen `steps` of flow and whose book equals the exchange's."""
    where = KrakenEndpoints(websocket_url=f"{world.gateway.socket_url}/v2", rest_url=world.gateway.url)
    feed = await open_kraken_feed([SYMBOL], where, depth=10, options=FAST)

    async def read() -> None:
        async for _ in feed.events():
            pass

    reading = asyncio.create_task(read())
    book = feed.book(SYMBOL)
    try:
        await until(lambda: book.state is BookState.LIVE, "the book is live")
        await flow(world.exchange, steps)
        world.exchange.faults.replace(Plan())
        await placed(world.exchange, "demo", request(Side.BUY, 500_000, 7))  # a last frame behind the faults

        def equal() -> bool:
            view = world.exchange.book(SYMBOL, 10)
            return book.state is BookState.LIVE and (book.bids.top(), book.asks.top()) == (
                view.bids,
                view.asks,
            )

        await until(equal, "the book equals the exchange's")
        return feed
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await feed.close()


async def test_an_honest_gateway_never_breaks_a_checksum(world: World) -> None:
    for side, step in ((Side.SELL, 1), (Side.BUY, -1)):
        for place in range(1, 13):
            await placed(world.exchange, "other", request(side, 600_000 + 20 * step * place, 50))
    statistics = (await run(world, 150)).statistics()
    assert (statistics.gaps, statistics.checksum_failures, statistics.decode_errors) == (0, 0, 0)


@pytest.mark.parametrize("fault", [Fault.DROP_FRAME, Fault.CORRUPT_CHECKSUM, Fault.DUPLICATE, Fault.CORRUPT])
async def test_the_feed_heals_behind_faults_of_the_stream(world: World, fault: Fault) -> None:
    for side, step in ((Side.SELL, 1), (Side.BUY, -1)):
        for place in range(1, 13):
            await placed(world.exchange, "other", request(side, 600_000 + 20 * step * place, 50))
    rule = Rule(action=fault, name="book", surface="stream", skip=20, times=3)
    world.exchange.faults.replace(Plan(rules=(rule,)))
    statistics = (await run(world, 80)).statistics()
    if fault is Fault.CORRUPT_CHECKSUM:
        assert statistics.checksum_failures >= 1
