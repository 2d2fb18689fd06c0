"""Where the trader stands, and whether it may go on: pure functions of records and facts (T17).

There is no score and no waiver. A promotion is a conjunction of named conditions; a demotion is one cause.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from typing import Final

import msgspec

from .records import RampApproval, RampMove, RampProposal, RampRecord, RampTally
from .stages import Stage, Stages

SECOND_NS: Final = 1_000_000_000
DAY_NS: Final = 86_400 * SECOND_NS
COOL_OFF_NS: Final = DAY_NS
PROPOSAL_NS: Final = DAY_NS
"""So long people may approve; what was green then may not be now."""
EDGE_FROM: Final = "S5"
"""From this stage on more size needs an edge that is above zero (T17.2)."""


class Cause(Enum):
    """Causes of demotion (T17.3): name in the journal, rungs down; None is straight to paper."""

    RECONCILIATION_BREAK = ("reconciliation_break", 1)
    UNKNOWN_FILL = ("unknown_fill", None)
    DAILY_LOSS = ("daily_loss", 1)
    DRAWDOWN = ("drawdown", 1)
    NONCE_REJECT = ("nonce_reject", 1)
    DUPLICATE_ORDER = ("duplicate_order", None)
    FOREIGN_ACTIVITY = ("foreign_activity", None)
    KILL_NOT_VERIFIED = ("kill_not_verified", None)
    EVIDENCE_EXPIRED = ("evidence_expired", 1)
    TRADING_CODE_CHANGED = ("trading_code_changed", 1)
    MONEY_PATH_CHANGED = ("money_path_changed", 2)
    ALERT_UNACKNOWLEDGED = ("alert_unacknowledged", 1)
    OPERATOR = ("operator", 1)

    def __init__(self, label: str, steps: int | None) -> None:
        self.label, self.steps = label, steps

    def target(self, stages: Stages, stage: Stage) -> Stage:
        """Where this cause sends a trader that stands on `stage`."""
        if self.steps is not None:
            return stages.below(stage, self.steps)
        return stages.below(stage, len(stages.rungs))


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """An open proposal with the people who approved it."""

    record: RampProposal
    approvals: tuple[RampApproval, ...] = ()

    @property
    def people(self) -> tuple[str, ...]:
        """Distinct, in the order of their word."""
        return tuple(dict.fromkeys(one.actor for one in self.approvals))


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where the trader stands."""

    stage: Stage
    entered_ns: int
    cool_off_until_ns: int = 0
    halved: bool = False
    """It came from above: the stay counts at half length (T17.3)."""
    proposal: Proposal | None = None
    last_number: int = 0
    tally: RampTally | None = None
    moves: tuple[RampMove, ...] = ()
    """The latest moves, newest last."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One criterion as the gate sees it."""

    criterion: str
    green: bool
    environment: str = ""
    provenance: str = "virtual"
    expires_ns: int = 0


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted in the present stage. None: it was not measured, which is never good enough."""

    round_trips: int = 0
    reconciliation_breaks: int | None = None
    preventable_rejects: int | None = None
    duplicates: int | None = None
    orphans: int | None = None
    limit_breaches: int | None = None
    unacknowledged_alerts: int | None = None
    slippage_within_ci: bool | None = None
    checklist_ok: bool | None = None
    edge_ci_low_quote: Decimal | None = None


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """One of the conditions of a promotion."""

    name: str
    need: str
    have: str
    met: bool


class Assessment(msgspec.Struct, frozen=True, kw_only=True):
    """Every condition for the next stage; it is a conjunction."""

    stage: Stage
    target: Stage | None
    conditions: tuple[Condition, ...]

    @property
    def eligible(self) -> bool:
        """Whether all of them hold. Without a next stage there is nothing to be eligible for."""
        return self.target is not None and all(one.met for one in self.conditions)

    @property
    def missing(self) -> tuple[Condition, ...]:
        """Those that do not hold."""
        return tuple(one for one in self.conditions if not one.met)


MAX_MOVES: Final = 1_000


def fold(stages: Stages, records: Iterable[RampRecord], environment: str) -> Standing:
    """Where the records leave the trader. Without any it stands on the first rung of its environment, and
    real funds are never a first rung.
    """
    standing = Standing(stage=stages.first_of(environment), entered_ns=0)
    for record in records:
        standing = step(stages, standing, record)
    return standing


def step(stages: Stages, standing: Standing, record: RampRecord) -> Standing:
    """One record more. Raises `StageConfigError` for a stage that this build does not know."""
    replace = msgspec.structs.replace
    match record:
        case RampMove():
            return Standing(
                stage=stages.named(record.to_stage),
                entered_ns=record.at_ns,
                cool_off_until_ns=0 if record.promotion else record.at_ns + COOL_OFF_NS,
                halved=not record.promotion and record.from_stage != record.to_stage,
                last_number=standing.last_number,
                moves=(*standing.moves, record)[-MAX_MOVES:],
            )
        case RampProposal():
            return replace(standing, proposal=Proposal(record=record), last_number=record.number)
        case RampApproval():
            proposal = standing.proposal
            if proposal is None or proposal.record.number != record.number:
                return standing
            return replace(standing, proposal=replace(proposal, approvals=(*proposal.approvals, record)))
        case RampTally():
            return replace(standing, tally=record) if record.stage == standing.stage.name else standing


def assess(
    stages: Stages, standing: Standing, facts: Facts, evidence: Mapping[str, Evidence], now_ns: int
) -> Assessment:
    """Every condition of the next step, met or not."""
    stage, target = standing.stage, stages.after(standing.stage)
    if target is None:
        return Assessment(stage=stage, target=None, conditions=())
    conditions = [_cool_off(standing, now_ns), *_stay(standing, facts, now_ns)]
    if stage.environment != "sim":
        conditions += _clean(facts)
    conditions += [_evidence(name, evidence.get(name), stage, target, now_ns) for name in target.needs]
    before = stages.rungs.index(stages.named(EDGE_FROM)) if _has(stages, EDGE_FROM) else len(stages.rungs)
    grows = (target.order_cap_quote or 0) > (stage.order_cap_quote or 0)
    if stage.real and grows and stages.rungs.index(stage) >= before:
        low = facts.edge_ci_low_quote
        conditions.append(
            Condition(name="edge", need="lower bound of the 95 % interval > 0", have=_text(low),
                      met=low is not None and low > 0)
        )  # fmt: skip
    return Assessment(stage=stage, target=target, conditions=tuple(conditions))


def _has(stages: Stages, name: str) -> bool:
    return any(one.name == name for one in stages.rungs)


def _cool_off(standing: Standing, now_ns: int) -> Condition:
    left_ns = max(0, standing.cool_off_until_ns - now_ns)
    have = f"{-(-left_ns // SECOND_NS)} s left" if left_ns else "over"
    return Condition(name="cool_off", need="over", have=have, met=not left_ns)


def _stay(standing: Standing, facts: Facts, now_ns: int) -> list[Condition]:
    """The least stay, in days and in round trips: both, never one for the other."""
    stage, divisor = standing.stage, 2 if standing.halved else 1
    need_ns = stage.stay_days * DAY_NS // divisor
    trips = -(-stage.stay_round_trips // divisor)
    stayed_ns = now_ns - standing.entered_ns if standing.entered_ns else 0
    days = f"{stayed_ns / DAY_NS:.2f}"
    have = facts.round_trips
    return [
        Condition(name="days", need=f"{need_ns / DAY_NS:g}", have=days, met=stayed_ns >= need_ns),
        Condition(name="round_trips", need=str(trips), have=str(have), met=have >= trips),
    ]


def _clean(facts: Facts) -> list[Condition]:
    """T17.2: nothing broken, nothing unexplained, everything looked at."""
    zero = {
        "reconciliation_breaks": facts.reconciliation_breaks,
        "preventable_rejects": facts.preventable_rejects,
        "duplicates": facts.duplicates,
        "orphans": facts.orphans,
        "limit_breaches": facts.limit_breaches,
        "unacknowledged_alerts": facts.unacknowledged_alerts,
    }
    conditions = [
        Condition(name=name, need="0", have=_text(value), met=value == 0) for name, value in zero.items()
    ]
    true = {"slippage_within_ci": facts.slippage_within_ci, "checklist": facts.checklist_ok}
    return conditions + [
        Condition(name=name, need="yes", have=_text(value), met=value is True) for name, value in true.items()
    ]


def _evidence(name: str, found: Evidence | None, stage: Stage, target: Stage, now_ns: int) -> Condition:
    """Green, not expired, and of a kind that counts: nothing simulated counts above paper (T17.1)."""
    if found is None or not found.green:
        return Condition(name=name, need="green", have="no evidence" if found is None else "red", met=False)
    if found.expires_ns <= now_ns:
        return Condition(name=name, need="green", have="expired", met=False)
    if target.real and found.provenance == "virtual":
        return Condition(name=name, need="not simulated", have=found.provenance, met=False)
    if stage.real and (found.provenance != "real" or found.environment not in ("canary", "live")):
        have = f"{found.provenance} of {found.environment or 'nowhere'}"
        return Condition(name=name, need="real, of canary or live", have=have, met=False)
    return Condition(name=name, need="green", have="green", met=True)


def _text(value: object) -> str:
    if value is None:
        return "not measured"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def approval_problem(standing: Standing, actor: str, now_ns: int) -> str:
    """Why this person's word does not count now; "" when it does."""
    proposal = standing.proposal
    if proposal is None:
        return "nothing is proposed"
    if now_ns - proposal.record.at_ns > PROPOSAL_NS:
        return "the proposal has expired: propose again"
    if proposal.record.from_stage != standing.stage.name:
        return "the proposal is of another stage"
    if actor in proposal.people:
        return f"{actor} has approved already; a second, different person is needed"
    if not actor.strip():
        return "an approval needs a name"
    return ""


def complete(proposal: Proposal, target: Stage) -> bool:
    """Whether enough different people have approved."""
    return len(proposal.people) >= target.approvals


def latest_cause(causes: Sequence[Cause]) -> Cause | None:
    """Of several causes at once the one that sends farthest; None without any."""
    return min(causes, key=lambda one: -1_000 if one.steps is None else -one.steps) if causes else None
