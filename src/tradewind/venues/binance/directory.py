"""Binance's symbols, their filters and states, and the venue's limits, as one reading of `exchangeInfo` gives
them (T2.1 to T2.7).
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from tradewind.venues.binance.instruments import instrument_of
from tradewind.venues.binance.messages import SymbolInfo
from tradewind.venues.binance.wire import SPOT_WIRE, MarketWire
from tradewind.venues.feeds.decoding import UNREADABLE
from tradewind.venues.market_data import DecodeError, Instrument, UnknownSymbol
from tradewind.venues.paper.filters import FilterFailure, OrderContext, Rules, check_order, floor_to_step
from tradewind.venues.protocol import NewOrder, OrderType, TimeInForce, VenueState

EARN_PREFIX = "LD"
"""Assets in flexible savings are shown as `LD<asset>`: another asset, and not money that can be traded."""
MAX_QUARANTINED = 1_000
MAX_KINDS = 64
REASON_CHARS = 120


class SymbolRow(SymbolInfo, gc=False):
    """One row of `exchangeInfo` with what trading needs beyond market data."""

    orderTypes: tuple[str, ...] = ()
    timeInForce: tuple[str, ...] = ()
    contractType: str = ""
    cancelReplaceAllowed: bool = False
    amendAllowed: bool = False
    isSpotTradingAllowed: bool = True


class _Body(msgspec.Struct, gc=False):
    symbols: list[msgspec.Raw]
    rateLimits: list[dict[str, Any]] = []
    exchangeFilters: list[dict[str, Any]] = []
    serverTime: int = 0


class SymbolRules(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue checks of orders in one symbol. None: no such rule, or switched off by a zero."""

    rules: Rules
    min_price: Decimal | None
    max_price: Decimal | None
    replace: bool
    amend: bool
    post_only: bool
    no_new_risk: str = ""
    """Why nothing new may be risked although the symbol trades: a rule that this build does not know."""

    def failures(self, order: NewOrder, context: OrderContext) -> list[FilterFailure]:
        """Broken rules of an order, first one first."""
        found = check_order(self.rules, order, context)
        instrument = self.rules.instrument
        price = instrument.tick * order.price_ticks
        if self.min_price is not None and price < self.min_price:
            found.append(_outside(price, self.min_price, None, self.min_price))
        if self.max_price is not None and price > self.max_price:
            below = floor_to_step(self.max_price, instrument.tick)
            found.append(_outside(price, self.max_price, below, None))
        return found


def _outside(given: Decimal, bound: Decimal, below: Decimal | None, above: Decimal | None) -> FilterFailure:
    return FilterFailure(
        code="OutsideBand", field="price", bound=bound, given=given, nearest_below=below, nearest_above=above
    )


