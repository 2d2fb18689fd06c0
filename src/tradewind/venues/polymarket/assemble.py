"""Everything around one Polymarket connector: wallet, key, lock, lane, limits and their state, intents.

async with open_polymarket(secrets, KeyFolder(data), account="main", intents=data / "intents.jsonl") as venue:
    await venue.open()
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import msgspec

from tradewind.venues.limits import Gate, SlidingLimits
from tradewind.venues.limits.sliding import SlidingState, polymarket_rules
from tradewind.venues.limits.store import LimiterStore
from tradewind.venues.polymarket.connector import PolymarketOptions, PolymarketVenue
from tradewind.venues.polymarket.intents import IntentBook
from tradewind.venues.polymarket.rest import Credentials, PolymarketRest
from tradewind.venues.polymarket.wallet import Wallet
from tradewind.venues.protocol import FillEvent
from tradewind.venues.transport.keys import KeyFolder, KeyPurpose
from tradewind.venues.transport.lease import KeyLock, TradingLease
from tradewind.venues.transport.private_http import PrivateHttp
from tradewind.venues.transport.private_link import Transition
from tradewind.venues.transport.signatures import BadSecret
from tradewind.venues.transport.signer import SignerLane

VENUE: Final = "polymarket"
HOST: Final = "https://clob.polymarket.com"
CONNECTIONS: Final = 4


class Secrets(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet's private key and one of its API keys, as text. Never printed."""

    private_key: str
    api_key: str
    api_secret: str
    passphrase: str

    def __repr__(self) -> str:
        return "Secrets(…)"


@contextlib.asynccontextmanager
async def open_polymarket(
    secrets: Secrets,
    keys: KeyFolder,
    *,
    account: str,
    intents: Path,
    host: str = HOST,
    options: PolymarketOptions | None = None,
    lease: TradingLease | None = None,
    purpose: KeyPurpose = KeyPurpose.TRADING,
    on_transition: Callable[[Transition], None] | None = None,
    on_reversed: Callable[[FillEvent], None] | None = None,
) -> AsyncIterator[PolymarketVenue]:
    """A connector that is not connected yet; everything is closed at the end.

    Raises:
        SigningUnavailable: the extra `polymarket` is not installed. BadSignature, BadSecret: a wrong key.
        KeyBusy: another process has the key (exit status 75). WrongPurpose: it is for something else.
    """
    wallet = Wallet.from_text(secrets.private_key)
    wallet.address()
    credentials = Credentials(secrets.api_key, _secret(secrets.api_secret), secrets.passphrase)
    record = keys.register(VENUE, secrets.api_key, purpose=purpose)
    fresh = not (keys.folder / f"{record.fingerprint}.lock").exists()
    lock = KeyLock(keys.folder, record.fingerprint)
    limits = SlidingLimits(polymarket_rules())
    store = LimiterStore(keys.folder / f"{record.fingerprint}.limits", limits, SlidingState)
    store.load(fresh=fresh)
    gate = Gate(limits, unused=lambda items: limits.done(items, time.monotonic_ns()))
    lane = SignerLane(
        PrivateHttp(host, max_connections=CONNECTIONS),
        lock=lock,
        lease=lease,
        stamp_ms=lambda: time.time_ns() // 1_000_000,
    )
    public = PrivateHttp(host, max_connections=2)
    rest = PolymarketRest(lane, public, wallet=wallet, credentials=credentials, limits=limits, gate=gate)
    book = await asyncio.to_thread(IntentBook, intents)
    venue = PolymarketVenue(
        rest, account, book, options, on_transition=on_transition, on_reversed=on_reversed
    )
    saving = asyncio.create_task(store.run(), name="polymarket limits")
    try:
        yield venue
    finally:
        await venue.close()
        gate.close()
        await lane.close()
        await public.close()
        saving.cancel()
        await asyncio.gather(saving, return_exceptions=True)
        book.close()


def _secret(text: str) -> bytes:
    """An API secret is url-safe base64. Raises `BadSecret`."""
    try:
        return base64.b64decode(text, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadSecret("the API secret is not url-safe base64") from error
