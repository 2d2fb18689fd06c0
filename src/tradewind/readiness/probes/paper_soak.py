"""The soaks of area `paper`: read from the raw files of this data directory's campaign, red until it is over.

Only honest hours with a live market on the real clock count (O1.10, T15.6). While a campaign runs, its
progress is shown and every row rests on no sample, so nothing is green early.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from itertools import pairwise
from typing import Final

from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import Measurement, Probe, ProbeContext, probe
from tradewind.readiness.probes.paper_model import BEGAN_NS, Change, Model, broken
from tradewind.readiness.record import MeasuredValue, Provenance
from tradewind.trader.campaign import folder as campaigns
from tradewind.trader.campaign.checklist import evaluate, resident_mb, slope_per_hour, warm
from tradewind.trader.campaign.checklist_trading import order_success
from tradewind.trader.campaign.evidence import RAW_FILES, Evidence, from_files, read_files
from tradewind.trader.campaign.honesty import Honest, judge
from tradewind.trader.campaign.limits import MAX_TASKS, RSS_MAX_MB
from tradewind.trader.campaign.money import drawdown, round_trips
from tradewind.trader.campaign.samples import OrderLine
from tradewind.trader.campaign.series import SeriesDamaged
from tradewind.trader.campaign.state import DAY_S, CampaignRefused
from tradewind.trader.campaign.statistics import mean, median, robust_deviation
from tradewind.trader.campaign.tables import hours_of
from tradewind.venues.codes import RejectCode

Values = Mapping[str, MeasuredValue]
Summarise = Callable[[Evidence, Honest], Values]
MAX_UNKNOWN_S: Final = 10.0
MIN_SIGNALS: Final = 10
ROBUST_DEVIATIONS: Final = 3.0
PROVENANCES: Final[Mapping[str, Provenance]] = {
    "real": "real",
    "replay": "virtual",
    "generated": "virtual",
    "virtual": "virtual",
}
"""Recorded data is no market of today: its evidence is shown, and counts nowhere above sim."""
JOURNAL_FILLS: Final = "journal-fills.json"


def soak(criterion: str, hours: float, change: Change) -> Callable[[Summarise], Probe]:
    """Registers a soak of so many honest hours; ``change`` breaks a healthy campaign as catalogued."""

    def register(summarise: Summarise) -> Probe:
        def values_of(files: Mapping[str, bytes]) -> Values:
            evidence = from_files(files)
            return summarise(evidence, judge(evidence))

        def measure(context: ProbeContext) -> Measurement:
            files = campaign_files(context)
            evidence = from_files(files)
            honest = judge(evidence)
            context.tell(f"{honest.seconds / 3_600:.1f} h of {hours:g} h")
            return Measurement(
                values=summarise(evidence, honest),
                artefacts=files,
                provenance=PROVENANCES[evidence.state.identity.provenance],
            )

        def mutated(context: ProbeContext) -> Measurement:
            del context
            files = broken(hours, change)
            return Measurement(values_of(files), files, provenance="virtual")

        entry = probe(criterion)(measure)
        entry.mutation(mutated)
        entry.recompute(values_of)
        return entry

    return register


def campaign_files(context: ProbeContext) -> dict[str, bytes]:
    """Raw files of the present campaign. Raises CannotMeasureError."""
    try:
        files = read_files(campaigns.find(context.data_dir))
        from_files(files)
    except (CampaignRefused, SeriesDamaged, KeyError, OSError) as error:
        raise CannotMeasureError(f"no campaign that can be read: {error}") from error
    return {name: files[name] for name in RAW_FILES if name in files}


def _value(value: float, unit: str, samples: int, *, complete: bool = True) -> MeasuredValue:
    """A value; one that the campaign is too young for rests on no sample, so it is red."""
    return MeasuredValue(value, unit, samples if complete else 0)


def _wall(honest: Honest) -> MeasuredValue:
    return MeasuredValue(round(honest.seconds, 3), "s", 1)


def _day_one(evidence: Evidence) -> Evidence:
    return evidence.day(1, DAY_S)


def _crashes(evidence: Evidence) -> int:
    """Lives that ended without order. The running one has no end yet."""
    return evidence.state.crashes + sum(not life.ended for life in evidence.state.lives[:-1])


# ---- day 1 ----------------------------------------------------------------------------------------------


def _hidden_restart(model: Model) -> None:
    """The process is another one from the twelfth hour on, and every counter says nothing of it."""
    _each(model, 720, lambda one, index: one.change(index, "", process_age_s=(index - 720) * 60.0))


def _each(model: Model, begin: int, change: Callable[[Model, int], None]) -> None:
    for index in range(begin, model.count):
        change(model, index)


@soak("paper-day1-no-crash", 24, _hidden_restart)
def day1_no_crash(evidence: Evidence, honest: Honest) -> Values:
    """Processes are told apart by the kernel's start times in the samples."""
    day = judge(_day_one(evidence))
    restarts = max(day.restarts, honest.restarts, evidence.state.restarts)
    return {
        "wall_clock_s": _wall(honest),
        "crashes": MeasuredValue(_crashes(evidence), "count", len(evidence.state.lives)),
        "restarts": MeasuredValue(restarts, "count", len(evidence.samples)),
    }


