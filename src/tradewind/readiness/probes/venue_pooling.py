"""venue-connection-pooling: ten thousand requests over real sockets, counted by the server of them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.drill import Facts, drill
from tradewind.readiness.record import MeasuredValue
from tradewind.venues.transport.http import MAX_CONNECTIONS, PublicHttpSession
from tradewind.venues.transport.private_http import Answer, PrivateHttp

PRIVATE_REQUESTS: Final = 8_000
PUBLIC_REQUESTS: Final = 2_000
MUTANT_REQUESTS: Final = 200
POOL: Final = 4
AT_ONCE: Final = 8
PATH: Final = "/time"
ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
PATIENCE_S: Final = 5.0
LOOK_EVERY_S: Final = 0.01


class _Server:
    """Answers every request, and counts connections and requests."""

    def __init__(self) -> None:
        self.connections = self.requests = self.most_open = 0
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def open(self) -> int:
        """Connections that are open now."""
        return len(self._open)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        self.most_open = max(self.most_open, len(self._open))
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self.requests += 1
                writer.write(ANSWER)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()


def _sockets() -> int:
    """Sockets of this process. Raises CannotMeasureError where the kernel does not tell."""
    found = 0
    try:
        for name in os.listdir("/proc/self/fd"):
            try:
                found += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
            except FileNotFoundError:
                continue
    except OSError as error:
        raise CannotMeasureError("/proc/self/fd cannot be read") from error
    return found


async def _many(ask: Callable[[], Awaitable[bool]], requests: int) -> int:
    """How many of so many requests were answered, several at a time."""

    async def worker(share: int) -> int:
        return sum([await ask() for _ in range(share)])

    return sum(await asyncio.gather(*(worker(requests // AT_ONCE) for _ in range(AT_ONCE))))


async def _pooled(url: str) -> int:
    answered = 0
    async with PrivateHttp(url, max_connections=POOL) as http:

        async def private() -> bool:
            return isinstance(await http.request("GET", PATH), Answer)

        answered += await _many(private, PRIVATE_REQUESTS)
    async with PublicHttpSession(url, frozenset({PATH})) as session:

        async def public() -> bool:
            return await session.get(PATH) == b"{}"

        answered += await _many(public, PUBLIC_REQUESTS)
    return answered


async def _session_per_request(url: str) -> int:
    async def single() -> bool:
        async with PrivateHttp(url, max_connections=1) as http:
            return isinstance(await http.request("GET", PATH), Answer)

    return await _many(single, MUTANT_REQUESTS)


async def _measure(run: Callable[[str], Awaitable[int]]) -> dict[str, Any]:
    server = _Server()
    before = _sockets()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    own = _sockets() - before
    answered = await run(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
    for _ in range(int(PATIENCE_S / LOOK_EVERY_S)):
        if not server.open and _sockets() <= before + own:
            break
        await asyncio.sleep(LOOK_EVERY_S)
    left = _sockets() - before - own
    listening.close()
    await listening.wait_closed()
    return {
        "requests": server.requests,
        "answered": answered,
        "connections": server.connections,
        "most_open": server.most_open,
        "left": max(left, server.open),
    }


def _observe(_: ProbeContext) -> Facts:
    return asyncio.run(_measure(_pooled))


def _broken(_: ProbeContext) -> Facts:
    return asyncio.run(_measure(_session_per_request))


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    requests = facts["requests"]
    unbounded = facts["most_open"] > max(POOL, MAX_CONNECTIONS)
    lost = requests - facts["answered"]
    reuse = 0.0 if unbounded or lost else 1 - facts["connections"] / requests
    return {
        "connection_reuse": MeasuredValue(reuse, "ratio", requests),
        "leaked_sockets": count(facts["left"], requests),
    }


pooling = drill("venue-connection-pooling", observe=_observe, broken=_broken, summarise=_summarise)
