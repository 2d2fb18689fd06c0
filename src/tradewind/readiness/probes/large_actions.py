"""Actions that move more than $100,000 of insurance: two different keepers, or the exchange itself."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from tradewind.core import commands
from tradewind.core.enums import AssetFlag, Role
from tradewind.core.hashing import account_id
from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probes.drill import case
from tradewind.readiness.probes.exchange import MARKET, SECOND_NS, STAFF, TICK_SIZE, Send, honest, key_of
from tradewind.readiness.probes.leveraged import (
    DOLLAR,
    KEEPERS,
    OPENING,
    SOURCES,
    UNIT,
    Image,
    Leveraged,
)
from tradewind.readiness.probes.positions import taker_fee

LARGE: Final = 100_000 * DOLLAR
LOTS: Final = 4_900_000
FALLEN: Final = OPENING * 6 // 10
STAKE: Final = 1_000 * DOLLAR
LIQUIDATE_DUTY: Final = 1
SUNK: Final = key_of("sunk")
FIRST, SECOND, THIRD = KEEPERS["good"], KEEPERS["removed"], KEEPERS["banned"]
STRANGER: Final = KEEPERS["unregistered"]
MAX_STEPS: Final = 400


@cache
def _sunk(deficit: int) -> Image:
    """A long position of $490,000 whose owner lacks ``deficit`` micro-dollars once the price has fallen."""
    world = Leveraged()
    token = world.must(
        commands.register_asset(**world.by(Role.OPERATOR), symbol="TOKEN", asset_flags=AssetFlag.STAKE)
    ).value
    for keeper in (FIRST, SECOND, THIRD):
        world.must(world.deposit(world.open_account(keeper), token, 10 * STAKE))
        fields: dict[str, Any] = {"capabilities": LIQUIDATE_DUTY, "stake": STAKE}
        world.must(commands.build("RegisterKeeper", **world.of(keeper), **fields))
    world.open_account(STRANGER)
    loss = LOTS * UNIT * (OPENING - FALLEN)
    owner = world.trader("sunk", loss + taker_fee(LOTS, OPENING) - deficit)
    world.trade(owner, world.trader("deep pockets", 10**13), OPENING, LOTS)
    _fall(world)
    return world.image()


def _fall(world: Leveraged) -> None:
    """By 0.4 % each tenth of a second, without a tick in between: the exchange itself has not acted."""
    price = OPENING * TICK_SIZE
    for _ in range(MAX_STEPS):
        world.now_ns += SECOND_NS // 10
        price = max(price * 996 // 1_000, FALLEN * TICK_SIZE)
        for source in SOURCES:
            world.run(world.publication(source, price))
        if world.happened("MarkUpdated")[-1].mark == FALLEN:
            return
    raise CannotMeasureError(f"the mark did not fall to {FALLEN} ticks")


def _liquidate(world: Leveraged, who: bytes) -> bytes:
    common = world.by(Role.SYSTEM) if who == STAFF[Role.SYSTEM] else world.of(who)
    return commands.build("Liquidate", **common, target=account_id(SUNK), market=MARKET)


def _tried(world: Leveraged, who: bytes) -> list[Any]:
    """The refusal, whether the position changed, and whether the action waits for somebody else."""
    before, state = len(world.seen), world.hash()
    code = world.ask(_liquidate(world, who)).code
    kinds = [type(event).__name__ for event in world.seen[before:]]
    if code and world.hash() != state:
        code = f"{code}, and changed the state"
    return [code, "PositionChanged" in kinds, "KeeperActionPending" in kinds]


def _removed(world: Leveraged, keeper: bytes) -> None:
    world.must(commands.build("RemoveKeeper", **world.by(Role.OPERATOR), keeper=account_id(keeper)))


DONE: Final = ["", True, False]
WAITS: Final = ["", False, True]
ALONE: Final = ["SELF_APPROVAL", False, False]
NO_KEEPER: Final = ["KEEPER_NOT_REGISTERED", False, False]


def large_actions(send: Send) -> Iterator[dict[str, Any]]:
    """One alone, one twice, two, a second without standing, the exchange, a first removed meanwhile."""
    for name, deficit, people, expected in (
        ("exactly the limit, by one", LARGE, (FIRST,), [DONE]),
        ("above the limit, by one", LARGE + 1, (FIRST,), [WAITS]),
        ("above the limit, by one twice", LARGE + 1, (FIRST, FIRST), [WAITS, ALONE]),
        ("above the limit, by two", LARGE + 1, (FIRST, SECOND), [WAITS, DONE]),
        ("above the limit, the second is no keeper", LARGE + 1, (FIRST, STRANGER), [WAITS, NO_KEEPER]),
        ("above the limit, by the exchange", LARGE + 1, (STAFF[Role.SYSTEM],), [DONE]),
    ):
        world = Leveraged(send, _sunk(deficit))
        seen = [_tried(world, who) for who in people]
        yield {**case(name, expected, seen), "paid": _paid_early(world, expected)}
    world = Leveraged(honest, _sunk(LARGE + 1))
    seen = [_tried(world, FIRST)]
    _removed(world, FIRST)
    world.send = send
    seen += [_tried(world, who) for who in (SECOND, THIRD)]
    yield {
        **case("above the limit, the first is removed meanwhile", [WAITS, WAITS, DONE], seen),
        "paid": 0,
    }


def _paid_early(world: Leveraged, expected: list[list[Any]]) -> int:
    """Micro-units paid to keepers in a case in which nothing was to be done."""
    if DONE in expected:
        return 0
    return sum(event.amount for event in world.happened("KeeperRewarded"))
