"""liquidation-cascade-prevention: a market sells no faster than its rate; nobody below the margin is left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from tradewind.core.enums import Side
from tradewind.core.events import decode_events
from tradewind.core.native import Batch
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.drill import Facts, drill
from tradewind.readiness.probes.exchange import SECOND_NS, Send, honest
from tradewind.readiness.probes.leveraged import DOLLAR, OPENING, UNIT, Leveraged
from tradewind.readiness.probes.liquidation import DEEP, DEEP_POCKETS, STEP, deposit_for, maintenance_margin
from tradewind.readiness.probes.positions import taker_fee, value_of
from tradewind.readiness.record import MeasuredValue

ACCOUNTS: Final = 12
LOTS: Final = 100_000
BID_LOTS: Final = 2_000_000
LEAST_RATE: Final = 10_000 * DOLLAR
LARGEST_RATE_PERCENT: Final = 8
LIQUIDATION_BREAKER: Final = 6


def _crash(send: Send) -> Leveraged:
    """Twelve positions of one side lose their margin on the way down, with buyers below."""
    world = Leveraged(send)
    short, buyer = world.trader("short", DEEP_POCKETS), world.trader("buyer", DEEP_POCKETS)
    for number in range(ACCOUNTS):
        gap = -(50 + 10 * number) * DOLLAR
        owner = world.trader(f"long {number}", deposit_for(Side.BUY, LOTS, DEEP, gap))
        world.trade(owner, short, OPENING, LOTS)
    for price in range(OPENING, DEEP - 1, -STEP):
        world.run(world.order(buyer, Side.BUY, price - STEP, BID_LOTS))
        world.wait(2, price)
    world.wait(90, DEEP)
    return world


def _breaches(world: Leveraged) -> int:
    """Steps that sold more than the market had left in their second, and seconds above the largest rate."""
    started = world.happened("LiquidationStarted")
    breaches: int = sum(event.lots * event.mark * UNIT > event.rate_left for event in started)
    # A bucket of one second that is full at first gives at most twice the rate in any second.
    largest = max(LEAST_RATE, value_of(ACCOUNTS * LOTS, OPENING) * LARGEST_RATE_PERCENT // 100)
    steps = [(event.time_ns, event.notional) for event in world.happened("LiquidationStepped")]
    for start_ns, _ in steps:
        sold = sum(notional for when_ns, notional in steps if 0 <= when_ns - start_ns < SECOND_NS)
        breaches += sold > 2 * largest
    return breaches


def _left_alone(world: Leveraged) -> list[int]:
    """Accounts that are below their margin at the last price and still hold what they held."""
    left = []
    for number in range(ACCOUNTS):
        handle = number + 3
        mine = [event for event in world.happened("PositionChanged") if event.account == handle]
        lots, realised = mine[-1].lots, sum(event.realised - event.funding_paid for event in mine)
        fees = sum(event.fee for event in world.happened("LiquidationStepped") if event.account == handle)
        deposit = deposit_for(Side.BUY, LOTS, DEEP, -(50 + 10 * number) * DOLLAR)
        collateral = deposit - taker_fee(LOTS, OPENING) + realised - fees
        equity = collateral + lots * DEEP * UNIT - mine[-1].cost
        if lots and equity < maintenance_margin(lots, DEEP):
            left.append(handle)
    return left


def _observe(context: ProbeContext, new_send: Callable[[], Send] = lambda: honest) -> Facts:
    world = _crash(new_send())
    return {
        "steps": len(world.happened("LiquidationStepped")),
        "breaker": any(event.breaker == LIQUIDATION_BREAKER for event in world.happened("BreakerTripped")),
        "breaches": _breaches(world),
        "left": _left_alone(world),
    }


def _halting() -> Send:
    """From the liquidation that trips the breaker on, nothing is due any more: time stands still."""
    halted_ns: int | None = None

    def send(engine: Any, frames: bytes, now_ns: int) -> Batch:
        nonlocal halted_ns
        batch = honest(engine, frames, now_ns if halted_ns is None else halted_ns)
        trips = [event for event in decode_events(batch) if type(event).__name__ == "BreakerTripped"]
        if halted_ns is None and any(getattr(event, "breaker", 0) == LIQUIDATION_BREAKER for event in trips):
            halted_ns = now_ns
        return batch

    return send


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    # A crash in which nothing was sold, or that tripped nothing, shows nothing.
    idle = int(facts["steps"] < ACCOUNTS or not facts["breaker"])
    return {
        "flow_cap_breaches": count(facts["breaches"], facts["steps"]),
        "solvency_check_gaps": count(len(facts["left"]) + idle, ACCOUNTS),
    }


cascade = drill(
    "liquidation-cascade-prevention",
    observe=_observe,
    broken=lambda context: _observe(context, _halting),
    summarise=_summarise,
    provenance="virtual",
    not_run=("the same crash without the cap: the engine has no way to sell without one",),
)
