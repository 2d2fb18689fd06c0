"""The engine side of a paper venue: mirror actions out, engine events in, and the queue of what is
under way.
"""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple

import msgspec

from tradewind.core import event_types as engine
from tradewind.core.events import Event, Result, decode_events
from tradewind.core.native import PaperPlan, paper_fold

from ..market_data import BookDelta, BookSnapshot, BookState, FeedEvent, FeedState, TradePrint
from ..protocol import PrivateEvent, Rejected, Uncertain
from .accounts import AccountBook, AccountState
from .latency import LatencyConfig, LatencyModel, Path
from .mirror import MirrorBook, Party
from .port import Port, PortRestricted, PortStopped
from .published import Published
from .queue_model import Entry
from .setup import MarketSetup, PaperSetup
from .wire import BatchLike

MAX_QUEUED_REQUESTS = 10_000
REFUSED_RETRY_NS = 1_000_000_000
"""How long the mirror waits after the engine refused it for now."""


class Sender(NamedTuple):
    """Principal and account of a sender."""

    principal: bytes
    account: bytes


class PaperMarket:
    """One symbol: its set-up, its mirror, and whether the outside book is live."""

    def __init__(self, setup: MarketSetup, maker: Party, taker: Party) -> None:
        self.setup = setup
        self.mirror = MirrorBook(setup.mirror, setup.market, maker, taker)
        self.book_state = BookState.EMPTY
        self.book_reason = "no data yet"
        self.refused_reason: str | None = None
        """Why the engine takes no mirror actions for now, None in normal times."""
        self.retry_at_ns = 0
        self.charged_e6bp: tuple[int, int] | None = None

    @property
    def book_as_of_ns(self) -> int | None:
        """When the last book update came."""
        return self.mirror.native.as_of_ns

    @book_as_of_ns.setter
    def book_as_of_ns(self, as_of_ns: int | None) -> None:
        self.mirror.native.as_of_ns = as_of_ns

    @property
    def last_price_ticks(self) -> int | None:
        """Price of the last print."""
        return self.mirror.native.last_price_ticks

    @property
    def refused_actions(self) -> int:
        """Actions of the mirror that the engine refused."""
        return self.mirror.native.refused_actions

    @property
    def live(self) -> bool:
        """Whether orders are taken: the outside book is live and mirrored."""
        return self.book_state is BookState.LIVE and self.mirror.live

    @property
    def reason(self) -> str:
        """Why it is not live."""
        return self.refused_reason or f"book is {self.book_state}: {self.book_reason}"

    def refuse(self, reason: str, now_ns: int) -> None:
        """The engine takes no orders for now: stop mirroring, look again a little later."""
        self.mirror.suspend()
        self.refused_reason = reason
        self.retry_at_ns = now_ns + REFUSED_RETRY_NS


class MarketState(msgspec.Struct, kw_only=True):
    """A market as plain data."""

    symbol: str
    charged_e6bp: tuple[int, int] | None
    queues: list[Entry]


class VenueState(msgspec.Struct, kw_only=True):
    """The venue as plain data."""

    account: AccountState
    markets: list[MarketState]


