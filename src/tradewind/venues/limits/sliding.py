"""Sliding windows: at most so many requests in any span, for Polymarket and the own exchange (T4.4, T4.5).

One request can be counted in several windows (all requests of a host, its endpoint, its sustained rate). The
counting itself is `transport.request_window`: there is one implementation of a sliding log.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from decimal import Decimal
from statistics import median
from typing import Final

import msgspec

from tradewind.venues.transport.request_window import MAX_REQUESTS, WINDOW_NS, RequestWindow

from .blocks import FIREWALL_S, Block, Blocks, retry_after_ns
from .counting import TokenBucket
from .facts import fact
from .verdicts import (
    ABOVE_BUDGET,
    GRANTED,
    LIMITS_UNKNOWN,
    LOST_SHARE,
    SECOND_NS,
    Denied,
    Priority,
    Verdict,
    Wait,
    ceiling,
)

MAX_WINDOWS: Final = 64
CANCELS_FREE: Final = 2
"""Cancel-all calls that stay possible whatever else goes out (T4.8)."""
ORDER_REQUESTS: Final = 500
HALVED_NS: Final = 60 * SECOND_NS
MEDIAN_NS: Final = 300 * SECOND_NS
RECENT_NS: Final = 10 * SECOND_NS
SLOWER: Final = 5
MIN_RECENT: Final = 5
MIN_BASELINE: Final = 20
MAX_SAMPLES: Final = 4_096


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """At most `limit` requests in any `span_ns`. `published` is what the venue allows; ours is never more.

    `cancels`: cancels are counted here, so room for them is kept.
    """

    name: str
    limit: int
    span_ns: int = WINDOW_NS
    published: int | None = None
    cancels: bool = False

    def __post_init__(self) -> None:
        if self.limit < 1 or self.span_ns < 1:
            raise ValueError("limit and span_ns are at least 1")
        if self.published is not None and self.limit > self.published:
            raise ValueError(f"{self.name}: a limit of {self.limit} is above the venue's {self.published}")


class Request(msgspec.Struct, frozen=True, tag=True):
    """One request, counted in each of these windows. `leaves` requests that its class may make there stay
    free behind it, for what must not wait.
    """

    windows: tuple[str, ...]
    leaves: int = 0


def polymarket_rules(overrides: Mapping[str, int] | None = None) -> list[Rule]:
    """The own default budget of a host, below the venue's table. `overrides` may only lower a limit.

    Raises:
        ValueError: an override names no rule, or is above its default.
    """

    def rule(name: str, limit: int, published: str, *, cancels: bool = False) -> Rule:
        most, span_s = fact(published)
        return Rule(
            name=name,
            limit=min(limit, most),
            span_ns=span_s * SECOND_NS,
            published=most,
            cancels=cancels,
        )

    rules = [
        Rule(name="reads", limit=MAX_REQUESTS, published=fact("polymarket.book")[0]),
        rule("balance_update", MAX_REQUESTS, "polymarket.balance_allowance_update"),
        rule("orders", ORDER_REQUESTS, "polymarket.post_order", cancels=True),
        rule("orders_sustained", 36_000, "polymarket.post_order_sustained", cancels=True),
        rule("cancel_all", 250, "polymarket.cancel_all", cancels=True),
    ]
    lowered = dict(overrides or {})
    result = []
    for one in rules:
        limit = lowered.pop(one.name, one.limit)
        if limit > one.limit:
            raise ValueError(f"{one.name} can only be lowered from {one.limit}")
        result.append(msgspec.structs.replace(one, limit=limit))
    if lowered:
        raise ValueError(f"no rule {sorted(lowered)[0]!r}")
    return result


class SlidingState(msgspec.Struct, kw_only=True):
    """What is saved: ages in ns of what counts, by window; blocks."""

    ages_ns: dict[str, list[int]]
    blocks: dict[str, tuple[int, str, bool]]


class RoundTrips:
    """Whether answers got so slow that the venue must be holding requests back (T4.4)."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, int]] = deque(maxlen=MAX_SAMPLES)

    def add(self, round_trip_ns: int, now_ns: int) -> bool:
        """Notes one; whether the last 10 s are five times slower than the 5 minutes before."""
        self._samples.append((now_ns, round_trip_ns))
        while self._samples and now_ns - self._samples[0][0] > MEDIAN_NS:
            self._samples.popleft()
        recent = [taken for at_ns, taken in self._samples if now_ns - at_ns <= RECENT_NS]
        before = [taken for at_ns, taken in self._samples if now_ns - at_ns > RECENT_NS]
        if len(recent) < MIN_RECENT or len(before) < MIN_BASELINE:
            return False
        return median(recent) > SLOWER * median(before)


