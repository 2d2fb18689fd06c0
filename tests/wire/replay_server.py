"""A local server that replays scripted venues over a real WebSocket and REST, with scripted faults.

It uses aiohttp, the product uses picows: two implementations of the protocol meet here. The venue's stream
goes on whether or not a client listens, so frames sent while a client is away are really missed.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from .scripts import BinanceScript, KrakenScript, kraken_json


@dataclass
class FaultPlan:
    """Faults by frame number (of the script). Every list is empty by default: an honest venue."""

    drop: set[int] = field(default_factory=set)
    duplicate: set[int] = field(default_factory=set)
    swap: set[int] = field(default_factory=set)
    disconnect_after: set[int] = field(default_factory=set)
    corrupt: set[int] = field(default_factory=set)
    garbage: set[int] = field(default_factory=set)
    silent_after: int | None = None
    snapshot_delay_s: float = 0.0
    stale_snapshots: int = 0
    retry_after_s: int = 0
    http_errors: list[int] = field(default_factory=list)


class ReplayServer:
    """Serves one script on 127.0.0.1. `frames_per_s` is how fast the venue moves once a client is there."""

    def __init__(self, script: BinanceScript | KrakenScript, plan: FaultPlan | None = None,
                 frames_per_s: float = 1_000.0) -> None:  # fmt: skip
        self.script, self.plan, self.frames_per_s = script, plan or FaultPlan(), frames_per_s
        self.clients: set[web.WebSocketResponse] = set()
        self.subscribed: set[web.WebSocketResponse] = set()
        self.connections = 0
        self.snapshots_served = 0
        self.depth_requests = 0
        self.resubscriptions = 0
        self.position = 0
        self.finished = asyncio.Event()
        self.released = asyncio.Event()
        self._held: list[str] = []
        self._stale_body: dict | None = None
        self._runner: web.AppRunner | None = None
        self._player: asyncio.Task[None] | None = None
        self.port = 0

    async def __aenter__(self) -> ReplayServer:
        app = web.Application()
        app.add_routes([
            web.get("/stream", self._binance_socket), web.get("/v2", self._kraken_socket),
            web.get("/api/v3/{name}", self._binance_rest), web.get("/fapi/v1/{name}", self._binance_rest),
            web.get("/0/public/{name}", self._kraken_rest),
        ])  # fmt: skip
        self._runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]
        self._player = asyncio.create_task(self._play())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._player.cancel()
        await asyncio.gather(self._player, return_exceptions=True)
        self.disconnect_all()
        await self._runner.cleanup()

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def disconnect_all(self) -> None:
        """Cut every connection without a goodbye, as a network does."""
        for client in list(self.clients):
            transport = client.get_extra_info("peername") and client._req.transport
            if transport is not None:
                transport.abort()
        self.clients.clear()
        self.subscribed.clear()

    # ---- the venue moves on ------------------------------------------------------------------------------

    async def _play(self) -> None:
        await self.released.wait()
        steps = self.script.count if isinstance(self.script, KrakenScript) else len(self.script.steps)
        for index in range(steps):
            if isinstance(self.script, KrakenScript):
                frames = [kraken_json(one) for one in self.script.advance(index)]
            else:
                frames = [json.dumps(self.script.advance(index).frame, separators=(",", ":"))]
            self.position = index + 1
            await self._send(index, frames)
            await asyncio.sleep(1 / self.frames_per_s)
        self.finished.set()

    async def _send(self, index: int, frames: list[str]) -> None:
        plan = self.plan
        silent = plan.silent_after is not None and index >= plan.silent_after and self.connections < 2
        if index in plan.corrupt:
            frames = [one.replace('"checksum":', '"checksum":1') for one in frames]
        if index in plan.garbage:
            frames = [frames[0][: len(frames[0]) // 2]]
        if index in plan.swap:
            self._held = frames
            return
        if index not in plan.drop and not silent:
            for frame in frames * (2 if index in plan.duplicate else 1) + self._held:
                await self._broadcast(frame)
        self._held = []
        if index in plan.disconnect_after:
            self.disconnect_all()

    async def _broadcast(self, frame: str) -> None:
        receivers = self.subscribed if isinstance(self.script, KrakenScript) else self.clients
        for client in list(receivers):
            try:
                await client.send_str(frame)
            except (ConnectionError, RuntimeError):
                self.clients.discard(client)
                self.subscribed.discard(client)

    # ---- Binance -----------------------------------------------------------------------------------------

    async def _binance_socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = await self._accept(request)
        self.released.set()
        async for _ in socket:
            pass
        self.clients.discard(socket)
        return socket

    async def _accept(self, request: web.Request) -> web.WebSocketResponse:
        # a silent venue does not answer pings either: the connection is half open
        socket = web.WebSocketResponse(autoping=self.plan.silent_after is None or self.connections > 0)
        await socket.prepare(request)
        self.connections += 1
        self.clients.add(socket)
        return socket

    async def _binance_rest(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name == "ping":
            return web.json_response({})
        if name == "exchangeInfo":
            return web.json_response(self.script.exchange_info())
        if name != "depth":
            return web.Response(status=404)
        self.depth_requests += 1
        if self.plan.http_errors:
            return web.Response(
                status=self.plan.http_errors.pop(0), headers={"Retry-After": str(self.plan.retry_after_s)}
            )
        self._stale_body = self._stale_body or self.script.depth_body(5_000)
        body = self._stale_body if self.plan.stale_snapshots > 0 else self.script.depth_body(5_000)
        self.plan.stale_snapshots -= 1
        await asyncio.sleep(self.plan.snapshot_delay_s)
        self.snapshots_served += 1
        return web.json_response(body)

    # ---- Kraken ------------------------------------------------------------------------------------------

    async def _kraken_rest(self, request: web.Request) -> web.Response:
        if request.match_info["name"] == "AssetPairs":
            return web.json_response(self.script.asset_pairs())
        return web.json_response({"error": [], "result": {"unixtime": 1}})

    async def _kraken_socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = await self._accept(request)
        status = {"system": "online", "api_version": "v2", "connection_id": 1, "version": "2.0.0"}
        await socket.send_json({"channel": "status", "type": "update", "data": [status]})
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await self._kraken_request(socket, json.loads(message.data))
        self.clients.discard(socket)
        self.subscribed.discard(socket)
        return socket

    async def _kraken_request(self, socket: web.WebSocketResponse, request: dict) -> None:
        params, method = request["params"], request["method"]
        answer = {"method": method, "req_id": request["req_id"], "success": True,
                  "result": {"channel": params["channel"], "symbol": params["symbol"][0]}}  # fmt: skip
        await socket.send_json(answer)
        if params["channel"] != "book":
            return
        if method == "unsubscribe":
            self.resubscriptions += 1
            self.subscribed.discard(socket)
            return
        self.snapshots_served += 1
        await socket.send_str(kraken_json(self.script.snapshot_frame()))
        self.subscribed.add(socket)
        self.released.set()
