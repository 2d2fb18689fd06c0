"""Answers of the gateway have, field by field, the shapes of real messages of the venue."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from binance_world import SYMBOL, World
from test_gateway_binance_socket_api import Api, signed

MESSAGES = Path(__file__).resolve().parents[4] / "shared" / "data" / "venue-messages" / "binance"
needs_messages = pytest.mark.skipif(
    not MESSAGES.is_dir(), reason="no recorded messages beside the repository"
)
DECIMAL = re.compile(r"-?[0-9]+\.[0-9]+")


def read(name: str) -> Any:
    return msgspec.json.decode((MESSAGES / name).read_bytes())


def kind(value: Any) -> str:
    """What a client's decoder sees: a number as text is something else than another text."""
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    if isinstance(value, str):
        return "decimal" if DECIMAL.fullmatch(value) else "text"
    if isinstance(value, list):
        return "list"
    return "object" if isinstance(value, dict) else type(value).__name__


def differences(ours: Any, real: Any, where: str = "", *, may_add: frozenset[str] = frozenset()) -> list[str]:
    """Fields that only one has, and fields of another kind; lists are compared by their first row."""
    if kind(ours) != kind(real):
        # an amount that is whole is written without decimals in some of the documentation's examples
        return (
            []
            if {kind(ours), kind(real)} == {"decimal", "text"}
            else [f"{where}: {kind(ours)} for {kind(real)}"]
        )
    if isinstance(real, list):
        return differences(ours[0], real[0], f"{where}[]", may_add=may_add) if ours and real else []
    if not isinstance(real, dict):
        return []
    found = [f"{where}.{name} is missing" for name in real if name not in ours]
    found += [f"{where}.{name} is ours alone" for name in ours if name not in real and name not in may_add]
    for name in real:
        if name in ours:
            found += differences(ours[name], real[name], f"{where}.{name}", may_add=may_add)
    return found


@needs_messages
async def test_public_answers(binance: World) -> None:
    await binance.still_book()
    ask = binance.demo.public
    pairs = [
        ("recorded/py_http_spot_market_depth.json", await ask("/api/v3/depth", symbol=SYMBOL)),
        ("recorded/rest_spot_depth_snapshot.json", await ask("/api/v3/depth", symbol=SYMBOL)),
        ("recorded/py_http_spot_market_trades.json", await ask("/api/v3/trades", symbol=SYMBOL)),
        ("recorded/py_http_spot_market_ticker_price.json", await ask("/api/v3/ticker/price", symbol=SYMBOL)),
        ("recorded/py_http_spot_market_time.json", await ask("/api/v3/time")),
        (
            "examples/spot_http_book_ticker_response.json",
            await ask("/api/v3/ticker/bookTicker", symbol=SYMBOL),
        ),
    ]
    for name, answer in pairs:
        assert differences(answer, read(name)) == [], name
    [ours] = (await ask("/api/v3/klines", symbol=SYMBOL, interval="1d"))[-1:]
    real = read("recorded/py_http_spot_market_klines.json")[0]
    assert [kind(value) for value in ours] == [kind(value) for value in real]


@needs_messages
async def test_exchange_info(binance: World) -> None:
    ours = await binance.demo.public("/api/v3/exchangeInfo")
    # the recorded rows are of 2021: what came since is in the newer example
    newer = read("examples/spot_http_exchange_info_response.json")
    assert differences(ours["symbols"][0], newer["symbols"][0]) == []
    assert set(newer) - set(ours) == {"sors"}
    old = read("recorded/rest_exchange_info_spot_2021-10-12.json")
    assert differences(ours["rateLimits"], old["rateLimits"]) == []
    filters = {row["filterType"]: row for row in ours["symbols"][0]["filters"]}
    for row in old["symbols"][0]["filters"]:
        mine = filters.get(row["filterType"])
        if mine is not None:
            assert set(mine) == set(row), row["filterType"]
    assert {"PRICE_FILTER", "LOT_SIZE", "MARKET_LOT_SIZE", "ICEBERG_PARTS", "MAX_NUM_ORDERS"} <= set(filters)


