"""Rules of new risk that bound exposures at their worst case: all working orders and this one fill (T11.3).

They need a valued account; without one L20 has denied already.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from tradewind.venues.market_data import Known, Side

from .facts import Facts
from .groups import AverageStep
from .model import ZERO, Code, Denied
from .rules import ceiling

if TYPE_CHECKING:
    from .check import RiskModule


def solvent(_: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """L28: without equity there is no new risk."""
    equity = facts.snapshot.equity
    if isinstance(equity, Known) and equity.value <= 0:
        out.append(
            Denied(code=Code.EQUITY_CAP, limit="L28", bound=ZERO, given=equity.value, detail="no equity")
        )


def equity_cap(risk: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """L28: the account holds more than this environment may risk."""
    if facts.equity is not None and risk.limits.equity_cap_quote is not None:
        ceiling(out, Code.EQUITY_CAP, "L28", facts.equity, risk.limits.equity_cap_quote)


def position(risk: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """L05: one symbol, as a part of equity, and in money with the fees of reaching it."""
    if facts.equity is None:
        return
    low, high = facts.worst[facts.order.symbol]
    worst = max(-low, high)
    bound = risk.limits.max_position_notional_pct
    ceiling(out, Code.POSITION_NOTIONAL, "L05.equity", worst / facts.hundredth, bound)
    money = risk.limits.max_position_notional_quote
    if money is not None and isinstance(facts.snapshot.fees, Known):
        rate = facts.snapshot.fees.value.taker_rate
        pending = facts.buys if high >= -low else facts.sells
        cost = worst + pending.get(facts.order.symbol, ZERO) * rate
        ceiling(out, Code.POSITION_NOTIONAL, "L05.money", cost, money, detail="with fees, in quote")


def risk_to_stop(risk: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """L06: what the whole position loses when this order's stop is reached. Without a stop the collar stands
    in for it (T11.5).
    """
    if facts.equity is None:
        return
    order, sign = facts.order, 1 if facts.order.side is Side.BUY else -1
    stop = order.stop
    if stop is None:
        stop = order.price - sign * order.price * risk.limits.price_collar_bps / 10_000
    bound = risk.limits.max_risk_to_stop_bps
    if (order.price - stop) * sign <= 0:
        detail = f"the stop {stop} is on the wrong side of {order.price}"
        out.append(Denied(code=Code.RISK_TO_STOP, limit="L06", bound=bound, detail=detail))
        return
    at_risk = order.quantity * (order.price - stop) * sign
    for other in facts.same_side:
        at_risk += max(ZERO, (other.price - stop) * sign) * other.quantity
    held = facts.position * sign
    if held > 0 and facts.mid is not None:
        at_risk += held * max(ZERO, (facts.mid - stop) * sign)
    ceiling(out, Code.RISK_TO_STOP, "L06", at_risk * 10_000 / facts.equity, bound)


def gross(risk: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """L07."""
    if facts.equity is not None:
        value = facts.totals[0] / facts.hundredth
        ceiling(out, Code.GROSS_EXPOSURE, "L07", value, risk.limits.max_gross_exposure_pct)


def net(risk: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """L08."""
    if facts.equity is not None:
        value = facts.totals[1] / facts.hundredth
        ceiling(out, Code.NET_EXPOSURE, "L08", value, risk.limits.max_net_exposure_pct)


def leverage(risk: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """L22."""
    if facts.equity is not None:
        value = facts.totals[0] / facts.hundredth
        ceiling(out, Code.LEVERAGE, "L22", value, Decimal(risk.limits.max_leverage_x100))


def position_count(risk: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """L09: positions and open orders, at the worst case."""
    bound = Decimal(risk.limits.max_positions_count)
    ceiling(out, Code.POSITION_COUNT, "L09", Decimal(len(facts.symbols)), bound)


def open_orders(risk: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """L10: of the symbol, and of the account."""
    limits = risk.limits
    here, everywhere = Decimal(facts.on_symbol + 1), Decimal(facts.others + 1)
    bound = Decimal(limits.max_open_orders_symbol_count)
    ceiling(out, Code.OPEN_ORDERS, "L10.symbol", here, bound, detail="of the symbol")
    bound = Decimal(limits.max_open_orders_account_count)
    ceiling(out, Code.OPEN_ORDERS, "L10.account", everywhere, bound, detail="of the account")


def cluster(risk: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """L17: symbols that move together count as one; no adds while everything moves together (T11.7)."""
    if facts.equity is None:
        return
    groups = facts.snapshot.groups
    own = groups.cluster_of(facts.order.symbol)
    notional = ZERO
    for symbol, (low, high) in facts.worst.items():
        if groups.cluster_of(symbol) == own:
            notional += max(-low, high)
    bound = risk.limits.max_cluster_exposure_pct
    ceiling(out, Code.CLUSTER_EXPOSURE, "L17", notional / facts.hundredth, bound, detail=own)
    if groups.step is AverageStep.NO_ADDS:
        detail = "the average correlation of all pairs allows no adds"
        out.append(Denied(code=Code.CLUSTER_EXPOSURE, limit="T11.7", detail=detail))


def factor(risk: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """L18: net exposure to BTC, each symbol with its beta."""
    if facts.equity is None:
        return
    groups, lows, highs = facts.snapshot.groups, ZERO, ZERO
    for symbol, (low, high) in facts.worst.items():
        beta = groups.beta(symbol)
        lows += low * beta if beta >= 0 else high * beta
        highs += high * beta if beta >= 0 else low * beta
    value = max(abs(lows), abs(highs)) / facts.hundredth
    ceiling(out, Code.FACTOR_EXPOSURE, "L18", value, risk.limits.max_beta_btc_pct)


def venue_share(risk: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """L25: how much of the equity lies at this venue. An account at one venue only has all of it there."""
    if facts.equity is None:
        return
    here = facts.snapshot.venue_equity.get(facts.order.venue, facts.equity)
    bound = risk.limits.max_venue_equity_pct
    ceiling(out, Code.VENUE_CONCENTRATION, "L25", here / facts.hundredth, bound, detail=facts.order.venue)


def unattended(risk: RiskModule, facts: Facts, out: list[Denied]) -> None:
    """L27: what nobody would cancel or stop at the venue if we fell silent now: working orders without an
    armed timer, and positions whose stop is ours alone.
    """
    if facts.snapshot.attended is None:
        return
    notional = facts.snapshot.synthetic_stops
    if not facts.snapshot.attended:
        notional += sum(facts.buys.values(), ZERO) + sum(facts.sells.values(), ZERO)
    bound = risk.limits.max_unattended_notional_quote
    ceiling(out, Code.UNATTENDED, "L27", notional, bound)
