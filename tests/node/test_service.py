"""Group commit, publication, fail-stop, timers, snapshots: on real journals in temporary directories."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from exchange_world import START_NS, World, genesis
from node_world import QUIET, ManualClock, Starter

from tradewind import _core
from tradewind.core import errors, journal
from tradewind.core.enums import Side
from tradewind.core.event_types import StateHashed, SwitchFired
from tradewind.core.events import decode_events, decode_notes
from tradewind.node.errors import NodeStopped, NoGenesis, QueueFull, SpaceReserved
from tradewind.node.service import NodeService, NodeState
from tradewind.node.subscriptions import SlowPolicy

HOUR_NS = 3_600 * 10**9


async def test_answers_come_in_order_and_only_for_durable_commands(start: Starter, world: World) -> None:
    node = await start()
    results = await node.submit(world.setup())
    assert [result.seq for result in results] == list(range(1, len(results) + 1))
    assert all(result.accepted for result in results)
    assert journal.verify(node.journal_path).last_seq == results[-1].seq


async def test_many_submitters_share_blocks_and_each_gets_its_own_answer(
    start: Starter, world: World
) -> None:
    node = await start()
    await node.submit(world.setup(20))
    before = node.blocks_committed
    answers = await asyncio.gather(
        *(node.submit([world.order(n % 20, Side.BUY, 5_000_000 + n, 1)] * (1 + n % 3)) for n in range(300))
    )
    assert node.blocks_committed - before < 100
    by_seq = sorted((result.seq, number) for number, answer in enumerate(answers) for result in answer)
    assert [number for _, number in by_seq] == [n for n in range(300) for _ in range(1 + n % 3)]
    for answer in answers:
        assert answer[0].accepted and not answer[0].duplicate
        assert all(result.duplicate and result.value == answer[0].value for result in answer[1:])


async def test_notes_and_commands_travel_in_one_block(start: Starter, world: World) -> None:
    node = await start()
    await node.submit(world.setup())
    block = await node.record(7, 1, b"intent")
    results = await node.submit_with_notes(
        [world.order(0, Side.BUY, 5_000_000, 1)], [(7, 2, b"sent"), (8, 1, b"")]
    )
    assert results[0].accepted
    found = {batch.block: list(decode_notes(batch.notes)) for batch in journal.batches(node.journal_path)}
    assert [(note.stream, note.kind, note.payload) for note in found[block]] == [(7, 1, b"intent")]
    assert [(note.stream, note.kind, note.payload) for note in found[block + 1]] == [
        (7, 2, b"sent"),
        (8, 1, b""),
    ]


async def test_restart_continues_where_the_log_ends(start: Starter, world: World) -> None:
    node = await start()
    await node.submit(world.setup())
    await node.submit([world.order(0, Side.SELL, 6_000_000, 5)])
    hashes, head = await node.state_hashes(), node.head()
    await node.close()
    again = await start()
    assert not again.open_report["created"] and again.open_report["replayed_commands"] == head["last_seq"]
    assert await again.state_hashes() == hashes
    [result] = await again.submit([world.order(1, Side.BUY, 6_000_000, 5)])
    assert result.seq == head["last_seq"] + 1
    replayed = journal.replay(again.journal_path)
    assert (replayed.state_hash, replayed.cursor_hash) == await again.state_hashes()


async def test_second_node_on_one_directory_is_refused_at_once(start: Starter, tmp_path: Path) -> None:
    await start()
    with pytest.raises(errors.JournalLocked) as caught:
        await NodeService.start(tmp_path / "data", genesis=genesis(), reserve_bytes=0)
    assert caught.value.pid == os.getpid() and caught.value.retryable
    program = f"from tradewind import _core; _core.Node.open({str(tmp_path / 'data' / 'journal')!r})"
    arguments = [sys.executable, "-c", program]
    done = await asyncio.to_thread(subprocess.run, arguments, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "JournalLocked" in done.stderr


async def test_directory_is_free_again_after_closing(start: Starter) -> None:
    await (await start()).close()
    assert (await start()).state is NodeState.RUNNING


async def test_without_journal_and_genesis_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(NoGenesis, match="holds no journal"):
        await NodeService.start(tmp_path / "nothing")


async def test_bad_frames_are_refused_before_they_reach_a_block(start: Starter, world: World) -> None:
    node = await start()
    await node.submit(world.setup())
    order = world.order(0, Side.BUY, 5_000_000, 1)
    for frame in (order[:-1], order + b"\0", b""):
        with pytest.raises(errors.MalformedFrame):
            await node.submit(frame)
    with pytest.raises(errors.CapacityExceeded) as caught:
        await node.submit(order * (QUIET.batch_commands + 1))
    assert caught.value.bound == QUIET.batch_commands
    assert (await node.submit(order))[0].accepted and node.state is NodeState.RUNNING


async def test_unknown_records_are_rejected_one_by_one_and_leave_the_state(
    start: Starter, world: World
) -> None:
    node = await start()
    await node.submit(world.setup())
    state, _ = await node.state_hashes()
    order = bytearray(world.order(0, Side.BUY, 5_000_000, 1))
    damaged = []
    for offset, value in ((0, 0x7F), (1, 9), (2, 1), (24, 0xEE), (26, 5), (30, 1)):
        frame = bytearray(order)
        frame[offset] = value
        damaged.append(bytes(frame))
    results = await node.submit(damaged)
    assert [result.name for result in results] == [
        "INVALID_TYPE_TAG",
        "UNSUPPORTED_VERSION",
        "INVALID_RECORD_LENGTH",
        "UNKNOWN_COMMAND",
        "WRONG_SHARD",
        "RESERVED_NOT_ZERO",
    ]
    assert (await node.state_hashes())[0] == state


async def test_full_queue_refuses_and_never_grows(start: Starter, world: World) -> None:
    node = await start(limits=_with(pending_commands=50))
    await node.submit(world.setup())
    order = world.order(0, Side.BUY, 5_000_000, 1)
    waiting = [asyncio.ensure_future(node.submit(order)) for _ in range(200)]
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, QueueFull)]
    assert refused and all((error.code, error.bound) == (9002, 50) for error in refused)
    assert len(refused) + sum(isinstance(answer, list) for answer in answers) == 200
    with pytest.raises(QueueFull, match="bytes in one note"):
        await node.record(1, 1, bytes(QUIET.note_bytes + 1))


def _with(**changes: object):  # type: ignore[no-untyped-def]
    import msgspec

    return msgspec.structs.replace(QUIET, **changes)


async def test_clock_that_steps_back_does_not_move_the_log_back(
    start: Starter, world: World, clock: ManualClock
) -> None:
    node = await start()
    await node.submit(world.setup())
    clock.now_ns = START_NS - 10 * HOUR_NS
    assert (await node.submit([world.order(0, Side.BUY, 5_000_000, 1)]))[0].accepted
    assert node.clock_behind_ns > 9 * HOUR_NS
    times = [batch.time_ns for batch in journal.batches(node.journal_path)]
    assert times == sorted(times)


async def test_clock_that_jumps_ahead_is_recorded_as_an_advance(
    start: Starter, world: World, clock: ManualClock
) -> None:
    node = await start()
    await node.submit(world.setup())
    clock.now_ns += 5 * HOUR_NS
    [result] = await node.submit([world.order(0, Side.BUY, 5_000_000, 1)])
    assert result.accepted
    names = [
        type(event).__name__ for batch in journal.batches(node.journal_path) for event in decode_events(batch)
    ]
    assert names.count("TimeAdvanced") == 1


async def test_timers_fire_by_tick_when_they_are_due(
    start: Starter, world: World, clock: ManualClock
) -> None:
    from exchange_world import owner_key

    from tradewind.core import commands

    node = await start()
    await node.submit(world.setup())
    switch = commands.set_cancel_all_after(
        principal=owner_key(0), account=world.account(0), client_key=world.key(), window_s=5
    )
    await node.submit([world.order(0, Side.BUY, 5_000_000, 1), switch])
    subscription = node.subscribe(name="watch")
    clock.now_ns += 6 * 10**9
    batch = await asyncio.wait_for(anext(subscription), 10)
    assert any(isinstance(event, SwitchFired) for event in decode_events(batch))
    assert node.clock_problem is None


async def test_idle_log_shows_a_heartbeat(start: Starter) -> None:
    node = await start(limits=_with(heartbeat_s=0.05))
    subscription = node.subscribe(name="watch")
    first, second = [await asyncio.wait_for(anext(subscription), 10) for _ in range(2)]
    assert second.first_seq == first.last_seq + 1


async def test_snapshot_shortens_recovery_and_a_damaged_one_is_put_aside(
    start: Starter, world: World
) -> None:
    node = await start()
    await node.submit(world.setup())
    first = await node.snapshot()
    await node.submit([world.order(0, Side.BUY, 5_000_000, 1)])
    second = await node.snapshot()
    await node.submit([world.order(0, Side.BUY, 5_000_001, 1)])
    hashes = await node.state_hashes()
    await node.close()
    assert [file.seq for file in journal.snapshots(node.journal_path)] == [second["seq"], first["seq"]]
    again = await start()
    assert again.open_report["snapshot_seq"] == second["seq"] and again.open_report["replayed_commands"] == 1
    await again.close()
    damaged = bytearray(second["path"].read_bytes())
    damaged[len(damaged) // 2] ^= 1
    second["path"].write_bytes(damaged)
    last = await start()
    assert last.open_report["snapshot_seq"] == first["seq"]
    assert len(last.open_report["rejected_snapshots"]) == 1
    assert await last.state_hashes() == hashes


async def test_snapshots_and_state_hashes_are_taken_by_count(start: Starter, world: World) -> None:
    node = await start(
        limits=_with(snapshot_commands=20, snapshot_spacing_s=0.0, checkpoint_blocks=5, tick_interval_s=0.01)
    )
    await node.submit(world.setup())
    for number in range(40):
        await node.submit([world.order(0, Side.BUY, 5_000_000 + number, 1)])
        await asyncio.sleep(0.01)
    await node.close()
    assert journal.snapshots(node.journal_path)
    events = [event for batch in journal.batches(node.journal_path) for event in decode_events(batch)]
    assert any(isinstance(event, StateHashed) for event in events)
    assert journal.replay(node.journal_path).hashes_compared >= 2


async def test_subscribers_get_every_batch_once_in_order_across_a_restart(
    start: Starter, world: World
) -> None:
    node = await start()
    await node.submit(world.setup())
    subscription = node.subscribe(name="reader", from_seq=1)
    seen = [(await anext(subscription)).last_seq]
    for number in range(10):
        await node.submit([world.order(0, Side.BUY, 5_000_000 + number, 1)])
    for _ in range(5):
        batch = await anext(subscription)
        assert batch.first_seq == seen[-1] + 1
        seen.append(batch.last_seq)
    await node.close()
    again = await start()
    await again.submit([world.order(1, Side.BUY, 5_000_000, 1)])
    resumed = again.subscribe(name="reader", from_seq=seen[-1] + 1)
    while resumed.next_seq < again.next_seq:
        batch = await anext(resumed)
        assert batch.first_seq == seen[-1] + 1
        seen.append(batch.last_seq)
    assert seen[-1] == again.head()["last_seq"]


async def test_slow_subscriber_catches_up_from_the_log_without_gap_or_double(
    start: Starter, world: World
) -> None:
    node = await start()
    await node.submit(world.setup())
    slow = node.subscribe(name="slow", bound=3)
    first = node.next_seq
    for number in range(25):
        await node.submit([world.order(0, Side.BUY, 5_000_000 + number, 1)])
    expected = first
    while slow.next_seq < node.next_seq:
        batch = await anext(slow)
        assert batch.first_seq == expected
        expected = batch.last_seq + 1
        if batch.first_seq % 4 == 0:
            await node.submit([world.order(1, Side.BUY, 4_000_000 + batch.first_seq, 1)])
    assert slow.catch_ups >= 1
    [live] = await node.submit([world.order(0, Side.BUY, 5_100_000, 1)])
    assert (await anext(slow)).first_seq == live.seq == expected


async def test_slow_subscriber_is_disconnected_when_it_asked_for_that(start: Starter, world: World) -> None:
    node = await start()
    await node.submit(world.setup())
    slow = node.subscribe(name="slow", bound=2, policy=SlowPolicy.DISCONNECT)
    first = node.next_seq
    for number in range(5):
        await node.submit([world.order(0, Side.BUY, 5_000_000 + number, 1)])
    assert [(await anext(slow)).first_seq for _ in range(2)] == [first, first + 1]
    with pytest.raises(_core.TradewindError) as caught:
        await anext(slow)
    assert caught.value.name == "SLOW_CONSUMER" and caught.value.next_seq == first + 2  # type: ignore[attr-defined]


async def test_attached_callback_sees_the_effect_before_the_submitter_hears_of_it(
    start: Starter, world: World
) -> None:
    node = await start()
    await node.submit(world.setup())
    seen: list[int] = []
    await node.attach(lambda batch: seen.append(batch.last_seq), name="view")
    assert seen == [node.head()["last_seq"]]
    for number in range(20):
        [result] = await node.submit([world.order(0, Side.BUY, 5_000_000 + number, 1)])
        assert seen[-1] == result.seq
    assert seen[1:] == list(range(seen[0] + 1, seen[0] + 21))


async def test_callback_that_fails_is_detached_and_the_log_goes_on(start: Starter, world: World) -> None:
    node = await start()

    def broken(batch: _core.Batch) -> None:
        raise ValueError("no")

    await node.attach(broken, name="broken")
    assert (await node.submit(world.setup()))[0].accepted
    assert node.detached == {"broken": "ValueError: no"} and not node.healthy
    assert node.state is NodeState.RUNNING
    with pytest.raises(ValueError, match="in the future"):
        node.subscribe(name="x", from_seq=node.next_seq + 1)


async def test_closing_writes_what_waits_and_refuses_the_rest(start: Starter, world: World) -> None:
    node = await start()
    await node.submit(world.setup())
    subscription = node.subscribe(name="reader")
    waiting = [
        asyncio.ensure_future(node.submit([world.order(0, Side.BUY, 5_000_000 + n, 1)])) for n in range(50)
    ]
    await asyncio.sleep(0)
    await node.close()
    answers = await asyncio.gather(*waiting)
    assert all(answer[0].accepted for answer in answers)
    assert journal.verify(node.journal_path).last_seq == answers[-1][0].seq
    with pytest.raises(NodeStopped):
        await node.submit([world.order(0, Side.BUY, 5_000_000, 1)])
    handed_out = [batch.last_seq async for batch in subscription]
    assert handed_out[-1] == answers[-1][0].seq


async def test_little_space_lets_only_cancels_and_reductions_through(start: Starter, world: World) -> None:
    node = await start(limits=_with(space_interval_s=0.01))
    await node.submit(world.setup())
    [order] = await node.submit([world.order(0, Side.BUY, 5_000_000, 1)])
    node.limits = _with(space_interval_s=0.01, space_reserved_bytes=1 << 60)
    for _ in range(200):
        await asyncio.sleep(0.01)
        if node.state is NodeState.REDUCE_ONLY:
            break
    assert node.state is NodeState.REDUCE_ONLY and not node.healthy
    with pytest.raises(SpaceReserved) as caught:
        await node.submit([world.cancel(0, order.value), world.order(0, Side.BUY, 5_000_000, 1)])
    assert caught.value.code == 9001
    assert (await node.submit([world.cancel(0, order.value)]))[0].accepted
    assert await node.record(1, 1, b"closing record") >= 0
