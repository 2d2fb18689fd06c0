"""Recordings replay exactly: real captures when they are there, small synthetic ones always."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections import Counter
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from tradewind.venues.feeds.base import Feed
from tradewind.venues.feeds.book import BookLimits
from tradewind.venues.feeds.captures import CaptureKind, read_capture
from tradewind.venues.feeds.recorded import RecordedFeed
from tradewind.venues.market_data import (
    BookDelta,
    BookSnapshot,
    BookState,
    DecodeError,
    FeedEvent,
    FeedState,
    FeedUnavailable,
    Side,
    TopOfBook,
    TradePrint,
)

CAPTURES = Path(__file__).resolve().parents[4] / "shared" / "data" / "captures"
START_NS = 1_700_000_000_000_000_000
STEP_NS = 100_000_000


def capture(*names: str) -> list[Path]:
    paths = [CAPTURES / name for name in names]
    if not all(path.exists() for path in paths):
        pytest.skip("no recorded data beside the repository")
    return paths


def replay(feed: RecordedFeed) -> list[FeedEvent]:
    return [event for _, batch in feed.batches() for event in batch]


def rebuild(events: list[FeedEvent], symbol: str) -> dict[Side, dict[int, int]]:
    """A consumer's book, from published events only."""
    book: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}
    for event in events:
        if event.symbol != symbol:
            continue
        if isinstance(event, BookSnapshot):
            book = {Side.BUY: dict(event.bids), Side.SELL: dict(event.asks)}
        elif isinstance(event, BookDelta):
            for side, price, lots in event.changes():
                if lots:
                    book[side][price] = lots
                else:
                    del book[side][price]
    return book


def truth(paths: list[Path]) -> tuple[dict[Decimal, Decimal], dict[Decimal, Decimal], int]:
    """Snapshot plus diffs with plain dictionaries and Decimal, independent of the product."""
    bids: dict[Decimal, Decimal] = {}
    asks: dict[Decimal, Decimal] = {}
    last_id, pending = None, []
    for path in paths:
        for line in gzip.decompress(path.read_bytes()).decode().splitlines():
            frame = json.loads(line[20:])
            data = frame.get("data", frame)
            if "lastUpdateId" in data:
                last_id = data["lastUpdateId"]
                pending = [(one["b"], one["a"]) for one in pending if one["u"] > last_id]
                pending.insert(0, (data["bids"], data["asks"]))
            elif "U" in data and last_id is None:
                pending.append(data)
                continue
            elif "U" in data:
                pending = [(data["b"], data["a"])]
                last_id = data["u"]
            for side, levels in ((bids, 0), (asks, 1)):
                for update in pending if last_id is not None else []:
                    for price, quantity in update[levels]:
                        side[Decimal(price)] = Decimal(quantity)
            if last_id is not None:
                pending = []
    return bids, asks, last_id


