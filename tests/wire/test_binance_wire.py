"""The Binance feed against a real WebSocket and REST server that loses, repeats, reorders and cuts."""

from __future__ import annotations

import random
from decimal import Decimal

import msgspec
import pytest

from tradewind.venues.binance.instruments import BinanceMarket
from tradewind.venues.binance.live import SPOT, BinanceEndpoints, BinanceFeed, open_binance_feed
from tradewind.venues.feeds.live import LiveOptions
from tradewind.venues.feeds.recorded import RecordedFeed
from tradewind.venues.market_data import BookState, FeedUnavailable, Side
from tradewind.venues.transport.capture import RawCapture
from tradewind.venues.transport.errors import TransportError

from .consumer import Consumer
from .replay_server import FaultPlan, ReplayServer
from .scripts import BinanceScript, recorded_binance, synthetic_binance

STEPS = 220


def endpoints(server: ReplayServer, futures: bool = False) -> BinanceEndpoints:
    prefix = "/fapi/v1" if futures else "/api/v3"
    market = BinanceMarket.USDM if futures else BinanceMarket.SPOT
    return msgspec.structs.replace(
        SPOT, market=market, websocket_url=server.ws_url, rest_url=server.http_url, rest_prefix=prefix
    )


async def open_feed(server: ReplayServer, options: LiveOptions, futures: bool = False,
                    capture: RawCapture | None = None) -> BinanceFeed:  # fmt: skip
    symbol = server.script.symbol
    return await open_binance_feed([symbol], endpoints(server, futures), options=options, capture=capture)


async def run_to_end(server: ReplayServer, feed: BinanceFeed) -> Consumer:
    """Play the whole script and wait until the feed's book has reached the venue's last update."""
    consumer = Consumer(feed)
    book = next(iter(feed.pipeline.books.values()))
    await consumer.until(server.finished.is_set, "the script ends")

    def caught_up() -> bool:
        return not book.wants_snapshot and book.sequence == server.script.last_id and not len(feed.queue)

    await consumer.until(caught_up, f"the book reaches {server.script.last_id}")
    return consumer


def assert_equal_to_the_venue(consumer: Consumer, script: BinanceScript) -> None:
    """Both copies, the mirror book and the consumer's, equal the truth inside the known horizon."""
    book = next(iter(consumer.feed.pipeline.books.values()))
    tick, lot = book.instrument.tick, book.instrument.lot
    for side, name in ((Side.BUY, "bids"), (Side.SELL, "asks")):
        mirror = book.bids if side is Side.BUY else book.asks
        count = mirror.complete_levels()
        truth = sorted(script.book[name].items(), reverse=side is Side.BUY)[:count]
        assert count > 20
        assert [(p * tick, q * lot) for p, q in mirror.top(count)] == truth
        published = sorted(consumer.levels[side].items(), reverse=side is Side.BUY)
        assert tuple(published) == mirror.top()
    assert consumer.violations == []


async def test_an_honest_venue_is_mirrored_exactly_and_without_gaps(fast: LiveOptions) -> None:
    script = synthetic_binance(1, STEPS)
    async with ReplayServer(script) as server:
        consumer = await run_to_end(server, await open_feed(server, fast))
        await consumer.close()
    assert_equal_to_the_venue(consumer, script)
    assert consumer.feed.statistics().gaps == 0
    assert list(dict.fromkeys(state.state for state in consumer.states)) == [
        BookState.SYNCING, BookState.LIVE]  # fmt: skip
    printed = [step.frame["data"]["t"] for step in script.steps if "trade" in step.frame["stream"]]
    assert [trade.trade_id for trade in consumer.trades] == printed[-len(consumer.trades) :]


@pytest.mark.parametrize("futures", [False, True], ids=["spot", "usdm"])
@pytest.mark.parametrize("seed", [11, 12])
async def test_every_dropped_update_is_detected_and_healed(
    fast: LiveOptions, seed: int, futures: bool
) -> None:
    script = synthetic_binance(seed, STEPS, futures=futures)
    depth = [n for n, step in enumerate(script.steps) if step.last_id is not None]
    dropped = set(random.Random(seed).sample(depth[40:-5:30], 5))
    async with ReplayServer(script, FaultPlan(drop=dropped), frames_per_s=400) as server:
        consumer = await run_to_end(server, await open_feed(server, fast, futures))
        await consumer.close()
    assert_equal_to_the_venue(consumer, script)
    # drops are 30 updates apart and a resync takes a few milliseconds, so each one is its own gap
    assert consumer.feed.statistics().gaps == len(dropped)
    assert server.snapshots_served >= len(dropped) + 1


