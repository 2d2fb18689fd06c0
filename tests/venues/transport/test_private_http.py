"""An answer is whole or there is none; connections are kept, bounded, and never leak (T3.8)."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest
from raw_server import OK, RawServer

from tradewind.venues.transport.private_http import Answer, NoAnswer, PrivateHttp, encode


def sockets() -> int:
    found = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            found += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
        except OSError:
            continue
    return found


async def test_what_was_built_is_what_goes_out() -> None:
    async with RawServer() as server, PrivateHttp(server.url + "/base") as http:
        body = "a=1&b=%20ü".encode()
        answer = await http.request("POST", "/0/private/Balance?x=%3D", {"API-Key": "k"}, body)
        assert isinstance(answer, Answer) and answer.body == b"{}" and answer.received_ns >= answer.sent_ns
        head, _, sent = server.requests[0].partition(b"\r\n\r\n")
        assert head.split(b"\r\n")[0] == b"POST /base/0/private/Balance?x=%3D HTTP/1.1"
        assert sent == body and b"API-Key: k" in head and f"Content-Length: {len(body)}".encode() in head


async def test_connections_are_reused_bounded_and_none_is_left() -> None:
    before = sockets()
    async with RawServer() as server:
        baseline = sockets()
        async with PrivateHttp(server.url, max_connections=3) as http:
            for _ in range(20):
                answers = await asyncio.gather(*(http.request("GET", "/") for _ in range(10)))
                assert all(isinstance(one, Answer) for one in answers)
            assert server.connections == http.connects == http.open_connections <= 3
            assert http.reuse is not None and http.reuse >= 0.98
        async with asyncio.timeout(5):
            while sockets() > baseline or server.open:  # noqa: ASYNC110 the kernel tells nobody
                await asyncio.sleep(0.01)
        assert http.open_connections == 0
        assert await http.request("GET", "/") == NoAnswer(reason="Closed", sent=False)
    assert sockets() <= before + 1


BROKEN = [
    b"",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    b"HTTP/2 200\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 2x0 OK\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\n: nothing\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: strange\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}xx0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" * 9,
    b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"Content-Length: 2\r\n\r\n{}",
    b"X" * 70_000,
]


@pytest.mark.parametrize("answer", BROKEN, ids=range(len(BROKEN)))
async def test_an_answer_that_is_not_whole_is_none_and_may_have_been_executed(answer: bytes) -> None:
    async def reply(_: bytes, number: int) -> bytes | None:
        return OK if number else answer or None

    async with RawServer(reply) as server, PrivateHttp(server.url, max_connections=1) as http:
        server.close_after.add(0)
        broken = await http.request("POST", "/", {}, b"x", timeout_s=1.0)
        assert isinstance(broken, NoAnswer) and broken.sent
        after = await http.request("POST", "/", {}, b"y", timeout_s=5.0)
        assert isinstance(after, Answer), "the next request has a connection of its own"
        assert len(server.requests) == 2, "nothing is sent twice"


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"{}"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x\r\n{\r\n1\r\n}\r\n0\r\nT: 1\r\n\r\n",
            b"{}",
        ),
        (b"HTTP/1.0 503 Busy\r\nContent-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", b"{}"),
    ],
)
async def test_every_whole_answer_is_read_to_its_end(answer: bytes, body: bytes) -> None:
    async with RawServer(answer) as server, PrivateHttp(server.url, max_connections=1) as http:
        for _ in range(2):
            got = await http.request("GET", "/", timeout_s=5.0)
            assert isinstance(got, Answer) and got.body == body


async def test_silence_is_a_timeout_and_its_late_answer_is_nobody_elses() -> None:
    release = asyncio.Event()

    async def reply(request: bytes, number: int) -> bytes:
        if number == 0:
            await release.wait()
            return b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate"
        return OK

    async with RawServer(reply) as server, PrivateHttp(server.url, max_connections=1) as http:
        assert await http.request("GET", "/", timeout_s=0.05) == NoAnswer(reason="Timeout", sent=True)
        release.set()
        answer = await http.request("GET", "/", timeout_s=5.0)
        assert isinstance(answer, Answer) and answer.body == b"{}"


async def test_a_cancelled_caller_leaves_no_answer_behind() -> None:
    async def reply(request: bytes, number: int) -> bytes:
        if number == 0:
            await asyncio.sleep(3_600)
        return OK

    async with RawServer(reply) as server, PrivateHttp(server.url, max_connections=1) as http:
        task = asyncio.create_task(http.request("GET", "/", timeout_s=60))
        async with asyncio.timeout(5):
            while not server.requests:  # noqa: ASYNC110 the server has no event
                await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert http.open_connections == 0
        assert isinstance(await http.request("GET", "/"), Answer)


async def test_nothing_was_sent_where_nobody_listens() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        async with PrivateHttp(f"http://127.0.0.1:{port}") as http:
            answer = await http.request("GET", "/")
    assert isinstance(answer, NoAnswer) and not answer.sent and answer.reason.startswith("ConnectFailed")


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("ftp://127.0.0.1", None),
        ("http://example.org", None),
        ("https://user:pass@127.0.0.1", None),
        ("https://api.example.org", frozenset({"sandbox.example.org"})),
        ("http://", None),
    ],
)
def test_only_allowed_hosts_and_no_plain_http_to_another_machine(
    url: str, hosts: frozenset[str] | None
) -> None:
    with pytest.raises(ValueError, match=r"host|http|machine"):
        PrivateHttp(url, allowed_hosts=hosts)
    with pytest.raises(ValueError, match="between"):
        PrivateHttp("http://127.0.0.1", max_connections=0)


@pytest.mark.parametrize(
    ("target", "headers"),
    [("/a\r\nX: y", {}), ("/a b", {}), ("/", {"X": "a\r\nY: b"}), ("/", {"X\n": "a"}), ("/", {"X": "\0"})],
)
def test_nothing_can_be_smuggled_into_a_request(target: str, headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="control character"):
        encode("GET", target, "h", headers, b"")
    with pytest.raises(ValueError, match="at most"):
        encode("POST", "/", "h", {}, bytes(2 << 20))
