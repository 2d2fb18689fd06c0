"""Outside venues by name: which secrets a connector needs, and how one is built.

To add a venue, write a module with a `Connector` named `CONNECTOR` beside it, and add its place to `PLACES`.
Nothing of a venue is imported before it is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import msgspec

from tradewind.venues.protocol import Venue
from tradewind.venues.transport.keys import KeyFolder, KeyPurpose

PLACES: Final[dict[str, str]] = {
    "binance": "tradewind.venues.binance.named",
    "binance-usdm": "tradewind.venues.binance_usdm.named",
    "kraken": "tradewind.venues.kraken.named",
    "native": "tradewind.venues.native.named",
    "polymarket": "tradewind.venues.polymarket.named",
}
THROUGH_CCXT: Final = "ccxt:"
"""`ccxt:okx` is any venue of that library, with its optional adapter."""


class UnknownVenue(KeyError):
    """No connector has this name."""

    code = "UnknownVenue"

    def __str__(self) -> str:
        return f"no connector {self.args[0]!r}; there are {', '.join(names())} and {THROUGH_CCXT}ID"


class SecretMissing(ValueError):
    """A connector needs a secret that was not given. Names it, never its value."""

    code = "SecretMissing"


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """What a connector is built with. `url` and `socket_url`: other hosts than the venue's own."""

    secrets: Mapping[str, str]
    keys: KeyFolder
    account: str
    url: str | None = None
    socket_url: str | None = None
    purpose: KeyPurpose = KeyPurpose.TRADING

    def secret(self, name: str) -> str:
        """One of the secrets. Raises `SecretMissing`."""
        value = self.secrets.get(name, "")
        if not value:
            raise SecretMissing(f"{name} is not given")
        return value

    def __repr__(self) -> str:
        return f"Opening({sorted(self.secrets)}, {self.account!r}, {self.url!r})"


class Connector(msgspec.Struct, frozen=True, kw_only=True):
    """One venue. `connect` gives a venue that is not connected to any stream; its reads work.

    `placeholder`: secrets that have the right form and open nothing, for questions that need no key.
    """

    name: str
    needs: tuple[str, ...]
    connect: Callable[[Opening], AbstractAsyncContextManager[Venue]]
    takes: tuple[str, ...] = ()
    """Secrets beyond those that it needs."""
    placeholder: Mapping[str, str]
    public: bool = True
    """Whether status and symbols can be asked for without a key."""
    account: str = "tools"
    """Of which account, when nobody says."""
    clock: bool = False
    """Whether signed requests carry the venue's time, which `status` measures."""


def names() -> list[str]:
    """Every venue with a connector of our own."""
    return sorted(PLACES)


def connector(name: str) -> Connector:
    """The connector of a name.

    Raises:
        UnknownVenue.
    """
    if name.startswith(THROUGH_CCXT):
        found: Any = importlib.import_module("tradewind.venues.ccxt_adapter.named")
        made: Connector = found.connector_of(name.removeprefix(THROUGH_CCXT))
        return made
    if name not in PLACES:
        raise UnknownVenue(name)
    module: Any = importlib.import_module(PLACES[name])
    one: Connector = module.CONNECTOR
    return one
