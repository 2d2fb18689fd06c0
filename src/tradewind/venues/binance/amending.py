"""Changed orders at Binance (T7.7).

A smaller quantity keeps the place in the queue (`amend/keepPriority`); every other change is a new order in
place of the old one. An untouched order is replaced in one call that the venue refuses once anything has
filled; a partly filled one is cancelled first, because only the answer of the cancel says how much is left.
"""

from __future__ import annotations

import asyncio

import msgspec

from tradewind.venues.binance import encode
from tradewind.venues.binance.history import Absent
from tradewind.venues.binance.private_messages import AmendAnswer, ErrorBody, OrderRow, ReplaceAnswer
from tradewind.venues.binance.refusals import REPLACE_FAILED, REPLACE_PARTIAL, refusal_of
from tradewind.venues.binance.rest import Failed, Replied, error_of
from tradewind.venues.binance.trading import Trading
from tradewind.venues.codes import RejectCode
from tradewind.venues.feeds.decoding import UNREADABLE
from tradewind.venues.limits import Priority
from tradewind.venues.limits.binance import Call
from tradewind.venues.market_data import Instrument
from tradewind.venues.protocol import (
    FINAL_PHASES,
    Acked,
    AlreadyFinal,
    ChangeResult,
    NewOrder,
    OrderPhase,
    OrderRef,
    OrderState,
    Rejected,
    TimeInForce,
    Uncertain,
)

SUCCESS = "SUCCESS"


class Amending(Trading):
    """Adds `amend`: everything but the way in which a market changes an order (`_carry_out`)."""

    async def amend(
        self, reference: OrderRef, epoch: int, *, lots: int | None = None, price_ticks: int | None = None
    ) -> ChangeResult:
        """Change price or total quantity (fills so far included). See the module for how."""
        refusal = self._stale(epoch)
        if refusal is not None:
            return refusal
        instrument = self._instrument(reference.symbol)
        if isinstance(instrument, Rejected):
            return instrument
        if not encode.valid_client_id(reference.client_id):
            return Rejected(RejectCode.BAD_CLIENT_ID, "not an id that the venue could know", preventable=True)
        lock = self._changing.setdefault(reference.client_id, asyncio.Lock())
        try:
            async with lock:
                return await self._amend(reference, instrument, epoch, lots, price_ticks)
        finally:
            if not lock.locked():
                self._changing.pop(reference.client_id, None)

    async def _amend(
        self, reference: OrderRef, instrument: Instrument, epoch: int, lots: int | None, price: int | None
    ) -> ChangeResult:
        answer = await self._present(reference)
        if not isinstance(answer, OrderState):
            return answer
        target = NewOrder(
            client_id=reference.client_id,
            symbol=reference.symbol,
            side=answer.side,
            time_in_force=TimeInForce.GTC,
            price_ticks=answer.price_ticks if price is None else price,
            lots=answer.lots if lots is None else lots,
        )
        if 0 < target.lots <= answer.filled_lots:
            return Rejected(
                RejectCode.AMEND_BELOW_FILLED, f"{answer.filled_lots} lots are filled", preventable=True
            )
        refusal = self._check_leg(target, answer, instrument)
        if refusal is not None:
            return refusal
        return await self._carry_out(target, answer, instrument, epoch)

    async def _present(self, reference: OrderRef) -> OrderState | Rejected | AlreadyFinal:
        """The order as it is at the venue; nothing that could change it was sent when this is a refusal."""
        if reference.client_id in self.mirror.replacing or reference.client_id in self.doubtful:
            return Rejected(RejectCode.NOT_LIVE, "an earlier change of this order is undecided", False)
        answer = await self.history.order(reference.symbol, client_id=reference.client_id, cls=Priority.P1)
        if isinstance(answer, Failed):
            return Rejected(RejectCode.NOT_LIVE, f"the order cannot be read: {answer.reason}"[:200], False)
        if isinstance(answer, Absent):
            return Rejected(RejectCode.UNKNOWN_ORDER, "the venue has no such order", preventable=False)
        self.mirror.apply(answer)
        return AlreadyFinal(answer) if answer.phase in FINAL_PHASES else answer

    async def _carry_out(
        self, target: NewOrder, answer: OrderState, instrument: Instrument, epoch: int
    ) -> ChangeResult:
        """Change the order, which is `answer` now, to `target`."""
        raise NotImplementedError

    def _check_leg(self, target: NewOrder, now: OrderState, instrument: Instrument) -> Rejected | None:
        """Our own look at what will rest: the part that is not filled."""
        if target.lots <= 0:
            return Rejected(RejectCode.BAD_NUMBER, f"{target.lots} lots", preventable=True)
        rest = msgspec.structs.replace(target, lots=target.lots - now.filled_lots)
        return self._check(rest, instrument)


