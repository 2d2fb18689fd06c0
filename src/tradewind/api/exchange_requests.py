"""Bodies of requests about leveraged markets, oracles, breakers, keepers and governance."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from tradewind.api.requests import Number, Request

NO_FEED = "none"


class MarketRisk(Request, kw_only=True):
    """New risk parameters of a leveraged market; absent ones stay. Leverage in steps of 0.01."""

    config_version: int | None = None
    max_leverage: Number | None = None
    size_k_ppm: int | None = None
    floor_mmf_ppm: int | None = None
    liquidation_fee_bps: Number | None = None
    position_limit: Number | None = None
    open_interest_cap: Number | None = None
    impact_notional: Number | None = None
    insurance_limit: Number | None = None


class OneMarket(Request, kw_only=True):
    """A command about one market that has no other field."""


class UpdateAsset(Request, kw_only=True):
    """New weights in basis points, feed and caps of an asset; absent ones stay. `feed` "none" removes it."""

    initial_asset_bp: int | None = None
    maintenance_asset_bp: int | None = None
    initial_liability_bp: int | None = None
    maintenance_liability_bp: int | None = None
    feed: str | None = None
    deposit_cap: Number | None = None
    collateral_cap: Number | None = None


class FundInsurance(Request, kw_only=True):
    """Money for the insurance fund; there is no claim back."""

    account: str
    sub: int = 0
    amount: Number


class SetSuitability(Request, kw_only=True):
    """Lets an account use more than tenfold leverage for `days`; level 0 revokes."""

    account: str
    level: int = 1
    days: int = 365


class ClosePosition(Request, kw_only=True):
    """Closes a position, or `quantity` of it, by a reduce-only order that does not rest."""

    account: str
    sub: int = 0
    market: str
    quantity: Number | None = None
    limit: Number | None = None


class AdjustMargin(Request, kw_only=True):
    """Moves settlement money into (positive) or out of (negative) an isolated sub-account."""

    account: str
    sub: int
    market: str
    amount: str


class Liquidate(Request, kw_only=True):
    """Liquidates a position that is below maintenance; a keeper, or SYSTEM."""

    target: str
    target_sub: int = 0
    market: str
    keeper: str | None = None


class PlaceTwap(Request, kw_only=True):
    """`slices` immediate orders `interval_s` apart."""

    account: str
    sub: int = 0
    market: str
    side: Literal["buy", "sell"]
    quantity: Number
    slices: int
    interval_s: int
    limit: Number | None = None
    slippage_bp: int = 0
    reduce_only: bool = False


class PlaceBatch(Request, kw_only=True):
    """Up to eight orders of one account, all or nothing."""

    account: str
    sub: int = 0
    orders: list[dict[str, Any]]


class RegisterFeed(Request, kw_only=True):
    """A price feed. `fallback`: number of the feed that is used when this one fails."""

    symbol: str
    kind: Literal["asset", "probability"] = "asset"
    quorum: int = 2
    interval_ms: int = 1_000
    max_confidence_ppm: int = 10_000
    max_deviation_bp: int = 200
    fallback: str | None = None


class UpdateFeed(Request, kw_only=True):
    """New limits of a feed; absent ones stay."""

    config_version: int | None = None
    quorum: int | None = None
    interval_ms: int | None = None
    max_confidence_ppm: int | None = None
    max_deviation_bp: int | None = None
    fallback: str | None = None


class SetFeedSource(Request, kw_only=True):
    """Adds a source with a weight, changes the weight, or (0) removes it. Weights of a feed sum to 100."""

    source: str
    weight: int


class OverrideFeed(Request, kw_only=True):
    """One of two approvals (EMERGENCY): excludes a source, forces the feed invalid, uses its fallback, lifts.

    No price can be set by hand.
    """

    action: Literal["lift", "exclude", "invalid", "fallback"]
    source: str | None = None
    for_s: int = 3_600


class PublishPrice(Request, kw_only=True):
    """A price of one source, the actor (local name or public key): settlement units per whole unit.

    `signature`: the attestation of `tradewind.security.publications`, 192 hexadecimal digits, made by the
    source's own key over exactly these values, its time and its number.
    """

    value: Number
    confidence: Number = "0"
    bid: Number | None = None
    ask: Number | None = None
    source_time_ns: int | None = None
    source_seq: int | None = None
    signature: str | None = None


class LinkOwners(Request, kw_only=True):
    """Declares two owners as one in detection, or undoes it. The hash of the `evidence` is logged."""

    first: str
    other: str
    evidence: str
    linked: bool = True


class Breaker(Request, kw_only=True):
    """Trips a breaker, or gives one of two approvals to close it. `market` ALL is the platform."""

    market: str = "ALL"
    reason: str = ""


class ConfigureBreaker(Request, kw_only=True):
    """New threshold and duration of a breaker; absent values stay."""

    market: str = "ALL"
    threshold: int | None = None
    second_threshold: int | None = None
    halt_s: int | None = None
    cooldown_s: int | None = None
    config_version: int | None = None


class RegisterKeeper(Request, kw_only=True):
    """A keeper with a stake in the staking asset."""

    account: str
    capabilities: list[str]
    stake: Number


class KeeperStake(Request, kw_only=True):
    """More stake, less stake, or what is unbonded."""

    account: str
    amount: Number | None = None


class KeeperTarget(Request, kw_only=True):
    """Removes or reinstates a keeper."""

    keeper: str


class KeeperAct(Request, kw_only=True):
    """A duty that a keeper performs."""

    account: str
    action: str
    market: str | None = None
    target: str | None = None
    target_sub: int = 0
    order: int = 0


class SlashKeeper(Request, kw_only=True):
    """One of the signatures that slash a keeper; `ppm` of its stake."""

    keeper: str
    fault: str
    evidence: str
    ppm: int


class SlashAppeal(Request, kw_only=True):
    """The keeper appeals, or an arbiter decides (`uphold`)."""

    account: str | None = None
    uphold: bool = False


class ProposeAction(Request, kw_only=True):
    """A change for later: the command's name and its fields as integers (see `GET /commands`).

    `config_version` is the version of the platform's configuration that the change was written against; a
    refusal with CONFIG_VERSION_MISMATCH names the present one as its bound.
    """

    command: str
    fields: dict[str, int | str]
    market: str | None = None
    config_version: int | None = None


class OneAction(Request, kw_only=True):
    """Approves, cancels or executes an action."""


class OfferAuthority(Request, kw_only=True):
    """Offers a role that the actor holds to a nominee; it can be accepted after 24 h."""

    role: str
    nominee: str


class OneOffer(Request, kw_only=True):
    """Accepts or withdraws an offer."""


class RenounceAuthority(Request, kw_only=True):
    """Gives up a role; it ends 48 h later."""

    role: str


class Simulate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What would happen: a mark for some markets, and perhaps an order that fills at its price."""

    account: str
    sub: int = 0
    marks: dict[str, Number] = {}
    move_pct: Number | None = None
    market: str | None = None
    side: Literal["buy", "sell"] | None = None
    quantity: Number | None = None
    price: Number | None = None


class LinkVenue(Request, kw_only=True):
    """An outcome market shows what a venue trades under a condition (64 hexadecimal digits)."""

    market: str
    condition: str
    source: str


class VenueCommand(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One command of a batch of venue quotes: its name, its payload in hexadecimal digits, its key."""

    command: Literal["PublishVenueBatch", "VenueItem", "RefreshVenue"]
    payload: str
    client_key: str


class VenueCommands(Request, kw_only=True):
    """Commands of one source, in their order."""

    commands: list[VenueCommand]
