"""Binance's limits: fixed windows of the venue's own clock, read from `exchangeInfo` (trading T4.3).

A window is `floor(server_time / interval)`, so every time given to this model is the venue's: a steady clock
plus the offset that was measured from the venue (`transport.clock`). The local wall clock never enters, and a
time that goes back is taken to stand still.

Nothing about the limits is built in. Until they have been read, only P0 to P2 pass.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

import msgspec

from .blocks import BAN_MISSING_S, FIREWALL_S, MAX_RETRY_AFTER_S, Block, Blocks, retry_after_ns
from .counting import TokenBucket
from .verdicts import (
    ABOVE_BUDGET,
    GRANTED,
    LIMITS_STALE,
    LIMITS_UNKNOWN,
    LOST_SHARE,
    SECOND_NS,
    TABLE_FULL,
    Denied,
    Priority,
    Verdict,
    Wait,
    ceiling,
)

RELOAD_NS: Final = 3_600 * SECOND_NS
STALE_NS: Final = 7_200 * SECOND_NS
STEPPED_BACK_NS: Final = SECOND_NS // 2
"""A time that goes back further was wrong before (`ClockGuard.venue_ns` then puts it right)."""
MAX_RULES: Final = 32
MAX_OPEN_ORDERS: Final = 100_000
KEPT_WINDOWS: Final = 4
HEADROOM_CALLS: Final = 2
"""Calls kept free for each open order and each symbol with one (T4.8)."""
SMOOTH_PART: Final = 5
"""A burst is one fifth of a window."""
LETTERS: Final = {"S": "SECOND", "M": "MINUTE", "H": "HOUR", "D": "DAY"}
INTERVAL_S: Final = {"SECOND": 1, "MINUTE": 60, "HOUR": 3_600, "DAY": 86_400}
_HEADER = re.compile(r"x-mbx-(used-weight|order-count)-(\d{1,4})([smhd])", re.IGNORECASE)
_BANNED = re.compile(r"banned until (\d{13})")


class LimitKind(StrEnum):
    """What a window counts."""

    REQUEST_WEIGHT = "REQUEST_WEIGHT"
    ORDERS = "ORDERS"
    RAW_REQUESTS = "RAW_REQUESTS"


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One published window."""

    kind: LimitKind
    interval_s: int
    limit: int

    @property
    def interval_ns(self) -> int:
        """Length of the window."""
        return self.interval_s * SECOND_NS


