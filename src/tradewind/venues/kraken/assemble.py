"""Everything around one Kraken connector: key, lock, nonces, lane, limits and their saved state, sockets.

async with open_kraken(credentials, KeyFolder(data), account="main", tier="pro") as venue:
    await venue.open()
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec

from tradewind.venues.frame_watch import FrameWatch
from tradewind.venues.kraken.connector import KrakenOptions, KrakenVenue
from tradewind.venues.kraken.rest import KrakenRest
from tradewind.venues.kraken.shapes import SHAPES, name_of
from tradewind.venues.limits import Gate, KrakenLimits
from tradewind.venues.limits.kraken import KrakenState
from tradewind.venues.limits.store import LimiterStore
from tradewind.venues.transport.keys import KeyFolder, KeyPurpose, fingerprint
from tradewind.venues.transport.lease import TradingLease
from tradewind.venues.transport.private_http import PrivateHttp
from tradewind.venues.transport.private_link import Transition
from tradewind.venues.transport.signatures import decode_secret
from tradewind.venues.transport.signer import SignerLane

VENUE = "kraken"


class Credentials(msgspec.Struct, frozen=True):
    """An API key and its secret as the venue hands them out. Never printed."""

    key: str
    secret: str

    def __repr__(self) -> str:
        return f"Credentials({fingerprint(VENUE, self.key)})"


@contextlib.asynccontextmanager
async def open_kraken(
    credentials: Credentials,
    keys: KeyFolder,
    *,
    account: str,
    tier: str,
    options: KrakenOptions | None = None,
    lease: TradingLease | None = None,
    purpose: KeyPurpose = KeyPurpose.TRADING,
    reconcile_hook: Callable[[int], Awaitable[str]] | None = None,
    on_transition: Callable[[Transition], None] | None = None,
) -> AsyncIterator[KrakenVenue]:
    """A connector that is not connected yet; everything is closed at the end, in the order that keeps the
    nonces' mark exact.

    `tier` is the account's: starter, intermediate or pro. `lease` is the trading lease of the process;
    without one (tools, tests) only the connector's own check of epochs holds. `purpose`: a tool has a key of
    its own (T3.7).

    Raises:
        UnknownTier, BadSecret: a wrong setting. KeyBusy: another process has the key (exit status 75).
        WrongPurpose, NonceError: the key cannot be used before an operator looked at it.
    """
    options = options or KrakenOptions()
    limits = KrakenLimits(tier)
    secret = decode_secret(credentials.secret)
    record = keys.register(VENUE, credentials.key, purpose=purpose)
    lock, nonces = keys.open(record.fingerprint, purpose=purpose)
    store = LimiterStore(keys.folder / f"{record.fingerprint}.limits", limits, KrakenState)
    store.load(fresh=not record.used)
    gate = Gate(limits)
    lane = SignerLane(
        PrivateHttp(options.endpoints.rest_url, max_connections=1),
        lock=lock,
        nonces=nonces,
        lease=lease,
        gate=gate,
    )
    public = PrivateHttp(options.endpoints.rest_url, max_connections=2)
    rest = KrakenRest(lane, public, key=credentials.key, secret=secret, limits=limits, gate=gate, lease=lease)
    venue = KrakenVenue(rest, account, options, reconcile_hook=reconcile_hook, on_transition=on_transition)
    venue.socket.link.watch = FrameWatch(SHAPES, name_of)
    saving = asyncio.create_task(store.run(), name="kraken limits")
    try:
        yield venue
    finally:
        await venue.close()
        gate.close()
        await lane.close()
        await public.close()
        saving.cancel()
        await asyncio.gather(saving, return_exceptions=True)
