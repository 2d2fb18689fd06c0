"""Helper process of `venue_duplicates`: places one order, or finds after a restart what became of it.

One JSON document on standard input (it has a secret, so it is no argument), one on standard output. With a
kill point the process ends by SIGKILL exactly there, as a crash would end it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from tradewind.readiness.probes.desk_world import DeskWorld, Place, wish
from tradewind.trader.orders import ManagedOrder
from tradewind.trader.records import Acknowledged, Intent, Record, decode
from tradewind.trader.venue_desk import VenueDesk
from tradewind.venues.paper.port import NodePort
from tradewind.venues.protocol import SubmitResult, Uncertain
from tradewind.venues.transport.websocket import SupervisedWebSocket

PATIENCE_S: Final = 45.0
MUTANT_PATIENCE_S: Final = 2.0
LOOK_EVERY_S: Final = 0.02
RETRIES: Final = 20
RETRY_S: Final = 0.2
UNSETTLED: Final = frozenset({"draft", "journaled", "sent", "unknown", "cancel_pending", "amend_pending"})


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What this process does."""

    place: Place
    point: int = 0
    """1 to 6 as in T7.11; 0: it is not killed."""
    send: bool = False
    """Place an order first; else only recover."""
    resend: bool = True
    race: bool = False
    """Cancel the order as soon as it is placed."""
    fresh_ids: bool = False
    """The mutation: what is not answered is sent again under another id."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the desk knows when nothing is in doubt any more."""

    blocked: str
    differences: list[str]
    orders: dict[str, str]
    """State of each intent by its client id."""
    totals: dict[str, str]


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class KillingPort:
    """The journal's port, and the kill points around it."""

    def __init__(self, port: NodePort, point: int) -> None:
        self._port, self._point = port, point

    async def submit(self, commands: list[bytes], notes: list[Any]) -> object:
        """See `NotesPort`."""
        records: list[Record] = [decode(payload) for _, _, payload in notes]
        intent = any(isinstance(one, Intent) for one in records)
        acknowledged = any(isinstance(one, Acknowledged) for one in records)
        if (intent and self._point == 1) or (acknowledged and self._point == 5):
            _die()
        if intent and self._point == 2:
            handed_in = asyncio.ensure_future(self._port.submit(commands, notes))
            await asyncio.sleep(0)
            _die()
            await handed_in
        answer = await self._port.submit(commands, notes)
        if (intent and self._point == 3) or (acknowledged and self._point == 6):
            _die()
        return answer


class FreshIds(VenueDesk):
    """Sends what was not answered again, under another id each time, until it is answered."""

    async def _answered(self, order: ManagedOrder, result: SubmitResult, sent_ns: int) -> None:
        for _ in range(RETRIES):
            if not isinstance(result, Uncertain) and not self.blocked:
                break
            await asyncio.sleep(RETRY_S)
            wire = self.oms.wire_order(order, self._clock_ns())
            again = msgspec.structs.replace(wire, client_id=f"again{time.time_ns() % 10**12}")
            result = await self.venue.submit(again, self.oms.identity.epoch)
        await super()._answered(order, result, sent_ns)


async def _until(condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> bool:
    deadline_s = time.monotonic() + patience_s
    while not condition() and time.monotonic() < deadline_s:  # noqa: ASYNC110 several parties
        await asyncio.sleep(LOOK_EVERY_S)
    return condition()


def _kill_behind_the_order() -> None:
    """Kill point 4: the process ends as soon as the bytes of an order are written."""
    honest = SupervisedWebSocket.send_text

    def send_text(self: SupervisedWebSocket, message: bytes) -> None:
        honest(self, message)
        if b"add_order" in message:
            _die()

    SupervisedWebSocket.send_text = send_text  # type: ignore[method-assign]  # this process ends there


async def run(task: Task) -> Outcome:
    """One life of the process."""
    if task.point == 4:
        _kill_behind_the_order()
    kind = FreshIds if task.fresh_ids else VenueDesk
    async with DeskWorld(task.place, kind=kind, port=lambda port: KillingPort(port, task.point)) as world:
        desk = world.desk
        if task.send:
            await _until(lambda: desk.blocked == "")
            await desk.place(wish(resend=task.resend))
        orders = desk.oms._by_id  # also those that have ended
        await _until(lambda: not any(str(one.state) in UNSETTLED for one in orders.values()))
        if task.race:
            for order in list(orders.values()):
                await desk.cancel(order.client_id, "race")
            await _until(lambda: all(one.is_terminal for one in orders.values()))
        differences = [str(one) for one in await desk.reconcile()]
        await _until(lambda: desk.blocked == "", MUTANT_PATIENCE_S if task.fresh_ids else PATIENCE_S)
        return Outcome(
            blocked=desk.blocked,
            differences=differences,
            orders={name: str(one.state) for name, one in orders.items()},
            totals=world.totals(),
        )


def main() -> int:
    """See the module."""
    outcome = asyncio.run(run(msgspec.json.decode(sys.stdin.buffer.readline(), type=Task)))
    sys.stdout.buffer.write(msgspec.json.encode(outcome) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
