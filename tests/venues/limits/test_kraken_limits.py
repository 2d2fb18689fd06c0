"""Kraken's counters: the published tables, headroom for every cancel, priorities, faults, restarts (T4)."""

from __future__ import annotations

import threading
from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tradewind.venues.limits import kraken
from tradewind.venues.limits.kraken import (
    Action,
    AddBatch,
    CancelAll,
    Engine,
    KrakenLimits,
    KrakenState,
    PublicCall,
    RestCall,
    age_points,
)
from tradewind.venues.limits.verdicts import (
    GRANTED,
    SECOND_NS,
    Denied,
    Priority,
    UnknownTier,
    Wait,
)

PAIR = "BTC/USD"
TIERS = {"starter": (60, "1.0"), "intermediate": (125, "2.34"), "pro": (180, "3.75")}
CANCEL_POINTS = [(5, 8), (10, 6), (15, 5), (45, 4), (90, 2), (300, 1)]
AMEND_POINTS = [(5, 3), (10, 2), (15, 1)]


def act(action: Action, order: str, pair: str = PAIR, replacement: str = "") -> Engine:
    return Engine(action=action, pair=pair, order=order, replacement=replacement)


class Venue:
    """The venue's counter of one pair, written from its documentation in fractions, apart from the model."""

    def __init__(self, tier: str) -> None:
        threshold, decay = TIERS[tier]
        self.threshold, self.decay = threshold, Fraction(decay)
        self.level, self.at_ns = Fraction(0), 0
        self.born: dict[str, int] = {}
        self.rejects = 0

    def count(self, now_ns: int) -> Fraction:
        self.level = max(Fraction(0), self.level - self.decay * (now_ns - self.at_ns) / SECOND_NS)
        self.at_ns = now_ns
        return self.level

    def request(self, action: Action, order: str, now_ns: int) -> bool:
        table = {Action.CANCEL: CANCEL_POINTS, Action.AMEND: AMEND_POINTS, Action.ADD: []}[action]
        fixed = 0 if action is Action.CANCEL else 1
        age_s = (now_ns - self.born.get(order, now_ns)) / SECOND_NS
        points = fixed + next((extra for below_s, extra in table if age_s < below_s), 0)
        if self.count(now_ns) + points > self.threshold:
            self.rejects += 1
            return False
        self.level += points
        if action is Action.CANCEL:
            self.born.pop(order, None)
        else:
            self.born[order] = now_ns
        return True


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.integers(0, 20_000)),
        st.tuples(st.just("add"), st.integers(1, 12)),
        st.tuples(st.just("reduce"), st.integers(1, 4)),
        st.tuples(st.just("amend"), st.integers(0, 400)),
        st.tuples(st.just("cancel"), st.integers(0, 400)),
        st.tuples(st.just("confirm late"), st.integers(0, 3_000)),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@example(operations=[("confirm late", 417), ("add", 12), ("cancel", 0), ("confirm late", 0)], tier="pro")
@given(operations=OPERATIONS, tier=st.sampled_from(sorted(TIERS)))
def test_from_any_reachable_state_every_open_order_can_be_cancelled_at_once(
    operations: list[tuple[str, int]], tier: str
) -> None:
    limits, venue, now_ns, number, late_ms, was_late = KrakenLimits(tier), Venue(tier), 0, 0, 0, False
    for what, amount in operations:
        if what == "wait":
            now_ns += amount * 1_000_000
        elif what == "confirm late":
            late_ms = amount
            was_late = was_late or amount > 0
        elif what in ("add", "reduce"):
            for _ in range(amount):
                number += 1
                cls = Priority.P3 if what == "add" else Priority.P1
                if limits.admit(cls, [act(Action.ADD, f"o{number}")], now_ns) == GRANTED:
                    assert venue.request(Action.ADD, f"o{number}", now_ns)
                    now_ns += late_ms * 1_000_000
                    limits.working(PAIR, f"o{number}", now_ns)
        elif venue.born:
            order = sorted(venue.born)[amount % len(venue.born)]
            action = Action.AMEND if what == "amend" else Action.CANCEL
            cls = Priority.P3 if what == "amend" else Priority.P0
            if limits.admit(cls, [act(action, order)], now_ns) == GRANTED:
                assert venue.request(action, order, now_ns)
                if action is Action.AMEND:
                    limits.working(PAIR, order, now_ns)
        level = limits.levels(now_ns).get(f"engine:{PAIR}", (Decimal(0), 0))[0]
        off = Fraction(level) - venue.count(now_ns)
        # An order that was confirmed late is older at the venue, and cheaper to cancel, than we know.
        assert off >= -1 and (off <= 1 or was_late), "predicted within one point, and never less"
    for order in sorted(venue.born):
        assert limits.admit(Priority.P0, [act(Action.CANCEL, order)], now_ns) == GRANTED
        assert venue.request(Action.CANCEL, order, now_ns)
    assert venue.rejects == 0


