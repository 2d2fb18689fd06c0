"""Everything that the Kraken gateway says is a message of the venue: of a known shape, every field known."""

from __future__ import annotations

from typing import Any

from kraken_world import World, traded

from tradewind.venues.frame_watch import FrameWatch
from tradewind.venues.kraken.shapes import SHAPES, name_of


async def test_every_answer_of_rest_has_the_venues_shape(world: World) -> None:
    watch = FrameWatch(SHAPES, name_of)

    async def public(name: str, **fields: Any) -> None:
        _, body = await world.demo.raw("GET", f"/0/public/{name}", params=fields)
        watch.look(f"kraken rest {name}", body)

    async def private(name: str, **fields: Any) -> None:
        status, body = await world.demo.private_raw(name, fields)
        assert status == 200 and b'"error":[]' in body, body
        watch.look(f"kraken rest {name}", body)

    txid = await traded(world)
    await world.demo.order("sell", "60010.0", "0.00100", cl_ord_id="named", userref="")
    for name in ("Time", "SystemStatus", "Assets", "AssetPairs", "Ticker"):
        await public(name)
    for name in ("Depth", "Trades", "OHLC", "Spread"):
        await public(name, pair="XBTUSD")
    for name in ("Balance", "BalanceEx", "TradeBalance", "ClosedOrders", "OpenPositions",
                 "GetWebSocketsToken"):  # fmt: skip
        await private(name)
    await private("OpenOrders", trades="true")
    await private("QueryOrders", txid=txid, trades="true")
    await private("TradesHistory", ledgers="true")
    await private("Ledgers")
    await private("TradeVolume", pair="XBTUSD")
    history = await world.demo.private("TradesHistory")
    await private("QueryTrades", txid=next(iter(history["trades"])))
    order = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": "59000.0", "volume": "0.001"}
    await private("AddOrder", **order)
    await private("AddOrder", **order, validate="true")
    first = await world.demo.order("buy", "59000.0")
    await private("AmendOrder", txid=first, order_qty="0.002")
    await private("EditOrder", pair="XBTUSD", txid=first, price="58000.0")
    last = await world.demo.order("buy", "59000.0")
    await private("CancelOrder", txid=last)
    await private("CancelAllOrdersAfter", timeout="60")
    await private("CancelAll")
    assert watch.names == []
    assert watch.looked_at == 28


async def test_every_frame_has_the_venues_shape(world: World) -> None:
    watch = FrameWatch(SHAPES, name_of)
    async with world.demo.socket() as wire:
        token = await world.demo.token()
        numbers = iter(range(1, 1_000))

        async def ask(method: str, **params: Any) -> dict[str, Any]:
            number = next(numbers)
            await wire.request(method, number, **params)
            return await wire.ack(method, number)

        for channel in ("book", "trade", "ticker", "ohlc"):
            assert (await ask("subscribe", channel=channel, symbol=["BTC/USD"]))["success"]
        await ask("subscribe", channel="instrument")
        await ask("subscribe", channel="level3", symbol=["BTC/USD"], token=token)
        for channel in ("executions", "balances"):
            assert (await ask("subscribe", channel=channel, token=token, ratecounter=True))["success"]
        order = {"symbol": "BTC/USD", "side": "buy", "order_type": "limit", "order_qty": 0.002,
                 "limit_price": 60_000, "token": token}  # fmt: skip
        placed = await ask("add_order", **order, cl_ord_id="mine")
        await world.other.order("sell", "60000.0", "0.00050")
        await ask("amend_order", order_id=placed["result"]["order_id"], order_qty=0.003, token=token)
        stop = {"order_type": "stop-loss", "side": "sell", "order_qty": 0.001, "symbol": "BTC/USD",
                "triggers": {"reference": "last", "price": 50_000}, "token": token}  # fmt: skip
        await ask("add_order", **stop)
        rows = [{key: order[key] for key in ("side", "order_type", "order_qty")} | {"limit_price": price}
                for price in (59_000, 58_000)]  # fmt: skip
        await ask("batch_add", symbol="BTC/USD", orders=rows, token=token)
        await ask("cancel_order", cl_ord_id=["mine"], token=token)
        await ask("cancel_all_orders_after", timeout=60, token=token)
        await ask("cancel_all", token=token)
        await wire.request("ping", 999)
        await wire.ack("pong", 999)
        await wire.of("heartbeat")
        for text in wire.texts:
            watch.see(text.encode())
    assert watch.names == []
    assert watch.unnamed == 0
    assert watch.looked_at > 25
