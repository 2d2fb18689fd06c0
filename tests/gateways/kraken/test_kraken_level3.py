"""The level3 channel: single orders, with a checksum over each of them."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from typing import Any
from zlib import crc32

import pytest
from gateway_world import placed, request
from kraken_world import World

from tradewind.gateways.kraken import ids
from tradewind.venues.market_data import Side

SYMBOL = "BTC/USD"


class OrderMirror:
    """Single orders from the raw digits of the frames, by the venue's rules."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.sides: dict[str, dict[str, tuple[str, str]]] = {"bids": {}, "asks": {}}

    def apply(self, text: str) -> None:
        frame = json.loads(text, parse_float=str, parse_int=str)
        [row] = frame["data"]
        for name, orders in self.sides.items():
            if frame["type"] == "snapshot":
                orders.clear()
            for one in row[name]:
                if one.get("event") == "delete":
                    del orders[one["order_id"]]
                elif one.get("event") == "modify":
                    orders[one["order_id"]] = (one["limit_price"], one["order_qty"])
                else:
                    assert one["order_id"] not in orders
                    orders[one["order_id"]] = (one["limit_price"], one["order_qty"])
            keep = self.levels(name)[: self.depth]
            for order in [order for order, (price, _) in orders.items() if price not in keep]:
                del orders[order]
        assert int(row["checksum"]) == self.checksum()

    def levels(self, name: str) -> list[str]:
        return sorted({price for price, _ in self.sides[name].values()}, key=Decimal, reverse=name == "bids")

    def checksum(self) -> int:
        text = ""
        for name in ("asks", "bids"):
            for level in self.levels(name)[:10]:
                for price, quantity in self.sides[name].values():
                    if price == level:
                        text += price.replace(".", "").lstrip("0") + quantity.replace(".", "").lstrip("0")
        return crc32(text.encode())


async def flow(world: World, steps: int) -> None:
    draw = random.Random(3)
    for _ in range(steps):
        side, account = draw.choice([Side.BUY, Side.SELL]), draw.choice(["demo", "other"])
        away = draw.randint(-1, 14) * (-1 if side is Side.BUY else 1)
        await world.exchange.place(account, request(side, 600_000 + away, draw.randint(5, 900)))
        working = world.exchange.orders(account, working=True)
        if len(working) > 15:
            await world.exchange.cancel(account, draw.choice(working).order_id)
        if working and draw.random() < 0.4:  # larger or smaller, here or elsewhere: the place may be lost
            order = draw.choice(working)
            lots = order.filled_lots + draw.randint(5, 900)
            price = order.price_ticks + draw.choice([0, 0, 1, -1])
            await world.exchange.amend(account, order.order_id, lots=lots, price_ticks=price)


@pytest.mark.parametrize("depth", [10, 100])
async def test_a_mirror_of_single_orders_matches_every_checksum(world: World, depth: int) -> None:
    await flow(world, 60)
    async with world.demo.socket() as wire:
        await wire.request(
            "subscribe", 1, channel="level3", symbol=[SYMBOL], depth=depth, token=await world.demo.token()
        )
        assert (await wire.ack("subscribe", 1))["result"]["depth"] == depth
        await flow(world, 120)
        await wire.request("ping", 2)
        await wire.ack("pong", 2)
    mirror, frames = OrderMirror(depth), 0
    for text in wire.texts:
        if text.startswith('{"channel":"level3"'):
            mirror.apply(text)
            frames += 1
    assert frames > 60
    if depth == 100:
        own = {
            ids.order_id(one.order_id)
            for name in ("demo", "other")
            for one in world.exchange.orders(name, working=True)
        }
        assert {order for orders in mirror.sides.values() for order in orders} == own


async def test_single_orders_need_a_token_and_name_no_owner(world: World) -> None:
    order = await placed(world.exchange, "other", request(Side.BUY, 599_990, 100))
    async with world.demo.socket() as wire:
        await wire.request("subscribe", 1, channel="level3", symbol=[SYMBOL])
        assert (await wire.ack("subscribe", 1))["error"] == "ESession:Invalid session"
        await wire.request("subscribe", 2, channel="level3", symbol=[SYMBOL], token=await world.demo.token())
        row: dict[str, Any] = (await wire.of("level3", "snapshot"))["data"][0]
        [bid] = row["bids"]
        assert set(bid) == {"order_id", "limit_price", "order_qty", "timestamp"}
        assert bid["order_id"] == ids.order_id(order.order_id)
        await world.exchange.cancel("other", order.order_id)
        [gone] = (await wire.of("level3", "update"))["data"][0]["bids"]
        assert (gone["event"], gone["order_id"]) == ("delete", bid["order_id"])
        await wire.request("unsubscribe", 3, channel="level3", symbol=[SYMBOL], depth=10)
        assert (await wire.ack("unsubscribe", 3))["success"]
