"""A paper trader with an execution desk on a real node, to be killed: `python execution_child.py DATA VERB`.

`trade` opens an iceberg and a TWAP when there are none and trades until it is killed; `report` recovers and
prints the parents, and what the venue says of their children, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from decimal import Decimal
from pathlib import Path

import structlog

from tradewind.core.engine import GenesisConfig, Grant
from tradewind.node.service import NodeService
from tradewind.trader.assemble import PaperTrader, assemble
from tradewind.trader.execution.errors import ExecutionRefused
from tradewind.trader.execution.model import Algorithm, Completion, ExecuteIntent
from tradewind.venues.feeds.generated import GeneratedFeed
from tradewind.venues.market_data import Side
from tradewind.venues.paper.latency import LatencyConfig
from tradewind.venues.paper.port import NodePort
from tradewind.venues.paper.setup import PaperKeys

KEYS = PaperKeys.derive("execution")
YEAR_NS = 360 * 86_400 * 10**9
FAST = LatencyConfig(
    entry_median_ms=5,
    entry_p99_ms=20,
    cancel_median_ms=5,
    cancel_p99_ms=20,
    report_median_ms=5,
    report_p99_ms=20,
)


async def start(data: Path) -> tuple[NodeService, PaperTrader, GeneratedFeed]:
    now_ns = time.time_ns()
    genesis = GenesisConfig(now_ns, [Grant(*grant) for grant in KEYS.grants(now_ns + YEAR_NS)])
    node = await NodeService.start(data, genesis=genesis, segment_bytes=8 << 20, reserve_bytes=1 << 20)
    feed = GeneratedFeed(5, speed=20.0)
    paper = await assemble(
        NodePort(node),
        KEYS,
        instruments=list(feed.instruments.values()),
        symbol=next(iter(feed.instruments)),
        cash={"USDT": Decimal(10_000)},
        schedule="binance-spot-vip0",
        strategy="none",
        latency=FAST,
    )
    return node, paper, feed


async def open_parents(paper: PaperTrader) -> None:
    """Once, as soon as the market is live."""
    symbol = next(iter(paper.trader.oms.instruments))
    wanted = [
        ExecuteIntent(symbol=symbol, side=Side.BUY, lots=40, algorithm=algorithm, completion=completion)
        for algorithm, completion in (
            (Algorithm.ICEBERG, Completion.CANCEL_REST),
            (Algorithm.TWAP, Completion.CANCEL_REST),
        )
    ]
    while len(paper.execution.book.parents) < len(wanted):
        await asyncio.sleep(0.05)
        async with paper.session.lock:
            for number, intent in enumerate(wanted):
                try:
                    paper.execution.open(
                        intent, strategy="manual", actor="op", reason="test", client_key=f"k{number}"
                    )
                except ExecutionRefused:
                    break


async def trade(data: Path) -> None:
    _, paper, feed = await start(data)
    assert not await paper.session.open()
    opening = asyncio.create_task(open_parents(paper))
    print("trading", flush=True)
    await paper.session.run(feed.events())
    opening.cancel()


async def report(data: Path) -> None:
    node, paper, _ = await start(data)
    differences = [str(one) for one in await paper.session.open()]
    for _ in range(200):
        await paper.session.sleep_ns(10_000_000)
        if not paper.venue.in_flight_count:
            break
    desk, fills = paper.execution, await paper.venue.fills(0)
    open_orders = {one.client_id: one for one in await paper.venue.open_orders(None)}  # type: ignore[union-attr]
    parents = []
    for parent in desk.book.parents.values():
        mine = set(parent.children)
        parents.append(
            {
                "number": parent.number,
                "state": str(parent.state),
                "lots": parent.opened.lots,
                "filled": parent.filled_lots,
                "committed": parent.committed_lots(paper.trader.port.now_ns()),
                "filled_at_venue": sum(fill.lots for fill in fills if fill.client_id in mine),  # type: ignore[union-attr]
                "working_at_venue": sum(
                    one.lots - one.filled_lots for one in open_orders.values() if one.client_id in mine
                ),
            }
        )
    print(json.dumps({"differences": differences, "parents": parents}))
    await node.close()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run({"trade": trade, "report": report}[sys.argv[2]](Path(sys.argv[1])))
