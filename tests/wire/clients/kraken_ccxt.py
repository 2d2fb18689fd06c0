"""ccxt (synchronous), unmodified, against a Kraken gateway: only addresses and keys are set."""

import json
import os

import ccxt

URL = os.environ["GATEWAY_URL"]
KEYS = json.loads(os.environ["GATEWAY_KEYS"])
SYMBOL = "BTC/USD"
seen = {}


def client(name):
    key, secret = KEYS[name]
    exchange = ccxt.kraken({"apiKey": key, "secret": secret, "enableRateLimit": False, "number": str})
    exchange.urls["api"]["public"] = exchange.urls["api"]["private"] = URL
    return exchange


def must_raise(kind, call):
    try:
        answer = call()
    except kind:
        return
    raise AssertionError(f"{kind.__name__} was not raised: {answer}")


def market_data(kraken):
    markets = kraken.load_markets()
    seen["markets"] = {
        name: [one["precision"], one["limits"], one["active"], one["maker"], one["taker"]]
        for name, one in markets.items()
    }
    assert kraken.fetch_status()["status"] == "ok"
    seen["time"] = kraken.fetch_time()
    seen["ticker"] = kraken.fetch_ticker(SYMBOL)
    assert SYMBOL in kraken.fetch_tickers([SYMBOL])
    book = kraken.fetch_order_book(SYMBOL)
    seen["book"] = {"bids": book["bids"], "asks": book["asks"]}
    seen["trades"] = kraken.fetch_trades(SYMBOL)
    seen["candles"] = kraken.fetch_ohlcv(SYMBOL, "1m")
    seen["currencies"] = sorted(kraken.fetch_currencies())


def trading(kraken, peer):
    peer.load_markets()
    balance = kraken.fetch_balance()
    seen["balance"] = {"free": balance["free"], "used": balance["used"], "total": balance["total"]}
    order = kraken.create_order(SYMBOL, "limit", "buy", "0.002", "50000", {"clientOrderId": "ccxt-1"})
    found = kraken.fetch_order(order["id"], SYMBOL)
    assert (found["status"], found["amount"], found["price"]) == ("open", "0.00200", "50000.0"), found
    assert found["clientOrderId"] == "ccxt-1", found
    assert [one["id"] for one in kraken.fetch_open_orders(SYMBOL)] == [order["id"]]
    kraken.edit_order(order["id"], SYMBOL, "limit", "buy", "0.003", "50001")
    found = kraken.fetch_order(order["id"], SYMBOL)
    assert (found["amount"], found["price"]) == ("0.00300", "50001.0"), found
    kraken.cancel_order(order["id"], SYMBOL)
    assert kraken.fetch_order(order["id"], SYMBOL)["status"] == "canceled"
    must_raise(ccxt.InvalidOrder, lambda: kraken.cancel_order(order["id"], SYMBOL))

    order = kraken.create_order(SYMBOL, "limit", "sell", "0.003", "60000.1")
    peer.create_order(SYMBOL, "limit", "buy", "0.001", "60000.1")
    found = kraken.fetch_order(order["id"], SYMBOL)
    assert (found["status"], found["filled"], found["remaining"]) == ("open", "0.00100", "0.002"), found
    peer.create_order(SYMBOL, "market", "buy", "0.002")
    found = kraken.fetch_order(order["id"], SYMBOL)
    assert found["status"] == "closed", found
    seen["filled"] = {name: found[name] for name in ("id", "filled", "average", "cost", "fee", "amount")}
    seen["order_trades"] = len(
        kraken.fetch_order_trades(order["id"], SYMBOL, None, None, {"trades": found["info"]["trades"]})
    )
    mine = kraken.fetch_my_trades(SYMBOL)
    seen["my_trades"] = [
        [one["id"], one["order"], one["price"], one["amount"], one["fee"]["cost"]] for one in mine
    ]
    assert order["id"] in [one["id"] for one in kraken.fetch_closed_orders(SYMBOL)]
    stop = kraken.create_order(SYMBOL, "market", "sell", "0.001", None, {"stopLossPrice": "40000"})
    assert kraken.fetch_order(stop["id"], SYMBOL)["info"]["descr"]["ordertype"] == "stop-loss"
    kraken.cancel_all_orders()
    assert kraken.fetch_open_orders(SYMBOL) == []


def more(kraken):
    kraken.load_markets()
    fee = kraken.fetch_trading_fee(SYMBOL)
    seen["fee"] = [fee["maker"], fee["taker"]]
    assert kraken.fetch_ledger()
    one, two = (kraken.create_order(SYMBOL, "limit", "buy", "0.001", price) for price in ("50000", "50001"))
    kraken.cancel_orders([one["id"], two["id"]])
    kraken.cancel_all_orders_after(60_000)
    kraken.cancel_all_orders_after(0)
    many = kraken.create_orders(
        [
            {"symbol": SYMBOL, "type": "limit", "side": "buy", "amount": "0.001", "price": price}
            for price in ("50000", "50001")
        ]
    )
    assert len(many) == 2
    kraken.cancel_all_orders()


def refusals(kraken):
    kraken.load_markets()

    def place(amount="0.001", price="60000", **params):
        return lambda: kraken.create_order(SYMBOL, "limit", "buy", amount, price, params)

    must_raise(ccxt.InsufficientFunds, place(amount="100"))
    must_raise(ccxt.InvalidOrder, place(amount="0.00002"))
    must_raise(ccxt.InvalidOrder, lambda: kraken.fetch_order("OAAAAA-AAAAA-AAAAAA", SYMBOL))
    must_raise(ccxt.ExchangeError, place(price="70000", postOnly=True))
    must_raise(ccxt.PermissionDenied, client("reader").cancel_all_orders)
    wrong = client("main")
    wrong.apiKey = "nobody"
    must_raise(ccxt.AuthenticationError, wrong.fetch_balance)
    stuck = client("reader")
    stuck.nonce = lambda: 5
    must_raise(ccxt.InvalidNonce, stuck.fetch_balance)


main = client("main")
market_data(main)
trading(main, client("peer"))
more(client("second"))
refusals(client("third"))
print("RESULT " + json.dumps(seen))
