"""Balances in tiers (T9.3, T9.4): of the private stream, else of snapshots, else last values and no new risk.

There is no empty tier: what is not known is `Unknown`, never zero. Steps down are taken at once, steps up
only after the better source has held for a while.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import IntEnum
from typing import Final, Protocol

import msgspec
import structlog

from tradewind.venues.market_data import Known, Side, Stale, Unknown
from tradewind.venues.protocol import Balance, Incomplete

from .oms import OrderRequest

log = structlog.get_logger("tradewind.trader.balances")
SECOND_NS: Final = 1_000_000_000
LOOK_S: Final = 0.1
KEPT_TRANSITIONS: Final = 1_000
MAX_ASSETS: Final = 10_000
SOURCES: Final = {1: "private stream", 2: "snapshot", 3: "nothing"}
HALF: Final = Decimal("0.5")


class Tier(IntEnum):
    """Where balances come from; a higher number permits less."""

    STREAM = 1
    SNAPSHOT = 2
    """New risk at half size."""
    NONE = 3
    """No new risk; last values are shown as stale."""


class BalanceLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Named bounds."""

    stream_age_ns: int = 2 * SECOND_NS
    """Since the connection last showed any sign of life."""
    snapshot_age_ns: int = 4_800_000_000
    """Below five seconds with the looking, so that a source that fails is left in time."""
    snapshot_every_s: float = 4.0
    """What the smallest account of any venue can pay for ever."""
    snapshot_timeout_s: float = 2.0
    first_stream_s: float = 1.0
    """How long a start waits for the stream before it asks for a snapshot."""
    steady_ns: int = 30 * SECOND_NS
    """So long a better source has to hold before it is used again."""
    jump: Decimal = Decimal("0.2")
    """A change of an asset by more than this part that the ledger does not explain is not believed."""
    shrink: Decimal = Decimal("0.8")
    """A list with fewer than this part of the assets that the ledger holds is not believed."""


class BalanceSource(Protocol):
    """A connector."""

    def stream_balances(self) -> list[Balance] | None:
        """As the private stream has told them; None while it proves nothing."""

    async def balances(self) -> list[Balance] | Incomplete:
        """Asked for now."""


class TierChange(msgspec.Struct, frozen=True, kw_only=True):
    """One step, with its reason."""

    before: Tier
    after: Tier
    reason: str
    at_ns: int


