"""Records that risk keeps in the journal beside those of `trader.records`."""

from __future__ import annotations

from decimal import Decimal

import msgspec


class StageStart(msgspec.Struct, frozen=True, kw_only=True):
    """Equity when a stage began: the base of the total loss (L29). Only the start of a stage or an operator
    with a second person sets it; midnight and restarts do not.
    """

    stage: str
    equity: Decimal
    at_ns: int
    actor: str = ""
    second: str = ""


class BehaviourEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A pattern of T11.8 was seen; its action holds until `until_ns` (0: it was one denial)."""

    actor: str
    pattern: str
    symbol: str
    at_ns: int
    until_ns: int
    detail: str = ""


class LimitChange(msgspec.Struct, frozen=True, kw_only=True):
    """A limit was lowered (in force at once) or is to be raised (T11.8). `applied_ns` 0: it waits."""

    key: str
    before: str
    after: str
    actor: str
    second: str
    reason: str
    asked_ns: int
    effective_ns: int
    applied_ns: int = 0


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One violated limit of a refused order, as it is kept for `tradewind risk explain`."""

    code: str
    limit: str
    bound: Decimal | None = None
    given: Decimal | None = None
    detail: str = ""
