"""Kraken's private messages, REST and WebSocket v2, as typed structs. Money is `Decimal`, unknown fields are
ignored, and a missing field that we need is a decode error.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

ZERO = Decimal(0)


class Envelope(msgspec.Struct, gc=False):
    """Every REST answer."""

    error: list[str]
    result: msgspec.Raw = msgspec.Raw(b"null")


class Description(msgspec.Struct, gc=False):
    """What was ordered, of a REST order row."""

    pair: str
    type: str
    ordertype: str
    price: Decimal = ZERO
    price2: Decimal = ZERO


class OrderRow(msgspec.Struct, gc=False):
    """One order of OpenOrders, ClosedOrders and QueryOrders. Times are seconds since 1970."""

    status: str
    descr: Description
    vol: Decimal
    vol_exec: Decimal
    opentm: Decimal
    cost: Decimal = ZERO
    fee: Decimal = ZERO
    oflags: str = ""
    cl_ord_id: str | None = None
    userref: int | None = None
    closetm: Decimal | None = None
    reason: str | None = None
    limitprice: Decimal = ZERO


class OpenOrders(msgspec.Struct, gc=False):
    """Result of OpenOrders; rows stay raw, so that one bad row does not hide the others."""

    open: dict[str, msgspec.Raw]


class ClosedOrders(msgspec.Struct, gc=False):
    """Result of ClosedOrders."""

    closed: dict[str, msgspec.Raw]
    count: int | None = None


class TradeRow(msgspec.Struct, gc=False):
    """One execution of TradesHistory. Its key is the execution's id."""

    ordertxid: str
    pair: str
    time: Decimal
    type: str
    price: Decimal
    vol: Decimal
    fee: Decimal
    cost: Decimal = ZERO
    ordertype: str = ""
    trade_id: int | None = None
    maker: bool | None = None


class TradesHistory(msgspec.Struct, gc=False):
    """Result of TradesHistory: one page, and how many rows there are in all."""

    trades: dict[str, msgspec.Raw]
    count: int


class ExtendedBalance(msgspec.Struct, gc=False):
    """One row of BalanceEx."""

    balance: Decimal
    hold_trade: Decimal = ZERO
    credit: Decimal = ZERO
    credit_used: Decimal = ZERO


class Token(msgspec.Struct, gc=False):
    """Result of GetWebSocketsToken. Printed without the token."""

    token: str
    expires: int

    def __repr__(self) -> str:
        return f"Token(expires={self.expires})"


class FeeRow(msgspec.Struct, gc=False):
    """One pair's fee in TradeVolume, in percent."""

    fee: Decimal


class TradeVolume(msgspec.Struct, gc=False):
    """Result of TradeVolume."""

    fees: dict[str, FeeRow] = {}
    fees_maker: dict[str, FeeRow] = {}


class SystemStatus(msgspec.Struct, gc=False):
    """Result of SystemStatus."""

    status: str
    timestamp: str


class AddOrderResult(msgspec.Struct, gc=False):
    """Result of AddOrder; without ids for a validation."""

    txid: list[str] = []


class CountResult(msgspec.Struct, gc=False):
    """Result of CancelOrder and CancelAll."""

    count: int
    pending: bool = False


class TimerResult(msgspec.Struct, gc=False, rename="camel"):
    """Result of the timer, on REST and WebSocket. `trigger_time` is "0" or empty when it is off."""

    current_time: str
    trigger_time: str = ""


# ---- WebSocket v2 ------------------------------------------------------------------------------------------


class SocketHeader(msgspec.Struct, gc=False):
    """What a frame is: channel data, or the answer to a method."""

    channel: str | None = None
    type: str | None = None
    method: str | None = None
    req_id: int | None = None
    sequence: int | None = None


class MethodAnswer(msgspec.Struct, gc=False):
    """The answer to a method."""

    method: str
    success: bool
    req_id: int | None = None
    error: str | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")
    warnings: list[str] | None = None
    time_in: str | None = None
    time_out: str | None = None


class Pong(msgspec.Struct, gc=False):
    """The answer to a ping."""

    req_id: int | None = None
    time_in: str | None = None
    time_out: str | None = None


class OrderResult(msgspec.Struct, gc=False):
    """Result of add_order and amend_order."""

    order_id: str = ""
    cl_ord_id: str | None = None
    amend_id: str | None = None


class SocketCount(msgspec.Struct, gc=False):
    """Result of cancel_all."""

    count: int = 0


class ChannelResult(msgspec.Struct, gc=False):
    """Result of subscribe."""

    channel: str


class ExecutionFee(msgspec.Struct, gc=False):
    """One fee of an execution."""

    asset: str
    qty: Decimal


class Execution(msgspec.Struct, gc=False):
    """One row of `executions`. Later rows of an order need not repeat what an earlier one said."""

    order_id: str
    exec_type: str
    order_status: str
    timestamp: str
    symbol: str | None = None
    side: str | None = None
    order_type: str | None = None
    order_qty: Decimal | None = None
    limit_price: Decimal | None = None
    cl_ord_id: str | None = None
    cum_qty: Decimal | None = None
    exec_id: str | None = None
    trade_id: int | None = None
    last_qty: Decimal | None = None
    last_price: Decimal | None = None
    liquidity_ind: str | None = None
    fees: list[ExecutionFee] | None = None
    reason: str | None = None
    cancel_reason: str | None = None
    post_only: bool = False
    ratecount: Decimal | None = None
    """The engine's counter of this pair, which our model follows."""


class ExecutionsMessage(msgspec.Struct, gc=False):
    """`{"channel":"executions",...}`; rows stay raw, so that one bad row does not hide the others."""

    type: str
    data: list[msgspec.Raw]
    sequence: int | None = None


class Wallet(msgspec.Struct, gc=False):
    """One wallet of an asset."""

    type: str
    balance: Decimal


class BalanceRow(msgspec.Struct, gc=False):
    """One row of `balances`: of a snapshot (`wallets`), or one ledger entry of an update (`ledger_id`)."""

    asset: str
    balance: Decimal
    wallets: list[Wallet] | None = None
    wallet_type: str | None = None
    ledger_id: str | None = None
    ref_id: str | None = None
    timestamp: str | None = None
    type: str | None = None
    amount: Decimal | None = None
    fee: Decimal = ZERO


class BalancesMessage(msgspec.Struct, gc=False):
    """`{"channel":"balances",...}`."""

    type: str
    data: list[BalanceRow]
    sequence: int | None = None


class StatusRow(msgspec.Struct, gc=False):
    """One row of `status`."""

    system: str


class StatusMessage(msgspec.Struct, gc=False):
    """`{"channel":"status",...}`."""

    data: list[StatusRow]
