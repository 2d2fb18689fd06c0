"""WebSocket v2 of the Kraken gateway over real sockets: channels, checksums, private streams, methods."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any
from zlib import crc32

import pytest
from kraken_world import Wire, World, served, until

from tradewind.gateways.keys import Right
from tradewind.gateways.kraken import ids
from tradewind.gateways.kraken.tokens import Token
from tradewind.venues.protocol import VenueState

SYMBOL = "BTC/USD"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


class Mirror:
    """A book built by the venue's own rules, from the raw digits of the frames; not the product's code."""

    def __init__(self, depth: int) -> None:
        self.depth, self.bids, self.asks = depth, {}, {}

    def apply(self, text: str) -> None:
        frame = json.loads(text, parse_float=str, parse_int=str)
        [row] = frame["data"]
        for side, levels in ((self.bids, row["bids"]), (self.asks, row["asks"])):
            if frame["type"] == "snapshot":
                side.clear()
            for level in levels:
                if Decimal(level["qty"]) == 0:
                    side.pop(level["price"], None)
                else:
                    side[level["price"]] = level["qty"]
            best = sorted(side, key=Decimal, reverse=side is self.bids)
            for price in best[self.depth :]:
                del side[price]
        assert int(row["checksum"]) == self.checksum()

    def checksum(self) -> int:
        text = ""
        for side in (self.asks, self.bids):
            for price in sorted(side, key=Decimal, reverse=side is self.bids)[:10]:
                for digits in (price, side[price]):
                    text += digits.replace(".", "").lstrip("0")
        return crc32(text.encode())


async def settled(wire: Wire, req_id: int = 999) -> None:
    """Everything that was sent before is there when a ping comes back."""
    await wire.request("ping", req_id)
    await wire.ack("pong", req_id)


async def test_a_connection_begins_with_the_state_of_the_venue(world: World) -> None:
    async with world.demo.socket() as one, world.demo.socket() as two:
        first, second = await one.of("status"), await two.of("status")
        [row] = first["data"]
        assert first["type"] == "update" and row["system"] == "online" and row["api_version"] == "v2"
        assert row["version"] and row["connection_id"] != second["data"][0]["connection_id"]
        world.exchange.set_mode(VenueState.CANCEL_ONLY)
        assert (await one.of("status"))["data"][0]["system"] == "cancel_only"


async def test_an_idle_connection_hears_a_heartbeat_every_second(exchange: Any) -> None:
    async with served(exchange, heartbeat_s=0.05) as world, world.demo.socket() as wire:
        for _ in range(3):
            assert await wire.of("heartbeat") == {"channel": "heartbeat"}


async def test_a_ping_is_answered_with_the_times_of_the_venue(world: World) -> None:
    async with world.demo.socket() as wire:
        await wire.request("ping", 7)
        pong = await wire.ack("pong", 7)
        assert set(pong) == {"method", "req_id", "time_in", "time_out"}
        assert TIME.fullmatch(pong["time_in"]) and pong["time_in"] <= pong["time_out"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", "Malformed request"), ("[1]", "Malformed request"), ("{}", "Malformed request"),
        ('{"method":5}', "Malformed request"), ('{"method":"ping","params":[]}', "Malformed request"),
        ('{"method":"ping","req_id":"a"}', "Malformed request"),
        ('{"method":"dance"}', "EGeneral:Unknown method"),
        ('{"method":"subscribe"}', "EGeneral:Invalid arguments:channel"),
        ('{"method":"subscribe","params":{"channel":"gossip"}}', "Channel not supported: gossip"),
        ('{"method":"subscribe","params":{"channel":"book"}}', "EGeneral:Invalid arguments:symbol"),
        ('{"method":"add_order","params":{}}', "ESession:Invalid session"),
    ],
)  # fmt: skip
async def test_what_cannot_be_read_is_answered_and_the_connection_goes_on(
    world: World, text: str, error: str
) -> None:
    async with world.demo.socket() as wire:
        await wire.connection.send_str(text)
        answer = await wire.next(lambda one: "success" in one)
        assert (answer["success"], answer["error"]) == (False, error) and TIME.fullmatch(answer["time_out"])
        await settled(wire)
    assert set(world.gateway.unknown_calls) <= {"ws dance", "ws subscribe gossip"}
    assert ("dance" in text or "gossip" in text) == bool(world.gateway.unknown_calls)


async def test_each_symbol_is_acknowledged_on_its_own(world: World) -> None:
    async with world.demo.socket() as wire:
        await wire.request("subscribe", 3, channel="ticker", symbol=["BTC/USD", "XBT/USD", "ETH/USD"])
        acks = [await wire.ack("subscribe", 3) for _ in range(3)]
        assert [one["success"] for one in acks] == [True, False, True]
        assert acks[0]["result"] == {
            "channel": "ticker", "event_trigger": "trades", "snapshot": True, "symbol": "BTC/USD",
        }  # fmt: skip
        assert (acks[1]["error"], acks[1]["symbol"]) == ("Currency pair not supported XBT/USD", "XBT/USD")
        await wire.request("subscribe", 4, channel="ticker", symbol=["BTC/USD"])
        assert (await wire.ack("subscribe", 4))["error"] == "Already subscribed"
        await wire.request("unsubscribe", 5, channel="ticker", symbol=["BTC/USD"])
        assert (await wire.ack("unsubscribe", 5))["success"]
        await wire.request("unsubscribe", 6, channel="ticker", symbol=["BTC/USD"])
        assert (await wire.ack("unsubscribe", 6))["error"] == "Subscription Not Found"


@pytest.mark.parametrize("depth", [10, 25])
async def test_a_mirror_of_the_book_matches_every_checksum(world: World, depth: int) -> None:
    for step in range(30):
        await world.other.order("sell", f"{60001 + step}.0", f"0.0{step + 10}")
        await world.other.order("buy", f"{59999 - step}.0", f"0.0{step + 10}")
    async with world.demo.socket() as wire:
        await wire.request("subscribe", 1, channel="book", symbol=[SYMBOL], depth=depth)
        assert (await wire.ack("subscribe", 1))["result"]["depth"] == depth
        for step in range(12):  # through the best levels, beyond the depth, and away again
            await world.demo.order("buy", f"{60001 + step}.0", f"0.0{step + 10}")
            await world.demo.order("buy", f"{59999 - step}.5", "0.00123")
        await world.demo.private("CancelAll")
        await world.other.private("CancelAll")
        await settled(wire)
        mirror, frames = Mirror(depth), 0
        for text in wire.texts:
            if text.startswith('{"channel":"book"'):
                mirror.apply(text)
                frames += 1
        assert frames >= 15 and mirror.bids == mirror.asks == {}


async def test_a_level_that_moves_into_sight_is_sent(world: World) -> None:
    for step in range(12):
        await world.other.order("sell", f"{60001 + step}.0", "0.001")
    async with world.demo.socket() as wire:
        await wire.request("subscribe", 1, channel="book", symbol=[SYMBOL])
        snapshot = (await wire.of("book", "snapshot"))["data"][0]
        assert [level["price"] for level in snapshot["asks"]] == [Decimal(60001 + step) for step in range(10)]
        await world.demo.order("buy", "60001.0", "0.001")
        update = (await wire.of("book", "update"))["data"][0]
        assert [(level["price"], level["qty"]) for level in update["asks"]] == [
            (60001, 0),
            (60011, Decimal("0.001")),
        ]


async def test_unsupported_depths_and_intervals_are_refused(world: World) -> None:
    async with world.demo.socket() as wire:
        await wire.request("subscribe", 1, channel="book", symbol=[SYMBOL], depth=20)
        assert (await wire.ack("subscribe", 1))["error"] == "Subscription depth not supported"
        await wire.request("subscribe", 2, channel="ohlc", symbol=[SYMBOL], interval=2)
        assert (await wire.ack("subscribe", 2))["error"] == "Subscription ohlc interval not supported"
        await wire.request("subscribe", 3, channel="ticker", symbol=[SYMBOL], event_trigger="mood")
        assert (await wire.ack("subscribe", 3))["success"] is False


async def test_numbers_carry_every_declared_decimal(world: World) -> None:
    async with world.demo.socket() as wire:
        await wire.request("subscribe", 1, channel="trade", symbol=[SYMBOL])
        await wire.request("subscribe", 2, channel="instrument")
        await world.demo.order("buy", "60000.0", "0.00100")
        await world.other.order("sell", "60000.0", "0.00100")
        await wire.of("trade", "update")
        [text] = [text for text in wire.texts if text.startswith('{"channel":"trade","type":"update"')]
        assert '"price":60000.0,"qty":0.00100,' in text
        pairs = next(one for one in wire.frames if one.get("channel") == "instrument")["data"]["pairs"]
        pair = next(one for one in pairs if one["symbol"] == SYMBOL)
        assert (pair["price_precision"], pair["qty_precision"], pair["price_increment"]) == (
            1,
            5,
            Decimal("0.1"),
        )


async def test_trades_tickers_and_candles_follow_the_market(world: World) -> None:
    await world.demo.order("buy", "60000.0", "0.01000")
    await world.other.order("sell", "60000.0", "0.00100")
    async with world.demo.socket() as wire:
        for number, channel in enumerate(("trade", "ticker"), 1):
            await wire.request("subscribe", number, channel=channel, symbol=[SYMBOL])
        await wire.request("subscribe", 3, channel="ohlc", symbol=[SYMBOL], interval=5)
        assert len((await wire.of("trade", "snapshot"))["data"]) == 1
        before = (await wire.of("ticker", "snapshot"))["data"][0]
        assert (before["bid"], before["bid_qty"], before["ask"]) == (60000, Decimal("0.009"), 0)
        candle = await wire.of("ohlc", "snapshot")
        assert candle["data"][0]["interval"] == 5 and TIME.fullmatch(candle["data"][0]["timestamp"])
        await world.other.order("sell", "60000.0", "0.00200")
        [trade] = (await wire.of("trade", "update"))["data"]
        assert (trade["trade_id"], trade["side"], trade["qty"]) == (2, "sell", Decimal("0.002"))
        assert (await wire.of("ticker", "update"))["data"][0]["volume"] == Decimal("0.003")
        assert (await wire.of("ohlc", "update"))["data"][0]["trades"] == 2


async def test_a_ticker_by_best_prices_moves_without_trades(world: World) -> None:
    async with world.demo.socket() as wire:
        await wire.request(
            "subscribe", 1, channel="ticker", symbol=[SYMBOL], event_trigger="bbo", snapshot=False
        )
        await wire.ack("subscribe", 1)
        await world.demo.order("buy", "60000.0")
        row = (await wire.of("ticker", "update"))["data"][0]
        assert (row["bid"], row["last"]) == (60000, 0)


async def test_a_market_that_changes_state_is_told(world: World) -> None:
    async with world.demo.socket() as wire:
        await wire.request("subscribe", 1, channel="instrument")
        await wire.of("instrument", "snapshot")
        world.exchange.set_mode(VenueState.POST_ONLY, SYMBOL)
        [pair] = (await wire.of("instrument", "update"))["data"]["pairs"]
        assert (pair["symbol"], pair["status"]) == (SYMBOL, "post_only")


# ---- private channels ------------------------------------------------------------------------------------


async def test_private_channels_need_a_token_in_force(world: World) -> None:
    token = await world.demo.token()
    async with world.demo.socket() as wire:
        for number, params in enumerate(({}, {"token": "guess"}, {"token": token + "x"}), 1):
            await wire.request("subscribe", number, channel="executions", **params)
            assert (await wire.ack("subscribe", number))["error"] == "ESession:Invalid session"
        await wire.request("subscribe", 9, channel="executions", token=token)
        ack = await wire.ack("subscribe", 9)
        assert (
            ack["success"]
            and ack["result"]["channel"] == "executions"
            and ack["result"]["maxratecount"] == 180
        )
        assert (await wire.of("executions", "snapshot")) == {
            "channel": "executions", "type": "snapshot", "data": [], "sequence": 1,
        }  # fmt: skip


async def test_an_expired_token_goes_on_only_where_it_opened_a_channel(world: World) -> None:
    token = await world.demo.token()
    async with world.demo.socket() as old, world.demo.socket() as new:
        await old.request("subscribe", 1, channel="balances", token=token)
        assert (await old.ack("subscribe", 1))["success"]
        world.gateway.desk.tokens._tokens[token] = Token(world.demo.key.key, 0)
        await old.request("cancel_all", 2, token=token)
        assert (await old.ack("cancel_all", 2))["result"] == {"count": 0}
        await new.request("cancel_all", 2, token=token)
        assert (await new.ack("cancel_all", 2))["error"] == "ESession:Invalid session"
        world.exchange.keys.remove(world.demo.key.key)
        await old.request("cancel_all", 3, token=token)
        assert (await old.ack("cancel_all", 3))["error"] == "ESession:Invalid session"


async def test_rights_hold_on_the_socket_too(world: World) -> None:
    reader, canceller = world.client("demo", rights=[Right.READ]), world.client("demo", rights=[Right.CANCEL])
    async with world.demo.socket() as wire:
        await wire.request("cancel_all", 1, token=await reader.token())
        assert (await wire.ack("cancel_all", 1))["error"] == "EGeneral:Permission denied"
        token = await canceller.token()
        await wire.request("add_order", 2, token=token)
        assert (await wire.ack("add_order", 2))["error"] == "EGeneral:Permission denied"
        await wire.request("subscribe", 3, channel="executions", token=token)
        assert (await wire.ack("subscribe", 3))["error"] == "EGeneral:Permission denied"
        await wire.request("cancel_all", 4, token=token)
        assert (await wire.ack("cancel_all", 4))["success"]


async def test_an_orders_life_is_told_in_the_venues_order_and_sequence(world: World) -> None:
    async with world.demo.socket() as wire:
        token = await world.demo.token()
        await wire.request("subscribe", 1, channel="executions", token=token, ratecounter=True)
        await wire.of("executions", "snapshot")
        await wire.request(
            "add_order", 2, token=token, order_type="limit", side="buy", symbol=SYMBOL, limit_price=60000.0,
            order_qty=0.002, cl_ord_id="life",
        )  # fmt: skip
        ack = await wire.ack("add_order", 2)
        assert ack["result"]["cl_ord_id"] == "life"
        order = ack["result"]["order_id"]
        await wire.request("amend_order", 3, token=token, order_id=order, order_qty=0.003)
        assert (await wire.ack("amend_order", 3))["result"]["order_id"] == order
        await world.other.order("sell", "60000.0", "0.00100")
        await world.other.order("sell", "60000.0", "0.00200")
        await wire.execution("filled")
        updates = [one for one in wire.frames if one.get("channel") == "executions"]
        assert [one["sequence"] for one in updates] == list(range(1, len(updates) + 1))
        rows = [row for one in updates for row in one["data"]]
        assert [(row["exec_type"], row["order_status"]) for row in rows] == [
            ("pending_new", "pending_new"), ("new", "new"), ("amended", "new"),
            ("trade", "partially_filled"), ("trade", "partially_filled"), ("filled", "filled"),
        ]  # fmt: skip
        assert {row["order_id"] for row in rows} == {order} and {row["cl_ord_id"] for row in rows} == {"life"}
        assert all("ratecount" in row and TIME.fullmatch(row["timestamp"]) for row in rows)
        last = rows[-2]
        assert (last["last_qty"], last["last_price"], last["cum_qty"], last["liquidity_ind"]) == (
            Decimal("0.002"), 60000, Decimal("0.003"), "m",
        )  # fmt: skip
        assert last["fees"] == [{"asset": "USD", "qty": Decimal("0.12")}]
        trades = await world.demo.private("TradesHistory")
        assert [row["exec_id"] for row in rows if row["exec_type"] == "trade"] == list(trades["trades"])[::-1]


async def test_without_order_status_only_beginnings_ends_and_trades_are_told(world: World) -> None:
    async with world.demo.socket() as wire:
        await wire.request(
            "subscribe", 1, channel="executions", token=await world.demo.token(), order_status=False
        )
        await wire.of("executions", "snapshot")
        txid = await world.demo.order("buy", "60000.0", "0.002")
        await world.demo.private("AmendOrder", {"txid": txid, "order_qty": "0.003"})
        await world.demo.private("CancelOrder", {"txid": txid})
        row = await wire.execution("canceled")
        assert row["reason"] == "User requested"
        types = [
            row["exec_type"]
            for one in wire.frames
            if one.get("channel") == "executions"
            for row in one["data"]
        ]
        assert types == ["new", "canceled"]


async def test_snapshots_hold_open_orders_and_recent_trades_as_asked(world: World) -> None:
    open_order = await world.demo.order("buy", "50000.0", "0.002")
    await world.demo.order("buy", "60000.0", "0.001")
    await world.other.order("sell", "60000.0", "0.001")
    token = await world.demo.token()
    expected = {(True, False): ["new"], (True, True): ["trade", "new"], (False, True): ["trade"]}
    for (orders, trades), types in expected.items():
        async with world.demo.socket() as wire:
            await wire.request(
                "subscribe", 1, channel="executions", token=token, snap_orders=orders, snap_trades=trades
            )
            snapshot = await wire.of("executions", "snapshot")
            assert [row["exec_type"] for row in snapshot["data"]] == types
            if orders:
                assert snapshot["data"][-1]["order_id"] == open_order


async def test_trades_of_a_snapshot_tell_how_their_order_ended_in_the_venues_words(world: World) -> None:
    half = await world.demo.order("buy", "60000.0", "0.002")
    await world.other.order("sell", "60000.0", "0.001")
    await world.demo.private("CancelOrder", {"txid": half})
    token = await world.demo.token()
    async with world.demo.socket() as wire:
        await wire.request("subscribe", 1, channel="executions", token=token, snap_trades=True)
        [row] = (await wire.of("executions", "snapshot"))["data"]
        assert (row["order_id"], row["exec_type"], row["order_status"]) == (half, "trade", "canceled")


async def test_balances_follow_each_trade_with_its_amount_and_fee(world: World) -> None:
    async with world.demo.socket() as wire:
        await wire.request("subscribe", 1, channel="balances", token=await world.demo.token())
        snapshot = await wire.of("balances", "snapshot")
        assert {row["asset"]: row["balance"] for row in snapshot["data"]}["USD"] == 100_000
        await world.demo.order("buy", "60000.0", "0.002")  # holds money, changes no total
        await world.other.order("sell", "60000.0", "0.001")
        update = await wire.of("balances", "update")
        rows = {row["asset"]: row for row in update["data"]}
        assert (rows["USD"]["amount"], rows["USD"]["fee"], rows["USD"]["balance"]) == (
            -60,
            Decimal("0.06"),
            Decimal("99939.94"),
        )
        assert (rows["BTC"]["amount"], rows["BTC"]["fee"], rows["BTC"]["type"]) == (
            Decimal("0.001"),
            0,
            "trade",
        )
        assert update["sequence"] == 2
        [trade] = (await world.demo.private("TradesHistory"))["trades"]
        assert rows["USD"]["ref_id"] == trade
        assert rows["USD"]["ledger_id"] in (await world.demo.private("Ledgers"))["ledger"]


async def test_nobody_hears_of_another_account(world: World) -> None:
    async with world.other.socket() as wire:
        await wire.request("subscribe", 1, channel="executions", token=await world.other.token())
        await wire.of("executions", "snapshot")
        await world.demo.order("buy", "60000.0", "0.002")
        await settled(wire)
        assert not [
            one for one in wire.frames if one.get("channel") == "executions" and one["type"] == "update"
        ]


# ---- methods ---------------------------------------------------------------------------------------------


async def test_every_method_has_its_effect(world: World) -> None:
    async with world.demo.socket() as wire:
        token = await world.demo.token()

        async def ask(method: str, number: int, **params: Any) -> dict[str, Any]:
            await wire.request(method, number, token=token, **params)
            return await wire.ack(method, number)

        row = {"order_type": "limit", "side": "buy", "order_qty": 0.001, "limit_price": 50000.0}
        batch = await ask(
            "batch_add", 1, symbol=SYMBOL, orders=[row | {"cl_ord_id": "b1"}, row | {"order_userref": 5}]
        )
        first, second = batch["result"]
        assert (first["cl_ord_id"], second["order_userref"]) == ("b1", 5)
        edited = await ask(
            "edit_order", 2, symbol=SYMBOL, order_id=second["order_id"], order_qty=0.002, limit_price=50001.0
        )
        assert edited["result"]["original_order_id"] == second["order_id"] != edited["result"]["order_id"]
        validated = await ask("add_order", 3, symbol=SYMBOL, validate=True, **row)
        assert validated["success"] and validated["result"] == {}
        await wire.request(
            "cancel_order",
            4,
            token=token,
            order_id=[edited["result"]["order_id"], ids.order_id(77)],
            cl_ord_id=["b1"],
        )
        acks = [await wire.ack("cancel_order", 4) for _ in range(3)]
        assert [one.get("error") for one in acks] == [None, "EOrder:Unknown order", None]
        assert acks[0]["result"] == {"order_id": edited["result"]["order_id"]} and acks[2]["result"] == {
            "cl_ord_id": "b1"
        }
        assert acks[1]["order_id"] == ids.order_id(77)
        placed = [
            (await ask("add_order", number, symbol=SYMBOL, **row))["result"]["order_id"]
            for number in (5, 6, 7)
        ]
        assert (await ask("batch_cancel", 8, orders=placed[:2]))["orders_cancelled"] == 2
        assert (await ask("cancel_all", 9))["result"] == {"count": 1}
        armed = (await ask("cancel_all_orders_after", 10, timeout=60))["result"]
        assert armed["triggerTime"] > armed["currentTime"]
        assert (await ask("cancel_all_orders_after", 11, timeout=0))["result"]["triggerTime"] == "0"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"symbol": "NO/PE"}, "EQuery:Unknown asset pair"),
        ({"order_type": "wish"}, "EGeneral:Invalid arguments:order_type"),
        ({"side": "both"}, "EGeneral:Invalid arguments:side"),
        ({"order_qty": None}, "EGeneral:Invalid arguments:order_qty"),
        ({"order_qty": 0.00001}, "EGeneral:Invalid arguments:volume minimum not met"),
        ({"order_qty": 10_001}, "EOrder:Insufficient funds"),
        ({"order_qty": 10**18}, "EOrder:Insufficient funds"),
        ({"order_qty": 9}, "EOrder:Insufficient funds"),
        ({"limit_price": None}, "EOrder:Invalid price"),
        ({"order_type": "market"}, "EGeneral:Invalid arguments:limit_price"),
        ({"cash_order_qty": 5}, "EGeneral:Invalid arguments:cash_order_qty"),
        ({"order_type": "stop-loss-limit"}, "EGeneral:Invalid arguments:triggers"),
        (
            {"order_type": "stop-loss-limit", "triggers": {"reference": "index", "price": 5}},
            "EGeneral:Invalid arguments:triggers",
        ),
        ({"time_in_force": "day"}, "EGeneral:Invalid arguments:time_in_force"),
        ({"time_in_force": "gtd"}, "EGeneral:Invalid arguments:time_in_force"),
        (
            {"expire_time": "2999-01-01T00:00:00Z", "time_in_force": "gtd"},
            "EGeneral:Invalid arguments:expire_time",
        ),
        ({"post_only": True, "time_in_force": "ioc"}, "EGeneral:Invalid arguments:post_only"),
        ({"margin": True}, "EOrder:Cannot open position"),
        ({"fee_preference": "base"}, "EGeneral:Invalid arguments:fee_preference"),
        ({"conditional": {"order_type": "limit"}}, "EGeneral:Invalid arguments:conditional"),
        ({"effective_time": "2999-01-01T00:00:00Z"}, "EGeneral:Invalid arguments:effective_time"),
        ({"stp_type": "ask"}, "EGeneral:Invalid arguments:stp_type"),
        ({"deadline": "2020-01-01T00:00:00Z"}, "EService:Deadline elapsed"),
        ({"token": "guess"}, "ESession:Invalid session"),
    ],
)
async def test_orders_that_cannot_be_are_refused(world: World, change: Any, error: str) -> None:
    wish = {
        "order_type": "limit",
        "side": "buy",
        "symbol": SYMBOL,
        "order_qty": 0.001,
        "limit_price": 60000.0,
    }
    params = {
        name: value
        for name, value in (wish | {"token": await world.demo.token()} | change).items()
        if value is not None
    }
    async with world.demo.socket() as wire:
        await wire.request("add_order", 1, **params)
        answer = await wire.ack("add_order", 1)
        assert (answer["success"], answer["error"]) == (False, error)
    assert world.exchange.orders("demo", working=True) == []


async def test_requests_sent_without_waiting_act_in_their_order(world: World) -> None:
    async with world.demo.socket() as wire:
        token = await world.demo.token()
        row = {"order_type": "limit", "side": "buy", "symbol": SYMBOL, "order_qty": 0.001, "token": token}
        for number in range(100):
            await wire.request("add_order", number, limit_price=50000 + number, cl_ord_id=f"p{number}", **row)
        await wire.request("cancel_order", 500, token=token, cl_ord_id=["p99"])
        await wire.request("add_order", 501, limit_price=50000, cl_ord_id="p99", **row)
        await wire.request("cancel_all", 502, token=token)
        orders = [(await wire.ack("add_order", number))["result"]["order_id"] for number in range(100)]
        numbers = [ids.order_number(order) for order in orders]
        assert numbers == sorted(numbers) and len(set(numbers)) == 100
        assert (await wire.ack("cancel_order", 500))["success"]
        assert (await wire.ack("add_order", 501))["success"]
        assert (await wire.ack("cancel_all", 502))["result"] == {"count": 100}


async def test_a_connection_that_ends_leaves_nothing_behind(world: World) -> None:
    before = world.exchange._streams.count
    async with world.demo.socket() as wire:
        token = await world.demo.token()
        for channel in ("book", "ticker", "trade", "ohlc"):
            await wire.request("subscribe", 1, channel=channel, symbol=[SYMBOL])
        await wire.request("subscribe", 2, channel="executions", token=token)
        await wire.request("subscribe", 3, channel="balances", token=token)
        await settled(wire)
    board = world.gateway.boards.board(SYMBOL)
    await until(lambda: not world.gateway._sessions, "the connection has ended")
    assert not board.trades and not board.views[10].listeners and not any(board.tickers.values())
    assert world.exchange._streams.count == before + 1, "only the watch of the account stays, for its limits"
