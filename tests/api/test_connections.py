"""Connections that never finish their request, against a real server on a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.protocols.http.h11_impl import H11Protocol

from tradewind.api import connection
from tradewind.api.connection import TOO_LATE, bounded

DEADLINE_S = 0.4
PATIENCE_S = 10.0
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture(autouse=True, params=[AutoHTTPProtocol, H11Protocol], ids=["usual", "h11"])
def protocol(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both parsers that the server may find on a machine."""
    monkeypatch.setattr(connection, "AutoHTTPProtocol", request.param)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the body; `/slow` takes three deadlines over it. WebSockets echo."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        return
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message.get("more_body", False)
    if scope["path"] == "/slow":
        await asyncio.sleep(3 * DEADLINE_S)
    length = str(len(body)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving(
    deadline_s: float = DEADLINE_S, max_connections: int = 192
) -> AsyncIterator[tuple[int, Any]]:
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    config = uvicorn.Config(
        app,
        http=bounded(deadline_s, max_connections),
        lifespan="off",
        log_config=None,
        limit_concurrency=256,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[assignment]
    task = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:  # noqa: ASYNC110 the server has no event for it
        await asyncio.sleep(0.005)
    try:
        yield listening.getsockname()[1], server
    finally:
        server.should_exit = True
        await task


async def sent(port: int, text: bytes) -> Stream:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text)
    await writer.drain()
    return reader, writer


async def rest(stream: Stream) -> bytes:
    """Everything until the server closes; nothing when it resets."""
    try:
        return await asyncio.wait_for(stream[0].read(), PATIENCE_S)
    except ConnectionError:
        return b""
    finally:
        stream[1].close()


async def status(port: int, path: bytes = b"/") -> int:
    request = b"GET " + path + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    return int((await rest(await sent(port, request))).split(b" ")[1])


async def test_a_new_client_is_served_at_once_while_three_hundred_never_finish_their_request() -> None:
    async with serving(deadline_s=60.0) as (port, server):
        half_open = [await sent(port, b"GET / HTTP/1.1\r\nhost: x\r\n") for _ in range(300)]
        assert [await asyncio.wait_for(status(port), 2.0) for _ in range(5)] == [200] * 5
        assert len(server.server_state.connections) <= 192
        for _, writer in half_open:
            writer.close()


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET / HTTP/1.1\r\nhost: x\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc",
    ],
    ids=["nothing", "header", "body"],
)
async def test_what_does_not_arrive_whole_in_time_is_refused_and_closed(begun: bytes) -> None:
    async with serving() as (port, _):
        clock = asyncio.get_running_loop().time
        begin = clock()
        assert await rest(await sent(port, begun)) == TOO_LATE
        assert DEADLINE_S * 0.9 <= clock() - begin < PATIENCE_S


async def test_bytes_that_trickle_in_do_not_move_the_deadline() -> None:
    async with serving() as (port, _):
        stream = await sent(port, b"GET / HTTP/1.1\r\n")
        finished = asyncio.create_task(stream[0].read())
        for number in range(200):
            if finished.done():
                break
            with contextlib.suppress(ConnectionError):
                stream[1].write(b"x-%d: y\r\n" % number)
            await asyncio.sleep(DEADLINE_S / 10)
        assert number < 30
        with contextlib.suppress(ConnectionError):
            assert await finished == TOO_LATE
        stream[1].close()


async def test_the_second_request_of_a_connection_has_a_deadline_too() -> None:
    async with serving() as (port, _):
        stream = await sent(port, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b" 200 " in await stream[0].readuntil(b"\r\n\r\n")
        await asyncio.sleep(2 * DEADLINE_S)
        stream[1].write(b"GET / HTTP/1.1\r\n")
        assert await rest(stream) == TOO_LATE


async def test_an_answer_may_take_longer_than_the_deadline_of_its_request() -> None:
    async with serving(max_connections=2) as (port, _):
        slow = asyncio.create_task(status(port, b"/slow"))
        await asyncio.sleep(DEADLINE_S / 4)
        idle = [await sent(port, b"GET") for _ in range(5)]
        assert await slow == 200, "a connection that is being answered is never the one that goes"
        assert await status(port) == 200
        for _, writer in idle:
            writer.close()


async def test_a_websocket_outlives_the_deadline() -> None:
    websockets = pytest.importorskip("websockets")
    async with serving() as (port, _), websockets.connect(f"ws://127.0.0.1:{port}/") as socket_:
        await asyncio.sleep(2 * DEADLINE_S)
        await socket_.send("still here")
        assert await asyncio.wait_for(socket_.recv(), PATIENCE_S) == "still here"
