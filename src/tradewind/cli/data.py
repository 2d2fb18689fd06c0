"""`tradewind data`: recording of venues' public streams, and their public history."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure
from tradewind.cli.output import Json, note, print_fields, print_json

if TYPE_CHECKING:
    from tradewind.venues.feeds.recording import RecordingStatus
    from tradewind.venues.history.fetch import Progress

data = App(name="data", help="Record a venue's public stream; fetch and check its public history.")
MEBI = 1 << 20
Out = Annotated[Path, Parameter(help="folder of the files; made when it is not there")]
Url = Annotated[str | None, Parameter(help="another address than the venue's, e.g. of `venue serve`")]


@data.command
def record(
    venue: Annotated[Literal["kraken", "binance", "binance-usdm"], Parameter(help="whose stream")],
    *symbol: Annotated[str, Parameter(help="e.g. BTC/USD; Binance's own names are understood too")],
    out: Out,
    for_: Annotated[str | None, Parameter(name="--for", help="stop by itself, e.g. 90s, 5m, 1h30m")] = None,
    url: Url = None,
    socket_url: Annotated[
        str | None, Parameter(help="address of the stream, when it is at another host than --url")
    ] = None,
    depth: Annotated[int, Parameter(help="Kraken: levels a side, 10, 25, 100, 500 or 1000")] = 1_000,
    rotate_mb: Annotated[int, Parameter(help="size of a file before compression, in MiB")] = 256,
    keep_files: Annotated[
        int, Parameter(help="at most so many files, those of earlier runs included; the oldest goes")
    ] = 64,
    min_free_mb: Annotated[int, Parameter(help="stop when less than this is free on the disk, in MiB")] = 256,
    json: Json = False,
) -> int:
    """Every public frame as it came, with its receive time, into numbered gzip files.

    `tradewind up --feed replay --replay FILE` (or FOLDER) plays them again. An interrupt ends in order; after
    a kill what was flushed, twice a second, is readable. The next run goes on with the next number.
    """
    from tradewind.config import parse_duration_s
    from tradewind.venues.feeds.recording import RecordingRefused, RecordingWish
    from tradewind.venues.market_data import FeedError

    if min(rotate_mb, keep_files) < 1 or min_free_mb < 0:
        raise CommandFailure(ExitCode.CANNOT, "BAD_BOUND", "--rotate-mb and --keep-files are at least 1")
    wish = RecordingWish(
        venue=venue, symbols=symbol, directory=out, url=url, socket_url=socket_url, depth=depth,
        max_file_bytes=rotate_mb * MEBI, max_files=keep_files, min_free_bytes=min_free_mb * MEBI,
    )  # fmt: skip
    for_s = None if for_ is None else parse_duration_s(for_)
    try:
        reason, status = asyncio.run(_record(wish, for_s, quiet=json))
    except RecordingRefused as error:
        code = ExitCode.LOCKED if error.code == "LOCKED" else ExitCode.CANNOT
        raise CommandFailure(code, error.code, str(error)) from error
    except FeedError as error:
        raise CommandFailure(
            ExitCode.RED, error.code, f"{venue} does not answer as it should: {error}"
        ) from error
    document = {"ended": reason, "folder": str(out), **status}
    if json:
        print_json(document)
    else:
        print_fields(document, title=f"Recording of {venue}")
    if reason in ("disk", "capture") or not status["frames"]:
        return ExitCode.RED
    return ExitCode.OK


async def _record(wish: Any, for_s: float | None, *, quiet: bool) -> tuple[str, dict[str, Any]]:
    import msgspec

    from tradewind.venues.feeds.recording import start_recording

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    recording = await start_recording(wish)
    with _live(quiet=quiet) as show:
        reason = await recording.run(stop, lambda status: show(_line(status)), for_s=for_s)
    if recording.feed.capture_failure is not None:
        note(f"the capture failed: {recording.feed.capture_failure}")
    return reason, msgspec.to_builtins(recording.status())


def _line(status: RecordingStatus) -> str:
    books = " ".join(f"{symbol} {state}" for symbol, state in list(status.books.items())[:4])
    more = f" +{len(status.books) - 4}" if len(status.books) > 4 else ""
    trouble = (
        f", {status.gaps} gaps, {status.reconnects} reconnects" if status.gaps or status.reconnects else ""
    )
    return (
        f"{status.connection} {status.elapsed_s:.0f} s: {status.frames:,} frames, {status.trades:,} trades, "
        f"{status.frame_bytes / MEBI:.1f} MiB in, {status.disk_bytes / MEBI:.1f} MiB in {status.files} "
        f"file(s){trouble}; {books}{more}"
    )


@contextmanager
def _live(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """One line on standard error that is written over; nothing where that is no terminal."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(stderr=True, quiet=quiet)
    with console.status("connecting") as status:
        yield lambda text: status.update(escape(text))


