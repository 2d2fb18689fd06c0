"""The dark midpoint cross over HTTP on a real engine: off by default, unseen, printed later (P16)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from .conftest import READ_TOKEN, ApiWorld, Clock, api_world

DAY_S = 86_400
PLACE = 193


class DarkWorld:
    """A spot market with a lit book of 99.99 and 100.01, whose clock the test moves."""

    def __init__(self, api: ApiWorld, clock: Clock) -> None:
        self.api, self.clock = api, clock

    async def pass_s(self, seconds: float) -> None:
        self.clock.pass_s(seconds)
        await asyncio.sleep(0.3)

    async def open(self) -> None:
        for asset in ("USDT", "BTC"):
            await self.api.done("/assets", {"symbol": asset})
        body = {"base": "BTC", "quote": "USDT", "tick_size": "0.01", "lot_size": "0.001"}
        body |= {"taker_fee_bps": "10", "maker_fee_bps": "0", "min_notional": "1", "max_notional": "1000000"}
        await self.api.done("/markets", body)
        for name in ("alice", "bob", "carol"):
            await self.api.done("/accounts", {"name": name})
            for asset in ("USDT", "BTC"):
                body = {"account": name, "asset": asset, "amount": "1000000"}
                await self.api.done("/deposits", body | {"external_id": f"{name}-{asset}"})

    async def allow(self) -> None:
        """Governance lets the market cross, and two owners get the role."""
        for name in ("alice", "bob"):
            body = {"principal": name, "role": "dark_trader", "days": 100}
            await self.api.done("/roles/grant", body)
        fields = {"parameter": PLACE, "value": 1, "config_version": 0}
        number = (await self.api.done("/proposals", {"command": "SetParameter", "fields": fields}))["value"]
        for approver in ("approver_1", "approver_2"):
            await self.api.done(f"/proposals/{number}/approve", {"actor": approver})
        await self.pass_s(7 * DAY_S + 60)
        await self.api.done(f"/proposals/{number}/execute", {})

    async def show(self) -> None:
        for side, price in (("buy", "99.99"), ("sell", "100.01")):
            order = {"account": "carol", "market": "BTC/USDT", "side": side, "quantity": "1", "price": price}
            await self.api.done("/orders", order)

    async def own(self, account: str) -> dict[str, Any]:
        document: dict[str, Any] = (await self.api.get(f"/dark/orders?account={account}")).json()
        return document


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[DarkWorld]:
    clock = Clock()
    async with api_world(tmp_path, clock) as api:
        world = DarkWorld(api, clock)
        await world.open()
        yield world


def order(account: str, side: str, quantity: str = "400", **body: object) -> dict[str, object]:
    price = "101" if side == "buy" else "99"
    usual = {"account": account, "market": "BTC/USDT", "side": side, "quantity": quantity, "price": price}
    return {**usual, **body}


async def test_it_is_off_until_governance_and_a_role_allow_it(world: DarkWorld) -> None:
    api = world.api
    refused = await api.post("/dark/orders", order("alice", "buy"))
    assert (refused.status_code, refused.json()["name"]) == (403, "PERMISSION_DENIED")
    await api.done("/roles/grant", {"principal": "alice", "role": "dark_trader", "days": 100})
    refused = await api.post("/dark/orders", order("alice", "buy"))
    assert (refused.status_code, refused.json()["name"]) == (423, "DARK_DISABLED")
    body = {"command": "SetParameter", "fields": {"parameter": PLACE, "value": 70_000}}
    beyond = await api.post("/proposals", body)
    assert beyond.json()["name"] == "PARAMETER_OUT_OF_BOUNDS"


async def test_orders_cross_unseen_and_the_public_learns_of_it_a_minute_later(world: DarkWorld) -> None:
    api = world.api
    await world.allow()
    reference = await api.post("/dark/orders", order("alice", "buy"))
    assert (reference.status_code, reference.json()["name"]) == (409, "LIT_REFERENCE_INVALID")
    await world.show()
    small = await api.post("/dark/orders", order("alice", "buy", "99.999"))
    assert (small.status_code, small.json()["name"]) == (422, "DARK_SIZE_TOO_SMALL")
    book = (await api.get("/markets/BTC/USDT/book")).json()
    placed = await api.done("/dark/orders", order("alice", "buy", min_quantity="100"))
    number = placed["value"]
    assert placed["effect"]["quantity"] == "400"
    # The book, the orders and the prints show nothing of it; a token that only reads does not get the orders.
    now = (await api.get("/markets/BTC/USDT/book")).json()
    assert (now["bids"], now["asks"]) == (book["bids"], book["asks"])
    assert len((await api.get("/orders?account=alice")).json()["orders"]) == 0
    assert (await api.get("/dark")).json()["prints"] == []
    reader = {"Authorization": f"Bearer {READ_TOKEN}"}
    hidden = await api.http.get("/api/v1/dark/orders?account=alice", headers=reader)
    assert hidden.status_code == 403
    assert [one["order"] for one in (await world.own("alice"))["orders"]] == [number]
    assert (await world.own("bob"))["orders"] == []
    await api.done("/dark/orders", order("bob", "sell", "250"))
    await world.pass_s(2)
    mine = await world.own("alice")
    assert [(one["quantity"], one["filled"]) for one in mine["orders"]] == [("150", "250")]
    [fill] = mine["fills"]
    assert (fill["price"], fill["quantity"], fill["money"], fill["fee"]) == ("100", "250", "25000", "12.5")
    trades = (await api.get("/markets/BTC/USDT/trades")).json()["trades"]
    assert trades == []
    assert (await api.get("/dark")).json()["prints"] == []
    await world.pass_s(61)
    [shown] = (await api.get("/dark")).json()["prints"]
    assert (shown["market"], shown["price"], shown["quantity"]) == ("BTC/USDT", "100", "250")
    foreign = await api.post("/dark/orders/cancel", {"account": "bob", "order": number})
    assert (foreign.status_code, foreign.json()["name"]) == (403, "WRONG_OWNER")
    await api.done("/dark/orders/cancel", {"account": "alice", "order": number})
    gone = await api.post("/dark/orders/cancel", {"account": "alice", "order": number})
    assert (gone.status_code, gone.json()["name"]) == (404, "ORDER_NOT_FOUND")
    assert (await world.own("alice"))["orders"] == []
    assert Decimal(fill["money"]) == 25_000


@pytest.mark.parametrize(
    ("change", "status", "name"),
    [
        ({"side": "hold"}, 400, "MALFORMED_REQUEST"),
        ({"self_trade_prevention": "both"}, 422, "INVALID_ORDER_TYPE"),
        ({"market": "NO/SUCH"}, 404, "MARKET_NOT_FOUND"),
        ({"quantity": "0.0001"}, 422, "LOT_MISALIGNED"),
        ({"price": "100.001"}, 422, "TICK_MISALIGNED"),
    ],
)
async def test_malformed_orders_are_refused(
    world: DarkWorld, change: dict[str, object], status: int, name: str
) -> None:
    answer = await world.api.post("/dark/orders", order("alice", "buy") | change)
    assert (answer.status_code, answer.json()["name"]) == (status, name), answer.text
