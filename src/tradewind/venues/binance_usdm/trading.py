"""What changes orders at USD-M otherwise than at spot: amends in place, the cancel of everything, the timer,
batches (T7.7, T8.1).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from tradewind.venues.binance import encode
from tradewind.venues.binance.amending import Amending
from tradewind.venues.binance.history import Absent, Orders
from tradewind.venues.binance.private_messages import OrderRow
from tradewind.venues.binance.refusals import REREAD_CODES
from tradewind.venues.binance.rest import Failed, Replied, error_of
from tradewind.venues.binance.rows import order_state
from tradewind.venues.binance_usdm.private_messages import Countdown, Done
from tradewind.venues.binance_usdm.wire import NOTHING_TO_CHANGE
from tradewind.venues.codes import RejectCode
from tradewind.venues.facts import facts_of
from tradewind.venues.feeds.decoding import UNREADABLE
from tradewind.venues.limits import Priority
from tradewind.venues.limits.binance import Call
from tradewind.venues.market_data import Instrument
from tradewind.venues.protocol import (
    FINAL_PHASES,
    Acked,
    AlreadyFinal,
    Armed,
    CancelAfterResult,
    ChangeResult,
    Disarmed,
    NewOrder,
    OrderPhase,
    OrderRef,
    OrderState,
    Rejected,
    SubmitResult,
    Uncertain,
    VenueState,
)
from tradewind.venues.transport.account_mirror import Unmapped

NS = 1_000_000_000
DONE = 200
ASKED_TOGETHER = 4
"""Questions about single orders under way at once."""
ENDED = frozenset({OrderPhase.CANCELLED, OrderPhase.EXPIRED})


class UsdmTrading(Amending):
    """The changing half of the USD-M connector."""

    timers: dict[str, int]
    """Symbols with an armed timer, and when each fires (venue's time, ns) unless it is armed again."""
    timer_s: int
    """Seconds of the timers that are wanted; 0: none."""
    changed: dict[str, tuple[int, int]]
    """Client ids of orders with a change whose effect is not known: the price and the lots that it wants."""

    def traded(self) -> list[str]:
        """Symbols that the account trades, as far as they are known."""
        raise NotImplementedError

    # ---- submit ------------------------------------------------------------------------------------------

    def _fields(self, order: NewOrder, instrument: Instrument) -> encode.Fields:
        return encode.futures_order(order, instrument)

    def _old_rules(self, refusal: Rejected) -> bool:
        return refusal.code in REREAD_CODES

    async def submit(self, order: NewOrder, epoch: int) -> SubmitResult:
        """Send one order. While the timer is wanted, none rests in a symbol without one."""
        refusal = await self._covered([order], epoch)
        return refusal or await super().submit(order, epoch)

    async def submit_batch(self, orders: Sequence[NewOrder], epoch: int) -> list[SubmitResult]:
        """Send up to `VenueCaps.max_batch_orders` orders in one request, each with a result of its own. The
        venue carries them out one by one: some may be refused while others rest.
        """
        if len(orders) > self._batch_size:
            text = f"{len(orders)} orders, at most {self._batch_size}"
            return [Rejected(RejectCode.INVALID_REQUEST, text, preventable=True)] * len(orders)
        covered = await self._covered(orders, epoch)
        if covered is not None:
            return [covered] * len(orders)
        results: list[SubmitResult | None] = []
        ids: set[str] = set()
        for order in orders:
            refused = self._refused(order, epoch)
            if refused is None and order.client_id in ids:
                refused = Rejected(RejectCode.DUPLICATE_CLIENT_ID, "twice in one batch", preventable=True)
            ids.add(order.client_id)
            results.append(refused)
        sent = [order for order, result in zip(orders, results, strict=True) if result is None]
        answers = iter(await self._send_batch(sent, epoch) if sent else [])
        return [next(answers) if result is None else result for result in results]

    @property
    def _batch_size(self) -> int:
        """The most orders of a batch, and what each batch counts as."""
        return int(facts_of(self.history.wire.facts)["batch_orders"].value)

    def _refused(self, order: NewOrder, epoch: int) -> Rejected | Uncertain | None:
        refusal = self._stale(epoch)
        if refusal is not None:
            return refusal
        instrument = self._instrument(order.symbol)
        if isinstance(instrument, Rejected):
            return instrument
        taken = self._taken(order.client_id)
        return taken or self._check(order, instrument) or self._may_risk(order.symbol)

    async def _send_batch(self, orders: list[NewOrder], epoch: int) -> list[SubmitResult]:
        instruments = self.mirror.directory.instruments
        rows = [dict(self._fields(one, instruments[one.symbol])) for one in orders]
        cost = Call(
            weight=self.history.weight("batch"), orders=self._batch_size, symbol=orders[0].symbol,
            placed=tuple(one.client_id for one in orders),
        )  # fmt: skip
        for one in orders:
            self._remember(one.client_id)
        fields = [("batchOrders", msgspec.json.encode(rows).decode())]
        answer = await self.rest.change(
            "POST", "batchOrders", list[msgspec.Raw], fields, epoch=epoch, cls=Priority.P3, cost=cost,
            timeout_s=self.answer_timeout_s,
        )  # fmt: skip
        for one in orders:
            self._remember(one.client_id)
        if isinstance(answer, list) and len(answer) == len(orders):
            return [self._placed(one, self._row(raw), 0) for one, raw in zip(orders, answer, strict=True)]
        if isinstance(answer, list):
            answer = Uncertain(f"{len(answer)} answers to {len(orders)} orders", self.rest.clock.venue_ns())
        judged = self._judged(answer) if isinstance(answer, Replied) else answer
        return [self._placed(one, judged, 0) for one in orders]

    def _row(self, raw: msgspec.Raw) -> OrderRow | Rejected | Uncertain:
        """One answer of a batch: an order, or an error."""
        error = error_of(bytes(raw))
        if error is not None:
            return self._judged(Replied(DONE, error))
        try:
            return msgspec.json.decode(raw, type=OrderRow)
        except UNREADABLE as problem:
            return Uncertain(str(problem)[:200], self.rest.clock.venue_ns())

    # ---- amend -------------------------------------------------------------------------------------------

    async def _present(self, reference: OrderRef) -> OrderState | Rejected | AlreadyFinal:
        if reference.client_id in self.changed:
            return Rejected(RejectCode.NOT_LIVE, "an earlier change of this order is undecided", False)
        return await super()._present(reference)

    def _check_leg(self, target: NewOrder, now: OrderState, instrument: Instrument) -> Rejected | None:
        return self._check(target, instrument)

    async def _carry_out(
        self, target: NewOrder, answer: OrderState, instrument: Instrument, epoch: int
    ) -> ChangeResult:
        """One call that keeps the number and the name of the order. The place in the queue stays for a
        smaller quantity alone.
        """
        if (target.price_ticks, target.lots) == (answer.price_ticks, answer.lots):
            return Acked(answer.venue_id)
        more = target.lots > answer.lots or target.price_ticks != answer.price_ticks
        refusal = self._may_risk(instrument.symbol) if more else None
        if refusal is not None:
            return refusal
        if answer.reason:
            return Rejected(RejectCode.TYPE_UNSUPPORTED, f"an order of type {answer.reason}", True)
        fields = [
            ("symbol", instrument.venue_symbol),
            ("orderId", answer.venue_id),
            ("side", encode.SIDES[answer.side]),
            ("quantity", encode.number(instrument.lot * target.lots)),
            ("price", encode.number(instrument.tick * target.price_ticks)),
        ]
        self._remember(target.client_id)
        row = await self.rest.change(
            "PUT", "order", OrderRow, fields, epoch=epoch, cls=Priority.P3 if more else Priority.P1,
            cost=Call(weight=self.history.weight("modify"), orders=1), timeout_s=self.answer_timeout_s,
        )  # fmt: skip
        self._remember(target.client_id)
        return await self._answered(target, row)

    def decided(self, state: OrderState) -> bool:
        """Whether this state of an order shows that no change of it is under way any more."""
        wanted = self.changed.get(state.client_id)
        if wanted is None or state.phase in FINAL_PHASES or wanted == (state.price_ticks, state.lots):
            self.changed.pop(state.client_id, None)
            return True
        return False

    async def _answered(
        self, target: NewOrder, answer: OrderRow | Replied | Rejected | Uncertain
    ) -> ChangeResult:
        client_id = target.client_id
        if isinstance(answer, OrderRow):
            try:
                state = order_state(answer, self.mirror.directory)
            except Unmapped as error:
                self.changed[client_id] = (target.price_ticks, target.lots)
                return Uncertain(str(error), self.sends[client_id])
            self.mirror.apply(state)
            # a change can end an order: a post-only one that would take, or a size that is filled already
            return AlreadyFinal(state) if state.phase in FINAL_PHASES else Acked(state.venue_id)
        if isinstance(answer, Replied):
            if answer.error.code == NOTHING_TO_CHANGE:
                known = self.mirror.find(client_id)
                return Acked(known.venue_id if known is not None else "")
            answer = self._judged(answer)
        if isinstance(answer, Uncertain):
            self.changed[client_id] = (target.price_ticks, target.lots)
            known = self.mirror.find(client_id)
            if known is not None and self.decided(known):  # its event came, and the answer did not
                return AlreadyFinal(known) if known.phase in FINAL_PHASES else Acked(known.venue_id)
        elif answer.code == RejectCode.UNKNOWN_ORDER:
            return await self._true_end(OrderRef(client_id=client_id, symbol=target.symbol), answer)
        return answer

    # ---- the cancel of everything ------------------------------------------------------------------------

    async def _cancel_symbol(self, symbol: str, epoch: int) -> list[str] | Rejected | Uncertain:
        """The venue's answer names no orders: what was open before is asked for behind it, one by one."""
        before = await self.history.open_orders(symbol, cls=Priority.P0)
        known = {one.venue_id: one for one in self.mirror.open(symbol)}
        if isinstance(before, Orders):
            known |= before.rows
        name = self.mirror.directory.instruments[symbol].venue_symbol
        answer = await self.rest.change(
            "DELETE", "allOpenOrders", Done, [("symbol", name)], epoch=epoch, cls=Priority.P0,
            cost=Call(weight=self.history.weight("cancel_all")), timeout_s=self.answer_timeout_s,
        )  # fmt: skip
        if isinstance(answer, Replied):
            return self._judged(answer)
        if not isinstance(answer, Done):
            return answer
        if answer.code != DONE:
            return Uncertain(f"{answer.code} {answer.msg}"[:200], self.rest.clock.venue_ns())
        if isinstance(before, Failed) or before.problems:
            reason = before.reason if isinstance(before, Failed) else before.problems[0]
            return Uncertain(f"what was open is not known: {reason}"[:200], self.rest.clock.venue_ns())
        return await self._all_ended(list(known.values()))

    async def _all_ended(self, orders: list[OrderState]) -> list[str] | Uncertain:
        """Client ids of those that were cancelled; others filled meanwhile. Uncertain when one still is."""
        together = asyncio.Semaphore(ASKED_TOGETHER)

        async def ask(one: OrderState) -> OrderState | Absent | Failed:
            async with together:
                return await self.history.order(one.symbol, venue_id=one.venue_id, cls=Priority.P0)

        answers = await asyncio.gather(*(ask(one) for one in orders))
        ended: list[str] = []
        for one, answer in zip(orders, answers, strict=True):
            if not isinstance(answer, OrderState):
                reason = answer.reason if isinstance(answer, Failed) else "it is not known"
                return Uncertain(f"order {one.venue_id}: {reason}"[:200], self.rest.clock.venue_ns())
            self.mirror.apply(answer)
            if answer.phase not in FINAL_PHASES:
                return Uncertain(f"{answer.client_id} is {answer.phase}", self.rest.clock.venue_ns())
            if answer.phase in ENDED:
                ended.append(answer.client_id)
        return ended

    # ---- the timer (T8.1) --------------------------------------------------------------------------------

    async def cancel_after(self, seconds: int, epoch: int) -> CancelAfterResult:
        """Arm the venue's timer of every traded symbol, or disarm those that are armed. It is one timer a
        symbol: while it is wanted, an order in another symbol arms that symbol's first.
        """
        refusal = self._stale(epoch)
        if refusal is not None:
            return refusal
        low, high = (int(one) for one in facts_of(self.history.wire.facts)["countdown_s"].value)
        if seconds != 0 and not low <= seconds <= high:
            return Rejected(
                RejectCode.INVALID_SWITCH_WINDOW, f"{seconds} s; 0, or {low} to {high}", preventable=True
            )
        symbols = dict.fromkeys([*self.timers, *(self.traded() if seconds else [])])
        if seconds and not symbols:
            # nothing can rest, but a timer also proves that order control works
            states = self.mirror.directory.states
            symbols = dict.fromkeys([one for one in states if states[one] is VenueState.ONLINE][:1])
        self.timer_s = seconds
        answers = await asyncio.gather(*(self._count_down(one, seconds, epoch) for one in symbols))
        for answer in answers:
            if isinstance(answer, Rejected | Uncertain):
                return answer
        if not seconds:
            return Disarmed()
        if not symbols:
            return Rejected(RejectCode.SYMBOL_CLOSED, "no symbol is open, so there is no timer", False)
        return Armed(min(self.timers[one] for one in symbols))

    async def _count_down(self, symbol: str, seconds: int, epoch: int) -> Rejected | Uncertain | None:
        name = self.mirror.directory.instruments[symbol].venue_symbol
        sent_ns = self.rest.clock.venue_ns()
        answer = await self.rest.change(
            "POST", "countdownCancelAll", Countdown,
            [("symbol", name), ("countdownTime", str(seconds * 1_000))],
            epoch=epoch, cls=Priority.P0, cost=Call(weight=self.history.weight("countdown")),
            timeout_s=self.answer_timeout_s,
        )  # fmt: skip
        if isinstance(answer, Replied):
            answer = self._judged(answer)
        if not isinstance(answer, Countdown):
            return answer
        if str(answer.countdownTime) != str(seconds * 1_000) or answer.symbol != name:
            return Uncertain(f"a timer of {answer.symbol} {answer.countdownTime} ms"[:200], sent_ns)
        if seconds:
            self.timers[symbol] = sent_ns + seconds * NS
        else:
            self.timers.pop(symbol, None)
        return None

    async def _covered(self, orders: Sequence[NewOrder], epoch: int) -> Rejected | None:
        """While the timer is wanted: arms it in symbols of these orders that have none."""
        if not self.timer_s or self._stale(epoch) is not None:
            return None
        listed, now_ns = self.mirror.directory.instruments, self.rest.clock.venue_ns()
        for symbol in dict.fromkeys(one.symbol for one in orders):
            if symbol not in listed or self.timers.get(symbol, 0) > now_ns:
                continue
            answer = await self._count_down(symbol, self.timer_s, epoch)
            if answer is not None:
                why = answer.raw if isinstance(answer, Rejected) else answer.reason
                return Rejected(RejectCode.NOT_LIVE, f"no timer in {symbol}: {why}"[:200], False)
        return None
