"""The trigger worker: it sees waiting orders, finds none overdue, and would notice if one were."""

from __future__ import annotations

from tradewind.core import commands
from tradewind.core.enums import OrderType, Side, TriggerSource
from tradewind.core.hashing import account_id
from tradewind.keepers.port import TRIGGER, Action
from tradewind.keepers.trigger import TriggerWorker

from .keeper_world import DOLLAR, MARKET, OPENING, KeeperWorld


async def stop_order(world: KeeperWorld, side: Side, trigger: int, order_type: OrderType) -> int:
    key = world.identities.key("alice")
    (result,) = await world.submit(
        commands.place_order(
            principal=key, account=account_id(key), client_key=world.key(), market=MARKET, side=side,
            order_type=order_type, lots=100, trigger_price=trigger, trigger_source=TriggerSource.INDEX,
        )
    )  # fmt: skip
    return result.value


async def test_waiting_orders_are_checked_and_fired_ones_are_gone(world: KeeperWorld) -> None:
    await world.account("alice", USD=10_000 * DOLLAR)
    worker = TriggerWorker(await world.keeper("keeper_1", TRIGGER), world.port())
    far = await stop_order(world, Side.BUY, OPENING + 500, OrderType.STOP)
    near = await stop_order(world, Side.BUY, OPENING - 20, OrderType.TAKE_PROFIT)
    waiting = world.views.duties.waiting
    assert {order: one.rising for order, one in waiting.items()} == {far: True, near: False}
    await worker.step()
    assert (worker.stats.due, worker.stats.note) == (0, "2 waiting orders checked")
    for _ in range(3):
        await world.publish(OPENING - 30)
        await world.wait(1)
    assert set(waiting) == {far}
    await worker.step()
    assert (worker.stats.due, worker.stats.actions) == (0, 0)


async def test_an_order_that_should_have_fired_is_reported_after_five_seconds(world: KeeperWorld) -> None:
    await world.account("alice", USD=10_000 * DOLLAR)
    worker = TriggerWorker(await world.keeper("keeper_1", TRIGGER), world.port())
    order = await stop_order(world, Side.BUY, OPENING + 500, OrderType.STOP)
    # The engine never leaves one behind; a view that says otherwise must be noticed.
    world.views.duties.waiting[order].trigger_price = OPENING - 500
    await worker.step()
    assert worker.stats.due == 0
    for _ in range(6):
        await world.publish(OPENING)
        await world.wait(1)
    await worker.step()
    assert worker.stats.due == 1
    assert f"1 overdue: [{order}]" in worker.stats.note


async def test_slices_past_their_moment_are_suspects(world: KeeperWorld) -> None:
    world.views.duties.slices_due_ns[77] = world.clock.now_ns - 6 * 10**9
    world.views.duties.slices_due_ns[78] = world.clock.now_ns
    assert (await world.port().suspects(0)).orders == (77,)


async def test_the_engine_leaves_no_trigger_to_keepers(world: KeeperWorld) -> None:
    identity = await world.keeper("keeper_1", TRIGGER)
    action = Action(command="KeeperAct", fields={"action": 2, "market": MARKET}, key="trigger")
    assert (await world.port().send(identity, action)).code == "NOTHING_DUE"
