"""A whole paper platform in one process, for the console's tests: real node and journal, generated feed,
paper venue, trader, console. `python platform_server.py PORT DATA_DIR [RESUME_COOLDOWN_S]` prints "ready"
once it serves.
"""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import msgspec
import uvicorn
from fastapi import FastAPI

from tradewind.api.controls import TraderControls
from tradewind.core.engine import GenesisConfig, Grant
from tradewind.dashboard import mount
from tradewind.node.projections.exchange import ExchangeViews
from tradewind.node.service import NodeService
from tradewind.observe.collect import ViewCollector
from tradewind.observe.http import mount_observe
from tradewind.trader.kill import KillSwitch
from tradewind.trader.risk.profile import load_profile
from tradewind.trader.service import TraderService
from tradewind.trader.session import Session
from tradewind.trader.strategies.market_making import DEMONSTRATION, MarketMaking
from tradewind.venues.feeds.generated import GeneratedFeed
from tradewind.venues.paper.latency import LatencyConfig
from tradewind.venues.paper.port import NodePort
from tradewind.venues.paper.schedule import load_schedule
from tradewind.venues.paper.setup import PaperKeys, set_up
from tradewind.venues.paper.venue import PaperVenue

YEAR_NS = 360 * 86_400 * 1_000_000_000
KEYS = PaperKeys.derive("console-tests")
FUNDS = {"USDT": Decimal(10_000)}
SEED = 7
FEED_SPEED = 4.0
"""Times real time: fills come sooner, the tests end sooner."""


@dataclass
class Platform:
    """The running parts."""

    node: NodeService
    views: ExchangeViews
    feed: GeneratedFeed
    session: Session
    collector: ViewCollector

    @property
    def trader_handle(self) -> int:
        return self.session.venue.setup.accounts["trader"]


async def assemble(data_dir: Path, cooldown_s: int | None = None) -> Platform:
    """Everything but the server; nothing runs by itself yet."""
    now_ns = time.time_ns()
    grants = [Grant(*grant) for grant in KEYS.grants(now_ns + YEAR_NS)]
    node = await NodeService.start(data_dir, genesis=GenesisConfig(now_ns, grants))
    views = ExchangeViews()
    await node.attach(views.apply, name="views")
    feed = GeneratedFeed(SEED, speed=FEED_SPEED)
    symbol, outside = next(iter(feed.instruments.items()))
    port = NodePort(node)
    setup = await set_up(port, KEYS, load_schedule("binance-spot-vip0"), [outside], FUNDS)
    venue = PaperVenue(port, setup, latency=LatencyConfig.off())
    strategy = MarketMaking((symbol,), DEMONSTRATION, environment="paper")
    profile = load_profile("paper")
    if cooldown_s is not None:
        account = msgspec.structs.replace(profile.account, resume_cooldown_s=cooldown_s)
        profile = msgspec.structs.replace(profile, account=account)
    session = Session(venue, TraderService(venue, port, profile, strategy))
    collector = ViewCollector(env="paper", version="test", node=node, views=views, session=session, feed=feed)
    await node.attach(collector.counters.apply, name="counters")
    return Platform(node, views, feed, session, collector)


async def serve(port: int, data_dir: Path, cooldown_s: int | None) -> None:
    """Run until the process is stopped."""
    platform = await assemble(data_dir, cooldown_s)
    session, collector = platform.session, platform.collector
    await session.open()
    app = FastAPI()
    mount_observe(app, collector.source, collector.metrics)
    console = mount(app, collector.source, TraderControls(KillSwitch(session), session.trader))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
    tasks = [asyncio.create_task(collector.run()), asyncio.create_task(session.run(platform.feed.events()))]
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn offers no event
        await asyncio.sleep(0.02)
    print("ready", flush=True)
    await serving
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await console.close()
    await platform.node.close()


if __name__ == "__main__":
    cooldown = int(sys.argv[3]) if len(sys.argv) > 3 else None
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2]), cooldown))