@pytest.mark.parametrize(
    ("action", "points"),
    [
        (Action.ADD, [0] * 7),
        (Action.AMEND, [3, 2, 1, 0, 0, 0, 0]),
        (Action.EDIT, [6, 5, 4, 2, 1, 0, 0]),
        (Action.CANCEL, [8, 6, 5, 4, 2, 1, 0]),
    ],
)
def test_the_age_table_is_the_published_one_and_each_step_begins_at_its_second(
    action: Action, points: list[int]
) -> None:
    edges = [0, 5, 10, 15, 45, 90, 300]
    assert [age_points(action, edge * SECOND_NS) for edge in edges] == points
    for edge, before in zip(edges[1:], points, strict=False):
        assert age_points(action, edge * SECOND_NS - 1) == before


def test_an_unknown_tier_is_refused() -> None:
    for tier in ("", "Pro", "expert"):
        with pytest.raises(UnknownTier):
            KrakenLimits(tier)


def test_pro_sustains_about_one_fresh_cancel_and_add_in_2_4_seconds() -> None:
    limits, now_ns, done = KrakenLimits("pro"), 0, 0
    limits.admit(Priority.P3, [act(Action.ADD, "o0")], 0)
    while now_ns < 600 * SECOND_NS:
        limits.working(PAIR, f"o{done}", now_ns)
        limits.admit(Priority.P0, [act(Action.CANCEL, f"o{done}")], now_ns)
        verdict = limits.admit(Priority.P3, [act(Action.ADD, f"o{done + 1}")], now_ns)
        while isinstance(verdict, Wait):
            now_ns = verdict.until_ns
            verdict = limits.admit(Priority.P3, [act(Action.ADD, f"o{done + 1}")], now_ns)
        assert verdict == GRANTED
        done += 1
    assert 240 <= done <= 320


def test_rest_and_engine_are_counted_apart_and_placing_costs_no_rest_points() -> None:
    limits = KrakenLimits("starter")
    assert limits.admit(Priority.P3, [RestCall(0), act(Action.ADD, "a")], 0) == GRANTED
    assert limits.admit(Priority.P2, [RestCall(2)], 0) == GRANTED
    levels = limits.levels(0)
    assert levels["rest"] == (2, 15) and levels[f"engine:{PAIR}"] == (1, 60)


def test_a_request_is_counted_as_a_whole_or_not_at_all() -> None:
    limits = KrakenLimits("starter")
    for _ in range(6):
        assert limits.admit(Priority.P0, [RestCall(2)], 0) == GRANTED
    verdict = limits.admit(Priority.P1, [RestCall(4), act(Action.ADD, "a")], 0)
    assert isinstance(verdict, Wait)
    assert limits.open_orders(PAIR) == () and limits.levels(0)["rest"] == (12, 15)
    assert limits.admit(Priority.P1, [RestCall(4), act(Action.ADD, "a")], verdict.until_ns) == GRANTED


def test_lower_classes_leave_room_and_a_busy_pair_does_not_starve_another() -> None:
    limits, used = KrakenLimits("pro"), {}
    for cls in (Priority.P5, Priority.P4, Priority.P3, Priority.P2, Priority.P1):
        while limits.admit(cls, [RestCall()], 10**18) == GRANTED:
            used[cls] = used.get(cls, 0) + 1
    assert limits.levels(10**18)["rest"] == (20, 20)
    assert used[Priority.P2] and used[Priority.P1] == 3
    number = 0
    while limits.admit(Priority.P3, [act(Action.ADD, f"x{number}")], 10**18) == GRANTED:
        number += 1
    assert limits.admit(Priority.P3, [act(Action.ADD, "y", "ETH/USD")], 10**18) == GRANTED


