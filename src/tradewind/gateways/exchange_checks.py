"""What an exchange refuses before a command is built, and how it names the engine's own refusals."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from tradewind.core.enums import Side as EngineSide
from tradewind.core.events import Result
from tradewind.node.projections.book import Book
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import TimeInForce, VenueState

from .exchange_notes import MAX_CLIENT_ID
from .exchange_setup import BAND_BP, ListedMarket
from .model import Kind, Order, PlaceRequest, Refusal, Refused

MAX_LOTS: Final = 1 << 40
MAX_TICKS: Final = (1 << 31) - 1
MAX_TAG: Final = (1 << 63) - 1
BP: Final = 10_000
E6BP_WHOLE: Final = BP * 1_000_000
MARKET_MARGIN_BP: Final = 100
"""How far behind the last level that it needs a market order may still trade: the book moves meanwhile."""
BAND_MARGIN_BP: Final = 50
"""A market order's limit keeps this far inside of the engine's band, whose reference may move too."""
TRIGGERED: Final = frozenset({Kind.STOP, Kind.STOP_LIMIT, Kind.TAKE_PROFIT, Kind.TAKE_PROFIT_LIMIT})
AT_MARKET: Final = frozenset({Kind.MARKET, Kind.STOP, Kind.TAKE_PROFIT})

REFUSALS: Final = {
    "INSUFFICIENT_BALANCE": Refusal.INSUFFICIENT_FUNDS,
    "INSUFFICIENT_MARGIN": Refusal.INSUFFICIENT_FUNDS,
    "INSUFFICIENT_SHARES": Refusal.INSUFFICIENT_FUNDS,
    "POST_ONLY_WOULD_TAKE": Refusal.WOULD_TAKE,
    "FOK_NOT_FILLABLE": Refusal.NOT_FILLABLE,
    "NO_LIQUIDITY": Refusal.NO_LIQUIDITY,
    "ORDER_NOT_FOUND": Refusal.UNKNOWN_ORDER,
    "WRONG_OWNER": Refusal.UNKNOWN_ORDER,
    "ORDER_NOT_OPEN": Refusal.ORDER_CLOSED,
    "REPLACE_BELOW_FILLED": Refusal.AMEND_BELOW_FILLED,
    "TOO_MANY_OPEN_ORDERS": Refusal.TOO_MANY_ORDERS,
    "SELF_TRADE_PREVENTED": Refusal.SELF_TRADE,
    "PRICE_TOO_HIGH": Refusal.OUTSIDE_BAND,
    "PRICE_TOO_LOW": Refusal.OUTSIDE_BAND,
    "TRIGGER_WOULD_FIRE": Refusal.WOULD_TRIGGER,
    "INVALID_TRIGGER": Refusal.BAD_PRICE,
    "INVALID_PRICE": Refusal.BAD_PRICE,
    "INVALID_SIZE": Refusal.BAD_QUANTITY,
    "INVALID_DISPLAY_SIZE": Refusal.BAD_QUANTITY,
    "ORDER_TOO_SMALL": Refusal.BELOW_MIN_NOTIONAL,
    "ORDER_TOO_LARGE": Refusal.ABOVE_MAX_NOTIONAL,
    "REDUCE_ONLY_WOULD_INCREASE": Refusal.REDUCE_ONLY,
    "POSITION_TOO_LARGE": Refusal.POSITION_LIMIT,
    "OPEN_INTEREST_CAP": Refusal.POSITION_LIMIT,
    "LEVERAGE_TOO_HIGH": Refusal.POSITION_LIMIT,
    "SUITABILITY_REQUIRED": Refusal.POSITION_LIMIT,
    "EXPOSURE_LIMIT": Refusal.POSITION_LIMIT,
    "COVERAGE_TOO_LOW": Refusal.MARKET_CLOSED,
    "STAGE_FORBIDS": Refusal.MARKET_CLOSED,
    "STALE_PRICE": Refusal.MARKET_CLOSED,
    "LOW_CONFIDENCE": Refusal.MARKET_CLOSED,
    "INSUFFICIENT_SOURCES": Refusal.MARKET_CLOSED,
    "SOURCE_DIVERGENCE": Refusal.MARKET_CLOSED,
    "NON_POSITIVE_PRICE": Refusal.MARKET_CLOSED,
    "MARKET_CLOSE_ONLY": Refusal.CANCEL_ONLY,
    "MARKET_NOT_ACTIVE": Refusal.MARKET_CLOSED,
    "PAUSED": Refusal.MARKET_CLOSED,
    "IN_RESOLUTION_BUFFER": Refusal.MARKET_CLOSED,
    "BREAKER_ACTIVE": Refusal.MARKET_CLOSED,
    "FROZEN": Refusal.MARKET_CLOSED,
    "ORDER_EXPIRED": Refusal.DEADLINE_PASSED,
    "ORDER_EXPIRY_TOO_FAR": Refusal.UNSUPPORTED,
    "INVALID_ORDER_TYPE": Refusal.UNSUPPORTED,
    "INVALID_TIME_IN_FORCE": Refusal.UNSUPPORTED,
    "INVALID_LINK": Refusal.UNSUPPORTED,
    "INVALID_SWITCH_WINDOW": Refusal.UNSUPPORTED,
    "COMMAND_EXPIRED": Refusal.DEADLINE_PASSED,
    "RATE_LIMITED": Refusal.BUSY,
    "CAPACITY_EXCEEDED": Refusal.BUSY,
    "IDEMPOTENCY_WINDOW_FULL": Refusal.BUSY,
    "CONTINUATION_PENDING": Refusal.BUSY,
}


def refused(refusal: Refusal, message: str) -> Refused:
    """A refusal of our own."""
    return Refused(refusal, message)


def refused_by_engine(result: Result, deadline_ns: int = 0) -> Refused:
    """A refusal of the engine. An expired command whose sender set no deadline waited too long with us."""
    refusal = REFUSALS.get(result.name, Refusal.OTHER)
    if result.name == "COMMAND_EXPIRED" and not deadline_ns:
        refusal = Refusal.BUSY
    return Refused(refusal, result.message, result.name)


def check_form(request: PlaceRequest) -> Refused | None:
    """Numbers that are none, and fields that do not go together."""
    for number in (request.lots, request.price_ticks, request.trigger_ticks, request.display_lots):
        if type(number) is not int:
            raise TypeError(f"ticks and lots are whole numbers, not {type(number).__name__}")
    if len(request.client_id) > MAX_CLIENT_ID or not 0 <= request.tag <= MAX_TAG:
        return refused(Refusal.UNSUPPORTED, f"a client id has at most {MAX_CLIENT_ID} characters")
    by_amount = request.quote_amount != 0
    if by_amount and (request.kind is not Kind.MARKET or request.lots or request.quote_amount < 0):
        return refused(
            Refusal.BAD_QUANTITY, "an amount of the quote asset is for market orders without a size"
        )
    if not by_amount and (unfit := check_lots(request.lots)) is not None:
        return unfit
    at_market = request.kind in AT_MARKET
    if request.price_ticks if at_market else not 0 < request.price_ticks <= MAX_TICKS:
        return refused(Refusal.BAD_PRICE, f"price of {request.price_ticks} ticks for a {request.kind} order")
    waits = request.kind in TRIGGERED
    if not 0 < request.trigger_ticks <= MAX_TICKS if waits else request.trigger_ticks:
        return refused(
            Refusal.BAD_PRICE, f"trigger of {request.trigger_ticks} ticks for a {request.kind} order"
        )
    return _check_combination(request)


def check_lots(lots: int) -> Refused | None:
    """Whether so many lots can be ordered in any market."""
    if lots <= 0:
        return refused(Refusal.BAD_QUANTITY, f"{lots} lots")
    if lots > MAX_LOTS:
        return refused(Refusal.ABOVE_MAX_QUANTITY, f"{lots} lots are more than {MAX_LOTS}")
    return None


def _check_combination(request: PlaceRequest) -> Refused | None:
    immediate = request.time_in_force is not TimeInForce.GTC
    if request.post_only and (immediate or request.kind in AT_MARKET):
        return refused(Refusal.UNSUPPORTED, "only a lasting limit order can be post-only")
    if request.kind in (Kind.STOP, Kind.TAKE_PROFIT) and immediate:
        return refused(Refusal.UNSUPPORTED, "what waits for a price lasts until it has come")
    if request.expires_ns and (immediate or request.kind is Kind.MARKET):
        return refused(Refusal.UNSUPPORTED, "an order that ends at once has no expiry")
    return _check_display(request, immediate=immediate) if request.display_lots else None


def _check_display(request: PlaceRequest, *, immediate: bool) -> Refused | None:
    if request.kind is not Kind.LIMIT or immediate:
        return refused(Refusal.UNSUPPORTED, "only a lasting limit order can show a part of itself")
    if not 0 < request.display_lots <= request.lots:
        return refused(Refusal.BAD_QUANTITY, f"{request.display_lots} of {request.lots} lots cannot be shown")
    return None


def check_state(state: VenueState, request: PlaceRequest) -> Refused | None:
    """Whether a market in this state takes the order."""
    match state:
        case VenueState.ONLINE:
            return None
        case VenueState.POST_ONLY:
            return None if request.post_only else refused(Refusal.POST_ONLY_MODE, "only post-only orders now")
        case VenueState.LIMIT_ONLY:
            if request.kind is Kind.LIMIT:
                return None
            return refused(Refusal.UNSUPPORTED, "only limit orders now")
        case VenueState.CANCEL_ONLY | VenueState.REDUCE_ONLY:
            return refused(Refusal.CANCEL_ONLY, "only cancels now")
        case _:
            return refused(Refusal.MARKET_CLOSED, f"the market is {state}")


def check_size(market: ListedMarket, price_ticks: int, lots: int) -> Refused | None:
    """Filters of quantity and value at a price."""
    instrument = market.instrument
    quantity = instrument.lot * lots
    if instrument.min_quantity is not None and quantity < instrument.min_quantity:
        return refused(Refusal.BELOW_MIN_QUANTITY, f"{quantity} is below {instrument.min_quantity}")
    if instrument.max_quantity is not None and quantity > instrument.max_quantity:
        return refused(Refusal.ABOVE_MAX_QUANTITY, f"{quantity} is above {instrument.max_quantity}")
    value = quantity * (instrument.tick * price_ticks)
    if instrument.min_notional is not None and value < instrument.min_notional:
        return refused(Refusal.BELOW_MIN_NOTIONAL, f"{value} is below {instrument.min_notional}")
    if instrument.max_notional is not None and value > instrument.max_notional:
        return refused(Refusal.ABOVE_MAX_NOTIONAL, f"{value} is above {instrument.max_notional}")
    return None


def check_amendment(
    market: ListedMarket, order: Order, price_ticks: int | None, lots: int | None
) -> Refused | None:
    """Whether a working order can take a new limit or a new total size."""
    if price_ticks is not None and order.kind in AT_MARKET:
        return refused(Refusal.UNSUPPORTED, f"a {order.kind} order has no limit")
    if price_ticks is not None and not 0 < price_ticks <= MAX_TICKS:
        return refused(Refusal.BAD_PRICE, f"price of {price_ticks} ticks")
    if lots is not None and (unfit := check_lots(lots)) is not None:
        return unfit
    if lots is not None and lots <= order.filled_lots:
        text = f"{order.filled_lots} lots are filled, the new size must be above that"
        return refused(Refusal.AMEND_BELOW_FILLED, text)
    return check_size(market, price_ticks or order.price_ticks or order.trigger_ticks, lots or order.lots)


def reserve_micro(ticks: int, lots: int, unit: int, fee_e6bp: int) -> int:
    """What a buy order holds: its value at the limit and the fee, rounded up. Micro-units of the quote."""
    value = ticks * lots * unit
    return value + -(-value * fee_e6bp // E6BP_WHOLE)


def affordable_ticks(free_micro: int, lots: int, unit: int, fee_e6bp: int) -> int:
    """The highest limit at which `lots` and their fee are no more than what is free."""
    ticks = free_micro * E6BP_WHOLE // (lots * unit * (E6BP_WHOLE + fee_e6bp))
    while ticks > 0 and reserve_micro(ticks, lots, unit, fee_e6bp) > free_micro:
        ticks -= 1
    return ticks


def reference_ticks(book: Book, last_ticks: int | None) -> int | None:
    """The engine's reference of a spot market: the median of best bid, best ask and last trade."""
    prices = [one for one in (book.best(EngineSide.BUY), book.best(EngineSide.SELL), last_ticks) if one]
    prices.sort()
    if len(prices) == 3:
        return prices[1]
    return sum(prices) // len(prices) if prices else None


