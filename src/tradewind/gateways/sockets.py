"""One WebSocket of a gateway: bounded on its way out, faulty on request, cut when its reader is too slow."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import Final

from aiohttp import WSCloseCode, WSMsgType, web

from .faults import Action, Fault, FaultPlan

MAX_FRAMES: Final = 8_192
MAX_BYTES: Final = 16 << 20
"""What may wait for one slow reader, in frames and bytes; beyond it the connection is closed."""
CLOSE_S: Final = 1.0


class SocketClosed(Exception):
    """The connection has ended."""


class Socket:
    """Send from callbacks (`send` never waits), read with `async for`. One task reads, one of ours writes."""

    def __init__(
        self, wire: web.WebSocketResponse, transport: asyncio.Transport | None, faults: FaultPlan, path: str
    ) -> None:
        self.path = path
        self.sent_frames = 0
        self.sent_bytes = 0
        self.closed_reason = ""
        self._wire = wire
        self._transport = transport
        self._ending: asyncio.Task[None] | None = None
        self._faults = faults
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self._closed = False
        self._close_code = int(WSCloseCode.OK)
        self._writer = asyncio.create_task(self._write(), name="gateway-socket")

    @property
    def open(self) -> bool:
        """Whether anything can still be sent."""
        return not self._closed

    # ---- out -----------------------------------------------------------------------------------------

    def send(self, frame: bytes, channel: str = "reply") -> None:
        """Queues a text frame (UTF-8) behind the fault plan, surface `stream`, under its channel's name.

        A connection whose queue is full is closed: a client with a hole in its stream would never know.
        """
        if self._closed:
            return
        if self._faults.plan.rules:
            frames = self._faults.on_frame("stream", channel, frame)
            if self._faults.closes("stream", channel):
                self.abort("fault plan")
                return
            for one in frames:
                self._queue(one)
        else:
            self._queue(frame)

    def _queue(self, frame: bytes) -> None:
        if len(self._waiting) >= MAX_FRAMES or self._waiting_bytes + len(frame) > MAX_BYTES:
            self.abort("the reader is too slow")
            return
        self._waiting.append(frame)
        self._waiting_bytes += len(frame)
        self._wake.set()

    async def _write(self) -> None:
        with contextlib.suppress(ConnectionError, RuntimeError):
            while True:
                while self._waiting:
                    frame = self._waiting.popleft()
                    self._waiting_bytes -= len(frame)
                    await self._wire.send_frame(frame, WSMsgType.TEXT)
                    self.sent_frames += 1
                    self.sent_bytes += len(frame)
                if self._closed:
                    return
                self._wake.clear()
                await self._wake.wait()
        self._closed = True

    async def ping(self, payload: bytes = b"") -> None:
        """A ping of the protocol; the client's answer is handled below us. Raises `SocketClosed`."""
        try:
            await self._wire.ping(payload)
        except (ConnectionError, RuntimeError) as error:
            raise SocketClosed(str(error)) from error

    # ---- in ------------------------------------------------------------------------------------------

    def __aiter__(self) -> Socket:
        return self

    async def __anext__(self) -> bytes:
        """The next text frame as bytes; ends when the connection does."""
        while not self._closed:
            message = await self._wire.receive()
            if message.type is WSMsgType.TEXT:
                return str(message.data).encode(errors="surrogatepass")
            if message.type is WSMsgType.BINARY:
                return bytes(message.data)
            if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
                break
        raise StopAsyncIteration

    # ---- requests by socket ----------------------------------------------------------------------------

    async def before(self, method: str) -> list[Action] | None:
        """What the fault plan (surface `ws-api`) wants of a request by this socket, behind its delays. None:
        it was cut before its execution, say nothing and return.

        The gateway does what is before (`Fault.STATUS`, `MAINTENANCE`, `CANCEL_ONLY`, `RATE_BAN`) and its
        own faults; `reply` does what comes behind.
        """
        actions = self._faults.on_request("ws-api", method)
        for action in actions:
            if action.fault is Fault.DELAY:
                await asyncio.sleep(action.rule.delay_ms / 1_000)
            elif action.fault is Fault.RESET and action.rule.when == "before":
                self.abort("fault plan")
                return None
        return actions

    def reply(self, frame: bytes, actions: list[Action] | None = None, channel: str = "reply") -> None:
        """Sends the answer to a request, or does instead what the fault plan wants."""
        for action in actions or ():
            if action.fault is Fault.DROP_REPLY:
                return
            if action.fault is Fault.RESET:
                self.abort("fault plan")
                return
            if action.fault is Fault.MALFORMED:
                frame = frame[: len(frame) // 2]
        self.send(frame, channel)

    # ---- the end -------------------------------------------------------------------------------------

    def close(self, code: int = WSCloseCode.OK, reason: str = "") -> None:
        """Ends the connection behind what waits."""
        if not self._closed:
            self._closed, self.closed_reason, self._close_code = True, reason, int(code)
            self._wake.set()
            self._ending = asyncio.create_task(self.end(), name="gateway-socket-end")

    def abort(self, reason: str) -> None:
        """Cuts the connection at once; nothing that waits is sent."""
        self._closed, self.closed_reason = True, self.closed_reason or reason
        self._waiting.clear()
        self._waiting_bytes = 0
        self._wake.set()
        if self._transport is not None:
            self._transport.abort()

    async def end(self) -> None:
        """Waits for the writer and closes properly. May be called twice."""
        self._closed = True
        self._wake.set()
        try:
            async with asyncio.timeout(CLOSE_S):
                await asyncio.shield(self._writer)
                await self._wire.close(code=self._close_code, message=self.closed_reason.encode()[:100])
        except (TimeoutError, ConnectionError, RuntimeError):
            self._writer.cancel()
