"""Calls that change orders: place, test, cancel, cancel-replace, amend."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from tradewind.gateways.model import Fill, Order, PlaceRequest, Refusal, Refused
from tradewind.venues.protocol import OrderPhase

from .account import commission_body, find_order, read_reference
from .calls import Context
from .errors import (
    FILTERS,
    BinanceError,
    invalid_data,
    missing,
    of_amend,
    of_cancel,
    of_refusal,
    outside_window,
    unknown_order,
    unsupported,
)
from .lists import OrderList
from .orders import NewOrder, quantity_lots, read_order
from .parameters import Parameters
from .replies import Remembered, ack, amended, cancelled, client_id_of, full, result
from .symbols import Symbol
from .text import new_client_id

MAX_FILLS: Final = 1_000
LOST_BASE: Final = 1 << 52
"""Numbers of orders that a fault plan loses: far above every real one."""
RESTRICTIONS: Final = {
    "ONLY_NEW": OrderPhase.WORKING,
    "ONLY_PARTIALLY_FILLED": OrderPhase.PARTIALLY_FILLED,
}


async def place_order(context: Context, parameters: Parameters) -> Any:
    new = read_order(parameters, context.symbol(parameters.symbol()), context.valid_until_ns)
    parameters.finish()
    return order_reply(context, new, await place(context, new))


async def place(context: Context, new: NewOrder) -> Order:
    """Places a parsed order. Raises the venue's error for a refusal."""
    check_time(context)
    if context.lost:
        return lost_order(context, new.request)
    answer = await place_known(context, new.request, Remembered(extras=new.extras))
    if isinstance(answer, Refused):
        raise refusal_of(context, answer, new.request)
    return answer


def refusal_of(context: Context, refused: Refused, request: PlaceRequest) -> BinanceError:
    """The venue's error. A command that waited too long within its window was held up here, not sent late."""
    if refused.refusal is Refusal.DEADLINE_PASSED and context.exchange.now_ns() <= context.valid_until_ns:
        refused = Refused(Refusal.BUSY, refused.message, refused.engine)
    return of_refusal(refused, request.kind)


async def place_known(context: Context, request: PlaceRequest, entry: Remembered) -> Order | Refused:
    """Places an order of which the wire knows more than the exchange."""
    memory, name = context.venue.memory, request.client_id
    memory.expect(context.account, name, entry)
    try:
        answer = await context.exchange.place(context.account, request)
        if isinstance(answer, Order):
            memory.adopt(context.account, name, answer.order_id)
            context.venue.tidy()
    finally:
        memory.refused(context.account, name)
    return answer


def check_time(context: Context) -> None:
    """The second look at the receive window, right before matching; the exchange takes the third."""
    if context.valid_until_ns and context.exchange.now_ns() > context.valid_until_ns:
        raise outside_window()


def lost_order(context: Context, request: PlaceRequest) -> Order:
    """An acknowledgement of something that was never done."""
    context.venue.lost_orders += 1
    return Order(
        order_id=LOST_BASE + context.venue.lost_orders,
        account=context.account,
        client_id=request.client_id,
        tag=0,
        symbol=request.symbol,
        side=request.side,
        kind=request.kind,
        time_in_force=request.time_in_force,
        post_only=request.post_only,
        reduce_only=False,
        price_ticks=request.price_ticks,
        trigger_ticks=request.trigger_ticks,
        lots=request.lots,
        display_lots=request.display_lots,
        filled_lots=0,
        cost=Decimal(0),
        fee=Decimal(0),
        phase=OrderPhase.WORKING,
        reason="",
        created_ns=context.now_ns,
        updated_ns=context.now_ns,
        expires_ns=0,
    )


def order_reply(context: Context, new: NewOrder, order: Order) -> dict[str, Any]:
    """The answer in the form that the client asked for."""
    entry = context.venue.memory.of(order.order_id)
    if new.response == "ACK":
        return ack(order, new.symbol, entry, context.time)
    if new.response == "RESULT":
        return result(order, new.symbol, entry, context.time)
    return full(order, new.symbol, entry, fills_of(context, order), context.time)


