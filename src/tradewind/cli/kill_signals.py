"""The kill switch by signal (T8.4): SIGUSR1 halts the running platform, SIGUSR2 flattens it.

A signal needs no API, no token and no free connection, only the event loop. It is journaled with the actor
`signal`. Repeated signals are one act; a flatten outranks a halt that runs.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import structlog

from tradewind.trader.kill import KillResult
from tradewind.trader.killing import order as kill_order

log = structlog.get_logger("tradewind.kill")
ACTOR: Final = "signal"
HALT: Final = signal.SIGUSR1
FLATTEN: Final = signal.SIGUSR2
LOOK_EVERY_S: Final = 0.02
"""While the platform still starts there is no switch yet: so often it is looked for."""


class Switch(Protocol):
    """`trader.kill.KillSwitch`, as far as it is used here."""

    async def halt(self, actor: str, reason: str) -> KillResult: ...

    async def flatten(self, actor: str, reason: str) -> KillResult: ...


class KillSignals:
    """Turns signals into acts of the kill switch, one after the other."""

    def __init__(
        self, switch: Callable[[], Switch | None], data: Path, tell: Callable[[str], object] = lambda _: None
    ) -> None:
        """`switch` gives the switch once there is one; a signal before waits for it."""
        self._switch, self._data, self._tell = switch, data, tell
        self._wanted: set[signal.Signals] = set()
        self._acting: asyncio.Task[None] | None = None
        self.results: list[KillResult] = []
        """What the acts have shown, at most one halt and one flatten per run of signals, newest last."""

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on the two signals are ours."""
        for number in (HALT, FLATTEN):
            loop.add_signal_handler(number, self.request, number)

    def request(self, number: signal.Signals) -> None:
        """One signal arrived."""
        self._wanted.add(number)
        if self._acting is None or self._acting.done():
            self._acting = asyncio.create_task(self._act(), name="kill by signal")

    async def idle(self) -> None:
        """Returns when every signal so far has been acted on."""
        while self._acting is not None and not self._acting.done():
            await self._acting

    async def _act(self) -> None:
        while self._wanted:
            while (switch := self._switch()) is None:  # noqa: ASYNC110 it comes with the start
                await asyncio.sleep(LOOK_EVERY_S)
            flatten = FLATTEN in self._wanted
            number = FLATTEN if flatten else HALT
            self._wanted.clear()
            self._tell(f"{number.name}: {'flattening' if flatten else 'halting'}")
            try:
                result = await (switch.flatten if flatten else switch.halt)(ACTOR, self._reason(number))
            except Exception as error:  # noqa: BLE001 the platform goes on; the operator has to know
                log.critical("kill_by_signal_failed", signal=number.name, error=repr(error))
                self._tell(f"{number.name}: failed, {error}")
                continue
            self.results = [*self.results[-9:], result]
            if result.verified:
                kill_order.take_away(self._data)  # the log itself holds the halt now
            log.critical("kill_by_signal", signal=number.name, outcome=str(result.outcome), left=result.left)
            self._tell(f"{result.act}: {result.outcome}, state {result.state.lower()}")

    def _reason(self, number: signal.Signals) -> str:
        """Signals carry no text; a kill order that stands says more."""
        standing = kill_order.pending(self._data)
        if standing is None:
            return f"signal {number.name}"
        return f"signal {number.name}; kill order of {standing.actor}: {standing.reason}"
