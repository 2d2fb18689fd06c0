"""Order parameters of the venue into a `PlaceRequest`, with the venue's checks in the venue's order."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from tradewind.gateways.model import Kind, PlaceRequest, SelfTrade
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import TimeInForce

from .errors import BinanceError, filter_failure, invalid_data, missing, not_required, one_of_missing
from .parameters import Parameters
from .symbols import ICEBERG_PARTS, STP_MODES, TRIGGERED, TYPES, Symbol, decimals_of
from .text import new_client_id

MIN_STRATEGY_TYPE: Final = 1_000_000
SIDES: Final = {"BUY": Side.BUY, "SELL": Side.SELL}
TIMES: Final = {"GTC": TimeInForce.GTC, "IOC": TimeInForce.IOC, "FOK": TimeInForce.FOK}
RESPONSES: Final = ("ACK", "RESULT", "FULL")
REFUSED_STP: Final = frozenset({"NONE", "TRANSFER"})
PRICED: Final = frozenset({Kind.LIMIT, Kind.STOP_LIMIT, Kind.TAKE_PROFIT_LIMIT})


class Extras(msgspec.Struct, frozen=True, kw_only=True):
    """What a client said about its order that only the venue's wire knows."""

    type: str = ""
    quote_order_qty: Decimal = Decimal(0)
    strategy_id: int | None = None
    strategy_type: int | None = None
    working_type: str = ""
    """Which price a trigger watches, where the venue offers a choice."""

    @property
    def unusual(self) -> bool:
        """Whether it says more than the order itself does."""
        return (
            bool(self.quote_order_qty)
            or self.strategy_id is not None
            or self.strategy_type is not None
            or bool(self.working_type)
        )


class NewOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed order: for the exchange, for the replies, and how the client wants its answer."""

    symbol: Symbol
    request: PlaceRequest
    extras: Extras
    response: str


def step_count(value: Decimal, step: Decimal, name: str, decimals: int, failure: str) -> int:
    """`value` as a whole number of steps. Raises -1111 for too many digits, else the filter's failure."""
    if decimals_of(value) > decimals:
        raise BinanceError(-1111, f"Parameter '{name}' has too much precision.")
    steps, rest = divmod(value, step)
    if rest:
        raise filter_failure(failure)
    return int(steps)


def price_ticks(parameters: Parameters, name: str, symbol: Symbol) -> int:
    """A price in ticks; 0 when it was not sent. Raises -1013 for zero and off-tick prices."""
    value = parameters.amount(name)
    if value is None:
        return 0
    if not value:
        raise BinanceError(-1013, "Invalid price.")
    return step_count(value, symbol.tick, name, symbol.price_decimals, "PRICE_FILTER")


def quantity_lots(parameters: Parameters, name: str, symbol: Symbol, kind: Kind = Kind.LIMIT) -> int:
    """A quantity in lots; 0 when it was not sent. Raises -1013 for zero and off-step quantities."""
    value = parameters.amount(name)
    if value is None:
        return 0
    if not value:
        raise BinanceError(-1013, "Invalid quantity.")
    failure = "MARKET_LOT_SIZE" if kind is Kind.MARKET else "LOT_SIZE"
    return step_count(value, symbol.lot, name, symbol.quantity_decimals, failure)


def read_side(parameters: Parameters) -> Side:
    side = SIDES.get(parameters.required("side"))
    if side is None:
        raise BinanceError(-1117, "Invalid side.")
    return side


def read_time_in_force(parameters: Parameters, name: str = "timeInForce") -> TimeInForce:
    found = TIMES.get(parameters.required(name))
    if found is None:
        raise BinanceError(-1115, "Invalid timeInForce.")
    return found


def read_stp(parameters: Parameters) -> SelfTrade:
    """What happens when the order meets one of the same account. Raises -1013 for NONE and TRANSFER."""
    mode = parameters.text("selfTradePreventionMode")
    if mode is None:
        return SelfTrade.CANCEL_NEWEST
    if mode in REFUSED_STP:
        raise BinanceError(-1013, "This symbol does not allow the specified self-trade prevention mode.")
    found = next((one for one, name in STP_MODES.items() if name == mode), None)
    if found is None:
        raise invalid_data("selfTradePreventionMode")
    return found


def read_strategy(parameters: Parameters, id_name: str, type_name: str) -> tuple[int | None, int | None]:
    strategy_id, strategy_type = parameters.whole(id_name), parameters.whole(type_name)
    if strategy_type is not None and strategy_type < MIN_STRATEGY_TYPE:
        raise BinanceError(-1134, "Strategy type was less than 1000000.")
    return strategy_id, strategy_type


def read_response(parameters: Parameters, default: str) -> str:
    response = parameters.text("newOrderRespType")
    if response is None:
        return default
    if response not in RESPONSES:
        raise invalid_data("newOrderRespType")
    return response