class Call(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """One request: its weight, how many orders it places, and their ids with their symbol.

    `leaves` of the weight that its class may use stay free behind it, for what must not wait.
    """

    weight: int = 1
    orders: int = 0
    symbol: str = ""
    placed: tuple[str, ...] = ()
    leaves: int = 0


class BadLimits(ValueError):
    """The venue's list of limits cannot be read."""

    code = "BadLimits"


def read_rules(rows: Sequence[Mapping[str, Any]]) -> tuple[list[Rule], list[str]]:
    """The rules of `rateLimits`, and the kinds that this build does not know.

    Raises:
        BadLimits: a row lacks a field, or there are none.
    """
    rules, unknown = [], []
    for row in rows[:MAX_RULES]:
        try:
            if row["rateLimitType"] not in LimitKind.__members__:
                unknown.append(str(row["rateLimitType"])[:64])
                continue
            interval_s = INTERVAL_S[row["interval"]] * int(row["intervalNum"])
            limit = int(row["limit"])
        except (KeyError, TypeError, ValueError) as error:
            raise BadLimits(f"a row of rateLimits cannot be read: {type(error).__name__}") from error
        if interval_s < 1 or limit < 1:
            raise BadLimits("a limit and its interval are at least 1")
        rules.append(Rule(kind=LimitKind(row["rateLimitType"]), interval_s=interval_s, limit=limit))
    if not rules:
        raise BadLimits("there are no limits")
    return rules, unknown


class _Window:
    """Use of one rule, by number of the window; the last few are kept for requests near a boundary."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.used: dict[int, int] = {}
        rate = Decimal(rule.limit) * 4 / 5 / rule.interval_s
        self.smoother = TokenBucket(rate, max(1, rule.limit // SMOOTH_PART))
        self.charged_ns = -1

    def numbers(self, now_ns: int, guard_ns: int) -> range:
        """The windows that a request sent now can be counted in."""
        first = max(0, now_ns - guard_ns) // self.rule.interval_ns
        return range(first, (now_ns + guard_ns) // self.rule.interval_ns + 1)

    def most(self, now_ns: int, guard_ns: int) -> int:
        """The highest use among them."""
        return max(self.used.get(number, 0) for number in self.numbers(now_ns, guard_ns))

    def charge(self, points: int, now_ns: int, guard_ns: int) -> None:
        """Counts in every window that it can fall into."""
        for number in self.numbers(now_ns, guard_ns):
            self.used[number] = self.used.get(number, 0) + points
        self.charged_ns = now_ns
        self._trim()

    def report(self, used: int, sent_ns: int, now_ns: int, guard_ns: int) -> None:
        """The venue's own total of the window in which it counted a request sent at `sent_ns`."""
        first = self.numbers(sent_ns, guard_ns)[0]
        last = self.numbers(now_ns, guard_ns)[-1]
        exact = first == last and sent_ns >= self.charged_ns and self.rule.kind is LimitKind.ORDERS
        for number in range(max(first, last - KEPT_WINDOWS + 1), last + 1):
            # Filled orders are given back, so a total newer than our last order may be lower than ours.
            self.used[number] = used if exact else max(used, self.used.get(number, 0))
        self._trim()

    def put_back(self, now_ns: int, ahead_ns: int, guard_ns: int) -> None:
        """The time was ahead by so much: the highest use that was counted anywhere is the use of now."""
        most = max(self.used.values(), default=0)
        present = self.numbers(now_ns, guard_ns)
        self.used = {number: count for number, count in self.used.items() if number <= present[-1] + 1}
        for number in present:
            self.used[number] = most
        self.charged_ns = min(self.charged_ns, now_ns)
        self.smoother.put_back(ahead_ns)
        self._trim()

    def _trim(self) -> None:
        while len(self.used) > KEPT_WINDOWS:
            del self.used[min(self.used)]

    def cost(self, call: Call) -> int:
        """What a call counts here."""
        match self.rule.kind:
            case LimitKind.REQUEST_WEIGHT:
                return call.weight
            case LimitKind.ORDERS:
                return call.orders
        return 1


class BinanceState(msgspec.Struct, kw_only=True):
    """What is saved: use by (kind, interval, window), open orders, blocks."""

    rules: list[Rule]
    used: list[list[tuple[int, int]]]
    open_orders: dict[str, str]
    blocks: dict[str, tuple[int, str, bool]]
    time_ns: int


class BinanceLimits:
    """The windows of one address and account.

    `guard_ns` is how far a request's moment at the venue may be from the moment given here (error of the
    offset plus time on the way): near a boundary it counts in both windows. The venue's own side uses 0.
    """

    def __init__(self, guard_ns: int = 0) -> None:
        if not 0 <= guard_ns <= SECOND_NS:
            raise ValueError("guard_ns is between 0 and a second")
        self.guard_ns = guard_ns
        self._windows: list[_Window] = []
        self._unknown: list[str] = []
        self._open: dict[str, str] = {}
        self._symbols: dict[str, int] = {}
        self._blocks = Blocks()
        self._loaded_ns: int | None = None
        self._reload = True
        self._lost = False
        self._now_ns = 0
        self._lock = threading.Lock()

    # ---- asking ------------------------------------------------------------------------------------

    def admit(self, cls: Priority, items: Sequence[Call], now_ns: int) -> Verdict:
        """Counts all of these calls when all fit, else none. `now_ns` is the venue's time."""
        with self._lock:
            now_ns = self._steady(now_ns)
            places_orders = any(one.orders for one in items)
            block = self._blocks.find(("orders",) if places_orders else (), now_ns)
            if block is not None:
                return Wait(block.until_ns, block.reason)
            refusal = self._refusal(cls, items, now_ns)
            if refusal is not None:
                return refusal
            waits = [self._wait(window, cls, items, now_ns) for window in self._windows]
            for wait in waits:
                if isinstance(wait, Denied):
                    return wait
            latest = max((wait for wait in waits if isinstance(wait, int)), default=now_ns)
            if latest > now_ns:
                return Wait(latest)
            self._charge(cls, items, now_ns)
            return GRANTED

    def _refusal(self, cls: Priority, items: Sequence[Call], now_ns: int) -> Denied | None:
        if cls >= Priority.P3:
            if self._loaded_ns is None or self._unknown:
                return Denied(LIMITS_UNKNOWN)
            if now_ns - self._loaded_ns > STALE_NS:
                return Denied(LIMITS_STALE)
        if len(self._open) + sum(len(one.placed) for one in items) > MAX_OPEN_ORDERS:
            return Denied(TABLE_FULL)
        return None

    def _wait(self, window: _Window, cls: Priority, items: Sequence[Call], now_ns: int) -> int | Denied:
        cost = sum(window.cost(one) for one in items)
        if cost == 0:
            return now_ns
        limit = ceiling(cls, window.rule.limit, self._reserve(window, items))
        if cost > limit:
            return Denied(ABOVE_BUDGET)
        if window.rule.kind is LimitKind.REQUEST_WEIGHT:
            limit = max(cost, limit - max(one.leaves for one in items))
        free_ns = now_ns
        if window.most(now_ns, self.guard_ns) + cost > limit:
            # The first later moment whose windows have room, looking at those known to be in use.
            number = window.numbers(now_ns, self.guard_ns)[-1]
            while window.used.get(number, 0) + cost > limit:
                number += 1
            free_ns = max(now_ns + 1, number * window.rule.interval_ns + self.guard_ns)
        return max(free_ns, window.smoother.free_at_ns(cost, now_ns)) if cls >= Priority.P3 else free_ns

    def _reserve(self, window: _Window, items: Sequence[Call]) -> int:
        """Points kept for cancelling everything, with what this request would add."""
        if window.rule.kind is LimitKind.ORDERS:
            return 0  # a cancel is no order
        new = [one for one in items if one.placed]
        symbols = len(self._symbols.keys() | {one.symbol for one in new})
        orders = len(self._open) + sum(len(one.placed) for one in new)
        return HEADROOM_CALLS * (orders + symbols)

    def _charge(self, cls: Priority, items: Sequence[Call], now_ns: int) -> None:
        for window in self._windows:
            cost = sum(window.cost(one) for one in items)
            if cost == 0:
                continue
            window.charge(cost, now_ns, self.guard_ns)
            if cls >= Priority.P3:
                window.smoother.take(cost, now_ns)
        for one in items:
            for order in one.placed:
                self._add_open(order, one.symbol)

    # ---- telling -----------------------------------------------------------------------------------

    def load(self, rows: Sequence[Mapping[str, Any]], now_ns: int) -> None:
        """Takes the `rateLimits` of exchangeInfo. Use of a window that stays is kept.

        Raises:
            BadLimits: they cannot be read; what was known before stays as it is.
        """
        rules, unknown = read_rules(rows)
        with self._lock:
            now_ns = self._steady(now_ns)
            known = {(one.rule.kind, one.rule.interval_s): one for one in self._windows}
            self._windows = []
            for rule in rules:
                window = _Window(rule)
                before = known.get((rule.kind, rule.interval_s))
                if before is not None:
                    window.used, window.charged_ns = before.used, before.charged_ns
                elif self._lost:
                    window.charge(int(LOST_SHARE * rule.limit), now_ns, self.guard_ns)
                self._windows.append(window)
            self._unknown, self._loaded_ns, self._reload = unknown, now_ns, False

    def headers(self, headers: Mapping[str, str], sent_ns: int, now_ns: int) -> None:
        """What the answer to a request sent at `sent_ns` says of the windows."""
        with self._lock:
            now_ns = self._steady(now_ns)
            for name, text in headers.items():
                match = _HEADER.fullmatch(name)
                if match is None or not text.isascii() or not text.isdigit():
                    continue
                weight = match[1].lower() == "used-weight"
                kind = LimitKind.REQUEST_WEIGHT if weight else LimitKind.ORDERS
                interval_s = INTERVAL_S[LETTERS[match[3].upper()]] * int(match[2])
                for window in self._windows:
                    if (window.rule.kind, window.rule.interval_s) == (kind, interval_s):
                        window.report(int(text[:12]), min(sent_ns, now_ns), now_ns, self.guard_ns)

    def status(self, status: int, retry_after: str | None, text: str, now_ns: int) -> Block | None:
        """What an HTTP status says: 429 stops, 418 is a ban of the address, 403 the firewall.

        `text` is the venue's message; it may name the end of a ban.
        """
        with self._lock:
            now_ns = self._steady(now_ns)
            scope = ""
            match status:
                case 429:
                    if "new orders" in text or "-1015" in text:
                        scope = "orders"
                    self._reload = True
                    block = Block(until_ns=now_ns + retry_after_ns(retry_after), reason="TooManyRequests")
                case 418:
                    until_ns = now_ns + retry_after_ns(retry_after, BAN_MISSING_S)
                    block = Block(until_ns=until_ns, reason="Banned", pages=True)
                case 403:
                    block = Block(until_ns=now_ns + FIREWALL_S * SECOND_NS, reason="Firewall", pages=True)
                case _:
                    return None
            banned = _BANNED.search(text)
            if banned is not None:
                furthest_ns = now_ns + MAX_RETRY_AFTER_S * SECOND_NS
                until_ns = min(int(banned[1]) * 1_000_000, furthest_ns)
                block = msgspec.structs.replace(block, until_ns=max(block.until_ns, until_ns))
            self._blocks.add(scope, block)
            return block

    def working(self, order: str, symbol: str) -> None:
        """An open order that was found at the venue."""
        with self._lock:
            self._add_open(order, symbol)

    def gone(self, order: str) -> None:
        """An order ended, or never was."""
        with self._lock:
            symbol = self._open.pop(order, None)
            if symbol is not None:
                self._symbols[symbol] -= 1
                if self._symbols[symbol] == 0:
                    del self._symbols[symbol]

    def _add_open(self, order: str, symbol: str) -> None:
        if order not in self._open:
            self._open[order] = symbol
            self._symbols[symbol] = self._symbols.get(symbol, 0) + 1

    # ---- looking -----------------------------------------------------------------------------------

    def needs_load(self, now_ns: int) -> bool:
        """Whether the limits have to be read: never yet, an hour ago, or a 429 since."""
        with self._lock:
            now_ns = self._steady(now_ns)
            return self._reload or self._loaded_ns is None or now_ns - self._loaded_ns >= RELOAD_NS

    def levels(self, now_ns: int) -> dict[str, tuple[Decimal, int]]:
        """Use and limit of the present windows, by scope: `REQUEST_WEIGHT:60s`."""
        with self._lock:
            now_ns = self._steady(now_ns)
            return {
                f"{one.rule.kind}:{one.rule.interval_s}s": (
                    Decimal(one.most(now_ns, self.guard_ns)),
                    one.rule.limit,
                )
                for one in self._windows
            }

    def used(self, kind: LimitKind, interval_s: int, now_ns: int) -> int:
        """Use of the window that `now_ns` is in. Raises `KeyError` without such a window."""
        with self._lock:
            now_ns = self._steady(now_ns)
            for one in self._windows:
                if (one.rule.kind, one.rule.interval_s) == (kind, interval_s):
                    return one.used.get(now_ns // one.rule.interval_ns, 0)
            raise KeyError((kind, interval_s))

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The windows in force."""
        return tuple(one.rule for one in self._windows)

    @property
    def unknown_kinds(self) -> tuple[str, ...]:
        """Kinds of limits that this build cannot keep: no new risk while there are any."""
        return tuple(self._unknown)

    def block(self, now_ns: int) -> Block | None:
        """The block of the whole venue, if one is in force."""
        with self._lock:
            return self._blocks.find((), self._steady(now_ns))

    # ---- keeping -----------------------------------------------------------------------------------

    def state(self, now_ns: int) -> BinanceState:
        """Everything that a restart has to know."""
        with self._lock:
            now_ns = self._steady(now_ns)
            return BinanceState(
                rules=[one.rule for one in self._windows],
                used=[sorted(one.used.items()) for one in self._windows],
                open_orders=dict(self._open),
                blocks=self._blocks.state(now_ns),
                time_ns=now_ns,
            )

    def restore(self, state: BinanceState | None, now_ns: int, elapsed_ns: int) -> None:
        """Continues from a saved state. None: the windows that will be read are taken to be 70 % full.

        The rules themselves are not believed: they have to be read again before new risk passes.
        """
        with self._lock:
            now_ns = self._steady(now_ns)
            self._reload, self._loaded_ns = True, None
            if state is None:
                self._lost = True
                return
            self._windows = []
            for rule, used in zip(state.rules, state.used, strict=True):
                window = _Window(rule)
                window.used = dict(used)
                # Windows are those of the venue's clock; if it was not continuous, what was used is used now.
                if state.time_ns > now_ns and used:
                    window.charge(max(count for _, count in used), now_ns, self.guard_ns)
                self._windows.append(window)
            for order, symbol in state.open_orders.items():
                self._add_open(order, symbol)
            self._blocks.restore(state.blocks, now_ns, elapsed_ns)

    def _steady(self, now_ns: int) -> int:
        """A clock that goes back a little stands still; one that goes back far was ahead, and wrong."""
        if now_ns < self._now_ns - STEPPED_BACK_NS:
            self._put_back(now_ns)
        self._now_ns = max(self._now_ns, now_ns)
        return self._now_ns

    def _put_back(self, now_ns: int) -> None:
        """What was used is used now, and blocks last as long as they had left; nothing becomes free by it."""
        ahead_ns = self._now_ns - now_ns
        for window in self._windows:
            window.put_back(now_ns, ahead_ns, self.guard_ns)
        self._blocks.put_back(ahead_ns)
        if self._loaded_ns is not None:
            self._loaded_ns -= ahead_ns
        self._now_ns = now_ns
