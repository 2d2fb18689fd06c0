"""venue-balance-initialisation: balances that cannot be read, at the first start and while it trades.

The trader's desk runs at a local venue over sockets. Its private stream is broken, its question for balances
is, in several ways, or both are. Measured is how long it takes to the tier that has to follow, what new risk
gets out, and what the desk believes of every asset, compared with the exchange itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, Final

from tradewind.gateways.faults import Fault, Plan, Rule
from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.desk_world import DeskWorld, LocalVenue, wish
from tradewind.readiness.probes.drill import Facts, drill
from tradewind.readiness.record import MeasuredValue
from tradewind.trader.balanced_desk import BalancedDesk
from tradewind.trader.balances import SECOND_NS, BalanceLimits, Tier
from tradewind.trader.ledger import LedgerError
from tradewind.trader.venue_desk import NotTrading
from tradewind.venues.kraken.connector import KrakenVenue
from tradewind.venues.market_data import Known
from tradewind.venues.protocol import Balance, Incomplete

PATH: Final = "*BalanceEx*"
PATIENCE_S: Final = 30.0
LOOK_EVERY_S: Final = 0.01
AT_ONCE: Final = 3
"""Each case is a venue and a desk: more of them would measure the machine."""
MUTANT_S: Final = 1.0
NEVER_S: Final = 3_600.0
STREAM: Final = Rule(surface="stream", name="*", action=Fault.CLOSE)
BREAKS: Final[Mapping[str, Rule]] = {
    "no answer": Rule(surface="rest", name=PATH, action=Fault.DROP_REPLY, delay_ms=30_000),
    "server error": Rule(surface="rest", name=PATH, action=Fault.STATUS, status=503),
    "cut": Rule(surface="rest", name=PATH, action=Fault.RESET),
    "nonsense": Rule(surface="rest", name=PATH, action=Fault.MALFORMED),
    "refused": Rule(surface="rest", name=PATH, action=Fault.RATE_BAN),
}


class Quicker(BalancedDesk):
    """As shipped, but a better source need not hold for half a minute before it is used again."""

    limits = BalanceLimits(steady_ns=SECOND_NS)


async def _tries(desk: BalancedDesk) -> int:
    """1 when a new order gets out of the desk."""
    try:
        await desk.place(wish())
    except (NotTrading, LedgerError):
        return 0
    return 1


def _zeros(desk: BalancedDesk, local: LocalVenue) -> list[str]:
    """Assets that the desk takes for empty although the account has some."""
    found = []
    for asset, total in local.totals().items():
        value = desk.balances.value(asset)
        believed = isinstance(value, Known) and not value.value.total
        booked = desk.opening is not None and not desk.ledger.total(asset)
        if total != "0" and (believed or booked):
            found.append(asset)
    return found


async def _until_tier(desk: BalancedDesk, tier: Tier, begin_ns: int) -> float:
    """Seconds from `begin_ns` (wall clock) until the desk came into this tier, by its own record."""
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        for change in desk.balances.changes:
            if change.at_ns >= begin_ns and change.after is tier:
                return (change.at_ns - begin_ns) / SECOND_NS
        await asyncio.sleep(LOOK_EVERY_S)
    return NEVER_S


def _row(case: str, wanted: Tier, took_s: float, desk: BalancedDesk, local: LocalVenue) -> dict[str, Any]:
    return {
        "case": case, "wanted": wanted.name, "took_s": took_s, "zeros": _zeros(desk, local), "orders": 0,
        "why": desk.balances.reason,
    }  # fmt: skip


async def _at_start(
    folder: Path, case: str, rules: tuple[Rule, ...], wanted: Tier, heals_s: float = 2 * PATIENCE_S
) -> list[dict[str, Any]]:
    """A desk that has no books yet, at a venue that is broken from its first question on, and healed then."""
    local = await LocalVenue.open(folder / "exchange")
    moments: list[int] = []

    class Broken(Quicker):
        async def start(self) -> Any:
            """See `BalancedDesk`; the connector is there, and now the balances are asked for."""
            local.exchange.faults.replace(Plan(rules=rules))
            if STREAM in rules:
                assert isinstance(self.venue, KrakenVenue)
                self.venue.socket.link.degrade("drill")
            moments.append(time.time_ns())
            return await super().start()

    try:
        async with DeskWorld(local.place(folder / "desk"), kind=Broken) as world:
            desk = world.desk
            assert isinstance(desk, BalancedDesk)
            if wanted is Tier.NONE:
                # every source had its time, and it still says so: no new risk, and values unknown
                took_s = NEVER_S if not desk.blocked else (time.time_ns() - moments[0]) / SECOND_NS
            else:
                took_s = await _until_tier(desk, wanted, moments[0])
            row = _row(f"start, {case}", wanted, took_s, desk, local)
            row["orders"] = await _tries(desk) if wanted is Tier.NONE else 0
            local.exchange.faults.replace(Plan())
            return [row, await _healed(desk, local, f"start, {case}, healed", heals_s)]
    finally:
        await local.close()


async def _healed(
    desk: BalancedDesk, local: LocalVenue, case: str, heals_s: float = 2 * PATIENCE_S
) -> dict[str, Any]:
    """Whoever never trades again sizes nothing from the unknown: it has to trade, from the first source."""
    deadline_s = time.monotonic() + heals_s
    while time.monotonic() < deadline_s:
        if desk.balances.tier is Tier.STREAM and not desk.blocked:
            break
        await asyncio.sleep(LOOK_EVERY_S)
    return {"case": case, "traded": await _tries(desk), "zeros": _zeros(desk, local)}


async def _while_trading(folder: Path, case: str, rule: Rule) -> list[dict[str, Any]]:
    """The stream ends, then the snapshots: one tier after the other, and back."""
    local = await LocalVenue.open(folder / "exchange")
    try:
        async with DeskWorld(local.place(folder / "desk"), kind=Quicker) as world:
            desk, venue = world.desk, world.venue
            assert isinstance(desk, BalancedDesk)
            if await _until_tier(desk, Tier.STREAM, 0) == NEVER_S:
                raise CannotMeasureError(f"the desk does not start: {desk.balances.reason}")
            rows = []
            begin_ns = time.time_ns()
            local.exchange.faults.replace(Plan(rules=(STREAM,)))
            venue.socket.link.degrade("drill")
            took_s = await _until_tier(desk, Tier.SNAPSHOT, begin_ns)
            rows.append(_row(f"trading, stream lost ({case})", Tier.SNAPSHOT, took_s, desk, local))
            begin_ns = time.time_ns()
            local.exchange.faults.replace(Plan(rules=(STREAM, rule)))
            took_s = await _until_tier(desk, Tier.NONE, begin_ns)
            row = _row(f"trading, {case} too", Tier.NONE, took_s, desk, local)
            row["orders"] = await _tries(desk)
            rows.append(row)
            local.exchange.faults.replace(Plan())
            rows.append(await _healed(desk, local, f"trading, {case}, healed"))
            return rows
    finally:
        await local.close()


async def _measure(folder: Path, breaks: Mapping[str, Rule]) -> Facts:
    works = [
        _at_start(folder / "healthy", "all well", (), Tier.STREAM),
        _at_start(folder / "snapshot", "no stream", (STREAM,), Tier.SNAPSHOT),
    ]
    for name, rule in breaks.items():
        works += [
            _at_start(folder / f"start {name}", f"no stream, {name}", (STREAM, rule), Tier.NONE),
            _while_trading(folder / f"trading {name}", name, rule),
        ]
    few = asyncio.Semaphore(AT_ONCE)

    async def in_turn(work: Coroutine[Any, Any, list[dict[str, Any]]]) -> list[dict[str, Any]]:
        async with few:
            return await work

    found = await asyncio.gather(*(in_turn(one) for one in works))
    return {"rows": [row for rows in found for row in rows]}


def _observe(context: ProbeContext) -> Facts:
    return asyncio.run(_measure(context.scratch, BREAKS))


def _empty_map(context: ProbeContext) -> Facts:
    """A question for balances that fails is answered with none."""
    honest = KrakenVenue.balances

    async def empty(self: KrakenVenue) -> list[Balance] | Incomplete:
        answer = await honest(self)
        return [] if isinstance(answer, Incomplete) else answer

    KrakenVenue.balances = empty  # type: ignore[method-assign]  # that is the mutation
    try:
        rules = (STREAM, BREAKS["server error"])
        folder = context.scratch / "broken"
        return {"rows": asyncio.run(_at_start(folder, "server error", rules, Tier.NONE, MUTANT_S))}
    finally:
        KrakenVenue.balances = honest  # type: ignore[method-assign]  # and this is its end


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    rows = [row for row in facts["rows"] if "wanted" in row]
    healed = [row for row in facts["rows"] if "traded" in row]
    dead = not healed or not all(row["traded"] for row in healed)
    slowest_s = max(row["took_s"] for row in rows)
    zeros = sum(len(row["zeros"]) for row in facts["rows"])
    return {
        "orders_sized_from_unknown": count(sum(row["orders"] for row in rows), len(rows)),
        "synthetic_zero_balances": count(zeros, len(facts["rows"])),
        "mode_change_s": MeasuredValue(NEVER_S if dead else slowest_s, "s", len(rows)),
    }


balances = drill(
    "venue-balance-initialisation",
    observe=_observe,
    broken=_empty_map,
    summarise=_summarise,
    provenance="emulated",
)
