"""Unmodified ccxt (sync) trades on a Binance gateway; only host addresses are replaced.

Environment: URL, KEY, SECRET, OTHER_KEY, OTHER_SECRET.
"""

import os

import ccxt

SYMBOL = "BTC/USDT"


def connected(key: str, secret: str) -> ccxt.binance:
    exchange = ccxt.binance({"apiKey": key, "secret": secret})
    for name, url in exchange.urls["api"].items():
        if isinstance(url, str):
            # everything behind the host stays
            exchange.urls["api"][name] = os.environ["URL"] + "/" + url.split("/", 3)[3]
    return exchange


def refused(kind: type, call, *arguments) -> None:
    """The call must fail with the client's own exception of exactly this kind."""
    try:
        call(*arguments)
    except ccxt.BaseError as error:
        assert type(error) is kind, (type(error), error)
    else:
        raise AssertionError(f"{kind.__name__} expected")


one = connected(os.environ["KEY"], os.environ["SECRET"])
two = connected(os.environ["OTHER_KEY"], os.environ["OTHER_SECRET"])

# markets and public data
markets = one.load_markets()
precision = markets[SYMBOL]["precision"]
assert (precision["amount"], precision["price"], precision["base"]) == (0.0001, 0.01, 1e-08), precision
assert markets[SYMBOL]["limits"]["cost"]["min"] == 5.0 and markets[SYMBOL]["active"]
assert one.fetch_order_book(SYMBOL)["bids"][0] == [59900.0, 1.0]
ticker = one.fetch_ticker(SYMBOL)
assert (ticker["last"], ticker["bid"], ticker["ask"]) == (60000.0, 59900.0, 60100.0), ticker
assert set(one.fetch_tickers()) == set(markets)
assert one.fetch_trades(SYMBOL)[0]["price"] == 60000.0
assert one.fetch_ohlcv(SYMBOL, "1m")[-1][4] == 60000.0
assert one.fetch_bids_asks([SYMBOL])[SYMBOL]["ask"] == 60100.0
assert one.fetch_last_prices()[SYMBOL]["price"] == 60000.0
assert abs(one.fetch_time() - one.milliseconds()) < 2_000
assert one.fetch_trading_fee(SYMBOL)["taker"] == 0.001
assert one.fetch_currencies()["BTC"]["code"] == "BTC"

# place, partial fill, fill
before = one.fetch_balance()
order = one.create_order(SYMBOL, "limit", "sell", 0.5, 60050, {"clientOrderId": "ccxt-one"})
assert (order["status"], order["clientOrderId"]) == ("open", "ccxt-one")
assert one.fetch_balance()["BTC"]["used"] == 0.5
two.load_markets()
bought = two.create_order(SYMBOL, "limit", "buy", 0.2, 60050)
assert (bought["status"], bought["filled"], bought["cost"]) == ("closed", 0.2, 12010.0), bought
part = one.fetch_order(order["id"], SYMBOL)
assert (part["status"], part["filled"], part["remaining"]) == ("open", 0.2, 0.3)
assert [row["id"] for row in one.fetch_open_orders(SYMBOL)] == [order["id"]]
at_market = two.create_order(SYMBOL, "market", "buy", 0.3)
assert (at_market["status"], at_market["average"]) == ("closed", 60050.0)
assert one.fetch_order(order["id"], SYMBOL)["status"] == "closed"
assert order["id"] in [row["id"] for row in one.fetch_closed_orders(SYMBOL)]
trades = one.fetch_order_trades(order["id"], SYMBOL)
assert [trade["amount"] for trade in trades] == [0.2, 0.3], trades
assert trades[0]["fee"] == {"currency": "USDT", "cost": 12.01} and trades[0]["takerOrMaker"] == "maker"
assert {trade["order"] for trade in one.fetch_my_trades(SYMBOL)} >= {order["id"]}
after = one.fetch_balance()
assert abs(after["USDT"]["free"] - before["USDT"]["free"] - 30025.0 + 30.025) < 1e-6, (before, after)

# place, cancel, replace, stop, amount in the quote asset
rests = one.create_order(SYMBOL, "limit", "buy", 0.01, 59000)
assert one.cancel_order(rests["id"], SYMBOL)["status"] == "canceled"
assert one.fetch_order(rests["id"], SYMBOL)["status"] == "canceled"
rests = one.create_order(SYMBOL, "limit", "buy", 0.01, 59000, {"timeInForce": "GTC"})
moved = one.edit_order(rests["id"], SYMBOL, "limit", "buy", 0.02, 58000)
assert (moved["price"], moved["amount"], moved["status"]) == (58000.0, 0.02, "open")
stop = one.create_order(SYMBOL, "limit", "sell", 0.01, 54000, {"stopLossPrice": 55000})
seen = one.fetch_order(stop["id"], SYMBOL)
assert (seen["status"], seen["stopPrice"], seen["info"]["type"]) == ("open", 55000.0, "STOP_LOSS_LIMIT"), seen
assert len(one.fetch_open_orders(SYMBOL)) == 2
assert len(one.cancel_all_orders(SYMBOL)) == 2
spent = one.create_market_buy_order_with_cost(SYMBOL, 100)
assert spent["status"] == "closed" and 90 < spent["cost"] <= 100
rest = one.create_order(SYMBOL, "limit", "buy", 2, 60100, {"timeInForce": "IOC"})
assert rest["status"] == "expired" and 0 < rest["filled"] < 2, rest

# each class of refusal is the client's own exception
refused(ccxt.InsufficientFunds, one.create_order, SYMBOL, "limit", "buy", 150, 59000)
refused(ccxt.OrderNotFound, one.cancel_order, "123", SYMBOL)
refused(ccxt.OrderNotFound, one.fetch_order, "123", SYMBOL)
refused(
    ccxt.BadRequest,
    one.private_post_order,
    {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.0001",
        "price": "40000",
    },
)
refused(
    ccxt.InvalidOrder,
    one.private_post_order,
    {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.1",
        "price": "59000.001",
    },
)
two.create_order(SYMBOL, "limit", "sell", 1, 60200)
refused(
    ccxt.OrderImmediatelyFillable, one.create_order, SYMBOL, "limit", "buy", 0.01, 60200, {"postOnly": True}
)
refused(ccxt.BadSymbol, one.public_get_depth, {"symbol": "NOPE"})
refused(ccxt.BadRequest, one.private_post_order, {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT"})
stranger = connected("x" * 64, "y")
refused(ccxt.AuthenticationError, stranger.fetch_balance)
liar = connected(os.environ["KEY"], "wrong")
refused(ccxt.AuthenticationError, liar.fetch_balance)
print("done")
