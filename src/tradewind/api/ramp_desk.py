"""The ramp of a running or a stopped platform (T17): it reads the log, demotes by itself, and takes the word
of people.

The stage is a function of the log alone: every block passes here, with or without a trader.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog
from fastapi import Request

from tradewind.api import requests as req
from tradewind.api.identities import Identities
from tradewind.api.problems import ApiFailure
from tradewind.api.route import CommandRoute
from tradewind.core import journal
from tradewind.core.events import decode_notes
from tradewind.core.native import Batch
from tradewind.node.service import NodeService
from tradewind.trader.ramp.book import Ramp, RampRefused
from tradewind.trader.ramp.policy import Assessment, Cause, Evidence, Facts
from tradewind.trader.ramp.records import RampMove, RampRecord
from tradewind.trader.records import TRADER_STREAM, Record, decode, encode

log = structlog.get_logger("tradewind.ramp")
CALLBACK: Final = "ramp"
SEEN: Final = (b'{"type":"Ramp', b'{"type":"Latch"', b'{"type":"OperatorAct"')
"""The records that the ramp looks at; the others are not even decoded."""
TALLY_EVERY_S: Final = 60.0
EVIDENCE_EVERY: Final = 10
"""Turns from one look at the evidence to the next while the stage does not stand on it."""
MAX_HISTORY: Final = 200


class RampDesk:
    """One log's ramp. `start` reads the past, and from then on every block."""

    def __init__(self, node: NodeService, environment: str) -> None:
        self._node = node
        self.ramp = Ramp(environment, node.now_ns)
        self.evidence: Callable[[], Mapping[str, Evidence]] = dict
        """Criteria as the gate sees them; without a gate nothing is green. It may take a second: read in
        a thread of its own.
        """
        self.evidence_read_ns: int | None = None
        self._seen: Mapping[str, Evidence] = {}
        self.measured: Callable[[], Mapping[str, Any]] = dict
        """Facts that are measured elsewhere, by field of `Facts`; what is not given was not measured."""
        self._demotion = asyncio.Event()
        self._tallied: Any = None
        self._own: list[Record] = []

    @classmethod
    async def start(cls, node: NodeService, environment: str) -> RampDesk:
        """Reads the log. What demands a demotion and has none yet gets it now. Raises `StageConfigError`."""
        desk = cls(node, environment)
        await node.attach(desk._apply, name=CALLBACK)
        await desk._record_demotion()
        return desk

    def _apply(self, batch: Batch) -> None:
        for note in decode_notes(batch.notes):
            if note.stream != TRADER_STREAM or not bytes(note.payload[:24]).startswith(SEEN):
                continue
            record = decode(note.payload)
            if record in self._own:
                self._own.remove(record)  # the ramp knows it: it wrote it
                continue
            if isinstance(record, RampMove):
                self.ramp.wanted.clear()  # what led to it is told in it
            self.ramp.fold(record)
            self.ramp.see(record)
        if self.ramp.wanted:
            self._demotion.set()

    async def run(self) -> None:
        """Records demotions at once and what was counted every minute, until cancelled."""
        await self.ramp.begin(self._write_own)
        if self.ramp.standing.stage.real:
            await self.read_evidence()
            await self._record_demotion()
        turns = 0
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TALLY_EVERY_S):
                    await self._demotion.wait()
            self._demotion.clear()
            if self.ramp.standing.stage.real or not turns % EVIDENCE_EVERY:
                await self.read_evidence()
            turns += 1
            await self._record_demotion()
            await self._record_tally()

    async def _record_demotion(self) -> None:
        if self.evidence_read_ns is not None:
            self.ramp.see_evidence(self._seen)
        move = self.ramp.due()
        if move is not None:
            await self._write_own(move)

    async def read_evidence(self) -> Mapping[str, Evidence]:
        """What the gate says now."""
        try:
            self._seen = await asyncio.to_thread(self.evidence)
        except Exception as error:  # noqa: BLE001 whatever hinders the gate: what is not judged is not green
            log.error("ramp_evidence_not_read", error=repr(error))
            self._seen = {}
        self.evidence_read_ns = self._node.now_ns()
        return self._seen

    async def _record_tally(self) -> None:
        slippage = self.facts().slippage_within_ci
        record = self.ramp.counts.record(self.ramp.standing.stage.name, self._node.now_ns(), slippage)
        counted = msgspec.structs.replace(record, at_ns=0)
        if counted != self._tallied:
            await self._node.submit_with_notes([], [encode(record)])
            self._tallied = counted

    async def _write_own(self, record: RampRecord) -> None:
        """A record which the ramp itself folds: the block that comes back must not fold it again."""
        self._own.append(record)
        try:
            await self._node.submit_with_notes([], [encode(record)])
        finally:
            if record in self._own:
                self._own.remove(record)

    # ---- people --------------------------------------------------------------------------------------------

    def facts(self) -> Facts:
        """Everything that is known of the present stage."""
        return self.ramp.facts(**self.measured())

    def status(self) -> dict[str, Any]:
        """Where the trader stands and what is missing for more."""
        standing, stage = self.ramp.standing, self.ramp.standing.stage
        proposal = standing.proposal
        return {
            "stage": stage.name,
            "environment": stage.environment,
            "profile": stage.profile,
            "order_cap_quote": None if stage.order_cap_quote is None else f"{stage.order_cap_quote:f}",
            "pairs": stage.pairs,
            "strategies": stage.strategies,
            "size_multiplier": f"{stage.size_multiplier:f}",
            "entered_ns": standing.entered_ns or None,
            "half_stay": standing.halved,
            "stages_hash": self.ramp.stages.hash,
            "evidence_read_ns": self.evidence_read_ns,
            **assessed(self.ramp.assess(self.facts(), self._seen)),
            "proposal": None
            if proposal is None
            else {
                "number": proposal.record.number,
                "to_stage": proposal.record.to_stage,
                "at_ns": proposal.record.at_ns,
                "approved_by": list(proposal.people),
            },
        }

    def history(self) -> dict[str, Any]:
        """Every move, newest first."""
        moves = reversed(self.ramp.standing.moves[-MAX_HISTORY:])
        return {"moves": [msgspec.to_builtins(one) for one in moves]}

    async def propose(self, actor: str) -> dict[str, Any]:
        """Raises `RampRefused` with everything that is missing."""
        record = await self.ramp.propose(self._write_own, self.facts(), await self.read_evidence(), actor)
        return {"proposed": record.to_stage, "number": record.number, **self._needed(record.to_stage)}

    async def approve(self, actor: str, reason: str) -> dict[str, Any]:
        """Raises `RampRefused`."""
        move = await self.ramp.approve(
            self._write_own, self.facts(), await self.read_evidence(), actor=actor, reason=reason
        )
        standing = self.ramp.standing
        people = list(move.actors) if move else list(standing.proposal.people) if standing.proposal else []
        return {"stage": standing.stage.name, "moved": move is not None, "approved_by": people}

    async def demote(self, actor: str, reason: str) -> dict[str, Any]:
        """One stage down, by hand. Raises `RampRefused` without a reason."""
        if not reason.strip():
            raise RampRefused("a reason is needed")
        move = await self.ramp.demote(self._write_own, Cause.OPERATOR, reason, actor)
        return {"stage": move.to_stage, "from_stage": move.from_stage}

    def _needed(self, name: str) -> dict[str, Any]:
        return {"approvals_needed": self.ramp.stages.named(name).approvals}


