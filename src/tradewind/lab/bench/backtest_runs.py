"""Runs of the `backtest` suite, each in a fresh process: captures into rows, rows through the paper venue.

The strategy is the same small quoter as in the adapters of the peers: one passive order a little away from
the best price, a bid when flat and an ask when long, cancelled when the market has moved away from it.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import struct
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from tradewind.core.engine import RULES_VERSION
from tradewind.core.native import Engine, encode_genesis
from tradewind.lab.bench.context import MeasureFailed
from tradewind.trader.replaying import Replay
from tradewind.trader.risk.profile import load_profile
from tradewind.trader.service import TraderService
from tradewind.trader.session import Session
from tradewind.trader.strategy import (
    BookTop,
    CancelIntent,
    Context,
    Manifest,
    PlaceIntent,
    PublicTrade,
    StrategyBase,
    StrategyIntent,
)
from tradewind.venues.feeds.generated import GeneratedFeed
from tradewind.venues.feeds.recorded import RecordedFeed
from tradewind.venues.market_data import (
    BookDelta,
    BookSnapshot,
    FeedEvent,
    Instrument,
    Side,
    TopOfBook,
    TradePrint,
)
from tradewind.venues.paper.latency import LatencyConfig
from tradewind.venues.paper.port import EnginePort
from tradewind.venues.paper.rows import Rows
from tradewind.venues.paper.schedule import load_schedule
from tradewind.venues.paper.setup import PaperKeys, set_up
from tradewind.venues.paper.venue import PaperVenue

SECOND_NS: Final = 1_000_000_000
YEAR_NS: Final = 360 * 86_400 * SECOND_NS
OFFSET_TICKS: Final = 50
"""How far from the best price the quoter stands, and how far the market may move before it cancels."""
QUOTE_NOTIONAL: Final = 20
CASH: Final = Decimal(10_000)
PEER_ROW: Final = struct.Struct("<BBHIqqqq")
"""Kind (0 level, 1 trade, 2 best bid, 3 best ask), side, flags (1: snapshot, 2: last of its message),
padding, received and venue's time in ns, ticks, the venue's lots.
"""
PEER_HEAD: Final = struct.Struct("<8sQ16s16s")
PEER_MAGIC: Final = b"TWROWS01"
LEVEL, TRADE, BEST_BID, BEST_ASK = range(4)
SNAPSHOT, LAST = 1, 2
Batches = list[tuple[int, list[FeedEvent]]]


class Quoter(StrategyBase):
    """One passive order. `calls` counts how often it was asked by time, book or trade."""

    def __init__(self, symbol: str, data: tuple[str, ...], lots: int) -> None:
        self.manifest = Manifest(
            name="quoter",
            version="1",
            symbols=(symbol,),
            expected_holding_s=60,
            expected_edge_bps=Decimal(1),
            cost_model="none",
            max_loss_pct=Decimal(100),
            data=data,
            book_levels=1,
            quotes=True,
        )
        self.lots = lots
        self.calls = 0

    def _act(self, context: Context, book: BookTop | None) -> list[StrategyIntent]:
        if book is None or not book.bids or not book.asks:
            return []
        held = context.position_lots
        side = Side.SELL if held else Side.BUY
        wanted = book.asks[0][0] + OFFSET_TICKS if held else book.bids[0][0] - OFFSET_TICKS
        orders = context.orders
        if not orders:
            symbol = self.manifest.symbols[0]
            return [PlaceIntent(symbol=symbol, side=side, price_ticks=wanted, lots=held or self.lots)]
        order = orders[0]
        if not order.busy and (order.side is not side or abs(wanted - order.price_ticks) > OFFSET_TICKS):
            return [CancelIntent(client_id=order.client_id)]
        return []

    def on_book(self, context: Context, book: BookTop) -> list[StrategyIntent]:
        """A message of the book."""
        self.calls += 1
        return self._act(context, book)

    def on_trade(self, context: Context, trade: PublicTrade) -> list[StrategyIntent]:
        """A public trade."""
        self.calls += 1
        return []

    def on_timer(self, context: Context) -> list[StrategyIntent]:
        """Every second."""
        self.calls += 1
        if self.manifest.data:
            return []
        return self._act(context, context.market(self.manifest.symbols[0]).book)


def load(captures: Sequence[str], messages: int) -> tuple[Batches, Instrument]:
    """At most so many messages of captures, or of the generated market when there are none."""
    feed: Any
    if captures:
        feed = RecordedFeed([Path(one) for one in captures], speed=None)
    else:
        feed = GeneratedFeed(11, speed=None, start_at_ns=1_704_067_200 * SECOND_NS)
    batches: Batches = []
    count = 0
    for now_ns, events in feed.batches():
        batches.append((now_ns, list(events)))
        count += len(events)
        if count >= messages:
            break
    return batches, next(iter(feed.instruments.values()))


async def _open(outside: Instrument, data: tuple[str, ...], start_ns: int) -> tuple[Session, Quoter]:
    keys = PaperKeys.derive("bench")
    genesis = encode_genesis(0, RULES_VERSION, start_ns, keys.grants(start_ns + YEAR_NS))
    port = EnginePort(Engine(genesis, audit=False), keys.system, start_ns, keep_tape=False)
    schedule = load_schedule("binance-spot-vip0")
    setup = await set_up(port, keys, schedule, [outside], {outside.quote: CASH})
    venue = PaperVenue(port, setup, latency=LatencyConfig(seed=1))
    quoter = Quoter(outside.symbol, data, 0)
    profile = load_profile("paper")
    account = msgspec.structs.replace(profile.account, currency=outside.quote)
    trader = TraderService(
        venue, port, msgspec.structs.replace(profile, account=account), quoter, environment="sim"
    )
    session = Session(venue, trader)
    await session.open()
    return session, quoter


def _lots(instrument: Instrument, price_ticks: int) -> int:
    notional = instrument.tick * price_ticks * instrument.lot
    return max(1, int(QUOTE_NOTIONAL / notional) + 1)


def _first_bid(batches: Batches) -> int:
    for _, events in batches:
        for event in events:
            if isinstance(event, BookSnapshot) and event.bids:
                return event.bids[0][0]
    raise ValueError("no book in the data")


async def _run(rows: Rows, outside: Instrument, first_bid: int, data: tuple[str, ...]) -> dict[str, Any]:
    session, quoter = await _open(outside, data, rows.time_ns(0) - SECOND_NS)
    quoter.lots = _lots(session.venue.markets[outside.symbol].setup.instrument, first_bid)
    cpu_ns, wall_ns = time.process_time_ns(), time.monotonic_ns()
    counts = await Replay(session, rows).run()
    cpu_ns, wall_ns = time.process_time_ns() - cpu_ns, time.monotonic_ns() - wall_ns
    await session.sleep_ns(SECOND_NS)
    stats = session.trader.oms.stats
    if session.trader.strategy_error is not None or not stats.acks:
        raise MeasureFailed(f"the strategy did not trade: {session.trader.strategy_error}")
    port = session.port
    assert isinstance(port, EnginePort)
    return {
        "rows": rows.row_count,
        "messages": counts.messages,
        "strategy_calls": quoter.calls,
        "stops": counts.calls,
        "cpu_ns": cpu_ns,
        "wall_ns": wall_ns,
        "orders": stats.acks,
        "fills": stats.fills,
        "differences": len(await session.trader.reconcile()),
        "state_hash": port.engine.state_hash().hex(),
        "written": port.written.digest().hex(),
        "row_bytes": rows.nbytes,
    }


def measure(captures: Sequence[str], data: Sequence[str], messages: int) -> dict[str, Any]:
    """One run. `max_rss_bytes` is of a process that held the decoded events too, before it replayed."""
    batches, outside = load(captures, messages)
    best_quotes = sum(isinstance(event, TopOfBook) for _, events in batches for event in events)
    first_bid = _first_bid(batches)
    begin_ns = time.process_time_ns()
    rows = Rows.of(batches)
    load_ns = time.process_time_ns() - begin_ns
    del batches
    gc.collect()
    found = asyncio.run(_run(rows, outside, first_bid, tuple(data)))
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {**found, "best_quotes": best_quotes, "load_cpu_ns": load_ns, "max_rss_bytes": used}


def write_rows(captures: Sequence[str], messages: int, path: Path) -> dict[str, int]:
    """The same rows for the peers, snapshots included."""
    batches, outside = load(captures, messages)
    packed = [
        PEER_ROW.pack(*row)
        for now_ns, events in batches
        for event in events
        for row in _peer_rows(event, now_ns)
    ]
    head = PEER_HEAD.pack(
        PEER_MAGIC, len(packed), str(outside.tick).encode().ljust(16), str(outside.lot).encode().ljust(16)
    )
    path.write_bytes(head + b"".join(packed))
    return {"rows": Rows.of(batches).row_count, "records": len(packed)}


def _peer_rows(event: FeedEvent, now_ns: int) -> list[tuple[int, ...]]:
    venue_ns: int = getattr(event, "venue_ts_ns", None) or now_ns
    match event:
        case BookSnapshot() | BookDelta():
            flag = SNAPSHOT if isinstance(event, BookSnapshot) else 0
            levels = [(0, *level) for level in event.bids] + [(1, *level) for level in event.asks]
            last = len(levels) - 1
            return [
                (LEVEL, side, flag | (LAST if number == last else 0), 0, now_ns, venue_ns, price, lots)
                for number, (side, price, lots) in enumerate(levels)
            ]
        case TradePrint():
            side = 1 if event.aggressor_side is Side.SELL else 0
            return [(TRADE, side, LAST, 0, now_ns, venue_ns, event.price_ticks, event.quantity_lots)]
        case TopOfBook():
            bid = (BEST_BID, 0, 0, 0, now_ns, venue_ns, event.bid_ticks, event.bid_lots)
            return [bid, (BEST_ASK, 1, LAST, 0, now_ns, venue_ns, event.ask_ticks, event.ask_lots)]
    return []
