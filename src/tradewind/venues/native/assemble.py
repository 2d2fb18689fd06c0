"""Everything around one native connector: token, lock, clock, lane, limits, sockets.

async with open_native(ApiToken(text), KeyFolder(data), account="desk", options=options) as venue:
    await venue.open()
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from tradewind.venues.limits import Gate, SlidingLimits
from tradewind.venues.limits.sliding import SlidingState
from tradewind.venues.limits.store import LimiterStore
from tradewind.venues.native.connector import NativeVenue
from tradewind.venues.native.directory import NAME
from tradewind.venues.native.messages import ApiToken
from tradewind.venues.native.options import NativeOptions
from tradewind.venues.native.rest import NativeRest, default_limits, native_rules
from tradewind.venues.transport.clock import ClockGuard
from tradewind.venues.transport.keys import KeyFolder, KeyPurpose
from tradewind.venues.transport.lease import KeyLock, TradingLease
from tradewind.venues.transport.private_http import PrivateHttp
from tradewind.venues.transport.private_link import Transition
from tradewind.venues.transport.signer import SignerLane

CONNECTIONS = 8


@contextlib.asynccontextmanager
async def open_native(
    token: ApiToken,
    keys: KeyFolder,
    *,
    account: str,
    options: NativeOptions | None = None,
    lease: TradingLease | None = None,
    purpose: KeyPurpose = KeyPurpose.TRADING,
    reconcile_hook: Callable[[int], Awaitable[str]] | None = None,
    on_transition: Callable[[Transition], None] | None = None,
) -> AsyncIterator[NativeVenue]:
    """A connector that is not connected yet; everything is closed at the end.

    The lock is on the account at its node, not on the token: a second process that trades it is refused,
    whatever token it has. `lease` is the trading lease of the process; without one (tools, tests) only the
    connector's own check of epochs holds.

    Raises:
        KeyBusy: another process trades the account (exit status 75). WrongPurpose: it is used for something
            else. CapabilityDenied: this process may not trade.
        ValueError: an address that is none, or plain http to another machine.
    """
    options = options or NativeOptions()
    # A tool reads with a token of its own beside the process that trades; it must not take its lock.
    holder = account if purpose is KeyPurpose.TRADING else f"{purpose}:{account}"
    record = keys.register(NAME, f"{holder}@{options.url}", purpose=purpose)
    fresh = not (keys.folder / f"{record.fingerprint}.lock").exists()
    lock = KeyLock(keys.folder, record.fingerprint)
    try:
        http = PrivateHttp(options.url, max_connections=CONNECTIONS)
    except ValueError:
        lock.release()
        raise
    clock = ClockGuard(resolution_ns=1)
    limits = SlidingLimits(native_rules(default_limits()))
    store = LimiterStore(keys.folder / f"{record.fingerprint}.limits", limits, SlidingState)
    store.load(fresh=fresh)
    gate = Gate(limits, time.monotonic_ns)
    lane = SignerLane(http, lock=lock, lease=lease, stamp_ms=lambda: clock.venue_ns() // 1_000_000, gate=gate)
    rest = NativeRest(
        lane,
        token=token,
        clock=clock,
        limits=limits,
        gate=gate,
        epoch=0 if lease is None else lease.epoch,
    )
    rest.on_adopted = lambda adopted: setattr(store, "model", adopted)
    venue = NativeVenue(rest, account, options, reconcile_hook=reconcile_hook, on_transition=on_transition)
    saving = asyncio.create_task(store.run(), name="native limits")
    try:
        yield venue
    finally:
        await venue.close()
        gate.close()
        await lane.close()
        saving.cancel()
        await asyncio.gather(saving, return_exceptions=True)
