"""python-kraken-sdk, unmodified, against a Kraken gateway: only host addresses and keys come from outside.

Prints one JSON object: what the client read. An exception of the client fails the script.
"""

import asyncio
import json
import os
import time

from kraken import exceptions
from kraken.spot import Market, SpotClient, SpotOrderBookClient, SpotWSClient, Trade, User

URL, SOCKET = os.environ["GATEWAY_URL"], os.environ["GATEWAY_SOCKET"]
KEYS = json.loads(os.environ["GATEWAY_KEYS"])  # name -> [key, secret]
PAIR, SYMBOL = "XBTUSD", "BTC/USD"
seen = {}


def signed(kind, name):
    key, secret = KEYS[name]
    return kind(key=key, secret=secret, url=URL)


def must_raise(kind, call):
    try:
        answer = call()
    except kind:
        return kind.__name__
    raise AssertionError(f"{kind.__name__} was not raised: {answer}")


def market_data():
    market = Market(url=URL)
    assert market.get_system_status()["status"] == "online"
    seen["assets"] = market.get_assets()
    seen["pairs"] = market.get_asset_pairs()
    seen["slash_pair"] = list(market.get_asset_pairs(pair=SYMBOL))
    seen["ticker"] = market.get_ticker(pair=PAIR)
    seen["candles"] = market.get_ohlc(pair=PAIR, interval=1)
    seen["book"] = market.get_order_book(pair=PAIR, count=100)
    seen["trades"] = market.get_recent_trades(pair=PAIR)
    market.get_recent_spreads(pair=PAIR)
    # the SDK looks for the longest text last, so the pair error comes as the one of an asset
    must_raise(exceptions.KrakenUnknownAssetError, lambda: market.get_ticker(pair="NOTHING"))


def trading():
    user, trade, peer = signed(User, "main"), signed(Trade, "main"), signed(Trade, "peer")
    seen["balances"] = user.get_balances()
    seen["balance"] = user.get_account_balance()
    seen["trade_balance"] = user.get_trade_balance()
    placed = trade.create_order(
        ordertype="limit", side="buy", volume="0.00200", pair=PAIR, price="50000.0", userref=7, oflags="post"
    )
    [txid] = placed["txid"]
    info = user.get_orders_info(txid=txid)[txid]
    assert (info["status"], info["vol"], info["descr"]["price"], info["userref"]) == (
        "open",
        "0.00200",
        "50000.0",
        7,
    ), info
    assert list(user.get_open_orders()["open"]) == [txid]
    assert trade.amend_order(order_qty="0.00300", limit_price="50001.0", txid=txid)["amend_id"].startswith(
        "T"
    )
    info = user.get_orders_info(txid=txid)[txid]
    assert (info["vol"], info["descr"]["price"]) == ("0.00300", "50001.0"), info
    edited = trade.edit_order(txid=txid, pair=PAIR, volume="0.00400", price="50002.0")
    assert edited["originaltxid"] == txid and edited["txid"] != txid, edited
    assert trade.cancel_order(txid=edited["txid"]) == {"count": 1}
    must_raise(exceptions.KrakenUnknownOrderError, lambda: trade.cancel_order(txid=edited["txid"]))

    [txid] = trade.create_order(ordertype="limit", side="sell", volume="0.00300", pair=PAIR, price="60000.1")[
        "txid"
    ]
    seen["filled_order"] = txid
    peer.create_order(ordertype="limit", side="buy", volume="0.00100", pair=PAIR, price="60000.1")
    assert user.get_orders_info(txid=txid)[txid]["vol_exec"] == "0.00100"
    peer.create_order(ordertype="market", side="buy", volume="0.00200", pair=PAIR)
    seen["filled"] = user.get_orders_info(txid=txid, trades=True)[txid]
    assert seen["filled"]["status"] == "closed", seen["filled"]
    seen["history"] = user.get_trades_history()
    seen["closed"] = user.get_closed_orders()
    seen["ledgers"] = user.get_ledgers_info()
    seen["volume"] = user.get_trade_volume(pair=PAIR)
    batch = trade.create_order_batch(
        orders=[
            {"ordertype": "limit", "type": "buy", "volume": "0.001", "price": price}
            for price in ("50000.0", "50001.0")
        ],
        pair=PAIR,
    )
    assert trade.cancel_order_batch(orders=[one["txid"] for one in batch["orders"]]) == {"count": 2}
    assert trade.cancel_all_orders() == {"count": 0}
    assert trade.cancel_all_orders_after_x(60)["triggerTime"] != "0"
    assert trade.cancel_all_orders_after_x(0)["triggerTime"] == "0"


