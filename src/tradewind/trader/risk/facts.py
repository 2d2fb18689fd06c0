"""What several rules need to know of one order in one snapshot, worked out once."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from tradewind.venues.market_data import Known, Side

from .model import ZERO, Order, Snapshot, Top, Working


class Facts:
    """One pass over the working orders. `mid` is None without a known top of book."""

    __slots__ = (
        "_totals",
        "_worst",
        "buys",
        "crossing",
        "equity",
        "hundredth",
        "mid",
        "notional",
        "on_symbol",
        "order",
        "others",
        "pending",
        "position",
        "reduces",
        "same_side",
        "sells",
        "snapshot",
        "symbols",
        "top",
        "unresolved",
    )

    def __init__(self, order: Order, snapshot: Snapshot) -> None:
        self.order, self.snapshot = order, snapshot
        top = snapshot.tops.get(order.symbol)
        self.top: Top | None = top.value if isinstance(top, Known) else None
        self.mid = self.top.mid if self.top is not None else None
        self.notional = order.price * order.quantity
        self.position = snapshot.positions.get(order.symbol, ZERO)
        self.others = self.on_symbol = 0
        self.pending = ZERO
        self.crossing: Working | None = None
        self.unresolved: Working | None = None
        self.same_side: list[Working] = []
        self.buys: dict[str, Decimal] = {}
        self.sells: dict[str, Decimal] = {}
        self.symbols = {symbol for symbol, quantity in snapshot.positions.items() if quantity}
        self.equity: Decimal | None = None
        self.hundredth = ZERO
        if isinstance(snapshot.equity, Known) and snapshot.equity.value > 0:
            self.equity = snapshot.equity.value
            self.hundredth = self.equity / 100
        self._worst: dict[str, tuple[Decimal, Decimal]] | None = None
        self._totals: tuple[Decimal, Decimal] | None = None
        self._look_at_working()
        for rest in snapshot.planned:
            self._look_at_planned(rest)
        if order.side is Side.SELL:
            self.reduces = self.position > 0 and order.quantity + self.pending <= self.position
        else:
            self.reduces = self.position < 0 and order.quantity + self.pending <= -self.position

    def _look_at_working(self) -> None:
        order, symbol, side, price = self.order, self.order.symbol, self.order.side, self.order.price
        buying = side is Side.BUY
        buys, sells, symbols = self.buys, self.sells, self.symbols
        for other in self.snapshot.working:
            own = other.symbol == symbol
            if other.unresolved and own and other.strategy == order.strategy and self.unresolved is None:
                self.unresolved = other
            replaced = other.client_id == order.replaces
            if own and other.side is not side and self.crossing is None:
                limit = other.price
                if price >= limit if buying else price <= limit:
                    self.crossing = other
            if replaced:
                continue
            self.others += 1
            symbols.add(other.symbol)
            sums = buys if other.side is Side.BUY else sells
            sums[other.symbol] = sums.get(other.symbol, ZERO) + other.price * other.quantity
            if own:
                self.on_symbol += 1
                if other.side is side:
                    self.pending += other.quantity
                    self.same_side.append(other)
        symbols.add(symbol)
        sums = buys if buying else sells
        sums[symbol] = sums.get(symbol, ZERO) + self.notional

    def _look_at_planned(self, rest: Working) -> None:
        """What a parent has not placed; an order of this parent is a part of it."""
        order = self.order
        if rest.client_id == order.parent:
            rest = msgspec.structs.replace(rest, quantity=max(ZERO, rest.quantity - order.quantity))
        self.symbols.add(rest.symbol)
        sums = self.buys if rest.side is Side.BUY else self.sells
        sums[rest.symbol] = sums.get(rest.symbol, ZERO) + rest.price * rest.quantity
        if rest.symbol == order.symbol and rest.side is order.side:
            self.pending += rest.quantity
            self.same_side.append(rest)

    @property
    def worst(self) -> dict[str, tuple[Decimal, Decimal]]:
        """Lowest and highest notional each symbol can reach if all working orders and this one fill, in quote
        units. Raises `ValueError` for a position that cannot be valued.
        """
        if self._worst is None:
            self._worst = _valued(self.buys, self.sells, self.snapshot)
        return self._worst

    @property
    def totals(self) -> tuple[Decimal, Decimal]:
        """Gross and absolute net notional at the worst case, in quote units."""
        if self._totals is None:
            gross = low_sum = high_sum = ZERO
            for low, high in self.worst.values():
                gross += max(-low, high)
                low_sum += low
                high_sum += high
            self._totals = gross, max(abs(low_sum), abs(high_sum))
        return self._totals


def worst_exposures(order: Order | None, snapshot: Snapshot) -> dict[str, tuple[Decimal, Decimal]]:
    """Lowest and highest notional of each symbol if working orders, and `order`, fill. Raises `ValueError`
    for a position that cannot be valued.
    """
    if order is not None:
        return Facts(order, snapshot).worst
    buys: dict[str, Decimal] = {}
    sells: dict[str, Decimal] = {}
    for other in (*snapshot.working, *snapshot.planned):
        side = buys if other.side is Side.BUY else sells
        side[other.symbol] = side.get(other.symbol, ZERO) + other.price * other.quantity
    return _valued(buys, sells, snapshot)


def _valued(
    buys: dict[str, Decimal], sells: dict[str, Decimal], snapshot: Snapshot
) -> dict[str, tuple[Decimal, Decimal]]:
    worst = {}
    for symbol in {*buys, *sells, *(name for name, quantity in snapshot.positions.items() if quantity)}:
        quantity = snapshot.positions.get(symbol, ZERO)
        held = ZERO
        if quantity:
            top = snapshot.tops.get(symbol)
            if not isinstance(top, Known):
                raise ValueError(f"the position in {symbol} cannot be valued: {top!r}")
            held = quantity * top.value.mid
        worst[symbol] = (held - sells.get(symbol, ZERO), held + buys.get(symbol, ZERO))
    return worst
