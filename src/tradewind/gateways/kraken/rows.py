"""Orders, trades and books as Kraken's REST and WebSocket v2 print them."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

import msgspec

from tradewind.gateways.kraken import ids
from tradewind.gateways.kraken.numbers import (
    REST_PRICE_DECIMALS,
    REST_SIZE_DECIMALS,
    at_least,
    fixed,
    number,
    rfc3339,
    rounded,
    seconds,
)
from tradewind.gateways.kraken.symbols import ASSET_DECIMALS, AssetName, PairName
from tradewind.gateways.model import Candle, Fill, Kind, Market, Order, PublicTrade, Ticker
from tradewind.venues.market_data import Level, Side
from tradewind.venues.protocol import OrderPhase, TimeInForce

Row = dict[str, Any]

COST_DECIMALS: Final = ASSET_DECIMALS
AVERAGE_DECIMALS: Final = 10
"""Decimals of averages on WebSocket v2, beyond those of the price."""

REST_STATUS: Final = {
    OrderPhase.WORKING: "open",
    OrderPhase.PARTIALLY_FILLED: "open",
    OrderPhase.FILLED: "closed",
    OrderPhase.CANCELLED: "canceled",
    OrderPhase.EXPIRED: "expired",
    OrderPhase.REJECTED: "canceled",
}
SOCKET_STATUS: Final = {
    OrderPhase.WORKING: "new",
    OrderPhase.PARTIALLY_FILLED: "partially_filled",
    OrderPhase.FILLED: "filled",
    OrderPhase.CANCELLED: "canceled",
    OrderPhase.EXPIRED: "expired",
    OrderPhase.REJECTED: "canceled",
}
KIND_NAMES: Final = {
    Kind.LIMIT: "limit",
    Kind.MARKET: "market",
    Kind.STOP: "stop-loss",
    Kind.STOP_LIMIT: "stop-loss-limit",
    Kind.TAKE_PROFIT: "take-profit",
    Kind.TAKE_PROFIT_LIMIT: "take-profit-limit",
}
TRIGGERED: Final = frozenset({Kind.STOP, Kind.STOP_LIMIT, Kind.TAKE_PROFIT, Kind.TAKE_PROFIT_LIMIT})
LIMITED: Final = frozenset({Kind.LIMIT, Kind.STOP_LIMIT, Kind.TAKE_PROFIT_LIMIT})
SIDES: Final = {Side.BUY: "buy", Side.SELL: "sell"}
USER_REQUESTED: Final = "User requested"
REASONS: Final = {
    "": USER_REQUESTED,
    "user": USER_REQUESTED,
    "cancel_all": USER_REQUESTED,
    "expiry": "Order expired",
    "post_only": "Post only order",
    "ioc": "Immediate or cancel order",
    "fok": "Fill or kill order",
    "self_trade": "Self trade prevention",
    "switch": "Cancel all orders after timeout",
}
"""Why an order ended, by the exchange's reason. Only the first texts are known to be the venue's own."""
ZERO: Final = Decimal(0)


class PairFormat:
    """Prints the numbers of one market."""

    def __init__(self, market: Market, name: PairName, base: AssetName, quote: AssetName) -> None:
        instrument = market.instrument
        self.market, self.name, self.base, self.quote = market, name, base, quote
        self.tick, self.lot = instrument.tick, instrument.lot
        self.price_decimals, self.lot_decimals = instrument.price_decimals, instrument.quantity_decimals
        self._rest_decimals = max(REST_PRICE_DECIMALS, self.price_decimals)

    def price(self, ticks: int) -> str:
        """A price with the pair's own decimals."""
        return fixed(self.tick * ticks, self.price_decimals)

    def rest_price(self, ticks: int) -> str:
        """A price as market data of REST has it: at least five decimals."""
        return fixed(self.tick * ticks, self._rest_decimals)

    def rest_average(self, cost: Decimal, lots: int) -> str:
        """An average price; zero where nothing was traded."""
        return rounded(cost / (self.lot * lots) if lots else ZERO, self._rest_decimals)

    def size(self, lots: int) -> str:
        """A quantity with the pair's own decimals."""
        return fixed(self.lot * lots, self.lot_decimals)

    def rest_size(self, lots: int) -> str:
        """A quantity as books of REST have it: three decimals, or more where it has more."""
        return at_least(self.lot * lots, REST_SIZE_DECIMALS)

    def cost(self, value: Decimal) -> str:
        """Money of the quote asset."""
        return at_least(value, COST_DECIMALS)

    def price_number(self, ticks: int) -> msgspec.Raw:
        """A price as a JSON number with every declared decimal."""
        return number(self.price(ticks))

    def size_number(self, lots: int) -> msgspec.Raw:
        """A quantity as a JSON number with every declared decimal."""
        return number(self.size(lots))

    def cost_number(self, value: Decimal) -> msgspec.Raw:
        """Money as a JSON number."""
        return number(self.cost(value))

    def average_number(self, cost: Decimal, lots: int) -> msgspec.Raw:
        """An average price as a JSON number, rounded."""
        return number(
            rounded(cost / (self.lot * lots) if lots else ZERO, max(self.price_decimals, AVERAGE_DECIMALS))
        )


