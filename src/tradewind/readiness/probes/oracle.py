"""oracle-price-validation and oracle-integration-security: bad prices move nothing and stop new risk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tradewind.core import commands
from tradewind.core.enums import OrderFlag, PositionCause, Role, Side
from tradewind.core.events import decode_events
from tradewind.core.hashing import account_id
from tradewind.core.native import Batch
from tradewind.core.records import codec
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.drill import Facts, case, drill, held, ratio
from tradewind.readiness.probes.exchange import MARKET, SECOND_NS, STAFF, TICK_SIZE, Send, honest, key_of
from tradewind.readiness.probes.frames_of import is_command, replaced
from tradewind.readiness.probes.leveraged import (
    DOLLAR,
    OPENING,
    SOURCES,
    STATES,
    Leveraged,
)
from tradewind.readiness.probes.signatures import forged_prices
from tradewind.readiness.record import MeasuredValue

VALUE: Final = OPENING * TICK_SIZE
STALE_S: Final = 5
MAX_VALUE: Final = 4 * 10**18
PASSES: Final = 0
GATE_STALE, GATE_CONFIDENCE, GATE_OUTLIER = 3, 4, 5
STRANGER: Final = key_of("no source")
RECOVERY_S: Final = 75
LIQUIDATING: Final = {PositionCause.LIQUIDATION, PositionCause.ADL, PositionCause.TAKEOVER}

# ---- oracle-price-validation ----------------------------------------------------------------------------


def _refused(send: Send) -> list[dict[str, Any]]:
    """Publications that no rule lets in: each is refused with its code and leaves the state as it is."""
    cases = []
    for name, source, changes, code in (
        ("replayed number", SOURCES[0], {"source_seq": 1}, "PUBLISH_OUT_OF_ORDER"),
        ("before the last one", SOURCES[0], {"source_time_ns": -SECOND_NS}, "PUBLISH_OUT_OF_ORDER"),
        ("from the future", SOURCES[0], {"source_time_ns": SECOND_NS + 1}, "FUTURE_TIMESTAMP"),
        ("zero", SOURCES[0], {"value": 0}, "NON_POSITIVE_PRICE"),
        ("negative", SOURCES[0], {"value": -VALUE}, "NON_POSITIVE_PRICE"),
        ("smallest number", SOURCES[0], {"value": -(2**63)}, "NON_POSITIVE_PRICE"),
        ("too large", SOURCES[0], {"value": MAX_VALUE + 1}, "PARAMETER_OUT_OF_BOUNDS"),
        ("negative confidence", SOURCES[0], {"confidence": -1}, "PARAMETER_OUT_OF_BOUNDS"),
        ("locked", SOURCES[0], {"bid": VALUE, "ask": VALUE}, "CROSSED_SOURCE"),
        ("crossed", SOURCES[0], {"bid": VALUE + 1, "ask": VALUE}, "CROSSED_SOURCE"),
        ("unknown feed", SOURCES[0], {"feed": 9}, "FEED_NOT_FOUND"),
        ("no source of this feed", STAFF[Role.ORACLE], {}, "SOURCE_NOT_REGISTERED"),
        ("no source at all", STRANGER, {}, "PERMISSION_DENIED"),
    ):
        world = Leveraged(send)
        fields = dict(changes)
        if "source_time_ns" in fields:
            fields["source_time_ns"] += world.now_ns
        before = world.hash()
        answer = world.ask(world.publication(source, fields.pop("value", VALUE), **fields))
        cases.append(case(name, [code, True], [answer.code, world.hash() == before]))
    return cases


def _gated(send: Send) -> list[dict[str, Any]]:
    """Publications that are taken down and do not count: at the limit they pass, one step beyond not."""
    cases = []
    for name, value, changes, gate in (
        ("confidence at its limit", VALUE, {"confidence": VALUE // 100}, PASSES),
        ("confidence beyond", VALUE, {"confidence": VALUE // 100 + 1}, GATE_CONFIDENCE),
        ("deviation at its limit", VALUE * 105 // 100, {}, PASSES),
        ("deviation above", VALUE * 105 // 100 + 1, {}, GATE_OUTLIER),
        ("deviation below", VALUE * 95 // 100 - 1, {}, GATE_OUTLIER),
    ):
        world = Leveraged(send)
        world.must(world.publication(SOURCES[0], value, **changes))
        cases.append(case(name, [gate, VALUE], [world.gates.get(SOURCES[0]), world.index]))
    for name, age_ns, gate in (
        ("age at its limit", STALE_S * SECOND_NS, PASSES),
        ("age beyond", STALE_S * SECOND_NS + 1, GATE_STALE),
    ):
        world = Leveraged(send)
        world.now_ns += 2 * STALE_S * SECOND_NS
        world.must(world.publication(SOURCES[0], VALUE, source_time_ns=world.now_ns - age_ns))
        cases.append(case(name, gate, world.gates.get(SOURCES[0])))
    return cases


def _quorum(send: Send) -> list[dict[str, Any]]:
    """How many sources agree decides what may happen: reduce-only with one missing, nothing with two."""
    cases = []
    for publishing, state, opening, closing in (
        (3, "VALID", True, True),
        (2, "DEGRADED", False, True),
        (1, "NO_QUORUM", False, False),
    ):
        world = Leveraged(send)
        long, short = world.trader("long", 10_000 * DOLLAR), world.trader("short", 10_000 * DOLLAR)
        world.trade(long, short, OPENING, 1_000)
        for number, source in enumerate(SOURCES):
            wide = 0 if number < publishing else VALUE // 10
            world.run(world.publication(source, VALUE, confidence=wide))
        reducing = world.order(long, Side.SELL, OPENING + 1, 100, order_flags=OrderFlag.REDUCE_ONLY)
        closes = world.ask(reducing).code == ""
        opens = world.ask(world.order(long, Side.BUY, OPENING, 100)).code == ""
        seen = [world.feed_state, opens, closes]
        cases.append(case(f"{publishing} of 3 sources", [state, opening, closing], seen))
    world = Leveraged(send)
    world.now_ns += 2 * STALE_S * SECOND_NS
    world.tick()
    # After silence a single source speaks, with another price: the index must not follow it.
    world.run(world.publication(SOURCES[0], VALUE * 2))
    cases.append(case("one source alone", [VALUE, False], [world.index, world.feed_state == "VALID"]))
    return cases


def _observe_validation(context: ProbeContext, send: Send = honest) -> Facts:
    return {
        "refused": _refused(send),
        "gated": _gated(send),
        "quorum": _quorum(send),
        "signatures": forged_prices(context.scratch),
    }


def _agreeing(engine: Any, frames: bytes, now_ns: int) -> Batch:
    """What the first source says, the second is taken to have said too when it is silent."""
    if is_command(frames, "PublishPrice") and codec("Command").unpack(frames)["principal"] == SOURCES[0]:
        copy = replaced(frames, "Command", "principal", SOURCES[1])
        key = bytes(codec("Command").unpack(frames)["client_key"])
        honest(engine, replaced(copy, "Command", "client_key", key[::-1]), now_ns)
    return honest(engine, frames, now_ns)


def _summarise_validation(facts: Facts) -> Mapping[str, MeasuredValue]:
    must_not_pass = [*facts["refused"], *facts["gated"], *facts["signatures"]]
    cases = [*must_not_pass, *facts["quorum"]]
    invalid = [item for item in must_not_pass if item["expected"] != item["seen"]]
    moved = [item for item in facts["quorum"] if item["expected"] != item["seen"]]
    return {
        "invalid_prices_accepted": count(len(invalid) + len(moved), len(cases)),
        "fault_cases_passed": ratio(held(cases), len(cases)),
    }


validation = drill(
    "oracle-price-validation",
    observe=_observe_validation,
    broken=lambda context: _observe_validation(context, _agreeing),
    summarise=_summarise_validation,
    provenance="virtual",
)

# ---- oracle-integration-security ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Attack:
    """What a bad source does in one second, and the states one of which the feed must then have."""

    name: str
    act: Callable[[Leveraged], None]
    seconds: int
    states: tuple[str, ...]
    blocks: bool = True


CRASH: Final = OPENING // 2


def _stale(world: Leveraged) -> None:
    """All sources repeat an old reading of half the price."""
    then_ns = world.now_ns - (2 * STALE_S) * SECOND_NS
    for source in SOURCES:
        world.run(world.publication(source, CRASH * TICK_SIZE, source_time_ns=then_ns))


def _forged(world: Leveraged) -> None:
    """Strangers and members of the staff publish half the price; the sources go on."""
    for forger in (STRANGER, *STAFF.values()):
        for _ in range(2):
            world.run(world.publication(forger, CRASH * TICK_SIZE))
    world.quote(OPENING)


def _replayed(world: Leveraged) -> None:
    """Readings of half the price come under numbers that were used before; the sources go on."""
    for source in SOURCES:
        world.run(world.publication(source, CRASH * TICK_SIZE, source_seq=1))
    world.quote(OPENING)


def _jumping(world: Leveraged) -> None:
    world.quote(OPENING)
    world.run(world.publication(SOURCES[0], CRASH * TICK_SIZE))


def _crossed(world: Leveraged) -> None:
    for source in SOURCES:
        value = CRASH * TICK_SIZE
        world.run(world.publication(source, value, bid=value + 1, ask=value))


def _one_sided(world: Leveraged) -> None:
    """Only one source still speaks, of half the price."""
    world.quote(CRASH, sources=1)


def _silent(world: Leveraged) -> None:
    """Nobody says anything."""


OUT: Final = ("STALE", "NO_QUORUM")
ATTACKS: Final = (
    _Attack("stale", _stale, STALE_S + 1, OUT),
    _Attack("forged", _forged, STALE_S + 1, ("VALID",), blocks=False),
    _Attack("replayed", _replayed, STALE_S + 1, ("VALID",), blocks=False),
    _Attack("jumping", _jumping, 1, ("DEGRADED",)),
    _Attack("crossed", _crossed, STALE_S + 1, OUT),
    _Attack("one-sided", _one_sided, STALE_S + 1, OUT),
    _Attack("silent", _silent, STALE_S + 1, OUT),
)


def _liquidated(world: Leveraged) -> int:
    return sum(event.cause in LIQUIDATING for event in world.happened("PositionChanged"))


def _attack(attack: _Attack, send: Send) -> dict[str, Any]:
    """A leveraged position which the false price would liquidate; and the way back."""
    world = Leveraged(send)
    long, short = world.trader("long", 1_100 * DOLLAR), world.trader("short", 50_000 * DOLLAR)
    world.trade(long, short, OPENING, 100_000)
    for _ in range(attack.seconds):
        world.now_ns += SECOND_NS
        world.tick()
        attack.act(world)
        world.run(
            commands.build(
                "Liquidate",
                **world.by(Role.SYSTEM),
                target=account_id(long),
                target_sub=0,
                market=MARKET,
            )
        )
    opened = world.ask(world.order(short, Side.SELL, OPENING, 100)).code
    contained = {
        "state": world.feed_state in attack.states,
        "index": world.index == VALUE,
        "new risk": bool(opened) == attack.blocks,
        "position": not any(event.lots == 0 for event in world.happened("PositionChanged")),
    }
    liquidations = _liquidated(world)
    world.wait(RECOVERY_S, OPENING)
    recovered = [world.feed_state, world.ask(world.order(short, Side.SELL, OPENING, 100)).code]
    return {
        "attack": attack.name,
        "states": list(attack.states),
        "contained": contained,
        "liquidations": liquidations,
        "recovered": recovered,
    }


def _observe_attacks(context: ProbeContext, new_send: Callable[[], Send] = lambda: honest) -> Facts:
    return {"attacks": [_attack(attack, new_send()) for attack in ATTACKS]}


def _once_stale() -> Send:
    """A feed that was STALE or without quorum once takes no further publication."""
    stuck = False

    def send(engine: Any, frames: bytes, now_ns: int) -> Batch:
        nonlocal stuck
        if stuck and is_command(frames, "PublishPrice"):
            frames = replaced(frames, "PublishPrice", "value", (0).to_bytes(8, "little"))
        batch = honest(engine, frames, now_ns)
        states = [
            STATES[event.state]  # type: ignore[attr-defined]  # by name below
            for event in decode_events(batch)
            if type(event).__name__ == "FeedStateChanged"
        ]
        stuck = stuck or any(state in OUT for state in states)
        return batch

    return send


def _summarise_attacks(facts: Facts) -> Mapping[str, MeasuredValue]:
    rows = facts["attacks"]
    contained = [row for row in rows if all(row["contained"].values()) and row["recovered"] == ["VALID", ""]]
    return {
        "attack_cases_contained": ratio(len(contained), len(rows)),
        "liquidations_on_bad_price": count(sum(row["liquidations"] for row in rows), len(rows)),
    }


attacks = drill(
    "oracle-integration-security",
    observe=_observe_attacks,
    broken=lambda context: _observe_attacks(context, _once_stale),
    summarise=_summarise_attacks,
    provenance="virtual",
)
