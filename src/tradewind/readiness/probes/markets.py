"""markets-update-parameters and markets-create: what an operator asks for is what the market then is."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tradewind.core import commands
from tradewind.core.engine import Grant
from tradewind.core.enums import MarketKind, Role
from tradewind.core.errors import InvalidField
from tradewind.core.events import Event, decode_events
from tradewind.core.native import Batch, JournalReader, Node
from tradewind.core.records import codec
from tradewind.node.projections.directory import MarketsView
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.drill import Facts, drill, ratio
from tradewind.readiness.probes.exchange import (
    DAY_NS,
    STAFF,
    START_NS,
    Answer,
    Exchange,
    Send,
    genesis,
    honest,
    key_of,
)
from tradewind.readiness.probes.leveraged import NO_FEED
from tradewind.readiness.record import MeasuredValue

MAX_MICRO: Final = 4 * 10**18
# The published range of every parameter that may be updated; the upper ends of a pair must hold together.
RANGES: Final[Mapping[str, tuple[int, int]]] = {
    "band_bp": (100, 9_000),
    "slippage_bp": (10, 500),
    "taker_fee_e6bp": (0, 100_000_000),
    "maker_fee_e6bp": (0, 100_000_000),
    "min_notional": (1, MAX_MICRO),
    "max_notional": (1, MAX_MICRO),
}
SECOND_APPROVER: Final = key_of("second approver")
TIME_LOCK_DAYS: Final = 7
PROPOSAL_SIZE: Final = 64
ENVELOPE: Final = ("market", "config_version", "field_mask")


@dataclass(frozen=True, slots=True)
class _Attempt:
    parameter: str
    value: int
    bound: int
    inside: bool

    @property
    def fields(self) -> dict[str, Any]:
        """The other notional goes along: the smallest may not exceed the largest."""
        fields: dict[str, Any] = {self.parameter: self.value}
        if self.parameter == "min_notional":
            fields["max_notional"] = MAX_MICRO
        elif self.parameter == "max_notional":
            fields["min_notional"] = 1
        return fields


def _attempts() -> Iterator[_Attempt]:
    for name, (low, high) in RANGES.items():
        for bound, step in ((low, -1), (high, 1)):
            yield _Attempt(name, bound, bound, True)
            yield _Attempt(name, bound + step, bound, False)


def _try(attempt: _Attempt, send: Send) -> dict[str, Any]:
    """One update of a fresh market, and what became of state and configuration."""
    exchange = Exchange(send, [Grant(SECOND_APPROVER, Role.APPROVER, START_NS + 300 * DAY_NS)])
    exchange.open_market()
    before = exchange.hash()
    try:
        frame = commands.update_market(
            principal=STAFF[Role.RISK],
            client_key=exchange.key(),
            market=0,
            config_version=1,
            **attempt.fields,
        )
    except InvalidField as error:
        # Below zero a value has no representation: it is refused before it becomes a command.
        seen = {"code": error.name, "bound": error.bound}
        return _row(attempt, seen, before == exchange.hash())
    answers, happened = exchange.run(frame)
    if attempt.inside and answers[0].code == "APPROVALS_MISSING" and exchange.hash() == before:
        answers, happened = _by_action(exchange, frame)
    updated = [event for event in happened if type(event).__name__ == "MarketUpdated"]
    applied = {name: getattr(updated[0], name) for name in attempt.fields} if updated else {}
    seen = {
        "code": answers[0].code,
        "bound": answers[0].bound if answers[0].code else None,
        "applied": applied == attempt.fields,
        "version": updated[0].config_version if updated else None,  # type: ignore[attr-defined]  # by name above
    }
    return _row(attempt, seen, before == exchange.hash())


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


def _row(attempt: _Attempt, seen: dict[str, Any], unchanged: bool) -> dict[str, Any]:
    if attempt.inside:
        passed = seen["code"] == "" and seen["applied"] and seen["version"] == 2 and not unchanged
    else:
        passed = seen["code"] != "" and seen["bound"] == attempt.bound and unchanged
    return {
        "parameter": attempt.parameter,
        "value": attempt.value,
        "inside": attempt.inside,
        "seen": seen,
        "unchanged": unchanged,
        "passed": passed,
    }


def _observe_update(context: ProbeContext, send: Send = honest) -> Facts:
    updatable = [name for name, _, _ in codec("UpdateMarket").fields if name not in ENVELOPE]
    return {"updatable": updatable, "attempts": [_try(attempt, send) for attempt in _attempts()]}


def _with_wider_band(context: ProbeContext) -> Facts:
    """The check of the band lets one unit more pass."""
    offset = next(o for name, o, _ in codec("Command").fields if name == "payload")
    offset += next(o for name, o, _ in codec("UpdateMarket").fields if name == "band_bp")
    too_high = RANGES["band_bp"][1] + 1

    def widened(engine: Any, frames: bytes, now_ns: int) -> Batch:
        if struct.unpack_from("<H", frames, offset)[0] == too_high:
            frames = frames[:offset] + struct.pack("<H", too_high - 1) + frames[offset + 2 :]
        return honest(engine, frames, now_ns)

    return _observe_update(context, widened)


def _summarise_update(facts: Facts) -> Mapping[str, MeasuredValue]:
    rows = facts["attempts"]
    good = [
        name
        for name in facts["updatable"]
        if [row for row in rows if row["parameter"] == name]
        and all(row["passed"] for row in rows if row["parameter"] == name)
    ]
    refused = [row for row in rows if not row["inside"]]
    return {
        "parameters_bound_tested": ratio(len(good), len(facts["updatable"])),
        "state_changes_on_reject": count(sum(not row["unchanged"] for row in refused), len(refused)),
    }


update_parameters = drill(
    "markets-update-parameters",
    observe=_observe_update,
    broken=_with_wider_band,
    summarise=_summarise_update,
    provenance="virtual",
    not_run=("the risk parameters of leveraged markets",),
)


PARAMETERS: Final = {"band_bp": 1_500, "slippage_bp": 50, "min_notional": 5_000_000, "max_notional": 10**12}


def _observe_create(context: ProbeContext, drop: str | None = None) -> Facts:
    """Creates a market of each kind through a node, and reads it back from the journal and from the view."""
    exchange = Exchange()
    node = Node.create(context.scratch / "journal", genesis().encode())
    exchange.engine = _OverNode(node)
    wanted: dict[str, dict[str, int]] = {}
    refused: dict[str, str] = {}
    try:
        exchange.open_market()
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
        for kind in MarketKind:
            fields = {"market_kind": int(kind), **PARAMETERS, "maker_fee_e6bp": 1_000_000}
            answer = exchange.ask(exchange.market_command(10 + kind, **fields))
            if answer.code:
                refused[kind.name] = answer.code
            else:
                wanted[kind.name] = {**fields, "market": answer.value, "base": 0, "quote": 1}
    finally:
        node.close()
    return {"refused": refused, "created": _read_back(context, wanted, drop)}


def _read_back(
    context: ProbeContext, wanted: dict[str, dict[str, int]], drop: str | None
) -> dict[str, list[str]]:
    """The fields that differ, by kind."""
    view, recorded = MarketsView(), dict[int, Any]()
    reader = JournalReader(context.scratch / "journal")
    while (batch := reader.next()) is not None:
        for event in decode_events(batch):
            view.on_event(event)
            if type(event).__name__ == "MarketCreated":
                recorded[event.market] = event
    different: dict[str, list[str]] = {}
    for kind, fields in wanted.items():
        listed: Any = view.by_handle.get(fields["market"])
        pairs = [(f"journal {name}", getattr(recorded[fields["market"]], name, None), value)
                 for name, value in fields.items()]  # fmt: skip
        pairs += [(f"view {name}", getattr(listed, "kind" if name == "market_kind" else name, None), value)
                  for name, value in fields.items()]  # fmt: skip
        different[kind] = [
            name for name, seen, value in pairs if (None if drop and name.endswith(drop) else seen) != value
        ]
    return different


class _OverNode:
    """Lets the exchange talk to a node with journal instead of a bare engine."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def apply(self, frames: bytes, now_ns: int) -> Batch:
        """Commits the commands as one block."""
        return self.node.commit(frames, (), now_ns)


def _summarise_create(facts: Facts) -> Mapping[str, MeasuredValue]:
    created = facts["created"]
    tried = len(created) + len(facts["refused"])
    return {
        "kinds_verified": count(sum(not different for different in created.values()), tried),
        "mismatched_fields": count(sum(len(different) for different in created.values()), tried),
    }


create = drill(
    "markets-create",
    observe=_observe_create,
    broken=lambda context: _observe_create(context, drop="min_notional"),
    summarise=_summarise_create,
    provenance="virtual",
    not_run=("reading back through the API",),
)
