"""More of Kraken's spot messages in full: histories, ledgers, changes of orders, the private channels."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from tradewind.venues.kraken.whole_spot import OrderedDescription

# ---- public calls ------------------------------------------------------------------------------------------


class AssetRow(msgspec.Struct, gc=False):
    """One asset of Assets."""

    aclass: str
    altname: str
    decimals: int
    display_decimals: int
    status: str | None = None
    collateral_value: Decimal | None = None
    margin_rate: Decimal | None = None


class PublicTrade(msgspec.Struct, array_like=True, gc=False):
    """One row of Trades: side b or s, type m or l; the id since 2022."""

    price: Decimal
    volume: Decimal
    time_s: Decimal
    side: str
    kind: str
    miscellaneous: str
    trade_id: int | None = None


class CandleRow(msgspec.Struct, array_like=True, gc=False):
    """One row of OHLC."""

    time_s: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    vwap: Decimal
    volume: Decimal
    count: int


SpreadRow = tuple[int, Decimal, Decimal]
"""Seconds, bid, ask."""


# ---- private calls -----------------------------------------------------------------------------------------


class TradeBalance(msgspec.Struct, gc=False):
    """Result of TradeBalance: worth of everything, margin figures."""

    eb: Decimal
    tb: Decimal
    m: Decimal | None = None
    uv: Decimal | None = None
    n: Decimal | None = None
    c: Decimal | None = None
    v: Decimal | None = None
    e: Decimal | None = None
    mf: Decimal | None = None
    mfo: Decimal | None = None
    ml: Decimal | None = None


class FeeRow(msgspec.Struct, gc=False):
    """One pair's fee, in percent."""

    fee: Decimal
    minfee: Decimal | None = None
    maxfee: Decimal | None = None
    nextfee: Decimal | None = None
    nextvolume: Decimal | None = None
    tiervolume: Decimal | None = None


class TradeVolume(msgspec.Struct, gc=False):
    """Result of TradeVolume."""

    currency: str
    volume: Decimal
    fees: dict[str, FeeRow] | None = None
    fees_maker: dict[str, FeeRow] | None = None


class LedgerRow(msgspec.Struct, gc=False):
    """One entry of Ledgers."""

    refid: str
    time: Decimal
    type: str
    subtype: str
    aclass: str
    asset: str
    amount: Decimal
    fee: Decimal
    balance: Decimal
    wallet: str | None = None


class Ledgers(msgspec.Struct, gc=False):
    """Result of Ledgers."""

    ledger: dict[str, LedgerRow]
    count: int | None = None


class BatchRow(msgspec.Struct, gc=False):
    """One order of AddOrderBatch: an id, or why not."""

    descr: OrderedDescription | None = None
    txid: str | None = None
    error: str | None = None
    cl_ord_id: str | None = None


class BatchResult(msgspec.Struct, gc=False):
    """Result of AddOrderBatch."""

    orders: list[BatchRow]


class AmendResult(msgspec.Struct, gc=False):
    """Result of AmendOrder."""

    amend_id: str


class EditResult(msgspec.Struct, gc=False):
    """Result of EditOrder."""

    status: str
    originaltxid: str
    descr: OrderedDescription
    orders_cancelled: int
    volume: Decimal | None = None
    price: Decimal | None = None
    price2: Decimal | None = None
    txid: str | None = None
    newuserref: str | None = None
    olduserref: str | None = None
    error_message: str | None = None


class TimerResult(msgspec.Struct, gc=False):
    """Result of CancelAllOrdersAfter and of its WebSocket method; "0" when it is off."""

    currentTime: str
    triggerTime: str


# ---- private and further channels --------------------------------------------------------------------------


class Fee(msgspec.Struct, gc=False):
    """One fee of an execution."""

    asset: str
    qty: Decimal


class Trigger(msgspec.Struct, gc=False):
    """What fires an order, and where that stands."""

    reference: str | None = None
    price: Decimal | None = None
    price_type: str | None = None
    status: str | None = None
    actual_price: Decimal | None = None
    peak_price: Decimal | None = None
    last_price: Decimal | None = None
    timestamp: str | None = None


