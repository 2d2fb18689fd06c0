"""From what happened to numbers that can be believed (T14.7): always with costs, n and an interval."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import msgspec

from tradewind.venues.market_data import Side

from .errors import BacktestRefused
from .run import Facts
from .statistics import (
    MIN_TRADES,
    Interval,
    Moments,
    annualised,
    block_length,
    bootstrap_mean,
    max_drawdown,
    moments,
    radicand,
    returns_of,
    sortino,
)
from .survey import Quotes, Survey
from .trades import Attribution, Execution, OpenLot, Trade, attribute, exposure_ns, round_trips, turnover

SECOND_NS: Final = 1_000_000_000
DAY_S: Final = 86_400
EQUITY_POINTS: Final = 2_000
MATRIX_PERIODS: Final = 240
"""Periods into which every trial of a sweep is cut for the overfitting estimate."""
PERIODS_S: Final = (86_400, 3_600, 600, 60, 10, 1)
"""Periods of the ratios, the longest first that gives at least 30 of them."""
CAPACITY_BPS: Final = (25, 50, 100)
ZERO: Final = Decimal(0)


class Point(msgspec.Struct, frozen=True, array_like=True):
    """Marked equity in quote, position in base and the middle in quote (None: not known) at a moment."""

    at_ns: int
    equity: Decimal
    position: Decimal
    mid: Decimal | None


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """A ratio per period and on 365 days, with its 95 % interval where one is known."""

    per_period: float | None
    annual: float | None
    annual_low: float | None = None
    annual_high: float | None = None


class Results(msgspec.Struct, kw_only=True):
    """Everything that is measured of one run."""

    executions: list[Execution]
    trades: list[Trade]
    open_lots: list[OpenLot]
    open_mark: Decimal
    attribution: Attribution
    equity: list[Point]
    sample: Moments
    """Of net returns per trade."""
    mean_bps: Interval
    mean_quote: Interval
    win_rate: float | None
    period_s: int
    periods: int
    sharpe: Ratio
    sortino: Ratio
    drawdown_pct: float
    drawdown_from_ns: int
    drawdown_to_ns: int
    turnover_quote: Decimal
    turnover_of_cash: Decimal
    turnover_a_day_of_cash: Decimal | None
    exposure_pct: float
    mean_holding_s: float | None
    max_holding_ns: int
    spread_bps: Decimal | None
    capacity_quote: dict[str, float | None]
    volatility_day_bps: float | None
    volume_day_quote: float | None

    @property
    def enough(self) -> bool:
        """Whether there are trades enough to print ratios."""
        return self.sample.n >= MIN_TRADES


def executions_of(facts: Facts, quotes: Quotes) -> list[Execution]:
    """Fills with the middle before each of them and at the last decision before it."""
    found = []
    for fill in facts.fills:
        price = facts.tick * fill.price_ticks
        decided = facts.decided_ns.get(fill.client_id, [])
        place = bisect_right(decided, fill.venue_ts_ns) - 1
        mid = quotes.before(fill.venue_ts_ns)
        decision_mid = quotes.at(decided[max(0, place)]) if decided else None
        mid = price if mid is None else mid
        found.append(
            Execution(
                at_ns=fill.venue_ts_ns, order=fill.client_id, symbol=fill.symbol, side=Side(fill.side),
                price=price, quantity=facts.lot * fill.lots, fee=fill.fee, maker=fill.maker, mid=mid,
                decision_mid=mid if decision_mid is None else decision_mid,
            )
        )  # fmt: skip
    return found


def equity_series(
    executions: Sequence[Execution], quotes: Quotes, cash: Decimal, moments_ns: Sequence[int]
) -> list[Point]:
    """The account at given moments, in order: cash and position from the fills, valued at the middle."""
    points: list[Point] = []
    position, place = ZERO, 0
    for at_ns in moments_ns:
        while place < len(executions) and executions[place].at_ns <= at_ns:
            one = executions[place]
            cash -= one.sign * one.quantity * one.price + one.fee
            position += one.sign * one.quantity
            place += 1
        mid = quotes.at(at_ns) or (executions[place - 1].price if place else None)
        points.append(Point(at_ns, cash + position * (mid or ZERO), position, mid))
    return points


def grid(start_ns: int, end_ns: int, step_ns: int) -> list[int]:
    """Moments from start to end, the end included."""
    moments_ns = list(range(start_ns, end_ns, step_ns))
    return [*moments_ns, end_ns]


def measure(facts: Facts, survey: Survey, symbol: str, seed: int) -> Results:
    """All results of a run.

    Raises:
        BacktestRefused: fills and ledger tell different stories, or the account was not reconciled.
    """
    quotes = survey.quotes[symbol]
    executions = executions_of(facts, quotes)
    mark = quotes.at(facts.end_ns) or ZERO
    attribution = attribute(executions, {symbol: mark})
    _check(facts, attribution, mark)
    trades, open_lots = round_trips(executions)
    span_s = max(1, (facts.end_ns - facts.start_ns) // SECOND_NS)
    step_ns = max(1, -(-span_s // EQUITY_POINTS)) * SECOND_NS
    equity = equity_series(executions, quotes, facts.cash, grid(facts.start_ns, facts.end_ns, step_ns))
    values = [float(point.equity) for point in equity]
    fall, peak, trough = max_drawdown(values)
    returns = [trade.net_return for trade in trades]
    sample = moments(returns)
    block = block_length([one.entry_ns for one in trades], [one.holding_ns for one in trades])
    period_s, period_returns = _period_returns(facts, executions, quotes, span_s)
    traded = turnover(executions)
    volatility = _volatility_day_bps(facts, quotes, span_s)
    volume = float(survey.volume_lots[symbol] * survey.outside_lot[symbol])
    volume_day = volume * float(mark) * DAY_S / span_s if volume > 0 and mark else None
    enough = len(trades) >= MIN_TRADES
    return Results(
        executions=executions,
        trades=trades,
        open_lots=open_lots.get(symbol, []),
        open_mark=mark,
        attribution=attribution,
        equity=equity,
        sample=sample,
        mean_bps=bootstrap_mean([one * 10_000 for one in returns], block, seed),
        mean_quote=bootstrap_mean([float(one.net) for one in trades], block, seed),
        win_rate=sum(1 for one in returns if one > 0) / len(returns) if enough else None,
        period_s=period_s,
        periods=len(period_returns),
        sharpe=_sharpe(period_returns, period_s) if enough else Ratio(per_period=None, annual=None),
        sortino=_sortino(period_returns, period_s) if enough else Ratio(per_period=None, annual=None),
        drawdown_pct=fall * 100,
        drawdown_from_ns=equity[peak].at_ns,
        drawdown_to_ns=equity[trough].at_ns,
        turnover_quote=traded,
        turnover_of_cash=_rounded(traded / facts.cash),
        turnover_a_day_of_cash=_rounded(traded / facts.cash * DAY_S / span_s),
        exposure_pct=exposure_ns(executions, facts.end_ns) * 100 / max(1, facts.end_ns - facts.start_ns),
        mean_holding_s=sum(one.holding_ns for one in trades) / len(trades) / SECOND_NS if trades else None,
        max_holding_ns=max((one.holding_ns for one in trades), default=0),
        spread_bps=None if (spread := quotes.spread_bps()) is None else _rounded(spread),
        capacity_quote={str(bps): capacity(bps, volatility, volume_day) for bps in CAPACITY_BPS},
        volatility_day_bps=volatility,
        volume_day_quote=volume_day,
    )


def _check(facts: Facts, attribution: Attribution, mark: Decimal) -> None:
    """Fills, ledger and venue must agree to the last digit; otherwise nothing of the run may be shown."""
    if facts.differences:
        raise BacktestRefused("NOT_RECONCILED", f"trader and venue differ: {facts.differences[0]}")
    by_ledger = facts.final_cash + facts.final_position * mark - facts.cash
    if by_ledger != attribution.net or attribution.gross - attribution.costs != attribution.net:
        raise BacktestRefused(
            "NOT_RECONCILED", f"the ledger earned {by_ledger}, the fills {attribution.net} net of costs"
        )


def _rounded(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.0001"))


def period_returns(
    facts: Facts, executions: Sequence[Execution], quotes: Quotes, periods: int = MATRIX_PERIODS
) -> list[float]:
    """Returns of the account in equal periods (for comparing trials of one data set)."""
    step_ns = max(1, (facts.end_ns - facts.start_ns) // periods)
    moments_ns = [facts.start_ns + step * step_ns for step in range(periods + 1)]
    return returns_of(
        [float(one.equity) for one in equity_series(executions, quotes, facts.cash, moments_ns)]
    )


def _period_returns(
    facts: Facts, executions: Sequence[Execution], quotes: Quotes, span_s: int
) -> tuple[int, list[float]]:
    """Returns over the longest period of which there are at least 30."""
    period_s = next((one for one in PERIODS_S if span_s // one >= MIN_TRADES), PERIODS_S[-1])
    moments_ns = range(facts.start_ns, facts.end_ns + 1, period_s * SECOND_NS)
    points = equity_series(executions, quotes, facts.cash, moments_ns)
    return period_s, returns_of([float(one.equity) for one in points])


def _sharpe(returns: Sequence[float], period_s: int) -> Ratio:
    sample = moments(returns)
    if sample.sharpe is None or sample.skew is None or sample.kurtosis is None or sample.n < MIN_TRADES:
        return Ratio(per_period=None, annual=None)
    low = high = None
    inside = radicand(sample.sharpe, sample.skew, sample.kurtosis)
    if inside > 0:
        error = 1.959963984540054 * math.sqrt(inside / (sample.n - 1))
        low, high = annualised(sample.sharpe - error, period_s), annualised(sample.sharpe + error, period_s)
    return Ratio(
        per_period=sample.sharpe, annual=annualised(sample.sharpe, period_s), annual_low=low, annual_high=high
    )


def _sortino(returns: Sequence[float], period_s: int) -> Ratio:
    value = sortino(returns) if len(returns) >= MIN_TRADES else None
    return Ratio(per_period=value, annual=annualised(value, period_s))


def _volatility_day_bps(facts: Facts, quotes: Quotes, span_s: int) -> float | None:
    """Deviation of the middle's returns, scaled to a day by the root of time."""
    period_s = next((one for one in PERIODS_S if span_s // one >= MIN_TRADES), None)
    if period_s is None:
        return None
    mids = [quotes.at(at_ns) for at_ns in range(facts.start_ns, facts.end_ns + 1, period_s * SECOND_NS)]
    sample = moments(returns_of([float(one) for one in mids if one is not None]))
    return None if not sample.deviation else sample.deviation * 10_000 * math.sqrt(DAY_S / period_s)


def capacity(bps: float, volatility_day_bps: float | None, volume_day_quote: float | None) -> float | None:
    """Order value whose impact is `bps` by the square-root law: impact = volatility * sqrt(value / volume).

    Volatility and volume are those of a day. None where one of them is not known.
    """
    if not volatility_day_bps or not volume_day_quote:
        return None
    return volume_day_quote * (bps / volatility_day_bps) ** 2
