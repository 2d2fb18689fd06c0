"""`ViewCollector`: reads node, projections, feed and trader a few times a second into one `PlatformView`.

It runs on the loop that owns them, reads plain attributes and awaits nothing while it reads, so a view is a
picture of one moment. Readers get the newest picture; they never reach into the parts.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import structlog

from tradewind.core.enums import Side
from tradewind.core.units import Scale, from_micros
from tradewind.node.clock import STEP_TOLERANCE_NS
from tradewind.node.projections.book import Book
from tradewind.node.projections.directory import Market
from tradewind.node.projections.exchange import ExchangeViews
from tradewind.node.projections.orders import Order
from tradewind.node.projections.trades import Candle as TapeCandle
from tradewind.node.service import NodeService, NodeState
from tradewind.trader.execution.desk import ExecutionDesk
from tradewind.trader.session import Session
from tradewind.venues.feeds.base import Feed
from tradewind.venues.market_data import BookState, FeedError
from tradewind.venues.market_data import Side as VenueSide

from . import trader_view
from .counting import BatchCounters, quantile_us
from .execution_view import execution
from .leveraged import LeveragedFacts, alarms_of, facts_of
from .metrics import Metrics, SystemFacts, resident_bytes
from .outcome_rows import outcomes_of
from .shortfall import alarms_of as shortfall_alarms
from .shortfall import shortfall_of
from .venue_rows import VenueConnection
from .view import (
    MAX_CANDLES,
    MAX_LEVELS,
    MAX_ORDERS,
    UNKNOWN,
    Alarm,
    BalanceRow,
    Candle,
    CountersView,
    DepthView,
    FeedState,
    FeedView,
    HeadView,
    Level,
    MarketView,
    OrderRow,
    OutcomesView,
    PlatformView,
    Quality,
    Reading,
    Severity,
    WorkerRow,
)

log = structlog.get_logger("tradewind.observe")
REFRESH_S = 0.25
MS_NS = 1_000_000
OUTCOMES_EVERY_NS = 1_000_000_000
MAX_LAG_SAMPLE_S = 60.0
FEED_STATES = {
    BookState.EMPTY: FeedState.SYNCING,
    BookState.SYNCING: FeedState.SYNCING,
    BookState.LIVE: FeedState.LIVE,
    BookState.SUSPECT: FeedState.SUSPECT,
}


class ViewCollector:
    """Owns the newest `PlatformView`. `source` is what console, `/health` and `/metrics` are given.

    Attach `counters.apply` and `views.apply` to the node before the first refresh.
    """

    def __init__(
        self,
        *,
        env: str,
        version: str,
        node: NodeService,
        views: ExchangeViews,
        session: Session | None = None,
        feed: Feed | None = None,
        feed_note: str = "",
        log_suppressed: Callable[[], int] | None = None,
    ) -> None:
        self.env, self.version = env, version
        self.node, self.views, self.session = node, views, session
        self.feed, self.feed_note = feed, feed_note
        self.counters = BatchCounters()
        self.metrics = Metrics(self.source, self.counters, self.facts)
        self.workers: Callable[[int], tuple[WorkerRow, ...]] = no_workers
        """Keeper and oracle workers of this process at a moment (ns)."""
        self.failure: str | None = None
        """Why the last refresh failed, None when it worked."""
        self.execution: ExecutionDesk | None = None
        """The trader's parent orders, once it trades."""
        self._log_suppressed = log_suppressed
        self.venues: list[VenueConnection] = []
        self.streams: Callable[[], tuple[int, int]] | None = None
        """Open connections of the API's stream, and those that were cut off; None before the API serves."""
        """Connections to outside venues that `/metrics` shows."""
        self._started_s = time.monotonic()
        self._blocks_seen = 0
        self._loop_lag_s: float | None = None
        self._outcomes_ns, self._outcome_markets = 0, OutcomesView()
        self._view = PlatformView(taken_ns=0, env=env, version=version)

    def source(self) -> PlatformView:
        """The newest view."""
        return self._view

    async def run(self) -> None:
        """Refresh until cancelled. A failure keeps the old view, whose age then raises the alarm."""
        while True:
            started_s = time.monotonic()
            try:
                self.refresh()
                self.failure = None
            except Exception as error:  # noqa: BLE001  a broken panel must not take the collector down
                if self.failure is None:
                    log.error("view_not_refreshed", error=repr(error))
                self.failure = repr(error)
            slept_s = time.monotonic()
            await asyncio.sleep(max(0.05, REFRESH_S - (slept_s - started_s)))
            late_s = time.monotonic() - slept_s - max(0.05, REFRESH_S - (slept_s - started_s))
            self._loop_lag_s = min(max(0.0, late_s), MAX_LAG_SAMPLE_S)

    # ---- the picture -------------------------------------------------------------------------------

    def refresh(self) -> PlatformView:
        """Take a new picture now."""
        now_ns = time.time_ns()
        self._observe_commits()
        market = self._market()
        trader = self.session.trader if self.session is not None else None
        feed = self._feed()
        own = self._own_orders(market)
        depth = self._depth(market, own, feed)
        engine_ns = self.node.now_ns()
        fields: dict[str, Any] = {}
        if self.session is not None and trader is not None:
            fields = {
                "fills": trader_view.fills(trader),
                "position": trader_view.position(trader, engine_ns),
                "profit": trader_view.profit(trader, engine_ns),
                "limits": trader_view.limits(trader),
                "trading": trader_view.trading(trader),
                "strategies": trader_view.strategies(trader, self.session.ended_reason),
                "balances": self._balances(engine_ns),
                "orders": tuple(self._order_rows(market, own, engine_ns)),
                "orders_open": len(own),
            }
            fields["strategy"] = next(iter(fields["strategies"]))
        head = self._head(now_ns)
        self._view = PlatformView(
            taken_ns=now_ns,
            env=self.env,
            version=self.version,
            feed=feed,
            head=head,
            market=self._market_view(market, depth, feed),
            depth=depth,
            candles_1s=self._candles(market, 1),
            candles_1m=self._candles(market, 60),
            counters=self._counters(),
            alarms=tuple(self._alarms(feed, head, engine_ns)),
            workers=self.workers(engine_ns),
            outcomes=self._outcomes(engine_ns, now_ns),
            execution=None if self.execution is None else execution(self.execution),
            **fields,
        )
        return self._view

    def _outcomes(self, engine_ns: int, now_ns: int) -> OutcomesView:
        """Looked at once a second: there may be tens of thousands of them."""
        if now_ns - self._outcomes_ns >= OUTCOMES_EVERY_NS:
            self._outcomes_ns = now_ns
            self._outcome_markets = outcomes_of(self.views, engine_ns)
        return self._outcome_markets

    def _market(self) -> Market | None:
        markets = self.views.markets.by_handle
        if self.session is not None:
            trader = self.session.trader
            return markets.get(self.session.venue.markets[trader.symbol].setup.market)
        return next(iter(markets.values()), None)

    def market_name(self, market: Market) -> str:
        """ "BTC/USDT" from the assets of the market."""
        assets = self.views.assets.by_number
        base, quote = assets.get(market.base), assets.get(market.quote)
        return f"{base.symbol if base else market.base}/{quote.symbol if quote else market.quote}"

    def _feed(self) -> FeedView:
        feed, session = self.feed, self.session
        if feed is None:
            return FeedView(detail=self.feed_note)
        symbol = session.trader.symbol if session is not None else next(iter(feed.instruments), "")
        label, generated = feed.label, feed.label.startswith("generated")
        statistics = feed.statistics()
        state, detail = FeedState.UNKNOWN, self.feed_note
        age_ns: int | None = None
        budget_ms: int | None = None
        try:
            state = FEED_STATES.get(feed.state(symbol), FeedState.UNKNOWN)
            age_ns = feed.age_ns(symbol)
            budget_ms = feed.book(symbol).staleness_budget_ns() // MS_NS
        except (KeyError, FeedError) as error:
            detail = f"{symbol}: {error}"
        age = self._market_age_ms(symbol, age_ns)
        if state is FeedState.LIVE and age is not None and budget_ms is not None and age > budget_ms:
            state = FeedState.STALE
        if session is not None and session.ended_reason is not None:
            state, detail = FeedState.ENDED, session.ended_reason
        return FeedView(
            label=label,
            symbol=symbol,
            generated=generated,
            state=state,
            age_ms=age,
            budget_ms=budget_ms,
            frames=statistics.frames,
            gaps=statistics.gaps,
            reconnects=statistics.reconnects,
            detail=detail,
        )

    def _market_age_ms(self, symbol: str, age_ns: int | None) -> int | None:
        """The older of the feed's own word and the time since the engine's book was last touched.

        A recorded feed counts its age on recorded time, which stands still when the replay stalls.
        """
        if age_ns is None:
            return None
        mirrored = None if self.session is None else self.session.venue.markets.get(symbol)
        if mirrored is not None and mirrored.book_as_of_ns is not None:
            age_ns = max(age_ns, self.node.now_ns() - mirrored.book_as_of_ns)
        return age_ns // MS_NS

    def _own_orders(self, market: Market | None) -> list[Order]:
        if self.session is None or market is None:
            return []
        handle = self.session.venue.setup.accounts["trader"]
        orders = self.views.orders.of_account(handle)
        last = self.views.trades.tape(market.market).last_price or 0
        return sorted(orders, key=lambda order: (abs(order.price - last), order.order))

    def _depth(self, market: Market | None, own: list[Order], feed: FeedView) -> DepthView:
        if market is None:
            return DepthView()
        book = self.views.books.book(market.market)
        mine: dict[tuple[int, int], int] = {}
        for order in own:
            if order.resting and order.market == market.market:
                key = (int(order.side), order.price)
                mine[key] = mine.get(key, 0) + order.remaining_lots
        quality = Quality.KNOWN if feed.state is FeedState.LIVE else Quality.STALE
        return DepthView(
            bids=_levels(book, Side.BUY, market.scale, mine),
            asks=_levels(book, Side.SELL, market.scale, mine),
            quality=Quality.UNKNOWN if feed.state is FeedState.UNKNOWN else quality,
            age_ms=feed.age_ms,
        )

    def _market_view(self, market: Market | None, depth: DepthView, feed: FeedView) -> MarketView:
        if market is None:
            return MarketView()
        scale, assets = market.scale, self.views.assets.by_number
        last = self.views.trades.tape(market.market).last_price
        bid, ask = (side[0].price if side else None for side in (depth.bids, depth.asks))
        spread = spread_bps = reference = UNKNOWN

        def seen(value: object | None) -> Reading:
            if value is None or depth.quality is Quality.UNKNOWN:
                return UNKNOWN
            return Reading(str(value), depth.quality, feed.age_ms)

        if bid is not None and ask is not None:
            width, middle = Decimal(ask) - Decimal(bid), (Decimal(ask) + Decimal(bid)) / 2
            spread, reference = seen(width), seen(middle)
            spread_bps = seen((width * 10_000 / middle).quantize(Decimal("0.001")))
        return MarketView(
            symbol=self.market_name(market),
            base=assets[market.base].symbol,
            quote=assets[market.quote].symbol,
            tick=format(from_micros(market.tick_size).normalize(), "f"),
            lot=format(from_micros(market.lot_size).normalize(), "f"),
            status=market.status.name.lower() if market.pause is None else "paused",
            last=UNKNOWN if last is None else seen(scale.price(last)),
            bid=seen(bid),
            ask=seen(ask),
            spread=spread,
            spread_bps=spread_bps,
            reference=reference,
        )

    def _candles(self, market: Market | None, interval_s: int) -> tuple[Candle, ...]:
        if market is None:
            return ()
        candles = self.views.trades.tape(market.market).candles[interval_s]
        shown = [candles[index] for index in range(max(0, len(candles) - MAX_CANDLES), len(candles))]
        return tuple(_candle(one, market.scale) for one in shown)

    def _order_rows(self, market: Market | None, own: list[Order], now_ns: int) -> Iterator[OrderRow]:
        if market is None or self.session is None:
            return
        for order in own[:MAX_ORDERS]:
            scale = self.views.markets.by_handle[order.market].scale
            ahead = self._lots_ahead(order)
            yield OrderRow(
                id=str(order.order),
                client_id=order.client_key.hex(),
                side=trader_view.side_text(order.side),
                price=str(scale.price(order.price)),
                quantity=str(scale.size(order.total_lots)),
                filled=str(scale.size(order.filled_lots)),
                state=order.status.value,
                age_ms=trader_view.age_ms(order.accepted_ns, now_ns),
                ahead=None if ahead is None else str(scale.size(ahead)),
            )

    def _lots_ahead(self, order: Order) -> int | None:
        """Lots that rest in front of an order at its price; None when its queue is not known."""
        assert self.session is not None
        for market in self.session.venue.markets.values():
            if market.setup.market != order.market:
                continue
            queues = market.mirror.queues
            level = queues.level(VenueSide(int(order.side)), order.price)
            if level is None:
                return None
            ahead = 0
            for entry in level.entries:
                if entry.order_id == order.order:
                    return ahead
                ahead += entry.lots
        return None

    def _balances(self, now_ns: int) -> tuple[BalanceRow, ...]:
        assert self.session is not None
        quality, age = trader_view.balance_quality(self.session.trader, now_ns)
        handle = self.session.venue.setup.accounts["trader"]
        rows = []
        for balance in self.views.ledger.balances(handle):
            asset = self.views.assets.by_number.get(balance.asset)
            name = asset.symbol if asset is not None else str(balance.asset)
            parts = (balance.free, balance.held, balance.total)
            free, held, total = (
                UNKNOWN if quality is Quality.UNKNOWN else Reading(str(from_micros(part)), quality, age)
                for part in parts
            )
            rows.append(BalanceRow(asset=name, free=free, held=held, total=total))
        return tuple(rows)

    def _head(self, now_ns: int) -> HeadView:
        head, space = self.node.head(), self.node.space
        blocks = head.get("blocks", head.get("durable_blocks", 0))
        raw = head.get("hash", b"")
        time_ns = head.get("time_ns", 0)
        stopped = self.node.stop_reason or ""
        return HeadView(
            block=blocks - 1 if blocks else None,
            seq=head.get("last_seq") if blocks else None,
            hash=raw.hex() if isinstance(raw, bytes) else str(raw),
            age_ms=trader_view.age_ms(time_ns, now_ns) if time_ns else None,
            writable=self.node.state is NodeState.RUNNING,
            free_bytes=None if space is None else space.free_bytes,
            stopped=stopped,
        )

    def _counters(self) -> CountersView:
        samples = list(self.node.commit_latencies_ns)
        rejects = self.counters.rejects()
        if self.session is not None:
            for code, count in self.session.trader.risk.denials.items():
                rejects[f"risk {code}"] = count
        return CountersView(
            commands_total=self.counters.commands_total,
            commands_per_s=self.counters.commands_per_s(time.monotonic),
            blocks_total=self.counters.blocks,
            trades_total=sum(self.counters.trades.values()),
            ack_p50_us=quantile_us(samples, 0.50),
            ack_p99_us=quantile_us(samples, 0.99),
            rejects=rejects,
            uptime_s=int(time.monotonic() - self._started_s),
            rss_bytes=resident_bytes(),
        )

    def _observe_commits(self) -> None:
        new = min(self.node.blocks_committed - self._blocks_seen, len(self.node.commit_latencies_ns))
        self._blocks_seen = self.node.blocks_committed
        if new > 0:
            for latency_ns in list(self.node.commit_latencies_ns)[-new:]:
                self.metrics.collector.commit_seconds.observe(latency_ns / 1e9)

    def _alarms(self, feed: FeedView, head: HeadView, engine_ns: int) -> Iterator[Alarm]:
        if head.stopped:
            yield Alarm(severity=Severity.CRITICAL, code="NODE_STOPPED", text=head.stopped)
        elif self.node.state is NodeState.REDUCE_ONLY:
            text = "the journal's disk is down to its reserve: only cancels are taken"
            yield Alarm(severity=Severity.CRITICAL, code="DISK_RESERVED", text=text)
        if self.node.clock_problem is not None:
            yield Alarm(severity=Severity.CRITICAL, code="CLOCK", text=self.node.clock_problem)
        behind_ns = self.node.clock_behind_ns
        if behind_ns > STEP_TOLERANCE_NS:
            text = f"the machine's clock is {behind_ns // 1_000_000} ms behind the log: it was set back"
            yield Alarm(severity=Severity.CRITICAL, code="CLOCK_BEHIND", text=text)
        for name, reason in self.node.detached.items():
            yield Alarm(severity=Severity.CRITICAL, code="VIEW_DETACHED", text=f"{name}: {reason}")
        for worker in self.workers(engine_ns):
            if worker.state in ("failed", "ended"):
                # A warning: SYSTEM performs every due action two seconds later by itself.
                text = f"{worker.name}: {worker.detail}"
                yield Alarm(severity=Severity.WARNING, code=f"WORKER_{worker.state.upper()}", text=text)
        yield from alarms_of(self._leveraged(engine_ns))
        yield from shortfall_alarms(shortfall_of(self.views))
        imbalance = self._imbalance()
        if any(imbalance.values()):
            yield Alarm(severity=Severity.CRITICAL, code="LEDGER_IMBALANCE", text=str(imbalance))
        if feed.state is not FeedState.LIVE and self.feed is not None:
            severity = Severity.INFO if feed.state is FeedState.SYNCING else Severity.WARNING
            code = f"FEED_{feed.state.value.upper()}"
            yield Alarm(severity=severity, code=code, text=f"{feed.label} {feed.detail}".strip())
        if self.session is not None:
            if self.session.ended_reason is not None:
                # Nobody quotes, marks or watches limits any more, whatever the trading state still says.
                text = f"{self.session.ended_reason}; no strategy runs until the next start"
                yield Alarm(severity=Severity.CRITICAL, code="TRADING_ENDED", text=text)
            yield from trader_view.alarms(self.session.trader, engine_ns)

    # ---- for the metrics ---------------------------------------------------------------------------

    def _imbalance(self) -> dict[str, int]:
        assets = self.views.assets.by_number
        return {
            assets[number].symbol if number in assets else str(number): amount
            for number, amount in self.views.ledger.totals().items()
        }

    def facts(self) -> SystemFacts:
        """What `/metrics` shows beside the view."""
        markets = self.views.markets.by_handle
        names = {handle: self.market_name(market) for handle, market in markets.items()}
        stopped = self.node.stop_reason or ""
        broken = {"engine": 1} if "InvariantBroken" in stopped else {"engine": 0}
        return SystemFacts(
            imbalance_micro=self._imbalance(),
            market_states={names[handle]: one.status.name.lower() for handle, one in markets.items()},
            market_names=names,
            queue_used={"submit": self.node.pending_commands / self.node.limits.pending_commands},
            invariant_violations=broken,
            log_suppressed=None if self._log_suppressed is None else self._log_suppressed(),
            loop_lag_s=self._loop_lag_s,
            leveraged=self._leveraged(self.node.now_ns()),
            shortfall=shortfall_of(self.views),
            venues=tuple(self.venues),
            streams=None if self.streams is None else self.streams(),
        )

    def _leveraged(self, engine_ns: int) -> LeveragedFacts:
        names = {handle: self.market_name(market) for handle, market in self.views.markets.by_handle.items()}
        return facts_of(self.views, names, engine_ns)


def no_workers(_now_ns: int) -> tuple[WorkerRow, ...]:
    """A process without workers."""
    return ()


def _levels(book: Book, side: Side, scale: Scale, own: dict[tuple[int, int], int]) -> tuple[Level, ...]:
    prices = book.sides[side]
    best = heapq.nlargest(MAX_LEVELS, prices) if side is Side.BUY else heapq.nsmallest(MAX_LEVELS, prices)
    rows, running = [], 0
    for price in best:
        lots = prices[price][0]
        running += lots
        rows.append(
            Level(
                price=str(scale.price(price)),
                size=str(scale.size(lots)),
                cumulative=str(scale.size(running)),
                own=str(scale.size(own.get((int(side), price), 0))),
            )
        )
    return tuple(rows)


def _candle(one: TapeCandle, scale: Scale) -> Candle:
    return Candle(
        one.start_ns // 1_000_000_000,
        str(scale.price(one.open)),
        str(scale.price(one.high)),
        str(scale.price(one.low)),
        str(scale.price(one.close)),
        str(scale.size(one.lots)),
    )