def test_open_orders_of_a_pair_are_bounded_and_a_batch_costs_half_a_point_each() -> None:
    limits, now_ns = KrakenLimits("starter"), 0
    for group in range(4):
        orders = tuple(f"b{group}.{one}" for one in range(15))
        now_ns += 400 * SECOND_NS
        assert limits.admit(Priority.P0, [AddBatch(pair=PAIR, orders=orders)], now_ns) == GRANTED
        assert limits.levels(now_ns)[f"engine:{PAIR}"][0] == 8
        for one in orders:
            limits.working(PAIR, one, now_ns)
    assert limits.admit(Priority.P0, [act(Action.ADD, "one more")], now_ns) == Denied("OpenOrdersLimit")
    limits.gone(PAIR, "b0.0")
    assert limits.admit(Priority.P0, [act(Action.ADD, "one more")], now_ns) == GRANTED


def test_cancel_all_goes_out_even_when_the_counter_is_full() -> None:
    limits = KrakenLimits("starter")
    for number in range(60):
        limits.working(PAIR, f"foreign{number}", 0)
    limits.refused("EOrder:Rate limit exceeded", 0, 0, PAIR)
    assert limits.admit(Priority.P0, [CancelAll()], 0) == GRANTED
    assert limits.levels(0)[f"engine:{PAIR}"] == (60, 60) and limits.open_orders(PAIR) == ()


def test_an_edit_moves_to_its_replacement_and_an_amend_makes_an_order_young_again() -> None:
    limits = KrakenLimits("pro")
    limits.admit(Priority.P3, [act(Action.ADD, "a")], 0)
    limits.working(PAIR, "a", 0)
    late_ns = 400 * SECOND_NS
    assert limits.admit(Priority.P3, [act(Action.EDIT, "a", replacement="b")], late_ns) == GRANTED
    assert limits.open_orders(PAIR) == ("b",) and limits.levels(late_ns)[f"engine:{PAIR}"][0] == 1
    limits.working(PAIR, "b", late_ns)
    assert limits.admit(Priority.P1, [act(Action.AMEND, "b")], late_ns) == GRANTED
    assert limits.levels(late_ns)[f"engine:{PAIR}"][0] == 5, "one fixed and three for a fresh order"


def test_the_venues_errors_and_statuses_stop_what_they_say() -> None:
    limits, wall_ns = KrakenLimits("pro"), 1_700_000_000 * SECOND_NS
    limits.refused("EAPI:Rate limit exceeded", 0, wall_ns)
    assert limits.levels(0)["rest"] == (20, 20)
    assert isinstance(limits.admit(Priority.P0, [RestCall()], 0), Wait)
    throttled = limits.refused("EService:Throttled:1700000007", 0, wall_ns)
    assert throttled is not None and throttled.until_ns == 7 * SECOND_NS
    assert limits.admit(Priority.P0, [act(Action.CANCEL, "x")], 0) == Wait(7 * SECOND_NS, "Throttled")
    lockout = limits.refused("EGeneral:Temporary lockout", 0, wall_ns)
    assert lockout is not None and lockout.pages and lockout.until_ns == 900 * SECOND_NS
    assert limits.refused("EOrder:Insufficient funds", 0, wall_ns) is None
    other = KrakenLimits("pro")
    firewall = other.status(403, None, 0)
    assert firewall is not None and firewall.pages and other.block(0) == firewall
    third = KrakenLimits("pro")
    third.status(429, "9", 0)
    assert third.admit(Priority.P2, [RestCall()], 0) == Wait(9 * SECOND_NS, "TooManyRequests")
    assert third.admit(Priority.P0, [act(Action.CANCEL, "x")], 0) == GRANTED, "the socket is another way"
    assert third.status(200, None, 0) is None


def test_public_calls_are_one_a_second_with_a_burst_of_five() -> None:
    limits = KrakenLimits("pro")
    granted = [limits.admit(Priority.P4, [PublicCall()], 0) for _ in range(6)]
    assert granted[:5] == [GRANTED] * 5 and granted[5] == Wait(SECOND_NS)


def test_a_report_of_the_engine_rebases_the_pair() -> None:
    limits = KrakenLimits("pro")
    limits.engine_report(PAIR, Decimal("100.5"), 5, 5)
    assert limits.levels(5)[f"engine:{PAIR}"][0] == Decimal("100.5")
    limits.rest_report(Decimal(7), 5, 5)
    assert limits.levels(5)["rest"][0] == 7
    limits.failed(Action.ADD, PAIR, 5)
    assert limits.levels(5)[f"engine:{PAIR}"][0] == Decimal("101.5")


