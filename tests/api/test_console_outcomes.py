"""What the console shows of outcome markets, from a real engine: prices with their source, stages, bounds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tradewind.observe.outcome_rows import outcomes_of
from tradewind.observe.view import MAX_OUTCOME_MARKETS, OutcomeRow, OutcomesView

from .conftest import Clock, api_world
from .test_pools import PoolWorld


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[PoolWorld]:
    clock = Clock()
    async with api_world(tmp_path, clock) as api:
        world = PoolWorld(api, clock)
        await world.open()
        yield world


def shown(world: PoolWorld) -> OutcomesView:
    return outcomes_of(world.api.views, world.api.node.now_ns())


def row_of(world: PoolWorld, name: str) -> OutcomeRow:
    return next(row for row in shown(world).rows if row.symbol == name)


def prices(row: OutcomeRow) -> list[tuple[str, str | None, str]]:
    return [(one.name, one.price, one.source) for one in row.prices]


async def quote(world: PoolWorld, name: str, outcome: int, bid: str, ask: str) -> None:
    for account, side, price in (("bob", "buy", bid), ("alice", "sell", ask)):
        body = {"account": account, "market": name, "outcome": outcome, "side": side, "price": price}
        await world.api.done("/orders", body | {"quantity": "10"})


async def test_a_price_comes_from_the_book_else_the_pool_and_says_which(world: PoolWorld) -> None:
    bare, pooled = await world.market(2), await world.pool(3)
    assert prices(row_of(world, bare)) == [("yes", None, ""), ("no", None, "")]
    row = row_of(world, pooled)
    assert prices(row) == [(str(one), "0.333", "pool") for one in range(3)]
    assert (row.pool, row.pool_cash is not None, row.status, row.stage) == ("lmsr", True, "active", "")
    await world.api.done("/sets/mint", {"account": "alice", "market": bare, "quantity": "100"})
    await quote(world, bare, 0, "0.62", "0.66")
    row = row_of(world, bare)
    assert prices(row) == [("yes", "0.640", "book"), ("no", "0.360", "book")]
    assert (row.sets, row.pool, row.pool_cash) == ("100", "", None)
    await world.api.done("/sets/mint", {"account": "alice", "market": pooled, "quantity": "100"})
    await quote(world, pooled, 1, "0.30", "0.34")
    assert prices(row_of(world, pooled))[1] == ("1", "0.320", "book")


async def test_markets_that_need_eyes_come_first_and_a_final_one_shows_what_it_pays(world: PoolWorld) -> None:
    ending = [await world.market(2, hours=1.5) for _ in range(2)]
    trading = await world.market(2, hours=40)
    assert [row.symbol for row in shown(world).rows] == [*ending, trading]
    await world.pass_hours(1.6)
    first, second = ending
    for name in ending:
        body = {"account": "bob", "payout": "1", "evidence": ["seen"]}
        await world.api.done(f"/markets/{name}/resolution/propose", body)
    body = {"account": "carol", "payout": "0", "evidence": ["seen otherwise"]}
    await world.api.done(f"/markets/{second}/resolution/dispute", body)
    view = shown(world)
    assert [(row.symbol, row.stage) for row in view.rows] == [
        (second, "disputed"),
        (first, "proposed"),
        (trading, ""),
    ]
    assert (view.count, view.trading, view.disputed) == (3, 1, 1)
    await world.pass_hours(2.2)
    await world.api.done(f"/markets/{first}/resolution/finalise", {})
    row = row_of(world, first)
    assert (row.stage, prices(row)) == ("final", [("yes", "0.000", "payout"), ("no", "1.000", "payout")])
    assert shown(world).rows[-1].symbol == first and row.settles_in_ms < 0


async def test_more_markets_than_are_shown_are_still_counted(world: PoolWorld) -> None:
    for _ in range(MAX_OUTCOME_MARKETS + 2):
        await world.market(12)
    view = shown(world)
    assert (len(view.rows), view.count, view.trading) == (MAX_OUTCOME_MARKETS, MAX_OUTCOME_MARKETS + 2, 32)
    assert all(len(row.prices) == 8 and row.outcomes == 12 for row in view.rows)
