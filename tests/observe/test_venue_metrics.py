"""What operators see of a venue connection is what its parts say; what is unknown is left out."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tradewind.observe.counting import BatchCounters
from tradewind.observe.metrics import Metrics, SystemFacts
from tradewind.observe.venue_rows import DESK_BLOCKS, MAX_CONNECTIONS, VenueConnection, samples_of
from tradewind.observe.view import PlatformView
from tradewind.trader.venue_fills import Block, DeskStats
from tradewind.venues.frame_watch import FrameWatch
from tradewind.venues.kraken.shapes import SHAPES, name_of
from tradewind.venues.limits import Gate, KrakenLimits, Priority
from tradewind.venues.limits.kraken import RestCall
from tradewind.venues.transport.clock import ClockGuard
from tradewind.venues.transport.dead_man import Ladder
from tradewind.venues.transport.isolators import Fault, Isolators, Pass
from tradewind.venues.transport.lease import KeyLock, TradingLease
from tradewind.venues.transport.nonce import NonceAllocator, NonceUnit
from tradewind.venues.transport.private_http import PrivateHttp
from tradewind.venues.transport.resolver import ResolverRunner
from tradewind.venues.transport.signer import Nonce, SignedRequest, SignerLane

SECOND_NS = 1_000_000_000


def build(nonce: Nonce) -> SignedRequest:
    return SignedRequest(method="POST", target="/", headers={}, body=str(nonce).encode())


def shown(connections: list[VenueConnection]) -> dict[tuple[str, tuple[str, ...]], float]:
    facts = SystemFacts(venues=connections)
    view = PlatformView(taken_ns=1, env="paper", version="1")
    metrics = Metrics(lambda: view, BatchCounters(), lambda: facts)
    return {
        (one.name, tuple(sorted(one.labels.values()))): one.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for one in family.samples
    }


async def test_every_part_of_a_connection_is_shown(tmp_path: Path) -> None:
    async def unused(*_: object) -> object:
        raise AssertionError("nobody asks")

    model = KrakenLimits("pro")
    gate = Gate(model, clock_ns=lambda: 0, patience_s={Priority.P3: 0.0})
    lease = TradingLease.acquire(tmp_path / "lease", lambda: SECOND_NS, lambda: SECOND_NS)
    lane = SignerLane(
        PrivateHttp("http://127.0.0.1:9"), lock=KeyLock(tmp_path, "k"), lease=lease, gate=gate,
        nonces=NonceAllocator.open(tmp_path / "k.nonce", NonceUnit.US, used=False),
    )  # fmt: skip
    model.admit(Priority.P0, [RestCall(15)], 0)
    await lane.call(build, cls=Priority.P3, epoch=1, cost=[RestCall(1)])
    await lane.call(build, cls=Priority.P0, epoch=0)
    await lane.call(build, cls=Priority.P0, epoch=1, timeout_s=1.0)
    isolators = Isolators()
    for _ in range(3):
        isolators.of("orders").report(Pass(probe=False, bypassed=False), Fault.CONNECT, 0)
    isolators.of("orders").ask(Priority.P0, 0)
    clock = ClockGuard(wall_ns=lambda: 5 * SECOND_NS, steady_ns=lambda: 0)
    clock.measured(4 * SECOND_NS, 0)
    ladder = Ladder(0)
    ladder.look(7 * SECOND_NS, reconciled=True)
    watch = FrameWatch(SHAPES, name_of)
    watch.see(b'{"channel":"heartbeat","beat":1}')
    found = shown(
        [
            VenueConnection(
                venue="kraken", account="desk", key="k", lane=lane, gate=gate, limits=model,
                limits_clock_ns=lambda: 0, isolators=isolators, clock=clock, ladder=ladder,
                ladder_clock_ns=lambda: 7 * SECOND_NS, lease=lease,
                resolver=ResolverRunner(unused, unused), watch=watch,
            )
        ]
    )  # fmt: skip
    await lane.close()
    expected = {
        ("tradewind_venue_requests_total", ("kraken", "P3", "rate")): 1,
        ("tradewind_venue_requests_total", ("kraken", "P0", "refused")): 1,
        ("tradewind_venue_requests_total", ("kraken", "P0", "transport")): 1,
        ("tradewind_stale_epoch_refused_total", ("lane k",)): 1,
        ("tradewind_nonce_rejects_total", ("k",)): 0,
        ("tradewind_key_quarantined", ("k",)): 0,
        ("tradewind_limit_budget_used_ratio", ("kraken", "rest")): 0.75,
        ("tradewind_limit_waiting", ("kraken", "P3")): 0,
        ("tradewind_venue_limited_total", ("kraken", "P3", "RateLimitedLocal")): 1,
        ("tradewind_isolator_blocked", ("kraken", "orders")): 1,
        ("tradewind_isolator_opened_total", ("kraken", "orders")): 1,
        ("tradewind_isolator_bypassed_total", ("kraken", "orders")): 1,
        ("tradewind_control_age_seconds", ("desk",)): 7,
        ("tradewind_uncontrolled_risk_seconds_total", ("desk",)): 7,
        ("tradewind_lease_epoch", ("desk",)): 1,
        ("tradewind_orders_unknown", ("kraken",)): 0,
        ("tradewind_venue_unread_fields_total", ("kraken",)): 1,
        ("tradewind_venue_unknown_words_total", ("kraken",)): 0,
    }
    assert {(n, v): found.get((n, tuple(sorted(v)))) for n, v in expected} == expected
    assert abs(found["tradewind_clock_skew_seconds", ("kraken",)] - 1) < 0.001
    assert found["tradewind_lease_age_seconds", ("desk",)] < 60
    assert ("tradewind_venue_connection_reuse_ratio", ("kraken",)) not in found, "nothing was sent yet"


def test_what_a_connection_does_not_have_is_left_out_and_their_number_is_bounded() -> None:
    assert not [name for name, _ in shown([VenueConnection(venue="x", account="y")]) if "nonce_ahead" in name]
    ladders = [
        VenueConnection(venue="x", account=str(number), ladder=Ladder(0))
        for number in range(MAX_CONNECTIONS + 5)
    ]
    assert len(samples_of(ladders).gauges["tradewind_control_age_seconds"]) == MAX_CONNECTIONS
    unmeasured = samples_of([VenueConnection(venue="x", account="y", clock=ClockGuard())])
    assert unmeasured.gauges["tradewind_clock_skew_seconds"] == [(("x",), None)]


class _Desk:
    """A desk as the metrics see it."""

    def __init__(self, **changed: object) -> None:
        self.stats = DeskStats(
            sent=5, acknowledged=3, rejected=1, unknown=1, resolved=2, resolved_ns=3 * SECOND_NS,
            slowest_ns=2 * SECOND_NS, duplicate_fills=7, held_fills=6, missed_fills=4, reconciliations=9,
        )  # fmt: skip
        self.blocked, self.block_kind, self.suspended = "", "start", 0
        self.control_age_s: float | None = None
        self.__dict__.update(changed)


def desk_of(**changed: object) -> VenueConnection:
    return VenueConnection(venue="kraken", account="desk", desk=_Desk(**changed))


def test_a_desk_shows_its_orders_doubts_executions_and_comparisons() -> None:
    found, whose = shown([desk_of(suspended=1, control_age_s=1.5)]), ("kraken", "desk")
    expected: dict[tuple[str, tuple[str, ...]], float] = {
        ("tradewind_desk_orders_total", (*whose, "sent")): 5,
        ("tradewind_desk_orders_total", (*whose, "acknowledged")): 3,
        ("tradewind_desk_orders_total", (*whose, "rejected")): 1,
        ("tradewind_desk_orders_total", (*whose, "unknown")): 1,
        ("tradewind_desk_doubts_total", whose): 2,
        ("tradewind_desk_doubt_seconds_total", whose): 3,
        ("tradewind_desk_slowest_doubt_seconds", whose): 2,
        ("tradewind_desk_executions_total", (*whose, "duplicate")): 7,
        ("tradewind_desk_executions_total", (*whose, "out_of_order")): 6,
        ("tradewind_desk_executions_total", (*whose, "not_told")): 4,
        ("tradewind_desk_reconciliations_total", whose): 9,
        ("tradewind_desk_suspended_executions", whose): 1,
        ("tradewind_control_age_seconds", ("desk",)): 1.5,
    }
    assert {(n, v): found.get((n, tuple(sorted(v)))) for n, v in expected} == expected


def test_why_a_desk_is_blocked_is_one_kind_and_none_when_it_trades() -> None:
    assert set(DESK_BLOCKS) == {str(one) for one in Block}

    def kinds(**changed: object) -> list[str]:
        rows = samples_of([desk_of(**changed)]).gauges["tradewind_desk_blocked"]
        return [labels[2] for labels, value in rows if value]

    assert kinds() == []
    assert kinds(blocked="total BTC: ours 1, venue 2", block_kind=Block.DIFFERENCE) == ["difference"]


def test_what_a_desk_cannot_know_yet_is_left_out() -> None:
    found = samples_of([desk_of(stats=DeskStats())])
    assert found.gauges["tradewind_desk_slowest_doubt_seconds"] == [(("kraken", "desk"), None)]
    assert found.gauges["tradewind_control_age_seconds"] == [(("desk",), None)]
    watched = VenueConnection(venue="x", account="y", desk=_Desk(control_age_s=3.0), ladder=Ladder(0))
    assert len(samples_of([watched]).gauges["tradewind_control_age_seconds"]) == 1, "the ladder's own age"
