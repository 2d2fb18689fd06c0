"""Whatever comes, the venue answers in its own words: junk meets no defect and becomes no order."""

from __future__ import annotations

import json
import random
from typing import Any

from kraken_world import World

from tradewind.gateways.kraken.auth import RIGHTS

TEXTS = [
    "",
    "0",
    "1",
    "-1",
    "0.001",
    "1e9",
    "60000.0",
    "nan",
    "XBTUSD",
    "BTC/USD",
    "NOPE",
    "buy",
    "limit",
    "market",
    "true",
    "perhaps",
    "OAAAAA-AAAAA-AAAAAA",
    "2030-01-01T00:00:00Z",
    "2020-13-45T00:00:00Z",
    "9" * 40,
    "[]",
    "[1]",
    '["a"',
    "[[]]",
    "{}",
    "ü" * 5,
    "\x00",
    "a" * 300,
    "+5",
    "5%",
    "all",
    "ZUSD",
    "12345678901234567890123",
]
FIELDS = [
    "pair",
    "type",
    "ordertype",
    "price",
    "price2",
    "volume",
    "oflags",
    "timeinforce",
    "expiretm",
    "deadline",
    "cl_ord_id",
    "userref",
    "validate",
    "stptype",
    "reduce_only",
    "starttm",
    "displayvol",
    "txid",
    "orders",
    "timeout",
    "order_qty",
    "limit_price",
    "trigger_price",
    "display_qty",
    "post_only",
    "ofs",
    "start",
    "end",
    "asset",
    "trades",
    "closetime",
    "cl_ord_ids",
    "leverage",
    "trigger",
    "close[ordertype]",
    "count",
    "since",
    "interval",
    "info",
]
SOCKET_FIELDS = [
    "symbol",
    "side",
    "order_type",
    "order_qty",
    "limit_price",
    "triggers",
    "time_in_force",
    "expire_time",
    "deadline",
    "cl_ord_id",
    "order_userref",
    "validate",
    "post_only",
    "display_qty",
    "cash_order_qty",
    "orders",
    "order_id",
    "timeout",
    "trigger_price",
    "channel",
    "depth",
    "interval",
    "snapshot",
    "event_trigger",
    "snap_orders",
    "snap_trades",
    "ratecounter",
    "order_status",
    "margin",
    "conditional",
    "stp_type",
    "token",
]
METHODS = [
    "add_order",
    "batch_add",
    "amend_order",
    "edit_order",
    "cancel_order",
    "batch_cancel",
    "cancel_all_orders_after",
    "subscribe",
    "unsubscribe",
    "ping",
    "dance",
]
INTERNAL = "EGeneral:Internal error"


def value(draw: random.Random, depth: int = 0) -> Any:
    kind = draw.randrange(9 if depth < 2 else 6)
    if kind < 3:
        return draw.choice(TEXTS)
    if kind == 3:
        return draw.choice([0, 1, -1, 5, 2**70, -(2**70), 60000, 10])
    if kind == 4:
        return draw.choice([0.001, -0.5, 1e-30, 1e30, 60000.0])
    if kind == 5:
        return draw.choice([None, True, False])
    if kind == 6:
        return [value(draw, depth + 1) for _ in range(draw.randrange(4))]
    return {draw.choice(FIELDS + SOCKET_FIELDS): value(draw, depth + 1) for _ in range(draw.randrange(4))}


async def test_junk_over_rest_is_refused_in_the_venues_words(world: World) -> None:
    draw = random.Random(11)
    txid = await world.demo.order("buy", "50000.0")
    for number in range(400):
        name = draw.choice(sorted(RIGHTS))
        if number % 10 == 0:
            client = world.client("demo")  # the budget of REST is by key
        fields = {
            draw.choice(FIELDS): value(draw) if number % 2 else draw.choice(TEXTS)
            for _ in range(draw.randrange(1, 7))
        }
        if draw.random() < 0.2:
            fields["txid"] = txid
        status, body = await client.private_raw(name, fields, as_json=bool(number % 2))
        answer = json.loads(body)
        assert status == 200 and (answer["error"] or "result" in answer), (name, fields)
        assert INTERNAL not in answer["error"], (name, fields)
    for name in ("Assets", "AssetPairs", "Ticker", "Depth", "Trades", "OHLC", "Spread", "Time"):
        for _ in range(20):
            fields = {draw.choice(FIELDS): draw.choice(TEXTS) for _ in range(draw.randrange(1, 5))}
            status, body = await world.demo.raw("GET", f"/0/public/{name}", params=fields)
            assert status == 200 and INTERNAL not in json.loads(body)["error"], (name, fields)


async def test_junk_over_a_socket_is_refused_and_the_connection_goes_on(world: World) -> None:
    draw = random.Random(12)
    async with world.demo.socket() as wire:
        for number in range(400):
            if number % 100 == 0:
                token = await world.client("demo").token()
            method = draw.choice(METHODS)
            params = {draw.choice(SOCKET_FIELDS): value(draw) for _ in range(draw.randrange(1, 7))}
            if method == "subscribe" and draw.random() < 0.6:
                params |= {
                    "channel": draw.choice(["book", "ticker", "executions", "balances", "level3", "ohlc"])
                }
            await wire.request(method, number, **(params | {"token": token}))
        await wire.request("ping", 10_000, token=token)
        await wire.ack("pong", 10_000)
        await wire.request("cancel_all", 10_001, token=token)
        assert (await wire.ack("cancel_all", 10_001))["success"]
    answers = [one for one in wire.frames if "success" in one]
    assert {one.get("req_id") for one in answers} >= set(range(400)) - {
        one["req_id"] for one in wire.frames if one.get("method") == "pong"
    }
    assert not [one for one in answers if one.get("error") == INTERNAL]
    assert world.exchange.orders("demo", working=True) == []
