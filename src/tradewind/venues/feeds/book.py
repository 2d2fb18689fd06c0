"""The mirror book: one symbol's outside order book, and whether it may be believed.

States: Empty -> Syncing -> Live -> Suspect -> Syncing. Only Live is *known*. There are two kinds of Suspect:

- **broken** (gap, checksum, decode error, crossed too long): updates were lost; only a new snapshot heals it;
- **quarantined** (stale, implausible): the sequence is intact, updates are still applied and published,
  and the book returns to Live by itself when the objection goes away.

Contract for consumers: after a broken state the next book event is always a `BookSnapshot`, followed by
`FeedState(live)`. A `BookDelta` always applies to what was published before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from tradewind.core.native import BookSides
from tradewind.venues.feeds.health import HealthLimits, PlausibilityMonitor, StalenessBudget
from tradewind.venues.feeds.sequencing import SequenceRule, Verdict
from tradewind.venues.market_data import (
    BookDelta,
    BookSnapshot,
    BookState,
    FeedEvent,
    FeedGap,
    FeedState,
    Instrument,
    Known,
    Level,
    Stale,
    TopOfBook,
    Unknown,
)

Checksum = Callable[["MirrorBook"], int]


class BookLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Named bounds of one mirror book."""

    max_levels: int = 1_000
    min_complete_levels: int = 10
    max_buffered_diffs: int = 10_000
    max_buffer_age_ns: int = 30_000_000_000
    health: HealthLimits = HealthLimits()


class BookCounters(msgspec.Struct, kw_only=True):
    """What happened to one book; counts since the start, never reset."""

    applied: int = 0
    duplicates: int = 0
    gaps: int = 0
    checksum_failures: int = 0
    snapshots: int = 0
    stale_snapshots: int = 0
    buffer_restarts: int = 0
    crossed: int = 0
    quarantines: int = 0


