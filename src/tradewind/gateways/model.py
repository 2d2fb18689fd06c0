"""What every gateway speaks about: markets, books, orders, fills and refusals in whole ticks and lots.

A gateway translates between these types and the wire of its venue; `gateways.exchange.Exchange` is the only
thing behind it. Prices are whole ticks, quantities whole lots of the `Instrument`, money is `Decimal`.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from tradewind.venues.market_data import Instrument, Side
from tradewind.venues.protocol import OrderPhase, TimeInForce, VenueState


class Kind(StrEnum):
    """Order kinds that a gateway can place. The stop kinds rest outside of the book until they trigger."""

    LIMIT = "limit"
    MARKET = "market"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"
    TAKE_PROFIT = "take_profit"
    TAKE_PROFIT_LIMIT = "take_profit_limit"


class SelfTrade(StrEnum):
    """What ends when an order meets one of the same account; nothing is ever traded with oneself."""

    CANCEL_NEWEST = "cancel_newest"
    CANCEL_OLDEST = "cancel_oldest"
    CANCEL_BOTH = "cancel_both"
    DECREMENT = "decrement"


class TriggerOn(StrEnum):
    """The price that a trigger watches. A mark is known in perpetual markets only."""

    LAST = "last"
    MARK = "mark"


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """One market: its rules, the engine's handle, what it accepts now."""

    symbol: str
    """Canonical BASE/QUOTE."""
    handle: int
    instrument: Instrument
    state: VenueState
    maker_bps: Decimal
    taker_bps: Decimal
    max_open_orders: int
    perpetual: bool = False


class BookView(msgspec.Struct, frozen=True, kw_only=True):
    """The book of one market, best first. `update_id` grows by one with every published change of it."""

    symbol: str
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]
    update_id: int
    time_ns: int


class BookChange(msgspec.Struct, frozen=True, kw_only=True):
    """Levels that changed, with their new absolute lots (0: gone). `update_id` is gapless in a market."""

    symbol: str
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]
    update_id: int
    time_ns: int


class PublicTrade(msgspec.Struct, frozen=True, kw_only=True):
    """One execution as everybody sees it. `trade_id` grows by one in a market, from 1."""

    symbol: str
    trade_id: int
    price_ticks: int
    lots: int
    taker_side: Side
    buyer_order: int
    seller_order: int
    time_ns: int
    taker_kind: Kind
    """`MARKET` or `LIMIT`."""


class Candle(msgspec.Struct, frozen=True, kw_only=True):
    """One interval. Prices are of its trades; volumes in lots and in the quote asset."""

    open_ns: int
    open_ticks: int
    high_ticks: int
    low_ticks: int
    close_ticks: int
    lots: int
    taker_buy_lots: int
    quote_volume: Decimal
    taker_buy_quote: Decimal
    trades: int


class Ticker(msgspec.Struct, frozen=True, kw_only=True):
    """A market's last 24 hours. `None` where there was no trade or no order."""

    symbol: str
    bid: tuple[int, int] | None
    ask: tuple[int, int] | None
    last: PublicTrade | None
    open_ticks: int | None
    high_ticks: int | None
    low_ticks: int | None
    lots: int
    quote_volume: Decimal
    trades: int
    first_trade_id: int | None
    time_ns: int


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the exchange knows it now. `cost` and `fee` are in the quote asset."""

    order_id: int
    account: str
    client_id: str
    """The client's own id, "" when it gave none."""
    tag: int
    """The client's own number (Kraken userref), 0 when it gave none."""
    symbol: str
    side: Side
    kind: Kind
    time_in_force: TimeInForce
    post_only: bool
    reduce_only: bool
    price_ticks: int
    """Limit; 0 for market orders."""
    trigger_ticks: int
    """Trigger of a stop kind; 0 otherwise."""
    lots: int
    display_lots: int
    """Visible part of an iceberg order; 0 otherwise."""
    filled_lots: int
    cost: Decimal
    fee: Decimal
    phase: OrderPhase
    reason: str
    created_ns: int
    updated_ns: int
    expires_ns: int
    trade_ids: tuple[int, ...] = ()
    """Of its executions, oldest first; of very many the last thousand."""
    waiting: bool = False
    """A stop kind that has not fired: it rests outside of the book."""
    linked_order_id: int = 0
    """The other order of its pair, working or ended; 0 without one."""
    self_trade: SelfTrade = SelfTrade.CANCEL_NEWEST


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of one order of an account. `fee` is in `fee_asset`."""

    trade_id: int
    fill_id: int
    """Unique and growing within the exchange, from 1."""
    account: str
    order_id: int
    client_id: str
    symbol: str
    side: Side
    price_ticks: int
    lots: int
    cost: Decimal
    fee: Decimal
    fee_asset: str
    maker: bool
    time_ns: int


class Funds(msgspec.Struct, frozen=True, kw_only=True):
    """One asset of an account: free to use, and held by its open orders."""

    asset: str
    free: Decimal
    held: Decimal


class OrderChanged(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """An order was accepted, amended, triggered, filled or ended; `fill` when an execution did it."""

    order: Order
    what: str
    """new, amended, triggered, fill, filled, cancelled, expired, rejected"""
    sequence: int
    """Grows by one with every event of the account, from 1."""
    fill: Fill | None = None


class FundsChanged(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Balances of an account after a change: the assets that changed, with what they are now."""

    account: str
    funds: tuple[Funds, ...]
    cause: str
    """trade, fee, order, deposit, withdrawal, transfer"""
    sequence: int
    time_ns: int


