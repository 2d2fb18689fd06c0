"""The books of an account at an outside venue: what its stream tells of orders, doubts, and the comparison
with the venue (T7.6, T7.8, T7.9, T9.5).

Nothing here decides to trade. The venue's answers are facts of its own that no engine event repeats, so they
are records of the trader's journal.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

import structlog

from tradewind.venues.protocol import (
    FINAL_PHASES,
    Balance,
    BalanceEvent,
    FillEvent,
    Found,
    Incomplete,
    NotFound,
    OrderEvent,
    OrderState,
    QueryResult,
    Uncertain,
    Venue,
    VenueState,
)
from tradewind.venues.transport.resolver import Abandon, AbsencePolicy, Adopt, Doubt, ResolverRunner

from .oms import Oms
from .orders import ManagedOrder, State
from .reconcile import Difference
from .records import Ended, Opening, OrderNote, Reconciliation
from .venue_fills import POLL_S, SECOND_NS, Block, NotesPort, VenueFills

__all__ = ["IN_DOUBT", "PENDING", "POLL_S", "NotesPort", "OpeningRefused", "VenueBooks"]

log = structlog.get_logger("tradewind.trader.venue_books")
HORIZON_NS: Final = 5 * SECOND_NS
"""After a submit that nobody answered the venue may still accept it for this long, unless the connector's
own horizon is stated.
"""
MAX_INTENT_AGE_NS: Final = 5 * SECOND_NS
BALANCES_S: Final = 3.0
"""How long a first start waits for balances before it says that they are unknown."""
SETTLE_TRIES: Final = 5
SETTLE_S: Final = 0.5
RECONCILE_EVERY_S: Final = 60.0
RETRY_S: Final = 1.0
RETRY_MOST_S: Final = 15.0
"""Between two comparisons while something is different: from one to the other, doubling."""
GATHER_S: Final = 0.05
"""Reasons to look again that come together make one comparison."""
CONVERGE_PAUSES_S: Final = (0.25, 0.75, 1.0)
"""Between the comparisons of one reconciliation while something is different: two seconds in all (T9.5). Each
comparison costs points of the venue's limits.
"""
DOUBT: Final = "in doubt"
CONVERGE_S: Final = 2.0
"""How long the stream's balances and the ledger may differ: what is in flight (T9.5)."""
LOOK_S: Final = 0.25
IN_DOUBT: Final = frozenset({State.JOURNALED, State.SENT, State.UNKNOWN})
PENDING: Final = frozenset({State.AMEND_PENDING, State.CANCEL_PENDING})


class OpeningRefused(Exception):
    """The ledger cannot begin: balances are not known, or a holding has no stated cost."""

    code = "OpeningRefused"


