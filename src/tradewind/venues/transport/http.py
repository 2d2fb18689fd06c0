"""A small HTTP client for public market data: allow-listed paths, bounded answers, typed errors."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING

from tradewind.venues.transport.errors import (
    HttpStatus,
    PathRefused,
    RequestTimeout,
    ResponseTooLarge,
    TransportError,
)

if TYPE_CHECKING:
    import aiohttp

MAX_RESPONSE_BYTES = 16 * 1024 * 1024
MAX_CONNECTIONS = 8
HTTP_ERROR = 400


class PublicHttpSession:
    """GET requests to the public paths of one venue. It has no way to sign or to send a body.

    aiohttp is imported at the first request, because importing it is slow and most commands never need it.
    """

    def __init__(self, base_url: str, allowed_paths: frozenset[str], timeout_s: float = 5.0) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise ValueError("base_url must start with http:// or https://")
        self.base_url = base_url.rstrip("/")
        self.allowed_paths = allowed_paths
        self.timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def get(
        self, path: str, params: dict[str, str] | None = None, timeout_s: float | None = None
    ) -> bytes:
        """Return the body. Raises a `TransportError`: refused path, timeout, HTTP status, size,
        connection.
        """
        if path not in self.allowed_paths:
            raise PathRefused(f"{path} is not a public path of this session")
        import aiohttp

        session = self._open()
        limit = aiohttp.ClientTimeout(total=timeout_s or self.timeout_s)
        try:
            async with session.get(self.base_url + path, params=params, timeout=limit,
                                   allow_redirects=False) as response:  # fmt: skip
                if response.status >= HTTP_ERROR:
                    retry_after_s = _retry_after_s(response.headers.get("Retry-After"))
                    raise HttpStatus(response.status, path, retry_after_s)
                return await self._body(response, path)
        except TimeoutError as error:
            raise RequestTimeout(f"no answer on {path} in {limit.total} s") from error
        except aiohttp.ClientError as error:
            raise TransportError(f"{path}: {type(error).__name__}") from error

    async def _body(self, response: aiohttp.ClientResponse, path: str) -> bytes:
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.content.iter_chunked(65_536):
            size += len(chunk)
            if size > MAX_RESPONSE_BYTES:
                raise ResponseTooLarge(f"{path} answered more than {MAX_RESPONSE_BYTES} bytes")
            chunks.append(chunk)
        return b"".join(chunks)

    def _open(self) -> aiohttp.ClientSession:
        import aiohttp

        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS), auto_decompress=True, trust_env=True
            )
        return self._session

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            await asyncio.sleep(0)  # let the transports finish, or they are reported as leaked
            self._session = None

    async def __aenter__(self) -> PublicHttpSession:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _retry_after_s(text: str | None) -> float | None:
    return float(text) if text is not None and text.isascii() and text.isdigit() else None
