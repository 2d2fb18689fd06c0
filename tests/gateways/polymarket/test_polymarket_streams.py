"""The market and user channels of the Polymarket gateway, over sockets."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from polymarket_world import DEADLINE_S, World

MESSAGES = Path(__file__).parents[4] / "shared" / "data" / "venue-messages" / "polymarket"

Levels = dict[str, dict[str, str]]


def applied(levels: Levels, event: dict[str, Any], token: str) -> None:
    """A change laid on a book."""
    for row in event["price_changes"]:
        if row["asset_id"] != token:
            continue
        if Decimal(row["size"]) == 0:
            levels[row["side"]].pop(row["price"], None)
        else:
            levels[row["side"]][row["price"]] = row["size"]


def of_book(book: dict[str, Any]) -> Levels:
    return {
        "BUY": {row["price"]: row["size"] for row in book["bids"]},
        "SELL": {row["price"]: row["size"] for row in book["asks"]},
    }


async def test_a_book_and_its_changes_are_the_book(world: World) -> None:
    await world.alice.order(world.yes, "BUY", "0.40", "10")
    async with world.alice.socket("/ws/market") as wire:
        await wire.send(assets_ids=[world.no.token_id, "12"], type="market")
        levels = of_book(await wire.of("book"))
        await world.alice.order(world.yes, "BUY", "0.35", "8")
        await world.bob.order(world.yes, "SELL", "0.60", "10")
        await world.bob.order(world.no, "BUY", "0.60", "6")
        await world.alice.done("DELETE", "/cancel-all")
        await wire.ping()
        for event in wire.frames:
            if isinstance(event, dict) and event["event_type"] == "price_change":
                applied(levels, event, world.no.token_id)
                tops = [row for row in event["price_changes"] if row["asset_id"] == world.no.token_id][-1]
                bids = sorted(map(Decimal, levels["BUY"]), reverse=True)
                assert Decimal(tops["best_bid"]) == (bids[0] if bids else 0)
        book = await world.alice.get("/book", f"token_id={world.no.token_id}")
        assert levels == of_book(book)
        last = [row["hash"] for event in wire.frames if isinstance(event, dict)
                for row in event.get("price_changes", ())][-1]  # fmt: skip
        assert last == book["hash"]
        trades = [
            one for one in wire.frames if isinstance(one, dict) and one["event_type"] == "last_trade_price"
        ]
        assert [(one["price"], one["size"], one["side"]) for one in trades] == [("0.6", "6", "BUY")]


async def test_tokens_come_and_go_on_one_connection(world: World) -> None:
    async with world.alice.socket("/ws/market") as wire:
        await wire.send(assets_ids=[world.yes.token_id], type="market", custom_feature_enabled=True)
        await wire.of("book", asset_id=world.yes.token_id)
        snow = world.snow.tokens[0]
        await wire.send(assets_ids=[snow.token_id], operation="subscribe")
        await wire.of("book", asset_id=snow.token_id)
        await wire.send(assets_ids=[world.yes.token_id], operation="unsubscribe")
        await wire.ping()
        await world.alice.order(world.yes, "BUY", "0.40", "10")
        await world.alice.order(snow, "BUY", "0.401", "10")
        change = await wire.of("price_change")
        assert change["market"] == world.snow.condition_id
        top = await wire.of("best_bid_ask")
        assert (top["best_bid"], top["best_ask"], top["spread"]) == ("0.401", "1", "0.599")
        for text in ("[]", "{", '{"operation":"dance"}', '{"type":"weather"}'):
            await wire.connection.send_str(text)
            await wire.next(lambda one: one == "INVALID OPERATION")


async def test_the_user_channel_tells_orders_and_every_state_of_trades(world: World) -> None:
    async with world.alice.user_channel() as mine, world.bob.user_channel([world.snow.condition_id]) as other:
        await world.alice.order(world.yes, "BUY", "0.40", "10")
        name = world.alice.last_id
        placed = await mine.of("order", id=name)
        assert (placed["type"], placed["status"], placed["size_matched"]) == ("PLACEMENT", "LIVE", "0")
        assert placed["associate_trades"] is None and placed["order_owner"] == world.alice.creds["apiKey"]
        await world.bob.order(world.no, "BUY", "0.60", "6")
        states = [await mine.of("trade", status=one) for one in ("MATCHED", "MINED", "CONFIRMED")]
        assert len({one["id"] for one in states}) == 1
        assert states[0]["trader_side"] == "MAKER" and states[0]["maker_orders"][0]["order_id"] == name
        await world.alice.done("DELETE", "/cancel-all")
        mine.seen = 0
        changed = await mine.of("order", type="UPDATE")
        assert changed["size_matched"] == "6" and changed["associate_trades"] == [states[0]["id"]]
        gone = await mine.of("order", type="CANCELLATION")
        assert gone["status"] == "CANCELED" and gone["size_matched"] == "6"
        await other.ping()
        assert [one for one in other.frames if one != "PONG"] == []


async def test_a_wrong_secret_ends_the_user_channel(world: World) -> None:
    creds = {
        **{name: world.alice.creds[name] for name in ("apiKey", "secret", "passphrase")},
        "secret": "AAAA",
    }
    async with world.alice.socket("/ws/user") as wire:
        await wire.send(auth=creds, markets=[], type="user")
        async with asyncio.timeout(DEADLINE_S):
            message = await wire.connection.receive()
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


def recorded(name: str) -> dict[str, Any]:
    path = MESSAGES / name
    if not path.is_file():
        pytest.skip("the recorded messages are not here")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def kinds(row: dict[str, Any]) -> dict[str, type]:
    return {name: type(value) for name, value in row.items() if value is not None}


async def test_messages_have_the_fields_of_recorded_ones(world: World) -> None:
    """Every field of a real message is there with its type; more may be."""
    shapes = {
        "order": recorded("recorded/py_ws_order_placement.json"),
        "trade": recorded("recorded/py_ws_user_trade1.json"),
        "book": recorded("recorded/py_ws_book.json"),
        "price_change": recorded("recorded/py_ws_price_change_v2.json"),
        "last_trade_price": recorded("recorded/py_ws_last_trade_price.json"),
        "best_bid_ask": recorded("recorded/ws_market_best_bid_ask_msg.json"),
    }
    async with world.alice.user_channel() as user, world.alice.socket("/ws/market") as market:
        await market.send(assets_ids=[world.yes.token_id], type="market", custom_feature_enabled=True)
        await market.ping()
        await world.alice.order(world.yes, "BUY", "0.40", "10")
        await world.bob.order(world.yes, "SELL", "0.40", "6")
        for kind, shape in shapes.items():
            wire = user if kind in ("order", "trade") else market
            wire.seen = 0
            event = await wire.of(kind)
            assert kinds(shape).items() <= kinds(event).items() | {("associate_trades", list)}, kind
        wire = market
        wire.seen = 0
        row = (await wire.of("price_change"))["price_changes"][0]
        assert kinds(shapes["price_change"]["price_changes"][0]) == kinds(row)
        trade = next(one for one in user.frames if isinstance(one, dict) and one["event_type"] == "trade")
        assert kinds(shapes["trade"]["maker_orders"][0]).items() <= kinds(trade["maker_orders"][0]).items()
    real = recorded("recorded/py_http_market.json")
    own = await world.alice.get(f"/markets/{world.rain.condition_id}")
    assert set(real) <= set(own)
    assert set(real["tokens"][0]) == set(own["tokens"][0])
    assert set(recorded("recorded/py_http_book.json")) <= set(
        await world.alice.get("/book", f"token_id={world.yes.token_id}")
    )
    shape = set(recorded("examples/http_open_order.json"))
    assert shape <= set((await world.alice.done("GET", "/data/orders"))["data"][0])
    shape = set(recorded("examples/http_trade_report.json"))
    assert shape <= set((await world.alice.done("GET", "/data/trades"))["data"][0])
