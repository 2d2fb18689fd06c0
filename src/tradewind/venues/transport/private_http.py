"""HTTP/1.1 towards one host, byte for byte as it was signed, over a bounded pool of kept connections (T3.8).

An answer is complete or there is none: whatever ends early, is too large or cannot be parsed is `NoAnswer`,
and `sent` says whether a byte of the request may have left. Nothing is ever sent twice here.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec

MAX_HEADER_BYTES: Final = 64 * 1024
MAX_HEADERS: Final = 200
MAX_BODY_BYTES: Final = 16 * 1024 * 1024
MAX_REQUEST_BYTES: Final = 1024 * 1024
MAX_INTERIM: Final = 8
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
CONNECT_TIMEOUT_S: Final = 3.0
IDLE_S: Final = 55.0
"""A connection that was idle for longer is not used again: most servers close them after a minute."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A complete answer. Names of headers are in lower case; times are of the steady clock, in ns."""

    status: int
    headers: dict[str, str]
    body: bytes
    sent_ns: int
    received_ns: int


class NoAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """No answer that can be believed. `sent` False: not a byte of the request left this process."""

    reason: str
    sent: bool


Reply = Answer | NoAnswer


class Malformed(Exception):
    """The answer is not HTTP/1.1 as this client reads it."""


