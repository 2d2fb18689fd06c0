"""trader-emergency-stop: the kill switch pulled on two hundred orders, while strategies trade, in every way.

On the running platform by console (its API), by command, by signal and by the kill process; at local venues
of two kinds by the kill process with its own key. A venue that refuses cancels must never be called done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tradewind.gateways.faults import Fault, Plan, Rule
from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.drill import Facts, drill
from tradewind.readiness.probes.killing import (
    NEVER_S,
    ORDERS,
    Platform,
    kill_at,
    kill_key,
    loaded,
    pull,
)
from tradewind.readiness.record import MeasuredValue

WAYS: Final = ("console", "command", "signal", "process")
VENUES: Final = ("binance", "kraken")
FEW: Final = 10
TRUSTING: Final = """
from tradewind.trader.killing import venue
async def _empty(self, found):
    return True
venue.VenueKill._empty = _empty
"""
"""The mutation: success before the venue confirms."""


async def at_paper(folder: Path, ways: tuple[str, ...] = WAYS, orders: int = ORDERS) -> list[dict[str, Any]]:
    """Every way on one running platform."""
    rows = []
    async with Platform.running(folder) as platform:
        for way in ways:
            rows.append(await pull(platform, way, orders))
            await platform.resume()
    return rows


async def at_venue(folder: Path, venue: str, orders: int = ORDERS) -> dict[str, Any]:
    """The kill process at a venue of this kind."""
    async with loaded(folder, venue, orders) as local:
        before = len(local.working())
        code, line, took_s = await kill_at(local, folder, kill_key(local, folder))
        left = len(local.working())
        verified_s = line.get("verified_s")
        first_s = line.get("first_cancel_s")
        begun_s = took_s - verified_s if verified_s is not None else NEVER_S
        return {
            "way": f"{venue}, process",
            "orders_before": before,
            "first_cancel_s": NEVER_S if first_s is None else begun_s + first_s,
            "verified_s": took_s if code == 0 and not left else NEVER_S,
            "said_done": code == 0,
            "left": left,
        }


async def at_a_venue_that_refuses(folder: Path, *, prelude: str = "") -> dict[str, Any]:
    """Nothing can be cancelled there, so nothing is done, and nothing else may be said."""
    async with loaded(folder, "kraken", FEW) as local:
        rules = tuple(
            Rule(surface="rest", name=name, action=Fault.STATUS, status=503, when="before")
            for name in ("*CancelAll*", "*CancelOrder*")
        )
        local.exchange.faults.replace(Plan(rules=rules))
        code, _, took_s = await kill_at(local, folder, kill_key(local, folder), prelude=prelude)
        return {"said_done": code == 0, "left": len(local.working()), "took_s": took_s}


async def _all(folder: Path) -> dict[str, Any]:
    pulls = await at_paper(folder / "paper")
    pulls += [await at_venue(folder / venue, venue) for venue in VENUES]
    return {"pulls": pulls, "refusing": [await at_a_venue_that_refuses(folder / "refusing")]}


async def _trusting(folder: Path) -> dict[str, Any]:
    row = await at_venue(folder / "kraken", "kraken", FEW)
    return {"pulls": [row], "refusing": [await at_a_venue_that_refuses(folder / "broken", prelude=TRUSTING)]}


def _observe(context: ProbeContext) -> Facts:
    return asyncio.run(_all(context.scratch / "stop"))


def _broken(context: ProbeContext) -> Facts:
    return asyncio.run(_trusting(context.scratch / "stop-broken"))


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    pulls, refusing = facts["pulls"], facts["refusing"]
    if any(not row["orders_before"] for row in pulls) or any(not row["left"] for row in refusing):
        raise CannotMeasureError("a pull had nothing to cancel")
    lies = sum(row["said_done"] and row["left"] > 0 for row in (*pulls, *refusing))
    return {
        "first_cancel_s": MeasuredValue(max(row["first_cancel_s"] for row in pulls), "s", len(pulls)),
        "verified_zero_s": MeasuredValue(max(row["verified_s"] for row in pulls), "s", len(pulls)),
        "unverified_success_reports": count(lies, len(pulls) + len(refusing)),
    }


emergency_stop = drill(
    "trader-emergency-stop",
    observe=_observe,
    broken=_broken,
    summarise=_summarise,
    provenance="emulated",
    not_run=("the kill switch by chat: there is no chat bridge in this build",),
)
