"""Liquidates flagged sub-accounts in the engine's order (protocol P5.1, P13.5)."""

from __future__ import annotations

from typing import ClassVar, Final

from tradewind.keepers.port import ACTION_LIQUIDATE, LIQUIDATE, Action, duty_key
from tradewind.keepers.worker import POLL_S, SECOND_NS, Worker

WHOLE_ROUND: Final = frozenset({"KEEPER_RATE_LIMITED", "KEEPER_SUSPENDED", "KEEPER_STAKE_TOO_LOW"})
"""Refusals that hold for every target alike."""


class LiquidationWorker(Worker):
    """Steps of liquidations; every one goes through `KeeperAct`, so that the keeper's checks come first."""

    kind: ClassVar[str] = "liquidation"

    async def round(self) -> float:
        duties = await self.port.duties(self.identity)
        self.stats.due = len(duties.liquidations)
        self.keep_only({(one.target, one.sub) for one in duties.liquidations})
        if not self.check_standing(duties, LIQUIDATE):
            return POLL_S
        next_ns = duties.now_ns + int(POLL_S * SECOND_NS)
        for one in duties.liquidations:
            # A next step of the same sub-account is a new slot: its own attempts and keys.
            attempt = self.attempt((one.target, one.sub), one.open_ns, duties.now_ns)
            if attempt is None or one.open_ns > duties.now_ns:
                waits_until = self._attempts[one.target, one.sub].again_ns if attempt is None else one.open_ns
                next_ns = min(next_ns, waits_until)
                continue
            key = duty_key(
                "liquidate", self.identity.account.hex(), one.target, one.sub, one.market, one.open_ns,
                attempt.number,
            )  # fmt: skip
            fields: dict[str, int | bytes] = {
                "action": ACTION_LIQUIDATE,
                "market": one.market,
                "target": bytes.fromhex(one.target),
                "target_sub": one.sub,
            }
            outcome = await self.act(
                attempt, Action(command="KeeperAct", fields=fields, key=key), one.open_ns
            )
            if outcome is None:
                return 0.1
            next_ns = min(next_ns, attempt.again_ns)
            if outcome.code in WHOLE_ROUND:
                return max(0.0, (attempt.again_ns - self.port.now_ns()) / SECOND_NS)
        return max(0.0, (next_ns - self.port.now_ns()) / SECOND_NS)
