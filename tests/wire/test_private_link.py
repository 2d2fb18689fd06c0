"""The private connection's machine against a real WebSocket server that misbehaves."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import WSMsgType, web

from tradewind.venues.market_data import DecodeError
from tradewind.venues.transport.backoff import BackoffPolicy
from tradewind.venues.transport.private_link import (
    NEXT,
    LinkRefused,
    NoReply,
    Phase,
    PrivateLimits,
    PrivateLink,
    Reply,
    Transition,
)
from tradewind.venues.transport.websocket import LinkLimits, RawFrame

WAIT_S = 20.0


class Server:
    """Echoes requests; the test decides what it does not answer."""

    def __init__(self) -> None:
        self.silent: set[str] = set()
        self.requests: list[dict] = []
        self.connections = 0
        self.sockets: list[web.WebSocketResponse] = []
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def __aenter__(self) -> Server:
        app = web.Application()
        app.add_routes([web.get("/", self._talk)])
        self._runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()
        await self._runner.cleanup()

    def cut(self) -> None:
        for socket in self.sockets:
            transport = socket._req.transport
            if transport is not None:
                transport.abort()
        self.sockets.clear()

    async def _talk(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connections += 1
        self.sockets.append(socket)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                body = json.loads(message.data)
                self.requests.append(body)
                if body["what"] not in self.silent:
                    await socket.send_json(body)
        return socket

    async def say(self, text: str) -> None:
        for socket in self.sockets:
            await socket.send_str(text)


class Dialect:
    """The smallest venue: every step is one request."""

    def __init__(self) -> None:
        self.link: PrivateLink
        self.transitions: list[Transition] = []
        self.defects: list[Exception] = []
        self.problems: list[str] = []
        self.refuse: set[str] = set()
        self.frames: list[bytes] = []

    async def _ask(self, what: str) -> None:
        if what in self.refuse:
            raise LinkRefused(f"{what} is not for you")
        reply = await self.link.request(lambda n: json.dumps({"what": what, "id": n}).encode(), 1.0)
        if isinstance(reply, NoReply):
            raise LinkRefused(reply.reason)

    async def authenticate(self, epoch: int) -> None:
        await self._ask("authenticate")

    async def subscribe(self, epoch: int) -> None:
        await self._ask("subscribe")

    async def snapshot(self, epoch: int) -> None:
        await self._ask("snapshot")

    async def reconcile(self, epoch: int) -> str:
        await self._ask("reconcile")
        if self.defects:
            raise self.defects.pop()
        return self.problems.pop() if self.problems else ""

    async def ping(self) -> None:
        await self._ask("ping")

    def on_frame(self, frame: RawFrame) -> None:
        try:
            body = json.loads(frame.payload)
        except ValueError as error:
            raise DecodeError("test", str(error)) from error
        if not self.link.answered(body.get("id"), frame.payload):
            self.frames.append(frame.payload)

    def on_transition(self, transition: Transition) -> None:
        self.transitions.append(transition)

    def phases(self) -> list[Phase]:
        return [one.after for one in self.transitions]


FAST = PrivateLimits(
    step_timeout_s=0.5, reconcile_timeout_s=0.5, reconcile_retry_s=0.02, ping_every_s=0.1, pong_within_s=0.3,
    max_bad_frames=4,
)  # fmt: skip


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with Server() as one:
        yield one


@pytest.fixture
async def dialect(server: Server) -> AsyncIterator[Dialect]:
    one = Dialect()
    one.link = PrivateLink(
        "test", lambda: f"ws://127.0.0.1:{server.port}/", one, limits=FAST,
        socket_limits=LinkLimits(
            frame_age_s=2.0, ping_idle_s=0.5, watch_interval_s=0.05, connect_timeout_s=2.0
        ),
        policy=BackoffPolicy(base_s=0.01, ceiling_s=0.05, max_attempts=1_000),
    )  # fmt: skip
    yield one
    await one.link.close()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def until(condition: Callable[[], object], what: str) -> None:
    give_up_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < give_up_s, f"never: {what}"
        await asyncio.sleep(0.005)


def ask(link: PrivateLink, what: str, timeout_s: float = 1.0) -> asyncio.Future:
    return asyncio.ensure_future(
        link.request(lambda n: json.dumps({"what": what, "id": n}).encode(), timeout_s)
    )


async def test_every_step_is_taken_in_order_before_the_link_is_live(server: Server, dialect: Dialect) -> None:
    assert dialect.link.phase is Phase.IDLE
    dialect.link.start()
    assert await dialect.link.wait_live(WAIT_S)
    assert dialect.phases() == [
        Phase.CONNECTING, Phase.AUTHENTICATING, Phase.SUBSCRIBING, Phase.SNAPSHOTTING, Phase.RECONCILING,
        Phase.LIVE,
    ]  # fmt: skip
    assert [one["what"] for one in server.requests][:4] == [
        "authenticate", "subscribe", "snapshot", "reconcile",
    ]  # fmt: skip
    assert dialect.link.outage_s == 0


async def test_a_cut_connection_is_made_anew_and_every_transition_is_one_of_the_table(
    server: Server, dialect: Dialect
) -> None:
    dialect.link.start()
    for number in range(1, 6):
        assert await dialect.link.wait_live(WAIT_S)
        assert server.connections == number
        server.cut()
        await until(lambda number=number: server.connections > number, "the cut is noticed")
    assert await dialect.link.wait_live(WAIT_S)
    for one in dialect.transitions:
        assert one.after in NEXT[one.before]
    assert [one.before for one in dialect.transitions[1:]] == dialect.phases()[:-1]
    assert dialect.link.reconnects == 5


@pytest.mark.parametrize("step", ["authenticate", "subscribe", "snapshot"])
@pytest.mark.parametrize("how", ["refused", "silent"])
async def test_a_step_that_fails_makes_a_new_connection_and_never_live(
    server: Server, dialect: Dialect, step: str, how: str
) -> None:
    (dialect.refuse if how == "refused" else server.silent).add(step)
    dialect.link.start()
    await until(lambda: server.connections >= 3, "it tries again")
    assert Phase.LIVE not in dialect.phases()
    dialect.refuse.clear()
    server.silent.clear()
    assert await dialect.link.wait_live(WAIT_S)


async def test_an_incomplete_reconciliation_keeps_the_link_degraded_until_it_is_clean(
    server: Server, dialect: Dialect
) -> None:
    dialect.problems = ["fills are incomplete", "open orders are incomplete"]
    dialect.link.start()
    assert await dialect.link.wait_live(WAIT_S)
    phases = dialect.phases()
    assert phases.count(Phase.DEGRADED) == 2
    assert phases.index(Phase.LIVE) == len(phases) - 1
    reasons = [one.reason for one in dialect.transitions if one.after is Phase.DEGRADED]
    assert reasons == ["open orders are incomplete", "fills are incomplete"]
    assert server.connections == 1


async def test_a_request_under_way_when_the_connection_goes_is_undecided_and_not_sent_again(
    server: Server, dialect: Dialect
) -> None:
    server.silent.add("order")
    dialect.link.start()
    assert await dialect.link.wait_live(WAIT_S)
    waiting = ask(dialect.link, "order", 10.0)
    await until(lambda: any(one["what"] == "order" for one in server.requests), "it arrives")
    server.cut()
    reply = await waiting
    assert isinstance(reply, NoReply)
    assert reply.sent
    server.silent.clear()
    assert await dialect.link.wait_live(WAIT_S)
    assert sum(one["what"] == "order" for one in server.requests) == 1


async def test_a_request_without_a_connection_has_sent_nothing(dialect: Dialect) -> None:
    reply = await ask(dialect.link, "order")
    assert reply == NoReply("not connected", False)


async def test_an_answer_after_the_deadline_belongs_to_nobody(server: Server, dialect: Dialect) -> None:
    server.silent.add("order")
    dialect.link.start()
    assert await dialect.link.wait_live(WAIT_S)
    reply = await ask(dialect.link, "order", 0.05)
    assert isinstance(reply, NoReply)
    assert reply.sent
    late = next(one for one in server.requests if one["what"] == "order")
    before = dialect.link.late_replies
    await server.say(json.dumps(late))
    await until(lambda: dialect.link.late_replies > before, "the late answer is counted")
    assert isinstance(await ask(dialect.link, "other"), Reply)


async def test_a_repeated_answer_is_taken_once(server: Server, dialect: Dialect) -> None:
    dialect.link.start()
    assert await dialect.link.wait_live(WAIT_S)
    assert isinstance(await ask(dialect.link, "order"), Reply)
    before = dialect.link.late_replies
    await server.say(json.dumps(server.requests[-1]))
    await until(lambda: dialect.link.late_replies > before, "the second answer is counted")


async def test_requests_that_wait_for_an_answer_are_bounded(server: Server, dialect: Dialect) -> None:
    server.silent.add("order")
    dialect.link.start()
    assert await dialect.link.wait_live(WAIT_S)
    room = dialect.link.limits.max_pending_requests
    waiting = [ask(dialect.link, "order", 5.0) for _ in range(room)]
    await asyncio.sleep(0)
    refused = await ask(dialect.link, "order")
    assert isinstance(refused, NoReply)
    assert not refused.sent
    server.cut()
    assert all(isinstance(one, NoReply) and one.sent for one in await asyncio.gather(*waiting))


async def test_a_server_that_does_not_answer_pings_is_left(server: Server, dialect: Dialect) -> None:
    dialect.link.start()
    assert await dialect.link.wait_live(WAIT_S)
    server.silent.add("ping")
    await until(lambda: Phase.DEGRADED in dialect.phases(), "trading stops")
    server.silent.clear()
    await until(lambda: server.connections >= 2 and dialect.link.live, "it comes back")
    assert any("no pong" in one.reason for one in dialect.transitions)


async def test_frames_that_cannot_be_read_degrade_the_link_only_in_number(
    server: Server, dialect: Dialect
) -> None:
    dialect.link.start()
    assert await dialect.link.wait_live(WAIT_S)
    await server.say("{")
    await until(lambda: dialect.link.bad_frames == 1, "one bad frame")
    assert dialect.link.live
    for _ in range(FAST.max_bad_frames):
        await server.say("{")
    await until(lambda: server.connections >= 2, "a new connection")
    assert await dialect.link.wait_live(WAIT_S)


async def test_a_defect_in_a_step_ends_the_connection_and_the_next_one_gets_live(
    server: Server, dialect: Dialect
) -> None:
    dialect.defects.append(KeyError("nobody thought of it"))
    dialect.link.start()
    assert await dialect.link.wait_live(WAIT_S)
    assert server.connections == 2
    assert dialect.link.defects == 1
    assert any(one.reason == "defect: KeyError" for one in dialect.transitions)


async def test_flapping_leaves_no_tasks_and_no_sockets_behind(server: Server, dialect: Dialect) -> None:
    dialect.link.start()
    assert await dialect.link.wait_live(WAIT_S)
    tasks, files = len(asyncio.all_tasks()), open_files()
    for number in range(1, 21):
        server.cut()
        await until(lambda number=number: server.connections > number, "the cut is noticed")
        assert await dialect.link.wait_live(WAIT_S)
    await until(lambda: len(asyncio.all_tasks()) <= tasks + 2, "tasks end")
    await until(lambda: open_files() <= files + 2, "sockets are closed")
    await dialect.link.close()
    assert dialect.link.phase is Phase.DOWN
    assert isinstance(await ask(dialect.link, "order"), NoReply)
