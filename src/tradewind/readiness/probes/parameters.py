"""markets-update-parameters: every parameter at both of its bounds, and one unit beyond each of them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from tradewind.core import commands
from tradewind.core.engine import Grant
from tradewind.core.enums import MarketKind, Role
from tradewind.core.errors import InvalidField
from tradewind.core.events import Event, decode_events
from tradewind.core.hashing import account_id
from tradewind.core.native import Batch, JournalReader, Node
from tradewind.core.records import codec
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.drill import Facts, drill, ratio
from tradewind.readiness.probes.exchange import (
    DAY_NS,
    MARKET,
    QUOTE,
    STAFF,
    START_NS,
    Answer,
    Exchange,
    Send,
    genesis,
    honest,
)
from tradewind.readiness.probes.frames_of import is_command
from tradewind.readiness.probes.leveraged import FEED, NO_FEED, SECOND_PERSON, Image, Leveraged
from tradewind.readiness.record import MeasuredValue

MAX_MICRO: Final = 4 * 10**18
Ranges = Mapping[str, tuple[int, int]]
# The published range of every parameter that may be updated; the upper ends of a pair must hold together.
RANGES: Final[Ranges] = {
    "band_bp": (100, 9_000),
    "slippage_bp": (10, 500),
    "taker_fee_e6bp": (0, 100_000_000),
    "maker_fee_e6bp": (0, 100_000_000),
    "min_notional": (1, MAX_MICRO),
    "max_notional": (1, MAX_MICRO),
}
# The same of leveraged markets: leverage of 1 to 100, a size term of up to 1,000 ppm per root of a dollar.
RISK_RANGES: Final[Ranges] = {
    "max_leverage_e2": (100, 10_000),
    "size_k_ppm": (0, 1_000),
    "floor_mmf_ppm": (1_000, 500_000),
    "liquidation_fee_e6bp": (0, 500_000_000),
    "position_limit": (1, MAX_MICRO),
    "open_interest_cap": (1, MAX_MICRO),
    "impact_notional": (1, MAX_MICRO),
    "insurance_limit": (1, MAX_MICRO),
}
# What goes along with a value, so that only the value's own bound can stand in its way.
COMPANIONS: Final[Mapping[str, Mapping[str, int]]] = {
    "min_notional": {"max_notional": MAX_MICRO},
    "max_notional": {"min_notional": 1},
    # The floor of maintenance stays below entry margin, which is 1 over the largest leverage.
    "floor_mmf_ppm": {"max_leverage_e2": 100},
    "max_leverage_e2": {"floor_mmf_ppm": 1_000},
}
SECOND_APPROVER: Final = SECOND_PERSON[Role.APPROVER]
TIME_LOCK_DAYS: Final = 7
PROPOSAL_SIZE: Final = 64
ENVELOPE: Final = ("market", "config_version", "field_mask", "reserved")
EVENTS: Final = {"UpdateMarket": "MarketUpdated", "UpdateMarketRisk": "MarketRiskSet"}
PRICES: Final = {"tick_size": 1_000, "lot_size": 1_000}


@dataclass(frozen=True, slots=True)
class _Attempt:
    command: str
    parameter: str
    value: int
    bound: int
    inside: bool

    @property
    def fields(self) -> dict[str, int]:
        """The value and what has to go along with it."""
        return {self.parameter: self.value, **COMPANIONS.get(self.parameter, {})}


@dataclass(slots=True)
class _Subject:
    """A market that is updated: where it lives, and the version of its configuration."""

    exchange: Exchange
    market: int
    version: int


Subject = Callable[[Send], _Subject]


def _updatable(command: str) -> list[str]:
    """Fields of an update that name a parameter, in the order of their bits in the mask."""
    return [name for name, _, _ in codec(command).fields if name not in ENVELOPE]


def _attempts(command: str, ranges: Ranges) -> Iterator[_Attempt]:
    for name, (low, high) in ranges.items():
        for bound, step in ((low, -1), (high, 1)):
            yield _Attempt(command, name, bound, bound, True)
            yield _Attempt(command, name, bound + step, bound, False)


# ---- markets of every kind ------------------------------------------------------------------------------


def _spot(send: Send) -> _Subject:
    exchange = Exchange(send, [Grant(SECOND_APPROVER, Role.APPROVER, START_NS + 300 * DAY_NS)])
    exchange.open_market()
    return _Subject(exchange, MARKET, 1)


def _perpetual(send: Send) -> _Subject:
    subject = _spot(send)
    _register_feed(subject.exchange)
    frame = subject.exchange.market_command(2, market_kind=MarketKind.PERPETUAL, feed=FEED)
    return _Subject(subject.exchange, subject.exchange.must(frame).value, 1)


def _outcome(send: Send) -> _Subject:
    exchange = _spot(send).exchange
    return _Subject(exchange, exchange.must(_claims_market(exchange, 3, outcome_count=2)).value, 1)


def _distribution(send: Send) -> _Subject:
    exchange = _spot(send).exchange
    frame = _claims_market(exchange, 4, market_kind=int(MarketKind.DISTRIBUTION), outcome_count=2)
    return _Subject(exchange, exchange.must(frame).value, 1)


@cache
def _a_day_later() -> Image:
    """An active leveraged market whose last change is long enough ago for the next one."""
    world = Leveraged()
    world.wait_hours(25)
    return world.image()


def _active(send: Send) -> _Subject:
    # Its set-up has changed every risk parameter once.
    return _Subject(Leveraged(send, _a_day_later()), MARKET, 2)


SUBJECTS: Final[Mapping[str, tuple[Subject, str, Ranges]]] = {
    "spot": (_spot, "UpdateMarket", RANGES),
    "perpetual": (_perpetual, "UpdateMarket", RANGES),
    "outcome": (_outcome, "UpdateMarket", RANGES),
    "distribution": (_distribution, "UpdateMarket", RANGES),
    "new perpetual's risk": (_perpetual, "UpdateMarketRisk", RISK_RANGES),
    "active perpetual's risk": (_active, "UpdateMarketRisk", RISK_RANGES),
}


def _register_feed(exchange: Exchange) -> None:
    """A price feed for leveraged markets. Raises CannotMeasureError when it is refused."""
    exchange.must(
        commands.build(
            "RegisterFeed",
            principal=STAFF[Role.RISK],
            client_key=exchange.key(),
            symbol="BASE-QUOTE",
            quorum=2,
            interval_ms=1_000,
            max_confidence_ppm=10_000,
            max_deviation_bp=200,
            fallback=NO_FEED,
        )
    )


def _claims_market(exchange: Exchange, nonce: int, **fields: int) -> bytes:
    """CreateMarket whose claims settle in 90 days and pay the quote; of outcomes by default."""
    operator = STAFF[Role.OPERATOR]
    usual = {"market_kind": int(MarketKind.OUTCOME), "taker_fee_e6bp": 28_000_000, **PRICES}
    return commands.create_market(
        principal=operator,
        account=account_id(operator),
        client_key=exchange.key(),
        nonce=nonce,
        base=QUOTE,
        quote=QUOTE,
        settle_time_ns=exchange.now_ns + 90 * DAY_NS,
        **{**usual, **fields},
    )


# ---- one update -----------------------------------------------------------------------------------------


def _update(subject: _Subject, attempt: _Attempt) -> bytes:
    names = _updatable(attempt.command)
    values: dict[str, Any] = attempt.fields
    return commands.build(
        attempt.command,
        principal=STAFF[Role.RISK],
        client_key=subject.exchange.key(),
        market=subject.market,
        config_version=subject.version,
        field_mask=sum(1 << names.index(name) for name in values),
        **values,
    )


def _try(kind: str, make: Subject, attempt: _Attempt, send: Send) -> dict[str, Any]:
    """One update of a fresh market, and what became of state and configuration."""
    subject = make(send)
    exchange = subject.exchange
    before = exchange.hash()
    try:
        frame = _update(subject, attempt)
    except InvalidField as error:
        # Below zero a value has no representation: it is refused before it becomes a command.
        seen = {"code": error.name, "bound": error.bound}
        return _row(kind, attempt, seen, before == exchange.hash())
    answers, happened = exchange.run(frame)
    if attempt.inside and answers[0].code == "APPROVALS_MISSING" and exchange.hash() == before:
        answers, happened = _by_action(exchange, frame)
    seen = {
        "code": answers[0].code,
        "bound": answers[0].bound if answers[0].code else None,
        **_applied(attempt, subject, happened),
    }
    return _row(kind, attempt, seen, before == exchange.hash())


def _applied(attempt: _Attempt, subject: _Subject, happened: list[Event]) -> dict[str, Any]:
    """Whether the change's event has the values, one version later, and its place in the log."""
    events: list[Any] = [one for one in happened if type(one).__name__ == EVENTS[attempt.command]]
    if not events:
        return {"applied": False, "seq": None}
    values = {name: getattr(events[0], name) for name in attempt.fields}
    good = values == attempt.fields and events[0].config_version == subject.version + 1
    return {"applied": good and events[0].market == subject.market, "seq": events[0].seq}


