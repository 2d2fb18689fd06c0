"""markets-state-lifecycle: every command against every status of a market, and what each status blocks.

Six statuses are those of a leveraged market; the way of an outcome market leads over RESOLVING to PRUNED.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from tradewind.core import commands
from tradewind.core.enums import MarketKind, MarketStatus, OrderFlag, Role, Side
from tradewind.core.hashing import account_id, blake3
from tradewind.core.native import Batch
from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.drill import Facts, drill, ratio
from tradewind.readiness.probes.exchange import (
    DAY_NS,
    MARKET,
    QUOTE,
    SECOND_NS,
    STAFF,
    Send,
    honest,
    key_of,
)
from tradewind.readiness.probes.frames_of import is_command
from tradewind.readiness.probes.leveraged import DOLLAR, FEED, OPENING, SECOND_PERSON, Image, Leveraged
from tradewind.readiness.probes.positions import RICH
from tradewind.readiness.record import MeasuredValue

LONG, SHORT = key_of("long"), key_of("short")
LOTS: Final = 10_000
FULL: Final = 2
HOUR_S: Final = 3_600
SETTLED_S: Final = 75
NEW_MARKET: Final = 1
OUTCOME_MARKET: Final = 1
OUTCOME_UNIT: Final = 1_000
WINNER: Final = 1
BOND: Final = 2_000 * DOLLAR
CHALLENGE_H: Final = 2
RETENTION_H: Final = 48
STEPS: Final = ("pause", "resume", "close", "settle", "prices", "propose", "finalise", "prune")
INVALID: Final = "INVALID_TRANSITION"
KIND: Final = "INVALID_MARKET_KIND"
NO_RESOLUTION: Final = {"propose": KIND, "finalise": KIND, "prune": KIND}
# Status and command: the status after it, or the code with which it is refused.
TABLE: Final[Mapping[str, Mapping[str, str]]] = {
    "CREATED": {
        "pause": INVALID,
        "resume": INVALID,
        "close": INVALID,
        "settle": INVALID,
        "prices": "ACTIVE",
        **NO_RESOLUTION,
    },
    "ACTIVE": {
        "pause": "PAUSED",
        "resume": INVALID,
        "close": "CLOSE_ONLY",
        "settle": INVALID,
        "prices": "ACTIVE",
        **NO_RESOLUTION,
    },
    "PAUSED": {
        "pause": "PAUSED",
        "resume": "ACTIVE",
        "close": "CLOSE_ONLY",
        "settle": INVALID,
        "prices": "PAUSED",
        **NO_RESOLUTION,
    },
    "CLOSE_ONLY": {
        "pause": INVALID,
        "resume": INVALID,
        "close": "CLOSED",
        "settle": INVALID,
        "prices": "CLOSE_ONLY",
        **NO_RESOLUTION,
    },
    "CLOSED": {
        "pause": INVALID,
        "resume": INVALID,
        "close": INVALID,
        "settle": "SETTLED",
        "prices": "CLOSED",
        **NO_RESOLUTION,
    },
    "SETTLED": {
        "pause": INVALID,
        "resume": INVALID,
        "close": INVALID,
        "settle": INVALID,
        "prices": "SETTLED",
        **NO_RESOLUTION,
    },
}
# The same for a market of outcomes, in the statuses of its own and in those that lead there.
OUTCOME_TABLE: Final[Mapping[str, Mapping[str, str]]] = {
    "CLOSED": {
        "pause": INVALID,
        "resume": INVALID,
        "close": INVALID,
        "settle": KIND,
        "prices": "CLOSED",
        "propose": "RESOLVING",
        "finalise": "NOT_IN_RESOLUTION",
        "prune": INVALID,
    },
    "RESOLVING": {
        "pause": INVALID,
        "resume": INVALID,
        "close": INVALID,
        "settle": KIND,
        "prices": "RESOLVING",
        "propose": "ALREADY_PROPOSED",
        "finalise": "SETTLED",
        "prune": INVALID,
    },
    "SETTLED": {
        "pause": INVALID,
        "resume": INVALID,
        "close": INVALID,
        "settle": KIND,
        "prices": "SETTLED",
        "propose": "ALREADY_FINAL",
        "finalise": "ALREADY_FINAL",
        "prune": "PRUNED",
    },
    "PRUNED": {
        "pause": INVALID,
        "resume": INVALID,
        "close": INVALID,
        "settle": KIND,
        "prices": "PRUNED",
        "propose": "ALREADY_FINAL",
        "finalise": "NOT_IN_RESOLUTION",
        "prune": INVALID,
    },
}
# What an account may do in each status: new risk, reducing, cancelling.
ACTIONS: Final[Mapping[str, tuple[bool, bool, bool]]] = {
    "CREATED": (False, False, True),
    "ACTIVE": (True, True, True),
    "PAUSED": (False, False, True),
    "CLOSE_ONLY": (False, True, True),
    "CLOSED": (False, False, True),
    "RESOLVING": (False, False, True),
    "SETTLED": (False, False, True),
    "PRUNED": (False, False, True),
}
MOVES: Final = (
    "MarketActivated",
    "MarketClosing",
    "MarketClosed",
    "MarketSettled",
    "MarketResolving",
    "MarketResolved",
    "MarketPruned",
)


class Staged(Leveraged):
    """A leveraged market, or one of outcomes, in one of its statuses; ``pause`` is the last pause's id."""

    def __init__(self, status: str, send: Send = honest, *, outcomes: bool = False) -> None:
        super().__init__(honest, (_resolved() if outcomes else _staged())[status])
        self.market = NEW_MARKET if status == "CREATED" else MARKET
        self.outcomes = outcomes
        if outcomes:
            self.market = OUTCOME_MARKET
        self.status = status
        self.pause = 1
        self.send = send

    def follow(self) -> str:
        """The status by the events of this world."""
        status = self.status
        for event in self.seen:
            fields: Any = event
            if fields.market != self.market:
                continue
            name = type(event).__name__
            if name in MOVES:
                status = MarketStatus(fields.status).name
            elif name == "PauseSet":
                status = "PAUSED"
            elif name == "Resumed":
                status = "ACTIVE"
        return status


