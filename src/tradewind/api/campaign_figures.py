"""Reads the figures of one sample from the kernel, the interpreter, the log, the feed and the trader."""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import shutil
import sys
import threading
import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tradewind.observe import logs
from tradewind.observe.metrics import resident_bytes
from tradewind.trader.campaign.samples import FeedFigures, LogFigures, ProcessFigures, TradingFigures
from tradewind.trader.session import Session
from tradewind.venues.feeds.base import Feed
from tradewind.venues.feeds.live import LiveFeed
from tradewind.venues.market_data import BookState, Known

from .campaign_meter import VenueMeter

if TYPE_CHECKING:
    from tradewind.api.platform import Platform

GUARDED_LIMITS: Final = frozenset({"L05", "L07", "L08", "L09", "L10", "L11"})
"""Limits that orders may never push over their bound; the others are gates and loss limits."""
DRIFT_ALLOWED: Final = Decimal("1.05")
"""A position checked at its limit may be worth a little more after the price moved; beyond is a breach."""
MAX_LOOK_S: Final = 5.0
MAX_ALARMS_SHOWN: Final = 20


class _Mallinfo2(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks",
            "keepcost",
        )
    ]  # fmt: skip


def _allocator() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(None)
        library.mallinfo2.restype = _Mallinfo2
    except (OSError, AttributeError):
        return None
    return library


_LIBRARY: Final = _allocator()


def heap_bytes() -> int | None:
    """Bytes in use in the C library's allocator; None where it cannot be asked."""
    if _LIBRARY is None:
        return None
    info = _LIBRARY.mallinfo2()
    return int(info.uordblks) + int(info.hblkhd)


def descriptors() -> int | None:
    """Open file descriptors; None where /proc is missing."""
    try:
        return len(os.listdir("/proc/self/fd")) - 1
    except OSError:
        return None


def process_figures(data: Path) -> ProcessFigures:
    """Of this process, now."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    try:
        disk = shutil.disk_usage(data)
    except OSError:
        disk = None
    return ProcessFigures(
        rss_bytes=resident_bytes(),
        heap_bytes=heap_bytes(),
        python_blocks=sys.getallocatedblocks(),
        cpu_s=usage.ru_utime + usage.ru_stime,
        descriptors=descriptors(),
        tasks=len(asyncio.all_tasks()),
        threads=threading.active_count(),
        descriptor_limit=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        cpu_limit=float(len(os.sched_getaffinity(0))),
        disk_free_bytes=None if disk is None else disk.free,
        disk_total_bytes=None if disk is None else disk.total,
    )


class LogWatch:
    """Log files and journal of one data directory; rotations are counted by the names of closed files."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._data = platform.configuration.data
        self._closed = self._rotated()
        self._rotations = 0
        self._last_block: tuple[int, float] | None = None
        self._longest_gap_s = 0.0

    def _rotated(self) -> set[str]:
        return {one.name for one in (self._data / "logs").glob("tradewind-*.jsonl.gz")}

    def look(self) -> None:
        """Once a second: how long the journal has been silent."""
        blocks, now_s = self._platform.node.blocks_committed, time.monotonic()
        if self._last_block is None or blocks != self._last_block[0]:
            self._last_block = (blocks, now_s)
        self._longest_gap_s = max(self._longest_gap_s, now_s - self._last_block[1])

    def take(self) -> LogFigures:
        """The figures since the last call."""
        now = self._rotated()
        self._rotations += len(now - self._closed)
        self._closed = now
        sink = logs.current()
        sizes = _sizes(self._data / "logs", "*.jsonl*")
        head = self._platform.node.head()
        figures = LogFigures(
            log_bytes=None if sink is None else sink.bytes_written,
            log_file_max_bytes=max(sizes, default=0),
            log_rotations=self._rotations,
            log_dropped=None if sink is None else sink.dropped,
            log_failed=None if sink is None else sink.failed_writes,
            journal_bytes=sum(_sizes(self._platform.node.journal_path, "*.twj")),
            journal_blocks=head.get("blocks", head.get("durable_blocks")),
            journal_seq=head.get("last_seq"),
            heartbeat_gap_s=None if self._last_block is None else round(self._longest_gap_s, 3),
        )
        self._longest_gap_s = 0.0
        return figures


def _sizes(folder: Path, pattern: str) -> list[int]:
    found = []
    for path in folder.glob(pattern):
        try:
            found.append(path.stat().st_size)
        except FileNotFoundError:  # rotated away between the listing and the look
            continue
    return found


