"""Rules of new risk that look at the market and at what is known of it (T11.3, T14.3)."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from tradewind.venues.market_data import Known, Side

from .facts import Facts
from .model import MS_NS, Code, Denied
from .rules import ceiling

if TYPE_CHECKING:
    from .check import RiskModule


def market_known(risk: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """L19: the book is live and young enough."""
    top = facts.snapshot.tops.get(facts.order.symbol)
    if not isinstance(top, Known):
        out.append(Denied(code=Code.STALE_MARKET, limit="L19", detail=repr(top)))
        return
    age_ms = Decimal(facts.snapshot.now_ns - top.as_of_ns) / MS_NS
    ceiling(out, Code.STALE_MARKET, "L19", age_ms, Decimal(risk.limits.max_market_age_ms))


def balance_known(risk: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """L20: the balances are known and young enough, and the account can be valued."""
    snapshot = facts.snapshot
    if snapshot.balances_as_of_ns is None:
        out.append(Denied(code=Code.STALE_BALANCE, limit="L20", detail="no balance was ever read"))
    else:
        age_ms = Decimal(snapshot.now_ns - snapshot.balances_as_of_ns) / MS_NS
        ceiling(out, Code.STALE_BALANCE, "L20", age_ms, Decimal(risk.limits.max_balance_age_ms))
    if not isinstance(snapshot.equity, Known):
        out.append(Denied(code=Code.STALE_BALANCE, limit="L20", detail="equity is not known"))


def spread(risk: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """L24: taking across a wide spread."""
    if facts.top is not None and _takes(facts):
        ceiling(out, Code.WIDE_SPREAD, "L24", facts.top.spread_bps, risk.limits.max_spread_bps)


def participation(risk: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """L23: an order that takes, against the public volume of five minutes. A resting order takes no part in
    the volume until somebody trades with it.
    """
    if facts.snapshot.volumes is None or not _takes(facts):
        return
    volume = facts.snapshot.volumes.get(facts.order.symbol)
    bound = risk.limits.max_participation_pct
    if not isinstance(volume, Known):
        reason = "no public trades are read" if volume is None else volume.reason
        out.append(Denied(code=Code.PARTICIPATION, limit="L23", bound=bound, detail=reason))
        return
    room = volume.value * bound / 100
    if facts.order.quantity > room:
        given = facts.order.quantity * 100 / volume.value if volume.value else None
        detail = f"at most {room} of {volume.value}"
        out.append(Denied(code=Code.PARTICIPATION, limit="L23", bound=bound, given=given, detail=detail))


def unresolved(_: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """T7.6: no more risk of this strategy and symbol while one of its orders is in doubt."""
    other = facts.unresolved
    if other is not None:
        out.append(Denied(code=Code.UNRESOLVED_ORDER, limit="T7.6", detail=other.client_id))


def cost_gate(risk: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """T14.3: an entry that says what it expects to earn must earn more than it costs. In the mode `report` it
    is only counted.
    """
    if facts.order.edge_bps is None or risk.cost_gate is None:
        return
    need_bps = risk.cost_gate(facts.order, facts.snapshot)
    if isinstance(need_bps, str):
        denied = Denied(code=Code.COST_GATE, limit="T14.3", given=facts.order.edge_bps, detail=need_bps)
    elif facts.order.edge_bps < need_bps:
        denied = Denied(code=Code.COST_GATE, limit="T14.3", bound=need_bps, given=facts.order.edge_bps)
    else:
        return
    if risk.limits.entry_cost_gate == "enforce":
        out.append(denied)
    else:
        risk.reported[Code.COST_GATE] += 1


def behaviour(risk: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """T11.8: what the order patterns of this strategy or operator have led to."""
    risk.behaviour.check(facts.order, facts.notional, facts.snapshot.now_ns, out)


def _takes(facts: Facts) -> bool:
    order, top = facts.order, facts.top
    if order.post_only:
        return False
    if top is None:
        return True
    return order.price >= top.ask if order.side is Side.BUY else order.price <= top.bid