def _by_action(exchange: Exchange, frame: bytes) -> tuple[list[Answer], list[Event]]:
    """What one person may not change: proposed, approved by two, and executed after the time-lock."""
    fields = codec("Command").unpack(frame)
    proposed = exchange.must(
        commands.build(
            "ProposeAction",
            principal=STAFF[Role.GOVERNOR],
            client_key=exchange.key(),
            action_kind=fields["kind"],
            action_op=fields["op"],
            config_version=0,
            payload=bytes(fields["payload"])[:PROPOSAL_SIZE],
        )
    ).value
    for approver in (STAFF[Role.APPROVER], SECOND_APPROVER):
        exchange.must(
            commands.build("ApproveAction", principal=approver, client_key=exchange.key(), action=proposed)
        )
    exchange.now_ns += TIME_LOCK_DAYS * DAY_NS
    exchange.must(commands.tick(principal=STAFF[Role.SYSTEM]))
    return exchange.run(
        commands.build(
            "ExecuteAction", principal=STAFF[Role.GOVERNOR], client_key=exchange.key(), action=proposed
        )
    )


def _row(kind: str, attempt: _Attempt, seen: dict[str, Any], unchanged: bool) -> dict[str, Any]:
    if attempt.inside:
        passed = seen["code"] == "" and seen["applied"] and bool(seen["seq"]) and not unchanged
    else:
        passed = seen["code"] != "" and seen["bound"] == attempt.bound and unchanged
    return {
        "market": kind,
        "parameter": attempt.parameter,
        "value": attempt.value,
        "inside": attempt.inside,
        "seen": seen,
        "unchanged": unchanged,
        "passed": passed,
    }


