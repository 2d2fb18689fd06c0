"""Helper process of the desk's drills: places orders, or finds after a restart what became of them.

One JSON document on standard input (it has a secret, so it is no argument), one on standard output. With a
kill point the process ends by SIGKILL exactly there, as a crash would end it. With `--serve` it takes one
document a line, and every one has a life in a process of its own: what is read at the start is read once.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from typing import Any, BinaryIO, Final

import msgspec

from tradewind.readiness.probes.desk_venues import SITES
from tradewind.readiness.probes.desk_world import DeskWorld, Place, wish
from tradewind.trader.ledger import LedgerError
from tradewind.trader.orders import ManagedOrder
from tradewind.trader.records import Acknowledged, Intent, Record, decode
from tradewind.trader.venue_desk import NotTrading, VenueDesk
from tradewind.venues.market_data import Side
from tradewind.venues.paper.port import NodePort
from tradewind.venues.protocol import SubmitResult, Uncertain
from tradewind.venues.transport.private_http import Connection
from tradewind.venues.transport.websocket import SupervisedWebSocket

PATIENCE_S: Final = 45.0
MUTANT_PATIENCE_S: Final = 2.0
LOOK_EVERY_S: Final = 0.02
RETRIES: Final = 20
RETRY_S: Final = 0.2
MAX_JITTER_S: Final = 0.01
MANY: Final = 10
"""Resting orders from which on a drawn life only cancels before its last order."""
MAX_SAID: Final = 2_000
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
    seed: int = 0
    """Not 0: the order is drawn, a few things are done before it, and the kill comes a moment later."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the desk knows when nothing is in doubt any more."""

    blocked: str
    differences: list[str]
    orders: dict[str, str]
    """State of each intent by its client id."""
    totals: dict[str, str]
    rests: dict[str, list[int]] = {}
    """Price, lots and filled lots of what works."""
    slowest_s: float = 0.0
    """Longest doubt."""


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """How one process ended: its exit status (negative: the signal), what it found, and what it said."""

    status: int
    outcome: Outcome | None = None
    said: str = ""


class Kill:
    """The end of this process, at one point, a moment later when that is drawn."""

    def __init__(self, point: int, seed: int) -> None:
        self.point = point
        self.armed = not seed
        """Drawn lives do a few things first."""
        self._jitter_s = random.Random(seed).random() * MAX_JITTER_S if seed else 0.0  # noqa: S311 a drill

    def at(self, point: int) -> None:
        """Nothing returns from here when this is the point."""
        if self.armed and self.point == point:
            time.sleep(self._jitter_s)  # the loop stands still: disk and venue go on
            os.kill(os.getpid(), signal.SIGKILL)


class KillingPort:
    """The journal's port, and the kill points around it."""

    def __init__(self, port: NodePort, kill: Kill) -> None:
        self._port, self._kill = port, kill

    async def submit(self, commands: list[bytes], notes: list[Any]) -> object:
        """See `NotesPort`."""
        records: list[Record] = [decode(payload) for _, _, payload in notes]
        intent = any(isinstance(one, Intent) for one in records)
        acknowledged = any(isinstance(one, Acknowledged) for one in records)
        if intent:
            self._kill.at(1)
        if acknowledged:
            self._kill.at(5)
        if intent and self._kill.point == 2:
            handed_in = asyncio.ensure_future(self._port.submit(commands, notes))
            await asyncio.sleep(0)
            self._kill.at(2)
            return await handed_in
        answer = await self._port.submit(commands, notes)
        if intent:
            self._kill.at(3)
        if acknowledged:
            self._kill.at(6)
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


