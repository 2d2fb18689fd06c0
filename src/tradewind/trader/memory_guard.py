"""Out of memory is seen before it happens (T18): at 80 % of what the process may have no new risk, and an
orderly stop; what restarts it has a budget of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import structlog

log = structlog.get_logger("tradewind.trader.memory")
CGROUP: Final = Path("/sys/fs/cgroup")
SHARE_PCT: Final = 80
CAUSE: Final = "memory"


class Bounds(Protocol):
    """Where the numbers come from: bytes, or None when nobody bounds this process."""

    def used(self) -> int | None: ...

    def limit(self) -> int | None: ...


class Cgroup:
    """The control group of this process, version 2; else the whole machine's memory counts as no bound."""

    def __init__(self, folder: Path = CGROUP, proc: Path = Path("/proc/self/cgroup")) -> None:
        self._folder = folder
        try:
            line = proc.read_text(encoding="ascii").splitlines()[-1]
            own = folder / line.rpartition(":")[2].lstrip("/")
        except (OSError, IndexError):
            own = folder
        if (own / "memory.max").exists():
            self._folder = own

    def used(self) -> int | None:
        """Bytes that count against the limit, without file pages that can be dropped at once."""
        current = self._number("memory.current")
        if current is None:
            return None
        try:
            rows = (self._folder / "memory.stat").read_text(encoding="ascii").splitlines()
            inactive = next(int(row.split()[1]) for row in rows if row.startswith("inactive_file "))
        except (OSError, StopIteration, ValueError, IndexError):
            inactive = 0
        return max(0, current - inactive)

    def limit(self) -> int | None:
        """None: "max", or no control group."""
        return self._number("memory.max")

    def _number(self, name: str) -> int | None:
        try:
            return int((self._folder / name).read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None


class MemoryGuard:
    """Asked once a second. `restrict` stops new risk, `stop` asks for the orderly end; each once."""

    def __init__(self, bounds: Bounds, restrict: Callable[[str], object], stop: Callable[[], object]) -> None:
        self._bounds, self._restrict, self._stop = bounds, restrict, stop
        self.tripped = False

    def look(self) -> bool:
        """Whether the share is reached; the first time new risk is stopped and the end is asked for."""
        used, limit = self._bounds.used(), self._bounds.limit()
        if self.tripped or used is None or limit is None or used * 100 < limit * SHARE_PCT:
            return self.tripped
        self.tripped = True
        text = f"{used} of {limit} bytes are used, {SHARE_PCT} % is the bound"
        log.critical("memory_guard", used=used, limit=limit)
        self._restrict(text)
        self._stop()
        return True
