"""Everything around one connector through ccxt: the library, the key's lock, the exchange object.

async with open_ccxt(credentials, KeyFolder(data), account="main", options=CcxtOptions(exchange="okx")) as
venue:
    await venue.open()
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from tradewind.venues.ccxt_adapter.connector import CcxtVenue
from tradewind.venues.ccxt_adapter.library import CcxtCredentials, exchange_of
from tradewind.venues.ccxt_adapter.options import CcxtOptions
from tradewind.venues.protocol import Environment
from tradewind.venues.transport.keys import KeyFolder, KeyPurpose, fingerprint
from tradewind.venues.transport.lease import KeyLock


@contextlib.asynccontextmanager
async def open_ccxt(
    credentials: CcxtCredentials,
    keys: KeyFolder,
    *,
    account: str,
    options: CcxtOptions,
    environment: Environment = Environment.TESTNET,
    purpose: KeyPurpose = KeyPurpose.TRADING,
) -> AsyncIterator[CcxtVenue]:
    """A connector that is not connected yet; everything is closed at the end.

    ccxt counts its own nonces, from the clock in milliseconds: a key that it uses must not be used by another
    connector, which the lock guards for the life of the process.

    Raises:
        MissingExtra, UnknownExchange: ccxt or the venue is not there. CapsInsufficient: not enough for real
        money. KeyBusy: another process has the key (exit status 75). WrongPurpose: it is registered for
        something else.
    """
    exchange = exchange_of(options, credentials)
    name = f"ccxt-{options.exchange}"
    keys.register(name, credentials.api_key, purpose=purpose)
    lock = KeyLock(keys.folder, fingerprint(name, credentials.api_key))
    try:
        venue = CcxtVenue(exchange, account, options)
        try:
            venue.require(environment)
            yield venue
        finally:
            await venue.close()
    finally:
        lock.release()