# ---- real captures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "kind", "counts"),
    [
        (("binance-spot-btcusdt-2024-08-08.gz", "binance-spot-btcusdt-2024-08-09.gz"),
         CaptureKind.BINANCE_SPOT, {"TopOfBook": 73_174, "TradePrint": 19_904}),
        (("binance-usdm-btcusdt-2024-08-08.gz",),
         CaptureKind.BINANCE_USDM, {"TopOfBook": 66_089, "TradePrint": 21_313}),
    ],
    ids=["spot over two files", "usdm"],
)  # fmt: skip
def test_a_binance_capture_replays_without_gap_and_equals_an_independent_replay(
    names: tuple[str, ...], kind: CaptureKind, counts: dict[str, int]
) -> None:
    paths = capture(*names)
    feed = RecordedFeed(paths, None, limits=BookLimits(max_levels=20_000))
    events = replay(feed)
    assert feed.kind is kind
    found = Counter(type(event).__name__ for event in events)
    assert {name: found[name] for name in counts} == counts
    statistics = feed.statistics()
    assert (statistics.gaps, statistics.trade_gaps, statistics.decode_errors, statistics.unknown_values) == (
        0, 0, 0, 0)  # fmt: skip
    [(symbol, book)] = feed.pipeline.books.items()
    assert book.state is BookState.LIVE
    bids, asks, last_id = truth(paths)
    assert book.sequence == last_id
    tick, lot = book.instrument.tick, book.instrument.lot
    for mirror, side in ((book.bids, bids), (book.asks, asks)):
        real = {price: quantity // lot for price, quantity in side.items() if quantity >= lot}
        assert {price * tick: lots for price, lots in mirror.top()} == real
    published = rebuild(events, symbol)
    assert published == {Side.BUY: dict(book.bids.top()), Side.SELL: dict(book.asks.top())}


def test_the_second_file_alone_never_claims_to_know_the_book() -> None:
    feed = RecordedFeed(capture("binance-spot-btcusdt-2024-08-09.gz"), None)
    events = replay(feed)
    assert {event.state for event in events if isinstance(event, FeedState)} == {BookState.SYNCING}
    assert not any(isinstance(event, BookDelta | BookSnapshot) for event in events)
    book = feed.book("BTC/USDT")
    assert book.counters.buffer_restarts > 0, "buffered updates are bounded by age"


def test_a_socket_log_and_its_rest_log_bridge_for_all_four_pairs() -> None:
    feed = RecordedFeed(capture("binance-spot-4pairs-2021-10-12.ws.txt.gz"), None)
    events = replay(feed)
    assert set(feed.instruments) == {"NKN/USDT", "BLZ/ETH", "LRC/BTC", "RUNE/EUR"}
    statistics = feed.statistics()
    assert (statistics.gaps, statistics.decode_errors, statistics.trades, statistics.ignored) == (0, 0, 2, 2)
    assert {event.symbol for event in events if isinstance(event, BookSnapshot)} == set(feed.instruments)
    for symbol, book in feed.pipeline.books.items():
        assert not book.wants_snapshot
        assert rebuild(events, symbol)[Side.BUY] == dict(book.bids.top())
        last_top = [event for event in events if isinstance(event, TopOfBook) and event.symbol == symbol][-1:]
        for top in last_top:
            assert abs(top.bid_ticks - book.bids.best_ticks) < 100


def test_all_2375_recorded_kraken_checksums_hold() -> None:
    feed = RecordedFeed(capture("kraken-spot-v1-book1000-5pairs-2021-04-17.ws.txt.gz"), None)
    events = replay(feed)
    checked = [event for event in events if isinstance(event, BookDelta) and event.checksum is not None]
    assert len(checked) == 2_375
    assert feed.statistics().checksum_failures == 0
    assert {book.state for book in feed.pipeline.books.values()} == {BookState.LIVE}


def test_one_corrupted_recorded_kraken_level_is_caught_by_the_next_checksum(tmp_path: Path) -> None:
    """The mutation that turns the control above red: change one quantity near the top."""
    [path] = capture("kraken-spot-v1-book1000-5pairs-2021-04-17.ws.txt.gz")
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    number = next(n for n, line in enumerate(lines) if '"as"' in line and "ETH/CHF" in line)
    assert '"2192.68000","3.00000000"' in lines[number]
    lines[number] = lines[number].replace('"2192.68000","3.00000000"', '"2192.68000","3.00000001"')
    damaged = tmp_path / "damaged.ws.txt.gz"
    damaged.write_bytes(gzip.compress("\n".join(lines).encode()))
    feed = RecordedFeed(damaged, None)
    replay(feed)
    assert feed.book("ETH/CHF").state is BookState.SUSPECT
    assert feed.statistics().checksum_failures == 1


def test_recorded_kraken_trades_and_tickers_decode() -> None:
    trades = RecordedFeed(capture("kraken-spot-v1-trade-2021-04-17.ws.txt.gz"), None)
    assert Counter(event.symbol for event in replay(trades)) == {"SC/EUR": 6, "XMR/USD": 4}
    tickers = RecordedFeed(capture("kraken-spot-v1-ticker-2021-04-17.ws.txt.gz"), None)
    assert sum(isinstance(event, TopOfBook) for event in replay(tickers)) == 18


# ---- synthetic captures ------------------------------------------------------------------------------------


def depth_line(index: int, first: int, last: int, bids: list, asks: list) -> str:
    data = {"e": "depthUpdate", "E": 1_700_000_000_000 + index, "s": "ABCUSDT", "U": first, "u": last,
            "b": bids, "a": asks}  # fmt: skip
    return f"{START_NS + index * STEP_NS} " + json.dumps({"stream": "abcusdt@depth", "data": data})


def trade_line(index: int, trade_id: int) -> str:
    data = {"e": "trade", "E": 1, "s": "ABCUSDT", "t": trade_id, "p": "10.01", "q": "1.5",
            "T": 1_700_000_000_000 + index, "m": False}  # fmt: skip
    return f"{START_NS + index * STEP_NS} " + json.dumps({"stream": "abcusdt@trade", "data": data})


def synthetic_lines() -> list[str]:
    body = {"lastUpdateId": 11, "bids": [["10.00", "5.0"]], "asks": [["10.01", "5.0"]]}
    return [
        depth_line(0, 9, 10, [["9.99", "1.0"]], []),
        depth_line(1, 11, 12, [["9.98", "2.0"]], [["10.02", "1.0"]]),
        f"{START_NS + 2 * STEP_NS} " + json.dumps(body),
        trade_line(3, 70),
        depth_line(4, 13, 13, [], [["10.01", "3.5"]]),
        trade_line(5, 71),
    ]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "abc.gz"
    path.write_bytes(gzip.compress(("\n".join(synthetic_lines()) + "\n").encode()))
    return path


def test_a_small_recording_gives_exactly_these_events_and_an_inferred_instrument(recording: Path) -> None:
    feed = RecordedFeed(recording, None)
    assert isinstance(feed, Feed)
    events = replay(feed)
    assert [type(event).__name__ for event in events] == [
        "FeedState", "BookSnapshot", "FeedState", "TradePrint", "BookDelta", "TradePrint"]  # fmt: skip
    instrument = feed.instruments["ABC/USDT"]
    assert (instrument.tick, instrument.lot, instrument.source) == (
        Decimal("0.01"),
        Decimal("0.1"),
        "inferred",
    )
    assert rebuild(events, "ABC/USDT") == {Side.BUY: {1000: 50, 998: 20}, Side.SELL: {1001: 35, 1002: 10}}
    assert feed.label == "recorded:abc.gz"
    assert feed.clock_ns() == START_NS + 5 * STEP_NS
    assert feed.age_ns("ABC/USDT") == STEP_NS


async def test_looping_resynchronises_and_ids_and_times_only_grow(recording: Path) -> None:
    feed = RecordedFeed(recording, None, loop=True)
    events: list[FeedEvent] = []
    async for event in feed.events():
        events.append(event)
        if len(events) > 22:
            await feed.close()
    trades = [event for event in events if isinstance(event, TradePrint)]
    assert len(trades) >= 5
    for earlier, later in pairwise(trades):
        assert later.trade_id > earlier.trade_id
        assert later.recv_ts_ns > earlier.recv_ts_ns
        assert later.venue_ts_ns > earlier.venue_ts_ns
    loops = [event for event in events if isinstance(event, FeedState) and event.reason == "replay loop 2"]
    assert [event.state for event in loops] == [BookState.SYNCING]
    assert max(event.epoch for event in events) == feed.loops_done >= 2
    assert feed.label == f"recorded:abc.gz (loop {feed.loops_done + 1})"
    assert feed.statistics().gaps == 0
    after = events[events.index(loops[0]) :]
    assert isinstance(next(one for one in after if not isinstance(one, FeedState)), BookSnapshot)


async def test_real_time_replay_keeps_the_recorded_pauses(recording: Path) -> None:
    arrivals: list[tuple[int, int]] = []
    feed = RecordedFeed(recording, speed=5.0, start_at_ns=5_000)
    begin_ns = time.monotonic_ns()
    async for event in feed.events():
        arrivals.append((event.recv_ts_ns if isinstance(event, TradePrint) else -1, time.monotonic_ns()))
    trades = [(recorded, arrived) for recorded, arrived in arrivals if recorded >= 0]
    assert [recorded for recorded, _ in trades] == [5_000 + 3 * STEP_NS, 5_000 + 5 * STEP_NS]
    for recorded, arrived in trades:
        # Each against the beginning: a first one that a busy machine held up does not hold up the second.
        assert arrived - begin_ns >= (recorded - 5_000) // 5 - 1_000_000, "never earlier than recorded"


async def test_closing_ends_the_replay_even_while_it_waits(recording: Path) -> None:
    feed = RecordedFeed(recording, speed=0.001)
    stream = feed.events()
    await anext(stream)
    waiting = asyncio.create_task(anext(stream, None))
    await asyncio.sleep(0.01)
    await feed.close()
    assert await asyncio.wait_for(waiting, 3) is None


@pytest.mark.parametrize(("fault", "gaps"), [("drop", 1), ("duplicate", 0), ("reorder", 1)])
def test_a_recording_with_loss_is_suspect_and_with_repetition_is_not(
    tmp_path: Path, fault: str, gaps: int
) -> None:
    lines = synthetic_lines()
    lines += [depth_line(6 + n, 14 + n, 14 + n, [["9.97", f"{n}.5"]], []) for n in range(6)]
    if fault == "drop":
        del lines[8]
    elif fault == "duplicate":
        lines.insert(9, lines[8])
    else:
        lines[8], lines[9] = lines[9], lines[8]
    path = tmp_path / "faulty.txt"
    path.write_text("\n".join(lines) + "\n")
    feed = RecordedFeed(path, None)
    replay(feed)
    assert feed.statistics().gaps == gaps
    assert feed.statistics().duplicates == (1 if fault == "duplicate" else 0)
    assert feed.state("ABC/USDT") is (BookState.SUSPECT if gaps else BookState.LIVE)


def test_a_recording_cut_in_the_middle_of_its_compressed_data_ends_there(recording: Path) -> None:
    whole = len(replay(RecordedFeed(recording, None)))
    recording.write_bytes(recording.read_bytes()[:-12])
    assert 0 < len(replay(RecordedFeed(recording, None))) <= whole


def test_files_that_are_no_recording_are_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(FeedUnavailable, match="cannot open"):
        RecordedFeed(tmp_path / "absent.gz")
    noise = tmp_path / "noise.txt"
    noise.write_text("hello\n")
    with pytest.raises(FeedUnavailable, match="no known venue"):
        RecordedFeed(noise)
    broken = tmp_path / "broken.gz"
    broken.write_bytes(b"not gzip at all")
    with pytest.raises(FeedUnavailable, match="damaged"):
        RecordedFeed(broken)
    mixed = tmp_path / "mixed.txt"
    mixed.write_text(synthetic_lines()[0] + "\nwhat is this\n")
    with pytest.raises(DecodeError, match="line 2"):
        list(read_capture(mixed))
    with pytest.raises(FeedUnavailable, match="no capture"):
        RecordedFeed([])


def test_recordings_in_the_wrong_order_or_of_two_venues_are_refused(tmp_path: Path) -> None:
    lines = synthetic_lines()
    first, second, other = tmp_path / "first.txt", tmp_path / "second.txt", tmp_path / "other.txt"
    first.write_text("\n".join(lines[: len(lines) // 2]) + "\n")
    second.write_text("\n".join(lines[len(lines) // 2 :]) + "\n")
    other.write_text(lines[-1].replace('{"stream":', '{"pu":1,"stream":') + "\n")
    whole = len(replay(RecordedFeed([first, second], None)))
    assert whole > len(replay(RecordedFeed(first, None)))
    for wrong in ([second, first], [first, first]):
        with pytest.raises(FeedUnavailable, match="order of time"):
            RecordedFeed(wrong, None)
    with pytest.raises(FeedUnavailable, match="binance-usdm"):
        RecordedFeed([first, other], None)


@pytest.mark.parametrize("speed", [-1.0, float("nan"), float("inf")])
def test_an_impossible_speed_is_refused(recording: Path, speed: float) -> None:
    with pytest.raises(ValueError, match="speed"):
        RecordedFeed(recording, speed)
