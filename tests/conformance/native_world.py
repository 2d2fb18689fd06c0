"""A node with its API on a socket, and a wire that does what a plan of faults says."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tradewind.api import requests as req
from tradewind.api.app import create_app
from tradewind.api.connection import bounded
from tradewind.api.desk import Desk
from tradewind.api.directory import Directory
from tradewind.api.identities import open_identities
from tradewind.api.permissions import EVERYTHING, READ_ONLY, TRADING
from tradewind.api.reads import Reads
from tradewind.api.stream import Streams
from tradewind.api.token import Tokens
from tradewind.api.views import PlatformViews
from tradewind.core.engine import GenesisConfig, Grant
from tradewind.core.event_types import Trade
from tradewind.core.events import decode_events
from tradewind.gateways.faults import Action, FaultPlan
from tradewind.gateways.faults import Fault as WireFault
from tradewind.node.limits import NodeLimits
from tradewind.node.service import NodeService
from tradewind.observe.controls import ControlResult, Outcome
from tradewind.observe.view import PlatformView

TOKEN, TRADE_TOKEN, READ_TOKEN = "t" * 43, "o" * 43, "r" * 43
LOST_ORDER: Final = 4_000_000_000
BANNED: Final = (WireFault.RATE_BAN, WireFault.MAINTENANCE, WireFault.CANCEL_ONLY)


class NoTrader:
    """Controls of a node whose trader does not run."""

    async def _refuse(self, act: str) -> ControlResult:
        return ControlResult(action=act, outcome=Outcome.REFUSED, detail="none", code="TRADER_NOT_RUNNING")

    async def halt(self, *, reason: str, actor: str) -> ControlResult:
        return await self._refuse("halt")

    async def flatten(self, *, reason: str, actor: str) -> ControlResult:
        return await self._refuse("flatten")

    async def resume(self, *, reason: str, actor: str) -> ControlResult:
        return await self._refuse("resume")


class Faulty:
    """In front of the API: what the plan wants of a request (surface `rest`) and of a frame (`stream`)."""

    def __init__(self, app: ASGIApp, plan: FaultPlan) -> None:
        self._app, self.plan = app, plan
        self.closing = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._app(scope, receive, self._frames(send))
        elif scope["type"] == "http":
            await self._request(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        actions = self.plan.on_request("rest", f"{scope['method']} {scope['path']}")
        if not actions:
            await self._app(scope, receive, send)
            return
        cut = send.__self__.transport.abort  # type: ignore[attr-defined]
        for action in actions:
            if action.fault is WireFault.DELAY:
                await asyncio.sleep(action.rule.delay_ms / 1_000)
            elif action.fault is WireFault.RESET and action.rule.when == "before":
                cut()
                return
            elif action.fault in BANNED or (
                action.fault is WireFault.STATUS and action.rule.when == "before"
            ):
                status = 418 if action.fault is WireFault.RATE_BAN else action.rule.status
                await _answer(send, status, b"no")
                return
            elif action.fault is WireFault.LOSE_ORDER:
                await _answer(send, 200, b'{"command":"PlaceOrder","value":%d,"seq":1}' % LOST_ORDER)
                return
        await self._behind(scope, receive, send, actions)

    async def _behind(self, scope: Scope, receive: Receive, send: Send, actions: list[Action]) -> None:
        held: list[Message] = []

        async def hold(message: Message) -> None:
            held.append(message)

        await self._app(scope, receive, hold)
        cut = send.__self__.transport.abort  # type: ignore[attr-defined]
        for action in actions:
            if action.fault is WireFault.DROP_REPLY:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(action.rule.delay_ms / 1_000):
                        await self.closing.wait()
                cut()
                return
            if action.fault is WireFault.RESET:
                cut()
                return
            if action.fault is WireFault.STATUS:
                await _answer(send, action.rule.status, b"a gateway in between")
                return
            if action.fault is WireFault.MALFORMED:
                body = b"".join(one.get("body", b"") for one in held)
                await _answer(send, 200, body[: len(body) // 2])
                return
        for message in held:
            await send(message)

    def _frames(self, send: Send) -> Send:
        async def pass_on(message: Message) -> None:
            if message["type"] != "websocket.send" or not self.plan.plan.rules:
                await send(message)
                return
            frame = (message.get("text") or "").encode()
            channel = str(msgspec.json.decode(frame).get("type", ""))
            frames = self.plan.on_frame("stream", channel, frame)
            if self.plan.closes("stream", channel):
                await send({"type": "websocket.close", "code": 1011, "reason": "fault plan"})
                raise ConnectionResetError("fault plan")
            for one in frames:
                await send({"type": "websocket.send", "text": one.decode("utf-8", "replace")})

        return pass_on


async def _answer(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-length", str(len(body)).encode()), (b"retry-after", b"1")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class QuietServer(uvicorn.Server):
    """Signals belong to the test."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


