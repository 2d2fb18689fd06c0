"""Suite `decode`: book updates of Kraken and Binance, from the bytes of a frame to an applied, judged book.

Recorded captures when they lie beside the installation (`TRADEWIND_SHARED`, or `../shared`), else generated
messages of the same shape; each figure says which. Times are those of one core (process time). Beside them
stands ccxt on the same frames, in an environment of its own.
"""

from __future__ import annotations

import gc
import json
import os
import random
import time
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from tradewind.lab.bench import children
from tradewind.lab.bench.context import (
    Context,
    Figures,
    MeasureFailed,
    Skipped,
    median,
    microseconds,
    per_second,
    percentile,
)
from tradewind.lab.bench.peers import Peer, document, interpreter
from tradewind.venues.binance.decoder import BinanceDecoder
from tradewind.venues.feeds.book import BookLimits, MirrorBook
from tradewind.venues.feeds.captures import CapturedFrame, read_capture
from tradewind.venues.feeds.checksum import CHECKSUM_LEVELS, kraken_checksum, kraken_levels_checksum
from tradewind.venues.feeds.decoding import Decoder, Received
from tradewind.venues.feeds.pipeline import MarketPipeline
from tradewind.venues.feeds.recorded import RecordedFeed
from tradewind.venues.feeds.sequencing import BinanceSpotRule, GaplessRule, KrakenChecksumRule
from tradewind.venues.kraken.decoder import KrakenDecoder
from tradewind.venues.market_data import BookDelta, BookSnapshot, BookState, Instrument, Level

ADAPTER: Final = Path(__file__).parent / "adapters" / "peer_ccxt_decode.py"
PEER: Final = Peer(
    "ccxt",
    "ccxt",
    ("ccxt",),
    "its own order book handlers (ccxt.pro) behind json.loads",
    "prices are floats; verifies no checksum; judges neither age nor plausibility",
    preparation_s=60.0,
)
CAPTURE_FOLDER_VARIABLE: Final = "TRADEWIND_SHARED"
BINANCE_CAPTURE: Final = "binance-spot-btcusdt-2024-08-08.gz"
KRAKEN_CAPTURE: Final = "kraken-spot-v1-book1000-5pairs-2021-04-17.ws.txt.gz"
KRAKEN_PAIR: Final = "XMR/USD"
BEGIN_NS: Final = 1_700_000_000_000_000_000
STEP_NS: Final = 10_000_000
CLEARED: Final = 256
"""Published events are dropped after so many, as a consumer would take them."""


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """Frames of one symbol; the first is its snapshot."""

    instrument: Instrument
    frames: list[bytes]
    levels: int
    source: str


def run(context: Context) -> Figures:
    """One group per venue, `ccxt` in it, and the whole recorded stream of Binance."""
    figures: Figures = {}
    captures = captures_folder()
    for venue in ("kraken", "binance"):
        context.tell(venue)
        flow = flow_of(venue, captures, context.effort.decode_messages)
        figures[venue] = measure(venue, flow, context.effort.repeats)
        context.tell(f"ccxt on the frames of {venue}")
        figures[venue]["ccxt"] = peer(venue, flow, figures[venue], context)
    if captures is not None:
        context.tell("everything of a recorded stream")
        figures["binance"]["stream"] = stream(captures / BINANCE_CAPTURE, context.effort.repeats)
    return figures


def captures_folder() -> Path | None:
    """Where recordings lie, None when there are none."""
    root = Path(__file__).resolve().parents[5]
    folder = Path(os.environ.get(CAPTURE_FOLDER_VARIABLE, root / "shared")) / "data" / "captures"
    return folder if (folder / BINANCE_CAPTURE).is_file() and (folder / KRAKEN_CAPTURE).is_file() else None


# ---- frames ------------------------------------------------------------------------------------------------


def flow_of(venue: str, captures: Path | None, messages: int) -> Flow:
    """The frames to measure with."""
    if captures is None:
        return generated(venue, messages)
    return _recorded_kraken(captures) if venue == "kraken" else _recorded_binance(captures)


