"""Every message of Binance that we know, spot and USD-M, by name, and which one a frame is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tradewind.venues.binance import whole_account as account
from tradewind.venues.binance import whole_market as market
from tradewind.venues.binance.rows import SIDES
from tradewind.venues.binance.wire import SPOT_WIRE
from tradewind.venues.shapes import Catalogue, Shape, catalogue

Words = Mapping[str, frozenset[str]]

SIDE: Final = frozenset(SIDES)
SPOT_STATUS: Final = frozenset(SPOT_WIRE.phases)
SPOT_TYPES: Final = SPOT_WIRE.with_limit | SPOT_WIRE.without_limit
TIMES_IN_FORCE: Final = frozenset({"GTC", "IOC", "FOK", "GTD", "GTX", "GTE_GTC"})
SYMBOL_STATUS: Final = frozenset(
    {"TRADING", "HALT", "BREAK", "END_OF_DAY", "PRE_TRADING", "POST_TRADING", "AUCTION_MATCH"}
)
FILTERS: Final = frozenset(
    {
        "PRICE_FILTER", "PERCENT_PRICE", "PERCENT_PRICE_BY_SIDE", "LOT_SIZE", "MIN_NOTIONAL", "NOTIONAL",
        "ICEBERG_PARTS", "MARKET_LOT_SIZE", "MAX_NUM_ORDERS", "MAX_NUM_ALGO_ORDERS",
        "MAX_NUM_ICEBERG_ORDERS", "MAX_POSITION", "TRAILING_DELTA", "MAX_NUM_ORDER_LISTS",
        "MAX_NUM_ORDER_AMENDS", "POSITION_RISK_CONTROL", "EXCHANGE_MAX_NUM_ORDERS",
        "EXCHANGE_MAX_NUM_ALGO_ORDERS", "EXCHANGE_MAX_NUM_ICEBERG_ORDERS", "EXCHANGE_MAX_NUM_ORDER_LISTS",
    }
)  # fmt: skip
LIMITS: Final = frozenset({"REQUEST_WEIGHT", "ORDERS", "RAW_REQUESTS", "CONNECTIONS"})
INTERVALS: Final = frozenset({"SECOND", "MINUTE", "HOUR", "DAY"})
CONTRACTS: Final = frozenset(
    {
        "PERPETUAL", "CURRENT_MONTH", "NEXT_MONTH", "CURRENT_QUARTER", "NEXT_QUARTER",
        "PERPETUAL_DELIVERING", "CURRENT_QUARTER_DELIVERING", "NEXT_QUARTER_DELIVERING", "TRADIFI_PERPETUAL",
    }
)  # fmt: skip
CONTRACT_STATUS: Final = SYMBOL_STATUS | frozenset(
    {"PENDING_TRADING", "PRE_DELIVERING", "DELIVERING", "DELIVERED", "PRE_SETTLE", "SETTLING", "CLOSE"}
)
FUTURES_STATUS: Final = frozenset(
    {
        "NEW",
        "PARTIALLY_FILLED",
        "FILLED",
        "CANCELED",
        "REJECTED",
        "EXPIRED",
        "EXPIRED_IN_MATCH",
        "NEW_INSURANCE",
        "NEW_ADL",
    }
)
FUTURES_TYPES: Final = frozenset(
    {
        "LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET",
        "TRAILING_STOP_MARKET", "LIQUIDATION",
    }
)  # fmt: skip
FUTURES_EXECUTIONS: Final = frozenset({"NEW", "CANCELED", "CALCULATED", "EXPIRED", "TRADE", "AMENDMENT"})
POSITION_SIDES: Final = frozenset({"BOTH", "LONG", "SHORT"})
ALGO_STATUS: Final = frozenset(
    {"NEW", "CANCELED", "TRIGGERING", "TRIGGERED", "FINISHED", "REJECTED", "EXPIRED"}
)
MARGIN_TYPES: Final = frozenset({"isolated", "cross", "ISOLATED", "CROSSED"})
REASONS: Final = frozenset(
    {
        "DEPOSIT", "WITHDRAW", "ORDER", "FUNDING_FEE", "WITHDRAW_REJECT", "ADJUSTMENT", "INSURANCE_CLEAR",
        "ADMIN_DEPOSIT", "ADMIN_WITHDRAW", "MARGIN_TRANSFER", "MARGIN_TYPE_CHANGE", "ASSET_TRANSFER",
        "OPTIONS_PREMIUM_FEE", "OPTIONS_SETTLE_PROFIT", "AUTO_EXCHANGE", "COIN_SWAP_DEPOSIT",
        "COIN_SWAP_WITHDRAW",
    }
)  # fmt: skip
SPOT_ORDER: Final[Words] = {
    "status": SPOT_STATUS, "type": SPOT_TYPES, "side": SIDE, "timeInForce": TIMES_IN_FORCE,
}  # fmt: skip
FUTURES_ORDER: Final[Words] = {
    "status": FUTURES_STATUS, "type": FUTURES_TYPES, "side": SIDE, "timeInForce": TIMES_IN_FORCE,
    "positionSide": POSITION_SIDES,
}  # fmt: skip
ALGO_ORDER: Final[Words] = {
    "algoStatus": ALGO_STATUS, "type": FUTURES_TYPES, "side": SIDE, "positionSide": POSITION_SIDES,
}  # fmt: skip
REPORT: Final[Words] = {
    "S": SIDE, "o": SPOT_TYPES, "f": TIMES_IN_FORCE, "x": SPOT_WIRE.execution_types, "X": SPOT_STATUS,
}  # fmt: skip
FUTURES_UPDATE: Final[Words] = {
    "o.S": SIDE, "o.o": FUTURES_TYPES, "o.f": TIMES_IN_FORCE, "o.x": FUTURES_EXECUTIONS,
    "o.X": FUTURES_STATUS, "o.ps": POSITION_SIDES,
}  # fmt: skip
ALGO_UPDATE: Final[Words] = {
    "o.S": SIDE, "o.o": FUTURES_TYPES, "o.X": ALGO_STATUS, "o.ps": POSITION_SIDES,
}  # fmt: skip


def _below(path: str, words: Words) -> Words:
    return {f"{path}.{name}": known for name, known in words.items()}


def _frame(name: str, kind: Any, words: Words | None = None) -> list[Shape]:
    """A frame bare, in the envelope of combined streams, and of events in the one of the WebSocket API."""
    known = words or {}
    return [
        Shape(name=f"binance {name}", type=kind, words=known),
        Shape(name=f"binance {name} combined", type=market.Combined[kind], words=_below("data", known)),
        Shape(name=f"binance {name} event", type=account.Subscribed[kind], words=_below("event", known)),
    ]


def _rest(name: str, kind: Any, words: Words | None = None) -> Shape:
    return Shape(name=f"binance rest {name}", type=kind, words=words or {})


def _rows(name: str, kind: Any, words: Words | None = None) -> Shape:
    return _rest(name, list[kind], _below("[]", words or {}))


INFO: Final[Words] = {
    "rateLimits[].rateLimitType": LIMITS,
    "rateLimits[].interval": INTERVALS,
    "symbols[].filters[].filterType": FILTERS,
    "exchangeFilters[].filterType": FILTERS,
}
STREAM: Final = [
    *_frame("depthUpdate", market.DepthUpdate),
    *_frame("bookTicker", market.BookTicker),
    *_frame("trade", market.Trade, {"X": frozenset({"MARKET", "INSURANCE_FUND", "ADL", "NA", "RPI"})}),
    *_frame("aggTrade", market.AggregateTrade),
    *_frame("kline", market.CandleUpdate),
    *_frame("markPriceUpdate", market.MarkPrice),
    *_frame(
        "forceOrder",
        market.ForcedOrderEvent,
        {"o.S": SIDE, "o.o": FUTURES_TYPES, "o.f": TIMES_IN_FORCE, "o.X": FUTURES_STATUS},
    ),
    *_frame("24hrTicker", market.DayTicker),
]
EVENTS: Final = [
    *_frame("executionReport", account.ExecutionReport, REPORT),
    *_frame("outboundAccountPosition", account.AccountPosition),
    *_frame("balanceUpdate", account.BalanceUpdate),
    *_frame("externalLockUpdate", account.BalanceUpdate),
    *_frame("listStatus", account.ListStatus),
    *_frame("ORDER_TRADE_UPDATE", account.FuturesOrderEvent, FUTURES_UPDATE),
    *_frame("ALGO_UPDATE", account.AlgoEvent, ALGO_UPDATE),
    *_frame("TRADE_LITE", account.TradeLite, {"S": SIDE}),
    *_frame(
        "ACCOUNT_UPDATE",
        account.AccountChangeEvent,
        {"a.m": REASONS, "a.P[].ps": POSITION_SIDES, "a.P[].mt": MARGIN_TYPES},
    ),
]
REST: Final = [
    _rest("depth", market.DepthBody),
    _rest("exchangeInfo", market.ExchangeInfo,
          {**INFO, "symbols[].status": SYMBOL_STATUS,
           "symbols[].orderTypes[]": SPOT_TYPES | {"TRAILING_STOP_LOSS", "TRAILING_TAKE_PROFIT"}}),
    _rest("futures exchangeInfo", market.FuturesExchangeInfo,
          {**INFO, "symbols[].status": CONTRACT_STATUS, "symbols[].contractType": CONTRACTS,
           "symbols[].orderTypes[]": FUTURES_TYPES}),
    _rows("klines", market.CandleRow),
    _rows("aggTrades", market.AggregateRow),
    _rows("trades", market.TradeRow),
    _rest("ticker/price", market.PriceTicker),
    _rest("ticker/bookTicker", market.BookTickerBody),
    _rest("ticker/24hr", market.DayTickerBody),
    _rest("openInterest", market.OpenInterest),
    _rest("premiumIndex", market.PremiumIndex),
    _rows("longShortRatio", market.LongShortRow),
    _rows("indexInfo", market.IndexRow),
    _rest("time", account.ServerTime),
    _rest("order", account.SpotOrder, SPOT_ORDER),
    _rows("orders", account.SpotOrder, SPOT_ORDER),
    _rest("account", account.SpotAccount),
    _rows("tradeFee", account.TradeFee),
    _rest("futures order", account.FuturesOrder, FUTURES_ORDER),
    _rows("futures orders", account.FuturesOrder, FUTURES_ORDER),
    _rows("futures algo orders", account.AlgoOrder, ALGO_ORDER),
    _rows("futures positionRisk", account.PositionRisk,
          {"positionSide": POSITION_SIDES, "marginType": MARGIN_TYPES}),
    _rows("futures symbolConfig", account.SymbolConfiguration, {"marginType": MARGIN_TYPES}),
    _rest("futures commissionRate", account.CommissionRate),
    _rest("futures account", account.FuturesAccount, {"positions[].positionSide": POSITION_SIDES}),
]  # fmt: skip

SHAPES: Final[Catalogue] = catalogue("binance", [*STREAM, *EVENTS, *REST])


def name_of(document: Any) -> str | None:
    """The shape of a frame of a socket; None when it is none that we know. REST answers do not say it.

    Frames of both markets have one shape: what only one of them sends may be missing.
    """
    if not isinstance(document, dict):
        return None
    inner, wrapping = document, ""
    for key, name in (("data", " combined"), ("event", " event")):
        if isinstance(document.get(key), dict):
            inner, wrapping = document[key], name
            break
    kind = inner.get("e", "bookTicker" if {"B", "A", "u"} <= inner.keys() else None)
    found = f"binance {kind}{wrapping}"
    return found if found in SHAPES.shapes else None
