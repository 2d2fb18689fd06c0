"""The platform's token as the log shows it: vesting, seasons, stakes and what waits for them. Micro-units."""

from __future__ import annotations

from typing import Final

import msgspec

from tradewind.core.enums import Line
from tradewind.core.event_types import (
    RewardsClaimed,
    RewardsShared,
    SeasonOpened,
    SeasonSettled,
    Staked,
    StakeReweighed,
    TokenIssued,
    Unstaked,
    VestedClaimed,
    VestingAllocated,
    VestingRevoked,
)
from tradewind.core.events import Event
from tradewind.node.projections.ledger import LedgerView

SUPPLY: Final = 100_000_000_000_000
"""The whole supply, micro-units (P11.1)."""
DAY_NS: Final = 86_400_000_000_000
SHIFT: Final = 64
"""Accumulators are micro-units per weight times 2^64 (P11.6)."""


class Pool(msgspec.Struct, frozen=True):
    """A row of the vesting table (P11.2): size in micro-units, times in days."""

    name: str
    size: int
    cliff_days: int
    length_days: int
    revocable: bool

    def vested(self, amount: int, elapsed_ns: int) -> int:
        """Micro-units of `amount` that have vested `elapsed_ns` after the start, rounded down."""
        if elapsed_ns < max(self.cliff_days * DAY_NS, 0):
            return 0
        return amount * min(elapsed_ns, self.length_days * DAY_NS) // (self.length_days * DAY_NS)


POOLS: Final = (
    Pool("team", 20_000_000_000_000, 365, 1_460, revocable=False),
    Pool("advisors", 5_000_000_000_000, 180, 730, revocable=True),
    Pool("strategic", 15_000_000_000_000, 180, 1_095, revocable=True),
    Pool("ecosystem", 30_000_000_000_000, 0, 1_825, revocable=True),
    Pool("reserve", 20_000_000_000_000, 1_095, 3_650, revocable=True),
)
TIERS: Final = (
    (1_000_000_000_000, "diamond"),
    (100_000_000_000, "platinum"),
    (10_000_000_000, "gold"),
    (1_000_000_000, "silver"),
)
"""Least stake in micro-units and name of a status tier (P11.7); below all of them bronze."""


def tier(staked: int) -> str:
    """The status of a stake in micro-units."""
    return next((name for least, name in TIERS if staked >= least), "bronze")


STATUS: Final = {"bronze": (0, 0), "silver": (5, 0), "gold": (10, 1), "platinum": (15, 1), "diamond": (25, 2)}
"""Basis points off the elastic fee (P8.4) and rate class (P11.7) by status."""


class Schedule(msgspec.Struct):
    """One allocation of locked tokens."""

    schedule: int
    account: int
    pool: int
    amount: int
    start_ns: int
    cliff_ns: int
    end_ns: int
    claimed: int = 0
    revoked_ns: int = 0

    def vested(self, now_ns: int) -> int:
        """What belongs to the beneficiary at a moment."""
        until_ns = min(now_ns, self.revoked_ns) if self.revoked_ns else now_ns
        return POOLS[self.pool].vested(self.amount, until_ns - self.start_ns)


class Season(msgspec.Struct):
    """A season as its last event left it."""

    season: int
    budget: int
    start_ns: int
    end_ns: int
    paid: int
    settled: bool

    def emitted(self, now_ns: int) -> int:
        """What may have left the season's line by a moment, rounded down."""
        length_ns = self.end_ns - self.start_ns
        return self.budget * min(max(now_ns - self.start_ns, 0), length_ns) // length_ns


class Lot(msgspec.Struct):
    """One stake. `entries`: accumulators by asset when it was paid last."""

    lot: int
    amount: int
    weight: int
    lock_s: int
    unlock_ns: int
    lot_id: bytes
    entries: dict[int, int]


class Fund(msgspec.Struct):
    """Rewards of one asset: what was shared out and not claimed."""

    accumulator: int = 0
    carry: int = 0
    owed: int = 0
    shared: int = 0
    claimed: int = 0


