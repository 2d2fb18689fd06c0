"""Suite `risk`: one pre-trade check with all limits and 20 working orders (trading T11.1).

The order passes, so that every rule runs to its end. The module and its limits are those of the trader; the
snapshot is made before the clock starts, as the trader makes it from its own state.
"""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Final

from tradewind.lab.bench.context import Context, Figures, MeasureFailed, percentile
from tradewind.trader.risk.check import Order, Path, RiskModule, Snapshot, Top, Working
from tradewind.trader.risk.groups import Groups
from tradewind.trader.risk.loss import LossGuard
from tradewind.trader.risk.profile import load_profile
from tradewind.trader.risk.state import TradingState
from tradewind.venues.market_data import Instrument, Known, Side
from tradewind.venues.paper.filters import Rules
from tradewind.venues.paper.schedule import load_schedule
from tradewind.venues.protocol import FeeSchedule

WORKING: Final = 20
SYMBOLS: Final = ("BTC/USDT", "ETH/USDT")
START_NS: Final = 1_704_067_200_000_000_000
STEP_NS: Final = 1_000_000_000
"""The virtual clock moves a second per order: the pace limits of the profile are real and never reached."""
WARM: Final = 500
SOURCE: Final = "bench"


def _rules(symbol: str) -> Rules:
    base = symbol.partition("/")[0]
    return Rules(
        instrument=Instrument(
            venue=SOURCE, symbol=symbol, venue_symbol=base, base=base, quote="USDT", tick=Decimal("0.01"),
            lot=Decimal("0.0001"), min_quantity=Decimal("0.0001"), max_quantity=Decimal(9_000),
            min_notional=Decimal(5), max_notional=Decimal(9_000_000), price_decimals=2, quantity_decimals=4,
            source=SOURCE,
        ),
        max_open_orders=200,
    )  # fmt: skip


def _working(symbol: str) -> list[Working]:
    """Half of the orders of one symbol, both sides, far from the middle."""
    return [
        Working(
            client_id=f"{symbol}-{number}",
            symbol=symbol,
            side=Side(number % 2),
            price=Decimal(45_000 if number % 2 == 0 else 55_000) + number,
            quantity=Decimal("0.0002"),
            strategy=SOURCE,
        )
        for number in range(WORKING // len(SYMBOLS))
    ]


def _snapshot(
    now_ns: int, working: list[Working], rules: dict[str, Rules], groups: Groups, fees: FeeSchedule
) -> Snapshot:
    top = Known(Top(Decimal(49_999), Decimal(50_001)), now_ns, SOURCE)
    volume = Known(Decimal(1_000), now_ns, SOURCE)
    return Snapshot(
        now_ns=now_ns, rules=rules, tops=dict.fromkeys(SYMBOLS, top),
        equity=Known(Decimal(10_000), now_ns, SOURCE), balances_as_of_ns=now_ns,
        available={"USDT": Decimal(9_000), "BTC": Decimal(1)}, positions={"BTC/USDT": Decimal("0.001")},
        working=working, fees=Known(fees, now_ns, SOURCE),
        state=TradingState.NORMAL, strategy_pnl={SOURCE: Decimal(-1)}, groups=groups,
        volumes=dict.fromkeys(SYMBOLS, volume), venue_equity={SOURCE: Decimal(10_000)}, attended=True,
    )  # fmt: skip


def _order(number: int, now_ns: int) -> Order:
    return Order(
        strategy=SOURCE, path=Path.STRATEGY, symbol="BTC/USDT", base="BTC", quote="USDT", side=Side.BUY,
        price=Decimal(50_001), quantity=Decimal("0.0002") + Decimal("0.0001") * (number % 10),
        decision_ns=now_ns, stop=Decimal(49_500), edge_bps=Decimal(100), venue=SOURCE,
    )  # fmt: skip


def run(context: Context) -> Figures:
    """Microseconds of a check: median, 99th and 99.9th percentile."""
    limits = load_profile("paper").limits
    loss = LossGuard(limits)
    risk = RiskModule(limits, loss, cost_gate=lambda _order, _snapshot: Decimal(30))
    working = [one for symbol in SYMBOLS for one in _working(symbol)]
    rules = {symbol: _rules(symbol) for symbol in SYMBOLS}
    fees = load_schedule("binance-spot-vip0")
    groups = Groups(clusters={"ETH/USDT": "BTC/USDT"}, betas={"ETH/USDT": Decimal("1.2")}, source=SOURCE)
    context.tell(f"{context.effort.risk_checks} checks with {len(working)} working orders")
    taken: list[int] = []
    for number in range(WARM + context.effort.risk_checks):
        now_ns = START_NS + number * STEP_NS
        loss.mark(Decimal(10_000), {}, now_ns)
        order, snapshot = _order(number, now_ns), _snapshot(now_ns, working, rules, groups, fees)
        begin_ns = time.perf_counter_ns()
        denied = risk.check(order, snapshot)
        end_ns = time.perf_counter_ns()
        if denied:
            raise MeasureFailed(f"the order was denied: {denied[0]}")
        if number >= WARM:
            taken.append(end_ns - begin_ns)
    return {
        "working_orders": len(working),
        "checks": len(taken),
        "p50_us": round(percentile(taken, 0.5) / 1_000, 1),
        "p99_us": round(percentile(taken, 0.99) / 1_000, 1),
        "p999_us": round(percentile(taken, 0.999) / 1_000, 1),
    }
