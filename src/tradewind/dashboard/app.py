"""The console on a FastAPI application: one process-wide NiceGUI, imported when it is first needed."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterable
from contextlib import AsyncExitStack

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from tradewind.observe.controls import Controls
from tradewind.observe.view import ViewSource

from .guard import LoopbackGuard

RECONNECT_S = 5.0
"""How long the server keeps a page's state after its connection broke."""
PAGE_PATHS = frozenset({"/", "/favicon.ico"})
OWN_PATHS = "/_nicegui"
"""Scripts, styles and sockets of the page."""
MESSAGE_HISTORY = 200
"""Messages per page kept for a reconnecting browser."""


class ConsoleError(Exception):
    """The console cannot be mounted (NiceGUI is one per process)."""

    code = "ConsoleError"


class Console:
    """The mounted console. NiceGUI (about 20 MB and half a second) loads with the first request or
    `preload`.
    """

    _owner: Console | None = None

    def __init__(self, source: ViewSource, controls: Controls | None) -> None:
        self.source = source
        self.controls = controls
        self._inner: ASGIApp | None = None
        self._loading = asyncio.Lock()
        self._resources = AsyncExitStack()
        self._closed = False

    async def preload(self) -> None:
        """Import and start NiceGUI now, off the event loop. Raises `ConsoleError` after `close` or when
        taken.
        """
        async with self._loading:
            if self._inner is not None:
                return
            if self._closed:
                raise ConsoleError("the console is closed")
            if Console._owner is not None:
                raise ConsoleError("NiceGUI runs once per process, and it ran already")
            await asyncio.to_thread(importlib.import_module, "nicegui.ui")
            await asyncio.to_thread(importlib.import_module, "tradewind.dashboard.page")
            Console._owner = self
            self._inner = await self._start()

    async def _start(self) -> ASGIApp:
        from nicegui import ui

        from .page import open_console

        def root() -> None:
            owner = Console._owner
            if owner is not None:
                open_console(owner.source, owner.controls)

        shell = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        ui.run_with(
            shell,
            root=root,
            title="Tradewind",
            favicon=FAVICON,
            dark=True,
            language="en-US",
            binding_refresh_interval=None,
            reconnect_timeout=RECONNECT_S,
            message_history_length=MESSAGE_HISTORY,
            tailwind=False,
            show_welcome_message=False,
        )
        # The server is running already, so nobody else would run this application's start-up and shut-down.
        await self._resources.enter_async_context(shell.router.lifespan_context(shell))
        return shell

    async def close(self) -> None:
        """Stop NiceGUI; requests are answered with 503 from now on. May be called twice."""
        async with self._loading:
            self._closed = True
            self._inner = None
            await self._resources.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the console, loading it when this is the first request.

        The console is one page: another path or method is refused, so that nobody takes a mistyped command
        for done.
        """
        if scope["type"] == "http" and not scope["path"].startswith(OWN_PATHS):
            known = scope["path"] in PAGE_PATHS
            if not known or scope["method"] not in ("GET", "HEAD"):
                await _answer(405 if known else 404, scope, receive, send)
                return
        if self._inner is None:
            if self._closed:
                await _refuse(scope, receive, send)
                return
            await self.preload()
        assert self._inner is not None
        await self._inner(scope, receive, send)


async def _answer(status: int, scope: Scope, receive: Receive, send: Send) -> None:
    from starlette.responses import JSONResponse

    name, text = {
        404: ("PAGE_NOT_FOUND", "The console has no such page."),
        405: ("METHOD_NOT_ALLOWED", "The console is only read."),
    }[status]
    problem = {"title": name.replace("_", " ").lower(), "status": status, "detail": text, "name": name}
    await JSONResponse(problem, status, media_type="application/problem+json")(scope, receive, send)


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1001, "reason": "stopping"})
        return
    from starlette.responses import PlainTextResponse

    await PlainTextResponse("Tradewind is stopping.", 503)(scope, receive, send)


def mount(
    app: FastAPI, source: ViewSource, controls: Controls | None = None, *, extra_hosts: Iterable[str] = ()
) -> Console:
    """Serve the console at `/` of `app`, behind `LoopbackGuard`. Call it after every other route was added.

    Without `controls` the page is read-only and says so. The caller closes the result when it stops.
    """
    console = Console(source, controls)
    app.mount("/", LoopbackGuard(console, extra_hosts=extra_hosts))
    return console


FAVICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
    '<rect width="32" height="32" rx="7" fill="#0b1220"/>'
    '<path d="M7 22c5 0 8-2 9-6V6c6 3 9 8 9 13-3 2-6 3-9 3z" fill="#2dd4bf"/>'
    '<path d="M6 25h20" stroke="#7dd3fc" stroke-width="2" stroke-linecap="round"/></svg>'
)
