"""The account read again and again, and what is new of it told in order: the private stream of `CcxtVenue`.

A round is complete or it did not happen: open orders, executions since the last one, orders that left the
list, balances. ccxt's streams wake it; without them it runs every `poll_every_s`.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

import structlog

from tradewind.venues.ccxt_adapter.calls import Failed
from tradewind.venues.ccxt_adapter.history import Absent
from tradewind.venues.limits import Priority
from tradewind.venues.protocol import (
    FINAL_PHASES,
    FillEvent,
    Incomplete,
    OrderState,
    StreamState,
)
from tradewind.venues.transport.account_mirror import TradeFact

if TYPE_CHECKING:
    from tradewind.venues.ccxt_adapter.connector import CcxtVenue

log = structlog.get_logger(__name__)
MS: Final = 1_000_000
OVERLAP_MS: Final = 60_000
BALANCES_EVERY_S: Final = 30.0
WATCHED: Final = {
    "watchOrders": "watch_orders",
    "watchMyTrades": "watch_my_trades",
    "watchBalance": "watch_balance",
}
NOT_OFFERED: Final = frozenset({"NotSupported", "ArgumentsRequired", "AuthenticationError"})
"""ccxt's errors for a stream that will not work however often it is asked for."""
MAX_TOLD: Final = 20_000
MAX_LOOKED_UP: Final = 100
"""Orders that are asked for one by one in a round."""
FIRST_PAUSE_S: Final = 0.2
LAST_PAUSE_S: Final = 30.0
CLOSE_WAIT_S: Final = 5.0


