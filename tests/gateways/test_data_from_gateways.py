"""Recording from our own gateways over sockets, replay of it to an equal book, and history of theirs."""

from __future__ import annotations

import asyncio
import gzip
import importlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from gateway_world import opened

from tradewind.gateways.exchange import Exchange
from tradewind.gateways.liquidity import Liquidity, LiquidityConfiguration
from tradewind.gateways.model import PublicTrade
from tradewind.venues.feeds.live import LiveOptions
from tradewind.venues.feeds.recorded import RecordedFeed
from tradewind.venues.feeds.recording import (
    Recording,
    RecordingRefused,
    RecordingWish,
    start_recording,
)
from tradewind.venues.feeds.select import FeedMode, FeedRequest, find_recordings, select_feed
from tradewind.venues.history.fetch import FetchWish, fetch
from tradewind.venues.history.model import HistoryError, HistoryKind
from tradewind.venues.history.store import read_manifest, read_rows, verify
from tradewind.venues.market_data import BookState, Side
from tradewind.venues.transport.backoff import BackoffPolicy

DEADLINE_S = 60.0
VENUES = {"kraken": "BTC/USD", "binance": "BTC/USDT"}
QUICK = LiveOptions(reconnect=BackoffPolicy(base_s=0.02, ceiling_s=0.1, max_attempts=1_000))


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not holds():  # noqa: ASYNC110 - many things change it
            await asyncio.sleep(0.005)


class Served:
    """A gateway whose house moves one market quickly."""

    def __init__(self, venue: str, exchange: Exchange, gateway: Any) -> None:
        self.venue, self.exchange, self.gateway = venue, exchange, gateway
        self.symbol = VENUES[venue]

    def wish(self, directory: Path, **changes: Any) -> RecordingWish:
        fields: dict[str, Any] = {
            "venue": self.venue, "symbols": (self.symbol,), "directory": directory, "url": self.gateway.url,
            "options": QUICK, "depth": 10, "min_free_bytes": 0,
        }  # fmt: skip
        return RecordingWish(**(fields | changes))


@asynccontextmanager
async def serving(venue: str, data: Path) -> AsyncIterator[Served]:
    async with opened(data) as exchange:
        quick = LiquidityConfiguration(seed=5, symbols=(VENUES[venue],), step_ms=(5, 15))
        house = Liquidity(exchange, quick)
        await house.start()
        gateway = importlib.import_module(f"tradewind.gateways.{venue}.gateway").build(exchange)
        await gateway.start()
        try:
            yield Served(venue, exchange, gateway)
        finally:
            await gateway.close()
            await house.close()


async def record(wish: RecordingWish, enough: Callable[[Recording], bool]) -> Recording:
    """A recording that is stopped in order when it has `enough`."""
    recording, stop = await start_recording(wish), asyncio.Event()
    running = asyncio.create_task(recording.run(stop))
    try:
        await until(lambda: running.done() or enough(recording))
    finally:
        stop.set()
    assert await running == "stopped"
    return recording


def lively(recording: Recording) -> bool:
    book = recording.feed.book(next(iter(recording.feed.instruments)))
    return book.state is BookState.LIVE and book.counters.applied > 40 and recording.status().trades > 5


def levels(book: Any) -> tuple[Any, Any, Decimal, Decimal]:
    return book.bids.top(), book.asks.top(), book.instrument.tick, book.instrument.lot


async def replayed(paths: list[Path], symbol: str) -> RecordedFeed:
    """The feed of `tradewind up --feed replay`, played to its end."""
    selected = await select_feed(FeedMode.REPLAY, FeedRequest(recordings=tuple(paths), speed=None))
    feed = selected.feed
    assert isinstance(feed, RecordedFeed)
    async for _ in feed.events():
        pass
    return feed


@pytest.mark.parametrize("venue", list(VENUES))
async def test_a_replayed_recording_ends_with_the_book_that_the_recorder_saw(
    venue: str, tmp_path: Path
) -> None:
    async with serving(venue, tmp_path / "data") as one:
        recording = await record(one.wish(tmp_path / "rec"), lively)
    seen, status = recording.feed.book(one.symbol), recording.status()
    assert (status.gaps, status.checksum_failures, status.decode_errors) == (0, 0, 0)
    feed = await replayed([tmp_path / "rec"], one.symbol)
    assert levels(feed.book(one.symbol)) == levels(seen)
    assert seen.bids.top()
    assert seen.asks.top()
    assert feed.statistics().trades == recording.feed.statistics().trades
    assert (feed.statistics().gaps, feed.statistics().decode_errors) == (0, 0)


