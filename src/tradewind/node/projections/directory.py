"""Assets, accounts, markets and roles: what exists and under which handle."""

from __future__ import annotations

import msgspec

from tradewind.core.enums import NO_MARKET, AssetFlag, MarketKind, MarketStatus
from tradewind.core.event_types import (
    AccountOpened,
    AssetRegistered,
    AssetUpdated,
    DelegateSet,
    MarketActivated,
    MarketClosed,
    MarketClosing,
    MarketCreated,
    MarketIdentified,
    MarketPruned,
    MarketResolved,
    MarketResolving,
    MarketSettled,
    MarketUpdated,
    PauseSet,
    Resumed,
    SubAccountOpened,
)
from tradewind.core.events import Event
from tradewind.core.units import Scale

PAYOUT_MICROS = 1_000_000
"""Micro-units of the quote asset that a whole winning contract pays."""
NO_FEED = 0xFFFFFFFF
ELASTIC_FEE = 0x100
"""Flag of a market: takers pay the elastic fee."""
"""Feed of an asset that has none."""


class Asset(msgspec.Struct, frozen=True):
    """A registered asset; weights in bp, the cap in micro-units (0 = none)."""

    asset: int
    symbol: str
    initial_asset_bp: int
    maintenance_asset_bp: int
    initial_liability_bp: int
    maintenance_liability_bp: int
    deposit_cap: int
    asset_flags: int = 0
    feed: int = NO_FEED
    collateral_cap: int = 0

    @property
    def settles(self) -> bool:
        """Whether leveraged markets account in it."""
        return bool(self.asset_flags & AssetFlag.SETTLEMENT)


class AssetsView:
    """Assets by number and by symbol."""

    def __init__(self) -> None:
        self.by_number: dict[int, Asset] = {}
        self.by_symbol: dict[str, Asset] = {}

    def on_event(self, event: Event) -> None:
        if isinstance(event, AssetRegistered | AssetUpdated):
            asset = Asset(
                event.asset,
                event.symbol,
                event.initial_asset_bp,
                event.maintenance_asset_bp,
                event.initial_liability_bp,
                event.maintenance_liability_bp,
                event.deposit_cap,
                event.asset_flags,
                event.feed,
                event.collateral_cap,
            )
            self.by_number[asset.asset] = asset
            self.by_symbol[asset.symbol] = asset


class Account(msgspec.Struct):
    """An account: handle, derived id, owner's key, sub-accounts (index → margin mode), delegates (key →
    scopes).
    """

    account: int
    account_id: bytes
    owner_key: bytes
    opened_ns: int
    subs: dict[int, int] = msgspec.field(default_factory=dict)
    delegates: dict[bytes, tuple[int, int]] = msgspec.field(default_factory=dict)
    """Key → (scopes, expiry in ns)."""


class AccountsView:
    """Accounts by handle, id and owner's key."""

    def __init__(self) -> None:
        self.by_handle: dict[int, Account] = {}
        self.by_id: dict[bytes, Account] = {}
        self.by_owner: dict[bytes, Account] = {}

    def on_event(self, event: Event) -> None:
        if isinstance(event, AccountOpened):
            account = Account(event.account, event.account_id, event.owner_key, event.time_ns)
            account.subs[0] = 0
            self.by_handle[account.account] = account
            self.by_id[account.account_id] = account
            self.by_owner[account.owner_key] = account
        elif isinstance(event, SubAccountOpened):
            # The index stands in the header field `sub`, and again in the body.
            self.by_handle[event.account].subs[event.index] = event.margin_mode
        elif isinstance(event, DelegateSet):
            delegates = self.by_handle[event.account].delegates
            if event.scopes:
                delegates[event.key] = (event.scopes, event.expiry_ns)
            else:
                delegates.pop(event.key, None)


class Pause(msgspec.Struct, frozen=True):
    """A pause: level 1 PARTIAL, 2 FULL."""

    pause_id: int
    level: int
    categories: int
    until_ns: int
    reason: str