class Rounds:
    """One for a connector."""

    def __init__(self, venue: CcxtVenue) -> None:
        self.venue = venue
        self.problem = "not read yet"
        self.hints = 0
        """How often a stream said that something happened."""
        self.listening: set[str] = set()
        """Streams that work."""
        self._told: dict[str, int] = {}
        """Lots of each order that were told as executions, by the venue's id; the oldest are forgotten."""
        self._last_fill_ms = time.time_ns() // MS
        self._complete_s = float("-inf")
        self._balances_s = float("-inf")
        self._was_live = False
        self._first = True
        self._closing = False
        self._dirty = True
        self._wake = asyncio.Event()
        self._live = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    # ---- life --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to read, and to listen where ccxt can."""
        self._tasks.append(asyncio.create_task(self._run(), name=f"{self.venue.name} rounds"))
        for what, method in WATCHED.items():
            if self.venue.caller.has(what):
                self._tasks.append(
                    asyncio.create_task(self._listen(method), name=f"{self.venue.name} {method}")
                )

    async def close(self) -> None:
        """End it. What swallows its cancellation ends at its next turn; nobody waits longer than
        `CLOSE_WAIT_S`.
        """
        self._closing = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_WAIT_S)
        self._tasks.clear()

    @property
    def live(self) -> bool:
        """Whether the latest complete round is young enough."""
        return time.monotonic() - self._complete_s < self.venue.options.live_for_s

    async def wait_live(self, timeout_s: float) -> bool:
        """Whether it became live in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._live.wait()
        except TimeoutError:
            return False
        return True

    def wake(self) -> None:
        """Read the account soon."""
        self._dirty = True
        self._wake.set()

    async def _listen(self, method: str) -> None:
        """A stream of ccxt: what it says is not used, only that it says something."""
        pause_s = FIRST_PAUSE_S
        while not self._closing:
            error = await self._next(method)
            self.wake()
            if error is None:
                self.listening.add(method)
                self.hints += 1
                pause_s = FIRST_PAUSE_S
                continue
            self.listening.discard(method)
            if NOT_OFFERED & {one.__name__ for one in type(error).__mro__}:
                kind = type(error).__name__
                log.warning("ccxt_stream_not_used", venue=self.venue.name, stream=method, error=kind)
                return
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LAST_PAUSE_S)

    async def _next(self, method: str) -> BaseException | None:
        """Waits for a stream to say something; the error when it cannot."""
        try:
            await getattr(self.venue.caller.exchange, method)()
        except asyncio.CancelledError as error:
            # ccxt cancels what waits for a connection that it gives up: that is not our own end
            task = asyncio.current_task()
            if self._closing or task is None or task.cancelling():
                raise
            return error
        except Exception as error:  # noqa: BLE001 - the rounds go on without hints
            return error
        return None

    async def _run(self) -> None:
        failures = 0
        while True:
            self._wake.clear()
            dirty, self._dirty = self._dirty, False
            problem = await self._round(dirty)
            if problem:
                failures += 1
                self._dirty = True
                self.problem = problem
                log.warning("ccxt_round_incomplete", venue=self.venue.name, reason=problem)
            else:
                failures = 0
                self._complete_s = time.monotonic()
                self._live.set()
            self._tell_state(problem)
            options = self.venue.options
            await asyncio.sleep(
                options.round_gap_s
                if not failures
                else min(options.poll_every_s, FIRST_PAUSE_S * 2 ** min(failures, 8))
            )
            if not failures:
                try:
                    async with asyncio.timeout(options.poll_every_s):
                        await self._wake.wait()
                except TimeoutError:
                    pass

    def _tell_state(self, problem: str) -> None:
        live = self.live
        if live is not self._was_live:
            self._was_live = live
            self.venue.events.put(
                StreamState(live=live, reason="" if live else problem, since_ns=time.time_ns())
            )

    # ---- one round ---------------------------------------------------------------------------------------

    async def _round(self, dirty: bool) -> str:
        """ "" or the reason why the account could not be read completely."""
        mirror, history = self.venue.mirror, self.venue.history
        if not history.directory.instruments:
            problem = await self.venue.refresh_instruments()
            if problem:
                return f"markets: {problem}"
        before = set(mirror.working)
        listed = await history.open_orders(None)
        if isinstance(listed, Incomplete):
            return f"open orders: {listed.reason}"
        facts = await self._executions(self._last_fill_ms - OVERLAP_MS)
        if isinstance(facts, Incomplete):
            return f"executions: {facts.reason}"
        changed = await self._tell([self.venue.named(one) for one in listed], facts, before)
        if isinstance(changed, str):
            return changed
        problem = await self._balances(dirty or changed)
        if not problem and self._first:
            self._first = False
            mirror.quiet = False
        return problem

    async def _executions(self, since_ms: int) -> list[TradeFact] | Incomplete:
        """Executions since a moment, 0: ever."""
        venue, symbols = self.venue, []
        if venue.history.by_symbol("fetchMyTrades"):
            symbols = venue.traded()
            if not symbols:
                return Incomplete("the venue lists them by symbol, and no symbol is configured", 0)
        return await venue.history.executions(symbols, since_ms)

    async def _balances(self, changed: bool) -> str:
        """Balances when something happened, and now and then. "" or why they are not known."""
        if not changed and time.monotonic() - self._balances_s <= BALANCES_EVERY_S:
            return ""
        balances = await self.venue.balances()
        if isinstance(balances, Incomplete):
            return f"balances: {balances.reason}"
        self._balances_s = time.monotonic()
        mirror = self.venue.mirror
        for one in balances:
            if one.total or one.asset in mirror.balances:
                mirror.set_balance(one.asset, one.free, one.held, one.as_of_ns)
        return ""

    async def _tell(self, listed: list[OrderState], facts: list[TradeFact], before: set[str]) -> bool | str:
        """Executions, then orders. Whether anything changed, or why it cannot be told."""
        mirror = self.venue.mirror
        states = {one.venue_id: one for one in listed}
        changed = False
        looked_up = 0
        if self._first:
            for state in listed:
                self._told[state.venue_id] = state.filled_lots
        for fact in facts:
            if self._first:
                mirror.fill(fact, "", 0)  # nothing is told: it is only remembered
                continue
            order = mirror.get(fact.order_id) or states.get(fact.order_id)
            if order is None:
                looked_up += 1
                if looked_up > MAX_LOOKED_UP:
                    return f"executions of more than {MAX_LOOKED_UP} unknown orders"
                found = await self.venue.history.order(fact.symbol, fact.order_id)
                if not isinstance(found, OrderState):
                    return f"the order of execution {fact.trade_id} cannot be read"
                order = states[fact.order_id] = found
            told = self._told.get(fact.order_id, 0) + fact.lots
            if mirror.fill(fact, order.client_id, order.lots - told):
                self._note(fact.order_id, told)
                changed = True
        if facts:
            self._last_fill_ms = max(self._last_fill_ms, facts[-1].time_ns // MS)
        for state in states.values():
            known = mirror.get(state.venue_id)
            changed = changed or known != state
            mirror.apply(state)
        return await self._ended(before - {one.venue_id for one in listed}) or changed

    async def _ended(self, missing: set[str]) -> str:
        """Orders that are not listed any more: each is asked for before anything is believed of it (T7.9)."""
        mirror, venue = self.venue.mirror, self.venue
        for venue_id in sorted(missing)[:MAX_LOOKED_UP]:
            known = mirror.working.get(venue_id)
            if known is None:
                continue
            answer = await venue.history.order(known.symbol, venue_id, Priority.P2)
            if isinstance(answer, Failed):
                return f"order {venue_id}: {answer.reason}"
            if isinstance(answer, Absent):
                # acknowledged, and not there: the query by our id proves it, behind the horizon
                continue
            mirror.apply(venue.named(answer))
            if answer.filled_lots > self._told.get(venue_id, 0):
                self.wake()  # its executions are listed later
        if len(missing) > MAX_LOOKED_UP:
            self.wake()
        return ""

    def _note(self, venue_id: str, lots: int) -> None:
        self._told.pop(venue_id, None)
        self._told[venue_id] = lots
        if len(self._told) > MAX_TOLD:
            del self._told[next(iter(self._told))]

    # ---- the list of executions --------------------------------------------------------------------------

    async def fills(self, since_ns: int) -> list[FillEvent] | Incomplete:
        """Executions as events; nothing of it is told or remembered."""
        venue = self.venue
        symbols = venue.traded() if venue.history.by_symbol("fetchMyTrades") else []
        if venue.history.by_symbol("fetchMyTrades") and not symbols:
            return Incomplete("the venue lists executions by symbol, and no symbol is configured", 0)
        facts = await self._executions(max(0, since_ns // MS - OVERLAP_MS) if since_ns > 0 else 0)
        if isinstance(facts, Incomplete):
            return facts
        orders: dict[str, OrderState] = {}
        for fact in facts:
            if fact.order_id in orders:
                continue
            known = venue.mirror.get(fact.order_id)
            if known is None or known.phase not in FINAL_PHASES:
                found: Any = await venue.history.order(fact.symbol, fact.order_id, Priority.P5)
                if not isinstance(found, OrderState):
                    return Incomplete(f"the order of execution {fact.trade_id} cannot be read", len(orders))
                known = venue.named(found)
            orders[fact.order_id] = known
        return _as_events(venue, facts, orders)


def _as_events(venue: CcxtVenue, facts: list[TradeFact], orders: dict[str, OrderState]) -> list[FillEvent]:
    listed: dict[str, int] = {}
    for fact in facts:
        listed[fact.order_id] = listed.get(fact.order_id, 0) + fact.lots
    filled = {name: max(0, orders[name].filled_lots - lots) for name, lots in listed.items()}
    events = []
    for fact in facts:
        order = orders[fact.order_id]
        filled[fact.order_id] += fact.lots
        events.append(
            venue.mirror.fill_event(fact, order.client_id, order.lots - filled[fact.order_id], fact.time_ns)
        )
    return events
