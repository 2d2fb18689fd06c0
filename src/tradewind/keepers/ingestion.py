"""Shows an outside venue's catalogue in the outcome markets that are linked to it (protocol P6.3, P6.7).

Batches of 1,000 markets, one every 2.8 s, each of at most ten pages; 21 of them are one round over 21,000
markets. Prices that have not changed are not sent again, only their age is made new. An entry that cannot be
read is skipped and counted by its code.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections import Counter
from collections.abc import Iterator
from typing import ClassVar, Final

import msgspec
import structlog

from tradewind.keepers.port import Action, Identity, Outcome, Port, VenueLink, duty_key
from tradewind.keepers.worker import POLL_S, Worker, WorkerEnded
from tradewind.venues.catalogue.client import PAGE_MARKETS, CatalogueClient, PageUnavailable
from tradewind.venues.catalogue.messages import BadItem, CatalogueMarket, decode_market

log = structlog.get_logger("tradewind.keepers")

BATCH_MARKETS: Final = 1_000
PAGES: Final = BATCH_MARKETS // PAGE_MARKETS
BATCH_EVERY_S: Final = 2.8
MAX_OPEN_BATCHES: Final = 24
"""Batches whose pages are still awaited; a round of 21 can wait for its retries."""
ALERT_PART: Final = 100
FAILED_PART: Final = 5
"""More than one entry in so many is bad: alert, and failed batch (P6.7.6)."""
OUTAGE_ALERT_S: Final = 180.0
OUTAGE_BREAKER_S: Final = 300.0
PART_OUTCOMES: Final = 5
REFRESH_MARKETS: Final = 384
"""Markets that one command can mark as unchanged."""
ENDS: Final = frozenset({"PERMISSION_DENIED", "ROLE_EXPIRED", "PRINCIPAL_SUSPENDED"})


class BatchReport(msgspec.Struct, kw_only=True):
    """What became of one batch."""

    entries: int = 0
    quoted: int = 0
    unchanged: int = 0
    unlinked: int = 0
    """Markets of the catalogue that no market here shows; they are not bad."""
    untradable: int = 0
    bad: Counter[str] = msgspec.field(default_factory=Counter)
    pages_lost: int = 0

    @property
    def bad_entries(self) -> int:
        """Entries that were skipped; a page that never came counts as full of them."""
        return self.bad.total() + self.pages_lost * PAGE_MARKETS

    @property
    def alert(self) -> bool:
        """More than 1 % of the entries were bad."""
        return self.bad_entries * ALERT_PART > self._all

    @property
    def failed(self) -> bool:
        """More than 20 % were bad."""
        return self._all == 0 or self.bad_entries * FAILED_PART > self._all

    @property
    def _all(self) -> int:
        return self.entries + self.pages_lost * PAGE_MARKETS


class _Item(msgspec.Struct, frozen=True):
    link: VenueLink
    market: CatalogueMarket
    venue_time_ns: int


class IngestionWorker(Worker):
    """One source that publishes a catalogue. `client` has the process's request budget."""

    kind: ClassVar[str] = "ingestion"

    def __init__(
        self, identity: Identity, port: Port, client: CatalogueClient, *, one_by_one: bool = False
    ) -> None:
        """`one_by_one`: a round ends when its batch is over, not when the next one is due."""
        super().__init__(identity, port)
        self._one_by_one = one_by_one
        self.client = client
        self.batches: Counter[str] = Counter()
        """good, alert, failed."""
        self.bad: Counter[str] = Counter()
        """Skipped entries by code, since the worker was made."""
        self._offset = 0
        self._last_good_s: float | None = None
        self._outage_level = 0
        """0 none, 1 alert, 2 the engine has halted the markets."""
        self._last_batch = 0
        self._open: set[asyncio.Task[None]] = set()
        self._sent: dict[int, CatalogueMarket] = {}
        """What the platform has of each market, as far as it is known here."""
        self._links: dict[bytes, VenueLink] = {}
        self._failure: BaseException | None = None
        self._rounds = 0
        self._ends_at: int | None = None

    async def run(self) -> None:
        """See `Worker`; batches under way are given up when it ends."""
        try:
            await super().run()
        finally:
            await self.close()

    async def close(self) -> None:
        """Gives up the batches under way and closes the connections."""
        for task in tuple(self._open):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
        await self.client.close()

    async def round(self) -> float:
        """Begins the next batch; seconds until the one behind it."""
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        self._tell_outage_at(asyncio.get_running_loop().time())
        if self._offset == 0 or not self._links:
            # Once a round: what an operator links meanwhile is shown in the next one.
            known = await self.port.venue_links(self.identity)
            self._links = {link.condition: link for link in known.links}
        if not self._links:
            self.stats.note = "no market is linked to this source"
            return POLL_S
        self.stats.due = len(self._open)
        if len(self._open) >= MAX_OPEN_BATCHES:
            self.stats.note = f"{len(self._open)} batches wait for their pages"
            return BATCH_EVERY_S
        offset = self._offset
        self._offset += BATCH_MARKETS
        if self._ends_at is not None and self._offset >= self._ends_at:
            self._offset, self._ends_at = 0, None
            self._rounds += 1
        task = asyncio.create_task(self._batch(offset, self._links), name=f"ingestion-{offset}")
        self._open.add(task)
        if self._one_by_one:
            await asyncio.wait([task])
            self._open.discard(task)
            await task
            return BATCH_EVERY_S
        task.add_done_callback(self._ended)
        return BATCH_EVERY_S

    async def drain(self) -> None:
        """Until every batch that was begun is over."""
        while self._open:
            await asyncio.wait(tuple(self._open))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._open.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = error

    def _tell_outage_at(self, now_s: float) -> None:
        """P6.7.4 as seen from here; the engine counts for itself."""
        if self._last_good_s is None:
            self._last_good_s = now_s  # the first batch has the time of an outage to succeed
        without_s = now_s - self._last_good_s
        level = (without_s > OUTAGE_ALERT_S) + (without_s > OUTAGE_BREAKER_S)
        if level > self._outage_level:
            self.stats.faults += 1
            log.error("ingestion_outage", worker=self.name, without_s=int(without_s), level=level)
        self._outage_level = level
        if level:
            halted = ": its markets are halted" if level > 1 else ""
            self.stats.note = f"no good batch for {without_s:.0f} s{halted}"

    # ---- one batch ---------------------------------------------------------------------------------------

    async def _batch(self, offset: int, by_condition: dict[bytes, VenueLink]) -> None:
        report = BatchReport()
        pages = await asyncio.gather(
            *(self._page(offset + place * PAGE_MARKETS, report) for place in range(PAGES))
        )
        items: dict[bytes, _Item] = {}
        for taken_ns, entries in pages:
            self._read(taken_ns, entries, by_condition, items, report)
        if report.entries == 0 and report.pages_lost == 0:
            return  # behind the end of the catalogue
        if items:
            await self._publish(list(items.values()), report)
        self._count(report)

    async def _page(self, offset: int, report: BatchReport) -> tuple[int, list[bytes]]:
        """Entries of a page with the moment at which it was asked for: what it says is at least that old."""
        asked_ns = self.port.now_ns()
        try:
            entries = await self.client.page(offset)
        except PageUnavailable as error:
            report.pages_lost += 1
            self.bad[error.code] += 1
            log.warning("catalogue_page_lost", worker=self.name, code=error.code, detail=str(error))
            return asked_ns, []
        if len(entries) < PAGE_MARKETS:
            end = offset + len(entries)
            self._ends_at = end if self._ends_at is None else min(self._ends_at, end)
        return asked_ns, entries

    def _read(
        self,
        taken_ns: int,
        entries: list[bytes],
        by_condition: dict[bytes, VenueLink],
        items: dict[bytes, _Item],
        report: BatchReport,
    ) -> None:
        for entry in entries[: 2 * PAGE_MARKETS]:
            report.entries += 1
            try:
                market = decode_market(entry)
            except BadItem as error:
                report.bad[error.code] += 1
                continue
            link = by_condition.get(market.condition)
            if link is None:
                report.unlinked += 1
            elif len(market.bids) != link.outcomes:
                report.bad["INVALID_OUTCOME_COUNT"] += 1
            elif not market.tradable:
                report.untradable += 1
            else:
                # The same market twice: pages move while they are read. The first one counts.
                items.setdefault(market.condition, _Item(link, market, taken_ns))

    def _count(self, report: BatchReport) -> None:
        self.bad.update(report.bad)
        self.stats.rejected.update(report.bad)
        if report.failed:
            self.batches["failed"] += 1
        else:
            self.batches["good"] += 1
            self._last_good_s = asyncio.get_running_loop().time()
        self.stats.note = ""
        if report.alert:
            self.batches["alert"] += 1
            self.stats.note = f"{report.bad_entries} of {report.entries} entries are bad"
            log.warning("ingestion_bad_items", worker=self.name, bad=dict(report.bad), entries=report.entries)

    # ---- what goes to the platform -----------------------------------------------------------------------

    async def _publish(self, items: list[_Item], report: BatchReport) -> None:
        seq = self._last_batch = max(self.port.now_ns(), self._last_batch + 1)
        changed = [item for item in items if self._sent.get(item.link.market) != item.market]
        same = [item for item in items if self._sent.get(item.link.market) == item.market]
        unreadable = min(report.bad_entries, BATCH_MARKETS)
        header = self._action("PublishVenueBatch", seq, 0, batch=seq, count=len(items), unreadable=unreadable)
        parts = [(item, fields) for item in changed for fields in _parts(item, seq)]
        marks = list(_marks(same, seq))
        actions = [
            header,
            *(self._action("VenueItem", seq, place + 1, **fields) for place, (_, fields) in enumerate(parts)),
            *(
                self._action("RefreshVenue", seq, len(parts) + place + 1, **fields)
                for place, (_, fields) in enumerate(marks)
            ),
        ]
        self.stats.actions += len(actions)
        outcomes = await self.port.send_all(self.identity, actions)
        self.stats.last_action_ns = self.port.now_ns()
        self.stats.lag_ns = max(0, self.stats.last_action_ns - min(item.venue_time_ns for item in items))
        self._answered(outcomes[0], None)
        for (item, _), outcome in zip(parts, outcomes[1:], strict=False):
            if self._answered(outcome, item) and outcome.value == 0:
                self._sent[item.link.market] = item.market
        for (marked, _), outcome in zip(marks, outcomes[1 + len(parts) :], strict=False):
            if not self._answered(outcome, None) or outcome.value != len(marked):
                # Some of them were not taken: they are sent in full the next time.
                for item in marked:
                    self._sent.pop(item.link.market, None)
        report.quoted, report.unchanged = len(changed), len(same)

    def _action(self, command: str, seq: int, place: int, **fields: int | bytes) -> Action:
        key = duty_key("venue", self.identity.principal.hex(), seq, place)
        return Action(command=command, fields=fields, key=key)

    def _answered(self, outcome: Outcome, item: _Item | None) -> bool:
        if outcome.accepted:
            self.stats.accepted += 1
            if item is not None and outcome.value:
                self._sent.pop(item.link.market, None)
            return True
        self.stats.rejected[outcome.code] += 1
        if item is not None:
            self._sent.pop(item.link.market, None)
        if outcome.code in ENDS:
            raise WorkerEnded(outcome.code, f"the engine refused {self.identity.name}")
        return False


