"""The kill switch at an outside venue, without the core (T8.4): a key of its own that can only cancel.

Sent is not done: it ends when the venue itself has shown twice that nothing is left. It may be broken off at
any moment and begun again; it keeps nothing that a second run would need.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from tradewind.trader.watchdog.paths import Resting, VenuePath

DEADLINE_S: Final = 10.0
AGAIN_S: Final = 0.5
"""Between two readings: short, and within any venue's limits."""
CONFIRM_S: Final = 0.25
"""Before the second reading that confirms the first empty one: what was on its way has arrived by then."""
MAX_ATTEMPTS: Final = 1_000


class VenueKilled(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has shown. Times in seconds since it began; None: that did not happen."""

    venue: str
    verified: bool
    seen: int | None
    """Orders that the first reading showed; None: it could not be read."""
    left: tuple[str, ...]
    kept: tuple[str, ...]
    """Protective orders that stay on purpose."""
    first_cancel_s: float | None
    """When the venue had answered the first cancel: it was on the wire before."""
    verified_s: float | None
    attempts: int
    problem: str = ""


def name_of(order: Resting) -> str:
    """How an order is told: by our id where it has one."""
    return order.client_id or order.venue_id


class VenueKill:
    """One account at one venue. `keep` says which orders protect positions and stay."""

    def __init__(
        self,
        path: VenuePath,
        *,
        keep: Callable[[Resting], bool] = lambda _: False,
        symbols: Sequence[str] = (),
        sweeps: bool = True,
    ) -> None:
        """`symbols`: the venue's names of markets, where a sweep needs them. `sweeps` False: only the orders
        of the list are cancelled, so that those which `keep` names are never touched.
        """
        self._path, self._keep, self._symbols, self._sweeps = path, keep, tuple(symbols), sweeps
        self._began_s = 0.0
        self._first_cancel_s: float | None = None

    async def run(self, deadline_s: float = DEADLINE_S) -> VenueKilled:
        """Cancel and read until nothing is left, or the time is over."""
        self._began_s = time.monotonic()
        seen: int | None = None
        problem, attempts = "", 0
        if self._sweeps:  # before anything is read: an account-wide cancel needs no list
            problem = await self._swept(())
        found: list[Resting] | str = "nothing was read"
        while attempts < MAX_ATTEMPTS:
            attempts += 1
            found = await self._path.resting()
            if isinstance(found, list):
                seen = len(found) if seen is None else seen
                if await self._empty(found):
                    return self._result(found, seen, attempts, verified=True)
                problem = await self._swept(found)
            else:
                problem = await self._swept(()) or found
            if self._passed_s() + AGAIN_S >= deadline_s:
                break
            await asyncio.sleep(AGAIN_S)
        found = await self._path.resting()
        if isinstance(found, list) and await self._empty(found):
            return self._result(found, seen, attempts, verified=True)
        return self._result(found, seen, attempts, verified=False, problem=problem)

    async def _empty(self, found: Sequence[Resting]) -> bool:
        """Whether two readings in a row show nothing that has to go."""
        if self._to_go(found):
            return False
        await asyncio.sleep(CONFIRM_S)
        again = await self._path.resting()
        return isinstance(again, list) and not self._to_go(again)

    def _to_go(self, found: Sequence[Resting]) -> list[Resting]:
        return [one for one in found if not self._keep(one)]

    async def _swept(self, found: Sequence[Resting]) -> str:
        """One sweep over the account, or over the list where orders are to be kept."""
        going = self._to_go(found)
        if self._sweeps:
            names = [*self._symbols, *(one.symbol for one in going if one.symbol)]
            problem = await self._path.cancel_all(names)
            if not problem:
                self._cancelled()
                return ""
        if not going:
            return "nothing is known that could be cancelled"
        problem = await self._path.cancel(going)
        if not problem:
            self._cancelled()
        return problem

    def _cancelled(self) -> None:
        if self._first_cancel_s is None:
            self._first_cancel_s = self._passed_s()

    def _passed_s(self) -> float:
        return time.monotonic() - self._began_s

    def _result(
        self,
        found: list[Resting] | str,
        seen: int | None,
        attempts: int,
        *,
        verified: bool,
        problem: str = "",
    ) -> VenueKilled:
        listed = found if isinstance(found, list) else []
        return VenueKilled(
            venue=self._path.name,
            verified=verified,
            seen=seen,
            left=tuple(name_of(one) for one in self._to_go(listed)),
            kept=tuple(name_of(one) for one in listed if self._keep(one)),
            first_cancel_s=self._first_cancel_s,
            verified_s=self._passed_s() if verified else None,
            attempts=attempts,
            problem=found if isinstance(found, str) else problem,
        )
