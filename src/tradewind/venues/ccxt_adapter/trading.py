"""Orders through ccxt: submit, cancel and cancel-all, each to a typed result that was read back (T7.5 to
T7.7).
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from tradewind.venues.ccxt_adapter.calls import Caller, Failed
from tradewind.venues.ccxt_adapter.history import Absent, History
from tradewind.venues.ccxt_adapter.options import CcxtOptions
from tradewind.venues.ccxt_adapter.profile import Profile
from tradewind.venues.codes import RejectCode
from tradewind.venues.limits import Priority
from tradewind.venues.market_data import Instrument, Side
from tradewind.venues.paper.filters import FilterFailure, OrderContext, Rules, check_order
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
    Incomplete,
    NewOrder,
    OrderPhase,
    OrderRef,
    OrderState,
    OrderType,
    Rejected,
    SubmitResult,
    TimeInForce,
    Uncertain,
    Unsupported,
    VenueState,
)
from tradewind.venues.transport.account_mirror import AccountMirror

NS: Final = 1_000_000_000
MAX_REMEMBERED_SENDS: Final = 10_000
MAX_RAW_CHARS: Final = 200
CANCEL_PAUSES_S: Final = (0.1, 0.5)
SIDES: Final = {Side.BUY: "buy", Side.SELL: "sell"}


def plain(value: Decimal) -> str:
    """A number with all of its digits and no exponent."""
    return format(value, "f")


def rejected(code: RejectCode, raw: str, preventable: bool = True) -> Rejected:
    """Our own refusal, in front of the venue."""
    return Rejected(code, raw[:MAX_RAW_CHARS], preventable)


class Trading:
    """The changing half of the connector. `CcxtVenue` fills in the attributes."""

    caller: Caller
    history: History
    mirror: AccountMirror
    options: CcxtOptions
    profile: Profile
    epoch: int
    sends: OrderedDict[str, int]
    """Client id -> moment of its latest submit, in ns."""
    doubtful: set[str]
    """Client ids with a submit whose effect is not known."""
    opened_ns: int

    @property
    def live(self) -> bool:
        """Whether private events are proven."""
        raise NotImplementedError

    @property
    def times_in_force(self) -> frozenset[TimeInForce]:
        """What ccxt says of the venue."""
        raise NotImplementedError

    async def listed(self, symbol: str | None, cls: Priority) -> list[OrderState] | Incomplete:
        """Every open order, held against what is known."""
        raise NotImplementedError

    def wake(self) -> None:
        """Something happened to the account: read it soon."""
        raise NotImplementedError

    # ---- what every change has to pass -------------------------------------------------------------------

    def _stale(self, epoch: int) -> Rejected | None:
        if epoch < self.epoch:
            return rejected(RejectCode.STALE_EPOCH, f"epoch {epoch}, {self.epoch} was seen")
        self.epoch = epoch
        return None

    def _instrument(self, symbol: str) -> Instrument | Rejected:
        one = self.history.directory.instruments.get(symbol)
        return one if one is not None else rejected(RejectCode.UNKNOWN_SYMBOL, f"no symbol {symbol[:40]!r}")

    def _check(self, order: NewOrder, instrument: Instrument) -> Rejected | None:
        """Our own look at an order (T2.5)."""
        if order.price_ticks <= 0 or order.lots <= 0:
            return rejected(RejectCode.BAD_NUMBER, f"price {order.price_ticks} ticks, {order.lots} lots")
        if order.post_only and (
            order.time_in_force is not TimeInForce.GTC or order.order_type is OrderType.MARKET
        ):
            return rejected(RejectCode.TYPE_UNSUPPORTED, "post-only orders rest")
        if order.post_only and not self.post_only:
            return rejected(RejectCode.TYPE_UNSUPPORTED, "ccxt has no post-only orders here")
        wanted = self.times_in_force
        market = order.order_type is OrderType.MARKET
        if market and TimeInForce.IOC not in wanted:
            return rejected(RejectCode.TYPE_UNSUPPORTED, "a market order needs IOC, for its collar")
        rules = Rules(instrument=instrument, times_in_force=wanted)
        context = OrderContext(
            reference_price=None, open_orders=len(self.mirror.open(instrument.symbol)), position=Decimal(0)
        )
        failures = check_order(rules, order, context)
        return _of_failure(failures[0], instrument) if failures else None

    @property
    def post_only(self) -> bool:
        """Whether ccxt has orders that never take."""
        raise NotImplementedError

    def _may_risk(self, symbol: str) -> Rejected | None:
        state = self.history.directory.states.get(symbol, VenueState.UNKNOWN)
        if state is not VenueState.ONLINE:
            return rejected(RejectCode.SYMBOL_CLOSED, f"the symbol is {state}")
        if not self.live:
            return rejected(RejectCode.NOT_LIVE, "private events are not live", preventable=False)
        return None

    def _taken(self, client_id: str) -> Rejected | Uncertain | None:
        if not self.profile.takes(client_id):
            return rejected(RejectCode.BAD_CLIENT_ID, f"not of the form {self.profile.client_id}")
        if client_id in self.doubtful:
            return Uncertain("an earlier submit of this client id is undecided", self.sends[client_id])
        if self.mirror.find(client_id) is not None:
            return rejected(RejectCode.DUPLICATE_CLIENT_ID, "the venue has an order of this client id")
        return None

    # ---- submit ------------------------------------------------------------------------------------------

    async def submit(self, order: NewOrder, epoch: int) -> SubmitResult:
        """Send one order. A market order goes out as a limit at its collar that is immediate or cancelled."""
        instrument = self._instrument(order.symbol)
        refusal = self._stale(epoch) or (instrument if isinstance(instrument, Rejected) else None)
        if refusal is not None:
            return refusal
        assert isinstance(instrument, Instrument)
        taken = self._taken(order.client_id)
        if taken is not None:
            return taken
        refusal = self._check(order, instrument) or self._may_risk(order.symbol)
        if refusal is not None:
            return refusal
        self._remember(order.client_id)
        self.doubtful.add(order.client_id)
        answer = await self.caller.call(
            "create_order",
            order.symbol,
            "limit",
            SIDES[order.side],
            plain(instrument.lot * order.lots),
            plain(instrument.tick * order.price_ticks),
            self._parameters(order),
            cls=Priority.P3,
        )
        self._remember(order.client_id)
        return self._placed(order, answer)

    def _parameters(self, order: NewOrder) -> dict[str, Any]:
        parameters: dict[str, Any] = {"clientOrderId": order.client_id}
        word = order.time_in_force
        if order.order_type is OrderType.MARKET and word is TimeInForce.GTC:
            word = TimeInForce.IOC
        if word is not TimeInForce.GTC:
            parameters["timeInForce"] = word.upper()
        if order.post_only:
            parameters["postOnly"] = True
        if self.profile.deadline and self.horizon_s is not None:
            parameters[self.profile.deadline] = _moment(time.time_ns() + int(self.horizon_s * NS))
        return parameters

    def _placed(self, order: NewOrder, answer: Any) -> SubmitResult:
        client_id = order.client_id
        if isinstance(answer, Failed):
            if answer.code is None:
                return Uncertain(answer.reason, self.sends[client_id])
            self.doubtful.discard(client_id)
            return Rejected(answer.code, answer.reason, answer.preventable)
        venue_id = answer.get("id") if isinstance(answer, dict) else None
        if not isinstance(venue_id, str) or not venue_id:
            return Uncertain("the answer names no order", self.sends[client_id])
        self.doubtful.discard(client_id)
        if self.mirror.get(venue_id) is None:
            self.mirror.apply(
                OrderState(
                    client_id=client_id, venue_id=venue_id, symbol=order.symbol, side=order.side,
                    phase=OrderPhase.WORKING, price_ticks=order.price_ticks, lots=order.lots, filled_lots=0,
                    updated_ns=self.sends[client_id],
                )
            )  # fmt: skip
        self.wake()
        return Acked(venue_id)

    def _remember(self, client_id: str) -> None:
        """The latest moment at which a submit of this id may have left."""
        self.sends[client_id] = time.time_ns()
        self.sends.move_to_end(client_id)
        if len(self.sends) > MAX_REMEMBERED_SENDS:
            oldest, _ = self.sends.popitem(last=False)
            self.doubtful.discard(oldest)

    # ---- absence (T7.6) ----------------------------------------------------------------------------------

    @property
    def horizon_s(self) -> float | None:
        """How long behind its submit an order may still appear; None: nobody knows."""
        return self.options.horizon_s if self.options.horizon_s is not None else self.profile.horizon_s

    def _past_horizon(self, client_id: str) -> bool:
        if self.horizon_s is None:
            return False
        late_s = self.horizon_s + self.options.absence_margin_s + self.options.clock_skew_s
        return time.time_ns() >= self.sends.get(client_id, self.opened_ns) + int(late_s * NS)

    async def locate(self, reference: OrderRef, cls: Priority) -> OrderState | Absent | Failed:
        """The order as the venue has it now, by whichever id it can be found."""
        known = self.mirror.find(reference.client_id)
        venue_id = known.venue_id if known is not None else reference.venue_id
        answer: OrderState | Absent | Failed = Absent()
        if venue_id and self.caller.has("fetchOrder"):
            answer = await self.history.order(reference.symbol, venue_id, cls)
        if isinstance(answer, Absent) and self.profile.takes(reference.client_id):
            sent_ns = self.sends.get(reference.client_id, 0)
            since_ms = max(0, sent_ns // 1_000_000 - 60_000) if sent_ns else 0
            answer = await self.history.by_client_id(reference.symbol, reference.client_id, since_ms, cls)
        if isinstance(answer, OrderState):
            if not answer.client_id and known is not None:
                answer = msgspec.structs.replace(answer, client_id=known.client_id)
            self.mirror.apply(answer)
            self.doubtful.discard(reference.client_id)
        return answer

    # ---- cancel ------------------------------------------------------------------------------------------

    async def amend(
        self, reference: OrderRef, epoch: int, *, lots: int | None = None, price_ticks: int | None = None
    ) -> ChangeResult:
        """Not here: what ccxt calls an edit is a cancel and a new order at many venues."""
        del reference, lots, price_ticks
        return self._stale(epoch) or rejected(
            RejectCode.TYPE_UNSUPPORTED, "ccxt has no change that is one step"
        )

    async def cancel(self, reference: OrderRef, epoch: int) -> ChangeResult:
        """Cancel one order. `Acked` once it was read back as cancelled."""
        instrument = self._instrument(reference.symbol)
        refusal = self._stale(epoch) or (instrument if isinstance(instrument, Rejected) else None)
        if refusal is not None:
            return refusal
        known = self.mirror.find(reference.client_id)
        venue_id = known.venue_id if known is not None else reference.venue_id
        if not venue_id:
            found = self._working(reference, await self.locate(reference, Priority.P0))
            if not isinstance(found, OrderState):
                return found
            venue_id = found.venue_id
        answer = await self.caller.call("cancel_order", venue_id, reference.symbol, {}, cls=Priority.P0)
        if isinstance(answer, Failed) and not answer.absent:
            return answer.as_change()
        state = await self._end_of(msgspec.structs.replace(reference, venue_id=venue_id))
        self.wake()
        judged = self._working(reference, state)
        if isinstance(judged, OrderState):
            return Uncertain(f"the cancel left the order {judged.phase}", time.time_ns())
        cancelled = isinstance(state, OrderState) and state.phase is OrderPhase.CANCELLED
        return Acked(venue_id) if cancelled and not isinstance(answer, Failed) else judged

    def _working(
        self, reference: OrderRef, found: OrderState | Absent | Failed
    ) -> OrderState | Rejected | Uncertain | AlreadyFinal:
        """The order when it works, else what a change of it answers."""
        if isinstance(found, Failed):
            return Uncertain(found.reason, found.sent_ns or time.time_ns())
        if isinstance(found, Absent):
            return self._unknown(reference)
        return AlreadyFinal(found) if found.phase in FINAL_PHASES else found

    async def _end_of(self, reference: OrderRef) -> OrderState | Absent | Failed:
        """How a cancelled order ended. Some venues answer a cancel before their lists show it."""
        for pause_s in CANCEL_PAUSES_S:
            state = await self.locate(reference, Priority.P0)
            if not isinstance(state, OrderState) or state.phase in FINAL_PHASES:
                return state
            await asyncio.sleep(pause_s)
        return await self.locate(reference, Priority.P0)

    def _unknown(self, reference: OrderRef) -> Rejected | Uncertain:
        if reference.client_id in self.doubtful:
            return Uncertain("its submit is undecided", self.sends[reference.client_id])
        return rejected(RejectCode.UNKNOWN_ORDER, "the venue has no such order", preventable=False)

    async def cancel_all(self, symbol: str | None, epoch: int) -> CancelAllResult:
        """Cancel every working order, one by one, until the venue lists none. What ccxt calls cancelling
        all is not used: some venues cancel the whole account where one symbol was named.
        """
        refusal = self._stale(epoch)
        if refusal is None and symbol is not None:
            instrument = self._instrument(symbol)
            refusal = instrument if isinstance(instrument, Rejected) else None
        if refusal is not None:
            return refusal
        ended: dict[str, None] = {}
        for attempt in range(2):
            listed = await self.listed(symbol, Priority.P0)
            if isinstance(listed, Incomplete):
                return Uncertain(listed.reason, time.time_ns())
            if not listed:
                return CancelledAll(tuple(ended))
            if attempt:
                break
            for state in listed:
                self.mirror.apply(state)
                reference = OrderRef(client_id=state.client_id, symbol=state.symbol, venue_id=state.venue_id)
                answer = await self.cancel(reference, epoch)
                if isinstance(answer, Acked):
                    ended[state.client_id] = None
                elif not isinstance(answer, AlreadyFinal):
                    return Uncertain(f"{state.venue_id}: {answer}"[:MAX_RAW_CHARS], time.time_ns())
        return Uncertain("orders are left", time.time_ns())

    async def cancel_after(self, seconds: int, epoch: int) -> CancelAfterResult:
        """The venue's timer, where it has one and its range is known."""
        refusal = self._stale(epoch)
        if refusal is not None:
            return refusal
        span = self.cancel_after_range_s
        if span is None:
            return Unsupported("a timer that cancels everything")
        if seconds != 0 and not span[0] <= seconds <= span[1]:
            return rejected(RejectCode.INVALID_SWITCH_WINDOW, f"{span[0]} to {span[1]} s, not {seconds}")
        sent_ns = time.time_ns()
        answer = await self.caller.call("cancel_all_orders_after", seconds * 1_000, cls=Priority.P0)
        if isinstance(answer, Failed):
            return answer.as_change()
        return Armed(sent_ns + seconds * NS) if seconds else Disarmed()

    @property
    def cancel_after_range_s(self) -> tuple[int, int] | None:
        """None where there is no timer, or nobody looked up what it takes."""
        return self.profile.cancel_after_s if self.caller.has("cancelAllOrdersAfter") else None


def _moment(ns: int) -> str:
    """RFC 3339 with milliseconds, rounded down."""
    at = datetime.fromtimestamp(ns // NS, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{ns // 1_000_000 % 1_000:03d}Z"


def _of_failure(failure: FilterFailure, instrument: Instrument) -> Rejected:
    """The first broken rule, with the nearest valid values in whole ticks or lots (T2.6)."""
    step = instrument.tick if failure.field == "price" else instrument.lot

    def steps(value: Decimal | None) -> int | None:
        return None if value is None else int(value / step)

    raw = f"{failure.field} {failure.given}, rule {failure.bound}"[:MAX_RAW_CHARS]
    return Rejected(failure.code, raw, True, steps(failure.nearest_below), steps(failure.nearest_above))
