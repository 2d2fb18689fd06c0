"""Venue frames become exact events; missing fields are errors, unknown values are counted."""

from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest
from feed_helpers import NOW, instrument
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.venues.binance.decoder import BinanceDecoder
from tradewind.venues.binance.instruments import BinanceMarket, parse_exchange_info, split_symbol
from tradewind.venues.feeds.pipeline import MarketPipeline
from tradewind.venues.feeds.sequencing import BinanceSpotRule
from tradewind.venues.kraken.decoder import KrakenDecoder
from tradewind.venues.kraken.decoder_v1 import KrakenV1Decoder
from tradewind.venues.kraken.instruments import canonical_symbol, parse_asset_pairs
from tradewind.venues.kraken.timestamps import decimal_seconds_ns, rfc3339_ns
from tradewind.venues.market_data import (
    BookDelta,
    BookSnapshot,
    BookState,
    DecodeError,
    Side,
    TopOfBook,
    TradePrint,
    UnknownSymbol,
)

MESSAGES = Path(__file__).resolve().parents[4] / "shared" / "data" / "venue-messages"
DEPTH = {"e": "depthUpdate", "E": 1700000000123, "s": "BTCUSDT", "U": 7, "u": 9,
         "b": [["100.01000000", "1.50000000"], ["99.00", "0"]], "a": []}  # fmt: skip
TRADE = {"e": "trade", "E": 1, "s": "BTCUSDT", "t": 5, "p": "100.02", "q": "0.5", "T": 1700000000124,
         "m": True, "M": True}  # fmt: skip
TICKER = {"u": 12, "s": "BTCUSDT", "b": "100.01", "B": "2", "a": "100.02", "A": "3"}


def combined(kind: str, data: object) -> bytes:
    return json.dumps({"stream": f"btcusdt@{kind}", "data": data}, separators=(",", ":")).encode()


def spot() -> BinanceDecoder:
    return BinanceDecoder([instrument()])


def kraken() -> KrakenDecoder:
    return KrakenDecoder([instrument("BTC/USD", venue_symbol="BTC/USD", tick=Decimal("0.1"), price_decimals=1,
                                     lot=Decimal("0.00000001"), quantity_decimals=8)])  # fmt: skip


def message(path: str) -> bytes:
    file = MESSAGES / path
    if not file.exists():
        pytest.skip("no recorded data beside the repository")
    return file.read_bytes()


def test_a_depth_update_becomes_exact_ticks_and_lots_in_the_venues_order() -> None:
    [event] = spot().decode(combined("depth@100ms", DEPTH), NOW)
    assert isinstance(event, BookDelta)
    assert (event.symbol, event.first_id, event.last_id, event.previous_id) == ("BTC/USDT", 7, 9, None)
    assert list(event.changes()) == [(Side.BUY, 10_001, 150_000), (Side.BUY, 9_900, 0)]
    assert event.venue_ts_ns == 1700000000123000000
    assert (event.recv_ts_ns, event.recv_mono_ns, event.epoch) == (
        NOW.recv_ts_ns,
        NOW.recv_mono_ns,
        NOW.epoch,
    )


@pytest.mark.parametrize("frame", [combined("trade", TRADE), json.dumps(TRADE).encode(),
                                   json.dumps({"data": TRADE, "stream": "btcusdt@trade"}).encode()],
                         ids=["combined", "single", "reordered"])  # fmt: skip
def test_a_trade_whose_buyer_was_the_maker_was_hit_by_a_seller(frame: bytes) -> None:
    [event] = spot().decode(frame, NOW)
    assert isinstance(event, TradePrint)
    assert (event.trade_id, event.price_ticks, event.quantity_lots) == (5, 10_002, 50_000)
    assert event.aggressor_side is Side.SELL
    [other] = spot().decode(combined("trade", TRADE | {"m": False}), NOW)
    assert other.aggressor_side is Side.BUY


@pytest.mark.parametrize("frame", [combined("bookTicker", TICKER), json.dumps(TICKER).encode()])
def test_a_book_ticker_keeps_its_update_id(frame: bytes) -> None:
    [event] = spot().decode(frame, NOW)
    assert isinstance(event, TopOfBook)
    assert (event.bid_ticks, event.ask_ticks, event.sequence, event.venue_ts_ns) == (10_001, 10_002, 12, None)


