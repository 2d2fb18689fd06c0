"""A deterministic synthetic market, for a machine with neither network nor recordings: "generated".

The model: a fair value that is pulled back to a slowly wandering anchor; quotes around it with a spread of
one to a few ticks; depth that refills and is cancelled at random; market orders that arrive in clusters,
with the side that just traded slightly more likely to trade again. All draws are integers of a seeded
generator and all prices are integer ticks, so a seed gives the same market on every machine.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal

import msgspec

from tradewind.venues.feeds.book import BookLimits
from tradewind.venues.feeds.common import PipelineFeed
from tradewind.venues.feeds.decoding import DecodeCounters, Received
from tradewind.venues.feeds.pipeline import MarketPipeline
from tradewind.venues.feeds.sequencing import GaplessRule
from tradewind.venues.market_data import (
    BookDelta,
    BookSnapshot,
    DecodeError,
    FeedEvent,
    Instrument,
    Level,
    MarketMessage,
    Side,
    TopOfBook,
    TradePrint,
)

STEPS_PER_YIELD = 64
MAX_SLEEP_S = 1.0
EPOCH_2024_NS = 1_704_067_200_000_000_000
MS_NS = 1_000_000


class GeneratedMarket(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters of one synthetic symbol; probabilities are per mille and per step."""

    symbol: str = "BTC/USDT"
    tick: Decimal = Decimal("0.01")
    lot: Decimal = Decimal("0.00001")
    min_quantity: Decimal = Decimal("0.00001")
    min_notional: Decimal = Decimal("5")
    start_price_ticks: int = 6_000_000
    depth_levels: int = 60
    level_step_ticks: int = 40
    level_lots: int = 40_000
    max_half_spread_ticks: int = 6
    drift_ticks: int = 150
    reversion_per_mille: int = 20
    trade_per_mille: int = 300
    step_ms_min: int = 10
    step_ms_max: int = 190

    def instrument(self) -> Instrument:
        """The instrument of this market, with source "generated"."""
        base, _, quote = self.symbol.partition("/")
        return Instrument(
            venue="generated", symbol=self.symbol, venue_symbol=base + quote, base=base, quote=quote,
            tick=self.tick, lot=self.lot, min_quantity=self.min_quantity, min_notional=self.min_notional,
            price_decimals=max(0, -int(self.tick.as_tuple().exponent)),
            quantity_decimals=max(0, -int(self.lot.as_tuple().exponent)), source="generated",
        )  # fmt: skip


class _NoDecoder:
    """Generated messages are born normalised; there is nothing to decode."""

    def __init__(self, instruments: dict[str, Instrument]) -> None:
        self.counters = DecodeCounters()
        self.instruments = instruments

    def decode(self, frame: bytes, received: Received) -> list[MarketMessage]:
        raise DecodeError("generated", "a generated market has no frames")