def fills_of(context: Context, order: Order) -> list[Fill]:
    """Executions that the answer's order shows: as many as it counts, even if more came since."""
    if not order.filled_lots:
        return []
    found, lots = [], 0
    for fill in context.exchange.fills(context.account, order_id=order.order_id, limit=MAX_FILLS):
        if lots >= order.filled_lots:
            break
        found.append(fill)
        lots += fill.lots
    return found


async def test_order(context: Context, parameters: Parameters) -> Any:
    """All checks of an order, and nothing else."""
    rates_wanted = parameters.flag("computeCommissionRates", False)
    new = read_order(parameters, context.symbol(parameters.symbol()), context.valid_until_ns)
    parameters.finish()
    refused = context.exchange.check(context.account, new.request)
    if refused is not None:
        raise of_refusal(refused, new.request.kind)
    if not rates_wanted:
        return {}
    body = commission_body(context, new.symbol)
    short = {name: {side: row[side] for side in ("maker", "taker")} for name, row in list(body.items())[:3]}
    return {
        "standardCommissionForOrder": short["standardCommission"],
        "specialCommissionForOrder": short["specialCommission"],
        "taxCommissionForOrder": short["taxCommission"],
        "discount": body["discount"],
    }


def test_weight(parameters: Parameters) -> int:
    return 20 if parameters.values.get("computeCommissionRates") == "true" else 1


# ---- cancels ---------------------------------------------------------------------------------------


def read_restriction(parameters: Parameters) -> OrderPhase | None:
    text = parameters.text("cancelRestrictions")
    if text is None:
        return None
    phase = RESTRICTIONS.get(text)
    if phase is None:
        raise BinanceError(-1145, "Invalid cancelRestrictions")
    return phase


async def cancel_order(context: Context, parameters: Parameters) -> Any:
    symbol = context.symbol(parameters.symbol())
    order_id, client_id = read_reference(parameters)
    cancel_id = parameters.client_id("newClientOrderId") or new_client_id()
    restriction = read_restriction(parameters)
    parameters.finish()
    order, before = await cancel(
        context, symbol, order_id, client_id, cancel_id=cancel_id, restriction=restriction
    )
    pair = list_of(context, order)
    if pair is not None:
        return cancelled_list(context, pair, cancel_id)
    return cancelled(order, symbol, context.venue.memory.of(order.order_id), cancel_id, context.time) | {
        "origClientOrderId": before
    }


async def cancel(
    context: Context,
    symbol: Symbol,
    order_id: int | None,
    client_id: str | None,
    *,
    cancel_id: str,
    restriction: OrderPhase | None = None,
) -> tuple[Order, str]:
    """Cancels one order and gives it with the name it had. Raises -2011 for what does not work any more."""
    check_time(context)
    order = find_order(context, symbol, order_id, client_id)
    if order is None:
        raise unknown_order()
    if restriction is not None and order.phase is not restriction:
        raise restricted()
    memory = context.venue.memory
    before = client_id_of(order, memory.of(order.order_id))
    if context.lost:
        return order, before
    pair = list_of(context, order)
    marked = [order.order_id] if pair is None else [number for number, _ in pair.legs]
    previous = {number: memory.about(number).cancel_id for number in marked}
    for number in marked:
        memory.about(number).cancel_id = cancel_id
    answer = await context.exchange.cancel(context.account, order.order_id)
    if isinstance(answer, Refused):
        for number, old in previous.items():
            memory.about(number).cancel_id = old
        raise of_cancel(answer)
    for number in marked:
        # the exchange ends the other leg when one fires or fills; a cancel has to name both
        if number != order.order_id:
            await context.exchange.cancel(context.account, number)
    return answer, before


def list_of(context: Context, order: Order) -> OrderList | None:
    entry = context.venue.memory.of(order.order_id)
    if entry is None or entry.list_id < 0:
        return None
    return context.venue.lists.find(context.account, entry.list_id, None)


