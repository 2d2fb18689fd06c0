"""A small paper world on a real engine and a virtual clock, for the tests of venue and trader."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

from tradewind import _core
from tradewind.core.engine import RULES_VERSION
from tradewind.venues.market_data import (
    BookDelta,
    BookSnapshot,
    BookState,
    FeedState,
    Instrument,
    Side,
    TradePrint,
)
from tradewind.venues.paper.latency import LatencyConfig
from tradewind.venues.paper.mirror import MirrorConfig
from tradewind.venues.paper.port import EnginePort
from tradewind.venues.paper.schedule import load_schedule
from tradewind.venues.paper.setup import PaperKeys, PaperSetup, set_up
from tradewind.venues.paper.venue import PaperVenue

START_NS = 1_723_161_250_000_000_000
MS = 1_000_000
SECOND = 1_000 * MS
YEAR_NS = 360 * 86_400 * SECOND
SYMBOL = "BTC/USDT"
CAPTURES = Path(__file__).parents[3].parent / "shared" / "data" / "captures"
CAPTURE = CAPTURES / "binance-spot-btcusdt-2024-08-08.gz"


def instrument(symbol: str = SYMBOL, tick: str = "0.01", lot: str = "0.0001") -> Instrument:
    """A symbol whose lot the engine can hold as it is."""
    base, quote = symbol.split("/")
    return Instrument(
        venue="test",
        symbol=symbol,
        venue_symbol=base + quote,
        base=base,
        quote=quote,
        tick=Decimal(tick),
        lot=Decimal(lot),
        min_quantity=Decimal(lot),
        max_quantity=Decimal(9_000),
        min_notional=Decimal(5),
        max_notional=Decimal(9_000_000),
        price_decimals=2,
        quantity_decimals=5,
        source="test",
    )


class World:
    """Engine, paper venue and the outside market that the test plays."""

    def __init__(self, port: EnginePort, setup: PaperSetup, venue: PaperVenue) -> None:
        self.port = port
        self.setup = setup
        self.venue = venue
        self.now_ns = port.now_ns()
        self.events: list[object] = []
        self._update_id = 0
        venue.subscribe(self.events.append)

    @classmethod
    async def create(
        cls,
        *,
        latency: LatencyConfig | None = None,
        mirror: MirrorConfig | None = None,
        cash: Mapping[str, Decimal] | None = None,
        outside: Instrument | None = None,
        schedule: str = "binance-spot-vip0",
        start_ns: int = START_NS,
        reference_book: bool = False,
    ) -> World:
        keys = PaperKeys.derive("test")
        genesis = _core.encode_genesis(0, RULES_VERSION, start_ns, keys.grants(start_ns + YEAR_NS))
        port = EnginePort(_core.Engine(genesis, reference_book=reference_book), keys.system, start_ns)
        setup = await set_up(
            port,
            keys,
            load_schedule(schedule),
            [outside or instrument()],
            cash if cash is not None else {"USDT": Decimal(10_000)},
            mirror=mirror,
        )
        venue = PaperVenue(port, setup, latency=latency or LatencyConfig.off())
        return cls(port, setup, venue)

    def stamp(self) -> dict[str, int | None]:
        return {
            "venue_ts_ns": self.now_ns,
            "recv_ts_ns": self.now_ns,
            "recv_mono_ns": self.now_ns,
            "epoch": 0,
        }

    async def feed(self, event: object) -> None:
        await self.venue.on_feed(event, self.now_ns)  # type: ignore[arg-type]
        await self.venue.advance(self.now_ns)

    async def wait_ms(self, milliseconds: int) -> None:
        self.now_ns += milliseconds * MS
        await self.venue.advance(self.now_ns)

    async def book(self, bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> None:
        """A snapshot and the word that it is live."""
        await self.feed(
            BookSnapshot(symbol=SYMBOL, bids=tuple(bids), asks=tuple(asks), sequence=1, **self.stamp())
        )
        await self.state(BookState.LIVE)

    async def state(self, state: BookState, reason: str = "test") -> None:
        await self.feed(FeedState(symbol=SYMBOL, state=state, reason=reason, since_ns=self.now_ns, epoch=0))

    async def levels(self, *, bids: list[tuple[int, int]] = (), asks: list[tuple[int, int]] = ()) -> None:  # type: ignore[assignment]
        self._update_id += 1
        await self.feed(
            BookDelta(
                symbol=SYMBOL,
                bids=tuple(bids),
                asks=tuple(asks),
                first_id=self._update_id,
                last_id=self._update_id,
                previous_id=None,
                **self.stamp(),
            )
        )

    async def prints(self, price_ticks: int, lots: int, aggressor: Side | None) -> None:
        await self.feed(
            TradePrint(
                symbol=SYMBOL,
                trade_id=None,
                price_ticks=price_ticks,
                quantity_lots=lots,
                aggressor_side=aggressor,
                **self.stamp(),
            )
        )

    def engine_levels(self, side: Side, depth: int = 1_000) -> list[tuple[int, int]]:
        """(price_ticks, lots) of the engine's book, own orders included, best first."""
        handle = self.setup.markets[SYMBOL].market
        return [(price, lots) for price, lots, _ in self.port.engine.levels(handle, int(side), depth)]
