"""A back-test as one plain document: JSON writes it, Markdown and HTML render it. No clock, no host in it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from .admission import Admission
from .choose import Chosen
from .data import MarketData
from .folds import OutOfSample
from .lookahead import LookAhead
from .metrics import CAPACITY_BPS, Results
from .points import PointResult
from .run import Facts, Setting
from .statistics import MIN_TRADES, deflated_sharpe, expected_best_sharpe, minimum_track_record
from .survey import Survey
from .trials import TrialCount

INSUFFICIENT: Final = "insufficient"
IN_SAMPLE: Final = "in-sample"
INVALID_FEES: Final = "invalid: fees below the account's schedule"
MAX_LISTED: Final = 20


class Findings(msgspec.Struct, kw_only=True):
    """Everything that one back-test found, before it is written."""

    data: MarketData
    chosen: Chosen
    version: str
    setting: Setting
    account_schedule: str
    facts: Facts
    survey: Survey
    results: Results
    folds: OutOfSample
    forward: OutOfSample
    first_look: bool
    trials: TrialCount
    trial_log: str
    dsr: float | None
    fees_low: bool
    look_ahead: LookAhead | None
    perturbed: list[PointResult] | None
    admission: Admission
    run_id: str


def moment(at_ns: int) -> str:
    """UTC text of a moment."""
    return f"{datetime.fromtimestamp(at_ns // 10**9, UTC):%Y-%m-%d %H:%M:%S}.{at_ns % 10**9 // 10**6:03d}"


def figure(value: float | Decimal | None, digits: int = 2) -> str:
    """A number for people; what is not known is `insufficient`."""
    return INSUFFICIENT if value is None else f"{value:,.{digits}f}"


def labels(found: Findings) -> list[str]:
    """What a reader must know before the first number."""
    texts = []
    results, n = found.results, found.results.sample.n
    if found.fees_low:
        texts.append(INVALID_FEES)
    if n < MIN_TRADES:
        texts.append(f"{INSUFFICIENT}: {n} trades, no ratios below {MIN_TRADES}")
    length = _track_record(found)
    if n >= MIN_TRADES and (length is None or length > n):
        need = "no length is enough" if length is None else f"{length:,.0f} trades are needed"
        texts.append(f"{INSUFFICIENT}: the track record of {n} trades is too short, {need}")
    if not found.first_look:
        texts.append(f"{IN_SAMPLE}: {found.trials.looked_before} other trial(s) saw these data first")
    if found.data.kind != "capture":
        texts.append(f"data: {found.data.kind}")
    if found.survey.gaps:
        texts.append(f"{len(found.survey.gaps)} gap(s) in the data were allowed")
    if found.facts.strategy_error:
        texts.append(f"the strategy was halted: {found.facts.strategy_error}")
    if results.open_lots:
        texts.append("a position is open at the end; it is valued at the middle")
    return texts


def _track_record(found: Findings) -> float | None:
    star = expected_best_sharpe(found.trials.trials, found.trials.variance)
    return None if star is None else minimum_track_record(found.results.sample, star)


def document(found: Findings) -> dict[str, Any]:
    """The whole report as plain data; money is text."""
    facts = found.facts
    return {
        "run": found.run_id,
        "labels": labels(found),
        "strategy": {
            "name": found.chosen.source,
            "version": found.version,
            "symbol": found.setting.symbol,
            "code_hash": found.chosen.code_hash,
            "parameters": found.chosen.values,
        },
        "data": _data(found),
        "setting": {
            "cash": f"{found.setting.cash} {facts.currency}",
            "schedule": f"{facts.fees.name}: maker {facts.fees.maker_bps}, taker {facts.fees.taker_bps} bps",
            "account_schedule": found.account_schedule,
            "latency": msgspec.to_builtins(found.setting.latency),
            "queue": found.setting.queue,
            "profile": f"{found.setting.profile} {facts.profile_hash}",
            "seed": found.setting.seed,
        },
        "result": _result(found),
        "ratios": _ratios(found),
        "out_of_sample": {
            "first_look": found.first_look,
            "walk_forward": outside_of(found.forward),
            "folds": outside_of(found.folds),
        },
        "orders": _orders(facts),
        "look_ahead": None if found.look_ahead is None else msgspec.to_builtins(found.look_ahead),
        "perturbed": None if found.perturbed is None else [_point(one) for one in found.perturbed],
        "admission": msgspec.to_builtins(found.admission),
        "trials": {"log": found.trial_log, **msgspec.to_builtins(found.trials)},
        "tape": facts.tape_hash,
    }


def _data(found: Findings) -> dict[str, Any]:
    survey = found.survey
    return {
        "label": found.data.label,
        "kind": found.data.kind,
        "hash": found.data.hash,
        "files": [msgspec.to_builtins(one) for one in found.data.files],
        "from": moment(found.facts.start_ns),
        "to": moment(found.facts.end_ns),
        "span_s": round(survey.span_ns / 10**9, 3),
        "events": dict(sorted(survey.events.items())),
        "gaps": survey.gaps[:MAX_LISTED],
        "assumptions": list(found.data.assumptions),
        "mean_spread_bps": found.results.spread_bps,
    }


def _result(found: Findings) -> dict[str, Any]:
    results = found.results
    parts = results.attribution
    return {
        "gross": parts.gross,
        "spread": parts.spread,
        "slippage": parts.slippage,
        "adverse_selection": parts.adverse_selection,
        "fees": parts.fees,
        "funding": parts.funding,
        "costs": parts.costs,
        "net": parts.net,
        "trades": len(results.trades),
        "mean_per_trade_bps": _interval(results.mean_bps, 4),
        "mean_per_trade_quote": _interval(results.mean_quote, 6),
        "win_rate": rounded(results.win_rate, 4),
        "max_drawdown_pct": rounded(results.drawdown_pct, 4),
        "drawdown_from": moment(results.drawdown_from_ns),
        "drawdown_to": moment(results.drawdown_to_ns),
        "turnover": results.turnover_quote,
        "turnover_of_cash": results.turnover_of_cash,
        "turnover_a_day_of_cash": results.turnover_a_day_of_cash,
        "exposure_pct": rounded(results.exposure_pct, 3),
        "mean_holding_s": rounded(results.mean_holding_s, 3),
        "open_position": sum((one.sign * one.quantity for one in results.open_lots), Decimal(0)),
        "open_mark": results.open_mark,
        "capacity_quote": {
            f"{bps} bps": _or_insufficient(results.capacity_quote[str(bps)], 0) for bps in CAPACITY_BPS
        },
    }


def _ratios(found: Findings) -> dict[str, Any]:
    """Below 30 trades none of them; a value that the formula does not give is `insufficient`."""
    results = found.results
    if not results.enough:
        return {"n": results.sample.n, "note": f"{INSUFFICIENT}: fewer than {MIN_TRADES} trades"}
    psr = deflated_sharpe(results.sample, 1, None)
    length = _track_record(found)
    star = expected_best_sharpe(found.trials.trials, found.trials.variance)
    return {
        "n": results.sample.n,
        "sharpe_per_trade": _or_insufficient(results.sample.sharpe, 6),
        "skew": _or_insufficient(results.sample.skew, 4),
        "kurtosis": _or_insufficient(results.sample.kurtosis, 4),
        "psr": _or_insufficient(psr, 6),
        "benchmark_of_dsr": _or_insufficient(star, 6),
        "dsr": _or_insufficient(found.dsr, 6),
        "trials": found.trials.trials,
        "minimum_track_record_trades": _or_insufficient(length, 0),
        "period_s": results.period_s,
        "periods": results.periods,
        **_annual(found, long_enough=length is not None and length <= results.sample.n),
    }


def _annual(found: Findings, *, long_enough: bool) -> dict[str, Any]:
    """Ratios on 365 days. Of a record shorter than the minimum they would be a big number about nothing."""
    sharpe, sortino = found.results.sharpe, found.results.sortino
    values = {
        "sharpe_365d": sharpe.annual,
        "sharpe_365d_low": sharpe.annual_low,
        "sharpe_365d_high": sharpe.annual_high,
        "sortino_365d": sortino.annual,
    }
    return {name: _or_insufficient(value if long_enough else None, 3) for name, value in values.items()}


def _orders(facts: Facts) -> dict[str, Any]:
    states: dict[str, int] = {}
    for one in facts.orders:
        states[one.state] = states.get(one.state, 0) + 1
    return {
        "orders": len(facts.orders),
        "fills": len(facts.fills),
        "maker_fills": sum(1 for one in facts.fills if one.maker),
        "states": dict(sorted(states.items())),
        "denied_by_risk": facts.denials,
        "rejected_by_venue": facts.rejects,
        "preventable_rejects": facts.counters.get("preventable_rejects", 0),
        "refused_mirror_actions": facts.refused_mirror_actions,
        "alarms": facts.alarms[:MAX_LISTED],
        "strategy_note": facts.strategy_note,
    }


def outside_of(found: OutOfSample) -> dict[str, Any]:
    """Segments and their total as plain data."""
    return {
        "method": found.method,
        "embargo_s": round(found.embargo_ns / 10**9, 3),
        "trades": found.trades,
        "mean_bps": _interval(found.mean_bps, 4),
        "segments": [
            {
                "segment": one.number,
                "from": moment(one.from_ns),
                "to": moment(one.to_ns),
                "chosen": one.chosen,
                "train_trades": one.train_trades,
                "train_mean_bps": rounded(one.train_mean_bps, 4),
                "test_trades": one.test_trades,
                "test_mean_bps": rounded(one.test_mean_bps, 4),
            }
            for one in found.segments
        ],
    }


def _point(one: PointResult) -> dict[str, Any]:
    return {
        "name": one.name,
        "trades": one.trades,
        "net": one.net,
        "mean_bps": rounded(one.mean_bps, 4),
        "error": one.error,
    }


def _interval(interval: Any, digits: int) -> dict[str, Any]:
    return {
        "n": interval.n,
        "mean": rounded(interval.mean, digits),
        "low_95": rounded(interval.low, digits),
        "high_95": rounded(interval.high, digits),
        "block": interval.block,
    }


def rounded(value: float | None, digits: int) -> float | None:
    """None stays None."""
    return None if value is None else round(value, digits)


def _or_insufficient(value: float | None, digits: int) -> float | str:
    return INSUFFICIENT if value is None else round(value, digits)


def encode(value: Mapping[str, Any]) -> bytes:
    """JSON with money as text and a fixed order: the same findings give the same bytes."""
    plain = msgspec.to_builtins(value, enc_hook=str)
    return msgspec.json.format(msgspec.json.encode(plain), indent=1) + b"\n"
