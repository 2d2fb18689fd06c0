"""Every message of Kraken that we know, by name, and which one a frame is."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from tradewind.venues.kraken import whole_account as account
from tradewind.venues.kraken import whole_futures as futures
from tradewind.venues.kraken import whole_spot as spot
from tradewind.venues.kraken.directory import STATES
from tradewind.venues.kraken.private_messages import ExtendedBalance, SystemStatus, Token
from tradewind.venues.kraken.rows import REST_PHASES, SIDES, SOCKET_PHASES
from tradewind.venues.shapes import Catalogue, Shape, catalogue

SYSTEM: Final = frozenset(STATES)
SIDE: Final = frozenset(SIDES)
LONG_SIDE: Final = frozenset({"buy", "sell"})
ORDER_TYPES: Final = frozenset(
    {
        "market", "limit", "iceberg", "stop-loss", "take-profit", "stop-loss-limit", "take-profit-limit",
        "trailing-stop", "trailing-stop-limit", "settle-position",
    }
)  # fmt: skip
ASSET_STATUS: Final = frozenset(
    {"enabled", "deposit_only", "withdrawal_only", "funding_temporarily_disabled", "depositonly", "disabled",
     "extension_only", "workinprogress"}
)  # fmt: skip
BOOK_KINDS: Final = frozenset({"snapshot", "update"})
LEVEL3_EVENTS: Final = frozenset({"add", "modify", "delete"})
EXECUTIONS: Final = frozenset(
    {
        "pending_new", "new", "trade", "filled", "canceled", "expired", "amended", "restated", "status",
        "iceberg_refill",
    }
)  # fmt: skip
TIMES_IN_FORCE: Final = frozenset({"gtc", "gtd", "ioc", "fok", "GTC", "GTD", "IOC", "FOK"})
OLD_SIDES: Final = frozenset({"b", "s"})
OLD_TYPES: Final = frozenset({"l", "m"})
FUTURES_RESULT: Final = frozenset({"success", "error"})
FUTURES_TYPES: Final = frozenset({"futures_inverse", "futures_vanilla", "flexible_futures"})
FUTURES_ORDERS: Final = frozenset(
    {"lmt", "post", "mkt", "ioc", "fok", "stp", "stop", "take_profit", "trailing_stop", "limit", "market"}
)
FUTURES_STATUS: Final = frozenset({"untouched", "partiallyFilled"})
SEND_STATUS: Final = frozenset({"placed", "partiallyFilled", "filled", "cancelled", "edited", "attempted"})
FILL_TYPES: Final = frozenset(
    {"maker", "taker", "liquidation", "assignee", "assignor", "takerAfterEdit", "unwindBankrupt"}
)


def _orders(of: str) -> dict[str, frozenset[str]]:
    top = f"result.{of}{{}}" if of else "result{}"
    return {
        f"{top}.status": frozenset(REST_PHASES),
        f"{top}.descr.type": LONG_SIDE,
        f"{top}.descr.ordertype": ORDER_TYPES,
    }


def _channel(name: str, row: Any, words: dict[str, frozenset[str]] | None = None) -> Shape:
    known = {"type": BOOK_KINDS} | {f"data[].{path}": found for path, found in (words or {}).items()}
    return Shape(name=f"kraken stream {name}", type=spot.Channel[row], words=known)


def _answer(method: str, result: Any) -> Shape:
    return Shape(name=f"kraken answer {method}", type=spot.MethodAnswer[result])


def _request(method: str, params: Any, orders_at: str | None = None) -> Shape:
    words = {"order_type": ORDER_TYPES, "side": LONG_SIDE, "time_in_force": TIMES_IN_FORCE}
    known = {} if orders_at is None else {f"{orders_at}.{name}": found for name, found in words.items()}
    return Shape(name=f"kraken request {method}", type=spot.Request[params], words=known)


def _rest(call: str, result: Any, words: dict[str, frozenset[str]] | None = None) -> Shape:
    return Shape(name=f"kraken rest {call}", type=spot.Answer[result], words=words or {})


def _futures(name: str, kind: Any, words: dict[str, frozenset[str]] | None = None) -> Shape:
    return Shape(name=f"kraken-futures {name}", type=kind, words=words or {})


REST: Final = [
    _rest("Time", spot.ServerTime),
    _rest("SystemStatus", SystemStatus, {"result.status": SYSTEM}),
    _rest("AssetPairs", dict[str, spot.PairRow], {"result{}.status": SYSTEM}),
    _rest("Ticker", dict[str, spot.TickerRow]),
    _rest("Depth", dict[str, spot.DepthBook]),
    _rest("Balance", dict[str, Decimal]),
    _rest("BalanceEx", dict[str, ExtendedBalance]),
    _rest("GetWebSocketsToken", Token),
    _rest("TradeVolume", account.TradeVolume),
    _rest("OpenOrders", spot.OpenOrders, _orders("open")),
    _rest("ClosedOrders", spot.ClosedOrders, _orders("closed")),
    _rest(
        "TradesHistory",
        spot.TradesHistory,
        {"result.trades{}.type": LONG_SIDE, "result.trades{}.ordertype": ORDER_TYPES},
    ),
    _rest(
        "AddOrder",
        spot.AddOrderResult,
        {"result.descr.type": LONG_SIDE, "result.descr.ordertype": ORDER_TYPES},
    ),
    _rest("CancelOrder", spot.CountResult),
    _rest("CancelAll", spot.CountResult),
    _rest("CancelOrderBatch", spot.CountResult),
    _rest("CancelAllOrdersAfter", account.TimerResult),
    _rest("AddOrderBatch", account.BatchResult),
    _rest("AmendOrder", account.AmendResult),
    _rest("EditOrder", account.EditResult, {"result.status": frozenset({"ok", "Ok", "err", "Err"})}),
    _rest("QueryOrders", dict[str, spot.OrderRow], _orders("")),
    _rest(
        "QueryTrades",
        dict[str, spot.TradeRow],
        {"result{}.type": LONG_SIDE, "result{}.ordertype": ORDER_TYPES},
    ),
    _rest("Ledgers", account.Ledgers),
    _rest("TradeBalance", account.TradeBalance),
    _rest("OpenPositions", dict[str, str]),
    _rest("Assets", dict[str, account.AssetRow]),
    _rest("Trades", dict[str, list[account.PublicTrade] | str]),
    _rest("OHLC", dict[str, list[account.CandleRow] | int]),
    _rest("Spread", dict[str, list[account.SpreadRow] | int]),
]
STREAM: Final = [
    _channel("book", spot.BookRow),
    _channel("trade", spot.TradePrintRow, {"side": LONG_SIDE}),
    _channel("ticker", spot.TickerUpdateRow),
    _channel("level3", spot.SingleOrders,
             {"bids[].event": LEVEL3_EVENTS, "asks[].event": LEVEL3_EVENTS}),
    _channel("status", spot.SystemRow, {"system": SYSTEM}),
    _channel("executions", account.ExecutionRow,
             {"exec_type": EXECUTIONS, "order_status": frozenset(SOCKET_PHASES), "side": LONG_SIDE,
              "order_type": ORDER_TYPES}),
    _channel("balances", account.BalanceRow),
    _channel("ohlc", account.CandleUpdate),
    Shape(name="kraken stream instrument", type=account.InstrumentFrame,
          words={"type": BOOK_KINDS, "data.pairs[].status": SYSTEM | {"disabled", "work_in_progress"},
                 "data.assets[].status": ASSET_STATUS}),
    Shape(name="kraken stream heartbeat", type=spot.Heartbeat),
]  # fmt: skip
METHODS: Final = [
    _answer("subscribe", spot.Subscribed),
    _answer("pong", spot.Subscribed),
    _answer("order", spot.Ordered),
    _answer("batch_add", list[account.BatchOrdered]),
    _answer("edit_order", account.Edited),
    _answer("cancel_all", account.Counted),
    _answer("batch_cancel", account.Counted),
    _answer("cancel_all_orders_after", account.TimerResult),
    _request("add_order", spot.NewOrder, "params"),
    _request("batch_add", spot.NewOrders, "params.orders[]"),
    _request("amend_order", spot.AmendedOrder),
    _request("cancel_order", spot.CancelledOrders),
]
OLD: Final = [
    Shape(name="kraken v1 heartbeat", type=spot.OldEvent),
    Shape(name="kraken v1 systemStatus", type=spot.OldSystemStatus, words={"status": SYSTEM}),
    Shape(name="kraken v1 subscriptionStatus", type=spot.OldSubscriptionStatus,
          words={"status": frozenset({"subscribed", "unsubscribed", "error"})}),
    Shape(name="kraken v1 book", type=spot.OldBookFrame),
    Shape(name="kraken v1 book of both sides", type=spot.OldBookFrameOfBothSides),
    Shape(name="kraken v1 ticker", type=spot.OldTickerFrame),
    Shape(name="kraken v1 trade", type=spot.OldTradeFrame),
]  # fmt: skip
FUTURES: Final = [
    _futures("rest fills", futures.Fills,
             {"result": FUTURES_RESULT, "fills[].side": LONG_SIDE, "fills[].fillType": FILL_TYPES}),
    _futures("rest openorders", futures.OpenOrders,
             {"result": FUTURES_RESULT, "openOrders[].side": LONG_SIDE,
              "openOrders[].orderType": FUTURES_ORDERS, "openOrders[].status": FUTURES_STATUS}),
    _futures("rest orderbook", futures.OrderBookAnswer, {"result": FUTURES_RESULT}),
    _futures("rest sendorder", futures.SendAnswer,
             {"result": FUTURES_RESULT, "sendStatus.status": SEND_STATUS}),
    _futures("rest charts", futures.Candles),
    _futures("rest instruments", futures.Instruments,
             {"result": FUTURES_RESULT, "instruments[].type": FUTURES_TYPES}),
    _futures("stream book_snapshot", futures.FeedBookSnapshot),
    _futures("stream book", futures.FeedBookDelta, {"side": LONG_SIDE}),
    _futures("stream fills_snapshot", futures.FeedFills, {"fills[].fill_type": FILL_TYPES}),
    _futures("stream fills", futures.FeedFills, {"fills[].fill_type": FILL_TYPES}),
    _futures("stream open_orders_snapshot", futures.FeedOrders, {"orders[].type": FUTURES_ORDERS}),
    _futures("stream ticker", futures.FeedTicker),
    _futures("stream trade", futures.FeedTrade,
             {"side": LONG_SIDE, "type": frozenset({"fill", "liquidation", "termination", "block"})}),
]  # fmt: skip

SHAPES: Final[Catalogue] = catalogue("kraken", [*REST, *STREAM, *METHODS, *OLD, *FUTURES])
ORDER_METHODS: Final = frozenset({"add_order", "amend_order", "cancel_order"})


def name_of(document: Any) -> str | None:
    """The shape of a frame of a socket; None when it is none that we know. REST answers do not say it."""
    if isinstance(document, list):
        return _old_name(document)
    if not isinstance(document, dict):
        return None
    found: str | None = None
    if isinstance(document.get("feed"), str):
        found = f"kraken-futures stream {document['feed']}"
    elif isinstance(document.get("channel"), str):
        found = f"kraken stream {document['channel']}"
    elif isinstance(document.get("event"), str):
        found = f"kraken v1 {document['event']}"
    elif isinstance(document.get("method"), str):
        found = _method_name(document, document["method"])
    return found if found in SHAPES.shapes else None


def _method_name(document: dict[str, Any], method: str) -> str:
    if "params" in document:
        return f"kraken request {method}"
    if method == "unsubscribe":
        return "kraken answer subscribe"
    return "kraken answer order" if method in ORDER_METHODS else f"kraken answer {method}"


def _old_name(document: list[Any]) -> str | None:
    """Frames of channels end in the channel's name and the pair."""
    if len(document) < 4 or not isinstance(document[-2], str):
        return None
    channel = document[-2].partition("-")[0]
    name = "kraken v1 book of both sides" if len(document) == 5 else f"kraken v1 {channel}"
    return name if name in SHAPES.shapes else None
