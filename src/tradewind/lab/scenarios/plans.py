"""What happens in each scenario: the path of the price, who publishes it, who makes a market, who liquidates.

Every function of time is a plain rule of the simulated second, so that a scenario is the same on every
machine for the same seed and number of accounts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

OPENING_TICKS = 10_000
Rule = Callable[[float], float]


@dataclass(frozen=True)
class Plan:
    """`price` in ticks, `sources` 0..3 that publish, `depth` 0..1 of the makers' size, all by second."""

    name: str
    summary: str
    seconds: int
    price: Rule
    sources: Rule = lambda _: 3
    depth: Rule = lambda _: 1.0
    keepers: Rule = lambda _: 1
    insurance_dollars_per_account: float = 15.0
    highlights: tuple[tuple[float, float, str], ...] = ()
    """(from, to, text): spans that the plot shades."""


def between(second: float, start: float, end: float) -> bool:
    return start <= second < end


def ramp(second: float, start: float, end: float, low: float, high: float) -> float:
    """From `low` to `high` between two seconds, constant outside."""
    share = min(1.0, max(0.0, (second - start) / (end - start)))
    return low + (high - low) * share


def crash_price(second: float) -> float:
    """Calm, 40 % down within 60 s, a quarter of it back."""
    down = ramp(second, 30, 90, 1.0, 0.6)
    back = ramp(second, 120, 240, 0.0, 0.1)
    return OPENING_TICKS * (down + back)


def slide_price(start: float, end: float, to: float) -> Rule:
    return lambda second: OPENING_TICKS * ramp(second, start, end, 1.0, to)


def outage_price(second: float) -> float:
    """Falls while nobody may look, and is found 12 % lower."""
    return OPENING_TICKS * ramp(second, 60, 150, 1.0, 0.88)


PLANS = {
    plan.name: plan
    for plan in (
        Plan(
            "crash",
            "The price falls by 40 % within 60 seconds.",
            300,
            crash_price,
            highlights=((30, 90, "−40 %"),),
        ),
        Plan(
            "oracle-outage",
            "One source stops, then all; the price is 12 % lower when they return.",
            360,
            outage_price,
            sources=lambda second: 2 if between(second, 40, 60) else 0 if between(second, 60, 150) else 3,
            highlights=((40, 60, "2 of 3 sources"), (60, 150, "no source")),
        ),
        Plan(
            "keeper-outage",
            "Keepers stop during a slide of 20 %; the engine liquidates by itself.",
            300,
            slide_price(30, 210, 0.8),
            keepers=lambda second: 0 if between(second, 90, 180) else 1,
            highlights=((90, 180, "no keeper"),),
        ),
        Plan(
            "liquidity-vanishing",
            "Makers withdraw during a slide of 20 %; nobody takes the other side.",
            300,
            slide_price(30, 150, 0.8),
            depth=lambda second: 0.0 if between(second, 60, 210) else 1.0,
            highlights=((60, 210, "no makers"),),
        ),
    )
}
"""Scenarios by name."""
