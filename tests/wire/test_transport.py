"""The public HTTP session, the raw capture and the supervised WebSocket at their edges."""

from __future__ import annotations

import asyncio
import errno
import time
from pathlib import Path

import pytest
from aiohttp import web

from tradewind.venues.feeds.live import LiveOptions
from tradewind.venues.transport import http as http_module
from tradewind.venues.transport.capture import RawCapture
from tradewind.venues.transport.errors import (
    HttpStatus,
    PathRefused,
    RequestTimeout,
    ResponseTooLarge,
    TransportError,
)
from tradewind.venues.transport.http import PublicHttpSession
from tradewind.venues.transport.websocket import LinkLimits, SupervisedWebSocket

from .replay_server import FaultPlan, ReplayServer
from .scripts import synthetic_binance
from .test_binance_wire import assert_equal_to_the_venue, open_feed, run_to_end


@pytest.fixture
async def server():
    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.Response()

    async def big(_: web.Request) -> web.Response:
        return web.Response(body=b"x" * 100_000)

    async def limited(_: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": "7"})

    async def moved(_: web.Request) -> web.Response:
        raise web.HTTPFound("http://127.0.0.1:9/private")

    app = web.Application()
    app.add_routes([web.get("/slow", slow), web.get("/big", big), web.get("/limited", limited),
                    web.get("/moved", moved)])  # fmt: skip
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    await runner.cleanup()


async def test_every_http_failure_is_its_own_typed_error(server, monkeypatch) -> None:
    monkeypatch.setattr(http_module, "MAX_RESPONSE_BYTES", 50_000)
    allowed = frozenset({"/slow", "/big", "/limited", "/moved"})
    async with PublicHttpSession(server, allowed, timeout_s=0.2) as session:
        with pytest.raises(RequestTimeout):
            await session.get("/slow")
        with pytest.raises(ResponseTooLarge):
            await session.get("/big")
        with pytest.raises(HttpStatus) as caught:
            await session.get("/limited")
        assert (caught.value.status, caught.value.retry_after_s) == (429, 7.0)
        with pytest.raises(PathRefused):
            await session.get("/api/v3/account")
        assert await session.get("/moved") == b"302: Found", "a redirect is never followed"
    async with PublicHttpSession("http://127.0.0.1:9", allowed) as session:
        with pytest.raises(TransportError):
            await session.get("/big")
    with pytest.raises(ValueError, match="http"):
        PublicHttpSession("ftp://example", allowed)


def test_a_public_session_has_no_way_to_send_a_body_or_a_header() -> None:
    methods = {name for name in dir(PublicHttpSession) if not name.startswith("_")}
    assert methods == {"get", "close"}


async def test_a_venue_that_says_stop_is_not_asked_again_before_its_time(fast: LiveOptions) -> None:
    plan = FaultPlan(http_errors=[429], retry_after_s=1)
    async with ReplayServer(synthetic_binance(141, 60), plan) as server:
        feed = await open_feed(server, fast)
        feed.start()
        started_s = time.monotonic()
        while server.depth_requests < 2:  # noqa: ASYNC110 the server has no event for it
            await asyncio.sleep(0.01)
        assert time.monotonic() - started_s >= 0.95
        await feed.close()


def test_a_capture_rotates_by_size_and_removes_its_oldest_file(tmp_path: Path) -> None:
    capture = RawCapture(tmp_path, "c", max_file_bytes=100, max_files=3)
    for number in range(40):
        capture.write(number, b'{"a":\n1}')
    capture.close()
    assert sorted(tmp_path.glob("c-*.gz")) == capture.files
    assert len(capture.files) == 3
    assert capture.frames == 40


async def test_a_full_disk_ends_the_capture_and_not_the_feed(fast: LiveOptions, tmp_path: Path) -> None:
    class FullDisk(RawCapture):
        def write(self, recv_ts_ns: int, frame: bytes) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    script = synthetic_binance(151, 120)
    async with ReplayServer(script) as server:
        feed = await open_feed(server, fast, capture=FullDisk(tmp_path, "c"))
        consumer = await run_to_end(server, feed)
        await consumer.close()
    assert_equal_to_the_venue(consumer, script)
    assert "No space left" in feed.capture_failure


class Silent:
    def __init__(self) -> None:
        self.reasons: list[str] = []

    def on_link_up(self, epoch: int) -> None:
        pass

    def on_link_down(self, epoch: int, reason: str) -> None:
        self.reasons.append(reason)


async def test_frames_nobody_takes_are_bounded_and_their_loss_cuts_the_connection(fast: LiveOptions) -> None:
    owner = Silent()
    async with ReplayServer(synthetic_binance(161, 120)) as server:
        limits = LinkLimits(max_pending_frames=20)
        link = SupervisedWebSocket(lambda: f"{server.ws_url}/stream?streams=x", owner, limits, fast.reconnect)
        link.start()
        async with asyncio.timeout(10):
            while not owner.reasons:
                assert link.pending <= 20
                await asyncio.sleep(0.005)
        await link.close()
    assert "more than 20 frames waiting" in owner.reasons[0]
    assert link.dropped_frames >= 21
    with pytest.raises(TransportError, match="not connected"):
        link.send_text(b"{}")


async def test_closing_a_feed_leaves_no_task_behind(fast: LiveOptions) -> None:
    async with ReplayServer(synthetic_binance(171, 60), FaultPlan(disconnect_after={10, 20, 30})) as server:
        before = len(asyncio.all_tasks())
        consumer = await run_to_end(server, await open_feed(server, fast))
        await consumer.close()
        server.disconnect_all()
        await asyncio.sleep(0.05)
        own = {task.get_name() for task in asyncio.all_tasks()}
        assert not {name for name in own if "websocket" in name or name.startswith("live:")}
        assert len(asyncio.all_tasks()) <= before + 1
