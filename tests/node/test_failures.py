"""The journal cannot write, the tail is torn, the log is damaged: nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from exchange_world import World
from node_world import Starter

from tradewind import _core
from tradewind.core import errors, journal
from tradewind.core.enums import Side
from tradewind.node.errors import NodeStopped
from tradewind.node.service import NodeState

HERE = Path(__file__).parent


def _segments(path: Path) -> list[Path]:
    return sorted(path.glob("*.twj"))


async def _filled(start: Starter, world: World, blocks: int = 12) -> Path:
    """A closed journal with one block per order."""
    node = await start()
    await node.submit(world.setup())
    for number in range(blocks):
        await node.submit([world.order(0, Side.BUY, 5_000_000 + number, 1)])
    await node.close()
    return node.journal_path


def _last_block(path: Path) -> tuple[Path, int, int]:
    """Segment, offset and end of the last block, found by its magic."""
    segment = _segments(path)[-1]
    content = segment.read_bytes()
    offset = content.rfind(b"TWJB")
    return segment, offset, len(content.rstrip(b"\0"))


async def test_torn_last_block_is_cut_and_reported_and_the_rest_stays(start: Starter, world: World) -> None:
    path = await _filled(start, world)
    last_seq = journal.verify(path).last_seq
    segment, offset, end = _last_block(path)
    with segment.open("r+b") as file:
        file.seek(offset + (end - offset) // 2)
        file.write(bytes(end - offset))
    assert journal.verify(path).torn_tail is not None
    node = await start()
    torn = node.open_report["torn_tail"]
    assert torn["offset"] == offset and node.open_report["last_seq"] == last_seq - 1
    [result] = await node.submit([world.order(0, Side.BUY, 5_100_000, 1)])
    assert result.accepted and result.seq == last_seq
    assert journal.replay(path).next_seq == last_seq + 1


@pytest.mark.parametrize("bit", [0, 5])
async def test_flipped_bit_before_the_end_refuses_start_and_names_the_block(
    start: Starter, world: World, tmp_path: Path, bit: int
) -> None:
    path = await _filled(start, world, blocks=6)
    original = _segments(path)[0].read_bytes()
    blocks = [
        position for position in range(0, len(original), 64) if original[position : position + 4] == b"TWJB"
    ]
    for number, position in enumerate(blocks[:-1]):
        copy = tmp_path / f"copy-{number}"
        shutil.copytree(path, copy)
        damaged = bytearray(original)
        damaged[position + 200] ^= 1 << bit
        _segments(copy)[0].write_bytes(damaged)
        with pytest.raises(errors.JournalCorrupt) as caught:
            _core.Node.open(copy)
        assert caught.value.block == number and caught.value.offset == position
        assert caught.value.segment == _segments(copy)[0].name and caught.value.code == 9003
        with pytest.raises(errors.JournalCorrupt):
            journal.verify(copy)
        shutil.rmtree(copy)


RLIMIT_CHILD = """
    import asyncio, resource, signal, sys
    sys.path.insert(0, sys.argv[1])
    from pathlib import Path
    from exchange_world import World, genesis
    from tradewind.core.enums import Side
    from tradewind.node.errors import NodeStopped
    from tradewind.node.limits import NodeLimits
    from tradewind.node.service import NodeService, NodeState

    async def main():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
        limits = NodeLimits(heartbeat_s=3_600.0, space_reserved_bytes=0)
        node = await NodeService.start(
            Path(sys.argv[2]), genesis=genesis(), limits=limits, segment_bytes=1 << 18, reserve_bytes=0
        )
        subscription = node.subscribe(name="reader")
        world = World()
        acked = (await node.submit(world.setup()))[-1].seq
        frames = [[world.order(0, Side.BUY, 5_000_000 + n, 1) for n in range(150)] for _ in range(100)]
        failure = None
        for frame in frames:
            try:
                acked = (await node.submit(frame))[-1].seq
            except NodeStopped as error:
                failure = error
                break
            # Makes the file limit smaller than the next segment.
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 300_000))
        assert failure is not None and node.state is NodeState.STOPPED and node.stop_reason in str(failure)
        for _ in range(3):
            try:
                await node.submit(frames[0])
            except NodeStopped:
                continue
            raise AssertionError("a stopped node took a command")
        seen = 0
        try:
            async for batch in subscription:
                seen = batch.last_seq
            raise AssertionError("the subscription ended without the failure")
        except NodeStopped:
            pass
        assert seen == acked, (seen, acked)
        print(acked, flush=True)
        await node.close()

    asyncio.run(main())
