"""breakers-response-auto-halt and breakers-response-resume: what stops at once, and who lets it go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tradewind.core import commands
from tradewind.core.enums import ALL_MARKETS, OrderFlag, Role, Side
from tradewind.core.hashing import account_id
from tradewind.core.native import Batch
from tradewind.core.records import codec
from tradewind.node.projections.halts import BreakersView
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.breakers import (
    BUYER,
    CONGESTION,
    COVERAGE,
    HALF_COVERED,
    LIQUIDATION,
    OPEN_INTEREST,
    PRICE_FAST,
    PRICE_PLATFORM,
    PRICE_SLOW,
    RESTING,
    SECOND_MARKET,
    SELLER,
    SPOT,
    THIN_VAULT,
    VOLUME,
    WITNESS,
    Watched,
    half_covered,
)
from tradewind.readiness.probes.drill import Facts, drill
from tradewind.readiness.probes.exchange import MARKET, QUOTE, SECOND_NS, STAFF, TICK_SIZE, Send, honest
from tradewind.readiness.probes.frames_of import is_command, payload_of, replaced
from tradewind.readiness.probes.leveraged import OPENING, SECOND_PERSON, SOURCES
from tradewind.readiness.record import MeasuredValue

# ---- breakers-response-auto-halt ------------------------------------------------------------------------

OPERATIONS: Final = ("new", "reduce", "cancel", "deposit", "prices", "new elsewhere", "new spot")
LOCAL: Final = {
    "new": False,
    "cancel": True,
    "deposit": True,
    "prices": True,
    "new elsewhere": True,
    "new spot": True,
}
EVERYWHERE: Final = {**LOCAL, "new elsewhere": False, "new spot": False}


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of the halt-action matrix: what stays possible; what the auction decides is left out."""

    breaker: int
    scope: int
    allowed: Mapping[str, bool]


ROWS: Final = (
    _Row(PRICE_FAST, MARKET, LOCAL),
    _Row(PRICE_SLOW, MARKET, LOCAL),
    _Row(VOLUME, MARKET, LOCAL),
    _Row(OPEN_INTEREST, MARKET, LOCAL),
    _Row(LIQUIDATION, MARKET, {**LOCAL, "reduce": True}),
    _Row(CONGESTION, ALL_MARKETS, {**EVERYWHERE, "reduce": True}),
    _Row(PRICE_PLATFORM, ALL_MARKETS, EVERYWHERE),
    _Row(COVERAGE, ALL_MARKETS, {**EVERYWHERE, "reduce": True}),
)


def _positioned() -> Watched:
    """Buyer long and seller short in both leveraged markets, far from any margin."""
    world = Watched()
    for market in (MARKET, SECOND_MARKET):
        world.market = market
        world.print_at(OPENING, 100_000)
    world.market = MARKET
    return world


def _operation(world: Watched, name: str) -> bytes:
    """The command that stands for a column of the matrix."""
    buy = Side.BUY
    frames: Mapping[str, Callable[[], bytes]] = {
        "new": lambda: world.order(BUYER, buy, RESTING, 10_000),
        "reduce": lambda: world.order(SELLER, buy, RESTING, 10_000, order_flags=OrderFlag.REDUCE_ONLY),
        "cancel": lambda: commands.cancel_all(principal=WITNESS, account=account_id(WITNESS), market=MARKET),
        "deposit": lambda: world.deposit(account_id(WITNESS), QUOTE, 1),
        "prices": lambda: world.publication(SOURCES[0], OPENING * TICK_SIZE),
        "new elsewhere": lambda: world.order(BUYER, buy, RESTING, 10_000, market=SECOND_MARKET),
        "new spot": lambda: world.order(BUYER, buy, RESTING, 10_000, market=SPOT),
    }
    return frames[name]()


def _trip(world: Watched, breaker: int, scope: int) -> bytes:
    return commands.build(
        "TripBreaker", **world.by(Role.EMERGENCY), market=scope, breaker=breaker, reason="drill"
    )


