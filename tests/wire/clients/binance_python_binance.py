"""Unmodified python-binance on a Binance gateway: REST, sockets, user events and orders over the socket.

Environment: URL, SOCKET_URL, KEY, SECRET, OTHER_KEY, OTHER_SECRET.
"""

import asyncio
import os
from itertools import pairwise

from binance import AsyncClient, BinanceSocketManager, Client
from binance.exceptions import BinanceAPIException
from binance.ws.streams import BinanceSocketManager as Streams

SYMBOL = "BTCUSDT"
URL, SOCKET_URL = os.environ["URL"], os.environ["SOCKET_URL"]
for kind in (Client, AsyncClient):
    kind.API_URL = URL + "/api"
    kind.MARGIN_API_URL = URL + "/sapi"
    kind.FUTURES_URL = URL + "/fapi"
    kind.WS_API_URL = SOCKET_URL + "/ws-api/v3"
Streams.STREAM_URL = SOCKET_URL + "/"


def refused(code: int, call, **fields) -> None:
    try:
        call(**fields)
    except BinanceAPIException as error:
        assert error.code == code, error
    else:
        raise AssertionError(f"{code} expected")


def limit(side: str, quantity: str, price: str, **more) -> dict:
    return {
        "symbol": SYMBOL,
        "side": side,
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": quantity,
        "price": price,
        **more,
    }


def rest() -> None:
    one = Client(os.environ["KEY"], os.environ["SECRET"])
    two = Client(os.environ["OTHER_KEY"], os.environ["OTHER_SECRET"])
    assert one.ping() == {}
    info = one.get_symbol_info(SYMBOL)
    assert info["status"] == "TRADING" and {row["filterType"] for row in info["filters"]} >= {
        "PRICE_FILTER",
        "LOT_SIZE",
        "NOTIONAL",
        "MAX_NUM_ORDERS",
    }
    assert one.get_order_book(symbol=SYMBOL)["bids"] == [["59900.00000000", "1.00000000"]]
    assert one.get_recent_trades(symbol=SYMBOL)[0]["price"] == "60000.00000000"
    assert one.get_historical_trades(symbol=SYMBOL)[0]["id"] == 1
    assert one.get_aggregate_trades(symbol=SYMBOL)[0]["p"] == "60000.00000000"
    assert len(one.get_klines(symbol=SYMBOL, interval="1m")[0]) == 12
    assert one.get_avg_price(symbol=SYMBOL)["mins"] == 5
    assert one.get_ticker(symbol=SYMBOL)["count"] == 1
    assert one.get_orderbook_ticker(symbol=SYMBOL)["askPrice"] == "60100.00000000"
    assert len(one.get_symbol_ticker()) >= 5
    assert one.get_trade_fee(symbol=SYMBOL)[0]["takerCommission"] == "0.001"

    # place, partial fill, fill
    free = float(one.get_asset_balance(asset="BTC")["free"])
    order = one.create_order(**limit("SELL", "0.5", "60050", newClientOrderId="pb-one"))
    assert (order["status"], order["clientOrderId"], order["fills"]) == ("NEW", "pb-one", [])
    assert one.get_asset_balance(asset="BTC")["locked"] == "0.50000000"
    taken = two.order_limit_buy(symbol=SYMBOL, quantity="0.2", price="60050")
    assert taken["fills"] == [
        {
            "price": "60050.00000000",
            "qty": "0.20000000",
            "commission": "12.01000000",
            "commissionAsset": "USDT",
            "tradeId": 2,
        }
    ], taken
    assert one.get_order(symbol=SYMBOL, orderId=order["orderId"])["executedQty"] == "0.20000000"
    two.order_market_buy(symbol=SYMBOL, quantity="0.3")
    done = one.get_order(symbol=SYMBOL, origClientOrderId="pb-one")
    assert (done["status"], done["cummulativeQuoteQty"]) == ("FILLED", "30025.00000000")
    assert [row["qty"] for row in one.get_my_trades(symbol=SYMBOL, orderId=order["orderId"])] == [
        "0.20000000",
        "0.30000000",
    ]
    assert float(one.get_asset_balance(asset="BTC")["free"]) == free - 0.5
    assert order["orderId"] in [row["orderId"] for row in one.get_all_orders(symbol=SYMBOL)]

    # cancel, replace, amend, pair, amount in the quote asset
    rests = one.create_order(**limit("BUY", "0.1", "59000"))
    assert one.cancel_order(symbol=SYMBOL, orderId=rests["orderId"])["status"] == "CANCELED"
    rests = one.create_order(**limit("BUY", "0.1", "59000"))
    moved = one.cancel_replace_order(
        cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=rests["orderId"], **limit("BUY", "0.1", "58000")
    )
    assert moved["newOrderResult"] == "SUCCESS"
    assert len(one.get_open_orders(symbol=SYMBOL)) == 1
    pair = one.create_oco_order(
        symbol=SYMBOL,
        side="SELL",
        quantity="0.1",
        aboveType="LIMIT_MAKER",
        abovePrice="61000",
        belowType="STOP_LOSS_LIMIT",
        belowPrice="58000",
        belowStopPrice="58500",
        belowTimeInForce="GTC",
    )
    assert pair["contingencyType"] == "OCO" and len(pair["orderReports"]) == 2
    assert len(one.get_open_oco_orders()) == 1
    assert len(one.cancel_all_open_orders(symbol=SYMBOL)) == 2
    assert one.get_open_orders() == [] and one.get_open_oco_orders() == []
    spent = one.order_market_buy(symbol=SYMBOL, quoteOrderQty="100")
    assert spent["status"] == "FILLED" and spent["origQuoteOrderQty"] == "100.00000000"
    assert one.create_test_order(**limit("BUY", "0.1", "59000")) == {}

    refused(-2010, one.create_order, **limit("BUY", "150", "59000"))
    refused(-1013, one.create_order, **limit("BUY", "0.1", "59000.001"))
    refused(-1111, one.create_order, **limit("BUY", "0.1", "59000.0000000001"))
    refused(-1121, one.get_order_book, symbol="NOPE")
    refused(-2011, one.cancel_order, symbol=SYMBOL, orderId=1)
    refused(-2013, one.get_order, symbol=SYMBOL, orderId=1)
    refused(-1102, one.create_order, symbol=SYMBOL, side="BUY", type="LIMIT")
    liar = Client(os.environ["KEY"], "wrong")
    refused(-1022, liar.get_account)


