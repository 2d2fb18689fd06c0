"""What keeps a running platform safe beside its trader: the kill order of the start, the ramp with its cap,
the way of alerts to people, and the guard of the memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import structlog

from tradewind.api.offline import obey
from tradewind.api.ramp_desk import RampDesk
from tradewind.observe.alerts import Alert, AlertRouter, FileSink, Severity, Sink, WebhookSink
from tradewind.trader.memory_guard import CAUSE, Cgroup, MemoryGuard
from tradewind.trader.ramp.cap import StageCap
from tradewind.trader.risk.state import ACCOUNT, TradingState
from tradewind.venues.market_data import Known

if TYPE_CHECKING:
    from tradewind.api.identities import Identities
    from tradewind.config import UpConfiguration
    from tradewind.node.service import NodeService
    from tradewind.trader.orders import ManagedOrder
    from tradewind.trader.service import TraderService
    from tradewind.trader.wish import Alarm
    from tradewind.venues.protocol import FillEvent

log = structlog.get_logger("tradewind.safety")
ALERTS_FILE: Final = "alerts.jsonl"
LOOK_EVERY_S: Final = 1.0
UNSEEN_S: Final = 900.0
RULE: Final = "TraderAlarm"
RUNBOOK: Final = "docs/runbooks/kill-switch.md"
HALTED: Final = TradingState.HALTED.name
DRAWDOWN_STEP: Final = 2
"""The rung of the ladder at 10 % (T17.3)."""


class Safety:
    """One platform's. `start` when the node is open, `attach` when there is a trader, `close` at the end."""

    def __init__(self, ramp: RampDesk, alerts: AlertRouter, source: str) -> None:
        self.ramp, self.alerts, self._source = ramp, alerts, source
        self.on_stop_wanted: Callable[[], object] = lambda: log.critical("stop_wanted_and_nobody_listens")
        """Asks whoever runs the platform for its orderly end."""
        self._trader: TraderService | None = None
        self._last: Alarm | None = None
        self._guard: MemoryGuard | None = None
        self._answers = (0, 0, 0)
        self._step = 0
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def start(cls, node: NodeService, one: UpConfiguration) -> Safety:
        """Reads the ramp from the log and begins to deliver. Raises `StageConfigError`."""
        ramp = await RampDesk.start(node, one.env)
        sinks: list[Sink] = [FileSink(one.data / ALERTS_FILE)]
        if one.alert_url:
            sinks.insert(0, WebhookSink(one.alert_url, source=str(one.data)))
        safety = cls(ramp, AlertRouter(sinks), str(one.data))
        ramp.measured = safety._measured
        for work in (ramp.run(), safety.alerts.run(), safety._keep_looking()):
            safety._tasks.append(asyncio.create_task(work, name="safety"))
        return safety

    async def close(self) -> None:
        """Ends its tasks; what was not delivered stands in the log."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def obey(self, one: UpConfiguration, node: NodeService, identities: Identities) -> None:
        """A kill order that stands is obeyed before anything trades (T8.4)."""
        result = await obey(one.data, node, identities)
        if result is not None:
            log.critical("kill_order_obeyed", outcome=str(result.outcome), left=result.left)

    # ---- the trader ----------------------------------------------------------------------------------------

    def attach(self, trader: TraderService) -> None:
        """From now on the stage bounds its orders, its fills count, and its alarms reach people."""
        self._trader = trader
        counts = self.ramp.ramp.counts
        trader.oms.cap = StageCap(lambda: self.ramp.ramp.standing.stage, self._reference, counts.placed)
        trader.on_fill_hooks.append(self._filled)
        self._answers, self._step = self._answered(), trader.loss.step
        trader.risk_desk.stage_multiplier = self.ramp.ramp.standing.stage.size_multiplier
        self._guard = MemoryGuard(Cgroup(), self._restrict, self._want_stop)

    def _reference(self, symbol: str) -> Decimal | None:
        """The price at which a sale would trade: the best bid that is known."""
        assert self._trader is not None
        top = self._trader.marks.top(symbol)
        return top.value.bid if isinstance(top, Known) else None

    def _filled(self, order: ManagedOrder, fill: FillEvent) -> None:
        assert self._trader is not None
        instrument = self._trader.oms.instruments[order.intent.symbol]
        self.ramp.ramp.counts.fill(order.intent.symbol, order.intent.side, instrument.lot * fill.lots)

    def _answered(self) -> tuple[int, int, int]:
        """Orders acknowledged, refused as we could have known, and refused otherwise."""
        assert self._trader is not None
        stats = self._trader.oms.stats
        return stats.acks, stats.preventable_rejects, stats.rejects - stats.preventable_rejects

    def _count_answers(self) -> None:
        """What the venue answered since the last look counts for the stage."""
        before, self._answers = self._answers, self._answered()
        acks, preventable, venue = map(int.__sub__, self._answers, before)
        counts = self.ramp.ramp.counts
        counts.acknowledged += acks
        counts.preventable_rejects += preventable
        counts.venue_rejects += venue

    def _want_stop(self) -> None:
        self.on_stop_wanted()

    def _restrict(self, text: str) -> None:
        assert self._trader is not None
        latch = self._trader.states.trip(
            ACCOUNT, CAUSE, TradingState.REDUCE_ONLY, reason=text, actor="memory guard",
            now_ns=self._trader.port.now_ns(), latching=False,
        )  # fmt: skip
        if latch is not None:
            self._trader.record(latch)
            self._trader.alarm(f"{ACCOUNT} {TradingState.REDUCE_ONLY.name}: {text}")

    def _measured(self) -> dict[str, object]:
        """Facts of the ramp that are measured here."""
        # Nobody counts breaches of limits yet: not measured is never good enough (T17.2).
        return {"unacknowledged_alerts": len(self.alerts.unacknowledged(UNSEEN_S)), "limit_breaches": None}

    # ---- every second --------------------------------------------------------------------------------------

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                self._look()
            except Exception as error:  # noqa: BLE001 the next look may succeed; this one is told
                log.error("safety_look_failed", error=repr(error))

    def _look(self) -> None:
        if self._guard is not None:
            self._guard.look()
        if self._trader is not None:
            self._count_answers()
            # Deeper steps latch, and the ramp sees the latch: this one has none, and demotes once.
            if self._step < self._trader.loss.step == DRAWDOWN_STEP:
                self.ramp.ramp.see_drawdown(self._trader.loss.step)
            self._step = self._trader.loss.step
            self._trader.risk_desk.stage_multiplier = self.ramp.ramp.standing.stage.size_multiplier
        for alarm in self._new_alarms():
            self.alerts.post(
                Alert(
                    rule=RULE,
                    text=alarm.text,
                    severity=Severity.SEV1 if HALTED in alarm.text else Severity.PAGE,
                    scope=self._source,
                    at_ns=alarm.at_ns,
                    runbook=RUNBOOK,
                )
            )
        self.ramp.ramp.see_alerts(len(self.alerts.unacknowledged(UNSEEN_S)))

    def _new_alarms(self) -> list[Alarm]:
        """Alarms since the last look, oldest first; the list is bounded, so the oldest may be gone."""
        if self._trader is None:
            return []
        found: list[Alarm] = []
        for alarm in reversed(self._trader.alarms):
            if alarm is self._last:
                break
            found.append(alarm)
        if found:
            self._last = found[0]
        return found[::-1]
