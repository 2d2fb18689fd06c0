"""What operators see of the connections to outside venues: keys, limits, isolators, clocks, control.

A connection is watched through the parts that it is made of; reading them changes nothing. What a connection
does not have is left out, never zero.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from tradewind.venues.frame_watch import FrameWatch
    from tradewind.venues.limits.gate import Gate
    from tradewind.venues.transport.clock import ClockGuard
    from tradewind.venues.transport.dead_man import Ladder
    from tradewind.venues.transport.isolators import Isolators
    from tradewind.venues.transport.lease import TradingLease
    from tradewind.venues.transport.resolver import ResolverRunner

DESK_BLOCKS = ("start", "halted", "stream", "journal", "doubt", "foreign", "difference", "fault")
"""Kinds of reasons why a desk takes no new orders (`trader.venue_fills.Block`)."""
Samples = list[tuple[tuple[str, ...], float | None]]
MAX_CONNECTIONS = 64


class LaneFacts(Protocol):
    """The part of `transport.signer.LaneFacts` that is shown. That module signs: it is not loaded here."""

    @property
    def outcomes(self) -> dict[tuple[str, str], int]:
        """By class and outcome."""

    @property
    def refused(self) -> dict[str, int]:
        """By reason."""

    @property
    def invalid_nonces(self) -> int:
        """Nonces that the venue refused."""

    @property
    def ahead_s(self) -> float | None:
        """Seconds ahead of the clock; None without nonces."""

    @property
    def sync_refills(self) -> int:
        """Requests that waited for the disk."""

    @property
    def quarantined(self) -> str:
        """Why the key is out of use."""

    @property
    def reuse(self) -> float | None:
        """Part of the requests on kept connections."""


class Lane(Protocol):
    """A signer lane."""

    def facts(self) -> LaneFacts:
        """Counters and gauges as they are now."""


class DeskCounts(Protocol):
    """The part of `trader.venue_fills.DeskStats` that is shown: counters of this process."""

    sent: int
    acknowledged: int
    rejected: int
    unknown: int
    resolved: int
    resolved_ns: int
    slowest_ns: int
    duplicate_fills: int
    held_fills: int
    missed_fills: int
    reconciliations: int


class OrderDesk(Protocol):
    """The part of `trader.venue_desk.VenueDesk` that is shown."""

    @property
    def stats(self) -> DeskCounts:
        """Counters."""

    @property
    def blocked(self) -> str:
        """Why no new order passes; "" when they do."""

    @property
    def block_kind(self) -> str:
        """One of `DESK_BLOCKS`."""

    @property
    def suspended(self) -> int:
        """Executions that are set aside."""

    @property
    def control_age_s(self) -> float | None:
        """Seconds since the trading path last proved itself; None before."""


class Levels(Protocol):
    """Any of the limit models."""

    def levels(self, now_ns: int) -> Mapping[str, tuple[Decimal, int]]:
        """Level and maximum by scope."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueConnection:
    """The parts of one connection. `key` is the key's fingerprint. Clocks are those of the parts."""

    venue: str
    account: str
    key: str = ""
    lane: Lane | None = None
    gate: Gate | None = None
    limits: Levels | None = None
    limits_clock_ns: Callable[[], int] = time.monotonic_ns
    isolators: Isolators | None = None
    clock: ClockGuard | None = None
    ladder: Ladder | None = None
    ladder_clock_ns: Callable[[], int] = time.monotonic_ns
    lease: TradingLease | None = None
    resolver: ResolverRunner | None = None
    watch: FrameWatch | None = None
    desk: OrderDesk | None = None


class VenueSamples(msgspec.Struct, frozen=True, kw_only=True):
    """Samples by name of the metric."""

    gauges: dict[str, Samples]
    counters: dict[str, Samples]


GAUGES = (
    "tradewind_nonce_ahead_seconds",
    "tradewind_key_quarantined",
    "tradewind_venue_connection_reuse_ratio",
    "tradewind_limit_budget_used_ratio",
    "tradewind_limit_waiting",
    "tradewind_isolator_blocked",
    "tradewind_clock_skew_seconds",
    "tradewind_control_age_seconds",
    "tradewind_lease_epoch",
    "tradewind_lease_age_seconds",
    "tradewind_orders_unknown",
    "tradewind_desk_blocked",
    "tradewind_desk_suspended_executions",
    "tradewind_desk_slowest_doubt_seconds",
)
COUNTERS = (
    "tradewind_nonce_rejects_total",
    "tradewind_nonce_disk_waits_total",
    "tradewind_stale_epoch_refused_total",
    "tradewind_venue_requests_total",
    "tradewind_venue_limited_total",
    "tradewind_isolator_opened_total",
    "tradewind_isolator_bypassed_total",
    "tradewind_uncontrolled_risk_seconds_total",
    "tradewind_orders_resolved_total",
    "tradewind_venue_unread_fields_total",
    "tradewind_venue_unknown_words_total",
    "tradewind_desk_orders_total",
    "tradewind_desk_doubts_total",
    "tradewind_desk_doubt_seconds_total",
    "tradewind_desk_executions_total",
    "tradewind_desk_reconciliations_total",
)


