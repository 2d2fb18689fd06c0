"""Orders at a node: submit, amend, cancel and the timer, each to a typed result (T7.5 to T7.7, T8.1).

Every command carries the moment behind which the engine refuses it. Once the log is beyond that moment and
the node does not know the order, it never was one: silence is decidable without trusting any clock of ours.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from decimal import Decimal
from typing import Any, Final

import msgspec

from tradewind.venues.codes import RejectCode
from tradewind.venues.limits import Priority
from tradewind.venues.market_data import Instrument, Side
from tradewind.venues.native.directory import NativeRules
from tradewind.venues.native.messages import NS, Done, OrderAnswer, client_id_of, key_of
from tradewind.venues.native.mirror import Mirror
from tradewind.venues.native.options import SWITCH_S, NativeOptions
from tradewind.venues.native.rest import CANCEL, COMMAND, Failed, NativeRest
from tradewind.venues.paper.filters import FilterFailure, OrderContext, check_order
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
    NewOrder,
    NotFound,
    OrderRef,
    OrderState,
    OrderType,
    QueryResult,
    Rejected,
    SubmitResult,
    TimeInForce,
    Uncertain,
    VenueState,
)
from tradewind.venues.transport.account_mirror import Unmapped

MAX_SENT: Final = 100_000
LOOK_BACK_S: Final = 60
"""An id that this process never sent counts as absent if the node remembers so long before it came."""
MAX_LOTS: Final = 1 << 40
MAX_TICKS: Final = (1 << 31) - 1
ENDED: Final = frozenset({RejectCode.UNKNOWN_ORDER})
RULE_CODES: Final = frozenset(
    {
        RejectCode.OFF_TICK,
        RejectCode.OFF_LOT,
        RejectCode.BELOW_MIN_NOTIONAL,
        RejectCode.ABOVE_MAX_NOTIONAL,
        RejectCode.OUTSIDE_BAND,
        RejectCode.SYMBOL_CLOSED,
        RejectCode.CANCEL_ONLY,
        RejectCode.MAINTENANCE,
        RejectCode.UNKNOWN_SYMBOL,
    }
)
STATE_CODES: Final = {
    VenueState.CANCEL_ONLY: RejectCode.CANCEL_ONLY,
    VenueState.REDUCE_ONLY: RejectCode.CANCEL_ONLY,
    VenueState.MAINTENANCE: RejectCode.MAINTENANCE,
}


class Sent(msgspec.Struct, frozen=True):
    """One submit: when it left, and until when the engine could take it (the node's time)."""

    sent_ns: int
    until_ns: int


class Trading(ABC):
    """The changing half of the connector. `NativeVenue` fills in the attributes."""

    account: str
    options: NativeOptions
    rest: NativeRest
    mirror: Mirror
    opened_ns: int
    sent: OrderedDict[str, Sent]
    """Client id -> its latest submit; the oldest are forgotten."""
    numbers: OrderedDict[str, str]
    """Client id -> the node's number of an order that was acknowledged."""
    doubtful: set[str]
    """Client ids whose latest submit has no clear answer."""

    @abstractmethod
    def not_live(self) -> str:
        """Why nothing new may be risked; "" while everything is proven."""

    @abstractmethod
    def rules_doubted(self) -> None:
        """A refusal says that our rules of the markets may be old (T2.3)."""

    # ---- checks ------------------------------------------------------------------------------------------

    def _stale(self, epoch: int) -> Rejected | None:
        if epoch < self.rest.epoch:
            return Rejected(RejectCode.STALE_EPOCH, f"epoch {epoch} after {self.rest.epoch}", True)
        self.rest.epoch = epoch
        return None

    def _rules(self, symbol: str) -> NativeRules | Rejected:
        found = self.mirror.directory.by_symbol.get(symbol)
        return found or Rejected(RejectCode.UNKNOWN_SYMBOL, f"no market {symbol[:60]!r}", True)

    def _form(self, order: NewOrder, rules: NativeRules) -> Rejected | None:
        """Our own look at an order (T2.5)."""
        if not (0 < order.price_ticks <= MAX_TICKS and 0 < order.lots <= MAX_LOTS):
            return Rejected(RejectCode.BAD_NUMBER, f"{order.lots} lots at {order.price_ticks} ticks", True)
        immediate = order.time_in_force is not TimeInForce.GTC or order.order_type is OrderType.MARKET
        if order.post_only and immediate:
            return Rejected(RejectCode.TYPE_UNSUPPORTED, "post-only orders rest", True)
        context = OrderContext(
            reference_price=None, open_orders=len(self.mirror.open(order.symbol)), position=Decimal(0)
        )
        failures = check_order(rules.rules, order, context)
        return _of_failure(failures[0], rules.instrument) if failures else None

    def _may_risk(self, rules: NativeRules) -> Rejected | None:
        if rules.state is not VenueState.ONLINE:
            code = STATE_CODES.get(rules.state, RejectCode.SYMBOL_CLOSED)
            return Rejected(code, f"{rules.instrument.symbol} is {rules.state}", False)
        problem = self.not_live()
        if problem:
            return Rejected(RejectCode.NOT_LIVE, problem[:200], False)
        if self.rest.lane.quarantined:
            return Rejected(RejectCode.KEY_QUARANTINED, self.rest.lane.quarantined, False)
        return None

    # ---- submit ------------------------------------------------------------------------------------------

    async def submit(self, order: NewOrder, epoch: int) -> SubmitResult:
        """Send one order. An id that has or had an order is not sent again; one whose submit is undecided
        only once its absence is proven (T7.6).
        """
        order = msgspec.structs.replace(order, side=Side(order.side))
        refusal = self._stale(epoch)
        if refusal is not None:
            return refusal
        rules = self._rules(order.symbol)
        if isinstance(rules, Rejected):
            return rules
        try:
            key = key_of(order.client_id)
        except ValueError as error:
            return Rejected(RejectCode.BAD_CLIENT_ID, str(error), True)
        refusal = self._form(order, rules)
        if refusal is None:
            known = await self._known(order.client_id)
            if known is not None:
                return known
            refusal = self._may_risk(rules)
        return refusal or await self._send(order, key, rules, epoch)

    async def _known(self, client_id: str) -> SubmitResult | None:
        """The answer to an id that was used before; None: it may be sent."""
        taken = Rejected(RejectCode.DUPLICATE_CLIENT_ID, "the node has an order of this client id", True)
        if self.mirror.find(client_id) is not None or client_id in self.numbers:
            return taken
        if client_id not in self.doubtful:
            return None
        found = await self.query(OrderRef(client_id=client_id, symbol=""))
        if isinstance(found, Found):
            return Acked(found.state.venue_id)
        if isinstance(found, NotFound) and found.proven_absent:
            return None
        return Uncertain("an earlier submit of this client id is undecided", self.sent[client_id].sent_ns)

    async def _send(self, order: NewOrder, key: str, rules: NativeRules, epoch: int) -> SubmitResult:
        now_ns = self.rest.clock.venue_ns()
        until_ns = now_ns + int(self.options.valid_for_s * NS)
        if order.valid_until_ns:
            until_ns = min(until_ns, order.valid_until_ns)
        if until_ns <= now_ns:
            return Rejected(RejectCode.DEADLINE_PASSED, "the order's deadline has passed", False)
        self._remember(order.client_id, Sent(now_ns, until_ns))
        answer = await self.rest.change(
            "/orders",
            Done,
            self._body(order, key, rules.instrument, until_ns),
            epoch=epoch,
            cls=Priority.P3,
            window=COMMAND,
            timeout_s=self.options.answer_timeout_s,
        )
        if isinstance(answer, Done):
            self.doubtful.discard(order.client_id)
            self._name(order.client_id, str(answer.value))
            return Acked(str(answer.value))
        if isinstance(answer, Rejected):
            if answer.code in RULE_CODES:
                self.rules_doubted()
            if answer.code == RejectCode.DUPLICATE_CLIENT_ID:
                # Another command has this key now: whether it is this very order, a query tells.
                self.doubtful.add(order.client_id)
            else:
                self.doubtful.discard(order.client_id)
            return answer
        self.doubtful.add(order.client_id)
        return answer

    def _body(self, order: NewOrder, key: str, instrument: Instrument, until_ns: int) -> dict[str, Any]:
        """A market order goes as an immediate limit at its collar."""
        time_in_force = order.time_in_force
        if order.order_type is OrderType.MARKET and time_in_force is TimeInForce.GTC:
            time_in_force = TimeInForce.IOC
        return {
            "account": self.account,
            "sub": self.options.sub,
            "client_key": key,
            "valid_until_ns": until_ns,
            "market": instrument.venue_symbol,
            "side": order.side.name.lower(),
            "quantity": _text(instrument.lot * order.lots),
            "price": _text(instrument.tick * order.price_ticks),
            "order_type": "limit",
            "time_in_force": str(time_in_force),
            "post_only": order.post_only,
        }

    def _remember(self, client_id: str, sent: Sent) -> None:
        self.sent[client_id] = sent
        self.sent.move_to_end(client_id)
        if len(self.sent) > MAX_SENT:
            oldest, _ = self.sent.popitem(last=False)
            self.doubtful.discard(oldest)

    def _name(self, client_id: str, venue_id: str) -> None:
        self.numbers[client_id] = venue_id
        if len(self.numbers) > MAX_SENT:
            self.numbers.popitem(last=False)

    # ---- query -------------------------------------------------------------------------------------------

    async def query(self, reference: OrderRef) -> QueryResult:
        """One order by our id, as the node has it now."""
        try:
            key = key_of(reference.client_id)
        except ValueError:
            return NotFound(True)  # no order can have an id that no key can hold
        answer = await self.rest.read(f"/accounts/{self.account}/orders/{key}", OrderAnswer)
        if isinstance(answer, Failed):
            return Uncertain(answer.reason, time.time_ns())
        client_id = reference.client_id
        if answer.order is None:
            proven = self._is_absent(client_id, answer)
            if proven:
                self.doubtful.discard(client_id)
                self.numbers.pop(client_id, None)
            return NotFound(proven)
        try:
            state = self.mirror.state_of(answer.order)
        except (Unmapped, ArithmeticError) as error:
            return Uncertain(str(error)[:200], time.time_ns())
        self.doubtful.discard(client_id)
        self._name(client_id, state.venue_id)
        return Found(state)

    def _is_absent(self, client_id: str, answer: OrderAnswer) -> bool:
        """Whether an order that the node does not know will never be: the log is behind the last moment at
        which its command was valid, and the node remembers all orders since before it was sent.
        """
        sent = self.sent.get(client_id)
        horizon_ns, margin_ns = int(self.options.valid_for_s * NS), int(self.options.absence_margin_s * NS)
        if sent is not None:
            return answer.log_ns > sent.until_ns + margin_ns and answer.complete_since_ns < sent.sent_ns
        behind = answer.log_ns > self.opened_ns + horizon_ns + margin_ns
        return behind and answer.complete_since_ns < self.opened_ns - LOOK_BACK_S * NS

    # ---- amend and cancel --------------------------------------------------------------------------------

    async def amend(
        self, reference: OrderRef, epoch: int, *, lots: int | None = None, price_ticks: int | None = None
    ) -> ChangeResult:
        """New price or total quantity; the order keeps its id, and its place in the queue only when nothing
        but its quantity shrinks.
        """
        refusal = self._stale(epoch)
        if refusal is not None:
            return refusal
        state = await self._present(reference)
        if not isinstance(state, OrderState):
            return state
        if state.phase in FINAL_PHASES:
            return AlreadyFinal(state)
        rules = self._rules(state.symbol)
        refusal = rules if isinstance(rules, Rejected) else self._amendment(state, rules, lots, price_ticks)
        if isinstance(rules, Rejected) or refusal is not None:
            assert refusal is not None
            return refusal
        answer = await self._replace(state, rules.instrument, epoch, lots, price_ticks)
        return Acked(state.venue_id) if isinstance(answer, Done) else await self._judged(reference, answer)

    async def _replace(
        self, state: OrderState, instrument: Instrument, epoch: int, lots: int | None, price_ticks: int | None
    ) -> Done | Rejected | Uncertain:
        body: dict[str, Any] = {"account": self.account, "valid_until_ns": self._until_ns()}
        if price_ticks is not None:
            body["price"] = _text(instrument.tick * price_ticks)
        if lots is not None:
            body["quantity"] = _text(instrument.lot * lots)
        return await self.rest.change(
            f"/orders/{state.venue_id}/replace",
            Done,
            body,
            epoch=epoch,
            cls=self._class_of(state, lots, price_ticks),
            window=COMMAND,
            timeout_s=self.options.answer_timeout_s,
        )

    def _amendment(
        self, state: OrderState, rules: NativeRules, lots: int | None, price_ticks: int | None
    ) -> Rejected | None:
        if lots is None and price_ticks is None:
            return Rejected(RejectCode.INVALID_REQUEST, "neither a price nor a quantity", True)
        if lots is not None and 0 < lots <= state.filled_lots:
            text = f"{state.filled_lots} lots are filled"
            return Rejected(RejectCode.AMEND_BELOW_FILLED, text, True, nearest_above=state.filled_lots + 1)
        wanted = NewOrder(
            client_id=state.client_id,
            symbol=state.symbol,
            side=state.side,
            price_ticks=state.price_ticks if price_ticks is None else price_ticks,
            lots=state.lots if lots is None else lots,
        )
        refusal = self._form(wanted, rules)
        # The order is among those that are counted already.
        return None if refusal is not None and refusal.code == RejectCode.TOO_MANY_ORDERS else refusal

    @staticmethod
    def _class_of(state: OrderState, lots: int | None, price_ticks: int | None) -> Priority:
        shrinks = price_ticks in {None, state.price_ticks} and lots is not None and lots <= state.lots
        return Priority.P1 if shrinks else Priority.P3

    async def cancel(self, reference: OrderRef, epoch: int) -> ChangeResult:
        """Cancel one order. Acknowledged only when the engine has cancelled it."""
        refusal = self._stale(epoch)
        if refusal is not None:
            return refusal
        venue_id = self._number_of(reference)
        if venue_id is None:
            state = await self._present(reference)
            if not isinstance(state, OrderState):
                return state
            if state.phase in FINAL_PHASES:
                return AlreadyFinal(state)
            venue_id = state.venue_id
        answer = await self.rest.change(
            f"/orders/{venue_id}/cancel",
            Done,
            {"account": self.account, "valid_until_ns": self._until_ns()},
            epoch=epoch,
            cls=Priority.P0,
            window=CANCEL,
            timeout_s=self.options.answer_timeout_s,
        )
        if isinstance(answer, Done):
            return Acked(venue_id)
        return await self._judged(reference, answer)

    async def _judged(self, reference: OrderRef, answer: Rejected | Uncertain) -> ChangeResult:
        """A refusal because the order is over is answered with its end."""
        if isinstance(answer, Uncertain) or answer.code not in ENDED:
            return answer
        found = await self.query(reference)
        if isinstance(found, Found):
            if found.state.phase in FINAL_PHASES:
                return AlreadyFinal(found.state)
            return Uncertain(answer.raw, time.time_ns())
        if isinstance(found, NotFound) and not self._undecided(reference, found):
            return answer
        return Uncertain(answer.raw, time.time_ns())

    async def _present(self, reference: OrderRef) -> OrderState | Rejected | Uncertain:
        """The order now, or that there is none."""
        found = await self.query(reference)
        if isinstance(found, Found):
            return found.state
        if isinstance(found, NotFound) and not self._undecided(reference, found):
            return Rejected(RejectCode.UNKNOWN_ORDER, "the node does not know the order", False)
        why = found.reason if isinstance(found, Uncertain) else "the order may still arrive"
        return Uncertain(why, time.time_ns())

    def _undecided(self, reference: OrderRef, found: NotFound) -> bool:
        return not found.proven_absent and reference.client_id in self.sent

    def _number_of(self, reference: OrderRef) -> str | None:
        if reference.venue_id is not None and reference.venue_id.isdecimal():
            return reference.venue_id
        state = self.mirror.find(reference.client_id)
        return state.venue_id if state is not None else self.numbers.get(reference.client_id)

    def _until_ns(self) -> int:
        return self.rest.clock.venue_ns() + int(self.options.valid_for_s * NS)

    # ---- everything at once ------------------------------------------------------------------------------

    async def cancel_all(self, symbol: str | None, epoch: int) -> CancelAllResult:
        """Cancel every working order of the account, or those of one market: one command of the engine."""
        refusal = self._stale(epoch)
        if refusal is not None:
            return refusal
        body: dict[str, Any] = {"account": self.account, "valid_until_ns": self._until_ns()}
        if symbol is not None:
            rules = self._rules(symbol)
            if isinstance(rules, Rejected):
                return rules
            body["market"] = rules.instrument.venue_symbol
        answer = await self.rest.change(
            "/orders/cancel-all",
            Done,
            body,
            epoch=epoch,
            cls=Priority.P0,
            window=CANCEL,
            timeout_s=self.options.answer_timeout_s,
        )
        if not isinstance(answer, Done):
            return answer
        return CancelledAll(tuple(client_id_of(key) for key in answer.effect.cancelled))

    async def cancel_after(self, seconds: int, epoch: int) -> CancelAfterResult:
        """Arm, refresh (5 to 300 s) or disarm (0) the engine's cancel-on-silence."""
        refusal = self._stale(epoch)
        if refusal is not None:
            return refusal
        low, high = SWITCH_S
        if seconds != 0 and not low <= seconds <= high:
            text = f"{seconds} s is outside of {low} to {high} s"
            nearest = (high, None) if seconds > high else (None, low)
            return Rejected(RejectCode.INVALID_SWITCH_WINDOW, text, True, *nearest)
        answer = await self.rest.change(
            "/orders/cancel-after",
            Done,
            {"account": self.account, "seconds": seconds, "valid_until_ns": self._until_ns()},
            epoch=epoch,
            cls=Priority.P0,
            window=CANCEL,
            timeout_s=self.options.answer_timeout_s,
        )
        if not isinstance(answer, Done):
            return answer
        deadline_ns = answer.effect.deadline_ns
        if deadline_ns is None:
            return Disarmed() if seconds == 0 else Uncertain("no deadline was told", time.time_ns())
        return Armed(deadline_ns) if seconds else Uncertain("a deadline is still told", time.time_ns())


def _text(value: Decimal) -> str:
    return format(value, "f")


def _of_failure(failure: FilterFailure, instrument: Instrument) -> Rejected:
    """The first broken rule, with the nearest valid values in whole ticks or lots (T2.6)."""
    step = instrument.tick if failure.field == "price" else instrument.lot

    def steps(value: Decimal | None) -> int | None:
        return None if value is None else int(value / step)

    text = f"{failure.field} {failure.given}, rule {failure.bound}"[:200]
    return Rejected(failure.code, text, True, steps(failure.nearest_below), steps(failure.nearest_above))
