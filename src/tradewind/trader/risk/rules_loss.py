"""Rules of new risk against losses: of the day, of the stage, of the strategy, and the drawdown ladder."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from tradewind.venues.market_data import Known, Side

from .facts import Facts
from .model import ZERO, Code, Denied
from .rules import ceiling

if TYPE_CHECKING:
    from .check import RiskModule


def at_risk(risk: RiskModule, facts: Facts) -> Decimal:
    """What this order may add to a loss: down to its stop, else to the collar, and its fee (T11.5)."""
    order = facts.order
    if order.stop is not None:
        sign = 1 if order.side is Side.BUY else -1
        amount = max(ZERO, (order.price - order.stop) * sign) * order.quantity
    else:
        amount = facts.notional * risk.limits.price_collar_bps / 10_000
    if isinstance(facts.snapshot.fees, Known):
        amount += facts.notional * facts.snapshot.fees.value.taker_rate
    return amount


def daily_loss(risk: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """L14: the loss of the day with this order's own worst case."""
    guard, equity = risk.loss, facts.snapshot.equity
    if not isinstance(equity, Known):
        out.append(Denied(code=Code.DAILY_LOSS, limit="L14.money", detail="equity is not known"))
        return
    limit = guard.limit if guard.is_based(facts.snapshot.now_ns) else None
    if limit is None:
        out.append(Denied(code=Code.DAILY_LOSS, limit="L14.money", detail="no start-of-day mark"))
        return
    loss = guard.loss(equity.value)
    assert loss is not None
    ceiling(out, Code.DAILY_LOSS, "L14.money", max(ZERO, loss) + at_risk(risk, facts), limit)


def total_loss(risk: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """L29: the loss since the stage began with this order's own worst case."""
    bound, equity = risk.limits.total_loss_quote, facts.snapshot.equity
    if bound is None or not isinstance(equity, Known):
        return
    loss = risk.loss.total_loss(equity.value)
    if loss is None:
        out.append(Denied(code=Code.TOTAL_LOSS, limit="L29", bound=bound, detail="no mark of the stage"))
        return
    ceiling(out, Code.TOTAL_LOSS, "L29", max(ZERO, loss) + at_risk(risk, facts), bound)


def drawdown(risk: RiskModule, _: Facts, out: list[Denied]) -> None:
    """L15: from the third step on only reducing orders pass."""
    if risk.loss.step >= 3:
        out.append(Denied(code=Code.DRAWDOWN, limit="L15", given=Decimal(risk.loss.step)))


def strategy_loss(risk: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """L16: the strategy's own loss of the day."""
    limit = risk.loss.strategy_limit
    if limit is None:
        return
    name = facts.order.strategy
    own = risk.loss.strategy_loss(name, facts.snapshot.strategy_pnl.get(name, ZERO))
    ceiling(out, Code.STRATEGY_LOSS, "L16", own, limit)
