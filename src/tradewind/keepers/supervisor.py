"""Keeps the workers of a process running: one task each, restarted with back-off, shown to operators.

A worker never takes the platform down. One that fails is made anew after a pause that grows; one whose
identity may not act any more ends, and begins again when the log shows that it may.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec
import structlog

from tradewind.keepers.lock import WorkerLock, WorkerLocked
from tradewind.keepers.worker import Worker, WorkerEnded, WorkerStats
from tradewind.observe.view import WorkerRow
from tradewind.venues.transport.backoff import Backoff, BackoffPolicy

log = structlog.get_logger("tradewind.keepers")

LOOK_S: Final = 0.5
MAX_WORKERS: Final = 64
RESTART_POLICY: Final = BackoffPolicy(base_s=0.5, ceiling_s=30.0, max_attempts=1_000)
Maker = Callable[[], Worker]


class Slot(msgspec.Struct):
    """One worker that is wanted: its task while it runs, and how it fared."""

    make: Maker
    backoff: Backoff
    state: str = "starting"
    detail: str = ""
    restarts: int = 0
    again_s: float = 0.0
    worker: Worker | None = None
    task: asyncio.Task[None] | None = None
    lock: WorkerLock | None = None
    stats: WorkerStats = msgspec.field(default_factory=WorkerStats)


class Supervisor:
    """Runs what `wanted` names. `wanted` is asked twice a second; a name that it drops is stopped."""

    def __init__(self, data: Path, wanted: Callable[[], Mapping[str, Maker]]) -> None:
        self._data, self._wanted = data, wanted
        self.slots: dict[str, Slot] = {}
        self.failure = ""
        """Why the last look failed, empty when it worked."""

    async def run(self) -> None:
        """Until cancelled; then every worker is stopped and every lock given back."""
        try:
            while True:
                try:
                    await self.look()
                    self.failure = ""
                except Exception as error:  # noqa: BLE001 the workers that run go on
                    self.failure = repr(error)
                    log.error("supervisor_failed", error=self.failure)
                await asyncio.sleep(LOOK_S)
        finally:
            await self.stop()

    async def look(self) -> None:
        """Starts, restarts and stops workers so that those that are wanted run."""
        wanted = dict(list(self._wanted().items())[:MAX_WORKERS])
        for name in [known for known in self.slots if known not in wanted]:
            await self._drop(name)
        for name, make in wanted.items():
            slot = self.slots.get(name)
            if slot is None:
                slot = self.slots[name] = Slot(make, Backoff(RESTART_POLICY))
            slot.make = make
            if slot.task is None and time.monotonic() >= slot.again_s:
                self._start(name, slot)

    async def _drop(self, name: str) -> None:
        """A worker that is not wanted any more. One that the engine turned away stays visible."""
        slot = self.slots[name]
        if slot.task is not None:
            # Its next look at its standing ends it with the reason; it gets a moment for that.
            await asyncio.wait([slot.task], timeout=LOOK_S)
        await self._cancel(slot)
        if slot.state != "ended":
            slot.state = "stopped"
        slot.again_s = 0.0

    def _start(self, name: str, slot: Slot) -> None:
        try:
            slot.lock = WorkerLock(self._data, name)
        except WorkerLocked as error:
            slot.state, slot.detail = "elsewhere", str(error)
            slot.again_s = time.monotonic() + 5.0
            return
        slot.worker = slot.make()
        slot.worker.stats = slot.stats
        slot.state, slot.detail = "running", ""
        slot.task = asyncio.create_task(self._guard(name, slot, slot.worker), name=f"keeper-{name}")

    async def _guard(self, name: str, slot: Slot, worker: Worker) -> None:
        try:
            await worker.run()
        except asyncio.CancelledError:
            raise
        except WorkerEnded as end:
            slot.state, slot.detail = "ended", f"{end.code}: {end}"
            slot.again_s = time.monotonic() + 2.0
            log.warning("keeper_ended", worker=name, code=end.code)
        except Exception as error:  # noqa: BLE001 a worker never takes the platform down
            slot.state, slot.detail = "failed", f"{type(error).__name__}: {error}"
            slot.stats.faults += 1
            slot.restarts += 1
            slot.again_s = time.monotonic() + slot.backoff.next_delay_s(time.monotonic())
            log.error("keeper_failed", worker=name, error=slot.detail, restarts=slot.restarts)
        finally:
            slot.task = None
            if slot.lock is not None:
                slot.lock.release()
                slot.lock = None

    async def _cancel(self, slot: Slot) -> None:
        task = slot.task
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def stop(self) -> None:
        """Stops every worker."""
        for slot in self.slots.values():
            await self._cancel(slot)
            if slot.state == "running":
                slot.state = "stopped"

    def rows(self, now_ns: int) -> tuple[WorkerRow, ...]:
        """Every worker for status, health and metrics."""
        return tuple(row_of(name, slot, now_ns) for name, slot in sorted(self.slots.items()))


def row_of(name: str, slot: Slot, now_ns: int) -> WorkerRow:
    """A worker as operators see it."""
    stats = slot.stats
    return WorkerRow(
        name=name,
        state=slot.state,
        detail=slot.detail or stats.note,
        actions=stats.actions,
        accepted=stats.accepted,
        rejected=dict(stats.rejected),
        faults=stats.faults,
        restarts=slot.restarts,
        due=stats.due,
        last_action_age_ms=max(0, now_ns - stats.last_action_ns) // 1_000_000
        if stats.last_action_ns
        else None,
        lag_ms=stats.lag_ns // 1_000_000 if stats.last_action_ns else None,
    )