@data.command
def fetch(
    venue: Annotated[Literal["binance", "kraken"], Parameter(help="whose history")],
    symbol: Annotated[str, Parameter(help="e.g. BTC/USD")],
    *,
    kind: Annotated[Literal["trades", "candles", "agg-trades"], Parameter(help="what to fetch")],
    from_: Annotated[str, Parameter(name="--from", help="first day, UTC, e.g. 2024-08-01")],
    to: Annotated[str, Parameter(help="the day or moment behind the last one (exclusive)")],
    out: Out,
    interval: Annotated[str, Parameter(help="candles: 1m, 5m, 15m, 30m, 1h, 4h, 1d")] = "1m",
    source: Annotated[
        Literal["auto", "archive", "rest"], Parameter(help="Binance: its archive, its API, or what has it")
    ] = "auto",
    url: Url = None,
    archive_url: Annotated[str | None, Parameter(help="another address of the archive")] = None,
    json: Json = False,
) -> int:
    """Public history, one gzip CSV a day, with a manifest of ranges, rows and SHA-256.

    Run it again to go on where it ended: complete days are not fetched again, a half file never counts.
    """
    import msgspec

    from tradewind.venues.history.fetch import FetchWish
    from tradewind.venues.history.fetch import fetch as fetch_history
    from tradewind.venues.history.model import HistoryError, HistoryKind

    wish = FetchWish(
        venue=venue, symbol=symbol, kind=HistoryKind(kind), directory=out, from_text=from_, to_text=to,
        interval=interval, source=source, url=url, archive_url=archive_url,
    )  # fmt: skip
    try:
        with _bar(f"{venue} {symbol} {kind}", quiet=json) as tell:
            report = asyncio.run(fetch_history(wish, tell))
    except HistoryError as error:
        raise _failure(error) from error
    document = {"folder": str(out), **msgspec.to_builtins(report.progress), "files": len(report.files)}
    del document["download_bytes"], document["at"]
    if json:
        print_json({**document, "files": report.files})
    else:
        print_fields(document, title=f"History of {symbol} at {venue}")
    return ExitCode.OK


WISHES = frozenset({"BAD_DATE", "BAD_RANGE", "BAD_INTERVAL", "BAD_SOURCE", "BAD_ADDRESS", "UNKNOWN_VENUE"})


def _failure(error: Any) -> CommandFailure:
    if error.code == "LOCKED":
        return CommandFailure(ExitCode.LOCKED, error.code, str(error))
    code = ExitCode.CANNOT if error.code in WISHES else ExitCode.RED
    retryable = error.code in ("RATE_LIMITED", "UNREACHABLE")
    more = {"next": "the same command goes on where this one ended"} if retryable else {}
    return CommandFailure(code, error.code, str(error), **more)


@contextmanager
def _bar(description: str, *, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """A bar over the days, with rows and requests, on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("days"),
        TextColumn("{task.fields[said]}"), TimeRemainingColumn(),
    )  # fmt: skip
    console = Console(stderr=True, quiet=quiet)
    with Progress(*columns, console=console, transient=not console.is_terminal) as bar:
        task = bar.add_task(description, total=None, said="")

        def tell(one: Any) -> None:
            half = f", {one.download_bytes / MEBI:.1f} MiB" if one.download_bytes else ""
            said = f"{one.at}: {one.rows:,} rows, {one.requests:,} requests{half}"
            bar.update(task, completed=one.done_days, total=one.days, said=said)

        yield tell


@data.command
def verify(
    out: Annotated[Path, Parameter(help="folder of `data fetch`")],
    *,
    json: Json = False,
) -> int:
    """Compare the files of a folder with its manifest."""
    from tradewind.venues.history.model import HistoryError
    from tradewind.venues.history.store import MANIFEST, read_manifest
    from tradewind.venues.history.store import verify as verify_history

    if not (out / MANIFEST).is_file():
        raise CommandFailure(ExitCode.CANNOT, "NO_MANIFEST", f"{out} has no {MANIFEST}")
    try:
        wrong, listed = verify_history(out), read_manifest(out).files
    except HistoryError as error:
        raise CommandFailure(ExitCode.RED, error.code, str(error)) from error
    rows = sum(entry.rows for entry in listed.values())
    document = {"files": len(listed), "rows": rows, "damaged": wrong}
    if json:
        print_json(document)
    else:
        print_fields(
            {**document, "damaged": [f"{name}: {text}" for name, text in wrong.items()]}, title=str(out)
        )
    return ExitCode.RED if wrong else ExitCode.OK


@data.command
def inspect(
    *path: Annotated[Path, Parameter(help="captures of `data record`, or files with one JSON message each")],
    venue: Annotated[
        Literal["kraken", "binance", "polymarket"] | None, Parameter(help="whose the single messages are")
    ] = None,
    shape: Annotated[
        str | None, Parameter(help="what a single message is, e.g. 'kraken rest Ticker'; frames say it")
    ] = None,
    json: Json = False,
) -> int:
    """Read every message in full, and name the fields and words in them that this build does not know.

    Exit status 1 when there are some, or messages that are not what they should be.
    """
    import msgspec

    from tradewind.venues.inspection import VENUES
    from tradewind.venues.inspection import inspect as inspect_files
    from tradewind.venues.market_data import FeedError

    if not path:
        raise CommandFailure(ExitCode.CANNOT, "NO_FILES", "name at least one file")
    names = [name for catalogue, _ in VENUES.values() for name in catalogue.shapes]
    if shape is not None and shape not in names:
        near = ", ".join(one for one in names if shape.rpartition(" ")[2].lower() in one.lower())[:400]
        raise CommandFailure(ExitCode.CANNOT, "NO_SHAPE", f"no message is called {shape!r}; near: {near}")
    try:
        found = inspect_files(list(path), venue, shape)
    except FeedError as error:
        raise CommandFailure(ExitCode.CANNOT, error.code, str(error)) from error
    document = {**msgspec.to_builtins(found), "clean": found.is_clean}
    if json:
        print_json(document)
    else:
        rows = {
            key: [f"{count:,} {name}" for name, count in document[key].items()]
            for key in found.__struct_fields__
        }
        print_fields({**rows, "clean": found.is_clean}, title="Messages")
    return ExitCode.OK if found.is_clean else ExitCode.RED
