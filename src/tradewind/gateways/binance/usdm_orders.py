"""Orders of Binance USD-M: parameters, replies, and the calls that place, show and end them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec

from tradewind.gateways.model import Fill, Kind, Order, PlaceRequest, Refused, SelfTrade, TriggerOn
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import OrderPhase, TimeInForce

from . import trading
from .account import MAX_ROWS, find_order, offered, read_reference
from .calls import Context
from .errors import BinanceError, invalid_data, of_cancel
from .orders import PRICED, TIMES, Extras, NewOrder, read_side, read_stp, wanted
from .parameters import Parameters
from .replies import SIDE_NAMES, STATUS, TIF_NAMES, Remembered, Time, client_id_of, stale, waits
from .symbols import TRIGGERED, Symbol, decimals_of
from .text import cut_text, decimal_text, new_client_id
from .usdm_errors import not_offered, of_usdm_refusal, wrong_side
from .usdm_symbols import STP_MODES, TYPE_NAMES, TYPES

ROWS: Final = 1_000
WEEK_MS: Final = 7 * 86_400_000
WORKING_TYPES: Final = {"CONTRACT_PRICE": TriggerOn.LAST, "MARK_PRICE": TriggerOn.MARK}
TEXT: Final = "CONTRACT_PRICE"
BASE_TYPES: Final = {
    Kind.STOP: "MARKET",
    Kind.TAKE_PROFIT: "MARKET",
    Kind.STOP_LIMIT: "LIMIT",
    Kind.TAKE_PROFIT_LIMIT: "LIMIT",
}


# ---- parameters ------------------------------------------------------------------------------------


def steps(parameters: Parameters, name: str, step: Decimal, decimals: int, failures: tuple[int, int]) -> int:
    """An amount in steps, 0 when not sent. Raises -1111, or the codes for zero and for a part of a step."""
    value = parameters.amount(name)
    if value is None:
        return 0
    zero, off = failures
    if not value:
        text = "Price less than 0." if zero == -4001 else "Quantity less than or equal to zero."
        raise BinanceError(zero, text)
    if decimals_of(value) > decimals:
        raise BinanceError(-1111, "Precision is over the maximum defined for this asset.")
    count, rest = divmod(value, step)
    if rest:
        text = "Price not increased by tick size." if off == -4014 else "Qty not increased by step size."
        raise BinanceError(off, text)
    return int(count)


def price(parameters: Parameters, name: str, symbol: Symbol) -> int:
    return steps(parameters, name, symbol.tick, symbol.price_decimals, (-4001, -4014))


def quantity(parameters: Parameters, symbol: Symbol) -> int:
    return steps(parameters, "quantity", symbol.lot, symbol.quantity_decimals, (-4003, -4023))


def refuse_not_offered(parameters: Parameters) -> None:
    """What the exchange has no means for. Raises -4061 for hedge mode, else -1020."""
    side = parameters.text("positionSide")
    if side not in {None, "BOTH", "LONG", "SHORT"}:
        raise invalid_data("positionSide")
    if side in {"LONG", "SHORT"}:
        raise wrong_side()
    if parameters.flag("closePosition", False):
        raise not_offered("closePosition")
    if parameters.flag("priceProtect", False):
        raise not_offered("priceProtect")
    if parameters.text("priceMatch") not in {None, "NONE"}:
        raise not_offered("priceMatch")
    for name in ("activationPrice", "callbackRate", "goodTillDate"):
        if parameters.text(name) is not None:
            raise not_offered(name)


def read_time(parameters: Parameters, kind: Kind) -> tuple[TimeInForce, bool]:
    """Time in force and whether it is post-only (GTX). Raises -1102, -1115."""
    text = parameters.required("timeInForce") if kind is Kind.LIMIT else parameters.text("timeInForce")
    if text is None:
        return TimeInForce.GTC, False
    if text == "GTX":
        return TimeInForce.GTC, True
    found = TIMES.get(text)
    if found is None:
        raise BinanceError(-1115, "Invalid timeInForce.")
    return found, False


def read_order(parameters: Parameters, symbol: Symbol, valid_until_ns: int) -> NewOrder:
    """The order of `POST order`. Raises `BinanceError`."""
    side = read_side(parameters)
    name = parameters.required("type")
    if name == "TRAILING_STOP_MARKET":
        raise not_offered(name)
    kind = TYPES.get(name)
    if kind is None:
        raise BinanceError(-1116, "Invalid orderType.")
    refuse_not_offered(parameters)
    response = parameters.text("newOrderRespType") or "ACK"
    if response not in {"ACK", "RESULT"}:
        raise invalid_data("newOrderRespType")
    mode = parameters.text("selfTradePreventionMode")
    self_trade = SelfTrade.CANCEL_NEWEST if mode in {None, "NONE"} else read_stp(parameters)
    if self_trade not in STP_MODES:
        raise invalid_data("selfTradePreventionMode")
    client_id = parameters.client_id("newClientOrderId") or new_client_id()
    working = parameters.text("workingType") or TEXT
    if working not in WORKING_TYPES:
        raise invalid_data("workingType")
    wanted(parameters, "quantity", True)
    wanted(parameters, "price", kind in PRICED)
    wanted(parameters, "stopPrice", kind in TRIGGERED)
    tif, post_only = read_time(parameters, kind)
    request = PlaceRequest(
        symbol=symbol.market.symbol,
        side=side,
        kind=kind,
        time_in_force=TimeInForce.GTC if kind not in PRICED else tif,
        post_only=post_only,
        reduce_only=parameters.flag("reduceOnly", False),
        price_ticks=price(parameters, "price", symbol),
        trigger_ticks=price(parameters, "stopPrice", symbol),
        lots=quantity(parameters, symbol),
        client_id=client_id,
        self_trade=self_trade,
        trigger_on=WORKING_TYPES[working],
        valid_until_ns=valid_until_ns,
    )
    extras = Extras(type=name, working_type=working if working != TEXT else "")
    return NewOrder(symbol=symbol, request=request, extras=extras, response=response)


# ---- replies ---------------------------------------------------------------------------------------


def fired(order: Order, entry: Remembered | None) -> bool:
    """Whether a stop is known to have become an order of the book."""
    return not waits(order) and (order.filled_lots > 0 or (entry is not None and entry.working_ns > 0))


def types(order: Order, entry: Remembered | None) -> tuple[str, str]:
    """The type as it is now, and as it was placed."""
    original = TYPE_NAMES[order.kind]
    return BASE_TYPES.get(order.kind, original) if fired(order, entry) else original, original


def status_of(order: Order) -> str:
    """What the exchange ended by itself is EXPIRED, as at the venue."""
    if order.phase is OrderPhase.CANCELLED and order.reason not in {"", "user", "cancel_all", "switch"}:
        return "EXPIRED_IN_MATCH" if order.reason == "self_trade" else "EXPIRED"
    return STATUS[order.phase]


def average_price(order: Order, symbol: Symbol) -> str:
    if not order.filled_lots:
        return f"{Decimal(0):.{symbol.price_decimals}f}"
    return cut_text(order.cost / (symbol.lot * order.filled_lots), max(symbol.price_decimals, 5))


def working_type(entry: Remembered | None) -> str:
    return entry.extras.working_type if entry is not None and entry.extras is not None and (
        entry.extras.working_type
    ) else TEXT  # fmt: skip


def time_in_force(order: Order) -> str:
    return "GTX" if order.post_only else TIF_NAMES[order.time_in_force]


def order_body(order: Order, symbol: Symbol, entry: Remembered | None, time: Time) -> dict[str, Any]:
    """An order in every reply but streams."""
    now, original = types(order, entry)
    return {
        "orderId": order.order_id,
        "symbol": symbol.name,
        "status": status_of(order),
        "clientOrderId": client_id_of(order, entry),
        "price": symbol.price(order.price_ticks),
        "avgPrice": average_price(order, symbol),
        "origQty": symbol.quantity(order.lots),
        "executedQty": symbol.quantity(order.filled_lots),
        "cumQty": symbol.quantity(order.filled_lots),
        "cumQuote": decimal_text(order.cost),
        "timeInForce": time_in_force(order),
        "type": now,
        "reduceOnly": order.reduce_only,
        "closePosition": False,
        "side": SIDE_NAMES[order.side],
        "positionSide": "BOTH",
        "stopPrice": symbol.price(order.trigger_ticks),
        "workingType": working_type(entry),
        "priceProtect": False,
        "origType": original,
        "priceMatch": "NONE",
        "selfTradePreventionMode": STP_MODES.get(order.self_trade, "EXPIRE_TAKER"),
        "goodTillDate": 0,
        "time": time(order.created_ns),
        "updateTime": time(order.updated_ns),
    }


def body_of(context: Context, order: Order) -> dict[str, Any]:
    symbol = context.venue.symbols.of_canonical(order.symbol)
    assert symbol is not None, "callers leave out what is not offered"
    shown = stale(order) if context.stale else order
    return order_body(shown, symbol, context.venue.memory.of(order.order_id), context.time)


# ---- calls -----------------------------------------------------------------------------------------


def error_of(refused: Refused, new: NewOrder) -> BinanceError:
    least = new.symbol.market.instrument.min_notional or Decimal(0)
    return of_usdm_refusal(refused, new.request.kind, f"{least:f}")


async def place_order(context: Context, parameters: Parameters) -> Any:
    new = read_order(parameters, context.symbol(parameters.symbol()), context.valid_until_ns)
    parameters.finish()
    trading.check_time(context)
    if context.lost:
        order: Order | Refused = trading.lost_order(context, new.request)
    else:
        order = await trading.place_known(context, new.request, Remembered(extras=new.extras))
    if isinstance(order, Refused):
        raise error_of(order, new)
    if new.response == "ACK":
        # the venue says what it took, not what became of it
        order = msgspec.structs.replace(stale(order), waiting=order.kind in TRIGGERED)
    return body_of(context, order)


async def test_order(context: Context, parameters: Parameters) -> Any:
    """All checks of an order but those of its margin and of the book."""
    new = read_order(parameters, context.symbol(parameters.symbol()), context.valid_until_ns)
    parameters.finish()
    refused = context.exchange.check(context.account, new.request)
    if refused is not None:
        raise error_of(refused, new)
    return {}


async def query_order(context: Context, parameters: Parameters) -> Any:
    symbol = context.symbol(parameters.symbol())
    order_id, client_id = read_reference(parameters)
    parameters.finish()
    order = find_order(context, symbol, order_id, client_id)
    if order is None:
        raise BinanceError(-2013, "Order does not exist.")
    return body_of(context, order)


async def query_open_order(context: Context, parameters: Parameters) -> Any:
    symbol = context.symbol(parameters.symbol())
    order_id, client_id = read_reference(parameters)
    parameters.finish()
    order = find_order(context, symbol, order_id, client_id)
    if order is None or order.phase not in {OrderPhase.WORKING, OrderPhase.PARTIALLY_FILLED}:
        raise BinanceError(-2013, "Order does not exist.")
    return body_of(context, order)


async def cancel_order(context: Context, parameters: Parameters) -> Any:
    symbol = context.symbol(parameters.symbol())
    order_id, client_id = read_reference(parameters)
    parameters.finish()
    order, _ = await trading.cancel(context, symbol, order_id, client_id, cancel_id="")
    return body_of(context, order)


async def cancel_all(context: Context, parameters: Parameters) -> Any:
    symbol = context.symbol(parameters.symbol())
    parameters.finish()
    trading.check_time(context)
    if not context.lost:
        answer = await context.exchange.cancel_all(context.account, symbol.market.symbol)
        if isinstance(answer, Refused):
            raise of_cancel(answer)
    return {"code": 200, "msg": "The operation of cancel all open order is done."}


async def modify_order(context: Context, parameters: Parameters) -> Any:
    """Another price and quantity of a limit order; it keeps its number and its name."""
    symbol = context.symbol(parameters.symbol())
    order_id, client_id = read_reference(parameters)
    side = read_side(parameters)
    refuse_not_offered(parameters)
    for name in ("quantity", "price"):
        wanted(parameters, name, True)
    lots, ticks = quantity(parameters, symbol), price(parameters, "price", symbol)
    parameters.finish()
    trading.check_time(context)
    order = find_order(context, symbol, order_id, client_id)
    if order is None or order.phase not in {OrderPhase.WORKING, OrderPhase.PARTIALLY_FILLED}:
        raise BinanceError(-2013, "Order does not exist.")
    if order.kind is not Kind.LIMIT or order.side is not side:
        raise BinanceError(-5023, "Only limit order is supported.")
    if (order.lots, order.price_ticks) == (lots, ticks):
        raise BinanceError(-5027, "No need to modify the order.")
    answer = await context.exchange.amend(context.account, order.order_id, price_ticks=ticks, lots=lots)
    if isinstance(answer, Refused):
        least = symbol.market.instrument.min_notional or Decimal(0)
        raise of_usdm_refusal(answer, order.kind, f"{least:f}")
    return body_of(context, answer)


async def open_orders(context: Context, parameters: Parameters) -> Any:
    name = parameters.optional_symbol()
    parameters.finish()
    symbol = None if name is None else context.symbol(name).market.symbol
    found = context.exchange.orders(context.account, symbol=symbol, working=True, limit=MAX_ROWS)
    return [body_of(context, order) for order in reversed(found) if offered(context, order)]


def open_orders_weight(parameters: Parameters) -> int:
    return 1 if "symbol" in parameters.values else 40


async def all_orders(context: Context, parameters: Parameters) -> Any:
    symbol = context.symbol(parameters.symbol())
    first_id = parameters.whole("orderId")
    start_ns, end_ns = week(parameters)
    limit = parameters.limit(500, ROWS)
    parameters.finish()
    found: list[Order] = []
    for working in (True, False):
        found += context.exchange.orders(
            context.account, symbol=symbol.market.symbol, working=working, limit=MAX_ROWS,
            since_ns=start_ns, until_ns=end_ns,
        )  # fmt: skip
    found.sort(key=lambda order: order.order_id)
    if first_id is not None:
        found = [order for order in found if order.order_id >= first_id][:limit]
    else:
        found = found[:limit] if start_ns else found[-limit:]
    return [body_of(context, order) for order in found]


def week(parameters: Parameters) -> tuple[int, int]:
    """`startTime` and `endTime`. Raises -4166 when they are further apart than a week."""
    start, end = parameters.whole("startTime"), parameters.whole("endTime")
    if start is not None and end is not None and end - start > WEEK_MS:
        raise BinanceError(-4166, "Search window is restricted to recent 7 days only.")
    return parameters.span()


async def user_trades(context: Context, parameters: Parameters) -> Any:
    symbol = context.symbol(parameters.symbol())
    order_id, first_id = parameters.whole("orderId"), parameters.whole("fromId")
    start_ns, end_ns = week(parameters)
    limit = parameters.limit(500, ROWS)
    parameters.finish()
    if first_id is not None and (start_ns or end_ns):
        raise BinanceError(-1128, "Combination of optional parameters invalid.")
    found = context.exchange.fills(
        context.account, symbol=symbol.market.symbol, order_id=order_id, since_ns=start_ns, until_ns=end_ns,
        limit=MAX_ROWS if first_id is not None else limit,
    )  # fmt: skip
    if first_id is not None:
        found = [fill for fill in found if fill.trade_id >= first_id][:limit]
    return [user_trade(fill, symbol, context.time) for fill in found]


def user_trade(fill: Fill, symbol: Symbol, time: Time) -> dict[str, Any]:
    """A row without `realizedPnl`: the exchange knows the profit of positions, not of single executions."""
    return {
        "symbol": symbol.name,
        "id": fill.trade_id,
        "orderId": fill.order_id,
        "side": SIDE_NAMES[fill.side],
        "price": symbol.price(fill.price_ticks),
        "qty": symbol.quantity(fill.lots),
        "quoteQty": decimal_text(fill.cost),
        "commission": decimal_text(fill.fee),
        "commissionAsset": fill.fee_asset,
        "time": time(fill.time_ns),
        "positionSide": "BOTH",
        "buyer": fill.side is Side.BUY,
        "maker": fill.maker,
    }