def refuse_unsupported(parameters: Parameters) -> None:
    """Trailing and pegged orders are not offered, and `exchangeInfo` says so."""
    if parameters.text("trailingDelta") is not None:
        raise BinanceError(-2010, "Trailing stop orders are not supported for this symbol.")
    for name in ("pegPriceType", "pegOffsetValue", "pegOffsetType"):
        if parameters.text(name) is not None:
            raise BinanceError(-2010, "Pegged orders are not supported for this symbol.")


def display(parameters: Parameters, name: str, symbol: Symbol, lots: int, tif: TimeInForce) -> int:
    """Visible lots of an iceberg order; 0 when it is none."""
    shown = parameters.amount(name)
    if not shown:
        return 0
    display_lots = step_count(shown, symbol.lot, name, symbol.quantity_decimals, "LOT_SIZE")
    if tif is not TimeInForce.GTC:
        raise BinanceError(-1013, "Unsupported order combination")
    if display_lots > lots:
        raise BinanceError(-1013, "IcebergQty exceeds QTY.")
    if -(-lots // display_lots) > ICEBERG_PARTS:
        raise filter_failure("ICEBERG_PARTS")
    return 0 if display_lots == lots else display_lots


def read_order(parameters: Parameters, symbol: Symbol, valid_until_ns: int) -> NewOrder:
    """The order of `POST order` and of everything that takes the same parameters. Raises `BinanceError`."""
    side = read_side(parameters)
    name = parameters.required("type")
    kind = TYPES.get(name)
    if kind is None:
        raise BinanceError(-1116, "Invalid orderType.")
    response = read_response(parameters, "FULL" if name in {"LIMIT", "MARKET"} else "ACK")
    refuse_unsupported(parameters)
    self_trade = read_stp(parameters)
    strategy_id, strategy_type = read_strategy(parameters, "strategyId", "strategyType")
    client_id = parameters.client_id("newClientOrderId") or new_client_id()
    check_combination(parameters, name, kind)
    tif = TimeInForce.GTC
    if kind in PRICED and name != "LIMIT_MAKER":
        tif = read_time_in_force(parameters)
    quote = parameters.amount("quoteOrderQty")
    if quote is not None and not quote:
        raise BinanceError(-1013, "Invalid quote order qty.")
    if quote is not None and decimals_of(quote) > symbol.price_decimals:
        raise BinanceError(-1111, "Parameter 'quoteOrderQty' has too much precision.")
    lots = quantity_lots(parameters, "quantity", symbol, kind)
    price = price_ticks(parameters, "price", symbol)
    trigger = price_ticks(parameters, "stopPrice", symbol)
    display_lots = display(parameters, "icebergQty", symbol, lots, tif)
    request = PlaceRequest(
        symbol=symbol.market.symbol,
        side=side,
        kind=kind,
        time_in_force=tif,
        post_only=name == "LIMIT_MAKER",
        price_ticks=price,
        trigger_ticks=trigger,
        lots=lots,
        quote_amount=quote if quote is not None else Decimal(0),
        display_lots=display_lots,
        client_id=client_id,
        self_trade=self_trade,
        valid_until_ns=valid_until_ns,
    )
    extras = Extras(
        type=name,
        quote_order_qty=quote if quote is not None else Decimal(0),
        strategy_id=strategy_id,
        strategy_type=strategy_type,
    )
    return NewOrder(symbol=symbol, request=request, extras=extras, response=response)


def wanted(parameters: Parameters, name: str, needed: bool) -> None:
    """Raises -1102 for what is needed and missing, -1106 for what must not be there."""
    if needed and not parameters.has(name):
        raise missing(name)
    if not needed and parameters.has(name):
        raise not_required(name)


def check_combination(parameters: Parameters, name: str, kind: Kind) -> None:
    """Which parameters a type needs (-1102) and which it must not have (-1106)."""
    if kind is Kind.MARKET:
        if not parameters.has("quantity") and not parameters.has("quoteOrderQty"):
            raise one_of_missing("quantity", "quoteOrderQty")
        if parameters.has("quantity") and parameters.has("quoteOrderQty"):
            raise BinanceError(-1128, "Combination of optional parameters invalid.")
    else:
        wanted(parameters, "quantity", True)
        wanted(parameters, "quoteOrderQty", False)
    wanted(parameters, "price", kind in PRICED)
    wanted(parameters, "stopPrice", kind in TRIGGERED)
    if parameters.has("timeInForce") and (kind not in PRICED or name == "LIMIT_MAKER"):
        raise not_required("timeInForce")
    if parameters.has("icebergQty") and kind not in PRICED:
        raise not_required("icebergQty")
