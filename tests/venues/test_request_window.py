"""No window of ten seconds ever holds more than fifty requests (protocol P6.7.2, P6.7.7)."""

from __future__ import annotations

import asyncio
import threading
from bisect import bisect_left

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.venues.transport.request_window import (
    MAX_REQUESTS,
    SECOND_NS,
    WINDOW_NS,
    RequestWindow,
    retry_wait_s,
    shared_window,
)


class Time:
    """Two clocks: the true one, and the one that the window reads, which can be turned back."""

    def __init__(self) -> None:
        self.true_ns = 0
        self.error_ns = 0

    def read(self) -> int:
        return self.true_ns + self.error_ns


def most_in_any_window(moments_ns: list[int], span_ns: int = WINDOW_NS) -> int:
    """A window can be moved until it begins with one of the moments."""
    moments_ns = sorted(moments_ns)
    return max(
        (bisect_left(moments_ns, at + span_ns) - place for place, at in enumerate(moments_ns)), default=0
    )


def ask(window: RequestWindow, time: Time, sent: list[int], give_up_after: int = 3) -> None:
    """A worker that wants one request now and waits as long as it is told, within reason."""
    for _ in range(give_up_after):
        wait_ns = window.enter()
        if wait_ns == 0:
            sent.append(time.true_ns)
            window.leave()
            return
        time.true_ns += wait_ns


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.integers(0, 12 * SECOND_NS)),
        st.tuples(st.just("burst"), st.integers(1, 120)),
        st.tuples(st.just("back"), st.integers(1, 3_600 * SECOND_NS)),
        st.tuples(st.just("refused"), st.integers(0, 30)),
    ),
    max_size=30,
)


@settings(max_examples=300, deadline=None)
@given(steps=STEPS)
def test_arrivals_bursts_backward_clocks_and_429_storms_never_exceed_the_limit(
    steps: list[tuple[str, int]],
) -> None:
    time = Time()
    window, sent = RequestWindow(clock_ns=time.read), list[int]()
    for what, amount in steps:
        if what == "wait":
            time.true_ns += amount
        elif what == "back":
            time.error_ns -= amount
        elif what == "refused":
            window.hold(float(amount))
            held_from_ns = time.true_ns
            before = len(sent)
            ask(window, time, sent)
            assert all(at >= held_from_ns + amount * SECOND_NS for at in sent[before:])
        else:
            for _ in range(amount):
                ask(window, time, sent, give_up_after=2)
    assert most_in_any_window(sent) <= MAX_REQUESTS
    assert window.requests == len(sent)


@settings(max_examples=200, deadline=None)
@given(
    gaps_ns=st.lists(st.integers(0, SECOND_NS), min_size=1, max_size=200),
    lasts_ns=st.lists(st.integers(0, 20 * SECOND_NS), min_size=1, max_size=200),
    counted_at=st.floats(0.0, 1.0),
)
def test_wherever_the_venue_counts_a_request_it_never_sees_more(
    gaps_ns: list[int], lasts_ns: list[int], counted_at: float
) -> None:
    time = Time()
    window, seen, under_way = RequestWindow(clock_ns=time.read), list[int](), list[int]()

    def finish() -> None:
        for end_ns in sorted(end for end in under_way if end <= time.true_ns):
            now_ns, time.true_ns = time.true_ns, end_ns
            window.leave()
            time.true_ns = now_ns
            under_way.remove(end_ns)

    for gap_ns, last_ns in zip(gaps_ns, lasts_ns, strict=False):
        time.true_ns += gap_ns
        finish()
        if window.enter() == 0:
            seen.append(time.true_ns + int(last_ns * counted_at))
            under_way.append(time.true_ns + last_ns)
    assert most_in_any_window(seen) <= MAX_REQUESTS


def test_the_fifty_first_waits_until_the_first_has_left_the_half_open_window() -> None:
    time = Time()
    window = RequestWindow(clock_ns=time.read)
    for _ in range(MAX_REQUESTS):
        assert window.enter() == 0
        window.leave()
    assert (window.enter(), window.used) == (WINDOW_NS, MAX_REQUESTS)
    time.true_ns = WINDOW_NS - 1
    assert window.enter() == 1
    time.true_ns = WINDOW_NS
    assert window.enter() == 0


def test_threads_share_one_window() -> None:
    window, granted = RequestWindow(clock_ns=lambda: 7), list[int]()

    def work() -> None:
        for _ in range(40):
            if window.enter() == 0:
                granted.append(1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(granted) == MAX_REQUESTS


async def test_a_request_that_fails_or_is_cancelled_gives_its_place_back() -> None:
    time = Time()
    window = RequestWindow(limit=1, clock_ns=time.read)
    with pytest.raises(ConnectionError):
        async with window.request():
            raise ConnectionError
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        time.true_ns += int(seconds * SECOND_NS)
        await asyncio.sleep(0)

    async with window.request(sleep):
        blocked = asyncio.create_task(window.request(sleep).__aenter__())
        await asyncio.sleep(0)
        blocked.cancel()
    assert waits[0] == 10.0
    with pytest.raises(RuntimeError, match="under way"):
        window.leave()


def test_one_venue_has_one_window_and_a_window_has_sound_bounds() -> None:
    assert shared_window("http://a") is shared_window("http://a") is not shared_window("http://b")
    with pytest.raises(ValueError, match="at least 1"):
        RequestWindow(limit=0)


def test_retries_wait_longer_each_time_never_beyond_the_ceiling_and_honour_the_venue() -> None:
    waits = [retry_wait_s("ingest", attempt) for attempt in range(12)]
    assert waits == [retry_wait_s("ingest", attempt) for attempt in range(12)]
    for attempt, wait_s in enumerate(waits):
        base_s = min(300.0, 10.0 * 2**attempt)
        assert base_s <= wait_s < base_s + 1.0
    assert len({retry_wait_s(f"worker {number}", 0) for number in range(50)}) > 40
    assert 45.0 <= retry_wait_s("ingest", 0, retry_after_s=45.0) < 46.0
    assert retry_wait_s("ingest", 0, retry_after_s=10**9) <= 3_601.0
