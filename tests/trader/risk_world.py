"""Orders, snapshots and limits for tests of risk: room everywhere but where a test wants it tight."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from paper_world import SYMBOL, instrument

from tradewind.trader.records import DayBase
from tradewind.trader.risk.check import Denied, Order, RiskModule, Snapshot, Top, Working
from tradewind.trader.risk.check import Path as RiskPath
from tradewind.trader.risk.loss import LossGuard, utc_day
from tradewind.trader.risk.profile import Limits, Profile, SymbolLimits, load_profile
from tradewind.trader.risk.state import TradingState
from tradewind.venues.market_data import Known, Side
from tradewind.venues.paper.filters import Rules
from tradewind.venues.paper.schedule import load_schedule

D = Decimal
NOW = 1_723_161_600 * 10**9
MS = 1_000_000
OTHER = "ETH/USDT"
PROFILE = load_profile("paper")
WIDE = msgspec.structs.replace(
    instrument(tick="0.01", lot="0.0001"), min_notional=None, min_quantity=D("0.0001"), max_notional=None
)
ROOM: dict[str, object] = {
    "max_order_notional_quote": D(10**9),
    "price_collar_bps": D(9_000),
    "max_position_notional_pct": D(10**6),
    "max_risk_to_stop_bps": D(10**8),
    "max_gross_exposure_pct": D(10**6),
    "max_net_exposure_pct": D(10**6),
    "max_cluster_exposure_pct": D(10**6),
    "max_beta_btc_pct": D(10**6),
    "max_unattended_notional_quote": D(10**9),
    "max_participation_pct": D(10**6),
    "max_leverage_x100": 10**8,
    "daily_loss_pct": D(10**6),
    "symbols": {name: SymbolLimits(max_order_qty_base=D(10**6)) for name in (SYMBOL, OTHER)},
}


def limits(**changes: object) -> Profile:
    """The paper profile with room everywhere but where the test wants it tight."""
    changed: Limits = msgspec.structs.replace(PROFILE.limits, **{**ROOM, **changes})
    return msgspec.structs.replace(PROFILE, limits=changed)


def order(**changes: object) -> Order:
    fields: dict[str, object] = {
        "strategy": "s",
        "path": RiskPath.STRATEGY,
        "symbol": SYMBOL,
        "base": "BTC",
        "quote": "USDT",
        "side": Side.BUY,
        "post_only": True,
        "price": D(50_000),
        "quantity": D("0.01"),
        "decision_ns": NOW,
        "venue": "v",
    }
    return Order(**{**fields, **changes})  # type: ignore[arg-type]


def top(bid: str = "49999", ask: str = "50001", at_ns: int = NOW) -> Known[Top]:
    return Known(Top(D(bid), D(ask)), at_ns, "t")


def snapshot(**changes: object) -> Snapshot:
    fields: dict[str, object] = {
        "now_ns": NOW,
        "rules": {SYMBOL: Rules(instrument=WIDE), OTHER: Rules(instrument=WIDE)},
        "tops": {SYMBOL: top()},
        "equity": Known(D(10_000), NOW, "t"),
        "balances_as_of_ns": NOW,
        "available": {"USDT": D(10**9), "BTC": D(10**6)},
        "positions": {SYMBOL: D(0)},
        "working": [],
        "fees": Known(load_schedule("binance-spot-vip0"), NOW, "t"),
        "state": TradingState.NORMAL,
        "strategy_pnl": {"s": D(0)},
        "volumes": {SYMBOL: Known(D(10**6), NOW, "t")},
        "attended": True,
    }
    return Snapshot(**{**fields, **changes})  # type: ignore[arg-type]


def fresh(moment: int, **changes: object) -> Snapshot:
    """A snapshot of a later moment in which everything is as young."""
    return snapshot(now_ns=moment, tops={SYMBOL: top(at_ns=moment)}, balances_as_of_ns=moment, **changes)


def guard(profile: Profile, equity: str = "10000") -> LossGuard:
    loss = LossGuard(profile.limits)
    loss.apply(DayBase(day=utc_day(NOW), equity=D(equity), strategy_pnl={"s": D(0)}, at_ns=NOW))
    return loss


def module(profile: Profile) -> RiskModule:
    return RiskModule(profile.limits, guard(profile))


def denied(profile: Profile, one: Order, view: Snapshot) -> list[Denied]:
    return module(profile).check(one, view)


def codes(profile: Profile, one: Order, view: Snapshot) -> set[str]:
    return {denial.code for denial in denied(profile, one, view)}


def working(side: Side, price: str, quantity: str, name: str = "w", symbol: str = SYMBOL) -> Working:
    return Working(
        client_id=name, symbol=symbol, side=side, price=D(price), quantity=D(quantity), strategy="s"
    )
