"""Price sources: fresh data or silence, ascending sequences, no substitutes."""

from __future__ import annotations

import pytest

from tradewind.keepers.assemble import refusal_to_publish
from tradewind.keepers.oracle import FeedQuotes, OracleWorker
from tradewind.keepers.port import Action, Identity
from tradewind.keepers.worker import WorkerEnded
from tradewind.node.projections.feeds import Source
from tradewind.security.attesting import Signer
from tradewind.security.keyfiles import read_private_key
from tradewind.venues.feeds.select import FeedRequest, select_feed
from tradewind.venues.market_data import FeedState

from .keeper_world import FEED, OPENING, SECOND_NS, SOURCES, TICK_SIZE, KeeperWorld, OneQuote


def source_of(world: KeeperWorld, name: str = "oracle_1") -> Source:
    return world.views.feeds.by_number[FEED].sources[world.identities.key(name)]


def worker_of(world: KeeperWorld, quotes: OneQuote, name: str = "oracle_1") -> OracleWorker:
    identity = Identity(name=name, principal=world.identities.key(name))
    return OracleWorker(identity, world.port(), quotes, world.identities.signer(name))


async def test_a_price_is_the_middle_with_half_the_spread_and_the_age_of_the_data(world: KeeperWorld) -> None:
    quotes = OneQuote()
    worker = worker_of(world, quotes)
    world.clock.now_ns += 2 * SECOND_NS
    quotes.show(OPENING, world.clock.now_ns, age_ns=300_000_000)
    await worker.step()
    source = source_of(world)
    assert (worker.stats.accepted, worker.stats.rejected) == (1, {})
    assert (source.value, source.confidence) == (OPENING * TICK_SIZE, 5 * TICK_SIZE)
    assert world.clock.now_ns - source.source_time_ns >= 300_000_000
    assert quotes.settlements == ["USD"]


async def test_the_confidence_is_never_less_than_a_tick(world: KeeperWorld) -> None:
    quotes = OneQuote()
    world.clock.now_ns += 2 * SECOND_NS
    quotes.show(OPENING, world.clock.now_ns)
    assert quotes.value is not None
    quotes.value = type(quotes.value)(
        bid=quotes.value.bid,
        ask=quotes.value.bid + 2,
        tick=TICK_SIZE,
        as_of_ns=quotes.value.as_of_ns,
        age_ns=0,
    )
    await worker_of(world, quotes).step()
    assert source_of(world).confidence == TICK_SIZE


async def test_data_that_does_not_move_on_is_not_published_again(world: KeeperWorld) -> None:
    quotes = OneQuote()
    worker = worker_of(world, quotes)
    world.clock.now_ns += 2 * SECOND_NS
    quotes.show(OPENING, world.clock.now_ns)
    await worker.step()
    first = source_of(world).source_time_ns
    for _ in range(3):
        world.clock.now_ns += 2 * SECOND_NS
        worker._next_s.clear()
        await worker.step()
    assert (worker.stats.accepted, source_of(world).source_time_ns) == (1, first)
    assert worker.stats.note == "BTC: nothing new since the last publication"


async def test_silent_sources_leave_the_feed_stale_and_fresh_ones_heal_it(world: KeeperWorld) -> None:
    quotes = OneQuote()
    workers = [worker_of(world, quotes, name) for name, _ in SOURCES]
    for _ in range(8):
        await world.wait(1)
        for worker in workers:
            await worker.step()
    feed = world.views.feeds.by_number[FEED]
    assert feed.state_name in ("STALE", "NO_QUORUM", "INVALID")
    assert all(worker.stats.actions == 0 for worker in workers)
    for _ in range(70):
        await world.wait(1)
        quotes.show(OPENING, world.clock.now_ns)
        for worker in workers:
            worker._next_s.clear()
            await worker.step()
    assert feed.state_name == "VALID", feed
    assert all(worker.stats.rejected == {} for worker in workers)


async def test_a_restart_keeps_the_sequence_ascending(world: KeeperWorld) -> None:
    quotes, seen = OneQuote(), []
    for _ in range(4):
        # A new worker each time knows only what the log knows.
        world.clock.now_ns += 2 * SECOND_NS
        quotes.show(OPENING, world.clock.now_ns)
        worker = worker_of(world, quotes)
        await worker.step()
        assert worker.stats.rejected == {}
        seen.append(source_of(world).source_seq)
    assert seen == sorted(set(seen))


async def test_older_market_data_after_a_restart_is_not_published(world: KeeperWorld) -> None:
    quotes = OneQuote()
    world.clock.now_ns += 2 * SECOND_NS
    quotes.show(OPENING, world.clock.now_ns)
    await worker_of(world, quotes).step()
    before = source_of(world).source_seq
    quotes.show(OPENING + 500, world.clock.now_ns, age_ns=10 * SECOND_NS)
    worker = worker_of(world, quotes)
    await worker.step()
    assert (worker.stats.actions, source_of(world).source_seq) == (0, before)


async def test_an_identity_that_is_no_source_publishes_nothing(world: KeeperWorld) -> None:
    quotes = OneQuote()
    quotes.show(OPENING, world.clock.now_ns)
    worker = worker_of(world, quotes, "operator_2")
    await worker.step()
    assert (worker.stats.actions, worker.stats.note) == (0, "no feed has this source")


