"""Loss of order control: the venue's own timer where it has one, and the ladder of this side (T6.3, T8).

Control is proven only on the trading path: an acknowledged order or cancel, a refreshed timer, a signed
no-op. Market data and public requests prove nothing. The pure ladder says what has to be so now; the runner
refreshes the timer and calls back. Nothing here ever closes a position.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from enum import IntEnum, StrEnum
from typing import Final

import msgspec
import structlog

from tradewind.venues.protocol import Armed, Disarmed, Rejected, Unsupported

log = structlog.get_logger("tradewind.venues.dead_man")
SECOND_NS: Final = 1_000_000_000
REDUCE_ONLY_NS: Final = 5 * SECOND_NS
CANCEL_NS: Final = 30 * SECOND_NS
HALT_NS: Final = 60 * SECOND_NS
STEADY_NS: Final = 10 * SECOND_NS
"""So long control has to hold before an outage's reduce-only ends by itself."""
MISSED_ALARM: Final = 2
LOOK_EVERY_S: Final = 0.25
LOOK_NS: Final = SECOND_NS // 4
"""A rung is taken a look early, so that it is in force when its time has come."""
ACTION_TIMEOUT_S: Final = 5.0
"""An action that takes longer is begun again, and a higher rung is told in time."""
ACTION_EVERY_NS: Final = SECOND_NS
"""A failed action is tried again so often: quickly, and within any venue's limits."""
LOG_EVERY: Final = 30
"""Of failures in a row the first one and every thirtieth is logged."""


class Rung(IntEnum):
    """What the outage demands. A higher rung includes the lower ones."""

    NORMAL = 0
    REDUCE_ONLY = 1
    CANCEL = 2
    """Reduce-only, and working orders are cancelled by any surviving path."""
    HALTED = 3
    """And an operator is paged. Only an operator leaves it."""


class Purpose(StrEnum):
    """How an account relies on the venue while nobody controls it; one choice per account."""

    TIMER = "timer"
    """Quoting: the venue's timer cancels everything, no resting stop is relied on."""
    STOPS = "stops"
    """Positions: stops rest at the venue, the timer stays disarmed."""


class MixedPurpose(ValueError):
    """`timer` would cancel the stops that a strategy of the account relies on."""

    code = "MixedPurpose"


def check_purpose(purpose: Purpose, *, relies_on_stops: bool) -> None:
    """Raises `MixedPurpose` at start-up when the account's choice and its strategies do not fit."""
    if purpose is Purpose.TIMER and relies_on_stops:
        raise MixedPurpose("a venue timer cancels protective stops too: use a sub-account, or purpose stops")


class Ladder:
    """Which rung an outage has reached. Outage of order control or of private events, whichever is older.

    Times are of a steady clock, given by the caller. Starts as if control were lost only now.
    """

    def __init__(self, now_ns: int) -> None:
        self._control_ns = self._events_ns = now_ns
        self._held_since_ns = now_ns
        self.rung = Rung.NORMAL
        self.uncontrolled_ns = 0
        """Time without proof of control beyond the first five seconds, in all."""
        self._looked_ns = now_ns

    def control_proven(self, now_ns: int) -> None:
        """The trading path answered."""
        self._control_ns = max(self._control_ns, now_ns)

    def events_proven(self, now_ns: int) -> None:
        """The private stream showed that it lives."""
        self._events_ns = max(self._events_ns, now_ns)

    def control_age_ns(self, now_ns: int) -> int:
        """Time since the last proof on the trading path."""
        return max(0, now_ns - self._control_ns)

    def outage_ns(self, now_ns: int) -> int:
        """The longer one of the two outages: both channels are needed."""
        return max(0, now_ns - min(self._control_ns, self._events_ns))

    def look(self, now_ns: int, *, reconciled: bool) -> Rung:
        """The rung now. Down again only from an outage's reduce-only (or cancel), reconciled and steady."""
        outage_ns = self.outage_ns(now_ns)
        if outage_ns > REDUCE_ONLY_NS - LOOK_NS:
            self.uncontrolled_ns += max(0, now_ns - self._looked_ns)
        self._looked_ns = max(self._looked_ns, now_ns)
        for limit_ns, rung in (
            (HALT_NS, Rung.HALTED),
            (CANCEL_NS, Rung.CANCEL),
            (REDUCE_ONLY_NS, Rung.REDUCE_ONLY),
        ):
            if outage_ns > limit_ns - LOOK_NS:
                self._held_since_ns = now_ns
                self.rung = max(self.rung, rung)
                return self.rung
        if self.rung in (Rung.REDUCE_ONLY, Rung.CANCEL):
            if not reconciled:
                self._held_since_ns = now_ns
            elif now_ns - self._held_since_ns >= STEADY_NS:
                self.rung = Rung.NORMAL
        return self.rung

    def operator_resumes(self, now_ns: int) -> bool:
        """Leaves the halt by an operator's word; False while the outage lasts."""
        if self.outage_ns(now_ns) > REDUCE_ONLY_NS:
            return False
        self.rung, self._held_since_ns = Rung.REDUCE_ONLY, now_ns
        return True


class TimerPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A venue's timer: it fires `seconds` after the last refresh, which comes every `every_s`."""

    seconds: int = 60
    every_s: float = 20.0

    def __post_init__(self) -> None:
        if not 0 < self.every_s * (MISSED_ALARM + 1) <= self.seconds:
            raise ValueError("two refreshes may be missed before the timer fires: seconds >= 3 * every_s")


Arm = Callable[[int], Awaitable[Armed | Disarmed | Unsupported | Rejected]]
OnRung = Callable[[Rung], Awaitable[None]]


class DeadMan:
    """Keeps a venue's timer armed, and acts on the ladder.

    `arm(seconds)` is the connector's `cancel_after` at P0. `on_rung` is called with every new rung, in order,
    and again with CANCEL until one call of it succeeded.
    """

    def __init__(
        self,
        ladder: Ladder,
        on_rung: OnRung,
        *,
        arm: Arm | None = None,
        plan: TimerPlan | None = None,
        reconciled: Callable[[], bool] = lambda: True,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.ladder = ladder
        self._on_rung, self._arm, self._plan = on_rung, arm, plan or TimerPlan()
        self._reconciled, self._clock_ns = reconciled, clock_ns
        self._told = self._tried = Rung.NORMAL
        self._action_due_ns = 0
        self.failed_actions = 0
        """Failures in a row of the action of the present rung."""
        self._refresh_due_ns = clock_ns()
        self.missed = 0
        """Refreshes in a row that were not confirmed; two are an alarm."""
        self.armed_until_ns: int | None = None
        self.refreshes = 0

    @property
    def alarmed(self) -> bool:
        """Two refreshes in a row were missed."""
        return self.missed >= MISSED_ALARM

    async def step(self) -> Rung:
        """One look at the ladder; tells a new rung."""
        rung = self.ladder.look(self._clock_ns(), reconciled=self._reconciled())
        if rung == self._told:
            return rung
        if rung != self._tried:
            self._tried, self._action_due_ns, self.failed_actions = rung, 0, 0
        if self._clock_ns() < self._action_due_ns:
            return rung
        try:
            async with asyncio.timeout(ACTION_TIMEOUT_S):
                await self._on_rung(rung)
            self._told, self.failed_actions = rung, 0
        except Exception as error:  # noqa: BLE001 a failing cancel is tried again, whatever it was
            self._action_due_ns = self._clock_ns() + ACTION_EVERY_NS
            self.failed_actions += 1
            if self.failed_actions % LOG_EVERY == 1:
                log.error("dead_man_action_failed", rung=rung.name, reason=type(error).__name__)
        return rung

    async def refresh(self) -> None:
        """Refreshes the venue's timer if it is due."""
        if self._arm is None or self._clock_ns() < self._refresh_due_ns:
            return
        # The next one is due from now on: a slow answer must not make the pace slower.
        self._refresh_due_ns = self._clock_ns() + int(self._plan.every_s * SECOND_NS)
        answer: Armed | Disarmed | Unsupported | Rejected | None = None
        try:
            async with asyncio.timeout(self._plan.every_s):
                answer = await self._arm(self._plan.seconds)
        except Exception as error:  # noqa: BLE001 whatever went wrong, the next refresh has to come
            if self.missed == 0:
                log.warning("dead_man_refresh_failed", reason=type(error).__name__)
        if isinstance(answer, Armed):
            self.missed, self.armed_until_ns = 0, answer.until_ns
            self.refreshes += 1
            self.ladder.control_proven(self._clock_ns())
            return
        if isinstance(answer, Unsupported):
            self._arm = None
            return
        self.missed += 1
        if self.missed == MISSED_ALARM or self.missed % LOG_EVERY == 0:
            log.error("dead_man_refresh_missed", in_a_row=self.missed)
        # A missed refresh is tried again soon, not a whole period later.
        self._refresh_due_ns = self._clock_ns() + int(min(self._plan.every_s, 5.0) * SECOND_NS)

    async def run(self) -> None:
        """Looks four times a second until cancelled. The venue's timer stays armed then, on purpose."""
        async with asyncio.TaskGroup() as tasks:  # a slow venue must not keep the ladder from looking
            for act in (self.step, self.refresh):
                tasks.create_task(self._repeat(act))

    @staticmethod
    async def _repeat(act: Callable[[], Awaitable[object]]) -> None:
        while True:
            await act()
            await asyncio.sleep(LOOK_EVERY_S)

    async def disarm(self) -> bool:
        """For an orderly stop or planned maintenance: whether the venue confirmed that the timer is off."""
        if self._arm is None:
            return True
        arm, self._arm = self._arm, None
        if isinstance(await arm(0), Disarmed):
            self.armed_until_ns = None
            return True
        self._arm = arm
        return False
