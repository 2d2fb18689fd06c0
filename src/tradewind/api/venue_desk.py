"""Links of outcome markets to outside venues, and their quotes from workers in processes of their own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from fastapi import Request

from tradewind.api import exchange_requests as req
from tradewind.api.desk import Desk
from tradewind.api.desk_base import Done, client_key
from tradewind.api.problems import ApiFailure, failure_of
from tradewind.api.route import CommandRoute, Handler
from tradewind.core import commands as build
from tradewind.core.errors import InvalidField, TradewindError
from tradewind.core.records import codec
from tradewind.keepers.port import VenueLink
from tradewind.keepers.reading import venue_links_of
from tradewind.node.projections.venues import VenueMarket

MAX_COMMANDS: Final = 250
CONDITION_BYTES: Final = 32


class VenueDesk:
    """Sends what concerns venues; every method raises `ApiFailure` and changes nothing when it does."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def link(self, one: req.LinkVenue) -> Done:
        """Links a market to a condition of a venue; OPERATOR."""
        market = self._desk.directory.market(one.market)
        return await self._desk._send(
            "LinkVenue",
            lambda **fields: build.build("LinkVenue", **fields),
            principal=self._desk._actor(one, "operator"),
            client_key=client_key(one),
            market=market.handle,
            condition=_hex(one.condition, CONDITION_BYTES, "condition"),
            source=self._desk._principal(one.source),
        )

    async def publish(self, one: req.VenueCommands) -> dict[str, Any]:
        """Commands of a batch of quotes, at most 250 a request; ORACLE. Each has its own answer."""
        if not 1 <= len(one.commands) <= MAX_COMMANDS:
            raise ApiFailure(422, "BATCH_TOO_LARGE", f"1 to {MAX_COMMANDS} commands", bound=MAX_COMMANDS)
        principal = self._desk._actor(one, "oracle_1")
        try:
            records = [self._record(principal, command) for command in one.commands]
            results = await self._desk.node.submit(records)
        except (TradewindError, InvalidField) as error:
            raise failure_of(error) from error
        return {
            "results": [
                {"code": result.name, "bound": result.bound, "given": result.given, "value": result.value}
                for result in results
            ]
        }

    def _record(self, principal: bytes, one: req.VenueCommand) -> bytes:
        layout = codec(one.command)
        payload = layout.unpack(_hex(one.payload, layout.size, "payload"))
        key = _hex(one.client_key, 16, "client_key")
        return build.build(one.command, principal=principal, client_key=key, **payload)

    def links(self, name: str) -> dict[str, Any]:
        """The markets of a source (local name or public key)."""
        known = venue_links_of(self._desk.views, self._desk._principal(name), self._desk.node.now_ns())
        return {"now_ns": known.now_ns, "links": [_link(one) for one in known.links]}

    def venues(self) -> dict[str, Any]:
        """Sources with their batches."""
        rows = []
        for number, one in self._desk.views.venues.sources.items():
            rows.append(
                {
                    "source": number,
                    "key": one.key.hex(),
                    "markets": one.markets,
                    "batches": one.batches,
                    "failed": one.failed,
                    "alerts": one.alerts,
                    "quoted": one.quoted,
                    "refreshed": one.refreshed,
                    "unreadable": one.unreadable,
                    "skipped": dict(one.skipped),
                    "last_batch_ns": one.last_batch_ns,
                    "outage": ("none", "alert", "halted")[one.outage],
                }
            )
        return {"sources": rows}

    def market(self, name: str) -> dict[str, Any]:
        """What the venue shows for a market.

        Raises:
            ApiFailure: no such market, or it is linked to no venue.
        """
        market = self._desk.directory.market(name)
        one = self._desk.views.venues.by_market.get(market.handle)
        if one is None:
            raise ApiFailure(404, "FEED_NOT_FOUND", f"{name} is linked to no venue")
        return _shown(one, self._desk.node.now_ns())


def _link(one: VenueLink) -> dict[str, Any]:
    return {"market": one.market, "condition": one.condition.hex(), "outcomes": one.outcomes}


def _shown(one: VenueMarket, now_ns: int) -> dict[str, Any]:
    return {
        "market": one.market,
        "condition": one.condition.hex(),
        "source": one.source.hex(),
        "bids_e6": list(one.bids),
        "asks_e6": list(one.asks),
        "liquidity_e6": one.liquidity,
        "confidence_e6": one.confidence,
        "age_ms": None if not one.venue_time_ns else max(0, now_ns - one.venue_time_ns) // 1_000_000,
    }


def _hex(text: str, size: int, what: str) -> bytes:
    try:
        value = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        value = b""
    if len(value) != size:
        raise ApiFailure(422, "BAD_HEX", f"{what} is {size} bytes in hexadecimal digits", bound=size)
    return value


def venue_commands(desk: VenueDesk) -> list[CommandRoute]:
    """Routes that change something."""

    def plain(method: Callable[[Any], Awaitable[Any]]) -> Handler:
        return lambda _, body: method(body)

    return [
        CommandRoute("/venues/links", req.LinkVenue, plain(desk.link), "Link a market to a venue"),
        CommandRoute("/venues/batch", req.VenueCommands, plain(desk.publish), "Publish venue quotes"),
    ]


def venue_reads(desk: VenueDesk) -> list[tuple[str, Callable[[Request], Any], str]]:
    """Views."""
    return [
        ("/venues", lambda _: desk.venues(), "Sources of venue quotes"),
        ("/venues/links/{name}", lambda r: desk.links(r.path_params["name"]), "Markets of a source"),
        (
            "/markets/{name:path}/venue",
            lambda r: desk.market(r.path_params["name"]),
            "What the venue shows for a market",
        ),
    ]
