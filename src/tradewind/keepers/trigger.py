"""Watches that no stop, take-profit or slice is overdue.

The engine fires triggers and runs slices itself, inside of the command that moves the price or the time:
nothing of them is ever left to a keeper, and `KeeperAct` with TRIGGER is refused with `NOTHING_DUE`. This
worker therefore sends nothing. It compares waiting orders with the prices that the log shows and reports
what should have fired.
"""

from __future__ import annotations

from typing import ClassVar, Final

import structlog

from tradewind.keepers.port import TRIGGER, Identity, Port
from tradewind.keepers.worker import POLL_S, SECOND_NS, Worker

log = structlog.get_logger("tradewind.keepers")

OVERDUE_NS: Final = 5 * SECOND_NS
MAX_SUSPECTS: Final = 10_000


class TriggerWorker(Worker):
    """A check, not an actor. `stats.due` is the number of overdue orders."""

    kind: ClassVar[str] = "trigger"

    def __init__(self, identity: Identity, port: Port) -> None:
        super().__init__(identity, port)
        self._start = 0
        self._checked = 0
        self._seen_ns: dict[int, int] = {}
        """Order → when it was first seen past its moment, as of the last whole round."""
        self._found: dict[int, int] = {}

    async def round(self) -> float:
        duties = await self.port.duties(self.identity)
        self.check_standing(duties, TRIGGER)
        part = await self.port.suspects(self._start)
        self._checked += part.checked
        for order in part.orders[: MAX_SUSPECTS - len(self._found)]:
            self._found[order] = self._seen_ns.get(order, duties.now_ns)
        self._start = part.next_start
        if part.next_start:
            return 0.0
        self._end_of_round(duties.now_ns)
        return POLL_S

    def _end_of_round(self, now_ns: int) -> None:
        overdue = sorted(order for order, since_ns in self._found.items() if now_ns - since_ns >= OVERDUE_NS)
        if overdue and len(overdue) != self.stats.due:
            log.error("orders_overdue", worker=self.name, orders=overdue[:20], count=len(overdue))
        self.stats.due = len(overdue)
        checked = f"{self._checked} waiting orders checked"
        self.stats.note = f"{checked}, {len(overdue)} overdue: {overdue[:5]}" if overdue else checked
        self._seen_ns, self._found, self._checked = self._found, {}, 0