def _step(world: Leveraged, name: str, market: int, pause: int) -> list[bytes]:
    """The command or commands that ask for a transition."""
    return {
        "pause": lambda: [
            commands.pause_market(
                **world.by(Role.EMERGENCY),
                market=market,
                level=FULL,
                until_ns=world.now_ns + 20 * HOUR_S * SECOND_NS,
                reason="drill",
            )
        ],
        "resume": lambda: [
            commands.resume_market(principal=who, client_key=world.key(), market=market, pause_id=pause)
            for who in (STAFF[Role.RESUMER], SECOND_PERSON[Role.RESUMER])
        ],
        "close": lambda: [commands.close_market(**world.by(Role.OPERATOR), market=market)],
        "settle": lambda: [commands.build("SettleMarket", **world.by(Role.SYSTEM), market=market)],
        "propose": lambda: [
            commands.build(
                "ProposeResolution",
                **world.of(LONG),
                market=market,
                choice=WINNER,
                evidence_items=1,
                evidence=key_of("evidence"),
                bond=BOND,
            )
        ],
        "finalise": lambda: [commands.build("FinaliseResolution", **world.by(Role.SYSTEM), market=market)],
        "prune": lambda: [
            commands.build(
                "PruneMarket", **world.by(Role.SYSTEM), market=market, archive_hash=_archived(world, market)
            )
        ],
    }[name]()


def _archived(world: Leveraged, market: int) -> bytes:
    """Hash of a market's archive; of nothing where there is none."""
    return blake3(world.engine.market_archive(market) or b"")


@cache
def _staged() -> Mapping[str, Image]:
    """One world for each status, each with a position and a resting order from before."""
    world = Leveraged()
    images: dict[str, Image] = {}
    for name in ("long", "short"):
        world.trader(name, RICH)
    world.trade(LONG, SHORT, OPENING, LOTS)
    world.must(world.order(SHORT, Side.BUY, OPENING - 10, LOTS))
    world.must(world.market_command(2, market_kind=MarketKind.PERPETUAL, feed=FEED))
    images["CREATED"] = world.image()
    world.wait(SETTLED_S, OPENING)
    images["ACTIVE"] = world.image()
    for frame in _step(world, "pause", MARKET, 0):
        world.must(frame)
    world.wait(SETTLED_S, OPENING)
    images["PAUSED"] = world.image()
    for status in ("CLOSE_ONLY", "CLOSED"):
        for frame in _step(world, "close", MARKET, 0):
            world.must(frame)
        images[status] = world.image()
    world.wait(HOUR_S + SETTLED_S, OPENING)
    images["CLOSED"] = world.image()
    for frame in _step(world, "settle", MARKET, 0):
        world.must(frame)
    if not world.happened("MarketSettled"):
        raise CannotMeasureError("the market did not settle")
    images["SETTLED"] = world.image()
    return images


