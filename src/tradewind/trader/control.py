"""Order control of a desk at a venue (T6.3, T8.2): proven every two seconds, lost in rungs, told to the
watchdog.

    control = OrderControl(desk, lambda: venue.prove_control(epoch), lambda: venue.socket.link.live)
    desk.guards.append(control.refusal)
    heartbeat = Heartbeat(path, venue=…, account=…, channels=control.channels)
    tasks: control.run(), heartbeat.run()
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from tradewind.venues.transport.dead_man import LOOK_EVERY_S, Arm, DeadMan, Ladder, Purpose, Rung

from .heartbeat import Channels
from .oms import OrderRequest
from .venue_desk import VenueDesk

log = structlog.get_logger("tradewind.trader.control")
PROVE_EVERY_S: Final = 2.0
PROVE_TIMEOUT_S: Final = 2.0
PROTECTIVE: Final = "protective"
"""Tag of orders that protect positions: purpose `stops` never cancels them."""


class OrderControl:
    """The ladder of one desk with its proofs. `run` until cancelled; one event loop.

    `prove` makes a signed request that changes nothing and says whether it was answered. `arm` is the venue's
    own timer where the account relies on it (T8.1).
    """

    def __init__(
        self,
        desk: VenueDesk,
        prove: Callable[[], Awaitable[bool]],
        events_live: Callable[[], bool],
        *,
        purpose: Purpose = Purpose.TIMER,
        arm: Arm | None = None,
    ) -> None:
        self._desk, self._prove, self._events_live = desk, prove, events_live
        self._purpose = purpose
        self.ladder = Ladder(time.monotonic_ns())
        self._control_ns = self._events_ns = time.monotonic_ns()
        self.dead_man = DeadMan(self.ladder, self._on_rung, arm=arm, reconciled=lambda: not desk.blocked)
        self.proofs = self.failures = 0

    async def run(self) -> None:
        """Proves, looks and acts until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.dead_man.run())
            tasks.create_task(self._keep_proving())
            tasks.create_task(self._keep_listening())

    async def _keep_proving(self) -> None:
        while True:
            begin_s = time.monotonic()
            try:
                async with asyncio.timeout(PROVE_TIMEOUT_S):
                    proven = await self._prove()
            except TimeoutError:
                proven = False
            if proven:
                self.proofs += 1
                self._control_ns = time.monotonic_ns()
                self.ladder.control_proven(self._control_ns)
            else:
                self.failures += 1
            await asyncio.sleep(max(0.0, PROVE_EVERY_S - (time.monotonic() - begin_s)))

    async def _keep_listening(self) -> None:
        while True:
            if self._events_live():
                self._events_ns = time.monotonic_ns()
                self.ladder.events_proven(self._events_ns)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _on_rung(self, rung: Rung) -> None:
        log.warning("order_control", rung=rung.name)
        if rung < Rung.CANCEL:
            return
        if self._purpose is Purpose.TIMER:
            left = await self._desk.cancel_all("no order control")
        else:
            left = await self._cancel_all_but_protective()
        if left:
            raise RuntimeError(f"{len(left)} orders are left")

    async def _cancel_all_but_protective(self) -> list[str]:
        left = []
        for order in self._desk.oms.working():
            if order.intent.tag != PROTECTIVE:
                ended = await self._desk.cancel(order.client_id, "no order control")
                left += [] if ended.is_terminal else [order.client_id]
        return left

    def protective(self) -> tuple[str, ...]:
        """Client ids of working orders that protect positions, for the heartbeat."""
        working = self._desk.oms.working()
        return tuple(sorted(one.client_id for one in working if one.intent.tag == PROTECTIVE))

    def refusal(self, request: OrderRequest) -> str:
        """Why no new risk may leave; a guard of the desk."""
        rung = self.ladder.rung
        if rung is Rung.NORMAL or request.reducing:
            return ""
        return f"no order control: {rung.name}"

    def channels(self) -> Channels:
        """For the heartbeat."""
        now_ns = time.monotonic_ns()
        return Channels(control_age_ns=now_ns - self._control_ns, events_age_ns=now_ns - self._events_ns)
