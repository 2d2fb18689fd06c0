"""Suite `nonce`: allocation and persistence of one venue key's nonces (trading T3.12).

Informational: a venue's private REST takes one call a second. What counts is that none is repeated or goes
back and that the nonces stay near the clock.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any, Final

from tradewind.lab.bench.context import Context, Figures, MeasureFailed, per_second
from tradewind.venues.transport.nonce import NonceAllocator, NonceUnit, read_mark

LOOK_EVERY: Final = 1_000
THREADS: Final = 4
UNIT: Final = NonceUnit.US


def _take(nonces: NonceAllocator, until_ns: int, found: dict[str, Any]) -> None:
    """Takes nonces until the moment; notes how many, how often one did not grow, how far ahead they got."""
    last, count, wrong, ahead_s = 0, 0, 0, 0.0
    while True:
        nonce = nonces.next()
        wrong += nonce <= last
        last = nonce
        count += 1
        if count % LOOK_EVERY == 0:
            ahead_s = max(ahead_s, nonces.ahead_s)
            if time.monotonic_ns() >= until_ns:
                break
    found.update(count=count, wrong=wrong, ahead_s=ahead_s)


def _measure(folder: Path, threads: int, seconds: float) -> dict[str, Any]:
    nonces = NonceAllocator.open(folder / "scratch.nonce", UNIT, used=False)
    try:
        first = nonces.last
        begin_ns = time.monotonic_ns()
        until_ns = begin_ns + int(seconds * 1e9)
        found: list[dict[str, Any]] = [{} for _ in range(threads)]
        workers = [
            threading.Thread(target=_take, args=(nonces, until_ns, mine), daemon=True) for mine in found
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        elapsed_ns = time.monotonic_ns() - begin_ns
        taken = sum(one["count"] for one in found)
        last = nonces.last
    finally:
        nonces.close()
    mark = read_mark(folder / "scratch.nonce")
    if mark is None or mark.high_water != last:
        raise MeasureFailed("the mark on the disk is not the last nonce after an orderly stop")
    if taken > last - first:
        raise MeasureFailed(f"{taken} nonces cannot all be different between {first} and {last}")
    return {
        "per_second": per_second(taken, elapsed_ns),
        "ahead_s": round(max(one["ahead_s"] for one in found), 3),
        "not_increasing": sum(one["wrong"] for one in found),
        "refills": nonces.refills,
        "waited_for_disk": nonces.sync_refills,
        "seconds": round(elapsed_ns / 1e9, 1),
    }


def run(context: Context) -> Figures:
    """Nonces a second from one thread and from four, and how far they run ahead of the clock."""
    seconds = context.effort.nonce_seconds
    context.tell(f"one key for {seconds} s")
    one = _measure(context.folder("nonce-1"), 1, seconds)
    context.tell(f"the same with {THREADS} threads")
    several = _measure(context.folder("nonce-4"), THREADS, seconds / 2)
    return {"one_thread": one, "four_threads": several}
