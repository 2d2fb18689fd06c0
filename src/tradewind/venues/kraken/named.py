"""Kraken for the registry of connectors (`venues.connectors`)."""

from __future__ import annotations

import base64
from contextlib import AbstractAsyncContextManager

from tradewind.venues.connectors import Connector, Opening
from tradewind.venues.kraken.assemble import Credentials, open_kraken
from tradewind.venues.kraken.connector import KrakenOptions
from tradewind.venues.kraken.live import KrakenEndpoints
from tradewind.venues.protocol import Venue

LOWEST_TIER = "starter"
"""Whoever has more budget does not say so here: a tool stays below the smallest."""


def connect(opening: Opening) -> AbstractAsyncContextManager[Venue]:
    """A connector for reads. Raises `SecretMissing`, `BadSecret`, `KeyBusy`, `WrongPurpose`."""
    credentials = Credentials(opening.secret("API_KEY"), opening.secret("API_SECRET"))
    options = KrakenOptions()
    if opening.url is not None:
        socket_url = opening.socket_url or "ws://127.0.0.1:9"
        options = KrakenOptions(
            endpoints=KrakenEndpoints(websocket_url=f"{socket_url}/v2", rest_url=opening.url),
            private_url=f"{socket_url}/v2",
        )
    return open_kraken(
        credentials,
        opening.keys,
        account=opening.account,
        tier=opening.secrets.get("TIER", LOWEST_TIER),
        options=options,
        purpose=opening.purpose,
    )


CONNECTOR = Connector(
    name="kraken",
    needs=("API_KEY", "API_SECRET"),
    takes=("TIER",),
    connect=connect,
    placeholder={"API_KEY": "none", "API_SECRET": base64.b64encode(bytes(64)).decode()},
)
