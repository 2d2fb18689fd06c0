"""Outcome markets over HTTP on a real engine: creation, complete sets, claims, orders for either outcome."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tradewind.core import journal
from tradewind.node.projections.exchange import ExchangeViews
from tradewind.observe.counting import BatchCounters

from .conftest import ApiWorld, api_world

OWNERS = ("alice", "bob")


def in_hours(hours: float) -> str:
    return (datetime.fromtimestamp(time.time(), UTC) + timedelta(hours=hours)).isoformat()


def market(outcomes: int, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "outcome",
        "outcomes": outcomes,
        "settle": in_hours(48),
        "quote": "USDC",
        "tick_size": "0.001",
        "lot_size": "0.001",
        "taker_fee_bps": "28",
        "maker_fee_bps": "0",
        "min_notional": "0.000001",
        **changes,
    }


def order(
    account: str, name: str, outcome: str | int, side: str, price: str, quantity: str
) -> dict[str, Any]:
    return {
        "account": account,
        "market": name,
        "outcome": outcome,
        "side": side,
        "price": price,
        "quantity": quantity,
    }


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ApiWorld]:
    async with api_world(tmp_path) as world:
        await world.done("/assets", {"symbol": "USDC", "settlement": True})
        for name in OWNERS:
            await world.done("/accounts", {"name": name})
            body = {"account": name, "asset": "USDC", "amount": "1000", "external_id": name}
            await world.done("/deposits", body)
        yield world


async def free(api: ApiWorld, account: str) -> str:
    rows = (await api.get(f"/accounts/{account}/balances")).json()["balances"]
    return str(rows[0]["free"])


async def claims(api: ApiWorld, account: str) -> dict[str, str]:
    rows = (await api.get(f"/accounts/{account}/claims")).json()["claims"]
    return {row["name"]: row["free"] for row in rows}


async def test_sets_are_minted_and_merged_at_their_payout(api: ApiWorld) -> None:
    number = (await api.done("/markets", market(3)))["value"]
    name = f"OUTCOME-{number}"
    done = await api.done("/sets/mint", {"account": "alice", "market": name, "quantity": "10"})
    assert [row["free"] for row in done["effect"]["claims"]] == ["10", "10", "10"]
    assert await free(api, "alice") == "990"
    await api.done("/sets/merge", {"account": "alice", "market": name, "quantity": "4.5"})
    assert await free(api, "alice") == "994.5"
    assert await claims(api, "alice") == {"0": "5.5", "1": "5.5", "2": "5.5"}
    shown = (await api.get(f"/markets/{name}")).json()
    assert (shown["sets"], len(shown["outcomes"]), shown["status"]) == ("5.5", 3, "active")
    answer = await api.post("/sets/merge", {"account": "alice", "market": name, "quantity": "6"})
    assert answer.status_code == 422
    assert "SET_INCOMPLETE" in answer.text


async def test_two_purchases_of_a_binary_market_fund_a_set(api: ApiWorld) -> None:
    number = (await api.done("/markets", market(2)))["value"]
    name = str(number)
    await api.done("/orders", order("alice", name, "yes", "buy", "0.64", "100"))
    shown = (await api.get(f"/markets/{name}")).json()["outcomes"]
    assert (shown[0]["best_bid"], shown[1]["best_ask"]) == ("0.64", "0.36")
    book = (await api.get(f"/markets/{name}/book?outcome=no")).json()
    assert (book["asks"], book["bids"]) == ([{"price": "0.36", "size": "100", "orders": 1}], [])
    placed = await api.done("/orders", order("bob", name, "no", "buy", "0.4", "150"))
    rest = (await api.get(f"/orders/{placed['value']}")).json()
    assert (rest["outcome"], rest["side"], rest["price"]) == ("no", "buy", "0.4")
    assert (rest["filled"], rest["remaining"], rest["status"]) == ("100", "50", "partial")
    # 100 × 0.36 and 28 bp of the cheaper side, 100 × 0.36; 50 more at 0.40 with their fee are held.
    assert await free(api, "bob") == "943.8432"
    assert await claims(api, "alice") == {"yes": "100"}
    assert await claims(api, "bob") == {"no": "100"}
    trade = (await api.get(f"/markets/{name}/trades")).json()["trades"][0]
    assert (trade["price"], trade["size"], trade["side"]) == ("0.64", "100", "sell")
    await api.done(f"/orders/{placed['value']}/cancel", {"account": "bob"})
    # Two sales dissolve the sets again: alice gets 0.66, bob 0.34.
    await api.done("/orders", order("alice", name, "yes", "sell", "0.66", "100"))
    await api.done("/orders", order("bob", name, 1, "sell", "0.33", "100"))
    assert (await api.get(f"/markets/{name}")).json()["sets"] == "0"
    assert (await claims(api, "alice"), await claims(api, "bob")) == ({}, {})
    assert await free(api, "alice") == "1002"


async def test_views_rebuilt_from_the_log_hold_the_same_claims_and_books(
    api: ApiWorld, tmp_path: Path
) -> None:
    names = [str((await api.done("/markets", market(outcomes)))["value"]) for outcomes in (2, 4)]
    for name in names:
        await api.done("/sets/mint", {"account": "alice", "market": name, "quantity": "20"})
        await api.done("/orders", order("alice", name, 1, "sell", "0.3", "5"))
        await api.done("/orders", order("bob", name, 1, "buy", "0.35", "2"))
        await api.done("/orders", order("bob", name, 0, "buy", "0.2", "3"))
    rebuilt = ExchangeViews()
    rebuilt.rebuild(tmp_path / "journal")
    for account in api.views.accounts.by_handle:
        assert rebuilt.claims.of_account(account) == api.views.claims.of_account(account)
    for handle in map(int, names):
        for outcome in range(4):
            live, again = api.views.books.book(handle, outcome), rebuilt.books.book(handle, outcome)
            assert live.sides == again.sides
        assert rebuilt.ledger.system_line(0x81, 0, handle + 1) == rebuilt.claims.sets(handle)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"outcomes": 1}, "INVALID_OUTCOME_COUNT"),
        ({"outcomes": 65}, "INVALID_OUTCOME_COUNT"),
        ({"outcomes": 300}, "INVALID_OUTCOME_COUNT"),
        ({"outcomes": None}, "MALFORMED_REQUEST"),
        ({"settle": "tomorrow"}, "MALFORMED_REQUEST"),
        ({"settle": "2027-01-31T12:00:00"}, "MALFORMED_REQUEST"),
        ({"settle": in_hours(0.9)}, "TOO_EARLY"),
        ({"tick_size": "0.003"}, "INVALID_TICK_LOT"),
        ({"base": "USDC"}, "MALFORMED_REQUEST"),
        ({"feed": "BTC"}, "MALFORMED_REQUEST"),
        ({"kind": "spot", "base": "USDC"}, "MALFORMED_REQUEST"),
    ],
)
async def test_a_market_that_cannot_be_is_refused(api: ApiWorld, changes: dict[str, Any], code: str) -> None:
    answer = await api.post("/markets", market(2) | changes)
    assert answer.status_code >= 400
    assert code in answer.text


async def test_orders_name_an_outcome_that_exists_and_sell_only_what_is_held(api: ApiWorld) -> None:
    name = str((await api.done("/markets", market(2)))["value"])
    for body, code in [
        (order("alice", name, "maybe", "buy", "0.5", "10"), "INVALID_OUTCOME"),
        (order("alice", name, 2, "buy", "0.5", "10"), "INVALID_OUTCOME"),
        (order("alice", name, "no", "sell", "0.5", "10"), "INSUFFICIENT_SHARES"),
        (order("alice", name, "no", "buy", "1", "10"), "INVALID_PRICE"),
        (order("alice", name, "no", "buy", "0.5", "9999"), "INSUFFICIENT_BALANCE"),
        ({**order("alice", name, "no", "buy", "0.5", "1"), "outcome": None}, "MALFORMED_REQUEST"),
    ]:
        answer = await api.post("/orders", body)
        assert answer.status_code >= 400, body
        assert code in answer.text, answer.text


async def test_purchases_of_all_outcomes_make_sets_in_every_view(api: ApiWorld, tmp_path: Path) -> None:
    name = str((await api.done("/markets", market(3)))["value"])
    first = (await api.done("/orders", order("alice", name, 0, "buy", "0.4", "10")))["value"]
    await api.done("/orders", order("alice", name, 1, "buy", "0.35", "7"))
    last = (await api.done("/orders", order("bob", name, 2, "buy", "0.26", "20")))["value"]
    shown = {number: (await api.get(f"/orders/{number}")).json() for number in (first, last)}
    assert [shown[first][key] for key in ("filled", "remaining", "status")] == ["7", "3", "partial"]
    assert [shown[last][key] for key in ("filled", "remaining", "status")] == ["7", "13", "partial"]
    assert await claims(api, "bob") == {"2": "7"}
    assert await claims(api, "alice") == {"0": "7", "1": "7"}
    assert (await api.get(f"/markets/{name}")).json()["sets"] == "7"
    books = [
        (await api.get(f"/markets/{name}/book?outcome={outcome}")).json()["bids"] for outcome in range(3)
    ]
    assert [[level["size"] for level in bids] for bids in books] == [["3"], [], ["13"]]
    # 7 × 0.25 and 28 bp of it; 13 at 0.26 are held with their fee.
    assert await free(api, "bob") == "994.855636"
    trades = (await api.get(f"/markets/{name}/trades")).json()["trades"]
    assert sorted(trade["price"] for trade in trades) == ["0.25", "0.35", "0.4"]
    rebuilt = ExchangeViews()
    rebuilt.rebuild(tmp_path / "journal")
    for outcome in range(3):
        live, again = api.views.books.book(int(name), outcome), rebuilt.books.book(int(name), outcome)
        assert live.sides == again.sides
    counted = BatchCounters()
    for batch in journal.batches(tmp_path / "journal", 0):
        counted.apply(batch)
    assert (counted.trades.total(), counted.volume_micro.total()) == (3, 7_000_000)
    assert counted.taker_fees_micro.total() == 4_900
    sqlalchemy = pytest.importorskip("sqlalchemy")
    from tradewind.node.projections import sql

    projection = sql.SqlProjection(f"sqlite:///{tmp_path / 'views.db'}")
    projection.rebuild(tmp_path / "journal")
    with projection.engine.connect() as connection:
        rows = connection.execute(sqlalchemy.select(sql.trades)).all()
        [filled] = [row for row in connection.execute(sqlalchemy.select(sql.orders)) if row.order_id == last]
    assert [row.lots for row in rows] == [7_000] * 3
    assert (sum(row.notional for row in rows), sum(row.taker_fee for row in rows)) == (7_000_000, 4_900)
    assert (filled.filled_lots, filled.filled_notional, filled.fees) == (7_000, 1_750_000, 4_900)


async def test_exits_of_claims_are_a_reducing_order_and_a_stop_that_replaces_it(api: ApiWorld) -> None:
    name = str((await api.done("/markets", market(2)))["value"])
    await api.done("/sets/mint", {"account": "alice", "market": name, "quantity": "20"})
    await api.done("/sets/mint", {"account": "bob", "market": name, "quantity": "5"})
    await api.done("/orders", order("alice", name, "no", "buy", "0.5", "1"))
    await api.done("/orders", order("bob", name, "no", "sell", "0.5", "1"))
    exit_ = {**order("alice", name, "no", "sell", "0.53", "100"), "reduce_only": True}
    profit = (await api.done("/orders", exit_))["value"]
    shown = (await api.get(f"/orders/{profit}")).json()
    assert (shown["quantity"], shown["remaining"]) == ("21", "21")
    stop = {
        **order("alice", name, "no", "sell", "0.48", "21"),
        "order_type": "stop_limit",
        "trigger": "0.49",
        "trigger_source": "last_trade",
        "link": "oco",
        "linked_order": profit,
    }
    waiting = (await api.done("/orders", stop))["value"]
    assert (await api.get(f"/orders/{waiting}")).json()["status"] == "pending_trigger"
    await api.done("/orders", order("bob", name, "no", "buy", "0.485", "3"))
    # Alice buys "yes" from the buyer of "no" at 0.485: the stop fires and sells to the same bid.
    await api.done("/orders", order("alice", name, "yes", "buy", "0.515", "1"))
    ended, sold = [(await api.get(f"/orders/{one}")).json() for one in (profit, waiting)]
    assert (ended["status"], sold["status"], sold["filled"]) == ("cancelled", "partial", "2")
    assert (await claims(api, "alice"))["yes"] == "21"
    iceberg = {**order("bob", name, "no", "buy", "0.4", "10"), "order_type": "iceberg", "display": "2"}
    await api.done("/orders", iceberg)
    bids = (await api.get(f"/markets/{name}/book?outcome=no")).json()["bids"]
    assert {"price": "0.4", "size": "2", "orders": 1} in bids
    answer = await api.post("/orders", {**exit_, "account": "bob", "side": "buy"})
    assert "REDUCE_ONLY_WOULD_INCREASE" in answer.text
