"""Typed front of the native mirror (`crates/paper`): the rules of T15.2, outside market data in, plans out.

The mirror knows what the venue displays, what the engine's queues hold (fed from engine events) and plans the
actions that bring the second to the first. It never invents liquidity: an own order trades only by a print
(rule 2), a crossing that persists (rule 4) or by taking displayed lots (rule 6).

Sizes are whole *engine* lots; the venue's finer lots are floored, and the remainders of prints are carried.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from tradewind.core.native import PaperMirror, PaperPlan

from ..market_data import Level, Side
from .queue_model import CancelModel, Queues

MILLISECOND_NS = 1_000_000


class MirrorConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds and times of the mirror.

    `depth_levels`: best levels of each side that are mirrored (levels that leave stay until twice that
    depth, which keeps the mirror below the engine's 200 open orders per sub-account and market).
    `lots_ratio`: the venue's lots in one engine lot.
    """

    depth_levels: int = 40
    lots_ratio: int = 1
    cancel_model: CancelModel = "prorata"
    decrease_wait_ns: int = 100 * MILLISECOND_NS
    cross_wait_ns: int = 100 * MILLISECOND_NS
    shadow_ns: int = 10_000 * MILLISECOND_NS


class MirrorStats(msgspec.Struct, frozen=True):
    """Counters of one mirror; `forced_lots` over `updates` is the discrepancy metric of rule 5."""

    updates: int
    prints: int
    prints_without_side: int
    unexplained_levels: int
    forced_lots: int
    trade_through_fills: int
    stale_better_lots: int
    shadowed_lots: int


class Party(NamedTuple):
    """Handle, principal and account id of one of the mirror's two senders."""

    handle: int
    principal: bytes
    account: bytes


class MirrorBook:
    """Mirror of one symbol. Not thread-safe; every call states the time, none reads a clock."""

    def __init__(self, config: MirrorConfig, market: int, maker: Party, taker: Party) -> None:
        self.config = config
        self.native = PaperMirror(
            market,
            maker,
            taker,
            config.depth_levels,
            config.lots_ratio,
            config.cancel_model == "pessimistic",
            (config.decrease_wait_ns, config.cross_wait_ns, config.shadow_ns),
        )
        self.queues = Queues(self.native)

    @property
    def live(self) -> bool:
        """Whether the outside book is live and mirrored."""
        return self.native.live

    @property
    def stats(self) -> MirrorStats:
        """The counters now."""
        return MirrorStats(*self.native.stats())

    # ---- what the venue displays -------------------------------------------------------------------

    def best(self, side: Side) -> int | None:
        """Best displayed price of the venue, in ticks."""
        return self.native.best(side)

    def shown_lots(self, side: Side, price_ticks: int) -> int:
        """Displayed size at a level in whole engine lots."""
        return self.native.shown_lots(side, price_ticks)

    def top(self, side: Side, count: int) -> list[tuple[int, int]]:
        """The best `count` displayed levels as (price_ticks, engine lots), best first."""
        return self.native.top(side, count)

    def shown_through(self, side: Side, limit_ticks: int) -> int:
        """Displayed size of a side from its best price to `limit_ticks`, in engine lots."""
        return self.native.shown_through(side, limit_ticks)

    def wanted_lots(self, side: Side, price_ticks: int) -> int:
        """What the mirror should hold: displayed, less what paper takers took, less prints not yet
        displayed.
        """
        return self.native.wanted_lots(side, price_ticks)

    # ---- inputs ------------------------------------------------------------------------------------

    def snapshot(self, bids: Sequence[Level], asks: Sequence[Level], now_ns: int) -> PaperPlan:
        """A whole new book. Queues that survived a gap shrink at once (nobody printed what we missed)."""
        return self.native.snapshot(bids, asks, now_ns)

    def remember(self, bids: Sequence[Level], asks: Sequence[Level]) -> None:
        """Take note of a whole new book without acting on it."""
        self.native.remember(bids, asks)

    def resume(self, now_ns: int) -> PaperPlan:
        """The book is live (again): everything that is not displayed leaves at once."""
        return self.native.resume(now_ns)

    def suspend(self) -> None:
        """The book is not live any more: no prints, no crossings, no changes until the next snapshot (rule
        8).
        """
        self.native.suspend()

    def diff(
        self, bids: Sequence[Level], asks: Sequence[Level], venue_ts_ns: int | None, now_ns: int
    ) -> PaperPlan:
        """Absolute new sizes of some levels, in venue lots. Without a live book they are only remembered."""
        return self.native.diff(bids, asks, venue_ts_ns, now_ns)

    def trade(
        self, price_ticks: int, venue_lots: int, aggressor: Side | None, venue_ts_ns: int | None
    ) -> PaperPlan:
        """A public trade print (rule 2)."""
        return self.native.trade(price_ticks, venue_lots, aggressor, venue_ts_ns)

    def prepare(self, side: Side, price_ticks: int, lots: int) -> PaperPlan:
        """What must be mirrored before an own order arrives: the queue it joins and the depth it may take."""
        return self.native.prepare(side, price_ticks, lots)

    def due(self, now_ns: int) -> PaperPlan | None:
        """Actions whose time has come: waited-out decreases, persisted crossings, expired shadows, held
        levels.
        """
        return self.native.due(now_ns)

    def next_due_ns(self) -> int | None:
        """The earliest moment at which `due` may have something to do; None: nothing is waiting."""
        return self.native.next_due_ns()
