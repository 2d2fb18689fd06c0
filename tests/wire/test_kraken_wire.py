"""The Kraken v2 feed against a real WebSocket server: checksums, resubscription, reconnects."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from tradewind.venues.feeds.live import LiveOptions
from tradewind.venues.feeds.resync import ResyncLimits
from tradewind.venues.kraken.live import KrakenEndpoints, KrakenFeed, open_kraken_feed
from tradewind.venues.market_data import BookState, FeedUnavailable, Side

from .consumer import Consumer
from .replay_server import FaultPlan, ReplayServer
from .scripts import KrakenScript, best_first

STEPS = 180


async def open_feed(server: ReplayServer, options: LiveOptions) -> KrakenFeed:
    where = KrakenEndpoints(websocket_url=f"{server.ws_url}/v2", rest_url=server.http_url)
    return await open_kraken_feed(["BTC/USD"], where, depth=10, options=options)


async def run_to_end(server: ReplayServer, options: LiveOptions) -> Consumer:
    consumer = Consumer(await open_feed(server, options))
    book = consumer.feed.book("BTC/USD")
    await consumer.until(server.finished.is_set, "the script ends")

    def equal_to_the_venue() -> bool:
        tick, lot = book.instrument.tick, book.instrument.lot
        return book.state is BookState.LIVE and not len(consumer.feed.queue) and all(
            [(p * tick, q * lot) for p, q in side.top()] == best_first(server.script.book, name)[:10]
            for side, name in ((book.bids, "bids"), (book.asks, "asks"))
        )  # fmt: skip

    await consumer.until(equal_to_the_venue, "the book equals the venue's")
    await consumer.close()
    for side, mirror in ((Side.BUY, book.bids), (Side.SELL, book.asks)):
        assert consumer.levels[side] == dict(mirror.top())
    assert consumer.violations == []
    return consumer


async def test_every_checksum_of_an_honest_venue_holds(fast: LiveOptions) -> None:
    async with ReplayServer(KrakenScript(1, STEPS)) as server:
        consumer = await run_to_end(server, fast)
    statistics = consumer.feed.statistics()
    assert (statistics.gaps, statistics.checksum_failures, statistics.decode_errors) == (0, 0, 0)
    assert server.resubscriptions == 0
    assert consumer.deltas > STEPS // 2
    assert consumer.trades


@pytest.mark.parametrize("seed", [2, 3])
async def test_every_dropped_update_breaks_a_checksum_and_resubscribes(fast: LiveOptions, seed: int) -> None:
    dropped = {40, 80, 120, 150}
    async with ReplayServer(KrakenScript(seed, STEPS), FaultPlan(drop=dropped), 250) as server:
        consumer = await run_to_end(server, fast)
    assert consumer.feed.statistics().checksum_failures >= len(dropped)
    assert server.resubscriptions >= len(dropped)
    assert server.connections == 1


async def test_a_corrupt_checksum_is_never_published_and_heals(fast: LiveOptions) -> None:
    async with ReplayServer(KrakenScript(4, STEPS), FaultPlan(corrupt={80}), 300) as server:
        consumer = await run_to_end(server, fast)
    assert [gap.reason for gap in consumer.gaps] == ["checksum mismatch"]
    assert server.resubscriptions == 1


async def test_a_cut_connection_resubscribes_and_resynchronises(fast: LiveOptions) -> None:
    async with ReplayServer(KrakenScript(5, STEPS), FaultPlan(disconnect_after={70, 150}), 300) as server:
        consumer = await run_to_end(server, fast)
    assert server.connections == 3
    assert consumer.states[-1].epoch == 3


async def test_a_stream_that_keeps_failing_is_replaced_by_a_new_connection(fast: LiveOptions) -> None:
    """T5.7: after three failed resyncs in 60 s the connection itself is suspected."""
    resync = ResyncLimits(base_s=0.01, ceiling_s=0.02, attempt_timeout_s=0.1, failures_to_reconnect=3)
    options = msgspec.structs.replace(fast, resync=resync)
    script = KrakenScript(6, 10)
    honest = script.snapshot_frame

    def wrong_until_the_second_connection() -> dict:
        frame = honest()
        if server.connections == 1:
            frame["data"][0]["checksum"] += 1
        return frame

    script.snapshot_frame = wrong_until_the_second_connection
    async with ReplayServer(script, frames_per_s=20) as server:
        await run_to_end(server, options)
        assert server.connections == 2


async def test_an_unlisted_symbol_is_refused_with_its_name(fast: LiveOptions) -> None:
    async with ReplayServer(KrakenScript(7, 5)) as server:
        where = KrakenEndpoints(websocket_url=f"{server.ws_url}/v2", rest_url=server.http_url)
        with pytest.raises(FeedUnavailable, match="DOGE/USD"):
            await open_kraken_feed(["DOGE/USD"], where, options=fast)
        feed = await open_feed(server, fast)
        assert feed.instruments["BTC/USD"].min_notional == Decimal("0.5")
        assert feed.label == "live:kraken"
        await feed.close()
