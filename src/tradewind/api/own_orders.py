"""Manual orders of the trader's account: the same risk, journal and order management as a strategy's
(T11.1).
"""

from __future__ import annotations

import asyncio
from typing import Final

from tradewind.api import requests as req
from tradewind.api.desk_base import Done
from tradewind.api.directory import NamedMarket
from tradewind.api.numbers import parse_price, parse_size
from tradewind.api.problems import ApiFailure, failure_of
from tradewind.core.errors import reject
from tradewind.core.units import MICRO, Scale
from tradewind.trader.orders import ManagedOrder, State
from tradewind.trader.risk.check import Denied
from tradewind.trader.service import TraderService
from tradewind.trader.session import Session
from tradewind.trader.strategy import AmendIntent, CancelIntent, PlaceIntent
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import CancelledAll, TimeInForce

ANSWER_DEADLINE_S: Final = 5.0
POLL_S: Final = 0.01
TIMES: Final = {"gtc": TimeInForce.GTC, "ioc": TimeInForce.IOC, "fok": TimeInForce.FOK}
_UNANSWERED: Final = frozenset({State.JOURNALED, State.SENT, State.AMEND_PENDING, State.CANCEL_PENDING})


class TraderDesk:
    """Places, changes and cancels through one trading session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def _trader(self) -> TraderService:
        return self._session.trader

    async def place(self, market: NamedMarket, order: req.PlaceOrder) -> Done:
        """A manual order. Raises `ApiFailure` RISK_DENIED with every limit that denied it."""
        if order.order_type != "limit" or order.time_in_force not in TIMES or order.sub != 0:
            message = "the trader's account takes limit orders gtc, ioc and fok on sub-account 0"
            raise ApiFailure(422, "INVALID_ORDER_TYPE", message, code=2110)
        if market.symbol not in self._session.venue.markets:
            raise ApiFailure(404, "MARKET_NOT_FOUND", f"the trader does not trade {market.symbol}", code=2201)
        intent = PlaceIntent(
            symbol=market.symbol,
            side=Side[order.side.upper()],
            price_ticks=parse_price(order.price, market.scale),
            lots=parse_size(order.quantity, market.scale),
            post_only=order.post_only,
            time_in_force=TIMES[order.time_in_force],
            tag="manual",
        )
        client_id = await self._submit(intent)
        managed = await self._answered(client_id)
        if managed.state is State.REJECTED:
            raise ApiFailure(422, "VENUE_REJECTED", managed.reason or "the venue refused the order")
        return self._done("PlaceOrder", managed)

    async def replace(self, order: int, request: req.ReplaceOrder) -> Done:
        """New price and total of a working order."""
        managed = self._find(order)
        scale = self._scale_of(managed)
        price = managed.price_ticks if request.price is None else parse_price(request.price, scale)
        lots = managed.lots if request.quantity is None else parse_size(request.quantity, scale)
        await self._submit(AmendIntent(client_id=managed.client_id, price_ticks=price, lots=lots))
        answered = await self._answered(managed.client_id)
        if (answered.price_ticks, answered.lots) != (price, lots):
            raise ApiFailure(409, "NOT_VERIFIED", f"the order stands at its old values: {answered.reason}")
        return self._done("ReplaceOrder", answered)

    async def cancel(self, order: int) -> Done:
        """Cancels one order; an order that ended meanwhile is told with its true state."""
        managed = self._find(order)
        await self._submit(CancelIntent(client_id=managed.client_id, reason="manual"))
        answered = await self._answered(managed.client_id)
        if not answered.is_terminal:
            raise ApiFailure(409, "NOT_VERIFIED", f"the order is {answered.state}: {answered.reason}")
        return self._done("CancelOrder", answered)

    async def cancel_all(self, market: NamedMarket | None, side: str | None) -> Done:
        """Cancels every order of the account; verified by reading the open orders back."""
        if side is not None:
            raise ApiFailure(
                422, "INVALID_ORDER_TYPE", "the trader's account cancels both sides together", code=2110
            )
        symbol = None if market is None else market.symbol
        async with self._session.lock:
            answer = await self._session.venue.cancel_all(symbol, self._trader.oms.identity.epoch)
        if not isinstance(answer, CancelledAll):
            raise ApiFailure(503, "NOT_VERIFIED", f"cancel-all: {answer}", retryable=True)
        left = await self._session.venue.open_orders(symbol)
        effect = {"cancelled": list(answer.client_ids), "left": [one.client_id for one in left]}
        return Done(command="CancelAll", value=len(answer.client_ids), effect=effect)

    async def _submit(self, intent: PlaceIntent | AmendIntent | CancelIntent) -> str:
        async with self._session.lock:
            denied, client_id = await self._trader.submit(intent)
        if denied:
            detail = "; ".join(_denial_text(one) for one in denied)
            raise ApiFailure(422, "RISK_DENIED", detail, codes=[str(one.code) for one in denied])
        if client_id is None:
            raise ApiFailure(409, "ORDER_NOT_OPEN", "the order is busy or has ended", code=2125)
        return client_id

    async def _answered(self, client_id: str) -> ManagedOrder:
        """The order once the venue has answered. Raises `ApiFailure` UNKNOWN_OUTCOME after the deadline."""
        async with asyncio.timeout(ANSWER_DEADLINE_S * 2):
            for _ in range(int(ANSWER_DEADLINE_S / POLL_S)):
                managed = self._trader.oms.get(client_id)
                if managed is not None and managed.state not in _UNANSWERED:
                    return managed
                await asyncio.sleep(POLL_S)
        raise ApiFailure(
            503, "UNKNOWN_OUTCOME", f"{client_id} is not answered yet; look at it again", retryable=True
        )

    def _find(self, order: int) -> ManagedOrder:
        for managed in self._trader.oms.working():
            if managed.venue_id == str(order):
                return managed
        raise failure_of(reject("ORDER_NOT_OPEN", given=order))

    def _scale_of(self, managed: ManagedOrder) -> Scale:
        instrument = self._trader.oms.instruments[managed.intent.symbol]
        return Scale(int(instrument.tick * MICRO), int(instrument.lot * MICRO))

    @staticmethod
    def _done(name: str, managed: ManagedOrder) -> Done:
        effect = {
            "client_id": managed.client_id,
            "state": str(managed.state),
            "filled_lots": managed.filled_lots,
            "lots": managed.lots,
        }
        return Done(command=name, value=int(managed.venue_id or 0), effect=effect)


def _denial_text(one: Denied) -> str:
    """`OrderNotionalLimit: 590 against 500 (L02)`."""
    known = one.given is not None and one.bound is not None
    values = f"{one.given:f} against {one.bound:f} " if known else ""
    return f"{one.code}: {values}{one.detail} ({one.limit})".replace("  ", " ")