def refusals():
    trade, user = signed(Trade, "main"), signed(User, "reader")

    def place(**wish):
        return trade.create_order(
            **{"ordertype": "limit", "side": "buy", "pair": PAIR, "volume": "0.001", **wish}
        )

    must_raise(exceptions.KrakenInsufficientFundsError, lambda: place(volume="100", price="60000.0"))
    # the client has no class for "volume minimum not met", which is how the venue says it today
    must_raise(exceptions.KrakenInvalidArgumentsError, lambda: place(volume="0.00001", price="60000.0"))
    must_raise(exceptions.KrakenInvalidPriceError, lambda: place(price="60000.01"))
    must_raise(exceptions.KrakenInvalidArgumentsError, lambda: place(price="60000.0", stptype="cancel-all"))
    must_raise(exceptions.KrakenPermissionDeniedError, lambda: signed(Trade, "reader").cancel_all_orders())
    must_raise(
        exceptions.KrakenUnknownMethodError, lambda: user.request("POST", "/0/private/Withdraw", auth=True)
    )
    wrong = User(key="nobody", secret=KEYS["main"][1], url=URL)
    must_raise(exceptions.KrakenInvalidAPIKeyError, wrong.get_account_balance)
    wrong = User(key=KEYS["lock"][0], secret=KEYS["main"][1], url=URL)
    for _ in range(3):
        must_raise(exceptions.KrakenInvalidSignatureError, wrong.get_account_balance)
    must_raise(exceptions.KrakenTemporaryLockoutError, signed(User, "lock").get_account_balance)
    stuck = signed(User, "reader")
    stuck.get_nonce = lambda: "1"
    must_raise(exceptions.KrakenInvalidNonceError, stuck.get_account_balance)


async def until(condition, what):
    end = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < end, f"{what} did not come"
        await asyncio.sleep(0.02)


async def streams():
    messages = []

    async def on_message(message):
        messages.append(message)

    def rows(channel):
        return [row for one in messages if one.get("channel") == channel for row in one["data"]]

    client = SpotWSClient(
        key=KEYS["socket"][0],
        secret=KEYS["socket"][1],
        callback=on_message,
        rest_url=URL,
        ws_url=SOCKET,
        auth_ws_url=SOCKET,
    )
    await client.start()
    try:
        for channel in ("ticker", "book", "trade", "ohlc"):
            await client.subscribe(params={"channel": channel, "symbol": [SYMBOL]})
        await client.subscribe(params={"channel": "executions", "snap_orders": True, "snap_trades": True})
        await client.subscribe(params={"channel": "balances"})
        for channel in ("ticker", "book", "trade", "ohlc", "executions", "balances"):
            await until(lambda channel=channel: rows(channel), channel)
        await client.send_message(
            {
                "method": "add_order",
                "params": {
                    "order_type": "limit",
                    "side": "buy",
                    "symbol": SYMBOL,
                    "order_qty": 0.00123,
                    "limit_price": 50000.5,
                    "cl_ord_id": "sdk-order-1",
                },
                "req_id": 11,
            }
        )
        await until(lambda: any(one.get("req_id") == 11 for one in messages), "acknowledgement")
        ack = next(one for one in messages if one.get("req_id") == 11)
        assert ack["success"] and ack["result"]["cl_ord_id"] == "sdk-order-1", ack
        await until(lambda: any(one.get("exec_type") == "new" for one in rows("executions")), "new")
        order = ack["result"]["order_id"]
        await client.send_message({"method": "cancel_order", "params": {"order_id": [order]}, "req_id": 12})
        await until(lambda: any(one.get("exec_type") == "canceled" for one in rows("executions")), "canceled")
        seen["executions"] = [one for one in rows("executions") if one["order_id"] == order]
        await until(lambda: any(one.get("channel") == "heartbeat" for one in messages), "heartbeat")
        await client.unsubscribe(params={"channel": "trade", "symbol": [SYMBOL]})
        await until(lambda: any(one.get("method") == "unsubscribe" for one in messages), "unsubscribed")
    finally:
        await client.close()


async def books():
    """The SDK's own mirror checks the checksum of every update."""
    updates = []

    async def on_update(pair, message):
        assert "error" not in message, message
        updates.append(message)

    SpotClient.URL = URL
    SpotWSClient.WS_URL = SpotWSClient.AUTH_WS_URL = SOCKET
    book = SpotOrderBookClient(depth=10, callback=on_update)
    book.WS_URL = SOCKET
    await book.start()
    try:
        await book.add_book(pairs=[SYMBOL])
        await until(lambda: len(updates) > 40, "40 book updates")
        mirror = book.get(SYMBOL)
        assert mirror["valid"] and len(mirror["bid"]) == 10 and len(mirror["ask"]) == 10, mirror
        seen["book_updates"] = len(updates)
    finally:
        await book.close()


async def main():
    for step in (market_data, trading, refusals):
        await asyncio.to_thread(step)
    await streams()
    await books()
    print("RESULT " + json.dumps(seen))


asyncio.run(main())
