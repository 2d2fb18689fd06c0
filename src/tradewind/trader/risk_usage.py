"""How full every limit is now, for `tradewind risk limits`. Unknown is None, never zero."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tradewind.venues.market_data import Known

from .risk.catalogue import CATALOGUE, value_of
from .risk.facts import worst_exposures
from .risk.model import MS_NS, ZERO, Snapshot
from .risk.profile import SymbolLimits

if TYPE_CHECKING:
    from .service import TraderService

PLACES = Decimal("0.000001")


def limits_now(trader: TraderService) -> list[dict[str, Any]]:
    """Every limit with its bound, what is used of it now, unit, scope and source."""
    snapshot = trader.snapshot_for_risk()
    used = {**_counted(trader, snapshot), **_exposed(trader, snapshot), **_lost(trader, snapshot)}
    rows = []
    for entry in CATALOGUE:
        rows.append(
            {
                "id": entry.id,
                "key": entry.key,
                "limit": _bound(trader, entry.key),
                "used": _text(used.get(entry.id)),
                "unit": entry.unit,
                "scope": entry.scope,
                "source": entry.source,
                "code": entry.code,
                "waits": _waiting(trader, entry.key),
            }
        )
    return rows


def _bound(trader: TraderService, key: str) -> str | None:
    if not key:
        return None
    limits = trader.risk.limits
    if key in SymbolLimits.__struct_fields__:
        return ", ".join(f"{value_of(limits, key, symbol)} {symbol}" for symbol in limits.symbols)
    return str(value_of(limits, key))


def _waiting(trader: TraderService, key: str) -> str | None:
    change = trader.risk_desk.book.waiting.get(key)
    return None if change is None else f"{change.after} asked by {change.actor} and {change.second}"


def _text(value: Decimal | None) -> str | None:
    if value is None:
        return None
    short = value.quantize(PLACES) if value != value.to_integral_value() else value.quantize(Decimal(1))
    return format(short.normalize() if short % 1 else short, "f")


def _counted(trader: TraderService, snapshot: Snapshot) -> dict[str, Decimal | None]:
    by_symbol = Counter(order.symbol for order in snapshot.working)
    held = {symbol for symbol, quantity in snapshot.positions.items() if quantity}
    tops = [top for top in snapshot.tops.values() if isinstance(top, Known)]
    ages = [Decimal(snapshot.now_ns - top.as_of_ns) / MS_NS for top in tops]
    as_of_ns = snapshot.balances_as_of_ns
    notional = sum((order.price * order.quantity for order in snapshot.working), ZERO)
    return {
        "L09": Decimal(len(held | set(by_symbol))),
        "L10.symbol": Decimal(max(by_symbol.values(), default=0)),
        "L10.account": Decimal(len(snapshot.working)),
        "L19": max(ages, default=None),
        "L20": None if as_of_ns is None else Decimal(snapshot.now_ns - as_of_ns) / MS_NS,
        "L24": max((top.value.spread_bps for top in tops), default=None),
        "L27": snapshot.synthetic_stops + (ZERO if snapshot.attended else notional),
    }


def _exposed(trader: TraderService, snapshot: Snapshot) -> dict[str, Decimal | None]:
    equity = snapshot.equity.value if isinstance(snapshot.equity, Known) else None
    if equity is None or equity <= 0:
        return {}
    try:
        worst = worst_exposures(None, snapshot)
    except ValueError:
        return {"L28": equity}
    sizes = {symbol: max(-low, high) for symbol, (low, high) in worst.items()}
    gross = sum(sizes.values(), ZERO)
    lows, highs = (sum((bounds[side] for bounds in worst.values()), ZERO) for side in (0, 1))
    clusters: dict[str, Decimal] = {}
    factor = [ZERO, ZERO]
    for symbol, (low, high) in worst.items():
        name, beta = snapshot.groups.cluster_of(symbol), snapshot.groups.beta(symbol)
        clusters[name] = clusters.get(name, ZERO) + sizes[symbol]
        factor[0] += (low if beta >= 0 else high) * beta
        factor[1] += (high if beta >= 0 else low) * beta
    largest = max(sizes.values(), default=ZERO)
    part = equity / 100
    return {
        "L05.equity": largest / part,
        "L05.money": largest,
        "L07": gross / part,
        "L08": max(abs(lows), abs(highs)) / part,
        "L17": max(clusters.values(), default=ZERO) / part,
        "L18": max(abs(factor[0]), abs(factor[1])) / part,
        "L22": gross / part,
        "L25": Decimal(100),
        "L28": equity,
    }


def _lost(trader: TraderService, snapshot: Snapshot) -> dict[str, Decimal | None]:
    guard = trader.loss
    if not isinstance(snapshot.equity, Known):
        return {}
    equity = snapshot.equity.value
    day, total = guard.loss(equity), guard.total_loss(equity)
    found: dict[str, Decimal | None] = {
        "L14.money": None if day is None else max(ZERO, day),
        "L29": None if total is None else max(ZERO, total),
    }
    if guard.base is not None and guard.base.equity > 0:
        part = guard.base.equity / 100
        found["L14.equity"] = max(ZERO, day or ZERO) / part
        losses = [guard.strategy_loss(name, pnl) for name, pnl in snapshot.strategy_pnl.items()]
        found["L16"] = max([ZERO, *losses]) / part
    if guard.high_water:
        drawdown = max(ZERO, (guard.high_water - equity) * 100 / guard.high_water)
        found |= {f"L15.{name}": drawdown for name in ("warn", "half", "reduce", "halt")}
    return found
