"""Every recorded message of every venue is read in full: each field is kept exactly, or named.

The data lies beside the repository (`TRADEWIND_SHARED` names another place); without it these tests are
skipped. Frames of captures are read too, and no frame of them is of a kind that has no shape.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shape_rules import ODD, SHAPES, changed, check_kept, places, read_or_refused, written

from tradewind.venues.binance.shapes import name_of as binance_name
from tradewind.venues.feeds.captures import read_capture
from tradewind.venues.kraken.shapes import name_of as kraken_name
from tradewind.venues.market_data import DecodeError
from tradewind.venues.polymarket.shapes import name_of as polymarket_name
from tradewind.venues.shapes import document_of, read

BESIDE = Path(__file__).resolve().parents[4] / "shared"
DATA = Path(os.environ.get("TRADEWIND_SHARED", BESIDE)) / "data"
MESSAGES, CAPTURES = DATA / "venue-messages", DATA / "captures"
pytestmark = pytest.mark.skipif(not MESSAGES.is_dir(), reason="no recorded data beside the repository")

CALLS = {
    r"kraken/.*/http_add_order_spot": "kraken rest AddOrder",
    r"kraken/.*/http_cancel_order_spot": "kraken rest CancelOrder",
    r"kraken/.*/http_open_orders": "kraken rest OpenOrders",
    r"kraken/.*/http_spot_balance": "kraken rest Balance",
    r"kraken/.*/http_trades_history": "kraken rest TradesHistory",
    r"kraken/.*/(http_asset_pairs|rest_asset_pairs_.*)": "kraken rest AssetPairs",
    r"kraken/.*/http_order_book": "kraken rest Depth",
    r"kraken/.*/http_server_time": "kraken rest Time",
    r"kraken/.*/http_system_status": "kraken rest SystemStatus",
    r"kraken/.*/http_ticker": "kraken rest Ticker",
    r"kraken/.*/http_futures_fills": "kraken-futures rest fills",
    r"kraken/.*/http_futures_open_orders": "kraken-futures rest openorders",
    r"kraken/.*/http_futures_orderbook": "kraken-futures rest orderbook",
    r"kraken/.*/http_send_order_futures": "kraken-futures rest sendorder",
    r"kraken/.*/http_futures_candles_trade": "kraken-futures rest charts",
    r"kraken/.*/http_futures_instruments": "kraken-futures rest instruments",
    r"binance/.*/(spot_http_depth_response|rest_.*_depth_snapshot|py_http_spot_market_depth)": (
        "binance rest depth"
    ),
    r"binance/.*/(py_http_spot_market|rest|spot_http)_exchange_info.*": "binance rest exchangeInfo",
    r"binance/.*/py_http_futures_market_exchange_info": "binance rest futures exchangeInfo",
    r"binance/.*/py_http_.*_kline(s)?": "binance rest klines",
    r"binance/.*/py_http_futures_market_agg_trades": "binance rest aggTrades",
    r"binance/.*/py_http_(spot|futures)_market_trades": "binance rest trades",
    r"binance/.*_ticker_price(_response)?": "binance rest ticker/price",
    r"binance/.*/spot_http_book_ticker_response": "binance rest ticker/bookTicker",
    r"binance/.*/py_http_futures_market_ticker_24hr": "binance rest ticker/24hr",
    r"binance/.*/py_http_futures_market_open_interest": "binance rest openInterest",
    r"binance/.*/py_http_futures_market_premium_index": "binance rest premiumIndex",
    r"binance/.*_account_ratio": "binance rest longShortRatio",
    r"binance/.*/py_http_futures_market_index_info": "binance rest indexInfo",
    r"binance/.*/(spot_http_server_time_response|py_http_spot_market_time)": "binance rest time",
    r"binance/.*/spot_http_(order|new_order_full|cancel_order)_response": "binance rest order",
    r"binance/.*/spot_http_all_orders_response": "binance rest orders",
    r"binance/.*/(spot_http_account_response|py_http_spot_wallet_account)": "binance rest account",
    r"binance/.*/py_http_wallet_trading_fees": "binance rest tradeFee",
    r"binance/.*/usdm_http_order_response": "binance rest futures order",
    r"binance/.*/py_http_futures_account_orders": "binance rest futures orders",
    r"binance/.*/usdm_http_open_algo_orders": "binance rest futures algo orders",
    r"binance/.*/(py_http_futures_account_positions_hedge|usdm_http_position_risk)": (
        "binance rest futures positionRisk"
    ),
    r"binance/.*/py_http_futures_account_symbol_config": "binance rest futures symbolConfig",
    r"binance/.*/py_http_futures_wallet_commission_rate_.*": "binance rest futures commissionRate",
    r"binance/.*/usdm_http_account_info_v2": "binance rest futures account",
    r"polymarket/.*/clob_fee_rate_.*": "polymarket rest fee-rate",
    r"polymarket/.*/(clob_market_.*|py_http_market)": "polymarket rest market",
    r"polymarket/.*/http_balance_allowance_.*": "polymarket rest balance-allowance",
    r"polymarket/.*/http_cancel_response_ok": "polymarket rest cancel answer",
    r"polymarket/.*/http_open_order": "polymarket rest open order",
    r"polymarket/.*/http_order_response_.*": "polymarket rest order answer",
    r"polymarket/.*/http_signed_order": "polymarket rest signed order",
    r"polymarket/.*/http_trade_report": "polymarket rest trade",
    r"polymarket/.*/py_http_book": "polymarket rest book",
    r"polymarket/.*/py_http_trades": "polymarket data trades",
    r"polymarket/.*/data_api_positions_response": "polymarket data positions",
    r"polymarket/.*/gamma_event": "polymarket gamma events",
    r"polymarket/.*/gamma_market.*": "polymarket gamma market",
    r"polymarket/.*/gamma_tags": "polymarket gamma tags",
}
"""Answers of calls do not say what they are: which message is which. Frames are recognised."""
NAME_OF = {"kraken": kraken_name, "binance": binance_name, "polymarket": polymarket_name}
NAMES = sorted(str(path.relative_to(MESSAGES).with_suffix("")) for path in MESSAGES.rglob("*.json"))


def body_of(name: str) -> bytes:
    return (MESSAGES / f"{name}.json").read_bytes()


def shape_of(name: str) -> str | None:
    [found] = [shape for pattern, shape in CALLS.items() if re.fullmatch(pattern, name)] or [None]
    return found or NAME_OF[name.partition("/")[0]](document_of(body_of(name)))


def test_the_data_is_all_there() -> None:
    by_venue = Counter(name.partition("/")[0] for name in NAMES)
    assert by_venue == {"kraken": 43, "binance": 93, "polymarket": 33}


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_message_is_read_in_full_and_without_loss(name: str) -> None:
    found = shape_of(name)
    assert found is not None, "no shape"
    body = body_of(name)
    reading = read(SHAPES[found], body)
    assert (reading.unread, reading.left_out, reading.strange) == ((), (), ())
    check_kept(reading, document_of(body))


SMALL = [name for name in NAMES if (MESSAGES / f"{name}.json").stat().st_size < 20_000]


@pytest.mark.parametrize("name", SMALL)
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(data=st.data())
def test_a_changed_recorded_message_is_a_reading_or_a_decode_error(name: str, data: st.DataObject) -> None:
    found = shape_of(name)
    assert found is not None
    document = document_of(body_of(name))
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(list(places(document))[:4_000]))
        how = data.draw(st.sampled_from(["drop", "add", "replace"]))
        document = changed(document, path, how, data.draw(st.sampled_from(ODD)))
    read_or_refused(SHAPES[found], written(document))


@pytest.mark.parametrize("name", SMALL)
def test_a_cut_recorded_message_is_a_decode_error(name: str) -> None:
    found, body = shape_of(name), body_of(name).rstrip()
    assert found is not None
    for end in range(0, len(body), max(1, len(body) // 20)):
        with pytest.raises(DecodeError):
            read(SHAPES[found], body[:end])


EVERY_FRAMES = 29
"""Of the large captures each 29th frame is read in full; every frame is recognised."""


@pytest.mark.parametrize(
    "name",
    ["binance-spot-btcusdt-2024-08-09.gz", "binance-usdm-btcusdt-2024-08-08.gz",
     "binance-spot-4pairs-2021-10-12.ws.txt.gz", "kraken-spot-v1-trade-2021-04-17.ws.txt.gz",
     "kraken-spot-v1-ticker-2021-04-17.ws.txt.gz", "kraken-spot-v1-book1000-5pairs-2021-04-17.ws.txt.gz"],
)  # fmt: skip
def test_frames_of_a_capture_are_read_in_full(name: str) -> None:
    name_of = NAME_OF[name.partition("-")[0]]
    few = "btcusdt" not in name
    kinds: Counter[str] = Counter()
    for number, captured in enumerate(read_capture(CAPTURES / name)):
        if number % EVERY_FRAMES and not few:
            continue
        document = document_of(captured.frame)
        found = "binance rest depth" if captured.rest_symbol is not None else name_of(document)
        assert found is not None, captured.frame[:200]
        reading = read(SHAPES[found], captured.frame)
        assert (reading.unread, reading.strange) == ((), ())
        check_kept(reading, document)
        kinds[found] += 1
    assert kinds.total() > 40
