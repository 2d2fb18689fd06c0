"""The WebSocket API over real sockets: requests, sessions, and the events of an account."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec
import pytest
from binance_world import SYMBOL, Client, World

from tradewind.core import commands as build
from tradewind.core.native import derive_account_id
from tradewind.gateways.binance.table import SOCKET_CALLS
from tradewind.gateways.keys import Right

DEADLINE_S = 20
ORDER = {
    "symbol": SYMBOL,
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.1",
    "price": "59000",
}


class Api:
    """One connection: answers by id, events in order."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []
        self._number = 0

    async def frame(self) -> Any:
        async with asyncio.timeout(DEADLINE_S):
            message = await self.socket.receive()
        assert message.type is aiohttp.WSMsgType.TEXT, message
        return msgspec.json.decode(message.data)

    async def call(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """The whole answer; events that come first are kept."""
        self._number += 1
        body = {"id": self._number, "method": method} | ({"params": params} if params is not None else {})
        await self.socket.send_str(msgspec.json.encode(body).decode())
        while True:
            frame = await self.frame()
            if "id" in frame:
                assert frame["id"] == self._number
                return frame
            self.events.append(frame)

    async def result(self, method: str, params: dict[str, Any] | None = None) -> Any:
        answer = await self.call(method, params)
        assert answer["status"] == 200, answer
        return answer["result"]

    async def code(self, method: str, params: dict[str, Any] | None = None) -> tuple[int, int]:
        answer = await self.call(method, params)
        return answer["status"], answer["error"]["code"]

    async def event(self, wanted: Any = lambda event: True) -> dict[str, Any]:
        """The next event that is as wanted, without its wrapping."""
        while True:
            frame = self.events.pop(0) if self.events else await self.frame()
            if wanted(frame["event"]):
                return frame["event"]


def signed(client: Client, **params: Any) -> dict[str, Any]:
    """Parameters with key, time and signature over all of them, by name."""
    every = {"apiKey": client.key.key, "timestamp": client.stamp(), **params}
    text = urlencode(sorted((name, value) for name, value in every.items()))
    return every | {"signature": client.signature(text.encode())}


@asynccontextmanager
async def connected(world: World, query: str = "") -> Any:
    async with world.socket("/ws-api/v3" + query) as socket:
        yield Api(socket)


async def test_every_method_answers_as_its_call_of_rest_does(binance: World) -> None:
    await binance.still_book()
    client = binance.demo
    placed = await client.order("BUY", "59000", "0.1", newClientOrderId="one")
    same = {
        "exchangeInfo": ("exchangeInfo", {"symbol": SYMBOL}),
        "depth": ("depth", {"symbol": SYMBOL}),
        "trades.recent": ("trades", {"symbol": SYMBOL}),
        "trades.historical": ("historicalTrades", {"symbol": SYMBOL}),
        "trades.aggregate": ("aggTrades", {"symbol": SYMBOL}),
        "klines": ("klines", {"symbol": SYMBOL, "interval": "1d"}),
        "uiKlines": ("uiKlines", {"symbol": SYMBOL, "interval": "1d"}),
        "avgPrice": ("avgPrice", {"symbol": SYMBOL}),
        "ticker.price": ("ticker/price", {"symbol": SYMBOL}),
        "ticker.book": ("ticker/bookTicker", {"symbol": SYMBOL}),
    }
    private = {
        "account.status": ("account", {}),
        "account.commission": ("account/commission", {"symbol": SYMBOL}),
        "account.rateLimits.orders": ("rateLimit/order", {}),
        "myTrades": ("myTrades", {"symbol": SYMBOL}),
        "order.status": ("order", {"symbol": SYMBOL, "orderId": placed["orderId"]}),
        "openOrders.status": ("openOrders", {"symbol": SYMBOL}),
        "allOrders": ("allOrders", {"symbol": SYMBOL}),
        "allOrderLists": ("allOrderList", {}),
        "openOrderLists.status": ("openOrderList", {}),
    }
    moving = {"serverTime"}
    async with connected(binance) as api:
        assert await api.result("ping") == {} and "serverTime" in await api.result("time")
        assert (await api.result("ticker.24hr", {"symbol": SYMBOL}))["lastPrice"] == "60000.00000000"
        for method, (path, fields) in same.items():
            answer, wanted = (
                await api.result(method, fields),
                await client.public(f"/api/v3/{path}", **fields),
            )
            if isinstance(answer, dict):
                answer, wanted = (
                    {k: v for k, v in one.items() if k not in moving} for one in (answer, wanted)
                )
            assert answer == wanted, method
        for method, (path, fields) in private.items():
            wanted = await client.signed("GET", f"/api/v3/{path}", **fields)
            assert await api.result(method, signed(client, **fields)) == wanted, method
        assert await api.result("v3/ping") == {}


async def test_orders_are_placed_tested_amended_replaced_and_cancelled(binance: World) -> None:
    client = binance.demo
    async with connected(binance) as api:
        answer = await api.call("order.place", signed(client, **ORDER, newClientOrderId="ws"))
        assert answer["result"]["status"] == "NEW"
        kinds = [(row["rateLimitType"], row["interval"], row["count"]) for row in answer["rateLimits"]]
        assert (
            kinds[:2] == [("ORDERS", "SECOND", 1), ("ORDERS", "DAY", 1)] and kinds[2][0] == "REQUEST_WEIGHT"
        )
        assert await api.result("order.test", signed(client, **ORDER)) == {}
        amended = await api.result(
            "order.amend.keepPriority", signed(client, symbol=SYMBOL, origClientOrderId="ws", newQty="0.05")
        )
        number = amended["amendedOrder"]["orderId"]
        fields = {**ORDER, "cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrderId": number}
        body = await api.result("order.cancelReplace", signed(client, **fields))
        fresh = body["newOrderResponse"]["orderId"]
        assert await api.code("order.cancelReplace", signed(client, **fields)) == (400, -2022)
        assert (await api.result("order.cancel", signed(client, symbol=SYMBOL, orderId=fresh)))[
            "status"
        ] == "CANCELED"
        assert await api.code("order.cancel", signed(client, symbol=SYMBOL, orderId=fresh)) == (400, -2011)
        await api.result("order.place", signed(client, **ORDER))
        assert len(await api.result("openOrders.cancelAll", signed(client, symbol=SYMBOL))) == 1


async def test_what_is_no_request_is_answered(binance: World) -> None:
    async with connected(binance) as api:
        for text in (
            "{",
            "[]",
            '{"id":1}',
            '{"id":{},"method":"ping"}',
            '{"id":1,"method":"ping","params":[1]}',
        ):
            await api.socket.send_str(text)
            frame = await api.frame()
            assert (frame["status"], frame["error"]["code"]) == (400, -1135), text
        assert await api.code("order.guess") == (400, -1020)
        assert await api.code("userDataStream.start") == (410, -1020)
        assert await api.code("depth") == (400, -1102)
        assert await api.code("order.place", ORDER) == (400, -1102)
        wrong = signed(binance.demo, **ORDER) | {"price": "1"}
        assert await api.code("order.place", wrong) == (400, -1022)
        assert await api.code("order.place", signed(binance.demo, **ORDER) | {"apiKey": "x"}) == (401, -2015)


async def test_rate_limits_are_shown_unless_nobody_wants_them(binance: World) -> None:
    async with connected(binance) as api:
        assert "rateLimits" in await api.call("ping")
        assert "rateLimits" not in await api.call("ping", {"returnRateLimits": False})
    async with connected(binance, "?returnRateLimits=false") as api:
        assert "rateLimits" not in await api.call("ping")
        assert "rateLimits" in await api.call("ping", {"returnRateLimits": True})


async def test_a_session_stands_for_its_key_until_it_ends(binance: World) -> None:
    client = binance.edwards("demo")
    async with connected(binance) as api:
        assert (await api.result("session.status"))["apiKey"] is None
        assert await api.code("session.logon", signed(binance.demo)) == (400, -4056)
        assert await api.code("userDataStream.subscribe") == (401, -2015)
        status = await api.result("session.logon", signed(client))
        assert status["apiKey"] == client.key.key and not status["userDataStream"]
        placed = await api.result("order.place", ORDER | {"timestamp": client.stamp()})
        assert placed["status"] == "NEW"
        assert await api.code("order.place", ORDER) == (400, -1102)
        assert await api.code("order.place", ORDER | {"timestamp": client.stamp() - 10_000}) == (400, -1021)
        assert await api.result("userDataStream.subscribe") == {"subscriptionId": 0}
        assert (await api.result("session.status"))["userDataStream"]
        await api.result(
            "order.cancel", {"symbol": SYMBOL, "orderId": placed["orderId"], "timestamp": client.stamp()}
        )
        assert (await api.event(lambda event: event["e"] == "executionReport"))["x"] == "CANCELED"
        # a key that is taken away ends its session and its events
        binance.exchange.keys.remove(client.key.key)
        assert await api.code("order.place", ORDER | {"timestamp": client.stamp()}) == (401, -2015)
        assert (await api.event(lambda event: event["e"] == "eventStreamTerminated"))["E"]
        assert (await api.result("session.status"))["apiKey"] is None


async def test_a_session_is_left(binance: World) -> None:
    client = binance.edwards("demo")
    async with connected(binance) as api:
        await api.result("session.logon", signed(client))
        assert (await api.result("session.logout"))["apiKey"] is None
        assert await api.code("account.status", {"timestamp": client.stamp()}) == (400, -1102)


REPORT = set("eEscSofqpPFgCxXriltzLnNTIwmMOZYQWV")


async def test_every_change_of_an_order_is_reported_in_full(binance: World) -> None:
    async with connected(binance) as api:
        assert await api.result("userDataStream.subscribe.signature", signed(binance.demo)) == {
            "subscriptionId": 0
        }
        placed = await binance.demo.order("SELL", "60000", "0.5", newClientOrderId="mine")
        await binance.other.order("BUY", "60000", "0.2")
        amended = await binance.demo.signed(
            "PUT", "/api/v3/order/amend/keepPriority", symbol=SYMBOL, orderId=placed["orderId"], newQty="0.4"
        )
        name = amended["amendedOrder"]["clientOrderId"]
        await binance.demo.signed(
            "DELETE", "/api/v3/order", symbol=SYMBOL, orderId=placed["orderId"], newClientOrderId="stop"
        )
        reports = [await api.event(lambda event: event["e"] == "executionReport") for _ in range(4)]
        assert [(one["x"], one["X"]) for one in reports] == [
            ("NEW", "NEW"),
            ("TRADE", "PARTIALLY_FILLED"),
            ("REPLACED", "PARTIALLY_FILLED"),
            ("CANCELED", "CANCELED"),
        ]
        assert all(set(one) >= REPORT and one["i"] == placed["orderId"] for one in reports)
        assert [one["c"] for one in reports] == ["mine", "mine", name, "stop"]
        assert [one["C"] for one in reports] == ["", "", "", name]
        trade = reports[1]
        assert (trade["l"], trade["L"], trade["z"], trade["Z"], trade["Y"], trade["m"], trade["t"]) == (
            "0.20000000",
            "60000.00000000",
            "0.20000000",
            "12000.00000000",
            "12000.00000000",
            True,
            1,
        )
        assert (trade["n"], trade["N"]) == ("12.00000000", "USDT")
        assert [one["I"] for one in reports] == sorted({one["I"] for one in reports})


async def test_balances_are_told_behind_every_change(binance: World) -> None:
    async with connected(binance) as api:
        await api.result("userDataStream.subscribe.signature", signed(binance.demo))
        await binance.demo.order("BUY", "59000", "1")
        event = await api.event(lambda event: event["e"] == "outboundAccountPosition")
        assert set(event) == {"e", "E", "u", "B"}
        [row] = event["B"]
        account = await binance.demo.signed("GET", "/api/v3/account")
        [wanted] = [one for one in account["balances"] if one["asset"] == row["a"]]
        assert (row["f"], row["l"]) == (wanted["free"], wanted["locked"])


async def test_a_deposit_is_told(binance: World) -> None:
    async with connected(binance) as api:
        await api.result("userDataStream.subscribe.signature", signed(binance.demo))
        exchange = binance.exchange
        data = build.deposit(
            principal=exchange.parties.key("system"),
            account=derive_account_id(exchange.parties.key("demo")),
            asset=exchange.listed.assets["ETH"],
            amount=1_500_000,
            external_id=b"r" * 32,
        )
        [result] = await exchange.node.submit([data])
        assert result.accepted
        event = await api.event(lambda event: event["e"] == "balanceUpdate")
        assert (event["a"], event["d"]) == ("ETH", "1.50000000")


async def test_a_trigger_that_fires_is_reported(binance: World) -> None:
    await binance.still_book()
    await binance.other.order("BUY", "58000", "1")
    async with connected(binance) as api:
        await api.result("userDataStream.subscribe.signature", signed(binance.demo))
        stop = await binance.demo.signed(
            "POST", "/api/v3/order", symbol=SYMBOL, side="SELL", type="STOP_LOSS_LIMIT", quantity="0.1",
            price="58000", stopPrice="59900", timeInForce="GTC",
        )  # fmt: skip
        first = await api.event(lambda event: event.get("i") == stop["orderId"])
        assert (first["x"], first["w"], "W" in first, first["P"]) == ("NEW", False, False, "59900.00000000")
        await binance.demo.order("SELL", "59900", "0.1")
        fired = await api.event(lambda event: event.get("i") == stop["orderId"])
        assert (fired["x"], fired["w"], "W" in fired) == ("NEW", True, True)
        done = await api.event(lambda event: event.get("i") == stop["orderId"])
        assert (done["x"], done["X"]) == ("TRADE", "FILLED")


async def pair(world: World, **more: Any) -> dict[str, Any]:
    return await world.demo.signed(
        "POST", "/api/v3/orderList/oco", symbol=SYMBOL, side="SELL", quantity="0.1",
        aboveType="LIMIT_MAKER", abovePrice="61000", belowType="STOP_LOSS_LIMIT",
        belowPrice="58000", belowStopPrice="58500", belowTimeInForce="GTC", **more,
    )  # fmt: skip


async def test_a_pair_is_told_and_one_leg_ends_the_other(binance: World) -> None:
    await binance.still_book()
    async with connected(binance) as api:
        await api.result("userDataStream.subscribe.signature", signed(binance.demo))
        body = await pair(
            binance, listClientOrderId="both", aboveClientOrderId="up", belowClientOrderId="down"
        )
        assert {row["clientOrderId"] for row in body["orders"]} == {"up", "down"}
        assert all(row["orderListId"] == body["orderListId"] for row in body["orderReports"])
        started = await api.event(lambda event: event["e"] == "listStatus")
        assert (started["l"], started["L"], started["C"]) == ("EXEC_STARTED", "EXECUTING", "both")
        refusal = await binance.demo.refused(
            "POST", "/api/v3/orderList/oco", symbol=SYMBOL, side="SELL", quantity="0.1",
            aboveType="LIMIT_MAKER", abovePrice="61000", belowType="STOP_LOSS",
                belowStopPrice="58500", listClientOrderId="both",
        )  # fmt: skip
        assert refusal == (400, -2010, "Duplicate order sent.")
        await binance.other.signed("DELETE", "/api/v3/openOrders", symbol=SYMBOL)
        await binance.other.order("BUY", "61000", "2")
        ended = await api.event(lambda event: event["e"] == "executionReport" and event["x"] == "EXPIRED")
        assert (ended["c"], ended["g"]) == ("down", body["orderListId"])
        assert (await api.event(lambda event: event["e"] == "listStatus"))["l"] == "ALL_DONE"
        listed = await binance.demo.signed("GET", "/api/v3/orderList", orderListId=body["orderListId"])
        assert listed["listStatusType"] == "ALL_DONE"
        assert await binance.demo.signed("GET", "/api/v3/openOrderList") == []
        assert len(await binance.demo.signed("GET", "/api/v3/allOrderList")) == 1


async def test_a_pair_is_cancelled_as_a_whole(binance: World) -> None:
    await binance.still_book()
    body = await pair(binance)
    number = body["orders"][0]["orderId"]
    gone = await binance.demo.signed("DELETE", "/api/v3/order", symbol=SYMBOL, orderId=number)
    assert (
        gone["listOrderStatus"] == "ALL_DONE"
        and [row["status"] for row in gone["orderReports"]] == ["CANCELED"] * 2
    )
    body = await pair(binance)
    gone = await binance.demo.signed(
        "DELETE", "/api/v3/orderList", symbol=SYMBOL, orderListId=body["orderListId"]
    )
    assert [row["status"] for row in gone["orderReports"]] == ["CANCELED"] * 2
    assert await binance.demo.signed("GET", "/api/v3/openOrders") == []
    refusal = await binance.demo.refused(
        "DELETE", "/api/v3/orderList", symbol=SYMBOL, orderListId=body["orderListId"]
    )
    assert refusal[1] == -2011
    assert (await binance.demo.refused("GET", "/api/v3/orderList", orderListId=99))[1] == -2018


PAIRS = [
    ({"abovePrice": "59000"}, -2010),
    ({"belowStopPrice": "60500"}, -2010),
    ({"side": "BUY"}, -1165),
    ({"aboveType": "STOP_LOSS", "abovePrice": None, "aboveStopPrice": "61000"}, -1197),
    ({"belowType": "LIMIT_MAKER", "belowStopPrice": None, "belowTimeInForce": None}, -1168),
    ({"belowType": "TAKE_PROFIT_LIMIT"}, -1199),
    ({"belowType": "MARKET"}, -1158),
    ({"belowStopPrice": None}, -1102),
    ({"quantity": None}, -1102),
    ({"quantity": "60"}, -2010),
]


@pytest.mark.parametrize(("change", "code"), PAIRS, ids=str)
async def test_a_wrong_pair_leaves_nothing_behind(binance: World, change: dict[str, Any], code: int) -> None:
    await binance.still_book()
    fields = {
        "symbol": SYMBOL, "side": "SELL", "quantity": "0.1", "aboveType": "LIMIT_MAKER",
        "abovePrice": "61000", "belowType": "STOP_LOSS_LIMIT", "belowPrice": "58000",
        "belowStopPrice": "58500", "belowTimeInForce": "GTC",
        **change,
    }  # fmt: skip
    kept = {name: value for name, value in fields.items() if value is not None}
    assert (await binance.demo.refused("POST", "/api/v3/orderList/oco", **kept))[1] == code
    assert binance.exchange.orders("demo", working=True) == []


async def test_the_older_form_of_a_pair_works(binance: World) -> None:
    await binance.still_book()
    body = await binance.demo.signed(
        "POST", "/api/v3/order/oco", symbol=SYMBOL, side="BUY", quantity="0.1", price="59000",
        stopPrice="61000", stopLimitPrice="61500", stopLimitTimeInForce="GTC",
    )  # fmt: skip
    assert [row["type"] for row in body["orderReports"]] == ["STOP_LOSS_LIMIT", "LIMIT_MAKER"]


async def test_subscriptions_are_separate_and_end_alone(binance: World) -> None:
    async with connected(binance) as api:
        assert await api.result("userDataStream.subscribe.signature", signed(binance.demo)) == {
            "subscriptionId": 0
        }
        assert await api.result("userDataStream.subscribe.signature", signed(binance.other)) == {
            "subscriptionId": 1
        }
        assert await api.result("session.subscriptions") == [{"subscriptionId": 0}, {"subscriptionId": 1}]
        assert await api.result("userDataStream.unsubscribe", {"subscriptionId": 0}) == {}
        await binance.demo.order("BUY", "59000", "0.1")
        await binance.other.order("BUY", "59001", "0.1")
        event = await api.event(lambda event: event["e"] == "executionReport")
        assert event["p"] == "59001.00000000"
        assert await api.code("userDataStream.unsubscribe", {"subscriptionId": 7}) == (400, -1130)
        assert await api.result("userDataStream.unsubscribe") == {}
        assert await api.result("session.subscriptions") == []


async def test_a_defect_in_the_events_of_an_account_ends_the_connections_that_hear_them(
    binance: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(binance) as api, asyncio.timeout(DEADLINE_S):
        await api.result("userDataStream.subscribe.signature", signed(binance.demo))
        with monkeypatch.context() as broken:
            broken.setattr("tradewind.gateways.binance.user_events.account_position", None)
            await binance.demo.order("BUY", "59000", "0.1")
        while (message := await api.socket.receive()).type is aiohttp.WSMsgType.TEXT:
            pass
        assert message.type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}
    # who comes back hears again
    async with connected(binance) as api:
        await api.result("userDataStream.subscribe.signature", signed(binance.demo))
        await binance.demo.order("BUY", "59001", "0.1")
        assert (await api.event(lambda event: event["e"] == "executionReport"))["p"] == "59001.00000000"


async def test_a_key_that_may_not_read_hears_nothing(binance: World) -> None:
    blind = binance.client("demo", rights=(Right.TRADE,))
    async with connected(binance) as api:
        assert await api.code("userDataStream.subscribe.signature", signed(blind)) == (401, -2015)


async def test_many_requests_at_once_are_all_answered_in_the_order_of_their_effect(binance: World) -> None:
    async with connected(binance) as api:
        for number in range(60):
            params = signed(binance.demo, **(ORDER | {"price": str(58_000 + number)}))
            body = {"id": number, "method": "order.place", "params": params}
            await api.socket.send_str(msgspec.json.encode(body).decode())
        answers = {}
        while len(answers) < 60:
            frame = await api.frame()
            assert frame["status"] == 200, frame
            answers[frame["id"]] = frame["result"]["orderId"]
    numbers = [answers[number] for number in range(60)]
    created = {order.order_id: order.created_ns for order in binance.exchange.orders("demo", working=True)}
    assert [created[number] for number in numbers] == sorted(created[number] for number in numbers)


def test_the_methods_of_the_venue_are_all_there() -> None:
    wanted = """ping time exchangeInfo depth ticker.24hr ticker.price ticker.book ticker ticker.tradingDay
        order.place order.test order.cancel order.cancelReplace order.amend.keepPriority order.status
        openOrders.status openOrders.cancelAll allOrders myTrades account.status"""
    assert set(wanted.split()) <= set(SOCKET_CALLS)
