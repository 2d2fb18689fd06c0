"""Names and rules of perpetual markets as Binance USD-M publishes them: `BTC/USDT:USDT` is `BTCUSDT`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from tradewind.gateways.model import Kind, Market, SelfTrade

from .symbols import NAME, Symbol, Symbols, decimals_of

NEVER_MS: Final = 4_133_404_800_000
"""The day on which the venue says that a contract without an end is delivered: 2100-12-25."""

TYPES: Final = {
    "LIMIT": Kind.LIMIT,
    "MARKET": Kind.MARKET,
    "STOP": Kind.STOP_LIMIT,
    "STOP_MARKET": Kind.STOP,
    "TAKE_PROFIT": Kind.TAKE_PROFIT_LIMIT,
    "TAKE_PROFIT_MARKET": Kind.TAKE_PROFIT,
}
TYPE_NAMES: Final = {kind: name for name, kind in TYPES.items()}
TIMES_IN_FORCE: Final = ("GTC", "IOC", "FOK", "GTX")
STP_MODES: Final = {
    SelfTrade.CANCEL_NEWEST: "EXPIRE_TAKER",
    SelfTrade.CANCEL_OLDEST: "EXPIRE_MAKER",
    SelfTrade.CANCEL_BOTH: "EXPIRE_BOTH",
}
BAND: Final = Decimal("0.5")


class UsdmSymbol(Symbol):
    """One perpetual market. Prices have the decimals of its tick, quantities those of its lot."""

    __slots__ = ()

    def __init__(self, name: str, market: Market) -> None:
        super().__init__(name, market)
        self.price_decimals = decimals_of(self.tick)
        self.quantity_decimals = decimals_of(self.lot)

    @property
    def status(self) -> str:
        # the venue has no word for a contract that only lets orders end
        return "TRADING" if super().status == "TRADING" else "PENDING_TRADING"

    def info(self) -> dict[str, Any]:
        """The row of `exchangeInfo`."""
        return {
            "symbol": self.name,
            "pair": self.name,
            "contractType": "PERPETUAL",
            "deliveryDate": NEVER_MS,
            "onboardDate": 0,
            "status": self.status,
            "baseAsset": self.base,
            "quoteAsset": self.quote,
            "marginAsset": self.quote,
            "pricePrecision": self.price_decimals,
            "quantityPrecision": self.quantity_decimals,
            "baseAssetPrecision": 8,
            "quotePrecision": 8,
            "underlyingType": "COIN",
            "underlyingSubType": [],
            "orderTypes": list(TYPES),
            "timeInForce": list(TIMES_IN_FORCE),
            "filters": self.filters(),
        }

    def filters(self) -> list[dict[str, Any]]:
        """The filters that the exchange behind this gateway really applies."""
        instrument = self.market.instrument
        least = instrument.min_quantity if instrument.min_quantity is not None else self.lot
        size = {
            "stepSize": f"{self.lot:f}",
            "minQty": f"{least:f}",
            "maxQty": f"{self.most_quantity:f}",
        }
        rows: list[dict[str, Any]] = [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": f"{self.tick:f}",
                "maxPrice": f"{self.highest_price:f}",
                "tickSize": f"{self.tick:f}",
            },
            {"filterType": "LOT_SIZE", **size},
            {"filterType": "MARKET_LOT_SIZE", **size},
            {"filterType": "MAX_NUM_ORDERS", "limit": self.market.max_open_orders},
            {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": self.market.max_open_orders},
        ]
        if instrument.min_notional is not None:
            rows.append({"filterType": "MIN_NOTIONAL", "notional": f"{instrument.min_notional:f}"})
        return rows


class UsdmSymbols(Symbols):
    """Perpetual markets by wire name. Spot markets of the same exchange are not offered here."""

    def _index(self) -> None:
        self._count = len(self._markets)
        left_out = []
        names: dict[str, str] = {}
        for canonical in sorted(self._markets):
            if not self._markets[canonical].perpetual:
                continue
            name = wire_name(canonical)
            if not NAME.fullmatch(name) or name in names:
                left_out.append(canonical)
            else:
                names[name] = canonical
        self._names, self.left_out = names, tuple(left_out)

    def _of(self, name: str, market: Market) -> Symbol:
        present = self._symbols.get(name)
        if present is None or present.market is not market:
            present = self._symbols[name] = UsdmSymbol(name, market)
        return present

    def of_canonical(self, canonical: str) -> Symbol | None:
        """The market with a canonical symbol; None when it is not offered here."""
        if len(self._markets) != self._count:
            self._index()
        name = wire_name(canonical)
        if self._names.get(name) != canonical:
            return None
        return self._of(name, self._markets[canonical])


def wire_name(canonical: str) -> str:
    """BTC/USDT:USDT -> BTCUSDT."""
    return canonical.partition(":")[0].replace("/", "", 1)