def samples_of(connections: Sequence[VenueConnection]) -> VenueSamples:
    """Every sample of these connections; at most 64 of them are shown."""
    found = VenueSamples(gauges={name: [] for name in GAUGES}, counters={name: [] for name in COUNTERS})
    for one in connections[:MAX_CONNECTIONS]:
        for name, labels, value in _rows(one):
            (found.counters if name.endswith("_total") else found.gauges)[name].append((labels, value))
    return found


Row = tuple[str, tuple[str, ...], float | None]


def _rows(one: VenueConnection) -> Iterator[Row]:
    yield from _lane(one)
    yield from _limits(one)
    yield from _isolators(one)
    yield from _desk(one)
    if one.clock is not None:
        offset = one.clock.offset()
        yield (
            "tradewind_clock_skew_seconds",
            (one.venue,),
            None if offset is None else -offset.offset_ns / 1e9,
        )
    if one.ladder is not None:
        now_ns = one.ladder_clock_ns()
        yield "tradewind_control_age_seconds", (one.account,), one.ladder.control_age_ns(now_ns) / 1e9
        lost_s = one.ladder.uncontrolled_ns / 1e9
        yield "tradewind_uncontrolled_risk_seconds_total", (one.account,), lost_s
    if one.lease is not None:
        yield "tradewind_lease_epoch", (one.account,), one.lease.epoch
        yield "tradewind_lease_age_seconds", (one.account,), one.lease.age_ns / 1e9
    if one.resolver is not None:
        yield "tradewind_orders_unknown", (one.venue,), one.resolver.running
        for kind, number in one.resolver.resolved.items():
            yield "tradewind_orders_resolved_total", (one.venue, kind.lower()), number
    if one.watch is not None:
        yield "tradewind_venue_unread_fields_total", (one.venue,), one.watch.unread.total()
        yield "tradewind_venue_unknown_words_total", (one.venue,), one.watch.strange.total()


def _desk(one: VenueConnection) -> Iterator[Row]:
    if one.desk is None:
        return
    whose, counts = (one.venue, one.account), one.desk.stats
    kind = str(one.desk.block_kind) if one.desk.blocked else ""
    for name in DESK_BLOCKS:
        yield "tradewind_desk_blocked", (*whose, name), float(name == kind)
    yield "tradewind_desk_suspended_executions", whose, one.desk.suspended
    # no doubt yet is no doubt of zero seconds
    slowest_s = counts.slowest_ns / 1e9 if counts.resolved else None
    yield "tradewind_desk_slowest_doubt_seconds", whose, slowest_s
    for outcome in ("sent", "acknowledged", "rejected", "unknown"):
        yield "tradewind_desk_orders_total", (*whose, outcome), getattr(counts, outcome)
    yield "tradewind_desk_doubts_total", whose, counts.resolved
    yield "tradewind_desk_doubt_seconds_total", whose, counts.resolved_ns / 1e9
    kinds = {
        "duplicate": counts.duplicate_fills,
        "out_of_order": counts.held_fills,
        "not_told": counts.missed_fills,
    }
    for name, number in kinds.items():
        yield "tradewind_desk_executions_total", (*whose, name), number
    yield "tradewind_desk_reconciliations_total", whose, counts.reconciliations
    if one.ladder is None:
        yield "tradewind_control_age_seconds", (one.account,), one.desk.control_age_s


def _lane(one: VenueConnection) -> Iterator[Row]:
    if one.lane is None:
        return
    facts = one.lane.facts()
    yield "tradewind_nonce_ahead_seconds", (one.key,), facts.ahead_s
    yield "tradewind_key_quarantined", (one.key,), float(bool(facts.quarantined))
    yield "tradewind_venue_connection_reuse_ratio", (one.venue,), facts.reuse
    yield "tradewind_nonce_rejects_total", (one.key,), facts.invalid_nonces
    yield "tradewind_nonce_disk_waits_total", (one.key,), facts.sync_refills
    yield "tradewind_stale_epoch_refused_total", (f"lane {one.key}",), facts.refused.get("StaleEpoch", 0)
    for (cls, outcome), number in facts.outcomes.items():
        yield "tradewind_venue_requests_total", (one.venue, cls, outcome), number


def _limits(one: VenueConnection) -> Iterator[Row]:
    if one.limits is not None:
        for scope, (level, maximum) in one.limits.levels(one.limits_clock_ns()).items():
            yield "tradewind_limit_budget_used_ratio", (one.venue, scope), float(level / maximum)
    if one.gate is not None:
        for cls, number in one.gate.waiting.items():
            yield "tradewind_limit_waiting", (one.venue, cls.name), number
        for (cls, reason), number in one.gate.denied.items():
            yield "tradewind_venue_limited_total", (one.venue, cls.name, reason), number


def _isolators(one: VenueConnection) -> Iterator[Row]:
    if one.isolators is None:
        return
    for name, isolator in one.isolators.by_class.items():
        blocked = float(isolator.state != "closed")
        yield "tradewind_isolator_blocked", (one.venue, name), blocked
        yield "tradewind_isolator_opened_total", (one.venue, name), isolator.opened
        yield "tradewind_isolator_bypassed_total", (one.venue, name), isolator.bypassed
