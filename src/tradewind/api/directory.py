"""Names to handles: what people call an asset, an account, a market, a role."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from tradewind.api.problems import ApiFailure, failure_of
from tradewind.api.views import PlatformViews
from tradewind.core.enums import ALL_MARKETS, NO_MARKET, MarketKind, MarketStatus, Role
from tradewind.core.errors import reject
from tradewind.core.units import Scale
from tradewind.node.projections.directory import Account, Asset, Market, Pause

MAX_SUGGESTIONS: Final = 3
ID_BYTES: Final = 32
PLATFORM: Final = "ALL"


class NamedMarket(msgspec.Struct, frozen=True):
    """A market and what it is called."""

    symbol: str
    market: Market

    @property
    def handle(self) -> int:
        """Number of the market."""
        return self.market.market

    @property
    def scale(self) -> Scale:
        """Ticks and lots."""
        return self.market.scale


class Directory:
    """Looks names up in the views."""

    def __init__(self, views: PlatformViews, keys: Mapping[str, bytes]) -> None:
        self.views = views
        self._keys = keys

    def asset(self, name: str) -> Asset:
        """An asset by symbol. Raises `ApiFailure` ASSET_NOT_FOUND with suggestions."""
        found = self.views.assets.by_symbol.get(name.upper())
        if found is None:
            raise _unknown("ASSET_NOT_FOUND", f"no asset {name!r}", name, self.views.assets.by_symbol)
        return found

    def symbol_of(self, market: Market) -> str:
        """`BTC/USDT`, `BTC-PERP` of a perpetual market, whose quote is the settlement asset, `OUTCOME-7`
        of the outcome market with that number, or `DISTRIBUTION-7`.
        """
        if market.has_outcomes:
            return f"{market.kind.name}-{market.market}"
        assets = self.views.assets.by_number
        base = assets[market.base].symbol
        if market.kind is MarketKind.PERPETUAL:
            return f"{base}-PERP"
        return f"{base}/{assets[market.quote].symbol}"

    def named(self, handle: int) -> NamedMarket:
        """A known market by number."""
        market = self.views.markets.by_handle[handle]
        return NamedMarket(self.symbol_of(market), market)

    def markets(self) -> list[NamedMarket]:
        """Every market in the order of creation."""
        return [NamedMarket(self.symbol_of(one), one) for one in self.views.markets.by_handle.values()]

    def market(self, name: str) -> NamedMarket:
        """A market by symbol or by number. Raises `ApiFailure` MARKET_NOT_FOUND, AMBIGUOUS_MARKET."""
        if name.isdecimal() and int(name) in self.views.markets.by_handle:
            return self.named(int(name))
        known = self.markets()
        wanted = {name.upper(), name.upper().replace("-", "/")}
        found = [one for one in known if one.symbol in wanted]
        if not found:
            raise _unknown("MARKET_NOT_FOUND", f"no market {name!r}", name, {one.symbol for one in known})
        ended = (MarketStatus.CLOSED, MarketStatus.CLOSE_ONLY)
        live = [one for one in found if one.market.status not in ended] or found[-1:]
        if len(live) > 1:
            numbers = [str(one.handle) for one in live]
            message = f"{len(live)} markets are called {name}; name one by its number"
            raise ApiFailure(409, "AMBIGUOUS_MARKET", message, suggestions=numbers)
        return live[0]

    def market_or_all(self, name: str) -> int:
        """Handle of a market, or the number that means the whole platform for `ALL`."""
        return ALL_MARKETS if name.upper() == PLATFORM else self.market(name).handle

    def pause_of(self, market: int) -> Pause | None:
        """The pause of a market, or of the platform."""
        if market == NO_MARKET:
            return self.views.markets.platform_pause
        return self.views.markets.by_handle[market].pause

    def account(self, name: str) -> Account:
        """An account by number, id (64 hexadecimal digits), owner key, or local name of its owner.

        Raises:
            ApiFailure: ACCOUNT_NOT_FOUND.
        """
        accounts = self.views.accounts
        if name.isdecimal() and int(name) in accounts.by_handle:
            return accounts.by_handle[int(name)]
        raw = parse_hex32(name) or self._keys.get(name.lower().replace("-", "_"))
        found = None if raw is None else accounts.by_id.get(raw) or accounts.by_owner.get(raw)
        if found is None:
            failure = failure_of(reject("ACCOUNT_NOT_FOUND"))
            failure.problem.suggestions = _close(name.lower(), self._keys)
            raise failure
        return found

    def role(self, name: str) -> Role:
        """A role by name. Raises `ApiFailure` UNKNOWN_ROLE with suggestions."""
        plain = name.upper().replace("-", "_")
        if plain in Role.__members__:
            return Role[plain]
        raise ApiFailure(
            422, "UNKNOWN_ROLE", f"no role {name!r}", suggestions=_close(plain, Role.__members__)
        )


def _unknown(code: str, detail: str, name: str, known: Iterable[str]) -> ApiFailure:
    entry = reject(code)
    suggestions = _close(name.upper(), known)
    return ApiFailure(entry.http_status, entry.name, detail, code=entry.code, suggestions=suggestions)


def _close(name: str, known: Iterable[str]) -> list[str]:
    return difflib.get_close_matches(name, list(known), n=MAX_SUGGESTIONS, cutoff=0.3)


def parse_hex32(text: str) -> bytes | None:
    """32 bytes from 64 hexadecimal digits; None for anything else."""
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        return None
    return raw if len(raw) == ID_BYTES else None
