"""History: what is fetched is what the venue has, whatever happens on the way; a half file never counts."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
import itertools

from history_server import DAY_MS, PastVenue, Unlimited

from tradewind.venues.history.binance import moment_ns
from tradewind.venues.history.client import BinanceBudget, KrakenBudget
from tradewind.venues.history.fetch import FetchReport, FetchWish, fetch
from tradewind.venues.history.model import HistoryError, HistoryKind, number, seconds_ns, span_of
from tradewind.venues.history.store import MANIFEST, read_manifest, read_rows, verify
from tradewind.venues.limits.retry import RetryPolicy

AUGUST_MS = 1_722_470_400_000
"""2024-08-01."""
QUICK = RetryPolicy(base_s=0.001, ceiling_s=0.01)


def trades_of(
    days: int, a_day: int = 7, empty: frozenset[int] = frozenset()
) -> list[tuple[int, str, str, bool]]:
    """Some trades a day; two share a moment, one is at midnight exactly."""
    return [
        (AUGUST_MS + day * DAY_MS + number // 2 * 5_000_000, f"{60_000 + day}.{number}0", f"0.00{number}1",
         number % 2 == 0)
        for day in range(days)
        if day not in empty
        for number in range(a_day)
    ]  # fmt: skip


async def take(past: PastVenue, folder: Path, /, **changes: Any) -> FetchReport:
    fields: dict[str, Any] = {
        "venue": "binance", "symbol": "BTC/USDT", "kind": HistoryKind.AGG_TRADES, "directory": folder,
        "from_text": "2024-08-01", "to_text": "2024-08-04", "url": past.url, "archive_url": past.url,
        "policy": QUICK,
    }  # fmt: skip
    return await fetch(FetchWish(**(fields | changes)), budgets=(Unlimited(), Unlimited()))


def rows_of(report: FetchReport) -> list[dict[str, str]]:
    return [row for name in report.files for row in read_rows(report.directory / name)]


def told(rows: list[dict[str, str]]) -> list[tuple[int, str, str, bool]]:
    return [
        (int(row["time_ns"]) // 10**6, row["price"], row["quantity"], row["taker_side"] == "sell")
        for row in rows
    ]


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


async def code_of(running: Any) -> str:
    with pytest.raises(HistoryError) as error:
        await running
    return error.value.code


SOURCES = [("binance", HistoryKind.AGG_TRADES, "archive"), ("binance", HistoryKind.TRADES, "archive"),
           ("binance", HistoryKind.AGG_TRADES, "rest"), ("kraken", HistoryKind.TRADES, "rest")]  # fmt: skip


@pytest.mark.parametrize(("name", "kind", "source"), SOURCES)
@pytest.mark.parametrize("page", [3, 1_000])
async def test_every_source_gives_each_trade_once_in_order_and_exactly(
    name: str, kind: HistoryKind, source: str, page: int, tmp_path: Path
) -> None:
    symbol = "BTC/USD" if name == "kraken" else "BTC/USDT"
    async with PastVenue(trades_of(5, empty=frozenset({1}))) as venue:
        venue.page = page
        report = await take(venue, tmp_path, venue=name, kind=kind, source=source, symbol=symbol)
    expected = [one for one in trades_of(3, empty=frozenset({1}))]
    assert told(rows_of(report)) == expected
    assert report.progress.missing_ids == 0
    assert verify(tmp_path) == {}
    entries = read_manifest(tmp_path).files
    assert [entries[name].rows for name in report.files] == [7, 0, 7], "an empty day is complete and empty"


async def test_a_whole_month_comes_as_one_zip(tmp_path: Path) -> None:
    async with PastVenue(trades_of(31)) as venue:
        report = await take(venue, tmp_path, to_text="2024-09-01")
        assert [path for path in venue.asked if path.endswith(".zip")] == [
            "/data/spot/monthly/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2024-08.zip"
        ]
        daily = await take(venue, tmp_path / "daily", to_text="2024-08-31")
    assert len(report.files) == 31
    assert told(rows_of(report)) == trades_of(31)
    for name in daily.files:
        assert (tmp_path / name).read_bytes() == (tmp_path / "daily" / name).read_bytes()


async def test_a_day_that_the_archive_lacks_comes_from_rest(tmp_path: Path) -> None:
    async with PastVenue(trades_of(3)) as venue:
        venue.without = {"2024-08-02"}
        report = await take(venue, tmp_path)
        assert told(rows_of(report)) == trades_of(3)
        sources = [read_manifest(tmp_path).files[name].source.partition(":")[0] for name in report.files]
        assert sources == ["archive", "rest", "archive"]
        assert await code_of(take(venue, tmp_path / "a", source="archive")) == "NOT_FOUND"
        assert await code_of(take(venue, tmp_path / "t", kind=HistoryKind.TRADES)) == "NOT_OFFERED"
    assert len(read_manifest(tmp_path / "a").files) == 1, "the day before is kept"


@pytest.mark.parametrize("fault", ["cut", "wrong", "short", 500, 429])
async def test_one_fault_on_the_way_changes_nothing(fault: int | str, tmp_path: Path) -> None:
    async with PastVenue(trades_of(3)) as venue:
        clean = await take(venue, tmp_path / "clean")
        venue.faults = {"/data/spot/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2024-08-02.zip": [0, fault]}
        report = await take(venue, tmp_path / "faulty")
    assert content(tmp_path / "faulty") == content(tmp_path / "clean")
    assert report.progress.retries + report.progress.rejected_archives == 1
    assert clean.progress.retries == 0


@pytest.mark.parametrize("fault", ["cut", 500, 429])
@pytest.mark.parametrize("name", ["binance", "kraken"])
async def test_one_fault_of_rest_changes_nothing(name: str, fault: int | str, tmp_path: Path) -> None:
    wish = {"source": "rest"} if name == "binance" else {"venue": "kraken", "kind": HistoryKind.TRADES,
                                                         "symbol": "BTC/USD"}  # fmt: skip
    async with PastVenue(trades_of(3)) as venue:
        await take(venue, tmp_path / "clean", **wish)
        venue.faults = {"/api/v3/aggTrades": [0, fault], "/0/public/Trades": [fault]}
        report = await take(venue, tmp_path / "faulty", **wish)
    assert content(tmp_path / "faulty") == content(tmp_path / "clean")
    assert report.progress.retries == 1


@pytest.mark.parametrize(
    ("fault", "code"),
    [("wrong", "CHECKSUM"), ("short", "CHECKSUM"), ("cut", "UNREACHABLE"), (503, "UNREACHABLE")],
)
async def test_a_lasting_fault_ends_the_fetch_and_lists_nothing_of_that_day(
    fault: int | str, code: str, tmp_path: Path
) -> None:
    async with PastVenue(trades_of(3)) as venue:
        await take(venue, tmp_path / "clean")
        start = "/data/spot/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2024-08-02.zip"
        # the checksum is asked for before each download: only the zip itself is hit
        venue.faults = {start + ".CHECKSUM": [], start: [item for _ in range(9) for item in (0, fault)]}
        if fault in ("cut", 503):
            venue.faults[start] = [0] + [fault] * 9
        assert await code_of(take(venue, tmp_path / "faulty")) == code
        listed = read_manifest(tmp_path / "faulty").files
        assert [entry.from_ns for entry in listed.values()] == [AUGUST_MS * 10**6]
        assert sorted(content(tmp_path / "faulty")) == sorted([*listed, MANIFEST]), "nothing half is left"
        venue.faults = {}
        report = await take(venue, tmp_path / "faulty")
    assert report.progress.kept_days == 1
    assert content(tmp_path / "faulty") == content(tmp_path / "clean")


async def test_a_second_run_asks_for_nothing_and_mends_what_was_damaged(tmp_path: Path) -> None:
    async with PastVenue(trades_of(3)) as venue:
        report = await take(venue, tmp_path)
        before, venue.asked = content(tmp_path), type(venue.asked)()
        assert (await take(venue, tmp_path)).progress.requests == 0
        path = tmp_path / report.files[1]
        path.write_bytes(path.read_bytes()[:-3])
        assert list(verify(tmp_path)) == [report.files[1]]
        (tmp_path / report.files[2]).unlink()
        again = await take(venue, tmp_path)
    assert again.progress.kept_days == 1
    assert content(tmp_path) == before


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from history_server import Unlimited
from tradewind.venues.history.fetch import FetchWish, fetch
from tradewind.venues.history.model import HistoryKind
rows = 0
def tell(progress):
    if progress.done_days >= int(sys.argv[4]) or progress.download_bytes and progress.done_days:
        os.kill(os.getpid(), signal.SIGKILL)
wish = FetchWish(venue="binance", symbol="BTC/USDT", kind=HistoryKind.AGG_TRADES, directory=Path(sys.argv[1]),
    from_text="2024-08-01", to_text="2024-08-05", url=sys.argv[2], archive_url=sys.argv[2])
asyncio.run(fetch(wish, tell, budgets=(Unlimited(), Unlimited())))
"""


