"""Calls of ccxt as results: an answer, or `Failed` with what is certain about it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from typing import Any, Final

import msgspec
import structlog

from tradewind.venues.ccxt_adapter.exact import TRACE, HeldBack, Trace, Turn
from tradewind.venues.ccxt_adapter.limits import CostLimits
from tradewind.venues.codes import RejectCode
from tradewind.venues.limits import Gate, Priority
from tradewind.venues.limits.verdicts import Denied
from tradewind.venues.protocol import Rejected, Uncertain

log = structlog.get_logger(__name__)
MAX_RAW_CHARS: Final = 200
CLOSE_TIMEOUT_S: Final = 10.0
CHANGES: Final = frozenset({"create_order", "cancel_order", "cancel_all_orders_after"})
TOO_MANY: Final = frozenset({"RateLimitExceeded", "DDoSProtection"})
SECRETS: Final = (
    "apiKey",
    "secret",
    "password",
    "uid",
    "token",
    "privateKey",
    "walletAddress",
    "login",
    "twofa",
)
SHORTEST_SECRET: Final = 4
ADDRESS: Final = re.compile(r"\S+://\S+")

MEANINGS: Final[dict[str, tuple[RejectCode, bool]]] = {
    "InsufficientFunds": (RejectCode.INSUFFICIENT_FUNDS, True),
    "OrderNotFound": (RejectCode.UNKNOWN_ORDER, False),
    "OrderImmediatelyFillable": (RejectCode.POST_ONLY_WOULD_TAKE, False),
    "OrderNotFillable": (RejectCode.NOT_FILLABLE, False),
    "DuplicateOrderId": (RejectCode.DUPLICATE_CLIENT_ID, True),
    "InvalidOrder": (RejectCode.VENUE_REJECTED, False),
    "BadSymbol": (RejectCode.UNKNOWN_SYMBOL, True),
    "MarketClosed": (RejectCode.SYMBOL_CLOSED, False),
    "AuthenticationError": (RejectCode.NOT_AUTHORISED, False),
    "RestrictedLocation": (RejectCode.NOT_AUTHORISED, False),
    "NotSupported": (RejectCode.TYPE_UNSUPPORTED, True),
    "ArgumentsRequired": (RejectCode.INVALID_REQUEST, True),
    "BadRequest": (RejectCode.INVALID_REQUEST, True),
    "OperationRejected": (RejectCode.VENUE_REJECTED, False),
}
"""ccxt's classes of definite refusals; the nearest one that an error derives from counts.

