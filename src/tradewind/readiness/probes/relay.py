"""A relay of bytes between a client and a local venue: what lies between them can fall silent, or be gone."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

LOOPBACK: Final = "127.0.0.1"
CHUNK_BYTES: Final = 64 << 10


class Relay:
    """`start` it, connect to `port` instead of the venue's, `close` it. One event loop."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.port = 0
        self._gone = False
        self._flows = asyncio.Event()
        self._flows.set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listens on a free port of this machine."""
        self._server = await asyncio.start_server(self._accept, LOOPBACK, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._gone:
            return  # accepted by the machine, answered by nobody
        there, back = await asyncio.open_connection(LOOPBACK, self._to)
        for source, sink in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._pump(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(CHUNK_BYTES):
                await self._flows.wait()
                if self._gone:
                    return  # neither a goodbye nor a reset: the network is gone
                sink.write(data)
                await sink.drain()
            if not self._gone:
                sink.close()

    def silence(self) -> None:
        """Bytes wait, in both directions, until `resume`."""
        self._flows.clear()

    def resume(self) -> None:
        """What waited goes on its way."""
        self._flows.set()

    def cut(self) -> None:
        """The network is gone for good."""
        self._gone = True

    async def close(self) -> None:
        """End of the relay and of every connection."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
