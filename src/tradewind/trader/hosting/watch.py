"""Interrupts a callback that runs too long (T14.2): a thread watches, a signal breaks it off.

The handler raises only while a callback runs. A callback that swallows what is raised meets it again at its
next line. Code that never lets the interpreter look up (one long call into C) cannot be broken off; it is
halted when it comes back, and while it does not the process is silent and the watchdog acts (T8.3).
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from types import CodeType, FrameType
from typing import Any, Final

HARD_NS: Final = 100_000_000
"""How long a callback may run."""
LOOK_S: Final = 0.02
REPEAT_S: Final = 0.005
PATIENCE: Final = 10
"""Interrupts after which even a callback without code of its own is broken off."""
SIGNAL: Final = signal.SIGRTMIN + 5


class CallbackInterrupted(BaseException):
    """Raised inside of a callback that has run for too long. Not an `Exception`: a strategy that handles
    those does not handle this by accident.
    """

    code = "CallbackInterrupted"


class CallbackWatch:
    """Watches the callbacks of this process; they run one at a time, on the main thread."""

    def __init__(self, hard_ns: int = HARD_NS) -> None:
        self.hard_ns = hard_ns
        self.started_ns = 0
        """When the running callback began, on the clock of `time.perf_counter_ns`; 0 while none runs."""
        self.interrupts = 0
        """How often the running callback was interrupted."""
        self._cpu_ns = 0
        self._users = 0
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._main = threading.main_thread()
        self.host_code: CodeType | None = None
        """The code that calls strategies; nothing is raised in it."""
        self._trace: Any = None
        self._overdue = 0

    @property
    def armed(self) -> bool:
        """Whether a callback that runs too long is interrupted."""
        return self._thread is not None and self._thread.is_alive()

    def acquire(self) -> bool:
        """Begin to watch; False outside of the main thread, where callbacks are only measured."""
        if threading.current_thread() is not self._main:
            return False
        self._users += 1
        if not self.armed:
            signal.signal(SIGNAL, self._on_signal)
            self._wake.clear()
            self._thread = threading.Thread(target=self._watch, name="callback-watch", daemon=True)
            self._thread.start()
        return True

    def release(self) -> None:
        """The counterpart of a successful `acquire`."""
        self._users = max(0, self._users - 1)
        if not self._users:
            self._wake.set()
            self._thread = None

    def finish(self) -> int:
        """The callback is over; returns how often it had to be interrupted."""
        self.started_ns = 0
        count, self.interrupts = self.interrupts, 0
        if count:
            sys.settrace(self._trace)
        return count

    def overran(self, took_ns: int) -> bool:
        """Whether a callback that has ended ran for too long: by the processor's time where it can be told
        from a process that was paused.
        """
        if took_ns <= self.hard_ns:
            return False
        return not self.armed or time.thread_time_ns() - self._cpu_ns > self.hard_ns * 4 // 5

    def _watch(self) -> None:
        """Sums up how long the same callback was seen to run. Time in which the main thread waited for a
        processor does not count, and a look that comes late counts for one only: neither a busy machine nor
        a process that was paused is the callback's fault.
        """
        wake, pause_s = self._wake, LOOK_S
        clock = time.pthread_getcpuclockid(self._main.ident or 0)
        seen, running_ns, last_ns, waited_ns = 0, 0, time.perf_counter_ns(), 0
        while not wake.wait(pause_s):
            now_ns, started_ns = time.perf_counter_ns(), self.started_ns
            if started_ns and started_ns == seen:
                before_ns, waited_ns = waited_ns, self._waited_ns()
                ran_ns = now_ns - last_ns - (waited_ns - before_ns)
                running_ns += max(0, min(ran_ns, int(2e9 * pause_s)))
            else:
                seen, running_ns = started_ns, 0
                self._cpu_ns = time.clock_gettime_ns(clock)
                waited_ns = self._waited_ns() if started_ns else 0
            last_ns, pause_s = now_ns, LOOK_S
            if started_ns and running_ns > self.hard_ns - int(1e9 * LOOK_S):
                self._overdue = started_ns
                signal.pthread_kill(self._main.ident or 0, SIGNAL)
                pause_s = REPEAT_S

    def _waited_ns(self) -> int:
        """How long the main thread has waited for a processor since it began; 0 where the kernel does not
        tell.
        """
        try:
            with open(f"/proc/self/task/{self._main.native_id}/schedstat", "rb") as file:
                return int(file.read().split()[1])
        except (OSError, ValueError, IndexError):
            return 0

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        if not self.started_ns or self.started_ns != self._overdue:
            return
        if not self.interrupts:
            self._trace = sys.gettrace()
        self.interrupts += 1
        if frame is not None and frame.f_code is self.host_code and self.interrupts < PATIENCE:
            return  # it has just come back
        if self.interrupts > 1:
            # It was swallowed: raise at the next line too, where no handler inside can hold it.
            while frame is not None and frame.f_code is not self.host_code:
                frame.f_trace = self._insist
                frame = frame.f_back
            sys.settrace(self._insist)
        raise CallbackInterrupted

    def _insist(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line" and self.started_ns:
            raise CallbackInterrupted
        return self._insist if self.started_ns else None


WATCH: Final = CallbackWatch()
"""The one of this process."""
