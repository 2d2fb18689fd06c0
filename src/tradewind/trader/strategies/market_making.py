"""Reference strategy: market making around the microprice (T14.4).

With fees of 10 bps a quote must stand about 15 bps from the microprice to earn its costs back, and in a book
whose spread is a hundredth of a basis point it then rarely trades. That is the honest default.
`DEMONSTRATION` quotes closer than its costs, so that a paper run shows orders, fills, fees and, as a rule, a
loss; it is refused outside sim and paper.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from tradewind.venues.market_data import Side
from tradewind.venues.protocol import FeeSchedule

from ..costs import CostModel, gate
from ..parameters import ParameterSet, bounded
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
from .pricing import (
    BPS,
    best_prices,
    cancel_all,
    leave_unknown_book,
    lots_for,
    meets,
    microprice,
    passive_ticks,
    the_one,
    tradable,
    two_sided,
)

SECOND_NS = 1_000_000_000
MAX_TAPE = 65_536
LEAST_HALF_BPS = 5
FIRST_PAUSE_NS, LONGEST_PAUSE_NS = 15 * SECOND_NS, 60 * SECOND_NS
REPORTING_ENVIRONMENTS = ("sim", "paper")


class MarketMakingParameters(ParameterSet, frozen=True):
    """Parameters with units in their names."""

    base_half_bps: Annotated[
        Decimal, bounded(0, 50, unit="bps", text="half-spread in a calm market; below 5 only in a report")
    ] = Decimal(10)
    min_half_bps: Annotated[
        Decimal, bounded(0, 50, unit="bps", text="the half-spread is never less; below 5 only in a report")
    ] = Decimal(5)
    max_half_bps: Annotated[
        Decimal, bounded(1, 50, unit="bps", text="never more; costs above it stop the quoting")
    ] = Decimal(50)
    sigma_multiplier: Annotated[
        Decimal, bounded(0, 10, text="half-spread per standard deviation of one-minute returns")
    ] = Decimal(1)
    adverse_selection_bps: Annotated[
        Decimal, bounded(0, 50, unit="bps", text="what the price moves against a round trip, on average")
    ] = Decimal(1)
    cost_gate: Annotated[
        Literal["enforce", "report"],
        bounded(text="enforce: quote outside of the costs; report: only say so (sim and paper)"),
    ] = "enforce"
    layers: Annotated[int, bounded(1, 5, text="quotes a side, each twice the size of the one before")] = 3
    base_notional_quote: Annotated[
        Decimal, bounded(5, 1_000_000, unit="quote", text="size of the first layer", swept=False)
    ] = Decimal(50)
    layer_step_bps: Annotated[Decimal, bounded(0, 50, unit="bps", text="distance between layers")] = Decimal(
        5
    )
    strategy_equity_pct: Annotated[
        Decimal, bounded(1, 100, unit="%", text="share of the account that is this strategy's", swept=False)
    ] = Decimal(40)
    inventory_cap_pct: Annotated[
        Decimal, bounded("0.1", 10, unit="%", text="most inventory, of the strategy's equity")
    ] = Decimal(10)
    max_skew_bps: Annotated[
        Decimal, bounded(0, 20, unit="bps", text="how far a full inventory moves both quotes")
    ] = Decimal(20)
    one_sided_share: Annotated[
        Decimal, bounded("0.1", 1, text="beyond this share of the cap nothing is added")
    ] = Decimal("0.7")
    refresh_bps: Annotated[
        Decimal, bounded("0.1", 20, unit="bps", text="a quote so far off (and over 1 tick) is amended")
    ] = Decimal(2)
    min_refresh_ms: Annotated[int, bounded(0, 60_000, unit="ms", text="pause between two refreshes")] = 500
    max_messages_per_refresh: Annotated[
        int, bounded(1, 50, text="amends and new orders of one refresh; cancels are not counted")
    ] = 4
    toxic_share: Annotated[Decimal, bounded("0.5", 1, text="one-sided share of volume that is toxic")] = (
        Decimal("0.8")
    )
    toxic_min_trades: Annotated[int, bounded(1, 10_000, text="fewer trades are no evidence")] = 20
    toxic_window_s: Annotated[int, bounded(1, 600, unit="s", text="window, and how long it is heeded")] = 60
    max_daily_loss_pct: Annotated[
        Decimal, bounded("0.1", 1, unit="%", text="loss of the day, of the account, that ends the quoting")
    ] = Decimal(1)

    @property
    def inventory_share(self) -> Decimal:
        """Most inventory as a share of the account's equity."""
        return self.strategy_equity_pct * self.inventory_cap_pct / 10_000

    def contradictions(self, environment: str) -> Iterable[tuple[str, str]]:
        """Bounds of T14.4 that depend on each other."""
        if self.min_half_bps > self.max_half_bps:
            yield "min_half_bps", "is above max_half_bps"
        if self.cost_gate == "report":
            if environment not in REPORTING_ENVIRONMENTS:
                yield "cost_gate", f"'report' is for sim and paper, not for {environment}"
            return
        for name in ("base_half_bps", "min_half_bps"):
            if getattr(self, name) < LEAST_HALF_BPS:
                yield name, f"is below {LEAST_HALF_BPS} bps, which only cost_gate = 'report' allows"


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

    Parameters = MarketMakingParameters
    presets: ClassVar[Mapping[str, MarketMakingParameters]] = {"demonstration": DEMONSTRATION}

    def __init__(
        self,
        symbols: tuple[str, ...],
        parameters: MarketMakingParameters | None = None,
        *,
        environment: str = "sim",
    ) -> None:
        self.parameters = parameters or MarketMakingParameters()
        self.parameters.validate(environment)
        self.manifest = Manifest(
            name="market-making",
            version="1",
            symbols=(the_one(symbols),),
            expected_holding_s=300,
            expected_edge_bps=2 * self.parameters.base_half_bps,
            cost_model="account fee schedule + adverse_selection_bps",
            max_loss_pct=self.parameters.max_daily_loss_pct,
            data=("book", "trades"),
            quotes=True,
        )
        self._mids: deque[tuple[int, Fraction]] = deque(maxlen=61)
        self._tape: deque[tuple[int, int, Side]] = deque()
        self._tape_lots = [0, 0]
        self._toxic_until_ns = 0
        self._quoted_ns = 0
        self._asked: dict[tuple[Side, str], int | None] = {}
        self._refusals: dict[tuple[Side, str], tuple[int, int]] = {}
        self.gate_reason = ""

    # ---- callbacks ---------------------------------------------------------------------------------

    def on_start(self, context: Context) -> list[StrategyIntent]:
        """Quotes of an earlier life are stale: cancel them."""
        return cancel_all(context.orders, "stale after start")

    def on_suspect(self, context: Context, symbol: str) -> list[StrategyIntent]:
        """Never quote against a book that is not live."""
        return cancel_all(context.orders, "book not live")

    def on_stop(self, context: Context) -> list[StrategyIntent]:
        """Leave nothing behind."""
        return cancel_all(context.orders, "stop")

    def on_timer(self, context: Context) -> list[StrategyIntent]:
        """A halted scope and a book that is not known have no quotes, whether anything moves or not."""
        if context.state == "halted":
            return cancel_all(context.orders, "halted")
        return leave_unknown_book(context.market(self.manifest.symbols[0]))

    def on_order(self, context: Context, order: OwnOrder, state: str) -> list[StrategyIntent]:
        """The order exists, so it was not refused. What was in flight when the book was lost is cancelled
        now.
        """
        self._asked.pop((order.side, order.tag), None)
        self._refusals.pop((order.side, order.tag), None)
        return leave_unknown_book(context.market(order.symbol))

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
        if not two_sided(book):
            return cancel_all(context.orders, "one-sided or crossed book")
        middle = microprice(book)
        self._sample(context.now_ns, middle)
        if context.state == "halted":
            return cancel_all(context.orders, "halted")
        if context.hold_reason:
            return []
        if self._loss_exceeded(context):
            return cancel_all(context.orders, "daily loss of the strategy")
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
        costs = self.costs(context.fees)
        floor = costs.needed_bps / 2 if parameters.cost_gate == "enforce" else Decimal(0)
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
        passes = gate(2 * half, costs).allowed
        self.gate_reason = "" if passes else f"quotes below costs of {costs.total_bps} bps"
        return min(half, parameters.max_half_bps)

    def costs(self, fees: FeeSchedule) -> CostModel:
        """A round trip of two resting orders: two maker fees and the adverse selection."""
        zero = Decimal(0)
        return CostModel(
            entry_fee_bps=fees.maker_bps,
            exit_fee_bps=fees.maker_bps,
            half_spread_in_bps=zero,
            half_spread_out_bps=zero,
            impact_bps=zero,
            adverse_selection_bps=self.parameters.adverse_selection_bps,
            source="parameter adverse_selection_bps",
        )

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
        cap_lots = lots_for(context.equity * parameters.inventory_share, price, instrument)
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
            size = lots_for(parameters.base_notional_quote * 2**layer * scale, price, instrument)
            for side in (Side.BUY, Side.SELL):
                have = working.get((side, f"L{layer}"))
                lots = min(size, free[side]) if have is None else have
                if lots > room[side] or not tradable(context.instrument, price, lots):
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
        best_own = best_prices(context.orders)
        self._note_refusals(context)
        for order in context.orders:
            key = (order.side, order.tag)
            target = wanted.get(key)
            if key in present or target is None:
                if not order.busy:
                    cancels.append(CancelIntent(client_id=order.client_id, reason="not wanted"))
                continue
            present.add(key)
            off = not order.busy and self._is_off(order.price_ticks, target[0])
            off = off and not self._pauses(key, context.now_ns)
            if off and not meets(order.side, target[0], best_own):
                filled = order.lots - order.remaining_lots
                amends.append(
                    AmendIntent(client_id=order.client_id, price_ticks=target[0], lots=filled + target[1])
                )
        symbol = self.manifest.symbols[0]
        for (side, tag), (price_ticks, lots) in wanted.items():
            if (side, tag) in present or self._pauses((side, tag), context.now_ns):
                continue
            if not meets(side, price_ticks, best_own):
                places.append(
                    PlaceIntent(symbol=symbol, side=side, price_ticks=price_ticks, lots=lots, tag=tag)
                )
        messages = (amends + places)[: self.parameters.max_messages_per_refresh]
        prices = {order.client_id: ((order.side, order.tag), order.price_ticks) for order in context.orders}
        self._asked = dict(prices[one.client_id] for one in messages if isinstance(one, AmendIntent))
        self._asked |= {(one.side, one.tag): None for one in messages if isinstance(one, PlaceIntent)}
        return cancels + messages

    def _note_refusals(self, context: Context) -> None:
        """A wish that changed nothing was refused: it is wished again after a pause that doubles, since a
        strategy that insists is halted (T11.9).
        """
        have = {(order.side, order.tag): order for order in context.orders}
        for key, price_ticks in self._asked.items():
            order = have.get(key)
            unchanged = order is not None and not order.busy and order.price_ticks == price_ticks
            if unchanged if price_ticks is not None else order is None:
                pause_ns = min(2 * self._refusals.get(key, (0, FIRST_PAUSE_NS // 2))[1], LONGEST_PAUSE_NS)
                self._refusals[key] = (context.now_ns + pause_ns, pause_ns)
        self._asked = {}

    def _pauses(self, key: tuple[Side, str], now_ns: int) -> bool:
        return now_ns < self._refusals.get(key, (0, 0))[0]

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


def _quote_ticks(side: Side, middle: Fraction, offset_bps: Decimal, skew_bps: Decimal, book: BookTop) -> int:
    """The layer's price. A long position moves both quotes down."""
    distance = -offset_bps if side is Side.BUY else offset_bps
    factor = 1 + (distance - skew_bps) / BPS
    return passive_ticks(side, Decimal(middle.numerator) * factor / Decimal(middle.denominator), book)
