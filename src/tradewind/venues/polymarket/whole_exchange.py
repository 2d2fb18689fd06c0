"""Polymarket's exchange messages in full: REST of the order book, its channels, prices of other markets.

Numbers are `Decimal`, written by the venue as text (in `/markets` as JSON numbers); ids of tokens are longer
than any integer type and stay text, as do times.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec


class Level(msgspec.Struct, gc=False):
    """A level of a book."""

    price: Decimal
    size: Decimal


class Book(msgspec.Struct, gc=False):
    """A whole book, of `/book` or of the channel (`event_type`). The best prices come last."""

    market: str
    asset_id: str
    timestamp: str
    bids: list[Level]
    asks: list[Level]
    hash: str | None = None
    event_type: str | None = None
    min_order_size: Decimal | None = None
    tick_size: Decimal | None = None
    neg_risk: bool | None = None
    last_trade_price: str | None = None
    """Empty before the first trade."""


class PriceChange(msgspec.Struct, gc=False):
    """One level behind a change."""

    asset_id: str
    price: Decimal
    size: Decimal
    side: str
    hash: str | None = None
    best_bid: Decimal | None = None
    best_ask: Decimal | None = None


class PriceChanges(msgspec.Struct, gc=False):
    """`price_change`."""

    event_type: str
    market: str
    timestamp: str
    price_changes: list[PriceChange]


class LastTrade(msgspec.Struct, gc=False):
    """`last_trade_price`."""

    event_type: str
    market: str
    asset_id: str
    price: Decimal
    size: Decimal
    side: str
    timestamp: str
    fee_rate_bps: Decimal | None = None
    transaction_hash: str | None = None


class TickSizeChange(msgspec.Struct, gc=False):
    """`tick_size_change`: orders off the new tick are no more."""

    event_type: str
    market: str
    asset_id: str
    old_tick_size: Decimal
    new_tick_size: Decimal
    timestamp: str


class BestPrices(msgspec.Struct, gc=False):
    """`best_bid_ask`."""

    event_type: str
    market: str
    asset_id: str
    best_bid: Decimal
    best_ask: Decimal
    timestamp: str
    spread: Decimal | None = None


class MarketResolved(msgspec.Struct, gc=False):
    """`market_resolved`."""

    event_type: str
    id: str
    market: str
    assets_ids: list[str]
    winning_asset_id: str
    winning_outcome: str
    timestamp: str
    tags: list[str] | None = None
    question: str | None = None
    slug: str | None = None
    description: str | None = None
    outcomes: list[str] | None = None


class OrderEvent(msgspec.Struct, gc=False):
    """An order of the user's channel; `type` says what happened."""

    id: str
    type: str
    status: str
    market: str
    asset_id: str
    side: str
    price: Decimal
    original_size: Decimal
    size_matched: Decimal
    order_type: str
    timestamp: str
    event_type: str | None = None
    associate_trades: list[str] | None = None
    created_at: str | None = None
    expiration: str | None = None
    maker_address: str | None = None
    order_owner: str | None = None
    owner: str | None = None
    outcome: str | None = None


class OpenOrder(msgspec.Struct, gc=False):
    """An order of `/data/order` and `/data/orders`."""

    id: str
    status: str
    market: str
    asset_id: str
    side: str
    price: Decimal
    original_size: Decimal
    size_matched: Decimal
    order_type: str
    created_at: int | str
    associate_trades: list[str] | None = None
    expiration: str | int | None = None
    maker_address: str | None = None
    owner: str | None = None
    outcome: str | None = None


class MakerOrder(msgspec.Struct, gc=False):
    """One order that a trade met."""

    order_id: str
    asset_id: str
    maker_address: str
    matched_amount: Decimal
    price: Decimal
    fee_rate_bps: Decimal | None = None
    outcome: str | None = None
    outcome_index: int | None = None
    owner: str | None = None
    side: str | None = None