async def sockets() -> None:
    one = await AsyncClient.create(os.environ["KEY"], os.environ["SECRET"])
    two = await AsyncClient.create(os.environ["OTHER_KEY"], os.environ["OTHER_SECRET"])
    streams, private = BinanceSocketManager(one), BinanceSocketManager(one)
    names = [f"btcusdt@{kind}" for kind in ("trade", "aggTrade", "depth@100ms", "bookTicker", "kline_1m")]
    async with streams.multiplex_socket(names) as public, private.user_socket() as user:
        # events begin behind the moment at which the server has read the subscription
        events: list[dict] = []
        seen: dict[str, list] = {name: [] for name in names}

        async def hear() -> None:
            while not all(seen.values()):
                message = await public.recv()
                seen[message["stream"]].append(message["data"])

        async def hear_user() -> None:
            while len([one for one in events if one["e"] == "executionReport"]) < 4:
                events.append(await user.recv())

        both = asyncio.gather(hear(), hear_user())
        order = await one.ws_create_order(**limit("SELL", "0.5", "60050", newClientOrderId="ws-one"))
        await two.ws_create_order(**limit("BUY", "0.2", "60050"))
        assert (await one.ws_get_order(symbol=SYMBOL, orderId=order["orderId"]))[
            "executedQty"
        ] == "0.20000000"
        replaced = await one.ws_cancel_order(symbol=SYMBOL, orderId=order["orderId"], newClientOrderId="stop")
        assert replaced["origClientOrderId"] == "ws-one"
        await one.ws_create_order(**limit("BUY", "0.1", "50000"))
        await both
        reports = [event for event in events if event["e"] == "executionReport"]
        assert [(one["x"], one["X"]) for one in reports] == [
            ("NEW", "NEW"),
            ("TRADE", "PARTIALLY_FILLED"),
            ("CANCELED", "CANCELED"),
            ("NEW", "NEW"),
        ], reports
        assert (reports[2]["c"], reports[2]["C"]) == ("stop", "ws-one")
        assert (
            reports[1]["l"] == "0.20000000" and reports[1]["n"] == "12.01000000" and reports[1]["m"] is True
        )
        assert any(event["e"] == "outboundAccountPosition" for event in events)
        assert seen["btcusdt@trade"][0]["p"] == "60050.00000000"
        depth = seen["btcusdt@depth@100ms"]
        assert all(after["U"] == before["u"] + 1 for before, after in pairwise(depth))
    await one.ws_cancel_all_open_orders(symbol=SYMBOL) if hasattr(one, "ws_cancel_all_open_orders") else None
    await one.close_connection()
    await two.close_connection()


rest()
asyncio.run(asyncio.wait_for(sockets(), 60))
print("done")
