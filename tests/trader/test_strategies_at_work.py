"""Every shipped strategy with the real trader, risk, ledger and paper venue on a generated market: it trades,
books agree to the last micro-unit, and the same feed gives the same log (T14.1).
"""

from __future__ import annotations

import hashlib

import pytest

from tradewind.lab.preflight.exchange import World
from tradewind.lab.preflight.parity import CLAIM, PLAYS, SLOW_COIN, THERE, Play, feed, open_world
from tradewind.trader.discovery import make
from tradewind.trader.hosting.host import Hosted
from tradewind.trader.strategies.holding import HoldingStrategy
from tradewind.venues.market_data import BookState, FeedState

EVENTS = {"market_maker": 800, "outcome_reference": 800}
HONEST = {
    "mean_reversion": ({"bar_s": 1}, (SLOW_COIN,)),
    "breakout": ({"bar_s": 1}, (SLOW_COIN,)),
    "outcome_reference": ({"settles_at_s": 4_000_000_000}, (CLAIM, THERE)),
}


async def worked(play: Play) -> World:
    world = await open_world(play, play.build())
    await feed(world, play, EVENTS.get(play.source, 2_500))
    return world


def tape(world: World) -> str:
    return hashlib.blake2b(b"".join(world.port.tape), digest_size=16).hexdigest()


def note(world: World) -> str:
    (host,) = world.trader.hosts
    assert host.error is None
    return str(host.strategy.gate_reason)  # type: ignore[attr-defined]


async def lose_sight(world: World, play: Play) -> None:
    """No book is known any more; time for the cancels."""
    now_ns = world.port.now_ns()
    for market in play.markets:
        event = FeedState(
            symbol=market.symbol, state=BookState.SUSPECT, reason="test", since_ns=now_ns, epoch=0
        )
        await world.session.on_event(event, now_ns)
    await world.session.sleep_ns(5 * 10**9)


@pytest.mark.parametrize("play", PLAYS, ids=lambda play: play.source)
async def test_a_shipped_strategy_trades_agrees_with_its_venue_and_leaves_a_suspect_book(play: Play) -> None:
    world = await worked(play)
    trader = world.trader
    assert note(world) is not None
    assert trader.ledger.positions[play.markets[0].symbol].fill_count > 0
    assert await trader.reconcile() == []
    assert trader.oms.stats.preventable_rejects == 0
    assert tape(await worked(play)) == tape(world), "the same feed gives the same commands and records"
    await lose_sight(world, play)
    assert trader.oms.working() == []


@pytest.mark.parametrize("name", HONEST)
async def test_an_honest_set_trades_quotes_or_says_why_it_does_not(name: str) -> None:
    values, markets = HONEST[name]
    play = Play(source=name, markets=markets)
    strategy = make(name, [markets[0].symbol], values, outside=[market.symbol for market in markets[1:]])
    if isinstance(strategy, HoldingStrategy):
        # Any signal at all, so that the gate has something to say.
        loose = {"breakout": {"adx_from": 0}}.get(name, {"adx_below": 100, "rsi_low": 50})
        strategy = make(name, [markets[0].symbol], {**values, **loose})
    world = await open_world(play, strategy)
    await feed(world, play, 2_500)
    assert world.trader.oms.stats.acks or note(world)


async def test_a_strategy_that_is_halted_has_no_orders_and_the_trader_goes_on() -> None:
    play = PLAYS[0]
    world = await open_world(play, play.build())
    await feed(world, play, 300)
    assert world.trader.oms.working()
    world.trader.halt_strategy("market-making", "test", "a test")
    await world.session.sleep_ns(10**9)
    assert world.trader.oms.working() == []
    await feed(world, play, 200)
    assert world.trader.oms.working() == [], "and it gets none again"


async def test_a_quoting_strategy_is_exempt_from_amend_limits_under_whatever_name_it_is_hosted() -> None:
    """T11.8 asks strategies that do not live from quoting; the operator's name for one changes nothing."""
    play = PLAYS[0]
    world = await open_world(play, Hosted(strategy=play.build(), name="maker-btc"))
    await feed(world, play, 1_500)
    (host,) = world.trader.hosts
    assert (host.name, host.error) == ("maker-btc", None)
    assert world.trader.risk.denials["AmendThrottle"] == 0
    assert "maker-btc" in world.trader.risk.behaviour.quoting
