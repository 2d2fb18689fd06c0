"""Exact conversion between decimals and the engine's integers.

Money is an integer of micro-units (10⁻⁶ of the asset), a price an integer of ticks, a size an integer of lots
(protocol P1.4). Nothing is rounded unless the name of the function says in which direction.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, Inexact, InvalidOperation, Overflow

import msgspec

from tradewind.core.errors import FloatMoney, Rejected, reject

MICRO = 1_000_000
"""Micro-units of one unit."""
MAX_MICROS = 4 * 10**18
"""Largest absolute balance in micro-units (P1.4.1)."""
MAX_TICKS = 2**31 - 1
MAX_LOTS = 2**40

_EXACT = Context(prec=80, traps=[InvalidOperation, Overflow, Inexact])
_ROUNDING = Context(prec=80, traps=[InvalidOperation, Overflow])

Number = Decimal | int | str


def to_decimal(value: Number) -> Decimal:
    """A finite decimal.

    Raises:
        FloatMoney: a `float` (or `bool`) was given.
        Rejected: NOT_A_NUMBER for NaN, infinity and text that is no number.
    """
    if isinstance(value, float | bool):
        raise FloatMoney(f"{value!r} is a {type(value).__name__}; give a Decimal, an int or a decimal string")
    try:
        number = value if isinstance(value, Decimal) else Decimal(value)
    except InvalidOperation as error:
        raise reject("NOT_A_NUMBER") from error
    if not number.is_finite():
        raise reject("NOT_A_NUMBER")
    return number


def _scaled(value: Number, context: Context = _EXACT) -> Decimal:
    """`value` × 10⁶, without loss of digits.

    Raises:
        Rejected: MATH_OVERFLOW for more digits than any amount can have.
    """
    number = to_decimal(value)
    if number.adjusted() > 30:
        raise reject("MATH_OVERFLOW")
    if number.adjusted() < -60:
        return Decimal(0) if number == 0 else Decimal(1).scaleb(-60).copy_sign(number)
    try:
        return context.multiply(number, MICRO)
    except (Inexact, Overflow) as error:
        raise reject("MATH_OVERFLOW") from error


def _bounded(micros: int) -> int:
    if abs(micros) > MAX_MICROS:
        raise reject("MATH_OVERFLOW")
    return micros


def to_micros(value: Number) -> int:
    """Micro-units of an amount that has at most six decimals.

    Raises:
        FloatMoney, Rejected: NOT_A_NUMBER, MATH_OVERFLOW, INVALID_AMOUNT for a seventh decimal.
    """
    scaled = _scaled(value)
    if scaled != scaled.to_integral_value():
        raise reject("INVALID_AMOUNT", bound=1, given=0)
    return _bounded(int(scaled))


def micros_received(value: Number) -> int:
    """Micro-units of an outside amount on its way in: cut off, which favours the platform (P1.4.1).

    Raises:
        FloatMoney, Rejected: NOT_A_NUMBER, MATH_OVERFLOW, INVALID_AMOUNT below one micro-unit.
    """
    micros = _bounded(int(_scaled(value, _ROUNDING)))
    if micros < 1:
        raise reject("INVALID_AMOUNT", bound=1, given=micros)
    return micros


def from_micros(micros: int) -> Decimal:
    """The amount in units: `from_micros(1_500_000)` is `Decimal("1.500000")`."""
    return Decimal(micros).scaleb(-6, _ROUNDING)


class Scale(msgspec.Struct, frozen=True):
    """Ticks and lots of one market.

    Attributes:
        tick_size: micro-quote per whole unit of the base asset.
        lot_size: micro-base per lot.

    >>> scale = Scale(tick_size=10_000, lot_size=1_000)
    >>> scale.ticks("100.00"), scale.lots(10), scale.notional(10_000, 10_000)
    (10000, 10000, 1000000000)
    """

    tick_size: int
    lot_size: int

    def __post_init__(self) -> None:
        """
        Raises:
            Rejected: INVALID_TICK_LOT (P1.4.2).
        """
        product = self.tick_size * self.lot_size
        if self.tick_size < 1 or self.lot_size < 1 or product % MICRO:
            raise reject("INVALID_TICK_LOT", given=product)

    @property
    def unit(self) -> int:
        """Micro-quote of one tick times one lot."""
        return self.tick_size * self.lot_size // MICRO

    def ticks(self, price: Number) -> int:
        """A price on the tick grid.

        Raises:
            FloatMoney, Rejected: NOT_A_NUMBER, TICK_MISALIGNED, INVALID_PRICE outside 1..2³¹−1 ticks.
        """
        ticks = self._whole(price, self.tick_size, reject("TICK_MISALIGNED", bound=self.tick_size))
        if not 1 <= ticks <= MAX_TICKS:
            raise reject("INVALID_PRICE", bound=MAX_TICKS, given=ticks)
        return ticks

    def ticks_floor(self, price: Number) -> int:
        """The tick at or below a price; may be 0 or negative."""
        return self._rounded(price, self.tick_size, ROUND_FLOOR)

    def ticks_ceil(self, price: Number) -> int:
        """The tick at or above a price."""
        return self._rounded(price, self.tick_size, ROUND_CEILING)

    def lots(self, size: Number) -> int:
        """A size on the lot grid.

        Raises:
            FloatMoney, Rejected: NOT_A_NUMBER, LOT_MISALIGNED, INVALID_SIZE outside 1..2⁴⁰ lots.
        """
        lots = self._whole(size, self.lot_size, reject("LOT_MISALIGNED", bound=self.lot_size))
        if not 1 <= lots <= MAX_LOTS:
            raise reject("INVALID_SIZE", bound=MAX_LOTS, given=lots)
        return lots

    def lots_floor(self, size: Number) -> int:
        """The largest number of lots that is no more than a size; may be 0."""
        return self._rounded(size, self.lot_size, ROUND_FLOOR)

    def price(self, ticks: int) -> Decimal:
        """Quote units per base unit."""
        return from_micros(ticks * self.tick_size)

    def size(self, lots: int) -> Decimal:
        """Base units."""
        return from_micros(lots * self.lot_size)

    def notional(self, ticks: int, lots: int) -> int:
        """Micro-quote, exactly."""
        return ticks * lots * self.unit

    def _whole(self, value: Number, step: int, misaligned: Rejected) -> int:
        scaled = _scaled(value)
        quotient, rest = _ROUNDING.divmod(scaled, step)
        if rest:
            misaligned.given = int(scaled)
            raise misaligned
        return int(quotient)

    def _rounded(self, value: Number, step: int, rounding: str) -> int:
        quotient = _ROUNDING.divide(_scaled(value, _ROUNDING), Decimal(step))
        return int(quotient.to_integral_value(rounding=rounding))
