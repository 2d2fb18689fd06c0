"""The venue's own side of its limits: fixed clock windows, back-off answers and bans.

A window is `floor(now_ms / interval_ms)`: it starts at a full interval of the clock, not at a client's first
request. Weight and raw requests are counted per address, orders per account.
"""

from __future__ import annotations

from typing import Final

import msgspec

from .errors import BinanceError

SECOND_NS: Final = 1_000_000_000
INTERVALS_S: Final = {"SECOND": 1, "MINUTE": 60, "HOUR": 3_600, "DAY": 86_400}
MAX_COUNTED: Final = 65_536
"""Addresses or accounts counted at a time in one window; more share one counter, which is the safe side."""
OTHERS: Final = "(others)"
FIRST_BAN_S: Final = 120
LONGEST_BAN_S: Final = 259_200
IGNORED_BEFORE_BAN: Final = 50
"""Requests sent in spite of a 429 in one window after which the address is banned."""


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `rateLimits`. `interval` is SECOND, MINUTE, HOUR or DAY; `interval_num` of them a window."""

    kind: str
    """REQUEST_WEIGHT, ORDERS or RAW_REQUESTS"""
    interval: str
    interval_num: int
    limit: int

    @property
    def span_ns(self) -> int:
        """Length of a window."""
        return INTERVALS_S[self.interval] * self.interval_num * SECOND_NS

    @property
    def suffix(self) -> str:
        """As in header names: 1M, 10S, 1D."""
        return f"{self.interval_num}{self.interval[0]}"

    def row(self, count: int | None = None) -> dict[str, str | int]:
        """As `exchangeInfo` (without a count) and `rateLimits` of a reply (with one) write it."""
        row: dict[str, str | int] = {
            "rateLimitType": self.kind,
            "interval": self.interval,
            "intervalNum": self.interval_num,
            "limit": self.limit,
        }
        if count is not None:
            row["count"] = count
        return row


DEFAULT_LIMITS: Final = (
    Limit(kind="REQUEST_WEIGHT", interval="MINUTE", interval_num=1, limit=6_000),
    Limit(kind="ORDERS", interval="SECOND", interval_num=10, limit=100),
    Limit(kind="ORDERS", interval="DAY", interval_num=1, limit=200_000),
    Limit(kind="RAW_REQUESTS", interval="MINUTE", interval_num=5, limit=61_000),
)
"""What the venue publishes for spot accounts; a gateway may be opened with other rows."""


class Window:
    """Counts of one limit in the window that is running."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self._number = -1
        self._counts: dict[str, int] = {}

    def _turn(self, now_ns: int) -> None:
        number = now_ns // self.limit.span_ns
        if number > self._number:
            # a clock that goes back stays in the later window: nobody gains a second budget
            self._number = number
            self._counts.clear()

    def _name(self, who: str) -> str:
        return who if who in self._counts or len(self._counts) < MAX_COUNTED else OTHERS

    def count(self, who: str, now_ns: int) -> int:
        """Used so far in this window."""
        self._turn(now_ns)
        return self._counts.get(self._name(who), 0)

    def add(self, who: str, cost: int, now_ns: int) -> int:
        """Counts, and gives the new total; negative costs give back, never below zero."""
        self._turn(now_ns)
        name = self._name(who)
        total = max(0, self._counts.get(name, 0) + cost)
        self._counts[name] = total
        return total

    def seconds_left(self, now_ns: int) -> int:
        """Whole seconds until the next window, at least 1."""
        return max(1, -(-(self.limit.span_ns - now_ns % self.limit.span_ns) // SECOND_NS))


class Ban(msgspec.Struct):
    """What an address did wrong."""

    until_ns: int = 0
    length_s: int = 0
    ignored: int = 0
    window: int = -1


class Usage:
    """All windows of a gateway."""

    def __init__(self, limits: tuple[Limit, ...] = DEFAULT_LIMITS) -> None:
        self.limits = limits
        self._weights = [Window(row) for row in limits if row.kind == "REQUEST_WEIGHT"]
        self._orders = [Window(row) for row in limits if row.kind == "ORDERS"]
        self._raw = [Window(row) for row in limits if row.kind == "RAW_REQUESTS"]
        self._bans: dict[str, Ban] = {}

    def request(self, address: str, weight: int, now_ns: int) -> None:
        """Counts a request. Raises -1003 with status 418 while banned, 429 above a limit."""
        ban = self._bans.get(address)
        if ban is not None and now_ns < ban.until_ns:
            raise self._banned(ban, now_ns)
        for window, cost, what in [
            *((window, weight, "request weight") for window in self._weights),
            *((window, 1, "raw requests") for window in self._raw),
        ]:
            total = window.add(address, cost, now_ns)
            if total > window.limit.limit:
                raise self._too_much(address, window, what, now_ns)

    def _too_much(self, address: str, window: Window, what: str, now_ns: int) -> BinanceError:
        ban = self._ban(address)
        number = now_ns // window.limit.span_ns
        ban.ignored = ban.ignored + 1 if ban.window == number else 1
        ban.window = number
        if ban.ignored > IGNORED_BEFORE_BAN:
            ban.ignored = 0
            ban.length_s = min(max(FIRST_BAN_S, ban.length_s * 2), LONGEST_BAN_S)
            ban.until_ns = now_ns + ban.length_s * SECOND_NS
            return self._banned(ban, now_ns)
        limit = window.limit
        error = BinanceError(
            -1003,
            f"Too much {what} used; current limit is {limit.limit} {what} per {limit.interval_num}"
            f" {limit.interval}. Please use WebSocket Streams for live updates to avoid polling the API.",
        )
        wait_s = window.seconds_left(now_ns)
        error.headers["Retry-After"] = str(wait_s)
        error.data = {
            "serverTime": now_ns // 1_000_000,
            "retryAfter": now_ns // 1_000_000 + wait_s * 1_000,
        }
        return error

    def _ban(self, address: str) -> Ban:
        ban = self._bans.get(address)
        if ban is None:
            if len(self._bans) >= MAX_COUNTED:
                address = OTHERS
            ban = self._bans.setdefault(address, Ban())
        return ban

    def _banned(self, ban: Ban, now_ns: int) -> BinanceError:
        until_ms = ban.until_ns // 1_000_000
        error = BinanceError(
            -1003,
            f"Way too much request weight used; IP banned until {until_ms}."
            " Please use WebSocket Streams for live updates to avoid bans.",
            status=418,
        )
        error.headers["Retry-After"] = str(max(1, -(-(ban.until_ns - now_ns) // SECOND_NS)))
        error.data = {"serverTime": now_ns // 1_000_000, "retryAfter": until_ms}
        return error

    def ban(self, address: str, length_s: int, now_ns: int) -> None:
        """Bans an address at once (fault plans do)."""
        ban = self._ban(address)
        ban.length_s = min(max(1, length_s), LONGEST_BAN_S)
        ban.until_ns = now_ns + ban.length_s * SECOND_NS

    def place(self, account: str, orders: int, now_ns: int) -> None:
        """Counts new orders. Raises -1015 above a limit, having counted nothing."""
        for window in self._orders:
            if window.count(account, now_ns) + orders > window.limit.limit:
                limit = window.limit
                error = BinanceError(
                    -1015,
                    f"Too many new orders; current limit is {limit.limit} orders per"
                    f" {limit.interval_num} {limit.interval}.",
                )
                until_ms = now_ns // 1_000_000 + window.seconds_left(now_ns) * 1_000
                error.data = {"serverTime": now_ns // 1_000_000, "retryAfter": until_ms}
                raise error
        for window in self._orders:
            window.add(account, orders, now_ns)

    def not_placed(self, account: str, orders: int, now_ns: int) -> None:
        """Orders that were counted and then refused."""
        for window in self._orders:
            window.add(account, -orders, now_ns)

    def filled(self, account: str, maker: bool, now_ns: int) -> None:
        """An order's first fill gives places back: one to a taker, five to a maker."""
        for window in self._orders:
            window.add(account, -5 if maker else -1, now_ns)

    def headers(self, address: str, account: str | None, now_ns: int) -> dict[str, str]:
        """Header lines of a reply; `account` only for replies to orders."""
        lines = {}
        for window in self._weights:
            count = str(window.count(address, now_ns))
            lines[f"X-MBX-USED-WEIGHT-{window.limit.suffix}"] = count
            if window.limit.suffix == "1M":
                lines["X-MBX-USED-WEIGHT"] = count
        if account is not None:
            for window in self._orders:
                count = str(window.count(account, now_ns))
                lines[f"X-MBX-ORDER-COUNT-{window.limit.suffix}"] = count
        return lines

    def rows(self, address: str, account: str | None, now_ns: int) -> list[dict[str, str | int]]:
        """`rateLimits` of a WebSocket reply; `account` only for replies to orders."""
        orders = [] if account is None else self.order_rows(account, now_ns)
        return orders + [window.limit.row(window.count(address, now_ns)) for window in self._weights]

    def order_rows(self, account: str, now_ns: int) -> list[dict[str, str | int]]:
        """`rateLimit/order`."""
        return [window.limit.row(window.count(account, now_ns)) for window in self._orders]
