"""Commands over HTTP against a real engine: what is accepted has its effect, what is refused changes
nothing.
"""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import ApiWorld

LIMIT = {"account": "alice", "market": "BTC/USDT", "side": "buy", "quantity": "0.01", "price": "50000"}

BAD_ORDERS: list[tuple[str, dict[str, Any], int, str]] = [
    ("price NaN", {"price": "NaN"}, 422, "NOT_A_NUMBER"),
    ("price infinite", {"price": "Infinity"}, 422, "NOT_A_NUMBER"),
    ("price -inf", {"price": "-inf"}, 422, "NOT_A_NUMBER"),
    ("price empty", {"price": ""}, 422, "NOT_A_NUMBER"),
    ("price with exponent", {"price": "5e4"}, 422, "NOT_A_NUMBER"),
    ("price with a comma", {"price": "50,000"}, 422, "NOT_A_NUMBER"),
    ("price with blanks", {"price": " 50000"}, 422, "NOT_A_NUMBER"),
    ("price in other digits", {"price": "５００００"}, 422, "NOT_A_NUMBER"),
    ("price with 19 decimals", {"price": "50000.0000000000000000001"}, 422, "NOT_A_NUMBER"),
    ("price with 39 digits", {"price": "9" * 39}, 422, "NOT_A_NUMBER"),
    ("price as a float", {"price": 50000.5}, 422, "FLOAT_MONEY"),
    ("price true", {"price": True}, 400, "MALFORMED_REQUEST"),
    ("price negative", {"price": "-50000"}, 422, "INVALID_PRICE"),
    ("price zero", {"price": "0"}, 422, "INVALID_PRICE"),
    ("price absent", {"price": None}, 422, "INVALID_PRICE"),
    ("price beyond all ticks", {"price": "99999999999"}, 422, "INVALID_PRICE"),
    ("price off the tick", {"price": "50000.001"}, 422, "TICK_MISALIGNED"),
    ("size NaN", {"quantity": "nan"}, 422, "NOT_A_NUMBER"),
    ("size as a float", {"quantity": 0.01}, 422, "FLOAT_MONEY"),
    ("size negative", {"quantity": "-0.01"}, 422, "INVALID_SIZE"),
    ("size zero", {"quantity": "0"}, 422, "INVALID_SIZE"),
    ("size beyond all lots", {"quantity": "999999999999"}, 422, "INVALID_SIZE"),
    ("size off the lot", {"quantity": "0.00015"}, 422, "LOT_MISALIGNED"),
    ("below the smallest notional", {"quantity": "0.0001", "price": "1000"}, 422, "ORDER_TOO_SMALL"),
    ("above the largest notional", {"quantity": "1.9999", "price": "60000"}, 422, "ORDER_TOO_LARGE"),
    ("more than the balance", {"account": "poor"}, 422, "INSUFFICIENT_BALANCE"),
    ("unknown market", {"market": "BTX/USDT"}, 404, "MARKET_NOT_FOUND"),
    ("unknown account", {"account": "nobody"}, 404, "ACCOUNT_NOT_FOUND"),
    ("unknown sub-account", {"sub": 7}, 404, "SUB_ACCOUNT_NOT_FOUND"),
    ("sub-account beyond a byte", {"sub": 256}, 422, "PARAMETER_OUT_OF_BOUNDS"),
    ("unknown side", {"side": "hold"}, 400, "MALFORMED_REQUEST"),
    ("unknown field", {"prize": "50000"}, 400, "MALFORMED_REQUEST"),
    (
        "market order in an empty book",
        {"order_type": "market", "time_in_force": "ioc", "price": None},
        422,
        "NO_LIQUIDITY",
    ),
    ("expiry without gtd", {"expires_in_s": 10}, 422, "INVALID_TIME_IN_FORCE"),
    ("expiry in the past", {"time_in_force": "gtd", "expires_in_s": -10}, 422, "ORDER_EXPIRED"),
    ("expiry too far", {"time_in_force": "gtd", "expires_in_s": 31 * 86_400}, 422, "ORDER_EXPIRY_TOO_FAR"),
    ("fill or kill in an empty book", {"time_in_force": "fok"}, 422, "FOK_NOT_FILLABLE"),
    ("key of 17 bytes", {"client_key": "k" * 17}, 422, "BAD_CLIENT_KEY"),
    ("empty key", {"client_key": ""}, 422, "BAD_CLIENT_KEY"),
]


