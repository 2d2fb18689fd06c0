"""Delivers alerts in their order of urgency, to the first sink that takes them; trading never waits for it.

    router = AlertRouter([WebhookSink(url), FileSink(path)])
    router.post(Alert(...))          # at once, from anywhere in the loop
    task: router.run()

An alert that the first sink does not take goes to the second at once, and to the first again when it is back.
Every minute a sign of life goes out; when none is confirmed for ten minutes, that is itself an alert.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import structlog

from .model import Alert, Severity
from .sinks import Sink, SinkError

log = structlog.get_logger("tradewind.alerts")
MAX_QUEUE: Final = 1_000
MAX_OPEN: Final = 1_000
RETRY_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
BEAT_EVERY_S: Final = 60.0
DEAD_AFTER_S: Final = 600.0
PATH_DEAD: Final = "AlertPathDead"


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that a sink has confirmed."""

    alert: Alert
    sink: str
    confirmed_ns: int
    attempts: int


class _Waiting(msgspec.Struct):
    """An alert that no sink, or not the first one, has taken yet."""

    alert: Alert
    attempts: int = 0
    taken_by: str = ""


class AlertRouter:
    """One queue before one or two sinks. One event loop."""

    def __init__(
        self,
        sinks: Sequence[Sink],
        *,
        clock_ns: Callable[[], int] = time.time_ns,
        retry_s: Sequence[float] = RETRY_S,
        beat_every_s: float = BEAT_EVERY_S,
        dead_after_s: float = DEAD_AFTER_S,
    ) -> None:
        """Raises `ValueError` without a sink."""
        if not sinks:
            raise ValueError("an alert needs at least one sink")
        self.sinks = tuple(sinks)
        self._clock_ns, self._retry_s = clock_ns, tuple(retry_s)
        self._beat_every_s, self._dead_after_s = beat_every_s, dead_after_s
        self._queue: OrderedDict[str, _Waiting] = OrderedDict()
        self._open: OrderedDict[str, Delivered] = OrderedDict()
        self._wake = asyncio.Event()
        self._failures_in_a_row = 0
        self._last_beat_s = time.monotonic()
        self._said_dead = False
        self.delivered: int = 0
        self.dropped: int = 0
        """Alerts that gave way to more urgent ones in a full queue."""
        self.failures: dict[str, int] = {}

    # ---- from the system -----------------------------------------------------------------------------------

    def post(self, alert: Alert) -> None:
        """Hands an alert over. Never waits and never raises; the same alert twice is one."""
        if alert.id in self._queue or alert.id in self._open:
            return
        if len(self._queue) >= MAX_QUEUE:
            least = min(self._queue.values(), key=lambda one: (one.alert.severity, one.alert.at_ns))
            self.dropped += 1
            if least.alert.severity > alert.severity:
                log.critical("alert_dropped", rule=alert.rule)
                return
            log.critical("alert_dropped", rule=least.alert.rule)
            del self._queue[least.alert.id]
        log.warning("alert", rule=alert.rule, severity=alert.severity.name, text=alert.text)
        self._queue[alert.id] = _Waiting(alert)
        self._wake.set()

    # ---- to and from people --------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Alerts that the first sink has not confirmed yet."""
        return len(self._queue)

    def unacknowledged(self, older_than_s: float = 0.0) -> list[Alert]:
        """Alerts that nobody has acknowledged for so long, whether delivered or not, oldest first."""
        limit_ns = self._clock_ns() - int(older_than_s * 1e9)
        found = {one.alert.id: one.alert for one in self._queue.values()}
        found |= {key: one.alert for key, one in self._open.items()}
        return sorted((one for one in found.values() if one.at_ns <= limit_ns), key=lambda one: one.at_ns)

    def acknowledge(self, alert_id: str, actor: str) -> Alert | None:
        """A person has seen it; None: there is no such open alert."""
        done = self._open.pop(alert_id, None)
        waiting = self._queue.pop(alert_id, None)
        alert = done.alert if done is not None else waiting.alert if waiting is not None else None
        if alert is not None:
            log.info("alert_acknowledged", rule=alert.rule, actor=actor)
        return alert

    def last_delivery(self, alert_id: str) -> Delivered | None:
        """How an open alert was delivered; None: it was not."""
        return self._open.get(alert_id)

    # ---- the loop ------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Delivers and gives signs of life until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_delivering())
                tasks.create_task(self._keep_beating())
        finally:
            for sink in self.sinks:
                await sink.close()

    async def _keep_delivering(self) -> None:
        while True:
            if not await self.deliver_once():
                wait_s = self._retry_s[min(self._failures_in_a_row, len(self._retry_s)) - 1]
            else:
                wait_s = None
            if self._queue and wait_s is None:
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
            self._wake.clear()

    async def deliver_once(self) -> bool:
        """One round over the queue, the most urgent first; False: something still waits for the first sink.

        A first sink that has failed is not tried again in the same round: nobody waits for its silence twice.
        """
        urgent = sorted(self._queue.values(), key=lambda one: (-one.alert.severity, one.alert.at_ns))
        complete = True
        for one in urgent:
            one.attempts += 1
            if complete and await self._offered(one, self.sinks[0]):
                self._queue.pop(one.alert.id, None)
                continue
            complete = False
            for sink in self.sinks[1:]:
                if one.taken_by == sink.name or await self._offered(one, sink):
                    break
        self._failures_in_a_row = 0 if complete else self._failures_in_a_row + 1
        return complete

    async def _offered(self, one: _Waiting, sink: Sink) -> bool:
        try:
            await sink.deliver(one.alert)
        except SinkError as error:
            self.failures[sink.name] = self.failures.get(sink.name, 0) + 1
            log.error("alert_not_delivered", sink=sink.name, rule=one.alert.rule, reason=str(error))
            return False
        except Exception as error:  # noqa: BLE001 a defect of one sink leaves the other one its turn
            self.failures[sink.name] = self.failures.get(sink.name, 0) + 1
            log.critical("alert_sink_failed", sink=sink.name, error=repr(error))
            return False
        if not one.taken_by:
            self.delivered += 1
        one.taken_by = sink.name
        if len(self._open) >= MAX_OPEN:
            self._open.popitem(last=False)
        self._open[one.alert.id] = Delivered(
            alert=one.alert, sink=sink.name, confirmed_ns=self._clock_ns(), attempts=one.attempts
        )
        return True

    async def _keep_beating(self) -> None:
        while True:
            await self.beat_once()
            await asyncio.sleep(self._beat_every_s)

    async def beat_once(self) -> None:
        """One sign of life through the first sink; after ten minutes without a confirmed one, the alarm."""
        try:
            await self.sinks[0].beat()
        except SinkError as error:
            silent_s = time.monotonic() - self._last_beat_s
            log.error("alert_path_silent", reason=str(error), silent_s=round(silent_s))
            if silent_s >= self._dead_after_s and not self._said_dead:
                self._said_dead = True
                text = f"the sink {self.sinks[0].name} has confirmed nothing for {silent_s:.0f} s"
                self.post(
                    Alert(
                        rule=PATH_DEAD,
                        text=text,
                        severity=Severity.PAGE,
                        scope="alerts",
                        at_ns=self._clock_ns(),
                        runbook="docs/runbooks/alert-path.md",
                    )
                )
            return
        self._last_beat_s, self._said_dead = time.monotonic(), False
