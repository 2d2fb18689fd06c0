"""Every row of the checklist: green on a healthy campaign, red when its subject is broken or absent."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from tradewind.readiness.probes.paper_model import Model
from tradewind.trader.campaign.checklist import REPORT_FILES, evaluate
from tradewind.trader.campaign.evidence import Evidence, from_files
from tradewind.trader.campaign.honesty import judge
from tradewind.trader.campaign.rows import Row, with_files
from tradewind.trader.campaign.samples import DrillLine, OrderLine
from tradewind.trader.campaign.state import DAY_S

HOURS, EVERY_S = 120.0, 600.0
ALL_ROWS = [f"C{number:02d}" for number in range(1, 19)]


def model(hours: float = HOURS, **options: object) -> Model:
    return Model(hours, every_s=EVERY_S, **options)  # type: ignore[arg-type]


def evidence(change: Callable[[Model], None] | None = None, **options: object) -> Evidence:
    one = model(**options)  # type: ignore[arg-type]
    # Ten minutes a sample instead of one: enough requests for C07 need more of them each.
    for index in range(one.count):
        one.change(index, "api", requests=300)
    if change is not None:
        change(one)
    return from_files(one.files())


HEALTHY = evidence()


def row(found: Evidence, name: str, gate: int = 120) -> Row:
    return next(one for one in evaluate(found, gate).rows if one.id == name)


def test_a_healthy_campaign_is_green_at_both_gates() -> None:
    for gate in (24, 120):
        checklist = evaluate(HEALTHY, gate)
        assert [one.id for one in checklist.rows] == ALL_ROWS
        assert [(one.id, one.reason) for one in checklist.red] == []
        assert checklist.passed


def every(part: str, begin: int = 0, **values: object) -> Callable[[Model], None]:
    def change(one: Model) -> None:
        for index in range(begin, one.count):
            one.change(index, part, **values)

    return change


def grow(part: str, name: str, step: float) -> Callable[[Model], None]:
    def change(one: Model) -> None:
        for index in range(one.count):
            before = getattr(getattr(one.samples[index], part), name)
            one.change(index, part, **{name: int(before + step * index)})

    return change


def drill(name: str, **values: object) -> Callable[[Model], None]:
    def change(one: Model) -> None:
        one.drills = [
            msgspec.structs.replace(line, **values) if line.drill == name else line for line in one.drills
        ]

    return change


def without(name: str) -> Callable[[Model], None]:
    def change(one: Model) -> None:
        one.drills = [line for line in one.drills if line.drill != name]

    return change


def reject(share: float, *, preventable: bool = False) -> Callable[[Model], None]:
    def change(one: Model) -> None:
        one.orders = [
            OrderLine(what="reject", at_ns=line.at_ns, client_id=line.client_id, code="OffTick")
            if line.what == "ack" and one.random.random() < share
            else line
            for line in one.orders
        ]

    return change


def few_reconnects(one: Model) -> None:
    """On two days of five."""
    one.drills = [line for line in one.drills if line.drill != "reconnect" or line.day <= 2]


BROKEN: dict[str, tuple[str, Callable[[Model], None]]] = {
    "a hidden gap in the clock": ("C01", lambda one: one.change(300, "", wall_ns=0)),
    "memory grows by 1 MB an hour": ("C02", grow("process", "rss_bytes", 1e6 / 6)),
    "memory is too large at the start": ("C02", every("process", rss_bytes=210_000_000)),
    "memory is too large later": ("C02", lambda one: one.change(100, "process", rss_bytes=510_000_000)),
    "descriptors are never closed": ("C03", grow("process", "descriptors", 0.1)),
    "tasks pile up": ("C03", grow("process", "tasks", 0.1)),
    "a reject that our checks let pass": ("C04", every("trading", 9, preventable_rejects=1)),
    "one order in ten is refused": ("C05", reject(0.1)),
    "market data is away for an hour in ten": ("C06", every("feed", live_s=EVERY_S * 0.9)),
    "the private stream is away": ("C06", every("feed", private_live_s=EVERY_S * 0.9)),
    "requests time out": ("C07", every("api", errors={"uncertain": 1})),
    "a nonce is refused": ("C08", every("trading", 9, nonce_rejects=1)),
    "the allocator is slow": ("C08", drill("nonce", figures={"per_second": 900.0})),
    "answers take long": ("C09", every("api", wire_floor_ms=40.0)),
    "ledger and venue differ": ("C10", every("trading", 9, reconciliation_breaks=1)),
    "an order is unknown for a minute": ("C10", lambda one: one.change(9, "trading", unknown_max_s=60.0)),
    "ledger and engine differ": ("C11", lambda one: one.change(9, "trading", ledger_differences=1)),
    "the journal does not verify": ("C12", drill("journal", passed=False, detail="damage")),
    "a log file is too large": ("C12", lambda one: one.change(9, "logs", log_file_max_bytes=10_000_000)),
    "nothing rotates": ("C12", every("logs", log_rotations=0)),
    "a limit did not hold": ("C13", every("trading", 9, breaches=1)),
    "an illegal step of an order": ("C13", every("trading", 9, violations=1)),
    "alerts were not drilled": ("C14", without("alerts")),
    "an alert was not delivered": ("C14", drill("alerts", passed=False)),
    "an alert did not fire": ("C14", drill("alerts", figures={"rules": 2.0, "delivered": 2.0})),
    "no kill drill on one day": (
        "C15",
        lambda one: setattr(one, "drills", [d for d in one.drills if (d.drill, d.day) != ("kill", 3)]),
    ),
    "the kill is slow": ("C15", drill("kill", figures={"first_cancel_s": 0.1, "verified_zero_s": 10.0})),
    "the first cancel is slow": ("C15", drill("kill", figures={"first_cancel_s": 1.0, "verified_zero_s": 2})),
    "reconnects are slow": ("C16", drill("reconnect", figures={"recovered_s": 5.0})),
    "reconnects are too few": ("C16", few_reconnects),
    "the mirror differs": ("C17", grow("trading", "mirror_refused", 60)),
}  # fmt: skip


def slow(one: Model) -> None:
    """Latency histograms are replaced: the mean is 300 ms."""
    from tradewind.trader.campaign.statistics import Histogram

    for index in range(one.count):
        histogram = Histogram()
        histogram.observe(300.0)
        one.change(index, "api", latency=histogram, wire_floor_ms=40.0)


BROKEN["answers take long"] = ("C09", slow)


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_a_broken_subject_turns_exactly_its_row_red(name: str) -> None:
    expected, change = BROKEN[name]
    found = evidence(change)
    if name == "a hidden gap in the clock":
        found.state.check_clock(found.state.lives[0].first, msgspec.structs.replace(
            found.state.lives[0].last, wall_ns=0))  # fmt: skip
    red = {one.id for one in evaluate(found, 120).red}
    assert expected in red
    assert red <= {expected, "C02", "C03"} if expected in ("C02", "C03") else red == {expected}


ABSENT: dict[str, tuple[str, dict[str, object]]] = {
    "C02": ("process", {"rss_bytes": None}),
    "C03": ("process", {"threads": None}),
    "C11": ("trading", {"ledger_differences": None}),
    "C12": ("logs", {"log_rotations": None}),
}


@pytest.mark.parametrize("name", sorted(ABSENT))
def test_a_metric_that_is_absent_fails_and_is_no_zero(name: str) -> None:
    part, values = ABSENT[name]
    found = row(evidence(every(part, **values)), name)
    assert (found.verdict, found.value) == ("fail", "not measured")


def test_without_any_sample_nothing_but_reported_rows_is_green() -> None:
    found = evidence(lambda one: one.samples.clear())
    bare = msgspec.structs.replace(found, orders=[], fills=[], drills=[])
    green = {one.id for one in evaluate(bare, 120).rows if one.green}
    assert green <= {"C01", "C18"}


def test_insufficient_requests_are_allowed_at_24_hours_and_fail_at_120() -> None:
    found = evidence(lambda one: [one.change(i, "api", requests=3) for i in range(one.count)] and None)
    assert row(found, "C07", 24).verdict == "insufficient"
    assert row(found, "C07", 24).green
    assert not row(found, "C07", 120).green


@pytest.mark.parametrize("provenance", ["replay", "generated", "virtual"])
def test_hours_without_a_live_market_never_pass(provenance: str) -> None:
    found = evidence(provenance=provenance)
    assert row(found, "C01").verdict == "fail"
    assert row(found, "C01").figures["hours"] == 0
    assert judge(found).seconds == 0


def test_a_young_campaign_is_pending_with_its_progress() -> None:
    found = row(evidence(hours=2.0), "C01")
    assert (found.verdict, found.reason) == ("pending", "2.0 h of 120 h")


def test_a_restart_fails_the_zero_restart_row_and_nothing_else() -> None:
    found = evidence()
    life = found.state.lives[0]
    found.state.lives.append(msgspec.structs.replace(life, number=2, first=life.last, last=life.last))
    assert {one.id for one in evaluate(found, 120).red} == {"C01"}


def test_a_day_has_its_own_checklist_from_its_own_counters() -> None:
    def one_reject_on_day_two(one: Model) -> None:
        for index in range(200, one.count):
            one.change(index, "trading", preventable_rejects=1)

    found = evidence(one_reject_on_day_two)
    red = {
        number: {one.id for one in evaluate(found.day(number, DAY_S), 24, daily=True).red}
        for number in range(1, 6)
    }
    assert red == {1: set(), 2: {"C04"}, 3: set(), 4: set(), 5: set()}


def test_a_row_without_its_raw_file_is_invalid_whatever_it_says() -> None:
    good = row(HEALTHY, "C10")
    [lost] = with_files([good], REPORT_FILES - {good.file})
    assert (lost.verdict, lost.green) == ("invalid", False)
    [nameless] = with_files([msgspec.structs.replace(good, file="")], REPORT_FILES)
    assert nameless.verdict == "invalid"


def test_a_kill_drill_that_is_not_resumed_is_red() -> None:
    def stuck(one: Model) -> None:
        one.drills.append(
            DrillLine(drill="resume", day=1, campaign_s=3_000, at_ns=0, ran=True, passed=False, detail="no")
        )

    assert row(evidence(stuck), "C15").verdict == "fail"


def test_incomplete_evidence_fails_the_first_row() -> None:
    found = evidence()
    found.state.problem("orders.series is full")
    assert row(found, "C01").verdict == "fail"
