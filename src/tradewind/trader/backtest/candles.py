"""Candles as market data: a stated, deterministic path of prices inside each candle.

What is assumed (`ASSUMPTIONS` puts it into every report):

The open is known when the candle begins; nothing else of it is known before it has ended. A strategy sees a
book around the open for the whole candle. In the last microseconds of the candle the price visits both
extremes and the close. Which extreme comes first is drawn from the seed and the candle's time, never from the
close, so that the order of the extremes tells nothing about what follows. Whatever a strategy wishes then
arrives, after its latency of at least a millisecond, in the next candle.

A resting order is filled at its own price when the candle traded through it by at least one tick, for at
most a share of the candle's volume at each extreme; at the extreme itself it is not filled. A taker pays
half of `spread_bps` around the open and finds at most that share of the volume of the candle before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

import msgspec

from tradewind.venues.market_data import (
    BookDelta,
    BookSnapshot,
    BookState,
    FeedEvent,
    FeedState,
    Instrument,
    Level,
    TradePrint,
)
from tradewind.venues.paper.latency import LatencyConfig
from tradewind.venues.paper.mirror import MirrorConfig
from tradewind.venues.paper.setup import paper_instrument

from .errors import DataRefused

SECOND_NS: Final = 1_000_000_000
BURST_STEP_NS: Final = 1_000
"""Between two moments at the end of a candle; all of them together are far shorter than any latency."""
LEAST_LATENCY_MS: Final = 1.0
MOST_SPREAD_OF_LATENCY: Final = 1_000.0
"""99th percentile over median: within it no draw comes near the length of a burst."""


class Candle(msgspec.Struct, frozen=True, kw_only=True):
    """One candle: prices in the quote asset, volume in the base asset."""

    open_ns: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


class CandleModel(msgspec.Struct, frozen=True, kw_only=True):
    """The free choices of the path. `participation_pct`: share of a candle's volume that our orders find."""

    spread_bps: Decimal = Decimal(2)
    participation_pct: Decimal = Decimal(10)

    def validate(self) -> None:
        """Raises `DataRefused`."""
        for name, value, low, high in (
            ("candle spread", self.spread_bps, Decimal(0), Decimal(200)),
            ("candle participation", self.participation_pct, Decimal("0.01"), Decimal(100)),
        ):
            if not value.is_finite() or not low <= value <= high:
                raise DataRefused("PARAMETER_OUT_OF_BOUNDS", f"{name} {value} is outside {low}..{high}")


ASSUMPTIONS: Final = (
    "data are candles: what happened inside a candle is not known, its path is made up as follows",
    "a strategy sees the open when the candle begins and everything else only when the candle has ended",
    "both extremes and the close are visited in the candle's last microseconds; which extreme comes first is"
    " drawn from seed and time, not from the close",
    "what a strategy wishes at the end of a candle reaches the venue in the next candle, at its open",
    "a resting order is filled at its own price only when the candle traded through it by a tick",
    "tick and lot of the instrument are inferred from the decimals of the file",
    "the limit on the age of market data (L19) is widened to the length of a candle",
)


def latency_for_candles(config: LatencyConfig) -> LatencyConfig:
    """The latency with which nothing can be done inside a burst: at least a millisecond everywhere.

    Raises `DataRefused` for a distribution so wide that a draw could come near the burst's length.
    """
    changes: dict[str, float] = {}
    for path in ("entry", "cancel", "report"):
        median, p99 = getattr(config, f"{path}_median_ms"), getattr(config, f"{path}_p99_ms")
        if median < LEAST_LATENCY_MS:
            changes[f"{path}_median_ms"] = LEAST_LATENCY_MS
            changes[f"{path}_p99_ms"] = max(LEAST_LATENCY_MS, p99)
            median, p99 = LEAST_LATENCY_MS, max(LEAST_LATENCY_MS, p99)
        if p99 > median * MOST_SPREAD_OF_LATENCY:
            raise DataRefused(
                "BAD_LATENCY", f"{path} latency: 99 % at {p99} ms is too far above the median {median} ms"
            )
    return msgspec.structs.replace(config, **changes)


MIRROR: Final = MirrorConfig(decrease_wait_ns=0, cross_wait_ns=0)
"""There is nothing to wait for: a candle's moments are microseconds apart."""


def infer_instrument(venue: str, symbol: str, candles: Sequence[Candle]) -> Instrument:
    """Tick and lot from the most decimals that occur. Raises `DataRefused`: too fine for the engine."""
    prices = [one for candle in candles for one in (candle.open, candle.high, candle.low, candle.close)]
    tick_decimals, lot_decimals = (_decimals(values) for values in (prices, [one.volume for one in candles]))
    base, _, quote = symbol.partition("/")
    instrument = Instrument(
        venue=venue, symbol=symbol, venue_symbol=base + quote, base=base, quote=quote,
        tick=Decimal(1).scaleb(-tick_decimals), lot=Decimal(1).scaleb(-lot_decimals),
        price_decimals=tick_decimals, quantity_decimals=lot_decimals, source="candles",
    )  # fmt: skip
    try:
        paper_instrument(instrument)
    except ValueError as error:
        raise DataRefused("DATA_UNSUPPORTED", str(error)) from error
    return instrument


def _decimals(values: Sequence[Decimal]) -> int:
    """Decimals that are needed to write all of them."""
    return max((max(0, -int(one.normalize().as_tuple().exponent)) for one in values), default=0)


