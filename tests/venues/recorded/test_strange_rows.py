"""Rows of accounts, changed: a problem that is told, or a state that makes sense; no crash, no money."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import shape_examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shape_rules import ODD, changed, document_text, places, written

from tradewind.venues.binance import private_messages as binance_messages
from tradewind.venues.binance import rows as binance_rows
from tradewind.venues.binance.decoder import BinanceDecoder
from tradewind.venues.binance.directory import Directory as BinanceDirectory
from tradewind.venues.binance.wire import SPOT_WIRE
from tradewind.venues.feeds.decoding import UNREADABLE, Received
from tradewind.venues.kraken import rows as kraken_rows
from tradewind.venues.kraken.account import Mirror as KrakenMirror
from tradewind.venues.kraken.decoder import KrakenDecoder
from tradewind.venues.kraken.decoder_v1 import KrakenV1Decoder
from tradewind.venues.kraken.directory import Directory as KrakenDirectory
from tradewind.venues.kraken.private_messages import BalanceRow, Execution
from tradewind.venues.market_data import DecodeError, FeedError, Instrument
from tradewind.venues.polymarket import messages as polymarket_messages
from tradewind.venues.polymarket.directory import Directory as PolymarketDirectory
from tradewind.venues.polymarket.intents import IntentBook
from tradewind.venues.polymarket.mirror import Mirror as PolymarketMirror
from tradewind.venues.protocol import BalanceEvent, FillEvent, FundsEvent, OrderPhase
from tradewind.venues.transport.account_mirror import Unmapped

AT = Received(1_700_000_000_000_000_000, 5, 1)
TOLD = (FeedError, polymarket_messages.Unmapped)
"""How a row is refused; `Unmapped` and `DecodeError` of the connectors are among them."""
CALM = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
WORDS_NOW = ("frozen", "", "FILLED ", "filled?", "NaN")


def drawn(document: Any, data: st.DataObject) -> bytes:
    """A message with one to three places changed."""
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(list(places(document))))
        how = data.draw(st.sampled_from(["drop", "add", "replace"]))
        document = changed(document, path, how, data.draw(st.sampled_from(ODD)))
    return written(document)


def sensible(state: Any) -> None:
    assert state.price_ticks >= 0 and state.filled_lots >= 0 and state.lots >= 0
    assert isinstance(state.phase, OrderPhase)


def sensible_events(events: list[Any]) -> None:
    for event in events:
        if isinstance(event, BalanceEvent):
            assert event.free.is_finite() and event.held.is_finite()
        elif isinstance(event, FundsEvent):
            assert event.amount.is_finite()
        elif isinstance(event, FillEvent):
            assert event.fee.is_finite() and event.lots >= 0 and event.price_ticks >= 0


# ---- Kraken ------------------------------------------------------------------------------------------------


def kraken_directory() -> KrakenDirectory:
    pair = {
        "altname": "XBTUSD", "wsname": "XBT/USD", "base": "XXBT", "quote": "ZUSD", "pair_decimals": 1,
        "lot_decimals": 8, "ordermin": "0.00005", "costmin": "0.5", "tick_size": "0.1", "status": "online",
    }  # fmt: skip
    assets = {"XXBT": {"altname": "XBT", "decimals": 10}, "ZUSD": {"altname": "USD", "decimals": 4}}
    return KrakenDirectory.parse(
        json.dumps({"error": [], "result": assets}).encode(),
        json.dumps({"error": [], "result": {"XXBTZUSD": pair}}).encode(),
        0,
    )


def rows_of(name: str, of: str) -> dict[str, Any]:
    rows: dict[str, Any] = document_text(shape_examples.ALL[name])["result"]
    return rows[of] if of else rows


@CALM
@given(data=st.data(), name=st.sampled_from(["OpenOrders:open", "ClosedOrders:closed"]))
def test_a_changed_kraken_order_is_refused_or_makes_sense(data: st.DataObject, name: str) -> None:
    call, of = name.split(":")
    [(key, row)] = rows_of(f"kraken rest {call}", of).items()
    try:
        state = kraken_rows.order_state(key, msgspec.Raw(drawn(row, data)), kraken_directory())
    except TOLD:
        return
    sensible(state)


@CALM
@given(data=st.data())
def test_a_changed_kraken_execution_is_refused_or_makes_sense(data: st.DataObject) -> None:
    [(key, row)] = rows_of("kraken rest TradesHistory", "trades").items()
    try:
        fact = kraken_rows.trade_fact(key, msgspec.Raw(drawn(row, data)), kraken_directory())
    except TOLD:
        return
    assert fact.fee.is_finite() and fact.lots >= 0


@CALM
@given(data=st.data())
def test_changed_kraken_balances_are_problems_or_amounts(data: st.DataObject) -> None:
    rows = {"ZUSD": {"balance": "1000.25", "hold_trade": "25"}, "XXBT": {"balance": "1", "hold_trade": "0"}}
    try:
        raw = msgspec.json.decode(drawn(rows, data), type=dict[str, msgspec.Raw])
    except UNREADABLE:
        return
    found, _ = kraken_rows.balance_rows(raw, kraken_directory(), 0)
    for one in found:
        assert one.free.is_finite() and one.held.is_finite() and one.free >= 0 and one.held >= 0


@CALM
@given(data=st.data(), name=st.sampled_from(["executions", "balances"]))
def test_a_changed_row_of_krakens_private_channels_is_refused_or_makes_sense(
    data: st.DataObject, name: str
) -> None:
    [row] = document_text(shape_examples.ALL[f"kraken stream {name}"])["data"]
    events: list[Any] = []
    mirror = KrakenMirror("kraken", "trader", events.append)
    mirror.directory = kraken_directory()
    body = drawn(row, data)
    try:
        if name == "executions":
            mirror.execution(msgspec.json.decode(body, type=Execution))
        else:
            mirror.balance(msgspec.json.decode(body, type=BalanceRow))
    except (*TOLD, *UNREADABLE):
        return
    sensible_events(events)


# ---- Binance -----------------------------------------------------------------------------------------------


class Anything(dict[str, Instrument]):
    """Every name is listed, in steps fine enough for every number."""

    def __missing__(self, name: str) -> Instrument:
        return instrument(f"{name}/X", name)


class AnyDirectory:
    wire = SPOT_WIRE
    instruments = Anything()

    def symbol_of(self, name: str) -> str:
        return name

    def tradable(self, name: str) -> bool:
        return True


ANY: Any = AnyDirectory()


def instrument(symbol: str, venue_symbol: str) -> Instrument:
    return Instrument(
        venue="test", symbol=symbol, venue_symbol=venue_symbol, base=symbol.partition("/")[0],
        quote=symbol.partition("/")[2], tick=Decimal("1E-8"), lot=Decimal("1E-8"), price_decimals=8,
        quantity_decimals=8, source="test",
    )  # fmt: skip


@CALM
@given(data=st.data())
def test_a_changed_binance_order_is_refused_or_makes_sense(data: st.DataObject) -> None:
    [row] = document_text(shape_examples.ALL["binance rest orders"])
    try:
        state = binance_rows.decoded_state(msgspec.Raw(drawn(row, data)), ANY)
    except TOLD:
        return
    sensible(state)


@CALM
@given(data=st.data())
def test_a_changed_execution_report_is_refused_or_makes_sense(data: st.DataObject) -> None:
    document = document_text(shape_examples.ALL["binance executionReport"])
    try:
        report = msgspec.json.decode(drawn(document, data), type=binance_messages.ExecutionReport)
        state, fact = binance_rows.report_state(report, ANY), binance_rows.report_fact(report, ANY)
    except (*TOLD, *UNREADABLE):
        return
    sensible(state)
    assert fact is None or (fact.fee.is_finite() and fact.lots >= 0)


@CALM
@given(data=st.data())
def test_changed_binance_balances_are_problems_or_amounts(data: st.DataObject) -> None:
    document = document_text(shape_examples.ALL["binance rest account"])
    try:
        body = msgspec.json.decode(drawn(document, data), type=binance_messages.AccountBody)
    except UNREADABLE:
        return
    found, _ = binance_rows.balance_rows(body, ANY, 0)
    assert all(one.free.is_finite() and one.held.is_finite() for one in found)
    assert all(one.free >= 0 and one.held >= 0 for one in found)


# ---- Polymarket --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def polymarket(tmp_path_factory: pytest.TempPathFactory) -> PolymarketMirror:
    path: Path = tmp_path_factory.mktemp("intents") / "intents"
    market = polymarket_messages.MarketRow(
        condition_id="0x" + "1" * 64, market_slug="rain", minimum_tick_size=Decimal("0.01"),
        minimum_order_size=Decimal(5), neg_risk=False,
        tokens=[polymarket_messages.TokenRow("7132104567", "Yes"), polymarket_messages.TokenRow("2", "No")],
    )  # fmt: skip
    mirror = PolymarketMirror("polymarket", "trader", "0xf4", IntentBook(path), lambda event: None)
    mirror.directory = PolymarketDirectory.of([market], time.time_ns())
    return mirror


@CALM
@given(data=st.data(), name=st.sampled_from(["stream order", "rest open order"]))
def test_a_changed_polymarket_order_is_refused_or_makes_sense(
    polymarket: PolymarketMirror, data: st.DataObject, name: str
) -> None:
    document = document_text(shape_examples.ALL[f"polymarket {name}"])
    body = drawn(document, data)
    try:
        row = msgspec.json.decode(body, type=polymarket_messages.OrderRow, strict=False)
        state = polymarket.state_of(row, 1)
    except (*TOLD, *UNREADABLE):
        return
    assert isinstance(state.phase, OrderPhase)


@CALM
@given(data=st.data(), name=st.sampled_from(["stream trade", "rest trade"]))
def test_a_changed_polymarket_trade_is_refused_or_makes_sense(
    polymarket: PolymarketMirror, data: st.DataObject, name: str
) -> None:
    body = drawn(document_text(shape_examples.ALL[f"polymarket {name}"]), data)
    try:
        row = msgspec.json.decode(body, type=polymarket_messages.TradeRow, strict=False)
        found = list(polymarket.executions(row))
    except (*TOLD, *UNREADABLE):
        return
    assert all(one.fee.is_finite() for one in found)


# ---- lists of instruments ----------------------------------------------------------------------------------


def plain_steps(instruments: dict[str, Instrument]) -> None:
    for one in instruments.values():
        assert one.tick.is_finite() and one.lot.is_finite() and one.tick > 0 and one.lot > 0


@CALM
@given(data=st.data())
def test_changed_pairs_of_kraken_are_quarantined_or_make_sense(data: st.DataObject) -> None:
    body = drawn(document_text(shape_examples.ALL["kraken rest AssetPairs"]), data)
    try:
        found = KrakenDirectory.parse(None, body, 0)
    except TOLD:
        return
    plain_steps(found.instruments)


@CALM
@given(data=st.data())
def test_changed_symbols_of_binance_are_quarantined_or_make_sense(data: st.DataObject) -> None:
    document = document_text(shape_examples.ALL["binance rest exchangeInfo"])
    lot = {"filterType": "LOT_SIZE", "minQty": "0.0001", "maxQty": "100", "stepSize": "0.0001"}
    document["symbols"][0]["filters"].append(lot)
    try:
        found = BinanceDirectory.parse(drawn(document, data), 0)
    except TOLD:
        return
    plain_steps(found.instruments)


@CALM
@given(data=st.data())
def test_changed_markets_of_polymarket_are_quarantined_or_make_sense(data: st.DataObject) -> None:
    market = document_text(shape_examples.ALL["polymarket rest market"])
    market["tokens"].append({"token_id": "8", "outcome": "No"})
    body = drawn({"data": [market], "next_cursor": "LTE="}, data)
    try:
        page = msgspec.json.decode(body, type=polymarket_messages.MarketsPage, strict=False)
    except UNREADABLE:
        return
    found = PolymarketDirectory.of(page.data, 0)
    plain_steps({symbol: rules.instrument for symbol, rules in found.by_symbol.items()})
    for rules in found.by_symbol.values():
        assert rules.maker_bps.is_finite() and rules.taker_bps.is_finite()


@pytest.mark.parametrize(
    "field", ["minimum_tick_size", "minimum_order_size", "maker_base_fee", "taker_base_fee"]
)
@pytest.mark.parametrize("text", ["NaN", "sNaN", "Infinity", "-1"])
def test_a_market_with_a_number_that_is_none_is_quarantined(field: str, text: str) -> None:
    market = document_text(shape_examples.ALL["polymarket rest market"])
    market["tokens"].append({"token_id": "8", "outcome": "No"})
    good = msgspec.convert(market, polymarket_messages.MarketRow, strict=False)
    assert len(PolymarketDirectory.of([good], 0).by_symbol) == 2
    bad = msgspec.structs.replace(good, **{field: Decimal(text)})
    found = PolymarketDirectory.of([bad], 0)
    assert not found.by_symbol and len(found.quarantined) == 1


# ---- words and nesting -------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", WORDS_NOW)
def test_an_order_whose_status_is_not_known_has_no_state(polymarket: PolymarketMirror, word: str) -> None:
    [(key, row)] = rows_of("kraken rest OpenOrders", "open").items()
    with pytest.raises(Unmapped):
        kraken_rows.order_state(key, msgspec.Raw(written({**row, "status": word})), kraken_directory())
    [order] = document_text(shape_examples.ALL["binance rest orders"])
    with pytest.raises(Unmapped):
        binance_rows.decoded_state(msgspec.Raw(written({**order, "status": word})), ANY)
    event = {**document_text(shape_examples.ALL["polymarket stream order"]), "status": word}
    with pytest.raises(polymarket_messages.Unmapped):
        polymarket.state_of(msgspec.convert(event, polymarket_messages.OrderRow, strict=False), 1)


DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize("deep", [DEEP, b"[" * 100_000])
def test_a_frame_that_is_nested_without_end_crashes_no_decoder(deep: bytes) -> None:
    one = instrument("BTC/USD", "BTC/USD")
    for decoder, frame in (
        (KrakenDecoder([one]), b'{"channel":"trade","type":"update","x":' + deep + b',"data":[]}'),
        (KrakenDecoder([one]), b'{"channel":"book","type":"update","x":' + deep + b',"data":[]}'),
        (KrakenV1Decoder([one]), deep),
        (BinanceDecoder([one]), b'{"stream":"x@depth","data":' + deep + b"}"),
        (BinanceDecoder([one]), b'{"stream":"x@trade","data":{"e":"trade","x":' + deep + b"}}"),
    ):
        try:
            assert decoder.decode(frame, AT) == []
        except DecodeError:
            assert decoder.counters.errors.total() == 1
