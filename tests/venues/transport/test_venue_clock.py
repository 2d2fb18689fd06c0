"""How far the clock is off, what that allows, and a venue time that no setting of the clock moves (T10.5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.venues.transport.clock import ClockGuard, ClockVerdict

MS = 1_000_000
SECOND_NS = 1_000 * MS
EPOCH_NS = 1_800_000_000 * SECOND_NS


class World:
    """True time, the venue's with an own error, and the wall clock of this machine with another."""

    def __init__(self, resolution_ns: int = MS) -> None:
        self.steady_ns, self.wall_error_ns, self.resolution_ns = 10**12, 0, resolution_ns
        self.guard = ClockGuard(
            lambda: EPOCH_NS + self.steady_ns + self.wall_error_ns, lambda: self.steady_ns, resolution_ns
        )

    def measure(self, there_ms: int = 10, back_ms: int = 10) -> bool:
        begin_ns = self.guard.begin()
        self.steady_ns += there_ms * MS
        told_ns = (EPOCH_NS + self.steady_ns) // self.resolution_ns * self.resolution_ns
        self.steady_ns += back_ms * MS
        return self.guard.measured(told_ns, begin_ns)


@given(
    error_ms=st.integers(-5_000, 5_000),
    trips=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200)), min_size=1, max_size=8),
)
def test_the_offset_is_within_its_bound_whatever_way_the_delay_is_split(
    error_ms: int, trips: list[tuple[int, int]]
) -> None:
    world = World()
    world.wall_error_ns = error_ms * MS
    for there_ms, back_ms in trips:
        assert world.measure(there_ms, back_ms)
    offset = world.guard.offset()
    assert offset is not None
    assert abs(offset.offset_ns + error_ms * MS) <= offset.bound_ns


@pytest.mark.parametrize(
    ("error_ms", "verdict"),
    [
        (0, ClockVerdict.GOOD),
        (100, ClockVerdict.GOOD),
        (130, ClockVerdict.ALARM),
        (-480, ClockVerdict.ALARM),
        (600, ClockVerdict.NO_NEW_RISK),
        (-600, ClockVerdict.NO_NEW_RISK),
        (1_200, ClockVerdict.HALTED),
        (3_600_000, ClockVerdict.HALTED),
        (-3_600_000, ClockVerdict.HALTED),
    ],
)
def test_what_a_skew_allows(error_ms: int, verdict: ClockVerdict) -> None:
    world = World()
    world.wall_error_ns = error_ms * MS
    world.measure()
    assert world.guard.verdict() is verdict
    assert world.guard.new_risk_allowed is (verdict in (ClockVerdict.GOOD, ClockVerdict.ALARM))


def test_unknown_until_measured_and_after_ten_minutes_and_after_a_refused_timestamp() -> None:
    world = World()
    assert world.guard.verdict() is ClockVerdict.UNKNOWN and world.guard.is_due
    assert world.guard.offset() is None
    world.measure()
    assert world.guard.new_risk_allowed and not world.guard.is_due
    world.steady_ns += 60 * SECOND_NS
    assert world.guard.is_due and world.guard.new_risk_allowed
    world.steady_ns += 541 * SECOND_NS
    assert world.guard.verdict() is ClockVerdict.UNKNOWN
    world.measure()
    world.guard.forget()
    assert world.guard.verdict() is ClockVerdict.UNKNOWN and world.guard.is_due


def test_a_measurement_that_took_too_long_says_nothing_and_one_outlier_does_not_move_the_median() -> None:
    world = World()
    assert not world.measure(6_000, 0) and world.guard.rejected == 1
    for _ in range(4):
        world.measure()
    world.measure(0, 4_000)
    offset = world.guard.offset()
    assert offset is not None and abs(offset.offset_ns) <= MS


def test_setting_the_wall_clock_moves_no_venue_time_and_it_never_goes_back() -> None:
    world = World()
    for _ in range(5):
        world.measure()
    before_ns = world.guard.venue_ns()
    for error_ms in (-3_600_000, 3_600_000, 0):
        world.wall_error_ns = error_ms * MS
        assert world.guard.venue_ns() == before_ns


@given(errors_ms=st.lists(st.integers(-240, 240), min_size=1, max_size=20), step_ms=st.integers(0, 100))
def test_small_corrections_make_the_time_stand_still_and_never_go_back(
    errors_ms: list[int], step_ms: int
) -> None:
    world = World()
    told: list[int] = []
    for error_ms in errors_ms:
        begin_ns = world.guard.begin()
        world.guard.measured(EPOCH_NS + world.steady_ns + error_ms * MS, begin_ns)
        told.append(world.guard.venue_ns())
        world.steady_ns += step_ms * MS
    assert told == sorted(told)
    assert world.guard.steps_back == 0


@pytest.mark.parametrize("ahead_s", [1, 60, 3_600, 10**8])
def test_a_wall_clock_that_was_ahead_before_the_first_measurement_does_not_bind(ahead_s: int) -> None:
    world = World()
    world.wall_error_ns = ahead_s * SECOND_NS
    assert world.guard.venue_ns() == EPOCH_NS + world.steady_ns + world.wall_error_ns
    world.measure()
    assert abs(world.guard.venue_ns() - EPOCH_NS - world.steady_ns) <= 11 * MS
    assert world.guard.steps_back == 1


def test_a_bad_measurement_does_not_bind_once_better_ones_outvote_it() -> None:
    world = World()
    begin_ns = world.guard.begin()
    world.guard.measured(EPOCH_NS + world.steady_ns + 1_800 * SECOND_NS, begin_ns)
    assert world.guard.venue_ns() > EPOCH_NS + world.steady_ns + 1_799 * SECOND_NS
    world.measure()
    assert abs(world.guard.venue_ns() - EPOCH_NS - world.steady_ns) <= 11 * MS


def test_behind_a_refused_timestamp_nothing_that_was_told_binds() -> None:
    world = World()
    begin_ns = world.guard.begin()
    world.guard.measured(EPOCH_NS + world.steady_ns + 400 * MS, begin_ns)
    told_ns = world.guard.venue_ns()
    world.guard.forget()
    world.measure()
    assert world.guard.venue_ns() < told_ns - 300 * MS


def test_a_coarse_clock_is_not_taken_for_a_skew() -> None:
    world = World(resolution_ns=SECOND_NS)
    for _ in range(5):
        world.measure()
        world.steady_ns += 333 * MS
    assert world.guard.verdict() is ClockVerdict.GOOD
    with pytest.raises(ValueError, match="resolution"):
        ClockGuard(resolution_ns=0)