@needs_messages
async def test_signed_answers(binance: World) -> None:
    await binance.still_book()
    client = binance.demo
    bought = await client.signed(
        "POST", "/api/v3/order", symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.1"
    )
    assert differences(bought, read("examples/spot_http_new_order_full_response.json")) == []
    rests = await client.order("BUY", "59000", "0.1")
    reference = {"symbol": SYMBOL, "orderId": rests["orderId"]}
    seen = await client.signed("GET", "/api/v3/order", **reference)
    assert differences(seen, read("examples/spot_http_order_response.json")) == []
    every = await client.signed("GET", "/api/v3/allOrders", symbol=SYMBOL)
    assert differences(every, read("examples/spot_http_all_orders_response.json")) == []
    gone = await client.signed("DELETE", "/api/v3/order", **reference)
    assert differences(gone, read("examples/spot_http_cancel_order_response.json")) == []
    account = await client.signed("GET", "/api/v3/account")
    assert differences(account, read("examples/spot_http_account_response.json")) == []
    fees = await client.signed("GET", "/sapi/v1/asset/tradeFee")
    assert differences(fees, read("examples/py_http_wallet_trading_fees.json")) == []


@needs_messages
async def test_streams(binance: World) -> None:
    await binance.still_book()
    real = {
        "trade": "recorded/ws_spot_trade.json",
        "aggTrade": "recorded/ws_spot_aggTrade.json",
        "depth@100ms": "recorded/ws_spot_depth.json",
        "bookTicker": "recorded/ws_spot_bookTicker.json",
        "kline_1m": "recorded/ws_spot_kline_1m.json",
    }
    names = "/".join(f"btcusdt@{one}" for one in real)
    ours: dict[str, Any] = {}
    async with binance.socket(f"/stream?streams={names}") as socket, asyncio.timeout(20):
        await socket.send_str('{"method":"LIST_SUBSCRIPTIONS","id":1}')
        await socket.receive()
        await binance.demo.order("BUY", "60100", "0.1")
        while len(ours) < len(real):
            frame = msgspec.json.decode((await socket.receive()).data)
            ours[frame["stream"].partition("@")[2]] = frame
    for name, file in real.items():
        # buyer's and seller's order are in older recordings of trades and gone from newer ones
        assert differences(ours[name], read(file), may_add=frozenset("ab")) == [], name


@needs_messages
async def test_user_events(binance: World) -> None:
    await binance.still_book()
    files = {
        ("NEW", "NEW"): "examples/py_ws_spot_execution_report_new.json",
        ("TRADE", "PARTIALLY_FILLED"): "examples/py_ws_spot_execution_report_trade.json",
        ("CANCELED", "CANCELED"): "examples/py_ws_spot_execution_report_canceled.json",
        ("EXPIRED", "EXPIRED"): "examples/py_ws_spot_execution_report_expired.json",
    }
    async with binance.socket("/ws-api/v3") as socket:
        api = Api(socket)
        await api.result("userDataStream.subscribe.signature", signed(binance.demo))
        placed = await binance.demo.order("SELL", "60050", "0.5")
        await binance.other.order("BUY", "60050", "0.1")
        await binance.demo.signed("DELETE", "/api/v3/order", symbol=SYMBOL, orderId=placed["orderId"])
        await binance.demo.order("BUY", "60100", "2", timeInForce="IOC")
        found: dict[tuple[str, str], Any] = {}
        while set(files) - set(found):
            event = await api.event(lambda event: event["e"] == "executionReport")
            found[event["x"], event["X"]] = event
        for key, file in files.items():
            # the moment of work and the self-trade mode are newer than the recordings
            found_differences = differences(found[key], read(file)["data"], may_add=frozenset("WV"))
            assert [one for one in found_differences if not one.endswith((".W is missing",))] == [], key
        position = await api.event(lambda event: event["e"] == "outboundAccountPosition")
        assert differences(position, read("examples/spot_user_account_position.json")) == []
        await binance.demo.signed(
            "POST", "/api/v3/orderList/oco", symbol=SYMBOL, side="SELL", quantity="0.1",
            aboveType="LIMIT_MAKER", abovePrice="61000", belowType="STOP_LOSS", belowStopPrice="58500",
        )  # fmt: skip
        listed = await api.event(lambda event: event["e"] == "listStatus")
        assert differences(listed, read("examples/spot_user_list_status_wrapped.json")["event"]) == []


def test_the_comparison_sees_missing_added_and_changed_fields() -> None:
    real = {"a": "1.0", "b": [{"c": 1}], "d": None}
    assert differences(real, real) == []
    assert differences({"a": 1.0, "b": [{}], "e": 1}, real) == [
        ".d is missing",
        ".e is ours alone",
        ".a: float for decimal",
        ".b[].c is missing",
    ]
