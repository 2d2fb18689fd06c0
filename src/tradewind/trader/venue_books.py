"""The books of an account at an outside venue: executions and ends as its stream tells them, doubts, and the
comparison with the venue (T7.6, T7.8, T7.9).

Nothing here decides to trade. The venue's answers are facts of its own that no engine event repeats, so they
are records of the trader's journal.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from decimal import Decimal
from typing import Any, Final, Protocol

import structlog

from tradewind.venues.paper.port import Note, PortStopped
from tradewind.venues.protocol import (
    FINAL_PHASES,
    FillEvent,
    Found,
    Incomplete,
    NotFound,
    OrderEvent,
    OrderPhase,
    OrderState,
    QueryResult,
    Venue,
    VenueState,
)
from tradewind.venues.transport.resolver import Abandon, AbsencePolicy, Adopt, Doubt, ResolverRunner

from .ledger import Lot
from .oms import Oms
from .orders import ManagedOrder, State
from .reconcile import Difference
from .records import (
    Ended,
    Execution,
    Opening,
    OrderNote,
    Reconciliation,
    Record,
    encode,
)

log = structlog.get_logger("tradewind.trader.venue_books")
SECOND_NS: Final = 1_000_000_000
HORIZON_NS: Final = 5 * SECOND_NS
"""After a submit that nobody answered the venue may still accept it for this long, unless the connector's
own horizon is stated.
"""
MAX_INTENT_AGE_NS: Final = 5 * SECOND_NS
MISSING_FILLS_S: Final = 2.0
"""How long executions of an ended order may be late before they are asked for (T7.8)."""
BALANCES_S: Final = 3.0
"""How long a first start waits for balances before it says that they are unknown."""
POLL_S: Final = 0.02
SETTLE_TRIES: Final = 5
SETTLE_S: Final = 0.5
RETRY_S: Final = 1.0
MAX_TASKS: Final = 10_000
_IN_DOUBT = frozenset({State.JOURNALED, State.SENT, State.UNKNOWN})
PENDING = frozenset({State.AMEND_PENDING, State.CANCEL_PENDING})


class OpeningRefused(Exception):
    """The ledger cannot begin: balances are not known, or a holding has no stated cost."""

    code = "OpeningRefused"


class NotesPort(Protocol):
    """Where records go: durable when `submit` returns, in the order of the calls."""

    async def submit(self, commands: list[bytes], notes: list[Note]) -> object:
        """Raises `PortStopped`."""


class VenueBooks:
    """Ledger and orders of one account, kept equal to its venue's; one event loop."""

    def __init__(
        self,
        venue: Venue,
        port: NotesPort,
        oms: Oms,
        *,
        horizon_ns: int = HORIZON_NS,
        max_intent_age_ns: int = MAX_INTENT_AGE_NS,
        cost_prices: Mapping[str, Decimal] | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`cost_prices`: what base assets that are held at the beginning cost, by symbol, in quote units."""
        self.venue, self.port, self.oms, self.ledger = venue, port, oms, oms.ledger
        self.horizon_ns, self.max_intent_age_ns = horizon_ns, max_intent_age_ns
        self.blocked = "not started"
        """Why no new order passes; "" when they do."""
        self.foreign: dict[str, OrderState] = {}
        self.opening: Opening | None = None
        self.reconciled: Reconciliation | None = None
        """The last comparison, also of an earlier process."""
        self.reconciled_here = False
        self.journal_down = False
        self.last_fill_ns = 0
        self._live = asyncio.Event()
        self.resolver = ResolverRunner(self._query_doubt, self._lists, clock_ns=clock_ns, on_page=self._page)
        self._cost_prices = dict(cost_prices or {})
        self._clock_ns = clock_ns
        self._books = asyncio.Lock()
        self._reconciling = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closing = False

    @property
    def stream_live(self) -> bool:
        """Whether the private stream tells everything now."""
        return self._live.is_set()

    async def _send(self, order: ManagedOrder) -> None:
        raise NotImplementedError("only a desk sends orders")

    # ---- beginning ---------------------------------------------------------------------------------------

    async def _begin(self) -> None:
        try:
            async with asyncio.timeout(BALANCES_S):
                balances = await self.venue.balances()
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
                position.lots.append(Lot(amount, price, record.at_ns))
        self.last_fill_ns = max(self.last_fill_ns, record.at_ns)

    # ---- doubts ------------------------------------------------------------------------------------------

    def _doubt(self, order: ManagedOrder, sent_ns: int) -> None:
        doubt = Doubt(
            client_id=order.client_id,
            symbol=order.intent.symbol,
            sent_at_ns=sent_ns,
            created_ns=order.intent.decision_ns,
            horizon_ns=self.horizon_ns,
            policy=AbsencePolicy(order.intent.policy),
            max_age_ns=self.max_intent_age_ns,
        )
        self._spawn(self._resolve(order, doubt), f"doubt {order.client_id}")

    async def _resolve(self, order: ManagedOrder, doubt: Doubt) -> None:
        resolution = await self.resolver.resolve(doubt)
        if isinstance(resolution, Adopt):
            await self._told(resolution.state)
        elif isinstance(resolution, Abandon):
            if order.state in _IN_DOUBT:
                note = OrderNote(
                    client_id=order.client_id,
                    state=str(State.ABANDONED),
                    reason=resolution.reason,
                    at_ns=self._clock_ns(),
                )
                await self._journal_quietly(note)
                self.oms.apply_note(note)
        elif order.state in _IN_DOUBT:
            await self._send(order)  # the same client id: never a second order

    async def _query_doubt(self, doubt: Doubt) -> QueryResult:
        order = self.oms.get(doubt.client_id)
        assert order is not None
        return await self.venue.query(self.oms.reference(order))

    async def _lists(
        self, doubt: Doubt, since_ns: int
    ) -> tuple[list[OrderState] | Incomplete, list[FillEvent] | Incomplete]:
        return await self.venue.open_orders(doubt.symbol), await self.venue.fills(since_ns)

    def _page(self, doubt: Doubt) -> None:
        self._block(f"order {doubt.client_id} is unknown for more than a minute")

    # ---- what the venue tells ----------------------------------------------------------------------------

    async def _filled(self, event: FillEvent) -> None:
        async with self._books:
            if self.ledger.knows(event.key):
                self.oms.stats.duplicate_fills += 1
                return
            await self._journal_quietly(Execution(event=event))
            self._book(event)

    def _book(self, event: FillEvent) -> None:
        known = self.oms.get(event.client_id) is not None
        self.oms.on_fill(event)
        self.last_fill_ns = max(self.last_fill_ns, event.venue_ts_ns)
        if not known:
            self._block(f"ForeignActivity: execution {event.trade_id} of an order that is not ours")
        if self.oms.overfill is not None:
            self._block(f"Overfill: {self.oms.overfill}")

    async def _told(self, state: OrderState) -> None:
        """An order as the venue shows it. Its executions are booked before its end is believed."""
        order = self.oms.get(state.client_id)
        if order is None:
            if state.phase not in FINAL_PHASES:
                self.foreign[state.venue_id] = state
                self._block(f"ForeignActivity: order {state.venue_id} is not ours")
            return
        if state.filled_lots > order.filled_lots:
            await self._await_fills(order, state.filled_lots)
        if order.is_terminal:
            return
        if state.phase is OrderPhase.FILLED or (
            state.phase in FINAL_PHASES and order.filled_lots < state.filled_lots
        ):
            return  # its executions close it; the next reconciliation asks for what is missing
        if state.phase in FINAL_PHASES:
            await self._journal_quietly(Ended(state=state))
        self._apply_end(state)

    def _apply_end(self, state: OrderState) -> None:
        self.oms.on_order_event(OrderEvent(state=state, sequence=0, venue_ts_ns=state.updated_ns))

    async def _await_fills(self, order: ManagedOrder, lots: int) -> None:
        deadline_s = time.monotonic() + MISSING_FILLS_S
        while order.filled_lots < lots and time.monotonic() < deadline_s:  # noqa: ASYNC110 any source may fill
            await asyncio.sleep(POLL_S)
        if order.filled_lots < lots:
            await self._catch_up(order.intent.decision_ns)

    async def _catch_up(self, since_ns: int) -> str:
        fills = await self.venue.fills(since_ns)
        if isinstance(fills, Incomplete):
            return f"executions are not complete: {fills.reason}"
        for event in fills:
            if self.opening is None or event.venue_ts_ns >= self.opening.at_ns:
                await self._filled(event)
        return ""

    # ---- reconciliation (T7.9) ---------------------------------------------------------------------------

    async def reconcile(self) -> list[Difference]:
        """Compare with the venue. New orders pass only after a run without a difference."""
        async with self._reconciling:
            differences: list[Difference] = []
            for _ in range(SETTLE_TRIES):
                differences = await self._compare()
                if not differences:
                    break
                await asyncio.sleep(SETTLE_S)  # what is under way may explain it
            record = Reconciliation(
                clean=not differences, differences=[str(one) for one in differences], at_ns=self._clock_ns()
            )
            self.reconciled, self.reconciled_here = record, True
            await self._journal_quietly(record)
            if differences:
                self._block(str(differences[0]))
            elif self.journal_down:
                self._block("the journal does not write")
            elif not self.stream_live:
                self._block("the private stream is not live")
            elif self.oms.overfill is None and not self.oms.suspense:
                self.blocked = ""
            return differences

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
                self.resolver.seen(shown)
                await self._told(shown)
            elif order.state in _IN_DOUBT:
                self._doubt_again(order)
                differences.append(
                    Difference(what=f"order {order.client_id}", ours="in doubt", theirs="none")
                )
                continue
            else:
                differences += await self._missing(order)
                continue
            mine, other = (order.price_ticks, order.lots, order.filled_lots), _shape(shown)
            if not order.is_terminal and order.state not in PENDING and mine != other:
                differences.append(
                    Difference(what=f"order {order.client_id}", ours=str(mine), theirs=str(other))
                )
        return differences

    def _doubt_again(self, order: ManagedOrder) -> None:
        if not self.resolver.is_resolving(order.client_id):
            self._doubt(order, order.updated_ns)

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

    async def _compare_balances(self) -> list[Difference]:
        balances = await self.venue.balances()
        if isinstance(balances, Incomplete):
            return [Difference(what="balances", ours="complete", theirs=balances.reason)]
        zero = Decimal(0)
        theirs = {one.asset: one.total for one in balances}
        return [
            Difference(
                what=f"total {asset}", ours=str(self.ledger.total(asset)), theirs=str(theirs.get(asset, zero))
            )
            for asset in sorted({*theirs, *self.ledger.assets()})
            if self.ledger.total(asset) != theirs.get(asset, zero)
        ]

    async def _reconcile_soon(self) -> None:
        """Until a run is clean: after a reconnect nothing resumes by itself before that."""
        while not self._closing and self.stream_live and await self.reconcile():  # noqa: ASYNC110
            await asyncio.sleep(RETRY_S)

    # ---- journal and tasks -------------------------------------------------------------------------------

    async def _journal(self, *records: Record) -> None:
        try:
            await self.port.submit([], [encode(one) for one in records])
        except PortStopped:
            self.journal_down = True
            self._block("the journal does not write")
            raise

    async def _journal_quietly(self, *records: Record) -> None:
        """A fact that the venue tells again after a crash: losing its record loses nothing but time."""
        try:
            await self._journal(*records)
        except PortStopped as error:
            log.critical(
                "record_not_journaled", records=[type(one).__name__ for one in records], why=str(error)
            )

    def _block(self, reason: str) -> None:
        if self.blocked != reason:
            log.warning("no_new_orders", reason=reason)
        self.blocked = reason

    def _spawn(self, work: Coroutine[Any, Any, Any], name: str) -> None:
        if len(self._tasks) >= MAX_TASKS:
            work.close()
            self._block(f"more than {MAX_TASKS} tasks of the desk are running")
            return
        task = asyncio.create_task(work, name=f"venue desk: {name}")
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("desk_task_failed", task=task.get_name(), error=repr(error))
            self._block(f"{task.get_name()} failed: {type(error).__name__}")


def _shape(state: OrderState) -> tuple[int, int, int]:
    return state.price_ticks, state.lots, state.filled_lots
