"""Pages on a way of their own: from the watchdog straight to the incident service, kept until it took them.

The wire is the one of Events v2 (`routing_key, event_action, dedup_key, payload`), answered with 202.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from pathlib import Path
from typing import Any, Final, Literal

import aiohttp
import msgspec
import structlog

from tradewind.venues.transport import durable

from .disk import Disk

log = structlog.get_logger("tradewind.watchdog.paging")
MAX_PENDING: Final = 100
ACCEPTED: Final = 202
TIMEOUT_S: Final = 5.0
RETRY_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
MAX_FILE_BYTES: Final = 1 << 20
RUNBOOK: Final = "docs/runbooks/watchdog.md"
Action = Literal["trigger", "resolve"]


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """What people are told. Pages of one `incident` are one incident there."""

    incident: str
    action: Action
    summary: str
    severity: Literal["critical", "warning", "info"] = "critical"
    details: dict[str, str] = {}
    at_ns: int


class Pager:
    """Pages that were not taken yet, in a file, and the loop that delivers them in order."""

    def __init__(self, folder: Path, disk: Disk, *, url: str, routing_key: str, source: str) -> None:
        """`url` "" keeps nothing: pages go to the log alone. A damaged file is logged and begun again."""
        self._file, self._disk = folder / "pages.json", disk
        self._url, self._routing_key, self._source = url, routing_key, source
        self._pending: deque[Page] = deque(self._read(), MAX_PENDING)
        self._wake = asyncio.Event()
        self.delivered = self.dropped = self.failures = 0

    def __repr__(self) -> str:
        return f"Pager({len(self._pending)} pending)"

    @property
    def pending(self) -> int:
        """Pages that nobody has taken yet."""
        return len(self._pending)

    def page(self, page: Page) -> None:
        """Keep it, then deliver it. Never raises: a full disk does not keep a page from leaving."""
        log.critical("page", incident=page.incident, action=page.action, summary=page.summary)
        if not self._url:
            return
        self.dropped += len(self._pending) == MAX_PENDING
        self._pending.append(page)
        self._keep()
        self._wake.set()

    async def run(self) -> None:
        """Delivers until cancelled: the oldest first, again and again until it is taken."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            attempt = 0
            while True:
                if not self._pending:
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                page = self._pending[0]
                if await self._deliver(http, page):
                    self.delivered, attempt = self.delivered + 1, 0
                    with contextlib.suppress(ValueError):  # it may have been pushed out meanwhile
                        self._pending.remove(page)
                    self._keep()
                    continue
                self.failures += 1
                await asyncio.sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])
                attempt += 1

    async def _deliver(self, http: aiohttp.ClientSession, page: Page) -> bool:
        try:
            async with http.post(self._url, json=self._event(page), allow_redirects=False) as answer:
                if answer.status == ACCEPTED:
                    return True
                log.error("page_not_taken", status=answer.status)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.error("page_not_delivered", reason=type(error).__name__)
        return False

    def _event(self, page: Page) -> dict[str, Any]:
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(page.at_ns // 10**9))
        return {
            "routing_key": self._routing_key,
            "event_action": page.action,
            "dedup_key": page.incident,
            "payload": {
                "summary": page.summary[:1024],
                "severity": page.severity,
                "source": self._source,
                "component": "watchdog",
                "class": "loss of control",
                "timestamp": moment,
                "custom_details": page.details,
            },
            "links": [{"href": RUNBOOK, "text": "runbook"}],
        }

    def _read(self) -> list[Page]:
        try:
            with self._file.open("rb") as file:
                return msgspec.json.decode(file.read(MAX_FILE_BYTES), type=list[Page])
        except FileNotFoundError:
            return []
        except (OSError, msgspec.DecodeError) as error:
            log.error("pages_lost", reason=type(error).__name__)
            return []

    def _keep(self) -> None:
        body = msgspec.json.encode(list(self._pending))
        self._disk.do(lambda: durable.replace(self._file, body))
