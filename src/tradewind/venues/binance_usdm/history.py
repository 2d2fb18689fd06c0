"""Executions of a USD-M account: the venue lists them by symbol and by windows of a week."""

from __future__ import annotations

from tradewind.venues.binance.history import OVERLAP_MS, History, Told
from tradewind.venues.binance.rows import MS
from tradewind.venues.facts import facts_of
from tradewind.venues.protocol import Incomplete

MAX_WINDOWS = 30
"""The venue keeps half a year."""


class UsdmHistory(History):
    """See the module."""

    async def _of_symbol(self, symbol: str, since_ns: int) -> list[Told] | Incomplete:
        window_ms = int(facts_of(self.wire.facts)["trades_window_ms"].value)
        start_ms = max(0, since_ns // MS - OVERLAP_MS)
        now_ms = self._rest.clock.venue_ns() // MS
        if not start_ms or now_ms - start_ms < window_ms:
            return await super()._of_symbol(symbol, since_ns)
        for _ in range(MAX_WINDOWS):
            span = [("startTime", str(start_ms)), ("endTime", str(start_ms + window_ms))]
            first = await self._pages(symbol, span, "my_trades")
            if isinstance(first, Incomplete):
                return first
            if first:  # everything behind the first one by number, which needs no windows
                facts = await self._pages(symbol, [("fromId", first[0].trade_id)], "my_trades")
                return facts if isinstance(facts, Incomplete) else await self._with_orders(symbol, facts)
            start_ms += window_ms
            if start_ms > now_ms:
                return []
        return Incomplete(f"{symbol}: nothing in {MAX_WINDOWS} windows, and they do not reach the present", 0)
