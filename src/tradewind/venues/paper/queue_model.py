"""The engine's resting orders of one market as the native mirror keeps them, for who looks at them.

An entry is either the mirror's or *own* (any other account's). The bookkeeping itself is `crates/paper`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from tradewind.core.native import PaperMirror, paper_segment_cuts

from ..market_data import Side

CancelModel = Literal["prorata", "pessimistic"]


class Entry(msgspec.Struct, kw_only=True):
    """One resting order in its level's queue. `total_lots` includes what was filled already."""

    order_id: int
    side: Side
    price_ticks: int
    lots: int
    total_lots: int
    priority: int
    mirror: bool
    account: int


class Level(msgspec.Struct, frozen=True):
    """A price level: entries front first."""

    entries: list[Entry]

    @property
    def mirror_lots(self) -> int:
        """Lots of the mirror."""
        return sum(entry.lots for entry in self.entries if entry.mirror)

    @property
    def own_count(self) -> int:
        """Orders of other accounts."""
        return sum(not entry.mirror for entry in self.entries)


class Queues:
    """All levels of both sides, as they are at the moment of the call."""

    def __init__(self, native: PaperMirror) -> None:
        self._native = native

    def level(self, side: Side, price_ticks: int) -> Level | None:
        """The level, or None when nothing rests there."""
        rows = self._native.level(side, price_ticks)
        return None if rows is None else Level([_entry(row) for row in rows])

    @property
    def levels(self) -> tuple[dict[int, Level], dict[int, Level]]:
        """Levels by price, of each side."""
        found: tuple[dict[int, Level], dict[int, Level]] = ({}, {})
        for entry in self.entries():
            found[entry.side].setdefault(entry.price_ticks, Level([])).entries.append(entry)
        return found

    @property
    def orders(self) -> dict[int, Entry]:
        """Resting orders by their number."""
        return {entry.order_id: entry for entry in self.entries()}

    def mirror_lots(self, side: Side, price_ticks: int) -> int:
        """Lots of the mirror at this level."""
        return self._native.mirror_lots(side, price_ticks)

    def entries(self) -> list[Entry]:
        """Every resting order, level by level in queue order."""
        return [_entry(row) for row in self._native.entries()]

    def rest(self, entry: Entry) -> None:
        """The order rests as stated, behind what is at its level (a checkpoint gives them in order)."""
        self._native.rest(
            (
                entry.order_id,
                int(entry.side),
                entry.price_ticks,
                entry.lots,
                entry.total_lots,
                entry.priority,
                entry.mirror,
                entry.account,
            )
        )


def _entry(row: tuple[int, int, int, int, int, int, bool, int]) -> Entry:
    order_id, side, price_ticks, lots, total_lots, priority, mirror, account = row
    return Entry(
        order_id=order_id,
        side=Side(side),
        price_ticks=price_ticks,
        lots=lots,
        total_lots=total_lots,
        priority=priority,
        mirror=mirror,
        account=account,
    )


def segment_cuts(sizes: list[int], excess_lots: int, model: CancelModel) -> list[int]:
    """Lots to remove from each segment of a level between own orders, front first (T15.2 rule 3).

    `prorata` removes in proportion, the rounding remainder from the back; `pessimistic` from behind first.
    They sum to min(excess, all lots).
    """
    return paper_segment_cuts(sizes, excess_lots, model == "pessimistic")
