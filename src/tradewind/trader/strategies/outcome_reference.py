"""Reference strategy: an outcome market against the book of an outside venue.

An outcome claim pays 1 or 0; its price is a probability in (0, 1). The fair value is the microprice of the
same claim at an outside venue that this strategy only looks at (Polymarket, read only). It buys a claim
that is offered below the fair value and sells one that is bid above it, taking only when the difference is
at least 1.5 times all costs, and otherwise rests orders so far from the fair value that a fill would be.

What stops it: an outside book that is missing, old, wide or one-sided; a fair value outside of its limits;
a difference between both markets that is too large to be believed (somebody knows more, or the claims are
not the same); the time before settlement; a loss of the day. Each of them cancels everything. It never
sells what it does not hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, ClassVar, Literal

from tradewind.venues.market_data import Side
from tradewind.venues.protocol import TimeInForce

from ..costs import CostModel, cost_model, gate, spread_bps_of
from ..costs import Leg as CostLeg
from ..parameters import ParameterError, ParameterSet, bounded
from ..strategy import (
    AmendIntent,
    BookTop,
    Context,
    Manifest,
    MarketView,
    OwnOrder,
    PlaceIntent,
    StrategyBase,
    StrategyIntent,
)
from .pricing import (
    BPS,
    best_prices,
    cancel_all,
    lots_for,
    meets,
    microprice,
    passive_ticks,
    the_one,
    tradable,
    two_sided,
)

SECOND_NS = 1_000_000_000
MILLISECOND_NS = 1_000_000
LATEST_S = 4_102_444_800
"""The year 2100."""
SIMULATED = ("sim", "paper")
TAKE, QUOTE = "take", "quote"


class OutcomeReferenceParameters(ParameterSet, frozen=True):
    """Limits on what is believed, on size, and on time. Prices are quote units a claim, 0 to 1."""

    mode: Annotated[
        Literal["both", "take", "quote"], bounded(text="take what is mispriced, rest quotes, or both")
    ] = "both"
    cost_gate: Annotated[
        Literal["enforce", "report"],
        bounded(text="enforce: 1.5 times the costs; report: any difference (sim and paper)"),
    ] = "enforce"
    settles_at_s: Annotated[
        int,
        bounded(0, LATEST_S, unit="s since 1970 UTC", text="settlement; 0: not known, no entry", swept=False),
    ] = 0
    stop_before_settlement_s: Annotated[
        int, bounded(60, 30 * 86_400, unit="s", text="no entry and no quote so long before settlement")
    ] = 3_600
    before_settlement: Annotated[
        Literal["hold", "sell"], bounded(text="what happens to claims then: keep, or sell at the fair value")
    ] = "hold"
    max_outside_age_ms: Annotated[
        int, bounded(100, 600_000, unit="ms", text="an older outside book is not believed")
    ] = 30_000
    max_outside_spread: Annotated[
        Decimal, bounded("0.001", "0.2", unit="price", text="nor is a wider one")
    ] = Decimal("0.03")
    max_divergence: Annotated[
        Decimal, bounded("0.01", "0.5", unit="price", text="a larger difference of both markets stops it")
    ] = Decimal("0.15")
    least_fair: Annotated[
        Decimal, bounded("0.001", "0.5", unit="price", text="no trade nearer than this to 0 or 1")
    ] = Decimal("0.05")
    max_position_quote: Annotated[
        Decimal,
        bounded(1, 100_000, unit="quote", text="most that may be held, at the fair value", swept=False),
    ] = Decimal(200)
    order_quote: Annotated[
        Decimal, bounded(1, 10_000, unit="quote", text="size of one order", swept=False)
    ] = Decimal(25)
    refresh_bps: Annotated[
        Decimal, bounded(1, 1_000, unit="bps", text="a quote so far off (and over 1 tick) is amended")
    ] = Decimal(50)
    min_refresh_ms: Annotated[int, bounded(100, 60_000, unit="ms", text="pause between two decisions")] = (
        1_000
    )
    max_daily_loss_pct: Annotated[
        Decimal, bounded("0.1", 1, unit="%", text="loss of the day, of the account, that ends it")
    ] = Decimal(1)

    def contradictions(self, environment: str) -> Iterable[tuple[str, str]]:
        """Rules that depend on each other and on the environment."""
        if self.order_quote > self.max_position_quote:
            yield "order_quote", "is above max_position_quote"
        if self.cost_gate == "report" and environment not in SIMULATED:
            yield "cost_gate", f"'report' is for sim and paper, not for {environment}"


DEMONSTRATION = OutcomeReferenceParameters(
    cost_gate="report", settles_at_s=LATEST_S, max_divergence=Decimal("0.5"), least_fair=Decimal("0.01")
)
"""Trades any difference, however small: shows orders and fees, and as a rule a loss."""


class OutcomeReference(StrategyBase):
    """One outcome market against one outside book of the same claim."""

    Parameters = OutcomeReferenceParameters
    presets: ClassVar[Mapping[str, OutcomeReferenceParameters]] = {"demonstration": DEMONSTRATION}

    def __init__(
        self,
        symbols: tuple[str, ...],
        parameters: OutcomeReferenceParameters | None = None,
        *,
        environment: str = "sim",
        outside: tuple[str, ...] = (),
    ) -> None:
        self.parameters = parameters or OutcomeReferenceParameters()
        self.parameters.validate(environment)
        self.symbol = the_one(symbols)
        if len(outside) != 1 or outside[0] == self.symbol:
            given = ", ".join(outside) or "none"
            raise ParameterError("outside", "exactly one other symbol, the same claim elsewhere", given)
        self.outside = outside[0]
        self.manifest = Manifest(
            name="outcome-reference",
            version="1",
            symbols=(self.symbol,),
            outside=outside,
            expected_holding_s=3_600,
            expected_edge_bps=Decimal(200),
            cost_model="account fee schedule, displayed spread, conservative table of impact",
            max_loss_pct=self.parameters.max_daily_loss_pct,
            data=("book",),
            quotes=self.parameters.mode != "take",
        )
        self.gate_reason = ""
        self._decided_ns = 0

    # ---- callbacks -----------------------------------------------------------------------------------

    def on_start(self, context: Context) -> list[StrategyIntent]:
        """Orders of an earlier life are stale."""
        return cancel_all(self._orders(context), "stale after start")

    def on_stop(self, context: Context) -> list[StrategyIntent]:
        """Leave nothing behind."""
        return cancel_all(self._orders(context), "stop")

    def on_suspect(self, context: Context, symbol: str) -> list[StrategyIntent]:
        """Either book missing: nothing rests."""
        return cancel_all(self._orders(context), f"book of {symbol} not live")

    def on_book(self, context: Context, book: BookTop) -> list[StrategyIntent]:
        """Either of the two books changed."""
        return self._decide(context)

    def on_order(self, context: Context, order: OwnOrder, state: str) -> list[StrategyIntent]:
        """What was in flight when one of the books was lost is cancelled now."""
        view, outside = context.market(self.symbol), context.market(self.outside)
        return cancel_all(view.orders, "book not live") if None in (view.book, outside.book) else []

    def on_timer(self, context: Context) -> list[StrategyIntent]:
        """Age and settlement do not wait for an event."""
        return self._decide(context)

    # ---- what is believed ----------------------------------------------------------------------------

    def fair(self, context: Context) -> tuple[Decimal, str]:
        """Price of the claim by the outside book, and why it is not believed; empty when it is."""
        view = context.market(self.outside)
        book, parameters = view.book, self.parameters
        if book is None or not two_sided(book):
            return Decimal(0), "the outside book is missing, one-sided or crossed"
        tick = view.instrument.tick
        fair = _price(microprice(book), tick)
        spread = tick * (book.asks[0][0] - book.bids[0][0])
        if context.now_ns - book.as_of_ns > parameters.max_outside_age_ms * MILLISECOND_NS:
            return fair, "the outside book is stale"
        if spread > parameters.max_outside_spread:
            return fair, f"the outside spread is {spread}"
        if not parameters.least_fair <= fair <= 1 - parameters.least_fair:
            return fair, f"the fair value {fair:.4f} is too near to 0 or 1"
        return fair, ""

    def _stopped(self, context: Context, view: MarketView, fair: Decimal, book: BookTop) -> str:
        """Why nothing may be entered or quoted now."""
        parameters = self.parameters
        if context.equity is None:
            return "the equity is not known"
        if context.strategy_loss * 100 > context.equity * parameters.max_daily_loss_pct:
            return "daily loss of the strategy"
        if parameters.settles_at_s == 0:
            return "the time of settlement is not known (settles_at_s)"
        if self._settles_soon(context):
            return "too near to settlement"
        middle = view.instrument.tick * (book.bids[0][0] + book.asks[0][0]) / 2
        if abs(fair - middle) > parameters.max_divergence:
            return f"fair {fair:.4f} and market {middle:.4f} diverge more than {parameters.max_divergence}"
        return ""

    def _settles_soon(self, context: Context) -> bool:
        last_ns = (self.parameters.settles_at_s - self.parameters.stop_before_settlement_s) * SECOND_NS
        return context.now_ns >= last_ns

    # ---- decisions -----------------------------------------------------------------------------------

    def _orders(self, context: Context) -> tuple[OwnOrder, ...]:
        return context.market(self.symbol).orders

    def _decide(self, context: Context) -> list[StrategyIntent]:
        view = context.market(self.symbol)
        book = view.book
        if view.state == "halted":
            return cancel_all(view.orders, "halted")
        if book is None or not two_sided(book):
            return cancel_all(view.orders, "one-sided, crossed or missing book")
        fair, doubt = self.fair(context)
        if doubt:
            self.gate_reason = doubt
            return cancel_all(view.orders, doubt)
        stopped = self._stopped(context, view, fair, book)
        if stopped:
            self.gate_reason = stopped
            return self._wind_down(context, view, fair, book)
        early = context.now_ns - self._decided_ns < self.parameters.min_refresh_ms * MILLISECOND_NS
        if early or view.hold_reason:
            return []
        self._decided_ns = context.now_ns
        return self._wishes(context, view, fair, book)

    def _wind_down(
        self, context: Context, view: MarketView, fair: Decimal, book: BookTop
    ) -> list[StrategyIntent]:
        """Cancel all; before settlement, where that is wanted, offer what is held at no less than its fair
        value.
        """
        selling = self.parameters.before_settlement == "sell" and self.parameters.settles_at_s > 0
        if not selling or not self._settles_soon(context):
            return cancel_all(view.orders, self.gate_reason)
        if context.now_ns >= self.parameters.settles_at_s * SECOND_NS:
            return cancel_all(view.orders, "settled")
        others = [order for order in view.orders if order.side is Side.BUY]
        if others:
            return cancel_all(others, self.gate_reason)
        ticks = passive_ticks(Side.SELL, fair / view.instrument.tick, book)
        lots = view.position_lots
        if not tradable(view.instrument, view.instrument.tick * ticks, lots):
            return cancel_all(view.orders, self.gate_reason)
        return self._towards(view, {Side.SELL: (ticks, lots)}, fair)

    def costs(self, view: MarketView, book: BookTop, entry: CostLeg) -> CostModel | None:
        """A round trip that enters like this and is left through the book, as risk reckons it too."""
        return cost_model(view.fees, spread_bps_of(book), entry=entry, exit_leg=CostLeg.TAKER)

    def _wishes(
        self, context: Context, view: MarketView, fair: Decimal, book: BookTop
    ) -> list[StrategyIntent]:
        if any(order.tag == TAKE for order in view.orders):
            return []
        room = self._room(context, view, fair)
        if self.parameters.mode != "quote":
            taken = self._take(view, fair, book, room)
            if taken:
                return taken
        if self.parameters.mode == "take":
            return []
        return self._quote(view, fair, book, room)

    def _room(self, context: Context, view: MarketView, fair: Decimal) -> dict[Side, int]:
        """Lots that may still be bought (position cap, cost of claims) and sold (what is held)."""
        cap = lots_for(self.parameters.max_position_quote * context.size_multiplier, fair, view.instrument)
        room = {Side.BUY: max(0, cap - view.position_lots), Side.SELL: max(0, view.position_lots)}
        if view.state != "normal":
            room[Side.BUY] = 0
        return room

    def _take(
        self, view: MarketView, fair: Decimal, book: BookTop, room: dict[Side, int]
    ) -> list[StrategyIntent]:
        """An IOC order against a price that is wrong by more than all costs."""
        costs = self.costs(view, book, CostLeg.TAKER)
        tick, instrument = view.instrument.tick, view.instrument
        free = dict(room)
        for order in view.orders:
            free[order.side] -= order.remaining_lots
        for side, levels in ((Side.BUY, book.asks), (Side.SELL, book.bids)):
            ticks, shown = levels[0]
            price = tick * ticks
            gain = fair - price if side is Side.BUY else price - fair
            edge_bps = gain * BPS / price
            if not self._passes(edge_bps, costs, side):
                continue
            if meets(side, ticks, best_prices(view.orders)):
                continue
            lots = min(lots_for(self.parameters.order_quote, price, instrument), shown, free[side])
            if tradable(instrument, price, lots):
                return [self._order(side, ticks, lots, TAKE, edge_bps)]
        return []

    def _passes(self, edge_bps: Decimal, costs: CostModel | None, side: Side) -> bool:
        """The cost gate for buying; what is held is sold for any price above its fair value and the fee."""
        if costs is None:
            self.gate_reason = "the fees are not known"
            return False
        if self.parameters.cost_gate == "report":
            return edge_bps > 0
        if side is Side.SELL:
            return edge_bps >= costs.entry_fee_bps + costs.impact_bps
        verdict = gate(edge_bps, costs)
        self.gate_reason = verdict.reason
        return verdict.allowed

    def _quote(
        self, view: MarketView, fair: Decimal, book: BookTop, room: dict[Side, int]
    ) -> list[StrategyIntent]:
        """One resting order a side, so far from the fair value that a fill earns its costs."""
        costs = self.costs(view, book, CostLeg.MAKER)
        if costs is None:
            self.gate_reason = "the fees are not known"
            return cancel_all(view.orders, self.gate_reason)
        away_bps = costs.needed_bps if self.parameters.cost_gate == "enforce" else Decimal(1)
        wanted: dict[Side, tuple[int, int]] = {}
        for side in (Side.BUY, Side.SELL):
            factor = 1 - away_bps / BPS if side is Side.BUY else 1 + away_bps / BPS
            ticks = passive_ticks(side, fair * factor / view.instrument.tick, book)
            price = view.instrument.tick * ticks
            lots = min(lots_for(self.parameters.order_quote, price, view.instrument), room[side])
            if 0 < price < 1 and tradable(view.instrument, price, lots):
                wanted[side] = (ticks, lots)
        return self._towards(view, wanted, fair)

    def _towards(
        self,
        view: MarketView,
        wanted: dict[Side, tuple[int, int]],
        fair: Decimal,
    ) -> list[StrategyIntent]:
        """Cancel what is not wanted, amend what is off, place what is missing."""
        intents: list[StrategyIntent] = []
        present: set[Side] = set()
        own = best_prices(view.orders)
        for order in view.orders:
            target = wanted.get(order.side)
            if target is None or order.side in present or order.tag != QUOTE:
                intents += cancel_all((order,), "not wanted")
                continue
            present.add(order.side)
            grown = order.remaining_lots > target[1]
            if order.busy or not (grown or self._is_off(order.price_ticks, target[0])):
                continue
            if not meets(order.side, target[0], own):
                total = order.lots - order.remaining_lots + min(order.remaining_lots, target[1])
                intents.append(AmendIntent(client_id=order.client_id, price_ticks=target[0], lots=total))
        for side, (ticks, lots) in wanted.items():
            if side not in present and not meets(side, ticks, own) and lots > 0:
                price = view.instrument.tick * ticks
                edge_bps = (fair - price) * BPS / price
                intents.append(self._order(side, ticks, lots, QUOTE, edge_bps))
        return intents

    def _is_off(self, have_ticks: int, want_ticks: int) -> bool:
        off = abs(have_ticks - want_ticks)
        return off > 1 and off * BPS > self.parameters.refresh_bps * want_ticks

    def _order(self, side: Side, ticks: int, lots: int, tag: str, edge_bps: Decimal) -> PlaceIntent:
        declared = edge_bps if side is Side.BUY and self.parameters.cost_gate == "enforce" else None
        return PlaceIntent(
            symbol=self.symbol,
            side=side,
            price_ticks=ticks,
            lots=lots,
            post_only=tag == QUOTE,
            time_in_force=TimeInForce.GTC if tag == QUOTE else TimeInForce.IOC,
            tag=tag,
            edge_bps=None if declared is None else round(declared, 2),
        )


def _price(ticks: Fraction, tick: Decimal) -> Decimal:
    return tick * ticks.numerator / ticks.denominator
