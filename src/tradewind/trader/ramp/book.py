"""The ramp of one trader: its records, what people do to it, and what demotes it by itself (T17).

Whoever owns a journal gives it `write`; a running trader also feeds it fills, orders and trading states.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
import structlog

from tradewind.trader.records import Latch, OperatorAct, Record

from .policy import (
    Assessment,
    Cause,
    Evidence,
    Facts,
    Standing,
    approval_problem,
    assess,
    complete,
    fold,
    latest_cause,
    step,
)
from .records import RampApproval, RampMove, RampProposal, RampRecord, RampTally
from .stages import Stages, load_stages
from .tally import Counts

log = structlog.get_logger("tradewind.ramp")
RAMP_TYPES: Final = (RampMove, RampProposal, RampApproval, RampTally)
LATCH_CAUSES: Final[Mapping[str, Cause]] = {
    "reconciliation": Cause.RECONCILIATION_BREAK,
    "suspense": Cause.UNKNOWN_FILL,
    "overfill": Cause.UNKNOWN_FILL,
    "daily_loss": Cause.DAILY_LOSS,
    "foreign": Cause.FOREIGN_ACTIVITY,
    "duplicate": Cause.DUPLICATE_ORDER,
    "nonce": Cause.NONCE_REJECT,
}
DRAWDOWN: Final = "drawdown"
KILLS: Final = frozenset({"halt", "flatten"})
DONE: Final = frozenset({"Verified", "NoEffect", "verified", "no_effect", "requested"})
UNACKNOWLEDGED_S: Final = 900.0
UNACKNOWLEDGED_COUNT: Final = 2

Write = Callable[[RampRecord], Awaitable[None]]


class RampRefused(Exception):
    """The ramp does not move; the text says why. Nothing was recorded."""

    code = "RampRefused"


class Ramp:
    """One trader's ramp. Feed it its records in order (`fold`), then act."""

    def __init__(self, environment: str, clock_ns: Callable[[], int], stages: Stages | None = None) -> None:
        """Raises `StageConfigError` when the shipped stages cannot be used."""
        self.stages = load_stages() if stages is None else stages
        self.environment, self._clock_ns = environment, clock_ns
        self.standing: Standing = fold(self.stages, (), environment)
        self.counts = Counts()
        self.wanted: list[tuple[Cause, str]] = []
        """Causes of demotion that came up and are not recorded yet."""

    # ---- the journal ---------------------------------------------------------------------------------------

    def fold(self, record: Record) -> None:
        """One record read back from the journal."""
        if not isinstance(record, RAMP_TYPES):
            return
        before = self.standing.stage.name, self.standing.entered_ns
        self.standing = step(self.stages, self.standing, record)
        if isinstance(record, RampTally) or before != (self.standing.stage.name, self.standing.entered_ns):
            self.counts.restore(self.standing.tally)

    async def _write(self, write: Write, record: RampRecord) -> None:
        """Journal first, then count with it."""
        await write(record)
        self.fold(record)

    # ---- people --------------------------------------------------------------------------------------------

    def facts(self, **measured: object) -> Facts:
        """What was counted here, with what was measured elsewhere (campaign, cost analysis, alerts)."""
        counts = self.counts
        return msgspec.structs.replace(
            Facts(
                round_trips=counts.round_trips,
                reconciliation_breaks=counts.reconciliation_breaks,
                preventable_rejects=counts.preventable_rejects,
                duplicates=counts.duplicates,
                orphans=counts.orphans,
                limit_breaches=counts.limit_breaches,
            ),
            **measured,
        )

    def assess(self, facts: Facts, evidence: Mapping[str, Evidence]) -> Assessment:
        """Every condition of the next stage."""
        return assess(self.stages, self.standing, facts, evidence, self._clock_ns())

    async def begin(self, write: Write) -> None:
        """Without any move the stay begins now: a stage is entered by a record, never by an assumption."""
        if self.standing.moves:
            return
        stage = self.standing.stage.name
        move = RampMove(
            from_stage=stage,
            to_stage=stage,
            cause="began",
            detail="the log has no earlier stage",
            actors=("ramp",),
            stages_hash=self.stages.hash,
            at_ns=self._clock_ns(),
            promotion=True,
        )
        await self._write(write, move)

    async def propose(
        self, write: Write, facts: Facts, evidence: Mapping[str, Evidence], actor: str
    ) -> RampProposal:
        """Proposes the next stage when every condition is met. Raises `RampRefused` with what is missing."""
        assessment = self.assess(facts, evidence)
        if assessment.target is None:
            raise RampRefused(f"{assessment.stage.name} is the last stage")
        if not assessment.eligible:
            missing = "; ".join(f"{one.name}: {one.have}, needed {one.need}" for one in assessment.missing)
            raise RampRefused(f"{assessment.target.name} is not proposed: {missing}")
        record = RampProposal(
            number=self.standing.last_number + 1,
            from_stage=assessment.stage.name,
            to_stage=assessment.target.name,
            evidence=tuple(sorted(assessment.target.needs)),
            actor=actor,
            at_ns=self._clock_ns(),
        )
        await self._write(write, record)
        return record

    async def approve(
        self, write: Write, facts: Facts, evidence: Mapping[str, Evidence], *, actor: str, reason: str
    ) -> RampMove | None:
        """One person's approval; the move when it was the last that was needed, else None. The conditions
        have to hold at this moment too. Raises `RampRefused`.
        """
        problem = "a reason is needed" if not reason.strip() else ""
        problem = problem or approval_problem(self.standing, actor, self._clock_ns())
        if problem:
            raise RampRefused(problem)
        assessment = self.assess(facts, evidence)
        if not assessment.eligible or assessment.target is None:
            missing = ", ".join(one.name for one in assessment.missing)
            raise RampRefused(f"the conditions do not hold any more: {missing}")
        proposal = self.standing.proposal
        assert proposal is not None
        record = RampApproval(
            number=proposal.record.number, actor=actor, reason=reason, at_ns=self._clock_ns()
        )
        await self._write(write, record)
        proposal = self.standing.proposal
        if proposal is None or not complete(proposal, assessment.target):
            return None
        move = RampMove(
            from_stage=assessment.stage.name,
            to_stage=assessment.target.name,
            cause="approved",
            detail=f"proposal {proposal.record.number}",
            actors=proposal.people,
            stages_hash=self.stages.hash,
            at_ns=self._clock_ns(),
            promotion=True,
        )
        await self._write(write, move)
        return move

    async def demote(self, write: Write, cause: Cause, detail: str, actor: str = "ramp") -> RampMove:
        """Goes down at once; the stage holds from this moment, also when the journal is gone."""
        move = self._demotion(cause, detail, actor)
        self.fold(move)
        await write(move)
        return move

    def _demotion(self, cause: Cause, detail: str, actor: str) -> RampMove:
        stage = self.standing.stage
        return RampMove(
            from_stage=stage.name,
            to_stage=cause.target(self.stages, stage).name,
            cause=cause.label,
            detail=detail,
            actors=(actor,),
            stages_hash=self.stages.hash,
            at_ns=self._clock_ns(),
            promotion=False,
        )

    # ---- by itself -----------------------------------------------------------------------------------------

    def see(self, record: Record) -> None:
        """A record that the running trader writes; what it means for the ramp is taken up by `act`."""
        if isinstance(record, Latch) and not record.cleared:
            self._see_latch(record)
        elif isinstance(record, OperatorAct) and record.act in KILLS and record.outcome not in DONE:
            self.want(Cause.KILL_NOT_VERIFIED, f"{record.act} ended as {record.outcome}: {record.detail}")

    def _see_latch(self, latch: Latch) -> None:
        cause = LATCH_CAUSES.get(latch.cause)
        if latch.cause == DRAWDOWN:
            cause = Cause.DRAWDOWN
        if cause is Cause.RECONCILIATION_BREAK:
            self.counts.reconciliation_breaks += 1
        elif cause is Cause.UNKNOWN_FILL:
            self.counts.orphans += 1
        elif cause is Cause.DUPLICATE_ORDER:
            self.counts.duplicates += 1
        if cause is not None:
            self.want(cause, latch.reason)

    def see_drawdown(self, step_reached: int) -> None:
        """A step of the drawdown ladder; the second one is the 10 % of T17.3."""
        if step_reached >= 2:
            self.want(Cause.DRAWDOWN, f"step {step_reached} of the drawdown ladder")

    def see_build(self, build_hash: str, config_hash: str, *, money_path: bool) -> None:
        """What runs now against what ran when the stage was entered."""
        last = self.standing.moves[-1] if self.standing.moves else None
        if last is None or not last.build_hash:
            return
        if last.build_hash != build_hash:
            cause = Cause.MONEY_PATH_CHANGED if money_path else Cause.TRADING_CODE_CHANGED
            self.want(cause, f"build {build_hash[:12]}, the stage was entered with {last.build_hash[:12]}")
        elif last.config_hash != config_hash:
            self.want(Cause.TRADING_CODE_CHANGED, "the configuration is another one")

    def see_evidence(self, evidence: Mapping[str, Evidence]) -> None:
        """Evidence that the present stage stands on and that has expired or turned red."""
        now_ns = self._clock_ns()
        for name in self.standing.stage.needs if self.standing.stage.real else ():
            found = evidence.get(name)
            if found is None or not found.green or found.expires_ns <= now_ns:
                self.want(Cause.EVIDENCE_EXPIRED, name)
                return

    def see_alerts(self, unacknowledged: int) -> None:
        """How many alerts nobody acknowledged within 15 minutes."""
        if unacknowledged >= UNACKNOWLEDGED_COUNT:
            self.want(Cause.ALERT_UNACKNOWLEDGED, f"{unacknowledged} alerts for more than 15 min")

    def want(self, cause: Cause, detail: str) -> None:
        """A cause of demotion came up."""
        if all(known is not cause for known, _ in self.wanted):
            self.wanted.append((cause, detail))

    def due(self) -> RampMove | None:
        """The demotion that has to be recorded now, with every cause that came up; the stage holds already.
        Only a stage above the floor, or with a stay to lose, moves.
        """
        if not self.wanted:
            return None
        wanted, self.wanted = self.wanted, []
        cause = latest_cause([one for one, _ in wanted])
        assert cause is not None
        detail = "; ".join(f"{one.label}: {text}" for one, text in wanted)
        move = self._demotion(cause, detail, "ramp")
        log.critical("demoted", from_stage=move.from_stage, to_stage=move.to_stage, cause=move.cause)
        self.fold(move)
        return move
