"""The soaks of area `trader`: orders and money from a campaign's raw files, the ramp from the log of canary.

Nothing is green before the time is over: without a run there is no value, and the reason says how far it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import msgspec

from tradewind.core import journal
from tradewind.core.errors import TradewindError
from tradewind.core.events import decode_notes
from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.journal_range import JOURNAL_FOLDER
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.drill import Facts, drill
from tradewind.readiness.probes.paper_model import Model
from tradewind.readiness.probes.paper_soak import Values, soak
from tradewind.readiness.record import MeasuredValue
from tradewind.trader.campaign.checklist_trading import order_success
from tradewind.trader.campaign.evidence import Evidence
from tradewind.trader.campaign.honesty import Honest
from tradewind.trader.campaign.money import round_trips
from tradewind.trader.campaign.samples import OrderLine
from tradewind.trader.campaign.state import DAY_S
from tradewind.trader.campaign.statistics import mean
from tradewind.trader.ramp.book import RAMP_TYPES, Ramp
from tradewind.trader.ramp.policy import Cause
from tradewind.trader.ramp.records import RampMove, RampTally
from tradewind.trader.ramp.stages import Stages, changed_dimensions, load_stages
from tradewind.trader.records import TRADER_STREAM, decode
from tradewind.venues.codes import RejectCode

NS: Final = 1_000_000_000
DAY_NS: Final = DAY_S * NS
STEP_DAYS: Final = 14
STEP_TRIPS: Final = 200
MODEL_BEGIN_NS: Final = 1_790_000_000 * NS
RAMP_NOTE: Final = b'{"type":"Ramp'
Records = Sequence[Mapping[str, Any]]


# ---- orders and money of a campaign ----------------------------------------------------------------------


def _without_the_filter_check(model: Model) -> None:
    """Orders leave that the venue's own filters refuse: each could have been known."""
    for index, one in enumerate(model.orders):
        if one.what == "ack" and index % 40 == 0:
            model.orders[index] = OrderLine(
                what="reject", at_ns=one.at_ns, client_id=one.client_id,
                code=str(RejectCode.OFF_TICK), preventable=True,
            )  # fmt: skip


@soak("trader-order-success", 24, _without_the_filter_check)
def order_placements(evidence: Evidence, honest: Honest) -> Values:
    """Accepted of those sent; what we should have known; what the venue refused on its own."""
    acked, sent, refused = order_success(evidence)
    preventable = sum(one.preventable for one in evidence.orders if one.submitted_ns is not None)
    samples = sent if honest.seconds >= DAY_S else 0
    return {
        "placement_success": MeasuredValue(round(acked / sent, 9) if sent else 0.0, "ratio", samples),
        "preventable_rejects": MeasuredValue(preventable, "count", samples),
        "venue_reject_ratio": MeasuredValue(round(refused / sent, 9) if sent else 1.0, "ratio", samples),
    }


def _fees_above_the_profit(model: Model) -> None:
    """Who leaves fees out sees a profit here; with them every trip loses."""
    model.fills = [msgspec.structs.replace(one, fee="1") for one in model.fills]


@soak("trader-net-return", 14 * 24, _fees_above_the_profit)
def net_return(evidence: Evidence, honest: Honest) -> Values:
    """Every round trip after all fees, on the equity at the beginning."""
    trips = round_trips(evidence.fills)
    equity = [
        one.trading.equity for one in evidence.samples if one.trading and one.trading.equity is not None
    ]
    capital = Decimal(equity[0]) if equity else Decimal(0)
    found = mean([float(one) for one in trips])
    samples = len(trips) if honest.seconds > 0 and capital > 0 else 0
    share = float(sum(trips, Decimal(0)) / capital) if capital > 0 else 0.0
    return {
        "net_return": MeasuredValue(round(share, 12), "ratio", samples),
        "trades": count(len(trips), max(1, samples)),
        "ci_reported": MeasuredValue(int(found is not None), "bool", samples),
    }


# ---- the ramp --------------------------------------------------------------------------------------------


def records_of(data: Path) -> list[dict[str, Any]]:
    """Every record of the ramp in a log, oldest first. Raises CannotMeasureError."""
    found: list[dict[str, Any]] = []
    try:
        for batch in journal.batches(data / JOURNAL_FOLDER):
            for note in decode_notes(batch.notes):
                if note.stream == TRADER_STREAM and bytes(note.payload[:16]).startswith(RAMP_NOTE):
                    record = decode(note.payload)
                    if isinstance(record, RAMP_TYPES):
                        found.append({"type": type(record).__name__, **msgspec.to_builtins(record)})
    except (TradewindError, OSError) as error:
        raise CannotMeasureError(f"no log that can be read: {error}") from error
    return found


def stay(records: Records, stage: str) -> dict[str, Any]:
    """The last stay in a stage: when it began and ended, and what was counted in it. Raises
    CannotMeasureError when the log has none.
    """
    began: int | None = None
    ended, left_by, tally = 0, "", None
    for one in records:
        if one["type"] == RampMove.__name__:
            if one["to_stage"] == stage and one["from_stage"] != stage:
                began, ended, left_by, tally = one["at_ns"], 0, "", None
            elif one["from_stage"] == stage and began is not None and not ended:
                ended, left_by = one["at_ns"], one["cause"]
        elif one["type"] == RampTally.__name__ and one["stage"] == stage and began is not None and not ended:
            tally = one
    if began is None:
        raise CannotMeasureError(f"0.0 h: stage {stage} was never entered in this log")
    last = ended or (tally["at_ns"] if tally else began)
    return {"seconds": (last - began) / NS, "left_by": left_by, "tally": tally or {}}


