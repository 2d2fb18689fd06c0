"""Makers' rewards over HTTP on a real engine: the list, samples, an hour, claims."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from .conftest import ApiWorld, Clock, api_world

HOUR_S = 3_600


class RewardWorld:
    """An API world with a season in course, a rewarded market, and a clock that the test moves."""

    def __init__(self, api: ApiWorld, clock: Clock) -> None:
        self.api, self.clock = api, clock

    async def pass_s(self, seconds: float) -> None:
        self.clock.pass_s(seconds)
        # The node samples with its next Tick.
        await asyncio.sleep(0.3)

    async def rewards(self, account: str) -> dict[str, Any]:
        document: dict[str, Any] = (await self.api.get(f"/accounts/{account}/rewards")).json()
        return document


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[RewardWorld]:
    clock = Clock()
    # Ten seconds behind a whole hour: no hour ends before the test lets one pass.
    clock.pass_s(HOUR_S - time.time() % HOUR_S + 10)
    async with api_world(tmp_path, clock) as api:
        await api.market()
        await api.done("/assets", {"symbol": "MMT", "token": True})
        await api.done("/token/seasons", {"season": 1, "budget": "10000000"})
        await api.done("/token/rewards/books", {"market": "BTC/USDT"})
        yield RewardWorld(api, clock)


async def test_what_a_maker_shows_is_rewarded_by_the_hour_and_claimed_once(world: RewardWorld) -> None:
    api = world.api
    sides = {"buy": "19990", "sell": "20010"}
    for side, price in sides.items():
        body = {"account": "alice", "market": "BTC/USDT", "side": side, "quantity": "1", "price": price}
        await api.done("/orders", body)
    assert (await world.rewards("alice"))["claimable"] == {}
    for _ in range(3):
        await world.pass_s(1)
    await world.pass_s(HOUR_S)
    document = (await api.get("/token/rewards")).json()
    assert document["books"] == ["BTC/USDT"]
    row = document["hour"]["makers"][0]
    assert (row["account"], row["book"], row["mean_depth"]) == ("alice", "BTC/USDT", "20000")
    claimable = (await world.rewards("alice"))["claimable"]
    assert Decimal(claimable["MMT"]) == Decimal(row["by_score"]) > 0
    token = (await api.get("/token")).json()
    parts = sum(Decimal(token[line]) for line in ("reserved", "season", "circulating", "burned"))
    assert (parts, token["season"]) == (100_000_000, "10000000")
    await api.done("/token/rewards/claim", {"account": "alice"})
    assert (await world.rewards("alice"))["claimable"] == {}
    assert Decimal((await api.get("/token")).json()["circulating"]) == Decimal(claimable["MMT"])
    again = await api.post("/token/rewards/claim", {"account": "alice"})
    assert again.json()["name"] == "NOTHING_TO_CLAIM"


async def test_a_book_is_listed_once_and_taken_off(world: RewardWorld) -> None:
    api = world.api
    again = await api.post("/token/rewards/books", {"market": "BTC/USDT"})
    assert again.json()["name"] == "ALREADY_EXISTS"
    await api.done("/token/rewards/books", {"market": "BTC/USDT", "rewarded": False})
    assert (await api.get("/token/rewards")).json()["books"] == []


async def test_grants_of_the_launch_and_the_bootstrap_reward_are_shown_and_bounded(
    world: RewardWorld,
) -> None:
    api = world.api
    await api.done("/assets", {"symbol": "USDC", "settlement": True})
    money = {"account": "alice", "asset": "USDC", "amount": "2000", "external_id": "alice-USDC"}
    await api.done("/deposits", money)
    unknown = await api.post("/token/launch", {"account": "alice", "amount": "100"})
    assert unknown.json()["name"] == "SUITABILITY_REQUIRED"
    await api.done("/suitability", {"account": "alice"})
    await world.pass_s(HOUR_S)
    await api.done("/token/launch", {"account": "alice", "amount": "100"})
    again = await api.post("/token/launch", {"account": "alice", "amount": "1"})
    assert again.json()["name"] == "ALREADY_EXISTS"
    assert (await world.rewards("alice"))["launch"] == "100"
    assert (await world.rewards("bob"))["bootstrap"] is None
    await api.done("/vault/deposit", {"account": "alice", "amount": "1500"})
    await world.pass_s(HOUR_S)
    shown = (await world.rewards("alice"))["bootstrap"]
    assert (shown["units"], shown["share"], shown["claimed"]) == ("2750", "2000000", "0")
    early = await api.post("/token/bootstrap/claim", {"account": "alice"})
    assert early.json()["name"] == "TOO_EARLY"
    await world.pass_s(180 * 24 * HOUR_S)
    await api.done("/token/bootstrap/claim", {"account": "alice"})
    shown = (await world.rewards("alice"))["bootstrap"]
    assert shown["claimed"] == shown["share"] == "2000000"
    token = (await api.get("/token")).json()
    assert (token["circulating"], token["season"]) == ("2000100", "0")
