"""Market streams over real sockets: names, order, completeness, subscribing, bounds."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from binance_world import CANONICAL, QUICK, SYMBOL, World, world

from tradewind.gateways.binance.streams import StreamOptions
from tradewind.gateways.binance.topics import TradeTopic
from tradewind.gateways.binance.windows import Limit

DEADLINE_S = 20


async def heard(socket: aiohttp.ClientWebSocketResponse) -> Any:
    """The next frame, decoded."""
    async with asyncio.timeout(DEADLINE_S):
        message = await socket.receive()
    assert message.type is aiohttp.WSMsgType.TEXT, message
    return msgspec.json.decode(message.data)


async def until(socket: aiohttp.ClientWebSocketResponse, wanted: Any) -> Any:
    """The first frame that is as wanted."""
    while True:
        frame = await heard(socket)
        if wanted(frame):
            return frame


async def ask(
    socket: aiohttp.ClientWebSocketResponse, method: str, params: Any = None, number: Any = 1
) -> Any:
    """Sends a request of the stream protocol; events that come before its answer are skipped."""
    body = {"method": method, "id": number} | ({} if params is None else {"params": params})
    await socket.send_str(msgspec.json.encode(body).decode())
    return await until(socket, lambda frame: "id" in frame or "error" in frame)


NAMES = {
    "trade": {"e", "E", "s", "t", "p", "q", "b", "a", "T", "m", "M"},
    "aggTrade": {"e", "E", "s", "a", "p", "q", "f", "l", "T", "m", "M"},
    "depth": {"e", "E", "s", "U", "u", "b", "a"},
    "depth@100ms": {"e", "E", "s", "U", "u", "b", "a"},
    "depth5": {"lastUpdateId", "bids", "asks"},
    "depth20@100ms": {"lastUpdateId", "bids", "asks"},
    "bookTicker": {"u", "s", "b", "B", "a", "A"},
    "miniTicker": {"e", "E", "s", "c", "o", "h", "l", "v", "q"},
    "ticker": set("eEspPwxcQbBaAohlvqOCFLn"),
    "kline_1m": {"e", "E", "s", "k"},
    "avgPrice": {"e", "E", "s", "i", "w", "T"},
}


@pytest.mark.parametrize("kind", NAMES)
async def test_a_stream_sends_its_fields_when_something_happens(binance: World, kind: str) -> None:
    await binance.still_book()
    name = f"btcusdt@{kind}"
    async with binance.socket(f"/ws/{name}") as raw, binance.socket(f"/stream?streams={name}") as wrapped:
        # once the server has answered a request it has read the path
        await ask(raw, "LIST_SUBSCRIPTIONS")
        await ask(wrapped, "LIST_SUBSCRIPTIONS")
        await binance.demo.order("BUY", "60100", "0.2")
        event = await until(raw, lambda frame: "id" not in frame)
        assert set(event) == NAMES[kind]
        outer = await until(wrapped, lambda frame: "id" not in frame)
        assert (
            set(outer) == {"stream", "data"} and outer["stream"] == name and set(outer["data"]) == NAMES[kind]
        )


async def test_the_closed_candle_is_sent_when_its_interval_is_over(binance: World) -> None:
    async with binance.socket("/ws/btcusdt@kline_1s") as socket:
        await ask(socket, "LIST_SUBSCRIPTIONS")
        await binance.still_book()
        closed = await until(socket, lambda frame: "k" in frame and frame["k"]["x"] and frame["k"]["n"])
        assert (closed["k"]["f"], closed["k"]["L"], closed["k"]["v"]) == (1, 1, "0.01000000")
        assert closed["E"] > closed["k"]["T"]


async def test_differences_are_complete_and_rebuild_the_book(binance: World) -> None:
    await binance.still_book()
    async with binance.socket("/ws/btcusdt@depth@100ms") as socket:
        await ask(socket, "LIST_SUBSCRIPTIONS")
        snapshot = await binance.demo.public("/api/v3/depth", symbol=SYMBOL, limit=5000)
        for step in range(30):
            placed = await binance.demo.order("BUY", f"{59000 + step % 7}", "0.1")
            if step % 3 == 0:
                await binance.demo.signed("DELETE", "/api/v3/order", symbol=SYMBOL, orderId=placed["orderId"])
            if step % 5 == 0:
                await binance.demo.order("BUY", "60100", "0.01")
        book = {side: dict(snapshot[side]) for side in ("bids", "asks")}
        last = snapshot["lastUpdateId"]
        final = binance.exchange.book(CANONICAL).update_id
        previous = None
        while last < final:
            event = await until(socket, lambda frame: frame.get("e") == "depthUpdate")
            assert previous is None or event["U"] == previous + 1
            previous = event["u"]
            if event["u"] <= snapshot["lastUpdateId"]:
                continue
            assert event["U"] <= last + 1 <= event["u"]
            last = event["u"]
            for side, rows in (("bids", event["b"]), ("asks", event["a"])):
                for price, quantity in rows:
                    if float(quantity) == 0:
                        book[side].pop(price, None)
                    else:
                        book[side][price] = quantity
        fresh = await binance.demo.public("/api/v3/depth", symbol=SYMBOL, limit=5000)
        assert book == {side: dict(fresh[side]) for side in ("bids", "asks")}


async def test_trades_of_one_order_at_one_price_are_one_aggregate(binance: World) -> None:
    for _ in range(3):
        await binance.other.order("SELL", "60100", "0.1")
    await binance.other.order("SELL", "60200", "0.1")
    async with binance.socket("/stream?streams=btcusdt@aggTrade/btcusdt@trade") as socket:
        await ask(socket, "LIST_SUBSCRIPTIONS")
        await binance.demo.order("BUY", "60200", "0.4")
        events = [await until(socket, lambda frame: "stream" in frame) for _ in range(6)]
    joined = [event["data"] for event in events if event["stream"].endswith("aggTrade")]
    assert [(row["f"], row["l"], row["q"]) for row in joined] == [(1, 3, "0.30000000"), (4, 4, "0.10000000")]
    assert [event["data"]["t"] for event in events if event["stream"].endswith("@trade")] == [1, 2, 3, 4]
    rows = await binance.demo.public("/api/v3/aggTrades", symbol=SYMBOL)
    assert [(row["a"], row["q"]) for row in rows] == [(row["a"], row["q"]) for row in joined]


async def test_streams_are_joined_and_left_on_an_open_connection(binance: World) -> None:
    await binance.still_book()
    async with binance.socket("/ws/anything") as socket:
        assert await ask(socket, "LIST_SUBSCRIPTIONS", number="one") == {"result": [], "id": "one"}
        names = ["btcusdt@trade", "btcusdt@bookTicker"]
        assert await ask(socket, "SUBSCRIBE", names, 2) == {"result": None, "id": 2}
        assert await ask(socket, "LIST_SUBSCRIPTIONS") == {"result": names, "id": 1}
        await binance.demo.order("BUY", "60100", "0.1")
        assert (await until(socket, lambda frame: frame.get("e") == "trade"))["p"] == "60100.00000000"
        assert await ask(socket, "UNSUBSCRIBE", names, None) == {"result": None, "id": None}
        assert binance.gateway.streams.hub._topics == {} and binance.gateway.streams.hub._feeds == {}
        assert await ask(socket, "GET_PROPERTY", ["combined"]) == {"result": False, "id": 1}
        assert await ask(socket, "SET_PROPERTY", ["combined", True]) == {"result": None, "id": 1}
        await ask(socket, "SUBSCRIBE", ["btcusdt@trade"])
        await binance.demo.order("BUY", "60100", "0.1")
        assert (await until(socket, lambda frame: "stream" in frame))["stream"] == "btcusdt@trade"


WRONG = [
    ("{", 3),
    ("[]", 2),
    ('{"method":"GUESS","id":1}', 2),
    ('{"method":"SUBSCRIBE","id":1.5,"params":["btcusdt@trade"]}', 2),
    ('{"method":"SUBSCRIBE","id":1,"params":"btcusdt@trade"}', 2),
    ('{"method":"SUBSCRIBE","id":1,"params":["btcusdt@guess"]}', 2),
    ('{"method":"SUBSCRIBE","id":1,"params":["btcusdt@trade","BTCUSDT@trade"]}', 2),
    ('{"method":"SET_PROPERTY","id":1,"params":["combined","yes"]}', 1),
    ('{"method":"GET_PROPERTY","id":1,"params":["colour"]}', 0),
]


@pytest.mark.parametrize(("text", "code"), WRONG)
async def test_a_request_that_is_none_is_answered_and_changes_nothing(
    binance: World, text: str, code: int
) -> None:
    async with binance.socket("/ws") as socket:
        await socket.send_str(text)
        assert (await heard(socket))["error"]["code"] == code
        assert (await ask(socket, "LIST_SUBSCRIPTIONS"))["result"] == []


async def test_a_market_that_is_not_listed_stays_silent(binance: World) -> None:
    async with binance.socket("/ws/nopeusdt@trade") as socket:
        assert (await ask(socket, "SUBSCRIBE", ["nopeusdt@ticker"]))["result"] is None


async def test_all_markets_have_one_stream_of_tickers(binance: World) -> None:
    async with binance.socket("/ws/!miniTicker@arr") as socket:
        await ask(socket, "LIST_SUBSCRIPTIONS")
        await binance.still_book()
        [row] = await until(socket, lambda frame: isinstance(frame, list))
        assert (row["e"], row["s"], row["c"]) == ("24hrMiniTicker", SYMBOL, "60000.00000000")


async def test_times_of_a_stream_come_in_microseconds_on_request(binance: World) -> None:
    path = "/ws/btcusdt@trade?timeUnit=MICROSECOND"
    async with binance.socket(path) as micro, binance.socket("/ws/btcusdt@trade") as milli:
        await ask(micro, "LIST_SUBSCRIPTIONS")
        await ask(milli, "LIST_SUBSCRIPTIONS")
        await binance.still_book()
        assert len(str((await heard(micro))["T"])) == 16 and len(str((await heard(milli))["T"])) == 13


async def test_a_connection_is_pinged_and_ends_after_its_life(tmp_path: Path) -> None:
    options = StreamOptions(ping_s=0.05, lifetime_s=0.5, interval_scale=0.02)
    async with world(tmp_path, gateway={"options": options}) as one:
        url = one.gateway.socket_url + "/ws/btcusdt@trade"
        async with one.session.ws_connect(url, autoping=False) as socket, asyncio.timeout(DEADLINE_S):
            first = await socket.receive()
            assert first.type is aiohttp.WSMsgType.PING
            await socket.pong(first.data)
            while (message := await socket.receive()).type is aiohttp.WSMsgType.PING:
                pass
            assert message.type is aiohttp.WSMsgType.CLOSE


async def test_too_many_messages_streams_or_connections_are_refused(tmp_path: Path) -> None:
    options = StreamOptions(
        messages_per_s=5,
        streams_per_connection=2,
        interval_scale=0.02,
        connections=Limit(kind="CONNECTIONS", interval="DAY", interval_num=1, limit=2),
    )
    async with world(tmp_path, gateway={"options": options}) as one, asyncio.timeout(DEADLINE_S):
        async with one.socket("/ws") as socket:
            names = [f"btcusdt@{kind}" for kind in ("trade", "aggTrade", "ticker")]
            assert (await ask(socket, "SUBSCRIBE", names))["error"]["code"] == 2
            assert (await ask(socket, "LIST_SUBSCRIPTIONS"))["result"] == []
            for _ in range(10):
                await socket.send_str('{"method":"LIST_SUBSCRIPTIONS","id":1}')
            while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1008)
        async with one.socket("/ws"):
            pass
        async with one.socket("/ws") as socket:
            assert (await socket.receive()).data == 1008


async def test_a_defect_of_one_stream_ends_its_connections_and_no_others(
    binance: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def defect(topic: TradeTopic, trade: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(TradeTopic, "on_trade", defect)
    async with (
        asyncio.timeout(DEADLINE_S),
        binance.socket("/ws/btcusdt@trade") as bad,
        binance.socket("/ws/btcusdt@aggTrade") as good,
    ):
        await ask(bad, "LIST_SUBSCRIPTIONS")
        await ask(good, "LIST_SUBSCRIPTIONS")
        await binance.still_book()
        assert (await heard(good))["e"] == "aggTrade"
        assert (await bad.receive()).type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}


async def test_closing_the_gateway_is_announced(tmp_path: Path) -> None:
    async with (
        world(tmp_path, gateway={"options": QUICK}) as one,
        asyncio.timeout(DEADLINE_S),
        one.socket("/ws/btcusdt@trade") as stream,
        one.socket("/ws-api/v3") as api,
    ):
        await ask(stream, "LIST_SUBSCRIPTIONS")
        await api.send_str('{"id":1,"method":"ping"}')
        await heard(api)
        await one.gateway.close()
        assert (await heard(stream))["e"] == "serverShutdown"
        assert (await heard(api))["event"]["e"] == "serverShutdown"
        assert (await stream.receive()).type is aiohttp.WSMsgType.CLOSE
