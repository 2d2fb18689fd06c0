"""Pools of market makers as the log shows them. Shares, claims and money in micro-units, prices in 1e-9.

What a pool owns is in the views of claims (account `POOL`) and of the ledger (line POOL_CASH); here is the
rest.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tradewind.core.event_types import (
    AmmSwapped,
    LiquidityAdded,
    LiquidityCollected,
    LiquidityRemoved,
    PoolCreated,
    PoolRescaled,
)
from tradewind.core.events import Event

KINDS: Final = ("none", "lmsr", "pm-static", "pm-dynamic", "distribution")
"""Names of the kinds of market makers in code order."""
DYNAMIC: Final = KINDS.index("pm-dynamic")


class Provider(msgspec.Struct):
    """What one sub-account provides."""

    shares: int = 0
    unlock_ns: int = 0
    entry: tuple[int, int] = (0, 0)
    """Growth of the pool's released claims up to which `owed` counts."""
    owed: tuple[int, int] = (0, 0)

    def credit(self, growth: tuple[int, int]) -> None:
        """Counts what was set free until then."""
        gained = ((self.shares * (now - then)) >> 64 for now, then in zip(growth, self.entry, strict=True))
        first, second = (owed + more for owed, more in zip(self.owed, gained, strict=True))
        self.owed, self.entry = (first, second), growth


class Pool(msgspec.Struct):
    """A pool, its providers by (account, sub-account), and what it has done so far."""

    market: int
    kind: int
    liquidity: int
    shares: int
    created_ns: int
    chosen: bool
    """The creator has overridden the selection table."""
    base: int = 0
    """L₀ of a dynamic pool."""
    released: tuple[int, int] = (0, 0)
    growth: tuple[int, int] = (0, 0)
    providers: dict[tuple[int, int], Provider] = {}
    swaps: int = 0
    volume: int = 0
    fees: int = 0
    provider_fees: int = 0


class PoolsView:
    """Pools by market, and the last swap and change of liquidity of each."""

    def __init__(self) -> None:
        self.by_market: dict[int, Pool] = {}
        self.last_swap: dict[int, AmmSwapped] = {}
        self.last_liquidity: dict[int, LiquidityAdded | LiquidityRemoved | LiquidityCollected] = {}

    def on_event(self, event: Event) -> None:
        if isinstance(event, AmmSwapped):
            pool = self.by_market[event.market]
            pool.swaps += 1
            pool.volume += event.cost
            pool.fees += event.fee
            pool.provider_fees += event.provider_fee
            self.last_swap[event.market] = event
        elif isinstance(event, PoolCreated):
            self._created(event)
        elif isinstance(event, PoolRescaled):
            self._rescaled(event)
        elif isinstance(event, LiquidityAdded | LiquidityRemoved | LiquidityCollected):
            self._changed(event)

    def _created(self, event: PoolCreated) -> None:
        dynamic = event.amm_kind == DYNAMIC
        pool = Pool(
            event.market,
            event.amm_kind,
            event.liquidity,
            event.shares,
            event.time_ns,
            bool(event.chosen),
            base=event.liquidity if dynamic else 0,
        )
        pool.providers[event.account, event.sub] = Provider(event.shares, event.time_ns + LOCK_NS)
        self.by_market[event.market] = pool

    def _rescaled(self, event: PoolRescaled) -> None:
        pool = self.by_market[event.market]
        pool.liquidity = event.liquidity
        pool.released = (event.released_first, event.released_second)
        first, second = (
            grown + (freed << 64) // pool.shares
            for grown, freed in zip(pool.growth, (event.freed_first, event.freed_second), strict=True)
        )
        pool.growth = (first, second)

    def _changed(self, event: LiquidityAdded | LiquidityRemoved | LiquidityCollected) -> None:
        self.last_liquidity[event.market] = event
        pool = self.by_market[event.market]
        place = (event.account, event.sub)
        provider = pool.providers.setdefault(place, Provider())
        provider.credit(pool.growth)
        adds = isinstance(event, LiquidityAdded)
        if pool.kind == DYNAMIC and event.shares:
            product = pool.base * event.shares
            pool.base += product // pool.shares if adds else -product // pool.shares
        if not adds:
            first, second = pool.released
            pool.released = (first - provider.owed[0], second - provider.owed[1])
            provider.owed = (0, 0)
        provider.shares, provider.unlock_ns = event.provider_shares, event.unlock_ns
        pool.shares, pool.liquidity = event.total_shares, event.liquidity
        if not provider.shares:
            del pool.providers[place]
        if not pool.shares:
            del self.by_market[event.market]


LOCK_NS: Final = 86_400 * 1_000_000_000
"""How long new liquidity stays (row 0502)."""
