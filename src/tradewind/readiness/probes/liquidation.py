"""positions-liquidate and liquidation-protection: only who is sick, no more than needed, in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from tradewind.core import commands
from tradewind.core.enums import Role, Side
from tradewind.core.hashing import account_id
from tradewind.core.native import Batch
from tradewind.core.records import codec
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.drill import Facts, case, drill
from tradewind.readiness.probes.exchange import MARKET, QUOTE, Send, honest, key_of
from tradewind.readiness.probes.frames_of import is_command, payload_of, replaced
from tradewind.readiness.probes.leveraged import (
    DOLLAR,
    LIQUIDATION_FEE_E6BP,
    MAX_LEVERAGE_E2,
    OPENING,
    UNIT,
    Leveraged,
)
from tradewind.readiness.probes.positions import (
    OTHER_SIDE,
    PPM,
    ceil_div,
    imbalance,
    initial_margin,
    taker_fee,
    value_of,
)
from tradewind.readiness.record import MeasuredValue

LOTS: Final = 100_000
BID_LOTS: Final = 5_000_000
MAINTENANCE_PPM: Final = ceil_div(ceil_div(100 * PPM, MAX_LEVERAGE_E2), 2)
FEE_PPM: Final = LIQUIDATION_FEE_E6BP // 10_000
STEP: Final = 50
TRADER: Final = key_of("trader")
DEEP_POCKETS: Final = 10**13
TARGET_E1: Final = 11
LARGE: Final = 100_000 * DOLLAR
TRANCHE_PERCENT: Final = 20
REST_WORTH_KEEPING: Final = 100 * DOLLAR


def maintenance_margin(lots: int, ticks: int) -> int:
    """Margin below which a position is liquidated, in micro-quote."""
    return ceil_div(value_of(lots, ticks) * MAINTENANCE_PPM, PPM)


def deposit_for(side: Side, lots: int, ticks: int, gap: int) -> int:
    """Collateral with which the equity of a position from the opening price is ``gap`` above its margin."""
    loss = lots * UNIT * abs(OPENING - ticks)
    deposit = maintenance_margin(lots, ticks) + loss + taker_fee(lots, OPENING) + gap
    assert deposit >= initial_margin(lots, OPENING, MAX_LEVERAGE_E2) + taker_fee(lots, OPENING), side
    return deposit


def smallest_step(lots: int, ticks: int, equity: int) -> int:
    """Least lots whose sale at the mark brings equity to 1.1 times the margin of the rest; at most all."""
    missing_e1 = TARGET_E1 * maintenance_margin(lots, ticks) - 10 * equity
    per_lot = ticks * UNIT * (TARGET_E1 * MAINTENANCE_PPM - 10 * FEE_PPM)
    step = min(lots, ceil_div(missing_e1 * PPM, per_lot))
    return lots if value_of(lots - step, ticks) < REST_WORTH_KEEPING else step


def _path(side: Side, ticks: int) -> range:
    """Prices from the opening to ``ticks``, against a position of this side."""
    down = side == Side.BUY
    return range(OPENING, ticks - 1, -STEP) if down else range(OPENING, ticks + 1, STEP)


@dataclass(frozen=True, slots=True)
class _Scene:
    """A position that prices go against."""

    side: Side
    lots: int
    ticks: int
    deposit: int
    bids: bool = True
    insurance: int = 0
    after_s: int = 4


def _play(scene: _Scene, send: Send) -> Leveraged:
    world = Leveraged(send)
    other, rescuer = world.trader("other", DEEP_POCKETS), world.trader("rescuer", DEEP_POCKETS)
    trader = world.trader("trader", scene.deposit)
    if scene.insurance:
        world.must(commands.build("FundInsurance", **world.of(rescuer), asset=QUOTE, amount=scene.insurance))
    world.must(world.order(other, OTHER_SIDE[scene.side], OPENING, scene.lots))
    world.must(world.order(trader, scene.side, OPENING, scene.lots))
    if scene.bids:
        # Close to where the price will be, so that a sale there fills at once.
        near = scene.ticks - STEP if scene.side == Side.BUY else scene.ticks + STEP
        world.must(world.order(rescuer, scene.side, near, BID_LOTS))
    for ticks in _path(scene.side, scene.ticks):
        world.wait(2, ticks)
    world.wait(scene.after_s, scene.ticks)
    return world


# ---- positions-liquidate --------------------------------------------------------------------------------

AFTER_OFFER_S: Final = 12
GAPS: Final = (DOLLAR, 1, 0, -1, -DOLLAR, -50 * DOLLAR)
ENDS: Final = {Side.BUY: OPENING - 600, Side.SELL: OPENING + 600}


def _judged(side: Side, gap: int, send: Send) -> dict[str, Any]:
    """One position at a known distance from its margin."""
    ticks = ENDS[side]
    # A fall this fast is a cascade: the step is offered to takers for two seconds before it sells (P5.9).
    scene = _Scene(side, LOTS, ticks, deposit_for(side, LOTS, ticks, gap), after_s=AFTER_OFFER_S)
    world = _play(scene, send)
    steps = [event for event in world.happened("LiquidationStepped") if event.filled_lots]
    handle = 3
    moved = [
        event for event in world.happened("PositionChanged") if event.account == handle and event.cause != 1
    ]
    last = [event.lots for event in world.happened("PositionChanged") if event.account == handle][-1]
    raised = all(step.ratio_ppm > step.ratio_before_ppm for step in steps)
    return {
        "side": side.name,
        "gap": gap,
        "liquidated": bool(steps or moved),
        "raised": raised or last == 0,
        "imbalance": imbalance(world),
        "below zero": sum(balance < 0 for balance in _equities(world, ticks)),
    }


def _equities(world: Leveraged, ticks: int) -> list[int]:
    """What each of the three is worth at this price: collateral plus position."""
    worth = []
    for handle, owner in enumerate((key_of("other"), key_of("rescuer"), TRADER), start=1):
        mine = [event for event in world.happened("PositionChanged") if event.account == handle]
        profit = mine[-1].lots * ticks * UNIT - mine[-1].cost if mine else 0
        worth.append((world.engine.balance(account_id(owner), 0, QUOTE, 0) or 0) + profit)
    return worth


def _observe_judged(context: ProbeContext, new_send: Callable[[Side], Send] = lambda side: honest) -> Facts:
    rows = [_judged(side, gap, new_send(side)) for side in (Side.BUY, Side.SELL) for gap in GAPS]
    return {"rows": rows}


def _inverted(side: Side) -> Send:
    """Who is above the margin by some amount counts as below it by the same, and the other way round."""
    even = deposit_for(side, LOTS, ENDS[side], 0)

    def send(engine: Any, frames: bytes, now_ns: int) -> Batch:
        if is_command(frames, "Deposit"):
            account = bytes(codec("Command").unpack(frames)["account"])
            amount = payload_of(frames, "Deposit")["amount"]
            if account == account_id(TRADER):
                mirrored = (2 * even - amount).to_bytes(8, "little", signed=True)
                frames = replaced(frames, "Deposit", "amount", mirrored)
        return honest(engine, frames, now_ns)

    return send


def _summarise_judged(facts: Facts) -> Mapping[str, MeasuredValue]:
    rows = facts["rows"]
    healthy = [row for row in rows if row["gap"] >= 0]
    sick = [row for row in rows if row["gap"] < 0]
    missed = [row for row in sick if not row["liquidated"] or not row["raised"] or row["below zero"]]
    return {
        "healthy_positions_liquidated": count(sum(row["liquidated"] for row in healthy), len(healthy)),
        "unhealthy_positions_missed": count(len(missed), len(sick)),
        "ledger_imbalance": MeasuredValue(max(row["imbalance"] for row in rows), "micro", len(rows)),
    }


judged = drill(
    "positions-liquidate",
    observe=_observe_judged,
    broken=lambda context: _observe_judged(context, _inverted),
    summarise=_summarise_judged,
    provenance="virtual",
)

# ---- liquidation-protection -----------------------------------------------------------------------------

DEEP: Final = 9_050
STAGES: Final = {
    "LiquidationStepped": 0,
    "LossCovered": 1,
    "BackstopTaken": 2,
    "AdlExecuted": 3,
    "LossSocialised": 4,
}
INSURED: Final = 1_000_000 * DOLLAR
BAND_BP: Final = 250


def _first_step(lots: int, gap: int, send: Send) -> dict[str, Any]:
    """The first step of a liquidation, beside what the smallest sufficient one would be."""
    deposit = deposit_for(Side.BUY, lots, DEEP, gap)
    world = _play(_Scene(Side.BUY, lots, DEEP, deposit), send)
    started = world.happened("LiquidationStarted")
    if not started:
        return {**case(f"{lots} lots, {gap} micro", "a step", "none"), "oversized": False}
    first = started[0]
    equity = deposit - taker_fee(lots, OPENING) - lots * UNIT * (OPENING - first.mark)
    allowed = smallest_step(lots, first.mark, equity)
    if value_of(lots, first.mark) > LARGE and 3 * equity >= 2 * maintenance_margin(lots, first.mark):
        allowed = min(allowed, lots * TRANCHE_PERCENT // 100)
    bankruptcy = first.mark - equity // (lots * UNIT)
    limit = max(bankruptcy, first.mark * (10_000 - BAND_BP) // 10_000)
    expected = {"equity": equity, "at most": True, "within the band": True}
    seen = {
        "equity": first.equity,
        "at most": first.lots <= allowed,
        "within the band": first.limit >= limit,
    }
    return {**case(f"{lots} lots, {gap} micro", expected, seen), "oversized": first.lots > allowed}


def _waterfall(insurance: int, send: Send) -> dict[str, Any]:
    """Nobody buys: what happens to the loss, stage by stage."""
    deposit = initial_margin(LOTS, OPENING, MAX_LEVERAGE_E2) + taker_fee(LOTS, OPENING)
    scene = _Scene(Side.BUY, LOTS, 9_000, deposit, bids=False, insurance=insurance, after_s=30)
    world = _play(scene, send)
    stages = [STAGES[type(event).__name__] for event in world.seen if type(event).__name__ in STAGES]
    closed = [event.lots for event in world.happened("PositionChanged") if event.account == 3][-1] == 0
    backward = sum(later < earlier for earlier, later in pairwise(stages))
    return {
        "insurance": insurance,
        "stages": stages,
        "backward": backward,
        "closed": closed,
        "needless": insurance >= INSURED and STAGES["AdlExecuted"] in stages,
        "skipped": STAGES["BackstopTaken"] not in stages and insurance > 0,
        "imbalance": imbalance(world),
    }


def _on_stale_price(send: Send) -> dict[str, Any]:
    """A position that is below its margin when the prices end is not touched until they come back."""
    lots = LOTS
    world = _play(
        _Scene(Side.BUY, lots, DEEP, deposit_for(Side.BUY, lots, DEEP, DOLLAR), bids=False, after_s=1), send
    )
    rescuer = key_of("rescuer")
    world.now_ns += 100_000_000
    world.quote(DEEP - STEP)
    world.wait(6)  # until the feed is stale
    before = len(world.happened("LiquidationStarted"))
    world.wait(30)
    code = world.ask(
        commands.build(
            "Liquidate",
            **world.by(Role.SYSTEM),
            target=account_id(TRADER),
            target_sub=0,
            market=MARKET,
        )
    ).code
    started = len(world.happened("LiquidationStarted")) - before
    world.wait(20, DEEP - STEP)
    world.run(world.order(rescuer, Side.BUY, DEEP - 2 * STEP, BID_LOTS))
    world.wait(60, DEEP - STEP)
    resumed = len(world.happened("LiquidationStarted")) > before
    return case("stale price", ["STALE_PRICE", True], [code, resumed]) | {"started": started}


def _observe_protection(context: ProbeContext, send: Send = honest) -> Facts:
    sizes = [_first_step(lots, gap, send) for lots in (LOTS, 2_000_000) for gap in (-1, -10 * DOLLAR)]
    falls = [_waterfall(insurance, honest) for insurance in (0, 1_000 * DOLLAR, INSURED)]
    return {"sizes": sizes, "falls": falls, "stale": _on_stale_price(honest)}


def _with_little(engine: Any, frames: bytes, now_ns: int) -> Batch:
    """The first breach takes all: the position has so little behind it that no smaller step is enough."""
    if is_command(frames, "Deposit"):
        account = bytes(codec("Command").unpack(frames)["account"])
        amount = payload_of(frames, "Deposit")["amount"]
        if account == account_id(TRADER):
            amount = amount * 3 // 4
            frames = replaced(frames, "Deposit", "amount", amount.to_bytes(8, "little"))
    return honest(engine, frames, now_ns)


def _summarise_protection(facts: Facts) -> Mapping[str, MeasuredValue]:
    sizes, falls, stale = facts["sizes"], facts["falls"], facts["stale"]
    oversized = [row for row in sizes if row["oversized"] or row["expected"] != row["seen"]]
    wrong = [
        row
        for row in falls
        if row["backward"] or row["needless"] or row["skipped"] or not row["closed"] or row["imbalance"]
    ]
    on_stale = int(stale["started"] > 0 or stale["expected"] != stale["seen"])
    return {
        "oversized_tranches": count(len(oversized), len(sizes)),
        "waterfall_order_violations": count(len(wrong) + on_stale, len(falls) + 1),
    }


protection = drill(
    "liquidation-protection",
    observe=_observe_protection,
    broken=lambda context: _observe_protection(context, _with_little),
    summarise=_summarise_protection,
    provenance="virtual",
)