class MirrorBook:
    """Mirror of one symbol. Methods append the resulting events to `out`, in order."""

    def __init__(
        self,
        instrument: Instrument,
        rule: SequenceRule,
        limits: BookLimits | None = None,
        checksum: Checksum | None = None,
    ) -> None:
        if rule.verifies_checksum and checksum is None:
            raise ValueError(f"rule {rule.name} needs a checksum function")
        self.instrument = instrument
        self.symbol = instrument.symbol
        self.rule = rule
        self.limits = limits or BookLimits()
        self.sides = BookSides(self.limits.max_levels)
        self.bids = self.sides.bids
        self.asks = self.sides.asks
        self.counters = BookCounters()
        self.state = BookState.EMPTY
        self.reason = "no data yet"
        self.since_ns = 0
        self.epoch = 0
        self.sequence = 0
        self.as_of_ns: int | None = None
        self._checksum = checksum
        self._synced = False
        self._fresh = False
        self._buffer: deque[BookDelta] = deque()
        self._staleness = StalenessBudget(self.limits.health)
        self._plausibility = PlausibilityMonitor(self.limits.health)

    # ---- reading -----------------------------------------------------------------------------------------

    @property
    def wants_snapshot(self) -> bool:
        """True while only a snapshot can make the book usable."""
        return not self._synced

    @property
    def horizon_reached(self) -> bool:
        """True when the price has moved to the edge of what the last snapshot showed: fetch a new one."""
        if not (self._synced and self.rule.buffers_before_snapshot):
            return False
        minimum = self.limits.min_complete_levels
        return any(side.complete_levels() < minimum <= len(side) for side in (self.bids, self.asks))

    @property
    def buffered(self) -> int:
        """Updates waiting for a snapshot."""
        return len(self._buffer)

    def staleness_budget_ns(self) -> int:
        """Age at which this book becomes stale."""
        return self._staleness.budget_ns()

    def top(self, now_ns: int) -> Known[TopOfBook] | Stale[TopOfBook] | Unknown:
        """Best bid and ask with how well they are known at `now_ns`."""
        bid, ask = self.bids.best, self.asks.best
        if not self._synced or bid is None or ask is None or self.as_of_ns is None:
            return Unknown(self.reason if not self._synced else "one side empty")
        value = TopOfBook(
            symbol=self.symbol, bid_ticks=bid[0], bid_lots=bid[1], ask_ticks=ask[0], ask_lots=ask[1],
            sequence=self.sequence, venue_ts_ns=None, recv_ts_ns=self.as_of_ns, recv_mono_ns=self.as_of_ns,
            epoch=self.epoch,
        )  # fmt: skip
        source = self.instrument.venue
        if self.state is not BookState.LIVE:
            return Stale(value, self.as_of_ns, source, self.reason)
        age_ns, budget_ns = now_ns - self.as_of_ns, self.staleness_budget_ns()
        if age_ns > budget_ns:
            return Stale(value, self.as_of_ns, source, f"stale: {age_ns} ns old, budget {budget_ns} ns")
        return Known(value, self.as_of_ns, source, self.sequence)

    def snapshot(self, recv_ts_ns: int, recv_mono_ns: int | None = None) -> BookSnapshot:
        """The current book as an event."""
        return BookSnapshot(
            symbol=self.symbol, bids=self.bids.top(), asks=self.asks.top(), sequence=self.sequence,
            venue_ts_ns=None, recv_ts_ns=recv_ts_ns,
            recv_mono_ns=recv_ts_ns if recv_mono_ns is None else recv_mono_ns, epoch=self.epoch,
        )  # fmt: skip

    # ---- life cycle --------------------------------------------------------------------------------------

    def begin_sync(self, now_ns: int, reason: str, out: list[FeedEvent], epoch: int | None = None) -> None:
        """Start (or restart) synchronising. A new epoch is a new connection: its buffer starts empty."""
        if epoch is not None and epoch != self.epoch:
            self.epoch = epoch
            self._buffer.clear()
            self._staleness.restart()
        self._synced = False
        self._enter(BookState.SYNCING, reason, now_ns, out)

    def suspect(self, reason: str, now_ns: int, out: list[FeedEvent]) -> None:
        """Updates were lost: the book is broken until the next snapshot."""
        self._synced = False
        self._enter(BookState.SUSPECT, reason, now_ns, out)

    def _enter(self, state: BookState, reason: str, now_ns: int, out: list[FeedEvent]) -> None:
        if state is self.state and reason == self.reason:
            return
        if state is not self.state:
            self.since_ns = now_ns
        self.state, self.reason = state, reason
        out.append(
            FeedState(symbol=self.symbol, state=state, reason=reason, since_ns=now_ns, epoch=self.epoch)
        )

    def _gap(self, reason: str, ids: tuple[int | None, int | None], now_ns: int,
             out: list[FeedEvent]) -> None:  # fmt: skip
        expected, got = ids
        self.counters.gaps += 1
        out.append(
            FeedGap(symbol=self.symbol, reason=reason, expected=expected, got=got, recv_ts_ns=now_ns,
                    epoch=self.epoch)
        )  # fmt: skip
        self.suspect(reason, now_ns, out)

    # ---- input -------------------------------------------------------------------------------------------

    def on_snapshot(self, snapshot: BookSnapshot, out: list[FeedEvent]) -> bool:
        """Take a snapshot and bridge it to the buffered updates. False: too old, another one is needed."""
        now_ns = snapshot.recv_ts_ns
        if self._synced and self.rule.buffers_before_snapshot and snapshot.sequence <= self.sequence:
            self.counters.stale_snapshots += 1
            return True
        if not self._synced and self.state is not BookState.SYNCING:
            self._enter(BookState.SYNCING, "snapshot received", now_ns, out)
        pending = [delta for delta in self._buffer
                   if self.rule.bridge(delta, snapshot.sequence) is not Verdict.DUPLICATE]  # fmt: skip
        if pending and self.rule.bridge(pending[0], snapshot.sequence) is Verdict.GAP:
            self.counters.stale_snapshots += 1
            self._enter(BookState.SYNCING, "snapshot older than the stream", now_ns, out)
            return False
        self._load(snapshot)
        self._buffer.clear()
        while pending and self._absorb(pending[0]):
            pending.pop(0)
        if pending:
            self._buffer.extend(pending)
            ids = (self.rule.expected_id(self.sequence), pending[0].first_id)
            self._gap("gap inside buffered updates", ids, now_ns, out)
            return False
        if snapshot.checksum is not None and not self._checksum_holds(snapshot.checksum, now_ns, out):
            return False
        self._truncate()
        self._plausibility.restart()
        self._synced = True
        self.as_of_ns = now_ns
        self._staleness.observe(now_ns)
        out.append(self.snapshot(now_ns, snapshot.recv_mono_ns))
        self._judge(now_ns, out, "synchronised")
        return True

    def _load(self, snapshot: BookSnapshot) -> None:
        self.counters.snapshots += 1
        self.bids.replace(snapshot.bids)
        self.asks.replace(snapshot.asks)
        self.sequence = snapshot.sequence
        self._fresh = True

    def _absorb(self, delta: BookDelta) -> bool:
        """Apply one buffered update; False when it does not continue the sequence."""
        verdict = self._verdict(delta)
        if verdict is Verdict.APPLY:
            self.bids.apply(delta.bids)
            self.asks.apply(delta.asks)
            self._advance(delta)
        return verdict is not Verdict.GAP

    def _verdict(self, delta: BookDelta) -> Verdict:
        if self._fresh:
            return self.rule.bridge(delta, self.sequence)
        return self.rule.follow(delta, self.sequence)

    def _advance(self, delta: BookDelta) -> None:
        self._fresh = False
        self.sequence = delta.last_id
        self.counters.applied += 1

    def on_delta(self, delta: BookDelta, out: list[FeedEvent]) -> None:
        """Judge one update, apply it and publish the levels that changed."""
        now_ns = delta.recv_ts_ns
        if not self._synced:
            self._hold(delta, out)
            return
        verdict = self._verdict(delta)
        if verdict is Verdict.DUPLICATE:
            self.counters.duplicates += 1
            return
        if verdict is Verdict.GAP:
            ids = (self.rule.expected_id(self.sequence), delta.first_id)
            self._gap("sequence gap", ids, now_ns, out)
            self._hold(delta, out)
            return
        changed = self.sides.update(delta.bids, delta.asks)
        self._advance(delta)
        if delta.checksum is not None and not self._checksum_holds(delta.checksum, now_ns, out):
            return
        self.as_of_ns = now_ns
        self._staleness.observe(now_ns)
        if changed is None:  # every level changed: what is published is the update itself
            if delta.bids or delta.asks:
                out.append(delta)
        elif changed[0] or changed[1]:
            out.append(self._published(delta, *changed))
        self._judge(now_ns, out, "recovered")

    def _published(self, delta: BookDelta, bids: Sequence[Level], asks: Sequence[Level]) -> BookDelta:
        return BookDelta(
            symbol=delta.symbol, bids=bids, asks=asks, first_id=delta.first_id,
            last_id=delta.last_id, previous_id=delta.previous_id, venue_ts_ns=delta.venue_ts_ns,
            recv_ts_ns=delta.recv_ts_ns, recv_mono_ns=delta.recv_mono_ns, epoch=delta.epoch,
            checksum=delta.checksum,
        )  # fmt: skip

    def _hold(self, delta: BookDelta, out: list[FeedEvent]) -> None:
        if not self.rule.buffers_before_snapshot:
            return
        if self.state is BookState.EMPTY:
            self._enter(BookState.SYNCING, "waiting for a snapshot", delta.recv_ts_ns, out)
        buffer, limits = self._buffer, self.limits
        too_many = len(buffer) >= limits.max_buffered_diffs
        if buffer and (too_many or delta.recv_ts_ns - buffer[0].recv_ts_ns > limits.max_buffer_age_ns):
            buffer.clear()
            self.counters.buffer_restarts += 1
        buffer.append(delta)

    def _truncate(self) -> None:
        self.bids.truncate()
        self.asks.truncate()

    def _checksum_holds(self, expected: int, now_ns: int, out: list[FeedEvent]) -> bool:
        if self._checksum is None:
            return True
        computed = self._checksum(self)
        if computed == expected:
            return True
        self.counters.checksum_failures += 1
        self._gap("checksum mismatch", (expected, computed), now_ns, out)
        return False

    # ---- health ------------------------------------------------------------------------------------------

    def confirm_top(self, top: TopOfBook) -> None:
        """The venue's own ticker agrees with the local top: the book is as fresh as that message."""
        if self._synced and self.as_of_ns is not None:
            bid, ask = self.bids.best_ticks, self.asks.best_ticks
            if top.bid_ticks == bid and top.ask_ticks == ask and top.recv_ts_ns > self.as_of_ns:
                self.as_of_ns = top.recv_ts_ns

    def on_time(self, now_ns: int, out: list[FeedEvent]) -> None:
        """Judge age and plausibility when no message arrives (call a few times a second)."""
        if not self._synced or self.as_of_ns is None:
            return
        age_ns, budget_ns = now_ns - self.as_of_ns, self.staleness_budget_ns()
        if age_ns > budget_ns:
            self._quarantine(f"stale: budget {budget_ns // 1_000_000} ms", now_ns, out)
            return
        self._judge(now_ns, out, "recovered")

    def _judge(self, now_ns: int, out: list[FeedEvent], healed: str) -> None:
        bid, ask = self.sides.best_ticks()
        if self._plausibility.crossed_too_long(bid, ask, now_ns):
            self.counters.crossed += 1
            self._gap("crossed book", (bid, ask), now_ns, out)
            return
        objection = self._plausibility.objection(bid, ask, now_ns)
        if objection is not None:
            self._quarantine(objection, now_ns, out)
        elif self.state is not BookState.LIVE:
            self._enter(BookState.LIVE, healed, now_ns, out)

    def _quarantine(self, reason: str, now_ns: int, out: list[FeedEvent]) -> None:
        # one event per kind of objection, not one per message while the numbers inside it move
        if self.state is BookState.SUSPECT and self.reason.split(" ")[:2] == reason.split(" ")[:2]:
            return
        self.counters.quarantines += 1
        self._enter(BookState.SUSPECT, reason, now_ns, out)