class FeedWatch:
    """Live time and reconnects of the market data of one platform."""

    def __init__(self, platform: Platform, session: Session, feed: Feed) -> None:
        self._platform, self._session, self._feed = platform, session, feed
        self.induced = 0
        self.resynced = 0
        self._pending = 0
        self._reconnects = feed.statistics().reconnects
        self._snapshots = self._snapshot_count()
        self._looked_s = time.monotonic()
        self._was_live = self._was_private = False
        self._watched_s = self._live_s = self._private_s = 0.0

    def _snapshot_count(self) -> int:
        return sum(self._feed.book(symbol).counters.snapshots for symbol in self._session.venue.markets)

    @property
    def live(self) -> bool:
        """Whether every traded book is live."""
        return all(self._feed.state(symbol) is BookState.LIVE for symbol in self._session.venue.markets)

    def look(self) -> None:
        """Once a second. A stretch counts as live when both its ends were."""
        now_s = time.monotonic()
        passed_s, self._looked_s = now_s - self._looked_s, now_s
        live = self.live and self._session.ended_reason is None
        private = (
            self._session.ended_reason is None
            and self._session.venue.stopped_reason is None
            and self._platform.node.stop_reason is None
        )
        self._watched_s += passed_s
        if passed_s <= MAX_LOOK_S:
            self._live_s += passed_s if live and self._was_live else 0.0
            self._private_s += passed_s if private and self._was_private else 0.0
        self._was_live, self._was_private = live, private
        reconnects = self._feed.statistics().reconnects
        if reconnects > self._reconnects:
            self._pending += reconnects - self._reconnects
            self._reconnects = reconnects

    def ledger_was_equal(self) -> None:
        """A clean reconciliation: reconnects whose book came back by a fresh snapshot are recovered."""
        snapshots = self._snapshot_count()
        if self._pending and self.live and snapshots > self._snapshots:
            self.resynced += self._pending
            self._pending = 0
        if not self._pending:
            self._snapshots = snapshots

    def take(self) -> FeedFigures:
        """The figures since the last call."""
        statistics = self._feed.statistics()
        rotations = self._feed.link.rotations if isinstance(self._feed, LiveFeed) else 0
        figures = FeedFigures(
            label=self._feed.label,
            watched_s=round(self._watched_s, 3),
            live_s=round(self._live_s, 3),
            private_live_s=round(self._private_s, 3),
            frames=statistics.frames,
            events=statistics.events,
            gaps=statistics.gaps,
            reconnects=statistics.reconnects,
            planned_reconnects=rotations + self.induced,
            resynced=self.resynced,
        )
        self._watched_s = self._live_s = self._private_s = 0.0
        return figures


class TradingWatch:
    """What the trader says of itself."""

    def __init__(self, session: Session, meter: VenueMeter) -> None:
        self._session, self._trader, self._meter = session, session.trader, meter
        self.differences: int | None = None
        self.breaks = 0
        self.breaches = 0
        self._intents = self._trader.oms.stats.intents
        self._suspense = self._trader.oms.stats.suspense
        self._denials = sum(self._trader.risk.denials.values())
        self._seen_ns = 0 if self._trader.reconciled is None else self._trader.reconciled.at_ns
        self._over: set[str] = set()
        self._booked_before = self._booked()

    def _booked(self) -> int:
        return sum(one.fill_count for one in self._trader.ledger.positions.values())

    async def look(self) -> bool:
        """Once a second: compare ledger and engine when nothing is under way. True: compared and equal."""
        reconciled = self._trader.reconciled
        if reconciled is not None and reconciled.at_ns != self._seen_ns:
            self._seen_ns = reconciled.at_ns
            self.breaks += not reconciled.clean
        async with self._session.lock:
            if self._session.venue.in_flight_count or self._trader.has_pending:
                return False
            found = len(await self._trader.reconcile())
        self.differences = max(self.differences or 0, found)
        return not found

    def watch_limits(self) -> None:
        """Count a breach once when it begins."""
        over = {
            one.id
            for one in self._trader.snapshot(max_fills=0).limits
            if one.id in GUARDED_LIMITS and one.fraction is not None and one.fraction > DRIFT_ALLOWED
        }
        self.breaches += len(over - self._over)
        self._over = over

    def take(self, failure: str | None) -> TradingFigures:
        """The figures since the last call."""
        self.watch_limits()
        trader, meter = self._trader, self._meter
        statistics = trader.oms.stats
        mirrors = [market.mirror.stats for market in self._session.venue.markets.values()]
        equity = trader.marks.equity()
        money = trader.marks.profit_and_loss()
        texts = " ".join(filter(None, (failure, trader.strategy_error, trader.oms.overfill)))
        figures = TradingFigures(
            submits=meter.submits,
            acks=meter.acks,
            preventable_rejects=meter.preventable,
            venue_rejects=meter.refused,
            nonce_rejects=meter.nonce_rejects,
            uncertain=meter.uncertain,
            denied=sum(trader.risk.denials.values()) - self._denials,
            unknown_open=meter.unknown_open,
            unknown_max_s=round(meter.take_longest_s(), 3),
            fills=meter.fills,
            ledger_fills=self._booked() - self._booked_before,
            trade_through=sum(one.trade_through_fills for one in mirrors),
            suspense=statistics.suspense - self._suspense,
            orders_open=len(trader.oms.orders),
            signals=statistics.intents - self._intents,
            ledger_differences=self.differences,
            reconciliation_breaks=self.breaks,
            violations=int("IllegalTransition" in texts) + int(bool(trader.oms.overfill)),
            breaches=self.breaches,
            equity=f"{equity.value:f}" if isinstance(equity, Known) else None,
            net_pnl=None if money.net is None else f"{money.net:f}",
            fees=f"{money.fees:f}",
            turnover=f"{sum((one.volume_quote for one in trader.ledger.positions.values()), Decimal(0)):f}",
            mirror_updates=sum(one.updates for one in mirrors),
            mirror_forced=sum(one.unexplained_levels for one in mirrors),
            mirror_refused=sum(market.refused_actions for market in self._session.venue.markets.values()),
            state=trader.state().name.lower(),
        )
        self.differences = None
        return figures


def active_alarms(platform: Platform) -> list[str]:
    """Alarms that stand now, at most twenty."""
    return sorted({f"{one.code}" for one in platform.collector.source().alarms})[:MAX_ALARMS_SHOWN]
