"""Diagnostic log: structlog JSON lines in `DATA/logs`, bounded in rate, queue, file size and total (O6.7).

The audit trail is the journal; this log may lose lines, and then says how many. Secrets are redacted before
a line leaves the call.
"""

from __future__ import annotations

import atexit
import contextlib
import gzip
import logging
import os
import queue
import re
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

import msgspec
import structlog

MAX_QUEUED_LINES = 10_000
MAX_FILE_BYTES = 9 << 20
MAX_TOTAL_BYTES = 200 << 20
MAX_LINES_PER_CALL_SITE_S = 10
MAX_CALL_SITES = 4_096
MAX_VALUE_CHARACTERS = 2_000
FILE_NAME = "tradewind.jsonl"
REDACTED = "[redacted]"
ECS_VERSION = "8.11"

_SECRET_NAMES = re.compile(
    r"(?i)(secret|passw|token|api_?key|private|signature|authori[sz]ation|cookie|credential|mnemonic"
    r"|seed_phrase)"
)
_SECRET_VALUES = (
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"),
    re.compile(
        r"(?i)\b(secret|passw(?:or)?d|token|api_?key|signature)\b"
        r"(\s*[=:]\s*)(\"[^\"]*\"|'[^']*'|[^\s,;&]+)"
    ),
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    re.compile(r"://[^/\s:@]+:[^/\s@]+@"),
)
_RENAMED = {
    "event": "message",
    "level": "log.level",
    "logger": "log.logger",
    "timestamp": "@timestamp",
    "trace_id": "trace.id",
    "intent_id": "transaction.id",
    "action": "event.action",
    "code": "error.code",
}


def redact_text(value: str) -> str:
    """Text without what looks like a secret."""
    for pattern in _SECRET_VALUES:
        value = pattern.sub(REDACTED, value)
    return value


def redact(value: Any, depth: int = 0) -> Any:
    """A copy without secrets: by name of the field, and by the look of the text."""
    if isinstance(value, str):
        return redact_text(value)[:MAX_VALUE_CHARACTERS]
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    if isinstance(value, Mapping) and depth < 6:
        return {
            str(name): REDACTED if _SECRET_NAMES.search(str(name)) else redact(one, depth + 1)
            for name, one in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset) and depth < 6:
        return [redact(one, depth + 1) for one in value]
    return (
        value
        if isinstance(value, int | float | bool | None)
        else redact_text(str(value))[:MAX_VALUE_CHARACTERS]
    )


class CallSiteLimit:
    """At most ten lines a second per event name; what was held back is reported with its next line."""

    def __init__(self) -> None:
        self.suppressed = 0
        self._second: dict[str, int] = {}
        self._count: Counter[str] = Counter()
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()

    def admit(self, name: str, now_s: int) -> int | None:
        """Number of lines held back before this one, or None when this one is held back too."""
        with self._lock:
            if len(self._second) >= MAX_CALL_SITES and name not in self._second:
                name = "other"
            if self._second.get(name) != now_s:
                self._second[name], self._count[name] = now_s, 0
            self._count[name] += 1
            if self._count[name] > MAX_LINES_PER_CALL_SITE_S:
                self._held[name] += 1
                self.suppressed += 1
                return None
            return self._held.pop(name, 0)


