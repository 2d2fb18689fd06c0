"""Polymarket for the registry of connectors (`venues.connectors`)."""

from __future__ import annotations

import base64
from contextlib import AbstractAsyncContextManager

from tradewind.venues.connectors import Connector, Opening
from tradewind.venues.polymarket.assemble import HOST, Secrets, open_polymarket
from tradewind.venues.polymarket.connector import PolymarketOptions
from tradewind.venues.protocol import Venue
from tradewind.venues.transport.keys import KeyPurpose


def connect(opening: Opening) -> AbstractAsyncContextManager[Venue]:
    """A connector for reads. Raises `SecretMissing`, `BadSecret`, `BadSignature`, `SigningUnavailable`,
    `KeyBusy`, `WrongPurpose`.
    """
    secrets = Secrets(
        private_key=opening.secret("PRIVATE_KEY"),
        api_key=opening.secret("API_KEY"),
        api_secret=opening.secret("API_SECRET"),
        passphrase=opening.secret("API_PASSPHRASE"),
    )
    options = PolymarketOptions(heartbeats=False)
    if opening.url is not None:
        socket_url = opening.socket_url or "ws://127.0.0.1:9"
        options = PolymarketOptions(
            heartbeats=False, market_url=f"{socket_url}/ws/market", user_url=f"{socket_url}/ws/user"
        )
    # a tool leaves the trader's journal of intents alone: it shows the venue's own names of orders
    book = "tools-intents.jsonl" if opening.purpose is KeyPurpose.TOOLS else "intents.jsonl"
    opening.keys.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return open_polymarket(
        secrets,
        opening.keys,
        account=opening.account,
        intents=opening.keys.folder / book,
        host=opening.url or HOST,
        options=options,
        purpose=opening.purpose,
    )


CONNECTOR = Connector(
    name="polymarket",
    needs=("PRIVATE_KEY", "API_KEY", "API_SECRET", "API_PASSPHRASE"),
    connect=connect,
    placeholder={
        "PRIVATE_KEY": f"{1:064x}",
        "API_KEY": "none",
        "API_SECRET": base64.urlsafe_b64encode(bytes(32)).decode(),
        "API_PASSPHRASE": "none",
    },
)
