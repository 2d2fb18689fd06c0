"""Reads of public history: one request at a time, inside the venue's budget, retried as T4.10 allows."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import msgspec

from tradewind.venues.limits import BinanceLimits, Denied, Gate, KrakenLimits, Priority, SlidingLimits
from tradewind.venues.limits.binance import BadLimits, Call
from tradewind.venues.limits.blocks import Block
from tradewind.venues.limits.kraken import PublicCall
from tradewind.venues.limits.retry import READS, RetryPolicy
from tradewind.venues.limits.sliding import Request, Rule

from .model import SECOND_NS, HistoryError

if TYPE_CHECKING:
    import aiohttp

Found = TypeVar("Found")
MAX_BODY_BYTES: Final = 16 * 1024 * 1024
MAX_FILE_BYTES: Final = 16 * 1024 * 1024 * 1024
TIMEOUT_S: Final = 30.0
IDLE_S: Final = 60.0
"""A download that brings nothing for so long is given up."""
CHUNK_BYTES: Final = 1 << 18
OK: Final = 200
NOT_FOUND: Final = 404
FIRST_SERVER_ERROR: Final = 500
TOLD_TO_STOP: Final = frozenset({403, 418, 429})
ARCHIVE_RULE: Final = Rule(name="archive", limit=50, span_ns=10 * SECOND_NS)
"""The archive publishes no limit; this is a polite one."""


class Budget(Protocol):
    """A venue's limit model as history uses it."""

    async def admit(self, weight: int) -> None:
        """Waits for room. Raises `HistoryError` when there will be none."""

    def done(self) -> None:
        """A request ended."""

    def answered(self, status: int, headers: Mapping[str, str], text: str, sent_ns: int) -> float | None:
        """Seconds that the venue wants us to wait, None when it does not."""


def _wait_s(block: Block | None, now_ns: int) -> float | None:
    return None if block is None else max(0.0, (block.until_ns - now_ns) / SECOND_NS)


async def _admitted(gate: Gate, items: list[Any]) -> None:
    verdict = await gate.acquire(Priority.P5, items)
    if isinstance(verdict, Denied):
        raise HistoryError("RATE_LIMITED", f"the request budget is used up: {verdict.reason}")


class KrakenBudget:
    """Public calls of one address."""

    def __init__(self) -> None:
        self.model = KrakenLimits("starter")
        self._gate = Gate(self.model)

    async def admit(self, weight: int) -> None:
        """One call, whatever it weighs."""
        await _admitted(self._gate, [PublicCall()])

    def done(self) -> None:
        """Nothing to give back."""

    def answered(self, status: int, headers: Mapping[str, str], text: str, sent_ns: int) -> float | None:
        """Statuses, and the venue's own error texts in `text`."""
        now_ns = time.monotonic_ns()
        if status != OK:
            return _wait_s(self.model.status(status, headers.get("Retry-After"), now_ns), now_ns)
        return _wait_s(self.model.refused(text, now_ns, time.time_ns()), now_ns) if text else None


class BinanceBudget:
    """Request weight of one address; `load` before anything else."""

    def __init__(self) -> None:
        self.model = BinanceLimits()
        self._gate = Gate(self.model, clock_ns=time.time_ns)

    def load(self, rows: list[dict[str, Any]]) -> None:
        """The `rateLimits` of exchangeInfo. Raises `HistoryError`."""
        try:
            self.model.load(rows, time.time_ns())
        except BadLimits as error:
            raise HistoryError("BAD_ANSWER", f"exchangeInfo: {error}") from error

    async def admit(self, weight: int) -> None:
        """Weight 0 is the reading of the limits themselves."""
        if weight:
            await _admitted(self._gate, [Call(weight=weight)])

    def done(self) -> None:
        """Nothing to give back."""

    def answered(self, status: int, headers: Mapping[str, str], text: str, sent_ns: int) -> float | None:
        """Used weight from the headers; statuses that stop us."""
        now_ns = time.time_ns()
        self.model.headers(headers, sent_ns, now_ns)
        if status == OK:
            return None
        return _wait_s(self.model.status(status, headers.get("Retry-After"), text, now_ns), now_ns)


class ArchiveBudget:
    """Requests to a file archive."""

    def __init__(self) -> None:
        self.model = SlidingLimits([ARCHIVE_RULE])
        self._gate = Gate(self.model)
        self._items = [Request((ARCHIVE_RULE.name,))]

    async def admit(self, weight: int) -> None:
        """One request, whatever it weighs."""
        await _admitted(self._gate, self._items)

    def done(self) -> None:
        """The window's time starts."""
        self.model.done(self._items, time.monotonic_ns())

    def answered(self, status: int, headers: Mapping[str, str], text: str, sent_ns: int) -> float | None:
        """429 and its like."""
        now_ns = time.monotonic_ns()
        if status == OK:
            return None
        return _wait_s(self.model.status(status, headers.get("Retry-After"), now_ns), now_ns)


