"""Every REST call over a socket: what it answers, and what it refuses."""

from __future__ import annotations

from decimal import Decimal

import pytest
from binance_world import CANONICAL, SYMBOL, World

from tradewind.venues.protocol import VenueState

ORDER = {
    "symbol": SYMBOL,
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.1",
    "price": "59000",
}


def numbers_are_text(value: object) -> bool:
    """No price, quantity or amount is a JSON number with a fraction."""
    if isinstance(value, dict):
        return all(numbers_are_text(one) for one in value.values())
    if isinstance(value, list):
        return all(numbers_are_text(one) for one in value)
    return not isinstance(value, float)


async def test_public_calls_answer_from_the_exchange(binance: World) -> None:
    await binance.still_book()
    read = binance.demo.public
    assert await read("/api/v3/ping") == {}
    now_ms = (await read("/api/v3/time"))["serverTime"]
    assert abs(now_ms * 1_000_000 - binance.exchange.now_ns()) < 5 * 10**9
    book = binance.exchange.book(CANONICAL)
    assert await read("/api/v3/depth", symbol=SYMBOL, limit=5) == {
        "lastUpdateId": book.update_id,
        "bids": [["59900.00000000", "1.00000000"]],
        "asks": [["60100.00000000", "1.00000000"]],
    }
    [trade] = await read("/api/v3/trades", symbol=SYMBOL)
    assert (trade["id"], trade["price"], trade["qty"], trade["quoteQty"], trade["isBuyerMaker"]) == (
        1,
        "60000.00000000",
        "0.01000000",
        "600.00000000",
        False,
    )
    assert await read("/api/v3/historicalTrades", symbol=SYMBOL, fromId=1) == [trade]
    [row] = await read("/api/v3/aggTrades", symbol=SYMBOL)
    assert (row["a"], row["f"], row["l"], row["q"], row["m"]) == (1, 1, 1, "0.01000000", False)
    assert (await read("/api/v3/avgPrice", symbol=SYMBOL))["price"] == "60000.00000000"
    assert await read("/api/v3/ticker/price", symbol=SYMBOL) == {"symbol": SYMBOL, "price": "60000.00000000"}
    assert (await read("/api/v3/ticker/bookTicker", symbol=SYMBOL))["bidPrice"] == "59900.00000000"
    day = await read("/api/v3/ticker/24hr", symbol=SYMBOL)
    assert (day["lastPrice"], day["count"], day["firstId"], day["lastId"]) == ("60000.00000000", 1, 1, 1)
    for path in ("ticker/24hr", "ticker/price", "ticker/bookTicker"):
        listed = await read(f"/api/v3/{path}")
        assert [one["symbol"] for one in listed] == [one.name for one in binance.gateway.state.symbols.all()]
        [one] = await read(f"/api/v3/{path}", symbols='["BTCUSDT"]')
        assert one["symbol"] == SYMBOL
    for path in ("ticker", "ticker/tradingDay"):
        assert (await read(f"/api/v3/{path}", symbol=SYMBOL))["lastPrice"] == "60000.00000000"
    assert numbers_are_text(day)


@pytest.mark.parametrize("interval", ["1s", "1m", "15m", "1h", "1d", "3d", "1w", "1M"])
async def test_a_kline_covers_its_interval_and_holds_its_trades(binance: World, interval: str) -> None:
    await binance.still_book()
    # an interval may end between the trade and the question
    rows = await binance.demo.public("/api/v3/klines", symbol=SYMBOL, interval=interval)
    row = next(one for one in rows if one[8])
    assert len(row) == 12 and row[0] < row[6] and (row[6] + 1) % 1_000 == 0
    assert (row[4], row[5], row[7], row[8]) == ("60000.00000000", "0.01000000", "600.00000000", 1)
    fresh = await binance.demo.public(
        "/api/v3/klines", symbol=SYMBOL, interval=interval, startTime=row[0], endTime=row[6], limit=1
    )
    assert fresh[0][0] == row[0]


