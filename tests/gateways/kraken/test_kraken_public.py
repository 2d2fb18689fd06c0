"""Public calls and the tape of the Kraken gateway, as raw requests and messages."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from kraken_world import World, traded

PUBLIC = ("Time", "SystemStatus", "Assets", "AssetPairs", "Ticker", "Depth", "Trades", "OHLC", "Spread")


async def test_every_public_call_is_answered_by_get_and_post(world: World) -> None:
    await traded(world)
    for name in PUBLIC:
        by_get = await world.demo.raw("GET", f"/0/public/{name}?pair=XBTUSD")
        by_post = await world.demo.raw("POST", f"/0/public/{name}", data={"pair": "XBTUSD"})
        for status, body in (by_get, by_post):
            answer = json.loads(body)
            assert status == 200 and answer["error"] == [] and answer["result"], name


async def test_a_pair_is_found_by_every_name_and_keyed_as_the_venue_keys_it(world: World) -> None:
    for asked, key in {
        "XBTUSD": "XXBTZUSD",
        "XXBTZUSD": "XXBTZUSD",
        "XBT/USD": "XBT/USD",
        "BTC/USD": "BTC/USD",
        "SOLUSDT": "SOLUSDT",
    }.items():
        assert list(await world.demo.public("AssetPairs", pair=asked)) == [key]
        assert list(await world.demo.public("Ticker", pair=asked)) == [key]
    both = await world.demo.public("Ticker", pair="XBTUSD,ETHUSD")
    assert set(both) == {"XXBTZUSD", "XETHZUSD"}
    assert len(await world.demo.public("AssetPairs")) == len(world.exchange.markets)


async def test_pairs_state_the_rules_that_are_enforced(world: World) -> None:
    row = (await world.demo.public("AssetPairs", pair="XBTUSD"))["XXBTZUSD"]
    instrument = world.exchange.markets["BTC/USD"].instrument
    assert (Decimal(row["tick_size"]), row["pair_decimals"]) == (instrument.tick, instrument.price_decimals)
    assert Decimal(10) ** -row["lot_decimals"] == instrument.lot
    assert (
        Decimal(row["ordermin"]) == instrument.min_quantity
        and Decimal(row["costmin"]) == instrument.min_notional
    )
    assert row["fees"] == [[0, 0.1]] and row["leverage_buy"] == [] and row["status"] == "online"
    assert set((await world.demo.public("AssetPairs", pair="XBTUSD", info="fees"))["XXBTZUSD"]) == {
        "fees", "fees_maker", "fee_volume_currency",
    }  # fmt: skip


async def test_the_book_is_printed_to_the_last_digit(world: World) -> None:
    await world.demo.order("buy", "59999.9", "0.12345")
    await world.demo.order("sell", "60000.1", "0.00005")
    book = (await world.demo.public("Depth", pair="XBTUSD"))["XXBTZUSD"]
    assert [row[:2] for row in book["bids"]] == [["59999.90000", "0.12345"]]
    assert [row[:2] for row in book["asks"]] == [["60000.10000", "0.00005"]]
    assert isinstance(book["bids"][0][2], int)


async def test_trades_page_by_their_cursor_without_loss(world: World) -> None:
    await world.demo.order("buy", "60000.0", "0.01000")
    for _ in range(5):
        await world.other.order("sell", "60000.0", "0.00100")
    every = (await world.demo.public("Trades", pair="XBTUSD"))["XXBTZUSD"]
    assert [row[6] for row in every] == [1, 2, 3, 4, 5]
    assert every[0][:2] == ["60000.00000", "0.00100"] and every[0][3:6] == ["s", "l", ""]
    found, since = [], "0"
    while True:
        page = await world.demo.public("Trades", pair="XBTUSD", since=since, count="2")
        if not page["XXBTZUSD"]:
            break
        found += [row[6] for row in page["XXBTZUSD"]]
        since = page["last"]
    assert found == [1, 2, 3, 4, 5]


async def test_candles_and_ticker_agree_with_the_trades(world: World) -> None:
    await traded(world)
    [candle] = (await world.demo.public("OHLC", pair="XBTUSD", interval="1440"))["XXBTZUSD"]
    assert candle[1:] == ["60000.0", "60000.0", "60000.0", "60000.0", "60000.0", "0.00050", 1]
    ticker = (await world.demo.public("Ticker", pair="XBTUSD"))["XXBTZUSD"]
    assert (
        ticker["c"] == ["60000.00000", "0.00050"] and ticker["t"] == [1, 1] and ticker["o"] == "60000.00000"
    )
    assert ticker["b"] == ["60000.00000", "0", "0.0015"] and ticker["a"][0] == "0.00000"


@pytest.mark.parametrize(
    ("name", "fields", "error"),
    [
        ("Ticker", {"pair": "NOPE"}, "EQuery:Unknown asset pair"),
        ("Depth", {"pair": "NOPE"}, "EQuery:Unknown asset pair"),
        ("Depth", {}, "EGeneral:Invalid arguments:pair"),
        ("Depth", {"pair": "XBTUSD", "count": "501"}, "EGeneral:Invalid arguments:count"),
        ("OHLC", {"pair": "XBTUSD", "interval": "7"}, "EGeneral:Invalid arguments:interval"),
        ("OHLC", {"pair": "XBTUSD", "since": "soon"}, "EGeneral:Invalid arguments:since"),
        ("Assets", {"asset": "NOPE"}, "EQuery:Unknown asset"),
        ("AssetPairs", {"info": "all"}, "EGeneral:Invalid arguments:info"),
        ("Trades", {"pair": "XBTUSD", "count": "0"}, "EGeneral:Invalid arguments:count"),
    ],
)
async def test_bad_public_questions_get_the_venues_error(
    world: World, name: str, fields: Any, error: str
) -> None:
    status, body = await world.demo.raw("GET", f"/0/public/{name}", params=fields)
    assert status == 200 and json.loads(body) == {"error": [error]}


async def test_what_is_not_built_is_an_unknown_method_and_is_counted(world: World) -> None:
    for method, path in (
        ("GET", "/0/public/Nothing"),
        ("POST", "/0/private/Withdraw"),
        ("GET", "/0/private/Balance"),
    ):
        status, body = await world.demo.raw(method, path)
        assert status == 200 and json.loads(body) == {"error": ["EGeneral:Unknown method"]}
        assert world.gateway.unknown_calls[f"{method} {path}"] == 1


async def test_trades_name_the_kind_of_the_takers_order(world: World) -> None:
    async with world.demo.socket() as wire:
        await wire.request("subscribe", channel="trade", symbol=["BTC/USD"])
        await wire.of("trade", "snapshot")
        await world.demo.order("buy", "60000.0", "0.00300")
        await world.other.order("sell", "60000.0", "0.00100")
        sale = {"pair": "XBTUSD", "type": "sell", "ordertype": "market", "volume": "0.00100"}
        await world.other.private("AddOrder", sale)
        seen: list[tuple[str, str]] = []
        while len(seen) < 2:
            rows = (await wire.of("trade", "update"))["data"]
            seen += [(row["side"], row["ord_type"]) for row in rows]
    assert seen == [("sell", "limit"), ("sell", "market")]
    rows = (await world.demo.public("Trades", pair="XBTUSD"))["XXBTZUSD"]
    assert [row[3:6] for row in rows] == [["s", "l", ""], ["s", "m", ""]]
