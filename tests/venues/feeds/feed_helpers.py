"""Small builders shared by the feed tests."""

from __future__ import annotations

from decimal import Decimal

from tradewind.venues.feeds.book import BookLimits, MirrorBook
from tradewind.venues.feeds.decoding import Received
from tradewind.venues.feeds.sequencing import SequenceRule
from tradewind.venues.market_data import BookDelta, BookSnapshot, FeedEvent, Instrument

SECOND = 1_000_000_000
NOW = Received(1_700_000_000 * SECOND, 5 * SECOND, 1)


def instrument(symbol: str = "BTC/USDT", **changes: object) -> Instrument:
    base, quote = symbol.split("/")
    fields: dict[str, object] = {
        "venue": "test", "symbol": symbol, "venue_symbol": base + quote, "base": base, "quote": quote,
        "tick": Decimal("0.01"), "lot": Decimal("0.00001"), "price_decimals": 2, "quantity_decimals": 5,
        "source": "venue",
    }  # fmt: skip
    return Instrument(**(fields | changes))


def delta(first: int, last: int, bids: tuple = (), asks: tuple = (), *, previous: int | None = None,
          at_ns: int = NOW.recv_ts_ns, checksum: int | None = None) -> BookDelta:  # fmt: skip
    return BookDelta(symbol="BTC/USDT", bids=bids, asks=asks, first_id=first, last_id=last,
                     previous_id=previous, venue_ts_ns=None,
                     recv_ts_ns=at_ns, recv_mono_ns=0, epoch=1, checksum=checksum)  # fmt: skip


def snapshot(sequence: int, bids: tuple = ((100, 5), (99, 5)), asks: tuple = ((101, 5), (102, 5)), *,
             at_ns: int = NOW.recv_ts_ns, checksum: int | None = None) -> BookSnapshot:  # fmt: skip
    return BookSnapshot(symbol="BTC/USDT", bids=bids, asks=asks, sequence=sequence, venue_ts_ns=None,
                        recv_ts_ns=at_ns, recv_mono_ns=0, epoch=1, checksum=checksum)  # fmt: skip


def book(rule: SequenceRule, limits: BookLimits | None = None) -> tuple[MirrorBook, list[FeedEvent]]:
    return MirrorBook(instrument(), rule, limits), []
