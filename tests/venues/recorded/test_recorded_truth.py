"""Every recorded message and capture through our decoders: nothing is lost, and nothing strange becomes risk.

What trading reads is registered in `TAKERS`; that every message is read in full, whether we trade by it or
not, is shown in `test_whole_messages.py`. The data lies beside the repository (`TRADEWIND_SHARED` names
another place); without it these tests are skipped.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tradewind.venues.binance import private_messages as binance_private
from tradewind.venues.binance import rows as binance_rows
from tradewind.venues.binance.decoder import BinanceDecoder
from tradewind.venues.binance.directory import Directory as BinanceDirectory
from tradewind.venues.binance.instruments import BinanceMarket, parse_exchange_info
from tradewind.venues.binance.wire import SPOT_WIRE
from tradewind.venues.binance_usdm import private_messages as usdm_private
from tradewind.venues.binance_usdm.account import UsdmMirror
from tradewind.venues.binance_usdm.user_stream import StreamAnswer
from tradewind.venues.binance_usdm.wire import USDM_WIRE
from tradewind.venues.feeds.captures import CaptureKind, read_capture, sniff_capture
from tradewind.venues.feeds.decoding import Received
from tradewind.venues.feeds.recorded import RecordedFeed
from tradewind.venues.history import binance as binance_history
from tradewind.venues.history import kraken as kraken_history
from tradewind.venues.history.model import HistoryError
from tradewind.venues.kraken import private_messages as private
from tradewind.venues.kraken.decoder import KrakenDecoder
from tradewind.venues.kraken.decoder_v1 import KrakenV1Decoder
from tradewind.venues.kraken.directory import Directory
from tradewind.venues.kraken.instruments import parse_asset_pairs
from tradewind.venues.kraken.rows import balance_rows, order_state, trade_fact
from tradewind.venues.market_data import (
    BookDelta,
    BookSnapshot,
    BookState,
    FeedError,
    Instrument,
    MarkPrice,
    Side,
    TopOfBook,
    TradePrint,
)
from tradewind.venues.protocol import OrderPhase

BESIDE = Path(__file__).resolve().parents[4] / "shared"
DATA = Path(os.environ.get("TRADEWIND_SHARED", BESIDE)) / "data"
MESSAGES, CAPTURES = DATA / "venue-messages", DATA / "captures"
pytestmark = pytest.mark.skipif(not MESSAGES.is_dir(), reason="no recorded data beside the repository")

FINE = Decimal("1E-11")
AT = Received(1_700_000_000_000_000_000, 5, 1)
EXPECTED_FAILURES = (FeedError, HistoryError)
"""What a decoder may raise; `DecodeError` is a `FeedError`."""


def instrument(symbol: str, venue_symbol: str | None = None) -> Instrument:
    """Steps so fine that every recorded number fits, whatever the venue's rules were on that day."""
    base, _, quote = symbol.partition("/")
    return Instrument(
        venue="test", symbol=symbol, venue_symbol=venue_symbol or symbol, base=base, quote=quote, tick=FINE,
        lot=FINE, price_decimals=12, quantity_decimals=12, source="test",
    )  # fmt: skip


# ---- takers: body -> what was decoded; raise DecodeError or another FeedError ------------------------------


def kraken_v2(body: bytes) -> Any:
    decoder = KrakenDecoder([instrument(name) for name in ("BTC/USD", "ETH/USD", "ALGO/USD", "MATIC/USD")])
    return decoder.decode(body, AT)


def kraken_v1(body: bytes) -> Any:
    pairs = ("ADA/BTC", "BTC/CHF", "ETH/CHF", "XMR/USD", "WAVES/EUR", "SC/EUR")
    return KrakenV1Decoder([instrument(name) for name in pairs]).decode(body, AT)


def binance(market: BinanceMarket) -> Callable[[bytes], Any]:
    def take(body: bytes) -> Any:
        names = ("BTCUSDT", "BNBUSDT", "ETHBTC", "ETHUSDT", "NKNUSDT", "BLZETH", "LRCBTC", "RUNEEUR")
        return BinanceDecoder([instrument(f"{name}/X", name) for name in names], market).decode(body, AT)

    return take


