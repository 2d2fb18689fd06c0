"""A socket of the file system by which tests and drills change a gateway's fault plan while it runs.

One line of JSON for each request, one for each answer:

    {"plan": {"seed": 3, "rules": [{"action": "drop_reply", "times": 1}]}}   -> {"ok": true, "rules": 1}
    {"log": 100}   -> {"ok": true, "done": [...], "counts": {...}}: what was done, the last 100
"""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Any, Final

import msgspec

from .faults import FaultError, FaultPlan, Plan

MAX_LINE_BYTES: Final = 256 * 1_024
MAX_ROWS: Final = 10_000


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    plan: Plan | None = None
    log: int | None = None


def _private_socket(path: Path) -> socket.socket:
    """Bound with the rights that it keeps: nobody else could open it, not even for a moment."""
    listening = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listening.bind(str(path))
    except OSError:
        listening.close()
        raise
    finally:
        os.umask(before)
    return listening


class FaultControl:
    """Listens at a path that only its owner can open."""

    def __init__(self, faults: FaultPlan, path: Path) -> None:
        self.path = path
        self._faults = faults
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Raises `OSError`: the path cannot be used, or something is there."""
        listening = _private_socket(self.path)
        self._server = await asyncio.start_unix_server(self._talk, sock=listening, limit=MAX_LINE_BYTES)

    async def close(self) -> None:
        """Ends the connections and takes the path away. May be called twice."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for writer in tuple(self._writers):
            writer.close()
        await asyncio.to_thread(self.path.unlink, missing_ok=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while line := await reader.readline():
                writer.write(msgspec.json.encode(self._answer(line)) + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = msgspec.json.decode(line, type=_Request)
            if request.plan is not None:
                self._faults.replace(request.plan)
        except (msgspec.DecodeError, FaultError) as error:
            return {"ok": False, "error": str(error)}
        answer: dict[str, Any] = {"ok": True, "rules": len(self._faults.plan.rules)}
        if request.log is not None:
            rows = list(self._faults.log)[-min(max(request.log, 1), MAX_ROWS) :]
            answer |= {"done": rows, "counts": self._faults.counts}
        return answer
