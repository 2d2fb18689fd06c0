"""What a report says, as plain data: the same for JSON, HTML, Markdown and PDF."""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec

from .checklist import as_document, evaluate
from .evidence import Evidence
from .rows import Checklist, Row
from .state import DAY_S
from .tables import moment

VERDICT_WORDS: Final = {
    "pass": "PASS",
    "fail": "FAIL",
    "insufficient": "TOO FEW",
    "pending": "PENDING",
    "not_run": "NOT RUN",
    "reported": "reported",
    "invalid": "INVALID",
}
ADVICE: Final = {
    "C01": "Let it run. After a crash read DATA/logs; the same `paper start` continues, but only an unbroken "
    "run passes.",
    "C02": "Compare the memory plot with heap and tasks in metrics.csv: what grows beside it is the cause.",
    "C03": "Look in hourly.csv in which hour it began, and in the log what was opened then.",
    "C04": "orders.csv, column preventable: our own checks let an order pass that the venue had to refuse.",
    "C05": "orders.csv, column code: why orders were refused.",
    "C06": "hourly.csv, live_share: when the stream was down; the log says why.",
    "C07": "metrics.csv, api_error_classes. Too few requests: only time helps.",
    "C08": "A nonce reject means that somebody else uses the key, or that its state was lost.",
    "C09": "Compare with the wire's share: what is above it is ours.",
    "C10": "Halt. Ledger and venue differ, or an order had no answer: see docs/runbooks.",
    "C11": "Halt. Money differs between ledger and engine.",
    "C12": "`tradewind journal verify`, and the sizes in DATA/logs.",
    "C13": "Halt. A limit did not hold, or an order took a step that its states do not have.",
    "C14": "Deliver alerts to a sink, then let the drill run.",
    "C15": "The kill switch is what everything else relies on: drill it by hand before going on.",
    "C16": "The log names the connection that was slow to come back.",
    "C17": "The mirror differs from the venue's book: fills of this campaign are worth less.",
}


def own_gate(evidence: Evidence) -> int:
    """The gate that a campaign of this length is meant for."""
    return 24 if evidence.state.identity.hours <= 24 else 120


def campaign_document(evidence: Evidence) -> dict[str, Any]:
    """`campaign.json`: identity, lives, time, drills."""
    state = evidence.state
    return {
        "identity": msgspec.to_builtins(state.identity),
        "started_utc": moment(state.lives[0].first.wall_ns) if state.lives else "",
        "last_seen_utc": moment(state.lives[-1].last.wall_ns) if state.lives else "",
        "finished": state.finished,
        "hours": round(state.hours, 6),
        "evidence_hours": round(state.real_s / 3_600, 6),
        "unbroken_hours": round(state.unbroken_s / 3_600, 6),
        "downtime_s": round(state.downtime_s, 3),
        "suspended_s": round(state.suspended_s, 3),
        "uptime": None if state.uptime is None else round(state.uptime, 6),
        "restarts": state.restarts,
        "crashes": state.crashes,
        "clock_defects": state.clock_defects,
        "problems": state.problems,
        "lives": [msgspec.to_builtins(life) for life in state.lives],
        "checkpoints": [msgspec.to_builtins(one) for one in state.checkpoints],
        "drills": [msgspec.to_builtins(one) for one in evidence.drills],
        "samples": len(evidence.samples),
        "orders": len(evidence.orders),
        "fills": len(evidence.fills),
    }


def days_begun(evidence: Evidence) -> int:
    """Days of campaign time that have begun."""
    return max(1, math.ceil(evidence.state.counted_s / DAY_S))


def day_document(evidence: Evidence, number: int) -> dict[str, Any]:
    """`day-NN.json`: the checklist of one day of campaign time."""
    day = evidence.day(number, DAY_S)
    return {
        "day": number,
        "complete": evidence.state.counted_s >= number * DAY_S,
        "hours": round(day.covered_s / 3_600, 6),
        "checklist": as_document(evaluate(day, 24, daily=True)),
    }


def checklist_document(evidence: Evidence) -> dict[str, Any]:
    """`checklist.json`: both gates over the whole campaign."""
    own = own_gate(evidence)
    return {
        "campaign": evidence.state.identity.name,
        "own_gate": own,
        "passed": evaluate(evidence, own).passed,
        "gates": {str(hours): as_document(evaluate(evidence, hours)) for hours in (24, 120)},
    }


def headline(evidence: Evidence, checklist: Checklist) -> str:
    """One sentence: green or red, how far, and what counts."""
    state = evidence.state
    far = f"{_hours(state.hours)} of {state.identity.hours:g} h"
    if checklist.passed:
        return f"GREEN at the {checklist.gate_hours} h gate after {far}."
    failed = [row.id for row in checklist.red if row.verdict in ("fail", "invalid")]
    open_ = [row.id for row in checklist.red if row.verdict not in ("fail", "invalid")]
    parts = [
        *([f"{' '.join(failed)} failed"] if failed else []),
        *([f"{' '.join(open_)} not decided yet"] if open_ else []),
    ]
    return f"RED at the {checklist.gate_hours} h gate, {far}: {'; '.join(parts)}."


def _hours(hours: float) -> str:
    return f"{hours:.1f}" if hours >= 1 else f"{hours:.3f}"


def worth(evidence: Evidence) -> str:
    """What the hours of this campaign count for."""
    provenance = evidence.state.identity.provenance
    return {
        "real": "Live market on the real clock: these hours are evidence.",
        "replay": "Recorded market at its own speed: a rehearsal. None of these hours are evidence.",
        "generated": "Generated market: no real market stands behind this. None of these hours are evidence.",
        "virtual": "Compressed time: a test of memory and endurance. None of these hours are evidence.",
    }[provenance]


def advice(row: Row) -> str:
    """What to do about a red row."""
    return ADVICE.get(row.id, "")
