"""The trader's own ledger (T9.1, T9.2): double entry, exact, per asset; positions by lot, first in first out.

The venue's balance is the check, never the store. Amounts are `Decimal`; an inexact result raises instead of
rounding.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Context, Decimal, DivisionByZero, FloatOperation, Inexact, InvalidOperation

import msgspec

from tradewind.venues.market_data import Side
from tradewind.venues.protocol import FillEvent

EXACT = Context(prec=60, traps=[Inexact, InvalidOperation, DivisionByZero, FloatOperation])
"""Money arithmetic: sixty digits, and an error where that would not be exact."""
MICRO = Decimal("0.000001")
MAX_SEEN_FILLS = 50_000
"""An execution that is told again later than that meets an order nobody knows any more: the account halts."""
MAX_KEPT_FILL_KEYS = 10_000
ZERO = Decimal(0)


class LedgerError(Exception):
    """A posting that does not balance or would make a line negative: a programming error, never rounded
    away.
    """

    code = "LedgerBreak"


class Overfill(LedgerError):
    """More was filled or sold than there was."""

    code = "Overfill"


class Lot(msgspec.Struct):
    """Part of a position that was bought at one price."""

    quantity: Decimal
    price: Decimal
    acquired_ns: int


class Position(msgspec.Struct):
    """Position of one symbol in base units, by lot, with what was realised so far in quote units."""

    symbol: str
    base: str
    quote: str
    lots: list[Lot] = msgspec.field(default_factory=list)
    realised: Decimal = ZERO
    fees: dict[str, Decimal] = msgspec.field(default_factory=dict)
    bought: Decimal = ZERO
    sold: Decimal = ZERO
    volume_quote: Decimal = ZERO
    fill_count: int = 0
    held: Decimal = ZERO
    """Sum of the lots, kept as they change; `paid` likewise what they cost."""
    paid: Decimal = ZERO

    @property
    def quantity(self) -> Decimal:
        """Base units held through trading."""
        return self.held

    def buy(self, quantity: Decimal, price: Decimal, at_ns: int) -> None:
        """A new lot."""
        self.lots.append(Lot(quantity, price, at_ns))
        self.held = EXACT.add(self.held, quantity)
        self.paid = EXACT.add(self.paid, EXACT.multiply(quantity, price))

    def sell(self, quantity: Decimal, price: Decimal) -> Decimal:
        """Close lots, first in first out; returns what was left over when there were not enough."""
        left = quantity
        while left and self.lots:
            first = self.lots[0]
            part = min(left, first.quantity)
            self.realised = EXACT.add(self.realised, EXACT.multiply(part, EXACT.subtract(price, first.price)))
            self.held = EXACT.subtract(self.held, part)
            self.paid = EXACT.subtract(self.paid, EXACT.multiply(part, first.price))
            first.quantity -= part
            left -= part
            if not first.quantity:
                self.lots.pop(0)
        return left

    def lacks(self, quantity: Decimal) -> Decimal:
        """What is missing of a quantity in the held lots; zero when they suffice."""
        return max(ZERO, quantity - self.held)

    @property
    def cost(self) -> Decimal:
        """What the held lots cost, fees not included."""
        return self.paid

    def unrealised(self, price: Decimal) -> Decimal:
        """Profit of the held lots at `price`, before fees."""
        return EXACT.subtract(EXACT.multiply(self.held, price), self.paid)


class LedgerState(msgspec.Struct, kw_only=True):
    """A ledger as plain data."""

    lines: list[tuple[str, str, Decimal]]
    reservations: list[tuple[str, str, Decimal]]
    positions: list[Position]
    duplicate_fills: int
    seen: list[tuple[str, str, str, str, int]]


class Ledger:
    """Balances per asset, reservations per order, positions per symbol."""

    def __init__(self) -> None:
        self.lines: dict[tuple[str, str], Decimal] = {}
        self.reservations: dict[str, tuple[str, Decimal]] = {}
        self.positions: dict[str, Position] = {}
        self.duplicate_fills = 0
        self._seen: dict[tuple[str, str, str, str, int], None] = {}

    # ---- lines -------------------------------------------------------------------------------------

    def post(self, entries: list[tuple[str, str, Decimal]]) -> None:
        """Apply (asset, line, amount) entries that sum to zero per asset. Raises `LedgerError`, changing
        nothing.
        """
        sums: dict[str, Decimal] = {}
        for asset, _, amount in entries:
            if isinstance(amount, float):
                raise LedgerError(f"float amount {amount!r}")
            sums[asset] = EXACT.add(sums.get(asset, ZERO), amount)
        unbalanced = {asset: total for asset, total in sums.items() if total}
        if unbalanced:
            raise LedgerError(f"entries do not sum to zero: {unbalanced}")
        after = dict(self.lines)
        for asset, line, amount in entries:
            after[asset, line] = EXACT.add(after.get((asset, line), ZERO), amount)
        for asset, line, _ in entries:
            if line in ("available", "reserved") and after[asset, line] < 0:
                raise LedgerError(f"{asset} {line} would become {after[asset, line]}")
        self.lines = after

    def balance(self, asset: str, line: str) -> Decimal:
        """One line; zero when nothing was ever posted to it."""
        return self.lines.get((asset, line), ZERO)

    def available(self, asset: str) -> Decimal:
        """Free to reserve."""
        return self.balance(asset, "available")

    def total(self, asset: str) -> Decimal:
        """Available plus reserved: what the venue must show as free plus held."""
        return self.balance(asset, "available") + self.balance(asset, "reserved")

    def assets(self) -> list[str]:
        """Every asset with a line."""
        return sorted({asset for asset, _ in self.lines})

    def deposit(self, asset: str, amount: Decimal) -> None:
        """Funds from outside; negative for a withdrawal."""
        self.post([(asset, "available", amount), (asset, "external", -amount)])

    def knows(self, key: tuple[str, str, str, str, int]) -> bool:
        """Whether the execution with this key was booked."""
        return key in self._seen

    # ---- reservations ------------------------------------------------------------------------------

    def reserve(self, order_id: str, asset: str, amount: Decimal) -> None:
        """Set the order's reservation to `amount` (T9.2). Raises `LedgerError` when not available."""
        held = self.reservations.get(order_id, (asset, ZERO))
        if held[0] != asset:
            raise LedgerError(f"order {order_id} holds {held[0]}, not {asset}")
        change = amount - held[1]
        if change:
            self.post([(asset, "available", -change), (asset, "reserved", change)])
        if amount:
            self.reservations[order_id] = (asset, amount)
        else:
            self.reservations.pop(order_id, None)

    def release(self, order_id: str) -> None:
        """Free what the order still holds."""
        if order_id in self.reservations:
            self.reserve(order_id, self.reservations[order_id][0], ZERO)

    # ---- fills -------------------------------------------------------------------------------------

    def position(self, symbol: str, base: str, quote: str) -> Position:
        """The position of a symbol, created empty."""
        return self.positions.setdefault(symbol, Position(symbol, base, quote))

    def fill(self, event: FillEvent, *, base: str, quote: str, tick: Decimal, lot: Decimal) -> bool:
        """Book one execution; False when it was booked before (same key, T7.8).

        The reservation of its order shrinks by what the fill used. Raises `Overfill` when more is sold than
        held.
        """
        if event.key in self._seen:
            self.duplicate_fills += 1
            return False
        quantity = EXACT.multiply(lot, Decimal(event.lots))
        price = EXACT.multiply(tick, Decimal(event.price_ticks))
        notional = EXACT.multiply(quantity, price)
        position = self.position(event.symbol, base, quote)
        if event.side is Side.SELL and quantity > self.total(base):
            raise Overfill(f"sold {quantity} {base}, {self.total(base)} held")
        # checked before anything is posted: an execution is booked as a whole or not at all
        if event.side is Side.SELL and (short := position.lacks(quantity)):
            raise Overfill(f"sold {short} {base} more than the position's lots hold")
        held = self.reservations.get(event.client_id)
        self._use_reservation(event, quantity, notional, base, quote)
        sign = 1 if event.side is Side.BUY else -1
        try:
            self.post(
                [
                    (base, "available", sign * quantity),
                    (base, "traded", -sign * quantity),
                    (quote, "available", -sign * notional),
                    (quote, "traded", sign * notional),
                    (event.fee_asset, "available", -event.fee),
                    (event.fee_asset, "fees", event.fee),
                ]
            )
        except LedgerError:
            if held is not None:
                self.reserve(event.client_id, *held)
            raise
        self._move_lots(position, event, quantity, price)
        position.fees[event.fee_asset] = position.fees.get(event.fee_asset, ZERO) + event.fee
        position.volume_quote += notional
        position.fill_count += 1
        self._remember(event.key)
        return True

    def _use_reservation(
        self, event: FillEvent, quantity: Decimal, notional: Decimal, base: str, quote: str
    ) -> None:
        """Move what this fill spends from reserved to available, so that the fill's posting can take it."""
        held = self.reservations.get(event.client_id)
        if held is None:
            return
        spent = notional + event.fee if event.side is Side.BUY else quantity
        expected = quote if event.side is Side.BUY else base
        if held[0] != expected:
            raise LedgerError(f"order {event.client_id} holds {held[0]}, its fill spends {expected}")
        left = ZERO if event.remaining_lots == 0 else max(ZERO, held[1] - spent)
        self.reserve(event.client_id, held[0], left)

    def _move_lots(self, position: Position, event: FillEvent, quantity: Decimal, price: Decimal) -> None:
        if event.side is Side.BUY:
            position.buy(quantity, price, event.venue_ts_ns)
            position.bought += quantity
            return
        position.sold += quantity
        position.sell(quantity, price)

    def state(self) -> LedgerState:
        """Everything, as plain data (for a checkpoint)."""
        return LedgerState(
            lines=[(asset, line, amount) for (asset, line), amount in self.lines.items()],
            reservations=[(name, asset, amount) for name, (asset, amount) in self.reservations.items()],
            positions=list(self.positions.values()),
            duplicate_fills=self.duplicate_fills,
            seen=list(self._seen)[-MAX_KEPT_FILL_KEYS:],
        )

    def load(self, state: LedgerState) -> None:
        """Become what `state` says."""
        self.lines = {(asset, line): amount for asset, line, amount in state.lines}
        self.reservations = {name: (asset, amount) for name, asset, amount in state.reservations}
        self.positions = {position.symbol: position for position in state.positions}
        self.duplicate_fills = state.duplicate_fills
        self._seen = dict.fromkeys(state.seen)

    def _remember(self, key: tuple[str, str, str, str, int]) -> None:
        if len(self._seen) >= MAX_SEEN_FILLS:
            self._seen.pop(next(iter(self._seen)))
        self._seen[key] = None


def buy_reservation(quantity: Decimal, limit_price: Decimal, taker_rate: Decimal) -> Decimal:
    """Quote units that a buy may spend at worst, rounded up to the micro-unit (T9.2)."""
    worst = EXACT.multiply(EXACT.multiply(quantity, limit_price), 1 + taker_rate)
    return worst.quantize(MICRO, rounding=ROUND_CEILING)