class _Passing(Exception):
    """Try again; `retry_after_s` is what the venue asked for."""

    def __init__(self, code: str, text: str, retry_after_s: float | None = None) -> None:
        super().__init__(text)
        self.code, self.retry_after_s = code, retry_after_s


class Digest(msgspec.Struct, frozen=True):
    """A downloaded file."""

    sha256: str
    bytes: int


class HistoryClient:
    """GET requests to one host."""

    def __init__(
        self,
        base_url: str,
        budget: Budget,
        *,
        policy: RetryPolicy = READS,
        error_text: Callable[[bytes], str] = lambda body: "",
    ) -> None:
        """`error_text` finds the venue's error in a body of status 200. Raises `HistoryError`."""
        if not base_url.startswith(("http://", "https://")):
            raise HistoryError("BAD_ADDRESS", f"{base_url[:80]!r} is not an http address")
        self.base_url = base_url.rstrip("/")
        self.budget, self.policy = budget, policy
        self.requests = self.retries = 0
        self._error_text = error_text
        self._session: aiohttp.ClientSession | None = None

    async def get(self, path: str, params: Mapping[str, str] | None = None, *, weight: int = 1) -> bytes:
        """The body of an answer with status 200 and without an error.

        Raises:
            HistoryError: `RATE_LIMITED`, `UNREACHABLE`, `NOT_FOUND`, `REFUSED`, `BAD_ANSWER` (too large).
        """

        async def once() -> bytes:
            import aiohttp

            limit = aiohttp.ClientTimeout(total=TIMEOUT_S)
            async with self._open().get(
                self.base_url + path, params=params, timeout=limit, allow_redirects=False
            ) as answer:
                body = await _body(answer, path)
                self._judge(answer.status, answer.headers, body, path)
                return body

        return await self._tried(path, weight, once)

    async def download(
        self, path: str, target: Path, tell: Callable[[int], None] = lambda size: None
    ) -> Digest:
        """Streams a file to `target`; `tell` hears its size so far. Raises as `get`."""

        async def once() -> Digest:
            import aiohttp

            limit = aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT_S, sock_read=IDLE_S)
            url = self.base_url + path
            async with self._open().get(url, timeout=limit, allow_redirects=False) as answer:
                if answer.status != OK:
                    self._judge(answer.status, answer.headers, await _body(answer, path), path)
                digest, size = hashlib.sha256(), 0
                with target.open("wb") as file:
                    async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
                        size += len(chunk)
                        if size > MAX_FILE_BYTES:
                            raise HistoryError("BAD_ANSWER", f"{path} is larger than {MAX_FILE_BYTES} bytes")
                        digest.update(chunk)
                        file.write(chunk)
                        tell(size)
                return Digest(digest.hexdigest(), size)

        return await self._tried(path, 1, once)

    async def _tried(self, path: str, weight: int, once: Callable[[], Awaitable[Found]]) -> Found:
        import aiohttp

        spent_s, retries = 0.0, 0
        while True:
            await self.budget.admit(weight)
            begin_s = time.monotonic()
            self.requests += 1
            try:
                return await once()
            except _Passing as fault:
                failure = fault
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                failure = _Passing("UNREACHABLE", f"{path}: {type(error).__name__}")
            finally:
                self.budget.done()
            # waiting for the own budget is no part of the venue's time
            spent_s += time.monotonic() - begin_s
            delay_s = self.policy.next_delay_s(retries, spent_s, failure.retry_after_s)
            if delay_s is None:
                wait = "" if failure.retry_after_s is None else f"; it asks for {failure.retry_after_s:.0f} s"
                raise HistoryError(failure.code, f"{failure}{wait}") from failure
            retries += 1
            self.retries += 1
            spent_s += delay_s
            await asyncio.sleep(delay_s)

    def _judge(self, status: int, headers: Mapping[str, str], body: bytes, path: str) -> None:
        text = self._error_text(body) if status == OK else body[:400].decode("utf-8", "replace")
        wait_s = self.budget.answered(status, headers, text, time.time_ns())
        if status in TOLD_TO_STOP or wait_s is not None:
            raise _Passing("RATE_LIMITED", f"{path}: status {status} {text[:120]}".rstrip(), wait_s)
        if status >= FIRST_SERVER_ERROR or text.startswith(("EService:", "EGeneral:Internal")):
            raise _Passing("UNREACHABLE", f"{path}: status {status} {text[:120]}".rstrip())
        if status == NOT_FOUND:
            raise HistoryError("NOT_FOUND", f"{path} does not exist")
        if status != OK or text:
            raise HistoryError("REFUSED", f"{path}: status {status} {text[:200]}".rstrip())

    def _open(self) -> aiohttp.ClientSession:
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(trust_env=True)
        return self._session

    async def close(self) -> None:
        """Closes the connections (idempotent)."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()


async def _body(answer: aiohttp.ClientResponse, path: str) -> bytes:
    chunks, size = [], 0
    async for chunk in answer.content.iter_chunked(1 << 16):
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise HistoryError("BAD_ANSWER", f"{path} answered more than {MAX_BODY_BYTES} bytes")
        chunks.append(chunk)
    return b"".join(chunks)
