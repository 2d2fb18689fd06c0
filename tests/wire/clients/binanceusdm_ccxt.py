"""Unmodified ccxt (sync, binanceusdm) trades on a USD-M gateway; only host addresses are replaced.

Environment: URL, KEY, SECRET, OTHER_KEY, OTHER_SECRET.
"""

import os

import ccxt

SYMBOL = "BTC/USDT:USDT"


def connected(key: str, secret: str) -> ccxt.binanceusdm:
    exchange = ccxt.binanceusdm({"apiKey": key, "secret": secret, "options": {"fetchCurrencies": False}})
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

market = one.load_markets()[SYMBOL]
assert (market["precision"]["amount"], market["precision"]["price"]) == (0.001, 0.1), market
assert market["linear"] and market["swap"] and market["active"] and market["settle"] == "USDT"
two.load_markets()

# leverage, then a long and a short position
assert int(one.set_leverage(5, SYMBOL)["leverage"]) == 5
rests = two.create_order(SYMBOL, "limit", "sell", 0.5, 60000)
assert rests["status"] == "open"
bought = one.create_order(SYMBOL, "limit", "buy", 0.2, 60000, {"clientOrderId": "ccxt-one"})
seen = one.fetch_order(bought["id"], SYMBOL)
assert (seen["status"], seen["filled"], seen["cost"], seen["clientOrderId"]) == (
    "closed",
    0.2,
    12000.0,
    "ccxt-one",
), seen
part = two.fetch_order(rests["id"], SYMBOL)
assert (part["status"], part["filled"], part["remaining"]) == ("open", 0.2, 0.3), part
one.create_order(SYMBOL, "market", "buy", 0.3)
assert one.fetch_ticker(SYMBOL)["last"] == 60000.0
assert one.fetch_trades(SYMBOL)[0]["price"] == 60000.0
assert one.fetch_ohlcv(SYMBOL, "1m")[-1][4] == 60000.0
assert abs(one.fetch_time() - one.milliseconds()) < 2_000
[mine] = [row for row in one.fetch_positions_risk([SYMBOL]) if row["contracts"]]
assert (mine["side"], mine["contracts"], mine["entryPrice"], mine["marginMode"]) == (
    "long",
    0.5,
    60000.0,
    "cross",
), mine
[theirs] = [row for row in two.fetch_positions_risk([SYMBOL]) if row["contracts"]]
assert (theirs["side"], theirs["contracts"]) == ("short", 0.5), theirs
assert sum(trade["amount"] for trade in one.fetch_my_trades(SYMBOL)) == 0.5
balance = one.fetch_balance()
assert abs(balance["USDT"]["total"] - (100_000 - 15)) < 1e-6, balance["USDT"]
funding = one.fetch_funding_rate(SYMBOL)
assert funding["markPrice"] > 0 and funding["fundingTimestamp"]
assert one.fetch_trading_fee(SYMBOL)["taker"] == 0.0005
assert one.fetch_position_mode(SYMBOL)["hedged"] is False
assert one.fetch_open_interest(SYMBOL)["openInterestAmount"] == 0.5

# place, edit, cancel
resting = one.create_order(SYMBOL, "limit", "buy", 0.01, 59000)
assert one.fetch_order_book(SYMBOL)["bids"][0] == [59000.0, 0.01]
moved = one.edit_order(resting["id"], SYMBOL, "limit", "buy", 0.02, 58000)
assert (moved["id"], moved["price"], moved["amount"]) == (resting["id"], 58000.0, 0.02), moved
assert [row["id"] for row in one.fetch_open_orders(SYMBOL)] == [resting["id"]]
assert one.cancel_order(resting["id"], SYMBOL)["status"] == "canceled"
one.create_order(SYMBOL, "limit", "buy", 0.01, 59000)
one.cancel_all_orders(SYMBOL)
assert one.fetch_open_orders(SYMBOL) == []

# several at once, and the timer of a market
wish = {"symbol": SYMBOL, "type": "limit", "side": "buy", "amount": 0.01}
both = one.create_orders([wish | {"price": 59000}, wish | {"price": 58900}])
assert [row["status"] for row in both] == ["open", "open"], both
gone = one.cancel_orders([row["id"] for row in both], SYMBOL)
assert {row["status"] for row in gone} == {"canceled"}, gone
armed = one.fapiPrivatePostCountdownCancelAll({"symbol": "BTCUSDT", "countdownTime": 60000})
assert armed == {"symbol": "BTCUSDT", "countdownTime": "60000"}, armed
one.fapiPrivatePostCountdownCancelAll({"symbol": "BTCUSDT", "countdownTime": 0})

# reduce only closes the position, and no more
two.create_order(SYMBOL, "limit", "buy", 1, 59900)
closing = one.create_order(SYMBOL, "market", "sell", 1, None, {"reduceOnly": True})
assert one.fetch_order(closing["id"], SYMBOL)["filled"] == 0.5
assert [row for row in one.fetch_positions_risk([SYMBOL]) if row["contracts"]] == []


# refusals: the client chooses some classes of errors by the venue's host name, which ours is not
def coded(code: int, call, *arguments) -> None:
    try:
        call(*arguments)
    except ccxt.BaseError as error:
        assert f'"code":{code},' in str(error), (type(error), error)
    else:
        raise AssertionError(f"{code} expected")


coded(-2019, one.create_order, SYMBOL, "limit", "buy", 40, 59000)
coded(-5022, two.create_order, SYMBOL, "limit", "sell", 0.01, 59000, {"postOnly": True})
refused(ccxt.OrderNotFound, one.cancel_order, "123", SYMBOL)
refused(ccxt.OrderNotFound, one.fetch_order, "123", SYMBOL)
refused(ccxt.BadSymbol, one.fapiPublicGetDepth, {"symbol": "NOPE"})
refused(ccxt.AuthenticationError, connected("x" * 64, "y").fetch_balance)
refused(ccxt.AuthenticationError, connected(os.environ["KEY"], "wrong").fetch_balance)
print("done")
