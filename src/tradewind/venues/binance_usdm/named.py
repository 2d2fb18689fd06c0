"""Binance USD-M for the registry of connectors (`venues.connectors`)."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import msgspec

from tradewind.venues.binance.encode import BinanceKey
from tradewind.venues.binance.live import USDM
from tradewind.venues.binance_usdm.assemble import open_binance_usdm
from tradewind.venues.binance_usdm.connector import UsdmOptions
from tradewind.venues.connectors import Connector, Opening
from tradewind.venues.protocol import Venue


def connect(opening: Opening) -> AbstractAsyncContextManager[Venue]:
    """A connector for reads. Raises `SecretMissing`, `BadSecret`, `KeyBusy`, `WrongPurpose`."""
    key = BinanceKey(opening.secret("API_KEY"), opening.secret("API_SECRET"))
    # the listen key is the account's: a tool that ends it would cut the trader's stream
    options = UsdmOptions(end_listen_key=False)
    if opening.url is not None:
        socket_url = opening.socket_url or "ws://127.0.0.1:9"
        options = UsdmOptions(
            endpoints=msgspec.structs.replace(USDM, rest_url=opening.url, websocket_url=socket_url),
            private_url=f"{socket_url}/private/ws",
            end_listen_key=False,
        )
    return open_binance_usdm(
        key, opening.keys, account=opening.account, options=options, purpose=opening.purpose
    )


CONNECTOR = Connector(
    name="binance-usdm",
    needs=("API_KEY", "API_SECRET"),
    connect=connect,
    clock=True,
    placeholder={"API_KEY": "none", "API_SECRET": "none"},
)
