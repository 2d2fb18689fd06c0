"""The signer lane: one per API key, where nonce, signature and write happen in one step (trading T1.2, T3).

Callers wait in order of their class; the nonce is allocated when the connection is free, so the order on the
wire is the order of the nonces. A lane with nonces has one connection and one request under way. Lanes that
sign a timestamp may have several.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec
import structlog

from tradewind.security.capability import require_signing
from tradewind.venues.limits.gate import Gate
from tradewind.venues.limits.verdicts import (
    ABOVE_BUDGET,
    LIMITS_STALE,
    LIMITS_UNKNOWN,
    OPEN_ORDERS_LIMIT,
    RATE_LIMITED_LOCAL,
    TABLE_FULL,
    Denied,
    Priority,
)
from tradewind.venues.transport import quarantine
from tradewind.venues.transport.lease import KeyLock, TradingLease
from tradewind.venues.transport.nonce import (
    ALARM_AHEAD_S,
    QUARANTINE_AHEAD_S,
    NonceAllocator,
    NonceError,
)
from tradewind.venues.transport.private_http import NoAnswer, PrivateHttp, Reply

require_signing(__name__)

log = structlog.get_logger("tradewind.venues.lane")
MAX_WAITING: Final = 1_000
FAILURES_TO_QUARANTINE: Final = 3
FAILURE_WINDOW_S: Final = 60.0
SKIP_AHEAD_S: Final = 60
STALE_EPOCH: Final = "StaleEpoch"
LEASE_EXPIRED: Final = "LeaseExpired"
KEY_LOST: Final = "KeyLockLost"
KEY_QUARANTINED: Final = "KeyQuarantined"
LANE_FULL: Final = "LaneFull"
LANE_CLOSED: Final = "LaneClosed"
LIMITED: Final = frozenset(
    {RATE_LIMITED_LOCAL, ABOVE_BUDGET, OPEN_ORDERS_LIMIT, LIMITS_UNKNOWN, LIMITS_STALE, TABLE_FULL}
)
NOT_CONNECTED: Final = frozenset({"ConnectFailed", "ConnectTimeout", "Timeout", "Closed"})


class Nonce(msgspec.Struct, frozen=True):
    """What a request is signed with: a nonce of the key's unit, or the venue's time in ms."""

    value: int

    def __str__(self) -> str:
        return str(self.value)


class SignedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request with its signature. `body` goes out as it is: it is what was signed."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""

    def __repr__(self) -> str:
        return f"SignedRequest({self.method} {self.target.partition('?')[0]}, {len(self.body)} bytes)"


class InvalidNonceCause(StrEnum):
    """Why the venue can have refused a nonce (T3.9)."""

    OTHER_PROCESS = "other_process"
    CLOCK_STEP = "clock_step"
    UNIT = "unit"
    REORDER = "reorder"


class LaneFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What operators watch of a lane."""

    calls: int
    answers: int
    unanswered: int
    refused: dict[str, int]
    invalid_nonces: int
    ahead_s: float | None
    sync_refills: int
    quarantined: str
    waiting: int
    outcomes: dict[tuple[str, str], int]
    """By class and outcome: ok, unknown (sent, no answer), rate, transport, refused."""
    connects: int
    reused: int
    reuse: float | None
    open_connections: int


def _outcome(reply: Reply) -> str:
    """One of a few words for a counter."""
    if not isinstance(reply, NoAnswer):
        return "ok"
    if reply.sent:
        return "unknown"
    if reply.reason in LIMITED:
        return "rate"
    return "transport" if reply.reason.partition(":")[0] in NOT_CONNECTED else "refused"


