"""Kraken's names of assets and pairs: XXBT, XBT and BTC are one asset, XXBTZUSD, XBTUSD, XBT/USD one pair."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

import msgspec

from tradewind.gateways.model import Market

ALTERNATIVE: Final = {"BTC": "XBT", "DOGE": "XDG"}
"""Assets whose name in REST differs from the canonical one that WebSocket v2 uses."""

CRYPTO_CODES: Final = frozenset({"ETC", "ETH", "LTC", "MLN", "REP", "XBT", "XDG", "XLM", "XMR", "XRP", "ZEC"})
FIAT_CODES: Final = frozenset({"AUD", "CAD", "EUR", "GBP", "JPY", "USD"})
FIAT: Final = FIAT_CODES | {"CHF"}
"""Money of states; of these only `FIAT_CODES` carry the old Z prefix."""
ASSET_DECIMALS: Final = 6
"""Decimals of every asset: the exchange counts in millionths."""

LONG_PAIRS: Final = frozenset([
    "USDTZUSD", "XETCXETH", "XETCXXBT", "XETCZEUR", "XETCZUSD", "XETHXXBT", "XETHZCAD",
    "XETHZEUR", "XETHZGBP", "XETHZJPY", "XETHZUSD", "XLTCXXBT", "XLTCZEUR", "XLTCZJPY",
    "XLTCZUSD", "XMLNXETH", "XMLNXXBT", "XMLNZEUR", "XMLNZUSD", "XREPXETH", "XREPXXBT",
    "XREPZEUR", "XREPZUSD", "XXBTZCAD", "XXBTZEUR", "XXBTZGBP", "XXBTZJPY", "XXBTZUSD",
    "XXDGXXBT", "XXLMXXBT", "XXLMZAUD", "XXLMZEUR", "XXLMZGBP", "XXLMZUSD", "XXMRXXBT",
    "XXMRZEUR", "XXMRZUSD", "XXRPXXBT", "XXRPZCAD", "XXRPZEUR", "XXRPZJPY", "XXRPZUSD",
    "XZECXXBT", "XZECZEUR", "XZECZUSD", "ZEURZUSD", "ZGBPZUSD", "ZUSDZCAD", "ZUSDZJPY",
])  # fmt: skip
"""Pairs that existed before 2018 keep their long name; every newer one is named by its alternative name."""


class AssetName(msgspec.Struct, frozen=True):
    """The three names of an asset."""

    canonical: str
    """BTC: WebSocket v2 and the exchange."""
    alternative: str
    """XBT: `altname`, and the halves of `wsname`."""
    code: str
    """XXBT: keys of balances, `base` and `quote`."""

    @property
    def display_decimals(self) -> int:
        """Decimals for people."""
        return 2 if self.canonical in FIAT else 5


class PairName(msgspec.Struct, frozen=True):
    """The four names of a pair."""

    canonical: str
    """BTC/USD: WebSocket v2 and the exchange."""
    key: str
    """XXBTZUSD: keys of REST answers."""
    alternative: str
    """XBTUSD: `altname`, order descriptions."""
    wsname: str
    """XBT/USD."""


def asset_name(canonical: str) -> AssetName:
    """Names of an asset of the exchange."""
    alternative = ALTERNATIVE.get(canonical, canonical)
    prefix = "X" if alternative in CRYPTO_CODES else "Z" if alternative in FIAT_CODES else ""
    return AssetName(canonical, alternative, prefix + alternative)


def pair_name(canonical: str) -> PairName:
    """Names of a market of the exchange, `BASE/QUOTE`."""
    base, _, quote = canonical.partition("/")
    left, right = asset_name(base), asset_name(quote)
    long, short = left.code + right.code, left.alternative + right.alternative
    return PairName(
        canonical, long if long in LONG_PAIRS else short, short, f"{left.alternative}/{right.alternative}"
    )


Named = TypeVar("Named", PairName, AssetName)


class Names:
    """Finds assets and markets by any of their names. Two markets that share a name are an error.

    Built anew when the exchange lists another market; a state change of a market does not need it.
    """

    def __init__(self, symbols: Iterable[str], assets: Iterable[str] = ()) -> None:
        self.pairs = {symbol: pair_name(symbol) for symbol in symbols}
        halves = {half for symbol in self.pairs for half in symbol.split("/")}
        self.assets = {one: asset_name(one) for one in sorted(halves | set(assets))}
        self._pair_by_name: dict[str, PairName] = {}
        self._asset_by_name: dict[str, AssetName] = {}
        for pair in self.pairs.values():
            for name in {
                pair.canonical,
                pair.key,
                pair.alternative,
                pair.wsname,
                pair.canonical.replace("/", ""),
            }:
                self._add(self._pair_by_name, name, pair)
        for asset in self.assets.values():
            for name in {asset.canonical, asset.alternative, asset.code}:
                self._add(self._asset_by_name, name, asset)

    @staticmethod
    def _add(table: dict[str, Named], name: str, named: Named) -> None:
        other = table.setdefault(name, named)
        if other != named:
            raise ValueError(f"{name} would mean both {other.canonical} and {named.canonical}")

    def pair(self, name: str) -> PairName | None:
        """The pair of any of its names, case ignored."""
        return self._pair_by_name.get(name) or self._pair_by_name.get(name.upper())

    def asset(self, name: str) -> AssetName | None:
        """The asset of any of its names, case ignored."""
        return self._asset_by_name.get(name) or self._asset_by_name.get(name.upper())

    def key(self, asked: str, pair: PairName) -> str:
        """The key under which an answer carries a pair: a name with a slash comes back as it was asked."""
        return asked if "/" in asked else pair.key


def names_of(markets: Mapping[str, Market]) -> Names:
    """Names of everything an exchange lists."""
    return Names(markets)
