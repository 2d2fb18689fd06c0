"""Orders and executions of the account over REST: complete, or a reason why not (T7.9).

Pages of the history move while new executions arrive, so they are read against a fixed end and with overlap,
and the collection is complete only when it has as many different rows as the venue counts.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import msgspec

from tradewind.venues.codes import RejectCode
from tradewind.venues.facts import facts_of
from tradewind.venues.kraken.account import Mirror
from tradewind.venues.kraken.private_messages import (
    ClosedOrders,
    OpenOrders,
    TradesHistory,
)
from tradewind.venues.kraken.refusals import meaning_of
from tradewind.venues.kraken.rest import Failed, KrakenRest
from tradewind.venues.kraken.rows import NS, order_state, trade_fact
from tradewind.venues.protocol import FillEvent, Incomplete, OrderState
from tradewind.venues.transport.account_mirror import TradeFact, Unmapped

OVERLAP_S = 60
PAGE_OVERLAP = 5
MAX_PAGES = 400
ABSENT = frozenset({RejectCode.UNKNOWN_ORDER, RejectCode.INVALID_REQUEST})
"""What the venue answers to a question about an order that it does not know."""


class Orders(msgspec.Struct, frozen=True):
    """Orders by the venue's id, and why some could not be read."""

    rows: dict[str, OrderState]
    problems: tuple[str, ...] = ()


class History:
    """Paged and chunked reads."""

    def __init__(self, rest: KrakenRest, mirror: Mirror) -> None:
        self._rest, self._mirror = rest, mirror
        self._page = int(facts_of(__package__)["trades_page"].value)
        self._chunk = int(facts_of(__package__)["query_orders"].value)
        self.unmapped_rows = 0

    async def open_orders(self, client_id: str | None = None) -> Orders | Failed:
        """Every open order, or those of one client id."""
        fields = [("trades", "false")] + ([("cl_ord_id", client_id)] if client_id else [])
        answer = await self._rest.read("OpenOrders", OpenOrders, fields)
        return answer if isinstance(answer, Failed) else self._orders(answer.open)

    async def closed_orders(self, client_id: str) -> Orders | Failed:
        """Ended orders of one client id: the latest page, which holds the latest of them."""
        answer = await self._rest.read("ClosedOrders", ClosedOrders, [("cl_ord_id", client_id)])
        return answer if isinstance(answer, Failed) else self._orders(answer.closed)

    async def query(self, venue_ids: Iterable[str]) -> Orders | Failed:
        """Orders by the venue's ids, open or ended; what the venue does not know is not in the rows."""
        wanted = list(dict.fromkeys(venue_ids))
        rows: dict[str, OrderState] = {}
        problems: list[str] = []
        for start in range(0, len(wanted), self._chunk):
            fields = [("txid", ",".join(wanted[start : start + self._chunk]))]
            answer = await self._rest.read("QueryOrders", dict[str, msgspec.Raw], fields)
            if isinstance(answer, Failed):
                if answer.errors and all(meaning_of(one).code in ABSENT for one in answer.errors):
                    continue
                return answer
            found = self._orders(answer)
            rows |= found.rows
            problems += found.problems
        return Orders(rows, tuple(problems))

    async def fills(self, since_ns: int) -> list[tuple[TradeFact, str, int]] | Incomplete:
        """Executions since a moment less `OVERLAP_S`, oldest first, each with its order's client id and what
        the order had left behind it.
        """
        facts = await self._facts(since_ns)
        if isinstance(facts, Incomplete):
            return facts
        unknown = [one.order_id for one in facts]
        orders = await self.query(unknown) if unknown else Orders({})
        if isinstance(orders, Failed):
            return Incomplete(f"orders of the executions: {orders.reason}", len(facts))
        if orders.problems:
            return Incomplete("; ".join(orders.problems)[:200], len(facts))
        left: dict[str, int] = {}
        told: list[tuple[TradeFact, str, int]] = []
        for fact in reversed(facts):
            order = orders.rows.get(fact.order_id)
            if order is None:
                return Incomplete(f"the order of execution {fact.trade_id} is not known", len(facts))
            rest = left.setdefault(fact.order_id, order.lots - order.filled_lots)
            left[fact.order_id] = rest + fact.lots
            told.append((fact, order.client_id, rest))
        told.reverse()
        return told

    async def fill_events(self, since_sequence: int) -> list[FillEvent] | Incomplete:
        """The same as events, in a sequence that grows with the venue's time."""
        rows = await self.fills(since_sequence)
        if isinstance(rows, Incomplete):
            return rows
        events: list[FillEvent] = []
        last = 0
        for fact, client_id, rest in rows:
            last = max(last + 1, fact.time_ns)
            events.append(self._mirror.fill_event(fact, client_id, rest, last))
        return events

    # ---- parts -------------------------------------------------------------------------------------------

    async def _facts(self, since_ns: int) -> list[TradeFact] | Incomplete:
        start_s = max(0, since_ns // NS - OVERLAP_S)
        fields = [("end", str(time.time_ns() // NS + OVERLAP_S))]
        if start_s:
            fields.append(("start", str(start_s)))
        found: dict[str, TradeFact] = {}
        problems: list[str] = []
        offset = 0
        for _ in range(MAX_PAGES):
            answer = await self._rest.read("TradesHistory", TradesHistory, [*fields, ("ofs", str(offset))])
            if isinstance(answer, Failed):
                return Incomplete(answer.reason, len(found))
            for trade_id, raw in answer.trades.items():
                try:
                    found[trade_id] = trade_fact(trade_id, raw, self._mirror.directory)
                except Unmapped as error:
                    self.unmapped_rows += 1
                    problems.append(str(error))
            if problems:
                return Incomplete("; ".join(problems)[:200], len(found))
            if len(found) >= answer.count:
                return sorted(found.values(), key=lambda one: (one.time_ns, one.trade_id))
            if not answer.trades:
                return Incomplete(f"{answer.count} executions counted, {len(found)} listed", len(found))
            # rows may have moved down meanwhile: the next page begins a little before the end of this one
            offset += max(1, len(answer.trades) - PAGE_OVERLAP)
        return Incomplete(f"more than {MAX_PAGES} pages", len(found))

    def _orders(self, rows: dict[str, msgspec.Raw]) -> Orders:
        found: dict[str, OrderState] = {}
        problems: list[str] = []
        for venue_id, raw in rows.items():
            try:
                found[venue_id] = order_state(venue_id, raw, self._mirror.directory)
            except Unmapped as error:
                self.unmapped_rows += 1
                problems.append(str(error))
        return Orders(found, tuple(problems))
