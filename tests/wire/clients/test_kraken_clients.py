"""Unmodified third-party clients trade on the Kraken gateway and read what the exchange holds."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "gateways"))
sys.path.insert(0, str(Path(__file__).parents[2] / "gateways" / "kraken"))

from gateway_world import opened, placed, request
from kraken_world import World, served

from tradewind.gateways.keys import Right
from tradewind.gateways.kraken import ids
from tradewind.gateways.model import Fill, Order
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import OrderPhase

LEVELS = 12
TICK, LOT = Decimal("0.1"), Decimal("0.00001")
TOP_ASK, TOP_BID = 600_011, 599_991
"""Ticks; every price and quantity ends in a digit other than zero, which ccxt's own checksum needs."""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A gateway on an exchange whose book moves all the time around 60,000."""
    async with opened(
        tmp_path / "data", accounts={"demo": FUNDS, "other": FUNDS, "maker": FUNDS}
    ) as exchange:
        for step in range(LEVELS):
            await placed(exchange, "maker", request(Side.SELL, TOP_ASK + 2 * step, 1_011))
            await placed(exchange, "maker", request(Side.BUY, TOP_BID - 2 * step, 1_011))
        await placed(exchange, "other", request(Side.BUY, TOP_ASK, 11))
        async with served(exchange) as one:
            moving = asyncio.create_task(move(one))
            try:
                yield one
            finally:
                moving.cancel()
                await asyncio.gather(moving, return_exceptions=True)


FUNDS = {"USD": Decimal(1_000_000), "BTC": Decimal(20)}


async def move(world: World) -> None:
    """Orders come and go behind the best prices; now and then somebody sells to the best bid."""
    step = 0
    while True:
        step += 1
        ticks = TOP_ASK + 2 * (step % 9) + 2
        order = await world.exchange.place("maker", request(Side.SELL, ticks, 101 + 10 * (step % 7)))
        trade = (
            await world.exchange.place("other", request(Side.SELL, TOP_BID, 11)) if step % 20 == 0 else None
        )
        assert trade is None or isinstance(trade, Order)
        await asyncio.sleep(0.02)
        if isinstance(order, Order):
            await world.exchange.cancel("maker", order.order_id)


def environment(world: World) -> dict[str, str]:
    """Addresses and keys; several keys of one account, because the venue counts REST calls by key."""
    keys = {
        name: world.client("other" if name == "peer" else "demo", **rights).key
        for name, rights in {
            "main": {}, "second": {}, "third": {}, "socket": {}, "lock": {}, "peer": {},
            "reader": {"rights": [Right.READ]},
        }.items()
    }  # fmt: skip
    written = {name: [key.key, base64.b64encode(key.secret).decode()] for name, key in keys.items()}
    return {
        "GATEWAY_URL": world.gateway.url,
        "GATEWAY_SOCKET": world.gateway.socket_url,
        "GATEWAY_KEYS": json.dumps(written),
    }


def filled(world: World, txid: str) -> tuple[Order, list[Fill]]:
    """An order as the exchange knows it, with its executions."""
    order = world.exchange.order("demo", order_id=ids.order_number(txid))
    assert order is not None and order.phase is OrderPhase.FILLED
    return order, world.exchange.fills("demo", order_id=order.order_id)


def read(output: str) -> dict[str, Any]:
    line = next(line for line in output.splitlines() if line.startswith("RESULT "))
    return json.loads(line.removeprefix("RESULT "))


async def test_python_kraken_sdk_trades_and_verifies_every_checksum(world: World, run_client: Any) -> None:
    seen = read(await run_client("kraken_sdk.py", **environment(world)))
    assert seen["slash_pair"] == ["BTC/USD"] and seen["book_updates"] > 40
    order, fills = filled(world, seen["filled_order"])
    row = seen["filled"]
    assert (Decimal(row["cost"]), Decimal(row["fee"])) == (order.cost, order.fee)
    assert row["trades"] == [ids.trade_id(fill.fill_id) for fill in fills]
    for txid, fill in zip(row["trades"], fills, strict=True):
        trade = seen["history"]["trades"][txid]
        assert (Decimal(trade["cost"]), Decimal(trade["fee"])) == (fill.cost, fill.fee)
        assert (Decimal(trade["price"]), Decimal(trade["vol"])) == (fill.price_ticks * TICK, fill.lots * LOT)
    assert [one["exec_type"] for one in seen["executions"]] == ["pending_new", "new", "canceled"]
    instrument = world.exchange.markets["BTC/USD"].instrument
    pair = seen["pairs"]["XXBTZUSD"]
    assert (Decimal(pair["tick_size"]), Decimal(pair["ordermin"])) == (
        instrument.tick,
        instrument.min_quantity,
    )


async def test_ccxt_trades_over_rest(world: World, run_client: Any) -> None:
    seen = read(await run_client("kraken_ccxt.py", **environment(world)))
    assert set(seen["markets"]) == set(world.exchange.markets)
    precision, limits, active, maker, taker = seen["markets"]["BTC/USD"]
    assert (Decimal(precision["price"]), Decimal(precision["amount"])) == (TICK, LOT) and active
    assert Decimal(limits["amount"]["min"]) == world.exchange.markets["BTC/USD"].instrument.min_quantity
    assert Decimal(maker) == Decimal(taker) == Decimal("0.001") == Decimal(seen["fee"][0])
    order, fills = filled(world, seen["filled"]["id"])
    assert Decimal(seen["filled"]["cost"]) == order.cost
    assert Decimal(seen["filled"]["fee"]["cost"]) == order.fee
    mine = {row[0]: row for row in seen["my_trades"]}
    for fill in fills:
        _, txid, price, amount, fee = mine[ids.trade_id(fill.fill_id)]
        assert txid == ids.order_id(order.order_id) and Decimal(fee) == fill.fee
        assert (Decimal(price), Decimal(amount)) == (fill.price_ticks * TICK, fill.lots * LOT)
    assert seen["order_trades"] == len(fills)


async def test_ccxt_asynchronous_and_pro_stream_books_orders_and_trades(
    world: World, run_client: Any
) -> None:
    seen = read(await run_client("kraken_ccxt_pro.py", **environment(world)))
    assert seen["states"] == ["canceled", "open"]
    order, fills = filled(world, seen["fill"]["order"])
    assert seen["fill"]["takerOrMaker"] == "taker" and order.filled_lots == 123
    [fill] = [fill for fill in fills if ids.trade_id(fill.fill_id) == seen["fill"]["id"]]
    assert Decimal(str(seen["fill"]["cost"])) == fill.cost
