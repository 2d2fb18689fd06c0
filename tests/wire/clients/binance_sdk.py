"""The venue's own SDK, unmodified, on a Binance gateway: REST, a session over the WebSocket API, streams.

Environment: URL, SOCKET_URL, KEY, SECRET, EDWARDS_KEY, EDWARDS_PEM.
"""

import asyncio
import os

from binance_common.configuration import (
    ConfigurationRestAPI,
    ConfigurationWebSocketAPI,
    ConfigurationWebSocketStreams,
)
from binance_common.errors import BadRequestError, UnauthorizedError
from binance_sdk_spot.spot import Spot

SYMBOL = "BTCUSDT"
URL, SOCKET_URL = os.environ["URL"], os.environ["SOCKET_URL"]


def spot(key: str, **secret: str) -> Spot:
    return Spot(
        config_rest_api=ConfigurationRestAPI(api_key=key, base_path=URL, timeout=20_000, **secret),
        config_ws_api=ConfigurationWebSocketAPI(
            api_key=key, stream_url=SOCKET_URL + "/ws-api/v3", timeout=20_000, **secret
        ),
        config_ws_streams=ConfigurationWebSocketStreams(stream_url=SOCKET_URL + "/stream"),
    )


def rest(one: Spot) -> None:
    api = one.rest_api
    assert api.exchange_info(symbol=SYMBOL).data().symbols[0].status == "TRADING"
    assert api.depth(symbol=SYMBOL).data().bids[0] == ["59900.00000000", "1.00000000"]
    assert api.klines(symbol=SYMBOL, interval="1m").data()[-1][4] == "60000.00000000"
    placed = api.new_order(
        symbol=SYMBOL, side="BUY", type="LIMIT", time_in_force="GTC", quantity=0.1, price=59000
    )
    order = placed.data()
    assert (order.status, order.orig_qty) == ("NEW", "0.10000000")
    assert any(limit.rateLimitType == "ORDERS" for limit in placed.rate_limits)
    assert api.get_order(symbol=SYMBOL, order_id=order.order_id).data().is_working is True
    assert [row.order_id for row in api.get_open_orders(symbol=SYMBOL).data()] == [order.order_id]
    amended = api.order_amend_keep_priority(symbol=SYMBOL, order_id=order.order_id, new_qty=0.05).data()
    assert amended.amended_order.qty == "0.05000000"
    assert api.delete_order(symbol=SYMBOL, order_id=order.order_id).data().status == "CANCELED"
    taken = api.new_order(symbol=SYMBOL, side="BUY", type="MARKET", quantity=0.1).data()
    assert taken.fills[0].commission == "6.01000000"
    assert api.my_trades(symbol=SYMBOL).data()[-1].price == "60100.00000000"
    assert any(row.asset == "BTC" for row in api.get_account().data().balances)
    try:
        api.new_order(symbol=SYMBOL, side="BUY", type="LIMIT", time_in_force="GTC", quantity=140, price=59000)
    except BadRequestError as error:
        assert "insufficient balance" in str(error), error
    else:
        raise AssertionError("a refusal was expected")
    try:
        spot("x" * 64, api_secret="y").rest_api.get_account()
    except UnauthorizedError:
        pass
    else:
        raise AssertionError("a stranger must not get in")


async def sockets(one: Spot, session: Spot) -> None:
    events: list = []
    await session.websocket_api.create_connection()
    status = (await session.websocket_api.session_logon()).data().result
    assert status.api_key == os.environ["EDWARDS_KEY"]
    heard = await session.websocket_api.user_data_stream_subscribe()
    heard.stream.on("message", events.append)
    streams = one.websocket_streams
    await streams.create_connection()
    depth: list = []
    stream = await streams.diff_book_depth(symbol="btcusdt", update_speed="100ms")
    stream.on("message", depth.append)
    placed = (
        (
            await session.websocket_api.order_place(
                symbol=SYMBOL, side="BUY", type="LIMIT", time_in_force="GTC", quantity=0.1, price=58000
            )
        )
        .data()
        .result
    )
    assert placed.status == "NEW"
    gone = (await session.websocket_api.order_cancel(symbol=SYMBOL, order_id=placed.order_id)).data().result
    assert gone.status == "CANCELED"
    async with asyncio.timeout(20):
        while len(events) < 4 or not depth:  # noqa: ASYNC110 - the client only calls back
            await asyncio.sleep(0.05)
    told = [event.actual_instance for event in events]
    reports = [one for one in told if type(one).__name__ == "ExecutionReport"]
    assert [(one.x, one.X, one.i) for one in reports] == [
        ("NEW", "NEW", placed.order_id),
        ("CANCELED", "CANCELED", placed.order_id),
    ]
    assert any(type(one).__name__ == "OutboundAccountPosition" for one in told)
    await streams.close_connection(close_session=True)
    await session.websocket_api.close_connection(close_session=True)


mine = spot(os.environ["KEY"], api_secret=os.environ["SECRET"])
rest(mine)
asyncio.run(sockets(mine, spot(os.environ["EDWARDS_KEY"], private_key=os.environ["EDWARDS_PEM"])))
print("done")
