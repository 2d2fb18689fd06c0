"""Sliding windows: never more than fifty grants in any ten seconds, whatever arrives (T4.4)."""

from __future__ import annotations

import random
import threading
from bisect import bisect_left

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.venues.limits.sliding import (
    Request,
    Rule,
    SlidingLimits,
    SlidingState,
    polymarket_rules,
)
from tradewind.venues.limits.verdicts import GRANTED, SECOND_NS, Denied, Priority, Wait

READ = [Request(("reads",))]
ORDER = [Request(("orders", "orders_sustained"))]
CANCEL_ALL = [Request(("orders", "cancel_all"))]
TEN_S = 10 * SECOND_NS


def most(moments_ns: list[int], span_ns: int = TEN_S) -> int:
    moments_ns = sorted(moments_ns)
    return max((bisect_left(moments_ns, at + span_ns) - i for i, at in enumerate(moments_ns)), default=0)


STEPS = st.lists(
    st.tuples(
        st.integers(-3_600 * SECOND_NS, 12 * SECOND_NS),
        st.integers(1, 80),
        st.sampled_from(list(Priority)),
        st.integers(0, 3 * SECOND_NS),
    ),
    max_size=25,
)


@settings(max_examples=400, deadline=None)
@given(steps=STEPS)
def test_no_ten_seconds_hold_more_than_fifty_requests_on_either_side_of_the_wire(
    steps: list[tuple[int, int, Priority, int]],
) -> None:
    """Time that goes back is an error of the clock: true time goes on."""
    limits, true_ns, error_ns = SlidingLimits(polymarket_rules()), 0, 0
    sent, answered = list[int](), list[int]()
    for step_ns, count, cls, taken_ns in steps:
        if step_ns < 0:
            error_ns += step_ns
        else:
            true_ns += step_ns
        under_way = 0
        for _ in range(count):
            if limits.admit(cls, READ, true_ns + error_ns) == GRANTED:
                sent.append(true_ns)
                under_way += 1
        true_ns += taken_ns
        for _ in range(under_way):
            limits.done(READ, true_ns + error_ns)
            answered.append(true_ns)
    assert most(sent) <= 50 and most(answered) <= 50


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32), callers=st.integers(2, 6))
def test_concurrent_callers_together_keep_the_limit(seed: int, callers: int) -> None:
    limits, granted = SlidingLimits([Rule(name="reads", limit=10, span_ns=TEN_S)]), list[int]()

    def caller(name: int) -> None:
        for number in range(30):
            now_ns = (number * 500 + (seed >> name) % 400) * 1_000_000
            if limits.admit(Priority.P0, READ, now_ns) == GRANTED:
                granted.append(name)
                limits.done(READ, now_ns)

    threads = [threading.Thread(target=caller, args=(name,)) for name in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(granted) <= 20, "fifteen seconds are touched by two windows of ten"


def test_two_cancel_all_calls_stay_free_whatever_else_goes_out() -> None:
    limits = SlidingLimits(polymarket_rules({"orders": 20}))
    sent = 0
    for cls in reversed(list(Priority)[1:]):
        while limits.admit(cls, ORDER, SECOND_NS) == GRANTED:
            sent += 1
    assert sent == 18
    assert [limits.admit(Priority.P0, CANCEL_ALL, SECOND_NS) for _ in range(2)] == [GRANTED] * 2
    assert isinstance(limits.admit(Priority.P0, CANCEL_ALL, SECOND_NS), Wait)


def test_a_request_is_counted_in_all_of_its_windows_or_in_none() -> None:
    limits = SlidingLimits(polymarket_rules({"cancel_all": 1}))
    assert limits.admit(Priority.P0, CANCEL_ALL, 0) == GRANTED
    assert isinstance(limits.admit(Priority.P0, CANCEL_ALL, 0), Wait)
    assert limits.levels(0)["orders"][0] == 1
    assert limits.admit(Priority.P0, [Request(("nothing",))], 0) == Denied("LimitsUnknown")
    with pytest.raises(RuntimeError, match="under way"):
        limits.done(READ, 0)


def test_a_class_waits_until_its_own_share_is_free() -> None:
    limits = SlidingLimits([Rule(name="reads", limit=10, span_ns=TEN_S)])
    for second in range(3):
        assert limits.admit(Priority.P0, READ, second * SECOND_NS) == GRANTED
        limits.done(READ, second * SECOND_NS)
    assert limits.admit(Priority.P5, READ, 3 * SECOND_NS) == Wait(TEN_S)
    assert limits.admit(Priority.P4, READ, 3 * SECOND_NS) == GRANTED


def test_a_limit_can_only_be_lowered() -> None:
    with pytest.raises(ValueError, match="only be lowered"):
        polymarket_rules({"reads": 51})
    with pytest.raises(ValueError, match="no rule"):
        polymarket_rules({"nothing": 5})
    with pytest.raises(ValueError, match="above the venue"):
        Rule(name="x", limit=11, published=10)
    with pytest.raises(ValueError, match="at least 1"):
        Rule(name="x", limit=0)
    with pytest.raises(ValueError, match="different names"):
        SlidingLimits([Rule(name="x", limit=1), Rule(name="x", limit=2)])
    by_name = {one.name: one for one in polymarket_rules()}
    assert by_name["reads"].limit == 50 and by_name["orders"].limit == 500
    assert by_name["orders_sustained"].span_ns == 600 * SECOND_NS


def test_answers_five_times_slower_halve_the_budget_for_a_minute() -> None:
    limits, now_ns = SlidingLimits(polymarket_rules()), 0
    for _ in range(40):
        now_ns += SECOND_NS
        assert not limits.round_trip(20_000_000, now_ns)
    slow = [limits.round_trip(200_000_000, now_ns + 11 * SECOND_NS) for _ in range(6)]
    now_ns += 11 * SECOND_NS
    assert slow[-1]
    passed = sum(limits.admit(Priority.P1, READ, now_ns) == GRANTED for _ in range(60))
    assert passed == 25
    assert limits.admit(Priority.P0, READ, now_ns) == GRANTED, "a cancel uses the whole budget"
    for _ in range(26):
        limits.done(READ, now_ns)
    later_ns = now_ns + 61 * SECOND_NS
    assert sum(limits.admit(Priority.P1, READ, later_ns) == GRANTED for _ in range(60)) == 50


def test_statuses_stop_a_window_or_the_host() -> None:
    limits = SlidingLimits(polymarket_rules())
    block = limits.status(429, "4", 0, "orders")
    assert block is not None and limits.admit(Priority.P0, ORDER, 0) == Wait(4 * SECOND_NS, "TooManyRequests")
    assert limits.admit(Priority.P0, READ, 0) == GRANTED
    firewall = limits.status(403, None, 0)
    assert firewall is not None and limits.block(0) == firewall
    assert limits.admit(Priority.P0, READ, 0) == Wait(300 * SECOND_NS, "Firewall")
    assert limits.status(503, None, 0) is None


def test_a_restart_remembers_the_window_and_a_lost_one_is_70_percent_full() -> None:
    limits = SlidingLimits(polymarket_rules())
    for _ in range(40):
        limits.admit(Priority.P0, READ, 0)
    for _ in range(30):
        limits.done(READ, 0)
    packed = msgspec.json.encode(limits.state(SECOND_NS))
    after = SlidingLimits(polymarket_rules())
    after.restore(msgspec.json.decode(packed, type=SlidingState), 10**15, 2 * SECOND_NS)
    assert after.levels(10**15)["reads"] == (40, 50)
    assert after.levels(10**15 + 7 * SECOND_NS)["reads"][0] == 10, "30 ended, 10 were still under way"
    lost = SlidingLimits(polymarket_rules())
    lost.restore(None, 0, 0)
    assert lost.levels(0)["reads"] == (35, 50)


@pytest.mark.slow
def test_a_million_random_arrivals_with_clock_jumps_never_exceed_the_window() -> None:
    """The clock goes back now and then. It is a steady one: forward it only goes with the time."""
    chance, limits = random.Random(50), SlidingLimits(polymarket_rules())
    true_ns, error_ns, sent, under_way = 0, 0, list[int](), 0
    classes = list(Priority)
    for _ in range(1_000_000):
        draw = chance.random()
        if draw < 0.15:
            true_ns += int(chance.expovariate(1 / (SECOND_NS // 4)))
        elif draw < 0.15001:
            error_ns -= chance.randint(0, 3_600 * SECOND_NS)
        if under_way and draw > 0.7:
            limits.done(READ, true_ns + error_ns)
            under_way -= 1
        if limits.admit(chance.choice(classes), READ, true_ns + error_ns) == GRANTED:
            sent.append(true_ns)
            under_way += 1
    assert len(sent) > 10_000 and most(sent) <= 50


def test_few_samples_are_no_throttling_and_old_ones_are_forgotten() -> None:
    limits = SlidingLimits(polymarket_rules())
    assert not any(limits.round_trip(10**9, number) for number in range(30))
    assert not limits.round_trip(10**9, 301 * SECOND_NS)
    assert len(limits._round_trips._samples) == 1


def test_reads_that_leave_requests_never_keep_a_proof_of_their_class_waiting() -> None:
    limits = SlidingLimits(polymarket_rules())
    common, proof = Request(("reads",), 8), Request(("reads",))
    while limits.admit(Priority.P2, [common], 0) == GRANTED:
        pass
    for _ in range(8):
        assert limits.admit(Priority.P2, [proof], 0) == GRANTED
    assert isinstance(limits.admit(Priority.P2, [proof], 0), Wait)