def _row(row: _Row, send: Send) -> dict[str, Any]:
    """Trips and tries every operation, all in one batch."""
    world = _positioned()
    names = [name for name in OPERATIONS if name in row.allowed]
    world.send = send
    answers, _ = world.run(_trip(world, row.breaker, row.scope), *(_operation(world, name) for name in names))
    done = {name: answer.code == "" for name, answer in zip(names, answers[1:], strict=True)}
    return {
        "breaker": row.breaker,
        "tripped": answers[0].code,
        "allowed": dict(row.allowed),
        "done": done,
        "late": done["new"],
    }


def _by_price(send: Send) -> dict[str, Any]:
    """The same by a trade: the fill that goes too far is not made, what follows in the batch is halted."""
    world = _positioned()
    world.send = send
    price = OPENING * 105 // 100 + 1
    names = [name for name in OPERATIONS if name in LOCAL]
    answers, happened = world.run(
        world.order(SELLER, Side.SELL, price, 10_000),
        world.order(BUYER, Side.BUY, price, 10_000),
        *(_operation(world, name) for name in names),
    )
    trips = [event for event in happened if type(event).__name__ == "BreakerTripped"]
    done = {name: answer.code == "" for name, answer in zip(names, answers[2:], strict=True)}
    return {
        "breaker": PRICE_FAST,
        "tripped": "" if trips else "not tripped",
        "allowed": dict(LOCAL),
        "done": done,
        "late": done["new"],
    }


def _by_coverage(send: Send) -> dict[str, Any]:
    """The same by the Tick that finds the vault too small for what is at risk."""
    world = Watched(cover=THIN_VAULT)
    half_covered(world, 0)
    world.quote(HALF_COVERED - 1)
    world.send = send
    world.now_ns += SECOND_NS
    names = [name for name in OPERATIONS if name in EVERYWHERE]
    answers, happened = world.run(
        commands.tick(principal=STAFF[Role.SYSTEM]), *(_operation(world, name) for name in names)
    )
    trips: list[Any] = [event for event in happened if type(event).__name__ == "BreakerTripped"]
    done = {name: answer.code == "" for name, answer in zip(names, answers[1:], strict=True)}
    return {
        "breaker": COVERAGE,
        "tripped": "" if COVERAGE in [trip.breaker for trip in trips] else "not tripped",
        "allowed": dict(EVERYWHERE),
        "done": done,
        "late": done["new"],
    }


def _observe_halt(context: ProbeContext, send: Send = honest) -> Facts:
    return {"rows": [*(_row(row, send) for row in ROWS), _by_price(send), _by_coverage(send)]}


def _platform_wide(engine: Any, frames: bytes, now_ns: int) -> Batch:
    """A breaker of one market is taken for one of the whole platform."""
    size = codec("Command").size
    first, rest = frames[:size], frames[size:]
    if is_command(first, "TripBreaker") and payload_of(first, "Breaker")["market"] == MARKET:
        first = replaced(first, "Breaker", "market", ALL_MARKETS.to_bytes(4, "little"))
        first = replaced(first, "Breaker", "breaker", bytes([CONGESTION]))
    return honest(engine, first + rest, now_ns)


def _summarise_halt(facts: Facts) -> Mapping[str, MeasuredValue]:
    rows = facts["rows"]
    cells = [(row, name) for row in rows for name in row["allowed"]]
    outside = sum(row["allowed"][name] != row["done"][name] for row, name in cells)
    untripped = sum(row["tripped"] != "" for row in rows)
    return {
        "operations_blocked_outside_matrix": count(outside + untripped, len(cells)),
        "halt_latency_batches": count(max(int(row["late"]) for row in rows), len(rows)),
    }


auto_halt = drill(
    "breakers-response-auto-halt",
    observe=_observe_halt,
    broken=lambda context: _observe_halt(context, _platform_wide),
    summarise=_summarise_halt,
    provenance="virtual",
)

# ---- breakers-response-resume ---------------------------------------------------------------------------

FIRST, SECOND = STAFF[Role.RESUMER], SECOND_PERSON[Role.RESUMER]
PAUSER: Final = STAFF[Role.EMERGENCY]
LONG_HOURS: Final = 5
SETTLED_S: Final = 75
COVERED_S: Final = 300
FULL: Final = 2


