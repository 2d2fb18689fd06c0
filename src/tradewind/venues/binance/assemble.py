"""Everything around one Binance connector: key, lock, clock, lane, limits and their saved state, sockets.

async with open_binance(BinanceKey(name, secret), KeyFolder(data), account="main") as venue:
    await venue.open()
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from tradewind.venues.binance.common import BinanceConnector, BinanceOptions
from tradewind.venues.binance.connector import BinanceVenue
from tradewind.venues.binance.encode import BinanceKey
from tradewind.venues.binance.rest import BinanceRest
from tradewind.venues.limits import BinanceLimits, Gate
from tradewind.venues.limits.binance import BinanceState
from tradewind.venues.limits.store import LimiterStore
from tradewind.venues.transport.clock import ClockGuard
from tradewind.venues.transport.keys import KeyFolder, KeyPurpose
from tradewind.venues.transport.lease import KeyLock, TradingLease
from tradewind.venues.transport.private_http import PrivateHttp
from tradewind.venues.transport.private_link import Transition
from tradewind.venues.transport.signer import SignerLane

Connector = TypeVar("Connector", bound=BinanceConnector)
CONNECTIONS = 4
"""Of the lane: stamps need no order among each other, so requests may be under way together."""
GUARD_NS = 50_000_000
"""Near the end of a window of a limit, a request counts in both (way to the venue, error of the offset)."""


@contextlib.asynccontextmanager
async def open_binance(
    key: BinanceKey,
    keys: KeyFolder,
    *,
    account: str,
    options: BinanceOptions | None = None,
    lease: TradingLease | None = None,
    purpose: KeyPurpose = KeyPurpose.TRADING,
    reconcile_hook: Callable[[int], Awaitable[str]] | None = None,
    on_transition: Callable[[Transition], None] | None = None,
) -> AsyncIterator[BinanceVenue]:
    """A connector for spot that is not connected yet; everything is closed at the end.

    `lease` is the trading lease of the process; without one (tools, tests) only the connector's own check of
    epochs holds. `purpose`: a tool has a key of its own (T3.7).

    Raises:
        KeyBusy: another process has the key (exit status 75). WrongPurpose: the key is for something else.
        CapabilityDenied: this process may not sign.
    """
    async with open_connector(
        BinanceVenue, key, keys, account=account, options=options, lease=lease,
        purpose=purpose, reconcile_hook=reconcile_hook, on_transition=on_transition,
    ) as venue:  # fmt: skip
        yield venue


@contextlib.asynccontextmanager
async def open_connector(
    kind: type[Connector],
    key: BinanceKey,
    keys: KeyFolder,
    *,
    account: str,
    options: BinanceOptions | None,
    lease: TradingLease | None,
    purpose: KeyPurpose,
    reconcile_hook: Callable[[int], Awaitable[str]] | None,
    on_transition: Callable[[Transition], None] | None,
) -> AsyncIterator[Connector]:
    """The same for the connector of any market. A key is registered for one of them."""
    options = options or kind.default_options()
    record = keys.register(kind.venue_name, key.name, purpose=purpose)
    fresh = not (keys.folder / f"{record.fingerprint}.lock").exists()
    lock = KeyLock(keys.folder, record.fingerprint)
    clock = ClockGuard()
    limits = BinanceLimits(GUARD_NS)
    store = LimiterStore(
        keys.folder / f"{record.fingerprint}.limits", limits, BinanceState, clock_ns=clock.venue_ns
    )
    store.load(fresh=fresh)
    gate = Gate(limits, clock.venue_ns)
    lane = SignerLane(
        PrivateHttp(options.endpoints.rest_url, max_connections=CONNECTIONS),
        lock=lock,
        lease=lease,
        stamp_ms=lambda: clock.venue_ns() // 1_000_000,
        gate=gate,
    )
    public = PrivateHttp(options.endpoints.rest_url, max_connections=2)
    rest = BinanceRest(
        lane,
        public,
        key=key,
        clock=clock,
        limits=limits,
        gate=gate,
        prefix=options.endpoints.rest_prefix,
        meanings=kind.wire.meanings,
        window_ms=options.window_ms,
        epoch=0 if lease is None else lease.epoch,
    )
    venue = kind(rest, account, options, reconcile_hook=reconcile_hook, on_transition=on_transition)
    saving = asyncio.create_task(store.run(), name=f"{venue.name} limits")
    try:
        yield venue
    finally:
        await venue.close()
        gate.close()
        await lane.close()
        await public.close()
        saving.cancel()
        await asyncio.gather(saving, return_exceptions=True)
