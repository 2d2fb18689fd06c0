"""A feed that replays recorded captures at real time, N times real time, or as fast as possible."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import islice
from pathlib import Path

import msgspec

from tradewind.venues.binance.decoder import BinanceDecoder
from tradewind.venues.binance.instruments import BinanceMarket
from tradewind.venues.feeds.book import BookLimits
from tradewind.venues.feeds.captures import (
    CapturedFrame,
    CaptureKind,
    capture_header,
    read_capture,
    sniff_capture,
)
from tradewind.venues.feeds.checksum import kraken_checksum
from tradewind.venues.feeds.common import PipelineFeed
from tradewind.venues.feeds.decoding import Received
from tradewind.venues.feeds.inference import MAX_SCANNED_FRAMES, binance_instruments
from tradewind.venues.feeds.pipeline import MarketPipeline
from tradewind.venues.feeds.sequencing import BinanceFuturesRule, BinanceSpotRule, KrakenChecksumRule
from tradewind.venues.kraken.decoder import KrakenDecoder
from tradewind.venues.kraken.decoder_v1 import KrakenV1Decoder
from tradewind.venues.market_data import (
    BookDelta,
    BookSnapshot,
    DecodeError,
    FeedEvent,
    FeedUnavailable,
    Instrument,
    MarkPrice,
    TopOfBook,
    TradePrint,
)

FRAMES_PER_YIELD = 256
MAX_SLEEP_S = 1.0
TICK_NS = 250_000_000
LOOP_PAUSE_NS = 1_000_000_000


class RecordedFeed(PipelineFeed):
    """Replays `paths` in order (a list is one continuous recording that rolled over between files).

    `speed`: 1.0 is real time by receive times, N is N times that, None or 0 is as fast as possible.
    `loop`: start again at the end, with a clean resync, a new epoch and times and ids that keep growing.
    `start_at_ns`: move the recording's clock so that its first frame is received at this time.
    Raises `FeedUnavailable` when a capture cannot be read, its venue is not recognised, or it does not
    continue the one before it.
    """

    def __init__(
        self,
        paths: Path | str | Iterable[Path | str],
        speed: float | None = 1.0,
        *,
        loop: bool = False,
        instruments: Iterable[Instrument] | None = None,
        limits: BookLimits | None = None,
        start_at_ns: int | None = None,
    ) -> None:
        given = [paths] if isinstance(paths, str | Path) else list(paths)
        self.paths = [Path(one) for one in given]
        if not self.paths:
            raise FeedUnavailable("no capture file given")
        if speed is not None and not 0 <= speed < float("inf"):
            raise ValueError(f"speed must be finite and not negative, got {speed}")
        self.speed = speed or None
        self.loop = loop
        self.kind = sniff_capture(self.paths[0])
        self._check_continuation()
        self.loops_done = 0
        self._shift_ns = 0
        self._start_at_ns = start_at_ns
        self._id_shift: dict[str, int] = {}
        self._clock_ns = 0
        self._header = capture_header(self.paths[0])
        self._decoder = self._make_decoder(list(instruments) if instruments is not None else None)
        super().__init__(self._make_pipeline(limits))

    @property
    def label(self) -> str:
        """Names the file, and the loop when it is not the first."""
        names = "+".join(path.name for path in self.paths)
        return f"recorded:{names}" + (f" (loop {self.loops_done + 1})" if self.loops_done else "")

    def clock_ns(self) -> int:
        """Receive time of the last frame, on the recording's (shifted) clock."""
        return self._clock_ns

    def _check_continuation(self) -> None:
        """Files in another order than they were recorded in would never give a live book, and say nothing."""
        before, before_ns = self.paths[0], next(read_capture(self.paths[0])).recv_ts_ns
        for path in self.paths[1:]:
            kind = sniff_capture(path)
            if kind is not self.kind:
                raise FeedUnavailable(f"{path.name} is a recording of {kind}, {before.name} of {self.kind}")
            first_ns = next(read_capture(path)).recv_ts_ns
            if first_ns <= before_ns:
                raise FeedUnavailable(
                    f"{path.name} does not begin after {before.name}: give recordings in order of time"
                )
            before, before_ns = path, first_ns

    # ---- construction ------------------------------------------------------------------------------------

    def _make_decoder(
        self, instruments: list[Instrument] | None
    ) -> BinanceDecoder | KrakenDecoder | KrakenV1Decoder:
        if instruments is None and self._header is not None:
            instruments = self._header.instruments
        if self.kind is CaptureKind.KRAKEN_V1:
            return KrakenV1Decoder(instruments or [])
        if self.kind is CaptureKind.KRAKEN_V2:
            if not instruments:
                raise FeedUnavailable("a Kraken v2 capture needs its instruments given")
            return KrakenDecoder(instruments)
        market = BinanceMarket.SPOT if self.kind is CaptureKind.BINANCE_SPOT else BinanceMarket.USDM
        if instruments is None:
            head = list(islice(read_capture(self.paths[0]), MAX_SCANNED_FRAMES))
            instruments = list(binance_instruments(head, market).values())
        return BinanceDecoder(instruments, market)

    def _make_pipeline(self, limits: BookLimits | None) -> MarketPipeline:
        if self.kind in (CaptureKind.KRAKEN_V1, CaptureKind.KRAKEN_V2):
            if self._header is not None and self._header.depth is not None:
                # the checksum is made of a book cut to the depth that was subscribed
                limits = msgspec.structs.replace(limits or BookLimits(), max_levels=self._header.depth)
            return MarketPipeline(self._decoder, KrakenChecksumRule(), limits, kraken_checksum)
        rule = BinanceSpotRule() if self.kind is CaptureKind.BINANCE_SPOT else BinanceFuturesRule()
        return MarketPipeline(self._decoder, rule, limits)

    # ---- replay ------------------------------------------------------------------------------------------

    def _frames(self) -> Iterator[CapturedFrame]:
        for path in self.paths:
            yield from read_capture(path)

    def batches(self) -> Iterator[tuple[int, list[FeedEvent]]]:
        """Yield (receive time ns, events) for one pass, without waiting: for back-tests and benchmarks."""
        out: list[FeedEvent] = []
        epoch = self.loops_done
        next_tick_ns = 0
        for captured in self._frames():
            if self._start_at_ns is not None:
                self._shift_ns, self._start_at_ns = self._start_at_ns - captured.recv_ts_ns, None
            now_ns = captured.recv_ts_ns + self._shift_ns
            if now_ns >= next_tick_ns:
                if next_tick_ns:
                    self.pipeline.on_time(now_ns, out)
                next_tick_ns = now_ns + TICK_NS
            self._clock_ns = now_ns
            self._step(captured, Received(now_ns, now_ns, epoch), out)
            if out:
                self.published_events += len(out)
                yield now_ns, self._rebased(out) if self._id_shift else out
                out = []

    def _step(self, captured: CapturedFrame, received: Received, out: list[FeedEvent]) -> None:
        if captured.rest_symbol is None:
            self.pipeline.process(captured.frame, received, out)
            return
        if not isinstance(self._decoder, BinanceDecoder):
            self._decoder.counters.ignore("rest body")
            return
        try:
            snapshot = self._decoder.decode_snapshot(captured.frame, captured.rest_symbol, received)
        except DecodeError as error:
            self.pipeline.fail(error, received.recv_ts_ns, out)
            return
        self.pipeline.apply(snapshot, out)

    async def events(self) -> AsyncIterator[FeedEvent]:
        """Yield events at the chosen speed until the end (or for ever when looping) or `close`."""
        while True:
            started_mono_ns = time.monotonic_ns()
            first_ns: int | None = None
            for number, (now_ns, batch) in enumerate(self.batches(), 1):
                first_ns = now_ns if first_ns is None else first_ns
                if self.speed is not None:
                    await self._wait_until(started_mono_ns + int((now_ns - first_ns) / self.speed))
                elif number % FRAMES_PER_YIELD == 0:
                    await asyncio.sleep(0)
                for event in batch:
                    if self.closed:
                        return
                    yield event
            if not self.loop or self.closed or first_ns is None:
                return
            for event in self._rewind(first_ns):
                yield event

    async def _wait_until(self, due_mono_ns: int) -> None:
        while not self.closed:
            remaining_s = (due_mono_ns - time.monotonic_ns()) / 1e9
            if remaining_s <= 0:
                return
            await asyncio.sleep(min(remaining_s, MAX_SLEEP_S))

    # ---- looping -----------------------------------------------------------------------------------------

    def _rewind(self, first_ns: int) -> list[FeedEvent]:
        """Prepare the next loop: later times, larger ids, every book resynchronising."""
        self._shift_ns += self._clock_ns - first_ns + LOOP_PAUSE_NS
        self._clock_ns += LOOP_PAUSE_NS
        for symbol, book in self.pipeline.books.items():
            tape = self.pipeline.tapes[symbol]
            # one shift for both kinds of id keeps "ids only grow" true without remembering the first ones
            self._id_shift[symbol] = self._id_shift.get(symbol, 0) + max(
                book.sequence, tape.last_trade_id or 0
            )
        self.loops_done += 1
        out: list[FeedEvent] = []
        self.pipeline.restart_tapes()
        self.pipeline.begin(self._clock_ns, self.loops_done, f"replay loop {self.loops_done + 1}", out)
        self.published_events += len(out)
        return out

    def _rebased(self, events: list[FeedEvent]) -> list[FeedEvent]:
        return [self._rebase(event) for event in events]

    def _rebase(self, event: FeedEvent) -> FeedEvent:
        shift = self._id_shift.get(event.symbol, 0)
        if isinstance(event, BookDelta):
            previous_id = None if event.previous_id is None else event.previous_id + shift
            return msgspec.structs.replace(
                event, first_id=event.first_id + shift, last_id=event.last_id + shift,
                previous_id=previous_id, venue_ts_ns=self._moved(event.venue_ts_ns),
            )  # fmt: skip
        if isinstance(event, BookSnapshot):
            return msgspec.structs.replace(event, sequence=event.sequence + shift)
        if isinstance(event, TradePrint):
            trade_id = None if event.trade_id is None else event.trade_id + shift
            return msgspec.structs.replace(
                event, trade_id=trade_id, venue_ts_ns=self._moved(event.venue_ts_ns)
            )
        if isinstance(event, MarkPrice):
            return msgspec.structs.replace(
                event, venue_ts_ns=self._moved(event.venue_ts_ns),
                next_funding_ns=self._moved(event.next_funding_ns),
            )  # fmt: skip
        if isinstance(event, TopOfBook):
            sequence = None if event.sequence is None else event.sequence + shift
            return msgspec.structs.replace(
                event, sequence=sequence, venue_ts_ns=self._moved(event.venue_ts_ns)
            )
        return event

    def _moved(self, venue_ts_ns: int | None) -> int | None:
        return None if venue_ts_ns is None else venue_ts_ns + self._shift_ns
