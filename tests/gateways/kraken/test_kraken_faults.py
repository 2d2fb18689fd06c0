"""Every fault of a plan has its effect on the Kraken gateway: what is executed, and what the client sees."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from kraken_world import World, until

from tradewind.gateways.faults import FRAME_FAULTS, Fault, Plan, Rule

WISH = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": "50000.0", "volume": "0.001"}
SOCKET_WISH = {
    "order_type": "limit",
    "side": "buy",
    "symbol": "BTC/USD",
    "order_qty": 0.001,
    "limit_price": 50000.0,
}
ADD = "*AddOrder"


def plan(world: World, action: Fault, name: str, **fields: Any) -> None:
    world.exchange.faults.replace(Plan(rules=(Rule(action=action, name=name, **fields),)))


def working(world: World) -> int:
    return len(world.exchange.orders("demo", working=True))


# ---- REST ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("when", "executed"), [("before", 0), ("after", 1)])
@pytest.mark.parametrize("status", [418, 429, 502, 520])
async def test_a_status_comes_without_the_venues_envelope(
    world: World, when: Any, executed: int, status: int
) -> None:
    plan(world, Fault.STATUS, ADD, status=status, when=when)
    answered, body = await world.demo.private_raw("AddOrder", WISH)
    assert answered == status and not body.startswith(b"{") and working(world) == executed


@pytest.mark.parametrize(("when", "executed"), [("before", 0), ("after", 1)])
async def test_a_reset_cuts_the_connection(world: World, when: Any, executed: int) -> None:
    plan(world, Fault.RESET, ADD, when=when)
    with pytest.raises(aiohttp.ClientError):
        await world.demo.private_raw("AddOrder", WISH)
    assert working(world) == executed


async def test_a_dropped_reply_is_executed(world: World) -> None:
    plan(world, Fault.DROP_REPLY, ADD, delay_ms=50)
    with pytest.raises(aiohttp.ClientError):
        await world.demo.private_raw("AddOrder", WISH)
    assert working(world) == 1


async def test_a_delay_only_delays(world: World) -> None:
    plan(world, Fault.DELAY, ADD, delay_ms=30)
    await world.demo.private("AddOrder", WISH)
    assert working(world) == 1


async def test_a_malformed_answer_is_executed(world: World) -> None:
    plan(world, Fault.MALFORMED, ADD)
    status, body = await world.demo.private_raw("AddOrder", WISH)
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)
    assert status == 200 and working(world) == 1


async def test_a_lost_order_is_acknowledged_and_never_found(world: World) -> None:
    plan(world, Fault.LOSE_ORDER, ADD)
    [txid] = (await world.demo.private("AddOrder", WISH))["txid"]
    assert working(world) == 0
    assert await world.demo.errors("QueryOrders", {"txid": txid}) == ["EOrder:Unknown order"]


async def test_a_stale_status_shows_an_order_as_it_began(world: World) -> None:
    txid = await world.demo.order("buy", "60000.0", "0.002")
    await world.other.order("sell", "60000.0", "0.001")
    plan(world, Fault.STALE_STATUS, "*QueryOrders", times=1)
    stale, fresh = [(await world.demo.private("QueryOrders", {"txid": txid}))[txid] for _ in range(2)]
    assert (stale["status"], stale["vol_exec"], fresh["vol_exec"]) == ("open", "0.00000", "0.00100")


async def test_an_unknown_state_is_one_that_nobody_knows(world: World) -> None:
    txid = await world.demo.order("buy", "60000.0")
    plan(world, Fault.UNKNOWN_ENUM, "*")
    assert (await world.demo.private("QueryOrders", {"txid": txid}))[txid]["status"] == "frozen"
    assert (await world.demo.public("SystemStatus"))["status"] == "frozen"


@pytest.mark.parametrize(
    ("action", "fields", "error"),
    [
        (Fault.MAINTENANCE, {}, "EService:Unavailable"),
        (Fault.CANCEL_ONLY, {}, "EService:Market in cancel_only mode"),
        (Fault.RATE_BAN, {}, "EAPI:Rate limit exceeded"),
        (Fault.MAINTENANCE, {"message": "EService:Busy"}, "EService:Busy"),
    ],
)
async def test_modes_and_bans_refuse_in_the_venues_words(
    world: World, action: Fault, fields: Any, error: str
) -> None:
    plan(world, action, ADD, **fields)
    assert await world.demo.errors("AddOrder", WISH) == [error] and working(world) == 0


async def test_a_ban_with_an_end_names_it(world: World) -> None:
    plan(world, Fault.RATE_BAN, ADD, seconds=30)
    [error] = await world.demo.errors("AddOrder", WISH)
    head, _, until = error.rpartition(" ")
    assert head == "EService:Throttled:" and 0 < int(until) - world.exchange.now_ns() // 10**9 <= 31


async def test_maintenance_shows_in_the_system_status(world: World) -> None:
    plan(world, Fault.MAINTENANCE, "*")
    assert (await world.demo.public("SystemStatus"))["status"] == "maintenance"


# ---- methods of the socket -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "fields", "error", "executed"),
    [
        (Fault.STATUS, {"when": "before"}, "EService:Unavailable", 0),
        (Fault.STATUS, {"when": "after"}, "EGeneral:Internal error", 1),
        (Fault.MAINTENANCE, {}, "EService:Unavailable", 0),
        (Fault.CANCEL_ONLY, {}, "EService:Market in cancel_only mode", 0),
        (Fault.RATE_BAN, {}, "EAPI:Rate limit exceeded", 0),
        (Fault.LOSE_ORDER, {}, None, 0),
        (Fault.DELAY, {"delay_ms": 10}, None, 1),
    ],
)
async def test_methods_meet_the_same_faults(
    world: World, action: Fault, fields: Any, error: str | None, executed: int
) -> None:
    token = await world.demo.token()
    plan(world, action, "add_order", surface="ws-api", **fields)
    async with world.demo.socket() as wire:
        await wire.request("add_order", 1, token=token, **SOCKET_WISH)
        assert (await wire.ack("add_order", 1)).get("error") == error
    assert working(world) == executed


@pytest.mark.parametrize("action", [Fault.DROP_REPLY, Fault.MALFORMED])
async def test_an_acknowledgement_that_does_not_come_was_executed(world: World, action: Fault) -> None:
    token = await world.demo.token()
    plan(world, action, "add_order", surface="ws-api")
    async with world.demo.socket() as wire:
        await wire.request("add_order", 1, token=token, **SOCKET_WISH)
        if action is Fault.MALFORMED:
            with pytest.raises(json.JSONDecodeError):
                await wire.ack("add_order", 1)
        else:
            await wire.request("ping", 2)
            await wire.ack("pong", 2)
            await until(lambda: working(world) == 1, "the order rests")
            assert not [one for one in wire.frames if one.get("req_id") == 1]
    await until(lambda: working(world) == 1, "the order rests")


@pytest.mark.parametrize(("when", "executed"), [("before", 0), ("after", 1)])
async def test_a_reset_of_a_method_ends_the_connection(world: World, when: Any, executed: int) -> None:
    token = await world.demo.token()
    plan(world, Fault.RESET, "add_order", surface="ws-api", when=when)
    async with world.demo.socket() as wire:
        await wire.request("add_order", 1, token=token, **SOCKET_WISH)
        with pytest.raises(AssertionError):
            await wire.ack("add_order", 1)
    await until(lambda: working(world) == executed, "it is executed or not")


async def test_an_unknown_state_shows_in_the_next_execution(world: World) -> None:
    token = await world.demo.token()
    plan(world, Fault.UNKNOWN_ENUM, "add_order", surface="ws-api", times=1)
    async with world.demo.socket() as wire:
        await wire.request("subscribe", 1, channel="executions", token=token)
        await wire.of("executions", "snapshot")
        await wire.request("add_order", 2, token=token, **SOCKET_WISH)
        first, second = await wire.of("executions"), await wire.of("executions")
        assert [one["data"][0]["order_status"] for one in (first, second)] == ["frozen", "new"]


# ---- frames ----------------------------------------------------------------------------------------------


async def texts_of_book(world: World, action: Fault) -> list[str]:
    """Frames of the book while three orders come, the second one met by a fault."""
    async with world.demo.socket() as wire:
        await wire.request("subscribe", 1, channel="book", symbol=["BTC/USD"])
        await wire.of("book", "snapshot")
        plan(world, action, "book", surface="stream", skip=1, times=1)
        for price in ("50001.0", "50002.0", "50003.0"):
            await world.demo.order("buy", price)
        world.exchange.faults.replace(Plan())
        await wire.request("ping", 2)
        try:
            await wire.ack("pong", 2)
        except json.JSONDecodeError:
            await wire.connection.receive()
    books = [text for text in wire.texts if '"book"' in text]
    return [text for text in books if '"update"' in text or text[-1] != "}"]


async def test_frames_are_dropped_doubled_swapped_cut_and_spoiled(world: World) -> None:
    def prices(texts: list[str]) -> list[float]:
        return [json.loads(text)["data"][0]["bids"][0]["price"] for text in texts]

    assert prices(await texts_of_book(world, Fault.DROP_FRAME)) == [50001, 50003]
    await world.demo.private("CancelAll")
    assert prices(await texts_of_book(world, Fault.DUPLICATE)) == [50001, 50002, 50002, 50003]
    await world.demo.private("CancelAll")
    assert prices(await texts_of_book(world, Fault.REORDER)) == [50001, 50003, 50002]
    await world.demo.private("CancelAll")
    good = [json.loads(text)["data"][0]["checksum"] for text in await texts_of_book(world, Fault.DELAY)]
    await world.demo.private("CancelAll")
    bad = [
        json.loads(text)["data"][0]["checksum"] for text in await texts_of_book(world, Fault.CORRUPT_CHECKSUM)
    ]
    assert [one == other for one, other in zip(good, bad, strict=True)] == [True, False, True]
    await world.demo.private("CancelAll")
    broken = [text for text in await texts_of_book(world, Fault.CORRUPT) if text[-1] != "}"]
    assert len(broken) == 1


async def test_a_stream_can_be_closed_at_a_frame(world: World) -> None:
    async with world.demo.socket() as wire:
        await wire.request("subscribe", 1, channel="book", symbol=["BTC/USD"])
        await wire.of("book", "snapshot")
        plan(world, Fault.CLOSE, "book", surface="stream")
        await world.demo.order("buy", "50001.0")
        async with asyncio.timeout(10):
            message = await wire.connection.receive()
        assert message.type is not aiohttp.WSMsgType.TEXT


def test_no_fault_is_left_out() -> None:
    tested = {
        Fault.DELAY,
        Fault.DROP_REPLY,
        Fault.RESET,
        Fault.STATUS,
        Fault.MALFORMED,
        Fault.UNKNOWN_ENUM,
        Fault.STALE_STATUS,
        Fault.LOSE_ORDER,
        Fault.MAINTENANCE,
        Fault.CANCEL_ONLY,
        Fault.RATE_BAN,
        *FRAME_FAULTS,
    }
    assert tested == set(Fault)
