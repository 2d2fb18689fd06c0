"""Kraken's names: assets and pairs in all their spellings, to canonical symbols and back (T2.2, T2.4)."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

import msgspec

from tradewind.venues.feeds.decoding import UNREADABLE
from tradewind.venues.kraken.instruments import LEGACY_ASSETS, instrument_of
from tradewind.venues.kraken.messages import PairInfo
from tradewind.venues.market_data import DecodeError, Instrument, UnknownSymbol
from tradewind.venues.protocol import VenueState

STATES: dict[str, VenueState] = {
    "online": VenueState.ONLINE,
    "post_only": VenueState.POST_ONLY,
    "limit_only": VenueState.LIMIT_ONLY,
    "reduce_only": VenueState.REDUCE_ONLY,
    "cancel_only": VenueState.CANCEL_ONLY,
    "maintenance": VenueState.MAINTENANCE,
    "delisted": VenueState.DELISTED,
}
"""States of the system and of pairs. A word that is not here is `UNKNOWN`: no new risk (T2.7)."""


def state_of(word: str) -> VenueState:
    """The state that a word of the venue names."""
    return STATES.get(word, VenueState.UNKNOWN)


class AssetRow(msgspec.Struct, gc=False):
    """One row of Assets."""

    altname: str
    decimals: int
    aclass: str = "currency"
    display_decimals: int = 0
    status: str = "enabled"


class PairRow(PairInfo, gc=False):
    """One row of AssetPairs with what trading needs beyond market data."""

    base: str = ""
    quote: str = ""
    cost_decimals: int = 0
    fees: tuple[tuple[Decimal, Decimal], ...] = ()
    fees_maker: tuple[tuple[Decimal, Decimal], ...] = ()
    lot_multiplier: int = 1


class _Envelope(msgspec.Struct, gc=False):
    error: list[str]
    result: dict[str, msgspec.Raw] = {}


def _rows(body: bytes, call: str) -> dict[str, msgspec.Raw]:
    try:
        answer = msgspec.json.decode(body, type=_Envelope)
    except UNREADABLE as error:
        raise DecodeError(call, str(error)) from error
    if answer.error:
        raise DecodeError(call, "; ".join(answer.error)[:200])
    return answer.result


class Directory:
    """Assets and pairs at one moment. Rows that cannot be mapped are in `quarantined`, with the reason."""

    def __init__(self) -> None:
        self.instruments: dict[str, Instrument] = {}
        self.states: dict[str, VenueState] = {}
        self.rest_names: dict[str, str] = {}
        """Canonical symbol -> the name that REST calls take."""
        self.quarantined: list[str] = []
        self.as_of_ns = 0
        self._pairs: dict[str, str] = {}
        self._assets: dict[str, str] = {}

    @classmethod
    def parse(cls, assets: bytes | None, pairs: bytes, as_of_ns: int) -> Directory:
        """Read the bodies of Assets (None: only legacy codes are known) and AssetPairs.

        Raises `DecodeError` when a body as a whole cannot be read or is an error.
        """
        directory = cls()
        directory.as_of_ns = as_of_ns
        for code, raw in (_rows(assets, "Assets") if assets is not None else {}).items():
            directory._add_asset(code, raw)
        for key, raw in _rows(pairs, "AssetPairs").items():
            directory._add_pair(key, raw)
        return directory

    def _add_asset(self, code: str, raw: msgspec.Raw) -> None:
        try:
            row = msgspec.json.decode(raw, type=AssetRow)
        except UNREADABLE as error:
            self.quarantined.append(f"asset {code}: {error}")
            return
        canonical = LEGACY_ASSETS.get(row.altname, row.altname)
        for name in (code, row.altname, canonical):
            if self._assets.setdefault(name, canonical) != canonical:
                self.quarantined.append(f"asset {code}: {name} is {self._assets[name]} already")

    def _add_pair(self, key: str, raw: msgspec.Raw) -> None:
        try:
            row = msgspec.json.decode(raw, type=PairRow)
            one = instrument_of(row, self.as_of_ns)
            if one.symbol in self.instruments:
                raise UnknownSymbol(f"{one.symbol} appears twice")
        except (*UNREADABLE, InvalidOperation, UnknownSymbol, ValueError) as error:
            self.quarantined.append(f"pair {key}: {error}")
            return
        self.instruments[one.symbol] = one
        self.states[one.symbol] = state_of(one.status)
        self.rest_names[one.symbol] = row.altname or key
        for name in (key, row.altname, row.wsname, one.symbol, one.symbol.replace("/", "")):
            self._pairs.setdefault(name, one.symbol)
        for code, canonical in ((row.base, one.base), (row.quote, one.quote)):
            if code:
                self._assets.setdefault(code, canonical)
            self._assets.setdefault(canonical, canonical)

    def symbol_of(self, name: str) -> str:
        """The canonical symbol of a pair by any of its names. Raises `UnknownSymbol`."""
        symbol = self._pairs.get(name)
        if symbol is None:
            raise UnknownSymbol(f"pair {name[:40]!r} is not in AssetPairs")
        return symbol

    def asset_of(self, code: str) -> str:
        """The canonical asset of a code. Raises `UnknownSymbol`."""
        asset = self._assets.get(code)
        if asset is None:
            raise UnknownSymbol(f"asset {code[:40]!r} is not in Assets")
        return asset

    def unknown_states(self) -> dict[str, str]:
        """Pairs whose state is a word that we do not know."""
        return {
            symbol: self.instruments[symbol].status
            for symbol, state in self.states.items()
            if state is VenueState.UNKNOWN
        }


def tradable(code: str) -> bool:
    """Whether an asset code is spot-tradable money. Every suffix (.S staked, .M opt-in rewards, .F flexible,
    .B bonded, .P parachain, and whatever may come) makes a distinct asset that is not (T2.4, T9.7).
    """
    return "." not in code
