"""USD-M's trading messages as typed structs, where they differ from those of spot."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from tradewind.venues.binance.private_messages import EventHeader, TradeRow

ONE_WAY = "BOTH"
"""`positionSide` of an account with one position a symbol."""


class UserTradeRow(TradeRow, gc=False):
    """One row of `userTrades`."""

    isBuyer: bool = msgspec.field(name="buyer")
    isMaker: bool = msgspec.field(name="maker")
    positionSide: str = ONE_WAY
    realizedPnl: Decimal = Decimal(0)


class Done(msgspec.Struct, gc=False):
    """Answer of a call that has nothing to say: `code` 200 is success."""

    code: int
    msg: str = ""


class Countdown(msgspec.Struct, gc=False):
    """Answer of `countdownCancelAll`; the time is text of milliseconds."""

    symbol: str
    countdownTime: str | int


class ListenKeyBody(msgspec.Struct, gc=False):
    """Answer of `listenKey`."""

    listenKey: str = ""


class MarginBalance(msgspec.Struct, gc=False):
    """One row of `balance`."""

    asset: str
    balance: Decimal
    availableBalance: Decimal
    crossWalletBalance: Decimal = Decimal(0)
    crossUnPnl: Decimal = Decimal(0)


class PositionRisk(msgspec.Struct, gc=False):
    """One row of `positionRisk`. Money that this build of the venue does not tell is None, not zero."""

    symbol: str
    positionSide: str
    positionAmt: Decimal
    entryPrice: Decimal
    unRealizedProfit: Decimal
    marginAsset: str = ""
    markPrice: Decimal | None = None
    liquidationPrice: Decimal | None = None
    positionInitialMargin: Decimal | None = None
    maintMargin: Decimal | None = None
    updateTime: int = 0


class PositionMode(msgspec.Struct, gc=False):
    """Answer of `positionSide/dual`."""

    dualSidePosition: bool


class AssetsMode(msgspec.Struct, gc=False):
    """Answer of `multiAssetsMargin`."""

    multiAssetsMargin: bool


class CommissionRate(msgspec.Struct, gc=False):
    """Answer of `commissionRate`: fractions of notional."""

    symbol: str
    makerCommissionRate: Decimal
    takerCommissionRate: Decimal


# ---- events ------------------------------------------------------------------------------------------------


class FuturesReport(msgspec.Struct, gc=False):
    """A changed order: `o` of an `ORDER_TRADE_UPDATE`."""

    s: str
    c: str
    S: str
    o: str
    q: Decimal
    p: Decimal
    x: str
    X: str
    i: int
    l: Decimal  # noqa: E741 the venue's name
    z: Decimal
    L: Decimal
    T: int
    t: int
    m: bool
    ps: str = ONE_WAY
    f: str = ""
    n: Decimal | None = None
    N: str | None = None
    R: bool = False
    rp: Decimal | None = None


class OrderTradeUpdate(msgspec.Struct, gc=False):
    """An order changed."""

    E: int
    T: int
    o: FuturesReport


class WalletRow(msgspec.Struct, gc=False):
    """A wallet behind a change; `bc` is what changed it beside profit and fees."""

    a: str
    wb: Decimal
    cw: Decimal = Decimal(0)
    bc: Decimal = Decimal(0)


class PositionRow(msgspec.Struct, gc=False):
    """A position behind a change."""

    s: str
    pa: Decimal
    ep: Decimal
    up: Decimal
    ps: str = ONE_WAY
    mt: str = ""


class AccountChange(msgspec.Struct, gc=False):
    """`a` of an `ACCOUNT_UPDATE`: why, wallets and positions that changed."""

    m: str
    B: list[WalletRow] = []
    P: list[PositionRow] = []


class AccountUpdate(msgspec.Struct, gc=False):
    """Wallets or positions changed."""

    E: int
    T: int
    a: AccountChange


class CalledPosition(msgspec.Struct, gc=False):
    """A position that needs margin."""

    s: str
    pa: Decimal
    ps: str = ONE_WAY
    mm: Decimal = Decimal(0)
    up: Decimal = Decimal(0)


class MarginCall(msgspec.Struct, gc=False):
    """The venue warns of a liquidation."""

    E: int
    p: list[CalledPosition]
    cw: Decimal | None = None


class ConfigUpdate(msgspec.Struct, gc=False):
    """Leverage (`ac`) or the margin mode (`ai`) was changed."""

    E: int
    T: int = 0
    ac: dict[str, Any] | None = None
    ai: dict[str, Any] | None = None


class TradeLite(msgspec.Struct, gc=False):
    """A fast, short form of an execution, which an `ORDER_TRADE_UPDATE` tells in full."""

    E: int
    s: str
    i: int
    t: int


class AlgoUpdate(msgspec.Struct, gc=False):
    """A conditional order changed. This connector places none; the order that one becomes tells itself."""

    E: int
    T: int
    o: dict[str, Any]


EVENT_TYPES: dict[str, Any] = {
    "ORDER_TRADE_UPDATE": OrderTradeUpdate,
    "ACCOUNT_UPDATE": AccountUpdate,
    "MARGIN_CALL": MarginCall,
    "ACCOUNT_CONFIG_UPDATE": ConfigUpdate,
    "TRADE_LITE": TradeLite,
    "ALGO_UPDATE": AlgoUpdate,
    "listenKeyExpired": EventHeader,
}
"""Every event that this build knows."""
