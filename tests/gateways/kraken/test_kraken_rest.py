from __future__ import annotations

from kraken_world import World


async def test_smoke(world: World) -> None:
    print(await world.demo.public("Time"))
    print(await world.demo.public("AssetPairs"))
    print(await world.demo.public("Ticker"))
    print(await world.demo.private("BalanceEx"))
    a = await world.demo.order("buy", "60000.0")
    b = await world.other.order("sell", "59990.0", "0.0005")
    for n in ("Balance","TradeBalance","OpenOrders","ClosedOrders","TradesHistory","Ledgers","TradeVolume"):
        print(n, await world.demo.private(n))
    print(await world.demo.private("QueryOrders", {"txid": a, "trades": "true"}))
    for n in ("Depth","Trades","OHLC","Spread","Ticker"):
        print(n, await world.demo.public(n, pair="XBTUSD"))
    async with world.demo.socket() as s:
        await s.request("subscribe", 1, channel="book", symbol=["BTC/USD"])
        await s.request("subscribe", 2, channel="ticker", symbol=["BTC/USD"])
        await s.request("subscribe", 3, channel="trade", symbol=["BTC/USD"])
        await s.request("subscribe", 4, channel="ohlc", symbol=["BTC/USD"], interval=1)
        await s.request("subscribe", 5, channel="instrument")
        t = await world.demo.token()
        await s.request("subscribe", 6, channel="executions", token=t, snap_trades=True, ratecounter=True)
        await s.request("subscribe", 7, channel="balances", token=t)
        await s.request("add_order", 8, token=t, order_type="limit", side="sell", symbol="BTC/USD", limit_price=60010.0, order_qty=0.001, cl_ord_id="abc")
        print(await s.ack("add_order", 8))
        await world.other.order("buy", "60010.0", "0.0015")
        await s.request("cancel_all", 9, token=t)
        print(await s.ack("cancel_all", 9))
        await s.request("ping", 10)
        await s.ack("pong", 10)
        for x in s.texts: print(x)
    assert 0
