"""Account calls of Binance USD-M: margin, positions, leverage, modes. One-way positions, crossed margin."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from tradewind.gateways.exchange_setup import PerpetualMarket
from tradewind.gateways.model import MarginSummary, Position

from .account import BP
from .calls import Context
from .errors import BinanceError, invalid_data
from .parameters import Parameters
from .symbols import Symbol
from .text import ZERO, decimal_text
from .usdm_errors import not_offered
from .usdm_events import leverage_event
from .user_events import Watches

MAX_LEVERAGE: Final = 125
BRACKETS: Final = tuple(Decimal(cap) for cap in (50_000, 250_000, 1_000_000, 3_000_000))
"""Values of positions at which the table of brackets has a step, below the market's position limit."""


def signed_text(value: Decimal) -> str:
    """Money with its sign."""
    return decimal_text(value) if value >= 0 else "-" + decimal_text(-value)


def most_leverage(context: Context, symbol: Symbol) -> Decimal:
    """What the account has chosen for its next orders; without a choice, the most that the market allows."""
    chosen = context.exchange.leverage(context.account, symbol.market.symbol)
    return chosen or Decimal(configuration(context, symbol).max_leverage)


def configuration(context: Context, symbol: Symbol) -> PerpetualMarket:
    found = context.exchange.listed.markets[symbol.market.symbol].configuration
    assert isinstance(found, PerpetualMarket), "only perpetual markets are offered"
    return found


def leverage_text(context: Context, symbol: Symbol, position: Position | None = None) -> str:
    chosen = (
        most_leverage(context, symbol) if position is None or not position.leverage else position.leverage
    )
    return f"{chosen.normalize():f}"


def margins(summary: MarginSummary) -> dict[str, str]:
    """The fields that an account and each of its assets have in common."""
    return {
        "walletBalance": signed_text(summary.wallet),
        "unrealizedProfit": signed_text(summary.unrealised),
        "marginBalance": signed_text(summary.equity),
        "maintMargin": decimal_text(summary.maintenance_margin),
        "initialMargin": decimal_text(summary.initial_margin),
        "crossWalletBalance": signed_text(summary.wallet),
        "crossUnPnl": signed_text(summary.unrealised),
        "availableBalance": decimal_text(summary.available),
        "maxWithdrawAmount": decimal_text(max(Decimal(0), min(summary.available, summary.wallet))),
    }


def split_margin(summary: MarginSummary, positions: list[Position]) -> tuple[str, str]:
    """Initial margin at the mark of positions alone, and the rest, which working orders need."""
    held = sum((position_margin(one) for one in positions), Decimal(0))
    held = min(held, summary.initial_margin)
    return decimal_text(held), decimal_text(summary.initial_margin - held)


def position_margin(position: Position) -> Decimal:
    """The part of a market's initial margin that its position needs: all of it where no order works."""
    return position.initial_margin if position.lots else Decimal(0)


async def account(context: Context, parameters: Parameters) -> Any:
    parameters.finish()
    exchange, name = context.exchange, context.account
    summary, held = exchange.margin(name), {one.symbol: one for one in exchange.positions(name)}
    common = margins(summary)
    of_positions, of_orders = split_margin(summary, list(held.values()))
    parts = {"positionInitialMargin": of_positions, "openOrderInitialMargin": of_orders}
    totals = {
        "totalInitialMargin": common["initialMargin"],
        "totalMaintMargin": common["maintMargin"],
        "totalWalletBalance": common["walletBalance"],
        "totalUnrealizedProfit": common["unrealizedProfit"],
        "totalMarginBalance": common["marginBalance"],
        "totalPositionInitialMargin": of_positions,
        "totalOpenOrderInitialMargin": of_orders,
        "totalCrossWalletBalance": common["crossWalletBalance"],
        "totalCrossUnPnl": common["crossUnPnl"],
        "availableBalance": common["availableBalance"],
        "maxWithdrawAmount": common["maxWithdrawAmount"],
    }
    rows = []
    for symbol in context.venue.symbols.all():
        [position] = exchange.positions(name, symbol.market.symbol)
        rows.append(account_position(context, symbol, position))
    return {
        "feeTier": 0,
        "canTrade": True,
        "canDeposit": False,
        "canWithdraw": False,
        "updateTime": 0,
        "multiAssetsMargin": False,
        "tradeGroupId": -1,
        **totals,
        "assets": [
            {
                "asset": summary.asset,
                **common,
                **parts,
                "marginAvailable": True,
                "updateTime": context.time(context.now_ns),
            }
        ],
        "positions": rows,
    }