@pytest.mark.parametrize("days", ["1", "2", "3"])
async def test_a_fetch_that_was_killed_goes_on_and_ends_with_the_same_bytes(
    days: str, tmp_path: Path
) -> None:
    folder, here = tmp_path / "killed", str(Path(__file__).parent)
    async with PastVenue(trades_of(4)) as venue:
        await take(venue, tmp_path / "clean", to_text="2024-08-05")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", KILLED, str(folder), venue.url, here, days, stderr=subprocess.DEVNULL,
            env={**os.environ},
        )  # fmt: skip
        assert await asyncio.wait_for(process.wait(), 60) == -signal.SIGKILL
        assert 1 <= len(read_manifest(folder).files) < 4
        assert [name for name, text in verify(folder).items() if text != "not in the manifest"] == []
        await take(venue, folder, to_text="2024-08-05")
    assert content(folder) == content(tmp_path / "clean")


async def test_ids_that_the_venue_skipped_are_counted_and_named(tmp_path: Path) -> None:
    class Skipping(PastVenue):
        def _Trades(self, query: dict[str, str]) -> Any:
            answer = super()._Trades(query)
            rows = answer["result"]["XXBTZUSD"]
            answer["result"]["XXBTZUSD"] = [row for row in rows if row[6] not in (3, 4)]
            return answer

    wish = {"venue": "kraken", "kind": HistoryKind.TRADES, "symbol": "BTC/USD", "to_text": "2024-08-02"}
    async with Skipping(trades_of(1)) as venue:
        report = await take(venue, tmp_path, **wish)
    [entry] = read_manifest(tmp_path).files.values()
    assert (entry.rows, entry.missing_ids, entry.gaps) == (5, 2, [(2, 5)])
    assert report.progress.missing_ids == 2