@cache
def _resolved() -> Mapping[str, Image]:
    """One world for each status behind the trading of an outcome market, in which nobody holds a claim."""
    world = Leveraged()
    images: dict[str, Image] = {}
    for name in ("long", "short"):
        world.trader(name, RICH)
    operator = STAFF[Role.OPERATOR]
    world.must(
        commands.create_market(
            principal=operator,
            account=account_id(operator),
            client_key=world.key(),
            nonce=7,
            base=QUOTE,
            quote=QUOTE,
            market_kind=MarketKind.OUTCOME,
            outcome_count=2,
            tick_size=OUTCOME_UNIT,
            lot_size=OUTCOME_UNIT,
            settle_time_ns=world.now_ns + DAY_NS,
        )
    )
    for step, hours, status in (
        ("close", 0, "CLOSED"),
        ("propose", CHALLENGE_H, "RESOLVING"),
        ("finalise", RETENTION_H, "SETTLED"),
        ("prune", 0, "PRUNED"),
    ):
        for frame in _step(world, step, OUTCOME_MARKET, 0):
            world.must(frame)
        world.wait_hours(hours)
        world.wait(SETTLED_S, OPENING)
        images[status] = world.image()
    return images


def _transition(status: str, step: str, send: Send, *, outcomes: bool = False) -> dict[str, Any]:
    world = Staged(status, send, outcomes=outcomes)
    expected = (OUTCOME_TABLE if outcomes else TABLE)[status][step]
    before = world.hash()
    if step == "prices":
        world.wait(2 * SETTLED_S, OPENING)
        return {"from": status, "step": step, "expected": expected, "seen": world.follow(), "clean": True}
    codes = [world.ask(frame).code for frame in _step(world, step, world.market, world.pause)]
    refused = next((code for code in codes if code), "")
    clean = not refused or world.hash() == before
    seen = refused or world.follow()
    return {"from": status, "step": step, "expected": expected, "seen": seen, "clean": clean}


def _actions(status: str, *, outcomes: bool = False) -> dict[str, Any]:
    """New risk, reducing and cancelling, each on a fresh copy."""
    price = OUTCOME_UNIT // 2 if outcomes else OPENING
    reducing = OrderFlag(0) if outcomes else OrderFlag.REDUCE_ONLY
    frames: tuple[Callable[[Staged], bytes], ...] = (
        lambda world: world.order(LONG, Side.BUY, price - 20, LOTS, market=world.market),
        lambda world: world.order(
            LONG, Side.SELL, price + 20, LOTS, market=world.market, order_flags=reducing
        ),
        lambda world: commands.cancel_all(principal=SHORT, account=account_id(SHORT), market=world.market),
    )
    seen = []
    for build in frames:
        world = Staged(status, outcomes=outcomes)
        seen.append(world.ask(build(world)).code == "")
    return {"from": status, "step": "actions", "expected": list(ACTIONS[status]), "seen": seen, "clean": True}


def _observe(context: ProbeContext, new_send: Callable[[str], Send] = lambda status: honest) -> Facts:
    rows = [_transition(status, step, new_send(status)) for status in TABLE for step in STEPS]
    rows += [_actions(status) for status in TABLE]
    rows += [
        _transition(status, step, new_send(status), outcomes=True)
        for status in OUTCOME_TABLE
        for step in STEPS
    ]
    rows += [_actions(status, outcomes=True) for status in OUTCOME_TABLE]
    return {"rows": rows, "statuses": [status.name for status in MarketStatus], "steps": list(STEPS)}


def _reopening(status: str) -> Send:
    """A settled market may be opened again."""

    def send(engine: Any, frames: bytes, now_ns: int) -> Batch:
        if status == "SETTLED" and is_command(frames, "ResumeMarket"):
            frames = commands.tick(principal=STAFF[Role.SYSTEM])
        return honest(engine, frames, now_ns)

    return send


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    rows = facts["rows"]
    pairs = {(row["from"], row["step"]) for row in rows if row["step"] != "actions"}
    wrong = [row for row in rows if row["expected"] != row["seen"] or not row["clean"]]
    return {
        "transition_pairs_tested": ratio(len(pairs), len(facts["statuses"]) * len(facts["steps"])),
        "unexpected_outcomes": count(len(wrong), len(rows)),
    }


lifecycle = drill(
    "markets-state-lifecycle",
    observe=_observe,
    broken=lambda context: _observe(context, _reopening),
    summarise=_summarise,
    provenance="virtual",
)
