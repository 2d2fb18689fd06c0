"""Indicators over bars, one bar at a time, each with its published definition.

They are statistics, so they are floats; sums of ticks and lots stay whole numbers for as long as possible. A
value is None until there were enough bars. A price comes out of a statistic only through `ticks_down` or
`ticks_up`.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque

from .strategy import Bar

MAX_PERIOD = 10_000


class NotANumber(ValueError):
    """A statistic that is not finite was about to become a price."""

    code = "BadNumber"


def ticks_down(value: float) -> int:
    """The whole tick at or below a statistic (a buy limit). Raises `NotANumber`."""
    if not math.isfinite(value):
        raise NotANumber(f"{value} is no price")
    return math.floor(value)


def ticks_up(value: float) -> int:
    """The whole tick at or above a statistic (a sell limit). Raises `NotANumber`."""
    if not math.isfinite(value):
        raise NotANumber(f"{value} is no price")
    return math.ceil(value)


def _checked(period: int, least: int = 1) -> int:
    if not least <= period <= MAX_PERIOD:
        raise ValueError(f"a period of {period} is outside {least}..{MAX_PERIOD}")
    return period


class Bollinger:
    """Bollinger bands (J. Bollinger, 2001): the mean of the last `period` closes, and `width` population
    standard deviations (divisor n) above and below it. In ticks.
    """

    def __init__(self, period: int = 20, width: float = 2.0) -> None:
        self.period = _checked(period, 2)
        self.width = width
        self._closes: deque[int] = deque(maxlen=period)
        self._sum = 0
        self._squares = 0

    def update(self, close_ticks: int) -> None:
        """One more close."""
        if len(self._closes) == self.period:
            oldest = self._closes[0]
            self._sum -= oldest
            self._squares -= oldest * oldest
        self._closes.append(close_ticks)
        self._sum += close_ticks
        self._squares += close_ticks * close_ticks

    @property
    def ready(self) -> bool:
        """Whether there were `period` closes."""
        return len(self._closes) == self.period

    @property
    def middle(self) -> float | None:
        """The mean."""
        return self._sum / self.period if self.ready else None

    @property
    def deviation(self) -> float | None:
        """The standard deviation; the sums are exact, so a flat price gives exactly 0."""
        if not self.ready:
            return None
        return math.sqrt(self.period * self._squares - self._sum * self._sum) / self.period

    @property
    def lower(self) -> float | None:
        """Mean minus `width` deviations."""
        middle, deviation = self.middle, self.deviation
        return None if middle is None or deviation is None else middle - self.width * deviation

    @property
    def upper(self) -> float | None:
        """Mean plus `width` deviations."""
        middle, deviation = self.middle, self.deviation
        return None if middle is None or deviation is None else middle + self.width * deviation


class WilderMean:
    """Wilder's smoothing (New Concepts in Technical Trading Systems, 1978): the plain mean of the first
    `period` values, then (before * (period - 1) + value) / period.
    """

    def __init__(self, period: int) -> None:
        self.period = _checked(period)
        self.value: float | None = None
        self._count = 0
        self._sum = 0.0

    def update(self, value: float) -> float | None:
        """One more value; returns the mean, None while there are too few."""
        if self.value is not None:
            self.value = (self.value * (self.period - 1) + value) / self.period
            return self.value
        self._count += 1
        self._sum += value
        if self._count == self.period:
            self.value = self._sum / self.period
        return self.value


class Rsi:
    """Relative strength index (Wilder, 1978): 100 - 100 / (1 + mean gain / mean loss), both smoothed by
    Wilder's mean. 100 without a loss; 50 when nothing moved at all.
    """

    def __init__(self, period: int = 14) -> None:
        self._gain, self._loss = WilderMean(period), WilderMean(period)
        self._last: int | None = None

    def update(self, close_ticks: int) -> None:
        """One more close."""
        if self._last is not None:
            change = close_ticks - self._last
            self._gain.update(max(change, 0))
            self._loss.update(max(-change, 0))
        self._last = close_ticks

    @property
    def value(self) -> float | None:
        """0..100; None before `period` changes."""
        gain, loss = self._gain.value, self._loss.value
        if gain is None or loss is None:
            return None
        if loss == 0:
            return 50.0 if gain == 0 else 100.0
        return 100 - 100 / (1 + gain / loss)


def true_range(bar: Bar, last_close_ticks: int) -> int:
    """Wilder's true range in ticks: the bar's range, stretched to the close before it."""
    return max(bar.high_ticks, last_close_ticks) - min(bar.low_ticks, last_close_ticks)


class Atr:
    """Average true range (Wilder, 1978) in ticks: Wilder's mean of the true ranges from bar 2 on."""

    def __init__(self, period: int = 14) -> None:
        self._mean = WilderMean(period)
        self._last_close: int | None = None

    def update(self, bar: Bar) -> None:
        """One more bar."""
        if self._last_close is not None:
            self._mean.update(true_range(bar, self._last_close))
        self._last_close = bar.close_ticks

    @property
    def value(self) -> float | None:
        """In ticks; None before `period` true ranges."""
        return self._mean.value


