"""Batches and timers of Binance USD-M over real sockets, and the bounds that are published."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from binance_world import World
from usdm_world import usdm_world

from tradewind.gateways.exchange_setup import DEFAULT_MARKETS
from tradewind.gateways.model import PlaceRequest
from tradewind.venues.market_data import Side

CANONICAL = "BTC/USDT:USDT"
SYMBOL = "BTCUSDT"


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[World]:
    async with usdm_world(tmp_path / "data") as one:
        yield one


def wish(price: str, quantity: str = "0.1", **more: str) -> dict[str, str]:
    return {
        "symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": price,
        "quantity": quantity, **more,
    }  # fmt: skip


async def batch(venue: World, *rows: Any) -> Any:
    return await venue.demo.signed("POST", "/fapi/v1/batchOrders", batchOrders=json.dumps(rows))


async def open_prices(venue: World) -> list[str]:
    return [row["price"] for row in await venue.demo.signed("GET", "/fapi/v1/openOrders")]


async def test_a_batch_is_carried_out_one_by_one_with_an_answer_each(venue: World) -> None:
    answers = await batch(
        venue, wish("50000"), wish("50000.05"), wish("50001", newClientOrderId="mine"), {"symbol": "NOPE"}
    )
    assert [row.get("status", row.get("code")) for row in answers] == ["NEW", -1111, "NEW", -1121]
    assert answers[2]["clientOrderId"] == "mine"
    assert await open_prices(venue) == ["50000.0", "50001.0"]
    both = [row["orderId"] for row in answers if "orderId" in row]
    gone = await venue.demo.signed(
        "DELETE", "/fapi/v1/batchOrders", symbol=SYMBOL, orderIdList=json.dumps([*both, 1])
    )
    assert [row.get("status", row.get("code")) for row in gone] == ["CANCELED", "CANCELED", -2011]
    await batch(venue, wish("50002", newClientOrderId="third"))
    gone = await venue.demo.signed(
        "DELETE", "/fapi/v1/batchOrders", symbol=SYMBOL, origClientOrderIdList=json.dumps(["third"])
    )
    assert [row["status"] for row in gone] == ["CANCELED"]


async def test_a_batch_that_is_none_does_nothing(venue: World) -> None:
    for text in ("", "x", "{}", "[]", json.dumps([wish("50000")] * 6)):
        status, code, _ = await venue.demo.refused("POST", "/fapi/v1/batchOrders", batchOrders=text)
        assert (status, code) in {(400, -1102), (400, -1130), (400, -4082)}, text
    lists = (("orderIdList", "[true]"), ("orderIdList", '["1"]'), ("origClientOrderIdList", "[1]"))
    for name, text in lists:
        fields = {"symbol": SYMBOL, name: text}
        assert (await venue.demo.refused("DELETE", "/fapi/v1/batchOrders", **fields))[1] == -1130
    assert (await venue.demo.refused("DELETE", "/fapi/v1/batchOrders", symbol=SYMBOL))[1] == -1102
    fields = {"batchOrders": json.dumps([wish("50000"), 7])}
    assert (await venue.demo.refused("POST", "/fapi/v1/batchOrders", **fields))[1] == -1135
    assert await open_prices(venue) == []


async def test_a_batch_counts_as_five_orders_however_many_it_has(venue: World) -> None:
    before = venue.gateway.state.usage.order_rows("demo", venue.exchange.now_ns())
    await batch(venue, wish("50000"), wish("50001"))
    after = venue.gateway.state.usage.order_rows("demo", venue.exchange.now_ns())
    assert [new["count"] - old["count"] for old, new in zip(before, after, strict=True)] == [5, 5]


async def test_a_timer_cancels_its_market_alone_unless_it_is_armed_again_or_disarmed(venue: World) -> None:
    async def arm(milliseconds: int, symbol: str = SYMBOL) -> Any:
        return await venue.demo.signed(
            "POST", "/fapi/v1/countdownCancelAll", symbol=symbol, countdownTime=milliseconds
        )

    await batch(venue, wish("50000"), wish("2000", symbol="ETHUSDT"))
    assert await arm(60_000) == {"symbol": SYMBOL, "countdownTime": "60000"}
    assert venue.gateway.countdowns.armed("demo") == [CANONICAL]
    await arm(0)
    assert venue.gateway.countdowns.armed("demo") == []
    await arm(60_000)
    await arm(20)
    async with asyncio.timeout(10):
        # Looks have a weight, of which there is only so much in a minute.
        while len(await open_prices(venue)) == 2:  # noqa: ASYNC110 the venue tells nobody
            await asyncio.sleep(0.05)
    assert venue.gateway.countdowns.fired == 1
    assert await open_prices(venue) == ["2000.00"]
    assert venue.gateway.countdowns.armed("demo") == []
    [ended] = await venue.demo.signed("GET", "/fapi/v1/allOrders", symbol=SYMBOL)
    assert ended["status"] == "CANCELED"
    for text in ("-1", "x", "86400001"):
        fields = {"symbol": SYMBOL, "countdownTime": text}
        assert (await venue.demo.refused("POST", "/fapi/v1/countdownCancelAll", **fields))[1] in {
            -1100,
            -1130,
        }
    assert (await venue.demo.refused("POST", "/fapi/v1/countdownCancelAll", symbol=SYMBOL))[1] == -1102


async def test_a_timer_ends_with_the_gateway(tmp_path: Path) -> None:
    async with usdm_world(tmp_path) as venue:
        await batch(venue, wish("50000"))
        await venue.demo.signed("POST", "/fapi/v1/countdownCancelAll", symbol=SYMBOL, countdownTime=3_600_000)
    async with usdm_world(tmp_path) as venue:
        assert venue.gateway.countdowns.armed("demo") == []
        assert await open_prices(venue) == ["50000.0"]


async def test_an_order_at_the_highest_price_that_is_published_passes_the_filters(tmp_path: Path) -> None:
    async with usdm_world(tmp_path, markets=DEFAULT_MARKETS[2:3]) as venue:
        for symbol in venue.gateway.state.symbols.all():
            rules = {row["filterType"]: row for row in symbol.info()["filters"]}
            highest = Decimal(rules["PRICE_FILTER"]["maxPrice"])
            least = Decimal(rules["LOT_SIZE"]["minQty"])
            ticks, lots = int(highest / symbol.tick), int(least / symbol.lot)
            request = PlaceRequest(symbol=symbol.market.symbol, side=Side.SELL, price_ticks=ticks, lots=lots)
            assert venue.exchange.check("demo", request) is None
