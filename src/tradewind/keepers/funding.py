"""Ends hours of funding (protocol P4.8, P13.4): the first valid crank of an hour earns."""

from __future__ import annotations

from typing import ClassVar

from tradewind.keepers.port import ACTION_CRANK, CRANK, Action, duty_key
from tradewind.keepers.worker import POLL_S, SECOND_NS, Worker


class FundingWorker(Worker):
    """Cranks every market whose hour is over."""

    kind: ClassVar[str] = "funding"

    async def round(self) -> float:
        duties = await self.port.duties(self.identity)
        self.stats.due = len(duties.funding)
        self.keep_only({(one.market,) for one in duties.funding})
        if not self.check_standing(duties, CRANK):
            return POLL_S
        for one in duties.funding:
            attempt = self.attempt((one.market,), one.due_ns, duties.now_ns)
            if attempt is None:
                continue
            key = duty_key("crank", self.identity.account.hex(), one.market, one.due_ns, attempt.number)
            fields: dict[str, int | bytes] = {"action": ACTION_CRANK, "market": one.market}
            if (
                await self.act(attempt, Action(command="KeeperAct", fields=fields, key=key), one.due_ns)
                is None
            ):
                return 0.1
        waits_ns = [attempt.again_ns for attempt in self._attempts.values()]
        if duties.next_funding_ns:
            waits_ns.append(duties.next_funding_ns)
        now_ns = self.port.now_ns()
        return min([POLL_S, *(max(0.0, (moment - now_ns) / SECOND_NS) for moment in waits_ns)])
