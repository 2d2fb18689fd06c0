"""Expected shortfall, fees and what pools risk over HTTP on a real engine."""

from __future__ import annotations

from decimal import Decimal

import pytest

from .test_leveraged_outcomes import made, opening, world
from .test_pools import PoolWorld

__all__ = ["world"]


async def shortfall(world: PoolWorld) -> dict[str, object]:
    document: dict[str, object] = (await world.api.get("/vault/shortfall")).json()
    return document


async def test_a_loan_is_in_the_shortfall_and_its_market_in_coverage(world: PoolWorld) -> None:
    assert (await shortfall(world))["expected_shortfall"] == "0"
    name = await made(world)
    done = await world.api.done("/leveraged/open", opening(name))
    debt = Decimal(done["effect"]["position"]["debt"])
    found = await shortfall(world)
    # One of two about as likely outcomes loses the debt: it fills the tail.
    assert Decimal(str(found["resolution"])) == debt
    assert (found["history"], found["days"], found["short"]) == (None, 0, False)
    assert Decimal(str(found["needed"])) == debt * 3 / 2


@pytest.mark.parametrize(
    ("level", "status", "name"),
    [
        ("0.999", 422, "PARAMETER_OUT_OF_BOUNDS"),
        ("0.975", 422, "PARAMETER_OUT_OF_BOUNDS"),
        ("1", 422, "PARAMETER_OUT_OF_BOUNDS"),
        ("much", 400, "MALFORMED_REQUEST"),
    ],
)
async def test_a_tail_from_too_few_days_is_refused(
    world: PoolWorld, level: str, status: int, name: str
) -> None:
    answer = await world.api.get(f"/vault/shortfall?level={level}")
    assert (answer.status_code, answer.json()["name"]) == (status, name)


async def test_a_pool_shows_what_its_providers_risk_and_coverage_has_no_part_of_it(world: PoolWorld) -> None:
    await world.pool(3, "lmsr")
    (row,) = (await world.api.get("/pools")).json()["pools"]
    assert Decimal(row["subsidy_at_risk"]) == pytest.approx(Decimal(1000), abs=Decimal("0.001"))
    assert (await world.api.get("/coverage")).json()["at_risk"] == "0"
