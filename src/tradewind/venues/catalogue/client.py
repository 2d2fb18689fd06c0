"""Pages of a catalogue, within the request budget of the process (protocol P6.7.2, P6.7.3)."""

from __future__ import annotations

import asyncio
from typing import Final

from tradewind.venues.catalogue.messages import PageError, decode_page
from tradewind.venues.transport.errors import HttpStatus, PathRefused, ResponseTooLarge, TransportError
from tradewind.venues.transport.http import PublicHttpSession
from tradewind.venues.transport.request_window import (
    MAX_RETRIES,
    RequestWindow,
    Sleep,
    retry_wait_s,
    shared_window,
)

MARKETS: Final = "/markets"
PAGE_MARKETS: Final = 100
TIMEOUT_S: Final = 5.0
TOO_MANY: Final = 429
RETRIED: Final = frozenset({408, 425, TOO_MANY, 500, 502, 503, 504})


class PageUnavailable(Exception):
    """A page could not be had. `code` says how the last attempt ended."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class CatalogueClient:
    """Reads pages of one venue. Every attempt, retries too, takes a place in the shared window."""

    def __init__(
        self,
        base_url: str,
        *,
        worker: str,
        window: RequestWindow | None = None,
        session: PublicHttpSession | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.window = window or shared_window(base_url)
        self._session = session or PublicHttpSession(base_url, frozenset({MARKETS}), TIMEOUT_S)
        self._worker, self._sleep = worker, sleep
        self.retries = 0

    async def page(self, offset: int) -> list[bytes]:
        """The entries of the 100 markets from `offset` on, each still undecoded.

        Raises:
            PageUnavailable: the venue refused it for good, or every retry failed.
        """
        params = {"limit": str(PAGE_MARKETS), "offset": str(offset), "order": "id", "ascending": "true"}
        failure: Exception | None = None
        for attempt in range(MAX_RETRIES + 1):
            if failure is not None:
                self.retries += 1
                await self._sleep(self._wait_s(failure, offset, attempt - 1))
            try:
                async with self.window.request(self._sleep):
                    body = await self._session.get(MARKETS, params)
                return decode_page(body)
            except (TransportError, PageError) as error:
                failure = error
                if not _again(error):
                    break
        assert failure is not None
        raise PageUnavailable(_code(failure), f"page at {offset}: {failure}") from failure

    def _wait_s(self, failure: Exception, offset: int, attempt: int) -> float:
        retry_after_s = failure.retry_after_s if isinstance(failure, HttpStatus) else None
        if retry_after_s and isinstance(failure, HttpStatus) and failure.status == TOO_MANY:
            # The venue means everybody, not only the page that heard it.
            self.window.hold(retry_after_s)
        return retry_wait_s(f"{self._worker}/{offset}", attempt, retry_after_s)

    async def close(self) -> None:
        """Closes the connections."""
        await self._session.close()


def _again(error: Exception) -> bool:
    if isinstance(error, HttpStatus):
        return error.status in RETRIED
    return not isinstance(error, PathRefused | ResponseTooLarge)


def _code(error: Exception) -> str:
    if isinstance(error, HttpStatus):
        return f"HTTP_{error.status}"
    return "MALFORMED_PAGE" if isinstance(error, PageError) else type(error).__name__
