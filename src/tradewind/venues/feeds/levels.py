"""One side of a bounded order book: integer prices, integer quantities, best level at hand."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable

from tradewind.venues.market_data import Level, Side


class BookSide:
    """Price levels of one side, at most `max_levels` after each `truncate`.

    Keys are sorted with the best level last (bids: price; asks: -price), because most changes are near the
    top and editing the end of a list moves little memory. `horizon`: levels better than or at it are
    completely known; beyond it only levels that a later update touched are known (a snapshot is finite).
    """

    __slots__ = (
        "_horizon_key",
        "_keys",
        "_sign",
        "_text",
        "_text_asked",
        "_text_key",
        "lots_by_price",
        "max_levels",
        "side",
    )

    def __init__(self, side: Side, max_levels: int) -> None:
        if max_levels < 1:
            raise ValueError(f"max_levels must be at least 1, got {max_levels}")
        self.side = side
        self.max_levels = max_levels
        self.lots_by_price: dict[int, int] = {}
        self._keys: list[int] = []
        self._sign = 1 if side is Side.BUY else -1
        self._horizon_key: int | None = None
        self._text: str | None = None
        self._text_asked = (0, 0, 0)
        self._text_key: int | None = None
        """Of the worst level in the kept text; None when it holds the whole side."""

    def __len__(self) -> int:
        return len(self._keys)

    def replace(self, levels: Iterable[Level]) -> None:
        """Take a snapshot's levels (any order); zero quantities are skipped."""
        self.lots_by_price = {price: lots for price, lots in levels if lots}
        self._keys = sorted(self._sign * price for price in self.lots_by_price)
        self._text = None
        self.truncate()
        self._horizon_key = self._keys[0] if self._keys else None

    def clear(self) -> None:
        """Forget every level."""
        self.lots_by_price.clear()
        self._keys.clear()
        self._horizon_key = None
        self._text = None

    def apply(self, levels: Iterable[Level]) -> list[Level]:
        """Apply absolute quantities; return the levels whose quantity really changed."""
        changed: list[Level] = []
        lots_by_price, keys, sign = self.lots_by_price, self._keys, self._sign
        known = lots_by_price.get
        for level in levels:
            price, lots = level
            old = known(price)
            if lots == old or (old is None and lots == 0):
                continue
            key = sign * price
            if lots == 0:
                del lots_by_price[price]
                del keys[bisect_left(keys, key)]
            else:
                lots_by_price[price] = lots
                if old is None:
                    insort(keys, key)
            if self._text_key is None or key >= self._text_key:
                self._text = None
            changed.append(level)
        return changed

    def truncate(self) -> list[Level]:
        """Drop the worst levels beyond the bound; return them as removals."""
        excess = len(self._keys) - self.max_levels
        if excess <= 0:
            return []
        self._text = None
        dropped = [self._sign * key for key in self._keys[:excess]]
        del self._keys[:excess]
        for price in dropped:
            del self.lots_by_price[price]
        worst_key = self._keys[0]
        if self._horizon_key is None or worst_key > self._horizon_key:
            self._horizon_key = worst_key
        return [(price, 0) for price in dropped]

    @property
    def best_ticks(self) -> int | None:
        """Best price in ticks, or None when the side is empty."""
        return self._sign * self._keys[-1] if self._keys else None

    @property
    def best(self) -> Level | None:
        """Best (price_ticks, lots), or None when the side is empty."""
        if not self._keys:
            return None
        price = self._sign * self._keys[-1]
        return price, self.lots_by_price[price]

    @property
    def horizon_ticks(self) -> int | None:
        """Worst price up to which every level is known, or None before a snapshot."""
        return None if self._horizon_key is None else self._sign * self._horizon_key

    def complete_levels(self) -> int:
        """How many of the best levels are inside the horizon."""
        if self._horizon_key is None:
            return 0
        return len(self._keys) - bisect_left(self._keys, self._horizon_key)

    def top(self, count: int | None = None) -> tuple[Level, ...]:
        """The best `count` levels (all when None), best first."""
        keys = self._keys if count is None else self._keys[-count:] if count else []
        sign, lots = self._sign, self.lots_by_price
        return tuple([(sign * key, lots[sign * key]) for key in reversed(keys)])

    def top_text(self, count: int, price_units: int, lot_units: int) -> str:
        """Price and quantity of the best `count` levels, each times its units, written one behind another.

        It is kept until one of these levels changes: most updates of a deep book are behind them.
        """
        asked = (count, price_units, lot_units)
        if self._text is None or self._text_asked != asked:
            keys = self._keys[: -count - 1 : -1]
            self._text, self._text_asked = self._write(keys, price_units, lot_units), asked
            self._text_key = keys[-1] if len(keys) == count else None
        return self._text

    def _write(self, keys: list[int], price_units: int, lot_units: int) -> str:
        sign, lots = self._sign, self.lots_by_price
        if price_units != 1 or lot_units != 1:
            return "".join([f"{sign * key * price_units}{lots[sign * key] * lot_units}" for key in keys])
        if sign > 0:
            return "".join([f"{key}{lots[key]}" for key in keys])
        return "".join([f"{-key}{lots[-key]}" for key in keys])
