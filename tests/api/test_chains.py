"""Chains over HTTP on a real engine: a quote, three steps at once, and the way back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tradewind import _core
from tradewind.node.projections.chains import KINDS

from .conftest import Clock, api_world
from .test_pools import PoolWorld


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[PoolWorld]:
    clock = Clock()
    async with api_world(tmp_path, clock) as api:
        world = PoolWorld(api, clock)
        await world.open()
        yield world


def mint(market: str, amount: str = "100") -> dict[str, Any]:
    return {"kind": "mint_set", "market": market, "amount": amount}


def sell(market: str, amount: str, limit: str, outcome: int = 2) -> dict[str, Any]:
    return {"kind": "pool_sell", "market": market, "outcome": outcome, "amount": amount, "limit": limit}


VAULT = {"kind": "vault_deposit", "amount": "50"}


async def opened(world: PoolWorld, *steps: dict[str, Any]) -> dict[str, Any]:
    return dict(await world.api.done("/chains", {"account": "alice", "steps": list(steps)}))


async def test_a_chain_costs_what_was_quoted_and_its_steps_are_undone_whole(world: PoolWorld) -> None:
    name = await world.pool(4, "lmsr")
    steps = [mint(name), sell(name, "100", "20"), VAULT]
    quote = (await world.api.post("/chains/quote", {"steps": steps})).json()
    assert (quote["base"], quote["rate_bp"], quote["fee"]) == ("170", 50, "0.85")
    before = await world.free("alice")
    done = await opened(world, *steps)
    effect = done["effect"]
    assert (effect["state"], effect["base"], effect["fee"]) == ("open", quote["base"], quote["fee"])
    assert [row["kind"] for row in effect["steps"]] == ["mint_set", "pool_sell", "vault_deposit"]
    assert (effect["steps"][0]["sets"], effect["steps"][1]["shares"]) == ("100", "100")
    assert effect["leverage_cap"] == "1.00", "the vault is in its first stage"
    assert Decimal(effect["effective_leverage"]) < 1
    spent = before - await world.free("alice")
    assert Decimal("110") < spent < Decimal("150.85")
    assert await world.claims("alice", name) == {"0": "100", "1": "100", "3": "100"}
    number = done["value"]
    rows = (await world.shown("/accounts/alice/chains"))["chains"]
    assert [row["chain"] for row in rows] == [number]
    await world.refused(f"/chains/{number}/close", {"limits": [None, "10"]}, "CHAIN_STEP_FAILED")
    answer = await world.api.post(f"/chains/{number}/close", {"limits": [None, "10"]})
    problem = answer.json()
    assert (problem["bound"], problem["codes"]) == (2, ["SLIPPAGE_EXCEEDED"])
    closed = await world.api.done(f"/chains/{number}/close", {"limits": [None, "60"]})
    assert closed["effect"]["state"] == "closed"
    assert await world.claims("alice", name) == {}
    assert (await world.shown("/accounts/alice/chains"))["chains"] == []
    assert (await world.shown(f"/chains/{number}"))["state"] == "closed"
    await world.refused(f"/chains/{number}/close", {}, "POSITION_NOT_FOUND")


async def test_a_refused_chain_names_the_step_and_its_code_and_changes_nothing(world: PoolWorld) -> None:
    name = await world.pool(3, "lmsr")
    bad = {"account": "alice", "steps": [mint(name), sell(name, "100.5", "1")]}
    await world.refused("/chains", bad, "CHAIN_STEP_FAILED")
    problem = (await world.api.post("/chains", bad)).json()
    assert (problem["bound"], problem["codes"]) == (2, ["INSUFFICIENT_SHARES"])
    for steps, code in [
        ([], "CHAIN_STEP_COUNT"),
        ([VAULT, mint(name), mint(name), VAULT], "CHAIN_STEP_COUNT"),
        ([mint(name), mint(name, "5")], "CHAIN_CYCLE"),
        ([mint(name, "0.9")], "BELOW_MINIMUM"),
        ([mint(name) | {"outcome": 1}], "MALFORMED_REQUEST"),
        ([{"kind": "mint_set", "amount": "1"}], "MALFORMED_REQUEST"),
        ([VAULT | {"limit": "1"}], "MALFORMED_REQUEST"),
        ([sell(name, "1", "1") | {"limit": None}], "MALFORMED_REQUEST"),
        ([sell(name, "1", "1", 7)], "INVALID_OUTCOME"),
        ([VAULT | {"lock_days": 30}], "MALFORMED_REQUEST"),
    ]:
        await world.refused("/chains", {"account": "alice", "steps": steps}, code)
    flash = {"kind": "flash_borrow", "amount": "10"}
    answer = await world.api.post("/chains", {"account": "alice", "steps": [mint(name), flash]})
    assert answer.json()["codes"] == ["PERMISSION_DENIED"]


async def test_a_released_chain_leaves_what_it_holds(world: PoolWorld) -> None:
    name = await world.pool(2, "pm-static")
    number = (await opened(world, mint(name, "40")))["value"]
    released = await world.api.done(f"/chains/{number}/close", {"release": True})
    assert released["effect"]["state"] == "released"
    assert await world.claims("alice", name) == {"yes": "40", "no": "40"}


async def test_quotes_show_flash_loans_and_two_verses(world: PoolWorld) -> None:
    names = [await world.market(2), await world.market(3)]
    for name, slug in zip(names, ("one", "two"), strict=True):
        await world.api.done("/verses", {"slug": slug})
        await world.api.done(f"/markets/{name}/verse", {"verse": slug})
    flash = {"kind": "flash_borrow", "amount": "1000.000001"}
    steps = [mint(names[0]), mint(names[1]), flash]
    quote = (await world.api.post("/chains/quote", {"steps": steps})).json()
    assert (quote["verses"], quote["rate_bp"], quote["fee"]) == (2, 100, "2")
    assert (quote["flash_principal"], quote["flash_fee"]) == ("1000.000001", "20.000001")
    # As everything is correlated until somebody measures it, the engine does not take it.
    await world.refused("/chains", {"account": "alice", "steps": steps[:2]}, "CORRELATION_TOO_HIGH")


def ordered(kind: str, market: str, limit: str, outcome: str | int = "no") -> dict[str, Any]:
    return {"kind": kind, "market": market, "outcome": outcome, "amount": "10", "limit": limit}


async def resting(world: PoolWorld, name: str, side: str, price: str, quantity: str = "10") -> None:
    order = {"account": "bob", "market": name, "side": side, "price": price, "quantity": quantity}
    await world.api.done("/orders", order | {"outcome": 1})


async def test_an_order_in_a_book_is_quoted_filled_whole_shown_and_undone(world: PoolWorld) -> None:
    name = await world.market(2)
    await world.api.done("/sets/mint", {"account": "bob", "market": name, "quantity": "100"})
    await resting(world, name, "sell", "0.44")
    await resting(world, name, "buy", "0.4")
    steps = [VAULT, ordered("book_buy", name, "0.45")]
    quote = (await world.api.post("/chains/quote", {"steps": steps})).json()
    # $50, and ten contracts at 0.45 or less.
    assert (quote["base"], quote["fee"]) == ("54.5", "0.2725")
    done = await opened(world, *steps)
    effect = done["effect"]
    assert (effect["base"], effect["fee"]) == (quote["base"], quote["fee"])
    assert effect["steps"][1] == {
        "kind": "book_buy", "market": name, "outcome": "no", "amount": "10", "limit": "0.45", "shares": "10",
    }  # fmt: skip
    assert await world.claims("alice", name) == {"no": "10"}
    path = f"/chains/{done['value']}/close"
    await world.refused(path, {"limits": [None, "0.4005"]}, "TICK_MISALIGNED")
    await world.refused(path, {"limits": [None, "0.401"]}, "CHAIN_STEP_FAILED")
    problem = (await world.api.post(path, {"limits": [None, "0.401"]})).json()
    assert (problem["bound"], problem["codes"]) == (2, ["FOK_NOT_FILLABLE"])
    closed = await world.api.done(path, {"limits": [None, "0.4"]})
    assert closed["effect"]["state"] == "closed"
    assert await world.claims("alice", name) == {}


async def test_what_was_sold_in_a_book_is_bought_back_and_merged(world: PoolWorld) -> None:
    name = await world.market(3)
    await world.api.done("/sets/mint", {"account": "bob", "market": name, "quantity": "100"})
    await resting(world, name, "buy", "0.3")
    steps = [mint(name, "10"), ordered("book_sell", name, "0.3", outcome=1)]
    done = await opened(world, *steps)
    assert await world.claims("alice", name) == {"0": "10", "2": "10"}
    await resting(world, name, "sell", "0.32")
    path = f"/chains/{done['value']}/close"
    assert (await world.api.done(path, {"limits": [None, "0.32"]}))["effect"]["state"] == "closed"
    assert await world.claims("alice", name) == {}


async def test_an_order_says_its_outcome_and_price_and_comes_last(world: PoolWorld) -> None:
    name = await world.market(2)
    order = ordered("book_buy", name, "0.45")
    for steps, code in [
        ([order | {"limit": None}], "MALFORMED_REQUEST"),
        ([order | {"outcome": None}], "MALFORMED_REQUEST"),
        ([order | {"exact": True}], "MALFORMED_REQUEST"),
        ([order | {"limit": "0.4505"}], "TICK_MISALIGNED"),
        ([order | {"amount": "1.0005"}], "LOT_MISALIGNED"),
        ([order | {"outcome": 2}], "INVALID_OUTCOME"),
        ([order, VAULT], "CHAIN_STEP_FAILED"),
    ]:
        await world.refused("/chains", {"account": "alice", "steps": steps}, code)
    for steps, place, inner in [
        ([order, VAULT], 1, "INVALID_ORDER_TYPE"),
        ([VAULT, order], 2, "FOK_NOT_FILLABLE"),
        ([order | {"limit": "1"}], 1, "INVALID_PRICE"),
    ]:
        problem = (await world.api.post("/chains", {"account": "alice", "steps": steps})).json()
        assert (problem["bound"], problem["codes"]) == (place, [inner])


def test_steps_have_the_numbers_of_the_engine() -> None:
    fields = [name for name, _, _ in _core.field_tables()["OpenChain"]]
    assert fields[:6] == ["kind_1", "outcome_1", "detail_1", "market_1", "amount_1", "limit_1"]
    assert len(fields) == 18
    assert sorted(KINDS.values()) == [1, 2, 3, 4, 5, 6, 7, 8, 10]
