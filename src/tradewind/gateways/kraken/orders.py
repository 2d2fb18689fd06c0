"""Kraken's private REST calls that trade."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tradewind.gateways.keys import ApiKey
from tradewind.gateways.kraken import errors, ids
from tradewind.gateways.kraken.desk import Desk
from tradewind.gateways.kraken.errors import KrakenError, invalid
from tradewind.gateways.kraken.methods import switch_row
from tradewind.gateways.kraken.numbers import parse_decimal
from tradewind.gateways.kraken.parameters import Fields
from tradewind.gateways.kraken.requests import MAX_USERREF, batch_requests, client_id, deadline_ns, rest_order
from tradewind.gateways.kraken.rows import TRIGGERED, PairFormat, Row, description
from tradewind.gateways.kraken.trading import MAX_CANCEL_BATCH, Change, Placed, Trading
from tradewind.gateways.model import Order, PlaceRequest

Handler = Callable[[ApiKey, Fields, bool], Awaitable[Any]]


def request_description(pair: PairFormat, request: PlaceRequest) -> str:
    """The order as the venue says it back."""
    volume = pair.size(request.lots) if request.lots else f"{request.quote_amount:f}"
    return description(
        pair,
        request.side,
        request.kind,
        price_ticks=request.price_ticks,
        trigger_ticks=request.trigger_ticks,
        volume=volume,
    )


class OrderCalls:
    """Handlers by method name: (key, fields, lose) -> `result`. They raise `KrakenError`."""

    def __init__(self, desk: Desk, trading: Trading) -> None:
        self._desk, self._trading = desk, trading
        self.handlers: dict[str, Handler] = {
            "AddOrder": self._add_order,
            "AddOrderBatch": self._add_batch,
            "AmendOrder": self._amend_order,
            "EditOrder": self._edit_order,
            "CancelOrder": self._cancel_order,
            "CancelOrderBatch": self._cancel_batch,
            "CancelAll": self._cancel_all,
            "CancelAllOrdersAfter": self._cancel_after,
        }

    async def _add_order(self, key: ApiKey, fields: Fields, lose: bool) -> Row:
        _, pair = self._desk.find_pair(fields.required("pair"))
        request = rest_order(pair, fields, self._desk.now_ns())
        placed = await self._trading.place(key.account, request, validate=fields.flag("validate"), lose=lose)
        row: Row = {"descr": {"order": request_description(pair, request)}}
        if placed is not None:
            row["txid"] = [placed.txid]
        return row

    async def _add_batch(self, key: ApiKey, fields: Fields, lose: bool) -> Row:
        _, pair = self._desk.find_pair(fields.required("pair"))
        requests = batch_requests(rest_order, pair, fields, self._desk.now_ns())
        placed = await self._trading.place_batch(
            key.account, requests, validate=fields.flag("validate"), lose=lose
        )
        rows = zip(placed, requests, strict=True)
        return {"orders": [_batch_row(request_description(pair, request), one) for one, request in rows]}

    async def _amend_order(self, key: ApiKey, fields: Fields, lose: bool) -> Row:
        deadline_ns(fields, self._desk.now_ns())
        order = self._trading.find_working(
            key.account, fields.text("txid"), client_id(fields.text("cl_ord_id"))
        )
        self._same_pair(fields, order)
        change = Change(
            quantity=fields.decimal("order_qty"),
            limit=_plain_price(fields, "limit_price"),
            trigger=_plain_price(fields, "trigger_price"),
            display=fields.decimal("display_qty"),
            post_only=fields.flag("post_only") if "post_only" in fields.values else None,
        )
        return {"amend_id": await self._trading.amend(key.account, order, change)}

    def _same_pair(self, fields: Fields, order: Order) -> None:
        name = fields.text("pair")
        if name and self._desk.find_pair(name)[0].canonical != order.symbol:
            raise invalid("pair")

    async def _edit_order(self, key: ApiKey, fields: Fields, lose: bool) -> Row:
        _, pair = self._desk.find_pair(fields.required("pair"))
        order = self._trading.find_working(key.account, fields.required("txid"), "")
        self._same_pair(fields, order)
        first, second = _plain_price(fields, "price"), _plain_price(fields, "price2")
        triggered = order.kind in TRIGGERED
        flags = set(fields.words("oflags", 8))
        if not flags <= {"post", "fciq", "nompp"}:
            raise invalid("oflags")
        change = Change(
            quantity=fields.decimal("volume"),
            limit=second if triggered else first,
            trigger=first if triggered else None,
            display=fields.decimal("displayvol"),
            post_only="post" in flags if flags else None,
        )
        tag = fields.whole("userref", 0, -MAX_USERREF - 1, MAX_USERREF)
        request = self._trading.edited(pair, order, change, tag, deadline_ns(fields, self._desk.now_ns()))
        placed = await self._trading.edit(key.account, order, request, validate=fields.flag("validate"))
        row: Row = {
            "status": "ok",
            "originaltxid": ids.order_id(order.order_id),
            "volume": pair.size(request.lots),
            "price": pair.price(request.trigger_ticks if triggered else request.price_ticks),
            "price2": pair.price(request.price_ticks) if triggered else "0",
            "orders_cancelled": int(placed is not None),
            "descr": {"order": request_description(pair, request)},
        }
        return row if placed is None else row | {"txid": placed.txid}

    # ---- cancelling ------------------------------------------------------------------------------------

    def _named(self, account: str, text: str) -> list[Order]:
        """Orders of an order id, or of a client's number."""
        digits = text.removeprefix("-")
        if digits.isascii() and digits.isdigit() and len(digits) <= 10:
            return self._trading.find_by_tag(account, int(text))
        return [self._trading.find(account, text, "")]

    async def _cancel_order(self, key: ApiKey, fields: Fields, lose: bool) -> Row:
        txid, name = fields.text("txid"), client_id(fields.text("cl_ord_id"))
        if bool(txid) == bool(name):
            raise invalid("txid")
        orders = [self._trading.find(key.account, "", name)] if name else self._named(key.account, txid)
        if not orders:
            raise KrakenError(errors.UNKNOWN_ORDER)
        for order in orders:
            if not lose:
                await self._trading.cancel(key.account, order)
        return {"count": len(orders)}

    async def _cancel_batch(self, key: ApiKey, fields: Fields, lose: bool) -> Row:
        names = _words(fields, "orders", "txid")
        clients = [client_id(one, "cl_ord_ids") for one in _words(fields, "cl_ord_ids", "cl_ord_id")]
        if not 1 <= len(names) + len(clients) <= MAX_CANCEL_BATCH:
            raise invalid("orders")
        count = 0
        for name, by_client in [*((one, False) for one in names), *((one, True) for one in clients)]:
            try:
                found = (
                    [self._trading.find(key.account, "", name)]
                    if by_client
                    else self._named(key.account, name)
                )
                for order in found:
                    if not lose:
                        await self._trading.cancel(key.account, order)
                    count += 1
            except KrakenError as error:
                if error.text != errors.UNKNOWN_ORDER:
                    raise
        return {"count": count}

    async def _cancel_all(self, key: ApiKey, fields: Fields, lose: bool) -> Row:
        return {"count": 0 if lose else await self._trading.cancel_all(key.account)}

    async def _cancel_after(self, key: ApiKey, fields: Fields, lose: bool) -> Row:
        fields.required("timeout")
        now_ns = self._desk.now_ns()
        at_ns = await self._trading.cancel_after(key.account, fields.whole("timeout", 0, 0, 86_400))
        return switch_row(now_ns, at_ns)


def _words(fields: Fields, name: str, inner: str) -> list[str]:
    """A list of names, or of objects that carry them."""
    rows = fields.many(name, MAX_CANCEL_BATCH)
    return [str(one[inner]) if isinstance(one, Mapping) and inner in one else str(one) for one in rows]


def _batch_row(text: str, placed: Placed | str | None) -> Row:
    if isinstance(placed, str):
        return {"error": placed}
    return {"descr": {"order": text}} | ({} if placed is None else {"txid": placed.txid})


def _plain_price(fields: Fields, name: str) -> Any:
    """A fixed price; prices relative to another one are refused."""
    text = fields.text(name)
    if text in ("", "0"):
        return None
    value = parse_decimal(text)
    if value is None:
        raise KrakenError(errors.INVALID_PRICE)
    return value