def _retain_messages(model: Model) -> None:
    _each(model, 0, lambda one, i: one.change(i, "process", rss_bytes=120_000_000 + 60_000 * i))


@soak("paper-day1-memory-stable", 24, _retain_messages)
def day1_memory(evidence: Evidence, honest: Honest) -> Values:
    """Upper end of the slope's interval over the first day, after an hour of warm-up."""
    samples = warm(_day_one(evidence).longest_life())
    found = slope_per_hour(samples, resident_mb)
    upper = 0.0 if found is None else round(found.high, 6)
    complete = found is not None and honest.seconds >= DAY_S
    return {"rss_slope_upper_mb_per_h": _value(upper, "MB/h", len(samples), complete=complete)}


def _drop_acknowledgements(model: Model) -> None:
    model.orders = [one for one in model.orders if one.what == "submit" or not one.client_id.startswith("o7")]


@soak("paper-day1-trades-executing", 24, _drop_acknowledgements)
def day1_trades(evidence: Evidence, honest: Honest) -> Values:
    """Orders without a terminal state that the series explain, beyond those that still rest in the book."""
    day = _day_one(evidence)
    complete = honest.seconds >= DAY_S
    open_ = [one for one in day.orders if not one.explained]
    last = evidence.samples[-1] if evidence.samples else None
    resting = (
        0 if last is None or last.trading is None or complete_run(evidence) else last.trading.orders_open
    )
    slow = [one for one in day.orders if one.latency_ms is not None and one.latency_ms > MAX_UNKNOWN_S * 1e3]
    lost = [one for one in day.orders if not one.answer and not one.explained]
    waited = day.each(lambda one: None if one.trading is None else one.trading.unknown_max_s)
    over = max(len(slow) + max(0, len(lost) - resting), sum(age > MAX_UNKNOWN_S for _, age in waited))
    return {
        "unexplained_intents": _value(
            max(0, len(open_) - resting), "count", len(day.orders), complete=complete
        ),
        "unknown_over_10s": _value(over, "count", len(day.orders), complete=complete),
    }


def complete_run(evidence: Evidence) -> bool:
    """Whether the last life has ended: then nothing rests any more."""
    return bool(evidence.state.lives) and bool(evidence.state.lives[-1].ended)


def _skip_snapshots(model: Model) -> None:
    _each(model, 0, lambda one, index: one.change(index, "feed", resynced=0))


