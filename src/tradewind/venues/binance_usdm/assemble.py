"""Everything around one USD-M connector, as of spot.

async with open_binance_usdm(BinanceKey(name, secret), KeyFolder(data), account="main") as venue:
    await venue.open()
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from tradewind.venues.binance.assemble import open_connector
from tradewind.venues.binance.encode import BinanceKey
from tradewind.venues.binance_usdm.connector import UsdmOptions, UsdmVenue
from tradewind.venues.transport.keys import KeyFolder, KeyPurpose
from tradewind.venues.transport.lease import TradingLease
from tradewind.venues.transport.private_link import Transition


@contextlib.asynccontextmanager
async def open_binance_usdm(
    key: BinanceKey,
    keys: KeyFolder,
    *,
    account: str,
    options: UsdmOptions | None = None,
    lease: TradingLease | None = None,
    purpose: KeyPurpose = KeyPurpose.TRADING,
    reconcile_hook: Callable[[int], Awaitable[str]] | None = None,
    on_transition: Callable[[Transition], None] | None = None,
) -> AsyncIterator[UsdmVenue]:
    """A connector for USD-M that is not connected yet; everything is closed at the end. Its limits are the
    venue's own and not shared with a connector for spot.

    Raises:
        As `open_binance`.
    """
    async with open_connector(
        UsdmVenue, key, keys, account=account, options=options, lease=lease,
        purpose=purpose, reconcile_hook=reconcile_hook, on_transition=on_transition,
    ) as venue:  # fmt: skip
        yield venue