class Directory:
    """Symbols at one moment. Rows that cannot be mapped are in `quarantined`, with the reason."""

    def __init__(self, wire: MarketWire = SPOT_WIRE) -> None:
        self.wire = wire
        self.instruments: dict[str, Instrument] = {}
        self.rules: dict[str, SymbolRules] = {}
        self.states: dict[str, VenueState] = {}
        self.quarantined: list[str] = []
        self.limits: list[dict[str, Any]] = []
        self.unknown_filters: dict[str, int] = {}
        """Filters that this build does not know, with how many symbols have them."""
        self.left_out: dict[str, int] = {}
        """Contracts that are not traded here, by their type: how many there are."""
        self.server_ms = 0
        self.as_of_ns = 0
        self._names: dict[str, str] = {}
        self._assets: set[str] = set()

    @classmethod
    def parse(cls, body: bytes, as_of_ns: int, wire: MarketWire = SPOT_WIRE) -> Directory:
        """Read the body of `exchangeInfo`. Raises `DecodeError` when the body as a whole cannot be read."""
        try:
            answer = msgspec.json.decode(body, type=_Body)
        except UNREADABLE as error:
            raise DecodeError("exchangeInfo", str(error)) from error
        directory = cls(wire)
        directory.as_of_ns, directory.server_ms = as_of_ns, answer.serverTime
        directory.limits = answer.rateLimits
        common = [str(one.get("filterType", ""))[:40] for one in answer.exchangeFilters]
        for raw in answer.symbols:
            directory._add(raw, common)
        return directory

    def _add(self, raw: msgspec.Raw, common: list[str]) -> None:
        try:
            row = msgspec.json.decode(raw, type=SymbolRow)
            if row.contractType not in self.wire.contracts:
                kind = row.contractType[:40] if len(self.left_out) < MAX_KINDS else "others"
                self.left_out[kind] = self.left_out.get(kind, 0) + 1
                return
            one = instrument_of(row, self.wire.market, self.as_of_ns)
            if one.symbol in self.instruments or row.symbol in self._names:
                raise UnknownSymbol(f"{one.symbol} appears twice")
            rules = self._rules(row, one, common)
        except (*UNREADABLE, InvalidOperation, UnknownSymbol, KeyError, ValueError) as error:
            if len(self.quarantined) < MAX_QUARANTINED:
                reason = f"{type(error).__name__}: {error}"[:REASON_CHARS]
                self.quarantined.append(f"{bytes(raw)[:60]!r}: {reason}")
            return
        self.instruments[one.symbol] = one
        self.rules[one.symbol] = rules
        self.states[one.symbol] = self.wire.state_of(row.status)
        self._names[row.symbol] = one.symbol
        self._assets |= {one.base, one.quote}

    def _rules(self, row: SymbolRow, one: Instrument, common: list[str]) -> SymbolRules:
        filters = {str(each["filterType"]): each for each in row.filters}
        strange = [name[:40] for name in [*filters, *common] if name not in self.wire.meanings.filters]
        for name in strange:
            self.unknown_filters[name] = self.unknown_filters.get(name, 0) + 1
        reason = f"filter {strange[0]} is not known" if strange else ""
        if "LIMIT" not in row.orderTypes:
            reason = "limit orders are not allowed"
        if not row.isSpotTradingAllowed:
            reason = "spot trading is not allowed"
        prices = filters["PRICE_FILTER"]
        return SymbolRules(
            rules=Rules(
                instrument=one,
                max_open_orders=_count(filters, "MAX_NUM_ORDERS", "maxNumOrders"),
                order_types=frozenset(OrderType),
                times_in_force=frozenset(TimeInForce),
                reduce_only=self.wire.positions,
            ),
            min_price=_positive(prices, "minPrice"),
            max_price=_positive(prices, "maxPrice"),
            replace=row.cancelReplaceAllowed,
            amend=row.amendAllowed,
            post_only="LIMIT_MAKER" in row.orderTypes or "GTX" in row.timeInForce,
            no_new_risk=reason,
        )

    def symbol_of(self, name: str) -> str:
        """The canonical symbol of a venue's name. Raises `UnknownSymbol`."""
        symbol = self._names.get(name)
        if symbol is None:
            raise UnknownSymbol(f"symbol {name[:40]!r} is not in exchangeInfo")
        return symbol

    def tradable(self, asset: str) -> bool:
        """Whether an asset of the account is spot money. `LD<asset>` of a known asset is not (T9.7)."""
        if asset in self._assets:
            return True
        return not (asset.startswith(EARN_PREFIX) and asset[len(EARN_PREFIX) :] in self._assets)

    def unknown_states(self) -> dict[str, str]:
        """Symbols whose state is a word that we do not know."""
        return {
            symbol: self.instruments[symbol].status
            for symbol, state in self.states.items()
            if state is VenueState.UNKNOWN
        }


def _positive(row: dict[str, Any], key: str) -> Decimal | None:
    value = Decimal(str(row.get(key, 0)))
    return value if value > 0 else None


def _count(filters: dict[str, dict[str, Any]], name: str, key: str) -> int | None:
    row = filters.get(name)
    if row is None:
        return None
    count = int(row.get(key, row.get("limit", 0)))
    return count if count > 0 else None
