"""Signed reads of an account: balances, orders, executions, fees, limits."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from tradewind.gateways.keys import Right
from tradewind.gateways.model import Order

from .calls import Context
from .errors import BinanceError, bad_key, no_such_order, one_of_missing
from .parameters import Parameters
from .replies import client_id_of, my_trade, queried, stale
from .symbols import Symbol
from .text import ZERO, decimal_text

DAY_MS: Final = 86_400_000
MAX_ROWS: Final = 10_000
ROWS: Final = 1_000
BP: Final = 10_000


async def account(context: Context, parameters: Parameters) -> Any:
    omit_zero = parameters.flag("omitZeroBalances", False)
    parameters.finish()
    exchange, name = context.exchange, context.account
    balances = [
        {"asset": one.asset, "free": decimal_text(one.free), "locked": decimal_text(one.held)}
        for one in exchange.funds(name)
        if not omit_zero or one.free or one.held
    ]
    maker, taker = account_fees(context)
    return {
        "makerCommission": int(maker),
        "takerCommission": int(taker),
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": rates(maker, taker),
        "canTrade": True,
        "canWithdraw": False,
        "canDeposit": False,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": context.time(last_change_ns(context)),
        "accountType": "SPOT",
        "balances": balances,
        "permissions": ["SPOT"],
        "uid": exchange.listed.accounts[name],
    }


def account_fees(context: Context) -> tuple[Decimal, Decimal]:
    """The highest maker and taker fee over the markets, in basis points: what an account pays at most."""
    fees = [
        context.exchange.fees(context.account, symbol.market.symbol) for symbol in context.venue.symbols.all()
    ]
    if not fees:
        return Decimal(0), Decimal(0)
    return max(maker for maker, _ in fees), max(taker for _, taker in fees)


def rates(maker_bps: Decimal, taker_bps: Decimal) -> dict[str, str]:
    return {
        "maker": decimal_text(maker_bps / BP),
        "taker": decimal_text(taker_bps / BP),
        "buyer": ZERO,
        "seller": ZERO,
    }


def last_change_ns(context: Context) -> int:
    """When an order or an execution last changed the account; 0 when nothing did."""
    exchange, name = context.exchange, context.account
    newest = [
        *exchange.orders(name, working=True, limit=1),
        *exchange.orders(name, working=False, limit=1),
    ]
    last_ns = max((order.updated_ns for order in newest), default=0)
    fills = exchange.fills(name, limit=1)
    return max(last_ns, fills[-1].time_ns if fills else 0)


async def commission(context: Context, parameters: Parameters) -> Any:
    symbol = context.symbol(parameters.symbol())
    parameters.finish()
    return {"symbol": symbol.name, **commission_body(context, symbol)}


def commission_body(context: Context, symbol: Symbol) -> dict[str, Any]:
    nothing = rates(Decimal(0), Decimal(0))
    return {
        "standardCommission": rates(*context.exchange.fees(context.account, symbol.market.symbol)),
        "specialCommission": nothing,
        "taxCommission": nothing,
        "discount": {
            "enabledForAccount": False,
            "enabledForSymbol": False,
            "discountAsset": "BNB",
            "discount": ZERO,
        },
    }


async def order_limits(context: Context, parameters: Parameters) -> Any:
    parameters.finish()
    return context.venue.usage.order_rows(context.account, context.now_ns)


# ---- orders ----------------------------------------------------------------------------------------


def find_order(context: Context, symbol: Symbol, order_id: int | None, client_id: str | None) -> Order | None:
    """An order of this account and symbol: by number, which comes first, else by its present name."""
    exchange, memory = context.exchange, context.venue.memory
    if order_id is None and client_id is not None:
        order_id = memory.renamed(context.account, client_id)
    if order_id is not None:
        order = exchange.order(context.account, order_id=order_id)
    else:
        order = exchange.order(context.account, client_id=client_id)
    if order is None or order.symbol != symbol.market.symbol:
        return None
    if client_id is not None and client_id_of(order, memory.of(order.order_id)) != client_id:
        return None
    return order


def read_reference(
    parameters: Parameters, id_name: str = "orderId", client_name: str = "origClientOrderId"
) -> tuple[int | None, str | None]:
    """Which order is meant. Raises -1102 when nothing says it."""
    order_id, client_id = parameters.whole(id_name), parameters.text(client_name)
    if order_id is None and client_id is None:
        raise one_of_missing(client_name, id_name)
    return order_id, client_id


async def query_order(context: Context, parameters: Parameters) -> Any:
    symbol = context.symbol(parameters.symbol())
    order_id, client_id = read_reference(parameters)
    parameters.finish()
    order = find_order(context, symbol, order_id, client_id)
    if order is None:
        raise no_such_order()
    return order_row(context, order)


def order_row(context: Context, order: Order) -> dict[str, Any]:
    symbol = context.venue.symbols.of_canonical(order.symbol)
    assert symbol is not None, "callers leave out what is not offered"
    shown = stale(order) if context.stale else order
    return queried(shown, symbol, context.venue.memory.of(order.order_id), context.time)


async def open_orders(context: Context, parameters: Parameters) -> Any:
    name = parameters.optional_symbol()
    parameters.finish()
    symbol = None if name is None else context.symbol(name).market.symbol
    found = context.exchange.orders(context.account, symbol=symbol, working=True, limit=MAX_ROWS)
    return [order_row(context, order) for order in reversed(found) if offered(context, order)]


def offered(context: Context, order: Order) -> bool:
    return context.venue.symbols.of_canonical(order.symbol) is not None


async def all_orders(context: Context, parameters: Parameters) -> Any:
    symbol = context.symbol(parameters.symbol())
    first_id = parameters.whole("orderId")
    start_ns, end_ns = parameters.span(DAY_MS)
    limit = parameters.limit(500, ROWS)
    parameters.finish()
    found: list[Order] = []
    for working in (True, False):
        found += context.exchange.orders(
            context.account,
            symbol=symbol.market.symbol,
            working=working,
            limit=MAX_ROWS,
            since_ns=start_ns,
            until_ns=end_ns,
        )
    found.sort(key=lambda order: order.order_id)
    if first_id is not None:
        found = [order for order in found if order.order_id >= first_id][:limit]
    elif start_ns:
        found = found[:limit]
    else:
        found = found[-limit:]
    return [order_row(context, order) for order in found]


def open_orders_weight(parameters: Parameters) -> int:
    return 6 if "symbol" in parameters.values else 80


async def my_trades(context: Context, parameters: Parameters) -> Any:
    symbol = context.symbol(parameters.symbol())
    order_id = parameters.whole("orderId")
    first_id = parameters.whole("fromId")
    start_ns, end_ns = parameters.span(DAY_MS)
    limit = parameters.limit(500, ROWS)
    parameters.finish()
    if first_id is not None and (start_ns or end_ns):
        raise BinanceError(-1128, "Combination of optional parameters invalid.")
    found = context.exchange.fills(
        context.account,
        symbol=symbol.market.symbol,
        order_id=order_id,
        since_ns=start_ns,
        until_ns=end_ns,
        # numbers of fills begin at 1: from 0 on are all, oldest first
        limit=MAX_ROWS if first_id is not None else limit,
    )
    if first_id is not None:
        found = [fill for fill in found if fill.trade_id >= first_id][:limit]
    memory = context.venue.memory
    return [my_trade(fill, symbol, memory.of(fill.order_id), context.time) for fill in found]


def my_trades_weight(parameters: Parameters) -> int:
    return 5 if "orderId" in parameters.values else 20


# ---- wallet ----------------------------------------------------------------------------------------


async def coins(context: Context, parameters: Parameters) -> Any:
    parameters.finish()
    return [
        {
            "coin": one.asset,
            "depositAllEnable": False,
            "free": decimal_text(one.free),
            "freeze": ZERO,
            "ipoable": ZERO,
            "ipoing": ZERO,
            "isLegalMoney": False,
            "locked": decimal_text(one.held),
            "name": one.asset,
            "networkList": [],
            "storage": ZERO,
            "trading": True,
            "withdrawAllEnable": False,
            "withdrawing": ZERO,
        }
        for one in context.exchange.funds(context.account)
    ]


async def restrictions(context: Context, parameters: Parameters) -> Any:
    """What the key that asks may do, and whether it is bound to addresses."""
    parameters.finish()
    key = context.key
    if key is None:
        raise bad_key()
    return {
        "ipRestrict": bool(key.addresses),
        "createTime": 0,
        "enableReading": key.allows(Right.READ),
        "enableWithdrawals": key.allows(Right.WITHDRAW),
        "enableInternalTransfer": False,
        "enableMargin": False,
        "enableFutures": False,
        "permitsUniversalTransfer": False,
        "enableVanillaOptions": False,
        "enableFixApiTrade": False,
        "enableFixReadOnly": False,
        "enableSpotAndMarginTrading": key.allows(Right.TRADE),
        "enablePortfolioMarginTrading": False,
    }


async def trade_fee(context: Context, parameters: Parameters) -> Any:
    name = parameters.optional_symbol()
    parameters.finish()
    symbols = context.venue.symbols.all() if name is None else [context.symbol(name)]
    rows = []
    for symbol in symbols:
        maker, taker = context.exchange.fees(context.account, symbol.market.symbol)
        rows.append(
            {
                "symbol": symbol.name,
                "makerCommission": format((maker / BP).normalize(), "f"),
                "takerCommission": format((taker / BP).normalize(), "f"),
            }
        )
    return rows


async def empty_list(context: Context, parameters: Parameters) -> Any:
    """Margin is not offered: there is nothing to list."""
    parameters.text("symbol")
    parameters.text("base")
    parameters.text("quote")
    parameters.finish()
    return []


async def empty_exchange(context: Context, parameters: Parameters) -> Any:
    """The derivative venues that clients look at when they load markets: no contract is listed."""
    parameters.finish()
    return {
        "timezone": "UTC",
        "serverTime": context.time(context.now_ns),
        "rateLimits": [limit.row() for limit in context.venue.usage.limits if limit.kind != "RAW_REQUESTS"],
        "exchangeFilters": [],
        "assets": [],
        "symbols": [],
    }
