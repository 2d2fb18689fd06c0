"""Every Kraken message that was recorded decodes without loss: each value is carried or named as left out."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tradewind.venues.feeds.decoding import Received
from tradewind.venues.kraken import messages as public
from tradewind.venues.kraken import private_messages as private
from tradewind.venues.kraken.decoder import KrakenDecoder
from tradewind.venues.kraken.decoder_v1 import KrakenV1Decoder
from tradewind.venues.kraken.directory import Directory, PairRow
from tradewind.venues.kraken.rows import order_state, trade_fact
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import OrderPhase

MESSAGES = Path(__file__).resolve().parents[4] / "shared" / "data" / "venue-messages" / "kraken"
FILES = sorted(MESSAGES.glob("*/*.json")) if MESSAGES.is_dir() else []
needs_data = pytest.mark.skipif(not FILES, reason="the recorded messages are not here")
RECEIVED = Received(recv_ts_ns=1, recv_mono_ns=1, epoch=1)

TYPED: dict[str, tuple[type, tuple[str, ...], set[str]]] = {
    # file -> the struct, the way to one value of it, and the fields that we leave out on purpose
    "http_add_order_spot": (private.AddOrderResult, ("result",), {"descr"}),
    "http_cancel_order_spot": (private.CountResult, ("result",), set()),
    "http_system_status": (private.SystemStatus, ("result",), set()),
    "ws_book_snapshot": (public.BookMessage, (), {"channel"}),
    "ws_book_update": (public.BookMessage, (), {"channel"}),
    "ws_ticker_snapshot": (
        public.TickerMessage, (),
        {"channel", "last", "volume", "vwap", "low", "high", "change", "change_pct"},
    ),
    "ws_trade_update": (public.TradeMessage, (), {"channel"}),
    "ws_pong": (private.Pong, (), {"method"}),
}  # fmt: skip
ORDER_LEFT_OUT = {"refid", "starttm", "expiretm", "price", "stopprice", "misc"}
DESCRIPTION_LEFT_OUT = {"leverage", "order", "close"}
TRADE_LEFT_OUT = {"postxid", "margin", "misc", "ledgers"}
PAIR_LEFT_OUT = {
    "aclass_base", "aclass_quote", "lot", "leverage_buy", "leverage_sell", "fee_volume_currency",
    "margin_call", "margin_stop", "long_position_limit", "short_position_limit", "execution_venue",
}  # fmt: skip
CARRIED_IN_OUR_REQUESTS = {
    "ws_add_order_request", "ws_amend_order_request", "ws_batch_add_request", "ws_cancel_order_request",
}  # fmt: skip


def exact(body: bytes) -> Any:
    """JSON with numbers as they were written."""
    return json.loads(body, parse_float=Decimal, parse_int=int)


def differences(value: Any, source: Any, left_out: set[str], path: str = "") -> list[str]:
    """Where a decoded value says less, or something else, than its source."""
    if isinstance(value, msgspec.Raw):
        return []
    if isinstance(value, msgspec.Struct):
        fields = {one.encode_name: one.name for one in msgspec.structs.fields(type(value))}
        found = []
        for name, part in source.items():
            if name not in fields:
                found += [] if name in left_out else [f"{path}.{name} is lost"]
            else:
                found += differences(getattr(value, fields[name]), part, left_out, f"{path}.{name}")
        return found
    if isinstance(value, list | tuple):
        pairs = enumerate(zip(value, source, strict=True))
        return [one for n, (a, b) in pairs for one in differences(a, b, left_out, f"{path}[{n}]")]
    same = Decimal(str(source)) == value if isinstance(value, Decimal) else value == source
    return [] if same else [f"{path}: {value!r} is not {source!r}"]


@needs_data
@pytest.mark.parametrize("name", sorted(TYPED))
def test_a_typed_message_carries_every_value_to_the_last_digit(name: str) -> None:
    kind, way, left_out = TYPED[name]
    body = next(one for one in FILES if one.stem == name).read_bytes()
    source = exact(body)
    for step in way:
        source = source[step]
        body = msgspec.json.decode(body, type=dict[str, msgspec.Raw])[step]
    assert differences(msgspec.json.decode(body, type=kind), source, left_out) == []


@needs_data
def test_order_rows_carry_every_value_and_become_orders() -> None:
    body = (MESSAGES / "examples" / "http_open_orders.json").read_bytes()
    source = exact(body)["result"]["open"]
    answer = msgspec.json.decode(body, type=private.Envelope)
    rows = msgspec.json.decode(answer.result, type=private.OpenOrders).open
    assert set(rows) == set(source)
    for venue_id, raw in rows.items():
        row = msgspec.json.decode(raw, type=private.OrderRow)
        assert differences(row, source[venue_id], ORDER_LEFT_OUT | DESCRIPTION_LEFT_OUT) == []
    directory = both_pairs()
    state = order_state("O26VBY-ISGAE-JP5TLU", rows["O26VBY-ISGAE-JP5TLU"], directory)
    assert (state.symbol, state.side, state.phase) == ("BTC/USDT", Side.BUY, OrderPhase.WORKING)
    assert (state.price_ticks, state.lots, state.filled_lots) == (295_000, 50_000_000, 0)
    assert state.updated_ns == 1_688_583_840_864_800_000
    stop = order_state("OYEQF4-FDE4C-NMUYUI", rows["OYEQF4-FDE4C-NMUYUI"], directory)
    assert (stop.symbol, stop.side, stop.price_ticks) == ("ETH/USDT", Side.SELL, 0)
    assert stop.reason.startswith("stop-loss")


@needs_data
def test_trade_rows_carry_every_value_and_become_executions() -> None:
    body = (MESSAGES / "examples" / "http_trades_history.json").read_bytes()
    source = exact(body)["result"]["trades"]
    answer = msgspec.json.decode(body, type=private.Envelope)
    history = msgspec.json.decode(answer.result, type=private.TradesHistory)
    assert history.count == len(history.trades) == len(source)
    for trade_id, raw in history.trades.items():
        assert (
            differences(msgspec.json.decode(raw, type=private.TradeRow), source[trade_id], TRADE_LEFT_OUT)
            == []
        )
    fact = trade_fact("TCCCTY-WJ6EO-4FP4VZ", history.trades["TCCCTY-WJ6EO-4FP4VZ"], both_pairs())
    assert (fact.symbol, fact.price_ticks, fact.lots, fact.fee) == (
        "BTC/USDT", 295_005, 50_000_000, Decimal("23.60"),
    )  # fmt: skip
    assert (fact.maker, fact.order_id, fact.time_ns) == (
        True,
        "O26VBY-ISGAE-JP5TLU",
        1_688_585_840_892_100_000,
    )


@needs_data
def test_the_simple_balance_decodes_exactly() -> None:
    body = (MESSAGES / "examples" / "http_spot_balance.json").read_bytes()
    answer = msgspec.json.decode(body, type=private.Envelope)
    rows = msgspec.json.decode(answer.result, type=dict[str, Decimal])
    assert rows == {key: Decimal(one) for key, one in exact(body)["result"].items()}


@needs_data
@pytest.mark.parametrize("name", ["http_asset_pairs", "rest_asset_pairs_2021-04-17"])
def test_every_pair_is_mapped_or_quarantined_and_names_are_a_bijection(name: str) -> None:
    body = (MESSAGES / "recorded" / f"{name}.json").read_bytes()
    directory = Directory.parse(None, body, 1)
    rows = exact(body)["result"]
    assert len(directory.instruments) + len(directory.quarantined) == len(rows)
    assert len(directory.quarantined) <= len(rows) // 10
    for key, row in rows.items():
        if f"pair {key}:" in "".join(directory.quarantined):
            continue
        symbol = directory.symbol_of(key)
        assert directory.symbol_of(row["altname"]) == directory.symbol_of(row["wsname"]) == symbol
        assert directory.symbol_of(symbol) == symbol
        assert directory.symbol_of(directory.rest_names[symbol]) == symbol
        decoded = msgspec.json.decode(json.dumps(row, default=str), type=PairRow)
        assert differences(decoded, json.loads(json.dumps(row, default=str)), PAIR_LEFT_OUT) == []
    symbols = list(directory.instruments)
    assert len({directory.rest_names[one] for one in symbols}) == len(symbols)


@needs_data
@pytest.mark.parametrize("name", ["ws_add_order_response_success", "ws_subscribe_response"])
def test_method_answers_carry_their_result(name: str) -> None:
    body = (MESSAGES / "examples" / f"{name}.json").read_bytes()
    source = exact(body)
    answer = msgspec.json.decode(body, type=private.MethodAnswer)
    assert differences(answer, source, set()) == []
    assert exact(bytes(answer.result)) == source["result"]
    if name == "ws_add_order_response_success":
        result = msgspec.json.decode(answer.result, type=private.OrderResult)
        assert (result.order_id, result.cl_ord_id) == ("OABCDE-12345-FGHIJ", "O-20260505-000001")


@needs_data
@pytest.mark.parametrize("path", FILES, ids=lambda one: one.stem)
def test_no_recorded_message_crashes_a_decoder_and_every_number_survives(path: Path) -> None:
    body = path.read_bytes()
    frame = json.dumps(exact(body), default=str).encode()
    pairs = MESSAGES / "recorded" / "http_asset_pairs.json"
    instruments = Directory.parse(None, pairs.read_bytes(), 1).instruments.values()
    for decoder in (KrakenDecoder(instruments), KrakenV1Decoder()):
        try:
            decoder.decode(frame, RECEIVED)
        except Exception as error:
            assert type(error).__name__ == "DecodeError", error
    numbers = [one for one in walk(exact(body)) if isinstance(one, Decimal)]
    exact_again = msgspec.json.Decoder(Any, float_hook=Decimal).decode(body)
    assert [one for one in walk(exact_again) if isinstance(one, Decimal)] == numbers


@needs_data
def test_what_we_send_has_the_shape_of_the_recorded_requests() -> None:
    assert {one.stem for one in FILES} >= CARRIED_IN_OUR_REQUESTS
    from tradewind.venues.kraken import encode
    from tradewind.venues.protocol import NewOrder

    instrument = both_pairs().instruments["BTC/USDT"]
    order = NewOrder(
        client_id="tw0123456789abcdef", symbol="BTC/USDT", side=Side.BUY, price_ticks=300_000, lots=1_000_000,
        post_only=True,
    )  # fmt: skip
    ours = exact(encode.method("add_order", 42, encode.add_order(order, instrument, 3 * 10**18, "TOKEN")))
    theirs = exact((MESSAGES / "examples" / "ws_add_order_request.json").read_bytes())
    assert set(theirs["params"]) <= set(ours["params"])
    assert {type(ours["params"][one]) for one in ("order_qty", "limit_price")} == {Decimal}
    assert (ours["params"]["order_qty"], ours["params"]["limit_price"]) == (Decimal("0.01"), Decimal(30_000))


def both_pairs() -> Directory:
    """BTC/USDT as recorded, and ETH/USDT made after it."""
    body = exact((MESSAGES / "recorded" / "http_asset_pairs.json").read_bytes())
    second = dict(
        body["result"]["XBTUSDT"], altname="ETHUSDT", wsname="ETH/USDT", base="XETH", pair_decimals=2
    )
    second.pop("tick_size", None)
    body["result"]["ETHUSDT"] = second
    return Directory.parse(None, json.dumps(body, default=str).encode(), 1)


def walk(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [one for part in value.values() for one in walk(part)]
    if isinstance(value, list):
        return [one for part in value for one in walk(part)]
    return [value]