class Adx:
    """Average directional index (Wilder, 1978), 0..100: how strongly prices move one way.

    Directional movement of a bar: the part of its range beyond the range before it, on the larger side only.
    The sums of both movements and of the true range are smoothed as sum - sum / period + value; the index of
    one bar is 100 * |plus - minus| / (plus + minus), and ADX is its Wilder mean. A market that does not move
    has an index of 0. The first value comes with bar 2 * period.
    """

    def __init__(self, period: int = 14) -> None:
        self.period = _checked(period)
        self._plus, self._minus, self._range = (WilderMean(period) for _ in range(3))
        self._mean = WilderMean(period)
        self._last: Bar | None = None

    def update(self, bar: Bar) -> None:
        """One more bar."""
        last, self._last = self._last, bar
        if last is None:
            return
        up, down = bar.high_ticks - last.high_ticks, last.low_ticks - bar.low_ticks
        self._plus.update(up if up > down and up > 0 else 0)
        self._minus.update(down if down > up and down > 0 else 0)
        if self._range.update(true_range(bar, last.close_ticks)) is not None:
            self._mean.update(self._index())

    def _index(self) -> float:
        """Wilder's smoothed sums are `period` times his means, so the ratio is the same."""
        plus, minus = self._plus.value, self._minus.value
        if plus is None or minus is None or plus + minus <= 0:
            return 0.0
        return 100 * abs(plus - minus) / (plus + minus)

    @property
    def value(self) -> float | None:
        """0..100; None before 2 * period bars."""
        return self._mean.value


class MedianVolume:
    """Median volume of the last `period` bars, in lots: the middle one, or the mean of both."""

    def __init__(self, period: int = 20) -> None:
        self.period = _checked(period)
        self._window: deque[int] = deque()
        self._sorted: list[int] = []

    def update(self, lots: int) -> None:
        """One more volume."""
        if len(self._window) == self.period:
            del self._sorted[bisect_left(self._sorted, self._window.popleft())]
        self._window.append(lots)
        insort(self._sorted, lots)

    @property
    def value(self) -> float | None:
        """None before `period` bars."""
        if len(self._window) < self.period:
            return None
        half = self.period // 2
        if self.period % 2:
            return float(self._sorted[half])
        return (self._sorted[half - 1] + self._sorted[half]) / 2


class Extremes:
    """Highest high and lowest low of the last `period` bars, in ticks."""

    def __init__(self, period: int = 20) -> None:
        self.period = _checked(period)
        self._highs: deque[tuple[int, int]] = deque()
        self._lows: deque[tuple[int, int]] = deque()
        self._count = 0

    def update(self, bar: Bar) -> None:
        """One more bar."""
        self._count += 1
        while self._highs and self._highs[-1][1] <= bar.high_ticks:
            self._highs.pop()
        while self._lows and self._lows[-1][1] >= bar.low_ticks:
            self._lows.pop()
        self._highs.append((self._count, bar.high_ticks))
        self._lows.append((self._count, bar.low_ticks))
        for kept in (self._highs, self._lows):
            if kept[0][0] <= self._count - self.period:
                kept.popleft()

    @property
    def highest(self) -> int | None:
        """None before `period` bars."""
        return self._highs[0][1] if self._count >= self.period else None

    @property
    def lowest(self) -> int | None:
        """None before `period` bars."""
        return self._lows[0][1] if self._count >= self.period else None