async def test_a_dropped_trade_is_named(fast: LiveOptions) -> None:
    script = synthetic_binance(21, STEPS)
    trades = [n for n, step in enumerate(script.steps) if "trade" in step.frame["stream"]]
    lost = script.steps[trades[25]].frame["data"]["t"]
    async with ReplayServer(script, FaultPlan(drop={trades[25]})) as server:
        consumer = await run_to_end(server, await open_feed(server, fast))
        await consumer.close()
    assert [(gap.reason, gap.expected, gap.got) for gap in consumer.gaps] == [
        ("trade ids skipped", lost, lost + 1)
    ]


async def test_duplicates_change_nothing(fast: LiveOptions) -> None:
    script = synthetic_binance(31, STEPS)
    repeated = set(range(50, len(script.steps), 3))
    async with ReplayServer(script, FaultPlan(duplicate=repeated)) as server:
        consumer = await run_to_end(server, await open_feed(server, fast))
        await consumer.close()
    assert_equal_to_the_venue(consumer, script)
    statistics = consumer.feed.statistics()
    assert statistics.gaps == 0
    assert statistics.duplicates >= len(repeated) - 5
    assert len({trade.trade_id for trade in consumer.trades}) == len(consumer.trades)


async def test_reordered_updates_are_a_gap_and_heal(fast: LiveOptions) -> None:
    script = synthetic_binance(41, STEPS)
    depth = [n for n, step in enumerate(script.steps[:-1])
             if step.last_id is not None and script.steps[n + 1].last_id is not None]  # fmt: skip
    async with ReplayServer(script, FaultPlan(swap={depth[60], depth[120]}), frames_per_s=400) as server:
        consumer = await run_to_end(server, await open_feed(server, fast))
        await consumer.close()
    assert_equal_to_the_venue(consumer, script)
    assert consumer.feed.statistics().gaps == 2


async def test_a_cut_connection_is_suspect_at_once_then_heals_on_a_new_epoch(fast: LiveOptions) -> None:
    script = synthetic_binance(51, STEPS)
    async with ReplayServer(script, FaultPlan(disconnect_after={100, 200}), frames_per_s=400) as server:
        consumer = await run_to_end(server, await open_feed(server, fast))
        assert server.connections == 3
        await consumer.close()
    assert_equal_to_the_venue(consumer, script)
    cuts = [state for state in consumer.states if state.reason.startswith("disconnected")]
    assert len(cuts) == 2
    assert {state.state for state in cuts} == {BookState.SUSPECT}
    assert consumer.states[-1].epoch == 3
    assert consumer.feed.statistics().reconnects == 2


async def test_a_slow_snapshot_is_bridged_by_the_buffered_updates(fast: LiveOptions) -> None:
    script = synthetic_binance(61, STEPS)
    async with ReplayServer(script, FaultPlan(snapshot_delay_s=0.2)) as server:
        consumer = await run_to_end(server, await open_feed(server, fast))
        await consumer.close()
    assert_equal_to_the_venue(consumer, script)
    assert server.snapshots_served == 1
    assert consumer.feed.statistics().gaps == 0


async def test_a_snapshot_older_than_the_stream_is_refetched_never_used(fast: LiveOptions) -> None:
    script = synthetic_binance(71, STEPS)
    plan = FaultPlan(disconnect_after={100}, stale_snapshots=4)
    async with ReplayServer(script, plan, frames_per_s=400) as server:
        consumer = await run_to_end(server, await open_feed(server, fast))
        await consumer.close()
    assert_equal_to_the_venue(consumer, script)
    book = next(iter(consumer.feed.pipeline.books.values()))
    assert book.counters.stale_snapshots + book.counters.gaps >= 1


async def test_rest_errors_delay_the_snapshot_but_never_fake_one(fast: LiveOptions) -> None:
    script = synthetic_binance(81, STEPS)
    async with ReplayServer(script, FaultPlan(http_errors=[500, 503, 500])) as server:
        consumer = await run_to_end(server, await open_feed(server, fast))
        await consumer.close()
    assert_equal_to_the_venue(consumer, script)


