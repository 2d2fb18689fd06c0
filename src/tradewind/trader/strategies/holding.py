"""What strategies over bars share: one position a symbol, with a stop that this process keeps.

The stops are synthetic (T7.14): they live here and not at the venue, so they work only while the trader runs.
In sim and paper that costs nothing; elsewhere `allow_synthetic_stops` has to say yes.

Everything follows from what the context shows, so a lost or late report changes nothing: an exit first
cancels what else is working in the symbol, then sells (or buys back) what is held with an IOC order inside
of a collar, and repeats that until nothing is left. A position whose plan is not known, from an earlier
life of the process, has no stop that could be trusted: it is closed.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from tradewind.venues.market_data import Side
from tradewind.venues.protocol import FeeSchedule, FillEvent, TimeInForce

from ..bars import DAY_S
from ..costs import CostModel, break_even, cost_model, gate, spread_bps_of
from ..costs import Leg as CostLeg
from ..indicators import ticks_down, ticks_up
from ..parameters import ParameterError, ParameterSet, bounded
from ..strategy import (
    Bar,
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
    cancel_all,
    ceiling_ticks,
    floor_ticks,
    leave_unknown_book,
    lots_for,
    tradable,
    two_sided,
)

SECOND_NS = 1_000_000_000
MILLISECOND_NS = 1_000_000
MAX_SYMBOLS = 20
ENTRY, EXIT, STOP = "entry", "exit", "stop"
"""Tags of orders; risk knows by the last one that a position was left at its stop (T11.8)."""
SIMULATED = ("sim", "paper")
ASKED_NS = 2 * SECOND_NS
"""How long a wished entry may stay unseen before it counts as denied."""


class HoldingParameters(ParameterSet, frozen=True):
    """Parameters that every strategy of this kind has."""

    bar_s: Annotated[int, bounded(1, DAY_S, unit="s", text="length of a bar; divides a day", swept=False)] = (
        300
    )
    sides: Annotated[
        Literal["long", "both"], bounded(text="both needs a venue where one may hold less than nothing")
    ] = "long"
    max_positions: Annotated[int, bounded(1, 5, text="positions at a time, over all symbols")] = 5
    max_notional_quote: Annotated[
        Decimal, bounded(5, 1_000_000, unit="quote", text="most that one position may cost", swept=False)
    ] = Decimal(500)
    assumed_win_rate: Annotated[
        Decimal, bounded("0.01", "0.99", text="share of wins that the declared edge assumes")
    ] = Decimal("0.6")
    cost_gate: Annotated[
        Literal["enforce", "report"],
        bounded(text="enforce: no entry below 1.5 times its costs; report: only say so (sim and paper)"),
    ] = "enforce"
    max_spread_bps: Annotated[
        Decimal, bounded("0.1", 50, unit="bps", text="no entry in a wider market (L24)")
    ] = Decimal(50)
    min_stop_bps: Annotated[
        Decimal, bounded(5, 200, unit="bps", text="a stop is never nearer, however quiet the market (T12.2)")
    ] = Decimal(8)
    exit_collar_bps: Annotated[
        Decimal, bounded(1, 100, unit="bps", text="how far below the bid an exit may sell")
    ] = Decimal(50)
    exit_retry_ms: Annotated[
        int, bounded(500, 60_000, unit="ms", text="pause before an exit is tried again", swept=False)
    ] = 4_000
    max_daily_loss_pct: Annotated[
        Decimal, bounded("0.1", 1, unit="%", text="loss of the day, of the account, that ends the entries")
    ] = Decimal(1)
    allow_synthetic_stops: Annotated[
        bool, bounded(text="accept stops that work only while this process runs (T7.14)")
    ] = False

    def contradictions(self, environment: str) -> Iterable[tuple[str, str]]:
        """Rules that depend on each other and on the environment."""
        if DAY_S % self.bar_s:
            yield "bar_s", f"{self.bar_s} does not divide a day of {DAY_S} s"
        if environment not in SIMULATED:
            if self.cost_gate == "report":
                yield "cost_gate", f"'report' is for sim and paper, not for {environment}"
            if not self.allow_synthetic_stops:
                yield "allow_synthetic_stops", f"must be true in {environment}: no stop rests at the venue"


class Plan(msgspec.Struct):
    """One entry and what is to become of it. `sign` is 1 for a long position, -1 for a short one."""

    sign: int
    entry_ticks: int
    stop_ticks: int
    target_ticks: int | None
    asked_ns: int
    bars: int = 0
    best_close_ticks: int = 0
    trailed: bool = False
    seen: bool = False
    held: bool = False


class Leg(msgspec.Struct):
    """What is remembered of one symbol."""

    symbol: str
    plan: Plan | None = None
    exit_reason: str = ""
    exited_ns: int = 0
    note: str = ""


class HoldingStrategy(StrategyBase):
    """One position a symbol, entered after a bar, left at a stop, a target or by time.

    A strategy of this kind says in `bar_closed` what it wants to enter and how stop and target move; the rest
    is here.
    """

    parameters: HoldingParameters

    def __init__(
        self,
        name: str,
        symbols: tuple[str, ...],
        parameters: HoldingParameters,
        environment: str,
        *,
        holding_bars: int,
        edge_bps: Decimal,
    ) -> None:
        if not 1 <= len(symbols) <= MAX_SYMBOLS or len(set(symbols)) != len(symbols):
            given = ", ".join(symbols) or "none"
            raise ParameterError("symbols", f"1 to {MAX_SYMBOLS} different symbols", given)
        parameters.validate(environment)
        self.parameters = parameters
        self.legs = {symbol: Leg(symbol) for symbol in symbols}
        self.manifest = Manifest(
            name=name,
            version="1",
            symbols=symbols,
            expected_holding_s=holding_bars * parameters.bar_s,
            expected_edge_bps=edge_bps,
            cost_model="account fee schedule, displayed spread, conservative table of impact",
            max_loss_pct=parameters.max_daily_loss_pct,
            data=("book", f"bars:{parameters.bar_s}"),
        )

    @property
    def gate_reason(self) -> str:
        """Why there was no entry lately, by symbol."""
        return "; ".join(f"{leg.symbol}: {leg.note}" for leg in self.legs.values() if leg.note)

    # ---- for the strategies over this ----------------------------------------------------------------

    def bar_closed(self, context: Context, leg: Leg, bar: Bar, book: BookTop | None) -> list[StrategyIntent]:
        """A bar of a symbol closed: move the stop, and enter where nothing is held."""
        raise NotImplementedError

    def fixed_target(self) -> tuple[Decimal, Decimal, CostLeg, str]:
        """The least target and its stop in basis points, how it is entered, the parameter that says so."""
        raise NotImplementedError

    def break_even(self, fees: FeeSchedule | None) -> Decimal:
        """p* of `fixed_target` at the least costs that this schedule allows (T14.3). Raises `ParameterError`
        when no rate of wins could make it pay, or the fees are not known.
        """
        win_bps, loss_bps, entry, name = self.fixed_target()
        costs = self.costs_at(fees, entry)
        if costs is None:
            raise ParameterError(name, "known costs", "unknown", f"{name}: the fees are not known")
        return break_even(win_bps, loss_bps, costs.total_bps, name=name)

    def position_closed(self, leg: Leg, plan: Plan, reason: str) -> None:
        """A position that was held is gone, for this reason."""

    # ---- callbacks -----------------------------------------------------------------------------------

    def on_start(self, context: Context) -> list[StrategyIntent]:
        """Refuse parameters that no rate of wins could make pay (T14.3). Orders of an earlier life are stale:
        cancel them. What is held is closed as soon as there is a book.
        """
        if self.parameters.cost_gate == "enforce" and context.fees is not None:
            self.break_even(context.fees)
        return self._cancel_everything(context, "stale after start")

    def on_stop(self, context: Context) -> list[StrategyIntent]:
        """Leave no order behind; positions stay (the operator decides about them)."""
        return self._cancel_everything(context, "stop")

    def on_suspect(self, context: Context, symbol: str) -> list[StrategyIntent]:
        """Nothing may rest in a book that is not known."""
        return cancel_all(context.market(symbol).orders, "book not live")

    def on_book(self, context: Context, book: BookTop) -> list[StrategyIntent]:
        """Watch stop and target."""
        return self._watch(context, self.legs[book.symbol], book)

    def on_timer(self, context: Context) -> list[StrategyIntent]:
        """The same without an event of the book: a silent market does not hold up an exit."""
        return [
            intent
            for leg in self.legs.values()
            for intent in self._watch(context, leg, context.market(leg.symbol).book)
        ]

    def on_bar(self, context: Context, bar: Bar) -> list[StrategyIntent]:
        """One more bar: the strategy's turn, then stop and time."""
        leg = self.legs[bar.symbol]
        if leg.plan is not None and self._held(context.market(leg.symbol)):
            leg.plan.bars += 1
        book = context.market(leg.symbol).book
        intents = self.bar_closed(context, leg, bar, book)
        return intents or self._watch(context, leg, book)

    def on_fill(self, context: Context, fill: FillEvent) -> list[StrategyIntent]:
        """The plan has become a position."""
        leg = self.legs.get(fill.symbol)
        if leg is not None and leg.plan is not None:
            leg.plan.seen = True
        return []

    def on_order(self, context: Context, order: OwnOrder, state: str) -> list[StrategyIntent]:
        """What was in flight when the book was lost is cancelled now."""
        return leave_unknown_book(context.market(order.symbol))

    # ---- watching ------------------------------------------------------------------------------------

    def _watch(self, context: Context, leg: Leg, book: BookTop | None) -> list[StrategyIntent]:
        view = context.market(leg.symbol)
        if view.state == "halted":
            return cancel_all(view.orders, "halted")
        if not two_sided(book):
            return cancel_all(view.orders, "one-sided, crossed or missing book")
        assert book is not None
        held = self._held(view)
        if not held:
            return self._without_position(context, leg, view)
        plan = leg.plan
        if plan is None:
            leg.exit_reason = leg.exit_reason or "position of an earlier life"
        else:
            plan.held = True
            leg.exit_reason = leg.exit_reason or _reached(plan, book)
        if not leg.exit_reason:
            return []
        return self._exit(context, leg, view, book)

    def _without_position(self, context: Context, leg: Leg, view: MarketView) -> list[StrategyIntent]:
        """Nothing is held: an entry may be waiting; what is left of a finished plan goes."""
        if leg.plan is not None and leg.plan.held:
            self.position_closed(leg, leg.plan, leg.exit_reason)
            leg.plan = None
        leg.exit_reason, leg.exited_ns = "", 0
        if leg.plan is None:
            return cancel_all(view.orders, "no plan")
        if self._loss_exceeded(context) or view.state != "normal":
            return cancel_all(view.orders, "no entries now")
        waiting = any(order.tag == ENTRY for order in view.orders)
        leg.plan.seen = leg.plan.seen or waiting
        unseen = context.now_ns - leg.plan.asked_ns > ASKED_NS
        if not waiting and (leg.plan.seen or unseen):
            leg.plan = None
        return []

    def _exit(self, context: Context, leg: Leg, view: MarketView, book: BookTop) -> list[StrategyIntent]:
        if view.orders:
            # Working orders hold funds; the exit waits until they are gone. An IOC exit ends by itself.
            others = [order for order in view.orders if order.tag not in {EXIT, STOP}]
            return cancel_all(others, leg.exit_reason)
        retry_ns = self.parameters.exit_retry_ms * MILLISECOND_NS
        if leg.exited_ns and context.now_ns - leg.exited_ns < retry_ns:
            return []
        leg.exited_ns = context.now_ns
        held = view.position_lots
        side = Side.SELL if held > 0 else Side.BUY
        return [
            PlaceIntent(
                symbol=leg.symbol,
                side=side,
                price_ticks=collared_ticks(side, book, self.parameters.exit_collar_bps),
                lots=abs(held),
                post_only=False,
                time_in_force=TimeInForce.IOC,
                tag=STOP if leg.exit_reason == STOP else EXIT,
            )
        ]

    def _held(self, view: MarketView) -> bool:
        """Whether there is a position that can be traded away; dust below the venue's minima is none."""
        lots = abs(view.position_lots)
        if not lots:
            return False
        book = view.book
        if not two_sided(book):
            return True
        assert book is not None
        return tradable(view.instrument, view.instrument.tick * book.bids[0][0], lots)

    def _cancel_everything(self, context: Context, reason: str) -> list[StrategyIntent]:
        return [
            intent for symbol in self.legs for intent in cancel_all(context.market(symbol).orders, reason)
        ]

    def _loss_exceeded(self, context: Context) -> bool:
        if context.equity is None:
            return True
        return context.strategy_loss * 100 > context.equity * self.parameters.max_daily_loss_pct

    def stop_ticks(self, sign: int, from_ticks: int, distance: float) -> int:
        """A stop so far behind a price, or `min_stop_bps` behind it where that is further; rounded away."""
        least = from_ticks * float(self.parameters.min_stop_bps) / BPS
        exact = from_ticks - sign * max(distance, least)
        return ticks_down(exact) if sign > 0 else ticks_up(exact)

    # ---- entries -------------------------------------------------------------------------------------

    def costs(self, view: MarketView, book: BookTop | None, entry: CostLeg) -> CostModel | None:
        """A round trip that enters like this and is left with an IOC order."""
        return self.costs_at(view.fees, entry, spread_bps_of(book))

    def costs_at(
        self, fees: FeeSchedule | None, entry: CostLeg, spread_bps: Decimal | None = Decimal(0)
    ) -> CostModel | None:
        """The same for a given schedule and spread (0: the least that a round trip can cost)."""
        return cost_model(fees, spread_bps, entry=entry, exit_leg=CostLeg.TAKER)

    def may_enter(self, context: Context, leg: Leg, book: BookTop | None) -> bool:
        """Whether anything but the signal stands against an entry; `leg.note` says what."""
        view = context.market(leg.symbol)
        spread = spread_bps_of(book)
        taken = sum(
            1
            for other in self.legs.values()
            if other.plan is not None or self._held(context.market(other.symbol))
        )
        reasons = (
            (leg.plan is not None or bool(view.orders) or self._held(view), "busy"),
            (view.state != "normal", f"state {view.state}"),
            (bool(view.hold_reason), view.hold_reason),
            (spread is None, "no two-sided book"),
            (spread is not None and spread > self.parameters.max_spread_bps, f"spread {spread} bps"),
            (self._loss_exceeded(context), "daily loss of the strategy, or unknown equity"),
            (taken >= self.parameters.max_positions, f"{taken} positions already"),
        )
        leg.note = next((reason for against, reason in reasons if against), "")
        return not leg.note

    def enter(
        self,
        context: Context,
        leg: Leg,
        book: BookTop,
        *,
        plan: Plan,
        win_ticks: float,
        maker: bool,
    ) -> list[StrategyIntent]:
        """The entry, if it passes the cost gate and has a size. `win_ticks` is the distance of the target."""
        view = context.market(leg.symbol)
        side = Side.BUY if plan.sign > 0 else Side.SELL
        price_ticks = plan.entry_ticks
        loss_ticks = plan.sign * (price_ticks - plan.stop_ticks)
        if price_ticks <= 0 or plan.stop_ticks <= 0 or loss_ticks <= 0 or win_ticks <= 0:
            leg.note = "stop or target on the wrong side of the entry"
            return []
        win_bps = Decimal(round(win_ticks * BPS * 100 / price_ticks)) / 100
        loss_bps = Decimal(loss_ticks * BPS) / price_ticks
        rate = self.parameters.assumed_win_rate
        edge_bps = round(rate * win_bps - (1 - rate) * loss_bps, 2)
        costs = self.costs(view, book, CostLeg.MAKER if maker else CostLeg.TAKER)
        verdict = gate(edge_bps, costs)
        leg.note = verdict.reason
        reporting = self.parameters.cost_gate == "report"
        if costs is None or not (verdict.allowed or reporting):
            return []
        declared = None if reporting else edge_bps
        lots = context.size(leg.symbol, side, price_ticks, plan.stop_ticks, declared)
        price = view.instrument.tick * price_ticks
        most = lots_for(self.parameters.max_notional_quote, price, view.instrument)
        lots = min(lots, most - abs(view.position_lots))  # dust of an earlier position counts
        if not tradable(view.instrument, price, lots):
            leg.note = context.size_reason or f"{lots} lots are below the venue's least order"
            return []
        leg.plan = plan
        return [
            PlaceIntent(
                symbol=leg.symbol,
                side=side,
                price_ticks=price_ticks,
                lots=lots,
                post_only=maker,
                time_in_force=TimeInForce.GTC if maker else TimeInForce.IOC,
                tag=ENTRY,
                edge_bps=declared,
                stop_ticks=plan.stop_ticks,
            )
        ]


def working_entry(view: MarketView) -> OwnOrder | None:
    """The entry that rests, if there is one."""
    return next((order for order in view.orders if order.tag == ENTRY), None)


def _reached(plan: Plan, book: BookTop) -> str:
    """Why the position is to be left at these prices; empty when it may stay."""
    exit_price = book.bids[0][0] if plan.sign > 0 else book.asks[0][0]
    if plan.sign * (exit_price - plan.stop_ticks) <= 0:
        return STOP
    if plan.target_ticks is not None and plan.sign * (exit_price - plan.target_ticks) >= 0:
        return "target"
    return ""


def collared_ticks(side: Side, book: BookTop, collar_bps: Decimal) -> int:
    """The worst price of an IOC order: the best of the other side, and a collar beyond it."""
    if side is Side.SELL:
        return max(1, ceiling_ticks(book.bids[0][0] * (1 - collar_bps / BPS)))
    return floor_ticks(book.asks[0][0] * (1 + collar_bps / BPS))
