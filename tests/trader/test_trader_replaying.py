"""Rows through the native loop give what one event after the other gives: commands, records, fills, state."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec
import pytest
from paper_world import CAPTURES, MS, SECOND, START_NS, SYMBOL, World, instrument

from tradewind.core.native import Batch
from tradewind.trader.replaying import Replay
from tradewind.trader.risk.profile import load_profile
from tradewind.trader.service import TraderService
from tradewind.trader.session import Session
from tradewind.trader.strategies.idle import Idle
from tradewind.trader.strategies.market_making import DEMONSTRATION, MarketMaking
from tradewind.trader.strategy import (
    AmendIntent,
    CancelIntent,
    Context,
    PlaceIntent,
    Strategy,
    StrategyBase,
    StrategyIntent,
)
from tradewind.venues.feeds.generated import GeneratedFeed
from tradewind.venues.feeds.recorded import RecordedFeed
from tradewind.venues.market_data import (
    BookDelta,
    BookSnapshot,
    BookState,
    FeedEvent,
    FeedState,
    Instrument,
    Side,
    TopOfBook,
    TradePrint,
)
from tradewind.venues.paper.bulk import BulkRefused, BulkRun, Why
from tradewind.venues.paper.latency import LatencyConfig
from tradewind.venues.paper.rows import Rows
from tradewind.venues.protocol import TimeInForce

Batches = list[tuple[int, list[FeedEvent]]]
DATA: tuple[tuple[str, ...], ...] = ((), ("book",), ("trades",), ("book", "trades"))


class Restless(StrategyBase):
    """Places, amends and cancels at random wherever it is called."""

    def __init__(self, data: tuple[str, ...], outside: Instrument) -> None:
        self.manifest = msgspec.structs.replace(Idle((outside.symbol,)).manifest, name="restless", data=data)
        self.calls = 0
        self.mid = 0

    def _any(self, context: Context) -> list[StrategyIntent]:
        self.calls += 1
        draw = context.random.random()
        idle = [order for order in context.orders if not order.busy]
        book = context.market(self.manifest.symbols[0]).book
        if book is None or not book.bids or not book.asks or draw > 0.5:
            return []
        if idle and draw < 0.1:
            return [CancelIntent(client_id=idle[0].client_id)]
        if idle and draw < 0.15:
            order = idle[-1]
            return [
                AmendIntent(client_id=order.client_id, price_ticks=order.price_ticks - 3, lots=order.lots)
            ]
        if len(context.orders) >= 6:
            return []
        side = Side.SELL if context.position_lots > 20 and draw > 0.3 else Side.BUY
        taking = draw > 0.45
        offset = -2 if taking else context.random.randrange(0, 4)
        best = book.bids[0][0] if side is Side.BUY else book.asks[0][0]
        price = best - offset if side is Side.BUY else best + offset
        if taking:
            price = book.asks[0][0] if side is Side.BUY else book.bids[0][0]
        lots = min(20, context.position_lots) if side is Side.SELL else 20
        if lots < 5:
            return []
        return [
            PlaceIntent(
                symbol=self.manifest.symbols[0],
                side=side,
                price_ticks=price,
                lots=lots,
                post_only=not taking,
                time_in_force=TimeInForce.IOC if taking else TimeInForce.GTC,
            )
        ]

    def on_book(self, context: Context, book: Any) -> list[StrategyIntent]:
        return self._any(context)

    def on_trade(self, context: Context, trade: Any) -> list[StrategyIntent]:
        return self._any(context)

    def on_timer(self, context: Context) -> list[StrategyIntent]:
        return self._any(context)

    def on_fill(self, context: Context, fill: Any) -> list[StrategyIntent]:
        return self._any(context)


async def open_session(
    outside: Instrument, strategy: Strategy, latency: LatencyConfig, start_ns: int
) -> tuple[World, TraderService, Session]:
    world = await World.create(outside=outside, latency=latency, start_ns=start_ns)
    world.port.keep_tape = False
    trader = TraderService(world.venue, world.port, load_profile("paper"), strategy, environment="sim")
    session = Session(world.venue, trader)
    assert not await session.open()
    return world, trader, session


async def outcome(world: World, trader: TraderService, symbol: str) -> dict[str, Any]:
    """Everything two runs are compared by."""
    market = world.venue.markets[symbol]
    return {
        "commands": (world.port.written.count, world.port.written.digest()),
        "state": world.port.engine.state_hash(),
        "fills": await world.venue.fills(0),
        "balances": await world.venue.balances(),
        "stats": market.mirror.stats,
        "seen": (market.book_as_of_ns, market.last_price_ticks, market.refused_actions),
        "tops": [market.mirror.top(side, 20) for side in Side],
        "queues": market.mirror.queues.entries(),
        "now": world.port.now_ns(),
        "volume": trader.volumes.lots(symbol, world.port.now_ns()),
        "counts": trader.counts,
        "differences": await trader.reconcile(),
    }


async def both(
    batches: Batches, outside: Instrument, data: tuple[str, ...], latency: LatencyConfig, *, pieces: int = 1
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same data one by one, and natively in `pieces` parts."""
    found = []
    for native in (False, True):
        strategy = Restless(data, outside)
        world, trader, session = await open_session(outside, strategy, latency, batches[0][0] - SECOND)
        if native:
            replay = Replay(session, Rows.of(batches))
            span_ns = batches[-1][0] - batches[0][0]
            for piece in range(1, pieces):
                await replay.run(until_ns=batches[0][0] + span_ns * piece // pieces)
            await replay.run()
        else:
            for now_ns, events in batches:
                for event in events:
                    await session.on_event(event, max(world.port.now_ns(), now_ns))
        await session.sleep_ns(SECOND)
        result = await outcome(world, trader, outside.symbol)
        found.append({**result, "calls": strategy.calls, "events": session.feed_events})
    return found[0], found[1]


def generated(seed: int, steps: int) -> tuple[Batches, Instrument]:
    feed = GeneratedFeed(seed, speed=None, start_at_ns=START_NS)
    batches = [(now_ns, list(events)) for now_ns, events in islice(feed.batches(), steps)]
    return batches, next(iter(feed.instruments.values()))


@pytest.mark.parametrize("data", DATA, ids=lambda data: "+".join(data) or "timer")
@pytest.mark.parametrize("late", [True, False], ids=["latency", "at once"])
async def test_rows_give_what_single_events_give(data: tuple[str, ...], late: bool) -> None:
    latency = LatencyConfig(seed=3) if late else LatencyConfig.off()
    batches, outside = generated(5 + late, 1_500)
    single, rows = await both(batches, outside, data, latency, pieces=1 + 4 * late)
    assert rows == single
    assert rows["differences"] == []
    assert rows["fills"], "a run without a fill proves little"


def scripted(seed: int) -> Batches:
    """A short market with everything that is rare: silence, loss of the book, crossed and one-sided books."""
    draw = random.Random(seed)
    now_ns, mid, number = START_NS, 5_000_000, 0
    batches: Batches = []

    def stamp() -> dict[str, Any]:
        return {"venue_ts_ns": now_ns - 3 * MS, "recv_ts_ns": now_ns, "recv_mono_ns": now_ns, "epoch": 0}

    def book() -> list[FeedEvent]:
        bids = tuple((mid - 1 - i, draw.randrange(1, 60)) for i in range(6))
        asks = tuple((mid + 1 + i, draw.randrange(1, 60)) for i in range(6))
        live = FeedState(symbol=SYMBOL, state=BookState.LIVE, reason="", since_ns=now_ns, epoch=0)
        return [BookSnapshot(symbol=SYMBOL, bids=bids, asks=asks, sequence=1, **stamp()), live]

    batches.append((now_ns, book()))
    for number in range(600):
        now_ns += draw.choice([0, 1, 7, 40, 99, 100, 101, 350, 2_500]) * MS
        kind = draw.random()
        if kind < 0.55:
            mid += draw.choice([-1, 0, 0, 1])
            levels = [[], []]  # type: ignore[var-annotated]
            for side, levels_of in enumerate(levels):
                sign = 1 if side else -1
                levels_of += [
                    (mid + sign * draw.randrange(0 if kind < 0.02 else 1, 8), draw.choice([0, 5, 30, 80]))
                    for _ in range(draw.randrange(0, 4))
                ]
            batches.append(
                (
                    now_ns,
                    [
                        BookDelta(
                            symbol=SYMBOL, bids=levels[0], asks=levels[1], first_id=number, last_id=number,
                            previous_id=None, **stamp(),
                        )
                    ],
                )
            )  # fmt: skip
        elif kind < 0.9:
            aggressor = draw.choice([Side.BUY, Side.SELL, None])
            print_ = TradePrint(
                symbol=SYMBOL, trade_id=number, price_ticks=mid + draw.randrange(-2, 3),
                quantity_lots=draw.randrange(1, 60), aggressor_side=aggressor, **stamp(),
            )  # fmt: skip
            batches.append((now_ns, [print_]))
        elif kind < 0.96:
            best = TopOfBook(
                symbol=SYMBOL, bid_ticks=mid - 1, bid_lots=3, ask_ticks=mid + 1, ask_lots=4, sequence=None,
                **stamp(),
            )  # fmt: skip
            batches.append((now_ns, [best, msgspec.structs.replace(best, symbol="ETH/USDT")]))
        elif kind < 0.98:
            lost = FeedState(symbol=SYMBOL, state=BookState.SUSPECT, reason="gap", since_ns=now_ns, epoch=0)
            batches.append((now_ns, [lost]))
            now_ns += draw.choice([50, 400]) * MS
            batches.append((now_ns, book()))
        else:
            now_ns += 20 * SECOND
            batches.append((now_ns, book()))
    return batches


@pytest.mark.parametrize("seed", range(8))
async def test_rare_markets_give_the_same_too(seed: int) -> None:
    latency = LatencyConfig.off() if seed % 2 else LatencyConfig(seed=seed, entry_median_ms=5.0)
    single, rows = await both(scripted(seed), instrument(), DATA[seed % 4], latency, pieces=1 + seed % 3)
    assert rows == single


def test_the_rare_markets_are_rare_ones() -> None:
    kinds = {type(event) for seed in range(8) for _, events in scripted(seed) for event in events}
    assert kinds == {BookSnapshot, BookDelta, TradePrint, TopOfBook, FeedState}


async def test_another_seed_of_the_latency_is_another_run() -> None:
    batches, outside = generated(5, 600)
    one, _ = await both(batches, outside, ("book",), LatencyConfig(seed=1))
    _, other = await both(batches, outside, ("book",), LatencyConfig(seed=2))
    assert one["commands"] != other["commands"]


async def test_a_loop_that_forgets_a_report_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    batches, outside = generated(5, 800)
    told = BulkRun._told

    def forgetful(self: BulkRun, batch: Batch, now_ns: int) -> int | None:
        told(self, batch, now_ns)
        return None

    monkeypatch.setattr(BulkRun, "_told", forgetful)
    single, rows = await both(batches, outside, (), LatencyConfig(seed=3))
    assert rows != single


async def test_a_strategy_on_its_timer_is_not_asked_for_messages() -> None:
    batches, outside = generated(7, 1_000)
    _, _, session = await open_session(
        outside, Restless((), outside), LatencyConfig.off(), batches[0][0] - SECOND
    )
    rows = Rows.of(batches)
    counts = await Replay(session, rows).run()
    span_s = (batches[-1][0] - batches[0][0]) / SECOND
    assert counts.messages == len(rows) > 1_000
    assert counts.calls < 6 * span_s, "some calls each second, none for a message"


async def test_progress_is_told_and_a_run_can_go_on_where_it_stopped() -> None:
    batches, outside = generated(7, 400)
    _, _, session = await open_session(
        outside, Idle((outside.symbol,)), LatencyConfig.off(), START_NS - SECOND
    )
    rows, heard = Rows.of(batches), []
    replay = Replay(session, rows)
    first = await replay.run(until_ns=batches[200][0], on_progress=heard.append)
    second = await replay.run(on_progress=heard.append)
    assert first.messages and second.messages
    assert first.messages + second.messages == len(rows) == session.feed_events
    assert heard == sorted(heard)


async def test_a_venue_that_somebody_else_listens_to_is_not_driven_natively() -> None:
    batches, outside = generated(7, 10)
    rows = Rows.of(batches)
    world, _, session = await open_session(outside, Idle((outside.symbol,)), LatencyConfig.off(), START_NS)
    BulkRun(world.venue, rows)
    reader = world.venue.market([outside.symbol])
    with pytest.raises(BulkRefused, match="reads the venue's market data"):
        Replay(session, rows)
    reader.close()  # type: ignore[attr-defined]
    BulkRun(world.venue, rows)
    world.port.keep_tape = True
    with pytest.raises(BulkRefused, match="keeps no tape"):
        Replay(session, rows)
    world.port.keep_tape = False
    world.port.listen(lambda batch: None, mirrors=False)
    BulkRun(world.venue, rows)
    world.port.listen(lambda batch: None)
    with pytest.raises(BulkRefused, match="listens to the engine"):
        Replay(session, rows)


async def test_an_engine_that_stops_ends_the_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    from tradewind.venues.paper.port import PortStopped

    batches, outside = generated(7, 50)
    world, _, _ = await open_session(outside, Idle((outside.symbol,)), LatencyConfig.off(), START_NS)
    bulk = BulkRun(world.venue, Rows.of(batches))
    native = bulk._native

    class Stopping:
        def run(self, *arguments: object) -> tuple[int, int, int]:
            from tradewind.core.native import EngineStopped

            raise EngineStopped("it stopped")

        def __getattr__(self, name: str) -> object:
            return getattr(native, name)

    monkeypatch.setattr(bulk, "_native", Stopping())
    with pytest.raises(PortStopped, match="it stopped"):
        bulk.go([(False, False)])
    assert world.venue.stopped_reason


async def test_the_native_loop_alone_mirrors_what_the_venue_would() -> None:
    batches, outside = generated(9, 300)
    world = await World.create(outside=outside, start_ns=START_NS - SECOND)
    world.port.keep_tape = False
    bulk = BulkRun(world.venue, Rows.of(batches))
    prints: list[tuple[str, int, int]] = []
    while True:
        why, value = bulk.go([(False, False)], on_prints=lambda *told: prints.append(told))
        if why is Why.END:
            break
        assert why is Why.KEPT
        event = bulk.rows.event(value)
        await world.venue.on_feed(event, max(world.port.now_ns(), bulk.rows.time_ns(value)))
    traded = sum(
        event.quantity_lots for _, events in batches for event in events if isinstance(event, TradePrint)
    )
    assert sum(lots for _, lots, _ in prints) == traded
    assert {symbol for symbol, _, _ in prints} == {outside.symbol}


@pytest.mark.skipif(not CAPTURES.exists(), reason="the recorded captures are not beside this checkout")
@pytest.mark.parametrize("data", [(), ("book", "trades")], ids=["timer", "every message"])
async def test_a_recorded_capture_gives_the_same(data: tuple[str, ...]) -> None:
    feed = RecordedFeed(CAPTURES / "binance-spot-btcusdt-2024-08-08.gz", speed=None)
    batches = [(now_ns, list(events)) for now_ns, events in islice(feed.batches(), 12_000)]
    outside = feed.instruments[SYMBOL]
    results = []
    for native in (False, True):
        strategy = MarketMaking((SYMBOL,), DEMONSTRATION, environment="sim")
        strategy.manifest = msgspec.structs.replace(strategy.manifest, data=data)
        world, trader, session = await open_session(
            outside, strategy, LatencyConfig(seed=1), batches[0][0] - SECOND
        )
        if native:
            await Replay(session, Rows.of(batches)).run()
        else:
            for now_ns, events in batches:
                for event in events:
                    await session.on_event(event, max(world.port.now_ns(), now_ns))
        results.append(await outcome(world, trader, SYMBOL))
    assert results[0] == results[1]
    assert bool(data) == bool(results[0]["fills"])


def _iterate(batches: Batches) -> Iterator[FeedEvent]:
    for _, events in batches:
        yield from events


def test_rows_give_back_what_was_put_in() -> None:
    batches = scripted(3)
    rows = Rows.of(batches)
    events = list(_iterate(batches))
    count = 0
    for index, event in enumerate(events):
        given = rows.event(index)
        if isinstance(event, BookDelta):
            assert isinstance(given, BookDelta)
            assert (tuple(given.bids), tuple(given.asks)) == (tuple(event.bids), tuple(event.asks))
            given = msgspec.structs.replace(given, bids=event.bids, asks=event.asks)
        assert given == event
        if isinstance(event, BookDelta | BookSnapshot):
            count += len(event.bids) + len(event.asks)
        else:
            count += isinstance(event, TradePrint | TopOfBook)
    assert len(rows) == len(events)
    assert rows.row_count == count
    assert rows.symbols == (SYMBOL, "ETH/USDT")
    with pytest.raises(IndexError):
        rows.event(len(rows))


def test_a_quantity_that_does_not_fit_is_kept_as_it_is() -> None:
    rows = Rows()
    wide = BookDelta(
        symbol=SYMBOL, bids=((1, 2**63), (2, 1)), asks=(), first_id=1, last_id=1, previous_id=None,
        venue_ts_ns=None, recv_ts_ns=5, recv_mono_ns=5, epoch=0,
    )  # fmt: skip
    rows.append(wide, 5)
    assert rows.event(0) is wide
    assert (len(rows), rows.row_count) == (1, 2)


def test_time_that_goes_back_is_refused() -> None:
    rows = Rows()
    state = FeedState(symbol=SYMBOL, state=BookState.LIVE, reason="", since_ns=1, epoch=0)
    rows.append(state, 5)
    rows.append(state, 5)
    with pytest.raises(ValueError, match="goes back"):
        rows.append(state, 4)
    assert len(rows) == 2
