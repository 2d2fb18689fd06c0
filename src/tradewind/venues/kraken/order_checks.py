"""What is looked at before anything is sent to Kraken: epoch, link, key, clock, states, filters, the limiter.

A check that fails is a definite refusal of our own: nothing was sent.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence

import msgspec

from tradewind.venues.codes import RejectCode
from tradewind.venues.kraken import encode
from tradewind.venues.kraken.account import Mirror
from tradewind.venues.kraken.encode import TIMES_IN_FORCE
from tradewind.venues.kraken.private_socket import PrivateSocket
from tradewind.venues.kraken.rest import KrakenRest
from tradewind.venues.limits import Denied, Priority
from tradewind.venues.limits.kraken import Item
from tradewind.venues.market_data import Instrument
from tradewind.venues.paper.filters import OrderContext, Rules, check_order
from tradewind.venues.protocol import (
    FINAL_PHASES,
    NewOrder,
    OrderRef,
    OrderType,
    Rejected,
    VenueState,
)

NO_NEW_RISK = {
    VenueState.CANCEL_ONLY: RejectCode.CANCEL_ONLY,
    VenueState.MAINTENANCE: RejectCode.MAINTENANCE,
    VenueState.DELISTED: RejectCode.SYMBOL_CLOSED,
    VenueState.UNKNOWN: RejectCode.SYMBOL_CLOSED,
    VenueState.REDUCE_ONLY: RejectCode.REDUCE_ONLY,
}


class OrderChecks(ABC):
    """The checks in front of everything that the connector changes."""

    rest: KrakenRest
    mirror: Mirror
    socket: PrivateSocket

    def _epoch_refusal(self, epoch: int) -> Rejected | None:
        fence = self.rest.fence(epoch)
        if fence:
            return Rejected(RejectCode.STALE_EPOCH, f"{fence}: epoch {epoch} after {self.rest.epoch}", True)
        self.rest.epoch = epoch
        return None

    def _risk_refusal(self) -> Rejected | None:
        """Why nothing may be sent that adds risk (T6.1)."""
        link = self.socket.link
        if not link.live:
            return Rejected(RejectCode.NOT_LIVE, f"private link is {link.phase}: {link.reason}"[:200], False)
        if self.socket.problems:
            return Rejected(RejectCode.NOT_LIVE, f"unmapped: {self.socket.problems[0]}"[:200], False)
        lane = self.rest.lane
        if lane.quarantined:
            return Rejected(RejectCode.KEY_QUARANTINED, lane.quarantined, False)
        if not lane.new_risk_allowed:
            return Rejected(RejectCode.NOT_LIVE, "the lane allows no new risk", False)
        if not self.socket.clock.new_risk_allowed:
            return Rejected(RejectCode.NOT_LIVE, f"clock: {self.socket.clock.verdict()}", False)
        return None

    def _state_refusal(self, symbol: str, order: NewOrder | None) -> Rejected | None:
        """What system and pair accept now; a word we do not know accepts nothing (T2.7)."""
        for where, state in (
            ("venue", self.socket.system),
            (symbol, self.mirror.directory.states[symbol]),
        ):
            code = NO_NEW_RISK.get(state)
            if code is not None:
                return Rejected(code, f"{where} is {state}", False)
            if state is VenueState.POST_ONLY and order is not None and not order.post_only:
                return Rejected(RejectCode.POST_ONLY_MODE, f"{where} is {state}", False)
        return None

    def _filter_refusal(self, instrument: Instrument, order: NewOrder) -> Rejected | None:
        known = msgspec.structs.replace(instrument, status="online")
        rules = Rules(
            instrument=known, max_open_orders=self.rest.limits.max_open_orders,
            order_types=frozenset({OrderType.LIMIT, OrderType.MARKET}),
            times_in_force=frozenset(TIMES_IN_FORCE),
        )  # fmt: skip
        context = OrderContext(
            reference_price=None, open_orders=len(self.mirror.open(order.symbol)), position=instrument.lot * 0
        )
        failures = check_order(rules, order, context)
        if not failures:
            return None
        first = failures[0]
        step = instrument.lot if first.field in {"quantity", "notional"} else instrument.tick
        below, above = (
            None if value is None else int(value / step)
            for value in (first.nearest_below, first.nearest_above)
        )
        raw = f"{first.field} {first.given}, bound {first.bound}"
        return Rejected(first.code, raw, True, below, above)

    def _order_refusal(self, order: NewOrder) -> Rejected | None:
        instrument = self.mirror.directory.instruments.get(order.symbol)
        if instrument is None:
            return Rejected(RejectCode.UNKNOWN_SYMBOL, order.symbol[:40], True)
        if not encode.valid_client_id(order.client_id):
            return Rejected(RejectCode.BAD_CLIENT_ID, "at most 18 of 0-9A-Za-z- or a UUID", True)
        refusal = self._filter_refusal(instrument, order)
        if refusal is not None:
            return refusal
        known = self.mirror.find(order.client_id)
        if known is not None and known.phase not in FINAL_PHASES:
            return Rejected(RejectCode.DUPLICATE_CLIENT_ID, f"{known.venue_id} is working", True)
        return self._risk_refusal() or self._state_refusal(order.symbol, order)

    async def _admitted(self, cls: Priority, items: Sequence[Item], scope: str) -> Rejected | None:
        verdict = await self.rest.gate.acquire(cls, items, scope=scope)
        if isinstance(verdict, Denied):
            return Rejected(RejectCode.RATE_LIMITED_LOCAL, verdict.reason, False)
        return None

    def _change_refusal(self, reference: OrderRef, epoch: int) -> Rejected | None:
        refusal = self._epoch_refusal(epoch)
        if refusal is None and reference.symbol not in self.mirror.directory.instruments:
            return Rejected(RejectCode.UNKNOWN_SYMBOL, reference.symbol[:40], True)
        return refusal