class SignerLane:
    """The only place that signs with one key. Use it from one event loop."""

    def __init__(
        self,
        http: PrivateHttp,
        *,
        lock: KeyLock,
        lease: TradingLease | None = None,
        nonces: NonceAllocator | None = None,
        stamp_ms: Callable[[], int] | None = None,
        gate: Gate | None = None,
    ) -> None:
        """`nonces` for a venue that counts, `stamp_ms` (the venue's time) for one that looks at the clock.

        `lease` None is for tools with a key of their own; `epoch` of a call is then not looked at.
        """
        require_signing("SignerLane")
        if (nonces is None) == (stamp_ms is None):
            raise ValueError("a lane has either nonces or a clock")
        self.http, self.gate = http, gate
        self._lock, self._lease, self._nonces, self._stamp_ms = lock, lease, nonces, stamp_ms
        self._highest_epoch = 0 if nonces is None else nonces.epoch
        self._waiting: list[tuple[Priority, int, asyncio.Future[None]]] = []
        self._places = 1 if nonces is not None else http.max_connections
        self._number = 0
        self._failed_at_s: deque[float] = deque(maxlen=FAILURES_TO_QUARANTINE)
        self._refused_in_a_row = 0
        self._lost_connections = 0
        self._closed = False
        self._quarantine_file = quarantine.place_of(lock.path)
        before = quarantine.read(self._quarantine_file)
        self._quarantined = "" if before is None else before.reason
        """Why the key is out of use, "" while it is in use; also of an earlier process."""
        self.calls = self.answers = self.unanswered = self.invalid_nonces = 0
        self.refused: dict[str, int] = {}
        self.outcomes: dict[tuple[str, str], int] = {}

    # ---- calling -----------------------------------------------------------------------------------

    async def call(
        self,
        build: Callable[[Nonce], SignedRequest],
        *,
        cls: Priority,
        epoch: int = 0,
        cost: Sequence[Any] = (),
        scope: str = "",
        timeout_s: float = 5.0,
    ) -> Reply:
        """One signed request. `build` makes and signs it when it is its turn; it must not wait.

        `cost` is asked of the gate first. What was refused here comes back as `NoAnswer` with `sent` False
        and the reason: StaleEpoch, LeaseExpired, KeyQuarantined, RateLimitedLocal, …
        """
        self.calls += 1
        reply = await self._call(build, cls, epoch, cost, scope, timeout_s)
        key = (cls.name, _outcome(reply))
        self.outcomes[key] = self.outcomes.get(key, 0) + 1
        return reply

    async def _call(  # noqa: PLR0917 - the arguments of `call`, in its order
        self,
        build: Callable[[Nonce], SignedRequest],
        cls: Priority,
        epoch: int,
        cost: Sequence[Any],
        scope: str,
        timeout_s: float,
    ) -> Reply:
        refusal = self._refusal(epoch)
        if refusal is not None:
            return self._refuse(refusal)
        if self.gate is not None and cost:
            verdict = await self.gate.acquire(cls, cost, scope=scope, patience_s=timeout_s)
            if isinstance(verdict, Denied):
                return self._refuse(verdict.reason)
            try:
                return await self._in_turn(build, cls, epoch, timeout_s)
            finally:
                self.gate.finish(cost)
        return await self._in_turn(build, cls, epoch, timeout_s)

    async def _in_turn(
        self, build: Callable[[Nonce], SignedRequest], cls: Priority, epoch: int, timeout_s: float
    ) -> Reply:
        begin_s = time.monotonic()
        if not await self._turn(cls, timeout_s):
            return self._refuse(LANE_FULL if len(self._waiting) >= MAX_WAITING else "Timeout")
        try:
            left_s = max(0.0, timeout_s - (time.monotonic() - begin_s))
            reply = await self.http.exchange(lambda: self._make(build, epoch), left_s)
        finally:
            self._give_turn()
        if isinstance(reply, NoAnswer):
            if not reply.sent:
                return self._refuse(reply.reason)
            self.unanswered += 1
            self._lost_connections += 1
        else:
            self.answers += 1
        return reply

    def _make(
        self, build: Callable[[Nonce], SignedRequest], epoch: int
    ) -> tuple[str, str, Mapping[str, str], bytes] | NoAnswer:
        """Runs between a free connection and the write: nothing can come in between."""
        refusal = self._refusal(epoch)
        if refusal is not None:
            return NoAnswer(reason=refusal, sent=False)
        try:
            nonce = Nonce(self._allocate())
        except NonceError as error:
            self.quarantine(error.code)
            return NoAnswer(reason=error.code, sent=False)
        request = build(nonce)
        return request.method, request.target, request.headers, request.body

    def _allocate(self) -> int:
        if self._nonces is None:
            assert self._stamp_ms is not None
            return self._stamp_ms()
        nonce = self._nonces.next()
        ahead_s = self._nonces.ahead_s
        if ahead_s > QUARANTINE_AHEAD_S:
            self.quarantine("NonceAheadOfClock")
            raise NonceError(f"the nonces are {ahead_s:.0f} s ahead of the clock")
        if ahead_s > ALARM_AHEAD_S:
            log.warning("nonce_ahead_of_clock", ahead_s=round(ahead_s, 1))
        return nonce

    def _refusal(self, epoch: int) -> str | None:
        if self._closed:
            return LANE_CLOSED
        if self.quarantined:
            return KEY_QUARANTINED
        if not self._lock.held:
            return KEY_LOST
        return None if self._lease is None else self._epoch_refusal(epoch, self._lease)

    def _epoch_refusal(self, epoch: int, lease: TradingLease) -> str | None:
        if epoch < self._highest_epoch or epoch < lease.epoch:
            return STALE_EPOCH
        if epoch > lease.epoch or not lease.may_sign:
            return LEASE_EXPIRED
        if epoch > self._highest_epoch:
            try:
                fresh = self._nonces is None or self._nonces.see_epoch(epoch)
            except NonceError as error:
                return error.code
            if not fresh:
                return STALE_EPOCH
            self._highest_epoch = epoch
        return None

    def _refuse(self, reason: str) -> NoAnswer:
        self.refused[reason] = self.refused.get(reason, 0) + 1
        return NoAnswer(reason=reason, sent=False)

    # ---- whose turn it is --------------------------------------------------------------------------

    async def _turn(self, cls: Priority, timeout_s: float) -> bool:
        if self._places > 0 and not self._waiting:
            self._places -= 1
            return True
        if len(self._waiting) >= MAX_WAITING:
            return False
        turn = asyncio.get_running_loop().create_future()
        self._number += 1
        heapq.heappush(self._waiting, (cls, self._number, turn))
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(turn)
        except TimeoutError:
            if turn.done():
                return True
            turn.cancel()
            return False
        except asyncio.CancelledError:
            if turn.done():
                self._give_turn()
            turn.cancel()
            raise
        return True

    def _give_turn(self) -> None:
        while self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self._places += 1

    # ---- what the venue thinks of the key ----------------------------------------------------------

    def accepted(self) -> None:
        """The venue took a signed request: earlier refusals in a row are over."""
        self._refused_in_a_row = 0

    def nonce_refused(self) -> tuple[InvalidNonceCause, bool]:
        """The venue refused a nonce, so nothing was executed. The cause, and whether to try once more.

        The first time the nonces skip a minute ahead; at the second in a row the key is out of use.
        """
        self.invalid_nonces += 1
        self._refused_in_a_row += 1
        cause = self._cause()
        log.error("invalid_nonce", cause=cause.value, in_a_row=self._refused_in_a_row)
        again = self._refused_in_a_row == 1 and self._nonces is not None
        if self._nonces is not None and again:
            self._nonces.skip_ahead(SKIP_AHEAD_S)
        self.signature_refused()
        if not again:
            self.quarantine(f"InvalidNonce:{cause.value}")
        return cause, again and not self.quarantined

    def _cause(self) -> InvalidNonceCause:
        nonces = self._nonces
        if not self._lock.held or (self._lease is not None and self._lease.lost):
            return InvalidNonceCause.OTHER_PROCESS
        if nonces is not None:
            nonces.clock.resync()
            if nonces.clock.stepped:
                return InvalidNonceCause.CLOCK_STEP
            if len(str(nonces.last)) != nonces.unit.digits:
                return InvalidNonceCause.UNIT
        if self._lost_connections:
            # A request on a connection that was given up can arrive after its successor.
            self._lost_connections = 0
            return InvalidNonceCause.REORDER
        return InvalidNonceCause.OTHER_PROCESS

    def signature_refused(self) -> bool:
        """An authentication failure of any kind; three within a minute put the key out of use (True)."""
        now_s = time.monotonic()
        self._failed_at_s.append(now_s)
        full = len(self._failed_at_s) == FAILURES_TO_QUARANTINE
        if full and now_s - self._failed_at_s[0] <= FAILURE_WINDOW_S:
            self.quarantine("AuthenticationFailures")
        return bool(self.quarantined)

    @property
    def quarantined(self) -> str:
        """Why the key is out of use; "" when it is not. Another process may take it away (`tradewind
        failsafe`): the file is looked at whenever somebody asks, so that nothing is signed after it.
        """
        if not self._quarantined and (found := quarantine.read(self._quarantine_file)) is not None:
            self._quarantined = found.reason
            log.critical("KeyTakenAway", reason=found.reason)
        return self._quarantined

    def quarantine(self, reason: str) -> None:
        """Takes the key out of use until an operator releases it: `tradewind keys release`."""
        if not self.quarantined:
            self._quarantined = reason
            quarantine.write(self._quarantine_file, reason)
            log.critical("KeyQuarantined", reason=reason)

    # ---- looking -----------------------------------------------------------------------------------

    @property
    def new_risk_allowed(self) -> bool:
        """False while the key is out of use, the lease does not hold or the wall clock is off."""
        if self.quarantined or self._closed or (self._lease is not None and not self._lease.may_sign):
            return False
        return self._nonces is None or not self._nonces.clock.stepped

    def facts(self) -> LaneFacts:
        """Counters and gauges as they are now."""
        nonces = self._nonces
        return LaneFacts(
            calls=self.calls,
            answers=self.answers,
            unanswered=self.unanswered,
            refused=dict(self.refused),
            invalid_nonces=self.invalid_nonces,
            ahead_s=None if nonces is None else nonces.ahead_s,
            sync_refills=0 if nonces is None else nonces.sync_refills,
            quarantined=self.quarantined,
            waiting=sum(not turn.done() for _, _, turn in self._waiting),
            outcomes=dict(self.outcomes),
            connects=self.http.connects,
            reused=self.http.reused,
            reuse=self.http.reuse,
            open_connections=self.http.open_connections,
        )

    async def close(self) -> None:
        """Ends the lane: connections, then nonces (their mark becomes the last one), then the lock."""
        self._closed = True
        while self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)  # it finds the lane closed
        await self.http.close()
        if self._nonces is not None:
            await asyncio.to_thread(self._nonces.close)
        self._lock.release()

    def __repr__(self) -> str:
        return f"SignerLane({self.http.host}, quarantined={self.quarantined!r})"