class BalanceService:
    """Balances of one account. `run` until cancelled; one event loop. Times are of the wall clock in ns.

    `expected` are the ledger's totals, empty while there is no ledger yet. `pays` names the asset that an
    order spends.
    """

    def __init__(
        self,
        source: BalanceSource,
        expected: Callable[[], Mapping[str, Decimal]],
        pays: Callable[[str, Side], str],
        *,
        limits: BalanceLimits | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._source, self._expected, self._pays = source, expected, pays
        self.limits, self._clock_ns = limits or BalanceLimits(), clock_ns
        self.tier = Tier.NONE
        self.reason = "not started"
        self.changes: list[TierChange] = []
        self.first_ns: int | None = None
        """When anything was known for the first time."""
        self._values: dict[str, Balance] = {}
        self._as_of_ns: int | None = None
        self._snapshot: list[Balance] | None = None
        self._snapshot_ns = 0
        self._problem = {Tier.STREAM: "not started", Tier.SNAPSHOT: "not asked"}
        self._good_since_ns: dict[Tier, int | None] = {Tier.STREAM: None, Tier.SNAPSHOT: None}
        self._begin_ns = clock_ns()
        self._changed = asyncio.Event()

    # ---- life --------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Looks at the stream, and asks for snapshots while it is not enough."""
        self._begin_ns = self._clock_ns()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_looking())
            tasks.create_task(self._keep_asking())

    async def _keep_looking(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    async def _keep_asking(self) -> None:
        limits = self.limits
        while True:
            waited_ns = self._clock_ns() - self._begin_ns
            starting = self.first_ns is None and waited_ns < limits.first_stream_s * SECOND_NS
            if self.tier is Tier.STREAM or starting:
                await asyncio.sleep(LOOK_S)
                continue
            await self.ask()
            await asyncio.sleep(limits.snapshot_every_s)

    async def ask(self) -> None:
        """One snapshot."""
        asked_ns = self._clock_ns()
        try:
            async with asyncio.timeout(self.limits.snapshot_timeout_s):
                answer = await self._source.balances()
        except TimeoutError:
            answer = Incomplete(f"no answer within {self.limits.snapshot_timeout_s:g} s", 0)
        if isinstance(answer, Incomplete):
            self._problem[Tier.SNAPSHOT] = answer.reason or "incomplete"
        elif problem := self._implausible(answer):
            self._problem[Tier.SNAPSHOT] = problem
        elif asked_ns > self._snapshot_ns:
            self._problem[Tier.SNAPSHOT] = ""
            self._snapshot, self._snapshot_ns = answer, asked_ns
        self.look()

    async def known(self, timeout_s: float) -> list[Balance] | Incomplete:
        """Balances as soon as a source gives them: for the beginning of a ledger."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.tier is Tier.NONE:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return Incomplete(self.reason, 0)
        return list(self._values.values())

    # ---- the tiers ---------------------------------------------------------------------------------------

    def look(self) -> Tier:
        """Which source holds now."""
        now_ns, limits = self._clock_ns(), self.limits
        stream = self._stream(now_ns)
        fresh = self._snapshot is not None and now_ns - self._snapshot_ns <= limits.snapshot_age_ns
        if not fresh and not self._problem[Tier.SNAPSHOT]:
            self._problem[Tier.SNAPSHOT] = "the last snapshot is too old"
        self._note(Tier.STREAM, stream is not None, now_ns)
        self._note(Tier.SNAPSHOT, fresh, now_ns)
        if stream is not None and self._may(Tier.STREAM, now_ns):
            self._take(Tier.STREAM, stream, min(one.as_of_ns for one in stream) if stream else now_ns)
        elif fresh and self._may(Tier.SNAPSHOT, now_ns):
            assert self._snapshot is not None
            self._take(Tier.SNAPSHOT, self._snapshot, self._snapshot_ns)
        else:
            self._move(Tier.NONE)
        return self.tier

    def _stream(self, now_ns: int) -> list[Balance] | None:
        rows = self._source.stream_balances()
        if rows is None:
            self._problem[Tier.STREAM] = "the private stream is not live"
            return None
        if any(now_ns - one.as_of_ns > self.limits.stream_age_ns for one in rows):
            self._problem[Tier.STREAM] = "the connection shows no sign of life"
            return None
        problem = self._implausible(rows)
        self._problem[Tier.STREAM] = problem
        return None if problem else rows

    def _note(self, tier: Tier, good: bool, now_ns: int) -> None:
        if not good:
            self._good_since_ns[tier] = None
        elif self._good_since_ns[tier] is None:
            self._good_since_ns[tier] = now_ns

    def _may(self, tier: Tier, now_ns: int) -> bool:
        """A step up needs a steady source; the first values of all do not, nor does a step down."""
        since_ns = self._good_since_ns[tier]
        if self.first_ns is None or tier >= self.tier:
            return True
        return since_ns is not None and now_ns - since_ns >= self.limits.steady_ns

    def _take(self, tier: Tier, rows: list[Balance], as_of_ns: int) -> None:
        self._values = {one.asset: one for one in rows}
        self._as_of_ns = as_of_ns
        self.first_ns = self.first_ns or self._clock_ns()
        self._move(tier)

    def _move(self, tier: Tier) -> None:
        problems = [f"{SOURCES[one]}: {text}" for one, text in self._problem.items() if text and one < tier]
        self.reason = "; ".join(problems)
        if tier is self.tier:
            return
        change = TierChange(before=self.tier, after=tier, reason=self.reason, at_ns=self._clock_ns())
        self.changes = [*self.changes[1 - KEPT_TRANSITIONS :], change]
        log.warning("balance_tier", before=self.tier.name, after=tier.name, reason=self.reason)
        self.tier = tier
        self._changed.set()

    def _implausible(self, rows: list[Balance]) -> str:
        """Why a list is not believed (T9.6); "" when it is."""
        if len(rows) > MAX_ASSETS:
            return f"more than {MAX_ASSETS} assets"
        for one in rows:
            if one.total < 0 or one.held < 0 or one.held > one.total:
                return f"{one.asset}: {one.held} held of {one.total}"
        ours = {asset: total for asset, total in self._expected().items() if total}
        theirs = {one.asset: one.total for one in rows}
        if ours and not any(theirs.values()):
            return "everything is zero, and the ledger holds something"
        named = sum(asset in theirs for asset in ours)
        if named < self.limits.shrink * len(ours):
            return f"{named} of {len(ours)} assets are named"
        for asset, total in ours.items():
            if asset in theirs and abs(theirs[asset] - total) > self.limits.jump * abs(total):
                return f"{asset}: {theirs[asset]} for {total} of the ledger"
        return ""

    # ---- what is known -----------------------------------------------------------------------------------

    def value(self, asset: str) -> Known[Balance] | Stale[Balance] | Unknown:
        """One balance. An asset that a complete list does not name is known to be zero; before any list it is
        unknown.
        """
        if self._as_of_ns is None:
            return Unknown(self.reason)
        source = SOURCES[int(self.tier)]
        last = self._values.get(asset)
        if self.tier is Tier.NONE:
            if last is None:
                return Unknown(self.reason)
            return Stale(last, self._as_of_ns, source, self.reason)
        zero = Decimal(0)
        last = last or Balance(asset=asset, free=zero, held=zero, as_of_ns=self._as_of_ns)
        return Known(last, self._as_of_ns, source)

    @property
    def size_multiplier(self) -> Decimal:
        """What sizes are multiplied with."""
        return {Tier.STREAM: Decimal(1), Tier.SNAPSHOT: HALF, Tier.NONE: Decimal(0)}[self.tier]

    def refusal(self, request: OrderRequest) -> str:
        """Why no new risk may be sized from balances now; a guard of the desk."""
        if request.reducing:
            return ""
        found = self.value(self._pays(request.symbol, request.side))
        if isinstance(found, Known):
            return ""
        return f"StaleBalance: {self.reason}"
