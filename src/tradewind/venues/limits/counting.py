"""Arithmetic of budgets: a counter that decays, and a token bucket. Pure: the caller tells the time.

Both are exact integers. A clock that goes back is taken to stand still.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from .verdicts import SECOND_NS

UNITS: Final = 10**11
"""Units of one point: a decay of 0.01 points a second is one unit a nanosecond."""


class DecayingCounter:
    """Points that grow with every request and shrink at a steady rate, never below zero.

    `decay_per_s` has at most two decimal places, which makes every level exact.
    """

    def __init__(self, maximum: int, decay_per_s: Decimal) -> None:
        units_per_ns = decay_per_s * 100
        if maximum < 1 or units_per_ns != int(units_per_ns) or units_per_ns < 1:
            raise ValueError("maximum is at least 1, decay_per_s at least 0.01 with two decimal places")
        self.maximum = maximum
        self.decay_per_s = decay_per_s
        self._units_per_ns = int(units_per_ns)
        self._units = 0
        self._at_ns = 0
        self._charged_ns = -1

    def _advance(self, now_ns: int) -> None:
        if now_ns > self._at_ns:
            self._units = max(0, self._units - (now_ns - self._at_ns) * self._units_per_ns)
            self._at_ns = now_ns

    def units(self, now_ns: int) -> int:
        """The level in `UNITS`."""
        self._advance(now_ns)
        return self._units

    def points(self, now_ns: int) -> Decimal:
        """The level in points, exact."""
        return Decimal(self.units(now_ns)) / UNITS

    def fits(self, points: int, limit: int, now_ns: int) -> bool:
        """Whether `points` more stay within `limit`."""
        return self.units(now_ns) + points * UNITS <= limit * UNITS

    def charge(self, points: int, now_ns: int) -> None:
        """Counts a request."""
        self._advance(now_ns)
        self._units += points * UNITS
        self._charged_ns = self._at_ns

    def free_at_ns(self, points: int, limit: int, now_ns: int) -> int | None:
        """When `points` fit within `limit` if nothing else is sent; None: never."""
        if points > limit:
            return None
        excess = self.units(now_ns) + (points - limit) * UNITS
        return now_ns if excess <= 0 else self._at_ns + -(-excess // self._units_per_ns)

    def rebase(self, points: Decimal, at_ns: int, now_ns: int) -> None:
        """What the venue says its own counter was at `at_ns`.

        More than ours holds at once. Less holds only when it was counted after our last charge: an older
        report knows nothing of what is on its way.
        """
        self._advance(now_ns)
        aged_ns = max(0, self._at_ns - at_ns)
        reported = max(0, int(points * UNITS) - aged_ns * self._units_per_ns)
        if reported > self._units or at_ns > self._charged_ns:
            self._units = reported

    def fill(self, now_ns: int) -> None:
        """The venue said that the budget is used up."""
        self._advance(now_ns)
        self._units = max(self._units, self.maximum * UNITS)
        self._charged_ns = self._at_ns

    def set_units(self, units: int, now_ns: int, elapsed_ns: int) -> None:
        """Continues from a saved level, `elapsed_ns` after it was saved."""
        self._at_ns = now_ns
        self._charged_ns = now_ns
        self._units = max(0, units - max(0, elapsed_ns) * self._units_per_ns)


class TokenBucket:
    """At most `burst` at once and `rate_per_s` in the long run, which smooths what a window would let bunch.

    Kept as the moment at which the bucket is full again (the generic cell rate algorithm): one number, and no
    rounding ever gives a token away.
    """

    def __init__(self, rate_per_s: Decimal, burst: int) -> None:
        if rate_per_s <= 0 or burst < 1:
            raise ValueError("rate_per_s is positive and burst at least 1")
        self.rate_per_s, self.burst = rate_per_s, burst
        self._full_at_ns = 0
        self._now_ns = 0

    def _step_ns(self, tokens: int) -> int:
        return -(-tokens * SECOND_NS * 10**9 // int(self.rate_per_s * 10**9))

    def free_at_ns(self, tokens: int, now_ns: int) -> int:
        """When so many tokens are there, `now_ns` if they are. More than a burst waits for a full bucket."""
        self._now_ns = max(self._now_ns, now_ns)
        spare = max(0, self.burst - tokens)
        return (
            max(now_ns, self._full_at_ns - self._step_ns(spare)) if spare else max(now_ns, self._full_at_ns)
        )

    def take(self, tokens: int, now_ns: int) -> None:
        """Takes tokens that `free_at_ns` said are there."""
        self._now_ns = max(self._now_ns, now_ns)
        self._full_at_ns = max(self._full_at_ns, self._now_ns) + self._step_ns(tokens)

    def put_back(self, ahead_ns: int) -> None:
        """The time was ahead by so much: the bucket is as full as it was."""
        self._full_at_ns -= ahead_ns
        self._now_ns -= ahead_ns

    def admit(self, tokens: int, now_ns: int) -> int:
        """Takes them and gives `now_ns`; else the moment to ask again, having taken nothing."""
        free_ns = self.free_at_ns(tokens, max(now_ns, self._now_ns))
        if free_ns > max(now_ns, self._now_ns):
            return free_ns
        self.take(tokens, now_ns)
        return now_ns
