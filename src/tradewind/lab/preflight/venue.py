"""Checks of connections to venues, at a local venue on our own engine: V06-V08, V10, V12, V17."""

from __future__ import annotations

import itertools
import time
from decimal import Decimal
from typing import Final

from tradewind.gateways.faults import Plan
from tradewind.lab.preflight.durability import killed_after
from tradewind.lab.preflight.model import Context, Evidence, require
from tradewind.lab.preflight.venue_world import (
    ACCOUNT,
    LOTS,
    PRICE_TICKS,
    SYMBOL,
    VenueWorld,
    order,
    venue_world,
)
from tradewind.venues.protocol import Acked, FillEvent, Found, OrderEvent, OrderPhase, OrderRef
from tradewind.venues.transport.keys import KeyFolder, fingerprint

NONCES: Final = 200
KILLS: Final = 3
FAR_TICKS: Final = 500_000
FARTHER_TICKS: Final = 499_000
EVENT_S: Final = 2.0
RECONNECTS: Final = 5
RECONNECT_P95_S: Final = 5.0
CALM_S: Final = 2.0
"""Between two outages, so that the private calls of a reconnect have points again."""
PATIENCE_S: Final = 10.0
RATE_TIER: Final = "intermediate"
RATE_ORDERS: Final = 8
PAUSE_S: Final = 1.0
POINTS_OFF: Final = Decimal(1)
EPOCH: Final = 1


async def nonces(context: Context) -> Evidence:
    """V06: a key counts upward through kill -9, in one unit, and every used key here has a sound mark."""
    data = context.directory("nonces")
    keys = KeyFolder(data)
    mark = keys.folder / f"{fingerprint('kraken', 'preflight')}.nonce"
    found: list[int] = []
    for kill in range(KILLS):
        given = await killed_after(context, "nonces", data, NONCES)
        digits = {len(str(nonce)) for nonce in given}
        require(digits == {16}, f"nonces in microseconds have 16 digits, these have {sorted(digits)}")
        found += given
        if kill == 0:
            context.at("V06.killed", mark)
    wrong = sum(later <= earlier for earlier, later in itertools.pairwise(found))
    require(wrong == 0, f"{wrong} of {len(found)} nonces do not exceed the one before")
    status = keys.status(mark.stem)
    require(status["fault"] == "" and status["high_water"] >= found[-1], f"the mark is unsound: {status}")
    installed = KeyFolder(context.data)
    faults = {
        record.fingerprint: fault
        for record in installed.records()
        if (fault := installed.status(record.fingerprint)["fault"])
    }
    require(not faults, f"keys of this installation cannot be used: {faults}")
    return {"nonces": len(found), "kills": KILLS, "installed_keys": len(installed.records())}


async def round_trip(context: Context) -> Evidence:
    """V08: place far from the market, query, amend, cancel; after each the venue itself shows the effect."""
    async with venue_world(context.scratch) as world:
        context.at("V08.world", world)
        reference = OrderRef(client_id="preflight-v08", symbol=SYMBOL)
        placed = await world.venue.submit(order(reference.client_id, FAR_TICKS), EPOCH)
        require(isinstance(placed, Acked), f"placing: {placed}")
        queried = await world.venue.query(reference)
        require(isinstance(queried, Found), f"the query does not find the order: {queried}")
        amended = await world.venue.amend(reference, EPOCH, price_ticks=FARTHER_TICKS)
        require(isinstance(amended, Acked), f"amending: {amended}")
        resting = [(one.price_ticks, one.lots) for one in world.working()]
        require(resting == [(FARTHER_TICKS, LOTS)], f"the venue has {resting} after the amendment")
        cancelled = await world.venue.cancel(reference, EPOCH)
        left = world.working()
        require(not left, f"{len(left)} orders rest after the cancel, which was answered {cancelled}")
        ended = await world.venue.query(reference)
        require(
            isinstance(ended, Found) and ended.state.phase is OrderPhase.CANCELLED, f"it ended as {ended}"
        )
        return {"placed": FAR_TICKS, "amended": FARTHER_TICKS, "cancel": type(cancelled).__name__, "left": 0}


async def rate_model(context: Context) -> Evidence:
    """V10: what the limit model predicts of the venue's counter is what the venue says, within one point."""
    believed = context.at("V10.tier", RATE_TIER)
    async with venue_world(context.scratch, tier=RATE_TIER, believed=believed) as world:
        limits = world.venue.rest.limits
        worst, reports = Decimal(0), 0
        honest = limits.engine_report

        def compared(pair: str, points: Decimal, at_ns: int, now_ns: int) -> None:
            nonlocal worst, reports
            predicted = limits.levels(now_ns).get(f"engine:{pair}", (Decimal(0), 0))[0]
            worst, reports = max(worst, abs(predicted - points)), reports + 1
            honest(pair, points, at_ns, now_ns)

        limits.engine_report = compared  # type: ignore[method-assign]  # looks on, and passes it on
        for number in range(RATE_ORDERS):
            await _placed_and_cancelled(world, f"preflight-v10-{number}")
        # Time passes in which the counter falls: a model with another rate of decay is off by then.
        await world.wait(lambda: False, PAUSE_S)
        await _placed_and_cancelled(world, "preflight-v10-last")
        require(reports >= RATE_ORDERS, f"the venue reported its counter {reports} times")
        require(worst <= POINTS_OFF, f"the model is {worst:.2f} points off the venue's counter")
        return {"reports": reports, "worst_points": f"{worst:.3f}", "tier": RATE_TIER}


