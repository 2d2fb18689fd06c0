"""orders-cancel: an owner gets rid of an order in every halt state but FREEZE, and in that nobody does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Final

from tradewind.core import commands
from tradewind.core.enums import ALL_MARKETS, Line, Role, Side
from tradewind.core.hashing import account_id
from tradewind.core.native import Batch
from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.authority import raw_command
from tradewind.readiness.probes.drill import Facts, case, drill, held, ratio
from tradewind.readiness.probes.exchange import (
    BASE,
    MARKET,
    SECOND_NS,
    STAFF,
    Answer,
    Send,
    honest,
    key_of,
)
from tradewind.readiness.probes.frames_of import is_command
from tradewind.readiness.probes.leveraged import OPENING, SECOND_PERSON, Image, Leveraged, image
from tradewind.readiness.probes.thin_cover import THIN_VAULT, pairs_at_risk
from tradewind.readiness.record import MeasuredValue

ALICE, BOB = key_of("alice"), key_of("bob")
SPOT: Final = 1
# Below every price that could fill it or leave the band.
PRICE: Final = OPENING * 98 // 100
LOTS: Final = 20_000
PART: Final = 5_000
PARTIAL, FULL, FREEZE = 1, 2, 3
# Every category but the emergency's own commands, so that what was stopped can be started again.
ALL_CATEGORIES: Final = 0xFF & ~64
OF_MARKET: Final = {"B2a": 2, "B2b": 3, "B3": 5, "B4": 6, "B6": 8, "B7": 9}
OF_PLATFORM: Final = {"B1": 1, "B2c": 4, "B5": 7, "B6": 8}
WITH_AUCTION: Final = {"B2a": 301, "B2b": 901, "B3": 451, "B7": 451}
COVERAGE_PAIRS: Final = 3
WAYS: Final = ("one", "market", "all")

Halt = Callable[[Leveraged, int], None]


@cache
def _funded() -> Image:
    """A perpetual and a spot market behind a small vault; Alice with money, Bob with both assets."""
    world = Leveraged(image=image(THIN_VAULT))
    if world.must(world.market_command(2)).value != SPOT:
        raise CannotMeasureError("the second market has another number than expected")
    world.trader("alice", 10**12)
    account = account_id(world.trader("bob", 10**12))
    world.must(world.deposit(account, BASE, 10**12))
    return world.image()


def _pause(scope: int | None, level: int, categories: int = 0) -> Halt:
    """A pause of the order's market (None) or of the platform; by two where one may not."""

    def act(world: Leveraged, market: int) -> None:
        fields: dict[str, Any] = {
            "market": market if scope is None else scope,
            "level": level,
            "until_ns": world.now_ns + 3_600 * SECOND_NS,
            "reason": "drill",
            "categories": categories,
        }
        people = (STAFF[Role.EMERGENCY], SECOND_PERSON[Role.EMERGENCY])
        for person in people if level == FREEZE or categories else people[:1]:
            world.must(commands.pause_market(principal=person, client_key=world.key(), **fields))

    return act


def _trip(breaker: int, scope: int | None, wait_s: int = 0) -> Halt:
    """A breaker by hand; with ``wait_s`` its halt is over and its auction runs."""

    def act(world: Leveraged, market: int) -> None:
        where = market if scope is None else scope
        world.must(
            commands.build(
                "TripBreaker", **world.by(Role.EMERGENCY), market=where, breaker=breaker, reason="drill"
            )
        )
        if wait_s:
            world.wait(wait_s, OPENING)
            if not world.happened("BreakerHalfOpen"):
                raise CannotMeasureError(f"breaker {breaker} has no auction after {wait_s} s")

    return act


def _short(world: Leveraged, _: int) -> None:
    """Coverage below 1.0."""
    pairs_at_risk(world, COVERAGE_PAIRS)
    if not world.happened("CoverageShort"):
        raise CannotMeasureError("coverage is not below 1.0")


def _states() -> dict[str, Halt]:
    """Every state in which a cancel must be possible (P7.5), by name."""
    states: dict[str, Halt] = {"normal": lambda *_: None, "coverage below 1.0": _short}
    for where, scope in (("market", None), ("platform", ALL_MARKETS)):
        states[f"{where} PARTIAL"] = _pause(scope, PARTIAL)
        states[f"{where} FULL"] = _pause(scope, FULL)
        states[f"{where} FULL with every category"] = _pause(scope, FULL, ALL_CATEGORIES)
    states |= {f"market {name}": _trip(number, None) for name, number in OF_MARKET.items()}
    states |= {f"platform {name}": _trip(number, ALL_MARKETS) for name, number in OF_PLATFORM.items()}
    for name, wait_s in WITH_AUCTION.items():
        states[f"auction of {name}"] = _trip(OF_MARKET[name], None, wait_s)
    return states


