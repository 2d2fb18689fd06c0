"""The frame that every gateway stands in: bounds, unknown calls, faults over HTTP and WebSockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import aiohttp
import msgspec
import pytest

from tradewind.gateways import sockets
from tradewind.gateways.exchange import Exchange
from tradewind.gateways.faults import Fault, Plan, Rule
from tradewind.gateways.server import (
    MAX_BODY_BYTES,
    Answer,
    Call,
    Gateway,
    Route,
    Socket,
    SocketRoute,
)

DEADLINE_S = 20.0


class Echo(Gateway):
    """A venue with one call and one socket."""

    venue = "echo"

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        self.executed = 0
        self.talking: list[Socket] = []

    def routes(self) -> Sequence[Route]:
        return [Route("POST", "/echo/{name}", self._echo), Route("GET", "/defect", self._defect)]

    def socket_routes(self) -> Sequence[SocketRoute]:
        return [SocketRoute("/socket", self._socket)]

    async def _echo(self, call: Call) -> Answer:
        self.executed += 1
        lost = call.wants(Fault.LOSE_ORDER) is not None
        row = [call.parameters["name"], call.raw_query, call.body.decode(), lost]
        return Answer(200, msgspec.json.encode(row), {"X-Weight": "3"})

    async def _defect(self, call: Call) -> Answer:
        raise ValueError("an inside that nobody must see")

    async def _socket(self, socket: Socket, call: Call) -> None:
        self.talking.append(socket)
        async for frame in socket:
            actions = await socket.before("echo")
            if actions is None:
                return
            self.executed += 1
            socket.reply(b'{"echo":' + frame + b"}", actions, "echo")


@pytest.fixture
async def echo(exchange: Exchange) -> AsyncIterator[Echo]:
    gateway = Echo(exchange)
    async with gateway:
        yield gateway


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=DEADLINE_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield session


def misbehave(gateway: Gateway, **fields: object) -> None:
    gateway.faults.replace(Plan(rules=(Rule(**fields),)))  # type: ignore[arg-type]


async def test_a_call_arrives_as_it_was_sent(echo: Echo, client: aiohttp.ClientSession) -> None:
    async with client.post(f"{echo.url}/echo/me?b=2&a=%20", data=b"body") as answer:
        assert await answer.json() == ["me", "b=2&a=%20", "body", False]
        assert (answer.status, answer.headers["X-Weight"]) == (200, "3")
    assert echo.requests == {("POST /echo/{name}", 200): 1}


async def test_an_unknown_call_is_refused_and_counted_by_path(
    echo: Echo, client: aiohttp.ClientSession
) -> None:
    for _ in range(2):
        async with client.get(f"{echo.url}/no/such") as answer:
            assert answer.status == 404
    async with client.get(f"{echo.url}/echo/me") as answer:
        assert answer.status == 404
    assert echo.unknown_calls == {"GET /no/such": 2, "GET /echo/me": 1}


async def test_a_body_beyond_the_bound_is_refused(echo: Echo, client: aiohttp.ClientSession) -> None:
    async with client.post(f"{echo.url}/echo/me", data=b"x" * (MAX_BODY_BYTES + 1)) as answer:
        assert answer.status == 413
    assert echo.executed == 0


async def test_a_defect_is_answered_without_its_text(echo: Echo, client: aiohttp.ClientSession) -> None:
    async with client.get(f"{echo.url}/defect") as answer:
        assert answer.status == 500 and "inside" not in await answer.text()


@pytest.mark.parametrize(("when", "executed"), [("before", 0), ("after", 1)])
async def test_a_status_comes_before_or_behind_the_execution(
    echo: Echo, client: aiohttp.ClientSession, when: str, executed: int
) -> None:
    misbehave(echo, action=Fault.STATUS, status=502, when=when, times=1)
    async with client.post(f"{echo.url}/echo/me") as answer:
        assert (answer.status, echo.executed) == (502, executed)
    async with client.post(f"{echo.url}/echo/me") as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    ("fields", "executed"),
    [
        ({"action": Fault.RESET, "when": "before"}, 0),
        ({"action": Fault.RESET, "when": "after"}, 1),
        ({"action": Fault.DROP_REPLY, "delay_ms": 1}, 1),
    ],
)
async def test_a_cut_request_has_no_answer(
    echo: Echo, client: aiohttp.ClientSession, fields: dict[str, object], executed: int
) -> None:
    misbehave(echo, **fields)
    with pytest.raises(aiohttp.ClientError):
        await client.post(f"{echo.url}/echo/me")
    assert echo.executed == executed


async def test_malformed_bytes_and_lost_orders(echo: Echo, client: aiohttp.ClientSession) -> None:
    misbehave(echo, action=Fault.MALFORMED, name="POST /echo/*")
    async with client.post(f"{echo.url}/echo/me") as answer:
        with pytest.raises(msgspec.DecodeError):
            msgspec.json.decode(await answer.read())
    misbehave(echo, action=Fault.LOSE_ORDER)
    async with client.post(f"{echo.url}/echo/me") as answer:
        assert (await answer.json())[-1] is True


async def test_frames_are_dropped_doubled_and_swapped(echo: Echo, client: aiohttp.ClientSession) -> None:
    async with client.ws_connect(f"{echo.url}/socket") as wire:
        misbehave(echo, action=Fault.DROP_FRAME, times=1)
        await wire.send_str("1")
        await wire.send_str("2")
        assert await wire.receive_json() == {"echo": 2}
        misbehave(echo, action=Fault.DUPLICATE, times=1)
        await wire.send_str("3")
        assert [await wire.receive_json() for _ in range(2)] == [{"echo": 3}] * 2
        misbehave(echo, action=Fault.REORDER, times=1)
        await wire.send_str("4")
        await wire.send_str("5")
        assert [await wire.receive_json() for _ in range(2)] == [{"echo": 5}, {"echo": 4}]
        misbehave(echo, action=Fault.CLOSE)
        await wire.send_str("6")
        message = await wire.receive(DEADLINE_S)
        assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.ERROR)


async def test_a_request_by_socket_may_stay_without_answer(echo: Echo, client: aiohttp.ClientSession) -> None:
    async with client.ws_connect(f"{echo.url}/socket") as wire:
        misbehave(echo, action=Fault.DROP_REPLY, surface="ws-api", times=1)
        await wire.send_str("1")
        await wire.send_str("2")
        assert await wire.receive_json() == {"echo": 2}
    assert echo.executed == 2


async def test_a_reader_that_is_too_slow_is_cut(
    echo: Echo, client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "MAX_FRAMES", 4)
    async with client.ws_connect(f"{echo.url}/socket") as wire:
        await wire.send_str("1")
        await wire.receive_json()
        [socket] = echo.talking
        for _ in range(5):
            socket.send(b"x")
        assert not socket.open and socket.closed_reason == "the reader is too slow"
        async with asyncio.timeout(DEADLINE_S):
            while (await wire.receive()).type != aiohttp.WSMsgType.CLOSED:
                pass


async def test_closing_ends_every_connection(exchange: Exchange, client: aiohttp.ClientSession) -> None:
    gateway = Echo(exchange)
    await gateway.start()
    wire = await client.ws_connect(f"{gateway.url}/socket")
    async with asyncio.timeout(DEADLINE_S):
        await gateway.close()
        await gateway.close()
        message = await wire.receive()
    assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.ERROR)
    assert not gateway.sockets
