"""Trading methods of WebSocket v2. Each answers the `result` of one or several acknowledgements."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from tradewind.gateways.keys import ApiKey, Right
from tradewind.gateways.kraken import errors, ids
from tradewind.gateways.kraken.desk import Desk
from tradewind.gateways.kraken.errors import KrakenError, invalid
from tradewind.gateways.kraken.numbers import rfc3339
from tradewind.gateways.kraken.parameters import Fields
from tradewind.gateways.kraken.requests import (
    MAX_USERREF,
    batch_requests,
    client_id,
    deadline_ns,
    socket_order_request,
    socket_trigger,
)
from tradewind.gateways.kraken.rows import Row
from tradewind.gateways.kraken.trading import MAX_CANCEL_BATCH, Change, Placed, Trading
from tradewind.gateways.model import Order

TRADE: Final = frozenset({Right.TRADE})
CANCEL: Final = frozenset({Right.TRADE, Right.CANCEL})


class Ack(msgspec.Struct, frozen=True):
    """One acknowledgement: a result or an error, and fields that stand beside it."""

    result: Any = None
    error: str = ""
    beside: Mapping[str, Any] = {}


Method = Callable[[ApiKey, Fields, bool], Awaitable[list[Ack]]]


class Methods:
    """Handlers by method name: (key, params, lose) -> acknowledgements. They raise `KrakenError`."""

    def __init__(self, desk: Desk, trading: Trading) -> None:
        self._desk, self._trading = desk, trading
        self.handlers: dict[str, tuple[frozenset[Right], Method]] = {
            "add_order": (TRADE, self._add_order),
            "batch_add": (TRADE, self._batch_add),
            "amend_order": (TRADE, self._amend_order),
            "edit_order": (TRADE, self._edit_order),
            "cancel_order": (CANCEL, self._cancel_order),
            "batch_cancel": (CANCEL, self._batch_cancel),
            "cancel_all": (CANCEL, self._cancel_all),
            "cancel_all_orders_after": (CANCEL, self._cancel_after),
        }

    async def _add_order(self, key: ApiKey, fields: Fields, lose: bool) -> list[Ack]:
        _, pair = self._desk.find_pair(fields.required("symbol"))
        request = socket_order_request(pair, fields, self._desk.now_ns())
        validate = fields.flag("validate")
        placed = await self._trading.place(key.account, request, validate=validate, lose=lose)
        return [Ack(_placed_row(placed, request.client_id, request.tag))]

    async def _batch_add(self, key: ApiKey, fields: Fields, lose: bool) -> list[Ack]:
        _, pair = self._desk.find_pair(fields.required("symbol"))
        requests = batch_requests(socket_order_request, pair, fields, self._desk.now_ns())
        placed = await self._trading.place_batch(
            key.account, requests, validate=fields.flag("validate"), lose=lose
        )
        rows = [
            {"error": one} if isinstance(one, str) else _placed_row(one, wanted.client_id, wanted.tag)
            for one, wanted in zip(placed, requests, strict=True)
        ]
        return [Ack(rows)]

    async def _amend_order(self, key: ApiKey, fields: Fields, lose: bool) -> list[Ack]:
        txid, name = fields.text("order_id"), client_id(fields.text("cl_ord_id"))
        deadline_ns(fields, self._desk.now_ns())
        if (
            fields.text("limit_price_type", "static") != "static"
            or fields.text("trigger_price_type", "static") != "static"
        ):
            raise invalid("limit_price_type")
        order = self._trading.find_working(key.account, txid, name)
        if (
            "symbol" in fields.values
            and self._desk.find_pair(fields.required("symbol"))[0].canonical != order.symbol
        ):
            raise invalid("symbol")
        change = Change(
            quantity=fields.decimal("order_qty"),
            limit=fields.decimal("limit_price"),
            trigger=fields.decimal("trigger_price"),
            display=fields.decimal("display_qty"),
            post_only=fields.flag("post_only") if "post_only" in fields.values else None,
        )
        amendment = await self._trading.amend(key.account, order, change)
        row: Row = {"amend_id": amendment}
        return [Ack(row | ({"cl_ord_id": name} if name else {"order_id": txid}))]

    async def _edit_order(self, key: ApiKey, fields: Fields, lose: bool) -> list[Ack]:
        _, pair = self._desk.find_pair(fields.required("symbol"))
        order = self._trading.find_working(key.account, fields.required("order_id"), "")
        if order.symbol != pair.market.symbol:
            raise invalid("symbol")
        change = Change(
            quantity=fields.decimal("order_qty"),
            limit=fields.decimal("limit_price"),
            trigger=socket_trigger(fields),
            display=fields.decimal("display_qty"),
            post_only=fields.flag("post_only") if "post_only" in fields.values else None,
        )
        tag = fields.whole("order_userref", 0, -MAX_USERREF - 1, MAX_USERREF)
        request = self._trading.edited(pair, order, change, tag, deadline_ns(fields, self._desk.now_ns()))
        placed = await self._trading.edit(key.account, order, request, validate=fields.flag("validate"))
        row: Row = {"original_order_id": ids.order_id(order.order_id)}
        return [Ack(row | ({"order_id": placed.txid} if placed is not None else {}))]

    def _chosen(
        self, account: str, fields: Fields, names: tuple[str, str, str]
    ) -> list[tuple[Row, Order | None, str]]:
        """(what the client named, the order or None, the error) of every order in three lists of names."""
        chosen: list[tuple[Row, Order | None, str]] = []
        for kind, name in zip(("order_id", "cl_ord_id", "order_userref"), names, strict=True):
            for value in fields.many(name, MAX_CANCEL_BATCH):
                row = {kind: value}
                try:
                    if kind == "order_userref":
                        tag = Fields({name: value}).whole(name, 0, -MAX_USERREF - 1, MAX_USERREF)
                        orders = self._trading.find_by_tag(account, tag)
                        chosen += [({"order_id": ids.order_id(one.order_id)}, one, "") for one in orders]
                        if not orders:
                            chosen.append((row, None, errors.UNKNOWN_ORDER))
                        continue
                    txid, client = (str(value), "") if kind == "order_id" else ("", client_id(str(value)))
                    chosen.append((row, self._trading.find(account, txid, client), ""))
                except KrakenError as error:
                    chosen.append((row, None, error.text))
        if not chosen or len(chosen) > MAX_CANCEL_BATCH:
            raise invalid(names[0])
        return chosen

    async def _cancel_order(self, key: ApiKey, fields: Fields, lose: bool) -> list[Ack]:
        """One acknowledgement an order."""
        acks = []
        for row, order, error in self._chosen(
            key.account, fields, ("order_id", "cl_ord_id", "order_userref")
        ):
            try:
                if order is None:
                    raise KrakenError(error)
                if not lose:
                    await self._trading.cancel(key.account, order)
                acks.append(Ack(row))
            except KrakenError as failure:
                acks.append(Ack(error=failure.text, beside=row))
        return acks

    async def _batch_cancel(self, key: ApiKey, fields: Fields, lose: bool) -> list[Ack]:
        count = 0
        for _, order, _ in self._chosen(key.account, fields, ("orders", "cl_ord_id", "order_userref")):
            if order is None:
                continue
            try:
                if not lose:
                    await self._trading.cancel(key.account, order)
                count += 1
            except KrakenError as failure:
                if failure.text != errors.UNKNOWN_ORDER:
                    raise
        return [Ack(beside={"orders_cancelled": count})]

    async def _cancel_all(self, key: ApiKey, fields: Fields, lose: bool) -> list[Ack]:
        return [Ack({"count": 0 if lose else await self._trading.cancel_all(key.account)})]

    async def _cancel_after(self, key: ApiKey, fields: Fields, lose: bool) -> list[Ack]:
        if "timeout" not in fields.values:
            raise invalid("timeout")
        now_ns = self._desk.now_ns()
        at_ns = await self._trading.cancel_after(key.account, fields.whole("timeout", 0, 0, 86_400))
        return [Ack(switch_row(now_ns, at_ns))]


def switch_row(now_ns: int, at_ns: int) -> Row:
    """The dead-man's switch: when it fires, "0" when it is off."""
    return {"currentTime": rfc3339(now_ns, 0), "triggerTime": rfc3339(at_ns, 0) if at_ns else "0"}


def _placed_row(placed: Placed | None, name: str, tag: int) -> Row:
    """`order_id` is missing where the order was only validated."""
    row: Row = {} if placed is None else {"order_id": placed.txid}
    if name:
        row["cl_ord_id"] = name
    if tag:
        row["order_userref"] = tag
    return row
