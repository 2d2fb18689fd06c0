"""Fault isolators: a failing endpoint class of a venue is left alone for a while (trading T10.4).

`CLOSED`: traffic flows. `OPEN`: blocked. `HALF_OPEN`: one probe at a time. Only faults of transport count:
timeouts, lost connections, 5xx, malformed answers. A refused order is an answer of a healthy venue, and 429
and 418 belong to the rate limits. Cancels and reductions pass an open isolator, and are counted.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Final

import msgspec

from tradewind.venues.limits.verdicts import Priority
from tradewind.venues.transport.private_http import Answer, Reply

SECOND_NS: Final = 1_000_000_000
WINDOW_NS: Final = 60 * SECOND_NS
MIN_FAULTS: Final = 5
MIN_SAMPLES: Final = 10
CONNECT_FAILURES: Final = 3
FIRST_OPEN_S: Final = 5.0
MAX_OPEN_S: Final = 60.0
JITTER: Final = 0.2
SUCCESSES_TO_CLOSE: Final = 3
MAX_SAMPLES: Final = 10_000
MAX_CLASSES: Final = 64
BYPASSING: Final = frozenset({Priority.P0, Priority.P1})


class IsolatorState(StrEnum):
    """Whether traffic flows."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Fault(StrEnum):
    """What counts as a fault."""

    CONNECT = "connect"
    TIMEOUT = "timeout"
    LOST = "lost"
    SERVER = "server"
    MALFORMED = "malformed"


def classify(reply: Reply) -> Fault | None:
    """The fault that a reply is; None for every answer of a working venue, and for what never was sent.

    A body that cannot be decoded is for the caller to report as `MALFORMED`.
    """
    if isinstance(reply, Answer):
        return Fault.SERVER if reply.status >= 500 else None
    name = reply.reason.partition(":")[0]
    return {
        "ConnectTimeout": Fault.CONNECT,
        "ConnectFailed": Fault.CONNECT,
        "ConnectionLost": Fault.LOST,
        "Malformed": Fault.MALFORMED,
        "Timeout": Fault.TIMEOUT if reply.sent else None,
    }.get(name)


class Pass(msgspec.Struct, frozen=True, kw_only=True):
    """Leave to send one request. Give it back with its outcome, exactly once."""

    probe: bool
    bypassed: bool


class Isolator:
    """One endpoint class. Times are of any steady clock, given by the caller."""

    def __init__(self, uniform: Callable[[float, float], float] | None = None) -> None:
        self.state = IsolatorState.CLOSED
        self.opened = 0
        self.bypassed = 0
        self._uniform = uniform or random.SystemRandom().uniform
        self._samples: deque[tuple[int, bool]] = deque(maxlen=MAX_SAMPLES)
        self._faults = 0
        self._connect_failures = 0
        self._open_until_ns = 0
        self._open_s = FIRST_OPEN_S
        self._probing = False
        self._successes = 0

    def ask(self, cls: Priority, now_ns: int) -> Pass | None:
        """Leave to send, None while it is blocked."""
        if self.state is IsolatorState.OPEN and now_ns >= self._open_until_ns:
            self.state, self._successes, self._probing = IsolatorState.HALF_OPEN, 0, False
        if self.state is IsolatorState.CLOSED:
            return Pass(probe=False, bypassed=False)
        if cls in BYPASSING:
            self.bypassed += 1
            return Pass(probe=False, bypassed=True)
        if self.state is IsolatorState.HALF_OPEN and not self._probing:
            self._probing = True
            return Pass(probe=True, bypassed=False)
        return None

    def report(self, leave: Pass, fault: Fault | None, now_ns: int, *, answered: bool = True) -> None:
        """How a request ended. `answered` False: it never left, so it says nothing about the venue."""
        if leave.probe:
            self._probing = False
        if fault is None and not answered:
            return
        self._note(fault is not None, now_ns)
        self._connect_failures = self._connect_failures + 1 if fault is Fault.CONNECT else 0
        if self.state is IsolatorState.HALF_OPEN:
            if fault is not None and leave.probe:
                self._open_s = min(MAX_OPEN_S, self._open_s * 2)
                self._open(now_ns)
            elif fault is None:
                self._successes += 1
                if self._successes >= SUCCESSES_TO_CLOSE:
                    self._close()
        elif self.state is IsolatorState.CLOSED and fault is not None and self._broken():
            self._open(now_ns)

    def reply(self, leave: Pass, reply: Reply, now_ns: int) -> Fault | None:
        """Reports a reply as `classify` sees it."""
        fault = classify(reply)
        self.report(leave, fault, now_ns, answered=isinstance(reply, Answer))
        return fault

    def _note(self, fault: bool, now_ns: int) -> None:
        if len(self._samples) == MAX_SAMPLES:
            self._faults -= self._samples[0][1]
        self._samples.append((now_ns, fault))
        self._faults += fault
        while self._samples and now_ns - self._samples[0][0] > WINDOW_NS:
            self._faults -= self._samples.popleft()[1]

    def _broken(self) -> bool:
        if self._connect_failures >= CONNECT_FAILURES:
            return True
        many = self._faults >= MIN_FAULTS and len(self._samples) >= MIN_SAMPLES
        return many and self._faults * 2 >= len(self._samples)

    def _open(self, now_ns: int) -> None:
        self.state = IsolatorState.OPEN
        self.opened += 1
        jittered_s = self._open_s * self._uniform(1 - JITTER, 1 + JITTER)
        self._open_until_ns = now_ns + int(jittered_s * SECOND_NS)

    def _close(self) -> None:
        self.state, self._open_s = IsolatorState.CLOSED, FIRST_OPEN_S
        self._samples.clear()
        self._faults = self._connect_failures = 0


class Isolators:
    """The isolators of one venue, by endpoint class (`orders`, `account`, `market_data`, …)."""

    def __init__(self, uniform: Callable[[float, float], float] | None = None) -> None:
        self._uniform = uniform
        self.by_class: dict[str, Isolator] = {}

    def of(self, name: str) -> Isolator:
        """The isolator of a class. Raises `ValueError` beyond the bound: classes are few and fixed."""
        found = self.by_class.get(name)
        if found is None:
            if len(self.by_class) >= MAX_CLASSES:
                raise ValueError(f"at most {MAX_CLASSES} endpoint classes")
            found = self.by_class[name] = Isolator(self._uniform)
        return found

    @property
    def blocked(self) -> tuple[str, ...]:
        """Classes that are not closed now."""
        return tuple(name for name, one in self.by_class.items() if one.state is not IsolatorState.CLOSED)
