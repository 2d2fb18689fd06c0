"""The ladder of an outage: 5 s reduce-only, 30 s cancel, 60 s halt; the venue's timer (T6.3, T8)."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.venues.protocol import Armed, Disarmed, Rejected, Unsupported
from tradewind.venues.transport.dead_man import (
    DeadMan,
    Ladder,
    MixedPurpose,
    Purpose,
    Rung,
    TimerPlan,
    check_purpose,
)

SECOND_NS = 1_000_000_000


def at(seconds: float) -> int:
    return int(seconds * SECOND_NS)


@pytest.mark.parametrize("channel", ["control", "events", "both"])
def test_either_channel_alone_climbs_the_ladder_at_5_30_and_60_seconds(channel: str) -> None:
    ladder, seen = Ladder(0), list[tuple[float, Rung]]()
    for quarter in range(4 * 70):
        now_ns = at(quarter / 4)
        if channel == "events":
            ladder.control_proven(now_ns)
        if channel == "control":
            ladder.events_proven(now_ns)
        rung = ladder.look(now_ns, reconciled=True)
        if not seen or seen[-1][1] is not rung:
            seen.append((quarter / 4, rung))
    assert seen == [(0, Rung.NORMAL), (5, Rung.REDUCE_ONLY), (30, Rung.CANCEL), (60, Rung.HALTED)]
    assert 60 <= ladder.uncontrolled_ns / SECOND_NS <= 70


@given(
    steps=st.lists(st.tuples(st.integers(0, 20), st.booleans(), st.booleans(), st.booleans()), max_size=60)
)
def test_the_rung_is_never_below_what_the_longer_outage_demands(
    steps: list[tuple[int, bool, bool, bool]],
) -> None:
    ladder, now_ns, control_ns, events_ns = Ladder(0), 0, 0, 0
    for seconds, control, events, reconciled in steps:
        now_ns += seconds * SECOND_NS
        if control:
            ladder.control_proven(now_ns)
            control_ns = now_ns
        if events:
            ladder.events_proven(now_ns)
            events_ns = now_ns
        before = ladder.rung
        rung = ladder.look(now_ns, reconciled=reconciled)
        outage_s = max(now_ns - control_ns, now_ns - events_ns) / SECOND_NS
        least = (outage_s > 5) + (outage_s > 30) + (outage_s > 60)
        assert rung >= least
        assert before is not Rung.HALTED or rung is Rung.HALTED, "only an operator leaves a halt"
        if rung < before:
            assert reconciled and rung is Rung.NORMAL


def test_reduce_only_ends_by_itself_ten_seconds_after_reconciliation() -> None:
    ladder = Ladder(0)
    assert ladder.look(at(6), reconciled=True) is Rung.REDUCE_ONLY
    for second in range(7, 40):
        ladder.control_proven(at(second))
        ladder.events_proven(at(second))
        rung = ladder.look(at(second), reconciled=second >= 20)
        assert rung is (Rung.NORMAL if second >= 29 else Rung.REDUCE_ONLY), second


def test_an_operator_leaves_a_halt_only_with_control() -> None:
    ladder = Ladder(0)
    assert ladder.look(at(61), reconciled=True) is Rung.HALTED
    assert not ladder.operator_resumes(at(61))
    ladder.control_proven(at(62))
    ladder.events_proven(at(62))
    assert ladder.look(at(80 - 16), reconciled=True) is Rung.HALTED
    assert ladder.operator_resumes(at(64)) and ladder.rung is Rung.REDUCE_ONLY
    assert ladder.control_age_ns(at(64)) == at(2)


def test_a_timer_and_protective_stops_do_not_mix() -> None:
    with pytest.raises(MixedPurpose):
        check_purpose(Purpose.TIMER, relies_on_stops=True)
    check_purpose(Purpose.TIMER, relies_on_stops=False)
    check_purpose(Purpose.STOPS, relies_on_stops=True)
    with pytest.raises(ValueError, match="missed"):
        TimerPlan(seconds=60, every_s=30)


class World:
    """A clock, a venue timer and what was told."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.answers: list[Armed | Disarmed | Unsupported | Rejected | Exception] = []
        self.asked: list[tuple[float, int]] = []
        self.rungs: list[Rung] = []
        self.failing = 0

    async def arm(self, seconds: int) -> Armed | Disarmed | Unsupported | Rejected:
        self.asked.append((self.now_ns / SECOND_NS, seconds))
        answer = self.answers.pop(0) if self.answers else Armed(self.now_ns + seconds * SECOND_NS)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def on_rung(self, rung: Rung) -> None:
        if self.failing:
            self.failing -= 1
            raise ConnectionError("the path is down")
        self.rungs.append(rung)

    def dead_man(self) -> DeadMan:
        return DeadMan(Ladder(0), self.on_rung, arm=self.arm, clock_ns=lambda: self.now_ns)

    async def until(self, dead_man: DeadMan, seconds: float, *, events: bool = True) -> None:
        while self.now_ns < at(seconds):
            self.now_ns += at(0.25)
            if events:
                dead_man.ladder.events_proven(self.now_ns)
            await dead_man.refresh()
            await dead_man.step()


