"""What the Binance gateway says is a message of the venue: of a known shape, every field known."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from binance_world import SYMBOL, World

from tradewind.venues.binance.shapes import SHAPES, name_of
from tradewind.venues.frame_watch import FrameWatch

NUMBERS = msgspec.json.Encoder(decimal_format="number")
DEADLINE_S = 10.0


async def test_answers_of_rest_have_the_venues_shape(binance: World) -> None:
    watch = FrameWatch(SHAPES, name_of)

    def look(name: str, answer: Any) -> None:
        watch.look(f"binance rest {name}", NUMBERS.encode(answer))

    await binance.still_book()
    demo, market = binance.demo, {"symbol": SYMBOL}
    look("time", await demo.public("/api/v3/time"))
    look("exchangeInfo", await demo.public("/api/v3/exchangeInfo"))
    look("depth", await demo.public("/api/v3/depth", **market))
    look("trades", await demo.public("/api/v3/trades", **market))
    look("aggTrades", await demo.public("/api/v3/aggTrades", **market))
    look("klines", await demo.public("/api/v3/klines", **market, interval="1m"))
    look("ticker/24hr", await demo.public("/api/v3/ticker/24hr", **market))
    look("ticker/price", await demo.public("/api/v3/ticker/price", **market))
    look("ticker/bookTicker", await demo.public("/api/v3/ticker/bookTicker", **market))
    look("account", await demo.signed("GET", "/api/v3/account"))
    look("order", await demo.order("BUY", "60100", "0.001", newOrderRespType="FULL"))
    placed = await demo.order("BUY", "59000", "0.01", newOrderRespType="RESULT")
    look("order", placed)
    asked = await demo.signed("GET", "/api/v3/order", **market, orderId=placed["orderId"])
    look("order", asked)
    look("orders", await demo.signed("GET", "/api/v3/openOrders"))
    look("orders", await demo.signed("GET", "/api/v3/allOrders", **market))
    look("order", await demo.signed("DELETE", "/api/v3/order", **market, orderId=placed["orderId"]))
    look("tradeFee", await demo.signed("GET", "/sapi/v1/asset/tradeFee"))
    assert watch.names == []
    assert watch.looked_at == 17


async def test_frames_of_streams_have_the_venues_shape(binance: World) -> None:
    watch = FrameWatch(SHAPES, name_of)
    kinds = ("trade", "aggTrade", "bookTicker", "depth@100ms", "ticker", "kline_1m")
    names = "/".join(f"{SYMBOL.lower()}@{kind}" for kind in kinds)
    async with binance.socket(f"/stream?streams={names}") as wrapped:
        await binance.still_book()
        seen: set[str] = set()
        async with asyncio.timeout(DEADLINE_S):
            while len(seen) < len(kinds):
                text = (await wrapped.receive()).data
                watch.see(text.encode())
                seen.add(msgspec.json.decode(text)["stream"].partition("@")[2])
    assert watch.names == []
    assert watch.unnamed == 0 and watch.looked_at >= len(kinds)
