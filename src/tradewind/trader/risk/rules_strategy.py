"""What one of several strategies of an account may do: sell what is its own, and stay within its budget.

They hold for hosted strategies and their algorithms; operators and the emergency path act for the account.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tradewind.venues.market_data import Known, Side

from .facts import Facts
from .model import ZERO, Code, Denied, Path
from .rules import ceiling

if TYPE_CHECKING:
    from .check import RiskModule

_ITS_OWN = (Path.STRATEGY, Path.ALGORITHM)


def own_position(_: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """A strategy sells at most what it holds, all of its working sales counted."""
    order, own = facts.order, facts.snapshot.own
    if own is None or order.side is not Side.SELL or order.path not in _ITS_OWN:
        return
    pending = sum((one.quantity for one in facts.same_side if one.strategy == order.strategy), ZERO)
    held = own.held.get(order.symbol, ZERO)
    ceiling(out, Code.OWN_POSITION, "T14.1", order.quantity + pending, held)


def budget(_: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """A strategy uses at most its part of the equity: what it holds and what its working buys may add."""
    order, snapshot = facts.order, facts.snapshot
    own = snapshot.own
    if own is None or order.path not in _ITS_OWN or facts.equity is None:
        return
    used = facts.notional if order.side is Side.BUY else ZERO
    for symbol, quantity in own.held.items():
        if quantity:
            top = snapshot.tops.get(symbol)
            if not isinstance(top, Known):
                out.append(Denied(code=Code.STALE_MARKET, limit="L19", detail=f"{symbol} cannot be valued"))
                return
            used += quantity * top.value.mid
    for other in snapshot.working:
        if other.side is Side.BUY and other.strategy == order.strategy and other.client_id != order.replaces:
            used += other.price * other.quantity
    ceiling(out, Code.STRATEGY_BUDGET, "T12.1", used / facts.hundredth, own.budget_pct)