# ---- orders of REST ------------------------------------------------------------------------------------


def description(
    pair: PairFormat, side: Side, kind: Kind, *, price_ticks: int, trigger_ticks: int, volume: str
) -> str:
    """`buy 1.25000000 XBTUSD @ limit 27500.0`."""
    head = f"{SIDES[side]} {volume} {pair.name.alternative} @"
    if kind is Kind.LIMIT:
        return f"{head} limit {pair.price(price_ticks)}"
    if kind is Kind.MARKET:
        return f"{head} market"
    words = "stop loss" if kind in (Kind.STOP, Kind.STOP_LIMIT) else "take profit"
    text = f"{head} {words} {pair.price(trigger_ticks)}"
    return f"{text} -> limit {pair.price(price_ticks)}" if kind in LIMITED else text


def order_description(pair: PairFormat, order: Order) -> str:
    """The same of an order that exists."""
    volume = pair.size(order.lots)
    return description(
        pair,
        order.side,
        order.kind,
        price_ticks=order.price_ticks,
        trigger_ticks=order.trigger_ticks,
        volume=volume,
    )


def order_flags(order: Order) -> str:
    """Fees are in the quote asset, always."""
    return "fciq,post" if order.post_only else "fciq"


def end_reason(order: Order) -> str | None:
    """Why an order ended without being filled, in the venue's words where they are known."""
    if order.phase in (OrderPhase.FILLED, OrderPhase.WORKING, OrderPhase.PARTIALLY_FILLED):
        return None
    return REASONS.get(order.reason, order.reason.replace("_", " ").capitalize())


def order_row(pair: PairFormat, order: Order, trade_ids: Iterable[str] | None) -> Row:
    """An order in OpenOrders, ClosedOrders and QueryOrders; `trade_ids` when trades were asked for."""
    triggered = order.kind in TRIGGERED
    limit = pair.price(order.price_ticks) if order.kind in LIMITED else "0"
    trigger = pair.price(order.trigger_ticks) if triggered else "0"
    row: Row = {
        "refid": None,
        "userref": order.tag,
        "cl_ord_id": order.client_id or None,
        "status": REST_STATUS[order.phase],
        "opentm": seconds(order.created_ns),
        "starttm": 0,
        "expiretm": order.expires_ns // 1_000_000_000,
        "descr": {
            "pair": pair.name.alternative,
            "type": SIDES[order.side],
            "ordertype": KIND_NAMES[order.kind],
            "price": trigger if triggered else limit,
            "price2": limit if triggered else "0",
            "leverage": "none",
            "order": order_description(pair, order),
            "close": "",
        },
        "vol": pair.size(order.lots),
        "vol_exec": pair.size(order.filled_lots),
        "cost": pair.cost(order.cost),
        "fee": pair.cost(order.fee),
        "price": pair.rest_average(order.cost, order.filled_lots),
        "stopprice": pair.rest_price(order.trigger_ticks),
        "limitprice": pair.rest_price(order.price_ticks if triggered else 0),
        "misc": "",
        "oflags": order_flags(order),
    }
    if not order.client_id:
        del row["cl_ord_id"]
    if triggered:
        row["trigger"] = "last"
    if REST_STATUS[order.phase] != "open":
        row["reason"] = end_reason(order)
        row["closetm"] = seconds(order.updated_ns)
    if trade_ids is not None:
        row["trades"] = list(trade_ids)
    return row


