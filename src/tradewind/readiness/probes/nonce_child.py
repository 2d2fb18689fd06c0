"""Helper process of `venue_nonce`: gives out nonces of one key from several threads until it is killed.

Usage: python -m tradewind.readiness.probes.nonce_child FOLDER THREADS WALL_OFFSET_S [UNIT]. Prints nonce, 1
if the mark on the disk covers it, and the thread; exit status 75 when another process has the key.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

from tradewind.venues.transport.lease import KeyBusy, KeyLock
from tradewind.venues.transport.nonce import NonceAllocator, NonceClock, NonceUnit, read_mark


def main(folder: str, threads: str, offset_s: str, unit: str = "us") -> int:
    """See the module."""
    begin_s = time.monotonic()
    path = Path(folder) / "key.nonce"
    try:
        lock = KeyLock(Path(folder), "key")
    except KeyBusy as busy:
        print(f"{busy} after {time.monotonic() - begin_s:.3f}")
        return busy.status
    assert lock.held
    offset_ns = int(offset_s) * 10**9
    clock = NonceClock(wall_ns=lambda: time.time_ns() + offset_ns)
    nonces = NonceAllocator.open(path, NonceUnit(unit), used=path.exists(), clock=clock)
    emit = threading.Lock()

    def give(number: int) -> None:
        while True:
            with emit:
                nonce = nonces.next()
                mark = read_mark(path)
                covered = mark is not None and nonce <= mark.high_water
                os.write(1, f"{nonce} {int(covered)} {number}\n".encode())

    for number in range(int(threads)):
        threading.Thread(target=give, args=(number,), daemon=True).start()
    threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
