"""Facts about the machine without which a figure means nothing. What cannot be found out is None."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any, Final

MEMORY_FILE_SYSTEMS: Final = frozenset({"tmpfs", "ramfs"})


def describe(scratch: Path) -> dict[str, Any]:
    """CPU, cores, memory, kernel, load and the storage under `scratch`, at the start of a run."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1_000_000,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 2),
        "storage": _storage(scratch),
        "build": _build(),
    }


def _cpu_model() -> str | None:
    try:
        match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        return None
    return match[1] if match else platform.machine()


def file_system(path: Path) -> str | None:
    """Type of the file system that holds `path`."""
    try:
        lines = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return None
    mounts = [(line.split()[1], line.split()[2]) for line in lines]
    target = str(path.resolve())
    holders = [
        (len(at), kind) for at, kind in mounts if target == at or target.startswith(at.rstrip("/") + "/")
    ]
    return max(holders)[1] if holders else None


def in_memory(path: Path) -> bool:
    """Whether a sync below `path` reaches no disk."""
    return file_system(path) in MEMORY_FILE_SYSTEMS


def _storage(path: Path) -> str:
    kind = file_system(path) or "unknown file system"
    if kind in MEMORY_FILE_SYSTEMS:
        return f"{kind}: memory only, a sync costs nothing; durable figures mean nothing here"
    return f"{kind}, {_medium(path)}"


def _medium(path: Path) -> str:
    try:
        device = path.stat().st_dev
        base = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
        for candidate in (base / "queue", base / ".." / "queue"):
            flag = candidate / "rotational"
            if flag.exists():
                cache = candidate / "write_cache"
                note = f", write cache: {cache.read_text().strip()}" if cache.exists() else ""
                return (
                    ("rotating" if flag.read_text().strip() == "1" else "solid state")
                    + " by its own word"
                    + note
                )
    except OSError:
        pass
    return "unknown medium"


def _build() -> str:
    """Which compiled module is measured: a figure belongs to one build."""
    from tradewind import __version__
    from tradewind.core.measure import build_digest

    return f"{__version__}, compiled module {build_digest()[:16]}"
