"""Facts about the machine and its clocks that an evidence record carries. Unknown stays the word unknown."""

from __future__ import annotations

import getpass
import os
import platform
import re
import time
from pathlib import Path
from typing import Final

from tradewind.readiness.hashing import hash_bytes
from tradewind.readiness.record import Clock, Machine

UNKNOWN: Final = "unknown"


def describe_machine(data_dir: Path) -> Machine:
    """CPU, memory, kernel, storage class of ``data_dir`` and a note on other load."""
    return Machine(
        cpu=_cpu_model(),
        cpu_count=os.cpu_count() or 0,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        kernel=platform.release(),
        storage=_storage_class(data_dir),
        hostname_hash=hash_bytes(platform.node().encode()),
        co_tenants=f"load average {os.getloadavg()[0]:.2f} at the start",
    )


def describe_clock() -> Clock:
    """The clocks of ``wall_ns`` and ``monotonic_ns``; no skew bound is known without a time service."""
    return Clock(wall="CLOCK_REALTIME", monotonic="CLOCK_BOOTTIME", skew_bound_ns=None)


def monotonic_ns() -> int:
    """Nanoseconds since boot, counting suspend."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def operator_identity() -> str:
    """The operating system user that runs the measurement."""
    try:
        return f"{getpass.getuser()} (uid {os.getuid()})"
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _cpu_model() -> str:
    try:
        match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        return UNKNOWN
    return match[1] if match else platform.machine()


def _storage_class(directory: Path) -> str:
    """ "ssd" or "disk" from the kernel's rotational flag of the device that holds ``directory``."""
    try:
        device = directory.stat().st_dev
        base = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
        for candidate in (base / "queue", base / ".." / "queue"):
            flag = candidate / "rotational"
            if flag.exists():
                return "disk" if flag.read_text().strip() == "1" else "ssd"
    except OSError:
        return UNKNOWN
    return UNKNOWN
