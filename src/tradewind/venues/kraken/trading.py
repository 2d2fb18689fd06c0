"""Everything that changes something at Kraken: submit, amend, cancel, cancel-all, the timer.

The rules are the same for all: our own checks first, then the limiter, then one message, then the venue's
answer. What was sent and not answered is `Uncertain` and is never sent again here.
"""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from tradewind.venues.codes import RejectCode
from tradewind.venues.facts import facts_of
from tradewind.venues.feeds.decoding import UNREADABLE
from tradewind.venues.kraken import encode
from tradewind.venues.kraken.encode import Amendment
from tradewind.venues.kraken.history import History
from tradewind.venues.kraken.order_checks import OrderChecks
from tradewind.venues.kraken.private_messages import (
    CountResult,
    MethodAnswer,
    OrderResult,
    TimerResult,
)
from tradewind.venues.kraken.refusals import FILTER_CODES, refusal_of
from tradewind.venues.kraken.rest import Failed, local_refusal
from tradewind.venues.kraken.rows import NS
from tradewind.venues.kraken.timestamps import rfc3339_ns
from tradewind.venues.limits import Priority
from tradewind.venues.limits.kraken import Action, CancelAll, Engine
from tradewind.venues.market_data import DecodeError
from tradewind.venues.protocol import (
    FINAL_PHASES,
    Acked,
    AlreadyFinal,
    Armed,
    CancelAfterResult,
    CancelAllResult,
    CancelledAll,
    ChangeResult,
    Disarmed,
    Found,
    Incomplete,
    NewOrder,
    NotFound,
    OrderPhase,
    OrderRef,
    OrderState,
    QueryResult,
    Rejected,
    SubmitResult,
    Uncertain,
)
from tradewind.venues.transport.private_link import NoReply

if TYPE_CHECKING:
    from tradewind.venues.kraken.connector import KrakenOptions

CANCEL_AFTER_RANGE_S = (5, 300)
"""Own bound, well inside the venue's: a switch that fires after hours protects nobody."""
NO_ORDER = "OAAAAA-AAAAA-AAAAAA"
"""An id that the venue gives to no order."""
MAX_REMEMBERED_SENDS = 10_000
MAX_DOUBTFUL = 10_000