def cancelled_list(context: Context, pair: OrderList, cancel_id: str) -> dict[str, Any]:
    """A list that a cancel ended, with a report of each leg."""
    symbol = context.symbol(pair.symbol)
    body = pair.body(context.time)
    reports = []
    for number, _ in pair.legs:
        order = context.exchange.order(context.account, order_id=number)
        if order is not None:
            entry = context.venue.memory.of(number)
            reports.append(cancelled(order, symbol, entry, cancel_id, context.time))
    return body | {
        "listStatusType": "ALL_DONE",
        "listOrderStatus": "ALL_DONE",
        "transactionTime": context.time(context.exchange.now_ns()),
        "orderReports": reports,
    }


async def cancel_open_orders(context: Context, parameters: Parameters) -> Any:
    symbol = context.symbol(parameters.symbol())
    parameters.finish()
    check_time(context)
    memory, name = context.venue.memory, symbol.market.symbol
    working = context.exchange.orders(context.account, symbol=name, working=True, limit=MAX_FILLS)
    if not working:
        raise unknown_order()
    cancel_id = new_client_id()
    for order in working:
        memory.about(order.order_id).cancel_id = cancel_id
    if context.lost:
        return []
    answer = await context.exchange.cancel_all(context.account, name)
    if isinstance(answer, Refused):
        for order in working:
            memory.about(order.order_id).cancel_id = ""
        raise of_cancel(answer)
    rows: list[dict[str, Any]] = []
    lists: dict[int, OrderList] = {}
    ended = set(answer.order_ids)
    for order in reversed(working):
        entry = memory.about(order.order_id)
        pair = list_of(context, order)
        after = context.exchange.order(context.account, order_id=order.order_id) or order
        if pair is not None:
            lists[pair.list_id] = pair
        elif order.order_id in ended:
            rows.append(cancelled(after, symbol, entry, cancel_id, context.time))
        else:
            # it filled before the cancel reached it: no report of a cancel, and no name of one
            entry.cancel_id = ""
    if not rows and not lists:
        raise unknown_order()
    return rows + [cancelled_list(context, pair, cancel_id) for pair in lists.values()]


# ---- replace and amend -----------------------------------------------------------------------------

LATER: Final = frozenset(
    {
        Refusal.INSUFFICIENT_FUNDS,
        Refusal.WOULD_TAKE,
        Refusal.TOO_MANY_ORDERS,
        Refusal.DUPLICATE_CLIENT_ID,
        Refusal.SELF_TRADE,
        Refusal.NO_LIQUIDITY,
        Refusal.POSITION_LIMIT,
    }
)
"""What the cancel may change: not judged before it."""


def restricted() -> BinanceError:
    """The order is not in the state that the caller asked for."""
    return BinanceError(-2011, "Order was not canceled due to cancel restrictions.")


