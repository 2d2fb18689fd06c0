"""Rows of the checklist that come from orders, streams, requests, drills and money."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Final

from . import limits as bound
from .drills import ALARM_RULES
from .evidence import Evidence
from .limits import GateLimits
from .money import drawdown, round_trips
from .rows import ALERTS, CAMPAIGN, EQUITY, FILLS, METRICS, ORDERS, Row, Verdict
from .statistics import Interval, mean, percentile, probabilistic_sharpe, wilson

NONE: Final = "not measured"


def _absent(row_id: str, metric: str, demanded: str, file: str) -> Row:
    return Row(
        id=row_id, metric=metric, verdict="fail", value=NONE, demanded=demanded, file=file,
        reason="the metric is absent",
    )  # fmt: skip


def _zero(row_id: str, metric: str, found: float | None, file: str, samples: int) -> Row:
    """A row that demands none of something."""
    if found is None or samples < 1:
        return _absent(row_id, metric, "0", file)
    return Row(
        id=row_id, metric=metric, verdict="fail" if found else "pass", value=f"{found:g}", demanded="0",
        file=file, samples=samples, figures={"count": found},
    )  # fmt: skip


def preventable_rejects(evidence: Evidence) -> float | None:
    """Refusals of the venue that our own checks should have caught."""
    return evidence.traded(lambda one: one.preventable_rejects)


def preventable_row(evidence: Evidence, limits: GateLimits) -> Row:
    """C04."""
    del limits
    submits = int(evidence.traded(lambda one: one.submits) or 0)
    row = _zero("C04", "preventable rejects", preventable_rejects(evidence), ORDERS, submits)
    if not submits and row.value == NONE:
        return _insufficient(row.id, row.metric, "0", ORDERS, "no order was sent")
    return row


def _insufficient(row_id: str, metric: str, demanded: str, file: str, reason: str) -> Row:
    return Row(
        id=row_id, metric=metric, verdict="insufficient", value="no sample", demanded=demanded, file=file,
        reason=reason,
    )  # fmt: skip


def order_success(evidence: Evidence) -> tuple[int, int, int]:
    """(accepted, answered or lost, refused by the venue) of the orders that were sent.

    An order whose answer is still under way at the end is not counted; one that was told uncertain is a miss.
    """
    sent = [one for one in evidence.orders if one.submitted_ns is not None and one.answer]
    acked = sum(one.answer == "ack" for one in sent)
    return acked, len(sent), sum(one.answer == "reject" and not one.preventable for one in sent)


def success_row(evidence: Evidence, limits: GateLimits) -> Row:
    """C05."""
    acked, sent, refused = order_success(evidence)
    metric = "orders accepted of those sent; venue-side rejects"
    demanded = f"{'Wilson 95 % lower bound' if limits.wilson else 'share'} >= {bound.SUCCESS_FLOOR:.0%}"
    found = wilson(acked, sent)
    if found is None:
        return _insufficient("C05", metric, demanded, ORDERS, "no order was sent")
    judged = found.low if limits.wilson else found.estimate
    target = "" if found.estimate >= bound.SUCCESS_TARGET else f"below the target {bound.SUCCESS_TARGET:.1%}"
    return Row(
        id="C05",
        metric=metric,
        verdict="pass" if judged >= bound.SUCCESS_FLOOR else "fail",
        value=f"{found.estimate:.2%} [{found.low:.2%}, {found.high:.2%}] of {sent}; {refused} refused",
        demanded=demanded,
        file=ORDERS,
        samples=sent,
        reason=target,
        figures={"share": found.estimate, "low": found.low, "high": found.high, "venue_rejects": refused},
    )


def live_shares(evidence: Evidence) -> tuple[float, float, float] | None:
    """(public share, private share, seconds watched) with a live stream; downtime counts as not live."""
    looked = [one.feed for one in evidence.samples if one.feed is not None]
    watched = sum(one.watched_s for one in looked)
    if not looked or watched <= 0:
        return None
    whole = watched + evidence.state.downtime_s
    return sum(one.live_s for one in looked) / whole, sum(one.private_live_s for one in looked) / whole, whole


def live_row(evidence: Evidence, limits: GateLimits) -> Row:
    """C06."""
    metric, demanded = "live time, public / private stream", f">= {limits.live_share:.1%} each"
    shares = live_shares(evidence)
    if shares is None:
        return _absent("C06", metric, demanded, METRICS)
    public, private, whole = shares
    passed = min(public, private) >= limits.live_share
    return Row(
        id="C06",
        metric=metric,
        verdict="pass" if passed else "fail",
        value=f"{public:.2%} / {private:.2%} of {whole:.0f} s",
        demanded=demanded,
        file=METRICS,
        samples=len(evidence.samples),
        figures={"public": public, "private": private},
    )


def api_errors(evidence: Evidence) -> tuple[int, dict[str, int]] | None:
    """(requests, errors by class) to the venue."""
    seen = [one.api for one in evidence.samples if one.api is not None]
    if not seen:
        return None
    classes: dict[str, int] = {}
    for one in seen:
        for name, count in one.errors.items():
            classes[name] = classes.get(name, 0) + count
    return sum(one.requests for one in seen), classes


def api_error_row(evidence: Evidence, limits: GateLimits) -> Row:
    """C07."""
    metric, demanded = "API errors", f"Wilson upper bound < {bound.API_ERROR_SHARE:.1%} of >= 10,000 requests"
    counted = api_errors(evidence)
    if counted is None:
        return _absent("C07", metric, demanded, METRICS)
    requests, classes = counted
    errors = sum(classes.values())
    found = wilson(errors, requests)
    by_class = ", ".join(f"{name} {count}" for name, count in sorted(classes.items())) or "none"
    value = f"{errors} of {requests} ({by_class})"
    figures: dict[str, float | None] = {"errors": errors, "requests": requests}
    if found is not None:
        value += f", at most {found.high:.3%}"
        figures["high"] = found.high
    verdict: Verdict = "insufficient"
    reason = f"{requests} requests, {bound.API_MIN_REQUESTS} are needed to say it"
    if found is not None and found.low >= bound.API_ERROR_SHARE:
        verdict, reason = "fail", "more errors than allowed, whatever comes"
    elif found is not None and requests >= bound.API_MIN_REQUESTS:
        verdict, reason = ("pass", "") if found.high < bound.API_ERROR_SHARE else ("fail", "too many errors")
    return Row(
        id="C07", metric=metric, verdict=verdict, value=value, demanded=demanded, file=METRICS,
        samples=requests, reason=reason, figures=figures, allowed=limits.insufficient_allowed,
    )  # fmt: skip


def nonce_row(evidence: Evidence, limits: GateLimits) -> Row:
    """C08."""
    metric = "nonce rejects; rate of the allocator"
    demanded = "0; >= 1,000/s" if limits.hours >= 120 else "0; reported"
    rejects = evidence.traded(lambda one: one.nonce_rejects)
    rates = [one.figures["per_second"] for one in evidence.drills if one.drill == "nonce" and one.ran]
    if rejects is None:
        return _absent("C08", metric, demanded, METRICS)
    if not rates:
        return Row(
            id="C08", metric=metric, verdict="not_run", value=f"{rejects:g}; no rate", demanded=demanded,
            file=METRICS, reason="the allocator was not measured yet",
        )  # fmt: skip
    slow = limits.hours >= 120 and min(rates) < bound.NONCES_PER_S
    return Row(
        id="C08",
        metric=metric,
        verdict="fail" if rejects or slow else "pass",
        value=f"{rejects:g}; {min(rates):,.0f}/s",
        demanded=demanded,
        file=METRICS,
        samples=len(rates),
        figures={"rejects": rejects, "per_second": min(rates)},
    )


def latency_row(evidence: Evidence, limits: GateLimits) -> Row:
    """C09. The floor is what the wire to the venue takes by itself (a paper venue knows its own exactly)."""
    del limits
    metric, demanded = (
        "API latency p50 / p95 / p99; mean",
        "mean < 100 ms or < round trip of the wire + 20 ms",
    )
    whole = evidence.latency()
    floor = wire_ms(evidence)
    middle = whole.mean
    if middle is None:
        if not any(one.api for one in evidence.samples):
            return _absent("C09", metric, demanded, METRICS)
        return _insufficient("C09", metric, demanded, METRICS, "no request was answered")
    quick = middle < bound.API_MEAN_MS or (floor is not None and middle < floor + bound.API_OVER_FLOOR_MS)
    quantiles = {name: whole.quantile(share) for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}
    shown = " / ".join(f"{value:.0f}" for value in quantiles.values() if value is not None)
    return Row(
        id="C09",
        metric=metric,
        verdict="pass" if quick else "fail",
        value=f"{shown} ms; mean {middle:.1f} ms; wire {'unknown' if floor is None else f'{floor:.1f} ms'}",
        demanded=demanded,
        file=METRICS,
        samples=whole.samples,
        figures={**quantiles, "mean": middle, "wire": floor},
    )


def wire_ms(evidence: Evidence) -> float | None:
    """Mean round trip of the wire by itself, weighted by the answers that it rests on."""
    pairs = [
        (one.api.wire_floor_ms, one.api.latency.samples)
        for one in evidence.samples
        if one.api is not None and one.api.wire_floor_ms is not None
    ]
    answers = sum(count for _, count in pairs)
    return sum(floor * count for floor, count in pairs) / answers if answers else None


def reconciliation_row(evidence: Evidence, limits: GateLimits) -> Row:
    """C10."""
    del limits
    metric, demanded = "reconciliation breaks; longest unknown order", "0; < 60 s"
    breaks = evidence.traded(lambda one: one.reconciliation_breaks)
    ages = evidence.each(lambda one: None if one.trading is None else one.trading.unknown_max_s)
    if breaks is None or not ages:
        return _absent("C10", metric, demanded, METRICS)
    oldest = max(age for _, age in ages)
    return Row(
        id="C10",
        metric=metric,
        verdict="pass" if not breaks and oldest < bound.UNKNOWN_MAX_S else "fail",
        value=f"{breaks:g}; {oldest:.1f} s",
        demanded=demanded,
        file=METRICS,
        samples=len(ages),
        figures={"breaks": breaks, "oldest_s": oldest},
    )


def ledger_row(evidence: Evidence, limits: GateLimits) -> Row:
    """C11."""
    del limits
    looks = evidence.each(lambda one: None if one.trading is None else one.trading.ledger_differences)
    worst = max((count for _, count in looks), default=None)
    return _zero("C11", "differences of ledger and engine", worst, METRICS, len(looks))


def breach_row(evidence: Evidence, limits: GateLimits) -> Row:
    """C13."""
    del limits
    breaches = evidence.traded(lambda one: one.breaches)
    violations = evidence.traded(lambda one: one.violations)
    metric = "limit breaches; violations of the state machine"
    if breaches is None or violations is None:
        return _absent("C13", metric, "0; 0", METRICS)
    return Row(
        id="C13", metric=metric, verdict="fail" if breaches or violations else "pass",
        value=f"{breaches:g}; {violations:g}", demanded="0; 0", file=METRICS, samples=len(evidence.samples),
        figures={"breaches": breaches, "violations": violations},
    )  # fmt: skip


def alert_row(evidence: Evidence, limits: GateLimits) -> Row:
    """C14. A rule has fired when its alarm stood in the campaign; its delivery is drilled apart."""
    metric = "every alert rule fired once in the drill"
    demanded = "all delivered and fired" if limits.alerts_demanded else "reported"
    drills = [one for one in evidence.drills if one.drill == "alerts"]
    ran = [one for one in drills if one.ran]
    rules = int(max((one.figures.get("rules", 0) for one in ran), default=0))
    delivered = int(min((one.figures.get("delivered", 0) for one in ran), default=0))
    fired = len({one.text for one in evidence.alerts} & set(ALARM_RULES))
    verdict: Verdict = "fail"
    reason = "the conditions of the other rules were not injected"
    if not ran or not rules:
        verdict, reason = "not_run", drills[-1].detail if drills else "the drill did not run yet"
    elif not all(one.passed for one in ran) or delivered < rules:
        reason = "not every alert reached its sink"
    elif fired >= rules:
        verdict, reason = "pass", ""
    if not limits.alerts_demanded:
        verdict = "reported"
    return Row(
        id="C14", metric=metric, verdict=verdict, value=f"{delivered} of {rules} delivered; {fired} fired",
        demanded=demanded, file=ALERTS, samples=len(ran), reason=reason,
    )  # fmt: skip


def _full_days(evidence: Evidence) -> int:
    return max(1, math.floor(evidence.covered_s / 86_400))


def kill_row(evidence: Evidence, limits: GateLimits) -> Row:
    """C15."""
    metric = "kill drill: first cancel, verified zero"
    days = _full_days(evidence) if limits.hours >= 120 else 1
    demanded = f"< {bound.FIRST_CANCEL_S:g} s, < {bound.VERIFIED_ZERO_S:g} s" + (
        f", on each of {days} days" if days > 1 else ""
    )
    ran = [one for one in evidence.drills if one.drill == "kill" and one.ran]
    if not ran:
        return Row(
            id="C15", metric=metric, verdict="not_run", value="the drill did not run", demanded=demanded,
            file=CAMPAIGN, reason="it runs in the first hour of each day",
        )  # fmt: skip
    first = max(one.figures.get("first_cancel_s", math.inf) for one in ran)
    zero = max(one.figures.get("verified_zero_s", math.inf) for one in ran)
    problems = [one.detail for one in ran if not one.passed]
    problems += [
        f"not resumed: {one.detail}" for one in evidence.drills if one.drill == "resume" and not one.passed
    ]
    if len({one.day for one in ran}) < days:
        problems.append(f"{len({one.day for one in ran})} of {days} days have a drill")
    if first >= bound.FIRST_CANCEL_S or zero >= bound.VERIFIED_ZERO_S:
        problems.append("too slow")
    return Row(
        id="C15", metric=metric, verdict="fail" if problems else "pass",
        value=f"{first:.3f} s, {zero:.3f} s", demanded=demanded, file=CAMPAIGN, samples=len(ran),
        reason="; ".join(problems), figures={"first_cancel_s": first, "verified_zero_s": zero},
    )  # fmt: skip


def reconnect_row(evidence: Evidence, limits: GateLimits) -> Row:
    """C16."""
    del limits
    metric = "reconnect p95, induced"
    needed = bound.RECONNECTS_A_DAY * _full_days(evidence)
    demanded = f"< {bound.RECONNECT_P95_S:g} s, >= {needed} induced"
    drills = [one for one in evidence.drills if one.drill == "reconnect"]
    took = [one.figures["recovered_s"] for one in drills if one.ran and "recovered_s" in one.figures]
    failed = [one.detail for one in drills if one.ran and not one.passed]
    p95 = percentile(took, 0.95)
    if p95 is None and not failed:
        reason = drills[-1].detail if drills else "no reconnect was induced yet"
        return Row(
            id="C16", metric=metric, verdict="not_run", value="none induced", demanded=demanded,
            file=CAMPAIGN, reason=reason,
        )  # fmt: skip
    if failed or p95 is None or p95 >= bound.RECONNECT_P95_S:
        verdict, reason = "fail", failed[0] if failed else "too slow"
    elif len(took) < needed:
        verdict, reason = "pending", f"{len(took)} of {needed} induced"
    else:
        verdict, reason = "pass", ""
    return Row(
        id="C16", metric=metric, verdict=verdict,  # type: ignore[arg-type]
        value="never recovered" if p95 is None else f"{p95:.2f} s of {len(took)}", demanded=demanded,
        file=CAMPAIGN, samples=len(took), reason=reason, figures={"p95_s": p95},
    )  # fmt: skip


def realism_row(evidence: Evidence, limits: GateLimits) -> Row:
    """C17."""
    metric = "queue wait, share of trade-through fills, mirror discrepancy"
    demanded = "discrepancy < 0.1 % of updates" if limits.discrepancy_demanded else "reported"
    updates = evidence.traded(lambda one: one.mirror_updates)
    refused = evidence.traded(lambda one: one.mirror_refused)
    fills = evidence.traded(lambda one: one.fills)
    through = evidence.traded(lambda one: one.trade_through)
    if updates is None or refused is None:
        return _absent("C17", metric, demanded, METRICS)
    share = refused / updates if updates else 0.0
    waits = queue_waits(evidence)
    wait = percentile(waits, 0.5)
    crossed = f"{through / fills:.1%}" if fills and through is not None else "no fill"
    waited = "no fill" if wait is None else f"median {wait:.1f} s"
    verdict: Verdict = "reported"
    if limits.discrepancy_demanded:
        verdict = "pass" if updates and share < bound.DISCREPANCY_SHARE else "fail"
    return Row(
        id="C17",
        metric=metric,
        verdict=verdict,
        value=f"{waited}; {crossed}; {share:.4%} of {updates:g}",
        demanded=demanded,
        file=METRICS,
        samples=int(updates),
        figures={"discrepancy": share, "queue_wait_s": wait},
    )


def queue_waits(evidence: Evidence) -> list[float]:
    """Seconds from sending an order to its first fill as a maker."""
    sent = {one.client_id: one.submitted_ns for one in evidence.orders if one.submitted_ns is not None}
    waits: dict[str, float] = {}
    for fill in evidence.fills:
        begin_ns = sent.get(fill.client_id)
        if fill.maker and begin_ns is not None and fill.client_id not in waits:
            waits[fill.client_id] = max(0.0, (fill.at_ns - begin_ns) / 1e9)
    return list(waits.values())


def profit_row(evidence: Evidence, limits: GateLimits) -> Row:
    """C18. Never a gate: a campaign may lose money and be perfectly healthy."""
    del limits
    known = [one.trading for one in evidence.samples if one.trading is not None and one.trading.equity]
    trades = round_trips(evidence.fills)
    found: Interval | None = mean([float(one) for one in trades])
    sharpe = probabilistic_sharpe([float(one) for one in trades])
    currency = evidence.state.identity.currency
    fees = sum((Decimal(one.fee) for one in evidence.fills if one.fee_asset == currency), Decimal(0))
    net = "unknown"
    if known:
        net = f"{Decimal(known[-1].equity or '0') - Decimal(known[0].equity or '0'):+f}"
    per_trade = (
        "no trade" if found is None else f"{found.estimate:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"
    )
    fall = drawdown([Decimal(one.equity) for one in known if one.equity is not None])
    return Row(
        id="C18",
        metric="profit, fees, drawdown, trades, mean per trade, PSR",
        verdict="reported",
        value=f"{net} {currency}; fees {fees:f}; drawdown {'unknown' if fall is None else f'{fall:.3%}'}; "
        f"{len(trades)} trades; {per_trade}; PSR {'-' if sharpe is None else f'{sharpe:.2f}'}",
        demanded="reported, never a gate",
        file=FILLS if evidence.fills else EQUITY,
        samples=len(trades),
        figures={
            "mean": None if found is None else found.estimate,
            "mean_low": None if found is None else found.low,
            "psr": sharpe,
        },
    )
