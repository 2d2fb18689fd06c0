"""Every limit of T11.3 just under, at and just over its bound, on the real module (V18, and a probe).

Each case tightens one limit and leaves room everywhere else, so that only this limit can answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from tradewind.trader.records import DayBase
from tradewind.trader.risk.check import Order, Path, RiskModule, Snapshot, Top, Working
from tradewind.trader.risk.groups import Groups
from tradewind.trader.risk.loss import LossGuard, utc_day
from tradewind.trader.risk.profile import Limits, SymbolLimits
from tradewind.trader.risk.records import StageStart
from tradewind.trader.risk.state import TradingState
from tradewind.venues.market_data import Instrument, Known, Side
from tradewind.venues.paper.filters import Rules
from tradewind.venues.paper.schedule import load_schedule

SYMBOL: Final = "BTC/USDT"
OTHER: Final = "ETH/USDT"
SOURCE: Final = "limit cases"
MS_NS: Final = 1_000_000
EDGE_NEEDED: Final = Decimal(30)
NAMES: Final = ("under", "equal", "over")
D = Decimal
Pair = tuple[Order, Snapshot]
ROOM: Final[dict[str, Any]] = {
    "max_order_notional_quote": D(10**9), "price_collar_bps": D(9_000),
    "max_position_notional_pct": D(10**6), "max_position_notional_quote": None,
    "max_risk_to_stop_bps": D(10**8), "max_gross_exposure_pct": D(10**6), "max_net_exposure_pct": D(10**6),
    "max_positions_count": 100, "max_open_orders_symbol_count": 1_000,
    "max_open_orders_account_count": 1_000, "max_messages_per_s": 1_000,
    "max_same_order_repeat_count": 1_000, "repeat_window_s": 10, "daily_loss_pct": D(10**6),
    "daily_loss_quote": None, "max_strategy_loss_pct": D(10**6), "max_cluster_exposure_pct": D(10**6),
    "max_beta_btc_pct": D(10**6), "max_leverage_x100": 10**8, "max_participation_pct": D(10**6),
    "max_spread_bps": D(10**6), "max_venue_equity_pct": D(10**6), "max_order_age_at_risk_ms": 60_000,
    "max_unattended_notional_quote": D(10**9), "max_market_age_ms": 60_000, "max_balance_age_ms": 60_000,
    "max_denials_per_minute_count": 20, "equity_cap_quote": None, "total_loss_quote": None,
    "entry_cost_gate": "enforce",
    "symbols": {name: SymbolLimits(max_order_qty_base=D(10**6)) for name in (SYMBOL, OTHER)},
}  # fmt: skip


def _instrument() -> Instrument:
    return Instrument(
        venue=SOURCE, symbol=SYMBOL, venue_symbol="BTCUSDT", base="BTC", quote="USDT", tick=D("0.01"),
        lot=D("0.0001"), min_quantity=D("0.0001"), max_quantity=None, min_notional=None, max_notional=None,
        price_decimals=2, quantity_decimals=4, source=SOURCE,
    )  # fmt: skip


class Bench:
    """One moment of a real clock with an account of 10,000 and a market at 50,000."""

    def __init__(self, base: Limits) -> None:
        self.base = base
        self.now_ns = time.time_ns()
        self.rules = {name: Rules(instrument=_instrument()) for name in (SYMBOL, OTHER)}
        self.fees = Known(load_schedule("binance-spot-vip0"), self.now_ns, SOURCE)

    def top(self, bid: str = "49999", ask: str = "50001", age_ms: int = 0) -> Known[Top]:
        """Top of the book, so many milliseconds old."""
        return Known(Top(D(bid), D(ask)), self.now_ns - age_ms * MS_NS, SOURCE)

    def order(self, **changes: Any) -> Order:
        """A resting buy of 500."""
        fields: dict[str, Any] = {
            "strategy": "s", "path": Path.STRATEGY, "symbol": SYMBOL, "base": "BTC", "quote": "USDT",
            "side": Side.BUY, "post_only": True, "price": D(50_000), "quantity": D("0.01"),
            "decision_ns": self.now_ns, "venue": "v",
        }  # fmt: skip
        return Order(**{**fields, **changes})

    def snapshot(self, **changes: Any) -> Snapshot:
        """An account without a position."""
        fields: dict[str, Any] = {
            "now_ns": self.now_ns, "rules": self.rules, "tops": {SYMBOL: self.top()},
            "equity": Known(D(10_000), self.now_ns, SOURCE), "balances_as_of_ns": self.now_ns,
            "available": {"USDT": D(10**9), "BTC": D(10**6)}, "positions": {}, "working": [],
            "fees": self.fees, "state": TradingState.NORMAL, "strategy_pnl": {"s": D(0)},
            "volumes": {SYMBOL: Known(D(10**6), self.now_ns, SOURCE)}, "attended": True,
        }  # fmt: skip
        return Snapshot(**{**fields, **changes})

    def module(self, **tight: Any) -> RiskModule:
        """The module with room everywhere but here; the day and the stage began with 10,000."""
        limits = msgspec.structs.replace(self.base, **{**ROOM, **tight})
        loss = LossGuard(limits)
        day = utc_day(self.now_ns)
        loss.apply(DayBase(day=day, equity=D(10_000), strategy_pnl={"s": D(0)}, at_ns=self.now_ns))
        loss.apply(StageStart(stage=SOURCE, equity=D(10_000), at_ns=self.now_ns))
        return RiskModule(limits, loss, cost_gate=lambda _order, _snapshot: EDGE_NEEDED)

    def working(self, count: int, symbol: str = SYMBOL, **changes: Any) -> list[Working]:
        """So many small resting buys."""
        fields: dict[str, Any] = {
            "symbol": symbol,
            "side": Side.BUY,
            "price": D(40_000),
            "quantity": D("0.001"),
        }
        return [Working(client_id=f"{symbol}{number}", **{**fields, **changes}) for number in range(count)]

    # ---- shapes of cases ---------------------------------------------------------------------------

    def lots(self, value: str) -> Pair:
        return self.order(quantity=D(value)), self.snapshot()

    def equity(self, value: str) -> Pair:
        return self.order(), self.snapshot(equity=Known(D(value), self.now_ns, SOURCE))

    def beside(self, notional: str) -> Pair:
        groups = Groups(clusters={SYMBOL: "majors", OTHER: "majors"}, betas={OTHER: D("0.5")})
        tops = {SYMBOL: self.top(), OTHER: self.top("1", "1")}
        return self.order(), self.snapshot(positions={OTHER: D(notional)}, tops=tops, groups=groups)

    def positions(self, count: str) -> Pair:
        names = [f"P{number}/USDT" for number in range(int(count))]
        tops = {SYMBOL: self.top(), **dict.fromkeys(names, self.top("1", "1"))}
        return self.order(), self.snapshot(positions=dict.fromkeys(names, D(1)), tops=tops)

    def least(self, quantity: str) -> dict[str, Rules]:
        return {SYMBOL: Rules(instrument=msgspec.structs.replace(_instrument(), min_quantity=D(quantity)))}

    def spread(self, half: str) -> Pair:
        bid, ask = D(50_000) - D(half), D(50_000) + D(half)
        top = {SYMBOL: self.top(str(bid), str(ask))}
        return self.order(post_only=False, price=ask), self.snapshot(tops=top)

    def volume(self, base: str) -> Pair:
        volumes = {SYMBOL: Known(D(base), self.now_ns, SOURCE)}
        return self.order(post_only=False, price=D(50_001)), self.snapshot(volumes=volumes)


class LimitCase(msgspec.Struct, frozen=True):
    """One limit: id, code of its denial, what is tight, and the orders under, at and over its bound."""

    limit: str
    code: str
    tight: dict[str, Any]
    values: tuple[str, str, str]
    make: Callable[[str], Pair]


def cases(bench: Bench) -> Sequence[LimitCase]:
    """Limits whose bound is a number that one order meets."""
    order, view, lots = bench.order, bench.snapshot, ("0.0099", "0.01", "0.0101")
    quantity = {"symbols": {SYMBOL: SymbolLimits(max_order_qty_base=D("0.01"))}}
    at_risk = ("9810.500001", "9810.5", "9810.499999")
    collar = {"price_collar_bps": D(200)}
    rows: list[tuple[str, str, dict[str, Any], tuple[str, str, str], Callable[[str], Pair]]] = [
        ("L01", "OrderQtyLimit", quantity, lots, bench.lots),
        ("L02", "OrderNotionalLimit", {"max_order_notional_quote": D(500)}, lots, bench.lots),
        ("L03", "BelowMinQty", {}, ("0.0099", "0.01", "0.0101"),
         lambda v: (order(), view(rules=bench.least(v)))),
        ("L04", "PriceCollar", collar, ("50999.99", "51000", "51000.01"),
         lambda v: (order(price=D(v)), view())),
        ("L05.equity", "PositionNotional", {"max_position_notional_pct": D(5)}, lots, bench.lots),
        ("L05.money", "PositionNotional", {"max_position_notional_quote": D("500.5")}, lots, bench.lots),
        ("L06", "RiskToStop", {"max_risk_to_stop_bps": D(10)}, ("49000.01", "49000", "48999.99"),
         lambda v: (order(stop=D(v)), view())),
        ("L07", "GrossExposure", {"max_gross_exposure_pct": D(5)}, lots, bench.lots),
        ("L08", "NetExposure", {"max_net_exposure_pct": D(5)}, lots, bench.lots),
        ("L09", "PositionCount", {"max_positions_count": 5}, ("3", "4", "5"), bench.positions),
        ("L10.symbol", "OpenOrders", {"max_open_orders_symbol_count": 3}, ("1", "2", "3"),
         lambda v: (order(), view(working=bench.working(int(v))))),
        ("L10.account", "OpenOrders", {"max_open_orders_account_count": 3}, ("1", "2", "3"),
         lambda v: (order(), view(working=bench.working(int(v), OTHER)))),
        ("L13", "SelfMatch", {}, ("49999.99", "49999.995", "50000"),
         lambda v: (order(price=D(v).quantize(D("0.01"), rounding="ROUND_FLOOR")),
                    view(working=bench.working(1, side=Side.SELL, price=D(50_000))))),
        ("L14.equity", "DailyLoss", {"daily_loss_pct": D(2), **collar}, at_risk, bench.equity),
        ("L14.money", "DailyLoss", {"daily_loss_quote": D(200), **collar}, at_risk, bench.equity),
        ("L16", "StrategyLoss", {"max_strategy_loss_pct": D(1)}, ("-99.999999", "-100", "-100.000001"),
         lambda v: (order(), view(strategy_pnl={"s": D(v)}))),
        ("L17", "ClusterExposure", {"max_cluster_exposure_pct": D(20)}, ("1499.99", "1500", "1500.01"),
         bench.beside),
        ("L18", "FactorExposure", {"max_beta_btc_pct": D(40)}, ("6999.99", "7000", "7000.01"), bench.beside),
        ("L19", "StaleMarket", {"max_market_age_ms": 2_000}, ("1999", "2000", "2001"),
         lambda v: (order(), view(tops={SYMBOL: bench.top(age_ms=int(v))}))),
        ("L20", "StaleBalance", {"max_balance_age_ms": 2_000}, ("1999", "2000", "2001"),
         lambda v: (order(), view(balances_as_of_ns=bench.now_ns - int(v) * MS_NS))),
        ("L21", "InsufficientFunds", {}, ("500.500001", "500.5", "500.499999"),
         lambda v: (order(), view(available={"USDT": D(v)}))),
        ("L22", "Leverage", {"max_leverage_x100": 5}, lots, bench.lots),
        ("L23", "Participation", {"max_participation_pct": D(10)}, ("0.1001", "0.1", "0.0999"), bench.volume),
        ("L24", "WideSpread", {"max_spread_bps": D(50)}, ("124.99", "125", "125.01"), bench.spread),
        ("L25", "VenueConcentration", {"max_venue_equity_pct": D(60)}, ("5999.99", "6000", "6000.01"),
         lambda v: (order(), view(venue_equity={"v": D(v)}))),
        ("L26", "DecisionTooOld", {"max_order_age_at_risk_ms": 1_000},
         ("999000000", "1000000000", "1000000001"),
         lambda v: (order(decision_ns=bench.now_ns - int(v)), view())),
        ("L27", "Unattended", {"max_unattended_notional_quote": D(500)}, lots,
         lambda v: (order(quantity=D(v)), view(attended=False))),
        ("L28", "EquityCap", {"equity_cap_quote": D(10_000)}, ("9999.999999", "10000", "10000.000001"),
         bench.equity),
        ("L29", "TotalLoss", {"total_loss_quote": D(200), **collar}, at_risk, bench.equity),
        ("T14.3", "CostGate", {}, ("30.000001", "30", "29.999999"), lambda v: (order(edge_bps=D(v)), view())),
    ]  # fmt: skip
    return [LimitCase(*row) for row in rows]


def outcomes(base: Limits, change: Callable[[RiskModule], None] = lambda _: None) -> Iterator[dict[str, Any]]:
    """Limit, place (under, equal, over), the codes that were expected and those that were seen. `change` may
    break the module first.
    """
    bench = Bench(base)
    for case in cases(bench):
        for name, value in zip(NAMES, case.values, strict=True):
            risk = bench.module(**case.tight)
            change(risk)
            seen = sorted({str(one.code) for one in risk.check(*case.make(value))})
            expected = [case.code] if name == "over" else []
            yield {"limit": case.limit, "place": name, "expected": expected, "seen": seen}
    yield from _sequences(bench, change)


def _sequences(bench: Bench, change: Callable[[RiskModule], None]) -> Iterator[dict[str, Any]]:
    """Limits over several orders, and the drawdown ladder."""
    paced = (
        ("L11", "MessageRate", {"max_messages_per_s": 3}, True),
        ("L12.count", "RepeatThrottle", {"max_same_order_repeat_count": 3}, False),
        ("L12.window", "RepeatThrottle", {"max_same_order_repeat_count": 3}, False),
    )
    for limit, code, tight, differ in paced:
        risk = bench.module(**tight)
        change(risk)
        for number, name in enumerate(("first", "under", "equal", "over")):
            price = D(50_000) - (number if differ else 0)
            seen = sorted({str(one.code) for one in risk.check(bench.order(price=price), bench.snapshot())})
            expected = [code] if name == "over" else []
            yield {"limit": limit, "place": name, "expected": expected, "seen": seen}
    ladder: tuple[tuple[str, int, list[str]], ...] = (
        ("warn", 1, []),
        ("half", 2, []),
        ("reduce", 3, ["Drawdown"]),
        ("halt", 4, ["Drawdown"]),
    )
    for part, step, expected in ladder:
        risk = bench.module(
            drawdown_warn_pct=D(5), drawdown_half_size_pct=D(10), drawdown_reduce_only_pct=D(12),
            drawdown_halt_pct=D(15),
        )  # fmt: skip
        change(risk)
        at = D(10_000) - (D(500), D(1_000), D(1_200), D(1_500))[step - 1]
        steps = []
        for equity in (at + D("0.000001"), at):
            risk.loss.mark(equity, {}, bench.now_ns)
            steps.append(risk.loss.step)
        seen = sorted({str(one.code) for one in risk.check(bench.order(), bench.snapshot())})
        yield {"limit": f"L15.{part}", "place": "steps", "expected": [step - 1, step], "seen": steps}
        yield {"limit": f"L15.{part}", "place": "order", "expected": expected, "seen": seen}
    risk = bench.module(max_order_notional_quote=D(1), max_denials_per_minute_count=2)
    change(risk)
    for name, expected_storm in (("under", None), ("equal", None), ("over", "OrderNotionalLimit")):
        risk.check(bench.order(), bench.snapshot())
        storm = risk.denial_storm("s", bench.now_ns)
        yield {"limit": "T11.9", "place": name, "expected": expected_storm, "seen": storm and str(storm)}
