"""Halts of verses over HTTP, on a real engine."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import ApiWorld, Clock, api_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[tuple[ApiWorld, Clock]]:
    clock = Clock()
    async with api_world(tmp_path, clock) as api:
        await api.done("/assets", {"symbol": "USDC"})
        await api.done("/accounts", {"name": "alice"})
        body = {"account": "alice", "asset": "USDC", "amount": "1000", "external_id": "alice"}
        await api.done("/deposits", body)
        settle = datetime.datetime.fromtimestamp(api.node.now_ns() / 10**9 + 86_400, datetime.UTC).isoformat()
        market = {
            "kind": "outcome", "outcomes": 2, "settle": settle, "quote": "USDC", "tick_size": "0.001",
            "lot_size": "0.001", "taker_fee_bps": "28", "maker_fee_bps": "0",
        }  # fmt: skip
        for slug, parent in (("us-2028", None), ("senate", "us-2028")):
            await api.done("/verses", {"slug": slug, **({} if parent is None else {"parent": parent})})
            symbol = (await api.done("/markets", market))["effect"]["symbol"]
            await api.done(f"/markets/{symbol}/verse", {"verse": slug})
        yield api, clock


async def statuses(api: ApiWorld) -> dict[str, str]:
    rows: list[dict[str, Any]] = (await api.get("/verses")).json()["verses"]
    return {row["slug"]: row["status"] for row in rows}


async def refused(api: ApiWorld, path: str, body: dict[str, Any]) -> str:
    before = await api.state_hash()
    answer = await api.post(path, body)
    assert answer.status_code >= 400 and await api.state_hash() == before
    name: str = answer.json()["name"]
    return name


async def test_a_halt_pauses_what_is_below_and_two_others_end_it(world: tuple[ApiWorld, Clock]) -> None:
    api, _ = world
    mint = {"account": "alice", "market": "OUTCOME-1", "quantity": "1"}
    assert await statuses(api) == {"us-2028": "active", "senate": "active"}
    assert await refused(api, "/verses/nowhere/halt", {"reason": "x"}) == "VERSE_NOT_FOUND"
    assert await refused(api, "/verses/senate/halt", {"reason": " "}) == "PARAMETER_OUT_OF_BOUNDS"
    assert (
        await refused(api, "/verses/senate/halt", {"reason": "x", "for_s": 259_201})
        == "PARAMETER_OUT_OF_BOUNDS"
    )
    done = await api.done("/verses/us-2028/halt", {"reason": "the feed of results is wrong", "level": "full"})
    assert done["effect"] == {"markets": 2}
    assert await statuses(api) == {"us-2028": "halted", "senate": "halted"}
    assert (await refused(api, "/sets/mint", mint)) == "PAUSED"
    shown = (await api.get("/verses/us-2028")).json()["halt"]
    assert (shown["level"], shown["reason"], shown["approved_by"]) == (
        "full", "the feed of results is wrong", None,
    )  # fmt: skip
    first = await api.done("/verses/us-2028/resume", {})
    assert first["effect"] == {"resumed": False}
    assert (await api.get("/verses/us-2028")).json()["halt"]["approved_by"] == "resumer_1"
    assert await refused(api, "/verses/us-2028/resume", {}) == "SELF_APPROVAL"
    second = await api.done("/verses/us-2028/resume", {"actor": "resumer_2"})
    assert second["effect"] == {"resumed": True}
    assert await statuses(api) == {"us-2028": "active", "senate": "active"}
    await api.done("/sets/mint", mint)


async def test_a_partial_halt_ends_by_itself(world: tuple[ApiWorld, Clock]) -> None:
    api, clock = world
    await api.done("/verses/senate/halt", {"reason": "a look at it", "for_s": 600})
    assert await statuses(api) == {"us-2028": "active", "senate": "halted"}
    clock.pass_s(601)
    await asyncio.sleep(0.3)
    assert await statuses(api) == {"us-2028": "active", "senate": "active"}