@soak("paper-day1-ws-stable", 24, _skip_snapshots)
def day1_streams(evidence: Evidence, honest: Honest) -> Values:
    """Unplanned reconnects of the worst hour; fills that the ledger has and the series do not.

    A disconnect after which no snapshot and no equal ledger was seen may have lost a fill: it counts as one.
    """
    day = _day_one(evidence)
    complete = honest.seconds >= DAY_S
    worst = 0.0
    for hour in range(24):
        part = day.day(hour + 1, 3_600.0)
        all_ = part.grown(lambda one: None if one.feed is None else one.feed.reconnects) or 0
        planned = part.grown(lambda one: None if one.feed is None else one.feed.planned_reconnects) or 0
        worst = max(worst, all_ - planned)
    reconnects = day.grown(lambda one: None if one.feed is None else one.feed.reconnects) or 0
    resynced = day.grown(lambda one: None if one.feed is None else one.feed.resynced) or 0
    booked, told = day.traded(lambda one: one.ledger_fills), day.traded(lambda one: one.fills)
    lost = max(0, (booked or 0) - (told or 0)) + max(0, reconnects - resynced)
    samples = len([one for one in day.samples if one.feed is not None])
    return {
        "unplanned_reconnects_per_h": _value(worst, "count", samples, complete=complete),
        "lost_fills": _value(lost, "count", samples, complete=complete and booked is not None),
    }


# ---- days 2 and 3 ---------------------------------------------------------------------------------------


