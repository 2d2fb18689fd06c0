"""Reference strategy: breakout over bars (T14.6).

A close beyond the highest high (lowest low) of the 20 bars before it, with at least 1.5 times their median
volume, ADX(14) at 25 or more and a spread within its limit, is followed with an IOC order. Stop 1.5 x
ATR(14) from the entry; after that it trails 2 x ATR behind the best close and never moves back. A break
that failed, either because a close came back behind the broken level within 3 bars or because the first
stop was hit, keeps new entries away for 3 bars.

The declared edge assumes a win rate and a run of so many ATR; with fees of 10 bps it seldom reaches 1.5 times
the costs. `DEMONSTRATION` trades fast bars inside its costs; it is refused outside sim and paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, ClassVar

from tradewind.venues.market_data import Side

from ..costs import Leg as CostLeg
from ..indicators import Adx, Atr, Extremes, MedianVolume
from ..parameters import bounded
from ..strategy import Bar, BookTop, Context, StrategyIntent
from .holding import STOP, HoldingParameters, HoldingStrategy, Leg, Plan, collared_ticks


class BreakoutParameters(HoldingParameters, frozen=True):
    """Parameters of the signal, the stops and the run that is hoped for."""

    assumed_win_rate: Annotated[
        Decimal, bounded("0.01", "0.99", text="share of wins that the declared edge assumes")
    ] = Decimal("0.45")
    range_bars: Annotated[int, bounded(5, 500, unit="bars", text="the range whose end is broken")] = 20
    volume_factor: Annotated[
        Decimal, bounded("0.5", 10, text="volume of the breaking bar over the median of the range")
    ] = Decimal("1.5")
    adx_period: Annotated[int, bounded(2, 100, unit="bars", text="period of the ADX")] = 14
    adx_from: Annotated[Decimal, bounded(0, 100, text="least direction of the market")] = Decimal(25)
    atr_period: Annotated[int, bounded(2, 100, unit="bars", text="period of the ATR")] = 14
    stop_atr: Annotated[Decimal, bounded("0.5", 10, unit="ATR", text="distance of the first stop")] = Decimal(
        "1.5"
    )
    trail_atr: Annotated[
        Decimal, bounded("0.5", 20, unit="ATR", text="distance of the stop behind the best close")
    ] = Decimal(2)
    target_atr: Annotated[
        Decimal, bounded("0.5", 50, unit="ATR", text="the run that the declared edge assumes")
    ] = Decimal(4)
    failed_pause_bars: Annotated[
        int, bounded(0, 100, unit="bars", text="no entry so long after a failed break")
    ] = 3
    entry_collar_bps: Annotated[
        Decimal, bounded("0.1", 50, unit="bps", text="how far through the book an entry may reach")
    ] = Decimal(5)
    min_atr_bps: Annotated[
        Decimal, bounded("0.1", 1_000, unit="bps", text="no entry in a market that moves less")
    ] = Decimal(15)


DEMONSTRATION = BreakoutParameters(
    bar_s=5,
    cost_gate="report",
    range_bars=10,
    volume_factor=Decimal("0.8"),
    adx_from=Decimal(10),
    min_atr_bps=Decimal("0.1"),
)
"""Fast bars and small moves, inside of the costs on purpose: it trades in minutes and shows their price."""


class _Signals:
    """Indicators of one symbol, and its last break."""

    def __init__(self, parameters: BreakoutParameters) -> None:
        self.range = Extremes(parameters.range_bars)
        self.volume = MedianVolume(parameters.range_bars)
        self.adx = Adx(parameters.adx_period)
        self.atr = Atr(parameters.atr_period)
        self.last: Bar | None = None
        self.bars_since_failure: int | None = None
        self.broken: tuple[int, int] | None = None
        self.bars_since_break = 0

    def update(self, bar: Bar, pause_bars: int) -> None:
        """One more bar. Range and volume take it in only here, after the signal looked at those before it."""
        self.range.update(bar)
        self.volume.update(bar.lots)
        self.last = bar
        if self.bars_since_failure is not None:
            self.bars_since_failure += 1
        if self.broken is not None:
            self._judge_break(bar, *self.broken, pause_bars)

    def _judge_break(self, bar: Bar, sign: int, level: int, pause_bars: int) -> None:
        """Whether the last break failed: a close behind its level soon after it."""
        self.bars_since_break += 1
        if sign * (bar.close_ticks - level) <= 0:
            self.fail()
        elif self.bars_since_break >= pause_bars:
            self.broken = None

    def breaks(self, sign: int, level: int) -> None:
        """A close went beyond a level."""
        self.broken, self.bars_since_break = (sign, level), -1

    def fail(self) -> None:
        """The last break was none."""
        self.broken, self.bars_since_failure = None, 0


class Breakout(HoldingStrategy):
    """Follows a close beyond the range; long, and short where short positions exist."""

    Parameters = BreakoutParameters
    presets: ClassVar[Mapping[str, BreakoutParameters]] = {"demonstration": DEMONSTRATION}
    parameters: BreakoutParameters

    def __init__(
        self,
        symbols: tuple[str, ...],
        parameters: BreakoutParameters | None = None,
        *,
        environment: str = "sim",
    ) -> None:
        chosen = parameters or BreakoutParameters()
        rate = chosen.assumed_win_rate
        edge_atr = rate * chosen.target_atr - (1 - rate) * chosen.stop_atr
        super().__init__(
            "breakout",
            symbols,
            chosen,
            environment,
            holding_bars=chosen.range_bars,
            edge_bps=edge_atr * chosen.min_atr_bps,
        )
        self._signals = {symbol: _Signals(chosen) for symbol in symbols}

    def fixed_target(self) -> tuple[Decimal, Decimal, CostLeg, str]:
        """The run and the stop in the quietest market that is traded, entered through the book."""
        parameters = self.parameters
        win_bps = parameters.target_atr * parameters.min_atr_bps
        return win_bps, parameters.stop_atr * parameters.min_atr_bps, CostLeg.TAKER, "min_atr_bps"

    def bar_closed(self, context: Context, leg: Leg, bar: Bar, book: BookTop | None) -> list[StrategyIntent]:
        """Trail the stop, or enter."""
        signals = self._signals[leg.symbol]
        if signals.last is not None and bar.start_ns != signals.last.end_ns:
            leg.note = "a hole between bars: the indicators begin again"
            signals = self._signals[leg.symbol] = _Signals(self.parameters)
        signals.adx.update(bar)
        signals.atr.update(bar)
        sign, level = self._break(signals, bar)
        if sign:
            signals.breaks(sign, level)
        signals.update(bar, self.parameters.failed_pause_bars)
        plan = leg.plan
        if plan is not None and plan.held:
            self._trail(plan, signals, bar)
            return []
        if not sign or not self.may_enter(context, leg, book):
            return []
        since = signals.bars_since_failure
        if since is not None and since <= self.parameters.failed_pause_bars:
            leg.note = f"a break failed {since} bars ago"
            return []
        assert book is not None
        return self._enter(context, leg, sign, signals, book)

    def _break(self, signals: _Signals, bar: Bar) -> tuple[int, int]:
        """Direction and level of a break by this bar; (0, 0) without one."""
        highest, lowest = signals.range.highest, signals.range.lowest
        median, adx, atr = signals.volume.value, signals.adx.value, signals.atr.value
        if highest is None or lowest is None or median is None or adx is None or atr is None:
            return 0, 0
        if adx < self.parameters.adx_from or bar.lots < float(self.parameters.volume_factor) * median:
            return 0, 0
        if bar.close_ticks > highest:
            return 1, highest
        if self.parameters.sides == "both" and bar.close_ticks < lowest:
            return -1, lowest
        return 0, 0

    def _enter(
        self, context: Context, leg: Leg, sign: int, signals: _Signals, book: BookTop
    ) -> list[StrategyIntent]:
        atr, parameters = signals.atr.value, self.parameters
        assert atr is not None and signals.last is not None
        side = Side.BUY if sign > 0 else Side.SELL
        entry = collared_ticks(side, book, parameters.entry_collar_bps)
        if atr * 10_000 < float(parameters.min_atr_bps) * entry:
            leg.note = f"the market moves less than {parameters.min_atr_bps} bps a bar"
            return []
        stop = self.stop_ticks(sign, entry, float(parameters.stop_atr) * atr)
        plan = Plan(
            sign, entry, stop, None, asked_ns=context.now_ns, best_close_ticks=signals.last.close_ticks
        )
        win_ticks = float(parameters.target_atr) * atr
        return self.enter(context, leg, book, plan=plan, win_ticks=win_ticks, maker=False)

    def _trail(self, plan: Plan, signals: _Signals, bar: Bar) -> None:
        """The stop follows the best close and never goes back."""
        if plan.sign * (bar.close_ticks - plan.best_close_ticks) > 0:
            plan.best_close_ticks = bar.close_ticks
        atr = signals.atr.value
        if atr is None:
            return
        stop = self.stop_ticks(plan.sign, plan.best_close_ticks, float(self.parameters.trail_atr) * atr)
        if plan.sign * (stop - plan.stop_ticks) > 0:
            plan.stop_ticks, plan.trailed = stop, True

    def position_closed(self, leg: Leg, plan: Plan, reason: str) -> None:
        """A position that ended at its first stop was a failed break."""
        if reason == STOP and not plan.trailed:
            self._signals[leg.symbol].fail()