def account_position(context: Context, symbol: Symbol, position: Position) -> dict[str, Any]:
    value = abs(position.lots) * symbol.lot * position.mark_ticks * symbol.tick
    side = "-" if position.lots < 0 else ""
    return {
        "symbol": symbol.name,
        "initialMargin": decimal_text(position.initial_margin),
        "maintMargin": decimal_text(position.maintenance_margin),
        "unrealizedProfit": signed_text(position.unrealised),
        "positionInitialMargin": decimal_text(position_margin(position)),
        "openOrderInitialMargin": decimal_text(position.initial_margin - position_margin(position)),
        "leverage": leverage_text(context, symbol, position),
        "isolated": False,
        "entryPrice": entry_text(position),
        "maxNotional": f"{configuration(context, symbol).position_limit:f}",
        "positionSide": "BOTH",
        "positionAmt": side + symbol.quantity(abs(position.lots)),
        "notional": side + decimal_text(value),
        "isolatedWallet": "0",
        "bidNotional": "0",
        "askNotional": "0",
        "updateTime": context.time(context.now_ns) if position.lots else 0,
    }


def entry_text(position: Position) -> str:
    """`0.0` without a position."""
    return "0.0" if position.entry_price is None else decimal_text(position.entry_price)


async def balance(context: Context, parameters: Parameters) -> Any:
    parameters.finish()
    summary = context.exchange.margin(context.account)
    common = margins(summary)
    return [
        {
            "accountAlias": context.account,
            "asset": summary.asset,
            "balance": common["walletBalance"],
            "crossWalletBalance": common["crossWalletBalance"],
            "crossUnPnl": common["crossUnPnl"],
            "availableBalance": common["availableBalance"],
            "maxWithdrawAmount": common["maxWithdrawAmount"],
            "marginAvailable": True,
            "updateTime": context.time(context.now_ns),
        }
    ]


async def position_risk(context: Context, parameters: Parameters) -> Any:
    """Every market, also without a position, as the second version of the call does."""
    name = parameters.optional_symbol()
    parameters.finish()
    symbols = context.venue.symbols.all() if name is None else [context.symbol(name)]
    return [risk_row(context, symbol) for symbol in symbols]


async def position_risk_held(context: Context, parameters: Parameters) -> Any:
    """Markets with a position alone, as the third version of the call does."""
    rows = await position_risk(context, parameters)
    return [row for row in rows if Decimal(row["positionAmt"])]


def risk_row(context: Context, symbol: Symbol) -> dict[str, Any]:
    [position] = context.exchange.positions(context.account, symbol.market.symbol)
    row = account_position(context, symbol, position)
    liquidation = position.liquidation_ticks
    return {
        "symbol": symbol.name,
        "positionAmt": row["positionAmt"],
        "entryPrice": row["entryPrice"],
        "breakEvenPrice": row["entryPrice"],
        "markPrice": symbol.price(position.mark_ticks),
        "unRealizedProfit": row["unrealizedProfit"],
        "liquidationPrice": symbol.price(liquidation) if liquidation is not None else "0",
        "leverage": row["leverage"],
        "maxNotionalValue": row["maxNotional"],
        "marginType": "cross",
        "isolatedMargin": ZERO,
        "isAutoAddMargin": "false",
        "positionSide": "BOTH",
        "notional": row["notional"],
        "isolatedWallet": "0",
        "marginAsset": symbol.quote,
        "initialMargin": row["initialMargin"],
        "maintMargin": row["maintMargin"],
        "positionInitialMargin": row["positionInitialMargin"],
        "openOrderInitialMargin": row["openOrderInitialMargin"],
        "adl": 0,
        "updateTime": row["updateTime"],
    }


# ---- settings --------------------------------------------------------------------------------------


