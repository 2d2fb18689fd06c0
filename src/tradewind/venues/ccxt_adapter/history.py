"""Lists of orders and executions, complete or with the reason why not.

Venues cut lists off without saying so. What has as many rows as a page can have is asked for again in two
halves, until every answer is shorter than a page; where that cannot be done the list is incomplete.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from tradewind.venues.ccxt_adapter.calls import Caller, Failed
from tradewind.venues.ccxt_adapter.directory import Directory
from tradewind.venues.ccxt_adapter.profile import SMALLEST_PAGE_ROWS, ByClientId, Profile
from tradewind.venues.ccxt_adapter.rows import order_state, trade_fact
from tradewind.venues.limits import Priority
from tradewind.venues.market_data import FloatMoney
from tradewind.venues.protocol import Incomplete, OrderState
from tradewind.venues.transport.account_mirror import TradeFact, Unmapped

MAX_QUESTIONS: Final = 200
"""Of one list."""
SMALLEST_SPAN_MS: Final = 4_000
"""Some venues count in whole seconds, rounded outwards: a shorter span cannot be halved with certainty."""
FUTURE_MS: Final = 60_000
Rows = list[Any]
Ask = Callable[[int | None, int | None], Awaitable[Any]]


class Absent:
    """The venue has no such order, as far as it said."""


ABSENT: Final = Absent()


class History:
    """Questions about orders and executions of the account."""

    def __init__(self, caller: Caller, profile: Profile) -> None:
        self.caller, self.profile = caller, profile
        self.directory = Directory()

    # ---- pages -------------------------------------------------------------------------------------------

    def _feature(self, method: str, name: str) -> Any:
        spot = (getattr(self.caller.exchange, "features", None) or {}).get("spot") or {}
        return (spot.get(method) or {}).get(name)

    def _page(self, method: str) -> tuple[int | None, int]:
        """Rows to ask for (None: not said), and how many rows may be a whole page."""
        stated = self._feature(method, "limit")
        if isinstance(stated, int) and stated > 0:
            return stated, stated
        return None, self.profile.page_rows or SMALLEST_PAGE_ROWS

    def _until(self, method: str) -> bool:
        return self.profile.until or bool(self._feature(method, "untilDays"))

    def by_symbol(self, method: str) -> bool:
        """Whether the venue answers for one symbol only."""
        return bool(self._feature(method, "symbolRequired"))

    async def _all(self, method: str, symbol: str | None, since_ms: int, cls: Priority) -> Rows | Incomplete:
        """Every row since a moment (0: ever), in the venue's order."""
        name = camel(method)
        limit, page = self._page(name)

        async def ask(start: int | None, end: int | None) -> Any:
            params = {} if end is None else {"until": end}
            return await self.caller.call(method, symbol, start, limit, params, cls=cls)

        now_ms = time.time_ns() // 1_000_000 + FUTURE_MS
        span_ms = self.profile.span_s * 1_000
        if since_ms <= 0 or (span_ms and now_ms - since_ms > span_ms):
            # the latest page may be everything that there is
            rows = await ask(None, None)
            if isinstance(rows, Failed):
                return Incomplete(rows.reason, 0)
            if not isinstance(rows, list):
                return Incomplete(f"{method}: no list", 0)
            if len(rows) < page:
                return [one for one in rows if (one.get("timestamp") or now_ms) >= since_ms]
            if since_ms <= 0 and span_ms:
                return Incomplete(f"{method}: older rows than the {len(rows)} latest", len(rows))
        if span_ms and not self._until(name):
            return Incomplete(f"{method}: the venue takes no end of a span", 0)
        return await self._spans(ask, _cut(max(1, since_ms), now_ms, span_ms), page, self._until(name))

    async def _spans(
        self, ask: Ask, spans: list[tuple[int, int]], page: int, until: bool
    ) -> Rows | Incomplete:
        found: Rows = []
        whole = len(spans) == 1
        for _ in range(MAX_QUESTIONS):
            if not spans:
                return found
            start, end = spans.pop()
            # without an end the latest rows are in it, whatever our clock says
            rows = await ask(start, None if whole else end)
            if isinstance(rows, Failed):
                return Incomplete(rows.reason, len(found))
            if not isinstance(rows, list):
                return Incomplete("no list", len(found))
            if len(rows) < page:
                found += rows
                whole = False
                continue
            if not until or end - start < SMALLEST_SPAN_MS:
                return Incomplete(f"cut off after {len(rows)} rows", len(found) + len(rows))
            whole = False
            middle = (start + end) // 2
            spans += [(middle, end), (start, middle)]
        return Incomplete(f"more than {MAX_QUESTIONS} questions", len(found))

    # ---- orders ------------------------------------------------------------------------------------------

    def states(self, rows: Iterable[Any]) -> list[OrderState] | Incomplete:
        """Orders in our types; one row that cannot be told makes them incomplete."""
        found: dict[str, OrderState] = {}
        problem = ""
        for row in rows:
            try:
                state = order_state(row, self.directory)
            except (Unmapped, FloatMoney, AttributeError, TypeError, ValueError) as error:
                problem = problem or f"{type(error).__name__}: {error}"[:200]
                continue
            found[state.venue_id] = state
        return Incomplete(problem, len(found)) if problem else list(found.values())

    async def open_orders(
        self, symbol: str | None, cls: Priority = Priority.P2
    ) -> list[OrderState] | Incomplete:
        """Every open order."""
        limit, page = self._page("fetchOpenOrders")
        if limit is None and self.profile.page_rows is not None:
            page = 0  # a venue that was looked at lists all of them
        answer = await self.caller.call("fetch_open_orders", symbol, None, limit, {}, cls=cls)
        if isinstance(answer, Failed):
            return Incomplete(answer.reason, 0)
        if not isinstance(answer, list) or (page and len(answer) >= page):
            return Incomplete("the list of open orders may be cut off", 0)
        states = self.states(answer)
        if isinstance(states, Incomplete):
            return states
        return [one for one in states if symbol in {None, one.symbol}]

    async def ended_orders(self, symbol: str, since_ms: int, cls: Priority) -> list[OrderState] | Incomplete:
        """Every order since a moment that may have ended; open ones may be among them."""
        has = self.caller.has
        if has("fetchOrders"):
            methods = ["fetch_orders"]
        elif has("fetchCanceledAndClosedOrders"):
            methods = ["fetch_canceled_and_closed_orders"]
        else:
            methods = [
                f"fetch_{word}_orders"
                for word in ("closed", "canceled")
                if has(f"fetch{word.capitalize()}Orders")
            ]
        if not methods:
            return Incomplete("the venue lists no ended orders", 0)
        found: list[OrderState] = []
        for method in methods:
            rows = await self._all(method, symbol, since_ms, cls)
            states = rows if isinstance(rows, Incomplete) else self.states(rows)
            if isinstance(states, Incomplete):
                return states
            found += states
        return found

    async def order(
        self, symbol: str, venue_id: str, cls: Priority = Priority.P2
    ) -> OrderState | Absent | Failed:
        """One order by the venue's id."""
        return self._told(await self.caller.call("fetch_order", venue_id, symbol, {}, cls=cls))

    def _told(self, answer: Any) -> OrderState | Absent | Failed:
        if isinstance(answer, Failed):
            return ABSENT if answer.absent else answer
        states = self.states([answer])
        if isinstance(states, Incomplete):
            return Failed(reason=states.reason)
        return states[0]

    async def by_client_id(
        self, symbol: str, client_id: str, since_ms: int, cls: Priority = Priority.P2
    ) -> OrderState | Absent | Failed:
        """One order by our id: the latest that has it. Open orders first: one that ends meanwhile is found
        among the ended ones.
        """
        direct = self.profile.by_client_id is ByClientId.ORDER
        if direct:
            params = {"clientOrderId": client_id}
            told = self._told(await self.caller.call("fetch_order", "", symbol, params, cls=cls))
            if not isinstance(told, Absent):
                return told
        listed = await self.open_orders(symbol, cls)
        found = _latest(listed, client_id)
        if not isinstance(found, Absent) or direct:
            return found
        return _latest(await self._ended_of(symbol, client_id, since_ms, cls), client_id)

    async def _ended_of(
        self, symbol: str, client_id: str, since_ms: int, cls: Priority
    ) -> list[OrderState] | Incomplete:
        """Ended orders among which one of our id would be."""
        if self.profile.by_client_id is not ByClientId.LISTS:
            return await self.ended_orders(symbol, since_ms, cls)
        params = {"clientOrderId": client_id}
        rows = await self.caller.call("fetch_closed_orders", symbol, None, None, params, cls=cls)
        if isinstance(rows, Failed):
            return Incomplete(rows.reason, 0)
        return self.states(rows) if isinstance(rows, list) else Incomplete("no list", 0)

    # ---- executions --------------------------------------------------------------------------------------

    async def executions(
        self, symbols: list[str], since_ms: int, cls: Priority = Priority.P2
    ) -> list[TradeFact] | Incomplete:
        """Executions since a moment (0: ever), oldest first. `symbols`: where the venue wants them named."""
        if not self.caller.has("fetchMyTrades"):
            return Incomplete("the venue does not list executions", 0)
        wanted: list[str | None] = list(symbols) if self.by_symbol("fetchMyTrades") else [None]
        found: dict[tuple[str, str, str], TradeFact] = {}
        for symbol in wanted:
            rows = await self._all("fetch_my_trades", symbol, since_ms, cls)
            if isinstance(rows, Incomplete):
                return Incomplete(rows.reason, len(found) + rows.got)
            for row in rows:
                try:
                    fact = trade_fact(row, self.directory)
                except (Unmapped, FloatMoney, AttributeError, TypeError, ValueError) as error:
                    return Incomplete(f"{type(error).__name__}: {error}"[:200], len(found))
                found[(fact.symbol, fact.trade_id, fact.order_id)] = fact
        return sorted(found.values(), key=lambda one: one.time_ns)


def _latest(listed: list[OrderState] | Incomplete, client_id: str) -> OrderState | Absent | Failed:
    """The latest order of an id."""
    if isinstance(listed, Incomplete):
        return Failed(reason=listed.reason)
    mine = [one for one in listed if one.client_id == client_id]
    return max(mine, key=lambda one: one.updated_ns) if mine else ABSENT


def camel(method: str) -> str:
    """`fetch_my_trades` as ccxt's tables of features write it: `fetchMyTrades`."""
    first, *others = method.split("_")
    return first + "".join(one.capitalize() for one in others)


def _cut(start_ms: int, end_ms: int, span_ms: int) -> list[tuple[int, int]]:
    """Spans of at most `span_ms`, the oldest last; at most as many as may be asked for."""
    if not span_ms:
        return [(start_ms, end_ms)]
    spans: list[tuple[int, int]] = []
    while start_ms < end_ms and len(spans) <= MAX_QUESTIONS:
        spans.append((start_ms, min(start_ms + span_ms, end_ms)))
        start_ms += span_ms
    return spans[::-1]
