"""Every limit once: id, profile key, unit, scope, what it is evaluated on, and the code of its denial (T1.6).

`docs/risk.md` is written from this table; profiles state every key of it; no other place defines one.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final, Literal

import msgspec

from .model import Code
from .profile import Account, Limits, SymbolLimits

Loosens = Literal["up", "down", ""]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One limit. `key` is empty for a rule without a number of its own; `loosens`: which way a change allows
    more (a raise in the sense of T11.8).
    """

    id: str
    key: str
    title: str
    unit: str
    scope: str
    source: str
    code: str
    loosens: Loosens = "up"


def _limit(*row: str) -> Entry:
    return msgspec.convert(dict(zip(Entry.__struct_fields__, row, strict=False)), Entry)


LEDGER: Final = "positions and worst case of all working orders"
EQUITY: Final = "marked equity"
# fmt: off
CATALOGUE: Final[tuple[Entry, ...]] = (
    _limit("L01", "max_order_qty_base", "order quantity", "base", "symbol", "order", Code.ORDER_QTY_LIMIT),
           _limit( "L02", "max_order_notional_quote", "order notional", "quote", "account", "order",
           Code.ORDER_NOTIONAL_LIMIT),
    _limit("L03", "", "filters of the venue", "venue", "symbol", "instrument master", "T2.5 codes", ""),
           _limit( "L04", "price_collar_bps", "limit through the middle", "bps", "symbol", "known middle",
           Code.PRICE_COLLAR),
    _limit("L05.equity", "max_position_notional_pct", "position", "% of equity", "symbol", LEDGER,
           Code.POSITION_NOTIONAL),
    _limit("L05.money", "max_position_notional_quote", "position with its fees", "quote", "symbol", LEDGER,
           Code.POSITION_NOTIONAL),
    _limit("L06", "max_risk_to_stop_bps", "loss of a position at its stop", "bps of equity", "symbol",
           f"{LEDGER}, stop of the order or collar", Code.RISK_TO_STOP),
    _limit("L07", "max_gross_exposure_pct", "gross exposure", "% of equity", "account", LEDGER,
           Code.GROSS_EXPOSURE),
    _limit("L08", "max_net_exposure_pct", "net exposure", "% of equity", "account", LEDGER,
           Code.NET_EXPOSURE),
    _limit("L09", "max_positions_count", "positions and symbols with orders", "count", "account", LEDGER,
           Code.POSITION_COUNT),
    _limit("L10.symbol", "max_open_orders_symbol_count", "open orders of a symbol", "count", "symbol",
           "working orders", Code.OPEN_ORDERS),
    _limit("L10.account", "max_open_orders_account_count", "open orders", "count", "account",
           "working orders", Code.OPEN_ORDERS),
    _limit("L11", "max_messages_per_s", "new orders and amends", "1/s", "strategy", "orders that passed",
           Code.MESSAGE_RATE),
    _limit("L12.count", "max_same_order_repeat_count", "the same order again", "count", "strategy",
           "orders that passed", Code.REPEAT_THROTTLE),
    _limit("L12.window", "repeat_window_s", "within", "s", "strategy", "orders that passed",
           Code.REPEAT_THROTTLE, "down"),
    _limit("L13", "", "own opposite order at a crossing price", "price", "account", "working orders",
           Code.SELF_MATCH, ""),
    _limit("L14.equity", "daily_loss_pct", "loss of the UTC day", "% of equity at its start", "account",
           f"{EQUITY}, loss of the order to its stop or collar", Code.DAILY_LOSS),
    _limit("L14.money", "daily_loss_quote", "loss of the UTC day", "quote", "account",
           f"{EQUITY}, loss of the order to its stop or collar", Code.DAILY_LOSS),
    _limit("L15.warn", "drawdown_warn_pct", "drawdown: warning", "% of high water", "account", EQUITY,
           Code.DRAWDOWN),
    _limit("L15.half", "drawdown_half_size_pct", "drawdown: half size", "% of high water", "account",
           EQUITY, Code.DRAWDOWN),
    _limit("L15.reduce", "drawdown_reduce_only_pct", "drawdown: reduce only", "% of high water", "account",
           EQUITY, Code.DRAWDOWN),
    _limit("L15.halt", "drawdown_halt_pct", "drawdown: halt", "% of high water", "account", EQUITY,
           Code.DRAWDOWN),
    _limit("L16", "max_strategy_loss_pct", "loss of a strategy of the UTC day", "% of equity at its start",
           "strategy", "profit and loss of the strategy", Code.STRATEGY_LOSS),
    _limit("L17", "max_cluster_exposure_pct", "symbols that move together", "% of equity", "cluster",
           f"{LEDGER}, clusters of T11.7", Code.CLUSTER_EXPOSURE),
    _limit("L18", "max_beta_btc_pct", "net exposure to BTC", "% of equity", "account",
           f"{LEDGER}, betas of T11.7", Code.FACTOR_EXPOSURE),
    _limit("L19", "max_market_age_ms", "age of the book", "ms", "symbol", "market data", Code.STALE_MARKET),
           _limit( "L20", "max_balance_age_ms", "age of the balances", "ms", "account",
           "last equal comparison", Code.STALE_BALANCE),
    _limit("L21", "", "cost and fee against free money", "asset", "asset", "ledger",
           Code.INSUFFICIENT_FUNDS, ""),
    _limit("L22", "max_leverage_x100", "gross exposure over equity", "1/100", "account", LEDGER,
           Code.LEVERAGE),
    _limit("L23", "max_participation_pct", "an order that takes", "% of 5-minute volume", "symbol",
           "public trades", Code.PARTICIPATION),
    _limit("L24", "max_spread_bps", "spread for taking", "bps", "symbol", "known top of book",
           Code.WIDE_SPREAD),
    _limit("L25", "max_venue_equity_pct", "equity at one venue", "% of equity", "venue",
           "balances of every venue", Code.VENUE_CONCENTRATION),
    _limit("L26", "max_order_age_at_risk_ms", "age of the decision", "ms", "order", "decision and clock",
           Code.DECISION_TOO_OLD),
    _limit("L27", "max_unattended_notional_quote", "nothing at the venue would cancel or stop it", "quote",
           "venue", "working orders without a timer, stops of our own", Code.UNATTENDED),
    _limit("L28", "equity_cap_quote", "equity that may be at risk at all", "quote", "account", EQUITY,
           Code.EQUITY_CAP),
    _limit("L29", "total_loss_quote", "loss since the stage began", "quote", "account", EQUITY,
           Code.TOTAL_LOSS),
    _limit("T11.9", "max_denials_per_minute_count", "denials of one code", "1/min", "strategy", "denials",
           "halts the strategy"),
    _limit("T14.3", "entry_cost_gate", "edge against 1.5 times the cost", "enforce or report", "order",
           "fees of the account, cost model", Code.COST_GATE, ""),
)
"""In the order of T11.3. L29 is the total loss of the readiness criteria, which T11.3 does not number."""
# fmt: on
BY_KEY: Final = {entry.key: entry for entry in CATALOGUE if entry.key}
BY_ID: Final = {entry.id: entry for entry in CATALOGUE}
SUFFIX_UNITS: Final[tuple[tuple[str, str], ...]] = (
    ("_per_minute_count", "1/min"), ("_per_s", "1/s"), ("_pct", "%"), ("_bps", "bps"), ("_quote", "quote"),
    ("_qty_base", "base"), ("_count", "count"), ("_x100", "1/100"), ("_ms", "ms"), ("_s", "s"),
)  # fmt: skip
OTHER_CODES: Final[dict[str, str]] = {
    Code.FEES_UNKNOWN: "the fee schedule of the account is not known",
    Code.UNKNOWN_SYMBOL: "the symbol is not on the list of the profile, or the venue does not have it",
    Code.STATE_REDUCE_ONLY: "the trading state lets only orders pass that reduce",
    Code.STATE_HALTED: "the trading state lets nothing pass but the slices of a flatten",
    Code.OWN_POSITION: "a strategy sells more than it holds by itself, its working sales counted",
    Code.STRATEGY_BUDGET: "a strategy would use more than its part of the equity (`budget_pct`)",
    Code.UNRESOLVED_ORDER: "an order of this strategy and symbol is in doubt",
    Code.COOL_DOWN: "three stop-outs in a row: no new risk for 30 minutes",
    Code.REENTRY: "the same symbol and side within 60 seconds of a stop",
    Code.AMEND_THROTTLE: "more than five changes of one order within 60 seconds",
    Code.SIZE_AFTER_LOSS: "over 1.5 times the usual size within 10 minutes of a loss",
    Code.OVERRIDE_LIMIT: "more than two overrides of this UTC day: a second person is needed",
    Code.RISK_INTERNAL: "an error inside the risk module; the account is halted",
}


