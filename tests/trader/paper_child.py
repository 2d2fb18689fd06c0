"""A paper trader on a real node, to be killed: `python paper_child.py DATA SEED [POINT COUNT]`.

POINT names a kill point of T7.11; the process kills itself with SIGKILL when it is reached for the COUNT-th
time. Without a point it runs until it is killed, or recovers, reports and ends when SEED is `report`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import structlog

from tradewind.core.engine import GenesisConfig, Grant
from tradewind.node.service import NodeService
from tradewind.trader.assemble import PaperTrader, assemble
from tradewind.trader.decisions import Decisions
from tradewind.trader.oms import Oms
from tradewind.venues.feeds.generated import GeneratedFeed
from tradewind.venues.paper.latency import LatencyConfig
from tradewind.venues.paper.port import NodePort
from tradewind.venues.paper.setup import PaperKeys
from tradewind.venues.paper.venue import PaperVenue

KEYS = PaperKeys.derive("child")
YEAR_NS = 360 * 86_400 * 10**9


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
        parameters="demonstration",
        latency=LatencyConfig(
            entry_median_ms=5,
            entry_p99_ms=20,
            cancel_median_ms=5,
            cancel_p99_ms=20,
            report_median_ms=5,
            report_p99_ms=20,
        ),
    )
    return node, paper, feed


def die_at(count: int) -> Callable[[], None]:
    """Kills the process at the count-th call."""
    calls = iter(range(1, 10**9))

    def reached() -> None:
        if next(calls) >= count:
            os.kill(os.getpid(), signal.SIGKILL)

    return reached


def arm(point: str, count: int) -> None:
    """Wrap the code at a kill point."""
    reached = die_at(count)
    if point in {"before_intent", "after_intent"}:
        flush = Decisions.flush

        async def around(self: Decisions) -> None:
            has_place = any(wish.intent.__class__.__name__ == "PlaceIntent" for wish in self.wishes)
            port = self.trader.port
            submit = port.submit

            async def record(commands: object, notes: object = ()) -> object:
                if point == "before_intent":
                    reached()
                done = await submit(commands, notes)  # type: ignore[arg-type]
                if point == "after_intent":
                    reached()
                return done

            port.submit = record if has_place else submit  # type: ignore[method-assign, assignment]
            try:
                await flush(self)
            finally:
                port.submit = submit  # type: ignore[method-assign]

        Decisions.flush = around  # type: ignore[method-assign]
    elif point in {"sent", "accepted"}:
        arrive = PaperVenue._submit_now

        async def at_venue(self: PaperVenue, order: object, epoch: int) -> object:
            if point == "sent":
                reached()
            done = await arrive(self, order, epoch)  # type: ignore[arg-type]
            if point == "accepted":
                reached()
            return done

        PaperVenue._submit_now = at_venue  # type: ignore[method-assign, assignment]
    elif point in {"acked", "filled"}:
        name = "on_submit_result" if point == "acked" else "on_fill"
        inner = getattr(Oms, name)

        def told(self: Oms, *arguments: object) -> object:
            reached()
            return inner(self, *arguments)

        setattr(Oms, name, told)
    else:
        raise SystemExit(f"unknown kill point {point}")


async def report(data: Path) -> None:
    """Recover, reconcile, and print what is there as JSON."""
    node, paper, _ = await start(data)
    differences = [str(one) for one in await paper.session.open()]
    for _ in range(200):
        await paper.session.sleep_ns(10_000_000)
        if not paper.venue.in_flight_count:
            break
    after = [str(one) for one in await paper.trader.reconcile()]
    snapshot = paper.trader.snapshot()
    finished = [(order.client_id, str(order.state)) for order in paper.trader.oms.finished]
    print(
        json.dumps(
            {
                "differences": differences,
                "after": after,
                "state": snapshot.state,
                "working": [(order.client_id, order.state) for order in snapshot.orders],
                "finished": finished,
                "venue_open": [order.client_id for order in await paper.venue.open_orders(None)],
                "intents": snapshot.counters["intents"],
                "fills": snapshot.counters["fills"],
                "duplicates": snapshot.counters["duplicate_fills"],
            }
        )
    )
    await node.close()


async def trade(data: Path) -> None:
    _, paper, feed = await start(data)
    assert not await paper.session.open()
    print("trading", flush=True)
    await paper.session.run(feed.events())


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    folder = Path(sys.argv[1])
    if sys.argv[2] == "report":
        asyncio.run(report(folder))
    else:
        if len(sys.argv) > 3:
            arm(sys.argv[3], int(sys.argv[4]))
        asyncio.run(trade(folder))