def _throttle(model: Model) -> None:
    """From hour 40 on, half of the executions silently do not happen any more."""
    begin = 40 * 60
    before = model.samples[begin].trading
    assert before is not None
    for index in range(begin, model.count):
        trading = model.samples[index].trading
        assert trading is not None
        model.change(index, "trading", fills=before.fills + (trading.fills - before.fills) // 4)


@soak("paper-day2-execution-rate", 72, _throttle)
def day2_rate(evidence: Evidence, honest: Honest) -> Values:
    """Hours of days 2 and 3 whose fills per signal leave the limits that day 1 has set."""
    rates = [
        (one.hour, (one.fills or 0) / one.signals, one.signals)
        for one in hours_of(evidence)
        if one.signals is not None and one.signals >= MIN_SIGNALS
    ]
    first = [rate for hour, rate, _ in rates if hour < 24]
    later = [(rate, count) for hour, rate, count in rates if 24 <= hour < 72]
    complete = honest.seconds >= 3 * DAY_S and bool(first) and bool(later)
    out = 0
    if first:
        middle, spread = median(first), robust_deviation(first)
        for rate, count in later:
            # Few signals scatter by themselves: never less than the noise of that many trials.
            share = min(max(middle, 0.0), 1.0)
            noise = (share * (1 - share) / count) ** 0.5
            out += abs(rate - middle) > ROBUST_DEVIATIONS * max(spread, noise)
    return {"out_of_control_hours": _value(out, "count", len(later), complete=complete)}


def _leak_descriptors(model: Model) -> None:
    _each(model, 0, lambda one, index: one.change(index, "process", descriptors=24 + 4 * index))


@soak("paper-day2-resources", 72, _leak_descriptors)
def day2_resources(evidence: Evidence, honest: Honest) -> Values:
    """The largest share of any hard limit: processor by hour, memory, disk, descriptors, tasks by sample."""
    shares: list[float] = []
    unknown = 0
    for one in evidence.samples:
        process = one.process
        pairs = (
            (process.rss_bytes, RSS_MAX_MB * 1e6),
            (process.descriptors, process.descriptor_limit),
            (process.tasks, MAX_TASKS),
            (_less(process.disk_total_bytes, process.disk_free_bytes), process.disk_total_bytes),
        )
        for used, limit in pairs:
            if used is None or not limit:
                unknown += 1
            else:
                shares.append(used / limit)
    cores = [one.process.cpu_limit for one in evidence.samples if one.process.cpu_limit]
    for hour in hours_of(evidence):
        if hour.cpu_share is not None and cores:
            shares.append(hour.cpu_share / min(cores))
    complete = honest.seconds >= 3 * DAY_S and not unknown and bool(cores)
    most = round(max(shares, default=0.0), 6)
    return {"max_resource_utilisation": _value(most, "ratio", len(shares), complete=complete)}


def _less(whole: int | None, part: int | None) -> int | None:
    return None if whole is None or part is None else whole - part


# ---- days 4 and 5, and the whole ------------------------------------------------------------------------


def _accelerate(model: Model) -> None:
    """Wall and monotonic clock run a hundred times as fast as the machine."""

    def slower(one: Model, index: int) -> None:
        sample = one.samples[index]
        boottime_ns = 10**12 + (sample.boottime_ns - 10**12) // 100
        one.change(index, "", boottime_ns=boottime_ns, process_age_s=5.0 + (boottime_ns - 10**12) / 1e9)

    _each(model, 0, slower)


@soak("paper-120h-continuous", 120, _accelerate)
def continuous(evidence: Evidence, honest: Honest) -> Values:
    """Honest hours of one run; the checklist's rows out of range; days and trades."""
    checklist = evaluate(evidence, 120)
    out = [row for row in checklist.red if row.id != "C01"]
    trades = round_trips(evidence.fills)
    return {
        "wall_clock_s": _wall(honest),
        "metrics_out_of_range": MeasuredValue(len(out), "count", len(checklist.rows)),
        "campaign_days": MeasuredValue(round(honest.seconds / DAY_S, 6), "days", 1),
        "trades": MeasuredValue(len(trades), "count", max(1, len(trades))),
    }


def _cache_results(model: Model) -> None:
    _each(model, 0, lambda one, i: one.change(i, "process", heap_bytes=20_000_000 + 900 * i))


@soak("paper-no-memory-leak", 120, _cache_results)
def no_leak(evidence: Evidence, honest: Honest) -> Values:
    """Slopes whose whole 95 % interval is above 0, of heap, resident memory, tasks and descriptors."""
    samples = warm(evidence.longest_life())
    slopes = [
        slope_per_hour(samples, lambda one: one.process.heap_bytes),
        slope_per_hour(samples, resident_mb),
        slope_per_hour(samples, lambda one: one.process.tasks),
        slope_per_hour(samples, lambda one: one.process.descriptors),
    ]
    known = [one for one in slopes if one is not None]
    positive = sum(one.low > 0 for one in known)
    complete = len(known) == len(slopes) and honest.seconds >= 5 * DAY_S
    return {"slopes_significantly_positive": _value(positive, "count", len(samples), complete=complete)}


def _rename_log(model: Model) -> None:
    """The file is renamed under the open handle: nothing is closed any more, and it grows."""
    _each(
        model,
        0,
        lambda one, i: one.change(i, "logs", log_rotations=0, log_file_max_bytes=2_000 * i),
    )


@soak("paper-log-rotation", 120, _rename_log)
def log_rotation(evidence: Evidence, honest: Honest) -> Values:
    """Rotations, the largest file, and what the audit trail lacks: checks, samples, fills."""
    complete = honest.seconds >= 5 * DAY_S
    rotations = evidence.grown(lambda one: one.logs.log_rotations)
    sizes = evidence.each(lambda one: one.logs.log_file_max_bytes)
    largest = max((size for _, size in sizes), default=0.0) / 1e6
    checks = [one for one in evidence.drills if one.drill == "journal" and one.ran]
    numbers = [one.number for one in evidence.samples]
    missing = sum(max(0, after - before - 1) for before, after in pairwise(numbers))
    booked, told = evidence.traded(lambda one: one.ledger_fills), evidence.traded(lambda one: one.fills)
    missing += sum(not one.passed for one in checks) + int(max(0, (booked or 0) - (told or 0)))
    return {
        "rotations": _value(rotations or 0, "count", len(sizes), complete=complete),
        "max_log_file_mb": _value(round(largest, 6), "MB", len(sizes), complete=complete),
        "audit_records_missing": _value(missing, "count", len(checks), complete=complete),
    }


def _reject_at_random(model: Model) -> None:
    model.orders = [
        OrderLine(what="reject", at_ns=one.at_ns, client_id=one.client_id, code="random")
        if one.what == "ack" and model.random.random() < 0.04
        else one
        for one in model.orders
    ]


@soak("paper-trade-success", 24, _reject_at_random)
def trade_success(evidence: Evidence, honest: Honest) -> Values:
    """Accepted of sent; a miss needs a reason of a venue's rules, a random refusal has none."""
    acked, sent, _ = order_success(evidence)
    known = {str(code) for code in RejectCode}
    nameless = sum(
        one.answer in ("reject", "uncertain") and one.code not in known
        for one in evidence.orders
        if one.submitted_ns is not None
    )
    complete = honest.seconds >= DAY_S and sent > 0
    share = round(acked / sent, 9) if sent else 0.0
    return {
        "trade_success": _value(share, "ratio", sent, complete=complete),
        "misses_without_reason": _value(nameless, "count", sent, complete=complete),
    }


def _within_an_hour(model: Model) -> None:
    """Every line says 24 h of campaign, and all of them were written within one."""

    def squeeze(one: Model, index: int) -> None:
        sample = one.samples[index]
        part_ns = (sample.wall_ns - BEGAN_NS) // 25
        one.change(
            index,
            "",
            wall_ns=BEGAN_NS + part_ns,
            monotonic_ns=10**12 + part_ns,
            boottime_ns=10**12 + part_ns,
            process_age_s=5.0 + part_ns / 1e9,
        )

    _each(model, 0, squeeze)


@soak("paper-24h-operation", 24, _within_an_hour)
def operation_24h(evidence: Evidence, honest: Honest) -> Values:
    """Honest hours, what interrupted them, and reconciliation breaks."""
    interruptions = max(honest.restarts, evidence.state.restarts) + _crashes(evidence)
    interruptions += len(evidence.state.clock_defects) + len(evidence.state.problems)
    breaks = evidence.traded(lambda one: one.reconciliation_breaks)
    return {
        "wall_clock_s": _wall(honest),
        "unplanned_interruptions": MeasuredValue(interruptions, "count", len(evidence.samples)),
        "reconciliation_breaks": MeasuredValue(breaks or 0, "count", 0 if breaks is None else 1),
    }


# ---- profit ---------------------------------------------------------------------------------------------


def profit_values(evidence: Evidence, honest: Honest, journal_ids: set[str]) -> Values:
    """Profit of the account's marked equity; what one trade earns; fills that the journal does not know."""
    equity = [
        Decimal(one.trading.equity)
        for one in evidence.samples
        if one.trading and one.trading.equity is not None
    ]
    dollars = evidence.state.identity.currency in ("USD", "USDT", "USDC")
    net = float(equity[-1] - equity[0]) if equity else 0.0
    trades = round_trips(evidence.fills)
    found = mean([float(one) for one in trades])
    capital = float(equity[0]) if equity else 0.0
    lower = 0.0 if found is None or not capital else found.low / capital
    fabricated = sum(one.trade_id not in journal_ids for one in evidence.fills)
    fall = drawdown(equity)
    real = honest.seconds > 0
    return {
        "paper_net_profit_usd": _value(round(net, 6), "USD", len(equity), complete=real and dollars),
        "expectancy_ci_lower": _value(round(lower, 12), "ratio", len(trades), complete=real),
        "fabricated_trades": MeasuredValue(fabricated, "count", max(1, len(evidence.fills))),
        "drawdown_ratio": _value(round(fall or 0.0, 9), "ratio", len(equity), complete=fall is not None),
    }
