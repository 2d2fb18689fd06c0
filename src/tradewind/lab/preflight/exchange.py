"""A paper exchange on a bare engine with a virtual clock, with a trader in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import msgspec

from tradewind.core import native
from tradewind.core.engine import RULES_VERSION
from tradewind.lab.preflight.model import require
from tradewind.trader.hosting.host import Hosted
from tradewind.trader.kill import KillSwitch
from tradewind.trader.risk.profile import Limits, Profile, load_profile
from tradewind.trader.service import TraderService
from tradewind.trader.session import Session
from tradewind.trader.strategies.idle import Idle
from tradewind.trader.strategy import Strategy
from tradewind.venues.market_data import BookSnapshot, BookState, FeedState, Instrument
from tradewind.venues.paper.latency import LatencyConfig
from tradewind.venues.paper.port import EnginePort
from tradewind.venues.paper.schedule import load_schedule
from tradewind.venues.paper.setup import PaperKeys, set_up
from tradewind.venues.paper.venue import PaperVenue

SYMBOL: Final = "BTC/USDT"
START_NS: Final = 1_704_067_200_000_000_000
YEAR_NS: Final = 360 * 86_400 * 1_000_000_000
BIDS: Final = ((5_000_000, 100_000), (4_999_900, 50_000), (4_999_500, 900_000))
ASKS: Final = ((5_000_100, 80_000), (5_000_200, 60_000), (5_000_900, 900_000))
CASH: Final = Decimal(10_000)
BUSY_LOTS: Final = 10**9


def instrument() -> Instrument:
    """BTC/USDT with steps that the engine can hold as they are."""
    return Instrument(
        venue="preflight",
        symbol=SYMBOL,
        venue_symbol="BTCUSDT",
        base="BTC",
        quote="USDT",
        tick=Decimal("0.01"),
        lot=Decimal("0.0001"),
        min_quantity=Decimal("0.0001"),
        max_quantity=Decimal(9_000),
        min_notional=Decimal(5),
        max_notional=Decimal(9_000_000),
        price_decimals=2,
        quantity_decimals=4,
        source="preflight",
    )


@dataclass
class World:
    """Engine, venue, trader, session and kill switch of one simulated exchange."""

    port: EnginePort
    venue: PaperVenue
    trader: TraderService
    session: Session
    kill: KillSwitch

    @classmethod
    async def open(
        cls,
        *,
        profile: Profile | None = None,
        strategy: Strategy | Hosted | None = None,
        outside: Instrument | None = None,
        schedule: str = "binance-spot-vip0",
        latency: LatencyConfig | None = None,
        seen: Mapping[str, Instrument] | None = None,
    ) -> World:
        """A funded trader in a market that has no data yet; `seen` are instruments that it only looks at."""
        keys = PaperKeys.derive("preflight")
        genesis = native.encode_genesis(0, RULES_VERSION, START_NS, keys.grants(START_NS + YEAR_NS))
        port = EnginePort(native.Engine(genesis), keys.system, START_NS)
        fees = load_schedule(schedule)
        setup = await set_up(port, keys, fees, [outside or instrument()], {"USDT": CASH})
        venue = PaperVenue(port, setup, latency=latency or LatencyConfig.off())
        profile = profile or load_profile("paper")
        chosen = strategy or Idle((SYMBOL,))
        hosted = chosen if isinstance(chosen, Hosted) else Hosted(strategy=chosen)
        trader = TraderService(venue, port, profile, strategies=[hosted], outside=seen, environment="sim")
        session = Session(venue, trader)
        differences = await session.open()
        require(not differences, f"a fresh exchange does not reconcile: {differences}")
        return cls(port, venue, trader, session, KillSwitch(session))

    async def live(self) -> World:
        """With a live book around 50,000."""
        now_ns = self.port.now_ns()
        snapshot = BookSnapshot(
            symbol=SYMBOL,
            bids=BIDS,
            asks=ASKS,
            sequence=1,
            venue_ts_ns=now_ns,
            recv_ts_ns=now_ns,
            recv_mono_ns=now_ns,
            epoch=0,
        )
        await self.session.on_event(snapshot, now_ns)
        # A busy public market: what takes is bounded by its volume (L23).
        self.trader.volumes.add(SYMBOL, BUSY_LOTS, 1, now_ns)
        return await self.state(BookState.LIVE)

    async def state(self, state: BookState) -> World:
        """The outside book changes its state."""
        now_ns = self.port.now_ns()
        event = FeedState(symbol=SYMBOL, state=state, reason="preflight", since_ns=now_ns, epoch=0)
        await self.session.on_event(event, now_ns)
        await self.session.sleep_ns(1_000_000)
        return self

    def own_orders_in_engine(self) -> int:
        """Open orders of the trader's account as the engine's books have them."""
        total, _, _ = self.port.engine.sizes()
        mirrored = sum(one.mirror for one in self.venue.markets[SYMBOL].mirror.queues.orders.values())
        return int(total) - mirrored


def relaxed(**changes: object) -> Profile:
    """The paper profile with other limits, for checks that need room."""
    profile = load_profile("paper")
    limits: Limits = msgspec.structs.replace(profile.limits, **changes)
    return msgspec.structs.replace(profile, limits=limits)