@pytest.mark.parametrize("venue", list(VENUES))
async def test_rotated_files_and_a_second_run_replay_as_one_recording(venue: str, tmp_path: Path) -> None:
    async with serving(venue, tmp_path / "data") as one:
        wish = one.wish(tmp_path / "rec", max_file_bytes=8_000, max_files=10_000)
        first = await record(wish, lambda run: lively(run) and len(run.capture.files) > 2)
        before = list(first.capture.files)
        second = await record(wish, lively)
    files = find_recordings([tmp_path / "rec"])
    assert files[: len(before)] == before, "nothing was overwritten"
    assert [one.name[-9:-3] for one in files] == [f"{number:06d}" for number in range(len(files))]
    feed = await replayed(files, one.symbol)
    assert levels(feed.book(one.symbol)) == levels(second.feed.book(one.symbol))
    assert feed.state(one.symbol) is BookState.LIVE


async def test_a_cut_connection_is_recorded_on_and_replays_to_an_equal_book(tmp_path: Path) -> None:
    async with serving("kraken", tmp_path / "data") as one:
        recording, stop = await start_recording(one.wish(tmp_path / "rec")), asyncio.Event()
        running = asyncio.create_task(recording.run(stop))
        await until(lambda: lively(recording))
        recording.feed.link.reconnect("cut by the test")
        await until(lambda: recording.status().reconnects >= 1 and lively(recording))
        stop.set()
        await running
    feed = await replayed([tmp_path / "rec"], one.symbol)
    assert levels(feed.book(one.symbol)) == levels(recording.feed.book(one.symbol))


async def test_the_disk_is_bounded_over_all_runs(tmp_path: Path) -> None:
    async with serving("kraken", tmp_path / "data") as one:
        wish = one.wish(tmp_path / "rec", max_file_bytes=4_000, max_files=3)
        await record(wish, lambda run: run.capture.removed > 1)
        await record(wish, lambda run: run.capture.removed > 1)
    names = sorted(path.name for path in (tmp_path / "rec").glob("*.gz"))
    assert len(names) == 3
    numbers = [int(name[-9:-3]) for name in names]
    assert numbers == list(range(numbers[0], numbers[0] + 3))
    assert numbers[0] > 3


async def test_a_recording_ends_by_itself_when_the_disk_is_nearly_full(tmp_path: Path) -> None:
    async with serving("kraken", tmp_path / "data") as one:
        recording = await start_recording(one.wish(tmp_path / "rec", min_free_bytes=2**62))
        assert await asyncio.wait_for(recording.run(asyncio.Event()), DEADLINE_S) == "disk"


async def test_what_a_killed_recorder_flushed_is_replayed(tmp_path: Path) -> None:
    async with serving("kraken", tmp_path / "data") as one:
        recording = await record(one.wish(tmp_path / "rec"), lively)
    [path] = recording.capture.files
    torn = tmp_path / path.name
    torn.write_bytes(path.read_bytes()[:-40])  # neither the last block nor the checksum of gzip
    feed = await replayed([torn], one.symbol)
    assert feed.state(one.symbol) is BookState.LIVE
    whole = gzip.decompress(path.read_bytes()).count(b"\n")
    assert whole // 2 < feed.statistics().frames <= whole


async def test_two_recorders_never_write_the_same_files(tmp_path: Path) -> None:
    async with serving("kraken", tmp_path / "data") as one:
        recording = await start_recording(one.wish(tmp_path / "rec"))
        with pytest.raises(RecordingRefused, match="another recorder"):
            await start_recording(one.wish(tmp_path / "rec"))
        await recording.close()
        await (await start_recording(one.wish(tmp_path / "rec"))).close()


async def test_an_unlisted_symbol_is_refused_and_leaves_no_lock(tmp_path: Path) -> None:
    async with serving("kraken", tmp_path / "data") as one:
        for _ in range(2):
            with pytest.raises(RecordingRefused) as refused:
                await start_recording(one.wish(tmp_path / "rec", symbols=("NO/SUCH",)))
            assert refused.value.code == "NOT_LISTED"


# ---- history -------------------------------------------------------------------------------------------


