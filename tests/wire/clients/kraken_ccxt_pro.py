"""ccxt asynchronous and ccxt.pro, unmodified, against a Kraken gateway: only addresses and keys are set."""

import asyncio
import json
import os

import ccxt.async_support
import ccxt.pro

URL, SOCKET = os.environ["GATEWAY_URL"], os.environ["GATEWAY_SOCKET"]
KEYS = json.loads(os.environ["GATEWAY_KEYS"])
SYMBOL = "BTC/USD"
seen = {}


def client(kind, name):
    key, secret = KEYS[name]
    exchange = kind.kraken({"apiKey": key, "secret": secret, "enableRateLimit": False})
    api = exchange.urls["api"]
    api["public"] = api["private"] = URL
    if "ws" in api:
        api["ws"] = {
            "public": SOCKET,
            "private": SOCKET,
            "publicV2": f"{SOCKET}/v2",
            "privateV2": f"{SOCKET}/v2",
        }
    return exchange


async def asynchronous():
    kraken = client(ccxt.async_support, "main")
    try:
        await kraken.load_markets()
        ticker, book, trades = await asyncio.gather(
            kraken.fetch_ticker(SYMBOL), kraken.fetch_order_book(SYMBOL), kraken.fetch_trades(SYMBOL)
        )
        assert ticker["last"] and book["bids"] and trades
        order = await kraken.create_order(SYMBOL, "limit", "buy", "0.002", "50000")
        assert (await kraken.fetch_order(order["id"], SYMBOL))["status"] == "open"
        await kraken.cancel_order(order["id"], SYMBOL)
        seen["async_balance"] = (await kraken.fetch_balance())["total"]
    finally:
        await kraken.close()


async def market_streams(kraken):
    """The client's own checksum cannot run in Python (it splits floats as if they were text): left off."""
    for _ in range(40):
        book = await kraken.watch_order_book(SYMBOL, 10)
    assert len(book["bids"]) == 10 and len(book["asks"]) == 10
    assert (await kraken.watch_ticker(SYMBOL))["symbol"] == SYMBOL
    assert (await kraken.watch_trades(SYMBOL))[-1]["symbol"] == SYMBOL
    assert (await kraken.watch_ohlcv(SYMBOL, "1m"))[-1]
    seen["best"] = [book["bids"][0][0], book["asks"][0][0]]


async def private_streams(kraken):
    balances = asyncio.create_task(kraken.watch_balance())
    orders = asyncio.create_task(kraken.watch_orders())
    await balances
    placed = await kraken.create_order_ws(
        SYMBOL, "limit", "sell", 0.00211, 60000.1, {"clientOrderId": "pro-1"}
    )
    states = set()
    while "open" not in states:
        for one in await orders:
            if one["id"] == placed["id"]:
                states.add(one["status"])
        orders = asyncio.create_task(kraken.watch_orders())
    edited = await kraken.edit_order_ws(placed["id"], SYMBOL, "limit", "sell", 0.00311, 60000.2)
    assert edited["id"] == placed["id"], edited
    await kraken.cancel_order_ws(placed["id"])
    while "canceled" not in states:
        for one in await orders:
            if one["id"] == placed["id"]:
                states.add(one["status"])
        orders = asyncio.create_task(kraken.watch_orders())
    orders.cancel()
    fills = asyncio.create_task(kraken.watch_my_trades())
    await asyncio.sleep(0)
    bought = await kraken.create_order_ws(SYMBOL, "market", "buy", 0.00123)
    found = []
    while not found:
        found = [one for one in await fills if one["order"] == bought["id"]]
        fills = asyncio.create_task(kraken.watch_my_trades())
    fills.cancel()
    seen["fill"] = {
        name: found[0][name] for name in ("id", "order", "price", "amount", "cost", "takerOrMaker", "fee")
    }
    seen["states"] = sorted(states)
    await kraken.cancel_all_orders_ws()


async def main():
    await asynchronous()
    kraken = client(ccxt.pro, "socket")
    try:
        async with asyncio.timeout(60):
            await market_streams(kraken)
            await private_streams(kraken)
    finally:
        await kraken.close()
    print("RESULT " + json.dumps(seen, default=str))


asyncio.run(main())