class MarketDriver:
    """Mirrors outside data into the engine's markets and folds the engine's events back.

    One owner calls `on_feed` and `advance` in turn. Requests and reports wait in one queue ordered by time.
    """

    def __init__(
        self, port: Port, setup: PaperSetup, *, name: str = "paper", latency: LatencyConfig | None = None
    ) -> None:
        self.name = name
        self.port = port
        self.setup = setup
        self.latency = LatencyModel(latency or LatencyConfig())
        maker, taker = (
            Party(setup.accounts[name], getattr(setup.keys, name), setup.account_ids[name])
            for name in ("mirror_maker", "mirror_taker")
        )
        self.markets = {symbol: PaperMarket(one, maker, taker) for symbol, one in setup.markets.items()}
        self.account = AccountBook(name, setup)
        self.stopped_reason: str | None = None
        self._by_handle = {market.setup.market: market for market in self.markets.values()}
        self._trader = Sender(setup.keys.trader, setup.account_ids["trader"])
        self._queue: list[tuple[int, int, Callable[[], Awaitable[None]]]] = []
        self._order_of_queue = 0
        self._last_report_ns = 0
        self._highest_epoch = 0
        self._listeners: list[Callable[[PrivateEvent], None]] = []
        self._replaying = False
        self.published = Published()
        self._handlers: dict[type[Event], Callable[[Any], None]] = {
            engine.MarketCreated: self._on_parameters,
            engine.MarketUpdated: self._on_parameters,
        }
        port.listen(self.on_batch)

    # ---- for the owner -------------------------------------------------------------------------

    def subscribe(self, listener: Callable[[PrivateEvent], None]) -> None:
        """Call `listener` with every private event of the paper account, in order, after its latency."""
        self._listeners.append(listener)

    async def on_feed(self, event: FeedEvent, now_ns: int) -> None:
        """Mirror one outside event. Events of symbols without a market are ignored."""
        await self.advance(now_ns)
        market = self.markets.get(event.symbol)
        if market is None:
            return
        self.published.tell(event)
        await self._apply(market, self._plan(market, event, now_ns))
        await self._mirror_due(now_ns)

    async def advance(self, now_ns: int) -> None:
        """Everything whose time has come, in order of time."""
        while True:
            while self._queue and self._queue[0][0] <= now_ns:
                due_ns, _, work = heapq.heappop(self._queue)
                self.port.advance_to(due_ns)
                await self._mirror_due(due_ns)
                await work()
            self.port.advance_to(now_ns)
            await self._mirror_due(now_ns)
            if not self._queue or self._queue[0][0] > now_ns:
                return

    def next_due_ns(self) -> int | None:
        """When the next queued request or report is due."""
        return self._queue[0][0] if self._queue else None

    @property
    def in_flight_count(self) -> int:
        """Requests and reports that are still under way."""
        return len(self._queue)

    def replay(self, batch: BatchLike) -> list[PrivateEvent]:
        """Rebuild from a batch of the journal; returns the account's events instead of delaying them."""
        self._replaying = True
        try:
            self.on_batch(batch)
            return self.account.drain()
        finally:
            self._replaying = False

    def on_batch(self, batch: BatchLike) -> None:
        """Fold a batch of the engine into queues and account."""
        if not paper_fold([market.mirror.native for market in self.markets.values()], batch):
            self.on_account(batch)

    def on_account(self, batch: BatchLike) -> None:
        """Fold a batch that is not the mirrors' alone into the account (its queues are folded already)."""
        handlers = self._handlers
        for event in decode_events(batch):
            handler = handlers.get(type(event))
            if handler is not None:
                handler(event)
            self.account.on_event(event)
        self.account.on_refusals(batch)
        if not self._replaying:
            for private in self.account.drain():
                self._report(self._deliver, private)

    def state(self) -> VenueState:
        """What a restart needs besides the log's tail. Only meaningful while nothing is in flight."""
        return VenueState(
            account=self.account.state(),
            markets=[
                MarketState(
                    symbol=symbol,
                    charged_e6bp=market.charged_e6bp,
                    queues=market.mirror.queues.entries(),
                )
                for symbol, market in self.markets.items()
            ],
        )

    def load(self, state: VenueState) -> None:
        """Become what `state` says. Raises `KeyError` when it knows a market that was not set up."""
        self.account.load(state.account)
        for saved in state.markets:
            market = self.markets[saved.symbol]
            market.charged_e6bp = saved.charged_e6bp
            for entry in saved.queues:
                market.mirror.queues.rest(entry)

    # ---- mirroring ---------------------------------------------------------------------------------

    def _plan(self, market: PaperMarket, event: FeedEvent, now_ns: int) -> PaperPlan | None:
        mirror = market.mirror
        match event:
            case BookSnapshot():
                market.book_as_of_ns = now_ns
                if market.book_state is BookState.LIVE:
                    return mirror.snapshot(event.bids, event.asks, now_ns)
                mirror.suspend()
                mirror.remember(event.bids, event.asks)
            case BookDelta():
                market.book_as_of_ns = now_ns
                return mirror.diff(event.bids, event.asks, event.venue_ts_ns, now_ns)
            case TradePrint():
                mirror.native.last_price_ticks = event.price_ticks
                return mirror.trade(
                    event.price_ticks, event.quantity_lots, event.aggressor_side, event.venue_ts_ns
                )
            case FeedState():
                market.book_state, market.book_reason = event.state, event.reason
                if event.state is not BookState.LIVE:
                    mirror.suspend()
                elif not mirror.live:
                    return mirror.resume(now_ns)
        return None

    async def _mirror_due(self, now_ns: int) -> None:
        for market in self.markets.values():
            if market.refused_reason is not None and now_ns >= market.retry_at_ns:
                plan = market.mirror.resume(now_ns) if market.book_state is BookState.LIVE else None
                market.refused_reason = None
            else:
                plan = market.mirror.due(now_ns)
            if plan is not None:
                await self._apply(market, plan)

    async def _apply(
        self, market: PaperMarket, plan: PaperPlan | None, last: Iterable[bytes] = ()
    ) -> list[Result]:
        """Send mirror actions, then own commands, as one batch; returns the answers to the own ones.

        Where the engine refuses for now, the market stops being live and the own commands go alone: a cancel
        needs no mirror. Raises `PortRestricted` when they are refused too, `PortStopped`.
        """
        own = list(last)
        actions = plan.commands() if plan is not None else []
        if not actions and not own:
            return []
        try:
            outcomes = await self.port.submit(actions + own)
        except PortRestricted as refusal:
            if actions:
                market.refuse(str(refusal), self.port.now_ns())
                return await self._apply(market, None, own)
            raise
        except PortStopped as stop:
            self.stopped_reason = str(stop)
            raise
        self.stopped_reason = None
        for place, outcome in enumerate(outcomes[: len(actions)]):
            if not outcome.accepted and plan is not None:
                market.mirror.native.refused(plan, place)
        return outcomes[len(actions) :]

    # ---- engine events -----------------------------------------------------------------------------

    def _on_parameters(self, event: engine.MarketCreated | engine.MarketUpdated) -> None:
        market = self._by_handle.get(event.market)
        if market is not None:
            market.charged_e6bp = (event.maker_fee_e6bp, event.taker_fee_e6bp)

    # ---- the queue ---------------------------------------------------------------------------------

    def _request(
        self, path: Path, arrive: Callable[[], Awaitable[None]], done: Callable[[Uncertain | Rejected], None]
    ) -> None:
        if len(self._queue) >= MAX_QUEUED_REQUESTS:
            done(Rejected("TooManyRequests", f"more than {MAX_QUEUED_REQUESTS} requests in flight", True))
            return
        self._push(self.port.now_ns() + self.latency.draw_ns(path), arrive)

    def _report(self, listener: Callable[[Any], None], value: Any) -> None:
        """Answers and events travel over one connection: never out of order."""
        due_ns = max(self._last_report_ns, self.port.now_ns() + self.latency.draw_ns("report"))
        self._last_report_ns = due_ns

        async def arrive() -> None:
            listener(value)

        self._push(due_ns, arrive)

    def _push(self, due_ns: int, work: Callable[[], Awaitable[None]]) -> None:
        self._order_of_queue += 1
        heapq.heappush(self._queue, (due_ns, self._order_of_queue, work))

    def _deliver(self, event: PrivateEvent) -> None:
        for listener in self._listeners:
            listener(event)
        self.published.private.put(event)