def market_limit(book: Book, reference_ticks: int | None, side: Side, lots: int) -> int | None:
    """The limit with which a market order of `lots` goes to the engine; None without an opposite side.

    `reference_ticks` is the price around which the engine's band lies.
    """
    opposite = EngineSide.SELL if side is Side.BUY else EngineSide.BUY
    worst, left = None, lots
    for level in book.levels(opposite):
        worst, left = level.price, left - level.lots
        if left <= 0:
            break
    if worst is None:
        return None
    reference = reference_ticks or worst
    inside_bp = BAND_BP - BAND_MARGIN_BP
    if side is Side.BUY:
        limit = worst * (BP + MARKET_MARGIN_BP) // BP
        return max(min(limit, reference * (BP + inside_bp) // BP, MAX_TICKS), 1)
    limit = -(-worst * (BP - MARKET_MARGIN_BP) // BP)
    return max(limit, -(-reference * (BP - inside_bp) // BP), 1)


def lots_for_amount(book: Book, side: Side, amount_micro: int, unit: int) -> int:
    """Lots that an amount of the quote asset buys (or that must be sold for it), on the book as it is."""
    opposite = EngineSide.SELL if side is Side.BUY else EngineSide.BUY
    lots, left = 0, amount_micro
    for level in book.levels(opposite):
        affordable = left // (level.price * unit)
        taken = min(level.lots, affordable)
        lots, left = lots + taken, left - taken * level.price * unit
        if taken < level.lots:
            break
    return lots


def micro_floor(amount: Decimal) -> int:
    """Whole micro-units of an amount, rounded down. Raises `TypeError` for a float."""
    if not isinstance(amount, Decimal):
        raise TypeError(f"money is Decimal, not {type(amount).__name__}")
    return int(amount.scaleb(6))