async def test_a_feed_whose_sources_are_not_complete_gets_no_prices_yet(world: KeeperWorld) -> None:
    await world.run(
        "RegisterFeed", "risk", symbol="ETH", quorum=2, interval_ms=1_000, max_confidence_ppm=10_000,
        max_deviation_bp=200, fallback=2**32 - 1,
    )  # fmt: skip
    key = world.identities.key("oracle_1")
    await world.run("SetFeedSource", "risk", feed=1, weight=60, source=key)
    identity = Identity(name="oracle_1", principal=key)
    assert [duty.symbol for duty in (await world.port().sources(identity)).feeds] == ["BTC"]
    await world.run("SetFeedSource", "risk", feed=1, weight=40, source=world.identities.key("oracle_2"))
    assert [duty.symbol for duty in (await world.port().sources(identity)).feeds] == ["BTC", "ETH"]


async def test_a_price_that_the_engine_refuses_is_counted_and_backed_off(world: KeeperWorld) -> None:
    quotes = OneQuote()
    worker = worker_of(world, quotes)
    world.clock.now_ns += 2 * SECOND_NS
    quotes.show(OPENING, world.clock.now_ns, age_ns=-60 * SECOND_NS)
    await worker.step()
    assert worker.stats.rejected == {"FUTURE_TIMESTAMP": 1}
    quotes.show(OPENING, world.clock.now_ns + 1, age_ns=-60 * SECOND_NS)
    await worker.step()
    assert worker.stats.actions == 1
    assert "waiting after a refusal" in worker.stats.note


async def test_a_source_signs_only_for_the_deployment_that_its_operator_named(world: KeeperWorld) -> None:
    quotes = OneQuote()
    world.clock.now_ns += 2 * SECOND_NS
    quotes.show(OPENING, world.clock.now_ns)
    before = source_of(world).source_seq
    key = read_private_key(world.identities.private_path("oracle_1"))
    identity = Identity(name="oracle_1", principal=world.identities.key("oracle_1"))
    elsewhere = OracleWorker(identity, world.port(), quotes, Signer(key, pinned=bytes(32)))
    with pytest.raises(WorkerEnded) as end:
        await elsewhere.step()
    assert (end.value.code, elsewhere.stats.actions) == ("PUBLICATION_FOREIGN", 0)
    here = OracleWorker(identity, world.port(), quotes, Signer(key, pinned=world.node.deployment))
    await here.step()
    assert (here.stats.accepted, source_of(world).source_seq > before) == (1, True)
    with pytest.raises(ValueError, match="does not belong"):
        OracleWorker(identity, world.port(), quotes, world.identities.signer("oracle_2"))


async def test_a_worker_without_the_signature_gets_the_refusal_as_an_outcome(world: KeeperWorld) -> None:
    identity = Identity(name="oracle_1", principal=world.identities.key("oracle_1"))
    now_ns = world.clock.now_ns
    fields: dict[str, int | bytes] = {
        "feed": FEED, "value": OPENING * TICK_SIZE, "confidence": 1, "bid": 0, "ask": 0,
        "source_time_ns": now_ns, "source_seq": now_ns,
    }  # fmt: skip
    action = Action(command="PublishPrice", fields=fields, key="unsigned")
    outcome = await world.port().send(identity, action)
    assert (outcome.accepted, outcome.code) == (False, "PUBLICATION_UNSIGNED")


@pytest.mark.parametrize(
    ("env", "mode", "label", "published"),
    [
        ("paper", "auto", "live:binance", True),
        ("paper", "live", "live:binance", True),
        ("paper", "auto", "generated", False),
        ("paper", "auto", "recorded:x.gz", False),
        ("sim", "generated", "generated", True),
        ("paper", "replay", "recorded:x.gz", True),
        ("live", "live", "live:binance", False),
        ("canary", "generated", "generated", False),
    ],
)
def test_substitutes_become_prices_only_where_they_were_chosen(
    env: str, mode: str, label: str, published: bool
) -> None:
    assert (refusal_to_publish(env, mode, label) is None) == published


async def test_quotes_come_from_a_live_book_only(world: KeeperWorld) -> None:
    selected = await select_feed("generated", FeedRequest(speed=None))
    quotes = FeedQuotes(selected.feed)
    (symbol,) = selected.feed.instruments
    assert isinstance(quotes.quote(symbol, False, "USD"), str)
    live = False
    async for event in selected.feed.events():
        live = live or (isinstance(event, FeedState) and str(event.state) == "live")
        if live and not isinstance(quotes.quote(symbol, False, "USD"), str):
            break
    quote = quotes.quote(symbol, False, "USD")
    assert not isinstance(quote, str)
    assert 0 < quote.bid < quote.ask
    base, _, quote_asset = symbol.partition("/")
    assert quotes.quote(base, False, quote_asset) == quotes.quote(symbol.replace("/", "-"), False, "")
    assert isinstance(quotes.quote(base, False, "EUR"), str)
    assert isinstance(quotes.quote(symbol, True, "USD"), str)
    await selected.feed.close()
