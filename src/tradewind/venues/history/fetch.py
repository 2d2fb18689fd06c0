"""Fetches a span of public history day by day; what is complete already is not asked for again."""

from __future__ import annotations

import calendar
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable
from itertools import groupby
from pathlib import Path
from typing import Final, Protocol

import msgspec

from tradewind.venues.limits.retry import READS, RetryPolicy

from . import archive, binance, kraken
from .archive import Archived, BinanceArchive
from .binance import BinanceHistory
from .client import ArchiveBudget, BinanceBudget, Budget, HistoryClient, KrakenBudget
from .kraken import KrakenHistory
from .model import INTERVALS_S, HistoryError, HistoryKind, Row, Span, span_of
from .store import HistoryStore, Series

VENUES: Final = ("binance", "kraken")
SOURCES: Final = ("auto", "archive", "rest")


class FetchWish(msgspec.Struct, frozen=True, kw_only=True):
    """What to fetch. `url` and `archive_url` replace the venue's public addresses.

    `source`: `auto` takes Binance's archive where it has the day and REST where not; with `url` given, the
    archive is only asked when `archive_url` is given too.
    """

    venue: str
    symbol: str
    kind: HistoryKind
    directory: Path
    from_text: str
    to_text: str
    interval: str = "1m"
    source: str = "auto"
    url: str | None = None
    archive_url: str | None = None
    policy: RetryPolicy = READS


class Progress(msgspec.Struct, kw_only=True):
    """How far a fetch is."""

    days: int
    done_days: int = 0
    kept_days: int = 0
    """Complete before this run."""
    rows: int = 0
    missing_ids: int = 0
    requests: int = 0
    retries: int = 0
    rejected_archives: int = 0
    download_bytes: int = 0
    """Of the zip under way."""
    at: str = ""
    """The day that is fetched."""


class FetchReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a fetch that came to its end."""

    series: Series
    directory: Path
    files: list[str]
    progress: Progress


Tell = Callable[[Progress], None]


class Rows(Protocol):
    """A venue's REST history."""

    def rows(self, kind: HistoryKind, interval: str, span: Span) -> AsyncIterator[Row]: ...


async def fetch(
    wish: FetchWish,
    tell: Tell = lambda progress: None,
    *,
    budgets: tuple[Budget | None, Budget | None] = (None, None),
    now_ns: int | None = None,
) -> FetchReport:
    """Fetches what is missing. `budgets`: other limit models for REST and archive (tests).

    Raises:
        HistoryError: the wish is wrong, or a day could not be had. Days before it are complete and listed.
    """
    span = span_of(wish.from_text, wish.to_text, time.time_ns() if now_ns is None else now_ns)
    _check(wish)
    store = HistoryStore(wish.directory)
    scratch = Path(tempfile.mkdtemp(prefix=".download-", dir=wish.directory))
    run = _Run(wish, store, scratch, tell, budgets)
    try:
        return await run.all(list(span.days()))
    finally:
        await run.close()
        shutil.rmtree(scratch, ignore_errors=True)
        store.close()


def _check(wish: FetchWish) -> None:
    if wish.venue not in VENUES:
        raise HistoryError("UNKNOWN_VENUE", f"no history of {wish.venue!r}; there is {', '.join(VENUES)}")
    if wish.interval not in INTERVALS_S:
        raise HistoryError("BAD_INTERVAL", f"{wish.interval!r}; there are {', '.join(INTERVALS_S)}")
    if wish.source not in SOURCES or (wish.source == "archive" and wish.venue != "binance"):
        raise HistoryError("BAD_SOURCE", f"{wish.venue} has no source {wish.source!r}")
    if not wish.symbol.replace("/", "").isalnum() or not wish.symbol.isascii() or len(wish.symbol) > 32:
        raise HistoryError("UNKNOWN_SYMBOL", f"{wish.symbol[:40]!r} is no symbol")


