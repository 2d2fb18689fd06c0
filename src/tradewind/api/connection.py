"""Connections of the HTTP server: a request arrives whole within a deadline, and the next one finds room.

The server closes connections that are idle between requests, but waits for ever for a request that was
begun, and answers everybody 503 while its limit of connections is reached: without this, some hundred
sockets that never finish their request would shut every client out.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from uvicorn.protocols.http.auto import AutoHTTPProtocol

REQUEST_DEADLINE_S: Final = 5.0
MAX_CONNECTIONS: Final = 192
TOO_LATE: Final = (
    b"HTTP/1.1 408 Request Timeout\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 36\r\nconnection: close\r\n\r\nthe request did not arrive in time\r\n"
)


class Bounded(asyncio.Protocol):
    """What is added in front of the server's own protocol; see `bounded`."""

    deadline_s: float
    max_connections: int
    # Of the server's protocol.
    transport: asyncio.Transport
    connections: set[Any]
    cycle: Any

    _since_s = 0.0
    _upgraded = False
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Counts the time from here on; makes room when there is none."""
        super().connection_made(transport)
        self._begin()
        self._make_room()

    def data_received(self, data: bytes) -> None:
        """The request goes on, or is complete."""
        super().data_received(data)
        if self.is_answering():
            self._end()
        elif self._timer is None and not self._upgraded and not self.transport.is_closing():
            self._begin()

    def handle_websocket_upgrade(self, *event: Any) -> None:
        """A WebSocket has its own pings; the request is over."""
        self._end()
        self._upgraded = True
        super().handle_websocket_upgrade(*event)  # type: ignore[misc]

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is left to wait for."""
        self._end()
        super().connection_lost(exc)

    def is_answering(self) -> bool:
        """Whether a whole request arrived and its answer is not finished."""
        cycle = self.cycle
        return cycle is not None and not cycle.more_body and not cycle.response_complete

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        self._since_s = loop.time()
        self._timer = loop.call_later(self.deadline_s, self._expire)

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        self._timer = None
        cycle = self.cycle
        unanswered = cycle is None or cycle.response_complete or not cycle.response_started
        # With an earlier request still being answered, this text would be taken for its answer.
        if unanswered and not getattr(self, "pipeline", None) and not self.transport.is_closing():
            self.transport.write(TOO_LATE)
        self.transport.close()

    def _make_room(self) -> None:
        """Ends the connection that waits longest for (the rest of) a request; those being answered stay."""
        live = [one for one in self.connections if not one.transport.is_closing()]
        if len(live) <= self.max_connections:
            return
        waiting = [one for one in live if isinstance(one, Bounded) and not one.is_answering()]
        oldest = min(waiting, key=lambda one: one._since_s, default=None)
        if oldest is not None:
            oldest.transport.abort()


def bounded(
    deadline_s: float = REQUEST_DEADLINE_S, max_connections: int = MAX_CONNECTIONS
) -> type[asyncio.Protocol]:
    """The server's protocol with these bounds, for `uvicorn.Config(http=...)`.

    `deadline_s` runs from the connection, or from the first byte of a later request, to the last byte of the
    request. Above `max_connections`, which has to stay below the server's own limit, a new connection ends
    the one that waits longest.
    """
    bounds = {"deadline_s": deadline_s, "max_connections": max_connections}
    return cast("type[asyncio.Protocol]", type("BoundedProtocol", (Bounded, AutoHTTPProtocol), bounds))
