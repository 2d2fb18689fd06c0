"""Unmodified ccxt (async and pro) on a Binance gateway: REST, market streams, private streams, socket orders.

Environment: URL, SOCKET_URL, KEY, SECRET, OTHER_KEY, OTHER_SECRET.
"""

import asyncio
import os

import ccxt.pro

SYMBOL = "BTC/USDT"


def connected(key: str, secret: str) -> ccxt.pro.binance:
    exchange = ccxt.pro.binance({"apiKey": key, "secret": secret})
    replace(exchange.urls["api"])
    return exchange


def replace(urls: dict) -> None:
    for name, url in urls.items():
        if isinstance(url, dict):
            replace(url)
        elif isinstance(url, str):
            base = os.environ["SOCKET_URL"] if url.startswith("ws") else os.environ["URL"]
            urls[name] = base + "/" + url.split("/", 3)[3]


async def until(watch, wanted, *arguments):
    """What `watch` gives, once it is as wanted."""
    while True:
        value = await watch(*arguments)
        if wanted(value):
            return value


async def main() -> None:
    one = connected(os.environ["KEY"], os.environ["SECRET"])
    two = connected(os.environ["OTHER_KEY"], os.environ["OTHER_SECRET"])
    try:
        async with asyncio.timeout(90):
            await talk(one, two)
    finally:
        await one.close()
        await two.close()


async def talk(one, two) -> None:
    await one.load_markets()
    await two.load_markets()
    assert (await one.fetch_order_book(SYMBOL))["asks"][0] == [60100.0, 1.0]
    assert (await one.fetch_balance())["BTC"]["free"] > 0

    # market streams
    book = asyncio.create_task(one.watch_order_book(SYMBOL))
    trades = asyncio.create_task(one.watch_trades(SYMBOL))
    ticker = asyncio.create_task(one.watch_ticker(SYMBOL))
    candles = asyncio.create_task(one.watch_ohlcv(SYMBOL, "1m"))
    best = asyncio.create_task(one.watch_bids_asks([SYMBOL]))
    streams = (book, trades, ticker, candles, best)
    price = 60010
    while not all(task.done() for task in streams):
        # there is something to hear in every interval until all have heard it
        await two.create_order(SYMBOL, "limit", "buy", 0.01, price)
        await one.create_order(SYMBOL, "limit", "sell", 0.01, price)
        price = 60010 if price == 60020 else 60020
        await asyncio.sleep(0.2)
    assert (await book)["bids"][0][0] in (59900.0, 60010.0, 60020.0)
    assert (await trades)[-1]["amount"] == 0.01
    assert (await ticker)["last"] in (60010.0, 60020.0)
    assert (await candles)[-1][4] in (60000.0, 60010.0, 60020.0)
    assert (await best)[SYMBOL]["ask"] == 60100.0
    # the book follows every change
    await two.create_order(SYMBOL, "limit", "buy", 0.7, 59950)
    await until(
        one.watch_order_book, lambda value: [59950.0, 0.7] in [row[:2] for row in value["bids"]], SYMBOL
    )

    # private streams and orders over the socket
    orders = asyncio.create_task(until(one.watch_orders, lambda rows: rows[-1]["status"] == "open", SYMBOL))
    mine = asyncio.create_task(one.watch_my_trades(SYMBOL))
    money = asyncio.create_task(until(one.watch_balance, lambda value: value["BTC"]["used"] == 0.5))
    # the client's own way to wait until its subscription is confirmed
    await one.ensure_user_data_stream_ws_subscribe_signature("spot")
    order = await one.create_order_ws(SYMBOL, "limit", "sell", 0.5, 60050)
    assert order["status"] == "open", order
    assert (await orders)[-1]["id"] == order["id"]
    await money
    await two.create_order_ws(SYMBOL, "limit", "buy", 0.2, 60050)
    part = (await mine)[-1]
    assert (part["order"], part["amount"], part["price"], part["takerOrMaker"]) == (
        order["id"],
        0.2,
        60050.0,
        "maker",
    ), part
    assert part["fee"] == {"currency": "USDT", "cost": 12.01}, part
    assert (await one.fetch_order_ws(order["id"], SYMBOL))["filled"] == 0.2
    assert [row["id"] for row in await one.fetch_open_orders_ws(SYMBOL)] == [order["id"]]
    ended = asyncio.create_task(
        until(one.watch_orders, lambda rows: any(r["status"] == "canceled" for r in rows), SYMBOL)
    )
    await one.cancel_order_ws(order["id"], SYMBOL)
    await ended
    assert (await one.fetch_order(order["id"], SYMBOL))["status"] == "canceled"
    edited = await one.create_order_ws(SYMBOL, "limit", "buy", 0.01, 59000)
    moved = await one.edit_order_ws(edited["id"], SYMBOL, "limit", "buy", 0.02, 58000)
    assert moved["price"] == 58000.0
    await one.cancel_all_orders_ws(SYMBOL)
    assert await one.fetch_open_orders(SYMBOL) == []
    # (this client reads another venue's rows out of the reply, so only the reply itself is looked at)
    assert "info" in await one.fetch_balance_ws()
    assert len(await one.fetch_my_trades_ws(SYMBOL)) >= 1
    assert len(await one.fetch_ohlcv_ws(SYMBOL, "1m")) >= 1


asyncio.run(main())
print("done")
