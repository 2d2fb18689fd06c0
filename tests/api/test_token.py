"""The token over HTTP on a real engine: issue, vesting, stakes, rewards, seasons."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tradewind.node.projections.token import POOLS, SUPPLY

from .conftest import ApiWorld, Clock, api_world

DAY_S = 86_400


class TokenWorld:
    """An API world with the token, a market with fees, and a clock that the test moves."""

    def __init__(self, api: ApiWorld, clock: Clock) -> None:
        self.api, self.clock = api, clock

    async def pass_days(self, days: float) -> None:
        self.clock.pass_s(days * DAY_S)
        # The node tells the engine of the jump with its next Tick.
        await asyncio.sleep(0.3)

    async def token(self) -> dict[str, Any]:
        document: dict[str, Any] = (await self.api.get("/token")).json()
        return document

    async def trade(self) -> None:
        """Alice sells one to bob at 20,000."""
        order = {"market": "BTC/USDT", "quantity": "1", "price": "20000"}
        await self.api.done("/orders", {**order, "account": "alice", "side": "sell"})
        await self.api.done("/orders", {**order, "account": "bob", "side": "buy"})

    async def stakes(self, account: str) -> dict[str, Any]:
        document: dict[str, Any] = (await self.api.get(f"/accounts/{account}/stakes")).json()
        return document


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[TokenWorld]:
    clock = Clock()
    async with api_world(tmp_path, clock) as api:
        await api.market()
        await api.done("/assets", {"symbol": "MMT", "token": True})
        yield TokenWorld(api, clock)


def whole(document: dict[str, Any]) -> Decimal:
    return sum(
        (Decimal(document[line]) for line in ("reserved", "season", "circulating", "burned")), Decimal(0)
    )


async def test_p11_1_the_supply_is_shown_by_its_parts_and_cannot_come_in_from_outside(
    world: TokenWorld,
) -> None:
    document = await world.token()
    assert (document["supply"], document["reserved"]) == ("100000000", "90000000")
    assert (document["season"], document["circulating"], document["burned"]) == ("10000000", "0", "0")
    assert [Decimal(row["size"]) * 10**6 for row in document["pools"]] == [pool.size for pool in POOLS]
    body = {"account": "alice", "asset": "MMT", "amount": "1", "external_id": "mint"}
    answer = await world.api.post("/deposits", body)
    assert answer.json()["name"] == "SUPPLY_EXCEEDED"
    again = await world.api.post("/assets", {"symbol": "MMT2", "token": True})
    assert again.json()["name"] == "ALREADY_EXISTS"


async def test_vested_tokens_are_claimed_staked_rewarded_and_taken_back(world: TokenWorld) -> None:
    api = world.api
    for name in ("alice", "bob"):
        await api.done("/token/vesting", {"account": name, "pool": "ecosystem", "amount": "1825000"})
    locked = await api.done("/token/vesting", {"account": "bob", "pool": "team", "amount": "5"})
    await world.pass_days(2)
    cliff = await api.post("/token/vesting/claim", {"account": "bob", "schedule": locked["value"]})
    assert cliff.json()["name"] == "VESTING_CLIFF"
    for number, name in enumerate(("alice", "bob"), 1):
        await api.done("/token/vesting/claim", {"account": name, "schedule": number})
    foreign = await api.post("/token/vesting/claim", {"account": "bob", "schedule": 1})
    assert foreign.json()["name"] == "WRONG_OWNER"
    rows = (await api.get("/token/vesting")).json()["schedules"]
    assert [row["state"] for row in rows] == ["vesting", "vesting", "locked"]
    assert Decimal(rows[0]["claimed"]) >= 2_000

    few = await api.post("/token/stake", {"account": "alice", "amount": "99"})
    assert few.json()["name"] == "BELOW_MINIMUM"
    odd = await api.post("/token/stake", {"account": "alice", "amount": "100", "lock_days": 7})
    assert odd.json()["name"] == "INVALID_LOCK"
    await api.done("/token/stake", {"account": "alice", "amount": "1000", "lock_days": 90})
    await api.done("/token/stake", {"account": "bob", "amount": "1500"})
    await world.trade()
    # Taker 20, maker 10: 15 % of 30 are 4.5, half of it for each weight of 1,500.
    for name in ("alice", "bob"):
        [lot] = (await world.stakes(name))["stakes"]
        assert abs(Decimal(lot["pending"]["USDT"]) - Decimal("2.25")) <= Decimal("0.000001")
    before = (await api.get("/accounts/alice/balances")).json()
    await api.done("/token/claim", {"account": "alice"})
    assert (await world.stakes("alice"))["stakes"][0]["pending"] == {}
    assert before != (await api.get("/accounts/alice/balances")).json()
    nothing = await api.post("/token/claim", {"account": "alice"})
    assert nothing.json()["name"] == "NOTHING_TO_CLAIM"
    early = await api.post("/token/unstake", {"account": "alice", "lot": 1})
    assert early.json()["name"] == "STAKE_LOCKED"
    await api.done("/token/unstake", {"account": "bob", "lot": 1})
    document = await world.token()
    assert (document["staked"], document["total_weight"]) == ("1000", "1500")
    assert (await world.stakes("alice"))["tier"] == "silver"
    assert whole(document) * 10**6 == SUPPLY


async def test_the_shown_rewards_are_those_that_the_engine_pays(world: TokenWorld) -> None:
    """P2.2.1: the view's lots and accumulators equal the engine's after stakes, claims and trades."""
    api = world.api
    for name in ("alice", "bob"):
        await api.done("/token/vesting", {"account": name, "pool": "ecosystem", "amount": "1825000"})
    await world.pass_days(3)
    for number, name in enumerate(("alice", "bob"), 1):
        await api.done("/token/vesting/claim", {"account": name, "schedule": number})
        await api.done("/token/stake", {"account": name, "amount": f"{333 * number}.000007", "lock_days": 30})
    await world.trade()
    await api.done("/token/stake", {"account": "alice", "amount": "777.7", "lock_days": 0})
    await world.trade()
    ledger, view = world.api.views.ledger, world.api.views.token
    usdt = world.api.views.assets.by_symbol["USDT"].asset
    for name in ("bob", "alice"):
        handle = world.api.views.accounts.by_owner[api.identities.key(name)].account
        shown = sum(view.pending(lot, ledger).get(usdt, 0) for lot in view.lots[handle].values())
        before = ledger.line(handle, usdt)
        await api.done("/token/claim", {"account": name})
        assert ledger.line(handle, usdt) - before == shown > 0


async def test_seasons_open_by_budget_and_end_by_time(world: TokenWorld) -> None:
    api = world.api
    early = await api.post("/token/seasons/settle", {"season": 1})
    assert early.json()["name"] == "SEASON_NOT_ACTIVE"
    much = await api.post("/token/seasons", {"season": 1, "budget": "10000001"})
    assert much.json()["name"] == "SUPPLY_EXCEEDED"
    await api.done("/token/seasons", {"season": 1, "budget": "10000000"})
    await world.pass_days(1)
    [season] = (await world.token())["seasons"]
    assert abs(Decimal(season["emitted"]) - Decimal("55555.555555")) < 30
    late = await api.post("/token/vesting", {"account": "bob", "pool": "team", "amount": "5"})
    assert late.json()["name"] == "APPROVALS_MISSING"
    proposed = await api.done(
        "/token/vesting", {"account": "bob", "pool": "team", "amount": "5", "propose": True}
    )
    for approver in ("approver_1", "approver_2", "approver_3"):
        await api.done(f"/proposals/{proposed['value']}/approve", {"actor": approver})
    early = await api.post(f"/proposals/{proposed['value']}/execute", {})
    assert early.json()["name"] == "TIMELOCK_ACTIVE"
    await world.pass_days(7)
    await api.done(f"/proposals/{proposed['value']}/execute", {})
    [schedule] = (await api.get("/token/vesting")).json()["schedules"]
    assert (schedule["account"], schedule["pool"], schedule["amount"]) == ("bob", "team", "5")
    kept = await api.post("/token/vesting/revoke", {"schedule": schedule["schedule"]})
    assert kept.json()["name"] == "NOT_REVOCABLE"
    revoked = await api.post("/token/vesting/revoke", {"schedule": 9})
    assert revoked.json()["name"] == "NOTHING_TO_CLAIM"
    await world.pass_days(172)
    for _ in range(100):
        document = await world.token()
        if document["seasons"][0]["state"] == "settled":
            break
        await asyncio.sleep(0.1)
    # Nobody earned anything: the whole budget is back.
    assert (document["seasons"][0]["state"], document["reserved"]) == ("settled", "100000000")
    assert whole(document) * 10**6 == SUPPLY