class _Run:
    """One fetch."""

    def __init__(
        self,
        wish: FetchWish,
        store: HistoryStore,
        scratch: Path,
        tell: Tell,
        budgets: tuple[Budget | None, Budget | None],
    ) -> None:
        self.wish, self.store, self._tell = wish, store, tell
        interval = wish.interval if wish.kind is HistoryKind.CANDLES else ""
        self.series = Series(venue=wish.venue, symbol=wish.symbol.upper(), kind=wish.kind, interval=interval)
        for left in wish.directory.glob(".download-*"):
            if left != scratch:  # of a run that was killed; the folder's lock is ours
                shutil.rmtree(left, ignore_errors=True)
        self._clients: list[HistoryClient] = []
        self.rest = self._rest(budgets[0])
        self.archive = self._archive(budgets[1], scratch)
        self.progress = Progress(days=0)

    def _client(self, url: str, budget: Budget) -> HistoryClient:
        text = kraken.error_text if self.wish.venue == "kraken" else lambda body: ""
        client = HistoryClient(url, budget, policy=self.wish.policy, error_text=text)
        self._clients.append(client)
        return client

    def _rest(self, budget: Budget | None) -> Rows:
        wish = self.wish
        if wish.venue == "kraken":
            return KrakenHistory(self._client(wish.url or kraken.URL, budget or KrakenBudget()), wish.symbol)
        own = BinanceBudget()
        return BinanceHistory(self._client(wish.url or binance.URL, budget or own), own, wish.symbol)

    def _archive(self, budget: Budget | None, scratch: Path) -> BinanceArchive | None:
        wish = self.wish
        unwanted = wish.url is not None and wish.archive_url is None and wish.source != "archive"
        if wish.venue != "binance" or wish.source == "rest" or unwanted:
            return None
        client = self._client(wish.archive_url or archive.URL, budget or ArchiveBudget())
        return BinanceArchive(client, wish.symbol, scratch)

    async def close(self) -> None:
        for client in self._clients:
            await client.close()

    # ---- days ----------------------------------------------------------------------------------------

    async def all(self, days: list[Span]) -> FetchReport:
        self.progress.days = len(days)
        for month, group in groupby(days, key=lambda day: day.day[:7]):
            await self._month(month, list(group))
        files = [self.series.file_name(day) for day in days]
        return FetchReport(
            series=self.series, directory=self.wish.directory, files=files, progress=self.progress
        )

    async def _month(self, month: str, days: list[Span]) -> None:
        missing = [day for day in days if not self.store.complete(self.series, day)]
        self.progress.kept_days += len(days) - len(missing)
        self.progress.done_days += len(days) - len(missing)
        self._say(month)
        year, number = map(int, month.split("-"))
        whole_month = len(missing) == calendar.monthrange(year, number)[1] and all(
            day.whole_day for day in missing
        )
        if self.archive is not None and whole_month and await self._from_month(month, missing):
            return
        for day in missing:
            await self._day(day)

    async def _from_month(self, month: str, days: list[Span]) -> bool:
        assert self.archive is not None
        found = await self._get(month)
        if found is None:
            return False
        splitter = _Splitter(found.rows(), days[0].from_ns)
        for day in days:
            await self._write(day, splitter.day(day), found.source, found.sha256)
        splitter.end()
        found.path.unlink(missing_ok=True)
        return True

    async def _day(self, day: Span) -> None:
        self._say(day.day)
        if self.archive is not None and day.whole_day:
            found = await self._get(day.day)
            if found is not None:
                splitter = _Splitter(found.rows(), day.from_ns)
                await self._write(day, splitter.day(day), found.source, found.sha256)
                splitter.end()
                found.path.unlink(missing_ok=True)
                return
        if self.wish.source == "archive":
            raise HistoryError("NOT_FOUND", f"the archive does not have {self.wish.symbol} of {day.day}")
        rows = self.rest.rows(self.wish.kind, self.wish.interval, day)
        await self._write(day, self._counted(rows), f"rest:{self.wish.venue}", "")

    async def _get(self, period: str) -> Archived | None:
        assert self.archive is not None

        def downloaded(size: int) -> None:
            self.progress.download_bytes = size
            self._say(period)

        found = await self.archive.get(self.wish.kind, self.wish.interval, period, downloaded)
        self.progress.download_bytes = 0
        return found

    async def _counted(self, rows: AsyncIterator[Row]) -> AsyncIterator[Row]:
        before = self.progress.rows
        count = 0
        async for row in rows:
            count += 1
            if count % 1_000 == 0:
                self.progress.rows = before + count
                self._say(self.progress.at)
            yield row
        self.progress.rows = before

    async def _write(self, day: Span, rows: AsyncIterator[Row], source: str, checksum: str) -> None:
        entry = await self.store.write(self.series, day, rows, source=source, checksum=checksum)
        self.progress.rows += entry.rows
        self.progress.missing_ids += entry.missing_ids
        self.progress.done_days += 1
        self._say(day.day)

    def _say(self, at: str) -> None:
        self.progress.at = at
        self.progress.requests = sum(one.requests for one in self._clients)
        self.progress.retries = sum(one.retries for one in self._clients)
        self.progress.rejected_archives = 0 if self.archive is None else self.archive.rejected
        self._tell(self.progress)


class _Splitter:
    """Deals the rows of a zip out to its days."""

    def __init__(self, rows: Iterable[Row], begin_ns: int) -> None:
        self._rows = iter(rows)
        self._begin_ns = begin_ns
        self._next = next(self._rows, None)

    async def day(self, span: Span) -> AsyncIterator[Row]:
        """Rows of this day; days come in order. Rows before the first day are an error."""
        while self._next is not None and int(self._next[0]) < span.to_ns:
            row, self._next = self._next, next(self._rows, None)
            yield row  # one before the day is refused by the store

    def end(self) -> None:
        """Raises `HistoryError` when rows are left that belong to no day."""
        if self._next is not None:
            raise HistoryError("BAD_ARCHIVE", f"a row of {self._next[0]} ns is behind the end of its zip")
