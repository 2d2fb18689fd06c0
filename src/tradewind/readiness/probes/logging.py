"""logging-files-below-10mb and logging-rotation-works: the diagnostic log under a flood of lines."""

from __future__ import annotations

import gzip
import json
import os
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from tradewind.observe.logs import MAX_FILE_BYTES, MAX_TOTAL_BYTES, DiagnosticLog
from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.drill import Facts, drill
from tradewind.readiness.record import MeasuredValue

LINE_BYTES: Final = 1_024
FLOOD_BYTES: Final = 28 << 20
SMALL_FILE_BYTES: Final = 1 << 20
SMALL_QUOTA_BYTES: Final = 4 << 20
SMALL_FLOOD_BYTES: Final = 16 << 20
WRITERS: Final = 8
LINES_PER_WRITER: Final = 4_000
ROTATING_FILE_BYTES: Final = 64 << 10
MAX_WAITING: Final = 2_000
PATIENCE_S: Final = 30.0


class _Load:
    """Lines into one log, never faster than it writes: what the bounded queue drops is another matter."""

    def __init__(self, sink: DiagnosticLog) -> None:
        self.sink = sink
        self._lock = threading.Lock()
        self._given_bytes = 0

    def put(self, line: bytes) -> None:
        with self._lock:
            self._given_bytes += len(line) + 1
        self.sink.put(line)
        deadline_s = time.monotonic() + PATIENCE_S
        while self._given_bytes - self.sink.bytes_written > MAX_WAITING * LINE_BYTES:
            if time.monotonic() > deadline_s:
                raise CannotMeasureError("the diagnostic log stopped writing")
            time.sleep(0.001)


