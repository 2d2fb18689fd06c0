from __future__ import annotations
from binance_world import *

async def test_smoke(binance: World) -> None:
    await binance.still_book()
    d = binance.demo
    for path, p in [("ping",{}),("time",{}),("exchangeInfo",{}),("depth",{"symbol":SYMBOL}),("trades",{"symbol":SYMBOL}),("historicalTrades",{"symbol":SYMBOL,"fromId":1}),("aggTrades",{"symbol":SYMBOL}),("klines",{"symbol":SYMBOL,"interval":"1m"}),("klines",{"symbol":SYMBOL,"interval":"1w"}),("klines",{"symbol":SYMBOL,"interval":"1M"}),("avgPrice",{"symbol":SYMBOL}),("ticker/24hr",{"symbol":SYMBOL}),("ticker/24hr",{}),("ticker/price",{}),("ticker/bookTicker",{"symbol":SYMBOL}),("ticker",{"symbol":SYMBOL}),("ticker/tradingDay",{"symbol":SYMBOL})]:
        print(path, str(await d.public("/api/v3/"+path, **p))[:1500])
    for path,p in [("account",{}),("account/commission",{"symbol":SYMBOL}),("rateLimit/order",{}),("myTrades",{"symbol":SYMBOL}),("openOrders",{}),("allOrders",{"symbol":SYMBOL}),("allOrderList",{}),("openOrderList",{})]:
        print(path, await d.signed("GET","/api/v3/"+path, **p))
    o = await d.order("BUY","59000","0.5", newClientOrderId="abc")
    print(o)
    print(await d.signed("GET","/api/v3/order", symbol=SYMBOL, origClientOrderId="abc"))
    print(await d.signed("PUT","/api/v3/order/amend/keepPriority", symbol=SYMBOL, origClientOrderId="abc", newQty="0.4"))
    print(await d.refused("GET","/api/v3/order", symbol=SYMBOL, origClientOrderId="abc"))
    print(await d.signed("POST","/api/v3/order/cancelReplace", symbol=SYMBOL, side="BUY",type="LIMIT",timeInForce="GTC",quantity="0.1",price="59001",cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=o["orderId"]))
    print(await d.signed("DELETE","/api/v3/openOrders", symbol=SYMBOL))
    print(await d.signed("POST","/api/v3/order", symbol=SYMBOL, side="BUY", type="MARKET", quoteOrderQty="100"))
    print(await d.signed("POST","/api/v3/orderList/oco", symbol=SYMBOL, side="SELL", quantity="0.1", aboveType="LIMIT_MAKER", abovePrice="61000", belowType="STOP_LOSS_LIMIT", belowPrice="58000", belowStopPrice="58500", belowTimeInForce="GTC"))
    print(await d.signed("GET","/api/v3/openOrderList"))
    print(await d.signed("DELETE","/api/v3/openOrders", symbol=SYMBOL))
    assert 0
