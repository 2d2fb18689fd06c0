"""Names and rules of the markets as the venue publishes them: `BTC/USD` is `BTCUSD` on the wire."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from tradewind.gateways.exchange_checks import MAX_LOTS, MAX_TICKS
from tradewind.gateways.exchange_setup import BAND_BP
from tradewind.gateways.model import Kind, Market, SelfTrade
from tradewind.venues.protocol import VenueState

from .errors import unknown_symbol
from .text import DECIMALS, ZERO, decimal_text

NAME: Final = re.compile(r"[A-Z0-9_.-]{1,20}")
MAX_PRICE: Final = Decimal("9223372036.8")
MAX_QUANTITY: Final = Decimal("92141578736")
ICEBERG_PARTS: Final = 100
NEAR_BAND: Final = Decimal(BAND_BP) / 10_000
FAR_BAND: Final = Decimal("0.5")
"""How far a price may lie from the reference: on its aggressive side, and on the other."""

STATUS: Final = {
    VenueState.ONLINE: "TRADING",
    VenueState.POST_ONLY: "TRADING",
    VenueState.LIMIT_ONLY: "TRADING",
    VenueState.REDUCE_ONLY: "TRADING",
    VenueState.CANCEL_ONLY: "CANCEL_ONLY",
    VenueState.MAINTENANCE: "BREAK",
    VenueState.DELISTED: "END_OF_DAY",
    VenueState.UNKNOWN: "HALT",
}

TYPES: Final = {
    "LIMIT": Kind.LIMIT,
    "LIMIT_MAKER": Kind.LIMIT,
    "MARKET": Kind.MARKET,
    "STOP_LOSS": Kind.STOP,
    "STOP_LOSS_LIMIT": Kind.STOP_LIMIT,
    "TAKE_PROFIT": Kind.TAKE_PROFIT,
    "TAKE_PROFIT_LIMIT": Kind.TAKE_PROFIT_LIMIT,
}
TRIGGERED: Final = frozenset({Kind.STOP, Kind.STOP_LIMIT, Kind.TAKE_PROFIT, Kind.TAKE_PROFIT_LIMIT})
STP_MODES: Final = {
    SelfTrade.CANCEL_NEWEST: "EXPIRE_TAKER",
    SelfTrade.CANCEL_OLDEST: "EXPIRE_MAKER",
    SelfTrade.CANCEL_BOTH: "EXPIRE_BOTH",
    SelfTrade.DECREMENT: "DECREMENT",
}
"""What the exchange can do; NONE is not among it: nobody trades with oneself."""


class Symbol:
    """One market under its wire name, with exact conversions between wire text and ticks and lots."""

    __slots__ = ("base", "lot", "market", "name", "price_decimals", "quantity_decimals", "quote", "tick")

    def __init__(self, name: str, market: Market) -> None:
        instrument = market.instrument
        self.name = name
        self.market = market
        self.base, self.quote = instrument.base, instrument.quote
        self.tick, self.lot = instrument.tick, instrument.lot
        self.price_decimals = max(DECIMALS, decimals_of(instrument.tick))
        self.quantity_decimals = max(DECIMALS, decimals_of(instrument.lot))

    def price(self, ticks: int) -> str:
        """Wire text of a price."""
        return f"{self.tick * ticks:.{self.price_decimals}f}"

    def quantity(self, lots: int) -> str:
        """Wire text of a quantity."""
        return f"{self.lot * lots:.{self.quantity_decimals}f}"

    def cost(self, ticks: int, lots: int) -> str:
        """Wire text of price times quantity, exact."""
        return decimal_text(self.tick * ticks * (self.lot * lots))

    def levels(self, levels: tuple[tuple[int, int], ...]) -> list[tuple[str, str]]:
        """Wire text of book levels."""
        return [(self.price(ticks), self.quantity(lots)) for ticks, lots in levels]

    @property
    def highest_price(self) -> Decimal:
        """The venue's highest price, or what the exchange can count: an order there is accepted."""
        return min(MAX_PRICE - MAX_PRICE % self.tick, MAX_TICKS * self.tick)

    @property
    def most_quantity(self) -> Decimal:
        """The largest order."""
        most = self.market.instrument.max_quantity
        most = MAX_QUANTITY if most is None else most
        return min(most - most % self.lot, MAX_LOTS * self.lot)

    @property
    def status(self) -> str:
        return STATUS[self.market.state]

    def info(self) -> dict[str, Any]:
        """The row of `exchangeInfo`."""
        precision = max(DECIMALS, self.quantity_decimals)
        quote_precision = max(DECIMALS, self.price_decimals)
        return {
            "symbol": self.name,
            "status": self.status,
            "baseAsset": self.base,
            "baseAssetPrecision": precision,
            "quoteAsset": self.quote,
            "quotePrecision": quote_precision,
            "quoteAssetPrecision": quote_precision,
            "baseCommissionPrecision": precision,
            "quoteCommissionPrecision": quote_precision,
            "orderTypes": list(TYPES),
            "icebergAllowed": True,
            "ocoAllowed": True,
            "otoAllowed": False,
            "opoAllowed": False,
            "quoteOrderQtyMarketAllowed": True,
            "allowTrailingStop": False,
            "cancelReplaceAllowed": True,
            "amendAllowed": True,
            "pegInstructionsAllowed": False,
            "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False,
            "filters": self.filters(),
            "permissions": [],
            "permissionSets": [["SPOT"]],
            "defaultSelfTradePreventionMode": STP_MODES[SelfTrade.CANCEL_NEWEST],
            "allowedSelfTradePreventionModes": list(STP_MODES.values()),
        }

    def filters(self) -> list[dict[str, Any]]:
        """The filters that the exchange behind this gateway really applies."""
        instrument = self.market.instrument
        minimum = instrument.min_quantity if instrument.min_quantity is not None else self.lot
        maximum, highest = self.most_quantity, self.highest_price
        rows: list[dict[str, Any]] = [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": decimal_text(self.tick),
                "maxPrice": decimal_text(highest),
                "tickSize": decimal_text(self.tick),
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": decimal_text(minimum),
                "maxQty": decimal_text(maximum),
                "stepSize": decimal_text(self.lot),
            },
            {
                "filterType": "PERCENT_PRICE_BY_SIDE",
                "bidMultiplierUp": f"{1 + NEAR_BAND:f}",
                "bidMultiplierDown": f"{1 - FAR_BAND:f}",
                "askMultiplierUp": f"{1 + FAR_BAND:f}",
                "askMultiplierDown": f"{1 - NEAR_BAND:f}",
                "avgPriceMins": 0,
            },
            {"filterType": "ICEBERG_PARTS", "limit": ICEBERG_PARTS},
            {
                "filterType": "MARKET_LOT_SIZE",
                "minQty": ZERO,
                "maxQty": decimal_text(maximum),
                "stepSize": ZERO,
            },
        ]
        if instrument.min_notional is not None or instrument.max_notional is not None:
            rows.append(
                {
                    "filterType": "NOTIONAL",
                    "minNotional": decimal_text(instrument.min_notional or Decimal(0)),
                    "applyMinToMarket": True,
                    "maxNotional": decimal_text(instrument.max_notional or MAX_PRICE),
                    "applyMaxToMarket": False,
                    "avgPriceMins": 0,
                }
            )
        rows.append({"filterType": "MAX_NUM_ORDERS", "maxNumOrders": self.market.max_open_orders})
        # orders that wait for a price count like all others
        rows.append({"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": self.market.max_open_orders})
        return rows


