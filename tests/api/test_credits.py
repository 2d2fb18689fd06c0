"""Verse credits over HTTP on a real engine: deposit, lock, release, withdraw, views, refusals."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tradewind.cli.credit import parse_leg
from tradewind.cli.failure import CommandFailure
from tradewind.node.projections.exchange import ExchangeViews

from .conftest import Clock, api_world
from .test_pools import PoolWorld

VERSE = "election"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[PoolWorld]:
    clock = Clock()
    async with api_world(tmp_path, clock) as api:
        world = PoolWorld(api, clock)
        await world.open()
        await api.done("/verses", {"slug": VERSE})
        yield world


async def quoted(world: PoolWorld, bids: tuple[str, ...], verse: str | None = VERSE) -> str:
    """A market in which bob bids for a thousand of each outcome, and asks 0.02 more."""
    name = await world.market(len(bids))
    await world.api.done("/sets/mint", {"account": "bob", "market": name, "quantity": "5000"})
    # Of two outcomes one book shows both.
    for outcome, bid in enumerate(bids[:1] if len(bids) == 2 else bids):
        for side, price in (("buy", float(bid)), ("sell", float(bid) + 0.02)):
            body = {"account": "bob", "market": name, "outcome": outcome, "side": side}
            await world.api.done("/orders", body | {"price": f"{price:.3f}", "quantity": "1000"})
    if verse is not None:
        await world.api.done(f"/markets/{name}/verse", {"verse": verse})
    return name


def deposit(amount: str, **more: Any) -> dict[str, Any]:
    return {"account": "alice", "verse": VERSE, "amount": amount} | more


def legs(*wanted: str, **more: Any) -> dict[str, Any]:
    return {"account": "alice", "verse": VERSE, "legs": [parse_leg(leg) for leg in wanted]} | more


async def test_two_shorts_of_one_market_lock_what_one_set_does_not_bring_back(world: PoolWorld) -> None:
    name = await quoted(world, ("0.30", "0.40", "0.26"))
    await world.api.done("/credits/deposit", deposit("50"))
    both = legs(f"{name}:0:short:100@0.70", f"{name}:1:short:100@0.60", exclusive=True)
    credit = (await world.api.done("/credits/lock", both))["effect"]["credit"]
    # 130 with 0.28 % of 0.30 and of 0.40 a contract, less a hundred sets.
    assert (credit["locked"], credit["available"], credit["total"]) == ("30.196", "19.804", "50")
    assert credit["markets"] == [{"symbol": name, "locked": "30.196", "claims": {"2": "100"}}]
    assert (await world.shown("/accounts/alice/credits"))["credits"] == [credit]
    held = (await world.shown(f"/accounts/alice/claims?market={name}"))["claims"]
    assert [(row["sub"], row["free"]) for row in held] == [(240, "100")]
    release = {"account": "alice", "verse": VERSE, "market": name, "outcome": 2, "price": "0.26"}
    credit = (await world.api.done("/credits/release", release))["effect"]["credit"]
    assert (credit["locked"], credit["markets"]) == ("0", [])
    assert credit["available"] == credit["total"] == "45.7312"
    done = await world.api.done("/credits/withdraw", {"account": "alice", "verse": VERSE})
    assert done["effect"] == {"credit": None}
    assert (await world.shown("/accounts/alice/credits"))["credits"] == []


async def test_more_legs_than_a_command_holds_are_staged_before_it(world: PoolWorld) -> None:
    names = [await quoted(world, ("0.50", "0.48")) for _ in range(5)]
    await world.api.done("/credits/deposit", deposit("100"))
    wanted = legs(*(f"{name}:no:long:10@0.5" for name in names))
    credit = (await world.api.done("/credits/lock", wanted))["effect"]["credit"]
    assert credit["staged"] == 0
    assert [row["claims"] for row in credit["markets"]] == [{"no": "10"}] * 5
    assert float(credit["locked"]) == pytest.approx(5 * 10 * (0.5 + 0.0028 * 0.5), abs=0.001)


async def test_what_is_refused_leaves_everything_as_it_was(world: PoolWorld) -> None:
    name = await quoted(world, ("0.30", "0.40", "0.26"))
    other = await quoted(world, ("0.50", "0.46"))
    apart = await quoted(world, ("0.50", "0.46"), None)
    await world.refused("/credits/lock", legs(f"{name}:0:long:10@0.32"), "CREDIT_INSUFFICIENT")
    await world.api.done("/credits/deposit", deposit("5"))
    two = (f"{name}:0:long:1@0.32", f"{other}:no:long:1@0.5")
    for path, body, code in (
        ("/credits/lock", legs(*two, exclusive=True), "CREDIT_NOT_EXCLUSIVE"),
        ("/credits/lock", legs(*[two[0]] * 33), "TOO_MANY_POSITIONS"),
        ("/credits/lock", legs(), "PARAMETER_OUT_OF_BOUNDS"),
        ("/credits/lock", legs(f"{name}:0:long:100@0.32"), "CREDIT_INSUFFICIENT"),
        ("/credits/lock", legs(f"{apart}:no:long:1@0.5"), "VERSE_NOT_FOUND"),
        ("/credits/lock", legs(f"{name}:3:long:1@0.32"), "INVALID_OUTCOME"),
        ("/credits/lock", legs(f"{name}:0:long:1@0.31"), "SLIPPAGE_EXCEEDED"),
        ("/credits/withdraw", deposit("5.000001"), "CREDIT_INSUFFICIENT"),
        ("/credits/deposit", deposit("0"), "INVALID_AMOUNT"),
        ("/credits/deposit", {"account": "alice", "verse": VERSE}, "MALFORMED_REQUEST"),
        ("/credits/deposit", deposit("1", verse="nowhere"), "VERSE_NOT_FOUND"),
        (
            "/credits/release",
            {"account": "alice", "verse": VERSE, "market": name, "mode": "settle"},
            "POSITION_NOT_FOUND",
        ),
    ):
        await world.refused(path, body, code)


async def test_views_rebuilt_from_the_log_hold_the_same_credits(world: PoolWorld, tmp_path: Path) -> None:
    name = await quoted(world, ("0.30", "0.40", "0.26"))
    for account in ("alice", "carol"):
        await world.api.done("/credits/deposit", deposit("20", account=account))
        await world.api.done("/credits/lock", legs(f"{name}:1:long:20@0.42", account=account))
    release = {"account": "carol", "verse": VERSE, "market": name, "outcome": 1}
    await world.api.done("/credits/release", release | {"price": "0.4", "quantity": "5"})
    rebuilt = ExchangeViews()
    rebuilt.rebuild(tmp_path / "journal")
    live = world.api.views.credits
    assert rebuilt.credits.open == live.open
    assert len(live.open) == 2
    for credit in live.open.values():
        assert credit.available + credit.locked == credit.total
        assert credit.available == world.api.views.ledger.balances(credit.account, credit.sub)[0].free


@pytest.mark.parametrize(
    "text",
    ["", "A", "A:1:short", "A:1:short:3", "A:1:up:3@0.5", "A::long:3@0.5", "A:1:long:@0.5", "A:1:long:3@"],
)
def test_a_leg_that_says_less_is_refused_before_anything_is_sent(text: str) -> None:
    with pytest.raises(CommandFailure, match="a leg is"):
        parse_leg(text)
    assert parse_leg("OUTCOME-0:yes:long:3@0.5")["market"] == "OUTCOME-0"