def _pause(world: Watched, market: int) -> int:
    """A FULL pause until long after the trial; its id."""
    return world.must(
        commands.pause_market(
            **world.by(Role.EMERGENCY),
            market=market,
            level=FULL,
            until_ns=world.now_ns + 20 * 3_600 * SECOND_NS,
            reason="drill",
        )
    ).value


def _resume(world: Watched, who: bytes, market: int, pause: int) -> bytes:
    return commands.resume_market(principal=who, client_key=world.key(), market=market, pause_id=pause)


def _close(world: Watched, who: bytes, scope: int, breaker: int) -> bytes:
    return commands.build(
        "CloseBreaker",
        principal=who,
        client_key=world.key(),
        market=scope,
        breaker=breaker,
        reason="drill",
    )


def _open_again(world: Watched) -> bool:
    return world.ask(_operation(world, "new")).code == ""


def _singles(new_send: Callable[[], Send]) -> list[dict[str, Any]]:
    """One person, however often, or the one who stopped it, or time: nothing of these starts it again."""
    rows = []
    for name, people in (
        ("one", (FIRST,)),
        ("one twice", (FIRST, FIRST)),
        ("one three times", (FIRST, FIRST, FIRST)),
        ("who stopped it and one", (PAUSER, FIRST)),
        ("nobody, for hours", ()),
    ):
        world = Watched()
        pause = _pause(world, MARKET)
        world.send = new_send()
        codes = [world.ask(_resume(world, who, MARKET, pause)).code for who in people]
        if not people:
            world.wait_hours(LONG_HOURS)
            world.wait(SETTLED_S, OPENING)
        rows.append({"case": f"pause: {name}", "codes": codes, "resumed": _open_again(world)})
        world = Watched()
        world.must(_trip(world, PRICE_PLATFORM, ALL_MARKETS))
        world.send = new_send()
        codes = [world.ask(_close(world, who, ALL_MARKETS, PRICE_PLATFORM)).code for who in people]
        if not people:
            world.wait_hours(LONG_HOURS)
            world.wait(SETTLED_S, OPENING)
        rows.append({"case": f"breaker: {name}", "codes": codes, "resumed": _open_again(world)})
    return rows


def _conditions() -> list[dict[str, Any]]:
    """Two persons agree while something is not in order; and while everything is."""
    rows = []

    def both(world: Watched, pause: int, name: str, *, fit: bool) -> None:
        codes = [world.ask(_resume(world, who, MARKET, pause)).code for who in (FIRST, SECOND)]
        rows.append({"case": name, "codes": codes, "fit": fit, "resumed": "Resumed" in _kinds(world)})

    world = Watched()
    pause = _pause(world, MARKET)
    world.wait(70, OPENING)
    both(world, pause, "everything in order", fit=True)
    world = Watched()
    pause = _pause(world, MARKET)
    world.must(_trip(world, PRICE_SLOW, MARKET))
    both(world, pause, "a breaker of the market is open", fit=False)
    world = Watched()
    pause = _pause(world, MARKET)
    world.wait(10)
    both(world, pause, "the feed is stale", fit=False)
    world = Watched()
    pause = _pause(world, MARKET)
    world.wait(10)
    world.wait(30, OPENING)
    both(world, pause, "the feed is back, not for long enough", fit=False)
    world = Watched()
    world.must(_trip(world, PRICE_FAST, MARKET))
    world.wait(301, OPENING)
    codes = [world.ask(_close(world, who, MARKET, PRICE_FAST)).code for who in (FIRST, SECOND)]
    closed = "BreakerClosed" in _kinds(world)
    rows.append({"case": "its auction is running", "codes": codes, "fit": False, "resumed": closed})
    return [*rows, *_covered_again()]