async def test_exchange_info_states_limits_filters_and_states(binance: World) -> None:
    info = await binance.demo.public("/api/v3/exchangeInfo", symbol=SYMBOL)
    assert {row["rateLimitType"] for row in info["rateLimits"]} == {
        "REQUEST_WEIGHT",
        "ORDERS",
        "RAW_REQUESTS",
    }
    [symbol] = info["symbols"]
    filters = {row["filterType"]: row for row in symbol["filters"]}
    assert filters["PRICE_FILTER"]["tickSize"] == "0.01000000"
    assert filters["LOT_SIZE"] == {
        "filterType": "LOT_SIZE",
        "minQty": "0.00010000",
        "maxQty": "9000.00000000",
        "stepSize": "0.00010000",
    }
    assert filters["NOTIONAL"]["minNotional"] == "5.00000000"
    assert symbol["status"] == "TRADING" and symbol["permissionSets"] == [["SPOT"]]
    binance.exchange.set_mode(VenueState.CANCEL_ONLY, CANONICAL)
    info = await binance.demo.public("/api/v3/exchangeInfo", symbols='["BTCUSDT","ETHUSDT"]')
    assert [row["status"] for row in info["symbols"]] == ["CANCEL_ONLY", "TRADING"]


async def test_placing_asking_and_cancelling(binance: World) -> None:
    client = binance.demo
    placed = await client.order("BUY", "59000", "0.5", newClientOrderId="mine")
    assert (placed["status"], placed["clientOrderId"], placed["fills"]) == ("NEW", "mine", [])
    assert not {"positionSide", "cumQuote"} & set(placed)
    for reference in ({"orderId": placed["orderId"]}, {"origClientOrderId": "mine"}):
        seen = await client.signed("GET", "/api/v3/order", symbol=SYMBOL, **reference)
        assert (seen["orderId"], seen["isWorking"], seen["price"]) == (
            placed["orderId"],
            True,
            "59000.00000000",
        )
    assert await client.signed("GET", "/api/v3/openOrders", symbol=SYMBOL) == [seen]
    assert await client.signed("GET", "/api/v3/openOrders") == [seen]
    assert await client.signed("GET", "/api/v3/allOrders", symbol=SYMBOL, orderId=placed["orderId"]) == [seen]
    gone = await client.signed(
        "DELETE", "/api/v3/order", symbol=SYMBOL, origClientOrderId="mine", newClientOrderId="stop"
    )
    assert (gone["status"], gone["origClientOrderId"], gone["clientOrderId"]) == ("CANCELED", "mine", "stop")
    seen = await client.signed("GET", "/api/v3/order", symbol=SYMBOL, origClientOrderId="mine")
    assert (seen["status"], seen["clientOrderId"]) == ("CANCELED", "mine")
    assert await client.refused("DELETE", "/api/v3/order", symbol=SYMBOL, orderId=placed["orderId"]) == (
        400,
        -2011,
        "Unknown order sent.",
    )
    assert (await client.refused("GET", "/api/v3/order", symbol=SYMBOL, orderId=1))[1] == -2013
    assert (await client.refused("GET", "/api/v3/order", symbol=SYMBOL))[1] == -1102
    assert (await client.refused("DELETE", "/api/v3/openOrders", symbol=SYMBOL))[1] == -2011


@pytest.mark.parametrize("response", ["ACK", "RESULT", "FULL"])
async def test_the_answer_to_an_order_has_the_form_that_was_asked_for(binance: World, response: str) -> None:
    await binance.still_book()
    body = await binance.demo.signed(
        "POST",
        "/api/v3/order",
        symbol=SYMBOL,
        side="BUY",
        type="MARKET",
        quantity="0.5",
        newOrderRespType=response,
    )
    assert ("status" in body) == (response != "ACK") and ("fills" in body) == (response == "FULL")
    if response == "FULL":
        [fill] = body["fills"]
        assert (fill["price"], fill["qty"], fill["commission"], fill["commissionAsset"]) == (
            "60100.00000000",
            "0.50000000",
            "30.05000000",
            "USDT",
        )
        assert body["status"] == "FILLED" and body["cummulativeQuoteQty"] == "30050.00000000"


async def test_an_amount_of_the_quote_asset_buys_what_it_can(binance: World) -> None:
    await binance.still_book()
    body = await binance.demo.signed(
        "POST", "/api/v3/order", symbol=SYMBOL, side="BUY", type="MARKET", quoteOrderQty="100"
    )
    assert body["origQuoteOrderQty"] == "100.00000000"
    assert Decimal(100) - Decimal("6.01") < Decimal(body["cummulativeQuoteQty"]) <= 100


