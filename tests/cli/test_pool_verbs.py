"""A user makes a pool, swaps against it and provides liquidity with the command line alone."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tradewind.cli.program import run

from .conftest import Running, in_process


@pytest.fixture(scope="module")
def market(platform: Running) -> str:
    """An outcome market with a dynamic pool of $500; alice and the operator have money."""
    settle = (datetime.fromtimestamp(time.time(), UTC) + timedelta(days=20)).isoformat()
    platform.json("collateral", "asset", "register", "PUSD")
    made = platform.json(
        "market", "create", "PUSD", "--outcomes", "2", "--settle", settle, "--tick-size", "0.001",
        "--lot-size", "0.001", "--taker-bps", "28", "--maker-bps", "0",
    )  # fmt: skip
    platform.json("account", "open", "pool-alice")
    for account in ("pool-alice", "operator"):
        transfer = ("--external-id", f"pool-{account}", "--account", account)
        platform.json("collateral", "deposit", "5000", "PUSD", *transfer)
    return f"OUTCOME-{made['value']}"


def refusal(platform: Running, *arguments: str) -> dict[str, Any]:
    ran = in_process(*arguments, "--data", str(platform.data), "--json")
    assert ran.code != 0, ran
    error: dict[str, Any] = ran.json["error"]
    return error


def test_create_quote_swap_show_and_liquidity(platform: Running, market: str) -> None:
    made = platform.json("pool", "create", market, "500")
    assert made["effect"]["kind"] == "pm-dynamic"
    again = refusal(platform, "pool", "create", market, "500")
    assert again["code"] == "ALREADY_EXISTS"
    quote = platform.json("pool", "quote", market, "buy", "20", "--outcome", "yes", "--slippage-bp", "30")
    swap = ("pool", "swap", market, "buy", "20", "--outcome", "yes", "--account", "pool-alice")
    done = platform.json(*swap, "--limit", quote["limit"])["effect"]
    assert abs(Decimal(done["shares"]) - Decimal(quote["shares"])) < Decimal("0.01")
    held = platform.json("set", "list", "--account", "pool-alice", "--market", market)["claims"]
    assert [(row["name"], row["free"]) for row in held] == [("yes", done["shares"])]
    assert refusal(platform, *swap, "--limit", "1000")["code"] == "SLIPPAGE_EXCEEDED"
    assert refusal(platform, *swap)["code"] == "MALFORMED_REQUEST"
    sale = ("pool", "swap", market, "sell", "3", "--outcome", "yes", "--exact", "--account", "pool-alice")
    sold = platform.json(*sale, "--slippage-bp", "50")["effect"]
    assert Decimal(sold["received"]) + Decimal(sold["fee"]) == 3
    added = platform.json("pool", "add", market, "100", "--account", "pool-alice")["effect"]
    assert Decimal(added["shares"]) > 0
    locked = refusal(platform, "pool", "remove", market, "all", "--account", "pool-alice")
    assert locked["code"] == "LIQUIDITY_LOCKED"
    own = refusal(platform, "pool", "remove", market, "all")
    assert own["code"] == "LIQUIDITY_LOCKED", (
        "the account that made the pool takes out unless another is named"
    )
    shown = platform.json("pool", "show", market)
    assert (shown["swaps"], len(shown["providers"])) == (2, 2)
    listed = platform.json("pool", "list")["pools"]
    assert market in [row["market"] for row in listed]


def test_tables_name_what_they_show(platform: Running, market: str) -> None:
    for verb, words in [
        (("pool", "list"), ("Pools", market, "pm-dynamic")),
        (("pool", "show", market), ("Outcomes", "price", "depth", "Providers", "locked")),
        (("pool", "quote", market, "buy", "5", "--outcome", "no"), ("price_after", "fee", "limit")),
    ]:
        ran = in_process(*verb, "--data", str(platform.data))
        assert ran.code == 0, ran
        assert [word for word in words if word not in ran.out] == [], ran.out


def test_bad_input_has_distinct_errors(platform: Running, market: str) -> None:
    for arguments, code in [
        (("pool", "show", "OUTCOME-999"), "MARKET_NOT_FOUND"),
        (("pool", "show", "BTC/USDT"), "POOL_NOT_FOUND"),
        (("pool", "create", "BTC/USDT", "100", "--kind", "cpmm"), "UNKNOWN_POOL_KIND"),
        (("pool", "quote", market, "buy", "-1", "--outcome", "yes"), "INVALID_AMOUNT"),
        (("pool", "quote", market, "buy", "ten", "--outcome", "yes"), "NOT_A_NUMBER"),
        (("pool", "quote", market, "buy", "1", "--outcome", "maybe"), "INVALID_OUTCOME"),
        (("pool", "add", market, "1"), "BELOW_MINIMUM"),
        (("pool", "collect", market, "--account", "trader"), "NOTHING_TO_CLAIM"),
    ]:
        assert refusal(platform, *arguments)["code"] == code, arguments


def test_a_verb_that_is_misspelt_is_no_command() -> None:
    assert run(["pool", "swop", "1"]) != 0