"""


def test_write_that_the_system_refuses_stops_the_node_and_acknowledges_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(RLIMIT_CHILD), str(HERE.parent / "core"), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    acked = int(done.stdout.split()[-1])
    node, report = _core.Node.open(tmp_path / "journal")
    node.close()
    assert report["last_seq"] >= acked
    assert journal.replay(tmp_path / "journal").next_seq == report["last_seq"] + 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    """A file system of two MiB; skipped without the right to mount."""
    mount_point = tmp_path / "small"
    mount_point.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(mount_point)],
            capture_output=True,
            check=False,
        ).returncode
    )
    if not mounted:
        pytest.skip("needs the right to mount a tmpfs")
    yield mount_point
    subprocess.run(["umount", "-l", str(mount_point)], check=True)


async def test_full_disk_stops_the_node_and_what_was_acknowledged_is_there(
    start: Starter, world: World, small_disk: Path
) -> None:
    node = await start(data_dir=small_disk)
    acked = (await node.submit(world.setup()))[-1].seq
    waiting = []
    with pytest.raises(NodeStopped) as caught:
        for number in range(10_000):
            acked = (await node.submit([world.order(0, Side.BUY, 5_000_000 + number, 0)] * 200))[-1].seq
            waiting = [asyncio.ensure_future(node.submit([world.order(1, Side.BUY, 5_000_000, 1)]))]
            acked = max(acked, (await waiting[0])[-1].seq)
    assert "JournalNoSpace" in str(caught.value) and node.state is NodeState.STOPPED
    await node.close()
    report = journal.verify(node.journal_path)
    assert report.last_seq == acked
    assert journal.replay(node.journal_path).next_seq == acked + 1


async def test_reserve_lets_the_closing_commands_through_on_a_full_disk(
    world: World, small_disk: Path, clock
) -> None:  # type: ignore[no-untyped-def]
    from exchange_world import genesis

    from tradewind.node.errors import SpaceReserved
    from tradewind.node.limits import NodeLimits
    from tradewind.node.service import NodeService

    node = await NodeService.start(
        small_disk,
        genesis=genesis(),
        limits=NodeLimits(
            heartbeat_s=3_600.0, space_interval_s=0.02, tick_interval_s=0.02, space_reserved_bytes=0
        ),
        clock=clock,
        segment_bytes=1 << 19,
        reserve_bytes=700_000,
    )
    await node.submit(world.setup())
    [order] = await node.submit([world.order(0, Side.BUY, 5_000_000, 1)])
    refused = None
    for number in range(10_000):
        try:
            await node.submit([world.order(0, Side.BUY, 5_000_000 + number, 0)] * 50)
        except SpaceReserved as error:
            refused = error
            break
        await asyncio.sleep(0.005)
    assert refused is not None and node.state is NodeState.REDUCE_ONLY
    assert (await node.submit([world.cancel(0, order.value)]))[0].accepted
    await node.close()
    assert journal.verify(node.journal_path).torn_tail is None


def test_the_shipped_module_has_no_fault_hooks() -> None:
    assert not hasattr(_core, "set_fault") and not hasattr(_core, "clear_fault")


@pytest.mark.faults
@pytest.mark.parametrize("action", ["fail", "tear"])
@pytest.mark.parametrize("op", ["write", "sync"])
async def test_injected_disk_faults_stop_the_node(start: Starter, world: World, op: str, action: str) -> None:
    node = await start()
    acked = (await node.submit(world.setup()))[-1].seq
    _core.set_fault(node.journal_path, op, action, errno=5, bytes=100)
    with pytest.raises(NodeStopped):
        await node.submit([world.order(0, Side.BUY, 5_000_000, 1)])
    assert _core.clear_fault(node.journal_path)
    with pytest.raises(NodeStopped):
        await node.submit([world.order(0, Side.BUY, 5_000_001, 1)])
    await node.close()
    again = await start()
    assert again.open_report["last_seq"] >= acked


STEP_CHILD = """
    import os, sys
    sys.path.insert(0, sys.argv[1])
    from exchange_world import START_NS, World, genesis
    from tradewind import _core
    from tradewind.core.enums import Side

    path, op, skip, tear = sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
    node = _core.Node.create(path, genesis().encode(), segment_bytes=1 << 16)
    world = World()
    print(node.commit(b"".join(world.setup()), [], START_NS + 1).last_seq, flush=True)
    _core.set_fault(path, op, "abort", skip=skip, bytes=tear)
    for number in range(400):
        frame = b"".join(world.order(0, Side.BUY, 5_000_000 + number * 10 + n, 1) for n in range(5))
        print(node.commit(frame, [(1, 1, b"note")], START_NS + 2 + number).last_seq, flush=True)
        if number % 20 == 19:
            batch, image = node.snapshot(START_NS + 2 + number)
            print(batch.last_seq, flush=True)
            image.write()
    print("the fault did not fire", file=sys.stderr)
"""


@pytest.mark.faults
@pytest.mark.parametrize(
    ("op", "skip", "tear"),
    [
        *(("write", skip, tear) for skip in (0, 1, 5) for tear in (0, 1, 150, 4_000)),
        *(("sync", skip, 0) for skip in (0, 4)),
        *(("create", skip, 0) for skip in (0, 1)),
        *(("sync_dir", skip, 0) for skip in (0, 1, 2)),
        ("allocate", 0, 0),
        *(("rename", skip, 0) for skip in (0, 1)),
    ],
)
def test_process_that_dies_in_any_step_of_a_commit_loses_nothing(
    tmp_path: Path, op: str, skip: int, tear: int
) -> None:
    path = tmp_path / "journal"
    arguments = [str(HERE.parent / "core"), str(path), op, str(skip), str(tear)]
    program = [sys.executable, "-c", textwrap.dedent(STEP_CHILD), *arguments]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode != 0, f"the fault never fired: {done.stderr}"
    acked = int(done.stdout.split()[-1])
    node, report = _core.Node.open(path, segment_bytes=1 << 16)
    assert report["last_seq"] >= acked
    hashes = node.state_hash(), node.cursor_hash()
    node.close()
    replayed = journal.replay(path)
    assert (replayed.state_hash, replayed.cursor_hash) == hashes
    assert journal.verify(path).torn_tail is None