AccountEvent = OrderChanged | FundsChanged


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """A position in a perpetual market; money in the quote asset, margins as the engine asks for them now."""

    account: str
    symbol: str
    lots: int
    """Negative: short. 0: none."""
    entry_price: Decimal | None
    mark_ticks: int
    unrealised: Decimal
    realised: Decimal
    """Since the account was opened, without fees and funding."""
    funding_paid: Decimal
    """Since the account was opened; negative: received."""
    leverage: Decimal
    """As the owner chose it; 0: the most that the market allows."""
    initial_margin: Decimal
    maintenance_margin: Decimal
    liquidation_ticks: int | None
    """Mark at which the account reaches maintenance when nothing else moves; None: no such price."""


class MarginSummary(msgspec.Struct, frozen=True, kw_only=True):
    """All of an account's margin, in the settlement asset."""

    asset: str
    wallet: Decimal
    unrealised: Decimal
    equity: Decimal
    initial_margin: Decimal
    """Of positions and working orders."""
    maintenance_margin: Decimal
    available: Decimal


class PerpetualPrices(msgspec.Struct, frozen=True, kw_only=True):
    """Prices and funding of a perpetual market; None where nothing is known yet."""

    symbol: str
    mark_ticks: int | None
    index_ticks: int | None
    funding_rate: Decimal
    """Of the last hour that was charged, as a part of the position's value at the index."""
    next_funding_ns: int
    open_interest_lots: int
    time_ns: int


class PositionMoved(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """A position changed; `cause`: trade, funding, liquidation, adl, settlement, socialised, takeover,
    leverage.
    """

    position: Position
    cause: str
    time_ns: int


class PlaceRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An order that a client wants. Exactly one of `lots` and `quote_amount` (market orders) is positive."""

    symbol: str
    side: Side
    kind: Kind = Kind.LIMIT
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    reduce_only: bool = False
    price_ticks: int = 0
    trigger_ticks: int = 0
    lots: int = 0
    quote_amount: Decimal = Decimal(0)
    display_lots: int = 0
    client_id: str = ""
    tag: int = 0
    expires_ns: int = 0
    linked_order_id: int = 0
    """A working order of the same account and market: when one of the two fires or fills, the other ends."""
    self_trade: SelfTrade = SelfTrade.CANCEL_NEWEST
    trigger_on: TriggerOn = TriggerOn.LAST
    valid_until_ns: int = 0
    """The exchange must not accept the order behind this moment (deadline, recvWindow); 0: none."""


class Refusal(StrEnum):
    """Why the exchange refused; every gateway has its venue's code and text for each."""

    UNKNOWN_SYMBOL = "unknown_symbol"
    BAD_PRICE = "bad_price"
    BAD_QUANTITY = "bad_quantity"
    OFF_TICK = "off_tick"
    OFF_LOT = "off_lot"
    BELOW_MIN_QUANTITY = "below_min_quantity"
    ABOVE_MAX_QUANTITY = "above_max_quantity"
    BELOW_MIN_NOTIONAL = "below_min_notional"
    ABOVE_MAX_NOTIONAL = "above_max_notional"
    OUTSIDE_BAND = "outside_band"
    TOO_MANY_ORDERS = "too_many_orders"
    POSITION_LIMIT = "position_limit"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    WOULD_TAKE = "would_take"
    WOULD_TRIGGER = "would_trigger"
    NOT_FILLABLE = "not_fillable"
    NO_LIQUIDITY = "no_liquidity"
    DUPLICATE_CLIENT_ID = "duplicate_client_id"
    UNKNOWN_ORDER = "unknown_order"
    ORDER_CLOSED = "order_closed"
    AMEND_BELOW_FILLED = "amend_below_filled"
    DEADLINE_PASSED = "deadline_passed"
    UNSUPPORTED = "unsupported"
    REDUCE_ONLY = "reduce_only"
    MARKET_CLOSED = "market_closed"
    CANCEL_ONLY = "cancel_only"
    POST_ONLY_MODE = "post_only_mode"
    SELF_TRADE = "self_trade"
    BUSY = "busy"
    STOPPED = "stopped"
    OTHER = "other"


class Refused(msgspec.Struct, frozen=True, tag=True):
    """A definite refusal: nothing was changed. `engine` is the engine's own code name, "" when it never got
    there.
    """

    refusal: Refusal
    message: str
    engine: str = ""


class CancelledCount(msgspec.Struct, frozen=True, tag=True):
    """Orders ended by a cancel of several."""

    order_ids: tuple[int, ...]
