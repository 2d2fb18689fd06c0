"""venue-duplicate-order-prevention: real processes killed around a submit, a venue that misbehaves, and both.

Each cell has a venue of its own: an exchange behind a gateway, over sockets. A process places an order there
and is killed at a point of T7.11, or meets a fault; another recovers, and meets the fault then. Then the
venue's orders are counted against the intents, and ledger and venue must have the same to the last unit.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from tradewind.gateways.faults import Fault, Plan, Rule
from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.desk_child import Outcome, Task
from tradewind.readiness.probes.desk_venues import SITES, Site
from tradewind.readiness.probes.desk_world import LocalVenue
from tradewind.readiness.probes.drill import Facts, drill, ratio
from tradewind.readiness.record import MeasuredValue
from tradewind.venues.polymarket import wallet as signing

POINTS: Final = (1, 2, 3, 4, 5, 6)
AT_ONCE: Final = 4
CHILD_S: Final = 240.0
LOOK_EVERY_S: Final = 0.005
PARTIAL: Final = "partial"
RACE: Final = "race"
REFUSALS: Final = frozenset({"429", "418", "slow"})
"""A venue that is asked too often, or hears of an order behind its deadline, may refuse it:
the intent has ended then.
"""
ENDED_UNSENT: Final = frozenset({"rejected", "abandoned"})


REQUESTS: Final[Mapping[str, dict[str, Any]]] = {
    "timeout": {"action": Fault.DROP_REPLY, "delay_ms": 30_000},
    "5xx": {"action": Fault.STATUS, "status": 503, "when": "after"},
    "429": {"action": Fault.STATUS, "status": 429},
    "418": {"action": Fault.RATE_BAN, "seconds": 1},
    "reset": {"action": Fault.RESET, "when": "after"},
    "slow": {"action": Fault.DELAY, "delay_ms": 600},
}
"""Of the order itself, and of the first question about orders."""
FRAMES: Final[Mapping[str, dict[str, Any]]] = {
    "duplicate ack": {"action": Fault.DUPLICATE},
    "reordered": {"action": Fault.REORDER, "times": 2},
}
FAULTS: Final = (*REQUESTS, *FRAMES, PARTIAL, RACE)
"""Of the last two somebody else is the cause: he fills a part, or fills while we cancel."""


def _rules(site: type[Site], fault: str) -> tuple[Rule, ...]:
    """The fault in the words of a venue's plan."""
    if fault in FRAMES:
        return tuple(Rule(surface="stream", name=name, **FRAMES[fault]) for name in ("reply", *site.channels))
    if fault not in REQUESTS:
        return ()
    found = []
    for surface, name in (site.requests["place"], site.requests["ask"]):
        # a socket has no status for it
        ban = fault == "429" and site.name == "kraken"
        options = {"action": Fault.RATE_BAN} if ban else REQUESTS[fault]
        found.append(Rule(surface=surface, name=name, times=1, **options))
    return tuple(found)


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One case."""

    point: int = 0
    fault: str = ""
    resend: bool = True
    venue: str = "kraken"

    @property
    def name(self) -> str:
        """For people."""
        policy = "resend" if self.resend else "abandon"
        return f"{self.venue}, kill {self.point or '-'}, fault {self.fault or '-'}, {policy}"


VENUES: Final = tuple(one for one in SITES if one != "polymarket" or signing.available())
"""Polymarket where the packages are installed that sign its orders."""
KILLS: Final = tuple(
    Cell(point=point, resend=resend, venue=venue)
    for venue in VENUES
    for point in POINTS
    for resend in (True, False)
)
FAULTED: Final = tuple(Cell(fault=fault, venue=venue) for venue in VENUES for fault in FAULTS)
CROSSED: Final = tuple(Cell(point=point, fault=fault) for point in POINTS for fault in FAULTS)
CELLS: Final = (*KILLS, *FAULTED, *CROSSED)
MUTANT_CELLS: Final = (Cell(fault="timeout"), Cell(fault="reset"))


async def _child(task: Task) -> tuple[int, Outcome | None, str]:
    """Exit status, what the process found, and the end of what it said. Raises CannotMeasureError."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tradewind.readiness.probes.desk_child",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(CHILD_S):
            out, errors = await process.communicate(msgspec.json.encode(task) + b"\n")
    except TimeoutError:
        process.kill()
        await process.wait()
        raise CannotMeasureError(f"a desk was not ready within {CHILD_S:g} s") from None
    last = out.rstrip().rpartition(b"\n")[2]
    found = None
    if process.returncode == 0 and last:
        found = msgspec.json.decode(last, type=Outcome)
    return process.returncode or 0, found, errors[-400:].decode(errors="replace")


