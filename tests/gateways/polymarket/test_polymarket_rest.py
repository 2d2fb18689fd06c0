"""Every REST call of the Polymarket gateway, over sockets."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from polymarket_world import DEADLINE_S, SECRETS, World, options, served

from tradewind.gateways.exchange import Exchange, ExchangeConfiguration
from tradewind.gateways.faults import Fault, Plan, Rule
from tradewind.gateways.polymarket.gateway import build
from tradewind.node.limits import NodeLimits
from tradewind.venues.polymarket import wallet as signing
from tradewind.venues.polymarket.wallet import HALF_ORDER, Wallet
from tradewind.venues.protocol import VenueState

CURVE = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


# ---- markets and books ---------------------------------------------------------------------------------


async def test_markets_come_in_pages_that_end_with_the_end_cursor(world: World) -> None:
    for path in ("/markets", "/simplified-markets", "/sampling-markets", "/sampling-simplified-markets"):
        found = await world.alice.get(path)
        assert found["next_cursor"] == "LTE="
        assert [one["condition_id"] for one in found["data"]] == list(world.outcomes.markets)
    assert (await world.alice.get("/markets", "next_cursor=LTE="))["data"] == []
    one = await world.alice.get(f"/markets/{world.snow.condition_id}")
    assert one["minimum_tick_size"] == Decimal("0.001") and one["neg_risk"] is True
    assert [row["token_id"] for row in one["tokens"]] == [token.token_id for token in world.snow.tokens]


async def test_a_token_leads_to_its_market_and_parameters(world: World) -> None:
    token = world.snow.tokens[1].token_id
    client = world.alice
    assert (await client.get(f"/markets-by-token/{token}"))["condition_id"] == world.snow.condition_id
    info = await client.get(f"/clob-markets/{world.snow.condition_id}")
    assert info["mts"] == Decimal("0.001") and info["nr"] is True and info["t"][1]["t"] == token
    assert (await client.get("/tick-size", f"token_id={token}"))["minimum_tick_size"] == Decimal("0.001")
    assert (await client.get("/neg-risk", f"token_id={token}"))["neg_risk"] is True
    assert (await client.get("/fee-rate", f"token_id={token}")) == {"base_fee": 0}
    assert (await client.get("/version")) == {"version": 2}
    assert abs(await client.get("/time") - time.time()) < 5
    assert await client.get("/ok") == "OK"


@pytest.mark.parametrize(
    ("path", "query", "status", "text"),
    [
        ("/book", "", 400, "Invalid token id"),
        ("/book", "token_id=12", 404, "No orderbook exists for the requested token id"),
        ("/price", "token_id=12&side=UP", 400, "Invalid side"),
        ("/tick-size", "token_id=12", 404, "market not found"),
        ("/markets/0x12", "", 400, "Invalid market"),
        ("/markets/0x" + "0" * 64, "", 404, "market not found"),
        ("/markets", "next_cursor=!", 400, "Invalid payload"),
        ("/rewards/user", "", 404, "not found"),
    ],
)
async def test_a_wrong_question_has_the_venues_error(
    world: World, path: str, query: str, status: int, text: str
) -> None:
    assert await world.alice.raw("GET", path, query=query) == (status, {"error": text})


async def test_both_tokens_show_one_book_and_the_best_level_is_last(world: World) -> None:
    await world.alice.order(world.yes, "BUY", "0.40", "10")
    await world.alice.order(world.yes, "BUY", "0.35", "20.5")
    await world.bob.order(world.no, "BUY", "0.45", "30")
    yes = await world.alice.get("/book", f"token_id={world.yes.token_id}")
    no = await world.alice.get("/book", f"token_id={world.no.token_id}")
    assert yes["bids"] == [{"price": "0.35", "size": "20.5"}, {"price": "0.4", "size": "10"}]
    assert yes["asks"] == [{"price": "0.55", "size": "30"}]
    assert no["bids"] == [{"price": "0.45", "size": "30"}]
    assert no["asks"] == [{"price": "0.65", "size": "20.5"}, {"price": "0.6", "size": "10"}]
    for book in (yes, no):
        names = ["market", "asset_id", "timestamp", "hash", "bids", "asks", "min_order_size", "tick_size",
                 "neg_risk", "last_trade_price"]  # fmt: skip
        assert list(book) == names
        text = json.dumps({**book, "hash": ""}, separators=(",", ":"))
        assert book["hash"] == hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    body = json.dumps([{"token_id": world.yes.token_id}, {"token_id": "7"}]).encode()
    assert await world.alice.raw("POST", "/books", body) == (200, [yes])


async def test_prices_are_of_the_side_that_rests(world: World) -> None:
    await world.alice.order(world.yes, "BUY", "0.40", "10")
    await world.bob.order(world.no, "BUY", "0.45", "30")
    token = world.yes.token_id
    client = world.alice
    assert await client.get("/price", f"token_id={token}&side=BUY") == {"price": "0.4"}
    assert await client.get("/price", f"token_id={token}&side=SELL") == {"price": "0.55"}
    assert await client.get("/midpoint", f"token_id={token}") == {"mid": "0.475"}
    assert await client.get("/spread", f"token_id={token}") == {"spread": "0.15"}
    body = json.dumps([{"token_id": token, "side": "BUY"}]).encode()
    assert await client.raw("POST", "/prices", body) == (200, {token: {"BUY": "0.4"}})
    assert await client.raw("POST", "/midpoints", body) == (200, {token: "0.475"})
    assert await client.raw("POST", "/spreads", body) == (200, {token: "0.15"})
    many = json.dumps([{"token_id": "1"}] * 501).encode()
    assert await client.raw("POST", "/spreads", many) == (400, {"error": "Payload exceeds the limit"})


# ---- keys ----------------------------------------------------------------------------------------------


async def test_a_wallet_creates_a_key_once_and_derives_it_ever_after(world: World) -> None:
    client = world.alice
    assert await client.raw("POST", "/auth/api-key", headers=client.l1()) == (
        400,
        {"error": "Could not create api key"},
    )
    assert (await client.raw("GET", "/auth/derive-api-key", headers=client.l1()))[1] == client.creds
    status, other = await client.raw("POST", "/auth/api-key", headers=client.l1(7))
    assert status == 200 and other["apiKey"] != client.creds["apiKey"]
    assert set((await client.done("GET", "/auth/api-keys"))["apiKeys"]) == {
        client.creds["apiKey"],
        other["apiKey"],
    }
    assert await client.done("DELETE", "/auth/api-key") == "OK"
    assert (await client.signed("GET", "/auth/api-keys"))[0] == 401


async def test_nobody_enters_without_the_wallets_own_fresh_signature(world: World) -> None:
    client = world.alice
    refused = (401, {"error": "Invalid L1 Request headers"})
    foreign = client.l1(wallet=Wallet.from_text(SECRETS["bob"]))
    late = client.l1(timestamp=int(time.time()) - 31)
    early = client.l1(timestamp=int(time.time()) + 40)
    spoiled = client.l1() | {"POLY_NONCE": "1"}
    second = bytearray.fromhex(client.l1()["POLY_SIGNATURE"][2:])
    flipped = (CURVE - int.from_bytes(second[32:64])).to_bytes(32)
    second[32:64], second[64] = flipped, 55 - second[64]
    assert int.from_bytes(flipped) > HALF_ORDER
    malleable = client.l1() | {"POLY_SIGNATURE": "0x" + bytes(second).hex()}
    stranger = world.client("stranger").l1()
    for headers in (foreign, late, early, spoiled, malleable, stranger, {}):
        assert await client.raw("GET", "/auth/derive-api-key", headers=headers) == refused


async def test_a_signature_is_over_method_path_time_and_every_byte(world: World) -> None:
    client = world.alice
    path, body = "/order", b'{"orderID":"0x' + b"0" * 64 + b'"}'
    refused = (401, {"error": "Unauthorized/Invalid api key"})
    good = client.l2("DELETE", path, body)
    assert (await client.raw("DELETE", path, body, good))[0] == 200
    for headers in (
        client.l2("POST", path, body),
        client.l2("DELETE", path, body, timestamp=int(time.time()) - 31),
        good | {"POLY_API_KEY": "none"},
        good | {"POLY_ADDRESS": world.bob.address},
    ):
        assert await client.raw("DELETE", path, body, headers) == refused
    assert await client.raw("DELETE", path, body + b" ", good) == refused


async def test_three_bad_signatures_lock_a_key(world: World) -> None:
    client = world.alice
    for _ in range(3):
        bad = client.l2("GET", "/data/orders", secret="AAAA")
        assert (await client.raw("GET", "/data/orders", headers=bad))[0] == 401
    assert (await client.signed("GET", "/data/orders"))[0] == 401
    assert (await world.bob.signed("GET", "/data/orders"))[0] == 200


# ---- orders --------------------------------------------------------------------------------------------


async def test_an_order_is_named_by_its_hash_and_lives_until_it_is_cancelled(world: World) -> None:
    client = world.alice
    placed = await client.order(world.yes, "BUY", "0.40", "10")
    assert placed["success"] is True and placed["status"] == "live" and placed["orderID"] == client.last_id
    row = await client.done("GET", f"/data/order/{client.last_id}")
    assert row["status"] == "LIVE" and row["price"] == "0.4" and row["original_size"] == "10"
    assert row["asset_id"] == world.yes.token_id and row["outcome"] == "Yes" and row["side"] == "BUY"
    assert row["owner"] == client.creds["apiKey"] and row["maker_address"] == client.address
    assert (await client.done("GET", "/data/orders"))["data"] == [row]
    assert (await world.bob.signed("GET", f"/data/order/{client.last_id}"))[0] == 404
    gone = await client.done("DELETE", "/order", {"orderID": client.last_id})
    assert gone == {"canceled": [client.last_id], "not_canceled": {}}
    again = await client.done("DELETE", "/order", {"orderID": client.last_id})
    assert again["canceled"] == [] and list(again["not_canceled"]) == [client.last_id]
    assert (await client.done("GET", f"/data/order/{client.last_id}"))["status"] == "CANCELED"


async def test_two_purchases_of_both_outcomes_mint_a_set(world: World) -> None:
    await world.alice.order(world.yes, "BUY", "0.40", "10")
    maker = world.alice.last_id
    taken = await world.bob.order(world.no, "BUY", "0.60", "6")
    assert taken["status"] == "matched"
    assert (taken["takingAmount"], taken["makingAmount"]) == ("6", "3.6")
    assert len(taken["transactionsHashes"]) == len(taken["tradeIDs"]) == 1
    row = await world.alice.done("GET", f"/data/order/{maker}")
    assert row["size_matched"] == "6" and row["associate_trades"] == taken["tradeIDs"]
    [trade] = (await world.alice.done("GET", "/data/trades"))["data"]
    assert trade["trader_side"] == "MAKER" and trade["asset_id"] == world.no.token_id
    assert (trade["price"], trade["size"], trade["side"]) == ("0.6", "6", "BUY")
    [own] = trade["maker_orders"]
    assert own["order_id"] == maker and own["asset_id"] == world.yes.token_id and own["price"] == "0.4"
    assert own["side"] == "BUY" and own["owner"] == world.alice.creds["apiKey"]
    [other] = (await world.bob.done("GET", "/data/trades", query=f"id={taken['tradeIDs'][0]}"))["data"]
    assert (
        other["trader_side"] == "TAKER" and other["maker_orders"][0]["owner"] != world.alice.creds["apiKey"]
    )

    async def balance(client: Any, token: str) -> Decimal:
        query = f"asset_type=CONDITIONAL&token_id={token}&signature_type=0"
        return Decimal((await client.done("GET", "/balance-allowance", query=query))["balance"])

    assert await balance(world.alice, world.yes.token_id) == 106_000_000
    assert await balance(world.bob, world.no.token_id) == 106_000_000
    last = await world.alice.get("/last-trade-price", f"token_id={world.no.token_id}")
    assert last == {"price": "0.6", "side": "BUY"}
    history = await world.alice.get("/prices-history", f"market={world.yes.token_id}&interval=1h")
    assert [row["p"] for row in history["history"]] == [Decimal("0.4")]


async def test_a_match_is_confirmed_when_it_is_old_enough(tmp_path: Path) -> None:
    if not signing.available():
        pytest.skip(f"the packages of {signing.EXTRA} are not installed")
    async with served(tmp_path / "data", mined_s=0.0, confirmed_s=3600.0) as world:
        await world.alice.order(world.yes, "BUY", "0.40", "10")
        await world.bob.order(world.no, "BUY", "0.60", "10")
        [trade] = (await world.alice.done("GET", "/data/trades"))["data"]
        assert trade["status"] == "MINED"
    async with served(tmp_path / "data") as world:
        [trade] = (await world.alice.done("GET", "/data/trades"))["data"]
        assert trade["status"] == "CONFIRMED"


async def test_the_same_bytes_twice_are_one_order(world: World) -> None:
    client = world.alice
    payload = client.payload(world.yes, "BUY", "0.40", "10")
    await client.done("POST", "/order", payload)
    assert await client.refused(payload) == f"order {client.last_id} is invalid. Duplicated."
    assert len((await client.done("GET", "/data/orders"))["data"]) == 1


async def test_the_same_bytes_behind_a_restart_are_one_order(tmp_path: Path) -> None:
    if not signing.available():
        pytest.skip(f"the packages of {signing.EXTRA} are not installed")
    async with served(tmp_path / "data") as world:
        payload = world.alice.payload(world.yes, "BUY", "0.40", "10")
        name = world.alice.last_id
        await world.alice.done("POST", "/order", payload)
    async with served(tmp_path / "data") as world:
        assert await world.alice.refused(payload) == f"order {name} is invalid. Duplicated."
        assert (await world.alice.done("GET", f"/data/order/{name}"))["maker_address"] == world.alice.address


async def test_every_refused_order_has_the_venues_words(world: World) -> None:
    client, yes = world.alice, world.yes
    await world.bob.order(yes, "SELL", "0.60", "10")

    async def error(*arguments: Any, **more: Any) -> str:
        return await client.refused(client.payload(*arguments, **more))

    assert await error(yes, "BUY", "0.40", "4") == (
        f"order {client.last_id} is invalid. Size (4) lower than the minimum: 5"
    )
    assert await error(yes, "BUY", "0.405", "10") == (
        f"order {client.last_id} is invalid. Price (0.405) breaks minimum tick size rule: 0.01"
    )
    assert "minimum tick size" in await error(yes, "BUY", "1", "10")
    assert await error(yes, "BUY", "0.40", "100000") == "not enough balance / allowance"
    assert await error(yes, "SELL", "0.70", "101") == "not enough balance / allowance"
    assert await error(yes, "BUY", "0.60", "10", post_only=True) == (
        "invalid post-only order: order crosses book"
    )
    assert await error(yes, "BUY", "0.60", "10", "FOK", post_only=True) == (
        "invalid post-only order: only GTC and GTD order types are allowed"
    )
    assert "FOK orders are fully filled or killed" in await error(yes, "BUY", "0.60", "20", "FOK")
    assert "FAK orders are partially filled or killed" in await error(yes, "BUY", "0.50", "20", "FAK")
    soon = int(time.time()) + 30
    assert await error(yes, "BUY", "0.40", "10", "GTD", expiration=soon) == "invalid expiration"
    assert await error(yes, "BUY", "0.40", "10", expiration=soon) == "invalid expiration"
    assert await error(yes, "BUY", "0.40", "10", "IOC") == "Invalid order payload"
    assert await error(yes, "BUY", "0.40", "10", tokenId="12") == "Invalid token id"
    assert await error(yes, "BUY", "0.40", "10", makerAmount="4000001") == "invalid signature"
    assert await error(yes, "BUY", "0.40", "10", maker=world.bob.address) == "Invalid order payload"
    assert await error(yes, "BUY", "0.40", "10", signer=world.bob.address) == (
        "the order signer address has to be the address of the API KEY"
    )


async def test_an_order_for_the_other_contract_is_not_signed(world: World) -> None:
    """Markets of negative risk settle elsewhere; a signature for one exchange is nothing at the other."""
    from tradewind.venues.polymarket.typed_data import EXCHANGES

    token = world.snow.tokens[0]
    wrong = world.alice.payload(token, "BUY", "0.400", "10", contract=EXCHANGES[False])
    assert await world.alice.refused(wrong) == "invalid signature"
    assert (await world.alice.order(token, "BUY", "0.401", "10"))["status"] == "live"


async def test_an_order_of_version_1_and_one_of_another_key_are_refused(world: World) -> None:
    payload = world.alice.payload(world.yes, "BUY", "0.40", "10")
    old = {**payload, "order": {name: one for name, one in payload["order"].items() if name != "timestamp"}}
    assert await world.alice.refused(old) == "order_version_mismatch"
    foreign = {**payload, "owner": world.bob.creds["apiKey"]}
    assert await world.alice.refused(foreign) == "the order owner has to be the owner of the API KEY"
    assert await world.alice.refused([]) == "Invalid order payload"


async def test_a_market_purchase_spends_its_amount_and_no_more(world: World) -> None:
    await world.bob.order(world.yes, "SELL", "0.50", "10")
    await world.bob.order(world.yes, "SELL", "0.55", "10")
    # 8 USDC at 0.55 are 14.5454 shares; the book gives 10 for 5 and the rest for 3.
    amounts = (8_000_000, 14_545_400)
    taken = await world.alice.done("POST", "/order", world.alice.of_amounts(world.yes, "BUY", amounts, "FOK"))
    assert Decimal(taken["makingAmount"]) <= 8 < Decimal(taken["makingAmount"]) + Decimal("0.01")
    assert Decimal(taken["takingAmount"]) > Decimal("14.5454")
    rest = world.alice.of_amounts(world.yes, "BUY", amounts, "FOK")
    assert "FOK" in await world.alice.refused(rest)
    partly = await world.alice.done(
        "POST", "/order", world.alice.of_amounts(world.yes, "BUY", amounts, "FAK")
    )
    assert partly["status"] == "matched" and Decimal(partly["makingAmount"]) < 8
    small = world.alice.of_amounts(world.yes, "BUY", (550_000, 1_000_000), "FAK")
    assert "min size: $1" in await world.alice.refused(small)


async def test_a_good_til_date_order_tells_its_end(world: World) -> None:
    end = int(time.time()) + 3_600
    await world.alice.order(world.yes, "BUY", "0.40", "10", "GTD", expiration=end)
    row = await world.alice.done("GET", f"/data/order/{world.alice.last_id}")
    assert row["expiration"] == str(end) and row["order_type"] == "GTD"


async def test_several_orders_are_each_on_their_own(world: World) -> None:
    client = world.alice
    orders = [client.payload(world.yes, "BUY", price, "10") for price in ("0.40", "0.405", "0.41")]
    rows = await client.done("POST", "/orders", orders)
    assert [row["success"] for row in rows] == [True, False, True]
    assert "tick size" in rows[1]["errorMsg"]
    many = [client.payload(world.yes, "BUY", "0.40", "10") for _ in range(16)]
    status, found = await client.signed("POST", "/orders", many)
    assert (status, found["error"]) == (400, "Too many orders in payload: 16, max allowed: 15")


async def test_cancels_end_what_they_name_and_nothing_else(world: World) -> None:
    client = world.alice
    names = []
    for token, price in ((world.yes, "0.40"), (world.yes, "0.41"), (world.no, "0.30")):
        await client.order(token, "BUY", price, "10")
        names.append(client.last_id)
    snow = world.snow.tokens[0]
    await client.order(snow, "BUY", "0.3", "10")
    names.append(client.last_id)
    await world.bob.order(world.yes, "BUY", "0.20", "10")
    unknown = "0x" + "9" * 64
    gone = await client.done("DELETE", "/orders", [names[0], unknown])
    assert gone["canceled"] == [names[0]] and list(gone["not_canceled"]) == [unknown]
    asset = {"market": world.rain.condition_id, "asset_id": world.no.token_id}
    assert (await client.done("DELETE", "/cancel-market-orders", asset))["canceled"] == [names[2]]
    market = {"market": world.rain.condition_id}
    assert (await client.done("DELETE", "/cancel-market-orders", market))["canceled"] == [names[1]]
    assert (await client.done("DELETE", "/cancel-all"))["canceled"] == [names[3]]
    assert (await client.signed("DELETE", "/order", {"orderID": "x"}))[0] == 400
    assert len((await world.bob.done("GET", "/data/orders"))["data"]) == 1


async def test_balances_are_in_millionths_and_count_what_secures_orders(world: World) -> None:
    client = world.alice
    query = "asset_type=COLLATERAL&signature_type=0"
    before = await client.done("GET", "/balance-allowance", query=query)
    assert before["balance"] == "800000000"
    assert len(before["allowances"]) == 2
    await client.order(world.yes, "BUY", "0.40", "10")
    assert (await client.done("GET", "/balance-allowance", query=query))["balance"] == "800000000"
    assert (await client.done("GET", "/balance-allowance/update", query=query)) == ""
    assert (await client.signed("GET", "/balance-allowance", query="asset_type=GOLD"))[0] == 400


# ---- modes, heartbeats, limits, faults -----------------------------------------------------------------


async def test_cancel_only_mode_takes_cancels(world: World) -> None:
    await world.alice.order(world.yes, "BUY", "0.40", "10")
    world.exchange.set_mode(VenueState.CANCEL_ONLY)
    status, found = await world.alice.signed(
        "POST", "/order", world.alice.payload(world.yes, "BUY", "0.3", "10")
    )
    assert status == 503 and "cancel-only" in found["error"]
    assert len((await world.alice.done("DELETE", "/cancel-all"))["canceled"]) == 1


async def test_heartbeats_are_a_chain_and_silence_cancels_everything(tmp_path: Path) -> None:
    if not signing.available():
        pytest.skip(f"the packages of {signing.EXTRA} are not installed")
    async with served(tmp_path / "data", heartbeat_s=0.3) as world:
        client = world.alice
        await client.order(world.yes, "BUY", "0.40", "10")
        await world.bob.order(world.yes, "BUY", "0.30", "10")
        first = await client.done("POST", "/v1/heartbeats", {"heartbeat_id": ""})
        assert first["status"] == "ok"
        status, wrong = await client.signed("POST", "/v1/heartbeats", {"heartbeat_id": "guess"})
        assert status == 400
        assert wrong == {"error_msg": "Invalid Heartbeat ID", "heartbeat_id": first["heartbeat_id"]}
        second = await client.done("POST", "/heartbeats", {"heartbeat_id": first["heartbeat_id"]})
        assert second["heartbeat_id"] != first["heartbeat_id"]
        async with asyncio.timeout(DEADLINE_S):
            while (await client.done("GET", "/data/orders"))["data"]:  # noqa: ASYNC110 - over a socket
                await asyncio.sleep(0.02)
        assert world.gateway.hearts.stopped == 1
        assert len((await world.bob.done("GET", "/data/orders"))["data"]) == 1


async def test_the_published_limits_answer_429(world: World) -> None:
    query = "asset_type=COLLATERAL&signature_type=0"
    for _ in range(50):
        await world.alice.done("GET", "/balance-allowance/update", query=query)
    status, found = await world.alice.signed("GET", "/balance-allowance/update", query=query)
    assert (status, found) == (429, {"error": "Too Many Requests"})
    await world.bob.done("GET", "/balance-allowance/update", query=query)


async def test_faults_show_what_a_venue_does(world: World) -> None:
    client = world.alice

    def plan(action: Fault, **fields: Any) -> None:
        world.exchange.faults.replace(Plan(rules=(Rule(action=action, name="* /*order*", **fields),)))

    plan(Fault.LOSE_ORDER, times=1)
    lost = await client.order(world.yes, "BUY", "0.40", "10")
    assert lost["status"] == "live"
    assert (await client.signed("GET", f"/data/order/{lost['orderID']}"))[0] == 404
    plan(Fault.STATUS, status=502, when="after", times=1)
    payload = client.payload(world.yes, "BUY", "0.40", "10")
    assert (await client.signed("POST", "/order", payload))[0] == 502
    assert "Duplicated" in await client.refused(payload)
    plan(Fault.CANCEL_ONLY, times=1)
    assert (await client.signed("POST", "/order", payload))[0] == 503
    plan(Fault.UNKNOWN_ENUM, times=1)
    assert (await client.done("GET", f"/data/order/{client.last_id}"))["status"] == "frozen"
    await world.bob.order(world.no, "BUY", "0.60", "10")
    plan(Fault.STALE_STATUS, times=1)
    assert (await client.done("GET", f"/data/order/{client.last_id}"))["status"] == "LIVE"
    assert (await client.done("GET", f"/data/order/{client.last_id}"))["status"] == "MATCHED"


async def test_without_the_signing_packages_books_are_served_and_orders_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing, "available", lambda: False)
    limits = NodeLimits(space_reserved_bytes=0)
    async with await Exchange.open(
        tmp_path / "data", ExchangeConfiguration(accounts={"alice": {}}, limits=limits)
    ) as exchange:
        gateway = build(exchange)
        async with (
            gateway,
            aiohttp.ClientSession() as session,
            session.get(gateway.url + "/markets") as answer,
        ):
            assert answer.status == 200 and len((await answer.json())["data"]) == 2


async def test_a_fresh_venue_makes_wallets_and_keys_that_work(tmp_path: Path) -> None:
    if not signing.available():
        pytest.skip(f"the packages of {signing.EXTRA} are not installed")
    limits = NodeLimits(space_reserved_bytes=0)
    configuration = ExchangeConfiguration(accounts={"alice": {}}, limits=limits)
    async with await Exchange.open(tmp_path / "data", configuration) as exchange:
        gateway = build(exchange, options(wallets=()))
        async with gateway:
            found = [gateway.credentials(key) for key in exchange.keys]
            [made] = [one for one in found if "PRIVATE_KEY" in one]
            assert Wallet.from_text(made["PRIVATE_KEY"]).address() == made["ADDRESS"]
            assert (tmp_path / "data" / "wallets.json").stat().st_mode & 0o777 == 0o600
        again = build(exchange, options(wallets=()))
        async with again:
            assert made["ADDRESS"] in {again.credentials(key).get("ADDRESS") for key in exchange.keys}
