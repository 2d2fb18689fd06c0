"""liquidation-cascade-prevention: a market sells no faster than its rate; nobody below the margin is left.

The crash without the cap is the same positions, book and prices beside so much healthy open interest that the
cap, which is a part of it (P5.4), does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from tradewind.core import commands
from tradewind.core.enums import Side
from tradewind.core.events import decode_events
from tradewind.core.hashing import account_id
from tradewind.core.native import Batch
from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.drill import Facts, drill
from tradewind.readiness.probes.exchange import MARKET, SECOND_NS, Send, honest
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
BOOKS: Final = (5_000, 20_000, 60_000)
"""Lots of each bid of three books below the crash, from one that is soon gone to one that takes all."""
OFFERED: Final = 1_000
BOOK_LEVELS: Final = 40
BOOK_STEP: Final = 10
HALF_SPREAD: Final = 5
HEALTHY_LOTS: Final = 15_000_000
FIRST_LOTS: Final = 900_000
LARGEST_POSITION: Final = 4_000_000
GROWTH_PERCENT: Final = 7
"""Less than what the breaker of open interest allows within 400 ms."""


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


def _add_healthy_interest(world: Leveraged) -> None:
    """Long and short positions that no price of the crash endangers, as fast as breakers let them grow."""
    pairs = room = interest = 0
    long = short = b""
    while interest < HEALTHY_LOTS:
        wanted = FIRST_LOTS if interest == 0 else interest * GROWTH_PERCENT // 100
        if room < wanted:
            pairs, room = pairs + 1, LARGEST_POSITION
            long = world.trader(f"healthy long {pairs}", DEEP_POCKETS)
            short = world.trader(f"healthy short {pairs}", DEEP_POCKETS)
        lots = min(wanted, room)
        world.trade(long, short, OPENING, lots)
        interest, room = interest + lots, room - lots
        world.wait(1, OPENING)


def _thin_crash(level_lots: int, *, capped: bool) -> Leveraged:
    """Twelve positions fall below their margin in one moment, above a book of so many lots a level."""
    world = Leveraged()
    if not capped:
        _add_healthy_interest(world)
    world.wait(60, OPENING)
    short, buyer = world.trader("short", DEEP_POCKETS), world.trader("buyer", DEEP_POCKETS)
    for number in range(ACCOUNTS):
        gap = -(60 + number) * DOLLAR
        owner = world.trader(f"long {number}", deposit_for(Side.BUY, LOTS, DEEP, gap))
        world.trade(owner, short, OPENING, LOTS)
    world.wait(5, OPENING)
    for level in range(BOOK_LEVELS):
        price = DEEP - HALF_SPREAD - BOOK_STEP * level
        world.must(world.order(buyer, Side.BUY, price, level_lots))
    for price in range(OPENING, DEEP - 1, -STEP):
        # Somebody offers a little above the index, so that the book has a middle.
        world.run(world.order(short, Side.SELL, price + HALF_SPREAD, OFFERED))
        world.wait(2, price)
        world.run(commands.cancel_all(principal=short, account=account_id(short), market=MARKET))
    world.run(world.order(short, Side.SELL, DEEP + HALF_SPREAD, OFFERED))
    world.wait(90, DEEP)
    return world


def _fastest(world: Leveraged) -> int:
    """Most micro-quote that was sold within a second."""
    steps = [(event.time_ns, event.notional) for event in world.happened("LiquidationStepped")]
    most: int = max(
        sum(notional for when_ns, notional in steps if 0 <= when_ns - start_ns < SECOND_NS)
        for start_ns, _ in steps
    )
    return most


def _against_uncapped() -> list[dict[str, int]]:
    rows = []
    for level_lots in BOOKS:
        worlds = [_thin_crash(level_lots, capped=capped) for capped in (True, False)]
        moves = [OPENING - min(event.mark for event in world.happened("MarkUpdated")) for world in worlds]
        fastest = [_fastest(world) for world in worlds]
        rows.append(
            {
                "level_lots": level_lots,
                "move": moves[0],
                "move_uncapped": moves[1],
                "fastest": fastest[0],
                "fastest_uncapped": fastest[1],
            }
        )
    return rows


def _observe(context: ProbeContext, new_send: Callable[[], Send] = lambda: honest) -> Facts:
    world = _crash(new_send())
    return {
        "steps": len(world.happened("LiquidationStepped")),
        "breaker": any(event.breaker == LIQUIDATION_BREAKER for event in world.happened("BreakerTripped")),
        "breaches": _breaches(world),
        "left": _left_alone(world),
        "crashes": _against_uncapped(),
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
    crashes = facts["crashes"]
    if not any(row["fastest_uncapped"] > row["fastest"] for row in crashes):
        raise CannotMeasureError("no crash sold faster without the cap: nothing is compared")
    return {
        "max_mark_move_ratio_vs_uncapped": MeasuredValue(
            max(row["move"] / row["move_uncapped"] for row in crashes), "ratio", len(crashes)
        ),
        "flow_cap_breaches": count(facts["breaches"], facts["steps"]),
        "solvency_check_gaps": count(len(facts["left"]) + idle, ACCOUNTS),
    }


cascade = drill(
    "liquidation-cascade-prevention",
    observe=_observe,
    broken=lambda context: _observe(context, _halting),
    summarise=_summarise,
    provenance="virtual",
)