async def test_candles_of_binance_are_complete_and_those_kraken_forgot_are_refused(tmp_path: Path) -> None:
    async with PastVenue(trades_of(40)) as venue:
        report = await take(venue, tmp_path, kind=HistoryKind.CANDLES, source="rest", to_text="2024-08-03")
        rows = rows_of(report)
        assert [int(row["open_time_ns"]) for row in rows] == [
            (AUGUST_MS + 60_000 * n) * 10**6 for n in range(2 * 1440)
        ]
        assert rows[0]["vwap"] == ""
        wish = {"venue": "kraken", "kind": HistoryKind.CANDLES, "symbol": "BTC/USD", "interval": "1h"}
        assert await code_of(take(venue, tmp_path / "k", **wish)) == "NOT_KEPT"
        late = await take(venue, tmp_path / "l", from_text="2024-09-01", to_text="2024-09-03", **wish)
    assert len(rows_of(late)) == 48
    assert read_manifest(tmp_path / "k").files == {}


async def test_a_kraken_throttle_waits_and_a_refusal_is_final(tmp_path: Path) -> None:
    class Refusing(PastVenue):
        errors: ClassVar[list[str]] = ["EGeneral:Invalid arguments"]

        def _Trades(self, query: dict[str, str]) -> Any:
            return {"error": [self.errors.pop(0)]} if self.errors else super()._Trades(query)

    wish = {"venue": "kraken", "kind": HistoryKind.TRADES, "symbol": "BTC/USD"}
    async with Refusing(trades_of(3)) as venue:
        assert await code_of(take(venue, tmp_path, **wish)) == "REFUSED"
        venue.errors[:] = ["EService:Unavailable", "EService:Busy"]
        report = await take(venue, tmp_path, **wish)
    assert report.progress.retries == 2
    assert told(rows_of(report)) == trades_of(3)


