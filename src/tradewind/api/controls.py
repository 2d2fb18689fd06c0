"""The trader's kill switch in the form that console and API share: an outcome counts only when it was read
back.
"""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Final, Protocol

from tradewind.observe.controls import ControlResult, Outcome
from tradewind.trader.kill import KillResult
from tradewind.trader.kill import Outcome as KillOutcome
from tradewind.trader.risk.state import TradingState

OUTCOMES: Final = {
    KillOutcome.VERIFIED: Outcome.VERIFIED,
    KillOutcome.NO_EFFECT: Outcome.NO_EFFECT,
    KillOutcome.PENDING: Outcome.NOT_VERIFIED,
    KillOutcome.REJECTED: Outcome.REFUSED,
    KillOutcome.UNKNOWN: Outcome.FAILED,
}


class Switch(Protocol):
    """`trader.kill.KillSwitch`, as far as it is used here."""

    async def halt(self, actor: str, reason: str) -> KillResult: ...

    async def flatten(self, actor: str, reason: str) -> KillResult: ...

    async def resume(self, actor: str, reason: str) -> KillResult: ...


class TraderControls:
    """Halt, flatten and resume of one trader."""

    def __init__(self, switch: Switch, state: object) -> None:
        self._switch = switch
        self._trader = state

    def _state(self) -> str | None:
        state = getattr(self._trader, "state", None)
        return state_text(state()) if callable(state) else None

    async def halt(self, *, reason: str, actor: str) -> ControlResult:
        """No new risk, cancel every working order, keep positions."""
        before, started = self._state(), time.monotonic_ns()
        return translate(await self._switch.halt(actor, reason), before, started)

    async def flatten(self, *, reason: str, actor: str) -> ControlResult:
        """Halt, then reduce positions to zero by policy."""
        before, started = self._state(), time.monotonic_ns()
        return translate(await self._switch.flatten(actor, reason), before, started)

    async def resume(self, *, reason: str, actor: str) -> ControlResult:
        """Leave the halt; needs a reason, clean reconciliation and the cool-down."""
        before, started = self._state(), time.monotonic_ns()
        return translate(await self._switch.resume(actor, reason), before, started)


def translate(result: KillResult, state_before: str | None, started_ns: int) -> ControlResult:
    """The result in the shared form."""
    return ControlResult(
        action=result.act,
        outcome=OUTCOMES[result.outcome],
        orders_before=result.orders_before,
        orders_after=result.orders_after,
        state_before=state_before,
        state_after=result.state.lower(),
        position_before=positions_text(result.position_before),
        position_after=positions_text(result.position_after),
        left=result.left,
        detail=result.detail,
        code=str(result.outcome),
        duration_ms=(time.monotonic_ns() - started_ns) // 1_000_000,
        first_cancel_ms=result.first_cancel_ms,
    )


def state_text(state: TradingState) -> str:
    """Lower-case name of a trading state."""
    return state.name.lower()


def positions_text(positions: dict[str, Decimal]) -> str:
    """`0.012 BTC/USDT, 0 ETH/USDT`."""
    return ", ".join(f"{quantity:f} {symbol}" for symbol, quantity in positions.items())