class ExecutionRow(msgspec.Struct, gc=False):
    """One row of `executions`; an update has what changed."""

    order_id: str
    exec_type: str
    order_status: str
    timestamp: str
    symbol: str | None = None
    side: str | None = None
    order_type: str | None = None
    order_qty: Decimal | None = None
    cash_order_qty: Decimal | None = None
    display_qty: Decimal | None = None
    display_qty_remain: Decimal | None = None
    limit_price: Decimal | None = None
    limit_price_type: str | None = None
    stop_price: Decimal | None = None
    triggers: Trigger | None = None
    cl_ord_id: str | None = None
    order_userref: int | None = None
    order_ref_id: str | None = None
    ext_ord_id: str | None = None
    sender_sub_id: str | None = None
    time_in_force: str | None = None
    effective_time: str | None = None
    expire_time: str | None = None
    post_only: bool | None = None
    reduce_only: bool | None = None
    no_mpp: bool | None = None
    margin: bool | None = None
    margin_borrow: bool | None = None
    liquidated: bool | None = None
    amended: bool | None = None
    position_status: str | None = None
    fee_ccy_pref: str | None = None
    cum_qty: Decimal | None = None
    cum_cost: Decimal | None = None
    avg_price: Decimal | None = None
    exec_id: str | None = None
    trade_id: int | None = None
    last_qty: Decimal | None = None
    last_price: Decimal | None = None
    cost: Decimal | None = None
    liquidity_ind: str | None = None
    fees: list[Fee] | None = None
    fee_usd_equiv: Decimal | None = None
    reason: str | None = None
    cancel_reason: str | None = None
    ratecount: Decimal | None = None
    user: str | None = None


class Wallet(msgspec.Struct, gc=False):
    """One wallet of an asset."""

    type: str
    balance: Decimal
    id: str | None = None


class BalanceRow(msgspec.Struct, gc=False):
    """One row of `balances`: an asset with its wallets, or one ledger entry."""

    asset: str
    balance: Decimal
    asset_class: str | None = None
    wallets: list[Wallet] | None = None
    wallet_type: str | None = None
    wallet_id: str | None = None
    ledger_id: str | None = None
    ref_id: str | None = None
    timestamp: str | None = None
    type: str | None = None
    subtype: str | None = None
    category: str | None = None
    amount: Decimal | None = None
    fee: Decimal | None = None
    user: str | None = None


class CandleUpdate(msgspec.Struct, gc=False):
    """One row of `ohlc`."""

    symbol: str
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    trades: int
    volume: Decimal
    vwap: Decimal
    interval_begin: str
    interval: int
    timestamp: str | None = None


class AssetEntry(msgspec.Struct, gc=False):
    """One asset of `instrument`."""

    id: str
    status: str
    precision: int
    precision_display: int
    borrowable: bool | None = None
    collateral_value: Decimal | None = None
    margin_rate: Decimal | None = None
    multiplier: Decimal | None = None


class PairEntry(msgspec.Struct, gc=False):
    """One pair of `instrument`."""

    symbol: str
    base: str
    quote: str
    status: str
    qty_precision: int
    qty_increment: Decimal
    price_precision: int
    price_increment: Decimal
    cost_precision: int
    qty_min: Decimal | None = None
    cost_min: Decimal | None = None
    tick_size: Decimal | None = None
    marginable: bool | None = None
    has_index: bool | None = None
    margin_initial: Decimal | None = None
    position_limit_long: int | None = None
    position_limit_short: int | None = None


class Instruments(msgspec.Struct, gc=False):
    """What `instrument` tells."""

    assets: list[AssetEntry]
    pairs: list[PairEntry]


class InstrumentFrame(msgspec.Struct, gc=False):
    """A frame of `instrument`: not a list of rows."""

    channel: str
    type: str
    data: Instruments


class BatchOrdered(msgspec.Struct, gc=False):
    """One order of batch_add."""

    order_id: str | None = None
    cl_ord_id: str | None = None
    order_userref: int | None = None
    error: str | None = None


class Edited(msgspec.Struct, gc=False):
    """Result of edit_order."""

    original_order_id: str
    order_id: str | None = None
    warnings: list[str] | None = None


class Counted(msgspec.Struct, gc=False):
    """Result of cancel_all and batch_cancel; `batch_cancel` puts the count beside the result."""

    count: int | None = None
    warnings: list[str] | None = None
