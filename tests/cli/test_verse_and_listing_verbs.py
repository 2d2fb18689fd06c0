"""Verses and listings with the command line alone: a halt that two people end, a listing that is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .conftest import Running
from .test_outcome_market import create, refusal

Start = Callable[..., Running]


@pytest.fixture
def running(start: Start) -> Running:
    one = start("--strategy", "none").trading()
    one.json("account", "open", "bob")
    one.json("collateral", "deposit", "5000", "USDT", "--external-id", "first", "--account", "bob")
    return one


def test_a_halted_verse_takes_no_new_risk_until_two_people_resume_it(running: Running) -> None:
    symbol = create(running, 2)
    running.json("verse", "create", "elections")
    running.json("verse", "create", "senate", "--parent", "elections")
    running.json("verse", "link", symbol, "senate")
    running.json("set", "mint", "10", symbol, "--account", "bob")
    order = ("order", "place", "sell", "5", symbol, "--price", "0.4", "--outcome", "0", "--account", "bob")

    running.json("verse", "halt", "elections", "--reason", "a wrong source", "--for", "2h")
    assert refusal(running, *order) == "PAUSED"
    assert running.json("verse", "show", "elections")["halt"] is not None

    first = running.json("verse", "resume", "elections", "--as", "resumer-1")
    assert not first["effect"].get("resumed")
    assert refusal(running, *order) == "PAUSED", "one approval is not enough"
    second = running.json("verse", "resume", "elections", "--as", "resumer-2")
    assert second["effect"]["resumed"]
    running.json(*order)


def test_nobody_lists_a_market_before_governance_opens_the_listing(running: Running) -> None:
    terms = (
        "--outcomes",
        "2",
        "--settle",
        "2031-01-31T12:00:00Z",
        "--tick-size",
        "0.001",
        "--lot-size",
        "0.001",
    )
    listing = ("market", "create", "USDT", *terms, "--account", "bob")
    before = running.json("collateral", "balances", "--account", "bob")["account"]
    assert refusal(running, *listing, "--bond", "500") == "PERMISSION_DENIED"
    assert running.json("collateral", "balances", "--account", "bob")["account"] == before
    wrong = running.run(*listing, "--taker-bps", "28", "--json")
    assert wrong.code == 2 and wrong.json["error"]["code"] == "LISTING_TERMS"
    wrong = running.run("market", "create", "USDT", *terms, "--json")
    assert wrong.code == 2 and wrong.json["error"]["code"] == "MARKET_TERMS"
