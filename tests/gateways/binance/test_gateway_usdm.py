"""Binance USD-M over real sockets: calls, orders, positions, streams, listen keys."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from binance_world import Client, World
from hypothesis import given, settings
from hypothesis import strategies as st
from usdm_world import usdm_world

from tradewind.gateways.binance.usdm_gateway import UsdmGateway
from tradewind.gateways.exchange import Exchange
from tradewind.gateways.exchange_setup import DEFAULT_MARKETS
from tradewind.gateways.faults import Fault, Plan, Rule
from tradewind.gateways.keys import Right
from tradewind.venues.binance.live import USDM, open_binance_feed
from tradewind.venues.market_data import BookState

CANONICAL = "BTC/USDT:USDT"
SYMBOL = "BTCUSDT"
MESSAGES = Path(__file__).parents[4] / "shared" / "data" / "venue-messages" / "binance"


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[World]:
    async with usdm_world(tmp_path / "data") as one:
        yield one


async def order(
    client: Client, side: str, price: str | None, quantity: str, kind: str = "LIMIT", **more: Any
) -> Any:
    fields = {"symbol": SYMBOL, "side": side, "type": kind, "quantity": quantity, **more}
    if price is not None:
        fields["price"] = price
    if kind == "LIMIT":
        fields.setdefault("timeInForce", "GTC")
    return await client.signed("POST", "/fapi/v1/order", **fields)


async def trade(venue: World, quantity: str = "0.5") -> None:
    """demo is long, other is short."""
    await order(venue.other, "SELL", "60000", quantity)
    await order(venue.demo, "BUY", "60000", quantity)


async def risk(client: Client) -> Any:
    [row] = await client.signed("GET", "/fapi/v2/positionRisk", symbol=SYMBOL)
    return row


def example(name: str) -> Any:
    path = MESSAGES / name
    if not path.is_file():
        pytest.skip("no recorded messages beside the repository")
    return json.loads(path.read_text())


async def events(socket: aiohttp.ClientWebSocketResponse, *wanted: str) -> list[Any]:
    """Events until one of each wanted kind has come."""
    found: list[Any] = []
    while not set(wanted) <= {one.get("e") for one in found}:
        found.append(await socket.receive_json(timeout=10))
    return found


# ---- public ----------------------------------------------------------------------------------------


async def test_public_calls_answer_in_the_venues_shapes(venue: World) -> None:
    await trade(venue)
    await order(venue.other, "SELL", "60100", "1")
    await order(venue.other, "BUY", "59900.5", "2")
    demo = venue.demo
    assert await demo.public("/fapi/v1/ping") == {}
    assert abs((await demo.public("/fapi/v1/time"))["serverTime"] - time.time() * 1_000) < 60_000
    info = await demo.public("/fapi/v1/exchangeInfo")
    assert [row["symbol"] for row in info["symbols"]] == ["BTCUSDT", "ETHUSDT"]
    row = info["symbols"][0]
    assert (row["contractType"], row["status"], row["marginAsset"]) == ("PERPETUAL", "TRADING", "USDT")
    assert (row["pricePrecision"], row["quantityPrecision"]) == (1, 3)
    depth = await demo.public("/fapi/v1/depth", symbol=SYMBOL, limit=5)
    assert depth["bids"] == [["59900.5", "2.000"]] and depth["asks"] == [["60100.0", "1.000"]]
    [public] = await demo.public("/fapi/v1/trades", symbol=SYMBOL)
    assert (public["price"], public["qty"]) == ("60000.0", "0.500")
    assert (await demo.public("/fapi/v1/klines", symbol=SYMBOL, interval="1m"))[-1][4] == "60000.0"
    premium = await demo.public("/fapi/v1/premiumIndex", symbol=SYMBOL)
    assert Decimal(premium["markPrice"]) > 0 and premium["nextFundingTime"] > premium["time"] > 0
    assert (await demo.public("/fapi/v1/ticker/price", symbol=SYMBOL))["price"] == "60000.0"
    assert (await demo.public("/fapi/v1/ticker/24hr", symbol=SYMBOL))["volume"] == "0.500"
    assert (await demo.public("/fapi/v1/ticker/bookTicker", symbol=SYMBOL))["bidPrice"] == "59900.5"
    assert (await demo.public("/fapi/v1/openInterest", symbol=SYMBOL))["openInterest"] == "0.500"


async def test_spot_markets_of_the_same_exchange_are_not_offered(tmp_path: Path) -> None:
    async with usdm_world(tmp_path, markets=DEFAULT_MARKETS[2:3]) as venue:
        assert set(venue.exchange.markets) >= {"BTC/USDT", CANONICAL}
        found = venue.gateway.state.symbols.find(SYMBOL)
        assert found.market.symbol == CANONICAL
        await order(venue.demo, "BUY", "50000", "0.1")
        assert [one.symbol for one in venue.exchange.orders("demo", working=True)] == [CANONICAL]


async def test_what_is_not_offered_is_the_venues_own_error(venue: World) -> None:
    demo = venue.demo
    limit = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1"}
    limit["price"] = "50000"

    async def code(**changes: Any) -> int:
        return (await demo.refused("POST", "/fapi/v1/order", **{**limit, **changes}))[1]

    assert await code(positionSide="LONG") == -4061
    assert await code(closePosition="true") == -1020
    assert await code(type="TRAILING_STOP_MARKET") == -1020
    assert await code(type="NOPE") == -1116
    assert await code(timeInForce="GTD") == -1115
    assert await code(price="50000.05") == -1111
    assert await code(quantity="0.0001") == -1111
    assert await code(price="0") == -4001
    assert await code(quantity="0") == -4003
    assert await code(quantity="100") == -2019
    assert await code(quantity="0.001", price="1") in {-4164, -4131}
    assert await code(symbol="NOPE") == -1121
    assert await code(reduceOnly="true") == -2022
    for path, fields, wanted in (
        ("marginType", {"symbol": SYMBOL, "marginType": "CROSSED"}, -4046),
        ("marginType", {"symbol": SYMBOL, "marginType": "ISOLATED"}, -1020),
        ("positionSide/dual", {"dualSidePosition": "false"}, -4059),
        ("positionSide/dual", {"dualSidePosition": "true"}, -1020),
        ("leverage", {"symbol": SYMBOL, "leverage": 21}, -4028),
        ("leverage", {"symbol": SYMBOL, "leverage": 126}, -4028),
    ):
        assert (await demo.refused("POST", f"/fapi/v1/{path}", **fields))[1] == wanted, (path, fields)
    status, code_, _ = await demo.refused("POST", "/fapi/v1/algoOrder")
    assert (status, code_) == (404, -1020)
    assert venue.exchange.orders("demo", working=True) == []


# ---- orders and positions --------------------------------------------------------------------------


async def test_an_order_has_the_fields_of_the_venue(venue: World) -> None:
    placed = await order(venue.demo, "BUY", "50000", "0.1", newClientOrderId="mine")
    seen = await venue.demo.signed("GET", "/fapi/v1/order", symbol=SYMBOL, origClientOrderId="mine")
    assert seen == placed and placed["status"] == "NEW"
    wanted = example("examples/usdm_http_order_response.json")
    assert set(wanted) <= set(seen)
    assert {name: type(value) for name, value in wanted.items()} == {
        name: type(seen[name]) for name in wanted
    }


async def test_an_acknowledgement_says_new_and_a_result_says_what_became_of_it(venue: World) -> None:
    await order(venue.other, "SELL", "60000", "1")
    first = await order(venue.demo, "BUY", None, "0.4", "MARKET")
    assert (first["status"], first["executedQty"]) == ("NEW", "0.000")
    second = await order(venue.demo, "BUY", None, "0.4", "MARKET", newOrderRespType="RESULT")
    assert (second["status"], second["executedQty"], second["avgPrice"]) == ("FILLED", "0.400", "60000.00000")
    query = await venue.demo.signed("GET", "/fapi/v1/order", symbol=SYMBOL, orderId=first["orderId"])
    assert (query["status"], query["cumQuote"]) == ("FILLED", "24000.00000000")
    trades = await venue.demo.signed("GET", "/fapi/v1/userTrades", symbol=SYMBOL)
    assert [row["qty"] for row in trades] == ["0.400", "0.400"]
    assert {row["buyer"] for row in trades} == {True} and {row["maker"] for row in trades} == {False}


async def test_orders_end_by_cancel_by_all_and_by_time_in_force(venue: World) -> None:
    demo = venue.demo
    one = await order(demo, "BUY", "50000", "0.1")
    gone = await demo.signed("DELETE", "/fapi/v1/order", symbol=SYMBOL, orderId=one["orderId"])
    assert gone["status"] == "CANCELED"
    again = await demo.refused("DELETE", "/fapi/v1/order", symbol=SYMBOL, orderId=one["orderId"])
    assert again[1] == -2011
    for step in range(3):
        await order(demo, "BUY", str(50_000 + step), "0.1")
    assert len(await demo.signed("GET", "/fapi/v1/openOrders")) == 3
    told = await demo.signed("DELETE", "/fapi/v1/allOpenOrders", symbol=SYMBOL)
    assert told["code"] == 200
    assert await demo.signed("GET", "/fapi/v1/openOrders", symbol=SYMBOL) == []
    await order(venue.other, "SELL", "60000", "0.1")
    took = await order(demo, "BUY", "60000", "0.3", timeInForce="IOC", newOrderRespType="RESULT")
    assert (took["status"], took["executedQty"]) == ("EXPIRED", "0.100")
    await order(venue.other, "SELL", "60000", "0.1")
    maker = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "price": "60000", "quantity": "0.1"}
    assert (await demo.refused("POST", "/fapi/v1/order", **maker, timeInForce="GTX"))[1] == -5022
    assert len(await demo.signed("GET", "/fapi/v1/allOrders", symbol=SYMBOL)) >= 5


async def test_a_limit_order_changes_and_keeps_its_number(venue: World) -> None:
    one = await order(venue.demo, "BUY", "50000", "0.1")
    fields = {"symbol": SYMBOL, "orderId": one["orderId"], "side": "BUY"}
    moved = await venue.demo.signed("PUT", "/fapi/v1/order", **fields, quantity="0.2", price="51000")
    assert (moved["orderId"], moved["price"], moved["origQty"]) == (one["orderId"], "51000.0", "0.200")
    same = await venue.demo.refused("PUT", "/fapi/v1/order", **fields, quantity="0.2", price="51000")
    assert same[1] == -5027


async def test_positions_and_margin_are_those_of_the_exchange(venue: World) -> None:
    set_to = await venue.demo.signed("POST", "/fapi/v1/leverage", symbol=SYMBOL, leverage=5)
    assert (set_to["leverage"], set_to["symbol"]) == (5, SYMBOL)
    await trade(venue)
    long, short = await risk(venue.demo), await risk(venue.other)
    assert (long["positionAmt"], short["positionAmt"]) == ("0.500", "-0.500")
    assert Decimal(long["entryPrice"]) == 60_000 and long["leverage"] == "5"
    assert Decimal(long["unRealizedProfit"]) == -Decimal(short["unRealizedProfit"])
    account = await venue.demo.signed("GET", "/fapi/v2/account")
    margin = venue.exchange.margin("demo")
    assert Decimal(account["totalWalletBalance"]) == margin.wallet == Decimal(100_000) - 15
    assert Decimal(account["availableBalance"]) == margin.available
    [balance] = await venue.demo.signed("GET", "/fapi/v2/balance")
    assert (balance["asset"], Decimal(balance["balance"])) == ("USDT", margin.wallet)
    closed = await venue.demo.signed("GET", "/fapi/v3/positionRisk")
    assert [row["symbol"] for row in closed] == [SYMBOL]
    wanted = example("examples/usdm_http_account_info_v2.json")
    assert set(wanted) <= set(account)
    assert set(wanted["assets"][0]) <= set(account["assets"][0])
    assert set(wanted["positions"][0]) <= set(account["positions"][0])
    assert set(example("examples/usdm_http_position_risk.json")[0]) <= set(long)


async def test_brackets_ask_for_more_margin_of_larger_positions(venue: World) -> None:
    [row] = await venue.demo.signed("GET", "/fapi/v1/leverageBracket", symbol=SYMBOL)
    rows = row["brackets"]
    assert rows[0]["notionalFloor"] == 0 and rows[-1]["notionalCap"] == 10_000_000
    for before, after in itertools.pairwise(rows):
        assert after["notionalFloor"] == before["notionalCap"]
        assert after["maintMarginRatio"] >= before["maintMarginRatio"] > 0
        assert 1 <= after["initialLeverage"] <= before["initialLeverage"] <= 20


async def test_reduce_only_closes_and_stops_wait_for_their_price(venue: World) -> None:
    await trade(venue)
    stop = await order(
        venue.demo, "SELL", None, "0.5", "STOP_MARKET", stopPrice="50000", reduceOnly="true",
        workingType="MARK_PRICE",
    )  # fmt: skip
    assert (stop["status"], stop["type"], stop["workingType"]) == ("NEW", "STOP_MARKET", "MARK_PRICE")
    [waiting] = await venue.demo.signed("GET", "/fapi/v1/openOrders", symbol=SYMBOL)
    assert (waiting["origType"], waiting["stopPrice"], waiting["reduceOnly"]) == (
        "STOP_MARKET",
        "50000.0",
        True,
    )
    at_once = {
        "symbol": SYMBOL,
        "side": "SELL",
        "type": "STOP_MARKET",
        "quantity": "0.1",
        "stopPrice": "61000",
    }
    assert (await venue.demo.refused("POST", "/fapi/v1/order", **at_once))[1] == -2021
    await order(venue.other, "BUY", "59990", "2")
    done = await order(
        venue.demo, "SELL", None, "0.9", "MARKET", reduceOnly="true", newOrderRespType="RESULT"
    )
    assert done["executedQty"] == "0.500" and (await risk(venue.demo))["positionAmt"] == "0.000"


async def test_keys_need_rights_and_signatures_as_at_spot(venue: World) -> None:
    reader = venue.client("third", (Right.READ,))
    assert await reader.signed("GET", "/fapi/v1/openOrders") == []
    fields = {"symbol": SYMBOL, "side": "BUY", "type": "MARKET", "quantity": "0.1"}
    assert (await reader.refused("POST", "/fapi/v1/order", **fields))[1] == -2015
    trader = venue.client("third", (Right.TRADE,))
    assert (await trader.raw("POST", "/fapi/v1/listenKey"))[1]["code"] == -2015
    status, body, _ = await venue.demo.raw("GET", "/fapi/v2/account", "timestamp=1&signature=00")
    assert (status, body["code"]) == (400, -1022)


async def test_a_lost_answer_leaves_the_order_behind(venue: World) -> None:
    rule = Rule(
        surface="rest", name="POST /fapi/v1/order", action=Fault.STATUS, when="after", status=503, times=1
    )
    venue.exchange.faults.replace(Plan(seed=1, rules=(rule,)))
    fields = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
    status, _, _ = await venue.demo.refused(
        "POST", "/fapi/v1/order", **fields, price="50000", quantity="0.1", newClientOrderId="lost"
    )
    assert status == 503
    found = await venue.demo.signed("GET", "/fapi/v1/order", symbol=SYMBOL, origClientOrderId="lost")
    assert found["status"] == "NEW"


# ---- streams ---------------------------------------------------------------------------------------


async def test_market_streams_carry_the_venues_fields_and_depth_has_no_gap(venue: World) -> None:
    names = "/".join(
        f"btcusdt@{one}" for one in ("trade", "depth@100ms", "bookTicker", "markPrice@1s", "aggTrade")
    )
    async with venue.socket(f"/stream?streams={names}") as socket:
        found: dict[str, list[Any]] = {}
        for step in range(4):
            await order(venue.other, "SELL", str(60_000 + step), "0.1")
            await order(venue.demo, "BUY", str(60_000 + step), "0.05")
        kinds = {"trade", "depthUpdate", "bookTicker", "markPriceUpdate", "aggTrade"}
        update_id = venue.exchange.book(CANONICAL).update_id
        while not kinds <= set(found) or found["depthUpdate"][-1]["u"] < update_id:
            frame = await socket.receive_json(timeout=10)
            found.setdefault(frame["data"]["e"], []).append(frame["data"])
        depth = found["depthUpdate"]
        for before, after in itertools.pairwise(depth):
            assert after["pu"] == before["u"] and after["U"] == before["u"] + 1
        for kind, name in (
            ("trade", "recorded/ws_usdm_trade.json"),
            ("depthUpdate", "recorded/ws_usdm_depth.json"),
            ("bookTicker", "recorded/ws_usdm_bookTicker.json"),
        ):
            real = example(name)["data"]
            assert set(found[kind][0]) == set(real), kind
            for field, value in real.items():
                assert type(found[kind][0][field]) is type(value), (kind, field)


async def test_the_stream_of_an_account_tells_orders_positions_and_leverage(venue: World) -> None:
    _, body, _ = await venue.demo.raw("POST", "/fapi/v1/listenKey")
    _, again, _ = await venue.demo.raw("POST", "/fapi/v1/listenKey")
    assert body == again
    async with venue.socket(f"/ws/{body['listenKey']}") as socket:
        await venue.demo.signed("POST", "/fapi/v1/leverage", symbol=SYMBOL, leverage=3)
        [told] = await events(socket, "ACCOUNT_CONFIG_UPDATE")
        assert told["ac"] == {"s": SYMBOL, "l": 3}
        await order(venue.other, "SELL", "60000", "0.5")
        placed = await order(venue.demo, "BUY", "60000", "0.5", newClientOrderId="mine")
        orders, accounts = [], []
        while not (orders and orders[-1]["X"] == "FILLED" and accounts):
            event = await socket.receive_json(timeout=10)
            if event["e"] == "ORDER_TRADE_UPDATE":
                orders.append(event["o"])
            else:
                accounts.append(event)
        assert [(one["x"], one["X"]) for one in orders] == [("NEW", "NEW"), ("TRADE", "FILLED")]
        last = orders[-1]
        assert (last["i"], last["c"], last["l"], last["L"]) == (placed["orderId"], "mine", "0.500", "60000.0")
        account = accounts[-1]["a"]
        assert account["m"] == "ORDER"
        assert [(row["s"], row["pa"], Decimal(row["ep"])) for row in account["P"]] == [
            (SYMBOL, "0.500", Decimal(60_000))
        ]
        assert Decimal(account["B"][0]["wb"]) == venue.exchange.margin("demo").wallet
        wanted = example("examples/usdm_user_account_update.json")
        assert set(wanted) == set(accounts[-1]) and set(wanted["a"]["P"][0]) == set(account["P"][0])
        assert set(wanted["a"]["B"][0]) == set(account["B"][0])


async def test_a_stream_hears_its_own_account_alone_and_ends_with_its_key(venue: World) -> None:
    _, body, _ = await venue.demo.raw("POST", "/fapi/v1/listenKey")
    async with venue.socket(f"/ws/{body['listenKey']}") as socket:
        await order(venue.other, "BUY", "50000", "0.1")
        mine = await order(venue.demo, "BUY", "50001", "0.1")
        first = await socket.receive_json(timeout=10)
        assert first["o"]["i"] == mine["orderId"]
        assert (await venue.demo.raw("PUT", "/fapi/v1/listenKey"))[0] == 200
        assert (await venue.demo.raw("DELETE", "/fapi/v1/listenKey"))[:2] == (200, {})
        status, told, _ = await venue.demo.raw("PUT", "/fapi/v1/listenKey")
        assert (status, told["code"]) == (400, -1125)
        _, fresh, _ = await venue.demo.raw("POST", "/fapi/v1/listenKey")
        assert fresh != body
        async with venue.socket(f"/ws/{fresh['listenKey']}") as second:
            await order(venue.demo, "BUY", "50002", "0.1")
            assert (await second.receive_json(timeout=10))["o"]["p"] == "50002.0"


async def test_an_exchange_without_perpetual_markets_has_no_such_gateway(exchange: Exchange) -> None:
    with pytest.raises(ValueError, match="no perpetual market"):
        UsdmGateway(exchange)


async def test_our_own_feed_of_the_venue_reads_the_book_of_the_gateway(venue: World) -> None:
    endpoints = msgspec.structs.replace(
        USDM, rest_url=venue.gateway.url, websocket_url=venue.gateway.socket_url
    )
    feed = await open_binance_feed(["BTCUSDT"], endpoints)
    try:
        [symbol] = feed.instruments
        feed.start()
        for step in range(30):
            await order(venue.other, "SELL", str(60_000 + step), "0.1")
            await order(venue.other, "BUY", str(59_000 - step), "0.2")
        book = venue.exchange.book(CANONICAL)
        wanted = (list(book.bids), list(book.asks))
        async with asyncio.timeout(30):
            while True:
                seen = feed.book(symbol)
                found = (list(seen.bids.top(30)), list(seen.asks.top(30)))
                if seen.state is BookState.LIVE and found == wanted:
                    break
                await asyncio.sleep(0.01)
    finally:
        await feed.close()


async def test_a_restart_forgets_neither_leverage_nor_what_a_trigger_watches(tmp_path: Path) -> None:
    async with usdm_world(tmp_path) as venue:
        await venue.demo.signed("POST", "/fapi/v1/leverage", symbol=SYMBOL, leverage=4)
        await trade(venue)
        await order(
            venue.demo, "SELL", "49000", "0.5", "STOP", stopPrice="50000", workingType="MARK_PRICE",
            newClientOrderId="stop", reduceOnly="true",
        )  # fmt: skip
        before = await venue.demo.signed("GET", "/fapi/v1/openOrders")
        position = await risk(venue.demo)
    async with usdm_world(tmp_path) as venue:
        assert await venue.demo.signed("GET", "/fapi/v1/openOrders") == before
        assert before[0]["workingType"] == "MARK_PRICE" and before[0]["type"] == "STOP"
        after = await risk(venue.demo)
        for name in ("positionAmt", "entryPrice", "leverage"):
            assert after[name] == position[name]
        assert after["leverage"] == "4"
        assert [
            row["qty"] for row in await venue.demo.signed("GET", "/fapi/v1/userTrades", symbol=SYMBOL)
        ] == ["0.500"]


WORDS = ("BTCUSDT", "BUY", "SELL", "LIMIT", "STOP", "GTC", "GTX", "1", "0", "true", "60000", "0.001", "-1")
JUNK = st.one_of(
    st.sampled_from(WORDS),
    st.text(max_size=12),
)
FIELDS = (
    "symbol", "side", "type", "timeInForce", "quantity", "price", "stopPrice", "reduceOnly", "positionSide",
    "workingType", "newClientOrderId", "closePosition", "orderId", "origClientOrderId", "leverage", "limit",
    "countdownTime", "batchOrders", "orderIdList", "origClientOrderIdList",
)  # fmt: skip
CALLS = (
    ("POST", "order"), ("PUT", "order"), ("DELETE", "order"), ("GET", "order"), ("GET", "allOrders"),
    ("GET", "userTrades"), ("POST", "leverage"), ("POST", "marginType"), ("DELETE", "allOpenOrders"),
    ("GET", "depth"), ("GET", "klines"), ("GET", "premiumIndex"), ("GET", "leverageBracket"),
    ("POST", "batchOrders"), ("DELETE", "batchOrders"), ("POST", "countdownCancelAll"),
)  # fmt: skip


async def test_no_parameter_makes_an_error_of_the_server(venue: World) -> None:
    """Whatever is sent is answered or refused with a code of the venue; the ledger stays in balance."""
    await trade(venue)
    sent: list[tuple[str, str, dict[str, str]]] = []

    @settings(max_examples=250, database=None, deadline=None)
    @given(st.sampled_from(CALLS), st.dictionaries(st.sampled_from(FIELDS), JUNK, max_size=9))
    def gather(call: tuple[str, str], fields: dict[str, str]) -> None:
        sent.append((*call, fields))

    gather()
    for method, path, fields in sent:
        status, body, _ = await venue.demo.raw(method, f"/fapi/v1/{path}", venue.demo.query(fields))
        assert status == 200 or (400 <= status < 429 and isinstance(body["code"], int)), (path, fields, body)
    venue.exchange.views.ledger.check()


async def test_the_end_of_a_listen_key_is_told(venue: World) -> None:
    _, body, _ = await venue.demo.raw("POST", "/fapi/v1/listenKey")
    key = venue.gateway.listen_keys.find(body["listenKey"], venue.exchange.now_ns())
    async with venue.socket("/stream") as socket:
        key.until_ns = venue.exchange.now_ns() + 300_000_000
        await socket.send_json({"method": "SUBSCRIBE", "params": [body["listenKey"]], "id": 1})
        assert (await socket.receive_json(timeout=10))["result"] is None
        ended = await socket.receive_json(timeout=10)
        assert ended["data"]["e"] == "listenKeyExpired" and ended["stream"] == body["listenKey"]
    _, fresh, _ = await venue.demo.raw("POST", "/fapi/v1/listenKey")
    assert fresh != body


async def test_faults_act_on_the_stream_of_an_account(venue: World) -> None:
    rule = Rule(surface="stream", name="userDataStream", action=Fault.DUPLICATE)
    venue.exchange.faults.replace(Plan(seed=1, rules=(rule,)))
    _, body, _ = await venue.demo.raw("POST", "/fapi/v1/listenKey")
    async with venue.socket(f"/ws/{body['listenKey']}") as socket:
        await order(venue.demo, "BUY", "50000", "0.1")
        first, second = [await socket.receive_json(timeout=10) for _ in range(2)]
        assert first == second and first["e"] == "ORDER_TRADE_UPDATE"