def fill_row(pair: PairFormat, fill: Fill, kind: Kind, ledgers: bool) -> Row:
    """A trade of an account in TradesHistory and QueryTrades."""
    row: Row = {
        "ordertxid": ids.order_id(fill.order_id),
        "postxid": ids.encode("TP", fill.fill_id),
        "pair": pair.name.key,
        "time": seconds(fill.time_ns, 7),
        "type": SIDES[fill.side],
        "ordertype": KIND_NAMES[kind],
        "price": pair.rest_price(fill.price_ticks),
        "cost": pair.cost(fill.cost),
        "fee": pair.cost(fill.fee),
        "vol": pair.size(fill.lots),
        "margin": "0.00000",
        "leverage": "0",
        "misc": "",
        "trade_id": fill.trade_id,
        "maker": fill.maker,
    }
    if ledgers:
        row["ledgers"] = [ids.ledger_id(fill.fill_id, False), ids.ledger_id(fill.fill_id, True)]
    return row


# ---- market data of REST -------------------------------------------------------------------------------


def trade_row(pair: PairFormat, trade: PublicTrade) -> list[Any]:
    """[price, volume, time, side, order type, miscellaneous, id]."""
    side = "b" if trade.taker_side is Side.BUY else "s"
    price, size = pair.rest_price(trade.price_ticks), pair.size(trade.lots)
    kind = "m" if trade.taker_kind is Kind.MARKET else "l"
    return [price, size, seconds(trade.time_ns, 7), side, kind, "", trade.trade_id]


def level_rows(pair: PairFormat, levels: Iterable[Level], time_s: int) -> list[list[Any]]:
    """[price, volume, time] of a book's side."""
    return [[pair.rest_price(ticks), pair.rest_size(lots), time_s] for ticks, lots in levels]


