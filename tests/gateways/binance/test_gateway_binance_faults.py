"""Every fault of the plan has an effect on the Binance wire, and the exchange stays as it should."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec
import pytest
from binance_world import SYMBOL, Client, World

from tradewind.gateways.faults import Fault, Plan, Rule

DEADLINE_S = 20
ORDER = {
    "symbol": SYMBOL,
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.1",
    "price": "59000",
}
PLACE = "POST /api/v3/order"


def plan(world: World, **fields: Any) -> None:
    world.exchange.faults.replace(Plan(rules=(Rule(**fields),)))


def working(world: World) -> int:
    return len(world.exchange.orders("demo", working=True))


async def settled(world: World, orders: int) -> None:
    """Waits for what was executed behind a reply that never came."""
    async with asyncio.timeout(DEADLINE_S):
        while working(world) < orders:  # noqa: ASYNC110 - the exchange has no event for a test to wait for
            await asyncio.sleep(0.01)


async def tried(client: Client) -> tuple[int, Any, Any]:
    return await client.raw("POST", "/api/v3/order", client.query(ORDER))


STATUSES = [
    (429, -1003, {}),
    (418, -1003, {}),
    (403, None, {}),
    (500, -1001, {}),
    (502, -1001, {}),
    (503, -1001, {}),
    (504, -1007, {}),
]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("status", "code", "_"), STATUSES)
async def test_a_status_comes_before_or_behind_the_execution(
    binance: World, status: int, code: int | None, _: dict, when: str
) -> None:
    plan(binance, action=Fault.STATUS, status=status, when=when, name=PLACE, times=1)
    found, body, headers = await tried(binance.demo)
    assert found == status
    if code is None:
        assert "403" in body and headers["Content-Type"].startswith("text/html")
    else:
        assert body["code"] == code
    if status in {429, 418}:
        assert int(headers["Retry-After"]) > 0
    assert working(binance) == (when == "after")


async def test_a_ban_lasts(binance: World) -> None:
    plan(binance, action=Fault.RATE_BAN, name=PLACE, times=1, seconds=0)
    found, body, headers = await tried(binance.demo)
    assert (found, body["code"], headers["Retry-After"]) == (418, -1003, "120")
    status, body, _ = await binance.demo.raw("GET", "/api/v3/ping")
    assert (status, body["code"]) == (418, -1003)


@pytest.mark.parametrize(
    ("action", "status", "code"), [(Fault.MAINTENANCE, 503, -1016), (Fault.CANCEL_ONLY, 400, -1013)]
)
async def test_maintenance_and_cancel_only_mode_refuse_orders(
    binance: World, action: Fault, status: int, code: int
) -> None:
    placed = await binance.demo.order("BUY", "59000", "0.1")
    plan(binance, action=action, name=PLACE)
    found, body, _ = await tried(binance.demo)
    assert (found, body["code"]) == (status, code)
    await binance.demo.signed("DELETE", "/api/v3/order", symbol=SYMBOL, orderId=placed["orderId"])
    assert working(binance) == 0


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_reset_comes_before_or_behind_the_execution(binance: World, when: str) -> None:
    plan(binance, action=Fault.RESET, when=when, name=PLACE, times=1)
    with pytest.raises(aiohttp.ClientError):
        await tried(binance.demo)
    assert working(binance) == (when == "after")


async def test_a_dropped_reply_is_executed_and_never_answered(binance: World) -> None:
    plan(binance, action=Fault.DROP_REPLY, name=PLACE, times=1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(tried(binance.demo), 0.5)
    await settled(binance, 1)


async def test_a_delayed_order_is_placed_when_its_window_holds_and_refused_when_not(binance: World) -> None:
    plan(binance, action=Fault.DELAY, delay_ms=300, name=PLACE)
    query = binance.demo.query({**ORDER, "recvWindow": 100})
    status, body, _ = await binance.demo.raw("POST", "/api/v3/order", query)
    assert (status, body["code"]) == (400, -1021) and working(binance) == 0
    assert (await tried(binance.demo))[0] == 200


async def test_a_malformed_reply_is_no_json_and_executed(binance: World) -> None:
    plan(binance, action=Fault.MALFORMED, name=PLACE, times=1)
    with pytest.raises(msgspec.DecodeError):
        await tried(binance.demo)
    assert working(binance) == 1


async def test_a_word_that_nobody_knows_stands_in_a_reply(binance: World) -> None:
    plan(binance, action=Fault.UNKNOWN_ENUM, name=PLACE, times=1)
    _, body, _ = await tried(binance.demo)
    assert body["status"] not in {"NEW", "FILLED", "CANCELED"} and working(binance) == 1


async def test_a_lost_order_is_acknowledged_and_does_not_exist(binance: World) -> None:
    plan(binance, action=Fault.LOSE_ORDER, name=PLACE, times=1)
    status, body, _ = await tried(binance.demo)
    assert (status, body["status"]) == (200, "NEW") and working(binance) == 0
    refusal = await binance.demo.refused("GET", "/api/v3/order", symbol=SYMBOL, orderId=body["orderId"])
    assert refusal[1] == -2013


async def test_a_lost_cancel_leaves_the_order_working(binance: World) -> None:
    placed = await binance.demo.order("BUY", "59000", "0.1")
    plan(binance, action=Fault.LOSE_ORDER, name="DELETE /api/v3/order", times=1)
    await binance.demo.signed("DELETE", "/api/v3/order", symbol=SYMBOL, orderId=placed["orderId"])
    assert working(binance) == 1


async def test_a_stale_answer_shows_an_order_as_it_was_accepted(binance: World) -> None:
    await binance.still_book()
    placed = await binance.demo.order("BUY", "60100", "0.1")
    assert placed["status"] == "FILLED"
    plan(binance, action=Fault.STALE_STATUS, name="GET /api/v3/order", times=1)
    reference = {"symbol": SYMBOL, "orderId": placed["orderId"]}
    seen = await binance.demo.signed("GET", "/api/v3/order", **reference)
    assert (seen["status"], seen["executedQty"]) == ("NEW", "0.00000000")
    assert (await binance.demo.signed("GET", "/api/v3/order", **reference))["status"] == "FILLED"


# ---- the WebSocket API -----------------------------------------------------------------------------


def request(client: Client, **more: Any) -> str:
    every = {"apiKey": client.key.key, "timestamp": client.stamp(), **ORDER, **more}
    text = urlencode(sorted((name, value) for name, value in every.items()))
    params = every | {"signature": client.signature(text.encode())}
    return msgspec.json.encode({"id": 1, "method": "order.place", "params": params}).decode()


SOCKET_FAULTS = [
    ({"action": Fault.STATUS, "status": 503, "when": "before"}, 503, 0),
    ({"action": Fault.STATUS, "status": 504, "when": "after"}, 504, 1),
    ({"action": Fault.STATUS, "status": 429}, 429, 0),
    ({"action": Fault.RATE_BAN}, 418, 0),
    ({"action": Fault.MAINTENANCE}, 503, 0),
    ({"action": Fault.CANCEL_ONLY}, 400, 0),
    ({"action": Fault.LOSE_ORDER}, 200, 0),
    ({"action": Fault.UNKNOWN_ENUM}, 200, 1),
    ({"action": Fault.DELAY, "delay_ms": 50}, 200, 1),
]


@pytest.mark.parametrize(("fields", "status", "orders"), SOCKET_FAULTS, ids=str)
async def test_a_request_by_socket_meets_the_same_faults(
    binance: World, fields: dict[str, Any], status: int, orders: int
) -> None:
    plan(binance, surface="ws-api", name="order.place", times=1, **fields)
    async with binance.socket("/ws-api/v3") as socket, asyncio.timeout(DEADLINE_S):
        await socket.send_str(request(binance.demo))
        frame = msgspec.json.decode((await socket.receive()).data)
    assert (frame["status"], working(binance)) == (status, orders), frame


@pytest.mark.parametrize(
    ("fields", "orders"),
    [
        ({"action": Fault.RESET, "when": "before"}, 0),
        ({"action": Fault.RESET, "when": "after"}, 1),
        ({"action": Fault.DROP_REPLY}, 1),
        ({"action": Fault.MALFORMED}, 1),
    ],
    ids=str,
)
async def test_a_reply_by_socket_is_cut_dropped_or_broken(
    binance: World, fields: dict[str, Any], orders: int
) -> None:
    plan(binance, surface="ws-api", name="order.place", times=1, **fields)
    async with binance.socket("/ws-api/v3") as socket, asyncio.timeout(DEADLINE_S):
        await socket.send_str(request(binance.demo))
        await socket.send_str('{"id":2,"method":"ping"}')
        while True:
            message = await socket.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                assert fields["action"] is Fault.RESET
                break
            try:
                frame = msgspec.json.decode(message.data)
            except msgspec.DecodeError:
                assert fields["action"] is Fault.MALFORMED
                break
            if frame["id"] == 2 and fields["action"] is Fault.DROP_REPLY:
                break
    await settled(binance, orders)
    assert working(binance) == orders


# ---- streams ---------------------------------------------------------------------------------------


async def events(world: World, count: int, **rule: Any) -> list[Any]:
    """Numbers of the trades that a stream tells of, under a rule; None for a frame that is no JSON."""
    async with world.socket("/ws/btcusdt@trade") as socket, asyncio.timeout(DEADLINE_S):
        await socket.send_str('{"method":"LIST_SUBSCRIPTIONS","id":1}')
        await socket.receive()
        plan(world, surface="stream", name="btcusdt@trade", **rule)
        for _ in range(5):
            await world.demo.order("BUY", "60100", "0.01")
        told: list[Any] = []
        while len(told) < count:
            message = await socket.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                return [*told, "closed"]
            try:
                told.append(msgspec.json.decode(message.data)["t"])
            except msgspec.DecodeError:
                told.append(None)
        return told


FRAMES = [
    (Fault.DROP_FRAME, [2, 4, 5, 6]),
    (Fault.DUPLICATE, [2, 3, 3, 4, 5, 6]),
    (Fault.REORDER, [2, 4, 3, 5, 6]),
    (Fault.CORRUPT, [2, None, 4, 5, 6]),
]


@pytest.mark.parametrize(("action", "told"), FRAMES)
async def test_frames_are_dropped_repeated_reordered_and_broken(
    binance: World, action: Fault, told: list[Any]
) -> None:
    await binance.still_book()
    assert await events(binance, len(told), action=action, skip=1, times=1) == told


async def test_a_stream_is_closed_by_the_plan(binance: World) -> None:
    await binance.still_book()
    told = await events(binance, 6, action=Fault.CLOSE, skip=2, times=1)
    assert told[-1] == "closed" and set(told[:-1]) <= {2, 3}
