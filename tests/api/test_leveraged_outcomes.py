"""Leveraged outcome positions over HTTP on a real engine: open, health, repay, close, refusals."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from tradewind.node.projections.exchange import ExchangeViews
from tradewind.node.projections.loans import Loan, liquidation_price, maintenance_fraction

from .conftest import Clock, api_world
from .test_pools import PoolWorld

DAY_NS = 86_400 * 10**9
HOUR_NS = 3_600 * 10**9


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[PoolWorld]:
    clock = Clock()
    async with api_world(tmp_path, clock) as api:
        world = PoolWorld(api, clock)
        await world.open()
        body = {"account": "lender", "asset": "USDC", "amount": "500000", "external_id": "lender"}
        await api.done("/accounts", {"name": "lender"})
        await api.done("/deposits", body)
        await api.done("/vault/deposit", {"account": "lender", "amount": "200000"})
        await world.pass_hours(0.1)
        yield world


async def made(world: PoolWorld, outcomes: int = 2) -> str:
    """A market in which bob sells outcome 0 at 0.50 and carol bids 0.49."""
    name = await world.market(outcomes, hours=72)
    await world.api.done("/sets/mint", {"account": "bob", "market": name, "quantity": "5000"})
    for account, side, price in (("bob", "sell", "0.5"), ("carol", "buy", "0.49")):
        body = {"account": account, "market": name, "outcome": 0, "side": side}
        await world.api.done("/orders", body | {"price": price, "quantity": "2000"})
    return name


def opening(name: str, **body: object) -> dict[str, object]:
    usual = {"account": "alice", "market": name, "outcome": 0, "quantity": "1000", "leverage": "5"}
    return {**usual, "max_price": "0.5", **body}


async def test_a_position_is_opened_shown_paid_back_and_closed(world: PoolWorld) -> None:
    name = await made(world)
    done = await world.api.done("/leveraged/open", opening(name))
    position = done["effect"]["position"]
    assert (position["quantity"], position["name"], position["pledge"]) == ("1000", "yes", 128)
    debt = Decimal(position["debt"])
    assert Decimal(400) <= debt < Decimal(402)
    assert Decimal(position["bankruptcy_price"]) == (debt / 1000).quantize(
        Decimal("0.000001"), "ROUND_CEILING"
    )
    assert position["maintenance_pct"] == "5"
    shown = await world.shown("/accounts/alice/leveraged")
    assert shown["positions"] == [position]
    done = await world.api.done(
        "/leveraged/repay", {"account": "alice", "market": name, "outcome": "yes", "amount": "100"}
    )
    assert Decimal(done["effect"]["position"]["debt"]) == debt - 100
    close = {"account": "alice", "market": name, "outcome": "yes", "limit": "0.49"}
    done = await world.api.done("/leveraged/close", close)
    assert done["effect"] == {"position": None, "left": "0"}
    assert (await world.shown("/accounts/alice/leveraged"))["positions"] == []
    await world.refused("/leveraged/close", close, "POSITION_NOT_FOUND")


async def test_positions_of_one_market_are_shown_with_the_credit_between_them(world: PoolWorld) -> None:
    name = await made(world)
    await world.api.done("/leveraged/open", opening(name))
    alone = (await world.shown("/accounts/alice/leveraged"))["groups"]
    assert [(row["positions"], row["credit"]) for row in alone] == [(1, "0")]
    await world.api.done("/leveraged/open", opening(name, outcome=1, max_price="0.51", leverage="10"))
    (both,) = (await world.shown("/accounts/alice/leveraged"))["groups"]
    assert (both["symbol"], both["sub"], both["positions"]) == (name, 0, 2)
    assert (both["largest_loss"], both["maintenance"]) == ("0", "25.25")
    assert Decimal(both["credit"]) == Decimal("24.75")


async def test_what_is_refused_changes_nothing(world: PoolWorld) -> None:
    name = await made(world)
    three = await made(world, 3)
    for body, code in (
        (opening(name, leverage="0"), "INVALID_LEVERAGE"),
        (opening(name, leverage="5.001"), "INVALID_LEVERAGE"),
        (opening(name, leverage="-2"), "INVALID_LEVERAGE"),
        (opening(name, leverage="70.01"), "LEVERAGE_TOO_HIGH"),
        (opening(three, leverage="25.01"), "LEVERAGE_TOO_HIGH"),
        (opening(name, leverage="12"), "SUITABILITY_REQUIRED"),
        (opening(name, leverage="10"), "INSUFFICIENT_MARGIN"),
        (opening(name, quantity="500000"), "UTILISATION_CAP"),
        (opening(name, quantity="30000"), "EXPOSURE_LIMIT"),
        (opening(name, max_price="0.499"), "SLIPPAGE_EXCEEDED"),
        (opening(three, side="short"), "NO_LIQUIDITY"),
        (opening(name, outcome=2), "INVALID_OUTCOME"),
    ):
        await world.refused("/leveraged/open", body, code)


async def test_a_short_of_three_outcomes_holds_the_others_and_buys_its_outcome_back(world: PoolWorld) -> None:
    name = await made(world, 3)
    for outcome in (1, 2):
        for account, side, price in (("bob", "sell", "0.26"), ("carol", "buy", "0.25")):
            body = {"account": account, "market": name, "outcome": outcome, "side": side}
            await world.api.done("/orders", body | {"price": price, "quantity": "100"})
    short = opening(name, side="short", leverage="3", max_price="0.51")
    position = (await world.api.done("/leveraged/open", short))["effect"]["position"]
    assert (position["quantity"], position["side"], position["outcome"]) == ("1000", "short", 0)
    debt = Decimal(position["debt"])
    assert Decimal(340) <= debt < Decimal(342)
    live = world.api.views
    [loan] = live.loans.open.values()
    assert (loan.short, loan.shares) == (True, 1_000_000_000)
    close = {"account": "alice", "market": name, "outcome": 0, "side": "short", "limit": "0.5"}
    await world.refused("/leveraged/close", close | {"side": "long"}, "POSITION_NOT_FOUND")
    done = await world.api.done("/leveraged/close", close)
    assert done["effect"] == {"position": None, "left": "0"}
    assert live.ledger.system_line(0x84, 0, 0) == 0


async def test_views_rebuilt_from_the_log_hold_the_same_loans(world: PoolWorld, tmp_path: Path) -> None:
    name = await made(world)
    await world.api.done("/leveraged/open", opening(name, quantity="500"))
    other = opening(name, account="operator", outcome=1, quantity="1", max_price="0.51")
    await world.api.done("/leveraged/open", other)
    await world.pass_hours(1.1)
    rebuilt = ExchangeViews()
    rebuilt.rebuild(tmp_path / "journal")
    live = world.api.views.loans
    assert rebuilt.loans.open == live.open
    assert len(live.open) == 2
    assert live.interest is not None
    owed = sum(loan.debt for loan in live.open.values())
    assert world.api.views.ledger.system_line(0x84, 0, 0) == owed


def test_p4_6_4_golden_maintenance_along_the_ramp() -> None:
    at = [maintenance_fraction(2, 0, HOUR_NS + left) for left in (2 * DAY_NS, DAY_NS, DAY_NS // 2, 0)]
    assert at == [Fraction(5, 100), Fraction(5, 100), Fraction(4125, 10_000), Fraction(1)]
    loan = Loan(1, 128, 0, 0, 0, debt=400, shares=1_000)
    assert liquidation_price(loan, Fraction(1, 5)) == Fraction(1, 2)
    assert liquidation_price(loan, Fraction(1)) is None
    assert liquidation_price(Loan(1, 128, 0, 0, 0, debt=0, shares=5), Fraction(1)) == 0


async def test_a_position_is_bought_from_the_pool_and_closed_into_it(world: PoolWorld) -> None:
    name = await made(world)
    pooled = opening(name, source="pool", max_price="0.53", quantity="500")
    await world.refused("/leveraged/open", pooled, "POOL_NOT_FOUND")
    await world.api.done("/pools", {"market": name, "funding": "20000"})
    await world.refused("/leveraged/open", pooled | {"max_price": "0.5"}, "SLIPPAGE_EXCEEDED")
    await world.refused("/leveraged/open", pooled | {"max_impact_bp": 1}, "PRICE_IMPACT_TOO_HIGH")
    await world.refused("/leveraged/open", pooled | {"max_impact_bp": 2_001}, "PARAMETER_OUT_OF_BOUNDS")
    await world.refused("/leveraged/open", opening(name, max_impact_bp=100), "PARAMETER_OUT_OF_BOUNDS")
    position = (await world.api.done("/leveraged/open", pooled))["effect"]["position"]
    assert (position["quantity"], position["name"]) == ("500", "yes")
    # A fifth of the largest price is the owner's; what the pool did not take paid the loan back.
    assert Decimal(190) < Decimal(position["debt"]) < Decimal(212)
    close = {"account": "alice", "market": name, "outcome": "yes", "limit": "0.47", "source": "pool"}
    await world.refused("/leveraged/close", close | {"limit": "0.6"}, "SLIPPAGE_EXCEEDED")
    done = await world.api.done("/leveraged/close", close)
    assert done["effect"] == {"position": None, "left": "0"}
    assert world.api.views.ledger.system_line(0x84, 0, 0) == 0