async def test_a_half_open_connection_is_replaced_when_frames_stop(fast: LiveOptions) -> None:
    script = synthetic_binance(91, STEPS)
    async with ReplayServer(script, FaultPlan(silent_after=60), frames_per_s=200) as server:
        consumer = await run_to_end(server, await open_feed(server, fast))
        await consumer.close()
    assert_equal_to_the_venue(consumer, script)
    assert any("no frame for" in state.reason for state in consumer.states)


async def test_a_torn_frame_makes_the_book_suspect_and_is_counted(fast: LiveOptions) -> None:
    script = synthetic_binance(101, STEPS)
    depth = [n for n, step in enumerate(script.steps) if step.last_id is not None]
    async with ReplayServer(script, FaultPlan(garbage={depth[120]}), frames_per_s=400) as server:
        consumer = await run_to_end(server, await open_feed(server, fast))
        await consumer.close()
    assert_equal_to_the_venue(consumer, script)
    assert consumer.feed.statistics().decode_errors == 1
    assert any(state.reason == "decode error" for state in consumer.states)


async def test_all_faults_together_end_in_the_same_book_as_no_fault(fast: LiveOptions) -> None:
    rng = random.Random(5)
    script, clean = synthetic_binance(111, STEPS), synthetic_binance(111, STEPS)
    numbers = range(40, len(script.steps) - 10)
    plan = FaultPlan(drop=set(rng.sample(numbers, 6)), duplicate=set(rng.sample(numbers, 30)),
                     swap=set(rng.sample(numbers, 4)), disconnect_after=set(rng.sample(numbers, 2)),
                     snapshot_delay_s=0.03, stale_snapshots=1)  # fmt: skip
    async with ReplayServer(script, plan, frames_per_s=400) as server:
        faulty = await run_to_end(server, await open_feed(server, fast))
        await faulty.close()
    async with ReplayServer(clean) as server:
        uninterrupted = await run_to_end(server, await open_feed(server, fast))
        await uninterrupted.close()
    assert_equal_to_the_venue(faulty, script)
    count = 40
    for side in (Side.BUY, Side.SELL):
        assert (sorted(faulty.levels[side].items(), reverse=side is Side.BUY)[:count]
                == sorted(uninterrupted.levels[side].items(), reverse=side is Side.BUY)[:count])  # fmt: skip


async def test_the_recorded_market_survives_the_wire_with_faults(fast: LiveOptions) -> None:
    script = recorded_binance(1_000)
    if script is None:
        pytest.skip("no recorded data beside the repository")
    depth = [n for n, step in enumerate(script.steps) if step.last_id is not None]
    plan = FaultPlan(drop={depth[80]}, duplicate=set(depth[100:110]), disconnect_after={depth[150]})
    async with ReplayServer(script, plan, frames_per_s=800) as server:
        consumer = await run_to_end(server, await open_feed(server, fast))
        await consumer.close()
    assert_equal_to_the_venue(consumer, script)
    assert consumer.feed.statistics().gaps >= 1
    assert consumer.feed.label == "live:binance"


async def test_a_raw_capture_replays_to_the_same_book(fast: LiveOptions, tmp_path) -> None:
    script = synthetic_binance(121, STEPS)
    async with ReplayServer(script) as server:
        capture = RawCapture(tmp_path, "binance", max_file_bytes=20_000)
        consumer = await run_to_end(server, await open_feed(server, fast, capture=capture))
        await consumer.close()
    files = sorted(tmp_path.glob("binance-*.gz"))
    assert len(files) > 2
    replay = RecordedFeed(files, None, instruments=consumer.feed.instruments.values())
    for _ in replay.batches():
        pass
    live, again = (next(iter(one.pipeline.books.values())) for one in (consumer.feed, replay))
    assert (again.sequence, again.bids.top(), again.asks.top()) == (
        live.sequence, live.bids.top(), live.asks.top())  # fmt: skip


async def test_an_unlisted_symbol_is_refused_and_a_dead_server_is_typed(fast: LiveOptions) -> None:
    async with ReplayServer(synthetic_binance(131, 5)) as server:
        where = endpoints(server)
        with pytest.raises(FeedUnavailable, match="NOPEUSDT"):
            await open_binance_feed(["NOPEUSDT"], where, options=fast)
        feed = await open_feed(server, fast)
        instrument = feed.instruments["TEST/USDT"]
        assert (instrument.tick, instrument.lot, instrument.min_notional) == (
            Decimal("0.01"), Decimal("0.00001"), Decimal(5))  # fmt: skip
        await feed.close()
    with pytest.raises(TransportError):
        await open_binance_feed(["TESTUSDT"], where, options=fast)
