"""The gateway's limits beside the connector's: what the connector's model lets out, the gateway takes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.gateways.kraken.auth import RIGHTS
from tradewind.gateways.kraken.errors import KrakenError
from tradewind.gateways.kraken.limits import POINTS, Action, AddBatch, CancelAll, Engine, ServerLimits
from tradewind.venues.kraken.rest import POINTS as CONNECTOR_POINTS
from tradewind.venues.limits.kraken import KrakenLimits, RestCall
from tradewind.venues.limits.verdicts import Granted, Priority, UnknownTier

SECOND_NS = 10**9
TIERS = st.sampled_from(["starter", "intermediate", "pro"])
STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "cancel", "amend"]), st.integers(0, 4 * SECOND_NS)), max_size=60
)
PAIR = "BTC/USD"


@settings(max_examples=60, deadline=None)
@given(TIERS, STEPS)
def test_orders_of_the_connectors_model_can_always_be_cancelled_at_once(
    tier: str, steps: list[tuple[str, int]]
) -> None:
    client, server = KrakenLimits(tier), ServerLimits(tier)
    now_ns, working, sent = 10 * SECOND_NS, [], 0
    for action, pause_ns in steps:
        now_ns += pause_ns
        if action == "add":
            sent += 1
            item = Engine(action=Action.ADD, pair=PAIR, order=str(sent))
            if isinstance(client.admit(Priority.P3, [item], now_ns), Granted):
                server.engine("demo", [item], now_ns)
                server.working("demo", PAIR, sent, now_ns)
                client.working(PAIR, str(sent), now_ns)
                working.append(sent)
        elif working:
            order = working[-1] if action == "amend" else working.pop()
            item = Engine(action=Action(action), pair=PAIR, order=str(order))
            cls = Priority.P3 if action == "amend" else Priority.P0
            if isinstance(client.admit(cls, [item], now_ns), Granted):
                server.engine("demo", [item], now_ns)
                if action == "amend":
                    server.working("demo", PAIR, order, now_ns)
                    client.working(PAIR, str(order), now_ns)
            elif action == "cancel":
                raise AssertionError("a cancel was held back by the connector")
    for order in working:
        server.engine("demo", [Engine(action=Action.CANCEL, pair=PAIR, order=str(order))], now_ns)


@settings(max_examples=60, deadline=None)
@given(TIERS, STEPS)
def test_the_counter_that_is_told_is_the_one_that_the_connector_has(
    tier: str, steps: list[tuple[str, int]]
) -> None:
    client, server = KrakenLimits(tier), ServerLimits(tier)
    now_ns = 10 * SECOND_NS
    for sent, (_, pause_ns) in enumerate(steps):
        now_ns += pause_ns
        item = Engine(action=Action.ADD, pair=PAIR, order=str(sent))
        if isinstance(client.admit(Priority.P0, [item], now_ns), Granted):
            server.engine("demo", [item], now_ns)
        points, threshold = client.levels(now_ns)[f"engine:{PAIR}"]
        assert (server.points("demo", PAIR, now_ns), server.threshold("demo")) == (points, threshold)


def test_counters_of_accounts_pairs_and_keys_are_their_own() -> None:
    server = ServerLimits("starter", {"fast": "pro"})
    batch = AddBatch(pair=PAIR, orders=tuple(str(number) for number in range(15)))
    for _ in range(4):
        server.engine("slow", [batch], SECOND_NS)
    assert server.points("slow", PAIR, SECOND_NS) == 32 and server.points("fast", PAIR, SECOND_NS) == 0
    assert (server.threshold("slow"), server.threshold("fast")) == (60, 180)
    for _ in range(15):
        server.private("one", "slow", "Balance", SECOND_NS)
    with pytest.raises(KrakenError, match="EAPI:Rate limit exceeded"):
        server.private("one", "slow", "Balance", SECOND_NS)
    server.private("two", "slow", "Balance", SECOND_NS)


def test_cancelling_everything_is_charged_and_never_refused() -> None:
    server = ServerLimits("starter")
    for number in range(20):
        server.engine("demo", [Engine(action=Action.ADD, pair=PAIR, order=str(number))], SECOND_NS)
        server.working("demo", PAIR, number, SECOND_NS)
    server.engine("demo", [CancelAll()], SECOND_NS)
    assert server.points("demo", PAIR, SECOND_NS) == 60
    with pytest.raises(KrakenError, match="EOrder:Rate limit exceeded"):
        server.engine("demo", [Engine(action=Action.ADD, pair=PAIR, order="x")], SECOND_NS)


def test_too_many_open_orders_of_a_pair_are_refused_in_the_venues_words() -> None:
    server, now_ns = ServerLimits("starter"), SECOND_NS
    for number in range(60):
        now_ns += 2 * SECOND_NS
        server.engine("demo", [Engine(action=Action.ADD, pair=PAIR, order=str(number))], now_ns)
        server.working("demo", PAIR, number, now_ns)
    with pytest.raises(KrakenError, match="EOrder:Orders limit exceeded"):
        server.engine("demo", [Engine(action=Action.ADD, pair=PAIR, order="x")], now_ns + 60 * SECOND_NS)
    server.gone("demo", PAIR, 5)
    server.engine("demo", [Engine(action=Action.ADD, pair=PAIR, order="y")], now_ns + 60 * SECOND_NS)


def test_a_tier_that_the_venue_does_not_have_is_not_loaded() -> None:
    for tiers in ({}, {"demo": "gold"}):
        with pytest.raises(UnknownTier):
            ServerLimits("pro" if tiers else "gold", tiers)


def test_every_private_call_is_counted_as_the_venue_counts_it() -> None:
    assert set(POINTS) <= set(RIGHTS)
    assert {name for name, points in POINTS.items() if points == 2} >= {"Ledgers", "TradesHistory"}
    for name in RIGHTS:
        assert POINTS.get(name, 1) == CONNECTOR_POINTS.get(name, POINTS.get(name, 1)), name
    client = KrakenLimits("pro")
    assert isinstance(client.admit(Priority.P0, [RestCall(POINTS["AddOrder"])] * 100, SECOND_NS), Granted)