@pytest.mark.parametrize(("kind", "data", "fields"), [("depth", DEPTH, "UubaEs"), ("trade", TRADE, "tpqTms"),
                                                      ("bookTicker", TICKER, "ubBaAs")])  # fmt: skip
def test_each_missing_required_field_is_a_counted_decode_error(kind: str, data: dict, fields: str) -> None:
    for field in fields:
        decoder = spot()
        with pytest.raises(DecodeError):
            decoder.decode(combined(kind, {key: value for key, value in data.items() if key != field}), NOW)
        assert decoder.counters.errors[kind] == 1


@pytest.mark.parametrize("frame", [b"", b"{", b"null", b"[]", b"\xff\xfe", b'{"stream":"',
                                   combined("depth", []),
                                   combined("depth", DEPTH)[:-9], combined("depth", DEPTH | {"u": 6}),
                                   combined("depth", DEPTH | {"b": [["1e5", "1"]]}),
                                   combined("depth", DEPTH | {"b": [[1.5, 2.5]]}),
                                   combined("depth", DEPTH | {"b": [["0.001", "1"]]}),
                                   combined("trade", TRADE | {"q": "0.000001"}),
                                   combined("trade", TRADE | {"p": "0"})])  # fmt: skip
def test_a_damaged_frame_is_a_decode_error_and_nothing_else(frame: bytes) -> None:
    decoder = spot()
    with pytest.raises(DecodeError):
        decoder.decode(frame, NOW)
    assert decoder.counters.errors.total() == 1


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80), st.sampled_from(["spot", "kraken", "v1"]))
def test_random_bytes_never_raise_anything_but_decode_error(noise: bytes, which: str) -> None:
    decoder = {"spot": spot, "kraken": kraken, "v1": KrakenV1Decoder}[which]()
    prefix = {"spot": combined("depth", DEPTH)[:40], "kraken": b'{"channel":"book",', "v1": b"[1,{"}[which]
    for frame in (noise, prefix + noise):
        try:
            decoder.decode(frame, NOW)
        except DecodeError:
            assert decoder.counters.errors.total() >= 1


NO_UNICODE = [b'{"event":"\x80"}', b'{"\x80":1}', b'{"channel":"\xff"}', b'["\x80","a","b","c"]']


@pytest.mark.parametrize("frame", NO_UNICODE)
def test_text_that_is_no_unicode_is_a_decode_error(frame: bytes) -> None:
    for decoder in (spot(), kraken(), KrakenV1Decoder()):
        with suppress(DecodeError):
            decoder.decode(frame, NOW)


def test_extra_fields_are_ignored_and_unused_streams_are_counted_not_decoded() -> None:
    decoder = spot()
    assert decoder.decode(combined("trade", TRADE | {"newField": {"a": [1]}}), NOW)
    assert decoder.decode(combined("kline_1m", {"e": "kline"}), NOW) == []
    assert decoder.decode(b'{"result":null,"id":3}', NOW) == []
    assert decoder.decode(b'{"stream":"ethusdt@trade","data":{}}', NOW) == []
    assert dict(decoder.counters.ignored) == {"kline": 1, "acknowledgement": 1, "trade of another symbol": 1}


def test_an_unknown_kind_of_trade_is_kept_raw_and_counted() -> None:
    decoder = BinanceDecoder([instrument()], BinanceMarket.USDM)
    [event] = decoder.decode(combined("trade", TRADE | {"X": "INSURANCE_FUND"}), NOW)
    assert event.raw_kind == "INSURANCE_FUND"
    assert decoder.counters.unknown_values["trade.X=INSURANCE_FUND"] == 1
    assert decoder.decode(b'{"e":"newThing","E":1}', NOW) == []
    assert decoder.counters.unknown_values["event=newThing"] == 1


def test_a_level_with_odd_remains_of_an_older_lot_size_is_rounded_down_not_refused() -> None:
    """Seen in real data: 25.42618900 BTC at one price while the lot is 0.00001."""
    [event] = spot().decode(combined("depth", DEPTH | {"b": [["100.01", "25.42618900"]]}), NOW)
    assert event.bids == ((10_001, 2_542_618),)


