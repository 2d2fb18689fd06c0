"""Checks of the journal: V02, V05, V16, V22, V24. Real journals in the scratch directory."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Final

from tradewind.core import commands as build
from tradewind.core import journal
from tradewind.core.engine import GenesisConfig, Grant
from tradewind.core.enums import Role
from tradewind.core.errors import JournalCorrupt
from tradewind.core.hashing import account_id
from tradewind.lab.preflight.model import CheckFailed, Context, Evidence, require
from tradewind.node.errors import SpaceReserved
from tradewind.node.limits import NodeLimits
from tradewind.node.service import JOURNAL_FOLDER, NodeService

SYSTEM: Final = b"\x01" * 32
OWNER: Final = b"\x02" * 32
YEAR_NS: Final = 365 * 86_400 * 1_000_000_000
KILL_POINTS: Final = (1, 3, 7, 15, 31, 63)
CHILD_DEADLINE_S: Final = 30.0
SCRATCH_SEGMENT_BYTES: Final = 1 << 20


def genesis() -> GenesisConfig:
    """One SYSTEM principal."""
    now_ns = time.time_ns()
    return GenesisConfig(now_ns, [Grant(SYSTEM, Role.SYSTEM, now_ns + YEAR_NS)])


async def scratch_node(data: Path, limits: NodeLimits | None = None) -> NodeService:
    """A node with small files and without a reserve: what is checked does not depend on their size."""
    return await NodeService.start(
        data, genesis=genesis(), limits=limits, segment_bytes=SCRATCH_SEGMENT_BYTES, reserve_bytes=0
    )


def open_owner() -> bytes:
    """The command that opens the owner's account."""
    return build.open_account(principal=SYSTEM, client_key=build.NO_KEY, owner_key=OWNER)


async def journal_round_trip(context: Context) -> Evidence:
    """V02: what is written can be verified and opened again, and a flipped bit is found."""
    data = context.directory("journal")
    async with await scratch_node(data) as node:
        await node.submit(open_owner())
        for number in range(64):
            await node.record(1, 1, f"preflight {number}".encode())
        state_hash, _ = await node.state_hashes()
    path = data / JOURNAL_FOLDER
    context.at("V02.written", path)
    report = journal.verify(path)
    async with await scratch_node(data) as node:
        require((await node.state_hashes())[0] == state_hash, "the reopened journal gives another state")
    damaged = flip_byte(path, report.bytes // 2)
    try:
        journal.verify(path)
    except JournalCorrupt as found:
        return {"blocks": report.blocks, "bytes": report.bytes, "flipped_byte": damaged, "found": str(found)}
    raise CheckFailed(f"the flipped byte {damaged} was not found")


def flip_byte(path: Path, place: int) -> int:
    """Changes one bit of the first segment; returns its offset."""
    segment = min(path.glob("*.twj"))
    with segment.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1]))
    return place


async def exclusive(context: Context) -> Evidence:
    """V05: while one process writes, a second one on the same directory is refused at once."""
    data = context.directory("lock")
    async with await scratch_node(data):
        context.at("V05.locked", data / JOURNAL_FOLDER)
        started = time.perf_counter()
        answer, status = await child(context, "open", str(data))
        refused_ms = int((time.perf_counter() - started) * 1_000)
    require(status == 75, f"the second process was not refused: status {status}, {answer[-200:]}")
    return {"status": status, "refused_after_ms": refused_ms, "answer": answer.strip()}


