"""What one side of a book is, in plain Python: the reference that the native one is compared with."""

from __future__ import annotations

from collections.abc import Iterable

from tradewind.venues.market_data import Level, Side


class ReferenceSide:
    """A dictionary, sorted whenever somebody asks."""

    def __init__(self, side: Side, max_levels: int) -> None:
        self.side = side
        self.max_levels = max_levels
        self.lots: dict[int, int] = {}
        self.horizon: int | None = None

    def top(self, count: int | None = None) -> tuple[Level, ...]:
        best_first = sorted(self.lots.items(), reverse=self.side is Side.BUY)
        return tuple(best_first[:count])

    def replace(self, levels: Iterable[Level]) -> None:
        self.lots = {price: lots for price, lots in levels if lots}
        self.truncate()
        self.horizon = self.top()[-1][0] if self.lots else None

    def clear(self) -> None:
        self.lots, self.horizon = {}, None

    def apply(self, levels: Iterable[Level]) -> list[Level]:
        changed = []
        for price, lots in levels:
            if self.lots.get(price, 0) != lots:
                changed.append((price, lots))
            if lots:
                self.lots[price] = lots
            else:
                self.lots.pop(price, None)
        return changed

    def truncate(self) -> list[Level]:
        dropped = self.top()[self.max_levels :][::-1]
        for price, _ in dropped:
            del self.lots[price]
        if dropped:
            worst = self.top()[-1][0]
            self.horizon = worst if self.horizon is None else self._better(worst, self.horizon)
        return [(price, 0) for price, _ in dropped]

    def complete_levels(self) -> int:
        if self.horizon is None:
            return 0
        return sum(self._better(price, self.horizon) == price for price in self.lots)

    def _better(self, one: int, other: int) -> int:
        return max(one, other) if self.side is Side.BUY else min(one, other)

    def text(self, count: int, tick_units: int, lot_units: int) -> str:
        return "".join(f"{price * tick_units}{lots * lot_units}" for price, lots in self.top(count))
