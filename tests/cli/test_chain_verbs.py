"""A user links steps with the command line alone: quote, open, show, close, release."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tradewind.cli.chain import step_of
from tradewind.cli.failure import CommandFailure

from .conftest import Running, in_process


def test_words_are_steps_and_what_is_none_says_what_there_is() -> None:
    assert step_of("mint M 100") == {"kind": "mint_set", "market": "M", "amount": "100"}
    bought = {"kind": "pool_buy", "market": "M", "outcome": "yes", "amount": "5"}
    assert step_of("buy M yes 5 min=9") == bought | {"limit": "9"}
    assert step_of("buy M yes 5 max=3") == bought | {"limit": "3", "exact": True}
    assert step_of("stake 100 lock=30") == {"kind": "stake", "amount": "100", "lock_days": 30}
    ordered = {"market": "M", "outcome": "yes", "amount": "5"}
    assert step_of("book-buy M yes 5 max=0.4") == ordered | {"kind": "book_buy", "limit": "0.4"}
    assert step_of("book-sell M yes 5 min=0.4") == ordered | {"kind": "book_sell", "limit": "0.4"}
    unpriced = ("book-buy M yes 5", "book-buy M yes 5 min=0.4", "book-sell M yes 5 max=0.4 min=0.4")
    for text in ("", "mint M", "mint M 1 2", "short M yes 5", "vault 5 least=1", *unpriced):
        with pytest.raises(CommandFailure, match="steps are: buy MARKET OUTCOME AMOUNT"):
            step_of(text)


def test_a_chain_is_quoted_opened_shown_closed_and_released(start: Callable[..., Running]) -> None:
    platform = start("--strategy", "none").serving()
    settle = (datetime.fromtimestamp(time.time(), UTC) + timedelta(days=20)).isoformat()
    platform.json("collateral", "asset", "register", "CUSD", "--settlement")
    made = platform.json(
        "market", "create", "CUSD", "--outcomes", "2", "--settle", settle, "--tick-size", "0.001",
        "--lot-size", "0.001", "--taker-bps", "28", "--maker-bps", "0",
    )  # fmt: skip
    market = f"OUTCOME-{made['value']}"
    platform.json("account", "open", "chain-alice")
    money = ("--external-id", "chain-alice", "--account", "chain-alice")
    platform.json("collateral", "deposit", "5000", "CUSD", *money)
    steps = (f"mint {market} 100", "vault 25")
    quote = platform.json("chain", "quote", *steps)
    assert (quote["base"], quote["rate_bp"], quote["fee"]) == ("125", 50, "0.625")
    opened = platform.json("chain", "open", "chain-alice", *steps)
    number = str(opened["value"])
    shown = platform.json("chain", "show", number)
    assert (shown["state"], shown["fee"], [row["kind"] for row in shown["steps"]]) == (
        "open", "0.625", ["mint_set", "vault_deposit"],
    )  # fmt: skip
    data = ("--data", str(platform.data))
    table = in_process("chain", "show", "chain-alice", "--account", *data)
    assert (table.code, number in table.out) == (0, True), table
    bounded = in_process("chain", "close", number, "--limit", "5", *data, "--json")
    assert bounded.json["error"]["code"] == "CHAIN_STEP_FAILED", bounded
    closed = platform.json("chain", "close", number, "--limit", "none", "--limit", "none")
    assert closed["effect"]["state"] == "closed"
    again = in_process("chain", "open", "chain-alice", steps[0], *data)
    assert (again.code, "mint_set" in again.out) == (0, True), again
    assert in_process("chain", "close", str(int(number) + 1), "--release", *data).code == 0
    held = platform.json("set", "list", "--account", "chain-alice", "--market", market)["claims"]
    assert [row["free"] for row in held] == ["100", "100"]
    _order_in_a_book(platform, market, data)
    for verb in (("close", "99"), ("show", "99")):
        unknown = in_process("chain", *verb, *data, "--json")
        assert unknown.json["error"]["code"] == "POSITION_NOT_FOUND", unknown


def _order_in_a_book(platform: Running, market: str, data: tuple[str, ...]) -> None:
    """What alice sold to bob's order is bought back from it by the closing, and her sets are merged."""
    platform.json("account", "open", "chain-bob")
    money = ("--external-id", "chain-bob", "--account", "chain-bob")
    platform.json("collateral", "deposit", "5000", "CUSD", *money)
    platform.json("set", "mint", "100", market, "--account", "chain-bob")
    bob = ("--outcome", "no", "--account", "chain-bob")
    platform.json("order", "place", "buy", "10", market, "--price", "0.4", *bob)
    steps = (f"mint {market} 10", f"book-sell {market} no 10 min=0.4")
    assert platform.json("chain", "quote", *steps)["base"] == "14"
    number = str(platform.json("chain", "open", "chain-alice", *steps)["value"])
    shown = in_process("chain", "show", number, *data)
    assert (shown.code, "book_sell" in shown.out, "0.4" in shown.out) == (0, True, True), shown
    bounded = in_process("chain", "close", number, "--limit", "none", "--limit", "0.42", *data, "--json")
    assert bounded.json["error"]["code"] == "CHAIN_STEP_FAILED", bounded
    platform.json("order", "place", "sell", "10", market, "--price", "0.42", *bob)
    closed = platform.json("chain", "close", number, "--limit", "none", "--limit", "0.42")
    assert closed["effect"]["state"] == "closed"
