"""Whole runs: generated feed always, the recorded capture when it is there. Exact reconciliation, same seed
same log.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
from paper_world import CAPTURE, SYMBOL, World

from tradewind.trader.parameters import ParameterError
from tradewind.trader.risk.profile import load_profile
from tradewind.trader.service import TraderService
from tradewind.trader.session import Session
from tradewind.trader.strategies.market_making import (
    DEMONSTRATION,
    MarketMaking,
    MarketMakingParameters,
)
from tradewind.venues.feeds.generated import GeneratedFeed
from tradewind.venues.feeds.recorded import RecordedFeed
from tradewind.venues.market_data import FeedEvent, Instrument, Side, TopOfBook
from tradewind.venues.paper.latency import LatencyConfig


class Run:
    """One finished run."""

    def __init__(self, world: World, trader: TraderService, session: Session) -> None:
        self.world, self.trader, self.session = world, trader, session
        self.tape = hashlib.blake2b(b"".join(world.port.tape)).hexdigest()
        self.state = world.port.engine.state_hash()


async def run(
    events: AsyncIterator[FeedEvent],
    outside: Instrument,
    *,
    limit: int,
    start_ns: int,
    parameters: MarketMakingParameters = DEMONSTRATION,
    seed: int = 1,
    reference_book: bool = False,
) -> Run:
    world = await World.create(
        outside=outside, latency=LatencyConfig(seed=seed), start_ns=start_ns, reference_book=reference_book
    )
    strategy = MarketMaking((outside.symbol,), parameters, environment="sim")
    trader = TraderService(world.venue, world.port, load_profile("paper"), strategy, environment="sim")
    session = Session(world.venue, trader)
    assert not await session.open()
    count = 0
    async for event in events:
        if isinstance(event, TopOfBook):
            continue
        now_ns = max(world.port.now_ns(), getattr(event, "recv_ts_ns", world.port.now_ns()))
        await session.on_event(event, now_ns)
        count += 1
        if count >= limit:
            break
    await session.sleep_ns(2 * 10**9)
    return Run(world, trader, session)


async def generated(limit: int = 2_500, **changes: object) -> Run:
    start_ns = 1_704_067_200 * 10**9
    feed = GeneratedFeed(11, speed=None, start_at_ns=start_ns)
    outside = next(iter(feed.instruments.values()))
    return await run(feed.events(), outside, limit=limit, start_ns=start_ns, **changes)  # type: ignore[arg-type]


async def check_exact(done: Run, symbol: str) -> None:
    """Position, profit and fees equal the engine's own ledger to the last micro-unit."""
    trader, world = done.trader, done.world
    assert await trader.reconcile() == []
    instrument = trader.oms.instruments[symbol]
    trader_id = world.setup.account_ids["trader"]
    micro = {
        asset: sum(world.port.engine.balance(trader_id, 0, number, line) or 0 for line in (0, 1))
        for asset, number in world.setup.assets.items()
    }
    position = trader.ledger.positions[symbol]
    assert position.fill_count > 0, "the run must trade to prove anything"
    assert trader.ledger.total(instrument.quote) * 10**6 == micro[instrument.quote]
    assert position.quantity * 10**6 == micro[instrument.base]
    fees = position.fees[instrument.quote]
    assert 10_000 + position.realised - position.cost - fees == Decimal(micro[instrument.quote]) / 10**6
    charged = sum(
        (fill.fee for fill in await world.venue.fills(0)),
        Decimal(0),  # type: ignore[union-attr]
    )
    assert fees == charged
    assert trader.oms.stats.preventable_rejects == 0
    assert world.venue.markets[symbol].refused_actions == 0


async def test_a_generated_run_reconciles_to_the_last_micro_unit() -> None:
    done = await generated()
    await check_exact(done, next(iter(done.trader.oms.instruments)))
    # how long callbacks took is about this machine at this moment, not about the run
    assert not [one for one in done.trader.alarms if not one.text.startswith("callbacks of ")]


async def test_the_same_feed_and_seed_give_the_same_commands_notes_and_state() -> None:
    first, second = await generated(800), await generated(800)
    assert (first.tape, first.state) == (second.tape, second.state)
    other = await generated(800, seed=2)
    assert other.tape != first.tape


async def test_both_books_of_the_engine_give_the_same_run() -> None:
    first, second = await generated(800), await generated(800, reference_book=True)
    assert (first.tape, first.state) == (second.tape, second.state)


async def test_default_parameters_quote_outside_their_costs() -> None:
    done = await generated(600, parameters=MarketMakingParameters())
    market = done.world.venue.markets[next(iter(done.trader.oms.instruments))]
    bid, ask = market.mirror.best(Side.BUY), market.mirror.best(Side.SELL)
    assert bid is not None and ask is not None
    orders = done.trader.oms.working()
    assert orders
    for order in orders:
        away_bps = Decimal(abs(2 * order.price_ticks - bid - ask)) * 10_000 / (bid + ask)
        assert away_bps >= 12, "a round trip must earn 1.5 times its fees"
    assert done.trader.snapshot().strategy_note == ""
    assert "below costs" in (await generated(100)).trader.snapshot().strategy_note


def test_parameters_are_bounded_and_a_reporting_cost_gate_is_for_sim_and_paper_only() -> None:
    MarketMaking((SYMBOL,), DEMONSTRATION, environment="paper")
    with pytest.raises(ParameterError, match="cost_gate"):
        MarketMaking((SYMBOL,), DEMONSTRATION, environment="live")
    for name, value in (("layers", 6), ("min_half_bps", Decimal(-1)), ("base_half_bps", Decimal("NaN"))):
        with pytest.raises(ParameterError, match=name):
            MarketMaking((SYMBOL,), MarketMakingParameters(**{name: value}))  # type: ignore[arg-type]


@pytest.mark.skipif(not CAPTURE.exists(), reason="the recorded captures are not beside this checkout")
async def test_the_recorded_capture_trades_and_reconciles_to_the_last_micro_unit() -> None:
    feed = RecordedFeed(CAPTURE, speed=None)
    outside = feed.instruments[SYMBOL]
    done = await run(feed.events(), outside, limit=6_000, start_ns=1_723_161_250 * 10**9)
    await check_exact(done, SYMBOL)
    assert done.trader.ledger.positions[SYMBOL].fill_count > 20
    stats = done.world.venue.markets[SYMBOL].mirror.stats
    assert stats.updates > 1_000
    assert stats.prints > 3_000
