"""Reference strategy: mean reversion over bars (T14.5).

A close at or beyond a Bollinger band (20, 2) while RSI(14) is at 30 or 70 and ADX(14) is below 25 is taken
for an excess in a market without direction. A resting order waits at the band (never through the book) for
one bar at a time; target is the mean, as it moves; stop 2 x ATR(14); after 24 bars the position is closed.
At most 5 positions; clusters of symbols that move together are limited by the size that risk gives (L17).

The declared edge is what the assumed win rate leaves between target and stop. With fees of 10 bps it rarely
reaches 1.5 times the costs: that is the honest default. `DEMONSTRATION` trades fast bars inside its costs; it
is refused outside sim and paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, ClassVar

from ..costs import Leg as CostLeg
from ..indicators import Adx, Atr, Bollinger, Rsi, ticks_down, ticks_up
from ..parameters import bounded
from ..strategy import Bar, BookTop, Context, StrategyIntent
from .holding import (
    HoldingParameters,
    HoldingStrategy,
    Leg,
    Plan,
    working_entry,
)
from .pricing import cancel_all


class MeanReversionParameters(HoldingParameters, frozen=True):
    """Parameters of the signal, the exit, and the least target that is worth a trade."""

    band_period: Annotated[int, bounded(5, 200, unit="bars", text="period of the Bollinger bands")] = 20
    band_width: Annotated[Decimal, bounded("0.5", 4, text="width of the bands in deviations")] = Decimal(2)
    rsi_period: Annotated[int, bounded(2, 100, unit="bars", text="period of the RSI")] = 14
    rsi_low: Annotated[Decimal, bounded(1, 50, text="a long entry needs an RSI at or below")] = Decimal(30)
    adx_period: Annotated[int, bounded(2, 100, unit="bars", text="period of the ADX")] = 14
    adx_below: Annotated[Decimal, bounded(5, 100, text="no entry in a market with more direction")] = Decimal(
        25
    )
    atr_period: Annotated[int, bounded(2, 100, unit="bars", text="period of the ATR")] = 14
    stop_atr: Annotated[Decimal, bounded("0.5", 10, unit="ATR", text="distance of the stop")] = Decimal(2)
    time_stop_bars: Annotated[int, bounded(1, 500, unit="bars", text="longest holding")] = 24
    min_target_bps: Annotated[
        Decimal, bounded(1, 1_000, unit="bps", text="no entry for a mean that is nearer")
    ] = Decimal(60)
    max_stop_bps: Annotated[
        Decimal, bounded(5, 1_000, unit="bps", text="no entry whose stop is further away")
    ] = Decimal(200)


DEMONSTRATION = MeanReversionParameters(
    bar_s=5,
    cost_gate="report",
    band_width=Decimal("1.5"),
    rsi_low=Decimal(45),
    adx_below=Decimal(60),
    min_target_bps=Decimal(1),
)
"""Fast bars and targets inside of the costs, on purpose: it trades in minutes and shows what that costs."""


class _Signals:
    """Indicators of one symbol."""

    def __init__(self, parameters: MeanReversionParameters) -> None:
        self.bands = Bollinger(parameters.band_period, float(parameters.band_width))
        self.rsi = Rsi(parameters.rsi_period)
        self.adx = Adx(parameters.adx_period)
        self.atr = Atr(parameters.atr_period)
        self.last: Bar | None = None

    def update(self, bar: Bar) -> None:
        """One more bar."""
        self.bands.update(bar.close_ticks)
        self.rsi.update(bar.close_ticks)
        self.adx.update(bar)
        self.atr.update(bar)
        self.last = bar


class MeanReversion(HoldingStrategy):
    """Buys below the lower band, sells at the mean; the other way round where short positions exist."""

    Parameters = MeanReversionParameters
    presets: ClassVar[Mapping[str, MeanReversionParameters]] = {"demonstration": DEMONSTRATION}
    parameters: MeanReversionParameters

    def __init__(
        self,
        symbols: tuple[str, ...],
        parameters: MeanReversionParameters | None = None,
        *,
        environment: str = "sim",
    ) -> None:
        chosen = parameters or MeanReversionParameters()
        rate, win, loss = chosen.assumed_win_rate, chosen.min_target_bps, chosen.max_stop_bps
        super().__init__(
            "mean-reversion",
            symbols,
            chosen,
            environment,
            holding_bars=chosen.time_stop_bars,
            edge_bps=rate * win - (1 - rate) * min(win, loss),
        )
        self._signals = {symbol: _Signals(chosen) for symbol in symbols}

    def fixed_target(self) -> tuple[Decimal, Decimal, CostLeg, str]:
        """The nearest mean and the furthest stop that are allowed, entered with a resting order."""
        parameters = self.parameters
        return parameters.min_target_bps, parameters.max_stop_bps, CostLeg.MAKER, "min_target_bps"

    def bar_closed(self, context: Context, leg: Leg, bar: Bar, book: BookTop | None) -> list[StrategyIntent]:
        """Move the target, end by time, or enter."""
        signals = self._signals[leg.symbol]
        if signals.last is not None and bar.start_ns != signals.last.end_ns:
            leg.note = "a hole between bars: the indicators begin again"
            signals = self._signals[leg.symbol] = _Signals(self.parameters)
        signals.update(bar)
        view = context.market(leg.symbol)
        plan, sign = leg.plan, self._sign(signals, bar)
        if plan is not None and plan.held:
            self._follow(leg, plan, signals)
            return []
        entry = working_entry(view)
        if plan is not None and entry is not None:
            # An entry waits for one bar; the next bar may enter anew at its own band.
            return cancel_all((entry,), "not filled within a bar")
        if not sign or not self.may_enter(context, leg, book):
            return []
        assert book is not None
        return self._enter(context, leg, sign, signals, book)

    def _sign(self, signals: _Signals, bar: Bar) -> int:
        """1 to buy, -1 to sell short, 0 for nothing."""
        parameters = self.parameters
        lower, upper = signals.bands.lower, signals.bands.upper
        rsi, adx = signals.rsi.value, signals.adx.value
        if lower is None or upper is None or rsi is None or adx is None or signals.atr.value is None:
            return 0
        if adx >= parameters.adx_below:
            return 0
        if bar.close_ticks <= lower and rsi <= parameters.rsi_low:
            return 1
        if parameters.sides == "both" and bar.close_ticks >= upper and rsi >= 100 - parameters.rsi_low:
            return -1
        return 0

    def _follow(self, leg: Leg, plan: Plan, signals: _Signals) -> None:
        """The target is the mean as it is now; time ends the rest."""
        if signals.bands.middle is not None:
            plan.target_ticks = _toward_profit(plan.sign, signals.bands.middle)
        if plan.bars >= self.parameters.time_stop_bars and not leg.exit_reason:
            leg.exit_reason = "time"

    def _plan(self, sign: int, signals: _Signals, book: BookTop, now_ns: int) -> tuple[Plan, float]:
        """Entry at the band, or at the best price of its own side where the band is through the book."""
        lower, upper, middle = signals.bands.lower, signals.bands.upper, signals.bands.middle
        atr = signals.atr.value
        assert lower is not None and upper is not None and middle is not None and atr is not None
        distance = float(self.parameters.stop_atr) * atr
        low, high = min(ticks_down(lower), book.bids[0][0]), max(ticks_up(upper), book.asks[0][0])
        entry = low if sign > 0 else high
        stop = self.stop_ticks(sign, entry, distance)
        target = _toward_profit(sign, middle)
        plan = Plan(sign, entry, stop, target, asked_ns=now_ns, best_close_ticks=entry)
        return plan, float(sign * (target - entry))

    def _enter(
        self, context: Context, leg: Leg, sign: int, signals: _Signals, book: BookTop
    ) -> list[StrategyIntent]:
        plan, win_ticks = self._plan(sign, signals, book, context.now_ns)
        parameters = self.parameters
        if plan.entry_ticks <= 0 or win_ticks * 10_000 < parameters.min_target_bps * plan.entry_ticks:
            leg.note = f"the mean is nearer than {parameters.min_target_bps} bps"
            return []
        if abs(plan.entry_ticks - plan.stop_ticks) * 10_000 > parameters.max_stop_bps * plan.entry_ticks:
            leg.note = f"the stop would be further than {parameters.max_stop_bps} bps"
            return []
        return self.enter(context, leg, book, plan=plan, win_ticks=win_ticks, maker=True)


def _toward_profit(sign: int, ticks: float) -> int:
    """A target, rounded so that it is not reached too early."""
    return ticks_up(ticks) if sign > 0 else ticks_down(ticks)