async def test_money_and_executions_add_up_to_the_last_digit(binance: World) -> None:
    await binance.still_book()
    before = balances(await binance.demo.signed("GET", "/api/v3/account"))
    await binance.demo.order("BUY", "60100", "0.3")
    account = await binance.demo.signed("GET", "/api/v3/account")
    after = balances(account)
    trades = await binance.demo.signed("GET", "/api/v3/myTrades", symbol=SYMBOL)
    last = trades[-1]
    cost, fee = Decimal(last["quoteQty"]), Decimal(last["commission"])
    assert (last["isBuyer"], last["isMaker"], last["commissionAsset"]) == (True, False, "USDT")
    assert before["USDT"] - after["USDT"] == cost + fee and after["BTC"] - before["BTC"] == Decimal("0.3")
    assert trades == await binance.demo.signed("GET", "/api/v3/myTrades", symbol=SYMBOL, fromId=0)
    assert [last] == await binance.demo.signed("GET", "/api/v3/myTrades", symbol=SYMBOL, fromId=last["id"])
    assert [last] == await binance.demo.signed(
        "GET", "/api/v3/myTrades", symbol=SYMBOL, orderId=last["orderId"]
    )
    assert account["permissions"] == ["SPOT"] and account["commissionRates"]["taker"] == "0.00100000"
    shown = await binance.demo.signed("GET", "/api/v3/account", omitZeroBalances="true")
    assert {row["asset"] for row in shown["balances"]} == {"BTC", "ETH", "USD", "USDT"}


def balances(account: dict) -> dict[str, Decimal]:
    return {row["asset"]: Decimal(row["free"]) + Decimal(row["locked"]) for row in account["balances"]}


async def test_an_immediate_order_expires_what_it_could_not_fill(binance: World) -> None:
    await binance.still_book()
    body = await binance.demo.order("BUY", "60100", "1.5", timeInForce="IOC")
    assert (body["status"], body["executedQty"]) == ("EXPIRED", "1.00000000")
    assert (await binance.demo.refused("POST", "/api/v3/order", **{**ORDER, "timeInForce": "FOK"}))[
        1
    ] == -2010


