"""What the ramp writes into the trader's journal. The stage is what these records say, and nothing else."""

from __future__ import annotations

from decimal import Decimal

import msgspec


class RampMove(msgspec.Struct, frozen=True, kw_only=True):
    """The stage changed. A demotion may stay on its rung: then only the stay begins again."""

    from_stage: str
    to_stage: str
    cause: str
    """`approved`, or the cause of a demotion."""
    detail: str
    actors: tuple[str, ...]
    stages_hash: str
    at_ns: int
    promotion: bool
    build_hash: str = ""
    config_hash: str = ""


class RampProposal(msgspec.Struct, frozen=True, kw_only=True):
    """Every condition was met at this moment; people decide."""

    number: int
    from_stage: str
    to_stage: str
    evidence: tuple[str, ...]
    actor: str
    at_ns: int


class RampApproval(msgspec.Struct, frozen=True, kw_only=True):
    """One person approves a proposal."""

    number: int
    actor: str
    reason: str
    at_ns: int


class RampTally(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted since the stage was entered, as far as the journal's own records do not tell it."""

    stage: str
    round_trips: int
    placements: int
    acknowledged: int
    preventable_rejects: int
    venue_rejects: int
    reconciliation_breaks: int
    duplicates: int
    orphans: int
    limit_breaches: int
    at_ns: int
    pairs: int = 0
    """Symbols of which orders were journaled."""
    max_order_quote: Decimal = Decimal(0)
    """The largest order that was journaled, in quote."""
    slippage_within_ci: bool | None = None
    """As the cost analysis says; None: it was not measured."""


RampRecord = RampMove | RampProposal | RampApproval | RampTally