def encode(method: str, target: str, host: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """The request as it goes onto the wire.

    Raises:
        ValueError: a control character in a name or value, or more than the bound.
    """
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body or method not in ("GET", "HEAD", "DELETE"):
        lines.append(f"Content-Length: {len(body)}")
    if " " in target or any(CONTROL.search(line) for line in lines):
        raise ValueError("a control character or a space in a request line or header")
    packed = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
    if len(packed) > MAX_REQUEST_BYTES:
        raise ValueError(f"a request has at most {MAX_REQUEST_BYTES} bytes")
    return packed


class Connection:
    """One connection: one request at a time, then its answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.requests = 0
        self.used_at_s = time.monotonic()

    @property
    def usable(self) -> bool:
        """Whether a request may be written to it now."""
        fresh = time.monotonic() - self.used_at_s < IDLE_S
        return fresh and not self._writer.is_closing() and not self._reader.at_eof()

    def write(self, packed: bytes) -> None:
        """Hands the whole request over to the socket, without waiting in between."""
        self.requests += 1
        self._writer.write(packed)

    async def read(self, method: str) -> tuple[int, dict[str, str], bytes, bool]:
        """Status, headers, body, and whether the connection stays.

        Raises:
            Malformed: it is not HTTP. OSError, asyncio.IncompleteReadError: it ended early.
        """
        await self._writer.drain()
        for _ in range(MAX_INTERIM):
            status, headers = await self._head()
            if status >= 200:
                break
        else:
            raise Malformed("only interim answers")
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise Malformed("an encoding that was not asked for")
        body, stays = await self._body(method, status, headers)
        self.used_at_s = time.monotonic()
        return status, headers, body, stays and headers.get("connection", "").lower() != "close"

    async def _head(self) -> tuple[int, dict[str, str]]:
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError as error:
            raise Malformed("headers are too large") from error
        lines = head[:-4].decode("latin-1").split("\r\n")
        version, _, rest = lines[0].partition(" ")
        code = rest[:3]
        if not version.startswith("HTTP/1.") or not (code.isascii() and code.isdigit()):
            raise Malformed("no status line")
        if len(lines) - 1 > MAX_HEADERS:
            raise Malformed("too many headers")
        headers: dict[str, str] = {}
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip():
                raise Malformed("a header without a name")
            key = name.lower()
            if key == "content-length" and headers.get(key, value.strip()) != value.strip():
                raise Malformed("two lengths")
            headers[key] = value.strip()
        if version == "HTTP/1.0":
            headers.setdefault("connection", "close")
        return int(code), headers

    async def _body(self, method: str, status: int, headers: dict[str, str]) -> tuple[bytes, bool]:
        if method == "HEAD" or status in (204, 304):
            return b"", True
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return await self._chunks(), True
        if "transfer-encoding" in headers:
            raise Malformed("an unknown transfer encoding")
        length = headers.get("content-length")
        if length is None:
            # Ended by the connection: an early end cannot be told from the whole, so it is none.
            raise Malformed("an answer without a length")
        if not (length.isascii() and length.isdigit()) or int(length[:12]) > MAX_BODY_BYTES:
            raise Malformed("a length that cannot be")
        return await self._reader.readexactly(int(length)), True

    async def _chunks(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            try:
                line = (await self._reader.readuntil(b"\r\n"))[:-2].split(b";")[0].strip()
                length = int(line, 16)
            except (ValueError, asyncio.LimitOverrunError) as error:
                raise Malformed("a chunk without a length") from error
            size += length
            if length < 0 or size > MAX_BODY_BYTES or len(parts) > MAX_BODY_BYTES // 16:
                raise Malformed("chunks are too large")
            if length == 0:
                break
            parts.append(await self._reader.readexactly(length))
            if await self._reader.readexactly(2) != b"\r\n":
                raise Malformed("a chunk without its end")
        for _ in range(MAX_HEADERS):
            if await self._reader.readuntil(b"\r\n") == b"\r\n":
                return b"".join(parts)
        raise Malformed("too many trailers")

    def abort(self) -> None:
        """Ends it without a goodbye."""
        self._writer.transport.abort()

    async def close(self) -> None:
        """Ends it and waits until its socket is closed."""
        self._writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await self._writer.wait_closed()


class PrivateHttp:
    """A pool of at most `max_connections` to one host. Never follows a redirect, never repeats a request."""

    def __init__(
        self,
        base_url: str,
        *,
        max_connections: int = 4,
        allowed_hosts: frozenset[str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`allowed_hosts`: the only hosts that this process may talk to (a sandbox), None for any.

        Raises:
            ValueError: no http or https address, another host, or plain http to another machine.
        """
        url = urlsplit(base_url)
        if url.scheme not in ("http", "https") or not url.hostname or url.username is not None:
            raise ValueError("base_url must start with http:// or https:// and name a host")
        if allowed_hosts is not None and url.hostname not in allowed_hosts:
            raise ValueError(f"{url.hostname} is not a host of this environment")
        if url.scheme == "http" and url.hostname not in ("127.0.0.1", "localhost", "::1"):
            raise ValueError("plain http only goes to this machine")
        if not 1 <= max_connections <= 64:
            raise ValueError("max_connections is between 1 and 64")
        self.host, self.port = url.hostname, url.port or (443 if url.scheme == "https" else 80)
        default = self.port == (443 if url.scheme == "https" else 80)
        name = f"[{self.host}]" if ":" in self.host else self.host
        self.host_header = name if default else f"{name}:{self.port}"
        self.prefix = url.path.rstrip("/")
        self._tls = (tls or ssl.create_default_context()) if url.scheme == "https" else None
        self.max_connections = max_connections
        self._places = asyncio.Semaphore(max_connections)
        self._idle: deque[Connection] = deque()
        self._open: set[Connection] = set()
        self._closed = False
        self.connects = 0
        self.requests = 0
        self.reused = 0

    @property
    def open_connections(self) -> int:
        """Sockets that are open now."""
        return len(self._open)

    @property
    def reuse(self) -> float | None:
        """Part of the requests that used a kept connection; None before the first."""
        return self.reused / self.requests if self.requests else None

    async def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_s: float = 5.0,
    ) -> Reply:
        """Sends one request that is already complete."""
        return await self.exchange(lambda: (method, target, headers or {}, body), timeout_s)

    async def exchange(
        self, make: Callable[[], tuple[str, str, Mapping[str, str], bytes] | NoAnswer], timeout_s: float
    ) -> Reply:
        """Makes the request when a connection is ready for it, and writes it in the same step.

        Between `make` and the write nothing else of this process runs: what `make` decides (a nonce, whether
        the lease still holds) is true when the bytes leave.
        """
        deadline_s = time.monotonic() + timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                await self._places.acquire()
        except TimeoutError:
            return NoAnswer(reason="Timeout", sent=False)
        try:
            connection = await self._ready(deadline_s)
            if isinstance(connection, NoAnswer):
                return connection
            return await self._talk(connection, make, deadline_s)
        finally:
            self._places.release()

    async def _ready(self, deadline_s: float) -> Connection | NoAnswer:
        if self._closed:
            return NoAnswer(reason="Closed", sent=False)
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            # Not a goodbye: over TLS that can take longer than the request may.
            self._open.discard(connection)
            connection.abort()
        left_s = min(CONNECT_TIMEOUT_S, deadline_s - time.monotonic())
        try:
            async with asyncio.timeout(left_s):
                reader, writer = await asyncio.open_connection(
                    self.host, self.port, ssl=self._tls, limit=MAX_HEADER_BYTES
                )
        except TimeoutError:
            return NoAnswer(reason="ConnectTimeout", sent=False)
        except (OSError, ssl.SSLError) as error:
            return NoAnswer(reason=f"ConnectFailed:{type(error).__name__}", sent=False)
        connection = Connection(reader, writer)
        self._open.add(connection)
        self.connects += 1
        return connection

    async def _talk(
        self,
        connection: Connection,
        make: Callable[[], tuple[str, str, Mapping[str, str], bytes] | NoAnswer],
        deadline_s: float,
    ) -> Reply:
        stays = False
        try:
            made = make()
            if isinstance(made, NoAnswer):
                stays = True
                return made
            method, target, headers, body = made
            packed = encode(method, self.prefix + target, self.host_header, headers, body)
            self.requests += 1
            self.reused += connection.requests > 0
            sent_ns = time.monotonic_ns()
            connection.write(packed)
            async with asyncio.timeout(max(0.0, deadline_s - time.monotonic())):
                status, received, content, stays = await connection.read(method)
            return Answer(
                status=status, headers=received, body=content,
                sent_ns=sent_ns, received_ns=time.monotonic_ns(),
            )  # fmt: skip
        except TimeoutError:
            return NoAnswer(reason="Timeout", sent=True)
        except Malformed as error:
            return NoAnswer(reason=f"Malformed:{error}", sent=True)
        except (OSError, ssl.SSLError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            return NoAnswer(reason=f"ConnectionLost:{type(error).__name__}", sent=True)
        finally:
            # An answer that was not read to its end would be taken for the next request's.
            if stays and not self._closed and connection.usable:
                self._idle.append(connection)
            else:
                connection.abort()
                self._open.discard(connection)

    async def close(self) -> None:
        """Closes every connection; requests under way end as lost. Nothing stays open."""
        self._closed = True
        self._idle.clear()
        for connection in list(self._open):
            self._open.discard(connection)
            connection.abort()
            await connection.close()

    async def __aenter__(self) -> PrivateHttp:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
