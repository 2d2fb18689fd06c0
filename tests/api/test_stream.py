"""The WebSocket of the API on a real socket: numbers without holes, replay, who may hear what, and bounds."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from conformance.native_world import READ_TOKEN, TRADE_TOKEN, NativeWorld

from tradewind.api import activity, stream
from tradewind.api import requests as req
from tradewind.api.problems import ApiFailure
from tradewind.api.stream import book_checksum
from tradewind.api.trading_reads import RATE_CLASSES

FUNDS = {name: {"USDT": Decimal(100_000), "BTC": Decimal(10)} for name in ("alice", "bob")}
DEADLINE_S = 10.0


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[NativeWorld]:
    one = await NativeWorld.open(tmp_path)
    await one.market("BTC", "USDT", FUNDS)
    yield one
    await one.stop()


class Client:
    """Hears frames as documents."""

    def __init__(self, world: NativeWorld, token: str = READ_TOKEN) -> None:
        self.world, self.token = world, token
        self.frames: list[dict[str, Any]] = []

    async def __aenter__(self) -> Client:
        self.session = aiohttp.ClientSession()
        headers = {"Authorization": f"Bearer {self.token}"}
        self.socket = await self.session.ws_connect(f"{self.world.url}/api/v1/stream", headers=headers)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.socket.close()
        await self.session.close()

    async def say(self, **wish: Any) -> None:
        await self.socket.send_json(wish)

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(DEADLINE_S):
            frame: dict[str, Any] = await self.socket.receive_json()
        self.frames.append(frame)
        return frame

    async def take(self, count: int, kind: str) -> list[dict[str, Any]]:
        """So many frames of a kind."""
        found: list[dict[str, Any]] = []
        while len(found) < count:
            frame = await self.next()
            if frame["type"] == kind:
                found.append(frame)
        return found

    async def subscribed(self, **wish: Any) -> dict[str, Any]:
        await self.say(op="subscribe", id=7, **wish)
        frame = await self.next()
        assert (frame["type"], frame["id"]) == ("subscribed", 7), frame
        return frame


async def get(world: NativeWorld, path: str, token: str = READ_TOKEN) -> Any:
    headers = {"Authorization": f"Bearer {token}"}
    url = f"{world.url}/api/v1{path}"
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        return await answer.json()


async def order(world: NativeWorld, account: str, side: str, size: str = "0.01", **more: Any) -> None:
    await world.place(account, "BTC/USDT", side, "60000", size, **more)


async def test_events_of_an_account_have_no_holes_and_can_be_heard_again(world: NativeWorld) -> None:
    async with Client(world) as first:
        began = await first.subscribed(channel="account", account="alice")
        await order(world, "alice", "buy", "0.03")
        await order(world, "bob", "sell")
        await world.cancel_all("alice")
        last = (await get(world, "/accounts/alice/trading"))["number"]
        events = await first.take(last - began["number"], "event")
        assert [one["number"] for one in events] == list(range(began["number"] + 1, last + 1))
        orders = [one["order"]["status"] for one in events if one["what"] in {"order", "fill"}]
        assert orders == ["open", "partial", "cancelled"]
        [fill] = [one for one in events if one["what"] == "fill"]
        assert (fill["price"], fill["size"], fill["maker"], fill["trade"]) == ("60000", "0.01", True, 1)
        funds = [one for one in events if one["what"] == "funds"]
        assert {one["asset"] for one in funds} == {"USDT", "BTC"}
    for after in (0, began["number"], last - 1):
        async with Client(world) as again:
            await again.subscribed(channel="account", account="alice", after=after)
            heard = await again.take(last - after, "event")
            assert heard[-len(events) :] == events[-len(heard) :]
            assert [one["number"] for one in heard] == list(range(after + 1, last + 1))


async def test_numbers_and_events_are_the_same_after_a_restart(world: NativeWorld) -> None:
    await order(world, "alice", "buy", "0.03")
    await order(world, "bob", "sell")
    before = await get(world, "/accounts/alice/fills")
    async with Client(world) as client:
        last = (await client.subscribed(channel="account", account="alice", after=0))["number"]
        events = await client.take(last, "event")
    await world.restart()
    async with Client(world) as client:
        assert (await client.subscribed(channel="account", account="alice", after=0))["number"] == last
        assert await client.take(last, "event") == events
    assert await get(world, "/accounts/alice/fills") == before


async def test_forgotten_events_are_refused_and_a_reader_that_lags_too_far_is_told(
    world: NativeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = world.views.activity.of(world.directory.account("alice").account)
    one.events = type(one.events)(one.events, maxlen=4)
    for _ in range(4):
        await order(world, "alice", "buy")
    async with Client(world) as client:
        await client.say(op="subscribe", id=1, channel="account", account="alice", after=0)
        refused = await client.next()
        assert (refused["type"], refused["name"]) == ("refused", "EVENTS_GONE")
        await client.say(op="subscribe", id=2, channel="account", account="alice", after=one.number + 1)
        assert (await client.next())["name"] == "EVENTS_GONE", "the future is not kept either"
        await client.subscribed(channel="account", account="alice")
        # All at once, in one step of the loop: nothing can be written in between.
        monkeypatch.setattr(activity, "EVENTS_KEPT", 4)
        told = one.events[-1]
        for _ in range(8):
            one.number += 1
            one.events.append(type(told)(**{**_fields(told), "number": one.number}))
        for listener in one.listeners:
            listener()
        [gone] = await client.take(1, "gone")
        assert gone["number"] == one.number


def _fields(told: Any) -> dict[str, Any]:
    return {name: getattr(told, name) for name in told.__struct_fields__}


async def test_a_book_begins_with_a_snapshot_and_goes_on_without_a_hole(world: NativeWorld) -> None:
    await order(world, "alice", "buy")
    async with Client(world, TRADE_TOKEN) as client:
        await client.subscribed(channel="book", market="BTC-USDT")
        [snapshot] = await client.take(1, "snapshot")
        assert (snapshot["bids"], snapshot["asks"]) == ([["60000", "0.01"]], [])
        assert snapshot["checksum"] == book_checksum([(600_000, 100)], [])
        await client.subscribed(channel="trades", market="0")
        await order(world, "bob", "sell", "0.004")
        await order(world, "bob", "buy", "0.002")
        changes = await client.take(2, "book")
        assert [one["number"] for one in changes] == [snapshot["number"] + 1, snapshot["number"] + 2]
        assert [one["bids"] for one in changes] == [[["60000", "0.006"]], [["60000", "0.008"]]]
        [trade] = [one for one in client.frames if one["type"] == "trade"]
        assert (trade["number"], trade["price"], trade["size"], trade["side"]) == (
            1, "60000", "0.004", "sell"
        )  # fmt: skip
        await client.say(op="ping", id=9)
        pong = await client.next()
        [top] = pong["books"]
        assert (pong["type"], pong["id"], top["number"], top["bids"]) == (
            "pong", 9, changes[-1]["number"], [["60000", "0.008"]]
        )  # fmt: skip


async def test_nothing_is_heard_of_what_was_not_subscribed_or_was_given_up(world: NativeWorld) -> None:
    async with Client(world) as client:
        await client.subscribed(channel="account", account="alice")
        await client.say(op="unsubscribe", id=8, channel="account", account="alice")
        assert (await client.next())["type"] == "unsubscribed"
        await order(world, "alice", "buy")
        await order(world, "bob", "buy")
        await client.say(op="ping", id=1)
        assert (await client.next())["type"] == "pong"
    assert not world.views.activity.of(world.directory.account("alice").account).listeners


async def test_without_a_token_or_its_permission_there_is_no_stream(world: NativeWorld) -> None:
    async with aiohttp.ClientSession() as session:
        known = {"Authorization": f"Bearer {TRADE_TOKEN}"}
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(f"{world.url}/api/v1/streams", headers=known)
        for headers in ({}, {"Authorization": "Bearer " + "x" * 43}):
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect(f"{world.url}/api/v1/stream", headers=headers)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("{", "MALFORMED_REQUEST"),
        ("[]", "MALFORMED_REQUEST"),
        ('{"op": "buy"}', "MALFORMED_REQUEST"),
        ('{"op": "subscribe", "id": 1}', "MALFORMED_REQUEST"),
        ('{"op": "subscribe", "channel": "account"}', "MALFORMED_REQUEST"),
        ('{"op": "subscribe", "channel": "account", "account": "nobody"}', "ACCOUNT_NOT_FOUND"),
        ('{"op": "subscribe", "channel": "book", "market": "NO/SUCH"}', "MARKET_NOT_FOUND"),
    ],
)
async def test_a_wish_that_cannot_be_granted_is_refused_by_name(
    world: NativeWorld, text: str, name: str
) -> None:
    async with Client(world) as client:
        await client.socket.send_str(text)
        frame = await client.next()
        assert (frame["type"], frame["name"]) == ("refused", name)
        await client.say(op="ping")
        assert (await client.next())["type"] == "pong"


async def test_large_messages_and_floods_end_the_connection(
    world: NativeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Client(world) as client:
        await client.socket.send_str('"' + "x" * stream.MAX_MESSAGE_BYTES + '"')
        assert (await client.socket.receive()).data == stream.POLICY_VIOLATION
    async with Client(world) as client:
        for _ in range(stream.MAX_MESSAGES + 1):
            await client.say(op="ping")
        message = await client.socket.receive()
        while message.type is aiohttp.WSMsgType.TEXT:
            message = await client.socket.receive()
        assert message.data == stream.POLICY_VIOLATION
    monkeypatch.setattr(stream, "MAX_FRAMES", 3)
    async with Client(world) as client:
        await client.subscribed(channel="trades", market="0")
        one = world.views.changes.on_trade[0][0]
        await order(world, "alice", "buy")
        await order(world, "bob", "sell")
        trade = world.views.trades.tape(0).trades[-1]
        for _ in range(5):  # within one step of the loop, so nothing is written in between
            one(trade)
        message = await client.socket.receive()
        while message.type is aiohttp.WSMsgType.TEXT:
            message = await client.socket.receive()
        assert message.data == stream.TRY_AGAIN
    assert world.streams.cut_off == 1


async def test_more_streams_or_subscriptions_than_allowed_are_refused(
    world: NativeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "MAX_SUBSCRIPTIONS", 2)
    monkeypatch.setattr(stream, "MAX_STREAMS", 1)
    async with Client(world) as client:
        await client.subscribed(channel="trades", market="0")
        await client.subscribed(channel="account", account="alice")
        await client.say(op="subscribe", id=1, channel="account", account="bob")
        assert (await client.next())["name"] == "TOO_MANY_SUBSCRIPTIONS"
        await client.subscribed(channel="account", account="alice")
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await Client(world).__aenter__()


async def test_an_order_is_found_by_its_key_while_open_and_after_its_end(world: NativeWorld) -> None:
    empty = await get(world, "/accounts/alice/orders/k1")
    assert (empty["order"], empty["complete_since_ns"]) == (None, 0)
    await order(world, "alice", "buy", client_key="k1")
    found = (await get(world, "/accounts/alice/orders/k1"))["order"]
    assert (found["status"], bytes.fromhex(found["client_key"]).rstrip(b"\0")) == ("open", b"k1")
    await world.cancel_all("alice")
    # The list of ended orders is everybody's and short; an account remembers its own.
    world.views.orders._forget(world.views.orders.ended[-1])
    found = (await get(world, "/accounts/alice/orders/k1"))["order"]
    assert (found["status"], found["reason"]) == ("cancelled", "cancel_all")
    assert (await get(world, "/accounts/bob/orders/k1"))["order"] is None
    assert (await get(world, "/accounts/alice/orders/" + "k" * 17))["name"] == "BAD_CLIENT_KEY"


async def test_a_command_behind_its_validity_is_refused_and_does_nothing(world: NativeWorld) -> None:
    now_ns = world.node.now_ns()
    with pytest.raises(ApiFailure) as refusal:
        await order(world, "alice", "buy", valid_until_ns=now_ns - 1)
    assert refusal.value.problem.name == "COMMAND_EXPIRED"
    await order(world, "alice", "buy", valid_until_ns=now_ns + 60_000_000_000)
    [one] = (await get(world, "/accounts/alice/trading"))["orders"]
    cancel = req.CancelOrder(account="alice", valid_until_ns=now_ns - 1)
    with pytest.raises(ApiFailure) as refusal:
        await world.desk.cancel_order(one["order"], cancel)
    assert refusal.value.problem.name == "COMMAND_EXPIRED"
    assert len((await get(world, "/accounts/alice/trading"))["orders"]) == 1


async def test_cancel_all_names_what_it_ended_and_the_timer_its_deadline(world: NativeWorld) -> None:
    for number in range(100):
        await order(world, "alice", "buy", "0.0002", client_key=f"k{number}")
    done = await world.desk.cancel_all(req.CancelAll(account="alice"))
    keys = {bytes.fromhex(one).rstrip(b"\0").decode() for one in done.effect["cancelled"]}
    assert keys == {f"k{number}" for number in range(100)}
    armed = await world.desk.cancel_after(req.CancelAfter(account="alice", seconds=30))
    left_s = (armed.effect["deadline_ns"] - world.node.now_ns()) / 1e9
    assert 25 < left_s <= 30
    account = await get(world, "/accounts/alice/trading")
    assert account["switch_deadline_ns"] == armed.effect["deadline_ns"]
    off = await world.desk.cancel_after(req.CancelAfter(account="alice", seconds=0))
    assert off.effect["deadline_ns"] is None


async def test_executions_are_paged_and_filtered_and_say_what_they_may_lack(world: NativeWorld) -> None:
    for _ in range(5):
        await order(world, "alice", "buy")
        await order(world, "bob", "sell")
    everything = await get(world, "/accounts/alice/fills")
    numbers = [one["number"] for one in everything["fills"]]
    assert (len(numbers), everything["more"], everything["complete_after"]) == (5, False, 0)
    page = await get(world, f"/accounts/alice/fills?after={numbers[0]}&limit=2")
    assert ([one["number"] for one in page["fills"]], page["more"]) == (numbers[1:3], True)
    since = everything["fills"][3]["time_ns"]
    later = await get(world, f"/accounts/alice/fills?since_ns={since}")
    assert numbers[3:] == [one["number"] for one in later["fills"]][-2:]
    for query in ("after=-1", "after=x", "limit=0", "limit=1001", "since_ns=1e9"):
        assert (await get(world, f"/accounts/alice/fills?{query}"))["name"] == "PARAMETER_OUT_OF_BOUNDS"


async def test_what_is_kept_of_accounts_is_bounded_and_numbers_go_on(
    world: NativeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity, "ACCOUNTS_KEPT", 1)
    await order(world, "alice", "buy", client_key="gone")
    await world.cancel_all("alice")
    number = (await get(world, "/accounts/alice/trading"))["number"]
    await order(world, "bob", "buy")
    found = await get(world, "/accounts/alice/trading")
    assert found["number"] == number
    assert found["complete_since_ns"] > 0
    assert world.views.activity.of(found["account"]).first == number + 1


def test_the_published_rates_are_the_engines() -> None:
    text = Path(__file__).parents[2].joinpath("crates/engine/src/flow/rates.rs").read_text(encoding="utf-8")
    found = re.findall(
        r"\[Allowance::new\(([\d_]+), ([\d_]+)\), Allowance::new\(([\d_]+), ([\d_]+)\)\]", text
    )
    numbers = [tuple(int(one) for one in row) for row in found]
    assert [(row[:2], row[2:]) for row in numbers] == list(RATE_CLASSES)
