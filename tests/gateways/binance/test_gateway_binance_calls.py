"""Parameters, times and lists of the Binance gateway's calls; restarts; whether the tables are complete."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

import msgspec
from binance_world import SYMBOL, World, world

from tradewind.gateways.binance.table import REST_CALLS
from tradewind.gateways.model import Refusal, Refused

ORDER = {
    "symbol": SYMBOL,
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.1",
    "price": "59000",
}


async def test_what_is_not_built_is_refused_and_counted(binance: World) -> None:
    for method, path in (("POST", "/api/v3/sor/order"), ("GET", "/api/v4/ping"), ("DELETE", "/api/v3/ping")):
        status, body, _ = await binance.demo.raw(method, path)
        assert (status, body["code"]) == (404, -1020)
        assert binance.gateway.unknown_calls[f"{method} {path}"] == 1
    for method in ("POST", "PUT", "DELETE"):
        status, body, headers = await binance.demo.raw(method, "/api/v3/userDataStream")
        assert status == 410 and "410 Gone" in body and headers["Content-Type"].startswith("text/html")


async def test_parameters_come_in_query_body_or_both(binance: World) -> None:
    client = binance.demo
    fields = {**ORDER, "timestamp": client.stamp()}
    names = list(fields)
    for split in (0, 3, len(names)):
        query = urlencode({name: fields[name] for name in names[:split]})
        body = urlencode({name: fields[name] for name in names[split:]})
        signature = client.signature((query + body).encode())
        if body:
            body += f"&signature={signature}"
        else:
            query += f"&signature={signature}"
        status, reply, _ = await client.raw("POST", "/api/v3/order", query, body)
        assert status == 200, reply
    # the query's value counts when both have one
    query, body = urlencode(fields), "quantity=0.2"
    signature = client.signature((query + body).encode())
    status, reply, _ = await client.raw("POST", "/api/v3/order", query, f"{body}&signature={signature}")
    assert status == 200 and reply["origQty"] == "0.10000000"
    status, reply, _ = await client.raw("GET", "/api/v3/depth", "symbol=BTCUSDT&symbol=ETHUSDT")
    assert (status, reply["code"]) == (400, -1101)
    status, reply, _ = await client.raw("GET", "/api/v3/ping", "a=1")
    assert (status, reply["code"]) == (400, -1101)
    status, reply, _ = await client.raw("POST", "/api/v3/order", "", "x" * 70_000)
    assert status == 413


async def test_times_come_in_the_unit_that_was_asked_for(binance: World) -> None:
    _, milli, _ = await binance.demo.raw("GET", "/api/v3/time")
    _, micro, _ = await binance.demo.raw("GET", "/api/v3/time", **{"X-MBX-TIME-UNIT": "MICROSECOND"})
    assert len(str(milli["serverTime"])) == 13 and len(str(micro["serverTime"])) == 16
    status, body, _ = await binance.demo.raw("GET", "/api/v3/time", **{"X-MBX-TIME-UNIT": "YEAR"})
    assert (status, body["code"]) == (400, -1194)


async def test_spans_and_limits_of_lists_are_checked(binance: World) -> None:
    day = 86_400_000
    for path in ("allOrders", "myTrades"):
        refusal = await binance.demo.refused(
            "GET", f"/api/v3/{path}", symbol=SYMBOL, startTime=1, endTime=day + 2
        )
        assert refusal[1] == -1127
        assert (await binance.demo.refused("GET", f"/api/v3/{path}", symbol=SYMBOL, startTime=2, endTime=1))[
            1
        ] == -1128
        assert (await binance.demo.refused("GET", f"/api/v3/{path}", symbol=SYMBOL, limit=0))[1] == -1130
    status, body, _ = await binance.demo.raw("GET", "/api/v3/klines", f"symbol={SYMBOL}&interval=2m")
    assert (status, body["code"]) == (400, -1120)


async def test_aggregates_are_the_same_whichever_way_they_are_asked_for(binance: World) -> None:
    for step in range(40):
        for part in range(1 + step % 5):
            await binance.other.order("SELL", f"{60_000 + part // 3}", "0.001")
        await binance.demo.order("BUY", "60002", f"0.00{1 + step % 5}")
    ask, path = binance.demo.public, "/api/v3/aggTrades"
    every = await ask(path, symbol=SYMBOL, limit=1000)
    assert [row["f"] for row in every][1:] == [row["l"] + 1 for row in every][:-1] and every[0]["f"] == 1
    assert len(every) < sum(1 + step % 5 for step in range(40)) == every[-1]["l"]
    for limit in (1, 3, 10):
        assert await ask(path, symbol=SYMBOL, limit=limit) == every[-limit:]
        for first in (0, 1, 2, 7, every[-2]["a"], every[-1]["l"], every[-1]["l"] + 1):
            wanted = [row for row in every if row["a"] >= first][:limit]
            assert await ask(path, symbol=SYMBOL, limit=limit, fromId=first) == wanted
        for row in (every[0], every[20]):
            wanted = [one for one in every if one["T"] >= row["T"]][:limit]
            assert await ask(path, symbol=SYMBOL, limit=limit, startTime=row["T"]) == wanted
            wanted = [one for one in every if one["T"] <= row["T"]][-limit:]
            assert await ask(path, symbol=SYMBOL, limit=limit, endTime=row["T"]) == wanted


async def known(one: World) -> list[object]:
    """Everything that a client can ask about its orders."""
    return [
        await one.demo.signed("GET", "/api/v3/allOrders", symbol=SYMBOL),
        await one.demo.signed("GET", "/api/v3/allOrderList"),
        await one.demo.signed("GET", "/api/v3/myTrades", symbol=SYMBOL),
        await one.demo.public("/api/v3/aggTrades", symbol=SYMBOL),
        await one.demo.public("/api/v3/depth", symbol=SYMBOL),
    ]


async def test_a_restart_shows_the_same_orders_names_lists_and_amounts(tmp_path: Path) -> None:
    async with world(tmp_path) as before:
        await before.still_book()
        await before.demo.order("BUY", "59000", "0.1", newClientOrderId="lasting")
        await before.demo.order("BUY", "58000", "0.5", newClientOrderId="first", strategyId=7)
        for name in ("second", "third"):
            quantity = "0.4" if name == "second" else "0.3"
            await before.demo.signed(
                "PUT",
                "/api/v3/order/amend/keepPriority",
                symbol=SYMBOL,
                origClientOrderId="first" if name == "second" else "second",
                newQty=quantity,
                newClientOrderId=name,
            )
        await before.demo.signed(
            "POST", "/api/v3/order", symbol=SYMBOL, side="BUY", type="MARKET", quoteOrderQty="100"
        )
        pair = await before.demo.signed(
            "POST",
            "/api/v3/order/oco",
            symbol=SYMBOL,
            side="SELL",
            quantity="0.1",
            price="61000",
            stopPrice="58500",
        )
        told = await known(before)
        notes = before.gateway.state.notebook.path
    # a crash cut the last line
    with notes.open("ab") as file:
        file.write(b'{"kind":"Named","order_id":1')
    for _ in range(2):
        async with world(tmp_path) as after:
            assert await known(after) == told
            for name, found in (("lasting", 200), ("third", 200), ("second", 400), ("first", 400)):
                status, _, _ = await after.demo.raw(
                    "GET",
                    "/api/v3/order",
                    after.demo.query({"symbol": SYMBOL, "origClientOrderId": name}),
                )
                assert status == found, name
    async with world(tmp_path) as last:
        gone = await last.demo.signed(
            "DELETE", "/api/v3/orderList", symbol=SYMBOL, orderListId=pair["orderListId"]
        )
        assert [row["status"] for row in gone["orderReports"]] == ["CANCELED", "CANCELED"]
    assert notes.stat().st_mode & 0o077 == 0


def test_every_refusal_of_the_exchange_has_a_code_and_a_definite_status() -> None:
    from tradewind.gateways.binance.errors import of_amend, of_cancel, of_refusal

    for refusal in Refusal:
        for make in (of_refusal, of_cancel, of_amend):
            error = make(Refused(refusal, "why"))
            assert error.code < 0 and error.message
            definite = refusal not in {Refusal.BUSY, Refusal.STOPPED}
            assert (error.status < 500) == definite, refusal
            assert msgspec.json.encode(error.body())


def test_every_call_of_the_venue_is_in_the_table() -> None:
    wanted = """GET ping time exchangeInfo depth trades aggTrades klines avgPrice ticker/24hr ticker/price
        ticker/bookTicker account myTrades order openOrders allOrders rateLimit/order account/commission
        POST order order/test order/cancelReplace orderList/oco PUT order/amend/keepPriority
        DELETE order openOrders"""
    method = ""
    for word in wanted.split():
        if word.isupper():
            method = word
        else:
            assert (method, f"/api/v3/{word}") in REST_CALLS