def _prepared(send: Send, halt: Halt, market: int, *, partial: bool) -> tuple[Leveraged, int]:
    """An exchange with one open order of Alice, perhaps partly filled, and a halt state."""
    world = Leveraged(honest, _funded())
    order = world.must(world.order(ALICE, Side.BUY, PRICE, LOTS, market=market)).value
    if partial:
        world.must(world.order(BOB, Side.SELL, PRICE, PART, market=market))
    halt(world, market)
    world.send = send
    return world, order


def _ways(world: Leveraged, order: int, market: int) -> dict[str, bytes]:
    common: dict[str, Any] = {"principal": ALICE, "account": account_id(ALICE)}
    return {
        "one": commands.cancel_order(**common, client_key=world.key(), order=order),
        "market": commands.cancel_all(**common, client_key=world.key(), market=market),
        "all": commands.cancel_all(**common, client_key=world.key()),
    }


def _held(world: Leveraged) -> int:
    return world.line(ALICE, Line.HELD)


def _gone(world: Leveraged, order: int) -> bool:
    return [event.order for event in world.happened("OrderCancelled")] == [order]


def _cancelled(send: Send, name: str, halt: Halt, market: int) -> Iterator[dict[str, Any]]:
    """All three ways, of an untouched and of a partly filled order: it is cancelled, nothing stays held."""
    for partial in (False, True):
        for way in WAYS:
            world, order = _prepared(send, halt, market, partial=partial)
            held_before = _held(world)
            answer = world.ask(_ways(world, order, market)[way])
            seen = [answer.code, _gone(world, order), held_before > 0, _held(world)]
            kind = "spot" if market == SPOT else "perpetual"
            text = f"{way} of {kind} in {name}{', partly filled' if partial else ''}"
            yield {
                **case(text, ["", True, market == SPOT, 0], seen),
                "orphaned": _held(world) != 0,
            }


def _frozen(send: Send) -> Iterator[dict[str, Any]]:
    """FREEZE refuses every way; the order stays, with its money, and goes once the FREEZE has fallen back."""
    for where, scope in (("market", None), ("platform", ALL_MARKETS)):
        for way in WAYS:
            world, order = _prepared(send, _pause(scope, FREEZE), SPOT, partial=True)
            held_before = _held(world)
            answer = world.ask(_ways(world, order, SPOT)[way])
            seen = [answer.code, _gone(world, order), _held(world) == held_before]
            # All of an account at once: what is elsewhere goes, what is in a frozen market stays.
            refusal = "" if (where, way) == ("market", "all") else "FROZEN"
            yield {**case(f"{way} in {where} FREEZE", [refusal, False, True], seen), "orphaned": False}
            world.now_ns += 3_601 * SECOND_NS
            world.tick()
            later = world.ask(_ways(world, order, SPOT)[way])
            seen = [later.code, _gone(world, order), _held(world)]
            yield {
                **case(f"{way} behind {where} FREEZE", ["", True, 0], seen),
                "orphaned": _held(world) != 0,
            }


def _lost_race(send: Send) -> Iterator[dict[str, Any]]:
    """The fill comes first: the cancel is told that the order is not open, and the fill stays."""
    for way, expected in (("one", "ORDER_NOT_OPEN"), ("market", ""), ("all", "")):
        world, order = _prepared(send, lambda *_: None, SPOT, partial=False)
        frame = _ways(world, order, SPOT)[way]
        # Both in one batch: the fill is before the cancel by its place only.
        answers, happened = world.run(world.order(BOB, Side.SELL, PRICE, LOTS, market=SPOT), frame)
        fills = [event for event in happened if type(event).__name__ == "Trade"]
        filled: list[Answer] = answers
        seen = [filled[-1].code, _gone(world, order), len(fills), world.line(ALICE, Line.FREE, BASE) > 0]
        yield {
            **case(f"{way} loses the race", [expected, False, 1, True], seen),
            "orphaned": _held(world) != 0,
        }


def _observe(context: ProbeContext, send: Send = honest) -> Facts:
    cases = [
        row
        for name, halt in _states().items()
        for market in (MARKET, SPOT)
        for row in _cancelled(send, name, halt, market)
    ]
    return {"cases": [*cases, *_frozen(send), *_lost_race(send)]}


def _without_partial_cancels(context: ProbeContext) -> Facts:
    """Cancels of partly filled orders do not arrive."""

    def refusing(engine: Any, frames: bytes, now_ns: int) -> Batch:
        cancels = is_command(frames, "CancelOrder") or is_command(frames, "CancelAll")
        if cancels and (engine.balance(account_id(ALICE), 0, BASE, Line.FREE) or 0) > 0:
            frames = raw_command("CancelOrder", BOB, account_id(BOB), bytes(16), (1).to_bytes(8, "little"))
        return honest(engine, frames, now_ns)

    return _observe(context, refusing)


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    cases = facts["cases"]
    return {
        "cancel_cases_passed": ratio(held(cases), len(cases)),
        "orphaned_reservations": count(sum(row["orphaned"] for row in cases), len(cases)),
    }


cancel = drill(
    "orders-cancel",
    observe=_observe,
    broken=_without_partial_cancels,
    summarise=_summarise,
    provenance="virtual",
)
