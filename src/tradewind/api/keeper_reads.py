"""What the API tells workers that run in processes of their own: duties of a keeper, feeds of a price
source."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fastapi import Request

from tradewind.api.desk import Desk
from tradewind.api.problems import ApiFailure
from tradewind.keepers.port import Duties, SourceDuties, Suspects
from tradewind.keepers.reading import duties_of, sources_of, suspects_of

MAX_START: Final = 10**9


class KeeperReads:
    """Readings of the log's views; they change nothing."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def duties(self, account: str) -> Duties:
        """What is due for a keeper (its account: name, number or id)."""
        found = self._desk.account(account)
        return duties_of(self._desk.views, found.account_id, self._desk.node.now_ns())

    def suspects(self, start: str) -> Suspects:
        """A part of the waiting orders whose moment has come."""
        if not start.isdecimal() or int(start) > MAX_START:
            raise ApiFailure(422, "PARAMETER_OUT_OF_BOUNDS", "start is a place from 0 on", bound=MAX_START)
        return suspects_of(self._desk.views, int(start), self._desk.node.now_ns())

    def source(self, name: str) -> SourceDuties:
        """The feeds of a price source (local name or public key)."""
        node = self._desk.node
        return sources_of(self._desk.views, self._desk._principal(name), node.now_ns(), node.deployment)


def keeper_reads(reads: KeeperReads) -> list[tuple[str, Callable[[Request], Any], str]]:
    """Path, handler and summary of every reading."""
    return [
        (
            "/keepers/duties",
            lambda r: reads.duties(r.query_params.get("account", "")),
            "What is due for a keeper",
        ),
        (
            "/keepers/suspects",
            lambda r: reads.suspects(r.query_params.get("start", "0")),
            "Waiting orders whose moment has come",
        ),
        ("/sources/{name}", lambda r: reads.source(r.path_params["name"]), "Feeds of a price source"),
    ]
