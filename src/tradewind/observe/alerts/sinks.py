"""Where alerts go. A sink has taken an alert when it says so itself: sent is not delivered (O7.2)."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from .model import Alert

ACCEPTED: Final = 202
TIMEOUT_S: Final = 5.0
MAX_ANSWER_BYTES: Final = 64 << 10
MAX_FILE_BYTES: Final = 10 << 20
"""Then the file is put aside as `.1`, and the one before it goes."""


class SinkError(Exception):
    """The sink has not taken the alert; the text says why, without any secret."""


class Sink(Protocol):
    """One way to people."""

    name: str

    async def deliver(self, alert: Alert) -> None:
        """Returns when the other side has confirmed this alert by its key. Raises `SinkError`."""

    async def beat(self) -> None:
        """The sign of life for a dead-man service. Raises `SinkError`."""

    async def close(self) -> None:
        """Lets go of connections."""


class FileSink:
    """A file of this machine: enough for paper, and the last resort everywhere else."""

    name = "file"

    def __init__(self, path: Path) -> None:
        self.path = path

    async def deliver(self, alert: Alert) -> None:
        """See `Sink`: synced, and read back."""
        line = msgspec.json.encode({"id": alert.id, **msgspec.to_builtins(alert)}) + b"\n"
        try:
            await asyncio.to_thread(self._append, line)
        except OSError as error:
            raise SinkError(f"{self.path}: {error.strerror}") from error

    async def beat(self) -> None:
        """See `Sink`: the file is touched, so that whoever watches it sees that we live."""
        try:
            await asyncio.to_thread(self.path.touch)
        except OSError as error:
            raise SinkError(f"{self.path}: {error.strerror}") from error

    async def close(self) -> None:
        """See `Sink`."""

    def _append(self, line: bytes) -> None:
        if self.path.exists() and self.path.stat().st_size + len(line) > MAX_FILE_BYTES:
            self.path.replace(self.path.with_name(self.path.name + ".1"))
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(handle, line)
            os.fsync(handle)
            end = os.fstat(handle).st_size
            if os.pread(handle, len(line), end - len(line)) != line:
                raise OSError(5, "what was written does not read back")
        finally:
            os.close(handle)


class WebhookSink:
    """POST of an Events v2 document. Taken is status 202 with our own `dedup_key` in the answer."""

    name = "webhook"

    def __init__(self, url: str, *, routing_key: str = "", source: str = "", name: str = "webhook") -> None:
        self._url, self._routing_key, self._source, self.name = url, routing_key, source, name
        self._http: Any = None

    def __repr__(self) -> str:
        return f"WebhookSink({self.name})"

    async def deliver(self, alert: Alert) -> None:
        """See `Sink`."""
        await self._post({"routing_key": self._routing_key, **alert.event(self._source)}, alert.id)

    async def beat(self) -> None:
        """See `Sink`: an event of its own that the dead-man service waits for."""
        body = {
            "routing_key": self._routing_key,
            "event_action": "heartbeat",
            "dedup_key": f"heartbeat {self._source}",
            "payload": {"summary": "the alert path lives", "severity": "info", "source": self._source},
        }
        await self._post(body, str(body["dedup_key"]))

    async def close(self) -> None:
        """See `Sink`."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def _post(self, body: dict[str, Any], key: str) -> None:
        import aiohttp

        if self._http is None:
            self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        try:
            async with self._http.post(
                self._url, data=msgspec.json.encode(body), headers={"Content-Type": "application/json"}
            ) as answer:
                content = await answer.content.read(MAX_ANSWER_BYTES)
                status = answer.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise SinkError(f"{self.name}: {type(error).__name__}") from error
        if status != ACCEPTED:
            raise SinkError(f"{self.name}: status {status}")
        try:
            confirmed = msgspec.json.decode(content).get("dedup_key")
        except (msgspec.DecodeError, AttributeError):
            confirmed = None
        if confirmed != key:
            raise SinkError(f"{self.name}: the answer does not confirm this alert")
