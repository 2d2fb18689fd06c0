"""The words of USD-M: states, types, and what its errors mean (T7.5)."""

from __future__ import annotations

from tradewind.venues.binance.instruments import BinanceMarket
from tradewind.venues.binance.refusals import CODES, UNCERTAIN, Meaning, Meanings
from tradewind.venues.binance.wire import MarketWire
from tradewind.venues.binance_usdm.private_messages import UserTradeRow
from tradewind.venues.codes import RejectCode
from tradewind.venues.protocol import OrderPhase, VenueState

NOTHING_TO_CHANGE = -5027
NO_LISTEN_KEY = -1125

USDM_CODES: dict[int, Meaning] = {
    **CODES,
    -2012: UNCERTAIN,
    -2017: Meaning(RejectCode.NOT_AUTHORISED),
    -2018: Meaning(RejectCode.INSUFFICIENT_FUNDS, True),
    -2019: Meaning(RejectCode.INSUFFICIENT_FUNDS, True),
    -2020: Meaning(RejectCode.NO_LIQUIDITY),
    -2021: Meaning(RejectCode.VENUE_REJECTED),
    -2022: Meaning(RejectCode.REDUCE_ONLY),
    -2023: Meaning(RejectCode.NOT_AUTHORISED),
    -2024: Meaning(RejectCode.REDUCE_ONLY),
    -2025: Meaning(RejectCode.TOO_MANY_ORDERS, True),
    -2026: Meaning(RejectCode.TYPE_UNSUPPORTED, True),
    -2027: Meaning(RejectCode.VENUE_POSITION_CAP),
    -2028: Meaning(RejectCode.INSUFFICIENT_FUNDS, True),
    -4001: Meaning(RejectCode.BAD_NUMBER, True),
    -4002: Meaning(RejectCode.OUTSIDE_BAND, True),
    -4003: Meaning(RejectCode.BAD_NUMBER, True),
    -4004: Meaning(RejectCode.BELOW_MIN_QTY, True),
    -4005: Meaning(RejectCode.ABOVE_MAX_QTY, True),
    -4013: Meaning(RejectCode.OUTSIDE_BAND, True),
    -4014: Meaning(RejectCode.OFF_TICK, True),
    -4015: Meaning(RejectCode.BAD_CLIENT_ID, True),
    -4016: Meaning(RejectCode.OUTSIDE_BAND),
    -4023: Meaning(RejectCode.OFF_LOT, True),
    -4024: Meaning(RejectCode.OUTSIDE_BAND),
    -4045: Meaning(RejectCode.TOO_MANY_ORDERS),
    -4050: Meaning(RejectCode.INSUFFICIENT_FUNDS, True),
    -4051: Meaning(RejectCode.INSUFFICIENT_FUNDS, True),
    -4061: Meaning(RejectCode.INVALID_REQUEST, True),
    -4082: Meaning(RejectCode.INVALID_REQUEST, True),
    -4087: Meaning(RejectCode.NOT_AUTHORISED),
    -4088: Meaning(RejectCode.NOT_AUTHORISED),
    -4108: Meaning(RejectCode.SYMBOL_CLOSED),
    -4116: Meaning(RejectCode.DUPLICATE_CLIENT_ID, True),
    -4118: Meaning(RejectCode.REDUCE_ONLY),
    -4131: Meaning(RejectCode.OUTSIDE_BAND),
    -4140: Meaning(RejectCode.SYMBOL_CLOSED),
    -4141: Meaning(RejectCode.SYMBOL_CLOSED),
    -4164: Meaning(RejectCode.BELOW_MIN_NOTIONAL, True),
    -4192: Meaning(RejectCode.NOT_AUTHORISED),
    -4400: Meaning(RejectCode.NOT_AUTHORISED),
    -4401: Meaning(RejectCode.NOT_AUTHORISED),
    -4402: Meaning(RejectCode.NOT_AUTHORISED),
    -4403: Meaning(RejectCode.NOT_AUTHORISED),
    -5021: Meaning(RejectCode.NOT_FILLABLE),
    -5022: Meaning(RejectCode.POST_ONLY_WOULD_TAKE),
    -5024: Meaning(RejectCode.TYPE_UNSUPPORTED),
    -5025: Meaning(RejectCode.TYPE_UNSUPPORTED, True),
    -5026: Meaning(RejectCode.TOO_MANY_ORDERS),
    NOTHING_TO_CHANGE: Meaning(RejectCode.INVALID_REQUEST, True),
    -5028: Meaning(RejectCode.DEADLINE_PASSED),
}
"""Codes that spot has too and that mean the same are not repeated."""

USDM_FILTERS: dict[str, RejectCode] = {
    "PRICE_FILTER": RejectCode.OFF_TICK,
    "LOT_SIZE": RejectCode.OFF_LOT,
    "MARKET_LOT_SIZE": RejectCode.OFF_LOT,
    "MAX_NUM_ORDERS": RejectCode.TOO_MANY_ORDERS,
    "MAX_NUM_ALGO_ORDERS": RejectCode.TOO_MANY_ORDERS,
    "PERCENT_PRICE": RejectCode.OUTSIDE_BAND,
    "MIN_NOTIONAL": RejectCode.BELOW_MIN_NOTIONAL,
    "POSITION_RISK_CONTROL": RejectCode.VENUE_POSITION_CAP,
}
"""Filters that `exchangeInfo` may name. One that is not here: no new risk in its symbol (T2.7)."""

USDM_WIRE = MarketWire(
    market=BinanceMarket.USDM,
    facts="tradewind.venues.binance_usdm",
    meanings=Meanings(
        codes=USDM_CODES,
        texts={},
        by_text=frozenset(),
        refusals=frozenset({-2010}),
        filters=USDM_FILTERS,
    ),
    states={
        "TRADING": VenueState.ONLINE,
        "PENDING_TRADING": VenueState.MAINTENANCE,
        "PRE_DELIVERING": VenueState.MAINTENANCE,
        "DELIVERING": VenueState.MAINTENANCE,
        "DELIVERED": VenueState.DELISTED,
        "PRE_SETTLE": VenueState.MAINTENANCE,
        "SETTLING": VenueState.MAINTENANCE,
        "CLOSE": VenueState.DELISTED,
    },
    phases={
        "NEW": OrderPhase.WORKING,
        "PARTIALLY_FILLED": OrderPhase.PARTIALLY_FILLED,
        "FILLED": OrderPhase.FILLED,
        "CANCELED": OrderPhase.CANCELLED,
        "REJECTED": OrderPhase.REJECTED,
        "EXPIRED": OrderPhase.EXPIRED,
        "EXPIRED_IN_MATCH": OrderPhase.EXPIRED,
        # a liquidation that the insurance fund or other accounts take over; filled when it has its lots
        "NEW_INSURANCE": OrderPhase.WORKING,
        "NEW_ADL": OrderPhase.WORKING,
    },
    execution_types=frozenset({"NEW", "CANCELED", "CALCULATED", "EXPIRED", "TRADE", "AMENDMENT", "REJECTED"}),
    executions=frozenset({"TRADE", "CALCULATED"}),
    with_limit=frozenset({"LIMIT", "STOP", "TAKE_PROFIT", "LIQUIDATION"}),
    without_limit=frozenset({"MARKET", "STOP_MARKET", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"}),
    plain_types=frozenset({"LIMIT"}),
    trades_path="userTrades",
    trade_row=UserTradeRow,
    contracts=frozenset({"PERPETUAL"}),
    positions=True,
)
