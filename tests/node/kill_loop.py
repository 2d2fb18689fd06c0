"""Kills a submitting process again and again and checks after each kill that nothing acknowledged is lost.

    python tests/node/kill_loop.py 100

The child submits to a real node and writes every acknowledged sequence number to a pipe; the parent kills
it with SIGKILL at a random moment. After each kill the log must verify, hold every acknowledged command, and
replay to the same bytes; the next child goes on where this one stopped. Exit status 0: all runs agree.
"""

from __future__ import annotations

import asyncio
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "core"))

import structlog
from exchange_world import World, genesis

from tradewind.core import journal
from tradewind.core.enums import Side
from tradewind.core.events import decode_results
from tradewind.node.limits import NodeLimits
from tradewind.node.service import NodeService

TRADERS = 8
START_BOUND_S = 60.0


async def child(data_dir: Path, seed: int) -> None:
    """Submits until it is killed; each line on stdout is an acknowledged `sequence code`."""
    # The pipe on stdout is for acknowledgements only.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    limits = NodeLimits(
        snapshot_commands=150,
        snapshot_spacing_s=0.0,
        checkpoint_blocks=20,
        tick_interval_s=0.01,
        space_reserved_bytes=0,
    )
    node = await NodeService.start(
        data_dir, genesis=genesis(time.time_ns()), limits=limits, segment_bytes=1 << 18, reserve_bytes=0
    )
    world = World(next_key=seed << 32)
    if node.next_seq == 1:
        await node.submit(world.setup(TRADERS))
    rng = random.Random(seed)
    print("ready", flush=True)

    async def submit_for_ever(trader: int) -> None:
        while True:
            frame = []
            for _ in range(rng.randint(1, 8)):
                price = 6_000_000 + rng.randint(-50, 50) * 100
                frame.append(world.order(trader, Side(rng.randint(0, 1)), price, rng.randint(1, 20)))
            if rng.random() < 0.3:
                notes = [(1, 1, rng.randbytes(rng.randint(0, 300)))]
                results = await node.submit_with_notes(frame, notes)
            else:
                results = await node.submit(frame)
            os.write(1, "".join(f"{result.seq} {result.code}\n" for result in results).encode())

    await asyncio.gather(*(submit_for_ever(trader) for trader in range(TRADERS)))


@dataclass
class Run:
    """What one kill showed."""

    acknowledged: int
    last_seq: int
    torn: bool


def kill_once(data_dir: Path, seed: int, alive_s: float) -> Run:
    """Starts a child, kills it after `alive_s` seconds, and checks the log.

    Raises:
        AssertionError: something acknowledged is missing or differs. TradewindError: the log is damaged.
    """
    started = [sys.executable, __file__, "--child", str(data_dir), str(seed)]
    with subprocess.Popen(started, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        ready, _, _ = select.select([process.stdout], [], [], START_BOUND_S)
        assert ready, "the child did not start"
        time.sleep(alive_s)
        process.send_signal(signal.SIGKILL)
        output = process.stdout.read().decode()
        errors = process.stderr.read().decode()
    lines = output.splitlines()
    assert lines and lines[0] == "ready", f"the child failed: {errors}"
    # A line cut by the kill was still written after its acknowledgement, but cannot be read.
    whole = lines[1:] if output.endswith("\n") else lines[1:-1]
    acknowledged = dict(tuple(map(int, line.split())) for line in whole)
    return check(data_dir / "journal", acknowledged)


def check(path: Path, acknowledged: dict[int, int]) -> Run:
    """Verifies and replays the log and looks every acknowledged command up."""
    report = journal.verify(path)
    codes = {
        result.seq: result.code for batch in journal.batches(path) for result in decode_results(batch.results)
    }
    missing = {seq: code for seq, code in acknowledged.items() if codes.get(seq) != code}
    assert not missing, f"acknowledged but not in the log: {missing}"
    replayed = journal.replay(path)
    assert replayed.next_seq == (report.last_seq or 0) + 1
    return Run(len(acknowledged), report.last_seq or 0, report.torn_tail is not None)


def loop(count: int, data_dir: Path, seed: int = 1) -> list[Run]:
    """Kills `count` children on one directory. Raises as `kill_once`."""
    rng = random.Random(seed)
    runs = []
    for number in range(count):
        runs.append(kill_once(data_dir, seed * 10_000 + number + 1, rng.uniform(0.0, 0.3)))
    return runs


def main(arguments: list[str]) -> int:
    if arguments and arguments[0] == "--child":
        asyncio.run(child(Path(arguments[1]), int(arguments[2])))
        return 0
    count = int(arguments[0]) if arguments else 100
    with tempfile.TemporaryDirectory() as directory:
        started = time.monotonic()
        runs = loop(count, Path(directory))
        acknowledged = sum(run.acknowledged for run in runs)
        print(
            f"{len(runs)} kills, {acknowledged} commands acknowledged, last sequence {runs[-1].last_seq}, "
            f"{sum(run.torn for run in runs)} torn tails, {time.monotonic() - started:.0f} s: nothing lost"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