def decimals_of(step: Decimal) -> int:
    """Decimal places that a step needs."""
    exponent = step.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return max(0, -exponent)


class Symbols:
    """The bijection between wire names and markets, following the exchange's table.

    Markets whose name the wire cannot carry, or whose joined name another market already has, are left out
    and counted in `left_out`.
    """

    def __init__(self, markets: Mapping[str, Market]) -> None:
        self._markets = markets
        self._names: dict[str, str] = {}
        self._symbols: dict[str, Symbol] = {}
        self.left_out: tuple[str, ...] = ()
        self._count = -1
        self._index()

    def _index(self) -> None:
        self._count = len(self._markets)
        left_out = []
        names: dict[str, str] = {}
        for canonical in sorted(self._markets):
            base, slash, quote = canonical.partition("/")
            name = base + quote
            if not slash or not NAME.fullmatch(name) or name in names:
                left_out.append(canonical)
            else:
                names[name] = canonical
        self._names, self.left_out = names, tuple(left_out)

    def find(self, name: str) -> Symbol:
        """The market with a wire name. Raises -1121."""
        if len(self._markets) != self._count:
            self._index()
        canonical = self._names.get(name)
        if canonical is None:
            raise unknown_symbol()
        return self._of(name, self._markets[canonical])

    def _of(self, name: str, market: Market) -> Symbol:
        present = self._symbols.get(name)
        if present is None or present.market is not market:
            # the exchange replaces a market's record when its state changes
            present = self._symbols[name] = Symbol(name, market)
        return present

    def of_canonical(self, canonical: str) -> Symbol | None:
        """The market with a canonical symbol; None when it is not offered here."""
        name = canonical.replace("/", "", 1)
        if len(self._markets) != self._count:
            self._index()
        if self._names.get(name) != canonical:
            return None
        return self._of(name, self._markets[canonical])

    def all(self) -> list[Symbol]:
        """Every market offered, by name."""
        if len(self._markets) != self._count:
            self._index()
        return [self._of(name, self._markets[canonical]) for name, canonical in self._names.items()]
