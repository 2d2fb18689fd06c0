"""The mirror rules of T15.2 as a pure planner: outside market data in, mirror actions out.

The planner knows what the venue displays (`_shown`), what the engine's queues hold (`queues`, fed from
engine events) and plans the actions that bring the second to the first. It never invents liquidity: an own
order trades only by a print (rule 2), a crossing that persists (rule 4) or by taking displayed lots (rule
6).

Sizes are whole *engine* lots; the venue's finer lots are floored, and the remainders of prints are carried.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from ..market_data import LevelChange, Side
from .queue_model import CancelModel, Entry, Queues, cancel_shares

MILLISECOND_NS = 1_000_000
MAX_CARRIES = 4_096
MAX_PREPARED_LEVELS = 64
MAX_CREDITED_LEVELS = 4_096
MAX_SHADOWS_PER_LEVEL = 256
BIDS, ASKS = Side.BUY, Side.SELL


class Place(NamedTuple):
    """A new mirror order at the back of its level."""

    side: Side
    price_ticks: int
    lots: int


class Resize(NamedTuple):
    """A mirror order gets this total (filled lots included): smaller keeps its place, larger goes to the
    back.
    """

    order_id: int
    total_lots: int


class Cancel(NamedTuple):
    """A mirror order leaves the book."""

    order_id: int


class Take(NamedTuple):
    """The mirror-taker sends an immediate-or-cancel order."""

    side: Side
    price_ticks: int
    lots: int


Action = Place | Resize | Cancel | Take
LevelKey = tuple[Side, int]


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


class MirrorStats(msgspec.Struct, kw_only=True):
    """Counters of one mirror; `forced_lots` over `updates` is the discrepancy metric of rule 5."""

    updates: int = 0
    prints: int = 0
    prints_without_side: int = 0
    unexplained_levels: int = 0
    forced_lots: int = 0
    trade_through_fills: int = 0
    stale_better_lots: int = 0
    shadowed_lots: int = 0


class _Shown:
    """One side as the venue displays it: venue lots by price, and the prices in order."""

    __slots__ = ("lots", "prices", "side")

    def __init__(self, side: Side) -> None:
        self.side = side
        self.lots: dict[int, int] = {}
        self.prices: list[int] = []

    def set(self, price_ticks: int, lots: int) -> None:
        known = price_ticks in self.lots
        if lots:
            self.lots[price_ticks] = lots
            if not known:
                insort(self.prices, price_ticks)
        elif known:
            del self.lots[price_ticks]
            del self.prices[bisect_left(self.prices, price_ticks)]

    def best(self) -> int | None:
        if not self.prices:
            return None
        return self.prices[-1] if self.side is BIDS else self.prices[0]

    def top(self, count: int) -> list[int]:
        """The best `count` prices, best first."""
        return self.prices[: -count - 1 : -1] if self.side is BIDS else self.prices[:count]

    def through(self, limit_ticks: int) -> Iterator[int]:
        """Prices at `limit_ticks` or better for somebody who takes from this side, best first."""
        if self.side is BIDS:
            for price in reversed(self.prices):
                if price < limit_ticks:
                    return
                yield price
        else:
            for price in self.prices:
                if price > limit_ticks:
                    return
                yield price


def opposite(side: Side) -> Side:
    """The other side."""
    return BIDS if side is ASKS else ASKS


class MirrorBook:
    """Mirror of one symbol. Not thread-safe; every call states the time, none reads a clock."""

    def __init__(self, config: MirrorConfig) -> None:
        self.config = config
        self.queues = Queues()
        self.stats = MirrorStats()
        self.live = False
        self._shown = (_Shown(BIDS), _Shown(ASKS))
        self._shown_ts_ns: int | None = None
        self._shadow: dict[LevelKey, list[list[int]]] = {}
        self._credit: dict[LevelKey, list[tuple[int | None, int]]] = {}
        self._carry: dict[LevelKey, int] = {}
        self._excess_since: dict[LevelKey, int] = {}
        self._cross_since: dict[int, int] = {}
        self._held: set[LevelKey] = set()

    # ---- what the venue displays -------------------------------------------------------------------

    def best(self, side: Side) -> int | None:
        """Best displayed price of the venue, in ticks."""
        return self._shown[side].best()

    def shown_lots(self, side: Side, price_ticks: int) -> int:
        """Displayed size at a level in whole engine lots."""
        return self._shown[side].lots.get(price_ticks, 0) // self.config.lots_ratio

    def top(self, side: Side, count: int) -> list[tuple[int, int]]:
        """The best `count` displayed levels as (price_ticks, engine lots), best first."""
        return [(price, self.shown_lots(side, price)) for price in self._shown[side].top(count)]

    def shown_through(self, side: Side, limit_ticks: int) -> int:
        """Displayed size of a side from its best price to `limit_ticks`, in engine lots."""
        return sum(self.shown_lots(side, price) for price in self._shown[side].through(limit_ticks))

    def wanted_lots(self, side: Side, price_ticks: int) -> int:
        """What the mirror should hold: displayed, less what paper takers took, less prints not yet
        displayed.
        """
        key = (side, price_ticks)
        wanted = self.shown_lots(side, price_ticks)
        if key in self._shadow:
            wanted -= sum(lots for _, lots in self._shadow[key])
        if key in self._credit:
            wanted -= sum(lots for _, lots in self._credit[key])
        return max(0, wanted)

    # ---- inputs ------------------------------------------------------------------------------------

    def snapshot(
        self, bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]], now_ns: int
    ) -> list[Action]:
        """A whole new book. Queues that survived a gap shrink at once (nobody printed what we missed)."""
        self.remember(bids, asks)
        return self.resume(now_ns)

    def remember(self, bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]]) -> None:
        """Take note of a whole new book without acting on it."""
        self._shown = (_Shown(BIDS), _Shown(ASKS))
        for side, levels in ((BIDS, bids), (ASKS, asks)):
            for price, lots in levels:
                self._shown[side].set(price, lots)

    def resume(self, now_ns: int) -> list[Action]:
        """The book is live (again): everything that is not displayed leaves at once."""
        self._shown_ts_ns = None
        self._credit.clear()
        self._carry.clear()
        self._excess_since.clear()
        self._cross_since.clear()
        self._held.clear()
        for key, shadows in list(self._shadow.items()):
            self._cap_shadow(key, shadows)
        self.live = True
        touched = {(side, price) for side in (BIDS, ASKS) for price in self.queues.levels[side]}
        return self._reconcile(touched, {}, now_ns, forced=True)

    def suspend(self) -> None:
        """The book is not live any more: no prints, no crossings, no changes until the next snapshot (rule
        8).
        """
        self.live = False
        self._cross_since.clear()

    def diff(self, changes: Iterable[LevelChange], venue_ts_ns: int | None, now_ns: int) -> list[Action]:
        """Absolute new sizes of some levels, in venue lots. Without a live book they are only remembered."""
        if not self.live:
            for side, price, lots in changes:
                self._shown[side].set(price, lots)
            return []
        self.stats.updates += 1
        self._shown_ts_ns = venue_ts_ns
        touched = self._expire_credits(venue_ts_ns)
        growth: dict[LevelKey, int] = {}
        for side, price, lots in changes:
            key = (side, price)
            before = self.shown_lots(side, price)
            self._shown[side].set(price, lots)
            change = self.shown_lots(side, price) - before
            if change > 0:
                growth[key] = change
            elif change < 0 and key in self._shadow:
                self._drop_shadow(key, -change)
            touched.add(key)
        return self._reconcile(touched, growth, now_ns)

    def trade(
        self, price_ticks: int, venue_lots: int, aggressor: Side | None, venue_ts_ns: int | None, now_ns: int
    ) -> list[Action]:
        """A public trade print (rule 2)."""
        if not self.live:
            return []
        self.stats.prints += 1
        aggressor = self._aggressor(price_ticks) if aggressor is None else aggressor
        if aggressor is None:
            self.stats.prints_without_side += 1
            return []
        hit = opposite(aggressor)
        lots = self._carried(hit, price_ticks, venue_lots)
        actions: list[Action] = list(self._drop_stale_better(hit, price_ticks, venue_ts_ns))
        if lots:
            self._add_credit(
                (hit, price_ticks), venue_ts_ns, self._not_yet_shown(hit, price_ticks, lots, venue_ts_ns)
            )
            actions.append(Take(aggressor, price_ticks, lots))
            self.retry(hit, price_ticks)
        return actions

    def taken(self, side: Side, price_ticks: int, lots: int, now_ns: int) -> None:
        """A paper taker took mirror lots from this level: they stay gone (rule 6)."""
        shadows = self._shadow.setdefault((side, price_ticks), [])
        expiry_ns = now_ns + self.config.shadow_ns
        if len(shadows) >= MAX_SHADOWS_PER_LEVEL:
            shadows[-1][0] = expiry_ns
            shadows[-1][1] += lots
        else:
            shadows.append([expiry_ns, lots])
        self.stats.shadowed_lots += lots

    def retry(self, side: Side, price_ticks: int) -> None:
        """Look at this level again at the next `due`: a placement was refused, or a print came late."""
        self._held.add((side, price_ticks))

    def prepare(self, side: Side, price_ticks: int, lots: int) -> list[Action]:
        """What must be mirrored before an own order arrives: the queue it joins and the depth it may take."""
        actions: list[Action] = []
        room = lots
        taken_from = opposite(side)
        for price in self._shown[taken_from].through(price_ticks):
            actions += self._fill_level(taken_from, price)
            room -= self.wanted_lots(taken_from, price)
            if room <= 0 or len(actions) >= MAX_PREPARED_LEVELS:
                break
        return actions + self._fill_level(side, price_ticks)

    def due(self, now_ns: int) -> list[Action]:
        """Actions whose time has come: waited-out decreases, persisted crossings, expired shadows, held
        levels.
        """
        if not self.live:
            return []
        touched = set(self._held)
        for key, since_ns in self._excess_since.items():
            if now_ns - since_ns >= self.config.decrease_wait_ns:
                touched.add(key)
        touched |= self._expire_shadows(now_ns)
        actions = self._reconcile(touched, {}, now_ns) if touched else []
        return actions + self._crossings(now_ns)

    def next_due_ns(self) -> int | None:
        """The earliest moment at which `due` may have something to do; None: nothing is waiting."""
        moments = [since + self.config.decrease_wait_ns for since in self._excess_since.values()]
        moments += [since + self.config.cross_wait_ns for since in self._cross_since.values()]
        moments += [shadows[0][0] for shadows in self._shadow.values() if shadows]
        return min(moments, default=None)

    # ---- reconciling the mirror with the display ---------------------------------------------------

    def _reconcile(
        self,
        touched: set[LevelKey],
        growth: dict[LevelKey, int],
        now_ns: int,
        forced: bool = False,
    ) -> list[Action]:
        """Cuts first, then placements, so that no mirror order ever meets another one."""
        cleared: set[LevelKey] = set()
        edges: list[int | None] = []
        for side in (BIDS, ASKS):
            cleared |= self._crossed_levels(side) | self._left_window(side)
            window = self._shown[side].top(self.config.depth_levels)
            touched.update((side, price) for price in window if not self.queues.mirror_lots(side, price))
            edges.append(window[-1] if window else None)
        cuts: list[Action] = []
        places: list[Action] = []
        for key in sorted(cleared):
            self._excess_since.pop(key, None)
            cuts += self._clear_level(*key)
        for key in sorted(touched - cleared):
            in_window = self._in_scope(*key, edges[key[0]])
            level_cuts, level_places = self._reconcile_level(
                key, growth.get(key, 0), now_ns, forced=forced, in_scope=in_window
            )
            cuts += level_cuts
            places += level_places
        self._note_crossings(now_ns)
        return cuts + places

    def _reconcile_level(
        self, key: LevelKey, growth: int, now_ns: int, *, forced: bool, in_scope: bool
    ) -> tuple[list[Action], list[Action]]:
        """Cuts and placements of one level; `growth` is what the venue just added to it."""
        side, price = key
        have, want = self.queues.mirror_lots(side, price), self.wanted_lots(side, price)
        if have > want:
            cuts = self._shrink(key, have - want, now_ns, forced)
            waiting = growth and key in self._excess_since
            return cuts, self._grow(key, growth) if waiting else []
        self._excess_since.pop(key, None)
        if have == want:
            self._held.discard(key)
        elif in_scope:
            return [], self._grow(key, want - have)
        return [], []

    def _in_scope(self, side: Side, price_ticks: int, edge: int | None) -> bool:
        """Mirrored already, an own order waits there, or inside the window that ends at `edge`."""
        if self.queues.level(side, price_ticks) is not None:
            return True
        if edge is None:
            return False
        return price_ticks >= edge if side is BIDS else price_ticks <= edge

    def _crossed_levels(self, side: Side) -> set[LevelKey]:
        """Mirror levels at prices where the venue now shows the other side: gone at the venue."""
        best = self.best(opposite(side))
        if best is None:
            return set()
        return {(side, p) for p in self.queues.levels[side] if (p >= best if side is BIDS else p <= best)}

    def _left_window(self, side: Side) -> set[LevelKey]:
        levels = self.queues.levels[side]
        keep = 2 * self.config.depth_levels
        if len(levels) <= keep:
            return set()
        ordered = sorted(levels, reverse=side is BIDS)
        return {(side, price) for price in ordered[keep:] if not levels[price].own_count}

    def _clear_level(self, side: Side, price_ticks: int) -> list[Action]:
        level = self.queues.level(side, price_ticks)
        return [Cancel(entry.order_id) for entry in level.entries if entry.mirror] if level else []

    def _shrink(self, key: LevelKey, excess: int, now_ns: int, forced: bool) -> list[Action]:
        level = self.queues.level(*key)
        assert level is not None
        if level.own_count and not forced:
            since_ns = self._excess_since.setdefault(key, now_ns)
            if now_ns - since_ns < self.config.decrease_wait_ns:
                return []
            self.stats.unexplained_levels += 1
            self.stats.forced_lots += excess
        self._excess_since.pop(key, None)
        return [
            _cut(entry, lots)
            for entry, lots in cancel_shares(level.entries, excess, self.config.cancel_model)
        ]

    def _fill_level(self, side: Side, price_ticks: int) -> list[Action]:
        missing = self.wanted_lots(side, price_ticks) - self.queues.mirror_lots(side, price_ticks)
        return self._grow((side, price_ticks), missing) if missing > 0 else []

    def _grow(self, key: LevelKey, lots: int) -> list[Action]:
        """A new order at the back; the last mirror order grows instead where nobody can tell the
        difference.
        """
        side, price = key
        if self._meets_other_side(side, price):
            self._held.add(key)
            return []
        self._held.discard(key)
        level = self.queues.level(side, price)
        if level is not None and level.entries and level.entries[-1].mirror:
            last = level.entries[-1]
            return [Resize(last.order_id, last.total_lots + lots)]
        return [Place(side, price, lots)]

    def _meets_other_side(self, side: Side, price_ticks: int) -> bool:
        """Whether a mirror order at this price would trade with an own order, or cross the display itself."""
        other = opposite(side)
        best = self.best(other)
        if best is not None and (price_ticks >= best if side is BIDS else price_ticks <= best):
            return True
        own = self.queues.best_own(other)
        if own is None:
            return False
        return price_ticks >= own if side is BIDS else price_ticks <= own

    # ---- prints ------------------------------------------------------------------------------------

    def _aggressor(self, price_ticks: int) -> Side | None:
        bid, ask = self.best(BIDS), self.best(ASKS)
        if bid is not None and price_ticks <= bid:
            return ASKS
        if ask is not None and price_ticks >= ask:
            return BIDS
        return None

    def _carried(self, hit: Side, price_ticks: int, venue_lots: int) -> int:
        """Whole engine lots of this print, with the remainder of earlier ones at the same level."""
        key = (hit, price_ticks)
        if len(self._carry) >= MAX_CARRIES:
            self._carry.clear()
        lots, rest = divmod(self._carry.pop(key, 0) + venue_lots, self.config.lots_ratio)
        if rest:
            self._carry[key] = rest
        return lots

    def _drop_stale_better(self, hit: Side, price_ticks: int, venue_ts_ns: int | None) -> Iterator[Action]:
        """A print at p proves that displayed levels better than p were gone at that moment."""
        better = [p for p in self.queues.levels[hit] if (p > price_ticks if hit is BIDS else p < price_ticks)]
        for price in sorted(better):
            lots = self.queues.mirror_lots(hit, price)
            if lots:
                self.stats.stale_better_lots += lots
                self._add_credit((hit, price), venue_ts_ns, self.shown_lots(hit, price))
                yield from self._clear_level(hit, price)

    def _not_yet_shown(self, hit: Side, price_ticks: int, lots: int, venue_ts_ns: int | None) -> int:
        """Lots of a print that the display still contains: none when a diff was newer, less a waiting
        decrease.
        """
        shown_ns = self._shown_ts_ns
        if venue_ts_ns is not None and shown_ns is not None and venue_ts_ns < shown_ns:
            return 0
        waiting = self.queues.mirror_lots(hit, price_ticks) - self.wanted_lots(hit, price_ticks)
        return lots - min(lots, max(0, waiting))

    def _add_credit(self, key: LevelKey, venue_ts_ns: int | None, lots: int) -> None:
        if not lots:
            return
        if len(self._credit) >= MAX_CREDITED_LEVELS:
            self._credit.clear()
        self._credit.setdefault(key, []).append((venue_ts_ns, lots))

    def _expire_credits(self, venue_ts_ns: int | None) -> set[LevelKey]:
        """Prints up to the diff's own time are part of the diff. Returns the levels they belong to."""
        touched = set()
        for key, credits in list(self._credit.items()):
            left = [c for c in credits if venue_ts_ns is not None and c[0] is not None and c[0] > venue_ts_ns]
            if len(left) != len(credits):
                touched.add(key)
            if left:
                self._credit[key] = left
            else:
                del self._credit[key]
        return touched

    # ---- shadows -----------------------------------------------------------------------------------

    def _drop_shadow(self, key: LevelKey, lots: int) -> None:
        """The venue lost `lots` at this level: the front of the queue, which is what paper takers
        had taken.
        """
        shadows = self._shadow[key]
        while lots and shadows:
            part = min(lots, shadows[0][1])
            shadows[0][1] -= part
            lots -= part
            if not shadows[0][1]:
                shadows.pop(0)
        self._cap_shadow(key, shadows)

    def _cap_shadow(self, key: LevelKey, shadows: list[list[int]]) -> None:
        """No more is hidden than is displayed."""
        room = self.shown_lots(*key)
        for shadow in shadows:
            shadow[1] = min(shadow[1], room)
            room -= shadow[1]
        shadows[:] = [shadow for shadow in shadows if shadow[1]]
        if not shadows:
            self._shadow.pop(key, None)

    def _expire_shadows(self, now_ns: int) -> set[LevelKey]:
        touched = set()
        for key, shadows in list(self._shadow.items()):
            left = [shadow for shadow in shadows if shadow[0] > now_ns]
            if len(left) != len(shadows):
                touched.add(key)
            if left:
                self._shadow[key] = left
            else:
                del self._shadow[key]
        return touched

    # ---- crossings (rule 4) ------------------------------------------------------------------------

    def _crossed_own(self) -> list[Entry]:
        """Own resting orders through which the venue's other side now shows."""
        crossed = []
        for side in (BIDS, ASKS):
            best = self.best(opposite(side))
            if best is None:
                continue
            for entry in self.queues.own(side):
                if entry.price_ticks < best if side is BIDS else entry.price_ticks > best:
                    break
                crossed.append(entry)
        return crossed

    def _note_crossings(self, now_ns: int) -> None:
        crossed = {entry.order_id for entry in self._crossed_own()} if self.queues.orders else set()
        for order_id in [known for known in self._cross_since if known not in crossed]:
            del self._cross_since[order_id]
        for order_id in crossed:
            self._cross_since.setdefault(order_id, now_ns)

    def _crossings(self, now_ns: int) -> list[Action]:
        self._note_crossings(now_ns)
        actions: list[Action] = []
        for entry in self._crossed_own() if self._cross_since else []:
            if now_ns - self._cross_since[entry.order_id] < self.config.cross_wait_ns:
                continue
            other = opposite(entry.side)
            need = entry.lots
            for price in self._shown[other].through(entry.price_ticks):
                part = min(need, self.wanted_lots(other, price))
                if part:
                    self.taken(other, price, part, now_ns)
                    need -= part
                if not need:
                    break
            if need < entry.lots:
                self.stats.trade_through_fills += 1
                actions.append(Take(other, entry.price_ticks, entry.lots - need))
        return actions


def _cut(entry: Entry, lots: int) -> Action:
    if lots >= entry.lots:
        return Cancel(entry.order_id)
    return Resize(entry.order_id, entry.total_lots - lots)