# ---- the log --------------------------------------------------------------------------------------------


class _OverNode:
    """Lets the exchange talk to a node with journal instead of a bare engine."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def apply(self, frames: bytes, now_ns: int) -> Batch:
        """Commits the commands as one block."""
        return self.node.commit(frames, (), now_ns)

    def state_hash(self) -> bytes:
        return self.node.state_hash()


def _journaled(context: ProbeContext) -> list[dict[str, Any]]:
    """Each accepted update of a market that is not open yet, where the journal has it, with which values."""
    exchange = Exchange()
    path = context.scratch / "parameters"
    node = Node.create(path, genesis().encode())
    exchange.engine = _OverNode(node)
    rows: list[dict[str, Any]] = []
    try:
        exchange.open_market()
        _register_feed(exchange)
        frame = exchange.market_command(2, market_kind=MarketKind.PERPETUAL, feed=FEED)
        subject = _Subject(exchange, exchange.must(frame).value, 1)
        attempts = [*_attempts("UpdateMarket", RANGES), *_attempts("UpdateMarketRisk", RISK_RANGES)]
        for attempt in [one for one in attempts if one.inside]:
            # A market changes at most once a day.
            exchange.now_ns += DAY_NS
            answers, happened = exchange.run(_update(subject, attempt))
            seen = {"code": answers[0].code, "seq": _applied(attempt, subject, happened)["seq"]}
            subject.version += not answers[0].code
            wanted = {**attempt.fields, "config_version": subject.version, "market": subject.market}
            rows.append({"parameter": attempt.parameter, **seen, "wanted": wanted})
    finally:
        node.close()
    recorded = _recorded(JournalReader(path))
    for row in rows:
        event: Any = recorded.get(row["seq"])
        row["journaled"] = {name: getattr(event, name, None) for name in row["wanted"]}
    return rows


def _recorded(reader: JournalReader) -> dict[int, Event]:
    """Updates of markets by their sequence number."""
    found: dict[int, Event] = {}
    while (batch := reader.next()) is not None:
        for event in decode_events(batch):
            if type(event).__name__ in EVENTS.values():
                found[event.seq] = event
    return found


def _observe(context: ProbeContext, send: Send = honest) -> Facts:
    rows = [
        _try(kind, make, attempt, send)
        for kind, (make, command, ranges) in SUBJECTS.items()
        for attempt in _attempts(command, ranges)
    ]
    names = {kind: _updatable(command) for kind, (_, command, _) in SUBJECTS.items()}
    return {"updatable": names, "attempts": rows, "journal": _journaled(context)}


def _with_wider_band(context: ProbeContext) -> Facts:
    """The check of the band lets one unit more pass."""
    offset = next(o for name, o, _ in codec("Command").fields if name == "payload")
    offset += next(o for name, o, _ in codec("UpdateMarket").fields if name == "band_bp")
    too_high = RANGES["band_bp"][1] + 1

    def widened(engine: Any, frames: bytes, now_ns: int) -> Batch:
        if is_command(frames, "UpdateMarket") and struct.unpack_from("<H", frames, offset)[0] == too_high:
            frames = frames[:offset] + struct.pack("<H", too_high - 1) + frames[offset + 2 :]
        return honest(engine, frames, now_ns)

    return _observe(context, widened)


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    rows, journal = facts["attempts"], facts["journal"]
    parameters = [(kind, name) for kind, names in facts["updatable"].items() for name in names]
    unjournaled = {row["parameter"] for row in journal if row["journaled"] != row["wanted"]}
    unjournaled |= {name for _, name in parameters} - {row["parameter"] for row in journal}

    def good(kind: str, name: str) -> bool:
        tried = [row["passed"] for row in rows if (row["market"], row["parameter"]) == (kind, name)]
        return len(tried) == 4 and all(tried) and name not in unjournaled  # two bounds, on and beyond

    refused = [row for row in rows if not row["inside"]]
    return {
        "parameters_bound_tested": ratio(sum(good(*one) for one in parameters), len(parameters)),
        "state_changes_on_reject": count(sum(not row["unchanged"] for row in refused), len(refused)),
    }


update_parameters = drill(
    "markets-update-parameters",
    observe=_observe,
    broken=_with_wider_band,
    summarise=_summarise,
    provenance="virtual",
)