def _recorded_binance(captures: Path) -> Flow:
    feed = RecordedFeed(captures / BINANCE_CAPTURE, speed=None)
    [instrument] = feed.instruments.values()
    kept = [one.frame for one in read_capture(captures / BINANCE_CAPTURE)]
    body = next(frame for frame in kept if frame.startswith(b'{"lastUpdateId"'))
    last = json.loads(body)["lastUpdateId"]
    depth = [frame for frame in kept if b"@depth" in frame[:40] and json.loads(frame)["data"]["u"] > last]
    snapshot = b'{"symbol":"%s",%s' % (instrument.venue_symbol.encode(), body[1:])
    return Flow(instrument=instrument, frames=[snapshot, *depth], levels=_text_levels(depth),
                source=f"recorded: every depth update of {BINANCE_CAPTURE}")  # fmt: skip


def _text_levels(frames: Sequence[bytes]) -> int:
    rows = (json.loads(frame)["data"] for frame in frames)
    return sum(len(row["b"]) + len(row["a"]) for row in rows)


def _recorded_kraken(captures: Path) -> Flow:
    """Kraken's capture speaks v1; its levels and checksums are told again in the words of v2."""
    feed = RecordedFeed(captures / KRAKEN_CAPTURE, speed=None)
    messages: list[BookSnapshot | BookDelta] = []
    for number, captured in enumerate(read_capture(captures / KRAKEN_CAPTURE)):
        received = Received(captured.recv_ts_ns, number, 0)
        decoded = feed.pipeline.decoder.decode(captured.frame, received)
        messages += [one for one in decoded if isinstance(one, BookSnapshot | BookDelta)]
    wanted = [one for one in messages if one.symbol == KRAKEN_PAIR]
    instrument = feed.instruments[KRAKEN_PAIR]
    first = wanted[0]  # v1 sends no checksum with a snapshot, v2 does
    proof = kraken_levels_checksum(instrument)(first.asks[:CHECKSUM_LEVELS], first.bids[:CHECKSUM_LEVELS])
    wanted[0] = msgspec.structs.replace(first, checksum=proof)
    return Flow(
        instrument=instrument, frames=[kraken_frame(instrument, one) for one in wanted],
        levels=sum(len(one.bids) + len(one.asks) for one in wanted[1:]),
        source=f"recorded: every book message of {KRAKEN_PAIR} in {KRAKEN_CAPTURE}, written as v2",
    )  # fmt: skip


def kraken_frame(instrument: Instrument, one: BookSnapshot | BookDelta) -> bytes:
    """A v2 frame of a book message; numbers have the instrument's decimals."""

    def side(levels: Sequence[Level]) -> str:
        rows = [
            f'{{"price":{instrument.tick * price:.{instrument.price_decimals}f},'
            f'"qty":{instrument.lot * lots:.{instrument.quantity_decimals}f}}}'
            for price, lots in levels
        ]
        return ",".join(rows)

    kind = "snapshot" if isinstance(one, BookSnapshot) else "update"
    return (
        f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{instrument.venue_symbol}",'
        f'"bids":[{side(one.bids)}],"asks":[{side(one.asks)}],"checksum":{one.checksum or 0},'
        '"timestamp":"2023-10-06T17:35:55.440295Z"}]}'
    ).encode()


def binance_frame(instrument: Instrument, one: BookSnapshot | BookDelta) -> bytes:
    """A combined-stream depth update, or the REST body that the stream begins with."""

    def side(levels: Sequence[Level]) -> list[list[str]]:
        return [[f"{instrument.tick * price:.8f}", f"{instrument.lot * lots:.8f}"] for price, lots in levels]

    if isinstance(one, BookSnapshot):
        body = {"symbol": instrument.venue_symbol, "lastUpdateId": one.sequence, "bids": side(one.bids),
                "asks": side(one.asks)}  # fmt: skip
        return msgspec.json.encode(body)
    data = {"e": "depthUpdate", "E": 1_700_000_000_000, "s": instrument.venue_symbol, "U": one.first_id,
            "u": one.last_id, "b": side(one.bids), "a": side(one.asks)}  # fmt: skip
    return msgspec.json.encode({"stream": f"{instrument.venue_symbol.lower()}@depth@100ms", "data": data})


