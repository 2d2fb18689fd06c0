"""venue-nonce-single-lane and venue-nonce-rate: the nonces of one key over kills, clocks, threads and a lane.

Children are killed with SIGKILL while they give out nonces, with their wall clock set by an hour; a second
process asks for the same key; and what a lane sends is read at the other end of a socket.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.drill import Facts, drill
from tradewind.readiness.record import MeasuredValue
from tradewind.venues.limits.verdicts import Priority
from tradewind.venues.transport import durable
from tradewind.venues.transport.lease import EXIT_STATUS, KeyBusy, KeyLock
from tradewind.venues.transport.nonce import NonceAllocator, NonceUnit
from tradewind.venues.transport.private_http import PrivateHttp
from tradewind.venues.transport.signer import Nonce, SignedRequest, SignerLane

CHILD: Final = "tradewind.readiness.probes.nonce_child"
KEY: Final = "key"
THREADS: Final = 3
LINES: Final = (1, 50, 400, 120, 700)
WALL_OFFSETS_S: Final = (0, -3_600, 1, 3_600, -1)
EXIT_TRIES: Final = 3
LANE_CALLS: Final = 200
RATE_S: Final = 1.5
SYNC_S: Final = 0.005
"""A disk that takes so long to sync: on a faster one, or in memory, a sync on every nonce would not show."""
MUTANT_NONCES: Final = 40
NEVER_S: Final = 3_600.0


def _start(folder: Path, threads: int, offset_s: int) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-m", CHILD, str(folder), str(threads), str(offset_s)]
    # The interpreter is ours, the arguments are constants of this probe.
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)  # noqa: S603 - see above


def _killed(folder: Path, lines: int, offset_s: int) -> list[int]:
    """Nonces of a process that was killed in the middle of its work, in the order in which it gave them."""
    with _start(folder, THREADS, offset_s) as child:
        if child.stdout is None:
            raise CannotMeasureError("the child has no output")
        found = [child.stdout.readline() for _ in range(lines)]
        child.send_signal(signal.SIGKILL)
        found += child.stdout.readlines()
    given = [int(line.split()[0]) for line in found if line.endswith("\n")]
    if len(given) < lines:
        raise CannotMeasureError(f"a child gave out {len(given)} nonces instead of {lines}")
    return given


def _incarnations(folder: Path) -> list[int]:
    return [
        nonce
        for lines, offset_s in zip(LINES, WALL_OFFSETS_S, strict=True)
        for nonce in _killed(folder, lines, offset_s)
    ]


def _second_process_s(folder: Path) -> float:
    """Seconds from the start of a second process on a held key to its exit with 75; the best of three."""
    best_s = NEVER_S
    with _start(folder, 1, 0) as holder:
        if holder.stdout is None or not holder.stdout.readline():
            raise CannotMeasureError("the first process gave out no nonce")
        for _ in range(EXIT_TRIES):
            begin_s = time.monotonic()
            with _start(folder, 1, 0) as second:
                status = second.wait(timeout=60)
            if status == EXIT_STATUS:
                best_s = min(best_s, time.monotonic() - begin_s)
        holder.kill()
    return best_s


def _build(nonce: Nonce) -> SignedRequest:
    return SignedRequest(method="POST", target="/", headers={}, body=f"nonce={nonce}".encode())


async def _wire(folder: Path) -> list[int]:
    """Nonces in the order in which they came out of the socket of a lane with many callers."""
    seen: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split()[0])
                seen.append(int((await reader.readexactly(length)).partition(b"=")[2]))
                await asyncio.sleep((len(seen) * 7 % 5) / 5_000)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    lane = SignerLane(
        PrivateHttp(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", max_connections=1),
        lock=KeyLock(folder, "lane"),
        nonces=NonceAllocator.open(folder / "lane.nonce", NonceUnit.US, used=False),
    )
    try:
        calls = (
            lane.call(_build, cls=list(Priority)[number % 6], timeout_s=60) for number in range(LANE_CALLS)
        )
        await asyncio.gather(*calls)
    finally:
        await lane.close()
        server.close()
    return seen


def _generators(folder: Path) -> int:
    """How many allocators of one key this process can have at once."""
    locks: list[KeyLock] = []
    try:
        for _ in range(2):
            locks.append(KeyLock(folder, "twice"))
    except KeyBusy:
        pass
    finally:
        for lock in locks:
            lock.release()
    return len(locks)


def _observe_lane(context: ProbeContext) -> Facts:
    folder = context.scratch / "keys"
    folder.mkdir(parents=True)
    return {
        "processes": _incarnations(folder),
        "wire": asyncio.run(_wire(folder)),
        "generators": _generators(folder),
        "second_process_exit_s": _second_process_s(folder),
    }


def _two_allocators(context: ProbeContext) -> Facts:
    """A second allocator of the same key, without the lock: both go on from the same mark."""
    folder = context.scratch / "keys"
    folder.mkdir(parents=True)
    path, taken = folder / f"{KEY}.nonce", []
    first = NonceAllocator.open(path, NonceUnit.US, used=False, background=False)
    second = NonceAllocator.open(path, NonceUnit.US, used=True, background=False)
    for _ in range(MUTANT_NONCES):
        taken += [second.next(), first.next()]
    return {"processes": taken, "wire": [], "generators": 2, "second_process_exit_s": NEVER_S}


def _not_increasing(nonces: Sequence[int]) -> int:
    return sum(later <= earlier for earlier, later in itertools.pairwise(nonces))


def _summarise_lane(facts: Facts) -> Mapping[str, MeasuredValue]:
    rows = (facts["processes"], facts["wire"])
    samples = sum(len(row) for row in rows)
    return {
        "non_increasing_nonces": count(sum(_not_increasing(row) for row in rows), samples),
        "second_process_exit_s": MeasuredValue(facts["second_process_exit_s"], "s", EXIT_TRIES),
        "nonce_generators": count(facts["generators"], 1),
    }


single_lane = drill(
    "venue-nonce-single-lane",
    observe=_observe_lane,
    broken=_two_allocators,
    summarise=_summarise_lane,
)


class _SlowDisk:
    """Every sync of the nonce files takes five milliseconds longer while this is open."""

    def __enter__(self) -> None:
        self._replace = durable.replace
        honest = self._replace

        def slow(path: Path, data: bytes) -> None:
            time.sleep(SYNC_S)
            honest(path, data)

        durable.replace = slow

    def __exit__(self, *_: object) -> None:
        durable.replace = self._replace


def _rate(folder: Path, each: Callable[[NonceAllocator], None]) -> dict[str, Any]:
    folder.mkdir(parents=True)
    nonces = NonceAllocator.open(folder / f"{KEY}.nonce", NonceUnit.US, used=False)
    taken, wrong, last, ahead_s = 0, 0, 0, 0.0
    begin_s = time.monotonic()
    while time.monotonic() - begin_s < RATE_S:
        nonce = nonces.next()
        each(nonces)
        wrong += nonce <= last
        last, taken = nonce, taken + 1
        if taken % 256 == 0:
            ahead_s = max(ahead_s, nonces.ahead_s)
    elapsed_s = time.monotonic() - begin_s
    ahead_s = max(ahead_s, nonces.ahead_s)
    nonces.close()
    return {"taken": taken, "wrong": wrong, "elapsed_s": elapsed_s, "ahead_s": ahead_s}


def _observe_rate(context: ProbeContext) -> Facts:
    with _SlowDisk():
        return _rate(context.scratch / "rate", lambda _: None)


def _sync_each(context: ProbeContext) -> Facts:
    with _SlowDisk():
        return _rate(context.scratch / "rate", NonceAllocator.refill)


def _summarise_rate(facts: Facts) -> Mapping[str, MeasuredValue]:
    # One that did not grow makes the rate worthless: correctness decides.
    rate = 0.0 if facts["wrong"] else facts["taken"] / facts["elapsed_s"]
    return {
        "nonces_per_s": MeasuredValue(rate, "1/s", facts["taken"]),
        "drift_ahead_of_clock_s": MeasuredValue(facts["ahead_s"], "s", facts["taken"]),
    }


rate = drill(
    "venue-nonce-rate",
    observe=_observe_rate,
    broken=_sync_each,
    summarise=_summarise_rate,
)