async def child(context: Context, *arguments: str) -> tuple[str, int]:
    """Runs the helper process to its end: its output and exit status."""
    process = await asyncio.create_subprocess_exec(
        *context.child, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(CHILD_DEADLINE_S):
        output, _ = await process.communicate()
    return output.decode(errors="replace"), process.returncode or 0


async def kill_nine(context: Context) -> Evidence:
    """V16: a process that is killed while it submits has lost nothing that it had acknowledged."""
    found = {}
    for point in KILL_POINTS:
        data = context.directory(f"kill-{point}")
        acknowledged = (await killed_after(context, "submit", data, point))[-1]
        async with await scratch_node(data) as node:
            kept = node.next_seq - 1
            replayed = (await node.state_hashes())[0]
        require(kept >= acknowledged, f"{acknowledged} commands were acknowledged, {kept} are in the log")
        report = await asyncio.to_thread(journal.replay, data / JOURNAL_FOLDER)
        require(report.state_hash == replayed, "replay gives another state than recovery")
        found[str(point)] = {"acknowledged": acknowledged, "in_log": kept}
    return {"kills": found}


async def killed_after(context: Context, work: str, data: Path, count: int) -> list[int]:
    """Starts the helper process and kills it after so many numbers; every number that it printed."""
    process = await asyncio.create_subprocess_exec(
        *context.child, work, str(data), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    numbers = []
    try:
        async with asyncio.timeout(CHILD_DEADLINE_S):
            for _ in range(count):
                line = await process.stdout.readline()
                require(line.strip().isdigit(), f"the helper process ended: {line!r}")
                numbers.append(int(line))
    finally:
        if process.returncode is None:
            process.kill()
        # What it wrote between the last line read and its death counts too.
        rest = (await process.stdout.read()).split(b"\n")[:-1]
        await process.wait()
    return numbers + [int(line) for line in rest]


async def restore(context: Context) -> Evidence:
    """V22: a snapshot and the tail behind it give the state that a replay from the beginning gives."""
    data = context.directory("restore")
    async with await scratch_node(data) as node:
        await node.submit(open_owner())
        snapshot = await node.snapshot()
        for index in (1, 2, 3):
            opened = build.open_sub_account(
                principal=OWNER, account=account_id(OWNER), client_key=bytes([index]) * 16, index=index
            )
            [result] = await node.submit(opened)
            result.expect()
    context.at("V22.snapshot", Path(snapshot["path"]))
    async with await scratch_node(data) as node:
        opened_report = node.open_report
        restored, _ = await node.state_hashes()
    require(
        opened_report["snapshot_seq"] == snapshot["seq"],
        "the snapshot was not used: it is missing or damaged",
    )
    report = await asyncio.to_thread(journal.replay, data / JOURNAL_FOLDER)
    require(report.state_hash == restored, "restored and replayed states differ")
    return {"snapshot_seq": snapshot["seq"], "replayed_tail": opened_report["replayed_commands"]}


async def full_disk(context: Context) -> Evidence:
    """V24: with the disk down to its reserve new risk is refused and cancels go through."""
    data = context.directory("full")
    async with await scratch_node(data) as node:
        await node.submit(open_owner())
    free = os.statvfs(data).f_bavail * os.statvfs(data).f_frsize
    # The reserve is set above what is free: to the node this disk is full, and nothing else of the machine
    # suffers.
    reserve = context.at("V24.reserve", free * 2)
    limits = NodeLimits(space_reserved_bytes=reserve, space_interval_s=0.01)
    async with await scratch_node(data, limits) as node:
        await _until_measured(node)
        deposit = build.deposit(
            principal=SYSTEM, account=account_id(OWNER), asset=0, amount=1, external_id=SYSTEM
        )
        try:
            await node.submit(deposit)
        except SpaceReserved as refused:
            reason = str(refused)
        else:
            raise CheckFailed("new risk was accepted on a full disk")
        [cancelled] = await node.submit(build.cancel_all(principal=OWNER, account=account_id(OWNER)))
        require(cancelled.accepted, f"a cancel was refused on a full disk: {cancelled.name}")
    return {"refused": reason, "cancel_seq": cancelled.seq}


async def _until_measured(node: NodeService) -> None:
    async with asyncio.timeout(CHILD_DEADLINE_S):
        while node.space is None:  # noqa: ASYNC110 the node offers a value, not an event
            await asyncio.sleep(0.01)
