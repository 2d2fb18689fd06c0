"""The supervisor: a failure stays inside of its worker, one instance per identity, nothing is left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tradewind.keepers.assemble import LocalWorkers
from tradewind.keepers.lock import WorkerLock, WorkerLocked
from tradewind.keepers.port import CRANK, GENERAL, Action, Duties, Identity, Outcome, Standing
from tradewind.keepers.supervisor import Supervisor
from tradewind.keepers.worker import Attempt, Bucket, Worker

from .keeper_world import KeeperWorld


class QuietPort:
    """A platform where nothing is due."""

    def now_ns(self) -> int:
        return 10**18

    async def duties(self, identity: Identity) -> Duties:
        return Duties(now_ns=10**18, standing=Standing(registered=True, capabilities=GENERAL))

    async def wait(self, timeout_s: float) -> None:
        await asyncio.sleep(0.01)


class Fragile(Worker):
    """Breaks in its first rounds."""

    kind = "fragile"
    breaks = 2

    async def round(self) -> float:
        if Fragile.breaks:
            Fragile.breaks -= 1
            raise RuntimeError("broken")
        self.stats.note = "works"
        return 1.0


def fragile() -> Worker:
    return Fragile(Identity(name="keeper_1", principal=bytes(32)), QuietPort())  # type: ignore[arg-type]


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1_000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")


async def test_a_worker_that_breaks_is_restarted_with_a_pause_and_shown(tmp_path: Path) -> None:
    Fragile.breaks = 2
    supervisor = Supervisor(tmp_path, lambda: {"fragile:keeper_1": fragile})
    task = asyncio.create_task(supervisor.run())
    await until(lambda: bool(supervisor.slots) and supervisor.slots["fragile:keeper_1"].state == "failed")
    (row,) = supervisor.rows(0)
    assert (row.state, row.detail) == ("failed", "RuntimeError: broken")
    await until(lambda: supervisor.slots["fragile:keeper_1"].stats.note == "works")
    (row,) = supervisor.rows(0)
    assert (row.state, row.restarts, row.faults) == ("running", 2, 2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert supervisor.rows(0)[0].state == "stopped"
    WorkerLock(tmp_path, "fragile:keeper_1").release()


async def test_one_instance_per_identity_and_the_lock_ends_with_its_holder(tmp_path: Path) -> None:
    Fragile.breaks = 0
    held = WorkerLock(tmp_path, "fragile:keeper_1")
    with pytest.raises(WorkerLocked, match="runs already in process"):
        WorkerLock(tmp_path, "fragile:keeper_1")
    supervisor = Supervisor(tmp_path, lambda: {"fragile:keeper_1": fragile})
    await supervisor.look()
    assert supervisor.rows(0)[0].state == "elsewhere"
    held.release()
    supervisor.slots["fragile:keeper_1"].again_s = 0.0
    await supervisor.look()
    assert supervisor.rows(0)[0].state == "running"
    await supervisor.stop()


async def test_what_the_supervisor_is_asked_may_fail_without_ending_it(tmp_path: Path) -> None:
    def broken() -> dict[str, Callable[[], Worker]]:
        raise RuntimeError("no views")

    supervisor = Supervisor(tmp_path, broken)
    task = asyncio.create_task(supervisor.run())
    await until(lambda: supervisor.failure != "")
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_workers_follow_registration_and_removal(world: KeeperWorld, tmp_path: Path) -> None:
    workers = LocalWorkers(
        world.views,
        world.identities.public,
        world.port,
        keepers=("keeper_1",),
        sources=("oracle_1",),
        signer=world.identities.signer,
    )
    supervisor = Supervisor(tmp_path, workers.wanted)
    await supervisor.look()
    assert supervisor.rows(0) == ()
    identity = await world.keeper("keeper_1", CRANK)
    task = asyncio.create_task(supervisor.run())
    await until(lambda: [row.state for row in supervisor.rows(0)] == ["running"])
    assert supervisor.rows(0)[0].name == "funding:keeper_1"
    await world.run("RemoveKeeper", "operator", keeper=identity.account)
    await until(lambda: supervisor.rows(0)[0].state == "ended")
    assert supervisor.rows(0)[0].detail.startswith("KEEPER_NOT_REGISTERED")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_the_bucket_allows_its_burst_and_then_its_rate() -> None:
    bucket = Bucket(10.0, 3)
    assert [bucket.wait_s(100.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert bucket.wait_s(100.0) == pytest.approx(0.1)
    assert bucket.wait_s(100.11) == 0.0


async def test_refusals_back_off_and_those_that_name_a_moment_wait_for_it() -> None:
    class Refusing(QuietPort):
        async def send(self, identity: Identity, action: Action) -> Outcome:
            return self.answer

        answer = Outcome(accepted=False, code="POSITION_HEALTHY")

    port = Refusing()
    worker = Fragile(Identity(name="k", principal=bytes(32)), port, uniform=lambda low, high: high)  # type: ignore[arg-type]
    attempt, action = Attempt(0), Action(command="KeeperAct", fields={}, key="k")
    pauses = []
    for _ in range(4):
        await worker.act(attempt, action, 0)
        pauses.append(attempt.again_ns - port.now_ns())
    assert pauses == [100_000_000, 200_000_000, 400_000_000, 800_000_000]
    port.answer = Outcome(accepted=False, code="KEEPER_RATE_LIMITED", bound=port.now_ns() + 5 * 10**9)
    await worker.act(attempt, action, 0)
    assert attempt.again_ns == port.answer.bound + 10_000_000
    assert worker.stats.rejected == {"POSITION_HEALTHY": 4, "KEEPER_RATE_LIMITED": 1}
