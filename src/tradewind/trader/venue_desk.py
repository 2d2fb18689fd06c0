"""Orders at an outside venue (T7): journaled before a byte leaves, followed by the private stream, doubted
until known, recovered after a crash.

The same `Oms` and `Ledger` as in paper. New orders pass only while nothing stands against them: the private
stream is live and the last reconciliation showed no difference. Cancels always pass, even when the journal
cannot write.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
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
    BalanceEvent,
    CancelAllResult,
    CancelledAll,
    ChangeResult,
    FillEvent,
    Found,
    FundsEvent,
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
from .venue_books import IN_DOUBT, PENDING, POLL_S, SETTLE_S, SETTLE_TRIES, OpeningRefused, VenueBooks
from .venue_fills import SECOND_NS, Block, NotesPort

log = structlog.get_logger("tradewind.trader.venue_desk")
START_S: Final = 10.0
"""How long a start waits for the private stream before it reconciles without it (and stays blocked)."""
STREAM_RETRY_S: Final = 1.0
STREAM_RETRY_MOST_S: Final = 30.0
"""Before a private stream that ended is begun again: from one to the other, doubling."""
CANCEL_ALL_S: Final = 5.0
"""Beyond the acceptance horizon a cancel-all waits so long for orders in doubt and for what still rests."""

__all__ = ["Block", "CannotAmend", "NotTrading", "NotesPort", "OpeningRefused", "VenueDesk"]


class NotTrading(Exception):
    """No new risk now; nothing was sent."""

    code = "NotTrading"


class CannotAmend(NotTrading):
    """The venue cannot change an order: cancel it and place another one."""

    code = "CannotAmend"


class VenueDesk(VenueBooks):
    """One account at one outside venue. `recover`, then `start`, at the end `stop`; one event loop."""

    control_proof_s = float("-inf")
    """When the trading path last answered, by the steady clock (T8.2)."""

    # ---- life --------------------------------------------------------------------------------------------

    def recover(self, batches: Iterable[BatchLike]) -> int:
        """Fold the journal; returns the number of records. Call once, before `start`. What halted the account
        halts it again.
        """
        count = 0
        for batch in batches:
            for _, payload in stream_notes(batch, TRADER_STREAM):
                self._fold(decode(payload))
                count += 1
        return count

    def _fold(self, record: Record) -> None:
        match record:
            case CancelRequest() if self._is_in_doubt(record.client_id):
                self._unwanted.add(record.client_id)
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

    def _is_in_doubt(self, client_id: str) -> bool:
        order = self.oms.get(client_id)
        return order is not None and order.state in IN_DOUBT

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
        for client_id in list(self._unwanted):
            if (order := self.oms.get(client_id)) is not None:
                self._end_unwanted(order)
        self._spawn(self._keep_reconciling(), "reconciliation")
        self._spawn(self._watch_balances(), "balances of the stream")
        return differences

    async def stop(self) -> None:
        """End every task. Working orders stay where they are: cancel them first if they shall not."""
        self._closing = True
        self.blocked, self.block_kind = "stopped", Block.START
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ---- orders ------------------------------------------------------------------------------------------

    async def place(self, request: OrderRequest) -> ManagedOrder:
        """Journal, send, and journal the answer. The order's state says what came of it.

        Raises:
            NotTrading: no new risk now. LedgerError: the funds are not there. PortStopped: the journal does
            not write. In each case nothing was sent.
        """
        self._may_open(request.symbol, reducing=request.reducing)
        rate = await self._taker_rate(request.symbol)
        self._may_open(request.symbol, reducing=request.reducing)  # asking took time
        order, intent = self.oms.create(request, rate)
        self._submitting.add(order.client_id)
        try:
            await self._journal(intent)
            why = self.blocked or ("cancelled" if order.client_id in self._unwanted else "")
            if why:  # so did the disk; the intent stands in the journal, and so does its end
                await self._abandon(order, f"not sent: {why}")
                raise NotTrading(why)
            await self._send(order)
        except PortStopped:
            self.oms.discard(order.client_id)
            raise
        finally:
            self._submitting.discard(order.client_id)
        return order

    def _may_open(self, symbol: str, *, reducing: bool) -> None:
        """Raises `NotTrading`."""
        if self.blocked:
            raise NotTrading(self.blocked)
        if symbol in self._doubting.values() and not reducing:
            raise NotTrading(f"an order in {symbol} is in doubt")

    async def _taker_rate(self, symbol: str) -> Decimal:
        fees = await self.venue.fees(self.oms.identity.account, symbol)
        if not isinstance(fees, Known):
            raise NotTrading(f"fees of {symbol} are not known")
        return fees.value.taker_rate

    async def _send(self, order: ManagedOrder) -> None:
        now_ns = self._clock_ns()
        order.move(State.SENT, at_ns=now_ns)
        self._submitting.add(order.client_id)
        try:
            # appended before the bytes leave, its own sync is not waited for (T7.2)
            self._spawn(self._journal_quietly(Sent(client_id=order.client_id, at_ns=now_ns)), "sent record")
            await asyncio.sleep(0)  # now it stands in the journal's queue
            self.stats.sent += 1
            result = await self.venue.submit(self.oms.wire_order(order, now_ns), self.oms.identity.epoch)
            await self._answered(order, result, now_ns)
        finally:
            self._submitting.discard(order.client_id)

    async def _answered(self, order: ManagedOrder, result: SubmitResult, sent_ns: int) -> None:
        now_ns = self._clock_ns()
        self._proves_control(result)
        if isinstance(result, Acked):
            self.stats.acknowledged += 1
            await self._journal_quietly(
                Acknowledged(client_id=order.client_id, venue_id=result.venue_id, at_ns=now_ns)
            )
        elif isinstance(result, Rejected):
            self.stats.rejected += 1
            if order.state in {State.SENT, State.UNKNOWN}:
                reason = f"{result.code}: {result.raw}"
                note = OrderNote(
                    client_id=order.client_id, state=str(State.REJECTED), reason=reason, at_ns=now_ns
                )
                await self._journal_quietly(note)
        self.oms.on_submit_result(order, result, now_ns)
        if isinstance(result, Uncertain):
            self.stats.unknown += 1
            if order.state is State.UNKNOWN:
                self._doubt(order, sent_ns)
        self._end_unwanted(order)

    def _proves_control(self, result: SubmitResult | ChangeResult | CancelAllResult) -> None:
        """An answer that only the venue can have given shows that the trading path works."""
        if isinstance(result, Acked | AlreadyFinal | CancelledAll):
            self.control_proof_s = time.monotonic()

    @property
    def control_age_s(self) -> float | None:
        """Seconds since the trading path last proved that it works; None before the first proof."""
        if self.control_proof_s == float("-inf"):
            return None
        return time.monotonic() - self.control_proof_s

    # ---- cancels -----------------------------------------------------------------------------------------

    async def cancel(self, client_id: str, reason: str) -> ManagedOrder:
        """Cancel one order; the result is its true state, `CANCEL_PENDING` while it is not known.

        An order in doubt is cancelled too, by the client id (or the hash) under which the venue would know
        it. It stays in doubt until it is known: if it still arrives it is cancelled then, and it is never
        sent again.

        Raises:
            KeyError: there is no such order.
        """
        order = self.oms.get(client_id)
        if order is None:
            raise KeyError(client_id)
        if order.state in IN_DOUBT:
            await self._cancel_in_doubt(order, reason)
            return order
        request = self.oms.request_cancel(order, reason, self._clock_ns())
        if request is None and order.state not in PENDING:
            return order
        self._changing.add(client_id)
        try:
            if request is not None:
                await self._journal_quietly(request)
            result = await self.venue.cancel(self.oms.reference(order), self.oms.identity.epoch)
            await self._changed(order, result)
        finally:
            self._changing.discard(client_id)
        return order

    async def _cancel_in_doubt(self, order: ManagedOrder, reason: str) -> None:
        if order.client_id not in self._unwanted:
            self._unwanted.add(order.client_id)
            await self._journal_quietly(
                CancelRequest(client_id=order.client_id, reason=reason, decision_ns=self._clock_ns())
            )
        result = await self.venue.cancel(self.oms.reference(order), self.oms.identity.epoch)
        self._proves_control(result)
        state = result.state if isinstance(result, AlreadyFinal) else None
        if isinstance(result, Acked):
            answer = await self.venue.query(self.oms.reference(order))
            state = answer.state if isinstance(answer, Found) else None
        if state is not None:
            self.resolver.seen(state)
            await self._told(state)

    async def cancel_all(self, reason: str) -> list[str]:
        """Cancel everything and read back until the venue shows nothing and nothing may still arrive there,
        a few seconds beyond the acceptance horizon at most. What is left by then is the result: client ids of
        orders that the venue shows as open, and of orders in doubt (they end when they appear).

        Raises:
            NotTrading: open orders could not be read, so that nothing is verified.
        """
        result = await self.venue.cancel_all(None, self.oms.identity.epoch)
        self._proves_control(result)
        log.info("cancel_all", reason=reason, result=type(result).__name__)
        deadline_s = time.monotonic() + self.horizon_ns / SECOND_NS + CANCEL_ALL_S
        while True:
            for order in self.in_doubt:
                if order.client_id not in self._unwanted:
                    await self._cancel_in_doubt(order, reason)
            left = await self.venue.open_orders(None)
            doubtful = [one.client_id for one in self.in_doubt]
            if isinstance(left, list):
                if not left and not doubtful:
                    await self.reconcile()
                    return []
                for one in left:
                    order_ = self.oms.orders.get(one.client_id)
                    reference = _reference(one) if order_ is None else self.oms.reference(order_)
                    await self.venue.cancel(reference, self.oms.identity.epoch)
            if time.monotonic() > deadline_s:
                break
            await asyncio.sleep(SETTLE_S)
        if isinstance(left, Incomplete):
            raise NotTrading(f"open orders are not known: {left.reason}")
        return list(dict.fromkeys([*(one.client_id or one.venue_id for one in left), *doubtful]))

    # ---- amends ------------------------------------------------------------------------------------------

    async def amend(self, client_id: str, *, price_ticks: int, lots: int) -> ManagedOrder:
        """Change price and total quantity of a working order.

        Raises:
            KeyError: no such order. CannotAmend: the venue has no such function. NotTrading: no new risk now,
            or the order cannot be amended. LedgerError: funds. In each case nothing was sent.
        """
        order = self.oms.get(client_id)
        if order is None:
            raise KeyError(client_id)
        if not self.venue.capabilities().amend:
            raise CannotAmend(f"{self.venue.name} cannot change an order")
        symbol = order.intent.symbol
        reduces = price_ticks == order.price_ticks and lots <= order.lots
        self._may_open(symbol, reducing=reduces)
        rate = await self._taker_rate(symbol)
        self._may_open(symbol, reducing=reduces)  # asking took time
        request = self.oms.request_amend(order, price_ticks, lots, rate, self._clock_ns())
        if request is None:
            raise NotTrading(f"{client_id} is {order.state} with {order.filled_lots} lots filled")
        self._changing.add(client_id)
        try:
            await self._journal(request)
            result = await self.venue.amend(
                self.oms.reference(order), self.oms.identity.epoch, lots=lots, price_ticks=price_ticks
            )
            await self._changed(order, result)
        except PortStopped:
            order.pending_price_ticks = order.pending_lots = None
            order.settle(at_ns=self._clock_ns())
            self.oms.trim_reservation(order, rate)
            raise
        finally:
            self._changing.discard(client_id)
        if not order.is_terminal:
            self.oms.trim_reservation(order, rate)
        return order

    async def _changed(self, order: ManagedOrder, result: ChangeResult) -> None:
        self._proves_control(result)
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
        self._look_again.set()

    @staticmethod
    def _shows_amend(order: ManagedOrder, state: OrderState) -> bool:
        return (state.price_ticks, state.lots) == (order.pending_price_ticks, order.pending_lots)

    # ---- the private stream ------------------------------------------------------------------------------

    async def _listen(self) -> None:
        """Take the private stream for ever: one that ends, or fails, blocks and is begun again."""
        wait_s = STREAM_RETRY_S
        while True:
            self.stats.streams += 1
            why = "ended"
            try:
                async for event in self.venue.private(self.oms.identity.account):
                    wait_s = STREAM_RETRY_S
                    await self._hear(event)
            except Exception as error:  # noqa: BLE001 a defect of a connector must not leave the desk deaf
                why = f"failed: {type(error).__name__}"
                log.critical("private_stream_failed", error=repr(error))
            self._stream_lost(f"the private stream {why}")
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, STREAM_RETRY_MOST_S)

    async def _hear(self, event: PrivateEvent) -> None:
        try:
            await self._on_private(event)
        except Exception as error:  # noqa: BLE001 what cannot be taken halts, and the rest is heard
            log.critical("private_event_failed", kind=type(event).__name__, error=repr(error))
            self._halt(f"{type(event).__name__} of the venue could not be taken: {type(error).__name__}")

    def _stream_lost(self, reason: str) -> None:
        if self._live.is_set():
            self._drops += 1
        self._live.clear()
        self.live_since_ns = 0
        self._block(reason, Block.STREAM)

    async def _on_private(self, event: PrivateEvent) -> None:
        match event:
            case FillEvent():
                await self._filled(event)
            case OrderEvent():
                self.resolver.seen(event.state)
                # its executions may still be on their way: never hold up the stream for them
                self._spawn(self._told(event.state), f"order {event.state.client_id}")
            case BalanceEvent():
                self._heard_balance(event)
            case FundsEvent():
                self._block(f"funds moved: {event.amount} {event.asset}, {event.reference}", Block.FOREIGN)
                self._look_again.set()
            case StreamState():
                if not event.live:
                    self._stream_lost(f"private stream: {event.reason}")
                elif not self._live.is_set():
                    self._live.set()
                    self.live_since_ns = self._clock_ns()
                    if self.reconciled_here:
                        self._look_again.set()


def _reference(state: OrderState) -> OrderRef:
    return OrderRef(client_id=state.client_id, symbol=state.symbol, venue_id=state.venue_id)
