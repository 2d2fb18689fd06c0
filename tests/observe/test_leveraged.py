"""Feeds, breakers, open interest and keepers: the numbers are those of the log, and what is late is told."""

from __future__ import annotations

from typing import Any

import pytest

from tradewind.core.enums import Side
from tradewind.node.projections.exchange import ExchangeViews
from tradewind.observe.counting import BatchCounters
from tradewind.observe.leveraged import LeveragedFacts, alarms_of, facts_of
from tradewind.observe.metrics import Metrics, SystemFacts
from tradewind.observe.view import PlatformView
from tradewind.readiness.probes.exchange import MARKET, SECOND_NS
from tradewind.readiness.probes.leveraged import DOLLAR, OPENING, Beginning

NAMES = {MARKET: "BASE/QUOTE"}


class Seen:
    """A leveraged exchange from its first command, and the views of its log."""

    def __init__(self) -> None:
        self.views = ExchangeViews()
        self.world = Beginning()
        self.world.send = self.send
        self.world.set_up()
        while not self.world.happened("MarketActivated"):
            self.world.wait(1, OPENING)
        self.world.wait(60, OPENING)

    def send(self, engine: Any, frames: bytes, now_ns: int) -> Any:
        batch = engine.apply(frames, now_ns)
        self.views.apply(batch)
        return batch

    def facts(self) -> LeveragedFacts:
        return facts_of(self.views, NAMES, self.world.now_ns)

    def alarms(self) -> list[tuple[str, str]]:
        return [(one.code, one.severity.value) for one in alarms_of(self.facts())]


@pytest.fixture
def seen() -> Seen:
    return Seen()


def test_a_feed_in_time_raises_nothing_and_its_updates_are_those_of_the_log(seen: Seen) -> None:
    feed = seen.facts().feeds["BASE-QUOTE"]
    assert (feed.state, feed.age_ns, feed.interval_ns) == ("VALID", 0, SECOND_NS)
    assert feed.updates == len(seen.world.happened("IndexUpdated"))
    assert seen.alarms() == []


def test_a_late_feed_warns_after_two_intervals_and_pages_after_thirty_seconds(seen: Seen) -> None:
    for seconds, codes in ((2, []), (3, ["ORACLE_LATE"]), (30, ["ORACLE_LATE"]), (31, ["ORACLE_STALE"])):
        facts = facts_of(seen.views, NAMES, seen.world.now_ns + seconds * SECOND_NS)
        assert [one.code for one in alarms_of(facts)] == codes, seconds


def test_a_slow_feed_has_five_of_its_own_intervals(seen: Seen) -> None:
    next(iter(seen.views.feeds.by_number.values())).interval_ms = 60_000
    for seconds, codes in ((31, []), (121, ["ORACLE_LATE"]), (300, ["ORACLE_LATE"]), (301, ["ORACLE_STALE"])):
        facts = facts_of(seen.views, NAMES, seen.world.now_ns + seconds * SECOND_NS)
        assert [one.code for one in alarms_of(facts)] == codes, seconds


def test_open_interest_and_breakers_are_those_of_the_log(seen: Seen) -> None:
    world = seen.world
    long, short = world.trader("long", 1_000_000 * DOLLAR), world.trader("short", 1_000_000 * DOLLAR)
    world.trade(long, short, OPENING, 12_345)
    assert seen.facts().open_interest_lots == {"BASE/QUOTE": 12_345}
    price = OPENING * 105 // 100 + 1
    world.run(world.order(short, Side.SELL, price, 1_000), world.order(long, Side.BUY, price, 1_000))
    facts = seen.facts()
    assert facts.breaker_trips["B2a", "BASE/QUOTE"] == 1
    assert sum(facts.breaker_trips.values()) == len(world.happened("BreakerTripped"))
    assert facts.breakers_open["B2a", "BASE/QUOTE"]
    assert ("BREAKER_TRIPPED", "critical") in seen.alarms()


def test_the_page_of_metrics_shows_them(seen: Seen) -> None:
    metrics = Metrics(
        lambda: PlatformView(taken_ns=1, env="paper", version="1"),
        BatchCounters(),
        lambda: SystemFacts(leveraged=seen.facts()),
    )
    page = metrics.render().decode()
    assert 'tradewind_oracle_feed_state{feed="BASE-QUOTE",state="VALID"} 1.0' in page
    assert 'tradewind_oracle_feed_interval_seconds{feed="BASE-QUOTE"} 1.0' in page
    assert 'tradewind_open_interest_lots{market="BASE/QUOTE"} 0.0' in page
    assert "tradewind_liquidations_pending 0.0" in page


def test_a_feed_without_an_index_has_no_age() -> None:
    views, world = ExchangeViews(), Beginning()

    def send(engine: Any, frames: bytes, now_ns: int) -> Any:
        batch = engine.apply(frames, now_ns)
        views.apply(batch)
        return batch

    world.send = send
    world.set_up()
    facts = facts_of(views, NAMES, world.now_ns)
    assert facts.feeds["BASE-QUOTE"].age_ns is None
    assert list(alarms_of(facts)) == []
