"""Orders and executions of the account over REST: complete, or a reason why not (T7.9).

Pages of the history move while new executions arrive, so they are read against a fixed end and with overlap,
and the collection is complete only when it has as many different rows as the venue counts.

Points are few (T4.2), and everybody wants to know at the moment when something went wrong: whoever asks for
the same list shares one reading, and executions that a complete reading has shown are not read again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping

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
from tradewind.venues.limits.urgency import decides
from tradewind.venues.protocol import FINAL_PHASES, FillEvent, Incomplete, OrderState
from tradewind.venues.transport.account_mirror import TradeFact, Unmapped
from tradewind.venues.transport.shared_read import Batch, SharedRead

OVERLAP_S = 60
PAGE_OVERLAP = 5
MAX_PAGES = 400
LATE_ROWS_S = 10
"""How much later than its time an execution may appear in the list."""
ENDED_MARGIN_S = 10
"""How far before a submit the venue's clock may date it."""
MAX_KEPT_FACTS = 20_000
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
        self.shared = {urgent: Shared(self) for urgent in (False, True)}
        """What decides about an unknown order never joins a reading that waits behind others."""
        self._kept = KeptFacts()

    async def open_orders(self) -> Orders | Failed:
        """Every open order. Callers at the same time share one reading."""
        return await self.shared[decides()].open.get(None)

    async def ended_order(self, client_id: str, sent_ns: int) -> Orders | Failed:
        """Ended orders, among them every one of this client id that was opened since `sent_ns`; 0: the latest
        of them, whenever that was. Callers at the same time share one reading.
        """
        if not sent_ns:
            return await self._ended_one_by_one([client_id], {})
        return await self.shared[decides()].ended.get((client_id, sent_ns))

    async def read_open(self, batch: Batch[None]) -> Orders | Failed:
        """One reading of `open_orders`."""

        def fields() -> list[tuple[str, str]]:
            batch.close()
            return [("trades", "false")]

        answer = await self._rest.read("OpenOrders", OpenOrders, fields)
        return answer if isinstance(answer, Failed) else self._orders(answer.open)

    async def read_ended(self, batch: Batch[tuple[str, int]]) -> Orders | Failed:
        """One question for one id; for several, everything that was opened since the first of them, unless
        that takes more pages than there are ids.
        """
        wanted: list[tuple[str, int]] = []

        def fields() -> list[tuple[str, str]]:
            wanted[:] = batch.close()
            return _ended_fields(wanted)

        answer = await self._rest.read("ClosedOrders", ClosedOrders, fields)
        if isinstance(answer, Failed):
            return answer
        rows = dict(answer.closed)
        ids = list(dict.fromkeys(client_id for client_id, _ in wanted))
        if len(ids) == 1:
            return self._orders(rows)
        step = self._page - PAGE_OVERLAP
        count = answer.count
        if count is None or -(-count // step) > len(ids):
            return await self._ended_one_by_one(ids, rows)
        offset = 0
        while len(rows) < count:
            offset += step
            if offset > count + self._page:
                return Failed(reason=f"{count} ended orders counted, {len(rows)} listed")
            more = await self._rest.read(
                "ClosedOrders", ClosedOrders, [*_ended_fields(wanted), ("ofs", str(offset))]
            )
            if isinstance(more, Failed):
                return more
            # what ended meanwhile comes first and moves the rest: that is why pages overlap
            count = max(count, more.count or 0)
            rows |= more.closed
        return self._orders(rows)

    async def _ended_one_by_one(self, ids: Iterable[str], rows: dict[str, msgspec.Raw]) -> Orders | Failed:
        for client_id in ids:
            answer = await self._rest.read("ClosedOrders", ClosedOrders, [("cl_ord_id", client_id)])
            if isinstance(answer, Failed):
                return answer
            rows |= answer.closed
        return self._orders(rows)

    async def query(self, venue_ids: Iterable[str]) -> Orders | Failed:
        """Orders by the venue's ids, open or ended; what the venue does not know is not in the rows."""
        wanted = list(dict.fromkeys(venue_ids))
        rows: dict[str, OrderState] = {}
        problems: list[str] = []
        for start in range(0, len(wanted), self._chunk):
            found = await self._query(wanted[start : start + self._chunk])
            if isinstance(found, Failed):
                return found
            rows |= found.rows
            problems += found.problems
        return Orders(rows, tuple(problems))

    async def _query(self, wanted: list[str]) -> Orders | Failed:
        """One question for these; one id that the venue does not know spoils the answer for the others, so
        they are then asked for in halves.
        """
        answer = await self._rest.read("QueryOrders", dict[str, msgspec.Raw], [("txid", ",".join(wanted))])
        if not isinstance(answer, Failed):
            return self._orders(answer)
        if not answer.errors or any(meaning_of(one).code not in ABSENT for one in answer.errors):
            return answer
        if len(wanted) == 1:
            return Orders({})
        half = len(wanted) // 2
        first, second = await self._query(wanted[:half]), await self._query(wanted[half:])
        if isinstance(first, Failed) or isinstance(second, Failed):
            return first if isinstance(first, Failed) else second
        return Orders(first.rows | second.rows, first.problems + second.problems)

    async def fills(self, since_ns: int) -> list[tuple[TradeFact, str, int]] | Incomplete:
        """Executions since a moment less `OVERLAP_S`, oldest first, each with its order's client id and what
        the order had left behind it.
        """
        facts = await self.shared[decides()].facts.get(since_ns)
        if isinstance(facts, Incomplete):
            return facts
        start_ns = max(0, since_ns // NS - OVERLAP_S) * NS
        return await self.with_orders([one for one in facts if one.time_ns > start_ns])

    async def with_orders(self, facts: list[TradeFact]) -> list[tuple[TradeFact, str, int]] | Incomplete:
        """Executions, oldest first, with their orders' client ids and what was left. Orders are asked for
        unless the mirror is up to date with them: they have ended, or it knows all of these executions.
        """
        behind = {one.order_id for one in facts if not self._mirror.knows_fill(one.trade_id)}
        states = self.known_orders({one.order_id for one in facts}, behind)
        unknown = sorted({one.order_id for one in facts} - states.keys())
        orders = await self.query(unknown) if unknown else Orders({})
        if isinstance(orders, Failed):
            return Incomplete(f"orders of the executions: {orders.reason}", len(facts))
        if orders.problems:
            return Incomplete("; ".join(orders.problems)[:200], len(facts))
        return with_remainders(facts, states | orders.rows)

    def known_orders(self, venue_ids: Iterable[str], behind: Collection[str]) -> dict[str, OrderState]:
        """What the mirror knows of these orders: those that ended, and working ones that are not `behind`."""
        found = {venue_id: self._mirror.get(venue_id) for venue_id in venue_ids}
        return {
            venue_id: state
            for venue_id, state in found.items()
            if state is not None and (state.phase in FINAL_PHASES or venue_id not in behind)
        }

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

    async def read_facts(self, batch: Batch[int]) -> list[TradeFact] | Incomplete:
        """Executions since the earliest moment that is wanted, less `OVERLAP_S`."""
        wanted_s = start_s = begun_s = 0

        def start() -> list[tuple[str, str]]:
            nonlocal wanted_s, start_s, begun_s
            if not begun_s:
                begun_s = time.time_ns() // NS
                wanted_s = max(0, min(batch.close(), default=0) // NS - OVERLAP_S)
                start_s = self._kept.start_s(wanted_s)
            return [("end", str(begun_s + OVERLAP_S)), *([("start", str(start_s))] if start_s else [])]

        found = await self._pages(start)
        if isinstance(found, Incomplete):
            return found
        self._kept.add(found, start_s, begun_s)
        return self._kept.since(wanted_s)

    async def _pages(self, start: Callable[[], list[tuple[str, str]]]) -> list[TradeFact] | Incomplete:
        found: dict[str, TradeFact] = {}
        problems: list[str] = []
        offset = 0
        for _ in range(MAX_PAGES):
            answer = await self._rest.read(
                "TradesHistory",
                TradesHistory,
                lambda offset=offset: [*start(), ("ofs", str(offset))],  # type: ignore[misc]
            )
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
                return list(found.values())
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


class Shared:
    """The readings that callers share."""

    def __init__(self, history: History) -> None:
        self.open: SharedRead[None, Orders | Failed] = SharedRead(history.read_open)
        self.ended: SharedRead[tuple[str, int], Orders | Failed] = SharedRead(history.read_ended)
        self.facts: SharedRead[int, list[TradeFact] | Incomplete] = SharedRead(history.read_facts)


class KeptFacts:
    """Executions that complete readings have shown: nothing is missing between two moments.

    An execution never changes, and appears in the list at most `LATE_ROWS_S` behind its time.
    """

    def __init__(self) -> None:
        self._facts: dict[str, TradeFact] = {}
        self._from_s, self._to_s = 0, -1

    def start_s(self, wanted_s: int) -> int:
        """From when on executions have to be read, when those since `wanted_s` are wanted; 0: all."""
        if self._from_s <= wanted_s <= self._to_s:
            return max(self._from_s, self._to_s - LATE_ROWS_S)
        return wanted_s

    def add(self, facts: Iterable[TradeFact], from_s: int, begun_s: int) -> None:
        """A complete reading of everything since `from_s`, which began at `begun_s`."""
        if from_s > self._to_s:
            self._facts.clear()  # between the two readings is a time that nobody has read
        if from_s > self._to_s or from_s < self._from_s:
            self._from_s = from_s
        self._facts |= {one.trade_id: one for one in facts}
        self._to_s = max(self._to_s, begun_s)
        if len(self._facts) > MAX_KEPT_FACTS:
            kept = sorted(self._facts.values(), key=lambda one: one.time_ns)[-MAX_KEPT_FACTS // 2 :]
            self._facts = {one.trade_id: one for one in kept}
            self._from_s = max(self._from_s, kept[0].time_ns // NS + 1)

    def since(self, start_s: int) -> list[TradeFact]:
        """Kept executions behind a moment, oldest first."""
        found = [one for one in self._facts.values() if one.time_ns > start_s * NS]
        return sorted(found, key=lambda one: (one.time_ns, one.trade_id))


def _ended_fields(wanted: list[tuple[str, int]]) -> list[tuple[str, str]]:
    """The filter of one id, or a time since which all of these were opened."""
    ids = {client_id for client_id, _ in wanted}
    if len(ids) == 1:
        return [("cl_ord_id", ids.pop())]
    first_ns = min(sent_ns for _, sent_ns in wanted)
    return [("closetime", "open"), ("start", str(first_ns // NS - ENDED_MARGIN_S))]


def with_remainders(
    facts: list[TradeFact], states: Mapping[str, OrderState]
) -> list[tuple[TradeFact, str, int]] | Incomplete:
    """Executions, oldest first, with the client ids of their orders and what was left behind each."""
    left: dict[str, int] = {}
    told: list[tuple[TradeFact, str, int]] = []
    for fact in reversed(facts):
        order = states.get(fact.order_id)
        if order is None:
            return Incomplete(f"the order of execution {fact.trade_id} is not known", len(facts))
        rest = left.setdefault(fact.order_id, max(0, order.lots - order.filled_lots))
        left[fact.order_id] = rest + fact.lots
        told.append((fact, order.client_id, rest))
    told.reverse()
    return told
