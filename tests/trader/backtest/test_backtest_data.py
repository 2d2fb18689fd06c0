"""What cannot be replayed as it is, is refused with its name; what can be is the same every time."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from backtest_world import CAPTURES, MINUTE_NS, START_NS, SYMBOL, candle, write_capture

from tradewind.trader.backtest.candle_files import read_candles
from tradewind.trader.backtest.data import open_data
from tradewind.trader.backtest.errors import DataRefused
from tradewind.trader.backtest.survey import survey

STEPS = [0.1 * number for number in range(1, 120)]
HEADER = "open_time_ns,open,high,low,close,volume,quote_volume,vwap,trades\n"


def refusal(*sources: object, **options: object) -> str:
    """The code with which the data are refused, in opening or in the survey."""
    with pytest.raises(DataRefused) as refused:
        data = open_data([str(one) for one in sources], **options)  # type: ignore[arg-type]
        survey(data, [str(options.get("symbol") or SYMBOL)])
    return refused.value.code


def candle_file(path: Path, numbers: list[int], name: str = "kraken-btcusdt-candles-1m-2024-01-01") -> Path:
    rows = [candle(number, "100 101 99 100") for number in numbers]
    body = HEADER + "".join(
        f"{one.open_ns},{one.open},{one.high},{one.low},{one.close},{one.volume},,,4\n" for one in rows
    )
    target = path / f"{name}.csv.gz"
    target.write_bytes(gzip.compress(body.encode(), mtime=0))
    return target


def test_a_capture_is_read_hashed_and_replayed_the_same_twice(tmp_path: Path) -> None:
    path = write_capture(tmp_path / "a.gz", STEPS)
    data = open_data([str(path)])
    found = survey(data, [SYMBOL])
    assert found.events["TradePrint"] == len(STEPS)
    assert not found.gaps
    assert found.quotes[SYMBOL].at(found.last_ns) == 50_000
    assert [*data.batches()] == [*data.batches()]
    assert data.hash == open_data([str(path)]).hash
    other = write_capture(tmp_path / "b.gz", STEPS[:-1])
    assert data.hash != open_data([str(other)]).hash


def test_bad_captures_are_refused_by_name(tmp_path: Path) -> None:
    good = write_capture(tmp_path / "good.gz", STEPS)
    torn = tmp_path / "torn.gz"
    torn.write_bytes(good.read_bytes()[:-20])
    damaged = tmp_path / "damaged.gz"
    damaged.write_bytes(good.read_bytes()[:200] + b"\x00" * 50 + good.read_bytes()[250:])
    empty, hollow = tmp_path / "empty.gz", tmp_path / "hollow.gz"
    empty.write_bytes(b"")
    hollow.write_bytes(gzip.compress(b""))
    noise = tmp_path / "noise.txt"
    noise.write_text("this is no capture\n" * 3)
    assert refusal(tmp_path / "missing.gz") == "DATA_MISSING"
    assert refusal(torn) == "DATA_TRUNCATED"
    assert refusal(damaged) == "DATA_DAMAGED"
    assert refusal(empty) == "DATA_EMPTY"
    assert refusal(hollow) == "DATA_EMPTY"
    assert refusal(noise) == "DATA_UNREADABLE"
    packed = tmp_path / "a.zst"
    packed.write_bytes(b"\x28\xb5\x2f\xfd")
    assert refusal(packed) == "DATA_UNSUPPORTED"
    assert refusal(good, symbol="DOGE/USDT") == "UNKNOWN_SYMBOL"
    assert refusal() == "NO_DATA"


def test_times_that_go_back_a_lost_diff_and_silence_are_refused(tmp_path: Path) -> None:
    assert refusal(write_capture(tmp_path / "back.gz", [1.0, 2.0, 1.5, 3.0])) == "DATA_UNSORTED"
    assert refusal(write_capture(tmp_path / "gap.gz", STEPS, skip=40)) == "DATA_GAP"
    assert refusal(write_capture(tmp_path / "silent.gz", [1.0, 2.0, 99.0])) == "DATA_GAP"
    assert refusal(write_capture(tmp_path / "blind.gz", STEPS, snapshot=False)) == "DATA_NO_BOOK"


def test_a_gap_that_is_allowed_is_named(tmp_path: Path) -> None:
    data = open_data([str(write_capture(tmp_path / "gap.gz", STEPS, skip=40))])
    assert any("sequence" in one or "book" in one for one in survey(data, [SYMBOL], allow_gaps=True).gaps)


def test_a_recording_that_was_torn_off_may_be_allowed(tmp_path: Path) -> None:
    good = write_capture(tmp_path / "good.gz", STEPS)
    torn = tmp_path / "torn.gz"
    torn.write_bytes(good.read_bytes()[:-20])
    data = open_data([str(torn)], allow_gaps=True)
    assert data.gaps == ("torn.gz ends in the middle",)
    assert survey(data, [SYMBOL], allow_gaps=True).events["TradePrint"] > 10


def test_candles_of_a_fetched_day_are_read_with_symbol_and_step(tmp_path: Path) -> None:
    path = candle_file(tmp_path, [0, 1, 2])
    found = read_candles(path)
    assert (found.venue, found.symbol, found.step_ns) == ("kraken", SYMBOL, MINUTE_NS)
    assert found.candles[1] == candle(1, "100 101 99 100")
    data = open_data([str(path)])
    assert data.kind == "candles"
    assert survey(data, [SYMBOL]).first_ns == START_NS


def test_bad_candle_files_are_refused_by_name(tmp_path: Path) -> None:
    day = candle_file(tmp_path, [0, 1, 2])
    assert refusal(candle_file(tmp_path, [0, 1, 3], "kraken-ethusdt-candles-1m-2024-01-01")) == "DATA_GAP"
    assert refusal(day, symbol="ETH/USDT") == "UNKNOWN_SYMBOL"
    capture = write_capture(tmp_path / "a.gz", STEPS)
    assert refusal(day, capture) == "DATA_MIXED"
    other = candle_file(tmp_path, [0, 1], "kraken-solusdt-candles-1m-2024-01-01")
    assert refusal(day, other) == "DATA_MIXED"
    hollow = tmp_path / "kraken-btcusdt-candles-1m-2024-01-02.csv.gz"
    hollow.write_bytes(gzip.compress(HEADER.encode()))
    assert refusal(hollow) in {"DATA_EMPTY", "DATA_DAMAGED"}
    words = tmp_path / "kraken-btcusdt-candles-1m-2024-01-03.csv.gz"
    words.write_bytes(gzip.compress(f"{HEADER}{START_NS},a,b,c,d,e,,,1\n".encode()))
    assert refusal(words) == "DATA_DAMAGED"


def test_the_answer_of_kraken_is_read_without_its_open_candle(tmp_path: Path) -> None:
    rows = [[1_704_067_200 + 60 * n, "100.0", "101.0", "99.0", "100.0", "100.1", "2.5", 7] for n in range(4)]
    path = tmp_path / "ohlc.json"
    path.write_text(json.dumps({"error": [], "result": {"XBTUSDT": rows, "last": 1_704_067_320}}))
    found = read_candles(path)
    assert (found.symbol, len(found.candles), found.step_ns) == (SYMBOL, 3, MINUTE_NS)


def test_a_generated_market_is_bounded_and_seeded() -> None:
    first, second = open_data(["generated:5:3"]), open_data(["generated:5:3"])
    assert [*first.batches()] == [*second.batches()]
    assert first.hash != open_data(["generated:5:4"]).hash
    assert refusal("generated:0") == "PARAMETER_OUT_OF_BOUNDS"


@pytest.mark.skipif(not CAPTURES.exists(), reason="the recorded captures are not beside this checkout")
def test_recordings_and_candles_of_real_venues_are_whole() -> None:
    pair = [str(CAPTURES / f"binance-spot-btcusdt-2024-08-0{day}.gz") for day in (8, 9)]
    found = survey(open_data(pair), [SYMBOL])
    assert found.span_ns > 600 * 10**9
    assert refusal(pair[1]) == "DATA_NO_BOOK"
    candles = open_data([str(CAPTURES / "kraken-spot-ohlc-1m-xbtusdt-2025-11-10.json")])
    assert len(survey(candles, [SYMBOL]).quotes[SYMBOL].times) > 1_000
