"""Funding: the keeper cranks when the hour is over, once, and SYSTEM does it when nobody did."""

from __future__ import annotations

import pytest

from tradewind.core.event_types import FundingIndexUpdated
from tradewind.core.events import Event
from tradewind.keepers.funding import FundingWorker
from tradewind.keepers.port import CRANK, LIQUIDATE, TRIGGER
from tradewind.keepers.trigger import TriggerWorker
from tradewind.keepers.worker import WorkerEnded

from .keeper_world import HOUR_NS, MARKET, SECOND_NS, KeeperWorld


class Hours:
    """Counts the hours that were charged."""

    def __init__(self) -> None:
        self.moments: list[int] = []

    def on_event(self, event: Event) -> None:
        if isinstance(event, FundingIndexUpdated):
            self.moments.append(event.time_ns)


def hours_of(world: KeeperWorld) -> Hours:
    hours = Hours()
    world.views.views += (hours,)
    return hours


async def test_an_hour_is_cranked_by_the_keeper_when_it_is_over_and_only_once(world: KeeperWorld) -> None:
    hours = hours_of(world)
    worker = FundingWorker(await world.keeper("keeper_1", CRANK), world.port())
    await worker.step()
    assert (worker.stats.actions, worker.stats.due) == (0, 0)
    end_ns = world.views.duties.funding_due_ns[MARKET]
    world.clock.now_ns = end_ns + SECOND_NS
    await worker.step()
    assert (worker.stats.actions, worker.stats.accepted, worker.stats.rejected) == (1, 1, {})
    assert len(hours.moments) == 1
    assert world.views.duties.funding_due_ns[MARKET] == end_ns + HOUR_NS
    await worker.step()
    assert worker.stats.actions == 1
    assert world.views.keepers.by_account[_handle(world, "keeper_1")].actions == 1


def _handle(world: KeeperWorld, name: str) -> int:
    return world.views.accounts.by_owner[world.identities.key(name)].account


async def test_without_a_worker_system_charges_the_hour_two_seconds_later(world: KeeperWorld) -> None:
    hours = hours_of(world)
    await world.keeper("keeper_1", CRANK)
    end_ns = world.views.duties.funding_due_ns[MARKET]
    await world.wait_until(end_ns + SECOND_NS)
    assert hours.moments == []
    await world.wait(1.1)
    assert len(hours.moments) == 1
    assert hours.moments[0] >= end_ns + 2 * SECOND_NS


async def test_a_restarted_worker_repeats_no_crank(world: KeeperWorld) -> None:
    hours = hours_of(world)
    identity = await world.keeper("keeper_1", CRANK)
    world.clock.now_ns = world.views.duties.funding_due_ns[MARKET] + SECOND_NS
    await FundingWorker(identity, world.port()).step()
    again = FundingWorker(identity, world.port())
    await again.step()
    assert len(hours.moments) == 1
    assert again.stats.actions == 0


async def test_of_two_keepers_one_earns_and_the_other_is_not_faulted(world: KeeperWorld) -> None:
    hours = hours_of(world)
    workers = [
        FundingWorker(await world.keeper(name, CRANK), world.port()) for name in ("keeper_1", "keeper_2")
    ]
    world.clock.now_ns = world.views.duties.funding_due_ns[MARKET] + 600_000_000
    for worker in workers:
        await worker.step()
    assert len(hours.moments) == 1
    assert sorted(worker.stats.accepted for worker in workers) == [0, 1]
    assert all(keeper.score_ppm >= 900_000 for keeper in world.views.keepers.by_account.values())


async def test_a_removed_keeper_ends_at_once_with_the_reason(world: KeeperWorld) -> None:
    identity = await world.keeper("keeper_1", CRANK)
    worker = FundingWorker(identity, world.port())
    await worker.step()
    await world.run("RemoveKeeper", "operator", keeper=identity.account)
    with pytest.raises(WorkerEnded) as ended:
        await worker.step()
    assert ended.value.code == "KEEPER_NOT_REGISTERED"
    assert worker.stats.note.startswith("KEEPER_NOT_REGISTERED")


async def test_a_worker_without_the_capability_ends_and_sends_nothing(world: KeeperWorld) -> None:
    worker = FundingWorker(await world.keeper("keeper_1", LIQUIDATE | TRIGGER), world.port())
    with pytest.raises(WorkerEnded) as ended:
        await worker.step()
    assert (ended.value.code, worker.stats.actions) == ("KEEPER_CAPABILITY", 0)


async def test_the_trigger_worker_sends_nothing_and_finds_nothing_overdue(world: KeeperWorld) -> None:
    worker = TriggerWorker(await world.keeper("keeper_1", TRIGGER), world.port())
    before = world.node.next_seq
    await worker.step()
    assert world.node.next_seq == before
    assert (worker.stats.due, worker.stats.actions) == (0, 0)
    assert worker.stats.note == "0 waiting orders checked"
