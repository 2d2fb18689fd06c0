"""The loop that all workers share: look, act within the rate, wait; back off with jitter when refused."""

from __future__ import annotations

import abc
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import ClassVar, Final

import msgspec
import structlog

from tradewind.keepers.port import Action, Duties, Identity, Outcome, Port, PortUnavailable
from tradewind.venues.transport.backoff import Backoff, BackoffPolicy

log = structlog.get_logger("tradewind.keepers")

SECOND_NS: Final = 1_000_000_000
POLL_S: Final = 1.0
LOOK_AGAIN_S: Final = 0.02
"""Shortest pause between two rounds, so that a refused duty never spins."""
MAX_TRACKED: Final = 10_000
ENDS: Final = frozenset({"KEEPER_NOT_REGISTERED", "KEEPER_CAPABILITY", "UNAUTHORIZED_SIGNER"})
"""Refusals after which there is nothing left to do for this identity."""
REFUSAL_POLICY: Final = BackoffPolicy(base_s=0.1, ceiling_s=10.0, max_attempts=1_000)
OUTAGE_POLICY: Final = BackoffPolicy(base_s=0.2, ceiling_s=10.0, max_attempts=1_000)


class WorkerEnded(Exception):
    """The platform does not let this identity act any more. `code` is the engine's refusal."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class Bucket:
    """`rate_per_s` actions, at most `burst` at once. Times are monotonic seconds given by the caller."""

    def __init__(self, rate_per_s: float, burst: int) -> None:
        self._rate_per_s, self._burst = rate_per_s, float(burst)
        self._left, self._seen_s = float(burst), 0.0

    def wait_s(self, now_s: float) -> float:
        """Seconds until the next action is allowed; 0 takes it."""
        if self._seen_s:
            self._left = min(self._burst, self._left + (now_s - self._seen_s) * self._rate_per_s)
        self._seen_s = now_s
        if self._left >= 1.0:
            self._left -= 1.0
            return 0.0
        return (1.0 - self._left) / self._rate_per_s


class WorkerStats(msgspec.Struct, kw_only=True):
    """What a worker did since it was made."""

    actions: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: Counter[str] = msgspec.field(default_factory=Counter)
    faults: int = 0
    """Rounds that failed because the platform did not answer or the worker broke."""
    last_action_ns: int = 0
    lag_ns: int = 0
    """From the moment at which the last accepted duty was open to its answer."""
    due: int = 0
    """Duties seen in the last round."""
    note: str = ""


class Attempt(msgspec.Struct):
    """What was tried for one duty: the attempt's number and when to try again (platform time)."""

    slot: int
    number: int = 0
    again_ns: int = 0