def test_a_decode_error_in_a_depth_frame_makes_exactly_that_book_suspect() -> None:
    pipeline, out = MarketPipeline(spot(), BinanceSpotRule()), []
    body = {"lastUpdateId": 6, "bids": [["100.00", "1"]], "asks": [["100.05", "1"]]}
    pipeline.process(json.dumps(body).encode(), NOW, out)
    assert pipeline.book("BTC/USDT").state is BookState.LIVE
    pipeline.process(combined("trade", {}), NOW, out)
    assert pipeline.book("BTC/USDT").state is BookState.LIVE
    pipeline.process(combined("depth", {"U": 7}), NOW, out)
    assert pipeline.book("BTC/USDT").state is BookState.SUSPECT
    with pytest.raises(UnknownSymbol, match="ETH/USDT"):
        pipeline.book("ETH/USDT")


def test_single_and_aggregate_prints_of_one_symbol_are_not_both_taken() -> None:
    pipeline, out = MarketPipeline(spot(), BinanceSpotRule()), []
    pipeline.process(combined("trade", TRADE), NOW, out)
    pipeline.process(combined("aggTrade", {**TRADE, "a": 9}), NOW, out)
    assert [event.trade_id for event in out] == [5]
    assert pipeline.ignored_prints["BTC/USDT"] == 1


# ---- Kraken ------------------------------------------------------------------------------------------------


def test_kraken_numbers_are_read_as_exact_decimals() -> None:
    frame = (b'{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":105944.20,'
             b'"qty":0.00000001}],"asks":[{"price":105945,"qty":1e-7}],"checksum":1,'
             b'"timestamp":"2023-10-06T17:35:55.440295Z"}]}')  # fmt: skip
    [event] = kraken().decode(frame, NOW)
    assert isinstance(event, BookDelta)
    assert (event.bids, event.asks) == (((1_059_442, 1),), ((1_059_450, 10),))
    assert event.venue_ts_ns == 1696613755440295000


def test_kraken_messages_from_the_documentation_decode() -> None:
    decoder = kraken()
    [book] = decoder.decode(message("kraken/examples/ws_book_snapshot.json"), NOW)
    assert isinstance(book, BookSnapshot)
    assert book.checksum == 2439117997
    assert book.bids[0] == (1_059_442, 13_600_000)
    [update] = decoder.decode(message("kraken/examples/ws_book_update.json"), NOW)
    assert (update.bids, update.asks) == (((1_059_442, 25_000_000),), ())
    trades = decoder.decode(message("kraken/examples/ws_trade_update.json"), NOW)
    assert [(one.trade_id, one.aggressor_side) for one in trades] == [
        (10218208, Side.BUY), (10218209, Side.SELL)]  # fmt: skip
    [top] = decoder.decode(message("kraken/examples/ws_ticker_snapshot.json"), NOW)
    assert (top.bid_ticks, top.ask_ticks) == (1_059_442, 1_059_443)
    assert decoder.decode(message("kraken/examples/ws_pong.json"), NOW) == []
    assert decoder.decode(message("kraken/examples/ws_subscribe_response.json"), NOW) == []


def test_kraken_control_messages_are_counted_and_an_unknown_state_is_kept() -> None:
    decoder = kraken()
    for frame in (b'{"channel":"heartbeat"}', b'{"method":"pong","req_id":1}',
                  b'{"channel":"status","type":"update","data":[{"system":"sleepy"}]}',
                  b'{"channel":"trade","type":"snapshot","data":[]}'):  # fmt: skip
        assert decoder.decode(frame, NOW) == []
    assert decoder.system_state == "sleepy"
    assert decoder.counters.unknown_values["status.system=sleepy"] == 1
    refusal = b'{"method":"subscribe","success":false,"error":"Currency pair not supported X/Y"}'
    assert decoder.decode(refusal, NOW) == []
    assert decoder.rejected_subscriptions == ["Currency pair not supported X/Y"]


def test_an_unknown_kraken_side_keeps_the_print_without_inventing_an_aggressor() -> None:
    frame = (b'{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"both",'
             b'"price":1.0,"qty":1,"trade_id":1,"timestamp":"2023-10-06T17:35:55Z"}]}')  # fmt: skip
    decoder = kraken()
    [event] = decoder.decode(frame, NOW)
    assert (event.aggressor_side, event.raw_kind) == (None, "both")
    assert decoder.counters.unknown_values["trade.side=both"] == 1


