"""After a restart every strategy has its book, its orders and its halt again: from the log, and from a
checkpoint.
"""

from __future__ import annotations

import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hosting_world import BTC, ETH, LOT, MIDDLE, Playing, once, rest, take
from paper_world import instrument

from tradewind.core.engine import GenesisConfig, Grant
from tradewind.node.service import NodeService
from tradewind.trader import checkpoint
from tradewind.trader.hosting.host import Hosted
from tradewind.trader.risk.profile import load_profile
from tradewind.trader.risk.state import TradingState
from tradewind.trader.service import TraderService
from tradewind.trader.session import Session
from tradewind.venues.market_data import BookSnapshot, BookState, FeedState, Side
from tradewind.venues.paper.latency import LatencyConfig
from tradewind.venues.paper.port import NodePort
from tradewind.venues.paper.schedule import load_schedule
from tradewind.venues.paper.setup import PaperKeys, set_up
from tradewind.venues.paper.venue import PaperVenue

KEYS = PaperKeys.derive("hosting-restart")
YEAR_NS = 360 * 86_400 * 10**9


def broken(*_: Any) -> Any:
    raise RuntimeError("boom")


async def start(data: Path, *strategies: Playing) -> tuple[NodeService, Session]:
    now_ns = time.time_ns()
    genesis = GenesisConfig(now_ns, [Grant(*grant) for grant in KEYS.grants(now_ns + YEAR_NS)])
    node = await NodeService.start(data, genesis=genesis, segment_bytes=8 << 20, reserve_bytes=1 << 20)
    port = NodePort(node)
    markets = [instrument(symbol, lot=LOT[symbol]) for symbol in (BTC, ETH)]
    fees = load_schedule("binance-spot-vip0")
    setup = await set_up(port, KEYS, fees, markets, {"USDT": Decimal(10_000)})
    venue = PaperVenue(port, setup, latency=LatencyConfig.off())
    hosted = [Hosted(strategy=one) for one in strategies]
    trader = TraderService(venue, port, load_profile("paper"), strategies=hosted)
    session = Session(venue, trader)
    assert not await session.open()
    return node, session


async def book(session: Session, symbol: str, sequence: int) -> None:
    middle, now_ns = MIDDLE[symbol], session.port.now_ns()
    stamp = {"venue_ts_ns": now_ns, "recv_ts_ns": now_ns, "recv_mono_ns": now_ns, "epoch": 0}
    bids = tuple((middle - 50 - 100 * step, 900 + sequence) for step in range(5))
    asks = tuple((middle + 50 + 100 * step, 900) for step in range(5))
    await session.on_event(BookSnapshot(symbol=symbol, bids=bids, asks=asks, sequence=sequence, **stamp))
    if sequence == 1:
        session.trader.volumes.add(symbol, 10**12, 1, now_ns)
        live = FeedState(symbol=symbol, state=BookState.LIVE, reason="test", since_ns=now_ns, epoch=0)
        await session.on_event(live)
    await session.sleep_ns(20_000_000)


@pytest.mark.parametrize("with_checkpoint", [False, True])
async def test_books_orders_and_halts_are_what_they_were(tmp_path: Path, with_checkpoint: bool) -> None:
    good, bad = Playing("good", BTC, ETH), Playing("bad", ETH)
    good.plays["on_book"] = once(take(BTC, Side.BUY, 30), take(ETH, Side.BUY, 25), rest(BTC))
    node, session = await start(tmp_path, good, bad)
    await book(session, BTC, 1)
    await book(session, ETH, 1)
    bad.plays["on_book"] = once(take(ETH, Side.BUY, 40))
    await book(session, BTC, 2)
    await book(session, ETH, 2)
    good.plays["on_book"] = once(take(ETH, Side.BUY, 25))
    await book(session, ETH, 3)
    bad.plays["on_book"] = broken
    await book(session, ETH, 4)
    trader = session.trader
    assert trader.books.lots("bad", ETH) == 40
    assert trader.state("bad") is TradingState.HALTED
    before = msgspec.to_builtins(trader.books.take())
    orders = sorted((one.client_id, one.intent.strategy) for one in trader.oms.working())
    assert orders
    assert await session.save_checkpoint() is True
    saved = checkpoint.checkpoint_path(session.port)  # type: ignore[arg-type]
    if not with_checkpoint:
        saved.unlink()
    await node.close()

    good, bad = Playing("good", BTC, ETH), Playing("bad", ETH)
    node, session = await start(tmp_path, good, bad)
    trader = session.trader
    assert msgspec.to_builtins(trader.books.take()) == before
    assert sorted((one.client_id, one.intent.strategy) for one in trader.oms.working()) == orders
    assert bad.called == []
    assert "boom" in (trader.hosts.find("bad").error or "")
    assert [name for name, _ in good.called] == ["on_start"]
    assert not await trader.reconcile()
    await node.close()


async def test_orders_of_a_strategy_that_is_not_run_any_more_are_cancelled(tmp_path: Path) -> None:
    gone = Playing("gone", BTC)
    gone.plays["on_book"] = once(rest(BTC))
    node, session = await start(tmp_path, gone)
    await book(session, BTC, 1)
    await book(session, BTC, 2)
    assert session.trader.oms.working("gone")
    await node.close()
    node, session = await start(tmp_path, Playing("new", BTC))
    for _ in range(20):
        await session.sleep_ns(20_000_000)
    assert not session.trader.oms.working()
    assert not await session.venue.open_orders(None)
    await node.close()