def _parts(item: _Item, seq: int) -> Iterator[dict[str, int | bytes]]:
    """A market's fields, five outcomes a command."""
    bids, asks = item.market.bids, item.market.asks
    for first in range(0, len(bids), PART_OUTCOMES):
        some = slice(first, first + PART_OUTCOMES)
        yield {
            "market": item.link.market,
            "first": first,
            "quotes": len(bids[some]),
            "liquidity": item.market.liquidity,
            "venue_time_ns": item.venue_time_ns,
            "source_seq": seq,
            "bids": _packed(bids[some]),
            "asks": _packed(asks[some]),
        }


def _packed(prices: tuple[int, ...]) -> bytes:
    return struct.pack(f"<{PART_OUTCOMES}I", *prices, *[0] * (PART_OUTCOMES - len(prices)))


def _marks(items: list[_Item], seq: int) -> Iterator[tuple[list[_Item], dict[str, int | bytes]]]:
    """Unchanged markets in runs that one command can mark; the oldest moment of a run is told."""
    ordered = sorted(items, key=lambda item: item.link.market)
    while ordered:
        first = ordered[0].link.market
        run = [item for item in ordered if item.link.market - first < REFRESH_MARKETS]
        ordered = ordered[len(run) :]
        bits = bytearray(REFRESH_MARKETS // 8)
        for item in run:
            place = item.link.market - first
            bits[place // 8] |= 1 << place % 8
        yield (
            run,
            {
                "first": first,
                "venue_time_ns": min(item.venue_time_ns for item in run),
                "source_seq": seq,
                "markets": bytes(bits),
            },
        )
