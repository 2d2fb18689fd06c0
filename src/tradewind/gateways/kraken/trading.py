"""Placing, changing and cancelling: one implementation behind REST and WebSocket v2."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Sequence
from decimal import Decimal
from typing import Final, TypeVar

import msgspec

from tradewind.gateways.kraken import errors, ids
from tradewind.gateways.kraken.desk import Desk
from tradewind.gateways.kraken.errors import KrakenError, invalid, of_refusal, refusal_text
from tradewind.gateways.kraken.limits import Action, AddBatch, CancelAll, Engine
from tradewind.gateways.kraken.requests import price_ticks, size_lots
from tradewind.gateways.kraken.rows import LIMITED, PairFormat
from tradewind.gateways.model import Order, PlaceRequest, Refusal, Refused
from tradewind.node.errors import NodeStopped
from tradewind.venues.protocol import FINAL_PHASES, VenueState

MIN_BATCH: Final = 2
MAX_BATCH: Final = 15
MAX_CANCEL_BATCH: Final = 50
MIN_TIMEOUT_S: Final = 5
MAX_TIMEOUT_S: Final = 86_400
SHUT: Final = frozenset({VenueState.MAINTENANCE, VenueState.UNKNOWN})
CANCELS_ONLY: Final = frozenset({VenueState.CANCEL_ONLY, VenueState.REDUCE_ONLY, VenueState.DELISTED})

Answer = TypeVar("Answer")


class Placed(msgspec.Struct, frozen=True):
    """An order that was accepted; `order` is None for one that a fault plan lost."""

    txid: str
    order: Order | None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What to change about an order. None keeps the present value."""

    quantity: Decimal | None = None
    limit: Decimal | None = None
    trigger: Decimal | None = None
    display: Decimal | None = None
    post_only: bool | None = None


async def settled(answer: Awaitable[Answer]) -> Answer:
    """An answer of the exchange; when nobody knows what happened, the venue's error that says so."""
    try:
        return await answer
    except NodeStopped:
        raise KrakenError(errors.INTERNAL) from None