def generated(venue: str, messages: int, seed: int = 7) -> Flow:
    """A walk of one book: two levels an update for Kraken, thirty-six for Binance, as they were recorded."""
    kraken = venue == "kraken"
    instrument = Instrument(
        venue=venue, symbol="BTC/USD", venue_symbol="BTC/USD" if kraken else "BTCUSD", base="BTC",
        quote="USD", tick=Decimal("0.1"), lot=Decimal("0.00000001"), price_decimals=1, quantity_decimals=8,
        source="generated",
    )  # fmt: skip
    book = MirrorBook(instrument, GaplessRule(), BookLimits())
    checksum, frame = kraken_checksum(instrument), kraken_frame if kraken else binance_frame
    frames, levels = [], 0
    for one in walk(random.Random(seed), 2 if kraken else 36, messages):  # noqa: S311 no secret
        if isinstance(one, BookSnapshot):
            book.on_snapshot(one, [])
        else:
            book.on_delta(one, [])
            levels += len(one.bids) + len(one.asks)
        frames.append(frame(instrument, msgspec.structs.replace(one, checksum=checksum(book))))
    return Flow(instrument=instrument, frames=frames, levels=levels, source=f"generated, seed {seed}")


def walk(
    dice: random.Random, changes: int, messages: int, middle: int = 600_000
) -> Iterator[BookSnapshot | BookDelta]:
    """A snapshot of 500 levels a side around `middle` ticks, and so many updates of `changes` levels."""
    at: dict[str, Any] = {"symbol": "BTC/USD", "venue_ts_ns": None, "recv_ts_ns": BEGIN_NS, "recv_mono_ns": 0,
                          "epoch": 0}  # fmt: skip
    sides = [
        tuple((middle + sign * (5 + step), dice.randint(1, 10**9)) for step in range(500)) for sign in (-1, 1)
    ]
    yield BookSnapshot(bids=sides[0], asks=sides[1], sequence=1, **at)
    for number in range(2, messages + 2):
        levels: list[list[Level]] = [[], []]
        for price in dice.sample(range(5, 60), changes):
            side = dice.randrange(2)
            lots = 0 if dice.random() < 0.2 else dice.randint(1, 10**9)
            levels[side].append((middle + price if side else middle - price, lots))
        yield BookDelta(bids=tuple(levels[0]), asks=tuple(levels[1]), first_id=number, last_id=number,
                        previous_id=number - 1, **at)  # fmt: skip


# ---- ours --------------------------------------------------------------------------------------------------


def pipeline_of(venue: str, instrument: Instrument) -> MarketPipeline:
    """What a live feed of this venue has."""
    if venue == "kraken":
        return MarketPipeline(
            KrakenDecoder([instrument]), KrakenChecksumRule(), BookLimits(), kraken_checksum
        )
    return MarketPipeline(BinanceDecoder([instrument]), BinanceSpotRule(), BookLimits())


def begin(venue: str, flow: Flow) -> MarketPipeline:
    """A pipeline whose book has its snapshot. Raises `MeasureFailed`."""
    pipeline, out, at = pipeline_of(venue, flow.instrument), [], Received(BEGIN_NS, 0, 0)  # type: ignore[var-annotated]
    if venue == "kraken":
        pipeline.process(flow.frames[0], at, out)
    else:
        decoder = pipeline.decoder
        assert isinstance(decoder, BinanceDecoder)
        pipeline.apply(decoder.decode_snapshot(flow.frames[0], flow.instrument.venue_symbol, at), out)
    return pipeline


def measure(venue: str, flow: Flow, repeats: int) -> Figures:
    """Rates of book updates, decoded only and applied, and how long they wait at half of that rate.

    Raises:
        MeasureFailed: the book is not live behind the last frame.
    """
    updates = flow.frames[1:]
    receipts = [Received(BEGIN_NS + STEP_NS * number, number, 0) for number in range(1, len(updates) + 1)]
    applied, decoded = [], []
    for _ in range(repeats):
        pipeline = begin(venue, flow)
        applied.append(per_second(len(updates), _apply(pipeline, updates, receipts)))
        [book] = pipeline.books.values()
        if book.counters.applied != len(updates) or book.state is not BookState.LIVE:
            raise MeasureFailed(f"{venue}: {book.counters}, {book.state}: {book.reason}")
        decoded.append(
            per_second(len(updates), _decode(pipeline_of(venue, flow.instrument).decoder, updates))
        )
    rate = median(applied)
    waits: list[int] = []
    for _ in range(repeats if rate else 0):
        assert rate is not None
        waits += _waits(begin(venue, flow), updates, receipts, rate / 2)
    size, each = sum(map(len, updates)), flow.levels / len(updates)
    return {
        "messages_per_second": rate,
        "decode_only_messages_per_second": median(decoded),
        "levels_per_second": None if rate is None else round(rate * each),
        "queue_delay_p99_us": microseconds(percentile(waits, 0.99)) if waits else None,
        "messages": len(updates),
        "levels_per_message": round(each, 1),
        "bytes_per_message": round(size / len(updates)),
        "source": flow.source,
        "top": _top(book),
    }


