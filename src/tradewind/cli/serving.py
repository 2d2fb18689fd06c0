"""The HTTP server of a running platform: API, console, metrics and health on one loopback port."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import uvicorn

from tradewind.api.app import create_app
from tradewind.api.connection import bounded
from tradewind.dashboard.app import mount
from tradewind.observe.controls import ControlResult, Outcome
from tradewind.observe.http import mount_observe

if TYPE_CHECKING:
    from tradewind.api.platform import Platform
    from tradewind.api.token import Tokens

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

    def __init__(self, platform: Platform, tokens: Tokens) -> None:
        self.platform = platform
        controls = _LateControls(platform)
        source = platform.collector.source
        self.app = create_app(platform.desk, platform.reads, tokens, controls)
        platform.collector.streams = self.app.state.streams.counts
        mount_observe(self.app, source, platform.collector.metrics)
        # Last, because it takes every path that is left. NiceGUI is imported with its first request.
        self.console = mount(self.app, source, controls)
        self._server: _QuietServer | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self, sock: socket.socket) -> None:
        """Answers requests on `sock` from now on."""
        config = uvicorn.Config(
            self.app,
            http=bounded(),
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=GRACE_S,
            limit_concurrency=MAX_CONCURRENT,
            server_header=False,
            ws_max_size=1 << 20,
        )
        self._server = _QuietServer(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[sock]), name="http-server")
        while not self._server.started:
            if self._task.done():
                await self._task
            await asyncio.sleep(START_POLL_S)

    async def stop(self) -> None:
        """Closes connections and the port."""
        if self._server is not None and self._task is not None:
            await self.console.close()
            self._server.should_exit = True
            await asyncio.gather(self._task, return_exceptions=True)


class _LateControls:
    """The controls of a platform whose trader may still be starting."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def _pull(self, act: str, reason: str, actor: str) -> ControlResult:
        controls = self._platform.controls
        if controls is None:
            detail = "the trader does not run yet; nothing is traded"
            return ControlResult(
                action=act, outcome=Outcome.REFUSED, detail=detail, code="TRADER_NOT_RUNNING"
            )
        result: ControlResult = await getattr(controls, act)(reason=reason, actor=actor)
        return result

    async def halt(self, *, reason: str, actor: str) -> ControlResult:
        """See `Controls.halt`."""
        return await self._pull("halt", reason, actor)

    async def flatten(self, *, reason: str, actor: str) -> ControlResult:
        """See `Controls.flatten`."""
        return await self._pull("flatten", reason, actor)

    async def resume(self, *, reason: str, actor: str) -> ControlResult:
        """See `Controls.resume`."""
        return await self._pull("resume", reason, actor)