async def test_every_bad_order_is_refused_by_name_and_changes_nothing(api: ApiWorld) -> None:
    await api.market()
    await api.done("/accounts", {"name": "poor"})
    before = await api.state_hash()
    for title, change, status, name in BAD_ORDERS:
        answer = await api.post("/orders", {**LIMIT, **change})
        assert (answer.status_code, answer.json().get("name")) == (status, name), f"{title}: {answer.text}"
        assert answer.headers["content-type"] == "application/problem+json"
        assert await api.state_hash() == before, title
    assert (await api.post("/orders", LIMIT)).status_code == 200, "the order they were made from is good"


async def test_a_market_order_takes_what_is_there_and_carries_no_price(api: ApiWorld) -> None:
    await api.market()
    await api.done("/orders", {**LIMIT, "account": "bob", "side": "sell"})
    await api.done("/orders", {**LIMIT, "price": "49990", "quantity": "0.001"})
    take = {**LIMIT, "order_type": "market", "time_in_force": "ioc"}
    priced = await api.post("/orders", take)
    assert (priced.status_code, priced.json()["name"]) == (422, "MARKET_ORDER_HAS_PRICE")
    done = await api.done("/orders", {**take, "price": None, "quantity": "0.004"})
    assert (await api.get(f"/orders/{done['value']}")).json()["filled"] == "0.004"


BAD_BODIES = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"\xff\xfe",
    b'{"reason": NaN}',
    b'{"price": 1e999}',
    b'{"a":' * 2_000,
]


async def test_bodies_that_are_no_requests_are_refused_and_change_nothing(api: ApiWorld) -> None:
    await api.market()
    before = await api.state_hash()
    for body in BAD_BODIES:
        answer = await api.post_raw("/orders", body)
        assert (answer.status_code, answer.json()["name"]) == (400, "MALFORMED_REQUEST"), body[:20]
    too_large = await api.post_raw("/orders", b" " * 70_000)
    assert (too_large.status_code, too_large.json()["name"]) == (413, "BODY_TOO_LARGE")
    assert await api.state_hash() == before


@pytest.mark.parametrize(
    ("amount", "name"),
    [
        ("0", "INVALID_AMOUNT"),
        ("-1", "INVALID_AMOUNT"),
        ("0.0000001", "INVALID_AMOUNT"),
        ("NaN", "NOT_A_NUMBER"),
        ("1e3", "NOT_A_NUMBER"),
        (1.5, "FLOAT_MONEY"),
        ("9" * 20, "MATH_OVERFLOW"),
    ],
)
async def test_amounts_that_are_no_money_move_nothing(api: ApiWorld, amount: Any, name: str) -> None:
    await api.market()
    before = await api.state_hash()
    for path, body in (
        ("/deposits", {"account": "alice", "asset": "USDT", "external_id": "again"}),
        ("/transfers", {"account": "alice", "asset": "USDT", "to_sub": 1}),
        ("/withdrawals", {"account": "alice", "asset": "USDT", "address": "somewhere"}),
    ):
        answer = await api.post(path, {**body, "amount": amount})
        assert (answer.status_code, answer.json()["name"]) == (422, name), path
    assert await api.state_hash() == before


async def test_a_misaligned_price_names_the_nearest_valid_ones(api: ApiWorld) -> None:
    await api.market()
    price = (await api.post("/orders", {**LIMIT, "price": "50000.005"})).json()
    assert price["nearest"] == ["50000", "50000.01"]
    assert (price["bound"], price["given"]) == (10_000, 50_000_005_000)
    size = (await api.post("/orders", {**LIMIT, "quantity": "0.00015"})).json()
    assert size["nearest"] == ["0.0001", "0.0002"]


async def test_an_unknown_market_comes_with_suggestions(api: ApiWorld) -> None:
    await api.market()
    assert (await api.post("/orders", {**LIMIT, "market": "BTX/USDT"})).json()["suggestions"] == ["BTC/USDT"]