def _kill_behind_the_order(kill: Kill, mark: bytes) -> None:
    """Kill point 4: the process ends as soon as the bytes of an order are written."""
    send_text, write = SupervisedWebSocket.send_text, Connection.write

    def sending(self: SupervisedWebSocket, message: bytes) -> None:
        send_text(self, message)
        if mark in message:
            kill.at(4)

    def writing(self: Connection, packed: bytes) -> None:
        write(self, packed)
        if packed.startswith(mark):
            kill.at(4)

    SupervisedWebSocket.send_text = sending  # type: ignore[method-assign]  # this process ends there
    Connection.write = writing  # type: ignore[method-assign]  # and there


async def run(task: Task) -> Outcome:
    """One life of the process."""
    kill = Kill(task.point, task.seed)
    if task.point == 4:
        _kill_behind_the_order(kill, SITES[task.place.venue].order_bytes)
    kind = FreshIds if task.fresh_ids else VenueDesk
    async with DeskWorld(task.place, kind=kind, port=lambda port: KillingPort(port, kill)) as world:
        desk = world.desk
        orders = desk.oms._by_id  # also those that have ended
        if task.send:
            await _until(lambda: desk.blocked == "")
            await (_drawn(world, task, kill) if task.seed else _one(world, task))
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
            rests={one.client_id: [one.price_ticks, one.lots, one.filled_lots] for one in desk.oms.working()},
            slowest_s=desk.stats.slowest_ns / 1e9,
        )


async def _one(world: DeskWorld, task: Task) -> None:
    await world.desk.place(wish(resend=task.resend, site=SITES[task.place.venue]))


async def _drawn(world: DeskWorld, task: Task, kill: Kill) -> None:
    """Up to three ordinary orders and cancels, then the one at which the process ends."""
    draw = random.Random(task.seed)  # noqa: S311 a drill
    site, desk = SITES[task.place.venue], world.desk
    for _ in range(draw.randrange(4)):
        await _anything(desk, draw, task)
    kill.armed = True
    price = site.price_ticks - draw.randrange(1, 400)
    size = site.lots // 2 + draw.randrange(site.lots)
    await desk.place(wish(price, lots=size, resend=task.resend, site=site))


async def _anything(desk: VenueDesk, draw: random.Random, task: Task) -> None:
    site = SITES[task.place.venue]
    working = desk.oms.working()
    try:
        if working and draw.random() < min(1.0, 0.2 + len(working) / MANY):
            await desk.cancel(draw.choice(working).client_id, "drawn")
            return
        held = desk.ledger.available(site.symbol.partition("/")[0])
        least = desk.oms.instruments[site.symbol].lot * site.lots
        side = Side.SELL if held >= least and draw.random() < 0.5 else Side.BUY
        off = draw.randrange(1, 400)
        price = site.price_ticks + (off if side is Side.SELL else -off)
        await desk.place(wish(price, side=side, site=site))
    except (NotTrading, LedgerError):
        pass  # something else stands against it, and the drawn order is tried in any case


def serve(lines: BinaryIO, answers: BinaryIO) -> None:
    """A life for every line, one after the other, each in a process that this one begins."""
    for line in lines:
        answers.write(msgspec.json.encode(_live(line)) + b"\n")
        answers.flush()


def _live(line: bytes) -> Life:
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if not child:
            os.close(reading)
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            status = 1
            try:
                outcome = asyncio.run(run(msgspec.json.decode(line, type=Task)))
                os.write(writing, msgspec.json.encode(outcome))
                status = 0
            except BaseException:  # noqa: BLE001 the parent's stack must not go on in a child
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            body = pipe.read()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said.seek(0)
        text = said.read()[-MAX_SAID:].decode(errors="replace")
    found = msgspec.json.decode(body, type=Outcome) if body and status == 0 else None
    return Life(status=status, outcome=found, said="" if status == 0 else text)


def main() -> int:
    """See the module."""
    if "--serve" in sys.argv[1:]:
        serve(sys.stdin.buffer, sys.stdout.buffer)
        return 0
    outcome = asyncio.run(run(msgspec.json.decode(sys.stdin.buffer.readline(), type=Task)))
    sys.stdout.buffer.write(msgspec.json.encode(outcome) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
