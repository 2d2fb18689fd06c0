"""Liquidation: keepers act on flags in order; without them SYSTEM does; the healthy are left alone."""

from __future__ import annotations

import asyncio

import pytest

from tradewind.core.enums import Side
from tradewind.core.event_types import LiquidationStarted
from tradewind.core.events import Event
from tradewind.core.hashing import account_id
from tradewind.keepers.liquidation import LiquidationWorker
from tradewind.keepers.port import LIQUIDATE, Action, Identity, Outcome
from tradewind.keepers.worker import WorkerEnded

from .keeper_world import DOLLAR, MARKET, OPENING, SECOND_NS, KeeperWorld

SYSTEM = 0xFFFFFFFF
BID = 9_200


class Steps:
    """Who began which step when."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, int]] = []

    def on_event(self, event: Event) -> None:
        if isinstance(event, LiquidationStarted):
            self.rows.append((event.account, event.keeper, event.time_ns))


async def crowded(world: KeeperWorld) -> Steps:
    """Alice and dave are long with little money, bob is short, carol bids for what has to be sold.

    Erin, who can wait, holds most of the open interest: two small liquidations are no cascade (P5.9).
    """
    steps = Steps()
    world.views.views += (steps,)
    await world.account("alice", USD=1_200 * DOLLAR)
    await world.account("dave", USD=1_205 * DOLLAR)
    for name in ("bob", "carol", "erin"):
        await world.account(name, USD=200_000 * DOLLAR)
    for name in ("alice", "dave"):
        await world.order(name, Side.BUY, OPENING, 100_000)
    await world.order("erin", Side.BUY, OPENING, 1_000_000)
    await world.order("bob", Side.SELL, OPENING, 1_200_000)
    await world.order("carol", Side.BUY, BID, 1_500_000)
    return steps


def handle(world: KeeperWorld, name: str) -> int:
    return world.views.accounts.by_owner[world.identities.key(name)].account


async def crash(world: KeeperWorld, steps: Steps | None = None) -> None:
    """Prices fall until both are flagged, the second one within the two seconds that belong to keepers.

    Or until a step of `steps` has begun.
    """
    for ticks in range(OPENING - 20, OPENING - 1_500, -20):
        flagged = len(world.views.duties.liquidations)
        if flagged == 2 or (steps is not None and steps.rows):
            return
        await world.publish(ticks)
        await world.wait(0.05 if flagged else 2)
        await world.publish(ticks)
    raise AssertionError(f"nobody was flagged: {world.views.leverage.markets[MARKET]}")


async def test_a_flagged_position_is_liquidated_by_the_keeper_who_earns(world: KeeperWorld) -> None:
    steps = await crowded(world)
    identity = await world.keeper("keeper_1", LIQUIDATE)
    worker = LiquidationWorker(identity, world.port())
    await worker.step()
    assert (worker.stats.actions, worker.stats.due) == (0, 0)
    await crash(world)
    assert steps.rows == []
    await worker.step()
    assert worker.stats.accepted >= 1, worker.stats
    assert {keeper for _, keeper, _ in steps.rows} == {handle(world, "keeper_1")}
    # The engine's order: alice, who had less money for the same position, comes first.
    assert steps.rows[0][0] == handle(world, "alice")
    assert world.views.keepers.by_account[handle(world, "keeper_1")].rewards > 0


async def test_without_a_keeper_system_liquidates_two_seconds_after_the_flag(world: KeeperWorld) -> None:
    steps = await crowded(world)
    await crash(world)
    flagged_ns = min(one.since_ns for one in world.views.duties.liquidations.values())
    await world.wait_until(flagged_ns + SECOND_NS)
    assert steps.rows == []
    await world.publish(world.views.leverage.markets[MARKET].index)
    await world.wait_until(flagged_ns + 6 * SECOND_NS)
    assert steps.rows
    assert {keeper for _, keeper, _ in steps.rows} == {SYSTEM}
    assert min(time_ns for *_, time_ns in steps.rows) >= flagged_ns + 2 * SECOND_NS


async def test_a_killed_worker_leaves_the_work_to_system(world: KeeperWorld) -> None:
    steps = await crowded(world)
    worker = LiquidationWorker(await world.keeper("keeper_1", LIQUIDATE), world.port())
    task = asyncio.create_task(worker.run())
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await crash(world)
    await world.wait(1)
    await world.publish(world.views.leverage.markets[MARKET].index)
    # In steps: a price that is five seconds old at the next Tick would liquidate nobody.
    for _ in range(4):
        await world.wait(1)
    assert worker.stats.actions == 0
    assert {keeper for _, keeper, _ in steps.rows} == {SYSTEM}


async def test_a_running_worker_is_woken_by_the_flag(world: KeeperWorld) -> None:
    steps = await crowded(world)
    worker = LiquidationWorker(await world.keeper("keeper_1", LIQUIDATE), world.port())
    task = asyncio.create_task(worker.run())
    await crash(world, steps)
    for _ in range(200):
        if steps.rows:
            break
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert {keeper for _, keeper, _ in steps.rows} == {handle(world, "keeper_1")}


async def test_a_restarted_worker_repeats_no_step(world: KeeperWorld) -> None:
    steps = await crowded(world)
    identity = await world.keeper("keeper_1", LIQUIDATE)
    await crash(world)
    (duty, *_) = (await world.port().duties(identity)).liquidations
    sent: list[Action] = []

    class Recording:
        """A port that remembers what was sent."""

        def __init__(self) -> None:
            self.inner = world.port()

        def __getattr__(self, name: str) -> object:
            return getattr(self.inner, name)

        async def send(self, who: Identity, action: Action) -> Outcome:
            sent.append(action)
            return await self.inner.send(who, action)

    port = Recording()
    await LiquidationWorker(identity, port).step()  # type: ignore[arg-type]
    count = len(steps.rows)
    # The same attempt again, as a worker would send it that died before the answer came.
    outcome = await world.port().send(identity, sent[0])
    assert outcome.accepted
    assert outcome.duplicate
    assert len(steps.rows) == count
    assert duty.target == account_id(world.identities.key("alice")).hex()


async def test_a_removed_keeper_liquidates_nothing_more(world: KeeperWorld) -> None:
    steps = await crowded(world)
    identity = await world.keeper("keeper_1", LIQUIDATE)
    await crash(world)
    (duty, *_) = (await world.port().duties(identity)).liquidations
    await world.run("RemoveKeeper", "operator", keeper=identity.account)
    worker = LiquidationWorker(identity, world.port())
    with pytest.raises(WorkerEnded):
        await worker.step()
    # Even one that did not look: the engine refuses every later action.
    fields: dict[str, int | bytes] = {"action": 1, "market": MARKET, "target": bytes.fromhex(duty.target)}
    outcome = await world.port().send(identity, Action(command="KeeperAct", fields=fields, key="late"))
    assert (outcome.accepted, outcome.code) == (False, "KEEPER_NOT_REGISTERED")
    assert steps.rows == []


async def test_a_healthy_position_is_refused_and_the_worker_never_tries_it(world: KeeperWorld) -> None:
    await crowded(world)
    identity = await world.keeper("keeper_1", LIQUIDATE)
    worker = LiquidationWorker(identity, world.port())
    await worker.step()
    assert worker.stats.actions == 0
    target = account_id(world.identities.key("alice"))
    fields: dict[str, int | bytes] = {"action": 1, "market": MARKET, "target": target}
    outcome = await world.port().send(identity, Action(command="KeeperAct", fields=fields, key="healthy"))
    assert outcome.code == "POSITION_HEALTHY"