def moment(now_ns: int) -> str:
    return f"{datetime.fromtimestamp(now_ns // 10**9, UTC):%Y-%m-%dT%H:%M:%S}"


def aggregated(trades: list[PublicTrade]) -> list[tuple[int, int, int]]:
    """(price, lots, ns of the first) of neighbours that one order took at one price."""
    found: list[tuple[int, int, int]] = []
    before: tuple[int, int] | None = None
    for one in trades:
        taker = one.buyer_order if one.taker_side is Side.BUY else one.seller_order
        if before == (taker, one.price_ticks):
            price, lots, at_ns = found.pop()
            found.append((price, lots + one.lots, at_ns))
        else:
            found.append((one.price_ticks, one.lots, one.time_ns))
        before = (taker, one.price_ticks)
    return found


@pytest.mark.parametrize(
    ("venue", "kind"), [("kraken", HistoryKind.TRADES), ("binance", HistoryKind.AGG_TRADES)]
)
async def test_fetched_trades_are_those_of_the_exchange(
    venue: str, kind: HistoryKind, tmp_path: Path
) -> None:
    async with serving(venue, tmp_path / "data") as one:
        begin_ns = one.exchange.now_ns()
        await until(lambda: len(one.exchange.trades(one.symbol)) > 30)
        # whole seconds only can be asked for; the next one is past at once
        end_ns = (one.exchange.now_ns() // 10**9 + 1) * 10**9
        await until(lambda: one.exchange.now_ns() > end_ns)
        wish = FetchWish(
            venue=venue, symbol=one.symbol, kind=kind, directory=tmp_path / "h",
            from_text=moment(begin_ns - 10**9), to_text=moment(end_ns), url=one.gateway.url,
        )  # fmt: skip
        report = await fetch(wish)
        market = one.exchange.markets[one.symbol].instrument
        traded = [trade for trade in one.exchange.trades(one.symbol, 1_000) if trade.time_ns < end_ns]
    rows = [row for name in report.files for row in read_rows(tmp_path / "h" / name)]
    assert verify(tmp_path / "h") == {}
    single = [(trade.price_ticks, trade.lots, trade.time_ns) for trade in traded]
    expected = aggregated(traded) if kind is HistoryKind.AGG_TRADES else single
    told = [(Decimal(row["price"]), Decimal(row["quantity"])) for row in rows]
    assert told == [(market.tick * price, market.lot * lots) for price, lots, _ in expected]
    coarse_ns = 1_000 if venue == "kraken" else 10**6
    times = zip((int(row["time_ns"]) for row in rows), (at_ns for _, _, at_ns in expected), strict=True)
    assert all(abs(at_ns - true_ns) < coarse_ns for at_ns, true_ns in times)
    assert sum(entry.rows for entry in read_manifest(tmp_path / "h").files.values()) == len(rows) > 10


@pytest.mark.parametrize("venue", list(VENUES))
async def test_candles_are_asked_for_and_an_open_one_is_no_history(venue: str, tmp_path: Path) -> None:
    async with serving(venue, tmp_path / "data") as one:
        await until(lambda: len(one.exchange.trades(one.symbol)) > 5)
        now_ns = one.exchange.now_ns()
        wish = FetchWish(
            venue=venue, symbol=one.symbol, kind=HistoryKind.CANDLES, directory=tmp_path / "h",
            from_text=moment(now_ns - 120 * 10**9), to_text=moment(now_ns - 10**9), url=one.gateway.url,
        )  # fmt: skip
        report = await fetch(wish)
        closed = [
            one
            for one in one.exchange.candles(one.symbol, 60, 720)
            if one.open_ns + 60 * 10**9 <= now_ns - 10**9
        ]
    rows = [row for name in report.files for row in read_rows(tmp_path / "h" / name)]
    assert [int(row["open_time_ns"]) for row in rows] == [candle.open_ns for candle in closed]


async def test_an_unlisted_symbol_has_no_history(tmp_path: Path) -> None:
    async with serving("kraken", tmp_path / "data") as one:
        wish = FetchWish(
            venue="kraken", symbol="NO/SUCH", kind=HistoryKind.TRADES, directory=tmp_path / "h",
            from_text="2024-08-08", to_text="2024-08-09", url=one.gateway.url,
        )  # fmt: skip
        with pytest.raises(HistoryError) as refused:
            await fetch(wish)
    assert refused.value.code == "UNKNOWN_SYMBOL"
    assert read_manifest(tmp_path / "h").files == {}
