"""Drives venue and trader in turn: on a virtual clock (simulation) or in real time (paper)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import structlog

from tradewind.core.errors import TradewindError
from tradewind.venues.market_data import BookState, FeedEvent, FeedState
from tradewind.venues.paper.port import EnginePort, NodePort, Place, PortStopped, WrongPlace
from tradewind.venues.paper.venue import PaperVenue

from . import checkpoint
from .reconcile import Difference
from .service import TraderService

log = structlog.get_logger("tradewind.trader")
SECOND_NS = 1_000_000_000
MILLISECOND_NS = 1_000_000
IDLE_STEP_S = 0.02
CHECKPOINT_EVERY_S = 30.0
MAX_VIRTUAL_STEP_NS = 100 * MILLISECOND_NS
"""As the native loop (crates/paper): the mirror waits 100 ms for prints and crossings (T15.2)."""


class Session:
    """The one owner of a venue and its trader. Everything that touches them holds `lock`."""

    def __init__(self, venue: PaperVenue, trader: TraderService) -> None:
        self.venue = venue
        self.trader = trader
        self.port = venue.port
        self.lock = asyncio.Lock()
        self.feed_events = 0
        self.ended_reason: str | None = None
        self._stopping = asyncio.Event()

    @property
    def virtual(self) -> bool:
        """Whether the clock is virtual."""
        return isinstance(self.port, EnginePort)

    async def open(self) -> list[Difference]:
        """Recover from the log where there is one, go live, start the trader. Returns reconciliation
        differences.
        """
        async with self.lock:
            if isinstance(self.port, NodePort):
                # No await may come between the last block of the history and going live.
                place = self._load_checkpoint(self.port)
                count = await self.trader.recover(self.port.history(place))
                await self.port.go_live()
                log.info("trader_recovered", blocks=count, open_orders=len(self.trader.oms.orders))
            else:
                while (due_ns := self.venue.next_due_ns()) is not None:
                    await self.venue.advance(due_ns)
            return await self.trader.start()

    def _load_checkpoint(self, port: NodePort) -> Place | None:
        """Start from the checkpoint when it fits this journal."""
        saved = checkpoint.read(checkpoint.checkpoint_path(port))
        if saved is None:
            return None
        try:
            next(port.history(saved.place), None)
            if {market.symbol for market in saved.venue.markets} != set(self.venue.markets):
                raise WrongPlace("other markets")
            if set(saved.trader.others) != set(self.trader.checkpointed):
                raise WrongPlace("written by a trader of other parts")
        except (WrongPlace, TradewindError) as error:
            log.warning("trader_checkpoint_ignored", reason=str(error))
            return None
        checkpoint.load(self.trader, saved)
        return saved.place

    async def save_checkpoint(self) -> bool:
        """Write a checkpoint; False: this is no moment for it, since something is in flight. One that the
        disk refuses is only logged: the next one may succeed. Call it without holding `lock`.
        """
        if not isinstance(self.port, NodePort):
            return False
        async with self.lock:
            quiet = not self.venue.in_flight_count and not self.trader.has_pending
            if not quiet or self.port.place is None:
                return False
            data = checkpoint.take(self.trader, self.port.place)
        try:
            await asyncio.to_thread(checkpoint.write, checkpoint.checkpoint_path(self.port), data)
        except OSError as error:
            log.warning("trader_checkpoint_not_written", reason=str(error))
        return True

    async def on_event(self, event: FeedEvent, now_ns: int | None = None) -> None:
        """One feed event, at its virtual moment or now."""
        async with self.lock:
            now_ns = self.port.now_ns() if now_ns is None else now_ns
            if self.virtual:
                await self._advance(now_ns)
            self.feed_events += 1
            await self.venue.on_feed(event, now_ns)
            await self.trader.on_market(event)

    async def sleep_ns(self, duration_ns: int) -> None:
        """Let time pass: virtual time at once, real time really. Call it without holding `lock`."""
        if not self.virtual:
            await asyncio.sleep(duration_ns / SECOND_NS)
        async with self.lock:
            await self._advance(self.port.now_ns() + (duration_ns if self.virtual else 0))

    async def _advance(self, until_ns: int) -> None:
        """Requests, reports and timers up to a moment, in order."""
        while self.virtual:
            due_ns = self.venue.next_due_ns()
            step_ns = min(self.port.now_ns() + MAX_VIRTUAL_STEP_NS, until_ns if due_ns is None else due_ns)
            if self.trader.running:
                step_ns = min(step_ns, max(self.trader.next_due_ns(), self.port.now_ns() + 1))
            if step_ns >= until_ns:
                break
            await self.venue.advance(max(step_ns, self.port.now_ns()))
            await self.tick()
            await self.trader.step()
        await self.venue.advance(until_ns)
        await self.tick()
        await self.trader.step()

    async def tick(self) -> None:
        """A bare engine has no sequencer that ticks: what is due in it (the dead-man's switch) needs one."""
        if isinstance(self.port, EnginePort) and self.port.now_ns() - self.port.engine.time_ns > SECOND_NS:
            await self.port.tick()

    async def run(self, feed: AsyncIterator[FeedEvent]) -> None:
        """Real time: mirror and trade until `request_stop`, the feed's end or the journal's. The platform
        outlives it.

        Never cancel this task: a step that is cut in half would leave the books half told. Ask with
        `request_stop`.
        """
        timer = asyncio.create_task(self._keep_time(), name="trader-timer")
        reader = asyncio.create_task(self._read(feed), name="trader-feed")
        stop = asyncio.create_task(self._stopping.wait(), name="trader-stop")
        try:
            await asyncio.wait({timer, reader, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            async with self.lock:
                for task in (timer, reader, stop):
                    task.cancel()
            results = await asyncio.gather(timer, reader, return_exceptions=True)
        failure = next((one for one in results if isinstance(one, Exception)), None)
        if isinstance(failure, PortStopped):
            self.ended_reason = f"the journal has stopped: {failure}"
        elif failure is not None:
            self.ended_reason = f"trading failed: {failure!r}"
        elif self._stopping.is_set():
            self.ended_reason = "stopped"
        else:
            self.ended_reason = "the feed has ended"
            await self._feed_ended()
        log.warning("trading_session_ended", reason=self.ended_reason)
        if failure is not None and not isinstance(failure, PortStopped):
            raise failure

    def request_stop(self) -> None:
        """Let `run` return after the present step. Then call `trader.stop()`."""
        self._stopping.set()

    async def _read(self, feed: AsyncIterator[FeedEvent]) -> None:
        async for event in feed:
            await self.on_event(event)

    async def _feed_ended(self) -> None:
        """No data is not a market: every book becomes suspect, so that nothing trades against its last
        picture.
        """
        for symbol in self.venue.markets:
            now_ns = self.port.now_ns()
            event = FeedState(
                symbol=symbol, state=BookState.SUSPECT, reason="the feed has ended", since_ns=now_ns, epoch=0
            )
            await self.on_event(event, now_ns)
        for _ in range(100):
            await self.sleep_ns(50 * MILLISECOND_NS)
            if not self.venue.in_flight_count:
                return

    async def _keep_time(self) -> None:
        next_checkpoint_s = time.monotonic() + CHECKPOINT_EVERY_S
        while True:
            await asyncio.sleep(IDLE_STEP_S)
            async with self.lock:
                await self._advance(self.port.now_ns())
            if time.monotonic() >= next_checkpoint_s and await self.save_checkpoint():
                next_checkpoint_s = time.monotonic() + CHECKPOINT_EVERY_S