async def test_the_timer_is_refreshed_every_20_s_and_that_proves_control() -> None:
    world = World()
    dead_man = world.dead_man()
    await dead_man.refresh()
    await world.until(dead_man, 61)
    assert world.asked == [(0, 60), (20, 60), (40, 60), (60, 60)]
    assert dead_man.armed_until_ns == at(120) and not dead_man.alarmed and dead_man.refreshes == 4
    assert Rung.CANCEL not in world.rungs, "between two refreshes at most reduce-only"


async def test_missed_refreshes_are_tried_again_soon_and_two_are_an_alarm() -> None:
    world = World()
    rejected = Rejected(code="x", raw="x", preventable=False)
    world.answers = [rejected, ConnectionError("gone"), rejected]
    dead_man = world.dead_man()
    await dead_man.refresh()
    assert dead_man.missed == 1 and not dead_man.alarmed
    await world.until(dead_man, 5)
    assert dead_man.alarmed
    await world.until(dead_man, 15)
    assert world.asked == [(0, 60), (5, 60), (10, 60), (15, 60)] and dead_man.missed == 0


async def test_an_action_that_failed_is_tried_again_until_it_succeeds() -> None:
    world = World()
    world.answers = [ConnectionError("gone")] * 100
    dead_man = world.dead_man()
    world.failing = 3
    await world.until(dead_man, 61, events=False)
    assert world.rungs == [Rung.REDUCE_ONLY, Rung.CANCEL, Rung.HALTED]


async def test_a_venue_without_a_timer_is_asked_once_and_disarming_is_confirmed() -> None:
    world = World()
    world.answers = [Unsupported("cancel_after")]
    dead_man = world.dead_man()
    await world.until(dead_man, 50)
    assert len(world.asked) == 1 and await dead_man.disarm()
    other = World()
    dead_man = other.dead_man()
    other.answers = [Rejected(code="busy", raw="", preventable=False), Disarmed()]
    assert not await dead_man.disarm()
    assert await dead_man.disarm() and other.asked[-1] == (0, 0)


async def test_a_venue_that_does_not_answer_keeps_the_ladder_from_nothing() -> None:
    begin_s = asyncio.get_running_loop().time()
    reached = asyncio.Event()

    async def never(_: int) -> Armed:
        await asyncio.sleep(3_600)
        return Armed(0)

    async def on_rung(rung: Rung) -> None:
        if rung is Rung.HALTED:
            reached.set()

    def fast_ns() -> int:
        return int((asyncio.get_running_loop().time() - begin_s) * 100 * SECOND_NS)

    dead_man = DeadMan(Ladder(0), on_rung, arm=never, clock_ns=fast_ns)
    running = asyncio.create_task(dead_man.run())
    async with asyncio.timeout(10):
        await reached.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_failing_action_is_tried_once_a_second_and_does_not_flood_the_log() -> None:
    world = World()
    world.answers = [ConnectionError("gone")] * 100
    dead_man = world.dead_man()
    world.failing = 1_000
    await world.until(dead_man, 29, events=False)
    assert 20 <= dead_man.failed_actions <= 25 and world.rungs == []
