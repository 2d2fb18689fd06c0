"""The HTTP server of a running platform: API, console, metrics and health on one loopback port."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import uvicorn

from tradewind.api.app import create_app

if TYPE_CHECKING:
    from tradewind.api.platform import Platform

START_POLL_S: Final = 0.005
GRACE_S: Final = 1
MAX_CONCURRENT: Final = 256


class _QuietServer(uvicorn.Server):
    """Signals belong to the platform, not to the server."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Server:
    """Serves one platform; `start` returns when requests are answered."""

    def __init__(self, platform: Platform, token: str) -> None:
        self.platform = platform
        self.app = create_app(platform.desk, platform.reads, token, _LateKill(platform))
        self._server: _QuietServer | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self, sock: socket.socket) -> None:
        """Answers requests on `sock` from now on."""
        config = uvicorn.Config(
            self.app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=GRACE_S,
            limit_concurrency=MAX_CONCURRENT, server_header=False, ws_max_size=1 << 20,
        )  # fmt: skip
        self._server = _QuietServer(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[sock]), name="http-server")
        while not self._server.started:
            if self._task.done():
                await self._task
            await asyncio.sleep(START_POLL_S)

    async def stop(self) -> None:
        """Closes connections and the port."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await asyncio.gather(self._task, return_exceptions=True)


class _LateKill:
    """The kill switch of a platform whose trader may still be starting."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def _controls(self) -> Any:
        from tradewind.api.problems import ApiFailure

        if self._platform.controls is None:
            raise ApiFailure(503, "TRADER_NOT_RUNNING", "the trader does not run yet", retryable=True)
        return self._platform.controls

    async def halt(self, *, reason: str, actor: str) -> Any:
        """See `Controls.halt`."""
        return await self._controls().halt(reason=reason, actor=actor)

    async def flatten(self, *, reason: str, actor: str) -> Any:
        """See `Controls.flatten`."""
        return await self._controls().flatten(reason=reason, actor=actor)

    async def resume(self, *, reason: str, actor: str) -> Any:
        """See `Controls.resume`."""
        return await self._controls().resume(reason=reason, actor=actor)