class VenueBooks(VenueFills):
    """Ledger and orders of one account, kept equal to its venue's; one event loop."""

    def __init__(
        self,
        venue: Venue,
        port: NotesPort,
        oms: Oms,
        *,
        horizon_ns: int = HORIZON_NS,
        max_intent_age_ns: int = MAX_INTENT_AGE_NS,
        poll_s: float = RECONCILE_EVERY_S,
        cost_prices: Mapping[str, Decimal] | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`cost_prices`: what base assets that are held at the beginning cost, by symbol, in quote units.
        `poll_s`: how often orders, executions and balances are compared while nothing is wrong.
        """
        super().__init__(venue, port, oms, clock_ns=clock_ns)
        self.horizon_ns, self.max_intent_age_ns, self.poll_s = horizon_ns, max_intent_age_ns, poll_s
        self.foreign: dict[str, OrderState] = {}
        self.reconciled: Reconciliation | None = None
        """The last comparison, also of an earlier process."""
        self.reconciled_here = False
        self._live = asyncio.Event()
        self._drops = 0
        """How often the private stream went away."""
        self.resolver = ResolverRunner(self._query_doubt, self._lists, clock_ns=clock_ns, on_page=self._page)
        self._doubting: dict[str, str] = {}
        """Symbol of each order whose doubt is being resolved, or is about to be."""
        self._submitting: set[str] = set()
        self._changing: set[str] = set()
        """Orders with a submit, or with a cancel or amend, on its way: their answers decide first."""
        self._cost_prices = dict(cost_prices or {})
        self._reconciling = asyncio.Lock()
        self._totals: dict[str, Decimal] = {}
        """Balances as the stream told them last."""

    @property
    def stream_live(self) -> bool:
        """Whether the private stream tells everything now."""
        return self._live.is_set()

    @property
    def in_doubt(self) -> list[ManagedOrder]:
        """Orders of which nobody knows whether they are at the venue; they may still arrive there."""
        return [one for one in self.oms.working() if one.state in IN_DOUBT]

    async def _send(self, order: ManagedOrder) -> None:
        raise NotImplementedError("only a desk sends orders")

    async def cancel(self, client_id: str, reason: str) -> ManagedOrder:
        """Cancel one order of ours."""
        raise NotImplementedError("only a desk cancels orders")

    # ---- beginning ---------------------------------------------------------------------------------------

    async def first_balances(self) -> list[Balance] | Incomplete:
        """What a new ledger begins with."""
        return await self.venue.balances()

    async def _begin(self) -> None:
        try:
            async with asyncio.timeout(BALANCES_S):
                balances = await self.first_balances()
        except TimeoutError:
            raise OpeningRefused(f"balances are not known: no answer within {BALANCES_S:g} s") from None
        if isinstance(balances, Incomplete):
            raise OpeningRefused(f"balances are not complete: {balances.reason}")
        held = {one.asset: one.total for one in balances if one.total}
        missing = [
            one.symbol
            for one in self.oms.instruments.values()
            if one.base in held and one.symbol not in self._cost_prices
        ]
        if missing:
            raise OpeningRefused(f"state what the holdings of {', '.join(sorted(missing))} have cost")
        record = Opening(balances=held, cost_prices=self._cost_prices, at_ns=self._clock_ns())
        await self._journal(record)
        self._open(record)

    def _open(self, record: Opening) -> None:
        self.opening = record
        for asset, amount in record.balances.items():
            self.ledger.deposit(asset, amount)
        for symbol, price in record.cost_prices.items():
            instrument = self.oms.instruments[symbol]
            amount = record.balances.get(instrument.base, Decimal(0))
            if amount:
                position = self.ledger.position(symbol, instrument.base, instrument.quote)
                position.buy(amount, price, record.at_ns)
        self.last_fill_ns = max(self.last_fill_ns, record.at_ns)

    # ---- doubts ------------------------------------------------------------------------------------------

    def _doubt(self, order: ManagedOrder, sent_ns: int) -> None:
        """Find out what became of it. One that is being found out already is not begun again."""
        if order.client_id in self._doubting:
            return
        doubt = Doubt(
            client_id=order.client_id,
            symbol=order.intent.symbol,
            sent_at_ns=sent_ns,
            created_ns=order.intent.decision_ns,
            horizon_ns=self.horizon_ns,
            policy=AbsencePolicy(order.intent.policy),
            max_age_ns=self.max_intent_age_ns,
        )
        self._doubting[order.client_id] = order.intent.symbol
        if not self._spawn(self._resolve(order, doubt), f"doubt {order.client_id}"):
            del self._doubting[order.client_id]

    async def _resolve(self, order: ManagedOrder, doubt: Doubt) -> None:
        begin_ns = self._clock_ns()
        try:
            resolution = await self.resolver.resolve(doubt)
        except ValueError as error:  # a bound: the next comparison asks again
            self._block(f"order {order.client_id} cannot be asked for: {error}", Block.DOUBT)
            return
        finally:
            self._doubting.pop(order.client_id, None)
            self._look_again.set()
        took_ns = self._clock_ns() - begin_ns
        self.stats.resolved += 1
        self.stats.resolved_ns += took_ns
        self.stats.slowest_ns = max(self.stats.slowest_ns, took_ns)
        if isinstance(resolution, Adopt):
            await self._told(resolution.state)
        elif order.state in IN_DOUBT:
            reason = resolution.reason if isinstance(resolution, Abandon) else self._not_again(order)
            if reason:
                await self._abandon(order, reason)
            else:
                await self._send(order)  # the same client id: never a second order
        self._look_again.set()

    def _not_again(self, order: ManagedOrder) -> str:
        """Why an order that is proven absent is not sent again; "" when it may be."""
        if order.client_id in self._unwanted:
            return "cancelled while it was in doubt"
        if self.journal_down:
            return "the journal does not write"
        return self.halt

    async def _abandon(self, order: ManagedOrder, reason: str) -> None:
        state = str(State.ABANDONED)
        note = OrderNote(client_id=order.client_id, state=state, reason=reason, at_ns=self._clock_ns())
        await self._journal_quietly(note)
        self.oms.apply_note(note)
        self._unwanted.discard(order.client_id)

    async def _query_doubt(self, doubt: Doubt) -> QueryResult:
        order = self.oms.get(doubt.client_id)
        assert order is not None
        answer = await self.venue.query(self.oms.reference(order))
        if isinstance(answer, NotFound) and not answer.proven_absent:
            # only what the connector calls proven may be acted upon: it knows when the bytes really left
            return Uncertain("not found, and it may still arrive", doubt.sent_at_ns)
        return answer

    async def _lists(
        self, doubt: Doubt, since_ns: int
    ) -> tuple[list[OrderState] | Incomplete, list[FillEvent] | Incomplete]:
        return await self.venue.open_orders(doubt.symbol), await self.venue.fills(since_ns)

    def _page(self, doubt: Doubt) -> None:
        self._block(f"order {doubt.client_id} is unknown for more than a minute", Block.DOUBT)

    # ---- what the venue tells ----------------------------------------------------------------------------

    async def _told(self, state: OrderState) -> None:
        """An order as the venue shows it. Its executions are booked before its end is believed."""
        order = self.oms.get(state.client_id)
        if order is None:
            if state.phase not in FINAL_PHASES:
                self.foreign[state.venue_id] = state
                self._block(f"ForeignActivity: order {state.venue_id} is not ours", Block.FOREIGN)
            return
        if state.filled_lots > order.filled_lots:
            await self._await_fills(order, state.filled_lots)
        if state.phase in FINAL_PHASES and not order.is_terminal:
            if order.filled_lots < state.filled_lots:
                return  # its executions close it; the next comparison asks for what is missing
            await self._journal_quietly(Ended(state=state))
        self._apply_end(state)
        self._end_unwanted(order)

    def _apply_end(self, state: OrderState) -> None:
        self.oms.on_order_event(OrderEvent(state=state, sequence=0, venue_ts_ns=state.updated_ns))

    def _end_unwanted(self, order: ManagedOrder) -> None:
        """An order that was cancelled while it was in doubt has appeared: the cancel is made now."""
        if order.client_id not in self._unwanted or order.state in IN_DOUBT:
            return
        self._unwanted.discard(order.client_id)
        if not order.is_terminal:
            self._spawn(self.cancel(order.client_id, "cancelled while in doubt"), "late cancel")

    # ---- reconciliation (T7.9) ---------------------------------------------------------------------------

    async def reconcile(self) -> list[Difference]:
        """Compare with the venue. New orders pass only after a run without a difference."""
        async with self._reconciling:
            drops = self._drops
            differences: list[Difference] = []
            for pause_s in (*CONVERGE_PAUSES_S, None):
                differences = await self._compare()
                # what is in doubt is being asked for, and comparing again finds it out no sooner
                if pause_s is None or all(one.ours == DOUBT for one in differences):
                    break
                await asyncio.sleep(pause_s)  # what is under way may explain it
            record = Reconciliation(
                clean=not differences, differences=[str(one) for one in differences], at_ns=self._clock_ns()
            )
            self.reconciled, self.reconciled_here = record, True
            self.stats.reconciliations += 1
            await self._journal_quietly(record)
            self._conclude(differences, drops)
            return differences

    def _conclude(self, differences: list[Difference], drops: int) -> None:
        """What a comparison means for new orders."""
        if self._closing:
            return
        if differences:
            doubts = all(one.ours == DOUBT for one in differences)
            kind = Block.DOUBT if doubts else Block.FOREIGN if self.foreign else Block.DIFFERENCE
            self._block(str(differences[0]), kind)
        elif self.halt or self.oms.overfill is not None or self.oms.suspense:
            self._block(self.halt or "executions are in suspense", Block.HALTED)
        elif self.journal_down:
            self._block("the journal does not write", Block.JOURNAL)
        elif not self.stream_live:
            self._block("the private stream is not live", Block.STREAM)
        elif drops != self._drops:
            # what happened while it was away may be younger than what was compared
            self._block("the private stream was away during the comparison", Block.STREAM)
            self._look_again.set()
        elif time.monotonic() >= self.distrust_until_s:
            self.blocked = ""

    async def _keep_reconciling(self) -> None:
        """On schedule, when something asks for it, and again until nothing is different."""
        failures = 0
        while True:
            unsettled = any(one.state in PENDING for one in self.oms.working())
            # while an order is in doubt the questions for it have the venue's limits to themselves
            waits = ((self.blocked and not self.halt) or unsettled) and not self._doubting
            delay_s = min(RETRY_S * 2**failures, RETRY_MOST_S, self.poll_s) if waits else self.poll_s
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await self._look_again.wait()
            await asyncio.sleep(GATHER_S)
            self._look_again.clear()
            if self.stream_live:
                await self.reconcile()
            failures = min(failures + 1, 8) if self.blocked and self.stream_live else 0

    async def _compare(self) -> list[Difference]:
        status = await self.venue.status()
        if status.state in {VenueState.UNKNOWN, VenueState.MAINTENANCE, VenueState.DELISTED}:
            return [Difference(what="venue", ours="online", theirs=f"{status.state} {status.reason}")]
        theirs = await self.venue.open_orders(None)
        if isinstance(theirs, Incomplete):
            return [Difference(what="open orders", ours="complete", theirs=theirs.reason)]
        problem = await self._catch_up(self.last_fill_ns)
        if problem:
            return [Difference(what="executions", ours="complete", theirs=problem)]
        return [
            *await self._compare_orders({one.client_id or one.venue_id: one for one in theirs}),
            *await self._compare_balances(),
        ]

    async def _compare_orders(self, theirs: dict[str, OrderState]) -> list[Difference]:
        differences = []
        self.foreign = {
            one.venue_id: one for name, one in theirs.items() if self.oms.get(name) is None
        }  # what is foreign is shown, never touched
        for one in self.foreign.values():
            differences.append(Difference(what=f"order {one.venue_id}", ours="none", theirs=str(one.phase)))
        for order in self.oms.working():
            shown = theirs.get(order.client_id)
            if shown is not None:
                differences += await self._compare_shown(order, shown)
            elif order.client_id in self._submitting:
                continue  # its answer decides
            elif order.state in IN_DOUBT:
                self._doubt(order, order.updated_ns)
                differences.append(Difference(what=f"order {order.client_id}", ours=DOUBT, theirs="none"))
            else:
                differences += await self._missing(order)
        return differences + await self._still_there(theirs)

    async def _compare_shown(self, order: ManagedOrder, shown: OrderState) -> list[Difference]:
        self.resolver.seen(shown)
        await self._told(shown)
        if order.state in PENDING and order.client_id not in self._changing:
            self._settle_change(order, shown)
        mine, other = (order.price_ticks, order.lots, order.filled_lots), _shape(shown)
        if order.is_terminal or order.state in PENDING or mine == other:
            return []
        return [Difference(what=f"order {order.client_id}", ours=str(mine), theirs=str(other))]

    def _settle_change(self, order: ManagedOrder, shown: OrderState) -> None:
        """A cancel or amend of which nobody knows what became (also of an earlier process), and the venue
        shows the order. A cancel is made again: that does no harm. An amend is over when it cannot arrive any
        more.
        """
        if order.state is State.CANCEL_PENDING:
            self._spawn(self.cancel(order.client_id, order.reason), f"cancel {order.client_id} again")
        elif self._clock_ns() > order.updated_ns + self.horizon_ns + SECOND_NS:
            order.price_ticks, order.lots = shown.price_ticks, shown.lots
            order.pending_price_ticks = order.pending_lots = None
            order.settle(at_ns=shown.updated_ns)

    async def _still_there(self, theirs: dict[str, OrderState]) -> list[Difference]:
        """Orders of ours that ended here and work there. What was read before the end is read again by the
        next try; what stays is an order that must not be: it is cancelled.
        """
        differences = []
        for name, shown in theirs.items():
            order = self.oms.get(name)
            if order is None or not order.is_terminal:
                continue
            answer = await self.venue.query(self.oms.reference(order))
            if not isinstance(answer, Found) or answer.state.phase in FINAL_PHASES:
                continue
            differences.append(
                Difference(what=f"order {name}", ours=str(order.state), theirs=str(answer.state.phase))
            )
            log.critical("ended_order_is_working", client_id=name, venue_id=shown.venue_id)
            reference = self.oms.reference(order)
            await self.venue.cancel(reference, self.oms.identity.epoch)
        return differences

    async def _missing(self, order: ManagedOrder) -> list[Difference]:
        """An order of ours that is not in the open list: asked for, never assumed cancelled."""
        answer = await self.venue.query(self.oms.reference(order))
        if isinstance(answer, Found):
            await self._told(answer.state)
            if order.is_terminal or answer.state.phase not in FINAL_PHASES:
                return []
            return [Difference(what=f"order {order.client_id}", ours=str(order.state), theirs="ended")]
        shown = "vanished" if isinstance(answer, NotFound) and answer.proven_absent else "unknown"
        return [Difference(what=f"order {order.client_id}", ours=str(order.state), theirs=shown)]

    # ---- balances (T9.5) ---------------------------------------------------------------------------------

    async def _compare_balances(self) -> list[Difference]:
        balances = await self.venue.balances()
        if isinstance(balances, Incomplete):
            return [Difference(what="balances", ours="complete", theirs=balances.reason)]
        zero = Decimal(0)
        theirs = {one.asset: one.total for one in balances}
        for asset in self._totals:
            self._totals[asset] = theirs.get(asset, zero)
        return [
            self._difference(asset, theirs.get(asset, zero))
            for asset in sorted({*theirs, *self.ledger.assets()})
            if self.ledger.total(asset) != theirs.get(asset, zero)
        ]

    def _difference(self, asset: str, theirs: Decimal) -> Difference:
        return Difference(what=f"total {asset}", ours=str(self.ledger.total(asset)), theirs=str(theirs))

    def _heard_balance(self, event: BalanceEvent) -> None:
        self._totals[event.asset] = event.free + event.held

    async def _watch_balances(self) -> None:
        """The stream's balances against the ledger, all the time: executions that are not told move balances
        that are. What is in flight has two seconds to arrive.
        """
        since_s: dict[str, float] = {}
        while True:
            await asyncio.sleep(LOOK_S)
            now_s = time.monotonic()
            for asset, theirs in self._totals.items():
                if self.ledger.total(asset) == theirs or not self.stream_live:
                    since_s.pop(asset, None)
                elif now_s - since_s.setdefault(asset, now_s) > CONVERGE_S:
                    since_s[asset] = now_s
                    self._block(str(self._difference(asset, theirs)), Block.DIFFERENCE)
                    self._look_again.set()


def _shape(state: OrderState) -> tuple[int, int, int]:
    return state.price_ticks, state.lots, state.filled_lots
