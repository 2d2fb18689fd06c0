"""What became of a request without an answer (trading T7.6): queries by client id until it is known.

The state machine is pure: it is told moments and answers, and says when to ask and what is proven. The runner
asks. Nothing is sent again before absence is proven, and never under another client id.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Final

import msgspec
import structlog

from tradewind.venues.limits.urgency import deciding
from tradewind.venues.protocol import (
    FINAL_PHASES,
    FillEvent,
    Found,
    Incomplete,
    NotFound,
    OrderState,
    QueryResult,
    Uncertain,
)

log = structlog.get_logger("tradewind.venues.resolver")
SECOND_NS: Final = 1_000_000_000
ASK_AFTER_S: Final = (0.2, 0.5, 1.0, 2.0, 4.0)
ASK_EVERY_S: Final = 5.0
ASK_AGAIN_S: Final = (0.25, 0.5, 1.0)
"""How soon a question that could have decided, and met a fault, is asked again (T4.10): three times."""
MARGIN_NS: Final = SECOND_NS
FILLS_BEFORE_NS: Final = 60 * SECOND_NS
PAGE_NS: Final = 60 * SECOND_NS
MAX_INTENT_AGE_NS: Final = 5 * SECOND_NS
TOGETHER_NS: Final = SECOND_NS // 2
"""How long the first proof waits for doubts that can share its readings."""
MAX_RUNNING: Final = 1_000


class AbsencePolicy(StrEnum):
    """What follows when the order was never at the venue."""

    ABANDON = "abandon"
    RESEND = "resend"
    """Default of reducing and protective intents: the same client id (or the same signed bytes) again."""


class Doubt(msgspec.Struct, frozen=True, kw_only=True):
    """A request whose outcome is unknown. Times are of one clock; `horizon_ns` bounds acceptance (T7.4)."""

    client_id: str
    symbol: str
    sent_at_ns: int
    created_ns: int
    horizon_ns: int
    policy: AbsencePolicy = AbsencePolicy.ABANDON
    max_age_ns: int = MAX_INTENT_AGE_NS


class Adopt(msgspec.Struct, frozen=True, tag=True):
    """The order is (or was) at the venue: this is its state."""

    state: OrderState


class Resend(msgspec.Struct, frozen=True, tag=True):
    """Proven absent, young enough: send it again under the same id, if it passes the risk checks again."""

    client_id: str


class Abandon(msgspec.Struct, frozen=True, tag=True):
    """Proven absent, and not to be sent again."""

    client_id: str
    reason: str


Resolution = Adopt | Resend | Abandon


class Resolver:
    """One doubt. Until `resolution` is there, its reservation stays and its worst case counts."""

    def __init__(self, doubt: Doubt, skew_bound_ns: int = 0) -> None:
        """`skew_bound_ns`: how far the venue's clock, by which it judges the horizon, may be off."""
        self.doubt = doubt
        self.resolution: Resolution | None = None
        self.queries = 0
        self._provable_ns = doubt.sent_at_ns + doubt.horizon_ns + MARGIN_NS + abs(skew_bound_ns)
        self._absent_at_ns: int | None = None
        self._lists_ns: int | None = None
        self._faults = 0
        self._decisive = 0
        """Questions that were asked when absence could be proven."""
        self._paged = False

    def decides(self, asked_ns: int) -> bool:
        """Whether a question of this moment can prove absence."""
        return asked_ns >= self._provable_ns

    @property
    def provable_ns(self) -> int:
        """From when on absence can be proven."""
        return self._provable_ns

    def undecided_s(self, now_ns: int) -> float:
        """Seconds until one can."""
        return max(0.0, (self._provable_ns - now_ns) / SECOND_NS)

    def next_query_ns(self, now_ns: int) -> int:
        """When to ask next: quickly at first, at the moment from which absence can be proven, then every
        five seconds, however long it takes; soon after a fault of a question that could have decided.
        """
        if 0 < self._faults <= len(ASK_AGAIN_S):
            return now_ns + int(ASK_AGAIN_S[self._faults - 1] * SECOND_NS)
        if now_ns >= self._provable_ns and not self._decisive:
            return now_ns
        moments_ns = [self.doubt.sent_at_ns + int(one * SECOND_NS) for one in ASK_AFTER_S]
        # a doubt may begin late (behind a timeout): what is over then is asked once, not one by one
        planned_ns = moments_ns[0] if not self.queries else now_ns + int(ASK_EVERY_S * SECOND_NS)
        if self.queries:
            planned_ns = next((one for one in moments_ns if one > now_ns), planned_ns)
        return min(planned_ns, self._provable_ns) if now_ns < self._provable_ns else planned_ns

    @property
    def needs_lists(self) -> bool:
        """Whether the last query said "not there" late enough that open orders and fills decide now."""
        return self.resolution is None and self._absent_at_ns is not None and self._lists_ns is None

    def answered(self, answer: QueryResult, asked_ns: int) -> Resolution | None:
        """The answer to a query that was sent at `asked_ns`."""
        self.queries += 1
        self._decisive += self.decides(asked_ns)
        match answer:
            case Found(state):
                return self._resolve(Adopt(state))
            case NotFound() if self.decides(asked_ns):
                self._absent_at_ns = asked_ns
                self._lists_ns = None
                self._faults = 0
            case NotFound():
                pass
            case _:
                # The endpoint is not healthy: what it denied before proves nothing either.
                self._absent_at_ns = None
                self._fault(asked_ns)
        return self.resolution

    def _fault(self, asked_ns: int) -> None:
        if self.decides(asked_ns):
            self._faults = self._faults % (len(ASK_AGAIN_S) + 1) + 1

    def seen(self, state: OrderState) -> Resolution | None:
        """The private stream (or an open-order list) showed the order."""
        return self._resolve(Adopt(state)) if state.client_id == self.doubt.client_id else self.resolution

    def listed(
        self,
        open_orders: Sequence[OrderState] | Incomplete,
        fills: Sequence[FillEvent] | Incomplete,
        asked_ns: int,
        now_ns: int,
    ) -> Resolution | None:
        """Open orders, and fills since `fills_since_ns`, both asked for at `asked_ns`.

        A list with missing rows proves nothing. A fill of ours without the order's state means: ask again.
        """
        if self.resolution is not None:
            return self.resolution
        if isinstance(open_orders, Incomplete) or isinstance(fills, Incomplete):
            self._fault(asked_ns)
            return None
        for state in open_orders:
            if state.client_id == self.doubt.client_id:
                return self._resolve(Adopt(state))
        if any(one.client_id == self.doubt.client_id for one in fills):
            self._absent_at_ns = None
            return None
        if self._absent_at_ns is None or asked_ns < self._absent_at_ns:
            return None
        self._lists_ns = asked_ns
        return self._resolve(self._absence(now_ns))

    def _absence(self, now_ns: int) -> Resolution:
        doubt = self.doubt
        if doubt.policy is AbsencePolicy.ABANDON:
            return Abandon(doubt.client_id, "NeverAtVenue")
        if now_ns - doubt.created_ns >= doubt.max_age_ns:
            return Abandon(doubt.client_id, "IntentTooOld")
        return Resend(doubt.client_id)

    def _resolve(self, resolution: Resolution) -> Resolution:
        if self.resolution is None:
            self.resolution = resolution
        elif isinstance(resolution, Adopt):
            # What the venue shows beats what was proven: proof of absence was wrong, and somebody must know.
            if not isinstance(self.resolution, Adopt):
                log.critical("absence_was_wrong", client_id=self.doubt.client_id)
            elif self.resolution.state.phase in FINAL_PHASES:
                return self.resolution
            self.resolution = resolution
        return self.resolution

    @property
    def fills_since_ns(self) -> int:
        """From when on fills have to be listed."""
        return self.doubt.sent_at_ns - FILLS_BEFORE_NS

    def pages(self, now_ns: int) -> bool:
        """True once, when a minute went by without a resolution: page, and reduce-only for the account."""
        if self.resolution is None and not self._paged and now_ns - self.doubt.sent_at_ns > PAGE_NS:
            self._paged = True
            return True
        return False


