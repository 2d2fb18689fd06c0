"""The gateway's messages beside real ones: same fields, same kinds of values. Skips without them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from kraken_world import World

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
MESSAGES = SHARED / "venue-messages" / "kraken"
CAPTURES = SHARED / "captures"
SYMBOL = "BTC/USD"

pytestmark = pytest.mark.skipif(not MESSAGES.exists(), reason="the recorded messages are not here")

NOT_SPOT = {"long_position_limit", "short_position_limit"}
"""Fields of pairs that can be traded on margin."""


def real(name: str) -> Any:
    return json.loads((MESSAGES / name).read_text())


def kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "flag"
    return {str: "text", int: "number", float: "number", list: "list", dict: "map"}[type(value)]


def compare(theirs: Any, ours: Any, path: str = "", absent: frozenset[str] | set[str] = frozenset()) -> None:
    """Every field that the venue sends is there with a value of the same kind; lists by their first rows."""
    if theirs is None or ours is None:
        return
    assert kind(theirs) == kind(ours), f"{path}: {theirs!r} there, {ours!r} here"
    if isinstance(theirs, dict):
        missing = set(theirs) - set(ours) - set(absent)
        assert not missing, f"{path}: {missing} are missing"
        for name in set(theirs) & set(ours):
            compare(theirs[name], ours[name], f"{path}.{name}", absent)
    elif isinstance(theirs, list) and theirs and ours:
        if not isinstance(theirs[0], dict):
            for number, (one, other) in enumerate(zip(theirs, ours, strict=False)):
                compare(one, other, f"{path}[{number}]", absent)
        else:
            compare(theirs[0], ours[0], f"{path}[0]", absent)


def first(result: dict[str, Any]) -> Any:
    return next(iter(result.values()))


async def busy(world: World) -> str:
    await world.demo.order("sell", "60001.0", "0.00200")
    txid = await world.demo.order("buy", "60000.0", "0.00200", userref="5")
    await world.other.order("sell", "60000.0", "0.00100")
    return txid


async def test_public_answers_have_the_fields_of_real_ones(world: World) -> None:
    await busy(world)
    for name, call, fields in (
        ("http_server_time", "Time", {}), ("http_system_status", "SystemStatus", {}),
    ):  # fmt: skip
        compare(real(f"recorded/{name}.json")["result"], await world.demo.public(call, **fields), name)
    for name, call in (
        ("http_ticker", "Ticker"),
        ("http_order_book", "Depth"),
        ("http_asset_pairs", "AssetPairs"),
    ):
        ours = await world.demo.public(call, pair="XBTUSD")
        compare(first(real(f"recorded/{name}.json")["result"]), first(ours), name, NOT_SPOT)


async def test_the_digits_of_prices_and_sizes_are_printed_as_there(world: World) -> None:
    await busy(world)
    theirs, ours = (
        first(real("recorded/http_ticker.json")["result"]),
        first(await world.demo.public("Ticker", pair="XBTUSD")),
    )
    for name in ("a", "b", "c", "p", "l", "h"):
        assert [len(one.partition(".")[2]) for one in theirs[name][:1]] == [
            len(one.partition(".")[2]) for one in ours[name][:1]
        ]
    level = first(real("recorded/http_order_book.json")["result"])["asks"][0]
    mine = first(await world.demo.public("Depth", pair="XBTUSD"))["asks"][0]
    assert [len(one.partition(".")[2]) for one in level[:2]] == [
        len(one.partition(".")[2]) for one in mine[:2]
    ]


async def test_trades_and_candles_have_the_rows_of_captured_ones(world: World) -> None:
    await busy(world)
    for file, call in (("trades", "Trades"), ("ohlc-1m", "OHLC")):
        path = CAPTURES / f"kraken-spot-{file}-xbtusdt-2025-11-10.json"
        raw = path.read_bytes()
        theirs = json.loads(gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw)["result"]
        ours = await world.demo.public(call, pair="XBTUSD")
        (key,) = set(theirs) - {"last"}
        assert len(theirs[key][0]) == len(ours["XXBTZUSD"][0])
        compare(theirs[key][0], ours["XXBTZUSD"][0], call)
        compare(theirs["last"], ours["last"], f"{call}.last")


async def test_private_answers_have_the_fields_of_the_venues_examples(world: World) -> None:
    txid = await busy(world)
    orders = (await world.demo.private("OpenOrders"))["open"]
    compare(first(real("examples/http_open_orders.json")["result"]["open"]), orders[txid], "OpenOrders")
    trades = await world.demo.private("TradesHistory", {"ledgers": "true"})
    theirs = real("examples/http_trades_history.json")["result"]
    assert set(theirs) == set(trades)
    compare(first(theirs["trades"]), first(trades["trades"]), "TradesHistory")
    balance = await world.demo.private("Balance")
    compare(real("examples/http_spot_balance.json")["result"], balance, "Balance", {"ETH"})
    wish = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": "50000.0", "volume": "0.01"}
    added = await world.demo.private("AddOrder", wish)
    example = real("examples/http_add_order_spot.json")["result"]
    compare(example, added, "AddOrder", set(example["descr"]) - {"order"})
    pattern = example["descr"]["order"].split()
    assert [word for word in added["descr"]["order"].split() if not word[0].isdigit()] == [
        word for word in pattern if not word[0].isdigit()
    ]
    cancelled = await world.demo.private("CancelOrder", {"txid": added["txid"][0]})
    compare(real("examples/http_cancel_order_spot.json")["result"], cancelled, "CancelOrder")


async def test_frames_have_the_fields_of_real_ones(world: World) -> None:
    await busy(world)
    async with world.demo.socket() as wire:
        for number, channel in enumerate(("book", "ticker", "trade"), 1):
            await wire.request("subscribe", number, channel=channel, symbol=[SYMBOL])
        await world.other.order("sell", "60000.0", "0.00050")
        await wire.request("ping", 9)
        await wire.ack("pong", 9)
    frames = [json.loads(text) for text in wire.texts]

    def ours(**fields: Any) -> Any:
        return next(one for one in frames if all(one.get(name) == value for name, value in fields.items()))

    compare(real("examples/ws_book_snapshot.json"), ours(channel="book", type="snapshot"), "book")
    compare(real("examples/ws_book_update.json"), ours(channel="book", type="update"), "book")
    compare(real("examples/ws_ticker_snapshot.json"), ours(channel="ticker", type="snapshot"), "ticker")
    compare(real("examples/ws_trade_update.json"), ours(channel="trade", type="update"), "trade")
    compare(real("examples/ws_subscribe_response.json"), ours(method="subscribe", req_id=2), "subscribe")
    compare(real("examples/ws_pong.json"), ours(method="pong"), "pong")


async def test_real_requests_are_understood_as_they_are(world: World) -> None:
    async with world.demo.socket() as wire:
        token = await world.demo.token()

        async def ask(name: str, **changes: Any) -> dict[str, Any]:
            request = real(f"examples/{name}.json")
            request["params"] |= {"token": token, **changes}
            await wire.connection.send_str(json.dumps(request))
            return await wire.ack(request["method"], request["req_id"])

        added = await ask("ws_add_order_request")
        compare(real("examples/ws_add_order_response_success.json"), added, "add_order", {"order_userref"})
        order = added["result"]["order_id"]
        assert (await ask("ws_amend_order_request", order_id=order))["success"]
        assert (await ask("ws_cancel_order_request", order_id=[order]))["result"] == {"order_id": order}
        batch = await ask("ws_batch_add_request")
        assert [one["cl_ord_id"] for one in batch["result"]] == ["O-A", "O-B"]
