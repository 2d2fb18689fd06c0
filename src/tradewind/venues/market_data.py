"""Normalised market data: what every feed, whatever its venue, hands to the rest of the platform.

Prices are whole *ticks* and quantities whole *lots* of the instrument (`Scale`); a value that is not a whole
number of steps is a `DecodeError`, never rounded. Times are integer nanoseconds since 1970 UTC, except fields
named `_mono_ns`, which are monotonic. No float ever holds a price or a quantity.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any, Generic, NoReturn, TypeVar

import msgspec

MAX_DIGITS = 38
MAX_DECIMALS = 18
MAX_MEMO_ENTRIES = 65_536
MAX_PRICE_TICKS = 2**63 - 1
MAX_LEVEL_LOTS = 2**127 - 1
"""What one level of a book can hold."""
QUICK_CHARACTERS = MAX_DECIMALS
"""Texts up to this length cannot have too many digits or decimals."""

Level = tuple[int, int]
"""One price level: (price_ticks, quantity_lots)."""

LevelChange = tuple["Side", int, int]
"""One absolute change: (side, price_ticks, new_lots); `new_lots` 0 removes the level."""


class Side(IntEnum):
    """Side of a book level or of the order that took liquidity."""

    BUY = 0
    SELL = 1


class BookState(StrEnum):
    """State of one symbol's mirror book. Only `LIVE` counts as known."""

    EMPTY = "empty"
    SYNCING = "syncing"
    LIVE = "live"
    SUSPECT = "suspect"


class FeedError(Exception):
    """Base of every error raised by a feed."""

    code = "FeedError"


class DecodeError(FeedError):
    """A frame that cannot be read exactly. Carries the channel and, when it could be read, the symbol."""

    code = "DecodeError"

    def __init__(self, channel: str, reason: str, symbol: str | None = None) -> None:
        super().__init__(f"{channel}{f' {symbol}' if symbol else ''}: {reason}")
        self.channel = channel
        self.reason = reason
        self.symbol = symbol


class BadNumber(DecodeError):
    """A price or quantity that is not a plain, positive (quantity: non-negative), on-step decimal."""

    code = "BadNumber"

    def __init__(self, reason: str, channel: str = "number", symbol: str | None = None) -> None:
        super().__init__(channel, reason, symbol)


class FloatMoney(TypeError):
    """A float reached a price or quantity constructor: a programming error, never data."""

    code = "FloatMoney"


class UnknownSymbol(FeedError):
    """A symbol this feed has no instrument for."""

    code = "UnknownSymbol"


class FeedUnavailable(FeedError):
    """A feed could not be built or reached; the message says which and why."""

    code = "FeedUnavailable"


