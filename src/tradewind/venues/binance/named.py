"""Binance spot for the registry of connectors (`venues.connectors`)."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import msgspec

from tradewind.venues.binance.assemble import open_binance
from tradewind.venues.binance.connector import BinanceOptions
from tradewind.venues.binance.encode import BinanceKey
from tradewind.venues.binance.live import SPOT
from tradewind.venues.connectors import Connector, Opening
from tradewind.venues.protocol import Venue


def connect(opening: Opening) -> AbstractAsyncContextManager[Venue]:
    """A connector for reads. Raises `SecretMissing`, `BadSecret`, `KeyBusy`, `WrongPurpose`."""
    key = BinanceKey(opening.secret("API_KEY"), opening.secret("API_SECRET"))
    options = BinanceOptions()
    if opening.url is not None:
        socket_url = opening.socket_url or "ws://127.0.0.1:9"
        options = BinanceOptions(
            endpoints=msgspec.structs.replace(SPOT, rest_url=opening.url, websocket_url=socket_url),
            private_url=f"{socket_url}/ws-api/v3",
        )
    return open_binance(key, opening.keys, account=opening.account, options=options, purpose=opening.purpose)


CONNECTOR = Connector(
    name="binance",
    needs=("API_KEY", "API_SECRET"),
    connect=connect,
    clock=True,
    placeholder={"API_KEY": "none", "API_SECRET": "none"},
)
