"""Orders at an outside venue (T7): journaled before a byte leaves, followed by the private stream, doubted
until known, recovered after a crash.

The same `Oms` and `Ledger` as in paper. New orders pass only while nothing stands against them: the private
stream is live and the last reconciliation showed no difference. Cancels always pass, even when the journal
cannot write.
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


def _reference(state: OrderState) -> OrderRef:
    return OrderRef(client_id=state.client_id, symbol=state.symbol, venue_id=state.venue_id)
