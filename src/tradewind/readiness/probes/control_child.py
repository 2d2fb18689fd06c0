"""Helper process of `venue_dead_man`: a trading core with orders at a venue, to be killed or cut off.

One JSON document on standard input (it has a secret, so it is no argument). Lines on standard output tell the
moments of the boot clock at which something became so.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from tradewind.readiness.probes.desk_world import ACCOUNT, PRICE_TICKS, DeskWorld, Place, wish
from tradewind.trader.control import PROTECTIVE, OrderControl
from tradewind.trader.guarded_desk import GuardedDesk
from tradewind.trader.heartbeat import Heartbeat, boot_now_ns
from tradewind.venues.transport.dead_man import Purpose, Rung

LOOK_EVERY_S: Final = 0.02
STEP_TICKS: Final = 10


class Core(msgspec.Struct, frozen=True, kw_only=True):
    """What the process does."""

    place: Place
    heartbeat: str
    orders: int = 20
    protective: int = 0
    """Of the orders, so many protect a position."""
    purpose: str = "timer"
    orderly: bool = False
    """End in order when standard input ends."""


def tell(event: str, **facts: Any) -> None:
    """One line for the parent."""
    line = msgspec.json.encode({"event": event, "boot_ns": boot_now_ns(), **facts})
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


async def _place(desk: GuardedDesk, core: Core) -> None:
    for number in range(core.orders):
        request = wish(PRICE_TICKS - STEP_TICKS * (number + 1))
        if number < core.protective:
            request = msgspec.structs.replace(request, tag=PROTECTIVE)
        await desk.place(request)


async def _watch(control: OrderControl) -> None:
    rung = Rung.NORMAL
    while True:
        if control.ladder.rung is not rung:
            rung = control.ladder.rung
            tell("rung", rung=rung.name)
        await asyncio.sleep(LOOK_EVERY_S)


async def run(core: Core) -> None:
    """Lives until it is killed, or until its standard input ends."""
    async with DeskWorld(core.place, kind=GuardedDesk) as world:
        desk, venue = world.desk, world.venue
        assert isinstance(desk, GuardedDesk)
        control = OrderControl(
            desk,
            lambda: venue.prove_control(desk.oms.identity.epoch),
            lambda: venue.socket.link.live,
            purpose=Purpose(core.purpose),
        )
        desk.guards.append(control.refusal)
        heartbeat = Heartbeat(
            Path(core.heartbeat),
            venue="kraken",
            account=ACCOUNT,
            channels=control.channels,
            protective=control.protective,
        )
        while desk.blocked:  # noqa: ASYNC110 the desk tells nobody
            await asyncio.sleep(LOOK_EVERY_S)
        await _place(desk, core)
        tasks = [asyncio.create_task(one) for one in (control.run(), heartbeat.run(), _watch(control))]
        while not control.proofs:  # noqa: ASYNC110 nor does it
            await asyncio.sleep(LOOK_EVERY_S)
        await heartbeat.beat()
        tell("ready", protective=control.protective())
        try:
            await asyncio.to_thread(sys.stdin.buffer.read)  # ends with the parent
            if core.orderly:
                tasks[1].cancel()
                await asyncio.gather(tasks[1], return_exceptions=True)
                await heartbeat.stopped()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def main() -> int:
    """See the module."""
    asyncio.run(run(msgspec.json.decode(sys.stdin.buffer.readline(), type=Core)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