async def test_every_trigger_type_waits_and_is_shown_as_it_was_placed(binance: World) -> None:
    await binance.still_book()
    orders = {
        "STOP_LOSS": {"stopPrice": "58000"},
        "STOP_LOSS_LIMIT": {"stopPrice": "58000", "price": "57500", "timeInForce": "GTC"},
        "TAKE_PROFIT": {"stopPrice": "62000"},
        "TAKE_PROFIT_LIMIT": {"stopPrice": "62000", "price": "62100", "timeInForce": "GTC"},
    }
    for kind, fields in orders.items():
        body = await binance.demo.signed(
            "POST", "/api/v3/order", symbol=SYMBOL, side="SELL", type=kind, quantity="0.1", **fields
        )
        assert set(body) == {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
        seen = await binance.demo.signed("GET", "/api/v3/order", symbol=SYMBOL, orderId=body["orderId"])
        assert (seen["type"], seen["isWorking"], seen["workingTime"]) == (kind, False, -1)
        assert Decimal(seen["stopPrice"]) == Decimal(fields["stopPrice"])
    status, code, text = await binance.demo.refused(
        "POST",
        "/api/v3/order",
        symbol=SYMBOL,
        side="SELL",
        type="STOP_LOSS",
        quantity="0.1",
        stopPrice="61000",
    )
    assert (status, code, text) == (400, -2010, "Order would trigger immediately.")


async def test_an_iceberg_shows_a_part_of_itself(binance: World) -> None:
    body = await binance.demo.order("BUY", "59000", "1", icebergQty="0.25")
    assert body["icebergQty"] == "0.25000000"
    book = await binance.demo.public("/api/v3/depth", symbol=SYMBOL)
    assert book["bids"] == [["59000.00000000", "0.25000000"]]


async def test_a_test_order_is_checked_and_not_placed(binance: World) -> None:
    assert await binance.demo.signed("POST", "/api/v3/order/test", **ORDER) == {}
    rates = await binance.demo.signed("POST", "/api/v3/order/test", **ORDER, computeCommissionRates="true")
    assert rates["standardCommissionForOrder"] == {"maker": "0.00100000", "taker": "0.00100000"}
    assert (await binance.demo.refused("POST", "/api/v3/order/test", **{**ORDER, "quantity": "140"}))[
        1
    ] == -2010
    assert await binance.demo.signed("GET", "/api/v3/openOrders") == []


WRONG = [
    ({"price": "59000.001"}, -1013, "Filter failure: PRICE_FILTER"),
    ({"quantity": "0.10001"}, -1013, "Filter failure: LOT_SIZE"),
    ({"quantity": "0.0001", "price": "40000"}, -1013, "Filter failure: NOTIONAL"),
    ({"quantity": "9001"}, -1013, "Filter failure: LOT_SIZE"),
    ({"price": "20000"}, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
    ({"quantity": "140"}, -2010, "Account has insufficient balance for requested action."),
    ({"price": "0"}, -1013, "Invalid price."),
    ({"quantity": "0"}, -1013, "Invalid quantity."),
    ({"price": "59000.0000000001"}, -1111, "Parameter 'price' has too much precision."),
    ({"price": "-1"}, -1100, None),
    ({"price": "1e5"}, -1100, None),
    ({"price": "NaN"}, -1100, None),
    ({"price": "59,000"}, -1100, None),
    ({"quantity": "９"}, -1100, None),
    ({"price": ""}, -1105, "Parameter 'price' was empty."),
    ({"price": None}, -1102, "Mandatory parameter 'price' was not sent, was empty/null, or malformed."),
    ({"quantity": None}, -1102, None),
    ({"timeInForce": None}, -1102, None),
    ({"symbol": None}, -1102, None),
    ({"symbol": "NOPE"}, -1121, "Invalid symbol."),
    ({"symbol": "btcusdt"}, -1100, None),
    ({"side": "HOLD"}, -1117, "Invalid side."),
    ({"type": "GUESS"}, -1116, "Invalid orderType."),
    ({"timeInForce": "GTX"}, -1115, "Invalid timeInForce."),
    ({"newOrderRespType": "LONG"}, -1130, None),
    ({"newClientOrderId": "with space"}, -1100, None),
    ({"newClientOrderId": ""}, -1118, "New client order ID was empty."),
    ({"newClientOrderId": "x" * 37}, -1100, None),
    ({"stopPrice": "58000"}, -1106, "Parameter 'stopPrice' sent when not required."),
    ({"quoteOrderQty": "100"}, -1106, None),
    ({"type": "MARKET", "timeInForce": None, "price": "59000"}, -1106, None),
    ({"type": "MARKET", "price": None}, -1106, "Parameter 'timeInForce' sent when not required."),
    ({"type": "MARKET", "price": None, "timeInForce": None, "quantity": None}, -1102, None),
    ({"type": "MARKET", "price": None, "timeInForce": None, "quoteOrderQty": "10"}, -1128, None),
    ({"type": "MARKET", "price": None, "timeInForce": None}, -1112, "No orders on book for symbol."),
    ({"type": "STOP_LOSS", "price": None, "timeInForce": None}, -1102, None),
    ({"strategyType": "5"}, -1134, None),
    ({"trailingDelta": "100"}, -2010, "Trailing stop orders are not supported for this symbol."),
    ({"icebergQty": "0.2"}, -1013, "IcebergQty exceeds QTY."),
    ({"icebergQty": "0.0001"}, -1013, "Filter failure: ICEBERG_PARTS"),
    ({"selfTradePreventionMode": "NONE"}, -1013, None),
    ({"selfTradePreventionMode": "ALWAYS"}, -1130, None),
    ({"unheard": "1"}, -1104, None),
]


@pytest.mark.parametrize(("change", "code", "text"), WRONG, ids=lambda value: str(value)[:40])
async def test_a_wrong_order_is_refused_with_its_code_and_nothing_happens(
    binance: World, change: dict, code: int, text: str | None
) -> None:
    if code == -1013 and text and "PERCENT" in text:
        await binance.still_book()
    fields = {name: value for name, value in {**ORDER, **change}.items() if value is not None}
    status, found, message = await binance.demo.refused("POST", "/api/v3/order", **fields)
    assert (status, found) == (400, code), message
    assert text is None or message == text
    assert binance.exchange.orders("demo", working=True) == []


async def test_a_name_of_a_working_order_is_taken(binance: World) -> None:
    await binance.demo.order("BUY", "59000", "0.1", newClientOrderId="same")
    refusal = await binance.demo.refused("POST", "/api/v3/order", **ORDER, newClientOrderId="same")
    assert refusal == (400, -2010, "Duplicate order sent.")


async def test_a_maker_order_that_would_take_is_refused(binance: World) -> None:
    await binance.still_book()
    refusal = await binance.demo.refused(
        "POST", "/api/v3/order", symbol=SYMBOL, side="BUY", type="LIMIT_MAKER", quantity="0.1", price="60100"
    )
    assert refusal == (400, -2010, "Order would immediately match and take.")


async def test_a_market_that_is_closed_takes_cancels_only(binance: World) -> None:
    placed = await binance.demo.order("BUY", "59000", "0.1")
    binance.exchange.set_mode(VenueState.CANCEL_ONLY, CANONICAL)
    assert await binance.demo.refused("POST", "/api/v3/order", **ORDER) == (400, -1013, "Market is closed.")
    await binance.demo.signed("DELETE", "/api/v3/order", symbol=SYMBOL, orderId=placed["orderId"])


async def test_a_smaller_order_keeps_its_number_and_gets_another_name(binance: World) -> None:
    client = binance.demo
    placed = await client.order("BUY", "59000", "0.5", newClientOrderId="first")
    path = "/api/v3/order/amend/keepPriority"
    body = await client.signed("PUT", path, symbol=SYMBOL, origClientOrderId="first", newQty="0.4")
    amended = body["amendedOrder"]
    assert (amended["orderId"], amended["qty"], amended["origClientOrderId"]) == (
        placed["orderId"],
        "0.40000000",
        "first",
    )
    name = amended["clientOrderId"]
    assert name != "first"
    assert (await client.refused("GET", "/api/v3/order", symbol=SYMBOL, origClientOrderId="first"))[
        1
    ] == -2013
    seen = await client.signed("GET", "/api/v3/order", symbol=SYMBOL, origClientOrderId=name)
    assert (seen["origQty"], seen["clientOrderId"]) == ("0.40000000", name)
    kept = await client.signed(
        "PUT", path, symbol=SYMBOL, orderId=placed["orderId"], newQty="0.3", newClientOrderId=name
    )
    assert kept["amendedOrder"]["clientOrderId"] == name
    for quantity, text in (
        ("0.3", "The requested action would change no state; rejecting."),
        ("0.6", "Order amend (quantity increase) is not supported."),
    ):
        refusal = await client.refused("PUT", path, symbol=SYMBOL, orderId=placed["orderId"], newQty=quantity)
        assert refusal == (400, -2038, text)
    assert (await client.refused("PUT", path, symbol=SYMBOL, orderId=1, newQty="0.1"))[1] == -2038
    assert (await client.refused("PUT", path, symbol=SYMBOL, orderId=placed["orderId"]))[1] == -1102


async def replace(world_: World, mode: str, order_id: int, **change: str) -> tuple[int, dict]:
    fields = {**ORDER, "cancelReplaceMode": mode, "cancelOrderId": order_id, **change}
    status, body, _ = await world_.demo.raw("POST", "/api/v3/order/cancelReplace", world_.demo.query(fields))
    return status, body


async def test_a_replacement_reports_both_legs(binance: World) -> None:
    await binance.still_book()
    placed = await binance.demo.order("BUY", "59000", "0.1")
    status, body = await replace(binance, "STOP_ON_FAILURE", placed["orderId"], price="58000")
    assert status == 200 and (body["cancelResult"], body["newOrderResult"]) == ("SUCCESS", "SUCCESS")
    assert body["cancelResponse"]["orderId"] == placed["orderId"]
    # the cancel fails, nothing is tried
    status, body = await replace(binance, "STOP_ON_FAILURE", placed["orderId"])
    assert (status, body["code"], body["data"]["newOrderResult"]) == (400, -2022, "NOT_ATTEMPTED")
    assert body["data"]["newOrderResponse"] is None and body["data"]["cancelResponse"]["code"] == -2011
    # the cancel fails, the order is placed all the same
    status, body = await replace(binance, "ALLOW_FAILURE", placed["orderId"], price="57000")
    assert (status, body["code"], body["data"]["newOrderResult"]) == (409, -2021, "SUCCESS")
    # the cancel succeeds, the order is refused
    other = body["data"]["newOrderResponse"]["orderId"]
    status, body = await replace(binance, "STOP_ON_FAILURE", other, quantity="140")
    assert (status, body["code"], body["data"]["cancelResult"]) == (409, -2021, "SUCCESS")
    assert body["data"]["newOrderResponse"]["code"] == -2010
    # both fail
    status, body = await replace(binance, "ALLOW_FAILURE", other, quantity="140")
    assert (status, body["code"], body["data"]["newOrderResult"]) == (400, -2022, "FAILURE")
    # a filter is looked at before anything is done
    kept = await binance.demo.order("BUY", "59000", "0.1")
    status, body = await replace(binance, "STOP_ON_FAILURE", kept["orderId"], price="59000.001")
    assert (status, body["code"]) == (400, -1013)
    assert (await binance.demo.signed("GET", "/api/v3/order", symbol=SYMBOL, orderId=kept["orderId"]))[
        "status"
    ] == "NEW"


async def test_cancel_restrictions_hold(binance: World) -> None:
    placed = await binance.demo.order("BUY", "59000", "0.1")
    reference = {"symbol": SYMBOL, "orderId": placed["orderId"]}
    refusal = await binance.demo.refused(
        "DELETE", "/api/v3/order", **reference, cancelRestrictions="ONLY_PARTIALLY_FILLED"
    )
    assert refusal == (400, -2011, "Order was not canceled due to cancel restrictions.")
    assert (await binance.demo.refused("DELETE", "/api/v3/order", **reference, cancelRestrictions="NEVER"))[
        1
    ] == -1145
    await binance.demo.signed("DELETE", "/api/v3/order", **reference, cancelRestrictions="ONLY_NEW")


async def test_all_orders_of_a_symbol_are_cancelled_and_only_those(binance: World) -> None:
    await binance.demo.order("BUY", "59000", "0.1")
    await binance.demo.order("BUY", "59001", "0.1")
    elsewhere = await binance.demo.order("BUY", "3000", "0.1", symbol="ETHUSDT")
    rows = await binance.demo.signed("DELETE", "/api/v3/openOrders", symbol=SYMBOL)
    assert [row["status"] for row in rows] == ["CANCELED", "CANCELED"]
    assert len({row["clientOrderId"] for row in rows}) == 1
    [left] = await binance.demo.signed("GET", "/api/v3/openOrders")
    assert left["orderId"] == elsewhere["orderId"]


async def test_limits_fees_and_commission_are_those_of_the_account(binance: World) -> None:
    await binance.demo.order("BUY", "59000", "0.1")
    rows = await binance.demo.signed("GET", "/api/v3/rateLimit/order")
    assert [(row["intervalNum"], row["interval"], row["count"]) for row in rows] == [
        (10, "SECOND", 1),
        (1, "DAY", 1),
    ]
    commission = await binance.demo.signed("GET", "/api/v3/account/commission", symbol=SYMBOL)
    assert commission["standardCommission"]["taker"] == "0.00100000"
    assert {
        "symbol": SYMBOL,
        "makerCommission": "0.001",
        "takerCommission": "0.001",
    } in await binance.demo.signed("GET", "/sapi/v1/asset/tradeFee")
    coins = await binance.demo.signed("GET", "/sapi/v1/capital/config/getall")
    assert {row["coin"]: row["free"] for row in coins}["ETH"] == "100.00000000"
    assert await binance.demo.signed("GET", "/sapi/v1/margin/isolated/allPairs") == []
    assert await binance.demo.public("/sapi/v1/margin/allPairs") == []
    for venue in ("fapi", "dapi"):
        assert (await binance.demo.public(f"/{venue}/v1/exchangeInfo"))["symbols"] == []