async def _placed_and_cancelled(world: VenueWorld, client_id: str) -> None:
    placed = await world.venue.submit(order(client_id), EPOCH)
    require(isinstance(placed, Acked), f"placing: {placed}")
    cancelled = await world.venue.cancel(OrderRef(client_id=client_id, symbol=SYMBOL), EPOCH)
    require(not isinstance(cancelled, Acked) or not world.working(), "the order rests after its cancel")


async def private_stream(context: Context) -> Evidence:
    """V12: an order of the account is seen in the private stream within two seconds.

    Another connection of the account sends it: what the connector knows from the answer to an own order
    would hide a stream that tells nothing.
    """
    async with venue_world(context.scratch) as world:
        world.exchange.faults.replace(context.at("V12.plan", Plan()))
        sent_ns = time.monotonic_ns()
        placed = await world.other_client("preflight-v12")

        def shown() -> bool:
            return any(
                isinstance(event, OrderEvent) and event.state.client_id == placed for event in world.events
            )

        require(await world.wait(shown, EVENT_S), f"no event of the order in {EVENT_S:g} s")
        return {"after_ms": (time.monotonic_ns() - sent_ns) // 1_000_000}


async def reconnects(context: Context) -> Evidence:
    """V17: five times the venue goes away and an order fills meanwhile; the fill is told, once, in time."""
    async with venue_world(context.scratch) as world:
        context.at("V17.world", world)
        seconds = [await _reconnected(world, number) for number in range(RECONNECTS)]
        keys = [event.key for event in world.events if isinstance(event, FillEvent)]
        require(len(keys) == len(set(keys)) == RECONNECTS, f"{len(keys)} fills were told for {RECONNECTS}")
        worst = max(seconds)
        require(worst < RECONNECT_P95_S, f"the slowest reconnect took {worst:.1f} s")
        return {"reconnects": RECONNECTS, "slowest_s": round(worst, 3)}


async def _reconnected(world: VenueWorld, number: int) -> float:
    client_id = f"preflight-v17-{number}"
    placed = await world.venue.submit(order(client_id), EPOCH)
    require(isinstance(placed, Acked), f"placing: {placed}")
    async with world.away():
        await world.take(LOTS, PRICE_TICKS)
    back_s = time.monotonic()

    def told() -> bool:
        filled = any(isinstance(event, FillEvent) and event.client_id == client_id for event in world.events)
        return filled and world.live

    require(
        await world.wait(told, PATIENCE_S),
        f"reconnect {number + 1}: the fill of the outage was not told in {PATIENCE_S:g} s",
    )
    took_s = time.monotonic() - back_s
    await world.wait(lambda: False, CALM_S)
    return took_s


async def key_rights(context: Context) -> Evidence:
    """V07: the trading key reads, trades and cancels, cannot withdraw, and is bound to addresses; the key of
    the kill process cancels and cannot trade. Asked of the venue itself, in ways that change nothing.
    """
    from tradewind.gateways.keys import Right, new_key
    from tradewind.lab.preflight.venue_world import LOCAL_ADDRESS, binance_place
    from tradewind.trader.watchdog.paths import open_path
    from tradewind.venues.transport.keys import KeyPurpose

    found = {}
    async with binance_place(context.scratch) as (exchange, url):
        keys = {
            "trading": new_key(ACCOUNT, addresses=(LOCAL_ADDRESS,)),
            "kill": new_key(ACCOUNT, rights=(Right.READ, Right.CANCEL), addresses=(LOCAL_ADDRESS,)),
        }
        for name, planned in keys.items():
            key = context.at(f"V07.{name}", planned)
            exchange.keys.add(key)
            async with open_path(
                "binance", key.key, key.secret.decode(), data=context.directory(name), url=url,
                purpose=KeyPurpose.KILL,
            ) as path:  # fmt: skip
                found[name] = await path.rights()
    for name, rights in found.items():
        require(rights.cancels is True, f"the {name} key cannot cancel")
        require(rights.reads is True, f"the {name} key cannot read")
        require(rights.withdraws is False, f"the {name} key may withdraw, or the venue did not say")
        require(rights.bound is True, f"the {name} key is bound to no address, or the venue did not say")
    require(found["trading"].trades is True, "the trading key cannot trade")
    require(found["kill"].trades is False, "the key of the kill process may trade, or the venue did not say")
    return {
        name: {field: getattr(one, field) for field in one.__struct_fields__} for name, one in found.items()
    }