async def test_two_orders_trade_and_the_balances_show_price_and_fees_exactly(api: ApiWorld) -> None:
    await api.market()
    sell = {**LIMIT, "account": "bob", "side": "sell"}
    maker = await api.done("/orders", sell)
    taker = await api.done("/orders", LIMIT)
    assert (await api.get(f"/orders/{maker['value']}")).json()["status"] == "filled"
    row = (await api.get(f"/orders/{taker['value']}")).json()
    assert (row["status"], row["filled"], row["fees"]) == ("filled", "0.01", "0.5")
    balances = {}
    for name in ("alice", "bob"):
        rows = (await api.get(f"/accounts/{name}/balances")).json()["balances"]
        balances[name] = {one["asset"]: one["free"] for one in rows}
    assert balances["alice"] == {"USDT": "99499.5", "BTC": "2.01"}  # 500 + 10 bp
    assert balances["bob"] == {"USDT": "100499.75", "BTC": "1.99"}  # 500 - 5 bp
    api.views.ledger.check()


async def test_the_same_key_and_body_acts_once_and_another_body_conflicts(api: ApiWorld) -> None:
    await api.market()
    first = await api.done("/orders", {**LIMIT, "client_key": "once"})
    again = await api.done("/orders", {**LIMIT, "client_key": "once"})
    assert (again["value"], again["duplicate"]) == (first["value"], True)
    other = await api.post("/orders", {**LIMIT, "client_key": "once", "price": "50001"})
    assert (other.status_code, other.json()["name"]) == (409, "IDEMPOTENCY_CONFLICT")
    assert (await api.get("/orders?account=alice")).json()["count"] == 1


async def test_replace_and_cancel_work_on_own_orders_only(api: ApiWorld) -> None:
    await api.market()
    number = (await api.done("/orders", LIMIT))["value"]
    foreign = await api.post(f"/orders/{number}/cancel", {"account": "bob"})
    assert (foreign.status_code, foreign.json()["name"]) == (403, "WRONG_OWNER")
    await api.done(f"/orders/{number}/replace", {"account": "alice", "price": "49999.99", "quantity": "0.02"})
    row = (await api.get(f"/orders/{number}")).json()
    assert (row["price"], row["quantity"]) == ("49999.99", "0.02")
    nothing = await api.post(f"/orders/{number}/replace", {"account": "alice"})
    assert (nothing.status_code, nothing.json()["name"]) == (400, "MALFORMED_REQUEST")
    await api.done(f"/orders/{number}/cancel", {"account": "alice"})
    twice = await api.post(f"/orders/{number}/cancel", {"account": "alice"})
    assert (twice.status_code, twice.json()["name"]) == (409, "ORDER_NOT_OPEN")
    absent = await api.post("/orders/999/cancel", {"account": "alice"})
    assert (absent.status_code, absent.json()["name"]) == (404, "ORDER_NOT_FOUND")


async def test_cancel_all_by_side_leaves_the_other_side(api: ApiWorld) -> None:
    await api.market()
    await api.done("/orders", LIMIT)
    await api.done("/orders", {**LIMIT, "side": "sell", "price": "60000"})
    await api.done("/orders/cancel-all", {"account": "alice", "side": "buy"})
    left = (await api.get("/orders?account=alice")).json()["orders"]
    assert [one["side"] for one in left] == ["sell"]


async def test_the_switch_window_has_bounds(api: ApiWorld) -> None:
    await api.market()
    for seconds in (-1, 1, 86_401, 1 << 40):
        answer = await api.post("/orders/cancel-after", {"account": "alice", "seconds": seconds})
        assert (answer.status_code, answer.json()["name"]) == (422, "INVALID_SWITCH_WINDOW"), seconds
    await api.done("/orders/cancel-after", {"account": "alice", "seconds": 60})
    await api.done("/orders/cancel-after", {"account": "alice", "seconds": 0})


async def test_a_pause_stops_orders_and_two_other_people_lift_it(api: ApiWorld) -> None:
    await api.market()
    await api.done("/markets/BTC/USDT/pause", {"reason": "drill", "for_s": 60})
    paused = await api.post("/orders", LIMIT)
    assert (paused.status_code, paused.json()["name"]) == (423, "PAUSED")
    assert (await api.get("/markets/BTC/USDT")).json()["status"] == "paused"
    denied = await api.post("/markets/BTC/USDT/resume", {"actor": "emergency"})
    assert (denied.status_code, denied.json()["name"]) == (403, "PERMISSION_DENIED")
    assert (await api.done("/markets/BTC/USDT/resume"))["effect"] == {"resumed": False}
    same = await api.post("/markets/BTC/USDT/resume")
    assert (same.status_code, same.json()["name"]) == (403, "SELF_APPROVAL")
    done = await api.done("/markets/BTC/USDT/resume", {"actor": "resumer-2"})
    assert done["effect"] == {"resumed": True}
    await api.done("/orders", LIMIT)