def _flood(folder: Path, total_bytes: int, quota_bytes: int, **limits: int) -> dict[str, Any]:
    """Writes ``total_bytes`` and looks at the folder all the time."""
    sink = DiagnosticLog(folder, **limits)
    load = _Load(sink)
    largest, over, looks = 0, 0, 0
    for number in range(total_bytes // LINE_BYTES):
        load.put(secrets.token_hex(LINE_BYTES // 2 - 1).encode())
        if number % 200 == 0:
            sizes = _sizes(folder)
            largest = max(largest, *(size for name, size in sizes.items() if not name.endswith(".gz")), 0)
            over, looks = max(over, sum(sizes.values()) - quota_bytes), looks + 1
    sink.close()
    sizes = _sizes(folder)
    largest = max(largest, *(size for name, size in sizes.items() if not name.endswith(".gz")), 0)
    over, looks = max(over, sum(sizes.values()) - quota_bytes), looks + 1
    return {
        "largest_active_bytes": largest,
        "bytes_over_quota": over,
        "looks": looks,
        "files": len(sizes),
        "written_bytes": sink.bytes_written,
    }


def _sizes(folder: Path) -> dict[str, int]:
    sizes = {}
    for entry in os.scandir(folder):
        try:
            sizes[entry.name] = entry.stat().st_size
        except FileNotFoundError:
            continue  # rotated away between listing and looking
    return sizes


def _observe_sizes(context: ProbeContext, **limits: int) -> Facts:
    """The log as it is shipped, and one with a small quota which the flood exceeds many times."""
    shipped = _flood(context.scratch / "shipped", FLOOD_BYTES, MAX_TOTAL_BYTES, **limits)
    small_limits = {"max_file_bytes": SMALL_FILE_BYTES, "max_total_bytes": SMALL_QUOTA_BYTES, **limits}
    small = _flood(context.scratch / "small", SMALL_FLOOD_BYTES, SMALL_QUOTA_BYTES, **small_limits)
    return {"shipped": shipped, "small": small, "shipped_limit_bytes": MAX_FILE_BYTES}


def _summarise_sizes(facts: Facts) -> Mapping[str, MeasuredValue]:
    shipped, small = facts["shipped"], facts["small"]
    looks = shipped["looks"] + small["looks"]
    over = max(0, shipped["bytes_over_quota"], small["bytes_over_quota"])
    return {
        "max_log_file_mb": MeasuredValue(shipped["largest_active_bytes"] / 1e6, "MB", shipped["looks"]),
        "bytes_over_quota": MeasuredValue(over, "bytes", looks),
    }


file_sizes = drill(
    "logging-files-below-10mb",
    observe=_observe_sizes,
    broken=lambda context: _observe_sizes(context, max_file_bytes=1 << 40),
    summarise=_summarise_sizes,
)


class _CopyAndTruncate:
    """What an outside rotation does that does not know the writer: it copies at one moment and cuts later."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._current = folder / "tradewind.jsonl"
        self._copied_bytes = 0

    def copy(self) -> None:
        self._wait_for_growth()
        target = self._folder / "tradewind-000001.jsonl.gz"
        content = self._current.read_bytes()
        target.write_bytes(gzip.compress(content))
        self._copied_bytes = len(content)

    def cut(self) -> None:
        # What the writer wrote between copy and cut is what gets lost; wait until there is some.
        self._wait_for_growth()
        os.truncate(self._current, 0)

    def _wait_for_growth(self) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not self._current.exists() or self._current.stat().st_size <= self._copied_bytes:
            if time.monotonic() > deadline_s:
                raise CannotMeasureError("the diagnostic log stopped writing")
            time.sleep(0.001)


def _write_concurrently(sink: DiagnosticLog, outside: _CopyAndTruncate | None) -> None:
    """All writers meet after a half and after three quarters of their lines: the outside acts there."""
    load = _Load(sink)
    failures: list[Exception] = []
    meetings = {
        LINES_PER_WRITER // 2: threading.Barrier(WRITERS, outside.copy if outside else None),
        LINES_PER_WRITER * 3 // 4: threading.Barrier(WRITERS, outside.cut if outside else None),
    }

    def write(writer: int) -> None:
        try:
            for number in range(LINES_PER_WRITER):
                if number in meetings:
                    meetings[number].wait(PATIENCE_S * 2)
                load.put(json.dumps({"writer": writer, "number": number, "fill": "x" * 200}).encode())
        except (CannotMeasureError, threading.BrokenBarrierError) as error:
            failures.append(error)
            for meeting in meetings.values():
                meeting.abort()

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise CannotMeasureError(f"a writer of the diagnostic log stopped: {failures[0]}")


def _found_lines(folder: Path) -> Counter[tuple[int, int]]:
    found: Counter[tuple[int, int]] = Counter()
    for path in folder.iterdir():
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        for line in content.splitlines():
            try:
                fields = json.loads(line)
                found[fields["writer"], fields["number"]] += 1
            except (ValueError, KeyError):
                found[-1, -1] += 1  # a torn line is a line that nobody wrote
    return found


def _stale_handles(folder: Path) -> list[str]:
    """Open files of this process below ``folder`` that are no longer the current log."""
    handles = []
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if target.startswith(str(folder)) and target != str(folder / "tradewind.jsonl"):
            handles.append(target)
    return handles


def _observe_rotation(
    context: ProbeContext,
    outside: Callable[[Path], _CopyAndTruncate] | None = None,
    max_file_bytes: int = ROTATING_FILE_BYTES,
) -> Facts:
    folder = context.scratch / "logs"
    sink = DiagnosticLog(folder, max_file_bytes=max_file_bytes)
    try:
        _write_concurrently(sink, outside(folder) if outside else None)
        # The writer works the queue off; only then can a kept handle be told from one in use.
        time.sleep(0.2)
        stale = _stale_handles(folder)
    finally:
        sink.close()
    found = _found_lines(folder)
    expected = {(writer, number) for writer in range(WRITERS) for number in range(LINES_PER_WRITER)}
    return {
        "written": len(expected),
        "lost": len(expected - set(found)),
        "duplicated": sum(times - 1 for times in found.values()) + found[-1, -1],
        "dropped_by_the_queue": sink.dropped,
        "files": len(list(folder.iterdir())),
        "stale_handles": stale,
    }


def _summarise_rotation(facts: Facts) -> Mapping[str, MeasuredValue]:
    return {
        "lines_lost": count(facts["lost"], facts["written"]),
        "lines_duplicated": count(facts["duplicated"], facts["written"]),
        "stale_handles": count(len(facts["stale_handles"]), facts["files"]),
    }


rotation = drill(
    "logging-rotation-works",
    observe=_observe_rotation,
    broken=lambda context: _observe_rotation(context, _CopyAndTruncate, 1 << 40),
    summarise=_summarise_rotation,
)