def assessed(assessment: Assessment) -> dict[str, Any]:
    """The conditions of the next stage as rows."""
    return {
        "next_stage": None if assessment.target is None else assessment.target.name,
        "eligible": assessment.eligible,
        "conditions": [msgspec.to_builtins(one) for one in assessment.conditions],
    }


# ---- routes ----------------------------------------------------------------------------------------------


def _desk(owner: Any) -> RampDesk:
    found = owner.ramp
    if not isinstance(found, RampDesk):
        raise ApiFailure(503, "NOT_TRADING", "this platform has no ramp yet", retryable=True)
    return found


def ramp_reads(owner: Any) -> list[tuple[str, Callable[[Request], Any], str]]:
    """Path, handler and summary of every reading; `owner.ramp` is the desk once there is one."""
    return [
        ("/ramp", lambda _: _desk(owner).status(), "The stage, and what is missing for the next one"),
        ("/ramp/history", lambda _: _desk(owner).history(), "Every move of the ramp"),
    ]


def ramp_commands(owner: Any) -> list[CommandRoute]:
    """What people do to the ramp."""

    def route(act: str, text: str) -> CommandRoute:
        async def handle(_: Request, body: req.RampAct) -> Any:
            desk = _desk(owner)
            try:
                if act == "propose":
                    return await desk.propose(body.actor)
                return await getattr(desk, act)(body.actor, body.reason)
            except RampRefused as refused:
                raise ApiFailure(409, "RAMP_REFUSED", str(refused)) from refused

        return CommandRoute(f"/ramp/{act}", req.RampAct, handle, text)

    return [
        route("propose", "Propose the next stage; refused with everything that is missing"),
        route("approve", "Approve the proposal; two different people from canary on"),
        route("demote", "One stage down at once"),
    ]


# ---- without a running platform --------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def offline(
    data: Path, identities: Identities, environment: str, evidence: Mapping[str, Evidence]
) -> AsyncIterator[RampDesk]:
    """The ramp of a log that nobody runs. Raises `JournalLocked`, `JournalCorrupt`, `IdentityError`."""
    async with await NodeService.start(data) as node:
        genesis = journal.genesis(node.journal_path)
        identities.check_against((grant.principal, grant.role) for grant in genesis.grants)
        desk = await RampDesk.start(node, environment)
        desk.evidence = lambda: evidence
        await desk.read_evidence()
        yield desk
