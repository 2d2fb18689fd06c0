"""Random trading of two clients: what streams told, what REST answers and what the exchange holds are one."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal
from typing import Any

import aiohttp
import msgspec
import pytest
from binance_world import CANONICAL, SYMBOL, Client, World
from test_gateway_binance_socket_api import Api, signed

STEPS = 120
DEADLINE_S = 60
WORKING = frozenset({"NEW", "PARTIALLY_FILLED"})


class Mirror:
    """An account as its events tell it."""

    def __init__(self, account: dict[str, Any]) -> None:
        self.balances = {row["asset"]: (row["free"], row["locked"]) for row in account["balances"]}
        self.orders: dict[int, dict[str, Any]] = {}
        self.trades: list[tuple[int, str, str, str]] = []
        self.sequence = 0

    def hear(self, event: dict[str, Any]) -> None:
        if event["e"] == "outboundAccountPosition":
            self.balances.update({row["a"]: (row["f"], row["l"]) for row in event["B"]})
        elif event["e"] == "executionReport":
            assert event["I"] > self.sequence, "events come once and in order"
            self.sequence = event["I"]
            before = self.orders.get(event["i"])
            assert before is None or Decimal(event["z"]) >= Decimal(before["z"])
            assert before is None or before["X"] in WORKING or event["X"] == before["X"]
            self.orders[event["i"]] = event
            if event["x"] == "TRADE":
                self.trades.append((event["t"], event["L"], event["l"], event["n"]))


async def listen(socket: aiohttp.ClientWebSocketResponse, mirror: Mirror) -> None:
    async for message in socket:
        frame = msgspec.json.decode(message.data)
        if "event" in frame:
            mirror.hear(frame["event"])


async def step(client: Client, draw: random.Random, working: list[int]) -> None:
    """One random request; what it answers is looked at by the streams."""
    side = draw.choice(["BUY", "SELL"])
    price, quantity = f"{59_990 + draw.randrange(20)}", f"0.{draw.randrange(1, 40):03}"
    common = {"symbol": SYMBOL, "side": side, "quantity": quantity}
    kind = draw.randrange(10)
    if kind < 6:
        tif = draw.choice(["GTC", "GTC", "GTC", "IOC", "FOK"])
        fields = {**common, "type": "LIMIT", "timeInForce": tif, "price": price}
        status, body, _ = await client.raw("POST", "/api/v3/order", client.query(fields))
    elif kind == 6:
        status, body, _ = await client.raw(
            "POST", "/api/v3/order", client.query({**common, "type": "MARKET"})
        )
    elif not working:
        return
    elif kind == 7:
        fields = {"symbol": SYMBOL, "orderId": draw.choice(working)}
        status, body, _ = await client.raw("DELETE", "/api/v3/order", client.query(fields))
    elif kind == 8:
        fields = {"symbol": SYMBOL, "orderId": draw.choice(working), "newQty": "0.001"}
        status, body, _ = await client.raw("PUT", "/api/v3/order/amend/keepPriority", client.query(fields))
    else:
        fields = {
            **common,
            "type": "LIMIT",
            "timeInForce": "GTC",
            "price": price,
            "cancelReplaceMode": draw.choice(["STOP_ON_FAILURE", "ALLOW_FAILURE"]),
            "cancelOrderId": draw.choice(working),
        }
        status, body, _ = await client.raw("POST", "/api/v3/order/cancelReplace", client.query(fields))
    assert status in {200, 400, 409}, body
    if "orderId" in body and body.get("status") in WORKING:
        working.append(body["orderId"])


def agrees(mirror: Mirror, account: dict[str, Any], orders: list[dict[str, Any]], trades: list[Any]) -> bool:
    """Whether the events have told everything that REST answers."""
    if mirror.balances != {row["asset"]: (row["free"], row["locked"]) for row in account["balances"]}:
        return False
    told = {number: (one["X"], one["z"], one["q"], one["Z"]) for number, one in mirror.orders.items()}
    asked = {
        one["orderId"]: (one["status"], one["executedQty"], one["origQty"], one["cummulativeQuoteQty"])
        for one in orders
    }
    return told == asked and mirror.trades == [
        (one["id"], one["price"], one["qty"], one["commission"]) for one in trades
    ]


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_events_rest_and_exchange_tell_the_same_story(binance: World, seed: int) -> None:
    draw, clients = random.Random(seed), (binance.demo, binance.other)
    mirrors, listeners, sockets = [], [], []
    for client in clients:
        socket = await binance.session.ws_connect(binance.gateway.socket_url + "/ws-api/v3")
        await Api(socket).result("userDataStream.subscribe.signature", signed(client))
        mirror = Mirror(await client.signed("GET", "/api/v3/account"))
        listeners.append(asyncio.create_task(listen(socket, mirror)))
        mirrors.append(mirror)
        sockets.append(socket)
    working: tuple[list[int], list[int]] = ([], [])
    async with asyncio.timeout(DEADLINE_S):
        for _ in range(STEPS):
            # both at once: their commands meet in the engine in any order
            await asyncio.gather(*(step(one, draw, mine) for one, mine in zip(clients, working, strict=True)))
        for client, mirror in zip(clients, mirrors, strict=True):
            account = await client.signed("GET", "/api/v3/account")
            orders = await client.signed("GET", "/api/v3/allOrders", symbol=SYMBOL, limit=1000)
            trades = await client.signed("GET", "/api/v3/myTrades", symbol=SYMBOL, limit=1000)
            while not agrees(mirror, account, orders, trades):  # noqa: ASYNC110 - the listener ends it
                # the last events are still on their way
                await asyncio.sleep(0.02)
            held = binance.exchange.orders(client.key.account, working=True, limit=1_000)
            assert {order.order_id for order in held} == {
                number for number, one in mirror.orders.items() if one["X"] in WORKING
            }
    # money was moved, never made: what left the clients are the fees
    funds = [
        {one.asset: one.free + one.held for one in binance.exchange.funds(name)} for name in ("demo", "other")
    ]
    fees = sum(fill.fee for name in ("demo", "other") for fill in binance.exchange.fills(name, limit=10_000))
    assert funds[0]["BTC"] + funds[1]["BTC"] == 200
    assert funds[0]["USDT"] + funds[1]["USDT"] + fees == 2_000_000
    assert len(binance.exchange.trades(CANONICAL, 10_000)) == len(mirrors[0].trades) == len(mirrors[1].trades)
    for socket, listener in zip(sockets, listeners, strict=True):
        await socket.close()
        await listener
