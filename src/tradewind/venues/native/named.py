"""Our own markets, at a node, for the registry of connectors (`venues.connectors`)."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from tradewind.venues.connectors import Connector, Opening
from tradewind.venues.native.assemble import open_native
from tradewind.venues.native.messages import ApiToken
from tradewind.venues.native.options import NativeOptions
from tradewind.venues.protocol import Venue


def connect(opening: Opening) -> AbstractAsyncContextManager[Venue]:
    """A connector for reads. Raises `SecretMissing`, `KeyBusy`, `WrongPurpose`; `ValueError` for a token or
    an address that cannot be one.
    """
    options = NativeOptions() if opening.url is None else NativeOptions(url=opening.url)
    return open_native(
        ApiToken(opening.secret("API_TOKEN")),
        opening.keys,
        account=opening.account,
        options=options,
        purpose=opening.purpose,
    )


CONNECTOR = Connector(
    name="native",
    needs=("API_TOKEN",),
    connect=connect,
    public=False,
    account="trader",
    clock=True,
    placeholder={"API_TOKEN": "0" * 32},
)