class _SymbolModel:
    """State of one synthetic symbol; `step` returns the messages of the next moment."""

    def __init__(self, market: GeneratedMarket, rng: random.Random) -> None:
        self.market = market
        self.rng = rng
        self.fair_ticks = market.start_price_ticks
        self.anchor_ticks = market.start_price_ticks
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.update_id = 1
        self.trade_id = 0
        self.last_side = Side.BUY

    def first(self, stamp: Received) -> BookSnapshot:
        """The opening book."""
        self._requote(1)
        return BookSnapshot(
            symbol=self.market.symbol, bids=tuple(sorted(self.bids.items(), reverse=True)),
            asks=tuple(sorted(self.asks.items())), sequence=self.update_id, venue_ts_ns=stamp.recv_ts_ns,
            recv_ts_ns=stamp.recv_ts_ns, recv_mono_ns=stamp.recv_mono_ns, epoch=stamp.epoch,
        )  # fmt: skip

    def step(self, stamp: Received) -> list[MarketMessage]:
        """Trades first (as a venue reports them), then the resulting book change, then the best prices."""
        bids, asks = dict(self.bids), dict(self.asks)
        messages: list[MarketMessage] = list(self._trades(stamp))
        self._move()
        self._requote(1 + self.rng.randrange(self.market.max_half_spread_ticks))
        delta = self._delta(bids, asks, stamp)
        if delta is not None:
            messages.append(delta)
            messages.append(self._top(stamp))
        return messages

    def _move(self) -> None:
        market, rng = self.market, self.rng
        self.anchor_ticks += rng.randrange(-market.drift_ticks, market.drift_ticks + 1)
        # the anchor may wander only within half to double the opening price, so prices stay positive for ever
        low, high = market.start_price_ticks // 2, market.start_price_ticks * 2
        self.anchor_ticks = min(max(self.anchor_ticks, low), high)
        pull = (self.anchor_ticks - self.fair_ticks) * market.reversion_per_mille // 1_000
        shock = rng.randrange(-market.drift_ticks, market.drift_ticks + 1)
        self.fair_ticks += pull + shock

    def _requote(self, half_spread_ticks: int) -> None:
        market = self.market
        self._requote_side(self.bids, self.fair_ticks - half_spread_ticks, -market.level_step_ticks)
        self._requote_side(self.asks, self.fair_ticks + half_spread_ticks, market.level_step_ticks)

    def _requote_side(self, levels: dict[int, int], best_ticks: int, step_ticks: int) -> None:
        """Cancel what is through the fair price or too far away, refill near the top, cancel a little."""
        market, rng = self.market, self.rng
        sign = 1 if step_ticks > 0 else -1
        far_ticks = abs(step_ticks) * market.depth_levels * 2
        for price in [one for one in levels if not 0 <= (one - best_ticks) * sign <= far_ticks]:
            del levels[price]
        if best_ticks not in levels:
            levels[best_ticks] = self._lots(0)
        for _ in range(4):
            level = rng.randrange(market.depth_levels)
            price = best_ticks + step_ticks * level + sign * rng.randrange(abs(step_ticks))
            if len(levels) < market.depth_levels or price in levels:
                levels[price] = self._lots(level)
        rank = 1
        while len(levels) < market.depth_levels:
            price = best_ticks + step_ticks * rank + sign * rng.randrange(abs(step_ticks))
            levels.setdefault(price, self._lots(rank))
            rank = rank % (market.depth_levels * 2 - 1) + 1
        worst_first = sorted(levels, key=lambda one: one * sign, reverse=True)
        for price in worst_first[: len(levels) - market.depth_levels]:
            del levels[price]

    def _lots(self, level: int) -> int:
        """Thin at the top, thicker behind, never zero."""
        scale = self.market.level_lots * (2 + min(level, 20)) // 8
        return 1 + self.rng.randrange(1, scale + 1) * self.rng.randrange(1, 9) // 4

    def _trades(self, stamp: Received) -> Iterator[TradePrint]:
        market, rng = self.market, self.rng
        if rng.randrange(1_000) >= market.trade_per_mille:
            return
        repeat = rng.randrange(100) < 60
        side = self.last_side if repeat else Side(1 - self.last_side)
        self.last_side = side
        remaining = 1 + rng.randrange(market.level_lots) * rng.randrange(1, 5) // (1 << rng.randrange(8))
        levels = self.asks if side is Side.BUY else self.bids
        for price in sorted(levels, reverse=side is Side.SELL)[:5]:
            if remaining == 0:
                return
            traded = min(remaining, levels[price])
            remaining -= traded
            levels[price] -= traded
            if levels[price] == 0:
                del levels[price]
            self.trade_id += 1
            yield TradePrint(
                symbol=market.symbol, trade_id=self.trade_id, price_ticks=price, quantity_lots=traded,
                aggressor_side=side, venue_ts_ns=stamp.recv_ts_ns, recv_ts_ns=stamp.recv_ts_ns,
                recv_mono_ns=stamp.recv_mono_ns, epoch=stamp.epoch,
            )  # fmt: skip

    def _delta(self, bids: dict[int, int], asks: dict[int, int], stamp: Received) -> BookDelta | None:
        bid_changes, ask_changes = _changes(bids, self.bids), _changes(asks, self.asks)
        if not bid_changes and not ask_changes:
            return None
        self.update_id += 1
        return BookDelta(
            symbol=self.market.symbol, bids=bid_changes, asks=ask_changes, first_id=self.update_id,
            last_id=self.update_id, previous_id=self.update_id - 1, venue_ts_ns=stamp.recv_ts_ns,
            recv_ts_ns=stamp.recv_ts_ns, recv_mono_ns=stamp.recv_mono_ns, epoch=stamp.epoch,
        )  # fmt: skip

    def _top(self, stamp: Received) -> TopOfBook:
        bid, ask = max(self.bids), min(self.asks)
        return TopOfBook(
            symbol=self.market.symbol, bid_ticks=bid, bid_lots=self.bids[bid], ask_ticks=ask,
            ask_lots=self.asks[ask], sequence=self.update_id, venue_ts_ns=stamp.recv_ts_ns,
            recv_ts_ns=stamp.recv_ts_ns, recv_mono_ns=stamp.recv_mono_ns, epoch=stamp.epoch,
        )  # fmt: skip


