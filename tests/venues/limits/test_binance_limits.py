"""Binance's fixed windows: read, never built in; headers, boundaries, reserve for cancels, bans (T4.3)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.venues.limits.binance import (
    BadLimits,
    BinanceLimits,
    BinanceState,
    Call,
    LimitKind,
)
from tradewind.venues.limits.verdicts import GRANTED, SECOND_NS, Denied, Priority, Wait

MINUTE_NS = 60 * SECOND_NS
START_NS = 28_000_000 * MINUTE_NS


def row(kind: str, interval: str, count: int, limit: int) -> dict[str, Any]:
    return {"rateLimitType": kind, "interval": interval, "intervalNum": count, "limit": limit}


ROWS = [
    row("REQUEST_WEIGHT", "MINUTE", 1, 1_200),
    row("ORDERS", "SECOND", 10, 50),
    row("ORDERS", "DAY", 1, 160_000),
    row("RAW_REQUESTS", "MINUTE", 5, 6_100),
]


def loaded(rows: list[dict[str, Any]] = ROWS, guard_ns: int = 0, now_ns: int = START_NS) -> BinanceLimits:
    limits = BinanceLimits(guard_ns)
    limits.load(rows, now_ns)
    return limits


def test_until_the_limits_are_read_only_cancels_protection_and_reconciliation_pass() -> None:
    limits = BinanceLimits()
    verdicts = [limits.admit(cls, [Call()], START_NS) for cls in Priority]
    assert verdicts == [GRANTED] * 3 + [Denied("LimitsUnknown")] * 3
    assert limits.needs_load(START_NS)


def test_limits_are_read_hourly_and_after_a_429_and_two_hours_are_too_old() -> None:
    limits = loaded()
    assert not limits.needs_load(START_NS + 3_599 * SECOND_NS)
    assert limits.needs_load(START_NS + 3_600 * SECOND_NS)
    stale_ns = START_NS + 7_201 * SECOND_NS
    assert limits.admit(Priority.P3, [Call()], stale_ns) == Denied("LimitsStale")
    assert limits.admit(Priority.P0, [Call()], stale_ns) == GRANTED
    other = loaded()
    other.status(429, "1", "", START_NS)
    assert other.needs_load(START_NS + 2 * SECOND_NS)


def test_an_unknown_kind_of_limit_stops_new_risk_and_broken_rows_change_nothing() -> None:
    limits = loaded([*ROWS, row("CONNECTIONS", "MINUTE", 5, 300)])
    assert limits.unknown_kinds == ("CONNECTIONS",)
    assert limits.admit(Priority.P3, [Call()], START_NS) == Denied("LimitsUnknown")
    limits = loaded()
    for bad in (
        [],
        [{"rateLimitType": "ORDERS"}],
        [row("ORDERS", "EON", 1, 5)],
        [row("ORDERS", "DAY", 1, 0)],
    ):
        with pytest.raises(BadLimits):
            limits.load(bad, START_NS)
    assert len(limits.rules) == 4


REQUESTS = st.lists(
    st.tuples(st.integers(0, 9_000), st.integers(1, 60), st.sampled_from(list(Priority)), st.integers(0, 1)),
    max_size=120,
)


@settings(max_examples=200, deadline=None)
@given(requests=REQUESTS)
def test_use_of_every_window_is_predicted_exactly_and_never_above_its_limit(
    requests: list[tuple[int, int, Priority, int]],
) -> None:
    limits, now_ns = loaded(), START_NS
    venue: dict[tuple[str, int], int] = {}
    for wait_ms, weight, cls, orders in requests:
        now_ns += wait_ms * 1_000_000
        call = Call(weight=weight, orders=orders)
        if limits.admit(cls, [call], now_ns) == GRANTED:
            minute, ten = now_ns // MINUTE_NS, now_ns // (10 * SECOND_NS)
            venue["weight", minute] = venue.get(("weight", minute), 0) + weight
            venue["orders", ten] = venue.get(("orders", ten), 0) + orders
            assert venue["weight", minute] == limits.used(LimitKind.REQUEST_WEIGHT, 60, now_ns) <= 1_200
            assert venue["orders", ten] == limits.used(LimitKind.ORDERS, 10, now_ns) <= 50


@settings(max_examples=200, deadline=None)
@given(
    requests=st.lists(st.tuples(st.integers(0, 4_000), st.integers(-500, 500)), max_size=200),
    guard_ms=st.integers(0, 500),
)
def test_a_guard_covers_every_error_of_the_clock_up_to_itself(
    requests: list[tuple[int, int]], guard_ms: int
) -> None:
    limits = loaded([row("REQUEST_WEIGHT", "SECOND", 10, 40)], guard_ns=guard_ms * 1_000_000)
    now_ns, venue = START_NS, dict[int, int]()
    for wait_ms, error_ms in requests:
        now_ns += wait_ms * 1_000_000
        if limits.admit(Priority.P0, [Call(weight=7)], now_ns) == GRANTED:
            seen_ns = now_ns + max(-guard_ms, min(guard_ms, error_ms)) * 1_000_000
            window = seen_ns // (10 * SECOND_NS)
            venue[window] = venue.get(window, 0) + 7
            assert venue[window] <= 40


@pytest.mark.parametrize("ahead_ns", [SECOND_NS, 59 * SECOND_NS, 61 * SECOND_NS, 3_600 * SECOND_NS, 10**17])
def test_a_time_that_was_ahead_gives_nothing_back_and_keeps_nothing_longer(ahead_ns: int) -> None:
    """The clock told a time that was ahead, and is put right: what was used is still used, and no more."""
    wrong_ns = START_NS + ahead_ns
    limits = loaded(now_ns=wrong_ns)
    for _ in range(40):
        assert limits.admit(Priority.P0, [Call(weight=10, orders=1)], wrong_ns) == GRANTED
    limits.status(429, "30", "", wrong_ns)
    blocked = limits.admit(Priority.P0, [Call()], START_NS)
    assert isinstance(blocked, Wait) and blocked.until_ns == START_NS + 30 * SECOND_NS
    assert limits.used(LimitKind.REQUEST_WEIGHT, 60, START_NS) == 400
    assert limits.used(LimitKind.ORDERS, 10, START_NS) == 40
    granted = 0
    while limits.admit(Priority.P0, [Call(weight=10)], START_NS + 31 * SECOND_NS) == GRANTED:
        granted += 1
    assert granted == 80, "of 120 calls in a minute 40 were sent"
    assert limits.admit(Priority.P0, [Call(weight=10)], START_NS + 61 * SECOND_NS) == GRANTED


@given(steps=st.lists(st.tuples(st.integers(0, 8), st.integers(-5_000, 5_000)), min_size=1, max_size=60))
@settings(max_examples=150, deadline=None)
def test_no_real_minute_holds_more_than_the_limit_wherever_the_told_time_jumps(
    steps: list[tuple[int, int]],
) -> None:
    """The told time is off by up to five seconds either way, and put right at any moment."""
    limits = loaded([row("REQUEST_WEIGHT", "MINUTE", 1, 100)])
    real_ns, sent = START_NS, 0
    for wait_s, error_ms in steps:
        real_ns = min(real_ns + wait_s * SECOND_NS, START_NS + MINUTE_NS - 6 * SECOND_NS)
        told_ns = max(START_NS, real_ns + error_ms * 1_000_000)
        while limits.admit(Priority.P0, [Call(weight=10)], told_ns) == GRANTED:
            sent += 10
    assert sent <= 100, "all of it fell into one minute of the venue"


def test_a_wait_ends_at_the_next_window_and_a_clock_that_goes_back_opens_none() -> None:
    limits = loaded()
    assert limits.admit(Priority.P0, [Call(weight=1_200)], START_NS + 5) == GRANTED
    assert limits.admit(Priority.P0, [Call()], START_NS + 6) == Wait(START_NS + MINUTE_NS)
    assert limits.admit(Priority.P0, [Call()], START_NS - SECOND_NS // 4) == Wait(START_NS + MINUTE_NS)
    far_ns = START_NS - 90 * MINUTE_NS
    assert limits.admit(Priority.P0, [Call()], far_ns) == Wait(far_ns + MINUTE_NS), "full, by the right time"
    assert limits.admit(Priority.P0, [Call()], START_NS + MINUTE_NS) == GRANTED


def test_headers_raise_the_use_at_once_and_never_lower_the_weight() -> None:
    limits = loaded()
    limits.headers({"X-MBX-USED-WEIGHT-1M": "900", "x-mbx-order-count-10s": "12"}, START_NS, START_NS)
    assert limits.used(LimitKind.REQUEST_WEIGHT, 60, START_NS) == 900
    assert limits.used(LimitKind.ORDERS, 10, START_NS) == 12
    limits.headers({"X-MBX-USED-WEIGHT-1M": "5", "X-MBX-USED-WEIGHT-1H": "x"}, START_NS, START_NS)
    assert limits.used(LimitKind.REQUEST_WEIGHT, 60, START_NS) == 900
    limits.headers({"X-MBX-ORDER-COUNT-10S": "3"}, START_NS, START_NS)
    assert limits.used(LimitKind.ORDERS, 10, START_NS) == 3, "filled orders are given back"
    assert limits.admit(Priority.P0, [Call(orders=2)], START_NS + 10) == GRANTED
    limits.headers({"X-MBX-ORDER-COUNT-10S": "1"}, START_NS, START_NS + 20)
    assert limits.used(LimitKind.ORDERS, 10, START_NS + 20) == 5, "that report is older than our order"


def test_an_answer_over_a_boundary_is_counted_in_both_windows() -> None:
    limits = loaded()
    edge_ns = START_NS + MINUTE_NS
    limits.headers({"X-MBX-USED-WEIGHT-1M": "700"}, edge_ns - 1, edge_ns + 1)
    assert limits.used(LimitKind.REQUEST_WEIGHT, 60, edge_ns + 1) == 700


def test_new_risk_leaves_two_calls_for_every_open_order_and_symbol() -> None:
    rows = [row("REQUEST_WEIGHT", "MINUTE", 1, 100), row("RAW_REQUESTS", "MINUTE", 5, 10_000)]
    limits, number = loaded(rows), 0
    now_ns = START_NS + MINUTE_NS - 1
    verdict: object = GRANTED
    while verdict == GRANTED:
        number += 1
        call = Call(orders=1, symbol="BTCUSDT", placed=(f"o{number}",))
        verdict = limits.admit(Priority.P1, [call], now_ns)
    assert number - 1 == 32, "32 used + 2 x (32 + 1) reserved <= 100, one more would not fit"
    for order in range(1, number):
        for _ in range(2):
            assert limits.admit(Priority.P0, [Call()], now_ns) == GRANTED
        limits.gone(f"o{order}")
        limits.gone(f"o{order}")
    limits.working("x", "ETHUSDT")
    assert limits.admit(Priority.P0, [Call()], now_ns) == GRANTED


@pytest.mark.parametrize(
    ("status", "retry_after", "text", "reason", "seconds", "pages"),
    [
        (429, "7", "", "TooManyRequests", 7, False),
        (429, None, "", "TooManyRequests", 60, False),
        (418, None, "", "Banned", 120, True),
        (418, "200", "", "Banned", 200, True),
        (403, None, "", "Firewall", 300, True),
    ],
)
def test_statuses_block_the_whole_address_for_as_long_as_they_say(
    status: int, retry_after: str | None, text: str, reason: str, seconds: int, pages: bool
) -> None:
    limits = loaded()
    block = limits.status(status, retry_after, text, START_NS)
    assert block is not None and (block.reason, block.pages) == (reason, pages)
    assert block.until_ns == START_NS + seconds * SECOND_NS
    assert limits.admit(Priority.P0, [Call()], block.until_ns - 1) == Wait(block.until_ns, reason)
    assert limits.block(block.until_ns - 1) == block
    assert limits.admit(Priority.P0, [Call()], block.until_ns) == GRANTED
    assert limits.status(200, None, "", START_NS) is None


def test_the_end_of_a_ban_is_read_from_the_message_and_too_many_orders_stop_only_orders() -> None:
    limits = loaded()
    until_ms = START_NS // 1_000_000 + 400_000
    text = f"Way too much request weight used; IP banned until {until_ms}. Please use WebSocket."
    block = limits.status(418, "10", text, START_NS)
    assert block is not None and block.until_ns == until_ms * 1_000_000
    limits = loaded()
    limits.status(429, "30", '{"code":-1015,"msg":"Too many new orders."}', START_NS)
    assert isinstance(limits.admit(Priority.P1, [Call(orders=1)], START_NS), Wait)
    assert limits.admit(Priority.P0, [Call()], START_NS) == GRANTED


def test_bursts_of_new_risk_are_smoothed_and_cancels_are_not() -> None:
    limits = loaded([row("REQUEST_WEIGHT", "MINUTE", 1, 1_200)])
    passed = 0
    while limits.admit(Priority.P3, [Call()], START_NS) == GRANTED:
        passed += 1
    assert passed == 240
    for _ in range(500):
        assert limits.admit(Priority.P0, [Call()], START_NS) == GRANTED


def test_a_restart_keeps_use_and_orders_but_reads_the_limits_again() -> None:
    limits = loaded()
    limits.admit(Priority.P3, [Call(weight=100, orders=1, symbol="BTCUSDT", placed=("a",))], START_NS)
    packed = msgspec.json.encode(limits.state(START_NS))
    after = BinanceLimits()
    after.restore(msgspec.json.decode(packed, type=BinanceState), START_NS + SECOND_NS, SECOND_NS)
    assert after.admit(Priority.P3, [Call()], START_NS + SECOND_NS) == Denied("LimitsUnknown")
    after.load(ROWS, START_NS + SECOND_NS)
    assert after.used(LimitKind.REQUEST_WEIGHT, 60, START_NS + SECOND_NS) == 100
    assert after.state(START_NS).open_orders == {"a": "BTCUSDT"}
    back = BinanceLimits()
    back.restore(limits.state(START_NS), START_NS - 60 * MINUTE_NS, 0)
    back.load(ROWS, START_NS - 60 * MINUTE_NS)
    assert back.used(LimitKind.REQUEST_WEIGHT, 60, START_NS - 60 * MINUTE_NS) == 100
    lost = BinanceLimits()
    lost.restore(None, START_NS, 0)
    lost.load(ROWS, START_NS)
    assert lost.used(LimitKind.REQUEST_WEIGHT, 60, START_NS) == 840
    with pytest.raises(KeyError):
        lost.used(LimitKind.ORDERS, 1, START_NS)


def test_levels_are_told_per_window_and_a_bad_guard_is_refused() -> None:
    levels = loaded().levels(START_NS)
    assert levels["REQUEST_WEIGHT:60s"] == (0, 1_200)
    with pytest.raises(ValueError, match="guard_ns"):
        BinanceLimits(2 * SECOND_NS)
    assert loaded().admit(Priority.P5, [Call(weight=1_000)], START_NS) == Denied("AboveBudget")


def test_reads_that_leave_weight_never_keep_a_proof_of_their_class_waiting() -> None:
    limits = loaded()
    while limits.admit(Priority.P2, [Call(weight=100, leaves=300)], START_NS) == GRANTED:
        pass
    for _ in range(3):
        assert limits.admit(Priority.P2, [Call(weight=100)], START_NS) == GRANTED
    assert isinstance(limits.admit(Priority.P2, [Call(weight=100)], START_NS), Wait)
