"""A real node with the command desk and the HTTP application in front of it, without a trader."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tradewind.api.app import create_app
from tradewind.api.desk import Desk
from tradewind.api.directory import Directory
from tradewind.api.identities import Identities, open_identities
from tradewind.api.permissions import EVERYTHING, READ_ONLY, TRADING
from tradewind.api.reads import Reads
from tradewind.api.token import Tokens
from tradewind.api.views import PlatformViews
from tradewind.core.engine import GenesisConfig, Grant
from tradewind.node.service import NodeService
from tradewind.observe.controls import ControlResult, Outcome
from tradewind.observe.view import PlatformView

TOKEN, READ_TOKEN, TRADE_TOKEN = "t" * 43, "r" * 43, "o" * 43
TOKENS = Tokens({TOKEN: EVERYTHING, READ_TOKEN: READ_ONLY, TRADE_TOKEN: TRADING})


class NoTrader:
    """Controls of a platform whose trader does not run."""

    async def _refuse(self, act: str) -> ControlResult:
        return ControlResult(
            action=act, outcome=Outcome.REFUSED, detail="no trader", code="TRADER_NOT_RUNNING"
        )

    async def halt(self, *, reason: str, actor: str) -> ControlResult:
        return await self._refuse("halt")

    async def flatten(self, *, reason: str, actor: str) -> ControlResult:
        return await self._refuse("flatten")

    async def resume(self, *, reason: str, actor: str) -> ControlResult:
        return await self._refuse("resume")


class ApiWorld:
    """One node, its views, and an HTTP client that carries the token."""

    def __init__(
        self,
        node: NodeService,
        views: PlatformViews,
        identities: Identities,
        http: httpx.AsyncClient,
        app: FastAPI,
    ):
        self.node, self.views, self.identities, self.http, self.app = node, views, identities, http, app

    async def post(self, path: str, body: Any = None) -> httpx.Response:
        return await self.http.post(f"/api/v1{path}", json=body or {})

    async def post_raw(self, path: str, body: bytes) -> httpx.Response:
        return await self.http.post(f"/api/v1{path}", content=body)

    async def get(self, path: str) -> httpx.Response:
        return await self.http.get(f"/api/v1{path}")

    async def done(self, path: str, body: Any = None) -> dict[str, Any]:
        """The answer to a command that must be accepted."""
        answer = await self.post(path, body)
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document

    async def state_hash(self) -> bytes:
        return (await self.node.state_hashes())[0]

    async def market(self) -> None:
        """BTC/USDT, and two funded accounts: alice and bob."""
        for asset in ("USDT", "BTC"):
            await self.done("/assets", {"symbol": asset})
        await self.done(
            "/markets",
            {
                "base": "BTC",
                "quote": "USDT",
                "tick_size": "0.01",
                "lot_size": "0.0001",
                "taker_fee_bps": "10",
                "maker_fee_bps": "5",
                "min_notional": "5",
                "max_notional": "100000",
            },
        )
        for name in ("alice", "bob"):
            await self.done("/accounts", {"name": name})
            for asset, amount in (("USDT", "100000"), ("BTC", "2")):
                body = {"account": name, "asset": asset, "amount": amount, "external_id": f"{name}-{asset}"}
                await self.done("/deposits", body)


class Clock:
    """Real time, plus what a test lets pass."""

    def __init__(self) -> None:
        self.ahead_ns = 0

    def __call__(self) -> int:
        return time.time_ns() + self.ahead_ns

    def pass_s(self, seconds: float) -> None:
        self.ahead_ns += int(seconds * 1_000_000_000)


@asynccontextmanager
async def api_world(folder: Path, clock: Callable[[], int] | None = None) -> AsyncIterator[ApiWorld]:
    """A node with its API on a new log."""
    identities = open_identities(folder)
    now_ns = time.time_ns()
    genesis = GenesisConfig(now_ns, [Grant(*grant) for grant in identities.grants(now_ns)])
    async with await NodeService.start(
        folder, genesis=genesis, segment_bytes=1 << 20, reserve_bytes=0, clock=clock
    ) as node:
        views = PlatformViews(genesis)
        await node.attach(views.apply, name="views")
        directory = Directory(views, identities.public)
        view = PlatformView(taken_ns=0, env="paper", version="test")
        reads = Reads(node, directory, identities, lambda: view, lambda: None)
        app = create_app(Desk(node, directory, identities), reads, TOKENS, NoTrader())
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", headers=headers
        ) as http:
            yield ApiWorld(node, views, identities, http, app)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ApiWorld]:
    async with api_world(tmp_path) as world:
        yield world
