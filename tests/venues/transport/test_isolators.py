"""Isolators open on faults of transport only, probe one at a time, and never stop a cancel (T10.4)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.venues.limits.verdicts import SECOND_NS, Priority
from tradewind.venues.transport.isolators import (
    MAX_CLASSES,
    Fault,
    Isolator,
    Isolators,
    IsolatorState,
    Pass,
    classify,
)
from tradewind.venues.transport.private_http import Answer, NoAnswer, Reply

P = Pass(probe=False, bypassed=False)


def middle(low: float, high: float) -> float:
    return (low + high) / 2


def answer(status: int) -> Answer:
    return Answer(status=status, headers={}, body=b"", sent_ns=0, received_ns=0)


def opened(now_ns: int = 0) -> Isolator:
    isolator = Isolator(middle)
    for _ in range(3):
        isolator.report(P, Fault.CONNECT, now_ns)
    assert isolator.state is IsolatorState.OPEN
    return isolator


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        *((answer(status), None) for status in (200, 400, 401, 403, 404, 409, 418, 429)),
        *((answer(status), Fault.SERVER) for status in (500, 502, 503, 520)),
        (NoAnswer(reason="Timeout", sent=True), Fault.TIMEOUT),
        (NoAnswer(reason="Timeout", sent=False), None),
        (NoAnswer(reason="ConnectTimeout", sent=False), Fault.CONNECT),
        (NoAnswer(reason="ConnectFailed:OSError", sent=False), Fault.CONNECT),
        (NoAnswer(reason="ConnectionLost:X", sent=True), Fault.LOST),
        (NoAnswer(reason="Malformed:no status line", sent=True), Fault.MALFORMED),
        (NoAnswer(reason="RateLimitedLocal", sent=False), None),
        (NoAnswer(reason="StaleEpoch", sent=False), None),
    ],
)
def test_only_transport_faults_count(reply: Reply, fault: Fault | None) -> None:
    assert classify(reply) is fault


def test_it_opens_with_five_faults_that_are_half_of_ten_samples_and_not_before() -> None:
    isolator = Isolator(middle)
    for _ in range(5):
        isolator.reply(P, answer(200), 0)
    for number in range(5):
        assert isolator.state is IsolatorState.CLOSED, number
        isolator.reply(P, answer(503), 0)
    assert isolator.state is IsolatorState.OPEN and isolator.opened == 1
    few = Isolator(middle)
    for _ in range(9):
        few.reply(P, answer(503), 0)
    assert few.state is IsolatorState.CLOSED, "nine samples are too few"
    refused = Isolator(middle)
    for _ in range(1_000):
        refused.reply(P, answer(400), 0)
        refused.reply(P, answer(429), 0)
        refused.reply(P, NoAnswer(reason="RateLimitedLocal", sent=False), 0)
    assert refused.state is IsolatorState.CLOSED, "business rejects and limits are no faults"


def test_faults_age_out_and_a_success_between_connect_failures_starts_again() -> None:
    isolator = Isolator(middle)
    for second in range(0, 600, 15):
        isolator.reply(P, answer(503), second * SECOND_NS)
    assert isolator.state is IsolatorState.CLOSED, "at most five samples in a minute"
    for _ in range(2):
        isolator.report(P, Fault.CONNECT, 10**13)
        isolator.report(P, Fault.CONNECT, 10**13)
        isolator.report(P, None, 10**13)
    assert isolator.state is IsolatorState.CLOSED


def test_one_probe_at_a_time_and_three_successes_close() -> None:
    isolator = opened()
    assert isolator.ask(Priority.P3, 5 * SECOND_NS - 1) is None
    for _ in range(3):
        probe = isolator.ask(Priority.P3, 5 * SECOND_NS)
        assert probe is not None and probe.probe
        assert isolator.ask(Priority.P3, 5 * SECOND_NS) is None
        isolator.reply(probe, answer(200), 5 * SECOND_NS)
    assert isolator.state is IsolatorState.CLOSED


def test_a_failed_probe_doubles_the_time_up_to_a_minute_and_a_probe_that_never_left_is_none() -> None:
    isolator, now_ns, waits = opened(), 0, list[int]()
    for _ in range(6):
        begin_ns = now_ns
        while (probe := isolator.ask(Priority.P4, now_ns)) is None:
            now_ns += SECOND_NS
        waits.append((now_ns - begin_ns) // SECOND_NS)
        isolator.reply(probe, NoAnswer(reason="RateLimitedLocal", sent=False), now_ns)
        again = isolator.ask(Priority.P4, now_ns)
        assert again is not None and again.probe
        isolator.reply(again, answer(500), now_ns)
    assert waits == [5, 10, 20, 40, 60, 60]


@settings(max_examples=200, deadline=None)
@given(events=st.lists(st.tuples(st.integers(0, 8), st.sampled_from(list(Priority)), st.booleans())))
def test_a_cancel_or_reduction_is_never_blocked(events: list[tuple[int, Priority, bool]]) -> None:
    isolator, now_ns = opened(), 0
    for seconds, cls, fails in events:
        now_ns += seconds * SECOND_NS
        leave = isolator.ask(cls, now_ns)
        assert leave is not None or cls >= Priority.P2
        if leave is not None:
            isolator.reply(leave, answer(503 if fails else 200), now_ns)


def test_classes_are_apart_and_bounded() -> None:
    isolators = Isolators(middle)
    for _ in range(3):
        isolators.of("orders").report(P, Fault.CONNECT, 0)
    leave = isolators.of("orders").ask(Priority.P0, 0)
    assert leave is not None and leave.bypassed and isolators.of("orders").bypassed == 1
    assert isolators.of("account").ask(Priority.P5, 0) == P
    assert isolators.blocked == ("orders",)
    for number in range(MAX_CLASSES - 2):
        isolators.of(str(number))
    with pytest.raises(ValueError, match="at most"):
        isolators.of("one more")
