"""The platform of the same process: duties from its views, commands to its node."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, Final, cast

from tradewind.core import commands as build
from tradewind.core import native
from tradewind.core.errors import TradewindError
from tradewind.keepers.port import (
    KEY_CHARACTERS,
    Action,
    Duties,
    Identity,
    Outcome,
    PortUnavailable,
    SourceDuties,
    Suspects,
    VenueLinks,
)
from tradewind.keepers.reading import duties_of, sources_of, suspects_of, venue_links_of
from tradewind.node.projections.exchange import ExchangeViews
from tradewind.node.service import NodeService
from tradewind.security.publications import SIGNATURE_REFUSALS

CALLBACK: Final = "keepers"
SETTLE_S: Final = 0.005


class Wake:
    """Wakes the workers of a process when a batch changed what is due. Attach `on_batch` behind the views."""

    def __init__(self, views: ExchangeViews) -> None:
        self._views = views
        self._event = asyncio.Event()
        self._seen = self.version

    @property
    def version(self) -> tuple[int, int]:
        """Grows with every change of duties or of who is registered."""
        return (self._views.duties.version, len(self._views.keepers.by_account))

    def on_batch(self, _batch: native.Batch) -> None:
        """Called by the node once per durable batch."""
        if self.version != self._seen:
            self._seen = self.version
            self._event.set()
            self._event = asyncio.Event()

    async def wait(self, seen: tuple[int, int] | None, timeout_s: float) -> None:
        """Until something changed after `seen`, at most for the time."""
        if seen is not None and seen != self.version:
            await asyncio.sleep(SETTLE_S)
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), timeout_s)


class LocalPort:
    """One worker's way to the node of its process."""

    def __init__(self, node: NodeService, views: ExchangeViews, wake: Wake) -> None:
        self._node, self._views, self._wake = node, views, wake
        self._seen: tuple[int, int] | None = None

    def now_ns(self) -> int:
        """See `Port`."""
        return self._node.now_ns()

    async def duties(self, identity: Identity) -> Duties:
        """See `Port`."""
        self._seen = self._wake.version
        return duties_of(self._views, identity.account, self._node.now_ns())

    async def suspects(self, start: int) -> Suspects:
        """See `Port`."""
        return suspects_of(self._views, start, self._node.now_ns())

    async def sources(self, identity: Identity) -> SourceDuties:
        """See `Port`."""
        return sources_of(self._views, identity.principal, self._node.now_ns(), self._node.deployment)

    async def venue_links(self, identity: Identity) -> VenueLinks:
        """See `Port`."""
        return venue_links_of(self._views, identity.principal, self._node.now_ns())

    async def send(self, identity: Identity, action: Action) -> Outcome:
        """See `Port`."""
        (outcome,) = await self.send_all(identity, [action])
        return outcome

    async def send_all(self, identity: Identity, actions: Sequence[Action]) -> list[Outcome]:
        """See `Port`. All of them are one batch of the log."""
        records = [_record(identity, action) for action in actions]
        attestations = [action.attestation for action in actions if action.command == "PublishPrice"]
        try:
            results = await self._node.submit(records, attestations)
        except TradewindError as error:
            if error.name in SIGNATURE_REFUSALS:
                return [Outcome(accepted=False, code=error.name) for _ in actions]
            raise PortUnavailable(f"{error.name or type(error).__name__}: {error}") from error
        return [
            Outcome(
                accepted=result.accepted,
                duplicate=result.duplicate,
                code=result.name,
                bound=result.bound,
                given=result.given,
                value=result.value,
            )
            for result in results
        ]

    async def wait(self, timeout_s: float) -> None:
        """See `Port`."""
        await self._wake.wait(self._seen, timeout_s)


def _record(identity: Identity, action: Action) -> bytes:
    return build.build(
        action.command,
        principal=identity.principal,
        account=identity.account,
        client_key=action.key.encode().ljust(KEY_CHARACTERS, b"\0"),
        **cast(dict[str, Any], action.fields),
    )