async def _somebody_trades(local: LocalVenue, lots: int) -> None:
    """Takes so much of the first order that rests."""
    while not local.working():  # noqa: ASYNC110 the exchange is another party
        await asyncio.sleep(LOOK_EVERY_S)
    await local.take(lots)


def _misbehave(local: LocalVenue, fault: str) -> asyncio.Task[None] | None:
    if not fault:
        return None
    local.exchange.faults.replace(Plan(rules=_rules(type(local.site), fault)))
    if fault in {PARTIAL, RACE}:
        lots = local.site.lots
        return asyncio.create_task(_somebody_trades(local, lots if fault == RACE else lots * 2 // 5))
    return None


async def _run(cell: Cell, folder: Path, *, fresh_ids: bool) -> dict[str, Any]:
    # behind a crash the state of Binance's limiter is lost: it would hold orders back for a while
    local = await LocalVenue.open(folder / "exchange", cell.venue, hurried=cell.venue != "kraken")
    trading: asyncio.Task[None] | None = None
    try:
        task = Task(
            place=local.place(folder / "desk"),
            point=cell.point,
            send=True,
            resend=cell.resend,
            race=cell.fault == RACE,
            fresh_ids=fresh_ids,
        )
        killed = True
        if cell.point:
            status, _, said = await _child(task)
            killed = status == -signal.SIGKILL
            task = msgspec.structs.replace(task, point=0, send=False)
        trading = _misbehave(local, cell.fault)
        status, outcome, said = await _child(task)
        if outcome is None:
            raise CannotMeasureError(f"{cell.name}: the desk ended with {status}: {said}")
        if trading is not None and local.orders():
            await trading
        return {
            "cell": cell.name,
            "point": cell.point,
            "fault": cell.fault,
            "resend": cell.resend,
            "killed": killed,
            "fired": sorted({str(one.fault) for one in local.exchange.faults.log})
            or (["traded"] if trading is not None and trading.done() else []),
            "intents": outcome.orders,
            "at_venue": [one.client_id or one.order_id for one in local.orders()],
            "blocked": outcome.blocked,
            "differences": outcome.differences,
            "ours": outcome.totals,
            "theirs": local.totals(),
        }
    finally:
        if trading is not None:
            trading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await trading
        await local.close()


async def _all(cells: Sequence[Cell], folder: Path, *, fresh_ids: bool = False) -> list[dict[str, Any]]:
    room = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, cell: Cell) -> dict[str, Any]:
        async with room:
            return await _run(cell, folder / f"cell-{number}", fresh_ids=fresh_ids)

    return list(await asyncio.gather(*(one(number, cell) for number, cell in enumerate(cells))))


def observed(context: ProbeContext, cells: Sequence[Cell] = CELLS, *, fresh_ids: bool = False) -> Facts:
    """The facts of these cells."""
    return {"planned": len(cells), "cells": asyncio.run(_all(cells, context.scratch, fresh_ids=fresh_ids))}


def _happened(row: Facts) -> bool:
    """Whether the kill and the fault took place. Where no order is, nobody can trade against it."""
    struck = not row["fault"] or row["fired"] or (row["fault"] in {PARTIAL, RACE} and not row["at_venue"])
    return bool(row["killed"] and struck)


def _as_it_must_be(row: Facts) -> bool:
    """Nothing in doubt, orders pass, equal ledgers; each intent has the orders that T7.11 says."""
    if row["blocked"] or row["differences"] or row["ours"] != row["theirs"]:
        return False
    if row["point"] == 1:
        return not row["intents"] and not row["at_venue"]
    if row["point"] == 0 and len(row["intents"]) != 1:
        return False
    refusable = row["fault"] in REFUSALS or not row["resend"]
    return all(
        row["at_venue"].count(name) == (state not in ENDED_UNSENT)
        and (refusable or state not in ENDED_UNSENT)
        for name, state in row["intents"].items()
    )


def _duplicates(row: Facts) -> int:
    return max(0, len(row["at_venue"]) - len(row["intents"]))


def _orphans(row: Facts) -> int:
    """Orders at the venue that no intent names, and intents that are not ended and not there."""
    names, there = row["intents"], set(row["at_venue"])
    lost = sum(state not in ENDED_UNSENT and name not in there for name, state in names.items())
    return len(there - set(names)) + lost


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    rows = facts["cells"]
    return {
        "duplicate_orders": count(sum(map(_duplicates, rows)), len(rows)),
        "orphan_orders": count(sum(map(_orphans, rows)), len(rows)),
        "fault_cells_tested": ratio(
            sum(_happened(row) and _as_it_must_be(row) for row in rows), facts["planned"]
        ),
    }


duplicates = drill(
    "venue-duplicate-order-prevention",
    observe=observed,
    broken=lambda context: observed(context, MUTANT_CELLS, fresh_ids=True),
    summarise=_summarise,
    provenance="emulated",
)
