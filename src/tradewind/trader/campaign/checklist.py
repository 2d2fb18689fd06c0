"""The checklist C01 to C18 of T15.8, for the gates of 24 h and 120 h. What was not measured fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from . import checklist_trading as trading
from .evidence import Evidence
from .limits import GATE_24, GATE_120, RSS_MAX_MB, RSS_START_MB, STEADY_TOLERANCE, WARM_UP_S, GateLimits
from .rows import CAMPAIGN, METRICS, Checklist, Row, with_files
from .samples import Sample
from .statistics import MIN_SLOPE_SAMPLES, SLOPE_METHOD, Interval, median, slope

MB: Final = 1e6
GATES: Final[Mapping[int, GateLimits]] = {24: GATE_24, 120: GATE_120}
REPORT_FILES: Final = frozenset(
    {"campaign.json", "metrics.csv", "orders.csv", "fills.csv", "equity.csv", "alerts.json", "hourly.csv"}
)


def evaluate(evidence: Evidence, gate_hours: int, *, daily: bool = False) -> Checklist:
    """Every row against one gate. `daily`: of one day, whose hours are its own.

    Raises `KeyError` for a gate that is neither 24 nor 120.
    """
    limits = GATES[gate_hours]
    rows: list[Callable[[Evidence, GateLimits], Row]] = [
        lambda one, gate: hours_row(one, gate, daily=daily),
        memory_row,
        steady_row,
        trading.preventable_row,
        trading.success_row,
        trading.live_row,
        trading.api_error_row,
        trading.nonce_row,
        trading.latency_row,
        trading.reconciliation_row,
        trading.ledger_row,
        log_row,
        trading.breach_row,
        trading.alert_row,
        trading.kill_row,
        trading.reconnect_row,
        trading.realism_row,
        trading.profit_row,
    ]
    return Checklist(
        gate_hours=gate_hours,
        covered_hours=evidence.covered_s / 3_600,
        provenance=evidence.state.identity.provenance,
        rows=with_files([row(evidence, limits) for row in rows], REPORT_FILES),
    )


def hours_row(evidence: Evidence, limits: GateLimits, *, daily: bool = False) -> Row:
    """C01: honest hours of one process, restarts, crashes."""
    state = evidence.state
    provenance = state.identity.provenance
    unbroken_h = (evidence.covered_s if daily else state.unbroken_s) / 3_600
    lives = len({one.life for one in evidence.samples}) if daily else len(state.lives)
    restarts, crashes = max(0, lives - 1), state.crashes
    if daily:
        crashes = min(crashes, restarts)
    counted = unbroken_h if provenance == "real" else 0.0
    label = "h" if provenance == "real" else f"h ({unbroken_h:.2f} h of {provenance} time do not count)"
    defects = state.clock_defects
    verdict, reason = "pass", ""
    if defects:
        verdict, reason = "fail", f"the time is not honest: {defects[0]}"
    elif state.problems:
        verdict, reason = "fail", f"the evidence is incomplete: {state.problems[0]}"
    elif restarts or crashes:
        verdict, reason = "fail", f"{restarts} restarts, {crashes} crashes: one run without interruption"
    elif provenance != "real":
        verdict, reason = "fail", f"{provenance} time is never evidence (T15.6)"
    elif counted < limits.hours:
        verdict, reason = "pending", f"{counted:.1f} h of {limits.hours} h"
    return Row(
        id="C01",
        metric="honest hours / restarts / crashes",
        verdict=verdict,  # type: ignore[arg-type]
        value=f"{counted:.2f} {label} / {restarts} / {crashes}",
        demanded=f">= {limits.hours} h / 0 / 0",
        file=CAMPAIGN,
        samples=len(state.lives),
        reason=reason,
        figures={
            "hours": counted,
            "unbroken_hours": unbroken_h,
            "restarts": restarts,
            "crashes": crashes,
            "downtime_s": state.downtime_s,
            "suspended_s": state.suspended_s,
            "uptime": state.uptime,
        },
    )


# ---- memory and what must stay steady -------------------------------------------------------------------


def warm(samples: list[Sample]) -> list[Sample]:
    """The samples of a life after its first hour."""
    return [one for one in samples if one.campaign_s >= samples[0].campaign_s + WARM_UP_S] if samples else []


def slope_per_hour(samples: list[Sample], read: Callable[[Sample], float | None]) -> Interval | None:
    """Slope of a figure per hour of campaign time, None when it cannot be said."""
    pairs = [(one.campaign_s / 3_600, read(one)) for one in samples]
    known = [(hours, value) for hours, value in pairs if value is not None]
    if len(known) < len(pairs):
        return None
    return slope([hours for hours, _ in known], [value for _, value in known])


def resident_mb(sample: Sample) -> float | None:
    """Resident memory in MB (10^6 bytes)."""
    return None if sample.process.rss_bytes is None else sample.process.rss_bytes / MB


def memory_row(evidence: Evidence, limits: GateLimits) -> Row:
    """C02: resident memory at start, at most, and its slope after an hour of warm-up."""
    known = [value for _, value in evidence.each(resident_mb)]
    demanded = (
        f"start < {RSS_START_MB} MB; max < {RSS_MAX_MB} MB; slope: 95 % CI includes 0 or its upper end "
        f"< {limits.rss_slope_mb_per_h} MB/h"
    )
    if not known or len(known) < len(evidence.samples):
        return absent("C02", "resident memory", demanded, METRICS)
    at_start, most = known[0], max(known)
    found = slope_per_hour(warm(evidence.longest_life()), resident_mb)
    value = f"start {at_start:.1f} MB; max {most:.1f} MB; slope "
    figures: dict[str, float | None] = {"start_mb": at_start, "max_mb": most}
    if found is None:
        verdict, reason = "pending", f"a slope needs {MIN_SLOPE_SAMPLES} samples after the first hour"
        value += "not known yet"
    else:
        figures |= {"slope": found.estimate, "slope_low": found.low, "slope_high": found.high}
        value += f"{found.estimate:+.3f} MB/h [{found.low:+.3f}, {found.high:+.3f}]"
        flat = found.low <= 0 <= found.high or found.high < limits.rss_slope_mb_per_h
        verdict, reason = ("pass", SLOPE_METHOD) if flat else ("fail", "memory grows")
    if at_start >= RSS_START_MB or most >= RSS_MAX_MB:
        verdict, reason = "fail", "too much memory"
    return Row(
        id="C02",
        metric="resident memory",
        verdict=verdict,  # type: ignore[arg-type]
        value=value,
        demanded=demanded,
        file=METRICS,
        samples=len(known),
        reason=reason,
        figures=figures,
    )


def hourly_medians(
    samples: list[Sample], read: Callable[[Sample], int | float | None]
) -> dict[int, float] | None:
    """Median of each hour of campaign time by its number; None when a sample lacks the figure."""
    hours: dict[int, list[float]] = {}
    for one in samples:
        value = read(one)
        if value is None:
            return None
        hours.setdefault(int(one.campaign_s // 3_600), []).append(float(value))
    return {hour: median(values) for hour, values in hours.items()}


def steady_row(evidence: Evidence, limits: GateLimits) -> Row:
    """C03: medians of descriptors, tasks and threads in every hour against the first hour of the life."""
    del limits
    metric, demanded = "descriptors / tasks / threads against hour 1", f"+-{STEADY_TOLERANCE} each"
    life = evidence.longest_life()
    reads: dict[str, Callable[[Sample], int | None]] = {
        "descriptors": lambda one: one.process.descriptors,
        "tasks": lambda one: one.process.tasks,
        "threads": lambda one: one.process.threads,
    }
    texts, figures, worst = [], {}, 0.0
    for name, read in reads.items():
        medians = hourly_medians(life, read)
        if not medians:
            return absent("C03", metric, demanded, METRICS)
        first = medians[min(medians)]
        away = max((abs(value - first) for value in medians.values()), default=0.0)
        signed = max((value - first for value in medians.values()), key=abs)
        worst = max(worst, away)
        texts.append(f"{name} {first:g} ({signed:+g})")
        figures[f"{name}_first"], figures[f"{name}_away"] = first, signed
        if len(medians) < 2:
            return Row(
                id="C03", metric=metric, verdict="pending", value="only one hour yet", demanded=demanded,
                file=METRICS, samples=len(life), reason="nothing to compare the first hour with",
            )  # fmt: skip
    passed = worst <= STEADY_TOLERANCE
    return Row(
        id="C03",
        metric=metric,
        verdict="pass" if passed else "fail",
        value=", ".join(texts),
        demanded=demanded,
        file=METRICS,
        samples=len(life),
        reason="" if passed else "something is opened and never closed",
        figures=figures,
    )


def log_row(evidence: Evidence, limits: GateLimits) -> Row:
    """C12: the journal verifies; log files stay small; a day's lines fit the quota; rotation is proven."""
    demanded = (
        f"journal ok; each file < {limits.log_file_mb} MB; <= 100 % of the quota a day; "
        + (f">= {limits.rotations} rotation" if limits.rotations else "rotation proven")
    )  # fmt: skip
    metric = "journal, log files, quota"
    checks = [one for one in evidence.drills if one.drill == "journal"]
    rotation = [one for one in evidence.drills if one.drill == "rotation"]
    sizes = [value for _, value in evidence.each(lambda one: one.logs.log_file_max_bytes)]
    rotations = evidence.grown(lambda one: one.logs.log_rotations)
    written = evidence.grown(lambda one: one.logs.log_bytes)
    if not sizes or rotations is None or written is None:
        return absent("C12", metric, demanded, METRICS)
    days = max(evidence.covered_s / 86_400, 1 / 24)
    share = written / days / limits.log_quota_bytes
    largest_mb = max(sizes) / MB
    proven = rotations >= limits.rotations if limits.rotations else (
        rotations > 0 or any(one.passed for one in rotation)
    )  # fmt: skip
    problems = [
        *[f"journal: {one.detail}" for one in checks if not one.passed][:1],
        *([f"a file of {largest_mb:.1f} MB"] if largest_mb >= limits.log_file_mb else []),
        *([f"{share:.0%} of the quota a day"] if share > 1 else []),
        *(["no rotation seen"] if not proven else []),
    ]
    unchecked = not checks and not problems
    return Row(
        id="C12",
        metric=metric,
        verdict="not_run" if unchecked else "fail" if problems else "pass",
        value=f"{sum(one.passed for one in checks)} of {len(checks)} checks ok; largest {largest_mb:.2f} MB; "
        f"{share:.1%} of the quota a day; {rotations:g} rotations",
        demanded=demanded,
        file=METRICS,
        samples=len(sizes),
        reason="the journal was not verified yet" if unchecked else "; ".join(problems),
        figures={"largest_mb": largest_mb, "quota_share": share, "rotations": rotations},
    )


def absent(row_id: str, metric: str, demanded: str, file: str) -> Row:
    """A row whose metric is not there: that is a failure, never a zero."""
    return Row(
        id=row_id, metric=metric, verdict="fail", value="not measured", demanded=demanded, file=file,
        reason="the metric is absent",
    )  # fmt: skip


def as_document(checklist: Checklist) -> dict[str, object]:
    """For JSON: the rows with their colour."""
    return {
        "gate_hours": checklist.gate_hours,
        "covered_hours": round(checklist.covered_hours, 6),
        "provenance": checklist.provenance,
        "passed": checklist.passed,
        "red": [row.id for row in checklist.red],
        "rows": [{**msgspec.to_builtins(row), "green": row.green} for row in checklist.rows],
    }
