"""A node's time never goes back and never stands still, whatever somebody does to the machine's clock."""

from __future__ import annotations

import asyncio
from pathlib import Path

from exchange_world import START_NS, World, genesis, owner_key
from hypothesis import given
from hypothesis import strategies as st

from tradewind.core import commands, journal
from tradewind.core.enums import Side
from tradewind.core.event_types import SwitchFired
from tradewind.core.events import decode_events
from tradewind.node.clock import SteadyClock
from tradewind.node.limits import NodeLimits
from tradewind.node.service import NodeService

QUIET = NodeLimits(tick_interval_s=0.05, heartbeat_s=3_600.0, space_reserved_bytes=0)
SECOND_NS = 1_000_000_000
HOUR_NS = 3_600 * SECOND_NS


class Hands:
    """Both clocks of a machine, moved by the test."""

    def __init__(self) -> None:
        self.wall_ns, self.monotonic_ns = START_NS, 0
        self.clock = SteadyClock(lambda: self.wall_ns, lambda: self.monotonic_ns)

    def pass_time(self, duration_ns: int) -> None:
        self.wall_ns += duration_ns
        self.monotonic_ns += duration_ns


def test_it_is_the_wall_clock_in_normal_times() -> None:
    hands = Hands()
    hands.pass_time(5)
    assert hands.clock() == START_NS + 5
    hands.wall_ns += HOUR_NS
    assert hands.clock() == START_NS + HOUR_NS + 5, "a step ahead is followed"


def test_after_a_step_back_time_goes_on_from_where_it_was() -> None:
    hands = Hands()
    hands.clock()
    hands.wall_ns -= HOUR_NS
    assert hands.clock() == START_NS
    hands.pass_time(SECOND_NS)
    assert hands.clock() == START_NS + SECOND_NS
    hands.wall_ns += 2 * HOUR_NS
    assert hands.clock() == START_NS + HOUR_NS + SECOND_NS, "a wall clock that is right again is followed"


def test_a_log_that_is_ahead_of_the_wall_clock_goes_on_from_its_own_end() -> None:
    hands = Hands()
    hands.clock.not_before(START_NS + HOUR_NS)
    hands.pass_time(SECOND_NS)
    assert hands.clock() == START_NS + HOUR_NS + SECOND_NS
    hands.clock.not_before(START_NS)
    assert hands.clock() == START_NS + HOUR_NS + SECOND_NS


@given(st.lists(st.tuples(st.integers(-HOUR_NS, HOUR_NS), st.integers(0, 10 * SECOND_NS)), max_size=30))
def test_it_never_goes_back_and_at_least_the_monotonic_time_passes(steps: list[tuple[int, int]]) -> None:
    hands = Hands()
    before_ns = hands.clock()
    for step_ns, duration_ns in steps:
        hands.wall_ns += step_ns
        hands.pass_time(duration_ns)
        now_ns = hands.clock()
        assert now_ns >= before_ns + duration_ns
        assert now_ns >= hands.wall_ns
        before_ns = now_ns


async def test_a_dead_mans_switch_fires_in_time_although_the_clock_was_set_back_an_hour(
    world: World, tmp_path: Path
) -> None:
    hands = Hands()
    node = await NodeService.start(
        tmp_path, genesis=genesis(), limits=QUIET, clock=hands.clock, segment_bytes=1 << 20, reserve_bytes=0
    )
    async with node:
        await node.submit(world.setup())
        switch = commands.set_cancel_all_after(
            principal=owner_key(0), account=world.account(0), client_key=world.key(), window_s=5
        )
        await node.submit([world.order(0, Side.BUY, 5_000_000, 1), switch])
        subscription = node.subscribe(name="watch")
        hands.wall_ns -= HOUR_NS
        assert node.clock_behind_ns == HOUR_NS
        hands.pass_time(6 * SECOND_NS)
        batch = await asyncio.wait_for(anext(subscription), 10)
        assert any(isinstance(event, SwitchFired) for event in decode_events(batch))
    times = [one.time_ns for one in journal.batches(node.journal_path)]
    assert times == sorted(times) and times[-1] >= START_NS + 6 * SECOND_NS