class SlidingLimits:
    """Several sliding windows behind one `admit`. Every grant needs a `done` when its request has ended."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        if not 1 <= len(rules) <= MAX_WINDOWS or len({one.name for one in rules}) != len(rules):
            raise ValueError(f"1 to {MAX_WINDOWS} rules with different names")
        self._now_ns = 0
        self.rules = {one.name: one for one in rules}
        self._windows = {
            one.name: RequestWindow(one.limit, one.span_ns, clock_ns=self._clock_ns) for one in rules
        }
        self._smoothers = {one.name: _smoother(one) for one in rules}
        self._blocks = Blocks()
        self._round_trips = RoundTrips()
        self._halved_until_ns = 0
        self._lock = threading.Lock()

    def _clock_ns(self) -> int:
        return self._now_ns

    def _steady(self, now_ns: int) -> int:
        self._now_ns = max(self._now_ns, now_ns)
        return self._now_ns

    def admit(self, cls: Priority, items: Sequence[Request], now_ns: int) -> Verdict:
        """Counts one request in all of its windows, or in none. Several items are several windows of it."""
        with self._lock:
            now_ns = self._steady(now_ns)
            names = tuple(dict.fromkeys(name for one in items for name in one.windows))
            if any(name not in self._windows for name in names):
                return Denied(LIMITS_UNKNOWN)
            block = self._blocks.find(names, now_ns)
            if block is not None:
                return Wait(block.until_ns, block.reason)
            latest_ns = now_ns
            leaves = max((one.leaves for one in items), default=0)
            for name in names:
                most = self._ceiling(cls, self.rules[name], now_ns)
                most = max(1, most - leaves) if most else 0
                if most < 1:
                    return Denied(ABOVE_BUDGET)
                latest_ns = max(latest_ns, now_ns + self._windows[name].peek(most))
                if cls >= Priority.P3:
                    latest_ns = max(latest_ns, self._smoothers[name].free_at_ns(1, now_ns))
            if latest_ns > now_ns:
                return Wait(latest_ns)
            for name in names:
                self._windows[name].enter()
                if cls >= Priority.P3:
                    self._smoothers[name].take(1, now_ns)
            return GRANTED

    def _ceiling(self, cls: Priority, rule: Rule, now_ns: int) -> int:
        limit = rule.limit
        if cls >= Priority.P1 and now_ns < self._halved_until_ns:
            limit = max(1, limit // 2)
        reserve = CANCELS_FREE if rule.cancels and limit > CANCELS_FREE else 0
        # A window of one or two requests would leave nothing to the lower classes after rounding down.
        return max(1, ceiling(cls, limit, reserve))

    def done(self, items: Sequence[Request], now_ns: int) -> None:
        """The request of a grant ended, with or without an answer; its window's time starts now.

        Raises:
            RuntimeError: no request is under way.
        """
        with self._lock:
            self._steady(now_ns)
            for name in dict.fromkeys(name for one in items for name in one.windows):
                self._windows[name].leave()

    def round_trip(self, taken_ns: int, now_ns: int) -> bool:
        """Notes how long an answer took. True: it counts as throttling, and the budget is halved for 60 s."""
        with self._lock:
            now_ns = self._steady(now_ns)
            slow = self._round_trips.add(taken_ns, now_ns)
            if slow:
                self._halved_until_ns = now_ns + HALVED_NS
            return slow

    def status(self, status: int, retry_after: str | None, now_ns: int, window: str = "") -> Block | None:
        """What an HTTP status says: 429 stops a window (or all), 403 is the firewall."""
        with self._lock:
            now_ns = self._steady(now_ns)
            if status == 429:
                block = Block(until_ns=now_ns + retry_after_ns(retry_after), reason="TooManyRequests")
                self._blocks.add(window, block)
                return block
            if status == 403:
                block = Block(until_ns=now_ns + FIREWALL_S * SECOND_NS, reason="Firewall", pages=True)
                self._blocks.add("", block)
                return block
            return None

    def levels(self, now_ns: int) -> dict[str, tuple[Decimal, int]]:
        """Requests that count now and the limit, by window."""
        with self._lock:
            self._steady(now_ns)
            return {
                name: (Decimal(window.used), self.rules[name].limit) for name, window in self._windows.items()
            }

    def block(self, now_ns: int) -> Block | None:
        """The block of the whole venue, if one is in force."""
        with self._lock:
            return self._blocks.find((), self._steady(now_ns))

    def state(self, now_ns: int) -> SlidingState:
        """Everything that a restart has to know."""
        with self._lock:
            now_ns = self._steady(now_ns)
            return SlidingState(
                ages_ns={name: window.ages_ns() for name, window in self._windows.items()},
                blocks=self._blocks.state(now_ns),
            )

    def restore(self, state: SlidingState | None, now_ns: int, elapsed_ns: int) -> None:
        """Continues from what was saved `elapsed_ns` ago; None: every window is 70 % full."""
        with self._lock:
            now_ns = self._steady(now_ns)
            for name, window in self._windows.items():
                if state is None:
                    ages = [0] * int(LOST_SHARE * self.rules[name].limit)
                else:
                    ages = [age + max(0, elapsed_ns) for age in state.ages_ns.get(name, [])]
                window.restore(ages)
            if state is not None:
                self._blocks.restore(state.blocks, now_ns, elapsed_ns)


def _smoother(rule: Rule) -> TokenBucket:
    rate = Decimal(rule.limit) * 4 / 5 * SECOND_NS / rule.span_ns
    return TokenBucket(rate, max(1, rule.limit // 5))
