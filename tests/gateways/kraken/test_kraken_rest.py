"""Every REST call of the Kraken gateway over real sockets: shapes, effects, refusals."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from gateway_world import opened
from kraken_world import World, served, traded, until

from tradewind.gateways.exchange_setup import DEFAULT_MARKETS
from tradewind.gateways.kraken import ids
from tradewind.venues.protocol import VenueState

# ---- orders ----------------------------------------------------------------------------------------------


async def test_an_order_is_said_back_and_found_by_every_question(world: World) -> None:
    wish = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": "60000.0", "volume": "0.00200",
            "cl_ord_id": "my-order", "oflags": "post"}  # fmt: skip
    answer = await world.demo.private("AddOrder", wish)
    assert answer["descr"] == {"order": "buy 0.00200 XBTUSD @ limit 60000.0"}
    [txid] = answer["txid"]
    number = ids.order_number(txid)
    assert number is not None and world.exchange.order("demo", order_id=number) is not None
    await world.other.order("sell", "60000.0", "0.00050")
    open_orders = (await world.demo.private("OpenOrders", {"trades": "true"}))["open"]
    assert open_orders == await world.demo.private("QueryOrders", {"txid": txid, "trades": "true"})
    row = open_orders[txid]
    assert (row["status"], row["vol"], row["vol_exec"], row["cost"], row["price"]) == (
        "open", "0.00200", "0.00050", "30.000000", "60000.00000",
    )  # fmt: skip
    assert row["cl_ord_id"] == "my-order" and row["oflags"] == "fciq,post" and len(row["trades"]) == 1
    assert await world.demo.private("QueryOrders", {"cl_ord_id": "my-order", "trades": "true"}) == open_orders
    trades = await world.demo.private("TradesHistory")
    assert list(trades["trades"]) == row["trades"] and trades["count"] == 1
    assert await world.demo.private("QueryTrades", {"txid": row["trades"][0]}) == trades["trades"]
    assert await world.demo.private("CancelOrder", {"cl_ord_id": "my-order"}) == {"count": 1}
    closed = await world.demo.private("ClosedOrders")
    assert closed["count"] == 1 and closed["closed"][txid]["status"] == "canceled"
    assert closed["closed"][txid]["reason"] == "User requested"


async def test_validation_sends_nothing(world: World) -> None:
    wish = {
        "pair": "XBTUSD",
        "type": "buy",
        "ordertype": "limit",
        "price": "60000.0",
        "volume": "0.001",
        "validate": "true",
    }
    assert await world.demo.private("AddOrder", wish) == {
        "descr": {"order": "buy 0.00100 XBTUSD @ limit 60000.0"}
    }
    assert await world.demo.errors("AddOrder", wish | {"volume": "9"}) == ["EOrder:Insufficient funds"]
    assert (await world.demo.private("OpenOrders"))["open"] == {}


REFUSED = [
    ({"ordertype": "iceberg"}, "EGeneral:Invalid arguments:ordertype"),
    ({"ordertype": "trailing-stop"}, "EGeneral:Invalid arguments:ordertype"),
    ({"type": "hold"}, "EGeneral:Invalid arguments:type"),
    ({"pair": "NOPE"}, "EQuery:Unknown asset pair"),
    ({"pair": ""}, "EGeneral:Invalid arguments:pair"),
    ({"volume": ""}, "EGeneral:Invalid arguments:volume"),
    ({"volume": "0"}, "EGeneral:Invalid arguments:volume"),
    ({"volume": "-1"}, "EGeneral:Invalid arguments:volume"),
    ({"volume": "1e-3"}, "EGeneral:Invalid arguments:volume"),
    ({"volume": "0.000012"}, "EGeneral:Invalid arguments:volume"),
    ({"volume": "0.00001"}, "EGeneral:Invalid arguments:volume minimum not met"),
    ({"volume": "0.00005", "price": "100.0"}, "EOrder:Cost minimum not met"),
    ({"volume": "9"}, "EOrder:Insufficient funds"),
    ({"volume": "10001"}, "EOrder:Insufficient funds"),
    ({"volume": "10000000000"}, "EOrder:Insufficient funds"),
    ({"price": ""}, "EOrder:Invalid price"),
    ({"price": "+5%"}, "EOrder:Invalid price"),
    ({"price": "60000.01"}, "EOrder:Invalid price:XBTUSD price can only be specified up to 1 decimals."),
    ({"price2": "5"}, "EGeneral:Invalid arguments:price2"),
    ({"ordertype": "market", "price": "5"}, "EGeneral:Invalid arguments:price"),
    ({"ordertype": "market", "price": ""}, "EOrder:Invalid order:nothing to trade with"),
    ({"ordertype": "stop-loss-limit"}, "EGeneral:Invalid arguments:price2"),
    ({"oflags": "fcib"}, "EGeneral:Invalid arguments:oflags"),
    ({"oflags": "viqc"}, "EGeneral:Invalid arguments:oflags"),
    ({"oflags": "post", "timeinforce": "IOC"}, "EGeneral:Invalid arguments:oflags"),
    ({"timeinforce": "GTD"}, "EGeneral:Invalid arguments:timeinforce"),
    ({"timeinforce": "DAY"}, "EGeneral:Invalid arguments:timeinforce"),
    ({"expiretm": "1", "timeinforce": "GTD"}, "EGeneral:Invalid arguments:expiretm"),
    ({"leverage": "5:1"}, "EOrder:Cannot open position"),
    ({"starttm": "+60"}, "EGeneral:Invalid arguments:starttm"),
    ({"close[ordertype]": "limit"}, "EGeneral:Invalid arguments:close"),
    ({"stptype": "cancel-all"}, "EGeneral:Invalid arguments:stptype"),
    ({"trigger": "index"}, "EGeneral:Invalid arguments:trigger"),
    ({"userref": "many"}, "EGeneral:Invalid arguments:userref"),
    ({"userref": "5", "cl_ord_id": "a"}, "EGeneral:Invalid arguments:userref"),
    ({"cl_ord_id": "longer than eighteen characters"}, "EGeneral:Invalid arguments:cl_ord_id"),
    ({"deadline": "2020-01-01T00:00:00Z"}, "EService:Deadline elapsed"),
    ({"deadline": "2999-01-01T00:00:00Z"}, "EGeneral:Invalid arguments:deadline"),
    ({"validate": "perhaps"}, "EGeneral:Invalid arguments:validate"),
]


@pytest.mark.parametrize(("change", "error"), REFUSED)
async def test_an_order_that_cannot_be_is_refused_in_the_venues_words(
    world: World, change: Any, error: str
) -> None:
    wish = {
        "pair": "XBTUSD",
        "type": "buy",
        "ordertype": "limit",
        "price": "60000.0",
        "volume": "0.001",
    } | change
    assert await world.demo.errors("AddOrder", wish) == [error]
    assert world.exchange.orders("demo", working=True) == []


async def test_what_the_book_decides_is_refused_too(world: World) -> None:
    await world.other.order("sell", "60000.0", "0.001")
    wish = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": "60000.0", "volume": "0.002"}
    assert await world.demo.errors("AddOrder", wish | {"oflags": "post"}) == ["EOrder:Post only order"]
    await world.demo.order("buy", "50000.0", cl_ord_id="twice")
    assert await world.demo.errors("AddOrder", wish | {"cl_ord_id": "twice"}) == [
        "EOrder:Invalid order:cl_ord_id is in use"
    ]


async def test_markets_that_are_not_open_answer_in_the_venues_words(world: World) -> None:
    txid = await world.demo.order("buy", "60000.0")
    wish = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": "60000.0", "volume": "0.002"}
    for state, error, word in (
        (VenueState.CANCEL_ONLY, "EService:Market in cancel_only mode", "cancel_only"),
        (VenueState.POST_ONLY, "EService:Market in post_only mode", "post_only"),
        (VenueState.LIMIT_ONLY, "EService:Market in limit_only mode", "limit_only"),
        (VenueState.MAINTENANCE, "EService:Unavailable", "maintenance"),
    ):
        world.exchange.set_mode(state)
        asked = wish | {"ordertype": "market", "price": ""} if state is VenueState.LIMIT_ONLY else wish
        assert await world.demo.errors("AddOrder", asked) == [error]
        assert (await world.demo.public("SystemStatus"))["status"] == word
        assert (await world.demo.public("AssetPairs", pair="XBTUSD"))["XXBTZUSD"]["status"] == word
        if state is VenueState.CANCEL_ONLY:
            assert await world.demo.errors("AmendOrder", {"txid": txid, "order_qty": "0.002"}) == [error]
            assert await world.demo.private("CancelOrder", {"txid": txid}) == {"count": 1}
    for name in ("CancelAll", "AddOrder"):
        assert await world.demo.errors(name, wish) == ["EService:Unavailable"]
    world.exchange.set_mode(VenueState.ONLINE)
    await world.demo.order("buy", "60000.0")


@pytest.mark.parametrize(
    ("kind", "price", "price2", "text"),
    [
        ("stop-loss", "50000.0", "", "sell 0.00100 XBTUSD @ stop loss 50000.0"),
        ("stop-loss-limit", "50000.0", "49000.0", "sell 0.00100 XBTUSD @ stop loss 50000.0 -> limit 49000.0"),
        ("take-profit", "70000.0", "", "sell 0.00100 XBTUSD @ take profit 70000.0"),
        (
            "take-profit-limit",
            "70000.0",
            "69000.0",
            "sell 0.00100 XBTUSD @ take profit 70000.0 -> limit 69000.0",
        ),
    ],
)
async def test_triggered_orders_rest_and_are_shown_as_such(
    world: World, kind: str, price: str, price2: str, text: str
) -> None:
    await traded(world)
    wish = {
        "pair": "XBTUSD",
        "type": "sell",
        "ordertype": kind,
        "price": price,
        "price2": price2,
        "volume": "0.001",
    }
    answer = await world.demo.private("AddOrder", wish)
    assert answer["descr"]["order"] == text
    row = (await world.demo.private("QueryOrders", {"txid": answer["txid"][0]}))[answer["txid"][0]]
    assert row["status"] == "open" and row["trigger"] == "last"
    assert (
        row["descr"]["ordertype"] == kind
        and row["descr"]["price"] == price
        and row["descr"]["price2"] == (price2 or "0")
    )
    assert row["stopprice"] == f"{price}0000"


async def test_market_orders_by_volume_and_by_cost(world: World) -> None:
    await world.other.order("sell", "60000.0", "0.01000")
    market = {"pair": "XBTUSD", "type": "buy", "ordertype": "market"}
    first = await world.demo.private("AddOrder", market | {"volume": "0.00100"})
    assert first["descr"]["order"] == "buy 0.00100 XBTUSD @ market"
    second = await world.demo.private("AddOrder", market | {"volume": "120", "oflags": "viqc"})
    rows = await world.demo.private("QueryOrders", {"txid": f"{first['txid'][0]},{second['txid'][0]}"})
    assert [row["status"] for row in rows.values()] == ["closed", "closed"]
    assert Decimal(rows[second["txid"][0]]["cost"]) <= 120


async def test_an_iceberg_shows_a_part_and_trades_whole(world: World) -> None:
    txid = await world.demo.order("sell", "60000.0", "0.01000", displayvol="0.00200")
    book = (await world.demo.public("Depth", pair="XBTUSD"))["XXBTZUSD"]
    assert book["asks"][0][:2] == ["60000.00000", "0.002"]
    await world.other.order("buy", "60000.0", "0.01000")
    assert (await world.demo.private("QueryOrders", {"txid": txid}))[txid]["status"] == "closed"
    wish = {"pair": "XBTUSD", "type": "buy", "ordertype": "stop-loss", "price": "61000.0", "volume": "0.01"}
    assert await world.demo.errors("AddOrder", wish | {"displayvol": "0.002"}) == [
        "EGeneral:Invalid arguments:displayvol"
    ]


async def test_an_order_never_trades_with_its_own_account(world: World) -> None:
    first = await world.demo.order("sell", "60000.0", "0.00100")
    wish = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": "60000.0", "volume": "0.001"}
    answer = await world.demo.private_raw("AddOrder", wish)
    assert b"self trade" in answer[1] or json.loads(answer[1])["error"] == []
    [second] = (await world.demo.private("AddOrder", wish | {"stptype": "cancel-oldest"}))["txid"]
    rows = await world.demo.private("QueryOrders", {"txid": f"{first},{second}"})
    assert [row["status"] for row in rows.values()] == ["canceled", "open"]
    assert (await world.demo.private("TradesHistory"))["count"] == 0


async def test_a_tick_that_is_no_power_of_ten_is_checked_as_one(tmp_path: Path) -> None:
    half = msgspec.structs.replace(DEFAULT_MARKETS[0], tick=Decimal("0.5"))
    async with opened(tmp_path / "data", markets=(half,)) as exchange, served(exchange) as world:
        await world.demo.order("buy", "60000.5")
        wish = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": "60000.3", "volume": "0.001"}
        assert await world.demo.errors("AddOrder", wish) == ["EOrder:Tick size check failed"]
        row = (await world.demo.public("AssetPairs", pair="XBTUSD"))["XXBTZUSD"]
        assert (row["tick_size"], row["pair_decimals"]) == ("0.5", 1)


async def test_a_request_that_is_too_large_is_not_read(world: World) -> None:
    status, body = await world.demo.private_raw("Balance", {"padding": "x" * 70_000})
    assert status == 200 and json.loads(body) == {"error": ["EGeneral:Invalid arguments"]}


async def test_immediate_orders_never_rest(world: World) -> None:
    await world.other.order("sell", "60000.0", "0.00100")
    wish = {
        "pair": "XBTUSD",
        "type": "buy",
        "ordertype": "limit",
        "price": "60000.0",
        "volume": "0.003",
        "timeinforce": "IOC",
    }
    [txid] = (await world.demo.private("AddOrder", wish))["txid"]
    row = (await world.demo.private("QueryOrders", {"txid": txid}))[txid]
    assert (row["status"], row["vol_exec"]) == ("canceled", "0.00100")


async def test_orders_expire_when_they_said_they_would(world: World) -> None:
    txid = await world.demo.order("buy", "50000.0", timeinforce="GTD", expiretm="+1")
    assert (await world.demo.private("QueryOrders", {"txid": txid}))[txid]["expiretm"] > 0
    await until(lambda: not world.exchange.orders("demo", working=True), "the order has expired")
    assert (await world.demo.private("ClosedOrders"))["closed"][txid]["status"] == "expired"


async def test_an_amended_order_keeps_its_id_and_an_edited_one_gets_another(world: World) -> None:
    txid = await world.demo.order("buy", "50000.0", "0.00200", userref="9")
    amended = await world.demo.private(
        "AmendOrder", {"txid": txid, "order_qty": "0.00300", "limit_price": "50001.0"}
    )
    assert amended["amend_id"][0] == "T" and len(amended["amend_id"]) == len(txid)
    row = (await world.demo.private("OpenOrders"))["open"][txid]
    assert (row["vol"], row["descr"]["price"]) == ("0.00300", "50001.0")
    edited = await world.demo.private(
        "EditOrder", {"txid": txid, "pair": "XBTUSD", "volume": "0.00400", "price": "50002.0"}
    )
    assert edited["originaltxid"] == txid and edited["status"] == "ok" and edited["orders_cancelled"] == 1
    [(only, row)] = (await world.demo.private("OpenOrders"))["open"].items()
    assert only == edited["txid"] and (row["vol"], row["descr"]["price"]) == ("0.00400", "50002.0")
    assert await world.demo.errors("AmendOrder", {"txid": txid, "order_qty": "1"}) == ["EOrder:Unknown order"]


async def test_amending_to_what_is_filled_cancels_the_rest(world: World) -> None:
    txid = await traded(world)
    await world.demo.private("AmendOrder", {"txid": txid, "order_qty": "0.00050"})
    row = (await world.demo.private("QueryOrders", {"txid": txid}))[txid]
    assert (row["status"], row["vol_exec"]) == ("canceled", "0.00050")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({}, "EGeneral:Invalid arguments"),
        (
            {"limit_price": "50000.05"},
            "EOrder:Invalid price:XBTUSD price can only be specified up to 1 decimals.",
        ),
        ({"order_qty": "0.000001"}, "EGeneral:Invalid arguments:order_qty"),
        ({"order_qty": "9"}, "EOrder:Insufficient funds"),
        ({"display_qty": "0.001", "order_qty": "0.002"}, "EGeneral:Invalid arguments:display_qty"),
        ({"post_only": "true", "order_qty": "0.002"}, "EGeneral:Invalid arguments:post_only"),
        ({"order_qty": "0.002", "pair": "ETHUSD"}, "EGeneral:Invalid arguments:pair"),
    ],
)
async def test_amendments_that_cannot_be_change_nothing(world: World, change: Any, error: str) -> None:
    txid = await world.demo.order("buy", "50000.0", "0.00100")
    before = await world.demo.private("OpenOrders")
    assert await world.demo.errors("AmendOrder", {"txid": txid, **change}) == [error]
    assert await world.demo.private("OpenOrders") == before


async def test_batches_place_and_cancel_several(world: World) -> None:
    rows = [
        {"type": "buy", "ordertype": "limit", "price": price, "volume": "0.001"}
        for price in ("50000.0", "50001.0")
    ]
    answer = await world.demo.private("AddOrderBatch", {"pair": "XBTUSD", "orders": rows}, as_json=True)
    assert [one["descr"]["order"] for one in answer["orders"]] == [
        "buy 0.00100 XBTUSD @ limit 50000.0", "buy 0.00100 XBTUSD @ limit 50001.0",
    ]  # fmt: skip
    txids = [one["txid"] for one in answer["orders"]]
    assert set((await world.demo.private("OpenOrders"))["open"]) == set(txids)
    gone = await world.demo.private(
        "CancelOrderBatch", {"orders": [*txids, "OAAAAA-AAAAA-AAAAAA"]}, as_json=True
    )
    assert gone == {"count": 2}


async def test_a_batch_with_a_bad_row_places_nothing_and_a_poor_row_fails_alone(world: World) -> None:
    good = {"type": "buy", "ordertype": "limit", "price": "50000.0", "volume": "0.001"}
    bad = await world.demo.errors(
        "AddOrderBatch", {"pair": "XBTUSD", "orders": [good, good | {"price": "0.01"}]}, as_json=True
    )
    assert bad[0].startswith("EOrder:Invalid price") and world.exchange.orders("demo", working=True) == []
    poor = await world.demo.private(
        "AddOrderBatch", {"pair": "XBTUSD", "orders": [good, good | {"volume": "9"}]}, as_json=True
    )
    assert poor["orders"][0]["txid"] and poor["orders"][1] == {"error": "EOrder:Insufficient funds"}
    for rows in ([good], [good] * 16):
        assert await world.demo.errors("AddOrderBatch", {"pair": "XBTUSD", "orders": rows}, as_json=True) == [
            "EGeneral:Invalid arguments:orders"
        ]


async def test_a_clients_number_names_all_its_orders(world: World) -> None:
    for price in ("50000.0", "50001.0"):
        await world.demo.order("buy", price, userref="42")
    await world.demo.order("buy", "50002.0", userref="43")
    assert len((await world.demo.private("OpenOrders", {"userref": "42"}))["open"]) == 2
    assert await world.demo.private("CancelOrder", {"txid": "42"}) == {"count": 2}
    assert await world.demo.private("CancelAll") == {"count": 1}
    assert await world.demo.private("CancelAll") == {"count": 0}


async def test_cancelling_what_is_not_there_says_so(world: World) -> None:
    txid = await world.demo.order("buy", "50000.0")
    await world.demo.private("CancelOrder", {"txid": txid})
    for name in (txid, ids.order_id(123_456), "77"):
        assert await world.demo.errors("CancelOrder", {"txid": name}) == ["EOrder:Unknown order"]
    assert await world.demo.errors("CancelOrder", {"txid": "nonsense"}) == ["EOrder:Invalid order"]
    assert await world.demo.errors("CancelOrder", {}) == ["EGeneral:Invalid arguments:txid"]
    assert await world.demo.errors("QueryOrders", {"txid": ids.order_id(123_456)}) == ["EOrder:Unknown order"]


async def test_the_dead_mans_switch_fires_and_can_be_disarmed(world: World) -> None:
    armed = await world.demo.private("CancelAllOrdersAfter", {"timeout": "60"})
    assert armed["triggerTime"] > armed["currentTime"] and armed["currentTime"].endswith("Z")
    assert (await world.demo.private("CancelAllOrdersAfter", {"timeout": "0"}))["triggerTime"] == "0"
    assert await world.demo.errors("CancelAllOrdersAfter", {"timeout": "86401"}) == [
        "EGeneral:Invalid arguments:timeout"
    ]
    assert await world.demo.errors("CancelAllOrdersAfter", {}) == ["EGeneral:Invalid arguments:timeout"]


# ---- funds -----------------------------------------------------------------------------------------------


async def test_balances_are_the_exchanges_own_and_show_what_orders_hold(world: World) -> None:
    await world.demo.order("buy", "50000.0", "0.00100")
    await world.demo.order("sell", "70000.0", "0.50000")
    funds = {one.asset: one for one in world.exchange.funds("demo")}
    extended = await world.demo.private("BalanceEx")
    plain = await world.demo.private("Balance")
    for code, asset in (("ZUSD", "USD"), ("XXBT", "BTC")):
        assert Decimal(extended[code]["hold_trade"]) == funds[asset].held > 0
        assert (
            Decimal(extended[code]["balance"])
            == Decimal(plain[code])
            == funds[asset].free + funds[asset].held
        )


async def test_ledgers_lead_from_the_first_balance_to_the_present_one(world: World) -> None:
    await traded(world)
    await world.other.order("sell", "60000.0", "0.00070")
    rows = list((await world.demo.private("Ledgers", {"asset": "ZUSD"}))["ledger"].values())
    assert len(rows) == 2 and {row["type"] for row in rows} == {"trade"}
    newest, oldest = rows
    assert Decimal(oldest["balance"]) - Decimal(oldest["amount"]) + Decimal(oldest["fee"]) == 100_000
    assert Decimal(newest["balance"]) == Decimal((await world.demo.private("Balance"))["ZUSD"])
    assert (await world.demo.private("Ledgers", {"type": "deposit"})) == {"ledger": {}, "count": 0}


async def test_fees_of_a_pair_are_the_ones_that_are_charged(world: World) -> None:
    await traded(world)
    volume = await world.demo.private("TradeVolume", {"pair": "XBTUSD"})
    assert volume["fees_maker"]["XXBTZUSD"]["fee"] == "0.1000" and volume["volume"] == "30.0000"
    [trade] = (await world.demo.private("TradesHistory"))["trades"].values()
    assert Decimal(trade["fee"]) == Decimal(trade["cost"]) * Decimal("0.001") and trade["maker"] is True
    assert await world.demo.private("OpenPositions") == {}
    balance = await world.demo.private("TradeBalance")
    assert Decimal(balance["eb"]) > 600_000 and balance["m"] == "0.0000"


async def test_histories_page_by_fifty(world: World) -> None:
    await world.demo.order("buy", "60000.0", "0.10000")
    for _ in range(55):
        await world.other.order("sell", "60000.0", "0.00010")
    first = await world.demo.private("TradesHistory")
    second = await world.demo.private("TradesHistory", {"ofs": "50"})
    assert (len(first["trades"]), len(second["trades"]), first["count"]) == (50, 5, 55)
    assert not set(first["trades"]) & set(second["trades"])
    assert next(iter(first["trades"].values()))["trade_id"] == 55, "newest first"
    oldest = list(second["trades"])[-1]
    since = await world.demo.private("TradesHistory", {"start": oldest})
    assert since["count"] == 54, "a trade's id as a bound leaves itself out"
