"""Distribution markets over HTTP on a real engine, from creation to the payment of the last claim."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tradewind.api.question_desk import payout_at
from tradewind.cli.program import run
from tradewind.core import commands as build
from tradewind.core.hashing import blake3
from tradewind.core.market_record import RECORD_BYTES, encode_number_by_layout, read_records
from tradewind.node.archive import archive_path
from tradewind.node.projections.exchange import ExchangeViews
from tradewind.node.projections.questions import Question

from .conftest import Clock, api_world
from .test_pools import HOUR_NS, PoolWorld, moment

POOL = {"funding": "1000", "lower": "-10", "upper": "10", "mean": "0", "sigma": "1"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[PoolWorld]:
    clock = Clock()
    async with api_world(tmp_path, clock=clock) as api:
        one = PoolWorld(api, clock)
        await one.open()
        yield one


async def market(world: PoolWorld, hours: float = 3) -> str:
    """A market of a number; its name."""
    body = {
        "kind": "distribution",
        "settle": moment(world.api.node.now_ns() + int(hours * HOUR_NS)),
        "quote": "USDC",
        "tick_size": "0.001",
        "lot_size": "0.001",
        "taker_fee_bps": "28",
        "maker_fee_bps": "0",
    }
    return f"DISTRIBUTION-{(await world.api.done('/markets', body))['value']}"


async def moved(world: PoolWorld, name: str, **body: Any) -> dict[str, Any]:
    one = {"account": "alice", "market": name, "mean": "0", "sigma": "1", "max_collateral": "5000"}
    return dict((await world.api.done("/distributions/move", one | body))["effect"])


async def test_a_number_is_traded_settled_and_paid_to_the_last_unit(world: PoolWorld) -> None:
    name = await market(world)
    made = await world.api.done("/distributions", {"market": name, **POOL})
    assert made["effect"]["backing"] == "1000" and made["effect"]["norm"] == "1000"
    quoted = await world.shown(f"/distributions/{name}/quote?mean=1&sigma=1")
    assert quoted["collateral"] == "419.755724"
    effect = await moved(world, name, mean="1")
    assert (effect["collateral"], effect["fee"]) == (quoted["collateral"], quoted["fee"])
    await moved(world, name, account="bob", mean="-2.5", sigma="0.75")
    shown = await world.shown(f"/distributions/{name}")
    assert (shown["mean"], shown["sigma"], shown["moves"]) == ("-2.5", "0.75", 2)
    assert [row["to"] for row in shown["claims"]] == ["N(1, 1²)", "N(-2.5, 0.75²)", "N(0, 1²)"]
    await world.pass_hours(3.1)
    resolution = f"/markets/{name}/resolution"
    proposal = {"account": "carol", "payout": "value=1.25", "evidence": ["the published number"]}
    await world.api.done(f"{resolution}/propose", proposal)
    await world.pass_hours(2.1)
    await world.api.done(f"{resolution}/finalise", {})
    paid = {}
    for account in ("alice", "bob", "operator"):
        before = await world.free(account)
        answer = await world.api.done(f"/markets/{name}/redeem", {"account": account})
        paid[account] = await world.free(account) - before
        assert paid[account] == Decimal(answer["effect"]["amount"])
    assert paid["alice"] > Decimal(effect["collateral"])
    shown = await world.shown(f"/distributions/{name}")
    assert (shown["value"], shown["cash"], shown["claims"]) == ("1.25", "0", [])


def content(path: Path) -> bytes:
    return path.read_bytes()


async def test_a_number_that_is_paid_is_archived_with_what_it_was_and_pruned(
    world: PoolWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = await market(world)
    await world.api.done("/distributions", {"market": name, **POOL})
    await moved(world, name, mean="1")
    await world.pass_hours(3.1)
    proposal = {"account": "carol", "payout": "value=1.25", "evidence": ["the published number"]}
    await world.api.done(f"/markets/{name}/resolution/propose", proposal)
    await world.pass_hours(2.1)
    await world.api.done(f"/markets/{name}/resolution/finalise", {})
    prune = f"/markets/{name}/prune"
    await world.api.done(f"/markets/{name}/redeem", {"account": "alice"})
    await world.refused(prune, {}, "TOO_EARLY")
    for _ in range(49):
        world.clock.pass_s(HOUR_NS // 10**9 - 10)
        await world.api.node.submit(build.tick(principal=world.api.node.system_principal))
    # The creator has still the backing.
    await world.refused(prune, {}, "MARKET_HAS_OPEN_INTEREST")
    await world.api.done(f"/markets/{name}/redeem", {"account": "operator"})
    done = await world.api.done(prune, {})
    market_id = world.api.views.markets.by_handle[int(name.split("-")[1])].market_id
    archive = archive_path(tmp_path, market_id)
    data = content(archive)
    assert done["effect"] == {"archive": str(archive), "hash": blake3(data).hex()}
    (record,) = read_records(data)
    number = record["number"]
    assert (record["amm_kind"], record["prices"]) == (4, [562_500, 437_500])
    assert (number["lower"], number["upper"], number["value"]) == (-10_000_000, 10_000_000, 1_250_000)
    assert (number["mean"], number["sigma"], number["backing"]) == (1_000_000, 1_000_000, 1_000_000_000)
    assert data[RECORD_BYTES:] == encode_number_by_layout({**number, "market_id": market_id})
    assert run(["record", "show", str(archive)]) == 0
    assert "1.250000 in" in " ".join(capsys.readouterr().out.split())
    await world.refused(prune, {}, "INVALID_TRANSITION")
    # Its history stays, and the log alone tells it again.
    views = ExchangeViews()
    await world.api.node.attach(views.apply, name="again")
    assert views.questions.by_market == world.api.views.questions.by_market


async def test_bad_requests_change_nothing(world: PoolWorld) -> None:
    name, path = await market(world), "/distributions"
    binary = await world.market(2)
    body = {"market": name, **POOL}
    await world.refused(path, body | {"market": binary}, "INVALID_AMM_KIND")
    await world.refused(path, body | {"lower": "10"}, "INVALID_BOUNDS")
    await world.refused(path, body | {"sigma": "0.5"}, "SIGMA_BELOW_MINIMUM")
    await world.refused(path, body | {"mean": "0.0000001"}, "INVALID_BOUNDS")
    await world.refused(path, body | {"mean": "nan"}, "NOT_A_NUMBER")
    await world.refused(path, body | {"funding": "199"}, "BELOW_MINIMUM")
    await world.api.done(path, body)
    move = {"account": "alice", "market": name, "mean": "1", "sigma": "1", "max_collateral": "400"}
    await world.refused(f"{path}/move", move, "SLIPPAGE_EXCEEDED")
    await world.refused(f"{path}/move", move | {"mean": "0"}, "INVALID_AMOUNT")
    await world.refused(f"{path}/move", move | {"mean": "10.5"}, "INVALID_BOUNDS")
    await world.refused(f"{path}/move", move | {"deadline_s": -1}, "PARAMETER_OUT_OF_BOUNDS")
    answer = await world.api.get(f"{path}/{binary}")
    assert answer.json()["name"] == "POOL_NOT_FOUND"


def test_a_number_becomes_the_nearest_part_of_its_range_and_never_the_vector_of_invalid() -> None:
    question = Question(1, 1, 1, -10_000_000, 10_000_000, (0, 1), (1, 0), 1)
    named = {"-11": "1", "-10": "1", "10": "0", "12": "0", "2": "0=600000,1=400000", "0": "0=500001,1=499999"}
    assert {value: payout_at(question, value) for value in named} == named


async def test_views_made_again_from_the_log_say_the_same(world: PoolWorld) -> None:
    name = await market(world)
    await world.api.done("/distributions", {"market": name, **POOL})
    await moved(world, name, mean="3", sigma="2")
    views = ExchangeViews()
    await world.api.node.attach(views.apply, name="again")
    shown = world.api.views.questions.by_market
    assert views.questions.by_market == shown and len(shown) == 1
