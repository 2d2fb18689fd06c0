"""Markets that accounts list themselves, on a real engine behind the HTTP application."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import ApiWorld, Clock, api_world

OPEN_LISTING = 140


class Lister:
    """Accounts with money, and governance that can open the listing."""

    def __init__(self, api: ApiWorld, clock: Clock) -> None:
        self.api, self.clock = api, clock

    async def open(self) -> None:
        await self.api.done("/assets", {"symbol": "USDC"})
        for name in ("alice", "carol"):
            await self.api.done("/accounts", {"name": name})
            body = {"account": name, "asset": "USDC", "amount": "5000", "external_id": name}
            await self.api.done("/deposits", body)

    async def pass_s(self, seconds: float) -> None:
        """A jump of the clock; the node tells the engine with its next Tick."""
        self.clock.pass_s(seconds)
        await asyncio.sleep(0.3)

    async def open_listing(self) -> None:
        fields = {"parameter": OPEN_LISTING, "config_version": 0, "value": 1}
        body = {"command": "SetParameter", "fields": fields}
        number = (await self.api.done("/proposals", body))["value"]
        for approver in ("approver_1", "approver_2"):
            await self.api.done(f"/proposals/{number}/approve", {"actor": approver})
        await self.pass_s(7 * 86_400)
        await self.api.done(f"/proposals/{number}/execute", {})

    def wish(self, **changes: Any) -> dict[str, Any]:
        ahead = datetime.timedelta(seconds=self.api.node.now_ns() / 10**9 + 2 * 3_600)
        settle = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + ahead
        return {"account": "alice", "outcomes": 2, "settle": settle.isoformat(), "quote": "USDC", **changes}


@pytest.fixture
async def lister(tmp_path: Path) -> AsyncIterator[Lister]:
    clock = Clock()
    async with api_world(tmp_path, clock) as api:
        world = Lister(api, clock)
        await world.open()
        yield world


async def test_an_account_lists_a_market_with_its_bond_once_governance_allows_it(lister: Lister) -> None:
    api = lister.api
    closed = await api.post("/listings", lister.wish())
    assert (closed.status_code, closed.json()["name"]) == (403, "PERMISSION_DENIED"), closed.text
    await lister.open_listing()
    before = await api.state_hash()
    for changes, name in (
        ({"bond": "99.999999"}, "BOND_TOO_LOW"),
        ({"outcomes": 65}, "INVALID_OUTCOME_COUNT"),
        ({"account": "nobody"}, "ACCOUNT_NOT_FOUND"),
    ):
        refused = await api.post("/listings", lister.wish(**changes))
        assert refused.json()["name"] == name, refused.text
    assert await api.state_hash() == before
    made = await api.done("/listings", lister.wish(bond="250"))
    assert made["effect"] == {"symbol": "OUTCOME-0", "bond": "100", "reward": "10"}
    document = (await api.get("/markets/OUTCOME-0/resolution")).json()
    assert (document["listing"]["account"], document["listing"]["open"]) == ("alice", True)
    await lister.pass_s(2 * 3_600)
    claim = {"account": "carol", "payout": "0", "evidence": ["the official result"]}
    await api.done("/markets/OUTCOME-0/resolution/propose", claim)
    await lister.pass_s(2 * 3_600)
    await api.done("/markets/OUTCOME-0/resolution/finalise", {})
    listing = (await api.get("/markets/OUTCOME-0/resolution")).json()["listing"]
    assert (listing["open"], listing["winner"], listing["rewarded"]) == (False, "carol", "10")
    assert (listing["returned"], listing["to_insurance"]) == ("90", "0")
