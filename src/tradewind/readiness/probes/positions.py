"""positions-open and positions-close: exact margin on the way in, exact profit and loss on the way out."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tradewind.core import commands
from tradewind.core.enums import Line, Role, Side
from tradewind.core.events import decode_events
from tradewind.core.hashing import account_id
from tradewind.core.native import Batch
from tradewind.core.records import codec
from tradewind.readiness.probe import ProbeContext
from tradewind.readiness.probes.drill import Facts, case, drill, held, ratio
from tradewind.readiness.probes.exchange import MARKET, QUOTE, STAFF, Send, honest, key_of
from tradewind.readiness.probes.frames_of import is_command, payload_of
from tradewind.readiness.probes.leveraged import (
    DOLLAR,
    MAX_LEVERAGE_E2,
    OPENING,
    POSITION_LIMIT,
    TAKER_FEE_E6BP,
    UNIT,
    Leveraged,
)
from tradewind.readiness.record import MeasuredValue

PPM: Final = 1_000_000
RICH: Final = 10**13
OTHER_SIDE: Final = {Side.BUY: Side.SELL, Side.SELL: Side.BUY}


def ceil_div(amount: int, divisor: int) -> int:
    """The quotient, up."""
    return -(-amount // divisor)


def value_of(lots: int, ticks: int) -> int:
    """Notional in micro-quote."""
    return abs(lots) * ticks * UNIT


def taker_fee(lots: int, ticks: int) -> int:
    """The fee of a fill in micro-quote, up."""
    return ceil_div(value_of(lots, ticks) * TAKER_FEE_E6BP, 10**10)


def initial_margin(lots: int, ticks: int, leverage_e2: int) -> int:
    """Margin of a position without size term: its value over the leverage, fraction and amount rounded up."""
    return ceil_div(value_of(lots, ticks) * ceil_div(100 * PPM, leverage_e2), PPM)


def imbalance(world: Leveraged) -> int:
    """Largest sum, over assets, of all postings since the world was made: nothing appears or vanishes."""
    totals: defaultdict[int, int] = defaultdict(int)
    records: list[Any] = list(world.seen)
    for event in records:
        for posting in event.postings:
            totals[posting.asset] += posting.amount
    return max((abs(total) for total in totals.values()), default=0)


def positions(world: Leveraged) -> dict[tuple[int, int], Any]:
    """The last state of each position by account handle and sub-account."""
    return {(event.account, event.sub): event for event in world.happened("PositionChanged")}


# ---- positions-open -------------------------------------------------------------------------------------

MINIMUM_LOTS: Final = DOLLAR // (OPENING * UNIT)
TYPICAL_LOTS: Final = 12_345
MAXIMUM_LOTS: Final = POSITION_LIMIT // (OPENING * UNIT)


def _opening(
    send: Send, side: Side, lots: int, deposit: int, leverage_e2: int
) -> tuple[Leveraged, bytes, bytes]:
    """A world where the other side of the order rests, its trader, and the order."""
    world = Leveraged()
    maker = world.trader("maker", RICH)
    trader = world.trader("trader", deposit)
    if lots >= MINIMUM_LOTS:
        world.must(world.order(maker, OTHER_SIDE[side], OPENING, min(lots, MAXIMUM_LOTS)))
    world.send = send
    return world, trader, world.order(trader, side, OPENING, lots, leverage_e2=leverage_e2)


def _open(send: Send, side: Side, lots: int, leverage_e2: int) -> Iterator[dict[str, Any]]:
    """With exactly enough the position opens; with one micro-unit less nothing happens."""
    margin = initial_margin(lots, OPENING, leverage_e2 or MAX_LEVERAGE_E2)
    name = f"{side.name} {lots} lots at leverage {leverage_e2}"
    enough = margin + taker_fee(lots, OPENING)
    world, trader, order = _opening(send, side, lots, enough, leverage_e2)
    answer = world.ask(order)
    signed = lots if side == Side.BUY else -lots
    owned = [event.lots for event in world.happened("PositionChanged") if event.account == 2]
    seen = [answer.code, owned[-1:], world.line(trader, Line.FREE), imbalance(world)]
    yield {**case(f"{name}, enough", ["", [signed], margin, 0], seen), "error": 0}
    world, _, order = _opening(send, side, lots, enough - 1, leverage_e2)
    before = world.hash()
    answer = world.ask(order)
    seen = [answer.code, world.hash() == before]
    error = abs(answer.given - margin) + abs(answer.bound - (margin - 1))
    yield {**case(f"{name}, one less", ["INSUFFICIENT_MARGIN", True], seen), "error": error}


def _beyond(send: Send) -> Iterator[dict[str, Any]]:
    """One step beyond each limit of size and leverage."""
    for side in (Side.BUY, Side.SELL):
        for name, lots, leverage_e2, code in (
            ("below the smallest size", MINIMUM_LOTS - 1, 0, "ORDER_TOO_SMALL"),
            ("beyond the largest size", MAXIMUM_LOTS + 1, 0, "POSITION_TOO_LARGE"),
            ("below leverage 1", TYPICAL_LOTS, 99, "INVALID_LEVERAGE"),
            ("beyond the market's leverage", TYPICAL_LOTS, MAX_LEVERAGE_E2 + 1, "LEVERAGE_TOO_HIGH"),
        ):
            world, _, order = _opening(send, side, lots, RICH, leverage_e2)
            before = world.hash()
            answer = world.ask(order)
            seen = [answer.code, world.hash() == before]
            yield {**case(f"{side.name} {name}", [code, True], seen), "error": 0}


def _observe_open(context: ProbeContext, send: Send = honest) -> Facts:
    cases = [
        row
        for side in (Side.BUY, Side.SELL)
        for lots in (MINIMUM_LOTS, TYPICAL_LOTS, MAXIMUM_LOTS)
        for leverage_e2 in (100, 333, MAX_LEVERAGE_E2)
        for row in _open(send, side, lots, leverage_e2)
    ]
    return {"cases": [*cases, *_beyond(send)]}


def lend(engine: Any, frames: bytes, now_ns: int) -> None:
    """Puts money on the account of a command, so that a check of its margin passes."""
    loan = commands.deposit(
        principal=STAFF[Role.SYSTEM],
        account=bytes(codec("Command").unpack(frames)["account"]),
        asset=QUOTE,
        amount=RICH,
        external_id=hashlib.sha256(frames).digest(),
    )
    honest(engine, loan, now_ns)


def _lending_to_shorts(engine: Any, frames: bytes, now_ns: int) -> Batch:
    """The margin check of a short never fails: what is missing is there for the moment of the check."""
    if is_command(frames, "PlaceOrder") and payload_of(frames, "PlaceOrder")["side"] == Side.SELL:
        lend(engine, frames, now_ns)
    return honest(engine, frames, now_ns)


def _summarise_open(facts: Facts) -> Mapping[str, MeasuredValue]:
    cases = facts["cases"]
    return {
        "cases_passed": ratio(held(cases), len(cases)),
        "margin_error": MeasuredValue(max(row["error"] for row in cases), "micro", len(cases)),
    }


opening = drill(
    "positions-open",
    observe=_observe_open,
    broken=lambda context: _observe_open(context, _lending_to_shorts),
    summarise=_summarise_open,
    provenance="virtual",
)

# ---- positions-close ------------------------------------------------------------------------------------

HELD_LOTS: Final = 1_000
COLLATERAL: Final = 50 * DOLLAR
HOURS: Final = 25
ADDRESS: Final = key_of("a withdrawal address")
TRADER_HANDLE: Final = 1


@dataclass(frozen=True, slots=True)
class _Close:
    side: Side
    lots: int
    ticks: int

    @property
    def name(self) -> str:
        kind = {400: "part", HELD_LOTS: "whole"}.get(self.lots, "reversal")
        held_side = "long" if self.side == Side.BUY else "short"
        return f"{kind} of a {held_side} at {self.ticks}"


def _expected(close: _Close) -> dict[str, int]:
    """Lots, cost and free balance after the close, from the prices alone."""
    sign = 1 if close.side == Side.BUY else -1
    reduced = min(close.lots, HELD_LOTS)
    realised = sign * reduced * (close.ticks - OPENING) * UNIT
    lots = sign * (HELD_LOTS - close.lots)
    entry = OPENING if close.lots <= HELD_LOTS else close.ticks
    fees = taker_fee(HELD_LOTS, OPENING) + taker_fee(close.lots, close.ticks)
    return {
        "lots": lots,
        "cost": lots * entry * UNIT,
        "free": COLLATERAL - fees + realised,
        "open interest": 0,
        "imbalance": 0,
    }


def _closed(close: _Close, send: Send) -> dict[str, Any]:
    world = Leveraged(send)
    trader, maker = world.trader("trader", COLLATERAL), world.trader("maker", RICH)
    world.must(commands.list_address(**world.of(trader), asset=QUOTE, address_hash=ADDRESS))
    back = OTHER_SIDE[close.side]
    world.must(world.order(maker, back, OPENING, HELD_LOTS))
    world.must(world.order(trader, close.side, OPENING, HELD_LOTS))
    world.must(world.order(maker, close.side, close.ticks, close.lots))
    world.must(world.order(trader, back, close.ticks, close.lots))
    mine = positions(world)[TRADER_HANDLE, 0]
    seen = {
        "lots": mine.lots,
        # The ledger's line is what was received for the position: the negative of its cost.
        "cost": -world.line(trader, Line.COST),
        "free": world.line(trader, Line.FREE),
        "open interest": sum(position.lots for position in positions(world).values()),
        "imbalance": imbalance(world),
    }
    expected = _expected(close)
    if close.lots == HELD_LOTS:
        seen["paid out"], expected["paid out"] = _pay_out(world, trader), expected["free"]
    return {**case(close.name, expected, seen), "imbalance": seen["imbalance"]}


def _pay_out(world: Leveraged, trader: bytes) -> int:
    """After a whole close everything may leave: micro-units that a withdrawal moved, 0 when it is refused."""
    world.wait_hours(HOURS)
    free = world.line(trader, Line.FREE)
    asked = world.ask(
        commands.request_withdrawal(**world.of(trader), asset=QUOTE, amount=free, address_hash=ADDRESS)
    )
    return free - world.line(trader, Line.FREE) if not asked.code else 0


def _observe_close(context: ProbeContext, new_send: Callable[[], Send] = lambda: honest) -> Facts:
    closes = [
        _Close(side, lots, ticks)
        for side in (Side.BUY, Side.SELL)
        for lots in (400, HELD_LOTS, 1_500)
        for ticks in (OPENING - 173, OPENING, OPENING + 173)
    ]
    return {"market": MARKET, "cases": [_closed(close, new_send()) for close in closes]}


def _forgiving() -> Send:
    """The margin comes free and the loss is not taken: what was lost is given back."""
    forgiven = 0

    def send(engine: Any, frames: bytes, now_ns: int) -> Batch:
        nonlocal forgiven
        batch = honest(engine, frames, now_ns)
        for event in decode_events(batch):
            fields: Any = event
            if type(event).__name__ != "PositionChanged" or fields.account != TRADER_HANDLE:
                continue
            if fields.realised < 0:
                forgiven += 1
                gift = commands.deposit(
                    principal=STAFF[Role.SYSTEM],
                    account=account_id(key_of("trader")),
                    asset=QUOTE,
                    amount=-fields.realised,
                    external_id=hashlib.sha256(forgiven.to_bytes(8, "little")).digest(),
                )
                honest(engine, gift, now_ns)
        return batch

    return send


def _summarise_close(facts: Facts) -> Mapping[str, MeasuredValue]:
    cases = facts["cases"]
    return {
        "cases_passed": ratio(held(cases), len(cases)),
        "ledger_imbalance": MeasuredValue(max(row["imbalance"] for row in cases), "micro", len(cases)),
    }


closing = drill(
    "positions-close",
    observe=_observe_close,
    broken=lambda context: _observe_close(context, _forgiving),
    summarise=_summarise_close,
    provenance="virtual",
)
