"""What a venue lists and what it says of each symbol, asked without a key."""

from __future__ import annotations

import time
from typing import Final

import msgspec

from tradewind.venues.binance.directory import Directory as BinanceDirectory
from tradewind.venues.binance.live import SPOT, USDM
from tradewind.venues.binance.wire import SPOT_WIRE, MarketWire
from tradewind.venues.binance_usdm.wire import USDM_WIRE
from tradewind.venues.kraken.directory import Directory as KrakenDirectory
from tradewind.venues.kraken.live import KrakenEndpoints
from tradewind.venues.market_data import Instrument
from tradewind.venues.protocol import VenueState
from tradewind.venues.transport.http import PublicHttpSession

KRAKEN: Final = "kraken"
BINANCE: Final[dict[str, tuple[str, str, MarketWire]]] = {
    "binance": (SPOT.rest_url, f"{SPOT.rest_prefix}/exchangeInfo", SPOT_WIRE),
    "binance-usdm": (USDM.rest_url, f"{USDM.rest_prefix}/exchangeInfo", USDM_WIRE),
}
VENUES: Final = (KRAKEN, *BINANCE)


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """Symbols at one moment. Rows that could not be read are counted, not left out in silence."""

    venue: str
    url: str
    instruments: list[Instrument]
    states: dict[str, VenueState]
    quarantined: int
    left_out: int
    """Contracts of kinds that no connector trades."""
    as_of_ns: int

    def counts(self) -> dict[str, int]:
        """How many symbols are in each state."""
        found: dict[str, int] = {}
        for state in self.states.values():
            found[str(state)] = found.get(str(state), 0) + 1
        return found

    @property
    def state(self) -> VenueState:
        """Online when any symbol is, unknown without symbols, else what they share, or maintenance."""
        states = set(self.states.values())
        if VenueState.ONLINE in states:
            return VenueState.ONLINE
        if not states:
            return VenueState.UNKNOWN
        return states.pop() if len(states) == 1 else VenueState.MAINTENANCE


async def listing(name: str, url: str | None = None) -> Listing:
    """Ask the venue, at `url` when it is given.

    Raises:
        KeyError: no such venue. ValueError: the address is none. TransportError: no answer. DecodeError: not
        an answer of this venue.
    """
    return await (_kraken(url) if name == KRAKEN else _binance(name, url))


async def _kraken(url: str | None) -> Listing:
    base = url or KrakenEndpoints().rest_url
    paths = ("/0/public/Assets", "/0/public/AssetPairs")
    async with PublicHttpSession(base, frozenset(paths)) as http:
        assets, pairs = [await http.get(path) for path in paths]
    found = KrakenDirectory.parse(assets, pairs, time.time_ns())
    return Listing(
        venue=KRAKEN, url=base, instruments=list(found.instruments.values()), states=found.states,
        quarantined=len(found.quarantined), left_out=0, as_of_ns=found.as_of_ns,
    )  # fmt: skip


async def _binance(name: str, url: str | None) -> Listing:
    usual, path, wire = BINANCE[name]
    base = url or usual
    async with PublicHttpSession(base, frozenset({path})) as http:
        body = await http.get(path, dict(wire.info_fields))
    found = BinanceDirectory.parse(body, time.time_ns(), wire)
    return Listing(
        venue=name, url=base, instruments=list(found.instruments.values()), states=found.states,
        quarantined=len(found.quarantined), left_out=sum(found.left_out.values()), as_of_ns=found.as_of_ns,
    )  # fmt: skip
