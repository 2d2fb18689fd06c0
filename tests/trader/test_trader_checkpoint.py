"""The checkpoint: with the log's tail it gives what the whole log gives; a doubtful one is ignored."""

from __future__ import annotations

import asyncio
import shutil
import time
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from trader_world import TraderWorld, buy

from tradewind.core.engine import GenesisConfig, Grant
from tradewind.node.service import NodeService
from tradewind.trader import checkpoint
from tradewind.trader.assemble import CapabilityDenied, PaperTrader, assemble
from tradewind.venues.feeds.generated import GeneratedFeed
from tradewind.venues.paper.latency import LatencyConfig
from tradewind.venues.paper.port import NodePort, Place
from tradewind.venues.paper.setup import PaperKeys

KEYS = PaperKeys.derive("checkpoint")
YEAR_NS = 360 * 86_400 * 10**9
FAST = LatencyConfig(
    entry_median_ms=2,
    entry_p99_ms=4,
    cancel_median_ms=2,
    cancel_p99_ms=4,
    report_median_ms=2,
    report_p99_ms=4,
)


async def start(data: Path) -> tuple[NodeService, PaperTrader, GeneratedFeed]:
    now_ns = time.time_ns()
    genesis = GenesisConfig(now_ns, [Grant(*grant) for grant in KEYS.grants(now_ns + YEAR_NS)])
    node = await NodeService.start(data, genesis=genesis, segment_bytes=8 << 20, reserve_bytes=1 << 20)
    feed = GeneratedFeed(5, speed=30.0)
    paper = await assemble(
        NodePort(node),
        KEYS,
        instruments=list(feed.instruments.values()),
        symbol=next(iter(feed.instruments)),
        cash={"USDT": Decimal(10_000)},
        schedule="binance-spot-vip0",
        parameters="demonstration",
        latency=FAST,
    )
    return node, paper, feed


async def until(condition: object, attempts: int = 6_000) -> None:
    for _ in range(attempts):
        if condition():  # type: ignore[operator]
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never happened")


async def traded(data: Path) -> None:
    """A life that traded, wrote a checkpoint, traded on and ended without a word."""
    node, paper, feed = await start(data)
    assert not await paper.session.open()
    run = asyncio.create_task(paper.session.run(feed.events()))
    await until(lambda: paper.trader.oms.stats.fills >= 3)
    for _ in range(500):
        if await paper.session.save_checkpoint():
            break
        await asyncio.sleep(0.005)
    else:
        raise AssertionError("no quiet moment for a checkpoint")
    fills = paper.trader.oms.stats.fills
    await until(lambda: paper.trader.oms.stats.fills > fills)
    paper.session.request_stop()
    await run
    await node.close()


async def state(data: Path) -> tuple[dict[str, object], int]:
    """What a recovery of a copy of the data directory gives, and how many batches it read."""
    copy = data.with_name(f"{data.name}-copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(data, copy)
    node, paper, _ = await start(copy)
    port = paper.session.port
    assert isinstance(port, NodePort)
    read = 0
    recover = paper.trader.recover

    async def counted(batches: object) -> int:
        nonlocal read
        read = await recover(batches)  # type: ignore[arg-type]
        return read

    paper.trader.recover = counted  # type: ignore[method-assign, assignment]
    saved = paper.session._load_checkpoint(port)
    await paper.trader.recover(port.history(saved))
    body = checkpoint.take(paper.trader, Place(0, 0, b""))[checkpoint.DIGEST_BYTES :]
    found: dict[str, object] = msgspec.json.decode(body)
    # Counters of live answers and the moment of the last unchanged reconciliation are not in the log.
    del found["trader"]["oms"]["stats"]  # type: ignore[attr-defined]
    del found["trader"]["reconciled"]["at_ns"]  # type: ignore[attr-defined]
    # Hourly prices and warnings that were given come from marks, which are not in the log either.
    for name in ("prices", "warned_pct"):
        del found["trader"]["others"]["risk"][name]  # type: ignore[attr-defined]
    found["venue"]["account"].pop("dropped_fills")  # type: ignore[attr-defined]
    for market in found["venue"]["markets"]:  # type: ignore[index]
        market["queues"].sort(key=lambda entry: (entry["side"], entry["price_ticks"]))
    assert await paper.trader.reconcile() == []
    await node.close()
    return found, read


async def test_a_checkpoint_and_the_tail_give_what_the_whole_log_gives(tmp_path: Path) -> None:
    data = tmp_path / "data"
    await traded(data)
    file = data / "trader" / "checkpoint"
    with_checkpoint, tail = await state(data)
    good = file.read_bytes()
    file.unlink()
    without, whole = await state(data)
    assert with_checkpoint == without
    assert 0 < tail < whole
    damaged = bytearray(good)
    damaged[len(damaged) // 2] ^= 1
    for bad in (bytes(damaged), good[:-1], b"", b"x" * 100):
        file.write_bytes(bad)
        found, read = await state(data)
        assert found == without
        # The node of the copy ticks by itself: a batch of its own may have come before the reading began.
        assert read >= whole


async def test_a_checkpoint_of_another_journal_is_ignored(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    await traded(first)
    await traded(second)
    own, whole = await state(second)
    shutil.copy(first / "trader" / "checkpoint", second / "trader" / "checkpoint")
    found, read = await state(second)
    assert found == own
    assert read >= whole


async def test_no_checkpoint_is_taken_while_something_is_in_flight() -> None:
    world = await TraderWorld.open(latency=LatencyConfig(seed=1))
    await world.wish(buy(4_999_900, 10))
    assert world.venue.in_flight_count
    with pytest.raises(RuntimeError, match="in flight"):
        checkpoint.take(world.trader, Place(1, 1, b""))


async def test_environments_above_paper_cannot_be_built() -> None:
    world = await TraderWorld.open()
    for environment in ("testnet", "canary", "live"):
        with pytest.raises(CapabilityDenied):
            await assemble(
                world.port,
                world.setup.keys,
                instruments=[],
                symbol="BTC/USDT",
                cash={},
                schedule="binance-spot-vip0",
                environment=environment,
            )
