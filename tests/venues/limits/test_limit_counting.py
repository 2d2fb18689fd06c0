"""Counters and buckets against exact fractions, and the table of published limits."""

from __future__ import annotations

import datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.venues.limits.blocks import Block, Blocks, retry_after_ns
from tradewind.venues.limits.counting import UNITS, DecayingCounter, TokenBucket
from tradewind.venues.limits.facts import facts
from tradewind.venues.limits.socket import SocketBudget
from tradewind.venues.limits.verdicts import GRANTED, SECOND_NS, Denied, Priority, Wait, ceiling

STEPS = st.lists(st.tuples(st.integers(-2 * SECOND_NS, 5 * SECOND_NS), st.integers(0, 9)), max_size=60)


@given(steps=STEPS, decay=st.sampled_from(["0.33", "0.5", "1", "2.34", "3.75"]))
def test_a_counter_is_exact_and_a_clock_that_goes_back_stands_still(
    steps: list[tuple[int, int]], decay: str
) -> None:
    counter, level, at_ns, now_ns = DecayingCounter(60, Decimal(decay)), Fraction(0), 0, 0
    for step_ns, points in steps:
        now_ns += step_ns
        level = max(Fraction(0), level - Fraction(decay) * max(0, now_ns - at_ns) / SECOND_NS)
        at_ns = max(at_ns, now_ns)
        assert Fraction(counter.units(now_ns), UNITS) == level
        counter.charge(points, now_ns)
        level += points


@given(used=st.integers(0, 100), points=st.integers(1, 60), limit=st.integers(1, 60))
def test_free_at_is_the_first_moment_that_fits(used: int, points: int, limit: int) -> None:
    counter = DecayingCounter(60, Decimal("2.34"))
    counter.charge(used, 0)
    free_ns = counter.free_at_ns(points, limit, 0)
    if points > limit:
        assert free_ns is None
        return
    assert free_ns is not None
    if free_ns > 0:
        assert not counter.fits(points, limit, free_ns - 1)
    assert counter.fits(points, limit, free_ns)


def test_a_report_counts_upward_at_once_and_downward_only_when_newer() -> None:
    counter = DecayingCounter(60, Decimal(1))
    counter.charge(10, 10 * SECOND_NS)
    counter.rebase(Decimal(3), 9 * SECOND_NS, 10 * SECOND_NS)
    assert counter.points(10 * SECOND_NS) == 10
    counter.rebase(Decimal(30), 9 * SECOND_NS, 10 * SECOND_NS)
    assert counter.points(10 * SECOND_NS) == 29, "a second has decayed since it was counted"
    counter.rebase(Decimal(3), 11 * SECOND_NS, 11 * SECOND_NS)
    assert counter.points(11 * SECOND_NS) == 3


@settings(max_examples=200)
@given(
    rate=st.integers(1, 50), burst=st.integers(1, 20),
    gaps=st.lists(st.integers(0, 3 * SECOND_NS), max_size=80),
)  # fmt: skip
def test_a_bucket_never_lets_out_more_than_burst_plus_rate(rate: int, burst: int, gaps: list[int]) -> None:
    bucket, now_ns, taken = TokenBucket(Decimal(rate), burst), 0, list[int]()
    for gap_ns in gaps:
        now_ns += gap_ns
        free_ns = bucket.admit(1, now_ns)
        if free_ns > now_ns and gap_ns % 2:
            assert bucket.admit(1, free_ns - 1) >= free_ns, "it asked to wait no longer than needed"
            now_ns = free_ns
            free_ns = bucket.admit(1, now_ns)
        if free_ns == now_ns:
            taken.append(now_ns)
    for first, begin_ns in enumerate(taken):
        for last in range(first, len(taken)):
            allowed = burst + Fraction(rate * (taken[last] - begin_ns), SECOND_NS)
            assert last - first + 1 <= allowed


def test_a_request_larger_than_the_burst_waits_for_a_full_bucket() -> None:
    bucket = TokenBucket(Decimal(1), 2)
    assert bucket.admit(5, SECOND_NS) == SECOND_NS
    assert bucket.admit(1, SECOND_NS) == 5 * SECOND_NS, "five were taken, one of two places is free again"


def test_shares_of_a_budget_fall_with_the_class_and_the_reserve_stays_free() -> None:
    assert [ceiling(cls, 100) for cls in Priority] == [100, 100, 85, 70, 50, 30]
    assert [ceiling(cls, 100, 40) for cls in Priority] == [100, 60, 60, 60, 50, 30]


@pytest.mark.parametrize(("maximum", "decay"), [(0, "1"), (5, "0"), (5, "0.001"), (5, "-1")])
def test_a_counter_refuses_what_it_cannot_hold_exactly(maximum: int, decay: str) -> None:
    with pytest.raises(ValueError, match="at least"):
        DecayingCounter(maximum, Decimal(decay))
    with pytest.raises(ValueError, match="positive"):
        TokenBucket(Decimal(decay) * 0, 1)


def test_more_blocks_than_the_table_holds_become_one_of_the_whole_venue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tradewind.venues.limits.blocks.MAX_SCOPES", 1)
    blocks = Blocks()
    blocks.add("a", Block(until_ns=10, reason="a"))
    blocks.add("b", Block(until_ns=20, reason="b"))
    assert blocks.find((), 0) == Block(until_ns=20, reason="b")
    saved = blocks.state(5)
    after = Blocks()
    after.restore(saved, 100, 7)
    assert after.find((), 100) == Block(until_ns=108, reason="b") and after.find(("a",), 108) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(None, 60), ("", 60), ("soon", 60), ("5", 5), ("-5", 60), ("9999999", 3 * 86_400), ("٣", 60)],
)
def test_a_retry_after_that_cannot_be_read_is_a_minute(text: str | None, seconds: int) -> None:
    assert retry_after_ns(text) == seconds * SECOND_NS


def test_of_two_blocks_the_longer_one_holds_and_an_ended_one_is_forgotten() -> None:
    blocks = Blocks()
    blocks.add("orders", Block(until_ns=10, reason="a"))
    blocks.add("orders", Block(until_ns=5, reason="b"))
    blocks.add("", Block(until_ns=7, reason="c"))
    assert blocks.find(("orders",), 1) == Block(until_ns=10, reason="a")
    assert blocks.find((), 1) == Block(until_ns=7, reason="c")
    assert blocks.find(("orders",), 8) == Block(until_ns=10, reason="a")
    assert blocks.find(("orders",), 10) is None
    assert blocks.state(0) == {}


def test_a_socket_sends_three_messages_a_second_and_keeps_its_streams_bounded() -> None:
    budget, sent = SocketBudget(), 0
    for now_ns in range(0, 10 * SECOND_NS, SECOND_NS // 50):
        sent += budget.message(now_ns) == GRANTED
    assert sent <= 32
    assert isinstance(budget.message(10 * SECOND_NS), Wait) or sent < 32
    assert budget.subscribe(200, 20 * SECOND_NS) == GRANTED
    assert budget.subscribe(1, 40 * SECOND_NS) == Denied("TooManyStreams")
    assert budget.subscribe(-1, 40 * SECOND_NS) == GRANTED


def test_every_published_limit_names_its_source_and_a_date() -> None:
    for one in facts().values():
        assert one.source_url.startswith("https://") and one.unit
        datetime.date.fromisoformat(one.checked_on)