def _top(book: MirrorBook) -> list[str]:
    tick = book.instrument.tick
    return [str((tick * side.best[0]).normalize()) if side.best else "-" for side in (book.bids, book.asks)]


def _apply(pipeline: MarketPipeline, frames: Sequence[bytes], receipts: Sequence[Received]) -> int:
    process, out = pipeline.process, []  # type: ignore[var-annotated]
    gc.collect()
    begin_ns = time.process_time_ns()
    for frame, received in zip(frames, receipts, strict=True):
        process(frame, received, out)
        if len(out) > CLEARED:
            out.clear()
    return time.process_time_ns() - begin_ns


def _waits(
    pipeline: MarketPipeline, frames: Sequence[bytes], receipts: Sequence[Received], rate: float
) -> list[int]:
    """Nanoseconds that each frame waits for its turn when so many a second are due, each at its time."""
    process, out, waits = pipeline.process, [], []  # type: ignore[var-annotated]
    gc.collect()
    begin_ns = time.perf_counter_ns()
    for number, (frame, received) in enumerate(zip(frames, receipts, strict=True)):
        due_ns = begin_ns + int(number * 1e9 / rate)
        while (now_ns := time.perf_counter_ns()) < due_ns:
            pass
        waits.append(now_ns - due_ns)
        process(frame, received, out)
        if len(out) > CLEARED:
            out.clear()
    return waits


def _decode(decoder: Decoder, frames: Sequence[bytes]) -> int:
    decode, at = decoder.decode, Received(BEGIN_NS, 0, 0)
    gc.collect()
    begin_ns = time.process_time_ns()
    for frame in frames:
        decode(frame, at)
    return time.process_time_ns() - begin_ns


def stream(path: Path, repeats: int) -> Figures:
    """All messages of a recording (tickers, trades and book updates) through decoder and book."""
    kept: list[CapturedFrame] = list(read_capture(path))
    receipts = [Received(one.recv_ts_ns, one.recv_ts_ns, 0) for one in kept]
    rates = []
    for _ in range(repeats):
        pipeline = RecordedFeed(path, speed=None).pipeline
        rates.append(per_second(len(kept), _apply(pipeline, [one.frame for one in kept], receipts)))
    return {"messages_per_second": median(rates), "messages": len(kept), "source": f"recorded: {path.name}"}


# ---- ccxt --------------------------------------------------------------------------------------------------


def peer(venue: str, flow: Flow, ours: Figures, context: Context) -> Figures:
    """ccxt on the same frames, or why not."""
    try:
        python = interpreter(PEER, context)
        path = context.scratch / f"frames-{venue}.txt"
        path.write_bytes(b"\n".join(flow.frames))
        limit_s = context.effort.peer_limit_s
        done = children.run(
            [python, ADAPTER, venue, path, str(limit_s)], limit_s=limit_s + PEER.preparation_s
        )
        found = document(done.stdout)
    except Skipped as reason:
        return {"skipped": str(reason)}
    except MeasureFailed as error:
        return {"failed": str(error)}
    rate, own = per_second(found["messages"], found["elapsed_ns"]), ours["messages_per_second"]
    whole = found["messages"] == ours["messages"]
    return {
        "messages_per_second": rate,
        "ratio": round(own / rate, 2) if own and rate else None,
        "complete": whole,
        "same_top": [Decimal(one) for one in found["top"]] == [Decimal(one) for one in ours["top"]]
        if whole
        else None,
        "does": PEER.does,
        "does_not": PEER.does_not,
    }