class LogFile:
    """The files of one directory: the current one, and older ones compressed. Used by one thread."""

    def __init__(self, directory: Path, *, max_file_bytes: int, max_total_bytes: int) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = directory / FILE_NAME
        self._max_file_bytes, self._max_total_bytes = max_file_bytes, max_total_bytes
        self._open()

    def _open(self) -> None:
        self._file = os.fdopen(os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")

    def write(self, lines: bytes) -> None:
        """Append whole lines; a file never grows beyond its bound by more than one call's lines."""
        if self._file.tell() and self._file.tell() + len(lines) > self._max_file_bytes:
            self._rotate()
        self._file.write(lines)
        self._file.flush()

    def _rotate(self) -> None:
        # Room for the next file and, while both exist, for this one and its compressed copy.
        self._make_room(2 * self._max_file_bytes)
        self._file.close()
        older = self.path.with_name(f"tradewind-{time.time_ns()}.jsonl.gz")
        with self.path.open("rb") as source, gzip.open(older, "wb", compresslevel=6) as target:
            shutil.copyfileobj(source, target)
        older.chmod(0o600)
        self.path.unlink()
        self._open()

    def _make_room(self, needed_bytes: int) -> None:
        """Removes the oldest files until the rest and ``needed_bytes`` fit into the total."""
        older = sorted(self.path.parent.glob("tradewind-*.jsonl.gz"))
        total = needed_bytes + sum(one.stat().st_size for one in older)
        for one in older:
            if total <= self._max_total_bytes:
                return
            total -= one.stat().st_size
            one.unlink()

    def close(self) -> None:
        """Close the current file. What a full disk did not take is lost, as the lines before it were."""
        with contextlib.suppress(OSError):
            self._file.close()


class DiagnosticLog:
    """Bounded queue in front of a writer thread; a full queue drops the oldest line and counts it."""

    def __init__(
        self, directory: Path, *, max_file_bytes: int = MAX_FILE_BYTES, max_total_bytes: int = MAX_TOTAL_BYTES
    ) -> None:
        self.dropped = 0
        self.failed_writes = 0
        self.bytes_written = 0
        self.sites = CallSiteLimit()
        self._files = LogFile(directory, max_file_bytes=max_file_bytes, max_total_bytes=max_total_bytes)
        self._queue: queue.Queue[bytes | None] = queue.Queue(MAX_QUEUED_LINES)
        self._reported = 0
        self._thread = threading.Thread(target=self._run, name="tw-log", daemon=True)
        self._thread.start()

    def put(self, line: bytes) -> None:
        """Queue a line; never blocks."""
        while True:
            try:
                self._queue.put_nowait(line)
                return
            except queue.Full:
                try:
                    self._queue.get_nowait()
                    self.dropped += 1
                except queue.Empty:
                    continue

    def _run(self) -> None:
        stopping = False
        while not stopping:
            lines = [self._queue.get()]
            while len(lines) < 512:
                try:
                    lines.append(self._queue.get_nowait())
                except queue.Empty:
                    break
            stopping = None in lines
            self._write([line for line in lines if line is not None])
        self._files.close()

    def _write(self, lines: list[bytes]) -> None:
        if self.dropped > self._reported:
            lost, self._reported = self.dropped - self._reported, self.dropped
            lines.insert(0, msgspec.json.encode({"message": "log_lines_dropped", "labels": {"lines": lost}}))
        block = b"".join(line + b"\n" for line in lines)
        try:
            self._files.write(block)
            self.bytes_written += len(block)
        except OSError:
            # A full disk must not stop trading because of its diagnostics; the count is a metric.
            self.failed_writes += len(lines)

    def close(self) -> None:
        """Write what waits and stop. May be called twice."""
        if self._thread.is_alive():
            while True:
                try:
                    self._queue.put(None, timeout=1)
                    break
                except queue.Full:
                    continue
            self._thread.join(timeout=5)


class _Renderer:
    """Last structlog processor: ECS names, redaction, one JSON line."""

    def __init__(self, sink: DiagnosticLog, service: str) -> None:
        self._sink, self._service = sink, service

    def __call__(self, _: Any, __: str, event: MutableMapping[str, Any]) -> str:
        held = self._sink.sites.admit(str(event.get("event", "")), int(time.time()))
        if held is None:
            raise structlog.DropEvent
        if held:
            event["suppressed_before"] = held
        clean = redact(dict(event))
        line = {_RENAMED[name]: clean.pop(name) for name in _RENAMED if name in clean}
        line["ecs.version"] = ECS_VERSION
        line["service.name"] = self._service
        if clean:
            line["labels"] = clean
        self._sink.put(msgspec.json.encode(line))
        raise structlog.DropEvent


class _Library(logging.Handler):
    """Warnings of libraries (server, event loop) as lines of this log, not on the operator's screen."""

    def emit(self, record: logging.LogRecord) -> None:
        """One line; what cannot be said is dropped, as a handler must never raise."""
        try:
            structlog.get_logger(record.name).log(
                record.levelno, "library_message", text=record.getMessage(), exc_info=record.exc_info
            )
        except Exception:  # noqa: BLE001 diagnostics never stop what they describe
            self.handleError(record)


_current: DiagnosticLog | None = None
_library = _Library(logging.WARNING)


def configure_logs(
    data_dir: Path,
    *,
    level: int = 20,
    service: str = "tradewind",
    max_file_bytes: int = MAX_FILE_BYTES,
    max_total_bytes: int = MAX_TOTAL_BYTES,
) -> DiagnosticLog:
    """Send every structlog line to `data_dir/logs`. A second call replaces the first: there is one writer.

    Raises:
        OSError: the directory cannot be made or written.
    """
    global _current  # noqa: PLW0603  one process-wide log, as structlog's own configuration is
    sink = DiagnosticLog(data_dir / "logs", max_file_bytes=max_file_bytes, max_total_bytes=max_total_bytes)
    if _current is not None:
        _current.close()
    else:
        atexit.register(_close_current)
    _current = sink
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            _Renderer(sink, service),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.ReturnLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    if _library not in logging.getLogger().handlers:
        logging.getLogger().addHandler(_library)
    return sink


def current() -> DiagnosticLog | None:
    """The log of this process, None before `configure_logs`."""
    return _current


def write_to_stderr() -> None:
    """Send every structlog line to standard error, for commands whose output is JSON."""
    # Not a factory of this moment's stream: whoever replaces standard error later still gets the lines.
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))


def _close_current() -> None:
    if _current is not None:
        _current.close()