`ExchangeError` itself is not in it: ccxt raises it for texts that it does not know, and for answers that
broke off.
"""
TEXTS: Final[tuple[tuple[str, RejectCode, bool], ...]] = (
    ("fill or kill could not be filled", RejectCode.NOT_FILLABLE, False),
    ("post only order", RejectCode.POST_ONLY_WOULD_TAKE, False),
    ("would immediately match and take", RejectCode.POST_ONLY_WOULD_TAKE, False),
    ("order could not be filled completely", RejectCode.NOT_FILLABLE, False),
    ("unknown order", RejectCode.UNKNOWN_ORDER, False),
    ("eorder:rate limit exceeded", RejectCode.RATE_LIMITED, False),
    ("eorder:orders limit exceeded", RejectCode.TOO_MANY_ORDERS, False),
    ("deadline elapsed", RejectCode.DEADLINE_PASSED, False),
    ("cancel_only", RejectCode.CANCEL_ONLY, False),
)
"""Words of venues for refusals that ccxt puts into a wider class."""


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """A call without a result. `code` is set when it is certain that nothing was changed."""

    reason: str
    code: RejectCode | None = None
    preventable: bool = False
    sent_ns: int = 0

    @property
    def absent(self) -> bool:
        """Whether the venue said that it has no such order."""
        return self.code is RejectCode.UNKNOWN_ORDER

    def as_change(self) -> Rejected | Uncertain:
        """What this is for an order."""
        if self.code is None:
            return Uncertain(self.reason, self.sent_ns)
        return Rejected(self.code, self.reason, self.preventable)


class Caller:
    """Calls of one exchange object, each in a class of the limits."""

    def __init__(
        self, exchange: Any, limits: CostLimits, *, call_timeout_s: float, retry_after_missing_s: int
    ) -> None:
        self.exchange, self.limits = exchange, limits
        self.gate = Gate(limits)
        self.call_timeout_s, self.retry_after_missing_s = call_timeout_s, retry_after_missing_s
        self.failures: dict[str, int] = {}
        """Failed calls by ccxt's class of error; there are some forty classes."""
        exchange.tradewind_turn = Turn()
        exchange.tradewind_admit = self._admit

    async def _admit(self, cls: Priority, cost: float) -> None:
        verdict = await self.gate.acquire(cls, [max(1, round(float(cost) * 1_000))])
        if isinstance(verdict, Denied):
            raise HeldBack(verdict.reason)

    def has(self, what: str) -> bool:
        """Whether ccxt can do it at this venue. What it emulates counts as well."""
        return bool(self.exchange.has.get(what))

    async def call(self, method: str, *arguments: Any, cls: Priority) -> Any | Failed:
        """The unified method's result, or why there is none. Never raises for what the venue does."""
        trace = Trace(cls)
        token = TRACE.set(trace)
        sent_ns = time.time_ns()
        try:
            async with asyncio.timeout(self.call_timeout_s):
                return await getattr(self.exchange, method)(*arguments)
        except Exception as error:  # noqa: BLE001 - ccxt's parsers raise anything on strange answers
            return self._failed(method, error, trace, sent_ns)
        finally:
            TRACE.reset(token)

    def _failed(self, method: str, error: Exception, trace: Trace, sent_ns: int) -> Failed:
        names = [one.__name__ for one in type(error).__mro__]
        if len(self.failures) < 100 or names[0] in self.failures:
            self.failures[names[0]] = self.failures.get(names[0], 0) + 1
        if isinstance(error, HeldBack):
            code = RejectCode.RATE_LIMITED_LOCAL
            # an earlier request of the same call may have left
            return Failed(reason=str(error), code=None if trace.sent else code, sent_ns=sent_ns)
        if TOO_MANY & set(names) and trace.status is not None:
            now_ns = time.monotonic_ns()
            block = self.limits.refused(trace.retry_after, self.retry_after_missing_s, now_ns)
            log.warning("ccxt_too_many", venue=self.exchange.id, quiet_s=(block.until_ns - now_ns) // 10**9)
        text = self._harmless(str(error))[:MAX_RAW_CHARS]
        reason = f"{method}: {names[0]}"
        if trace.answered and trace.readable:
            reason = f"{reason}: {text}"[:MAX_RAW_CHARS]  # the venue's own words
        if not _definite(method, names, trace):
            return Failed(reason=reason, sent_ns=sent_ns)
        for words, code, preventable in TEXTS:
            if words in text.lower():
                return Failed(reason=text, code=code, preventable=preventable, sent_ns=sent_ns)
        found = next((MEANINGS[one] for one in names if one in MEANINGS), None)
        if found is None:
            return Failed(reason=reason, sent_ns=sent_ns)
        return Failed(reason=text, code=found[0], preventable=found[1], sent_ns=sent_ns)

    def _harmless(self, text: str) -> str:
        """A venue's words without addresses, which may hold signatures, and without anything of the key."""
        text = ADDRESS.sub("…", text)
        for name in SECRETS:
            word = getattr(self.exchange, name, None)
            if isinstance(word, str) and len(word) >= SHORTEST_SECRET:
                text = text.replace(word, "…")
        return text

    async def close(self) -> None:
        """End every connection, within `CLOSE_TIMEOUT_S`."""
        self.gate.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self.exchange.close()


def _definite(method: str, names: list[str], trace: Trace) -> bool:
    """Whether an error is the venue's own word, or was raised before anything was sent.

    A change that the venue answered without an error was made, whatever ccxt thinks of the answer; a read
    may find in a good answer that there is no such order.
    """
    if "ExchangeError" not in names:
        return False
    if not trace.sent:
        return True
    if trace.accepted and (method in CHANGES or "OrderNotFound" not in names):
        return False
    return trace.answered and trace.readable and trace.status is not None and trace.status < 500
