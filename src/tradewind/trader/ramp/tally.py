"""What a stage has to show, counted from fills and orders as they come."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from tradewind.venues.market_data import Side

from .records import RampTally

MAX_SYMBOLS: Final = 1_000


class Counts(msgspec.Struct, kw_only=True):
    """Of one stage. `positions` is what is held by symbol, in base, since it was entered."""

    round_trips: int = 0
    placements: int = 0
    acknowledged: int = 0
    preventable_rejects: int = 0
    venue_rejects: int = 0
    reconciliation_breaks: int = 0
    duplicates: int = 0
    orphans: int = 0
    limit_breaches: int = 0
    max_order_quote: Decimal = Decimal(0)
    positions: dict[str, Decimal] = {}
    symbols: set[str] = set()

    def placed(self, symbol: str, notional: Decimal) -> None:
        """An order became a record."""
        self.placements += 1
        self.max_order_quote = max(self.max_order_quote, notional)
        if len(self.symbols) < MAX_SYMBOLS:
            self.symbols.add(symbol)

    def fill(self, symbol: str, side: Side, quantity: Decimal) -> None:
        """One execution. A round trip ends when a position comes back to zero or changes its side."""
        held = self.positions.get(symbol, Decimal(0))
        if symbol not in self.positions and len(self.positions) >= MAX_SYMBOLS:
            raise OverflowError(f"more than {MAX_SYMBOLS} symbols")
        after = held + (quantity if side is Side.BUY else -quantity)
        if held and (after == 0 or (after > 0) != (held > 0)):
            self.round_trips += 1
        self.positions[symbol] = after

    def record(self, stage: str, at_ns: int, slippage_within_ci: bool | None = None) -> RampTally:
        """For the journal."""
        fields = {name: getattr(self, name) for name in COUNTED}
        return RampTally(
            stage=stage,
            at_ns=at_ns,
            pairs=len(self.symbols),
            slippage_within_ci=slippage_within_ci,
            **fields,
        )

    def restore(self, tally: RampTally | None) -> None:
        """After a restart: what the last tally says; without one everything begins at zero."""
        for name in COUNTED:
            setattr(self, name, 0 if tally is None else getattr(tally, name))
        if tally is None:
            self.symbols, self.max_order_quote = set(), Decimal(0)


COUNTED: Final = tuple(name for name in Counts.__struct_fields__ if name not in ("positions", "symbols"))