async def test_closing_a_market_cancels_its_orders_for_ever(api: ApiWorld) -> None:
    await api.market()
    number = (await api.done("/orders", LIMIT))["value"]
    assert (await api.done("/markets/BTC/USDT/close"))["effect"] == {"status": "closed"}
    assert (await api.get(f"/orders/{number}")).json()["reason"] == "market_closed"
    assert (await api.post("/orders", LIMIT)).status_code == 409


async def test_market_parameters_change_once_a_day_against_their_version(api: ApiWorld) -> None:
    await api.market()
    stale = await api.post("/markets/BTC/USDT/update", {"taker_fee_bps": "8", "config_version": 9})
    assert (stale.status_code, stale.json()["name"]) == (409, "CONFIG_VERSION_MISMATCH")
    await api.done("/markets/BTC/USDT/update", {"taker_fee_bps": "8.5"})
    assert (await api.get("/markets/0")).json()["taker_bps"] == "8.5"
    soon = await api.post("/markets/BTC/USDT/update", {"taker_fee_bps": "8"})
    assert (soon.status_code, soon.json()["name"]) == (409, "PARAMETER_COOLDOWN")


async def test_a_market_off_the_money_grid_is_refused(api: ApiWorld) -> None:
    await api.market()
    body = {
        "base": "BTC",
        "quote": "USDT",
        "tick_size": "0.01",
        "lot_size": "0.00001",
        "taker_fee_bps": "10",
        "maker_fee_bps": "10",
    }
    refused = await api.post("/markets", body)
    assert (refused.status_code, refused.json()["name"]) == (422, "INVALID_TICK_LOT")
    unknown = await api.post("/markets", {**body, "base": "ETH"})
    assert (unknown.status_code, unknown.json()["name"]) == (404, "ASSET_NOT_FOUND")


async def test_two_markets_of_one_name_must_be_told_apart(api: ApiWorld) -> None:
    await api.market()
    body = {
        "base": "BTC",
        "quote": "USDT",
        "tick_size": "0.1",
        "lot_size": "0.001",
        "taker_fee_bps": "1",
        "maker_fee_bps": "1",
    }
    await api.done("/markets", body)
    answer = await api.post("/orders", LIMIT)
    assert (answer.status_code, answer.json()["name"]) == (409, "AMBIGUOUS_MARKET")
    assert answer.json()["suggestions"] == ["0", "1"]
    await api.done("/orders", {**LIMIT, "market": "1"})


async def test_a_deposit_is_credited_once(api: ApiWorld) -> None:
    await api.market()
    body = {"account": "alice", "asset": "USDT", "amount": "1", "external_id": "alice-USDT"}
    again = await api.post("/deposits", body)
    assert (again.status_code, again.json()["name"]) == (409, "DUPLICATE_DEPOSIT")


async def test_a_withdrawal_needs_an_address_that_was_listed_a_day_ago(api: ApiWorld) -> None:
    await api.market()
    body = {"account": "alice", "asset": "USDT", "amount": "10", "address": "bank"}
    assert (await api.post("/withdrawals", body)).json()["name"] == "ADDRESS_NOT_ALLOWED"
    await api.done("/addresses", {"account": "alice", "asset": "USDT", "address": "bank"})
    assert (await api.post("/withdrawals", body)).json()["name"] == "ADDRESS_NOT_ALLOWED"
    missing = await api.post("/withdrawals/77/confirm", {"external_id": "x"})
    assert (missing.status_code, missing.json()["name"]) == (404, "WITHDRAWAL_NOT_FOUND")