class UnitParser(dict[Any, int]):
    """Turns decimal text into a whole number of `step`s, exactly; `parser["61837.63"]` -> 6183763.

    It is a dictionary because market data repeats itself: a price seen before costs one lookup. The memo is
    bounded by `MAX_MEMO_ENTRIES` and simply forgotten when full. Raises `BadNumber`, or `FloatMoney` for
    floats.
    """

    __slots__ = (
        "_denominator",
        "_exponent",
        "_ratios",
        "maximum_steps",
        "minimum_steps",
        "name",
        "round_down",
        "rounded",
        "step",
    )

    def __init__(self, step: Decimal, name: str, minimum_steps: int, round_down: bool = False,
                 maximum_steps: int = MAX_LEVEL_LOTS) -> None:  # fmt: skip
        super().__init__()
        self.round_down = round_down
        self.maximum_steps = maximum_steps
        self.rounded = 0
        if not step.is_finite() or step <= 0:
            raise ValueError(f"{name} step must be a positive decimal, got {step}")
        self.step = step
        self.name = name
        self.minimum_steps = minimum_steps
        _, digits, exponent = step.normalize().as_tuple()
        assert isinstance(exponent, int)
        self._denominator = int("".join(map(str, digits)))
        self._exponent = exponent
        self._ratios = [self._ratio(decimals) for decimals in range(MAX_DECIMALS + 1)]

    def __missing__(self, value: str | Decimal | int) -> int:
        text = value if type(value) is str else str(value) if type(value) is Decimal else ""
        steps = self._quick(text)
        if steps is None:
            steps = self._parse(value)
        if len(self) >= MAX_MEMO_ENTRIES:
            self.clear()
        self[value] = steps
        return steps

    def _quick(self, text: str) -> int | None:
        """Steps of a short plain text on step; None for all that `_parse` has to look at closely."""
        whole, dot, fraction = text.partition(".")
        digits = whole + fraction
        if len(text) > QUICK_CHARACTERS or not (digits.isascii() and digits.isdigit()):
            return None
        multiplier, divisor = self._ratios[len(fraction)]
        steps, remainder = divmod(int(digits) * multiplier, divisor)
        if remainder or not self.minimum_steps <= steps <= self.maximum_steps:
            return None
        return steps if whole and (fraction or not dot) else None

    def native_step(self) -> tuple[int, int, int]:
        """The step as the readers of the native module take it: denominator, exponent of ten, minimum."""
        return self._denominator, self._exponent, self.minimum_steps

    def _ratio(self, decimals: int) -> tuple[int, int]:
        """Multiplier and divisor from digits with so many decimals to steps."""
        shift = -decimals - self._exponent
        return (10**shift, self._denominator) if shift >= 0 else (1, self._denominator * 10**-shift)

    def _parse(self, value: str | Decimal | int) -> int:
        digits, decimals = self._digits(value)
        # value = digits * 10^-decimals and step = denominator * 10^exponent, both exact integers
        shift = -decimals - self._exponent
        numerator, denominator = digits, self._denominator
        if shift >= 0:
            numerator *= 10**shift
        else:
            denominator *= 10**-shift
        steps, remainder = divmod(numerator, denominator)
        if remainder and self.round_down:
            self.rounded += 1
        elif remainder:
            raise BadNumber(f"{self.name} {value} is not a multiple of {self.step}")
        if steps < self.minimum_steps:
            raise BadNumber(f"{self.name} {value} is below the minimum of {self.minimum_steps} step(s)")
        if steps > self.maximum_steps:
            raise BadNumber(f"{self.name} {value} has more than {self.maximum_steps} steps")
        return steps

    def _digits(self, value: str | Decimal | int) -> tuple[int, int]:
        if isinstance(value, str):
            whole, dot, fraction = value.partition(".")
            text = whole + fraction
            plain = text.isascii() and text.isdigit() and whole and (fraction or not dot)
            if not plain or len(fraction) > MAX_DECIMALS or len(text) > MAX_DIGITS:
                raise BadNumber(f"{self.name} {value[:64]!r} is not a plain decimal number")
            return int(text), len(fraction)
        if isinstance(value, float | bool):
            raise FloatMoney(f"{self.name} arrived as {type(value).__name__}")
        decimal = Decimal(value)
        sign, parts, exponent = decimal.as_tuple()
        if not isinstance(exponent, int) or sign:
            raise BadNumber(f"{self.name} {value} is negative or not finite")
        if len(parts) > MAX_DIGITS or abs(exponent) > MAX_DECIMALS:
            raise BadNumber(f"{self.name} {value} has too many digits")
        return int("".join(map(str, parts))) * 10 ** max(exponent, 0), max(-exponent, 0)


class Scale:
    """Exact conversion between a venue's decimals and whole ticks and lots.

    `level_lots` is for displayed level quantities only: a level may hold the odd remains of orders older
    than the venue's present lot size (seen in real Binance data), which nobody can trade; it is rounded
    down and counted.

    >>> Scale(Decimal("0.01"), Decimal("0.00001")).ticks["61837.63000000"]
    6183763
    """

    __slots__ = ("level_lots", "lot", "lots", "tick", "ticks")

    def __init__(self, tick: Decimal, lot: Decimal) -> None:
        self.tick = tick
        self.lot = lot
        self.ticks = UnitParser(tick, "price", minimum_steps=1, maximum_steps=MAX_PRICE_TICKS)
        self.lots = UnitParser(lot, "quantity", minimum_steps=0)
        self.level_lots = UnitParser(lot, "level quantity", minimum_steps=0, round_down=True)

    def price(self, price_ticks: int) -> Decimal:
        """The decimal price of `price_ticks`."""
        return self.tick * price_ticks

    def quantity(self, quantity_lots: int) -> Decimal:
        """The decimal quantity of `quantity_lots`."""
        return self.lot * quantity_lots

    def __repr__(self) -> str:
        return f"Scale(tick={self.tick}, lot={self.lot})"


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """One tradable symbol with the filters a feed or a paper venue needs. `None` means "no such rule".

    `price_decimals` and `quantity_decimals` are the decimals the venue prints, which its checksums are
    made of. `source` says where the rules came from: "venue", "facts" or "inferred" (from recorded prices).
    """

    venue: str
    symbol: str
    venue_symbol: str
    base: str
    quote: str
    tick: Decimal
    lot: Decimal
    min_quantity: Decimal | None = None
    max_quantity: Decimal | None = None
    min_notional: Decimal | None = None
    max_notional: Decimal | None = None
    price_decimals: int
    quantity_decimals: int
    status: str = "online"
    source: str
    as_of_ns: int | None = None

    def scale(self) -> Scale:
        """A fresh `Scale` for this instrument's tick and lot."""
        return Scale(self.tick, self.lot)


