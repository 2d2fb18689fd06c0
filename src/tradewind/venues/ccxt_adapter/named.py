"""Venues through ccxt for the registry of connectors (`venues.connectors`): `ccxt:okx`."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from tradewind.venues.ccxt_adapter.assemble import open_ccxt
from tradewind.venues.ccxt_adapter.library import CcxtCredentials
from tradewind.venues.ccxt_adapter.options import CcxtOptions
from tradewind.venues.connectors import Connector, Opening
from tradewind.venues.protocol import Venue


def connector_of(exchange: str) -> Connector:
    """The connector of one of ccxt's ids; whether there is such a venue is found when it is built."""

    def connect(opening: Opening) -> AbstractAsyncContextManager[Venue]:
        credentials = CcxtCredentials(
            api_key=opening.secret("API_KEY"),
            secret=opening.secret("API_SECRET"),
            password=opening.secrets.get("API_PASSPHRASE", ""),
            uid=opening.secrets.get("UID", ""),
        )
        options = CcxtOptions(
            exchange=exchange, rest_url=opening.url or "", socket_url=opening.socket_url or ""
        )
        return open_ccxt(
            credentials, opening.keys, account=opening.account, options=options, purpose=opening.purpose
        )

    return Connector(
        name=f"ccxt:{exchange}",
        needs=("API_KEY", "API_SECRET"),
        takes=("API_PASSPHRASE", "UID"),
        connect=connect,
        placeholder={"API_KEY": "none", "API_SECRET": "bm9uZQ=="},
    )
