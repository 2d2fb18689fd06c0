"""venue-dead-man-60s: control or private events are cut in every combination, and whole cores are lost.

In virtual time the venue holds resting orders and, where it has one, a timer. In real time a core process is
killed, stopped or cut off, without a timer at the venue, and the watchdog's process has to cancel. Measured
is the time from the fault to reduce-only and to the end of the last resting order, whichever way was left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes import lost_core
from tradewind.readiness.probes.drill import Facts, drill
from tradewind.readiness.probes.virtual_time import VirtualLoop, run_virtually
from tradewind.readiness.record import MeasuredValue
from tradewind.venues.protocol import Armed, Disarmed, Rejected, Unsupported
from tradewind.venues.transport.dead_man import DeadMan, Ladder, Rung

SECOND_NS: Final = 1_000_000_000
STEADY_S: Final = 47.0
"""Everything works for so long before the cut; no multiple of the refresh."""
WATCHED_S: Final = 200.0
PROOF_EVERY_S: Final = 1.0
NEVER_S: Final = 3_600.0
CUTS: Final = (
    # control, private events, another way to cancel, a timer at the venue
    (False, True, True, True),
    (False, True, False, True),
    (True, False, False, True),
    (False, False, False, True),
    (False, True, True, False),
    (True, False, False, False),
)
"""What still works after the cut. Without any path and without a timer only another process could cancel."""


CORES: Final = (
    # what happens to the core, how its account relies on the venue, protective orders among twenty
    (lost_core.KILL, "timer", 0),
    (lost_core.STOP, "timer", 0),
    (lost_core.CUT, "timer", 0),
    (lost_core.KILL, "stops", 3),
    (lost_core.BOTH_KILLED, "timer", 0),
)
MUTANT_PATIENCE_S: Final = 8.0
PRELUDE: Final = """
from tradewind.trader.watchdog import judge
class Shorter(judge.Judge):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.limits = judge.Limits(silent_ns=2 * 10**9, outage_ns=4 * 10**9)
    def silent_ns(self, now_ns):
        return min(super().silent_ns(now_ns), super().outage_ns(now_ns) or 0)
    def outage_ns(self, now_ns):
        return min(super().silent_ns(now_ns), super().outage_ns(now_ns) or 0)