def entry_of(limit: str, code: str = "") -> Entry | None:
    """The entry that a denial names (`L10` is the first of the parts that fit)."""
    if limit in BY_ID:
        return BY_ID[limit]
    parts = [entry for entry in CATALOGUE if entry.id.partition(".")[0] == limit]
    return next((entry for entry in parts if entry.code == code), parts[0] if parts else None)


def stated_keys() -> set[str]:
    """Keys that a profile has to state in `limits` and its symbols."""
    fields = {name for kind in (Limits, SymbolLimits) for name in kind.__struct_fields__}
    return fields - {"symbols"}


def account_keys() -> set[str]:
    """Keys of a profile's `account`."""
    return set(Account.__struct_fields__)


def unit_of(key: str) -> str:
    """The unit that a key's own name says; empty when it says none."""
    return next((unit for suffix, unit in SUFFIX_UNITS if key.endswith(suffix)), "")


def value_of(limits: Limits, key: str, symbol: str | None = None) -> Any:
    """A limit's value; the word "none" where there is none. `symbol` for limits of a symbol's table."""
    if key in SymbolLimits.__struct_fields__:
        return None if symbol is None else getattr(limits.symbols[symbol], key)
    value = getattr(limits, key)
    return "none" if value is None else value


def is_looser(key: str, before: Any, after: Any) -> bool:
    """Whether `after` allows more than `before`: a raise in the sense of T11.8. "none" allows everything;
    a mode is looser when it is not `enforce`.
    """
    if before == after:
        return False
    if "none" in (before, after):
        return bool(after == "none")
    if key == "entry_cost_gate":
        return bool(after != "enforce")
    up = BY_KEY[key].loosens == "up"
    return bool(Decimal(after) > Decimal(before)) == up