class BookSnapshot(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """The whole (bounded) book; levels best first. Replaces everything known about the symbol before it."""

    symbol: str
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    sequence: int
    venue_ts_ns: int | None
    recv_ts_ns: int
    recv_mono_ns: int
    epoch: int
    checksum: int | None = None


class BookDelta(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """Absolute new quantities of some levels; quantity 0 removes the level.

    From a feed, only levels whose quantity really changed are listed, and levels dropped because the book is
    bounded are listed with quantity 0, so that a consumer's copy stays equal to the feed's book. Levels of a
    feed equal the tuple of their pairs, and become Python objects only when they are looked at.
    """

    symbol: str
    bids: Sequence[Level]
    asks: Sequence[Level]
    first_id: int
    last_id: int
    previous_id: int | None
    venue_ts_ns: int | None
    recv_ts_ns: int
    recv_mono_ns: int
    epoch: int
    checksum: int | None = None

    def changes(self) -> Iterator[LevelChange]:
        """Yield (side, price_ticks, new_lots): bids first, each in the venue's order."""
        for price_ticks, lots in self.bids:
            yield Side.BUY, price_ticks, lots
        for price_ticks, lots in self.asks:
            yield Side.SELL, price_ticks, lots


class TradePrint(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """One public trade. `aggressor_side` is None when the venue's value is unknown; `raw_kind` keeps its
    text.
    """

    symbol: str
    trade_id: int | None
    price_ticks: int
    quantity_lots: int
    aggressor_side: Side | None
    venue_ts_ns: int | None
    recv_ts_ns: int
    recv_mono_ns: int
    epoch: int
    raw_kind: str = ""


class TopOfBook(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """Best bid and ask as the venue's own ticker channel states them."""

    symbol: str
    bid_ticks: int
    bid_lots: int
    ask_ticks: int
    ask_lots: int
    sequence: int | None
    venue_ts_ns: int | None
    recv_ts_ns: int
    recv_mono_ns: int
    epoch: int


class MarkPrice(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """What a perpetual is marked at: prices per unit of the base asset, off the tick. `funding_rate` is the
    part of a position's value that is paid at `next_funding_ns`, by longs when positive; None: not told.
    """

    symbol: str
    mark: Decimal
    index: Decimal | None
    funding_rate: Decimal | None
    next_funding_ns: int | None
    venue_ts_ns: int | None
    recv_ts_ns: int
    recv_mono_ns: int
    epoch: int


class FeedGap(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Something was lost or contradicted: what was expected, what came."""

    symbol: str
    reason: str
    expected: int | None
    got: int | None
    recv_ts_ns: int
    epoch: int


class FeedState(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A symbol's book changed state. `since_ns` is the receive time of the change."""

    symbol: str
    state: BookState
    reason: str
    since_ns: int
    epoch: int


class InstrumentChanged(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The venue changed an instrument's tick, lot, minima or status."""

    symbol: str
    instrument: Instrument
    recv_ts_ns: int


FeedEvent = (
    BookSnapshot | BookDelta | TradePrint | TopOfBook | MarkPrice | FeedGap | FeedState | InstrumentChanged
)
MarketMessage = BookSnapshot | BookDelta | TradePrint | TopOfBook | MarkPrice
"""What a decoder returns, before the mirror book has judged it."""

Value = TypeVar("Value")


class _NotANumber:
    """Arithmetic on a value that is not known is a type error, not a zero."""

    __slots__ = ()

    def _refuse(self, *_: object) -> NoReturn:
        raise TypeError(f"{type(self).__name__} is not a number: match it first")

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _refuse
    __neg__ = __float__ = __int__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = _refuse


class Known(msgspec.Struct, Generic[Value], frozen=True):
    """A value that is current: when it was learnt, from whom, with which sequence number."""

    value: Value
    as_of_ns: int
    source: str
    sequence: int | None = None


class Stale(_NotANumber, Generic[Value]):
    """A value that was known once. `last` is for display, never for a decision that adds risk."""

    __match_args__ = ("last", "as_of_ns", "source", "reason")
    __slots__ = ("as_of_ns", "last", "reason", "source")

    def __init__(self, last: Value, as_of_ns: int, source: str, reason: str) -> None:
        self.last = last
        self.as_of_ns = as_of_ns
        self.source = source
        self.reason = reason

    def __repr__(self) -> str:
        known = f"as_of_ns={self.as_of_ns}, source={self.source!r}, reason={self.reason!r}"
        return f"Stale({self.last!r}, {known})"


class Unknown(_NotANumber):
    """A value that is not known, with the reason. It is not zero."""

    __match_args__ = ("reason",)
    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __repr__(self) -> str:
        return f"Unknown({self.reason!r})"
