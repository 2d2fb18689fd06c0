"""Unmodified ccxt.pro (binanceusdm) on a USD-M gateway: books, trades, marks, orders, positions, balances.

Environment: URL, SOCKET_URL, KEY, SECRET, OTHER_KEY, OTHER_SECRET.
"""

import asyncio
import os

import ccxt.pro

SYMBOL = "BTC/USDT:USDT"


def connected(key: str, secret: str) -> ccxt.pro.binanceusdm:
    options = {"fetchCurrencies": False}
    exchange = ccxt.pro.binanceusdm({"apiKey": key, "secret": secret, "options": options})
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
    await two.create_order(SYMBOL, "limit", "buy", 1, 59000)

    def first(watch, wanted, *arguments) -> asyncio.Task:
        return asyncio.create_task(until(watch, wanted, *arguments))

    # the client checks the chain of book updates itself
    book = first(one.watch_order_book, lambda value: value["bids"][:1] == [[59500.0, 0.5]], SYMBOL)
    mark = first(one.watch_mark_price, lambda value: value["markPrice"] > 0, SYMBOL)
    trades = first(one.watch_trades, lambda value: value[-1]["price"] == 60000, SYMBOL)
    orders = first(one.watch_orders, lambda value: value[-1]["status"] == "closed", SYMBOL)
    positions = first(one.watch_positions, lambda value: value and value[-1]["contracts"] > 0)
    balance = first(one.watch_balance, lambda value: 99_000 < value["USDT"]["total"] < 100_000)
    watched = (trades, orders, positions, balance)
    placed = []
    # connections take their time: trades go on until every one of them has told of one
    while not all(task.done() for task in watched):
        await two.create_order(SYMBOL, "limit", "sell", 0.01, 60000)
        placed.append((await one.create_order(SYMBOL, "limit", "buy", 0.01, 60000))["id"])
        await asyncio.wait(watched, timeout=0.2)
    seen = (await orders)[-1]
    assert seen["id"] in placed and (seen["filled"], seen["side"]) == (0.01, "buy"), seen
    position = (await positions)[-1]
    assert (position["symbol"], position["side"], position["entryPrice"]) == (SYMBOL, "long", 60000.0), (
        position
    )
    assert (await trades)[-1]["amount"] == 0.01
    await two.create_order(SYMBOL, "limit", "buy", 0.5, 59500)
    await book
    await mark
    print("done")


asyncio.run(main())