import tradewind.trader.watchdog.watch as watch
watch.Watchdog.__init__.__kwdefaults__["judge"] = Shorter
"""


class _Venue:
    """Resting orders, and a timer that cancels them."""

    def __init__(self, loop: VirtualLoop, *, timer: bool) -> None:
        self._loop, self._timer = loop, timer
        self._fires: asyncio.TimerHandle | None = None
        self.resting, self.closes = 20, 0
        self.gone_s: float | None = None
        self.control = self.events = self.other_path = True

    def cancel_all(self) -> None:
        self.resting = 0
        if self.gone_s is None:
            self.gone_s = self._loop.time()

    async def arm(self, seconds: int) -> Armed | Disarmed | Unsupported | Rejected:
        if not self._timer:
            return Unsupported("cancel_after")
        if not self.control:
            await asyncio.sleep(WATCHED_S)
        if self._fires is not None:
            self._fires.cancel()
        if seconds == 0:
            return Disarmed()
        self._fires = self._loop.call_later(seconds, self.cancel_all)
        return Armed(self._loop.time_ns() + seconds * SECOND_NS)


class MinimumOfBoth(Ladder):
    """Takes the shorter silence of the two channels for the outage."""

    def outage_ns(self, now_ns: int) -> int:
        """See `Ladder`."""
        return max(0, now_ns - max(self._control_ns, self._events_ns))


async def _cut(loop: VirtualLoop, kind: type[Ladder], left: tuple[bool, bool, bool, bool]) -> dict[str, Any]:
    venue = _Venue(loop, timer=left[3])
    ladder = kind(loop.time_ns())
    reached: dict[str, float] = {}

    async def on_rung(rung: Rung) -> None:
        reached.setdefault(rung.name, loop.time())
        if rung < Rung.CANCEL:
            return
        if not (venue.control or venue.other_path):
            raise ConnectionError("no path is left")
        venue.cancel_all()

    dead_man = DeadMan(ladder, on_rung, arm=venue.arm, clock_ns=loop.time_ns)
    running = asyncio.create_task(dead_man.run())

    async def live() -> None:
        while True:
            if venue.control:
                ladder.control_proven(loop.time_ns())
            if venue.events:
                ladder.events_proven(loop.time_ns())
            await asyncio.sleep(PROOF_EVERY_S)

    living = asyncio.create_task(live())
    await asyncio.sleep(STEADY_S)
    quiet = not reached and venue.resting > 0
    cut_s = loop.time()
    venue.control, venue.events, venue.other_path = left[:3]
    await asyncio.sleep(WATCHED_S)
    for task in (running, living):
        task.cancel()
    await asyncio.gather(running, living, return_exceptions=True)
    return {
        "left": list(left),
        "quiet_before": quiet,
        "reduce_only_s": reached.get(Rung.REDUCE_ONLY.name, cut_s + NEVER_S) - cut_s,
        "halted_s": reached.get(Rung.HALTED.name, cut_s + NEVER_S) - cut_s,
        "orders_gone_s": NEVER_S if venue.gone_s is None else venue.gone_s - cut_s,
        "closes": venue.closes,
    }


def _cuts(kind: type[Ladder]) -> list[dict[str, Any]]:
    return [run_virtually(lambda loop, left=left: _cut(loop, kind, left)) for left in CUTS]  # type: ignore[misc]  # bound early


def _observe(context: ProbeContext) -> Facts:
    return {"cuts": _cuts(Ladder), "cores": asyncio.run(_cores(context.scratch))}


async def _cores(folder: Path) -> list[dict[str, Any]]:
    """Two at a time: each drill is three processes."""
    rows: list[dict[str, Any]] = []
    for first in range(0, len(CORES), 2):
        several = CORES[first : first + 2]
        rows += await asyncio.gather(*(_core(folder, *one) for one in several))
    return rows


async def _core(folder: Path, fault: str, purpose: str, protective: int) -> dict[str, Any]:
    return await lost_core.lose(
        folder / f"{fault} {purpose}", fault, purpose=purpose, protective=protective, patience_s=WATCHED_S
    )


def _broken(context: ProbeContext) -> Facts:
    """Both ladders take the shorter silence: the core's, and the watchdog's, which is made faster to be asked
    within seconds.
    """
    folder = context.scratch / "broken"
    row = asyncio.run(lost_core.lose(folder, lost_core.CUT, prelude=PRELUDE, patience_s=MUTANT_PATIENCE_S))
    return {"cuts": _cuts(MinimumOfBoth), "cores": [row]}


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    cuts, cores = facts["cuts"], facts["cores"]
    # A ladder that climbs while everything works cancels for nothing.
    nervous = NEVER_S if not all(row["quiet_before"] for row in cuts) else 0.0
    # Nor may a drill without orders, or one that took protective orders away, count as a cancel in time.
    wrong = any(not row["orders_before"] or row["left"] != row["protective"] for row in cores)
    gone_s = [row["orders_gone_s"] for row in (*cuts, *cores)]
    # A process that is dead or stopped takes no risk at all; of the living ones each tells its own moment.
    alive = [row for row in cores if row["fault"] == lost_core.CUT]
    reduced_s = [row["reduce_only_s"] for row in (*cuts, *alive)]
    return {
        "trigger_s": MeasuredValue(NEVER_S if wrong else max(nervous, *gone_s), "s", len(gone_s)),
        "reduce_only_s": MeasuredValue(
            max(NEVER_S if one is None else one for one in reduced_s), "s", len(reduced_s)
        ),
        "policy_free_market_closes": count(sum(row["closes"] for row in (*cuts, *cores)), len(gone_s)),
    }


dead_man_60s = drill(
    "venue-dead-man-60s",
    observe=_observe,
    broken=_broken,
    summarise=_summarise,
    provenance="emulated",
)
