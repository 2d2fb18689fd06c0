"""Live public market data of Kraken over WebSocket v2."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import msgspec

from tradewind.venues.feeds.book import BookLimits
from tradewind.venues.feeds.checksum import kraken_checksum
from tradewind.venues.feeds.live import LiveFeed, LiveOptions
from tradewind.venues.feeds.pipeline import MarketPipeline
from tradewind.venues.feeds.sequencing import KrakenChecksumRule
from tradewind.venues.frame_watch import FrameWatch
from tradewind.venues.kraken.decoder import KrakenDecoder
from tradewind.venues.kraken.instruments import parse_asset_pairs
from tradewind.venues.market_data import FeedUnavailable, Instrument
from tradewind.venues.transport.capture import RawCapture
from tradewind.venues.transport.errors import TransportError
from tradewind.venues.transport.http import PublicHttpSession

BOOK_DEPTHS = (10, 25, 100, 500, 1_000)


class KrakenEndpoints(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses of the public API; tests point them to a local server."""

    websocket_url: str = "wss://ws.kraken.com/v2"
    rest_url: str = "https://api.kraken.com"

    def paths(self) -> frozenset[str]:
        """The public paths a market data session may call."""
        return frozenset(f"/0/public/{name}" for name in ("Time", "SystemStatus", "AssetPairs", "Depth"))


class KrakenFeed(LiveFeed):
    """Live feed of `instruments`; build it with `open_kraken_feed`. `depth` is the subscribed book depth."""

    def __init__(
        self,
        instruments: Iterable[Instrument],
        endpoints: KrakenEndpoints,
        *,
        depth: int = 1_000,
        options: LiveOptions | None = None,
        limits: BookLimits | None = None,
        capture: RawCapture | None = None,
    ) -> None:
        if depth not in BOOK_DEPTHS:
            raise FeedUnavailable(f"Kraken book depth {depth}; possible: {BOOK_DEPTHS}")
        self.depth = depth
        self.decoder = KrakenDecoder(instruments)
        # the checksum is defined on a book cut to the subscribed depth, so the bound is the depth, not a
        # choice
        exact = msgspec.structs.replace(limits or BookLimits(), max_levels=depth)
        pipeline = MarketPipeline(self.decoder, KrakenChecksumRule(), exact, kraken_checksum)
        self._request_id = 0
        super().__init__("kraken", endpoints.websocket_url, pipeline, options, capture)
        # A fifth of a second of imports, which a platform on another feed does without.
        from tradewind.venues.kraken.shapes import SHAPES, name_of

        self.watch = FrameWatch(SHAPES, name_of)

    def _send(self, method: str, channel: str, symbols: list[str], **extra: Any) -> None:
        self._request_id += 1
        params = {"channel": channel, "symbol": symbols, **extra}
        self.link.send_text(
            msgspec.json.encode({"method": method, "params": params, "req_id": self._request_id})
        )

    def subscribe(self) -> None:
        """Subscribe the books (each sends its snapshot), the trades and the best bid and ask."""
        symbols = [one.venue_symbol for one in self.instruments.values()]
        now_s = time.monotonic()
        for symbol, resync in self.resyncs.items():
            resync.begin(now_s, self.pipeline.book(symbol).counters.snapshots)
        self._send("subscribe", "book", symbols, depth=self.depth, snapshot=True)
        self._send("subscribe", "trade", symbols, snapshot=False)
        self._send("subscribe", "ticker", symbols, event_trigger="bbo", snapshot=True)
        self.link.expects_heartbeats = True

    async def request_snapshot(self, symbol: str) -> bool:
        """Unsubscribe and subscribe the book of one symbol; its snapshot comes with the stream."""
        venue_symbol = self.instruments[symbol].venue_symbol
        try:
            self._send("unsubscribe", "book", [venue_symbol], depth=self.depth)
            self._send("subscribe", "book", [venue_symbol], depth=self.depth, snapshot=True)
        except TransportError:
            return False
        return True


async def open_kraken_feed(
    symbols: Iterable[str],
    endpoints: KrakenEndpoints | None = None,
    *,
    depth: int = 1_000,
    options: LiveOptions | None = None,
    limits: BookLimits | None = None,
    capture: RawCapture | None = None,
) -> KrakenFeed:
    """Read the instruments (canonical symbols such as BTC/USD) from the venue and build the feed.

    Raises `TransportError`, `DecodeError` or `FeedUnavailable` (a symbol the venue does not list).
    """
    where = endpoints or KrakenEndpoints()
    async with PublicHttpSession(where.rest_url, where.paths()) as http:
        known, quarantined = parse_asset_pairs(await http.get("/0/public/AssetPairs"), time.time_ns())
    wanted = list(symbols)
    missing = sorted(set(wanted) - known.keys())
    if missing:
        detail = f" ({len(quarantined)} unreadable rows)" if quarantined else ""
        raise FeedUnavailable(f"Kraken does not list {', '.join(missing)}{detail}")
    chosen = [known[one] for one in wanted]
    return KrakenFeed(chosen, where, depth=depth, options=options, limits=limits, capture=capture)
