"""A desk at a local venue, to be killed: `desk_child.py DATA URL SOCKET_URL POINT POLICY`, key on stdin.

POINT is one of the six of T7.11; the process kills itself there with SIGKILL, without a word. POINT 0
recovers, waits until nothing is in doubt and the books are equal, and prints what it holds as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from venue_world import MIDDLE, DeskWorld, wish

from tradewind.trader.orders import State
from tradewind.trader.records import Acknowledged, Intent, Sent, decode
from tradewind.trader.venue_desk import VenueDesk
from tradewind.venues.market_data import Side
from tradewind.venues.paper.port import NodePort

SETTLED = {State.WORKING, State.FILLED, State.ABANDONED, State.REJECTED}
DEADLINE_S = 60.0


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class FatalPort:
    """A journal that ends the process around the records of one order."""

    def __init__(self, port: NodePort, point: int) -> None:
        self.port, self.point = port, point

    async def submit(self, commands: list[bytes], notes: list[Any]) -> object:
        record = decode(notes[0][2])
        if isinstance(record, Intent) and self.point == 1:
            die()
        if isinstance(record, Intent) and self.point == 2:
            task = asyncio.ensure_future(self.port.submit(commands, notes))
            await asyncio.sleep(0)  # handed over; whether it reached the disk is the disk's affair
            die()
            await task
        if isinstance(record, Sent) and self.point == 3:
            die()
        if isinstance(record, Acknowledged) and self.point == 5:
            die()
        done = await self.port.submit(commands, notes)
        if isinstance(record, Acknowledged) and self.point == 6:
            die()
        return done


class FatalWorld(DeskWorld):
    """The world of one process."""

    point = 0

    def port(self, port: NodePort) -> Any:
        return FatalPort(port, self.point)

    async def begin(self) -> None:
        await self.desk.start()
        if self.point == 4:
            self._die_behind_the_write()

    def _die_behind_the_write(self) -> None:
        send = self.venue.socket.call  # the bytes are on the wire when this has begun to wait

        async def call(*arguments: Any, **options: Any) -> Any:
            task = asyncio.ensure_future(send(*arguments, **options))
            await asyncio.sleep(0.05)
            die()
            return await task

        self.venue.socket.call = call  # type: ignore[method-assign]


async def trade(world: FatalWorld, policy: str) -> None:
    async with world:
        await world.desk.place(wish(Side.BUY, MIDDLE - 500, reducing=policy == "resend"))
        raise SystemExit("the kill point was not reached")


def settled(desk: VenueDesk) -> bool:
    orders = [*desk.oms.working(), *desk.oms.finished]
    return desk.blocked == "" and all(one.state in SETTLED for one in orders)


async def report(world: FatalWorld) -> None:
    async with world:
        async with asyncio.timeout(DEADLINE_S):
            while not settled(world.desk):  # noqa: ASYNC110 several parties change it
                await asyncio.sleep(0.02)
        assert await world.desk.reconcile() == []
        orders = [*world.desk.oms.working(), *world.desk.oms.finished]
        states = {one.client_id: str(one.state) for one in orders}
        intents = world.desk.oms.stats.intents
        ledger = {asset: str(world.desk.ledger.total(asset)) for asset in world.desk.ledger.assets()}
    print("REPORT " + json.dumps({"orders": states, "intents": intents, "ledger": ledger}))


def main() -> None:
    data, url, socket_url, point, policy = sys.argv[1:6]
    key, secret = sys.stdin.read().split()
    world = FatalWorld(Path(data), url, socket_url, key, secret)
    world.point = int(point)
    asyncio.run(trade(world, policy) if world.point else report(world))


if __name__ == "__main__":
    main()
