"""Rules that every order passes: filters, state, its own size and price, funds, pace (T11.3).

A rule appends what is violated to `out`. Ceilings pass when value <= limit (T11.2).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

from tradewind.venues.market_data import Known, Side
from tradewind.venues.paper.filters import OrderContext, check_values

from ..ledger import buy_reservation
from .facts import Facts
from .model import MS_NS, ZERO, Code, Denied, Path
from .state import TradingState

if TYPE_CHECKING:
    from .check import RiskModule

Rule = Callable[["RiskModule", Facts, list[Denied]], None]


def ceiling(
    out: list[Denied], code: Code, limit: str, value: Decimal, bound: Decimal, *, detail: str = ""
) -> None:
    """Denies a value above its bound."""
    if value > bound:
        out.append(Denied(code=code, limit=limit, bound=bound, given=value, detail=detail))


def filters(_: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """L03: what the venue itself would refuse."""
    order = facts.order
    failures = check_values(
        facts.snapshot.rules[order.symbol],
        order.side,
        order.order_type,
        order.time_in_force,
        price=order.price,
        quantity=order.quantity,
        context=OrderContext(reference_price=facts.mid, open_orders=facts.on_symbol, position=facts.position),
    )
    for failure in failures:
        out.append(
            Denied(
                code=failure.code,
                limit="L03",
                bound=Decimal(failure.bound) if failure.bound is not None else None,
                given=failure.given if isinstance(failure.given, Decimal) else None,
                detail=f"nearest {failure.nearest_below} and {failure.nearest_above}",
            )
        )


def state(_: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """T11.4: what the trading state forbids."""
    level = facts.snapshot.state
    if level is TradingState.NORMAL:
        return
    if level is TradingState.HALTED:
        if not (facts.order.path is Path.FLATTEN and facts.reduces):
            out.append(Denied(code=Code.STATE_HALTED, limit="T11.4"))
    elif not facts.reduces:
        out.append(Denied(code=Code.STATE_REDUCE_ONLY, limit="T11.4"))


def order_quantity(risk: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """L01."""
    bound = risk.limits.symbols[facts.order.symbol].max_order_qty_base
    ceiling(out, Code.ORDER_QTY_LIMIT, "L01", facts.order.quantity, bound)


def order_notional(risk: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """L02."""
    ceiling(out, Code.ORDER_NOTIONAL_LIMIT, "L02", facts.notional, risk.limits.max_order_notional_quote)


def collar(risk: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """L04: a limit through the market by more than the collar from the middle. Passive prices are not
    collared.
    """
    if facts.mid is None:
        return
    order, mid = facts.order, facts.mid
    through = order.price - mid if order.side is Side.BUY else mid - order.price
    if through > 0:
        ceiling(out, Code.PRICE_COLLAR, "L04", through * 10_000 / mid, risk.limits.price_collar_bps)


def self_match(_: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """L13: an own opposite working order at a crossing price."""
    other = facts.crossing
    if other is not None:
        out.append(
            Denied(
                code=Code.SELF_MATCH,
                limit="L13",
                bound=other.price,
                given=facts.order.price,
                detail=other.client_id,
            )
        )


def funds(_: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """L21: available money covers price and fee, or the position covers the sale."""
    order, snapshot = facts.order, facts.snapshot
    if not isinstance(snapshot.fees, Known):
        out.append(Denied(code=Code.FEES_UNKNOWN, limit="T14.3", detail=snapshot.fees.reason))
        return
    if order.side is Side.BUY:
        need = buy_reservation(order.quantity, order.price, snapshot.fees.value.taker_rate)
        asset = order.quote
    else:
        need, asset = order.quantity, order.base
    room = snapshot.available.get(asset, ZERO) + snapshot.held_by_replaced
    ceiling(out, Code.INSUFFICIENT_FUNDS, "L21", need, room)


def message_rate(risk: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """L11, and a quarter of it for new risk after too many quick cancels (T11.8)."""
    order, now_ns = facts.order, facts.snapshot.now_ns
    bound = Decimal(risk.limits.max_messages_per_s)
    if not facts.reduces:
        bound *= risk.behaviour.message_share(order.strategy, now_ns)
    given = Decimal(risk.recent.messages(order.strategy, now_ns) + 1)
    ceiling(out, Code.MESSAGE_RATE, "L11", given, bound)


def repeat(risk: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """L12: the same side, price and quantity again and again."""
    order = facts.order
    if order.replaces is not None:
        return
    same = risk.recent.same(order, facts.snapshot.now_ns, risk.limits.repeat_window_s)
    bound = Decimal(risk.limits.max_same_order_repeat_count)
    ceiling(out, Code.REPEAT_THROTTLE, "L12.count", Decimal(same + 1), bound)


def age(risk: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """L26: from the decision to here."""
    age_ms = Decimal(facts.snapshot.now_ns - facts.order.decision_ns) / MS_NS
    bound = Decimal(risk.limits.max_order_age_at_risk_ms)
    if age_ms < 0:
        out.append(
            Denied(code=Code.DECISION_TOO_OLD, limit="L26", bound=bound, given=age_ms, detail="in the future")
        )
    ceiling(out, Code.DECISION_TOO_OLD, "L26", age_ms, bound)
