"""Pools of market makers over HTTP on a real engine, from creation to the redemption of what they sold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tradewind.node.projections.exchange import ExchangeViews

from .conftest import ApiWorld, Clock, api_world

HOUR_NS = 3_600 * 10**9
OWNERS = ("alice", "bob", "carol", "operator")


class PoolWorld:
    """An API whose clock the test moves, funded accounts, and outcome markets."""

    def __init__(self, api: ApiWorld, clock: Clock) -> None:
        self.api, self.clock = api, clock

    async def open(self) -> None:
        await self.api.done("/assets", {"symbol": "USDC", "settlement": True})
        for name in OWNERS:
            await self.api.done("/accounts", {"name": name})
            body = {"account": name, "asset": "USDC", "amount": "100000", "external_id": name}
            await self.api.done("/deposits", body)

    async def market(self, outcomes: int, hours: float = 26) -> str:
        """An outcome market that settles in so many hours of the moved clock."""
        settle_ns = self.api.node.now_ns() + int(hours * HOUR_NS)
        body = {
            "kind": "outcome",
            "outcomes": outcomes,
            "settle": moment(settle_ns),
            "quote": "USDC",
            "tick_size": "0.001",
            "lot_size": "0.001",
            "taker_fee_bps": "28",
            "maker_fee_bps": "0",
            "min_notional": "0.000001",
        }
        return f"OUTCOME-{(await self.api.done('/markets', body))['value']}"

    async def pool(self, outcomes: int, kind: str | None = None, hours: float = 48) -> str:
        name = await self.market(outcomes, hours)
        await self.api.done("/pools", {"market": name, "funding": "1000", "kind": kind})
        return name

    async def pass_hours(self, hours: float) -> None:
        """Time passes, with the Ticks of the node."""
        while hours > 0:
            step = min(hours, 0.9)
            hours -= step
            self.clock.pass_s(step * 3_600)
            await asyncio.sleep(0.25)

    async def shown(self, path: str) -> dict[str, Any]:
        answer = await self.api.get(path)
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document

    async def swap(self, name: str, **body: Any) -> dict[str, Any]:
        one = {"account": "alice", "market": name, "outcome": 0, "side": "buy", "slippage_bp": 20}
        effect = (await self.api.done("/pools/swap", one | body))["effect"]
        return dict(effect)

    async def refused(self, path: str, body: dict[str, Any], code: str) -> None:
        before = await self.api.state_hash()
        answer = await self.api.post(path, body)
        assert answer.json()["name"] == code, answer.text
        assert await self.api.state_hash() == before

    async def free(self, account: str) -> Decimal:
        rows = (await self.shown(f"/accounts/{account}/balances"))["balances"]
        return Decimal(rows[0]["free"])

    async def claims(self, account: str, name: str) -> dict[str, str]:
        rows = (await self.shown(f"/accounts/{account}/claims?market={name}"))["claims"]
        return {row["name"]: row["free"] for row in rows}


def moment(time_ns: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(time_ns / 1e9, UTC).isoformat()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[PoolWorld]:
    clock = Clock()
    async with api_world(tmp_path, clock) as api:
        world = PoolWorld(api, clock)
        await world.open()
        yield world


async def test_a_quote_is_what_the_swap_gives(world: PoolWorld) -> None:
    for outcomes, kind in ((4, "lmsr"), (2, "pm-static"), (2, "pm-dynamic"), (2, "lmsr")):
        name = await world.pool(outcomes, kind)
        for side, exact, amount in (
            ("buy", False, "40"),
            ("buy", True, "25.5"),
            ("sell", False, "10"),
            ("sell", True, "7"),
        ):
            asked = f"outcome=1&side={side}&amount={amount}&exact={str(exact).lower()}"
            quote = await world.shown(f"/pools/{name}/quote?{asked}")
            before = await world.free("alice")
            money = Decimal(quote["pay"] if side == "buy" else quote["receive"])
            done = await world.swap(name, outcome=1, side=side, amount=amount, exact=exact)
            same = ("shares", "fee", "price_before")
            # A dynamic pool shrinks between the two by some millionths.
            room = Decimal("0.0005") if kind == "pm-dynamic" else Decimal(0)
            for key in same:
                assert abs(Decimal(done[key]) - Decimal(quote[key])) <= room, (kind, side, exact, key)
            moved = (
                before - await world.free("alice") if side == "buy" else await world.free("alice") - before
            )
            assert abs(moved - money) <= room, (kind, side, exact)


async def test_a_pool_shows_prices_reserves_depth_fees_and_providers(world: PoolWorld) -> None:
    name = await world.pool(3)
    shown = await world.shown(f"/pools/{name}")
    assert (shown["kind"], shown["chosen"], shown["liquidity"]) == ("lmsr", False, "910.239226")
    assert [row["price"] for row in shown["outcomes"]] == ["0.333333333"] * 3
    done = await world.swap(name, outcome=2, amount="50")
    shown = await world.shown(f"/pools/{name}?account=operator")
    prices = [Decimal(row["price"]) for row in shown["outcomes"]]
    assert abs(sum(prices) - 1) < Decimal("1e-8")
    assert str(prices[2]) == done["price_after"]
    assert (shown["swaps"], shown["volume"], shown["fees"]) == (1, "50", done["fee"])
    assert Decimal(shown["provider_fees"]) == Decimal(done["fee"]) * Decimal("0.35")
    # Cash and sets of the pool are its funding, the price of what it sold and its part of the fee.
    sets = min(Decimal(row["reserve"]) for row in shown["outcomes"])
    assert Decimal(shown["cash"]) + sets == 1_050 + Decimal(shown["provider_fees"]) - Decimal(done["shares"])
    assert [(row["shares"], row["part"], row["locked"]) for row in shown["providers"]] == [
        ("1000", "1", True)
    ]
    assert (await world.shown(f"/pools/{name}?account=alice"))["providers"] == []
    # The depth is what it says: so much money moves the price by 0.02.
    row = shown["outcomes"][2]
    quote = await world.shown(f"/pools/{name}/quote?outcome=2&side=buy&amount={row['depth']}")
    assert abs(Decimal(quote["price_after"]) - Decimal(row["price"]) - Decimal("0.02")) < Decimal("1e-7")
    rows = (await world.shown("/pools"))["pools"]
    assert [(one["market"], one["kind"], one["providers"]) for one in rows] == [(name, "lmsr", 1)]


async def test_what_cannot_be_is_refused_with_its_own_error(world: PoolWorld) -> None:
    name, many = await world.pool(2), await world.market(5)
    swap = {"account": "alice", "market": name, "outcome": "yes", "side": "buy", "amount": "10", "limit": "1"}
    for path, body, code in [
        ("/pools", {"market": "OUTCOME-9", "funding": "100"}, "MARKET_NOT_FOUND"),
        ("/pools", {"market": many, "funding": "100", "kind": "pm"}, "UNKNOWN_POOL_KIND"),
        ("/pools", {"market": many, "funding": "100", "kind": "pm-static"}, "INVALID_AMM_KIND"),
        ("/pools", {"market": many, "funding": "99.999999"}, "BELOW_MINIMUM"),
        ("/pools", {"market": many, "funding": "-5"}, "INVALID_AMOUNT"),
        ("/pools", {"market": many, "funding": "100000.1"}, "INSUFFICIENT_BALANCE"),
        ("/pools", {"market": many, "funding": "100", "account": "alice"}, "PERMISSION_DENIED"),
        ("/pools", {"market": name, "funding": "100"}, "ALREADY_EXISTS"),
        ("/pools/swap", {**swap, "market": many, "outcome": 0}, "POOL_NOT_FOUND"),
        ("/pools/swap", {**swap, "outcome": "perhaps"}, "INVALID_OUTCOME"),
        ("/pools/swap", {**swap, "amount": "0"}, "INVALID_AMOUNT"),
        ("/pools/swap", {**swap, "amount": "nan"}, "NOT_A_NUMBER"),
        ("/pools/swap", {**swap, "amount": 1.5}, "FLOAT_MONEY"),
        ("/pools/swap", {**swap, "amount": "0.0001"}, "BELOW_MINIMUM"),
        ("/pools/swap", {**swap, "amount": "600"}, "PRICE_IMPACT_TOO_HIGH"),
        ("/pools/swap", {**swap, "limit": "20"}, "SLIPPAGE_EXCEEDED"),
        ("/pools/swap", {**swap, "limit": None}, "MALFORMED_REQUEST"),
        ("/pools/swap", {**swap, "slippage_bp": 5}, "MALFORMED_REQUEST"),
        ("/pools/swap", {**swap, "limit": None, "slippage_bp": 10_001}, "PARAMETER_OUT_OF_BOUNDS"),
        ("/pools/swap", {**swap, "max_impact_bp": 2_001}, "PARAMETER_OUT_OF_BOUNDS"),
        ("/pools/swap", {**swap, "deadline_s": -1}, "PARAMETER_OUT_OF_BOUNDS"),
        ("/pools/swap", {**swap, "side": "hold"}, "MALFORMED_REQUEST"),
        ("/pools/swap", {**swap, "side": "sell"}, "INSUFFICIENT_SHARES"),
        ("/pools/add", {"account": "bob", "market": name, "amount": "49"}, "BELOW_MINIMUM"),
        ("/pools/add", {"account": "bob", "market": many, "amount": "60"}, "POOL_NOT_FOUND"),
        (
            "/pools/add",
            {"account": "bob", "market": name, "amount": "60", "min_shares": "61"},
            "SLIPPAGE_EXCEEDED",
        ),
        ("/pools/remove", {"account": "operator", "market": name}, "LIQUIDITY_LOCKED"),
        ("/pools/remove", {"account": "bob", "market": name}, "SHARES_ZERO"),
        ("/pools/remove", {"account": "bob", "market": name, "shares": "1"}, "INSUFFICIENT_SHARES"),
        ("/pools/collect", {"account": "bob", "market": name}, "NOTHING_TO_CLAIM"),
    ]:
        await world.refused(path, body, code)
    for query, code in [
        ("outcome=yes&side=buy", "MALFORMED_REQUEST"),
        ("outcome=yes&side=up&amount=1", "MALFORMED_REQUEST"),
        ("outcome=yes&side=buy&amount=1&exact=perhaps", "MALFORMED_REQUEST"),
        ("outcome=yes&side=buy&amount=1&slippage_bp=x", "PARAMETER_OUT_OF_BOUNDS"),
        ("outcome=3&side=buy&amount=1", "INVALID_OUTCOME"),
        ("outcome=yes&side=sell&amount=100000&exact=true", "INSUFFICIENT_LIQUIDITY"),
        ("outcome=yes&side=buy&amount=100000000", "POOL_DOMAIN_EXCEEDED"),
    ]:
        answer = await world.api.get(f"/pools/{name}/quote?{query}")
        assert answer.json()["name"] == code, answer.text


async def test_from_creation_over_swaps_and_liquidity_to_redemption(world: PoolWorld, tmp_path: Path) -> None:
    name = await world.market(2)
    created = await world.api.done("/pools", {"market": name, "funding": "500"})
    assert created["effect"]["kind"] == "pm-dynamic"
    bought = await world.swap(name, outcome="yes", amount="30")
    assert await world.claims("alice", name) == {"yes": bought["shares"]}
    added = await world.api.done("/pools/add", {"account": "bob", "market": name, "amount": "200"})
    assert Decimal("199.9") < Decimal(added["effect"]["money"]) <= 200
    await world.pass_hours(24.2)
    shown = (await world.shown(f"/pools/{name}?account=bob"))["providers"][0]
    assert not shown["locked"]
    free = await world.free("bob")
    collected = await world.api.done("/pools/collect", {"account": "bob", "market": name})
    sets = min(Decimal(one) for one in shown["to_collect"].values())
    assert abs(Decimal(collected["effect"]["money"]) - sets) < Decimal("0.5")
    assert await world.free("bob") == free + Decimal(collected["effect"]["money"])
    removed = await world.api.done("/pools/remove", {"account": "bob", "market": name})
    assert removed["effect"]["account_shares"] == "0"
    await world.swap(name, outcome="yes", side="sell", amount="5")
    # The end: the market closes, its payout is proposed and stands.
    await world.pass_hours(2)
    refusal = {"account": "alice", "market": name, "outcome": 0, "side": "buy", "amount": "5", "limit": "1"}
    await world.refused("/pools/swap", refusal, "MARKET_NOT_ACTIVE")
    claim = {"account": "carol", "payout": "0", "evidence": ["the official result"]}
    await world.api.done(f"/markets/{name}/resolution/propose", claim)
    await world.pass_hours(2.2)
    await world.api.done(f"/markets/{name}/resolution/finalise", {})
    await world.api.done("/pools/remove", {"account": "operator", "market": name})
    assert (await world.shown("/pools"))["pools"] == []
    for owner in ("alice", "bob", "operator"):
        held = Decimal((await world.claims(owner, name)).get("yes", "0"))
        before = await world.free(owner)
        if await world.claims(owner, name):
            paid = await world.api.done(f"/markets/{name}/redeem", {"account": owner})
            assert Decimal(paid["effect"]["amount"]) == held
        assert await world.free(owner) == before + held
    market = int(name.rpartition("-")[2])
    views = world.api.views
    assert [views.ledger.system_line(line, 0, market + 1) for line in (0x81, 0x82)] == [0, 0]
    rebuilt = ExchangeViews()
    rebuilt.rebuild(tmp_path / "journal")
    assert rebuilt.pools.by_market == views.pools.by_market == {}


async def test_views_rebuilt_from_the_log_hold_the_same_pools(world: PoolWorld, tmp_path: Path) -> None:
    for outcomes, kind in ((3, None), (2, None), (2, "pm-static")):
        name = await world.pool(outcomes, kind)
        await world.swap(name, amount="20")
        await world.api.done("/pools/add", {"account": "bob", "market": name, "amount": "150"})
        await world.pass_hours(0.9)
        await world.swap(name, outcome=1, amount="5")
    rebuilt = ExchangeViews()
    rebuilt.rebuild(tmp_path / "journal")
    live = world.api.views.pools.by_market
    assert rebuilt.pools.by_market == live
    assert [len(one.providers) for one in live.values()] == [2, 2, 2]