class Replacing(Amending):
    """How spot does it."""

    async def _carry_out(
        self, target: NewOrder, answer: OrderState, instrument: Instrument, epoch: int
    ) -> ChangeResult:
        """The way that keeps most: nothing to do, the place in the queue, or a new order."""
        if (target.price_ticks, target.lots) == (answer.price_ticks, answer.lots):
            return Acked(answer.venue_id)
        rules = self.mirror.directory.rules[instrument.symbol]
        if rules.amend and target.price_ticks == answer.price_ticks and target.lots < answer.lots:
            return await self._keep_priority(target, answer, instrument, epoch)
        refusal = self._may_risk(instrument.symbol)
        if refusal is not None:
            return refusal
        if answer.reason:
            return Rejected(RejectCode.TYPE_UNSUPPORTED, f"an order of type {answer.reason}", True)
        return await self._replace(target, answer, instrument, epoch)

    async def _keep_priority(
        self, target: NewOrder, now: OrderState, instrument: Instrument, epoch: int
    ) -> ChangeResult:
        leg_lots = target.lots - self.mirror.carried(now.venue_id)
        fields = [
            ("symbol", instrument.venue_symbol),
            ("orderId", now.venue_id),
            ("newClientOrderId", target.client_id),
            ("newQty", encode.number(instrument.lot * leg_lots)),
        ]
        answer = await self.rest.change(
            "PUT", "order/amend/keepPriority", AmendAnswer, fields, epoch=epoch, cls=Priority.P1,
            cost=Call(weight=self.history.weight("amend")), timeout_s=self.answer_timeout_s,
        )  # fmt: skip
        if isinstance(answer, AmendAnswer):
            self.mirror.apply(
                msgspec.structs.replace(
                    now, lots=target.lots, updated_ns=max(now.updated_ns, answer.transactTime * 1_000_000)
                )
            )
            return Acked(str(answer.amendedOrder.orderId))
        if isinstance(answer, Replied):
            judged = self._judged(answer)
            if isinstance(judged, Rejected) and judged.code == RejectCode.UNKNOWN_ORDER:
                return await self._true_end(_reference(target), judged)
            return judged
        return answer

    # ---- a new order in place of an old one --------------------------------------------------------------

    async def _replace(
        self, target: NewOrder, now: OrderState, instrument: Instrument, epoch: int
    ) -> ChangeResult:
        """`ended` in the two-step way, or one call while nothing of this leg has filled."""
        client_id = target.client_id
        if not self.mirror.begin_replace(client_id, now.venue_id, self.rest.clock.venue_ns()):
            return Rejected(RejectCode.RATE_LIMITED_LOCAL, "too many changes are under way", False)
        decided = True
        try:
            carried = self.mirror.carried(now.venue_id)
            untouched = now.filled_lots == carried
            if untouched and self.mirror.directory.rules[instrument.symbol].replace:
                result = await self._in_one_call(target, now, instrument, epoch, carried)
            else:
                result = await self._in_two_steps(target, now, instrument, epoch)
            decided = not isinstance(result, Uncertain)
            return result
        finally:
            if decided:
                self.mirror.end_replace(client_id)

    async def _in_one_call(
        self, target: NewOrder, now: OrderState, instrument: Instrument, epoch: int, carried: int
    ) -> ChangeResult:
        fields = [
            *encode.new_order(target, instrument, lots=target.lots - carried, carried_lots=carried),
            ("cancelReplaceMode", "STOP_ON_FAILURE"),
            ("cancelOrderId", now.venue_id),
            ("cancelRestrictions", "ONLY_NEW"),
        ]
        self._remember(target.client_id)
        answer = await self.rest.change(
            "POST", "order/cancelReplace", ReplaceAnswer, fields, epoch=epoch, cls=Priority.P3,
            cost=Call(weight=self.history.weight("replace"), orders=1), timeout_s=self.answer_timeout_s,
        )  # fmt: skip
        self._remember(target.client_id)
        if isinstance(answer, Uncertain):
            self.doubtful.add(target.client_id)
        if isinstance(answer, Replied):
            if answer.error.code not in {REPLACE_PARTIAL, REPLACE_FAILED} or not bytes(answer.error.data):
                return self._undecided(target, self._judged(answer))
            try:
                legs = msgspec.json.decode(answer.error.data, type=ReplaceAnswer)
            except UNREADABLE as error:
                return self._undecided(target, Uncertain(str(error)[:200], self.sends[target.client_id]))
            return await self._legs(target, now, instrument, legs, carried)
        if isinstance(answer, ReplaceAnswer):
            return await self._legs(target, now, instrument, answer, carried)
        return answer

    def _undecided(self, target: NewOrder, result: Rejected | Uncertain) -> Rejected | Uncertain:
        if isinstance(result, Uncertain):
            self.doubtful.add(target.client_id)
        return result

    async def _legs(
        self, target: NewOrder, now: OrderState, instrument: Instrument, legs: ReplaceAnswer, carried: int
    ) -> ChangeResult:
        """Each leg by itself (T7.7)."""
        if legs.cancelResult != SUCCESS:
            error = error_of(bytes(legs.cancelResponse))
            refusal = refusal_of(error.code, error.msg) if error is not None else None
            if refusal is None or legs.newOrderResult == SUCCESS:
                return self._undecided(target, Uncertain("the cancel's leg is not clear", self._sent(target)))
            if refusal.code != RejectCode.UNKNOWN_ORDER:
                return refusal
            # filled meanwhile, in part or whole: the query tells which
            return await self._touched(target, refusal)
        if legs.newOrderResult == SUCCESS:
            try:
                row = msgspec.json.decode(legs.newOrderResponse, type=OrderRow)
            except UNREADABLE as problem:
                return self._undecided(target, Uncertain(str(problem)[:200], self._sent(target)))
            result = self._placed(target, row, carried)
            return result if isinstance(result, Acked | Uncertain) else self._ended(now, result.raw)
        error = error_of(bytes(legs.newOrderResponse))
        return self._after_cancel(target, now, error)

    def _sent(self, target: NewOrder) -> int:
        return self.sends[target.client_id]

    def _after_cancel(self, target: NewOrder, now: OrderState, error: ErrorBody | None) -> ChangeResult:
        """The old leg is gone; what happened to the new one."""
        refusal = refusal_of(error.code, error.msg) if error is not None else None
        if refusal is None:
            return self._undecided(target, Uncertain("the new order's leg is not clear", self._sent(target)))
        return self._ended(now, refusal.raw)

    def _ended(self, now: OrderState, reason: str) -> AlreadyFinal:
        """The order was cancelled and what should replace it was refused: it has ended."""
        swap = self.mirror.replacing.get(now.client_id)
        end = swap.end if swap is not None and swap.end is not None else now
        state = msgspec.structs.replace(
            end, phase=OrderPhase.CANCELLED, reason=f"replacement refused: {reason}"[:100]
        )
        if swap is not None:
            swap.end = state
        return AlreadyFinal(state)

    async def _touched(self, target: NewOrder, refusal: Rejected) -> ChangeResult:
        """The one-call way met an order with fills: say what it is now. The caller decides anew."""
        result = await self._true_end(_reference(target), refusal)
        if isinstance(result, Uncertain):
            # the venue refused to cancel, so the old leg is what it was; nothing new was tried
            return Rejected(RejectCode.VENUE_REJECTED, "filled in part meanwhile: ask again", False)
        return result

    async def _in_two_steps(
        self, target: NewOrder, now: OrderState, instrument: Instrument, epoch: int
    ) -> ChangeResult:
        """Cancel, then place exactly what is left."""
        ended = await self._cancel_row(_reference(target), instrument, epoch)
        if not isinstance(ended, OrderState):
            return ended
        if ended.phase not in FINAL_PHASES:
            return Uncertain(f"the cancel left the order {ended.phase}", self.rest.clock.venue_ns())
        left = target.lots - ended.filled_lots
        if ended.phase is not OrderPhase.CANCELLED or left <= 0:
            return AlreadyFinal(ended)
        refusal = self._check(msgspec.structs.replace(target, lots=left), instrument)
        if refusal is not None:
            return self._ended(ended, refusal.raw)
        fields = encode.new_order(target, instrument, lots=left, carried_lots=ended.filled_lots)
        result = await self._send_order(target, fields, epoch, Priority.P3, carried=ended.filled_lots)
        return self._ended(ended, result.raw) if isinstance(result, Rejected) else result


def _reference(order: NewOrder) -> OrderRef:
    return OrderRef(client_id=order.client_id, symbol=order.symbol)
