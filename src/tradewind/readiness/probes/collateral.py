"""collateral-deposit and collateral-withdraw: money comes in once and never leaves a position bare."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import Any, Final

from tradewind.core import commands
from tradewind.core.enums import Line, Role, Side
from tradewind.core.native import Batch
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.drill import Facts, case, drill, held, ratio
from tradewind.readiness.probes.exchange import BASE, QUOTE, STAFF, Send, honest, key_of
from tradewind.readiness.probes.frames_of import is_command, payload_of, replaced
from tradewind.readiness.probes.leveraged import (
    BASE_WEIGHT_BP,
    COVER,
    DOLLAR,
    MAX_LEVERAGE_E2,
    OPENING,
    UNIT,
    Image,
    Leveraged,
    image,
)
from tradewind.readiness.probes.positions import RICH, initial_margin, lend, taker_fee
from tradewind.readiness.probes.thin_cover import ADDRESS, listing, settle, short_of_cover
from tradewind.readiness.record import MeasuredValue

AMOUNT: Final = 123_456_789
CAP: Final = 1_000
UNKNOWN_ASSET: Final = 99

# ---- collateral-deposit ---------------------------------------------------------------------------------


def _replays(send: Send) -> Iterator[dict[str, Any]]:
    """One reference comes again: the same, with another amount or account, after a restart."""
    for name, amount, other, restart in (
        ("same again", AMOUNT, False, False),
        ("another amount", 2 * AMOUNT, False, False),
        ("another account", AMOUNT, True, False),
        ("after a restart", AMOUNT, False, True),
    ):
        world = Leveraged(send)
        owner, friend = world.trader("owner", 0), world.trader("friend", 0)
        reference = hashlib.sha256(name.encode()).digest()
        account = world.of(owner)["account"]
        world.must(world.deposit(account, QUOTE, AMOUNT, reference))
        if restart:
            world = Leveraged(send, world.image())
        before = world.hash()
        target = world.of(friend)["account"] if other else account
        answer = world.ask(world.deposit(target, QUOTE, amount, reference))
        credited = world.line(owner, Line.FREE) + world.line(friend, Line.FREE)
        seen = [answer.code, world.hash() == before, credited]
        yield {
            **case(f"replay: {name}", ["DUPLICATE_DEPOSIT", True, AMOUNT], seen),
            "double": credited != AMOUNT,
        }


def _amounts(send: Send) -> Iterator[dict[str, Any]]:
    for name, asset, amount, code in (
        ("one micro-unit", QUOTE, 1, ""),
        ("an odd amount", QUOTE, AMOUNT, ""),
        ("zero", QUOTE, 0, "INVALID_AMOUNT"),
        ("negative", QUOTE, -AMOUNT, "INVALID_AMOUNT"),
        ("smallest number", QUOTE, -(2**63), "INVALID_AMOUNT"),
        ("unknown asset", UNKNOWN_ASSET, AMOUNT, "ASSET_NOT_FOUND"),
        ("the largest number", QUOTE, 2**63 - 1, "ABOVE_MAXIMUM"),
    ):
        world = Leveraged(send)
        owner = world.trader("owner", 0)
        before = world.hash()
        answer = world.ask(world.deposit(world.of(owner)["account"], asset, amount))
        changed = world.hash() != before
        seen = [answer.code, changed, world.line(owner, Line.FREE)]
        yield case(name, [code, not code, 0 if code else amount], seen)


def _cap(send: Send) -> Iterator[dict[str, Any]]:
    """An asset's cap holds over all accounts."""
    for name, last, code in (("up to the cap", CAP, ""), ("over the cap", CAP + 1, "ASSET_CAP_EXCEEDED")):
        world = Leveraged(send)
        asset = world.must(
            commands.register_asset(**world.by(Role.OPERATOR), symbol="CAPPED", deposit_cap=CAP)
        ).value
        first, second = world.trader("first", 0), world.trader("second", 0)
        world.must(world.deposit(world.of(first)["account"], asset, CAP // 2))
        answer = world.ask(world.deposit(world.of(second)["account"], asset, last - CAP // 2))
        yield case(name, code, answer.code)


def _haircut(send: Send) -> Iterator[dict[str, Any]]:
    """A unit of the other asset carries as many lots as its weighted value pays for, and no more."""
    amount = DOLLAR
    value = amount * OPENING // 100 * BASE_WEIGHT_BP // 10_000
    lots = max(
        lots
        for lots in range(1, 2 * value // initial_margin(1, OPENING, MAX_LEVERAGE_E2))
        if initial_margin(lots, OPENING, MAX_LEVERAGE_E2) + taker_fee(lots, OPENING) <= value
    )
    for name, size, code in (("within", lots, ""), ("one lot more", lots + 1, "INSUFFICIENT_MARGIN")):
        world = Leveraged(send)
        owner, maker = world.trader("owner", 0), world.trader("maker", RICH)
        world.must(world.deposit(world.of(owner)["account"], BASE, amount))
        world.must(world.order(maker, Side.SELL, OPENING, size))
        yield case(
            f"weighted collateral, {name}", code, world.ask(world.order(owner, Side.BUY, OPENING, size)).code
        )


def _observe_deposit(context: ProbeContext, send: Send = honest) -> Facts:
    return {
        "replays": list(_replays(send)),
        "cases": [*_amounts(send), *_cap(send), *_haircut(send)],
    }


def _crediting_again() -> Send:
    """A reference that was seen before is taken for a new one."""
    seen: set[bytes] = set()

    def send(engine: Any, frames: bytes, now_ns: int) -> Batch:
        if is_command(frames, "Deposit"):
            reference = bytes(payload_of(frames, "Deposit")["external_id"])
            if reference in seen:
                frames = replaced(frames, "Deposit", "external_id", hashlib.sha256(frames).digest())
            seen.add(reference)
        return honest(engine, frames, now_ns)

    return send


def _summarise_deposit(facts: Facts) -> Mapping[str, MeasuredValue]:
    cases = [*facts["replays"], *facts["cases"]]
    return {
        "double_credits": count(sum(row["double"] for row in facts["replays"]), len(facts["replays"])),
        "cases_passed": ratio(held(cases), len(cases)),
    }


deposit = drill(
    "collateral-deposit",
    observe=_observe_deposit,
    broken=lambda context: _observe_deposit(context, _crediting_again()),
    summarise=_summarise_deposit,
    provenance="virtual",
)

# ---- collateral-withdraw --------------------------------------------------------------------------------

OWNERS: Final = tuple(key_of(name) for name in ("ann", "ben", "cleo", "dan"))
EACH: Final = 100_000 * DOLLAR
LOTS: Final = 10_000
SMALL_VAULT: Final = 100_000 * DOLLAR
DAY_NS: Final = 24 * 3_600 * 10**9


@cache
def _listed(cover: int = COVER) -> Image:
    """Four owners with money and addresses that are a day old, in a market with valid prices."""
    world = Leveraged(image=image(cover))
    for owner, name in zip(OWNERS, ("ann", "ben", "cleo", "dan"), strict=True):
        world.trader(name, EACH)
        listing(world, owner)
    settle(world)
    return world.image()


def _ask_out(world: Leveraged, owner: bytes, amount: int, client_key: bytes | None = None) -> bytes:
    fields = world.of(owner)
    if client_key is not None:
        fields["client_key"] = client_key
    return commands.request_withdrawal(**fields, asset=QUOTE, amount=amount, address_hash=ADDRESS)


def _margin(send: Send) -> Iterator[dict[str, Any]]:
    """With a position: what may leave, computed from prices alone, leaves; one micro-unit more does not."""
    ann, ben = OWNERS[:2]
    for side in (Side.BUY, Side.SELL):
        for ticks in (OPENING - 50, OPENING, OPENING + 50):
            profit = (ticks - OPENING) * LOTS * UNIT * (1 if side == Side.BUY else -1)
            keep = initial_margin(LOTS, ticks, MAX_LEVERAGE_E2)
            # Profit on paper is not counted, a loss is; what leaves must also be there.
            equity = EACH // 2 - taker_fee(LOTS, OPENING) + min(profit, 0)
            # The engine keeps a micro-unit for the rounding of a weighted asset that leaves.
            for more in (-1, 1):
                world = Leveraged(honest, _listed())
                world.must(
                    commands.transfer(
                        **world.of(ann), to_sub=_second_sub(world, ann), asset=QUOTE, amount=EACH // 2
                    )
                )
                world.must(world.order(ben, Side.SELL if side == Side.BUY else Side.BUY, OPENING, LOTS))
                world.must(world.order(ann, side, OPENING, LOTS))
                world.wait(10, ticks)
                world.send = send
                before = world.hash()
                answer = world.ask(_ask_out(world, ann, equity - keep + more))
                expected = ["INSUFFICIENT_FREE_COLLATERAL", True] if more > 0 else ["", False]
                name = f"{side.name} at {ticks}, {'one more' if more > 0 else 'all that is free'}"
                yield case(name, expected, [answer.code, world.hash() == before])


def _second_sub(world: Leveraged, owner: bytes) -> int:
    world.must(commands.open_sub_account(**world.of(owner), index=1))
    return 1


def _debits(send: Send) -> Iterator[dict[str, Any]]:
    """A request, its confirmation and its cancellation come twice: the money leaves once."""
    ann = OWNERS[0]
    for end in ("settled", "returned", "repeated"):
        world = Leveraged(send, _listed())
        frame = _ask_out(world, ann, DOLLAR, world.key())
        ticket = world.must(frame).value
        world.ask(frame)
        if end != "repeated":
            for number in range(2):
                world.ask(
                    commands.confirm_withdrawal(
                        principal=STAFF[Role.SYSTEM],
                        ticket=ticket,
                        ok=end == "settled",
                        external_id=hashlib.sha256(bytes([number])).digest(),
                    )
                )
        free, pending = world.line(ann, Line.FREE), world.line(ann, Line.PENDING_WITHDRAWAL)
        expected = {
            "settled": [EACH - DOLLAR, 0],
            "returned": [EACH, 0],
            "repeated": [EACH - DOLLAR, DOLLAR],
        }[end]
        yield case(end, expected, [free, pending])


def _queue(send: Send) -> dict[str, Any]:
    """More than a quarter of custody is asked for: the rest waits in order and leaves in that order."""
    world = Leveraged(send, _listed(SMALL_VAULT))
    asked = []
    for owner, dollars in zip(OWNERS, (90_000, 50_000, 1, 30_000), strict=True):
        asked.append(world.must(_ask_out(world, owner, dollars * DOLLAR)).value)
    at_once = [event.ticket for event in world.happened("WithdrawalReleased")]
    world.wait_hours(80)
    released = [event.ticket for event in world.happened("WithdrawalReleased")]
    moments = {event.ticket: event.time_ns for event in world.happened("WithdrawalReleased")}
    within_a_day = 0
    amounts = {event.ticket: event.amount for event in world.happened("WithdrawalReleased")}
    for start in moments.values():
        window = [amounts[t] for t, moment in moments.items() if 0 <= moment - start < DAY_NS]
        within_a_day = max(within_a_day, sum(window))
    return {
        "asked": asked,
        "at once": at_once,
        "released": released,
        "within a day": within_a_day,
        # Custody is everything that was brought in: the owners' money and the vault's.
        "cap": (SMALL_VAULT + len(OWNERS) * EACH) // 4,
    }


def _observe_withdraw(context: ProbeContext, send: Send = honest) -> Facts:
    return {
        "margin": list(_margin(send)),
        "cover": short_of_cover(send),
        "debits": list(_debits(send)),
        "queue": _queue(send),
    }


def _before_the_debit(engine: Any, frames: bytes, now_ns: int) -> Batch:
    """Margin is tested as if what is asked for were still there."""
    if is_command(frames, "RequestWithdrawal"):
        lend(engine, frames, now_ns)
    return honest(engine, frames, now_ns)


def _summarise_withdraw(facts: Facts) -> Mapping[str, MeasuredValue]:
    margin, debits, queue = [*facts["margin"], *facts["cover"]], facts["debits"], facts["queue"]
    overtaken = sum(one > other for one, other in pairwise(queue["released"]))
    missing = set(queue["asked"]) - set(queue["released"])
    waited = queue["at once"] == queue["asked"][:1] and queue["within a day"] <= queue["cap"]
    return {
        "margin_breaches": count(len(margin) - held(margin), len(margin)),
        "double_debits": count(len(debits) - held(debits), len(debits)),
        "queue_order_violations": count(overtaken + len(missing) + (not waited), len(queue["asked"])),
    }


withdraw = drill(
    "collateral-withdraw",
    observe=_observe_withdraw,
    broken=lambda context: _observe_withdraw(context, _before_the_debit),
    summarise=_summarise_withdraw,
    provenance="virtual",
)
