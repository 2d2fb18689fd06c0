"""Every call that the gateway offers: by path for REST, by method name for the WebSocket API."""

from __future__ import annotations

from typing import Final

from . import account, market, pairs, trading
from .calls import Call, Handler, Security, Weight, fixed

V3: Final = "/api/v3/"


def _call(
    name: str,
    handler: Handler,
    weight: int | Weight,
    security: Security = Security.NONE,
    orders: int = 0,
    *,
    counted: bool = False,
) -> Call:
    return Call(
        name=name,
        handler=handler,
        security=security,
        weight=fixed(weight) if isinstance(weight, int) else weight,
        orders=orders,
        counted=counted or orders > 0,
    )


PUBLIC: Final = (
    ("ping", "ping", _call("ping", market.ping, 1)),
    ("time", "time", _call("time", market.server_time, 1)),
    ("exchangeInfo", "exchangeInfo", _call("exchangeInfo", market.exchange_info, 20)),
    ("depth", "depth", _call("depth", market.depth, market.depth_weight)),
    ("trades", "trades.recent", _call("trades", market.trades, 25)),
    (
        "historicalTrades",
        "trades.historical",
        _call("historicalTrades", market.historical_trades, 25),
    ),
    ("aggTrades", "trades.aggregate", _call("aggTrades", market.agg_trades, 4)),
    ("klines", "klines", _call("klines", market.klines, 2)),
    ("uiKlines", "uiKlines", _call("uiKlines", market.klines, 2)),
    ("avgPrice", "avgPrice", _call("avgPrice", market.average_price, 2)),
    ("ticker/24hr", "ticker.24hr", _call("ticker/24hr", market.ticker_24hr, market.ticker_weight)),
    (
        "ticker/tradingDay",
        "ticker.tradingDay",
        _call("ticker/tradingDay", market.ticker_trading_day, market.short_ticker_weight),
    ),
    ("ticker", "ticker", _call("ticker", market.ticker_window, market.short_ticker_weight)),
    (
        "ticker/price",
        "ticker.price",
        _call("ticker/price", market.ticker_price, market.short_ticker_weight),
    ),
    (
        "ticker/bookTicker",
        "ticker.book",
        _call("ticker/bookTicker", market.ticker_book, market.short_ticker_weight),
    ),
)

READ, TRADE, CANCEL = Security.READ, Security.TRADE, Security.CANCEL
SIGNED: Final = (
    ("GET", "account", "account.status", _call("account", account.account, 20, READ)),
    (
        "GET",
        "account/commission",
        "account.commission",
        _call("account/commission", account.commission, 20, READ),
    ),
    (
        "GET",
        "rateLimit/order",
        "account.rateLimits.orders",
        _call("rateLimit/order", account.order_limits, 40, READ),
    ),
    (
        "GET",
        "myTrades",
        "myTrades",
        _call("myTrades", account.my_trades, account.my_trades_weight, READ),
    ),
    ("GET", "order", "order.status", _call("order", account.query_order, 4, READ)),
    (
        "GET",
        "openOrders",
        "openOrders.status",
        _call("openOrders", account.open_orders, account.open_orders_weight, READ),
    ),
    ("GET", "allOrders", "allOrders", _call("allOrders", account.all_orders, 20, READ)),
    ("GET", "orderList", "orderList.status", _call("orderList", pairs.query_list, 4, READ)),
    ("GET", "allOrderList", "allOrderLists", _call("allOrderList", pairs.all_lists, 20, READ)),
    ("GET", "openOrderList", "openOrderLists.status", _call("openOrderList", pairs.open_lists, 6, READ)),
    ("POST", "order", "order.place", _call("order", trading.place_order, 1, TRADE, 1)),
    ("POST", "order/test", "order.test", _call("order/test", trading.test_order, trading.test_weight, TRADE)),
    (
        "POST",
        "order/cancelReplace",
        "order.cancelReplace",
        _call("order/cancelReplace", trading.cancel_replace, 1, TRADE, 1),
    ),
    (
        "PUT",
        "order/amend/keepPriority",
        "order.amend.keepPriority",
        _call("order/amend/keepPriority", trading.amend_order, 4, TRADE, counted=True),
    ),
    (
        "POST",
        "orderList/oco",
        "orderList.place.oco",
        _call("orderList/oco", pairs.place_oco, 1, TRADE, 2),
    ),
    ("POST", "order/oco", "orderList.place", _call("order/oco", pairs.place_old_oco, 1, TRADE, 2)),
    ("DELETE", "order", "order.cancel", _call("order", trading.cancel_order, 1, CANCEL, counted=True)),
    (
        "DELETE",
        "openOrders",
        "openOrders.cancelAll",
        _call("openOrders", trading.cancel_open_orders, 1, CANCEL, counted=True),
    ),
    (
        "DELETE",
        "orderList",
        "orderList.cancel",
        _call("orderList", pairs.cancel_list, 1, CANCEL, counted=True),
    ),
)

WALLET: Final = (
    (
        "/sapi/v1/capital/config/getall",
        _call("capital/config/getall", account.coins, 10, READ),
    ),
    ("/sapi/v1/asset/tradeFee", _call("asset/tradeFee", account.trade_fee, 1, READ)),
    ("/sapi/v1/margin/allPairs", _call("margin/allPairs", account.empty_list, 1, Security.KEY)),
    ("/sapi/v1/margin/isolated/allPairs", _call("margin/isolated/allPairs", account.empty_list, 10, READ)),
    ("/fapi/v1/exchangeInfo", _call("fapi/exchangeInfo", account.empty_exchange, 1)),
    ("/dapi/v1/exchangeInfo", _call("dapi/exchangeInfo", account.empty_exchange, 1)),
)

REST_CALLS: Final[dict[tuple[str, str], Call]] = {
    **{("GET", V3 + path): call for path, _, call in PUBLIC},
    **{(method, V3 + path): call for method, path, _, call in SIGNED},
    **{("GET", path): call for path, call in WALLET},
}
SOCKET_CALLS: Final[dict[str, Call]] = {
    **{method: call for _, method, call in PUBLIC},
    **{method: call for _, _, method, call in SIGNED},
}
ORDER_CHANGES: Final = frozenset(
    {"order", "order/cancelReplace", "order/amend/keepPriority", "orderList/oco", "order/oco"}
)
"""Calls that a market in maintenance refuses (with security TRADE), beside every cancel."""
