"""One-cancels-the-other lists: the current form (above and below legs), the older one, and their reads."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tradewind.gateways.model import Kind, Order, PlaceRequest, Refused
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import FINAL_PHASES, TimeInForce

from .calls import Context
from .errors import BinanceError, missing, not_required, one_of_missing
from .lists import OrderList
from .orders import (
    Extras,
    display,
    price_ticks,
    quantity_lots,
    read_response,
    read_side,
    read_stp,
    read_strategy,
    read_time_in_force,
    refuse_unsupported,
    wanted,
)
from .parameters import Parameters
from .replies import Remembered, ack, full, result
from .symbols import TRIGGERED, TYPES, Symbol
from .text import new_client_id
from .trading import cancel, cancelled_list, check_time, fills_of, place_known, refusal_of

LEG_TYPES: Final = frozenset(
    {"LIMIT_MAKER", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"}
)
LIMITED: Final = frozenset({"STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"})
LISTS: Final = 1_000
BAD_RELATION: Final = "The relationship of the prices for the orders is not correct."


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """One order of a pair, read."""

    request: PlaceRequest
    extras: Extras

    @property
    def type(self) -> str:
        return self.extras.type

    @property
    def at(self) -> int:
        """The price at which it acts."""
        return self.request.trigger_ticks or self.request.price_ticks


async def place_oco(context: Context, parameters: Parameters) -> Any:
    """`orderList/oco`: a leg above the market and one below it."""
    symbol = context.symbol(parameters.symbol())
    side = read_side(parameters)
    if not parameters.has("quantity"):
        raise missing("quantity")
    lots = quantity_lots(parameters, "quantity", symbol)
    name = parameters.client_id("listClientOrderId") or new_client_id()
    base = PlaceRequest(
        symbol=symbol.market.symbol,
        side=side,
        lots=lots,
        self_trade=read_stp(parameters),
        valid_until_ns=context.valid_until_ns,
    )
    response = read_response(parameters, "FULL")
    above = read_leg(parameters, symbol, base, "above")
    below = read_leg(parameters, symbol, base, "below")
    parameters.finish()
    check_types(side, above, below)
    return await place_pair(context, symbol, name, response, above=above, below=below)


def read_leg(parameters: Parameters, symbol: Symbol, base: PlaceRequest, which: str) -> Leg:
    """The leg whose parameters begin with `above` or `below`."""
    type_name = parameters.required(f"{which}Type")
    if type_name not in LEG_TYPES:
        raise BinanceError(-1158, "Order type not supported in OCO.")
    if parameters.text(f"{which}TrailingDelta") is not None:
        raise BinanceError(-2010, "Trailing stop orders are not supported for this symbol.")
    for peg in ("PegPriceType", "PegOffsetType", "PegOffsetValue"):
        if parameters.text(f"{which}{peg}") is not None:
            raise BinanceError(-2010, "Pegged orders are not supported for this symbol.")
    kind = TYPES[type_name]
    priced = type_name == "LIMIT_MAKER" or type_name in LIMITED
    wanted(parameters, f"{which}Price", priced)
    wanted(parameters, f"{which}StopPrice", kind in TRIGGERED)
    tif = TimeInForce.GTC
    if type_name in LIMITED:
        tif = read_time_in_force(parameters, f"{which}TimeInForce")
    elif parameters.has(f"{which}TimeInForce"):
        raise not_required(f"{which}TimeInForce")
    strategy = read_strategy(parameters, f"{which}StrategyId", f"{which}StrategyType")
    return Leg(
        request=msgspec.structs.replace(
            base,
            kind=kind,
            time_in_force=tif,
            post_only=type_name == "LIMIT_MAKER",
            price_ticks=price_ticks(parameters, f"{which}Price", symbol),
            trigger_ticks=price_ticks(parameters, f"{which}StopPrice", symbol),
            display_lots=display(parameters, f"{which}IcebergQty", symbol, base.lots, tif),
            client_id=parameters.client_id(f"{which}ClientOrderId") or new_client_id(),
        ),
        extras=Extras(type=type_name, strategy_id=strategy[0], strategy_type=strategy[1]),
    )


def check_types(side: Side, above: Leg, below: Leg) -> None:
    """Which types may stand on which side of the market."""
    buys = side is Side.BUY
    takes, stops = ("TAKE_PROFIT", "TAKE_PROFIT_LIMIT"), ("STOP_LOSS", "STOP_LOSS_LIMIT")
    if above.type == below.type == "LIMIT_MAKER":
        raise BinanceError(-1168, "At least one OCO order must be contingent.")
    if buys and above.type == "LIMIT_MAKER":
        raise BinanceError(-1165, "A limit order in a buy OCO must be below.")
    if not buys and below.type == "LIMIT_MAKER":
        raise BinanceError(-1166, "A limit order in a sell OCO must be above.")
    if buys and below.type in stops:
        raise BinanceError(-1196, "A stop loss order in a buy OCO must be above.")
    if not buys and above.type in stops:
        raise BinanceError(-1197, "A stop loss order in a sell OCO must be below.")
    if buys and above.type in takes:
        raise BinanceError(-1198, "A take profit order in a buy OCO must be below.")
    if not buys and below.type in takes:
        raise BinanceError(-1199, "A take profit order in a sell OCO must be above.")


async def place_old_oco(context: Context, parameters: Parameters) -> Any:
    """`order/oco`: a limit leg and a stop leg; which is above follows from the side."""
    symbol = context.symbol(parameters.symbol())
    side = read_side(parameters)
    for name in ("quantity", "price", "stopPrice"):
        if not parameters.has(name):
            raise missing(name)
    lots = quantity_lots(parameters, "quantity", symbol)
    name = parameters.client_id("listClientOrderId") or new_client_id()
    self_trade = read_stp(parameters)
    refuse_unsupported(parameters)
    response = read_response(parameters, "FULL")
    stop_limit = price_ticks(parameters, "stopLimitPrice", symbol)
    if stop_limit:
        stop_tif = read_time_in_force(parameters, "stopLimitTimeInForce")
    elif parameters.has("stopLimitTimeInForce"):
        raise not_required("stopLimitTimeInForce")
    else:
        stop_tif = TimeInForce.GTC
    limit_strategy = read_strategy(parameters, "limitStrategyId", "limitStrategyType")
    stop_strategy = read_strategy(parameters, "stopStrategyId", "stopStrategyType")
    base = PlaceRequest(
        symbol=symbol.market.symbol,
        side=side,
        lots=lots,
        self_trade=self_trade,
        valid_until_ns=context.valid_until_ns,
    )
    limit = Leg(
        request=msgspec.structs.replace(
            base,
            post_only=True,
            price_ticks=price_ticks(parameters, "price", symbol),
            display_lots=display(parameters, "limitIcebergQty", symbol, lots, TimeInForce.GTC),
            client_id=parameters.client_id("limitClientOrderId") or new_client_id(),
        ),
        extras=Extras(type="LIMIT_MAKER", strategy_id=limit_strategy[0], strategy_type=limit_strategy[1]),
    )
    stop = Leg(
        request=msgspec.structs.replace(
            base,
            kind=Kind.STOP_LIMIT if stop_limit else Kind.STOP,
            time_in_force=stop_tif,
            price_ticks=stop_limit,
            trigger_ticks=price_ticks(parameters, "stopPrice", symbol),
            display_lots=display(parameters, "stopIcebergQty", symbol, lots, stop_tif),
            client_id=parameters.client_id("stopClientOrderId") or new_client_id(),
        ),
        extras=Extras(
            type="STOP_LOSS_LIMIT" if stop_limit else "STOP_LOSS",
            strategy_id=stop_strategy[0],
            strategy_type=stop_strategy[1],
        ),
    )
    parameters.finish()
    above, below = (stop, limit) if side is Side.BUY else (limit, stop)
    return await place_pair(context, symbol, name, response, above=above, below=below)


async def place_pair(
    context: Context, symbol: Symbol, name: str, response: str, *, above: Leg, below: Leg
) -> Any:
    """Places both legs or none.

    The waiting leg goes first: it holds no funds and cannot trade at once, so that a refusal of the second
    leaves nothing behind once the first is cancelled.
    """
    check_time(context)
    last = context.exchange.trades(symbol.market.symbol, 1)
    market = last[-1].price_ticks if last else None
    if above.at <= below.at or (market is not None and not below.at < market < above.at):
        raise BinanceError(-2010, BAD_RELATION)
    known = context.venue.lists.find(context.account, None, name)
    if known is not None:
        settle(context, known)
        if not known.done:
            raise BinanceError(-2010, "Duplicate order sent.")
    first, second = (below, above) if below.request.kind in TRIGGERED else (above, below)
    list_id = context.venue.lists.reserve()
    one = await place_known(context, first.request, Remembered(extras=first.extras, list_id=list_id))
    if isinstance(one, Refused):
        raise refusal_of(context, one, first.request)
    linked = msgspec.structs.replace(second.request, linked_order_id=one.order_id)
    two = await place_known(context, linked, Remembered(extras=second.extras, list_id=list_id))
    if isinstance(two, Refused):
        undone = await context.exchange.cancel(context.account, one.order_id)
        if isinstance(undone, Refused):
            # the waiting leg fired in between: something may have traded, and only a query tells
            raise BinanceError(
                -1006,
                "An unexpected response was received from the message bus. Execution status unknown.",
                500,
            )
        raise refusal_of(context, two, second.request)
    legs = ((one.order_id, first.request.client_id), (two.order_id, second.request.client_id))
    pair = context.venue.lists.add(
        list_id,
        context.account,
        symbol=symbol.name,
        client_id=name,
        time_ns=two.updated_ns,
        legs=legs,
    )
    settle(context, pair)
    context.venue.on_pair(pair)
    return pair_reply(context, symbol, pair, response)


def settle(context: Context, pair: OrderList) -> None:
    """A pair is done when both legs have ended."""
    orders = [context.exchange.order(context.account, order_id=number) for number, _ in pair.legs]
    pair.done = not any(order is not None and order.phase not in FINAL_PHASES for order in orders)


def pair_reply(context: Context, symbol: Symbol, pair: OrderList, response: str) -> dict[str, Any]:
    reports = []
    for number, _ in pair.legs:
        order = context.exchange.order(context.account, order_id=number)
        if order is not None:
            reports.append(report(context, order, symbol, response))
    return pair.body(context.time) | {"orderReports": reports}


def report(context: Context, order: Order, symbol: Symbol, response: str) -> dict[str, Any]:
    entry = context.venue.memory.of(order.order_id)
    if response == "ACK":
        return ack(order, symbol, entry, context.time)
    if response == "RESULT" or not order.filled_lots:
        return result(order, symbol, entry, context.time)
    return full(order, symbol, entry, fills_of(context, order), context.time)


# ---- reads and cancel ------------------------------------------------------------------------------


def find_pair(context: Context, list_id: int | None, client_id: str | None) -> OrderList:
    pair = context.venue.lists.find(context.account, list_id, client_id)
    if pair is None:
        raise BinanceError(-2018, "Order list does not exist.")
    return pair


async def query_list(context: Context, parameters: Parameters) -> Any:
    list_id, client_id = parameters.whole("orderListId"), parameters.text("origClientOrderId")
    parameters.text("symbol")
    parameters.finish()
    if list_id is None and client_id is None:
        raise one_of_missing("orderListId", "origClientOrderId")
    pair = find_pair(context, list_id, client_id)
    settle(context, pair)
    return pair.body(context.time)


async def all_lists(context: Context, parameters: Parameters) -> Any:
    first_id = parameters.whole("fromId")
    start_ns, end_ns = parameters.span(86_400_000)
    limit = parameters.limit(500, LISTS)
    parameters.finish()
    if first_id is not None and (start_ns or end_ns):
        raise BinanceError(-1128, "Combination of optional parameters invalid.")
    found = []
    for pair in reversed(context.venue.lists.of_account(context.account)):
        if first_id is not None and pair.list_id < first_id:
            continue
        if pair.time_ns < start_ns or (end_ns and pair.time_ns > end_ns):
            continue
        settle(context, pair)
        found.append(pair.body(context.time))
    return found[:limit] if first_id is not None else found[-limit:]


async def open_lists(context: Context, parameters: Parameters) -> Any:
    parameters.finish()
    found = []
    for pair in reversed(context.venue.lists.of_account(context.account)):
        settle(context, pair)
        if not pair.done:
            found.append(pair.body(context.time))
    return found


async def cancel_list(context: Context, parameters: Parameters) -> Any:
    symbol = context.symbol(parameters.symbol())
    list_id, client_id = parameters.whole("orderListId"), parameters.text("listClientOrderId")
    cancel_id = parameters.client_id("newClientOrderId") or new_client_id()
    parameters.finish()
    if list_id is None and client_id is None:
        raise one_of_missing("orderListId", "listClientOrderId")
    pair = context.venue.lists.find(context.account, list_id, client_id)
    if pair is None or pair.symbol != symbol.name:
        raise BinanceError(-2011, "Unknown order list sent.")
    settle(context, pair)
    if pair.done:
        raise BinanceError(-2011, "Unknown order list sent.")
    for number, _ in pair.legs:
        order = context.exchange.order(context.account, order_id=number)
        if order is not None and order.phase not in FINAL_PHASES:
            # takes the other leg along
            await cancel(context, symbol, number, None, cancel_id=cancel_id)
            break
    settle(context, pair)
    return cancelled_list(context, pair, cancel_id)
