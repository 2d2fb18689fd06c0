"""Leveraged markets over HTTP on a real engine: an operator creates one, traders use it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tradewind.api.exchange_desk import price_fields
from tradewind.core.event_types import KeeperRegistered, KeeperScored, KeeperSuspended
from tradewind.node.projections.keepers import ACTIVE, SUSPENDED, KeepersView
from tradewind.security.publications import Publication

from .conftest import ApiWorld, Clock, api_world

SOURCES = ("oracle_1", "oracle_2", "oracle_3")


class Exchange:
    """An API world with a perpetual market on a feed of three sources, and a clock that the test moves."""

    def __init__(self, api: ApiWorld, clock: Clock) -> None:
        self.api, self.clock = api, clock

    async def quote(self, value: str) -> None:
        for source in SOURCES:
            await self.api.done("/feeds/ETH/prices", self.price(source, value))

    def price(self, source: str, value: str) -> dict[str, Any]:
        """What a source publishes at this moment, with its signature."""
        now_ns = self.api.node.now_ns()
        money = price_fields(value, "0.5", None, None)
        said = Publication(feed=0, source_time_ns=now_ns, source_seq=now_ns, **money)
        attestation = self.api.identities.signer(source).attest(self.api.node.deployment, said)
        return {
            "value": value,
            "confidence": "0.5",
            "actor": source,
            "source_time_ns": now_ns,
            "source_seq": now_ns,
            "signature": attestation.hex(),
        }

    async def keep_quoting(self, value: str, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.pass_s(1)
            await self.quote(value)

    async def open(self) -> None:
        await self.api.done("/assets", {"symbol": "USDC", "settlement": True})
        await self.api.done("/assets", {"symbol": "ETH"})
        await self.api.done("/feeds", {"symbol": "ETH"})
        for source, weight in zip(SOURCES, (34, 33, 33), strict=True):
            await self.api.done("/feeds/ETH/sources", {"source": source, "weight": weight})
        market = {"kind": "perpetual", "feed": "ETH", "base": "ETH", "quote": "USDC", "tick_size": "0.1",
                  "lot_size": "0.001", "taker_fee_bps": "5", "maker_fee_bps": "1"}  # fmt: skip
        await self.api.done("/markets", market)
        for name, amount in (("alice", "10000"), ("bob", "500")):
            await self.api.done("/accounts", {"name": name})
            body = {"account": name, "asset": "USDC", "amount": amount, "external_id": name}
            await self.api.done("/deposits", body)
        # A vault that covers the positions of these tests: without one coverage would halt the market.
        await self.api.done("/accounts", {"name": "provider"})
        body = {"account": "provider", "asset": "USDC", "amount": "200000", "external_id": "provider"}
        await self.api.done("/deposits", body)
        await self.api.done("/vault/deposit", {"account": "provider", "amount": "200000"})
        await self.keep_quoting("3000", 125)
        for _ in range(100):
            # The engine looks once a second of its time, at a Tick: both must pass.
            await self.keep_quoting("3000", 1)
            await asyncio.sleep(0.11)
            if (await self.api.get("/markets/ETH-PERP")).json()["status"] == "active":
                return
        raise AssertionError("the market did not become active")

    async def trade(self, **changes: Any) -> None:
        """Bob buys one from alice at 3,000."""
        sell = {"account": "alice", "market": "ETH-PERP", "side": "sell", "quantity": "1", "price": "3000"}
        await self.api.done("/orders", sell)
        await self.api.done("/orders", {**sell, "account": "bob", "side": "buy", **changes})

    async def health(self, account: str) -> dict[str, Any]:
        answer = await self.api.get(f"/accounts/{account}/health")
        document: dict[str, Any] = answer.json()
        return document


@pytest.fixture
async def exchange(tmp_path: Path) -> AsyncIterator[Exchange]:
    clock = Clock()
    async with api_world(tmp_path, clock) as api:
        world = Exchange(api, clock)
        await world.open()
        yield world


async def test_a_perpetual_market_opens_by_itself_and_a_position_is_shown_with_its_margins(
    exchange: Exchange,
) -> None:
    shown = (await exchange.api.get("/markets/ETH-PERP/leverage")).json()
    assert (shown["mark"], shown["index"], shown["feed_state"]) == ("3000", "3000", "VALID")
    await exchange.trade(leverage="8")
    health = await exchange.health("bob")
    [position] = health["positions"]
    assert (position["side"], position["quantity"], position["entry"]) == ("long", "1", "3000")
    # 3,000 at 8x: 375 to open; half of a tenth to keep; 1.5 was the taker's fee.
    assert (health["equity"], position["initial_margin"], position["maintenance_margin"]) == (
        "498.5",
        "375",
        "150",
    )
    assert health["liquidatable"] is False
    # The only long position is the first to give way, and the last.
    assert (position["adl_quintile"], position["adl_rank"], position["adl_positions"]) == (1, 1, 1)
    [listed] = (await exchange.api.get("/accounts/bob/positions")).json()["positions"]
    assert listed["adl_quintile"] == 1
    assert (await exchange.api.get("/markets/ETH-PERP/leverage")).json()["open_interest"] == "1"


async def test_the_adl_quintile_is_the_place_among_the_positions_of_its_side(exchange: Exchange) -> None:
    names = [f"long{number}" for number in range(5)]
    for number, name in enumerate(names):
        await exchange.api.done("/accounts", {"name": name})
        amount = str(400 + 200 * number)
        body = {"account": name, "asset": "USDC", "amount": amount, "external_id": name}
        await exchange.api.done("/deposits", body)
        sell = {"account": "alice", "market": "ETH-PERP", "side": "sell", "quantity": "1", "price": "3000"}
        await exchange.api.done("/orders", sell)
        await exchange.api.done("/orders", {**sell, "account": name, "side": "buy"})
    await exchange.keep_quoting("3010", 1)
    # The view is at most half a second old, by the clock of the wall.
    await asyncio.sleep(0.6)
    quintiles = [(await exchange.health(name))["positions"][0]["adl_quintile"] for name in names]
    assert quintiles == [1, 2, 3, 4, 5], "in profit, more leverage goes first"
    assert (await exchange.health("alice"))["positions"][0]["adl_quintile"] == 1


async def test_simulate_says_what_would_liquidate_and_agrees_with_the_liquidation_price(
    exchange: Exchange,
) -> None:
    await exchange.trade()
    price = float((await exchange.health("bob"))["positions"][0]["liquidation_price"])
    for mark, liquidated in ((price + 0.2, False), (price - 0.2, True)):
        body = {"account": "bob", "marks": {"ETH-PERP": f"{mark:.1f}"}}
        answer = await exchange.api.done("/positions/simulate", body)
        assert answer["liquidated"] is liquidated, mark
    crash = await exchange.api.done("/positions/simulate", {"account": "bob", "move_pct": "-20"})
    assert crash["liquidated"] is True
    assert crash["now"]["liquidatable"] is False


async def test_a_position_closes_and_profit_and_loss_meet_to_the_micro_unit(exchange: Exchange) -> None:
    await exchange.trade()
    bid = {"account": "alice", "market": "ETH-PERP", "side": "buy", "quantity": "1", "price": "3010"}
    await exchange.api.done("/orders", bid)
    closed = await exchange.api.done("/positions/close", {"account": "bob", "market": "ETH-PERP"})
    assert closed["effect"] == {"left": "0"}
    assert (await exchange.health("bob"))["positions"] == []
    assert (await exchange.health("alice"))["positions"] == []
    bob = float((await exchange.health("bob"))["equity"])
    alice = float((await exchange.health("alice"))["equity"])
    # Ten of profit and of loss; fees of 5 and 1 bp on both fills.
    assert bob == pytest.approx(500 + 10 - 1.5 - 1.505)
    assert alice == pytest.approx(10_000 - 10 - 0.3 - 0.301)


async def test_a_silent_feed_stops_new_risk_and_names_its_state_but_never_a_cancel(
    exchange: Exchange,
) -> None:
    order = {"account": "bob", "market": "ETH-PERP", "side": "buy", "quantity": "0.1", "price": "2900"}
    resting = (await exchange.api.done("/orders", order))["value"]
    exchange.clock.pass_s(400)
    await asyncio.sleep(0.3)  # a Tick finds what no message tells
    refused = await exchange.api.post("/orders", order)
    assert (refused.status_code, refused.json()["name"]) == (409, "STALE_PRICE")
    await exchange.api.done(f"/orders/{resting}/cancel", {"account": "bob"})
    feed = (await exchange.api.get("/feeds/ETH")).json()
    assert feed["state"] in ("STALE", "NO_QUORUM")


REFUSALS: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("leverage zero", "/orders", {"leverage": "0"}, 422, "INVALID_LEVERAGE"),
    ("leverage negative", "/orders", {"leverage": "-2"}, 422, "INVALID_LEVERAGE"),
    ("leverage of three decimals", "/orders", {"leverage": "2.005"}, 422, "INVALID_LEVERAGE"),
    ("leverage below one", "/orders", {"leverage": "0.5"}, 422, "INVALID_LEVERAGE"),
    ("leverage above the cap", "/orders", {"leverage": "10.01"}, 422, "LEVERAGE_TOO_HIGH"),
    ("more than the margin allows", "/orders", {"quantity": "1.7"}, 422, "INSUFFICIENT_MARGIN"),
    ("price beyond the band", "/orders", {"price": "3300.1"}, 422, "PRICE_TOO_HIGH"),
    ("reduce only without a position", "/orders", {"reduce_only": True}, 422, "REDUCE_ONLY_WOULD_INCREASE"),
    ("stop without a trigger", "/orders", {"order_type": "stop", "price": None}, 422, "INVALID_TRIGGER"),
    ("no position to close", "/positions/close", {}, 404, "POSITION_NOT_FOUND"),
    ("liquidating the healthy", "/positions/liquidate", {"target": "bob"}, 404, "POSITION_NOT_FOUND"),
]


@pytest.mark.parametrize(("path", "changes", "status", "name"), [row[1:] for row in REFUSALS],
                         ids=[row[0] for row in REFUSALS])  # fmt: skip
async def test_bad_input_gets_its_own_error_and_changes_nothing(
    exchange: Exchange, path: str, changes: dict[str, Any], status: int, name: str
) -> None:
    base: dict[str, Any] = {"account": "bob", "market": "ETH-PERP"}
    if path == "/orders":
        base |= {"side": "buy", "quantity": "0.1", "price": "3000"}
    if path == "/positions/liquidate":
        base = {"market": "ETH-PERP"}
    before = await exchange.api.state_hash()
    answer = await exchange.api.post(path, {**base, **changes})
    assert (answer.status_code, answer.json()["name"]) == (status, name), answer.text
    assert await exchange.api.state_hash() == before


async def test_what_raises_risk_is_proposed_approved_by_two_others_and_waits(exchange: Exchange) -> None:
    alone = await exchange.api.post("/markets/ETH-PERP/risk", {"max_leverage": "20"})
    assert alone.json()["name"] == "APPROVALS_MISSING"
    fields = {"config_version": 1, "field_mask": 1, "max_leverage_e2": 2000}
    body = {"command": "UpdateMarketRisk", "market": "ETH-PERP", "fields": fields}
    number = (await exchange.api.done("/proposals", body))["value"]
    own = await exchange.api.post(f"/proposals/{number}/approve", {"actor": "governor"})
    assert own.status_code == 403
    for approver in ("approver_1", "approver_2"):
        await exchange.api.done(f"/proposals/{number}/approve", {"actor": approver})
    early = await exchange.api.post(f"/proposals/{number}/execute")
    assert early.json()["name"] == "TIMELOCK_ACTIVE"
    [row] = (await exchange.api.get("/proposals")).json()["proposals"]
    assert (row["command"], row["approvals"], row["effect"]) == ("UpdateMarketRisk", 2, "increases risk")


async def test_two_different_people_override_a_feed_and_no_price_can_be_set(exchange: Exchange) -> None:
    body = {"action": "exclude", "source": "oracle_2"}
    await exchange.api.done("/feeds/ETH/override", {**body, "actor": "emergency"})
    again = await exchange.api.post("/feeds/ETH/override", {**body, "actor": "emergency"})
    assert again.json()["name"] == "SELF_APPROVAL"
    await exchange.api.done("/feeds/ETH/override", {**body, "actor": "emergency_2"})
    await exchange.quote("3001")
    gates = {row["name"]: row["gate"] for row in (await exchange.api.get("/feeds/ETH")).json()["sources"]}
    assert gates["oracle_2"] == "excluded"
    assert (await exchange.api.get("/feeds/ETH")).json()["passing"] == 2


async def test_a_breaker_that_was_tripped_by_hand_refuses_risk_and_is_on_record(exchange: Exchange) -> None:
    body = {"market": "ETH-PERP", "reason": "drill"}
    await exchange.api.done("/breakers/price_fast/trip", body)
    order = {"account": "bob", "market": "ETH-PERP", "side": "buy", "quantity": "0.1", "price": "3000"}
    refused = await exchange.api.post("/orders", order)
    assert (refused.status_code, refused.json()["name"]) == (423, "BREAKER_ACTIVE")
    trips = (await exchange.api.get("/breakers?market=ETH-PERP")).json()["trips"]
    assert ("price_fast", "manual") in {(trip["breaker"], trip["cause"]) for trip in trips}


async def test_a_batch_is_placed_whole_or_not_at_all(exchange: Exchange) -> None:
    order = {"market": "ETH-PERP", "side": "buy", "quantity": "0.1", "price": "2990"}
    done = await exchange.api.done("/orders/batch", {"account": "alice", "orders": [order, order]})
    first, second = done["effect"]["orders"]
    assert 0 < first < second
    before = await exchange.api.state_hash()
    bad = [order, {**order, "price": "9000"}]
    refused = await exchange.api.post("/orders/batch", {"account": "alice", "orders": bad})
    assert refused.json()["name"] == "BATCH_ITEM_FAILED", refused.text
    assert await exchange.api.state_hash() == before


async def test_a_close_says_what_the_book_left_of_the_position(exchange: Exchange) -> None:
    await exchange.trade()
    bid = {"account": "alice", "market": "ETH-PERP", "side": "buy", "quantity": "0.4", "price": "2999"}
    await exchange.api.done("/orders", bid)
    closed = await exchange.api.done("/positions/close", {"account": "bob", "market": "ETH-PERP"})
    assert closed["effect"] == {"left": "0.6"}
    assert (await exchange.health("bob"))["positions"][0]["quantity"] == "0.6"


async def test_a_source_far_from_the_others_is_shown_as_an_outlier(exchange: Exchange) -> None:
    await exchange.quote("3000")
    await exchange.api.done("/feeds/ETH/prices", exchange.price("oracle_3", "3600"))
    gates = {row["name"]: row["gate"] for row in (await exchange.api.get("/feeds/ETH")).json()["sources"]}
    assert gates == {"oracle_1": "pass", "oracle_2": "pass", "oracle_3": "outlier"}


async def test_a_price_without_the_signature_of_its_source_is_refused_by_its_cause(
    exchange: Exchange,
) -> None:
    before = await exchange.api.state_hash()
    good = exchange.price("oracle_1", "3001")
    unsigned = {key: value for key, value in good.items() if key != "signature"}
    timeless = {key: value for key, value in good.items() if key != "source_time_ns"}
    other = "00" * 32 + good["signature"][64:]
    for body, status, name in (
        (unsigned, 403, "PUBLICATION_UNSIGNED"),
        ({**good, "value": "3002"}, 403, "PUBLICATION_FORGED"),
        ({**good, "actor": "oracle_2"}, 403, "PUBLICATION_FORGED"),
        ({**good, "signature": good["signature"][:-2]}, 403, "PUBLICATION_FORGED"),
        ({**good, "signature": "no hex"}, 403, "PUBLICATION_FORGED"),
        ({**good, "signature": other}, 403, "PUBLICATION_FOREIGN"),
        (timeless, 400, "MALFORMED_REQUEST"),
        ({**good, "source_time_ns": 2**70}, 422, "PARAMETER_OUT_OF_BOUNDS"),
    ):
        answer = await exchange.api.post("/feeds/ETH/prices", body)
        assert (answer.status_code, answer.json()["name"]) == (status, name), answer.text
    assert await exchange.api.state_hash() == before
    by_key = {**good, "actor": exchange.api.identities.key("oracle_1").hex()}
    assert (await exchange.api.post("/feeds/ETH/prices", by_key)).status_code == 200
    replayed = (await exchange.api.post("/feeds/ETH/prices", good)).json()
    assert replayed["name"] == "PUBLISH_OUT_OF_ORDER"
    shown = (await exchange.api.get("/feeds/ETH")).json()
    assert shown["deployment"] == exchange.api.node.deployment.hex()


async def test_what_cannot_be_valued_is_never_called_healthy(exchange: Exchange) -> None:
    await exchange.trade()
    exchange.api.views.leverage.markets[0].mark = 0
    assert (await exchange.health("bob"))["liquidatable"] is None
    crash = await exchange.api.done("/positions/simulate", {"account": "bob"})
    assert crash["liquidated"] is None


def keeper_event(kind: type[Any], **fields: int) -> Any:
    """An event about account 7 whose other fields are zero."""
    whole = {name: 0 for name in kind.__struct_fields__} | {"account": 7, "postings": ()}
    return kind(**{**whole, **fields})


def test_a_keeper_that_acted_well_is_active_and_only_a_suspended_one_is_called_so() -> None:
    view = KeepersView()
    view.on_event(keeper_event(KeeperRegistered, state=ACTIVE))
    assert not view.by_account[7].suspended
    view.on_event(keeper_event(KeeperScored, state=ACTIVE, ok=1, score_ppm=910_000))
    assert not view.by_account[7].suspended
    view.on_event(keeper_event(KeeperSuspended, state=SUSPENDED, score_ppm=780_000))
    assert view.by_account[7].suspended