class Trade(msgspec.Struct, gc=False):
    """A trade of `/data/trades` or of the user's channel (`type`); the outer fields are the taker's."""

    id: str
    taker_order_id: str
    market: str
    asset_id: str
    side: str
    size: Decimal
    price: Decimal
    status: str
    match_time: str
    maker_orders: list[MakerOrder]
    event_type: str | None = None
    type: str | None = None
    bucket_index: int | None = None
    fee_rate_bps: Decimal | None = None
    last_update: str | None = None
    maker_address: str | None = None
    outcome: str | None = None
    owner: str | None = None
    timestamp: str | None = None
    trade_owner: str | None = None
    trader_side: str | None = None
    transaction_hash: str | None = None


class OrderAnswer(msgspec.Struct, gc=False):
    """What became of an order that was sent. Where it failed there is no id."""

    success: bool
    orderID: str | None = None
    errorMsg: str | None = None
    status: str | None = None
    takingAmount: str | None = None
    makingAmount: str | None = None
    transactionsHashes: list[str] | None = None
    tradeIDs: list[str] | None = None


class CancelAnswer(msgspec.Struct, gc=False):
    """What was cancelled, and the reasons of what was not."""

    canceled: list[str]
    not_canceled: dict[str, str]


class BalanceAnswer(msgspec.Struct, gc=False):
    """Millionths that the account has, and that the exchange may take."""

    balance: Decimal
    allowance: Decimal | None = None
    allowances: dict[str, Decimal] | None = None


class FeeRate(msgspec.Struct, gc=False):
    """Answer of `/fee-rate`, basis points."""

    base_fee: Decimal


class SignedOrder(msgspec.Struct, gc=False):
    """An order as it is sent; amounts in millionths. Printed without its signature."""

    salt: int
    maker: str
    signer: str
    tokenId: str
    makerAmount: Decimal
    takerAmount: Decimal
    side: str
    signatureType: int
    signature: str
    expiration: str | None = None
    timestamp: str | None = None
    metadata: str | None = None
    builder: str | None = None
    taker: str | None = None
    nonce: str | None = None
    feeRateBps: Decimal | None = None

    def __repr__(self) -> str:
        return f"SignedOrder({self.side} {self.makerAmount} for {self.takerAmount} of {self.tokenId[:12]})"


class OutsidePrice(msgspec.Struct, gc=False):
    """A price of another market."""

    symbol: str
    timestamp: int
    value: Decimal
    full_accuracy_value: Decimal | None = None


class OutsidePriceUpdate(msgspec.Struct, gc=False):
    """`crypto_prices` of the real-time data service."""

    topic: str
    type: str
    timestamp: int
    payload: OutsidePrice
    connection_id: str | None = None


class RewardRate(msgspec.Struct, gc=False):
    """What an asset rewards a day."""

    asset_address: str
    rewards_daily_rate: Decimal


class Rewards(msgspec.Struct, gc=False):
    """Rewards of a market."""

    max_spread: Decimal
    min_size: Decimal
    rates: list[RewardRate] | None = None


class TokenRow(msgspec.Struct, gc=False):
    """One outcome."""

    outcome: str
    token_id: str
    price: Decimal | None = None
    winner: bool | None = None


class MarketRow(msgspec.Struct, gc=False):
    """One market of the CLOB (`/markets`)."""

    accepting_orders: bool
    active: bool
    archived: bool
    closed: bool
    condition_id: str
    enable_order_book: bool
    market_slug: str
    minimum_order_size: Decimal
    minimum_tick_size: Decimal
    neg_risk: bool
    question_id: str
    tokens: list[TokenRow]
    accepting_order_timestamp: str | None = None
    description: str | None = None
    end_date_iso: str | None = None
    fpmm: str | None = None
    game_start_time: str | None = None
    icon: str | None = None
    image: str | None = None
    is_50_50_outcome: bool | None = None
    maker_base_fee: Decimal | None = None
    neg_risk_market_id: str | None = None
    neg_risk_request_id: str | None = None
    notifications_enabled: bool | None = None
    question: str | None = None
    rewards: Rewards | None = None
    seconds_delay: int | None = None
    tags: list[str] | None = None
    taker_base_fee: Decimal | None = None