def binance_depth(body: bytes) -> Any:
    return BinanceDecoder([instrument("BTC/USDT", "BTCUSDT")]).decode_snapshot(body, "BTCUSDT", AT)


def rows_as(row: Callable[[Any], Any]) -> Callable[[bytes], Any]:
    def take(body: bytes) -> Any:
        rows = kraken_history.parse(body)
        if not isinstance(rows, list):
            raise HistoryError("BAD_ANSWER", "no rows")
        return [row(one) for one in rows]

    return take


def typed(kind: Any) -> Callable[[bytes], Any]:
    """A REST answer as the Kraken connector reads it: the envelope, then the result."""

    def take(body: bytes) -> Any:
        try:
            envelope = msgspec.json.decode(body, type=private.Envelope)
            return msgspec.json.decode(envelope.result, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise FeedError(str(error)) from error

    return take


def plain(kind: Any) -> Callable[[bytes], Any]:
    def take(body: bytes) -> Any:
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise FeedError(str(error)) from error

    return take


def directory() -> Directory:
    """The pairs that the recorded rows name."""
    common = {"pair_decimals": 2, "lot_decimals": 8, "quote": "USDT", "status": "online",
              "ordermin": "0.0001", "costmin": "0.5", "tick_size": "0.01"}  # fmt: skip
    pairs = {
        f"{alt}USDT": {"altname": f"{alt}USDT", "wsname": f"{alt}/USDT", "base": base, **common}
        for alt, base in (("XBT", "XXBT"), ("ETH", "XETH"))
    }  # fmt: skip
    return Directory.parse(None, json.dumps({"error": [], "result": pairs}).encode(), 0)


def open_orders(body: bytes) -> Any:
    rows = typed(private.OpenOrders)(body).open
    return [order_state(key, raw, directory()) for key, raw in rows.items()]


def trades_history(body: bytes) -> Any:
    rows = typed(private.TradesHistory)(body).trades
    return [trade_fact(key, raw, directory()) for key, raw in rows.items()]


class AnySymbol(dict[str, Instrument]):
    """Every name is listed."""

    def __missing__(self, name: str) -> Instrument:
        return instrument("X/Y", name)


class AnyDirectory:
    """A directory of the Binance connector in which every symbol and asset is known, in steps fine enough."""

    instruments = AnySymbol()
    wire = SPOT_WIRE

    def symbol_of(self, name: str) -> str:
        return name

    def asset_of(self, name: str) -> str:
        return name

    def tradable(self, name: str) -> bool:
        return True


class AnyUsdm(AnyDirectory):
    """The same in USD-M's words."""

    wire = USDM_WIRE


ANY: Any = AnyDirectory()
ANY_USDM: Any = AnyUsdm()


def user_event(body: bytes) -> Any:
    """An event as the account stream reads it, bare or in one of its wrappings."""
    frame = plain(binance_private.SocketFrame)(body)
    wrapped = next((raw for raw in (frame.event, frame.data) if bytes(raw) not in (b"", b"null")), None)
    raw = body if wrapped is None else bytes(wrapped)
    kind = binance_private.EVENT_TYPES.get(plain(binance_private.EventHeader)(raw).e)
    if kind is None:
        raise FeedError("an event that is not known")
    event = plain(kind)(raw)
    if isinstance(event, binance_private.ExecutionReport):
        return [binance_rows.report_state(event, ANY), binance_rows.report_fact(event, ANY)]
    return event


def order_row(body: bytes) -> Any:
    return binance_rows.decoded_state(msgspec.Raw(body), ANY)


def order_list(body: bytes) -> Any:
    return [order_row(bytes(raw)) for raw in plain(list[msgspec.Raw])(body)]


def usdm_event(body: bytes) -> Any:
    """An event of a USD-M account, bare or wrapped."""
    head = plain(StreamAnswer)(body)
    raw = bytes(head.data) or body
    kind = usdm_private.EVENT_TYPES.get(plain(binance_private.EventHeader)(raw).e)
    if kind is None:
        raise FeedError("an event that is not known")
    event = plain(kind)(raw)
    if not isinstance(event, usdm_private.OrderTradeUpdate):
        return event
    state = binance_rows.reported_state(event.o, ANY_USDM, client_id=event.o.c)
    return [state, binance_rows.report_fact(event.o, ANY_USDM)]


def usdm_order(body: bytes) -> Any:
    return binance_rows.decoded_state(msgspec.Raw(body), ANY_USDM)


def usdm_positions(body: bytes) -> Any:
    mirror = UsdmMirror("binance-usdm", "main", lambda event: None, ANY_USDM)
    return [mirror.read(one, 1) for one in plain(list[usdm_private.PositionRisk])(body)]


def account(body: bytes) -> Any:
    return binance_rows.balance_rows(plain(binance_private.AccountBody)(body), ANY, 0)


TAKERS: dict[str, Callable[[bytes], Any]] = {
    r"kraken/.*/ws_(book_snapshot|book_update|ticker_snapshot|trade_update)": kraken_v2,
    r"kraken/.*/ws_(pong|subscribe_response|add_order_response_success)": kraken_v2,
    r"kraken/.*/ws_v1_.*": kraken_v1,
    r"kraken/.*/(http_asset_pairs|rest_asset_pairs_.*)": lambda body: parse_asset_pairs(body, 0),
    r"kraken/.*/http_open_orders": open_orders,
    r"kraken/.*/http_trades_history": trades_history,
    r"kraken/.*/http_add_order_spot": typed(private.AddOrderResult),
    r"kraken/.*/http_cancel_order_spot": typed(private.CountResult),
    r"kraken/.*/http_system_status": typed(private.SystemStatus),
    r"binance/.*/(py_)?ws_spot_(aggTrade|bookTicker|depth|kline_1m|trade)": binance(BinanceMarket.SPOT),
    r"binance/.*/ws_usdm_.*": binance(BinanceMarket.USDM),
    r"binance/.*/usdm_ws_(agg_trade|depth_update|kline|liquidation|mark_price|ticker)_.*": binance(
        BinanceMarket.USDM
    ),
    r"binance/.*/py_ws_futures_(book_ticker|depth_update)": binance(BinanceMarket.USDM),
    r"binance/.*/(rest_(spot|usdm)_depth_snapshot|py_http_spot_market_depth)": binance_depth,
    r"binance/.*/spot_http_depth_response": binance_depth,
    r"binance/.*/(py_http_spot_market|rest|spot_http)_exchange_info.*": (
        lambda body: parse_exchange_info(body, BinanceMarket.SPOT, 0)
    ),
    r"binance/.*/py_http_futures_market_exchange_info": (
        lambda body: parse_exchange_info(body, BinanceMarket.USDM, 0)
    ),
    r"binance/.*/(spot_user_.*|py_ws_spot_execution_report_.*)": user_event,
    r"binance/.*/spot_http_(order|new_order_full|cancel_order)_response": order_row,
    r"binance/.*/spot_http_all_orders_response": order_list,
    r"binance/.*/(spot_http_account_response|py_http_spot_wallet_account)": account,
    r"binance/.*/(usdm_user|py_ws_futures)_(order|account|algo|trade_lite).*": usdm_event,
    r"binance/.*/usdm_http_order_response": usdm_order,
    r"binance/.*/py_http_futures_account_orders": lambda body: [
        usdm_order(bytes(raw)) for raw in plain(list[msgspec.Raw])(body)
    ],
    r"binance/.*/usdm_http_position_risk": usdm_positions,
    r"binance/.*/py_http_futures_wallet_commission_rate.*": plain(usdm_private.CommissionRate),
    r"binance/.*/(spot_http_server_time_response|py_http_spot_market_time)": plain(
        binance_private.ServerTime
    ),
    r"binance/.*/py_http_(spot|futures)_market_klines": rows_as(binance_history.candle_row),
    r"binance/.*/py_http_futures_market_agg_trades": rows_as(binance_history.aggregate_row),
}
EMPTY = r"pong|subscri|response|heartbeat|system_status|kline|liquidation|ticker_stream"
"""Messages without a market event in them, that are counted and left."""


def names() -> list[str]:
    found = MESSAGES.rglob("*.json") if MESSAGES.is_dir() else ()
    return sorted(str(path.relative_to(MESSAGES).with_suffix("")) for path in found)


def taker_of(name: str) -> Callable[[bytes], Any] | None:
    found = [take for pattern, take in TAKERS.items() if re.fullmatch(pattern, name)]
    assert len(found) <= 1, name
    return found[0] if found else None


TAKEN = [name for name in names() if taker_of(name) is not None]


@pytest.mark.parametrize("name", TAKEN)
def test_every_message_is_taken(name: str) -> None:
    take = taker_of(name)
    assert take is not None
    found = take((MESSAGES / f"{name}.json").read_bytes())
    assert found is not None
    assert found != [] or re.search(EMPTY, name), "nothing was decoded"


# ---- nothing is lost ---------------------------------------------------------------------------------------


def levels_of(rows: Any) -> list[tuple[Decimal, Decimal]]:
    if rows and isinstance(rows[0], dict):
        return [(Decimal(row["price"]), Decimal(row["qty"])) for row in rows]
    return [(Decimal(row[0]), Decimal(row[1])) for row in rows]


def told(decoded: Any, one: Instrument) -> Any:
    """A decoded event in decimals."""

    def levels(rows: Any) -> list[tuple[Decimal, Decimal]]:
        return [(one.tick * price, one.lot * lots) for price, lots in rows]

    if isinstance(decoded, BookSnapshot | BookDelta):
        return ["book", levels(decoded.bids), levels(decoded.asks)]
    if isinstance(decoded, TradePrint):
        return [
            "trade",
            one.tick * decoded.price_ticks,
            one.lot * decoded.quantity_lots,
            decoded.aggressor_side,
        ]
    if isinstance(decoded, MarkPrice):
        return ["mark", decoded.mark, decoded.index, decoded.funding_rate]
    assert isinstance(decoded, TopOfBook)
    return ["top", one.tick * decoded.bid_ticks, one.lot * decoded.bid_lots,
            one.tick * decoded.ask_ticks, one.lot * decoded.ask_lots]  # fmt: skip


def test_positions_of_hedge_mode_are_refused_and_never_added_up() -> None:
    body = (MESSAGES / "binance/examples/py_http_futures_account_positions_hedge.json").read_bytes()
    with pytest.raises(FeedError, match="hedge"):
        usdm_positions(body)


def test_a_futures_listing_names_perpetuals_alone_and_knows_every_filter() -> None:
    body = (MESSAGES / "binance/examples/py_http_futures_market_exchange_info.json").read_bytes()
    found = BinanceDirectory.parse(body, 1, USDM_WIRE)
    rows = json.loads(body)["symbols"]
    assert set(found.instruments) == {
        f"{row['baseAsset']}/{row['quoteAsset']}-PERP" for row in rows if row["contractType"] == "PERPETUAL"
    }
    assert sum(found.left_out.values()) + len(found.instruments) == len(rows)
    assert found.quarantined == [] and found.unknown_filters == {}
    assert all(one.post_only for one in found.rules.values())


def read_plainly(frame: dict[str, Any]) -> Any:
    """What a Binance frame says, read without our code; None for what we do not use."""
    data = frame.get("data", frame)
    if "lastUpdateId" in data:
        return ["book", levels_of(data["bids"]), levels_of(data["asks"])]
    if data.get("e") == "depthUpdate":
        return ["book", levels_of(data["b"]), levels_of(data["a"])]
    if data.get("e") in ("trade", "aggTrade"):
        side = Side.SELL if data["m"] else Side.BUY
        return ["trade", Decimal(data["p"]), Decimal(data["q"]), side]
    if data.get("e") == "markPriceUpdate":
        return ["mark", *(Decimal(data[key]) for key in ("p", "i", "r"))]
    if "B" in data and "A" in data:
        return ["top", *(Decimal(data[key]) for key in ("b", "B", "a", "A"))]
    return None


BINANCE_CAPTURES = [
    "binance-spot-btcusdt-2024-08-08.gz", "binance-spot-btcusdt-2024-08-09.gz",
    "binance-usdm-btcusdt-2024-08-08.gz", "binance-spot-4pairs-2021-10-12.ws.txt.gz",
]  # fmt: skip
EVERY_FRAMES = 7
"""Of the large captures each seventh frame is compared number by number; all of them are decoded."""


@pytest.mark.parametrize("name", BINANCE_CAPTURES)
def test_a_binance_capture_is_decoded_number_by_number(name: str) -> None:
    path = CAPTURES / name
    market = BinanceMarket.USDM if sniff_capture(path) is CaptureKind.BINANCE_USDM else BinanceMarket.SPOT
    known = {symbol: instrument(f"{symbol}/X", symbol)
             for symbol in ("BTCUSDT", "NKNUSDT", "BLZETH", "LRCBTC", "RUNEEUR")}  # fmt: skip
    if "btcusdt" in name:
        known = {"BTCUSDT": known["BTCUSDT"]}
    decoder = BinanceDecoder(known.values(), market)
    by_symbol = {one.symbol: one for one in known.values()}
    compared = 0
    for number, captured in enumerate(read_capture(path)):
        if captured.rest_symbol is not None:
            events: list[Any] = [decoder.decode_snapshot(captured.frame, captured.rest_symbol, AT)]
        else:
            events = decoder.decode(captured.frame, AT)
        if number % EVERY_FRAMES and "4pairs" not in name:
            continue
        expected = read_plainly(json.loads(captured.frame))
        assert [told(one, by_symbol[one.symbol]) for one in events] == (
            [] if expected is None else [expected]
        )
        compared += len(events)
    assert compared > 250
    assert decoder.counters.errors.total() == decoder.counters.unknown_values.total() == 0


def plain_v1(frame: Any) -> Any:
    """What a Kraken v1 frame says: a list of events."""
    channel = frame[-2].partition("-")[0]
    if channel == "trade":
        side = {"b": Side.BUY, "s": Side.SELL}
        return [["trade", Decimal(row[0]), Decimal(row[1]), side[row[3]]] for row in frame[1]]
    if channel == "ticker":
        bid, ask = frame[1]["b"], frame[1]["a"]
        return [["top", Decimal(bid[0]), Decimal(bid[2]), Decimal(ask[0]), Decimal(ask[2])]]
    parts = frame[1:-2]
    bids = [row for part in parts for row in part.get("bs", part.get("b", []))]
    asks = [row for part in parts for row in part.get("as", part.get("a", []))]
    return [["book", levels_of(bids), levels_of(asks)]]


@pytest.mark.parametrize("name", ["trade", "ticker", "book1000-5pairs"])
def test_a_kraken_capture_is_decoded_number_by_number(name: str) -> None:
    decoder, events = KrakenV1Decoder(), 0
    for captured in read_capture(CAPTURES / f"kraken-spot-v1-{name}-2021-04-17.ws.txt.gz"):
        decoded = decoder.decode(captured.frame, AT)
        frame = json.loads(captured.frame)
        expected = plain_v1(frame) if isinstance(frame, list) else []
        assert [told(one, decoder.instruments[one.symbol]) for one in decoded] == expected
        events += len(decoded)
    assert events == {"trade": 10, "ticker": 18, "book1000-5pairs": 2_380}[name]
    assert decoder.counters.errors.total() == decoder.counters.unknown_values.total() == 0


@pytest.mark.parametrize("name", [*BINANCE_CAPTURES, "kraken-spot-v1-book1000-5pairs-2021-04-17.ws.txt.gz"])
def test_every_book_of_a_capture_is_live_at_its_end_without_a_gap(name: str) -> None:
    before = {"binance-spot-btcusdt-2024-08-09.gz": ["binance-spot-btcusdt-2024-08-08.gz"]}.get(name, [])
    feed = RecordedFeed([CAPTURES / one for one in (*before, name)], speed=None)
    for _ in feed.batches():
        pass
    statistics = feed.statistics()
    assert (statistics.gaps, statistics.checksum_failures, statistics.decode_errors) == (0, 0, 0)
    assert statistics.trade_gaps == 0
    quiet = "4pairs" in name  # thin pairs get stale by their own rhythm; their sequence is intact
    assert quiet or {book.state for book in feed.pipeline.books.values()} == {BookState.LIVE}


def test_the_trades_and_candles_of_kraken_are_read_row_by_row() -> None:
    trades = kraken_history.parse((CAPTURES / "kraken-spot-trades-xbtusdt-2025-11-10.json").read_bytes())
    rows = next(value for key, value in trades["result"].items() if key != "last")
    read = [kraken_history.trade_row(row) for row in rows]
    assert [(row[1], row[2], int(row[4])) for row in read] == [(one[0], one[1], one[6]) for one in rows]
    assert [Decimal(row[0]).scaleb(-9) for row in read] == [one[2] for one in rows], "exact to the ns"
    assert {row[3] for row in read} == {"buy", "sell"}
    candles = kraken_history.parse((CAPTURES / "kraken-spot-ohlc-1m-xbtusdt-2025-11-10.json").read_bytes())
    rows = next(value for key, value in candles["result"].items() if key != "last")
    read = [kraken_history.candle_row(row) for row in rows]
    assert [row[1:6] for row in read] == [(*one[1:5], one[6]) for one in rows]
    assert sum(row[7] == "" for row in read) == 216, "a candle without a trade has no average price"


def test_kraken_bulk_csv_is_what_the_description_says() -> None:
    """Format F has no reader of its own; that it is three plain decimals is all that is relied on."""
    with (CAPTURES / "kraken-spot-trades-bcheur-2023-01-01.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert len(rows) == 148
    assert all(kraken_history.seconds_ns(time) > 0 and Decimal(price) > 0 and Decimal(volume) > 0
               for time, price, volume in rows)  # fmt: skip


# ---- strange messages ----------------------------------------------------------------------------------

ODD = [None, True, -1, 0, 2**70, 0.1, -0.5, 1e300, "", "odd", "-1", "NaN", "Infinity", "1e5", "0x10", "٣",
       "\x00", [], {}, [[]], [1, 2, 3], {"a": 1}, ["1", "2"], [None, None]]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of everything inside a document, itself included."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*path, key))


def changed(document: Any, path: tuple[Any, ...], how: str, odd: Any) -> Any:
    """A copy with one place dropped, renamed, added to, or replaced."""
    copy = json.loads(json.dumps(document))
    if not path:
        return odd if how == "replace" else [copy] if how == "rename" else copy
    parent = copy
    for key in path[:-1]:
        parent = parent[key]
    last = path[-1]
    if how == "drop":
        del parent[last]
    elif how == "rename" and isinstance(parent, dict):
        parent[f"{last}_"] = parent.pop(last)
    elif how == "add":
        if isinstance(parent, dict):
            parent["something_new"] = odd
        else:
            parent.append(odd)
    else:
        parent[last] = odd
    return copy


def bodies_of_changes(name: str, data: st.DataObject) -> bytes:
    document = json.loads((MESSAGES / f"{name}.json").read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        found = list(places(document))[:4_000]
        path = data.draw(st.sampled_from(found))
        how = data.draw(st.sampled_from(["drop", "rename", "add", "replace"]))
        document = changed(document, path, how, data.draw(st.sampled_from(ODD)))
    text = json.dumps(document, separators=(",", ":")).encode()
    return text[: data.draw(st.integers(0, len(text)))] if data.draw(st.integers(0, 9)) == 0 else text


SMALL = [name for name in TAKEN if (MESSAGES / f"{name}.json").stat().st_size < 64_000]


@pytest.mark.parametrize("name", SMALL)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(data=st.data())
def test_a_changed_message_is_a_decode_error_or_a_value_and_nothing_else(
    name: str, data: st.DataObject
) -> None:
    take = taker_of(name)
    assert take is not None
    body = bodies_of_changes(name, data)
    try:
        found = take(body)
    except EXPECTED_FAILURES:
        return
    for one in found if isinstance(found, list) else [found]:
        if isinstance(one, BookSnapshot | BookDelta):
            assert all(price > 0 and lots >= 0 for price, lots in (*one.bids, *one.asks))
        elif isinstance(one, TradePrint):
            assert one.price_ticks > 0
            assert one.quantity_lots >= 0


@given(word=st.text(max_size=20), field=st.sampled_from(["status", "type", "ordertype"]))
@settings(max_examples=60, deadline=None)
def test_an_unknown_word_in_an_order_never_becomes_an_order_state(word: str, field: str) -> None:
    known = {"open", "pending", "closed", "canceled", "expired", "buy", "sell", "limit", "market", "iceberg",
             "stop-loss", "take-profit", "stop-loss-limit", "take-profit-limit", "trailing-stop",
             "trailing-stop-limit", "settle-position"}  # fmt: skip
    document = json.loads((MESSAGES / "kraken/examples/http_open_orders.json").read_bytes())
    [row, *_] = document["result"]["open"].values()
    target = row if field == "status" else row["descr"]
    target[field] = word
    document["result"]["open"] = {"O1": row}
    if word in known:
        return
    with pytest.raises(FeedError):
        open_orders(json.dumps(document).encode())


def test_the_recorded_open_orders_are_working_orders() -> None:
    states = open_orders((MESSAGES / "kraken/examples/http_open_orders.json").read_bytes())
    assert {one.phase for one in states} <= {OrderPhase.WORKING, OrderPhase.PARTIALLY_FILLED}


AMOUNTS = st.dictionaries(st.sampled_from(["balance", "hold_trade", "credit"]), st.text(max_size=8))
STRANGE = st.one_of(st.none(), st.text(max_size=8), st.integers(), st.floats(allow_nan=False), AMOUNTS)


@given(st.dictionaries(st.text(max_size=8), STRANGE, max_size=4))
def test_strange_balances_are_problems_and_never_free_money(rows: dict[str, Any]) -> None:
    raw = {key: msgspec.Raw(msgspec.json.encode(value)) for key, value in rows.items()}
    found, _ = balance_rows(raw, directory(), 0)
    assert all(one.free >= 0 and one.held >= 0 for one in found)


@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_book_whose_update_was_unreadable_is_not_known(data: st.DataObject) -> None:
    """T5.7, on a real capture: after a decode error of its channel the book is suspect until a snapshot."""
    feed = RecordedFeed(CAPTURES / "kraken-spot-v1-book1000-5pairs-2021-04-17.ws.txt.gz", speed=None)
    frames = [one.frame for one in read_capture(feed.paths[0]) if one.frame.startswith(b"[")]
    snapshots = [frame for frame in frames if b'"as":' in frame][:1]
    symbol_text = snapshots[0].rsplit(b'"', 2)[1]
    update = next(one for one in frames if one.endswith(b'"' + symbol_text + b'"]') and b'"as":' not in one)
    out: list[Any] = []
    for frame in snapshots:
        feed.pipeline.process(frame, AT, out)
    [book] = [one for one in feed.pipeline.books.values() if not one.wants_snapshot]
    document = json.loads(update)
    path = data.draw(st.sampled_from([one for one in places(document) if len(one) > 1]))
    body = json.dumps(changed(document, path, "replace", data.draw(st.sampled_from(ODD)))).encode()
    before = feed.pipeline.decoder.counters.errors.total()
    feed.pipeline.process(body, AT, out)
    if feed.pipeline.decoder.counters.errors.total() > before:
        assert book.state is not BookState.LIVE
        assert book.wants_snapshot
