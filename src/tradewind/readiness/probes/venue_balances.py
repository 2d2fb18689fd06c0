"""venue-balance-initialisation: balances that cannot be read, at the first start and while it trades.

The trader's desk runs at a local venue over sockets; each case breaks the answer to the question for balances
in another way. What the desk then believes of every asset is compared with the exchange itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tradewind.gateways.faults import Fault, Plan, Rule
from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.desk_world import DeskWorld, LocalVenue, wish
from tradewind.readiness.probes.drill import Facts, drill
from tradewind.readiness.record import MeasuredValue
from tradewind.trader.ledger import LedgerError
from tradewind.trader.venue_desk import NotTrading, OpeningRefused, VenueDesk
from tradewind.venues.kraken.connector import KrakenVenue
from tradewind.venues.protocol import Balance, Incomplete

PATH: Final = "*BalanceEx*"
PATIENCE_S: Final = 60.0
LOOK_EVERY_S: Final = 0.01
NEVER_S: Final = 3_600.0
BREAKS: Final[Mapping[str, Rule]] = {
    "no answer": Rule(surface="rest", name=PATH, action=Fault.DROP_REPLY, delay_ms=30_000),
    "server error": Rule(surface="rest", name=PATH, action=Fault.STATUS, status=503),
    "cut": Rule(surface="rest", name=PATH, action=Fault.RESET),
    "nonsense": Rule(surface="rest", name=PATH, action=Fault.MALFORMED),
    "refused": Rule(surface="rest", name=PATH, action=Fault.RATE_BAN),
}


async def _tries(desk: VenueDesk) -> int:
    """1 when a new order gets out of the desk, which must not be."""
    try:
        await desk.place(wish())
    except (NotTrading, LedgerError):
        return 0
    return 1


def _zeros(desk: VenueDesk, local: LocalVenue) -> list[str]:
    """Assets that the desk takes for empty although the account has some, once it has opened its books."""
    if desk.opening is None:
        return []
    return [asset for asset, total in local.totals().items() if total != "0" and not desk.ledger.total(asset)]


async def _at_start(local: LocalVenue, folder: Path, rule: Rule | None) -> dict[str, Any]:
    """A desk that has no books yet; `None`: the venue answers."""
    desks: list[VenueDesk] = []

    class Kept(VenueDesk):
        async def start(self) -> Any:
            """See `VenueDesk`; the connector is there, and now the balances are asked for."""
            desks.append(self)
            local.exchange.faults.replace(Plan(rules=() if rule is None else (rule,)))
            return await super().start()

    begin_s, why, orders = time.monotonic(), "", 0
    try:
        async with DeskWorld(local.place(folder), kind=Kept) as world:
            took_s = time.monotonic() - begin_s
            orders, zeros = await _tries(world.desk), _zeros(world.desk, local)
            why = world.desk.blocked
    except OpeningRefused as refused:
        took_s, why = time.monotonic() - begin_s, str(refused)
        [desk] = desks
        orders, zeros = await _tries(desk), _zeros(desk, local)
    finally:
        local.exchange.faults.replace(Plan())
    return {"took_s": took_s, "why": why, "orders": orders, "zeros": zeros}


async def _while_trading(local: LocalVenue, folder: Path, rule: Rule) -> dict[str, Any]:
    """The desk trades, is cut off, and cannot read balances when it is back."""
    async with DeskWorld(local.place(folder)) as world:
        if await _until(lambda: world.desk.blocked == "") is None:
            raise CannotMeasureError(f"the desk does not start: {world.desk.blocked}")
        local.exchange.faults.replace(Plan(rules=(rule,)))
        begin_s = time.monotonic()
        await local.down()
        blocked_s = await _until(lambda: world.desk.blocked != "")
        await local.up()
        if await _until(lambda: "balances" in world.desk.blocked or not world.desk.blocked) is None:
            raise CannotMeasureError(f"the desk does not ask for balances: {world.desk.blocked}")
        orders, zeros, why = await _tries(world.desk), _zeros(world.desk, local), world.desk.blocked
        local.exchange.faults.replace(Plan())
        back = await _until(lambda: world.desk.blocked == "")
        took_s = NEVER_S if blocked_s is None else blocked_s - begin_s
        return {"took_s": took_s, "why": why, "orders": orders, "zeros": zeros, "back": back is not None}


async def _until(condition: Any) -> float | None:
    """When it became true, monotonic seconds; None: not in time."""
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        if condition():
            return time.monotonic()
        await asyncio.sleep(LOOK_EVERY_S)
    return None


async def _measure(folder: Path, breaks: Mapping[str, Rule], *, trading: bool) -> Facts:
    async def one(name: str, moment: str) -> dict[str, Any]:
        place = folder / f"{moment} {name}"
        local = await LocalVenue.open(place / "exchange")
        try:
            run = _at_start if moment == "start" else _while_trading
            return {"break": name, "moment": moment, **await run(local, place / "desk", breaks[name])}
        finally:
            await local.close()

    moments = ("start", "trading") if trading else ("start",)
    rows = await asyncio.gather(*(one(name, moment) for name in breaks for moment in moments))
    local = await LocalVenue.open(folder / "healthy")
    try:
        healthy = await _at_start(local, folder / "desk", None)
    finally:
        await local.close()
    return {"rows": list(rows), "healthy": healthy}


def _observe(context: ProbeContext) -> Facts:
    return asyncio.run(_measure(context.scratch, BREAKS, trading=True))


def _empty_map(context: ProbeContext) -> Facts:
    """A question for balances that fails is answered with none."""
    honest = KrakenVenue.balances

    async def empty(self: KrakenVenue) -> list[Balance] | Incomplete:
        answer = await honest(self)
        return [] if isinstance(answer, Incomplete) else answer

    KrakenVenue.balances = empty  # type: ignore[method-assign]  # that is the mutation
    try:
        some = {"server error": BREAKS["server error"]}
        return asyncio.run(_measure(context.scratch, some, trading=False))
    finally:
        KrakenVenue.balances = honest  # type: ignore[method-assign]  # and this is its end


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    rows, healthy = facts["rows"], facts["healthy"]
    # Who never trades sizes nothing from the unknown: with an answer it has to trade, and afterwards again.
    dead = healthy["orders"] != 1 or not all(row.get("back", True) for row in rows)
    slowest_s = max(*(row["took_s"] for row in rows), healthy["took_s"])
    return {
        "orders_sized_from_unknown": count(sum(row["orders"] for row in rows), len(rows)),
        "synthetic_zero_balances": count(sum(len(row["zeros"]) for row in rows), len(rows)),
        "mode_change_s": MeasuredValue(NEVER_S if dead else slowest_s, "s", len(rows)),
    }


balances = drill(
    "venue-balance-initialisation",
    observe=_observe,
    broken=_empty_map,
    summarise=_summarise,
    provenance="emulated",
    not_run=("balances of the private stream as the first source: the desk asks for a snapshot",),
)
