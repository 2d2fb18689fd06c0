"""Which workers a process should run: one per duty of every local keeper, one per local price source."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Final

from tradewind.core.hashing import account_id
from tradewind.keepers.funding import FundingWorker
from tradewind.keepers.ingestion import IngestionWorker
from tradewind.keepers.liquidation import LiquidationWorker
from tradewind.keepers.oracle import OracleWorker, Quotes
from tradewind.keepers.port import CRANK, LIQUIDATE, TRIGGER, Identity, Port, Standing
from tradewind.keepers.reading import standing_of
from tradewind.keepers.supervisor import Maker
from tradewind.keepers.trigger import TriggerWorker
from tradewind.keepers.worker import Worker
from tradewind.node.projections.exchange import ExchangeViews
from tradewind.security.attesting import Signer
from tradewind.venues.catalogue.client import CatalogueClient

KINDS: Final[dict[str, tuple[type[Worker], int]]] = {
    "liquidation": (LiquidationWorker, LIQUIDATE),
    "trigger": (TriggerWorker, TRIGGER),
    "funding": (FundingWorker, CRANK),
}
"""Workers of keepers, with the capability that each needs."""
LIVE_LABEL: Final = "live:"
CHOSEN: Final = ("live", "replay", "generated")
OPEN_ENVIRONMENTS: Final = ("sim", "paper")


def keeper_identity(name: str, key: bytes) -> Identity:
    """A keeper acts for the account that derives from its key."""
    return Identity(name=name, principal=key, account=account_id(key))


def refusal_to_publish(env: str, mode: str, label: str) -> str | None:
    """Why market data must not become the prices of an exchange; None when it may.

    Data that is not live is published only where the operator has chosen it by name, and never outside of
    paper and simulated environments.
    """
    if label.startswith(LIVE_LABEL):
        return None if env in OPEN_ENVIRONMENTS else f"{env}: sources run on machines of their own"
    if env in OPEN_ENVIRONMENTS and mode in CHOSEN:
        return None
    return f"market data is {label}, a substitute that nobody chose: nothing is published"


class LocalWorkers:
    """The workers of one process. `quotes` is None until market data flows."""

    def __init__(
        self,
        views: ExchangeViews,
        keys: Mapping[str, bytes],
        port: Callable[[], Port],
        *,
        keepers: tuple[str, ...],
        sources: tuple[str, ...],
        signer: Callable[[str], Signer],
    ) -> None:
        """`signer` gives a local source's own key by its name."""
        self._views, self._keys, self._port, self._signer = views, keys, port, signer
        self._keepers, self._sources = keepers, sources
        self.quotes: Quotes | None = None
        self.catalogue = ""
        """Address of the venue catalogue whose prices local sources publish; empty = none."""
        self.refused: str | None = None

    def wanted(self) -> dict[str, Maker]:
        """Name → how to make the worker."""
        makers: dict[str, Maker] = {}
        for name in self._keepers:
            identity = keeper_identity(name, self._keys[name])
            standing: Standing = standing_of(self._views, identity.account)
            for kind, (maker, capability) in KINDS.items():
                if standing.registered and standing.may(capability):
                    makers[f"{kind}:{name}"] = functools.partial(self._keeper, maker, identity)
        for name in self._sources:
            key = self._keys[name]
            if self.catalogue and self._views.venues.has_source(key):
                makers[f"ingestion:{name}"] = functools.partial(
                    self._ingestion, Identity(name=name, principal=key)
                )
            known = any(
                key in feed.sources and feed.sources[key].weight
                for feed in self._views.feeds.by_number.values()
            )
            if known and self.quotes is not None:
                makers[f"oracle:{name}"] = functools.partial(self._source, Identity(name=name, principal=key))
        return makers

    def _keeper(self, maker: type[Worker], identity: Identity) -> Worker:
        return maker(identity, self._port())

    def _ingestion(self, identity: Identity) -> Worker:
        client = CatalogueClient(self.catalogue, worker=identity.name)
        return IngestionWorker(identity, self._port(), client)

    def _source(self, identity: Identity) -> Worker:
        assert self.quotes is not None
        return OracleWorker(
            identity, self._port(), self.quotes, self._signer(identity.name), refused=self.refused
        )