def test_a_restart_continues_with_the_decay_and_a_lost_state_is_70_percent_full() -> None:
    limits = KrakenLimits("pro")
    limits.admit(Priority.P1, [RestCall(10)], 0)
    for number in range(10):
        limits.admit(Priority.P1, [act(Action.ADD, f"o{number}")], 0)
        limits.working(PAIR, f"o{number}", 0)
    limits.status(403, None, 0)
    packed = msgspec.json.encode(limits.state(SECOND_NS))
    after = KrakenLimits("pro")
    after.restore(msgspec.json.decode(packed, type=KrakenState), 10**15, 2 * SECOND_NS)
    levels = after.levels(10**15)
    assert levels["rest"][0] == 7 and levels[f"engine:{PAIR}"][0] == 0
    block = after.block(10**15)
    assert block is not None and block.until_ns == 10**15 + 297 * SECOND_NS
    free_ns = block.until_ns
    assert after.admit(Priority.P0, [act(Action.CANCEL, "o0")], free_ns) == GRANTED
    assert after.levels(free_ns)[f"engine:{PAIR}"][0] == 0, "300 s old by now: costs nothing"
    for state in (None, msgspec.structs.replace(limits.state(0), tier="starter")):
        lost = KrakenLimits("pro")
        lost.restore(state, 0, 0)
        lost.working(PAIR, "a", 0)
        assert lost.levels(0)["rest"][0] == 14 and lost.levels(0)[f"engine:{PAIR}"][0] == 126


def test_threads_together_never_exceed_the_counter() -> None:
    limits, granted = KrakenLimits("pro"), list[bool]()

    def caller(name: int) -> None:
        for number in range(200):
            verdict = limits.admit(Priority.P1, [RestCall(), act(Action.ADD, f"{name}.{number}")], 0)
            granted.append(verdict == GRANTED)

    threads = [threading.Thread(target=caller, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(granted) == min(20, 180 // 9) and limits.levels(0)["rest"][0] == sum(granted)


def test_the_table_of_pairs_is_bounded_and_idle_pairs_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kraken, "MAX_PAIRS", 3)
    limits = KrakenLimits("pro")
    for name in ("A", "B", "C"):
        assert limits.admit(Priority.P3, [act(Action.ADD, "o", name)], 0) == GRANTED
    assert limits.admit(Priority.P3, [act(Action.ADD, "o", "D")], 0) == Denied("LimiterTableFull")
    with pytest.raises(kraken.LimiterTableFull):
        limits.working("D", "o", 0)
    limits.gone("A", "o")
    limits.gone("never", "o")
    assert limits.admit(Priority.P3, [act(Action.ADD, "o", "D")], 0) == Denied("LimiterTableFull"), "1 point"
    assert limits.admit(Priority.P3, [act(Action.ADD, "o", "D")], SECOND_NS) == GRANTED
    assert limits.open_orders("A") == ()


def test_what_can_never_fit_is_denied_and_a_nameless_throttle_is_a_minute() -> None:
    limits = KrakenLimits("starter")
    assert limits.admit(Priority.P5, [RestCall(5)], 0) == Denied("AboveBudget")
    fresh = [act(Action.ADD, f"o{number}") for number in range(6)]
    assert limits.admit(Priority.P3, fresh, 0) == Denied("AboveBudget"), "6 adds and 48 to cancel them"
    block = limits.refused("EService:Throttled", 0, 0)
    assert block is not None and block.until_ns == 60 * SECOND_NS


def test_a_pair_used_before_its_state_was_lost_is_70_percent_full_too() -> None:
    limits = KrakenLimits("pro")
    limits.working(PAIR, "a", 0)
    limits.restore(None, 0, 0)
    assert limits.levels(0)[f"engine:{PAIR}"][0] == 126
    limits.admit(Priority.P0, [CancelAll("NEW/PAIR")], 0)
    assert limits.levels(0)["engine:NEW/PAIR"][0] == 126


def test_reads_that_leave_points_never_keep_a_proof_of_their_class_waiting() -> None:
    limits = KrakenLimits("pro")
    granted = 0
    while limits.admit(Priority.P2, [RestCall(1, leaves=5)], 0) == GRANTED:
        granted += 1
    assert granted == 12, "85 % of 20, less five"
    assert [limits.admit(Priority.P2, [RestCall(points)], 0) for points in (1, 2, 2)] == [GRANTED] * 3
    assert isinstance(limits.admit(Priority.P2, [RestCall(1)], 0), Wait)
    assert limits.admit(Priority.P0, [RestCall(1)], 0) == GRANTED
    small = KrakenLimits("starter")
    assert small.admit(Priority.P5, [RestCall(4, leaves=5)], 0) == GRANTED, (
        "from an empty counter it always fits"
    )
