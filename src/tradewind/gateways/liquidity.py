"""A house that makes the markets of an exchange move: a ladder around a generated mid, and public trades.

The model is the generated feed; the ladder rests on the account `house`, and `house-taker` trades with it
and with clients' orders that the model's price has passed. Both act as SYSTEM: neither bounds of number nor
of rate are theirs, and their orders are in nobody's history. The same seed gives the same wishes; what
becomes of them depends on what clients do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Final

import msgspec
import structlog

from tradewind.core import commands as build
from tradewind.core.enums import OrderFlag, TimeInForce
from tradewind.core.enums import Side as EngineSide
from tradewind.core.native import derive_account_id
from tradewind.node.errors import NodeStopped, QueueFull, SpaceReserved
from tradewind.venues.feeds.generated import GeneratedFeed, GeneratedMarket
from tradewind.venues.market_data import BookDelta, BookSnapshot, FeedEvent, Side, TradePrint

from .exchange import Exchange
from .exchange_setup import HOUSE, HOUSE_TAKER, ListedMarket, is_perpetual

log = structlog.get_logger("tradewind.gateway.liquidity")

LEVEL_VALUE: Final = 20_000
"""About how much of the quote asset rests on a level."""
MAX_COMMANDS: Final = 512
"""Of one step of one market."""
PAUSE_S: Final = 1.0
"""After a refused step."""


class LiquidityConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """How the house behaves. Times between steps are drawn from `step_ms`."""

    seed: int = 1
    symbols: tuple[str, ...] = ()
    """Empty: every market."""
    depth_levels: int = 20
    step_ms: tuple[int, int] = (100, 400)
    trade_per_mille: int = 300
    """Steps of a market in which the house trades with itself."""


class Liquidity:
    """`await Liquidity(exchange).start()`; `close` takes the ladder away again."""

    def __init__(self, exchange: Exchange, configuration: LiquidityConfiguration | None = None) -> None:
        self.exchange = exchange
        self.configuration = configuration or LiquidityConfiguration()
        self.steps = 0
        self.refused: dict[str, int] = {}
        """Commands that the engine refused, by its code: mostly quotes that a client was quicker than."""
        self.failure: str | None = None
        chosen = self.configuration.symbols or tuple(exchange.listed.markets)
        self._ladders = {symbol: _Ladder(exchange, exchange.listed.markets[symbol]) for symbol in chosen}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Quotes every market once, then goes on in the background.

        Raises:
            NodeStopped: the exchange has stopped.
        """
        await self._clear()
        models = [
            _model(ladder.market, ladder.start_ticks(), self.configuration)
            for ladder in self._ladders.values()
        ]
        feed = GeneratedFeed(self.configuration.seed, models, None, start_at_ns=self.exchange.now_ns())
        steps = feed.batches()
        await self._step(next(steps)[1])
        self._task = asyncio.create_task(self._run(steps), name="gateway-liquidity")

    async def close(self) -> None:
        """Ends the background work and cancels the ladder. May be called twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if self.exchange.node.stop_reason is None:
                await self._clear()

    async def _clear(self) -> None:
        key = self.exchange.parties.key(HOUSE)
        await self.exchange.node.submit([build.cancel_all(principal=key, account=derive_account_id(key))])

    async def _run(self, steps: Iterator[tuple[int, list[FeedEvent]]]) -> None:
        started_s, first_ns = time.monotonic(), 0
        for now_ns, events in steps:
            first_ns = first_ns or now_ns
            await asyncio.sleep(max(0.0, started_s + (now_ns - first_ns) / 1e9 - time.monotonic()))
            try:
                await self._step(events)
            except (QueueFull, SpaceReserved):
                await asyncio.sleep(PAUSE_S)
            except NodeStopped as error:
                self.failure = str(error)
                return
            except Exception as error:
                self.failure = f"{type(error).__name__}: {error}"
                log.error("liquidity_failed", error=self.failure)
                raise

    async def _step(self, events: list[FeedEvent]) -> None:
        for event in events:
            ladder = self._ladders.get(event.symbol)
            if ladder is not None:
                ladder.hear(event)
        self.steps += 1
        prices = self.exchange.house_prices
        for symbol, ladder in self._ladders.items():
            middle = ladder.middle_ticks()
            if prices is not None and ladder.perpetual and middle is not None:
                prices.set_index(symbol, middle)
        for ladder in self._ladders.values():
            commands = ladder.commands()
            if not commands:
                continue
            for result in await self.exchange.node.submit(commands):
                if not result.accepted:
                    self.refused[result.name] = self.refused.get(result.name, 0) + 1


def _model(market: ListedMarket, start_ticks: int, configuration: LiquidityConfiguration) -> GeneratedMarket:
    """The generated market in the steps of this one: it moves by the same part of its price."""
    instrument = market.instrument
    part = start_ticks / 6_000_000
    lot_value = instrument.lot * instrument.tick * start_ticks
    low_ms, high_ms = configuration.step_ms
    return GeneratedMarket(
        symbol=instrument.symbol,
        tick=instrument.tick,
        lot=instrument.lot,
        min_quantity=instrument.lot,
        start_price_ticks=start_ticks,
        depth_levels=configuration.depth_levels,
        level_step_ticks=max(2, int(40 * part)),
        level_lots=max(int(LEVEL_VALUE / lot_value), 8),
        max_half_spread_ticks=max(2, int(6 * part)),
        drift_ticks=max(2, int(150 * part)),
        trade_per_mille=configuration.trade_per_mille,
        step_ms_min=low_ms,
        step_ms_max=high_ms,
    )


class _Ladder:
    """What the model wants in one market, and the commands that bring the book there."""

    def __init__(self, exchange: Exchange, market: ListedMarket) -> None:
        self.market = market
        self.perpetual = is_perpetual(market)
        self._exchange = exchange
        self._maker = exchange.parties.key(HOUSE)
        self._taker = exchange.parties.key(HOUSE_TAKER)
        self._ids = {key: derive_account_id(key) for key in (self._maker, self._taker)}
        self._wanted: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self._changed: set[tuple[int, int]] = set()
        """(side, price) whose lots the model has changed since the last commands."""
        self._trades: list[TradePrint] = []

    def start_ticks(self) -> int:
        """Where the model begins: at the last trade, so that a restart is no jump, else as configured."""
        last = self._exchange.views.trades.tape(self.market.handle).last_price
        if self.perpetual:
            # The band lies around the index.
            last = self._exchange.views.leverage.markets[self.market.handle].index or last
        configured = self.market.configuration.start_price / self.market.instrument.tick
        return last or int(configured)

    def middle_ticks(self) -> int | None:
        """Between the best prices that the model wants."""
        bids, asks = self._wanted
        return (max(bids) + min(asks)) // 2 if bids and asks else None

    def hear(self, event: FeedEvent) -> None:
        """A step of the model."""
        if isinstance(event, BookSnapshot):
            self._wanted = (dict(event.bids), dict(event.asks))
        elif isinstance(event, BookDelta):
            for side, price, lots in event.changes():
                self._changed.add((int(side), price))
                if lots:
                    self._wanted[side][price] = lots
                else:
                    self._wanted[side].pop(price, None)
        elif isinstance(event, TradePrint):
            self._trades.append(event)

    def commands(self) -> list[bytes]:
        """The model's trades, quotes that have to go, clients' orders that were passed, new quotes."""
        trades = [
            self._take(trade.aggressor_side, trade.price_ticks, trade.quantity_lots)
            for trade in self._trades
            if trade.aggressor_side is not None
        ]
        kept: tuple[set[int], set[int]] = (set(), set())
        cancels = []
        for order in self._exchange.views.orders.of_account(self._handle(HOUSE), self.market.handle):
            wanted = self._wanted[order.side].get(order.price)
            place = (int(order.side), order.price)
            if wanted is None or place in self._changed or order.price in kept[order.side]:
                cancels.append(self._cancel(order.order))
            else:
                kept[order.side].add(order.price)
        quotes = [
            self._quote(side, price, lots)
            for side in (EngineSide.BUY, EngineSide.SELL)
            for price, lots in self._wanted[side].items()
            if price not in kept[side]
        ]
        self._trades, self._changed = [], set()
        return (trades + cancels + self._sweeps() + quotes)[:MAX_COMMANDS]

    def _sweeps(self) -> list[bytes]:
        """Clients' orders at prices that the model has passed are taken, as a market would."""
        book = self._exchange.views.books.book(self.market.handle)
        found = []
        for side, taken in ((Side.SELL, EngineSide.BUY), (Side.BUY, EngineSide.SELL)):
            # Sellers take bids at or above the model's best ask, buyers asks at or below its best bid.
            wanted = self._wanted[1 - taken]
            if not wanted:
                continue
            limit = min(wanted) if taken == EngineSide.BUY else max(wanted)
            own = self._own_lots(taken)
            lots = 0
            for level in book.levels(taken):
                passed = level.price >= limit if taken == EngineSide.BUY else level.price <= limit
                if not passed:
                    break
                lots += level.lots - own.get(level.price, 0)
            if lots > 0:
                found.append(self._take(side, limit, lots))
        return found

    def _own_lots(self, side: EngineSide) -> dict[int, int]:
        own: dict[int, int] = {}
        for order in self._exchange.views.orders.of_account(self._handle(HOUSE), self.market.handle):
            if order.side == side:
                own[order.price] = own.get(order.price, 0) + order.remaining_lots
        return own

    def _handle(self, name: str) -> int:
        return self._exchange.listed.accounts[name]

    def _take(self, side: Side, price: int, lots: int) -> bytes:
        return build.place_order(
            principal=self._taker,
            account=self._ids[self._taker],
            client_key=build.NO_KEY,
            market=self.market.handle,
            side=int(side),
            price=price,
            lots=lots,
            time_in_force=TimeInForce.IOC,
        )

    def _quote(self, side: EngineSide, price: int, lots: int) -> bytes:
        return build.place_order(
            principal=self._maker,
            account=self._ids[self._maker],
            client_key=build.NO_KEY,
            market=self.market.handle,
            side=int(side),
            price=price,
            lots=lots,
            order_flags=OrderFlag.POST_ONLY,
        )

    def _cancel(self, order: int) -> bytes:
        return build.cancel_order(principal=self._maker, account=self._ids[self._maker], order=order)