class NativeWorld:
    """Node, API and server in one loop; `close` ends all, `restart` opens the same log again."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.plan = FaultPlan()
        self.trades: list[Trade] = []
        self.port = 0
        self.identities = open_identities(data)

    @classmethod
    async def open(cls, data: Path) -> NativeWorld:
        world = cls(data)
        await world.start()
        return world

    async def start(self) -> None:
        now_ns = time.time_ns()
        genesis = GenesisConfig(now_ns, [Grant(*grant) for grant in self.identities.grants(now_ns)])
        self.node = await NodeService.start(
            self.data / "node",
            genesis=genesis,
            segment_bytes=1 << 20,
            reserve_bytes=0,
            limits=NodeLimits(space_reserved_bytes=0),
        )
        self.views = PlatformViews(genesis)
        await self.node.attach(self.views.apply, name="views")
        self.trades.clear()
        await self.node.attach(self._see, name="truth")
        self.directory = Directory(self.views, self.identities.public)
        view = PlatformView(taken_ns=0, env="paper", version="test")
        reads = Reads(self.node, self.directory, self.identities, lambda: view, lambda: None)
        self.desk = Desk(self.node, self.directory, self.identities)
        tokens = Tokens({TOKEN: EVERYTHING, TRADE_TOKEN: TRADING, READ_TOKEN: READ_ONLY})
        app = create_app(self.desk, reads, tokens, NoTrader())
        self.streams: Streams = app.state.streams
        self.faulty = Faulty(app, self.plan)
        config = uvicorn.Config(
            self.faulty,
            http=bounded(),
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        self.server = QuietServer(config)
        listening = socket.create_server(("127.0.0.1", self.port))
        self.port = listening.getsockname()[1]
        self.serving = asyncio.create_task(self.server.serve(sockets=[listening]))
        while not self.server.started:  # noqa: ASYNC110 the server has no event for it
            await asyncio.sleep(0.002)

    async def stop(self) -> None:
        self.faulty.closing.set()
        self.server.should_exit = True
        await asyncio.gather(self.serving, return_exceptions=True)
        await self.node.close()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    def _see(self, batch: Any) -> None:
        self.trades += [one for one in decode_events(batch) if isinstance(one, Trade)]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # ---- contents ----------------------------------------------------------------------------------------

    async def market(self, base: str, quote: str, funds: dict[str, dict[str, Decimal]]) -> None:
        """A spot market and funded accounts."""
        for asset in (quote, base):
            await self.desk.register_asset(req.RegisterAsset(symbol=asset))
        await self.desk.create_market(
            req.CreateMarket(
                base=base,
                quote=quote,
                tick_size="0.1",
                lot_size="0.0001",
                taker_fee_bps="10",
                maker_fee_bps="5",
                min_notional="5",
                max_notional="1000000",
            )
        )
        for name, amounts in funds.items():
            await self.desk.open_account(req.OpenAccount(name=name))
            for asset, amount in amounts.items():
                deposit = req.Deposit(
                    account=name, asset=asset, amount=str(amount), external_id=f"{name}-{asset}"
                )
                await self.desk.deposit(deposit)

    async def place(self, account: str, market: str, side: str, price: str, size: str, **more: Any) -> None:
        """An order of somebody else."""
        await self.desk.place_order(
            req.PlaceOrder(account=account, market=market, side=side, price=price, quantity=size, **more)  # type: ignore[arg-type]
        )

    async def cancel_all(self, account: str) -> None:
        await self.desk.cancel_all(req.CancelAll(account=account))


def folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()
