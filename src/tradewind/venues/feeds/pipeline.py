"""Frames in, feed events out: decoder -> mirror books and trade tapes. No I/O and no clock of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from tradewind.venues.feeds.book import BookLimits, Checksum, MirrorBook
from tradewind.venues.feeds.decoding import Decoder, Received
from tradewind.venues.feeds.health import ErrorRateWindow
from tradewind.venues.feeds.sequencing import SequenceRule
from tradewind.venues.feeds.tape import TradeTape
from tradewind.venues.market_data import (
    BookDelta,
    BookSnapshot,
    DecodeError,
    FeedEvent,
    Instrument,
    MarketMessage,
    MarkPrice,
    TopOfBook,
    TradePrint,
    UnknownSymbol,
)

MAX_SYMBOLS = 4_096
BOOK_CHANNELS = frozenset({"depth", "depthSnapshot", "book"})

ChecksumFactory = Callable[[Instrument], Checksum]


class MarketPipeline:
    """All symbols of one connection. Every method appends to `out` in the order consumers must see."""

    def __init__(
        self,
        decoder: Decoder,
        rule: SequenceRule,
        limits: BookLimits | None = None,
        checksum_factory: ChecksumFactory | None = None,
    ) -> None:
        self.decoder = decoder
        self.rule = rule
        self.limits = limits or BookLimits()
        self.books: dict[str, MirrorBook] = {}
        self.tapes: dict[str, TradeTape] = {}
        self.errors = ErrorRateWindow()
        self.ignored_prints: Counter[str] = Counter()
        self._checksum_factory = checksum_factory
        self._print_family: dict[str, bool] = {}
        for instrument in decoder.instruments.values():
            self._add(instrument)

    def _add(self, instrument: Instrument) -> MirrorBook:
        if len(self.books) >= MAX_SYMBOLS:
            raise UnknownSymbol(f"more than {MAX_SYMBOLS} symbols in one feed")
        checksum = self._checksum_factory(instrument) if self._checksum_factory else None
        book = MirrorBook(instrument, self.rule, self.limits, checksum)
        self.books[instrument.symbol] = book
        self.tapes[instrument.symbol] = TradeTape(instrument.symbol)
        return book

    def book(self, symbol: str) -> MirrorBook:
        """The mirror book of `symbol`, which the decoder knows. Raises `UnknownSymbol`."""
        book = self.books.get(symbol)
        if book is not None:
            return book
        instrument = self.decoder.instruments.get(symbol)
        if instrument is None:
            raise UnknownSymbol(f"{symbol}: not in this feed ({len(self.books)} symbols)")
        return self._add(instrument)

    def process(self, frame: bytes, received: Received, out: list[FeedEvent]) -> None:
        """Decode and apply one frame. A frame that cannot be decoded is counted and makes its book
        suspect.
        """
        try:
            messages = self.decoder.decode(frame, received)
        except DecodeError as error:
            self.fail(error, received.recv_ts_ns, out)
            return
        self.errors.observe(received.recv_ts_ns, failed=False)
        for message in messages:
            self.apply(message, out)

    def fail(self, error: DecodeError, now_ns: int, out: list[FeedEvent]) -> None:
        """A frame was lost to a decode error (T5.7: the book it belonged to is suspect)."""
        self.errors.observe(now_ns, failed=True)
        book = self.books.get(error.symbol or "")
        if book is not None and error.channel in BOOK_CHANNELS and not book.wants_snapshot:
            book.suspect("decode error", now_ns, out)

    def apply(self, message: MarketMessage, out: list[FeedEvent]) -> None:
        """Apply one decoded message."""
        if isinstance(message, TopOfBook):
            book = self.books.get(message.symbol) or self.book(message.symbol)
            book.confirm_top(message)
            out.append(message)
        elif isinstance(message, MarkPrice):
            out.append(message)
        elif isinstance(message, TradePrint):
            self._trade(message, out)
        elif isinstance(message, BookDelta):
            (self.books.get(message.symbol) or self.book(message.symbol)).on_delta(message, out)
        elif isinstance(message, BookSnapshot):
            self.book(message.symbol).on_snapshot(message, out)

    def _trade(self, trade: TradePrint, out: list[FeedEvent]) -> None:
        """One symbol prints either single or aggregate trades; taking both would count volume twice."""
        aggregate = trade.raw_kind == "aggregate"
        if self._print_family.setdefault(trade.symbol, aggregate) is not aggregate:
            self.ignored_prints[trade.symbol] += 1
            return
        if trade.symbol not in self.tapes:
            self.book(trade.symbol)
        self.tapes[trade.symbol].on_trade(trade, out)

    def begin(self, now_ns: int, epoch: int, reason: str, out: list[FeedEvent]) -> None:
        """A new connection (or a replay loop): every book synchronises again."""
        self.errors.clear()
        for book in self.books.values():
            book.begin_sync(now_ns, reason, out, epoch)

    def restart_tapes(self) -> None:
        """Forget the last trade ids, before a recording starts again."""
        for tape in self.tapes.values():
            tape.restart()

    def lose(self, now_ns: int, reason: str, out: list[FeedEvent]) -> None:
        """The connection is gone: every book is suspect."""
        for book in self.books.values():
            book.suspect(reason, now_ns, out)

    def on_time(self, now_ns: int, out: list[FeedEvent]) -> None:
        """Judge the age of every book."""
        for book in self.books.values():
            book.on_time(now_ns, out)