class Worker(abc.ABC):
    """One kind of work for one identity."""

    kind: ClassVar[str]

    def __init__(
        self,
        identity: Identity,
        port: Port,
        *,
        uniform: Callable[[float, float], float] | None = None,
        rate_per_s: float = 10.0,
        burst: int = 10,
    ) -> None:
        self.identity, self.port = identity, port
        self.stats = WorkerStats()
        self.ended: WorkerEnded | None = None
        self._uniform = uniform or random.SystemRandom().uniform
        self._bucket = Bucket(rate_per_s, burst)
        self._outage = Backoff(OUTAGE_POLICY, self._uniform)
        self._attempts: dict[tuple[object, ...], Attempt] = {}

    @property
    def name(self) -> str:
        """`liquidation:keeper_1`."""
        return f"{self.kind}:{self.identity.name}"

    async def run(self) -> None:
        """Rounds until cancelled.

        Raises:
            WorkerEnded: this identity may not act any more. Anything else is a defect: the supervisor
            restarts the worker.
        """
        while True:
            wait_s = await self.step()
            await self.port.wait(max(LOOK_AGAIN_S, wait_s))

    async def step(self) -> float:
        """One round; seconds until the next one is due. An outage of the platform is waited out."""
        try:
            wait_s = await self.round()
        except PortUnavailable as error:
            self.stats.faults += 1
            self.stats.note = str(error)
            return self._outage.next_delay_s(time.monotonic())
        except WorkerEnded as end:
            self.ended = end
            self.stats.note = f"{end.code}: {end}"
            raise
        self._outage.failures = 0
        return wait_s

    @abc.abstractmethod
    async def round(self) -> float:
        """Does what is due; seconds until something may be due again."""

    # ---- for the kinds of work ---------------------------------------------------------------------

    def check_standing(self, duties: Duties, capability: int) -> bool:
        """Whether the keeper may act now. Raises `WorkerEnded` when it may never act again."""
        standing = duties.standing
        if not standing.registered:
            raise WorkerEnded("KEEPER_NOT_REGISTERED", f"{self.identity.name} is no registered keeper")
        if not standing.may(capability):
            raise WorkerEnded("KEEPER_CAPABILITY", f"{self.identity.name} is registered for other work")
        self.stats.note = "KEEPER_SUSPENDED: waiting for the review" if standing.suspended else ""
        return not standing.suspended

    def attempt(self, duty: tuple[object, ...], slot: int, now_ns: int) -> Attempt | None:
        """The attempt that may be made at a duty now, None while it has to wait. A new slot begins anew."""
        known = self._attempts.get(duty)
        if known is None or known.slot != slot:
            if len(self._attempts) >= MAX_TRACKED:
                self._attempts.pop(next(iter(self._attempts)))
            known = self._attempts[duty] = Attempt(slot)
        return known if known.again_ns <= now_ns else None

    def keep_only(self, duties: set[tuple[object, ...]]) -> None:
        """Forgets attempts at duties that are no longer due."""
        for duty in [known for known in self._attempts if known not in duties]:
            del self._attempts[duty]

    async def act(self, attempt: Attempt, action: Action, open_ns: int) -> Outcome | None:
        """Sends a command within the rate; None when the rate does not allow it yet.

        Raises:
            WorkerEnded, PortUnavailable.
        """
        if self._bucket.wait_s(time.monotonic()) > 0.0:
            return None
        self.stats.actions += 1
        outcome = await self.port.send(self.identity, action)
        now_ns = self.port.now_ns()
        self.stats.last_action_ns = now_ns
        if outcome.accepted:
            self._done(attempt, outcome, open_ns, now_ns)
        else:
            self._refused(attempt, outcome, now_ns)
        return outcome

    def _done(self, attempt: Attempt, outcome: Outcome, open_ns: int, now_ns: int) -> None:
        self.stats.accepted += 1
        self.stats.duplicates += outcome.duplicate
        self.stats.lag_ns = max(0, now_ns - open_ns)
        # The view brings a new slot when there is more to do; until then the duty rests for a while.
        attempt.number += 1
        attempt.again_ns = now_ns + 5 * SECOND_NS

    def _refused(self, attempt: Attempt, outcome: Outcome, now_ns: int) -> None:
        self.stats.rejected[outcome.code] += 1
        log.info("keeper_refused", worker=self.name, code=outcome.code, bound=outcome.bound)
        if outcome.code in ENDS:
            raise WorkerEnded(outcome.code, f"the engine refused {self.identity.name}")
        ceiling_s = min(REFUSAL_POLICY.ceiling_s, REFUSAL_POLICY.base_s * 2.0 ** min(attempt.number, 30))
        attempt.number += 1
        pause_ns = int(self._uniform(ceiling_s / 2, ceiling_s) * SECOND_NS)
        attempt.again_ns = now_ns + pause_ns
        # Several refusals name the moment from which the action is allowed.
        soon = now_ns < outcome.bound < now_ns + 3_600 * SECOND_NS
        if outcome.code in WAIT_UNTIL and soon:
            attempt.again_ns = outcome.bound + int(self._uniform(0.0, 0.01) * SECOND_NS)


WAIT_UNTIL: Final = frozenset({"NOTHING_DUE", "KEEPER_RATE_LIMITED", "TRANCHE_COOLDOWN", "FUNDING_NOT_DUE"})
"""Refusals whose bound is a moment in ns since the epoch."""
