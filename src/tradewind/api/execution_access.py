"""The running trader's execution desk, for requests from outside its own loop."""

from __future__ import annotations

from tradewind.trader.execution.book import Parent
from tradewind.trader.execution.curve import VolumeCurve
from tradewind.trader.execution.desk import ExecutionDesk
from tradewind.trader.execution.model import ExecuteIntent
from tradewind.trader.service import MANUAL
from tradewind.trader.session import Session


class ExecutionOfTrader:
    """Holds the session's lock around every act, and journals it before it answers."""

    def __init__(self, session: Session, desk: ExecutionDesk) -> None:
        self._session = session
        self.desk = desk

    async def open(
        self, intent: ExecuteIntent, *, actor: str, reason: str, client_key: str, curve: VolumeCurve | None
    ) -> Parent:
        """Begins a parent. Raises `ExecutionRefused`."""
        async with self._session.lock:
            parent = self.desk.open(
                intent, strategy=MANUAL, actor=actor, reason=reason, client_key=client_key, curve=curve
            )
            await self._session.trader.step()
        return parent

    async def turn(self, verb: str, number: int, *, actor: str, reason: str) -> Parent:
        """`pause`, `resume` or `cancel`. Raises `ExecutionRefused`."""
        acts = {"pause": self.desk.pause, "resume": self.desk.resume, "cancel": self.desk.cancel}
        async with self._session.lock:
            parent = acts[verb](number, actor=actor, reason=reason)
            await self._session.trader.step()
        return parent