def _covered_again() -> list[dict[str, Any]]:
    """Two persons agree to end the coverage breaker: still short, then covered, then covered for 300 s."""
    world = Watched(cover=THIN_VAULT)
    half_covered(world, 1)
    rows = []

    def close(name: str, *, fit: bool) -> None:
        codes = [world.ask(_close(world, who, ALL_MARKETS, COVERAGE)).code for who in (FIRST, SECOND)]
        closed = "BreakerClosed" in _kinds(world)
        rows.append({"case": name, "codes": codes, "fit": fit, "resumed": closed})

    world.wait(70, HALF_COVERED - 1)
    close("coverage is below 0.6", fit=False)
    provider = world.trader("provider", 10 * THIN_VAULT)
    world.must(commands.build("DepositVault", **world.of(provider), amount=10 * THIN_VAULT))
    world.wait(COVERED_S - 10, HALF_COVERED - 1)
    close("coverage is good, not for long enough", fit=False)
    world.wait(20, HALF_COVERED - 1)
    close("coverage has been good for 300 s", fit=True)
    return rows


def _kinds(world: Watched) -> set[str]:
    return {type(event).__name__ for event in world.seen}


def _observe_resume(context: ProbeContext, new_send: Callable[[], Send] = lambda: honest) -> Facts:
    return {"singles": _singles(new_send), "conditions": _conditions()}


def _two_in_one() -> Send:
    """The second approval of one person counts as that of another."""
    approvals = 0

    def send(engine: Any, frames: bytes, now_ns: int) -> Batch:
        nonlocal approvals
        if is_command(frames, "ResumeMarket") or is_command(frames, "CloseBreaker"):
            if bytes(codec("Command").unpack(frames)["principal"]) == FIRST:
                approvals += 1
            if approvals == 2:
                frames = replaced(frames, "Command", "principal", SECOND)
        return honest(engine, frames, now_ns)

    return send


def _summarise_resume(facts: Facts) -> Mapping[str, MeasuredValue]:
    singles, conditions = facts["singles"], facts["conditions"]
    wrong = [row for row in conditions if row["resumed"] != row["fit"]]
    return {
        "single_person_resumes": count(sum(row["resumed"] for row in singles), len(singles)),
        "resumes_with_failed_precondition": count(len(wrong), len(conditions)),
    }


resume = drill(
    "breakers-response-resume",
    observe=_observe_resume,
    broken=lambda context: _observe_resume(context, _two_in_one),
    summarise=_summarise_resume,
    provenance="virtual",
)

# ---- breakers-trigger-metrics ---------------------------------------------------------------------------

Trips = dict[tuple[int, int], int]


def _observe_counters(context: ProbeContext, *, from_answers: bool = False) -> Facts:
    """Trips by hand and by price; what the views count, beside the events of the log."""
    world, views = Watched(), BreakersView()
    asked: Trips = {}
    for breaker, scope in ((VOLUME, MARKET), (PRICE_SLOW, SECOND_MARKET), (PRICE_PLATFORM, ALL_MARKETS)):
        if not world.ask(_trip(world, breaker, scope)).code:
            asked[breaker, scope] = 1
    other = Watched()
    price = OPENING * 105 // 100 + 1
    other.print_at(OPENING)
    other.print_at(price)
    happened = [*world.seen, *other.seen]
    for event in happened:
        views.on_event(event)
    logged: Trips = {}
    for trip in [event for event in happened if type(event).__name__ == "BreakerTripped"]:
        fields: Any = trip
        logged[fields.breaker, fields.market] = logged.get((fields.breaker, fields.market), 0) + 1
    counted = {(one.breaker, one.market): one.trips for one in views.by_key.values()}
    if from_answers:
        counted = asked
    return {
        "logged": sorted([*key, number] for key, number in logged.items()),
        "counted": sorted([*key, number] for key, number in counted.items() if number),
    }


def _summarise_counters(facts: Facts) -> Mapping[str, MeasuredValue]:
    logged = {(breaker, scope): number for breaker, scope, number in facts["logged"]}
    counted = {(breaker, scope): number for breaker, scope, number in facts["counted"]}
    difference = sum(abs(logged.get(key, 0) - counted.get(key, 0)) for key in {*logged, *counted})
    return {"counter_vs_journal_difference": count(difference, len(logged))}


counters = drill(
    "breakers-trigger-metrics",
    observe=_observe_counters,
    broken=lambda context: _observe_counters(context, from_answers=True),
    summarise=_summarise_counters,
    provenance="virtual",
    not_run=("counters of clears and of false positives",),
)