def _looked(stage: str) -> Callable[[ProbeContext], Facts]:
    def observe(context: ProbeContext) -> Facts:
        records = records_of(context.data_dir)
        seconds = stay(records, stage)["seconds"]
        context.tell(f"{seconds / 3_600:.1f} h in stage {stage}")
        return _facts(records, load_stages())

    return observe


def _facts(records: Records, stages: Stages) -> dict[str, Any]:
    """The records with what the ladder itself is."""
    rungs = stages.rungs
    return {
        "records": list(records),
        "dimensions": [len(changed_dimensions(one, after)) for one, after in pairwise(rungs)],
        "steps_down": _steps_down(stages),
    }


def _steps_down(stages: Stages) -> list[str]:
    """Causes that leave a trader where it stood: each has to take it down from the second canary stage."""
    kept = []
    for cause in Cause:
        ramp = Ramp("canary", lambda: MODEL_BEGIN_NS, stages)
        ramp.fold(_moved("S3", "S4", 0))
        ramp.want(cause, "probe")
        ramp.due()
        if ramp.standing.stage.name == "S4":
            kept.append(cause.label)
    return kept


def _moved(before: str, after: str, days: float, cause: str = "approved") -> RampMove:
    return RampMove(
        from_stage=before, to_stage=after, cause=cause, detail="model", actors=("a", "b"), stages_hash="",
        at_ns=MODEL_BEGIN_NS + int(days * DAY_NS), promotion=cause == "approved",
    )  # fmt: skip


def model(days: float, trips: int, **changes: Any) -> list[dict[str, Any]]:
    """A ramp that climbed from paper to its second pair, each stage so long; for the mutations."""
    records: list[Any] = []
    for number, (before, after) in enumerate((("S2", "S3"), ("S3", "S4"), ("S4", "S5"), ("S5", "S6"))):
        records.append(_moved(before, after, number * days))
        tally = RampTally(
            stage=after, round_trips=trips, placements=2 * trips, acknowledged=2 * trips,
            preventable_rejects=0, venue_rejects=0, reconciliation_breaks=0, duplicates=0, orphans=0,
            limit_breaches=0, at_ns=MODEL_BEGIN_NS + int((number + 0.99) * days * DAY_NS),
            pairs=1 if after in ("S3", "S4") else 2, slippage_within_ci=True,
            max_order_quote=Decimal(5 if after == "S3" else 7),
        )  # fmt: skip
        records.append(msgspec.structs.replace(tally, **changes))
    return [{"type": type(one).__name__, **msgspec.to_builtins(one)} for one in records]


def _first(facts: Facts) -> Mapping[str, MeasuredValue]:
    found = stay(facts["records"], "S3")
    tally, days = found["tally"], found["seconds"] / DAY_S
    met = days >= STEP_DAYS or tally.get("round_trips", 0) >= STEP_TRIPS
    breaks = tally.get("reconciliation_breaks")
    return {
        "wall_clock_s": MeasuredValue(round(found["seconds"], 3), "s", 1),
        "reconciliation_breaks": MeasuredValue(breaks or 0, "count", int(breaks is not None)),
        "round_trips_or_days_met": MeasuredValue(int(met), "bool", int(bool(tally))),
    }


def _second(facts: Facts) -> Mapping[str, MeasuredValue]:
    tally = stay(facts["records"], "S4")["tally"]
    return {
        "max_order_notional_usdt": MeasuredValue(
            float(tally.get("max_order_quote", 0)), "USDT", tally.get("placements", 0)
        ),
        "dimensions_changed_per_step": count(max(facts["dimensions"]), len(facts["dimensions"])),
        "step_down_on_break": MeasuredValue(int(not facts["steps_down"]), "bool", len(Cause)),
    }


def _third(facts: Facts) -> Mapping[str, MeasuredValue]:
    tally = stay(facts["records"], "S5")["tally"]
    before = stay(facts["records"], "S4")["tally"]
    within = before.get("slippage_within_ci") is True
    return {
        "tradable_pairs": MeasuredValue(tally.get("pairs", 0), "count", tally.get("placements", 0)),
        "slippage_within_ci": MeasuredValue(int(within), "bool", max(1, before.get("placements", 0))),
    }


def _size_and_pairs_together() -> Stages:
    """A ladder whose second step raises both; the loader refuses such a file, the probe has to as well."""
    stages = load_stages()
    rungs = [msgspec.structs.replace(one, pairs=2) if one.name == "S4" else one for one in stages.rungs]
    return Stages(tuple(rungs), stages.hash)


stage_1 = drill(
    "trader-ramp-stage-1",
    observe=_looked("S3"),
    broken=lambda _: _facts(model(2.5, 10), load_stages()),  # it went on because the time was over
    summarise=_first,
)
stage_2 = drill(
    "trader-ramp-stage-2",
    observe=_looked("S4"),
    broken=lambda _: _facts(model(14, 200), _size_and_pairs_together()),
    summarise=_second,
)
stage_3 = drill(
    "trader-ramp-stage-3",
    observe=_looked("S5"),
    broken=lambda _: _facts(model(14, 200, slippage_within_ci=None), load_stages()),
    summarise=_third,
)
