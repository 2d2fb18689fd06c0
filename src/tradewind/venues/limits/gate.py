"""Who waits for a limit, and how long: one queue per scope and class, earliest deadline first (T4.7).

The models only answer; this is where callers sleep. A waiter of one scope never holds up another scope, and
P0 never waits for P1 to P5. New risk waits two seconds at most: no decision to trade is carried out late.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from .verdicts import RATE_LIMITED_LOCAL, SECOND_NS, Denied, Granted, Priority, Verdict, Wait

MAX_WAITING: Final = 1_000
"""In one queue; one more is denied at once."""
MAX_SCOPES: Final = 4_096
PATIENCE_S: Final[dict[Priority, float]] = {
    Priority.P0: 60.0,
    Priority.P1: 5.0,
    Priority.P2: 30.0,
    Priority.P3: 2.0,
    Priority.P4: 30.0,
    Priority.P5: 300.0,
}


class Model(Protocol):
    """Any of the limit models."""

    def admit(self, cls: Priority, items: Sequence[Any], now_ns: int) -> Verdict:
        """See the models."""


class _Waiter:
    """One caller in a queue."""

    __slots__ = ("answer", "deadline_ns", "items", "number")

    def __init__(self, items: Sequence[Any], deadline_ns: int, number: int) -> None:
        self.items, self.deadline_ns, self.number = items, deadline_ns, number
        self.answer: asyncio.Future[Granted | Denied] = asyncio.get_running_loop().create_future()

    def __lt__(self, other: _Waiter) -> bool:
        return (self.deadline_ns, self.number) < (other.deadline_ns, other.number)


class Gate:
    """The queues in front of one model. Use it from one event loop.

    `clock_ns` is the model's clock. Deadlines are measured on the steady clock of the machine.
    """

    def __init__(
        self,
        model: Model,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        patience_s: dict[Priority, float] | None = None,
        unused: Callable[[Sequence[Any]], None] | None = None,
    ) -> None:
        """`unused` hears of grants whose caller was cancelled meanwhile; without it they are finished."""
        self.model = model
        self._unused = unused or self.finish
        self._clock_ns = clock_ns
        self._patience_s = PATIENCE_S | (patience_s or {})
        self._queues: dict[str, dict[Priority, list[_Waiter]]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._number = 0
        self.granted: dict[Priority, int] = dict.fromkeys(Priority, 0)
        self.denied: dict[tuple[Priority, str], int] = {}

    @property
    def waiting(self) -> dict[Priority, int]:
        """Callers that wait now, by class."""
        found = dict.fromkeys(Priority, 0)
        for queues in self._queues.values():
            for cls, queue in queues.items():
                found[cls] += sum(not one.answer.done() for one in queue)
        return found

    async def acquire(
        self, cls: Priority, items: Sequence[Any], *, scope: str = "", patience_s: float | None = None
    ) -> Granted | Denied:
        """Waits until the model grants, it denies, or the patience of the class is over (`RateLimitedLocal`).

        `patience_s` can only be shorter than that of the class. Cancelling the caller leaves the queue.
        """
        if scope not in self._queues:
            # nobody waits in front: what passes at once needs no queue and no timer
            verdict = self.model.admit(cls, items, self._clock_ns())
            if not isinstance(verdict, Wait):
                return self._count(cls, verdict)
        limit_s = self._patience_s[cls]
        limit_s = limit_s if patience_s is None else min(patience_s, limit_s)
        if scope not in self._queues and len(self._queues) >= MAX_SCOPES:
            return self._count(cls, Denied(RATE_LIMITED_LOCAL))
        queues = self._queues.setdefault(scope, {})
        if len(queues.get(cls, ())) >= MAX_WAITING:
            return self._count(cls, Denied(RATE_LIMITED_LOCAL))
        deadline_ns = time.monotonic_ns() + int(limit_s * SECOND_NS)
        self._number += 1
        waiter = _Waiter(items, deadline_ns, self._number)
        heapq.heappush(queues.setdefault(cls, []), waiter)
        self._serve(scope)
        try:
            # A shield: the end of the patience must not take back what was granted in the same moment.
            async with asyncio.timeout(limit_s):
                return self._count(cls, await asyncio.shield(waiter.answer))
        except TimeoutError:
            answered = waiter.answer.done()
            return self._count(cls, waiter.answer.result() if answered else Denied(RATE_LIMITED_LOCAL))
        except asyncio.CancelledError:
            granted = waiter.answer.done() and isinstance(waiter.answer.result(), Granted)
            if granted:
                self._unused(waiter.items)
            raise
        finally:
            waiter.answer.cancel()
            self._serve(scope)

    def finish(self, items: Sequence[Any]) -> None:
        """The request of a grant has ended; models that count until then (`SlidingLimits`) hear of it."""
        done = getattr(self.model, "done", None)
        if done is not None:
            done(items, self._clock_ns())

    def poke(self) -> None:
        """The model changed by something else than time: look again at everybody."""
        for scope in list(self._queues):
            self._serve(scope)

    def _count(self, cls: Priority, verdict: Granted | Denied) -> Granted | Denied:
        if isinstance(verdict, Denied):
            key = (cls, verdict.reason)
            self.denied[key] = self.denied.get(key, 0) + 1
        else:
            self.granted[cls] += 1
        return verdict

    def _serve(self, scope: str) -> None:
        """Lets out who can go, highest class first, and sets the timer for the next look."""
        timer = self._timers.pop(scope, None)
        if timer is not None:
            timer.cancel()
        queues = self._queues.get(scope)
        if queues is None:
            return
        soonest_ns: int | None = None
        now_ns = self._clock_ns()
        for cls in Priority:
            queue = queues.get(cls)
            while queue:
                if queue[0].answer.done():
                    heapq.heappop(queue)
                    continue
                verdict = self.model.admit(cls, queue[0].items, now_ns)
                if isinstance(verdict, Wait):
                    soonest_ns = verdict.until_ns if soonest_ns is None else min(soonest_ns, verdict.until_ns)
                    break
                heapq.heappop(queue).answer.set_result(verdict)
        if not any(queues.values()):
            del self._queues[scope]
        elif soonest_ns is not None:
            delay_s = max(0.001, (soonest_ns - now_ns) / SECOND_NS)
            loop = asyncio.get_running_loop()
            self._timers[scope] = loop.call_later(delay_s, self._serve, scope)

    def close(self) -> None:
        """Denies everybody who waits."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for queues in self._queues.values():
            for queue in queues.values():
                for one in queue:
                    if not one.answer.done():
                        one.answer.set_result(Denied(RATE_LIMITED_LOCAL))
        self._queues.clear()
