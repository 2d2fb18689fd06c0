"""The paper world with a trader in it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec
from paper_world import SYMBOL, World

from tradewind.trader.kill import KillSwitch
from tradewind.trader.risk.profile import Profile, load_profile
from tradewind.trader.service import TraderService
from tradewind.trader.session import Session
from tradewind.trader.strategies.idle import Idle
from tradewind.trader.strategy import Context, PlaceIntent, Strategy, StrategyIntent
from tradewind.venues.market_data import BookState, Side
from tradewind.venues.paper.latency import LatencyConfig
from tradewind.venues.protocol import TimeInForce

BIDS, ASKS = [(5_000_000, 1_000), (4_999_900, 500)], [(5_000_100, 800), (5_000_200, 600)]


class Scripted(Idle):
    """Places what the test puts into `wishes` at the next book."""

    def __init__(self) -> None:
        super().__init__((SYMBOL,))
        self.manifest = msgspec.structs.replace(self.manifest, name="scripted", data=("book",))
        self.wishes: list[StrategyIntent] = []
        self.raises: Exception | None = None
        self.seen: list[str] = []

    def on_book(self, context: Context, book: object) -> list[StrategyIntent]:
        if self.raises is not None:
            raise self.raises
        wishes, self.wishes = self.wishes, []
        return wishes

    def on_fill(self, context: Context, fill: object) -> list[StrategyIntent]:
        self.seen.append("fill")
        return []


class TraderWorld(World):
    """World, trader, session and kill switch; `feed` drives all of them."""

    trader: TraderService
    session: Session
    kill: KillSwitch
    strategy: Scripted

    @classmethod
    async def open(
        cls,
        *,
        profile: Profile | None = None,
        latency: LatencyConfig | None = None,
        strategy: Strategy | None = None,
        live: bool = True,
        **changes: object,
    ) -> TraderWorld:
        base = await World.create(latency=latency, **changes)  # type: ignore[arg-type]
        world = cls(base.port, base.setup, base.venue)
        world.strategy = strategy or Scripted()  # type: ignore[assignment]
        world.trader = TraderService(
            world.venue, world.port, profile or load_profile("paper"), world.strategy, environment="sim"
        )
        world.session = Session(world.venue, world.trader)
        world.kill = KillSwitch(world.session)
        assert not await world.session.open()
        world.now_ns = world.port.now_ns()
        if live:
            await world.book(BIDS, ASKS)
            # A busy public market: taking orders are bounded by its volume (L23).
            world.trader.volumes.add(SYMBOL, 10**12, 1, world.now_ns)
        return world

    async def feed(self, event: object) -> None:
        self.now_ns = max(self.now_ns, self.port.now_ns())
        await self.session.on_event(event, self.now_ns)  # type: ignore[arg-type]
        await self.session.sleep_ns(0)

    async def wait_ms(self, milliseconds: int) -> None:
        await self.session.sleep_ns(milliseconds * 1_000_000)
        self.now_ns = self.port.now_ns()

    async def wish(self, *intents: StrategyIntent) -> None:
        """Let the strategy wish these at the next book."""
        self.strategy.wishes += intents
        size = dict(self.venue.markets[SYMBOL].mirror.top(Side.BUY, 5)).get(4_999_800, 0)
        await self.levels(bids=[(4_999_800, size + 1)])

    async def hold(self, lots: int) -> None:
        """Buy from the displayed ask."""
        await self.wish(buy(5_000_100, lots, post_only=False, time_in_force=TimeInForce.IOC))
        assert self.trader.ledger.total("BTC") == Decimal("0.0001") * lots


def buy(price_ticks: int, lots: int, **changes: object) -> PlaceIntent:
    return PlaceIntent(symbol=SYMBOL, side=Side.BUY, price_ticks=price_ticks, lots=lots, **changes)  # type: ignore[arg-type]


def sell(price_ticks: int, lots: int, **changes: object) -> PlaceIntent:
    return PlaceIntent(symbol=SYMBOL, side=Side.SELL, price_ticks=price_ticks, lots=lots, **changes)  # type: ignore[arg-type]


def tight(**changes: object) -> Profile:
    """The paper profile with other limits."""
    profile = load_profile("paper")
    return msgspec.structs.replace(profile, limits=msgspec.structs.replace(profile.limits, **changes))


__all__: Sequence[str] = ("ASKS", "BIDS", "BookState", "Scripted", "TraderWorld", "buy", "sell", "tight")
