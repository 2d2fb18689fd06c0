"""Instruments of a node's own markets, from its market records (T2.2)."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import msgspec

from tradewind.venues.market_data import Instrument
from tradewind.venues.native.messages import MarketRow, MarketsAnswer, TimeAnswer
from tradewind.venues.native.options import OPEN_ORDERS
from tradewind.venues.paper.filters import Rules
from tradewind.venues.protocol import VenueState, VenueStatus

NAME: Final = "native"
STATES: Final = {
    "active": VenueState.ONLINE,
    "close_only": VenueState.CANCEL_ONLY,
    "closed": VenueState.DELISTED,
    "settled": VenueState.DELISTED,
    "pruned": VenueState.DELISTED,
    "resolving": VenueState.MAINTENANCE,
    "paused": VenueState.CANCEL_ONLY,
    "created": VenueState.MAINTENANCE,
}
PAUSED: Final = {"partial": VenueState.REDUCE_ONLY, "full": VenueState.CANCEL_ONLY}
NODE_STATES: Final = {
    "running": VenueState.ONLINE,
    "reduce_only": VenueState.REDUCE_ONLY,
    "stopped": VenueState.MAINTENANCE,
}
GONE: Final = frozenset({VenueState.DELISTED})


class NativeRules(msgspec.Struct, frozen=True, kw_only=True):
    """One market: instrument, filters, state, fees."""

    handle: int
    instrument: Instrument
    rules: Rules
    state: VenueState
    maker_bps: Decimal
    taker_bps: Decimal
    elastic_fee: bool


class Directory(msgspec.Struct, kw_only=True):
    """Markets by symbol and by number. `quarantined`: rows that cannot be mapped, with the reason."""

    by_symbol: dict[str, NativeRules] = {}
    by_handle: dict[int, NativeRules] = {}
    quarantined: dict[int, str] = {}
    ambiguous: set[str] = set()
    """Symbols that two open markets have: neither is listed."""
    state: VenueState = VenueState.UNKNOWN
    as_of_ns: int = 0

    @classmethod
    def of(cls, answer: MarketsAnswer, now_ns: int) -> Directory:
        """Spot markets. Of several with one symbol the one that trades; with two of those neither."""
        found = cls(state=_paused(answer.platform_pause) or VenueState.ONLINE, as_of_ns=now_ns)
        for row in answer.markets:
            problem = found._add(row, now_ns)
            if problem:
                found.quarantined[row.handle] = problem
        return found

    def _add(self, row: MarketRow, now_ns: int) -> str:
        if row.kind != "spot":
            return f"a {row.kind[:20]} market"
        if min(row.tick, row.lot) <= 0 or row.symbol != f"{row.base}/{row.quote}":
            return "a tick, lot or symbol that cannot be"
        rules = _rules(row, self.state, now_ns)
        self.by_handle[row.handle] = rules
        if row.symbol in self.ambiguous:
            return "several open markets have this symbol"
        known = self.by_symbol.get(row.symbol)
        if known is None or known.state in GONE:
            self.by_symbol[row.symbol] = rules
            return "" if known is None else self._retire(known)
        if rules.state in GONE:
            return self._retire(rules)
        del self.by_symbol[row.symbol]
        self.ambiguous.add(row.symbol)
        self.quarantined[known.handle] = f"market {row.handle} has the same symbol"
        return f"market {known.handle} has the same symbol"

    def _retire(self, rules: NativeRules) -> str:
        """A market that is over and gave its symbol to another one: its orders are still understood."""
        self.quarantined[rules.handle] = "over; another market has its symbol"
        return ""

    @property
    def instruments(self) -> list[Instrument]:
        """Every symbol."""
        return [one.instrument for one in self.by_symbol.values()]

    def of_symbols(self, symbols: Iterable[str]) -> list[NativeRules]:
        """Those of these symbols that there are."""
        return [self.by_symbol[one] for one in symbols if one in self.by_symbol]


def status_of(clock: TimeAnswer, directory: Directory) -> VenueStatus:
    """What a node and each of its markets accept."""
    state = NODE_STATES.get(clock.node, VenueState.UNKNOWN)
    reason = "" if state is VenueState.ONLINE else clock.stop_reason or f"the node is {clock.node[:40]}"
    if state is VenueState.ONLINE and directory.state is not VenueState.ONLINE:
        state, reason = directory.state, "the platform is paused"
    symbols = {symbol: one.state for symbol, one in directory.by_symbol.items()}
    return VenueStatus(state=state, symbols=symbols, reason=reason, as_of_ns=clock.now_ns)


def _paused(pause: dict[str, object] | None) -> VenueState | None:
    return None if pause is None else PAUSED.get(str(pause.get("level")), VenueState.UNKNOWN)


def _rules(row: MarketRow, platform: VenueState, now_ns: int) -> NativeRules:
    state = _paused(row.pause) or STATES.get(row.status, VenueState.UNKNOWN)
    if state is VenueState.ONLINE and platform is not VenueState.ONLINE:
        state = platform
    instrument = Instrument(
        venue=NAME,
        symbol=row.symbol,
        venue_symbol=str(row.handle),
        base=row.base,
        quote=row.quote,
        tick=row.tick,
        lot=row.lot,
        min_notional=row.min_notional,
        max_notional=row.max_notional,
        price_decimals=_decimals(row.tick),
        quantity_decimals=_decimals(row.lot),
        status=str(state),
        source="venue",
        as_of_ns=now_ns,
    )
    # The state is looked at by itself: what is not online refuses new risk with its own code.
    checked = Rules(
        instrument=msgspec.structs.replace(instrument, status="online"), max_open_orders=OPEN_ORDERS
    )
    return NativeRules(
        handle=row.handle,
        instrument=instrument,
        rules=checked,
        state=state,
        maker_bps=row.maker_bps,
        taker_bps=row.taker_bps,
        elastic_fee=row.elastic_fee,
    )


def _decimals(step: Decimal) -> int:
    exponent = step.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