async def test_a_transfer_moves_money_between_sub_accounts(api: ApiWorld) -> None:
    await api.market()
    await api.done("/subaccounts", {"account": "alice", "index": 3})
    body = {"account": "alice", "asset": "USDT", "to_sub": 3, "amount": "12.5"}
    await api.done("/transfers", body)
    rows = (await api.get("/accounts/alice/balances")).json()["balances"]
    assert {
        "sub": 3,
        "asset": "USDT",
        "free": "12.5",
        "held": "0",
        "pending_withdrawal": "0",
        "total": "12.5",
    } in rows
    same = await api.post("/transfers", {**body, "to_sub": 0})
    assert (same.status_code, same.json()["name"]) == (422, "TRANSFER_SAME_ACCOUNT")


async def test_roles_pass_on_only_what_the_administrator_holds(api: ApiWorld) -> None:
    await api.market()
    await api.done("/roles/grant", {"principal": "alice", "role": "trader", "days": 5})
    escalation = await api.post("/roles/grant", {"principal": "alice", "role": "operator"})
    assert (escalation.status_code, escalation.json()["name"]) == (403, "ROLE_ESCALATION")
    conflict = await api.post("/roles/grant", {"principal": "mirror_maker", "role": "trader"})
    assert (conflict.status_code, conflict.json()["name"]) == (403, "CONFLICT_OF_INTEREST")
    unknown = await api.post("/roles/grant", {"principal": "alice", "role": "king"})
    assert (unknown.status_code, unknown.json()["name"]) == (422, "UNKNOWN_ROLE")
    stranger = await api.post("/roles/grant", {"principal": "nobody", "role": "trader"})
    assert (stranger.status_code, stranger.json()["name"]) == (404, "UNKNOWN_IDENTITY")
    rows = {one["name"]: one["roles"] for one in (await api.get("/roles")).json()["principals"]}
    assert list(rows["alice"]) == ["trader"]
    await api.done("/roles/revoke", {"principal": "alice", "role": "trader"})


async def test_a_suspended_principal_can_do_nothing_until_two_administrators_agree(api: ApiWorld) -> None:
    await api.market()
    await api.done("/roles/suspend", {"principal": "alice"})
    stopped = await api.post("/orders", LIMIT)
    assert (stopped.status_code, stopped.json()["name"]) == (403, "PRINCIPAL_SUSPENDED")
    assert (await api.done("/roles/reinstate", {"principal": "alice"}))["effect"] == {"suspended": True}
    assert (await api.post("/roles/reinstate", {"principal": "alice"})).json()["name"] == "SELF_APPROVAL"
    done = await api.done("/roles/reinstate", {"principal": "alice", "actor": "role-admin-2"})
    assert done["effect"] == {"suspended": False}
    await api.done("/orders", LIMIT)


async def test_orders_of_the_traders_account_never_pass_without_its_trader(api: ApiWorld) -> None:
    await api.market()
    await api.done("/accounts", {"name": "trader"})
    before = await api.state_hash()
    for path, body in (
        ("/orders", {**LIMIT, "account": "trader"}),
        ("/orders/cancel-all", {"account": "trader"}),
        ("/orders", {**LIMIT, "account": api.identities.key("trader").hex()}),
    ):
        answer = await api.post(path, body)
        assert (answer.status_code, answer.json()["name"]) == (503, "TRADER_NOT_RUNNING"), path
    assert await api.state_hash() == before


async def test_a_refused_control_is_no_success_and_says_what_was_read_back(api: ApiWorld) -> None:
    answer = await api.post("/kill/halt", {"reason": "drill"})
    assert answer.status_code == 409
    assert answer.json()["result"]["outcome"] == "refused"
    silent = await api.post("/kill/halt", {"reason": "  "})
    assert (silent.status_code, silent.json()["name"]) == (422, "NO_REASON")


async def test_a_snapshot_is_recorded_and_names_its_state(api: ApiWorld) -> None:
    await api.market()
    report = await api.done("/journal/snapshot")
    assert report["state_hash"] == (await api.state_hash()).hex()


async def test_a_market_reads_back_with_everything_it_was_created_with(api: ApiWorld) -> None:
    await api.market()
    row = (await api.get("/markets/0")).json()
    created = {name: row[name] for name in ("kind", "base", "quote", "feed", "elastic_fee", "nonce")}
    wanted = {"kind": "spot", "base": "BTC", "quote": "USDT", "feed": None, "elastic_fee": False}
    known = api.views.markets.by_handle[0]
    assert created == {**wanted, "nonce": str(known.nonce)}
    assert (known.nonce > 0, row["market_id"]) == (True, known.market_id.hex())