def set_leverage(watches: Watches) -> Any:
    """The call, which also tells the account's streams."""

    async def call(context: Context, parameters: Parameters) -> Any:
        symbol = context.symbol(parameters.symbol())
        wanted = parameters.whole("leverage")
        parameters.finish()
        if wanted is None:
            raise BinanceError(
                -1102, "Mandatory parameter 'leverage' was not sent, was empty/null, or malformed."
            )
        refused = (
            not 1 <= wanted <= MAX_LEVERAGE
            or await context.exchange.set_leverage(context.account, symbol.market.symbol, Decimal(wanted))
            is not None
        )
        if refused:
            raise BinanceError(-4028, f"Leverage {wanted} is not valid")
        watches.of(context.account).tell(
            "ACCOUNT_CONFIG_UPDATE", leverage_event(symbol.name, wanted, context.exchange.now_ns())
        )
        return {
            "leverage": wanted,
            "maxNotionalValue": f"{configuration(context, symbol).position_limit:f}",
            "symbol": symbol.name,
        }

    return call


async def set_margin_type(context: Context, parameters: Parameters) -> Any:
    context.symbol(parameters.symbol())
    kind = parameters.required("marginType")
    parameters.finish()
    if kind == "CROSSED":
        raise BinanceError(-4046, "No need to change margin type.")
    if kind == "ISOLATED":
        raise not_offered("isolated margin")
    raise invalid_data("marginType")


async def position_mode(context: Context, parameters: Parameters) -> Any:
    parameters.finish()
    return {"dualSidePosition": False}


async def set_position_mode(context: Context, parameters: Parameters) -> Any:
    parameters.required("dualSidePosition")
    dual = parameters.flag("dualSidePosition", False)
    parameters.finish()
    if dual:
        raise not_offered("hedge mode")
    raise BinanceError(-4059, "No need to change position side.")


async def assets_mode(context: Context, parameters: Parameters) -> Any:
    parameters.finish()
    return {"multiAssetsMargin": False}


async def symbol_config(context: Context, parameters: Parameters) -> Any:
    name = parameters.optional_symbol()
    parameters.finish()
    symbols = context.venue.symbols.all() if name is None else [context.symbol(name)]
    return [
        {
            "symbol": symbol.name,
            "marginType": "CROSSED",
            "isAutoAddMargin": False,
            "leverage": int(most_leverage(context, symbol)),
            "maxNotionalValue": f"{configuration(context, symbol).position_limit:f}",
        }
        for symbol in symbols
    ]


async def leverage_brackets(context: Context, parameters: Parameters) -> Any:
    """Steps of what the engine computes for every size: each row holds for the largest position in it."""
    name = parameters.optional_symbol()
    parameters.finish()
    symbols = context.venue.symbols.all() if name is None else [context.symbol(name)]
    return [{"symbol": symbol.name, "brackets": brackets(context, symbol)} for symbol in symbols]


def brackets(context: Context, symbol: Symbol) -> list[dict[str, Any]]:
    """Empty while the market has no mark."""
    limit = configuration(context, symbol).position_limit
    caps = [cap for cap in BRACKETS if cap < limit] + [limit]
    rows: list[dict[str, Any]] = []
    floor, owed, before = Decimal(0), Decimal(0), Decimal(0)
    for number, cap in enumerate(caps, 1):
        try:
            initial, maintenance = context.exchange.views.positions.margin_fractions(
                symbol.market.handle, cap
            )
        except ValueError:
            return rows
        owed += floor * (maintenance - before)
        rows.append(
            {
                "bracket": number,
                "initialLeverage": max(1, int(1 / initial)),
                "notionalCap": int(cap),
                "notionalFloor": int(floor),
                # numbers at the venue; nothing here computes with them
                "maintMarginRatio": float(round(maintenance, 6)),
                "cum": float(round(owed, 2)),
            }
        )
        floor, before = cap, maintenance
    return rows


async def commission_rate(context: Context, parameters: Parameters) -> Any:
    symbol = context.symbol(parameters.symbol())
    parameters.finish()
    maker, taker = context.exchange.fees(context.account, symbol.market.symbol)
    return {
        "symbol": symbol.name,
        "makerCommissionRate": f"{maker / BP:.6f}",
        "takerCommissionRate": f"{taker / BP:.6f}",
    }