class TokenView:
    """Supply, schedules by number, seasons by number, lots by account and number, funds by asset."""

    def __init__(self) -> None:
        self.asset: int | None = None
        self.issued_ns = 0
        self.schedules: dict[int, Schedule] = {}
        self.seasons: dict[int, Season] = {}
        self.lots: dict[int, dict[int, Lot]] = {}
        self.funds: dict[int, Fund] = {}
        self.total_weight = 0

    def on_event(self, event: Event) -> None:
        if isinstance(event, Staked | Unstaked | StakeReweighed):
            self._staked(event)
        elif isinstance(event, RewardsShared):
            fund = self.funds.setdefault(event.asset, Fund())
            fund.accumulator = event.accumulator_high << SHIFT | event.accumulator_low
            fund.carry = event.carry_high << SHIFT | event.carry_low
            fund.owed += event.amount
            fund.shared += event.amount
        elif isinstance(event, RewardsClaimed):
            self._claimed(event)
        elif isinstance(event, VestingAllocated | VestedClaimed | VestingRevoked):
            self._vesting(event)
        elif isinstance(event, SeasonOpened | SeasonSettled):
            settled = isinstance(event, SeasonSettled)
            self.seasons[event.season] = Season(
                event.season, event.budget, event.start_ns, event.end_ns, event.paid, settled
            )
        elif isinstance(event, TokenIssued):
            self.asset, self.issued_ns = event.asset, event.issued_ns

    def _vesting(self, event: VestingAllocated | VestedClaimed | VestingRevoked) -> None:
        known = self.schedules.get(event.schedule)
        revoked_ns = event.time_ns if isinstance(event, VestingRevoked) else 0
        self.schedules[event.schedule] = Schedule(
            event.schedule,
            event.account,
            event.pool,
            event.amount,
            event.start_ns,
            event.cliff_ns,
            event.end_ns,
            event.claimed,
            revoked_ns or (known.revoked_ns if known else 0),
        )

    def _staked(self, event: Staked | Unstaked | StakeReweighed) -> None:
        lots = self.lots.setdefault(event.account, {})
        known = lots.pop(event.lot, None)
        before = known.weight if known else 0
        after = 0 if isinstance(event, Unstaked) else event.weight
        if after:
            entries = {asset: fund.accumulator for asset, fund in self.funds.items()}
            entries = known.entries if known else entries
            lots[event.lot] = Lot(
                event.lot, event.amount, after, event.lock_s, event.unlock_ns, event.lot_id, entries
            )
        self.total_weight += after - before
        for fund in self.funds.values():
            if self.total_weight == 0:
                fund.carry = fund.owed = 0
            else:
                gained, fund.carry = divmod(fund.carry, self.total_weight)
                fund.accumulator += gained

    def _claimed(self, event: RewardsClaimed) -> None:
        fund = self.funds.setdefault(event.asset, Fund())
        fund.owed -= event.amount
        fund.claimed += event.amount
        for lot in self.lots.get(event.account, {}).values():
            if event.lot in {0, lot.lot}:
                lot.entries[event.asset] = fund.accumulator

    def staked(self, account: int) -> int:
        """Micro-units that an account (by handle) has staked."""
        return sum(lot.amount for lot in self.lots.get(account, {}).values())

    def pending(self, lot: Lot, ledger: LedgerView) -> dict[int, int]:
        """Asset → micro-units that a claim of the lot would pay now, as the engine would compute them."""
        found = {}
        for asset in sorted(
            self.funds.keys()
            | {asset for line, _, asset, _ in ledger.system_lines() if line is Line.STAKER_POOL}
        ):
            fund = self.funds.get(asset, Fund())
            fresh = ledger.system_line(Line.STAKER_POOL, asset) - fund.owed
            accumulator = fund.accumulator
            if fresh > 0 and self.total_weight:
                accumulator += ((fresh << SHIFT) + fund.carry) // self.total_weight
            amount = lot.weight * (accumulator - lot.entries.get(asset, 0)) >> SHIFT
            if amount > 0:
                found[asset] = amount
        return found

    def supply(self, ledger: LedgerView) -> dict[str, int]:
        """Where the supply is: reserved, season, circulating, burned. They add up to it (P11.1)."""
        if self.asset is None:
            return {}
        reserved = ledger.system_line(Line.RESERVED, self.asset)
        # Key 1 holds what makers have earned and not claimed yet.
        season = sum(ledger.system_line(Line.SEASON, self.asset, key) for key in (0, 1))
        burned = SUPPLY + ledger.system_line(Line.ISSUANCE, self.asset)
        circulating = ledger.circulating(self.asset, {Line.RESERVED, Line.SEASON, Line.ISSUANCE})
        return {"reserved": reserved, "season": season, "circulating": circulating, "burned": burned}