class Trading:
    """Changes on behalf of an account. Every method raises `KrakenError`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._exchange = desk.exchange

    # ---- placing ---------------------------------------------------------------------------------------

    async def place(
        self, account: str, request: PlaceRequest, *, validate: bool, lose: bool = False
    ) -> Placed | None:
        """The accepted order; None when it was only to be validated. `lose`: acknowledge and forget."""
        desk, now_ns = self._desk, self._desk.now_ns()
        if validate:
            refused = self._exchange.check(account, request)
            if refused is not None:
                raise KrakenError(self._text(request.symbol, refused))
            return None
        if lose:
            return Placed(ids.order_id(secrets.randbits(62) | 1 << 62), None)
        desk.watch(account)
        sent_as = desk.limits.name()
        desk.limits.engine(account, [Engine(action=Action.ADD, pair=request.symbol, order=sent_as)], now_ns)
        answer = await settled(self._exchange.place(account, request))
        return self._accepted(account, request.symbol, sent_as, answer)

    def _accepted(self, account: str, symbol: str, sent_as: str, answer: Order | Refused) -> Placed:
        limits = self._desk.limits
        if isinstance(answer, Refused):
            limits.gone(account, symbol, sent_as)
            raise KrakenError(self._text(symbol, answer))
        if answer.phase in FINAL_PHASES:
            limits.gone(account, symbol, sent_as)
        else:
            limits.working(account, symbol, answer.order_id, self._desk.now_ns(), sent_as)
        return Placed(ids.order_id(answer.order_id), answer)

    async def place_batch(
        self, account: str, requests: Sequence[PlaceRequest], *, validate: bool, lose: bool = False
    ) -> list[Placed | str | None]:
        """One answer an order: accepted, an error text, or None when only validated.

        The batch as a whole is refused when one of its orders could never be accepted.
        """
        if not MIN_BATCH <= len(requests) <= MAX_BATCH:
            raise invalid("orders")
        for request in requests:
            refused = self._exchange.check(account, request)
            if refused is not None and (validate or refused.refusal is not Refusal.INSUFFICIENT_FUNDS):
                raise KrakenError(self._text(request.symbol, refused))
        if validate:
            return [None] * len(requests)
        if lose:
            return [Placed(ids.order_id(secrets.randbits(62) | 1 << 62), None) for _ in requests]
        self._desk.watch(account)
        symbol = requests[0].symbol
        names = tuple(self._desk.limits.name() for _ in requests)
        self._desk.limits.engine(account, [AddBatch(pair=symbol, orders=names)], self._desk.now_ns())
        answers = await settled(self._exchange.place_many(account, list(requests)))
        results: list[Placed | str | None] = []
        for sent_as, answer in zip(names, answers, strict=True):
            if isinstance(answer, Refused):
                self._desk.limits.gone(account, symbol, sent_as)
                results.append(self._text(symbol, answer))
            else:
                results.append(self._accepted(account, symbol, sent_as, answer))
        return results

    def _text(self, symbol: str, refused: Refused) -> str:
        """The venue's text; what only a mode of the market forbids is said to be that."""
        limited = self._exchange.markets[symbol].state is VenueState.LIMIT_ONLY
        if refused.refusal is Refusal.UNSUPPORTED and limited:
            return errors.LIMIT_ONLY
        return refusal_text(refused)

    def _open_for(self, state: VenueState, *, cancelling: bool) -> None:
        """The venue answers nothing during maintenance, and changes no order when only cancels are taken."""
        if state in SHUT:
            raise KrakenError(errors.UNAVAILABLE)
        if state in CANCELS_ONLY and not cancelling:
            raise KrakenError(errors.CANCEL_ONLY)

    # ---- finding ---------------------------------------------------------------------------------------

    def find(self, account: str, txid: str, client_id: str) -> Order:
        """The order of an id of the venue or of the client; exactly one of the two is given."""
        if bool(txid) == bool(client_id):
            raise invalid("txid")
        if txid:
            found = self._exchange.order(account, order_id=self._desk.order_number(txid))
        else:
            found = self._exchange.order(account, client_id=client_id)
        if found is None:
            raise KrakenError(errors.UNKNOWN_ORDER)
        return found

    def find_by_tag(self, account: str, tag: int) -> list[Order]:
        """Working orders with a client's number."""
        return [one for one in self._exchange.orders(account, working=True, limit=10_000) if one.tag == tag]

    def find_working(self, account: str, txid: str, client_id: str) -> Order:
        """The same, which must still work."""
        order = self.find(account, txid, client_id)
        if order.phase in FINAL_PHASES:
            raise KrakenError(errors.UNKNOWN_ORDER)
        return order

    # ---- changing --------------------------------------------------------------------------------------

    async def amend(self, account: str, order: Order, change: Change) -> str:
        """The id of the amendment. A total at or below what is filled cancels the rest, as at the venue."""
        desk, pair = self._desk, self._desk.pair(order.symbol)
        self._open_for(pair.market.state, cancelling=False)
        if change.post_only and not order.post_only:
            raise invalid("post_only")  # only the engine itself could promise it
        if change.display is not None and change.display != pair.lot * order.display_lots:
            raise invalid("display_qty")
        lots = None if change.quantity is None else size_lots(pair, change.quantity, "order_qty")
        limit = None if change.limit is None else price_ticks(pair, change.limit)
        trigger = None if change.trigger is None else price_ticks(pair, change.trigger)
        if lots is None and limit is None and trigger is None:
            raise invalid()
        if limit is not None and order.kind not in LIMITED:
            raise invalid("limit_price")
        if lots is not None and lots <= order.filled_lots:
            await self.cancel(account, order)
            return ids.amendment_id(order.order_id, desk.now_ns())
        desk.watch(account)
        action = Engine(action=Action.AMEND, pair=order.symbol, order=str(order.order_id))
        desk.limits.engine(account, [action], desk.now_ns())
        answer = await settled(
            self._exchange.amend(account, order.order_id, price_ticks=limit, lots=lots, trigger_ticks=trigger)
        )
        if isinstance(answer, Refused):
            raise of_refusal(answer)
        now_ns = desk.now_ns()
        if answer.phase not in FINAL_PHASES:
            desk.limits.working(account, order.symbol, order.order_id, now_ns)
        return ids.amendment_id(order.order_id, now_ns)

    def edited(
        self, pair: PairFormat, order: Order, change: Change, tag: int, deadline_ns: int
    ) -> PlaceRequest:
        """The order that takes another one's place; what is filled of that counts against the new size."""
        total = order.lots if change.quantity is None else size_lots(pair, change.quantity, "volume")
        if total <= order.filled_lots:
            raise KrakenError(errors.INVALID_ORDER)
        if change.display is not None and not order.display_lots and change.display:
            raise invalid("displayvol")
        limit = order.price_ticks if change.limit is None else price_ticks(pair, change.limit)
        return PlaceRequest(
            symbol=order.symbol,
            side=order.side,
            kind=order.kind,
            time_in_force=order.time_in_force,
            post_only=order.post_only if change.post_only is None else change.post_only,
            reduce_only=order.reduce_only,
            price_ticks=limit if order.kind in LIMITED else 0,
            trigger_ticks=order.trigger_ticks
            if change.trigger is None
            else price_ticks(pair, change.trigger),
            lots=total - order.filled_lots,
            display_lots=order.display_lots
            if change.display is None
            else size_lots(pair, change.display, "displayvol"),
            tag=tag,
            expires_ns=order.expires_ns,
            valid_until_ns=deadline_ns,
        )

    async def edit(
        self, account: str, order: Order, request: PlaceRequest, *, validate: bool
    ) -> Placed | None:
        """Cancels and places anew. Filters are checked first; only funds can still refuse the new order."""
        desk = self._desk
        if order.client_id:
            raise invalid("cl_ord_id")  # the venue does not edit orders that have one
        refused = self._exchange.check(account, request)
        if refused is not None and refused.refusal is not Refusal.INSUFFICIENT_FUNDS:
            raise of_refusal(refused)
        if validate:
            return None
        desk.watch(account)
        sent_as = desk.limits.name()
        action = Engine(action=Action.EDIT, pair=order.symbol, order=str(order.order_id), replacement=sent_as)
        desk.limits.engine(account, [action], desk.now_ns())
        cancelled = await settled(self._exchange.cancel(account, order.order_id))
        if isinstance(cancelled, Refused):
            desk.limits.gone(account, order.symbol, sent_as)
            raise of_refusal(cancelled)
        answer = await settled(self._exchange.place(account, request))
        return self._accepted(account, order.symbol, sent_as, answer)

    # ---- cancelling ------------------------------------------------------------------------------------

    async def cancel(self, account: str, order: Order) -> Order:
        """The cancelled order."""
        desk = self._desk
        if order.phase in FINAL_PHASES:
            raise KrakenError(errors.UNKNOWN_ORDER)
        self._open_for(self._exchange.markets[order.symbol].state, cancelling=True)
        desk.watch(account)
        action = Engine(action=Action.CANCEL, pair=order.symbol, order=str(order.order_id))
        desk.limits.engine(account, [action], desk.now_ns())
        answer = await settled(self._exchange.cancel(account, order.order_id))
        if isinstance(answer, Refused):
            raise of_refusal(answer)
        return answer

    async def cancel_all(self, account: str) -> int:
        """Cancels every working order; how many there were. Never held back by the engine counter."""
        self._open_for(self._exchange.mode, cancelling=True)
        self._desk.watch(account)
        self._desk.limits.engine(account, [CancelAll()], self._desk.now_ns())
        answer = await settled(self._exchange.cancel_all(account))
        if isinstance(answer, Refused):
            raise of_refusal(answer)
        return len(answer.order_ids)

    async def cancel_after(self, account: str, seconds: int) -> int:
        """Arms the dead-man's switch (5 to 86,400 s) and says when it fires, in ns; 0 disarms it."""
        if seconds and not MIN_TIMEOUT_S <= seconds <= MAX_TIMEOUT_S:
            raise invalid("timeout")
        answer = await settled(self._exchange.cancel_after(account, seconds))
        if isinstance(answer, Refused):
            raise of_refusal(answer)
        return answer