def test_v1_updates_of_both_sides_come_as_two_payloads_and_are_one_event() -> None:
    decoder = KrakenV1Decoder()
    decoder.decode(b'[1,{"as":[["2.10","1.0","1618678133.1"]],"bs":[["2.00","1.0","1618678133.2"]]},'
                   b'"book-10","XBT/EUR"]', NOW)  # fmt: skip
    [event] = decoder.decode(b'[1,{"a":[["2.11","0.5","1618678133.162950"]]},{"b":[["2.01","0.0",'
                             b'"1618678134.0"]],"c":"123"},"book-10","XBT/EUR"]', NOW)  # fmt: skip
    assert (event.symbol, event.asks, event.bids, event.checksum) == (
        "BTC/EUR",
        ((211, 5),),
        ((201, 0),),
        123,
    )
    assert event.venue_ts_ns == 1618678134 * 10**9
    [trade] = decoder.decode(b'[3,[["2.05","3.0","1618678142.5","s","l",""]],"trade","XBT/EUR"]', NOW)
    assert (trade.trade_id, trade.price_ticks, trade.aggressor_side) == (None, 205, Side.SELL)


@pytest.mark.parametrize("text", ["2023-10-06T17:35:55", "2023-10-06T17:35:55+01:00", "yesterdayZ",
                                  "2023-13-01T00:00:00Z", "2023-10-06T17:35:55.12x4Z"])  # fmt: skip
def test_a_time_that_is_not_rfc3339_utc_is_a_decode_error(text: str) -> None:
    with pytest.raises(DecodeError):
        rfc3339_ns(text)


@given(st.integers(0, 2**31), st.integers(0, 999_999_999))
def test_decimal_seconds_are_exact_to_the_nanosecond(second: int, nanosecond: int) -> None:
    assert decimal_seconds_ns(f"{second}.{nanosecond:09d}") == second * 10**9 + nanosecond


# ---- instruments -------------------------------------------------------------------------------------------


def test_recorded_exchange_info_gives_every_symbol_its_filters() -> None:
    body = message("binance/recorded/rest_exchange_info_spot_2021-10-12.json")
    known, quarantined = parse_exchange_info(body, BinanceMarket.SPOT, 1)
    assert quarantined == []
    assert len(known) > 1_000
    assert len({one.symbol for one in known.values()}) == len(known), "the symbol map is a bijection"
    btc = known["BTCUSDT"]
    assert (btc.tick, btc.lot, btc.min_quantity, btc.min_notional, btc.price_decimals) == (
        Decimal("0.01"), Decimal("0.00001"), Decimal("0.00001"), Decimal(10), 2)  # fmt: skip
    assert any(one.status != "online" for one in known.values())


def test_one_unreadable_row_is_quarantined_with_its_reason_and_the_others_stay() -> None:
    good = {"symbol": "AUSDT", "status": "TRADING", "baseAsset": "A", "quoteAsset": "USDT", "filters": [
        {"filterType": "PRICE_FILTER", "tickSize": "0.1"},
        {"filterType": "LOT_SIZE", "stepSize": "1", "minQty": "0", "maxQty": "5"}]}  # fmt: skip
    zero = good | {"symbol": "BUSDT", "filters": [{"filterType": "PRICE_FILTER", "tickSize": "0"},
                                                  {"filterType": "LOT_SIZE", "stepSize": "1"}]}  # fmt: skip
    body = json.dumps({"symbols": [good, zero, {"symbol": "C"}]}).encode()
    known, quarantined = parse_exchange_info(body, BinanceMarket.SPOT, 1)
    assert list(known) == ["AUSDT"]
    assert known["AUSDT"].min_quantity is None, "zero in a filter means the rule is off"
    assert known["AUSDT"].min_notional is None
    assert len(quarantined) == 2
    with pytest.raises(DecodeError):
        parse_exchange_info(b"<html>", BinanceMarket.SPOT, 1)


def test_recorded_asset_pairs_give_canonical_symbols() -> None:
    known, quarantined = parse_asset_pairs(message("kraken/recorded/http_asset_pairs.json"), 1)
    assert quarantined == []
    assert known["BTC/USDT"].tick == Decimal("0.1")
    assert known["BTC/USDT"].lot == Decimal("0.00000001")
    with pytest.raises(DecodeError, match="EGeneral"):
        parse_asset_pairs(b'{"error":["EGeneral:Internal error"]}', 1)


def test_symbols_are_canonical_or_refused() -> None:
    assert canonical_symbol("XBT/XDG") == "BTC/DOGE"
    assert split_symbol("RUNEEUR") == ("RUNE", "EUR")
    for bad in ("XBTUSD", "/USD", "A/B/C"):
        with pytest.raises(UnknownSymbol):
            canonical_symbol(bad)
    with pytest.raises(UnknownSymbol):
        split_symbol("USDT")