Query = Callable[[Doubt], Awaitable[QueryResult]]
Lists = Callable[[Doubt, int], Awaitable[tuple[list[OrderState] | Incomplete, list[FillEvent] | Incomplete]]]


class ResolverRunner:
    """Asks until every doubt is resolved. `lists(doubt, since_ns)` gives open orders and fills.

    `clock_ns` is the clock of the doubts' times.
    """

    def __init__(
        self,
        query: Query,
        lists: Lists,
        *,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        skew_bound_ns: Callable[[], int] = lambda: 0,
        on_page: Callable[[Doubt], None] = lambda _: None,
    ) -> None:
        self._query, self._lists, self._clock_ns = query, lists, clock_ns
        self._skew_bound_ns, self._on_page = skew_bound_ns, on_page
        self._running: dict[str, tuple[Resolver, asyncio.Event]] = {}
        self.resolved: dict[str, int] = {}
        self.slowest_ns = 0

    @property
    def running(self) -> int:
        """Doubts that are being resolved."""
        return len(self._running)

    @property
    def open_symbols(self) -> frozenset[str]:
        """Symbols with an unknown order: no other risk-increasing order of the strategy there."""
        return frozenset(one.doubt.symbol for one, _ in self._running.values())

    def is_resolving(self, client_id: str) -> bool:
        """Whether this order is being asked for."""
        return client_id in self._running

    def seen(self, state: OrderState) -> bool:
        """An order of the private stream; True when it resolved a doubt."""
        found = self._running.get(state.client_id)
        if found is None:
            return False
        found[0].seen(state)
        found[1].set()
        return True

    async def resolve(self, doubt: Doubt) -> Resolution:
        """Returns when the outcome is known, however long that takes.

        Raises:
            ValueError: this doubt is being resolved already, or too many are.
        """
        if doubt.client_id in self._running or len(self._running) >= MAX_RUNNING:
            raise ValueError(f"{doubt.client_id} is being resolved already, or {MAX_RUNNING} others are")
        resolver, woken = Resolver(doubt, self._skew_bound_ns()), asyncio.Event()
        self._running[doubt.client_id] = (resolver, woken)
        try:
            while resolver.resolution is None:
                await self._wait(resolver, woken)
                if resolver.resolution is None:
                    await self._ask(resolver)
                if resolver.pages(self._clock_ns()):
                    log.critical("unknown_order_unresolved", client_id=doubt.client_id)
                    self._on_page(doubt)
        finally:
            del self._running[doubt.client_id]
        kind = type(resolver.resolution).__name__
        self.resolved[kind] = self.resolved.get(kind, 0) + 1
        self.slowest_ns = max(self.slowest_ns, self._clock_ns() - doubt.sent_at_ns)
        return resolver.resolution

    async def _wait(self, resolver: Resolver, woken: asyncio.Event) -> None:
        now_ns = self._clock_ns()
        at_ns = resolver.next_query_ns(now_ns)
        if at_ns == resolver.provable_ns:
            at_ns = self._together_ns(at_ns)
        delay_s = max(0.0, (at_ns - now_ns) / SECOND_NS)
        try:
            async with asyncio.timeout(delay_s):
                await woken.wait()
        except TimeoutError:
            pass
        woken.clear()

    def _together_ns(self, at_ns: int) -> int:
        """When those that can be decided shortly after this one are asked for with it, in one reading."""
        moments = (one.provable_ns for one, _ in self._running.values())
        return max(one for one in moments if at_ns <= one <= at_ns + TOGETHER_NS)

    async def _ask(self, resolver: Resolver) -> None:
        """One question; where it can decide, the lists are asked for at the same moment. An early one is
        given up when that moment comes: where points are short it may have waited for its turn until then.
        """
        asked_ns = self._clock_ns()
        try:
            if not resolver.decides(asked_ns):
                try:
                    async with asyncio.timeout(resolver.undecided_s(asked_ns)):
                        answer = await self._query(resolver.doubt)
                except TimeoutError:
                    answer = Uncertain("not answered before absence could be proven", asked_ns)
                resolver.answered(answer, asked_ns)
                return
            with deciding():
                lists = asyncio.ensure_future(self._lists(resolver.doubt, resolver.fills_since_ns))
                try:
                    resolver.answered(await self._query(resolver.doubt), asked_ns)
                    if resolver.needs_lists:
                        open_orders, fills = await lists
                        resolver.listed(open_orders, fills, asked_ns, self._clock_ns())
                finally:
                    lists.cancel()
                    await asyncio.gather(lists, return_exceptions=True)
        except Exception as error:  # noqa: BLE001 a defect of a connector must not lose the doubt
            log.error("resolver_query_failed", reason=type(error).__name__)
            resolver.answered(Uncertain(type(error).__name__, asked_ns), asked_ns)