async def test_only_one_fetch_writes_in_a_folder(tmp_path: Path) -> None:
    async with PastVenue(trades_of(3)) as venue:
        codes: list[str] = []

        def second(progress: Any) -> None:
            if not codes:
                from tradewind.venues.history.store import HistoryStore

                with pytest.raises(HistoryError) as error:
                    HistoryStore(tmp_path)
                codes.append(error.value.code)

        wish = FetchWish(venue="binance", symbol="BTC/USDT", kind=HistoryKind.AGG_TRADES, directory=tmp_path,
                         from_text="2024-08-01", to_text="2024-08-02", url=venue.url,
                         source="rest")  # fmt: skip
        await fetch(wish, second, budgets=(Unlimited(), None))
    assert codes == ["LOCKED"]


async def test_a_budget_of_kraken_lets_out_five_and_then_one_a_second() -> None:
    budget = KrakenBudget()
    for _ in range(5):
        await asyncio.wait_for(budget.admit(1), 1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(budget.admit(1), 0.05)
    wait_s = budget.answered(200, {}, "EAPI:Rate limit exceeded", 0)
    assert wait_s is None or wait_s >= 0


async def test_a_budget_of_binance_knows_nothing_before_it_was_loaded() -> None:
    budget = BinanceBudget()
    await budget.admit(0)
    assert await code_of(budget.admit(2)) == "RATE_LIMITED"
    with pytest.raises(HistoryError, match="no limits"):
        budget.load([])
    assert budget.answered(418, {"Retry-After": "120"}, "", 0) == pytest.approx(120, abs=1)


@pytest.mark.parametrize("wish", [
    {"from_text": "2024-08-04"}, {"to_text": "2999-01-01"}, {"from_text": "tomorrow"}, {"interval": "7m"},
    {"venue": "mtgox"}, {"symbol": "../x"}, {"venue": "kraken", "source": "archive"}, {"url": "ftp://x"},
])  # fmt: skip
async def test_a_wish_that_makes_no_sense_is_refused_before_anything_is_asked(
    wish: dict[str, Any], tmp_path: Path
) -> None:
    async with PastVenue(trades_of(1)) as venue:
        with pytest.raises(HistoryError):
            await take(venue, tmp_path, **wish)
        assert not venue.asked


@given(st.integers(0, 2**62))
def test_seconds_of_any_length_become_exact_ns(time_ns: int) -> None:
    assert seconds_ns(Decimal(time_ns).scaleb(-9)) == time_ns


@given(st.integers(10**12, 10**13 - 1))
def test_milliseconds_and_microseconds_are_told_apart_by_their_digits(time_ms: int) -> None:
    assert moment_ns(time_ms) == moment_ns(str(time_ms * 1_000)) == time_ms * 10**6


@given(st.one_of(st.floats(), st.text(max_size=8), st.none(), st.booleans(), st.integers(max_value=-1)))
def test_nothing_but_a_plain_decimal_text_is_a_price(value: Any) -> None:
    plain = isinstance(value, str) and value.isascii() and value.replace(".", "", 1).isdigit()
    if plain and not value.startswith(".") and not value.endswith("."):
        assert number(value) == value
    else:
        with pytest.raises(HistoryError):
            number(value)


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_days_cover_a_span_without_gap_or_overlap(begin_s: int, length_s: int) -> None:
    text = [f"2024-01-{1 + at // 86_400:02d}T{at % 86_400 // 3600:02d}:{at % 3600 // 60:02d}:{at % 60:02d}"
            for at in (begin_s, begin_s + length_s)]  # fmt: skip
    span = span_of(*text, now_ns=2 * 10**18)
    days = list(span.days())
    assert (days[0].from_ns, days[-1].to_ns) == (span.from_ns, span.to_ns)
    assert all(one.to_ns == two.from_ns for one, two in itertools.pairwise(days))
    assert len({one.day for one in days}) == len(days)
