"""Every call that the gateway offers: by path for REST, by method name for the WebSocket API."""

from __future__ import annotations

from typing import Final

from . import account, market, pairs, trading
from .calls import Call, Security, call_of

V3: Final = "/api/v3/"


PUBLIC: Final = (
    ("ping", "ping", call_of("ping", market.ping, 1)),
    ("time", "time", call_of("time", market.server_time, 1)),
    ("exchangeInfo", "exchangeInfo", call_of("exchangeInfo", market.exchange_info, 20)),
    ("depth", "depth", call_of("depth", market.depth, market.depth_weight)),
    ("trades", "trades.recent", call_of("trades", market.trades, 25)),
    (
        "historicalTrades",
        "trades.historical",
        call_of("historicalTrades", market.historical_trades, 25),
    ),
    ("aggTrades", "trades.aggregate", call_of("aggTrades", market.agg_trades, 4)),
    ("klines", "klines", call_of("klines", market.klines, 2)),
    ("uiKlines", "uiKlines", call_of("uiKlines", market.klines, 2)),
    ("avgPrice", "avgPrice", call_of("avgPrice", market.average_price, 2)),
    ("ticker/24hr", "ticker.24hr", call_of("ticker/24hr", market.ticker_24hr, market.ticker_weight)),
    (
        "ticker/tradingDay",
        "ticker.tradingDay",
        call_of("ticker/tradingDay", market.ticker_trading_day, market.short_ticker_weight),
    ),
    ("ticker", "ticker", call_of("ticker", market.ticker_window, market.short_ticker_weight)),
    (
        "ticker/price",
        "ticker.price",
        call_of("ticker/price", market.ticker_price, market.short_ticker_weight),
    ),
    (
        "ticker/bookTicker",
        "ticker.book",
        call_of("ticker/bookTicker", market.ticker_book, market.short_ticker_weight),
    ),
)

READ, TRADE, CANCEL = Security.READ, Security.TRADE, Security.CANCEL
SIGNED: Final = (
    ("GET", "account", "account.status", call_of("account", account.account, 20, READ)),
    (
        "GET",
        "account/commission",
        "account.commission",
        call_of("account/commission", account.commission, 20, READ),
    ),
    (
        "GET",
        "rateLimit/order",
        "account.rateLimits.orders",
        call_of("rateLimit/order", account.order_limits, 40, READ),
    ),
    (
        "GET",
        "myTrades",
        "myTrades",
        call_of("myTrades", account.my_trades, account.my_trades_weight, READ),
    ),
    ("GET", "order", "order.status", call_of("order", account.query_order, 4, READ)),
    (
        "GET",
        "openOrders",
        "openOrders.status",
        call_of("openOrders", account.open_orders, account.open_orders_weight, READ),
    ),
    ("GET", "allOrders", "allOrders", call_of("allOrders", account.all_orders, 20, READ)),
    ("GET", "orderList", "orderList.status", call_of("orderList", pairs.query_list, 4, READ)),
    ("GET", "allOrderList", "allOrderLists", call_of("allOrderList", pairs.all_lists, 20, READ)),
    ("GET", "openOrderList", "openOrderLists.status", call_of("openOrderList", pairs.open_lists, 6, READ)),
    ("POST", "order", "order.place", call_of("order", trading.place_order, 1, TRADE, 1)),
    (
        "POST",
        "order/test",
        "order.test",
        call_of("order/test", trading.test_order, trading.test_weight, TRADE),
    ),
    (
        "POST",
        "order/cancelReplace",
        "order.cancelReplace",
        call_of("order/cancelReplace", trading.cancel_replace, 1, TRADE, 1),
    ),
    (
        "PUT",
        "order/amend/keepPriority",
        "order.amend.keepPriority",
        call_of("order/amend/keepPriority", trading.amend_order, 4, TRADE, counted=True),
    ),
    (
        "POST",
        "orderList/oco",
        "orderList.place.oco",
        call_of("orderList/oco", pairs.place_oco, 1, TRADE, 2),
    ),
    ("POST", "order/oco", "orderList.place", call_of("order/oco", pairs.place_old_oco, 1, TRADE, 2)),
    ("DELETE", "order", "order.cancel", call_of("order", trading.cancel_order, 1, CANCEL, counted=True)),
    (
        "DELETE",
        "openOrders",
        "openOrders.cancelAll",
        call_of("openOrders", trading.cancel_open_orders, 1, CANCEL, counted=True),
    ),
    (
        "DELETE",
        "orderList",
        "orderList.cancel",
        call_of("orderList", pairs.cancel_list, 1, CANCEL, counted=True),
    ),
)

WALLET: Final = (
    (
        "/sapi/v1/capital/config/getall",
        call_of("capital/config/getall", account.coins, 10, READ),
    ),
    ("/sapi/v1/asset/tradeFee", call_of("asset/tradeFee", account.trade_fee, 1, READ)),
    (
        "/sapi/v1/account/apiRestrictions",
        call_of("account/apiRestrictions", account.restrictions, 1, READ),
    ),
    ("/sapi/v1/margin/allPairs", call_of("margin/allPairs", account.empty_list, 1, Security.KEY)),
    ("/sapi/v1/margin/isolated/allPairs", call_of("margin/isolated/allPairs", account.empty_list, 10, READ)),
    ("/fapi/v1/exchangeInfo", call_of("fapi/exchangeInfo", account.empty_exchange, 1)),
    ("/dapi/v1/exchangeInfo", call_of("dapi/exchangeInfo", account.empty_exchange, 1)),
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