class Trading(OrderChecks):
    """The changing half of the connector."""

    options: KrakenOptions
    history: History
    pulse: asyncio.Event
    sends: OrderedDict[str, int]
    """When each client id was last sent, ns; the oldest are forgotten."""
    doubtful: set[str]
    """Client ids whose last amend or cancel was not answered: the mirror may be wrong about them."""

    @abstractmethod
    async def look(self, reference: OrderRef) -> QueryResult:
        """The state of one order by its client id, asked for whatever it costs."""

    @abstractmethod
    async def open_orders(self, symbol: str | None) -> list[OrderState] | Incomplete:
        """Every open order."""

    @abstractmethod
    def filter_refused(self) -> None:
        """The venue refused for a rule that we know otherwise."""

    # ---- submit ------------------------------------------------------------------------------------------

    async def submit(self, order: NewOrder, epoch: int) -> SubmitResult:
        """Send one order, with a deadline behind which the venue drops it (T7.4)."""
        refusal = self._epoch_refusal(epoch) or self._order_refusal(order)
        if refusal is not None:
            return refusal
        item = Engine(action=Action.ADD, pair=order.symbol, order=order.client_id)
        refusal = await self._admitted(Priority.P3, [item], order.symbol)
        # waiting took time: what was true before may not be true now
        refusal = refusal or self._epoch_refusal(epoch) or self._risk_refusal()
        if refusal is not None:
            self.rest.limits.gone(order.symbol, order.client_id)
            return refusal
        instrument = self.mirror.directory.instruments[order.symbol]
        now_ns = time.time_ns()
        horizon_ns = int(self.options.deadline_s * NS)
        if order.valid_until_ns:
            horizon_ns = min(horizon_ns, order.valid_until_ns - now_ns)
        least_s = facts_of(__package__)["deadline_s"].value[0]
        if horizon_ns < int(float(least_s) * NS):
            self.rest.limits.gone(order.symbol, order.client_id)
            return Rejected(RejectCode.DEADLINE_PASSED, f"less than {least_s} s are left", False)
        deadline_ns = self.socket.clock.venue_ns() + horizon_ns  # the venue looks at its own clock
        self._remember_send(order.client_id, now_ns)
        self.mirror.reuse(order.client_id)  # it names no working order, see `_order_refusal`
        answer = await self.socket.call(
            "add_order",
            lambda token: encode.add_order(order, instrument, deadline_ns, token),
            self.options.answer_timeout_s,
            epoch,
        )
        return self._submitted(order, answer, now_ns)

    def _submitted(self, order: NewOrder, answer: MethodAnswer | NoReply, sent_ns: int) -> SubmitResult:
        verdict = self._verdict(answer, sent_ns, order.symbol)
        if isinstance(verdict, Rejected):
            self.rest.limits.gone(order.symbol, order.client_id)
            return verdict
        if isinstance(verdict, Uncertain):
            return verdict
        try:
            result = msgspec.json.decode(verdict.result, type=OrderResult)
        except UNREADABLE as error:
            return Uncertain(f"add_order: {error}"[:200], sent_ns)
        if not result.order_id:
            return Uncertain("add_order was answered without an order id", sent_ns)
        if result.cl_ord_id not in {None, order.client_id}:
            return Uncertain(f"answered for {result.cl_ord_id!r}"[:80], sent_ns)
        self.mirror.acknowledged(
            OrderState(
                client_id=order.client_id, venue_id=result.order_id, symbol=order.symbol, side=order.side,
                phase=OrderPhase.WORKING, price_ticks=order.price_ticks, lots=order.lots, filled_lots=0,
                updated_ns=_time_of(verdict, sent_ns),
            )
        )  # fmt: skip
        return Acked(result.order_id)

    def _remember_send(self, client_id: str, now_ns: int) -> None:
        self.sends[client_id] = now_ns
        self.sends.move_to_end(client_id)
        if len(self.sends) > MAX_REMEMBERED_SENDS:
            self.sends.popitem(last=False)

    def _verdict(
        self, answer: MethodAnswer | NoReply, sent_ns: int, symbol: str = ""
    ) -> MethodAnswer | Rejected | Uncertain:
        """A success, a definite refusal, or neither."""
        if isinstance(answer, NoReply):
            return Uncertain(answer.reason, sent_ns) if answer.sent else local_refusal(answer.reason)
        if answer.success:
            return answer
        text = answer.error or ""
        self.rest.limits.refused(text, time.monotonic_ns(), time.time_ns(), symbol)
        refusal = refusal_of([text]) if text else None
        if refusal is None:
            return Uncertain(text[:200] or "refused without a reason", sent_ns)
        if refusal.code in FILTER_CODES:
            self.filter_refused()
        return refusal

    # ---- amend -------------------------------------------------------------------------------------------

    async def amend(
        self, reference: OrderRef, epoch: int, *, lots: int | None = None, price_ticks: int | None = None
    ) -> ChangeResult:
        """Change limit or total quantity in place. Below what is filled it is refused here: the venue would
        cancel the rest (T7.7).
        """
        refusal = self._change_refusal(reference, epoch)
        if refusal is not None:
            return refusal
        known = await self._present(reference)
        if not isinstance(known, OrderState):
            return known
        if known.phase in FINAL_PHASES:
            return AlreadyFinal(known)
        change = Amendment(
            client_id=reference.client_id,
            price_ticks=known.price_ticks if price_ticks is None else price_ticks,
            lots=known.lots if lots is None else lots,
            post_only=known.venue_id in self.mirror.post_only,  # else the venue would let it take
        )
        item = Engine(action=Action.AMEND, pair=known.symbol, order=reference.client_id)
        cls = Priority.P1 if change.lots <= known.lots and price_ticks is None else Priority.P3
        refusal = (
            self._amendment_refusal(known, change)
            or self._risk_refusal()
            or await self._admitted(cls, [item], known.symbol)
        )
        if refusal is not None:
            return refusal
        instrument = self.mirror.directory.instruments[known.symbol]
        sent_ns = time.time_ns()
        answer = await self.socket.call(
            "amend_order",
            lambda token: encode.amend_order(change, instrument, self._deadline_ns(), token),
            self.options.answer_timeout_s,
            epoch,
        )
        return await self._amended(reference, known, change, self._verdict(answer, sent_ns, known.symbol))

    def _amendment_refusal(self, known: OrderState, change: Amendment) -> Rejected | None:
        if change.lots <= known.filled_lots:
            return Rejected(
                RejectCode.AMEND_BELOW_FILLED, f"{change.lots} lots, {known.filled_lots} filled", True
            )
        refusal = self._state_refusal(known.symbol, None)
        if refusal is not None:
            return refusal
        wish = NewOrder(
            client_id=known.client_id, symbol=known.symbol, side=known.side, price_ticks=change.price_ticks,
            lots=change.lots,
        )  # fmt: skip
        found = self._filter_refusal(self.mirror.directory.instruments[known.symbol], wish)
        return None if found is None or found.code == RejectCode.TOO_MANY_ORDERS else found

    async def _amended(
        self, reference: OrderRef, known: OrderState, change: Amendment,
        verdict: MethodAnswer | Rejected | Uncertain,
    ) -> ChangeResult:  # fmt: skip
        if isinstance(verdict, Uncertain):
            self._doubt(reference.client_id)
            return verdict
        if isinstance(verdict, Rejected):
            if verdict.code in {RejectCode.UNKNOWN_ORDER, RejectCode.INVALID_REQUEST}:
                return await self._explained(reference, verdict, change.lots)
            if verdict.code == RejectCode.POST_ONLY_WOULD_TAKE:
                return Rejected(RejectCode.AMEND_WOULD_TAKE, verdict.raw, False)
            return verdict
        latest = self.mirror.get(known.venue_id) or known
        if latest.phase not in FINAL_PHASES:
            self.mirror.apply(
                msgspec.structs.replace(
                    latest, price_ticks=change.price_ticks, lots=change.lots,
                    updated_ns=max(latest.updated_ns, _time_of(verdict, latest.updated_ns)),
                )
            )  # fmt: skip
        return Acked(known.venue_id)

    async def _explained(
        self, reference: OrderRef, refusal: Rejected, lots: int | None = None
    ) -> ChangeResult:
        """What a refused change really met: the order's true end, or our mistake (T7.7)."""
        answer = await self.look(reference)
        if isinstance(answer, Found):
            if answer.state.phase in FINAL_PHASES:
                return AlreadyFinal(answer.state)
            if lots is not None and lots <= answer.state.filled_lots:
                filled = answer.state.filled_lots
                return Rejected(RejectCode.AMEND_BELOW_FILLED, f"{lots} lots, {filled} filled", True)
            if refusal.code == RejectCode.UNKNOWN_ORDER:
                return Uncertain("the venue knows the order and says it does not", time.time_ns())
            return refusal
        if isinstance(answer, NotFound):
            return Rejected(RejectCode.UNKNOWN_ORDER, refusal.raw, False)
        return answer

    # ---- cancel ------------------------------------------------------------------------------------------

    async def cancel(self, reference: OrderRef, epoch: int) -> ChangeResult:
        """Cancel one order. `Acked` only when the venue has shown that it is gone (T1.4)."""
        refusal = self._change_refusal(reference, epoch)
        if refusal is not None:
            return refusal
        known = self.mirror.find(reference.client_id)
        if known is not None and known.phase in FINAL_PHASES:
            return AlreadyFinal(known)
        if known is None and not encode.valid_client_id(reference.client_id):
            return Rejected(RejectCode.UNKNOWN_ORDER, "no order has such a client id", False)
        item = Engine(action=Action.CANCEL, pair=reference.symbol, order=reference.client_id)
        await self._admitted(Priority.P0, [item], reference.symbol)  # counted, and never held back
        return await self._cancel_now(reference, epoch)

    async def _cancel_now(self, reference: OrderRef, epoch: int) -> ChangeResult:
        sent_ns = time.time_ns()
        verdict = await self._send_cancel(reference, epoch, sent_ns)
        if isinstance(verdict, Uncertain):
            self._doubt(reference.client_id)
            return verdict
        if isinstance(verdict, Rejected):
            if verdict.code in {RejectCode.UNKNOWN_ORDER, RejectCode.INVALID_REQUEST}:
                return await self._explained(reference, verdict)
            return verdict
        return await self._cancelled(reference, sent_ns)

    async def _send_cancel(
        self, reference: OrderRef, epoch: int, sent_ns: int
    ) -> MethodAnswer | CountResult | Rejected | Uncertain:
        if not self.socket.link.can_send:
            return await self.rest.change(
                "CancelOrder", CountResult, [("cl_ord_id", reference.client_id)], epoch=epoch
            )
        answer = await self.socket.call(
            "cancel_order",
            lambda token: {"cl_ord_id": [reference.client_id], "token": token},
            self.options.answer_timeout_s,
            epoch,
        )
        return self._verdict(answer, sent_ns, reference.symbol)

    async def _cancelled(self, reference: OrderRef, sent_ns: int) -> ChangeResult:
        """Wait for the event that ends the order, else ask."""
        client_id = reference.client_id

        def ended() -> bool:
            state = self.mirror.find(client_id)
            return state is not None and state.phase in FINAL_PHASES

        if self.socket.link.can_send and self.mirror.find(client_id) is not None:
            await self._until(ended)
        state = self.mirror.find(client_id)
        if state is None or state.phase not in FINAL_PHASES:
            answer = await self.look(reference)
            if not isinstance(answer, Found) or answer.state.phase not in FINAL_PHASES:
                self._doubt(client_id)
                return Uncertain("the cancel was taken, the order's end is not shown yet", sent_ns)
            state = answer.state
        if state.phase is OrderPhase.FILLED:
            return AlreadyFinal(state)
        return Acked(state.venue_id)

    async def prove_control(self, epoch: int) -> bool:
        """A signed request on the way of orders that changes nothing: whether it was answered (T8.2)."""
        answer = await self.socket.call(
            "cancel_order",
            lambda token: {"order_id": [NO_ORDER], "token": token},
            self.options.answer_timeout_s,
            epoch,
        )
        return isinstance(answer, MethodAnswer)

    async def cancel_all(self, symbol: str | None, epoch: int) -> CancelAllResult:
        """Cancel every working order, or those of one pair. Done when the venue has shown that they ended."""
        refusal = self._epoch_refusal(epoch)
        if refusal is None and symbol is not None and symbol not in self.mirror.directory.instruments:
            refusal = Rejected(RejectCode.UNKNOWN_SYMBOL, symbol[:40], True)
        if refusal is not None:
            return refusal
        before = await self._open_now(symbol)
        if symbol is not None and not before:
            return CancelledAll(())
        if symbol is not None and isinstance(before, Incomplete):
            return Uncertain(f"open orders: {before.reason}", time.time_ns())
        return await self._cancel_all_now(symbol, before, epoch)

    async def _cancel_all_now(
        self, symbol: str | None, before: list[OrderState] | Incomplete, epoch: int
    ) -> CancelAllResult:
        await self._admitted(Priority.P0, [CancelAll(symbol)], "")
        sent_ns = time.time_ns()
        verdict = await self._send_cancel_all(symbol, before, epoch, sent_ns)
        if isinstance(verdict, Rejected | Uncertain):
            return verdict
        if isinstance(before, Incomplete):
            return Uncertain(f"cancelled, but open orders before were unknown: {before.reason}", sent_ns)
        return await self._all_ended(before, sent_ns)

    async def _open_now(self, symbol: str | None) -> list[OrderState] | Incomplete:
        """Open orders: of the mirror while it is proven complete, else of the venue."""
        if self.socket.link.live and not self.socket.problems and not self.doubtful:
            return self.mirror.open(symbol)
        found = await self.open_orders(symbol)
        if isinstance(found, list):
            for state in found:
                self.mirror.apply(state)
        return found

    async def _send_cancel_all(
        self, symbol: str | None, before: list[OrderState] | Incomplete, epoch: int, sent_ns: int
    ) -> MethodAnswer | CountResult | Rejected | Uncertain | None:
        over_socket = self.socket.link.can_send
        if symbol is None and not over_socket:
            return await self.rest.change("CancelAll", CountResult, [], epoch=epoch)
        if symbol is None:
            answer = await self.socket.call(
                "cancel_all", lambda token: {"token": token}, self.options.answer_timeout_s, epoch
            )
            return self._verdict(answer, sent_ns)
        assert isinstance(before, list)
        verdict: MethodAnswer | CountResult | Rejected | Uncertain | None = None
        size = int(facts_of(__package__)["batch_cancel"].value)
        for start in range(0, len(before), size):
            ids = [one.venue_id for one in before[start : start + size]]
            if over_socket:
                answer = await self.socket.call(
                    "batch_cancel",
                    lambda token, ids=ids: {"orders": ids, "token": token},  # type: ignore[misc]
                    self.options.answer_timeout_s,
                    epoch,
                )
                verdict = self._verdict(answer, sent_ns, symbol)
            else:
                fields = [(f"orders[{number}]", one) for number, one in enumerate(ids)]
                verdict = await self.rest.change("CancelOrderBatch", CountResult, fields, epoch=epoch)
            if isinstance(verdict, Rejected | Uncertain):
                return verdict
        return verdict

    async def _all_ended(self, before: list[OrderState], sent_ns: int) -> CancelAllResult:
        def states() -> list[OrderState | None]:
            return [self.mirror.get(one.venue_id) for one in before]

        def ended() -> bool:
            return all(one is not None and one.phase in FINAL_PHASES for one in states())

        if not (self.socket.link.can_send and await self._until(ended)):
            answer = await self.history.query([one.venue_id for one in before])
            if isinstance(answer, Failed):
                return Uncertain(f"cancelled, not verified: {answer.reason}", sent_ns)
            for state in answer.rows.values():
                self.mirror.apply(state)
        if not ended():
            return Uncertain("cancelled, but some orders have not ended yet", sent_ns)
        self.doubtful.clear()
        return CancelledAll(
            tuple(
                one.client_id or one.venue_id
                for one in states()
                if one is not None and one.phase is not OrderPhase.FILLED
            )
        )

    # ---- the timer (T8.1) --------------------------------------------------------------------------------

    async def cancel_after(self, seconds: int, epoch: int) -> CancelAfterResult:
        """Arm, refresh or (0) disarm the venue's cancel-all timer. It is of the whole account."""
        refusal = self._epoch_refusal(epoch)
        if refusal is not None:
            return refusal
        low, high = CANCEL_AFTER_RANGE_S
        if seconds and not low <= seconds <= high:
            return Rejected(
                RejectCode.INVALID_SWITCH_WINDOW, f"{seconds} s is outside {low}..{high}", True, low, high
            )
        sent_ns = time.time_ns()
        result: TimerResult | Rejected | Uncertain
        if self.socket.link.can_send:
            answer = await self.socket.call(
                "cancel_all_orders_after",
                lambda token: {"timeout": seconds, "token": token},
                self.options.answer_timeout_s,
                epoch,
            )
            verdict = self._verdict(answer, sent_ns)
            result = _timer(verdict, sent_ns) if isinstance(verdict, MethodAnswer) else verdict
        else:
            fields = [("timeout", str(seconds))]
            result = await self.rest.change("CancelAllOrdersAfter", TimerResult, fields, epoch=epoch)
        if not isinstance(result, TimerResult):
            return result
        if not seconds:
            return Disarmed()
        try:
            return Armed(rfc3339_ns(result.trigger_time))
        except DecodeError:
            return Uncertain(f"the timer was answered with {result.trigger_time[:40]!r}", sent_ns)

    # ---- parts -------------------------------------------------------------------------------------------

    def _deadline_ns(self) -> int:
        return self.socket.clock.venue_ns() + int(self.options.deadline_s * NS)

    async def _present(self, reference: OrderRef) -> OrderState | Rejected | Uncertain:
        """The order as it is now: of the mirror when nothing speaks against it, else asked for."""
        known = self.mirror.find(reference.client_id)
        if known is not None and reference.client_id not in self.doubtful:
            return known
        if not encode.valid_client_id(reference.client_id):
            return Rejected(RejectCode.UNKNOWN_ORDER, "no order has such a client id", False)
        answer = await self.look(reference)
        if isinstance(answer, Found):
            return answer.state
        if isinstance(answer, NotFound):
            return Rejected(RejectCode.UNKNOWN_ORDER, reference.client_id, False)
        return answer

    def _doubt(self, client_id: str) -> None:
        if len(self.doubtful) < MAX_DOUBTFUL:
            self.doubtful.add(client_id)

    async def _until(self, condition: Callable[[], bool]) -> bool:
        """Wait for events until a condition holds, at most `verify_timeout_s`."""
        try:
            async with asyncio.timeout(self.options.verify_timeout_s):
                while not condition():
                    self.pulse.clear()
                    await self.pulse.wait()
        except TimeoutError:
            return condition()
        return True


def _time_of(answer: MethodAnswer, otherwise_ns: int) -> int:
    try:
        return rfc3339_ns(answer.time_out) if answer.time_out else otherwise_ns
    except DecodeError:
        return otherwise_ns


def _timer(answer: MethodAnswer, sent_ns: int) -> TimerResult | Uncertain:
    try:
        return msgspec.json.decode(answer.result, type=TimerResult)
    except UNREADABLE as error:
        return Uncertain(f"timer: {error}"[:200], sent_ns)
