"""Every shipped strategy with the real trader, risk, ledger and paper venue on a generated market: it trades,
books agree to the last micro-unit, and the same feed gives the same log (T14.1).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from decimal import Decimal as D
from functools import cache

import msgspec
import pytest
from paper_world import YEAR_NS

from tradewind import _core
from tradewind.core.engine import RULES_VERSION
from tradewind.trader.discovery import make
from tradewind.trader.hosting.host import Hosted
from tradewind.trader.risk.profile import Profile, SymbolLimits, load_profile
from tradewind.trader.service import TraderService
from tradewind.trader.session import Session
from tradewind.trader.strategy import Strategy
from tradewind.venues.feeds.generated import GeneratedFeed, GeneratedMarket
from tradewind.venues.market_data import BookState, FeedState, TopOfBook
from tradewind.venues.paper.latency import LatencyConfig
from tradewind.venues.paper.port import EnginePort
from tradewind.venues.paper.schedule import load_schedule
from tradewind.venues.paper.setup import PaperKeys, set_up
from tradewind.venues.paper.venue import PaperVenue

START_NS = 1_704_067_200 * 10**9
COIN = GeneratedMarket(drift_ticks=800, reversion_per_mille=5, step_ms_min=50, step_ms_max=950)
CLAIM = GeneratedMarket(
    symbol="YES/USDT", tick=D("0.001"), lot=D(1), min_quantity=D(1), min_notional=D(1), start_price_ticks=500,
    level_step_ticks=1, level_lots=500, max_half_spread_ticks=3, drift_ticks=2, depth_levels=20,
    step_ms_min=50, step_ms_max=950,
)  # fmt: skip
THERE = msgspec.structs.replace(CLAIM, symbol="POLY/USDT")


class Work:
    """One strategy at work."""

    def __init__(self, session: Session, trader: TraderService, port: EnginePort) -> None:
        self.session, self.trader, self.port = session, trader, port

    @classmethod
    async def open(cls, strategy: Strategy, markets: list[GeneratedMarket], traded: int) -> Work:
        keys = PaperKeys.derive("test")
        genesis = _core.encode_genesis(0, RULES_VERSION, START_NS, keys.grants(START_NS + YEAR_NS))
        port = EnginePort(_core.Engine(genesis), keys.system, START_NS)
        instruments = [market.instrument() for market in markets]
        fees = load_schedule("binance-spot-vip0")
        setup = await set_up(port, keys, fees, instruments[:traded], {"USDT": D(10_000)})
        venue = PaperVenue(port, setup, latency=LatencyConfig(seed=1))
        outside = {one.symbol: one for one in instruments[traded:]}
        trader = TraderService(
            venue,
            port,
            _profile(),
            strategies=[Hosted(strategy=strategy)],
            outside=outside,
            environment="sim",
        )
        session = Session(venue, trader)
        assert not await session.open()
        return cls(session, trader, port)

    async def play(self, markets: list[GeneratedMarket], events: int, seed: int = 5) -> None:
        feed = GeneratedFeed(seed, markets, speed=None, start_at_ns=START_NS)
        seen = 0
        for now_ns, batch in feed.batches():
            for event in batch:
                if not isinstance(event, TopOfBook):
                    await self.session.on_event(event, now_ns)
                    seen += 1
            if seen >= events:
                break

    async def lose_sight(self, name: str) -> None:
        """No book is known any more; time for the cancels."""
        now_ns = self.port.now_ns()
        for market in markets_of(name):
            event = FeedState(
                symbol=market.symbol, state=BookState.SUSPECT, reason="test", since_ns=now_ns, epoch=0
            )
            await self.session.on_event(event, now_ns)
        await self.session.sleep_ns(5 * 10**9)

    @property
    def tape(self) -> str:
        return hashlib.blake2b(b"".join(self.port.tape), digest_size=16).hexdigest()


def _profile() -> Profile:
    """The paper profile, with the claim on its list of symbols."""
    paper = load_profile("paper")
    symbols = paper.limits.symbols | {CLAIM.symbol: SymbolLimits(max_order_qty_base=D(1_000))}
    return msgspec.structs.replace(paper, limits=msgspec.structs.replace(paper.limits, symbols=symbols))


PLAYS: Mapping[str, tuple[str, dict[str, object], int]] = {
    "market_maker": ("demonstration", {}, 800),
    "mean_reversion": ("demonstration", {"bar_s": 1, "adx_below": 90}, 2_500),
    "breakout": ("demonstration", {"bar_s": 1, "adx_from": 1, "range_bars": 5}, 2_500),
    "outcome_reference": ("demonstration", {}, 800),
}


@cache
def markets_of(name: str) -> tuple[GeneratedMarket, ...]:
    return (CLAIM, THERE) if name == "outcome_reference" else (COIN,)


async def worked(name: str) -> Work:
    preset, values, events = PLAYS[name]
    markets = list(markets_of(name))
    outside = [market.symbol for market in markets[1:]]
    strategy = make(name, [markets[0].symbol], values, preset=preset, outside=outside)
    work = await Work.open(strategy, markets, 1)
    await work.play(markets, events)
    return work


@pytest.mark.parametrize("name", PLAYS)
async def test_each_shipped_strategy_trades_agrees_with_its_venue_and_leaves_a_suspect_book(
    name: str,
) -> None:
    work = await worked(name)
    trader, symbol = work.trader, markets_of(name)[0].symbol
    (host,) = trader.hosts
    assert host.error is None
    assert trader.ledger.positions[symbol].fill_count > 0, host.strategy.gate_reason  # type: ignore[attr-defined]
    assert await trader.reconcile() == []
    assert trader.oms.stats.preventable_rejects == 0
    assert (await worked(name)).tape == work.tape, "the same feed gives the same commands and records"
    await work.lose_sight(name)
    assert [one.intent.symbol for one in trader.oms.working()] == []


@pytest.mark.parametrize("name", ["mean_reversion", "breakout", "outcome_reference"])
async def test_an_honest_set_trades_quotes_or_says_why_it_does_not(name: str) -> None:
    claims = name == "outcome_reference"
    values: dict[str, object] = {"settles_at_s": 4_000_000_000} if claims else {"bar_s": 1}
    markets = list(markets_of(name))
    strategy = make(name, [markets[0].symbol], values, outside=[market.symbol for market in markets[1:]])
    work = await Work.open(strategy, markets, 1)
    await work.play(markets, 1_000)
    (host,) = work.trader.hosts
    assert host.error is None
    did = work.trader.oms.stats.acks or host.strategy.gate_reason  # type: ignore[attr-defined]
    assert did or not claims
