"""`NativeVenue`: a node's own spot markets behind the `Venue` protocol.

The account is a fold over the node's numbered events; commands and questions go over HTTP. New risk needs the
stream `Live`, the account compared with it, and a clock that agrees with the node's.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from decimal import Decimal
from typing import Any, Final

import structlog

from tradewind.venues.account_events import AccountEvents
from tradewind.venues.limits import Priority
from tradewind.venues.market_data import FeedEvent, Instrument, Known, Unknown
from tradewind.venues.native.channel import Channel
from tradewind.venues.native.directory import NAME, Directory, NativeRules, status_of
from tradewind.venues.native.feed import NativeFeed
from tradewind.venues.native.messages import (
    NS,
    AccountAnswer,
    Event,
    FeeAnswer,
    FillsAnswer,
    MarketsAnswer,
    OrderAnswer,
    TimeAnswer,
    key_of,
)
from tradewind.venues.native.mirror import Mirror
from tradewind.venues.native.options import SWITCH_S, NativeOptions
from tradewind.venues.native.rest import Failed, NativeRest
from tradewind.venues.native.trading import Trading
from tradewind.venues.protocol import (
    FINAL_PHASES,
    Balance,
    FeeSchedule,
    FillEvent,
    Incomplete,
    OrderState,
    OrderType,
    PrivateEvent,
    TimeInForce,
    VenueCaps,
    VenueState,
    VenueStatus,
)
from tradewind.venues.transport.account_mirror import Unmapped
from tradewind.venues.transport.private_link import Transition

__all__ = ["NativeOptions", "NativeVenue"]

log = structlog.get_logger(__name__)

MAX_FILL_PAGES: Final = 100
STALE_RULES_S: Final = 7_200
"""Older rules allow no new risk (T2.3)."""
OVERLAP_S: Final = 60
"""Executions of so long before are listed again (T7.9): their keys tell that they are known."""
COMPARISONS: Final = 20


class NativeVenue(Trading):
    """One account at one node. Build it (`assemble.open_native`), `open` it, `close` it; one event loop."""

    def __init__(
        self,
        rest: NativeRest,
        account: str,
        options: NativeOptions | None = None,
        *,
        name: str = NAME,
        reconcile_hook: Callable[[int], Awaitable[str]] | None = None,
        on_transition: Callable[[Transition], None] | None = None,
    ) -> None:
        """`account`: number, id or local name at the node. `reconcile_hook` is asked at the end of every
        reconciliation: its owner compares its own books and answers "" or what is wrong.
        """
        self.name, self.account = name, account
        self.options = options or NativeOptions()
        self.rest = rest
        self.mirror = Mirror(name, account, self.options.sub, self._on_event)
        self.channel = Channel(
            self.mirror,
            account,
            self.options,
            headers=rest.token.header,
            clock=rest.clock,
            snapshot=self._read_account,
            reconcile=self._reconcile,
            on_transition=self._on_transition,
        )
        self.mirror.on_reached = self._reached
        self.events = AccountEvents(account, self._stream_state)
        self.opened_ns = rest.clock.venue_ns()
        self.sent = OrderedDict()
        self.numbers = OrderedDict()
        self.doubtful = set()
        self.comparisons_failed = 0
        self._hook, self._told_transition = reconcile_hook, on_transition
        self._moved = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._rereading: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"NativeVenue({self.account!r}, live={self.channel.link.live})"

    # ---- life --------------------------------------------------------------------------------------------

    async def open(self, timeout_s: float = 20.0) -> bool:
        """Read clock, limits and markets, connect, and wait until the stream is live. False: not in time;
        the connector goes on trying.
        """
        await self.rest.measure_clock()
        self.opened_ns = self.rest.clock.venue_ns()
        account = await self._account()
        if isinstance(account, AccountAnswer):
            self.rest.adopt(account.limits)
        await self.refresh_instruments()
        self._spawn(self._keep_instruments())
        self._spawn(self._compare_now_and_then())
        self.channel.link.start()
        return await self.channel.link.wait_live(timeout_s)

    async def close(self) -> None:
        """End connection and streams. Orders stay at the node until their timer fires, if it is armed."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.channel.close()
        self.events.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def refresh_instruments(self) -> str:
        """Read the markets again. "" when it worked, else why not (the old ones stay)."""
        answer = await self.rest.read("/markets", MarketsAnswer, cls=Priority.P2)
        if isinstance(answer, Failed):
            return answer.reason
        self.mirror.directory = Directory.of(answer, self.rest.clock.venue_ns())
        return ""

    async def _keep_instruments(self) -> None:
        while True:
            await asyncio.sleep(self.options.instruments_every_s)
            await self.refresh_instruments()

    async def _compare_now_and_then(self) -> None:
        """The stream has no holes, and yet it is compared with the lists every minute (T7.9)."""
        while True:
            await asyncio.sleep(self.options.compare_every_s)
            if self.channel.link.live:
                problem = await self._compare()
                if problem:
                    self.comparisons_failed += 1
                    self.channel.link.degrade(problem)

    def not_live(self) -> str:
        """See `Trading`."""
        link = self.channel.link
        if not link.live:
            return f"private stream is {link.phase}: {link.reason}"
        if self.mirror.broken:
            return f"unmapped: {self.mirror.broken}"
        if not self.rest.clock.new_risk_allowed:
            return f"the clock is {self.rest.clock.verdict()}"
        if self.rest.clock.venue_ns() - self.mirror.directory.as_of_ns > STALE_RULES_S * NS:
            return "the markets' rules are old"
        return ""

    def rules_doubted(self) -> None:
        """See `Trading`."""
        if self._rereading is None or self._rereading.done():
            self._rereading = self._spawn(self._reread())

    async def _reread(self) -> None:
        problem = await self.refresh_instruments()
        if problem:
            log.warning("native_markets_not_read", reason=problem)

    # ---- what the venue says about itself ----------------------------------------------------------------

    def capabilities(self) -> VenueCaps:
        """What this connector does at a node."""
        return VenueCaps(
            name=self.name,
            order_types=frozenset({OrderType.LIMIT, OrderType.MARKET}),
            times_in_force=frozenset(TimeInForce),
            post_only=True,
            amend=True,
            client_ids=True,
            cancel_after_range_s=SWITCH_S,
            reduce_only=False,
            native_iceberg=False,
            max_batch_orders=1,
            private_fill_stream=True,
            sandbox=False,
        )

    async def instruments(self) -> list[Instrument] | Incomplete:
        """Every spot market of the node."""
        if not self.mirror.directory.as_of_ns:
            problem = await self.refresh_instruments()
            if problem:
                return Incomplete(problem, 0)
        return self.mirror.directory.instruments

    async def status(self) -> VenueStatus:
        """What the node and each of its markets accept now."""
        clock = await self.rest.read("/time", TimeAnswer)
        problem = clock.reason if isinstance(clock, Failed) else await self.refresh_instruments()
        directory = self.mirror.directory
        if problem or isinstance(clock, Failed):
            symbols = {symbol: one.state for symbol, one in directory.by_symbol.items()}
            return VenueStatus(
                state=VenueState.UNKNOWN, symbols=symbols, reason=problem, as_of_ns=time.time_ns()
            )
        return status_of(clock, directory)

    async def fees(self, account: str, symbol: str) -> Known[FeeSchedule] | Unknown:
        """Fees of a market, as the account pays them now."""
        rules = self.mirror.directory.by_symbol.get(symbol)
        if account != self.account or rules is None:
            return Unknown(f"no fees of {symbol[:60]!r} for {account[:40]!r}")
        taker_bps = rules.taker_bps
        if rules.elastic_fee:
            rate = await self.rest.read("/fee", FeeAnswer, [("account", self.account)])
            if isinstance(rate, Failed):
                return Unknown(f"elastic fee: {rate.reason}")
            taker_bps = min(taker_bps, rate.rate_bp)
        as_of_ns = rules.instrument.as_of_ns or 0
        schedule = FeeSchedule(
            name=f"native {symbol}",
            maker_bps=Decimal(0) if rules.elastic_fee else rules.maker_bps,
            taker_bps=taker_bps,
            source="market records of the node",
            checked_on=time.strftime("%Y-%m-%d", time.gmtime(as_of_ns // NS)),
        )
        return Known(schedule, as_of_ns, "native markets")

    # ---- streams -----------------------------------------------------------------------------------------

    def market(self, symbols: Sequence[str]) -> AsyncIterator[FeedEvent]:
        """Market data of these symbols over a connection of its own; ends with the reader."""
        return self._market(self.mirror.directory.of_symbols(symbols))

    async def _market(self, chosen: list[NativeRules]) -> AsyncIterator[FeedEvent]:
        if not chosen:
            return
        feed = NativeFeed(
            [one.instrument for one in chosen],
            self.options.stream_url,
            self.rest.token.header,
            options=self.options.feed,
        )
        try:
            async for event in feed.events():
                yield event
        finally:
            await feed.close()

    def private(self, account: str) -> AsyncIterator[PrivateEvent]:
        """The account's events from now on, after the link's present state."""
        return self.events.of(account)

    def _stream_state(self) -> tuple[bool, str]:
        link = self.channel.link
        return link.live, f"{link.phase}: {link.reason}"

    def _on_event(self, event: PrivateEvent) -> None:
        self.events.put(event)

    def _on_transition(self, transition: Transition) -> None:
        self.events.moved(transition.reason, transition.at_ns)
        log.info("native_link", before=transition.before, after=transition.after, reason=transition.reason)
        if self._told_transition is not None:
            self._told_transition(transition)

    # ---- reconciliation (T6.8, T7.9) ---------------------------------------------------------------------

    async def _account(self) -> AccountAnswer | Failed:
        return await self.rest.read(f"/accounts/{self.account}/trading", AccountAnswer)

    async def _read_account(self) -> str:
        """The account as it is: at the first time nothing is told, later everything that was missed."""
        problem = await self.refresh_instruments() if not self.mirror.directory.as_of_ns else ""
        account = await self._account() if not problem else Failed(reason=problem)
        if isinstance(account, Failed):
            return account.reason
        try:
            states = self.mirror.states_of(account.orders)
            if self.mirror.number is None:
                self.mirror.load(account.number, states, account.balances)
                return ""
            return await self._catch_up(account, states)
        except (Unmapped, ArithmeticError, ValueError) as error:
            return str(error)[:200]

    async def _catch_up(self, account: AccountAnswer, states: list[OrderState]) -> str:
        fills = await self._fill_rows(after=self.mirror.number or 0)
        if isinstance(fills, Incomplete):
            return fills.reason
        present = {one.venue_id for one in states}
        ended = []
        for one in [state for state in self.mirror.open() if state.venue_id not in present]:
            answer = await self.rest.read(
                f"/accounts/{self.account}/orders/{key_of(one.client_id)}", OrderAnswer
            )
            if isinstance(answer, Failed):
                return answer.reason
            if answer.order is None or str(answer.order.order) != one.venue_id:
                return f"order {one.venue_id} is neither open nor remembered by the node"
            state = self.mirror.state_of(answer.order)
            if state.phase in FINAL_PHASES:
                ended.append(state)
        self.mirror.catch_up(account.number, fills, [*ended, *states], account.balances)
        return ""

    async def _reconcile(self, epoch: int) -> str:
        """The rules are new, the stream has told all that the node knows, and both agree."""
        problem = await self.refresh_instruments() or await self._compare()
        if not problem and self._hook is not None:
            problem = await self._hook(epoch)
        if problem:
            log.warning("native_not_reconciled", reason=problem)
        return problem

    async def _compare(self) -> str:
        """Compare lists and stream at one number. A stream that moves on meanwhile is compared again."""
        for _ in range(COMPARISONS):
            account = await self._account()
            if isinstance(account, Failed):
                return account.reason
            if not await self._reach(account.number):
                return f"the stream does not reach event {account.number}"
            if self.mirror.number != account.number:
                continue
            try:
                states = self.mirror.states_of(account.orders)
            except (Unmapped, ArithmeticError, ValueError) as error:
                return str(error)[:200]
            problem = self.mirror.difference(states, account.balances)
            if problem:
                # What was told is wrong: tell the account anew, from the lists.
                return await self._read_account() or ""
            self.mirror.broken = ""
            return ""
        return ""  # it never stands still: events come, in order and without a hole

    def _reached(self) -> None:
        self._moved.set()

    async def _reach(self, number: int) -> bool:
        """Wait until the stream has told an event. False: not in time."""
        give_up_s = time.monotonic() + self.options.catch_up_s
        while (self.mirror.number or 0) < number:
            self._moved.clear()
            try:
                async with asyncio.timeout(max(0.0, give_up_s - time.monotonic())):
                    await self._moved.wait()
            except TimeoutError:
                return False
        return True

    # ---- lists -------------------------------------------------------------------------------------------

    async def open_orders(self, symbol: str | None) -> list[OrderState] | Incomplete:
        """Every open order at the node, ours or not."""
        account = await self._account()
        if isinstance(account, Failed):
            return Incomplete(account.reason, 0)
        try:
            states = self.mirror.states_of(account.orders)
        except (Unmapped, ArithmeticError, ValueError) as error:
            return Incomplete(str(error)[:200], len(account.orders))
        return [one for one in states if symbol in {None, one.symbol}]

    async def fills(self, since_sequence: int) -> list[FillEvent] | Incomplete:
        """Executions since a sequence (a time in ns) less a minute, in order."""
        since_ns = max(0, since_sequence - OVERLAP_S * NS)
        rows = await self._fill_rows(since_ns=since_ns)
        if isinstance(rows, Incomplete):
            return rows
        try:
            return self.mirror.fills_of(rows)
        except (Unmapped, ArithmeticError, ValueError) as error:
            return Incomplete(str(error)[:200], len(rows))

    async def _fill_rows(self, *, after: int = 0, since_ns: int = 0) -> list[Event] | Incomplete:
        """Executions behind an event, or since a moment: all of them, or why not."""
        found: list[Event] = []
        for _ in range(MAX_FILL_PAGES):
            query = [("after", str(after)), ("since_ns", str(since_ns))]
            page = await self.rest.read(f"/accounts/{self.account}/fills", FillsAnswer, query)
            if isinstance(page, Failed):
                return Incomplete(page.reason, len(found))
            if after < page.complete_after and since_ns <= page.complete_since_ns:
                return Incomplete(f"executions up to event {page.complete_after} are forgotten", len(found))
            found += page.fills
            if not page.more:
                return found
            after = page.fills[-1].number
        return Incomplete(f"more than {MAX_FILL_PAGES} pages of executions", len(found))

    async def balances(self) -> list[Balance] | Incomplete:
        """Every asset of the sub-account, at one moment."""
        account = await self._account()
        if isinstance(account, Failed):
            return Incomplete(account.reason, 0)
        return [
            Balance(asset=one.asset, free=one.free, held=one.held, as_of_ns=account.log_ns)
            for one in account.balances
            if one.sub == self.options.sub
        ]
