"""The engine's resting orders of one market, level by level in queue order, as the mirror needs them.

Pure bookkeeping, fed from engine events. An entry is either the mirror's or *own* (any other account's).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

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


class Level:
    """A price level: entries front first."""

    __slots__ = ("entries", "mirror_lots", "own_count")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.mirror_lots = 0
        self.own_count = 0


class Queues:
    """All levels of both sides. Every change comes from an engine event; nothing is predicted."""

    def __init__(self) -> None:
        self.levels: tuple[dict[int, Level], dict[int, Level]] = ({}, {})
        self.own_prices: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.orders: dict[int, Entry] = {}

    def level(self, side: Side, price_ticks: int) -> Level | None:
        """The level, or None when nothing rests there."""
        return self.levels[side].get(price_ticks)

    def mirror_lots(self, side: Side, price_ticks: int) -> int:
        """Lots of the mirror at this level."""
        level = self.levels[side].get(price_ticks)
        return level.mirror_lots if level else 0

    def best_own(self, side: Side) -> int | None:
        """Best price at which another account's order rests."""
        prices = self.own_prices[side]
        if not prices:
            return None
        return max(prices) if side is Side.BUY else min(prices)

    def own(self, side: Side) -> Iterator[Entry]:
        """Orders of other accounts on this side, best price first, front first."""
        levels = self.levels[side]
        for price in sorted(self.own_prices[side], reverse=side is Side.BUY):
            yield from (entry for entry in levels[price].entries if not entry.mirror)

    def entries(self) -> list[Entry]:
        """Every resting order, level by level in queue order."""
        return [entry for levels in self.levels for level in levels.values() for entry in level.entries]

    def rest(self, entry: Entry) -> None:
        """The order rests as stated: in place when its priority is unchanged, else at the back of
        its level.
        """
        known = self.orders.get(entry.order_id)
        if known is not None and known.priority == entry.priority and known.price_ticks == entry.price_ticks:
            self.reduce(entry.order_id, entry.lots)
            known.total_lots = entry.total_lots
            return
        if known is not None:
            self.remove(entry.order_id)
        level = self.levels[entry.side].setdefault(entry.price_ticks, Level())
        level.entries.append(entry)
        self.orders[entry.order_id] = entry
        if entry.mirror:
            level.mirror_lots += entry.lots
        else:
            level.own_count += 1
            self.own_prices[entry.side][entry.price_ticks] = level.own_count

    def reduce(self, order_id: int, remaining_lots: int) -> Entry | None:
        """The order keeps its place with fewer lots; with none it leaves. Unknown orders are ignored."""
        entry = self.orders.get(order_id)
        if entry is None:
            return None
        if remaining_lots == 0:
            self.remove(order_id)
            return entry
        if entry.mirror:
            self.levels[entry.side][entry.price_ticks].mirror_lots += remaining_lots - entry.lots
        entry.lots = remaining_lots
        return entry

    def remove(self, order_id: int) -> Entry | None:
        """The order left the book."""
        entry = self.orders.pop(order_id, None)
        if entry is None:
            return None
        levels = self.levels[entry.side]
        level = levels[entry.price_ticks]
        level.entries = [other for other in level.entries if other is not entry]
        if entry.mirror:
            level.mirror_lots -= entry.lots
        else:
            level.own_count -= 1
            self.own_prices[entry.side][entry.price_ticks] = level.own_count
            if not level.own_count:
                del self.own_prices[entry.side][entry.price_ticks]
        if not level.entries:
            del levels[entry.price_ticks]
        return entry


def cancel_shares(entries: list[Entry], excess_lots: int, model: CancelModel) -> list[tuple[Entry, int]]:
    """How many lots an unexplained decrease removes from each mirror order of a level (T15.2 rule 3).

    The level is cut into segments by the own orders in it. `prorata` removes from each segment in proportion
    to its mirror lots, the rounding remainder from the back; `pessimistic` removes from behind first. Inside
    a segment the back goes first: no own order can tell the difference. Never removes more than the mirror
    has.
    """
    segments: list[list[Entry]] = [[]]
    for entry in entries:
        if entry.mirror:
            segments[-1].append(entry)
        else:
            segments.append([])
    sizes = [sum(entry.lots for entry in segment) for segment in segments]
    cuts = segment_cuts(sizes, excess_lots, model)
    shares = []
    for segment, segment_cut in zip(segments, cuts, strict=True):
        left = segment_cut
        for entry in reversed(segment):
            if left == 0:
                break
            part = min(left, entry.lots)
            shares.append((entry, part))
            left -= part
    return shares


def segment_cuts(sizes: list[int], excess_lots: int, model: CancelModel) -> list[int]:
    """Lots to remove from each segment; front segment first. They sum to min(excess, all lots)."""
    total = sum(sizes)
    excess = min(excess_lots, total)
    if total == 0:
        return [0] * len(sizes)
    cuts = [excess * size // total if model == "prorata" else 0 for size in sizes]
    rest = excess - sum(cuts)
    for index in reversed(range(len(sizes))):
        part = min(rest, sizes[index] - cuts[index])
        cuts[index] += part
        rest -= part
    return cuts