def candle_row(pair: PairFormat, candle: Candle) -> list[Any]:
    """[time, open, high, low, close, vwap, volume, count]."""
    prices = [
        pair.price(one)
        for one in (candle.open_ticks, candle.high_ticks, candle.low_ticks, candle.close_ticks)
    ]
    average = (
        rounded(candle.quote_volume / (pair.lot * candle.lots), pair.price_decimals) if candle.lots else "0.0"
    )
    return [candle.open_ns // 1_000_000_000, *prices, average, pair.size(candle.lots), candle.trades]


def ticker_row(pair: PairFormat, day: Ticker, today: Candle | None) -> Row:
    """Ticker of a pair: `today` is the day since midnight UTC, `day` the last 24 hours.

    What there is none of is zero, as at the venue: a price of zero means that there is no order, no trade.
    """

    def top(level: Level | None) -> list[str]:
        price, lots = level or (0, 0)
        whole = int(pair.lot * lots)
        return [pair.rest_price(price), str(whole), at_least(pair.lot * lots, REST_SIZE_DECIMALS)]

    last = (
        [pair.rest_price(day.last.price_ticks), pair.size(day.last.lots)]
        if day.last
        else [pair.rest_price(0), pair.size(0)]
    )
    lots, volume, trades = (today.lots, today.quote_volume, today.trades) if today else (0, ZERO, 0)
    traded = today is not None and today.trades
    lows = (today.low_ticks if traded and today else 0, day.low_ticks or 0)
    highs = (today.high_ticks if traded and today else 0, day.high_ticks or 0)
    return {
        "a": top(day.ask),
        "b": top(day.bid),
        "c": last,
        "v": [pair.size(lots), pair.size(day.lots)],
        "p": [pair.rest_average(volume, lots), pair.rest_average(day.quote_volume, day.lots)],
        "t": [trades, day.trades],
        "l": [pair.rest_price(one) for one in lows],
        "h": [pair.rest_price(one) for one in highs],
        "o": pair.rest_price(today.open_ticks if today else day.last.price_ticks if day.last else 0),
    }


# ---- WebSocket v2 --------------------------------------------------------------------------------------


def socket_trade(pair: PairFormat, trade: PublicTrade) -> Row:
    """A row of the `trade` channel."""
    return {
        "symbol": pair.name.canonical,
        "side": SIDES[trade.taker_side],
        "price": pair.price_number(trade.price_ticks),
        "qty": pair.size_number(trade.lots),
        "ord_type": KIND_NAMES[trade.taker_kind],
        "trade_id": trade.trade_id,
        "timestamp": rfc3339(trade.time_ns),
    }


def socket_levels(pair: PairFormat, levels: Iterable[Level]) -> list[Row]:
    """Levels of the `book` channel."""
    return [{"price": pair.price_number(ticks), "qty": pair.size_number(lots)} for ticks, lots in levels]


def socket_ticker(pair: PairFormat, day: Ticker) -> Row:
    """A row of the `ticker` channel; zeros where there is nothing, as at the venue."""
    bid, ask = day.bid or (0, 0), day.ask or (0, 0)
    last = day.last.price_ticks if day.last else 0
    change = last - day.open_ticks if day.last and day.open_ticks else 0
    share = Decimal(change * 100) / day.open_ticks if day.open_ticks and change else ZERO
    price = fixed(pair.tick * abs(change), pair.price_decimals)
    return {
        "symbol": pair.name.canonical,
        "bid": pair.price_number(bid[0]),
        "bid_qty": pair.size_number(bid[1]),
        "ask": pair.price_number(ask[0]),
        "ask_qty": pair.size_number(ask[1]),
        "last": pair.price_number(last),
        "volume": pair.size_number(day.lots),
        "vwap": number(
            rounded(day.quote_volume / (pair.lot * day.lots), pair.price_decimals + 4) if day.lots else "0.0"
        ),
        "low": pair.price_number(day.low_ticks or 0),
        "high": pair.price_number(day.high_ticks or 0),
        "change": number(f"-{price}" if change < 0 else price),
        "change_pct": number(rounded(share, 2)),
        "timestamp": rfc3339(day.time_ns),
    }


def socket_candle(pair: PairFormat, candle: Candle, interval_minutes: int) -> Row:
    """A row of the `ohlc` channel."""
    end_ns = candle.open_ns + interval_minutes * 60_000_000_000
    average = (
        rounded(candle.quote_volume / (pair.lot * candle.lots), pair.price_decimals) if candle.lots else "0.0"
    )
    return {
        "symbol": pair.name.canonical,
        "open": pair.price_number(candle.open_ticks),
        "high": pair.price_number(candle.high_ticks),
        "low": pair.price_number(candle.low_ticks),
        "close": pair.price_number(candle.close_ticks),
        "trades": candle.trades,
        "volume": pair.size_number(candle.lots),
        "vwap": number(average),
        "interval_begin": rfc3339(candle.open_ns, 9),
        "interval": interval_minutes,
        "timestamp": rfc3339(end_ns),
    }


def socket_order(pair: PairFormat, order: Order) -> Row:
    """What every row of `executions` about an order carries."""
    status = SOCKET_STATUS[order.phase]
    row: Row = {
        "order_id": ids.order_id(order.order_id),
        "order_userref": order.tag,
        "symbol": pair.name.canonical,
        "side": SIDES[order.side],
        "order_type": KIND_NAMES[order.kind],
        "order_qty": pair.size_number(order.lots),
        "order_status": status,
        "time_in_force": "GTD"
        if order.expires_ns and order.time_in_force is TimeInForce.GTC
        else order.time_in_force.upper(),
        "post_only": order.post_only,
        "reduce_only": order.reduce_only,
        "margin": False,
        "fee_ccy_pref": "fciq",
        "limit_price_type": "static",
        "cum_qty": pair.size_number(order.filled_lots),
        "cum_cost": pair.cost_number(order.cost),
        "avg_price": pair.average_number(order.cost, order.filled_lots),
        "timestamp": rfc3339(order.updated_ns),
    }
    if pair.quote.canonical == "USD":  # in another currency the worth in dollars would be a guess
        row["fee_usd_equiv"] = pair.cost_number(order.fee)
    if order.client_id:
        row["cl_ord_id"] = order.client_id
    if order.kind in LIMITED:
        row["limit_price"] = pair.price_number(order.price_ticks)
    if order.kind in TRIGGERED:
        price = pair.price_number(order.trigger_ticks)
        row["stop_price"] = price
        row["triggers"] = {"reference": "last", "price": price, "price_type": "static"}
    if order.display_lots:
        row["display_qty"] = pair.size_number(order.display_lots)
    if order.expires_ns:
        row["expire_time"] = rfc3339(order.expires_ns)
    return row


def socket_fill(pair: PairFormat, fill: Fill) -> Row:
    """The parts of an `executions` row that are about one execution."""
    row: Row = {
        "exec_id": ids.trade_id(fill.fill_id),
        "trade_id": fill.trade_id,
        "last_qty": pair.size_number(fill.lots),
        "last_price": pair.price_number(fill.price_ticks),
        "cost": pair.cost_number(fill.cost),
        "liquidity_ind": "m" if fill.maker else "t",
        "fees": [{"asset": fill.fee_asset, "qty": pair.cost_number(fill.fee)}],
        "timestamp": rfc3339(fill.time_ns),
    }
    if pair.quote.canonical == "USD":
        row["fee_usd_equiv"] = pair.cost_number(fill.fee)
    return row
