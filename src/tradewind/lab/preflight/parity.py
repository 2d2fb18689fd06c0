"""V28: every shipped strategy, twice over the same events, gives the same commands, records and state."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from tradewind.lab.preflight.exchange import START_NS, World
from tradewind.lab.preflight.model import Context, Evidence, require
from tradewind.trader.discovery import make
from tradewind.trader.hosting.host import Hosted
from tradewind.trader.risk.profile import Profile, SymbolLimits, load_profile
from tradewind.trader.strategy import Strategy
from tradewind.venues.feeds.generated import GeneratedFeed, GeneratedMarket
from tradewind.venues.paper.latency import LatencyConfig

PARITY_EVENTS: Final = 10_000
OTHERS_DIVISOR: Final = 4
"""The strategies beside the first one play a quarter of the events, in a market whose steps take longer."""
SEED: Final = 7
EVENTS_PER_YIELD: Final = 200

COIN: Final = GeneratedMarket()
SLOW_COIN: Final = GeneratedMarket(drift_ticks=800, reversion_per_mille=5, step_ms_min=50, step_ms_max=950)
CLAIM: Final = GeneratedMarket(
    symbol="YES/USDT",
    tick=Decimal("0.001"),
    lot=Decimal(1),
    min_quantity=Decimal(1),
    min_notional=Decimal(1),
    start_price_ticks=500,
    level_step_ticks=1,
    level_lots=500,
    max_half_spread_ticks=3,
    drift_ticks=2,
    depth_levels=20,
    step_ms_min=50,
    step_ms_max=950,
)
THERE: Final = msgspec.structs.replace(CLAIM, symbol="POLY/USDT")


class Play(msgspec.Struct, frozen=True, kw_only=True):
    """A shipped strategy and the generated market that makes it trade; the first market is traded, the others
    are looked at.
    """

    source: str
    markets: tuple[GeneratedMarket, ...]
    parameters: dict[str, Any] = {}
    divisor: int = OTHERS_DIVISOR

    def build(self) -> Strategy:
        """A fresh one, with the set that trades inside of its costs."""
        return make(
            self.source,
            [self.markets[0].symbol],
            self.parameters,
            preset="demonstration",
            outside=[market.symbol for market in self.markets[1:]],
        )


PLAYS: Final = (
    Play(source="market_maker", markets=(COIN,), divisor=1),
    Play(source="mean_reversion", markets=(SLOW_COIN,), parameters={"bar_s": 1, "adx_below": 90}),
    Play(source="breakout", markets=(SLOW_COIN,), parameters={"bar_s": 1, "adx_from": 1, "range_bars": 5}),
    Play(source="outcome_reference", markets=(CLAIM, THERE)),
)


class Run(msgspec.Struct, frozen=True):
    """What a simulated run left behind."""

    tape: str
    state_hash: str
    orders: int
    events: int


def profile_with(market: GeneratedMarket) -> Profile:
    """The paper profile, with this market on its list."""
    paper = load_profile("paper")
    limits: Mapping[str, SymbolLimits] = {market.symbol: SymbolLimits(max_order_qty_base=Decimal(1_000))}
    symbols = {**limits, **paper.limits.symbols}
    return msgspec.structs.replace(paper, limits=msgspec.structs.replace(paper.limits, symbols=symbols))


async def open_world(play: Play, strategy: Strategy | Hosted) -> World:
    """A trader with this strategy in the play's market, without any data yet."""
    first, *others = (market.instrument() for market in play.markets)
    return await World.open(
        strategy=strategy,
        outside=first,
        profile=profile_with(play.markets[0]),
        latency=LatencyConfig(),
        seen={one.symbol: one for one in others},
    )


async def feed(world: World, play: Play, events: int) -> int:
    """Plays so many events of the market, or a few more; returns how many."""
    source = GeneratedFeed(SEED, list(play.markets), speed=None, start_at_ns=START_NS)
    seen = 0
    for now_ns, batch in source.batches():
        for event in batch:
            await world.session.on_event(event, now_ns)
            seen += 1
        if seen % EVENTS_PER_YIELD < len(batch):
            await asyncio.sleep(0)
        if seen >= events:
            break
    return seen


async def simulate(events: int, strategy: Callable[[], Strategy] | None = None, play: Play = PLAYS[0]) -> Run:
    """Trades so many events of the play's market."""
    world = await open_world(play, strategy() if strategy is not None else play.build())
    seen = await feed(world, play, events)
    tape = hashlib.blake2b(b"".join(world.port.tape), digest_size=32).hexdigest()
    return Run(tape, world.port.engine.state_hash().hex(), world.trader.oms.stats.acks, seen)


async def parity(context: Context) -> Evidence:
    """V28: the same events twice give the same commands, records and state, bit for bit; for each shipped
    strategy.
    """
    strategy = context.at("V28.strategy", None)
    events = context.at("V28.events", PARITY_EVENTS)
    plays = context.at("V28.plays", PLAYS)
    facts: dict[str, Any] = {}
    for play in plays:
        chosen = strategy if play is plays[0] else None
        wanted = max(1, events // play.divisor)
        first, second = await simulate(wanted, chosen, play), await simulate(wanted, chosen, play)
        require(first.orders > 0, f"{play.source} placed no order, so equality proves nothing")
        require(
            first == second,
            f"two runs of {first.events} events with {play.source} differ: "
            f"{first.tape[:16]} and {second.tape[:16]}",
        )
        facts[play.source] = {
            "events": first.events,
            "orders": first.orders,
            "tape": first.tape,
            "state_hash": first.state_hash,
        }
    return facts
