"""Parts of the Polymarket connector: the book of intents, provisional fills, the feed's proofs, refusals."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tradewind.venues.codes import RejectCode
from tradewind.venues.feeds.decoding import Received
from tradewind.venues.market_data import BookDelta, BookSnapshot, DecodeError, Side, TradePrint
from tradewind.venues.polymarket.directory import Directory
from tradewind.venues.polymarket.feed import PolymarketDecoder, hash_is_right, top_number
from tradewind.venues.polymarket.intents import Intent, IntentBook, salt_of
from tradewind.venues.polymarket.messages import MarketRow, OrderRow, TokenRow, TradeRow, Unmapped
from tradewind.venues.polymarket.mirror import Mirror
from tradewind.venues.polymarket.refusals import refusal_of
from tradewind.venues.protocol import FillEvent, OrderEvent, OrderPhase

MESSAGES = Path(__file__).parents[4] / "shared" / "data" / "venue-messages" / "polymarket"
MARKET = MarketRow(
    condition_id="0x" + "1" * 64,
    market_slug="rain",
    minimum_tick_size=Decimal("0.01"),
    minimum_order_size=Decimal(5),
    neg_risk=False,
    tokens=[TokenRow("11", "Yes"), TokenRow("22", "No")],
)
ME = "0x" + "Aa" * 20


def intent(number: int, **changes: Any) -> Intent:
    fields: dict[str, Any] = {
        "client_id": f"tw{number}",
        "reference": f"0x{number:064x}",
        "symbol": "RAIN-YES/USDC",
        "side": Side.BUY,
        "price_ticks": 40,
        "lots": 1_000,
        "order_type": "GTC",
        "post_only": False,
        "body": "{}",
        "made_ns": 1,
    }
    return Intent(**fields | changes)


# ---- intents -------------------------------------------------------------------------------------------


async def test_intents_survive_a_restart_byte_for_byte(tmp_path: Path) -> None:
    book = IntentBook(tmp_path / "intents")
    for number in range(3):
        await book.add(intent(number, body=f'{{"signature":"{number}"}}'))
    book.close()
    again = IntentBook(tmp_path / "intents")
    for number in range(3):
        assert again.find(f"tw{number}") == intent(number, body=f'{{"signature":"{number}"}}')
        assert again.of_reference(f"0x{number:064x}") is again.find(f"tw{number}")
    again.close()


async def test_a_torn_last_line_is_an_order_that_was_never_sent(tmp_path: Path) -> None:
    path = tmp_path / "intents"
    book = IntentBook(path)
    await book.add(intent(1))
    await book.add(intent(2))
    book.close()
    path.write_bytes(path.read_bytes()[:-20])
    again = IntentBook(path)
    assert again.find("tw1") is not None and again.find("tw2") is None
    await again.add(intent(3))
    again.close()
    last = IntentBook(path)
    assert last.find("tw3") == intent(3) and last.find("tw2") is None
    last.close()


def test_damage_in_the_middle_is_not_read_over(tmp_path: Path) -> None:
    path = tmp_path / "intents"
    path.write_bytes(b"{}\n" + msgspec.json.encode(intent(1)) + b"\n")
    with pytest.raises(ValueError, match="line 1"):
        IntentBook(path)


def test_the_salt_is_53_bits_of_our_id() -> None:
    salts = {salt_of(f"tw{number}") for number in range(1_000)}
    assert len(salts) == 1_000 and all(0 <= one < 1 << 53 for one in salts)
    assert salt_of("tw0") == salt_of("tw0")


# ---- the mirror ----------------------------------------------------------------------------------------


async def mirror_of(tmp_path: Path, *intents: Intent) -> tuple[Mirror, list[Any]]:
    book, told = IntentBook(tmp_path / "intents"), []
    for one in intents:
        await book.add(one)
    mirror = Mirror("polymarket", "trader", ME, book, told.append)
    mirror.directory = Directory.of([MARKET], time.time_ns())
    return mirror, told


def trade(status: str = "MATCHED", **changes: Any) -> TradeRow:
    """A taker that buys the other token: our resting purchase is its maker."""
    fields: dict[str, Any] = {
        "id": "t-1",
        "taker_order_id": "0x" + "f" * 64,
        "asset_id": "22",
        "side": "BUY",
        "size": "6",
        "price": "0.6",
        "status": status,
        "match_time": "1700000000",
        "maker_orders": [
            {"order_id": f"0x{1:064x}", "maker_address": ME.lower(),
             "matched_amount": "6", "price": "0.4", "asset_id": "11", "side": "BUY", "fee_rate_bps": "10"},
            {"order_id": "0x" + "9" * 64, "maker_address": "0x" + "2" * 40, "matched_amount": "1",
             "price": "0.4", "asset_id": "11"},
        ],
    }  # fmt: skip
    return msgspec.convert(fields | changes, TradeRow, strict=False)


async def test_our_side_is_read_from_our_own_maker_entry(tmp_path: Path) -> None:
    mirror, told = await mirror_of(tmp_path, intent(1))
    for one in mirror.executions(trade()):
        mirror.settle(one)
    [fill] = told
    assert isinstance(fill, FillEvent)
    assert (fill.symbol, fill.side, fill.price_ticks, fill.lots) == ("RAIN-YES/USDC", Side.BUY, 40, 600)
    assert fill.maker and fill.client_id == "tw1" and fill.remaining_lots == 400
    assert fill.fee == Decimal("0.0024") and fill.fee_asset == "USDC"


async def test_a_match_is_provisional_until_it_is_confirmed(tmp_path: Path) -> None:
    mirror, told = await mirror_of(tmp_path, intent(1))
    reversed_fills: list[FillEvent] = []
    mirror.on_reversed = reversed_fills.append
    for status in ("MATCHED", "MINED", "MATCHED", "RETRYING", "CONFIRMED"):
        assert len(mirror.provisional) == (status != "MATCHED" or len(told) == 1)
        for one in mirror.executions(trade(status)):
            mirror.settle(one)
    assert len(told) == 1 and mirror.provisional == {}
    for one in mirror.executions(trade("FAILED")):
        mirror.settle(one)
    assert reversed_fills == [], "what was confirmed cannot fail"


async def test_a_failed_trade_is_reversed_once(tmp_path: Path) -> None:
    mirror, told = await mirror_of(tmp_path, intent(1))
    reversed_fills: list[FillEvent] = []
    mirror.on_reversed = reversed_fills.append
    for status in ("MATCHED", "RETRYING", "FAILED", "FAILED", "MATCHED"):
        for one in mirror.executions(trade(status)):
            mirror.settle(one)
    assert reversed_fills == told and len(told) == 1
    assert mirror.filled[f"0x{1:064x}"] == 0 and mirror.reversed_fills == 1


async def test_a_trade_that_was_first_heard_of_as_failed_is_nothing(tmp_path: Path) -> None:
    mirror, told = await mirror_of(tmp_path, intent(1))
    for one in mirror.executions(trade("FAILED")):
        mirror.settle(one)
    assert told == [] and mirror.reversed_fills == 0


async def test_unknown_words_are_never_guessed(tmp_path: Path) -> None:
    mirror, _ = await mirror_of(tmp_path, intent(1))
    row = OrderRow("0x1", "FROZEN", "11", "BUY", Decimal(10), Decimal(0), Decimal("0.4"))
    for bad in (row, msgspec.structs.replace(row, status="LIVE", asset_id="33"),
                msgspec.structs.replace(row, status="LIVE", side="HOLD"),
                msgspec.structs.replace(row, status="LIVE", price=Decimal("0.405"))):  # fmt: skip
        with pytest.raises(Unmapped):
            mirror.state_of(bad, 1)
    with pytest.raises(Unmapped):
        list(mirror.executions(trade("LOST")))


async def test_an_order_that_is_filled_further_than_its_fills_asks_for_them(tmp_path: Path) -> None:
    mirror, told = await mirror_of(tmp_path, intent(1))
    gaps: list[str] = []
    mirror.on_gap = gaps.append
    row = OrderRow(f"0x{1:064x}", "LIVE", "11", "BUY", Decimal(10), Decimal(6), Decimal("0.4"))
    mirror.apply(mirror.state_of(row, 1))
    assert gaps == [row.id]
    [event] = told
    assert isinstance(event, OrderEvent) and event.state.phase is OrderPhase.PARTIALLY_FILLED
    older = msgspec.structs.replace(row, size_matched=Decimal(2))
    mirror.apply(mirror.state_of(older, 2))
    assert len(told) == 1, "what is older tells nothing"


# ---- market data ---------------------------------------------------------------------------------------


def decoder() -> PolymarketDecoder:
    return PolymarketDecoder([one.instrument for one in Directory.of([MARKET], 1).by_symbol.values()])


def book(**changes: Any) -> dict[str, Any]:
    row = {
        "market": MARKET.condition_id, "asset_id": "11", "timestamp": "1700000000000", "hash": "",
        "bids": [{"price": "0.39", "size": "5"}, {"price": "0.4", "size": "10"}],
        "asks": [{"price": "0.6", "size": "7"}], "min_order_size": "5", "tick_size": "0.01",
        "neg_risk": False, "last_trade_price": "",
    }  # fmt: skip
    import hashlib

    text = json.dumps(row, separators=(",", ":"))
    row["hash"] = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    return {"event_type": "book", **row, **changes}


def decoded(row: Any) -> list[Any]:
    return list(decoder().decode(json.dumps(row).encode(), Received(1, 1, 1)))


def test_a_book_with_its_hash_is_a_snapshot_and_another_hash_is_an_error() -> None:
    [snapshot] = decoded([book()])
    assert isinstance(snapshot, BookSnapshot)
    assert (snapshot.bids, snapshot.asks) == (((40, 1_000), (39, 500)), ((60, 700),))
    with pytest.raises(DecodeError, match="hash"):
        decoded(book(asks=[{"price": "0.61", "size": "7"}]))
    short = {name: one for name, one in book().items() if name != "neg_risk"}
    assert len(decoded(short)) == 1, "what was not sent cannot be proved"


def test_a_change_carries_the_top_that_it_states() -> None:
    row = {"asset_id": "11", "price": "0.41", "size": "3", "side": "BUY", "hash": "x", "best_bid": "0.41",
           "best_ask": "0.6"}  # fmt: skip
    [delta] = decoded({"event_type": "price_change", "timestamp": "1", "price_changes": [row]})
    assert isinstance(delta, BookDelta)
    assert delta.bids == ((41, 300),) and delta.checksum == top_number(41, 60)


def test_a_trade_is_a_print_of_its_token() -> None:
    [found] = decoded({"event_type": "last_trade_price", "asset_id": "22", "price": "0.6", "size": "6",
                       "side": "BUY", "timestamp": "1"})  # fmt: skip
    assert isinstance(found, TradePrint)
    assert (found.symbol, found.price_ticks, found.quantity_lots) == ("RAIN-NO/USDC", 60, 600)


@pytest.mark.parametrize("frame", [b"", b"[1]", b"{", b"\xff", b'{"event_type":"book","asset_id":"11"}'])
def test_what_cannot_be_read_is_an_error_and_nothing_else(frame: bytes) -> None:
    with pytest.raises(DecodeError):
        decoder().decode(frame, Received(1, 1, 1))


def test_recorded_messages_are_read() -> None:
    if not MESSAGES.is_dir():
        pytest.skip("the recorded messages are not here")
    raw = json.loads((MESSAGES / "recorded" / "py_http_market.json").read_text())
    row = msgspec.convert(raw, MarketRow, strict=False)
    directory = Directory.of([row], 1)
    assert not directory.quarantined and len(directory.by_token) == 2
    reader = PolymarketDecoder([one.instrument for one in directory.by_symbol.values()])
    counts = {}
    for name in ("py_ws_book", "py_ws_last_trade_price"):
        frame = (MESSAGES / "recorded" / f"{name}.json").read_bytes()
        counts[name] = len(reader.decode(frame, Received(1, 1, 1)))
    assert counts == {"py_ws_book": 1, "py_ws_last_trade_price": 1}
    assert hash_is_right(json.loads((MESSAGES / "recorded" / "py_ws_book.json").read_text())) is None
    for name, kind in (("py_ws_order_placement", OrderRow), ("py_ws_order_cancel", OrderRow),
                       ("py_ws_user_trade1", TradeRow)):  # fmt: skip
        found = msgspec.json.decode(
            (MESSAGES / "recorded" / f"{name}.json").read_bytes(), type=kind, strict=False
        )
        assert found.asset_id in directory.by_token


# ---- refusals ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "text", "code"),
    [
        (400, "not enough balance / allowance", RejectCode.INSUFFICIENT_FUNDS),
        (400, "order 0x1 is invalid. Duplicated.", RejectCode.DUPLICATE_CLIENT_ID),
        (400, "order 0x1 is invalid. Size (1) lower than the minimum: 5", RejectCode.BELOW_MIN_QTY),
        (400, "invalid post-only order: order crosses book", RejectCode.POST_ONLY_WOULD_TAKE),
        (503, "Trading is currently cancel-only. New orders are not accepted", RejectCode.CANCEL_ONLY),
        (425, "service not ready", RejectCode.VENUE_BUSY),
        (429, "", RejectCode.RATE_LIMITED),
        (400, "something new", RejectCode.VENUE_REJECTED),
        (500, "could not run the execution", None),
        (502, "error", None),
    ],
)
def test_a_text_means_a_code_or_nothing(status: int, text: str, code: RejectCode | None) -> None:
    found = refusal_of(status, text)
    assert (None if found is None else found.code) == code
