"""Reference strategy: market making around the microprice (T14.4).

With fees of 10 bps a quote must stand about 15 bps from the microprice to earn its costs back, and in a book
whose spread is a hundredth of a basis point it then rarely trades. That is the honest default.
`DEMONSTRATION` quotes closer than its costs, so that a paper run shows orders, fills, fees and, as a rule, a
loss; it is refused outside sim and paper.
"""

from __future__ import annotations

import math
from collections import deque
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Literal

import msgspec

from tradewind.venues.market_data import Side
from tradewind.venues.protocol import FillEvent

from ..strategy import (
    AmendIntent,
    BookTop,
    CancelIntent,
    Context,
    Manifest,
    OwnOrder,
    PlaceIntent,
    PublicTrade,
    StrategyBase,
    StrategyIntent,
)

SECOND_NS = 1_000_000_000
MAX_TAPE = 65_536
BPS = 10_000


class ParameterError(ValueError):
    """A strategy parameter outside its bounds."""

    code = "ParameterError"


class MarketMakingParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters with units in their names; `validate` states the bounds."""

    base_half_bps: Decimal = Decimal(10)
    min_half_bps: Decimal = Decimal(5)
    max_half_bps: Decimal = Decimal(50)
    sigma_multiplier: Decimal = Decimal(1)
    adverse_selection_bps: Decimal = Decimal(1)
    cost_gate: Literal["enforce", "report"] = "enforce"
    layers: int = 3
    base_notional_quote: Decimal = Decimal(50)
    layer_step_bps: Decimal = Decimal(5)
    inventory_cap_pct: Decimal = Decimal(4)
    max_skew_bps: Decimal = Decimal(20)
    one_sided_share: Decimal = Decimal("0.7")
    refresh_bps: Decimal = Decimal(2)
    min_refresh_ms: int = 500
    max_messages_per_refresh: int = 4
    toxic_share: Decimal = Decimal("0.8")
    toxic_min_trades: int = 20
    toxic_window_s: int = 60
    max_daily_loss_pct: Decimal = Decimal(1)

    def validate(self, environment: str) -> None:
        """Raises `ParameterError` naming the parameter and its bounds."""
        zero = Decimal(0)
        bounds: dict[str, tuple[Decimal, Decimal]] = {
            "base_half_bps": (zero, Decimal(50)),
            "min_half_bps": (zero, Decimal(50)),
            "max_half_bps": (Decimal(1), Decimal(100)),
            "sigma_multiplier": (zero, Decimal(10)),
            "adverse_selection_bps": (zero, Decimal(50)),
            "base_notional_quote": (Decimal(5), Decimal(1_000_000)),
            "layer_step_bps": (zero, Decimal(50)),
            "inventory_cap_pct": (Decimal("0.1"), Decimal(10)),
            "max_skew_bps": (zero, Decimal(20)),
            "one_sided_share": (Decimal("0.1"), Decimal(1)),
            "refresh_bps": (Decimal("0.1"), Decimal(20)),
            "toxic_share": (Decimal("0.5"), Decimal(1)),
            "max_daily_loss_pct": (Decimal("0.1"), Decimal(1)),
            "layers": (Decimal(1), Decimal(5)),
            "min_refresh_ms": (Decimal(0), Decimal(60_000)),
            "max_messages_per_refresh": (Decimal(1), Decimal(50)),
            "toxic_min_trades": (Decimal(1), Decimal(10_000)),
            "toxic_window_s": (Decimal(1), Decimal(600)),
        }
        for name, (low, high) in bounds.items():
            value = Decimal(getattr(self, name))
            if not value.is_finite() or not low <= value <= high:
                raise ParameterError(f"{name} = {value} is outside {low}..{high}")
        if self.min_half_bps > self.max_half_bps:
            raise ParameterError("min_half_bps is above max_half_bps")
        if self.cost_gate == "report" and environment not in {"sim", "paper"}:
            raise ParameterError(f"cost_gate = 'report' is for sim and paper, not for {environment}")


DEMONSTRATION = MarketMakingParameters(
    base_half_bps=Decimal("0.8"),
    min_half_bps=Decimal("0.5"),
    sigma_multiplier=Decimal("0.2"),
    cost_gate="report",
    layer_step_bps=Decimal("0.8"),
    max_skew_bps=Decimal(2),
    refresh_bps=Decimal("0.4"),
    min_refresh_ms=1_000,
    max_messages_per_refresh=8,
)
"""Quotes inside its own costs on purpose: it trades on a tight book and shows what that costs."""


class MarketMaking(StrategyBase):
    """Two-sided quotes in layers, skewed by inventory; post-only always; cancels all when the book is not
    live.
    """

    def __init__(
        self, symbol: str, parameters: MarketMakingParameters | None = None, *, environment: str = "sim"
    ) -> None:
        self.parameters = parameters or MarketMakingParameters()
        self.parameters.validate(environment)
        self.manifest = Manifest(
            name="market-making",
            version="1",
            symbols=(symbol,),
            expected_holding_s=300,
            expected_edge_bps=2 * self.parameters.base_half_bps,
            cost_model="account fee schedule + adverse_selection_bps",
            max_loss_pct=self.parameters.max_daily_loss_pct,
            data=("book", "trades"),
        )
        self._mids: deque[tuple[int, Fraction]] = deque(maxlen=61)
        self._tape: deque[tuple[int, int, Side]] = deque()
        self._tape_lots = [0, 0]
        self._toxic_until_ns = 0
        self._quoted_ns = 0
        self.gate_reason = ""

    # ---- callbacks ---------------------------------------------------------------------------------

    def on_start(self, context: Context) -> list[StrategyIntent]:
        """Quotes of an earlier life are stale: cancel them."""
        return _cancel_all(context, "stale after start")

    def on_suspect(self, context: Context, symbol: str) -> list[StrategyIntent]:
        """Never quote against a book that is not live."""
        return _cancel_all(context, "book not live")

    def on_stop(self, context: Context) -> list[StrategyIntent]:
        """Leave nothing behind."""
        return _cancel_all(context, "stop")

    def on_fill(self, context: Context, fill: FillEvent) -> list[StrategyIntent]:
        """Nothing to do: the next refresh requotes."""
        return []

    def on_order(self, context: Context, order: OwnOrder, state: str) -> list[StrategyIntent]:
        """Nothing to do: the next book requotes."""
        return []

    def on_timer(self, context: Context) -> list[StrategyIntent]:
        """Nothing to do."""
        return []

    def on_trade(self, context: Context, trade: PublicTrade) -> list[StrategyIntent]:
        """Watch for one-sided flow."""
        if trade.aggressor is not None:
            if len(self._tape) == MAX_TAPE:
                self._forget_oldest()
            self._tape.append((trade.at_ns, trade.lots, trade.aggressor))
            self._tape_lots[trade.aggressor] += trade.lots
            window_ns = self.parameters.toxic_window_s * SECOND_NS
            while self._tape and context.now_ns - self._tape[0][0] > window_ns:
                self._forget_oldest()
            if self._one_sided():
                self._toxic_until_ns = context.now_ns + window_ns
        return []

    def on_book(self, context: Context, book: BookTop) -> list[StrategyIntent]:
        """Bring the quotes to where they should be."""
        if not book.bids or not book.asks:
            return _cancel_all(context, "one-sided book")
        middle = microprice(book)
        self._sample(context.now_ns, middle)
        if context.state == "halted":
            return _cancel_all(context, "halted")
        if context.hold_reason:
            return []
        if self._loss_exceeded(context):
            return _cancel_all(context, "daily loss of the strategy")
        if context.now_ns - self._quoted_ns < self.parameters.min_refresh_ms * 1_000_000:
            return []
        self._quoted_ns = context.now_ns
        wanted = self.quotes(context, book, middle)
        return self._intents(context, wanted)

    # ---- quoting -----------------------------------------------------------------------------------

    def half_spread_bps(self, context: Context) -> Decimal | None:
        """Distance of the first layer from the microprice; None when the cost gate forbids quoting.

        A round trip earns two half-spreads and pays two maker fees and the adverse selection; the gate asks
        for 1.5 times that (T14.3). Fees unknown: no quotes.
        """
        parameters = self.parameters
        if context.fees is None:
            self.gate_reason = "fees unknown"
            return None
        cost_bps = 2 * context.fees.maker_bps + parameters.adverse_selection_bps
        floor = Decimal("0.75") * cost_bps if parameters.cost_gate == "enforce" else Decimal(0)
        half = max(
            parameters.base_half_bps,
            parameters.min_half_bps,
            floor,
            parameters.sigma_multiplier * self.sigma_bps(),
        )
        if context.now_ns < self._toxic_until_ns:
            half *= 2
        if floor > parameters.max_half_bps:
            self.gate_reason = f"costs need {floor} bps, at most {parameters.max_half_bps} are allowed"
            return None
        self.gate_reason = (
            "" if 2 * half >= Decimal("1.5") * cost_bps else f"quotes below costs of {cost_bps} bps"
        )
        return min(half, parameters.max_half_bps)

    def sigma_bps(self) -> Decimal:
        """Standard deviation of one-minute returns from one-second samples, in basis points (a statistic)."""
        mids = [float(mid) for _, mid in self._mids]
        if len(mids) < 10:
            return Decimal(0)
        returns = [math.log(after / before) for before, after in pairwise(mids)]
        variance = sum(value * value for value in returns) / len(returns)
        return Decimal(round(math.sqrt(variance * 60) * BPS * 1_000)) / 1_000

    def quotes(
        self, context: Context, book: BookTop, middle: Fraction
    ) -> dict[tuple[Side, str], tuple[int, int]]:
        """Wanted orders as (side, layer) -> (price_ticks, lots)."""
        half = self.half_spread_bps(context)
        if half is None or not context.equity or context.equity <= 0:
            return {}
        instrument, parameters = context.instrument, self.parameters
        price = instrument.tick * Decimal(middle.numerator) / Decimal(middle.denominator)
        cap_lots = int(context.equity * parameters.inventory_cap_pct / 100 / price / instrument.lot)
        share = Decimal(context.position_lots) / cap_lots if cap_lots else Decimal(1)
        skew_bps = max(Decimal(-1), min(Decimal(1), share)) * parameters.max_skew_bps
        scale = context.size_multiplier * (Decimal("0.5") if context.now_ns < self._toxic_until_ns else 1)
        room = {Side.BUY: cap_lots - context.position_lots, Side.SELL: context.position_lots}
        if share > parameters.one_sided_share or context.state != "normal":
            room[Side.BUY] = 0
        # Working orders hold their funds and keep their size; new ones get what is left.
        working = {(order.side, order.tag): order.remaining_lots for order in context.orders}
        free = dict(room)
        for order in context.orders:
            free[order.side] -= order.remaining_lots
        wanted = {}
        for layer in range(parameters.layers):
            offset = half + layer * parameters.layer_step_bps
            size = int(parameters.base_notional_quote * 2**layer * scale / price / instrument.lot)
            for side in (Side.BUY, Side.SELL):
                have = working.get((side, f"L{layer}"))
                lots = min(size, free[side]) if have is None else have
                if lots > room[side] or not _tradable(context, price, lots):
                    continue
                room[side] -= lots
                if have is None:
                    free[side] -= lots
                wanted[side, f"L{layer}"] = (_quote_ticks(side, middle, offset, skew_bps, book), lots)
        return wanted

    def _intents(
        self, context: Context, wanted: dict[tuple[Side, str], tuple[int, int]]
    ) -> list[StrategyIntent]:
        """Cancels first, then amends, then new orders; an order with a request in flight is left alone."""
        cancels: list[StrategyIntent] = []
        amends: list[StrategyIntent] = []
        places: list[StrategyIntent] = []
        present: set[tuple[Side, str]] = set()
        best_own = _best_prices(context)
        for order in context.orders:
            key = (order.side, order.tag)
            target = wanted.get(key)
            if key in present or target is None:
                if not order.busy:
                    cancels.append(CancelIntent(client_id=order.client_id, reason="not wanted"))
                continue
            present.add(key)
            off = not order.busy and self._is_off(order.price_ticks, target[0])
            if off and not _meets(order.side, target[0], best_own):
                filled = order.lots - order.remaining_lots
                amends.append(
                    AmendIntent(client_id=order.client_id, price_ticks=target[0], lots=filled + target[1])
                )
        symbol = self.manifest.symbols[0]
        for (side, tag), (price_ticks, lots) in wanted.items():
            if (side, tag) not in present and not _meets(side, price_ticks, best_own):
                places.append(
                    PlaceIntent(symbol=symbol, side=side, price_ticks=price_ticks, lots=lots, tag=tag)
                )
        return cancels + (amends + places)[: self.parameters.max_messages_per_refresh]

    def _is_off(self, have_ticks: int, want_ticks: int) -> bool:
        """More than one tick and more than `refresh_bps` away."""
        off = abs(have_ticks - want_ticks)
        return off > 1 and off * BPS > self.parameters.refresh_bps * want_ticks

    # ---- watching ----------------------------------------------------------------------------------

    def _sample(self, now_ns: int, middle: Fraction) -> None:
        if not self._mids or now_ns - self._mids[-1][0] >= SECOND_NS:
            self._mids.append((now_ns, middle))

    def _forget_oldest(self) -> None:
        _, lots, side = self._tape.popleft()
        self._tape_lots[side] -= lots

    def _one_sided(self) -> bool:
        if len(self._tape) < self.parameters.toxic_min_trades:
            return False
        total = sum(self._tape_lots)
        return total > 0 and max(self._tape_lots) >= self.parameters.toxic_share * total

    def _loss_exceeded(self, context: Context) -> bool:
        if context.equity is None:
            return True
        return context.strategy_loss * 100 > context.equity * self.parameters.max_daily_loss_pct


def microprice(book: BookTop) -> Fraction:
    """Size-weighted middle in ticks: (bid * ask size + ask * bid size) / (sizes)."""
    (bid, bid_lots), (ask, ask_lots) = book.bids[0], book.asks[0]
    if bid_lots + ask_lots == 0:
        return Fraction(bid + ask, 2)
    return Fraction(bid * ask_lots + ask * bid_lots, bid_lots + ask_lots)


def _quote_ticks(side: Side, middle: Fraction, offset_bps: Decimal, skew_bps: Decimal, book: BookTop) -> int:
    """The layer's price, rounded away from the market and never across it. A long position moves both quotes
    down.
    """
    distance = -offset_bps if side is Side.BUY else offset_bps
    factor = 1 + (distance - skew_bps) / BPS
    exact = Decimal(middle.numerator) * factor / Decimal(middle.denominator)
    if side is Side.BUY:
        return max(1, min(int(exact.to_integral_value(ROUND_FLOOR)), book.asks[0][0] - 1))
    return max(int(exact.to_integral_value(ROUND_CEILING)), book.bids[0][0] + 1)


def _best_prices(context: Context) -> dict[Side, int]:
    """Own best working price of each side."""
    best: dict[Side, int] = {}
    for order in context.orders:
        known = best.get(order.side, order.price_ticks)
        better = max if order.side is Side.BUY else min
        best[order.side] = better(known, order.price_ticks)
    return best


def _meets(side: Side, price_ticks: int, best_own: dict[Side, int]) -> bool:
    """Whether this price would meet an own order of the other side (which has to move first)."""
    other = best_own.get(Side(1 - side))
    if other is None:
        return False
    return price_ticks >= other if side is Side.BUY else price_ticks <= other


def _tradable(context: Context, price: Decimal, lots: int) -> bool:
    """At least the venue's minima (with room for the price to move a little)."""
    instrument = context.instrument
    quantity = instrument.lot * lots
    if lots <= 0 or (instrument.min_quantity is not None and quantity < instrument.min_quantity):
        return False
    return instrument.min_notional is None or quantity * price >= instrument.min_notional * Decimal("1.02")


def _cancel_all(context: Context, reason: str) -> list[StrategyIntent]:
    return [
        CancelIntent(client_id=order.client_id, reason=reason) for order in context.orders if not order.busy
    ]