async def cancel_replace(context: Context, parameters: Parameters) -> Any:
    """Both legs, each with its own outcome. Raises -2021 (one failed) and -2022 (both, or nothing tried)."""
    symbol = context.symbol(parameters.symbol())
    mode = parameters.required("cancelReplaceMode")
    if mode not in {"STOP_ON_FAILURE", "ALLOW_FAILURE"}:
        raise invalid_data("cancelReplaceMode")
    order_id, client_id = read_reference(parameters, "cancelOrderId", "cancelOrigClientOrderId")
    cancel_id = parameters.client_id("cancelNewClientOrderId") or new_client_id()
    restriction = read_restriction(parameters)
    limit_mode = parameters.text("orderRateLimitExceededMode")
    if limit_mode == "CANCEL_ONLY":
        raise unsupported()
    if limit_mode not in {None, "DO_NOTHING"}:
        raise invalid_data("orderRateLimitExceededMode")
    new = read_order(parameters, symbol, context.valid_until_ns)
    parameters.finish()
    check_time(context)
    refused = context.exchange.check(context.account, new.request)
    if refused is not None and refused.refusal in FILTERS and refused.refusal not in LATER:
        raise of_refusal(refused, new.request.kind)
    data: dict[str, Any] = {}
    try:
        order, before = await cancel(
            context, symbol, order_id, client_id, cancel_id=cancel_id, restriction=restriction
        )
        entry = context.venue.memory.of(order.order_id)
        data["cancelResult"], data["cancelResponse"] = (
            "SUCCESS",
            cancelled(order, symbol, entry, cancel_id, context.time) | {"origClientOrderId": before},
        )
    except BinanceError as error:
        data["cancelResult"], data["cancelResponse"] = "FAILURE", error.body()
    if data["cancelResult"] == "FAILURE" and mode == "STOP_ON_FAILURE":
        data["newOrderResult"], data["newOrderResponse"] = "NOT_ATTEMPTED", None
    elif data["cancelResult"] == "SUCCESS" and restriction is OrderPhase.WORKING and order.filled_lots:
        # Here the restriction is looked at before the cancel, not with it: it was filled between.
        # The venue would have cancelled nothing; a new order of the whole size must not follow.
        data["newOrderResult"], data["newOrderResponse"] = "FAILURE", restricted().body()
    else:
        try:
            data["newOrderResponse"] = order_reply(context, new, await place(context, new))
            data["newOrderResult"] = "SUCCESS"
        except BinanceError as error:
            data["newOrderResult"], data["newOrderResponse"] = "FAILURE", error.body()
    ordered = {
        name: data[name] for name in ("cancelResult", "newOrderResult", "cancelResponse", "newOrderResponse")
    }
    outcomes = {data["cancelResult"], data["newOrderResult"]}
    if outcomes == {"SUCCESS"}:
        return ordered
    if "SUCCESS" in outcomes:
        raise BinanceError(-2021, "Order cancel-replace partially failed.", 409, ordered)
    raise BinanceError(-2022, "Order cancel-replace failed.", 400, ordered)


async def amend_order(context: Context, parameters: Parameters) -> Any:
    """A smaller quantity in the same place of the queue."""
    symbol = context.symbol(parameters.symbol())
    order_id, client_id = read_reference(parameters)
    name = parameters.client_id("newClientOrderId") or new_client_id()
    if not parameters.has("newQty"):
        raise missing("newQty")
    lots = quantity_lots(parameters, "newQty", symbol)
    parameters.finish()
    check_time(context)
    order = find_order(context, symbol, order_id, client_id)
    if order is None or order.phase not in {OrderPhase.WORKING, OrderPhase.PARTIALLY_FILLED}:
        raise BinanceError(-2038, "Unknown order sent.")
    if lots > order.lots:
        raise BinanceError(-2038, "Order amend (quantity increase) is not supported.")
    if lots == order.lots:
        raise BinanceError(-2038, "The requested action would change no state; rejecting.")
    memory = context.venue.memory
    entry = memory.about(order.order_id)
    before = client_id_of(order, entry)
    if name != before:
        other = find_order(context, symbol, None, name)
        if other is not None and other.phase in {OrderPhase.WORKING, OrderPhase.PARTIALLY_FILLED}:
            raise BinanceError(-2010, "Duplicate order sent.")
        entry.amended_to = name
    answer = await context.exchange.amend(context.account, order.order_id, lots=lots)
    context.venue.tidy()
    if isinstance(answer, Refused):
        entry.amended_to = ""
        raise of_amend(answer)
    memory.rename(context.account, order.order_id)
    body = amended(answer, symbol, entry, before, context.time)
    pair = list_of(context, answer)
    if pair is not None:
        pair.rename(answer.order_id, client_id_of(answer, entry))
        status = pair.body(context.time)
        kept = ("orderListId", "contingencyType", "listOrderStatus", "listClientOrderId", "symbol", "orders")
        body["listStatus"] = {field: status[field] for field in kept}
    return body
