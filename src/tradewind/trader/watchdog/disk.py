"""Files of the watchdog, written in order by a thread of their own: a disk that hangs holds up nobody."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import structlog

log = structlog.get_logger("tradewind.watchdog.disk")
MAX_WAITING: Final = 1_000
"""Writes that the disk has not taken yet; one more is given up and counted."""


class Disk:
    """`do` never waits and never raises; `close` waits for what was handed in."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="watchdog-disk")
        self._waiting = 0
        self.failures = 0

    def do(self, write: Callable[[], object]) -> None:
        """Hands in one write."""
        if self._waiting >= MAX_WAITING:
            self.failures += 1
            return
        self._waiting += 1
        self._thread.submit(write).add_done_callback(self._done)

    def _done(self, done: Future[object]) -> None:
        self._waiting -= 1
        error = done.exception()
        if error is not None:
            self.failures += 1
            log.critical("not_written", reason=str(error)[:200])

    def flush(self) -> None:
        """Waits until everything that was handed in before has been tried."""
        self._thread.submit(lambda: None).result()

    def close(self) -> None:
        """The same, and no more after it."""
        self._thread.shutdown(wait=True)
