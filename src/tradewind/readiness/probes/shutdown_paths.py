"""trader-multiple-shutdown-paths: three ways to end every order at a venue, each with the other two disabled.

The core's own kill switch; the kill process with a key of its own, while the core is gone; the venue's timer,
while core and kill process are gone. A key that two ways share makes one way of the two.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from tradewind.gateways.keys import Right
from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.desk_world import PRICE_TICKS, DeskWorld, LocalVenue, Place, wish
from tradewind.readiness.probes.drill import Facts, drill, ratio
from tradewind.readiness.probes.killing import kill_at, kill_key, until_async
from tradewind.readiness.record import MeasuredValue
from tradewind.trader.guarded_desk import GuardedDesk
from tradewind.trader.killing.desk import DeskKill
from tradewind.trader.killing.work import FlattenRules
from tradewind.venues.protocol import Armed
from tradewind.venues.transport.credentials import read_credentials

ORDERS: Final = 20
TIMER_S: Final = 5
PATIENCE_S: Final = 15.0
RULES: Final = FlattenRules(
    collar_bps=Decimal(200), participation_pct=Decimal(20), interval_ms=100, max_order_quote=Decimal(500)
)


def _world(place: Place) -> DeskWorld:
    return DeskWorld(place, kind=GuardedDesk)


async def _place_all(world: DeskWorld) -> None:
    for number in range(ORDERS):
        await world.desk.place(wish(PRICE_TICKS - 10 * (number + 1)))


async def _by_core(local: LocalVenue, folder: Path) -> dict[str, Any]:
    """No other key exists and no timer runs: only the core can cancel."""
    place = local.place(folder / "core")
    async with _world(place) as world:
        await _place_all(world)
        before = len(local.working())
        assert isinstance(world.desk, GuardedDesk)
        kill = DeskKill(world.desk, RULES, lambda _: None, lambda: ())
        result = await kill.halt("drill", "the core alone")
    return {
        "way": "core",
        "key": place.key,
        "before": before,
        "left": len(local.working()),
        "said": result.verified,
    }


async def _by_process(local: LocalVenue, folder: Path, *, shared: bool) -> dict[str, Any]:
    """The core has ended without a word, its orders rest, and no timer runs."""
    place = local.place(folder / "core")
    async with _world(place) as world:
        await _place_all(world)
    before = len(local.working())
    credentials = kill_key(local, folder, (Right.READ, Right.CANCEL))
    key = read_credentials(credentials).key
    if shared:
        credentials.write_text(f"API_KEY={place.key}\nAPI_SECRET={place.secret}\n")
        key = place.key
    code, _, _ = await kill_at(local, folder, credentials)
    return {"way": "process", "key": key, "before": before, "left": len(local.working()), "said": code == 0}


async def _by_timer(local: LocalVenue, folder: Path) -> dict[str, Any]:
    """The core armed the venue's timer and is gone; nobody else cancels."""
    async with _world(local.place(folder / "core")) as world:
        await _place_all(world)
        armed = await world.venue.cancel_after(TIMER_S, world.desk.oms.identity.epoch)
    if not isinstance(armed, Armed):
        raise CannotMeasureError(f"the venue's timer was not armed: {armed}")
    before = len(local.working())

    async def gone() -> bool:
        return not local.working()

    began_s = time.monotonic()
    said = await until_async(gone, PATIENCE_S)
    return {
        "way": "timer",
        "key": "the venue's own",
        "before": before,
        "left": len(local.working()),
        "said": said,
        "after_s": time.monotonic() - began_s,
    }


async def _all(folder: Path, *, shared: bool = False) -> dict[str, Any]:
    rows = []
    for name in ("core", "process", "timer"):
        place = folder / name
        place.mkdir(parents=True)
        local = await LocalVenue.open(place / "exchange", hurried=True)
        try:
            if name == "core":
                rows.append(await _by_core(local, place))
            elif name == "process":
                rows.append(await _by_process(local, place, shared=shared))
            else:
                rows.append(await _by_timer(local, place))
        finally:
            await local.close()
    if shared:  # each venue of the drill has keys of its own: the same key is told by the same name
        rows[1]["key"] = rows[0]["key"]
    return {"paths": rows}


def _observe(context: ProbeContext) -> Facts:
    return asyncio.run(_all(context.scratch / "paths"))


def _broken(context: ProbeContext) -> Facts:
    """The kill process is given the core's key."""
    return asyncio.run(_all(context.scratch / "paths-broken", shared=True))


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    paths = facts["paths"]
    if any(not row["before"] for row in paths):
        raise CannotMeasureError("a way had nothing to cancel")
    works = sum(row["said"] and row["left"] == 0 for row in paths)
    return {
        "independent_paths": count(len({row["key"] for row in paths}), len(paths)),
        "paths_working_alone": ratio(works, len(paths)),
    }


multiple_shutdown_paths = drill(
    "trader-multiple-shutdown-paths",
    observe=_observe,
    broken=_broken,
    summarise=_summarise,
    provenance="emulated",
)