class Market(msgspec.Struct):
    """A market with its parameters after the last event; fees in 1e-6 bp, notionals in micro-quote."""

    market: int
    kind: MarketKind
    status: MarketStatus
    base: int
    quote: int
    tick_size: int
    lot_size: int
    taker_fee_e6bp: int
    maker_fee_e6bp: int
    band_bp: int
    slippage_bp: int
    min_notional: int
    max_notional: int
    settle_time_ns: int
    config_version: int
    market_flags: int = 0
    market_id: bytes = b""
    nonce: int = 0
    """What the creator chose; the identifier derives from it."""
    outcome_count: int = 1
    feed: int = 0
    """Number of the price feed; means something for leveraged markets only."""
    pause: Pause | None = None

    @property
    def has_outcomes(self) -> bool:
        """Whether complete sets of claims trade here; of a distribution market those are its two sides."""
        return self.kind in (MarketKind.OUTCOME, MarketKind.DISTRIBUTION)

    @property
    def payout_ticks(self) -> int:
        """Price of a whole contract of an outcome market in ticks."""
        return PAYOUT_MICROS // self.tick_size

    def flips(self, outcome: int) -> bool:
        """Whether orders for the outcome stand in the book of outcome 0: on the other side, at the complement
        of their price.
        """
        return self.has_outcomes and self.outcome_count == 2 and outcome == 1

    @property
    def scale(self) -> Scale:
        """Exact conversion of prices and sizes."""
        return Scale(self.tick_size, self.lot_size)


class MarketsView:
    """Markets by handle and id, and a pause of the whole platform."""

    def __init__(self) -> None:
        self.by_handle: dict[int, Market] = {}
        self.by_id: dict[bytes, Market] = {}
        self.platform_pause: Pause | None = None

    def on_event(self, event: Event) -> None:
        if isinstance(event, MarketCreated | MarketUpdated):
            self._set(event)
        elif isinstance(event, MarketIdentified):
            market = self.by_handle[event.market]
            market.market_id, market.outcome_count = event.id, event.outcome_count
            market.nonce, market.feed = event.nonce, event.feed
            self.by_id[event.id] = market
        elif isinstance(event, _MOVES):
            self.by_handle[event.market].status = MarketStatus(event.status)
        elif isinstance(event, PauseSet):
            pause = Pause(event.pause_id, event.level, event.categories, event.until_ns, event.reason)
            self._set_pause(event.market, pause)
        elif isinstance(event, Resumed):
            self._set_pause(event.market, None)

    def _set(self, event: MarketCreated | MarketUpdated) -> None:
        known = self.by_handle.get(event.market)
        market = Market(
            market=event.market,
            kind=MarketKind(event.market_kind),
            status=MarketStatus(event.status),
            base=event.base,
            quote=event.quote,
            tick_size=event.tick_size,
            lot_size=event.lot_size,
            taker_fee_e6bp=event.taker_fee_e6bp,
            maker_fee_e6bp=event.maker_fee_e6bp,
            band_bp=event.band_bp,
            slippage_bp=event.slippage_bp,
            min_notional=event.min_notional,
            max_notional=event.max_notional,
            settle_time_ns=event.settle_time_ns,
            config_version=event.config_version,
            market_flags=event.market_flags,
        )
        if known is not None:
            market.market_id, market.pause = known.market_id, known.pause
            market.outcome_count = known.outcome_count
            market.nonce, market.feed = known.nonce, known.feed
            self.by_id[market.market_id] = market
        self.by_handle[event.market] = market

    def _set_pause(self, handle: int, pause: Pause | None) -> None:
        if handle == NO_MARKET:
            self.platform_pause = pause
        else:
            self.by_handle[handle].pause = pause


_MOVES = (
    MarketActivated,
    MarketClosing,
    MarketClosed,
    MarketResolving,
    MarketResolved,
    MarketSettled,
    MarketPruned,
)
