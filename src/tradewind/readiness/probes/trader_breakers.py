"""trader-initial-loss-breaker and trader-automatic-shutdown: a trader on an engine in memory loses money.

Its clock is virtual, and so is the evidence: it proves the control path, not the wall clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from tradewind.lab.preflight.exchange import SYMBOL, World, relaxed
from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probes.drill import Facts, drill
from tradewind.readiness.record import MeasuredValue
from tradewind.trader.marks import Marks
from tradewind.trader.risk.loss import next_day_ns
from tradewind.trader.risk.profile import load_profile
from tradewind.trader.risk.state import ACCOUNT, LatchError, TradingState
from tradewind.trader.strategy import PlaceIntent
from tradewind.venues.market_data import Known, Side
from tradewind.venues.protocol import TimeInForce

STEP_NS: Final = 50_000_000
SECOND_NS: Final = 1_000_000_000
MOST_NS: Final = 10 * SECOND_NS
CENT: Final = Decimal("0.01")
MOST_TRIED: Final = Decimal(60)


def _worth(world: World, equity: Decimal) -> None:
    """Lets the account be worth so much."""
    known = Known(equity, world.port.now_ns(), "probe")
    world.trader.marks.equity = lambda: known  # type: ignore[method-assign]


async def _open(**limits: Any) -> World:
    world = await (await World.open(profile=relaxed(**limits))).live()
    await world.session.sleep_ns(SECOND_NS)
    return world


async def _unrealised(at_cost: bool) -> dict[str, Any]:
    """A bought position whose price falls: what the loss of the day says before anything is sold."""
    first = load_profile("canary").limits
    world = await _open(daily_loss_quote=first.daily_loss_quote)
    if at_cost:
        _count_realised_only(world.trader.marks)
    intent = PlaceIntent(
        symbol=SYMBOL, side=Side.BUY, price_ticks=5_000_100, lots=20, post_only=False,
        time_in_force=TimeInForce.IOC,
    )  # fmt: skip
    denied, _ = await world.trader.submit(intent)
    if denied:
        raise CannotMeasureError(f"the position was denied: {denied[0]}")
    await world.session.sleep_ns(SECOND_NS)
    guard, marks = world.trader.loss, world.trader.marks
    before = _loss(world)
    tick = world.venue.markets[SYMBOL].setup.instrument.tick
    position = world.trader.ledger.positions[SYMBOL]
    fall = tick * 100_000
    real = marks.top

    def lower(symbol: str) -> Any:
        top = real(symbol)
        value = top.value  # type: ignore[union-attr]
        moved = msgspec.structs.replace(value, bid=value.bid - fall, ask=value.ask - fall)
        return (
            msgspec.structs.replace(top, value=moved)
            if isinstance(top, msgspec.Struct)
            else Known(moved, world.port.now_ns(), "probe")
        )

    marks.top = lower  # type: ignore[method-assign]
    after = _loss(world)
    return {
        "fee_counted": str(before), "grew_by": str(after - before), "fall": str(fall * position.quantity),
        "limit": str(guard.limit),
    }  # fmt: skip


def _loss(world: World) -> Decimal:
    equity = world.trader.marks.equity()
    loss = world.trader.loss.loss(equity.value) if isinstance(equity, Known) else None
    if loss is None:
        raise CannotMeasureError("the account has no mark")
    return loss


def _count_realised_only(marks: Marks) -> None:
    """Values what is held at its cost."""

    def equity() -> Known[Decimal]:
        total = marks.ledger.total(marks.currency)
        total += sum((one.cost for one in marks.ledger.positions.values()), Decimal(0))
        return Known(total, marks.venue.port.now_ns(), "probe")

    marks.equity = equity  # type: ignore[method-assign]


async def _breaker(at_cost: bool) -> Facts:
    first = load_profile("canary").limits
    world = await _open(daily_loss_quote=first.daily_loss_quote)
    start, lost, tolerated = Decimal(10_000), Decimal(0), Decimal(0)
    while lost <= MOST_TRIED and world.trader.state() is TradingState.NORMAL:
        tolerated, lost = lost, lost + Decimal("0.25")
        _worth(world, start - lost)
        await world.session.sleep_ns(SECOND_NS)
    halted = world.trader.state() is TradingState.HALTED
    now_ns, latched = world.port.now_ns(), True
    for moment, reason in ((now_ns, "too early"), (next_day_ns(now_ns) - 1, "too early"), (now_ns, "")):
        try:
            world.trader.states.clear(ACCOUNT, "daily_loss", reason=reason, actor="one", now_ns=moment)
            latched = False
        except LatchError:
            continue
    unrealised = await _unrealised(at_cost)
    return {"tolerated": str(tolerated), "halted": halted, "latched": latched, "unrealised": unrealised}


def _summarise_breaker(facts: Facts) -> Mapping[str, MeasuredValue]:
    moved = facts["unrealised"]
    included = Decimal(moved["grew_by"]) == Decimal(moved["fall"]) > 0 and Decimal(moved["fee_counted"]) > 0
    return {
        "max_daily_loss_usdt": MeasuredValue(float(facts["tolerated"]), "USDT", 1),
        "halt_enabled": MeasuredValue(int(facts["halted"] and facts["latched"]), "bool", 1),
        "unrealised_included": MeasuredValue(int(included), "bool", 1),
    }


breaker = drill(
    "trader-initial-loss-breaker",
    observe=lambda _: asyncio.run(_breaker(False)),
    broken=lambda _: asyncio.run(_breaker(True)),
    summarise=_summarise_breaker,
    provenance="virtual",
)


# ---- automatic shutdown ----------------------------------------------------------------------------------


async def _until_restricted(world: World) -> int | None:
    """Nanoseconds until new risk is refused; None when it never was."""
    begin_ns = world.port.now_ns()
    while world.port.now_ns() - begin_ns <= MOST_NS:
        if world.trader.state() is not TradingState.NORMAL:
            return world.port.now_ns() - begin_ns
        await world.session.sleep_ns(STEP_NS)
    return None


async def _losses(name: str, limit: Decimal, limits: dict[str, Any], factor: int) -> dict[str, Any]:
    """The largest loss that is tolerated, as a multiple of the limit, and how long the halt takes behind."""
    world = await _open(**limits)
    if factor != 1:
        _later(world, factor)
    tolerated = Decimal(0)
    for cents in (0, 50, 99, 100, 101, 150, 199, 200, 201):
        lost = limit * cents / 100
        _worth(world, Decimal(10_000) - lost)
        took_ns = await _until_restricted(world) if cents > 100 else None
        await world.session.sleep_ns(SECOND_NS + STEP_NS)
        if world.trader.state() is not TradingState.NORMAL:
            return {"name": name, "multiple": str(tolerated / limit), "took_ns": took_ns or 0}
        tolerated = lost
    return {"name": name, "multiple": str(tolerated / limit), "took_ns": None}


def _later(world: World, factor: int) -> None:
    """The trader acts on so many times the limit only."""
    guard, start = world.trader.loss, Decimal(10_000)
    tripped, total = guard.tripped, guard.total_tripped

    def part(equity: Decimal) -> Decimal:
        return start - (start - equity) / factor

    guard.tripped = lambda equity: tripped(part(equity))  # type: ignore[method-assign]
    guard.total_tripped = lambda equity: total(part(equity))  # type: ignore[method-assign]


async def _error() -> dict[str, Any]:
    """An error inside risk, at the first order that meets it."""
    world = await _open()
    world.trader.risk.behaviour = None  # type: ignore[assignment]
    await world.trader.submit(PlaceIntent(symbol=SYMBOL, side=Side.BUY, price_ticks=4_990_000, lots=10))
    return {"name": "error inside risk", "multiple": "1", "took_ns": await _until_restricted(world)}


async def _shutdown(factor: int) -> Facts:
    hundred = Decimal(100)
    rows = [
        await _losses("loss of the day", hundred, {"daily_loss_quote": hundred}, factor),
        await _losses("loss of the stage", hundred, {"total_loss_quote": hundred}, factor),
        await _error(),
    ]
    return {"rows": rows}


def _summarise_shutdown(facts: Facts) -> Mapping[str, MeasuredValue]:
    rows = facts["rows"]
    slowest = max(MOST_NS * 2 if row["took_ns"] is None else row["took_ns"] for row in rows)
    return {
        "shutdown_s": MeasuredValue(slowest / SECOND_NS, "s", len(rows)),
        "trigger_multiple_of_limit": MeasuredValue(
            float(max(Decimal(row["multiple"]) for row in rows)), "ratio", len(rows)
        ),
    }


shutdown = drill(
    "trader-automatic-shutdown",
    observe=lambda _: asyncio.run(_shutdown(1)),
    broken=lambda _: asyncio.run(_shutdown(2)),
    summarise=_summarise_shutdown,
    provenance="virtual",
    not_run=("breach of a resource limit and of the control path",),
)