class CandlePath:
    """The events of candles of one symbol, `step_ns` long."""

    def __init__(
        self, instrument: Instrument, candles: Sequence[Candle], step_ns: int, model: CandleModel, seed: int
    ) -> None:
        self.instrument, self.candles, self.step_ns = instrument, candles, step_ns
        self.model, self.seed = model, seed
        self._least_lots = paper_instrument(instrument)[1]
        self._book: tuple[Level, Level] | None = None
        self._number = 0

    def batches(self) -> Iterator[tuple[int, list[FeedEvent]]]:
        """(time ns, events) of every moment, in order."""
        self._book, self._number = None, 0
        before = Decimal(0)
        for candle in self.candles:
            yield from self._candle(candle, before)
            before = candle.volume

    def _candle(self, candle: Candle, volume_before: Decimal) -> Iterator[tuple[int, list[FeedEvent]]]:
        tick, lots = self.instrument.tick, int(candle.volume / self.instrument.lot)
        ticks = {name: int(getattr(candle, name) / tick) for name in ("open", "high", "low", "close")}
        bid, ask = self._around(ticks["open"])
        events = self._quote(bid, ask, self._displayed(volume_before), candle.open_ns)
        if lots:
            events.append(self._print(ticks["open"], 1, candle.open_ns))
        yield candle.open_ns, events
        if not lots:
            return
        size = self._displayed(candle.volume)
        first, second = ("low", "high") if self._low_first(candle.open_ns) else ("high", "low")
        end_ns = candle.open_ns + self.step_ns
        for place, name in ((3, first), (2, second)):
            at_ns = end_ns - place * BURST_STEP_NS
            events = self._quote(max(1, ticks[name] - 1), ticks[name] + 1, size, at_ns)
            if lots >= 4:
                events.append(self._print(ticks[name], 1, at_ns))
            yield at_ns, events
        at_ns = end_ns - BURST_STEP_NS
        bid, ask = self._around(ticks["close"])
        events = self._quote(bid, ask, size, at_ns)
        rest = lots - (3 if lots >= 4 else 1)
        if rest:
            events.append(self._print(ticks["close"], rest, at_ns))
        yield at_ns, events

    def _low_first(self, open_ns: int) -> bool:
        text = f"{self.seed}/{self.instrument.symbol}/{open_ns}"
        return bool(hashlib.blake2b(text.encode(), digest_size=1).digest()[0] & 1)

    def _around(self, price_ticks: int) -> tuple[int, int]:
        """Bid and ask half a spread away, at least a tick, so that a print at the price lies between them."""
        half = self.model.spread_bps * price_ticks / 20_000
        bid = int((price_ticks - max(half, Decimal(1))).to_integral_value(ROUND_FLOOR))
        ask = int((price_ticks + max(half, Decimal(1))).to_integral_value(ROUND_CEILING))
        return max(1, bid), ask

    def _displayed(self, volume: Decimal) -> int:
        """Lots that our orders find: a share of a volume, at least what the engine can show."""
        share = volume * self.model.participation_pct / 100 / self.instrument.lot
        return max(self._least_lots, int(share))

    def _quote(self, bid: int, ask: int, lots: int, at_ns: int) -> list[FeedEvent]:
        symbol = self.instrument.symbol
        after = ((bid, lots), (ask, lots))
        before, self._book = self._book, after
        self._number += 1
        if before is None:
            return [
                BookSnapshot(
                    symbol=symbol, bids=(after[0],), asks=(after[1],), sequence=self._number,
                    venue_ts_ns=at_ns, recv_ts_ns=at_ns, recv_mono_ns=at_ns, epoch=0,
                ),
                FeedState(symbol=symbol, state=BookState.LIVE, reason="candles", since_ns=at_ns, epoch=0),
            ]  # fmt: skip
        bids, asks = (
            (new,) if old[0] == new[0] else ((old[0], 0), new) for old, new in zip(before, after, strict=True)
        )
        return [
            BookDelta(
                symbol=symbol, bids=bids, asks=asks, first_id=self._number, last_id=self._number,
                previous_id=self._number - 1, venue_ts_ns=at_ns, recv_ts_ns=at_ns, recv_mono_ns=at_ns,
                epoch=0,
            )
        ]  # fmt: skip

    def _print(self, price_ticks: int, lots: int, at_ns: int) -> TradePrint:
        """A print between bid and ask: it is told to the strategy and fills nothing."""
        return TradePrint(
            symbol=self.instrument.symbol, trade_id=None, price_ticks=price_ticks, quantity_lots=lots,
            aggressor_side=None, venue_ts_ns=at_ns, recv_ts_ns=at_ns, recv_mono_ns=at_ns, epoch=0,
        )  # fmt: skip


def check_candles(candles: Sequence[Candle], step_ns: int, *, where: str, allow_gaps: bool) -> list[str]:
    """Gaps, told in words. Raises `DataRefused`: empty, out of order, twice, impossible, or with a gap."""
    if not candles:
        raise DataRefused("DATA_EMPTY", f"{where}: no candles")
    gaps: list[str] = []
    before: Candle | None = None
    for number, one in enumerate(candles, 1):
        prices = (one.open, one.high, one.low, one.close)
        good = all(value.is_finite() and value > 0 for value in prices) and one.volume.is_finite()
        if not good or one.volume < 0 or one.low != min(prices) or one.high != max(prices):
            raise DataRefused("DATA_DAMAGED", f"{where}: candle {number} is impossible: {prices}")
        if before is not None and one.open_ns <= before.open_ns:
            raise DataRefused("DATA_UNSORTED", f"{where}: candle {number} is not later than the one before")
        if before is not None and one.open_ns != before.open_ns + step_ns:
            missing = (one.open_ns - before.open_ns) // step_ns - 1
            gaps.append(f"{where}: {missing} candles are missing before candle {number}")
        before = one
    if gaps and not allow_gaps:
        raise DataRefused("DATA_GAP", gaps[0])
    return gaps
