"""Orders at an outside venue (T7): journaled before a byte leaves, followed by the private stream, doubted
until known, recovered after a crash.

The same `Oms` and `Ledger` as in paper. New orders pass only while nothing stands against them: the private
stream is live and the last reconciliation showed no difference. Cancels always pass, even when the journal
cannot write.
The same `Oms` and `Ledger` as in paper. The venue's answers are facts of its own that no engine event
repeats, so they are records of the trader's journal: intent, sent, acknowledgement, execution, end. New
orders pass only while nothing stands against them: the private stream is live and the last reconciliation
showed no difference. Cancels always pass, even when the journal cannot write.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import structlog

from tradewind.venues.market_data import Known
from tradewind.venues.paper.port import PortStopped
from tradewind.venues.paper.wire import BatchLike, stream_notes
from tradewind.venues.protocol import (
    Acked,
    AlreadyFinal,
    ChangeResult,
    FillEvent,
    Found,
    Incomplete,
    OrderEvent,
    OrderRef,
    OrderState,
    PrivateEvent,
    Rejected,
    StreamState,
    SubmitResult,
    Uncertain,
)

from .oms import OrderRequest
from .orders import ManagedOrder, State
from .reconcile import Difference
from .records import (
    TRADER_STREAM,
    Acknowledged,
    AmendRequest,
    CancelRequest,
    Ended,
    Execution,
    Intent,
    Opening,
    OrderNote,
    Reconciliation,
    Record,
    Sent,
    decode,
)
from .venue_books import PENDING, POLL_S, SETTLE_S, SETTLE_TRIES, NotesPort, OpeningRefused, VenueBooks

log = structlog.get_logger("tradewind.trader.venue_desk")
START_S: Final = 10.0
"""How long a start waits for the private stream before it reconciles without it (and stays blocked)."""
RECONCILE_EVERY_S: Final = 60.0

__all__ = ["NotTrading", "NotesPort", "OpeningRefused", "VenueDesk"]


class NotTrading(Exception):
    """No new risk now; nothing was journaled or sent."""

    code = "NotTrading"


class VenueDesk(VenueBooks):
    """One account at one outside venue. `recover`, then `start`, at the end `stop`; one event loop."""

    # ---- life --------------------------------------------------------------------------------------------

    def recover(self, batches: Iterable[BatchLike]) -> int:
        """Fold the journal; returns the number of records. Call once, before `start`."""
        count = 0
        for batch in batches:
            for _, payload in stream_notes(batch, TRADER_STREAM):
                self._fold(decode(payload))
                count += 1
        return count

    def _fold(self, record: Record) -> None:
        match record:
            case Intent() | AmendRequest() | CancelRequest() | OrderNote():
                self.oms.apply(record)
            case Sent():
                order = self.oms.get(record.client_id)
                if order is not None and order.state in {State.JOURNALED, State.UNKNOWN}:
                    order.move(State.SENT, at_ns=record.at_ns)
            case Acknowledged():
                order = self.oms.get(record.client_id)
                if order is not None:
                    self.oms.on_submit_result(order, Acked(record.venue_id), record.at_ns)
            case Execution():
                self._book(record.event)
            case Ended():
                self._apply_end(record.state)
            case Opening():
                self._open(record)
            case Reconciliation():
                self.reconciled = record
            case _:
                pass

    async def start(self) -> list[Difference]:
        """Listen, open the ledger if it is new, reconcile. New orders pass when no difference is left.

        Raises:
            OpeningRefused: a new ledger cannot begin. PortStopped: the journal does not write.
        """
        if self.opening is None:
            await self._begin()
        self._spawn(self._listen(), "private stream")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_S):
                await self._live.wait()
        differences = await self.reconcile()
        self._spawn(self._keep_reconciling(), "reconciliation")
        return differences

    async def stop(self) -> None:
        """End every task. Working orders stay where they are: cancel them first if they shall not."""
        self._closing = True
        self.blocked = "stopped"
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep_reconciling(self) -> None:
        while True:
            await asyncio.sleep(RECONCILE_EVERY_S)
            if self.stream_live:
                await self.reconcile()

    # ---- orders ------------------------------------------------------------------------------------------

    async def place(self, request: OrderRequest) -> ManagedOrder:
        """Journal, send, and journal the answer. The order's state says what came of it.

        Raises:
            NotTrading: no new risk now. LedgerError: the funds are not there. PortStopped: the journal does
            not write. In each case nothing was sent.
        """
        if self.blocked:
            raise NotTrading(self.blocked)
        if request.symbol in self.resolver.open_symbols and not request.reducing:
            raise NotTrading(f"an order in {request.symbol} is in doubt")
        rate = await self._taker_rate(request.symbol)
        order, intent = self.oms.create(request, rate)
        try:
            await self._journal(intent)
        except PortStopped:
            self.oms.discard(order.client_id)
            raise
        await self._send(order)
        return order

    async def _taker_rate(self, symbol: str) -> Decimal:
        fees = await self.venue.fees(self.oms.identity.account, symbol)
        if not isinstance(fees, Known):
            raise NotTrading(f"fees of {symbol} are not known")
        return fees.value.taker_rate

    async def _send(self, order: ManagedOrder) -> None:
        now_ns = self._clock_ns()
        order.move(State.SENT, at_ns=now_ns)
        # appended before the bytes leave, its own sync is not waited for (T7.2)
        self._spawn(self._journal_quietly(Sent(client_id=order.client_id, at_ns=now_ns)), "sent record")
        await asyncio.sleep(0)  # now it stands in the journal's queue
        result = await self.venue.submit(self.oms.wire_order(order, now_ns), self.oms.identity.epoch)
        await self._answered(order, result, now_ns)

    async def _answered(self, order: ManagedOrder, result: SubmitResult, sent_ns: int) -> None:
        now_ns = self._clock_ns()
        if isinstance(result, Acked):
            await self._journal_quietly(
                Acknowledged(client_id=order.client_id, venue_id=result.venue_id, at_ns=now_ns)
            )
        elif isinstance(result, Rejected) and order.state in {State.SENT, State.UNKNOWN}:
            reason = f"{result.code}: {result.raw}"
            note = OrderNote(
                client_id=order.client_id, state=str(State.REJECTED), reason=reason, at_ns=now_ns
            )
            await self._journal_quietly(note)
        self.oms.on_submit_result(order, result, now_ns)
        if isinstance(result, Uncertain) and order.state is State.UNKNOWN:
            self._doubt(order, sent_ns)

    async def cancel(self, client_id: str, reason: str) -> ManagedOrder:
        """Cancel one order; the result is its true state, `CANCEL_PENDING` while it is not known.

        Raises:
            KeyError: there is no such order.
        """
        order = self.oms.get(client_id)
        if order is None:
            raise KeyError(client_id)
        request = self.oms.request_cancel(order, reason, self._clock_ns())
        if request is None and order.state not in PENDING:
            return order
        if request is not None:
            await self._journal_quietly(request)
        result = await self.venue.cancel(self.oms.reference(order), self.oms.identity.epoch)
        await self._changed(order, result)
        return order

    async def amend(self, client_id: str, *, price_ticks: int, lots: int) -> ManagedOrder:
        """Change price and total quantity of a working order.

        Raises:
            KeyError: no such order. NotTrading: no new risk now, or it cannot be amended. LedgerError: funds.
        """
        order = self.oms.get(client_id)
        if order is None:
            raise KeyError(client_id)
        if self.blocked:
            raise NotTrading(self.blocked)
        rate = await self._taker_rate(order.intent.symbol)
        request = self.oms.request_amend(order, price_ticks, lots, rate, self._clock_ns())
        if request is None:
            raise NotTrading(f"{client_id} is {order.state} with {order.filled_lots} lots filled")
        await self._journal(request)
        result = await self.venue.amend(
            self.oms.reference(order), self.oms.identity.epoch, lots=lots, price_ticks=price_ticks
        )
        await self._changed(order, result)
        if not order.is_terminal:
            self.oms.trim_reservation(order, rate)
        return order

    async def cancel_all(self, reason: str) -> list[str]:
        """Cancel everything and read back: the client ids that the venue still shows as open.

        Raises:
            NotTrading: open orders could not be read, so that nothing is verified.
        """
        result = await self.venue.cancel_all(None, self.oms.identity.epoch)
        log.info("cancel_all", reason=reason, result=type(result).__name__)
        for _ in range(SETTLE_TRIES):
            left = await self.venue.open_orders(None)
            if isinstance(left, list):
                if not left:
                    await self.reconcile()
                    return []
                for one in left:
                    await self.venue.cancel(
                        self.oms.reference(self.oms.orders[one.client_id])
                        if one.client_id in self.oms.orders
                        else _reference(one),
                        self.oms.identity.epoch,
                    )
            await asyncio.sleep(SETTLE_S)
        if isinstance(left, Incomplete):
            raise NotTrading(f"open orders are not known: {left.reason}")
        return [one.client_id or one.venue_id for one in left]

    async def _changed(self, order: ManagedOrder, result: ChangeResult) -> None:
        if isinstance(result, AlreadyFinal):
            self.oms.stats.cancel_races += 1
            await self._told(result.state)
        elif isinstance(result, Rejected):
            self.oms.on_change_result(order, result, self._clock_ns())
        else:
            # accepted or in doubt: what the venue shows of the order decides
            await self._ask_until_settled(order)

    async def _ask_until_settled(self, order: ManagedOrder) -> None:
        for attempt in range(SETTLE_TRIES):
            if order.is_terminal or order.state not in PENDING:
                return
            answer = await self.venue.query(self.oms.reference(order))
            if isinstance(answer, Found):
                await self._told(answer.state)
                if order.state is State.AMEND_PENDING and self._shows_amend(order, answer.state):
                    order.pending_price_ticks = order.pending_lots = None
                    order.settle(at_ns=answer.state.updated_ns)
            if order.state in PENDING:
                await asyncio.sleep(POLL_S * 2**attempt)

    @staticmethod
    def _shows_amend(order: ManagedOrder, state: OrderState) -> bool:
        return (state.price_ticks, state.lots) == (order.pending_price_ticks, order.pending_lots)

    # ---- the private stream ------------------------------------------------------------------------------

    async def _listen(self) -> None:
        async for event in self.venue.private(self.oms.identity.account):
            await self._on_private(event)

    async def _on_private(self, event: PrivateEvent) -> None:
        match event:
            case FillEvent():
                await self._filled(event)
            case OrderEvent():
                self.resolver.seen(event.state)
                # its executions may still be on their way: never hold up the stream for them
                self._spawn(self._told(event.state), f"order {event.state.client_id}")
            case StreamState():
                if not event.live:
                    self._live.clear()
                    self._block(f"private stream: {event.reason}")
                elif not self._live.is_set():
                    self._live.set()
                    if self.reconciled_here:
                        self._spawn(self._reconcile_soon(), "reconciliation after reconnecting")

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
        while order.filled_lots < lots and time.monotonic() < deadline_s:  # noqa: ASYNC110 it fills by itself
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
            if not order.is_terminal and order.state not in _PENDING and mine != other:
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
        while not self._closing and self.stream_live and await self.reconcile():  # noqa: ASYNC110 asks anew
            await asyncio.sleep(RETRY_S)

    async def _keep_reconciling(self) -> None:
        while True:
            await asyncio.sleep(RECONCILE_EVERY_S)
            if self.stream_live:
                await self.reconcile()

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


def _reference(state: OrderState) -> OrderRef:
    return OrderRef(client_id=state.client_id, symbol=state.symbol, venue_id=state.venue_id)
