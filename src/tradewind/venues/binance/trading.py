"""Orders at Binance: submit, cancel and cancel-all, each to a typed result (T7.5 to T7.7).

Orders travel over REST with a receive window of 3 s as their acceptance horizon.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING

import msgspec

from tradewind.venues.binance import encode
from tradewind.venues.binance.history import Absent, History, Orders
from tradewind.venues.binance.private_messages import (
    CancelledRow,
    OrderRow,
)
from tradewind.venues.binance.refusals import FILTER, MAX_RAW_CHARS, REREAD_CODES, of_failure
from tradewind.venues.binance.rest import BinanceRest, Failed, Replied
from tradewind.venues.binance.rows import order_state
from tradewind.venues.codes import RejectCode
from tradewind.venues.feeds.decoding import UNREADABLE
from tradewind.venues.limits import Priority
from tradewind.venues.limits.binance import Call
from tradewind.venues.market_data import Instrument
from tradewind.venues.paper.filters import OrderContext
from tradewind.venues.protocol import (
    FINAL_PHASES,
    Acked,
    AlreadyFinal,
    CancelAllResult,
    CancelledAll,
    ChangeResult,
    NewOrder,
    OrderRef,
    OrderState,
    OrderType,
    Rejected,
    SubmitResult,
    TimeInForce,
    Uncertain,
    VenueState,
)
from tradewind.venues.transport.account_mirror import Unmapped

if TYPE_CHECKING:
    from tradewind.venues.binance.account import Mirror

MAX_REMEMBERED_SENDS = 10_000
NO_CONTEXT = OrderContext(reference_price=None, open_orders=0, position=0)  # type: ignore[arg-type]


class Trading:
    """The changing half of the connector. `BinanceVenue` fills in the attributes."""

    rest: BinanceRest
    mirror: Mirror
    history: History
    sends: OrderedDict[str, int]
    """Client id -> venue's time of its latest submit, in ns."""
    doubtful: set[str]
    """Client ids with a submit whose effect is not known."""
    answer_timeout_s: float
    horizon_ns: int
    _changing: dict[str, asyncio.Lock]

    @property
    def live(self) -> bool:
        """Whether private events are proven."""
        raise NotImplementedError

    def filter_refused(self) -> None:
        """A refusal says that our rules may be old."""
        raise NotImplementedError

    async def reread_rules(self) -> None:
        """Read the venue's rules again and wait for them, not longer than `REREAD_WITHIN_S`."""
        raise NotImplementedError

    # ---- what every change has to pass -------------------------------------------------------------------

    def _stale(self, epoch: int) -> Rejected | None:
        if epoch < self.rest.epoch:
            return Rejected(
                RejectCode.STALE_EPOCH, f"epoch {epoch}, {self.rest.epoch} was seen", preventable=True
            )
        self.rest.epoch = epoch
        return None

    def _instrument(self, symbol: str) -> Instrument | Rejected:
        one = self.mirror.directory.instruments.get(symbol)
        if one is None:
            return Rejected(RejectCode.UNKNOWN_SYMBOL, f"no symbol {symbol[:40]!r}", preventable=True)
        return one

    def _judged(self, answer: Replied) -> Rejected | Uncertain:
        judged = self.rest.judged(answer)
        if isinstance(judged, Rejected) and judged.code in REREAD_CODES:
            self.filter_refused()
        return judged

    def _may_risk(self, symbol: str) -> Rejected | None:
        """Whether anything new may be risked in a symbol now."""
        directory = self.mirror.directory
        state = directory.states.get(symbol, VenueState.UNKNOWN)
        if state is VenueState.CANCEL_ONLY:
            return Rejected(RejectCode.CANCEL_ONLY, "the symbol only takes cancels", preventable=False)
        if state is not VenueState.ONLINE:
            word = directory.instruments[symbol].status
            return Rejected(RejectCode.SYMBOL_CLOSED, f"the symbol is {word[:40]}", preventable=True)
        if directory.rules[symbol].no_new_risk:
            return Rejected(RejectCode.SYMBOL_CLOSED, directory.rules[symbol].no_new_risk, preventable=True)
        if not self.live:
            return Rejected(RejectCode.NOT_LIVE, "private events are not live", preventable=False)
        if not self.rest.clock.new_risk_allowed:
            return Rejected(RejectCode.NOT_LIVE, f"the clock is {self.rest.clock.verdict()}", False)
        return None

    def _check(self, order: NewOrder, instrument: Instrument) -> Rejected | None:
        """Our own look at an order (T2.5)."""
        if order.price_ticks <= 0 or order.lots <= 0:
            return Rejected(
                RejectCode.BAD_NUMBER, f"price {order.price_ticks} ticks, {order.lots} lots", preventable=True
            )
        rules = self.mirror.directory.rules[instrument.symbol]
        if order.post_only and (
            not rules.post_only
            or order.time_in_force is not TimeInForce.GTC
            or order.order_type is OrderType.MARKET
        ):
            return Rejected(RejectCode.TYPE_UNSUPPORTED, "post-only orders rest", preventable=True)
        context = msgspec.structs.replace(
            NO_CONTEXT, open_orders=len(self.mirror.open(instrument.symbol)), position=instrument.lot * 0
        )
        failures = rules.failures(order, context)
        return of_failure(failures[0], instrument) if failures else None

    # ---- submit ------------------------------------------------------------------------------------------

    async def submit(self, order: NewOrder, epoch: int) -> SubmitResult:
        """Send one order. `Acked` once the venue named it."""
        refusal = self._stale(epoch)
        if refusal is not None:
            return refusal
        instrument = self._instrument(order.symbol)
        if isinstance(instrument, Rejected):
            return instrument
        taken = self._taken(order.client_id)
        if taken is not None:
            return taken
        refusal = self._check(order, instrument) or self._may_risk(order.symbol)
        if refusal is not None:
            return refusal
        result = await self._send_order(order, self._fields(order, instrument), epoch, Priority.P3)
        return await self._explained(order, result) if isinstance(result, Rejected) else result

    def _fields(self, order: NewOrder, instrument: Instrument) -> encode.Fields:
        """Parameters of a new order."""
        return encode.new_order(order, instrument)

    def _old_rules(self, refusal: Rejected) -> bool:
        """Whether a refusal says that our copy of the rules, which passed the order, is old."""
        return FILTER in refusal.raw

    async def _explained(self, order: NewOrder, refusal: Rejected) -> Rejected:
        """A filter's refusal with the nearest valid values, by rules that are read anew: ours passed the
        order, so they were old (T2.3, T2.6).
        """
        if not self._old_rules(refusal):
            return refusal
        await self.reread_rules()
        instrument = self._instrument(order.symbol)
        if isinstance(instrument, Rejected):
            return instrument
        found = self._check(order, instrument)
        if found is None:
            return refusal
        return msgspec.structs.replace(found, raw=f"{refusal.raw}; {found.raw}"[:MAX_RAW_CHARS])

    def _taken(self, client_id: str) -> Rejected | Uncertain | None:
        """Whether a client id cannot be used (again)."""
        if not encode.valid_client_id(client_id):
            return Rejected(
                RejectCode.BAD_CLIENT_ID, "1 to 36 characters of . A-Z : / a-z 0-9 _ -", preventable=True
            )
        if self.mirror.find(client_id) is not None:
            return Rejected(
                RejectCode.DUPLICATE_CLIENT_ID, "the venue has an order of this client id", preventable=True
            )
        if client_id in self.doubtful:
            return Uncertain("an earlier submit of this client id is undecided", self.sends[client_id])
        return None

    async def _send_order(
        self, order: NewOrder, fields: encode.Fields, epoch: int, cls: Priority, carried: int = 0
    ) -> SubmitResult:
        cost = Call(
            weight=self.history.weight("new_order"), orders=1, symbol=order.symbol, placed=(order.client_id,)
        )
        self._remember(order.client_id)
        answer = await self.rest.change(
            "POST",
            "order",
            OrderRow,
            fields,
            epoch=epoch,
            cls=cls,
            cost=cost,
            timeout_s=self.answer_timeout_s,
        )
        self._remember(order.client_id)
        return self._placed(order, self._judged(answer) if isinstance(answer, Replied) else answer, carried)

    def _placed(self, order: NewOrder, answer: OrderRow | Rejected | Uncertain, carried: int) -> SubmitResult:
        """What the venue said about a new order, or a new leg of one."""
        if isinstance(answer, OrderRow):
            self.doubtful.discard(order.client_id)
            try:
                state = order_state(answer, self.mirror.directory)
            except Unmapped as error:
                self.doubtful.add(order.client_id)
                return Uncertain(str(error), self.sends[order.client_id])
            # the answer of a submit does not repeat the tag of a continued order on every venue build
            if carried and state.lots < order.lots:
                state = msgspec.structs.replace(
                    state, lots=state.lots + carried, filled_lots=state.filled_lots + carried
                )
            self.mirror.acknowledged(state, carried)
            return Acked(state.venue_id)
        if isinstance(answer, Uncertain):
            self.doubtful.add(order.client_id)
            return answer
        if not carried and self.mirror.find(order.client_id) is None:
            self.rest.limits.gone(order.client_id)
        return answer

    def _remember(self, client_id: str) -> None:
        """The latest moment at which a submit of this id may have left."""
        self.sends[client_id] = self.rest.clock.venue_ns()
        self.sends.move_to_end(client_id)
        if len(self.sends) > MAX_REMEMBERED_SENDS:
            oldest, _ = self.sends.popitem(last=False)
            self.doubtful.discard(oldest)

    # ---- cancel ------------------------------------------------------------------------------------------

    async def cancel(self, reference: OrderRef, epoch: int) -> ChangeResult:
        """Cancel one order. `Acked` only when the venue says that it is cancelled."""
        refusal = self._stale(epoch)
        if refusal is not None:
            return refusal
        instrument = self._instrument(reference.symbol)
        if isinstance(instrument, Rejected):
            return instrument
        answer = await self._cancel_row(reference, instrument, epoch)
        if isinstance(answer, OrderState):
            if answer.phase not in FINAL_PHASES:
                return Uncertain(f"the cancel left the order {answer.phase}", self.rest.clock.venue_ns())
            if self._swap_undecided(reference.client_id, answer.venue_id):
                return Uncertain("what replaces it may still arrive", self.sends[reference.client_id])
            return Acked(answer.venue_id)
        return answer

    def _swap_undecided(self, client_id: str, venue_id: str) -> bool:
        """Whether a replacement of this leg may still come to the venue."""
        swap = self.mirror.replacing.get(client_id)
        return swap is not None and swap.venue_id == venue_id and client_id in self.doubtful

    async def _cancel_row(
        self, reference: OrderRef, instrument: Instrument, epoch: int
    ) -> OrderState | Rejected | Uncertain | AlreadyFinal:
        """The order as the cancel left it."""
        which = self._which(reference)
        if isinstance(which, Rejected):
            return which
        answer = await self.rest.change(
            "DELETE", "order", OrderRow, [("symbol", instrument.venue_symbol), which], epoch=epoch,
            cls=Priority.P0, cost=Call(weight=self.history.weight("cancel")), timeout_s=self.answer_timeout_s,
        )  # fmt: skip
        if isinstance(answer, OrderRow):
            try:
                state = order_state(answer, self.mirror.directory)
            except Unmapped as error:
                return Uncertain(str(error), self.rest.clock.venue_ns())
            self.mirror.apply(state)
            return state
        if isinstance(answer, Replied):
            judged = self._judged(answer)
            if isinstance(judged, Rejected) and judged.code == RejectCode.UNKNOWN_ORDER:
                return await self._true_end(reference, judged)
            return judged
        return answer

    def _which(self, reference: OrderRef) -> tuple[str, str] | Rejected:
        """How the venue is told which order is meant: by our id, so that a replaced one is found too."""
        if encode.valid_client_id(reference.client_id):
            return ("origClientOrderId", reference.client_id)
        if reference.venue_id and reference.venue_id.isascii() and reference.venue_id.isdigit():
            return ("orderId", reference.venue_id)
        return Rejected(RejectCode.BAD_CLIENT_ID, "not an id that the venue could know", preventable=True)

    async def _true_end(self, reference: OrderRef, refusal: Rejected) -> Rejected | Uncertain | AlreadyFinal:
        """A change met "unknown order": the order has ended, or never was, and a query tells which (T7.7)."""
        answer = await self.history.order(reference.symbol, client_id=reference.client_id, cls=Priority.P0)
        if isinstance(answer, Failed):
            return Uncertain(answer.reason, self.rest.clock.venue_ns())
        if isinstance(answer, Absent):
            if reference.client_id in self.doubtful:
                return Uncertain("its submit is undecided", self.sends[reference.client_id])
            return refusal
        self.mirror.apply(answer)
        if self._swap_undecided(reference.client_id, answer.venue_id):
            return Uncertain("what replaces it may still arrive", self.sends[reference.client_id])
        if answer.phase in FINAL_PHASES:
            return AlreadyFinal(answer)
        return Uncertain(
            f"refused ({refusal.raw}), and the order is {answer.phase}", self.rest.clock.venue_ns()
        )

    async def cancel_all(self, symbol: str | None, epoch: int) -> CancelAllResult:
        """Cancel every working order, symbol by symbol, until the venue lists none."""
        refusal = self._stale(epoch)
        if refusal is not None:
            return refusal
        if symbol is not None:
            instrument = self._instrument(symbol)
            if isinstance(instrument, Rejected):
                return instrument
        symbols = await self._symbols_with_orders(symbol)
        cancelled: dict[str, None] = {}
        for one in symbols:
            answer = await self._cancel_symbol(one, epoch)
            if not isinstance(answer, list):
                return answer
            cancelled |= dict.fromkeys(answer)
        return CancelledAll(tuple(cancelled))

    async def _symbols_with_orders(self, symbol: str | None) -> list[str]:
        """Where to cancel: while private events are proven and nothing is in doubt, where they showed orders,
        and where we trade; the list of all symbols costs as much as eighty cancels. Else the venue is asked,
        and if it does not say, it is those symbols again.
        """
        if symbol is not None:
            return [symbol]
        known = [one.symbol for one in self.mirror.working.values()]
        if self.live and not self.doubtful:
            return list(dict.fromkeys([*known, *self.history.traded()]))
        answer = await self.history.open_orders(None, cls=Priority.P0)
        if isinstance(answer, Orders) and not answer.problems:
            known += [one.symbol for one in answer.rows.values()]
        else:
            known += self.history.traded()
        return list(dict.fromkeys(known))

    async def _cancel_symbol(self, symbol: str, epoch: int) -> list[str] | Rejected | Uncertain:
        name = self.mirror.directory.instruments[symbol].venue_symbol
        answer = await self.rest.change(
            "DELETE", "openOrders", list[msgspec.Raw], [("symbol", name)], epoch=epoch, cls=Priority.P0,
            cost=Call(weight=self.history.weight("cancel_all")), timeout_s=self.answer_timeout_s,
        )  # fmt: skip
        if isinstance(answer, Replied):
            judged = self._judged(answer)
            if isinstance(judged, Rejected) and judged.code == RejectCode.UNKNOWN_ORDER:
                return []
            return judged
        return self._ended_rows(answer) if isinstance(answer, list) else answer

    def _ended_rows(self, rows: list[msgspec.Raw]) -> list[str] | Uncertain:
        """Client ids of the orders that a cancel of everything ended."""
        ended: list[str] = []
        for raw in rows:
            for row in rows_of(raw):
                if row is None:
                    return Uncertain("a row of the answer cannot be read", self.rest.clock.venue_ns())
                try:
                    state = order_state(row, self.mirror.directory)
                except Unmapped as error:
                    return Uncertain(str(error), self.rest.clock.venue_ns())
                self.mirror.apply(state)
                if state.phase not in FINAL_PHASES:
                    return Uncertain(f"{state.client_id} is {state.phase}", self.rest.clock.venue_ns())
                ended.append(state.client_id)
        return ended


def rows_of(raw: msgspec.Raw) -> list[OrderRow | None]:
    """Orders of one row of a cancel of everything; None for what cannot be read."""
    try:
        pair = msgspec.json.decode(raw, type=CancelledRow)
        if pair.orderReports is not None:
            return list(pair.orderReports)
        return [msgspec.json.decode(raw, type=OrderRow)]
    except UNREADABLE:
        return [None]