def _changes(before: dict[int, int], after: dict[int, int]) -> tuple[Level, ...]:
    removed = [(price, 0) for price in before if price not in after]
    changed = [(price, lots) for price, lots in after.items() if before.get(price) != lots]
    return tuple(removed + changed)


class GeneratedFeed(PipelineFeed):
    """Endless deterministic market. `speed` as in `RecordedFeed`; `start_at_ns` is the first receive time."""

    def __init__(
        self,
        seed: int,
        markets: list[GeneratedMarket] | None = None,
        speed: float | None = 1.0,
        *,
        start_at_ns: int = EPOCH_2024_NS,
        limits: BookLimits | None = None,
    ) -> None:
        if speed is not None and not 0 <= speed < float("inf"):
            raise ValueError(f"speed must be finite and not negative, got {speed}")
        self.seed = seed
        self.speed = speed or None
        chosen = markets or [GeneratedMarket()]
        self._rng = random.Random(seed)  # noqa: S311 a model, not a secret; it must be reproducible
        self._models = [
            _SymbolModel(market, random.Random(f"{seed}/{market.symbol}"))  # noqa: S311
            for market in chosen
        ]
        self._clock_ns = start_at_ns
        self._step_ms = (min(one.step_ms_min for one in chosen), max(one.step_ms_max for one in chosen))
        decoder = _NoDecoder({one.symbol: one.instrument() for one in chosen})
        super().__init__(MarketPipeline(decoder, GaplessRule(), limits))

    @property
    def label(self) -> str:
        """Always "generated": this is not a real market."""
        return "generated"

    def clock_ns(self) -> int:
        """The model's own time."""
        return self._clock_ns

    def batches(self) -> Iterator[tuple[int, list[FeedEvent]]]:
        """Yield (time ns, events) without waiting, for ever."""
        stamp = Received(self._clock_ns, self._clock_ns, 0)
        out: list[FeedEvent] = []
        for model in self._models:
            self.pipeline.apply(model.first(stamp), out)
        while True:
            if out:
                self.published_events += len(out)
                yield self._clock_ns, out
            out = []
            self._clock_ns += self._rng.randrange(self._step_ms[0], self._step_ms[1] + 1) * MS_NS
            stamp = Received(self._clock_ns, self._clock_ns, 0)
            for model in self._models:
                for message in model.step(stamp):
                    self.pipeline.apply(message, out)

    async def events(self) -> AsyncIterator[FeedEvent]:
        """Yield events at the chosen speed until `close`."""
        started_mono_ns, started_ns = time.monotonic_ns(), self._clock_ns
        for steps, (now_ns, batch) in enumerate(self.batches(), 1):
            if self.speed is not None:
                await self._wait_until(started_mono_ns + int((now_ns - started_ns) / self.speed))
            elif steps % STEPS_PER_YIELD == 0:
                await asyncio.sleep(0)
            for event in batch:
                if self.closed:
                    return
                yield event

    async def _wait_until(self, due_mono_ns: int) -> None:
        while not self.closed:
            remaining_s = (due_mono_ns - time.monotonic_ns()) / 1e9
            if remaining_s <= 0:
                return
            await asyncio.sleep(min(remaining_s, MAX_SLEEP_S))
