"""What an operator may do from the console, and the form of the answer.

A control answers only after the effect was read back (T8.4): `outcome` is `verified` when it was seen,
everything else is not a success.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

import msgspec


class Outcome(StrEnum):
    """What is certain after a control ran."""

    VERIFIED = "verified"
    """The effect was read back."""
    NO_EFFECT = "no_effect"
    """Nothing had to be done; that was read back."""
    NOT_VERIFIED = "not_verified"
    """It was asked for, and the read-back does not show it (yet)."""
    REFUSED = "refused"
    """A rule forbids it; nothing changed."""
    FAILED = "failed"
    """An error; the state must be looked at."""


class ControlResult(msgspec.Struct, frozen=True, kw_only=True):
    """The read-back result of a control. None = that value could not be read."""

    action: str
    outcome: Outcome
    orders_before: int | None = None
    orders_after: int | None = None
    state_before: str | None = None
    state_after: str | None = None
    position_before: str | None = None
    position_after: str | None = None
    left: tuple[str, ...] = ()
    """What is still open, by id."""
    detail: str = ""
    code: str = ""
    duration_ms: int | None = None
    first_cancel_ms: int | None = None
    """When the first cancel was answered, from the beginning of the act."""

    @property
    def succeeded(self) -> bool:
        """Only an effect that was read back counts."""
        return self.outcome in (Outcome.VERIFIED, Outcome.NO_EFFECT)


class Controls(Protocol):
    """The kill switch as the console sees it. Implementations journal actor and reason."""

    async def halt(self, *, reason: str, actor: str) -> ControlResult:
        """No new risk, cancel every working order, keep positions."""
        ...

    async def flatten(self, *, reason: str, actor: str) -> ControlResult:
        """Halt, then reduce positions to zero by policy."""
        ...

    async def resume(self, *, reason: str, actor: str) -> ControlResult:
        """Leave the halt; needs a reason, clean reconciliation and the cool-down."""
        ...
