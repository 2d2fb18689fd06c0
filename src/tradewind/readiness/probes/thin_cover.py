"""Withdrawals from a thinly covered platform: who waits, who does not, and that none makes coverage fall
below a half (protocol P7.5, P9.6, P9.10).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from tradewind.core import commands, native
from tradewind.core.enums import Line
from tradewind.readiness.probes.drill import case
from tradewind.readiness.probes.exchange import QUOTE, Send, honest, key_of
from tradewind.readiness.probes.leveraged import (
    DOLLAR,
    OPENING,
    UNIT,
    Image,
    Leveraged,
    image,
)

ADDRESS: Final = key_of("a listed address")
SETTLED_S: Final = 75
HALT_PPM: Final = 500_000
THIN_VAULT: Final = 300 * DOLLAR
STAKE: Final = 150 * DOLLAR
LOTS: Final = 10_000
FALLEN: Final = OPENING * 91 // 100
SMALL: Final = 10 * DOLLAR
HOLDER, SAVER = key_of("holder"), key_of("saver")
# One position of $200,000 in front of a vault of $11,000: with 11 % left, a fall of 30 % costs $38,000.
LARGE_VAULT: Final = 11_000 * DOLLAR
LARGE_LOTS: Final = 2_000_000
LARGE_STAKE: Final = 65_000 * DOLLAR
LARGE_LEFT: Final = 22_000 * DOLLAR


def _outward(world: Leveraged, owner: bytes, amount: int) -> bytes:
    """RequestWithdrawal of micro-quote to the owner's listed address."""
    return commands.request_withdrawal(**world.of(owner), asset=QUOTE, amount=amount, address_hash=ADDRESS)


def listing(world: Leveraged, owner: bytes) -> None:
    """Lists the address; it is usable a day later. Raises CannotMeasureError."""
    world.must(commands.list_address(**world.of(owner), asset=QUOTE, address_hash=ADDRESS))


def settle(world: Leveraged) -> None:
    """A day without prices, and valid prices again for as long as every hold takes."""
    world.wait_hours(25)
    world.wait(SETTLED_S, OPENING)


@cache
def _thin() -> Image:
    """A vault of $300; one with a position and much money behind it, one with money only."""
    world = Leveraged(image=image(THIN_VAULT))
    world.trader("holder", 20_000 * DOLLAR)
    world.trader("saver", 1_000 * DOLLAR)
    other = world.trader("other side", 20_000 * DOLLAR)
    for owner in (HOLDER, SAVER):
        listing(world, owner)
    settle(world)
    world.trade(HOLDER, other, OPENING, LOTS)
    world.wait(1, OPENING)
    return world.image()


def pairs_at_risk(world: Leveraged, number: int) -> None:
    """Traders of $1,000 long and short with $150 behind each: a move of 30 % leaves one side $150 short."""
    for pair in range(number):
        long = world.trader(f"long {pair}", STAKE + DOLLAR // 2)
        short = world.trader(f"short {pair}", STAKE + DOLLAR // 10)
        world.trade(long, short, OPENING, LOTS)
        world.wait(1, OPENING)


def _tried(world: Leveraged, owner: bytes) -> str:
    """What becomes of a small withdrawal at once."""
    before = len(world.seen)
    code = world.ask(_outward(world, owner, SMALL)).code
    kinds = [type(event).__name__ for event in world.seen[before:]]
    return code or next(kind for kind in kinds if kind.startswith("Withdrawal"))


def _fallen(world: Leveraged) -> None:
    """A fall that trips the coverage breaker: three long sides have lost $90 of their $150 each."""
    for ticks in range(OPENING, FALLEN, -20):
        world.wait(1, ticks)
    world.wait(5, FALLEN)


def _provide(world: Leveraged) -> None:
    """The vault grows far beyond what is at risk, for long enough that coverage is no longer short."""
    provider = world.trader("provider", 10_000 * DOLLAR)
    world.must(commands.build("DepositVault", **world.of(provider), amount=10_000 * DOLLAR))


def _states(send: Send) -> Iterator[dict[str, Any]]:
    """Who has a position and who has none, at 1.0, below 1.0 and below a half.

    Of several states the stricter cell counts (P7.5): below a half coverage is also below 1.0, so that
    who has no position waits too, until only the breaker's own halt is left.
    """
    gone, waits, halted = "WithdrawalReleased", "WithdrawalQueued", "BREAKER_ACTIVE"
    for name, pairs, fall, cover, expected in (
        ("coverage of 1.0", 2, False, False, [gone, gone]),
        ("coverage of 0.67", 3, False, False, [waits, waits]),
        ("coverage below a half", 3, True, False, [halted, waits]),
        ("covered again, within the halt", 3, True, True, [halted, gone]),
    ):
        world = Leveraged(honest, _thin())
        pairs_at_risk(world, pairs)
        if fall:
            _fallen(world)
        if cover:
            _provide(world)
            world.wait(400, FALLEN)
        world.send = send
        yield case(name, expected, [_tried(world, owner) for owner in (HOLDER, SAVER)])
    yield case("covered again: in order", [1, 2], _released_again(send))


def _released_again(send: Send) -> list[int]:
    """Tickets that waited for coverage, as they leave once the vault has grown."""
    world = Leveraged(honest, _thin())
    pairs_at_risk(world, 3)
    world.send = send
    for owner in (HOLDER, SAVER):
        world.ask(_outward(world, owner, SMALL))
    _provide(world)
    world.wait(400, OPENING)
    return [event.ticket for event in world.happened("WithdrawalReleased")]


def _at_risk(world: Leveraged, owner: bytes, lots: int) -> int:
    """Largest shortfall of a long position over falls of 5 to 30 %, its owner's money counted in full."""
    free = world.line(owner, Line.FREE)
    falls = (OPENING * UNIT * lots * percent // 100 for percent in (5, 10, 20, 30))
    return max(0, *(fall - free for fall in falls))


def _one_too_large(send: Send) -> dict[str, Any]:
    """Margin would let it leave, and coverage fall from nothing at risk to 0.29: it must not."""
    world = Leveraged(honest, image(LARGE_VAULT))
    owner = world.trader("large", LARGE_STAKE)
    listing(world, owner)
    settle(world)
    other = world.trader("other side", LARGE_STAKE)
    world.trade(owner, other, OPENING, LARGE_LOTS)
    world.wait(1, OPENING)
    world.send = send
    code = world.ask(_outward(world, owner, world.line(owner, Line.FREE) - LARGE_LEFT)).code
    world.wait(1, OPENING)
    vault = world.engine.system_balance(Line.VAULT_CASH, 0, QUOTE)
    ppm = native.coverage_ppm(vault, _at_risk(world, owner, LARGE_LOTS))
    covered = ppm is None or ppm >= HALT_PPM
    tripped = len(world.happened("BreakerTripped"))
    row = case("one that takes coverage below a half", True, covered)
    return {**row, "code": code, "coverage_ppm": ppm, "trips": tripped}


def short_of_cover(send: Send) -> list[dict[str, Any]]:
    """Every case; ``send`` is where a mutation breaks the path of the withdrawals."""
    return [*_states(send), _one_too_large(send)]
