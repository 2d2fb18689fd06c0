"""Markets of ccxt as instruments. What cannot be told exactly is quarantined, counted and never traded."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from tradewind.venues.market_data import FloatMoney, Instrument
from tradewind.venues.protocol import VenueState
from tradewind.venues.transport.account_mirror import Unmapped

DECIMAL_PLACES: Final = 2
SIGNIFICANT_DIGITS: Final = 3
TICK_SIZE: Final = 4
MAX_PLACES: Final = 18
MAX_DIGITS: Final = 38
STATES: Final = {True: VenueState.ONLINE, False: VenueState.MAINTENANCE, None: VenueState.UNKNOWN}


def exact(value: Any, what: str) -> Decimal:
    """A number that ccxt hands out: text or a whole number, never a float.

    Raises:
        FloatMoney: a float came through, so something is not exact. Unmapped: it is no finite number.
    """
    if isinstance(value, float | bool):
        raise FloatMoney(f"{what} arrived as {type(value).__name__}")
    try:
        number = Decimal(str(value))
    except InvalidOperation as error:
        raise Unmapped(f"{what} {str(value)[:40]!r} is no number") from error
    digits = number.as_tuple()
    if not number.is_finite() or len(digits.digits) > MAX_DIGITS or abs(int(digits.exponent)) > MAX_DIGITS:
        raise Unmapped(f"{what} {str(value)[:40]!r} is no amount")
    return number


def optional(value: Any, what: str) -> Decimal | None:
    """The same; None and zero are "no such rule" (T2.1)."""
    if value is None:
        return None
    number = exact(value, what)
    return number if number > 0 else None


class Directory:
    """Spot markets by canonical symbol."""

    def __init__(self) -> None:
        self.instruments: dict[str, Instrument] = {}
        self.states: dict[str, VenueState] = {}
        self.quarantined: dict[str, str] = {}
        """Symbols that cannot be traded here, with the reason."""

    @classmethod
    def of(cls, venue: str, markets: Mapping[str, Any], precision_mode: int, as_of_ns: int) -> Directory:
        """The spot markets of `exchange.markets`. Other kinds are left out: this connector trades spot."""
        found = cls()
        names: dict[str, str] = {}
        for symbol, market in markets.items():
            if not market.get("spot"):
                continue
            try:
                one = _instrument(venue, market, precision_mode, as_of_ns)
            except (Unmapped, FloatMoney, KeyError, TypeError, ArithmeticError) as error:
                found.quarantined[str(symbol)] = f"{type(error).__name__}: {error}"[:200]
                continue
            if one.venue_symbol in names or one.symbol in found.instruments:
                found.quarantined[one.symbol] = "another market has this name"
                continue
            names[one.venue_symbol] = one.symbol
            found.instruments[one.symbol] = one
            found.states[one.symbol] = STATES.get(market.get("active"), VenueState.UNKNOWN)
        return found

    def of_row(self, row: Mapping[str, Any]) -> Instrument:
        """The instrument of an order or execution. Raises `Unmapped`."""
        symbol = row.get("symbol")
        if not isinstance(symbol, str) or symbol not in self.instruments:
            raise Unmapped(f"no symbol {str(symbol)[:40]!r}")
        return self.instruments[symbol]


def _instrument(venue: str, market: Mapping[str, Any], mode: int, as_of_ns: int) -> Instrument:
    symbol, base, quote = market["symbol"], market["base"], market["quote"]
    if symbol != f"{base}/{quote}":
        raise Unmapped(f"{symbol!r} is not {base}/{quote}")
    tick = _step(market["precision"]["price"], mode, "price")
    lot = _step(market["precision"]["amount"], mode, "quantity")
    amount, cost = market["limits"]["amount"], market["limits"]["cost"]
    least = optional(amount.get("min"), "least quantity")
    if least is not None and least % lot:
        raise Unmapped(f"least quantity {least} is no multiple of {lot}")
    state = STATES.get(market.get("active"), VenueState.UNKNOWN)
    return Instrument(
        venue=venue,
        symbol=symbol,
        venue_symbol=str(market["id"]),
        base=base,
        quote=quote,
        tick=tick,
        lot=lot,
        min_quantity=least,
        max_quantity=optional(amount.get("max"), "largest quantity"),
        min_notional=optional(cost.get("min"), "least notional"),
        max_notional=optional(cost.get("max"), "largest notional"),
        price_decimals=_places(tick),
        quantity_decimals=_places(lot),
        status="online" if state is VenueState.ONLINE else str(state),
        source="venue",
        as_of_ns=as_of_ns,
    )


def _step(value: Any, mode: int, what: str) -> Decimal:
    """The step of a price or quantity, from what ccxt calls precision. Raises `Unmapped`."""
    number = exact(value, f"precision of the {what}")
    if mode == DECIMAL_PLACES:
        if number != number.to_integral_value() or abs(number) > MAX_PLACES:
            raise Unmapped(f"{what} has {number} places")
        return Decimal(1).scaleb(-int(number))
    if mode != TICK_SIZE:
        raise Unmapped(f"{what} in {number} significant digits has no fixed step")
    if number <= 0:
        raise Unmapped(f"step {number} of the {what}")
    return number.normalize()


def _places(step: Decimal) -> int:
    return max(0, -int(step.normalize().as_tuple().exponent))
