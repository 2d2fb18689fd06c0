"""Binance's account messages in full: orders, balances and events of spot, and of the USD-M account.

Money is text at the venue and `Decimal` here; times are milliseconds; a list that is none has the id -1.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Generic, TypeVar

import msgspec

Event = TypeVar("Event")


class Subscribed(msgspec.Struct, Generic[Event]):
    """How the WebSocket API wraps an event."""

    subscriptionId: int
    event: Event


# ---- spot --------------------------------------------------------------------------------------------------


class ServerTime(msgspec.Struct, gc=False):
    """Answer of `time`."""

    serverTime: int


class FillRow(msgspec.Struct, gc=False):
    """One execution of a FULL answer."""

    price: Decimal
    qty: Decimal
    commission: Decimal
    commissionAsset: str
    tradeId: int
    matchType: str | None = None
    allocId: int | None = None


class SpotOrder(msgspec.Struct, gc=False):
    """An order: of `order`, `openOrders`, `allOrders`, of a new order or of a cancel."""

    symbol: str
    orderId: int
    clientOrderId: str
    price: Decimal
    origQty: Decimal
    executedQty: Decimal
    status: str
    timeInForce: str
    type: str
    side: str
    orderListId: int | None = None
    origClientOrderId: str | None = None
    cummulativeQuoteQty: Decimal | None = None
    origQuoteOrderQty: Decimal | None = None
    stopPrice: Decimal | None = None
    icebergQty: Decimal | None = None
    time: int | None = None
    updateTime: int | None = None
    transactTime: int | None = None
    workingTime: int | None = None
    isWorking: bool | None = None
    selfTradePreventionMode: str | None = None
    preventedMatchId: int | None = None
    preventedQuantity: Decimal | None = None
    strategyId: int | None = None
    strategyType: int | None = None
    trailingDelta: int | None = None
    trailingTime: int | None = None
    usedSor: bool | None = None
    workingFloor: str | None = None
    expiryReason: str | int | None = None
    fills: list[FillRow] | None = None


class SpotBalance(msgspec.Struct, gc=False):
    """One asset of the account."""

    asset: str
    free: Decimal
    locked: Decimal


class Rates(msgspec.Struct, gc=False):
    """Fractions."""

    maker: Decimal
    taker: Decimal
    buyer: Decimal
    seller: Decimal


class SpotAccount(msgspec.Struct, gc=False):
    """Answer of `account`."""

    balances: list[SpotBalance]
    canTrade: bool
    canWithdraw: bool
    canDeposit: bool
    updateTime: int
    accountType: str
    permissions: list[str]
    makerCommission: int | None = None
    takerCommission: int | None = None
    buyerCommission: int | None = None
    sellerCommission: int | None = None
    commissionRates: Rates | None = None
    brokered: bool | None = None
    requireSelfTradePrevention: bool | None = None
    preventSor: bool | None = None
    uid: int | None = None


class TradeFee(msgspec.Struct, gc=False):
    """One symbol of `asset/tradeFee`."""

    symbol: str
    makerCommission: Decimal
    takerCommission: Decimal


class ExecutionReport(msgspec.Struct, gc=False):
    """`executionReport`."""

    e: str
    E: int
    s: str
    c: str
    S: str
    o: str
    f: str
    q: Decimal
    p: Decimal
    x: str
    X: str
    r: str
    i: int
    l: Decimal  # noqa: E741 the venue's name
    z: Decimal
    L: Decimal
    T: int
    t: int
    m: bool
    w: bool
    n: Decimal | None = None
    N: str | None = None
    P: Decimal | None = None
    F: Decimal | None = None
    g: int | None = None
    C: str | None = None
    I: int | None = None  # noqa: E741
    M: bool | None = None
    O: int | None = None  # noqa: E741
    Z: Decimal | None = None
    Y: Decimal | None = None
    Q: Decimal | None = None
    W: int | None = None
    V: str | None = None
    d: int | None = None
    D: int | None = None
    j: int | None = None
    J: int | None = None
    v: int | None = None
    A: Decimal | None = None
    B: Decimal | None = None
    u: int | None = None
    U: int | None = None
    Cs: str | None = None
    pl: Decimal | None = None
    pL: Decimal | None = None
    pY: Decimal | None = None
    b: str | None = None
    a: int | None = None
    k: str | None = None
    uS: bool | None = None


class PositionRow(msgspec.Struct, gc=False):
    """One balance behind a change."""

    a: str
    f: Decimal
    l: Decimal  # noqa: E741


class AccountPosition(msgspec.Struct, gc=False):
    """`outboundAccountPosition`."""

    e: str
    E: int
    u: int
    B: list[PositionRow]


class BalanceUpdate(msgspec.Struct, gc=False):
    """`balanceUpdate`, `externalLockUpdate`."""

    e: str
    E: int
    a: str
    d: Decimal
    T: int


class ListLeg(msgspec.Struct, gc=False):
    """An order of a list."""

    s: str
    i: int
    c: str


class ListStatus(msgspec.Struct, gc=False):
    """`listStatus`."""

    e: str
    E: int
    s: str
    g: int
    c: str
    l: str  # noqa: E741
    L: str
    r: str
    C: str
    T: int
    O: list[ListLeg]  # noqa: E741


# ---- USD-M -------------------------------------------------------------------------------------------------


class FuturesOrder(msgspec.Struct, gc=False):
    """An order of USD-M, of every call."""

    symbol: str
    orderId: int
    clientOrderId: str
    price: Decimal
    origQty: Decimal
    executedQty: Decimal
    status: str
    type: str
    side: str
    timeInForce: str
    positionSide: str
    reduceOnly: bool
    closePosition: bool
    updateTime: int
    avgPrice: Decimal | None = None
    cumQuote: Decimal | None = None
    cumQty: Decimal | None = None
    origType: str | None = None
    stopPrice: Decimal | None = None
    activatePrice: Decimal | None = None
    priceRate: Decimal | None = None
    workingType: str | None = None
    priceProtect: bool | None = None
    priceMatch: str | None = None
    selfTradePreventionMode: str | None = None
    goodTillDate: int | None = None
    time: int | None = None


class AlgoOrder(msgspec.Struct, gc=False):
    """A conditional order."""

    algoId: int
    clientAlgoId: str
    algoType: str
    type: str
    symbol: str
    side: str
    positionSide: str
    timeInForce: str
    quantity: Decimal
    algoStatus: str
    triggerPrice: Decimal | None = None
    price: Decimal | None = None
    workingType: str | None = None
    priceMatch: str | None = None
    closePosition: bool | None = None
    priceProtect: bool | None = None
    reduceOnly: bool | None = None
    selfTradePreventionMode: str | None = None
    goodTillDate: int | None = None
    createTime: int | None = None
    updateTime: int | None = None
    triggerTime: int | None = None
    actualOrderId: str | None = None
    actualPrice: Decimal | None = None


class PositionRisk(msgspec.Struct, gc=False):
    """One position of `positionRisk`."""

    symbol: str
    positionAmt: Decimal
    entryPrice: Decimal
    markPrice: Decimal
    unRealizedProfit: Decimal
    liquidationPrice: Decimal
    positionSide: str
    updateTime: int
    leverage: Decimal | None = None
    maxNotionalValue: Decimal | None = None
    marginType: str | None = None
    isolatedMargin: Decimal | None = None
    isAutoAddMargin: str | None = None
    notional: Decimal | None = None
    isolatedWallet: Decimal | None = None
    breakEvenPrice: Decimal | None = None
    marginAsset: str | None = None
    initialMargin: Decimal | None = None
    maintMargin: Decimal | None = None
    positionInitialMargin: Decimal | None = None
    openOrderInitialMargin: Decimal | None = None
    adl: int | None = None
    bidNotional: Decimal | None = None
    askNotional: Decimal | None = None


class SymbolConfiguration(msgspec.Struct, gc=False):
    """Margin and leverage of a symbol."""

    symbol: str
    marginType: str
    isAutoAddMargin: bool
    leverage: int
    maxNotionalValue: Decimal


class CommissionRate(msgspec.Struct, gc=False):
    """`commissionRate`."""

    symbol: str
    makerCommissionRate: Decimal
    takerCommissionRate: Decimal
    rpiCommissionRate: Decimal | None = None


class FuturesAsset(msgspec.Struct, gc=False):
    """One asset of the USD-M account."""

    asset: str
    walletBalance: Decimal
    unrealizedProfit: Decimal
    marginBalance: Decimal
    maintMargin: Decimal
    initialMargin: Decimal
    positionInitialMargin: Decimal
    openOrderInitialMargin: Decimal
    crossWalletBalance: Decimal
    crossUnPnl: Decimal
    availableBalance: Decimal
    maxWithdrawAmount: Decimal
    marginAvailable: bool | None = None
    updateTime: int | None = None


class FuturesPosition(msgspec.Struct, gc=False):
    """One position of the USD-M account."""

    symbol: str
    positionSide: str
    positionAmt: Decimal
    unrealizedProfit: Decimal
    initialMargin: Decimal
    maintMargin: Decimal
    updateTime: int
    entryPrice: Decimal | None = None
    leverage: Decimal | None = None
    isolated: bool | None = None
    positionInitialMargin: Decimal | None = None
    openOrderInitialMargin: Decimal | None = None
    maxNotional: Decimal | None = None
    bidNotional: Decimal | None = None
    askNotional: Decimal | None = None
    notional: Decimal | None = None
    isolatedMargin: Decimal | None = None
    isolatedWallet: Decimal | None = None
    breakEvenPrice: Decimal | None = None


class FuturesAccount(msgspec.Struct, gc=False):
    """Answer of `account` of USD-M."""

    totalInitialMargin: Decimal
    totalMaintMargin: Decimal
    totalWalletBalance: Decimal
    totalUnrealizedProfit: Decimal
    totalMarginBalance: Decimal
    totalPositionInitialMargin: Decimal
    totalOpenOrderInitialMargin: Decimal
    totalCrossWalletBalance: Decimal
    totalCrossUnPnl: Decimal
    availableBalance: Decimal
    maxWithdrawAmount: Decimal
    assets: list[FuturesAsset]
    positions: list[FuturesPosition]
    feeTier: int | None = None
    feeBurn: bool | None = None
    canTrade: bool | None = None
    canDeposit: bool | None = None
    canWithdraw: bool | None = None
    updateTime: int | None = None
    multiAssetsMargin: bool | None = None
    tradeGroupId: int | None = None


class FuturesOrderUpdate(msgspec.Struct, gc=False):
    """The order of `ORDER_TRADE_UPDATE`."""

    s: str
    c: str
    S: str
    o: str
    f: str
    q: Decimal
    p: Decimal
    ap: Decimal
    x: str
    X: str
    i: int
    l: Decimal  # noqa: E741
    z: Decimal
    L: Decimal
    T: int
    t: int
    m: bool
    R: bool
    wt: str
    ot: str
    ps: str
    cp: bool
    sp: Decimal | None = None
    N: str | None = None
    n: Decimal | None = None
    b: Decimal | None = None
    a: Decimal | None = None
    AP: Decimal | None = None
    cr: Decimal | None = None
    pP: bool | None = None
    si: int | None = None
    ss: int | None = None
    rp: Decimal | None = None
    V: str | None = None
    pm: str | None = None
    gtd: int | None = None
    W: int | None = None
    er: str | int | None = None


class FuturesOrderEvent(msgspec.Struct, gc=False):
    """`ORDER_TRADE_UPDATE`."""

    e: str
    E: int
    T: int
    o: FuturesOrderUpdate


class AlgoUpdate(msgspec.Struct, gc=False):
    """The conditional order of `ALGO_UPDATE`; `ai`, `ap`, `aq`, `act` are of the order that it became."""

    caid: str
    aid: int
    at: str
    o: str
    s: str
    S: str
    ps: str
    f: str
    q: Decimal
    X: str
    ai: str
    ap: Decimal | None = None
    aq: Decimal | None = None
    act: str | None = None
    tp: Decimal | None = None
    p: Decimal | None = None
    V: str | None = None
    wt: str | None = None
    pm: str | None = None
    cp: bool | None = None
    pP: bool | None = None
    R: bool | None = None
    tt: int | None = None
    gtd: int | None = None
    rm: str | None = None


class AlgoEvent(msgspec.Struct, gc=False):
    """`ALGO_UPDATE`."""

    e: str
    E: int
    T: int
    o: AlgoUpdate


class TradeLite(msgspec.Struct, gc=False):
    """`TRADE_LITE`: an execution, told early and in short."""

    e: str
    E: int
    T: int
    s: str
    q: Decimal
    p: Decimal
    m: bool
    c: str
    S: str
    L: Decimal
    l: Decimal  # noqa: E741
    t: int
    i: int


class WalletChange(msgspec.Struct, gc=False):
    """One asset behind a change: wallet, of it crossed, and the change that is no profit or fee."""

    a: str
    wb: Decimal
    cw: Decimal
    bc: Decimal


class PositionChange(msgspec.Struct, gc=False):
    """One position behind a change."""

    s: str
    pa: Decimal
    ep: Decimal
    up: Decimal
    mt: str
    ps: str
    bep: Decimal | None = None
    cr: Decimal | None = None
    iw: Decimal | None = None


class AccountChange(msgspec.Struct, gc=False):
    """What changed, and why (`m`)."""

    m: str
    B: list[WalletChange]
    P: list[PositionChange]


class AccountChangeEvent(msgspec.Struct, gc=False):
    """`ACCOUNT_UPDATE`."""

    e: str
    E: int
    T: int
    a: AccountChange
